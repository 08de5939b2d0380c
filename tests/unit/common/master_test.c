/* A daemon's frame, with a daemon that says hello: this program executed again is the master, and
 * that executes itself as the workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/kv.h"
#include "common/master.h"
#include "common/memory.h"
#include "common/stream.h"
#include "common/watchdog.h"
#include "common/work.h"

#include "common/banned.h"

/* ---- the daemon ---- */

struct hello {
	bool opened;
	unsigned reloads;
	struct work stuck;
};

static struct fault hello_open(struct worker *w)
{
	struct hello *h = xcalloc(1, sizeof(*h));

	w->state = h;
	h->opened = access("/etc/passwd", R_OK) == 0;
	return FAULT_OK;
}

static void on_stream(struct stream *s, const struct listener *l, void *user)
{
	struct worker *w = user;
	char text[64];
	(void)l;

	snprintf(text, sizeof(text), "hello from %u, %s\r\n", w->number, w->conf->host.hostname);
	(void)stream_write(s, sv_z(text));
	stream_close(&s, true);
}

static struct fault hello_start(struct worker *w)
{
	struct hello *h = w->state;
	char path[256];
	int fd;

	if (!h->opened)
		return fault(FAULT_INTERNAL, "open was not called");
	/* Inside the sandbox: what was named may be written, the rest not. */
	snprintf(path, sizeof(path), "%s/worker-%u", instance_path(w->instance, INSTANCE_MAIL),
		 w->number);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return fault_errno("open", path);
	close(fd);
	return listener_accept(w->listeners, w->loop, w->tls, on_stream, w);
}

static void hello_reload(struct worker *w, const struct conf *was)
{
	(void)was;
	((struct hello *)w->state)->reloads++;
}

static void hello_stop(struct worker *w)
{
	worker_stopped(w);
}

static void hello_end(struct worker *w)
{
	free(w->state);
}

static void hello_status(struct worker *w, struct json_out *j)
{
	json_out_u64(j, "reloads", ((struct hello *)w->state)->reloads);
	json_out_u64(j, "message_size", w->conf->smtp.message_size);
	json_out_bool(j, "sees_passwd", open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0);
}

static void run_crash(void *arg, const struct json *request, struct control_reply *reply)
{
	struct worker *w = arg;
	uint64_t which;

	if (json_get_u64(request, "which", &which) && which == w->number)
		raise(SIGKILL), abort();
	control_finish(&reply, FAULT_OK);
}

static void stuck_run(struct work *work)
{
	(void)work;
	(void)watchdog_enter();
	for (;;)
		pause();
}

static void stuck_done(struct work *work, bool is_cancelled)
{
	(void)work;
	(void)is_cancelled;
}

static void run_stuck(void *arg, const struct json *request, struct control_reply *reply)
{
	struct worker *w = arg;
	struct hello *h = w->state;
	(void)request;

	if (w->number == 0) {
		h->stuck = (struct work){ .run = stuck_run, .done = stuck_done };
		(void)!work_submit(w->loop, WORK_MAIL, &h->stuck).kind;
	}
	control_finish(&reply, FAULT_OK);
}

static const struct control_verb verbs[] = {
	{ "crash", "Dies.", run_crash, false },
	{ "stuck", "Gets stuck.", run_stuck, false },
	{ NULL, NULL, NULL, false },
};

/* ---- a helper beside its workers ---- */

static struct fault helper_start(struct worker *w)
{
	return listener_count(w->listeners) ? fault(FAULT_INTERNAL, "a helper has listeners")
					    : FAULT_OK;
}

static void run_whisper(void *arg, const struct json *request, struct control_reply *reply)
{
	struct json_out *j = control_line(reply);
	char path[256];
	int fd;
	(void)request;

	/* Its sandbox is its own: the mail, which workers may write, is not to be seen. */
	snprintf(path, sizeof(path), "%s/helper",
		 instance_path(((struct worker *)arg)->instance, INSTANCE_MAIL));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	json_out_i64(j, "whisperer", getpid());
	json_out_bool(j, "sees_passwd", fd >= 0);
	(void)control_line_end(reply);
	control_finish(&reply, FAULT_OK);
}

static const struct control_verb helper_verbs[] = {
	{ "whisper", "Says who it is.", run_whisper, false },
	{ NULL, NULL, NULL, false },
};

static const struct daemon_spec helper = {
	.name = "whisperer",
	.doc = "Helps.",
	.reads = 1u << INSTANCE_DIRECTORY,
	.start = helper_start,
	.stop = hello_stop,
	.verbs = helper_verbs,
};

