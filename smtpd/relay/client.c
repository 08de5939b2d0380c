#include "smtpd/relay/client.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/connect.h"
#include "common/memory.h"
#include "common/stream.h"
#include "common/transfer.h"

#include "common/banned.h"

#define STALL_MS 180000         /* RFC 5321 §4.5.3.2.5: a block of data, 3 minutes */
#define HANDSHAKE_MS 60000

enum state {
	S_CONNECT,
	S_GREETING,
	S_EHLO,
	S_HELO,
	S_STARTTLS,
	S_HANDSHAKE,
	S_AUTH,                 /* the answer to AUTH PLAIN, or to the password of LOGIN */
	S_AUTH_USER, S_AUTH_PASSWORD,   /* LOGIN: the server asks */
	S_READY,
	S_ENVELOPE,             /* MAIL, RCPT, DATA */
	S_BODY,
	S_END,                  /* all is sent, the answer is out */
	S_RSET,
	S_OVER,
};

struct client {
	struct loop *loop;
	struct tls_client *tls;
	struct client_target to;
	const struct client_events *events;
	void *user;
	enum state state;
	struct connector *connector;
	struct stream *stream;
	struct answer answer;
	struct timer patience;
	struct deferred soon;           /* a callback that is owed */
	void (*owed)(struct client *c);
	struct client_end end;
	char end_text[600];
	unsigned can;
	uint64_t size_max;
	uint32_t by_min_s;
	bool is_tls, was_ready;
	const char *doubt;              /* a literal */
	char tls_text[80], peer[CLIENT_HOST_MAX + NETADDR_TEXT_MAX + 4];
	struct buf talk;
	/* the transaction */
	struct client_mail *mail;
	size_t sent, answered;          /* commands: 0 is MAIL, 1 to count RCPT, then DATA */
	size_t taken;                   /* recipients */
	size_t ended;                   /* LMTP: recipients whose last answer came */
	unsigned chunks_out;            /* BDAT without an answer yet */
	bool is_last_sent, is_body_owed;
	struct dot_writer dots;
};

/* ---- the record of the conversation ---- */

static void note(struct client *c, const char *who, struct sv text)
{
	struct sv line;

	while (sv_split(&text, '\n', &line)) {
		line = sv_trim(line);
		if (c->talk.len + line.len + 8 > c->talk.max) {
			/* The older half goes, up to the end of a line. */
			size_t half = c->talk.len / 2;
			size_t eol = sv_find(sv_sub(buf_sv(&c->talk), half, SIZE_MAX), '\n');

			buf_consume(&c->talk, eol == SIZE_MAX ? c->talk.len : half + eol + 1);
		}
		(void)buf_appendf(&c->talk, "%s ", who);
		(void)answer_clean(&c->talk, sv_sub(line, 0, 1000));
		(void)buf_append_c(&c->talk, '\n');
	}
}

static void note_answer(struct client *c)
{
	struct buf text;

	buf_init(&text, ANSWER_TEXT_MAX + 100);
	for (size_t i = 0; i < 30; i++) {
		struct sv line = answer_line(&c->answer, i);

		if (i && !line.len)
			break;
		buf_clear(&text);
		buf_appendf(&text, "%03u %s%s%.*s", c->answer.code, c->answer.status,
			    c->answer.status[0] ? " " : "", SV_FMT(line));
		note(c, "<", buf_sv(&text));
	}
	buf_done(&text);
}

/* ---- callbacks come from the loop ---- */

static void on_soon(struct deferred *d)
{
	struct client *c = CONTAINER_OF(d, struct client, soon);

	c->owed(c);
}

static void owe(struct client *c, void (*what)(struct client *c))
{
	c->owed = what;
	deferred_call(&c->soon);
}

static void tell_end(struct client *c)
{
	c->events->on_end(c->user, &c->end);
}

static void tell_ready(struct client *c)
{
	c->events->on_ready(c->user);
}

static void tell_body(struct client *c)
{
	c->events->on_body(c->user);
}

static void over(struct client *c, const char *status, const char *format, ...) PRINTF_LIKE(3, 4);

