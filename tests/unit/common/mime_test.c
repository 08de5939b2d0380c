/* The MIME parser: one pass over ugly messages at every cut, answers in the grammar of IMAP, limits, the stored form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/crc32c.h"
#include "common/memory.h"
#include "common/mime.h"
#include "tests/unit/support/imap_grammar.h"

#define S SV_INIT
#define NIL_ENV "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
#define TEXT(octets, lines) "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" " octets " " lines ")"

static const struct message_case {
	struct sv message, envelope, body;      /* empty: not looked at */
} cases[] = {
	{ S(""), S(NIL_ENV), S(TEXT("0", "0")) },
	{ S("\r\n"), S(NIL_ENV), S(TEXT("0", "0")) },
	{ S("\n"), S(NIL_ENV), S(TEXT("0", "0")) },
	{ S("x"), S(NIL_ENV), S(TEXT("0", "0")) },
	{ S("\r\nbody\r\n"), S(NIL_ENV), S(TEXT("6", "1")) },
	{ S("\nbody\n\nmore"), S(NIL_ENV), S(TEXT("12", "2")) },
	{ S("Subject: a\r\n\r\n"), S("(NIL \"a\" NIL NIL NIL NIL NIL NIL NIL NIL)"), S(TEXT("0", "0")) },
	{ S("Subject:\r\nDate: \r\nMessage-ID:\r\nIn-Reply-To:\r\n\r\n"), S("(\"\" \"\" NIL NIL NIL NIL NIL NIL \"\" \"\")"), S("") },
	{ S("Subject: a\r\n \"b\\\r\n\tc\r\n\r\n"), S("(NIL \"a \\\"b\\\\\tc\" NIL NIL NIL NIL NIL NIL NIL NIL)"), S("") },
	{ S("Subject: \xc3\xa4\0\xff\r\n\r\n"), S("(NIL {4}\r\n\xc3\xa4 \xff NIL NIL NIL NIL NIL NIL NIL NIL)"), S("") },
	{ S("Subject: a\rb\r\n\r\n"), S("(NIL \"a b\" NIL NIL NIL NIL NIL NIL NIL NIL)"), S("") },
	{ S("Subject: one\r\nSubject: two\r\n\r\n"), S("(NIL \"one\" NIL NIL NIL NIL NIL NIL NIL NIL)"), S("") },
	{ S("From: A <a@b>\r\nFrom: c@d\r\n\r\n"),
	  S("(NIL NIL ((\"A\" NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) ((\"A\" NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) "
	    "((\"A\" NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) NIL NIL NIL NIL NIL)"), S("") },
	{ S("From: a@b\r\nSender: s@t\r\nReply-To: <@r:x@y>\r\nTo: g:q@w;, e\r\nCc: ,\r\nBcc: z@z\r\nIn-Reply-To: <i@i>\r\n"
	    "Message-ID: <m@m>\r\nDate: today\r\n\r\n"),
	  S("(\"today\" NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"s\" \"t\")) ((NIL \"@r\" \"x\" \"y\")) "
	    "((NIL NIL \"g\" NIL)(NIL NIL \"q\" \"w\")(NIL NIL NIL NIL)(NIL NIL \"e\" \"\")) NIL ((NIL NIL \"z\" \"z\")) "
	    "\"<i@i>\" \"<m@m>\")"), S("") },
	{ S("no header at all\r\n\r\nx"), S(NIL_ENV), S(TEXT("1", "0")) },
	{ S("From x@y Fri Nov 21 1997\nSubject: a\n\nb\n"), S("(NIL \"a\" NIL NIL NIL NIL NIL NIL NIL NIL)"), S(TEXT("3", "1")) },
	{ S("Content-Type: text/html; charset=\"utf-8\"\r\nContent-ID: <x@y>\r\nContent-Description: a b\r\n"
	    "Content-Transfer-Encoding: Quoted-Printable\r\nContent-MD5: Q2hlY2s=\r\nContent-Language: en, de\r\n"
	    "Content-Location: http://x/\r\nContent-Disposition: inline\r\n\r\nx=\r\n"),
	  S(""), S("(\"text\" \"html\" (\"charset\" \"utf-8\") \"<x@y>\" \"a b\" \"quoted-printable\" 4 1)") },
	{ S("Content-Type: nonsense\r\n\r\n"), S(""), S("(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)") },
	{ S("Content-Type: application/x\r\nContent-Transfer-Encoding: x-uue (c)\r\n\r\nabc"), S(""),
	  S("(\"application\" \"x\" NIL NIL NIL \"x-uue\" 3)") },
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"), S(""),
	  S("(" TEXT("3", "0") TEXT("3", "0") " \"mixed\")") },
	/* the last delimiter is missing, cut, or has no line end */
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none"), S(""), S("(" TEXT("3", "0") " \"mixed\")") },
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--"), S(""), S("(" TEXT("3", "0") " \"mixed\")") },
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b"), S(""),
	  S("(" TEXT("3", "0") TEXT("0", "0") " \"mixed\")") },
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--"), S(""), S("(" TEXT("7", "1") " \"mixed\")") },
	/* no parts */
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing"), S(""),
	  S("((\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0) \"mixed\")") },
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n"), S(""),
	  S("((\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0) \"mixed\")") },
	{ S("Content-Type: multipart/mixed; boundary=b\r\n"), S(""), S("((\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0) \"mixed\")") },
	{ S("Content-Type: multipart/mixed\r\n\r\n--\r\nx"), S(""), S("(\"text\" \"plain\" NIL NIL NIL \"7bit\" 5 1)") },
	/* bare line feeds count as two */
	{ S("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\nmore\n--b\n\n\n--b--\nx"), S(""),
	  S("(" TEXT("9", "1") TEXT("0", "0") " \"mixed\")") },
	/* a header that a delimiter ends; a delimiter inside a header is none of an outer text */
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n--b\r\n\r\nx\r\n--b--"), S(""),
	  S("((\"text\" \"html\" NIL NIL NIL \"7bit\" 0 0)" TEXT("1", "0") " \"mixed\")") },
	{ S("Content-Type: multipart/mixed; boundary=b\r\n--b\r\n\r\nx"), S(""),
	  S("((\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0) \"mixed\")") },
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--bX: y\r\n--x\r\n\r\nx\r\n--b--"), S(""),
	  S("(" TEXT("1", "0") " \"mixed\")") },
	/* one boundary begins like another; white space behind it */
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b \t \r\nContent-Type: multipart/alternative; boundary=bb\r\n\r\n"
	    "--bb\r\n\r\nin\r\n--bb--\r\n--b\r\n\r\nout\r\n--b--\r\n"), S(""),
	  S("((" TEXT("2", "0") " \"alternative\")" TEXT("3", "0") " \"mixed\")") },
	{ S("Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
	    "--b\r\n\r\nin\r\n--bb\r\n\r\nout\r\n--bb--\r\n"), S(""),
	  S("((" TEXT("2", "0") " \"alternative\")" TEXT("3", "0") " \"mixed\")") },
	{ S("Content-Type: multipart/mixed; boundary=\"a b \"\r\n\r\n--a b\r\n\r\nx\r\n--a b--"), S(""), S("(" TEXT("1", "0") " \"mixed\")") },
	/* text behind the last delimiter, and a delimiter after it */
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\n1\r\n--b--\r\npost\r\n--b\r\n\r\n2\r\n"), S(""),
	  S("(" TEXT("1", "0") " \"mixed\")") },
	/* messages in messages */
	{ S("Content-Type: message/rfc822\r\n\r\nSubject: in\r\nFrom: a@b\r\n\r\nhello\r\n"), S(NIL_ENV),
	  S("(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 33 (NIL \"in\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) "
	    "((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL NIL) " TEXT("7", "1") " 4)") },
	{ S("Content-Type: message/rfc822\r\n\r\n"), S(NIL_ENV),
	  S("(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " NIL_ENV " " TEXT("0", "0") " 0)") },
	{ S("Content-Type: message/rfc822\r\n"), S(NIL_ENV),
	  S("(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " NIL_ENV " " TEXT("0", "0") " 0)") },
	{ S("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: d\r\n\r\nx\r\n--b\r\nContent-Type: text/plain\r\n\r\ny"
	    "\r\n--b--\r\n"), S(NIL_ENV),
	  S("((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 15 (NIL \"d\" NIL NIL NIL NIL NIL NIL NIL NIL) " TEXT("1", "0") " 2)"
	    "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 0) \"digest\")") },
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: cut\r\n--b\r\n\r\nx"), S(""),
	  S("((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 12 (NIL \"cut\" NIL NIL NIL NIL NIL NIL NIL NIL) " TEXT("0", "0") " 0)"
	    TEXT("1", "0") " \"mixed\")") },
	{ S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n--b--"), S(""),
	  S("((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " NIL_ENV " " TEXT("0", "0") " 0) \"mixed\")") },
	{ S("Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
	    "--b\r\n\r\nx\r\n--b--\r\n"), S(""), S("") },
	/* parameters: 8-bit, RFC 2231, quotes; dispositions */
	{ S("Content-Type: image/png; name=\"\xe4\\\"\\\\\"; Foo=bar\r\nContent-Disposition: Attachment;\r\n"
	    " filename*0*=utf-8''a%20; filename*1=\"b c\"; size=3\r\nContent-Language:  ,\r\n\r\n"), S(""),
	  S("(\"image\" \"png\" (\"name\" {3}\r\n\xe4\"\\ \"foo\" \"bar\") NIL NIL \"7bit\" 0)") },
	{ S("Content-Type: text/plain; boundary=b\r\nContent-Disposition: ;x\r\n\r\n--b\r\n\r\n--b--"), S(""),
	  S("(\"text\" \"plain\" (\"boundary\" \"b\") NIL NIL \"7bit\" 12 2)") },
	/* strange octets */
	{ S("A: b\r\n\r\n\0\xff\r\r\n\r"), S(NIL_ENV), S(TEXT("6", "1")) },
	{ S("A: b\r\n\r\r\n\r\nx"), S(NIL_ENV), S(TEXT("1", "0")) },
	{ S("Content-Type: multipart/mixed; boundary=b\r\r\n\r\n--b\r\r\n\r\nx\r\r\n--b--\r\r\n"), S(""), S("") },
	{ S("Content-Type: multipart/mixed; boundary=-\r\n\r\n---\r\n\r\n-\r\n----\r\n\r\n-----\r\n"), S(""), S("") },
};

