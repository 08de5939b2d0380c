/* postroom serve|stop|reload: the parent of every process of an instance. It starts the daemons, starts again
 * what ends, passes SIGHUP on, and keeps the listening sockets for who comes next. It reads nothing from the network. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uv.h>

#include "admin/daemons.h"
#include "admin/delegate.h"
#include "admin/migrate.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/rehearsal.h"
#include "admin/rounds.h"
#include "admin/upgrade.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/control.h"
#include "common/handover.h"
#include "common/instance.h"
#include "common/listener.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/memory.h"
#include "common/supervise.h"

#include "common/banned.h"

#define READY_WAIT_MS 60000
#define READY_POLL_MS 20
#define START_MS 10000          /* a daemon that fails so soon has never begun to serve */
#define RELOAD_MS 20000          /* for each daemon */
#define GIVE_WAY_MS 15000       /* for a daemon to give up its names before another program takes over */
#define STOP_EXTRA_MS 15000     /* beyond what workers may take to finish */

/* ---- the parent ---- */

struct parent;

struct daemon_child {
	struct parent *parent;
	const char *name;
	char path[4096];
	const char *argv[5];
	struct child *child;            /* NULL: it is not to run */
	pid_t pid;                      /* of the process that was started last */
	uint64_t first_start_ms;        /* 0: never started */
	bool is_for_mail;
	bool is_ready;                  /* it has been, once */
	bool can_give_way;              /* this process of it serves */
	bool is_gone;                   /* it has given up its names: another program may take them */
	uv_poll_t said;                 /* on what it tells us (common/handover.h) */
	int ends[2];
	int sockets[HANDOVER_MAX];      /* on which it listens */
	size_t socket_count;
	int *keep;                      /* what it inherits: its end, sockets of the service manager and those that were kept */
	size_t keep_count;
};

/* A master of a former program. */
struct former {
	struct parent *parent;
	struct child *child;            /* NULL: behind the last one */
	pid_t pid;
};

struct parent {
	struct loop *loop;
	struct supervisor *supervisor;
	struct daemon_child daemons[DAEMON_COUNT];
	struct child *delegates;        /* answers holders of tokens; NULL: nobody is to */
	const char *delegates_argv[6];
	uv_signal_t signals[4];
	uint64_t grace_ms;
	size_t passed_count;            /* listening sockets of the service manager, from LISTENERS_PASSED_FIRST on */
	struct upgrade_inheritance from;        /* what the program before us left: until all daemons have taken theirs */
	struct former formers[UPGRADE_FORMER_MAX];
	char program[4096];             /* our own; a newer one may lie there by now */
	const struct instance *instance;
	const struct pidfile *pidfile;
	struct rounds *rounds;
	struct timer giving_way;
	int code;
	bool is_stopping, is_upgrading;
	bool is_successor;              /* of another program: sessions go on with its daemons */
};

/* ---- what daemons say ---- */

static void close_sockets(int *sockets, size_t *count)
{
	for (size_t i = 0; i < *count; i++)
		close(sockets[i]);
	*count = 0;
}

/* The service manager hears of it when mail can come in by every door. Mail does not wait for the web front. */
static void note_ready(struct daemon_child *d)
{
	struct parent *p = d->parent;
	bool is_news = !d->is_ready, all = true, all_mail = true;

	d->is_ready = true;
	d->can_give_way = true;
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		bool misses = p->daemons[i].child && !p->daemons[i].is_ready;

		all = all && !misses;
		all_mail = all_mail && !(misses && i < DAEMON_MAIL_COUNT);
	}
	if (all)
		close_sockets(p->from.sockets, &p->from.socket_count);  /* what nobody took has no listener any more */
	if (all_mail && is_news && !p->is_stopping && d->is_for_mail)
		notify_service_manager("READY=1");
	if (p->is_upgrading)
		child_signal(d->child, SIGUSR2);
}

/* Are these the same socket? The service manager's are ours already. */
static bool is_passed(const struct parent *p, int fd)
{
	struct stat ours, theirs;

	for (size_t i = 0; i < p->passed_count; i++)
		if (fstat(fd, &theirs) == 0 && fstat(LISTENERS_PASSED_FIRST + (int)i, &ours) == 0 && ours.st_ino == theirs.st_ino &&
		    ours.st_dev == theirs.st_dev)
			return true;
	return false;
}

