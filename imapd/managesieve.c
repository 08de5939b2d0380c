#include "imapd/managesieve.h"

#include <stdlib.h>

#include "common/events.h"
#include "common/control.h"
#include "common/identity.h"
#include "common/memory.h"
#include "common/kick.h"
#include "common/session_facts.h"
#include "imapd/managesieve_private.h"

#include "common/banned.h"

#define QUOTED_MAX 1024         /* RFC 5804 §4 */
#define REPLY_MAX ((size_t)64 << 10)
#define PIECE 65536             /* of a long reply at once */
#define STRANGER_MAX 16384      /* octets of a command before login: a SASL response */

static enum ms_step do_capability(struct ms_session *s);
static enum ms_step do_logout(struct ms_session *s);
static enum ms_step do_noop(struct ms_session *s);

/* s string, n number, lower case must be there, an upper-case letter may. Sorted: found by bisection. */
static const struct {
	const char *name, *args;
	unsigned states;
	enum ms_step (*run)(struct ms_session *s);
	const char *source;
} commands[] = {
	{ "AUTHENTICATE",   "sS", MS_STRANGER, ms_do_authenticate,   "RFC 5804 §2.1" },
	{ "CAPABILITY",     "",   MS_ANY,      do_capability,        "RFC 5804 §2.4" },
	{ "CHECKSCRIPT",    "s",  MS_KNOWN,    ms_do_checkscript,    "RFC 5804 §2.12" },
	{ "DELETESCRIPT",   "s",  MS_KNOWN,    ms_do_deletescript,   "RFC 5804 §2.10" },
	{ "GETSCRIPT",      "s",  MS_KNOWN,    ms_do_getscript,      "RFC 5804 §2.9" },
	{ "HAVESPACE",      "sn", MS_KNOWN,    ms_do_havespace,      "RFC 5804 §2.5" },
	{ "LISTSCRIPTS",    "",   MS_KNOWN,    ms_do_listscripts,    "RFC 5804 §2.7" },
	{ "LOGOUT",         "",   MS_ANY,      do_logout,            "RFC 5804 §2.3" },
	{ "NOOP",           "S",  MS_ANY,      do_noop,              "RFC 5804 §2.13" },
	{ "PUTSCRIPT",      "ss", MS_KNOWN,    ms_do_putscript,      "RFC 5804 §2.6" },
	{ "RENAMESCRIPT",   "ss", MS_KNOWN,    ms_do_renamescript,   "RFC 5804 §2.11" },
	{ "SETACTIVE",      "s",  MS_KNOWN,    ms_do_setactive,      "RFC 5804 §2.8" },
	{ "STARTTLS",       "",   MS_STRANGER, ms_do_starttls,       "RFC 5804 §2.2" },
	{ "UNAUTHENTICATE", "",   MS_KNOWN,    ms_do_unauthenticate, "RFC 5804 §2.14.1" },
};

static void session_end(struct ms_session *s, const char *reason);
static void evict(void *session);

/* ---- replies ---- */

bool ms_put_string(struct buf *out, struct sv text)
{
	bool is_quotable = text.len <= QUOTED_MAX;

	for (size_t i = 0; i < text.len && is_quotable; i++)
		is_quotable = text.p[i] && text.p[i] != '\r' && text.p[i] != '\n';
	if (!is_quotable)
		return buf_appendf(out, "{%zu}\r\n", text.len) && buf_append(out, text);
	if (!buf_append_c(out, '"'))
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (((text.p[i] == '"' || text.p[i] == '\\') && !buf_append_c(out, '\\')) || !buf_append_c(out, text.p[i]))
			return false;
	return buf_append_c(out, '"');
}

enum ms_step ms_reply(struct ms_session *s, const char *word, const char *code, struct sv text)
{
	struct buf line;

