#include "tests/bench/load/scenarios.h"

#include <stdio.h>

#include "common/banned.h"

/* APPEND (RFC 3501 §6.3.11) to each connection's own INBOX, --batch messages in a command: LITERAL+ (RFC 7888), so that a
 * command is one write, or with --synchronising as RFC 3501 has it, with a "+" to wait for before each message. */

static bool wait_for(struct client *c, struct sv start)
{
	struct sv line;

	do
		if (!client_imap_untagged(c, &line, NULL))
			return false;
	while (sv_starts(line, SV("* ")));
	return sv_starts(line, start) || client_fail(c, "wanted %.*s: %.*s", SV_FMT(start), SV_FMT(sv_sub(line, 0, 100)));
}

static bool append(struct client *c, const struct options *opt, uint64_t number, const struct user *user, struct buf *out)
{
	struct buf message;
	char ok[32];
	bool good = true;

	buf_init(&message, (size_t)opt->size * 2 + 65536);
	buf_clear(out);
	(void)buf_appendf(out, "p%u APPEND INBOX", ++c->tag);
	for (uint32_t i = 0; good && i < opt->batch; i++) {
		buf_clear(&message);
		message_make(&message, number * opt->batch + i, opt->size, "sender@elsewhere.example", user->address);
		good = buf_appendf(out, " (\\Seen) {%zu%s}\r\n", message.len, opt->is_synchronising ? "" : "+");
		if (good && opt->is_synchronising) {
			good = client_send(c, buf_sv(out)) && wait_for(c, SV("+"));
			buf_clear(out);
		}
		good = good && buf_append(out, buf_sv(&message));
	}
	snprintf(ok, sizeof(ok), "p%u OK", c->tag);
	good = good && buf_append(out, SV("\r\n")) && client_send(c, buf_sv(out)) && wait_for(c, sv_z(ok));
	buf_done(&message);
	return good;
}

static void append_body(struct worker *w)
{
	const struct options *opt = w->opt;
	const struct user *user = &opt->users[w->number % opt->user_count];
	struct client c;
	struct buf out;
	uint64_t ticket;

	client_init(&c);
	buf_init(&out, (size_t)(opt->batch + 1) * ((size_t)opt->size * 2 + 4096));
	while (worker_next(w, &ticket)) {
		uint64_t started = now_us();
		bool ok = (c.fd >= 0 || imap_login(&c, opt, user)) && append(&c, opt, ticket, user, &out);

		if (ok) {
			samples_add(&w->part, now_us() - started);
			w->units += opt->batch;
			worker_done(w, started);
		} else {
			worker_failed(w, &c);
			client_close(&c);
		}
	}
	if (c.fd >= 0)
		(void)client_imap(&c, NULL, "LOGOUT");
	buf_done(&out);
	client_done(&c);
}

int scenario_append(const struct options *opt)
{
	return run_threads(opt, opt->connections, append_body, "messages");
}
