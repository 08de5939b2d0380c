/* SEARCH as a program: reading, running in three truth values, decoded texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/search.h"

struct fixture {
	struct grammar g;
	struct arena arena;
	struct view view;
	struct keyword_table keywords;
	struct search search;
};

static enum search_read read_keys(struct fixture *x, const char *keys)
{
	struct grammar_limits limits = { .line = 100000, .literal = 1000, .literal_nonsync = 1000, .literals = 1000,
					 .depth = 32, .tokens = 20000 };
	struct search_context context = { .view = &x->view, .keywords = &x->keywords, .arena = &x->arena,
					  .keys_max = 50, .on = CAPABILITIES_ALL, .now = 1000000 };
	struct buf line = { .max = 100000 };
	struct uidset uids = { 0 };

	*x = (struct fixture){ .keywords = { .count = 2, .names = { SV("$one"), SV("two") } } };
	buf_appendf(&line, "t %s\r\n", keys);
	struct sv in = buf_sv(&line);

	grammar_init(&x->g, &limits);
	arena_init(&x->arena, 1 << 20);
	uidset_add(&uids, 10, 19);
	view_set(&x->view, &uids, 1);
	assert_int_equal(grammar_feed(&x->g, &in), GRAMMAR_COMMAND);
	buf_done(&line);
	struct args args = args_from(&x->g, 1);

	return search_read(&args, &context, &x->search);
}

static void done(struct fixture *x)
{
	search_done(&x->search);
	view_done(&x->view);
	grammar_done(&x->g);
	arena_done(&x->arena);
}

static enum truth run(const char *keys, const struct message_row *row, const struct mime_message *parsed)
{
	struct fixture x;
	struct search_message m = { .row = row, .parsed = parsed, .is_recent = true };

	if (read_keys(&x, keys) != SEARCH_READ)
		fail_msg("not read: %s", keys);
	enum truth result = search_run(&x.search, &m);

	done(&x);
	return result;
}

static void keys_about_the_row_need_nothing_else(void **state)
{
	static const struct message_row row = {
		.uid = 12, .flags = FLAG_SEEN | FLAG_DRAFT, .keywords = { { 2, 0 } }, .modseq = 7, .size = 100,
		.internaldate = -1,     /* 31-Dec-1969 */
	};
	static const struct { const char *keys; enum truth want; } cases[] = {
		{ "ALL", YES }, { "SEEN", YES }, { "UNSEEN", NO }, { "FLAGGED", NO }, { "KEYWORD TWO", YES },
		{ "KEYWORD $one", NO }, { "UNKEYWORD none", YES }, { "RECENT", YES }, { "NEW", NO }, { "OLD", NO },
		{ "UID 12", YES }, { "UID 13:*", NO }, { "3", YES }, { "1:2", NO }, { "BEFORE 1-Jan-1970", YES },
		{ "ON 31-Dec-1969", YES }, { "SINCE 31-Dec-1969", YES }, { "SINCE 1-Jan-1970", NO }, { "LARGER 99", YES },
		{ "LARGER 100", NO }, { "SMALLER 101", YES }, { "SMALLER 100", NO }, { "MODSEQ 7", YES }, { "MODSEQ 8", NO },
		{ "SEEN DRAFT", YES }, { "SEEN FLAGGED", NO }, { "OR SEEN FLAGGED", YES }, { "NOT (SEEN DRAFT)", NO },
		{ "OR (SEEN FLAGGED) (DRAFT NOT DELETED)", YES }, { "NOT OR FLAGGED DELETED", YES },
		/* what needs more than the row is unknown, unless the rest decides */
		{ "SUBJECT x", UNKNOWN }, { "NOT SUBJECT x", UNKNOWN }, { "SUBJECT x FLAGGED", NO }, { "OR SUBJECT x SEEN", YES },
		{ "OR BODY x FLAGGED", UNKNOWN }, { "SENTON 1-Jan-2000 UNSEEN", NO }, { "BODY x SEEN", UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (run(cases[i].keys, &row, NULL) != cases[i].want)
			fail_msg("%s", cases[i].keys);
}

static void keys_about_the_header_need_the_parsed_message(void **state)
{
	static const struct message_row row = { .uid = 12, .internaldate = 86400 };
	static const struct { const char *keys; enum truth want; } cases[] = {
		{ "SUBJECT apple", YES }, { "SUBJECT \"gr\xc3\xbc\xc3\x9f" "e\"", YES }, { "SUBJECT pear", NO },
		{ "FROM joerg@x", YES }, { "TO x", NO }, { "SENTON 7-Feb-1994", YES }, { "SENTBEFORE 7-Feb-1994", NO },
		{ "SENTSINCE 8-Feb-1994", NO }, { "HEADER SUBJECT Apple", YES }, { "HEADER X-Unusual y", UNKNOWN },
		{ "BODY x", UNKNOWN }, { "OR BODY x SUBJECT apple", YES },
	};
	struct mime_message *m = mime_parse(SV("From: J <joerg@x>\r\nSubject: An =?utf-8?B?QXBwbGUgZ3LDvMOfZQ==?=\r\n"
					       "Date: Mon, 7 Feb 1994 23:52:25 -0800\r\nX-Unusual: y\r\n\r\nbody\r\n"));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (run(cases[i].keys, &row, m) != cases[i].want)
			fail_msg("%s", cases[i].keys);
	}
	mime_message_free(&m);
}

