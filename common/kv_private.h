/* common/kv_private.h - what kv.c (environments, transactions) and kv_data.c (pairs, cursors) share. */
#ifndef COMMON_KV_PRIVATE_H
#define COMMON_KV_PRIVATE_H

#include <lmdb.h>
#include <pthread.h>

#include "common/kv.h"

#define IDLE_READERS 2                  /* reset snapshots kept: renewing one is cheaper than making it */

struct kv_env {
	struct kv_env *next;            /* the registry; this and the next three under registry_lock */
	unsigned refs;
	bool is_ready;                  /* opening is finished, well or badly */
	_Atomic bool is_broken;
	_Atomic bool is_read_only;      /* the file system was, when it was opened */
	struct fault open_fault;

	dev_t dev;
	ino_t ino;
	MDB_env *mdb;                   /* NULL: broken, and could not be opened again yet */
	char *path, *data_path;
	enum kv_kind kind;
	unsigned table_count;
	const char *const *table_names;
	MDB_dbi tables[KV_TABLES_MAX];

	/* The gate. LMDB can only change the map's size while this process has no transaction, and does not check. */
	pthread_mutex_t lock;
	pthread_cond_t moved;           /* live fell to 0, or is_resizing fell */
	unsigned live;
	bool is_resizing;
	uint64_t map_size;
	MDB_txn *idle[IDLE_READERS];
	unsigned idle_count;
};

struct kv_txn {
	struct kv_env *env;
	MDB_txn *mdb;
	pthread_t owner;
	unsigned cursors;
	unsigned hook_slot;
	bool is_write, is_full, has_hook;
};

struct kv_cursor {
	struct kv_txn *txn;
	MDB_cursor *mdb;
};

/** kv_fault - what a code of LMDB means; 0 is FAULT_OK. */
struct fault kv_fault(const struct kv_env *env, const char *what, int rc);

#endif
