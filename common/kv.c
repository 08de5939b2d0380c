#include "common/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "common/kv_private.h"
#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define MAP_PRECIOUS GIB
#define MAP_DISPOSABLE (256 * MIB)
#define MAP_MOST (1024 * GIB)
#define HEADROOM_MOST (16 * MIB)        /* grow ahead of a write when less than this (or an eighth) is left */
#define DRAIN_S 5                       /* wait this long for our own transactions before growing */
#define BEGIN_TRIES 16
#define UPDATE_TRIES 32

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t registry_moved = PTHREAD_COND_INITIALIZER;
static struct kv_env *registry;

static unsigned (*hook_enter)(void);
static void (*hook_leave)(unsigned slot);

void kv_set_txn_hooks(unsigned (*enter)(void), void (*leave)(unsigned slot))
{
	hook_enter = enter;
	hook_leave = leave;
}

/* --- faults ------------------------------------------------------------------------------------------------ */

struct fault kv_fault(const struct kv_env *env, const char *what, int rc)
{
	enum fault_kind kind = FAULT_INTERNAL;

	switch (rc) {
	case 0:
		return FAULT_OK;
	case MDB_NOTFOUND:      /* the two that are answers, not events: no text is made for them */
		return fault(FAULT_NOT_FOUND, "no such key");
	case MDB_KEYEXIST:
		return fault(FAULT_EXISTS, "the key exists");
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_INCOMPATIBLE:
	case MDB_CURSOR_FULL:
	case MDB_PAGE_FULL:
		kind = FAULT_CORRUPT;
		break;
	case MDB_MAP_FULL:
	case MDB_READERS_FULL:
	case MDB_MAP_RESIZED:
		kind = FAULT_BUSY;
		break;
	case MDB_TXN_FULL:
		kind = FAULT_LIMIT;
		break;
	case ENOSPC:
	case EDQUOT:
		kind = FAULT_NO_SPACE;
		break;
	case EROFS:
		kind = FAULT_READ_ONLY;
		break;
	case EACCES:            /* what LMDB says to who would write in an environment that is read only */
		if (atomic_load(&env->is_read_only))
			kind = FAULT_READ_ONLY;
		break;
	case ENOENT:
		kind = FAULT_NOT_FOUND;
		break;
	case EAGAIN:
		kind = FAULT_UNAVAILABLE;
		break;
	}
	return fault_detail(kind, "%s: %s: %s", what, env->path, mdb_strerror(rc));
}

/* LMDB says EIO for a short write, which is how a disk that has just become full looks. */
static int full_disk_or(const struct kv_env *env, int rc)
{
	struct statvfs fs;
	int fd;

	if (rc != EIO || mdb_env_get_fd(env->mdb, &fd) || fstatvfs(fd, &fs))
		return rc;
	return fs.f_bavail == 0 ? ENOSPC : rc;
}

/* --- the gate ---------------------------------------------------------------------------------------------- */

static void gate_enter(struct kv_env *env)
{
	pthread_mutex_lock(&env->lock);
	while (env->is_resizing)
		pthread_cond_wait(&env->moved, &env->lock);
	env->live++;
	pthread_mutex_unlock(&env->lock);
}

static void gate_leave(struct kv_env *env)
{
	pthread_mutex_lock(&env->lock);
	if (--env->live == 0)
		pthread_cond_broadcast(&env->moved);
	pthread_mutex_unlock(&env->lock);
}

static void drop_idle(struct kv_env *env)
{
	while (env->idle_count)
		mdb_txn_abort(env->idle[--env->idle_count]);
}

/* A failed mmap inside mdb_env_set_mapsize leaves the environment without a map, so try the size on our own first. */
static bool address_space_has(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p != MAP_FAILED && munmap(p, size) == 0;
}

/* Whoever moves the map, or opens the environment again, does so alone: moving_wait() takes the lock once nobody else is at it,
 * moving_begin() keeps newcomers out and is true as soon as nobody of this process is inside, moving_end() lets them in again. */
