/* Sections of messages: from BODY[...] to octets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/section.h"
#include "tests/unit/imapd/parsed.h"

static const char message[] =
	"From: a@x\r\n"
	"Subject: one\r\n two\r\n"
	"X-Own : kept\r\n"
	"Content-Type: multipart/mixed; boundary=b\r\n"
	"\r\n"
	"--b\r\n"
	"Content-Type: text/plain\r\n"
	"\r\n"
	"hello\r\n"
	"--b\r\n"
	"Content-Type: message/rfc822\r\n"
	"\r\n"
	"Subject: inner\r\n"
	"To: c@x\r\n"
	"\r\n"
	"inside\r\n"
	"--b--\r\n";

struct reading {
	struct grammar g;
	struct arena arena;
	struct section section;
	bool is_good;
	struct args rest;
};

static void read_section(struct reading *r, const char *text)
{
	arena_init(&r->arena, 1 << 20);
	r->rest = parsed(&r->g, text);
	r->is_good = section_read(&r->rest, &r->arena, &r->section) && args_end(&r->rest);
}

static void reading_done(struct reading *r)
{
	grammar_done(&r->g);
	arena_done(&r->arena);
}

static void sections_are_read_and_named_as_the_grammar_says(void **state)
{
	static const struct { const char *text, *label; } cases[] = {
		{ "BODY[]", "BODY[]" }, { "body.peek[]", "BODY[]" }, { "BODY[]<0.100>", "BODY[]<0>" },
		{ "BODY[1.2.3]", "BODY[1.2.3]" }, { "BODY[HEADER]", "BODY[HEADER]" }, { "BODY[text]<5.1>", "BODY[TEXT]<5>" },
		{ "BODY[1.MIME]", "BODY[1.MIME]" }, { "BODY[2.HEADER]", "BODY[2.HEADER]" },
		{ "BODY[HEADER.FIELDS (From To)]", "BODY[HEADER.FIELDS (From To)]" },
		{ "BODY[header.fields.not (\"X-A\")]<0.9>", "BODY[HEADER.FIELDS.NOT (X-A)]<0>" },
		{ "BODY[3.HEADER.FIELDS (a b c)]", "BODY[3.HEADER.FIELDS (a b c)]" },
		{ "BINARY[]", "BINARY[]" }, { "binary.peek[1.2]<5.9>", "BINARY[1.2]<5>" },
		{ "BINARY.SIZE[2]", "BINARY.SIZE[2]" }, { "BINARY.SIZE[]", "BINARY.SIZE[]" },
		{ "BINARY.SIZE[2]<0.1>", NULL }, { "BINARY[TEXT]", NULL }, { "BINARY[1.MIME]", NULL },
		{ "BINARY[1.]", NULL }, { "BINARY[HEADER.FIELDS (a)]", NULL }, { "BINARY.PEEK.SIZE[1]", NULL },
		{ "BODY[", NULL }, { "BODY[]x", NULL }, { "BODY[]<0>", NULL }, { "BODY[]<0.0>", NULL }, { "BODY[]<.5>", NULL },
		{ "BODY[0]", NULL }, { "BODY[1.]", NULL }, { "BODY[.1]", NULL }, { "BODY[MIME]", NULL }, { "BODY[1.0]", NULL },
		{ "BODY[HEADER.FIELDS]", NULL }, { "BODY[HEADER.FIELDS ()]", NULL }, { "BODY[HEADER.FIELDS (a)", NULL },
		{ "BODY[HEADER.FIELDS (a) ]", NULL }, { "BODY[HEADER.FIELDS (a (b))]", NULL }, { "BODY[TEXT.1]", NULL },
		{ "BODY[4294967296]", NULL }, { "BODYX[]", NULL }, { "BODY[]<1.2>3", NULL }, { "BODY[x]", NULL },
		{ "BODY[]<99999999999999999999.1>", NULL }, { "BODY[HEADER.FIELDS (\"\")]", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct reading r = { 0 };

		read_section(&r, cases[i].text);
		if (r.is_good != (cases[i].label != NULL))
			fail_msg("%s", cases[i].text);
		if (r.is_good && !sv_eq(r.section.label, sv_z(cases[i].label)))
			fail_msg("%s: label %.*s", cases[i].text, SV_FMT(r.section.label));
		reading_done(&r);
	}
}

/* fetch - the octets of a section, read as FETCH does; "NIL" when there is none. */
static void fetch(const char *text, struct buf *out)
{
	struct mime_message *m = mime_parse(sv_from(message, sizeof(message) - 1));
	struct reading r = { 0 };
	struct sv file = sv_from(message, sizeof(message) - 1);

	read_section(&r, text);
	assert_true(r.is_good);
	struct section_place at = section_find(&r.section, m, file.len, out);

	switch (at.source) {
	case SECTION_NIL:
		buf_append(out, SV("NIL"));
		break;
	case SECTION_OCTETS:
		break;
	case SECTION_SLICE:
		assert_true(at.offset + at.len <= file.len);
		buf_append(out, sv_sub(file, (size_t)at.offset, (size_t)at.len));
		break;
	case SECTION_ENCODED:
	case SECTION_PREVIEW:
	case SECTION_UNKNOWN:
		fail_msg("%s", text);
		break;
	case SECTION_HEADER:
		assert_true(section_filter(&r.section, sv_sub(file, (size_t)at.offset, (size_t)at.len), out));
		break;
	}
	reading_done(&r);
	mime_message_free(&m);
}

