/* The rules of CR and LF: command lines, the end of DATA, dot-stuffing, wire form. Every case at every cut point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/lines.h"
#include "common/memory.h"

#define S SV_INIT

/* A copy of the exact size on the heap: one octet too far is an ASan report. */
static struct sv heap(struct sv s)
{
	char *p = malloc(s.len ? s.len : 1);
	if (s.len)
		memcpy(p, s.p, s.len);
	return (struct sv){ p, s.len };
}

static void assert_sv(struct sv got, struct sv want)
{
	if (!sv_eq(got, want))
		fail_msg("got '%.*s', wanted '%.*s'", SV_FMT(got), SV_FMT(want));
}

struct line_case {
	struct sv in;
	enum feed answer;
	unsigned faults;
	struct sv line, rest;
};

static void command_lines_are_read_alike_however_they_are_cut(void **state)
{
	static const struct line_case cases[] = {
		{ S("NOOP\r\nQUIT"), FEED_DONE, 0, S("NOOP"), S("QUIT") },
		{ S("\r\n"), FEED_DONE, 0, S(""), S("") },
		{ S("NOOP\nQ"), FEED_BAD, LINE_BARE_LF, S("NOOP"), S("Q") },
		{ S("\nQ"), FEED_BAD, LINE_BARE_LF, S(""), S("Q") },
		{ S("a\rb\r\n"), FEED_BAD, LINE_BARE_CR, S("a\rb"), S("") },
		{ S("a\r\r\nx"), FEED_BAD, LINE_BARE_CR, S("a\r"), S("x") },
		{ S("a\0b\r\n"), FEED_BAD, LINE_NUL, S("a\0b"), S("") },
		{ S("12345678\r\nx"), FEED_DONE, 0, S("12345678"), S("x") },
		{ S("123456789\r\nx"), FEED_BAD, LINE_TOO_LONG, S("12345678"), S("x") },
		{ S("12345678\rx\n."), FEED_BAD, LINE_TOO_LONG | LINE_BARE_CR | LINE_BARE_LF, S("12345678"), S(".") },
		{ S("abc"), FEED_MORE, 0, S(""), S("") },
		{ S("abc\r"), FEED_MORE, 0, S(""), S("") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= cases[i].in.len; cut++) {
			struct line_reader r;
			struct sv a = heap(sv_sub(cases[i].in, 0, cut)), b = heap(sv_sub(cases[i].in, cut, SIZE_MAX));
			struct sv in = a, rest;
			line_reader_init(&r, 10);
			enum feed f = line_reader_feed(&r, &in);
			if (f == FEED_MORE) {
				assert_int_equal(in.len, 0);
				in = b;
				f = line_reader_feed(&r, &in);
				rest = sv_from(in.p, in.len);
			} else {        /* the second part was not looked at */
				rest = sv_sub(cases[i].in, cut - in.len, SIZE_MAX);
			}
			assert_int_equal(f, cases[i].answer);
			assert_sv(rest, cases[i].rest);
			if (f != FEED_MORE) {
				assert_int_equal(r.faults, cases[i].faults);
				assert_sv(buf_sv(&r.line), cases[i].line);
				struct sv more = SV("ok\r\n");
				assert_int_equal(line_reader_feed(&r, &more), FEED_DONE);
				assert_sv(buf_sv(&r.line), SV("ok"));
			}
			line_reader_done(&r);
			free((void *)a.p);
			free((void *)b.p);
		}
}

static void a_line_that_never_ends_is_given_up_at_the_same_octet(void **state)
{
	size_t n = LINE_DROP_MAX + 100;
	char *p = malloc(n);
	(void)state;
	memset(p, 'x', n);
	for (size_t step = 1000; step <= n; step = step < 9000 ? step * 2 : n * (step < n ? 1 : 2)) {
		struct line_reader r;
		enum feed f = FEED_MORE;
		size_t taken = 0;
		line_reader_init(&r, 10);
		while (taken < n && f == FEED_MORE) {
			struct sv in = sv_sub(sv_from(p, n), taken, step);
			size_t before = in.len;
			f = line_reader_feed(&r, &in);
			taken += before - in.len;
		}
		assert_int_equal(f, FEED_BAD);
		assert_true(r.faults & LINE_ENDLESS);
		assert_int_equal(taken, LINE_DROP_MAX + 8);
		line_reader_done(&r);
	}
	free(p);
}

static void a_resting_reader_holds_no_memory(void **state)
{
	struct line_reader r;
	struct sv in = SV("NOOP\r\nNO");
	(void)state;
	line_reader_init(&r, 100);
	assert_true(line_reader_is_idle(&r));
	assert_int_equal(line_reader_feed(&r, &in), FEED_DONE);
	line_reader_rest(&r);
	assert_null(r.line.p);
	assert_int_equal(line_reader_feed(&r, &in), FEED_MORE);
	assert_false(line_reader_is_idle(&r));
	line_reader_rest(&r);
	in = SV("OP\r\n");
	assert_int_equal(line_reader_feed(&r, &in), FEED_DONE);
	assert_sv(buf_sv(&r.line), SV("NOOP"));
	line_reader_done(&r);
}

struct data_case {
	unsigned flags;
	struct sv in;
	enum feed answer;
	unsigned faults;
	struct sv message, rest;
};

static const struct data_case data_cases[] = {
	{ 0, S("a\r\n.\r\nQUIT\r\n"), FEED_DONE, 0, S("a\r\n"), S("QUIT\r\n") },
	{ 0, S(".\r\n"), FEED_DONE, 0, S(""), S("") },
	{ 0, S("..\r\n...a\r\n.b\r\n.\r\n"), FEED_DONE, 0, S(".\r\n..a\r\nb\r\n"), S("") },
	{ 0, S("a.\r\n.\r\n"), FEED_DONE, 0, S("a.\r\n"), S("") },
	{ 0, S("\r\n\r\n.\r\n"), FEED_DONE, 0, S("\r\n\r\n"), S("") },
	/* Everything but CRLF.CRLF is no end, whatever others think (SMTP smuggling). */
	{ 0, S("a\n.\nMAIL\r\n.\r\nx"), FEED_DONE, DATA_BARE_LF, S("a"), S("x") },
	{ 0, S("a\n.\r\nMAIL\r\n.\r\nx"), FEED_DONE, DATA_BARE_LF, S("a"), S("x") },
	{ 0, S("a\r\n.\nMAIL\r\n.\r\nx"), FEED_DONE, DATA_BARE_LF, S("a\r\n"), S("x") },
	{ 0, S("a\r\n.\rMAIL\r\n.\r\nx"), FEED_DONE, DATA_BARE_CR, S("a\r\n"), S("x") },
	{ 0, S("a\r.\r\nb\r\n.\r\nx"), FEED_DONE, DATA_BARE_CR, S("a"), S("x") },
	{ 0, S("a\r.\rb\r\n.\r\nx"), FEED_DONE, DATA_BARE_CR, S("a"), S("x") },
	{ 0, S("a\r\n.\r\r\nb\r\n.\r\nx"), FEED_DONE, DATA_BARE_CR, S("a\r\n"), S("x") },
	{ 0, S("a\r\r\n.\r\nx"), FEED_DONE, DATA_BARE_CR, S("a"), S("x") },
	{ 0, S("a\r\n\0.\r\n.\r\nx"), FEED_DONE, DATA_NUL, S("a\r\n\0.\r\n"), S("x") },
	{ 0, S("a\r\n."), FEED_MORE, 0, S("a\r\n"), S("") },
	{ 0, S("a\r\n.\r"), FEED_MORE, 0, S("a\r\n"), S("") },
	/* Submission: others' line ends become CRLF, and still only CRLF.CRLF ends. */
	{ DATA_NORMALISE, S("a\nb\rc\r\n.\r\n"), FEED_DONE, DATA_BARE_LF | DATA_BARE_CR, S("a\r\nb\r\nc\r\n"), S("") },
	{ DATA_NORMALISE, S("a\n.\nb\r\n.\r\n"), FEED_DONE, DATA_BARE_LF, S("a\r\n.\r\nb\r\n"), S("") },
	{ DATA_NORMALISE, S("a\n.\r\nb\r\n.\r\n"), FEED_DONE, DATA_BARE_LF, S("a\r\n.\r\nb\r\n"), S("") },
	{ DATA_NORMALISE, S("a\n..b\n.c\r\n.\r\n"), FEED_DONE, DATA_BARE_LF, S("a\r\n.b\r\n.c\r\n"), S("") },
	{ DATA_NORMALISE, S("a\r\n.\nb\r\n.\r\n"), FEED_DONE, DATA_BARE_LF, S("a\r\n\r\nb\r\n"), S("") },
	{ DATA_NORMALISE, S("a\r\n.\rb\r\n.\r\n"), FEED_DONE, DATA_BARE_CR, S("a\r\n\r\nb\r\n"), S("") },
	{ DATA_NORMALISE, S("a\r.\r\n\r\n.\r\n"), FEED_DONE, DATA_BARE_CR, S("a\r\n.\r\n\r\n"), S("") },
	{ DATA_NORMALISE, S("a\r\r\n.\r\n"), FEED_DONE, DATA_BARE_CR, S("a\r\n\r\n"), S("") },
	{ DATA_NORMALISE, S("\n\n.\r\n.\r\n"), FEED_DONE, DATA_BARE_LF, S("\r\n\r\n.\r\n"), S("") },
	/* BDAT: dots mean nothing, nothing ends. */
	{ DATA_NO_DOTS, S("..a\r\n.\r\nb"), FEED_MORE, 0, S("..a\r\n.\r\nb"), S("") },
	{ DATA_NO_DOTS, S("a\r\nb\r"), FEED_MORE, DATA_BARE_CR, S("a\r\nb"), S("") },
	{ DATA_NO_DOTS | DATA_BINARY, S("\n\r\r\n.\r\n..\0\r\n"), FEED_MORE, 0, S("\n\r\r\n.\r\n..\0\r\n"), S("") },
	{ DATA_NO_DOTS | DATA_NORMALISE, S(".\n.\n..\rb\r"), FEED_MORE, DATA_BARE_LF | DATA_BARE_CR,
	  S(".\r\n.\r\n..\r\nb\r\n"), S("") },
};

static void the_end_of_data_is_found_alike_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(data_cases); i++) {
		const struct data_case *c = &data_cases[i];
		for (size_t cut = 0; cut <= c->in.len; cut++) {
			struct data_scanner s;
			struct buf out;
			struct sv a = heap(sv_sub(c->in, 0, cut)), b = heap(sv_sub(c->in, cut, SIZE_MAX));
			struct sv in = a, rest;
			buf_init(&out, 1000);
			data_scanner_init(&s, c->flags, byte_sink_buf, &out);
			enum feed f = data_scanner_feed(&s, &in);
			rest = sv_sub(c->in, cut - in.len, SIZE_MAX);
			if (f == FEED_MORE) {
				assert_int_equal(in.len, 0);
				in = b;
				f = data_scanner_feed(&s, &in);
				rest = sv_from(in.p, in.len);
			}
			if (c->flags & DATA_NO_DOTS)
				data_scanner_finish(&s);
			assert_int_equal(f, c->answer);
			assert_int_equal(s.faults, c->faults);
			assert_sv(buf_sv(&out), c->message);
			assert_sv(rest, c->rest);
			if (!c->faults || (c->flags & DATA_NORMALISE))
				assert_int_equal(s.size, out.len);
			if (f == FEED_DONE || (c->flags & DATA_NO_DOTS && out.len && !c->faults))
				assert_int_equal(s.is_line_start, !out.len || f == FEED_DONE ||
						 sv_ends(buf_sv(&out), SV("\r\n")));
			buf_done(&out);
			free((void *)a.p);
			free((void *)b.p);
		}
	}
}

