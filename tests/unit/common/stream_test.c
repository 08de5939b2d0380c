/* Streams: the session sees the same octets however they arrive, memory stays bounded whoever does
 * not read, and the end comes once, in order, with nothing lost that was promised. Each case runs
 * in clear and over TLS where that makes a difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/deflate.h"
#include "common/memory.h"
#include "common/stream_private.h"
#include "common/tls.h"
#include "tests/unit/support/tls_peer.h"

static struct test_cert cert;
static struct tls_server *server;
static const struct tls_role role = { .name = "test", .alpn = "imap" };

/* A session that answers every line with "<line>\r\n", and knows a few words. */
struct session {
	struct stream *stream;
	struct loop *loop;
	struct peer peer;
	char seen[1 << 16];             /* lines without their ends, each followed by '|' */
	size_t seen_len;
	size_t raw;                     /* octets taken by a session that only swallows */
	bool is_swallowing, is_lazy;    /* lazy: takes nothing */
	bool is_closing_on_input, is_closing_on_tls, is_closing_on_end, is_closing_on_writable;
	bool is_graceful;
	size_t reply_factor;            /* how often a line is repeated in its answer */
	size_t to_send;                 /* octets still to be sent by on_writable */
	size_t most_pending;
	int inputs, writables, shakes, ends;
	enum stream_end why;
	enum fault_kind start_tls;
	bool was_refused;
};

static void fill_pattern(char *p, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + (at + i) % 23);
}

static void note_pending(struct session *c)
{
	if (stream_pending(c->stream) > c->most_pending)
		c->most_pending = stream_pending(c->stream);
}

static void answer(struct session *c, struct sv line)
{
	if (c->seen_len + line.len + 1 < sizeof(c->seen)) {
		memcpy(c->seen + c->seen_len, line.p, line.len);
		c->seen_len += line.len;
		c->seen[c->seen_len++] = '|';
	}
	if (sv_eq(line, SV("STARTTLS"))) {
		assert_true(stream_write(c->stream, SV("go ahead\r\n")));
		c->start_tls = stream_start_tls(c->stream, server, &role).kind;
		assert_true(stream_write(c->stream, SV("after\r\n")));
		return;
	}
	if (sv_eq(line, SV("COMPRESS"))) {
		assert_true(stream_write(c->stream, SV("packed\r\n")));
		stream_compress(c->stream);
		return;
	}
	if (sv_eq(line, SV("PAUSE"))) {
		stream_pause(c->stream);
		return;
	}
	for (size_t i = 0; i < c->reply_factor; i++) {
		if (!stream_write(c->stream, line) || !stream_write(c->stream, SV("\r\n")))
			c->was_refused = true;
	}
	note_pending(c);
	if (sv_eq(line, SV("QUIT")))
		stream_close(&c->stream, true);
}

static void on_input(struct stream *s, void *user)
{
	struct session *c = user;

	assert_ptr_equal(s, c->stream);
	assert_true(stream_input(s).len > 0);
	assert_int_equal(c->ends, 0);
	c->inputs++;
	if (c->is_closing_on_input) {
		stream_close(&c->stream, c->is_graceful);
		return;
	}
	if (c->is_swallowing) {
		c->raw += stream_input(s).len;
		stream_take(s, stream_input(s).len);
		return;
	}
	while (!c->is_lazy && c->stream && stream_input_is_ready(s)) {
		struct sv in = stream_input(s);
		size_t end = sv_search(in, SV("\r\n"));
		if (end == SIZE_MAX)
			return;
		char line[1 << 16];
		memcpy(line, in.p, end);
		stream_take(s, end + 2);
		answer(c, sv_from(line, end));
	}
}

static void send_more(struct session *c)
{
	char chunk[64 << 10];

	while (c->to_send && stream_has_room(c->stream)) {
		size_t n = c->to_send < sizeof(chunk) ? c->to_send : sizeof(chunk);
		fill_pattern(chunk, 0, n);
		assert_true(stream_write(c->stream, sv_from(chunk, n)));
		note_pending(c);
		c->to_send -= n;
	}
}

static void on_writable(struct stream *s, void *user)
{
	struct session *c = user;

	assert_true(stream_has_room(s));
	c->writables++;
	if (c->is_closing_on_writable)
		stream_close(&c->stream, c->is_graceful);
	else
		send_more(c);
}

static void on_tls(struct stream *s, void *user)
{
	struct session *c = user;

	assert_true(stream_is_tls(s));
	assert_non_null(stream_tls(s));
	c->shakes++;
	if (c->is_closing_on_tls)
		stream_close(&c->stream, c->is_graceful);
}

static void on_end(struct stream *s, enum stream_end why, void *user)
{
	struct session *c = user;

	assert_int_not_equal(why, STREAM_OPEN);
	assert_non_null(stream_end_detail(s));
	c->ends++;
	c->why = why;
	if (c->is_closing_on_end)
		stream_close(&c->stream, c->is_graceful);
}

static const struct stream_events events = { on_input, on_writable, on_tls, on_end };

