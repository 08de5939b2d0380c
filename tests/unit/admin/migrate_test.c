/* An instance of format 1 becomes one of format 2, and goes back, wherever that is cut off. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/migrate.h"
#include "admin/snapshot.h"
#include "common/directory.h"
#include "common/identity.h"
#include "common/kv.h"
#include "common/textfile.h"

#include "common/banned.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define FAILS(expr, what) assert_int_equal((expr).kind, (what))
#define CUTS_MAX 64
#define CUT 99

static char root[64];
static const uint8_t key[CRYPT_SHA256_LEN] = { 1, 2, 3 };

static const char *at(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	return path;
}

static bool is_there(const char *name)
{
	return access(at(name), F_OK) == 0;
}

static struct fault forget(struct kv_txn *txn, void *arg)
{
	struct kv_cursor *c = NULL;
	struct fault f = kv_cursor_open(txn, 0, &c);
	(void)arg;

	if (!f.kind)
		f = kv_cursor_seek(c, SV_NONE, NULL, NULL);
	if (!f.kind)
		f = kv_cursor_del(c);
	kv_cursor_close(&c);
	return f;
}

/* As an older program left it: no folder for issuers, a certificate that stands among the credentials alone. */
static void make_older(void)
{
	static const char *const tables[] = { "certificates" };
	const struct kv_options options = { KV_PRECIOUS, false, 0, tables, 1 };
	struct instance *instance = NULL;
	struct directory *dir = NULL;
	struct kv_env *env = NULL;

	/* In memory where that is possible: hundreds of flushes wait for whatever else the disk is busy with, and no power is cut here. */
	snprintf(root, sizeof(root), "/dev/shm/postroom-migrate-XXXXXX");
	if (!mkdtemp(root)) {
		snprintf(root, sizeof(root), "/tmp/postroom-migrate-XXXXXX");
		assert_non_null(mkdtemp(root));
	}
	OK(instance_create(root, &instance));
	OK(directory_open(at("directory"), true, &dir));
	OK(directory_domain_add(dir, SV("a.test")));
	OK(directory_account_add(dir, SV("alice@a.test"), NULL, DIRECTORY_ITERATIONS_MIN, NULL));
	OK(directory_certificate_add(dir, SV("alice@a.test"), SV("laptop"), SCOPE_IMAP, key, NULL));
	directory_close(&dir);
	OK(kv_env_open(at("directory"), &options, &env));
	OK(kv_update(env, forget, NULL));
	kv_env_close(&env);
	OK(textfile_make(at("postroom.conf"), SV("hostname mail.a.test\n"), 0600));
	OK(textfile_make(at("keys/a.test.pem"), SV("key\n"), 0600));
	OK(textfile_make(at("mail/letter"), SV("mail\n"), 0600));
	assert_int_equal(rmdir(at("issuer")), 0);
	OK(instance_stamp(instance, 1));
	instance_close(&instance);
}

static void unmake(void)
{
	snapshot_remove(root);
	assert_false(is_there(""));
}

static bool certificate_is_found(const char *folder)
{
	char owner[DIRECTORY_ADDRESS_MAX + 1];
	struct directory *dir = NULL;

	OK(directory_open(at(folder), false, &dir));
	struct fault f = directory_certificate_owner(dir, key, owner);

	if (!f.kind)
		assert_string_equal(owner, "alice@a.test");
	directory_close(&dir);
	return !f.kind;
}

static bool certificate_is_in(const char *file)
{
	bool is_found;

	assert_int_equal(mkdir(at("looked"), 0700), 0);
	OK(copy_file(at(file), at("looked/data.mdb")));
	is_found = certificate_is_found("looked");
	snapshot_remove(at("looked"));
	return is_found;
}

static uint32_t stamp(const char *name)
{
	uint32_t format = 0;

	OK(instance_format_read(at(name), &format));
	return format;
}

static void cut_here(void *arg, const char *what)
{
	int *left = arg;
	(void)what;

	if (!(*left)--)
		_exit(CUT);
}

typedef struct fault migration_fn(struct instance *instance, migrate_note_fn *note, void *arg);

