/* A directory with an account, and logins to it by every mechanism: for tests of common/auth.h. */
#ifndef TESTS_UNIT_COMMON_AUTH_PLACE_H
#define TESTS_UNIT_COMMON_AUTH_PLACE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/auth.h"
#include "common/crypt.h"
#include "tests/unit/common/scram_client.h"

#define ITERATIONS DIRECTORY_ITERATIONS_MIN
#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define ALICE "alice@example.test"

struct place {
	char path[64];
	struct directory *dir;
	struct auth *auth;
	struct ipnet loopback;
	struct conf_auth conf;
	struct auth_peer peer;
};

static inline struct netaddr address(const char *text)
{
	struct netaddr a;

	assert_true(netaddr_parse(sv_z(text), &a));
	return a;
}

static inline int setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));
	struct sv secret = SV("s\xc3\xa9" "cret \xe2\x85\xa8");

	log_set_level(LOG_LEVEL_ERROR);
	snprintf(p->path, sizeof(p->path), "/tmp/auth-test-XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	OK(directory_open(p->path, true, &p->dir));
	OK(directory_domain_add(p->dir, SV("example.test")));
	OK(directory_account_add(p->dir, SV(ALICE), &secret, ITERATIONS, NULL));
	OK(directory_account_add(p->dir, SV("nopassword@example.test"), NULL, ITERATIONS, NULL));
	OK(auth_open(p->dir, &p->auth));
	assert_true(ipnet_parse(SV("127.0.0.0/8"), &p->loopback));
	p->conf = (struct conf_auth){
		.plaintext_networks = { &p->loopback, 1 },
		.scram_iterations = ITERATIONS,
		.failure_delay_ms = 2000,
		.failure_delay_max_ms = 15000,
		.failures_per_minute = 100,
		.failures_per_day = 500,
		.failures_per_account = 1000,
	};
	p->peer = (struct auth_peer){ .service = AUTH_IMAP, .address = address("192.0.2.1"), .tls = SV("TLSv1.3") };
	*state = p;
	return 0;
}

static inline int teardown(void **state)
{
	struct place *p = *state;
	char name[100];

	auth_close(&p->auth);
	directory_close(&p->dir);
	snprintf(name, sizeof(name), "%s/data.mdb", p->path);
	unlink(name);
	snprintf(name, sizeof(name), "%s/lock.mdb", p->path);
	unlink(name);
	int rc = rmdir(p->path);
	free(p);
	return rc;
}

static inline struct auth_session *session(struct place *p)
{
	return auth_session_new(p->auth, &p->conf, &p->peer);
}

/* Heap copies of the exact size, so that one octet too far is an ASan report. */
static inline char *exact(struct sv s)
{
	char *copy = xmalloc(s.len ? s.len : 1);

	if (s.len)
		memcpy(copy, s.p, s.len);
	return copy;
}

static inline void start(struct auth_session *s, const char *mechanism, const struct sv *initial, struct auth_result *r)
{
	char *copy = initial ? exact(*initial) : NULL;
	struct sv in = sv_from(copy, initial ? initial->len : 0);

	auth_start(s, sv_z(mechanism), initial ? &in : NULL, r);
	free(copy);
}

static inline void step(struct auth_session *s, struct sv in, struct auth_result *r)
{
	char *copy = exact(in);

	auth_result_done(r);
	auth_step(s, sv_from(copy, in.len), r);
	free(copy);
}

static inline void assert_alice(struct auth_result *r, const char *mechanism)
{
	assert_int_equal(r->outcome, AUTH_OK);
	assert_non_null(r->identity);
	assert_string_equal(identity_address(r->identity).p, ALICE);
	assert_int_equal(identity_account(r->identity).len, DIRECTORY_ID_LEN);
	assert_string_equal(identity_mechanism(r->identity).p, mechanism);
	assert_string_equal(identity_label(r->identity).p, "password");
	assert_string_equal(identity_peer(r->identity).p, "192.0.2.1");
	assert_string_equal(identity_tls(r->identity).p, "TLSv1.3");
	assert_int_equal(r->delay_ms, 0);
	auth_result_done(r);
}

static inline void assert_fails(struct auth_result *r, enum auth_reason reason)
{
	assert_int_equal(r->outcome, AUTH_FAIL);
	assert_string_equal(auth_reason_name(r->reason), auth_reason_name(reason));
	assert_null(r->identity);
	assert_int_equal(r->challenge.len, 0);
	assert_int_equal(r->delay_ms > 0, reason == AUTH_BAD_CREDENTIALS);
	auth_result_done(r);
}

static inline enum auth_reason plain(struct place *p, struct sv message)
{
	struct auth_session *s = session(p);
	struct auth_result r;

	start(s, "plain", &message, &r);
	enum auth_reason reason = r.reason;
	if (r.outcome == AUTH_OK)
		assert_alice(&r, "PLAIN");
	else
		assert_fails(&r, reason);
	auth_session_unref(&s);
	return reason;
}

#define SECRET "s\xc3\xa9" "cret \xe2\x85\xa8"         /* SASLprep makes the numeral IX of its end */

/* The whole exchange; r is what it ended with. */
static inline void scram_by(enum crypt_hash hash, struct auth_session *s, const char *gs2, const char *user, const char *password,
		     struct auth_result *r)
{
	struct scram_client c;
	char signature[64];
	struct sv first = client_first(&c, hash, gs2, user);

	start(s, hash == CRYPT_SHA1 ? "SCRAM-SHA-1" : "SCRAM-SHA-256", &first, r);
	if (r->outcome != AUTH_CONTINUE)
		return;
	struct sv final = client_final(&c, buf_sv(&r->challenge), password, SV_NONE);
	step(s, final, r);
	if (r->outcome != AUTH_CONTINUE)
		return;
	base64(c.server_signature, c.hash_len, signature, sizeof(signature));
	assert_true(sv_starts(buf_sv(&r->challenge), SV("v=")));
	assert_true(sv_eq(sv_sub(buf_sv(&r->challenge), 2, 100), sv_z(signature)));
	step(s, SV_NONE, r);
}

static inline void scram(struct auth_session *s, const char *gs2, const char *user, const char *password, struct auth_result *r)
{
	scram_by(CRYPT_SHA256, s, gs2, user, password, r);
}

/* A SCRAM client prepares the password itself. */
#define PREPARED "s\xc3\xa9" "cret IX"

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