/* A connected pair; TCP, because its buffers and resets are what we will meet. */
static void socket_pair(int fds[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	int door = socket(AF_INET, SOCK_STREAM, 0), small = 16 << 10, on = 1;

	assert_int_equal(bind(door, (struct sockaddr *)&at, sizeof(at)), 0);
	setsockopt(door, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(listen(door, 1), 0);
	assert_int_equal(getsockname(door, (struct sockaddr *)&at, &len), 0);
	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(connect(fds[1], (struct sockaddr *)&at, sizeof(at)), 0);
	setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fds[0] = accept(door, NULL, NULL);
	assert_true(fds[0] >= 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	close(door);
}

static struct session *session_of(int fds[2], const struct stream_limits *limits)
{
	struct session *c = calloc(1, sizeof(*c));

	c->reply_factor = 1;
	assert_int_equal(loop_new(&c->loop).kind, FAULT_NONE);
	assert_int_equal(stream_new(c->loop, fds[0], limits, &events, c, &c->stream).kind,
			 FAULT_NONE);
	peer_init(&c->peer, fds[1]);
	return c;
}

static struct session *session_new(const struct stream_limits *limits)
{
	int fds[2];

	socket_pair(fds);
	return session_of(fds, limits);
}

static void session_free(struct session *c)
{
	stream_close(&c->stream, false);
	loop_free(&c->loop);
	peer_done(&c->peer);
	free(c);
}

/* Let both sides do what they can. */
static void settle_for(struct session *c, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		loop_run_once(c->loop, 1);
		if (peer_poll(&c->peer))
			i = 0;
	}
}

static void settle(struct session *c)
{
	settle_for(c, 4);
}

/* Until cond; a test that waits for ever is ended by its runner. */
#define WAIT_FOR(c, cond) \
	while (!(cond)) \
		settle_for((c), 1)

static struct session *session_over(bool has_tls, const struct stream_limits *limits)
{
	struct session *c = session_new(limits);

	if (has_tls) {
		assert_int_equal(stream_start_tls(c->stream, server, &role).kind, FAULT_NONE);
		peer_start_tls(&c->peer, NULL, "localhost", NULL);
		WAIT_FOR(c, c->shakes && c->peer.is_shaken);
	}
	return c;
}

static void say(struct session *c, const char *text)
{
	assert_int_equal(peer_send(&c->peer, text, strlen(text)), strlen(text));
}

static void input_is_the_same_however_it_is_cut(void **state)
{
	static const char text[] = "one\r\ntwo\r\n\r\nfour and more\r\nQUIT\r\nnever seen\r\n";
	(void)state;
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
			struct session *c = session_over(has_tls, NULL);
			peer_send(&c->peer, text, cut);
			settle_for(c, 1);
			peer_send(&c->peer, text + cut, sizeof(text) - 1 - cut);
			WAIT_FOR(c, c->peer.is_eof);
			assert_string_equal(c->seen, "one|two||four and more|QUIT|");
			assert_string_equal(c->peer.got,
					    "one\r\ntwo\r\n\r\nfour and more\r\nQUIT\r\n");
			assert_null(c->stream);
			assert_int_equal(c->ends, 0);   /* no callback after the close */
			session_free(c);
		}
	}
}

static void every_octet_alone_gives_the_same(void **state)
{
	static const char text[] = "one\r\ntwo\r\n\r\nQUIT\r\n";
	(void)state;
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		struct session *c = session_over(has_tls, NULL);
		for (size_t i = 0; i < sizeof(text) - 1; i++) {
			peer_send(&c->peer, text + i, 1);
			settle_for(c, 1);
		}
		WAIT_FOR(c, c->peer.is_eof);
		assert_string_equal(c->seen, "one|two||QUIT|");
		session_free(c);
	}
}

static void a_line_without_end_fills_the_buffer_and_stops_reading(void **state)
{
	struct stream_limits limits = stream_limits_default;
	char junk[5000];
	(void)state;
	limits.input_max = 100;
	memset(junk, 'x', sizeof(junk));
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		struct session *c = session_over(has_tls, &limits);
		peer_send(&c->peer, junk, 60);
		WAIT_FOR(c, c->inputs);
		assert_false(stream_input_is_full(c->stream));
		peer_send(&c->peer, junk, sizeof(junk));
		WAIT_FOR(c, stream_input_is_full(c->stream));
		assert_int_equal(stream_input(c->stream).len, 100);
		int inputs = c->inputs;
		settle(c);
		assert_int_equal(c->inputs, inputs);    /* nothing new to say */
		/* Another state of the session has another limit. */
		stream_set_input_max(c->stream, 3000);
		WAIT_FOR(c, stream_input(c->stream).len == 3000);
		/* Taking makes room, also from outside of a callback; what TLS holds comes without
		 * the socket's help. */
		while (c->raw < 60 + sizeof(junk)) {
			size_t n = stream_input(c->stream).len;
			stream_take(c->stream, n);
			c->raw += n;
			loop_run_once(c->loop, 1);
		}
		assert_int_equal(c->raw, 60 + sizeof(junk));
		session_free(c);
	}
}

static void a_paused_session_is_left_alone_and_then_offered_the_rest(void **state)
{
	(void)state;
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		struct session *c = session_over(has_tls, NULL);
		say(c, "one\r\nPAUSE\r\ntwo\r\nPAU");
		settle(c);
		say(c, "SE\r\nthree\r\n");
		settle(c);
		assert_string_equal(c->seen, "one|PAUSE|");
		assert_int_equal(stream_idle_ms(c->stream), 0);
		stream_resume(c->stream);
		assert_string_equal(c->seen, "one|PAUSE|");     /* not from inside the call */
		settle(c);
		assert_string_equal(c->seen, "one|PAUSE|two|PAUSE|");
		stream_resume(c->stream);
		settle(c);
		assert_string_equal(c->seen, "one|PAUSE|two|PAUSE|three|");
		stream_resume(c->stream);       /* not paused: nothing happens */
		settle(c);
		assert_string_equal(c->peer.got, "one\r\ntwo\r\nthree\r\n");
		session_free(c);
	}
}

