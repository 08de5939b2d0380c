/* The commands of SMTP and LMTP: one row each. A handler starts where its own work starts: state,
 * TLS, login, size and order were looked at by the dispatcher. */
#include "common/date.h"
#include "smtpd/grammar.h"
#include "smtpd/session_private.h"

#include "common/banned.h"

#define ON_SMTP (LISTENER_MX | LISTENER_SUBMISSION | LISTENER_SUBMISSIONS | LISTENER_LOCAL | LISTENER_LEGACY)
#define ON_ALL LISTENERS_SMTPD

enum command_flag {
	CMD_LAST = 1 << 0,    /* nothing may be sent behind it before its answer (RFC 2920 §3.1) */
	CMD_USELESS = 1 << 1, /* brings no mail nearer: counted */
	CMD_LOGIN = 1 << 2,   /* on submission: only when logged in */
	CMD_UTF8 = 1 << 3,    /* its argument may be UTF-8 (RFC 6531 §3.3) */
	CMD_BARE = 1 << 4,    /* takes no argument */
	CMD_AUTH = 1 << 5,    /* as long as an AUTH line */
	CMD_HELLO = 1 << 6,   /* its argument is not judged on submission, whatever octets it has */
};

static enum step do_auth(struct session *s, struct sv args);
static enum step do_bdat(struct session *s, struct sv args);
static enum step do_data(struct session *s, struct sv args);
/* offer_wishes - what only those who logged in may ask for. FUTURERELEASE says how far: for seconds, and until a time (RFC 4865
 * §4.2). */
static void offer_wishes(const struct session *s, struct buf *text)
{
	uint64_t most_s = s->conf->queue.hold_max_ms / 1000;
	struct date last = { .seconds = date_now().seconds + (int64_t)most_s };
	struct date_civil c;

	date_to_civil(last, &c);
	buf_appendf(text, "DELIVERBY\nMT-PRIORITY\nFUTURERELEASE %llu %04d-%02d-%02dT%02d:%02d:%02dZ\n",
		    (unsigned long long)most_s, c.year, c.month, c.day, c.hour, c.minute, c.second);
}

static enum step do_ehlo(struct session *s, struct sv args);
static enum step do_helo(struct session *s, struct sv args);
static enum step do_help(struct session *s, struct sv args);
static enum step do_mail(struct session *s, struct sv args);
static enum step do_no_auth(struct session *s, struct sv args);
static enum step do_noop(struct session *s, struct sv args);
static enum step do_quit(struct session *s, struct sv args);
static enum step do_rcpt(struct session *s, struct sv args);
static enum step do_rset(struct session *s, struct sv args);
static enum step do_starttls(struct session *s, struct sv args);
static enum step do_vrfy(struct session *s, struct sv args);
static enum step do_wrong_hello(struct session *s, struct sv args);
static enum step do_xclient(struct session *s, struct sv args);
static enum step not_for_you(struct session *s, struct sv args);
static enum step not_implemented(struct session *s, struct sv args);

#define ON_SUBMISSION (LISTENER_SUBMISSION | LISTENER_SUBMISSIONS)
#define WITH_LOGIN (ON_SUBMISSION | LISTENER_LEGACY)
#define NO_LOGIN (LISTENER_MX | LISTENER_LMTP | LISTENER_LOCAL)
#define HELLO (CMD_LAST | CMD_USELESS | CMD_HELLO)

