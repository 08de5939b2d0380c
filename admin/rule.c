/* postroom rule add|list|remove, vacation set|show|off: simple mail filters, written as Sieve */
#include <stdio.h>
#include <stdlib.h>

#include "admin/input.h"
#include "admin/print.h"
#include "admin/sieve.h"
#include "admin/verbs.h"
#include "maildir/rulebook.h"

#include "common/banned.h"

/* ---- reading and writing the script ---- */

static int store(struct cli *cli, struct open_scripts *s, const struct rules *r)
{
	struct sieve_errors errors;
	struct fault f = rulebook_write(s->scripts, s->filters, r, &s->quota, &errors);

	if (f.kind == FAULT_INVALID) {
		tell_sieve_errors(cli, RULES_SCRIPT, &errors);
		return EXIT_FAILED;
	}
	return put_script_fault(cli, RULES_SCRIPT, f);
}

/* Open the account, let fn change or show its rules, and write them back if it says so. */
static int with_rules(struct cli *cli, int (*fn)(struct cli *cli, struct rules *r, bool *changed))
{
	struct open_scripts s;
	struct rules *r;
	bool changed = false;
	int code = open_scripts(cli, cli->args[0], &s);

	if (code != EXIT_DONE)
		return code;
	r = xcalloc(1, sizeof(*r));
	rules_init(r);
	struct fault f = rulebook_read(s.scripts, r);

	if (f.kind == FAULT_INVALID) {
		complain("postroom sieve get, put and activate it under another name, then postroom sieve remove ACCOUNT " RULES_SCRIPT,
			 "%s", f.detail);
		code = EXIT_FAILED;
	} else {
		code = cli_fault(cli->args[0], f);
	}
	if (code == EXIT_DONE)
		code = fn(cli, r, &changed);
	if (code == EXIT_DONE && changed)
		code = store(cli, &s, r);
	rules_done(r);
	free(r);
	close_scripts(&s);
	return code;
}

static struct sv option(const struct cli *cli, const char *name)
{
	const char *value = cli_option(cli, name);

	return value ? sv_z(value) : SV("");
}

/* ---- rules ---- */

static int add(struct cli *cli, struct rules *r, bool *changed)
{
	struct rule rule = {
		.when = option(cli, "if"), .also = option(cli, "and"), .move = option(cli, "move"), .copy = option(cli, "copy"),
		.mark = option(cli, "mark"), .forward = option(cli, "forward"), .discard = cli_option(cli, "discard") != NULL,
	};
	const char *wrong = cli_option(cli, "if") ? rules_condition(rule.when) : NULL;

	if (!wrong && rule.also.len)
		wrong = rules_condition(rule.also);
	if (wrong)
		return cli_usage(cli, "%s", wrong);
	if (!cli_option(cli, "if") && (rule.also.len || rule.discard || rule.move.len))
		return cli_usage(cli, "say which messages are meant: --if CONDITION");
	if (!rule.move.len && !rule.copy.len && !rule.mark.len && !rule.forward.len && !rule.discard)
		return cli_usage(cli, "say what is to be done: --move, --copy, --mark, --forward or --discard");
	if (rule.discard && (rule.move.len || rule.copy.len || rule.forward.len || rule.mark.len))
		return cli_usage(cli, "--discard leaves nothing to move, copy, mark or forward");
	if (r->count == RULES_MAX)
		return cli_usage(cli, "an account has at most %d rules", RULES_MAX);
	r->list[r->count++] = rule;
	*changed = true;
	return EXIT_DONE;
}

static int run_add(struct cli *cli)
{
	return with_rules(cli, add);
}

static void say_actions(const struct rule *r, struct buf *out)
{
	const struct { const char *word; struct sv value; } parts[] = {
		{ "move", r->move }, { "copy", r->copy }, { "mark", r->mark }, { "forward", r->forward },
	};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].value.len)
			(void)buf_appendf(out, "%s%s:%.*s", out->len ? ", " : "", parts[i].word, SV_FMT(parts[i].value));
	if (r->discard)
		(void)buf_append(out, SV("discard"));
}

static int list(struct cli *cli, struct rules *r, bool *changed)
{
	static const struct column columns[] = {
		{ "RULE", "rule", COLUMN_NUMBER, NULL },
		{ "IF", "if", COLUMN_TEXT, NULL },
		{ "AND", "and", COLUMN_TEXT, NULL },
		{ "THEN", "then", COLUMN_TEXT, NULL },
	};
	struct table *table = table_new(columns, ARRAY_LEN(columns), cli->json);
	struct buf actions;

	(void)changed;
	buf_init(&actions, 65536);
	for (size_t i = 0; i < r->count; i++) {
		buf_clear(&actions);
		say_actions(&r->list[i], &actions);
		table_u64(table, i + 1);
		table_sv(table, r->list[i].when);
		table_sv(table, r->list[i].also);
		table_sv(table, buf_sv(&actions));
	}
	table_end(&table, "No rule yet.");
	buf_done(&actions);
	return EXIT_DONE;
}

static int run_list(struct cli *cli)
{
	return with_rules(cli, list);
}

static int remove_one(struct cli *cli, struct rules *r, bool *changed)
{
	uint32_t n;

	if (!sv_to_u32(sv_z(cli->args[1]), &n) || !n)
		return cli_usage(cli, "name the rule by its number: postroom rule list");
	if (n > r->count)
		return cli_fault(cli->args[1], fault(FAULT_NOT_FOUND, "no such rule"));
	memmove(&r->list[n - 1], &r->list[n], (r->count - n) * sizeof(r->list[0]));
	r->count--;
	*changed = true;
	return EXIT_DONE;
}