static void pausing_and_resuming_in_one_call_offers_the_rest_again(void **state)
{
	struct session *c = session_new(NULL);
	(void)state;
	c->is_lazy = true;
	say(c, "one\r\n");
	WAIT_FOR(c, c->inputs == 1);
	settle(c);
	assert_int_equal(c->inputs, 1);
	stream_pause(c->stream);
	stream_resume(c->stream);
	c->is_lazy = false;
	settle(c);
	assert_string_equal(c->seen, "one|");
	session_free(c);
}

/* The peer asks and asks and never reads. Input must stop, memory must stay within the marks, and
 * nothing may turn in circles. When it reads at last, everything is there. */
static void a_peer_that_never_reads_costs_bounded_memory_and_no_time(void **state)
{
	static char line[1000];
	(void)state;
	memset(line, 'y', sizeof(line));
	line[998] = '\r';
	line[999] = '\n';
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		struct session *c = session_over(has_tls, NULL);
		size_t sent = 0;
		c->reply_factor = 20;
		for (int i = 0; i < 3000; i++) {
			size_t n = peer_send(&c->peer, line, sizeof(line));
			if (n != sizeof(line) && !has_tls) {
				sent += n;      /* cut: finish it later */
				break;
			}
			sent += n;
			loop_run_once(c->loop, 0);
		}
		assert_true(sent > 100000);
		assert_true(c->most_pending <=
			    stream_limits_default.output_high + 20 * sizeof(line));
		assert_true(stream_pending(c->stream) > stream_limits_default.output_high);
		assert_false(c->was_refused);
		/* Not spinning: with nothing to do the loop sleeps until its patience ends. */
		loop_run_once(c->loop, 0);
		loop_run_once(c->loop, 0);
		uint64_t before = loop_now_ms(c->loop);
		for (int i = 0; i < 3; i++)
			loop_run_once(c->loop, 10);
		assert_true(loop_now_ms(c->loop) - before >= 30);
		/* Now it reads. */
		size_t whole = sent / sizeof(line) * sizeof(line);
		WAIT_FOR(c, c->peer.got_len >= whole * 20);
		assert_int_equal(c->peer.got_len, whole * 20);
		session_free(c);
	}
}

static void a_large_answer_arrives_whole_chunk_by_chunk(void **state)
{
	(void)state;
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		struct session *c = session_over(has_tls, NULL);
		const size_t size = (4 << 20) + 123;
		c->to_send = size;
		send_more(c);
		while (c->peer.got_len < size) {
			loop_run_once(c->loop, 1);
			peer_read_some(&c->peer, 50000);
		}
		assert_int_equal(c->peer.got_len, size);
		assert_true(c->most_pending <= stream_limits_default.output_low + (64 << 10));
		assert_true(c->writables >= (int)(size / (64 << 10)) - 1);
		char expected[sizeof(c->peer.got)];
		fill_pattern(expected, 0, 64 << 10);
		assert_memory_equal(c->peer.got, expected, sizeof(c->peer.got) - 1);
		session_free(c);
	}
}

static void a_large_upload_arrives_whole(void **state)
{
	static char data[100000];
	(void)state;
	memset(data, 'z', sizeof(data));
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		struct session *c = session_over(has_tls, NULL);
		size_t sent = 0, all = 5000000;
		c->is_swallowing = true;
		stream_set_input_max(c->stream, 64 << 10);
		while (sent < all) {
			size_t n = all - sent < sizeof(data) ? all - sent : sizeof(data);
			/* OpenSSL wants to be asked again for what it began. */
			sent += peer_send(&c->peer, data, n);
			loop_run_once(c->loop, 0);
		}
		WAIT_FOR(c, c->raw == all);
		session_free(c);
	}
}

static void output_beyond_its_cap_is_refused_as_a_whole(void **state)
{
	struct stream_limits limits = stream_limits_default;
	struct session *c;
	struct buf b;
	(void)state;
	limits.output_max = 100;
	c = session_new(&limits);
	buf_init(&b, 1000);
	for (int i = 0; i < 101; i++)
		assert_true(buf_append_c(&b, 'b'));
	assert_false(stream_write_buf(c->stream, &b));
	assert_int_equal(b.len, 101);
	assert_true(stream_write(c->stream, SV("0123456789")));
	assert_false(stream_write(c->stream, sv_sub(buf_sv(&b), 0, 91)));
	assert_int_equal(stream_pending(c->stream), 10);
	assert_true(stream_write(c->stream, sv_sub(buf_sv(&b), 0, 90)));
	assert_false(stream_writef(c->stream, "%d", 1));
	WAIT_FOR(c, c->peer.got_len == 100);
	b.len = 50;
	assert_true(stream_write_buf(c->stream, &b));   /* taken over: nothing was pending */
	assert_null(b.p);
	assert_true(stream_writef(c->stream, "<%d>", 42));
	assert_true(buf_append(&b, SV("behind")));
	assert_true(stream_write_buf(c->stream, &b));   /* copied: something was */
	assert_null(b.p);
	WAIT_FOR(c, c->peer.got_len == 160);
	assert_string_equal(c->peer.got + 150, "<42>behind");
	session_free(c);
}

static void replies_of_one_turn_leave_together(void **state)
{
	struct session *c = session_new(NULL);
	char got[100] = "";
	(void)state;
	assert_true(stream_write(c->stream, SV("one")));
	assert_true(stream_write(c->stream, SV("two")));
	assert_true(stream_write(c->stream, SV("three")));
	assert_int_equal(recv(c->peer.fd, got, sizeof(got), MSG_DONTWAIT), -1);
	loop_run_once(c->loop, 0);
	/* Loopback delivers at once: one packet, or this would see the first only now and then. */
	assert_int_equal(recv(c->peer.fd, got, sizeof(got), 0), 11);
	assert_string_equal(got, "onetwothree");
	session_free(c);
}

