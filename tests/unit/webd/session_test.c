/* Connections of the web front: slow ones end, busy ones end in time, and what is pipelined is answered in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conf.h"
#include "common/listener.h"
#include "common/log.h"
#include "webd/server.h"
#include "webd/session.h"

#define TURNS 2000

struct world {
	struct web_server server;
	int fd;                         /* the client's end */
	struct buf got;
	bool is_closed;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct stream *stream;
	static const struct stream_events none;
	int ends[2];

	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(loop_new(&w->server.loop).kind, FAULT_NONE);
	w->server.conf = conf_default("/tmp");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	w->fd = ends[1];
	buf_init(&w->got, 1u << 20);
	assert_int_equal(stream_new(w->server.loop, ends[0], NULL, &none, NULL, &stream).kind, FAULT_NONE);
	session_start(stream, NULL, &w->server);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	session_stop_all(&w->server);
	loop_free(&w->server.loop);
	assert_int_equal(w->server.session_count, 0);
	assert_int_equal(w->server.alive_count, 0);
	conf_unref(&w->server.conf);
	close(w->fd);
	buf_done(&w->got);
	free(w);
	return 0;
}

static void say(struct world *w, const char *text)
{
	assert_int_equal(write(w->fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void turn(struct world *w)
{
	char part[4096];
	ssize_t n;

	loop_run_once(w->server.loop, 1);
	while ((n = read(w->fd, part, sizeof(part))) > 0)
		assert_true(buf_append(&w->got, sv_from(part, (size_t)n)));
	w->is_closed = w->is_closed || n == 0;
}

static bool has(const struct world *w, const char *text)
{
	return sv_search(buf_sv(&w->got), sv_z(text)) != SIZE_MAX;
}

static size_t count(const struct world *w, const char *text)
{
	struct sv rest = buf_sv(&w->got);
	size_t n = 0, at;

	while ((at = sv_search(rest, sv_z(text))) != SIZE_MAX) {
		sv_skip(&rest, at + 1);
		n++;
	}
	return n;
}

static void run_until(struct world *w, const char *text)
{
	for (int i = 0; i < TURNS && !has(w, text); i++)
		turn(w);
	if (!has(w, text))
		fail_msg("'%s' never came; got '%.*s'", text, SV_FMT(buf_sv(&w->got)));
}

static void run_until_closed(struct world *w)
{
	for (int i = 0; i < TURNS && !w->is_closed; i++)
		turn(w);
	assert_true(w->is_closed);
}

static void a_request_that_comes_too_slowly_is_refused(void **state)
{
	struct world *w = *state;

	say(w, "GET / HTTP/1.1\r\nHo");
	for (int i = 0; i < 20; i++)
		turn(w);
	/* One octet now and then does not help. */
	for (int i = 0; i < 4 && !has(w, "HTTP/1.1 408 "); i++) {
		loop_skip_ms(w->server.loop, 4000);
		turn(w);
		if (!has(w, "HTTP/1.1 408 "))
			(void)!write(w->fd, "s", 1);
		for (int k = 0; k < 20; k++)
			turn(w);
	}
	run_until(w, "HTTP/1.1 408 Request Timeout\r\n");
	run_until(w, "Connection: close\r\n");
	assert_int_equal(w->server.session_count, 0);
}

static void empty_lines_are_no_way_to_stay(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 5 && !has(w, "HTTP/1.1 408 "); i++) {
		say(w, "\r\n");
		for (int k = 0; k < 20; k++)
			turn(w);
		loop_skip_ms(w->server.loop, 4000);
		turn(w);
	}
	run_until(w, "HTTP/1.1 408 Request Timeout\r\n");
	assert_int_equal(w->server.session_count, 0);
}

static void a_silent_connection_ends(void **state)
{
	struct world *w = *state;

	turn(w);
	loop_skip_ms(w->server.loop, 16000);
	run_until_closed(w);
	assert_int_equal(w->got.len, 0);
}

static void requests_in_one_packet_are_answered_one_by_one(void **state)
{
	struct world *w = *state;

	say(w, "GET /healthz/live HTTP/1.1\r\nHost: a\r\n\r\nHEAD /healthz/live HTTP/1.1\r\nHost: a\r\n\r\n"
	       "GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /healthz/live HTTP/1.1\r\nHost: a\r\n\r\n");
	run_until_closed(w);
	assert_int_equal(count(w, "HTTP/1.1 200 OK\r\n"), 2);
	assert_int_equal(count(w, "\r\n\r\nlive\n"), 1);
	assert_int_equal(count(w, "HTTP/1.1 404 Not Found\r\n"), 1);
	assert_int_equal(w->server.requests, 3);
}

static void a_connection_has_a_hundred_requests(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 101; i++)
		say(w, "GET /healthz/live HTTP/1.1\r\nHost: a\r\n\r\n");
	run_until_closed(w);
	assert_int_equal(count(w, "HTTP/1.1 200 OK\r\n"), 100);
	assert_int_equal(count(w, "Connection: close\r\n"), 1);
}

static void a_client_that_leaves_while_it_is_answered_leaves_nothing_behind(void **state)
{
	struct world *w = *state;

	say(w, "GET /healthz/live HTTP/1.1\r\nHost: a\r\n\r\n");
	turn(w);
	shutdown(w->fd, SHUT_RDWR);
	for (int i = 0; i < TURNS && w->server.alive_count; i++)
		turn(w);
	assert_int_equal(w->server.alive_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_that_comes_too_slowly_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_lines_are_no_way_to_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(a_silent_connection_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_in_one_packet_are_answered_one_by_one, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_has_a_hundred_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(a_client_that_leaves_while_it_is_answered_leaves_nothing_behind, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
