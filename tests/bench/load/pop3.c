#include "tests/bench/load/scenarios.h"

#include "common/banned.h"

static bool session(struct client *c, struct worker *w, const struct user *user)
{
	const struct options *opt = w->opt;
	uint64_t messages = 0;

	if (!client_connect(c, opt->host, opt->port, opt->wire) || !client_ok(c, false, NULL))
		return false;
	if (opt->wire == WIRE_STARTTLS &&
	    (!client_send(c, SV("STLS\r\n")) || !client_ok(c, false, NULL) || !client_handshake(c)))
		return false;
	if (!client_sendf(c, "USER %s\r\n", user->address) || !client_ok(c, false, NULL) ||
	    !client_sendf(c, "PASS %s\r\n", user->password) || !client_ok(c, false, NULL) ||
	    !client_send(c, SV("UIDL\r\n")) || !client_ok(c, true, &messages))
		return false;
	for (uint64_t i = 1; i <= messages; i++) {
		uint64_t started = now_us();
		if (!client_sendf(c, "RETR %llu\r\n", (unsigned long long)i) || !client_ok(c, true, NULL))
			return false;
		samples_add(&w->part, now_us() - started);
		w->units++;
	}
	return client_send(c, SV("QUIT\r\n")) && client_ok(c, false, NULL);
}

/* Each connection has accounts of its own: a maildrop is open once (RFC 1939 §4). */
static void pop3_body(struct worker *w)
{
	const struct options *opt = w->opt;
	struct client c;
	uint64_t ticket, turn = 0, own = opt->user_count / opt->connections;

	client_init(&c);
	while (worker_next(w, &ticket)) {
		uint64_t started = now_us(), before = c.received;
		if (session(&c, w, &opt->users[w->number * own + turn++ % own]))
			worker_done(w, started);
		else
			worker_failed(w, &c);
		w->octets += c.received - before;
		client_close(&c);
	}
	client_done(&c);
}

int scenario_pop3(const struct options *opt)
{
	return run_threads(opt, opt->connections, pop3_body, "RETR");
}
