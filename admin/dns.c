/* postroom dns: the records that a domain needs, for a web form, a zone file or a program; are they right; publish them. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/dnspublish.h"
#include "admin/dnsrecords.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/dnsclient.h"
#include "common/json.h"

#include "common/banned.h"

#define JSON_MAX ((size_t)1 << 20)
#define WIDTH 100               /* a value that is longer gets lines of its own */

/* ---- printing ---- */

/* A provider's form asks for the name below the domain, with @ for the domain itself. */
static const char *form_name(const struct dnsrecord *r, const char *domain, char out[2 * DNS_NAME_MAX])
{
	struct sv name = sv_z(r->name), zone = sv_z(domain);

	if (sv_eq(name, zone))
		snprintf(out, 2 * (size_t)DNS_NAME_MAX, "@");
	else if (sv_ends(name, zone) && name.p[name.len - zone.len - 1] == '.')
		snprintf(out, 2 * (size_t)DNS_NAME_MAX, "%.*s", SV_FMT(sv_sub(name, 0, name.len - zone.len - 1)));
	else
		snprintf(out, 2 * (size_t)DNS_NAME_MAX, "%s.", r->name);
	return out;
}

static void print_table(const struct dnsrecords *records, const char *domain)
{
	const struct dnsrecord_kind *kind = NULL;
	char name[2 * DNS_NAME_MAX];
	int width = 4;

	for (size_t i = 0; i < records->count; i++) {
		int len = (int)strlen(form_name(&records->items[i], domain, name));

		if (len > width && len < 40)
			width = len;
	}
	printf("Records for %s, as a provider's form asks for them: names are below %s, @ is the domain itself.\n"
	       "Enter each group of quoted strings as one value; a form that takes plain text wants it without quotes.\n",
	       domain, domain);
	for (size_t i = 0; i < records->count; i++) {
		const struct dnsrecord *r = &records->items[i];

		if (r->kind != kind)
			printf("\n# %s%s\n", r->kind->why, r->kind->level == DNSRECORD_MUST   ? "" :
							   r->kind->level == DNSRECORD_SHOULD ? " (recommended)" : " (optional)");
		kind = r->kind;
		form_name(r, domain, name);
		if (strlen(r->text) > WIDTH)
			printf("%-5s  %s\n    %s\n", dnsrdata_type_name(r->type), name, r->text);
		else
			printf("%-5s  %-*s  %s\n", dnsrdata_type_name(r->type), width, name, r->text);
	}
}

static void print_zone(const struct dnsrecords *records, const char *domain)
{
	const struct dnsrecord_kind *kind = NULL;

	printf("; records for %s, made by postroom dns %s --format zone\n", domain, domain);
	for (size_t i = 0; i < records->count; i++) {
		const struct dnsrecord *r = &records->items[i];

		if (r->kind != kind)
			printf("; %s\n", r->kind->why);
		kind = r->kind;
		printf("%s. %d IN %s %s\n", r->name, DNSRECORDS_TTL_S, dnsrdata_type_name(r->type), r->text);
	}
}

static void print_json(const struct dnsrecords *records, const char *domain)
{
	struct json_out j;
	struct buf out, text;

	buf_init(&out, JSON_MAX);
	buf_init(&text, JSON_MAX);
	json_out_init(&j, &out);
	json_out_object(&j, NULL);
	json_out_z(&j, "domain", domain);
	json_out_array(&j, "records");
	for (size_t i = 0; i < records->count; i++) {
		const struct dnsrecord *r = &records->items[i];

		buf_clear(&text);
		json_out_object(&j, NULL);
		json_out_z(&j, "name", r->name);
		json_out_z(&j, "type", dnsrdata_type_name(r->type));
		json_out_u64(&j, "ttl", DNSRECORDS_TTL_S);
		json_out_z(&j, "value", r->text);
		if (r->type == DNS_TXT && dns_txt_from(r->rdata, &text))
			json_out_sv(&j, "text", buf_sv(&text));
		json_out_z(&j, "kind", r->kind->name);
		json_out_z(&j, "level", dnsrecord_level_name(r->kind->level));
		json_out_z(&j, "why", r->kind->why);
		json_out_object_end(&j);
	}
	json_out_array_end(&j);
	json_out_object_end(&j);
	printf("%.*s\n", SV_FMT(buf_sv(&out)));
	buf_done(&text);
	buf_done(&out);
}

