/* Parts without their transfer encoding, whole and in part, however they are cut. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/memory.h"
#include "imapd/binary.h"

#include "common/banned.h"

/* decode - raw in pieces of n octets, each a heap copy of its exact size. */
static struct binary decode(struct sv raw, enum transfer encoding, uint64_t from, uint64_t count, size_t n, struct buf *out)
{
	struct binary b = { 0 };

	binary_begin(&b, encoding, from, count);
	for (size_t at = 0; at < raw.len; at += n) {
		struct sv piece = sv_sub(raw, at, n);
		char *copy = xmalloc(piece.len);

		memcpy(copy, piece.p, piece.len);
		assert_true(binary_feed(&b, sv_from(copy, piece.len), out));
		free(copy);
	}
	assert_true(binary_finish(&b, out));
	binary_done(&b);
	return b;
}

static const struct {
	const char *raw;
	enum transfer encoding;
	const char *want;
	size_t len;
} cases[] = {
	{ "", TRANSFER_BASE64, "", 0 },
	{ "aGVsbG8=", TRANSFER_BASE64, "hello", 5 },
	{ "aGVs\r\nbG8=\r\n", TRANSFER_BASE64, "hello", 5 },
	{ "a!G_V s*b\r\nG8=", TRANSFER_BASE64, "hello", 5 },
	{ "AAEC", TRANSFER_BASE64, "\0\1\2", 3 },
	{ "caf=C3=A9 =\r\nau lait  \r\n", TRANSFER_QUOTED_PRINTABLE, "caf\xc3\xa9 au lait\r\n", 15 },
	{ "=00=zz=", TRANSFER_QUOTED_PRINTABLE, "\0=zz", 4 },
	{ "as it is\r\n", TRANSFER_7BIT, "as it is\r\n", 10 },
	{ "\xff\xfe", TRANSFER_BINARY, "\xff\xfe", 2 },
};

static void every_cut_decodes_to_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv raw = sv_z(cases[i].raw);

		for (size_t n = 1; n <= raw.len + 1; n++) {
			struct buf out = { .max = 100 };
			struct binary b = decode(raw, cases[i].encoding, 0, UINT64_MAX, n, &out);

			assert_int_equal(b.size, out.len);
			assert_int_equal(b.given, out.len);
			assert_int_equal(out.len, cases[i].len);
			if (out.len)
				assert_memory_equal(out.p, cases[i].want, out.len);
			assert_int_equal(b.has_nul, out.len && memchr(out.p, 0, out.len) != NULL);
			buf_done(&out);
		}
	}
}

static void a_partial_is_of_the_decoded_octets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = cases[i].len;

		for (uint64_t from = 0; from <= len + 1; from++)
			for (uint64_t count = 1; count <= len + 2; count++) {
				struct buf out = { .max = 100 };
				uint64_t want = from >= len ? 0 : count < len - from ? count : len - from;
				struct binary b = decode(sv_z(cases[i].raw), cases[i].encoding, from, count, 3, &out);

				assert_int_equal(b.given, want);
				assert_int_equal(out.len, want);
				if (want)
					assert_memory_equal(out.p, cases[i].want + from, (size_t)want);
				assert_int_equal(binary_is_enough(&b), from + count <= len);
				buf_done(&out);
			}
	}
	struct binary b = { 0 };

	binary_begin(&b, TRANSFER_BASE64, UINT64_MAX, UINT64_MAX);
	assert_true(binary_feed(&b, SV("aGVsbG8="), NULL));
	assert_true(binary_finish(&b, NULL));
	assert_int_equal(b.size, 5);
	assert_int_equal(b.given, 0);
	binary_done(&b);
}

static void counting_and_sending_agree_and_a_full_buffer_is_told(void **state)
{
	struct buf small = { .max = 4 };
	struct binary b = decode(SV("AGVsbG8="), TRANSFER_BASE64, 1, 3, 5, NULL);

	(void)state;
	assert_int_equal(b.size, 5);
	assert_int_equal(b.given, 3);
	assert_false(b.has_nul);
	b = (struct binary){ 0 };
	binary_begin(&b, TRANSFER_BASE64, 0, UINT64_MAX);
	assert_false(binary_feed(&b, SV("aGVsbG8h"), &small));
	binary_done(&b);
	buf_done(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut_decodes_to_the_same),
		cmocka_unit_test(a_partial_is_of_the_decoded_octets),
		cmocka_unit_test(counting_and_sending_agree_and_a_full_buffer_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
