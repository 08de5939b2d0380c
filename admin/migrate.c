#include "admin/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/daemons.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/snapshot.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "common/textfile.h"

#include "common/banned.h"

#define UNFINISHED ".unfinished"
#define ACCOUNTS_KEPT "directory-%d.mdb"       /* in a snapshot that was put in force again: those until then */
#define KEPT_MAX 1000

struct migration {
	struct instance *instance;
	migrate_note_fn *note;
	void *arg;
	char snapshot[MIGRATE_PATH_MAX];
};

static void note(const struct migration *m, const char *what)
{
	if (m->note)
		m->note(m->arg, what);
}

static const char *place(const struct migration *m, enum instance_place p)
{
	return instance_path(m->instance, p);
}

void migrate_snapshot(const struct instance *instance, char out[MIGRATE_PATH_MAX])
{
	snprintf(out, MIGRATE_PATH_MAX, "%s/before-%d", instance_path(instance, INSTANCE_ROOT), INSTANCE_FORMAT);
}

static struct migration begin(struct instance *instance, migrate_note_fn *fn, void *arg)
{
	struct migration m = { .instance = instance, .note = fn, .arg = arg };

	migrate_snapshot(instance, m.snapshot);
	return m;
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

bool migrate_is_unfinished(const struct instance *instance)
{
	return instance_format(instance) == INSTANCE_FORMAT && is_there(instance_path(instance, INSTANCE_MIGRATING));
}

bool migrate_is_needed(const struct instance *instance)
{
	return instance_format(instance) < INSTANCE_FORMAT || migrate_is_unfinished(instance);
}

/* ---- the steps from one format to the next ---- */

static struct fault step_folders(const struct migration *m)
{
	return instance_make_folders(m->instance);
}

static struct fault step_certificates(const struct migration *m)
{
	struct directory *dir = NULL;
	struct fault f = directory_open(place(m, INSTANCE_DIRECTORY), false, &dir);

	if (!f.kind)
		f = directory_certificates_list(dir);
	directory_close(&dir);
	return f;
}

/* From format 1 to 2. What a step leaves, the older program can read: after an upgrade its sessions go on. One that cannot promise that is the
 * first of a format to which `postroom upgrade` must not lead. */
static const struct {
	const char *what;
	struct fault (*run)(const struct migration *m);
} steps[] = {
	{ "every folder of an instance is there", step_folders },
	{ "the keys of all clients' certificates are found by a login", step_certificates },
};

/* ---- the snapshot ---- */

static struct fault copy_place(const struct migration *m, const char *to, enum instance_place p)
{
	char path[MIGRATE_PATH_MAX + 32];
	const char *from = place(m, p);
	struct stat st;

	if (stat(from, &st) != 0)
		return errno == ENOENT ? FAULT_OK : fault_errno("look at", from);
	snprintf(path, sizeof(path), "%s%s", to, from + strlen(place(m, INSTANCE_ROOT)));
	return S_ISDIR(st.st_mode) ? copy_tree(from, path, false) : copy_file(from, path);
}

static struct fault copy_accounts(const struct migration *m, const char *to)
{
	char path[MIGRATE_PATH_MAX + 32];
	struct directory *dir = NULL;

	snprintf(path, sizeof(path), "%s/directory", to);
	if (mkdir(path, 0700) != 0)
		return fault_errno("create", path);
	struct fault f = directory_open(place(m, INSTANCE_DIRECTORY), false, &dir);

	snprintf(path, sizeof(path), "%s/directory/data.mdb", to);
	if (!f.kind)
		f = directory_copy(dir, path);
	directory_close(&dir);
	return f;
}

static struct fault flush(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fault f = fd < 0 || syncfs(fd) != 0 ? fault_errno("flush", path) : FAULT_OK;

	if (fd >= 0)
		close(fd);
	return f;
}

/* name_kept - NAME, NAME.2, NAME.3: the nth. */
static void name_kept(char *out, size_t size, const char *name, unsigned n)
{
	if (n == 1)
		snprintf(out, size, "%s", name);
	else
		snprintf(out, size, "%s.%u", name, n);
}

/* An earlier snapshot goes; but one that was put in force again has the accounts of then, which are nowhere else. */
static struct fault clear_snapshot(const struct migration *m)
{
	char kept[MIGRATE_PATH_MAX + 32], old[MIGRATE_PATH_MAX + 16];
	unsigned n = 2;