static struct timespec moving_wait(struct kv_env *env)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += DRAIN_S;
	pthread_mutex_lock(&env->lock);
	while (env->is_resizing)
		pthread_cond_wait(&env->moved, &env->lock);
	return until;
}

static bool moving_begin(struct kv_env *env, const struct timespec *until)
{
	int rc = 0;

	env->is_resizing = true;
	while (env->live && rc == 0)
		rc = pthread_cond_timedwait(&env->moved, &env->lock, until);
	return !env->live;
}

static void moving_end(struct kv_env *env)
{
	env->is_resizing = false;
	pthread_cond_broadcast(&env->moved);
}

/* Set the map to `size`, or with 0 to what another process made of it. `seen` is the size that was found wanting:
 * when somebody else has changed it meanwhile there is nothing left to do. */
static struct fault map_resize(struct kv_env *env, uint64_t size, uint64_t seen)
{
	struct timespec until = moving_wait(env);
	struct fault f = FAULT_OK;

	if (size && env->map_size != seen)
		goto out;
	if (!moving_begin(env, &until)) {
		f = fault_detail(FAULT_BUSY, "grow: %s: in use for too long", env->path);
	} else if (size && !address_space_has(size)) {
		f = fault_detail(FAULT_NO_SPACE, "grow: %s: no address space", env->path);
	} else {
		MDB_envinfo info;

		drop_idle(env);
		int rc = mdb_env_set_mapsize(env->mdb, size);
		if (rc)
			BUG("%s: cannot map %llu octets: %s", env->path, (unsigned long long)size,
			    mdb_strerror(rc));
		mdb_env_info(env->mdb, &info);
		env->map_size = info.me_mapsize;
	}
	moving_end(env);
out:
	pthread_mutex_unlock(&env->lock);
	return f;
}

static struct fault map_grow(struct kv_env *env, uint64_t seen)
{
	if (seen >= MAP_MOST)
		return fault_detail(FAULT_NO_SPACE, "grow: %s: the map has its largest size", env->path);
	return map_resize(env, seen * 2, seen);
}

/* --- opening ----------------------------------------------------------------------------------------------- */

static struct fault make_folder(const char *path)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return fault_errno("mkdir", path);
	return FAULT_OK;
}

