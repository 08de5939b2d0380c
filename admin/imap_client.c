#include "admin/imap_client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/probe.h"
#include "common/memory.h"
#include "common/tls.h"
#include "common/transfer.h"

#include "common/banned.h"

#define SILENCE_MS (5 * 60 * 1000)
#define GREETING_MS (60 * 1000)
#define READ_SIZE 65536
#define ADDRESSES_MAX 16
#define COMMAND_MAX 65536

struct imap_client {
	const struct imap_client_target *target;        /* while it is opened */
	char *host;
	int fd;
	struct tls_client *tls_client;
	struct tls_conn *tls;
	struct imap_reply reply;
	char octets[READ_SIZE];
	struct sv in;                   /* of octets: not looked at yet */
	unsigned tag, features;
	bool is_lost;                   /* nothing can be asked any more */
};

static const struct { const char *name; unsigned bit; } features[] = {
	{ "SASL-IR", IMAP_HAS_SASL_IR },
	{ "AUTH=PLAIN", IMAP_HAS_PLAIN },
	{ "LOGINDISABLED", IMAP_HAS_LOGIN_DISABLED },
	{ "STARTTLS", IMAP_HAS_STARTTLS },
	{ "NAMESPACE", IMAP_HAS_NAMESPACE },
	{ "SPECIAL-USE", IMAP_HAS_SPECIAL_USE },
	{ "LIST-EXTENDED", IMAP_HAS_LIST_EXTENDED },
	/* RFC 9051 §A: parts of it by itself. */
	{ "IMAP4REV2", IMAP_HAS_SASL_IR | IMAP_HAS_NAMESPACE | IMAP_HAS_SPECIAL_USE | IMAP_HAS_LIST_EXTENDED },
};

static struct fault lost(struct imap_client *c, const char *why)
{
	c->is_lost = true;
	return fault_detail(FAULT_UNAVAILABLE, "%s: %s", c->host, why);
}

/* ---- octets ---- */

static bool wait_for(struct imap_client *c, enum tls_io io, int64_t deadline)
{
	return (io == TLS_WANT_READ && probe_wait(c->fd, POLLIN, deadline)) ||
	       (io == TLS_WANT_WRITE && probe_wait(c->fd, POLLOUT, deadline));
}

static struct fault send_all(struct imap_client *c, struct sv octets)
{
	int64_t deadline = probe_now_ms() + SILENCE_MS;

	while (octets.len) {
		size_t done = 0;

		if (c->tls) {
			enum tls_io io = tls_write(c->tls, octets.p, octets.len, &done);

			if (io != TLS_DONE && !wait_for(c, io, deadline))
				return lost(c, "the connection was lost");
		} else {
			ssize_t n = send(c->fd, octets.p, octets.len, MSG_NOSIGNAL);

			if (n < 0 && errno != EINTR && !(errno == EAGAIN && probe_wait(c->fd, POLLOUT, deadline)))
				return lost(c, "the connection was lost");
			done = n > 0 ? (size_t)n : 0;
		}
		sv_skip(&octets, done);
	}
	return FAULT_OK;
}

static struct fault receive(struct imap_client *c, int64_t patience_ms)
{
	int64_t deadline = probe_now_ms() + patience_ms;
	size_t done = 0;

	while (!done) {
		if (c->tls) {
			enum tls_io io = tls_read(c->tls, c->octets, sizeof(c->octets), &done);

			if (io == TLS_WANT_READ || io == TLS_WANT_WRITE) {
				if (!wait_for(c, io, deadline))
					return lost(c, "no answer in time");
			} else if (io != TLS_DONE) {
				return lost(c, "the connection was lost");
			}
		} else {
			ssize_t n = recv(c->fd, c->octets, sizeof(c->octets), 0);

			if (n < 0 && errno == EAGAIN) {
				if (!probe_wait(c->fd, POLLIN, deadline))
					return lost(c, "no answer in time");
			} else if (n == 0 || (n < 0 && errno != EINTR)) {
				return lost(c, "the connection was lost");
			}
			done = n > 0 ? (size_t)n : 0;
		}
	}
	c->in = sv_from(c->octets, done);
	return FAULT_OK;
}

/* ---- responses ---- */

static void note_features(struct imap_client *c, struct sv word)
{
	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		if (sv_eq_nocase(word, sv_z(features[i].name)))
			c->features |= features[i].bit;
}