	snprintf(kept, sizeof(kept), "%s/" ACCOUNTS_KEPT, m->snapshot, INSTANCE_FORMAT);
	if (!is_there(kept)) {
		snapshot_remove(m->snapshot);
		return FAULT_OK;
	}
	do
		name_kept(old, sizeof(old), m->snapshot, n);
	while (is_there(old) && n++ < KEPT_MAX);
	return rename(m->snapshot, old) == 0 ? FAULT_OK : fault_errno("rename", m->snapshot);
}

/* It is whole when it has its name. */
static struct fault take_snapshot(const struct migration *m)
{
	static const enum instance_place places[] = { INSTANCE_FORMAT_FILE, INSTANCE_CONF, INSTANCE_KEYS, INSTANCE_TLS, INSTANCE_SIEVE };
	char aside[MIGRATE_PATH_MAX + sizeof(UNFINISHED)];
	struct fault f = FAULT_OK;

	snprintf(aside, sizeof(aside), "%s%s", m->snapshot, UNFINISHED);
	note(m, "what an earlier attempt left goes");
	if (is_there(aside))
		snapshot_remove(aside);
	if (is_there(m->snapshot))
		f = clear_snapshot(m);
	note(m, "a snapshot is taken");
	if (!f.kind && mkdir(aside, 0700) != 0)
		f = fault_errno("create", aside);
	for (size_t i = 0; i < ARRAY_LEN(places) && !f.kind; i++)
		f = copy_place(m, aside, places[i]);
	note(m, "the accounts are copied");
	if (!f.kind)
		f = copy_accounts(m, aside);
	if (!f.kind)
		f = flush(aside);
	note(m, "the snapshot gets its name");
	if (!f.kind && rename(aside, m->snapshot) != 0)
		f = fault_errno("rename", aside);
	if (!f.kind)
		f = textfile_sync_dir(place(m, INSTANCE_ROOT));
	if (f.kind)
		snapshot_remove(aside); /* room for what is to be mended */
	return f;
}

/* ---- the stamp ---- */

static struct fault unlink_mark(const struct migration *m)
{
	if (unlink(place(m, INSTANCE_MIGRATING)) != 0 && errno != ENOENT)
		return fault_errno("remove", place(m, INSTANCE_MIGRATING));
	return textfile_sync_dir(place(m, INSTANCE_ROOT));
}

static struct fault snapshot_format(const struct migration *m, uint32_t *format)
{
	char path[MIGRATE_PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/format", m->snapshot);
	return instance_format_read(path, format);
}

static struct fault put_stamp_back(const struct migration *m)
{
	uint32_t format;
	struct fault f = snapshot_format(m, &format);

	if (!f.kind)
		f = instance_stamp(m->instance, format);
	return f.kind ? f : unlink_mark(m);
}

struct fault migrate_run(struct instance *instance, migrate_note_fn *fn, void *arg)
{
	struct migration m = begin(instance, fn, arg);
	struct fault f = FAULT_OK;

	if (!migrate_is_needed(instance))
		return f;
	if (instance_format(instance) < INSTANCE_FORMAT) {
		f = take_snapshot(&m);
		note(&m, "it is said that it begins");
		if (!f.kind)
			f = textfile_replace(place(&m, INSTANCE_MIGRATING), SV("see doc/operating.md, \"Formats\"\n"));
		note(&m, "the new format is stamped, which an older program refuses");
		if (!f.kind)
			f = instance_stamp(instance, INSTANCE_FORMAT);
	}
	for (size_t i = 0; i < ARRAY_LEN(steps) && !f.kind; i++) {
		note(&m, steps[i].what);
		f = steps[i].run(&m);
	}
	note(&m, "it is said that it is done");
	if (!f.kind)
		f = unlink_mark(&m);
	/* Only the older program's sentence is lost when that fails, too: migrate_is_unfinished(). */
	if (f.kind && instance_format(instance) == INSTANCE_FORMAT)
		(void)!put_stamp_back(&m).kind;
	return f;
}

/* ---- back ---- */

/* Under the first name that is free. When an earlier attempt was cut off, it has kept them, and the snapshot's may be in force already. */
static struct fault keep_accounts(const struct migration *m, const char *now, bool is_again)
{
	char first[MIGRATE_PATH_MAX + 32], kept[MIGRATE_PATH_MAX + 48];

	snprintf(first, sizeof(first), "%s/" ACCOUNTS_KEPT, m->snapshot, INSTANCE_FORMAT);
	if (is_again && is_there(first))
		return FAULT_OK;
	for (unsigned n = 1; n <= KEPT_MAX; n++) {
		name_kept(kept, sizeof(kept), first, n);
		if (link(now, kept) == 0)
			return FAULT_OK;
		if (errno != EEXIST)
			return fault_errno("link", kept);
	}
	return fault_detail(FAULT_LIMIT, "there are too many files beside %s", first);
}

struct fault migrate_back(struct instance *instance, migrate_note_fn *fn, void *arg)
{
	struct migration m = begin(instance, fn, arg);
	char was[MIGRATE_PATH_MAX + 32], now[MIGRATE_PATH_MAX + 32], aside[MIGRATE_PATH_MAX + 32];
	bool is_again = migrate_is_unfinished(instance);
	uint32_t format;
	struct fault f = instance_format(instance) < INSTANCE_FORMAT ? fault(FAULT_NOT_FOUND, "it has an older format") :
								       snapshot_format(&m, &format);

