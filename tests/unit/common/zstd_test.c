/* Packed files: the same octets come back from every offset; damage is told; `zstd -d` reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/zstd.h"

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)

static int file_of(const char *p, size_t n)
{
	int fd = memfd_create("zstd-test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	return fd;
}

static char *make_text(size_t n, bool is_random)
{
	char *p = malloc(n + 1);
	uint32_t x = 12345;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = is_random ? (char)(x >> 24) : "The quick brown fox.\r\n"[i % 22];
	}
	return p;
}

static void octets_come_back_from_every_offset(void **state)
{
	static const size_t sizes[] = { 0, 1, 5000, ZSTD_FRAME_OCTETS - 1, ZSTD_FRAME_OCTETS, ZSTD_FRAME_OCTETS + 1, 700000 };

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(sizes); i++) {
		size_t n = sizes[i / 2], got;
		char *text = make_text(n, i % 2), *back = malloc(n + 10);
		int plain = file_of(text, n), packed = memfd_create("packed", MFD_CLOEXEC);
		uint64_t size, octets;
		struct stat st;

		ok(zstd_pack(plain, packed, &size));
		assert_int_equal(fstat(packed, &st), 0);
		assert_int_equal(st.st_size, size);
		assert_true(size != n || !n);
		assert_int_equal(zstd_is_packed(packed), n > 0);
		ok(zstd_octets(packed, &octets));
		assert_int_equal(octets, n);
		struct zstd_reader *r = zstd_reader_new(packed);
		ok(zstd_read(r, 0, back, n + 10, &got));
		assert_int_equal(got, n);
		assert_memory_equal(text, back, n);
		for (size_t k = 0; k < 40; k++) {
			size_t at = n ? (k * 7919 * 131) % n : 0, want = k * 3001;
			ok(zstd_read(r, at, back, want < n ? want : n, &got));
			assert_memory_equal(text + at, back, got);
			assert_true(got == want || at + got == n || got == n);
		}
		ok(zstd_read(r, n + 5, back, 10, &got));
		assert_int_equal(got, 0);
		zstd_reader_free(&r);
		close(plain);
		close(packed);
		free(text);
		free(back);
	}
}

static void damage_is_told_and_nothing_else_is_taken_for_ours(void **state)
{
	size_t n = 300000, got;
	char *text = make_text(n, true), *back = malloc(n);
	int plain = file_of(text, n), packed = memfd_create("packed", MFD_CLOEXEC);
	uint64_t size;
	unsigned faults = 0;

	(void)state;
	assert_false(zstd_is_packed(plain));
	ok(zstd_pack(plain, packed, &size));
	for (size_t at = 10; at < size; at += size / 13) {
		char was;
		assert_int_equal(pread(packed, &was, 1, (off_t)at), 1);
		char is = (char)(was ^ 0x55);
		assert_int_equal(pwrite(packed, &is, 1, (off_t)at), 1);
		struct zstd_reader *r = zstd_reader_new(packed);
		struct fault f = zstd_read(r, 0, back, n, &got);
		faults += f.kind == FAULT_CORRUPT;
		assert_true(f.kind || !memcmp(text, back, n));
		zstd_reader_free(&r);
		assert_int_equal(pwrite(packed, &was, 1, (off_t)at), 1);
	}
	assert_true(faults >= 12);
	assert_int_equal(ftruncate(packed, (off_t)size - 3), 0);
	struct zstd_reader *r = zstd_reader_new(packed);
	assert_int_equal(zstd_read(r, 0, back, n, &got).kind, FAULT_CORRUPT);
	zstd_reader_free(&r);
	r = zstd_reader_new(plain);
	assert_int_equal(zstd_read(r, 0, back, n, &got).kind, FAULT_CORRUPT);
	zstd_reader_free(&r);
	close(plain);
	close(packed);
	free(text);
	free(back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(octets_come_back_from_every_offset),
		cmocka_unit_test(damage_is_told_and_nothing_else_is_taken_for_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
