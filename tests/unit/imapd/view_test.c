/* Sequence numbers and UIDs: what a client is told, and what a set means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/view.h"

static struct view view_of(const char *set)
{
	struct view v = { 0 };
	struct uidset uids = { 0 };

	if (*set)
		assert_int_equal(uidset_parse(sv_z(set), 0, &uids), SET_OK);
	view_set(&v, &uids, 7);
	return v;
}

static void assert_set(const struct uidset *set, const char *want)
{
	struct buf out = { .max = 1000 };

	assert_true(uidset_write(set, &out));
	assert_string_equal(buf_z(&out), want);
	buf_done(&out);
}

static void sets_mean_members_of_the_mailbox(void **state)
{
	static const struct { const char *uids, *set; enum set_kind kind; enum set_result result; const char *want; } cases[] = {
		{ "10:12,20,30:40", "1:3", SET_NUMBERS, SET_OK, "10:12" },
		{ "10:12,20,30:40", "4", SET_NUMBERS, SET_OK, "20" },
		{ "10:12,20,30:40", "3:5", SET_NUMBERS, SET_OK, "12,20,30" },
		{ "10:12,20,30:40", "5:3,1", SET_NUMBERS, SET_OK, "10,12,20,30" },
		{ "10:12,20,30:40", "*", SET_NUMBERS, SET_OK, "40" },
		{ "10:12,20,30:40", "*:14", SET_NUMBERS, SET_OK, "39:40" },
		{ "10:12,20,30:40", "16:*", SET_NUMBERS, SET_OK, "40" },
		{ "10:12,20,30:40", "16", SET_NUMBERS, SET_BAD, "" },
		{ "10:12,20,30:40", "15:16", SET_NUMBERS, SET_BAD, "" },
		{ "10:12,20,30:40", "15:16", SET_NUMBERS_ANY, SET_OK, "40" },
		{ "10:12,20,30:40", "1:4294967295", SET_UIDS, SET_OK, "10:12,20,30:40" },
		{ "10:12,20,30:40", "11:25", SET_UIDS, SET_OK, "11:12,20" },
		{ "10:12,20,30:40", "13:19", SET_UIDS, SET_OK, "" },
		{ "10:12,20,30:40", "41:*", SET_UIDS, SET_OK, "40" },
		{ "10:12,20,30:40", "*:1", SET_UIDS, SET_OK, "10:12,20,30:40" },
		{ "10:12,20,30:40", "*,10", SET_UIDS, SET_OK, "10,40" },
		{ "10:12,20,30:40", "*:*", SET_UIDS, SET_OK, "40" },
		{ "", "1:*", SET_NUMBERS, SET_OK, "" },
		{ "", "*", SET_NUMBERS, SET_OK, "" },
		{ "", "1", SET_NUMBERS, SET_BAD, "" },
		{ "", "5:*", SET_UIDS, SET_OK, "" },
		{ "1:9", "", SET_UIDS, SET_BAD, "" },
		{ "1:9", "0", SET_UIDS, SET_BAD, "" },
		{ "1:9", "01", SET_UIDS, SET_BAD, "" },
		{ "1:9", "1,", SET_UIDS, SET_BAD, "" },
		{ "1:9", ",1", SET_UIDS, SET_BAD, "" },
		{ "1:9", "1::2", SET_UIDS, SET_BAD, "" },
		{ "1:9", "1:", SET_UIDS, SET_BAD, "" },
		{ "1:9", "1:2:3", SET_UIDS, SET_BAD, "" },
		{ "1:9", "4294967296", SET_UIDS, SET_BAD, "" },
		{ "1:9", "99999999999999999999999", SET_UIDS, SET_BAD, "" },
		{ "1:9", "1 2", SET_UIDS, SET_BAD, "" },
		{ "1:9", "-1", SET_UIDS, SET_BAD, "" },
		{ "1:9", "a", SET_UIDS, SET_BAD, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct view v = view_of(cases[i].uids);
		struct uidset out = { 0 };

		if (view_resolve(&v, sv_z(cases[i].set), cases[i].kind, &out) != cases[i].result)
			fail_msg("case %zu: %s", i, cases[i].set);
		if (cases[i].result == SET_OK)
			assert_set(&out, cases[i].want);
		uidset_done(&out);
		view_done(&v);
	}
}

static void a_cursor_counts_as_a_client_does(void **state)
{
	struct view v = view_of("3,5:7,100,4294967295");
	struct view_cursor c = view_cursor(&v);

	(void)state;
	assert_int_equal(view_cursor_seq(&c, 1), 0);
	assert_int_equal(view_cursor_seq(&c, 3), 1);
	assert_int_equal(view_cursor_seq(&c, 4), 0);
	assert_int_equal(view_cursor_seq(&c, 6), 3);
	assert_int_equal(view_cursor_seq(&c, 6), 3);
	assert_int_equal(view_cursor_seq(&c, 7), 4);
	assert_int_equal(view_cursor_seq(&c, 100), 5);
	assert_int_equal(view_cursor_seq(&c, 101), 0);
	assert_int_equal(view_cursor_seq(&c, UINT32_MAX), 6);
	view_done(&v);
}

struct told {
	struct buf text;
};

static void tell(void *arg, uint32_t seq, uint32_t uid)
{
	struct told *t = arg;

	buf_appendf(&t->text, "%u=%u ", seq, uid);
}

static void lost_messages_keep_their_numbers_until_they_are_told(void **state)
{
	struct view v = view_of("10:19");
	struct told t = { { .max = 1000 } };

	(void)state;
	assert_true(view_lose(&v, 12, 7));
	assert_true(view_lose(&v, 13, 7));
	assert_true(view_lose(&v, 18, 7));
	assert_false(view_lose(&v, 9, 7));
	assert_int_equal(uidset_rank(&v.uids, 19), 10);
	assert_int_equal(v.count, 10);
	/* highest first: each number is right when it is told */
	assert_int_equal(view_expunge(&v, 2, tell, &t), 2);
	assert_string_equal(buf_z(&t.text), "9=18 4=13 ");
	assert_int_equal(view_expunge(&v, 2, tell, &t), 1);
	assert_string_equal(buf_z(&t.text), "9=18 4=13 3=12 ");
	assert_int_equal(view_expunge(&v, 2, tell, &t), 0);
	assert_int_equal(v.count, 7);
	assert_int_equal(v.told, 7);
	assert_set(&v.uids, "10:11,14:17,19");
	buf_done(&t.text);
	view_done(&v);
}

