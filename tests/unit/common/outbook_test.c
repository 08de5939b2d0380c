/* The outbook: who is sent nothing, whose mail waits, how much was sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/outbook.h"

#define DAY 86400

static char folder[] = "/tmp/outbook-test-XXXXXX";
static struct outbook *book;

static int begin(void **state)
{
	char path[64];

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/outbook-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/book", folder);
	assert_int_equal(outbook_open(path, false, &book).kind, FAULT_NOT_FOUND);
	assert_int_equal(outbook_open(path, true, &book).kind, FAULT_NONE);
	return 0;
}

static int end(void **state)
{
	char path[64];

	(void)state;
	outbook_close(&book);
	snprintf(path, sizeof(path), "%s/book/data.mdb", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/book/lock.mdb", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/book", folder);
	rmdir(path);
	rmdir(folder);
	return 0;
}

static bool is_suppressed(const char *address, int64_t now_s)
{
	return outbook_is_suppressed(book, sv_z(address), 2, now_s, NULL);
}

static void bounces_suppress_until_a_delivery_or_for_ninety_days(void **state)
{
	struct buf why;

	(void)state;
	assert_int_equal(outbook_bounced(book, SV("A@x.example"), SV("550 5.1.1 no"), 2, 1000).kind, FAULT_NONE);
	assert_false(is_suppressed("a@x.example", 1000));
	outbook_delivered(book, SV("a@X.example"));
	assert_int_equal(outbook_bounced(book, SV("a@x.example"), SV("550 5.1.1 no"), 2, 2000).kind, FAULT_NONE);
	assert_false(is_suppressed("a@x.example", 2000));
	assert_int_equal(outbook_bounced(book, SV("a@x.example"), SV("550 5.1.1 never"), 2, 3000).kind, FAULT_NONE);
	buf_init(&why, 400);
	assert_true(outbook_is_suppressed(book, SV("a@x.example"), 2, 3000, &why));
	assert_true(sv_eq(buf_sv(&why), SV("550 5.1.1 never")));
	buf_done(&why);
	assert_true(is_suppressed("a@x.example", 3000 + 90 * DAY));
	assert_false(is_suppressed("a@x.example", 3001 + 90 * DAY));
	outbook_tidy(book, 3001 + 90 * DAY);
	assert_int_equal(outbook_allow(book, SV("a@x.example")).kind, FAULT_NOT_FOUND);
}

static void an_administrators_word_stays(void **state)
{
	(void)state;
	assert_int_equal(outbook_suppress(book, SV("b@x.example"), SV("by letter"), 1000).kind, FAULT_NONE);
	outbook_delivered(book, SV("b@x.example"));
	outbook_tidy(book, 1000 * DAY);
	assert_true(is_suppressed("b@x.example", 1000 * DAY));
	assert_int_equal(outbook_allow(book, SV("B@x.example")).kind, FAULT_NONE);
	assert_false(is_suppressed("b@x.example", 1000));
}

static void rules_are_for_addresses_and_for_domains(void **state)
{
	(void)state;
	assert_false(outbook_has_rules(book));
	assert_int_equal(outbook_hold(book, OUTBOOK_USER, SV("a@x.example"), SV("why"), 1).kind, FAULT_NONE);
	assert_int_equal(outbook_hold(book, OUTBOOK_USER, SV("A@x.example"), SV("why"), 1).kind, FAULT_EXISTS);
	assert_int_equal(outbook_hold(book, OUTBOOK_TO, SV("@y.example"), SV("why"), 1).kind, FAULT_NONE);
	assert_true(outbook_has_rules(book) && outbook_is_held(book, OUTBOOK_USER, SV("a@X.example")));
	assert_true(outbook_is_held(book, OUTBOOK_TO, SV("b@y.example")));
	assert_false(outbook_is_held(book, OUTBOOK_FROM, SV("b@y.example")) || outbook_is_held(book, OUTBOOK_TO, SV("a@x.example")) ||
		     outbook_is_held(book, OUTBOOK_FROM, SV_NONE));
	assert_int_equal(outbook_unhold(book, OUTBOOK_USER, SV("a@x.example")).kind, FAULT_NONE);
	assert_int_equal(outbook_unhold(book, OUTBOOK_USER, SV("a@x.example")).kind, FAULT_NOT_FOUND);
	assert_false(outbook_is_held(book, OUTBOOK_USER, SV("a@x.example")));
}

static void what_a_host_said_of_a_name_is_remembered_for_a_time(void **state)
{
	const int64_t now = 1000 * DAY;
	bool is_known = false;
	int64_t at_s = 0;

	(void)state;
	assert_false(outbook_asked(book, SV("a@x.example"), &is_known, &at_s));
	assert_int_equal(outbook_note_asked(book, SV("A@x.example"), true, now).kind, FAULT_NONE);
	assert_int_equal(outbook_note_asked(book, SV("b@x.example"), false, now).kind, FAULT_NONE);
	assert_true(outbook_asked(book, SV("a@X.example"), &is_known, &at_s) && is_known && at_s == now);
	assert_true(outbook_asked(book, SV("b@x.example"), &is_known, &at_s) && !is_known);
	assert_int_equal(outbook_note_asked(book, SV("b@x.example"), true, now + 5).kind, FAULT_NONE);
	assert_int_equal(outbook_note_asked(book, SV("c@x.example"), false, now).kind, FAULT_NONE);
	outbook_tidy(book, now + 2 * DAY);
	assert_true(outbook_asked(book, SV("b@x.example"), &is_known, &at_s) && is_known && at_s == now + 5);
	assert_false(outbook_asked(book, SV("c@x.example"), &is_known, &at_s));
	outbook_tidy(book, now + 8 * DAY);
	assert_false(outbook_asked(book, SV("a@x.example"), &is_known, &at_s));
}

static void names_that_strangers_invent_push_nobody_out(void **state)
{
	const int64_t now = 1000 * DAY;
	bool is_known = false;
	int64_t at_s = 0;
	char name[40];

	(void)state;
	outbook_set_asked_max(book, 20);
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "member%d@full.example", i);
		assert_int_equal(outbook_note_asked(book, sv_z(name), true, now).kind, FAULT_NONE);
	}
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "guess%d@full.example", i);
		assert_int_equal(outbook_note_asked(book, sv_z(name), false, now).kind, FAULT_NONE);
		assert_true(outbook_asked(book, sv_z(name), &is_known, &at_s) && !is_known);
	}
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "member%d@full.example", i);
		if (i >= 12)
			assert_int_equal(outbook_note_asked(book, sv_z(name), true, now).kind, FAULT_NONE);
		assert_true(outbook_asked(book, sv_z(name), &is_known, &at_s) && is_known);
	}
	assert_int_equal(outbook_note_asked(book, SV("one.more@full.example"), false, now).kind, FAULT_LIMIT);
	assert_int_equal(outbook_note_asked(book, SV("member3@full.example"), true, now + 1).kind, FAULT_NONE);
	outbook_set_asked_max(book, OUTBOOK_ASKED_MAX);
	outbook_tidy(book, now + 30 * DAY);
}

static void what_an_account_sends_is_counted_by_windows(void **state)
{
	static const struct sv first[] = { SV_INIT("a@x.example"), SV_INIT("b@x.example") }, then[] = { SV_INIT("B@x.example") };
	const int64_t now = 1000 * DAY;
	struct outbook_sent s;

	(void)state;
	assert_int_equal(outbook_count(book, SV("me@z.example"), first, 2, now).kind, FAULT_NONE);
	assert_int_equal(outbook_count(book, SV("Me@z.example"), then, 1, now + 30).kind, FAULT_NONE);
	assert_int_equal(outbook_count(book, SV("other@z.example"), then, 1, now + 30).kind, FAULT_NONE);
	s = outbook_sent(book, SV("me@z.example"), now + 30);
	assert_true(s.minute == 2 && s.hour == 2 && s.day == 3 && s.fresh == 2);
	s = outbook_sent(book, SV("me@z.example"), now + 60);
	assert_true(!s.minute && s.hour == 2 && s.day == 3);
	s = outbook_sent(book, SV("me@z.example"), now + DAY);
	assert_true(!s.minute && !s.hour && !s.day && !s.fresh);
	s = outbook_sent(book, SV("nobody@z.example"), now);
	assert_true(!s.minute && !s.hour && !s.day && !s.fresh);
	outbook_tidy(book, now + 200 * DAY);
	assert_int_equal(outbook_count(book, SV("me@z.example"), then, 1, now + 200 * DAY).kind, FAULT_NONE);
	assert_int_equal(outbook_sent(book, SV("me@z.example"), now + 200 * DAY).fresh, 1);
}

static bool count_refusal(void *arg, const struct outbook_refusal *r)
{
	(*(int *)arg)++;
	assert_true(sv_eq(r->address, SV("friend@x.example")));
	return true;
}

static void who_said_no_to_one_sender_gets_mail_of_others(void **state)
{
	struct outbook_refusal r;
	int count = 0;

	(void)state;
	assert_int_equal(outbook_refuse(book, SV("News@example.org"), SV("Friend@x.example"), OUTBOOK_UNSUBSCRIBED, 1000).kind, FAULT_NONE);
	assert_int_equal(outbook_refuse(book, SV("news@example.org"), SV("friend@x.example"), OUTBOOK_COMPLAINED, 2000).kind, FAULT_NONE);
	assert_true(outbook_is_refused(book, SV("news@EXAMPLE.org"), SV("friend@X.example"), &r));
	assert_int_equal(r.no, OUTBOOK_UNSUBSCRIBED);
	assert_int_equal(r.since_s, 1000);
	assert_false(outbook_is_refused(book, SV("alice@example.org"), SV("friend@x.example"), &r));
	assert_false(outbook_is_refused(book, SV("news@example.org"), SV("friends@x.example"), &r));
	assert_false(outbook_is_refused(book, SV(""), SV("friend@x.example"), &r));
	assert_int_equal(outbook_refuse(book, SV("@example.org"), SV("friend@x.example"), OUTBOOK_NO_BY_HAND, 3000).kind, FAULT_NONE);
	assert_true(outbook_is_refused(book, SV("alice@example.org"), SV("friend@x.example"), &r));
	assert_int_equal(outbook_refusals(book, count_refusal, &count).kind, FAULT_NONE);
	assert_int_equal(count, 2);
	assert_int_equal(outbook_welcome(book, SV("@example.org"), SV("friend@x.example")).kind, FAULT_NONE);
	assert_int_equal(outbook_welcome(book, SV("news@example.org"), SV("friend@x.example")).kind, FAULT_NONE);
	assert_int_equal(outbook_welcome(book, SV("news@example.org"), SV("friend@x.example")).kind, FAULT_NOT_FOUND);
	assert_false(outbook_is_refused(book, SV("news@example.org"), SV("friend@x.example"), &r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bounces_suppress_until_a_delivery_or_for_ninety_days, begin, end),
		cmocka_unit_test_setup_teardown(who_said_no_to_one_sender_gets_mail_of_others, begin, end),
		cmocka_unit_test_setup_teardown(an_administrators_word_stays, begin, end),
		cmocka_unit_test_setup_teardown(rules_are_for_addresses_and_for_domains, begin, end),
		cmocka_unit_test_setup_teardown(what_a_host_said_of_a_name_is_remembered_for_a_time, begin, end),
		cmocka_unit_test_setup_teardown(names_that_strangers_invent_push_nobody_out, begin, end),
		cmocka_unit_test_setup_teardown(what_an_account_sends_is_counted_by_windows, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