	buf_init(&line, REPLY_MAX);
	(void)(buf_append(&line, sv_z(word)) && (!code || buf_appendf(&line, " (%s)", code)) &&
	       (!text.len || (buf_append_c(&line, ' ') && ms_put_string(&line, text))) && buf_append(&line, SV("\r\n")));
	bool is_queued = !s->stream || stream_write(s->stream, buf_sv(&line));

	buf_done(&line);
	return is_queued ? MS_DONE : MS_CLOSE;
}

enum ms_step ms_ok(struct ms_session *s, const char *text)
{
	return ms_reply(s, "OK", NULL, sv_z(text));
}

enum ms_step ms_no(struct ms_session *s, const char *code, const char *text)
{
	return ms_reply(s, "NO", code, sv_z(text));
}

/* RFC 5804 §1.3 */
static const char *code_for(enum fault_kind kind)
{
	switch (kind) {         /* no default: the compiler names the fault we forgot */
	case FAULT_NONE:
	case FAULT_INVALID:
	case FAULT_DENIED:
	case FAULT_AUTH:
	case FAULT_UNSUPPORTED: return NULL;
	case FAULT_NOT_FOUND:
	case FAULT_GONE:        return "NONEXISTENT";
	case FAULT_EXISTS:      return "ALREADYEXISTS";
	case FAULT_IN_USE:      return "ACTIVE";
	case FAULT_LIMIT:       return "QUOTA/MAXSIZE";
	case FAULT_QUOTA:       return "QUOTA/MAXSCRIPTS";
	case FAULT_NO_SPACE:    return "QUOTA";
	case FAULT_READ_ONLY:
	case FAULT_BUSY:
	case FAULT_CORRUPT:
	case FAULT_UNAVAILABLE:
	case FAULT_INTERNAL:    return "TRYLATER";
	}
	BUG("fault %d", kind);
}

static const char *text_for(enum fault_kind kind)
{
	switch (kind) {
	case FAULT_NONE:        return "Done";
	case FAULT_INVALID:     return "No good name for a script";
	case FAULT_DENIED:
	case FAULT_AUTH:
	case FAULT_UNSUPPORTED: return "Not allowed";
	case FAULT_NOT_FOUND:
	case FAULT_GONE:        return "There is no such script";
	case FAULT_EXISTS:      return "There is a script of that name";
	case FAULT_IN_USE:      return "The script is active";
	case FAULT_LIMIT:       return "The script is too large";
	case FAULT_QUOTA:       return "There are too many scripts";
	case FAULT_NO_SPACE:    return "The disk is full";
	case FAULT_READ_ONLY:   return "The server's disk can only be read at present, try again later";
	case FAULT_BUSY:
	case FAULT_CORRUPT:
	case FAULT_UNAVAILABLE:
	case FAULT_INTERNAL:    return "Internal trouble, try again later";
	}
	BUG("fault %d", kind);
}

enum ms_step ms_fault(struct ms_session *s, const char *what, struct fault f)
{
	log_warn(&s->log, "managesieve.refused", KV_Z("command", what), KV_FAULT("fault", f));
	return ms_no(s, code_for(f.kind), text_for(f.kind));
}

/* pump - as much of a long reply as the client takes now. */
static enum ms_step pump(struct ms_session *s)
{
	while (s->reply_at < s->reply.len) {
		struct sv piece = sv_sub(buf_sv(&s->reply), s->reply_at, PIECE);

		if (!stream_has_room(s->stream))
			return MS_WAIT;
		if (!stream_write(s->stream, piece))
			return MS_CLOSE;
		s->reply_at += piece.len;
	}
	buf_done(&s->reply);
	s->reply_at = 0;
	return MS_DONE;
}

enum ms_step ms_send(struct ms_session *s, struct buf *out)
{
	enum ms_step step;

	s->reply = *out;
	s->reply_at = 0;
	*out = (struct buf){ .max = out->max };
	step = pump(s);
	if (step == MS_WAIT)
		stream_pause(s->stream);
	return step;
}

/* ---- commands for everybody ---- */

