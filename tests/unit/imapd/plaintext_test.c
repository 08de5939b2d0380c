/* SEARCH in header fields: the quick way over plain ASCII finds exactly what decoding and folding everything would find. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/charset.h"
#include "common/header.h"
#include "imapd/plaintext.h"
#include "imapd/search.h"

#include "common/banned.h"

/* --- the slow way, an octet and a field at a time ----------------------------------------------------------------------- */

static bool slow_in(struct sv folded, struct sv needle)
{
	for (size_t i = 0; i + needle.len <= folded.len; i++)
		if (sv_eq(sv_sub(folded, i, needle.len), needle))
			return true;
	return false;
}

static bool slow_text(struct sv text, struct sv needle)
{
	struct buf folded = { .max = 1 << 20 };

	utf8_casemap(text, &folded);
	bool holds = slow_in(buf_sv(&folded), needle);
	buf_done(&folded);
	return holds;
}

static bool slow_value(struct sv value, struct sv needle)
{
	struct buf line = { .max = 1 << 20 }, text = { .max = 1 << 20 };
	struct header_content content = { 0 };
	struct arena arena;

	header_unfold(value, &line);
	charset_decode_words(buf_sv(&line), &text);
	bool holds = slow_text(buf_sv(&text), needle);
	arena_init(&arena, 1 << 20);
	if (sv_find(value, '*') != SIZE_MAX && sv_find(value, '=') != SIZE_MAX)
		header_parse_content(&arena, value, &content);
	for (size_t i = 0; i < content.param_count; i++) {
		buf_clear(&line);
		buf_clear(&text);
		if (content.params[i].is_extended) {
			charset_to_utf8(content.params[i].charset, content.params[i].value, &text);
		} else {
			header_unfold(content.params[i].value, &line);
			charset_decode_words(buf_sv(&line), &text);
		}
		holds = holds || slow_text(buf_sv(&text), needle);
	}
	arena_done(&arena);
	buf_done(&line);
	buf_done(&text);
	return holds;
}

static bool slow_header(struct sv block, struct sv name, struct sv needle)
{
	for (size_t start = 0, end; start < block.len; start = end) {
		size_t colon = start;

		for (end = start; end < block.len; end++)
			if (block.p[end] == '\n' && (end + 1 == block.len || (block.p[end + 1] != ' ' && block.p[end + 1] != '\t')))
				break;
		end += end < block.len;
		while (colon < end && block.p[colon] != ':')
			colon++;
		if (colon == end || !sv_eq_nocase(sv_trim(sv_sub(block, start, colon - start)), name))
			continue;
		struct sv value = sv_trim(sv_sub(block, colon + 1, end - colon - 1));
		if (!needle.len || slow_value(value, needle))
			return true;
	}
	return false;
}

/* --- */

/* Copies of the exact size, so that an octet too far is seen. */
static bool quick_header(struct sv block, struct sv name, struct sv needle)
{
	char *copy = malloc(block.len + 1);

	if (block.len)
		memcpy(copy + 1, block.p, block.len);
	bool holds = search_header(sv_from(copy + 1, block.len), name, needle);
	free(copy);
	return holds;
}

static const struct {
	struct sv block;
} blocks[] = {
	{ SV_INIT("From: Tanaka <tanaka@example.test>\r\nTo: you\r\nSubject: An offer you know\r\n\r\n") },
	{ SV_INIT("FROM: a\r\nfrom: b\r\nFrom : c\r\nFrom\t: d\r\nFrom\r\n : e\r\nFromage: f\r\nFrom") },
	{ SV_INIT(" From: first\r\n\tFrom: still\r\nSubject: x\r\n From: folded\r\nFrom: last") },
	{ SV_INIT("\nFrom: behind an empty line\n\rFrom: behind a CR\n\n From: white\n") },
	{ SV_INIT("Subject: =?utf-8?Q?J=C3=BCrgen?= =?utf-8?B?IGdlaHQ=?=\r\nSubject: J\303\274rgen\r\nSubject: J\374rgen\r\n") },
	{ SV_INIT("Subject: folded\r\n over\r\n\tthree lines\r\nSubject: a=b =c? =?\r\nSubject: =?utf-8?Q?") },
	{ SV_INIT("Content-Disposition: attachment; filename*0*=utf-8''M%C3%BCller; filename*1=\" invoice.pdf\"\r\n") },
	{ SV_INIT("Content-Type: text/plain; charset*=us-ascii'en'plain; name=\"=?utf-8?Q?=C3=A4?=\"\r\n") },
	{ SV_INIT(":\r\n: no name\r\nno colon\r\na:b:c\r\nx") },
	{ SV_INIT("Subject:\r\nSubject: \r\nSubject: \r\n \r\nSubject:a\0b\rc\r\n") },
	{ SV_INIT("Subject: \342\204\252elvin \305\277trasse STRASSE stra\303\237e\r\nSubject: `a{z@[\r\n") },
	{ SV_INIT("") },
};

static const struct sv names[] = {
	SV_INIT("From"), SV_INIT("SUBJECT"), SV_INIT("subject"), SV_INIT("Content-Disposition"), SV_INIT("content-type"), SV_INIT("F"),
	SV_INIT("a"), SV_INIT("a:b"), SV_INIT("no colon"), SV_INIT("\rFrom"), SV_INIT("Fro m"), SV_INIT("9"), SV_INIT("x"), SV_INIT("Froma"),
};

