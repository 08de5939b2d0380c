/* Checks of what runs: daemons, sandbox, certificates as clients see them, accounts, indexes, the queue, what others refuse. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "admin/checks.h"
#include "admin/daemons.h"
#include "admin/open.h"
#include "admin/probe.h"
#include "common/control.h"
#include "common/date.h"
#include "common/eventstore.h"
#include "common/instance.h"
#include "common/json.h"
#include "maildir/store.h"

#include "common/banned.h"

#define DAY_S 86400
#define ANSWER_MS 10000

/* ---- processes ---- */

static const char *daemons_down(const struct facts *facts, struct findings *fs)
{
	const char *down = NULL;

	for (size_t i = 0; i < DAEMON_COUNT; i++)
		if (daemon_is_wanted(facts->conf, i) && !daemon_answers(facts->cli->instance, daemon_names[i]))
			down = down ? findings_text(fs, "%s, %s", down, daemon_names[i]) : daemon_names[i];
	return down;
}

void check_format(const struct facts *facts, struct findings *fs)
{
	uint32_t format = instance_format(facts->cli->instance);
	struct finding f = { .subject = "format of the instance", .found = findings_text(fs, "format %u", format),
			     .expected = findings_text(fs, "format %d", INSTANCE_FORMAT) };

	if (format < INSTANCE_FORMAT) {
		f.state = CHECK_WARNING;
		f.meanwhile = "mail goes on in the older format, without what the newer one is for";
		f.mend = "postroom upgrade when older programs still run; else the log (serve.migrate.failed) says what stood in the way of postroom migrate";
	}
	findings_add(fs, f);
}

void check_running(const struct facts *facts, struct findings *fs)
{
	struct finding finding = { .subject = "server", .expected = "every program runs and every listener takes connections" };
	const char *down = daemons_down(facts, fs), *why;
	bool is_up = pidfile_holder(facts->cli->instance, "postroom") != 0;

	if (down) {
		finding.state = CHECK_FAULT;
		finding.found = is_up ? findings_text(fs, "no answer from %s", down) : "nothing runs";
		finding.meanwhile = "people cannot read or send, and mail from elsewhere waits at the other side";
		finding.mend = is_up ? "see the log (journalctl -u postroom, or run/server.log in the instance), then restart" :
				       "systemctl start postroom, or postroom serve --detach";
		findings_add(fs, finding);
		return;
	}
	for (size_t i = 0; i < facts->conf->listener_count; i++) {
		struct netaddr to;
		int fd;

		/* Mail goes on where another program has the ports of the web front. */
		if ((facts->conf->listeners[i].kind & LISTENERS_WEBD) || !probe_own_address(&facts->conf->listeners[i], &to))
			continue;
		fd = probe_connect(&to, 1, &why);
		if (fd >= 0) {
			close(fd);
			continue;
		}
		findings_add(fs, (struct finding){
			.state = CHECK_FAULT,
			.subject = findings_text(fs, "listener %s, port %u", facts->conf->listeners[i].name, to.port), .found = why,
			.expected = "it takes connections", .meanwhile = "nobody gets in by it",
			.mend = "a listener that was changed in postroom.conf needs a restart; see also postroom status" });
	}
	if (findings_worst(fs, fs->check) == CHECK_GOOD) {
		finding.found = "all of them";
		findings_add(fs, finding);
	}
}

struct layers {
	struct findings *fs;
	const char *daemon;
	bool is_missing;
};

static bool see_layers(void *arg, const struct json *line)
{
	struct layers *l = arg;
	const struct json *layers = json_get(line, "sandbox");

	for (size_t i = 0; i < json_count(layers) && !l->is_missing; i++) {
		struct sv name = SV_NONE, detail = SV_NONE;
		bool is_active = false;

		json_get_bool(json_at(layers, i), "active", &is_active);
		json_get_sv(json_at(layers, i), "layer", &name);
		json_get_sv(json_at(layers, i), "detail", &detail);
		if (is_active)
			continue;
		l->is_missing = true;
		findings_add(l->fs, (struct finding){
			.state = CHECK_WARNING, .subject = findings_text(l->fs, "sandbox of %s", l->daemon),
			.found = findings_text(l->fs, "%.*s is not active: %.*s", SV_FMT(name), SV_FMT(detail)), .expected = "every layer is active",
			.meanwhile = "an attacker who gets into a process could reach more than he should",
			.mend = "a newer kernel has it; in a container, let it use the system call" });
	}
	return true;
}