static bool put_capability(struct buf *out, const char *name, struct sv value)
{
	return buf_appendf(out, "\"%s\" ", name) && ms_put_string(out, value) && buf_append(out, SV("\r\n"));
}

/* RFC 5804 §1.7 */
enum ms_step ms_capabilities(struct ms_session *s)
{
	struct buf out, mechanisms, extensions;
	bool ok;

	buf_init(&out, REPLY_MAX);
	buf_init(&mechanisms, AUTH_MECHANISMS_MAX);
	buf_init(&extensions, 4096);
	ms_door_mechanisms(s, &mechanisms);
	ok = sieve_capabilities(&extensions) && put_capability(&out, "IMPLEMENTATION", SV("Postroom")) &&
	     put_capability(&out, "SASL", buf_sv(&mechanisms)) && put_capability(&out, "SIEVE", buf_sv(&extensions)) &&
	     put_capability(&out, "NOTIFY", SV("mailto")) && put_capability(&out, "EXTLISTS", SV("urn")) &&      /* RFC 6134 §2.8 */
	     buf_appendf(&out, "\"MAXREDIRECTS\" \"%d\"\r\n", SIEVE_REDIRECTS_MAX) &&
	     (!ms_door_has_starttls(s) || buf_append(&out, SV("\"STARTTLS\"\r\n"))) &&
	     (!s->identity || s->state != MS_KNOWN || put_capability(&out, "OWNER", identity_address(s->identity))) &&
	     buf_append(&out, SV("\"UNAUTHENTICATE\"\r\n")) && put_capability(&out, "VERSION", SV("1.0")) &&
	     buf_append(&out, SV("OK\r\n"));
	if (!ok)
		BUG("managesieve: capabilities do not fit");
	ok = stream_write(s->stream, buf_sv(&out));
	buf_done(&out);
	buf_done(&mechanisms);
	buf_done(&extensions);
	return ok ? MS_DONE : MS_CLOSE;
}

static enum ms_step do_capability(struct ms_session *s)
{
	return ms_capabilities(s);
}

static enum ms_step do_logout(struct ms_session *s)
{
	ms_ok(s, "Goodbye");
	s->end_reason = "logout";
	return MS_CLOSE;
}

static enum ms_step do_noop(struct ms_session *s)
{
	struct buf code;
	struct sv tag;
	enum ms_step step;

	if (!ms_grammar_string(&s->grammar, 0, &tag))
		return ms_ok(s, "Nothing done");
	buf_init(&code, REPLY_MAX);
	step = buf_append(&code, SV("TAG ")) && ms_put_string(&code, tag) ? ms_reply(s, "OK", buf_z(&code), SV("Nothing done")) :
	       ms_no(s, NULL, "The tag is too long");
	buf_done(&code);
	return step;
}

/* ---- the table ---- */

static size_t find_command(struct sv name)
{
	size_t low = 0, high = ARRAY_LEN(commands);

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = sv_cmp_nocase(name, sv_z(commands[mid].name));

		if (c == 0)
			return mid;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return ARRAY_LEN(commands);
}

static enum ms_step bad_command(struct ms_session *s, const char *what)
{
	uint64_t limit = s->state == MS_STRANGER ? s->house->conf->imap.bad_commands_prelogin : s->house->conf->imap.bad_commands;

	if (++s->bad < limit)
		return ms_no(s, NULL, what);
	ms_reply(s, "BYE", NULL, SV("Too many wrong commands"));
	s->end_reason = "bad-commands";
	return MS_CLOSE;
}

static bool has_args(const struct ms_grammar *g, const char *wanted)
{
	size_t i = 0;

	for (; wanted[i]; i++) {
		bool is_optional = wanted[i] == 'S';

		if (i == g->arg_count)
			return is_optional;
		if (g->args[i].kind != (wanted[i] == 'n' ? MS_NUMBER : MS_STRING))
			return false;
	}
	return g->arg_count == i;
}