/* over - the connection is of no more use; the owner learns it in the next turn. */
static void over(struct client *c, const char *status, const char *format, ...)
{
	struct buf text;
	va_list ap;

	if (c->state == S_OVER)
		return;
	c->state = S_OVER;
	timer_stop(&c->patience);
	connect_forget(&c->connector);
	stream_close(&c->stream, true);
	snprintf(c->end.status, sizeof(c->end.status), "%s", status);
	buf_init(&text, sizeof(c->end_text));
	va_start(ap, format);
	(void)buf_vappendf(&text, format, ap);
	va_end(ap);
	snprintf(c->end_text, sizeof(c->end_text), "%.*s", SV_FMT(buf_sv(&text)));
	buf_done(&text);
	c->end.text = c->end_text;
	c->end.was_ready = c->was_ready;
	note(c, "*", sv_z(c->end_text));
	owe(c, tell_end);
}

/* over_by_answer - because of what it just said. */
static void over_by_answer(struct client *c, const char *where, const char *status)
{
	struct buf text;

	buf_init(&text, 500);
	(void)answer_append(&c->answer, &text);
	c->end.is_refusal = answer_is_final(&c->answer);
	over(c, c->answer.status[0] ? c->answer.status : status, "%s: %.*s", where,
	     SV_FMT(buf_sv(&text)));
	buf_done(&text);
}

/* ---- writing ---- */

static void wait_ms(struct client *c, uint64_t ms)
{
	timer_start_ms(&c->patience, ms);
}

static void say(struct client *c, struct sv line, bool is_secret)
{
	note(c, ">", is_secret ? SV("(secret)") : line);
	if (!stream_write(c->stream, line) || !stream_write(c->stream, SV("\r\n")))
		over(c, "4.4.2", "too much to send at once");
}

static void sayf(struct client *c, const char *format, ...) PRINTF_LIKE(2, 3);
static void sayf(struct client *c, const char *format, ...)
{
	struct buf line;
	va_list ap;

	buf_init(&line, 8192);
	va_start(ap, format);
	(void)buf_vappendf(&line, format, ap);
	va_end(ap);
	say(c, buf_sv(&line), false);
	buf_done(&line);
}

static void hello(struct client *c)
{
	c->can = 0;
	c->size_max = 0;
	c->state = S_EHLO;
	sayf(c, "%s %s", c->to.is_lmtp ? "LHLO" : "EHLO", c->to.hostname);
	wait_ms(c, c->to.reply_ms);
}

/* ---- before transactions ---- */

static void read_keyword(struct client *c, struct sv line)
{
	static const struct {
		const char *name;
		unsigned can;
	} rows[] = {
		{ "PIPELINING", CAN_PIPELINING },
		{ "CHUNKING", CAN_CHUNKING },
		{ "8BITMIME", CAN_8BITMIME },
		{ "SMTPUTF8", CAN_SMTPUTF8 },
		{ "DSN", CAN_DSN },
		{ "SIZE", CAN_SIZE },
		{ "STARTTLS", CAN_STARTTLS },
		{ "REQUIRETLS", CAN_REQUIRETLS },
		{ "BINARYMIME", CAN_BINARYMIME },
		{ "DELIVERBY", CAN_DELIVERBY },
		{ "MT-PRIORITY", CAN_MT_PRIORITY },
	};
	struct sv word, rest = sv_trim(line);

	if (!sv_split(&rest, ' ', &word))
		return;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (sv_eq_nocase(word, sv_z(rows[i].name)))
			c->can |= rows[i].can;
	if (sv_eq_nocase(word, SV("SIZE")) && !sv_to_u64(sv_trim(rest), &c->size_max))
		c->size_max = 0;
	if (sv_eq_nocase(word, SV("DELIVERBY")) && !sv_to_u32(sv_trim(rest), &c->by_min_s))
		c->by_min_s = 0;
	if (!sv_eq_nocase(word, SV("AUTH")))
		return;
	while (sv_split(&rest, ' ', &word)) {
		if (sv_eq_nocase(word, SV("PLAIN")))
			c->can |= CAN_AUTH_PLAIN;
		if (sv_eq_nocase(word, SV("LOGIN")))
			c->can |= CAN_AUTH_LOGIN;
	}
}

/* is_ourselves - a server that greets with our own name: mail would go in a circle (RFC 5321 §6.3).
 */
