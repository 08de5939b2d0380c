/* postroom import imap: options and tables of accounts, what came of it. The work is admin/imap_move.c. */
#include "admin/import_imap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/csv.h"
#include "admin/imap_move.h"
#include "admin/input.h"
#include "admin/open.h"
#include "admin/print.h"
#include "common/memory.h"

#include "common/banned.h"

#define TABLE_MAX ((size_t)16 << 20)
#define SECRET_FILE_MAX 4096
#define FIELD_MAX 4096

enum field { FIELD_HOST, FIELD_PORT, FIELD_TLS, FIELD_FINGERPRINT, FIELD_USER, FIELD_PASSWORD, FIELD_PASSWORD_FILE, FIELD_ACCOUNT, FIELD_COUNT };

static const char *const field_names[FIELD_COUNT] = {
	"host", "port", "tls", "fingerprint", "user", "password", "password_file", "account",
};

/* One account to be moved. */
struct job {
	char *text[FIELD_COUNT];        /* FIELD_PASSWORD: found, wherever it came from; others may be NULL */
	uint16_t port;
	enum imap_client_tls tls;
};

struct jobs {
	struct job *items;
	size_t count;
};

static void jobs_done(struct jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		for (enum field f = 0; f < FIELD_COUNT; f++)
			secret_free(&jobs->items[i].text[f]);
	free(jobs->items);
}

/* ---- what is to be moved ---- */

/* The first line of a file. The exit code; *out is set when that is EXIT_DONE. */
static int read_secret_file(const char *path, char **out)
{
	struct buf text;
	struct sv line, rest;
	int code = EXIT_DONE;

	buf_init(&text, SECRET_FILE_MAX);
	if (!read_input(path, &text)) {
		code = errno == ENOENT ? EXIT_NOT_FOUND : tell_unreadable(path);
		if (code == EXIT_NOT_FOUND)
			complain("name a file whose first line is the password there", "%s: not found", path);
	} else {
		rest = buf_sv(&text);
		(void)sv_split(&rest, '\n', &line);
		if (line.len && line.p[line.len - 1] == '\r')
			line.len--;
		if (line.len && !memchr(line.p, '\0', line.len)) {
			*out = sv_copy_z(line);
		} else {
			complain(NULL, "%s: the first line has to be the password", path);
			code = EXIT_FAILED;
		}
	}
	buf_wipe(&text);
	return code;
}

static bool read_tls(const char *text, enum imap_client_tls *out)
{
	static const char *const words[] = { "implicit", "starttls", "none" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(text, words[i]) == 0) {
			*out = (enum imap_client_tls)i;
			return true;
		}
	return false;
}

/* Colons, which openssl prints, are taken out. */
static bool read_fingerprint(char *text)
{
	size_t n = 0;

	for (const char *p = text; *p; p++) {
		if (*p == ':')
			continue;
		if (ascii_hex(*p) < 0)
			return false;
		text[n++] = ascii_lower(*p);
	}
	text[n] = '\0';
	return n == 64;
}

/* What a job lacks; NULL: nothing. */
static const char *check_job(struct job *job)
{
	uint32_t port = 0;

	if (!job->text[FIELD_HOST])
		return "which server? --host NAME";
	if (!job->text[FIELD_USER])
		return "who is it there? --user NAME";
	if (!job->text[FIELD_ACCOUNT])
		return "whose mail is it here? --account ADDRESS";
	if (job->text[FIELD_PORT] && (!sv_to_u32(sv_z(job->text[FIELD_PORT]), &port) || !port || port > UINT16_MAX))
		return "a port is a number up to 65535";
	job->port = (uint16_t)port;
	if (job->text[FIELD_TLS] && !read_tls(job->text[FIELD_TLS], &job->tls))
		return "TLS is implicit, starttls or none";
	if (job->text[FIELD_FINGERPRINT] && !read_fingerprint(job->text[FIELD_FINGERPRINT]))
		return "a fingerprint is SHA-256, 64 hexadecimal digits";
	if (job->text[FIELD_FINGERPRINT] && job->tls == IMAP_CLIENT_CLEAR)
		return "without TLS there is no certificate, and no fingerprint";
	return NULL;
}

/* From the options, which a table's columns go before. */
static void fill_from_options(struct cli *cli, struct job *job)
{
	static const struct { enum field field; const char *option; } options[] = {
		{ FIELD_HOST, "host" },               { FIELD_PORT, "port" }, { FIELD_TLS, "tls" },
		{ FIELD_FINGERPRINT, "fingerprint" }, { FIELD_USER, "user" }, { FIELD_PASSWORD_FILE, "password-file" },
		{ FIELD_ACCOUNT, "account" },
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const char *value = cli_option(cli, options[i].option);

		if (value && !job->text[options[i].field])
			job->text[options[i].field] = xstrdup(value);
	}
}