static void assert_sv(struct sv got, struct sv want, struct sv of)
{
	if (!sv_eq(got, want))
		fail_msg("'%.*s':\ngot    '%.*s'\nwanted '%.*s'", SV_FMT(of), SV_FMT(got), SV_FMT(want));
}

static struct mime_message *parse_cut(struct sv message, size_t first, size_t step)
{
	struct mime_parser *p = mime_parser_new();
	size_t at = 0;

	while (at < message.len || !at) {
		size_t want = at ? step : first;
		struct sv piece = sv_sub(message, at, want);
		char *copy = malloc(piece.len ? piece.len : 1); /* of the exact size: too far is an ASan report */
		memcpy(copy, piece.p ? piece.p : "", piece.len);
		mime_parser_feed(p, sv_from(copy, piece.len));
		free(copy);
		at += piece.len;
		if (!message.len || !want) {
			mime_parser_feed(p, message);
			break;
		}
	}
	struct mime_message *m = mime_parser_finish(p);
	mime_parser_free(&p);
	return m;
}

/* What holds for every message there is. */
static void assert_sound(const struct mime_message *m, struct sv message)
{
	size_t at;
	struct mime_part part;

	if (!grammar_is_envelope(m->envelope, &at))
		fail_msg("'%.*s': no envelope at %zu: '%.*s'", SV_FMT(message), at, SV_FMT(m->envelope));
	if (!grammar_is_body(m->bodystructure, true, &at))
		fail_msg("'%.*s': no bodystructure at %zu: '%.*s'", SV_FMT(message), at, SV_FMT(m->bodystructure));
	if (!grammar_is_body(m->body, false, &at))
		fail_msg("'%.*s': no body at %zu: '%.*s'", SV_FMT(message), at, SV_FMT(m->body));
	assert_true(m->raw_size == message.len);
	assert_true(m->wire_size == m->raw_size + m->bare_lf);
	assert_true(sv_is_utf8(m->base_subject));
	assert_true(m->part_count >= 1);
	for (uint32_t i = 0; i < m->part_count; i++) {
		struct mime_part parent;
		assert_true(mime_part_at(m, i, &part));
		assert_true(part.type.len && part.subtype.len);
		assert_true(part.depth <= MIME_DEPTH_MAX);
		if (!i)
			continue;
		assert_true(mime_part_at(m, part.parent, &parent));
		assert_true(part.parent < i && part.depth == parent.depth + 1);
		assert_true(part.header_offset >= parent.body_offset);
		assert_true(part.body_offset + part.body_len <= parent.body_offset + parent.body_len ||
			    part.body_len == 0);
	}
	assert_false(mime_part_at(m, m->part_count, &part));
	assert_true(mime_part_at(m, 0, &part));
	assert_true(part.body_offset + part.body_len == m->wire_size);
	assert_true(part.header_len == m->header_len);
}

