/* Names and patterns of LIST and LSUB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/listing.h"

static void patterns_mean_names(void **state)
{
	static const struct { const char *pattern, *name; bool matches; } cases[] = {
		{ "*", "a/b/c", true }, { "%", "a", true }, { "%", "a/b", false }, { "a/%", "a/b", true },
		{ "a/%", "a/b/c", false }, { "a/*", "a/b/c", true }, { "a*", "a", true }, { "a*c", "a/b/c", true },
		{ "a%c", "a/b/c", false }, { "%/%", "a/b", true }, { "%/%", "a/b/c", false }, { "*/c", "a/b/c", true },
		{ "%*c", "a/b/c", true }, { "*%c", "a/b/c", true }, { "*b%", "a/b/c", false }, { "*b*", "a/b/c", true },
		{ "inbox", "INBOX", true }, { "InBoX/%", "INBOX/x", true }, { "inbox/X", "INBOX/x", false },
		{ "in%", "INBOX", true }, { "a", "A", false }, { "", "", true }, { "", "a", false }, { "a", "", false },
		{ "**", "a/b", true }, { "%%", "ab", true }, { "Sent", "Sent Items", false }, { "inboxes", "INBOX", false },
		{ "inbox", "INBOXES", false }, { "*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (pattern_matches(sv_z(cases[i].pattern), sv_z(cases[i].name)) != cases[i].matches)
			fail_msg("%s and %s", cases[i].pattern, cases[i].name);
}

static bool is_subscribed(const struct listed *row, unsigned options)
{
	(void)options;
	return row->subscribed;
}

static void parents_are_found_and_missing_ones_are_made(void **state)
{
	static const char *const names[] = { "b", "a/x/y", "INBOX", "a-b", "a/x/z", "b/c", "INBOX/sub", "a!", "d/e/f/g" };
	static const struct { const char *name; const char *parent; bool exists; } want[] = {
		{ "INBOX", NULL, true }, { "INBOX/sub", "INBOX", true }, { "a", NULL, false }, { "a/x", "a", false },
		{ "a/x/y", "a/x", true }, { "a/x/z", "a/x", true }, { "a!", NULL, true }, { "a-b", NULL, true },
		{ "b", NULL, true }, { "b/c", "b", true }, { "d", NULL, false }, { "d/e", "d", false },
		{ "d/e/f", "d/e", false }, { "d/e/f/g", "d/e/f", true },
	};
	struct arena arena;
	struct listing l = { .arena = &arena };

	(void)state;
	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct listed *row = listing_add(&l, sv_z(names[i]));

		row->exists = true;
		row->subscribed = !strcmp(names[i], "d/e/f/g");
	}
	assert_int_equal(listing_arrange(&l).kind, FAULT_NONE);
	assert_int_equal(l.count, ARRAY_LEN(want));
	listing_choose(&l, is_subscribed, 0);
	for (size_t i = 0; i < l.count; i++) {
		const struct listed *row = &l.rows[i];

		assert_true(sv_eq(row->name, sv_z(want[i].name)));
		assert_int_equal(row->exists, want[i].exists);
		if (want[i].parent)
			assert_true(sv_eq(l.rows[row->parent].name, sv_z(want[i].parent)));
		else
			assert_int_equal(row->parent, SIZE_MAX);
		assert_int_equal(row->is_chosen, !strcmp(want[i].name, "d/e/f/g"));
		assert_int_equal(row->has_chosen_child, i >= 10 && i < 13);
	}
	arena_done(&arena);
}

static void too_many_names_are_a_fault(void **state)
{
	struct arena arena;
	struct listing l = { .arena = &arena };
	size_t n = 0;

	(void)state;
	arena_init(&arena, 16384);
	while (listing_add(&l, SV("deep/er/and/deeper/down/the/tree")))
		n++;
	assert_true(n > 10);
	assert_int_equal(l.count, n);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_mean_names),
		cmocka_unit_test(parents_are_found_and_missing_ones_are_made),
		cmocka_unit_test(too_many_names_are_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
