/* postroom init: a new instance. Nothing that is there already is touched; what a failed run made is removed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/init.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/directory.h"
#include "common/dkimkey.h"
#include "common/idna.h"
#include "common/instance.h"
#include "common/memory.h"
#include "common/textfile.h"
#include "common/tls.h"

#include "common/banned.h"

/* ---- pieces ---- */

static struct fault write_conf(const struct instance *instance, const struct init_plan *plan)
{
	struct buf text;

	buf_init(&text, 8192);
	buf_appendf(&text,
		    "# Postroom's settings for this host. Every setting has a default; `postroom conf describe` explains\n"
		    "# each, `postroom conf show --all` prints what is in force, `postroom conf check` finds mistakes.\n"
		    "\n"
		    "hostname %s\n", plan->hostname);
	if (plan->port_offset)
		buf_appendf(&text, "port-offset %llu\n", (unsigned long long)plan->port_offset);
	if (plan->bind)
		buf_appendf(&text, "bind %s\n", plan->bind);
	if (plan->user)
		buf_appendf(&text, "user %s\n", plan->user);
	struct fault f = textfile_make(instance_path(instance, INSTANCE_CONF), buf_sv(&text), 0600);

	buf_done(&text);
	return f.kind == FAULT_EXISTS ? FAULT_OK : f;
}

static struct fault make_certificate(const struct instance *instance, const struct init_plan *plan)
{
	/* The local names let programs on this host check the certificate, too. */
	const char *cert = instance_path(instance, INSTANCE_TLS_CERT), *key = instance_path(instance, INSTANCE_TLS_KEY);
	struct sv names[] = { sv_z(plan->hostname), SV("localhost"), SV("127.0.0.1"), SV("::1") };

	/* One without the other is what an attempt left that was cut off. */
	if (access(cert, F_OK) == 0 && access(key, F_OK) == 0)
		return FAULT_OK;
	if ((unlink(cert) != 0 && errno != ENOENT) || (unlink(key) != 0 && errno != ENOENT))
		return fault_errno("remove", cert);
	return tls_make_self_signed(names, ARRAY_LEN(names), cert, key);
}

static struct fault make_directory(const struct instance *instance, const struct init_plan *plan)
{
	struct directory *dir = NULL;
	struct fault f = directory_open(instance_path(instance, INSTANCE_DIRECTORY), true, &dir);

	if (!f.kind)
		f = directory_domain_add(dir, sv_z(plan->domain));
	directory_close(&dir);
	return f.kind == FAULT_EXISTS ? FAULT_OK : f;
}

static uid_t owner_uid;
static gid_t owner_gid;

static int give_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return lchown(path, owner_uid, owner_gid);
}

/* The daemons run as the owner of the instance. */
static struct fault give_to_user(const char *root, const char *user)
{
	const struct passwd *pw = getpwnam(user);

	if (!pw)
		return fault_detail(FAULT_INVALID, "there is no user %s", user);
	owner_uid = pw->pw_uid;
	owner_gid = pw->pw_gid;
	if (nftw(root, give_one, 16, FTW_PHYS) != 0)
		return fault_errno("give to the service user", root);
	return FAULT_OK;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	if (ftw->level > 0)
		remove(path);
	return 0;
}

static void undo(const char *root, bool root_was_there)
{
	nftw(root, remove_one, 16, FTW_PHYS | FTW_DEPTH);
	if (!root_was_there)
		rmdir(root);
}

/* ---- all of it ---- */

/* Is there nothing yet that undoing could take from anybody? */
static bool is_vacant(const char *root)
{
	DIR *dir = opendir(root);
	const struct dirent *e;
	bool is_empty = true;

	if (!dir)
		return true;
	while (is_empty && (e = readdir(dir)))
		is_empty = e->d_name[0] == '.' || strcmp(e->d_name, "lost+found") == 0;
	closedir(dir);
	return is_empty;
}

struct fault init_instance(const char *root, const struct init_plan *plan, struct instance **out)
{
	bool may_undo = is_vacant(root), root_was_there = access(root, F_OK) == 0;
	struct instance *instance = NULL;
	struct fault f = instance_create(root, &instance);

