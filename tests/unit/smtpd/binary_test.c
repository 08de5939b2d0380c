/* A message of octets in a file becomes one of lines in another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/mime.h"
#include "smtpd/binary.h"

#include "common/banned.h"

#define HEAD "From: a@b.test\r\nMIME-Version: 1.0\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: binary\r\n\r\n"
#define BODY_LEN 100003u        /* many pieces, and no whole line of base64 at the end */

static char folder[] = "/tmp/binary_test.XXXXXX";

static struct spill spill_of(struct sv octets)
{
	struct spill s = SPILL_NONE;

	assert_int_equal(spill_write(&s, folder, octets).kind, FAULT_NONE);
	return s;
}

static struct fault append(void *arg, struct sv octets)
{
	assert_true(buf_append(arg, octets));
	return FAULT_OK;
}

static void read_all(struct spill *s, struct buf *out)
{
	buf_init(out, 1u << 20);
	assert_int_equal(spill_read(s, append, out).kind, FAULT_NONE);
	spill_close(s);
}

static void a_large_body_comes_back_octet_by_octet(void **state)
{
	struct binary_lines lines;
	struct transfer_decoder decoder;
	struct mime_part part;
	struct mime_message *m;
	struct buf octets, out, decoded;
	struct spill s;
	(void)state;

	buf_init(&octets, 1u << 20);
	buf_init(&decoded, 1u << 20);
	(void)buf_append(&octets, SV(HEAD));
	for (uint32_t i = 0, x = 1; i < BODY_LEN; i++, x = x * 1664525u + 1013904223u)
		(void)buf_append_c(&octets, (char)(x >> 24));
	s = spill_of(buf_sv(&octets));
	assert_int_equal(binary_to_lines(&s, folder, &lines).kind, FAULT_NONE);
	assert_null(lines.obstacle);
	assert_int_equal(lines.faults, 0);
	assert_true(lines.longest_line <= 76);
	assert_int_equal(lines.size, s.size);
	read_all(&s, &out);
	m = mime_parse(buf_sv(&out));
	assert_int_equal(m->bare_cr + m->bare_lf + m->nul + m->eight_bit, 0);
	assert_true(mime_part_at(m, 0, &part));
	assert_int_equal(part.encoding, TRANSFER_BASE64);
	transfer_decoder_init(&decoder, part.encoding);
	assert_true(transfer_decoder_feed(&decoder, sv_sub(buf_sv(&out), part.body_offset, part.body_len), &decoded));
	assert_true(transfer_decoder_finish(&decoder, &decoded));
	assert_true(sv_eq(buf_sv(&decoded), sv_sub(buf_sv(&octets), SV(HEAD).len, SIZE_MAX)));
	mime_message_free(&m);
	buf_done(&octets);
	buf_done(&out);
	buf_done(&decoded);
}

static void with_an_obstacle_it_stays_as_it_is(void **state)
{
	struct sv octets = SV("Subject: a\nBcc: b\r\n" HEAD "x");
	struct binary_lines lines;
	struct spill s = spill_of(octets);
	struct buf out;
	(void)state;

	assert_int_equal(binary_to_lines(&s, folder, &lines).kind, FAULT_NONE);
	assert_non_null(lines.obstacle);
	read_all(&s, &out);
	assert_true(sv_eq(buf_sv(&out), octets));
	buf_done(&out);
}

static void long_lines_of_other_parts_are_told(void **state)
{
	struct binary_lines lines;
	struct buf octets;
	struct spill s;
	(void)state;

	buf_init(&octets, 1u << 20);
	(void)buf_append(&octets, SV("Subject: x\r\n\r\n"));
	while (octets.len < DATA_LINE_MAX + 100)
		(void)buf_append(&octets, SV("0123456789"));
	s = spill_of(buf_sv(&octets));
	assert_int_equal(binary_to_lines(&s, folder, &lines).kind, FAULT_NONE);
	assert_int_equal(lines.faults, DATA_LONG_LINE);
	assert_int_equal(lines.longest_line, octets.len - SV("Subject: x\r\n\r\n").len);
	spill_close(&s);
	buf_done(&octets);
}

static void nothing_is_a_message_too(void **state)
{
	struct spill s = SPILL_NONE;
	struct binary_lines lines;
	(void)state;

	assert_int_equal(binary_to_lines(&s, folder, &lines).kind, FAULT_NONE);
	assert_null(lines.obstacle);
	assert_int_equal(lines.size, 0);
	spill_close(&s);
}

static void a_folder_that_cannot_be_written_is_a_fault(void **state)
{
	struct spill s = spill_of(SV(HEAD "x"));
	struct binary_lines lines;
	(void)state;

	assert_int_not_equal(binary_to_lines(&s, "/absent", &lines).kind, FAULT_NONE);
	spill_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_body_comes_back_octet_by_octet),
		cmocka_unit_test(with_an_obstacle_it_stays_as_it_is),
		cmocka_unit_test(long_lines_of_other_parts_are_told),
		cmocka_unit_test(nothing_is_a_message_too),
		cmocka_unit_test(a_folder_that_cannot_be_written_is_a_fault),
	};
	int failed;

	if (!mkdtemp(folder))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
