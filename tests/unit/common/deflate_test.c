/* DEFLATE as a connection uses it: readable as far as it was flushed, in pieces of any size, in bounded memory. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include <zlib.h>

#include "common/deflate.h"
#include "common/memory.h"

#include "common/banned.h"

/* unpack - feed packed in pieces of `cut`, taking `room` at a time. */
static enum deflate_result unpack(struct deflate *d, struct sv packed, size_t cut, size_t room, struct buf *out)
{
	enum deflate_result result = DEFLATE_FINE;
	char *p = xmalloc(room);

	while (result == DEFLATE_FINE) {
		struct sv piece = sv_sub(packed, 0, cut), rest = piece;
		size_t done = 0;

		do {
			result = deflate_unpack(d, &rest, p, room, &done);
			assert_true(done <= room);
			assert_true(buf_append(out, sv_from(p, done)));
		} while (result == DEFLATE_FINE && (rest.len || done == room));
		sv_skip(&packed, piece.len - rest.len);
		if (!packed.len)
			break;
	}
	free(p);
	return result;
}

static void what_is_packed_unpacks_however_it_is_cut(void **state)
{
	static const char *const lines[] = { "* 1 FETCH (FLAGS (\\Seen))\r\n", "", "* 2 FETCH (FLAGS (\\Seen))\r\n", "a OK\r\n" };
	struct deflate *sender = deflate_new();
	struct buf packed = { .max = 1 << 20 }, want = { .max = 1 << 20 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		assert_true(deflate_pack(sender, sv_z(lines[i]), &packed));
		buf_append(&want, sv_z(lines[i]));
		if (i == 1)
			deflate_rest(sender);
	}
	for (size_t cut = 1; cut <= packed.len; cut++)
		for (size_t room = 1; room < 70; room += 17) {
			struct deflate *d = deflate_new();
			struct buf out = { .max = 1 << 20 };

			assert_int_equal(unpack(d, buf_sv(&packed), cut, room, &out), DEFLATE_FINE);
			assert_true(sv_eq(buf_sv(&out), buf_sv(&want)));
			buf_done(&out);
			deflate_free(&d);
		}
	buf_done(&packed);
	buf_done(&want);
	deflate_free(&sender);
}

static void large_and_random_data_survive(void **state)
{
	struct deflate *sender = deflate_new(), *d = deflate_new();
	struct buf data = { .max = 1 << 22 }, packed = { .max = 1 << 22 }, out = { .max = 1 << 22 };
	uint32_t x = 1;

	(void)state;
	for (size_t i = 0; i < 300000; i++) {
		x = x * 1664525u + 1013904223u;
		buf_append_c(&data, i % 3 ? (char)(x >> 24) : 'a');
	}
	assert_true(deflate_pack(sender, buf_sv(&data), &packed));
	assert_int_equal(unpack(d, buf_sv(&packed), 4096, 8192, &out), DEFLATE_FINE);
	assert_true(sv_eq(buf_sv(&out), buf_sv(&data)));
	buf_done(&data);
	buf_done(&packed);
	buf_done(&out);
	deflate_free(&sender);
	deflate_free(&d);
}

/* Clients flush as they like; iOS does it by halves. */
static void octets_behind_a_partial_flush_are_there_at_once(void **state)
{
	static const int flushes[] = { Z_PARTIAL_FLUSH, Z_SYNC_FLUSH, Z_FULL_FLUSH, Z_BLOCK };
	struct sv line = SV("a1 UID FETCH 1:* (FLAGS)\r\n");

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		z_stream z = { 0 };
		char packed[200], p[100];
		struct deflate *d = deflate_new();

		assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
		for (int round = 0; round < 3; round++) {
			size_t done;

			z.next_in = (Bytef *)(uintptr_t)line.p;
			z.avail_in = (uInt)line.len;
			z.next_out = (Bytef *)packed;
			z.avail_out = sizeof(packed);
			deflate(&z, flushes[i]);
			struct sv in = sv_from(packed, sizeof(packed) - z.avail_out);

			assert_int_equal(deflate_unpack(d, &in, p, sizeof(p), &done), DEFLATE_FINE);
			assert_int_equal(in.len, 0);
			assert_true(sv_eq(sv_from(p, done), line));
		}
		deflateEnd(&z);
		deflate_free(&d);
	}
}

