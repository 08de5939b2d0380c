/* Listening sockets: bound, handed to workers, and the rules by which peers are let in or turned
 * away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/listener.h"
#include "common/listener_private.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/stream_private.h"
#include "tests/unit/support/tls_peer.h"

#define REFUSAL "421 4.7.0 Too many connections\r\n"

static const struct listener_kind kinds[] = {
	{ LISTENER_MX, { .name = "mx", .alpn = "smtp" }, REFUSAL },
	{ LISTENER_IMAPS, { .name = "imaps", .alpn = "imap" }, NULL },
	{ LISTENER_LMTP, { .name = "lmtp" }, REFUSAL },
};

static char folder[] = "/tmp/net-listener-XXXXXX";

/* One daemon: what its master has, and a worker. */
struct daemon {
	struct conf *conf;
	struct listener_set *set;
	struct loop *loop;
	struct stream *streams[64];
	size_t count;
	struct peer peers[64];
	size_t peer_count;
};

/* total: strangers in all, fewer than anybody would configure; 0 leaves the default. */
static struct conf *conf_of(const char *text, uint64_t total)
{
	struct conf_report report = { NULL, 0, false };
	struct conf *conf;
	struct fault f = conf_parse(sv_z(text), "test", folder, &report, &conf);

	for (size_t i = 0; i < report.count; i++)
		fprintf(stderr, "%s\n", report.errors[i].text);
	assert_int_equal(f.kind, FAULT_NONE);
	conf_report_done(&report);
	/* Whatever port is free: two runs of this test must not meet. */
	for (size_t i = 0; i < conf->listener_count; i++)
		conf->listeners[i].port = 0;
	if (total)
		conf->limits.prelogin_total = total;
	return conf;
}

static const char mx_only[] = "listener door {\nkind mx\naddress 127.0.0.1\n}\n";

static void on_input(struct stream *s, void *user)
{
	(void)user;
	stream_take(s, stream_input(s).len);
}

static void on_end(struct stream *s, enum stream_end why, void *user)
{
	struct daemon *d = user;

	(void)why;
	for (size_t i = 0; i < d->count; i++) {
		if (d->streams[i] == s)
			stream_close(&d->streams[i], false);
	}
}

static const struct stream_events events = { on_input, NULL, NULL, on_end };

static void on_stream(struct stream *s, const struct listener *l, void *user)
{
	struct daemon *d = user;

	assert_non_null(l->kind);
	assert_true(d->count < ARRAY_LEN(d->streams));
	d->streams[d->count++] = s;
	stream_set_events(s, &events, d);
}

static struct daemon *daemon_new(const char *text, uint64_t total)
{
	struct daemon *d = calloc(1, sizeof(*d));

	d->conf = conf_of(text, total);
	d->set = listener_set_new(d->conf, kinds, ARRAY_LEN(kinds));
	assert_int_equal(listener_bind(d->set).kind, FAULT_NONE);
	assert_int_equal(loop_new(&d->loop).kind, FAULT_NONE);
	assert_int_equal(listener_accept(d->set, d->loop, NULL, on_stream, d).kind, FAULT_NONE);
	return d;
}

static void daemon_free(struct daemon *d)
{
	loop_free(&d->loop);
	listener_set_free(&d->set, true);
	conf_unref(&d->conf);
	for (size_t i = 0; i < d->peer_count; i++)
		peer_done(&d->peers[i]);
	free(d);
}

