/* postroom sieve check|test: mail filters tried without mail */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/input.h"
#include "admin/print.h"
#include "admin/sieve.h"
#include "admin/verbs.h"
#include "common/address.h"
#include "common/memory.h"
#include "common/sieve/sieve.h"
#include "maildir/addressbook.h"

#include "common/banned.h"

#define MESSAGE_MAX ((size_t)256 << 20)
#define PATH_LEN 4096

/* Included scripts: personal ones stand beside the script, global ones in the folder that --global names. */
struct folders {
	char personal[PATH_LEN];
	const char *global;
};

static bool load_included(void *arg, enum sieve_location where, struct sv name, struct buf *out)
{
	const struct folders *folders = arg;
	const char *folder = where == SIEVE_GLOBAL ? folders->global : folders->personal;
	char path[PATH_LEN];

	if (!folder)
		return false;
	for (int with_suffix = 1; with_suffix >= 0; with_suffix--) {
		int n = snprintf(path, sizeof(path), "%s/%.*s%s", folder, SV_FMT(name), with_suffix ? ".sieve" : "");

		if (n > 0 && (size_t)n < sizeof(path) && read_input(path, out))
			return true;
		buf_clear(out);
	}
	return false;
}

void tell_sieve_errors(const struct cli *cli, const char *path, const struct sieve_errors *errors)
{
	static const struct column columns[] = {
		{ "SCRIPT", "script", COLUMN_TEXT, NULL }, { "LINE", "line", COLUMN_NUMBER, NULL },
		{ "COLUMN", "column", COLUMN_NUMBER, NULL }, { "ERROR", "error", COLUMN_TEXT, NULL },
	};
	struct table *table = cli->json ? table_new(columns, ARRAY_LEN(columns), true) : NULL;

	for (size_t i = 0; i < errors->count; i++) {
		const struct sieve_error *e = &errors->list[i];
		const char *script = *e->script ? e->script : path;

		if (table) {
			table_sv(table, sv_z(script));
			table_u64(table, e->line);
			table_u64(table, e->column);
			table_sv(table, sv_z(e->text));
		} else {
			fprintf(stderr, "%s:%u:%u: %s\n", script, e->line, e->column, e->text);
		}
	}
	if (table)
		table_end(&table, NULL);
}

static int compile(struct cli *cli, struct sieve_script **out)
{
	const char *path = cli->args[0], *slash = strrchr(path, '/');
	struct folders folders = { .personal = ".", .global = cli_option(cli, "global") };
	struct sieve_loader loader = { load_included, &folders };
	struct sieve_errors errors;
	struct buf text;

	if (slash && (size_t)(slash - path) < sizeof(folders.personal)) {
		memcpy(folders.personal, path, (size_t)(slash - path));
		folders.personal[slash - path] = '\0';
		if (slash == path)
			memcpy(folders.personal, "/", 2);
	}
	buf_init(&text, SIEVE_SCRIPT_MAX + 1);
	if (!read_input(path, &text) && errno != EFBIG) {
		int code = tell_unreadable(path);
		buf_done(&text);
		return code;
	}
	struct fault f = sieve_compile(buf_sv(&text), &loader, out, &errors);
	buf_done(&text);
	if (!f.kind)
		return EXIT_DONE;
	tell_sieve_errors(cli, path, &errors);
	return EXIT_FAILED;
}

static int run_check(struct cli *cli)
{
	struct sieve_script *script = NULL;
	int code = compile(cli, &script);

	if (code == EXIT_DONE && cli->json)
		printf("[]\n");
	else if (code == EXIT_DONE)
		printf("%s: no errors\n", cli->args[0]);
	sieve_script_free(&script);
	return code;
}

static int run_extensions(struct cli *cli)
{
	struct buf names;
	struct sv rest, name;
	static const struct column columns[] = { { "EXTENSION", "extension", COLUMN_TEXT, NULL } };
	struct table *table = table_new(columns, ARRAY_LEN(columns), cli->json);

	buf_init(&names, 4096);
	(void)sieve_capabilities(&names);
	for (rest = buf_sv(&names); sv_split(&rest, ' ', &name); )
		table_sv(table, name);
	table_end(&table, NULL);
	buf_done(&names);
	return EXIT_DONE;
}

/* ---- the dry run ---- */

struct dry_run {
	struct sv wire;                 /* the message with CRLF */
	bool shows_steps;
	const char *contacts, *global;
	struct addressbooks *books;
};

/* The default book is the file that --contacts names, those for everybody lie in the folder of --global. */
static bool load_book(void *arg, struct sv name, struct buf *out)
{
	const struct dry_run *run = arg;
	char path[PATH_LEN];

	if (sv_eq(name, SV(ADDRESSBOOK_DEFAULT)))
		return !run->contacts || read_input(run->contacts, out);
	if (!run->global || snprintf(path, sizeof(path), "%s/%.*s" ADDRESSBOOK_SUFFIX, run->global, SV_FMT(name)) >= (int)sizeof(path))
		return false;
	return read_input(path, out);
}