static void ugly_messages_are_read_alike_however_they_are_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct mime_message *whole = mime_parse(cases[i].message);
		assert_sound(whole, cases[i].message);
		if (cases[i].envelope.len)
			assert_sv(whole->envelope, cases[i].envelope, cases[i].message);
		if (cases[i].body.len)
			assert_sv(whole->body, cases[i].body, cases[i].message);
		for (size_t cut = 0; cut <= cases[i].message.len + 2; cut++) {
			/* the last two: octet by octet, and by threes */
			size_t first = cut <= cases[i].message.len ? cut : 1;
			size_t step = cut <= cases[i].message.len ? SIZE_MAX : cut == cases[i].message.len + 1 ? 1 : 3;
			struct mime_message *m = parse_cut(cases[i].message, first, step);
			assert_sv(m->encoded, whole->encoded, cases[i].message);
			assert_sv(m->delivered_to, whole->delivered_to, cases[i].message);
			mime_message_free(&m);
		}
		mime_message_free(&whole);
	}
}

static void mutated_messages_stay_sound(void **state)
{
	static const char spice[] = "\r\n-b:\"\\ <>@,;()=/*'%\0\xff\xc3" "a";
	uint32_t seed = 12345;
	(void)state;
	for (int round = 0; round < 6000; round++) {
		const struct message_case *c = &cases[(size_t)round % ARRAY_LEN(cases)];
		char text[600];
		size_t len = c->message.len;
		assert_true(len + 8 < sizeof(text));
		memcpy(text, c->message.p, len);
		for (int k = 0; k < 4; k++) {
			seed = seed * 1664525u + 1013904223u;
			size_t at = len ? (seed >> 8) % len : 0;
			char octet = spice[(seed >> 3) % (sizeof(spice) - 1)];
			if (seed >> 30 == 0 && len) {
				memmove(text + at, text + at + 1, --len - at);
			} else if (seed >> 30 == 1) {
				memmove(text + at + 1, text + at, len++ - at);
				text[at] = octet;
			} else if (len) {
				text[at] = octet;
			}
		}
		struct sv message = { text, len };
		struct mime_message *whole = mime_parse(message), *cut = parse_cut(message, seed % 7 + 1, seed % 5 + 1);
		assert_sound(whole, message);
		assert_sv(cut->encoded, whole->encoded, message);
		mime_message_free(&whole);
		mime_message_free(&cut);
	}
}

