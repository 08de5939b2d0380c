/* maildir/account.c - see account_private.h: folders, locks, opening and closing. */
#include "maildir/account_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/log.h"
#include "common/memory.h"
#include "maildir/files.h"
#include "maildir/flushes.h"
#include "maildir/mark_private.h"
#include "maildir/shares_private.h"
#include "maildir/store_private.h"

#include "common/banned.h"

#define LOCK_WAIT_MS 10000
#define LOCK_POLL_MS 3
#define GATE_WAIT_S 5
#define DEATHS_MAX 16           /* processes that may die inside an account before its index is made anew */
#define DOUBT_MS (60 * 1000)
#define RESERVE ((uint64_t)1 << 20)     /* kept allocated behind data.mdb: copy-on-write needs pages even to expunge */

#define LOG_RESERVE (64 << 10)          /* behind the flag log: a full disk keeps nobody from deleting */

static void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static struct fault lock_account(int dir, int how)
{
	for (long waited = 0; flock(dir, how | LOCK_NB); waited += LOCK_POLL_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fault_errno("lock", "account folder");
		if (waited > LOCK_WAIT_MS)
			return fault(FAULT_BUSY, "account is locked by another process");
		sleep_ms(LOCK_POLL_MS);
	}
	return FAULT_OK;
}

void box_path(char out[BOX_PATH_MAX], const char *dir, const char *sub, const char *name)
{
	/* INBOX lies in the Maildir itself. Nothing here can be cut: each part has its limit. */
	const char *parts[] = { strcmp(dir, ".") ? dir : NULL, sub, name };
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		size_t more = parts[i] ? strlen(parts[i]) : 0;

		if (!parts[i])
			continue;
		if (more > BOX_PATH_MAX - 2 - len)
			BUG("path in a Maildir too long");
		if (len)
			out[len++] = '/';
		memcpy(out + len, parts[i], more);
		len += more;
	}
	out[len] = '\0';
}

/* --- jobs ------------------------------------------------------------------------------------------------------- */

/* Inside a job, who leaves an account stays parked in it: the gate and the flock are kept, and coming back costs nothing. One
 * account per thread, and nobody waits for a gate alone while he is parked anywhere, so no two threads wait for each other. */
static _Thread_local struct {
	bool is_running;
	struct account *parked;         /* referenced */
	uint64_t refreshed;             /* the mailbox of it whose folders were looked at last; 0: none */
} job;

static void release(struct account *a);

static void unpark(void)
{
	struct account *a = job.parked;

	job.parked = NULL;
	job.refreshed = 0;
	if (!a)
		return;
	release(a);
	pthread_rwlock_unlock(&a->gate);
	store_account_unref(&a);
}

void store_job_begin(void)
{
	job.is_running = true;
	job.refreshed = 0;
}

void store_job_end(void)
{
	unpark();
	job.is_running = false;
}

bool account_is_refreshed(uint64_t box)
{
	return job.is_running && job.refreshed == box;
}

void account_note_refreshed(uint64_t box)
{
	job.refreshed = box;
}

/* For opening, closing and replacing what others use. */
static void gate_alone(struct account *a)
{
	unpark();
	pthread_rwlock_wrlock(&a->gate);
}

#define HOLD_ATTEMPTS 100

/* --- folders --------------------------------------------------------------------------------------------------- */

struct fault adopt_new_mailbox_at(const struct store_conf *conf, int maildir, const char *path,
				  const struct sidecar_mailbox *s, bool is_inbox)
{
	static const char *const parts[] = { "cur", "new", "tmp" };
	char sub[BOX_PATH_MAX];
	struct buf text;
	struct fault f = is_inbox ? FAULT_OK : files_mkdir(maildir, path, conf->umask_dir, NULL);

	for (size_t i = 0; !f.kind && i < ARRAY_LEN(parts); i++) {
		box_path(sub, path, parts[i], NULL);
		f = files_mkdir(maildir, sub, conf->umask_dir, NULL);
	}
	buf_init(&text, SIDECAR_MAX);
	if (!f.kind)
		f = sidecar_mailbox_write(s, &text);
	if (!f.kind) {
		box_path(sub, path, LAYOUT_MAILBOX_FILE, NULL);
		f = files_write_unflushed(maildir, sub, buf_sv(&text), conf->umask_file);
	}
	if (!f.kind && !is_inbox) {
		/* Courier and Dovecot know by this file that the folder is a mailbox of the Maildir above. */
		box_path(sub, path, "maildirfolder", NULL);
		f = files_write_unflushed(maildir, sub, SV_NONE, conf->umask_file);
	}
	buf_done(&text);
	return f;
}

