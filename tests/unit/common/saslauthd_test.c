/* What saslauthd is asked and what its octets mean. The socket itself is asked by tests/e2e/smtpd/test_saslauthd.py, Debian's saslauthd by
 * tests/interop/test_saslauthd.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/saslauthd.h"

#include "common/banned.h"

static void a_request_is_four_texts_behind_their_lengths(void **state)
{
	struct buf out;
	char longest[256];
	(void)state;

	buf_init(&out, SASLAUTHD_REQUEST_MAX);
	assert_true(saslauthd_write_request(SV("al@ice@example.org"), SV("pw"), SV("postroom"), &out));
	assert_true(sv_eq(buf_sv(&out), SV("\0\6al@ice\0\2pw\0\10postroom\0\13example.org")));
	buf_clear(&out);
	memset(longest, 'x', sizeof(longest));
	assert_true(saslauthd_write_request(SV("a"), sv_from(longest, sizeof(longest)), SV_NONE, &out));
	assert_int_equal(out.len, 3 + 2 + 256 + 2 + 2);
	assert_memory_equal(out.p + 3, "\1\0", 2);
	assert_memory_equal(out.p + out.len - 4, "\0\0\0\0", 4);
	buf_done(&out);
}

static void a_nul_is_never_sent_since_what_follows_would_not_count(void **state)
{
	struct buf out;
	(void)state;

	buf_init(&out, SASLAUTHD_REQUEST_MAX);
	assert_false(saslauthd_write_request(SV("alice@x"), SV("pw\0more"), SV("postroom"), &out));
	buf_clear(&out);
	assert_false(saslauthd_write_request(SV("al\0ice@x"), SV("pw"), SV("postroom"), &out));
	buf_done(&out);
}

static void what_is_too_long_is_not_asked_for(void **state)
{
	struct buf out;
	(void)state;

	buf_init(&out, 20);
	assert_false(saslauthd_write_request(SV("alice@example.org"), SV("pw"), SV("postroom"), &out));
	buf_done(&out);
}

static void only_ok_and_no_are_answers(void **state)
{
	static const struct {
		struct sv octets;
		enum elsewhere_answer answer;
	} cases[] = {
		{ SV_INIT("\0\2OK"), ELSEWHERE_RIGHT },
		{ SV_INIT("\0\43OK remote authentication successful"), ELSEWHERE_RIGHT },
		{ SV_INIT("\0\3OK\0"), ELSEWHERE_RIGHT },
		{ SV_INIT("\0\2NO"), ELSEWHERE_WRONG },
		{ SV_INIT("\0\3NO "), ELSEWHERE_WRONG },
		{ SV_INIT("\0\21NO PAM auth error"), ELSEWHERE_WRONG },
		{ SV_INIT("\0\22NO PAM start error"), ELSEWHERE_UNKNOWN },
		{ SV_INIT("\0\33NO saslauthd internal error"), ELSEWHERE_UNKNOWN },
		{ SV_INIT("\0\36NO [ALERT] No address given   "), ELSEWHERE_UNKNOWN },
		{ SV_INIT(""), ELSEWHERE_UNKNOWN }, { SV_INIT("\0"), ELSEWHERE_UNKNOWN }, { SV_INIT("\0\0"), ELSEWHERE_UNKNOWN },
		{ SV_INIT("\0\1O"), ELSEWHERE_UNKNOWN }, { SV_INIT("\0\3OK"), ELSEWHERE_UNKNOWN }, { SV_INIT("\0\1OK"), ELSEWHERE_UNKNOWN },
		{ SV_INIT("\0\2OKOK"), ELSEWHERE_UNKNOWN }, { SV_INIT("\0\2ok"), ELSEWHERE_UNKNOWN }, { SV_INIT("\0\4OKAY"), ELSEWHERE_UNKNOWN },
		{ SV_INIT("\0\4NONE"), ELSEWHERE_UNKNOWN }, { SV_INIT("OK"), ELSEWHERE_UNKNOWN }, { SV_INIT("HTTP/1.1 200 OK\r\n\r\n"), ELSEWHERE_UNKNOWN },
		{ SV_INIT("\377\377OK"), ELSEWHERE_UNKNOWN },
	};
	char longest[SASLAUTHD_REPLY_MAX + 1];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (saslauthd_read_reply(cases[i].octets) != cases[i].answer)
			fail_msg("case %zu", i);
	memset(longest + 4, ' ', sizeof(longest) - 4);
	memcpy(longest, "\3\376OK", 4);          /* 1022 octets of text: the longest that counts */
	assert_int_equal(saslauthd_read_reply(sv_from(longest, SASLAUTHD_REPLY_MAX)), ELSEWHERE_RIGHT);
	memcpy(longest, "\3\377", 2);
	assert_int_equal(saslauthd_read_reply(sv_from(longest, SASLAUTHD_REPLY_MAX + 1)), ELSEWHERE_UNKNOWN);
}

static void no_beginning_of_a_reply_is_an_answer(void **state)
{
	static const struct sv replies[] = { SV_INIT("\0\43OK remote authentication successful"), SV_INIT("\0\21NO PAM auth error") };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(replies); i++)
		for (size_t cut = 0; cut < replies[i].len; cut++)
			assert_int_equal(saslauthd_read_reply(sv_sub(replies[i], 0, cut)), ELSEWHERE_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_four_texts_behind_their_lengths),
		cmocka_unit_test(a_nul_is_never_sent_since_what_follows_would_not_count),
		cmocka_unit_test(what_is_too_long_is_not_asked_for),
		cmocka_unit_test(only_ok_and_no_are_answers),
		cmocka_unit_test(no_beginning_of_a_reply_is_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