static bool list_exists(void *arg, struct sv list)
{
	const struct dry_run *run = arg;

	return addressbooks_has_list(run->books, list);
}

static bool list_has(void *arg, struct sv list, struct sv value)
{
	const struct dry_run *run = arg;

	return addressbooks_has(run->books, list, value);
}

static struct sv list_member(void *arg, struct sv list, size_t number)
{
	const struct dry_run *run = arg;

	return addressbooks_member(run->books, list, number);
}

static bool read_wire(void *arg, uint64_t offset, size_t len, struct buf *out)
{
	const struct dry_run *run = arg;

	return offset > run->wire.len || buf_append(out, sv_sub(run->wire, (size_t)offset, len));
}

static bool is_inbox(void *arg, struct sv name)
{
	(void)arg;
	return sv_eq_nocase(name, SV("INBOX"));
}

static void print_step(void *arg, uint32_t line, struct sv text)
{
	const struct dry_run *run = arg;

	if (run->shows_steps)
		printf("%5u  %.*s\n", line, SV_FMT(text));
}

static void to_wire(struct sv text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '\n' && (!i || text.p[i - 1] != '\r'))
			(void)buf_append_c(out, '\r');
		(void)buf_append_c(out, text.p[i]);
	}
}

/* The first address of the first of these fields, as local@domain. */
static void find_address(struct sv header, const char *const *names, struct buf *out)
{
	for (; *names && !out->len; names++) {
		struct header_reader r;
		struct sv in = header;
		enum header_event e;

		header_reader_init(&r);
		while (!out->len && (e = in.len ? header_reader_feed(&r, &in) : header_reader_finish(&r)) != HEADER_END) {
			struct address_list list;
			struct address_item item;

			if (e != HEADER_FIELD || !sv_eq_nocase(r.field.name, sv_z(*names)))
				continue;
			address_list_init(&list, r.field.value);
			while (!out->len && address_list_next(&list, &item))
				if (item.kind == ADDRESS_ITEM_MAILBOX && item.mailbox.len && item.host.len)
					(void)(buf_append(out, item.mailbox) && buf_append_c(out, '@') && buf_append(out, item.host));
			address_list_done(&list);
		}
		header_reader_done(&r);
	}
}

static const char *const kind_names[] = {
	[SIEVE_NONE] = "none", [SIEVE_KEEP] = "keep", [SIEVE_FILEINTO] = "fileinto", [SIEVE_REDIRECT] = "redirect",
	[SIEVE_DISCARD] = "discard", [SIEVE_REJECT] = "reject", [SIEVE_EREJECT] = "ereject", [SIEVE_VACATION] = "vacation",
	[SIEVE_NOTIFY] = "notify", [SIEVE_SEEN] = "seen",
};

static void print_actions(const struct cli *cli, const struct sieve_result *result)
{
	static const struct column columns[] = {
		{ "LINE", "line", COLUMN_NUMBER, "-" }, { "ACTION", "action", COLUMN_TEXT, NULL },
		{ "TARGET", "target", COLUMN_TEXT, NULL }, { "FLAGS", "flags", COLUMN_LIST, NULL },
		{ "IN WORDS", "words", COLUMN_TEXT, NULL },
	};
	struct table *table = cli->json ? table_new(columns, ARRAY_LEN(columns), true) : NULL;
	struct buf text;

	buf_init(&text, 65536);
	if (!table)
		printf("Actions:\n");
	for (size_t i = 0; i < result->action_count; i++) {
		const struct sieve_action *a = &result->actions[i];

		buf_clear(&text);
		if (!table) {
			(void)sieve_action_describe(a, &text);
			printf("  %.*s\n", SV_FMT(buf_sv(&text)));
			continue;
		}
		table_u64(table, a->line);
		table_sv(table, sv_z(kind_names[a->kind]));
		table_sv(table, a->kind == SIEVE_FILEINTO ? a->mailbox : a->kind == SIEVE_REDIRECT || a->kind == SIEVE_VACATION ?
			 a->address : a->kind == SIEVE_NOTIFY ? a->method : a->text);
		for (size_t k = 0; k < a->flag_count; k++)
			(void)((!k || buf_append_c(&text, ' ')) && buf_append(&text, a->flags[k]));
		table_sv(table, buf_sv(&text));
		buf_clear(&text);
		(void)sieve_action_describe(a, &text);
		table_sv(table, buf_sv(&text));
	}
	if (table)
		table_end(&table, NULL);
	buf_done(&text);
}

/* --spam and --virus; false: they are no such numbers. */
static bool set_verdicts(const struct cli *cli, struct sieve_host *host)
{
	const char *spam = cli_option(cli, "spam"), *virus = cli_option(cli, "virus");
	uint32_t n = 0;

	if (spam) {
		host->has_spam_score = true;
		if (!sv_to_u32(sv_z(spam), &host->spam_percent) || host->spam_percent > 100)
			return false;
	}
	if (virus && (!sv_to_u32(sv_z(virus), &n) || n > SIEVE_VIRUS_FOUND))
		return false;
	host->virus = (enum sieve_virus_verdict)n;
	return true;
}