static void after_half_a_close_everything_asked_for_is_still_answered(void **state)
{
	(void)state;
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		struct session *c = session_over(has_tls, NULL);
		c->is_closing_on_end = c->is_graceful = true;
		say(c, "one\r\nPAUSE\r\ntwo\r\nhalf a li");
		if (has_tls)
			SSL_shutdown(c->peer.ssl);
		else
			shutdown(c->peer.fd, SHUT_WR);
		settle(c);
		assert_string_equal(c->seen, "one|PAUSE|");
		assert_int_equal(c->ends, 0); /* a job still runs: not the moment to say so */
		stream_resume(c->stream);
		WAIT_FOR(c, c->ends);
		assert_int_equal(c->why, STREAM_EOF);
		assert_string_equal(c->seen, "one|PAUSE|two|");
		WAIT_FOR(c, c->peer.is_eof);
		assert_string_equal(c->peer.got, "one\r\ntwo\r\n");
		session_free(c);
	}
}

static void tls_that_ends_without_goodbye_is_told_apart(void **state)
{
	struct session *c = session_over(true, NULL);
	(void)state;
	say(c, "one\r\nhalf");
	shutdown(c->peer.fd, SHUT_WR);
	WAIT_FOR(c, c->ends);
	assert_int_equal(c->why, STREAM_TRUNCATED);
	assert_string_equal(c->seen, "one|");
	assert_true(stream_write(c->stream, SV("nobody hears this")));
	assert_int_equal(stream_pending(c->stream), 0);
	session_free(c);
}

/* A ticket, or the answer to a new key; or what a handshake begins with. */
static void input_behind_what_tls_cannot_send_does_not_keep_the_loop_awake(void **state)
{
	static const struct tls_role patient = { .name = "test", .alpn = "imap", .has_late_tickets = true };
	(void)state;
	for (int is_shaken = 0; is_shaken < 2; is_shaken++) {
		char noise[4096] = { 0 };
		struct session *c;
		ssize_t filled = 0, n;
		int fds[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		c = session_of(fds, NULL);
		assert_int_equal(stream_start_tls(c->stream, server, &patient).kind, FAULT_NONE);
		peer_start_tls(&c->peer, NULL, "localhost", NULL);
		if (is_shaken) {
			WAIT_FOR(c, c->shakes && c->peer.is_shaken);
			settle(c);
		}
		while ((n = send(c->stream->fd, noise, sizeof(noise), MSG_DONTWAIT)) > 0)
			filled += n;
		if (is_shaken) {
			tls_give_ticket(stream_tls(c->stream));
			say(c, "one\r\n");
		} else {
			while (c->stream->polled != UV_READABLE)
				loop_run_once(c->loop, 0);
			assert_int_equal(SSL_connect(c->peer.ssl), -1);
			while (!(c->stream->polled & UV_WRITABLE))
				loop_run_once(c->loop, 0);
			assert_int_equal(send(c->peer.fd, noise, 1, 0), 1);
		}
		for (int i = 0; i < 4; i++)
			loop_run_once(c->loop, 0);
		assert_int_equal(c->stream->polled, UV_WRITABLE);
		for (; is_shaken && filled; filled -= n) {
			n = recv(c->peer.fd, noise, (size_t)filled < sizeof(noise) ? (size_t)filled : sizeof(noise), 0);
			assert_true(n > 0);
		}
		if (is_shaken) {
			assert_string_equal(c->seen, "");
			WAIT_FOR(c, c->peer.got_len);
			assert_string_equal(c->peer.got, "one\r\n");
		}
		session_free(c);
	}
}

static void a_reset_is_told_even_to_a_session_that_is_waiting(void **state)
{
	struct linger at_once = { 1, 0 };
	(void)state;
	for (int pending = 0; pending < 2; pending++) {
		struct session *c = session_new(NULL);
		say(c, "one\r\n");
		WAIT_FOR(c, c->peer.got_len == 5);
		if (pending) {
			stream_pause(c->stream);
			static char big[1 << 20];
			assert_true(stream_write(c->stream, sv_from(big, sizeof(big))));
			loop_run_once(c->loop, 0);
			assert_true(stream_pending(c->stream) > 0);
		}
		setsockopt(c->peer.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(c->peer.fd);
		c->peer.fd = -1;
		while (!c->ends)
			loop_run_once(c->loop, 10);
		assert_int_equal(c->why, STREAM_RESET);
		assert_true(strlen(stream_end_detail(c->stream)) > 0);
		assert_int_equal(stream_pending(c->stream), 0);
		loop_run_once(c->loop, 1);
		assert_int_equal(c->ends, 1);
		session_free(c);
	}
}

/* A client that sends its last command and drops the connection at once: the kernel reports an
 * error, but the command is there to be read, and was meant. */
static void input_before_a_reset_is_not_lost(void **state)
{
	struct session *c = session_new(NULL);
	(void)state;
	assert_true(stream_write(c->stream, SV("greeting")));
	loop_run_once(c->loop, 1);
	say(c, "one\r\ntwo\r\n");
	close(c->peer.fd);      /* with the greeting unread: a reset */
	c->peer.fd = -1;
	while (!c->ends)
		loop_run_once(c->loop, 10);
	assert_string_equal(c->seen, "one|two|");
	session_free(c);
}

static void the_last_reply_survives_input_that_nobody_reads(void **state)
{
	static char junk[40000];
	(void)state;
	memset(junk, 'j', sizeof(junk));
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		struct session *c = session_over(has_tls, NULL);
		say(c, "QUIT\r\n");
		peer_send(&c->peer, junk, 10000);
		for (int i = 0; i < 20 && !c->peer.is_eof; i++) {
			loop_run_once(c->loop, 1);
			if (!has_tls)
				peer_send(&c->peer, junk, 1000);
		}
		WAIT_FOR(c, c->peer.is_eof);
		assert_false(c->peer.is_reset);
		assert_string_equal(c->peer.got, "QUIT\r\n");
		session_free(c);
	}
}

static void a_graceful_close_sends_everything_first(void **state)
{
	static char big[500000];
	(void)state;
	memset(big, 'b', sizeof(big));
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		struct session *c = session_over(has_tls, NULL);
		assert_true(stream_write(c->stream, sv_from(big, sizeof(big))));
		stream_close(&c->stream, true);
		assert_null(c->stream);
		WAIT_FOR(c, c->peer.is_eof || c->peer.is_reset);
		assert_int_equal(c->peer.got_len, sizeof(big));
		assert_true(c->peer.is_eof);    /* over TLS: close_notify came */
		session_free(c);
	}
}

