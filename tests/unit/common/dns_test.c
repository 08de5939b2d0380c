/* The four kinds of answer, kept apart, from a name server in this process; RDATA of strangers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/dns.h"
#include "common/dnscache.h"
#include "common/memory.h"

/* --- a name server: one datagram in, one out ---------------------------------------------------------------------- */

static int server_fd;
static char server_address[32];

static void put16(struct buf *b, unsigned n)
{
	buf_append_c(b, (char)(n >> 8));
	buf_append_c(b, (char)n);
}

static void put_record(struct buf *b, unsigned type, struct sv rdata)
{
	put16(b, 0xc00c);               /* the name that was asked for */
	put16(b, type);
	put16(b, 1);
	put16(b, 0);
	put16(b, 60);
	put16(b, (unsigned)rdata.len);
	buf_append(b, rdata);
}

static void reply_to(struct sv query, const struct sockaddr *to, socklen_t len)
{
	struct sv rest = sv_sub(query, 12, SIZE_MAX);
	char name[4 * DNS_NAME_MAX + 1];
	struct buf out;
	unsigned flags = 0x8180, answers = 0;

	if (query.len < 12 || !dns_name_from(&rest, name) || rest.len < 4)
		return;
	unsigned type = (unsigned)(unsigned char)rest.p[1];
	if (strstr(name, "silent"))
		return;
	if (strstr(name, "broken"))
		flags |= 2;
	else if (strstr(name, "missing"))
		flags |= 3;
	else if (type == DNS_MX && strstr(name, "mail"))
		answers = 1;
	else if (type == DNS_A && strstr(name, "host"))
		answers = 2;
	else if (type == DNS_TXT && strstr(name, "mail"))
		answers = 1;
	buf_init(&out, 4096);
	buf_append(&out, sv_sub(query, 0, 2));
	put16(&out, flags);
	put16(&out, 1);
	put16(&out, answers);
	put16(&out, 0);
	put16(&out, 0);
	buf_append(&out, sv_from(query.p + 12, (size_t)(rest.p + 4 - (query.p + 12))));
	if (answers && type == DNS_MX)
		put_record(&out, type, sv_from("\0\x0a\x02mx\x07" "Example\x03net\0", 18));
	if (answers && type == DNS_TXT)
		put_record(&out, type, sv_from("\x03" "v=s\x04" "pf1 ", 9));
	if (answers && type == DNS_A) {
		put_record(&out, type, sv_from("\xc0\0\2\1", 4));
		put_record(&out, type, sv_from("\xc0\0\2\2", 4));
	}
	sendto(server_fd, out.p, out.len, 0, to, len);
	buf_done(&out);
}

static void serve_once(void)
{
	struct pollfd p = { .fd = server_fd, .events = POLLIN };

	while (poll(&p, 1, 0) == 1) {
		char query[1500];
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(server_fd, query, sizeof(query), 0, (struct sockaddr *)&from, &len);
		if (n > 0)
			reply_to(sv_from(query, (size_t)n), (struct sockaddr *)&from, len);
	}
}

static void start_server(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	server_fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(server_fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(server_fd, (struct sockaddr *)&at, &len), 0);
	snprintf(server_address, sizeof(server_address), "127.0.0.1@%u", ntohs(at.sin_port));
}

/* --- asking it ------------------------------------------------------------------------------------------------------ */

struct seen {
	bool done;
	enum dns_status status;
	bool secure;
	size_t count;
	char first[256], why[64];
	enum dns_type type;
};

static void note(void *arg, const struct dns_answer *a)
{
	struct seen *s = arg;

	s->done = true;
	s->status = a->status;
	s->secure = a->secure;
	s->count = a->count;
	snprintf(s->why, sizeof(s->why), "%s", a->why ? a->why : "");
	if (a->count && s->type == DNS_MX) {
		uint16_t preference;
		char host[4 * DNS_NAME_MAX + 1];
		assert_true(dns_mx_from(a->records[0], &preference, host));
		snprintf(s->first, sizeof(s->first), "%u %.200s", preference, host);
	}
	if (a->count && s->type == DNS_TXT) {
		struct buf text;
		buf_init(&text, 200);
		assert_true(dns_txt_from(a->records[0], &text));
		snprintf(s->first, sizeof(s->first), "%.*s", SV_FMT(buf_sv(&text)));
		buf_done(&text);
	}
}

struct fixture {
	struct loop *loop;
	struct dns *dns;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct sv forwarder;

	start_server();
	forwarder = sv_z(server_address);
	struct dns_settings settings = { .forwarders = &forwarder, .forwarder_count = 1 };
	assert_int_equal(loop_new(&f->loop).kind, FAULT_NONE);
	assert_int_equal(dns_new(f->loop, &settings, &f->dns).kind, FAULT_NONE);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	dns_free(&f->dns);
	loop_free(&f->loop);
	close(server_fd);
	free(f);
	return 0;
}

static struct seen ask(struct fixture *f, const char *name, enum dns_type type)
{
	struct seen s = { .type = type };