static void a_bomb_gives_no_more_than_there_is_room_for(void **state)
{
	struct deflate *sender = deflate_new(), *d = deflate_new();
	struct buf packed = { .max = 1 << 22 };
	char *zeros = xcalloc(1, 1 << 24), p[4096];
	size_t done = sizeof(p), total = 0;

	(void)state;
	assert_true(deflate_pack(sender, sv_from(zeros, 1 << 24), &packed));
	assert_true(packed.len < 200000);
	for (struct sv in = buf_sv(&packed); in.len || done == sizeof(p); total += done)
		assert_int_equal(deflate_unpack(d, &in, p, sizeof(p), &done), DEFLATE_FINE);
	assert_int_equal(total, 1 << 24);
	free(zeros);
	buf_done(&packed);
	deflate_free(&sender);
	deflate_free(&d);
}

static void damage_and_the_end_are_told_and_last(void **state)
{
	static const struct { const char *octets; size_t len; enum deflate_result want; } cases[] = {
		{ "\x07garbage", 8, DEFLATE_BROKEN },
		{ "\xff\xff\xff\xff", 4, DEFLATE_BROKEN },
		{ "\x03\x00", 2, DEFLATE_END },
		{ "\x03\x00more", 6, DEFLATE_END },
		{ "", 0, DEFLATE_FINE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct deflate *d = deflate_new();
		char p[10];
		size_t done;

		for (int again = 0; again < 2; again++) {
			struct sv in = sv_from(cases[i].octets, cases[i].len);

			assert_int_equal(deflate_unpack(d, &in, p, sizeof(p), &done), cases[i].want);
			assert_int_equal(done, 0);
		}
		deflate_free(&d);
	}
}

static void a_full_buffer_is_told(void **state)
{
	struct deflate *sender = deflate_new();
	struct buf small = { .max = 10 };

	(void)state;
	assert_false(deflate_pack(sender, SV("does not fit"), &small));
	buf_done(&small);
	deflate_free(&sender);
	deflate_free(&sender);
}

/* RFC 1952 §2.3: ten octets of header, DEFLATE, CRC-32, size. */
static void a_gzip_file_holds_what_was_packed(void **state)
{
	struct sv text = SV("hello hello hello hello"), rest;
	struct deflate *d = deflate_new();
	struct buf out;
	char back[100];
	size_t n = 0;

	(void)state;
	buf_init(&out, 1000);
	assert_true(gzip_pack(text, &out));
	assert_memory_equal(out.p, "\x1f\x8b\x08\x00", 4);
	assert_int_equal(out.p[out.len - 4], (char)text.len);
	rest = sv_sub(buf_sv(&out), 10, out.len);
	assert_int_not_equal(deflate_unpack(d, &rest, back, sizeof(back), &n), DEFLATE_BROKEN);
	assert_int_equal(n, text.len);
	assert_memory_equal(back, text.p, n);
	assert_int_equal(deflate_unpack(d, &rest, back, sizeof(back), &n), DEFLATE_END);
	assert_int_equal(rest.len, 8);
	deflate_free(&d);
	buf_done(&out);
	buf_init(&out, 10);
	assert_false(gzip_pack(text, &out));
	assert_int_equal(out.len, 0);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gzip_file_holds_what_was_packed),
		cmocka_unit_test(what_is_packed_unpacks_however_it_is_cut),
		cmocka_unit_test(large_and_random_data_survive),
		cmocka_unit_test(octets_behind_a_partial_flush_are_there_at_once),
		cmocka_unit_test(a_bomb_gives_no_more_than_there_is_room_for),
		cmocka_unit_test(damage_and_the_end_are_told_and_last),
		cmocka_unit_test(a_full_buffer_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