static const char *const needles[] = {
	"", "a", "TANAKA", "tanaka", "j\303\274rgen", "rgen geht", "folded over", "over\tthree", "=c?", "=?", "m\303\274ller invoice", "m",
	"example.test>", "still", "white", "e", "k", "kelvin", "stra", "strasse", "`a{z@[", "@a[z`{", "a\nb", "you know", "pl", "invoice.pdf",
	"An offer you know", "An offer you know!", "last", "\303\244", "plain",
};

static void compare(struct sv block, struct sv name, struct sv needle)
{
	struct buf folded = { .max = 1 << 16 };

	utf8_casemap(needle, &folded);
	bool slow = slow_header(block, name, buf_sv(&folded)), quick = quick_header(block, name, buf_sv(&folded));
	if (slow != quick)
		fail_msg("the quick way says %d of %.*s: [%.*s] in [%.*s]", quick, SV_FMT(name), SV_FMT(needle), SV_FMT(block));
	buf_done(&folded);
}

static void the_quick_way_and_the_slow_one_find_the_same(void **state)
{
	(void)state;
	for (size_t b = 0; b < ARRAY_LEN(blocks); b++)
		for (size_t n = 0; n < ARRAY_LEN(names); n++)
			for (size_t k = 0; k < ARRAY_LEN(needles); k++)
				for (size_t cut = 0; cut < 3; cut++)
					compare(sv_sub(blocks[b].block, cut, blocks[b].block.len - 2 * cut), names[n], sv_z(needles[k]));
}

static uint32_t random_state = 20261122;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (random_state >> 8) % below;
}

static void they_do_so_in_random_headers(void **state)
{
	static const struct sv pieces[] = {
		SV_INIT("From"), SV_INIT("from"), SV_INIT(":"), SV_INIT(": "), SV_INIT("\r\n"), SV_INIT("\n"), SV_INIT("\r\n "), SV_INIT("\n\t"),
		SV_INIT("Subject: "), SV_INIT("subject"), SV_INIT("ab"), SV_INIT("aB"), SV_INIT("b"), SV_INIT("A"), SV_INIT(" "), SV_INIT("\r"),
		SV_INIT("=?utf-8?Q?a=62?="), SV_INIT("=?utf-8?B?w4Q=?="), SV_INIT("="), SV_INIT("?"), SV_INIT("\303\244"), SV_INIT("\344"),
		SV_INIT("; x*=utf-8''%C3%A4b"), SV_INIT("; x*0=ab; x*1=c"), SV_INIT("*"), SV_INIT("abcabcabcab"), SV_INIT("@"), SV_INIT("`"),
	};
	static const char *const looked_for[] = { "ab", "a", "bab", "\303\244", "\303\244b", "abc", "b a", "cab", "abcabcabca", "", "@" };

	(void)state;
	for (int round = 0; round < 1500; round++) {
		struct buf block = { .max = 4096 };

		for (uint32_t i = draw(24); i; i--)
			buf_append(&block, pieces[draw(ARRAY_LEN(pieces))]);
		for (size_t k = 0; k < ARRAY_LEN(looked_for); k++)
			compare(buf_sv(&block), draw(2) ? SV("from") : SV("Subject"), sv_z(looked_for[k]));
		buf_done(&block);
	}
}

static void a_needle_is_found_at_every_place_of_texts_of_every_length(void **state)
{
	(void)state;
	for (size_t len = 0; len < 40; len++) {
		char *text = malloc(len + 1);

		memset(text, 'x', len + 1);
		for (size_t n = 1; n < 12; n++)
			for (size_t at = 0; at + n <= len; at++) {
				memcpy(text + at, "abcdefghijkl", n);
				assert_true(plaintext_holds(sv_from(text, len), sv_sub(SV("ABCDEFGHIJKL"), 0, n)));
				text[at + n - 1] = 'y';
				assert_false(plaintext_holds(sv_from(text, len), sv_sub(SV("ABCDEFGHIJKL"), 0, n)));
				memset(text + at, 'x', n);
			}
		free(text);
	}
}

static void only_one_line_of_ascii_without_encoded_word_is_plain(void **state)
{
	char text[30];

	(void)state;
	for (size_t at = 0; at < sizeof(text); at++) {
		memset(text, 'x', sizeof(text));
		assert_true(plaintext_is(sv_from(text, sizeof(text))));
		for (char c = 0; c < ' '; c++) {
			text[at] = c;
			assert_false(plaintext_is(sv_from(text, sizeof(text))));
		}
		text[at] = (char)0x80;
		assert_false(plaintext_is(sv_from(text, sizeof(text))));
		text[at] = '=';
		assert_true(plaintext_is(sv_from(text, sizeof(text))));
		if (at + 1 < sizeof(text)) {
			text[at + 1] = '?';
			assert_false(plaintext_is(sv_from(text, sizeof(text))));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_quick_way_and_the_slow_one_find_the_same),
		cmocka_unit_test(they_do_so_in_random_headers),
		cmocka_unit_test(a_needle_is_found_at_every_place_of_texts_of_every_length),
		cmocka_unit_test(only_one_line_of_ascii_without_encoded_word_is_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