/* cur/, new/ and tmp/ are empty: that they exist stands in the folder above, and each delivery flushes the one it needs. */
struct fault adopt_sync_new_mailbox(int maildir, const char *path)
{
	char sub[BOX_PATH_MAX];
	struct fault f;

	box_path(sub, path, LAYOUT_MAILBOX_FILE, NULL);
	f = files_sync_file(maildir, sub);
	return f.kind ? f : files_sync_dir(maildir, path);
}

static uint64_t new_mailbox_id(void)
{
	uint64_t id;

	do {
		crypt_random(&id, sizeof(id));
	} while (!id);
	return id;
}

static const struct { const char *name; uint32_t use; } first_boxes[] = {
	{ "INBOX", 0 }, { "Drafts", USE_DRAFTS }, { "Sent", USE_SENT }, { "Junk", USE_JUNK },
	{ "Trash", USE_TRASH }, { "Archive", USE_ARCHIVE },
};

static void first_dir(size_t i, char dir[LAYOUT_DIR_MAX + 1])
{
	if (!layout_dir(sv_z(first_boxes[i].name), dir))
		BUG("no folder for %s", first_boxes[i].name);
}

/* What a new account flushes: two files, then each mailbox. */
static struct fault flush_new(void *arg, size_t i)
{
	static const char *const files[] = { LAYOUT_ACCOUNT_FILE, LAYOUT_SUBSCRIPTIONS_FILE };
	char dir[LAYOUT_DIR_MAX + 1];
	const int *maildir = arg;

	if (i < ARRAY_LEN(files))
		return files_sync_file(*maildir, files[i]);
	first_dir(i - ARRAY_LEN(files), dir);
	return adopt_sync_new_mailbox(*maildir, dir);
}

/* The mailboxes of a new account, made under a temporary name so that nobody ever sees half of them. */
static struct fault fill_new_maildir(const struct store_conf *conf, int maildir)
{
	size_t count = conf->create_special_use ? ARRAY_LEN(first_boxes) : 1;
	uint32_t now = (uint32_t)time(NULL);
	struct sidecar_subscriptions subscribed = { .generation = 1 };
	struct sidecar_account account = { .generation = 1, .uidvalidity_floor = now + UIDVALIDITY_BLOCK,
					   .modseq_ceiling = MODSEQ_BLOCK };
	struct buf text;
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < count; i++) {
		struct sidecar_mailbox s = { .generation = 1, .id = new_mailbox_id(), .uidvalidity = now + (uint32_t)i,
					     .uid_ceiling = 1, .special_use = first_boxes[i].use };
		char dir[LAYOUT_DIR_MAX + 1];
		first_dir(i, dir);
		f = adopt_new_mailbox_at(conf, maildir, dir, &s, !i);
		sidecar_subscribe(&subscribed, sv_z(first_boxes[i].name), true);
	}
	buf_init(&text, SIDECAR_MAX);
	if (!f.kind)
		f = sidecar_subscriptions_write(&subscribed, &text);
	if (!f.kind)
		f = files_write_unflushed(maildir, LAYOUT_SUBSCRIPTIONS_FILE, buf_sv(&text), conf->umask_file);
	buf_clear(&text);
	if (!f.kind)
		f = sidecar_account_write(&account, &text);
	if (!f.kind)
		f = files_write_unflushed(maildir, LAYOUT_ACCOUNT_FILE, buf_sv(&text), conf->umask_file);
	if (!f.kind)
		f = files_write_unflushed(maildir, LAYOUT_FLAG_LOG, SV_NONE, conf->umask_file);
	/* Now that all of it is there: in any order, since nobody finds it before it gets its name. A syncfs would take everybody's. */
	if (!f.kind)
		f = flushes_run(2 + count, flush_new, &maildir);
	sidecar_subscriptions_done(&subscribed);
	buf_done(&text);
	return f;
}

static struct fault make_maildir(struct account *a, int dir)
{
	const struct store_conf *conf = account_conf(a);
	char temp[FILES_TEMP_LEN];
	int fd = -1;
	struct fault f;

