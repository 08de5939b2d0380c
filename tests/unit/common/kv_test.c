/* Tables on disk: pairs, cursors, growth beside other processes, and what is left of processes that were killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/bytes.h"
#include "common/kv.h"
#include "common/memory.h"

enum { T_ONE, T_TWO };
static const char *const tables[] = { "one", "two" };

struct place {
	char root[64];
	char env[96];
};

static const struct kv_options small = { KV_DISPOSABLE, true, 1 << 20, tables, 2 };
static const struct kv_options precious = { KV_PRECIOUS, true, 1 << 20, tables, 2 };

static int make_place(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	snprintf(p->root, sizeof(p->root), "/tmp/kv-test-XXXXXX");
	if (!mkdtemp(p->root))
		return -1;
	snprintf(p->env, sizeof(p->env), "%s/env", p->root);
	*state = p;
	return 0;
}

static int drop_place(void **state)
{
	struct place *p = *state;
	char name[160];
	static const char *const files[] = { "env/data.mdb", "env/lock.mdb", "env", "copy/data.mdb",
					     "copy/lock.mdb", "copy", "moved/data.mdb", "moved/lock.mdb", "moved" };

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(name, sizeof(name), "%s/%s", p->root, files[i]);
		remove(name);
	}
	int rc = rmdir(p->root);
	free(p);
	return rc;
}

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define FAILS(expr, what) assert_int_equal((expr).kind, (what))

static struct kv_env *open_here(const char *path, const struct kv_options *o)
{
	struct kv_env *env = NULL;

	OK(kv_env_open(path, o, &env));
	return env;
}

static void put_one(struct kv_env *env, struct sv key, struct sv value)
{
	struct kv_txn *txn = NULL;

	OK(kv_write_begin(env, &txn));
	OK(kv_put(txn, T_ONE, key, value));
	OK(kv_commit(&txn));
}

static bool has(struct kv_env *env, struct sv key, struct sv value)
{
	struct kv_txn *txn = NULL;
	struct sv v;

	OK(kv_read_begin(env, &txn));
	struct fault f = kv_get(txn, T_ONE, key, &v);
	bool same = !f.kind && sv_eq(v, value);
	kv_read_end(&txn);
	return same;
}

static void pairs_are_put_got_and_removed(void **state)
{
	struct place *p = *state;
	struct kv_env *env = open_here(p->env, &precious);
	struct kv_txn *txn = NULL;
	struct sv v;
	uint64_t n = 0;

	OK(kv_write_begin(env, &txn));
	OK(kv_put(txn, T_ONE, SV("a"), SV("1")));
	OK(kv_put(txn, T_ONE, SV("a"), SV("2")));
	OK(kv_put(txn, T_TWO, SV("a"), SV("other table")));
	FAILS(kv_insert(txn, T_ONE, SV("a"), SV("3")), FAULT_EXISTS);
	OK(kv_insert(txn, T_ONE, SV("b"), SV_NONE));
	FAILS(kv_del(txn, T_ONE, SV("c")), FAULT_NOT_FOUND);
	OK(kv_get(txn, T_ONE, SV("a"), &v));
	assert_true(sv_eq(v, SV("2")));
	OK(kv_commit(&txn));
	assert_null(txn);
	kv_abort(&txn);

	OK(kv_write_begin(env, &txn));
	OK(kv_del(txn, T_ONE, SV("a")));
	kv_abort(&txn);
	assert_true(has(env, SV("a"), SV("2")));
	assert_true(has(env, SV("b"), SV_NONE));

	OK(kv_write_begin(env, &txn));
	OK(kv_append(txn, T_ONE, SV("z"), SV("at the end")));
	OK(kv_append(txn, T_ONE, SV("m"), SV("not at the end")));
	OK(kv_append(txn, T_ONE, SV("m"), SV("again")));
	OK(kv_count(txn, T_ONE, &n));
	assert_int_equal(n, 4);
	OK(kv_count(txn, T_TWO, &n));
	assert_int_equal(n, 1);
	OK(kv_commit(&txn));
	assert_true(has(env, SV("m"), SV("again")));
	kv_env_close(&env);

	env = open_here(p->env, &precious);
	assert_true(has(env, SV("z"), SV("at the end")));
	kv_env_close(&env);
	kv_env_close(&env);
}

static void keys_too_long_or_empty_are_refused_without_harm(void **state)
{
	struct place *p = *state;
	struct kv_env *env = open_here(p->env, &small);
	struct kv_txn *txn = NULL;
	struct kv_cursor *c = NULL;
	struct sv v;
	char *big = xcalloc(1, KV_KEY_MAX + 1);
	struct kv_key key;

	OK(kv_write_begin(env, &txn));
	FAILS(kv_put(txn, T_ONE, SV_NONE, SV("x")), FAULT_INVALID);
	FAILS(kv_get(txn, T_ONE, SV_NONE, &v), FAULT_INVALID);
	FAILS(kv_put(txn, T_ONE, sv_from(big, KV_KEY_MAX + 1), SV("x")), FAULT_LIMIT);
	FAILS(kv_get(txn, T_ONE, sv_from(big, KV_KEY_MAX + 1), &v), FAULT_LIMIT);
	FAILS(kv_del(txn, T_ONE, sv_from(big, KV_KEY_MAX + 1)), FAULT_LIMIT);
	OK(kv_put(txn, T_ONE, sv_from(big, KV_KEY_MAX), SV("longest")));
	kv_key_init(&key);
	kv_key_sv(&key, sv_from(big, KV_KEY_MAX - 3));
	kv_key_u32(&key, 7);
	assert_true(key.is_over);
	kv_key_u8(&key, 7);
	FAILS(kv_put(txn, T_ONE, kv_key_view(&key), SV("x")), FAULT_LIMIT);
	OK(kv_cursor_open(txn, T_ONE, &c));
	FAILS(kv_cursor_seek(c, kv_key_view(&key), &v, NULL), FAULT_LIMIT);
	FAILS(kv_cursor_seek_back(c, kv_key_view(&key), &v, NULL), FAULT_LIMIT);
	kv_cursor_close(&c);
	OK(kv_commit(&txn));
	assert_true(has(env, sv_from(big, KV_KEY_MAX), SV("longest")));
	free(big);
	kv_env_close(&env);
}

static void number_keys_sort_as_numbers_and_are_read_back(void **state)
{
	static const uint64_t numbers[] = { 0, 1, 255, 256, 65535, 1ull << 32, UINT64_MAX };
	struct place *p = *state;
	struct kv_env *env = open_here(p->env, &small);
	struct kv_txn *txn = NULL;
	struct kv_cursor *c = NULL;
	struct kv_key key;
	struct sv k, v, rest;
	uint64_t n;
	uint32_t u;
	uint8_t b;

	OK(kv_write_begin(env, &txn));
	for (size_t i = ARRAY_LEN(numbers); i-- > 0;) {
		kv_key_init(&key);
		kv_key_u8(&key, 9);
		kv_key_u64(&key, numbers[i]);
		kv_key_u32(&key, (uint32_t)i);
		OK(kv_put(txn, T_ONE, kv_key_view(&key), SV("v")));
	}
	OK(kv_cursor_open(txn, T_ONE, &c));
	struct fault f = kv_cursor_seek(c, SV_NONE, &k, &v);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++, f = kv_cursor_next(c, &k, &v)) {
		OK(f);
		rest = k;
		assert_true(kv_take_u8(&rest, &b) && b == 9);
		assert_true(kv_take_u64(&rest, &n) && n == numbers[i]);
		assert_true(kv_take_u32(&rest, &u) && u == i);
		assert_false(kv_take_u8(&rest, &b));
		for (size_t cut = 0; cut < 8; cut++) {
			rest = sv_from(k.p, cut);
			assert_false(kv_take_u64(&rest, &n));
			assert_int_equal(rest.len, cut);
		}
	}
	FAILS(f, FAULT_NOT_FOUND);
	kv_cursor_close(&c);
	kv_abort(&txn);
	kv_env_close(&env);
}

static void a_cursor_seeks_both_ways_and_changes_in_place(void **state)
{
	struct place *p = *state;
	struct kv_env *env = open_here(p->env, &small);
	struct kv_txn *txn = NULL;
	struct kv_cursor *c = NULL;
	struct sv k, v;
	uint64_t removed;

	OK(kv_write_begin(env, &txn));
	OK(kv_cursor_open(txn, T_ONE, &c));
	FAILS(kv_cursor_seek(c, SV_NONE, &k, &v), FAULT_NOT_FOUND);
	FAILS(kv_cursor_seek_back(c, SV_NONE, &k, &v), FAULT_NOT_FOUND);
	kv_cursor_close(&c);
	for (char x = 'b'; x <= 'h'; x += 2)
		OK(kv_put(txn, T_ONE, sv_from(&x, 1), SV("old")));
	OK(kv_cursor_open(txn, T_ONE, &c));
	OK(kv_cursor_seek(c, SV("c"), &k, &v));
	assert_true(sv_eq(k, SV("d")));
	OK(kv_cursor_seek_back(c, SV("c"), &k, &v));
	assert_true(sv_eq(k, SV("b")));
	OK(kv_cursor_seek_back(c, SV("d"), &k, &v));
	assert_true(sv_eq(k, SV("d")));
	OK(kv_cursor_seek_back(c, SV("zz"), &k, &v));
	assert_true(sv_eq(k, SV("h")));
	OK(kv_cursor_seek_back(c, SV_NONE, &k, &v));
	assert_true(sv_eq(k, SV("h")));
	FAILS(kv_cursor_seek_back(c, SV("a"), &k, &v), FAULT_NOT_FOUND);
	FAILS(kv_cursor_seek(c, SV("i"), &k, &v), FAULT_NOT_FOUND);
	OK(kv_cursor_seek(c, SV("d"), NULL, NULL));
	OK(kv_cursor_seek_back(c, SV("c"), &k, NULL));
	assert_true(sv_eq(k, SV("b")));
	OK(kv_cursor_del(c));
	OK(kv_cursor_next(c, &k, &v));
	assert_true(sv_eq(k, SV("d")));
	assert_true(sv_eq(v, SV("old")));
	kv_cursor_close(&c);
	OK(kv_del_range(txn, T_ONE, SV("e"), SV("h"), 100, &removed));
	assert_int_equal(removed, 1);
	OK(kv_del_range(txn, T_ONE, SV_NONE, SV_NONE, 1, &removed));
	assert_int_equal(removed, 1);
	OK(kv_del_range(txn, T_ONE, SV_NONE, SV_NONE, 100, &removed));
	assert_int_equal(removed, 1);
	OK(kv_del_range(txn, T_ONE, SV_NONE, SV_NONE, 100, NULL));
	OK(kv_commit(&txn));
	kv_env_close(&env);
}

static void a_missing_environment_is_not_made_unless_asked(void **state)
{
	struct place *p = *state;
	struct kv_options o = small;
	struct kv_env *env = NULL;

	o.create = false;
	FAILS(kv_env_open(p->env, &o, &env), FAULT_NOT_FOUND);
	assert_null(env);
	assert_int_equal(access(p->env, F_OK), -1);
	env = open_here(p->env, &small);
	kv_env_close(&env);
	env = open_here(p->env, &o);
	kv_env_close(&env);
}

static void a_second_open_of_the_same_file_shares_the_environment(void **state)
{
	struct place *p = *state;
	char other[160], moved[160];
	struct kv_env *a = open_here(p->env, &small), *b = NULL, *c = NULL;

	snprintf(other, sizeof(other), "%s/../%s/env", p->root, p->root + sizeof("/tmp/") - 1);
	b = open_here(other, &small);
	assert_ptr_equal(a, b);
	kv_env_close(&b);
	put_one(a, SV("k"), SV("still open"));

	/* Replaced by rename: the path now names another environment, and the old one stays whole. */
	snprintf(moved, sizeof(moved), "%s/moved", p->root);
	assert_int_equal(rename(p->env, moved), 0);
	c = open_here(p->env, &small);
	assert_ptr_not_equal(a, c);
	assert_false(has(c, SV("k"), SV("still open")));
	assert_true(has(a, SV("k"), SV("still open")));
	b = open_here(moved, &small);
	assert_ptr_equal(a, b);
	kv_env_close(&b);
	kv_env_close(&c);
	kv_env_close(&a);
}