static enum ms_step dispatch(struct ms_session *s)
{
	size_t c = find_command(ms_grammar_verb(&s->grammar));

	s->commands++;
	s->house->commands++;
	if (c == ARRAY_LEN(commands) && s->commands == 1) {
		/* Not ManageSieve at all, HTTP for one: say nothing that a browser could be made to show. */
		s->end_reason = "not-managesieve";
		return MS_CLOSE;
	}
	if (c == ARRAY_LEN(commands))
		return bad_command(s, "There is no such command");
	if (!(commands[c].states & s->state))
		return bad_command(s, s->state == MS_STRANGER ? "Authenticate first" : "Not after AUTHENTICATE");
	if (!has_args(&s->grammar, commands[c].args))
		return bad_command(s, "Wrong arguments");
	return commands[c].run(s);
}

static enum ms_step handle(struct ms_session *s, enum ms_event event)
{
	if (ms_door_expects_response(s) && (event == MS_COMMAND || event == MS_BAD || event == MS_TOO_LARGE))
		return ms_door_response(s, event == MS_COMMAND);
	switch (event) {
	case MS_MORE:
		break;
	case MS_COMMAND:
		return dispatch(s);
	case MS_BAD:
		if (!s->commands) {
			s->end_reason = "not-managesieve";
			return MS_CLOSE;
		}
		return bad_command(s, "Syntax error");
	case MS_TOO_LARGE:
		return s->state == MS_KNOWN ? ms_no(s, "QUOTA/MAXSIZE", "The script is too large") : bad_command(s, "Too long");
	case MS_OVERFLOW:
		ms_reply(s, "BYE", NULL, SV("Too much"));
		s->end_reason = "overflow";
		return MS_CLOSE;
	}
	BUG("managesieve event %d", (int)event);
}

static void on_input(struct stream *stream, void *user)
{
	struct ms_session *s = user;

	while (stream_input_is_ready(stream)) {
		struct sv in = stream_input(stream);
		size_t had = in.len;
		enum ms_event event = ms_grammar_feed(&s->grammar, &in);
		enum ms_step step;

		stream_take(stream, had - in.len);
		if (event == MS_MORE)
			return;
		step = handle(s, event);
		if (step == MS_CLOSE) {
			session_end(s, s->end_reason ? s->end_reason : "closed");
			return;
		}
		if (step == MS_WAIT || !s->stream)
			return;
	}
}

void ms_next(struct ms_session *s, enum ms_step step)
{
	if (!s->stream)
		return;
	if (step == MS_DONE && s->house->is_stopping) {
		ms_reply(s, "BYE", "TRYLATER", SV("The server is stopping"));
		s->end_reason = "stop";
		step = MS_CLOSE;
	}
	if (step == MS_CLOSE)
		session_end(s, s->end_reason ? s->end_reason : "closed");
	else if (step == MS_DONE)
		stream_resume(s->stream);
}

/* ---- the connection ---- */

static void on_writable(struct stream *stream, void *user)
{
	struct ms_session *s = user;

	(void)stream;
	if (s->reply.len)
		ms_next(s, pump(s));
}

static void on_tls(struct stream *stream, void *user)
{
	struct ms_session *s = user;
	struct tls_facts facts = tls_facts(stream_tls(stream));

	event_emit(&s->log, EVENT_TLS_DONE, KV_Z("protocol", "managesieve"), KV_Z("version", facts.version),
		   KV_Z("cipher", facts.cipher), KV_Z("sni", facts.sni), KV_BOOL("resumed", facts.is_resumed));
	ms_next(s, ms_capabilities(s));         /* RFC 5804 §2.2 */
}

static void on_end(struct stream *stream, enum stream_end why, void *user)
{
	struct ms_session *s = user;

	(void)stream;
	if (why == STREAM_IDLE)
		ms_reply(s, "BYE", NULL, SV("Silent for too long"));
	session_end(s, stream_end_name(why));
}

