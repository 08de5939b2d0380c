/* Which mechanisms a connection is offered: by its state, by the hashes that the directory has, by a certificate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "common/auth.h"
#include "common/auth_private.h"
#include "common/directory_private.h"
#include "common/kv_private.h"
#include "tests/unit/common/auth_place.h"

static void a_mechanism_is_offered_by_the_state_of_the_connection(void **state)
{
	struct place *p = *state;
	struct buf list;
	struct auth_session *s;
	struct auth_result r;
	struct sv message = SV("\0" ALICE "\0" SECRET);

	buf_init(&list, AUTH_MECHANISMS_MAX);
	auth_mechanisms(p->auth, &p->conf, &p->peer, &list);
	assert_string_equal(buf_z(&list), "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-1");
	buf_clear(&list);
	p->peer.tls = SV_NONE;
	auth_mechanisms(p->auth, &p->conf, &p->peer, &list);
	assert_string_equal(buf_z(&list), "SCRAM-SHA-256 SCRAM-SHA-1");
	assert_false(auth_may_send_password(&p->conf, &p->peer));
	s = session(p);
	start(s, "PLAIN", &message, &r);
	assert_fails(&r, AUTH_PLAINTEXT_REFUSED);
	start(s, "LOGIN", NULL, &r);
	assert_fails(&r, AUTH_PLAINTEXT_REFUSED);
	auth_login(s, SV(ALICE), SV(SECRET), &r);
	assert_fails(&r, AUTH_PLAINTEXT_REFUSED);
	scram(s, "n,,", ALICE, PREPARED, &r);
	assert_int_equal(r.outcome, AUTH_OK);
	assert_string_equal(identity_tls(r.identity).p, "");
	auth_result_done(&r);
	auth_session_unref(&s);

	buf_clear(&list);
	p->peer.address = address("127.0.0.9");
	auth_mechanisms(p->auth, &p->conf, &p->peer, &list);
	assert_string_equal(buf_z(&list), "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-1");
	s = session(p);
	auth_login(s, SV(ALICE), SV(SECRET), &r);
	assert_int_equal(r.outcome, AUTH_OK);
	auth_result_done(&r);
	static const char *const others[] = { "", "EXTERNAL", "ANONYMOUS", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1-PLUS",
					      "SCRAM-SHA-256-PLUS", "PLAINX", "PLAI" };
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		start(s, others[i], NULL, &r);
		assert_fails(&r, AUTH_UNKNOWN_MECHANISM);
	}
	auth_session_unref(&s);
	buf_done(&list);
}

static void another_servers_hash_is_good_once_and_then_our_own(void **state)
{
	struct place *p = *state;
	struct auth_session *s = session(p);
	struct sv right = SV("\0moved@example.test\0p\xc3\xa4ssword 1"), wrong = SV("\0moved@example.test\0password 1");
	struct directory_account account;
	struct auth_result r;
	struct buf list;

	OK(directory_account_add_hashed(p->dir, SV("moved@example.test"),
					SV("{SSHA}9Q2rb8lDGUvFJHkLywEnEdJklddALSuH"), ITERATIONS, NULL));
	assert_int_equal(plain(p, wrong), AUTH_BAD_CREDENTIALS);
	buf_init(&list, AUTH_MECHANISMS_MAX);
	auth_mechanisms(p->auth, &p->conf, &p->peer, &list);
	assert_string_equal(buf_z(&list), "PLAIN LOGIN");       /* SCRAM would fail with the right password */
	for (int turn = 0; turn < 2; turn++) {
		start(s, "PLAIN", &right, &r);
		assert_int_equal(r.outcome, AUTH_OK);
		assert_string_equal(identity_label(r.identity).p, "password");
		auth_result_done(&r);
		OK(directory_account_get(p->dir, SV("moved@example.test"), &account));
		assert_false(account.is_hashed);
	}
	assert_int_equal(plain(p, wrong), AUTH_BAD_CREDENTIALS);
	buf_clear(&list);
	auth_mechanisms(p->auth, &p->conf, &p->peer, &list);
	assert_string_equal(buf_z(&list), "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-1");
	scram(s, "n,,", "moved@example.test", "p\xc3\xa4ssword 1", &r);
	assert_int_equal(r.outcome, AUTH_OK);
	auth_result_done(&r);
	buf_done(&list);
	auth_session_unref(&s);
}

