#include "admin/credential.h"

#include <stdlib.h>

#include "admin/device.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/protocols.h"
#include "common/crypt.h"
#include "common/directory.h"
#include "common/logins.h"
#include "common/memory.h"

#include "common/banned.h"

/* The account with its credentials, checked to be an account. */
static int read_login(struct cli *cli, struct directory *dir, struct directory_login *out)
{
	struct directory_account account;
	int code = cli_fault(cli->args[0], directory_account_get(dir, sv_z(cli->args[0]), &account));

	return code != EXIT_DONE ? code : cli_fault(cli->args[0], directory_login(dir, sv_z(account.address), out));
}

static void add_bounds(struct table *t, const struct directory_bounds *b)
{
	char text[IPNET_TEXT_MAX];
	struct buf words;

	buf_init(&words, DIRECTORY_SOURCES_MAX * IPNET_TEXT_MAX);
	for (size_t i = 0; i < b->source_count; i++) {
		ipnet_format(&b->sources[i], text);
		buf_appendf(&words, "%s%s", i ? " " : "", text);
	}
	table_u64(t, (uint64_t)b->expires_s);
	table_sv(t, buf_sv(&words));
	buf_done(&words);
}

/* When a credential was used last, by whichever device. */
struct last_use {
	uint32_t number;
	int64_t at_s;
};

static bool note_use(void *arg, const struct logins_device *d)
{
	struct last_use *use = arg;

	if (d->number == use->number && d->last_s > use->at_s)
		use->at_s = d->last_s;
	return true;
}

static int64_t last_use(struct logins *logins, const struct directory_account *account, uint32_t number)
{
	struct last_use use = { .number = number };

	/* What cannot be read is not known; `device list` says why. */
	if (logins && logins_devices(logins, sv_z(account->id), note_use, &use).kind)
		return 0;
	return use.at_s;
}

static void add_row(struct table *t, const struct directory_credential *c, int64_t used_s)
{
	char digest[2 * CRYPT_SHA256_LEN + 1];
	struct buf words;

	buf_init(&words, 256);
	protocols_append(&words, c->scope);
	table_u64(t, c->number);
	table_sv(t, sv_z(c->label));
	table_sv(t, buf_sv(&words));
	table_u64(t, (uint64_t)c->created_s);
	table_u64(t, (uint64_t)used_s);
	if (c->is_certificate) {
		crypt_hex(c->key, sizeof(c->key), digest);
		table_sv(t, sv_z(digest));
	} else {
		add_bounds(t, &c->bounds);
	}
	buf_done(&words);
}

struct table *credential_table(const struct directory_login *l, struct logins *logins, bool is_certificate, bool as_json)
{
#define COMMON_COLUMNS \
	{ "NUMBER", "number", COLUMN_NUMBER, NULL }, { "LABEL", "label", COLUMN_TEXT, NULL }, \
	{ "GOOD FOR", "protocols", COLUMN_LIST, NULL }, { "SINCE", "created", COLUMN_TIME, NULL }, \
	{ "LAST USED", "used", COLUMN_TIME, "never" }
	static const struct column of_certificates[] = { COMMON_COLUMNS, { "KEY", "key", COLUMN_TEXT, NULL } };
	static const struct column of_passwords[] = {
		COMMON_COLUMNS, { "EXPIRES", "expires", COLUMN_TIME, "never" }, { "FROM", "from", COLUMN_LIST, NULL },
	};
	struct table *t = is_certificate ? table_new(of_certificates, ARRAY_LEN(of_certificates), as_json) :
					   table_new(of_passwords, ARRAY_LEN(of_passwords), as_json);

	for (size_t i = 0; i < l->count; i++)
		if (l->credentials[i].number && l->credentials[i].is_certificate == is_certificate)
			add_row(t, &l->credentials[i], last_use(logins, &l->account, l->credentials[i].number));
	return t;
}

int credential_list(struct cli *cli, bool is_certificate)
{
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct directory *dir = NULL;
	struct logins *logins = NULL;
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = read_login(cli, dir, l);
	if (code == EXIT_DONE)
		code = open_logins(cli, &logins);
	if (code == EXIT_DONE) {
		struct table *t = credential_table(l, logins, is_certificate, cli->json);

		table_end(&t, is_certificate ?
				      "No certificate yet. Register one: postroom client-cert add alice@example.org laptop laptop.pem" :
				      "No app password yet. Make one: postroom app-password add alice@example.org phone");
	}
	logins_close(&logins);
	directory_login_done(l);
	free(l);
	directory_close(&dir);
	return code;
}

int credential_revoke(struct cli *cli, bool is_certificate)
{
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct directory *dir = NULL;
	uint32_t number = 0;
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = read_login(cli, dir, l);
	if (code == EXIT_DONE) {
		for (size_t i = 0; i < l->count; i++)
			if (l->credentials[i].number && l->credentials[i].is_certificate == is_certificate &&
			    strcmp(l->credentials[i].label, cli->args[1]) == 0)
				number = l->credentials[i].number;
		if (number) {
			code = cli_fault(cli->args[0], directory_credential_remove(dir, sv_z(cli->args[0]), number));
		} else {
			complain(is_certificate ? "postroom client-cert list ADDRESS names them" :
						  "postroom app-password list ADDRESS names them",
				 "%s has no %s \"%s\"", cli->args[0], is_certificate ? "certificate" : "app password",
				 cli->args[1]);
			code = EXIT_NOT_FOUND;
		}
	}
	directory_login_done(l);
	free(l);
	directory_close(&dir);
	return code;
}
