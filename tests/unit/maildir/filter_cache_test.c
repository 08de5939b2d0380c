/* Compiled scripts are kept by their text, and made anew when what they include has changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "maildir/filter_cache.h"

static bool load(void *arg, enum sieve_location where, struct sv name, struct buf *out)
{
	const char *text = *(const char **)arg;

	(void)where;
	(void)name;
	return text && buf_append(out, sv_z(text));
}

static void get(struct filter_cache *c, const char *owner, const char *text, const char **part, bool is_good)
{
	struct sieve_loader loader = { load, part };
	struct filter_script *s = NULL;
	struct sieve_errors errors;
	struct fault f = filter_cache_get(c, sv_z(owner), sv_z(text), &loader, &s, &errors);

	assert_int_equal(!f.kind, is_good);
	assert_int_equal(errors.count > 0 && !is_good, !is_good);
	filter_cache_put(c, &s);
	assert_null(s);
}

static void a_text_is_compiled_once_for_everybody(void **state)
{
	struct filter_cache *c = filter_cache_new();
	const char *none = NULL;
	(void)state;

	get(c, "alice", "keep;", &none, true);
	get(c, "alice", "keep;", &none, true);
	get(c, "bob", "keep;", &none, true);
	assert_int_equal(filter_cache_compiled(c), 1);
	get(c, "bob", "keep; ", &none, true);
	assert_int_equal(filter_cache_compiled(c), 2);
	get(c, "bob", "nonsense", &none, false);
	get(c, "bob", "nonsense", &none, false);
	assert_int_equal(filter_cache_compiled(c), 4);
	filter_cache_free(&c);
}

static void what_includes_is_its_owners_and_follows_its_parts(void **state)
{
	static const char text[] = "require \"include\"; include \"part\";";
	struct filter_cache *c = filter_cache_new();
	const char *part = "keep;";
	(void)state;

	get(c, "alice", text, &part, true);
	get(c, "alice", text, &part, true);
	assert_int_equal(filter_cache_compiled(c), 1);
	get(c, "bob", text, &part, true);
	assert_int_equal(filter_cache_compiled(c), 2);
	part = "stop;";
	get(c, "alice", text, &part, true);
	assert_int_equal(filter_cache_compiled(c), 3);
	part = NULL;
	get(c, "alice", text, &part, true);
	get(c, "alice", text, &part, true);
	assert_int_equal(filter_cache_compiled(c), 4);
	part = "broken";
	get(c, "alice", text, &part, false);
	filter_cache_free(&c);
}

static void the_least_used_goes_first(void **state)
{
	struct filter_cache *c = filter_cache_new();
	const char *none = NULL;
	char text[64];
	(void)state;

	get(c, "a", "keep;", &none, true);
	for (unsigned i = 0; i < FILTER_CACHE_MAX + 10; i++) {
		snprintf(text, sizeof(text), "# %u\nkeep;", i);
		get(c, "a", text, &none, true);
		get(c, "a", "keep;", &none, true);
	}
	assert_int_equal(filter_cache_compiled(c), FILTER_CACHE_MAX + 11);
	get(c, "a", "# 0\nkeep;", &none, true);
	assert_int_equal(filter_cache_compiled(c), FILTER_CACHE_MAX + 12);
	filter_cache_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_compiled_once_for_everybody),
		cmocka_unit_test(what_includes_is_its_owners_and_follows_its_parts),
		cmocka_unit_test(the_least_used_goes_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
