/* postroom web: where the web front answers what, and the same answers as files for another web server. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/directory.h"
#include "common/discovery.h"
#include "common/memory.h"
#include "common/textfile.h"

#include "common/banned.h"

/* ---- domains ---- */

struct domains {
	char **names;
	size_t count;
};

static bool keep_domain(void *arg, const struct directory_domain *domain)
{
	struct domains *d = arg;

	d->names = xrealloc(d->names, (d->count + 1) * sizeof(*d->names));
	d->names[d->count++] = xstrdup(domain->name);
	return true;
}

static int read_domains(struct cli *cli, struct domains *out)
{
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	struct fault f = directory_domain_list(dir, keep_domain, out);

	directory_close(&dir);
	return f.kind ? cli_fault("domains", f) : EXIT_DONE;
}

/* ---- the answers ---- */

static bool make_autoconfig(const struct conf *conf, struct sv domain, struct buf *out)
{
	return discovery_autoconfig(conf, domain, out);
}

static bool make_autodiscover(const struct conf *conf, struct sv domain, struct buf *out)
{
	return discovery_autodiscover(conf, domain, SV_NONE, out);
}

static bool make_autodiscover_json(const struct conf *conf, struct sv domain, struct buf *out)
{
	struct buf host;
	bool good, is_known;

	(void)conf;
	buf_init(&host, 512);
	good = buf_appendf(&host, "autodiscover.%.*s", SV_FMT(domain)) &&
	       discovery_autodiscover_json(buf_sv(&host), SV("AutodiscoverV1"), out, &is_known);
	buf_done(&host);
	return good;
}

static bool make_sts(const struct conf *conf, struct sv domain, struct buf *out)
{
	(void)domain;
	return discovery_sts_policy(conf, out);
}

static const struct answer {
	const char *host_prefix, *path, *for_whom;
	bool (*make)(const struct conf *conf, struct sv domain, struct buf *out);
} answers[] = {
	{ "autoconfig.", "/mail/config-v1.1.xml", "Thunderbird", make_autoconfig },
	{ "", "/.well-known/autoconfig/mail/config-v1.1.xml", "Thunderbird", make_autoconfig },
	{ "autodiscover.", "/autodiscover/autodiscover.xml", "Outlook", make_autodiscover },
	{ "autodiscover.", "/autodiscover/autodiscover.json", "Outlook", make_autodiscover_json },
	{ "mta-sts.", "/.well-known/mta-sts.txt", "mail servers", make_sts },
};

/* ---- listing ---- */

static int list(struct cli *cli, const struct conf *conf, const struct domains *domains)
{
	static const struct column columns[] = {
		{ "DOMAIN", "domain", COLUMN_TEXT, NULL },
		{ "FOR", "for", COLUMN_TEXT, NULL },
		{ "URL", "url", COLUMN_TEXT, NULL },
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);
	uint64_t port = 0;
	char at[32] = "";

	for (size_t i = 0; i < conf->listener_count && !port; i++)
		if (conf->listeners[i].kind == LISTENER_HTTPS)
			port = conf->listeners[i].port;
	if (port && port != 443)
		snprintf(at, sizeof(at), ":%llu", (unsigned long long)port);
	for (size_t i = 0; i < domains->count; i++)
		for (size_t k = 0; k < ARRAY_LEN(answers); k++) {
			struct buf url;

			buf_init(&url, 1024);
			(void)buf_appendf(&url, "https://%s%s%s%s", answers[k].host_prefix, domains->names[i], at, answers[k].path);
			table_sv(t, sv_z(domains->names[i]));
			table_sv(t, sv_z(answers[k].for_whom));
			table_sv(t, buf_sv(&url));
			buf_done(&url);
		}
	table_end(&t, "There is no domain yet.");
	if (!port && !cli->json)
		printf("\nNothing listens for them: `web no` is set, or no listener is of kind https.\n"
		       "Next: postroom web --files DIR   makes the answers for another web server\n");
	return EXIT_DONE;
}

/* ---- files ---- */

/* Every folder on the way to a file; any web server may read them. */
static struct fault make_folders(char *path)
{
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		int failed = mkdir(path, 0755) != 0 && errno != EEXIST;
		struct fault f = failed ? fault_errno("mkdir", path) : FAULT_OK;

		*p = '/';
		if (f.kind)
			return f;
	}
	return FAULT_OK;
}

/* Replaced as a whole: a web server may be reading it. */
static struct fault write_file(char *path, struct sv text)
{
	struct buf temporary;
	struct fault f = make_folders(path);

	buf_init(&temporary, 4096);
	if (!f.kind && (!buf_appendf(&temporary, "%s.new", path) || !buf_z(&temporary)))
		f = fault(FAULT_LIMIT, "the path is too long");
	if (!f.kind) {
		unlink(temporary.p);
		f = textfile_make(temporary.p, text, 0644);
	}
	if (!f.kind && rename(temporary.p, path) != 0)
		f = fault_errno("rename", path);
	buf_done(&temporary);
	return f;
}

static struct fault write_answer(const struct conf *conf, const char *folder, const char *domain, const struct answer *a)
{
	struct fault f = FAULT_OK;
	struct buf path, text;

	buf_init(&path, 4000);
	buf_init(&text, DISCOVERY_MAX);
	if (!buf_appendf(&path, "%s/%s%s%s", folder, a->host_prefix, domain, a->path) || !buf_z(&path))
		f = fault(FAULT_LIMIT, "the path is too long");
	else if (!a->make(conf, sv_z(domain), &text))
		f = fault(FAULT_LIMIT, "the answer is too long");
	else
		f = write_file(path.p, buf_sv(&text));
	buf_done(&path);
	buf_done(&text);
	return f;
}

static int write_files(struct cli *cli, const struct conf *conf, const struct domains *domains, const char *folder)
{
	size_t count = 0;

	umask(022);
	for (size_t i = 0; i < domains->count; i++)
		for (size_t k = 0; k < ARRAY_LEN(answers); k++) {
			struct fault f = write_answer(conf, folder, domains->names[i], &answers[k]);

			if (f.kind)
				return cli_fault(folder, f);
			count++;
		}
	if (cli->json)
		printf("{\"files\":%zu}\n", count);
	else
		printf("Wrote %zu files below %s, one folder per host name.\n"
		       "Next: let the web server give them out; doc/web.md has the lines for nginx, Apache and Caddy.\n"
		       "Again after each change of domains, ports, hostname or mta-sts-policy.\n", count, folder);
	return EXIT_DONE;
}

static int run_web(struct cli *cli)
{
	const char *folder = cli_option(cli, "files");
	struct domains domains = { NULL, 0 };
	struct conf *conf = NULL;
	int code = open_conf(cli, &conf);

	if (code == EXIT_DONE)
		code = read_domains(cli, &domains);
	if (code == EXIT_DONE)
		code = folder ? write_files(cli, conf, &domains, folder) : list(cli, conf, &domains);
	for (size_t i = 0; i < domains.count; i++)
		free(domains.names[i]);
	free(domains.names);
	conf_unref(&conf);
	return code;
}

const struct verb web_verbs[] = {
	{ .noun = "web", .args = "", .needs_root = true,
	  .summary = "Show where mail programs find their settings, or make those answers as files",
	  .example = "web --files /srv/postroom-web", .run = run_web,
	  .options = { { "files", "DIR", "write the answers below DIR, for nginx, Apache or Caddy (doc/web.md)" } } },
	{ .noun = NULL },
};