static void a_full_sink_is_not_called_again_and_the_end_is_still_found(void **state)
{
	struct data_scanner s;
	struct buf out;
	struct sv in = SV("1234\r\n..5\r\n.\r\nx");
	(void)state;
	buf_init(&out, 6);
	data_scanner_init(&s, 0, byte_sink_buf, &out);
	assert_int_equal(data_scanner_feed(&s, &in), FEED_DONE);
	assert_true(s.faults & DATA_SINK_FULL);
	assert_int_equal(s.size, 10);
	assert_sv(in, SV("x"));
	assert_sv(buf_sv(&out), SV("1234\r\n"));
	buf_done(&out);
}

static void an_over_long_line_is_flagged(void **state)
{
	size_t n = DATA_LINE_MAX + 1;
	char *p = malloc(n);
	(void)state;
	memset(p, 'x', n);
	for (size_t len = n - 1; len <= n; len++) {
		struct data_scanner s;
		struct buf out;
		buf_init(&out, 1 << 20);
		data_scanner_init(&s, 0, byte_sink_buf, &out);
		struct sv in = { p, len }, tail = SV("\r\n.\r\n");
		assert_int_equal(data_scanner_feed(&s, &in), FEED_MORE);
		assert_int_equal(data_scanner_feed(&s, &tail), FEED_DONE);
		assert_int_equal(s.longest_line, len);
		assert_int_equal(s.faults, len > DATA_LINE_MAX ? DATA_LONG_LINE : 0);
		buf_done(&out);
	}
	free(p);
}