static bool is_ourselves(const struct client *c)
{
	struct sv rest = answer_line(&c->answer, 0), word;

	return !c->to.path[0] && sv_split(&rest, ' ', &word) &&
	       sv_eq_nocase(word, sv_z(c->to.hostname));
}

static void become_ready(struct client *c)
{
	c->state = S_READY;
	c->can |= CAN_SMTP;
	c->was_ready = true;
	timer_stop(&c->patience);
	owe(c, tell_ready);
}

static void say_secret(struct client *c, const char *prefix, struct sv clear)
{
	struct buf line;

	buf_init(&line, 4096);
	if (buf_append(&line, sv_z(prefix)) && base64_encode(clear, &line))
		say(c, buf_sv(&line), true);
	else
		over(c, "4.7.0", "AUTH: name or password too long");
	buf_wipe(&line);
	wait_ms(c, c->to.reply_ms);
}

static void begin_auth(struct client *c)
{
	struct buf clear;

	if (!c->is_tls && !netaddr_is_loopback(&c->to.at)) {
		over(c, "4.7.11", "there is no TLS, and no password is sent without");
		return;
	}
	if (c->can & CAN_AUTH_PLAIN) {
		buf_init(&clear, 2048);
		(void)(buf_append_c(&clear, '\0') && buf_append(&clear, sv_z(c->to.user)) &&
		       buf_append_c(&clear, '\0') && buf_append(&clear, sv_z(c->to.password)));
		c->state = S_AUTH;
		say_secret(c, "AUTH PLAIN ", buf_sv(&clear));
		buf_wipe(&clear);
	} else if (c->can & CAN_AUTH_LOGIN) {
		c->state = S_AUTH_USER;
		sayf(c, "AUTH LOGIN");
		wait_ms(c, c->to.reply_ms);
	} else {
		over(c, "4.7.4", "it offers neither AUTH PLAIN nor AUTH LOGIN");
	}
}

static void after_hello(struct client *c)
{
	if (!c->is_tls && c->to.tls == CLIENT_TLS_MUST && !(c->can & CAN_STARTTLS)) {
		over(c, "4.7.4", "TLS is required, and it does not offer STARTTLS");
	} else if (!c->is_tls && c->to.tls != CLIENT_TLS_OFF && c->can & CAN_STARTTLS) {
		c->state = S_STARTTLS;
		sayf(c, "STARTTLS");
		wait_ms(c, c->to.reply_ms);
	} else if (c->to.user) {
		begin_auth(c);
	} else {
		become_ready(c);
	}
}

static void start_tls(struct client *c)
{
	struct fault f = stream_start_tls_client(c->stream, c->tls, &c->to.expect);

	if (f.kind) {
		over(c, "4.7.5", "STARTTLS: %s", f.detail ? f.detail : fault_name(f.kind));
		return;
	}
	c->state = S_HANDSHAKE;
	timer_stop(&c->patience);       /* the stream has a deadline for it */
}

static void on_hello_answer(struct client *c)
{
	if (is_ourselves(c) && answer_is_good(&c->answer)) {
		c->end.is_self = true;
		over(c, "5.4.6", "it greets with our own name: mail would go in a circle");
	} else if (answer_is_good(&c->answer)) {
		for (size_t i = 1; c->state == S_EHLO && answer_line(&c->answer, i).len; i++)
			read_keyword(c, answer_line(&c->answer, i));
		after_hello(c);
	} else if (c->state == S_EHLO && answer_is_final(&c->answer) && !c->to.is_lmtp) {
		c->state = S_HELO;      /* a server of before 1995 (RFC 5321 §3.2) */
		sayf(c, "HELO %s", c->to.hostname);
		wait_ms(c, c->to.reply_ms);
	} else {
		over_by_answer(c, "EHLO", "4.3.0");
	}
}

/* ---- a transaction ---- */

static struct client_rcpt *rcpt_of(struct client *c, size_t command)
{
	return command >= 1 && command <= c->mail->count ? &c->mail->rcpts[command - 1] : NULL;
}

static bool is_chunked(const struct client *c)
{
	return (c->can & CAN_CHUNKING) && !c->to.is_lmtp;
}

/* How many commands the envelope has: BDAT waits for the recipients' answers. */
static size_t command_count(const struct client *c)
{
	return 1 + c->mail->count + (is_chunked(c) || c->mail->is_question ? 0 : 1);
}