	files_temp_name(LAYOUT_MAILDIR, temp);
	f = files_mkdir(dir, temp, conf->umask_dir, NULL);
	if (!f.kind) {
		fd = files_open(dir, temp, O_RDONLY | O_DIRECTORY, 0);
		if (fd < 0)
			f = fault_errno("open", temp);
	}
	if (!f.kind)
		f = fill_new_maildir(conf, fd);
	if (!f.kind)
		f = files_rename_new(dir, temp, dir, LAYOUT_MAILDIR);
	if (fd >= 0)
		close(fd);
	if (f.kind)
		files_remove_tree(dir, temp);
	else
		log_info(NULL, "store.account.made", KV_Z("account", a->address));
	if (f.kind == FAULT_EXISTS)     /* another process was faster */
		f = FAULT_OK;
	return f.kind ? f : files_sync_dir(dir, ".");
}

static struct fault open_made(int at, const char *name, mode_t mode, int *out)
{
	bool made;
	struct fault f = files_mkdir(at, name, mode, &made);

	if (!f.kind && made)
		f = files_sync_dir(at, ".");
	if (f.kind)
		return f;
	*out = files_open(at, name, O_RDONLY | O_DIRECTORY, 0);
	return *out < 0 ? fault_errno("open", name) : FAULT_OK;
}

/* Gate held alone. */
static struct fault open_folders(struct account *a)
{
	const struct store_conf *conf = account_conf(a);
	struct sv user, domain;
	int root = -1, middle = -1, dir = -1, maildir = -1;
	struct fault f = FAULT_OK;

	if (a->dir >= 0)
		return FAULT_OK;
	if (!layout_account_split(sv_z(a->address), &user, &domain))
		return fault(FAULT_INVALID, "address cannot be a folder");
	char *user_z = sv_copy_z(user), *domain_z = sv_copy_z(domain);

	root = open(conf->mail_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		f = fault_errno("open", conf->mail_dir);
	if (!f.kind)
		f = open_made(root, domain_z, conf->umask_dir, &middle);
	if (!f.kind)
		f = open_made(middle, user_z, conf->umask_dir, &dir);
	if (!f.kind && !files_exists(dir, LAYOUT_MAILDIR))
		f = make_maildir(a, dir);
	if (!f.kind) {
		maildir = files_open(dir, LAYOUT_MAILDIR, O_RDONLY | O_DIRECTORY, 0);
		if (maildir < 0)
			f = fault_errno("open", LAYOUT_MAILDIR);
	}
	if (!f.kind) {
		a->dir = dir;
		a->maildir = maildir;
		dir = maildir = -1;
	}
	free(user_z);
	free(domain_z);
	if (root >= 0)
		close(root);
	if (middle >= 0)
		close(middle);
	if (dir >= 0)
		close(dir);
	return f;
}

struct fault account_hold_folders(struct account *a)
{
	struct fault f = FAULT_OK;