static void many_bare_carriage_returns_take_linear_time(void **state)
{
	/* 4 MiB: with a search for LF behind each CR this would be 10^13 octets looked at. */
	size_t n = (size_t)4 << 20;
	char *p = malloc(n);
	struct data_scanner s;
	(void)state;
	memset(p, '\r', n);
	struct buf out;
	buf_init(&out, 16);
	data_scanner_init(&s, 0, byte_sink_buf, &out);
	struct sv in = { p, n };
	assert_int_equal(data_scanner_feed(&s, &in), FEED_MORE);
	assert_true(s.faults & DATA_BARE_CR);
	buf_done(&out);
	free(p);
}

static void written_dots_are_stuffed_and_the_end_is_on_its_own_line(void **state)
{
	static const struct { struct sv in, out; } cases[] = {
		{ S(""), S(".\r\n") },
		{ S("a"), S("a\r\n.\r\n") },
		{ S("."), S("..\r\n.\r\n") },
		{ S(".a\r\n..\r\nb.\r\n"), S("..a\r\n...\r\nb.\r\n.\r\n") },
		{ S("a\r"), S("a\r\r\n.\r\n") },
		{ S("a\r.\r\n.\r\n"), S("a\r.\r\n..\r\n.\r\n") },
		{ S("\r\n.\r\n"), S("\r\n..\r\n.\r\n") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= cases[i].in.len; cut++) {
			struct dot_writer w = { 0 };
			struct buf out;
			struct sv a = heap(sv_sub(cases[i].in, 0, cut)), b = heap(sv_sub(cases[i].in, cut, SIZE_MAX));
			buf_init(&out, 100);
			assert_true(dot_writer_feed(&w, a, byte_sink_buf, &out));
			assert_true(dot_writer_feed(&w, b, byte_sink_buf, &out));
			assert_true(dot_writer_end(&w, byte_sink_buf, &out));
			assert_sv(buf_sv(&out), cases[i].out);
			buf_done(&out);
			free((void *)a.p);
			free((void *)b.p);
		}
}

static void what_is_stuffed_comes_back_through_the_scanner(void **state)
{
	static const char octets[] = "a.\r\n\0";
	unsigned seed = 7;
	(void)state;
	for (int round = 0; round < 2000; round++) {
		char text[24], *end = text;
		for (int i = 0; i < 10; i++) {
			seed = seed * 1103515245u + 12345u;
			char c = octets[(seed >> 16) % 5];
			if (c == '\r' || c == '\n') {   /* only whole line ends */
				*end++ = '\r';
				c = '\n';
			}
			*end++ = c;
		}
		*end++ = '\r';
		*end++ = '\n';
		struct sv in = { text, (size_t)(end - text) };
		struct dot_writer w = { 0 };
		struct data_scanner s;
		struct buf wire, back;
		buf_init(&wire, 100);
		buf_init(&back, 100);
		assert_true(dot_writer_feed(&w, in, byte_sink_buf, &wire));
		assert_true(dot_writer_end(&w, byte_sink_buf, &wire));
		data_scanner_init(&s, 0, byte_sink_buf, &back);
		struct sv sent = buf_sv(&wire);
		assert_int_equal(data_scanner_feed(&s, &sent), FEED_DONE);
		assert_int_equal(sent.len, 0);
		assert_sv(buf_sv(&back), in);
		buf_done(&wire);
		buf_done(&back);
	}
}

static void files_with_bare_line_feeds_become_wire_form(void **state)
{
	static const struct { struct sv in, out; } cases[] = {
		{ S(""), S("") },
		{ S("\n\n"), S("\r\n\r\n") },
		{ S("a\nb\r\nc\rd\r\r\n"), S("a\r\nb\r\nc\rd\r\r\n") },
		{ S("a\r"), S("a\r") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= cases[i].in.len; cut++) {
			struct crlf_writer w = { 0 };
			struct buf out;
			struct sv a = heap(sv_sub(cases[i].in, 0, cut)), b = heap(sv_sub(cases[i].in, cut, SIZE_MAX));
			buf_init(&out, 100);
			assert_true(crlf_writer_feed(&w, a, byte_sink_buf, &out));
			assert_true(crlf_writer_feed(&w, b, byte_sink_buf, &out));
			assert_sv(buf_sv(&out), cases[i].out);
			buf_done(&out);
			free((void *)a.p);
			free((void *)b.p);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_lines_are_read_alike_however_they_are_cut),
		cmocka_unit_test(a_line_that_never_ends_is_given_up_at_the_same_octet),
		cmocka_unit_test(a_resting_reader_holds_no_memory),
		cmocka_unit_test(the_end_of_data_is_found_alike_however_it_is_cut),
		cmocka_unit_test(a_full_sink_is_not_called_again_and_the_end_is_still_found),
		cmocka_unit_test(an_over_long_line_is_flagged),
		cmocka_unit_test(many_bare_carriage_returns_take_linear_time),
		cmocka_unit_test(written_dots_are_stuffed_and_the_end_is_on_its_own_line),
		cmocka_unit_test(what_is_stuffed_comes_back_through_the_scanner),
		cmocka_unit_test(files_with_bare_line_feeds_become_wire_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