/* Capabilities come by themselves, or in the text of a greeting or login (RFC 3501 §7.1). */
static bool take_features(struct imap_client *c)
{
	struct imap_reply *r = &c->reply;
	struct sv name, list, word;

	if (imap_reply_is(r, 1, "CAPABILITY")) {
		c->features = 0;
		for (size_t i = 2; i < r->count; i++)
			note_features(c, imap_reply_text(r, i));
		return true;
	}
	if (!imap_reply_code(imap_reply_text(r, 2), &name, &list) || !sv_eq_nocase(name, SV("CAPABILITY")))
		return false;
	c->features = 0;
	while (sv_split(&list, ' ', &word))
		note_features(c, word);
	return true;
}

/* Where a FETCH response says BODY[], a message follows. */
static bool is_body(const struct imap_reply *r)
{
	return r->count > 4 && imap_reply_is(r, 2, "FETCH") && r->tokens[3].kind == IMAP_REPLY_OPEN &&
	       imap_reply_is(r, r->count - 2, "BODY[]");
}

/* One response, its bodies given to the listener. */
static struct fault next_response(struct imap_client *c, const struct imap_client_listener *l, int64_t patience_ms)
{
	struct fault f = FAULT_OK;
	bool is_message = false;

	imap_reply_next(&c->reply);
	while (!f.kind) {
		switch (imap_reply_feed(&c->reply, &c->in)) {
		case IMAP_REPLY_MORE:
			f = receive(c, patience_ms);
			break;
		case IMAP_REPLY_LITERAL:
			is_message = l && l->body_begin && is_body(&c->reply);
			if (is_message) {
				imap_reply_stream(&c->reply);
				f = l->body_begin(l->arg, &c->reply, c->reply.literal);
			}
			break;
		case IMAP_REPLY_PIECE:
			f = l->body(l->arg, c->reply.piece);
			break;
		case IMAP_REPLY_LITERAL_END:
			break;
		case IMAP_REPLY_DONE:
			return FAULT_OK;
		case IMAP_REPLY_BAD:
			c->is_lost = true;
			f = fault_detail(FAULT_UNAVAILABLE, "%s does not speak IMAP as we know it: %s", c->host, c->reply.why);
			break;
		}
	}
	c->is_lost = true;
	return f;
}

/* What the server said, as one harmless line. */
static struct fault said(const struct imap_client *c, enum fault_kind kind, struct sv text)
{
	char line[160];
	size_t n = 0;

	for (; n < text.len && n < sizeof(line) - 1; n++)
		line[n] = (unsigned char)text.p[n] < ' ' || text.p[n] == 0x7f ? '?' : text.p[n];
	line[n] = '\0';
	return fault_detail(kind, "%.60s said: %s", c->host, n ? line : "(nothing)");
}

struct fault imap_client_ask(struct imap_client *c, const struct imap_client_listener *l, struct sv command)
{
	char tag[16];
	struct sv part;
	struct fault f;

	if (c->is_lost)
		return fault_detail(FAULT_UNAVAILABLE, "%s: the connection was lost", c->host);
	snprintf(tag, sizeof(tag), "p%u", ++c->tag);
	f = send_all(c, sv_z(tag));
	if (!f.kind)
		f = send_all(c, SV(" "));
	/* Each LF in it stands where the server says "+" first (a literal, AUTHENTICATE). */
	(void)sv_split(&command, '\n', &part);
	if (!f.kind)
		f = send_all(c, part);
	if (!f.kind)
		f = send_all(c, SV("\r\n"));
	while (!f.kind) {
		f = next_response(c, l, SILENCE_MS);
		if (f.kind)
			break;
		if (sv_eq(imap_reply_text(&c->reply, 0), SV("*"))) {
			bool is_bye = imap_reply_is(&c->reply, 1, "BYE");

			take_features(c);
			if (l && l->response && !is_bye)
				f = l->response(l->arg, &c->reply);
			c->is_lost |= f.kind != FAULT_NONE;
		} else if (sv_eq(imap_reply_text(&c->reply, 0), SV("+"))) {
			if (!sv_split(&command, '\n', &part))
				return lost(c, "it asks for more where there is no more");
			f = send_all(c, part);
			if (!f.kind)
				f = send_all(c, SV("\r\n"));
		} else if (sv_eq(imap_reply_text(&c->reply, 0), sv_z(tag))) {
			take_features(c);
			if (imap_reply_is(&c->reply, 1, "OK"))
				return FAULT_OK;
			return said(c, imap_reply_is(&c->reply, 1, "NO") ? FAULT_DENIED : FAULT_INVALID, imap_reply_text(&c->reply, 2));
		} else {
			return lost(c, "it answers what was not asked");
		}
	}
	return f;
}