static void give(struct client *c, struct client_rcpt *r, enum client_verdict verdict)
{
	struct buf text;

	if (r->verdict != CLIENT_OPEN)
		return;
	r->verdict = verdict;
	snprintf(r->status, sizeof(r->status), "%s", c->answer.status);
	buf_init(&text, 1000);
	(void)answer_append(&c->answer, &text);
	free(r->text);
	r->text = sv_copy_z(buf_sv(&text));
	buf_done(&text);
}

static enum client_verdict verdict_of(const struct answer *a)
{
	return answer_is_good(a) ? CLIENT_DELIVERED
	       : answer_is_final(a) ? CLIENT_REFUSED : CLIENT_DEFERRED;
}

/* give_all - the same to all that were taken, or to all that have none yet. */
static void give_all(struct client *c, bool only_taken)
{
	for (size_t i = 0; i < c->mail->count; i++)
		if (!only_taken || c->mail->rcpts[i].is_taken)
			give(c, &c->mail->rcpts[i], verdict_of(&c->answer));
}

static void tell_done(struct client *c)
{
	c->mail = NULL;
	/* What follows is owed before on_done may free us. */
	if (c->state == S_RSET) {
		sayf(c, "RSET");
		wait_ms(c, c->to.reply_ms);
	} else if (c->state == S_END) {
		c->state = S_READY;
		timer_stop(&c->patience);
		owe(c, tell_ready);
	}
	c->events->on_done(c->user);
}

/* done - every recipient has a verdict. needs_reset: the server still has an envelope of ours. */
static void done(struct client *c, bool needs_reset)
{
	c->state = needs_reset ? S_RSET : S_END;
	timer_stop(&c->patience);
	owe(c, tell_done);
}

static void send_command(struct client *c, size_t n)
{
	struct client_rcpt *r = rcpt_of(c, n);

	if (!n)
		sayf(c, "MAIL FROM:<%.*s>%.*s", SV_FMT(c->mail->sender), SV_FMT(c->mail->params));
	else if (r)
		sayf(c, "RCPT TO:<%.*s>%.*s", SV_FMT(r->address), SV_FMT(r->params));
	else
		sayf(c, "DATA");
}

static void send_commands(struct client *c)
{
	size_t all = command_count(c);

	/* LMTP is pipelined, too (RFC 2033 §5). */
	do
		send_command(c, c->sent++);
	while (c->sent < all && c->can & CAN_PIPELINING && c->state == S_ENVELOPE);
	/* RFC 5321 §4.5.3.2.4: two minutes for DATA. */
	if (c->state == S_ENVELOPE)
		wait_ms(c, c->sent == all && !is_chunked(c) && c->answered + 1 >= c->sent
				   ? c->to.reply_ms / 5 * 2 : c->to.reply_ms);
}

static void begin_body(struct client *c)
{
	c->state = S_BODY;
	c->dots = (struct dot_writer){ .is_full = false };
	timer_stop(&c->patience);
	c->is_body_owed = true;
	owe(c, tell_body);
}

static void on_go_ahead(struct client *c)
{
	bool is_go_ahead = c->answer.code == 354;

	if (is_go_ahead && c->taken) {
		begin_body(c);
	} else if (is_go_ahead) {
		/* Pipelined behind refusals: an empty message ends it (RFC 2920 §3.1). */
		c->state = S_END;
		c->is_last_sent = true;
		if (!stream_write(c->stream, SV(".\r\n")))
			over(c, "4.4.2", "too much to send at once");
		wait_ms(c, c->to.reply_ms);
	} else {
		give_all(c, true);
		done(c, true);
	}
}

/* All of the envelope was answered (without DATA when chunked). */
static void after_envelope(struct client *c)
{
	if (is_chunked(c) && c->taken && !c->mail->is_question)
		begin_body(c);
	else
		done(c, true);
}