static const char nested[] =
	"Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"
	"--o\r\nX: 1\r\n\r\none\r\n"
	"--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: plain\r\n\r\ntwo-one\r\n"
	"--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: multi\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
	"--i\r\n\r\nthree-one\r\n--i\r\nContent-Type: text/html\r\n\r\nthree-two\r\n--i--\r\n"
	"--o\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n\r\nfour-one\r\n--a--\r\n"
	"--o\r\nContent-Type: multipart/empty; boundary=e\r\n\r\n--e--\r\n"
	"--o--\r\n";

static void sections_are_found_as_rfc_3501_says(void **state)
{
	static const struct { size_t n; uint32_t path[4]; enum mime_section what; struct sv text; bool is_there; } sections[] = {
		{ 1, { 1 }, MIME_SECTION_BODY, S("one"), true },
		{ 1, { 1 }, MIME_SECTION_MIME, S("X: 1\r\n\r\n"), true },
		{ 1, { 1 }, MIME_SECTION_HEADER, S(""), false },
		{ 1, { 1 }, MIME_SECTION_TEXT, S(""), false },
		{ 2, { 1, 1 }, MIME_SECTION_BODY, S(""), false },
		{ 1, { 2 }, MIME_SECTION_BODY, S("Subject: plain\r\n\r\ntwo-one"), true },
		{ 1, { 2 }, MIME_SECTION_MIME, S("Content-Type: message/rfc822\r\n\r\n"), true },
		{ 1, { 2 }, MIME_SECTION_HEADER, S("Subject: plain\r\n\r\n"), true },
		{ 1, { 2 }, MIME_SECTION_TEXT, S("two-one"), true },
		{ 2, { 2, 1 }, MIME_SECTION_BODY, S("two-one"), true },
		{ 2, { 2, 1 }, MIME_SECTION_MIME, S("Subject: plain\r\n\r\n"), true },
		{ 2, { 2, 1 }, MIME_SECTION_HEADER, S(""), false },
		{ 2, { 2, 2 }, MIME_SECTION_BODY, S(""), false },
		{ 3, { 2, 1, 1 }, MIME_SECTION_BODY, S(""), false },
		{ 2, { 3, 1 }, MIME_SECTION_BODY, S("three-one"), true },
		{ 2, { 3, 2 }, MIME_SECTION_BODY, S("three-two"), true },
		{ 2, { 3, 2 }, MIME_SECTION_MIME, S("Content-Type: text/html\r\n\r\n"), true },
		{ 2, { 3, 3 }, MIME_SECTION_BODY, S(""), false },
		{ 2, { 4, 1 }, MIME_SECTION_BODY, S("four-one"), true },
		{ 1, { 4 }, MIME_SECTION_BODY, S("--a\r\n\r\nfour-one\r\n--a--"), true },
		{ 2, { 5, 1 }, MIME_SECTION_BODY, S(""), true },
		{ 2, { 5, 2 }, MIME_SECTION_BODY, S(""), false },
		{ 3, { 5, 1, 1 }, MIME_SECTION_BODY, S(""), false },
		{ 1, { 6 }, MIME_SECTION_BODY, S(""), false },
		{ 1, { 0 }, MIME_SECTION_BODY, S(""), false },
		{ 0, { 0 }, MIME_SECTION_MIME, S(""), false },
		{ 0, { 0 }, MIME_SECTION_HEADER, S("Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"), true },
	};
	struct sv message = sv_z(nested);
	struct mime_message *m = mime_parse(message);
	uint64_t offset, len;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		bool is_there = mime_section(m, sections[i].path, sections[i].n, sections[i].what, &offset, &len);
		if (is_there != sections[i].is_there)
			fail_msg("section %zu is %d", i, is_there);
		if (is_there)
			assert_sv(sv_sub(message, offset, len), sections[i].text, SV("section"));
	}
	assert_true(mime_section(m, NULL, 0, MIME_SECTION_BODY, &offset, &len));
	assert_true(offset == 0 && len == message.len);
	assert_true(mime_section(m, NULL, 0, MIME_SECTION_TEXT, &offset, &len));
	assert_true(offset == m->header_len && len == message.len - m->header_len);
	mime_message_free(&m);

	/* A message that is no multipart has one part, number 1. */
	static const uint32_t one[] = { 1, 1, 1 };
	message = SV("Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx");
	m = mime_parse(message);
	assert_true(mime_section(m, one, 1, MIME_SECTION_BODY, &offset, &len));
	assert_sv(sv_sub(message, offset, len), SV("Subject: in\r\n\r\nx"), message);
	assert_true(mime_section(m, one, 1, MIME_SECTION_HEADER, &offset, &len));
	assert_sv(sv_sub(message, offset, len), SV("Subject: in\r\n\r\n"), message);
	assert_true(mime_section(m, one, 2, MIME_SECTION_BODY, &offset, &len));
	assert_sv(sv_sub(message, offset, len), SV("x"), message);
	assert_false(mime_section(m, one, 3, MIME_SECTION_BODY, &offset, &len));
	mime_message_free(&m);
}

