#include "tests/bench/load/scenarios.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/banned.h"

bool imap_login(struct client *c, const struct options *opt, const struct user *user)
{
	struct sv line;

	if (!client_connect(c, opt->host, opt->port, opt->wire) || !client_line(c, &line))
		return false;
	if (!sv_starts(line, SV("* OK")))
		return client_fail(c, "greeting: %.*s", SV_FMT(sv_sub(line, 0, 100)));
	if (opt->wire == WIRE_STARTTLS && (!client_imap(c, NULL, "STARTTLS") || !client_handshake(c)))
		return false;
	return client_imap(c, NULL, "LOGIN \"%s\" \"%s\"", user->address, user->password);
}

static void session_body(struct worker *w, bool (*session)(struct client *c, const struct options *opt))
{
	struct client c;
	uint64_t ticket;

	client_init(&c);
	while (worker_next(w, &ticket)) {
		uint64_t started = now_us(), before = c.received;
		bool ok = imap_login(&c, w->opt, &w->opt->users[ticket % w->opt->user_count]);
		if (ok)
			samples_add(&w->part, now_us() - started);
		ok = ok && session(&c, w->opt) && client_imap(&c, NULL, "LOGOUT");
		if (ok)
			worker_done(w, started);
		else
			worker_failed(w, &c);
		w->octets += c.received - before;
		client_close(&c);
	}
	client_done(&c);
}

/* login, SELECT, FETCH flags, LOGOUT */
static bool session_short(struct client *c, const struct options *opt)
{
	(void)opt;
	return client_imap(c, NULL, "SELECT INBOX") && client_imap(c, NULL, "FETCH 1:* FLAGS");
}

static void short_body(struct worker *w)
{
	session_body(w, session_short);
}

int scenario_imap_short(const struct options *opt)
{
	return run_threads(opt, opt->connections, short_body, NULL);
}

/* What a mail program does when it is opened: folders, flags of all, envelopes of the newest 50, one message read. */
static bool session_mix(struct client *c, const struct options *opt)
{
	struct imap_result r;
	(void)opt;

	if (!client_imap(c, NULL, "LIST \"\" \"*\"") || !client_imap(c, &r, "SELECT INBOX"))
		return false;
	if (r.exists < 1)
		return client_fail(c, "the mailbox is empty");
	return client_imap(c, NULL, "FETCH 1:* (UID FLAGS)") &&
	       client_imap(c, NULL, "FETCH %llu:* (UID ENVELOPE RFC822.SIZE INTERNALDATE)",
			   (unsigned long long)(r.exists > 50 ? r.exists - 49 : 1)) &&
	       client_imap(c, NULL, "FETCH %llu (BODY.PEEK[])", (unsigned long long)r.exists) &&
	       client_imap(c, NULL, "STORE %llu +FLAGS.SILENT (\\Seen)", (unsigned long long)r.exists);
}

static void mix_body(struct worker *w)
{
	session_body(w, session_mix);
}

int scenario_imap_mix(const struct options *opt)
{
	return run_threads(opt, opt->connections, mix_body, NULL);
}

/* What the server said of the mailbox; uidvalidity and modseq by a command that is not printed only, so that one which is
 * repeated asks the same each time. */
struct known {
	uint64_t exists, uidvalidity, modseq;
};

static void learn(struct known *k, const struct imap_result *r, bool is_printed)
{
	if (r->exists)
		k->exists = r->exists;
	if (r->uidvalidity && !is_printed)
		k->uidvalidity = r->uidvalidity;
	if (r->modseq && !is_printed)
		k->modseq = r->modseq;
}

/* The command of the nth time: # is a message number, %V and %M are UIDVALIDITY and HIGHESTMODSEQ. */
static bool expand(struct buf *out, struct sv text, const struct known *known, uint64_t n)
{
	buf_clear(out);
	for (; text.len; sv_skip(&text, 1)) {
		bool ok;
		if (*text.p == '#') {
			ok = buf_appendf(out, "%llu", (unsigned long long)((n * 7919 + 17) % (known->exists ? known->exists : 1) + 1));
		} else if (sv_starts(text, SV("%V")) || sv_starts(text, SV("%M"))) {
			ok = buf_appendf(out, "%llu", (unsigned long long)(text.p[1] == 'V' ? known->uidvalidity : known->modseq));
			sv_skip(&text, 1);
		} else {
			ok = buf_append_c(out, *text.p);
		}
		if (!ok)
			return false;
	}
	return true;
}

static int command_row(struct client *c, const char *label, const struct meter *meter, const struct imap_result *r,
		       uint64_t octets, struct samples *samples)
{
	struct json_out j;
	struct buf line;
	bool bottleneck;

	row_begin(&j, &line, label);
	meter_row(&j, meter, 1, &bottleneck);
	json_out_u64(&j, "ops", samples->count);
	json_out_u64(&j, "untagged", r->untagged);
	json_out_u64(&j, "literal_octets", r->literals);
	json_out_u64(&j, "octets", octets);
	samples_row(&j, "", samples);
	if (c->failed)
		json_out_z(&j, "error", c->error);
	return row_end(&j, c->failed ? "errors" : bottleneck ? "the generator was the bottleneck" : NULL);
}

static int one_command(struct client *c, const struct options *opt, struct sv spec, struct known *known)
{
	struct sv name, repeat;
	struct samples samples = { 0 };
	struct imap_result r = { 0 };
	struct meter meter;
	struct buf command;
	uint64_t times, before = c->received;
	char label[64];
	int status = 0;

	if (!sv_split(&spec, '|', &name) || !sv_split(&spec, '|', &repeat) || !sv_to_u64(repeat, &times) || !times) {
		fprintf(stderr, "load: a command is not NAME|REPEAT|COMMAND\n");
		return 2;
	}
	bool is_printed = !sv_starts(name, SV("-"));

	snprintf(label, sizeof(label), "%.*s", SV_FMT(name));
	buf_init(&command, 4096);
	meter_start(&meter);
	for (uint64_t n = 0; n < times && !c->failed; n++) {
		if (!expand(&command, spec, known, n)) {
			client_fail(c, "command too long");
			break;
		}
		uint64_t started = now_us();
		bool ok = sv_eq(spec, SV("CONNECT")) ? imap_login(c, opt, &opt->users[0]) :
						       client_imap(c, &r, "%.*s", SV_FMT(buf_sv(&command)));
		if (ok)
			samples_add(&samples, now_us() - started);
		learn(known, &r, is_printed);
	}
	if (is_printed) {
		status = command_row(c, label, &meter, &r, c->received - before, &samples);
	} else if (c->failed) {
		fprintf(stderr, "load: %s: %s\n", label, c->error);
		status = 1;
	}
	buf_done(&command);
	free(samples.us);
	return status;
}

/* Any commands, in turn, in one session of the first user. NAME|REPEAT|COMMAND: a row each. A name that begins with "-" is
 * done and not printed. The command CONNECT ends the session and begins another one, up to its login: that is where an index
 * is made again. */
int scenario_commands(const struct options *opt)
{
	struct client c;
	struct known known = { 0 };
	int status = 0;

	client_init(&c);
	for (size_t i = 0; i < opt->command_count && status != 2 && !c.failed; i++)
		status |= one_command(&c, opt, sv_z(opt->commands[i]), &known);
	if (!c.failed)
		(void)client_imap(&c, NULL, "LOGOUT");
	client_done(&c);
	return status;
}