static int run_remove(struct cli *cli)
{
	return with_rules(cli, remove_one);
}

/* ---- vacation ---- */

static struct buf message;      /* what --file held; it lives until the verb ends */

static int set(struct cli *cli, struct rules *r, bool *changed)
{
	const char *file = cli_option(cli, "file");
	struct sv days = option(cli, "days"), from = option(cli, "from"), until = option(cli, "until");
	uint32_t n = 0;

	r->vacation.message = option(cli, "message");
	if (!r->vacation.message.len == !file)
		return cli_usage(cli, "say what to answer: --message TEXT or --file FILE");
	buf_init(&message, RULES_TEXT_MAX / 2);
	if (file && !read_input(file, &message))
		return tell_unreadable(file);
	if (file)
		r->vacation.message = buf_sv(&message);
	if (!sv_is_utf8(r->vacation.message))
		return cli_usage(cli, "the message is not UTF-8");
	if ((from.len && !rules_is_day(from)) || (until.len && !rules_is_day(until)))
		return cli_usage(cli, "a day is written like 2026-12-24");
	if (from.len && until.len && sv_cmp(from, until) > 0)
		return cli_usage(cli, "it ends before it begins");
	if (days.len && (!sv_to_u32(days, &n) || !n || n > 90))
		return cli_usage(cli, "--days takes a number from 1 to 90");
	r->vacation.is_set = true;
	r->vacation.subject = option(cli, "subject");
	r->vacation.address = option(cli, "address");
	r->vacation.from = from;
	r->vacation.until = until;
	r->vacation.days = n;
	*changed = true;
	return EXIT_DONE;
}

static int run_set(struct cli *cli)
{
	int code = with_rules(cli, set);

	buf_done(&message);
	return code;
}

static int show(struct cli *cli, struct rules *r, bool *changed)
{
	static const struct column columns[] = {
		{ "Answers", "on", COLUMN_BOOL, NULL },
		{ "From", "from", COLUMN_TEXT, NULL },
		{ "Until", "until", COLUMN_TEXT, NULL },
		{ "Days before the same sender is answered again", "days", COLUMN_NUMBER, "7" },
		{ "Subject", "subject", COLUMN_TEXT, NULL },
		{ "Message", "message", COLUMN_TEXT, NULL },
	};
	struct table *table = facts_new(columns, ARRAY_LEN(columns), cli->json);

	(void)changed;
	table_u64(table, r->vacation.is_set);
	table_sv(table, r->vacation.from);
	table_sv(table, r->vacation.until);
	table_u64(table, r->vacation.days);
	table_sv(table, r->vacation.subject);
	table_sv(table, r->vacation.message);
	table_end(&table, NULL);
	return EXIT_DONE;
}

static int run_show(struct cli *cli)
{
	return with_rules(cli, show);
}

static int off(struct cli *cli, struct rules *r, bool *changed)
{
	(void)cli;
	*changed = r->vacation.is_set;
	memset(&r->vacation, 0, sizeof(r->vacation));
	return EXIT_DONE;
}

static int run_off(struct cli *cli)
{
	return with_rules(cli, off);
}

const struct verb rule_verbs[] = {
	{ .noun = "rule", .verb = "add", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Have an account's mail sorted by a simple rule",
	  .example = "rule add alice@example.org --if from:newsletter@shop.example --move Shopping", .run = run_add,
	  .options = { { "if", "CONDITION", "from:TEXT, to:TEXT, subject:TEXT, list:TEXT, header:FIELD:TEXT, size:1M; = for the whole text. To "
					     "forward, mark or copy every message: not given" },
		       { "and", "CONDITION", "must hold, too" },
		       { "move", "MAILBOX", "file it there; the mailbox is made when it is missing" },
		       { "copy", "MAILBOX", "file a copy there; later rules still see the message" },
		       { "mark", "FLAG", "seen, flagged, or a keyword" },
		       { "forward", "ADDRESS", "send it on; nothing stays here unless --copy or --mark is given" },
		       { "discard", NULL, "throw it away" } } },
	{ .noun = "rule", .verb = "list", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "List the rules of an account", .example = "rule list alice@example.org", .run = run_list },
	{ .noun = "rule", .verb = "remove", .args = "ACCOUNT NUMBER", .args_min = 2, .args_max = 2, .needs_root = true,
	  .summary = "Remove a rule", .example = "rule remove alice@example.org 2", .run = run_remove },
	{ .noun = "vacation", .verb = "set", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Answer an account's mail while nobody is there",
	  .example = "vacation set alice@example.org --message \"Back on Monday.\" --until 2026-12-31", .run = run_set,
	  .options = { { "message", "TEXT", "what to answer" }, { "file", "FILE", "what to answer, from a file; - is standard input" },
		       { "subject", "TEXT", "of the answer; \"Auto: \" and the message's own unless given" },
		       { "from", "DAY", "the first day, like 2026-12-24" }, { "until", "DAY", "the last day" },
		       { "days", "N", "before the same sender is answered again; 7 unless given" },
		       { "address", "ADDRESS", "another address of the account's, to which mail may be addressed" } } },
	{ .noun = "vacation", .verb = "show", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Show what an account answers", .example = "vacation show alice@example.org --json", .run = run_show },
	{ .noun = "vacation", .verb = "off", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Answer no more", .example = "vacation off alice@example.org", .run = run_off },
	{ .noun = NULL },
};
