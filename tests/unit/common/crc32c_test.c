/* CRC-32C against the examples of RFC 3720 §B.4, and pieces against the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/crc32c.h"

static void the_examples_of_rfc_3720_hold(void **state)
{
	char zero[32] = { 0 }, ones[32], up[32], down[32];
	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (int i = 0; i < 32; i++) {
		up[i] = (char)i;
		down[i] = (char)(31 - i);
	}
	assert_int_equal(crc32c(sv_from(zero, 32)), 0x8a9136aa);
	assert_int_equal(crc32c(sv_from(ones, 32)), 0x62a8ab43);
	assert_int_equal(crc32c(sv_from(up, 32)), 0x46dd794e);
	assert_int_equal(crc32c(sv_from(down, 32)), 0x113fdb5c);
	assert_int_equal(crc32c(SV("123456789")), 0xe3069283);
	assert_int_equal(crc32c(SV_NONE), 0);
}

static void pieces_give_what_the_whole_gives(void **state)
{
	struct sv text = SV("the quick brown fox jumps over the lazy dog");
	(void)state;
	for (size_t cut = 0; cut <= text.len; cut++)
		assert_int_equal(crc32c_more(crc32c(sv_sub(text, 0, cut)), sv_sub(text, cut, text.len)), crc32c(text));
}

static void the_table_and_the_processor_agree(void **state)
{
	char text[64];
	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 151 + 7);
	for (size_t from = 0; from < 9; from++)
		for (size_t len = 0; from + len <= sizeof(text); len++)
			assert_int_equal(crc32c_more((uint32_t)len, sv_from(text + from, len)),
					 crc32c_by_table((uint32_t)len, sv_from(text + from, len)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_rfc_3720_hold),
		cmocka_unit_test(pieces_give_what_the_whole_gives),
		cmocka_unit_test(the_table_and_the_processor_agree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
