/* Asking a daemon: blocking, with one deadline for the whole answer. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/control_private.h"

#include "common/banned.h"

struct asking {
	const char *daemon;
	int fd;
	uint64_t deadline_ms;
	struct buf in;
	size_t used;            /* octets of in that were handed on */
};

static struct fault wait_for(struct asking *a, short events)
{
	for (;;) {
		uint64_t now = clock_ms();
		struct pollfd p = { .fd = a->fd, .events = events };
		int n = now >= a->deadline_ms ? 0 : poll(&p, 1, (int)(a->deadline_ms - now));

		if (n > 0)
			return FAULT_OK;
		if (n == 0)
			return fault_detail(FAULT_UNAVAILABLE, "%s does not answer", a->daemon);
		if (errno != EINTR)
			return fault_errno("poll", a->daemon);
	}
}

static struct fault connect_to(struct asking *a, const char *path)
{
	struct sockaddr_un at;
	int dir_fd = -1;
	struct fault f = control_address(path, &at, &dir_fd);

	if (!f.kind && (a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		f = fault_errno("socket", path);
	if (!f.kind && connect(a->fd, (const struct sockaddr *)&at, sizeof(at)) != 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			f = fault_detail(FAULT_UNAVAILABLE, "%s does not run", a->daemon);
		else if (errno == EAGAIN)
			f = fault_detail(FAULT_UNAVAILABLE, "%s is asked by too many", a->daemon);
		else if (errno == EACCES)
			f = fault_detail(FAULT_DENIED,
					 "%s: only the instance's owner and root may ask", path);
		else
			f = fault_errno("connect", path);
	}
	if (dir_fd >= 0)
		close(dir_fd);
	return f;
}

static struct fault send_all(struct asking *a, struct sv text)
{
	while (text.len) {
		ssize_t n = send(a->fd, text.p, text.len, MSG_NOSIGNAL);

		if (n > 0) {
			sv_skip(&text, (size_t)n);
		} else if (errno == EAGAIN) {
			struct fault f = wait_for(a, POLLOUT);

			if (f.kind)
				return f;
		} else if (errno != EINTR) {
			return fault_detail(FAULT_UNAVAILABLE, "%s closed the connection",
					    a->daemon);
		}
	}
	return FAULT_OK;
}

/* The next line without its end; borrowed until the next call. */
static struct fault next_line(struct asking *a, struct sv *line)
{
	for (;;) {
		struct sv rest = sv_sub(buf_sv(&a->in), a->used, SIZE_MAX);
		size_t end = sv_find(rest, '\n');
		struct fault f;
		ssize_t n;

		if (end != SIZE_MAX) {
			*line = sv_sub(rest, 0, end);
			a->used += end + 1;
			return FAULT_OK;
		}
		buf_consume(&a->in, a->used);
		a->used = 0;
		if (a->in.len == a->in.max)
			return fault_detail(FAULT_CORRUPT, "%s sent a line without end", a->daemon);
		f = wait_for(a, POLLIN);
		if (f.kind)
			return f;
		(void)buf_reserve(&a->in,
				  a->in.max - a->in.len < 16384 ? a->in.max - a->in.len : 16384);
		n = recv(a->fd, a->in.p + a->in.len, a->in.cap - a->in.len, 0);
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
			return fault_detail(FAULT_UNAVAILABLE, "%s ended before it had answered",
					    a->daemon);
		if (n > 0)
			a->in.len += (size_t)n;
	}
}

/* Every line up to the last one. */
static struct fault read_answer(struct asking *a,
				bool (*on_line)(void *arg, const struct json *line), void *arg)
{
	for (;;) {
		struct sv line;
		struct json *object = NULL;
		bool done = false, goes_on = true;
		struct fault f = next_line(a, &line);

		if (!f.kind)
			f = json_parse(line, &object);
		if (f.kind)
			return f;
		if (json_get(object, "error")) {
			f = control_fault_from(json_get(object, "error"));
			done = true;
		} else if (!json_get_bool(object, "done", &done) && on_line) {
			goes_on = on_line(arg, object);
		}
		json_free(&object);
		if (done || !goes_on)
			return f;
	}
}

struct fault control_ask_at(const char *path, const char *daemon, struct sv request,
			    bool (*on_line)(void *arg, const struct json *line), void *arg,
			    uint32_t wait_ms)
{
	struct asking a = { .daemon = daemon, .fd = -1, .deadline_ms = clock_ms() + wait_ms };
	struct fault f = connect_to(&a, path);

	buf_init(&a.in, CONTROL_LINE_MAX + CONTROL_WRAP_MAX);
	if (!f.kind)
		f = send_all(&a, request);
	if (!f.kind)
		f = send_all(&a, SV("\n"));
	if (!f.kind)
		f = read_answer(&a, on_line, arg);
	if (a.fd >= 0)
		close(a.fd);
	buf_done(&a.in);
	return f;
}

struct fault control_ask(const struct instance *instance, const char *daemon, struct sv request,
			 bool (*on_line)(void *arg, const struct json *line), void *arg,
			 uint32_t wait_ms)
{
	char *path = instance_run_path(instance, daemon, ".sock");
	struct fault f = control_ask_at(path, daemon, request, on_line, arg, wait_ms);

	free(path);
	return f;
}