static void a_stream_may_be_closed_in_any_callback(void **state)
{
	(void)state;
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		for (int where = 0; where < 4; where++) {
			for (int graceful = 0; graceful < 2; graceful++) {
				struct session *c = session_new(NULL);
				static char big[100000];
				c->is_graceful = graceful;
				c->is_closing_on_input = where == 0;
				c->is_closing_on_writable = where == 1;
				c->is_closing_on_end = where == 2;
				c->is_closing_on_tls = where == 3;
				if (has_tls) {
					assert_int_equal(
						stream_start_tls(c->stream, server, &role).kind,
						FAULT_NONE);
					peer_start_tls(&c->peer, NULL, NULL, NULL);
					WAIT_FOR(c, c->shakes && c->peer.is_shaken);
				} else if (where == 3) {
					session_free(c);
					continue;
				}
				if (where == 0)
					say(c, "x");
				if (where == 1)
					assert_true(
						stream_write(c->stream, sv_from(big, sizeof(big))));
				if (where == 2) {
					peer_done(&c->peer);
					while (c->stream)
						loop_run_once(c->loop, 10);
				} else {
					WAIT_FOR(c, !c->stream &&
							    (c->peer.is_eof || c->peer.is_reset));
				}
				assert_null(c->stream);
				session_free(c);
			}
		}
	}
}

static void a_silent_peer_is_idle_only_when_it_is_its_turn(void **state)
{
	struct session *c = session_new(NULL);
	(void)state;
	stream_set_idle_ms(c->stream, 600000);
	for (int i = 0; i < 5; i++) {
		loop_skip_ms(c->loop, 500000);
		say(c, "still here\r\n");
		settle(c);
		assert_int_equal(c->ends, 0);
	}
	stream_pause(c->stream);        /* we work for it: no reason to complain */
	loop_skip_ms(c->loop, 5000000);
	settle(c);
	assert_int_equal(c->ends, 0);
	stream_resume(c->stream);
	loop_skip_ms(c->loop, 599000);
	settle_for(c, 2);
	assert_int_equal(c->ends, 0);
	loop_skip_ms(c->loop, 1001);
	WAIT_FOR(c, c->ends);
	assert_int_equal(c->why, STREAM_IDLE);
	assert_true(stream_write(c->stream, SV("bye\r\n")));
	stream_close(&c->stream, true);
	c->peer.got_len = 0;
	WAIT_FOR(c, c->peer.is_eof);
	assert_string_equal(c->peer.got, "bye\r\n");
	session_free(c);
}

static void a_peer_that_takes_no_output_is_ended(void **state)
{
	static char big[1000000];
	(void)state;
	for (int closing = 0; closing < 2; closing++) {
		struct session *c = session_new(NULL);
		assert_true(stream_write(c->stream, sv_from(big, sizeof(big))));
		for (int i = 0; i < 5; i++)
			loop_run_once(c->loop, 0);
		if (closing)
			stream_close(&c->stream, true);
		/* Taking some keeps the connection: it is slow, not dead. */
		for (int i = 0; i < 3; i++) {
			loop_skip_ms(c->loop, closing ? 15000 : 290000);
			peer_read_some(&c->peer, 60000);
			for (int k = 0; k < 50; k++)
				loop_run_once(c->loop, 1);
			assert_int_equal(c->ends, 0);
		}
		loop_skip_ms(c->loop, 301000);
		for (int k = 0; k < 5; k++)
			loop_run_once(c->loop, 1);
		if (closing) {
			peer_poll(&c->peer);
			WAIT_FOR(c, c->peer.is_eof || c->peer.is_reset);
			assert_true(c->peer.got_len < sizeof(big));
		} else {
			assert_int_equal(c->ends, 1);
			assert_int_equal(c->why, STREAM_STALLED);
		}
		session_free(c);
	}
}

static void a_handshake_that_does_not_end_is_ended(void **state)
{
	struct session *c = session_new(NULL);
	(void)state;
	assert_int_equal(stream_start_tls(c->stream, server, &role).kind, FAULT_NONE);
	peer_send(&c->peer, "\x16\x03\x01", 3);
	settle(c);
	loop_skip_ms(c->loop, 29000);
	settle_for(c, 2);
	assert_int_equal(c->ends, 0);
	loop_skip_ms(c->loop, 1001);
	WAIT_FOR(c, c->ends);
	assert_int_equal(c->why, STREAM_TLS_SLOW);
	session_free(c);
}