static int knock(const struct listener *l, const char *from)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(l->at.port),
	                          .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in me = { .sin_family = AF_INET };
	struct netaddr a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(netaddr_parse(sv_z(from), &a));
	memcpy(&me.sin_addr, a.ip + 12, 4);
	assert_int_equal(bind(fd, (struct sockaddr *)&me, sizeof(me)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* A new peer, and enough turns for it to be let in or turned away. */
static struct peer *visit(struct daemon *d, const char *from)
{
	struct peer *p = &d->peers[d->peer_count++];
	uint64_t before = listener_stats(d->set).accepted;

	peer_init(p, knock(listener_at(d->set, 0), from));
	do {
		loop_run_once(d->loop, 1);
		peer_poll(p);
	} while (listener_stats(d->set).accepted == before && !p->is_eof && !p->is_reset);
	return p;
}

static bool is_in(struct peer *p)
{
	peer_poll(p);
	return !p->is_eof && !p->is_reset;
}

static void leave(struct daemon *d, struct peer *p)
{
	uint32_t before = listener_stats(d->set).streams;

	peer_done(p);
	while (listener_stats(d->set).streams == before)
		loop_run_once(d->loop, 10);
}

static void rows_of_the_right_kinds_are_bound_to_real_ports(void **state)
{
	struct daemon *d = daemon_new("listener a {\nkind mx\naddress 127.0.0.1\n}\n"
	                              "listener b {\nkind pop3\naddress 127.0.0.1\n}\n"
	                              "listener c {\nkind imaps\naddress *\n}\n", 0);
	(void)state;
	assert_int_equal(listener_count(d->set), 2);
	assert_string_equal(listener_at(d->set, 0)->name, "a");
	assert_string_equal(listener_at(d->set, 1)->name, "c");
	assert_int_not_equal(listener_at(d->set, 0)->at.port, 0);
	struct peer *p = visit(d, "127.0.0.1");
	assert_true(is_in(p));
	assert_int_equal(listener_stats(d->set).strangers, 1);
	assert_int_equal(listener_stats(d->set).streams, 1);
	leave(d, p);
	assert_int_equal(listener_stats(d->set).strangers, 0);
	daemon_free(d);
}

static size_t heard[4], heard_count;

static void note_input(struct stream *s, void *user)
{
	struct daemon *d = user;
	struct timespec now, from;

	for (size_t i = 0; i < d->count; i++)
		if (d->streams[i] == s)
			heard[heard_count++] = i;
	stream_take(s, stream_input(s).len);
	/* As long as all strangers of a turn may take together. */
	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - from.tv_sec) * 1000000000 + now.tv_nsec - from.tv_nsec <= LOOP_QUEUED_US * 1000);
}

static void who_has_logged_in_is_heard_before_strangers(void **state)
{
	static const struct stream_events slow = { note_input, NULL, NULL, on_end };
	static const size_t expected[] = { 3, 0, 2 };
	struct daemon *d = daemon_new(mx_only, 0);
	struct peer *peers[4];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		peers[i] = visit(d, "127.0.0.1");
		stream_set_events(d->streams[i], &slow, d);
	}
	listener_logged_in(d->streams[3]);
	listener_logged_in(d->streams[3]);
	for (int i = 0; i < 10; i++)
		loop_run_once(d->loop, 0);
	heard_count = 0;
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		assert_int_equal(write(peers[i]->fd, "x", 1), 1);
		struct pollfd there = { .fd = d->streams[i]->fd, .events = POLLIN };
		assert_int_equal(poll(&there, 1, 10000), 1);
	}
	loop_run_once(d->loop, 0);
	assert_int_equal(heard_count, 2);       /* one stranger in each turn */
	stream_close(&d->streams[1], false);    /* leaves the queue; the next one comes in */
	while (heard_count < 3)
		loop_run_once(d->loop, 10000);
	assert_memory_equal(heard, expected, sizeof(expected));
	daemon_free(d);
}

static void a_taken_port_is_named_and_nothing_stays_bound(void **state)
{
	struct daemon *d = daemon_new(mx_only, 0);
	struct conf *conf = conf_of("listener first {\nkind imaps\naddress 127.0.0.1\n}\n"
	                            "listener second {\nkind mx\naddress 127.0.0.1\n}\n", 0);
	(void)state;
	conf->listeners[1].port = listener_at(d->set, 0)->at.port;
	struct listener_set *set = listener_set_new(conf, kinds, ARRAY_LEN(kinds));
	struct fault f = listener_bind(set);
	char expected[100];
	snprintf(expected, sizeof(expected), "second 127.0.0.1:%u: Address already in use",
	         listener_at(d->set, 0)->at.port);
	assert_int_equal(f.kind, FAULT_UNAVAILABLE);
	assert_string_equal(f.detail, expected);
	assert_int_equal(listener_at(set, 0)->fd, -1);
	listener_set_free(&set, true);
	conf_unref(&conf);
	daemon_free(d);
}