static int one_job(struct cli *cli, struct jobs *jobs)
{
	struct job *job = jobs->items = xcalloc(1, sizeof(*jobs->items));

	jobs->count = 1;
	fill_from_options(cli, job);
	const char *why = check_job(job);

	if (why)
		return cli_usage(cli, "%s", why);
	if (job->text[FIELD_PASSWORD_FILE])
		return read_secret_file(job->text[FIELD_PASSWORD_FILE], &job->text[FIELD_PASSWORD]);
	job->text[FIELD_PASSWORD] = cli_ask_secret("Password there");
	return job->text[FIELD_PASSWORD] ? EXIT_DONE : EXIT_FAILED;
}

static enum field field_of(struct sv name)
{
	enum field f = 0;

	while (f < FIELD_COUNT && !sv_eq_nocase(sv_trim(name), sv_z(field_names[f])))
		f++;
	return f;
}

/* One line of the table: into a job, or, the first one, into the columns. */
static const char *take_line(struct cli *cli, struct sv line, enum field columns[FIELD_COUNT], size_t *column_count, struct jobs *jobs)
{
	struct buf fields[FIELD_COUNT];
	struct job job = { { NULL }, 0, IMAP_CLIENT_IMPLICIT };
	bool is_header = !*column_count;
	size_t count;
	struct fault f = csv_split(line, fields, FIELD_COUNT, FIELD_MAX, &count);
	const char *why = f.kind ? f.detail : NULL;

	if (!why && !is_header && count != *column_count)
		why = "not as many fields as the first line has";
	for (size_t i = 0; i < count && !why; i++) {
		if (is_header) {
			columns[i] = field_of(buf_sv(&fields[i]));
			why = columns[i] == FIELD_COUNT ? "the first line names the columns: host, port, tls, fingerprint, user, password, "
							  "password_file, account" : NULL;
		} else if (fields[i].len && !job.text[columns[i]]) {
			job.text[columns[i]] = sv_copy_z(buf_sv(&fields[i]));
		}
	}
	for (size_t i = 0; i < count; i++)
		buf_wipe(&fields[i]);
	if (is_header) {
		*column_count = count;
		return why;
	}
	fill_from_options(cli, &job);
	why = why ? why : check_job(&job);
	if (!why && !job.text[FIELD_PASSWORD] && job.text[FIELD_PASSWORD_FILE] &&
	    read_secret_file(job.text[FIELD_PASSWORD_FILE], &job.text[FIELD_PASSWORD]) != EXIT_DONE)
		why = "the password of this account cannot be read";
	if (!why && !job.text[FIELD_PASSWORD])
		why = "no password: columns password or password_file";
	jobs->items = xrealloc(jobs->items, (jobs->count + 1) * sizeof(*jobs->items));
	jobs->items[jobs->count++] = job;
	return why;
}

/* Nothing is begun before all of the table is understood. */
static int read_table(struct cli *cli, const char *path, struct jobs *jobs)
{
	enum field columns[FIELD_COUNT];
	size_t column_count = 0, number = 0;
	int code = EXIT_DONE;
	struct sv rest, line;
	struct buf text;

	buf_init(&text, TABLE_MAX);
	if (!read_input(path, &text)) {
		buf_wipe(&text);
		return tell_unreadable(path);
	}
	rest = buf_sv(&text);
	while (code == EXIT_DONE && sv_split(&rest, '\n', &line)) {
		const char *why;

		number++;
		line = sv_trim(line);
		if (!line.len || line.p[0] == '#')
			continue;
		why = take_line(cli, line, columns, &column_count, jobs);
		if (why) {
			complain(NULL, "%s:%zu: %s", path, number, why);
			code = EXIT_FAILED;
		}
	}
	buf_wipe(&text);
	if (code == EXIT_DONE && !jobs->count) {
		complain(NULL, "%s names no account", path);
		code = EXIT_FAILED;
	}
	return code;
}

/* ---- moving ---- */

struct summary {
	struct table *table;
	const char *account;            /* of the row that comes next; NULL: there is only one */
	struct progress progress;
	uint64_t found, imported, present, changed, gone, left_out;
};

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct summary *s = arg;

	progress_update(&s->progress, done, total);
}

static void show_mailbox(void *arg, const struct imap_move_result *r)
{
	struct summary *s = arg;

	if (s->account)
		table_sv(s->table, sv_z(s->account));
	table_sv(s->table, r->mailbox);
	table_sv(s->table, r->from);
	table_u64(s->table, r->found);
	table_u64(s->table, r->imported);
	table_u64(s->table, r->present);
	table_u64(s->table, r->changed);
	table_u64(s->table, r->gone);
	table_u64(s->table, r->left_out);
	table_sv(s->table, r->notes);
	s->found += r->found;
	s->imported += r->imported;
	s->present += r->present;
	s->changed += r->changed;
	s->gone += r->gone;
	s->left_out += r->left_out;
}