static void on_envelope_answer(struct client *c)
{
	size_t n = c->answered++;
	struct client_rcpt *r = rcpt_of(c, n);

	if (!n && !answer_is_good(&c->answer)) {
		c->mail->is_sender_refused = true;
		give_all(c, false);
		if (c->sent == 1) {
			done(c, false);
			return;
		}
	} else if (r && answer_is_good(&c->answer) && r->verdict == CLIENT_OPEN) {
		r->is_taken = true;
		c->taken++;
		if (c->mail->is_question)
			give(c, r, CLIENT_DELIVERED);
	} else if (r) {
		give(c, r, c->answer.code == 452 && c->taken ? CLIENT_TOO_MANY
			   : answer_is_final(&c->answer) ? CLIENT_REFUSED : CLIENT_DEFERRED);
	} else if (n > c->mail->count) {
		on_go_ahead(c);
		return;
	}
	if (c->answered == command_count(c)) {
		after_envelope(c);
	} else if (c->answered == 1 + c->mail->count && !c->taken && c->sent == c->answered) {
		done(c, true);          /* nobody is left for DATA */
	} else if (c->sent == c->answered) {
		send_commands(c);
	} else {
		wait_ms(c, c->to.reply_ms);
	}
}

/* The verdict on the message. LMTP has one per recipient that was taken, in their order (RFC 2033
 * §4.2). */
static void on_end_answer(struct client *c)
{
	if (!c->taken) {                /* the empty message of on_go_ahead() */
		done(c, false);
		return;
	}
	if (!c->to.is_lmtp) {
		give_all(c, true);
		done(c, false);
		return;
	}
	while (c->ended < c->mail->count && !c->mail->rcpts[c->ended].is_taken)
		c->ended++;
	give(c, &c->mail->rcpts[c->ended], verdict_of(&c->answer));
	c->ended++;
	while (c->ended < c->mail->count && !c->mail->rcpts[c->ended].is_taken)
		c->ended++;
	if (c->ended == c->mail->count)
		done(c, false);
	else
		wait_ms(c, 2 * c->to.reply_ms);
}

/* An answer while the message is on its way. */
static void on_body_answer(struct client *c)
{
	if (is_chunked(c) && answer_is_good(&c->answer) && c->chunks_out) {
		c->chunks_out--;
		return;
	}
	if (answer_is_good(&c->answer)) {
		over(c, "4.5.0", "it accepted a message before its end");
		return;
	}
	/* It will not have it, and says so in the middle: nothing sensible can follow. */
	give_all(c, true);
	over_by_answer(c, "in the middle of the message", "4.4.2");
}

static void on_answer(struct client *c)
{
	note_answer(c);
	/* RFC 5321 §3.8: the server is about to close. */
	if (c->answer.code == 421 && c->state != S_GREETING) {
		if (c->mail)
			give_all(c, c->state == S_BODY || c->state == S_END);
		c->end.is_busy = true;
		over_by_answer(c, "it closes the connection", "4.3.2");
		return;
	}
	switch (c->state) {
	case S_GREETING:
		c->end.is_busy = c->answer.code == 421;
		if (!answer_is_good(&c->answer))
			over_by_answer(c, "greeting", "4.3.2");
		else if (is_ourselves(c)) {
			c->end.is_self = true;
			over(c, "5.4.6", "it greets with our own name: mail would go in a circle");
		} else
			hello(c);
		return;
	case S_EHLO:
	case S_HELO:
		on_hello_answer(c);
		return;
	case S_STARTTLS:
		if (answer_is_good(&c->answer)) {
			start_tls(c);
		} else if (c->to.tls == CLIENT_TLS_MAY) {
			c->can &= ~(unsigned)CAN_STARTTLS;
			after_hello(c);
		} else {
			over_by_answer(c, "STARTTLS", "4.7.4");
		}
		return;
	case S_AUTH_USER:
		c->state = S_AUTH_PASSWORD;
		if (c->answer.code == 334)
			say_secret(c, "", sv_z(c->to.user));
		else
			over_by_answer(c, "AUTH", "4.7.8");
		return;
	case S_AUTH_PASSWORD:
		c->state = S_AUTH;
		if (c->answer.code == 334)
			say_secret(c, "", sv_z(c->to.password));
		else
			over_by_answer(c, "AUTH", "4.7.8");
		return;
	case S_AUTH:
		if (answer_is_good(&c->answer))
			become_ready(c);
		else
			over_by_answer(c, "AUTH", "4.7.8");
		return;
	case S_ENVELOPE:
		on_envelope_answer(c);
		return;
	case S_BODY:
		on_body_answer(c);
		return;
	case S_END:
		if (!c->mail || deferred_is_waiting(&c->soon)) {
			over(c, "4.5.0", "it answered what nobody asked");
		} else if (c->chunks_out > 1) {
			on_body_answer(c);
		} else {
			on_end_answer(c);
		}
		return;
	case S_RSET:
		if (answer_is_good(&c->answer) && !c->mail)
			become_ready(c);
		else
			over_by_answer(c, "RSET", "4.5.0");
		return;
	case S_READY:
		over_by_answer(c, "between messages", "4.4.2");
		return;
	case S_CONNECT:
	case S_HANDSHAKE:
	case S_OVER:
		return;
	}
}

