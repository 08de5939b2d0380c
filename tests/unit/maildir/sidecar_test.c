/* Sidecars: what is written is read, what is damaged is refused, what is unknown is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/crc32c.h"
#include "maildir/sidecar.h"

static void with_crc(struct buf *b, const char *lines)
{
	buf_init(b, SIDECAR_MAX);
	assert_true(buf_append(b, sv_z(lines)));
	assert_true(buf_appendf(b, "crc %08x\n", crc32c(sv_z(lines))));
}

static void a_mailbox_sidecar_goes_both_ways_and_keeps_unknown_lines(void **state)
{
	struct sidecar_mailbox s;
	struct buf in, out;
	(void)state;
	with_crc(&in, "postroom-mailbox 1\ngeneration 7\nmailbox-id 00000000000000ff\nuidvalidity 9\nuid-ceiling 1001\n"
		 "special-use 2\nkeyword 0 $Forwarded\nkeyword 1 Work\nacl lrs 7f3kq2x0a9b1c8d4 bob@example.test\nacl -w - anyone\nacl alice lrs\nempty\n");
	assert_int_equal(sidecar_mailbox_parse(buf_sv(&in), &s).kind, FAULT_NONE);
	assert_true(s.generation == 7 && s.id == 255 && s.uidvalidity == 9 && s.uid_ceiling == 1001);
	assert_int_equal(s.special_use, USE_SENT);
	assert_int_equal(keyword_find(&s.keywords, SV("WORK")), 1);
	assert_int_equal(keyword_find(&s.keywords, SV("wor")), -1);
	assert_int_equal(s.acl.count, 2);       /* "alice" are no rights: the line is kept and grants nothing */
	buf_init(&out, SIDECAR_MAX);
	assert_int_equal(sidecar_mailbox_write(&s, &out).kind, FAULT_NONE);
	assert_true(sv_eq(buf_sv(&in), buf_sv(&out)));
	sidecar_mailbox_done(&s);
	buf_done(&in);
	buf_done(&out);
}

static void any_changed_or_missing_octet_is_noticed(void **state)
{
	struct sidecar_mailbox s;
	struct buf in;
	(void)state;
	with_crc(&in, "postroom-mailbox 1\ngeneration 7\nmailbox-id ff\nuidvalidity 9\nuid-ceiling 1001\n");
	for (size_t i = 0; i < in.len; i++) {
		in.p[i] ^= 1;
		assert_int_not_equal(sidecar_mailbox_parse(buf_sv(&in), &s).kind, FAULT_NONE);
		in.p[i] ^= 1;
		assert_int_equal(sidecar_mailbox_parse(sv_from(in.p, i), &s).kind, FAULT_CORRUPT);
	}
	buf_done(&in);
}

static void values_that_cannot_be_and_newer_versions_are_refused(void **state)
{
	static const struct { const char *lines; enum fault_kind kind; } cases[] = {
		{ "postroom-mailbox 2\nmailbox-id ff\nuidvalidity 9\n", FAULT_UNSUPPORTED },
		{ "postroom-mailbox 0\nmailbox-id ff\nuidvalidity 9\n", FAULT_CORRUPT },
		{ "postroom-account 1\ngeneration 1\n", FAULT_CORRUPT }, { "postroom-mailbox 1\n", FAULT_CORRUPT },
		{ "postroom-mailbox 1\nmailbox-id 0\nuidvalidity 9\n", FAULT_CORRUPT },
		{ "postroom-mailbox 1\nmailbox-id ff\nuidvalidity x\n", FAULT_CORRUPT },
		{ "postroom-mailbox 1\nmailbox-id ff\nuidvalidity 9\nkeyword 1 a\n", FAULT_CORRUPT },
		{ "postroom-mailbox 1\nmailbox-id ff\nuidvalidity 9\nkeyword 0 a b\n", FAULT_CORRUPT },
		{ "postroom-mailbox 1\nmailbox-id ff\nuidvalidity 9\nkeyword 0 a\nkeyword 1 A\n", FAULT_CORRUPT },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sidecar_mailbox s;
		struct buf in;
		with_crc(&in, cases[i].lines);
		assert_int_equal(sidecar_mailbox_parse(buf_sv(&in), &s).kind, cases[i].kind);
		buf_done(&in);
	}
}

