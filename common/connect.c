#include "common/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <uv.h>

#include "common/memory.h"

#include "common/banned.h"

struct connector {
	uv_poll_t poll;
	struct loop *loop;
	struct loop_member member;
	struct timer timer;             /* patience; or the next turn, when it failed at once */
	connect_fn *fn;                 /* NULL: told, or forgotten */
	void *arg;
	struct connector **handle;
	int fd, error;
	bool is_polled;
};

static void on_closed(uv_handle_t *h)
{
	struct connector *c = CONTAINER_OF(h, struct connector, poll);

	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

/* From here on nobody is told. fd, when it is still ours, is closed. */
static void end(struct connector *c)
{
	c->fn = NULL;
	if (c->handle)
		*c->handle = NULL;
	c->handle = NULL;
	timer_stop(&c->timer);
	loop_leave(&c->member);
	if (c->is_polled) {
		uv_poll_stop(&c->poll);
		uv_close((uv_handle_t *)&c->poll, on_closed);
		return;
	}
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

static void tell(struct connector *c, struct fault f)
{
	connect_fn *fn = c->fn;
	void *arg = c->arg;
	int fd = -1;

	/* A duplicate, since libuv lets go of its own number only later. */
	if (!f.kind) {
		fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			f = fault_errno("connect", "dup");
	}
	end(c);
	fn(arg, fd, f);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct connector *c = CONTAINER_OF(poll, struct connector, poll);
	int e = 0;
	socklen_t len = sizeof(e);

	(void)events;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len))
		e = errno;
	if (!e && status < 0)
		e = -status;
	tell(c, e ? fault(FAULT_UNAVAILABLE, strerrordesc_np(e)) : FAULT_OK);
}

static void on_timer(struct timer *t)
{
	struct connector *c = CONTAINER_OF(t, struct connector, timer);

	tell(c, fault(FAULT_UNAVAILABLE, c->error ? strerrordesc_np(c->error)
						  : "no answer in time"));
}

static void on_loop_end(struct loop_member *m)
{
	end(CONTAINER_OF(m, struct connector, member));
}

static struct connector *connector_new(struct loop *loop, connect_fn *fn, void *arg, struct connector **out)
{
	struct connector *c = xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->fn = fn;
	c->arg = arg;
	c->handle = out;
	if (out)
		*out = c;
	timer_init(&c->timer, loop, on_timer);
	c->member.close = on_loop_end;
	loop_join(loop, &c->member);
	return c;
}

static void start(struct connector *c, const union netaddr_name *to, socklen_t to_len, uint32_t timeout_ms)
{
	c->fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0 || (connect(c->fd, &to->sa, to_len) && errno != EINPROGRESS) ||
	    uv_poll_init(loop_uv(c->loop), &c->poll, c->fd)) {
		c->error = errno ? errno : EINVAL;
		timer_start_ms(&c->timer, 0);
		return;
	}
	c->is_polled = true;
	uv_poll_start(&c->poll, UV_WRITABLE, on_poll);
	timer_start_ms(&c->timer, timeout_ms);
}

void connect_to(struct loop *loop, const struct netaddr *to, uint32_t timeout_ms, connect_fn *fn, void *arg, struct connector **out)
{
	union netaddr_name there;
	socklen_t len = netaddr_to(to, &there);

	start(connector_new(loop, fn, arg, out), &there, len, timeout_ms);
}

void connect_to_path(struct loop *loop, const char *path, uint32_t timeout_ms, connect_fn *fn, void *arg, struct connector **out)
{
	union netaddr_name there = { .un = { .sun_family = AF_UNIX } };
	size_t len = strlen(path);

	if (len >= sizeof(there.un.sun_path))
		len = sizeof(there.un.sun_path) - 1;  /* names nothing: "No such file" */
	memcpy(there.un.sun_path, path, len);
	start(connector_new(loop, fn, arg, out), &there, sizeof(there.un), timeout_ms);
}

void connect_forget(struct connector **connector)
{
	struct connector *c = *connector;

	if (!c)
		return;
	*connector = NULL;
	end(c);
}
