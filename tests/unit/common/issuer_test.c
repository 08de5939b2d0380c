/* The issuer's keys as a worker sees them: read when they are replaced, asked for when one is missing, believed for a while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/instance.h"
#include "common/issuer.h"
#include "common/memory.h"
#include "common/textfile.h"

#include "common/banned.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define NOW 1800000000

#include "tests/unit/common/issuer_token.h"

#define ISSUER SV("https://login.example")

struct place {
	char folder[64];
	struct instance *instance;
	struct issuer *issuer;
	struct buf keys, wanted;
};

static const struct issuer_rules rules = {
	.token = { .issuer = "https://login.example", .audience = "mail", .account_claim = "email" },
	.floor_s = 60,
};

static int set_up(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	snprintf(p->folder, sizeof(p->folder), "/tmp/postroom-issuer-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	OK(instance_create(p->folder, &p->instance));
	OK(issuer_open(p->instance, &p->issuer));
	buf_init(&p->keys, 4096);
	buf_init(&p->wanted, 4096);
	issuer_keys_path(p->instance, &p->keys);
	issuer_wanted_path(p->instance, &p->wanted);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	pid_t child;
	int status;

	issuer_close(&p->issuer);
	instance_close(&p->instance);
	buf_done(&p->keys);
	buf_done(&p->wanted);
	child = fork();
	if (child == 0) {
		execlp("rm", "rm", "-rf", p->folder, (char *)NULL);
		_exit(127);
	}
	assert_true(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	free(p);
	return 0;
}

static enum token_verdict check(struct place *p, int64_t now_s)
{
	struct buf account;

	buf_init(&account, 100);
	enum token_verdict verdict = issuer_check(p->issuer, &rules, SV(TOKEN), now_s, &account);

	assert_true(sv_eq(buf_sv(&account), verdict == TOKEN_GOOD ? SV("a@b") : SV("")));
	buf_done(&account);
	return verdict;
}

/* was_asked - has somebody asked for keys since the last call? */
static bool was_asked(struct place *p)
{
	struct stat st;

	assert_int_equal(stat(buf_z(&p->wanted), &st), 0);
	assert_int_equal(truncate(buf_z(&p->wanted), 0), 0);
	return st.st_size > 0;
}

static void without_keys_nothing_is_wrong_and_they_are_asked_for(void **state)
{
	struct place *p = *state;

	assert_int_equal(check(p, NOW), TOKEN_UNAVAILABLE);
	assert_true(was_asked(p));
	OK(issuer_keys_write(buf_z(&p->keys), ISSUER, NOW, SV(KEYS)));
	assert_int_equal(check(p, NOW), TOKEN_GOOD);
	assert_false(was_asked(p));
}

static void an_unknown_key_is_asked_for_and_refused_once_the_issuer_was_asked(void **state)
{
	struct place *p = *state;

	OK(issuer_keys_write(buf_z(&p->keys), ISSUER, NOW - 100, SV(OTHER_KEYS)));
	assert_int_equal(check(p, NOW), TOKEN_UNAVAILABLE);
	assert_true(was_asked(p));
	OK(issuer_keys_write(buf_z(&p->keys), ISSUER, NOW, SV(OTHER_KEYS)));
	assert_int_equal(check(p, NOW + 1), TOKEN_UNKNOWN_KEY);
	assert_int_equal(check(p, NOW + 59), TOKEN_UNKNOWN_KEY);
	assert_false(was_asked(p));
	assert_int_equal(check(p, NOW + 60), TOKEN_UNAVAILABLE);
	assert_true(was_asked(p));
	assert_int_equal(check(p, NOW - 1), TOKEN_UNAVAILABLE);        /* a clock that was set back */
	OK(issuer_keys_write(buf_z(&p->keys), ISSUER, NOW + 61, SV(KEYS)));
	assert_int_equal(check(p, NOW + 61), TOKEN_GOOD);
}

static void keys_are_believed_for_a_week_while_the_issuer_is_silent(void **state)
{
	struct place *p = *state;

	OK(issuer_keys_write(buf_z(&p->keys), ISSUER, NOW - ISSUER_KEYS_AGE_S + 1, SV(KEYS)));
	assert_int_equal(check(p, NOW), TOKEN_GOOD);
	assert_int_equal(check(p, NOW + 1), TOKEN_UNAVAILABLE);
}

static void a_file_that_is_damaged_or_of_another_issuer_leaves_what_is_known(void **state)
{
	struct place *p = *state;

	OK(issuer_keys_write(buf_z(&p->keys), SV("https://other.example"), NOW, SV(KEYS)));
	assert_int_equal(check(p, NOW), TOKEN_UNAVAILABLE);
	OK(issuer_keys_write(buf_z(&p->keys), ISSUER, NOW, SV(KEYS)));
	assert_int_equal(check(p, NOW), TOKEN_GOOD);
	for (size_t i = 0; i < 60; i++) {
		char text[64] = "postroom-issuer-1 1800000000 https://login.example\n{\"keys\":";

		text[i] = '\0';
		OK(textfile_replace(buf_z(&p->keys), sv_z(text)));
		assert_int_equal(check(p, NOW), TOKEN_GOOD);
	}
	assert_int_equal(unlink(buf_z(&p->keys)), 0);
	assert_int_equal(check(p, NOW), TOKEN_GOOD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_keys_nothing_is_wrong_and_they_are_asked_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unknown_key_is_asked_for_and_refused_once_the_issuer_was_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_are_believed_for_a_week_while_the_issuer_is_silent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_is_damaged_or_of_another_issuer_leaves_what_is_known, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
