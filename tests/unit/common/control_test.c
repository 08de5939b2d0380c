/* The control socket: requests, merged answers, and askers and workers that go away in the middle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/control.h"
#include "common/memory.h"
#include "tests/unit/common/instance_folder.h"

#include "common/banned.h"

static char root[128];
static struct instance *instance;
static struct loop *loop;
static struct control_server *server;

/* Two workers: pipes between the "master" and the "workers", all on one loop. */
static struct side {
	struct control_pipe *pipe;
	unsigned number;
	bool ended;
} masters[2], workers[2];

static struct control_reply *kept;      /* of the verb "later" */

/* ---- verbs ---- */

static void run_hello(void *arg, const struct json *request, struct control_reply *reply)
{
	struct sv name = SV("nobody");
	struct json_out *j = control_line(reply);

	assert_ptr_equal(arg, root);
	(void)json_get_sv(request, "name", &name);
	json_out_sv(j, "hello", name);
	assert_true(control_line_end(reply));
	control_finish(&reply, FAULT_OK);
	assert_null(reply);
}

static void run_many(void *arg, const struct json *request, struct control_reply *reply)
{
	uint64_t count = 0;
	(void)arg;

	assert_true(json_get_u64(request, "count", &count));
	for (uint64_t i = 0; i < count; i++) {
		json_out_u64(control_line(reply), "i", i);
		assert_true(control_line_end(reply));
	}
	control_finish(&reply, FAULT_OK);
}

static void run_wide(void *arg, const struct json *request, struct control_reply *reply)
{
	char *text = xcalloc(1, CONTROL_LINE_MAX * 2);
	(void)arg;
	(void)request;

	json_out_sv(control_line(reply), "text", sv_from(text, CONTROL_LINE_MAX * 2));
	assert_false(control_line_end(reply));
	control_finish(&reply, FAULT_OK);
	free(text);
}

static void run_fail(void *arg, const struct json *request, struct control_reply *reply)
{
	(void)arg;
	(void)request;
	control_finish(&reply, fault_detail(FAULT_NOT_FOUND, "no message %s", "x"));
}

static void run_later(void *arg, const struct json *request, struct control_reply *reply)
{
	(void)arg;
	(void)request;
	kept = reply;
}

static const struct control_verb master_verbs[] = {
	{ "hello", "Greets.", run_hello, false },        { "many", "Says much.", run_many, false },
	{ "wide", "Says too much.", run_wide, false },   { "fail", "Fails.", run_fail, false },
	{ "later", "Answers later.", run_later, false }, { NULL, NULL, NULL, false },
};

static void run_count(void *arg, const struct json *request, struct control_reply *reply)
{
	(void)request;
	json_out_u64(control_line(reply), "sessions", 10 + ((const struct side *)arg)->number);
	assert_true(control_line_end(reply));
	control_finish(&reply, FAULT_OK);
}

static void run_half(void *arg, const struct json *request, struct control_reply *reply)
{
	(void)request;
	if (((const struct side *)arg)->number == 1)
		control_finish(&reply, fault(FAULT_BUSY, "worker 1 is busy"));
	else
		run_count(arg, request, reply);
}

static void run_never(void *arg, const struct json *request, struct control_reply *reply)
{
	(void)request;
	if (((const struct side *)arg)->number == 1)
		kept = reply;
	else
		run_count(arg, request, reply);
}

static const struct control_verb worker_verbs[] = {
	{ "count", "Counts.", run_count, false },
	{ "half", "Half fails.", run_half, false },
	{ "never", "Half answers.", run_never, false },
	{ NULL, NULL, NULL, false },
};

static void pass_on(void *arg, struct sv verb, struct sv line, struct control_reply *reply)
{
	struct control_relay *relay;

	assert_ptr_equal(arg, root);
	if (!sv_eq(verb, SV("count")) && !sv_eq(verb, SV("half")) && !sv_eq(verb, SV("never")) &&
	    !sv_eq(verb, SV("unheard"))) {
		control_finish(&reply, fault(FAULT_UNSUPPORTED, "no such verb"));
		return;
	}
	relay = control_relay_new(loop, &reply, 30000);
	assert_null(reply);
	for (int i = 0; i < 2; i++)
		if (masters[i].pipe)
			control_relay_ask(relay, masters[i].pipe, line);
	control_relay_go(&relay);
}