	/* Between making them and holding them somebody may close the account: to rebuild its index, or because it was idle. */
	for (int attempt = 0; !f.kind && attempt < HOLD_ATTEMPTS; attempt++) {
		pthread_rwlock_rdlock(&a->gate);
		if (a->dir >= 0 && files_exists(a->maildir, "tmp"))
			return FAULT_OK;
		pthread_rwlock_unlock(&a->gate);
		account_close_index(a);
		gate_alone(a);
		f = store_internal(open_folders(a));
		pthread_rwlock_unlock(&a->gate);
	}
	return f.kind ? f : fault(FAULT_BUSY, "account is being closed");
}

void account_release_folders(struct account *a)
{
	pthread_rwlock_unlock(&a->gate);
}

/* --- the index: opened, found wanting, made anew ---------------------------------------------------------------- */

static void close_env(struct account *a)
{
	if (atomic_exchange(&a->is_open, false))
		store_note_open(a, false);
	kv_env_close(&a->env);
	intent_close(&a->intent);
	if (a->index_dir >= 0)
		close(a->index_dir);
	a->index_dir = -1;
}

static void close_all(struct account *a)
{
	close_env(a);
	if (a->flag_log >= 0) {
		if (atomic_exchange(&a->log_dirty_ms, 0))
			(void)!fdatasync(a->flag_log);
		close(a->flag_log);
	}
	if (a->maildir >= 0)
		close(a->maildir);
	if (a->dir >= 0)
		close(a->dir);
	a->flag_log = a->maildir = a->dir = -1;
}

void account_close_index(struct account *a)
{
	gate_alone(a);
	close_all(a);
	pthread_rwlock_unlock(&a->gate);
}

bool account_close_unused(struct account *a)
{
	if (pthread_rwlock_trywrlock(&a->gate))
		return false;
	close_all(a);
	pthread_rwlock_unlock(&a->gate);
	return true;
}

static bool data_identity(int dir, uint64_t *ino, int64_t *btime)
{
	struct statx x;

	if (statx(dir, LAYOUT_INDEX "/data.mdb", AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &x))
		return false;
	*ino = x.stx_ino;
	*btime = x.stx_mask & STATX_BTIME ? (int64_t)x.stx_btime.tv_sec * 1000000000 + x.stx_btime.tv_nsec : 0;
	return true;
}

static const struct kv_options index_options = {
	.kind = KV_DISPOSABLE, .tables = index_tables, .table_count = T_COUNT,
};

void account_reserve_log(struct account *a)
{
	struct stat st;

	if (!fstat(a->flag_log, &st))
		(void)!fallocate(a->flag_log, FALLOC_FL_KEEP_SIZE, 0, st.st_size + LOG_RESERVE);
}

/* Once for this process, however many accounts and commands meet it, until one of those can be written again. Before
 * a->is_read_only is set. */
static void tell_read_only(const struct account *a, bool is_read_only)
{
	static atomic_bool is_told;

	if (is_read_only && !atomic_exchange(&is_told, true))
		log_error(NULL, "store.read_only", KV_Z("account", a->address), KV_Z("path", a->path),
			  KV_Z("meanwhile", "mail there can be read, and nothing be taken or changed"),
			  KV_Z("do", "see dmesg why, and mount it again: the server notices by itself"));
	else if (!is_read_only && atomic_load(&a->is_read_only) && atomic_exchange(&is_told, false))
		log_info(NULL, "store.writable", KV_Z("account", a->address), KV_Z("path", a->path));
}

/* Open data.mdb and look whether it is this account's, as it was left. FAULT_CORRUPT: it must be made anew; is_current_tree: from
 * names and sidecars that are no older than what was told, as those of a restored tree may be. */
static struct fault open_env(struct account *a, bool *is_current_tree)
{
	enum mark_state mark;
	struct kv_txn *kv = NULL;
	struct index_meta meta;
	struct sidecar_account side;
	struct buf text, path;
	uint64_t ino;
	int64_t btime;
	struct stat st;
	struct fault f;

	a->index_dir = files_open(a->dir, LAYOUT_INDEX, O_RDONLY | O_DIRECTORY, 0);
	mark = a->index_dir < 0 ? MARK_NONE : mark_look(a->index_dir);
	*is_current_tree = mark == MARK_THIS_BOOT || mark == MARK_OTHER_BOOT;
	if (a->index_dir < 0 || !data_identity(a->dir, &ino, &btime))
		return fault(FAULT_CORRUPT, "no index");
	if (mark == MARK_COPIED)
		return fault(FAULT_CORRUPT, "index is a copy");
	if (mark == MARK_OTHER_BOOT)
		return fault(FAULT_CORRUPT, "index was not flushed before the power failed");
	buf_init(&path, 8192);
	if (!buf_appendf(&path, "%s/" LAYOUT_INDEX, a->path) || !buf_z(&path))
		return fault(FAULT_LIMIT, "path too long");
	f = kv_env_open(buf_z(&path), &index_options, &a->env);
	buf_done(&path);
	if (!f.kind) {
		kv_env_file(a->env, &a->data_dev, &a->data_ino);
		f = kv_read_begin(a->env, &kv);
	}
	if (!f.kind)
		f = index_meta_get(kv, &meta);
	kv_read_end(&kv);
	if (f.kind == FAULT_NOT_FOUND || f.kind == FAULT_INVALID)
		f = fault(FAULT_CORRUPT, "index has no account record");
	if (!f.kind && (meta.data_ino != ino || meta.data_btime != btime || a->data_ino != (ino_t)ino)) {
		*is_current_tree = false;
		f = fault(FAULT_CORRUPT, "index is a copy");
	}
	if (!f.kind && meta.format != INDEX_FORMAT) {
		*is_current_tree = true;
		f = fault(FAULT_CORRUPT, "index is of another format");
	}

