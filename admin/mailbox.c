/* postroom mailbox list|create|rename|remove|acl */
#include <stdio.h>
#include <stdlib.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "common/memory.h"
#include "maildir/mailbox.h"

#include "common/banned.h"

static const struct {
	uint32_t bit;
	const char *name;
} uses[] = {
	{ USE_DRAFTS, "drafts" }, { USE_SENT, "sent" },       { USE_JUNK, "junk" },
	{ USE_TRASH, "trash" },   { USE_ARCHIVE, "archive" }, { USE_FLAGGED, "flagged" },
	{ USE_ALL, "all" },       { USE_IMPORTANT, "important" },
};

/* Names are collected first: asking for counters inside the listing is not allowed. */
struct listing {
	struct table *table;
	struct maildir_user *user;
	struct arena names;
	struct mailbox_info infos[MAILBOX_COUNT_MAX];
	size_t count;
};

static bool note_mailbox(void *arg, const struct mailbox_info *info)
{
	struct listing *l = arg;

	if (l->count == ARRAY_LEN(l->infos))
		return false;
	l->infos[l->count] = *info;
	l->infos[l->count].name = arena_copy(&l->names, info->name);
	l->count++;
	return true;
}

static int run_list(struct cli *cli)
{
	static const struct column columns[] = {
		{ "MAILBOX", "mailbox", COLUMN_TEXT, NULL },
		{ "USE", "special_use", COLUMN_TEXT, NULL },
		{ "SUBSCRIBED", "subscribed", COLUMN_BOOL, NULL },
		{ "MESSAGES", "messages", COLUMN_NUMBER, NULL },
		{ "UNSEEN", "unseen", COLUMN_NUMBER, NULL },
		{ "SIZE", "bytes", COLUMN_BYTES, NULL },
	};
	struct open_user user;
	int code = open_user(cli, cli->args[0], &user);

	if (code != EXIT_DONE)
		return code;
	struct listing *l = xcalloc(1, sizeof(*l));

	arena_init(&l->names, (size_t)64 << 20);
	struct fault f = mailbox_list(user.user, note_mailbox, l);
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);

	for (size_t i = 0; i < l->count && !f.kind; i++) {
		struct mailbox_status status = { 0 };
		const char *use = "";
		if (l->infos[i].exists)
			f = mailbox_status(user.user, l->infos[i].name, &status);
		for (size_t u = 0; u < ARRAY_LEN(uses); u++)
			if (l->infos[i].special_use & uses[u].bit)
				use = uses[u].name;
		table_sv(t, l->infos[i].name);
		table_sv(t, sv_z(use));
		table_u64(t, l->infos[i].subscribed);
		table_u64(t, status.messages);
		table_u64(t, status.unseen);
		table_u64(t, status.size);
	}
	code = table_close(&t, cli_fault(cli->args[0], f), NULL);
	arena_done(&l->names);
	free(l);
	close_user(&user);
	return code;
}

static int mailbox_fault(const char *name, struct fault f)
{
	if (f.kind != FAULT_NOT_FOUND)
		return cli_fault(name, f);
	complain("postroom mailbox list ACCOUNT", "there is no mailbox %s", name);
	return EXIT_NOT_FOUND;
}

static int run_create(struct cli *cli)
{
	const char *use = cli_option(cli, "use");
	uint32_t bits = 0;
	char id[24];
	struct open_user user;

	for (size_t i = 0; use && i < ARRAY_LEN(uses); i++)
		if (strcmp(use, uses[i].name) == 0)
			bits = uses[i].bit;
	if (use && !bits)
		return cli_usage(cli, "--use takes drafts, sent, junk, trash, archive, flagged, all or important");
	int code = open_user(cli, cli->args[0], &user);

	if (code != EXIT_DONE)
		return code;
	struct fault f = mailbox_create(user.user, sv_z(cli->args[1]), bits, id);

	if (!f.kind)
		f = mailbox_subscribe(user.user, sv_z(cli->args[1]), true);
	close_user(&user);
	return mailbox_fault(cli->args[1], f);
}

static int run_rename(struct cli *cli)
{
	struct open_user user;
	int code = open_user(cli, cli->args[0], &user);

	if (code != EXIT_DONE)
		return code;
	struct fault f = mailbox_rename(user.user, sv_z(cli->args[1]), sv_z(cli->args[2]));

	close_user(&user);
	return mailbox_fault(cli->args[1], f);
}

static int run_remove(struct cli *cli)
{
	struct mailbox_status status;
	struct open_user user;
	int code = open_user(cli, cli->args[0], &user);

	if (code != EXIT_DONE)
		return code;
	struct fault f = mailbox_status(user.user, sv_z(cli->args[1]), &status);

	if (!f.kind && status.messages && !cli_option(cli, "yes")) {
		complain("add --yes when that is meant", "%s has %u messages, which would be lost", cli->args[1],
		     status.messages);
		close_user(&user);
		return EXIT_USAGE;
	}
	if (!f.kind)
		f = mailbox_delete(user.user, sv_z(cli->args[1]));
	close_user(&user);
	return mailbox_fault(cli->args[1], f);
}

