/* What is kept of a conversation: bounded, in whole lines, harmless as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtpd/relay/talk.h"

#include "common/banned.h"

static void each_line_says_whose_it_is(void **state)
{
	struct buf talk = { .max = 4096 };

	(void)state;
	talk_note(&talk, "*", SV("mx.example [192.0.2.1]"));
	talk_note(&talk, ">", SV("EHLO us.example\r\n"));
	talk_note(&talk, ">", SV("one\r\ntwo\r\n"));
	assert_true(sv_eq(buf_sv(&talk), SV("* mx.example [192.0.2.1]\n> EHLO us.example\n> one\n> two\n")));
	buf_done(&talk);
}

static void an_answer_has_its_code_in_front_of_each_line(void **state)
{
	struct sv in = SV("550-5.7.26 one\r\n550 5.7.26 two\r\n");
	struct buf talk = { .max = 4096 };
	struct answer a;

	(void)state;
	answer_init(&a);
	assert_int_equal(answer_feed(&a, &in), FEED_DONE);
	talk_note_answer(&talk, &a);
	assert_true(sv_eq(buf_sv(&talk), SV("< 550 5.7.26 one\n< 550 5.7.26 two\n")));
	answer_done(&a);
	buf_done(&talk);
}

static void a_long_conversation_loses_its_older_half_in_whole_lines(void **state)
{
	struct buf talk = { .max = 4096 };
	struct sv rest, line;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct buf text = { .max = 64 };

		buf_appendf(&text, "RCPT TO:<user%d@example.test>", i);
		talk_note(&talk, ">", buf_sv(&text));
		assert_true(talk.len <= talk.max);
		rest = buf_sv(&talk);
		while (rest.len && sv_split(&rest, '\n', &line))
			assert_true(sv_starts(line, SV("> RCPT TO:<user")));
		assert_true(sv_ends(buf_sv(&talk), SV("@example.test>\n")));
		buf_done(&text);
	}
	buf_done(&talk);
}

static void what_a_stranger_says_cannot_move_the_cursor(void **state)
{
	struct buf talk = { .max = 4096 };

	(void)state;
	talk_note(&talk, "<", SV("250 \033[2Jhello\xc2\x9b"));
	assert_int_equal(sv_find(buf_sv(&talk), '\033'), SIZE_MAX);
	assert_int_equal(sv_find(buf_sv(&talk), '\x9b'), SIZE_MAX);
	buf_done(&talk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_line_says_whose_it_is),
		cmocka_unit_test(an_answer_has_its_code_in_front_of_each_line),
		cmocka_unit_test(a_long_conversation_loses_its_older_half_in_whole_lines),
		cmocka_unit_test(what_a_stranger_says_cannot_move_the_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