	/* A sidecar that is older than the index, or much newer, came from a backup. */
	buf_init(&text, SIDECAR_MAX);
	if (!f.kind) {
		f = files_read(a->maildir, LAYOUT_ACCOUNT_FILE, &text);
		if (!f.kind)
			f = sidecar_account_parse(buf_sv(&text), &side);
		if (f.kind == FAULT_NOT_FOUND)
			f = fault(FAULT_CORRUPT, "account sidecar is gone");
		if (!f.kind && (side.generation < meta.generation || side.generation > meta.generation + 1000)) {
			*is_current_tree = false;
			f = fault(FAULT_CORRUPT, "account sidecar was restored");
		}
		sidecar_account_done(&side);
	}
	buf_done(&text);
	if (!f.kind) {
		f = intent_open(a->index_dir, &a->intent);
		if (f.kind == FAULT_NOT_FOUND)
			f = fault(FAULT_CORRUPT, "index is being removed");
	}
	bool is_read_only = !f.kind && kv_env_is_read_only(a->env);

	if (!f.kind)
		tell_read_only(a, is_read_only);
	atomic_store(&a->is_read_only, is_read_only);
	atomic_store(&a->has_met_read_only, false);
	if (!f.kind && a->flag_log < 0) {
		bool is_new = !files_exists(a->maildir, LAYOUT_FLAG_LOG);
		a->flag_log = files_open(a->maildir, LAYOUT_FLAG_LOG,
					 is_read_only ? O_RDONLY : O_RDWR | O_CREAT | O_APPEND, account_conf(a)->umask_file);
		if (a->flag_log < 0)
			f = fault_errno("open", LAYOUT_FLAG_LOG);
		else if (is_new)
			f = files_sync_dir(a->maildir, ".");
	}
	if (f.kind || is_read_only)
		return f;
	if (!fstat(a->flag_log, &st) && st.st_size) {
		/* Perhaps a killed process wrote these and did not live to flush them. */
		atomic_store(&a->log_dirty_ms, store_now_ms());
	}
	account_reserve_log(a);
	if (kv_env_reserve(a->env, RESERVE).kind)
		log_warn(NULL, "store.index.no_reserve", KV_Z("account", a->address));
	return f;
}

/* Gate held alone, folders open, nothing locked. */
static struct fault open_index(struct account *a)
{
	struct fault f = lock_account(a->dir, LOCK_SH);
	bool is_current_tree = false, ignored;

	if (!f.kind) {
		f = open_env(a, &is_current_tree);
		if (f.kind == FAULT_CORRUPT) {
			close_env(a);
			log_info(NULL, "store.index.rebuild", KV_Z("account", a->address), KV_Z("why", f.detail));
			f = lock_account(a->dir, LOCK_EX);
			/* While we waited somebody else may have done it. */
			if (!f.kind && open_env(a, &ignored).kind) {
				close_env(a);
				f = rebuild_index(a, is_current_tree, NULL, NULL);
				if (!f.kind)
					f = open_env(a, &ignored);
			}
		}
	}
	if (f.kind)
		close_env(a);
	else if (!atomic_exchange(&a->is_open, true))
		store_note_open(a, true);
	atomic_store(&a->is_filled, false);
	flock(a->dir, LOCK_UN);
	return f;
}

struct fault account_rebuild(struct account *a, store_progress_fn *fn, void *arg)
{
	struct fault f;

	account_close_index(a);
	gate_alone(a);
	f = open_folders(a);
	if (!f.kind)
		f = lock_account(a->dir, LOCK_EX);
	if (!f.kind) {
		/* With a live mark the ceilings are right as they stand; asked for by hand nothing is known. */
		f = rebuild_index(a, true, fn, arg);
		flock(a->dir, LOCK_UN);
	}
	pthread_rwlock_unlock(&a->gate);
	return f.kind ? f : shares_renew(a->store, sv_z(a->address));
}

struct fault account_replace(struct account *a, account_replace_fn *fn, void *arg)
{
	struct fault f;

