/* After login: the maildrop's commands (RFC 1939 §5-§7). Lists and messages are sent in chunks, one job each; the next
 * job starts when the client has drained the one before, so a slow client costs one chunk. */
#include <stdlib.h>

#include "common/events.h"
#include "common/identity.h"
#include "common/memory.h"
#include "pop3d/server.h"
#include "pop3d/session.h"

#include "common/banned.h"

#define CHUNK ((size_t)64 << 10)
#define CHUNK_MAX (2 * CHUNK + 65536)   /* dot-stuffing of one read can double it */
#define RETR_OK "+OK message follows\r\n"

static struct pop3_job *new_job(void (*run)(struct pop3_job *),
				enum step (*finish)(struct pop3_session *, struct pop3_job *))
{
	struct pop3_job *job = xcalloc(1, sizeof(*job));

	job->run = run;
	job->finish = finish;
	buf_init(&job->out, CHUNK_MAX);
	ahead_init(&job->ahead);
	return job;
}

/* ---- opening ---- */

static void open_run(struct pop3_job *job)
{
	struct pop3_session *s = job->session;  /* only what never changes: the server and the identity */
	struct maildir_user *user = NULL;

	job->result = server_open_user(s->server, s->identity, &user);
	if (!job->result.kind) {
		job->result = maildrop_open(user, &job->drop);
		if (job->result.kind)
			maildir_user_close(&user);
	}
}

static enum step open_finish(struct pop3_session *s, struct pop3_job *job)
{
	uint32_t messages;
	uint64_t octets;

	if (job->result.kind) {
		session_fault(s, "pop3.open", job->result);
		return STEP_CLOSE;
	}
	maildrop_totals(s->drop, &messages, &octets);
	session_enter(s, POP3_TRANSACTION);
	return session_ok(s, "%u messages (%llu octets)", messages, (unsigned long long)octets);
}

enum step room_enter(struct pop3_session *s)
{
	return session_run_job(s, new_job(open_run, open_finish));
}

/* ---- message numbers ---- */

/* An argument that must name a message which is not marked as deleted. */
static bool number_from(struct pop3_session *s, struct sv arg, uint32_t *n)
{
	const struct maildrop_entry *e = NULL;

	if (sv_to_u32(arg, n))
		e = maildrop_entry(s->drop, *n);
	if (e && !e->is_deleted)
		return true;
	if (e)
		session_err(s, "message %u is marked as deleted", *n);
	else
		session_err(s, "no such message, there are %u", maildrop_count(s->drop));
	return false;
}

enum step room_stat(struct pop3_session *s, struct sv args)
{
	uint32_t messages;
	uint64_t octets;

	(void)args;
	maildrop_totals(s->drop, &messages, &octets);
	return session_ok(s, "%u %llu", messages, (unsigned long long)octets);
}

enum step room_list(struct pop3_session *s, struct sv args)
{
	uint32_t n, messages;
	uint64_t octets;

	if (args.len) {
		if (!number_from(s, args, &n))
			return STEP_DONE;
		return session_ok(s, "%u %llu", n, (unsigned long long)maildrop_entry(s->drop, n)->size);
	}
	/* The list is in memory already: at most 24 octets a message, beside the 16 that the entry takes. */
	struct buf out;

	buf_init(&out, 128 + (size_t)maildrop_count(s->drop) * 40);
	maildrop_totals(s->drop, &messages, &octets);
	buf_appendf(&out, "+OK %u messages (%llu octets)\r\n", messages, (unsigned long long)octets);
	for (n = 1; n <= maildrop_count(s->drop); n++) {
		const struct maildrop_entry *e = maildrop_entry(s->drop, n);
		if (!e->is_deleted)
			buf_appendf(&out, "%u %llu\r\n", n, (unsigned long long)e->size);
	}
	buf_append(&out, SV(".\r\n"));
	return session_send(s, &out);
}

enum step room_dele(struct pop3_session *s, struct sv args)
{
	uint32_t n;

	if (!number_from(s, args, &n))
		return STEP_DONE;
	/* Now rather than at QUIT, whose failure hardly any program shows. */
	if (maildrop_is_read_only(s->drop))
		return session_fault(s, "DELE", fault(FAULT_READ_ONLY, "mail store"));
	maildrop_mark(s->drop, n);
	return session_ok(s, "message %u marked as deleted", n);
}

enum step room_rset(struct pop3_session *s, struct sv args)
{
	(void)args;
	maildrop_reset(s->drop);
	return session_ok(s, "nothing is marked as deleted");
}

enum step room_noop(struct pop3_session *s, struct sv args)
{
	(void)args;
	return session_ok(s, "still here");
}

/* ---- UIDL ---- */

static void uidl_run(struct pop3_job *job)
{
	char uidl[72];

	if (job->lines) {       /* one message */
		job->result = maildrop_uidl(job->drop, job->number, uidl);
		if (!job->result.kind)
			buf_appendf(&job->out, "+OK %u %s\r\n", job->number, uidl);
		job->is_done = true;
		return;
	}
	job->result = maildrop_uidls(job->drop, &job->number, CHUNK, &job->out);
	job->is_done = job->number == 0;
	if (job->is_done)
		buf_append(&job->out, SV(".\r\n"));
}

static enum step chunk_finish(struct pop3_session *s, struct pop3_job *job);

static enum step uidl_job(struct pop3_session *s, uint32_t number, bool is_single)
{
	struct pop3_job *job = new_job(uidl_run, chunk_finish);

	job->number = number;
	job->lines = is_single;
	return session_run_job(s, job);
}

enum step room_uidl(struct pop3_session *s, struct sv args)
{
	uint32_t n;

