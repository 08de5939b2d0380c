/* Addresses: SMTP paths with every trick that opens relays, and address lists as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/address.h"

#define S SV_INIT

static void assert_sv(struct sv got, struct sv want, struct sv of)
{
	if (!sv_eq(got, want))
		fail_msg("'%.*s': got '%.*s', wanted '%.*s'", SV_FMT(of), SV_FMT(got), SV_FMT(want));
}

static void paths_are_parsed_once_into_local_part_and_domain(void **state)
{
	static const struct { unsigned flags; struct sv in, local, domain, given, rest, written; } cases[] = {
		{ 0, S("<alice@example.test>"), S("alice"), S("example.test"), S("example.test"), S(""), S("alice@example.test") },
		{ 0, S("<Alice@EXAMPLE.Test> SIZE=10"), S("Alice"), S("example.test"), S("EXAMPLE.Test"), S(" SIZE=10"),
		  S("Alice@example.test") },
		/* Relay tricks: each is one literal local part at one domain. */
		{ 0, S("<a%b@us>"), S("a%b"), S("us"), S("us"), S(""), S("a%b@us") },
		{ 0, S("<b!a@us>"), S("b!a"), S("us"), S("us"), S(""), S("b!a@us") },
		{ 0, S("<@us:a@b>"), S("a"), S("b"), S("b"), S(""), S("a@b") },
		{ 0, S("<@x,@[IPv6:::1],@y.z:a@b>"), S("a"), S("b"), S("b"), S(""), S("a@b") },
		{ 0, S("<\"a@b\"@us>"), S("a@b"), S("us"), S("us"), S(""), S("\"a@b\"@us") },
		{ 0, S("<a@us.>"), S("a"), S("us"), S("us"), S(""), S("a@us") },
		{ 0, S("<a@[127.0.0.1]>"), S("a"), S("[127.0.0.1]"), S("[127.0.0.1]"), S(""), S("a@[127.0.0.1]") },
		{ 0, S("<a@[ipv6:2001:DB8:0::1]>"), S("a"), S("[IPv6:2001:db8::1]"), S("[IPv6:2001:db8::1]"), S(""),
		  S("a@[IPv6:2001:db8::1]") },
		{ 0, S("<a@b\xc3\xbc" "cher.example>"), S("a"), S("xn--bcher-kva.example"), S("b\xc3\xbc" "cher.example"), S(""),
		  S("a@xn--bcher-kva.example") },
		{ 0, S("<a@XN--bcher-KVA.example>"), S("a"), S("xn--bcher-kva.example"), S("XN--bcher-KVA.example"), S(""),
		  S("a@xn--bcher-kva.example") },
		{ 0, S("<a@B\xc3\x9c" "CHER.example>"), S("a"), S("xn--bcher-kva.example"), S("B\xc3\x9c" "CHER.example"), S(""),
		  S("a@xn--bcher-kva.example") },
		{ 0, S("<a@stra\xc3\x9f" "e.example>"), S("a"), S("xn--strae-oqa.example"), S("stra\xc3\x9f" "e.example"), S(""),
		  S("a@xn--strae-oqa.example") },
		{ 0, S("<\xe7\x94\xa8\xe6\x88\xb7@b>"), S("\xe7\x94\xa8\xe6\x88\xb7"), S("b"), S("b"), S(""),
		  S("\xe7\x94\xa8\xe6\x88\xb7@b") },
		{ 0, S("<\"a b\\\"\\\\\"@c>"), S("a b\"\\"), S("c"), S("c"), S(""), S("\"a b\\\"\\\\\"@c") },
		{ 0, S("<\"alice\"@c>"), S("alice"), S("c"), S("c"), S(""), S("alice@c") },
		{ 0, S("<a..b.@c>"), S("a..b."), S("c"), S("c"), S(""), S("\"a..b.\"@c") },
		{ 0, S("<\">\"@c>"), S(">"), S("c"), S("c"), S(""), S("\">\"@c") },
		{ 0, S("<user+tag@c_d.e-f>"), S("user+tag"), S("c_d.e-f"), S("c_d.e-f"), S(""), S("user+tag@c_d.e-f") },
		{ 0, S("<postmaster>"), S("postmaster"), S(""), S(""), S(""), S("postmaster") },
		{ 0, S("<PostMaster>"), S("PostMaster"), S(""), S(""), S(""), S("PostMaster") },
		{ ADDRESS_ALLOW_NO_DOMAIN, S("<root>"), S("root"), S(""), S(""), S(""), S("root") },
		{ ADDRESS_ALLOW_NULL, S("<> BODY=8BITMIME"), S(""), S(""), S(""), S(" BODY=8BITMIME"), S("") },
		{ ADDRESS_LENIENT, S(" a@b SIZE=1"), S("a"), S("b"), S("b"), S(" SIZE=1"), S("a@b") },
		{ ADDRESS_LENIENT, S("  < a@b > SIZE=1"), S("a"), S("b"), S("b"), S(" SIZE=1"), S("a@b") },
		{ ADDRESS_LENIENT, S("a@b"), S("a"), S("b"), S("b"), S(""), S("a@b") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct address addr;
		struct buf b;
		char *copy = malloc(cases[i].in.len);
		memcpy(copy, cases[i].in.p, cases[i].in.len);
		struct sv in = { copy, cases[i].in.len };
		arena_init(&a, 4096);
		buf_init(&b, 1000);
		struct fault f = address_parse_path(&a, &in, cases[i].flags, &addr);
		if (f.kind)
			fail_msg("'%.*s': %s", SV_FMT(cases[i].in), f.detail);
		assert_sv(in, cases[i].rest, cases[i].in);
		free(copy);
		assert_sv(addr.local, cases[i].local, cases[i].in);
		assert_sv(addr.domain, cases[i].domain, cases[i].in);
		assert_sv(addr.domain_given, cases[i].given, cases[i].in);
		assert_int_equal(addr.is_literal, sv_starts(addr.domain, SV("[")));
		assert_int_equal(addr.is_utf8, sv_has_8bit(cases[i].local));
		assert_int_equal(addr.is_utf8_domain, sv_has_8bit(cases[i].given));
		assert_true(address_append(&b, &addr, ADDRESS_ASCII_DOMAIN));
		assert_sv(buf_sv(&b), cases[i].written, cases[i].in);
		if (addr.domain.len) {  /* what is written is read back as the same address */
			struct address again;
			f = address_parse(&a, buf_sv(&b), &again);
			assert_int_equal(f.kind, FAULT_NONE);
			assert_true(address_eq(&addr, &again));
		}
		buf_done(&b);
		arena_done(&a);
	}
}