static struct fault forget_sha1(struct kv_txn *txn, void *arg)
{
	const struct directory_login *l = arg;
	struct directory_credential c;
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < l->count && !f.kind; i++) {
		c = l->credentials[i];
		c.verifiers[CRYPT_SHA1].is_there = false;
		f = credential_write(txn, l->account.id, &c);
	}
	return f;
}

static void what_may_be_offered_is(struct place *p, const char *list)
{
	struct buf text;

	buf_init(&text, AUTH_MECHANISMS_MAX);
	auth_mechanisms(p->auth, &p->conf, &p->peer, &text);
	assert_string_equal(buf_z(&text), list);
	buf_done(&text);
}

static void scram_of_an_older_hash_comes_back_with_the_passwords(void **state)
{
	struct place *p = *state;
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct auth_session *s = session(p);
	struct auth_result r;

	OK(directory_credential_add(p->dir, SV(ALICE), SV("phone"), SCOPE_IMAP, SV("app"), NULL));
	for (int turn = 0; turn < 2; turn++) {
		const char *password = turn ? "app" : PREPARED;

		scram_by(CRYPT_SHA1, s, "n,,", ALICE, password, &r);
		assert_int_equal(r.outcome, AUTH_OK);
		assert_string_equal(identity_mechanism(r.identity).p, "SCRAM-SHA-1");
		assert_string_equal(identity_label(r.identity).p, turn ? "phone" : "password");
		auth_result_done(&r);
	}
	scram_by(CRYPT_SHA1, s, "n,,", ALICE, "wrong", &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	scram_by(CRYPT_SHA1, s, "n,,", "nobody@example.test", "wrong", &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	OK(directory_login(p->dir, SV(ALICE), l));
	OK(kv_update(p->dir->env, forget_sha1, l));     /* as a version left it that knew SHA-256 only */
	auth_login(s, SV(ALICE), SV("wrong"), &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	what_may_be_offered_is(p, "PLAIN LOGIN SCRAM-SHA-256");
	start(s, "SCRAM-SHA-1", NULL, &r);
	assert_fails(&r, AUTH_UNKNOWN_MECHANISM);
	auth_login(s, SV(ALICE), SV("app"), &r);
	assert_int_equal(r.outcome, AUTH_OK);
	auth_result_done(&r);
	what_may_be_offered_is(p, "PLAIN LOGIN SCRAM-SHA-256");
	auth_login(s, SV(ALICE), SV(SECRET), &r);
	assert_alice(&r, "CLEAR");
	what_may_be_offered_is(p, "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-1");
	scram_by(CRYPT_SHA1, s, "n,,", ALICE, PREPARED, &r);
	assert_alice(&r, "SCRAM-SHA-1");
	auth_session_unref(&s);
	directory_login_done(l);
	free(l);
}

static void an_offer_that_became_wrong_is_taken_back(void **state)
{
	struct place *p = *state;
	struct auth_session *s = session(p);
	struct auth_result r;

	OK(directory_account_add_hashed(p->dir, SV("moved@example.test"), SV("{SSHA}9Q2rb8lDGUvFJHkLywEnEdJklddALSuH"), ITERATIONS, NULL));
	/* This process was not told of it, and nobody has logged in. */
	what_may_be_offered_is(p, "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-1");
	start(s, "SCRAM-SHA-256", NULL, &r);
	assert_fails(&r, AUTH_UNKNOWN_MECHANISM);
	what_may_be_offered_is(p, "PLAIN LOGIN");
	auth_session_unref(&s);
}

static atomic_bool is_looking;

static void *look_in_thread(void *arg)
{
	atomic_store(&is_looking, true);
	offer_look(arg);
	return NULL;
}

/* By whoever uses the directory at the same time, for a moment; or for longer while it grows. */
static void a_look_waits_until_the_revision_is_known(void **state)
{
	struct place *p = *state;
	pthread_t thread;

	assert_true(offer_has_scram(p->auth->offer, CRYPT_SHA256));
	OK(directory_account_add_hashed(p->dir, SV("moved@example.test"),
					SV("{SSHA}9Q2rb8lDGUvFJHkLywEnEdJklddALSuH"), ITERATIONS, NULL));
	pthread_mutex_lock(&p->dir->env->lock);
	assert_int_equal(directory_revision(p->dir), 0);
	assert_true(offer_is_old(p->auth->offer));
	assert_int_equal(pthread_create(&thread, NULL, look_in_thread, p->auth->offer), 0);
	while (!atomic_load(&is_looking))
		sched_yield();
	usleep(1000);           /* without it a look that does not wait may come late enough, too */
	pthread_mutex_unlock(&p->dir->env->lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(offer_has_scram(p->auth->offer, CRYPT_SHA256));
	assert_false(offer_is_old(p->auth->offer));
}

static void a_costly_look_is_put_off_however_often_the_directory_changes(void **state)
{
	struct place *p = *state;

	offer_rest(p->auth->offer, UINT64_C(3600) * 1000000);
	OK(directory_account_add_hashed(p->dir, SV("moved@example.test"), SV("{SSHA}9Q2rb8lDGUvFJHkLywEnEdJklddALSuH"), ITERATIONS, NULL));
	offer_look(p->auth->offer);
	assert_true(offer_is_old(p->auth->offer));
	what_may_be_offered_is(p, "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-1");
	offer_rest(p->auth->offer, 100);                /* a small directory's */
	offer_look(p->auth->offer);
	assert_false(offer_is_old(p->auth->offer));
	what_may_be_offered_is(p, "PLAIN LOGIN");
}

static void changes_of_the_directory_are_seen_where_nobody_logs_in(void **state)
{
	struct place *p = *state;
	struct loop *loop;

	OK(loop_new(&loop));
	OK(directory_account_add_hashed(p->dir, SV("moved@example.test"), SV("{SSHA}9Q2rb8lDGUvFJHkLywEnEdJklddALSuH"), ITERATIONS, NULL));
	auth_start_logins(p->auth, loop, &p->conf, NULL, NULL);
	loop_skip_ms(loop, 1000);
	while (offer_is_old(p->auth->offer))
		loop_run_once(loop, 100);
	what_may_be_offered_is(p, "PLAIN LOGIN");
	chore_stop(&p->auth->look);
	loop_free(&loop);
}

/* As if the client had shown a certificate with this key. */
static struct auth_session *session_with_key(struct place *p, const uint8_t key[32])
{
	struct auth_session *s = session(p);

	s->link.has_key = true;
	memcpy(s->link.key, key, sizeof(s->link.key));
	return s;
}

static void external_lets_in_who_has_the_key_of_a_registered_certificate(void **state)
{
	static const uint8_t key[32] = "alice's laptop", shared[32] = "a key of two", unknown[32] = "a stranger's";
	static const struct { const uint8_t *key; struct sv as; enum auth_reason reason; const char *who; } cases[] = {
		{ key, SV_INIT(""), AUTH_REASON_NONE, ALICE },
		{ key, SV_INIT("Alice@Example.test"), AUTH_REASON_NONE, ALICE },
		{ key, SV_INIT("nopassword@example.test"), AUTH_BAD_CREDENTIALS, NULL },
		{ key, SV_INIT("nobody@example.test"), AUTH_BAD_CREDENTIALS, NULL },
		{ key, SV_INIT("alice@example.test\0"), AUTH_MALFORMED, NULL },
		{ key, SV_INIT("\xff"), AUTH_MALFORMED, NULL },
		{ shared, SV_INIT(""), AUTH_BAD_CREDENTIALS, NULL },    /* which of the two? */
		{ shared, SV_INIT(ALICE), AUTH_REASON_NONE, ALICE },
		{ shared, SV_INIT("nopassword@example.test"), AUTH_REASON_NONE, "nopassword@example.test" },
		{ unknown, SV_INIT(""), AUTH_UNKNOWN_MECHANISM, NULL },
		{ unknown, SV_INIT(ALICE), AUTH_UNKNOWN_MECHANISM, NULL },
	};
	struct place *p = *state;
	uint32_t number = 0;
	struct auth_result r;
	struct auth_session *s;

	OK(directory_certificate_add(p->dir, SV(ALICE), SV("laptop"), SCOPE_IMAP, key, &number));
	OK(directory_certificate_add(p->dir, SV(ALICE), SV("both"), SCOPE_IMAP, shared, NULL));
	OK(directory_certificate_add(p->dir, SV("nopassword@example.test"), SV("both"), SCOPE_IMAP, shared, NULL));
	/* Nobody has looked since: offered to every key, and refused to a wrong one. */
	s = session_with_key(p, unknown);
	start(s, "EXTERNAL", &SV_NONE, &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	auth_session_unref(&s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		s = session_with_key(p, cases[i].key);
		start(s, "EXTERNAL", &cases[i].as, &r);
		if (r.reason != cases[i].reason)
			fail_msg("case %zu: %s", i, auth_reason_name(r.reason));
		if (cases[i].who)
			assert_string_equal(identity_address(r.identity).p, cases[i].who);
		auth_result_done(&r);
		auth_session_unref(&s);
	}
	/* Without an initial response; another protocol; taken back. */
	s = session_with_key(p, key);
	start(s, "EXTERNAL", NULL, &r);
	assert_int_equal(r.outcome, AUTH_CONTINUE);
	assert_int_equal(r.challenge.len, 0);
	step(s, SV_NONE, &r);
	assert_int_equal(r.outcome, AUTH_OK);
	assert_string_equal(identity_label(r.identity).p, "laptop");
	assert_int_equal(identity_credential(r.identity), number);
	assert_int_equal(identity_scope(r.identity), SCOPE_IMAP);
	auth_result_done(&r);
	auth_session_unref(&s);
	p->peer.service = AUTH_POP3;
	s = session_with_key(p, key);
	start(s, "EXTERNAL", &SV_NONE, &r);
	assert_fails(&r, AUTH_NOT_HERE);
	auth_session_unref(&s);
	p->peer.service = AUTH_IMAP;
	OK(directory_credential_remove(p->dir, SV(ALICE), number));
	s = session_with_key(p, key);
	start(s, "EXTERNAL", &SV_NONE, &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	start(s, "EXTERNAL", &SV_NONE, &r);
	assert_fails(&r, AUTH_UNKNOWN_MECHANISM);
	auth_session_unref(&s);
	/* A password of the account is not asked for, and proves nothing more. */
	s = session(p);
	start(s, "EXTERNAL", &SV_NONE, &r);
	assert_fails(&r, AUTH_UNKNOWN_MECHANISM);
	auth_session_unref(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_mechanism_is_offered_by_the_state_of_the_connection),
		CASE(another_servers_hash_is_good_once_and_then_our_own),
		CASE(scram_of_an_older_hash_comes_back_with_the_passwords),
		CASE(an_offer_that_became_wrong_is_taken_back),
		CASE(a_look_waits_until_the_revision_is_known),
		CASE(a_costly_look_is_put_off_however_often_the_directory_changes),
		CASE(changes_of_the_directory_are_seen_where_nobody_logs_in),
		CASE(external_lets_in_who_has_the_key_of_a_registered_certificate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