static void slices_of_a_file_with_bare_line_feeds_are_wire_slices(void **state)
{
	char unix_form[sizeof(nested)];
	size_t n = 0;
	(void)state;
	for (size_t i = 0; i < sizeof(nested) - 1; i++)
		if (nested[i] != '\r')
			unix_form[n++] = nested[i];
	struct mime_message *a = mime_parse(sv_z(nested)), *b = mime_parse(sv_from(unix_form, n));
	assert_true(a->wire_size == b->wire_size);
	assert_int_equal(b->raw_size, n);
	assert_sv(b->bodystructure, a->bodystructure, SV("unix form"));
	assert_sv(b->part_table, a->part_table, SV("unix form"));
	assert_sv(b->headers, a->headers, SV("unix form"));
	mime_message_free(&a);
	mime_message_free(&b);
}

static void of_a_binary_message_octets_are_counted_as_they_came(void **state)
{
	static const char head[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: binary\r\n\r\n";
	static const char body[] = "\n\n--b\n\r\r\n\n--b--\n";
	struct mime_part p;
	struct buf text;
	(void)state;

	buf_init(&text, 4096);
	buf_appendf(&text, "%s%s\r\n--b--\r\n", head, body);
	for (size_t cut = 0; cut <= text.len; cut++) {
		struct mime_parser *parser = mime_parser_new();
		struct mime_message *m;

		mime_parser_binary(parser);
		mime_parser_feed(parser, sv_sub(buf_sv(&text), 0, cut));
		mime_parser_feed(parser, sv_sub(buf_sv(&text), cut, SIZE_MAX));
		m = mime_parser_finish(parser);
		mime_parser_free(&parser);
		assert_int_equal(m->part_count, 2);
		assert_true(mime_part_at(m, 1, &p));
		assert_int_equal(p.body_offset, sizeof(head) - 1);
		assert_int_equal(p.body_len, sizeof(body) - 1);
		assert_int_equal(p.encoding, TRANSFER_BINARY);
		mime_message_free(&m);
	}
	buf_done(&text);
}

static void facts_for_policy_sorting_and_threads(void **state)
{
	struct mime_message *m = mime_parse(SV(
		"Return-Path: <r@p>\r\nReceived: a\r\nReceived: b\r\n c\r\nDelivered-To: one@x\r\nDelivered-To:  two@y \r\n"
		"From: \"A\" <al@x>, b@y\r\nTo: gr: to1@x, to2@x;\r\nCc: <cc@x>\r\nBcc: h@x\r\n"
		"Subject: Re: [l] =?iso-8859-1?q?gr=FC=DF?= (fwd)\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
		"Message-ID: (c) <\"m\"@x>\r\nIn-Reply-To: <i1@x> <i2@x>\r\nX-Unknown: q\r\nX-Spam-Flag: NO\r\nbroken line\r\n"
		"Content-Type: text/plain\n\n\r8\xc3\xa4\0\n"));
	(void)state;
	assert_sv(m->base_subject, SV("gr\xc3\xbc\xc3\x9f"), SV("subject"));
	assert_sv(m->from_mailbox, SV("al"), SV("from"));
	assert_sv(m->to_mailbox, SV("to1"), SV("to"));
	assert_sv(m->cc_mailbox, SV("cc"), SV("cc"));
	assert_sv(m->message_id, SV("m@x"), SV("id"));
	assert_sv(m->references, SV("i1@x\n"), SV("references"));
	assert_sv(m->delivered_to, SV("one@x\ntwo@y\n"), SV("delivered-to"));
	assert_int_equal(m->facts, MIME_HAS_BCC | MIME_HAS_DATE | MIME_SUBJECT_IS_REPLY | MIME_MALFORMED_HEADER);
	assert_int_equal(m->date.seconds, 880127706);
	assert_int_equal(m->date.zone_min, -360);
	assert_int_equal(m->from_count, 1);
	assert_int_equal(m->date_count, 1);
	assert_int_equal(m->message_id_count, 1);
	assert_int_equal(m->received_count, 2);
	assert_int_equal(m->delivered_to_count, 2);
	assert_int_equal(m->bare_lf, 3);
	assert_int_equal(m->bare_cr, 1);
	assert_int_equal(m->nul, 1);
	assert_int_equal(m->eight_bit, 2);
	assert_sv(m->headers, SV(
		"Return-Path: <r@p>\r\nDelivered-To: one@x\r\nDelivered-To:  two@y \r\n"
		"From: \"A\" <al@x>, b@y\r\nTo: gr: to1@x, to2@x;\r\nCc: <cc@x>\r\nBcc: h@x\r\n"
		"Subject: Re: [l] =?iso-8859-1?q?gr=FC=DF?= (fwd)\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
		"Message-ID: (c) <\"m\"@x>\r\nIn-Reply-To: <i1@x> <i2@x>\r\nX-Spam-Flag: NO\r\n"
		"Content-Type: text/plain\r\n"), SV("headers"));
	mime_message_free(&m);
	assert_true(mime_header_is_cached(SV("MESSAGE-ID")));
	assert_true(mime_header_is_cached(SV("list-unsubscribe")));
	assert_true(mime_header_is_cached(SV("Archived-At")));
	assert_true(mime_header_is_cached(SV("X-Universally-Unique-Identifier")));
	assert_true(mime_header_is_cached(SV("X-Mailer")));
	assert_false(mime_header_is_cached(SV("Received")));
	assert_false(mime_header_is_cached(SV("X-Unknown")));
}

static void base_subjects_are_those_of_rfc_5256(void **state)
{
	static const struct { const char *in, *out; bool is_reply; } subjects[] = {
		{ "hello", "hello", false },
		{ "Re: hello", "hello", true },
		{ "re : RE:Fwd: hello (fwd) (FWD)", "hello", true },
		{ "[list] hello", "hello", false },
		{ "Re: [list] Re[2]: hello", "hello", true },
		{ "[a] [b] Re: hello", "hello", true },
		{ "[only a blob]", "[only a blob]", false },
		{ "Re: [only a blob]", "[only a blob]", true },
		{ "[Fwd: [x] Re: hello]", "hello", true },
		{ "Re: [fwd: hello] (fwd)", "hello", true },
		{ "Regarding: hello", "Regarding: hello", false },
		{ "Re hello", "Re hello", false },
		{ "Re:", "", true },
		{ "", "", false },
		{ "(fwd)", "", true },
		{ "[fwd:]", "", true },
		{ "[a[b]c", "[a[b]c", false },
		{ "a  \t b", "a b", false },
		{ "[", "[", false },
		{ "AW: hello", "AW: hello", false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
		struct buf b;
		buf_init(&b, 1000);
		assert_true(buf_appendf(&b, "Subject: %s\r\n\r\n", subjects[i].in));
		struct mime_message *m = mime_parse(buf_sv(&b));
		assert_sv(m->base_subject, sv_z(subjects[i].out), sv_z(subjects[i].in));
		assert_int_equal(!!(m->facts & MIME_SUBJECT_IS_REPLY), subjects[i].is_reply);
		mime_message_free(&m);
		buf_done(&b);
	}
}

static struct buf build;

static struct mime_message *parse_built(void)
{
	struct mime_message *m = mime_parse(buf_sv(&build)), *cut = parse_cut(buf_sv(&build), 1000, 4097);
	assert_sound(m, buf_sv(&build));
	assert_sv(cut->encoded, m->encoded, SV("built"));
	mime_message_free(&cut);
	assert_true(m->encoded.len < (size_t)6 << 20);
	buf_done(&build);
	return m;
}

static void deep_nesting_ends_in_an_opaque_leaf(void **state)
{
	struct mime_part part;
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		buf_init(&build, (size_t)4 << 20);
		for (int i = 0; i < 200; i++)
			assert_true(kind ? buf_append(&build, SV("Content-Type: message/rfc822\r\n\r\n")) :
				    buf_appendf(&build, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i));
		struct mime_message *m = parse_built();
		assert_int_equal(m->part_count, MIME_DEPTH_MAX + 1);
		assert_true(m->facts & MIME_PARTS_CAPPED);
		assert_true(mime_part_at(m, MIME_DEPTH_MAX, &part));
		assert_int_equal(part.kind, MIME_LEAF);
		assert_sv(part.subtype, SV("octet-stream"), SV("leaf"));
		mime_message_free(&m);
	}
}

static void too_many_parts_end_in_an_opaque_leaf(void **state)
{
	static const char *const parts[] = {
		"--b\r\n\r\nx\r\n", "--b\r\n", "--b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx\r\n",
		"--b\r\nContent-Type: message/rfc822\r\n",
		/* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one part, two lines */
		("--b\r\nContent-Type: image/png; name=\"a long name of an image that is here to fill the memory up to its cap.png\"\r\n"
		 "Content-Disposition: attachment; filename=\"a long name of an image that is here to fill the memory.png\"\r\n\r\n\r\n"),
	};
	struct mime_part part;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		buf_init(&build, (size_t)16 << 20);
		assert_true(buf_append(&build, SV("Content-Type: multipart/mixed; boundary=b\r\n\r\n")));
		for (int k = 0; k < MIME_PARTS_MAX + 500; k++)
			assert_true(buf_append(&build, sv_z(parts[i])));
		assert_true(buf_append(&build, SV("--b--\r\nend")));
		struct mime_message *m = parse_built();
		assert_int_equal(m->part_count, MIME_PARTS_MAX);
		assert_true(m->facts & MIME_PARTS_CAPPED);
		assert_true(mime_part_at(m, MIME_PARTS_MAX - 1, &part));
		assert_int_equal(part.kind, MIME_LEAF);
		assert_true(part.body_offset + part.body_len == m->wire_size);
		mime_message_free(&m);
	}
}

