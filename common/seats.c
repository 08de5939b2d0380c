/* The processes that a master keeps running: started, watched, told, asked. */
#include "common/seats.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "common/events.h"
#include "common/master_private.h"
#include "common/memory.h"
#include "common/supervise.h"
#include "common/watchdog.h"

#include "common/banned.h"

#define WATCH_MS 1000
/* Between a worker's own end of patience and ours. */
#define STOP_MARGIN_MS 2000

struct seat {
	struct seats *all;
	const struct daemon_spec *helper;       /* NULL: a worker */
	unsigned number;
	struct child *child;
	struct control_pipe *pipe;      /* NULL: does not run */
	struct watchdog_page *page;
	bool is_ready;
	bool was_stuck;                 /* killed by the watchdog: the reason for the log */
	/* for the next start */
	int control_fd, watchdog_fd, conf_fd;
	char texts[4][16];
	const char *argv[20];
	int keep[3];
};

struct seats {
	struct loop *loop;
	struct seats_plan plan;
	const struct seats_events *events;
	void *arg;
	struct conf *conf;
	struct supervisor *supervisor;
	struct seat *seats;
	size_t count, worker_count;     /* workers come first, then helpers */
	struct timer watch;
	bool is_ready, is_stopping, has_given_way;
	bool has_failed;                /* in a rehearsal */
};

/* ---- what a process says ---- */

static void on_line(void *arg, struct sv line)
{
	struct seat *seat = arg;
	struct seats *s = seat->all;
	struct json *message = NULL;
	struct fault f;
	bool ready = false;

	if (control_relay_take(seat->pipe, line))
		return;
	f = json_parse(line, &message);
	if (f.kind || !json_get_bool(message, "ready", &ready) || !ready) {
		log_warn(NULL, "master.odd_line", KV_U64("worker", seat->number),
			 KV_SV("line", line));
		json_free(&message);
		return;
	}
	json_free(&message);
	seat->is_ready = true;
	event_emit(NULL, EVENT_WORKER_START, KV_U64("worker", seat->number),
		   KV_I64("worker_pid", child_pid(seat->child)));
	for (size_t i = 0; i < s->count; i++)
		if (!s->seats[i].is_ready)
			return;
	if (s->is_ready || s->is_stopping)
		return;
	s->is_ready = true;
	s->events->ready(s->arg);
}

static void on_pipe_end(void *arg)
{
	struct seat *seat = arg;

	seat->is_ready = false;
	control_pipe_free(&seat->pipe);
}

static const struct control_pipe_events pipe_events = { on_line, on_pipe_end };

/* ---- start and end of a process ---- */

/* The configuration in force, in memory: a worker that is started later gets the one that was
 * checked, whatever the file says by then. */
static struct fault write_conf(const struct conf *conf, int *out)
{
	struct buf text;
	struct fault f = FAULT_OK;
	int fd = memfd_create("postroom.conf", MFD_CLOEXEC);

