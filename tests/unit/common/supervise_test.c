/* Children that must live: started again with a growing delay, stopped with patience that ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/supervise.h"

#include "common/banned.h"

struct kid {
	const char *script;
	const char *argv[4];
	int keep[1];
	size_t keep_count;
	unsigned started, ended;
	int status;
	uint64_t restart_ms;
	bool refuse;
};

static struct fault prepare(void *arg, const char *const **argv, const int **keep,
			    size_t *keep_count)
{
	struct kid *kid = arg;

	kid->argv[0] = "sh";
	kid->argv[1] = "-c";
	kid->argv[2] = kid->script;
	*argv = kid->argv;
	*keep = kid->keep;
	*keep_count = kid->keep_count;
	return kid->refuse ? fault(FAULT_INTERNAL, "refused by the test") : FAULT_OK;
}

static void started(void *arg, pid_t pid)
{
	struct kid *kid = arg;

	assert_true(pid > 0);
	kid->started++;
}

static void ended(void *arg, int status, uint64_t restart_ms)
{
	struct kid *kid = arg;

	kid->ended++;
	kid->status = status;
	kid->restart_ms = restart_ms;
}

static const struct child_events events = { prepare, started, ended };

static struct loop *loop;
static struct supervisor *supervisor;

static int set_up(void **state)
{
	(void)state;
	return loop_new(&loop).kind || supervisor_new(loop, &supervisor).kind ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	supervisor_free(&supervisor);
	loop_free(&loop);
	return 0;
}

static void until(const unsigned *n, unsigned value)
{
	for (int turns = 0; *n < value && turns < 2000; turns++)
		loop_run_once(loop, 10);
	assert_true(*n >= value);
}

static void a_dead_child_comes_back_after_a_growing_delay(void **state)
{
	struct kid kid = { .script = "exit 3" };
	struct child *child = child_add(supervisor, "/bin/sh", &events, &kid);
	uint64_t want_ms = 1000;
	(void)state;

	child_start(child);
	for (unsigned i = 1; i <= 8; i++) {
		assert_int_equal(kid.started, i);
		until(&kid.ended, i);
		assert_true(WIFEXITED(kid.status) && WEXITSTATUS(kid.status) == 3);
		assert_true(kid.restart_ms == want_ms);
		assert_int_equal(child_pid(child), 0);
		loop_skip_ms(loop, want_ms - 1);
		until(&kid.started, i + 1);
		want_ms = want_ms * 2 > 60000 ? 60000 : want_ms * 2;
	}
	until(&kid.ended, 9);
	assert_int_equal(child_restarts(child), 9);
	child_stop(child, 1000);
}

static void a_child_that_lived_long_comes_back_soon(void **state)
{
	struct kid kid = { .script = "exec sleep 600" };     /* standard input may be at its end */
	struct child *child = child_add(supervisor, "/bin/sh", &events, &kid);
	(void)state;

	child_start(child);
	child_kill(child);
	until(&kid.ended, 1);
	assert_true(WIFSIGNALED(kid.status) && WTERMSIG(kid.status) == SIGKILL);
	loop_skip_ms(loop, 999);
	until(&kid.started, 2);
	loop_skip_ms(loop, SUPERVISE_STEADY_MS);
	loop_run_once(loop, 1);
	child_kill(child);
	until(&kid.ended, 2);
	assert_true(kid.restart_ms == 1000);
	child_stop(child, 0);
	assert_int_equal(supervisor_running(supervisor), 0);
}

static void hear(int number)
{
	(void)number;
}

static void a_child_that_is_stopped_as_soon_as_it_was_started_ends_at_once(void **state)
{
	struct kid kid = { .script = "exec sleep 600" };
	void (*before)(int) = signal(SIGTERM, hear);    /* as a loop does that stops by it */
	(void)state;

	for (unsigned i = 1; i <= 20; i++) {
		struct child *child = child_add(supervisor, "/bin/sh", &events, &kid);

		child_start(child);
		child_stop(child, 600000);
		until(&kid.ended, i);
		assert_true(WIFSIGNALED(kid.status) && WTERMSIG(kid.status) == SIGTERM);
	}
	signal(SIGTERM, before);
}

static void a_stopped_child_ends_at_the_latest_when_patience_does(void **state)
{
	char good_script[128], deaf_script[128], two[4];
	struct kid good = { .script = good_script }, deaf = { .script = deaf_script };
	struct child *a, *b;
	int ready[2];
	(void)state;

	/* Descriptor ready[1] would be closed by exec: that it can be written to shows that it was
	 * kept. */
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	good.keep[0] = deaf.keep[0] = ready[1];
	good.keep_count = deaf.keep_count = 1;
	snprintf(good_script, sizeof(good_script),
	         "trap 'exit 0' TERM; echo r >/dev/fd/%d; while :; do sleep 0.01; done", ready[1]);
	snprintf(deaf_script, sizeof(deaf_script),
	         "trap '' TERM; echo r >/dev/fd/%d; while :; do sleep 0.01; done", ready[1]);
	a = child_add(supervisor, "/bin/sh", &events, &good);
	b = child_add(supervisor, "/bin/sh", &events, &deaf);
	child_start(a);
	child_start(b);
	assert_int_equal(read(ready[0], two, 2), 2);
	assert_int_equal(read(ready[0], two, 2), 2);
	child_stop(a, 3600000);
	child_stop(b, 3600000);
	until(&good.ended, 1);
	assert_true(WIFEXITED(good.status) && good.restart_ms == UINT64_MAX);
	assert_int_equal(deaf.ended, 0);
	assert_int_equal(supervisor_running(supervisor), 1);
	loop_skip_ms(loop, 3600000);
	until(&deaf.ended, 1);
	assert_true(WIFSIGNALED(deaf.status) && deaf.restart_ms == UINT64_MAX);
	close(ready[0]);
	close(ready[1]);
}

static void what_cannot_be_started_is_tried_again(void **state)
{
	struct kid kid = { .script = "exit 0", .refuse = true }, absent = { .script = "" };
	struct child *child = child_add(supervisor, "/bin/sh", &events, &kid);
	struct child *none = child_add(supervisor, "/nonexistent/program", &events, &absent);
	(void)state;

	child_start(child);
	assert_int_equal(kid.ended, 1);
	assert_true(kid.restart_ms == 1000);
	kid.refuse = false;
	loop_skip_ms(loop, 999);
	until(&kid.started, 1);
	child_start(none);
	until(&absent.ended, 1);
	assert_int_equal(WEXITSTATUS(absent.status), 127);
	until(&kid.ended, 2);
	child_stop(child, 0);
	child_stop(none, 0);
}

static void the_service_manager_is_told(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/postroom-notify-XXXXXX", text[32];
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	(void)state;

	notify_service_manager("READY=1");      /* nobody to tell: fine */
	assert_non_null(mkdtemp(dir));
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/n", dir);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	setenv("NOTIFY_SOCKET", at.sun_path, 1);
	notify_service_manager("READY=1");
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 7);
	assert_memory_equal(text, "READY=1", 7);
	close(fd);
	unlink(at.sun_path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_dead_child_comes_back_after_a_growing_delay,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_child_that_is_stopped_as_soon_as_it_was_started_ends_at_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_child_that_lived_long_comes_back_soon, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_stopped_child_ends_at_the_latest_when_patience_does, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_started_is_tried_again, set_up,
						tear_down),
		cmocka_unit_test(the_service_manager_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