/* ---- acl: for people whose mail program has no window for it ---- */

static void put_entry(struct table *t, const char *name, bool is_negative, uint32_t rights)
{
	char text[RIGHTS_TEXT_MAX], who[DIRECTORY_ADDRESS_MAX + 2];

	rights_write(rights, false, text);
	snprintf(who, sizeof(who), "%s%s", is_negative ? "-" : "", name);
	table_sv(t, sv_z(who));
	table_sv(t, sv_z(text));
}

static int list_acl(struct cli *cli, struct maildir_user *user)
{
	static const struct column columns[] = {
		{ "WHO", "who", COLUMN_TEXT, NULL },
		{ "RIGHTS", "rights", COLUMN_TEXT, NULL },
	};
	char owner[DIRECTORY_ADDRESS_MAX + 1];
	struct acl acl = { 0 };
	struct fault f = mailbox_acl(user, sv_z(cli->args[2]), &acl, owner);

	if (f.kind)
		return mailbox_fault(cli->args[2], f);
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);

	put_entry(t, owner, false, RIGHTS_ALL);
	for (size_t i = 0; i < acl.count; i++)
		put_entry(t, acl.entries[i].name, acl.entries[i].is_negative, acl.entries[i].rights);
	table_end(&t, NULL);
	acl_done(&acl);
	return EXIT_DONE;
}

static int change_acl(struct cli *cli, struct maildir_user *user, bool is_set)
{
	enum acl_change how = is_set ? ACL_REPLACE : ACL_REMOVE;
	struct sv letters = is_set ? sv_z(cli->args[4]) : SV_NONE;
	uint32_t rights = RIGHTS_ALL;

	if (is_set && (sv_starts(letters, SV("+")) || sv_starts(letters, SV("-")))) {
		how = letters.p[0] == '+' ? ACL_ADD : ACL_REMOVE;
		sv_skip(&letters, 1);
	}
	if (is_set && !rights_read(letters, &rights))
		return cli_usage(cli, "rights are letters out of lrswipkxtea (RFC 4314), with + or - before them");
	struct fault f = mailbox_acl_change(user, sv_z(cli->args[2]), sv_z(cli->args[3]), how, rights);

	return mailbox_fault(f.kind == FAULT_INVALID ? cli->args[3] : cli->args[2], f);
}

static int run_acl(struct cli *cli)
{
	const char *action = cli->args[0];
	bool is_list = !strcmp(action, "list"), is_set = !strcmp(action, "set");
	struct directory *directory = NULL;
	struct open_user user;

	if (!is_list && !is_set && strcmp(action, "remove") != 0)
		return cli_usage(cli, "%s: list, set or remove was expected", action);
	if (cli->arg_count != (is_list ? 3u : is_set ? 5u : 4u))
		return cli_usage(cli, is_list ? "list takes ACCOUNT MAILBOX" :
				 is_set ? "set takes ACCOUNT MAILBOX WHO RIGHTS" : "remove takes ACCOUNT MAILBOX WHO");
	int code = open_user(cli, cli->args[1], &user);

	if (code != EXIT_DONE)
		return code;
	code = open_directory(cli, &directory);
	if (code == EXIT_DONE) {
		store_share(user.store, directory);
		code = is_list ? list_acl(cli, user.user) : change_acl(cli, user.user, is_set);
	}
	close_user(&user);
	if (directory)
		directory_close(&directory);
	return code;
}

const struct verb mailbox_verbs[] = {
	{ .noun = "mailbox", .verb = "list", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "List an account's mailboxes", .example = "mailbox list alice@example.org", .run = run_list },
	{ .noun = "mailbox", .verb = "create", .args = "ACCOUNT MAILBOX", .args_min = 2, .args_max = 2,
	  .needs_root = true, .summary = "Make a mailbox and subscribe to it",
	  .example = "mailbox create alice@example.org Projects/2026", .run = run_create,
	  .options = { { "use", "USE", "what it is for: drafts, sent, junk, trash, archive, ..." } } },
	{ .noun = "mailbox", .verb = "rename", .args = "ACCOUNT FROM TO", .args_min = 3, .args_max = 3,
	  .needs_root = true, .summary = "Rename a mailbox and those below it",
	  .example = "mailbox rename alice@example.org Projects Work", .run = run_rename },
	{ .noun = "mailbox", .verb = "remove", .args = "ACCOUNT MAILBOX", .args_min = 2, .args_max = 2,
	  .needs_root = true, .summary = "Remove a mailbox with its messages",
	  .example = "mailbox remove alice@example.org Old --yes", .run = run_remove,
	  .options = { { "yes", NULL, "also when it has messages" } } },
	{ .noun = "mailbox", .verb = "acl", .args = "list|set|remove ACCOUNT MAILBOX [WHO [RIGHTS]]", .args_min = 3,
	  .args_max = 5, .needs_root = true, .summary = "Say who else may do what with a mailbox (RFC 4314)",
	  .example = "mailbox acl set alice@example.org Projects bob@example.org lrs", .run = run_acl },
	{ .noun = NULL },
};
