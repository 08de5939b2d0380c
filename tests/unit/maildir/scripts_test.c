/* An account's Sieve scripts: names, the link that says which one is active, quotas, what is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "maildir/scripts.h"
#include "tests/unit/support/store_fixture.h"

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)
#define fails(call, kind_) assert_int_equal((call).kind, kind_)

static const struct scripts_quota no_limit = { 0, 0 };

struct world {
	struct fixture store;
	struct scripts *scripts;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	fixture_make(&w->store);
	ok(scripts_open_user(w->store.user, &w->scripts));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	scripts_close(&w->scripts);
	fixture_remove(&w->store);
	free(w);
	return 0;
}

static bool add_name(void *arg, const struct script_info *info)
{
	struct buf *out = arg;

	return buf_appendf(out, "%s%.*s=%llu;", info->is_active ? "*" : "", SV_FMT(info->name), (unsigned long long)info->size);
}

static void lists(struct scripts *s, const char *what)
{
	struct buf out;

	buf_init(&out, 4096);
	ok(scripts_list(s, add_name, &out));
	assert_string_equal(buf_z(&out), what);
	buf_done(&out);
}

static void reads_active(struct scripts *s, const char *name, const char *text)
{
	struct buf n, t;

	buf_init(&n, 1024);
	buf_init(&t, 1024);
	ok(scripts_active(s, &n, &t));
	assert_string_equal(buf_z(&n), name);
	assert_string_equal(buf_z(&t), text);
	buf_done(&n);
	buf_done(&t);
}

static void names_are_checked_as_rfc_5804_says(void **state)
{
	static const char *const good[] = { "a", "my script", "Übersicht", "a.sieve", "x\xc2\xa0y" };
	static const char *const bad[] = { "", ".", "..", ".hidden", "a/b", "a\nb", "a\x7f", "\xc2\x85", "a\xe2\x80\xa8", "\xff" };
	char longest[SCRIPT_NAME_MAX + 2];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(script_name_is_good(sv_z(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(script_name_is_good(sv_z(bad[i])));
	memset(longest, 'x', sizeof(longest));
	assert_true(script_name_is_good(sv_from(longest, SCRIPT_NAME_MAX)));
	assert_false(script_name_is_good(sv_from(longest, SCRIPT_NAME_MAX + 1)));
}

static void a_script_is_put_got_renamed_and_removed(void **state)
{
	struct scripts *s = ((struct world *)*state)->scripts;
	struct buf text;

	lists(s, "");
	ok(scripts_put(s, SV("one"), SV("keep;"), &no_limit));
	ok(scripts_put(s, SV("one"), SV("keep; "), &no_limit));
	lists(s, "one=6;");
	ok(scripts_rename(s, SV("one"), SV("two")));
	fails(scripts_rename(s, SV("one"), SV("three")), FAULT_NOT_FOUND);
	ok(scripts_put(s, SV("three"), SV("stop;"), &no_limit));
	fails(scripts_rename(s, SV("three"), SV("two")), FAULT_EXISTS);
	fails(scripts_rename(s, SV("three"), SV("../x")), FAULT_INVALID);
	buf_init(&text, 100);
	ok(scripts_get(s, SV("two"), &text));
	assert_string_equal(buf_z(&text), "keep; ");
	fails(scripts_get(s, SV("../.dovecot"), &text), FAULT_NOT_FOUND);
	buf_done(&text);
	ok(scripts_remove(s, SV("two")));
	fails(scripts_remove(s, SV("two")), FAULT_NOT_FOUND);
	lists(s, "three=5;");
}

static void one_script_at_most_is_active(void **state)
{
	struct scripts *s = ((struct world *)*state)->scripts;
	struct buf name, text;

	buf_init(&name, 1024);
	buf_init(&text, 1024);
	fails(scripts_active(s, &name, &text), FAULT_NOT_FOUND);
	ok(scripts_put(s, SV("a"), SV("keep;"), &no_limit));
	ok(scripts_put(s, SV("b"), SV("stop;"), &no_limit));
	fails(scripts_activate(s, SV("c")), FAULT_NOT_FOUND);
	ok(scripts_activate(s, SV("a")));
	reads_active(s, "a", "keep;");
	ok(scripts_activate(s, SV("b")));
	reads_active(s, "b", "stop;");
	fails(scripts_remove(s, SV("b")), FAULT_IN_USE);
	ok(scripts_rename(s, SV("b"), SV("z")));
	reads_active(s, "z", "stop;");
	ok(scripts_activate(s, SV("")));
	fails(scripts_active(s, &name, &text), FAULT_NOT_FOUND);
	ok(scripts_remove(s, SV("z")));
	buf_done(&name);
	buf_done(&text);
}

static void quotas_hold_for_new_scripts_and_sizes(void **state)
{
	static const struct scripts_quota quota = { 2, 10 };
	struct scripts *s = ((struct world *)*state)->scripts;

	ok(scripts_put(s, SV("a"), SV("0123456789"), &quota));
	fails(scripts_put(s, SV("b"), SV("0123456789a"), &quota), FAULT_LIMIT);
	ok(scripts_put(s, SV("b"), SV("1"), &quota));
	fails(scripts_put(s, SV("c"), SV("1"), &quota), FAULT_QUOTA);
	ok(scripts_put(s, SV("b"), SV("22"), &quota));
	ok(scripts_fits(s, SV("a"), 10, &quota));
	fails(scripts_fits(s, SV("a"), 11, &quota), FAULT_LIMIT);
	fails(scripts_fits(s, SV("a/b"), 1, &quota), FAULT_INVALID);
}

static void a_script_in_place_of_the_link_becomes_one_like_others(void **state)
{
	struct world *w = *state;
	FILE *f = fopen(fixture_path(&w->store, ".dovecot.sieve"), "w");

	assert_non_null(f);
	fputs("stop;", f);
	fclose(f);
	reads_active(w->scripts, "dovecot.orig", "stop;");
	scripts_close(&w->scripts);
	ok(scripts_open_user(w->store.user, &w->scripts));
	reads_active(w->scripts, "dovecot.orig", "stop;");
	lists(w->scripts, "*dovecot.orig=5;");
}

static void what_was_seen_is_remembered_for_its_time(void **state)
{
	struct world *w = *state;
	struct scripts *s = w->scripts;

	assert_false(scripts_was_seen(s, SV("k")));
	ok(scripts_note_seen(s, SV("k"), 1000, false));
	assert_true(scripts_was_seen(s, SV("k")));
	assert_false(scripts_was_seen(s, SV("K")));
	fails(scripts_note_seen(s, SV("k"), 1000, false), FAULT_EXISTS);
	ok(scripts_note_seen(s, SV("k"), 1000, true));
	ok(scripts_note_seen(s, SV("short"), 0, false));
	assert_false(scripts_was_seen(s, SV("short")));
	ok(scripts_note_seen(s, SV("short"), 1000, false));
	assert_true(scripts_was_seen(s, SV("short")));
	/* It survives the process. */
	scripts_close(&w->scripts);
	fixture_close(&w->store);
	fixture_open(&w->store);
	ok(scripts_open_user(w->store.user, &w->scripts));
	assert_true(scripts_was_seen(w->scripts, SV("k")));
}

static void the_last_error_is_kept_until_something_changes(void **state)
{
	struct scripts *s = ((struct world *)*state)->scripts;
	struct buf line;

	buf_init(&line, SCRIPT_ERROR_MAX);
	scripts_error(s, &line);
	assert_int_equal(line.len, 0);
	ok(scripts_put(s, SV("a"), SV("x"), &no_limit));
	scripts_note_error(s, SV("a:1:1: wrong"));
	scripts_error(s, &line);
	assert_string_equal(buf_z(&line), "a:1:1: wrong");
	lists(s, "a=1;");
	buf_clear(&line);
	ok(scripts_put(s, SV("a"), SV("keep;"), &no_limit));
	scripts_error(s, &line);
	assert_int_equal(line.len, 0);
	buf_done(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_checked_as_rfc_5804_says),
		cmocka_unit_test_setup_teardown(a_script_is_put_got_renamed_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(one_script_at_most_is_active, setup, teardown),
		cmocka_unit_test_setup_teardown(quotas_hold_for_new_scripts_and_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_script_in_place_of_the_link_becomes_one_like_others, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_seen_is_remembered_for_its_time, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_error_is_kept_until_something_changes, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