static void keep_sockets(struct daemon_child *d, const int *fds, size_t count)
{
	close_sockets(d->sockets, &d->socket_count);
	for (size_t i = 0; i < count; i++) {
		if (is_passed(d->parent, fds[i]))
			close(fds[i]);
		else
			d->sockets[d->socket_count++] = fds[i];
	}
}

static void go_on_with_upgrade(struct parent *p);

static void on_said(uv_poll_t *handle, int status, int events)
{
	struct daemon_child *d = handle->data;
	int fds[HANDOVER_MAX];
	size_t count = 0;
	enum handover what = status < 0 ? HANDOVER_NONE : handover_receive(d->ends[0], fds, &count);

	(void)events;
	if (what == HANDOVER_READY) {
		keep_sockets(d, fds, count);
		note_ready(d);
	} else if (what == HANDOVER_GONE) {
		pid_t pid = child_pid(d->child);        /* 0: it said so and has ended; its name is taken by the next one */
		struct fault f = pid ? control_give_way(d->parent->instance, d->name, pid) : FAULT_OK;

		d->is_gone = true;

		if (f.kind)
			log_warn(NULL, "serve.give_way", KV_FAULT("fault", f));
		go_on_with_upgrade(d->parent);
	}
}

static struct fault listen_to(struct daemon_child *d)
{
	struct parent *p = d->parent;
	struct fault f = handover_pair(d->ends);

	if (f.kind)
		return f;
	d->keep = xcalloc(1 + p->passed_count + 2 * HANDOVER_MAX, sizeof(*d->keep));
	uv_poll_init(loop_uv(p->loop), &d->said, d->ends[0]);
	d->said.data = d;
	uv_poll_start(&d->said, UV_READABLE, on_said);
	return FAULT_OK;
}

static void listen_no_more(struct daemon_child *d)
{
	if (!d->keep)
		return;
	uv_close((uv_handle_t *)&d->said, NULL);
	close(d->ends[0]);
	close(d->ends[1]);
	close_sockets(d->sockets, &d->socket_count);
	free(d->keep);
}

/* Its own sockets, when it has listened before; else all that the program before us left, of which it takes what is its own. */
static void list_what_it_inherits(struct daemon_child *d)
{
	struct parent *p = d->parent;
	const int *sockets = d->socket_count ? d->sockets : p->from.sockets;
	size_t count = d->socket_count ? d->socket_count : p->from.socket_count;

	d->keep_count = 0;
	d->keep[d->keep_count++] = d->ends[1];
	for (size_t i = 0; i < p->passed_count; i++)
		d->keep[d->keep_count++] = LISTENERS_PASSED_FIRST + (int)i;
	for (size_t i = 0; i < count; i++)
		d->keep[d->keep_count++] = sockets[i];
	handover_offer(d->ends[1], sockets, count);
}

