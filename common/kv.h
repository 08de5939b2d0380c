/* common/kv.h - ordered tables on disk with transactions: the only keeper of LMDB.
 *
 * An environment is a folder with data.mdb and lock.mdb. There are two kinds: precious ones (account directory,
 * queue) flush at every commit; disposable ones (an account's index) never do, and whoever owns one must be able to
 * rebuild it: after a power cut it may open without an error and hold wrong data.
 *
 * Everything here blocks: daemons call it from workers. Environments may be shared by threads; a transaction and its
 * cursors belong to one thread from begin to end, and a transaction lives inside one job. A thread holds at most one
 * transaction of an environment at a time: growing the map waits until the process has none (five seconds, then
 * FAULT_BUSY). After fork() the child must not touch an environment it inherited; never place one on NFS.
 *
 * Views that get() and cursors hand out point into the map: they end with the transaction, and in a write transaction
 * with its next change. Copy what must stay.
 *
 * An environment on a file system that can only be read is opened for reading, without locks: nobody writes there. Every transaction looks
 * whether that has ended, and opens it again before it begins.
 *
 * Faults: FAULT_NOT_FOUND (no such key; no such environment), FAULT_EXISTS, FAULT_LIMIT (key over KV_KEY_MAX octets,
 * transaction too big), FAULT_INVALID (empty key), FAULT_BUSY (no reader slot; map in use), FAULT_NO_SPACE (disk or
 * address space), FAULT_READ_ONLY, FAULT_CORRUPT (the file contradicts itself), FAULT_INTERNAL. */
#ifndef COMMON_KV_H
#define COMMON_KV_H

#include <sys/types.h>

#include "common/bytes.h"
#include "common/fault.h"

#define KV_KEY_MAX 511
#define KV_TABLES_MAX 16
#define KV_READERS_MAX 512

struct kv_env;
struct kv_txn;
struct kv_cursor;

enum kv_kind {
	KV_PRECIOUS,            /* a commit that returned survives a power cut */
	KV_DISPOSABLE,          /* a commit survives the process, not the power */
};

/* How to open an environment. A table is named by its index in `tables`, which the caller's enum mirrors. */
struct kv_options {
	enum kv_kind kind;
	bool create;                    /* make folder and file when missing; else FAULT_NOT_FOUND */
	uint64_t map_size;              /* octets to start with; 0: 1 GiB precious, 256 MiB disposable */
	const char *const *tables;      /* static names; missing tables are made at opening */
	unsigned table_count;           /* 1 .. KV_TABLES_MAX */
};

/**
 * kv_env_open - open the environment in folder `path`, or take another reference to it.
 * @path:    the folder; copied. Its parent must exist. Made with mode 0700, files with 0600.
 * @options: borrowed; `tables` must be static. Opened twice, both callers must name the same tables.
 * @out:     set on success only; kv_env_close() ends it
 * One process opens a file once: a registry keyed by device and inode of data.mdb sees to it, also when the path
 * differs. A folder replaced meanwhile is another environment. Slots of dead readers are freed.
 */
MUST_CHECK struct fault kv_env_open(const char *path, const struct kv_options *options, struct kv_env **out);
/** kv_env_close - drop a reference; the last one closes. No transaction may be open then. NULL is fine. */
void kv_env_close(struct kv_env **env);

/** kv_env_file - device and inode of the open data.mdb: differs from the path's when it was replaced. */
void kv_env_file(const struct kv_env *env, dev_t *dev, ino_t *ino);
/** kv_env_is_broken - a commit failed (disk error, disk full), after which LMDB may answer every call with a fault. The next
 *  transaction closes the environment and opens it again, once this process has none open (five seconds, then FAULT_BUSY). */
bool kv_env_is_broken(const struct kv_env *env);
/** kv_env_is_read_only - was it opened for reading alone, since its file system allows no more? */
bool kv_env_is_read_only(const struct kv_env *env);
/** kv_env_last_txn - number of the last committed transaction, by any process. */
uint64_t kv_env_last_txn(struct kv_env *env);
/** kv_env_last_txn_now - likewise, without ever waiting, for who must not: 0 while another thread moves the map, which takes as long as
 *  transactions are open in this process, or the environment is to be opened again. */
uint64_t kv_env_last_txn_now(struct kv_env *env);

struct kv_stat {
	uint64_t map_size;      /* octets the file may grow to before the map must grow */
	uint64_t used;          /* octets of the file ever used */
	uint64_t last_txn;
	unsigned readers;       /* slots in use, all processes */
};
void kv_env_stat(struct kv_env *env, struct kv_stat *out);
/** kv_env_reserve - allocate disk space behind the used part, so that changes succeed on a full disk. */
MUST_CHECK struct fault kv_env_reserve(struct kv_env *env, uint64_t octets);
/** kv_env_copy - a compact snapshot into a new file (mode 0600, must not exist), flushed. Writers go on. */
MUST_CHECK struct fault kv_env_copy(struct kv_env *env, const char *file);
/** kv_reader_check - free the slots of processes that died reading; call each minute. Returns how many. */
unsigned kv_reader_check(struct kv_env *env);

/** kv_read_begin - a snapshot. End it soon: while it lives no page it can see is reused, and the file grows. */
MUST_CHECK struct fault kv_read_begin(struct kv_env *env, struct kv_txn **out);
/** kv_read_end - NULL is fine. */
void kv_read_end(struct kv_txn **txn);