bool imap_client_quote(struct buf *out, struct sv text)
{
	if (!buf_append_c(out, '"'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (c == '\r' || c == '\n' || c == '\0' || ((c == '"' || c == '\\') && !buf_append_c(out, '\\')) ||
		    !buf_append_c(out, c))
			return false;
	}
	return buf_append_c(out, '"');
}

unsigned imap_client_features(const struct imap_client *c)
{
	return c->features;
}

/* ---- opening ---- */

/* By the host's own resolver, not by common/dns.h: the old server's name may stand in /etc/hosts only. */
static struct fault find_addresses(const struct imap_client_target *t, uint16_t port, struct netaddr out[ADDRESSES_MAX], size_t *count)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;
	int e = getaddrinfo(t->host, NULL, &hints, &found);

	*count = 0;
	for (const struct addrinfo *a = found; a && *count < ADDRESSES_MAX; a = a->ai_next) {
		struct netaddr address = netaddr_from(a->ai_addr, a->ai_addrlen);

		address.port = port;
		if (address.family != NET_NONE)
			out[(*count)++] = address;
	}
	if (found)
		freeaddrinfo(found);
	return *count ? FAULT_OK : fault_detail(FAULT_INVALID, "%s cannot be found: %s", t->host, e ? gai_strerror(e) : "no address");
}

static struct fault shake_hands(struct imap_client *c)
{
	int64_t deadline = probe_now_ms() + GREETING_MS;

	for (;;) {
		enum tls_io io = tls_handshake(c->tls);

		if (io == TLS_DONE)
			return FAULT_OK;
		if (io != TLS_WANT_READ && io != TLS_WANT_WRITE)
			return fault_detail(FAULT_UNAVAILABLE, "%s: TLS: %s", c->host, tls_error(c->tls));
		if (!wait_for(c, io, deadline))
			return fault_detail(FAULT_UNAVAILABLE, "%s: TLS: no answer in time", c->host);
	}
}

/* The certificate is judged here and not in the handshake, so that what is wrong can be said with its fingerprint. Nothing but the
 * handshake has been sent. */
static struct fault start_tls(struct imap_client *c)
{
	const struct imap_client_target *t = c->target;
	struct tls_expect expect = { .sni = t->host, .trust = TLS_TRUST_ANY, .names = &t->host, .name_count = 1 };
	struct netaddr address;
	struct tls_cert_facts cert;

	if (netaddr_parse(sv_z(t->host), &address))
		expect.sni = NULL;      /* RFC 6066 §3 */
	struct fault f = tls_client_new(NULL, &c->tls_client);

	if (!f.kind)
		f = tls_client_conn_new(c->tls_client, &expect, c->fd, &c->tls);
	if (!f.kind)
		f = shake_hands(c);
	if (f.kind)
		return f;
	if (!tls_peer_cert(c->tls, &cert))
		return fault_detail(FAULT_UNAVAILABLE, "%s: TLS without a certificate", c->host);
	if (t->fingerprint)
		return sv_eq_nocase(sv_z(t->fingerprint), sv_z(cert.fingerprint)) ? FAULT_OK :
		       fault_detail(FAULT_UNAVAILABLE, "%.60s has another certificate, with the fingerprint %s", c->host, cert.fingerprint);
	const char *doubt = tls_peer_doubt(c->tls);

	return !doubt ? FAULT_OK :
	       fault_detail(FAULT_UNAVAILABLE, "%.60s: %s; if it is the right one, add --fingerprint %s", c->host, doubt, cert.fingerprint);
}

static struct fault greet(struct imap_client *c)
{
	struct fault f = next_response(c, NULL, GREETING_MS);

	if (f.kind)
		return f;
	if (!sv_eq(imap_reply_text(&c->reply, 0), SV("*")) || !imap_reply_is(&c->reply, 1, "OK"))
		return said(c, FAULT_UNAVAILABLE, imap_reply_text(&c->reply, 2));
	return take_features(c) ? FAULT_OK : imap_client_ask(c, NULL, SV("CAPABILITY"));
}

static struct fault upgrade(struct imap_client *c)
{
	struct fault f;

	if (!(c->features & IMAP_HAS_STARTTLS))
		return fault_detail(FAULT_UNAVAILABLE, "%s offers no STARTTLS", c->host);
	f = imap_client_ask(c, NULL, SV("STARTTLS"));
	if (f.kind)
		return f;
	/* RFC 3501 §6.2.1: what was said before is forgotten; what somebody put behind the answer must not count as secured. */
	if (c->in.len)
		return lost(c, "octets behind the answer to STARTTLS");
	f = start_tls(c);
	return f.kind ? f : imap_client_ask(c, NULL, SV("CAPABILITY"));
}

