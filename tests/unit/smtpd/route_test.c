/* Where mail goes, by what the DNS says: order, families, and what is no way at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/relay/route.h"
#include "smtpd/relay/source.h"

#include "common/banned.h"

/* One record of the DNS. */
struct record {
	const char *name;
	enum dns_type type;
	const char *data;       /* an address, "10 host" for MX, a name for PTR; NULL: the name server fails */
};

static const struct record *zone;
static size_t zone_count;
static char own_address[64];            /* of IPv6; "": there is no way */
static struct loop *loop;
static struct dns *dns;
static struct conf *conf;
static struct route answer;
static unsigned answers;

/* put_name - in wire form. */
static size_t put_name(const char *name, char *out)
{
	struct sv rest = sv_z(name), label;
	size_t n = 0;

	while (rest.len && sv_split(&rest, '.', &label)) {
		out[n++] = (char)label.len;
		memcpy(out + n, label.p, label.len);
		n += label.len;
	}
	out[n++] = '\0';
	return n;
}

static struct sv rdata(const struct record *r, char out[300])
{
	struct netaddr at;
	size_t n = 0;

	if (r->type == DNS_A || r->type == DNS_AAAA) {
		assert_true(netaddr_parse(sv_z(r->data), &at));
		n = r->type == DNS_A ? 4 : 16;
		memcpy(out, at.ip + 16 - n, n);
	} else if (r->type == DNS_MX) {
		out[0] = '\0';
		out[1] = (char)strtol(r->data, NULL, 10);
		n = 2 + put_name(strchr(r->data, ' ') + 1, out + 2);
	} else {
		n = put_name(r->data, out);
	}
	return sv_from(out, n);
}

static bool script(void *arg, struct sv name, enum dns_type type, struct dns_answer *out)
{
	static char octets[20][300];
	bool is_known = false;

	(void)arg;
	out->name = name;
	for (size_t i = 0; i < zone_count; i++) {
		if (!sv_eq_nocase(sv_z(zone[i].name), name))
			continue;
		is_known = true;
		if (zone[i].type != type)
			continue;
		if (!zone[i].data) {
			out->status = DNS_TEMPFAIL;
			return true;
		}
		out->records[out->count] = rdata(&zone[i], octets[out->count]);
		out->count++;
	}
	out->status = out->count ? DNS_DATA : is_known ? DNS_NODATA : DNS_NXDOMAIN;
	return true;
}

static bool own_source(const struct netaddr *to, struct netaddr *out)
{
	assert_int_equal(to->family, NET_IPV6);
	return own_address[0] && netaddr_parse(sv_z(own_address), out);
}