/* In a process that ends before its nth thing. How it ended. */
static int run_until(migration_fn *fn, int n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct instance *instance = NULL;
		struct fault f = instance_open_to_migrate(root, &instance);

		if (!f.kind)
			f = fn(instance, cut_here, &n);
		instance_close(&instance);
		_exit(f.kind ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_new(void)
{
	struct instance *instance = NULL;

	OK(instance_open(root, &instance));
	assert_int_equal(instance_format(instance), 2);
	assert_false(migrate_is_needed(instance));
	instance_close(&instance);
	assert_true(is_there("issuer"));
	assert_true(certificate_is_found("directory"));
	assert_false(is_there("migrating"));
	assert_false(is_there("before-2.unfinished"));
	/* The snapshot is what the older program left, but for the mail. */
	assert_int_equal(stamp("before-2/format"), 1);
	assert_true(is_there("before-2/postroom.conf"));
	assert_true(is_there("before-2/keys/a.test.pem"));
	assert_false(is_there("before-2/mail"));
	assert_false(certificate_is_found("before-2/directory"));
}

static void a_migration_is_finished_wherever_it_was_cut_off(void **state)
{
	int code = CUT, n = 0;
	(void)state;

	for (; code == CUT && n < CUTS_MAX; n++) {
		struct instance *instance = NULL;

		make_older();
		code = run_until(migrate_run, n);
		if (code == CUT && stamp("format") == 2)
			FAILS(instance_open(root, &instance), FAULT_BUSY);      /* nobody works in between */
		else
			OK(instance_open(root, &instance));
		instance_close(&instance);
		assert_int_equal(run_until(migrate_run, CUTS_MAX), 0);
		check_new();
		unmake();
	}
	assert_int_equal(code, 0);
	assert_true(n > 8);
}

/* Whoever was cut off may think better of it. */
static void the_way_back_is_finished_wherever_it_was_cut_off(void **state)
{
	int code = CUT, n = 0;
	(void)state;

	for (; code == CUT && n < CUTS_MAX; n++) {
		struct instance *instance = NULL;
		bool is_forward = n % 2;

		make_older();
		assert_int_equal(run_until(migrate_run, CUTS_MAX), 0);
		OK(textfile_make(at("mail/later"), SV("mail\n"), 0600));
		code = run_until(migrate_back, n);
		if (code == CUT && is_forward) {
			assert_int_equal(run_until(migrate_run, CUTS_MAX), 0);
			assert_int_equal(run_until(migrate_back, CUTS_MAX), 0);
		} else if (code == CUT && stamp("format") == 2) {
			assert_int_equal(run_until(migrate_back, CUTS_MAX), 0);
		}
		assert_int_equal(stamp("format"), 1);
		assert_false(certificate_is_found("directory"));
		assert_true(is_there("mail/letter") && is_there("mail/later"));
		OK(instance_open_to_migrate(root, &instance));
		FAILS(migrate_back(instance, NULL, NULL), FAULT_NOT_FOUND);
		instance_close(&instance);
		/* And forward again: the accounts that the way back took out of force are nowhere else. */
		assert_true(certificate_is_in("before-2/directory-2.mdb"));
		assert_int_equal(run_until(migrate_run, CUTS_MAX), 0);
		check_new();
		assert_true(certificate_is_in("before-2.2/directory-2.mdb"));
		assert_int_equal(run_until(migrate_back, CUTS_MAX), 0);
		assert_int_equal(run_until(migrate_run, CUTS_MAX), 0);
		assert_true(certificate_is_in("before-2.2/directory-2.mdb") && certificate_is_in("before-2.3/directory-2.mdb"));
		unmake();
	}
	assert_int_equal(code, 0);
}

/* The way back was cut off, and the new program went on instead, for a month: what was kept then is not what is there now. */
static void accounts_are_kept_each_time_that_they_go_out_of_force(void **state)
{
	(void)state;

	make_older();
	assert_int_equal(run_until(migrate_run, CUTS_MAX), 0);
	assert_int_equal(run_until(migrate_back, 2), CUT);      /* they are kept, and still in force */
	assert_true(is_there("before-2/directory-2.mdb"));
	assert_int_equal(run_until(migrate_run, CUTS_MAX), 0);
	assert_int_equal(run_until(migrate_back, CUTS_MAX), 0);
	assert_true(certificate_is_in("before-2/directory-2.mdb") && certificate_is_in("before-2/directory-2.mdb.2"));
	unmake();
}

/* A disk on which nothing more can be written. */
static void a_migration_without_room_leaves_the_instance_as_it_was(void **state)
{
	int status;
	(void)state;

	make_older();
	pid_t pid = fork();

	if (pid == 0) {
		struct instance *instance = NULL;
		const struct rlimit nothing = { 0, 0 };

		signal(SIGXFSZ, SIG_IGN);
		if (instance_open_to_migrate(root, &instance).kind || setrlimit(RLIMIT_FSIZE, &nothing) != 0)
			_exit(2);
		struct fault f = migrate_run(instance, NULL, NULL);

		_exit(f.kind && !migrate_is_unfinished(instance) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(stamp("format"), 1);
	assert_false(is_there("migrating"));
	assert_false(is_there("before-2"));
	assert_false(is_there("before-2.unfinished"));
	assert_int_equal(run_until(migrate_run, CUTS_MAX), 0);
	check_new();
	unmake();
}

static void hide_accounts(void *arg, const char *what)
{
	(void)arg;
	if (strstr(what, "certificates"))
		assert_int_equal(rename(at("directory"), at("hidden")), 0);
}

static void a_step_that_fails_puts_the_stamp_back(void **state)
{
	struct instance *instance = NULL;
	(void)state;

	make_older();
	OK(instance_open_to_migrate(root, &instance));
	FAILS(migrate_run(instance, hide_accounts, NULL), FAULT_NOT_FOUND);
	assert_false(migrate_is_unfinished(instance));
	instance_close(&instance);
	assert_int_equal(stamp("format"), 1);
	assert_false(is_there("migrating"));
	assert_int_equal(rename(at("hidden"), at("directory")), 0);
	assert_int_equal(run_until(migrate_run, CUTS_MAX), 0);
	check_new();
	unmake();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_migration_is_finished_wherever_it_was_cut_off),
		cmocka_unit_test(the_way_back_is_finished_wherever_it_was_cut_off),
		cmocka_unit_test(accounts_are_kept_each_time_that_they_go_out_of_force),
		cmocka_unit_test(a_migration_without_room_leaves_the_instance_as_it_was),
		cmocka_unit_test(a_step_that_fails_puts_the_stamp_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