static const struct daemon_spec *const helpers[] = { &helper, NULL };

static const struct listener_kind kinds[] = {
	{ .kind = LISTENER_POP3,
	  .role = { .name = "pop3", .alpn = "pop3" },
	  .refusal = "-ERR\r\n" },
};

static const struct daemon_spec spec = {
	.name = "hellod",
	.doc = "Says hello.",
	.kinds = kinds,
	.kind_count = ARRAY_LEN(kinds),
	.writes = 1u << INSTANCE_MAIL,
	.reads = 1u << INSTANCE_DIRECTORY,
	.open = hello_open,
	.start = hello_start,
	.reload = hello_reload,
	.stop = hello_stop,
	.end = hello_end,
	.status = hello_status,
	.verbs = verbs,
	.helpers = helpers,
};

/* ---- around it ---- */

#define PORT 21110

static char root[64];
static struct instance *instance;
static pid_t master;

static void put_conf(const char *more)
{
	FILE *f = fopen(instance_path(instance, INSTANCE_CONF), "w");

	assert_non_null(f);
	fprintf(f,
		"hostname hello.example\nbind 127.0.0.1\nport-offset 21000\nworkers 2\nstuck-time "
		"1s\nlog-file log\n%s",
		more);
	fclose(f);
}

static pid_t start(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/proc/self/exe", "hellod", "--root", root, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	return pid;
}

static int wait_exit(pid_t pid)
{
	int status = 0;

	for (int i = 0; i < 3000; i++) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	fail_msg("process %d does not end", (int)pid);
	return -1;
}

/* Facts from `status`. */
struct facts {
	unsigned lines;
	uint64_t whisperer;
	bool ready;
	uint64_t restarts, reloads, message_size, pids[2];
	unsigned layers_active, layers;
	bool sees_passwd;
};

static bool note_fact(void *arg, const struct json *line)
{
	struct facts *f = arg;
	const struct json *layers = json_get(line, "sandbox");
	uint64_t worker;
	bool yes;

	f->lines++;
	(void)json_get_u64(line, "whisperer", &f->whisperer);
	(void)json_get_bool(line, "ready", &f->ready);
	(void)json_get_u64(line, "restarts", &f->restarts);
	(void)json_get_u64(line, "reloads", &f->reloads);
	(void)json_get_u64(line, "message_size", &f->message_size);
	if (json_get_bool(line, "sees_passwd", &yes) && yes)
		f->sees_passwd = true;
	if (json_get_u64(line, "worker", &worker) && worker < 2)
		(void)json_get_u64(line, "pid", &f->pids[worker]);
	for (size_t i = 0; i < json_count(layers); i++) {
		yes = false;
		f->layers++;
		(void)json_get_bool(json_at(layers, i), "active", &yes);
		f->layers_active += yes;
	}
	return true;
}

static struct fault ask(const char *request, struct facts *facts)
{
	*facts = (struct facts){ .lines = 0 };
	return control_ask(instance, "hellod", sv_z(request), note_fact, facts, 20000);
}

/* Until both workers and the helper serve. */
static struct facts wait_ready(void)
{
	struct facts facts;

	for (int i = 0; i < 2000; i++) {
		if (ask("{\"verb\":\"status\"}", &facts).kind == FAULT_NONE && facts.ready &&
		    facts.lines == 4)
			return facts;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	fail_msg("the daemon is not ready");
	return facts;
}

static bool says_hello(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[64] = "";
	ssize_t n, len = 0;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
		close(fd);
		return false;
	}
	while ((n = read(fd, text + len, sizeof(text) - 1 - (size_t)len)) > 0)
		len += n;
	close(fd);
	return strncmp(text, "hello from ", 11) == 0 && strstr(text, "hello.example");
}

static void stop(void)
{
	assert_int_equal(kill(master, SIGTERM), 0);
	assert_int_equal(wait_exit(master), 0);
	master = 0;
}

static int set_up(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/postroom-master-XXXXXX");
	if (!mkdtemp(root) || instance_create(root, &instance).kind || instance_seal(instance).kind)
		return -1;
	put_conf("");
	return 0;
}