static int setup(void **state)
{
	(void)state;
	source_of = own_source;
	assert_int_equal(loop_new(&loop).kind, FAULT_NONE);
	dns = dns_new_scripted(loop, script, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dns_free(&dns);
	loop_free(&loop);
	return 0;
}

static void on_route(void *arg, const struct route *route)
{
	(void)arg;
	answer = *route;
	answers++;
}

/* look_up - the hops as one text, "host/address host/address", or the status. */
static const char *look_up(const char *settings, const char *destination)
{
	static char text[2000];
	char at[NETADDR_TEXT_MAX];
	struct conf_report report = { NULL, 0, false };
	struct route_query *q = NULL;
	struct buf out;

	assert_int_equal(conf_parse(sv_z(settings), "test", "/nowhere", &report, &conf).kind, FAULT_NONE);
	conf_report_done(&report);
	answers = 0;
	route_find(loop, dns, conf, sv_z(destination), on_route, NULL, &q);
	for (unsigned i = 0; i < 100 && !answers; i++)
		loop_run_once(loop, 1);
	assert_int_equal(answers, 1);
	assert_null(q);
	conf_unref(&conf);
	buf_init(&out, sizeof(text) - 1);
	for (size_t i = 0; answer.kind == ROUTE_HOPS && i < answer.count; i++)
		(void)buf_appendf(&out, "%s%s/%.*s", i ? " " : "", answer.hops[i].host, SV_FMT(netaddr_text(&answer.hops[i].at, at)));
	if (answer.kind != ROUTE_HOPS)
		(void)buf_appendf(&out, "%s %s", answer.kind == ROUTE_DEFER ? "later" : "never", answer.status);
	snprintf(text, sizeof(text), "%.*s", SV_FMT(buf_sv(&out)));
	buf_done(&out);
	return text;
}

#define ZONE(records) (zone = (records), zone_count = ARRAY_LEN(records))

static void hosts_come_by_preference_and_of_each_ipv6_first(void **state)
{
	static const struct record records[] = {
		{ "far.example", DNS_MX, "20 second.far.example" },
		{ "far.example", DNS_MX, "10 first.far.example" },
		{ "first.far.example", DNS_A, "192.0.2.1" },
		{ "first.far.example", DNS_AAAA, "2001:db8::1" },
		{ "second.far.example", DNS_A, "192.0.2.2" },
		{ "plain.example", DNS_A, "192.0.2.3" },
		{ "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", DNS_PTR, "mail.example.org" },
	};

	(void)state;
	ZONE(records);
	snprintf(own_address, sizeof(own_address), "2001:db8::5");
	assert_string_equal(look_up("", "far.example"), "first.far.example/2001:db8::1 first.far.example/192.0.2.1 second.far.example/192.0.2.2");
	assert_string_equal(look_up("relay-ipv6 no\n", "far.example"), "first.far.example/192.0.2.1 second.far.example/192.0.2.2");
	assert_string_equal(look_up("", "plain.example"), "plain.example/192.0.2.3");
	assert_string_equal(look_up("", "[192.0.2.9]"), "/192.0.2.9");
	assert_string_equal(look_up("", "[IPv6:2001:db8::9]"), "/2001:db8::9");
	assert_string_equal(look_up("", ">first.far.example:587"), "first.far.example/2001:db8::1 first.far.example/192.0.2.1");
	assert_int_equal(answer.hops[1].at.port, 587);
	assert_string_equal(look_up("", ">lmtp:[192.0.2.8]:8024"), "/192.0.2.8");
	assert_int_equal(answer.hops[0].at.port, 8024);
	assert_string_equal(look_up("", ">[2001:db8::8]:25"), "/2001:db8::8");
}

static void ipv6_waits_for_a_reverse_name_of_our_own(void **state)
{
	static const struct record records[] = {
		{ "far.example", DNS_A, "192.0.2.1" },
		{ "far.example", DNS_AAAA, "2001:db8::1" },
		{ "six.example", DNS_AAAA, "2001:db8::6" },
		{ "6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", DNS_PTR, NULL },
	};
	static const char *const v4 = "far.example/192.0.2.1", *const both = "far.example/2001:db8::1 far.example/192.0.2.1";
	static const struct {
		const char *own, *expected;
	} cases[] = {
		{ "", v4 },                     /* no way by IPv6 at all */
		{ "2001:db8::5", v4 },          /* it has no name */
		{ "2001:db8::6", v4 },          /* nobody knows */
		{ "::1", both },                /* nobody looks for the name of one of these */
		{ "fd12:3456::1", both },
		{ "fe80::1", both },
	};

	(void)state;
	ZONE(records);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(own_address, sizeof(own_address), "%s", cases[i].own);
		assert_string_equal(look_up("", "far.example"), cases[i].expected);
		/* Where nothing else leads, it is taken. */
		assert_string_equal(look_up("", "six.example"), "six.example/2001:db8::6");
	}
}

static void what_leads_nowhere_is_told_apart_from_what_nobody_knows(void **state)
{
	static const struct record records[] = {
		{ "null.example", DNS_MX, "0 " },
		{ "down.example", DNS_MX, NULL },
		{ "lame.example", DNS_MX, "10 mx.lame.example" },
		{ "mx.lame.example", DNS_TXT, "x" },
		{ "half.example", DNS_MX, "10 mx.half.example" },
		{ "mx.half.example", DNS_A, NULL },
		{ "ours.example", DNS_MX, "10 mail.example.org" },
		{ "ours.example", DNS_MX, "20 backup.example.net" },
		{ "backup.example.net", DNS_A, "192.0.2.7" },
		{ "spare.example", DNS_MX, "5 backup.example.net" },
		{ "spare.example", DNS_MX, "10 mail.example.org" },
	};
	static const struct {
		const char *destination, *expected;
	} cases[] = {
		{ "null.example", "never 5.1.10" },     /* RFC 7505 */
		{ "none.example", "never 5.1.2" },
		{ "down.example", "later 4.4.3" },
		{ "lame.example", "never 5.4.4" },
		{ "half.example", "later 4.4.3" },
		{ "ours.example", "never 5.4.6" },
		{ "spare.example", "backup.example.net/192.0.2.7" },    /* only who is nearer than we are (RFC 5321 §5.1) */
		{ "[nonsense]", "never 5.1.3" },
	};

	(void)state;
	ZONE(records);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(look_up("hostname mail.example.org\n", cases[i].destination), cases[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hosts_come_by_preference_and_of_each_ipv6_first, setup, teardown),
		cmocka_unit_test_setup_teardown(ipv6_waits_for_a_reverse_name_of_our_own, setup, teardown),
		cmocka_unit_test_setup_teardown(what_leads_nowhere_is_told_apart_from_what_nobody_knows, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
