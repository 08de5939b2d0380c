#include "pop3d/session.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/conf.h"
#include "common/events.h"
#include "common/identity.h"
#include "common/master.h"
#include "common/memory.h"
#include "common/session_facts.h"
#include "pop3d/server.h"

#include "common/banned.h"

static enum step do_capa(struct pop3_session *s, struct sv args);
static enum step do_utf8(struct pop3_session *s, struct sv args);

/* Sorted: found by bisection. */
const struct pop3_command pop3_commands[] = {
	/* name  allowed in           args  rest   lines  run        source */
	{ "AUTH", POP3_AUTHORIZATION, 0, 2, false, true,  door_auth, "RFC 5034 §4" },
	{ "CAPA", POP3_ANY,           0, 0, false, true,  do_capa,   "RFC 2449 §5" },
	{ "DELE", POP3_TRANSACTION,   1, 1, false, false, room_dele, "RFC 1939 §5" },
	{ "LIST", POP3_TRANSACTION,   0, 1, false, true,  room_list, "RFC 1939 §5" },
	{ "NOOP", POP3_TRANSACTION,   0, 0, false, false, room_noop, "RFC 1939 §5" },
	{ "PASS", POP3_AUTHORIZATION, 0, 1, true,  false, door_pass, "RFC 1939 §7" },
	{ "QUIT", POP3_ANY,           0, 0, false, false, room_quit, "RFC 1939 §6" },
	{ "RETR", POP3_TRANSACTION,   1, 1, false, true,  room_retr, "RFC 1939 §5" },
	{ "RSET", POP3_TRANSACTION,   0, 0, false, false, room_rset, "RFC 1939 §5" },
	{ "STAT", POP3_TRANSACTION,   0, 0, false, false, room_stat, "RFC 1939 §5" },
	{ "STLS", POP3_AUTHORIZATION, 0, 0, false, false, door_stls, "RFC 2595 §4" },
	{ "TOP",  POP3_TRANSACTION,   2, 2, false, true,  room_top,  "RFC 1939 §7" },
	{ "UIDL", POP3_TRANSACTION,   0, 1, false, true,  room_uidl, "RFC 1939 §7" },
	{ "USER", POP3_AUTHORIZATION, 1, 1, true,  false, door_user, "RFC 1939 §7" },
	{ "UTF8", POP3_ANY,           0, 0, false, false, do_utf8,   "RFC 6856 §2" },
};
const size_t pop3_command_count = ARRAY_LEN(pop3_commands);

/* ---- replies ---- */

bool session_write(struct pop3_session *s, struct sv octets)
{
	return !s->stream || stream_write(s->stream, octets);
}

enum step session_send(struct pop3_session *s, struct buf *out)
{
	return !s->stream || stream_write_buf(s->stream, out) ? STEP_DONE : STEP_CLOSE;
}

PRINTF_LIKE(3, 0)
static enum step reply(struct pop3_session *s, const char *word, const char *format, va_list ap)
{
	struct buf line;

	buf_init(&line, 512);           /* RFC 1939 §3: replies are up to 512 characters long */
	buf_append(&line, sv_z(word));
	buf_vappendf(&line, format, ap);
	buf_append(&line, SV("\r\n"));
	enum step step = session_write(s, buf_sv(&line)) ? STEP_DONE : STEP_CLOSE;

	buf_done(&line);
	return step;
}

enum step session_ok(struct pop3_session *s, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	enum step step = reply(s, "+OK ", format, ap);
	va_end(ap);
	return step;
}

enum step session_err(struct pop3_session *s, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	enum step step = reply(s, "-ERR ", format, ap);
	va_end(ap);
	return step;
}

/* RFC 2449 §8, RFC 3206 §4: what a program may conclude from a failure. */
static const char *answer_for(enum fault_kind kind)
{
	switch (kind) {         /* no default: the compiler names the fault we forgot */
	case FAULT_NONE:        return "done";
	case FAULT_NOT_FOUND:   return "no such message";
	case FAULT_GONE:        return "the message was removed by another session";
	case FAULT_EXISTS:
	case FAULT_INVALID:     return "not possible";
	case FAULT_DENIED:
	case FAULT_AUTH:        return "[AUTH] not allowed";
	case FAULT_LIMIT:       return "[SYS/PERM] over a limit";
	case FAULT_QUOTA:       return "[SYS/PERM] the mailbox is full";
	case FAULT_UNSUPPORTED: return "[SYS/PERM] not supported";
	case FAULT_BUSY:        return "[SYS/TEMP] the mailbox is busy, try again soon";
	case FAULT_IN_USE:      return "[IN-USE] another session has this mailbox open";
	case FAULT_READ_ONLY:   return "[SYS/TEMP] the server's disk can only be read at present, try again later";
	case FAULT_NO_SPACE:
	case FAULT_CORRUPT:
	case FAULT_UNAVAILABLE:
	case FAULT_INTERNAL:    return "[SYS/TEMP] internal trouble, try again later";
	}
	BUG("fault %d", kind);
}

