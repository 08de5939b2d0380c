/* The watchdog: what one process publishes, another one sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/watchdog.h"

#include "common/banned.h"

static void without_a_page_nothing_happens(void **state)
{
	(void)state;
	watchdog_leave(watchdog_enter());
}

static void *go_in_and_out(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++) {
		unsigned a = watchdog_enter(), b = watchdog_enter();

		watchdog_leave(a);
		watchdog_leave(b);
	}
	return NULL;
}

static void the_master_sees_who_stays_inside(void **state)
{
	struct watchdog_page *page = NULL;
	int fd = -1, to_child[2], from_child[2], status;
	char c;
	pid_t child;
	(void)state;

	assert_int_equal(watchdog_page_new(&page, &fd).kind, FAULT_NONE);
	assert_true(watchdog_longest_ms(page) == 0);
	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(from_child), 0);
	child = fork();
	if (child == 0) {
		pthread_t threads[4];
		unsigned slot;

		if (watchdog_attach(fd).kind)
			_exit(1);
		for (int i = 0; i < 4; i++)
			if (pthread_create(&threads[i], NULL, go_in_and_out, NULL) != 0)
				_exit(2);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		slot = watchdog_enter();
		if (write(from_child[1], "i", 1) != 1 || read(to_child[0], &c, 1) != 1)
			_exit(3);
		watchdog_leave(slot);
		_exit(write(from_child[1], "o", 1) == 1 ? 0 : 4);
	}
	close(fd);
	assert_int_equal(read(from_child[0], &c, 1), 1);
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	assert_true(watchdog_longest_ms(page) >= 5);
	assert_int_equal(write(to_child[1], "x", 1), 1);
	assert_int_equal(read(from_child[0], &c, 1), 1);
	assert_true(watchdog_longest_ms(page) == 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	watchdog_page_free(&page);
	assert_null(page);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(from_child[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_page_nothing_happens),
		cmocka_unit_test(the_master_sees_who_stays_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
