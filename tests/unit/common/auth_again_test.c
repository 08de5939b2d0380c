/* Logins that were good a moment ago: the same ones are good again at once, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/auth_private.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define ITERATIONS DIRECTORY_ITERATIONS_MIN
#define ALICE "alice@example.test"

struct place {
	char path[64], logins[80];
	struct directory *dir;
	struct auth *auth;
	struct conf_auth conf;
	struct auth_peer peer;
};

static struct netaddr address(const char *text)
{
	struct netaddr a;

	assert_true(netaddr_parse(sv_z(text), &a));
	return a;
}

static int setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	log_set_level(LOG_LEVEL_ERROR);
	snprintf(p->path, sizeof(p->path), "/tmp/auth-again-test-XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	snprintf(p->logins, sizeof(p->logins), "%s/logins", p->path);
	OK(directory_open(p->path, true, &p->dir));
	OK(directory_domain_add(p->dir, SV("example.test")));
	OK(directory_account_add(p->dir, SV(ALICE), &SV("secret"), ITERATIONS, NULL));
	OK(directory_account_add(p->dir, SV("bob@example.test"), &SV("secret"), ITERATIONS, NULL));
	OK(auth_open(p->dir, &p->auth));
	OK(logins_open(p->logins, true, &p->auth->logins));
	p->conf = (struct conf_auth){
		.scram_iterations = ITERATIONS, .failures_per_minute = 100, .failures_per_day = 500, .failures_per_account = 1000,
	};
	p->peer = (struct auth_peer){ .service = AUTH_IMAP, .address = address("192.0.2.1"), .tls = SV("TLSv1.3") };
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "logins/data.mdb", "logins/lock.mdb", "logins", "data.mdb", "lock.mdb", "." };
	struct place *p = *state;
	char name[128];
	int rc = 0;

	auth_close(&p->auth);
	directory_close(&p->dir);
	for (size_t i = 0; i + 1 < ARRAY_LEN(files); i++) {
		snprintf(name, sizeof(name), "%s/%s", p->path, files[i]);
		rc |= remove(name);
	}
	rc |= rmdir(p->path);
	free(p);
	return rc;
}

/* again - by a session of its own: is it answered, and how? */
static bool again(struct place *p, struct sv user, struct sv password, struct auth_result *r)
{
	struct auth_session *s = auth_session_new(p->auth, &p->conf, &p->peer);

	*r = (struct auth_result){ .outcome = 99 };
	bool is_answered = auth_login_again(s, user, password, r);

	if (!is_answered)
		assert_int_equal(r->outcome, 99);
	auth_session_unref(&s);
	return is_answered;
}

static enum auth_reason log_in(struct place *p, struct sv user, struct sv password)
{
	struct auth_session *s = auth_session_new(p->auth, &p->conf, &p->peer);
	struct auth_result r;

	auth_login(s, user, password, &r);
	enum auth_reason reason = r.reason;

	auth_result_done(&r);
	auth_session_unref(&s);
	return reason;
}

static void assert_alice_again(struct place *p)
{
	struct auth_result r;

	assert_true(again(p, SV(ALICE), SV("secret"), &r));
	assert_int_equal(r.outcome, AUTH_OK);
	assert_string_equal(identity_address(r.identity).p, ALICE);
	assert_string_equal(identity_label(r.identity).p, "password");
	assert_string_equal(identity_peer(r.identity).p, "192.0.2.1");
	assert_string_equal(identity_tls(r.identity).p, "TLSv1.3");
	auth_result_done(&r);
}

static void a_right_login_is_right_again_without_a_look(void **state)
{
	struct place *p = *state;
	struct auth_result r;

	assert_false(again(p, SV(ALICE), SV("secret"), &r));
	assert_int_equal(log_in(p, SV("alice"), SV("secret")), AUTH_REASON_NONE);
	assert_alice_again(p);
	assert_true(again(p, SV("Alice@Example.TEST "), SV("secret"), &r));
	auth_result_done(&r);
}

static void nothing_else_is(void **state)
{
	struct place *p = *state;
	struct auth_result r;

	assert_int_equal(log_in(p, SV(ALICE), SV("secret")), AUTH_REASON_NONE);
	assert_int_equal(log_in(p, SV("bob@example.test"), SV("wrong")), AUTH_BAD_CREDENTIALS);
	assert_false(again(p, SV(ALICE), SV("wrong"), &r));
	assert_false(again(p, SV(ALICE), SV("secre"), &r));
	assert_false(again(p, SV(ALICE), SV("secret "), &r));
	assert_false(again(p, SV(ALICE), SV(""), &r));
	assert_false(again(p, SV("bob@example.test"), SV("wrong"), &r));
	assert_false(again(p, SV("bob@example.test"), SV("secret"), &r));
	assert_false(again(p, SV("alice"), SV("secret"), &r));         /* its domain is in a file */
	assert_false(again(p, SV(""), SV("secret"), &r));
	p->peer.address = address("192.0.2.2");
	assert_false(again(p, SV(ALICE), SV("secret"), &r));
	p->peer.address = address("192.0.2.1");
	p->peer.tls = SV_NONE;                  /* no password in clear */
	assert_false(again(p, SV(ALICE), SV("secret"), &r));
	p->peer.tls = SV("TLSv1.3");
	assert_alice_again(p);
}

