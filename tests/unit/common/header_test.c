/* Header blocks in any shape, field by field and at every cut; tokens, parameters, message ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/header.h"

#define S SV_INIT

static void assert_sv(struct sv got, struct sv want, struct sv of)
{
	if (!sv_eq(got, want))
		fail_msg("'%.*s': got '%.*s', wanted '%.*s'", SV_FMT(of), SV_FMT(got), SV_FMT(want));
}

/* One line per field: name|value|offset,len and flags m(alformed) s(pace) t(runcated); at the end what is left. */
static void describe(struct sv whole, size_t cut, struct buf *out)
{
	struct header_reader r;
	char *a = malloc(cut ? cut : 1), *b = malloc(whole.len - cut ? whole.len - cut : 1);
	struct sv in, parts[2] = { { a, cut }, { b, whole.len - cut } };

	memcpy(a, whole.p, cut);
	memcpy(b, whole.p + cut, whole.len - cut);
	header_reader_init(&r);
	enum header_event e = HEADER_MORE;
	for (int i = 0; i < 3 && e != HEADER_END; i++) {
		in = i < 2 ? parts[i] : SV("");
		while ((e = i < 2 ? header_reader_feed(&r, &in) : header_reader_finish(&r)) == HEADER_FIELD) {
			const struct header_field *f = &r.field;
			assert_true(f->len >= f->raw.len);
			assert_true(buf_appendf(out, "%.*s|%.*s|%d,%d%s%s%s\n", SV_FMT(f->name), SV_FMT(f->value),
						(int)f->offset, (int)f->len, f->is_malformed ? " m" : "",
						f->has_space_colon ? " s" : "", f->is_truncated ? " t" : ""));
		}
		if (e == HEADER_END && i == 0) {
			assert_true(buf_append(out, in));
			in = parts[1];
		}
		if (e == HEADER_END)
			assert_true(buf_append(out, in));
		else
			assert_int_equal(in.len, 0);
	}
	assert_int_equal(e, HEADER_END);
	header_reader_done(&r);
	free(a);
	free(b);
}

