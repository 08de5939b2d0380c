/* 8-bit messages for servers of 7 bits: what comes out means the same, however the octets are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "smtpd/downgrade.h"

#include "common/banned.h"

#define UE "\xc3\xbc"
#define TEXT "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"

static const struct {
	const char *in, *out;   /* NULL: nothing has to change */
	const char *obstacle;   /* a word of it */
} cases[] = {
	{ "Subject: x\r\n\r\nplain\r\n", NULL, NULL },
	{ TEXT "Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n", NULL, NULL },
	{ TEXT "Content-Transfer-Encoding: 8bit\r\nSubject: x\r\n\r\nGr" UE "n = gut \r\n\r\nund so weiter\t\r\n",
	  TEXT "Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BCn =3D gut=20\r\n\r\nund so weiter=09\r\n", NULL },
	/* Nobody has said what the octets mean (RFC 1428). */
	{ "Subject: x\r\n\r\nGr" UE "n ist gut\r\n",
	  "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
	  "Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BCn ist gut\r\n", NULL },
	/* Mostly 8-bit: shorter in base64. */
	{ TEXT "\r\n" UE UE UE "\r\n", TEXT "Content-Transfer-Encoding: base64\r\n\r\nw7zDvMO8DQo=\r\n", NULL },
	/* Soft line ends: 75 octets and "=". */
	{ TEXT "\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890" UE "\r\n",
	  TEXT "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	  "012345678901234567890123456789012345678901234567890123456789012345678901234=\r\n5678901234567890=C3=BC\r\n", NULL },
	{ "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" UE "!\r\n--b\r\n"
	  "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr" UE "n, gr" UE "n\r\n--b\r\n\r\nplain\r\n--b\r\n"
	  "Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n" UE "\r\n--b--\r\nend " UE "\r\n",
	  "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n?\?!\r\n--b\r\n"
	  "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BCn, gr=C3=BCn\r\n--b\r\n\r\n"
	  "plain\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nw7w=\r\n\r\n--b--\r\nend ?\?\r\n", NULL },
	/* A line that is cut there begins like a boundary. */
	{ TEXT "\r\n" UE "234567890123456789012345678901234567890123456789012345678901234567890--b\r\n",
	  TEXT "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	  "=C3=BC234567890123456789012345678901234567890123456789012345678901234567890=\r\n=2D-b\r\n", NULL },
	/* A blank at the end of a part, and of the message. */
	{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nGr" UE "n ist \r\n--b\r\n\r\nauch gr" UE "n\t",
	  "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BCn ist=20\r\n--b\r\n"
	  "Content-Transfer-Encoding: quoted-printable\r\n\r\nauch gr=C3=BCn=09", NULL },
	/* A message in the message. */
	{ "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: in\r\nContent-Type: text/plain\r\n"
	  "\r\nGr" UE "n ist gut\r\n",
	  "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: in\r\nContent-Type: text/plain\r\n"
	  "MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BCn ist gut\r\n", NULL },
	/* What is signed may be there, as long as it has 7 bits. */
	{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n"
	  "Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n--c--\r\n\r\n--b\r\n\r\nGr" UE "n ist gut\r\n--b--\r\n",
	  "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n"
	  "Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n--c--\r\n\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	  "Gr=C3=BCn ist gut\r\n--b--\r\n", NULL },
	{ "Content-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n\r\nGr" UE "n\r\n--c--\r\n", NULL, "multipart/signed" },
	{ "Subject: gr" UE "n\r\n\r\nx\r\n", NULL, "header" },
	{ "Content-Type: message/rfc822\r\n\r\nSubject: gr" UE "n\r\n\r\nx\r\n", NULL, "header" },
	{ "Content-Type: message/partial; id=x\r\n\r\ngr" UE "n\r\n", NULL, "may not be encoded" },
	{ "Content-Type: multipart/mixed\r\n\r\ngr" UE "n\r\n", NULL, "may not be encoded" },
	{ "Content-Transfer-Encoding: base64\r\n\r\ngr" UE "n\r\n", NULL, "may not be encoded" },
	{ "Content-Transfer-Encoding: x-new\r\n\r\ngr" UE "n\r\n", NULL, "may not be encoded" },
	{ "DKIM-Signature: v=1; d=a.test\r\n\r\ngr" UE "n\r\n", NULL, "DKIM" },
	{ "ARC-Seal: i=1; d=a.test\r\n\r\ngr" UE "n\r\n", NULL, "DKIM" },
};

/* Messages of octets (RFC 3030), as lines. */
#define MIXED "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: "
#define PNG(how) "Content-Type: image/png\r\nContent-Transfer-Encoding: " how "\r\n\r\n"
#define FROM_BINARY(in, out) { SV_INIT(in), SV_INIT(out), NULL }
#define NO_LINES(in, obstacle) { SV_INIT(in), SV_INIT(""), obstacle }

static const struct {
	struct sv in, out;
	const char *obstacle;   /* a word of it */
} binary_cases[] = {
	/* Nothing of it is binary. */
	FROM_BINARY(TEXT "Content-Transfer-Encoding: 8bit\r\n\r\nGr" UE "n\r\n\r\n.\r\nx", TEXT "Content-Transfer-Encoding: 8bit\r\n\r\nGr" UE "n\r\n\r\n.\r\nx"),
	FROM_BINARY("", ""),
	FROM_BINARY("Subject: x\r\n", "Subject: x\r\n"),
	FROM_BINARY("From " UE "\r\nno field\r\nSubject: x\r\n\r\ny\r\n", "From " UE "\r\nno field\r\nSubject: x\r\n\r\ny\r\n"),
	/* Every octet of it comes back: line ends of all kinds, the end of DATA, NUL. */
	FROM_BINARY(MIXED "binary\r\n\r\n" UE "\r\n--b\r\n" PNG("binary") "\n\r\0\r\n.\r\n\r\r\n--b\r\n" PNG("8bit") UE "\r\n--b--\r\n" UE,
		    MIXED "8bit\r\n\r\n" UE "\r\n--b\r\n" PNG("base64") "Cg0ADQouDQoN\r\n\r\n--b\r\n" PNG("8bit") UE "\r\n--b--\r\n" UE),
	/* Behind a bare LF there is no boundary, and no header line. */
	FROM_BINARY(MIXED "7bit\r\n\r\n--b\r\n" PNG("binary") "\n--b\nX: y\n\n--b--\n\r\n--b--\r\n",
		    MIXED "7bit\r\n\r\n--b\r\n" PNG("base64") "Ci0tYgpYOiB5CgotLWItLQo=\r\n\r\n--b--\r\n"),
	/* Text stays readable where it is text. */
	FROM_BINARY("MIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n\r\nGr" UE "n ist \r\ngut\r\n",
		    "MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BCn ist=20\r\ngut\r\n"),
	FROM_BINARY("MIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n\r\na\0b\0", "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nYQBiAA==\r\n"),
	/* A message in the message; what is signed; what may not be encoded. */
	FROM_BINARY("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\nSubject: gr" UE "n\r\n" PNG("binary") "\n",
		    "Content-Type: message/rfc822\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: gr" UE "n\r\nContent-Type: image/png\r\n"
		    "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nCg==\r\n"),
	FROM_BINARY("DKIM-Signature: v=1; d=a.test\r\nContent-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n" PNG("binary") UE "\r\n--c--\r\n",
		    "DKIM-Signature: v=1; d=a.test\r\nContent-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n" PNG("binary") UE "\r\n--c--\r\n"),
	NO_LINES("Content-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n" PNG("binary") "\n\r\n--c--\r\n", "outside"),
	NO_LINES("Content-Type: multipart/mixed\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb\r\n", "outside"),
	NO_LINES("Content-Type: message/partial; id=x\r\nContent-Transfer-Encoding: binary\r\n\r\na\0b\r\n", "outside"),
	/* A header's lines end in CRLF, whatever it says of the body. */
	NO_LINES("Subject: x\nBcc: y\r\n" PNG("binary") "z", "outside"),
	NO_LINES("Subject: x\r\n" "Content-Transfer-Encoding: binary\r\n\nz", "outside"),
	NO_LINES("Subject: x\rBcc: y\r\n" PNG("binary") "z", "outside"),
	NO_LINES("Subject: x\0\r\n" PNG("binary") "z", "outside"),
	NO_LINES(MIXED "binary\r\n\r\na\nb\r\n--b\r\n" PNG("binary") "z\r\n--b--\r\n", "outside"),
	NO_LINES(MIXED "binary\r\n\r\n--b\r\n" PNG("binary") "z\r\n--b--\r\na\r", "outside"),
	NO_LINES(MIXED "binary\r\n\r\n--b\r\n\r\na\nb\r\n--b--\r\n", "outside"),
};

/* convert - cut at `cut`; false: there is nothing to do. */
static bool convert_by(struct downgrade *d, struct sv in, size_t cut, struct buf *out, const char **obstacle, bool *was_ours)
{
	bool is_needed;

	*obstacle = NULL;
	downgrade_parse(d, sv_sub(in, 0, cut));
	downgrade_parse(d, sv_sub(in, cut, SIZE_MAX));
	is_needed = downgrade_parsed(d);
	if (is_needed) {
		downgrade_count(d, sv_sub(in, 0, cut));
		downgrade_count(d, sv_sub(in, cut, SIZE_MAX));
		*obstacle = downgrade_obstacle(d);
		*was_ours = downgrade_was_ours(d);
	}
	for (int twice = 0; twice < 2 && is_needed && !*obstacle; twice++) {
		buf_clear(out);
		downgrade_begin(d);
		assert_true(downgrade_feed(d, sv_sub(in, 0, cut), byte_sink_buf, out));
		assert_true(downgrade_feed(d, sv_sub(in, cut, SIZE_MAX), byte_sink_buf, out));
		assert_true(downgrade_end(d, byte_sink_buf, out));
	}
	downgrade_free(&d);
	return is_needed;
}

static bool convert(struct sv in, uint64_t top_len, size_t cut, struct buf *out, const char **obstacle, bool *was_ours)
{
	return convert_by(downgrade_new(top_len), in, cut, out, obstacle, was_ours);
}

static void what_came_as_octets_becomes_lines_wherever_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(binary_cases); i++) {
		struct sv in = binary_cases[i].in;

		for (size_t cut = 0; cut <= in.len; cut++) {
			const char *obstacle;
			struct buf out;
			bool was_ours;

			buf_init(&out, 10000);
			assert_true(convert_by(downgrade_new_lines(), in, cut, &out, &obstacle, &was_ours));
			if (!obstacle != !binary_cases[i].obstacle)
				fail_msg("case %zu cut at %zu: %s", i, cut, obstacle ? obstacle : "no obstacle");
			if (obstacle)
				assert_true(sv_search(sv_z(obstacle), sv_z(binary_cases[i].obstacle)) != SIZE_MAX);
			else if (!sv_eq(buf_sv(&out), binary_cases[i].out))
				fail_msg("case %zu cut at %zu: %.*s", i, cut, SV_FMT(buf_sv(&out)));
			buf_done(&out);
		}
	}
}

static void what_has_8_bits_has_7_afterwards_wherever_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv in = sv_z(cases[i].in);

		for (size_t cut = 0; cut <= in.len; cut++) {
			const char *obstacle;
			struct buf out;
			bool is_needed, was_ours;

			buf_init(&out, 10000);
			is_needed = convert(in, 0, cut, &out, &obstacle, &was_ours);
			if (is_needed != (cases[i].out || cases[i].obstacle))
				fail_msg("case %zu cut at %zu: %d", i, cut, is_needed);
			if (cases[i].obstacle)
				assert_true(obstacle && sv_search(sv_z(obstacle), sv_z(cases[i].obstacle)) != SIZE_MAX);
			else if (obstacle)
				fail_msg("case %zu: %s", i, obstacle);
			if (cases[i].out && !sv_eq(buf_sv(&out), sv_z(cases[i].out)))
				fail_msg("case %zu cut at %zu: %.*s", i, cut, SV_FMT(buf_sv(&out)));
			buf_done(&out);
		}
	}
}

