/* What a spam filter is taught, and how its answers are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imapd/training.h"
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

static void answers_are_read_and_nothing_else_is_one(void **state)
{
	static const struct { const char *octets; uint32_t status; const char *text; } cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"success\":true}", 200, "{\"success\":true}" },
		{ "HTTP/1.0 403 Unauthorized\r\n\r\n", 403, "" },
		{ "HTTP/1.1 208\r\nX: y\r\n", 208, "" },
		{ "HTTP/1.1 404 x\r\n\r\na\x01\x1b[31m\xff" "b\r\n", 404, "a[31mb" },
		{ "", 0, NULL }, { "HTTP/1.1 200 OK", 0, NULL }, { "HTTP/1.1 20\r\n", 0, NULL }, { "HTTP/1.1 099 x\r\n", 0, NULL },
		{ "HTTP/2 200\r\n", 0, NULL }, { "HTTP/1.1  200\r\n", 0, NULL }, { "HTTP/1.1 -20\r\n", 0, NULL }, { "220 smtp ready\r\n", 0, NULL },
	};
	struct training_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].octets);
		char *copy = malloc(len + !len);

		memcpy(copy, cases[i].octets, len);
		assert_int_equal(training_parse_answer(sv_from(copy, len), &a), cases[i].text != NULL);
		if (cases[i].text) {
			assert_int_equal(a.status, cases[i].status);
			assert_string_equal(a.text, cases[i].text);
		}
		for (size_t cut = 0; cut < len; cut++) {        /* no octet behind the end is read */
			char *part = malloc(cut + !cut);

			memcpy(part, copy, cut);
			(void)training_parse_answer(sv_from(part, cut), &a);
			free(part);
		}
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(into_junk_is_spam_and_out_of_it_is_none_unless_it_goes_to_the_trash),
		cmocka_unit_test(answers_are_read_and_nothing_else_is_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