/* ---- the stream ---- */

static void on_input(struct stream *s, void *user)
{
	struct client *c = user;
	(void)s;

	while (c->stream && c->state != S_OVER && stream_input(c->stream).len) {
		struct sv in = stream_input(c->stream);
		size_t had = in.len;
		enum feed got = answer_feed(&c->answer, &in);

		stream_take(c->stream, had - in.len);
		if (got == FEED_MORE)
			return;
		if (got == FEED_BAD) {
			over(c, "4.5.0", "what it answers is not SMTP");
			return;
		}
		on_answer(c);
		if (c->state == S_HANDSHAKE)
			return;
	}
}

static void ask_for_body(struct client *c)
{
	if (c->state != S_BODY || c->is_body_owed || c->is_last_sent ||
	    !stream_has_room(c->stream))
		return;
	c->is_body_owed = true;
	owe(c, tell_body);
}

static void on_writable(struct stream *s, void *user)
{
	(void)s;
	ask_for_body(user);
}

static void on_tls(struct stream *s, void *user)
{
	struct client *c = user;
	struct tls_facts facts = tls_facts(stream_tls(s));

	c->is_tls = true;
	c->doubt = tls_peer_doubt(stream_tls(s));
	snprintf(c->tls_text, sizeof(c->tls_text), "%s %s", facts.version, facts.cipher);
	note(c, "*", sv_z(c->tls_text));
	if (c->to.tls == CLIENT_TLS_DIRECT) {
		c->state = S_GREETING;
		wait_ms(c, c->to.reply_ms);
	} else {
		hello(c);               /* what was learned in clear is forgotten */
	}
}

static void on_stream_end(struct stream *s, enum stream_end why, void *user)
{
	struct client *c = user;
	const char *detail = stream_end_detail(s);

	if (why == STREAM_TLS_FAILED || why == STREAM_TLS_SLOW || c->state == S_HANDSHAKE) {
		c->end.is_tls_failure = c->state == S_HANDSHAKE;
		over(c, "4.7.5", "TLS handshake: %s", detail);
		return;
	}
	over(c, "4.4.2", "the connection was lost%s%s%s", *detail ? " (" : "", detail,
	     *detail ? ")" : "");
}

static const struct stream_events stream_events = { on_input, on_writable, on_tls, on_stream_end };

static void on_connected(void *arg, int fd, struct fault f)
{
	struct client *c = arg;
	/* Who gets so long for an answer gets no longer for this. */
	const struct stream_limits limits = {
		.input_max = 8 << 10,
		.output_low = 64 << 10,
		.output_high = 256 << 10,
		.output_max = 4 << 20,
		.handshake_ms = c->to.reply_ms < HANDSHAKE_MS ? (uint32_t)c->to.reply_ms : HANDSHAKE_MS,
		.stall_ms = c->to.reply_ms < STALL_MS ? (uint32_t)c->to.reply_ms : STALL_MS,
		.keepalive_ms = 120000,
	};

	if (!f.kind)
		f = stream_new(c->loop, fd, &limits, &stream_events, c, &c->stream);
	if (f.kind) {
		over(c, "4.4.1", "connect: %s", f.detail ? f.detail : "failed");
		return;
	}
	if (c->to.tls == CLIENT_TLS_DIRECT) {
		start_tls(c);
		return;
	}
	c->state = S_GREETING;
	wait_ms(c, c->to.reply_ms);
}

static void on_patience_end(struct timer *t)
{
	struct client *c = CONTAINER_OF(t, struct client, patience);

	over(c, "4.4.2", "no answer in time");
}