static struct fault sync_folder(const char *path, const char *below)
{
	int at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = at < 0 ? -1 : openat(at, below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fault f = FAULT_OK;

	if (fd < 0 || fsync(fd))
		f = fault_errno("flush folder", path);
	if (fd >= 0)
		close(fd);
	if (at >= 0)
		close(at);
	return f;
}

/* Make the file's name before LMDB sees it: an empty file is a new environment to it, and the registry needs an inode
 * to know whether this process has it open already. */
static struct fault find_file(const char *data_path, bool create, struct stat *st)
{
	int fd = open(data_path, (create ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct fault f = fd < 0 ? fault_errno("open", data_path) : FAULT_OK;

	if (f.kind == FAULT_READ_ONLY && (fd = open(data_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) >= 0)
		f = FAULT_OK;
	if (f.kind)
		return f;
	if (fstat(fd, st))
		f = fault_errno("fstat", data_path);
	else if (!S_ISREG(st->st_mode))
		f = fault_detail(FAULT_CORRUPT, "%s: not a regular file", data_path);
	close(fd);
	return f;
}

/* While nobody else has the environment: no gate, and the map may be taken as another process has just made it. */
static int begin_alone(struct kv_env *env, unsigned flags, MDB_txn **out)
{
	int rc = 0, dead;

	for (int i = 0; i < BEGIN_TRIES; i++) {
		rc = mdb_txn_begin(env->mdb, NULL, flags, out);
		if (rc == MDB_MAP_RESIZED)
			rc = mdb_env_set_mapsize(env->mdb, 0);
		else if (rc == MDB_READERS_FULL && i == 0)
			rc = mdb_reader_check(env->mdb, &dead);
		else
			break;
		if (rc)
			break;
	}
	return rc;
}

static struct fault open_tables(struct kv_env *env, const struct kv_options *o)
{
	MDB_txn *txn;
	bool is_whole = true;
	int rc = begin_alone(env, MDB_RDONLY, &txn);

	if (rc)
		return kv_fault(env, "open", rc);
	for (unsigned i = 0; i < o->table_count && !rc; i++) {
		rc = mdb_dbi_open(txn, o->tables[i], 0, &env->tables[i]);
		if (rc == MDB_NOTFOUND) {
			is_whole = false;
			rc = 0;
		}
	}
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);       /* a handle outlives its transaction only by commit */
	if (rc || is_whole)
		return kv_fault(env, "open table", rc);

	rc = begin_alone(env, 0, &txn);
	if (rc)
		return kv_fault(env, "open", rc);
	for (unsigned i = 0; i < o->table_count && !rc; i++)
		rc = mdb_dbi_open(txn, o->tables[i], MDB_CREATE, &env->tables[i]);
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	return kv_fault(env, "create table", full_disk_or(env, rc));
}

static int open_mdb(struct kv_env *env, uint64_t size, unsigned flags)
{
	int rc = mdb_env_create(&env->mdb);

	if (rc) {
		env->mdb = NULL;
		return rc;
	}
	rc = mdb_env_set_mapsize(env->mdb, size);
	if (!rc) rc = mdb_env_set_maxdbs(env->mdb, KV_TABLES_MAX);
	if (!rc) rc = mdb_env_set_maxreaders(env->mdb, KV_READERS_MAX);
	if (!rc) rc = mdb_env_open(env->mdb, env->path, flags, 0600);
	return rc;
}

/* Also where it can only be read: LMDB does without its lock file there. */
static int open_mdb_as_allowed(struct kv_env *env, uint64_t size, unsigned flags)
{
	int rc = open_mdb(env, size, flags);
	bool was_read_only = atomic_exchange(&env->is_read_only, rc == EROFS);

	if (rc == EROFS) {
		mdb_env_close(env->mdb);
		rc = open_mdb(env, size, flags | MDB_RDONLY);
	}
	if (!rc && atomic_load(&env->is_read_only) != was_read_only)
		log_warn(NULL, was_read_only ? "kv.writable" : "kv.read_only", KV_Z("path", env->path));
	return rc;
}

static struct fault open_env(struct kv_env *env, const struct kv_options *o, bool is_new)
{
	unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (o->kind == KV_DISPOSABLE ? MDB_NOSYNC : 0);
	uint64_t size = o->map_size;
	struct fault f = FAULT_OK;
	struct stat st;
	MDB_envinfo info;
	MDB_stat page;
	int dead, fd;

	if (!size)
		size = o->kind == KV_DISPOSABLE ? MAP_DISPOSABLE : MAP_PRECIOUS;
	int rc = open_mdb_as_allowed(env, size, flags);

	if (rc)
		return kv_fault(env, "open", full_disk_or(env, rc));
	if (mdb_env_get_fd(env->mdb, &fd) || fstat(fd, &st))
		return fault_errno("fstat", env->data_path);
	if (st.st_dev != env->dev || st.st_ino != env->ino)
		return fault_detail(FAULT_BUSY, "open: %s: replaced meanwhile", env->path);
	mdb_reader_check(env->mdb, &dead);
	mdb_env_info(env->mdb, &info);
	mdb_env_stat(env->mdb, &page);
	env->map_size = info.me_mapsize;
	/* Reading a page behind the end of the file is a SIGBUS. The last pages may rightly be missing when they were free before
	 * they were ever written: rare, and a disposable environment is made again. */
	if (o->kind == KV_DISPOSABLE && !is_new && info.me_last_pgno > 1 &&
	    (uint64_t)st.st_size < ((uint64_t)info.me_last_pgno + 1) * page.ms_psize)
		return fault_detail(FAULT_CORRUPT, "open: %s: the file is cut off", env->path);
	f = open_tables(env, o);
	/* LMDB flushes the file's data, not its name, nor the folder's. */
	if (!f.kind && is_new && o->kind == KV_PRECIOUS)
		f = sync_folder(env->path, ".");
	if (!f.kind && is_new && o->kind == KV_PRECIOUS)
		f = sync_folder(env->path, "..");
	return f;
}

static struct kv_env *env_new(const char *path, const struct kv_options *o, const struct stat *st)
{
	struct kv_env *env = xcalloc(1, sizeof(*env));
	struct buf name;
	pthread_condattr_t attr;
	size_t len;

	buf_init(&name, strlen(path) + sizeof("/data.mdb"));
	if (!buf_append(&name, sv_z(path)) || !buf_append(&name, SV("/data.mdb")) || !buf_z(&name))
		BUG("path %s", path);
	env->data_path = buf_take(&name, &len);
	env->path = xstrdup(path);
	env->dev = st->st_dev;
	env->ino = st->st_ino;
	env->kind = o->kind;
	env->table_names = o->tables;
	env->table_count = o->table_count;
	env->refs = 1;
	pthread_mutex_init(&env->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&env->moved, &attr);
	pthread_condattr_destroy(&attr);
	return env;
}

static void env_free(struct kv_env *env)
{
	if (env->mdb) {
		drop_idle(env);
		mdb_env_close(env->mdb);
	}
	pthread_cond_destroy(&env->moved);
	pthread_mutex_destroy(&env->lock);
	free(env->data_path);
	free(env->path);
	free(env);
}

/* Under registry_lock. The one who takes the last reference closes under the lock too: nobody may open the same file
 * while the old handle lets go of its locks. */
static void env_unref(struct kv_env *env)
{
	if (--env->refs)
		return;
	for (struct kv_env **at = &registry; *at; at = &(*at)->next)
		if (*at == env) {
			*at = env->next;
			break;
		}
	if (env->live)
		BUG("%s: closed with %u transactions open", env->path, env->live);
	env_free(env);
}

struct fault kv_env_open(const char *path, const struct kv_options *o, struct kv_env **out)
{
	struct kv_env *env = NULL;
	struct buf data;
	struct stat st;
	bool is_mine = false;
	struct fault f = FAULT_OK;

	if (o->table_count == 0 || o->table_count > KV_TABLES_MAX)
		BUG("%s: %u tables", path, o->table_count);
	buf_init(&data, strlen(path) + sizeof("/data.mdb"));
	if (!buf_append(&data, sv_z(path)) || !buf_append(&data, SV("/data.mdb")))
		BUG("path %s", path);
	if (o->create)
		f = make_folder(path);
	if (!f.kind)
		f = find_file(buf_z(&data), o->create, &st);
	buf_done(&data);
	if (f.kind)
		return f;

	pthread_mutex_lock(&registry_lock);
	for (env = registry; env; env = env->next)
		if (env->dev == st.st_dev && env->ino == st.st_ino)
			break;
	if (env) {
		env->refs++;
		while (!env->is_ready)
			pthread_cond_wait(&registry_moved, &registry_lock);
	} else {
		env = env_new(path, o, &st);
		env->next = registry;
		registry = env;
		is_mine = true;
	}
	pthread_mutex_unlock(&registry_lock);

	if (is_mine)
		f = open_env(env, o, st.st_size == 0);
	pthread_mutex_lock(&registry_lock);
	if (is_mine) {
		/* A thread that waited gets a literal: the detail's ring is ours. */
		env->open_fault = f.kind ? fault(f.kind, "opening failed in another thread") : FAULT_OK;
		env->is_ready = true;
		pthread_cond_broadcast(&registry_moved);
	} else {
		f = env->open_fault;
		if (!f.kind && env->table_count != o->table_count)
			BUG("%s: opened with other tables", path);
	}
	if (f.kind)
		env_unref(env);
	pthread_mutex_unlock(&registry_lock);
	if (!f.kind)
		*out = env;
	return f;
}

void kv_env_close(struct kv_env **env)
{
	if (!*env)
		return;
	pthread_mutex_lock(&registry_lock);
	env_unref(*env);
	pthread_mutex_unlock(&registry_lock);
	*env = NULL;
}

/* --- the environment --------------------------------------------------------------------------------------- */

void kv_env_file(const struct kv_env *env, dev_t *dev, ino_t *ino)
{
	*dev = env->dev;
	*ino = env->ino;
}

void kv_env_stat(struct kv_env *env, struct kv_stat *out)
{
	MDB_envinfo info = { 0 };
	MDB_stat st = { 0 };

	gate_enter(env);        /* both read the map; without an environment (reopen()) they say nothing */
	mdb_env_info(env->mdb, &info);
	mdb_env_stat(env->mdb, &st);
	gate_leave(env);
	*out = (struct kv_stat){
		.map_size = info.me_mapsize,
		.used = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize,
		.last_txn = info.me_last_txnid,
		.readers = info.me_numreaders,
	};
}

uint64_t kv_env_last_txn(struct kv_env *env)
{
	MDB_envinfo info = { 0 };

	gate_enter(env);
	mdb_env_info(env->mdb, &info);
	gate_leave(env);
	return info.me_last_txnid;
}

uint64_t kv_env_last_txn_now(struct kv_env *env)
{
	MDB_envinfo info = { 0 };

	if (pthread_mutex_trylock(&env->lock))
		return 0;
	if (!env->is_resizing && env->mdb)
		mdb_env_info(env->mdb, &info);
	pthread_mutex_unlock(&env->lock);
	return info.me_last_txnid;
}

struct fault kv_env_reserve(struct kv_env *env, uint64_t octets)
{
	struct kv_stat st;
	int fd;

	kv_env_stat(env, &st);
	if (mdb_env_get_fd(env->mdb, &fd))
		return fault_detail(FAULT_BUSY, "reserve: %s: is opened again", env->path);
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)st.used, (off_t)octets))
		return fault_errno("fallocate", env->data_path);
	return FAULT_OK;
}

