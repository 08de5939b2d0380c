/* postroom list add|set|join|leave|list|show|remove: distribution lists, which are aliases with an owner and a rule who may send. */
#include <stdio.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "common/memory.h"

#include "common/banned.h"

static const char *const posters[] = { "anyone", "members", "accounts", "named" };

/* A list on its way through a change. */
struct change {
	struct directory *dir;
	struct arena arena;
	struct directory_alias list;
	struct sv *members, *named;     /* what list points to, with room for more */
};

static int begin(struct cli *cli, struct change *c)
{
	int code = open_directory(cli, &c->dir);

	if (code != EXIT_DONE)
		return code;
	arena_init(&c->arena, 16 << 20);
	c->members = arena_array(&c->arena, DIRECTORY_ALIAS_TARGETS_MAX + CLI_ARGS_MAX, sizeof(*c->members));
	c->named = arena_array(&c->arena, DIRECTORY_NAMED_MAX + 1, sizeof(*c->named));
	if (!c->members || !c->named)
		BUG("list: no memory");
	return EXIT_DONE;
}

static void end(struct change *c)
{
	arena_done(&c->arena);
	directory_close(&c->dir);
}

/* read_list - the one that the first argument names, so that it can be changed. */
static int read_list(struct cli *cli, struct change *c)
{
	struct fault f = directory_alias_get(c->dir, &c->arena, sv_z(cli->args[0]), &c->list);

	if (!f.kind && !c->list.is_list)
		f = fault_detail(FAULT_NOT_FOUND, "%s is an alias, not a list", cli->args[0]);
	if (f.kind)
		return cli_fault(cli->args[0], f);
	memcpy(c->members, c->list.targets, c->list.count * sizeof(*c->members));
	memcpy(c->named, c->list.named, c->list.named_count * sizeof(*c->named));
	c->list.targets = c->members;
	c->list.named = c->named;
	return EXIT_DONE;
}

static bool parse_posters(const char *text, enum directory_posters *out)
{
	for (size_t i = 0; i < ARRAY_LEN(posters); i++)
		if (!strcmp(text, posters[i])) {
			*out = (enum directory_posters)i;
			return true;
		}
	return false;
}

static size_t find(const struct sv *list, size_t count, struct sv address)
{
	for (size_t i = 0; i < count; i++)
		if (sv_eq_nocase(list[i], address))
			return i;
	return SIZE_MAX;
}

/* take_options - what --posters, --owner and --allow say. */
static int take_options(struct cli *cli, struct change *c)
{
	const char *who = cli_option(cli, "posters"), *owner = cli_option(cli, "owner"), *allow = cli_option(cli, "allow");

	if (who && !parse_posters(who, &c->list.posters))
		return cli_usage(cli, "--posters is anyone, members, accounts or named");
	if (owner)
		c->list.owner = sv_z(owner);
	if (allow && find(c->named, c->list.named_count, sv_z(allow)) == SIZE_MAX)
		c->named[c->list.named_count++] = sv_z(allow);
	c->list.named = c->named;
	return EXIT_DONE;
}

static int change_rules(struct cli *cli, struct change *c)
{
	const char *deny = cli_option(cli, "deny");
	size_t at = deny ? find(c->named, c->list.named_count, sv_z(deny)) : 0;

	if (at == SIZE_MAX) {
		complain(NULL, "%s is not named", deny);
		return EXIT_NOT_FOUND;
	}
	if (deny)
		c->named[at] = c->named[--c->list.named_count];
	return take_options(cli, c);
}

static int run_add(struct cli *cli)
{
	struct change c = { .dir = NULL };
	size_t at = sv_rfind(sv_z(cli->args[0]), '@');
	struct buf owner;
	int code = begin(cli, &c);

	if (code != EXIT_DONE)
		return code;
	for (size_t i = 1; i < cli->arg_count; i++)
		c.members[i - 1] = sv_z(cli->args[i]);
	buf_init(&owner, DIRECTORY_ADDRESS_MAX);
	if (at != SIZE_MAX)
		(void)!buf_appendf(&owner, "postmaster%s", cli->args[0] + at);
	c.list = (struct directory_alias){ .address = sv_z(cli->args[0]), .targets = c.members, .count = cli->arg_count - 1,
					   .is_list = true, .owner = buf_sv(&owner), .posters = DIRECTORY_POST_MEMBERS };
	code = take_options(cli, &c);
	if (code == EXIT_DONE)
		code = cli_fault(cli->args[0], directory_alias_put(c.dir, &c.list, false));
	buf_done(&owner);
	end(&c);
	return code;
}

/* edit - an existing list with what fn does to it. */
static int edit(struct cli *cli, int (*fn)(struct cli *cli, struct change *c))
{
	struct change c = { .dir = NULL };
	int code = begin(cli, &c);

	if (code != EXIT_DONE)
		return code;
	code = read_list(cli, &c);
	if (code == EXIT_DONE)
		code = fn(cli, &c);
	if (code == EXIT_DONE)
		code = cli_fault(cli->args[0], directory_alias_put(c.dir, &c.list, true));
	end(&c);
	return code;
}

static int join(struct cli *cli, struct change *c)
{
	for (size_t i = 1; i < cli->arg_count; i++)
		if (find(c->members, c->list.count, sv_z(cli->args[i])) == SIZE_MAX)
			c->members[c->list.count++] = sv_z(cli->args[i]);
	return EXIT_DONE;
}

