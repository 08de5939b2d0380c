/* Asking over a control socket on the loop: answers, refusals, nobody there, and askers that lose interest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/control_call.h"
#include "common/memory.h"
#include "tests/unit/common/instance_folder.h"

#include "common/banned.h"

static char root[64];
static char *path;
static struct instance *instance;
static struct loop *loop;
static struct control_server *server;
static unsigned busy;           /* so many times the answer is: not yet */

static void run_hello(void *arg, const struct json *request, struct control_reply *reply)
{
	(void)arg;
	(void)request;
	json_out_z(control_line(reply), "hello", "you");
	assert_true(control_line_end(reply));
	control_finish(&reply, FAULT_OK);
}

static void run_busy(void *arg, const struct json *request, struct control_reply *reply)
{
	if (!busy) {
		run_hello(arg, request, reply);
		return;
	}
	busy--;
	control_finish(&reply, fault(FAULT_BUSY, "just starting"));
}

static void run_fail(void *arg, const struct json *request, struct control_reply *reply)
{
	(void)arg;
	(void)request;
	control_finish(&reply, fault(FAULT_DENIED, "not for you"));
}

static const struct control_verb verbs[] = {
	{ "hello", "Greets.", run_hello, false },
	{ "busy", "Later.", run_busy, false },
	{ "fail", "Fails.", run_fail, false },
	{ NULL, NULL, NULL, false },
};

static int set_up(void **state)
{
	int fd;

	(void)state;
	snprintf(root, sizeof(root), "/tmp/postroom-call-XXXXXX");
	if (!mkdtemp(root) || instance_create(root, &instance).kind || instance_seal(instance).kind || loop_new(&loop).kind ||
	    control_listen(instance, "testd", &fd).kind)
		return -1;
	server = control_server_new(loop, fd, verbs, NULL, NULL);
	path = instance_run_path(instance, "testd", ".sock");
	busy = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	control_server_free(&server);
	loop_free(&loop);
	unlink(path);
	free(path);
	return instance_folder_remove(&instance, root);
}

/* ---- one call ---- */

static struct {
	struct control_call *handle;
	unsigned lines, ends;
	enum fault_kind kind;
	char text[200];
} call;

static void on_line(void *arg, const struct json *line)
{
	struct sv word = SV_NONE;

	assert_ptr_equal(arg, &call);
	assert_true(json_get_sv(line, "hello", &word) && sv_eq(word, SV("you")));
	call.lines++;
}

static void on_end(void *arg, struct fault f)
{
	assert_ptr_equal(arg, &call);
	assert_null(call.handle);
	call.ends++;
	call.kind = f.kind;
	snprintf(call.text, sizeof(call.text), "%s", f.detail ? f.detail : "");
}

static const struct control_call_events events = { on_line, on_end };

static void ask(struct sv request, const char *where, uint32_t wait_ms)
{
	memset(&call, 0, sizeof(call));
	control_call(loop, where, request, wait_ms, &events, &call, &call.handle);
	assert_true(!call.ends && call.handle);         /* in a later turn */
	for (int turns = 0; !call.ends && turns < 3000; turns++)
		loop_run_once(loop, 10);
	assert_int_equal(call.ends, 1);
}

static void an_answer_comes_with_its_lines(void **state)
{
	(void)state;
	ask(SV("{\"verb\":\"hello\"}"), path, 20000);
	assert_true(call.kind == FAULT_NONE && call.lines == 1);
}

static void a_refusal_is_told_as_it_was_said(void **state)
{
	(void)state;
	ask(SV("{\"verb\":\"fail\"}"), path, 20000);
	assert_true(call.kind == FAULT_DENIED && !call.lines);
	assert_string_equal(call.text, "not for you");
}

static void who_is_just_starting_is_asked_again(void **state)
{
	(void)state;
	busy = 2;
	ask(SV("{\"verb\":\"busy\"}"), path, 20000);
	assert_true(call.kind == FAULT_NONE && call.lines == 1 && !busy);
}

static void patience_ends(void **state)
{
	(void)state;
	busy = 1000000;
	ask(SV("{\"verb\":\"busy\"}"), path, 50);
	assert_true(call.kind == FAULT_UNAVAILABLE && !call.lines);
}

static void nobody_there_is_unavailable(void **state)
{
	(void)state;
	ask(SV("{\"verb\":\"hello\"}"), "/tmp/postroom-nobody.sock", 20000);
	assert_int_equal(call.kind, FAULT_UNAVAILABLE);
}

static void what_is_no_request_is_not_sent(void **state)
{
	char *much = xcalloc(1, CONTROL_LINE_MAX + 1);

	(void)state;
	memset(much, 'x', CONTROL_LINE_MAX);
	ask(sv_from(much, CONTROL_LINE_MAX), path, 20000);
	assert_int_equal(call.kind, FAULT_LIMIT);
	ask(SV_NONE, path, 20000);
	assert_int_equal(call.kind, FAULT_LIMIT);
	free(much);
}

static void a_call_that_is_forgotten_is_silent_at_every_turn(void **state)
{
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		memset(&call, 0, sizeof(call));
		control_call(loop, path, SV("{\"verb\":\"hello\"}"), 20000, &events, &call, &call.handle);
		for (int i = 0; i < turns && !call.ends; i++)
			loop_run_once(loop, 1);
		unsigned ends = call.ends;

		control_call_forget(&call.handle);
		assert_null(call.handle);
		for (int i = 0; i < 5; i++)
			loop_run_once(loop, 1);
		assert_int_equal(call.ends, ends);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_answer_comes_with_its_lines),
		CASE(a_refusal_is_told_as_it_was_said),
		CASE(who_is_just_starting_is_asked_again),
		CASE(patience_ends),
		CASE(nobody_there_is_unavailable),
		CASE(what_is_no_request_is_not_sent),
		CASE(a_call_that_is_forgotten_is_silent_at_every_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