static void too_many_of_one_address_or_network_or_in_all_are_turned_away(void **state)
{
	static const char text[] =
		"listener door {\nkind mx\naddress 127.0.0.1\n}\nexempt-networks never\n"
		"strangers-per-address 3\nstrangers-per-network 5\n";
	struct daemon *d = daemon_new(text, 9);
	struct peer *a[3];
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(is_in(a[i] = visit(d, "127.0.0.2")));
	struct peer *p = visit(d, "127.0.0.2");
	assert_false(is_in(p));
	assert_string_equal(p->got, REFUSAL);
	assert_int_equal(listener_stats(d->set).refused_address, 1);
	assert_true(is_in(visit(d, "127.0.0.3")));
	assert_true(is_in(visit(d, "127.0.0.4")));
	assert_false(is_in(visit(d, "127.0.0.5")));
	assert_int_equal(listener_stats(d->set).refused_network, 1);
	/* Who has logged in counts no more, nor when he leaves then. */
	listener_logged_in(d->streams[0]);
	listener_logged_in(d->streams[0]);
	assert_int_equal(listener_stats(d->set).strangers, 4);
	assert_int_equal(listener_stats(d->set).streams, 5);
	assert_true(is_in(visit(d, "127.0.0.2")));
	leave(d, a[0]);
	assert_int_equal(listener_stats(d->set).strangers, 5);
	leave(d, a[1]);
	assert_true(is_in(visit(d, "127.0.0.2")));
	assert_false(is_in(visit(d, "127.0.0.2")));
	for (int i = 0; i < 4; i++) {
		char from[32];
		snprintf(from, sizeof(from), "127.0.%d.1", i + 1);
		assert_true(is_in(visit(d, from)));
	}
	assert_int_equal(listener_load_percent(d->set), 100);
	assert_false(is_in(visit(d, "127.0.9.1")));
	assert_int_equal(listener_stats(d->set).refused_total, 1);
	daemon_free(d);
}

static void exempt_peers_are_counted_in_all_only(void **state)
{
	struct daemon *d = daemon_new("listener door {\nkind mx\naddress 127.0.0.1\n}\n"
	                              "exempt-networks 127.0.0.2\n"
	                              "connections-per-minute-mx 2\nstrangers-per-address 2\n", 5);
	(void)state;
	for (int i = 0; i < 4; i++)
		assert_true(is_in(visit(d, "127.0.0.2")));
	assert_true(is_in(visit(d, "127.0.0.3")));
	assert_false(is_in(visit(d, "127.0.0.2")));
	daemon_free(d);
}

static void too_many_in_one_minute_are_turned_away_until_the_next(void **state)
{
	struct daemon *d = daemon_new("listener door {\nkind mx\naddress 127.0.0.1\n}\n"
	                              "exempt-networks never\nconnections-per-minute-mx 3\n", 0);
	(void)state;
	/* From the beginning of a minute, so that it does not end in the middle. */
	loop_skip_ms(d->loop, 60000 - loop_now_ms(d->loop) % 60000);
	for (int i = 0; i < 3; i++) {
		struct peer *p = visit(d, "127.0.0.2");
		assert_true(is_in(p));
		leave(d, p);
	}
	assert_false(is_in(visit(d, "127.0.0.2")));
	assert_int_equal(listener_stats(d->set).refused_rate, 1);
	assert_true(is_in(visit(d, "127.0.0.3")));
	loop_skip_ms(d->loop, 60000);
	assert_true(is_in(visit(d, "127.0.0.2")));
	daemon_free(d);
}

static void new_limits_hold_from_the_next_connection_on(void **state)
{
	struct daemon *d = daemon_new(mx_only, 1);
	struct conf *conf = conf_of(mx_only, 2);
	(void)state;
	assert_true(is_in(visit(d, "127.0.0.1")));
	assert_false(is_in(visit(d, "127.0.0.1")));
	listener_set_conf(d->set, conf);
	assert_true(is_in(visit(d, "127.0.0.1")));
	assert_false(is_in(visit(d, "127.0.0.1")));
	conf_unref(&conf);
	daemon_free(d);
}