/* passed_sockets - how many the service manager gave us (sd_listen_fds(3)). They are for the daemons, not for other children. */
static size_t passed_sockets(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint32_t n;

	if (!pid || !fds || !sv_to_u32(sv_z(pid), &n) || n != (uint32_t)getpid() || !sv_to_u32(sv_z(fds), &n) ||
	    n > LISTENERS_PASSED_MAX)
		return 0;
	for (int fd = LISTENERS_PASSED_FIRST; fd < LISTENERS_PASSED_FIRST + (int)n; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return n;
}

/* ---- the daemons ---- */

static void stop_all(struct parent *p)
{
	if (!p->is_stopping)
		notify_service_manager("STOPPING=1");
	p->is_stopping = true;
	p->is_upgrading = false;
	timer_stop(&p->giving_way);
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		if (p->daemons[i].child)
			child_stop(p->daemons[i].child, p->grace_ms);
	if (p->delegates)
		child_stop(p->delegates, p->grace_ms);
	for (size_t i = 0; i < UPGRADE_FORMER_MAX && p->formers[i].child; i++)
		child_stop(p->formers[i].child, p->grace_ms);
	if (!supervisor_running(p->supervisor))
		loop_stop(p->loop);
}

static struct fault on_prepare(void *arg, const char *const **argv, const int **keep, size_t *keep_count)
{
	struct daemon_child *d = arg;

	d->can_give_way = d->is_gone = false;
	list_what_it_inherits(d);
	*argv = d->argv;
	*keep = d->keep;
	*keep_count = d->keep_count;
	return FAULT_OK;
}

static void on_started(void *arg, pid_t pid)
{
	struct daemon_child *d = arg;

	d->pid = pid;
	if (!d->first_start_ms)
		d->first_start_ms = loop_now_ms(d->parent->loop) + 1;
	log_info(NULL, "serve.daemon.start", KV_Z("name", d->name), KV_U64("child", (uint64_t)pid));
}

static void on_ended(void *arg, int status, uint64_t restart_ms)
{
	struct daemon_child *d = arg;
	struct parent *p = d->parent;

	d->can_give_way = false;
	control_forget_way(p->instance, d->name, d->pid);       /* it may have given way, and had nobody to stay for */
	log_info(NULL, "serve.daemon.end", KV_Z("name", d->name),
		 KV_I64("status", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status)),
		 KV_BOOL("again", !p->is_stopping && restart_ms != UINT64_MAX));
	/* One that cannot even begin (a port that is taken, a mistake in the configuration) would fail for ever, and the
	 * person who typed `serve` is there to read why. */
	bool is_new = loop_now_ms(p->loop) - d->first_start_ms < START_MS && child_restarts(d->child) <= 1;
	bool is_failure = !p->is_stopping && is_new && WIFEXITED(status) && WEXITSTATUS(status) != 0;

	if (is_failure && !d->is_for_mail) {
		complain("postroom doctor", "%s could not start; the line above says why. Mail goes on without it", d->name);
	} else if (is_failure && p->is_successor) {
		complain("postroom log", "the new %s could not start; the line above says why. It is tried again, the others serve, and so does the "
			 "former one those who are there", d->name);
	} else if (is_failure) {
		complain(NULL, "%s could not start; the line above says why", d->name);
		p->code = EXIT_FAILED;
		stop_all(p);
	} else if (p->is_stopping && !supervisor_running(p->supervisor)) {
		loop_stop(p->loop);
	}
	go_on_with_upgrade(p);
}

static const struct child_events child_events = {
	.prepare = on_prepare,
	.started = on_started,
	.ended = on_ended,
};

/* ---- who answers holders of tokens ---- */

static struct fault delegates_prepare(void *arg, const char *const **argv, const int **keep, size_t *keep_count)
{
	const struct parent *p = arg;

	*argv = p->delegates_argv;
	*keep = NULL;
	*keep_count = 0;
	return FAULT_OK;
}

static void delegates_started(void *arg, pid_t pid)
{
	(void)arg;
	log_info(NULL, "serve.delegates.start", KV_U64("child", (uint64_t)pid));
}

/* Mail goes on without it; what was wrong stands in the log, and it is tried again, unless that would be in vain. */
static void delegates_ended(void *arg, int status, uint64_t restart_ms)
{
	struct parent *p = arg;

	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_USAGE) {
		child_retire(p->delegates);
		restart_ms = UINT64_MAX;
	}
	log_info(NULL, "serve.delegates.end", KV_I64("status", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status)),
		 KV_BOOL("again", !p->is_stopping && restart_ms != UINT64_MAX));
	if (p->is_stopping && !supervisor_running(p->supervisor))
		loop_stop(p->loop);
	go_on_with_upgrade(p);
}

static const struct child_events delegates_events = {
	.prepare = delegates_prepare,
	.started = delegates_started,
	.ended = delegates_ended,
};

static void add_delegates(struct parent *p, struct cli *cli, const struct conf *conf)
{
	char path[DELEGATE_SOCKET_MAX];

	if (!delegate_socket(conf, cli->root, path))
		return;
	p->delegates_argv[0] = "postroom";
	p->delegates_argv[1] = "--root";
	p->delegates_argv[2] = cli->root;
	p->delegates_argv[3] = "delegate";
	p->delegates_argv[4] = "serve";
	p->delegates = child_add(p->supervisor, NULL, &delegates_events, p);
}

/* ---- another program ---- */

static void on_former_ended(void *arg, int status, uint64_t restart_ms)
{
	const struct former *former = arg;
	struct parent *p = former->parent;

	(void)restart_ms;
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		control_forget_way(p->instance, daemon_names[i], former->pid);
	log_info(NULL, "serve.former.end", KV_I64("status", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status)));
	if (p->is_stopping && !supervisor_running(p->supervisor))
		loop_stop(p->loop);
}