/* ---- for the owner ---- */

struct client *client_new(struct loop *loop, struct tls_client *tls,
			  const struct client_target *target, const struct client_events *events,
			  void *user)
{
	struct client *c = xcalloc(1, sizeof(*c));
	char ip[NETADDR_TEXT_MAX];

	c->loop = loop;
	c->tls = tls;
	c->to = *target;
	c->events = events;
	c->user = user;
	answer_init(&c->answer);
	buf_init(&c->talk, CLIENT_TALK_MAX);
	timer_init(&c->patience, loop, on_patience_end);
	deferred_init(&c->soon, loop, on_soon);
	if (c->to.path[0]) {
		snprintf(c->peer, sizeof(c->peer), "local delivery");
		connect_to_path(loop, c->to.path, c->to.connect_ms, on_connected, c,
				&c->connector);
	} else {
		netaddr_text(&c->to.at, ip);
		if (c->to.host[0])
			snprintf(c->peer, sizeof(c->peer), "%s [%s]", c->to.host, ip);
		else
			snprintf(c->peer, sizeof(c->peer), "[%s]", ip);
		connect_to(loop, &c->to.at, NULL, c->to.connect_ms, on_connected, c, &c->connector);
	}
	note(c, "*", sv_z(c->peer));
	return c;
}

void client_send(struct client *c, struct client_mail *mail)
{
	if (c->state == S_OVER)
		return;                 /* on_end is on its way */
	if (c->state != S_READY)
		BUG("a transaction in state %d", c->state);
	c->mail = mail;
	c->sent = c->answered = c->taken = c->ended = 0;
	c->chunks_out = 0;
	c->is_last_sent = c->is_body_owed = false;
	c->state = S_ENVELOPE;
	send_commands(c);
}

static bool to_stream(void *ctx, struct sv run)
{
	return buf_append(ctx, run);
}

void client_body(struct client *c, struct sv octets, bool is_last)
{
	struct buf out;
	bool fits;

	if (c->state != S_BODY)
		return;
	c->is_body_owed = false;
	buf_init(&out, 2 * octets.len + 100);
	if (is_chunked(c)) {
		fits = buf_appendf(&out, "BDAT %zu%s\r\n", octets.len, is_last ? " LAST" : "");
		note(c, ">", buf_sv(&out));
		fits = fits && buf_append(&out, octets);
		c->chunks_out++;
	} else {
		fits = dot_writer_feed(&c->dots, octets, to_stream, &out) &&
		       (!is_last || dot_writer_end(&c->dots, to_stream, &out));
		if (is_last)
			note(c, ">", SV("(the message) ."));
	}
	if (!fits || !stream_write_buf(c->stream, &out)) {
		buf_done(&out);
		over(c, "4.4.2", "too much to send at once");
		return;
	}
	if (is_last) {
		c->is_last_sent = true;
		c->state = S_END;
		wait_ms(c, 2 * c->to.reply_ms); /* RFC 5321 §4.5.3.2.6: ten minutes */
		return;
	}
	ask_for_body(c);
}

void client_free(struct client **pc)
{
	struct client *c = *pc;

	if (!c)
		return;
	*pc = NULL;
	if (c->stream && c->state == S_READY)
		(void)stream_write(c->stream, SV("QUIT\r\n"));
	connect_forget(&c->connector);
	stream_close(&c->stream, c->state == S_READY || c->state == S_OVER);
	timer_stop(&c->patience);
	deferred_cancel(&c->soon);
	answer_done(&c->answer);
	buf_done(&c->talk);
	free(c);
}

unsigned client_can(const struct client *c)
{
	return c->can;
}

uint32_t client_by_min_s(const struct client *c)
{
	return c->by_min_s;
}

uint64_t client_size_max(const struct client *c)
{
	return c->size_max;
}

bool client_is_ready(const struct client *c)
{
	return c->state == S_READY;
}

const char *client_doubt(const struct client *c)
{
	return c->doubt;
}

const char *client_tls_text(const struct client *c)
{
	return c->tls_text;
}

struct sv client_talk(const struct client *c)
{
	return buf_sv(&c->talk);
}

const char *client_peer(const struct client *c)
{
	return c->peer;
}
