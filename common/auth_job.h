/* common/auth_job.h - the blocking calls of auth.h as jobs of the worker pool, for sessions on the loop.
 * One job per auth session at a time. The job holds references of its own, so the connection may go away meanwhile: cancel
 * it by auth_job_forget(), and its function is not called any more. Loop thread only. */
#ifndef COMMON_AUTH_JOB_H
#define COMMON_AUTH_JOB_H

#include "common/auth.h"
#include "common/loop.h"

struct auth_job;
struct stream;

/** auth_peer_of - what the authenticator wants to know of a connection, which must stay while the peer is used. */
struct auth_peer auth_peer_of(enum auth_service service, const struct stream *stream, const struct log_ctx *log);

/** Called once on the loop. @result is borrowed: take the identity by setting it to NULL. While the process is
 *  ending, the outcome is AUTH_FAIL with AUTH_TEMPORARY. The job is gone when this returns. */
typedef void auth_job_fn(void *arg, struct auth_result *result);

/** auth_job_start, _step, _login - as auth_start(), auth_step(), auth_login(); octets are copied, and wiped afterwards.
 *  @out: a handle for auth_job_forget(), valid until fn is called
 *  Errors: FAULT_BUSY (too many logins wait), FAULT_UNAVAILABLE (the loop ends): fn is not called; a temporary answer. */
MUST_CHECK struct fault auth_job_start(struct loop *loop, struct auth_session *s, struct sv mechanism,
				       const struct sv *initial, auth_job_fn *fn, void *arg, struct auth_job **out);
MUST_CHECK struct fault auth_job_step(struct loop *loop, struct auth_session *s, struct sv response, auth_job_fn *fn,
				      void *arg, struct auth_job **out);
MUST_CHECK struct fault auth_job_login(struct loop *loop, struct auth_session *s, struct sv user, struct sv password,
				       auth_job_fn *fn, void *arg, struct auth_job **out);
/** auth_job_forget - the connection is gone: fn is not called. Sets *job to NULL. NULL is fine. */
void auth_job_forget(struct auth_job **job);

#endif
