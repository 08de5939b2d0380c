/* postroom dkim list|rotate: the keys that our mail is signed with, and what the DNS has to say about them. */
#include <stdio.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/date.h"
#include "common/directory.h"
#include "common/dkimkey.h"
#include "common/instance.h"

#include "common/banned.h"

#define ZONE_STRING_MAX 255     /* octets of one string in a TXT record (RFC 1035 §3.3) */

static const struct column columns[] = {
	{ "DOMAIN", "domain", COLUMN_TEXT, NULL },
	{ "STATE", "state", COLUMN_TEXT, NULL },
	{ "SINCE", "since", COLUMN_TIME, "-" },
	{ "TXT RECORD AT", "name", COLUMN_TEXT, NULL },
	{ "VALUE", "value", COLUMN_TEXT, NULL },
};

static bool add_row(void *arg, const struct dkimkey *key)
{
	struct table *t = arg;
	char name[sizeof(key->selector) + 16];

	snprintf(name, sizeof(name), "%s._domainkey", key->selector);
	table_sv(t, sv_z(key->domain));
	table_sv(t, sv_z(dkimkey_state_name(key->state)));
	table_u64(t, (uint64_t)key->since_s);
	table_sv(t, sv_z(name));
	table_sv(t, sv_z(key->record));
	return true;
}

/* print_zone_line - for a zone file: a string takes 255 octets, a record several of them. */
static bool print_zone_line(void *arg, const struct dkimkey *key)
{
	struct sv rest = sv_z(key->record);

	(void)arg;
	printf("%s._domainkey.%s. IN TXT (", key->selector, key->domain);
	while (rest.len) {
		struct sv part = sv_sub(rest, 0, ZONE_STRING_MAX);

		printf(" \"%.*s\"", SV_FMT(part));
		sv_skip(&rest, part.len);
	}
	printf(" )\n");
	return true;
}

static const char *keys_of(const struct cli *cli)
{
	return instance_path(cli->instance, INSTANCE_KEYS);
}

/* know_domain - keys are made and listed for domains of ours only; *out has the name as it lies on disk. */
static int know_domain(struct cli *cli, struct directory_domain *out)
{
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	code = cli_fault(cli->args[0], directory_domain_get(dir, sv_z(cli->args[0]), out));
	directory_close(&dir);
	return code;
}

static int run_list(struct cli *cli)
{
	struct directory_domain domain = { .name = "" };
	int code = cli->arg_count ? know_domain(cli, &domain) : EXIT_DONE;

	if (code != EXIT_DONE)
		return code;
	if (cli_option(cli, "zone"))
		return cli_fault("DKIM keys", dkimkey_list(keys_of(cli), sv_z(domain.name), print_zone_line, NULL));
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);
	struct fault f = dkimkey_list(keys_of(cli), sv_z(domain.name), add_row, t);

	table_end(&t, "No DKIM key. A domain gets some when it is added: postroom domain add example.org");
	return cli_fault("DKIM keys", f);
}

static bool is_waiting(void *arg, const struct dkimkey *key)
{
	return key->state != DKIMKEY_WAITING || add_row(arg, key);
}

/* begin_rotation - new keys, and what to publish. */
static int begin_rotation(struct cli *cli, const struct directory_domain *domain)
{
	int code = cli_fault(domain->name, dkimkey_rotate(keys_of(cli), domain->name, date_now().seconds));
	struct fault f;

	if (code != EXIT_DONE)
		return code;
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);

	f = dkimkey_list(keys_of(cli), sv_z(domain->name), is_waiting, t);
	table_end(&t, NULL);
	if (!cli->json && !f.kind)
		printf("\nPublish these records. When they can be looked up (dig TXT NAME.%s), sign with them:\n"
		       "  postroom --root %s dkim rotate %s --finish\n",
		       domain->name, cli->root, domain->name);
	return cli_fault(domain->name, f);
}

static int run_rotate(struct cli *cli)
{
	struct directory_domain domain;
	int code = know_domain(cli, &domain);

	if (code != EXIT_DONE)
		return code;
	if (!cli_option(cli, "finish"))
		return begin_rotation(cli, &domain);
	code = cli_fault(domain.name, dkimkey_switch(keys_of(cli), domain.name, date_now().seconds));
	if (code == EXIT_DONE && !cli->json)
		printf("%s signs with the new keys now. Leave the old records in the DNS for %d days: mail signed with them "
		       "is still under way.\n",
		       domain.name, DKIMKEY_RETIRED_S / 86400);
	return code;
}

const struct verb dkim_verbs[] = {
	{ .noun = "dkim", .verb = "list", .args = "[DOMAIN]", .args_max = 1, .needs_root = true,
	  .summary = "List the keys that mail is signed with, and the DNS records that publish them",
	  .example = "dkim list example.org", .run = run_list,
	  .options = { { "zone", NULL, "as lines for a zone file" } } },
	{ .noun = "dkim", .verb = "rotate", .args = "DOMAIN", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Make new keys for a domain; once their records are published, sign with them",
	  .example = "dkim rotate example.org", .run = run_rotate,
	  .options = { { "finish", NULL, "the records are published: use the new keys, retire the old ones" } } },
	{ .noun = NULL },
};