	if (f.kind)
		return f;
	snprintf(was, sizeof(was), "%s/directory/data.mdb", m.snapshot);
	snprintf(now, sizeof(now), "%s/data.mdb", place(&m, INSTANCE_DIRECTORY));
	snprintf(aside, sizeof(aside), "%s/data.mdb.back", place(&m, INSTANCE_DIRECTORY));
	note(&m, "it is said that it begins");
	f = textfile_replace(place(&m, INSTANCE_MIGRATING), SV("see doc/operating.md, \"Formats\"\n"));
	note(&m, "the accounts as they are now are kept");
	if (!f.kind)
		f = keep_accounts(&m, now, is_again);
	note(&m, "the accounts of the snapshot are copied");
	unlink(aside);
	if (!f.kind)
		f = copy_file(was, aside);
	note(&m, "they take their place");
	if (!f.kind && rename(aside, now) != 0)
		f = fault_errno("rename", aside);
	if (!f.kind)
		f = textfile_sync_dir(place(&m, INSTANCE_DIRECTORY));
	note(&m, "the older format is stamped");
	if (!f.kind)
		f = instance_stamp(instance, format);
	note(&m, "it is said that it is done");
	return f.kind ? f : unlink_mark(&m);
}

/* ---- the verb ---- */

static void tell(void *arg, const char *what)
{
	const struct cli *cli = arg;

	if (!cli->json)
		printf("- %s\n", what);
}

static int check_alone(struct cli *cli)
{
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		pid_t pid = pidfile_holder(cli->instance, daemon_names[i]);

		if (pid) {
			complain("postroom stop", "%s runs, process %d", daemon_names[i], (int)pid);
			return EXIT_FAILED;
		}
	}
	return EXIT_DONE;
}

static int forward(struct cli *cli)
{
	char snapshot[MIGRATE_PATH_MAX];
	uint32_t from = instance_format(cli->instance);

	migrate_snapshot(cli->instance, snapshot);
	if (!migrate_is_needed(cli->instance)) {
		if (!cli->json)
			printf("%s has format %u, which is this program's\n", cli->root, from);
		return EXIT_DONE;
	}
	struct fault f = migrate_run(cli->instance, tell, cli);

	if (f.kind)
		return cli_fault(cli->root, f);
	if (!cli->json)
		printf("%s has format %d now; as it was: %s\n", cli->root, INSTANCE_FORMAT, snapshot);
	return EXIT_DONE;
}

static int back(struct cli *cli)
{
	char snapshot[MIGRATE_PATH_MAX];

	migrate_snapshot(cli->instance, snapshot);
	struct fault f = migrate_back(cli->instance, tell, cli);

	if (f.kind == FAULT_NOT_FOUND) {
		complain(NULL, "%s has format %u, and there is no snapshot to go back to", cli->root, instance_format(cli->instance));
		return EXIT_NOT_FOUND;
	}
	if (f.kind)
		return cli_fault(cli->root, f);
	if (!cli->json)
		printf("%s has format %u again, for the older programs; accounts are those of the snapshot, mail and queue those of now\n", cli->root,
		       instance_format(cli->instance));
	return EXIT_DONE;
}

static int run_migrate(struct cli *cli)
{
	struct pidfile pidfile = PIDFILE_NONE;
	int code = cli_open_instance_to_migrate(cli);

	if (code != EXIT_DONE)
		return code;
	struct fault f = pidfile_take(cli->instance, "postroom", &pidfile);

	if (f.kind == FAULT_IN_USE) {
		complain("postroom upgrade, which brings the instance to the new format; or postroom stop", "%s", f.detail);
		return EXIT_FAILED;
	}
	code = f.kind ? cli_fault("pid file", f) : check_alone(cli);
	if (code == EXIT_DONE)
		code = cli_option(cli, "back") ? back(cli) : forward(cli);
	pidfile_drop(&pidfile);
	return code;
}

const struct verb migrate_verbs[] = {
	{ .noun = "migrate", .args = "", .summary = "Bring an instance of an older version to this one's format, or back; serve does the former by itself",
	  .example = "migrate", .run = run_migrate,
	  .options = { { "back", NULL, "put the snapshot in force again, for the older version" } } },
	{ .noun = NULL },
};
