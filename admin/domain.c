/* postroom domain add|list|show|set|remove */
#include <stdio.h>

#include "admin/declared.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/address.h"
#include "common/directory.h"
#include "common/dkimkey.h"
#include "common/instance.h"
#include "common/memory.h"

#include "common/banned.h"

/* A domain of mail has a dot, and labels as of hosts (RFC 5321 §2.3.5): address_domain() is more
 * patient, since what others write in addresses has to be understood. */
static const char *why_no_domain(struct sv name)
{
	struct sv rest = name, label = SV_NONE;
	bool is_number = true;

	if (sv_find(name, '_') != SIZE_MAX)
		return "a domain's name has letters, digits and hyphens only";
	if (sv_find(name, '.') == SIZE_MAX)
		return "a domain has a dot in its name, such as example.org";
	while (rest.len && sv_split(&rest, '.', &label))
		continue;
	for (size_t i = 0; i < label.len; i++)
		is_number = is_number && ascii_is_digit(label.p[i]);
	return is_number ? "this is an address, and no domain" : NULL;
}

/* run_add - the keys first: a domain that is there signs its mail. */
static int run_add(struct cli *cli)
{
	struct directory *dir = NULL;
	struct arena names;
	struct sv name;
	struct fault f;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	arena_init(&names, 8192);
	f = address_domain(&names, sv_z(cli->args[0]), &name);
	const char *why = f.kind ? NULL : why_no_domain(name);

	if (why)
		f = fault(FAULT_INVALID, why);
	if (!f.kind)
		f = dkimkey_make(instance_path(cli->instance, INSTANCE_KEYS), name.p);
	if (!f.kind)
		f = directory_domain_add(dir, name);
	code = cli_fault(cli->args[0], f);
	if (code == EXIT_DONE && !cli->json)
		printf("Its mail is signed. Publish the keys: postroom --root %s dkim list %s\n", cli->root, name.p);
	arena_done(&names);
	directory_close(&dir);
	return code;
}

static const struct column columns[] = {
	{ "DOMAIN", "domain", COLUMN_TEXT, NULL },
	{ "CATCH-ALL", "catch_all", COLUMN_TEXT, NULL },
	{ "TAG SEPARATOR", "separator", COLUMN_TEXT, NULL },
	{ "ALIAS OF", "alias_of", COLUMN_TEXT, NULL },
	{ "RELAYED", "relay", COLUMN_TEXT, NULL },
	{ "SINCE", "created", COLUMN_TIME, NULL },
};

static bool add_row(void *arg, const struct directory_domain *domain)
{
	struct table *t = arg;

	table_sv(t, sv_z(domain->name));
	table_sv(t, sv_z(domain->catch_all));
	table_sv(t, sv_from(&domain->separator, domain->separator ? 1 : 0));
	table_sv(t, sv_z(domain->alias_of));
	table_sv(t, sv_z(relay_words[domain->relay]));
	table_u64(t, (uint64_t)domain->created_s);
	return true;
}

static int run_list(struct cli *cli)
{
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);
	struct fault f = directory_domain_list(dir, add_row, t);

	code = table_close(&t, cli_fault("domains", f), "No domain yet. Add one: postroom domain add example.org");
	directory_close(&dir);
	return code;
}

static int run_show(struct cli *cli)
{
	struct directory *dir = NULL;
	struct directory_domain domain;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	code = cli_fault(cli->args[0], directory_domain_get(dir, sv_z(cli->args[0]), &domain));
	if (code == EXIT_DONE) {
		struct table *t = facts_new(columns, ARRAY_LEN(columns), cli->json);
		add_row(t, &domain);
		table_end(&t, NULL);
	}
	directory_close(&dir);
	return code;
}

static int run_set(struct cli *cli)
{
	const char *catch_all = cli_option(cli, "catch-all"), *separator = cli_option(cli, "separator"),
		   *alias_of = cli_option(cli, "alias-of"), *relay = cli_option(cli, "relay");
	int how = 0;
	struct directory *dir = NULL;
	struct directory_domain domain;

	while (relay && how < RELAY_WORDS && strcmp(relay, relay_words[how]) != 0)
		how++;
	if (how == RELAY_WORDS)
		return cli_usage(cli, "--relay is no, listed, any or asked");
	if (!catch_all && !separator && !alias_of && !relay)
		return cli_usage(cli, "nothing to set");
	if (separator && strcmp(separator, "none") != 0 && strlen(separator) != 1)
		return cli_usage(cli, "the separator is one character, or none");
	if (catch_all && strlen(catch_all) >= sizeof(domain.catch_all))
		return cli_usage(cli, "the catch-all address is too long");
	if (alias_of && strlen(alias_of) >= sizeof(domain.alias_of))
		return cli_usage(cli, "the domain name is too long");
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	code = cli_fault(cli->args[0], directory_domain_get(dir, sv_z(cli->args[0]), &domain));
	if (code == EXIT_DONE) {
		if (separator)
			domain.separator = strcmp(separator, "none") == 0 ? '\0' : separator[0];
		if (catch_all)
			snprintf(domain.catch_all, sizeof(domain.catch_all), "%s",
				 strcmp(catch_all, "none") == 0 ? "" : catch_all);
		if (relay)
			domain.relay = how;
		if (alias_of)
			snprintf(domain.alias_of, sizeof(domain.alias_of), "%s", strcmp(alias_of, "none") == 0 ? "" : alias_of);
		code = cli_fault(cli->args[0], directory_domain_set(dir, &domain));
	}
	directory_close(&dir);
	return code;
}

static int run_remove(struct cli *cli)
{
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	code = cli_fault(cli->args[0], directory_domain_remove(dir, sv_z(cli->args[0])));
	directory_close(&dir);
	return code;
}

const struct verb domain_verbs[] = {
	{ .noun = "domain", .verb = "add", .args = "DOMAIN", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Receive mail for a domain", .example = "domain add example.org", .run = run_add },
	{ .noun = "domain", .verb = "list", .args = "", .needs_root = true, .summary = "List the domains",
	  .example = "domain list --json", .run = run_list,
	  .delegated = { .right = DELEGATED_LOOK } },
	{ .noun = "domain", .verb = "show", .args = "DOMAIN", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Show one domain", .example = "domain show example.org", .run = run_show,
	  .delegated = { .right = DELEGATED_LOOK, .args = "d" } },
	{ .noun = "domain", .verb = "set", .args = "DOMAIN", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Change a domain's catch-all address, tag separator, whose names it has, or relay for it",
	  .example = "domain set example.org --catch-all postmaster@example.org", .run = run_set,
	  .delegated = { DELEGATED_CHANGE, "d", "catch-all separator" },
	  .options = { { "catch-all", "ADDRESS", "who gets mail for unknown names; none: nobody" },
		       { "separator", "CHAR", "what comes before a tag (user+tag@); none: no tags" },
		       { "relay", "no|listed|any|asked", "its mail goes on to its own host: for listed names (see recipient add), any, or those that it knows when asked" },
		       { "alias-of", "DOMAIN", "names of that domain are good here, too; none: only its own" } } },
	{ .noun = "domain", .verb = "remove", .args = "DOMAIN", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Stop receiving mail for a domain that has no account and no alias",
	  .example = "domain remove example.org", .run = run_remove },
	{ .noun = NULL },
};
