/* postroom dkim list|rotate: the keys that our mail is signed with, and what the DNS has to say about them. */
#include <stdio.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/date.h"
#include "common/directory.h"
#include "common/dkimkey.h"
#include "common/dns.h"
#include "common/instance.h"
#include "common/loop.h"

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

	return table_close(&t, cli_fault("DKIM keys", f), "No DKIM key. A domain gets some when it is added: postroom domain add example.org");
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
		printf("\nPublish these records. When that is done, sign with them:\n"
		       "  postroom --root %s dkim rotate %s --finish\n",
		       cli->root, domain->name);
	return cli_fault(domain->name, f);
}

/* ---- is it published? ---- */

/* The waiting keys of a domain, and what the DNS says of them. */
struct lookup {
	struct loop *loop;
	struct dns *dns;
	char name[DKIMKEY_SELECTOR_MAX + ADDRESS_DOMAIN_MAX + 32];
	const struct dkimkey *key;
	bool is_answered, is_there;
	char why[400];                  /* of the first that is not there; "": all are */
	size_t count;
};

/* is_key - does a record publish this key? Other tags and spacing are the administrator's. */
static bool is_key(struct sv text, const char *record)
{
	struct sv p = sv_z(record);

	sv_skip(&p, sv_search(p, SV("p=")) + 2);
	return sv_search(text, p) != SIZE_MAX;
}

static void on_record(void *arg, const struct dns_answer *answer)
{
	struct lookup *l = arg;
	struct buf text;

	l->is_answered = true;
	buf_init(&text, 8192);
	for (size_t i = 0; answer->status == DNS_DATA && i < answer->count; i++) {
		buf_clear(&text);
		if (dns_txt_from(answer->records[i], &text) && is_key(buf_sv(&text), l->key->record))
			l->is_there = true;
	}
	buf_done(&text);
	if (!l->is_there && !l->why[0])
		snprintf(l->why, sizeof(l->why), "%s %s", l->name,
			 answer->status == DNS_TEMPFAIL ? "cannot be looked up" :
			 answer->status == DNS_DATA     ? "says something else" : "is not in the DNS yet");
}

static bool look_up(void *arg, const struct dkimkey *key)
{
	struct lookup *l = arg;

	if (key->state != DKIMKEY_WAITING)
		return true;
	l->count++;
	l->key = key;
	l->is_answered = l->is_there = false;
	snprintf(l->name, sizeof(l->name), "%s._domainkey.%s", key->selector, key->domain);
	dns_ask(l->dns, sv_z(l->name), DNS_TXT, on_record, l, NULL);
	while (!l->is_answered)         /* within the timeout of dns-timeout */
		loop_run_once(l->loop, 1000);
	return true;
}

/* see_published - the records of the keys that wait can be looked up; else mail would be signed by keys that nobody finds. */
static int see_published(struct cli *cli, const char *domain)
{
	struct lookup l = { .count = 0 };
	struct conf *conf = NULL;
	int code = open_conf(cli, &conf);
	struct fault f;

	if (code != EXIT_DONE)
		return code;
	f = loop_new(&l.loop);
	if (!f.kind)
		f = dns_new_from_conf(l.loop, &conf->dns, &l.dns);
	if (!f.kind)
		f = dkimkey_list(keys_of(cli), sv_z(domain), look_up, &l);
	if (f.kind) {
		code = cli_fault(domain, f);
	} else if (l.why[0]) {
		complain("publish it, or add --unchecked when you know better", "%s", l.why);
		code = EXIT_UNAVAILABLE;
	}
	dns_free(&l.dns);
	if (l.loop)
		loop_free(&l.loop);
	conf_unref(&conf);
	return code;
}

static int run_rotate(struct cli *cli)
{
	struct directory_domain domain;
	int code = know_domain(cli, &domain);

	if (code != EXIT_DONE)
		return code;
	if (!cli_option(cli, "finish"))
		return begin_rotation(cli, &domain);
	if (!cli_option(cli, "unchecked"))
		code = see_published(cli, domain.name);
	if (code != EXIT_DONE)
		return code;
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
	  .options = { { "finish", NULL, "the records are published: use the new keys, retire the old ones" },
		       { "unchecked", NULL, "do not look whether they are" } } },
	{ .noun = NULL },
};