static void sets_narrow_the_scan_and_may_be_the_answer(void **state)
{
	static const struct { const char *keys, *within; bool needs_rows; } cases[] = {
		{ "ALL", "10:19", false }, { "1:3", "10:12", false }, { "UID 12:99 1:5", "12:14", false },
		{ "2:4 SEEN", "11:13", true }, { "(1:3)", "10:19", true }, { "NOT 1:3", "10:19", true },
		{ "OR 1 2", "10:19", true }, { "UID 1:5", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixture x;
		struct buf out = { .max = 100 };

		assert_int_equal(read_keys(&x, cases[i].keys), SEARCH_READ);
		uidset_write(&x.search.within, &out);
		if (strcmp(buf_z(&out), cases[i].within) || x.search.needs_rows != cases[i].needs_rows)
			fail_msg("%s: within %s", cases[i].keys, buf_z(&out));
		buf_done(&out);
		done(&x);
	}
}

static void limits_and_mistakes_are_told_apart(void **state)
{
	static const struct { const char *keys; enum search_read want; } cases[] = {
		{ "", SEARCH_BAD }, { "NOT", SEARCH_BAD }, { "OR SEEN", SEARCH_BAD }, { "()", SEARCH_BAD },
		{ "(SEEN (NOT))", SEARCH_BAD }, { "CHARSET KLINGON ALL", SEARCH_BAD_CHARSET }, { "CHARSET utf-8 ALL", SEARCH_READ },
		{ "RETURN (MIN MIN) ALL", SEARCH_READ }, { "RETURN MIN ALL", SEARCH_BAD }, { "BODY", SEARCH_BAD },
		{ "CHARSET UTF-8 SUBJECT \"\xc3\xa4\"", SEARCH_READ },
	};
	struct fixture x;
	struct buf many = { .max = 10000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (read_keys(&x, cases[i].keys) != cases[i].want)
			fail_msg("%s", cases[i].keys);
		done(&x);
	}
	for (int i = 0; i < 200; i++)
		buf_append(&many, SV("SEEN "));
	buf_append(&many, SV("SEEN"));
	assert_int_equal(read_keys(&x, buf_z(&many)), SEARCH_LIMIT);
	done(&x);
	buf_clear(&many);
	for (int i = 0; i < 200; i++)
		buf_append(&many, SV("NOT "));
	buf_append(&many, SV("SEEN"));
	assert_int_equal(read_keys(&x, buf_z(&many)), SEARCH_LIMIT);
	done(&x);
	buf_done(&many);
}

static void texts_are_compared_without_case(void **state)
{
	(void)state;
	assert_true(search_holds(SV("Hello World"), SV("LO WO")));
	assert_false(search_holds(SV("Hello World"), SV("WORLDS")));
	assert_true(search_holds(SV("x"), SV("")));
	assert_false(search_holds(SV(""), SV("X")));
	assert_true(search_header(SV("A: b\r\nSubject : fold\r\n\ted\r\n\r\n"), SV("subject"), SV("FOLD\tED")) ||
		    search_header(SV("A: b\r\nSubject : fold\r\n\ted\r\n\r\n"), SV("subject"), SV("FOLD ED")));
	assert_true(search_header(SV("A: b\r\n"), SV("a"), SV("")));
	assert_false(search_header(SV("A: b\r\n"), SV("b"), SV("")));
	assert_false(search_header(SV("no field\r\n"), SV("no field"), SV("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_about_the_row_need_nothing_else),
		cmocka_unit_test(keys_about_the_header_need_the_parsed_message),
		cmocka_unit_test(sets_narrow_the_scan_and_may_be_the_answer),
		cmocka_unit_test(limits_and_mistakes_are_told_apart),
		cmocka_unit_test(texts_are_compared_without_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