	account_close_index(a);
	gate_alone(a);
	f = open_folders(a);
	if (!f.kind)
		f = lock_account(a->dir, LOCK_EX);
	if (!f.kind) {
		f = fn(a, arg);
		if (!f.kind) {
			close(a->maildir);
			a->maildir = files_open(a->dir, LAYOUT_MAILDIR, O_RDONLY | O_DIRECTORY, 0);
			f = a->maildir < 0 ? fault_errno("open", LAYOUT_MAILDIR) : rebuild_index(a, true, NULL, NULL);
		}
		flock(a->dir, LOCK_UN);
	}
	close_all(a);
	pthread_rwlock_unlock(&a->gate);
	return f.kind ? f : shares_renew(a->store, sv_z(a->address));
}

/* Opened for reading, and it may be written by now; or the other way round. */
static bool has_turned(const struct account *a)
{
	return atomic_load(&a->is_read_only) ? access(a->path, W_OK) == 0 : atomic_load(&a->has_met_read_only);
}

static bool is_current(const struct account *a)
{
	struct stat st;

	return !has_turned(a) && !fstatat(a->dir, LAYOUT_INDEX "/data.mdb", &st, AT_SYMLINK_NOFOLLOW) && st.st_dev == a->data_dev &&
	       st.st_ino == a->data_ino;
}

/* Out of the way with it: whoever comes in next finds no index and makes one. */
void account_doubt(struct account *a, const char *why)
{
	log_error(NULL, "store.index.doubted", KV_Z("account", a->address), KV_Z("why", why));
	if (is_current(a) && renameat(a->index_dir, "data.mdb", a->index_dir, "doubted.mdb"))
		log_error(NULL, "store.index.doubted", KV_Z("account", a->address), KV_Z("error", strerror(errno)));
}

struct fault account_judge(struct account *a, struct fault f)
{
	int64_t now = store_now_ms(), last = atomic_load(&a->doubted_ms);

	/* Seldom enough that what a new index does not mend costs no more than that. */
	if (f.kind == FAULT_CORRUPT && (!last || now - last > DOUBT_MS) &&
	    atomic_compare_exchange_strong(&a->doubted_ms, &last, now))
		account_doubt(a, f.detail);
	return f;
}

struct fault account_lock_structure(struct account *a, bool wait, int *out)
{
	int fd = files_open(a->maildir, ".", O_RDONLY | O_DIRECTORY, 0);
	struct fault f = FAULT_OK;

	if (fd < 0)
		return fault_errno("open", LAYOUT_MAILDIR);
	if (wait)
		f = lock_account(fd, LOCK_EX);
	else if (flock(fd, LOCK_EX | LOCK_NB))
		f = fault(FAULT_BUSY, "mailboxes are being renamed");
	if (f.kind)
		close(fd);
	else
		*out = fd;
	return f;
}

static struct fault hold(struct account *a)
{
	struct fault f = FAULT_OK;

	pthread_mutex_lock(&a->mutex);
	if (!a->active)
		f = lock_account(a->dir, LOCK_SH);
	if (!f.kind && !a->active) {
		uint32_t deaths;
		intent_come_in(a->intent, &deaths);
		/* An index that kills whoever reads it is not worth keeping; one that is sound is soon made again. */
		if (deaths >= DEATHS_MAX)
			account_doubt(a, "too many processes died inside");
	}
	if (!f.kind)
		a->active++;
	pthread_mutex_unlock(&a->mutex);
	return f;
}

static void release(struct account *a)
{
	pthread_mutex_lock(&a->mutex);
	if (!--a->active) {
		intent_go_out(a->intent);
		flock(a->dir, LOCK_UN);
		atomic_store(&a->left_ms, store_now_ms());
	}
	pthread_mutex_unlock(&a->mutex);
}

/* Not for ever: while one thread makes an index, the others have other accounts to serve. */
static bool pass_gate(struct account *a)
{
	struct timespec until;

	if (!pthread_rwlock_tryrdlock(&a->gate))
		return true;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += GATE_WAIT_S;
	return !pthread_rwlock_timedrdlock(&a->gate, &until);
}

/* *opened: this process did not have the index as it is now. */
static struct fault enter(struct account *a, bool *opened)
{
	*opened = false;
	for (int tries = 0; tries < 6; tries++) {
		struct fault f = FAULT_OK;

		if (!pass_gate(a))
			return fault(FAULT_BUSY, "index is being made by another thread");
		if (a->env && !kv_env_is_broken(a->env)) {
			f = hold(a);
			if (!f.kind && is_current(a))
				return FAULT_OK;
			if (!f.kind)
				release(a);
		}
		pthread_rwlock_unlock(&a->gate);
		if (f.kind)
			return f;

		gate_alone(a);
		if (!a->env || !is_current(a) || kv_env_is_broken(a->env)) {
			close_all(a);
			f = open_folders(a);
			if (!f.kind)
				f = open_index(a);
			if (f.kind)
				close_all(a);
		}
		pthread_rwlock_unlock(&a->gate);
		if (!f.kind) {
			store_limit_open(a);
			watch_renew(a);
		}
		if (f.kind)
			log_warn(NULL, "store.account.open", KV_Z("account", a->address), KV_FAULT("fault", f));
		/* Removed again while it was opened? Then once more. */
		if (f.kind && (tries == 5 || (f.kind != FAULT_CORRUPT && f.kind != FAULT_NOT_FOUND)))
			return f;
		*opened = true;
	}
	return fault(FAULT_BUSY, "index is replaced again and again");
}

struct fault account_enter(struct account *a)
{
	bool opened = false;
	struct fault f = FAULT_OK;