static void what_is_no_handshake_fails(void **state)
{
	static const char *const junk[] = { "GET / HTTP/1.1\r\n\r\n", "EHLO x\r\n",
					    "\x16\x03\x01\xff\xff" };
	(void)state;
	for (size_t i = 0; i <= ARRAY_LEN(junk); i++) {
		struct session *c = session_new(NULL);
		assert_int_equal(stream_start_tls(c->stream, server, &role).kind, FAULT_NONE);
		if (i < ARRAY_LEN(junk))
			say(c, junk[i]);
		shutdown(c->peer.fd, SHUT_WR);
		while (!c->ends)
			loop_run_once(c->loop, 10);
		assert_int_equal(c->why, STREAM_TLS_FAILED);
		assert_int_equal(c->inputs, 0);
		session_free(c);
	}
}

static void starttls_upgrades_in_place(void **state)
{
	struct session *c = session_new(NULL);
	(void)state;
	say(c, "one\r\nSTARTTLS\r\n");
	WAIT_FOR(c, c->peer.got_len == strlen("one\r\ngo ahead\r\n"));
	assert_string_equal(c->peer.got, "one\r\ngo ahead\r\n");
	assert_int_equal(c->start_tls, FAULT_NONE);
	assert_false(stream_is_tls(c->stream));
	c->peer.got_len = 0;
	peer_start_tls(&c->peer, NULL, NULL, NULL);
	WAIT_FOR(c, c->shakes && c->peer.got_len);
	assert_string_equal(c->peer.got, "after\r\n");
	assert_int_equal(stream_start_tls(c->stream, server, &role).kind, FAULT_INVALID);
	say(c, "two\r\n");
	WAIT_FOR(c, c->peer.got_len == strlen("after\r\ntwo\r\n"));
	assert_string_equal(c->seen, "one|STARTTLS|two|");
	session_free(c);
}

static void octets_behind_starttls_are_never_seen_again(void **state)
{
	(void)state;
	/* In the same packet: found in the buffer. */
	struct session *c = session_new(NULL);
	say(c, "STARTTLS\r\nevil\r\n");
	WAIT_FOR(c, c->peer.got_len);
	assert_int_equal(c->start_tls, FAULT_DENIED);
	session_free(c);
	/* A little later: TLS takes them for a broken handshake. */
	for (int early = 0; early < 2; early++) {
		c = session_new(NULL);
		say(c, "STARTTLS\r\n");
		WAIT_FOR(c, c->seen_len);
		if (early)
			peer_send(&c->peer, "evil\r\n", 6);
		settle(c);
		if (!early)
			peer_send(&c->peer, "evil\r\n", 6);
		WAIT_FOR(c, c->ends);
		assert_int_equal(c->why, STREAM_TLS_FAILED);
		assert_string_equal(c->seen, "STARTTLS|");
		session_free(c);
	}
}

static void what_is_written_before_the_handshake_waits_for_it(void **state)
{
	struct session *c = session_new(NULL);
	(void)state;
	assert_int_equal(stream_start_tls(c->stream, server, &role).kind, FAULT_NONE);
	assert_true(stream_write(c->stream, SV("greeting\r\n")));
	settle(c);
	assert_int_equal(c->peer.got_len, 0);
	peer_start_tls(&c->peer, NULL, NULL, "\004imap");
	WAIT_FOR(c, c->peer.got_len);
	assert_string_equal(c->peer.got, "greeting\r\n");
	assert_string_equal(tls_facts(stream_tls(c->stream)).alpn, "imap");
	session_free(c);
}

static void the_loop_ends_open_streams(void **state)
{
	(void)state;
	for (int owner_closes = 0; owner_closes < 2; owner_closes++) {
		for (int graceful = 0; graceful < 2; graceful++) {
			struct session *c = session_over(true, NULL);
			c->is_closing_on_end = owner_closes;
			c->is_graceful = graceful;
			assert_true(stream_write(c->stream, SV("never sent")));
			loop_free(&c->loop);
			assert_int_equal(c->ends, 1);
			assert_int_equal(c->why, STREAM_RESET);
			session_free(c);        /* the owner may still close it */
		}
	}
}

static void last_words_are_sent_even_when_the_loop_ends(void **state)
{
	(void)state;
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		struct session *c = session_over(has_tls, NULL);
		assert_true(stream_write(c->stream, SV("* BYE ending\r\n")));
		stream_close(&c->stream, true);
		loop_free(&c->loop);
		peer_poll(&c->peer);
		assert_true(c->peer.is_eof);
		assert_string_equal(c->peer.got, "* BYE ending\r\n");
		session_free(c);
	}
}

/* Echo of random pieces under random limits, pauses and reading: every octet comes back once, in
 * order. */
