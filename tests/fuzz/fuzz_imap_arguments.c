/* What commands make of their arguments: sections, searches, flags, ID, sets, patterns. */
#include <stdint.h>
#include <stdlib.h>

#include "common/mime.h"
#include "imapd/flagset.h"
#include "imapd/id.h"
#include "imapd/listing.h"
#include "imapd/search.h"
#include "imapd/section.h"
#include "imapd/sort.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char message[] = "From: =?utf-8?q?a?= <a@x>\r\nSubject: s\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\n"
			      "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n"
			      "Content-Type: message/rfc822\r\n\r\nTo: y\r\n\r\nz\r\n--b--\r\n";

static void try_section(struct args args, const struct mime_message *m)
{
	struct arena arena;
	struct section section;
	struct buf text = { .max = 1 << 20 };
	struct sv file = sv_from(message, sizeof(message) - 1);

	arena_init(&arena, 1 << 20);
	if (section_read(&args, &arena, &section)) {
		struct section_place at = section_find(&section, m, file.len, &text);

		if (at.source == SECTION_SLICE && (at.offset > file.len || at.len > file.len - at.offset))
			abort();
		if (at.source == SECTION_HEADER)
			section_filter(&section, sv_sub(file, (size_t)at.offset, (size_t)at.len), &text);
	}
	buf_done(&text);
	arena_done(&arena);
}

/* Filters that name themselves and others, and one that is whatever the input names. */
static bool filter(void *arg, struct arena *arena, struct sv name, struct sv *value)
{
	(void)arg;
	*value = sv_eq(name, SV("a")) ? SV("OR FILTER b SEEN") :
		 sv_eq(name, SV("b")) ? SV("FILTER c UID 1:9 KEYWORD $kw") :
		 sv_eq(name, SV("c")) ? SV("(NOT (HEADER x y)) FILTER a") :
					name;
	*value = arena_copy(arena, *value);
	return value->p != NULL;
}

static void try_sort(struct args args, const struct mime_message *m)
{
	const struct message_row row = { .uid = 7, .size = 200, .internaldate = 1000000 }, later = { .uid = 8 };
	struct sorter sorter;
	uint32_t *numbers, *uids;

	if (sorter_read(&args, CAPABILITIES_ALL, 1 << 20, &sorter)) {
		if (!sorter_take(&sorter, &row, m, 1) || !sorter_take(&sorter, &later, NULL, 2) ||
		    !sorter_finish(&sorter, &numbers, &uids) || numbers[0] + numbers[1] != 3 || uids[0] + uids[1] != 15)
			abort();
		free(numbers);
		free(uids);
	}
	sorter_done(&sorter);
}

static void try_search(struct args args, const struct view *view, const struct mime_message *m)
{
	struct arena arena;
	struct keyword_table keywords = { .count = 1, .names = { SV("$kw") } };
	struct search_context context = { .view = view, .keywords = &keywords, .arena = &arena, .keys_max = 64,
					  .on = CAPABILITIES_ALL, .now = 1000000, .filter = filter };
	struct message_row row = { .uid = 7, .flags = FLAG_SEEN, .size = 200, .internaldate = 1000000 };
	struct search_message of_row = { .row = &row }, of_both = { .row = &row, .parsed = m };
	struct search search;

	arena_init(&arena, 1 << 20);
	if (search_read(&args, &context, &search) == SEARCH_READ) {
		enum truth first = search_run(&search, &of_row), second = search_run(&search, &of_both);

		/* Knowing more never changes an answer. */
		if (first != UNKNOWN && first != second)
			abort();

		/* A copy is the same program. */
		struct arena other;
		struct search twin;

		arena_init(&other, 1 << 20);
		if (search_copy(&search, &other, &twin) && search_run(&twin, &of_both) != second)
			abort();
		search_done(&twin);
		arena_done(&other);
	}
	search_done(&search);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct grammar_limits limits = { .line = 4096, .literal = 512, .literal_nonsync = 512, .literals = 1024,
						      .depth = 8, .tokens = 512 };
	struct mime_message *m = mime_parse(sv_from(message, sizeof(message) - 1));
	struct buf line = { .max = 8192 };
	struct grammar g;
	struct view view = { 0 };
	struct uidset uids = { 0 };

	uidset_add(&uids, 5, 9);
	uidset_add(&uids, 100, 100);
	view_set(&view, &uids, 1);
	grammar_init(&g, &limits);
	buf_append(&line, SV("t "));
	if (buf_append(&line, sv_from((const char *)data, size)) && buf_append(&line, SV("\r\n"))) {
		struct sv in = buf_sv(&line);
		enum grammar_event event = grammar_feed(&g, &in);

		while (event == GRAMMAR_LITERAL && grammar_take(&g))
			event = grammar_feed(&g, &in);
		if (event == GRAMMAR_COMMAND) {
			struct args args = args_from(&g, 1), copy = args;
			struct arena arena;
			struct flagset flags;
			struct id id;
			struct sv text;
			struct uidset set = { 0 };

			arena_init(&arena, 1 << 20);
			flagset_read(&copy, &arena, &flags);
			copy = args;
			id_read(&copy, &arena, &id);
			arena_done(&arena);
			try_section(args, m);
			try_search(args, &view, m);
			try_sort(args, m);
			copy = args;
			if (args_raw(&copy, &text)) {
				if (view_resolve(&view, text, (enum set_kind)(size % 3), &set) == SET_OK &&
				    uidset_total(&set) > view.count)
					abort();
				pattern_matches(text, SV("INBOX/a/b"));
			}
			uidset_done(&set);
		}
	}
	grammar_done(&g);
	view_done(&view);
	buf_done(&line);
	mime_message_free(&m);
	return 0;
}