	if (f.kind)
		return f;       /* nothing was made */
	f = write_conf(instance, plan);
	if (!f.kind)
		f = make_certificate(instance, plan);
	if (!f.kind)
		f = dkimkey_make(instance_path(instance, INSTANCE_KEYS), plan->domain);
	if (!f.kind)
		f = make_directory(instance, plan);
	if (!f.kind)
		f = instance_seal(instance);
	if (!f.kind && plan->user)
		f = give_to_user(root, plan->user);
	if (f.kind && may_undo)
		undo(root, root_was_there);
	if (f.kind)
		instance_close(&instance);
	else
		*out = instance;
	return f;
}

/* Names that were made, beside the plan that borrows them. */
struct names {
	char hostname[ADDRESS_DOMAIN_MAX + 8];
};

static int parse(struct cli *cli, struct init_plan *plan, struct names *names)
{
	const char *offset = cli_option(cli, "port-offset");

	plan->domain = cli_option(cli, "domain");
	plan->hostname = cli_option(cli, "hostname");
	plan->bind = cli_option(cli, "bind");
	plan->user = cli_option(cli, "user");
	if (!plan->domain)
		return cli_usage(cli, "--domain is missing");
	if (offset && (!sv_to_u64(sv_z(offset), &plan->port_offset) || plan->port_offset > 64000))
		return cli_usage(cli, "--port-offset takes a number from 0 to 64000");
	if (plan->user && geteuid() != 0)
		return cli_usage(cli, "--user needs root");
	if (!plan->user && geteuid() == 0 && strcmp(cli->root, "/var/lib/postroom") == 0 && getpwnam(INIT_SERVICE_USER))
		plan->user = INIT_SERVICE_USER;
	if (!plan->hostname) {
		snprintf(names->hostname, sizeof(names->hostname), "mail.%s", plan->domain);
		plan->hostname = names->hostname;
	}
	return EXIT_DONE;
}

static int tell(struct cli *cli, const struct init_plan *plan)
{
	static const struct column columns[] = {
		{ "root", "root", COLUMN_TEXT, NULL },
		{ "domain", "domain", COLUMN_TEXT, NULL },
		{ "host name", "hostname", COLUMN_TEXT, NULL },
	};

	if (cli->json) {
		struct table *t = facts_new(columns, ARRAY_LEN(columns), true);
		table_sv(t, sv_z(cli->root));
		table_sv(t, sv_z(plan->domain));
		table_sv(t, sv_z(plan->hostname));
		table_end(&t, NULL);
		return EXIT_DONE;
	}
	printf("Made an instance in %s for %s, host name %s.\n\n"
	       "Next:\n"
	       "  postroom --root %s account add alice@%s --generate\n"
	       "  postroom --root %s serve\n",
	       cli->root, plan->domain, plan->hostname, cli->root, plan->domain, cli->root);
	return EXIT_DONE;
}

static int run_init(struct cli *cli)
{
	struct init_plan plan = { 0 };
	struct names made;
	struct arena names;
	int code = parse(cli, &plan, &made);

	if (code != EXIT_DONE)
		return code;
	arena_init(&names, 8192);
	struct sv domain = idna_to_ascii(&names, sv_z(plan.domain));
	struct sv hostname = idna_to_ascii(&names, sv_z(plan.hostname));

	if (!domain.p || !hostname.p) {
		code = cli_usage(cli, "\"%s\" is not a domain name", domain.p ? plan.hostname : plan.domain);
	} else {
		plan.domain = domain.p;
		plan.hostname = hostname.p;
		struct fault f = init_instance(cli->root, &plan, &cli->instance);
		code = f.kind ? cli_fault(cli->root, f) : tell(cli, &plan);
	}
	arena_done(&names);
	return code;
}
const struct verb init_verbs[] = {
	{ .noun = "init", .args = "", .summary = "Make a new instance: configuration, certificate, keys, a domain",
	  .example = "--root /var/lib/postroom init --domain example.org --hostname mail.example.org",
	  .run = run_init,
	  .options = { { "domain", "DOMAIN", "the first domain to receive mail for" },
		       { "hostname", "NAME", "name of this host in the DNS; mail.DOMAIN unless given" },
		       { "bind", "ADDR", "listen on this address only; all of them unless given" },
		       { "port-offset", "N", "added to every port: 10000 gives 10025, 10143, ..." },
		       { "user", "NAME", "system user to run as (root only)" } } },
	{ .noun = NULL },
};