static void bad_paths_are_refused_and_leave_the_input_alone(void **state)
{
	static const struct { unsigned flags; struct sv in; enum fault_kind kind; } cases[] = {
		{ 0, S("<\"\"@us>"), FAULT_INVALID },
		{ 0, S("<@us>"), FAULT_INVALID },
		{ 0, S("<a@>"), FAULT_INVALID },
		{ 0, S("<a@b@us>"), FAULT_INVALID },
		{ 0, S("<a>"), FAULT_INVALID },
		{ 0, S("<b!a>"), FAULT_INVALID },
		{ 0, S("<>"), FAULT_INVALID },
		{ 0, S("<"), FAULT_INVALID },
		{ 0, S(""), FAULT_INVALID },
		{ 0, S("a@b"), FAULT_INVALID },
		{ 0, S(" <a@b>"), FAULT_INVALID },
		{ 0, S("< a@b>"), FAULT_INVALID },
		{ 0, S("<a@b>SIZE=1"), FAULT_INVALID },
		{ 0, S("<a@b"), FAULT_INVALID },
		{ 0, S("<a b@c>"), FAULT_INVALID },
		{ 0, S("<group: a@b;>"), FAULT_INVALID },
		{ 0, S("<a@b (comment)>"), FAULT_INVALID },
		{ 0, S("<a(c)@b>"), FAULT_INVALID },
		{ 0, S("<@a:@b:c@d>"), FAULT_INVALID },
		{ 0, S("<@a@b:c@d>"), FAULT_INVALID },
		{ 0, S("<@:c@d>"), FAULT_INVALID },
		{ 0, S("<a@.b>"), FAULT_INVALID },
		{ 0, S("<a@b..c>"), FAULT_INVALID },
		{ 0, S("<a@b..>"), FAULT_INVALID },
		{ 0, S("<a@.>"), FAULT_INVALID },
		{ 0, S("<a@-b>"), FAULT_INVALID },
		{ 0, S("<a@b->"), FAULT_INVALID },
		{ 0, S("<a@b-.c>"), FAULT_INVALID },
		{ 0, S("<a@b/c>"), FAULT_INVALID },
		{ 0, S("<a@[1.2.3]>"), FAULT_INVALID },
		{ 0, S("<a@[1.2.3.256]>"), FAULT_INVALID },
		{ 0, S("<a@[01.2.3.4]>"), FAULT_INVALID },
		{ 0, S("<a@[IPv6:::g]>"), FAULT_INVALID },
		{ 0, S("<a@[x-tag:stuff]>"), FAULT_INVALID },
		{ 0, S("<a@[]>"), FAULT_INVALID },
		{ 0, S("<a@[1.2.3.4>"), FAULT_INVALID },
		{ 0, S("<a@[1.2.3.4\0]>"), FAULT_INVALID },
		{ 0, S("<a\0@b>"), FAULT_INVALID },
		{ 0, S("<a@b\0>"), FAULT_INVALID },
		{ 0, S("<a@\xc3\xbc\0>"), FAULT_INVALID },
		{ 0, S("<\"a\0\"@b>"), FAULT_INVALID },
		{ 0, S("<\"a\r\nb\"@b>"), FAULT_INVALID },
		{ 0, S("<\"a\\"), FAULT_INVALID },
		{ 0, S("<\"a"), FAULT_INVALID },
		{ 0, S("<a\xff@b>"), FAULT_INVALID },
		{ 0, S("<a@b\xff>"), FAULT_INVALID },
		{ 0, S("<a@xn--\xc3\xbc>"), FAULT_INVALID },
		{ 0, S("<1234567890123456789012345678901234567890123456789012345678901234" "5@b>"), FAULT_LIMIT },
		{ 0, S("<a@1234567890123456789012345678901234567890123456789012345678901234>"), FAULT_INVALID },
		{ ADDRESS_LENIENT, S("a@b,c@d"), FAULT_INVALID },
		{ ADDRESS_LENIENT, S("<a@b"), FAULT_INVALID },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct address addr;
		char *copy = malloc(cases[i].in.len ? cases[i].in.len : 1);
		memcpy(copy, cases[i].in.p, cases[i].in.len);
		struct sv in = { copy, cases[i].in.len };
		arena_init(&a, 4096);
		struct fault f = address_parse_path(&a, &in, cases[i].flags, &addr);
		if (f.kind != cases[i].kind)
			fail_msg("'%.*s': %s (%s)", SV_FMT(cases[i].in), fault_name(f.kind), f.detail ? f.detail : "");
		assert_ptr_equal(in.p, copy);
		assert_int_equal(in.len, cases[i].in.len);
		arena_done(&a);
		free(copy);
	}
}

