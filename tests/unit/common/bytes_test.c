/* Views and buffers: bounds, numbers, searching, UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/bytes.h"
#include "common/memory.h"

static void numbers_refuse_empty_signed_and_overflowing_input(void **state)
{
	static const struct { const char *text; bool ok; uint64_t value; } cases[] = {
		{ "0", true, 0 }, { "007", true, 7 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 }, { "99999999999999999999", false, 0 },
		{ "", false, 0 }, { "-1", false, 0 }, { "+1", false, 0 }, { "1 ", false, 0 },
		{ "0x1", false, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t n = 77;
		assert_int_equal(sv_to_u64(sv_z(cases[i].text), &n), cases[i].ok);
		assert_true(n == (cases[i].ok ? cases[i].value : 77));
	}
	uint32_t small = 5;
	assert_true(sv_to_u32(SV("4294967295"), &small));
	assert_int_equal(small, UINT32_MAX);
	assert_false(sv_to_u32(SV("4294967296"), &small));
}

static void the_first_octet_above_127_is_found_wherever_it_is(void **state)
{
	char text[40];
	(void)state;
	for (size_t len = 0; len <= sizeof(text); len++) {
		char *exact = malloc(len ? len : 1);
		memset(text, 'a', sizeof(text));
		memcpy(exact, text, len);
		assert_int_equal(sv_ascii_len(sv_from(exact, len)), len);
		assert_false(sv_has_8bit(sv_from(exact, len)));
		for (size_t at = 0; at < len; at++) {
			exact[at] = '\x80';
			assert_int_equal(sv_ascii_len(sv_from(exact, len)), at);
			assert_true(sv_has_8bit(sv_from(exact, len)));
			exact[at] = '\x7f';
		}
		free(exact);
	}
}

static void numbers_are_written_with_all_their_digits(void **state)
{
	(void)state;
	for (uint64_t n = 1, digits = 1; digits <= 20; n = digits < 20 ? n * 10 : n, digits++)
		for (int more = -1; more < 2; more++) {
			struct buf b, want;
			buf_init(&b, 30);
			buf_init(&want, 64);
			buf_append_c(&b, '*');
			assert_true(buf_append_u64(&b, n + (uint64_t)more));
			assert_true(buf_appendf(&want, "*%ju", (uintmax_t)(n + (uint64_t)more)));
			assert_true(sv_eq(buf_sv(&b), buf_sv(&want)));
			buf_done(&want);
			buf_done(&b);
		}
	struct buf small;
	buf_init(&small, 20);
	assert_true(buf_append_u64(&small, UINT64_MAX));
	assert_true(sv_eq(buf_sv(&small), SV("18446744073709551615")));
	assert_false(buf_append_u64(&small, 0));
	buf_clear(&small);
	small.max = small.cap = 19;
	assert_false(buf_append_u64(&small, UINT64_MAX));
	buf_done(&small);
}

static void hexadecimal_numbers_are_lower_case_and_fit(void **state)
{
	static const char *const bad[] = { "", "A", "aB", "0x1", "g", " 1", "-1", "00000000000000000", "/", ":", "`" };
	uint64_t n = 77;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(sv_hex_to_u64(sv_z(bad[i]), &n));
	assert_true(n == 77);
	assert_true(sv_hex_to_u64(SV("0123456789abcdef"), &n) && n == 0x0123456789abcdef);
	assert_true(sv_hex_to_u64(SV("ffffffffffffffff"), &n) && n == UINT64_MAX);
	assert_int_equal(ascii_hex('F'), 15);
	assert_int_equal(ascii_hex('g'), -1);
}

static void a_buffer_never_passes_its_max_and_stays_unchanged_when_it_would(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 10);
	assert_true(buf_append(&b, SV("12345678")));
	assert_false(buf_append(&b, SV("abc")));
	assert_true(sv_eq(buf_sv(&b), SV("12345678")));
	assert_true(buf_append(&b, SV("ab")));
	assert_false(buf_append_c(&b, 'c'));
	assert_null(buf_z(&b));
	assert_true(b.cap <= b.max);
	buf_consume(&b, 8);
	assert_true(sv_eq(buf_sv(&b), SV("ab")));
	assert_string_equal(buf_z(&b), "ab");
	buf_done(&b);
}

static void formatted_text_is_whole_or_not_there(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 100);
	for (int i = 0; i < 30; i++)
		assert_true(buf_appendf(&b, "%s", "abc"));
	assert_int_equal(b.len, 90);
	assert_false(buf_appendf(&b, "%s", "12345678901"));
	assert_int_equal(b.len, 90);
	assert_true(buf_appendf(&b, "%d", 1234567890));
	assert_int_equal(b.len, 100);
	buf_done(&b);
}

static void split_gives_each_part_and_the_last(void **state)
{
	struct sv rest = SV("a::b"), part;
	(void)state;
	assert_true(sv_split(&rest, ':', &part) && sv_eq(part, SV("a")));
	assert_true(sv_split(&rest, ':', &part) && sv_eq(part, SV("")));
	assert_true(sv_split(&rest, ':', &part) && sv_eq(part, SV("b")));
	assert_false(sv_split(&rest, ':', &part));
	assert_true(!part.p && !part.len);
}

static void utf8_refuses_overlong_forms_surrogates_and_cut_sequences(void **state)
{
	(void)state;
	assert_true(sv_is_utf8(SV("gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xa7")));
	assert_false(sv_is_utf8(SV("\xc0\x80")));
	assert_false(sv_is_utf8(SV("\xe0\x80\x80")));
	assert_false(sv_is_utf8(SV("\xed\xa0\x80")));
	assert_false(sv_is_utf8(SV("\xf4\x90\x80\x80")));
	assert_false(sv_is_utf8(SV("\xc3")));
	assert_false(sv_is_utf8(SV("\xff")));
}

static void comparisons_ignore_case_of_ascii_letters_only(void **state)
{
	(void)state;
	assert_true(sv_eq_nocase(SV("INBOX"), SV("inbox")));
	assert_false(sv_eq_nocase(SV("\xc4"), SV("\xe4")));
	assert_true(sv_cmp(SV("ab"), SV("abc")) < 0);
	assert_int_equal(sv_search(SV("hello"), SV("ll")), 2);
	assert_true(sv_search(SV("hello"), SV("lx")) == SIZE_MAX);
}

static void an_arena_refuses_what_passes_its_max_and_can_be_used_again(void **state)
{
	struct arena a;
	(void)state;
	arena_init(&a, 8192);
	assert_null(arena_alloc(&a, 8193));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_array(&a, SIZE_MAX / 2, 4));
	for (int round = 0; round < 3; round++) {
		size_t count = 0;
		while (arena_alloc(&a, 64))
			count++;
		assert_int_equal(count, 128);
		arena_clear(&a);
	}
	struct sv copy = arena_copy(&a, SV("kept"));
	assert_string_equal(copy.p, "kept");
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_refuse_empty_signed_and_overflowing_input),
		cmocka_unit_test(numbers_are_written_with_all_their_digits),
		cmocka_unit_test(hexadecimal_numbers_are_lower_case_and_fit),
		cmocka_unit_test(the_first_octet_above_127_is_found_wherever_it_is),
		cmocka_unit_test(a_buffer_never_passes_its_max_and_stays_unchanged_when_it_would),
		cmocka_unit_test(formatted_text_is_whole_or_not_there),
		cmocka_unit_test(split_gives_each_part_and_the_last),
		cmocka_unit_test(utf8_refuses_overlong_forms_surrogates_and_cut_sequences),
		cmocka_unit_test(comparisons_ignore_case_of_ascii_letters_only),
		cmocka_unit_test(an_arena_refuses_what_passes_its_max_and_can_be_used_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
