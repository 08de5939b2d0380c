#include "smtpd/verbs.h"

#include <stdlib.h>

#include "common/memory.h"
#include "common/work.h"
#include "smtpd/explain.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

#include "common/banned.h"

#define LIST_MOST 10000         /* lines in one answer; "after" asks for the next ones */

/* ---- sessions ---- */

static void do_sessions(void *arg, const struct json *request, struct control_reply *reply)
{
	const struct worker *w = arg;
	const struct smtpd *server = w->state;

	(void)request;
	for (const struct session *s = server->sessions; s; s = session_next_of(s)) {
		session_describe(s, control_line(reply));
		if (!control_line_end(reply))
			break;
	}
	control_finish(&reply, FAULT_OK);
}

/* ---- the queue: a job reads, the loop answers ---- */

struct queue_job {
	struct work work;
	struct smtpd *server;
	struct control_reply *reply;
	void (*ask)(struct queue_job *job);     /* in a job */
	struct sv id;                           /* queue-list: after */
	uint64_t count;
	struct buf lines; /* the answer: JSON objects, each followed by a newline */
	struct fault fault;
	char detail[256]; /* of the fault; its own text belongs to the job's thread */
};

static void job_run(struct work *w)
{
	struct queue_job *job = (struct queue_job *)w;

	job->ask(job);
	if (job->fault.kind && job->fault.detail) {
		struct sv text = sv_sub(sv_z(job->fault.detail), 0, sizeof(job->detail) - 1);

		memcpy(job->detail, text.p, text.len);
		job->fault.detail = job->detail;
	}
}

/* copy_line - a line that the job wrote, member by member, into the answer. */
static void copy_member(void *arg, const char *name, const struct json *value)
{
	json_out_value(arg, name, value);
}

static bool copy_line(struct control_reply *reply, struct sv line)
{
	struct json *object = NULL;

	if (json_parse(line, &object).kind)
		return true;
	json_iterate(object, copy_member, control_line(reply));
	json_free(&object);
	return control_line_end(reply);
}

static void job_done(struct work *w, bool is_cancelled)
{
	struct queue_job *job = (struct queue_job *)w;
	struct sv rest = buf_sv(&job->lines), line;

	if (is_cancelled)
		job->fault = fault(FAULT_UNAVAILABLE, "the server is stopping");
	while (!job->fault.kind && sv_split(&rest, '\n', &line))
		if (line.len && !copy_line(job->reply, line))
			break;
	control_finish(&job->reply, job->fault);
	buf_done(&job->lines);
	free((char *)job->id.p);
	free(job);
}

static void start(void *arg, const struct json *request, const char *id_member,
		  struct control_reply *reply, void (*ask)(struct queue_job *job))
{
	struct worker *w = arg;
	struct queue_job *job;
	struct sv id = SV_NONE;
	struct fault f;

	job = xcalloc(1, sizeof(*job));
	job->server = w->state;
	job->reply = reply;
	job->ask = ask;
	(void)json_get_sv(request, id_member, &id);
	job->id = (struct sv){ sv_copy_z(id), id.len };
	buf_init(&job->lines, CONTROL_ANSWER_MAX);
	job->work.run = job_run;
	job->work.done = job_done;
	f = work_submit(job->server->loop, WORK_MAIL, &job->work);
	if (f.kind) {
		job->fault = f;
		job_done(&job->work, false);
	}
}

static bool list_one(void *arg, const struct queue_info *info)
{
	struct queue_job *job = arg;
	struct json_out j;

	if (job->count++ >= LIST_MOST)
		return false;
	json_out_init(&j, &job->lines);
	json_out_object(&j, NULL);
	json_out_sv(&j, "id", info->id);
	json_out_i64(&j, "since", info->received_s);
	json_out_u64(&j, "size", info->size);
	json_out_sv(&j, "from", info->sender);
	json_out_array(&j, "to");
	for (size_t i = 0; i < info->listed; i++)
		json_out_sv(&j, NULL, info->rcpts[i]);
	json_out_array_end(&j);
	json_out_u64(&j, "recipients", info->rcpt_count);
	json_out_sv(&j, "user", info->user);
	json_out_z(&j, "state", "waiting");
	json_out_object_end(&j);
	return !j.overflow && buf_append_c(&job->lines, '\n');
}

static void ask_list(struct queue_job *job)
{
	job->fault = queue_list(job->server->queue, job->id, list_one, job);
}

static void describe_facts(struct json_out *j, const struct envelope *e)
{
	static const char *const names[ENVELOPE_FACTS] = {
		[ENVELOPE_ID] = "id",
		[ENVELOPE_LISTENER] = "listener",
		[ENVELOPE_PROTOCOL] = "protocol",
		[ENVELOPE_PEER] = "peer",
		[ENVELOPE_HELO] = "helo",
		[ENVELOPE_USER] = "user",
		[ENVELOPE_TLS] = "tls",
		[ENVELOPE_SESSION] = "sid",
	};

	for (unsigned i = 0; i < ENVELOPE_FACTS; i++)
		json_out_sv(j, names[i], e->facts[i]);
	json_out_i64(j, "since", e->received_s);
	json_out_sv(j, "from", e->sender);
}