static void a_file_that_is_no_environment_is_corrupt(void **state)
{
	struct place *p = *state;
	char name[160], junk[8192];
	struct kv_env *env = NULL;

	assert_int_equal(mkdir(p->env, 0700), 0);
	snprintf(name, sizeof(name), "%s/data.mdb", p->env);
	memset(junk, 'j', sizeof(junk));
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(junk, 1, sizeof(junk), file), sizeof(junk));
	assert_int_equal(fclose(file), 0);
	FAILS(kv_env_open(p->env, &small, &env), FAULT_CORRUPT);
	assert_null(env);
}

struct fill {
	unsigned count, size;
	unsigned runs;
};

static struct fault fill(struct kv_txn *txn, void *arg)
{
	struct fill *job = arg;
	char *value = xcalloc(1, job->size);
	struct fault f = FAULT_OK;

	job->runs++;
	for (uint32_t i = 0; i < job->count && !f.kind; i++) {
		struct kv_key key;

		kv_key_init(&key);
		kv_key_u32(&key, i);
		f = kv_put(txn, T_ONE, kv_key_view(&key), sv_from(value, job->size));
	}
	free(value);
	return f;
}

static void an_update_grows_the_map_and_runs_again(void **state)
{
	struct place *p = *state;
	struct kv_env *env = open_here(p->env, &small);
	struct fill job = { .count = 3000, .size = 4000 };
	struct kv_txn *txn = NULL;
	struct kv_stat st;
	uint64_t n = 0;

	OK(kv_update(env, fill, &job));
	assert_true(job.runs > 1);
	kv_env_stat(env, &st);
	assert_true(st.map_size > 8 << 20);
	OK(kv_read_begin(env, &txn));
	OK(kv_count(txn, T_ONE, &n));
	assert_int_equal(n, 3000);
	kv_read_end(&txn);
	kv_env_close(&env);
}