static void random_traffic_comes_back_in_order(void **state)
{
	static char sent[200000];
	(void)state;
	fill_pattern(sent, 0, sizeof(sent));
	for (unsigned seed = 1; seed <= 40; seed++) {
		unsigned dice = seed;
		struct stream_limits limits = stream_limits_default;
		limits.input_max = 1 + (uint32_t)rand_r(&dice) % 20000;
		limits.output_low = (uint32_t)rand_r(&dice) % 5000;
		limits.output_high = limits.output_low + (uint32_t)rand_r(&dice) % 20000;
		struct session *c = session_over(seed % 2, &limits);
		size_t out = 0, in = 0;
		c->is_lazy = true;
		while (c->peer.got_len < sizeof(sent)) {
			size_t n = 1 + (size_t)rand_r(&dice) % 3000;
			switch (rand_r(&dice) % 8) {
			case 0:
			case 1:
				if (out < sizeof(sent))
					out += peer_send(
						&c->peer, sent + out,
						n < sizeof(sent) - out ? n : sizeof(sent) - out);
				break;
			case 2:
				stream_pause(c->stream);
				break;
			case 3:
				stream_set_input_max(c->stream,
						     1 + (uint32_t)rand_r(&dice) % 20000);
				break;
			case 4:
			case 5: {
				struct sv have = sv_sub(stream_input(c->stream), 0, n);
				stream_resume(c->stream);
				if (stream_pending(c->stream) > limits.output_high)
					break;
				assert_memory_equal(have.p, sent + in, have.len);
				assert_true(stream_write(c->stream, have));
				stream_take(c->stream, have.len);
				in += have.len;
				break;
			}
			case 6: {
				char *at = c->peer.got;
				size_t had = c->peer.got_len;
				if (had < sizeof(c->peer.got) - 1 - 3000)
					at += had;
				else
					c->peer.got_len = 0; /* there is room for the first only:
								start over */
				size_t before = c->peer.got_len;
				peer_read_some(&c->peer, n);
				size_t got = c->peer.got_len - before;
				assert_memory_equal(at, sent + had, got);
				c->peer.got_len = had + got;
				break;
			}
			default:
				loop_run_once(c->loop, 1);
			}
			assert_int_equal(c->ends, 0);
		}
		assert_int_equal(in, sizeof(sent));
		session_free(c);
	}
}

static void addresses_and_counts_are_known(void **state)
{
	struct session *c = session_new(NULL);
	uint64_t in, out;
	(void)state;
	assert_true(netaddr_is_loopback(stream_peer(c->stream)));
	say(c, "12345\r\n");
	WAIT_FOR(c, c->peer.got_len == 7);
	stream_octets(c->stream, &in, &out);
	assert_int_equal(in, 7);
	assert_int_equal(out, 7);
	assert_ptr_equal(stream_loop(c->stream), c->loop);
	session_free(c);
}

static void another_owner_takes_over_with_the_input(void **state)
{
	struct session *c = session_new(NULL);
	(void)state;
	c->is_lazy = true;
	say(c, "one\r\n");
	WAIT_FOR(c, c->inputs);
	stream_set_events(c->stream, NULL, NULL);
	say(c, "two\r\n");
	settle(c);
	assert_int_equal(c->inputs, 1);
	c->is_lazy = false;
	stream_set_events(c->stream, &events, c);
	WAIT_FOR(c, c->peer.got_len == 10);
	assert_string_equal(c->seen, "one|two|");
	session_free(c);
}

static int make_server(void **state)
{
	static const char *const names[] = { "localhost" };
	(void)state;
	test_cert_make(&cert, names, 1);
	struct tls_pair pair = { cert.cert, cert.key };
	struct tls_settings settings = { .pairs = &pair, .count = 1 };
	return tls_server_new(&settings, &server).kind;
}

static int drop_server(void **state)
{
	(void)state;
	tls_server_free(&server);
	test_cert_remove(&cert);
	return 0;
}

/* --- compression --- */

/* unpacked - what the peer got, its first octets as they are and the rest unpacked. */
static void unpacked(const struct session *c, size_t plain, struct buf *out)
{
	struct deflate *d = deflate_new();
	struct sv in = sv_from(c->peer.got, c->peer.got_len);
	char piece[1000];
	size_t done = 1;

	buf_append(out, sv_sub(in, 0, plain));
	sv_skip(&in, plain < in.len ? plain : in.len);
	while (done) {
		assert_int_equal(deflate_unpack(d, &in, piece, sizeof(piece), &done), DEFLATE_FINE);
		buf_append(out, sv_from(piece, done));
	}
	deflate_free(&d);
}

static void compression_begins_behind_its_answer_whatever_came_along(void **state)
{
	(void)state;
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		struct deflate *d = deflate_new();
		struct buf sent = { .max = 1 << 16 };

		buf_append(&sent, SV("one\r\nCOMPRESS\r\n"));
		assert_true(deflate_pack(d, SV("two\r\nthr"), &sent));
		assert_true(deflate_pack(d, SV("ee\r\nQUIT\r\n"), &sent));
		deflate_free(&d);
		for (size_t cut = 0; cut < sent.len; cut++) {
			struct session *c = session_over(has_tls, NULL);
			struct buf got = { .max = 1000 };

			peer_send(&c->peer, sent.p, cut);
			settle_for(c, 1);
			peer_send(&c->peer, sent.p + cut, sent.len - cut);
			WAIT_FOR(c, c->peer.is_eof);
			assert_string_equal(c->seen, "one|COMPRESS|two|three|QUIT|");
			unpacked(c, strlen("one\r\npacked\r\n"), &got);
			assert_string_equal(buf_z(&got), "one\r\npacked\r\ntwo\r\nthree\r\nQUIT\r\n");
			buf_done(&got);
			session_free(c);
		}
		buf_done(&sent);
	}
}

/* compressed - a session that compresses already, and what packs for its peer. */
static struct session *compressed(const struct stream_limits *limits, struct deflate **d)
{
	struct session *c = session_new(limits);

	say(c, "COMPRESS\r\n");
	WAIT_FOR(c, c->peer.got_len == strlen("packed\r\n"));
	*d = deflate_new();
	return c;
}