static int code_of(enum fault_kind kind)
{
	switch (kind) {
	case FAULT_NONE:        return EXIT_DONE;
	case FAULT_NOT_FOUND:   return EXIT_NOT_FOUND;
	case FAULT_BUSY:
	case FAULT_IN_USE:
	case FAULT_UNAVAILABLE: return EXIT_UNAVAILABLE;
	default:                return EXIT_FAILED;
	}
}

static void tell_sum(const struct summary *s, const struct job *job, bool is_dry)
{
	printf("%s: %s%llu of %llu messages imported, %llu were there already, %llu of these have changed flags\n",
	       job->text[FIELD_ACCOUNT], is_dry ? "would be: " : "", (unsigned long long)s->imported, (unsigned long long)s->found,
	       (unsigned long long)s->present, (unsigned long long)s->changed);
	if (s->gone)
		printf("%s: %llu messages are gone at %s since an earlier run; here they stay\n", job->text[FIELD_ACCOUNT],
		       (unsigned long long)s->gone, job->text[FIELD_HOST]);
}

static int move_one(struct cli *cli, const struct job *job, struct summary *s)
{
	const struct imap_move_events events = { .progress = show_progress, .mailbox = show_mailbox, .arg = s };
	const struct imap_move_options options = {
		.source = { .host = job->text[FIELD_HOST], .port = job->port, .tls = job->tls, .fingerprint = job->text[FIELD_FINGERPRINT],
			    .user = job->text[FIELD_USER], .password = job->text[FIELD_PASSWORD] },
		.exclude = cli_option(cli, "exclude"),
		.is_dry = cli_option(cli, "dry-run") != NULL,
	};
	struct open_user user;
	char what[300];
	int code = open_user_beyond_quota(cli, job->text[FIELD_ACCOUNT], &user);

	if (code != EXIT_DONE)
		return code;
	snprintf(what, sizeof(what), "%s %s", options.is_dry ? "Looking at" : "Importing", job->text[FIELD_ACCOUNT]);
	progress_start(&s->progress, what, "messages");
	struct fault f = imap_move(user.user, &options, &events);

	progress_end(&s->progress);
	if (f.kind)
		complain(f.kind == FAULT_UNAVAILABLE && s->imported ? "run it again: it goes on where it was" : NULL, "%s: %s",
			 job->text[FIELD_ACCOUNT], f.detail ? f.detail : fault_name(f.kind));
	close_user(&user);
	return code_of(f.kind);
}

static int move_all(struct cli *cli, const struct jobs *jobs, bool is_table)
{
	static const struct column columns[] = {
		{ "ACCOUNT", "account", COLUMN_TEXT, NULL },
		{ "MAILBOX", "mailbox", COLUMN_TEXT, NULL },
		{ "FROM", "from", COLUMN_TEXT, NULL },
		{ "MESSAGES", "messages", COLUMN_NUMBER, NULL },
		{ "IMPORTED", "imported", COLUMN_NUMBER, NULL },
		{ "THERE", "already_there", COLUMN_NUMBER, NULL },
		{ "FLAGS", "flags_changed", COLUMN_NUMBER, NULL },
		{ "GONE", "gone_at_source", COLUMN_NUMBER, NULL },
		{ "LEFT OUT", "left_out", COLUMN_NUMBER, NULL },
		{ "NOTES", "notes", COLUMN_TEXT, NULL },
	};
	struct summary *sums = xcalloc(jobs->count, sizeof(*sums));
	bool is_dry = cli_option(cli, "dry-run") != NULL;
	struct table *table = table_new(columns + !is_table, ARRAY_LEN(columns) - !is_table, cli->json);
	uint64_t left_out = 0;
	int code = EXIT_DONE;

	for (size_t i = 0; i < jobs->count; i++) {
		sums[i].table = table;
		sums[i].account = is_table ? jobs->items[i].text[FIELD_ACCOUNT] : NULL;
		int one = move_one(cli, &jobs->items[i], &sums[i]);

		code = one == EXIT_DONE ? code : is_table ? EXIT_FAILED : one;
		left_out += sums[i].left_out;
	}
	table_end(&table, NULL);
	for (size_t i = 0; i < jobs->count && !cli->json; i++)
		tell_sum(&sums[i], &jobs->items[i], is_dry);
	free(sums);
	if (code == EXIT_DONE && left_out) {
		complain("look at NOTES", "%llu messages or mailboxes were left out", (unsigned long long)left_out);
		code = EXIT_FAILED;
	}
	return code;
}

int import_imap(struct cli *cli)
{
	const char *table = cli_option(cli, "accounts");
	struct jobs jobs = { NULL, 0 };
	int code = table ? read_table(cli, table, &jobs) : one_job(cli, &jobs);

	if (code == EXIT_DONE)
		code = cli_open_instance(cli);
	if (code == EXIT_DONE)
		code = move_all(cli, &jobs, table != NULL);
	jobs_done(&jobs);
	return code;
}