static void a_write_that_ran_full_grows_the_map_when_it_is_aborted(void **state)
{
	struct place *p = *state;
	struct kv_env *env = open_here(p->env, &small);
	struct fill job = { .count = 470, .size = 4000 };
	struct kv_stat before, after;
	struct kv_txn *txn = NULL;

	kv_env_stat(env, &before);
	OK(kv_write_begin(env, &txn));
	FAILS(fill(txn, &job), FAULT_BUSY);
	kv_abort(&txn);
	kv_env_stat(env, &after);
	assert_true(after.map_size == 2 * before.map_size);
	OK(kv_write_begin(env, &txn));
	OK(fill(txn, &job));
	OK(kv_commit(&txn));
	/* Little is left now: the next one starts with more room. */
	OK(kv_write_begin(env, &txn));
	kv_abort(&txn);
	kv_env_stat(env, &after);
	assert_true(after.map_size > 2 * before.map_size);
	kv_env_close(&env);
}

static void a_small_write_beside_an_open_snapshot_keeps_its_views(void **state)
{
	struct place *p = *state;
	struct kv_env *env = open_here(p->env, &small);
	struct kv_txn *txn = NULL;
	struct sv v;

	put_one(env, SV("k"), SV("first"));
	OK(kv_read_begin(env, &txn));
	OK(kv_get(txn, T_ONE, SV("k"), &v));
	uint64_t last = kv_env_last_txn(env);
	kv_read_end(&txn);
	put_one(env, SV("k"), SV("second"));
	assert_int_equal(kv_env_last_txn(env), last + 1);
	OK(kv_read_begin(env, &txn));
	OK(kv_get(txn, T_ONE, SV("k"), &v));
	assert_true(sv_eq(v, SV("second")));
	kv_read_end(&txn);
	kv_env_close(&env);
}