void check_sandbox(const struct facts *facts, struct findings *fs)
{
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		struct layers l = { .fs = fs, .daemon = daemon_names[i] };

		if (daemon_is_wanted(facts->conf, i) && !control_ask(facts->cli->instance, daemon_names[i], SV("{\"verb\":\"status\"}"), see_layers, &l, ANSWER_MS).kind &&
		    !l.is_missing)
			findings_add(fs, (struct finding){ .subject = findings_text(fs, "sandbox of %s", daemon_names[i]),
							   .found = "every layer is active", .expected = "every layer is active" });
	}
}

/* ---- certificates ---- */

#define ALARM_DAYS 14

/* One matter per certificate: the first of these that is wrong, since mending it mends the others. */
static struct finding judge_certificate(const struct facts *facts, struct findings *fs, const struct tls_cert_facts *cert,
					const char *doubt)
{
	const char *host = facts->conf->host.hostname;
	int64_t now = (int64_t)time(NULL), days = (cert->not_after_s - now) / DAY_S;
	enum tls_doubt kind = doubt ? tls_doubt_from(sv_z(doubt)) : TLS_DOUBT_NONE;
	bool is_stale = facts->has_cert && strcmp(cert->fingerprint, facts->cert.fingerprint) != 0;
	const char *renew = facts->conf->acme.directory[0] ?
				    "postroom cert renew, and the log of webd, tell why the authority gave no new one" :
				    "postroom setup DOMAIN --authority letsencrypt, and a restart; or get a new one into tls/cert.pem and "
				    "tls/key.pem, then postroom reload";
	struct finding f = { .subject = "certificate", .state = CHECK_FAULT, .mend = renew,
			     .expected = findings_text(fs, "for %s, from an authority that clients trust, with more than %d days left", host,
						       ALARM_DAYS) };

	if (is_stale) {
		f.found = "another one than in the file is served";
		f.expected = "the one in tls-certificate";
		f.meanwhile = "nothing, until the served one expires";
		f.mend = "postroom reload; if that does not help, the log says why the new one cannot be used";
		f.state = CHECK_WARNING;
	} else if (cert->not_after_s <= now) {
		f.found = findings_text(fs, "it expired %lld days ago", (long long)((now - cert->not_after_s) / DAY_S));
		f.meanwhile = "mail programs refuse to connect";
	} else if (cert->not_before_s > now) {
		f.found = "it is not valid yet";
		f.meanwhile = "mail programs refuse to connect";
		f.mend = "wait, or see that the clock of this machine is right";
	} else if (cert->is_self_signed) {
		f.state = facts->is_local ? CHECK_ADVICE : CHECK_WARNING;
		f.found = "it is self-signed";
		f.meanwhile = "mail programs ask whether to trust it, phones often refuse";
	} else if (kind == TLS_DOUBT_NAME) {
		f.found = findings_text(fs, "it is for %s", cert->names);
		f.meanwhile = "mail programs warn, phones often refuse";
	} else if (kind != TLS_DOUBT_NONE) {
		f.found = "nobody that this machine trusts vouches for it";
		f.meanwhile = "mail programs warn, phones often refuse";
		f.mend = "put the authority's intermediate certificates behind it in tls/cert.pem, then postroom reload";
	} else if (days < ALARM_DAYS) {
		f.state = CHECK_WARNING;
		f.found = findings_text(fs, "%lld days left", (long long)days);
		f.meanwhile = "nothing yet; when it has expired, mail programs refuse to connect";
	} else {
		f.state = CHECK_GOOD;
		f.found = findings_text(fs, "%lld days left", (long long)days);
		f.mend = NULL;
	}
	return f;
}

void check_certificates(const struct facts *facts, struct findings *fs)
{
	const char *ca_file = facts->conf->relay.ca_file[0] ? facts->conf->relay.ca_file : NULL, *doubt;
	struct tls_client *client = NULL;
	struct fault f = tls_client_new(ca_file, &client);
	struct finding worst = { .state = CHECK_GOOD };
	struct tls_cert_facts cert;

	for (size_t i = 0; !f.kind && i < facts->conf->listener_count; i++) {
		const struct conf_listener *l = &facts->conf->listeners[i];

		if ((l->tls != CONF_TLS_IMPLICIT && l->kind != LISTENER_MX) || (l->kind & LISTENERS_WEBD))
			continue;
		struct fault seen = probe_certificate(client, l, facts->conf->host.hostname, &cert, &doubt);
		struct finding finding = { .subject = findings_text(fs, "TLS of %s, port %llu", l->name, (unsigned long long)l->port),
					   .expected = "TLS with a certificate" };

		if (seen.kind) {
			finding.state = CHECK_FAULT;
			finding.found = findings_text(fs, "%s", seen.detail);
			finding.meanwhile = "mail programs and servers cannot connect securely";
			finding.mend = "the log says why; tls-certificate and tls-key name the files";
			findings_add(fs, finding);
			continue;
		}
		finding = judge_certificate(facts, fs, &cert, doubt);
		/* The listeners share it: it is told once. */
		if (!worst.subject || finding.state > worst.state)
			worst = finding;
	}
	if (worst.subject)
		findings_add(fs, worst);
	tls_client_free(&client);
}

