/* postroom backup DIR: a running instance as files; see admin/snapshot.h for the form. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/snapshot.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "common/instance.h"
#include "common/memory.h"
#include "maildir/backup.h"

#include "common/banned.h"

struct job {
	struct cli *cli;
	char root[SNAPSHOT_PATH_MAX];           /* of the backup in the making */
	char previous[SNAPSHOT_PATH_MAX];       /* the newest finished one; "" when there is none */
	struct directory *directory;
	struct store *store;
	char **addresses;
	size_t count, cap;
	struct backup_counts counts;
	struct progress progress;
	uint64_t files;
};

static bool note_account(void *arg, const struct directory_account *account)
{
	struct job *job = arg;

	if (job->count == job->cap) {
		job->cap = job->cap ? job->cap * 2 : 64;
		job->addresses = xrealloc(job->addresses, job->cap * sizeof(*job->addresses));
	}
	job->addresses[job->count++] = xstrdup(account->address);
	return true;
}

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct job *job = arg;

	progress_update(&job->progress, done, total);
}

/* mail/DOMAIN/USER below root, made when `make`; -1 when it cannot be opened. */
static int account_folder(const char *root, const char *address, bool make)
{
	char path[2 * SNAPSHOT_PATH_MAX];
	const char *at = strrchr(address, '@');

	if (make) {
		snprintf(path, sizeof(path), "%s/mail/%s", root, at + 1);
		mkdir(path, 0700);
	}
	snprintf(path, sizeof(path), "%s/mail/%s/%.*s", root, at + 1, (int)(at - address), address);
	if (make)
		mkdir(path, 0700);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static struct fault backup_account(struct job *job, const char *address)
{
	char source[2 * SNAPSHOT_PATH_MAX];
	struct stat st;
	const char *at = strrchr(address, '@');

	snprintf(source, sizeof(source), "%s/%s/%.*s/Maildir", instance_path(job->cli->instance, INSTANCE_MAIL), at + 1,
		 (int)(at - address), address);
	if (stat(source, &st) != 0)
		return FAULT_OK;        /* an account that never got mail nor logged in has none */
	int to = account_folder(job->root, address, true);
	int previous = job->previous[0] ? account_folder(job->previous, address, false) : -1;

	if (to < 0)
		return fault_errno("create the folder of", address);
	struct fault f = store_backup_account(job->store, sv_z(address), to, previous, &job->counts, show_progress, job);

	close(to);
	if (previous >= 0)
		close(previous);
	return f;
}

static struct fault copy_place(struct job *job, enum instance_place place, const char *name, bool is_folder)
{
	char to[SNAPSHOT_PATH_MAX + 32];
	const char *from = instance_path(job->cli->instance, place);

	snprintf(to, sizeof(to), "%s/%s", job->root, name);
	return is_folder ? copy_tree(from, to, false) : copy_file(from, to);
}

static struct fault backup_all(struct job *job)
{
	char path[SNAPSHOT_PATH_MAX + 32];
	struct fault f = copy_place(job, INSTANCE_FORMAT_FILE, "format", false);

	if (!f.kind) f = copy_place(job, INSTANCE_CONF, "postroom.conf", false);
	if (!f.kind) f = copy_place(job, INSTANCE_KEYS, "keys", true);
	if (!f.kind) f = copy_place(job, INSTANCE_TLS, "tls", true);
	if (!f.kind) f = copy_place(job, INSTANCE_SIEVE, "sieve", true);
	/* The queue before the mailboxes: what leaves it meanwhile is in both, never in neither. */
	if (!f.kind) f = copy_place(job, INSTANCE_QUEUE, "queue", true);
	snprintf(path, sizeof(path), "%s/directory", job->root);
	if (!f.kind && mkdir(path, 0700) != 0)
		f = fault_errno("create", path);
	snprintf(path, sizeof(path), "%s/directory/data.mdb", job->root);
	if (!f.kind) f = directory_copy(job->directory, path);
	if (!f.kind) f = directory_account_list(job->directory, SV_NONE, note_account, job);
	snprintf(path, sizeof(path), "%s/mail", job->root);
	if (!f.kind && mkdir(path, 0700) != 0)
		f = fault_errno("create", path);
	for (size_t i = 0; i < job->count && !f.kind; i++) {
		progress_start(&job->progress, job->addresses[i], "messages");
		f = backup_account(job, job->addresses[i]);
		progress_end(&job->progress);
	}
	return f;
}

/* Everything is on disk before the backup gets its name. */
static struct fault finish(struct job *job, int dir, const char *base, char final[SNAPSHOT_PATH_MAX])
{
	char name[64], stamp[32];
	time_t now = time(NULL);
	struct tm tm;

	progress_start(&job->progress, "Reading what is new", "files");
	struct fault f = manifest_write(job->root, job->previous[0] ? job->previous : NULL, &job->progress, &job->files);

	progress_end(&job->progress);
	if (f.kind)
		return f;
	if (syncfs(dir) != 0)
		return fault_errno("flush", base);
	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H%M%SZ", &tm);
	for (unsigned n = 1; n < 1000; n++) {
		if (n == 1)
			snprintf(name, sizeof(name), "%s", stamp);
		else
			snprintf(name, sizeof(name), "%s-%03u", stamp, n);
		snprintf(final, SNAPSHOT_PATH_MAX, "%s/%s", base, name);
		if (access(final, F_OK) == 0)
			continue;       /* another one in this second */
		if (rename(job->root, final) != 0)
			return fault_errno("rename", final);
		if (fsync(dir) != 0)
			return fault_errno("flush", base);
		return FAULT_OK;
	}
	return fault(FAULT_EXISTS, "a thousand backups in one second");
}

static void tell(struct cli *cli, const struct job *job, const char *final)
{
	static const struct column columns[] = {
		{ "backup", "path", COLUMN_TEXT, NULL },
		{ "accounts", "accounts", COLUMN_NUMBER, NULL },
		{ "mailboxes", "mailboxes", COLUMN_NUMBER, NULL },
		{ "messages", "messages", COLUMN_NUMBER, NULL },
		{ "mail", "bytes", COLUMN_BYTES, NULL },
		{ "linked to the mail store", "linked", COLUMN_NUMBER, NULL },
		{ "linked to the backup before", "known", COLUMN_NUMBER, NULL },
		{ "copied", "copied", COLUMN_NUMBER, NULL },
		{ "removed while it ran", "gone", COLUMN_NUMBER, NULL },
		{ "files in all", "files", COLUMN_NUMBER, NULL },
	};
	struct table *t = facts_new(columns, ARRAY_LEN(columns), cli->json);

	table_sv(t, sv_z(final));
	table_u64(t, job->count);
	table_u64(t, job->counts.mailboxes);
	table_u64(t, job->counts.messages);
	table_u64(t, job->counts.octets);
	table_u64(t, job->counts.linked);
	table_u64(t, job->counts.known);
	table_u64(t, job->counts.copied);
	table_u64(t, job->counts.gone);
	table_u64(t, job->files);
	table_end(&t, NULL);
}

static int backup_into(struct cli *cli, struct job *job, const char *base, int dir)
{
	char final[SNAPSHOT_PATH_MAX];
	int code = open_directory(cli, &job->directory);

	if (code == EXIT_DONE)
		code = open_store(cli, &job->store);
	if (code != EXIT_DONE)
		return code;
	snapshot_remove_unfinished(base);
	if (!snapshot_find(base, job->previous))
		job->previous[0] = '\0';
	snprintf(job->root, sizeof(job->root), "%s/" SNAPSHOT_UNFINISHED "%d", base, (int)getpid());
	if (mkdir(job->root, 0700) != 0)
		return cli_fault(base, fault_errno("create", job->root));
	struct fault f = backup_all(job);

	if (!f.kind)
		f = finish(job, dir, base, final);
	if (f.kind) {
		snapshot_remove(job->root);
		return cli_fault("backup", f);
	}
	tell(cli, job, final);
	return EXIT_DONE;
}

static int run_backup(struct cli *cli)
{
	struct job *job = xcalloc(1, sizeof(*job));
	char *base = NULL;
	int code = EXIT_FAILED;

	if (mkdir(cli->args[0], 0700) != 0 && errno != EEXIST)
		complain(NULL, "%s: %s", cli->args[0], strerrordesc_np(errno));
	else if (!(base = realpath(cli->args[0], NULL)) || strlen(base) > SNAPSHOT_PATH_MAX - 512)
		complain(NULL, "%s: %s", cli->args[0], base ? "the path is too long" : strerrordesc_np(errno));
	else if (sv_starts(sv_z(base), sv_z(cli->root)) && (base[strlen(cli->root)] == '/' || !base[strlen(cli->root)]))
		complain(NULL, "%s lies in the instance itself, which a lost disk would take along", base);
	else {
		int dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		/* The lock ends with the process, however it ends. */
		if (dir < 0)
			complain(NULL, "%s: %s", base, strerrordesc_np(errno));
		else if (flock(dir, LOCK_EX | LOCK_NB) != 0) {
			complain(NULL, "another backup into %s is running", base);
			code = EXIT_UNAVAILABLE;
		} else {
			job->cli = cli;
			code = backup_into(cli, job, base, dir);
		}
		if (dir >= 0)
			close(dir);
	}
	store_close(&job->store);
	directory_close(&job->directory);
	for (size_t i = 0; i < job->count; i++)
		free(job->addresses[i]);
	free(job->addresses);
	free(base);
	free(job);
	return code;
}

const struct verb backup_verbs[] = {
	{ .noun = "backup", .args = "DIR", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Copy the instance into a folder; it may be running",
	  .example = "backup /srv/backup/postroom", .run = run_backup },
	{ .noun = NULL },
};