static void *grow_in_thread(void *arg)
{
	struct kv_env *env = arg;
	struct fill job = { .count = 1000, .size = 4000 };

	for (int i = 0; i < 3; i++)
		if (kv_update(env, fill, &job).kind)
			return NULL;
	return env;
}

static void *read_in_thread(void *arg)
{
	struct kv_env *env = arg;

	for (int i = 0; i < 3000; i++) {
		struct kv_txn *txn = NULL;
		struct sv v;

		if (kv_read_begin(env, &txn).kind)
			return NULL;
		if (kv_get(txn, T_ONE, SV("k"), &v).kind || !sv_eq(v, SV("value")))
			return NULL;
		kv_read_end(&txn);
	}
	return env;
}

static void threads_read_and_write_while_the_map_grows(void **state)
{
	struct place *p = *state;
	struct kv_env *env = open_here(p->env, &small);
	pthread_t threads[4];
	void *result;

	put_one(env, SV("k"), SV("value"));
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? grow_in_thread : read_in_thread, env), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, env);
	}
	kv_env_close(&env);
}

static void who_must_not_wait_is_told_nothing_while_the_map_moves(void **state)
{
	struct place *p = *state;
	struct kv_env *env = open_here(p->env, &small);
	struct kv_txn *snapshot = NULL;
	pthread_t thread;
	void *result;

	put_one(env, SV("k"), SV("value"));
	assert_true(kv_env_last_txn_now(env) && kv_env_last_txn_now(env) == kv_env_last_txn(env));
	OK(kv_read_begin(env, &snapshot));
	assert_int_equal(pthread_create(&thread, NULL, grow_in_thread, env), 0);
	while (kv_env_last_txn_now(env))        /* the map cannot move before the snapshot ends */
		sched_yield();
	kv_read_end(&snapshot);
	pthread_join(thread, &result);
	assert_ptr_equal(result, env);
	assert_true(kv_env_last_txn_now(env) == kv_env_last_txn(env));
	kv_env_close(&env);
}

