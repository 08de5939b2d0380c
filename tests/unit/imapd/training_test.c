/* What a spam filter is taught, and how its answers are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imapd/training.h"
#include "imapd/training_marks.h"
#include "imapd/training_send.h"

static void into_junk_is_spam_and_out_of_it_is_none_unless_it_goes_to_the_trash(void **state)
{
	(void)state;
	assert_int_equal(training_lesson(0, USE_JUNK), LESSON_SPAM);
	assert_int_equal(training_lesson(USE_TRASH, USE_JUNK), LESSON_SPAM);
	assert_int_equal(training_lesson(USE_JUNK, 0), LESSON_HAM);
	assert_int_equal(training_lesson(USE_JUNK, USE_ARCHIVE), LESSON_HAM);
	assert_int_equal(training_lesson(USE_JUNK, USE_TRASH), LESSON_NONE);
	assert_int_equal(training_lesson(USE_JUNK, USE_JUNK), LESSON_NONE);
	assert_int_equal(training_lesson(0, 0), LESSON_NONE);
	assert_int_equal(training_lesson(0, USE_TRASH), LESSON_NONE);
}

static void keywords_that_say_junk_or_not_are_lessons_unless_they_contradict(void **state)
{
	static const struct { enum store_mode mode; const char *a, *b; enum lesson kind; bool is_sure; } cases[] = {
		{ STORE_ADD, "$Junk", NULL, LESSON_SPAM, true }, { STORE_REPLACE, "$junk", "\\x", LESSON_SPAM, true },
		{ STORE_ADD, "$NOTJUNK", NULL, LESSON_HAM, true }, { STORE_REMOVE, "$Junk", NULL, LESSON_NONE, false },
		{ STORE_ADD, "Junk", NULL, LESSON_SPAM, false }, { STORE_ADD, "NonJunk", "NotJunk", LESSON_HAM, false },
		{ STORE_ADD, "Junk", "$Junk", LESSON_SPAM, true }, { STORE_ADD, "$Junk", "$NotJunk", LESSON_NONE, true },
		{ STORE_ADD, "NonJunk", "$Junk", LESSON_NONE, true }, { STORE_ADD, "$Junky", "$Jun", LESSON_NONE, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv words[] = { sv_z(cases[i].a), sv_z(cases[i].b ? cases[i].b : "") };
		struct flag_change change = { .mode = cases[i].mode, .keywords = words, .keyword_count = cases[i].b ? 2 : 1 };
		struct training_marks marks;

		training_marks_of(&change, &marks);
		assert_int_equal(marks.kind, cases[i].kind);
		if (marks.kind)
			assert_int_equal(marks.is_sure, cases[i].is_sure);
	}
}

static void a_mark_teaches_where_it_is_new_and_an_unsure_one_where_it_changes_a_mind(void **state)
{
	struct keyword_bits none = { { 0 } }, junk = { { 1 } }, not_junk = { { 0, 2 } }, both = { { 1, 2 } };
	struct training_marks marks = { .kind = LESSON_SPAM, .is_sure = true, .same = junk, .opposite = not_junk };

	(void)state;
	assert_true(training_marks_teaches(&marks, none));
	assert_true(training_marks_teaches(&marks, not_junk));
	assert_false(training_marks_teaches(&marks, junk));
	assert_false(training_marks_teaches(&marks, both));
	marks.is_sure = false;
	assert_false(training_marks_teaches(&marks, none));
	assert_true(training_marks_teaches(&marks, not_junk));
	assert_false(training_marks_teaches(&marks, both));
}

static bool take(struct sv octets, struct training_answer *out)
{
	struct http_answer answer;

	http_answer_init(&answer, TRAINING_ANSWER_MAX);
	(void)http_answer_feed(&answer, octets);
	bool is_one = training_take(&answer, out);
	http_answer_done(&answer);
	return is_one;
}

static void the_status_counts_as_soon_as_it_is_there_whatever_follows(void **state)
{
	static const struct { const char *octets; uint32_t status; const char *text; } cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"success\":true}", 200, "{\"success\":true}" },
		{ "HTTP/1.0 403 Unauthorized\r\n\r\n", 403, "" },
		{ "HTTP/1.1 208\r\nX: y\r\n", 208, "" },
		{ "HTTP/1.1 404 x\r\n\r\na\x01\x1b[31m\xff" "b\r\n", 404, "a[31mb" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"succ", 200, "{\"succ" },        /* cut off */
		{ "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nlong", 200, "" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", 200, "" },
		{ "", 0, NULL }, { "HTTP/1.1 200 OK", 0, NULL }, { "HTTP/1.1 20\r\n", 0, NULL }, { "HTTP/1.1 099 x\r\n", 0, NULL },
		{ "HTTP/2 200\r\n", 0, NULL }, { "HTTP/1.1  200\r\n", 0, NULL }, { "HTTP/1.1 -20\r\n", 0, NULL }, { "220 smtp ready\r\n", 0, NULL },
		{ "HTTP/1.1 100 Continue\r\n", 0, NULL },       /* not in an answer to HTTP/1.0 */
	};
	struct training_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(take(sv_z(cases[i].octets), &a), cases[i].text != NULL);
		assert_int_equal(a.status, cases[i].status);
		assert_string_equal(a.text, cases[i].text ? cases[i].text : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(into_junk_is_spam_and_out_of_it_is_none_unless_it_goes_to_the_trash),
		cmocka_unit_test(keywords_that_say_junk_or_not_are_lessons_unless_they_contradict),
		cmocka_unit_test(a_mark_teaches_where_it_is_new_and_an_unsure_one_where_it_changes_a_mind),
		cmocka_unit_test(the_status_counts_as_soon_as_it_is_there_whatever_follows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