static void any_change_of_the_directory_is_a_reason_to_look(void **state)
{
	struct place *p = *state;
	struct directory_account account;
	struct auth_result r;

	assert_int_equal(log_in(p, SV(ALICE), SV("secret")), AUTH_REASON_NONE);
	assert_alice_again(p);
	OK(directory_account_get(p->dir, SV(ALICE), &account));
	account.is_enabled = false;
	OK(directory_account_set(p->dir, &account));
	assert_false(again(p, SV(ALICE), SV("secret"), &r));
	assert_int_equal(log_in(p, SV(ALICE), SV("secret")), AUTH_DISABLED);
	assert_false(again(p, SV(ALICE), SV("secret"), &r));
}

static void what_it_is_good_for_is_decided_anew(void **state)
{
	struct place *p = *state;
	struct auth_result r;

	OK(directory_credential_add(p->dir, SV(ALICE), SV("phone"), SCOPE_IMAP, SV("abcde-fghij-klmno-pqrst"), NULL));
	assert_int_equal(log_in(p, SV(ALICE), SV("abcde-fghij-klmno-pqrst")), AUTH_REASON_NONE);
	p->peer.service = AUTH_POP3;
	assert_true(again(p, SV(ALICE), SV("abcde-fghij-klmno-pqrst"), &r));
	assert_int_equal(r.outcome, AUTH_FAIL);
	assert_int_equal(r.reason, AUTH_NOT_HERE);
	auth_result_done(&r);
}

static void it_is_forgotten_when_it_may_not_be_believed_any_longer(void **state)
{
	struct place *p = *state;
	struct auth_session *s = auth_session_new(p->auth, &p->conf, &p->peer);
	struct auth_result r;

	assert_int_equal(log_in(p, SV(ALICE), SV("secret")), AUTH_REASON_NONE);
	assert_alice_again(p);
	memcpy(s->user, ALICE, sizeof(ALICE));
	s->verified.until_ms = auth_now_ms();
	again_remember(p->auth->again, s, SV("secret"), directory_revision(p->dir));
	assert_false(again(p, SV(ALICE), SV("secret"), &r));
	auth_session_unref(&s);
}

/* by - a session that is where it is asked for a password, by this mechanism. */
static struct auth_session *by(struct place *p, const char *mechanism, const char *name)
{
	struct auth_session *s = auth_session_new(p->auth, &p->conf, &p->peer);
	struct auth_result r;

	auth_start(s, sv_z(mechanism), NULL, &r);
	assert_int_equal(r.outcome, AUTH_CONTINUE);
	auth_result_done(&r);
	if (!name)
		return s;
	auth_step(s, sv_z(name), &r);
	assert_int_equal(r.outcome, AUTH_CONTINUE);
	auth_result_done(&r);
	return s;
}

static void mechanisms_that_send_the_password_take_the_same_way(void **state)
{
	struct place *p = *state;
	struct sv plain = SV("\0" ALICE "\0secret");
	struct auth_session *s = auth_session_new(p->auth, &p->conf, &p->peer);
	struct auth_result r;

	assert_int_equal(log_in(p, SV(ALICE), SV("secret")), AUTH_REASON_NONE);
	for (size_t len = 0; len < plain.len; len++)
		assert_false(auth_start_again(s, SV("PLAIN"), sv_sub(plain, 0, len), &r));
	assert_false(auth_start_again(s, SV("PLAIN"), SV("bob@example.test\0" ALICE "\0secret"), &r));
	assert_false(auth_start_again(s, SV("PLAIN"), SV("\0" ALICE "\0secret\0"), &r));
	assert_false(auth_start_again(s, SV("LOGIN"), plain, &r));
	assert_false(auth_start_again(s, SV("SCRAM-SHA-256"), plain, &r));
	assert_false(auth_start_again(s, SV("NONE"), plain, &r));
	assert_false(auth_step_again(s, plain, &r));
	assert_true(auth_start_again(s, SV("plain"), plain, &r));
	assert_string_equal(identity_mechanism(r.identity).p, "PLAIN");
	auth_result_done(&r);
	auth_session_unref(&s);

	s = by(p, "PLAIN", NULL);
	assert_false(auth_step_again(s, SV("secret"), &r));
	assert_true(auth_step_again(s, plain, &r));
	assert_string_equal(identity_mechanism(r.identity).p, "PLAIN");
	auth_result_done(&r);
	auth_session_unref(&s);

	s = by(p, "LOGIN", NULL);
	assert_false(auth_step_again(s, SV(ALICE), &r));
	auth_session_unref(&s);
	s = by(p, "LOGIN", ALICE);
	assert_false(auth_step_again(s, SV("wrong"), &r));
	assert_true(auth_step_again(s, SV("secret"), &r));
	assert_string_equal(identity_mechanism(r.identity).p, "LOGIN");
	auth_result_done(&r);
	auth_session_unref(&s);
}

static void where_nobody_is_known_nothing_is_remembered(void **state)
{
	struct place *p = *state;
	struct logins *logins = p->auth->logins;
	struct auth_result r;

	p->auth->logins = NULL;
	assert_int_equal(log_in(p, SV(ALICE), SV("secret")), AUTH_REASON_NONE);
	assert_false(again(p, SV(ALICE), SV("secret"), &r));
	p->auth->logins = logins;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_right_login_is_right_again_without_a_look),
		CASE(nothing_else_is),
		CASE(any_change_of_the_directory_is_a_reason_to_look),
		CASE(what_it_is_good_for_is_decided_anew),
		CASE(it_is_forgotten_when_it_may_not_be_believed_any_longer),
		CASE(mechanisms_that_send_the_password_take_the_same_way),
		CASE(where_nobody_is_known_nothing_is_remembered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