static const struct child_events former_events = { .ended = on_former_ended };

static void adopt_former(struct parent *p)
{
	for (size_t i = 0; i < p->from.former_count; i++)
		p->formers[i] = (struct former){ p, child_adopt(p->supervisor, p->from.former[i], &former_events, &p->formers[i]),
						 p->from.former[i] };
}

static void note_former(struct upgrade_inheritance *to, pid_t pid)
{
	if (pid && to->former_count < UPGRADE_FORMER_MAX)
		to->former[to->former_count++] = pid;
}

static void note_sockets(struct upgrade_inheritance *to, const int *sockets, size_t count)
{
	for (size_t i = 0; i < count && to->socket_count < HANDOVER_MAX; i++)
		to->sockets[to->socket_count++] = sockets[i];
}

/* All daemons have given up their names: become the program that lies where ours did. Processes and sockets stay. */
static void become_newer_program(struct parent *p)
{
	struct upgrade_inheritance to = { .pidfile = p->pidfile->fd };

	note_sockets(&to, p->from.sockets, p->from.socket_count);
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		note_sockets(&to, p->daemons[i].sockets, p->daemons[i].socket_count);
		if (p->daemons[i].child)
			note_former(&to, child_pid(p->daemons[i].child));
	}
	for (size_t i = 0; i < UPGRADE_FORMER_MAX && p->formers[i].child; i++)
		note_former(&to, child_pid(p->formers[i].child));
	note_former(&to, rounds_pid(p->rounds));
	rounds_stop(&p->rounds);
	for (size_t i = 0; i < p->passed_count; i++)
		fcntl(LISTENERS_PASSED_FIRST + (int)i, F_SETFD, 0);
	log_info(NULL, "serve.upgrade", KV_Z("program", p->program), KV_U64("sockets", to.socket_count));
	upgrade_execute(p->program, instance_path(p->instance, INSTANCE_ROOT), &to);
	complain(NULL, "neither the newer nor this program could be executed again; stopping");
	p->code = EXIT_FAILED;
	stop_all(p);
}

static void go_on_with_upgrade(struct parent *p)
{
	if (!p->is_upgrading || p->is_stopping)
		return;
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		if (p->daemons[i].child && child_pid(p->daemons[i].child) && !p->daemons[i].is_gone)
			return;
	if (p->delegates && child_pid(p->delegates))
		return;
	become_newer_program(p);
}

/* One that neither serves nor ends would hold everybody up. */
static void on_no_way(struct timer *t)
{
	struct parent *p = CONTAINER_OF(t, struct parent, giving_way);

	for (size_t i = 0; i < DAEMON_COUNT; i++)
		if (p->daemons[i].child && !p->daemons[i].is_gone)
			child_kill(p->daemons[i].child);
	if (p->delegates)
		child_kill(p->delegates);
}

static void begin_upgrade(struct parent *p)
{
	if (p->is_stopping || p->is_upgrading)
		return;
	p->is_upgrading = true;
	timer_start_ms(&p->giving_way, GIVE_WAY_MS);
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		if (p->daemons[i].child && p->daemons[i].can_give_way)
			child_signal(p->daemons[i].child, SIGUSR2);     /* one that is just starting: when it serves */
	if (p->delegates)
		child_stop(p->delegates, p->grace_ms);          /* its requests are short, and its socket has a name */
	go_on_with_upgrade(p);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct parent *p = handle->data;

	if (number == SIGUSR2) {
		begin_upgrade(p);
		return;
	}
	if (number == SIGHUP) {
		for (size_t i = 0; i < DAEMON_COUNT; i++)
			if (p->daemons[i].child)
				child_signal(p->daemons[i].child, SIGHUP);
		return;
	}
	stop_all(p);
}

