/* Logins as jobs: the answer comes on the loop; a connection that went away hears nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/auth_job.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)

struct place {
	char path[64];
	struct directory *dir;
	struct auth *auth;
	struct loop *loop;
	struct auth_session *session;
	struct auth_identity *identity;
	enum auth_outcome outcome;
	enum auth_reason reason;
	unsigned answers;
};

static int setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));
	struct conf_auth conf = { .scram_iterations = DIRECTORY_ITERATIONS_MIN, .failures_per_minute = 1u << 30,
		.failures_per_day = 1u << 30, .failures_per_account = 1u << 30 };
	struct auth_peer peer = { .service = AUTH_POP3, .tls = SV("TLSv1.3") };

	log_set_level(LOG_LEVEL_ERROR);
	snprintf(p->path, sizeof(p->path), "/tmp/auth-job-test-XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	OK(directory_open(p->path, true, &p->dir));
	OK(directory_domain_add(p->dir, SV("example.test")));
	OK(directory_account_add(p->dir, SV("alice@example.test"), &SV("secret"), DIRECTORY_ITERATIONS_MIN, NULL));
	OK(auth_open(p->dir, &p->auth));
	OK(loop_new(&p->loop));
	p->session = auth_session_new(p->auth, &conf, &peer);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char name[100];

	loop_free(&p->loop);
	auth_session_unref(&p->session);
	identity_unref(&p->identity);
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

static void answered(void *arg, struct auth_result *r)
{
	struct place *p = arg;

	p->answers++;
	p->outcome = r->outcome;
	p->reason = r->reason;
	identity_unref(&p->identity);
	p->identity = r->identity;
	r->identity = NULL;
}

static void wait_for(struct place *p, unsigned answers)
{
	while (p->answers < answers)
		loop_run_once(p->loop, 1000);
}

static void the_answer_comes_on_the_loop(void **state)
{
	struct place *p = *state;
	struct auth_job *job = NULL;

	OK(auth_job_login(p->loop, p->session, SV("alice"), SV("secret"), answered, p, &job));
	assert_int_equal(p->answers, 0);
	wait_for(p, 1);
	assert_int_equal(p->outcome, AUTH_OK);
	assert_string_equal(identity_address(p->identity).p, "alice@example.test");
	OK(auth_job_start(p->loop, p->session, SV("PLAIN"), NULL, answered, p, &job));
	wait_for(p, 2);
	assert_int_equal(p->outcome, AUTH_CONTINUE);
	OK(auth_job_step(p->loop, p->session, SV("\0alice\0wrong"), answered, p, &job));
	wait_for(p, 3);
	assert_int_equal(p->reason, AUTH_BAD_CREDENTIALS);
	OK(auth_job_start(p->loop, p->session, SV("PLAIN"), &SV("\0alice\0secret"), answered, p, &job));
	wait_for(p, 4);
	assert_int_equal(p->outcome, AUTH_OK);
	char *longest = xcalloc(1, 3 * AUTH_INPUT_MAX);
	OK(auth_job_start(p->loop, p->session, SV("PLAIN"), &(struct sv){ longest, 3 * AUTH_INPUT_MAX }, answered, p, &job));
	free(longest);
	wait_for(p, 5);
	assert_int_equal(p->reason, AUTH_MALFORMED);
}

static void a_forgotten_job_says_nothing(void **state)
{
	struct place *p = *state;
	struct auth_job *job = NULL, *last = NULL;

	OK(auth_job_login(p->loop, p->session, SV("alice"), SV("secret"), answered, p, &job));
	auth_session_unref(&p->session);        /* the job holds one of its own */
	auth_job_forget(&job);
	assert_null(job);
	auth_job_forget(&job);
	struct conf_auth conf = { .scram_iterations = DIRECTORY_ITERATIONS_MIN, .failures_per_minute = 1u << 30,
		.failures_per_day = 1u << 30, .failures_per_account = 1u << 30 };
	struct auth_peer peer = { .service = AUTH_POP3, .tls = SV("TLSv1.3") };
	p->session = auth_session_new(p->auth, &conf, &peer);
	OK(auth_job_login(p->loop, p->session, SV("alice"), SV("secret"), answered, p, &last));
	wait_for(p, 1);
	assert_int_equal(p->answers, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_answer_comes_on_the_loop),
		CASE(a_forgotten_job_says_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
