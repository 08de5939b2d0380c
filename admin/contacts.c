/* postroom contacts list|add|remove: an account's address book, which its Sieve scripts may ask (RFC 6134) */
#include <stdio.h>

#include "admin/print.h"
#include "admin/sieve.h"
#include "admin/verbs.h"
#include "common/address.h"
#include "maildir/addressbook.h"

#include "common/banned.h"

#define ARGUMENTS_MAX CLI_ARGS_MAX

static int open_book(struct cli *cli, struct open_scripts *s, struct buf *text)
{
	int code = open_scripts(cli, cli->args[0], s);

	if (code == EXIT_DONE) {
		code = cli_fault(cli->args[0], scripts_contacts(s->scripts, text));
		if (code != EXIT_DONE)
			close_scripts(s);
	}
	return code;
}

static int run_list(struct cli *cli)
{
	static const struct column columns[] = { { "CONTACT", "contact", COLUMN_TEXT, NULL } };
	struct open_scripts s;
	struct sv rest, line, entry;
	struct table *table;
	struct buf text;
	int code;

	buf_init(&text, ADDRESSBOOK_SIZE);
	code = open_book(cli, &s, &text);
	if (code == EXIT_DONE) {
		table = table_new(columns, ARRAY_LEN(columns), cli->json);
		for (rest = buf_sv(&text); sv_split(&rest, '\n', &line); )
			if ((entry = addressbook_entry(line)).len)
				table_sv(table, entry);
		table_end(&table, "No contact yet. Add one: postroom contacts add alice@example.org friend@example.net");
		close_scripts(&s);
	}
	buf_done(&text);
	return code;
}

static bool is_contact(struct sv entry)
{
	struct address address;
	struct arena arena;
	struct sv domain;
	bool is_good;

	arena_init(&arena, 4096);
	if (entry.len && *entry.p == '@')
		is_good = !address_domain(&arena, sv_sub(entry, 1, SIZE_MAX), &domain).kind;
	else
		is_good = !address_parse(&arena, entry, &address).kind && !address.is_null && address.domain.len;
	arena_done(&arena);
	return is_good && sv_eq(addressbook_entry(entry), entry);
}

static bool has(struct sv text, struct sv entry)
{
	struct sv line;

	while (sv_split(&text, '\n', &line))
		if (sv_eq_nocase(addressbook_entry(line), entry))
			return true;
	return false;
}

static int store(struct cli *cli, struct open_scripts *s, struct sv text)
{
	struct fault f = scripts_put_contacts(s->scripts, text);

	if (f.kind == FAULT_LIMIT) {
		complain("postroom contacts remove, or a domain (@example.net) in place of its addresses", "the address book is full");
		return EXIT_FAILED;
	}
	return cli_fault(cli->args[0], f);
}

static int run_add(struct cli *cli)
{
	struct open_scripts s;
	struct buf text;
	int code;

	for (size_t i = 1; i < cli->arg_count; i++)
		if (!is_contact(sv_z(cli->args[i])))
			return cli_usage(cli, "\"%s\" is neither an address nor @ and a domain", cli->args[i]);
	/* Longer than a book may be: storing it then says so. */
	buf_init(&text, 2 * ADDRESSBOOK_SIZE);
	code = open_book(cli, &s, &text);
	if (code == EXIT_DONE) {
		if (text.len && text.p[text.len - 1] != '\n')
			(void)buf_append_c(&text, '\n');
		for (size_t i = 1; i < cli->arg_count; i++)
			if (!has(buf_sv(&text), sv_z(cli->args[i])))
				(void)buf_appendf(&text, "%s\n", cli->args[i]);
		code = store(cli, &s, buf_sv(&text));
		close_scripts(&s);
	}
	buf_done(&text);
	return code;
}

static int run_remove(struct cli *cli)
{
	struct sv rest, line;
	struct open_scripts s;
	struct buf text, left;
	bool found = true;
	int code;

	buf_init(&text, ADDRESSBOOK_SIZE);
	buf_init(&left, ADDRESSBOOK_SIZE + 1);
	code = open_book(cli, &s, &text);
	if (code != EXIT_DONE)
		goto out;
	for (size_t i = 1; i < cli->arg_count && found; i++) {
		found = has(buf_sv(&text), sv_z(cli->args[i]));
		if (!found) {
			complain("postroom contacts list", "%s is no contact of %s", cli->args[i], cli->args[0]);
			code = EXIT_NOT_FOUND;
		}
	}
	for (rest = buf_sv(&text); found && sv_split(&rest, '\n', &line); ) {
		bool goes = false;

		for (size_t i = 1; i < cli->arg_count; i++)
			goes = goes || sv_eq_nocase(addressbook_entry(line), sv_z(cli->args[i]));
		if (!goes && line.len)
			(void)(buf_append(&left, line) && buf_append_c(&left, '\n'));
	}
	if (found)
		code = store(cli, &s, buf_sv(&left));
	close_scripts(&s);
out:
	buf_done(&text);
	buf_done(&left);
	return code;
}

const struct verb contacts_verbs[] = {
	{ .noun = "contacts", .verb = "list", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "List an account's address book, which its mail filters may ask", .example = "contacts list alice@example.org",
	  .run = run_list },
	{ .noun = "contacts", .verb = "add", .args = "ACCOUNT ADDRESS...", .args_min = 2, .args_max = ARGUMENTS_MAX, .needs_root = true,
	  .summary = "Add addresses, or all of a domain, to an account's address book",
	  .example = "contacts add alice@example.org friend@example.net @partner.example", .run = run_add },
	{ .noun = "contacts", .verb = "remove", .args = "ACCOUNT ADDRESS...", .args_min = 2, .args_max = ARGUMENTS_MAX, .needs_root = true,
	  .summary = "Take addresses out of an account's address book",
	  .example = "contacts remove alice@example.org friend@example.net", .run = run_remove },
	{ .noun = NULL },
};