static int run_parent(struct cli *cli, const struct conf *conf, const struct upgrade_inheritance *from, const struct pidfile *pidfile)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR2 };
	struct parent p = { .grace_ms = conf->host.stop_ms + STOP_EXTRA_MS, .passed_count = passed_sockets(), .instance = cli->instance,
			    .from = *from, .pidfile = pidfile, .is_successor = from->pidfile >= 0 };

	(void)program_path(getpid(), p.program, sizeof(p.program));
	struct fault f = loop_new(&p.loop);

	if (!f.kind)
		f = supervisor_new(p.loop, &p.supervisor);
	if (f.kind) {
		loop_free(&p.loop);
		return cli_fault("serve", f);
	}
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uv_signal_init(loop_uv(p.loop), &p.signals[i]);
		p.signals[i].data = &p;
		uv_signal_start(&p.signals[i], on_signal, numbers[i]);
	}
	timer_init(&p.giving_way, p.loop, on_no_way);
	adopt_former(&p);
	upgrade_unblock_signals();
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		struct daemon_child *d = &p.daemons[i];
		if (!daemon_is_wanted(conf, i))
			continue;
		d->parent = &p;
		d->name = daemon_names[i];
		d->is_for_mail = i < DAEMON_MAIL_COUNT;
		if (!daemon_path(p.program, d->name, d->path, sizeof(d->path))) {
			complain(NULL, "the program %s is neither beside postroom nor in %s", d->name, POSTROOM_LIBEXECDIR);
			p.code = EXIT_FAILED;
			break;
		}
		d->argv[0] = d->path;
		d->argv[1] = "--root";
		d->argv[2] = cli->root;
		d->argv[3] = "--supervised"; /* ends with us; we talk to the service manager */
		f = listen_to(d);
		if (f.kind) {
			p.code = cli_fault("serve", f);
			break;
		}
		d->child = child_add(p.supervisor, d->path, &child_events, d);
	}
	if (p.code == EXIT_DONE) {
		for (size_t i = 0; i < DAEMON_COUNT; i++)
			if (p.daemons[i].child)
				child_start(p.daemons[i].child);
		add_delegates(&p, cli, conf);
		if (p.delegates)
			child_start(p.delegates);
		p.rounds = rounds_start(p.loop, cli->root);
		loop_run(p.loop);
		rounds_stop(&p.rounds);
	}
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		uv_close((uv_handle_t *)&p.signals[i], NULL);
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		listen_no_more(&p.daemons[i]);
	close_sockets(p.from.sockets, &p.from.socket_count);
	supervisor_free(&p.supervisor);
	loop_free(&p.loop);
	return p.code;
}

static void log_step(void *arg, const char *what)
{
	(void)arg;
	log_info(NULL, "serve.migrate.step", KV_Z("what", what));
}

/* An instance of an older version becomes ours. When that fails, on a full disk for one, mail goes on in the older format. */
static int bring_to_our_format(struct cli *cli)
{
	char snapshot[MIGRATE_PATH_MAX];

	if (!migrate_is_needed(cli->instance))
		return EXIT_DONE;
	struct fault f = migrate_run(cli->instance, log_step, NULL);

	if (f.kind && migrate_is_unfinished(cli->instance)) {
		complain("postroom migrate", "%s is on its way to another format, and cannot go on: %s", cli->root, f.detail);
		return EXIT_FAILED;
	}
	migrate_snapshot(cli->instance, snapshot);
	if (f.kind) {
		log_error(NULL, "serve.migrate.failed", KV_U64("format", instance_format(cli->instance)), KV_FAULT("fault", f));
		complain("mend that, then postroom stop, postroom serve --detach", "%s keeps format %u, and mail goes on in that: %s", cli->root,
			 instance_format(cli->instance), f.detail);
	} else {
		log_info(NULL, "serve.migrate.done", KV_U64("format", instance_format(cli->instance)), KV_Z("snapshot", snapshot));
	}
	return EXIT_DONE;
}

static int serve_here(struct cli *cli, const struct conf *conf)
{
	struct pidfile pidfile = PIDFILE_NONE;
	struct upgrade_inheritance from;
	struct fault f = fault(FAULT_NOT_FOUND, "none");

	upgrade_inherit(&from);
	if (from.pidfile >= 0)
		f = pidfile_keep(cli->instance, "postroom", from.pidfile, &pidfile);
	if (f.kind == FAULT_NOT_FOUND)
		f = pidfile_take(cli->instance, "postroom", &pidfile);
	if (f.kind == FAULT_IN_USE) {
		complain("postroom stop", "%s", f.detail);
		return EXIT_FAILED;
	}
	if (f.kind)
		return cli_fault("pid file", f);
	int code = bring_to_our_format(cli);

	if (code == EXIT_DONE)
		code = run_parent(cli, conf, &from, &pidfile);

	pidfile_drop(&pidfile);
	if (code == EXIT_DONE)          /* else somebody wants to read its log */
		instance_leave_run(cli->instance);
	return code;
}