static const struct stream_events session_events = {
	.on_input = on_input, .on_writable = on_writable, .on_tls = on_tls, .on_end = on_end,
};

static void on_deadline(struct timer *t)
{
	struct ms_session *s = CONTAINER_OF(t, struct ms_session, deadline);

	ms_reply(s, "BYE", NULL, SV("Login took too long"));
	session_end(s, "login-timeout");
}

void ms_enter(struct ms_session *s, enum ms_state state)
{
	const struct conf *conf = s->house->conf;

	log_debug(&s->log, "managesieve.state", KV_U64("from", s->state), KV_U64("to", state));
	s->state = state;
	switch (state) {
	case MS_STRANGER:
		ms_grammar_limit(&s->grammar, STRANGER_MAX);
		timer_start_ms(&s->deadline, conf->limits.login_ms);
		stream_set_idle_ms(s->stream, (uint32_t)conf->limits.login_ms);
		break;
	case MS_KNOWN:
		timer_stop(&s->deadline);
		ms_door_close(s);
		ms_grammar_limit(&s->grammar, conf->sieve.script_size + 2 * SCRIPT_NAME_MAX + MS_VERB_MAX);
		/* RFC 5804 §1.2: at least 30 minutes */
		stream_set_idle_ms(s->stream, (uint32_t)conf->imap.idle_ms);
		break;
	case MS_ENDING:
		break;
	}
}

void ms_open(struct ms_house *house, struct stream *stream, const struct listener *listener)
{
	struct ms_session *s = xcalloc(1, sizeof(*s));
	char peer[NETADDR_TEXT_MAX];

	s->house = house;
	s->stream = stream;
	s->listener = listener;
	s->guest = (struct roster_guest){ .evict = evict, .arg = s };
	s->began_ms = loop_now_ms(house->loop);
	log_ctx_init(&s->log);
	log_ctx_set_peer(&s->log, netaddr_text(stream_peer(stream), peer));
	ms_grammar_init(&s->grammar, STRANGER_MAX);
	timer_init(&s->deadline, house->loop, on_deadline);
	s->next = house->sessions;
	s->at = &house->sessions;
	if (s->next)
		s->next->at = &s->next;
	house->sessions = s;
	house->count++;
	house->alive++;
	stream_set_events(stream, &session_events, s);
	ms_door_open(s);
	ms_enter(s, MS_STRANGER);
	event_emit(&s->log, EVENT_SESSION_OPEN, KV_Z("listener", listener->name), KV_Z("protocol", "managesieve"),
		   KV_BOOL("tls", listener->tls == CONF_TLS_IMPLICIT));
	if (listener->tls != CONF_TLS_IMPLICIT)
		ms_capabilities(s);
}

/* ---- its end ---- */

static void free_session(struct ms_session *s)
{
	struct ms_house *house = s->house;

	scripts_close(&s->scripts);
	identity_unref(&s->identity);
	ms_grammar_done(&s->grammar);
	buf_done(&s->reply);
	free(s);
	if (!--house->alive && house->is_stopping)
		house->empty(house->user);
}

static void session_end(struct ms_session *s, const char *reason)
{
	uint64_t in = 0, out = 0;

	if (!s->stream)
		return;
	stream_octets(s->stream, &in, &out);
	event_emit(&s->log, EVENT_SESSION_CLOSE, KV_Z("protocol", "managesieve"),
		   KV_SV("user", s->identity ? identity_address(s->identity) : SV_NONE), KV_Z("reason", reason),
		   KV_U64("commands", s->commands), KV_U64("in_octets", in), KV_U64("out_octets", out));
	s->state = MS_ENDING;
	timer_stop(&s->deadline);
	roster_leave(&s->guest);
	stream_close(&s->stream, true);
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	s->house->count--;
	ms_door_close(s);
	if (!s->is_job_running)
		free_session(s);
}

static void evict(void *session)
{
	struct ms_session *s = session;

	ms_reply(s, "BYE", "TRYLATER", SV(ROSTER_EVICTED_TEXT));
	session_end(s, "evicted");
}