	buf_init(&text, CONF_FILE_MAX);
	conf_show(conf, false, &text);
	if (fd < 0)
		f = fault_errno("memfd", "configuration");
	else if (write(fd, text.p ? text.p : "", text.len) != (ssize_t)text.len ||
		 lseek(fd, 0, SEEK_SET) != 0)
		f = fault_errno("write", "configuration");
	buf_done(&text);
	if (f.kind && fd >= 0)
		close(fd);
	else if (!f.kind)
		*out = fd;
	return f;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void write_command_line(struct seat *seat)
{
	const struct seats_plan *plan = &seat->all->plan;
	size_t n = 0;

	snprintf(seat->texts[0], sizeof(seat->texts[0]), "%u", seat->number);
	snprintf(seat->texts[1], sizeof(seat->texts[1]), "%d", seat->control_fd);
	snprintf(seat->texts[2], sizeof(seat->texts[2]), "%d", seat->watchdog_fd);
	snprintf(seat->texts[3], sizeof(seat->texts[3]), "%d", seat->conf_fd);
	seat->argv[n++] = plan->program;
	seat->argv[n++] = "--root";
	seat->argv[n++] = plan->root;
	seat->argv[n++] = "--worker";
	seat->argv[n++] = seat->texts[0];
	seat->argv[n++] = "--control";
	seat->argv[n++] = seat->texts[1];
	seat->argv[n++] = "--watchdog";
	seat->argv[n++] = seat->texts[2];
	seat->argv[n++] = "--conf";
	seat->argv[n++] = seat->texts[3];
	seat->argv[n++] = "--listeners";
	seat->argv[n++] = plan->listeners;
	if (seat->helper) {
		seat->argv[n++] = "--helper";
		seat->argv[n++] = seat->helper->name;
	}
	if (plan->is_rehearsal)
		seat->argv[n++] = "--rehearse";
	seat->argv[n] = NULL;
}

static struct fault prepare(void *arg, const char *const **argv, const int **keep,
			    size_t *keep_count)
{
	struct seat *seat = arg;
	struct seats *s = seat->all;
	int ends[2];
	struct fault f;

	watchdog_page_free(&seat->page);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
		return fault_errno("socketpair", "worker");
	seat->control_fd = ends[1];
	seat->pipe = control_pipe_new(s->loop, ends[0], &pipe_events, seat);
	f = watchdog_page_new(&seat->page, &seat->watchdog_fd);
	if (!f.kind)
		f = write_conf(s->conf, &seat->conf_fd);
	if (f.kind) {
		control_pipe_free(&seat->pipe);
		close_fd(&seat->control_fd);
		close_fd(&seat->watchdog_fd);
		return f;
	}
	write_command_line(seat);
	seat->keep[0] = seat->control_fd;
	seat->keep[1] = seat->watchdog_fd;
	seat->keep[2] = seat->conf_fd;
	*argv = seat->argv;
	*keep = seat->keep;
	*keep_count = ARRAY_LEN(seat->keep);
	return FAULT_OK;
}

/* Also after a start that failed: what was made for the process is closed here. */
static void forget_fds(struct seat *seat)
{
	close_fd(&seat->control_fd);
	close_fd(&seat->watchdog_fd);
	close_fd(&seat->conf_fd);
}

static void on_started(void *arg, pid_t pid)
{
	(void)pid;
	forget_fds(arg);
}

static void end_if_none_runs(struct seats *s)
{
	if (supervisor_running(s->supervisor) == 0)
		s->events->ended(s->arg, s->has_failed);
}

/* It has shown that it can start, or that it cannot: its log says why. */
static void on_rehearsed(struct seat *seat, int status)
{
	struct seats *s = seat->all;

	child_retire(seat->child);
	seat->is_ready = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!seat->is_ready)
		s->has_failed = true;
	if (WIFSIGNALED(status))
		log_error(NULL, "daemon.failed",
			  KV_Z("stage", seat->helper ? seat->helper->name : "worker"),
			  KV_I64("signal", WTERMSIG(status)));
	if (s->has_failed)
		s->events->ended(s->arg, true);
	else
		end_if_none_runs(s);
}

static void on_ended(void *arg, int status, uint64_t restart_ms)
{
	struct seat *seat = arg;
	struct seats *s = seat->all;

	forget_fds(seat);
	seat->is_ready = false;
	control_pipe_free(&seat->pipe);
	if (s->plan.is_rehearsal) {
		on_rehearsed(seat, status);
		return;
	}
	event_emit(NULL, EVENT_WORKER_END, KV_U64("worker", seat->number),
		   KV_I64("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
		   KV_I64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
		   KV_Z("reason", seat->was_stuck    ? "stuck in a write transaction"
				  : s->is_stopping   ? "stop"
				  : s->has_given_way ? "upgrade"
						     : "died"),
		   KV_I64("delay_ms", restart_ms == UINT64_MAX ? -1 : (int64_t)restart_ms));
	seat->was_stuck = false;
	if (s->is_stopping || s->has_given_way)
		end_if_none_runs(s);
}

static const struct child_events child_events = { prepare, on_started, on_ended };

static void on_watch(struct timer *t)
{
	struct seats *s = CONTAINER_OF(t, struct seats, watch);

	timer_start_ms(&s->watch, WATCH_MS);
	for (size_t i = 0; i < s->count; i++) {
		struct seat *seat = &s->seats[i];
		uint64_t inside_ms =
			seat->page && child_pid(seat->child) ? watchdog_longest_ms(seat->page) : 0;

		if (inside_ms <= s->conf->host.stuck_ms || seat->was_stuck)
			continue;
		log_error(NULL, "watchdog.kill", KV_U64("worker", seat->number),
			  KV_U64("inside_ms", inside_ms),
			  KV_I64("worker_pid", child_pid(seat->child)));
		seat->was_stuck = true;
		child_kill(seat->child);
	}
}

/* ---- all of them ---- */

struct fault seats_new(struct loop *loop, const struct seats_plan *plan, struct conf *conf,
		       const struct seats_events *events, void *arg, struct seats **out)
{
	struct supervisor *supervisor = NULL;
	struct fault f = supervisor_new(loop, &supervisor);
	struct seats *s;

	if (f.kind)
		return f;
	s = xcalloc(1, sizeof(*s));
	*s = (struct seats){ .loop = loop,
			     .plan = *plan,
			     .events = events,
			     .arg = arg,
			     .conf = conf_ref(conf),
			     .supervisor = supervisor };
	timer_init(&s->watch, loop, on_watch);
	timer_start_ms(&s->watch, WATCH_MS);
	*out = s;
	return FAULT_OK;
}

void seats_free(struct seats **seats)
{
	struct seats *s = *seats;

	if (!s)
		return;
	timer_stop(&s->watch);
	for (size_t i = 0; i < s->count; i++) {
		control_pipe_free(&s->seats[i].pipe);
		watchdog_page_free(&s->seats[i].page);
	}
	supervisor_free(&s->supervisor);
	conf_unref(&s->conf);
	free(s->seats);
	free(s);
	*seats = NULL;
}

void seats_start(struct seats *s)
{
	const struct daemon_spec *spec = s->plan.spec;
	const struct daemon_spec *const *helpers = spec->helpers;

	s->worker_count =
		spec->is_one_worker || s->plan.is_rehearsal ? 1 : s->conf->host.workers;
	if (!s->worker_count)
		s->worker_count = uv_available_parallelism();
	if (s->worker_count > LISTENER_WORKERS_MAX - DAEMON_HELPERS_MAX)
		s->worker_count = LISTENER_WORKERS_MAX - DAEMON_HELPERS_MAX;
	s->count = s->worker_count;
	while (helpers && helpers[s->count - s->worker_count])
		s->count++;
	s->seats = xcalloc(s->count, sizeof(*s->seats));
	for (size_t i = 0; i < s->count; i++) {
		struct seat *seat = &s->seats[i];

		seat->all = s;
		seat->number = (unsigned)i;
		if (i >= s->worker_count)
			seat->helper = helpers[i - s->worker_count];
		seat->control_fd = seat->watchdog_fd = seat->conf_fd = -1;
		seat->child = child_add(s->supervisor, NULL, &child_events, seat);
	}
	for (size_t i = 0; i < s->count; i++)
		child_start(s->seats[i].child);
}

void seats_take_conf(struct seats *s, struct conf *conf)
{
	conf_unref(&s->conf);
	s->conf = conf_ref(conf);
}

void seats_tell(struct seats *s, struct sv line)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->seats[i].pipe)
			(void)control_pipe_send(s->seats[i].pipe, line);
}

