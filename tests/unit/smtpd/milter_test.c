/* A filter's answers: packets at every cut, and what each means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/milter.h"

#include "common/banned.h"

static void a_packet_is_taken_when_it_is_whole(void **state)
{
	static const char wire[] = "\0\0\0\5hA\0b\0" "\0\0\0\1c";
	char letter;
	(void)state;

	for (size_t n = 0; n < sizeof(wire) - 1; n++) {
		struct sv in = sv_from(wire, n), data;
		enum feed feed = milter_take_packet(&in, &letter, &data);

		assert_int_equal(feed, n < 9 ? FEED_MORE : FEED_DONE);
		if (feed == FEED_DONE) {
			assert_int_equal(letter, 'h');
			assert_true(sv_eq(data, SV("A\0b\0")));
			assert_int_equal(in.len, n - 9);
		}
	}
}

static void what_is_no_packet_is_bad_at_once(void **state)
{
	struct sv data;
	char letter;
	struct sv none = SV("\0\0\0\0"), big = SV("\0\1\0\1x"), http = SV("HTTP/1.1");
	(void)state;

	assert_int_equal(milter_take_packet(&none, &letter, &data), FEED_BAD);
	assert_int_equal(milter_take_packet(&big, &letter, &data), FEED_BAD);
	assert_int_equal(milter_take_packet(&http, &letter, &data), FEED_BAD);
}

static void each_answer_means_one_thing(void **state)
{
	static const struct {
		char letter;
		struct sv data;
		bool ends, is_final;
		enum screen_action action;
		const char *text;
	} table[] = {
		{ 'c', SV_INIT(""), true, false, SCREEN_ACCEPT, "" },
		{ 'a', SV_INIT(""), true, true, SCREEN_ACCEPT, "" },
		{ 'r', SV_INIT(""), true, true, SCREEN_REJECT, "" },
		{ 't', SV_INIT(""), true, true, SCREEN_DEFER, "" },
		{ 'd', SV_INIT(""), true, true, SCREEN_DISCARD, "" },
		{ 'p', SV_INIT(""), false, false, SCREEN_ACCEPT, "" },
		{ 'y', SV_INIT("550 5.7.1 Infected\0"), true, true, SCREEN_REJECT, "Infected" },
		{ 'y', SV_INIT("451 later\0"), true, true, SCREEN_DEFER, "later" },
		{ 'y', SV_INIT("250 5.0.0 fine\0"), true, true, SCREEN_DEFER, "fine" },
		{ 'y', SV_INIT("550 no end"), true, true, SCREEN_DEFER, "" },
		{ 'y', SV_INIT("\0"), true, true, SCREEN_DEFER, "" },
		{ 'y', SV_INIT("550 5.7.1 a\r\n250 \xff\0"), true, true, SCREEN_REJECT, "a  250  " },
		{ 'b', SV_INIT("new body"), false, false, SCREEN_ACCEPT, "" },
		{ '+', SV_INIT("<evil@example>\0"), false, false, SCREEN_ACCEPT, "" },
		{ '\0', SV_INIT(""), false, false, SCREEN_ACCEPT, "" },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct screen_verdict v = { .action = SCREEN_ACCEPT };
		bool is_final = false;

		buf_init(&v.headers, SCREEN_HEADERS_MAX);
		assert_int_equal(milter_take_answer(table[i].letter, table[i].data, &v, &is_final), table[i].ends);
		assert_int_equal(is_final, table[i].is_final);
		assert_int_equal(v.action, table[i].action);
		assert_string_equal(v.text, table[i].text);
		assert_int_equal(v.headers.len, 0);
		buf_done(&v.headers);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_is_taken_when_it_is_whole),
		cmocka_unit_test(what_is_no_packet_is_bad_at_once),
		cmocka_unit_test(each_answer_means_one_thing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
