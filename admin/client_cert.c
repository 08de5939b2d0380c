/* postroom client-cert add|list|revoke */
#include <stdio.h>
#include <stdlib.h>

#include "admin/credential.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/protocols.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/directory.h"
#include "common/identity.h"
#include "common/tls.h"

#include "common/banned.h"

#define RSA_BITS_MIN 2048
#define EC_BITS_MIN 224

/* Keys that are too short to stand for an account. */
static bool is_weak(const struct tls_cert_facts *facts)
{
	struct sv type = sv_z(facts->key_type);
	uint32_t bits;

	if (sv_eq(type, SV("Ed25519")))
		return false;
	if (sv_starts(type, SV("RSA ")))
		return !sv_to_u32(sv_sub(type, 4, type.len), &bits) || bits < RSA_BITS_MIN;
	return !sv_starts(type, SV("EC P-")) || !sv_to_u32(sv_sub(type, 5, type.len), &bits) || bits < EC_BITS_MIN;
}

static int tell(struct cli *cli, const struct tls_cert_facts *facts, uint32_t number)
{
	static const struct column columns[] = {
		{ "account", "account", COLUMN_TEXT, NULL },
		{ "label", "label", COLUMN_TEXT, NULL },
		{ "number", "number", COLUMN_NUMBER, NULL },
		{ "subject", "subject", COLUMN_TEXT, "-" },
		{ "key", "key_type", COLUMN_TEXT, NULL },
		{ "SHA-256 of the key", "key", COLUMN_TEXT, NULL },
	};
	struct conf *conf = NULL;
	struct table *t = facts_new(columns, ARRAY_LEN(columns), cli->json);

	table_sv(t, sv_z(cli->args[0]));
	table_sv(t, sv_z(cli->args[1]));
	table_u64(t, number);
	table_sv(t, sv_z(facts->subject));
	table_sv(t, sv_z(facts->key_type));
	table_sv(t, sv_z(facts->key_digest));
	table_end(&t, NULL);
	int code = open_conf(cli, &conf);

	if (code == EXIT_DONE && !cli->json && conf_list_is_none(&conf->tls.client_certificates))
		printf("\nNo listener asks for it yet. In postroom.conf: tls-client-certificates imaps submissions\n"
		       "Then restart the server.\n");
	conf_unref(&conf);
	return code;
}

static int run_add(struct cli *cli)
{
	unsigned scope = SCOPE_IMAP | SCOPE_POP3 | SCOPE_SUBMISSION | SCOPE_MANAGESIEVE;
	struct directory *dir = NULL;
	struct tls_cert_facts facts;
	uint32_t number = 0;

	if (!protocols_option(cli, "protocols", &scope))
		return EXIT_USAGE;
	int code = cli_fault(cli->args[2], tls_cert_read(cli->args[2], &facts));

	if (code != EXIT_DONE)
		return code;
	if (is_weak(&facts)) {
		complain("make a new one: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 ...",
			 "%s: a key of kind %s is no good; RSA from 2048 bits, ECDSA and Ed25519 are", cli->args[2],
			 facts.key_type);
		return EXIT_FAILED;
	}
	/* The file is whoever's who called; the instance is its owner's. */
	code = cli_open_instance(cli);
	if (code == EXIT_DONE)
		code = open_directory(cli, &dir);
	if (code == EXIT_DONE)
		code = cli_fault(cli->args[0], directory_certificate_add(dir, sv_z(cli->args[0]), sv_z(cli->args[1]), scope,
									 facts.key, &number));
	if (code == EXIT_DONE)
		code = tell(cli, &facts, number);
	directory_close(&dir);
	return code;
}

static int run_list(struct cli *cli)
{
	return credential_list(cli, true);
}

static int run_revoke(struct cli *cli)
{
	return credential_revoke(cli, true);
}

const struct verb client_cert_verbs[] = {
	{ .noun = "client-cert", .verb = "add", .args = "ADDRESS LABEL FILE", .args_min = 3, .args_max = 3,
	  .summary = "Let whoever has the key of a certificate (PEM) log in as an account, without a password",
	  .example = "client-cert add alice@example.org laptop laptop.pem", .run = run_add,
	  .options = { { "protocols", "LIST", "what it is good for, of " PROTOCOL_WORDS "; else all" } } },
	{ .noun = "client-cert", .verb = "list", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "List the certificates of an account", .example = "client-cert list alice@example.org",
	  .run = run_list },
	{ .noun = "client-cert", .verb = "revoke", .args = "ADDRESS LABEL", .args_min = 2, .args_max = 2,
	  .needs_root = true, .summary = "Take a certificate back; its key can log in no more",
	  .example = "client-cert revoke alice@example.org laptop", .run = run_revoke },
	{ .noun = NULL },
};