static void floods_in_headers_are_cut_for_parsing_only(void **state)
{
	(void)state;
	/* 500,000 addresses in many fields, 100,000 fields, an endless field, many ids, parameters */
	buf_init(&build, (size_t)16 << 20);
	for (int k = 0; k < 50; k++) {
		assert_true(buf_append(&build, k % 2 ? SV("To: ") : SV("From: ")));
		for (int i = 0; i < 10000; i++)
			assert_true(buf_append(&build, SV("\"\\\"\"<a@b>,")));
		assert_true(buf_append(&build, SV("\r\n")));
	}
	struct mime_message *m = parse_built();
	assert_true(m->facts & MIME_HEADER_CAPPED);
	mime_message_free(&m);

	buf_init(&build, (size_t)16 << 20);
	for (int k = 0; k < 100000; k++)
		assert_true(buf_appendf(&build, "Delivered-To: a%d@x\r\nSubject: x\r\n", k));
	assert_true(buf_append(&build, SV("Date: x\r\n\r\nbody")));
	m = parse_built();
	assert_true(m->facts & MIME_HEADER_CAPPED);
	assert_true(m->facts & MIME_HEADERS_INCOMPLETE);
	assert_true(m->headers.len <= MIME_HEADERS_MAX);
	size_t kept = 0;
	struct sv rest = m->delivered_to, one;
	while (sv_split(&rest, '\n', &one))
		kept += one.len > 0;
	assert_int_equal(kept, MIME_DELIVERED_MAX);
	mime_message_free(&m);

	buf_init(&build, (size_t)16 << 20);
	assert_true(buf_append(&build, SV("References: <first@x>")));
	for (int k = 0; k < 3000; k++)
		assert_true(buf_appendf(&build, " <%d@x>", k));
	assert_true(buf_append(&build, SV("\r\nReferences: <last@x>\r\n\r\n")));
	m = parse_built();
	assert_true(sv_starts(m->references, SV("first@x\n2902@x\n")));
	assert_true(sv_ends(m->references, SV("2999@x\nlast@x\n")));
	mime_message_free(&m);

	buf_init(&build, (size_t)16 << 20);
	assert_true(buf_append(&build, SV("Subject: ")));
	for (int k = 0; k < 60000; k++)
		assert_true(buf_append(&build, SV("[]")));
	assert_true(buf_append(&build, SV("\r\nContent-Type: text/plain")));
	for (int k = 0; k < 5000; k++)
		assert_true(buf_appendf(&build, ";\r\n x*%d*=%%41", k));
	assert_true(buf_append(&build, SV("\r\nContent-Disposition: \"")));
	for (int k = 0; k < 300000; k++)
		assert_true(buf_append_c(&build, '\\'));
	m = parse_built();
	assert_true(m->facts & MIME_HEADER_CAPPED);
	mime_message_free(&m);
}