static int tear_down(void **state)
{
	pid_t pid;
	(void)state;

	if (master) {
		kill(master, SIGKILL);
		waitpid(master, NULL, 0);
		master = 0;
	}
	instance_close(&instance);
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", root, (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static void a_helper_answers_its_own_verbs_and_is_started_again(void **state)
{
	struct facts facts;
	uint64_t first;
	(void)state;

	master = start();
	wait_ready();
	assert_int_equal(ask("{\"verb\":\"whisper\"}", &facts).kind, FAULT_NONE);
	assert_int_equal(facts.lines, 1);
	assert_false(facts.sees_passwd);
	first = facts.whisperer;
	assert_true(first);
	assert_int_equal(kill((pid_t)first, SIGKILL), 0);
	for (int i = 0; i < 2000 && (!facts.whisperer || facts.whisperer == first); i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		(void)ask("{\"verb\":\"whisper\"}", &facts).kind;
	}
	assert_true(facts.whisperer && facts.whisperer != first);
	assert_true(says_hello());
	stop();
	assert_int_equal(kill((pid_t)facts.whisperer, 0), -1);
}

static void a_daemon_serves_in_its_sandbox_and_stops(void **state)
{
	struct facts facts;
	char path[128];
	struct stat st;
	(void)state;

	master = start();
	facts = wait_ready();
	assert_int_equal(facts.layers, 3 * SANDBOX_LAYERS);
	assert_int_equal(facts.layers_active, facts.layers);
	assert_false(facts.sees_passwd);
	assert_true(says_hello());
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/mail/worker-%d", root, i);
		assert_int_equal(stat(path, &st), 0);
	}
	assert_int_equal(pidfile_holder(instance, "hellod"), master);
	stop();
	assert_false(says_hello());
	assert_int_equal(pidfile_holder(instance, "hellod"), 0);
	snprintf(path, sizeof(path), "%s/run/hellod.sock", root);
	assert_int_not_equal(stat(path, &st), 0);
	assert_int_equal(kill((pid_t)facts.pids[0], 0), -1);
	assert_int_equal(kill((pid_t)facts.pids[1], 0), -1);
}

static void a_second_daemon_and_a_taken_port_are_refused(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	(void)state;

	master = start();
	(void)wait_ready();
	assert_int_equal(wait_exit(start()), 4);
	assert_true(says_hello());
	stop();
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(wait_exit(start()), 1);
	close(fd);
}

static void a_dead_worker_comes_back(void **state)
{
	struct facts before, after;
	(void)state;

	master = start();
	before = wait_ready();
	assert_int_equal(ask("{\"verb\":\"crash\",\"which\":1}", &after).kind, FAULT_UNAVAILABLE);
	assert_true(says_hello());      /* the other one serves meanwhile */
	for (int i = 0; i < 1000; i++) {
		after = wait_ready();
		if (after.restarts)
			break;
	}
	assert_int_equal(after.restarts, 1);
	assert_true(after.pids[0] == before.pids[0]);
	assert_true(after.pids[1] != before.pids[1]);
	stop();
}

static void a_worker_stuck_in_a_write_transaction_is_killed(void **state)
{
	struct facts before, after = { .lines = 0 };
	(void)state;

	master = start();
	before = wait_ready();
	assert_int_equal(ask("{\"verb\":\"stuck\"}", &after).kind, FAULT_NONE);
	for (int i = 0; i < 2000 && !after.restarts; i++) {
		after = wait_ready();
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	assert_int_equal(after.restarts, 1);
	assert_true(after.pids[0] != before.pids[0]);
	assert_true(after.pids[1] == before.pids[1]);
	stop();
}

/* Have its threads been stopped? */
static bool is_stopped(uint64_t pid)
{
	char path[64], text[512] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid);
	file = fopen(path, "r");
	if (file && !fgets(text, sizeof(text), file))
		text[0] = '\0';
	if (file)
		fclose(file);
	return strstr(text, ") T ") != NULL;
}