enum step session_fault(struct pop3_session *s, const char *what, struct fault f)
{
	log_warn(&s->log, "pop3.refused", KV_Z("command", what), KV_FAULT("fault", f));
	return session_err(s, "%s", answer_for(f.kind));
}

/* ---- CAPA and UTF8 ---- */

static enum step do_capa(struct pop3_session *s, struct sv args)
{
	struct buf out;

	(void)args;
	buf_init(&out, 1024);
	buf_append(&out, SV("+OK capabilities follow\r\n"
			    "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\nUTF8\r\n"));
	if (s->state == POP3_AUTHORIZATION)
		door_capabilities(s, &out);
	else
		buf_append(&out, SV("IMPLEMENTATION Postroom\r\n"));    /* strangers are told no product name */
	buf_append(&out, SV(".\r\n"));
	return session_send(s, &out);
}

/* RFC 6856 §2. Messages are sent as they are stored, with and without UTF8.
 * We differ from RFC 6856 §5, which would have internationalized messages downgraded for other clients: a changed
 * message breaks signatures, and those clients have shown raw UTF-8 for decades. */
static enum step do_utf8(struct pop3_session *s, struct sv args)
{
	(void)args;
	if (s->state != POP3_AUTHORIZATION)
		return session_err(s, "UTF8 comes before login");
	s->is_utf8 = true;
	return session_ok(s, "UTF-8 it is");
}

/* ---- commands ---- */

