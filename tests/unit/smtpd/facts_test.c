/* What policy learns of a header, whole and cut at every octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/facts.h"

static void read_facts(struct message_facts *f, struct sv text, size_t cut)
{
	facts_init(f);
	facts_feed(f, sv_sub(text, 0, cut));
	facts_feed(f, sv_sub(text, cut, text.len));
	facts_finish(f);
}

static void a_header_tells_the_same_however_it_is_cut(void **state)
{
	struct sv text =
		SV("Received: a\r\nReceived: b\r\n\tc\r\nDelivered-To: list@here.test \r\n"
		   "From: Ann <ann@a.test>,\r\n \"B, B\" <\"b b\"@b.test>\r\nDate: x\r\n"
		   "Message-ID: <1@a.test>\r\nSender: s@a.test\r\n\r\nFrom: not@this.one\r\n");
	(void)state;
	for (size_t cut = 0; cut <= text.len; cut++) {
		struct message_facts f;

		read_facts(&f, text, cut);
		assert_int_equal(f.received_count, 2);
		assert_int_equal(f.from_count, 1);
		assert_int_equal(f.sender_count, 1);
		assert_int_equal(f.date_count, 1);
		assert_int_equal(f.message_id_count, 1);
		assert_true(sv_eq(f.message_id, SV("1@a.test")));
		assert_int_equal(f.from_address_count, 2);
		assert_true(sv_eq(f.from[0], SV("ann@a.test")));
		assert_true(sv_eq(f.from[1], SV("\"b b\"@b.test")));
		assert_int_equal(f.delivered_to_count, 1);
		assert_true(sv_eq(f.delivered_to[0], SV("list@here.test")));
		assert_false(f.is_from_capped);
		assert_int_equal(f.header_size, text.len - strlen("From: not@this.one\r\n"));
		assert_int_equal(
			f.longest_field,
			strlen("From: Ann <ann@a.test>,\r\n \"B, B\" <\"b b\"@b.test>\r\n"));
		facts_done(&f);
	}
}

static void floods_are_counted_and_not_kept(void **state)
{
	struct message_facts f;
	(void)state;

	facts_init(&f);
	for (int i = 0; i < 20000; i++)
		facts_feed(&f,
			   SV("Received: x\r\nDelivered-To: a@b\r\nFrom: a@b.test, c@d.test\r\n"));
	facts_finish(&f);
	assert_int_equal(f.delivered_to_count, FACTS_DELIVERED_MAX);
	assert_int_equal(f.from_address_count, FACTS_FROM_MAX);
	assert_true(f.is_from_capped);
	assert_true(f.header_size > HEADER_BLOCK_MAX);
	assert_true(f.arena.used <= FACTS_MAX);
	facts_done(&f);
}

static void a_field_beyond_its_limit_is_noticed(void **state)
{
	struct message_facts f;
	(void)state;

	facts_init(&f);
	facts_feed(&f, SV("Subject: "));
	for (size_t i = 0; i <= HEADER_FIELD_MAX / 10; i++)
		facts_feed(&f, SV("0123456789"));
	facts_feed(&f, SV("\r\n\r\n"));
	assert_true(f.longest_field > HEADER_FIELD_MAX);
	assert_true(f.has_ended);
	facts_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_tells_the_same_however_it_is_cut),
		cmocka_unit_test(floods_are_counted_and_not_kept),
		cmocka_unit_test(a_field_beyond_its_limit_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