/* clang-format off */
/* Sorted by name. */
const struct smtp_command smtp_commands[] = {
	/* name      where           in states          flags                   run              RFC */
	{ "AUTH",     WITH_LOGIN,     ST_READY,          CMD_LAST | CMD_AUTH,    do_auth,         "4954 §4" },
	{ "AUTH",     NO_LOGIN,       ST_ANY,            0,                      do_no_auth,      "4954 §4" },
	{ "BDAT",     ON_ALL,         ST_ANY,            0,                      do_bdat,         "3030 §2" },
	{ "DATA",     ON_ALL,         ST_RCPT,           CMD_LAST | CMD_BARE,    do_data,         "5321 §4.1.1.4" },
	{ "EHLO",     LISTENER_LMTP,  ST_ANY,            0,                      do_wrong_hello,  "2033 §4.1" },
	{ "EHLO",     ON_SMTP,        ST_ANY,            HELLO,                  do_ehlo,         "5321 §4.1.1.1" },
	{ "ETRN",     ON_ALL,         ST_ANY,            CMD_USELESS,            not_implemented, "6409 §7" },
	{ "EXPN",     ON_ALL,         ST_ANY,            CMD_USELESS | CMD_UTF8, not_implemented, "5321 §7.3" },
	{ "HELO",     LISTENER_LMTP,  ST_ANY,            0,                      do_wrong_hello,  "2033 §4.1" },
	{ "HELO",     ON_SMTP,        ST_ANY,            HELLO,                  do_helo,         "5321 §4.1.1.1" },
	{ "HELP",     ON_ALL,         ST_ANY,            CMD_USELESS,            do_help,         "5321 §4.1.1.8" },
	{ "LHLO",     LISTENER_LMTP,  ST_ANY,            HELLO,                  do_ehlo,         "2033 §4.1" },
	{ "LHLO",     ON_SMTP,        ST_ANY,            0,                      do_wrong_hello,  "2033 §4.1" },
	{ "MAIL",     ON_ALL,         ST_READY,          CMD_LOGIN | CMD_UTF8,   do_mail,         "5321 §4.1.1.2" },
	{ "NOOP",     ON_ALL,         ST_ANY,            CMD_USELESS,            do_noop,         "5321 §4.1.1.9" },
	{ "QUIT",     ON_ALL,         ST_ANY,            CMD_BARE,               do_quit,         "5321 §4.1.1.10" },
	{ "RCPT",     ON_ALL,         ST_MAIL | ST_RCPT, CMD_LOGIN | CMD_UTF8,   do_rcpt,         "5321 §4.1.1.3" },
	{ "RSET",     ON_ALL,         ST_ANY,            CMD_USELESS | CMD_BARE, do_rset,         "5321 §4.1.1.5" },
	{ "SAML",     ON_ALL,         ST_ANY,            CMD_USELESS,            not_implemented, "5321 §F.6" },
	{ "SEND",     ON_ALL,         ST_ANY,            CMD_USELESS,            not_implemented, "5321 §F.6" },
	{ "SOML",     ON_ALL,         ST_ANY,            CMD_USELESS,            not_implemented, "5321 §F.6" },
	{ "STARTTLS", ON_ALL,         ST_NEW | ST_READY, CMD_LAST | CMD_BARE,    do_starttls,     "3207 §4" },
	{ "TURN",     ON_ALL,         ST_ANY,            CMD_USELESS,            not_implemented, "5321 §F.1" },
	{ "VRFY",     ON_ALL,         ST_ANY,            CMD_USELESS | CMD_UTF8, do_vrfy,         "5321 §7.3" },
	{ "XCLIENT",  ON_ALL,         ST_NEW | ST_READY, CMD_USELESS,            do_xclient,      "Postfix's" },
	{ "XFORWARD", ON_ALL,         ST_ANY,            CMD_USELESS,            not_for_you,     "Postfix's" },
};
/* clang-format on */
const size_t smtp_command_count = ARRAY_LEN(smtp_commands);

