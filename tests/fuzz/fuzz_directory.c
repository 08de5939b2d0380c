/* Rows of the account directory: any octets are refused or decode to what stays within its bounds. The checksum is made
 * right here, or nothing behind it would ever be reached. */
#include <stdint.h>
#include <stdlib.h>

#include "common/crc32c.h"
#include "common/directory_private.h"

#include "common/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void want(bool holds)
{
	if (!holds)
		abort();
}

static bool ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* version, length and checksum around the fields */
static struct sv wrap(const uint8_t *fields, size_t size, struct buf *out)
{
	uint8_t head[5] = { 1 }, tail[4];

	for (int i = 0; i < 4; i++)
		head[1 + i] = (uint8_t)(size >> (24 - 8 * i));
	want(buf_append(out, sv_from((char *)head, 5)) && buf_append(out, sv_from((const char *)fields, size)));
	uint32_t crc = crc32c(buf_sv(out));

	for (int i = 0; i < 4; i++)
		tail[i] = (uint8_t)(crc >> (24 - 8 * i));
	want(buf_append(out, sv_from((char *)tail, 4)));
	return buf_sv(out);
}

static void decode(struct sv value)
{
	struct directory_domain domain;
	struct directory_credential credential;
	struct account_row account;
	struct name_row name;
	struct sv local, at;
	struct fault f;

	if (!domain_decode(SV("example.test"), value, &domain).kind)
		want(ends(domain.name, sizeof(domain.name)) && ends(domain.catch_all, sizeof(domain.catch_all)));
	if (!account_decode(SV("0123456789abcdef"), value, &account).kind)
		want(ends(account.pub.address, sizeof(account.pub.address)) &&
		     account.iterations >= DIRECTORY_ITERATIONS_MIN);
	if (!credential_decode(SV("0123456789abcdef\0\0\0\1"), value, &credential).kind)
		want(ends(credential.label, sizeof(credential.label)) && credential.number == 1);
	if (!name_decode(value, &name).kind) {
		want(ends(name.id, sizeof(name.id)));
		while (alias_next(&name.targets, &local, &at, &f))
			want(local.len <= ADDRESS_LOCAL_MAX && at.len <= ADDRESS_DOMAIN_MAX && local.len && at.len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole;

	if (size > 60000)
		return 0;
	buf_init(&whole, 70000);
	decode(sv_from((const char *)data, size));
	decode(wrap(data, size, &whole));
	buf_done(&whole);
	return 0;
}
