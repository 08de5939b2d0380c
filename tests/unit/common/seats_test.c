/* The processes of a master: this program executed again is one of them, and does what its letter
 * on the command line's --listeners says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/master_private.h"
#include "common/seats.h"

#include "common/banned.h"

/* ---- a process ---- */

static void take_line(void *arg, struct sv line)
{
	(void)arg;
	if (sv_eq(line, SV("{\"do\":\"drain\"}")))
		_exit(0);
	if (sv_eq(line, SV("die")))
		raise(SIGKILL);
}

static void end_with_master(void *arg)
{
	(void)arg;
	_exit(3);
}

static const struct control_pipe_events process_events = { take_line, end_with_master };

static const char *value_of(int argc, char **argv, const char *option)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], option) == 0)
			return argv[i + 1];
	return NULL;
}

/* Whether the configuration came with it, as its master had it. */
static bool has_conf(const char *fd)
{
	char text[65536];
	uint32_t number = 0;
	ssize_t n;

	if (!fd || !sv_to_u32(sv_z(fd), &number))
		return false;
	n = read((int)number, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	return strstr(text, "seats.example") != NULL;
}

static int serve(int argc, char **argv)
{
	const char *way = value_of(argc, argv, "--listeners");
	bool is_rehearsal = strcmp(argv[argc - 1], "--rehearse") == 0;
	uint32_t fd = 0;
	struct control_pipe *pipe;
	struct loop *loop = NULL;

	if (!has_conf(value_of(argc, argv, "--conf")))
		return 5;
	if (is_rehearsal)
		return strcmp(way, "helper-fails") == 0 && value_of(argc, argv, "--helper") ? 1 : 0;
	if (!sv_to_u32(sv_z(value_of(argc, argv, "--control")), &fd) || loop_new(&loop).kind)
		return 6;
	pipe = control_pipe_new(loop, (int)fd, &process_events, NULL);
	if (!control_pipe_send(pipe, SV("{\"ready\":true}")))
		return 7;
	loop_run(loop);
	return 0;
}

/* ---- its master ---- */

static const struct daemon_spec helper = { .name = "whisperer" };
static const struct daemon_spec *const helpers[] = { &helper, NULL };
static const struct daemon_spec spec = { .name = "hellod", .helpers = helpers };

static struct loop *loop;
static struct conf *conf;
static struct seats *seats;
static unsigned ready, ended, failed;

static void on_ready(void *arg)
{
	(void)arg;
	ready++;
}

static void on_ended(void *arg, bool has_failed)
{
	(void)arg;
	ended++;
	failed += has_failed;
}

static const struct seats_events events = { on_ready, on_ended };

static void begin(const char *way, bool is_rehearsal)
{
	struct conf_report report = { NULL, 0, false };

	assert_int_equal(loop_new(&loop).kind, FAULT_NONE);
	assert_int_equal(conf_parse(SV("hostname seats.example\nworkers 2\n"), "test", "/tmp",
				    &report, &conf).kind, FAULT_NONE);
	conf_report_done(&report);
	ready = ended = failed = 0;
	assert_int_equal(seats_new(loop,
				   &(struct seats_plan){ .spec = &spec,
							 .program = "hellod",
							 .root = "/tmp",
							 .listeners = way,
							 .is_rehearsal = is_rehearsal },
				   conf, &events, NULL, &seats).kind,
			 FAULT_NONE);
	conf_unref(&conf);              /* the seats have a reference of their own */
	seats_start(seats);
}

static void turn_until(const unsigned *count, unsigned at_least)
{
	for (int i = 0; i < 3000 && *count < at_least; i++)
		loop_run_once(loop, 10);
	assert_true(*count >= at_least);
}

static void finish(void)
{
	seats_free(&seats);
	loop_free(&loop);
}

static void readiness_is_told_once_when_all_serve_and_the_end_when_none_runs(void **state)
{
	(void)state;
	begin("serve", false);
	assert_false(seats_are_ready(seats));
	turn_until(&ready, 1);
	assert_true(seats_are_ready(seats));
	assert_int_equal(seats_worker_count(seats), 2);
	assert_int_equal(ended, 0);
	seats_stop(seats);
	turn_until(&ended, 1);
	assert_int_equal(failed, 0);
	assert_int_equal(ready, 1);
	assert_true(seats_restarts(seats) == 0);
	finish();
}

static void processes_that_died_are_started_again_and_nobody_is_told_anew(void **state)
{
	(void)state;
	begin("serve", false);
	turn_until(&ready, 1);
	seats_tell(seats, SV("die"));
	for (int i = 0; i < 3000 && seats_restarts(seats) < 3; i++) {
		loop_run_once(loop, 10);
		loop_skip_ms(loop, 50);
	}
	assert_true(seats_restarts(seats) == 3);        /* two workers and the helper */
	assert_int_equal(ended, 0);
	seats_stop(seats);
	turn_until(&ended, 1);
	assert_int_equal(ready, 1);
	finish();
}

static void whoever_gives_way_drains_its_workers_and_ends_its_helpers(void **state)
{
	(void)state;
	begin("serve", false);
	turn_until(&ready, 1);
	seats_give_way(seats);
	turn_until(&ended, 1);
	assert_true(seats_restarts(seats) == 0);
	seats_stop(seats);              /* none runs: that is told at once */
	assert_int_equal(ended, 2);
	finish();
}

static void a_rehearsal_is_over_when_all_have_shown_that_they_start_or_one_has_failed(void **state)
{
	(void)state;
	begin("serve", true);
	assert_int_equal(seats_worker_count(seats), 1);
	turn_until(&ended, 1);
	assert_int_equal(failed, 0);
	finish();
	begin("helper-fails", true);
	turn_until(&failed, 1);
	finish();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readiness_is_told_once_when_all_serve_and_the_end_when_none_runs),
		cmocka_unit_test(processes_that_died_are_started_again_and_nobody_is_told_anew),
		cmocka_unit_test(whoever_gives_way_drains_its_workers_and_ends_its_helpers),
		cmocka_unit_test(a_rehearsal_is_over_when_all_have_shown_that_they_start_or_one_has_failed),
	};

	if (argc > 1 && strcmp(argv[1], "--root") == 0)
		return serve(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