struct fault kv_env_copy(struct kv_env *env, const char *file)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct fault f = FAULT_OK;

	if (fd < 0)
		return fault_errno("open", file);
	gate_enter(env);
	int rc = env->mdb ? mdb_env_copyfd2(env->mdb, fd, MDB_CP_COMPACT) : EIO;
	gate_leave(env);
	if (rc)
		f = kv_fault(env, "copy", rc);
	else if (fdatasync(fd))
		f = fault_errno("fdatasync", file);
	if (close(fd) && !f.kind)
		f = fault_errno("close", file);
	if (f.kind)
		unlink(file);
	return f;
}

unsigned kv_reader_check(struct kv_env *env)
{
	int dead = 0;

	gate_enter(env);
	int rc = mdb_reader_check(env->mdb, &dead);

	gate_leave(env);
	return rc ? 0 : (unsigned)dead;
}

/* --- transactions ------------------------------------------------------------------------------------------ */

static bool room_is_low(struct kv_env *env)
{
	uint64_t headroom = env->map_size / 8 < HEADROOM_MOST ? env->map_size / 8 : HEADROOM_MOST;
	MDB_envinfo info;
	MDB_stat st;

	mdb_env_info(env->mdb, &info);
	mdb_env_stat(env->mdb, &st);
	return ((uint64_t)info.me_last_pgno + 1) * st.ms_psize + headroom > env->map_size;
}