static void a_stopped_listener_lets_nobody_in_and_keeps_who_is_inside(void **state)
{
	struct daemon *d = daemon_new(mx_only, 0);
	(void)state;
	struct peer *p = visit(d, "127.0.0.1");
	listener_stop(d->set);
	listener_stop(d->set);
	int fd = knock(listener_at(d->set, 0), "127.0.0.1");    /* the kernel's queue takes it */
	for (int i = 0; i < 5; i++)
		loop_run_once(d->loop, 1);
	assert_int_equal(listener_stats(d->set).accepted, 1);
	assert_true(is_in(p));
	assert_int_equal(peer_send(p, "x", 1), 1);
	assert_int_equal(listener_stats(d->set).streams, 1);
	close(fd);
	daemon_free(d);
}

static void implicit_tls_begins_at_once_and_needs_a_certificate(void **state)
{
	static const char *const names[] = { "localhost" };
	struct test_cert cert;
	struct tls_server *tls;
	(void)state;
	test_cert_make(&cert, names, 1);
	struct tls_pair pair = { cert.cert, cert.key };
	struct tls_settings settings = { .pairs = &pair, .count = 1 };
	assert_int_equal(tls_server_new(&settings, &tls).kind, FAULT_NONE);
	struct daemon *d = daemon_new("listener door {\nkind imaps\naddress 127.0.0.1\n}\n", 0);
	assert_false(is_in(visit(d, "127.0.0.1")));
	assert_int_equal(listener_stats(d->set).refused_no_tls, 1);
	listener_set_tls(d->set, tls);
	struct peer *p = visit(d, "127.0.0.1");
	assert_true(stream_write(d->streams[0], SV("* OK\r\n")));
	peer_start_tls(p, NULL, NULL, "\004imap");
	while (!p->got_len) {
		loop_run_once(d->loop, 1);
		peer_poll(p);
		assert_false(p->is_reset);
	}
	assert_string_equal(p->got, "* OK\r\n");
	daemon_free(d);
	tls_server_free(&tls);
	test_cert_remove(&cert);
}