static void describe_params(struct json_out *j, const struct envelope_param *p)
{
	json_out_array(j, "parameters");
	for (; p; p = p->next)
		json_out_sv(j, NULL, p->text);
	json_out_array_end(j);
}

static void describe(struct json_out *j, const struct spool *s)
{
	const struct envelope *e = spool_envelope(s);
	uint32_t i = 0;

	json_out_object(j, NULL);
	describe_facts(j, e);
	json_out_u64(j, "size", spool_size(s));
	describe_params(j, e->params);
	json_out_array(j, "recipients");
	for (const struct envelope_rcpt *r = e->rcpts; r; r = r->next) {
		json_out_object(j, NULL);
		json_out_sv(j, "to", r->address);
		json_out_sv(j, "original", r->original);
		json_out_z(j, "status", spool_outcome_name(spool_outcome(s, i++)));
		describe_params(j, r->params);
		json_out_object_end(j);
	}
	json_out_array_end(j);
	json_out_object_end(j);
}

/* ---- the same for people ---- */

static void say_line(struct queue_job *job, const char *name, struct sv value)
{
	struct json_out j;
	struct buf text;

	buf_init(&text, 4096);
	if (*name)
		buf_appendf(&text, "%-12s", name);
	buf_append(&text, sv_sub(value, 0, 2000));
	json_out_init(&j, &job->lines);
	json_out_object(&j, NULL);
	json_out_sv(&j, "line", buf_sv(&text));
	json_out_object_end(&j);
	buf_append_c(&job->lines, '\n');
	buf_done(&text);
}

static void say_envelope(struct queue_job *job, const struct spool *s)
{
	const struct envelope *e = spool_envelope(s);
	struct buf text;
	uint32_t i = 0;

	buf_init(&text, 4096);
	say_line(job, "id", e->facts[ENVELOPE_ID]);
	say_line(job, "from", e->sender.len ? e->sender : SV("<>"));
	for (const struct envelope_rcpt *r = e->rcpts; r; r = r->next) {
		buf_clear(&text);
		buf_appendf(&text, "%.*s (%s%s%.*s)", SV_FMT(r->address),
			    spool_outcome_name(spool_outcome(s, i++)),
			    r->original.len ? ", for " : "", SV_FMT(r->original));
		say_line(job, "to", buf_sv(&text));
	}
	buf_clear(&text);
	buf_appendf(&text, "%llu octets", (unsigned long long)spool_size(s));
	say_line(job, "size", buf_sv(&text));
	buf_clear(&text);
	buf_appendf(&text, "%.*s by %.*s, session %.*s", SV_FMT(e->facts[ENVELOPE_PEER]),
		    SV_FMT(e->facts[ENVELOPE_PROTOCOL]), SV_FMT(e->facts[ENVELOPE_SESSION]));
	say_line(job, "came from", buf_sv(&text));
	say_line(job, "user", e->facts[ENVELOPE_USER]);
	buf_done(&text);
}

/* say_header - up to the empty line, as far as it lies in the first records: what was put on top is one. */
static struct fault say_header(struct queue_job *job, struct spool *s)
{
	struct buf body;
	struct sv rest, line;
	struct fault f;

	buf_init(&body, 2 * SPOOL_BODY_MAX);
	f = spool_read_body(s, &body);
	if (!f.kind && body.len < SPOOL_BODY_MAX)
		f = spool_read_body(s, &body);
	rest = buf_sv(&body);
	say_line(job, "", SV_NONE);
	while (!f.kind && sv_split(&rest, '\n', &line) && sv_trim(line).len)
		say_line(job, "",
			 line.len && line.p[line.len - 1] == '\r' ? sv_sub(line, 0, line.len - 1)
								  : line);
	buf_done(&body);
	return f;
}

static void ask_show(struct queue_job *job)
{
	struct spool *s = NULL;
	struct json_out j;

	job->fault = queue_read(job->server->queue, job->id, &s);
	if (job->fault.kind)
		return;
	json_out_init(&j, &job->lines);
	describe(&j, s);
	buf_append_c(&job->lines, '\n');
	say_envelope(job, s);
	job->fault = say_header(job, s);
	spool_close(&s);
}

static void ask_remove(struct queue_job *job)
{
	job->fault = queue_remove(job->server->queue, job->id, SV("administrator"));
}

static void do_queue_list(void *arg, const struct json *request, struct control_reply *reply)
{
	start(arg, request, "after", reply, ask_list);
}

static void do_queue_show(void *arg, const struct json *request, struct control_reply *reply)
{
	start(arg, request, "id", reply, ask_show);
}

static void do_queue_remove(void *arg, const struct json *request, struct control_reply *reply)
{
	start(arg, request, "id", reply, ask_remove);
}

const struct control_verb smtpd_verbs[] = {
	{ "sessions", "the connections that are open", do_sessions, false },
	{ "explain", "what would happen to a message", explain_run, true },
	{ "queue.list", "messages in the queue", do_queue_list, true },
	{ "queue.show", "one message in the queue", do_queue_show, true },
	{ "queue.remove", "take a message out of the queue", do_queue_remove, true },
	{ NULL, NULL, NULL, false },
};
