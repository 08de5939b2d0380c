/* postroom cert: the certificate as it is, and how it is looked after. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/control.h"
#include "common/instance.h"
#include "common/tls.h"

#include "common/banned.h"

#define DAY_S 86400
#define ASK_MS 10000
#define RENEW_WAIT_S 330        /* the helper gives an order up after 300 s */
#define POLL_MS 200
#define START_WAIT_MS 20000

/* What the helper says (webd/acme/helper.c). */
struct state {
	bool is_there;
	char state[16], error[500], directory[520];
	uint64_t renewals, again_in_s;
};

static void take_text(const struct json *line, const char *name, char *out, size_t size)
{
	struct sv text;

	if (json_get_sv(line, name, &text))
		snprintf(out, size, "%.*s", SV_FMT(text));
}

static bool take_state(void *arg, const struct json *line)
{
	struct state *s = arg;

	s->is_there = true;
	take_text(line, "state", s->state, sizeof(s->state));
	take_text(line, "last_error", s->error, sizeof(s->error));
	take_text(line, "directory", s->directory, sizeof(s->directory));
	json_get_u64(line, "renewals", &s->renewals);
	json_get_u64(line, "again_in_s", &s->again_in_s);
	return true;
}

/* Busy: it is being started. */
static struct fault ask_helper(struct cli *cli, struct sv request, struct state *out)
{
	struct fault f;

	for (unsigned waited = 0;; waited += POLL_MS) {
		*out = (struct state){ .is_there = false };
		f = control_ask(cli->instance, "webd", request, take_state, out, ASK_MS);
		if (f.kind != FAULT_BUSY || waited >= START_WAIT_MS)
			return f;
		usleep(POLL_MS * 1000);
	}
}

/* One line on who looks after it. */
static void tell_keeper(struct cli *cli, const struct conf *conf, char *out, size_t size)
{
	struct state s;

	if (!*conf->acme.directory)
		snprintf(out, size, "you: acme-directory is not set");
	else if (ask_helper(cli, SV("{\"verb\":\"acme\"}"), &s).kind)
		snprintf(out, size, "ACME, but webd does not answer");
	else if (strcmp(s.state, "asking") == 0)
		snprintf(out, size, "ACME, being asked for now");
	else if (*s.error)
		snprintf(out, size, "ACME FAILED, again in %llu min: %s", (unsigned long long)(s.again_in_s + 59) / 60, s.error);
	else
		snprintf(out, size, "ACME, renewed when a third of its life is left");
}

static int run_show(struct cli *cli)
{
	static const struct column columns[] = {
		{ "certificate", "file", COLUMN_TEXT, NULL },
		{ "for", "names", COLUMN_LIST, NULL },
		{ "from", "not_before", COLUMN_TIME, NULL },
		{ "until", "not_after", COLUMN_TIME, NULL },
		{ "days left", "days_left", COLUMN_NUMBER, NULL },
		{ "self-signed", "self_signed", COLUMN_BOOL, NULL },
		{ "key", "key", COLUMN_TEXT, NULL },
		{ "SHA-256", "fingerprint", COLUMN_TEXT, NULL },
		{ "renewed by", "renewed_by", COLUMN_TEXT, NULL },
	};
	struct tls_cert_facts cert;
	struct conf *conf = NULL;
	char keeper[640];
	int code = open_conf(cli, &conf);

	if (code != EXIT_DONE)
		return code;
	struct fault f = tls_cert_read(conf->tls.certificate, &cert);

	if (f.kind) {
		code = cli_fault("certificate", f);
	} else {
		int64_t left_s = cert.not_after_s - (int64_t)time(NULL);
		struct table *t = facts_new(columns, ARRAY_LEN(columns), cli->json);

		tell_keeper(cli, conf, keeper, sizeof(keeper));
		table_sv(t, sv_z(conf->tls.certificate));
		table_sv(t, sv_z(cert.names));
		table_u64(t, (uint64_t)cert.not_before_s);
		table_u64(t, (uint64_t)cert.not_after_s);
		table_u64(t, left_s > 0 ? (uint64_t)left_s / DAY_S : 0);
		table_u64(t, cert.is_self_signed);
		table_sv(t, sv_z(cert.key_type));
		table_sv(t, sv_z(cert.fingerprint));
		table_sv(t, sv_z(keeper));
		table_end(&t, NULL);
	}
	conf_unref(&conf);
	return code;
}

static int run_renew(struct cli *cli)
{
	struct state s, first;
	struct fault f = ask_helper(cli, SV("{\"verb\":\"acme\"}"), &first);

	if (!f.kind)
		f = ask_helper(cli, SV("{\"verb\":\"acme-renew\"}"), &s);
	for (unsigned waited = 0; !f.kind && strcmp(s.state, "asking") == 0 && waited < RENEW_WAIT_S * 1000u; waited += POLL_MS) {
		usleep(POLL_MS * 1000);
		f = ask_helper(cli, SV("{\"verb\":\"acme\"}"), &s);
	}
	if (f.kind == FAULT_INVALID && f.detail) {
		complain("postroom setup DOMAIN --yes --authority letsencrypt, and postroom stop and serve", "%s", f.detail);
		return EXIT_FAILED;
	}
	if (f.kind)
		return cli_fault("certificate", f);
	if (s.renewals == first.renewals) {
		complain("postroom cert show", "no certificate came: %s", *s.error ? s.error : "it takes too long");
		return EXIT_FAILED;
	}
	if (cli->json)
		printf("{\"renewed\":true}\n");
	else
		printf("A new certificate is in use.\nNext: postroom cert show\n");
	return EXIT_DONE;
}

const struct verb cert_verbs[] = {
	{ .noun = "cert", .verb = "show", .args = "", .needs_root = true,
	  .summary = "Show the certificate: names, days left, fingerprint, who renews it", .example = "cert show", .run = run_show },
	{ .noun = "cert", .verb = "renew", .args = "", .needs_root = true,
	  .summary = "Get a new certificate by ACME now (acme-directory)", .example = "cert renew", .run = run_renew },
	{ .noun = NULL },
};