/* However many are asked for while a worker is busy, it does one more, with what was asked for last. */
static void reloads_that_come_meanwhile_are_one(void **state)
{
	struct facts before, after;
	(void)state;

	master = start();
	before = wait_ready();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(kill((pid_t)before.pids[i], SIGSTOP), 0);
		while (!is_stopped(before.pids[i]))
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	for (int i = 1; i <= 20; i++) {
		char text[64];

		snprintf(text, sizeof(text), "message-size %dM\n", i);
		put_conf(text);
		assert_int_equal(ask("{\"verb\":\"reload\"}", &after).kind, FAULT_NONE);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(kill((pid_t)before.pids[i], SIGCONT), 0);
	after = wait_ready();
	assert_true(after.message_size == 20u << 20);
	assert_true(after.pids[0] == before.pids[0] && after.pids[1] == before.pids[1]);
	assert_in_range(after.reloads, before.reloads + 1, before.reloads + 3);        /* the last ones may still have been on their way */
	stop();
}

static void a_reload_reaches_the_workers_and_an_error_changes_nothing(void **state)
{
	struct facts before, after;
	(void)state;

	master = start();
	before = wait_ready();
	assert_true(before.message_size == 50u << 20);
	put_conf("message-size 7M\n");
	assert_int_equal(ask("{\"verb\":\"reload\"}", &after).kind, FAULT_NONE);
	after = wait_ready();
	assert_true(after.message_size == 7u << 20);
	assert_int_equal(after.reloads, 1);
	put_conf("message-size 9M\n");         /* somebody is writing while a certificate is renewed */
	assert_int_equal(ask("{\"verb\":\"reload\",\"what\":\"certificates\"}", &after).kind, FAULT_NONE);
	assert_int_equal(ask("{\"verb\":\"reload\",\"what\":\"nonsense\"}", &after).kind, FAULT_INVALID);
	after = wait_ready();
	assert_true(after.message_size == 7u << 20);
	assert_int_equal(after.reloads, 1);
	put_conf("message-size much\nnonsense\n");
	assert_int_equal(ask("{\"verb\":\"reload\"}", &after).kind, FAULT_INVALID);
	assert_int_equal(after.lines, 2);
	assert_int_equal(kill(master, SIGHUP), 0);
	assert_int_equal(ask("{\"verb\":\"crash\",\"which\":0}", &after).kind, FAULT_UNAVAILABLE);
	after = wait_ready(); /* a worker that starts now gets the configuration in force */
	assert_true(after.message_size == 7u << 20);
	assert_true(after.pids[1] == before.pids[1]);
	put_conf("message-size 8M\n");
	assert_int_equal(kill(master, SIGHUP), 0);
	for (int i = 0; i < 1000 && after.message_size != 8u << 20; i++)
		after = wait_ready();
	assert_true(after.message_size == 8u << 20);
	stop();
}

static int rehearse(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/proc/self/exe", "hellod", "--root", root, "--rehearse", (char *)NULL);
		_exit(127);
	}
	return wait_exit(pid);
}

static void a_rehearsal_says_whether_it_could_start_and_touches_nobody_who_serves(void **state)
{
	struct facts before, after;
	char path[256];
	(void)state;

	assert_int_equal(rehearse(), 0);
	master = start();
	before = wait_ready();
	assert_int_equal(rehearse(), 0);
	/* A worker of it would fail where it opens its store. */
	snprintf(path, sizeof(path), "%s/worker-0", instance_path(instance, INSTANCE_MAIL));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(rehearse(), 1);
	put_conf("nonsense yes\n");
	assert_int_equal(rehearse(), 1);
	after = wait_ready();
	assert_true(after.pids[0] == before.pids[0] && after.pids[1] == before.pids[1]);
	assert_true(says_hello());
	assert_int_equal(rmdir(path), 0);
	stop();
}

static void workers_end_when_their_master_is_killed(void **state)
{
	struct facts facts;
	bool gone = false;
	(void)state;

	master = start();
	facts = wait_ready();
	assert_int_equal(kill(master, SIGKILL), 0);
	assert_int_equal(wait_exit(master), 1000 + SIGKILL);
	for (int i = 0; i < 1000 && !gone; i++) {
		gone = !says_hello() && (kill((pid_t)facts.pids[0], 0) != 0);
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	assert_true(gone);
	master = start();               /* what it left behind is in nobody's way */
	(void)wait_ready();
	assert_true(says_hello());
	stop();
}

static void a_wrong_command_line_or_instance_is_told(void **state)
{
	pid_t pid = fork();
	(void)state;

	if (pid == 0) {
		execl("/proc/self/exe", "hellod", "--root", root, "--colour", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(wait_exit(pid), 2);
	put_conf("nonsense yes\n");
	assert_int_equal(wait_exit(start()), 1);
	unlink(instance_path(instance, INSTANCE_FORMAT_FILE));
	assert_int_equal(wait_exit(start()), 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_helper_answers_its_own_verbs_and_is_started_again,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_daemon_serves_in_its_sandbox_and_stops, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_second_daemon_and_a_taken_port_are_refused,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_dead_worker_comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_worker_stuck_in_a_write_transaction_is_killed,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			reloads_that_come_meanwhile_are_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_reload_reaches_the_workers_and_an_error_changes_nothing, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_rehearsal_says_whether_it_could_start_and_touches_nobody_who_serves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(workers_end_when_their_master_is_killed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_wrong_command_line_or_instance_is_told, set_up,
						tear_down),
	};

	if (argc > 1 && strcmp(argv[1], "--root") == 0)
		return daemon_main(&spec, argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