static void a_bomb_goes_off_in_pieces_of_the_limit(void **state)
{
	static char zeros[1 << 20];
	struct stream_limits limits = stream_limits_default;
	struct buf bomb = { .max = 1 << 20 };
	struct deflate *d;
	struct session *c;

	(void)state;
	limits.input_max = 100;
	c = compressed(&limits, &d);
	assert_true(deflate_pack(d, sv_from(zeros, sizeof(zeros)), &bomb));
	assert_true(bomb.len < 8192);
	c->is_lazy = true;
	peer_send(&c->peer, bomb.p, bomb.len);
	WAIT_FOR(c, stream_input_is_full(c->stream));
	settle(c);
	assert_int_equal(stream_input(c->stream).len, 100);
	stream_set_input_max(c->stream, 65536);
	while (c->raw < sizeof(zeros)) {
		size_t n = stream_input(c->stream).len;

		assert_true(n <= 65536);
		stream_take(c->stream, n);
		c->raw += n;
		loop_run_once(c->loop, 1);
	}
	assert_int_equal(c->raw, sizeof(zeros));
	deflate_free(&d);
	buf_done(&bomb);
	session_free(c);
}

static void what_unpacks_to_nothing_costs_a_share_of_each_turn(void **state)
{
	struct deflate *d;
	struct session *c = compressed(NULL, &d);
	int inputs = c->inputs;

	(void)state;
	for (int i = 0; i < 100; i++) {
		size_t done = 0;

		while (done < 500) {    /* a hundred empty blocks */
			done += peer_send(&c->peer, "\0\0\0\xff\xff" + done % 5, 5 - done % 5);
			loop_run_once(c->loop, 0);
		}
	}
	settle(c);
	assert_int_equal(c->inputs, inputs);
	struct buf line = { .max = 1 << 16 };

	assert_true(deflate_pack(d, SV("still here\r\n"), &line));
	peer_send(&c->peer, line.p, line.len);
	WAIT_FOR(c, c->inputs > inputs);
	assert_string_equal(c->seen, "COMPRESS|still here|");
	buf_done(&line);
	deflate_free(&d);
	session_free(c);
}

static void damaged_compression_ends_the_stream(void **state)
{
	struct deflate *d;
	struct session *c = compressed(NULL, &d);

	(void)state;
	say(c, "a NOOP\r\n");
	WAIT_FOR(c, c->ends);
	assert_int_equal(c->why, STREAM_RESET);
	assert_string_equal(stream_end_detail(c->stream), "compressed input is damaged");
	deflate_free(&d);
	session_free(c);
}

static void a_resting_stream_packs_on_when_there_is_something(void **state)
{
	struct deflate *d;
	struct session *c = compressed(NULL, &d);
	struct buf got = { .max = 1000 };

	(void)state;
	for (int i = 0; i < 4; i++) {
		stream_rest(c->stream, i % 2);
		assert_true(stream_write(c->stream, SV("news\r\n")));
		settle(c);
	}
	unpacked(c, strlen("packed\r\n"), &got);
	assert_string_equal(buf_z(&got), "packed\r\nnews\r\nnews\r\nnews\r\nnews\r\n");
	buf_done(&got);
	deflate_free(&d);
	session_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(input_is_the_same_however_it_is_cut),
		cmocka_unit_test(every_octet_alone_gives_the_same),
		cmocka_unit_test(a_line_without_end_fills_the_buffer_and_stops_reading),
		cmocka_unit_test(a_paused_session_is_left_alone_and_then_offered_the_rest),
		cmocka_unit_test(pausing_and_resuming_in_one_call_offers_the_rest_again),
		cmocka_unit_test(a_peer_that_never_reads_costs_bounded_memory_and_no_time),
		cmocka_unit_test(a_large_answer_arrives_whole_chunk_by_chunk),
		cmocka_unit_test(a_large_upload_arrives_whole),
		cmocka_unit_test(output_beyond_its_cap_is_refused_as_a_whole),
		cmocka_unit_test(replies_of_one_turn_leave_together),
		cmocka_unit_test(after_half_a_close_everything_asked_for_is_still_answered),
		cmocka_unit_test(tls_that_ends_without_goodbye_is_told_apart),
		cmocka_unit_test(input_behind_what_tls_cannot_send_does_not_keep_the_loop_awake),
		cmocka_unit_test(a_reset_is_told_even_to_a_session_that_is_waiting),
		cmocka_unit_test(input_before_a_reset_is_not_lost),
		cmocka_unit_test(the_last_reply_survives_input_that_nobody_reads),
		cmocka_unit_test(a_graceful_close_sends_everything_first),
		cmocka_unit_test(a_stream_may_be_closed_in_any_callback),
		cmocka_unit_test(a_silent_peer_is_idle_only_when_it_is_its_turn),
		cmocka_unit_test(a_peer_that_takes_no_output_is_ended),
		cmocka_unit_test(a_handshake_that_does_not_end_is_ended),
		cmocka_unit_test(what_is_no_handshake_fails),
		cmocka_unit_test(starttls_upgrades_in_place),
		cmocka_unit_test(octets_behind_starttls_are_never_seen_again),
		cmocka_unit_test(what_is_written_before_the_handshake_waits_for_it),
		cmocka_unit_test(the_loop_ends_open_streams),
		cmocka_unit_test(last_words_are_sent_even_when_the_loop_ends),
		cmocka_unit_test(random_traffic_comes_back_in_order),
		cmocka_unit_test(addresses_and_counts_are_known),
		cmocka_unit_test(another_owner_takes_over_with_the_input),
		cmocka_unit_test(compression_begins_behind_its_answer_whatever_came_along),
		cmocka_unit_test(a_bomb_goes_off_in_pieces_of_the_limit),
		cmocka_unit_test(what_unpacks_to_nothing_costs_a_share_of_each_turn),
		cmocka_unit_test(damaged_compression_ends_the_stream),
		cmocka_unit_test(a_resting_stream_packs_on_when_there_is_something),
	};

	alarm(100);     /* ends a wait that would never end */
	if (getenv("ONLY"))
		cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, make_server, drop_server);
}