static void on_master_line(void *arg, struct sv line)
{
	assert_true(control_relay_take(((struct side *)arg)->pipe, line));
}

static void on_worker_line(void *arg, struct sv line)
{
	struct side *side = arg;

	assert_true(control_serve_line(side->pipe, line, worker_verbs, side, side->number));
}

static void on_side_end(void *arg)
{
	struct side *side = arg;

	side->ended = true;
	control_pipe_free(&side->pipe);
}

static const struct control_pipe_events master_events = { on_master_line, on_side_end };
static const struct control_pipe_events worker_events = { on_worker_line, on_side_end };

/* ---- asking from another thread ---- */

struct question {
	const char *request;
	uint32_t wait_ms;
	struct fault result;
	unsigned lines;
	char text[256];         /* of the last line */
	unsigned stop_after;    /* 0: never */
	_Atomic bool is_over;
};

static bool on_line(void *arg, const struct json *line)
{
	struct question *q = arg;
	struct buf b;
	struct json_out j;

	buf_init(&b, sizeof(q->text) - 1);
	json_out_init(&j, &b);
	json_out_value(&j, NULL, line);
	memcpy(q->text, b.p, b.len);
	q->text[b.len] = '\0';
	buf_done(&b);
	return ++q->lines != q->stop_after;
}

static void *ask(void *arg)
{
	struct question *q = arg;
	struct fault f = control_ask(instance, "testd", sv_z(q->request), on_line, q,
				     q->wait_ms ? q->wait_ms : 20000);

	/* The detail lives on this thread. */
	q->result = f;
	if (f.detail)
		q->result.detail = xstrdup(f.detail);
	q->is_over = true;
	return NULL;
}

static void wait_over(struct question *q, pthread_t thread)
{
	uint64_t begun = loop_now_ms(loop);

	/* A turn ends with whatever comes: a long answer has as many as its reader takes pieces. */
	while (!q->is_over && loop_now_ms(loop) - begun < 60000)
		loop_run_once(loop, 10);
	assert_true(q->is_over);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void ask_and_serve(struct question *q)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, ask, q), 0);
	wait_over(q, thread);
}

static void forget(struct question *q)
{
	free((char *)(uintptr_t)q->result.detail);
}

/* ---- the tests ---- */