static void sections_are_the_octets_of_the_message(void **state)
{
	static const struct { const char *section, *want; } cases[] = {
		{ "BODY[]", message },
		{ "BODY[]<0.9>", "From: a@x" },
		{ "BODY[]<6.3>", "a@x" },
		{ "BODY[]<100000.5>", "" },
		{ "BODY[1]", "hello" },
		{ "BODY[1]<1.3>", "ell" },
		{ "BODY[1]<3.100>", "lo" },
		{ "BODY[1.MIME]", "Content-Type: text/plain\r\n\r\n" },
		{ "BODY[2]", "Subject: inner\r\nTo: c@x\r\n\r\ninside" },
		{ "BODY[2.HEADER]", "Subject: inner\r\nTo: c@x\r\n\r\n" },
		{ "BODY[2.TEXT]", "inside" },
		{ "BODY[2.1]", "inside" },
		{ "BODY[2.HEADER.FIELDS (to)]", "To: c@x\r\n\r\n" },
		{ "BODY[3]", "NIL" },
		{ "BODY[1.HEADER]", "NIL" },
		{ "BODY[HEADER.FIELDS (SUBJECT)]", "Subject: one\r\n two\r\n\r\n" },
		{ "BODY[HEADER.FIELDS (x-own)]", "X-Own : kept\r\n\r\n" },
		{ "BODY[HEADER.FIELDS (From Nothing)]", "From: a@x\r\n\r\n" },
		{ "BODY[HEADER.FIELDS (Nothing)]", "\r\n" },
		{ "BODY[HEADER.FIELDS (From)]<6.3>", "a@x" },
		{ "BODY[HEADER.FIELDS.NOT (From Content-Type X-Own)]", "Subject: one\r\n two\r\n\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = { .max = 10000 };

		fetch(cases[i].section, &out);
		if (!sv_eq(buf_sv(&out), sv_z(cases[i].want)))
			fail_msg("%s: got '%s'", cases[i].section, buf_z(&out));
		buf_done(&out);
	}
}

static void a_header_that_ends_in_the_middle_of_a_line_still_ends_in_an_empty_one(void **state)
{
	struct reading r = { 0 };
	struct buf out = { .max = 1000 };

	(void)state;
	read_section(&r, "BODY[HEADER.FIELDS (A)]");
	assert_true(section_filter(&r.section, SV("A: b\r\nno field\r\n cont\r\nA: c"), &out));
	assert_string_equal(buf_z(&out), "A: b\r\nA: c\r\n\r\n");
	buf_clear(&out);
	assert_true(section_filter(&r.section, SV_NONE, &out));
	assert_string_equal(buf_z(&out), "\r\n");
	buf_done(&out);
	reading_done(&r);
}

static void the_old_names_mean_the_same_sections(void **state)
{
	struct section s;

	(void)state;
	assert_true(section_named(SV("rfc822"), &s) && !s.is_peek && s.what == MIME_SECTION_BODY);
	assert_true(section_named(SV("RFC822.HEADER"), &s) && s.is_peek && s.what == MIME_SECTION_HEADER);
	assert_true(section_named(SV("RFC822.TEXT"), &s) && !s.is_peek && s.what == MIME_SECTION_TEXT);
	assert_false(section_named(SV("RFC822.SIZE"), &s));
}

static void decoded_sections_are_parts_and_their_encoding(void **state)
{
	static const char text[] =
		"Content-Type: multipart/mixed; boundary=b\r\n"
		"Content-Transfer-Encoding: base64\r\n"
		"\r\n"
		"--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n"
		"--b\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nhi\r\n"
		"--b\r\nContent-Type: message/rfc822\r\n\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n=41\r\n"
		"--b--\r\n";
	static const struct {
		const char *section;
		enum section_source source;
		enum transfer encoding;
		const char *raw;
	} cases[] = {
		{ "BINARY[]", SECTION_ENCODED, TRANSFER_BINARY, text },
		{ "BINARY[1]", SECTION_ENCODED, TRANSFER_BASE64, "aGk=" },
		{ "BINARY.PEEK[1]<1.1>", SECTION_ENCODED, TRANSFER_BASE64, "aGk=" },
		{ "BINARY.SIZE[1]", SECTION_ENCODED, TRANSFER_BASE64, "aGk=" },
		{ "BINARY[2]", SECTION_UNKNOWN, TRANSFER_OTHER, NULL },
		{ "BINARY[3]", SECTION_ENCODED, TRANSFER_BINARY,
		  "Content-Transfer-Encoding: quoted-printable\r\n\r\n=41" },
		{ "BINARY[3.1]", SECTION_ENCODED, TRANSFER_QUOTED_PRINTABLE, "=41" },
		{ "BINARY[4]", SECTION_NIL, TRANSFER_7BIT, NULL },
	};
	struct mime_message *m = mime_parse(sv_from(text, sizeof(text) - 1));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct reading r = { 0 };

		read_section(&r, cases[i].section);
		assert_true(r.is_good);
		struct section_place at = section_find(&r.section, m, sizeof(text) - 1, NULL);

		assert_int_equal(at.source, cases[i].source);
		if (cases[i].raw) {
			assert_int_equal(at.encoding, cases[i].encoding);
			assert_true(sv_eq(sv_sub(sv_from(text, sizeof(text) - 1), (size_t)at.offset, (size_t)at.len), sv_z(cases[i].raw)));
		}
		reading_done(&r);
	}
	mime_message_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoded_sections_are_parts_and_their_encoding),
		cmocka_unit_test(sections_are_read_and_named_as_the_grammar_says),
		cmocka_unit_test(sections_are_the_octets_of_the_message),
		cmocka_unit_test(a_header_that_ends_in_the_middle_of_a_line_still_ends_in_an_empty_one),
		cmocka_unit_test(the_old_names_mean_the_same_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
