/* postroom reports: what others tell about mail in our name (DMARC) and about TLS with our servers, from the reports that came to
 * `report-addresses`. Read from disk: nothing need run. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/print.h"
#include "admin/verbs.h"
#include "common/date.h"
#include "common/daybook.h"
#include "common/instance.h"
#include "common/json.h"
#include "common/memory.h"

#include "common/banned.h"

#define FOLDER "reports"        /* in the queue's: smtpd/feedback.h */
#define SEEN_SLOTS (1u << 16)
#define FAILURES_MAX 10000

/* Failures that several reports tell of. */
struct failing {
	char *ip, *domain, *what, *by, *kind;
	uint64_t count;
};

struct showing {
	const char *domain, *kind;
	bool as_json, has_rows;
	struct table *table;            /* of reports */
	uint64_t *seen;                 /* hashes of reports, so that one which came twice counts once */
	size_t seen_count;
	bool wants_failures;
	struct failing *failures;
	size_t count, left_out;
};

static struct sv text_of(const struct json *object, const char *name)
{
	struct sv text = SV_NONE;

	(void)json_get_sv(object, name, &text);
	return text;
}

static uint64_t number_of(const struct json *object, const char *name)
{
	uint64_t n = 0;

	(void)json_get_u64(object, name, &n);
	return n;
}

/* is_new - the same report may come twice (RFC 9990 §3.5.4). */
static bool is_new(struct showing *s, const struct json *report)
{
	struct buf key;
	uint64_t hash;

	buf_init(&key, 4096);
	(void)buf_appendf(&key, "%.*s\n%.*s\n%.*s\n%.*s", SV_FMT(text_of(report, "kind")), SV_FMT(text_of(report, "by")),
			  SV_FMT(text_of(report, "id")), SV_FMT(text_of(report, "domain")));
	hash = sv_hash(buf_sv(&key)) | 1;
	buf_done(&key);
	for (size_t i = hash % SEEN_SLOTS; s->seen_count < SEEN_SLOTS / 2; i = (i + 1) % SEEN_SLOTS) {
		if (s->seen[i] == hash)
			return false;
		if (s->seen[i])
			continue;
		s->seen[i] = hash;
		s->seen_count++;
		break;
	}
	return true;
}

static void add_failure(struct showing *s, const struct json *report, const struct json *row)
{
	struct sv ip = text_of(row, "ip"), domain = text_of(row, "domain"), what = text_of(row, "what"),
		  kind = text_of(report, "kind");
	struct failing *f = NULL;

	for (size_t i = 0; i < s->count && !f; i++)
		if (sv_eq(sv_z(s->failures[i].ip), ip) && sv_eq(sv_z(s->failures[i].domain), domain) &&
		    sv_eq(sv_z(s->failures[i].what), what) && sv_eq(sv_z(s->failures[i].kind), kind))
			f = &s->failures[i];
	if (!f && s->count == FAILURES_MAX) {
		s->left_out++;
		return;
	}
	if (!f) {
		f = &s->failures[s->count++];
		*f = (struct failing){ sv_copy_z(ip), sv_copy_z(domain), sv_copy_z(what), sv_copy_z(text_of(report, "by")),
				       sv_copy_z(kind), 0 };
	}
	f->count += number_of(row, "count");
}

/* show_report - @line: as it is kept. */
static void show_report(struct showing *s, const struct json *report, struct sv line)
{
	bool is_proven = false;

	if (s->as_json) {
		printf("%s%.*s", s->has_rows ? ",\n" : "[", SV_FMT(line));
		s->has_rows = true;
		return;
	}
	(void)json_get_bool(report, "proven", &is_proven);
	table_u64(s->table, number_of(report, "begin") ? number_of(report, "begin") : number_of(report, "at"));
	table_sv(s->table, text_of(report, "kind"));
	table_sv(s->table, text_of(report, "domain"));
	table_sv(s->table, text_of(report, "by"));
	table_sv(s->table, text_of(report, "policy"));
	table_u64(s->table, number_of(report, "passed"));
	table_u64(s->table, number_of(report, "failed"));
	table_u64(s->table, is_proven);
}

static void take_line(struct showing *s, struct sv line)
{
	const struct json *rows;
	struct json *report = NULL;

	if (json_parse(line, &report).kind)
		return;
	if ((s->domain && !sv_eq_nocase(text_of(report, "domain"), sv_z(s->domain))) ||
	    (s->kind && !sv_eq(text_of(report, "kind"), sv_z(s->kind))) || !is_new(s, report)) {
		json_free(&report);
		return;
	}
	rows = json_get(report, "failures");
	if (!s->wants_failures)
		show_report(s, report, line);
	for (size_t i = 0; s->wants_failures && i < json_count(rows); i++)
		add_failure(s, report, json_at(rows, i));
	json_free(&report);
}

static int by_count(const void *a, const void *b)
{
	const struct failing *x = a, *y = b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : strcmp(x->ip, y->ip);
}

