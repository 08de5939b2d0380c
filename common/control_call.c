#include "common/control_call.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/connect.h"
#include "common/control_private.h"
#include "common/memory.h"

#include "common/banned.h"

#define CONNECT_MS 5000
#define AGAIN_MS 500            /* who should answer is just starting */

struct control_call {
	struct loop *loop;
	struct control_call **handle;
	const struct control_call_events *events;
	void *arg;
	struct connector *connector;
	struct control_pipe *pipe;
	struct timer patience, again;
	struct deferred soon;           /* told in the next turn */
	char *socket;
	struct buf request;
	enum fault_kind kind;
	char detail[256];
};

static void call_free(struct control_call *c)
{
	connect_forget(&c->connector);
	control_pipe_free(&c->pipe);
	timer_stop(&c->patience);
	timer_stop(&c->again);
	deferred_cancel(&c->soon);
	free(c->socket);
	buf_done(&c->request);
	if (c->handle)
		*c->handle = NULL;
	free(c);
}

void control_call_forget(struct control_call **call)
{
	if (*call)
		call_free(*call);
}

static void on_soon(struct deferred *d)
{
	struct control_call *c = CONTAINER_OF(d, struct control_call, soon);

	if (c->handle)
		*c->handle = NULL;
	c->handle = NULL;
	c->events->end(c->arg, c->kind ? fault(c->kind, c->detail) : FAULT_OK);
	call_free(c);
}

/* end - told once. */
static void end(struct control_call *c, struct fault f)
{
	if (deferred_is_waiting(&c->soon))
		return;
	c->kind = f.kind;
	snprintf(c->detail, sizeof(c->detail), "%s", f.detail ? f.detail : "");
	timer_stop(&c->patience);
	timer_stop(&c->again);
	deferred_call(&c->soon);
}

static void on_patience(struct timer *t)
{
	end(CONTAINER_OF(t, struct control_call, patience), fault(FAULT_UNAVAILABLE, "no answer in time"));
}

static void on_line(void *arg, struct sv text)
{
	struct control_call *c = arg;
	struct json *line = NULL;
	const struct json *error;
	bool done;

	if (deferred_is_waiting(&c->soon))
		return;
	if (json_parse(text, &line).kind) {
		end(c, fault(FAULT_UNAVAILABLE, "the answer cannot be understood"));
	} else if ((error = json_get(line, "error"))) {
		struct fault f = control_fault_from(error);

		if (f.kind == FAULT_BUSY)
			timer_start_ms(&c->again, AGAIN_MS);
		else
			end(c, f);
	} else if (json_get_bool(line, "done", &done)) {
		end(c, FAULT_OK);
	} else {
		c->events->line(c->arg, line);
	}
	json_free(&line);
}

static void on_end(void *arg)
{
	struct control_call *c = arg;

	if (!timer_is_running(&c->again))       /* else the answer was: not yet */
		end(c, fault(FAULT_UNAVAILABLE, "it ended before it had answered"));
}

static void on_connected(void *arg, int fd, struct fault f)
{
	static const struct control_pipe_events events = { .line = on_line, .end = on_end };
	struct control_call *c = arg;

	c->connector = NULL;
	if (fd < 0) {
		end(c, f);
		return;
	}
	c->pipe = control_pipe_new(c->loop, fd, &events, c);
	if (!control_pipe_send(c->pipe, buf_sv(&c->request)))
		end(c, fault(FAULT_UNAVAILABLE, "nobody listens"));
}

static void on_again(struct timer *t)
{
	struct control_call *c = CONTAINER_OF(t, struct control_call, again);

	control_pipe_free(&c->pipe);
	connect_to_path(c->loop, c->socket, CONNECT_MS, on_connected, c, &c->connector);
}

void control_call(struct loop *loop, const char *socket, struct sv request, uint32_t wait_ms, const struct control_call_events *events,
		  void *arg, struct control_call **out)
{
	struct control_call *c = xcalloc(1, sizeof(*c));

	*c = (struct control_call){ .loop = loop, .handle = out, .events = events, .arg = arg };
	deferred_init(&c->soon, loop, on_soon);
	timer_init(&c->patience, loop, on_patience);
	timer_init(&c->again, loop, on_again);
	c->socket = xstrdup(socket);
	buf_init(&c->request, CONTROL_LINE_MAX);
	if (out)
		*out = c;
	if (!request.len || request.len >= CONTROL_LINE_MAX || !buf_append(&c->request, request)) {
		end(c, fault(FAULT_LIMIT, "the request is too long"));
		return;
	}
	timer_start_ms(&c->patience, wait_ms);
	connect_to_path(loop, socket, CONNECT_MS, on_connected, c, &c->connector);
}