#define OURS "DKIM-Signature: v=1; d=ours.test;\r\n\tb=x\r\n"

static void signatures_of_ours_go_and_those_of_others_are_an_obstacle(void **state)
{
	struct sv in = SV(OURS "ARC-Seal: i=1\r\nFrom: a@ours.test\r\n\r\nGr" UE "n ist gut\r\n");
	size_t top = SV(OURS "ARC-Seal: i=1\r\n").len;
	const char *obstacle;
	struct buf out;
	bool was_ours = false;
	(void)state;

	buf_init(&out, 10000);
	assert_true(convert(in, top, 20, &out, &obstacle, &was_ours));
	assert_null(obstacle);
	assert_true(was_ours);
	assert_true(sv_starts(buf_sv(&out), SV("From: a@ours.test\r\nMIME-Version: 1.0\r\n")));
	was_ours = false;
	assert_true(convert(in, SV(OURS).len, 20, &out, &obstacle, &was_ours));
	assert_non_null(obstacle);
	buf_done(&out);
}

static bool full(void *ctx, struct sv octets)
{
	(void)ctx;
	(void)octets;
	return false;
}

static void a_sink_that_is_full_ends_it(void **state)
{
	struct downgrade *d = downgrade_new(0);
	struct sv in = sv_z(cases[3].in);
	(void)state;

	downgrade_parse(d, in);
	assert_true(downgrade_parsed(d));
	downgrade_count(d, in);
	assert_null(downgrade_obstacle(d));
	downgrade_begin(d);
	assert_false(downgrade_feed(d, in, full, NULL));
	assert_false(downgrade_end(d, full, NULL));
	downgrade_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_8_bits_has_7_afterwards_wherever_it_is_cut),
		cmocka_unit_test(what_came_as_octets_becomes_lines_wherever_it_is_cut),
		cmocka_unit_test(signatures_of_ours_go_and_those_of_others_are_an_obstacle),
		cmocka_unit_test(a_sink_that_is_full_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
