#include "common/auth_job.h"

#include <stdlib.h>

#include "common/stream.h"
#include "common/tls.h"
#include "common/work.h"

#include "common/banned.h"

enum call { CALL_START, CALL_START_WITH, CALL_STEP, CALL_LOGIN };

struct auth_job {
	struct work work;
	struct loop *loop;
	struct auth_session *session;
	enum call call;
	struct buf name;                /* mechanism or user */
	struct buf octets;              /* response or password */
	struct auth_result result;
	auth_job_fn *fn;                /* NULL: forgotten */
	void *arg;
};

static struct auth_job *job_of(struct work *w)
{
	return (struct auth_job *)((char *)w - offsetof(struct auth_job, work));
}

struct auth_peer auth_peer_of(enum auth_service service, const struct stream *stream, const struct log_ctx *log)
{
	struct auth_peer peer = { .service = service, .address = *stream_peer(stream), .log = log };

	if (stream_is_tls(stream)) {
		peer.conn = stream_tls(stream);
		peer.tls = sv_z(tls_facts(peer.conn).version);
	}
	return peer;
}

static void run(struct work *w)
{
	struct auth_job *job = job_of(w);
	struct sv octets = buf_sv(&job->octets);

	switch (job->call) {
	case CALL_START:
		auth_start(job->session, buf_sv(&job->name), NULL, &job->result);
		break;
	case CALL_START_WITH:
		auth_start(job->session, buf_sv(&job->name), &octets, &job->result);
		break;
	case CALL_STEP:
		auth_step(job->session, octets, &job->result);
		break;
	case CALL_LOGIN:
		auth_login(job->session, buf_sv(&job->name), octets, &job->result);
		break;
	}
}

/* again - the answer that needs no thread, since it was given a moment ago. */
static bool again(struct auth_job *job)
{
	struct sv octets = buf_sv(&job->octets);

	switch (job->call) {
	case CALL_START:
		return false;
	case CALL_START_WITH:
		return auth_start_again(job->session, buf_sv(&job->name), octets, &job->result);
	case CALL_STEP:
		return auth_step_again(job->session, octets, &job->result);
	case CALL_LOGIN:
		return auth_login_again(job->session, buf_sv(&job->name), octets, &job->result);
	}
	BUG("call %d", (int)job->call);
}

static void run_nothing(struct work *w)
{
	(void)w;
}

static void job_free(struct auth_job *job)
{
	buf_wipe(&job->name);
	buf_wipe(&job->octets);
	auth_result_done(&job->result);
	auth_session_unref(&job->session);
	free(job);
}

static void done(struct work *w, bool is_cancelled)
{
	struct auth_job *job = job_of(w);

	if (is_cancelled) {
		auth_result_done(&job->result);
		job->result.reason = AUTH_TEMPORARY;
	}
	if (job->fn)
		job->fn(job->arg, &job->result);
	job_free(job);
}

static struct fault submit(struct loop *loop, struct auth_session *s, enum call call, struct sv name, struct sv octets,
			   auth_job_fn *fn, void *arg, struct auth_job **out)
{
	struct auth_job *job = xcalloc(1, sizeof(*job));

	job->work.run = run;
	job->work.done = done;
	job->loop = loop;
	job->session = auth_session_ref(s);
	job->call = call;
	job->fn = fn;
	job->arg = arg;
	/* One more than is allowed: auth.c then says that it is too long. */
	buf_init(&job->name, AUTH_INPUT_MAX + 1);
	buf_init(&job->octets, AUTH_INPUT_MAX + 1);
	buf_append(&job->name, sv_sub(name, 0, AUTH_INPUT_MAX + 1));
	buf_append(&job->octets, sv_sub(octets, 0, AUTH_INPUT_MAX + 1));
	struct fault f;

	if (again(job)) {
		job->work.run = run_nothing;
		f = work_soon(loop, &job->work);
	} else {
		f = work_submit(loop, WORK_AUTH, &job->work);
	}
	if (f.kind)
		job_free(job);
	else
		*out = job;
	return f;
}

struct fault auth_job_start(struct loop *loop, struct auth_session *s, struct sv mechanism, const struct sv *initial,
			    auth_job_fn *fn, void *arg, struct auth_job **out)
{
	return submit(loop, s, initial ? CALL_START_WITH : CALL_START, mechanism, initial ? *initial : SV_NONE, fn, arg,
		      out);
}

struct fault auth_job_step(struct loop *loop, struct auth_session *s, struct sv response, auth_job_fn *fn, void *arg,
			   struct auth_job **out)
{
	return submit(loop, s, CALL_STEP, SV_NONE, response, fn, arg, out);
}

struct fault auth_job_login(struct loop *loop, struct auth_session *s, struct sv user, struct sv password,
			    auth_job_fn *fn, void *arg, struct auth_job **out)
{
	return submit(loop, s, CALL_LOGIN, user, password, fn, arg, out);
}

void auth_job_forget(struct auth_job **job)
{
	if (!*job)
		return;
	(*job)->fn = NULL;
	work_cancel((*job)->loop, &(*job)->work);       /* one that runs already runs on, and its result is dropped */
	*job = NULL;
}