static void blocks_are_read_alike_however_they_are_cut(void **state)
{
	static const struct { struct sv in, out; } cases[] = {
		{ S("A: b\r\nC: d\r\n\r\nbody"), S("A| b|0,6\nC| d|6,6\nbody") },
		{ S("A: b\nC: d\n\nbody\n"), S("A| b|0,5\nC| d|5,5\nbody\n") },
		{ S("A: b\r\n c\r\n\td\r\n\r\n"), S("A| b\r\n c\r\n\td|0,14\n") },
		{ S("\r\nbody"), S("body") },
		{ S("\nbody"), S("body") },
		{ S(""), S("") },
		{ S("A: b"), S("A| b|0,4\n") },
		{ S("A: b\r\n"), S("A| b|0,6\n") },
		{ S("A: b\r\n\r"), S("A| b|0,6\n||6,1 m\n") },
		{ S("A:\r\nB:x\r\n \r\n\r\n"), S("A||0,4\nB|x\r\n |4,8\n") },
		{ S("A : b\r\nA\t:c\r\n\r\n"), S("A| b|0,7 s\nA|c|7,6 s\n") },
		{ S("no colon\r\nA: b\r\n\r\n"), S("|no colon|0,10 m\nA| b|10,6\n") },
		{ S(" folded first\r\nA: b\r\n\r\n"), S("| folded first|0,15 m\nA| b|15,6\n") },
		{ S("From bob@x Fri Nov 21 09:55:06 1997\nA: b\n\n"), S("|From bob@x Fri Nov 21 09:55:06 1997|0,36 m\nA| b|36,5\n") },
		{ S(": b\r\n\r\n"), S("|: b|0,5 m\n") },
		{ S("A b: c\r\n\r\n"), S("|A b: c|0,8 m\n") },
		{ S("\xc3\xa4: c\r\n\r\n"), S("|\xc3\xa4: c|0,7 m\n") },
		{ S("A: b\r\r\n\r\n"), S("A| b\r|0,7\n") },
		{ S("A: b\rc\n\r\nx"), S("A| b\rc|0,7\nx") },
		{ S("A: b\n\r\rC: d\n\n"), S("A| b|0,5\n|\r\rC: d|5,7 m\n") },
		{ S("A:b:c\n\n\n"), S("A|b:c|0,6\n\n") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= cases[i].in.len; cut++) {
			struct buf b;
			buf_init(&b, 1000);
			describe(cases[i].in, cut, &b);
			assert_sv(buf_sv(&b), cases[i].out, cases[i].in);
			buf_done(&b);
		}
}

static void limits_cut_what_is_parsed_and_lose_no_place(void **state)
{
	struct header_reader r;
	struct buf b;
	(void)state;
	buf_init(&b, 4 << 20);
	assert_true(buf_append(&b, SV("Long: ")));
	for (size_t i = 0; i < HEADER_FIELD_MAX; i++)
		assert_true(buf_append_c(&b, 'x'));
	assert_true(buf_append(&b, SV("\r\nAfter: y\r\n")));
	while (b.len < HEADER_BLOCK_MAX + 1000)
		assert_true(buf_append(&b, SV("Filler: abcdefghijklmnopqrstuvwxyz\r\n")));
	assert_true(buf_append(&b, SV("\r\nbody")));
	for (size_t step = 1; step < 2 * b.len; step = step * 7 + 1) {
		size_t fields = 0, at = 0;
		enum header_event e = HEADER_MORE;
		struct sv in = SV_NONE;
		header_reader_init(&r);
		while (e != HEADER_END) {
			e = header_reader_feed(&r, &in);
			if (e == HEADER_FIELD && ++fields == 1) {
				assert_true(r.field.is_truncated);
				assert_int_equal(r.field.raw.len, HEADER_FIELD_MAX);
				assert_int_equal(r.field.len, HEADER_FIELD_MAX + 8);
			} else if (e == HEADER_FIELD && fields == 2) {
				assert_sv(r.field.name, SV("After"), SV(""));
				assert_false(r.field.is_truncated);
			} else if (e == HEADER_MORE) {
				in = sv_sub(buf_sv(&b), at, step);
				at += in.len;
			}
		}
		assert_true(r.is_capped);
		assert_int_equal(r.offset, b.len - 4);
		assert_int_equal(fields, 2 + (HEADER_BLOCK_MAX - HEADER_FIELD_MAX - 8 - 10) / 36);
		header_reader_done(&r);
	}
	buf_done(&b);
}

static void names_are_found_in_any_case(void **state)
{
	(void)state;
	for (int id = HEADER_OTHER + 1; id < HEADER_ID_COUNT; id++) {
		struct sv name = header_name((enum header_id)id);
		assert_true(name.len);
		assert_int_equal(header_id(name), id);
	}
	assert_int_equal(header_id(SV("mESSAGE-id")), HEADER_MESSAGE_ID);
	assert_int_equal(header_id(SV("Message-IDs")), HEADER_OTHER);
	assert_int_equal(header_id(SV("")), HEADER_OTHER);
	assert_int_equal(header_name(HEADER_OTHER).len, 0);
}

static void values_are_unfolded(void **state)
{
	static const struct { struct sv in, out; } cases[] = {
		{ S(" a\r\n b\r\n\tc \r\n"), S("a b\tc") },
		{ S("a\n b"), S("a b") },
		{ S("a\r\nb"), S("a b") },
		{ S("a\rb\0c\nd"), S("a b c d") },
		{ S(""), S("") },
		{ S("\r\n \r\n "), S("") },
		{ S("a\r"), S("a") },
		{ S("a\r\r\n b"), S("a  b") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b;
		buf_init(&b, 100);
		assert_true(header_unfold(cases[i].in, &b));
		assert_sv(buf_sv(&b), cases[i].out, cases[i].in);
		buf_done(&b);
	}
	struct buf b;
	buf_init(&b, 3);
	assert_false(header_unfold(SV("abcd"), &b));
	assert_int_equal(b.len, 3);
	buf_done(&b);
}

/* type/subtype; name=value{charset,language,raw} */
static void describe_content(struct sv value, struct buf *out)
{
	struct arena a;
	struct header_content c;
	char *copy = malloc(value.len ? value.len : 1);

	memcpy(copy, value.p, value.len);
	arena_init(&a, 1 << 20);
	assert_true(header_parse_content(&a, sv_from(copy, value.len), &c));
	free(copy);
	assert_true(buf_appendf(out, "%.*s/%.*s", SV_FMT(c.type), SV_FMT(c.subtype)));
	for (size_t i = 0; i < c.param_count; i++) {
		const struct header_param *p = &c.params[i];
		assert_true(buf_appendf(out, "; %.*s=%.*s", SV_FMT(p->name), SV_FMT(p->value)));
		if (p->is_extended)
			assert_true(buf_appendf(out, "{%.*s,%.*s,%.*s}", SV_FMT(p->charset), SV_FMT(p->language),
						SV_FMT(p->raw)));
		else
			assert_sv(p->raw, p->value, value);
	}
	arena_done(&a);
}

static void content_types_and_their_parameters(void **state)
{
	static const struct { struct sv in, out; } cases[] = {
		{ S("text/plain"), S("text/plain") },
		{ S(" TEXT / Plain (comment) ; CharSet = \"US-ASCII\" "), S("text/plain; charset=US-ASCII") },
		{ S("text/plain; charset=us-ascii (Plain text)"), S("text/plain; charset=us-ascii") },
		{ S("multipart/mixed; boundary=\"a;\\\"b\\\\ c\""), S("multipart/mixed; boundary=a;\"b\\ c") },
		{ S("multipart/mixed;\r\n\tboundary=\"----=_Part_1.2\""), S("multipart/mixed; boundary=----=_Part_1.2") },
		{ S("multipart/mixed; boundary=----=_Part/1:2?"), S("multipart/mixed; boundary=----=_Part/1:2?") },
		{ S("multipart/mixed; boundary=abc\r\n charset=x"), S("multipart/mixed; boundary=abc; charset=x") },
		{ S("attachment; filename=my file (1).txt; size=3"), S("attachment/; filename=my file; size=3") },
		{ S("attachment; filename=my file.txt; size=3"), S("attachment/; filename=my file.txt; size=3") },
		{ S("attachment; filename=\"a\r\n b\""), S("attachment/; filename=a b") },
		{ S(""), S("/") },
		{ S("text"), S("text/") },
		{ S("/plain"), S("/plain") },
		{ S(";;; a=b"), S("/; a=b") },
		{ S("text/html; ; foo; =x; a=; b=c"), S("text/html; a=; b=c") },
		{ S("text/html; \"quoted;junk\"; b=c"), S("text/html; b=c") },
		{ S("text/html; a=\"never ends; b=c"), S("text/html; a=never ends; b=c") },
		{ S("text/html; a=\"x\\"), S("text/html; a=x\\") },
		{ S("text/html; a=\"x\"y; b=c"), S("text/html; a=x; b=c") },
		/* RFC 2231 */
		{ S("message/external-body; access-type=URL;\r\n URL*0=\"ftp://\";\r\n URL*1=\"cs.utk.edu/pub\""),
		  S("message/external-body; access-type=URL; url=ftp://cs.utk.edu/pub") },
		{ S("application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A"),
		  S("application/x-stuff; title=This is ***fun***{us-ascii,en-us,us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A}") },
		{ S("application/x-stuff\r\n ;title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*0*=us-ascii'en'This%20is%20even%20more%20;"
		    "\r\n title*2=\"isn't it!\""),
		  S("application/x-stuff; title=This is even more ***fun*** isn't it!"
		    "{us-ascii,en,us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!}") },
		{ S("a/b; n*=x"), S("a/b; n=x{,,x}") },
		{ S("a/b; n*=''%zz%4"), S("a/b; n=%zz%4{,,''%zz%4}") },
		{ S("a/b; n*1=b; n*3=d"), S("a/b; n=bd") },
		{ S("a/b; n*0=a; n*0=b"), S("a/b; n=a; n=b") },
		{ S("a/b; *=a; **=b; *1=c"), S("a/b; *=b{,,b}") },
		{ S("a/b; n*99999999999=b"), S("a/b; n*99999999999=b") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b;
		buf_init(&b, 1000);
		describe_content(cases[i].in, &b);
		assert_sv(buf_sv(&b), cases[i].out, cases[i].in);
		for (size_t n = 0; n < cases[i].in.len; n++) {
			buf_clear(&b);
			describe_content(sv_sub(cases[i].in, 0, n), &b);
		}
		buf_done(&b);
	}
}

static void floods_of_parameters_end_at_the_cap(void **state)
{
	struct arena a;
	struct header_content c;
	struct buf b;
	(void)state;
	buf_init(&b, HEADER_FIELD_MAX);
	arena_init(&a, 1 << 20);
	assert_true(buf_append(&b, SV("a/b")));
	for (int i = 0; buf_appendf(&b, "; n*%d*=\"x", i); i++)
		if (!buf_append_c(&b, '"'))
			break;
	assert_true(header_parse_content(&a, buf_sv(&b), &c));
	assert_int_equal(c.param_count, 1);
	assert_int_equal(c.params[0].value.len, HEADER_PARAM_MAX);
	/* A small arena is an answer, not a crash, wherever it ends. */
	for (size_t max = 0; max < 40000; max += 1111) {
		struct arena small;
		arena_init(&small, max);
		(void)header_parse_content(&small, sv_sub(buf_sv(&b), 0, 3000), &c);
		arena_done(&small);
	}
	arena_done(&a);
	buf_done(&b);
}

static void an_extended_parameter_wins(void **state)
{
	struct arena a;
	struct header_content c;
	(void)state;
	arena_init(&a, 1 << 16);
	assert_true(header_parse_content(&a, SV("attachment; filename=a.txt; filename*=utf-8''%C3%A4.txt; filename=b"), &c));
	assert_int_equal(c.param_count, 3);
	const struct header_param *p = header_param(&c, SV("filename"));
	assert_non_null(p);
	assert_sv(p->value, SV("\xc3\xa4.txt"), SV(""));
	assert_null(header_param(&c, SV("name")));
	arena_done(&a);
}

static void message_ids_are_found_between_junk(void **state)
{
	static const struct { struct sv in, out; } cases[] = {
		{ S("<a@b>"), S("a@b ") },
		{ S(" <a@b>\r\n\t<c@d> junk <e@f>"), S("a@b c@d e@f ") },
		{ S("<a@\r\n b>"), S("a@b ") },
		{ S("<\"a\"@b>"), S("a@b ") },
		{ S("(<x@y>) <a@b>"), S("a@b ") },
		{ S("Your message of \"1 < 2\" <a@b>"), S("a@b ") },
		{ S("<a@b <c@d>"), S("c@d ") },
		{ S("<a@b"), S("") },
		{ S("<> <\" \"> <a>"), S("a ") },
		{ S("a@b"), S("") },
		{ S(""), S("") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct buf b;
		struct sv rest = cases[i].in, id;
		arena_init(&a, 4096);
		buf_init(&b, 100);
		while (header_next_msg_id(&a, &rest, &id))
			assert_true(buf_append(&b, id) && buf_append_c(&b, ' '));
		assert_sv(buf_sv(&b), cases[i].out, cases[i].in);
		buf_done(&b);
		arena_done(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_read_alike_however_they_are_cut),
		cmocka_unit_test(limits_cut_what_is_parsed_and_lose_no_place),
		cmocka_unit_test(names_are_found_in_any_case),
		cmocka_unit_test(values_are_unfolded),
		cmocka_unit_test(content_types_and_their_parameters),
		cmocka_unit_test(floods_of_parameters_end_at_the_cap),
		cmocka_unit_test(an_extended_parameter_wins),
		cmocka_unit_test(message_ids_are_found_between_junk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