static void an_account_sidecar_carries_a_pending_change(void **state)
{
	struct sidecar_account s = { .generation = 3, .uidvalidity_floor = 5, .modseq_ceiling = 1ull << 50,
				     .pending = PENDING_RENAME, .from = "a b/c", .to = "d" }, back;
	struct buf out;
	(void)state;
	buf_init(&out, SIDECAR_MAX);
	assert_int_equal(sidecar_account_write(&s, &out).kind, FAULT_NONE);
	assert_int_equal(sidecar_account_parse(buf_sv(&out), &back).kind, FAULT_NONE);
	assert_int_equal(back.pending, PENDING_RENAME);
	assert_string_equal(back.from, "a b/c");
	assert_string_equal(back.to, "d");
	assert_true(back.generation == 3 && back.uidvalidity_floor == 5 && back.modseq_ceiling == 1ull << 50);
	sidecar_account_done(&back);
	buf_done(&out);
}

static void subscriptions_are_added_and_taken_away(void **state)
{
	struct sidecar_subscriptions s = { 0 }, back;
	struct buf out;
	(void)state;
	buf_init(&s.unknown, 10);
	assert_true(sidecar_subscribe(&s, SV("a"), true));
	assert_true(sidecar_subscribe(&s, SV("b c/d"), true));
	assert_false(sidecar_subscribe(&s, SV("a"), true));
	assert_true(sidecar_subscribe(&s, SV("a"), false));
	assert_false(sidecar_subscribe(&s, SV("a"), false));
	buf_init(&out, SIDECAR_MAX);
	assert_int_equal(sidecar_subscriptions_write(&s, &out).kind, FAULT_NONE);
	assert_int_equal(sidecar_subscriptions_parse(buf_sv(&out), &back).kind, FAULT_NONE);
	assert_int_equal(back.count, 1);
	assert_string_equal(back.names[0], "b c/d");
	sidecar_subscriptions_done(&s);
	sidecar_subscriptions_done(&back);
	buf_done(&out);
}

static void keywords_are_bounded_atoms(void **state)
{
	struct keyword_names k = { 0 };
	unsigned n;
	char name[80];
	(void)state;
	assert_int_equal(keyword_add(&k, SV("a b"), &n).kind, FAULT_INVALID);
	assert_int_equal(keyword_add(&k, SV(""), &n).kind, FAULT_INVALID);
	assert_int_equal(keyword_add(&k, SV("x]"), &n).kind, FAULT_INVALID);
	memset(name, 'k', sizeof(name));
	assert_int_equal(keyword_add(&k, sv_from(name, KEYWORD_LEN_MAX + 1), &n).kind, FAULT_LIMIT);
	assert_int_equal(keyword_add(&k, sv_from(name, KEYWORD_LEN_MAX), &n).kind, FAULT_NONE);
	for (unsigned i = 1; i < KEYWORDS_MAX; i++) {
		int len = snprintf(name, sizeof(name), "k%u", i);
		assert_int_equal(keyword_add(&k, sv_from(name, (size_t)len), &n).kind, FAULT_NONE);
		assert_int_equal(n, i);
	}
	assert_int_equal(keyword_add(&k, SV("one-more"), &n).kind, FAULT_LIMIT);
	assert_int_equal(keyword_add(&k, SV("K5"), &n).kind, FAULT_NONE);
	assert_int_equal(n, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mailbox_sidecar_goes_both_ways_and_keeps_unknown_lines),
		cmocka_unit_test(any_changed_or_missing_octet_is_noticed),
		cmocka_unit_test(values_that_cannot_be_and_newer_versions_are_refused),
		cmocka_unit_test(an_account_sidecar_carries_a_pending_change),
		cmocka_unit_test(subscriptions_are_added_and_taken_away),
		cmocka_unit_test(keywords_are_bounded_atoms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