static void lengths_are_those_of_rfc_5321(void **state)
{
	char text[600];
	(void)state;
	for (int local = 63; local <= 65; local++)
		for (int labels = 1; labels <= 70; labels++) {
			int n = snprintf(text, sizeof(text), "<%.*s@", local,
					 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
			for (int i = 0; i < labels; i++)
				n += snprintf(text + n, sizeof(text) - (size_t)n, "%sabc", i ? "." : "");
			n += snprintf(text + n, sizeof(text) - (size_t)n, ">");
			struct arena a;
			struct address addr;
			struct sv in = { text, (size_t)n };
			arena_init(&a, 4096);
			enum fault_kind want = local > 64 || n > 256 ? FAULT_LIMIT : FAULT_NONE;
			assert_int_equal(address_parse_path(&a, &in, 0, &addr).kind, want);
			arena_done(&a);
		}
}

static void an_arena_that_is_used_up_is_a_limit_and_no_crash(void **state)
{
	(void)state;
	for (size_t max = 0; max < 200; max += 16) {
		struct arena a;
		struct address addr;
		struct sv in = SV("<alice@b\xc3\xbc" "cher.example>");
		arena_init(&a, max);
		struct fault f = address_parse_path(&a, &in, 0, &addr);
		assert_true(f.kind == FAULT_LIMIT || f.kind == FAULT_NONE || f.kind == FAULT_INVALID);
		arena_done(&a);
	}
}

static void whole_texts_and_tags(void **state)
{
	struct arena a;
	struct address addr;
	struct sv user, tag;
	(void)state;
	arena_init(&a, 4096);
	assert_int_equal(address_parse(&a, SV(" alice@Example.test\t"), &addr).kind, FAULT_NONE);
	assert_sv(addr.domain, SV("example.test"), SV(""));
	assert_int_equal(address_parse(&a, SV("<alice@example.test>"), &addr).kind, FAULT_NONE);
	assert_int_equal(address_parse(&a, SV("alice@example.test bob"), &addr).kind, FAULT_INVALID);
	assert_int_equal(address_parse(&a, SV("alice"), &addr).kind, FAULT_INVALID);
	assert_int_equal(address_parse(&a, SV("postmaster"), &addr).kind, FAULT_INVALID);
	assert_int_equal(address_parse(&a, SV(""), &addr).kind, FAULT_INVALID);
	assert_true(address_split_tag(SV("alice+a+b"), '+', &user, &tag));
	assert_sv(user, SV("alice"), SV(""));
	assert_sv(tag, SV("a+b"), SV(""));
	assert_true(address_split_tag(SV("alice+"), '+', &user, &tag));
	assert_sv(user, SV("alice"), SV(""));
	assert_sv(tag, SV(""), SV(""));
	assert_false(address_split_tag(SV("+alice"), '+', &user, &tag));
	assert_sv(user, SV("+alice"), SV(""));
	assert_false(address_split_tag(SV(""), '+', &user, &tag));
	arena_done(&a);
}

/* ---- lists ---- */

/* One line per item: M name|route|mailbox|host; G name; E. An absent view is ~. */
static void describe(struct sv value, struct buf *out)
{
	struct address_list l;
	struct address_item item;
	char *copy = malloc(value.len ? value.len : 1);

	memcpy(copy, value.p ? value.p : "", value.len);
	address_list_init(&l, sv_from(copy, value.len));
	while (address_list_next(&l, &item)) {
		const struct sv parts[] = { item.name, item.route, item.mailbox, item.host };
		if (out->len)
			assert_true(buf_append_c(out, '\n'));
		switch (item.kind) {
		case ADDRESS_ITEM_NONE:
			fail_msg("an item of no kind");
			break;
		case ADDRESS_ITEM_GROUP_END:
			assert_true(buf_append_c(out, 'E'));
			break;
		case ADDRESS_ITEM_GROUP_START:
			assert_true(buf_append(out, SV("G ")) && buf_append(out, item.name));
			break;
		case ADDRESS_ITEM_MAILBOX:
			assert_true(buf_append(out, SV("M ")));
			for (size_t i = 0; i < 4; i++) {
				assert_true(!i || buf_append_c(out, '|'));
				assert_true(parts[i].p ? buf_append(out, parts[i]) : buf_append_c(out, '~'));
			}
			break;
		}
	}
	address_list_done(&l);
	free(copy);
}

static void lists_are_read_as_people_write_them(void **state)
{
	static const struct { struct sv in, out; } cases[] = {
		{ S(""), S("") },
		{ S(" , ,, "), S("") },
		{ S("a@b"), S("M ~|~|a|b") },
		{ S("a@b, c@d"), S("M ~|~|a|b\nM ~|~|c|d") },
		{ S("John Doe <jdoe@machine.example>"), S("M John Doe|~|jdoe|machine.example") },
		{ S("\"Joe Q. Public\" <john.q.public@example.com>"), S("M Joe Q. Public|~|john.q.public|example.com") },
		{ S("Joe Q. Public <john.q.public@example.com>"), S("M Joe Q. Public|~|john.q.public|example.com") },
		{ S("\"Giant; \\\"Big\\\" Box\" <sysservices@example.net>"),
		  S("M Giant; \"Big\" Box|~|sysservices|example.net") },
		/* RFC 5322 A.1.3 and A.5 */
		{ S("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;"),
		  S("G A Group\nM Ed Jones|~|c|a.test\nM ~|~|joe|where.test\nM John|~|jdoe|one.test\nE") },
		{ S("Undisclosed recipients:;"), S("G Undisclosed recipients\nE") },
		{ S("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;"), S("G Hidden recipients\nE") },
		{ S("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"), S("M Pete|~|pete|silly.test") },
		{ S("A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
		    "         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)"),
		  S("G A Group\nM Chris Jones|~|c|public.example\nM ~|~|joe|example.org\nM John|~|jdoe|one.test\nE") },
		/* A.6.1: obsolete */
		{ S("Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example"),
		  S("M Mary Smith|@node.test|mary|example.net\nM ~|~|jdoe|test.example") },
		{ S("<@a,@b.c:d@e>"), S("M ~|@a,@b.c|d|e") },
		{ S("a . b @ c . d"), S("M ~|~|a.b|c.d") },
		{ S("J . Doe <a@b>"), S("M J . Doe|~|a|b") },
		/* the name in a comment */
		{ S("jdoe@example.org (John Doe)"), S("M John Doe|~|jdoe|example.org") },
		{ S("jdoe@example.org (John (Jack) \\(x\\) Doe )"), S("M John (Jack) (x) Doe|~|jdoe|example.org") },
		{ S("<a@b> (c)"), S("M c|~|a|b") },
		{ S("(c) a@b, d@e"), S("M c|~|a|b\nM ~|~|d|e") },
		{ S("(c), d@e"), S("M ~|~|d|e") },
		/* wrong, and seen every day */
		{ S("root"), S("M ~|~|root|") },
		{ S("John Doe"), S("M ~|~|John Doe|") },
		{ S("a@b <c@d>"), S("M a@b|~|c|d") },
		{ S("John Doe a@b"), S("M John Doe|~|a|b") },
		{ S("a@b c"), S("M ~|~|a|b") },
		{ S("a@b c@d"), S("M a@b|~|c|d") },
		{ S("<a@b"), S("M ~|~|a|b") },
		{ S("<a@b, c@d"), S("M ~|~|a|b\nM ~|~|c|d") },
		{ S("a@b>"), S("M ~|~|a|b>") },
		{ S("MAILER-DAEMON <>"), S("M MAILER-DAEMON|~||") },
		{ S("<<a@b>>"), S("M ~|~|<a|b") },
		{ S("\"a@b"), S("M ~|~|a@b|") },
		{ S("a@b; c@d"), S("M ~|~|a|b\nM ~|~|c|d") },
		{ S("a@b:c"), S("M ~|~|a|b:c") },
		{ S("g: h: a@b; c@d"), S("G g\nM h:|~|a|b\nE\nM ~|~|c|d") },
		{ S("g: a@b"), S("G g\nM ~|~|a|b\nE") },
		{ S(":;"), S("G \nE") },
		{ S("@"), S("M ~|~||") },
		{ S("@b"), S("M ~|~||b") },
		{ S("a@"), S("M ~|~|a|") },
		{ S("a@b@c"), S("M ~|~|a@b|c") },
		{ S("\"a@b\"@c"), S("M ~|~|a@b|c") },
		{ S("\"a b\"@c"), S("M ~|~|a b|c") },
		{ S("x \"a b\"@c"), S("M x|~|a b|c") },
		{ S("a@[1.2.3.4]"), S("M ~|~|a|[1.2.3.4]") },
		{ S("<a@[IPv6:::1]>"), S("M ~|~|a|[IPv6:::1]") },
		{ S("a@[x,b@c"), S("M ~|~|a|[x\nM ~|~|b|c") },
		{ S("(unended a@b"), S("") },
		{ S("x (unended a@b"), S("M unended a@b|~|x|") },
		{ S("<a@b> junk \"q,\" more, c@d"), S("M ~|~|a|b\nM ~|~|c|d") },
		{ S("a\0b@c\0"), S("M ~|~|ab|c") },
		{ S("=?utf-8?q?J=C3=B6rg?= <j@x>, J\xc3\xb6rg <j@y>"),
		  S("M =?utf-8?q?J=C3=B6rg?=|~|j|x\nM J\xc3\xb6rg|~|j|y") },
		{ S("\"a\r\n b\" <c@d>"), S("M a b|~|c|d") },
		{ S("\"\" <c@d>"), S("M ~|~|c|d") },
		{ S("\\"), S("M ~|~|\\|") },
		{ S("\"\\"), S("M ~|~|\\|") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b;
		buf_init(&b, 10000);
		describe(cases[i].in, &b);
		assert_sv(buf_sv(&b), cases[i].out, cases[i].in);
		for (size_t n = 0; n < cases[i].in.len; n++) {  /* every prefix is harmless */
			buf_clear(&b);
			describe(sv_sub(cases[i].in, 0, n), &b);
		}
		buf_done(&b);
	}
}

static void a_list_ends_at_the_cap(void **state)
{
	struct address_list l;
	struct address_item item;
	struct buf b;
	size_t count = 0;
	(void)state;
	buf_init(&b, 1 << 20);
	assert_true(buf_append(&b, SV("g:")));
	for (int i = 0; i < ADDRESS_LIST_MAX + 10; i++)
		assert_true(buf_append(&b, SV("a@b,")));
	address_list_init(&l, buf_sv(&b));
	assert_true(address_list_next(&l, &item));
	while (address_list_next(&l, &item) && item.kind == ADDRESS_ITEM_MAILBOX)
		count++;
	assert_int_equal(count, ADDRESS_LIST_MAX);
	assert_true(l.is_capped);
	assert_int_equal(item.kind, ADDRESS_ITEM_GROUP_END);
	assert_false(address_list_next(&l, &item));
	address_list_done(&l);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_parsed_once_into_local_part_and_domain),
		cmocka_unit_test(bad_paths_are_refused_and_leave_the_input_alone),
		cmocka_unit_test(lengths_are_those_of_rfc_5321),
		cmocka_unit_test(an_arena_that_is_used_up_is_a_limit_and_no_crash),
		cmocka_unit_test(whole_texts_and_tags),
		cmocka_unit_test(lists_are_read_as_people_write_them),
		cmocka_unit_test(a_list_ends_at_the_cap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