static MDB_txn *take_idle(struct kv_env *env)
{
	MDB_txn *txn = NULL;

	pthread_mutex_lock(&env->lock);
	if (env->idle_count)
		txn = env->idle[--env->idle_count];
	pthread_mutex_unlock(&env->lock);
	return txn;
}

static int begin_once(struct kv_env *env, unsigned flags, MDB_txn **out)
{
	MDB_txn *idle = flags & MDB_RDONLY ? take_idle(env) : NULL;

	if (!idle)
		return mdb_txn_begin(env->mdb, NULL, flags, out);
	int rc = mdb_txn_renew(idle);
	if (rc)
		mdb_txn_abort(idle);
	else
		*out = idle;
	return rc;
}

/* After a commit that failed half-way LMDB answers every call with MDB_PANIC until the environment was closed. What lies on
 * disk is the state before: open it again, as soon as nobody of this process is inside. */
static struct fault reopen(struct kv_env *env)
{
	struct kv_options options = { .kind = env->kind, .map_size = env->map_size, .tables = env->table_names,
				      .table_count = env->table_count };
	struct timespec until = moving_wait(env);
	struct fault f = FAULT_OK;

	if (!atomic_load(&env->is_broken))
		goto out;               /* somebody else was faster */
	if (!moving_begin(env, &until)) {
		f = fault_detail(FAULT_BUSY, "open again: %s: in use for too long", env->path);
	} else {
		drop_idle(env);
		if (env->mdb)
			mdb_env_close(env->mdb);
		env->mdb = NULL;
		f = open_env(env, &options, false);
		if (f.kind && env->mdb) {
			mdb_env_close(env->mdb);
			env->mdb = NULL;
		}
		atomic_store(&env->is_broken, f.kind != FAULT_NONE);
	}
	moving_end(env);
out:
	pthread_mutex_unlock(&env->lock);
	return f;
}