/* ---- accounts ---- */

/* Both are promises to others: RFC 5321 §4.5.1, RFC 2142 §2. */
void check_roles(const struct facts *facts, struct findings *fs)
{
	struct directory *dir = NULL;

	if (open_directory(facts->cli, &dir) != EXIT_DONE)
		return;
	for (size_t i = 0; i < facts->domain_count; i++) {
		const char *const names[] = { "postmaster", "abuse" };

		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			struct directory_route route = { .answer = DIRECTORY_UNKNOWN };
			struct address *address = xcalloc(1, sizeof(*address));
			const char *text = findings_text(fs, "%s@%s", names[k], facts->domains[i]);
			struct arena arena;

			arena_init(&arena, (size_t)1 << 20);
			bool is_there = !address_parse(&arena, sv_z(text), address).kind &&
					!directory_resolve(dir, &arena, address, &route).kind && route.answer == DIRECTORY_TARGETS;

			findings_add(fs, (struct finding){
				.state = is_there ? CHECK_GOOD : CHECK_WARNING, .subject = text,
				.found = is_there ? "somebody reads it" : "nobody gets its mail", .expected = "somebody reads it",
				.meanwhile = is_there ? NULL : "complaints about mail from the domain reach nobody, and block lists may add it",
				.mend = is_there ? NULL : findings_text(fs, "postroom alias add %s SOMEBODY@%s", text, facts->domains[i]) });
			arena_done(&arena);
			free(address);
		}
	}
	directory_close(&dir);
}

/* ---- indexes ---- */

static void count_difference(void *arg, const char *mailbox, uint32_t uid, const char *what)
{
	uint64_t *count = arg;

	(void)mailbox;
	(void)uid;
	(void)what;
	(*count)++;
}

void check_indexes(const struct facts *facts, struct findings *fs)
{
	struct store *store = NULL;
	char **addresses = NULL;
	size_t count = 0, bad = 0;

	if (list_accounts(facts->cli, NULL, NULL, &addresses, &count) == EXIT_DONE && open_store(facts->cli, &store) == EXIT_DONE)
		for (size_t i = 0; i < count; i++) {
			uint64_t differences = 0, messages;
			struct fault f = store_index_check(store, sv_z(addresses[i]), count_difference, &differences, &messages);

			/* Nobody has logged in yet, or somebody works in it: nothing to compare now. */
			if ((!f.kind && !differences) || f.kind == FAULT_NOT_FOUND || f.kind == FAULT_BUSY)
				continue;
			bad++;
			findings_add(fs, (struct finding){
				.state = CHECK_WARNING, .subject = findings_text(fs, "index of %s", addresses[i]),
				.found = f.kind ? findings_text(fs, "it cannot be read: %s", f.detail ? f.detail : fault_name(f.kind)) :
						  findings_text(fs, "%llu differences from the files", (unsigned long long)differences),
				.expected = "the same as the files", .meanwhile = "mail programs may not see every message",
				.mend = findings_text(fs, "postroom index rebuild %s", addresses[i]) });
		}
	if (!bad)
		findings_add(fs, (struct finding){ .subject = "indexes", .found = findings_text(fs, "%zu accounts looked at", count),
						   .expected = "the same as the files" });
	store_close(&store);
	directory_addresses_free(&addresses, &count);
}

/* ---- the queue ---- */

struct waiting {
	uint64_t count;
	int64_t since_s;
	char reason[300];
	char domains[2][FACTS_NAME_SIZE];       /* two of them */
	struct paging place;
};