/* Children are forked before the parent opens anything: an environment is not to be inherited. */
struct child {
	pid_t pid;
	int to, from;
};

static void tell(int fd)
{
	if (write(fd, "x", 1) != 1)
		_exit(90);
}

static void hear(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		_exit(91);
}

static struct child start_child(const char *path, void (*run)(const char *, int, int))
{
	int down[2], up[2];
	struct child c;

	assert_int_equal(pipe(down) | pipe(up), 0);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (c.pid == 0) {
		close(down[1]);
		close(up[0]);
		run(path, down[0], up[1]);
		_exit(0);
	}
	close(down[0]);
	close(up[1]);
	c.to = down[1];
	c.from = up[0];
	return c;
}

static int end_child(struct child *c)
{
	int status = -1;

	close(c->to);
	close(c->from);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	return status;
}

static void child_grows(const char *path, int in, int out)
{
	struct kv_env *env = NULL;
	struct fill job = { .count = 1000, .size = 4000 };

	hear(in);
	if (kv_env_open(path, &small, &env).kind)
		_exit(1);
	if (kv_update(env, fill, &job).kind)
		_exit(2);
	tell(out);
	hear(in);       /* the parent has grown it further */
	if (!has(env, SV("parent"), SV("was here")))
		_exit(3);
	job.count = 4000;
	if (kv_update(env, fill, &job).kind)
		_exit(4);
	kv_env_close(&env);
}