static int leave(struct cli *cli, struct change *c)
{
	for (size_t i = 1; i < cli->arg_count; i++) {
		size_t at = find(c->members, c->list.count, sv_z(cli->args[i]));

		if (at == SIZE_MAX) {
			complain(NULL, "%s is not a member of %s", cli->args[i], cli->args[0]);
			return EXIT_NOT_FOUND;
		}
		c->members[at] = c->members[--c->list.count];
	}
	if (c->list.count)
		return EXIT_DONE;
	complain("postroom list remove", "a list has at least one member");
	return EXIT_FAILED;
}

static int run_set(struct cli *cli)
{
	if (!cli_option(cli, "posters") && !cli_option(cli, "owner") && !cli_option(cli, "allow") && !cli_option(cli, "deny"))
		return cli_usage(cli, "nothing to set");
	return edit(cli, change_rules);
}

static int run_join(struct cli *cli)
{
	return edit(cli, join);
}

static int run_leave(struct cli *cli)
{
	return edit(cli, leave);
}

static bool add_row(void *arg, const struct directory_alias *list)
{
	struct table *t = arg;

	if (!list->is_list)
		return true;
	table_sv(t, list->address);
	table_u64(t, list->count);
	table_sv(t, sv_z(posters[list->posters]));
	table_sv(t, list->owner);
	return true;
}

static int run_list(struct cli *cli)
{
	static const struct column columns[] = {
		{ "LIST", "list", COLUMN_TEXT, NULL },
		{ "MEMBERS", "members", COLUMN_NUMBER, NULL },
		{ "MAY SEND", "posters", COLUMN_TEXT, NULL },
		{ "OWNER", "owner", COLUMN_TEXT, NULL },
	};
	struct directory *dir = NULL;
	struct table *t;
	struct fault f;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	t = table_new(columns, ARRAY_LEN(columns), cli->json);
	f = directory_alias_list(dir, cli->arg_count ? sv_z(cli->args[0]) : SV_NONE, add_row, t);
	code = table_close(&t, cli_fault("lists", f),
			   "No list yet. Add one: postroom list add staff@example.org alice@example.org bob@example.org");
	directory_close(&dir);
	return code;
}

static int run_show(struct cli *cli)
{
	static const struct column columns[] = {
		{ "LIST", "list", COLUMN_TEXT, NULL },
		{ "MAY SEND", "posters", COLUMN_TEXT, NULL },
		{ "NAMED", "named", COLUMN_LIST, NULL },
		{ "OWNER", "owner", COLUMN_TEXT, NULL },
		{ "MEMBERS", "members", COLUMN_LIST, NULL },
	};
	struct change c = { .dir = NULL };
	struct table *t;
	int code = begin(cli, &c);

	if (code != EXIT_DONE)
		return code;
	code = read_list(cli, &c);
	if (code == EXIT_DONE) {
		t = facts_new(columns, ARRAY_LEN(columns), cli->json);
		table_sv(t, c.list.address);
		table_sv(t, sv_z(posters[c.list.posters]));
		table_words(t, c.list.named, c.list.named_count);
		table_sv(t, c.list.owner);
		table_words(t, c.list.targets, c.list.count);
		table_end(&t, NULL);
	}
	end(&c);
	return code;
}

static int run_remove(struct cli *cli)
{
	struct change c = { .dir = NULL };
	int code = begin(cli, &c);

	if (code != EXIT_DONE)
		return code;
	code = read_list(cli, &c);
	if (code == EXIT_DONE)
		code = cli_fault(cli->args[0], directory_alias_remove(c.dir, sv_z(cli->args[0])));
	end(&c);
	return code;
}

#define RULES { "posters", "WHO", "who may send: anyone, members, accounts (of the domain, logged in), named" }, \
	      { "owner", "ADDRESS", "who gets the bounces; without it postmaster of the domain" }, \
	      { "allow", "ADDRESS", "this one may send, whatever the rule says" }

const struct verb list_verbs[] = {
	{ .noun = "list", .verb = "add", .args = "ADDRESS MEMBER...", .args_min = 2, .args_max = CLI_ARGS_MAX, .needs_root = true,
	  .summary = "Make a distribution list; its members may send to it",
	  .example = "list add staff@example.org alice@example.org bob@example.net --posters accounts", .run = run_add,
	  .delegated = { DELEGATED_CHANGE, "at", "posters owner allow" },
	  .options = { RULES } },
	{ .noun = "list", .verb = "set", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Change who may send to a list, or who owns it", .example = "list set staff@example.org --allow boss@example.net",
	  .run = run_set,
	  .delegated = { DELEGATED_CHANGE, "a", "posters owner allow deny" }, .options = { RULES, { "deny", "ADDRESS", "not named any more" } } },
	{ .noun = "list", .verb = "join", .args = "ADDRESS MEMBER...", .args_min = 2, .args_max = CLI_ARGS_MAX, .needs_root = true,
	  .summary = "Add members to a list", .example = "list join staff@example.org carol@example.org", .run = run_join,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "at" } },
	{ .noun = "list", .verb = "leave", .args = "ADDRESS MEMBER...", .args_min = 2, .args_max = CLI_ARGS_MAX, .needs_root = true,
	  .summary = "Take members off a list", .example = "list leave staff@example.org bob@example.net", .run = run_leave,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "at" } },
	{ .noun = "list", .verb = "list", .args = "[DOMAIN]", .args_max = 1, .needs_root = true,
	  .summary = "List the distribution lists", .example = "list list", .run = run_list,
	  .delegated = { .right = DELEGATED_LOOK, .args = "d" } },
	{ .noun = "list", .verb = "show", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Show a list with its members", .example = "list show staff@example.org", .run = run_show,
	  .delegated = { .right = DELEGATED_LOOK, .args = "a" } },
	{ .noun = "list", .verb = "remove", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Remove a list", .example = "list remove staff@example.org", .run = run_remove,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "a" } },
	{ .noun = NULL },
};