static bool note_waiting(void *arg, const struct json *line)
{
	struct waiting *w = arg;
	const struct json *to = json_get(line, "to");
	struct sv reason = SV_NONE, address = SV_NONE;
	int64_t since = 0;

	if (paging_take(&w->place, line))
		return true;
	w->count++;
	json_to_i64(json_get(line, "since"), &since);
	json_get_sv(line, "reason", &reason);
	if (!w->since_s || since < w->since_s) {
		w->since_s = since;
		snprintf(w->reason, sizeof(w->reason), "%.*s", SV_FMT(reason));
	}
	for (size_t i = 0; i < json_count(to); i++)
		if (json_to_sv(json_at(to, i), &address)) {
			struct sv domain = sv_sub(address, sv_rfind(address, '@') + 1, SIZE_MAX);

			if (!w->domains[0][0])
				snprintf(w->domains[0], FACTS_NAME_SIZE, "%.*s", SV_FMT(domain));
			else if (!w->domains[1][0] && !sv_eq(domain, sv_z(w->domains[0])))
				snprintf(w->domains[1], FACTS_NAME_SIZE, "%.*s", SV_FMT(domain));
		}
	return true;
}

/* One other server that does not answer is its own matter; mail for several that waits is likely ours. */
void check_queue(const struct facts *facts, struct findings *fs)
{
	uint64_t older_s = facts->conf->queue.delay_notice_ms / 1000;
	struct finding finding = { .subject = "queue", .expected = "mail for several domains does not wait for hours" };
	struct waiting w = { .count = 0 };
	struct fault f;

	do {
		struct buf request;
		struct json_out j;

		buf_init(&request, 500);
		json_out_init(&j, &request);
		json_out_object(&j, NULL);
		json_out_z(&j, "verb", "queue.list");
		json_out_u64(&j, "older", older_s);
		paging_put(&w.place, &j);
		json_out_object_end(&j);
		f = control_ask(facts->cli->instance, "smtpd", buf_sv(&request), note_waiting, &w, ANSWER_MS);
		buf_done(&request);
	} while (!f.kind && w.place.more[0]);
	if (f.kind) {
		finding.state = CHECK_UNKNOWN;
		finding.found = findings_text(fs, "%s", f.detail ? f.detail : fault_name(f.kind));
		finding.mend = "postroom queue list";
	} else if (w.domains[1][0]) {
		finding.state = CHECK_WARNING;
		finding.found = findings_text(fs, "%llu messages wait longer than queue-delay-notice, for %s, %s ...: %s",
					      (unsigned long long)w.count, w.domains[0], w.domains[1], w.reason);
		finding.meanwhile = "they are tried again, and go back to their senders after queue-lifetime";
		finding.mend = "postroom queue explain ID tells what stops a message; postroom queue destinations shows where it stops";
	} else {
		finding.found = w.count ? findings_text(fs, "%llu messages wait for %s alone", (unsigned long long)w.count, w.domains[0]) :
					  "nothing waits for long";
	}
	findings_add(fs, finding);
}

/* ---- what others refuse ---- */

#define REFUSALS_DAYS 7
#define PROVIDERS_MAX 32

/* What large providers say, in plain words; the first that fits. Texts are in lower case. */
static const struct {
	const char *words[3];           /* all of them are in the reply */
	const char *means, *mend;
} replies[] = {
	{ { "5.7.26" }, "they could not check that the mail is from the domain (SPF and DKIM failed)",
	  "postroom dns DOMAIN --check" },
	{ { "dmarc" }, "the mail failed DMARC: neither SPF nor DKIM was right for the From address", "postroom dns DOMAIN --check" },
	{ { "5.7.25" }, "our address has no name, or its name does not lead back to it", "have the PTR record set by your provider" },
	{ { "ptr" }, "our address has no name, or its name does not lead back to it", "have the PTR record set by your provider" },
	{ { "reverse" }, "our address has no name, or its name does not lead back to it", "have the PTR record set by your provider" },
	{ { "spamhaus" }, "our address stands in a list of Spamhaus", "see https://check.spamhaus.org why, and ask to be removed" },
	{ { "spf" }, "SPF does not let this server send for the domain", "postroom dns DOMAIN --check" },
	{ { "dkim" }, "our signature could not be checked", "postroom dns DOMAIN --check" },
	{ { "s3140" }, "Microsoft blocks our network", "ask at https://olcsupport.office.com to have the address let in" },
	{ { "s3150" }, "Microsoft blocks our network", "ask at https://olcsupport.office.com to have the address let in" },
	{ { "block", "list" }, "our address stands in a list of senders that are refused",
	  "the reply names the list; see there why, and ask to be removed" },
	{ { "rate" }, "they find that we send too much at once", "nothing for a single time; else look for an account that sends spam: postroom stats" },
	{ { "unsolicited" }, "they take our mail for spam", "look for an account that sends spam: postroom stats; then it passes with time" },
	{ { "reputation" }, "they do not trust our address yet", "it passes with time when little is sent and people want it" },
	{ { "spam" }, "they take our mail for spam", "look for an account that sends spam: postroom stats; then it passes with time" },
	{ { "5.7." }, "they refuse our mail by a rule of theirs", "the reply says more" },
};

