#include "tests/unit/support/dns_table.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

static void put_name(struct buf *b, struct sv name)
{
	struct sv label;

	while (sv_split(&name, '.', &label) && label.len) {
		buf_append_c(b, (char)label.len);
		buf_append(b, label);
	}
	buf_append_c(b, '\0');
}

static void put_text(struct buf *b, struct sv text)
{
	do {
		struct sv part = sv_sub(text, 0, 255);

		buf_append_c(b, (char)part.len);
		buf_append(b, part);
		sv_skip(&text, part.len);
	} while (text.len);
}

static void put_tlsa(struct buf *b, const char *text)
{
	unsigned number[3];
	int at = 0;

	if (sscanf(text, "%u %u %u %n", &number[0], &number[1], &number[2], &at) < 3)
		abort();
	for (size_t i = 0; i < 3; i++)
		buf_append_c(b, (char)number[i]);
	for (text += at; text[0] && text[1]; text += 2)
		buf_append_c(b, (char)(ascii_hex(text[0]) << 4 | ascii_hex(text[1])));
}

static void put(struct buf *b, const struct dns_row *row)
{
	unsigned char ip[16];
	char *end;
	unsigned long n;

	switch (row->type) {
	case DNS_A:
	case DNS_AAAA:
		if (inet_pton(row->type == DNS_A ? AF_INET : AF_INET6, row->data, ip) != 1)
			abort();
		buf_append(b, sv_from((const char *)ip, row->type == DNS_A ? 4 : 16));
		break;
	case DNS_MX:
		n = strtoul(row->data, &end, 10);
		buf_append_c(b, (char)(n >> 8));
		buf_append_c(b, (char)n);
		put_name(b, sv_z(end + 1));
		break;
	case DNS_TXT:
		put_text(b, sv_z(row->data));
		break;
	case DNS_TLSA:
		put_tlsa(b, row->data);
		break;
	default:
		put_name(b, sv_z(row->data));
		break;
	}
}

static bool answer(void *arg, struct sv name, enum dns_type type, struct dns_answer *out)
{
	struct dns_table *t = arg;
	size_t starts[DNS_RECORDS_MAX];

	t->asked++;
	out->secure = t->is_secure;
	buf_clear(&t->wire);
	out->status = DNS_NXDOMAIN;
	for (size_t i = 0; i < t->count && out->count < DNS_RECORDS_MAX; i++) {
		if (!sv_eq_nocase(name, sv_z(t->rows[i].name)))
			continue;
		if (out->status == DNS_NXDOMAIN)
			out->status = DNS_NODATA;
		if (t->rows[i].type != type)
			continue;
		if (!strcmp(t->rows[i].data, "..."))
			return false;
		if (!strcmp(t->rows[i].data, "!")) {
			out->status = DNS_TEMPFAIL;
			out->why = "SERVFAIL";
			return true;
		}
		out->status = DNS_DATA;
		starts[out->count++] = t->wire.len;
		put(&t->wire, &t->rows[i]);
	}
	for (size_t i = 0; i < out->count; i++) {
		size_t end = i + 1 < out->count ? starts[i + 1] : t->wire.len;

		out->records[i] = sv_sub(buf_sv(&t->wire), starts[i], end - starts[i]);
	}
	return true;
}

int dns_table_setup(void **state, const struct dns_row *rows, size_t count)
{
	struct dns_table *t = xcalloc(1, sizeof(*t));

	t->rows = rows;
	t->count = count;
	buf_init(&t->wire, 256u << 10);
	if (loop_new(&t->loop).kind)
		return -1;
	t->dns = dns_new_scripted(t->loop, answer, t);
	*state = t;
	return 0;
}

int dns_table_teardown(void **state)
{
	struct dns_table *t = *state;

	dns_free(&t->dns);
	loop_free(&t->loop);
	buf_done(&t->wire);
	free(t);
	return 0;
}