/* On success the gate is entered, and stays so until the transaction's end. */
static struct fault begin(struct kv_env *env, unsigned flags, MDB_txn **out)
{
	bool may_grow = !(flags & MDB_RDONLY);
	struct fault f = FAULT_OK;
	int rc = 0, dead;

	for (int i = 0; i < BEGIN_TRIES; i++) {
		if (atomic_load(&env->is_read_only) && access(env->data_path, W_OK) == 0)
			atomic_store(&env->is_broken, true);    /* somebody may write by now: no reading without locks any more */
		if (atomic_load(&env->is_broken)) {
			f = reopen(env);
			if (f.kind)
				return f;
		}
		gate_enter(env);
		if (!env->mdb) {        /* broken again, and not to be opened */
			gate_leave(env);
			continue;
		}
		if (may_grow && !atomic_load(&env->is_read_only) && room_is_low(env)) {
			uint64_t seen = env->map_size;

			gate_leave(env);
			may_grow = false;       /* once: it may be at its largest, and yet have free pages */
			f = map_grow(env, seen);
			if (f.kind == FAULT_BUSY)
				return f;
			continue;
		}
		rc = begin_once(env, flags, out);
		if (rc == 0)
			return FAULT_OK;
		gate_leave(env);
		if (rc == MDB_MAP_RESIZED)
			f = map_resize(env, 0, 0);
		else if (rc == MDB_READERS_FULL && i == 0)
			mdb_reader_check(env->mdb, &dead);
		else
			break;
		if (f.kind == FAULT_BUSY)
			return f;
	}
	if (rc == MDB_PANIC)
		atomic_store(&env->is_broken, true);
	return rc ? kv_fault(env, "begin", rc) : fault_detail(FAULT_BUSY, "begin: %s: is opened again", env->path);
}

bool kv_env_is_broken(const struct kv_env *env)
{
	return atomic_load(&env->is_broken);
}

bool kv_env_is_read_only(const struct kv_env *env)
{
	return atomic_load(&env->is_read_only);
}

static struct fault txn_begin(struct kv_env *env, bool is_write, struct kv_txn **out)
{
	MDB_txn *mdb;
	struct fault f = begin(env, is_write ? 0 : MDB_RDONLY, &mdb);

	if (f.kind)
		return f;
	struct kv_txn *txn = xcalloc(1, sizeof(*txn));

