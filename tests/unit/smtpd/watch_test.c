/* Files that come are told of when somebody can work on them, each of them, and what is gone is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/loop.h"
#include "smtpd/relay/watch.h"

#include "common/banned.h"

#define MANY 300

static char folder[64];
static struct loop *loop;
static struct watch *watch;
static unsigned told;
static char last[64];

static void on_file(void *arg, const char *name)
{
	(void)arg;
	told++;
	snprintf(last, sizeof(last), "%s", name);
}

static void on_overflow(void *arg)
{
	(void)arg;
	fail();
}

static int setup(void **state)
{
	static const struct watch_events events = { on_file, on_overflow };
	char msg[80], tmp[80];

	(void)state;
	memcpy(folder, "/tmp/watch_test.XXXXXX", 23);
	assert_non_null(mkdtemp(folder));
	snprintf(msg, sizeof(msg), "%s/msg", folder);
	snprintf(tmp, sizeof(tmp), "%s/tmp", folder);
	assert_true(!mkdir(msg, 0700) && !mkdir(tmp, 0700));
	assert_int_equal(loop_new(&loop).kind, FAULT_NONE);
	assert_int_equal(watch_new(loop, msg, &events, NULL, &watch).kind, FAULT_NONE);
	told = 0;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	watch_free(&watch);
	loop_free(&loop);
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* make - a file in tmp/, open. */
static int make(const char *name)
{
	char path[120];
	int fd;

	snprintf(path, sizeof(path), "%s/tmp/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, "x", 1) == 1);
	return fd;
}

static void move(const char *name)
{
	char from[120], to[120];

	snprintf(from, sizeof(from), "%s/tmp/%s", folder, name);
	snprintf(to, sizeof(to), "%s/msg/%s", folder, name);
	assert_int_equal(rename(from, to), 0);
}

/* turn - what has happened until now is noticed. */
static void turn(void)
{
	for (unsigned i = 0; i < 3; i++)
		loop_run_once(loop, 0);
}

static void a_file_that_its_writer_moves_here_is_told_of_when_he_closes_it(void **state)
{
	int fd = make("a");

	(void)state;
	move("a");
	turn();
	assert_int_equal(told, 0);
	close(fd);
	turn();
	assert_int_equal(told, 1);
	assert_string_equal(last, "a");
	loop_skip_ms(loop, 10000);
	turn();
	assert_int_equal(told, 1);
}

static void a_file_that_nobody_has_open_is_told_of_a_moment_later(void **state)
{
	(void)state;
	close(make("a"));
	move("a");
	turn();
	assert_int_equal(told, 0);
	loop_skip_ms(loop, 1000);
	turn();
	assert_int_equal(told, 1);
	assert_string_equal(last, "a");
}

static void who_asks_for_all_that_has_come_hears_of_all(void **state)
{
	int fd = make("a");

	(void)state;
	move("a");
	close(make("b"));
	move("b");
	watch_look(watch);
	assert_int_equal(told, 2);
	close(fd);
}

static void what_is_gone_when_it_is_closed_is_nobodys_business(void **state)
{
	char path[120];
	int fd = make("a");

	(void)state;
	move("a");
	close(fd);
	turn();
	assert_int_equal(told, 1);
	snprintf(path, sizeof(path), "%s/msg/a", folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && !unlink(path));
	close(fd);
	watch_look(watch);
	assert_int_equal(told, 1);
}

static void however_many_are_moved_each_is_told_of(void **state)
{
	static const char long_name[] = "a-name-that-is-longer-than-those-that-can-be-kept";
	char name[32];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		close(make(name));
		move(name);
	}
	turn();
	assert_true(told < MANY);
	loop_skip_ms(loop, 1000);
	turn();
	assert_int_equal(told, MANY);
	close(make(long_name));
	move(long_name);
	turn();
	assert_int_equal(told, MANY + 1);
	assert_string_equal(last, long_name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_that_its_writer_moves_here_is_told_of_when_he_closes_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_nobody_has_open_is_told_of_a_moment_later, setup, teardown),
		cmocka_unit_test_setup_teardown(who_asks_for_all_that_has_come_hears_of_all, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_gone_when_it_is_closed_is_nobodys_business, setup, teardown),
		cmocka_unit_test_setup_teardown(however_many_are_moved_each_is_told_of, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