static void memory_of_a_parser_is_bounded(void **state)
{
	(void)state;
	/* Boundaries of their own for many parts, each as long as may be: they share one budget. */
	buf_init(&build, (size_t)64 << 20);
	assert_true(buf_append(&build, SV("Content-Type: multipart/mixed; boundary=b\r\n\r\n")));
	for (int k = 0; k < 9000; k++) {
		assert_true(buf_append(&build, SV("--b\r\nContent-Type: multipart/mixed; boundary=\"")));
		for (int i = 0; i < 490; i++)
			assert_true(buf_append_c(&build, 'x'));
		assert_true(buf_appendf(&build, "%d\"\r\n\r\n", k));
	}
	struct mime_message *m = parse_built();
	assert_true(m->facts & MIME_PARTS_CAPPED);
	mime_message_free(&m);
}

static void the_stored_form_is_read_back_without_copying(void **state)
{
	struct mime_message *m = mime_parse(sv_z(nested)), back;
	struct buf b;
	(void)state;
	buf_init(&b, 100000);
	assert_true(mime_encode(m, &b));
	assert_true(mime_decode(buf_sv(&b), &back));
	assert_sv(back.envelope, m->envelope, SV("envelope"));
	assert_sv(back.bodystructure, m->bodystructure, SV("bodystructure"));
	assert_sv(back.headers, m->headers, SV("headers"));
	assert_true(back.envelope.p > b.p && back.envelope.p < b.p + b.len);
	assert_int_equal(back.part_count, m->part_count);
	for (uint32_t i = 0; i < m->part_count; i++) {
		struct mime_part x, y;
		assert_true(mime_part_at(m, i, &x));
		assert_true(mime_part_at(&back, i, &y));
		assert_sv(x.type, y.type, SV("type"));
		assert_sv(x.subtype, y.subtype, SV("subtype"));
		assert_true(x.body_offset == y.body_offset && x.body_len == y.body_len && x.kind == y.kind);
	}
	struct buf small;
	buf_init(&small, b.len - 1);
	assert_false(mime_encode(m, &small));
	buf_done(&small);
	buf_done(&b);
	mime_message_free(&m);
}

