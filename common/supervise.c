#include "common/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

struct supervisor {
	struct loop *loop;
	uv_signal_t on_child;           /* freed with the supervisor, in its close callback */
	struct child *children;
};

struct child {
	struct supervisor *supervisor;
	struct child *next;
	char *path;                     /* NULL: ourselves */
	const struct child_events *events;
	void *arg;
	pid_t pid;                      /* 0: does not run */
	bool wanted;
	uint64_t started_ms;
	uint64_t delay_ms;              /* before the next start */
	uint32_t restarts;
	struct timer again;             /* next start; or, while stopping, the end of patience */
};

/* ---- starting ---- */

/* In the child, between fork and exec: async-signal-safe calls only. Signals are blocked until no handler of the parent is left:
 * one would take a SIGTERM that is meant for the program, and tell the parent's loop that it had got it. */
static __attribute__((noreturn)) void become_program(const char *path, const char *const *argv,
						     const int *keep, size_t keep_count,
						     pid_t parent)
{
	static const int handled[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE, SIGUSR2 };
	sigset_t none;

	for (size_t i = 0; i < ARRAY_LEN(handled); i++)
		signal(handled[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (size_t i = 0; i < keep_count; i++)
		fcntl(keep[i], F_SETFD, 0);
	/* Nobody would look after us: end with the parent, also when it is killed. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	execv(path ? path : "/proc/self/exe", (char *const *)(uintptr_t)argv);
	_exit(127);
}

static struct fault start_program(struct child *child)
{
	const char *const *argv = NULL;
	const int *keep = NULL;
	size_t keep_count = 0;
	pid_t parent = getpid(), pid;
	sigset_t all, before;
	struct fault f = child->events->prepare(child->arg, &argv, &keep, &keep_count);

	if (f.kind)
		return f;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become_program(child->path, argv, keep, keep_count, parent);
	if (pid < 0)
		f = fault_errno("fork", argv[0]);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (f.kind)
		return f;
	child->pid = pid;
	child->started_ms = loop_now_ms(child->supervisor->loop);
	child->events->started(child->arg, pid);
	return FAULT_OK;
}

/* It ended, or could not be started: when is the next time? */
static void plan_restart(struct child *child, int status, bool steady)
{
	uint64_t delay = UINT64_MAX;

	if (child->wanted) {
		if (steady)
			child->delay_ms = 0;
		child->delay_ms = child->delay_ms ? child->delay_ms * 2 : SUPERVISE_DELAY_MIN_MS;
		if (child->delay_ms > SUPERVISE_DELAY_MAX_MS)
			child->delay_ms = SUPERVISE_DELAY_MAX_MS;
		delay = child->delay_ms;
		timer_start_ms(&child->again, delay);
		child->restarts++;
	}
	child->events->ended(child->arg, status, delay);
}

static void start_now(struct child *child)
{
	struct fault f = start_program(child);

	if (!f.kind)
		return;
	log_error(NULL, "supervise.start_failed", KV_FAULT("error", f));
	plan_restart(child, 127 << 8, false);
}

static void on_again(struct timer *t)
{
	struct child *child = (struct child *)((char *)t - offsetof(struct child, again));

	if (child->pid)
		kill(child->pid, SIGKILL);      /* was asked to stop, and patience is over */
	else if (child->wanted)
		start_now(child);
}

/* ---- ending ---- */

static void on_sigchld(uv_signal_t *handle, int signal_number)
{
	struct supervisor *supervisor = handle->data;
	(void)signal_number;

	/* Signals are merged: look at every child. ended() may not free children. */
	for (struct child *child = supervisor->children; child; child = child->next) {
		int status;
		bool steady;

		if (!child->pid || waitpid(child->pid, &status, WNOHANG) != child->pid)
			continue;
		child->pid = 0;
		timer_stop(&child->again);
		steady = loop_now_ms(supervisor->loop) - child->started_ms >= SUPERVISE_STEADY_MS;
		plan_restart(child, status, steady);
	}
}

/* ---- the outside ---- */

struct fault supervisor_new(struct loop *loop, struct supervisor **out)
{
	struct supervisor *supervisor = xcalloc(1, sizeof(*supervisor));
	int e;

	supervisor->loop = loop;
	supervisor->on_child.data = supervisor;
	e = uv_signal_init(loop_uv(loop), &supervisor->on_child);
	if (!e)
		e = uv_signal_start(&supervisor->on_child, on_sigchld, SIGCHLD);
	if (e) {
		free(supervisor);
		return fault_detail(FAULT_INTERNAL, "signal handler: %s", uv_strerror(e));
	}
	*out = supervisor;
	return FAULT_OK;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void supervisor_free(struct supervisor **supervisor)
{
	if (!*supervisor)
		return;
	while ((*supervisor)->children) {
		struct child *child = (*supervisor)->children;

		(*supervisor)->children = child->next;
		timer_stop(&child->again);
		free(child->path);
		free(child);
	}
	uv_close((uv_handle_t *)&(*supervisor)->on_child, on_closed);
	*supervisor = NULL;
}

struct child *child_add(struct supervisor *supervisor, const char *path,
			const struct child_events *events, void *arg)
{
	struct child *child = xcalloc(1, sizeof(*child));

	child->supervisor = supervisor;
	child->path = path ? xstrdup(path) : NULL;
	child->events = events;
	child->arg = arg;
	child->next = supervisor->children;
	supervisor->children = child;
	timer_init(&child->again, supervisor->loop, on_again);
	return child;
}

void child_start(struct child *child)
{
	child->wanted = true;
	if (!child->pid && !timer_is_running(&child->again))
		start_now(child);
}

void child_stop(struct child *child, uint64_t grace_ms)
{
	child->wanted = false;
	timer_stop(&child->again);
	if (!child->pid)
		return;
	kill(child->pid, SIGTERM);
	timer_start_ms(&child->again, grace_ms);
}

void child_retire(struct child *child)
{
	child->wanted = false;
	timer_stop(&child->again);
}

struct child *child_adopt(struct supervisor *supervisor, pid_t pid, const struct child_events *events, void *arg)
{
	struct child *child = child_add(supervisor, NULL, events, arg);

	child->pid = pid;
	child->started_ms = loop_now_ms(supervisor->loop);
	/* It may have ended before this program listened. */
	kill(getpid(), SIGCHLD);
	return child;
}

void child_kill(struct child *child)
{
	child_signal(child, SIGKILL);
}

void child_signal(struct child *child, int signal)
{
	if (child->pid)
		kill(child->pid, signal);
}

pid_t child_pid(const struct child *child)
{
	return child->pid;
}

uint32_t child_restarts(const struct child *child)
{
	return child->restarts;
}

size_t supervisor_running(const struct supervisor *supervisor)
{
	size_t n = 0;

	for (const struct child *child = supervisor->children; child; child = child->next)
		n += child->pid != 0;
	return n;
}

void notify_service_manager(const char *state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *name = getenv("NOTIFY_SOCKET");
	size_t len = name ? strlen(name) : 0;
	int fd;

	if (!len || len >= sizeof(to.sun_path) || (name[0] != '/' && name[0] != '@'))
		return;
	memcpy(to.sun_path, name, len);
	if (name[0] == '@')
		to.sun_path[0] = '\0';          /* an abstract name: unix(7) */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
	              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}
