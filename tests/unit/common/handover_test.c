/* What daemons and their parent say to each other: sockets arrive as the same sockets, numbers that are none are left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/handover.h"

#include "common/banned.h"

static bool is_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static void sockets_arrive_with_the_word_and_close_on_exec(void **state)
{
	int ends[2], sent[HANDOVER_MAX], got[HANDOVER_MAX];
	size_t count;

	(void)state;
	assert_int_equal(handover_pair(ends).kind, FAULT_NONE);
	for (size_t i = 0; i < HANDOVER_MAX; i++)
		sent[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	handover_tell(ends[1], HANDOVER_READY, sent, HANDOVER_MAX);
	handover_tell(ends[1], HANDOVER_GONE, NULL, 0);
	assert_int_equal(handover_receive(ends[0], got, &count), HANDOVER_READY);
	assert_int_equal(count, HANDOVER_MAX);
	for (size_t i = 0; i < count; i++) {
		assert_true(is_same(sent[i], got[i]));
		assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
		close(sent[i]);
		close(got[i]);
	}
	assert_int_equal(handover_receive(ends[0], got, &count), HANDOVER_GONE);
	assert_int_equal(count, 0);
	/* Nothing said, a word that is none, somebody gone. */
	assert_int_equal(handover_receive(ends[0], got, &count), HANDOVER_NONE);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(handover_receive(ends[0], got, &count), HANDOVER_NONE);
	close(ends[1]);
	assert_int_equal(handover_receive(ends[0], got, &count), HANDOVER_NONE);
	close(ends[0]);
}

static void a_daemon_finds_its_end_and_the_sockets_that_are_open(void **state)
{
	int ends[2], out[HANDOVER_MAX], offered[3];

	(void)state;
	assert_int_equal(handover_pair(ends).kind, FAULT_NONE);
	offered[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	offered[1] = 100000;            /* open in nobody */
	offered[2] = socket(AF_UNIX, SOCK_STREAM, 0);
	handover_offer(ends[1], offered, 3);
	assert_int_equal(handover_take(), ends[1]);
	assert_int_equal(handover_take(), -1);
	assert_int_equal(handover_sockets(out), 2);
	assert_int_equal(out[0], offered[0]);
	assert_int_equal(out[1], offered[2]);
	assert_int_equal(handover_sockets(out), 0);
	close(offered[0]);
	close(offered[2]);
	close(ends[0]);
	close(ends[1]);
}

static void words_from_elsewhere_are_no_numbers(void **state)
{
	int out[HANDOVER_MAX];

	(void)state;
	setenv("POSTROOM_PARENT_FD", "-1", 1);
	assert_int_equal(handover_take(), -1);
	setenv("POSTROOM_PARENT_FD", "99999999999", 1);
	assert_int_equal(handover_take(), -1);
	unsetenv("POSTROOM_PARENT_FD");
	setenv("POSTROOM_LISTENERS", "x  -3 4294967295", 1);
	assert_int_equal(handover_sockets(out), 0);
	handover_tell(-1, HANDOVER_READY, NULL, 0);     /* nobody wants to know */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_arrive_with_the_word_and_close_on_exec),
		cmocka_unit_test(a_daemon_finds_its_end_and_the_sockets_that_are_open),
		cmocka_unit_test(words_from_elsewhere_are_no_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
