/* Logins by every mechanism, right, wrong and broken at every octet; what strangers can tell apart; who is slowed down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/auth.h"
#include "common/auth_private.h"
#include "common/directory_private.h"
#include "tests/unit/common/auth_place.h"

static void plain_takes_the_right_password_only(void **state)
{
	struct place *p = *state;
	static const struct { struct sv message; enum auth_reason reason; } cases[] = {
		{ SV_INIT("\0" ALICE "\0" SECRET), AUTH_REASON_NONE },
		{ SV_INIT("\0alice\0" SECRET), AUTH_REASON_NONE },
		{ SV_INIT("\0ALICE@Example.TEST \0" SECRET), AUTH_REASON_NONE },
		{ SV_INIT("\0" ALICE "\0s\xc3\xa9" "cret IX"), AUTH_REASON_NONE },
		{ SV_INIT("\0" ALICE "\0se\xcc\x81" "cret IX"), AUTH_REASON_NONE },
		{ SV_INIT(ALICE "\0" ALICE "\0" SECRET), AUTH_REASON_NONE },
		{ SV_INIT("Alice@example.test\0" ALICE "\0" SECRET), AUTH_REASON_NONE },
		{ SV_INIT("nopassword@example.test\0" ALICE "\0" SECRET), AUTH_FOREIGN },
		{ SV_INIT("nobody@example.test\0" ALICE "\0" SECRET), AUTH_FOREIGN },
		{ SV_INIT("no address\0" ALICE "\0" SECRET), AUTH_FOREIGN },
		{ SV_INIT("nopassword@example.test\0" ALICE "\0wrong"), AUTH_BAD_CREDENTIALS },
		{ SV_INIT(ALICE "\0nobody@example.test\0" SECRET), AUTH_BAD_CREDENTIALS },
		{ SV_INIT("\0" ALICE "\0wrong"), AUTH_BAD_CREDENTIALS },
		{ SV_INIT("\0" ALICE "\0" SECRET " "), AUTH_BAD_CREDENTIALS },
		{ SV_INIT("\0" ALICE "\0"), AUTH_BAD_CREDENTIALS },
		{ SV_INIT("\0nobody@example.test\0" SECRET), AUTH_BAD_CREDENTIALS },
		{ SV_INIT("\0nopassword@example.test\0" SECRET), AUTH_BAD_CREDENTIALS },
		{ SV_INIT("\0alice@elsewhere.test\0" SECRET), AUTH_BAD_CREDENTIALS },
		{ SV_INIT("\0no address\0" SECRET), AUTH_BAD_CREDENTIALS },
		{ SV_INIT("\0\xff\xfe\0" SECRET), AUTH_BAD_CREDENTIALS },
		{ SV_INIT("\0\0" SECRET), AUTH_BAD_CREDENTIALS },
		{ SV_INIT("\0" ALICE "\0" SECRET "\0"), AUTH_MALFORMED },
		{ SV_INIT("\0" ALICE), AUTH_MALFORMED },
		{ SV_INIT("nothing"), AUTH_MALFORMED },
		{ SV_INIT(""), AUTH_MALFORMED },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (plain(p, cases[i].message) != cases[i].reason)
			fail_msg("case %zu: %s", i, auth_reason_name(plain(p, cases[i].message)));
}

static void plain_fails_at_every_cut(void **state)
{
	struct place *p = *state;
	struct sv whole = SV("\0" ALICE "\0" SECRET);

	for (size_t cut = 0; cut < whole.len; cut++)
		assert_int_not_equal(plain(p, sv_sub(whole, 0, cut)), AUTH_REASON_NONE);
}

static void an_initial_response_is_asked_for_when_none_came(void **state)
{
	struct place *p = *state;
	struct auth_session *s = session(p);
	struct auth_result r;

	start(s, "PLAIN", NULL, &r);
	assert_int_equal(r.outcome, AUTH_CONTINUE);
	assert_int_equal(r.challenge.len, 0);
	step(s, SV("\0" ALICE "\0" SECRET), &r);
	assert_alice(&r, "PLAIN");
	step(s, SV("more"), &r);
	assert_fails(&r, AUTH_MALFORMED);
	auth_session_unref(&s);
}

static void login_asks_for_name_and_password(void **state)
{
	struct place *p = *state;
	struct auth_session *s = session(p);
	struct auth_result r;
	struct sv name = SV("Alice@Example.test"), none = SV_NONE;

	start(s, "login", NULL, &r);
	assert_true(r.outcome == AUTH_CONTINUE && sv_eq(buf_sv(&r.challenge), SV("Username:")));
	step(s, name, &r);
	assert_true(r.outcome == AUTH_CONTINUE && sv_eq(buf_sv(&r.challenge), SV("Password:")));
	step(s, SV(SECRET), &r);
	assert_alice(&r, "LOGIN");

	start(s, "LOGIN", &name, &r);
	assert_true(r.outcome == AUTH_CONTINUE && sv_eq(buf_sv(&r.challenge), SV("Password:")));
	step(s, SV("wrong"), &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);

	start(s, "LOGIN", &none, &r);
	assert_true(r.outcome == AUTH_CONTINUE && sv_eq(buf_sv(&r.challenge), SV("Username:")));
	step(s, none, &r);
	step(s, none, &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	for (size_t cut = 0; cut < name.len; cut++) {
		struct sv part = sv_sub(name, 0, cut);
		start(s, "LOGIN", NULL, &r);
		step(s, part, &r);
		step(s, SV(SECRET), &r);
		if (cut == 5)           /* "Alice": the only domain is meant */
			assert_alice(&r, "LOGIN");
		else
			assert_fails(&r, AUTH_BAD_CREDENTIALS);
	}
	auth_session_unref(&s);
}