bool ms_describe_all(const struct ms_house *house, struct control_reply *reply)
{
	for (const struct ms_session *s = house->sessions; s; s = s->next) {
		if (!s->stream)
			continue;
		struct session_facts facts = { .protocol = "managesieve", .log = &s->log, .identity = s->identity,
					       .stream = s->stream, .began_ms = s->began_ms };

		session_facts_put(control_line(reply), &facts);
		if (!control_line_end(reply))
			return false;
	}
	return true;
}

size_t ms_kick(struct ms_house *house, const struct kick *kick)
{
	size_t ended = 0;

	for (struct ms_session *s = house->sessions, *next; s; s = next) {
		next = s->next;
		if (!s->stream || !kick_is_for(kick, &s->log, s->identity))
			continue;
		ms_reply(s, "BYE", NULL, SV("Ended by the administrator"));
		session_end(s, "kicked");
		ended++;
	}
	return ended;
}

void ms_stop_all(struct ms_house *house)
{
	struct ms_session *next;

	house->is_stopping = true;
	if (!house->alive) {
		house->empty(house->user);
		return;
	}
	for (struct ms_session *s = house->sessions; s; s = next) {
		next = s->next;
		if (s->is_job_running)
			continue;               /* ms_next() ends it */
		ms_reply(s, "BYE", "TRYLATER", SV("The server is stopping"));
		session_end(s, "stop");
	}
}

/* ---- jobs ---- */

struct ms_job *ms_job_new(struct ms_session *s, void (*run)(struct ms_job *), enum ms_step (*finish)(struct ms_session *, struct ms_job *))
{
	const struct conf_sieve *conf = &s->house->conf->sieve;
	struct ms_job *job = xcalloc(1, sizeof(*job));
	struct sv name, text;

	job->session = s;
	job->run = run;
	job->finish = finish;
	job->quota = (struct scripts_quota){ conf->scripts, conf->script_size };
	buf_init(&job->name, SCRIPT_NAME_MAX + 1);
	buf_init(&job->text, s->grammar.text.max);
	buf_init(&job->out, SIEVE_SCRIPT_MAX + REPLY_MAX);
	/* A name that is too long becomes one that no script can have (RFC 5804 §1.6: it must not be cut). */
	if (ms_grammar_string(&s->grammar, 0, &name) && !buf_append(&job->name, name))
		(void)buf_append_c(&job->name, '/');
	if (ms_grammar_string(&s->grammar, 1, &text))
		(void)buf_append(&job->text, text);
	(void)ms_grammar_number(&s->grammar, 1, &job->size);
	return job;
}

static void job_free(struct ms_job *job)
{
	buf_done(&job->name);
	buf_done(&job->text);
	buf_done(&job->out);
	free(job);
}

static void job_run(struct work *work)
{
	struct ms_job *job = (struct ms_job *)work;

	job->run(job);
}

static void job_done(struct work *work, bool is_cancelled)
{
	struct ms_job *job = (struct ms_job *)work;
	struct ms_session *s = job->session;

	s->scripts = job->scripts;
	s->is_job_running = false;
	if (is_cancelled)
		job->result = fault(FAULT_UNAVAILABLE, "the server is stopping");
	if (s->stream)
		ms_next(s, job->finish(s, job));
	else
		free_session(s);                /* the client has gone meanwhile */
	job_free(job);
}

enum ms_step ms_job_start(struct ms_session *s, struct ms_job *job)
{
	struct fault f;

	job->scripts = s->scripts;
	job->work.run = job_run;
	job->work.done = job_done;
	f = work_submit(s->house->loop, WORK_MAIL, &job->work);
	if (f.kind) {
		job->result = f;
		enum ms_step step = job->finish(s, job);

		job_free(job);
		return step;
	}
	s->scripts = NULL;
	s->is_job_running = true;
	stream_pause(s->stream);
	return MS_WAIT;
}