struct refusal {
	char provider[FACTS_NAME_SIZE], reply[400];
	uint64_t count;
	int64_t last_ms;
};

struct refusals {
	struct refusal items[PROVIDERS_MAX];
	size_t count;
};

static bool has_words(struct sv reply, const char *const words[3])
{
	for (size_t i = 0; i < 3 && words[i]; i++)
		if (sv_search(reply, sv_z(words[i])) == SIZE_MAX)
			return false;
	return true;
}

static size_t meaning_of(struct sv reply)
{
	for (size_t i = 0; i < ARRAY_LEN(replies); i++)
		if (has_words(reply, replies[i].words))
			return i;
	return SIZE_MAX;
}

/* The last two labels of the server that said it. */
static struct sv provider_of(struct sv remote)
{
	struct sv host;
	size_t dot;

	if (!sv_split(&remote, ' ', &host) || !host.len)
		return SV("somebody");
	dot = sv_rfind(host, '.');
	dot = dot == SIZE_MAX || *host.p == '[' ? SIZE_MAX : sv_rfind(sv_sub(host, 0, dot), '.');
	return dot == SIZE_MAX ? host : sv_sub(host, dot + 1, SIZE_MAX);
}

static void note_refusal(struct refusals *all, struct sv remote, struct sv reply, int64_t at_ms)
{
	struct sv provider = provider_of(remote);
	struct refusal *r = NULL;

	for (size_t i = 0; i < all->count && !r; i++)
		if (sv_eq(sv_z(all->items[i].provider), provider))
			r = &all->items[i];
	if (!r && all->count < PROVIDERS_MAX) {
		r = &all->items[all->count++];
		snprintf(r->provider, sizeof(r->provider), "%.*s", SV_FMT(provider));
	}
	if (!r)
		return;
	r->count++;
	r->last_ms = at_ms;
	snprintf(r->reply, sizeof(r->reply), "%.*s", SV_FMT(reply));
}

static bool see_event(void *arg, int64_t at_ms, struct sv text)
{
	struct json *event = NULL;
	struct sv name = SV_NONE, remote = SV_NONE, reply = SV_NONE;
	char lower[400];

	if (json_parse(text, &event).kind)
		return true;
	json_get_sv(event, "event", &name);
	json_get_sv(event, "remote", &remote);
	json_get_sv(event, "reply", &reply);
	size_t n = reply.len < sizeof(lower) ? reply.len : sizeof(lower);

	for (size_t i = 0; i < n; i++)
		lower[i] = ascii_lower(reply.p[i]);
	/* A recipient who does not exist is the sender's matter; greylisting ends by itself. */
	if (sv_eq(name, SV("relay.failed")) && n && (lower[0] == '5' || lower[0] == '4') &&
	    meaning_of(sv_from(lower, n)) != SIZE_MAX)
		note_refusal(arg, remote, reply, at_ms);
	json_free(&event);
	return true;
}

void check_refusals(const struct facts *facts, struct findings *fs)
{
	int64_t now_ms = (int64_t)time(NULL) * 1000;
	struct refusals *all = xcalloc(1, sizeof(*all));
	struct eventstore *store = NULL;
	struct fault f = eventstore_open(instance_path(facts->cli->instance, INSTANCE_EVENTS), false, &store);

	if (!f.kind)
		f = eventstore_since(store, now_ms - (int64_t)REFUSALS_DAYS * DAY_S * 1000, see_event, all);
	for (size_t i = 0; i < all->count; i++) {
		struct refusal *r = &all->items[i];
		char lower[400];
		size_t n = strlen(r->reply);

		for (size_t k = 0; k < n; k++)
			lower[k] = ascii_lower(r->reply[k]);
		size_t m = meaning_of(sv_from(lower, n));

		findings_add(fs, (struct finding){
			.state = CHECK_WARNING, .subject = findings_text(fs, "mail to %s", r->provider),
			.found = findings_text(fs, "%llu refused in %d days: %s. Last: %s", (unsigned long long)r->count, REFUSALS_DAYS,
					       m == SIZE_MAX ? "" : replies[m].means, r->reply),
			.expected = "they take our mail", .meanwhile = "the mail went back to its senders",
			.mend = m == SIZE_MAX ? "the reply says why" : replies[m].mend });
	}
	if (!all->count)
		findings_add(fs, (struct finding){ .subject = "mail that leaves",
						   .found = findings_text(fs, "nobody has refused it as such in %d days", REFUSALS_DAYS),
						   .expected = "they take our mail" });
	eventstore_close(&store);
	free(all);
}
