#include "tests/bench/load/scenarios.h"

#include <stdio.h>

#include "common/transfer.h"

#include "common/banned.h"

static bool authenticate(struct client *c, const struct user *user)
{
	struct buf plain, text;
	bool ok;

	buf_init(&plain, 1024);
	buf_init(&text, 2048);
	ok = buf_append_c(&plain, '\0') && buf_append(&plain, sv_z(user->address)) && buf_append_c(&plain, '\0') &&
	     buf_append(&plain, sv_z(user->password)) && base64_encode(buf_sv(&plain), &text);
	ok = ok && client_sendf(c, "AUTH PLAIN %.*s\r\n", SV_FMT(buf_sv(&text))) && client_reply(c, "235", NULL);
	buf_done(&plain);
	buf_done(&text);
	return ok || client_fail(c, "AUTH");
}

bool smtp_hello(struct client *c, const struct options *opt, uint16_t port, enum wire wire, const struct user *login,
		bool *pipelining)
{
	const char *hello = opt->lmtp ? "LHLO client.elsewhere.example\r\n" : "EHLO client.elsewhere.example\r\n";

	*pipelining = false;
	if (!client_connect(c, opt->host, port, wire) || !client_reply(c, "220", NULL) ||
	    !client_send(c, sv_z(hello)) || !client_reply(c, "250", pipelining))
		return false;
	if (wire == WIRE_STARTTLS) {
		*pipelining = false;
		if (!client_send(c, SV("STARTTLS\r\n")) || !client_reply(c, "220", NULL) || !client_handshake(c) ||
		    !client_send(c, sv_z(hello)) || !client_reply(c, "250", pipelining))
			return false;
	}
	return !login || authenticate(c, login);
}

/* One message, pipelined where the server offers it (RFC 2920), as relays do. */
static bool transaction(struct client *c, struct worker *w, uint64_t number, bool pipelining, const char *sender)
{
	static const uint32_t mixed[] = { 2 << 10, 10 << 10, 75 << 10 };
	const struct options *opt = w->opt;
	uint32_t size = opt->is_mixed ? mixed[number % ARRAY_LEN(mixed)] : opt->size;
	struct buf commands, message;
	uint64_t before;
	bool ok = true;

	buf_init(&commands, 1 << 16);
	buf_init(&message, (size_t)size * 2 + 65536);
	(void)buf_appendf(&commands, "MAIL FROM:<%s>\r\n", sender);
	if (!pipelining) {
		ok = client_send(c, buf_sv(&commands)) && client_reply(c, "250", NULL);
		buf_clear(&commands);
	}
	for (uint32_t i = 0; ok && i < opt->recipients; i++) {
		const struct user *to = &opt->users[(number * opt->recipients + i) % opt->user_count];
		(void)buf_appendf(&commands, "RCPT TO:<%s>\r\n", to->address);
		if (!pipelining) {
			ok = client_send(c, buf_sv(&commands)) && client_reply(c, "250", NULL);
			buf_clear(&commands);
		}
	}
	(void)buf_append(&commands, SV("DATA\r\n"));
	ok = ok && client_send(c, buf_sv(&commands));
	for (uint32_t i = 0; ok && pipelining && i <= opt->recipients; i++)
		ok = client_reply(c, "250", NULL);
	ok = ok && client_reply(c, "354", NULL);
	message_make(&message, number, size, sender, opt->users[number * opt->recipients % opt->user_count].address);
	(void)buf_append(&message, SV(".\r\n"));
	ok = ok && client_send(c, buf_sv(&message));
	before = now_us();
	for (uint32_t i = 0; ok && i < (opt->lmtp ? opt->recipients : 1); i++)
		ok = client_reply(c, "250", NULL);
	if (ok) {
		samples_add(&w->part, now_us() - before);
		w->octets += message.len;
	}
	buf_done(&commands);
	buf_done(&message);
	return ok;
}

static void mail_body(struct worker *w)
{
	const struct options *opt = w->opt;
	struct client c;
	uint64_t ticket;
	uint32_t sent = 0;
	bool pipelining = false;
	char sender[320] = "sender@elsewhere.example";

	client_init(&c);
	while (worker_next(w, &ticket)) {
		uint64_t started = now_us();
		bool ok = true;
		if (c.fd < 0) {
			const struct user *login = opt->auth ? &opt->users[ticket % opt->user_count] : NULL;
			sent = 0;
			if (login)
				snprintf(sender, sizeof(sender), "%s", login->address);
			ok = smtp_hello(&c, opt, opt->port, opt->wire, login, &pipelining);
		}
		ok = ok && transaction(&c, w, ticket, pipelining, sender);
		bool is_last = ++sent >= opt->per_connection;
		if (ok && is_last)
			ok = client_send(&c, SV("QUIT\r\n")) && client_reply(&c, "221", NULL);
		if (ok)
			worker_done(w, started);
		else
			worker_failed(w, &c);
		if (!ok || is_last)
			client_close(&c);
	}
	if (c.fd >= 0)
		(void)client_send(&c, SV("QUIT\r\n"));
	client_done(&c);
}

int scenario_mail(const struct options *opt)
{
	return run_threads(opt, opt->connections, mail_body, NULL);
}