/**
 * kv_write_begin - the one write transaction of this environment among all processes; waits for the others.
 * The map is grown first when little room is left, so that running full inside is rare; when it happens the change
 * returns FAULT_BUSY, kv_abort() grows the map, and the caller may begin again. kv_update() does just that.
 */
MUST_CHECK struct fault kv_write_begin(struct kv_env *env, struct kv_txn **out);
/** kv_commit - consumes the transaction, also on a fault: then nothing of it happened. */
MUST_CHECK struct fault kv_commit(struct kv_txn **txn);
/** kv_abort - forget the changes; nothing to do when *txn is NULL (committed). */
void kv_abort(struct kv_txn **txn);
/** A change: gives FAULT_NONE to commit, else the fault that kv_update() returns. */
typedef struct fault (*kv_update_fn)(struct kv_txn *txn, void *arg);
/** kv_update - run fn in a write transaction and commit. fn runs again, from the start and on the unchanged state,
 *  when the map had to grow: it must set what it leaves in arg anew each time. */
MUST_CHECK struct fault kv_update(struct kv_env *env, kv_update_fn fn, void *arg);

/** kv_get - the value of key; FAULT_NOT_FOUND when there is none. */
MUST_CHECK struct fault kv_get(struct kv_txn *txn, unsigned table, struct sv key, struct sv *value);
/** kv_put - set key to value. */
MUST_CHECK struct fault kv_put(struct kv_txn *txn, unsigned table, struct sv key, struct sv value);
/** kv_insert - like kv_put, but FAULT_EXISTS when the key is there. */
MUST_CHECK struct fault kv_insert(struct kv_txn *txn, unsigned table, struct sv key, struct sv value);
/** kv_append - like kv_put, cheaper when key sorts behind all others of the table. */
MUST_CHECK struct fault kv_append(struct kv_txn *txn, unsigned table, struct sv key, struct sv value);
/** kv_del - remove key; FAULT_NOT_FOUND when it is not there. */
MUST_CHECK struct fault kv_del(struct kv_txn *txn, unsigned table, struct sv key);
/** kv_del_range - remove keys from <= key < to, at most `most` of them; `to` empty means to the end of the table.
 *  *removed may be NULL; less than `most` means that none are left. */
MUST_CHECK struct fault kv_del_range(struct kv_txn *txn, unsigned table, struct sv from, struct sv to,
				     uint64_t most, uint64_t *removed);
/** kv_count - keys in a table. */
MUST_CHECK struct fault kv_count(struct kv_txn *txn, unsigned table, uint64_t *out);

/** kv_cursor_open - close it before its transaction ends. */
MUST_CHECK struct fault kv_cursor_open(struct kv_txn *txn, unsigned table, struct kv_cursor **out);
void kv_cursor_close(struct kv_cursor **cursor);
/* Moves: key and value may be NULL. FAULT_NOT_FOUND is the end of the table. */
/** kv_cursor_seek - the first key >= `from` (empty: the first of all). */
MUST_CHECK struct fault kv_cursor_seek(struct kv_cursor *c, struct sv from, struct sv *key, struct sv *value);
/** kv_cursor_seek_back - the last key <= `to` (empty: the last of all). */
MUST_CHECK struct fault kv_cursor_seek_back(struct kv_cursor *c, struct sv to, struct sv *key, struct sv *value);
MUST_CHECK struct fault kv_cursor_next(struct kv_cursor *c, struct sv *key, struct sv *value);
typedef bool kv_row_fn(void *arg, struct sv key, struct sv value);
/** kv_each - each row whose key begins with `prefix` (empty: all), in their order, inside one read transaction, until fn says
 *  false. @fn: key is whole; views end with the call. */
MUST_CHECK struct fault kv_each(struct kv_env *env, unsigned table, struct sv prefix, kv_row_fn *fn, void *arg);
/** kv_cursor_del - remove the pair at the cursor; kv_cursor_next() then gives the one behind it. */
MUST_CHECK struct fault kv_cursor_del(struct kv_cursor *c);

/* A composite key in the making: integers big-endian, so that memcmp order is number order. A piece that does not fit
 * KV_KEY_MAX sets `is_over`, and using the key gives FAULT_LIMIT (its view is longer than any key may be). */
struct kv_key {
	unsigned char octets[KV_KEY_MAX + 1];
	size_t len;
	bool is_over;
};
static inline void kv_key_init(struct kv_key *k)
{
	k->len = 0;
	k->is_over = false;
}
void kv_key_u8(struct kv_key *k, uint8_t n);
void kv_key_u32(struct kv_key *k, uint32_t n);
void kv_key_u64(struct kv_key *k, uint64_t n);
void kv_key_sv(struct kv_key *k, struct sv s);
/** kv_key_view - borrowed from k. */
struct sv kv_key_view(const struct kv_key *k);
/** kv_take_u8, _u32, _u64 - read a big-endian number off the front of *s; false when it is too short. */
bool kv_take_u8(struct sv *s, uint8_t *out);
bool kv_take_u32(struct sv *s, uint32_t *out);
bool kv_take_u64(struct sv *s, uint64_t *out);

/** kv_set_txn_hooks - called around each write transaction by the thread that has it: enter() once the lock is had,
 *  its return value is handed to leave(). For the watchdog; set before threads start. NULL: none. */
void kv_set_txn_hooks(unsigned (*enter)(void), void (*leave)(unsigned slot));

#endif