/* ---- --detach ---- */

/* The child's standard error goes to a file in the instance; what it said is shown when it fails. */
static void detach_output(const char *log_path)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	dup2(null, STDIN_FILENO);
	dup2(log >= 0 ? log : null, STDOUT_FILENO);
	dup2(log >= 0 ? log : null, STDERR_FILENO);
}

static void show_since(const char *path, off_t from)
{
	char line[4096];
	FILE *file = fopen(path, "re");

	if (!file)
		return;
	if (fseeko(file, from, SEEK_SET) == 0)
		while (fgets(line, sizeof(line), file))
			fputs(line, stderr);
	fclose(file);
}

/* Wait until everything answers; *pid is the process that was started. */
static int wait_ready(struct cli *cli, const struct conf *conf, pid_t pid, const char *log_path, off_t log_from)
{
	for (unsigned waited = 0; waited < READY_WAIT_MS; waited += READY_POLL_MS) {
		int status;
		if (waitpid(pid, &status, WNOHANG) == pid) {
			show_since(log_path, log_from);
			complain(NULL, "the server did not start; its log is %s", log_path);
			return EXIT_FAILED;
		}
		bool all = daemons_answer(cli->instance, conf, DAEMON_COUNT);

		/* Mail does not wait for ever for the web front. */
		if (all || (waited >= START_MS && daemons_answer(cli->instance, conf, DAEMON_MAIL_COUNT))) {
			if (!all)
				complain("postroom doctor", "the web front does not answer; mail goes on without it");
			if (!cli->json)
				printf("running, process %d; log in %s\n", (int)pid,
				       conf->log.file[0] ? conf->log.file : log_path);
			return EXIT_DONE;
		}
		usleep(READY_POLL_MS * 1000);
	}
	kill(pid, SIGTERM);
	show_since(log_path, log_from);
	complain(NULL, "not every listener answered within %d s; stopped again", READY_WAIT_MS / 1000);
	return EXIT_FAILED;
}

static int serve_detached(struct cli *cli, const struct conf *conf)
{
	pid_t running = pidfile_holder(cli->instance, "postroom");
	struct stat st;

	if (running) {
		complain("postroom status", "it runs already, process %d", (int)running);
		return EXIT_FAILED;
	}
	char *log_path = instance_run_path(cli->instance, "server", ".log");
	off_t log_from = stat(log_path, &st) == 0 ? st.st_size : 0;
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		detach_output(log_path);
		int code = serve_here(cli, conf);
		instance_close(&cli->instance);
		_exit(code);
	}
	int code = EXIT_FAILED;

	if (pid < 0)
		complain(NULL, "fork: %s", strerrordesc_np(errno));
	else
		code = wait_ready(cli, conf, pid, log_path, log_from);
	free(log_path);
	return code;
}

static int run_serve(struct cli *cli)
{
	struct conf *conf = NULL;
	char program[4096];
	uint32_t wait_s;

	if (!rehearsal_wait(cli, &wait_s))
		return EXIT_USAGE;
	int code = cli_open_instance_for_ports(cli);

	if (code == EXIT_DONE)
		code = open_conf(cli, &conf);
	if (code != EXIT_DONE)
		return code;
	if (cli_option(cli, "rehearse")) {
		(void)program_path(getpid(), program, sizeof(program));
		code = rehearse_daemons(cli, conf, program, wait_s);
		conf_unref(&conf);
		return code;
	}
	log_set_level(conf->log.level);
	struct fault f = instance_settle_run(cli->instance);

	if (f.kind) {
		conf_unref(&conf);
		return cli_fault("run folder", f);
	}
	f = log_set_file(conf->log.file);
	if (fault_is_unwritable(f.kind)) {        /* what cannot be logged there is no reason not to serve */
		(void)cli_fault(conf->log.file, f);
		f = FAULT_OK;
	}
	if (instance_read_only(cli->instance))
		complain("see dmesg why, and mount it again: the server notices by itself",
			 "%s lies on a file system that can only be read: mail can be read, none is taken, sent or changed",
			 instance_read_only(cli->instance));
	if (f.kind)
		code = cli_fault(conf->log.file, f);
	else
		code = cli_option(cli, "detach") ? serve_detached(cli, conf) : serve_here(cli, conf);
	conf_unref(&conf);
	return code;
}