	dns_ask(f->dns, sv_z(name), type, note, &s, NULL);
	assert_false(s.done);           /* never from inside the call */
	for (int i = 0; i < 3000 && !s.done; i++) {
		serve_once();
		loop_run_once(f->loop, 10);
	}
	assert_true(s.done);
	return s;
}

static void data_absence_and_failure_are_kept_apart(void **state)
{
	struct seen s = ask(*state, "mail.example.net", DNS_MX);

	assert_int_equal(s.status, DNS_DATA);
	assert_string_equal(s.first, "10 mx.example.net");
	assert_false(s.secure);
	s = ask(*state, "host.example.net.", DNS_A);
	assert_int_equal(s.status, DNS_DATA);
	assert_int_equal(s.count, 2);
	s = ask(*state, "mail.example.net", DNS_TXT);
	assert_string_equal(s.first, "v=spf1 ");
	assert_int_equal(ask(*state, "mail.example.net", DNS_AAAA).status, DNS_NODATA);
	assert_int_equal(ask(*state, "missing.example.net", DNS_A).status, DNS_NXDOMAIN);
	s = ask(*state, "broken.example.net", DNS_A);
	assert_int_equal(s.status, DNS_TEMPFAIL);
	assert_string_equal(s.why, "SERVFAIL");
}

static void a_name_that_cannot_be_one_is_not_asked_for(void **state)
{
	static const char *const names[] = { "", ".", "a..b", "a b", "a\\.b", "caf\xc3\xa9.example",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(ask(*state, names[i], DNS_A).status, DNS_NXDOMAIN);
}

static void silence_is_a_temporary_failure_when_the_deadline_comes(void **state)
{
	struct fixture *f = *state;
	struct seen s = { .type = DNS_A };

	dns_ask(f->dns, SV("silent.example.net"), DNS_A, note, &s, NULL);
	for (int i = 0; i < 5; i++) {
		serve_once();
		loop_run_once(f->loop, 10);
	}
	assert_false(s.done);
	loop_skip_ms(f->loop, DNS_TIMEOUT_MS + 1);
	for (int i = 0; i < 5 && !s.done; i++)
		loop_run_once(f->loop, 10);
	assert_true(s.done);
	assert_int_equal(s.status, DNS_TEMPFAIL);
	assert_string_equal(s.why, "timeout");
}

static void what_was_forgotten_is_not_answered(void **state)
{
	struct fixture *f = *state;
	struct seen s = { .type = DNS_MX }, t = { .type = DNS_MX };
	struct dns_query *query = NULL, *answered = NULL;

	dns_ask(f->dns, SV("mail.one.example"), DNS_MX, note, &s, &query);
	dns_ask(f->dns, SV("mail.two.example"), DNS_MX, note, &t, &answered);
	assert_non_null(query);
	dns_forget(&query);
	assert_null(query);
	dns_forget(&query);
	for (int i = 0; i < 1000 && !t.done; i++) {
		serve_once();
		loop_run_once(f->loop, 10);
	}
	assert_true(t.done);
	assert_false(s.done);
	assert_null(answered);          /* the handle ends with the answer */
	/* One under way when the resolver ends. */
	dns_ask(f->dns, SV("silent.three.example"), DNS_MX, note, &s, &query);
	dns_free(&f->dns);
	assert_null(query);
	assert_false(s.done);
}

static void what_was_just_answered_is_known_in_the_next_turn(void **state)
{
	struct fixture *f = *state;
	struct seen s = { .type = DNS_MX };
	struct dns_query *query = NULL;

	ask(f, "mail.example.net", DNS_MX);
	dns_ask(f->dns, SV("MAIL.example.net."), DNS_MX, note, &s, NULL);
	assert_false(s.done);
	loop_run_once(f->loop, 0);
	assert_true(s.done);
	assert_int_equal(s.status, DNS_DATA);
	assert_string_equal(s.first, "10 mx.example.net");
	s.done = false;
	dns_ask(f->dns, SV("mail.example.net"), DNS_MX, note, &s, &query);
	dns_forget(&query);
	loop_run_once(f->loop, 0);
	assert_false(s.done);
	/* It ends between question and answer: the resolver is asked. */
	dns_ask(f->dns, SV("mail.example.net"), DNS_MX, note, &s, NULL);
	loop_skip_ms(f->loop, DNSCACHE_MAX_S * 1000);
	for (int i = 0; i < 1000 && !s.done; i++) {
		serve_once();
		loop_run_once(f->loop, 10);
	}
	assert_true(s.done);
	assert_int_equal(s.status, DNS_DATA);
}

static void rdata_of_strangers_stays_in_bounds(void **state)
{
	static const struct { struct sv wire; bool ok; const char *text; } names[] = {
		{ SV_INIT("\1a\2bc\0"), true, "a.bc" }, { SV_INIT("\0"), true, "" }, { SV_INIT("\3A.b\0"), true, "a\\046b" },
		{ SV_INIT("\2a\0\0"), true, "a\\000" }, { SV_INIT(""), false, "" }, { SV_INIT("\1a"), false, "" },
		{ SV_INIT("\5ab\0"), false, "" }, { SV_INIT("\xc0\x0c"), false, "" }, { SV_INIT("\x40" "a"), false, "" },
	};
	char out[4 * DNS_NAME_MAX + 1], big[600], reverse[80];
	uint8_t ip[16];
	struct dns_tlsa tlsa;
	uint16_t preference;
	struct buf text;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *exact = xmalloc(names[i].wire.len);
		memcpy(exact, names[i].wire.p, names[i].wire.len);
		struct sv s = sv_from(exact, names[i].wire.len);
		assert_int_equal(dns_name_from(&s, out), names[i].ok);
		if (names[i].ok) {
			assert_string_equal(out, names[i].text);
			assert_int_equal(s.len, 0);
		}
		free(exact);
	}
	for (size_t i = 0; i < sizeof(big); i++)        /* labels without end */
		big[i] = i % 2 ? 'x' : 1;
	struct sv s = sv_from(big, sizeof(big));

	assert_false(dns_name_from(&s, out));
	assert_false(dns_mx_from(SV("\0"), &preference, out));
	assert_false(dns_mx_from(SV("\0\1"), &preference, out));
	assert_true(dns_mx_from(SV("\0\0\0"), &preference, out));       /* null MX, RFC 7505 */
	assert_string_equal(out, "");
	assert_false(dns_mx_from(SV("\0\1\1a\0x"), &preference, out));
	buf_init(&text, 8);
	assert_false(dns_txt_from(SV("\5ab"), &text));
	assert_false(dns_txt_from(SV("\5abcde\5fghij"), &text));
	assert_int_equal(text.len, 0);
	buf_done(&text);
	assert_false(dns_ip_from(DNS_A, SV("abc"), ip));
	assert_false(dns_ip_from(DNS_AAAA, SV("abcd"), ip));
	assert_true(dns_ip_from(DNS_A, SV("\xc0\0\2\1"), ip));
	dns_reverse_name(ip, reverse);
	assert_string_equal(reverse, "1.2.0.192.in-addr.arpa");
	memset(ip, 0x2a, sizeof(ip));
	dns_reverse_name(ip, reverse);
	assert_string_equal(reverse, "a.2.a.2.a.2.a.2.a.2.a.2.a.2.a.2.a.2.a.2.a.2.a.2.a.2.a.2.a.2.a.2.ip6.arpa");
	assert_false(dns_tlsa_from(SV("\3\1\1"), &tlsa));
	assert_true(dns_tlsa_from(SV("\3\1\1x"), &tlsa));
}