static int print_records(const struct cli *cli, const struct facts *facts, const char *format)
{
	struct dnsrecords records;
	const char *domain = facts->domains[0];
	int code = cli_fault(domain, dnsrecords_make(facts, domain, &records));

	if (code == EXIT_DONE) {
		if (cli->json || strcmp(format, "json") == 0)
			print_json(&records, domain);
		else if (strcmp(format, "zone") == 0)
			print_zone(&records, domain);
		else
			print_table(&records, domain);
	}
	dnsrecords_done(&records);
	return code;
}

/* ---- checking ---- */

/* ask_authorities - from now on the lookup asks those who know: what caches say may be old. */
static int ask_authorities(struct facts *facts, const char *server)
{
	struct netaddr servers[LOOKUP_SERVERS_MAX];
	char zone[DNS_NAME_MAX + 1] = "";
	size_t count = 0;

	if (server && !dnsclient_parse_server(server, &servers[count++]))
		return cli_usage(facts->cli, "--server takes an address, such as 192.0.2.53 or 127.0.0.1@5353, not \"%s\"", server);
	if (!server)
		count = lookup_authorities(facts->lookup, facts->domains[0], servers, zone);
	if (!facts->cli->json && !count)
		printf("The name servers of %s cannot be found; the resolver says:\n\n", facts->domains[0]);
	else if (!facts->cli->json)
		printf("Asked: %zu name server%s%s%s%s.\n\n", count, count == 1 ? "" : "s", zone[0] ? " of " : "", zone,
		       server ? " (--server)" : "");
	if (count) {
		lookup_at(facts->lookup, servers, count);
		facts->is_at_authorities = true;
	}
	return EXIT_DONE;
}

static int check_all(struct cli *cli, struct facts *facts, const char *server)
{
	struct findings findings;
	int code = ask_authorities(facts, server);

	if (code != EXIT_DONE)
		return code;
	findings_init(&findings);
	checks_run(facts, CHECKS_DNS, &findings, NULL);
	if (cli->json)
		checks_print_json(&findings);
	else
		checks_print(&findings, cli_option(cli, "all") != NULL, stdout);
	code = checks_exit_code(&findings);
	findings_done(&findings);
	return code;
}

static int publish_all(struct cli *cli, struct facts *facts)
{
	struct dnsrecords records;
	int code = cli_fault(facts->domains[0], dnsrecords_make(facts, facts->domains[0], &records));

	if (code == EXIT_DONE)
		code = dnspublish(facts, &records, cli_option(cli, "server"), cli_option(cli, "key"));
	dnsrecords_done(&records);
	return code;
}

static int run_dns(struct cli *cli)
{
	const char *format = cli_option(cli, "format");
	struct facts facts;

	if (format && strcmp(format, "table") != 0 && strcmp(format, "zone") != 0 && strcmp(format, "json") != 0)
		return cli_usage(cli, "--format takes table, zone or json");
	if (cli_option(cli, "check") && cli_option(cli, "publish"))
		return cli_usage(cli, "--check and --publish are two things to do: publish first");
	int code = facts_gather(cli, cli->args[0], &facts);

	if (code == EXIT_DONE && cli_option(cli, "publish"))
		code = publish_all(cli, &facts);
	else if (code == EXIT_DONE)
		code = cli_option(cli, "check") ? check_all(cli, &facts, cli_option(cli, "server"))
						: print_records(cli, &facts, format ? format : "table");
	facts_done(&facts);
	return code;
}

const struct verb dns_verbs[] = {
	{ .noun = "dns", .args = "DOMAIN", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Show, check or publish the DNS records that a domain needs",
	  .example = "dns example.org --check", .run = run_dns,
	  .options = { { "format", "FORMAT", "table (for web forms), zone (for a zone file) or json" },
		       { "check", NULL, "ask the domain's name servers which records are wrong, and what does not work meanwhile" },
		       { "all", NULL, "with --check: show the good ones, too" },
		       { "publish", NULL, "add them to the zone by an update (RFC 2136); what others have put there is left alone" },
		       { "key", "FILE", "with --publish: the TSIG key; keys/dns.key in the instance unless given" },
		       { "server", "ADDRESS", "the name server to ask; ADDRESS@PORT for another port than 53" } } },
	{ .noun = NULL },
};