void seats_stop(struct seats *s)
{
	s->is_stopping = true;
	for (size_t i = 0; i < s->count; i++)
		child_stop(s->seats[i].child, s->conf->host.stop_ms + STOP_MARGIN_MS);
	end_if_none_runs(s);
}

/* What works for nobody in particular (helpers) ends at once: the queue, for one, has a new relay. */
void seats_give_way(struct seats *s)
{
	s->has_given_way = true;
	seats_tell(s, SV("{\"do\":\"drain\"}"));
	for (size_t i = 0; i < s->count; i++) {
		if (s->seats[i].helper)
			child_stop(s->seats[i].child, s->conf->host.stop_ms + STOP_MARGIN_MS);
		else
			child_retire(s->seats[i].child);
	}
	end_if_none_runs(s);
}

/* ---- asking ---- */

void seats_ask_all(struct seats *s, struct control_reply **reply, struct sv request,
		   bool has_helpers)
{
	struct control_relay *relay = control_relay_new(s->loop, reply, WORKER_ANSWER_MS);

	for (size_t i = 0; i < (has_helpers ? s->count : s->worker_count); i++)
		if (s->seats[i].pipe && s->seats[i].is_ready)
			control_relay_ask(relay, s->seats[i].pipe, request);
	control_relay_go(&relay);
}

void seats_ask_one(struct seats *s, const struct daemon_spec *helper,
		   struct control_reply **reply, struct sv request)
{
	struct control_relay *relay;
	size_t i = 0;

	while (i < s->count && (s->seats[i].helper != helper || !s->seats[i].pipe ||
				!s->seats[i].is_ready))
		i++;
	if (i == s->count) {
		/* A helper starts, or starts again: soon it will be there. */
		control_finish(reply, fault_detail(helper ? FAULT_BUSY : FAULT_UNAVAILABLE,
						   "no %s is ready",
						   helper ? helper->name : "worker"));
		return;
	}
	relay = control_relay_new(s->loop, reply, WORKER_ANSWER_MS);
	control_relay_ask(relay, s->seats[i].pipe, request);
	control_relay_go(&relay);
}

/* ---- facts ---- */

bool seats_are_ready(const struct seats *s)
{
	return s->is_ready;
}

size_t seats_worker_count(const struct seats *s)
{
	return s->worker_count;
}

uint64_t seats_restarts(const struct seats *s)
{
	uint64_t restarts = 0;

	for (size_t i = 0; i < s->count; i++)
		restarts += child_restarts(s->seats[i].child);
	return restarts;
}