static void a_name_and_a_password_in_clear_take_the_same_path(void **state)
{
	struct place *p = *state;
	struct auth_session *s = session(p);
	struct auth_result r;
	char *longest = xcalloc(1, 20000);

	auth_login(s, SV("alice"), SV(SECRET), &r);
	assert_alice(&r, "CLEAR");
	auth_login(s, SV("alice"), SV("secret"), &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	auth_login(s, SV_NONE, SV_NONE, &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	memset(longest, 'x', 20000);
	auth_login(s, sv_from(longest, 20000), SV(SECRET), &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	auth_login(s, SV("alice"), sv_from(longest, 20000), &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	auth_login(s, SV(ALICE "\0x"), SV(SECRET), &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	auth_login(s, SV("alice"), SV(SECRET "\0"), &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	start(s, "PLAIN", &(struct sv){ longest, 20000 }, &r);
	assert_fails(&r, AUTH_MALFORMED);
	free(longest);
	auth_session_unref(&s);
}

static void scram_proves_both_sides(void **state)
{
	struct place *p = *state;
	struct auth_session *s = session(p);
	struct auth_result r;

	scram(s, "n,,", ALICE, PREPARED, &r);
	assert_alice(&r, "SCRAM-SHA-256");
	scram(s, "y,,", ALICE, PREPARED, &r);           /* we have no channel binding: "you had none" is right */
	assert_alice(&r, "SCRAM-SHA-256");
	scram(s, "n,a=" ALICE ",", "Alice@Example.test", PREPARED, &r);
	assert_alice(&r, "SCRAM-SHA-256");
	scram(s, "n,a=nopassword@example.test,", ALICE, PREPARED, &r);
	assert_fails(&r, AUTH_FOREIGN);
	scram(s, "n,a=nopassword@example.test,", ALICE, "wrong", &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	scram(s, "n,,", "alice", PREPARED, &r);
	assert_alice(&r, "SCRAM-SHA-256");
	scram(s, "n,,", ALICE, "wrong", &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);
	scram(s, "p=tls-exporter,,", ALICE, PREPARED, &r);
	assert_int_equal(r.outcome, AUTH_FAIL);
	auth_result_done(&r);
	auth_session_unref(&s);
}

static void an_unknown_user_gets_a_challenge_like_any_other(void **state)
{
	struct place *p = *state;
	static const char *const users[] = { ALICE, "nobody@example.test", "nopassword@example.test", "no address", "=2C=3D" };
	struct auth_session *s = session(p);
	struct auth_result r;
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		char salts[2][64];

		for (int turn = 0; turn < 2; turn++) {
			struct scram_client c;
			struct sv first = client_first(&c, CRYPT_SHA256, "n,,", users[i]);
			char text[512];

			start(s, "SCRAM-SHA-256", &first, &r);
			assert_int_equal(r.outcome, AUTH_CONTINUE);
			len = len ? len : r.challenge.len;
			assert_int_equal(r.challenge.len, len);
			snprintf(text, sizeof(text), "%.*s", SV_FMT(buf_sv(&r.challenge)));
			assert_int_equal(sscanf(text, "r=%*[^,],s=%63[^,],", salts[turn]), 1);
			auth_result_done(&r);
		}
		assert_string_equal(salts[0], salts[1]);
		if (strcmp(users[i], ALICE) != 0) {
			scram(s, "n,,", users[i], PREPARED, &r);
			assert_fails(&r, AUTH_BAD_CREDENTIALS);
		}
	}
	auth_session_unref(&s);
}

static void broken_scram_messages_end_the_exchange(void **state)
{
	struct place *p = *state;
	static const struct sv firsts[] = {
		SV_INIT(""), SV_INIT("n"), SV_INIT("n,"), SV_INIT("n,,"), SV_INIT("n,,n="), SV_INIT("n,,n=,r="), SV_INIT("x,,n=a,r=b"), SV_INIT("n,,m=x,n=a,r=b"),
		SV_INIT("n,,r=b,n=a"), SV_INIT("n,a=,n=alice,r=b,x=y,,,"), SV_INIT("p=,,n=alice,r=b"), SV_INIT("n,,n=a=2,r=bbbbbb"),
		SV_INIT("n,,n=al\0ice,r=bbbbb"), SV_INIT("n,,n==,r=bbbbbbbb"), SV_INIT("n,a==3,n=alice,r=bbbbb"), SV_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
	};
	struct auth_session *s = session(p);
	struct auth_result r;
	struct scram_client c;

	for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
		start(s, "SCRAM-SHA-256", &firsts[i], &r);
		if (r.outcome == AUTH_CONTINUE)
			step(s, SV("c=biws,r=x,p=y"), &r);
		assert_int_equal(r.outcome, AUTH_FAIL);
		auth_result_done(&r);
	}
	struct sv first = client_first(&c, CRYPT_SHA256, "n,,", ALICE);
	char *copy = sv_copy_z(first);
	size_t len = first.len;
	for (size_t cut = 0; cut < len; cut++) {
		struct sv part = sv_from(copy, cut);
		start(s, "SCRAM-SHA-256", &part, &r);
		if (r.outcome == AUTH_CONTINUE)
			step(s, SV_NONE, &r);
		assert_int_equal(r.outcome, AUTH_FAIL);
		auth_result_done(&r);
	}
	free(copy);
	/* The final message cut, and with each octet changed. */
	for (size_t at = 0, end = 1; at < 2 * end; at++) {
		first = client_first(&c, CRYPT_SHA256, "n,,", ALICE);
		start(s, "SCRAM-SHA-256", &first, &r);
		struct sv final = client_final(&c, buf_sv(&r.challenge), PREPARED, SV_NONE);
		end = final.len;
		if (at < end) {
			final.len = at;
		} else {
			c.final[at - end] ^= 1;
		}
		step(s, final, &r);
		assert_int_equal(r.outcome, AUTH_FAIL);
		auth_result_done(&r);
	}
	auth_session_unref(&s);
}

static void a_right_password_may_still_not_be_enough(void **state)
{
	struct place *p = *state;
	struct directory_account a;
	struct auth_session *s = session(p);
	struct auth_result r;

	OK(directory_credential_add(p->dir, SV(ALICE), SV("phone"), SCOPE_SUBMISSION, SV("app"), NULL));
	auth_login(s, SV(ALICE), SV("app"), &r);
	assert_fails(&r, AUTH_NOT_HERE);
	OK(directory_account_get(p->dir, SV(ALICE), &a));
	a.scope = SCOPE_POP3 | SCOPE_SUBMISSION;
	OK(directory_account_set(p->dir, &a));
	auth_login(s, SV(ALICE), SV(SECRET), &r);
	assert_fails(&r, AUTH_NOT_HERE);
	scram(s, "n,,", ALICE, PREPARED, &r);
	assert_fails(&r, AUTH_NOT_HERE);
	auth_session_unref(&s);
	p->peer.service = AUTH_SMTP;
	s = session(p);
	auth_login(s, SV(ALICE), SV("app"), &r);
	assert_int_equal(r.outcome, AUTH_OK);
	assert_string_equal(identity_label(r.identity).p, "phone");
	assert_int_equal(identity_scope(r.identity), SCOPE_SUBMISSION);
	assert_int_equal(identity_credential(r.identity), 1);
	auth_result_done(&r);
	OK(directory_account_get(p->dir, SV(ALICE), &a));
	a.is_enabled = false;
	OK(directory_account_set(p->dir, &a));
	auth_login(s, SV(ALICE), SV(SECRET), &r);
	assert_fails(&r, AUTH_DISABLED);
	auth_login(s, SV(ALICE), SV("wrong"), &r);
	assert_fails(&r, AUTH_BAD_CREDENTIALS);         /* says nothing of the account to those who guess */
	scram(s, "n,,", ALICE, PREPARED, &r);
	assert_fails(&r, AUTH_DISABLED);
	auth_session_unref(&s);
}

static void an_app_password_may_be_good_for_a_time_and_from_somewhere_only(void **state)
{
	struct place *p = *state;
	struct auth_session *s = session(p);
	struct directory_bounds bounds = { .expires_s = (int64_t)time(NULL) + 1000, .source_count = 2 };
	struct auth_result r;

	assert_true(ipnet_parse(SV("2001:db8::/32"), &bounds.sources[0]));
	assert_true(ipnet_parse(SV("192.0.2.0/24"), &bounds.sources[1]));
	OK(directory_credential_add_bounded(p->dir, SV(ALICE), SV("good"), SCOPE_ALL, &bounds, SV("good"), NULL));
	bounds.source_count = 1;
	OK(directory_credential_add_bounded(p->dir, SV(ALICE), SV("far"), SCOPE_ALL, &bounds, SV("far"), NULL));
	bounds = (struct directory_bounds){ .expires_s = 1 };
	OK(directory_credential_add_bounded(p->dir, SV(ALICE), SV("old"), SCOPE_ALL, &bounds, SV("old"), NULL));
	auth_login(s, SV(ALICE), SV("good"), &r);
	assert_int_equal(r.outcome, AUTH_OK);
	assert_string_equal(identity_label(r.identity).p, "good");
	auth_result_done(&r);
	auth_login(s, SV(ALICE), SV("far"), &r);
	assert_string_equal(r.text, "This app password is not good from your address");
	assert_fails(&r, AUTH_NOT_HERE);
	auth_login(s, SV(ALICE), SV("old"), &r);
	assert_string_equal(r.text, "This app password has expired");
	assert_fails(&r, AUTH_EXPIRED);
	scram(s, "n,,", ALICE, "good", &r);
	assert_int_equal(r.outcome, AUTH_OK);
	auth_result_done(&r);
	scram(s, "n,,", ALICE, "far", &r);
	assert_fails(&r, AUTH_NOT_HERE);
	scram(s, "n,,", ALICE, "old", &r);
	assert_fails(&r, AUTH_EXPIRED);
	auth_session_unref(&s);
}

static void a_damaged_directory_is_a_temporary_failure(void **state)
{
	struct place *p = *state;
	struct directory_account a;
	struct kv_txn *txn = NULL;
	struct auth_session *s = session(p);
	struct auth_result r;

	OK(directory_account_get(p->dir, SV(ALICE), &a));
	OK(kv_write_begin(p->dir->env, &txn));
	OK(kv_put(txn, DT_ACCOUNTS, sv_z(a.id), SV("junk")));
	OK(kv_commit(&txn));
	log_set_file("/dev/null").kind ? fail() : (void)0;
	auth_login(s, SV(ALICE), SV(SECRET), &r);
	assert_fails(&r, AUTH_TEMPORARY);
	start(s, "PLAIN", &SV("\0" ALICE "\0" SECRET), &r);
	assert_fails(&r, AUTH_TEMPORARY);
	scram(s, "n,,", ALICE, PREPARED, &r);
	assert_fails(&r, AUTH_TEMPORARY);
	OK(log_set_file(NULL));
	auth_session_unref(&s);
}

static void an_exchange_can_be_given_up_and_begun_again(void **state)
{
	struct place *p = *state;
	struct auth_session *s = session(p), *other = auth_session_ref(s);
	struct auth_result r;
	struct scram_client c;
	struct sv first = client_first(&c, CRYPT_SHA256, "n,,", ALICE);

	step(s, SV("x"), &(struct auth_result){ .outcome = AUTH_FAIL });
	start(s, "SCRAM-SHA-256", &first, &r);
	assert_int_equal(r.outcome, AUTH_CONTINUE);
	auth_result_done(&r);
	auth_cancel(s);
	auth_step(s, SV("x"), &r);
	assert_fails(&r, AUTH_MALFORMED);
	start(s, "LOGIN", NULL, &r);
	auth_result_done(&r);
	start(s, "SCRAM-SHA-256", &first, &r);
	auth_result_done(&r);
	scram(s, "n,,", ALICE, PREPARED, &r);
	assert_alice(&r, "SCRAM-SHA-256");
	auth_session_unref(&s);
	auth_session_unref(&other);
	auth_session_unref(&other);
}

static void responses_are_strict_base64(void **state)
{
	static const struct { const char *line; bool is_initial; enum auth_response answer; const char *octets; } cases[] = {
		{ "*", false, AUTH_RESPONSE_CANCEL, "" }, { "*", true, AUTH_RESPONSE_BAD, "" },
		{ "=", true, AUTH_RESPONSE_DATA, "" }, { "=", false, AUTH_RESPONSE_BAD, "" },
		{ "", false, AUTH_RESPONSE_DATA, "" }, { "YWJj", false, AUTH_RESPONSE_DATA, "abc" },
		{ "YWI=", true, AUTH_RESPONSE_DATA, "ab" }, { "YWI", false, AUTH_RESPONSE_BAD, "" },
		{ "YW I=", false, AUTH_RESPONSE_BAD, "" }, { "YWJ=", false, AUTH_RESPONSE_BAD, "" },
		{ "YWI=YWI=", false, AUTH_RESPONSE_BAD, "" }, { "**", false, AUTH_RESPONSE_BAD, "" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out;

		buf_init(&out, AUTH_INPUT_MAX);
		assert_int_equal(auth_decode_response(sv_z(cases[i].line), cases[i].is_initial, &out), cases[i].answer);
		assert_true(sv_eq(buf_sv(&out), sv_z(cases[i].octets)));
		buf_wipe(&out);
	}
	size_t len = (AUTH_INPUT_MAX + 8) / 3 * 4;
	char *longest = xmalloc(len);
	struct buf out;
	memset(longest, 'A', len);
	buf_init(&out, AUTH_INPUT_MAX);
	assert_int_equal(auth_decode_response(sv_from(longest, len), false, &out), AUTH_RESPONSE_BAD);
	buf_wipe(&out);
	free(longest);
}

static void a_right_password_is_remembered_until_it_changes(void **state)
{
	struct place *p = *state;
	struct verifier *v = verifier_new(p->dir);
	struct verified who;

	verifier_check(v, SV(ALICE), SV(SECRET), ITERATIONS, 1000, &who);
	assert_int_equal(who.reason, AUTH_REASON_NONE);
	assert_false(who.was_cached);
	verifier_check(v, SV(ALICE), SV(SECRET), ITERATIONS, 2000, &who);
	assert_int_equal(who.reason, AUTH_REASON_NONE);
	assert_true(who.was_cached);
	assert_string_equal(who.address, ALICE);
	verifier_check(v, SV(ALICE), SV("wrong"), ITERATIONS, 2000, &who);
	assert_int_equal(who.reason, AUTH_BAD_CREDENTIALS);
	assert_false(who.was_cached);
	verifier_check(v, SV("nopassword@example.test"), SV(SECRET), ITERATIONS, 2000, &who);
	assert_int_equal(who.reason, AUTH_BAD_CREDENTIALS);
	verifier_check(v, SV(ALICE), SV(SECRET), ITERATIONS, 62000, &who);
	assert_false(who.was_cached);                   /* a minute is over */
	OK(directory_password_set(p->dir, SV(ALICE), SV("new"), ITERATIONS));
	verifier_check(v, SV(ALICE), SV(SECRET), ITERATIONS, 62001, &who);
	assert_int_equal(who.reason, AUTH_BAD_CREDENTIALS);
	verifier_check(v, SV(ALICE), SV("new"), ITERATIONS, 62001, &who);
	assert_int_equal(who.reason, AUTH_REASON_NONE);
	verifier_free(&v);
}

static void wrong_passwords_of_a_connection_are_slowed_down(void **state)
{
	struct place *p = *state;
	struct auth_session *s = session(p);
	struct auth_result r;
	static const struct { const char *password; uint32_t delay; } tries[] = {
		{ "a", 2000 }, { "a", 2000 }, { "b", 4000 }, { "c", 8000 }, { "a", 8000 }, { "d", 15000 },
	};

	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		auth_login(s, SV(ALICE), sv_z(tries[i].password), &r);
		assert_int_equal(r.delay_ms, tries[i].delay);
		auth_result_done(&r);
	}
	auth_login(s, SV(ALICE), SV(SECRET), &r);       /* the right one is not held up */
	assert_alice(&r, "CLEAR");
	auth_session_unref(&s);
}

/* --- somebody else's client, when it is installed (Debian: gsasl) --- */

static enum auth_outcome gsasl(struct place *p, const char *mechanism, const char *password)
{
	int to[2], from[2], status;
	struct auth_session *s = session(p);
	struct auth_result r = { .outcome = AUTH_CONTINUE };
	char line[2048], challenge[1024];
	bool is_first = true;

	assert_int_equal(pipe(to) | pipe(from), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		close(from[0]);
		execlp("gsasl", "gsasl", "--client", "-m", mechanism, "-a", ALICE, "-p", password, "--quiet", "--no-cb",
		       (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	FILE *in = fdopen(from[0], "r");
	assert_non_null(in);
	assert_non_null(fgets(line, sizeof(line), in));         /* the mechanism's name */
	if (strcmp(mechanism, "LOGIN") == 0) {
		start(s, mechanism, NULL, &r);
		is_first = false;
	}
	while (r.outcome == AUTH_CONTINUE) {
		struct buf octets;

		if (!is_first) {
			base64(r.challenge.p, r.challenge.len, challenge, sizeof(challenge) - 1);
			assert_int_equal(dprintf(to[1], "%s\n", challenge), strlen(challenge) + 1);
		}
		if (!fgets(line, sizeof(line), in))
			line[0] = '\0';         /* it has nothing more to say */
		buf_init(&octets, AUTH_INPUT_MAX);
		assert_int_equal(auth_decode_response(sv_trim(sv_z(line)), false, &octets), AUTH_RESPONSE_DATA);
		if (is_first)
			start(s, mechanism, &(struct sv){ octets.p, octets.len }, &r);
		else
			step(s, buf_sv(&octets), &r);
		is_first = false;
		buf_wipe(&octets);
	}
	close(to[1]);
	fclose(in);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	enum auth_outcome outcome = r.outcome;
	if (outcome == AUTH_OK)
		assert_alice(&r, mechanism);
	auth_result_done(&r);
	auth_session_unref(&s);
	return outcome;
}

static void gsasl_logs_in(void **state)
{
	struct place *p = *state;
	static const char *const names[] = { "PLAIN", "LOGIN", "SCRAM-SHA-256" };

	if (access("/usr/bin/gsasl", X_OK))
		skip();         /* Debian: gsasl */
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(gsasl(p, names[i], PREPARED), AUTH_OK);
		assert_int_equal(gsasl(p, names[i], "wrong"), AUTH_FAIL);
	}
}

static void *log_in_often(void *arg)
{
	struct place *p = arg;

	for (int i = 0; i < 10; i++) {
		struct auth_session *s = session(p);
		struct auth_result r;
		struct sv message = i % 3 ? SV("\0" ALICE "\0" SECRET) : SV("\0" ALICE "\0wrong");

		auth_start(s, SV("PLAIN"), &message, &r);
		if ((r.outcome == AUTH_OK) != (i % 3 != 0))
			return NULL;
		auth_result_done(&r);
		scram(s, "n,,", ALICE, i % 2 ? PREPARED : "wrong", &r);
		if ((r.outcome == AUTH_OK) != (i % 2 != 0))
			return NULL;
		auth_result_done(&r);
		auth_session_unref(&s);
	}
	return p;
}

static void four_threads_log_in_at_once(void **state)
{
	struct place *p = *state;
	pthread_t threads[4];
	void *result;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_in_often, p), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(plain_takes_the_right_password_only),
		CASE(plain_fails_at_every_cut),
		CASE(an_initial_response_is_asked_for_when_none_came),
		CASE(login_asks_for_name_and_password),
		CASE(a_name_and_a_password_in_clear_take_the_same_path),
		CASE(scram_proves_both_sides),
		CASE(an_unknown_user_gets_a_challenge_like_any_other),
		CASE(broken_scram_messages_end_the_exchange),
		CASE(a_right_password_may_still_not_be_enough),
		CASE(an_app_password_may_be_good_for_a_time_and_from_somewhere_only),
		CASE(a_damaged_directory_is_a_temporary_failure),
		CASE(an_exchange_can_be_given_up_and_begun_again),
		cmocka_unit_test(responses_are_strict_base64),
		CASE(a_right_password_is_remembered_until_it_changes),
		CASE(wrong_passwords_of_a_connection_are_slowed_down),
		CASE(gsasl_logs_in),
		CASE(four_threads_log_in_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
