/* An instance on disk: making it, refusing what is not one, and one process of a name at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/instance.h"

#include "common/banned.h"

static char folder[64];

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/postroom-instance-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	pid_t pid = fork();
	(void)state;

	if (pid == 0) {
		execlp("rm", "rm", "-rf", folder, (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static const char *in_folder(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void put_file(const char *name, const char *text)
{
	FILE *f = fopen(in_folder(name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct instance *make(void)
{
	struct instance *instance = NULL;

	assert_int_equal(instance_create(folder, &instance).kind, FAULT_NONE);
	assert_int_equal(instance_seal(instance).kind, FAULT_NONE);
	return instance;
}

static void an_instance_exists_once_it_is_sealed(void **state)
{
	struct instance *instance = NULL, *again = NULL;
	struct stat st;
	(void)state;

	assert_int_equal(instance_open(folder, &again).kind, FAULT_NOT_FOUND);
	assert_int_equal(instance_open(in_folder("nowhere"), &again).kind, FAULT_NOT_FOUND);
	assert_int_equal(instance_create(folder, &instance).kind, FAULT_NONE);
	assert_int_equal(instance_open(folder, &again).kind, FAULT_NOT_FOUND);
	instance_close(&instance);
	assert_int_equal(instance_create(folder, &instance).kind,
			 FAULT_NONE); /* an attempt cut off */
	assert_int_equal(instance_seal(instance).kind, FAULT_NONE);
	assert_int_equal(instance_open(folder, &again).kind, FAULT_NONE);
	assert_string_equal(instance_path(again, INSTANCE_TLS_KEY), in_folder("tls/key.pem"));
	assert_int_equal(stat(instance_path(again, INSTANCE_RUN), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	instance_close(&instance);
	instance_close(&again);
	assert_int_equal(instance_create(folder, &instance).kind, FAULT_EXISTS);
}

static void a_folder_with_other_things_is_left_alone(void **state)
{
	struct instance *instance = NULL;
	struct fault f;
	(void)state;

	put_file("letter.txt", "dear");
	f = instance_create(folder, &instance);
	assert_int_equal(f.kind, FAULT_EXISTS);
	assert_non_null(strstr(f.detail, "letter.txt"));
	assert_int_not_equal(access(in_folder("mail"), F_OK), 0);
}

static void a_newer_or_broken_format_is_refused_with_a_sentence(void **state)
{
	struct instance *instance = make(), *again = NULL;
	struct fault f;
	(void)state;

	instance_close(&instance);
	put_file("format", "postroom 3\n");
	f = instance_open(folder, &again);
	assert_int_equal(f.kind, FAULT_UNSUPPORTED);
	assert_non_null(strstr(f.detail, "newer Postroom (format 3; this one reads up to 2)"));
	put_file("format", "postroom 0\n");
	assert_int_equal(instance_open(folder, &again).kind, FAULT_CORRUPT);
	put_file("format", "");
	assert_int_equal(instance_open(folder, &again).kind, FAULT_CORRUPT);
	put_file("format", "postroom 1\n");
	assert_int_equal(instance_open(folder, &again).kind, FAULT_NONE);
	instance_close(&again);
}

static void secrets_that_others_may_read_are_refused(void **state)
{
	struct instance *instance = make(), *again = NULL;
	struct fault f;
	(void)state;

	instance_close(&instance);
	assert_int_equal(chmod(in_folder("keys"), 0750), 0);
	f = instance_open(folder, &again);
	assert_int_equal(f.kind, FAULT_DENIED);
	assert_non_null(strstr(f.detail, "chmod go= "));
	assert_int_equal(chmod(in_folder("keys"), 0700), 0);
	assert_int_equal(chmod(in_folder("mail"), 0755), 0);
	assert_int_equal(instance_open(folder, &again).kind, FAULT_NONE);
	instance_close(&again);
	assert_int_equal(chmod(in_folder("mail"), 0775), 0);
	assert_int_equal(instance_open(folder, &again).kind, FAULT_DENIED);
}

static void a_pid_file_lets_one_process_in_and_dies_with_it(void **state)
{
	struct instance *instance = make();
	struct pidfile mine = PIDFILE_NONE, second = PIDFILE_NONE;
	struct fault f;
	int ready[2], status;
	char c;
	pid_t child;
	(void)state;

	assert_int_equal(pidfile_holder(instance, "smtpd"), 0);
	assert_int_equal(pidfile_take(instance, "smtpd", &mine).kind, FAULT_NONE);
	assert_int_equal(pidfile_holder(instance, "smtpd"), getpid());
	f = pidfile_take(instance, "smtpd", &second);
	assert_int_equal(f.kind, FAULT_IN_USE);
	assert_non_null(strstr(f.detail, "smtpd runs already, as process "));
	assert_int_equal(pidfile_take(instance, "imapd", &second).kind, FAULT_NONE);
	pidfile_drop(&second);
	pidfile_drop(&mine);
	pidfile_drop(&mine);
	assert_int_equal(pidfile_holder(instance, "smtpd"), 0);
	assert_int_not_equal(access(in_folder("run/smtpd.pid"), F_OK), 0);

	/* A killed holder leaves its file; it does not count. */
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		if (pidfile_take(instance, "smtpd", &mine).kind == FAULT_NONE &&
		    write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(pidfile_holder(instance, "smtpd"), child);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(access(in_folder("run/smtpd.pid"), F_OK), 0);
	assert_int_equal(pidfile_holder(instance, "smtpd"), 0);
	assert_int_equal(pidfile_take(instance, "smtpd", &mine).kind, FAULT_NONE);
	pidfile_drop(&mine);
	close(ready[0]);
	close(ready[1]);
	instance_close(&instance);
}

static void a_pid_file_stays_taken_while_its_process_becomes_another_program(void **state)
{
	struct instance *instance = make();
	struct pidfile mine = PIDFILE_NONE, kept = PIDFILE_NONE;
	(void)state;

	assert_int_equal(pidfile_take(instance, "postroom", &mine).kind, FAULT_NONE);
	assert_int_equal(fcntl(mine.fd, F_SETFD, 0), 0);
	assert_int_equal(pidfile_keep(instance, "postroom", mine.fd, &kept).kind, FAULT_NONE);
	assert_int_equal(fcntl(kept.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(pidfile_holder(instance, "postroom"), getpid());
	free(mine.path);
	mine = PIDFILE_NONE;
	pidfile_drop(&kept);
	assert_int_equal(pidfile_holder(instance, "postroom"), 0);

	/* Not ours: another file, or one whose name went to somebody else. */
	int other = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(pidfile_keep(instance, "postroom", other, &kept).kind, FAULT_NOT_FOUND);
	assert_int_equal(fcntl(other, F_GETFD), -1);
	assert_int_equal(kept.fd, -1);
	instance_close(&instance);
}

static void who_asks_for_the_holder_keeps_nobody_from_becoming_it(void **state)
{
	struct instance *instance = make();
	struct pidfile mine = PIDFILE_NONE;
	pid_t askers[2];
	(void)state;

	/* `postroom status` in a loop, while daemons come and go. */
	for (size_t i = 0; i < 2; i++) {
		askers[i] = fork();
		if (askers[i] == 0)
			alarm(20);      /* also when this test fails */
		while (askers[i] == 0)
			(void)pidfile_holder(instance, "smtpd");
	}
	for (unsigned n = 0; n < 300; n++) {
		assert_int_equal(pidfile_take(instance, "smtpd", &mine).kind, FAULT_NONE);
		assert_int_equal(close(mine.fd), 0);    /* as a crash leaves it: with its name */
		free(mine.path);
	}
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(kill(askers[i], SIGKILL), 0);
		assert_int_equal(waitpid(askers[i], NULL, 0), askers[i]);
	}
	instance_close(&instance);
}

static const char *memory_run(void)
{
	static char path[128];
	struct stat st;

	assert_int_equal(stat(folder, &st), 0);
	snprintf(path, sizeof(path), "/dev/shm/postroom-%u-%llx-%llx", (unsigned)st.st_uid, (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	return path;
}

/* What a server leaves that ran while the disk could only be read, and was killed. The disk itself is a matter of tests/e2e/test_read_only.py. */
static void a_run_folder_in_memory_is_found_and_goes_when_it_is_needed_no_more(void **state)
{
	struct instance *instance = make(), *other = NULL;
	struct pidfile mine = PIDFILE_NONE;
	char own[256];
	int status;
	(void)state;

	snprintf(own, sizeof(own), "%s", in_folder("run"));
	assert_int_equal(instance_settle_run(instance).kind, FAULT_NONE);
	assert_string_equal(instance_path(instance, INSTANCE_RUN), own);
	assert_null(instance_read_only(instance));
	assert_int_not_equal(access(memory_run(), F_OK), 0);
	instance_close(&instance);

	assert_int_equal(mkdir(memory_run(), 0755), 0);
	assert_int_equal(instance_open(folder, &instance).kind, FAULT_NONE);
	assert_string_equal(instance_path(instance, INSTANCE_RUN), own);        /* others may look into that one */
	instance_close(&instance);

	assert_int_equal(chmod(memory_run(), 0700), 0);
	assert_int_equal(instance_open(folder, &instance).kind, FAULT_NONE);
	assert_string_equal(instance_path(instance, INSTANCE_RUN), memory_run());
	assert_int_equal(pidfile_take(instance, "smtpd", &mine).kind, FAULT_NONE);
	pid_t child = fork();

	if (child == 0) {       /* somebody serves there: it stays */
		bool stays = !instance_open(folder, &other).kind && !instance_settle_run(other).kind &&
			     strcmp(instance_path(other, INSTANCE_RUN), memory_run()) == 0;
		_exit(stays ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(close(mine.fd), 0);
	free(mine.path);
	assert_int_equal(instance_settle_run(instance).kind, FAULT_NONE);
	assert_string_equal(instance_path(instance, INSTANCE_RUN), own);
	assert_int_not_equal(access(memory_run(), F_OK), 0);
	instance_close(&instance);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_instance_exists_once_it_is_sealed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_folder_with_other_things_is_left_alone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_newer_or_broken_format_is_refused_with_a_sentence,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(secrets_that_others_may_read_are_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_pid_file_stays_taken_while_its_process_becomes_another_program, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_run_folder_in_memory_is_found_and_goes_when_it_is_needed_no_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_asks_for_the_holder_keeps_nobody_from_becoming_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_pid_file_lets_one_process_in_and_dies_with_it,
						set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
