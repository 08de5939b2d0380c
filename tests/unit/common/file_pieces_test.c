/* A file handed on in pieces: all of what was asked for, in order, and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/file_pieces.h"

#define SIZE (FILE_PIECES_SIZE * 2 + 100)

struct taken {
	struct buf all;
	unsigned pieces, most;
};

static char octet_at(size_t i)
{
	return (char)('a' + i % 23);
}

static FILE *make_file(void)
{
	FILE *file = tmpfile();

	assert_non_null(file);
	for (size_t i = 0; i < SIZE; i++)
		assert_int_not_equal(putc(octet_at(i), file), EOF);
	assert_int_equal(fflush(file), 0);
	return file;
}

static struct fault take(void *arg, struct sv octets)
{
	struct taken *t = arg;

	assert_true(octets.len && octets.len <= FILE_PIECES_SIZE);
	assert_true(buf_append(&t->all, octets));
	return ++t->pieces == t->most ? fault(FAULT_LIMIT, "enough") : FAULT_OK;
}

static struct taken read_some(FILE *file, uint64_t from, uint64_t end, unsigned most, enum fault_kind expected)
{
	struct taken t = { .most = most };

	buf_init(&t.all, SIZE);
	assert_int_equal(file_pieces_each(fileno(file), from, end, take, &t).kind, expected);
	for (size_t i = 0; i < t.all.len; i++)
		assert_int_equal(t.all.p[i], octet_at((size_t)from + i));
	return t;
}

static void what_was_asked_for_comes_in_order_and_no_more(void **state)
{
	static const struct { uint64_t from, end; } cases[] = {
		{ 0, SIZE }, { 0, 1 }, { 7, SIZE - 1 }, { SIZE - 1, SIZE }, { FILE_PIECES_SIZE, FILE_PIECES_SIZE * 2 }, { 5, 5 }, { 6, 5 },
	};
	FILE *file = make_file();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct taken t = read_some(file, cases[i].from, cases[i].end, 0, FAULT_NONE);
		assert_int_equal(t.all.len, cases[i].end > cases[i].from ? cases[i].end - cases[i].from : 0);
		buf_done(&t.all);
	}
	assert_int_equal(ftell(file), SIZE);
	fclose(file);
}

static void the_takers_fault_ends_it(void **state)
{
	FILE *file = make_file();
	struct taken t = read_some(file, 0, SIZE, 2, FAULT_LIMIT);

	(void)state;
	assert_int_equal(t.all.len, FILE_PIECES_SIZE * 2);
	buf_done(&t.all);
	fclose(file);
}

static void a_file_that_became_shorter_is_no_end(void **state)
{
	FILE *file = make_file();
	struct taken t;

	(void)state;
	assert_int_equal(ftruncate(fileno(file), FILE_PIECES_SIZE + 3), 0);
	t = read_some(file, 0, SIZE, 0, FAULT_INTERNAL);
	assert_int_equal(t.all.len, FILE_PIECES_SIZE + 3);
	buf_done(&t.all);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_asked_for_comes_in_order_and_no_more),
		cmocka_unit_test(the_takers_fault_ends_it),
		cmocka_unit_test(a_file_that_became_shorter_is_no_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
