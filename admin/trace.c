/* postroom trace, postroom stats: what happened to messages, from the events that smtpd and its relay keep. Read from disk:
 * nothing need run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/date.h"
#include "common/eventstore.h"
#include "common/instance.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/provider.h"

#include "common/banned.h"

#define MESSAGES_MAX 50         /* of one address: the newest */
#define ID_SIZE 33
#define GROUPS_MAX 10000
#define AGES_MAX 100000
#define JSON_MAX ((size_t)64 << 20)

static struct sv text_of(const struct json *event, const char *name)
{
	struct sv text = SV_NONE;

	json_get_sv(event, name, &text);
	return text;
}

static int64_t number_of(const struct json *event, const char *name)
{
	int64_t n = 0;

	json_to_i64(json_get(event, name), &n);
	return n;
}

static int open_events(struct cli *cli, struct eventstore **out)
{
	struct fault f = eventstore_open(instance_path(cli->instance, INSTANCE_EVENTS), false, out);

	if (f.kind == FAULT_NOT_FOUND) {
		complain(NULL, "nothing has happened yet that could be told");
		return EXIT_NOT_FOUND;
	}
	return f.kind ? cli_fault("events", f) : EXIT_DONE;
}

/* ---- trace ---- */

struct tracing {
	char ids[MESSAGES_MAX][ID_SIZE];        /* queue ids, the newest ones */
	size_t count, next;
	bool as_json, is_first;
};

static bool note_id(void *arg, int64_t at_ms, struct sv text)
{
	struct tracing *t = arg;
	struct json *event = NULL;
	struct sv id;

	(void)at_ms;
	if (json_parse(text, &event).kind)
		return true;
	id = text_of(event, "queue_id");
	for (size_t i = 0; i < t->count && id.len; i++)
		if (sv_eq(sv_z(t->ids[i]), id))
			id = SV_NONE;
	if (id.len && id.len < ID_SIZE) {
		snprintf(t->ids[t->next], ID_SIZE, "%.*s", SV_FMT(id));
		t->next = (t->next + 1) % MESSAGES_MAX;
		if (t->count < MESSAGES_MAX)
			t->count++;
	}
	json_free(&event);
	return true;
}