	txn->env = env;
	txn->mdb = mdb;
	txn->is_write = is_write;
	txn->owner = pthread_self();
	if (is_write && hook_enter) {
		txn->hook_slot = hook_enter();
		txn->has_hook = true;
	}
	*out = txn;
	return FAULT_OK;
}

/* LMDB's writer lock is a mutex: ended by another thread it stays locked for ever, and the end reports success. */
static void check_end(const struct kv_txn *txn, bool is_write)
{
	if (txn->is_write != is_write || !pthread_equal(txn->owner, pthread_self()))
		BUG("%s: transaction ended as another kind, or on another thread", txn->env->path);
	if (txn->cursors)
		BUG("%s: transaction ended with %u cursors open", txn->env->path, txn->cursors);
}

struct fault kv_read_begin(struct kv_env *env, struct kv_txn **out)
{
	return txn_begin(env, false, out);
}

static void retire_reader(struct kv_txn *txn)
{
	struct kv_env *env = txn->env;
	MDB_txn *left = txn->mdb;

	mdb_txn_reset(left);
	pthread_mutex_lock(&env->lock);
	if (env->idle_count < IDLE_READERS) {
		env->idle[env->idle_count++] = left;
		left = NULL;
	}
	if (--env->live == 0)
		pthread_cond_broadcast(&env->moved);
	pthread_mutex_unlock(&env->lock);
	if (left)
		mdb_txn_abort(left);
	txn->mdb = NULL;
}

void kv_read_end(struct kv_txn **txn)
{
	if (!*txn)
		return;
	check_end(*txn, false);
	retire_reader(*txn);
	free(*txn);
	*txn = NULL;
}

struct fault kv_write_begin(struct kv_env *env, struct kv_txn **out)
{
	return txn_begin(env, true, out);
}

/* Ends the bookkeeping after LMDB has ended the transaction itself. */
static void write_end(struct kv_txn **at)
{
	struct kv_txn *txn = *at;
	struct kv_env *env = txn->env;
	uint64_t seen = env->map_size;
	bool is_full = txn->is_full;

	if (txn->has_hook && hook_leave)
		hook_leave(txn->hook_slot);
	gate_leave(env);
	free(txn);
	*at = NULL;
	/* A fault here comes back at the next begin, or as "full" again: the caller's tries are counted. */
	if (is_full)
		(void)map_grow(env, seen).kind;
}

struct fault kv_commit(struct kv_txn **at)
{
	struct kv_txn *txn = *at;

	check_end(txn, true);
	int rc = mdb_txn_commit(txn->mdb);
	if (rc == MDB_MAP_FULL)
		txn->is_full = true;    /* the list of free pages is written by commit, and needs pages too */
	rc = full_disk_or(txn->env, rc);
	if (rc && rc != MDB_MAP_FULL)
		atomic_store(&txn->env->is_broken, true);
	struct fault f = kv_fault(txn->env, "commit", rc);
	write_end(at);
	return f;
}

void kv_abort(struct kv_txn **at)
{
	if (!*at)
		return;
	check_end(*at, true);
	mdb_txn_abort((*at)->mdb);
	write_end(at);
}

struct fault kv_update(struct kv_env *env, kv_update_fn fn, void *arg)
{
	struct fault f = FAULT_OK;

	for (int i = 0; i < UPDATE_TRIES; i++) {
		struct kv_txn *txn = NULL;

		f = kv_write_begin(env, &txn);
		if (f.kind)
			return f;
		bool is_last = env->map_size >= MAP_MOST;

		f = fn(txn, arg);
		bool is_full = txn->is_full;

		if (!f.kind && !is_full) {
			f = kv_commit(&txn);
			if (f.kind != FAULT_BUSY)       /* only a full map says so */
				return f;
		} else {
			kv_abort(&txn);
			if (!is_full)
				return f;
		}
		if (is_last)
			break;
	}
	return fault_detail(FAULT_NO_SPACE, "update: %s: the map is full", env->path);
}
