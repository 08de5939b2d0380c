/* Before the first transaction: greeting, EHLO, STARTTLS, AUTH. */
#include "smtpd/relay/client_private.h"

#include "common/banned.h"

void client_hello(struct client *c)
{
	c->can = 0;
	c->size_max = 0;
	c->state = S_EHLO;
	client_sayf(c, "%s %s", c->to.is_lmtp ? "LHLO" : "EHLO", c->to.hostname);
	client_wait_ms(c, c->to.reply_ms);
}

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

/* is_ourselves - a server that greets with our own name: mail would go in a circle (RFC 5321 §6.3). */
static bool is_ourselves(const struct client *c)
{
	struct sv rest = answer_line(&c->answer, 0), word;

	return !c->to.path[0] && sv_split(&rest, ' ', &word) &&
	       sv_eq_nocase(word, sv_z(c->to.hostname));
}

static void over_by_circle(struct client *c)
{
	c->end.is_self = true;
	client_over(c, "5.4.6", "it greets with our own name: mail would go in a circle");
}

void client_tell_ready(struct client *c)
{
	c->events->on_ready(c->user);
}

void client_become_ready(struct client *c)
{
	c->state = S_READY;
	c->can |= CAN_SMTP;
	c->was_ready = true;
	timer_stop(&c->patience);
	client_owe(c, client_tell_ready);
}

static void say_secret(struct client *c, const char *prefix, struct sv clear)
{
	struct buf line;

	buf_init(&line, 4096);
	if (buf_append(&line, sv_z(prefix)) && base64_encode(clear, &line))
		client_say(c, buf_sv(&line), true);
	else
		client_over(c, "4.7.0", "AUTH: name or password too long");
	buf_wipe(&line);
	client_wait_ms(c, c->to.reply_ms);
}

static void begin_auth(struct client *c)
{
	struct buf clear;

	if (!c->is_tls && !netaddr_is_loopback(&c->to.at)) {
		client_over(c, "4.7.11", "there is no TLS, and no password is sent without");
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
		client_sayf(c, "AUTH LOGIN");
		client_wait_ms(c, c->to.reply_ms);
	} else {
		client_over(c, "4.7.4", "it offers neither AUTH PLAIN nor AUTH LOGIN");
	}
}

static void after_hello(struct client *c)
{
	if (!c->is_tls && c->to.tls == CLIENT_TLS_MUST && !(c->can & CAN_STARTTLS)) {
		client_over(c, "4.7.4", "TLS is required, and it does not offer STARTTLS");
	} else if (!c->is_tls && c->to.tls != CLIENT_TLS_OFF && c->can & CAN_STARTTLS) {
		c->state = S_STARTTLS;
		client_sayf(c, "STARTTLS");
		client_wait_ms(c, c->to.reply_ms);
	} else if (c->to.user) {
		begin_auth(c);
	} else {
		client_become_ready(c);
	}
}

void client_start_tls(struct client *c)
{
	struct fault f = stream_start_tls_client(c->stream, c->tls, &c->to.expect);

	if (f.kind) {
		client_over(c, "4.7.5", "STARTTLS: %s", f.detail ? f.detail : fault_name(f.kind));
		return;
	}
	c->state = S_HANDSHAKE;
	timer_stop(&c->patience);       /* the stream has a deadline for it */
}

static void on_ehlo_answer(struct client *c)
{
	if (is_ourselves(c) && answer_is_good(&c->answer)) {
		over_by_circle(c);
	} else if (answer_is_good(&c->answer)) {
		for (size_t i = 1; c->state == S_EHLO && answer_line(&c->answer, i).len; i++)
			read_keyword(c, answer_line(&c->answer, i));
		after_hello(c);
	} else if (c->state == S_EHLO && answer_is_final(&c->answer) && !c->to.is_lmtp) {
		c->state = S_HELO;      /* a server of before 1995 (RFC 5321 §3.2) */
		client_sayf(c, "HELO %s", c->to.hostname);
		client_wait_ms(c, c->to.reply_ms);
	} else {
		client_over_by_answer(c, "EHLO", "4.3.0");
	}
}

static void on_greeting(struct client *c)
{
	c->end.is_busy = c->answer.code == 421;
	if (!answer_is_good(&c->answer))
		client_over_by_answer(c, "greeting", "4.3.2");
	else if (is_ourselves(c))
		over_by_circle(c);
	else
		client_hello(c);
}

static void on_starttls_answer(struct client *c)
{
	if (answer_is_good(&c->answer)) {
		client_start_tls(c);
	} else if (c->to.tls == CLIENT_TLS_MAY) {
		c->can &= ~(unsigned)CAN_STARTTLS;
		after_hello(c);
	} else {
		client_over_by_answer(c, "STARTTLS", "4.7.4");
	}
}

/* LOGIN: the server asks for the name, then for the password. */
static void on_login_question(struct client *c, enum client_state next, const char *secret)
{
	c->state = next;
	if (c->answer.code == 334)
		say_secret(c, "", sv_z(secret));
	else
		client_over_by_answer(c, "AUTH", "4.7.8");
}

void client_on_hello_answer(struct client *c)
{
	if (c->state == S_GREETING)
		on_greeting(c);
	else if (c->state == S_EHLO || c->state == S_HELO)
		on_ehlo_answer(c);
	else if (c->state == S_STARTTLS)
		on_starttls_answer(c);
	else if (c->state == S_AUTH_USER)
		on_login_question(c, S_AUTH_PASSWORD, c->to.user);
	else if (c->state == S_AUTH_PASSWORD)
		on_login_question(c, S_AUTH, c->to.password);
	else if (answer_is_good(&c->answer))
		client_become_ready(c);
	else
		client_over_by_answer(c, "AUTH", "4.7.8");
}