static void show_failures(struct showing *s)
{
	static const struct column columns[] = {
		{ "COUNT", "count", COLUMN_NUMBER, NULL },
		{ "KIND", "kind", COLUMN_TEXT, NULL },
		{ "FROM OR TO", "ip", COLUMN_TEXT, NULL },
		{ "DOMAIN", "domain", COLUMN_TEXT, NULL },
		{ "WHAT", "what", COLUMN_TEXT, NULL },
		{ "TOLD BY", "by", COLUMN_TEXT, NULL },
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns), s->as_json);

	if (s->count)
		qsort(s->failures, s->count, sizeof(*s->failures), by_count);
	for (size_t i = 0; i < s->count; i++) {
		table_u64(t, s->failures[i].count);
		table_sv(t, sv_z(s->failures[i].kind));
		table_sv(t, sv_z(s->failures[i].ip));
		table_sv(t, sv_z(s->failures[i].domain));
		table_sv(t, sv_z(s->failures[i].what));
		table_sv(t, sv_z(s->failures[i].by));
	}
	table_end(&t, "No report tells of a failure.");
	if (s->left_out)
		complain(NULL, "%zu more failures are not shown", s->left_out);
}

static int show(struct cli *cli, struct showing *s, uint64_t seconds)
{
	int64_t now_s = date_now().seconds, day_s = now_s - (int64_t)seconds - DAYBOOK_DAY_S + 1;
	char folder[4096];
	struct buf text;
	struct sv rest, line;
	struct fault f = FAULT_OK;

	snprintf(folder, sizeof(folder), "%s/" FOLDER, instance_path(cli->instance, INSTANCE_QUEUE));
	buf_init(&text, DAYBOOK_DAY_MAX + (4u << 20));
	while (!f.kind && daybook_first(folder, day_s, now_s, &day_s)) {
		buf_clear(&text);
		f = daybook_read(folder, day_s, &text);
		rest = buf_sv(&text);
		while (!f.kind && sv_split(&rest, '\n', &line))
			take_line(s, line);
		day_s++;
	}
	buf_done(&text);
	return f.kind ? cli_fault("reports", f) : EXIT_DONE;
}

static int run_reports(struct cli *cli)
{
	static const struct column columns[] = {
		{ "DAY", "begin", COLUMN_TIME, NULL },
		{ "KIND", "kind", COLUMN_TEXT, NULL },
		{ "DOMAIN", "domain", COLUMN_TEXT, NULL },
		{ "TOLD BY", "by", COLUMN_TEXT, NULL },
		{ "POLICY", "policy", COLUMN_TEXT, NULL },
		{ "PASSED", "passed", COLUMN_NUMBER, NULL },
		{ "FAILED", "failed", COLUMN_NUMBER, NULL },
		{ "PROVEN", "proven", COLUMN_BOOL, NULL },
	};
	const char *since = cli_option(cli, "since");
	struct showing s = { .domain = cli_option(cli, "domain"), .kind = cli_option(cli, "kind"), .as_json = cli->json,
			     .wants_failures = cli_option(cli, "failures") != NULL };
	uint64_t seconds = 30 * 86400;
	int code;

	if (since && !print_parse_ago(since, &seconds))
		return cli_usage(cli, "--since takes a time such as 12h or 30d");
	if (s.kind && strcmp(s.kind, "dmarc") != 0 && strcmp(s.kind, "tls") != 0 && strcmp(s.kind, "complaint") != 0)
		return cli_usage(cli, "--kind takes dmarc, tls or complaint");
	s.seen = xcalloc(SEEN_SLOTS, sizeof(*s.seen));
	s.failures = s.wants_failures ? xcalloc(FAILURES_MAX, sizeof(*s.failures)) : NULL;
	s.table = s.wants_failures || s.as_json ? NULL : table_new(columns, ARRAY_LEN(columns), false);
	code = show(cli, &s, seconds);
	if (s.table)
		(void)table_close(&s.table, code, "No reports have come. Name your rua= addresses in report-addresses (doc/receiving.md).");
	else if (code == EXIT_DONE && s.wants_failures)
		show_failures(&s);
	else if (code == EXIT_DONE)
		printf("%s]\n", s.has_rows ? "" : "[");
	for (size_t i = 0; i < s.count; i++) {
		free(s.failures[i].ip);
		free(s.failures[i].domain);
		free(s.failures[i].what);
		free(s.failures[i].by);
		free(s.failures[i].kind);
	}
	free(s.failures);
	free(s.seen);
	return code;
}

const struct verb reports_verbs[] = {
	{ .noun = "reports", .args = "", .needs_root = true,
	  .summary = "Show what others report about mail in your name and TLS with your servers, and who complained",
	  .example = "reports --domain example.org --since 30d --failures", .run = run_reports,
	  .options = { { "domain", "NAME", "only reports about that domain" },
		       { "since", "TIME", "as 12h or 30d; without it 30d" },
		       { "kind", "dmarc|tls|complaint", "only reports of that kind" },
		       { "failures", NULL, "what failed, from all reports together, most first" } } },
	{ .noun = NULL },
};