static int try_message(struct cli *cli, const struct sieve_script *script, struct sv wire)
{
	static const char *const senders[] = { "Return-Path", "From", NULL };
	static const char *const receivers[] = { "Delivered-To", "X-Original-To", "To", NULL };
	const char *from = cli_option(cli, "from"), *to = cli_option(cli, "to"), *now = cli_option(cli, "now");
	struct dry_run run = { .wire = wire, .shows_steps = !cli->json, .contacts = cli_option(cli, "contacts"),
			       .global = cli_option(cli, "global") };
	struct mime_message *message = mime_parse(wire);
	struct sieve_mail mail = { .message = message, .header = sv_sub(wire, 0, (size_t)message->header_len), .read = read_wire,
				   .read_arg = &run };
	struct sieve_host host = { .arg = &run, .now = date_now(), .mailbox_exists = is_inbox, .location = SV("MDA"),
				   .phase = SV("during"), .list_exists = list_exists, .list_has = list_has,
				   .list_member = list_member };
	struct sieve_envelope envelope = { 0 };
	struct sieve_result result;
	struct buf sender, receiver;
	time_t clock = (time_t)host.now.seconds;
	struct tm local;

	if (cli->json)
		host.trace = NULL;
	else
		host.trace = print_step;
	if (localtime_r(&clock, &local))
		host.now.zone_min = (int32_t)(local.tm_gmtoff / 60);
	if (!set_verdicts(cli, &host)) {
		mime_message_free(&message);
		return cli_usage(cli, "--spam takes 0 to 100, --virus 0 to 5 (RFC 5235)");
	}
	if (now && !date_parse_5322(sv_z(now), &host.now)) {
		mime_message_free(&message);
		return cli_usage(cli, "--now takes a date like \"Fri, 21 Nov 1997 09:55:06 -0600\"");
	}
	buf_init(&sender, 1024);
	buf_init(&receiver, 1024);
	find_address(mail.header, senders, &sender);
	find_address(mail.header, receivers, &receiver);
	envelope.from = from ? sv_z(strcmp(from, "<>") == 0 ? "" : from) : buf_sv(&sender);
	envelope.to = to ? sv_z(to) : buf_sv(&receiver);
	run.books = addressbooks_new(load_book, &run);
	sieve_run(script, &mail, &envelope, &host, &result);
	if (result.has_failed)
		fprintf(stderr, "%s:%u:%u: %s\n", *result.error.script ? result.error.script : cli->args[0], result.error.line,
			result.error.column, result.error.text);
	print_actions(cli, &result);
	int code = result.has_failed ? EXIT_FAILED : EXIT_DONE;
	sieve_result_free(&result);
	addressbooks_free(&run.books);
	mime_message_free(&message);
	buf_done(&sender);
	buf_done(&receiver);
	return code;
}

static int run_test(struct cli *cli)
{
	struct sieve_script *script = NULL;
	struct buf text, wire;
	int code = compile(cli, &script);

	if (code != EXIT_DONE)
		return code;
	buf_init(&text, MESSAGE_MAX);
	buf_init(&wire, 2 * MESSAGE_MAX);
	if (!read_input(cli->args[1], &text)) {
		code = tell_unreadable(cli->args[1]);
	} else {
		to_wire(buf_sv(&text), &wire);
		code = try_message(cli, script, buf_sv(&wire));
	}
	sieve_script_free(&script);
	buf_done(&text);
	buf_done(&wire);
	return code;
}

#define GLOBAL_OPTION { "global", "DIR", "where \"include :global\" finds scripts" }

const struct verb sieve_verbs[] = {
	{ .noun = "sieve", .verb = "check", .args = "FILE", .args_min = 1, .args_max = 1,
	  .summary = "Check a mail filter and name every error in it", .example = "sieve check filter.sieve", .run = run_check,
	  .options = { GLOBAL_OPTION } },
	{ .noun = "sieve", .verb = "test", .args = "FILE MESSAGE", .args_min = 2, .args_max = 2,
	  .summary = "Run a mail filter on a message and show what it would do",
	  .example = "sieve test filter.sieve letter.eml --to alice@example.org", .run = run_test,
	  .options = { { "from", "ADDRESS", "the envelope's sender; \"<>\" for none. Default: from the header" },
		       { "to", "ADDRESS", "the envelope's recipient. Default: from the header" },
		       { "now", "DATE", "pretend it is that moment" },
		       { "contacts", "FILE", "the address book \":addrbook:default\", a line for each address" },
		       { "spam", "PERCENT", "pretend that a spam filter said so: 0 no spam to 100" },
		       { "virus", "VERDICT", "pretend that a virus scanner said so: 0 not looked at, 1 clean to 5 found" }, GLOBAL_OPTION } },
	{ .noun = "sieve", .verb = "extensions", .args = "", .summary = "List the extensions that a script can require",
	  .example = "sieve extensions --json", .run = run_extensions },
	{ .noun = NULL },
};
