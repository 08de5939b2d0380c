/* postroom mta-sts: what our MTA-STS policy asks of other servers (RFC 8461), what they have reported meanwhile, and another policy. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/sts_evidence.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/control.h"
#include "common/directory.h"
#include "common/instance.h"
#include "common/textfile.h"

#include "common/banned.h"

#define OPTION "mta-sts-policy"
#define CONF_MAX ((size_t)1 << 20)
#define RELOAD_MS 20000

static const char *const modes[] = { [CONF_STS_NONE] = "none", [CONF_STS_TESTING] = "testing", [CONF_STS_ENFORCE] = "enforce" };

struct showing {
	struct cli *cli;
	struct table *table;
	enum conf_sts_mode mode;
	struct fault fault;
	bool is_time;
};

static bool add_row(void *arg, const struct directory_domain *domain)
{
	struct showing *s = arg;
	struct sts_evidence e;

	if (domain->relay != DIRECTORY_RELAY_NO)
		return true;
	s->fault = sts_evidence_read(s->cli->instance, domain->name, time(NULL), &e);
	if (s->fault.kind)
		return false;
	s->is_time |= s->mode == CONF_STS_TESTING && sts_evidence_suffices(&e);
	table_sv(s->table, sv_z(domain->name));
	table_sv(s->table, sv_z(modes[s->mode]));
	table_u64(s->table, e.reports);
	table_u64(s->table, e.passed);
	table_u64(s->table, e.failed);
	return true;
}

static int show(struct cli *cli, const struct conf *conf)
{
	static const struct column columns[] = {
		{ "DOMAIN", "domain", COLUMN_TEXT, NULL },           { "POLICY", "policy", COLUMN_TEXT, NULL },
		{ "REPORTS IN 14 DAYS", "reports", COLUMN_NUMBER, NULL }, { "PASSED", "passed", COLUMN_NUMBER, NULL },
		{ "FAILED", "failed", COLUMN_NUMBER, NULL },
	};
	struct showing s = { .cli = cli, .mode = conf->web.sts_policy };
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	s.table = table_new(columns, ARRAY_LEN(columns), cli->json);
	struct fault f = directory_domain_list(dir, add_row, &s);

	code = table_close(&s.table, cli_fault("reports", f.kind ? f : s.fault), "No domain yet. Add one: postroom domain add example.org");
	directory_close(&dir);
	if (code == EXIT_DONE && s.is_time && !cli->json)
		printf("Nothing failed in two weeks of reports. Next: postroom mta-sts enforce\n");
	return code;
}

static bool is_option(struct sv line)
{
	line = sv_trim(line);
	return sv_starts(line, SV(OPTION)) && (line.len == sizeof(OPTION) - 1 || line.p[sizeof(OPTION) - 1] == ' ' || line.p[sizeof(OPTION) - 1] == '\t');
}

/* @was: its line before; no policy has a # in its name */
static bool append_option(struct buf *out, const char *mode, struct sv was)
{
	struct sv comment = sv_sub(was, sv_find(was, '#'), SIZE_MAX);

	return buf_appendf(out, OPTION " %s%s%.*s\n", mode, comment.len ? " " : "", SV_FMT(comment));
}

/* The line that sets it becomes another one, with its comment; else it is added. All else stays as it was. */
static bool edit(struct sv text, const char *mode, struct buf *out)
{
	bool is_there = false, good = true;
	struct sv line;

	while (good && text.len && sv_split(&text, '\n', &line)) {
		if (!is_option(line))
			good = buf_append(out, line) && buf_append_c(out, '\n');
		else if (!is_there)
			is_there = good = append_option(out, mode, line);
	}
	return good && (is_there || buf_appendf(out, OPTION " %s\n", mode));
}

static struct fault write_conf(const struct cli *cli, const char *mode)
{
	char *path = realpath(instance_path(cli->instance, INSTANCE_CONF), NULL);      /* may be a link into /etc */
	struct buf was, is;

	if (!path)
		return fault_errno("find", instance_path(cli->instance, INSTANCE_CONF));
	buf_init(&was, CONF_MAX);
	buf_init(&is, CONF_MAX);
	struct fault f = textfile_read(path, &was);

	if (!f.kind && !edit(buf_sv(&was), mode, &is))
		f = fault(FAULT_LIMIT, "the file is too long");
	if (!f.kind)
		f = textfile_rewrite(path, buf_sv(&is));
	buf_done(&was);
	buf_done(&is);
	free(path);
	return f;
}

static int set(struct cli *cli, const struct conf *conf, const char *mode)
{
	if (strcmp(modes[conf->web.sts_policy], mode) == 0) {
		if (!cli->json)
			printf("The policy is %s already.\n", mode);
		return EXIT_DONE;
	}
	int code = cli_fault("postroom.conf", write_conf(cli, mode));

	if (code != EXIT_DONE)
		return code;
	struct fault f = control_ask(cli->instance, "webd", SV("{\"verb\":\"reload\"}"), NULL, NULL, RELOAD_MS);

	if (f.kind && f.kind != FAULT_UNAVAILABLE) {    /* that it does not run is no fault: it reads the file when it starts */
		complain("postroom reload", "the policy is written down, but the web front goes on with the former one: %s",
			 f.detail ? f.detail : fault_name(f.kind));
		return EXIT_FAILED;
	}
	if (!cli->json)
		printf("The policy is %s. Others notice by the id in the DNS, which is another one now:\n"
		       "Next: postroom dns DOMAIN --publish for each domain, or change the TXT record at _mta-sts.DOMAIN to what postroom dns DOMAIN shows\n",
		       mode);
	return EXIT_DONE;
}

static int run_mta_sts(struct cli *cli)
{
	const char *mode = cli->arg_count ? cli->args[0] : NULL;
	struct conf *conf = NULL;
	bool is_known = !mode;

	for (size_t i = 0; mode && i < ARRAY_LEN(modes); i++)
		is_known |= strcmp(mode, modes[i]) == 0;
	if (!is_known)
		return cli_usage(cli, "the policy is testing, enforce or none, not \"%s\"", mode);
	int code = open_conf(cli, &conf);

	if (code == EXIT_DONE)
		code = mode ? set(cli, conf, mode) : show(cli, conf);
	conf_unref(&conf);
	return code;
}

const struct verb mta_sts_verbs[] = {
	{ .noun = "mta-sts", .args = "[testing|enforce|none]", .args_max = 1, .needs_root = true,
	  .summary = "Show what other servers report while our MTA-STS policy is tested, or set another policy", .example = "mta-sts enforce",
	  .run = run_mta_sts },
	{ .noun = NULL },
};
