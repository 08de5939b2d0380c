/* Values on disk: what was written is read back, and damage is noticed at every octet and every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/crc32c.h"
#include "common/memory.h"
#include "common/record.h"

static struct sv sample(struct record_out *r)
{
	struct sv value = SV_NONE;

	record_begin(r, 3);
	record_put(r, 1, SV("hello"));
	record_put_u64(r, 2, 0x0102030405060708u);
	record_put(r, 9, SV_NONE);
	assert_int_equal(record_end(r, &value).kind, FAULT_NONE);
	return value;
}

/* A heap copy of the exact size, so that one octet too far is an ASan report. */
static char *copy_of(struct sv s)
{
	char *p = xmalloc(s.len ? s.len : 1);

	if (s.len)
		memcpy(p, s.p, s.len);
	return p;
}

static void fields_are_read_back_in_order(void **state)
{
	struct record_out r;
	struct record_in in;
	struct sv value = sample(&r), field;
	uint8_t tag;
	uint64_t n;

	(void)state;
	assert_int_equal(record_open(value, 3, &in).kind, FAULT_NONE);
	assert_int_equal(in.version, 3);
	assert_true(record_next(&in, &tag, &field) && tag == 1 && sv_eq(field, SV("hello")));
	assert_false(record_u64(field, &n));
	assert_true(record_next(&in, &tag, &field) && tag == 2);
	assert_true(record_u64(field, &n) && n == 0x0102030405060708u);
	assert_true(record_next(&in, &tag, &field) && tag == 9 && field.len == 0);
	assert_false(record_next(&in, &tag, &field));
	assert_false(in.is_bad);
	assert_int_equal(record_open(value, 2, &in).kind, FAULT_UNSUPPORTED);
	record_done(&r);
}

static void every_cut_and_every_changed_octet_is_corrupt(void **state)
{
	struct record_out r;
	struct record_in in;
	struct sv value = sample(&r);

	(void)state;
	for (size_t cut = 0; cut < value.len; cut++) {
		char *p = copy_of(sv_sub(value, 0, cut));
		assert_int_equal(record_open(sv_from(p, cut), 3, &in).kind, FAULT_CORRUPT);
		free(p);
	}
	for (size_t at = 0; at < value.len; at++) {
		char *p = copy_of(value);
		p[at] ^= 0x10;
		assert_int_equal(record_open(sv_from(p, value.len), 255, &in).kind, FAULT_CORRUPT);
		free(p);
	}
	record_done(&r);
}

static void lengths_are_not_believed_under_a_right_checksum(void **state)
{
	struct record_out r;
	struct sv value = sample(&r), field;

	(void)state;
	for (size_t at = 1; at < value.len - 4; at++) {
		char *p = copy_of(value);
		struct record_in in;
		uint8_t tag;

		p[at] = (char)0xff;
		uint32_t crc = crc32c(sv_from(p, value.len - 4));
		for (int i = 0; i < 4; i++)
			p[value.len - 4 + (size_t)i] = (char)(crc >> (24 - 8 * i));
		struct fault f = record_open(sv_from(p, value.len), 3, &in);
		assert_int_equal(f.kind, at < 5 ? FAULT_CORRUPT : FAULT_NONE);
		if (!f.kind)
			while (record_next(&in, &tag, &field))
				assert_true(field.len <= value.len);
		free(p);
	}
	record_done(&r);
}

static void a_record_has_a_largest_size(void **state)
{
	struct record_out r;
	struct sv value;
	char *big = xcalloc(1, RECORD_MAX);

	(void)state;
	record_begin(&r, 1);
	record_put(&r, 1, sv_from(big, RECORD_MAX - 14));
	assert_int_equal(record_end(&r, &value).kind, FAULT_NONE);
	record_done(&r);
	record_begin(&r, 1);
	record_put(&r, 1, sv_from(big, RECORD_MAX - 13));
	assert_int_equal(record_end(&r, &value).kind, FAULT_LIMIT);
	record_put(&r, 1, SV("x"));
	assert_int_equal(record_end(&r, &value).kind, FAULT_LIMIT);
	record_done(&r);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_read_back_in_order),
		cmocka_unit_test(every_cut_and_every_changed_octet_is_corrupt),
		cmocka_unit_test(lengths_are_not_believed_under_a_right_checksum),
		cmocka_unit_test(a_record_has_a_largest_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
