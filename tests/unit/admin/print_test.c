/* Sizes as people write and read them; tables and JSON from the same cells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/print.h"

static void sizes_are_short_and_have_units(void **state)
{
	static const struct { uint64_t n; const char *text; } cases[] = {
		{ 0, "0 B" }, { 999, "999 B" }, { 1024, "1.0 KB" }, { 1536, "1.5 KB" }, { 102400, "100 KB" },
		{ 1048575, "1.0 MB" }, { 50ull << 20, "50.0 MB" }, { UINT64_MAX, "16.0 EB" },
	};
	char text[24];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_bytes(cases[i].n, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void sizes_are_read_with_letters_and_refused_when_they_mean_nothing(void **state)
{
	static const struct { const char *text; bool ok; uint64_t n; } cases[] = {
		{ "1024", true, 1024 }, { "10K", true, 10240 }, { "10k", true, 10240 }, { "2MB", true, 2 << 20 },
		{ "5 G", true, 5ull << 30 }, { "none", true, 0 }, { "0", true, 0 },
		{ "", false, 0 }, { "K", false, 0 }, { "1.5G", false, 0 }, { "-1", false, 0 }, { "ten", false, 0 },
		{ "99999999999T", false, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t n = 7;
		assert_int_equal(print_parse_bytes(sv_z(cases[i].text), &n), cases[i].ok);
		assert_true(n == (cases[i].ok ? cases[i].n : 7));
	}
}

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT, NULL },
	{ "SIZE", "size", COLUMN_BYTES, "no limit" },
	{ "WORDS", "words", COLUMN_LIST, NULL },
	{ "ON", "on", COLUMN_BOOL, NULL },
};

static int failing_code;        /* with which the listing ends; 0: well */

/* What a table prints, by way of a file in place of standard output; in pages of so many rows. */
static void printed_in(bool as_json, size_t rows, size_t page, char *out, size_t size)
{
	FILE *file = tmpfile();
	struct table *t = table_new(columns, ARRAY_LEN(columns), as_json);

	fflush(stdout);
	int saved = dup(STDOUT_FILENO);
	dup2(fileno(file), STDOUT_FILENO);
	for (size_t i = 0; i < rows; i++) {
		table_sv(t, i ? SV("b\033[2J") : SV("gr\xc3\xbc\xc3\x9f"));
		table_u64(t, i ? 0 : 2048);
		table_sv(t, i ? SV("") : SV("x y"));
		table_u64(t, i == 0);
		if ((i + 1) % page == 0)
			table_flush(t);
	}
	if (failing_code)
		assert_int_equal(table_close(&t, failing_code, "nothing there"), failing_code);
	else if (rows % 2)
		assert_int_equal(table_close(&t, 0, "nothing there"), 0);
	else
		table_end(&t, "nothing there");
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(file);
	size_t n = fread(out, 1, size - 1, file);
	out[n] = '\0';
	fclose(file);
}

/* What is left of a listing that failed: so many rows, of which those of the first pages were printed before. */
static void printed_failing(bool as_json, size_t rows, size_t page, int code, char *out, size_t size)
{
	failing_code = code;
	printed_in(as_json, rows, page, out, size);
	failing_code = 0;
}

static void printed(bool as_json, size_t rows, char *out, size_t size)
{
	printed_in(as_json, rows, rows + 1, out, size);
}

static void a_table_is_aligned_and_cannot_rewrite_the_screen(void **state)
{
	char text[1024];
	(void)state;
	printed(false, 2, text, sizeof(text));
	assert_string_equal(text, "NAME          SIZE  WORDS  ON\n"
				  "gr\xc3\xbc\xc3\x9f        2.0 KB  x y    yes\n"
				  "b\\x1b[2J  no limit  -      no\n");
	printed(false, 0, text, sizeof(text));
	assert_string_equal(text, "nothing there\n");
}

static void the_same_cells_as_json_have_types_and_null_for_no_limit(void **state)
{
	char text[1024];
	(void)state;
	printed(true, 2, text, sizeof(text));
	assert_string_equal(text,
			    "[{\"name\":\"gr\xc3\xbc\xc3\x9f\",\"size\":2048,\"words\":[\"x\",\"y\"],\"on\":true},"
			    "{\"name\":\"b\\u001b[2J\",\"size\":null,\"words\":[],\"on\":false}]\n");
	printed(true, 0, text, sizeof(text));
	assert_string_equal(text, "[]\n");
}

static void a_table_in_pages_has_one_head_and_is_one_array(void **state)
{
	char text[1024], whole[1024];
	(void)state;
	printed_in(false, 3, 1, text, sizeof(text));
	assert_string_equal(text, "NAME    SIZE  WORDS  ON\n"
				  "gr\xc3\xbc\xc3\x9f  2.0 KB  x y    yes\n"
				  "b\\x1b[2J  no limit  -      no\n"
				  "b\\x1b[2J  no limit  -      no\n");
	for (size_t rows = 0; rows < 5; rows++)
		for (size_t page = 1; page < 6; page++) {
			printed(true, rows, whole, sizeof(whole));
			printed_in(true, rows, page, text, sizeof(text));
			assert_string_equal(text, whole);
		}
	printed_in(false, 2, 2, text, sizeof(text));
	printed(false, 2, whole, sizeof(whole));
	assert_string_equal(text, whole);
}

static void a_listing_that_failed_is_no_json_and_never_says_that_nothing_is_there(void **state)
{
	char text[1024];

	(void)state;
	for (size_t rows = 0; rows < 3; rows++) {
		printed_failing(true, rows, 9, 2, text, sizeof(text));
		assert_string_equal(text, "");
	}
	printed_failing(false, 0, 9, 4, text, sizeof(text));
	assert_string_equal(text, "");
	printed_failing(false, 1, 9, 4, text, sizeof(text));
	assert_string_equal(text, "NAME    SIZE  WORDS  ON\ngr\xc3\xbc\xc3\x9f  2.0 KB  x y    yes\n");
	/* A page was printed before it failed: nobody reads that as the whole. */
	printed_failing(true, 1, 1, 4, text, sizeof(text));
	assert_int_equal(text[0], '[');
	assert_int_equal(text[strlen(text) - 1], '}');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_short_and_have_units),
		cmocka_unit_test(sizes_are_read_with_letters_and_refused_when_they_mean_nothing),
		cmocka_unit_test(a_table_is_aligned_and_cannot_rewrite_the_screen),
		cmocka_unit_test(the_same_cells_as_json_have_types_and_null_for_no_limit),
		cmocka_unit_test(a_table_in_pages_has_one_head_and_is_one_array),
		cmocka_unit_test(a_listing_that_failed_is_no_json_and_never_says_that_nothing_is_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