static void a_message_that_came_and_went_untold_is_not_mentioned(void **state)
{
	struct view v = view_of("1:3");
	struct told t = { { .max = 1000 } };

	(void)state;
	assert_true(view_add(&v, 4));
	assert_true(view_add(&v, 6));
	assert_false(view_add(&v, 5));
	assert_true(view_lose(&v, 4, 7));
	assert_true(view_lose(&v, 2, 7));
	assert_int_equal(view_expunge(&v, 10, tell, &t), 2);
	assert_string_equal(buf_z(&t.text), "2=2 ");
	assert_int_equal(v.told, 2);
	assert_int_equal(v.count, 3);
	assert_set(&v.uids, "1,3,6");
	buf_done(&t.text);
	view_done(&v);
}

static void a_large_expunge_is_told_in_pieces_of_one_range(void **state)
{
	struct view v = view_of("1:10000");
	struct told t = { { .max = 1 << 20 } };
	size_t n, total = 0;

	(void)state;
	for (uint32_t uid = 1; uid <= 10000; uid++)
		view_lose(&v, uid, 7);
	while ((n = view_expunge(&v, 300, tell, &t)) == 300)
		total += n;
	assert_int_equal(total + n, 10000);
	assert_int_equal(v.count, 0);
	assert_int_equal(v.told, 0);
	assert_int_equal(v.uids.count, 0);
	buf_done(&t.text);
	view_done(&v);
}

static void sets_are_subtracted(void **state)
{
	static const struct { const char *from, *what, *left; } cases[] = {
		{ "1:10", "3:4,7", "1:2,5:6,8:10" }, { "1:10", "1:10", "" }, { "5", "1:4,6", "5" },
		{ "1:3,8:9", "2:8", "1,9" }, { "4294967290:4294967295", "4294967295", "4294967290:4294967294" },
		{ "2,4,6", "1:3,5:9", "4" }, { "1:100", "50:200", "1:49" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct uidset a = { 0 }, b = { 0 };
		struct buf text;

		buf_init(&text, 1000);
		assert_int_equal(uidset_parse(sv_z(cases[i].from), 0, &a), SET_OK);
		assert_int_equal(uidset_parse(sv_z(cases[i].what), 0, &b), SET_OK);
		uidset_subtract(&a, &b);
		assert_true(uidset_write(&a, &text));
		assert_string_equal(buf_z(&text), cases[i].left);
		uidset_done(&a);
		uidset_done(&b);
		buf_done(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_mean_members_of_the_mailbox),
		cmocka_unit_test(sets_are_subtracted),
		cmocka_unit_test(a_cursor_counts_as_a_client_does),
		cmocka_unit_test(lost_messages_keep_their_numbers_until_they_are_told),
		cmocka_unit_test(a_message_that_came_and_went_untold_is_not_mentioned),
		cmocka_unit_test(a_large_expunge_is_told_in_pieces_of_one_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