static void say_time(int64_t at_ms)
{
	time_t at = (time_t)(at_ms / 1000);
	struct tm tm;
	char text[32];

	localtime_r(&at, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	printf("  %s  ", text);
}

/* age - "3 s", "5 min", "2 h". */
static void age(int64_t s, char out[32])
{
	if (s < 120)
		snprintf(out, 32, "%lld s", (long long)s);
	else if (s < 7200)
		snprintf(out, 32, "%lld min", (long long)(s / 60));
	else
		snprintf(out, 32, "%lld h", (long long)(s / 3600));
}

static void say_relay(const struct json *e, struct sv name)
{
	struct sv remote = text_of(e, "remote"), proof = text_of(e, "tls"), reply = text_of(e, "reply"), version = SV_NONE, cipher;
	char after[32];

	age(number_of(e, "age_s"), after);
	/* "TLSv1.3 CIPHER verified by DANE" */
	(void)sv_split(&proof, ' ', &version);
	(void)sv_split(&proof, ' ', &cipher);
	if (sv_eq(name, SV("relay.sent")))
		printf("<%.*s> sent after %s to %.*s, %s%.*s%s%.*s: %.*s\n", SV_FMT(text_of(e, "to")), after, SV_FMT(remote),
		       version.len ? "by " : "in clear", SV_FMT(version), proof.len ? ", " : "", SV_FMT(proof), SV_FMT(reply));
	else
		printf("<%.*s> %s after %s%s%.*s: %.*s\n", SV_FMT(text_of(e, "to")),
		       sv_eq(name, SV("relay.failed")) ? "failed for good" : "put off", after, remote.len ? " by " : "",
		       SV_FMT(remote), SV_FMT(reply));
}

/* say_more - a line of its own, below what it belongs to. */
static void say_more(const char *what, struct sv text)
{
	if (text.len)
		printf("  %19s  %s: %.*s\n", "", what, SV_FMT(text));
}

/* say_facts - what smtpd had found out about a stranger, and what its checks made of that. */
static void say_facts(const struct json *e)
{
	say_more("DNS and signatures", text_of(e, "results"));
	say_more("checks", text_of(e, "checks"));
}

static void say_refusal(const struct json *e, struct sv name)
{
	struct sv user = text_of(e, "user"), to = text_of(e, "to"), check = text_of(e, "check");

	printf("%s %.*s%s%.*s on %.*s: from <%.*s>%s%.*s%s: %lld %.*s%s%.*s%s\n",
	       sv_eq(name, SV("smtp.reject")) ? "refused:" : "put off:", SV_FMT(text_of(e, "peer")),
	       user.len ? ", logged in as " : "", SV_FMT(user), SV_FMT(text_of(e, "listener")), SV_FMT(text_of(e, "from")),
	       to.len ? " to <" : "", SV_FMT(to), to.len ? ">" : "", (long long)number_of(e, "code"), SV_FMT(text_of(e, "text")),
	       check.len > 1 ? " (check " : "", SV_FMT(check.len > 1 ? check : SV_NONE), check.len > 1 ? ")" : "");
	say_facts(e);
}

static void say_event(int64_t at_ms, const struct json *e)
{
	struct sv name = text_of(e, "event");

	say_time(at_ms);
	if (sv_eq(name, SV("smtp.accept"))) {
		struct sv user = text_of(e, "user"), tls = text_of(e, "tls"), peer = text_of(e, "peer");

		printf("accepted from %.*s%s%.*s on %.*s%s%.*s: from <%.*s>, %lld recipients, %lld octets\n", SV_FMT(peer),
		       user.len ? ", logged in as " : "", SV_FMT(user), SV_FMT(text_of(e, "listener")),
		       tls.len ? ", " : ", in clear", SV_FMT(tls), SV_FMT(text_of(e, "from")),
		       (long long)number_of(e, "recipients"), (long long)number_of(e, "size"));
		say_facts(e);
	} else if (sv_eq(name, SV("smtp.reject")) || sv_eq(name, SV("smtp.defer"))) {
		say_refusal(e, name);
	} else if (sv_eq(name, SV("queue.add"))) {
		printf("queued for %lld recipients elsewhere\n", (long long)number_of(e, "recipients"));
	} else if (sv_eq(name, SV("deliver.done"))) {
		printf("<%.*s> delivered to %.*s, mailbox %.*s\n", SV_FMT(text_of(e, "to")), SV_FMT(text_of(e, "account")),
		       SV_FMT(text_of(e, "mailbox")));
	} else if (sv_eq(name, SV("deliver.failed"))) {
		printf("<%.*s> could not be put into the mailbox: %.*s\n", SV_FMT(text_of(e, "to")), SV_FMT(text_of(e, "reason")));
	} else if (sv_eq(name, SV("smtp.complaint"))) {
		printf("<%.*s> complained of mail of %.*s (%.*s%s)\n", SV_FMT(text_of(e, "of")), SV_FMT(text_of(e, "about")),
		       SV_FMT(text_of(e, "type")), sv_eq(text_of(e, "believed"), SV("yes")) ? "" : ", not proven");
	} else if (sv_starts(name, SV("relay."))) {
		say_relay(e, name);
	} else if (sv_eq(name, SV("queue.notice"))) {
		printf("<%.*s> is told (%.*s notice %.*s)\n", SV_FMT(text_of(e, "to")), SV_FMT(text_of(e, "notice")),
		       SV_FMT(text_of(e, "notice_id")));
	} else if (sv_eq(name, SV("queue.remove"))) {
		struct sv by = text_of(e, "by");

		printf("left the queue%s%.*s\n", sv_eq(by, SV("relay")) ? "" : ": removed by ",
		       SV_FMT(sv_eq(by, SV("relay")) ? SV_NONE : by));
	} else {
		printf("%.*s\n", SV_FMT(name));
	}
}

static bool print_event(void *arg, int64_t at_ms, struct sv text)
{
	struct tracing *t = arg;
	struct json *event = NULL;

	if (json_parse(text, &event).kind)
		return true;
	if (t->as_json)
		printf("%s%.*s", t->is_first ? "[" : ",\n", SV_FMT(text));
	else
		say_event(at_ms, event);
	t->is_first = false;
	json_free(&event);
	return true;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int run_trace(struct cli *cli)
{
	struct eventstore *store = NULL;
	struct tracing *t;
	struct fault f;
	int code = open_events(cli, &store);

	if (code != EXIT_DONE)
		return code;
	t = xcalloc(1, sizeof(*t));
	t->as_json = cli->json;
	t->is_first = true;
	f = eventstore_find(store, sv_z(cli->args[0]), note_id, t);
	qsort(t->ids, t->count, ID_SIZE, by_id);        /* ids are in the order of time */
	for (size_t i = 0; i < t->count && !f.kind; i++) {
		if (!t->as_json)
			printf("%sMessage %s\n", i ? "\n" : "", t->ids[i]);
		f = eventstore_find(store, sv_z(t->ids[i]), print_event, t);
	}
	if (f.kind)
		code = cli_fault("events", f);
	else if (!t->count)
		code = cli_fault(cli->args[0], fault(FAULT_NOT_FOUND, "nothing is known of it"));
	else if (t->as_json)
		printf("%s]\n", t->is_first ? "[" : "");
	free(t);
	eventstore_close(&store);
	return code;
}

/* ---- stats ---- */

struct group {
	char name[256];
	uint64_t sent, deferred, failed;
	uint32_t *ages;         /* seconds */
	size_t age_count, age_cap;
};

struct reason {
	char text[160], name[256];
	uint64_t count;
};

struct stats {
	struct group *groups;
	size_t group_count;
	struct reason *reasons;
	size_t reason_count;
	const char *domain;
	bool by_provider;
	const struct conf_list *providers;
	uint64_t accepted;
};

static struct group *group_of(struct stats *s, struct sv name)
{
	struct group *g;

	for (size_t i = 0; i < s->group_count; i++)
		if (sv_eq(sv_z(s->groups[i].name), name))
			return &s->groups[i];
	if (s->group_count == GROUPS_MAX)
		return &s->groups[0];
	s->groups = xrealloc(s->groups, (s->group_count + 1) * sizeof(*s->groups));
	g = &s->groups[s->group_count++];
	*g = (struct group){ .sent = 0 };
	snprintf(g->name, sizeof(g->name), "%.*s", SV_FMT(sv_sub(name, 0, 255)));
	return g;
}

static void note_reason(struct stats *s, struct sv reply, const char *name)
{
	char text[160];

	snprintf(text, sizeof(text), "%.*s", SV_FMT(sv_sub(reply, 0, sizeof(text) - 1)));
	for (size_t i = 0; i < s->reason_count; i++)
		if (!strcmp(s->reasons[i].text, text) && !strcmp(s->reasons[i].name, name)) {
			s->reasons[i].count++;
			return;
		}
	if (s->reason_count == GROUPS_MAX)
		return;
	s->reasons = xrealloc(s->reasons, (s->reason_count + 1) * sizeof(*s->reasons));
	s->reasons[s->reason_count] = (struct reason){ .count = 1 };
	snprintf(s->reasons[s->reason_count].text, sizeof(text), "%s", text);
	snprintf(s->reasons[s->reason_count++].name, sizeof(s->reasons[0].name), "%s", name);
}

static bool count_event(void *arg, int64_t at_ms, struct sv text)
{
	struct stats *s = arg;
	struct json *e = NULL;
	struct sv name, to, domain, provider;
	struct group *g;
	size_t at;

	(void)at_ms;
	if (json_parse(text, &e).kind)
		return true;
	name = text_of(e, "event");
	to = text_of(e, "to");
	at = sv_rfind(to, '@');
	domain = at == SIZE_MAX ? SV_NONE : sv_sub(to, at + 1, SIZE_MAX);
	s->accepted += sv_eq(name, SV("smtp.accept"));
	if (sv_starts(name, SV("relay.")) && !sv_eq(text_of(e, "remote"), SV("local delivery")) &&
	    (!s->domain || sv_eq_nocase(domain, sv_z(s->domain)))) {
		provider = s->by_provider ? provider_of_remote(s->providers, text_of(e, "remote")) : SV_NONE;
		g = group_of(s, provider.len ? provider : domain);
		if (sv_eq(name, SV("relay.sent"))) {
			g->sent++;
			if (g->age_count == g->age_cap && g->age_cap < AGES_MAX) {
				g->age_cap = g->age_cap ? 2 * g->age_cap : 64;
				g->ages = xrealloc(g->ages, g->age_cap * sizeof(*g->ages));
			}
			if (g->age_count < g->age_cap)
				g->ages[g->age_count++] = (uint32_t)number_of(e, "age_s");
		} else {
			g->deferred += sv_eq(name, SV("relay.deferred"));
			g->failed += sv_eq(name, SV("relay.failed"));
			note_reason(s, text_of(e, "reply"), g->name);
		}
	}
	json_free(&e);
	return true;
}

static int by_age(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int by_most(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	uint64_t m = x->sent + x->deferred + x->failed, n = y->sent + y->deferred + y->failed;

	return m > n ? -1 : m < n ? 1 : strcmp(x->name, y->name);
}

static int by_count(const void *a, const void *b)
{
	const struct reason *x = a, *y = b;

	return x->count > y->count ? -1 : x->count < y->count;
}

static uint64_t percentile(const struct group *g, unsigned percent)
{
	return g->age_count ? g->ages[(g->age_count - 1) * percent / 100] : 0;
}

/* Both in the order in which they are told. */
static void sort_stats(struct stats *s)
{
	if (s->group_count)
		qsort(s->groups, s->group_count, sizeof(*s->groups), by_most);
	for (size_t i = 0; i < s->group_count; i++)
		if (s->groups[i].age_count)
			qsort(s->groups[i].ages, s->groups[i].age_count, sizeof(*s->groups[i].ages), by_age);
	if (s->reason_count)
		qsort(s->reasons, s->reason_count, sizeof(*s->reasons), by_count);
}

static void print_json(const struct stats *s)
{
	struct json_out j;
	struct buf out;

	buf_init(&out, JSON_MAX);
	json_out_init(&j, &out);
	json_out_array(&j, NULL);
	for (size_t i = 0; i < s->group_count; i++) {
		const struct group *g = &s->groups[i];

		json_out_object(&j, NULL);
		json_out_z(&j, s->by_provider ? "provider" : "domain", g->name);
		json_out_u64(&j, "sent", g->sent);
		json_out_u64(&j, "deferred", g->deferred);
		json_out_u64(&j, "failed", g->failed);
		json_out_u64(&j, "p50_s", percentile(g, 50));
		json_out_u64(&j, "p90_s", percentile(g, 90));
		json_out_u64(&j, "p99_s", percentile(g, 99));
		json_out_array(&j, "reasons");
		for (size_t k = 0; k < s->reason_count; k++) {
			const struct reason *r = &s->reasons[k];

			if (strcmp(r->name, g->name) != 0)
				continue;
			json_out_object(&j, NULL);
			json_out_u64(&j, "count", r->count);
			json_out_z(&j, "reason", r->text);
			json_out_object_end(&j);
		}
		json_out_array_end(&j);
		json_out_object_end(&j);
	}
	json_out_array_end(&j);
	printf("%.*s\n", SV_FMT(buf_sv(&out)));
	buf_done(&out);
}

static void print_groups(const struct stats *s)
{
	static const struct column by_domain[] = {
		{ "DOMAIN", "domain", COLUMN_TEXT, NULL },       { "SENT", "sent", COLUMN_NUMBER, NULL },
		{ "PUT OFF", "deferred", COLUMN_NUMBER, NULL },  { "FAILED", "failed", COLUMN_NUMBER, NULL },
		{ "HALF IN", "p50_s", COLUMN_NUMBER, NULL },     { "90 % IN", "p90_s", COLUMN_NUMBER, NULL },
		{ "99 % IN (s)", "p99_s", COLUMN_NUMBER, NULL },
	};
	static const struct column by_provider[] = {
		{ "PROVIDER", "provider", COLUMN_TEXT, NULL },   { "SENT", "sent", COLUMN_NUMBER, NULL },
		{ "PUT OFF", "deferred", COLUMN_NUMBER, NULL },  { "FAILED", "failed", COLUMN_NUMBER, NULL },
		{ "HALF IN", "p50_s", COLUMN_NUMBER, NULL },     { "90 % IN", "p90_s", COLUMN_NUMBER, NULL },
		{ "99 % IN (s)", "p99_s", COLUMN_NUMBER, NULL },
	};
	struct table *t = table_new(s->by_provider ? by_provider : by_domain, ARRAY_LEN(by_domain), false);

	for (size_t i = 0; i < s->group_count; i++) {
		const struct group *g = &s->groups[i];

		table_sv(t, sv_z(g->name));
		table_u64(t, g->sent);
		table_u64(t, g->deferred);
		table_u64(t, g->failed);
		table_u64(t, percentile(g, 50));
		table_u64(t, percentile(g, 90));
		table_u64(t, percentile(g, 99));
	}
	table_end(&t, "Nothing was sent in this time.");
}

static void print_reasons(const struct stats *s)
{
	static const struct column columns[] = {
		{ "TIMES", "count", COLUMN_NUMBER, NULL },
		{ "WHERE", "domain", COLUMN_TEXT, NULL },
		{ "REASON", "reason", COLUMN_TEXT, NULL },
	};
	struct table *t;

	if (!s->reason_count)
		return;
	printf("\nPut off or failed because of:\n");
	t = table_new(columns, ARRAY_LEN(columns), false);
	for (size_t i = 0; i < s->reason_count && i < 20; i++) {
		table_u64(t, s->reasons[i].count);
		table_sv(t, sv_z(s->reasons[i].name));
		table_sv(t, sv_z(s->reasons[i].text));
	}
	table_end(&t, NULL);
}

static int run_stats(struct cli *cli)
{
	struct stats s = { .domain = cli_option(cli, "domain"), .by_provider = cli_option(cli, "provider") != NULL };
	const char *since = cli_option(cli, "since");
	struct eventstore *store = NULL;
	struct conf *conf = NULL;
	uint64_t seconds = 7 * 86400;
	struct fault f;
	int code;

	if (since && !print_parse_ago(since, &seconds))
		return cli_usage(cli, "--since takes a time such as 12h or 30d");
	code = open_conf(cli, &conf);
	if (code == EXIT_DONE)
		code = open_events(cli, &store);
	if (code != EXIT_DONE) {
		conf_unref(&conf);
		return code;
	}
	s.providers = &conf->relay.providers;
	f = eventstore_since(store, (date_now().seconds - (int64_t)seconds) * 1000, count_event, &s);
	if (f.kind) {
		code = cli_fault("events", f);
	} else {
		sort_stats(&s);
		if (cli->json) {
			print_json(&s);
		} else {
			print_groups(&s);
			print_reasons(&s);
		}
	}
	for (size_t i = 0; i < s.group_count; i++)
		free(s.groups[i].ages);
	free(s.groups);
	free(s.reasons);
	eventstore_close(&store);
	conf_unref(&conf);
	return code;
}

const struct verb trace_verbs[] = {
	{ .noun = "trace", .args = "MESSAGE-ID|ADDRESS|QUEUE-ID", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Tell what happened to a message", .example = "trace friend@example.net", .run = run_trace },
	{ .noun = "stats", .args = "", .needs_root = true,
	  .summary = "Count what was sent, put off and refused, and why", .example = "stats --since 30d --provider",
	  .run = run_stats,
	  .options = { { "since", "TIME", "as 12h or 30d; without it 7d" }, { "domain", "NAME", "only recipients there" },
		       { "provider", NULL, "by who runs the other servers, not by domain" } } },
	{ .noun = NULL },
};