const struct smtp_command *smtp_command_find(struct sv verb, enum conf_listener_kind kind)
{
	size_t low = 0, high = smtp_command_count;

	while (low < high) {    /* the first row of that name */
		size_t mid = low + (high - low) / 2;

		if (sv_cmp_nocase(sv_z(smtp_commands[mid].name), verb) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < smtp_command_count && sv_eq_nocase(sv_z(smtp_commands[low].name), verb); low++)
		if (smtp_commands[low].listeners & kind)
			return &smtp_commands[low];
	return NULL;
}

/* ---- dispatcher ---- */

/* wrong_state - the reply that says what to send first. */
static enum reply_id wrong_state(const struct session *s, const struct smtp_command *c)
{
	switch (s->state) {
	case ST_NEW:
		return session_kind(s) == LISTENER_LMTP ? REPLY_NEEDS_LHLO : REPLY_NEEDS_HELO;
	case ST_READY:
		return REPLY_NEEDS_MAIL;
	case ST_CHUNKS:
		return REPLY_IN_BDAT;
	case ST_MAIL:
	case ST_RCPT:
		break;
	}
	if (c->states & ST_RCPT)        /* more is needed before it */
		return REPLY_NEEDS_RCPT;
	return c->run == do_mail ? REPLY_MAIL_TWICE : REPLY_NOT_IN_MAIL;
}

static enum reply_id check(const struct session *s, const struct smtp_command *c, struct sv args)
{
	uint64_t longest =
		c->flags & CMD_AUTH ? s->conf->smtp.auth_line : s->conf->smtp.command_line;

	if (!(c->states & s->state))
		return wrong_state(s, c);
	if (strlen(c->name) + 1 + args.len + 2 > longest)
		return REPLY_LINE_TOO_LONG;
	if ((c->flags & CMD_BARE) && args.len)
		return REPLY_NO_ARGUMENT;
	if (sv_has_8bit(args) && (!(c->flags & CMD_UTF8) || !sv_is_utf8(args)) &&
	    (!(c->flags & CMD_HELLO) || !door_is_login(&s->door)))
		return REPLY_BAD_LINE;
	if ((c->flags & CMD_LOGIN) && door_is_login(&s->door) && !door_identity(&s->door))
		return door_is_tls(&s->door) || s->listener->tls != CONF_TLS_STARTTLS || session_kind(s) == LISTENER_LEGACY
			       ? REPLY_NEEDS_LOGIN
			       : REPLY_NEEDS_TLS;
	return REPLY_OK;
}

/* unknown - what was never SMTP ends at once: a browser is not made to show our words (ALPACA).
 * Firewalls and devices of the office may send an empty line. */
static enum step unknown(struct session *s, struct sv line)
{
	if (!line.len && door_is_login(&s->door)) {
		s->useless++;
		return STEP_DONE;
	}
	if (s->commands == 1) {
		session_say(s, REPLY_NOT_SMTP);
		return STEP_CLOSE;
	}
	return session_bad(s, REPLY_UNKNOWN_COMMAND);
}

enum step command_run(struct session *s, struct sv line)
{
	struct sv verb, args;
	const struct smtp_command *c;
	enum reply_id refusal;

	smtp_split_verb(line, &verb, &args);
	c = smtp_command_find(verb, session_kind(s));
	s->commands++;
	s->verb = c ? c->name : "?";
	if (!c)
		return unknown(s, line);
	if ((c->flags & CMD_LAST) && session_kind(s) == LISTENER_MX &&
	    stream_input(s->stream).len && c->run != do_starttls) {
		session_say(s, REPLY_TALKS_TOO_EARLY);
		return STEP_CLOSE;
	}
	if ((c->flags & CMD_USELESS) && ++s->useless > s->conf->smtp.useless_commands) {
		session_say(s, REPLY_TOO_MANY_USELESS);
		return STEP_CLOSE;
	}
	refusal = check(s, c, args);
	if (refusal == REPLY_NEEDS_TLS || refusal == REPLY_NEEDS_LOGIN) {
		session_say(s, refusal);
		return ++s->useless > s->conf->smtp.useless_commands ? STEP_CLOSE : STEP_DONE;
	}
	return refusal == REPLY_OK ? c->run(s, args) : session_bad(s, refusal);
}

/* ---- hello ---- */

static void keep_helo(struct session *s, struct sv args)
{
	struct sv name = sv_sub(args, 0, HELO_MAX);

	if (s->is_helo_fixed)
		return;
	memcpy(s->helo, name.p ? name.p : "", name.len);
	s->helo[name.len] = '\0';
	for (size_t i = 0; i < name.len; i++)
		if (s->helo[i] <= ' ' || s->helo[i] >= 127)
			s->helo[i] = '?';
}

/* What a client calls itself is judged nowhere on submission: it is a private address, a fixed
 * name, or nothing. */
static bool has_helo(const struct session *s, struct sv args)
{
	return args.len || door_is_login(&s->door);
}

static bool may_xclient(const struct session *s)
{
	return session_kind(s) != LISTENER_LEGACY && netaddr_in(stream_peer(s->stream), &s->conf->policy.xclient_networks);
}

static enum step do_helo(struct session *s, struct sv args)
{
	if (!has_helo(s, args))
		return session_bad(s, REPLY_HELO_ARGUMENT);
	session_forget_mail(s);
	keep_helo(s, args);
	s->is_extended = false;
	s->state = ST_READY;
	session_write(s, 250, NULL, sv_z(s->conf->host.hostname));
	return STEP_DONE;
}

static enum step do_ehlo(struct session *s, struct sv args)
{
	struct buf text;

	if (!has_helo(s, args))
		return session_bad(s, REPLY_HELO_ARGUMENT);
	session_forget_mail(s);
	keep_helo(s, args);
	s->is_extended = true;
	s->state = ST_READY;
	buf_init(&text, REPLY_TEXT_MAX);
	buf_appendf(
		&text,
		"%s\nPIPELINING\nSIZE %llu\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nCHUNKING\n",
		s->conf->host.hostname, (unsigned long long)conf_message_size(s->conf, session_kind(s)));
	if (session_kind(s) != LISTENER_LEGACY)
		buf_appendf(&text, "BINARYMIME\n");
	if (session_kind(s) & (ON_SUBMISSION | LISTENER_LOCAL | LISTENER_MX))
		buf_appendf(&text, "DSN\n");
	if (session_kind(s) & (ON_SUBMISSION | LISTENER_LOCAL))
		offer_wishes(s, &text);
	if (session_kind(s) == LISTENER_MX)
		buf_appendf(&text, "LIMITS MAILMAX=%llu RCPTMAX=%llu\n", (unsigned long long)s->conf->smtp.messages_per_session,
			    (unsigned long long)s->conf->smtp.recipients_mx);
	if ((stream_is_tls(s->stream) && !(session_kind(s) & (LISTENER_LMTP | LISTENER_LEGACY))) || session_kind(s) == LISTENER_LOCAL)
		buf_appendf(&text, "REQUIRETLS\n");
	/* Programs of this host learn who they are here, and what to add to bare names. */
	if (session_kind(s) == LISTENER_LOCAL)
		buf_appendf(&text, "XUSER %.*s\n", SV_FMT(identity_address(s->door.identity)));
	door_offers(&s->door, &text);
	if (may_xclient(s))
		buf_appendf(&text, "XCLIENT ADDR PORT HELO\n");
	text.len--;
	session_write(s, 250, NULL, buf_sv(&text));
	buf_done(&text);
	return STEP_DONE;
}

static enum step do_wrong_hello(struct session *s, struct sv args)
{
	(void)args;
	return session_bad(s, session_kind(s) == LISTENER_LMTP ? REPLY_LMTP_HELO : REPLY_SMTP_LHLO);
}

/* ---- the door's ---- */

/* door_step - the door may have begun a job, or ended the connection. */
static enum step door_step(const struct session *s)
{
	return s->stream && s->door.state == DOOR_OPEN ? STEP_DONE : STEP_WAIT;
}

static enum step do_starttls(struct session *s, struct sv args)
{
	(void)args;
	session_forget_mail(s);
	door_start_tls(&s->door);
	return door_step(s);
}

static enum step do_auth(struct session *s, struct sv args)
{
	if (s->door.identity)
		return session_bad(s, REPLY_LOGGED_IN_ALREADY);
	door_auth(&s->door, args);
	return door_step(s);
}

static enum step do_no_auth(struct session *s, struct sv args)
{
	(void)args;
	return session_bad(s, REPLY_AUTH_NOT_HERE);
}

/* ---- small ones ---- */

static enum step do_noop(struct session *s, struct sv args)
{
	(void)args;
	session_say(s, REPLY_OK);
	return STEP_DONE;
}

static enum step do_rset(struct session *s, struct sv args)
{
	(void)args;
	session_forget_mail(s);
	session_say(s, REPLY_OK);
	return STEP_DONE;
}

static enum step do_help(struct session *s, struct sv args)
{
	(void)args;
	session_say(s, REPLY_HELP);
	return STEP_DONE;
}

/* Whether somebody exists is told to those who send mail, not to those who ask (RFC 5321 §7.3). */
static enum step do_vrfy(struct session *s, struct sv args)
{
	if (!args.len)
		return session_bad(s, REPLY_BAD_ARGUMENT);
	session_say(s, REPLY_VRFY);
	return STEP_DONE;
}

static enum step do_quit(struct session *s, struct sv args)
{
	(void)args;
	session_say(s, REPLY_BYE);
	return STEP_CLOSE;
}

static enum step not_implemented(struct session *s, struct sv args)
{
	(void)args;
	session_say(s, REPLY_NOT_IMPLEMENTED);
	return STEP_DONE;
}

static bool is_unknown(struct sv value)
{
	return sv_eq_nocase(value, SV("[UNAVAILABLE]")) || sv_eq_nocase(value, SV("[TEMPUNAVAIL]"));
}

/* set_attribute - of XCLIENT. */
static bool set_attribute(struct session *s, struct sv name, struct sv value)
{
	struct netaddr a;
	uint32_t port;

	if (sv_eq_nocase(name, SV("HELO"))) {
		s->is_helo_fixed = false;
		keep_helo(s, is_unknown(value) ? SV("unknown") : value);
		s->is_helo_fixed = true;
		return true;
	}
	if (is_unknown(value))
		return true;
	if (sv_eq_nocase(name, SV("ADDR"))) {
		if (sv_starts_nocase(value, SV("IPV6:")))
			sv_skip(&value, 5);
		if (!netaddr_parse(value, &a))
			return false;
		a.port = s->peer.port;
		s->peer = a;
		return true;
	}
	if (sv_eq_nocase(name, SV("PORT"))) {
		if (!sv_to_u32(value, &port) || port > UINT16_MAX)
			return false;
		s->peer.port = (uint16_t)port;
	}
	return true;    /* NAME, PROTO, DESTADDR: we find them out ourselves, or have no use for them */
}

/* A server in front says for whom it speaks. From then on the session is that client's, and begins anew. */
static enum step do_xclient(struct session *s, struct sv args)
{
	char text[NETADDR_TEXT_MAX];
	struct sv word, name;

	if (!may_xclient(s))
		return session_bad(s, REPLY_NOT_FOR_YOU);
	session_forget_mail(s);
	while (sv_split(&args, ' ', &word))
		if (word.len && (!sv_split(&word, '=', &name) || !set_attribute(s, name, word)))
			return session_bad(s, REPLY_BAD_ARGUMENT);
	log_info(&s->log, "smtp.xclient", KV_SV("client", netaddr_text(&s->peer, text)), KV_Z("helo", s->helo));
	log_ctx_set_peer(&s->log, netaddr_text(&s->peer, text));
	s->state = ST_NEW;
	s->useless = 0;
	session_greet(s);
	return STEP_DONE;
}

static enum step not_for_you(struct session *s, struct sv args)
{
	(void)args;
	return session_bad(s, REPLY_NOT_FOR_YOU);
}

/* ---- mail ---- */

static void on_answer(void *user, const struct transaction_answer *answer);
static void on_room(void *user);
static void on_mail_end(void *user, const struct transaction_answer *answers, size_t count);

static const struct transaction_events mail_events = {
	.on_answer = on_answer,
	.on_room = on_room,
	.on_end = on_mail_end,
};

static struct transaction *new_mail(struct session *s)
{
	struct buf tls;
	struct transaction_source source = {
		.server = s->server,
		.conf = s->conf,
		.log = s->log,
		.listener = session_kind(s),
		.listener_name = sv_z(s->listener->name),
		.peer = s->peer,
		.helo = sv_z(s->helo),
		.is_extended = s->is_extended,
		.identity = door_identity(&s->door),
		.is_device = !s->door.identity && s->door.device,
		.is_local_admin = s->is_local_admin,
	};
	struct transaction *mail;

	buf_init(&tls, 256);
	if (door_is_tls(&s->door)) {
		struct tls_facts facts = tls_facts(stream_tls(s->stream));

		buf_appendf(&tls, "%s %s", facts.version, facts.cipher);
	}
	source.tls = buf_sv(&tls);
	mail = transaction_new(&source, &mail_events, s);
	buf_done(&tls);
	return mail;
}

/* is_accepted - a sender or recipient was taken: the state goes on. */
static void mail_answered(struct session *s, const struct transaction_answer *answer)
{
	if (answer->reply == REPLY_SENDER_OK)
		s->state = ST_MAIL;
	else if (answer->reply == REPLY_RCPT_OK)
		s->state = ST_RCPT;
	else if (s->state == ST_READY)
		session_forget_mail(s);
}

/* Whoever tries names is slowed down, then sent away. */
static enum step unknown_recipient(struct session *s, const struct transaction_answer *answer)
{
	s->unknown_rcpts++;
	if (s->unknown_rcpts >= s->conf->smtp.unknown_recipients_hard) {
		session_say(s, REPLY_TOO_MANY_UNKNOWN);
		return STEP_CLOSE;
	}
	if (s->unknown_rcpts <= s->conf->smtp.unknown_recipients_soft) {
		session_answer(s, answer);
		return STEP_DONE;
	}
	session_answer_later(s, answer, s->conf->smtp.unknown_recipient_delay_ms);
	return STEP_WAIT;
}

static bool is_syntax(enum reply_id r)
{
	return r == REPLY_BAD_ARGUMENT || r == REPLY_UNKNOWN_PARAM || r == REPLY_PARAM_TWICE ||
	       r == REPLY_BAD_SENDER || r == REPLY_BAD_RCPT;
}

static enum step answer_mail(struct session *s, const struct transaction_answer *answer)
{
	mail_answered(s, answer);
	if (answer->reply == REPLY_USER_UNKNOWN)
		return unknown_recipient(s, answer);
	if (is_syntax(answer->reply))
		return session_bad(s, answer->reply);
	session_answer(s, answer);
	return STEP_DONE;
}

static void on_answer(void *user, const struct transaction_answer *answer)
{
	struct session *s = user;
	enum step step = answer_mail(s, answer);

	if (step == STEP_CLOSE)
		session_close_after_reply(s);
	else if (step == STEP_DONE)
		session_go(s);
}

static enum step do_mail(struct session *s, struct sv args)
{
	struct transaction_answer answer;

	if (s->messages >= s->conf->smtp.messages_per_session) {
		session_say(s, REPLY_TOO_MANY_MAILS);
		return STEP_CLOSE;
	}
	s->mail = new_mail(s);
	if (transaction_sender(s->mail, args, &answer) == TRANSACTION_ANSWERED)
		return answer_mail(s, &answer);
	session_wait(s);
	return STEP_WAIT;
}

static enum step do_rcpt(struct session *s, struct sv args)
{
	struct transaction_answer answer;

	if (transaction_recipient(s->mail, args, &answer) == TRANSACTION_ANSWERED)
		return answer_mail(s, &answer);
	session_wait(s);
	return STEP_WAIT;
}

static enum step do_data(struct session *s, struct sv args)
{
	(void)args;
	if (transaction_is_binary(s->mail))
		return session_bad(s, REPLY_NEEDS_BDAT);
	transaction_begin(s->mail, false);
	session_say(s, REPLY_START_DATA);
	session_begin_octets(s, MODE_DATA);
	return STEP_DONE;
}

/* skip_chunk - the octets come whatever we say, so they are read before the refusal (RFC 3030 §2).
 * What nobody may ever send is not waited for. */
static enum step skip_chunk(struct session *s, uint64_t size, enum reply_id reply)
{
	session_forget_mail(s);
	if (size > 2 * s->conf->smtp.message_size) {
		session_say(s, reply);
		return STEP_CLOSE;
	}
	s->left = size;
	s->skip_reply = reply;
	session_begin_octets(s, MODE_SKIP);
	return STEP_DONE;
}

#define SMALL_CHUNK 512         /* octets: a message in such pieces is an attack */

static enum step do_bdat(struct session *s, struct sv args)
{
	uint64_t size;
	bool is_last;

	if (!smtp_parse_bdat(args, &size, &is_last)) {
		/* How many octets follow is not known: nothing behind it can be trusted to be a
		 * command. */
		session_say(s, REPLY_BAD_ARGUMENT);
		return STEP_CLOSE;
	}
	if (size < SMALL_CHUNK && !is_last && ++s->useless > s->conf->smtp.useless_commands) {
		session_say(s, REPLY_TOO_MANY_USELESS);
		return STEP_CLOSE;
	}
	if (s->state == ST_NEW || s->state == ST_READY)
		return skip_chunk(s, size,
				  s->state == ST_NEW ? REPLY_NEEDS_HELO : REPLY_NEEDS_MAIL);
	if (s->state == ST_MAIL)
		return skip_chunk(s, size, REPLY_NEEDS_RCPT);
	if (size > conf_message_size(s->conf, session_kind(s)))
		return skip_chunk(s, size, REPLY_TOO_BIG);
	if (!transaction_has_begun(s->mail))
		transaction_begin(s->mail, true);
	s->state = ST_CHUNKS;
	s->left = size;
	s->is_last_chunk = is_last;
	session_begin_octets(s, MODE_CHUNK);
	return STEP_DONE;
}

void command_chunk_done(struct session *s)
{
	if (transaction_is_too_big(s->mail)) {
		session_forget_mail(s);
		session_say(s, REPLY_TOO_BIG);
	} else {
		session_say(s, REPLY_CHUNK_OK);
	}
}

void command_octets_done(struct session *s)
{
	session_wait(s);
	transaction_finish(s->mail);
}

static void on_room(void *user)
{
	struct session *s = user;

	if (s->mode != MODE_DATA && s->mode != MODE_CHUNK)
		return;
	if (s->paused_at_ms)
		s->paused_ms += loop_now_ms(s->server->loop) - s->paused_at_ms;
	s->paused_at_ms = 0;
	stream_resume(s->stream);
}

static void on_mail_end(void *user, const struct transaction_answer *answers, size_t count)
{
	struct session *s = user;
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		session_answer(s, &answers[i]);
		any |= answers[i].reply == REPLY_OK;
	}
	if (any) {
		s->messages++;
		s->useless = 0;
		s->mail_ms = loop_now_ms(s->server->loop);
	}
	session_forget_mail(s);
	session_go(s);
}