/* PLAIN carries any octets (RFC 4616); LOGIN is for servers that have nothing else. */
static bool write_login(const struct imap_client *c, struct buf *out)
{
	const struct imap_client_target *t = c->target;
	struct buf plain;
	bool fits;

	if (!(c->features & IMAP_HAS_PLAIN)) {
		fits = buf_append(out, SV("LOGIN ")) && imap_client_quote(out, sv_z(t->user)) && buf_append_c(out, ' ');
		if (fits && sv_has_8bit(sv_z(t->password)))
			return buf_appendf(out, "{%zu}\n%s", strlen(t->password), t->password);
		return fits && imap_client_quote(out, sv_z(t->password));
	}
	buf_init(&plain, COMMAND_MAX);
	fits = buf_append_c(&plain, '\0') && buf_append(&plain, sv_z(t->user)) && buf_append_c(&plain, '\0') &&
	       buf_append(&plain, sv_z(t->password)) && buf_append(out, SV("AUTHENTICATE PLAIN")) &&
	       buf_append_c(out, c->features & IMAP_HAS_SASL_IR ? ' ' : '\n') && base64_encode(buf_sv(&plain), out);
	buf_wipe(&plain);
	return fits;
}

static struct fault log_in(struct imap_client *c)
{
	struct buf command;
	struct fault f;

	if (c->features & IMAP_HAS_LOGIN_DISABLED && !(c->features & IMAP_HAS_PLAIN))
		return fault_detail(FAULT_UNAVAILABLE, "%s takes no password on this connection; try --tls starttls or implicit", c->host);
	buf_init(&command, COMMAND_MAX);
	c->features &= ~(unsigned)IMAP_HAS_STARTTLS;

	unsigned before = c->features;

	f = write_login(c, &command) ? imap_client_ask(c, NULL, buf_sv(&command)) :
				       fault(FAULT_INVALID, "the user's name or password cannot be sent");
	buf_wipe(&command);
	if (f.kind == FAULT_DENIED || (f.kind == FAULT_INVALID && !c->is_lost && c->reply.count))
		return fault_detail(FAULT_AUTH, "%.60s does not let %.60s in; %s", c->host, c->target->user, f.detail);
	/* More may be known of somebody who has logged in. */
	if (!f.kind && c->features == before)
		f = imap_client_ask(c, NULL, SV("CAPABILITY"));
	return f;
}

struct fault imap_client_open(const struct imap_client_target *target, struct imap_client **out)
{
	uint16_t port = target->port ? target->port : target->tls == IMAP_CLIENT_IMPLICIT ? 993 : 143;
	struct imap_client *c = xcalloc(1, sizeof(*c));
	struct netaddr addresses[ADDRESSES_MAX];
	const char *why;
	size_t count;

	signal(SIGPIPE, SIG_IGN);       /* a server that hangs up is a sentence, not the end of us */
	c->fd = -1;
	c->target = target;
	c->host = xstrdup(target->host);
	imap_reply_init(&c->reply);
	struct fault f = find_addresses(target, port, addresses, &count);

	if (!f.kind) {
		c->fd = probe_connect(addresses, count, &why);
		if (c->fd < 0)
			f = fault_detail(FAULT_UNAVAILABLE, "%s, port %u: %s", target->host, port, why);
	}
	if (!f.kind && target->tls == IMAP_CLIENT_IMPLICIT)
		f = start_tls(c);
	if (!f.kind)
		f = greet(c);
	if (!f.kind && target->tls == IMAP_CLIENT_STARTTLS)
		f = upgrade(c);
	if (!f.kind)
		f = log_in(c);
	c->target = NULL;
	if (f.kind) {
		c->is_lost = true;
		imap_client_close(&c);
		return f;
	}
	*out = c;
	return FAULT_OK;
}

void imap_client_close(struct imap_client **client)
{
	struct imap_client *c = *client;

	if (!c)
		return;
	if (!c->is_lost)
		(void)imap_client_ask(c, NULL, SV("LOGOUT")).kind;
	if (c->tls)
		tls_say_goodbye(c->tls);
	tls_conn_free(&c->tls);
	tls_client_free(&c->tls_client);
	if (c->fd >= 0)
		close(c->fd);
	imap_reply_done(&c->reply);
	free(c->host);
	free(c);
	*client = NULL;
}
