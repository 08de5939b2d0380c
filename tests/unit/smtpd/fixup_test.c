/* What submission mends in a header: whole and cut at every octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "smtpd/fixup.h"

#define DATE "Date: D\r\n"
#define ID "Message-ID: <i>\r\n"

static const struct { const char *in, *out;
} cases[] = {
	{ "Subject: a\r\n\r\nbody\r\n", "Subject: a\r\n" DATE ID "\r\nbody\r\n" },
	{ "Date: x\r\nMessage-Id: y\r\n\r\nBcc: stays\r\n",
	  "Date: x\r\nMessage-Id: y\r\n\r\nBcc: stays\r\n" },
	{ "Date: x\r\n\r\n", "Date: x\r\n" ID "\r\n" },
	{ "message-ID: x\r\nTo: b\r\n\r\n", "message-ID: x\r\nTo: b\r\n" DATE "\r\n" },
	{ "Bcc: a@b\r\nTo: c\r\n\r\n", "To: c\r\n" DATE ID "\r\n" },
	{ "To: c\r\nBCC : a@b,\r\n\tc@d\r\n e@f\r\nCc: g\r\n\r\n",
	  "To: c\r\nCc: g\r\n" DATE ID "\r\n" },
	{ "Resent-Bcc: a\r\nReturn-Path: <x>\r\nBccX: kept\r\n\r\n",
	  "BccX: kept\r\n" DATE ID "\r\n" },
	{ "Bcc:\r\nDate: 1\r\nMessage-ID: 2\r\n\r\n", "Date: 1\r\nMessage-ID: 2\r\n\r\n" },
	{ "X-Long-Name-Beyond-All-Reason: y\r\n\r\n",
	  "X-Long-Name-Beyond-All-Reason: y\r\n" DATE ID "\r\n" },
	{ "\r\nbody only", DATE ID "\r\nbody only" },
	{ "", DATE ID },
	{ "To: x\r\n", "To: x\r\n" DATE ID },
	{ "To: x", "To: x\r\n" DATE ID },
	{ "Bcc: x", DATE ID },
	{ "no colon here\r\nTo: x\r\n\r\n", "no colon here\r\nTo: x\r\n" DATE ID "\r\n" },
	{ "a\r\n\r\n", "a\r\n" DATE ID "\r\n" },
	{ " fold first\r\nDate: x\r\nMessage-ID: y\r\n\r\n",
	  " fold first\r\nDate: x\r\nMessage-ID: y\r\n\r\n" },
	{ ": empty name\r\n\r\n", ": empty name\r\n" DATE ID "\r\n" },
};

/* run - in two pieces, from heap copies of their exact size. */
static void run(struct sv in, size_t cut, struct buf *out)
{
	struct fixup f;
	char *a = xmalloc(cut + 1), *b = xmalloc(in.len - cut + 1);

	memcpy(a, in.p, cut);
	memcpy(b, in.p + cut, in.len - cut);
	fixup_init(&f, SV(DATE), SV(ID), byte_sink_buf, out);
	assert_true(fixup_feed(&f, sv_from(a, cut)));
	assert_true(fixup_feed(&f, sv_from(b, in.len - cut)));
	assert_true(fixup_finish(&f));
	free(a);
	free(b);
}

static void missing_fields_are_added_and_private_ones_taken_out_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= strlen(cases[i].in); cut++) {
			struct buf out;

			buf_init(&out, 4096);
			run(sv_z(cases[i].in), cut, &out);
			assert_string_equal(buf_z(&out), cases[i].out);
			buf_done(&out);
		}
}

static void a_devices_message_without_author_gets_one(void **state)
{
	static const struct { const char *in, *out; } more[] = {
		{ "Subject: a\r\n\r\nb", "Subject: a\r\n" DATE ID "From: <s@b>\r\n\r\nb" },
		{ "FROM: <x@y>\r\n\r\n", "FROM: <x@y>\r\n" DATE ID "\r\n" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		struct fixup f;
		struct buf out;

		buf_init(&out, 4096);
		fixup_init(&f, SV(DATE), SV(ID), byte_sink_buf, &out);
		f.from = SV("From: <s@b>\r\n");
		assert_true(fixup_feed(&f, sv_z(more[i].in)) && fixup_finish(&f));
		assert_string_equal(buf_z(&out), more[i].out);
		buf_done(&out);
	}
}

static bool full(void *ctx, struct sv run_of_octets)
{
	(void)ctx;
	(void)run_of_octets;
	return false;
}

static void a_full_sink_is_reported(void **state)
{
	struct fixup f;
	(void)state;
	fixup_init(&f, SV(DATE), SV(ID), full, NULL);
	assert_false(fixup_feed(&f, SV("Subject: x\r\n\r\n")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			missing_fields_are_added_and_private_ones_taken_out_however_it_is_cut),
		cmocka_unit_test(a_devices_message_without_author_gets_one),
		cmocka_unit_test(a_full_sink_is_reported),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
