#include "smtpd/relay/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <uv.h>

#include "common/memory.h"

#include "common/banned.h"

#define LOOKS_MOST 128          /* of some 200 events each: more than the kernel keeps (fs.inotify.max_queued_events) */

#define MOVED_MOST 64           /* at a time; with more of them nobody waits for a file to be closed */
#define MOVED_NAME 32           /* likewise for longer names */
#define MOVED_MS 100            /* so long for it to be closed: who moves a file that is closed says no more about it */

struct watch {
	uv_poll_t poll;
	struct loop_member member;
	const struct watch_events *events;
	void *arg;
	int fd;
	bool is_closed;
	char moved[MOVED_MOST][MOVED_NAME];     /* and not closed, as far as we know: the oldest first */
	size_t moved_count;
	struct timer tell;              /* of them, closed or not */
};

static void on_closed(uv_handle_t *h)
{
	struct watch *w = CONTAINER_OF(h, struct watch, poll);

	close(w->fd);
	free(w);
}

/* ---- what was moved here ---- */

static void forget_moved(struct watch *w, size_t i)
{
	memmove(w->moved + i, w->moved + i + 1, (--w->moved_count - i) * sizeof(w->moved[0]));
}

static void tell_first(struct watch *w)
{
	char name[MOVED_NAME];

	memcpy(name, w->moved[0], sizeof(name));
	forget_moved(w, 0);
	w->events->on_file(w->arg, name);
}

static void tell_moved(struct watch *w)
{
	timer_stop(&w->tell);
	while (w->moved_count)
		tell_first(w);
}

static void on_tell(struct timer *t)
{
	tell_moved(CONTAINER_OF(t, struct watch, tell));
}

static void was_moved(struct watch *w, const char *name)
{
	if (strlen(name) >= MOVED_NAME) {
		w->events->on_file(w->arg, name);
		return;
	}
	if (w->moved_count == MOVED_MOST)
		tell_first(w);
	if (!w->moved_count)
		timer_start_ms(&w->tell, MOVED_MS);
	snprintf(w->moved[w->moved_count++], MOVED_NAME, "%s", name);
}

static void was_closed(struct watch *w, const char *name)
{
	for (size_t i = 0; i < w->moved_count; i++)
		if (!strcmp(w->moved[i], name)) {
			forget_moved(w, i);
			break;
		}
	w->events->on_file(w->arg, name);
}

/* read_some - false: nothing is there any more. */
static bool read_some(struct watch *w)
{
	char octets[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(w->fd, octets, sizeof(octets));

	for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
		const struct inotify_event *e = (const void *)(octets + at);

		if (e->mask & IN_Q_OVERFLOW)
			w->events->on_overflow(w->arg);
		else if (e->len && e->name[0])
			(e->mask & IN_MOVED_TO ? was_moved : was_closed)(w, e->name);
		at += (ssize_t)sizeof(*e) + (ssize_t)e->len;
	}
	return n > 0;
}

static void on_readable(uv_poll_t *poll, int status, int what)
{
	(void)status;
	(void)what;
	(void)read_some(CONTAINER_OF(poll, struct watch, poll));
}

void watch_look(struct watch *w)
{
	/* Files may come faster than they are told of: the kernel's row of events has an end, and so has this. */
	for (unsigned i = 0; i < LOOKS_MOST && read_some(w); i++)
		continue;
	tell_moved(w);
}

static void on_loop_end(struct loop_member *m)
{
	struct watch *w = CONTAINER_OF(m, struct watch, member);

	w->is_closed = true;
	loop_leave(m);
	timer_stop(&w->tell);
	uv_poll_stop(&w->poll);
	uv_close((uv_handle_t *)&w->poll, on_closed);
}

struct fault watch_new(struct loop *loop, const char *folder, const struct watch_events *events,
		       void *arg, struct watch **out)
{
	struct watch *w;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0 || inotify_add_watch(fd, folder, IN_MOVED_TO | IN_CLOSE_WRITE | IN_EXCL_UNLINK) < 0) {
		struct fault f = fault_errno("watch", folder);

		if (fd >= 0)
			close(fd);
		return f;
	}
	w = xcalloc(1, sizeof(*w));
	w->fd = fd;
	w->events = events;
	w->arg = arg;
	if (uv_poll_init(loop_uv(loop), &w->poll, fd) ||
	    uv_poll_start(&w->poll, UV_READABLE, on_readable)) {
		close(fd);
		free(w);
		return fault(FAULT_INTERNAL, "watch: libuv");
	}
	timer_init(&w->tell, loop, on_tell);
	w->member.close = on_loop_end;
	loop_join(loop, &w->member);
	*out = w;
	return FAULT_OK;
}

void watch_free(struct watch **w)
{
	if (*w && !(*w)->is_closed)
		on_loop_end(&(*w)->member);
	*w = NULL;
}