static void two_processes_grow_the_same_map_in_turn(void **state)
{
	struct place *p = *state;
	struct child c = start_child(p->env, child_grows);
	struct kv_env *env = open_here(p->env, &small);
	struct fill job = { .count = 2500, .size = 4000 };
	struct kv_txn *txn = NULL;
	uint64_t n = 0;

	tell(c.to);
	hear(c.from);
	OK(kv_read_begin(env, &txn));   /* MDB_MAP_RESIZED inside */
	OK(kv_count(txn, T_ONE, &n));
	assert_int_equal(n, 1000);
	kv_read_end(&txn);
	OK(kv_update(env, fill, &job));
	put_one(env, SV("parent"), SV("was here"));
	tell(c.to);
	assert_int_equal(end_child(&c), 0);
	OK(kv_read_begin(env, &txn));
	OK(kv_count(txn, T_ONE, &n));
	assert_int_equal(n, 4001);
	kv_read_end(&txn);
	kv_env_close(&env);
}

static void child_reads_for_ever(const char *path, int in, int out)
{
	struct kv_env *env = NULL;
	struct kv_txn *txn = NULL;

	if (kv_env_open(path, &small, &env).kind || kv_read_begin(env, &txn).kind)
		_exit(1);
	tell(out);
	hear(in);
}

static void the_slot_of_a_killed_reader_is_freed(void **state)
{
	struct place *p = *state;
	struct child c = start_child(p->env, child_reads_for_ever);
	struct kv_env *env = open_here(p->env, &small);

	hear(c.from);
	assert_int_equal(kv_reader_check(env), 0);
	assert_int_equal(kill(c.pid, SIGKILL), 0);
	assert_true(WIFSIGNALED(end_child(&c)));
	assert_int_equal(kv_reader_check(env), 1);
	assert_int_equal(kv_reader_check(env), 0);
	kv_env_close(&env);
}

static void child_dies_writing(const char *path, int in, int out)
{
	struct kv_env *env = NULL;
	struct kv_txn *txn = NULL;

	if (kv_env_open(path, &small, &env).kind)
		_exit(1);
	put_one(env, SV("k"), SV("committed"));
	if (kv_write_begin(env, &txn).kind || kv_put(txn, T_ONE, SV("k"), SV("in flight")).kind)
		_exit(2);
	tell(out);
	hear(in);
}

static void after_a_killed_writer_the_last_commit_stands_and_writing_goes_on(void **state)
{
	struct place *p = *state;
	struct child c = start_child(p->env, child_dies_writing);
	struct kv_env *env = NULL;

	hear(c.from);
	env = open_here(p->env, &small);
	assert_int_equal(kill(c.pid, SIGKILL), 0);
	assert_true(WIFSIGNALED(end_child(&c)));
	assert_true(has(env, SV("k"), SV("committed")));
	put_one(env, SV("k"), SV("next"));
	assert_true(has(env, SV("k"), SV("next")));
	kv_env_close(&env);
}

static void a_copy_is_an_environment_of_its_own(void **state)
{
	struct place *p = *state;
	char folder[160], file[200];
	struct kv_env *env = open_here(p->env, &precious), *copy = NULL;

	put_one(env, SV("k"), SV("value"));
	snprintf(folder, sizeof(folder), "%s/copy", p->root);
	snprintf(file, sizeof(file), "%s/data.mdb", folder);
	FAILS(kv_env_copy(env, file), FAULT_NOT_FOUND);
	assert_int_equal(mkdir(folder, 0700), 0);
	OK(kv_env_copy(env, file));
	FAILS(kv_env_copy(env, file), FAULT_EXISTS);
	OK(kv_env_reserve(env, 1 << 20));
	kv_env_close(&env);
	copy = open_here(folder, &precious);
	assert_true(has(copy, SV("k"), SV("value")));
	kv_env_close(&copy);
}

static int entered, left_slot;

static unsigned note_enter(void)
{
	return (unsigned)++entered + 40;
}

static void note_leave(unsigned slot)
{
	left_slot = (int)slot;
}