static int set_up_at(const char *template)
{
	int fd;

	snprintf(root, sizeof(root), "%s", template);
	if (!mkdtemp(root) || instance_create(root, &instance).kind ||
	    instance_seal(instance).kind || loop_new(&loop).kind ||
	    control_listen(instance, "testd", &fd).kind)
		return -1;
	server = control_server_new(loop, fd, master_verbs, pass_on, root);
	for (unsigned i = 0; i < 2; i++) {
		int ends[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
			return -1;
		masters[i] =
			(struct side){ control_pipe_new(loop, ends[0], &master_events, &masters[i]),
				       i, false };
		workers[i] =
			(struct side){ control_pipe_new(loop, ends[1], &worker_events, &workers[i]),
				       i, false };
	}
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_at("/tmp/postroom-control-XXXXXX");
}

static int tear_down(void **state)
{
	char *path = instance_run_path(instance, "testd", ".sock");
	(void)state;

	control_server_free(&server);
	for (unsigned i = 0; i < 2; i++) {
		control_pipe_free(&masters[i].pipe);
		control_pipe_free(&workers[i].pipe);
	}
	loop_free(&loop);
	unlink(path);
	free(path);
	return instance_folder_remove(&instance, root);
}

static void a_verb_is_answered_with_lines_and_an_end(void **state)
{
	struct question q = { .request = "{\"verb\":\"hello\",\"name\":\"J\\u00fcrgen\"}" };
	char *path = instance_run_path(instance, "testd", ".sock");
	struct stat st;
	(void)state;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	free(path);
	ask_and_serve(&q);
	assert_int_equal(q.result.kind, FAULT_NONE);
	assert_int_equal(q.lines, 1);
	assert_string_equal(q.text, "{\"hello\":\"J\xc3\xbcrgen\"}");
}

static void a_long_answer_arrives_whole_and_may_be_left(void **state)
{
	struct question q = { .request = "{\"verb\":\"many\",\"count\":50000}" };
	struct question left = { .request = "{\"verb\":\"many\",\"count\":50000}",
				 .stop_after = 3 };
	(void)state;

	ask_and_serve(&q);
	assert_int_equal(q.result.kind, FAULT_NONE);
	assert_int_equal(q.lines, 50000);
	assert_string_equal(q.text, "{\"i\":49999}");
	ask_and_serve(&left);
	assert_int_equal(left.result.kind, FAULT_NONE);
	assert_int_equal(left.lines, 3);
}

static void errors_come_with_kind_and_text(void **state)
{
	static const struct {
		const char *request;
		enum fault_kind kind;
		const char *text;
	} cases[] = {
		{ "{\"verb\":\"fail\"}", FAULT_NOT_FOUND, "no message x" },
		{ "{\"verb\":\"wide\"}", FAULT_LIMIT, "too long" },
		{ "{\"verb\":\"dance\"}", FAULT_UNSUPPORTED, "no such verb" },
		{ "{\"verb\":7}", FAULT_INVALID, "member \"verb\"" },
		{ "{}", FAULT_INVALID, "member \"verb\"" },
		{ "[]", FAULT_INVALID, "member \"verb\"" },
		{ "hello", FAULT_INVALID, "JSON" },
		{ "", FAULT_INVALID, "JSON" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct question q = { .request = cases[i].request };

		ask_and_serve(&q);
		assert_int_equal(q.result.kind, cases[i].kind);
		assert_non_null(strstr(q.result.detail, cases[i].text));
		forget(&q);
	}
}

static int connect_raw(void)
{
	char *path = instance_run_path(instance, "testd", ".sock");
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	free(path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* Serve until the other side has closed fd. */
static void until_closed(int fd)
{
	char text[4096];

	for (int turns = 0; turns < 3000; turns++) {
		ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return;
		loop_run_once(loop, 5);
	}
	fail_msg("was not closed");
}

static void bad_clients_are_closed_and_nobody_else_notices(void **state)
{
	char *endless = xcalloc(1, CONTROL_LINE_MAX * 2);
	struct question q = { .request = "{\"verb\":\"hello\"}" };
	int fd = connect_raw(), silent = connect_raw(), twice = connect_raw();
	size_t sent = 0;
	(void)state;

	memset(endless, 'x', CONTROL_LINE_MAX * 2);
	while (sent < CONTROL_LINE_MAX * 2) {
		ssize_t n = send(fd, endless + sent, CONTROL_LINE_MAX * 2 - sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
		loop_run_once(loop, 1);
	}
	until_closed(fd);
	assert_true(send(twice, "{\"verb\":\"later\"}\n{\"verb\":\"hello\"}\n", 34, 0) == 34);
	until_closed(twice);
	assert_non_null(kept);
	control_finish(&kept, FAULT_OK);        /* its asker is gone */
	loop_skip_ms(loop, 10000);
	until_closed(silent);
	ask_and_serve(&q);
	assert_int_equal(q.result.kind, FAULT_NONE);
	close(fd);
	close(silent);
	close(twice);
	free(endless);
}

static void an_answer_may_come_later_or_to_nobody(void **state)
{
	struct question q = { .request = "{\"verb\":\"later\"}" },
			gone = { .request = "{\"verb\":\"later\"}", .wait_ms = 30 };
	pthread_t thread;
	(void)state;

	assert_int_equal(pthread_create(&thread, NULL, ask, &q), 0);
	for (int turns = 0; !kept && turns < 1000; turns++)
		loop_run_once(loop, 10);
	assert_non_null(kept);
	json_out_bool(control_line(kept), "late", true);
	assert_true(control_line_end(kept));
	control_finish(&kept, FAULT_OK);
	wait_over(&q, thread);
	assert_int_equal(q.result.kind, FAULT_NONE);
	assert_string_equal(q.text, "{\"late\":true}");

	ask_and_serve(&gone);
	assert_int_equal(gone.result.kind, FAULT_UNAVAILABLE);
	forget(&gone);
	for (int turns = 0; turns < 20; turns++)
		loop_run_once(loop, 5);         /* the server notices that the asker left */
	assert_non_null(kept);
	control_line(kept);
	assert_false(control_line_end(kept));
	control_finish(&kept, FAULT_OK);
}

static void workers_answers_are_merged(void **state)
{
	struct question q = { .request = "{\"verb\":\"count\"}" },
			half = { .request = "{\"verb\":\"half\"}" };
	struct question unheard = { .request = "{\"verb\":\"unheard\"}" };
	(void)state;

	ask_and_serve(&q);
	assert_int_equal(q.result.kind, FAULT_NONE);
	assert_int_equal(q.lines, 2);
	assert_true(strcmp(q.text, "{\"worker\":1,\"sessions\":11}") == 0 ||
	            strcmp(q.text, "{\"worker\":0,\"sessions\":10}") == 0);
	ask_and_serve(&half);
	assert_int_equal(half.result.kind, FAULT_BUSY);
	assert_string_equal(half.result.detail, "worker 1 is busy");
	assert_int_equal(half.lines, 1);
	forget(&half);
	ask_and_serve(&unheard);
	assert_int_equal(unheard.result.kind, FAULT_UNSUPPORTED);
	forget(&unheard);
}

static void a_worker_that_dies_or_sleeps_does_not_hold_the_answer(void **state)
{
	struct question q = { .request = "{\"verb\":\"never\"}" },
			slow = { .request = "{\"verb\":\"never\"}" };
	struct question one = { .request = "{\"verb\":\"count\"}" };
	pthread_t thread;
	(void)state;

	assert_int_equal(pthread_create(&thread, NULL, ask, &slow), 0);
	for (int turns = 0; !(kept && slow.lines) && turns < 1000; turns++)
		loop_run_once(loop, 10);
	loop_skip_ms(loop, 30000);
	wait_over(&slow, thread);
	assert_int_equal(slow.result.kind, FAULT_UNAVAILABLE);
	assert_int_equal(slow.lines, 1);
	forget(&slow);
	control_finish(&kept, FAULT_OK);        /* too late: nobody waits any more */

	assert_int_equal(pthread_create(&thread, NULL, ask, &q), 0);
	for (int turns = 0; !(kept && q.lines) && turns < 1000; turns++)
		loop_run_once(loop, 10);
	control_pipe_free(&workers[1].pipe);
	control_finish(&kept, FAULT_OK);        /* its pipe is gone */
	wait_over(&q, thread);
	assert_int_equal(q.result.kind, FAULT_UNAVAILABLE);
	assert_true(masters[1].ended);
	forget(&q);

	ask_and_serve(&one);
	assert_int_equal(one.result.kind, FAULT_NONE);
	assert_int_equal(one.lines, 1);
}

static void when_nothing_runs_the_answer_is_unavailable(void **state)
{
	struct fault f;
	(void)state;

	f = control_ask(instance, "imapd", SV("{\"verb\":\"status\"}"), NULL, NULL, 1000);
	assert_int_equal(f.kind, FAULT_UNAVAILABLE);
	assert_string_equal(f.detail, "imapd does not run");
	control_server_free(&server);           /* its name stays behind, as after a crash */
	loop_run_once(loop, 0);
	f = control_ask(instance, "testd", SV("{\"verb\":\"status\"}"), NULL, NULL, 1000);
	assert_int_equal(f.kind, FAULT_UNAVAILABLE);
	f = control_ask(instance, "testd", SV("{}"), NULL, NULL, 0);
	assert_int_equal(f.kind, FAULT_UNAVAILABLE);
}

static int set_up_deep(void **state)
{
	(void)state;
	return set_up_at("/tmp/"
			 "a-folder-whose-name-is-so-long-that-no-unix-socket-address-has-room-for-"
			 "it-postroom-control-XXXXXX");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_verb_is_answered_with_lines_and_an_end, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_long_answer_arrives_whole_and_may_be_left, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(errors_come_with_kind_and_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_clients_are_closed_and_nobody_else_notices,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_answer_may_come_later_or_to_nobody, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(workers_answers_are_merged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_worker_that_dies_or_sleeps_does_not_hold_the_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(when_nothing_runs_the_answer_is_unavailable, set_up,
						tear_down),
		{ "a_path_too_long_for_a_socket_address_works_too",
		  a_verb_is_answered_with_lines_and_an_end, set_up_deep, tear_down, NULL },
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