	if (job.parked == a && a->env && !kv_env_is_broken(a->env)) {
		job.parked = NULL;
		store_account_unref(&(struct account *){ a });
	} else {
		unpark();
		f = store_internal(enter(a, &opened));
	}

	if (!f.kind && (opened || intent_pending(a->intent))) {
		struct fault replayed = folders_replay(a);
		if (replayed.kind)
			log_warn(NULL, "store.account.replay", KV_Z("account", a->address), KV_FAULT("fault", replayed));
	}
	return f;
}

void account_leave(struct account *a)
{
	if (job.is_running && !job.parked) {
		job.parked = store_account_ref(a);
		return;
	}
	release(a);
	pthread_rwlock_unlock(&a->gate);
}

void account_leave_quietly(struct account *a, int64_t left_ms)
{
	release(a);
	atomic_store(&a->left_ms, left_ms);
	pthread_rwlock_unlock(&a->gate);
}

/* --- flushing a mailbox's names ---------------------------------------------------------------------------------- */

struct cur {
	const struct account *account;
	const char *path;
};

static struct fault flush_cur(void *arg)
{
	const struct cur *c = arg;

	return files_sync_dir(c->account->maildir, c->path);
}

/* All who wait share a flush, if it is of the same folder; who wants another one meanwhile does it himself. */
struct fault account_sync_cur(struct account *a, const char *dir)
{
	char path[BOX_PATH_MAX];
	struct cur cur = { a, path };
	struct fault f;
	bool is_shared;

	box_path(path, dir, "cur", NULL);
	pthread_mutex_lock(&a->mutex);
	is_shared = !a->syncing || !strcmp(a->sync_dir, dir);
	if (!a->syncing)
		snprintf(a->sync_dir, sizeof(a->sync_dir), "%s", dir);
	a->syncing += is_shared;
	pthread_mutex_unlock(&a->mutex);
	if (!is_shared)
		return flush_cur(&cur);
	f = groupflush_wait(&a->cur_flush, flush_cur, &cur);
	pthread_mutex_lock(&a->mutex);
	a->syncing--;
	pthread_mutex_unlock(&a->mutex);
	return f;
}

/* --- sweeping the mark ------------------------------------------------------------------------------------------ */

bool account_sweep_begin(struct account *a, uint64_t *seen)
{
	bool ok = false;

	pthread_rwlock_rdlock(&a->gate);
	if (a->env && mark_look(a->index_dir) != MARK_NONE) {
		*seen = kv_env_last_txn(a->env);
		ok = true;
	}
	pthread_rwlock_unlock(&a->gate);
	return ok;
}

void account_sweep_end(struct account *a, uint64_t seen)
{
	gate_alone(a);  /* so nobody of this process is inside */
	if (a->env && is_current(a) && !flock(a->dir, LOCK_EX | LOCK_NB)) {
		if (kv_env_last_txn(a->env) == seen)
			mark_clear(a->index_dir);
		flock(a->dir, LOCK_UN);
	}
	pthread_rwlock_unlock(&a->gate);
}

struct fault account_read(struct account *a, struct kv_txn **out)
{
	return kv_read_begin(a->env, out);
}