static void the_configuration_names_servers_and_what_is_trusted(void **state)
{
	struct fixture *f = *state;
	struct conf_report report = { NULL, 0, false };
	struct conf *conf = NULL;
	struct seen s = { .type = DNS_MX };
	struct buf text;
	uint16_t ports[DNS_PORTS_MAX];
	struct dns *dns = NULL;

	buf_init(&text, 200);
	buf_appendf(&text, "dns-servers %s\ndns-trust-anchors none\n", server_address);
	assert_int_equal(conf_parse(buf_sv(&text), "test", "/", &report, &conf).kind, FAULT_NONE);
	assert_int_equal(dns_ports(&conf->dns, ports), 2);
	assert_int_equal(ports[0], 53);
	assert_int_equal(ports[1], atol(strchr(server_address, '@') + 1));
	assert_int_equal(dns_new_from_conf(f->loop, &conf->dns, &dns).kind, FAULT_NONE);
	dns_ask(dns, SV("mail.conf.example"), DNS_MX, note, &s, NULL);
	for (int i = 0; i < 1000 && !s.done; i++) {
		serve_once();
		loop_run_once(f->loop, 10);
	}
	assert_int_equal(s.status, DNS_DATA);
	dns_free(&dns);
	conf_unref(&conf);
	conf_report_done(&report);
	buf_clear(&text);
	buf_append(&text, SV("dns-servers nowhere.example\n"));
	assert_int_equal(conf_parse(buf_sv(&text), "test", "/", &report, &conf).kind, FAULT_NONE);
	assert_int_equal(dns_new_from_conf(f->loop, &conf->dns, &dns).kind, FAULT_INVALID);
	conf_unref(&conf);
	conf_report_done(&report);
	buf_done(&text);
	conf = conf_default("/");       /* recursive, with the root's keys: nothing is asked here */
	assert_int_equal(dns_new_from_conf(f->loop, &conf->dns, &dns).kind, FAULT_NONE);
	dns_free(&dns);
	conf_unref(&conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(data_absence_and_failure_are_kept_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_that_cannot_be_one_is_not_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_is_a_temporary_failure_when_the_deadline_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_forgotten_is_not_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_just_answered_is_known_in_the_next_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(the_configuration_names_servers_and_what_is_trusted, setup, teardown),
		cmocka_unit_test(rdata_of_strangers_stays_in_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
