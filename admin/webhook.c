/* postroom webhook show|key: a program of the administrator's that is told what happens to messages (smtpd/webhook.h). */
#include <stdio.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/crypt.h"
#include "common/json.h"
#include "common/textfile.h"
#include "common/transfer.h"

#include "common/banned.h"

#define KEY_OCTETS 32
#define KEY_FILE_MAX 1000

static const struct column columns[] = {
	{ "url", "url", COLUMN_TEXT, NULL },
	{ "state", "state", COLUMN_TEXT, NULL },
	{ "events told", "posted", COLUMN_NUMBER, NULL },
	{ "failures", "failures", COLUMN_NUMBER, NULL },
	{ "seconds behind", "behind_s", COLUMN_NUMBER, NULL },
	{ "last answer", "answer", COLUMN_TEXT, NULL },
};

static bool add_row(void *arg, const struct json *answer)
{
	uint64_t number;
	struct sv text;

	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		if (columns[i].kind == COLUMN_NUMBER)
			table_u64(arg, json_get_u64(answer, columns[i].name, &number) ? number : 0);
		else
			table_sv(arg, json_get_sv(answer, columns[i].name, &text) ? text : SV_NONE);
	}
	return true;
}

static int run_show(struct cli *cli)
{
	struct table *t = facts_new(columns, ARRAY_LEN(columns), cli->json);
	int code = ask_daemon(cli, "smtpd", SV("{\"verb\":\"webhook.status\"}"), add_row, t);

	return table_close(&t, code, NULL);
}

static struct fault make_key(const char *path, struct buf *text)
{
	uint8_t octets[KEY_OCTETS];

	crypt_random(octets, sizeof(octets));
	buf_clear(text);
	(void)buf_append(text, SV("whsec_"));
	(void)base64_encode(sv_from((const char *)octets, sizeof(octets)), text);
	(void)buf_append_c(text, '\n');
	return textfile_replace(path, buf_sv(text));
}

static int run_key(struct cli *cli)
{
	struct conf *conf = NULL;
	struct buf text;
	struct fault f = FAULT_OK;
	int code = open_conf(cli, &conf);

	if (code != EXIT_DONE)
		return code;
	buf_init(&text, KEY_FILE_MAX);
	if (!cli_option(cli, "new"))
		f = textfile_read(conf->relay.webhook_key, &text);
	if (cli_option(cli, "new") || f.kind == FAULT_NOT_FOUND)
		f = make_key(conf->relay.webhook_key, &text);
	if (!f.kind)
		printf("%.*s\n", SV_FMT(sv_trim(buf_sv(&text))));
	code = cli_fault(conf->relay.webhook_key, f);
	buf_done(&text);
	conf_unref(&conf);
	return code;
}

const struct verb webhook_verbs[] = {
	{ .noun = "webhook", .verb = "show", .args = "", .needs_root = true,
	  .summary = "Show how the program is doing that is told of messages", .example = "webhook show", .run = run_show },
	{ .noun = "webhook", .verb = "key", .args = "", .needs_root = true,
	  .summary = "Print the key that signs what it is told; the first time, make it", .example = "webhook key", .run = run_key,
	  .options = { { "new", NULL, "make another one: the old one is good for nothing from now on" } } },
	{ .noun = NULL },
};