static void out_of_descriptors_it_turns_people_away_and_does_not_spin(void **state)
{
	struct daemon *d = daemon_new(mx_only, 0);
	struct rlimit was, low;
	int fds[16], used[64], n = 0;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = knock(listener_at(d->set, 0), "127.0.0.1");
	getrlimit(RLIMIT_NOFILE, &was);
	low = was;
	low.rlim_cur = 60;
	setrlimit(RLIMIT_NOFILE, &low);
	while (n < 64 && (used[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	for (int i = 0; i < 3; i++)
		loop_run_once(d->loop, 1);
	assert_true(listener_stats(d->set).refused_descriptors >= 1);
	assert_int_equal(listener_stats(d->set).accepted, 0);
	/* Looking away: with nothing else to do the loop sleeps. */
	uint64_t before = loop_now_ms(d->loop);
	loop_run_once(d->loop, 20);
	assert_true(loop_now_ms(d->loop) - before >= 20);
	while (n)
		close(used[--n]);
	setrlimit(RLIMIT_NOFILE, &was);
	uint64_t refused = listener_stats(d->set).refused_descriptors;
	loop_skip_ms(d->loop, 1000);
	while (listener_stats(d->set).accepted + refused < ARRAY_LEN(fds))
		loop_run_once(d->loop, 10);
	assert_int_equal(listener_stats(d->set).refused_descriptors, refused);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	daemon_free(d);
}

static void a_unix_socket_is_private_and_replaces_a_dead_one_only(void **state)
{
	char text[200], path[100];
	struct stat st;
	(void)state;
	snprintf(path, sizeof(path), "%s/lmtp.sock", folder);
	snprintf(text, sizeof(text), "listener door {\nkind lmtp\npath %s\n}\n", path);
	struct daemon *d = daemon_new(text, 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0660);
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	memcpy(at.sun_path, path, strlen(path));
	struct peer *p = &d->peers[d->peer_count++];
	peer_init(p, socket(AF_UNIX, SOCK_STREAM, 0));
	assert_int_equal(connect(p->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	while (!d->count)
		loop_run_once(d->loop, 10);
	assert_int_equal(stream_peer(d->streams[0])->family, NET_UNIX);
	/* In use: refused. */
	struct listener_set *set = listener_set_new(d->conf, kinds, ARRAY_LEN(kinds));
	struct fault f = listener_bind(set);
	assert_int_equal(f.kind, FAULT_UNAVAILABLE);
	assert_non_null(strstr(f.detail, path));
	listener_set_free(&set, false);
	/* Its owner dies without removing it: taken over. */
	loop_free(&d->loop);
	listener_set_free(&d->set, false);
	assert_int_equal(lstat(path, &st), 0);
	d->set = listener_set_new(d->conf, kinds, ARRAY_LEN(kinds));
	assert_int_equal(listener_bind(d->set).kind, FAULT_NONE);
	listener_set_free(&d->set, true);
	assert_int_equal(lstat(path, &st), -1);
	/* What is no socket is nobody's to remove. */
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	d->set = listener_set_new(d->conf, kinds, ARRAY_LEN(kinds));
	assert_int_equal(listener_bind(d->set).kind, FAULT_UNAVAILABLE);
	assert_int_equal(lstat(path, &st), 0);
	unlink(path);
	daemon_free(d);
}

static void workers_inherit_sockets_and_count_together(void **state)
{
	static const char text[] = "listener door {\nkind mx\naddress 127.0.0.1\n}\n"
	                           "listener gone {\nkind imaps\naddress 127.0.0.1\n}\n"
	                           "exempt-networks never\nstrangers-per-address 3\n";
	static const char changed[] = "listener door {\nkind mx\naddress 127.0.0.1\n}\n"
	                              "exempt-networks never\nstrangers-per-address 3\n";
	struct conf *conf = conf_of(text, 0), *later = conf_of(changed, 0);
	struct listener_set *master = listener_set_new(conf, kinds, ARRAY_LEN(kinds));
	struct daemon *workers[2];
	struct buf list;
	(void)state;
	buf_init(&list, 1000);
	assert_int_equal(listener_bind(master).kind, FAULT_NONE);
	for (unsigned w = 0; w < 2; w++) {
		struct daemon *d = workers[w] = calloc(1, sizeof(*d));
		/* What exec does: other numbers for the same things, here by dup. */
		struct sv all, line;
		struct buf mine;
		buf_clear(&list);
		assert_true(listener_export(master, &list));
		buf_init(&mine, 1000);
		for (all = buf_sv(&list); sv_split(&all, '\n', &line);) {
			size_t at = sv_rfind(line, '=');
			uint32_t fd;
			assert_true(sv_to_u32(sv_sub(line, at + 1, SIZE_MAX), &fd));
			assert_int_equal(fcntl((int)fd, F_GETFD) & FD_CLOEXEC, 0);
			assert_true(buf_appendf(&mine, "%s%.*s=%d", mine.len ? "\n" : "", (int)at,
						line.p, dup((int)fd)));
		}
		d->conf = conf_ref(later);
		d->set = listener_set_new(later, kinds, ARRAY_LEN(kinds));
		assert_int_equal(listener_import(d->set, buf_sv(&mine), w).kind, FAULT_NONE);
		assert_int_equal(listener_at(d->set, 0)->at.port, listener_at(master, 0)->at.port);
		buf_done(&mine);
		assert_int_equal(loop_new(&d->loop).kind, FAULT_NONE);
		assert_int_equal(listener_accept(d->set, d->loop, NULL, on_stream, d).kind,
				 FAULT_NONE);
	}
	assert_true(is_in(visit(workers[0], "127.0.0.2")));
	assert_true(is_in(visit(workers[1], "127.0.0.2")));
	assert_true(is_in(visit(workers[0], "127.0.0.2")));
	struct peer *p = &workers[1]->peers[workers[1]->peer_count++];
	peer_init(p, knock(listener_at(master, 0), "127.0.0.2"));
	while (is_in(p))
		loop_run_once(workers[1]->loop, 1);
	assert_int_equal(listener_stats(workers[1]->set).refused_address, 1);
	assert_int_equal(listener_stats(workers[1]->set).strangers, 3);
	daemon_free(workers[1]);
	daemon_free(workers[0]);
	listener_set_free(&master, true);
	conf_unref(&conf);
	conf_unref(&later);
	buf_done(&list);
}

static void what_is_no_list_of_sockets_is_refused(void **state)
{
	static const char *const lists[] = { "",     "door", "door=x", "door=999",
					     "=999", "=0",   "door=-1" };
	struct conf *conf = conf_of(mx_only, 0);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct listener_set *set = listener_set_new(conf, kinds, ARRAY_LEN(kinds));
		char text[20];
		snprintf(text, sizeof(text), "%s", lists[i]);
		/* A descriptor that is open, but not our counters. */
		if (strcmp(text, "=0") == 0)
			snprintf(text, sizeof(text), "=%d",
				 open("/dev/null", O_RDONLY | O_CLOEXEC));
		assert_int_equal(listener_import(set, sv_z(text), 0).kind, FAULT_INVALID);
		listener_set_free(&set, false);
	}
	conf_unref(&conf);
}

static void sockets_of_the_service_manager_are_taken_by_name_or_address(void **state)
{
	(void)state;
	for (int by_name = 0; by_name < 2; by_name++) {
		/* In a child, because the protocol names descriptors from 3 on and the process id.
		 * */
		pid_t pid = fork();
		if (!pid) {
			struct sockaddr_in at = { .sin_family = AF_INET,
						  .sin_addr = { htonl(INADDR_LOOPBACK) } };
			socklen_t len = sizeof(at);
			int fd = socket(AF_INET, SOCK_STREAM, 0);
			char id[20];
			struct conf *conf = conf_of(mx_only, 0);
			if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 5) ||
			    dup2(fd, 3) != 3)
				_exit(2);
			getsockname(3, (struct sockaddr *)&at, &len);
			if (!by_name)
				conf->listeners[0].port = ntohs(at.sin_port);
			snprintf(id, sizeof(id), "%d", (int)getpid());
			setenv("LISTEN_PID", id, 1);
			setenv("LISTEN_FDS", "1", 1);
			setenv("LISTEN_FDNAMES", by_name ? "door" : "unknown", 1);
			struct listener_set *set = listener_set_new(conf, kinds, ARRAY_LEN(kinds));
			if (listener_bind(set).kind)
				_exit(3);
			if (listener_at(set, 0)->fd != 3 ||
			    listener_at(set, 0)->at.port != ntohs(at.sin_port) ||
			    getenv("LISTEN_FDS"))
				_exit(4);
			_exit(0);
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

/* passed_pair - in a child: "door" gets descriptor 3, nobody wants 4. Which process do they say it is for? */
static int passed_pair(pid_t meant)
{
	char id[20];
	struct conf *conf = conf_of(mx_only, 0);

	for (int fd = 3; fd <= 4; fd++) {
		struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
		int made = socket(AF_INET, SOCK_STREAM, 0);

		if (bind(made, (struct sockaddr *)&at, sizeof(at)) || listen(made, 5) || (made != fd && dup2(made, fd) != fd))
			return 2;
	}
	snprintf(id, sizeof(id), "%d", (int)meant);
	setenv("LISTEN_PID", id, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "door:other", 1);
	struct listener_set *set = listener_set_new(conf, kinds, ARRAY_LEN(kinds));

	if (listener_bind(set).kind)
		return 3;
	bool is_taken = listener_at(set, 0)->fd == 3, is_open = fcntl(4, F_GETFD) >= 0;

	return is_taken && !is_open && !getenv("LISTEN_PID") ? 10 : !is_taken && is_open ? 11 : 4;
}

static void passed_sockets_are_for_us_or_our_parent_and_what_nobody_wants_is_closed(void **state)
{
	(void)state;
	for (int who = 0; who < 3; who++) {
		pid_t parent = getpid(), pid = fork();
		int status;

		if (!pid)
			_exit(passed_pair(who == 0 ? getpid() : who == 1 ? parent : 1 << 30));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), who < 2 ? 10 : 11);
	}
}

static void a_worker_that_dies_takes_its_counts_along(void **state)
{
	struct listener_counts *master, *dead, *other, *reborn;
	struct netaddr a;
	(void)state;
	assert_true(netaddr_parse(SV("192.0.2.1"), &a));
	assert_int_equal(counts_new(&master).kind, FAULT_NONE);
	assert_int_equal(counts_open(dup(counts_fd(master)), 0, &dead).kind, FAULT_NONE);
	assert_int_equal(counts_open(dup(counts_fd(master)), 5, &other).kind, FAULT_NONE);
	uint64_t key = counts_key(other, &a);
	assert_true(key == counts_key(dead, &a));
	assert_true(counts_add(dead, COUNT_STRANGERS, key) &&
		    counts_add(other, COUNT_STRANGERS, key));
	counts_total_add(dead, 3);
	counts_total_add(other, 2);
	assert_int_equal(counts_get(other, COUNT_STRANGERS, key), 2);
	assert_int_equal(counts_total(other), 5);
	counts_free(&dead);     /* without a word */
	assert_int_equal(counts_open(dup(counts_fd(master)), 0, &reborn).kind, FAULT_NONE);
	assert_int_equal(counts_get(other, COUNT_STRANGERS, key), 1);
	assert_int_equal(counts_get(reborn, COUNT_STRANGERS, key), 1);
	assert_int_equal(counts_total(reborn), 2);
	counts_free(&reborn);
	counts_free(&other);
	counts_free(&master);
}

static void a_flood_of_addresses_fills_the_counters_and_nothing_else(void **state)
{
	struct listener_counts *counts;
	size_t kept = 0, n = 60000;
	(void)state;
	assert_int_equal(counts_new(&counts).kind, FAULT_NONE);
	counts_begin(counts);
	uint64_t *keys = calloc(n, sizeof(*keys));
	for (size_t i = 0; i < n; i++) {
		struct netaddr a = { .family = NET_IPV6,
				     .ip = { (uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16) } };
		keys[i] = counts_key(counts, &a);
		if (!counts_add(counts, COUNT_STRANGERS, keys[i]))
			keys[i] = 0;
		else
			kept++;
	}
	assert_true(kept > 25000);
	for (size_t i = 0; i < n; i++) {
		if (!keys[i])
			continue;
		assert_int_equal(counts_get(counts, COUNT_STRANGERS, keys[i]), 1);
		counts_drop(counts, keys[i]);
		assert_int_equal(counts_get(counts, COUNT_STRANGERS, keys[i]), 0);
	}
	free(keys);
	counts_free(&counts);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_of_the_right_kinds_are_bound_to_real_ports),
		cmocka_unit_test(who_has_logged_in_is_heard_before_strangers),
		cmocka_unit_test(a_taken_port_is_named_and_nothing_stays_bound),
		cmocka_unit_test(too_many_of_one_address_or_network_or_in_all_are_turned_away),
		cmocka_unit_test(exempt_peers_are_counted_in_all_only),
		cmocka_unit_test(too_many_in_one_minute_are_turned_away_until_the_next),
		cmocka_unit_test(new_limits_hold_from_the_next_connection_on),
		cmocka_unit_test(a_stopped_listener_lets_nobody_in_and_keeps_who_is_inside),
		cmocka_unit_test(implicit_tls_begins_at_once_and_needs_a_certificate),
		cmocka_unit_test(out_of_descriptors_it_turns_people_away_and_does_not_spin),
		cmocka_unit_test(a_unix_socket_is_private_and_replaces_a_dead_one_only),
		cmocka_unit_test(workers_inherit_sockets_and_count_together),
		cmocka_unit_test(what_is_no_list_of_sockets_is_refused),
		cmocka_unit_test(sockets_of_the_service_manager_are_taken_by_name_or_address),
		cmocka_unit_test(passed_sockets_are_for_us_or_our_parent_and_what_nobody_wants_is_closed),
		cmocka_unit_test(a_worker_that_dies_takes_its_counts_along),
		cmocka_unit_test(a_flood_of_addresses_fills_the_counters_and_nothing_else),
	};

	log_set_level(LOG_LEVEL_ERROR);         /* that people are turned away is meant here */
	alarm(100);
	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