static void write_transactions_tell_the_watchdog(void **state)
{
	struct place *p = *state;
	struct kv_env *env = open_here(p->env, &small);
	struct kv_txn *txn = NULL;

	kv_set_txn_hooks(note_enter, note_leave);
	OK(kv_read_begin(env, &txn));
	kv_read_end(&txn);
	assert_int_equal(entered, 0);
	OK(kv_write_begin(env, &txn));
	assert_int_equal(entered, 1);
	assert_int_equal(left_slot, 0);
	kv_abort(&txn);
	assert_int_equal(left_slot, 41);
	put_one(env, SV("k"), SV("v"));
	assert_int_equal(left_slot, 42);
	kv_set_txn_hooks(NULL, NULL);
	kv_env_close(&env);
}

static struct fault put_big(struct kv_env *env, unsigned n)
{
	char value[20000];
	struct kv_txn *txn = NULL;
	struct kv_key key;
	struct fault f = kv_write_begin(env, &txn);

	if (f.kind)
		return f;
	memset(value, 'v', sizeof(value));
	kv_key_init(&key);
	kv_key_u32(&key, n);
	f = kv_put(txn, T_TWO, kv_key_view(&key), sv_from(value, sizeof(value)));
	if (!f.kind)
		return kv_commit(&txn);
	kv_abort(&txn);
	return f;
}

/* The disk is full, or errs, and later is well again: nobody has to be restarted for it. */
static void check_after_failed_commits(struct place *p, const struct kv_options *options)
{
	struct kv_env *env = open_here(p->env, options), *again = open_here(p->env, options);
	struct rlimit was, now;
	struct stat st;
	char file[200];

	put_one(env, SV("a"), SV("kept"));
	OK(put_big(env, 0));
	snprintf(file, sizeof(file), "%s/data.mdb", p->env);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	now = (struct rlimit){ (rlim_t)st.st_size, was.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
	unsigned failed = 0;

	for (unsigned i = 1; i < 6; i++)
		failed += put_big(env, i).kind != FAULT_NONE;
	assert_true(failed >= 3);
	assert_true(has(again, SV("a"), SV("kept")));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_true(has(env, SV("a"), SV("kept")));
	for (unsigned i = 10; i < 16; i++)
		OK(put_big(i % 2 ? env : again, i));
	assert_false(kv_env_is_broken(env));
	put_one(again, SV("b"), SV("new"));
	assert_true(has(env, SV("b"), SV("new")));
	kv_env_close(&env);
	kv_env_close(&again);
}

static void failed_commits_are_followed_by_a_new_start(void **state)
{
	check_after_failed_commits(*state, &precious);
}

static void also_of_what_is_never_flushed(void **state)
{
	check_after_failed_commits(*state, &small);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_place, drop_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(pairs_are_put_got_and_removed),
		CASE(keys_too_long_or_empty_are_refused_without_harm),
		CASE(number_keys_sort_as_numbers_and_are_read_back),
		CASE(a_cursor_seeks_both_ways_and_changes_in_place),
		CASE(a_missing_environment_is_not_made_unless_asked),
		CASE(a_second_open_of_the_same_file_shares_the_environment),
		CASE(a_file_that_is_no_environment_is_corrupt),
		CASE(an_update_grows_the_map_and_runs_again),
		CASE(a_write_that_ran_full_grows_the_map_when_it_is_aborted),
		CASE(a_small_write_beside_an_open_snapshot_keeps_its_views),
		CASE(threads_read_and_write_while_the_map_grows),
		CASE(who_must_not_wait_is_told_nothing_while_the_map_moves),
		CASE(two_processes_grow_the_same_map_in_turn),
		CASE(the_slot_of_a_killed_reader_is_freed),
		CASE(after_a_killed_writer_the_last_commit_stands_and_writing_goes_on),
		CASE(a_copy_is_an_environment_of_its_own),
		CASE(write_transactions_tell_the_watchdog),
		CASE(failed_commits_are_followed_by_a_new_start),
		CASE(also_of_what_is_never_flushed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