	if (args.len)
		return number_from(s, args, &n) ? uidl_job(s, n, true) : STEP_DONE;
	session_ok(s, "unique ids follow");
	return uidl_job(s, 1, false);
}

/* ---- RETR and TOP ---- */

/* read_ahead - the messages behind number, up to one that is deleted, too big or not to be had: its own RETR tells that. */
static void read_ahead(struct pop3_job *job, uint32_t number)
{
	const struct maildrop_entry *e;
	struct ahead *a = &job->ahead;
	struct retrieval *r = NULL;

	while ((e = maildrop_entry(job->drop, ++number)) && !e->is_deleted && ahead_has_room(a, e->size)) {
		bool is_done = false;
		struct fault f = retrieval_open(job->drop, number, UINT32_MAX, &r);

		if (!f.kind && buf_append(&a->octets, SV(RETR_OK)))
			f = retrieval_next(r, a->octets.len + CHUNK, &a->octets, &is_done);
		retrieval_close(&r);
		if (f.kind || !is_done) {
			ahead_cut(a);
			return;
		}
		ahead_end(a, number);
	}
}

static void retr_run(struct pop3_job *job)
{
	if (!job->retrieval) {
		job->result = retrieval_open(job->drop, job->number, job->lines, &job->retrieval);
		if (job->result.kind)
			return;
		buf_append(&job->out, SV(RETR_OK));
	}
	job->result = retrieval_next(job->retrieval, CHUNK, &job->out, &job->is_done);
	if (job->is_done || job->result.kind)
		retrieval_close(&job->retrieval);
	if (job->is_done && job->reads_ahead)
		read_ahead(job, job->number);
}

static enum step retr_job(struct pop3_session *s, uint32_t number, uint32_t lines)
{
	struct pop3_job *job = new_job(retr_run, chunk_finish);

	job->number = number;
	job->lines = lines;
	/* Two in a row: somebody reads everything. */
	job->reads_ahead = lines == UINT32_MAX && s->last_retr && number == s->last_retr + 1;
	return session_run_job(s, job);
}

/* A chunk is there: send it, and start the next one when there is room. */
static enum step chunk_finish(struct pop3_session *s, struct pop3_job *job)
{
	/* Has the client seen the +OK? Not before the first chunk of a message, nor for a single UIDL. */
	bool is_begun = job->run == retr_run ? job->number == 0 : !job->lines;

	if (job->result.kind && !is_begun)
		return session_fault(s, "pop3.retr", job->result);
	if (job->result.kind) {
		/* In the middle of a message there is no way to say "error" but to end the connection. */
		log_error(&s->log, "pop3.read_failed", KV_U64("number", job->number), KV_FAULT("fault", job->result));
		return STEP_CLOSE;
	}
	enum step step = session_send(s, &job->out);

	if (job->ahead.count) {
		ahead_done(&s->ahead);
		s->ahead = job->ahead;
		ahead_init(&job->ahead);
	}
	if (job->is_done || step == STEP_CLOSE)
		return step;
	s->uidl_next = job->run == uidl_run ? job->number : 0;
	if (stream_has_room(s->stream))
		room_writable(s);
	return STEP_WAIT;
}

void room_writable(struct pop3_session *s)
{
	if (s->is_job_running || (!s->retrieval && !s->uidl_next))
		return;
	uint32_t next = s->uidl_next;

	s->uidl_next = 0;
	enum step step = next ? uidl_job(s, next, false) : retr_job(s, 0, 0);

	if (step != STEP_WAIT)
		session_end(s, "busy");
}

enum step room_retr(struct pop3_session *s, struct sv args)
{
	struct sv answer;
	enum step step;
	uint32_t n;

	if (!number_from(s, args, &n))
		return STEP_DONE;
	if (ahead_take(&s->ahead, n, &answer)) {
		step = session_write(s, answer) ? STEP_DONE : STEP_CLOSE;
		if (s->ahead.at == s->ahead.count)
			ahead_done(&s->ahead);
	} else {
		step = retr_job(s, n, UINT32_MAX);
	}
	s->last_retr = n;
	return step;
}

enum step room_top(struct pop3_session *s, struct sv args)
{
	struct sv number;
	uint32_t n, lines;

	sv_split(&args, ' ', &number);
	if (!sv_to_u32(args, &lines) || lines == UINT32_MAX)
		return session_err(s, "TOP takes a message number and a number of lines");
	return number_from(s, number, &n) ? retr_job(s, n, lines) : STEP_DONE;
}

/* ---- QUIT ---- */

static void update_run(struct pop3_job *job)
{
	job->result = maildrop_update(job->drop, &job->removed);
	maildrop_close(&job->drop);     /* before the answer: who has it may log in again */
}

static enum step update_finish(struct pop3_session *s, struct pop3_job *job)
{
	session_enter(s, POP3_ENDING);
	if (job->result.kind) {
		/* RFC 1939 §6: some deleted messages were not removed. */
		session_fault(s, "pop3.update", job->result);
		return STEP_CLOSE;
	}
	if (job->removed)
		event_emit(&s->log, EVENT_MESSAGE_EXPUNGE, KV_SV("user", identity_address(s->identity)),
			   KV_Z("mailbox", "INBOX"), KV_U64("count", job->removed), KV_Z("by", "pop3"));
	session_ok(s, "%u messages removed", job->removed);
	return STEP_CLOSE;
}

enum step room_quit(struct pop3_session *s, struct sv args)
{
	(void)args;
	if (s->state != POP3_TRANSACTION) {
		session_ok(s, "goodbye");
		return STEP_CLOSE;
	}
	struct pop3_job *job = new_job(update_run, update_finish);

	job->is_memory = !maildrop_is_marked(s->drop);
	return session_run_job(s, job);
}