static void damaged_and_hostile_stored_forms_are_refused_or_harmless(void **state)
{
	struct mime_message *m = mime_parse(sv_z(nested)), back;
	size_t len = m->encoded.len;
	char *copy = malloc(len + 1);
	(void)state;
	memcpy(copy, m->encoded.p, len);
	for (size_t i = 0; i < len; i++) {
		copy[i] ^= 0x10;
		assert_false(mime_decode(sv_from(copy, len), &back));
		copy[i] ^= 0x10;
	}
	for (size_t n = 0; n < len; n++) {
		assert_false(mime_decode(sv_from(copy, n), &back));
		assert_false(mime_decode_again(sv_from(copy, n), &back));
	}
	copy[len] = 0;
	assert_false(mime_decode_again(sv_from(copy, len + 1), &back));
	assert_false(mime_decode(sv_from(copy, len + 1), &back));
	/* One who can make the checksum right can lie, yet not make us read elsewhere. */
	static const unsigned char lies[] = { 0x01, 0x80, 0xff };
	for (size_t i = 12; i < len; i++)
		for (size_t k = 0; k < ARRAY_LEN(lies); k++) {
			static const uint32_t path[] = { 3, 2 };
			struct mime_part part;
			uint64_t offset, n;
			char *exact = malloc(len);
			memcpy(exact, copy, len);
			exact[i] = (char)(exact[i] ^ (char)lies[k]);
			uint32_t crc = crc32c(sv_from(exact + 12, len - 12));
			for (int byte = 0; byte < 4; byte++)
				exact[8 + byte] = (char)(crc >> 8 * byte & 255);
			bool is_sound = mime_decode(sv_from(exact, len), &back);
			assert_int_equal(mime_decode_again(sv_from(exact, len), &back), is_sound);
			if (is_sound) {
				size_t sum = 0;
				for (uint32_t row = 0; row < 20; row++)
					if (mime_part_at(&back, row, &part))
						for (size_t c = 0; c < part.type.len + part.subtype.len; c++)
							sum += (unsigned char)(c < part.type.len ? part.type.p[c] :
									       part.subtype.p[c - part.type.len]);
				if (mime_section(&back, path, 2, MIME_SECTION_BODY, &offset, &n))
					assert_true(offset <= back.wire_size && n <= back.wire_size - offset);
				assert_true(sum < 100000);
			}
			free(exact);
		}
	free(copy);
	mime_message_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ugly_messages_are_read_alike_however_they_are_cut),
		cmocka_unit_test(mutated_messages_stay_sound),
		cmocka_unit_test(sections_are_found_as_rfc_3501_says),
		cmocka_unit_test(slices_of_a_file_with_bare_line_feeds_are_wire_slices),
		cmocka_unit_test(of_a_binary_message_octets_are_counted_as_they_came),
		cmocka_unit_test(facts_for_policy_sorting_and_threads),
		cmocka_unit_test(base_subjects_are_those_of_rfc_5256),
		cmocka_unit_test(deep_nesting_ends_in_an_opaque_leaf),
		cmocka_unit_test(too_many_parts_end_in_an_opaque_leaf),
		cmocka_unit_test(floods_in_headers_are_cut_for_parsing_only),
		cmocka_unit_test(memory_of_a_parser_is_bounded),
		cmocka_unit_test(the_stored_form_is_read_back_without_copying),
		cmocka_unit_test(damaged_and_hostile_stored_forms_are_refused_or_harmless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