static const struct pop3_command *find_command(struct sv name)
{
	size_t low = 0, high = pop3_command_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = sv_cmp_nocase(name, sv_z(pop3_commands[mid].name));
		if (c == 0)
			return &pop3_commands[mid];
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static enum step bad_command(struct pop3_session *s, const char *what)
{
	uint64_t limit = s->state == POP3_AUTHORIZATION ? s->server->conf->pop3.bad_commands_prelogin :
							  s->server->conf->pop3.bad_commands;

	s->bad_commands++;
	session_err(s, "%s", what);
	if (s->bad_commands < limit)
		return STEP_DONE;
	session_err(s, "too many bad commands");
	s->end_reason = "bad commands";
	return STEP_CLOSE;
}

static uint32_t count_words(struct sv args)
{
	struct sv word;
	uint32_t n = 0;

	while (args.len && sv_split(&args, ' ', &word))
		n++;
	return n;
}

static enum step dispatch(struct pop3_session *s, struct sv line)
{
	struct sv name, args = line;

	if (door_expects_response(s))
		return door_response(s, line);
	sv_split(&args, ' ', &name);
	const struct pop3_command *c = find_command(name);

	s->commands++;
	if (!c && s->commands == 1 && s->state == POP3_AUTHORIZATION && sv_find(line, ':') != SIZE_MAX) {
		/* Not POP3 at all, HTTP for one: say nothing that a browser could be made to show (ALPACA). */
		s->end_reason = "not pop3";
		return STEP_CLOSE;
	}
	if (!c)
		return bad_command(s, "no such command");
	if (!(c->states & s->state))
		return bad_command(s, s->state == POP3_AUTHORIZATION ? "log in first" : "only before login");
	if (!c->takes_rest)
		while (args.len && args.p[args.len - 1] == ' ')
			args.len--;     /* "AUTH " of old Outlook */
	uint32_t words = c->takes_rest ? (args.len ? 1 : 0) : count_words(args);

	if (words < c->args_min || words > c->args_max)
		return bad_command(s, "wrong number of arguments");
	return c->run(s, args);
}

/* Several commands may stand in one packet (PIPELINING): go on until one has to wait. */
static void on_input(struct stream *stream, void *user)
{
	struct pop3_session *s = user;

	while (stream_input_is_ready(stream)) {
		struct sv in = stream_input(stream);
		size_t had = in.len;
		enum feed feed = line_reader_feed(&s->lines, &in);
		enum step step = STEP_DONE;

		stream_take(stream, had - in.len);
		if (feed == FEED_MORE)
			return;
		/* A bare LF ends a line for hand-typed sessions; nothing can be smuggled through POP3 commands. */
		if (feed == FEED_BAD && (s->lines.faults & LINE_ENDLESS))
			step = STEP_CLOSE;
		else if (feed == FEED_BAD && (s->lines.faults & ~(unsigned)LINE_BARE_LF))
			step = bad_command(s, s->lines.faults & LINE_TOO_LONG ? "the line is too long" :
									     "a CR or NUL stands in the line");
		else
			step = dispatch(s, buf_sv(&s->lines.line));
		if (step == STEP_CLOSE) {
			session_end(s, s->end_reason ? s->end_reason : "quit");
			return;
		}
		if (step == STEP_WAIT || !s->stream)
			return;
	}
	line_reader_rest(&s->lines);
}

void session_next(struct pop3_session *s, enum step step)
{
	if (!s->stream)
		return;
	if (step == STEP_DONE && s->server->is_stopping) {
		s->end_reason = "stopping";
		step = STEP_CLOSE;
	}
	if (step == STEP_CLOSE)
		session_end(s, s->end_reason ? s->end_reason : "quit");
	else if (step == STEP_DONE)
		stream_resume(s->stream);
}

void session_describe(const struct pop3_session *s, struct json_out *j)
{
	struct session_facts facts = { .protocol = "pop3", .log = &s->log, .identity = s->identity,
				       .stream = s->stream, .began_ms = s->began_ms,
				       .mailbox = s->state == POP3_TRANSACTION ? SV("INBOX") : SV_NONE };

	session_facts_put(j, &facts);
	json_out_u64(j, "commands", s->commands);
}

bool session_is_busy(const struct pop3_session *s)
{
	return s->is_job_running || s->retrieval || s->uidl_next;
}

static void on_writable(struct stream *stream, void *user)
{
	(void)stream;
	room_writable(user);
}

static void on_tls(struct stream *stream, void *user)
{
	struct pop3_session *s = user;
	struct tls_facts facts = tls_facts(stream_tls(stream));

	event_emit(&s->log, EVENT_TLS_DONE, KV_Z("protocol", "pop3"), KV_Z("version", facts.version),
		   KV_Z("cipher", facts.cipher), KV_Z("sni", facts.sni), KV_BOOL("resumed", facts.is_resumed));
	if (s->listener->tls == CONF_TLS_IMPLICIT)
		session_ok(s, "POP3 server ready");
	else
		session_next(s, STEP_DONE);
}

static void on_end(struct stream *stream, enum stream_end why, void *user)
{
	struct pop3_session *s = user;

	(void)stream;
	if (why == STREAM_IDLE)
		session_err(s, "[SYS/TEMP] idle for too long, nothing was deleted");
	session_end(s, stream_end_name(why));
}

static const struct stream_events session_events = {
	.on_input = on_input,
	.on_writable = on_writable,
	.on_tls = on_tls,
	.on_end = on_end,
};

/* ---- jobs ---- */

static void free_session(struct pop3_session *s)
{
	struct pop3_server *server = s->server;

	identity_unref(&s->identity);
	line_reader_done(&s->lines);
	ahead_done(&s->ahead);
	free(s);
	if (--server->alive_count == 0 && server->is_stopping)
		worker_stopped(server->worker);
}

static void close_run(struct work *work)
{
	struct pop3_job *job = (struct pop3_job *)work;

	retrieval_close(&job->retrieval);
	maildrop_close(&job->drop);
}

static void close_done(struct work *work, bool is_cancelled)
{
	struct pop3_job *job = (struct pop3_job *)work;

	if (is_cancelled)
		close_run(work);        /* the process is ending: nobody waits for the loop any more */
	free_session(job->session);
	free(job);
}

/* A message that is being read is closed by a worker, then the session is gone. */
static void retire(struct pop3_session *s)
{
	if (!s->drop && !s->retrieval) {
		free_session(s);
		return;
	}
	struct pop3_job *job = xcalloc(1, sizeof(*job));

	job->session = s;
	job->drop = s->drop;
	job->retrieval = s->retrieval;
	s->drop = NULL;
	s->retrieval = NULL;
	job->work.run = close_run;
	job->work.done = close_done;
	struct fault f = job->retrieval ? work_submit(s->server->loop, WORK_MAIL, &job->work) :
					  work_soon(s->server->loop, &job->work);

	if (f.kind)
		close_done(&job->work, true);
}

bool session_job_is_over(struct pop3_session *s)
{
	s->is_job_running = false;
	if (s->stream)
		return true;
	retire(s);              /* the client has gone meanwhile */
	return false;
}

static void job_run(struct work *work)
{
	struct pop3_job *job = (struct pop3_job *)work;

	job->run(job);
}

static void job_done(struct work *work, bool is_cancelled)
{
	struct pop3_job *job = (struct pop3_job *)work;
	struct pop3_session *s = job->session;

	s->drop = job->drop;
	s->retrieval = job->retrieval;
	if (is_cancelled)
		job->result = fault(FAULT_UNAVAILABLE, "the server is stopping");
	if (session_job_is_over(s))
		session_next(s, job->finish(s, job));
	buf_done(&job->out);
	ahead_done(&job->ahead);
	free(job);
}

enum step session_run_job(struct pop3_session *s, struct pop3_job *job)
{
	job->session = s;
	job->drop = s->drop;
	job->retrieval = s->retrieval;
	job->work.run = job_run;
	job->work.done = job_done;
	struct fault f = job->is_memory ? work_soon(s->server->loop, &job->work) :
					  work_submit(s->server->loop, WORK_MAIL, &job->work);

	if (f.kind) {
		buf_done(&job->out);
		ahead_done(&job->ahead);
		free(job);
		session_fault(s, "pop3.job", f);
		return s->state == POP3_AUTHORIZATION ? STEP_CLOSE : STEP_DONE;
	}
	s->drop = NULL;
	s->retrieval = NULL;
	s->is_job_running = true;
	stream_pause(s->stream);
	return STEP_WAIT;
}

/* ---- life ---- */

static void on_deadline(struct timer *t)
{
	struct pop3_session *s = CONTAINER_OF(t, struct pop3_session, deadline);

	session_err(s, "[SYS/TEMP] login took too long");
	session_end(s, "login timeout");
}

void session_enter(struct pop3_session *s, enum pop3_state state)
{
	const struct conf *conf = s->server->conf;

	s->state = state;
	switch (state) {
	case POP3_AUTHORIZATION:
		/* One deadline for everything before login, and silence is no longer tolerated than that. */
		timer_start_ms(&s->deadline, conf->limits.login_ms);
		stream_set_idle_ms(s->stream, (uint32_t)conf->limits.login_ms);
		break;
	case POP3_TRANSACTION:
		timer_stop(&s->deadline);
		door_close(s);
		stream_set_idle_ms(s->stream, (uint32_t)conf->pop3.idle_ms);
		break;
	case POP3_ENDING:
		break;
	}
}

void session_start(struct stream *stream, const struct listener *listener, void *server)
{
	struct pop3_session *s = xcalloc(1, sizeof(*s));
	char peer[NETADDR_TEXT_MAX];

	s->server = server;
	s->stream = stream;
	s->listener = listener;
	s->guest = (struct roster_guest){ .evict = session_evict, .arg = s };
	s->began_ms = loop_now_ms(s->server->loop);
	log_ctx_init(&s->log);
	log_ctx_set_peer(&s->log, netaddr_text(stream_peer(stream), peer));
	line_reader_init(&s->lines, s->server->conf->pop3.command_line);
	ahead_init(&s->ahead);
	timer_init(&s->deadline, s->server->loop, on_deadline);
	s->next = s->server->sessions;
	s->at = &s->server->sessions;
	if (s->next)
		s->next->at = &s->next;
	s->server->sessions = s;
	s->server->session_count++;
	s->server->alive_count++;
	stream_set_events(stream, &session_events, s);
	door_open(s);
	session_enter(s, POP3_AUTHORIZATION);
	event_emit(&s->log, EVENT_SESSION_OPEN, KV_Z("listener", listener->name), KV_Z("protocol", "pop3"),
		   KV_BOOL("tls", listener->tls == CONF_TLS_IMPLICIT));
	if (listener->tls != CONF_TLS_IMPLICIT)
		session_ok(s, "POP3 server ready");
}

void session_evict(void *session)
{
	struct pop3_session *s = session;

	session_err(s, "[SYS/TEMP] " ROSTER_EVICTED_TEXT);
	session_end(s, "evicted");
}

void session_end(struct pop3_session *s, const char *reason)
{
	uint64_t in = 0, out = 0;

	if (!s->stream)
		return;
	stream_octets(s->stream, &in, &out);
	event_emit(&s->log, EVENT_SESSION_CLOSE, KV_Z("protocol", "pop3"),
		   KV_SV("user", s->identity ? identity_address(s->identity) : SV_NONE), KV_Z("reason", reason),
		   KV_U64("commands", s->commands), KV_U64("in_octets", in), KV_U64("out_octets", out));
	s->state = POP3_ENDING;
	timer_stop(&s->deadline);
	roster_leave(&s->guest);
	stream_close(&s->stream, true);
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	s->server->session_count--;
	door_close(s);                  /* an exchange under way keeps the session until its job is done */
	if (!s->is_job_running)
		retire(s);
}