/* ---- stop, reload ---- */

static int run_stop(struct cli *cli)
{
	pid_t pid = pidfile_holder(cli->instance, "postroom");

	if (!pid) {
		complain(NULL, "nothing runs for %s", cli->root);
		return EXIT_UNAVAILABLE;
	}
	if (kill(pid, SIGTERM) != 0) {
		complain(NULL, "process %d: %s", (int)pid, strerrordesc_np(errno));
		return EXIT_FAILED;
	}
	struct conf *conf = NULL;
	uint64_t wait_ms = STOP_EXTRA_MS + 20000;

	if (open_conf(cli, &conf) == EXIT_DONE)
		wait_ms = conf->host.stop_ms + 2 * STOP_EXTRA_MS;
	conf_unref(&conf);
	for (uint64_t waited = 0; waited < wait_ms; waited += 20) {
		if (pidfile_holder(cli->instance, "postroom") != pid) {
			if (!cli->json)
				printf("stopped\n");
			return EXIT_DONE;
		}
		usleep(20000);
	}
	complain(NULL, "process %d has not ended yet; it is finishing what it does", (int)pid);
	return EXIT_FAILED;
}

static bool no_answer(void *arg, const struct json *answer)
{
	(void)arg;
	(void)answer;
	return true;
}

/* For programs that renew certificates: what somebody is just writing into postroom.conf is no matter of theirs. */
static int reload_certificates(struct cli *cli)
{
	size_t told = 0;
	int code = EXIT_DONE;

	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		struct fault f = control_ask(cli->instance, daemon_names[i], SV("{\"verb\":\"reload\",\"what\":\"certificates\"}"),
					     no_answer, NULL, RELOAD_MS);

		told += !f.kind;
		if (f.kind && f.kind != FAULT_UNAVAILABLE)      /* one that does not run has nothing to forget */
			code = cli_fault(daemon_names[i], f);
	}
	if (told || code != EXIT_DONE)
		return code;
	complain("postroom serve --detach", "nothing runs for %s", cli->root);
	return EXIT_UNAVAILABLE;
}

static int run_reload(struct cli *cli)
{
	struct conf *conf = NULL;

	if (cli_option(cli, "certificates"))
		return reload_certificates(cli);

	int code = open_conf(cli, &conf);
	pid_t pid = pidfile_holder(cli->instance, "postroom");

	conf_unref(&conf);
	if (code != EXIT_DONE)
		return code;    /* every error was named; what runs goes on with what it has */
	if (!pid) {
		complain("postroom serve --detach", "nothing runs for %s", cli->root);
		return EXIT_UNAVAILABLE;
	}
	if (kill(pid, SIGHUP) != 0) {
		complain(NULL, "process %d: %s", (int)pid, strerrordesc_np(errno));
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

const struct verb serve_verbs[] = {
	{ .noun = "serve", .args = "", .summary = "Run the mail server",
	  .example = "--root /var/lib/postroom serve --detach", .run = run_serve,
	  .options = { { "detach", NULL, "return once every listener answers" },
		       { "rehearse", NULL, "only try whether every daemon could start, beside a server that runs" },
		       { "wait", "SECONDS", "with --rehearse: how long each may take; 60 unless given" } } },
	{ .noun = "stop", .args = "", .needs_root = true, .summary = "Stop the mail server", .example = "stop",
	  .run = run_stop },
	{ .noun = "reload", .args = "", .needs_root = true,
	  .summary = "Read configuration and certificates anew; no session ends",
	  .example = "reload", .run = run_reload,
	  .options = { { "certificates", NULL, "these alone, for programs that renew them: postroom.conf is not looked at" } } },
	{ .noun = "status", .args = "", .needs_root = true,
	  .summary = "Show what runs: processes, listeners, sessions, certificate, sandbox",
	  .example = "status --json", .run = run_status },
	{ .noun = NULL },
};
