/* Lines of JSON over a socket, answers, and answers put together from several workers'. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "common/control_private.h"
#include "common/memory.h"

#include "common/banned.h"

/* What libuv holds on to until its close callback: it outlives the pipe, and so does the line that
 * is being read. */
struct handle {
	uv_poll_t poll;
	struct control_pipe *pipe;      /* NULL: freed */
	struct buf in;
	int fd;
};

/* One worker's part of a relay. */
struct ask {
	struct control_relay *relay;
	struct ask *next, **at;         /* of the pipe */
	struct ask *sibling;            /* of the relay */
	uint64_t id;
	bool is_over;
};

struct control_pipe {
	struct loop *loop;
	struct handle *handle;
	struct loop_member member;
	const struct control_pipe_events *events;
	void *arg;
	struct buf out;
	size_t out_at;                  /* octets of out that are written */
	bool is_broken;                 /* end() was called */
	bool ends_soon;                 /* freed once out is written */
	struct timer patience;
	struct control_reply *replies;
	struct ask *asks;
};

struct control_relay {
	struct control_reply *reply;
	struct ask *asks;
	size_t waiting;
	bool is_open;                   /* control_relay_go() is still to come */
	struct fault fault;             /* the first one */
	char detail[256];
	struct timer patience;
};

static void arm(struct control_pipe *pipe);

/* ---- lines out ---- */

static void break_off(struct control_pipe *pipe)
{
	if (pipe->is_broken)
		return;
	pipe->is_broken = true;
	uv_poll_stop(&pipe->handle->poll);
	if (pipe->ends_soon)
		control_pipe_free(&pipe);
	else
		pipe->events->end(pipe->arg);
}

/* Write what is there. False when the pipe broke (it may be freed then). */
static bool flush(struct control_pipe *pipe)
{
	while (pipe->out_at < pipe->out.len) {
		ssize_t n = send(pipe->handle->fd, pipe->out.p + pipe->out_at,
				 pipe->out.len - pipe->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0) {
			break_off(pipe);
			return false;
		}
		pipe->out_at += (size_t)n;
	}
	/* Moving what is left down is paid for by at least as much that was written. */
	if (pipe->out_at * 2 >= pipe->out.len) {
		buf_consume(&pipe->out, pipe->out_at);
		pipe->out_at = 0;
	}
	if (!pipe->out.len && pipe->ends_soon) {
		control_pipe_free(&pipe);
		return false;
	}
	arm(pipe);
	return true;
}

bool control_pipe_send(struct control_pipe *pipe, struct sv line)
{
	if (pipe->is_broken || line.len + 1 > pipe->out.max - pipe->out.len)
		return false;
	(void)buf_append(&pipe->out, line);
	(void)buf_append_c(&pipe->out, '\n');
	/* Written from the loop: whoever sends is never called back from here, nor finds its pipe
	 * freed. */
	arm(pipe);
	return true;
}

/* ---- lines in ---- */

/* Hand on whole lines. The pipe may be freed in each call. */
static void take_lines(struct handle *h)
{
	size_t used = 0;

	while (h->pipe && !h->pipe->is_broken && !h->pipe->ends_soon) {
		struct sv rest = sv_sub(buf_sv(&h->in), used, SIZE_MAX);
		size_t end = sv_find(rest, '\n');

		if (end == SIZE_MAX)
			break;
		used += end + 1;
		h->pipe->events->line(h->pipe->arg, sv_sub(rest, 0, end));
	}
	buf_consume(&h->in, used);
	if (h->pipe && h->in.len == h->in.max)
		break_off(h->pipe);             /* a line that never ends */
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct handle *h = (struct handle *)(void *)poll;
	ssize_t n;

	if (status < 0) {
		break_off(h->pipe);
		return;
	}
	if ((events & UV_WRITABLE) && !flush(h->pipe))
		return;
	if (!(events & (UV_READABLE | UV_DISCONNECT)) || !h->pipe)
		return;
	(void)buf_reserve(&h->in, h->in.max - h->in.len < 16384 ? h->in.max - h->in.len : 16384);
	n = recv(h->fd, h->in.p + h->in.len, h->in.cap - h->in.len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		break_off(h->pipe);
		return;
	}
	h->in.len += (size_t)n;
	take_lines(h);
}

static void arm(struct control_pipe *pipe)
{
	int events = UV_READABLE;

	if (pipe->is_broken)
		return;
	if (pipe->ends_soon)
		events = UV_DISCONNECT;
	if (pipe->out_at < pipe->out.len || pipe->ends_soon)
		events |= UV_WRITABLE;
	uv_poll_start(&pipe->handle->poll, events, on_poll);
}

/* ---- a pipe's life ---- */

static void on_closed(uv_handle_t *closed)
{
	struct handle *h = (struct handle *)(void *)closed;

	close(h->fd);
	buf_done(&h->in);
	free(h);
}

static void on_loop_end(struct loop_member *m)
{
	struct control_pipe *pipe =
		(struct control_pipe *)(void *)((char *)m - offsetof(struct control_pipe, member));

	if (pipe->ends_soon)
		control_pipe_free(&pipe);
	else
		break_off(pipe);
}

static void on_patience_end(struct timer *t)
{
	struct control_pipe *pipe =
		(struct control_pipe *)(void *)((char *)t -
						offsetof(struct control_pipe, patience));

	control_pipe_free(&pipe);
}

struct control_pipe *control_pipe_new(struct loop *loop, int fd,
				      const struct control_pipe_events *events, void *arg)
{
	struct control_pipe *pipe = xcalloc(1, sizeof(*pipe));
	int e;

	pipe->loop = loop;
	pipe->events = events;
	pipe->arg = arg;
	buf_init(&pipe->out, CONTROL_ANSWER_MAX);
	timer_init(&pipe->patience, loop, on_patience_end);
	pipe->member.close = on_loop_end;
	loop_join(loop, &pipe->member);
	pipe->handle = xcalloc(1, sizeof(*pipe->handle));
	pipe->handle->pipe = pipe;
	pipe->handle->fd = fd;
	buf_init(&pipe->handle->in, CONTROL_LINE_MAX + CONTROL_WRAP_MAX);
	e = uv_poll_init(loop_uv(loop), &pipe->handle->poll, fd);
	if (e)
		BUG("uv_poll_init: %s", uv_strerror(e));
	arm(pipe);
	return pipe;
}

static void ask_over(struct ask *ask, struct fault f);

void control_pipe_free(struct control_pipe **ppipe)
{
	struct control_pipe *pipe = *ppipe;

	if (!pipe)
		return;
	*ppipe = NULL;
	while (pipe->replies) {
		struct control_reply *reply = pipe->replies;

		pipe->replies = reply->next;
		reply->pipe = NULL;
	}
	while (pipe->asks)
		ask_over(pipe->asks,
			 fault(FAULT_UNAVAILABLE, "a worker ended before it had answered"));
	timer_stop(&pipe->patience);
	loop_leave(&pipe->member);
	buf_done(&pipe->out);
	pipe->handle->pipe = NULL;
	uv_close((uv_handle_t *)&pipe->handle->poll, on_closed);
	free(pipe);
}

void control_pipe_end_soon(struct control_pipe **pipe, uint32_t wait_ms)
{
	if (!*pipe)
		return;
	if ((*pipe)->is_broken) {
		control_pipe_free(pipe);
		return;
	}
	(*pipe)->ends_soon = true;
	timer_start_ms(&(*pipe)->patience, wait_ms);
	arm(*pipe);
	*pipe = NULL;
}

/* ---- answers ---- */

struct control_reply *control_reply_new(struct control_pipe *pipe)
{
	struct control_reply *reply = xcalloc(1, sizeof(*reply));

	reply->pipe = pipe;
	reply->next = pipe->replies;
	reply->at = &pipe->replies;
	if (reply->next)
		reply->next->at = &reply->next;
	pipe->replies = reply;
	buf_init(&reply->line, CONTROL_LINE_MAX + CONTROL_WRAP_MAX);
	return reply;
}

/* control_reply_wrapped - an answer to a master's request of that id. */
static struct control_reply *control_reply_wrapped(struct control_pipe *pipe, uint64_t id, unsigned worker)
{
	struct control_reply *reply = control_reply_new(pipe);

	reply->is_wrapped = true;
	reply->id = id;
	reply->worker = worker;
	return reply;
}

/* Begin a line; what comes next is a value of that name, or the line itself. */
static void begin(struct control_reply *reply, const char *name)
{
	buf_clear(&reply->line);
	json_out_init(&reply->j, &reply->line);
	if (reply->is_wrapped) {
		json_out_object(&reply->j, NULL);
		json_out_u64(&reply->j, "id", reply->id);
		json_out_object(&reply->j, name);
	} else {
		json_out_object(&reply->j, NULL);
	}
}

static bool send_line(struct control_reply *reply)
{
	json_out_object_end(&reply->j);
	if (reply->is_wrapped)
		json_out_object_end(&reply->j);
	if (reply->j.depth)
		BUG("control: a line with an open bracket");
	if (reply->j.overflow) {
		reply->failed = fault(FAULT_LIMIT, "a line of the answer is too long");
		return false;
	}
	if (!reply->pipe)
		return false;
	if (!control_pipe_send(reply->pipe, buf_sv(&reply->line))) {
		reply->failed = fault(FAULT_LIMIT, "the answer is too long");
		return false;
	}
	return true;
}

struct json_out *control_line(struct control_reply *reply)
{
	begin(reply, "line");
	if (reply->is_wrapped)
		json_out_u64(&reply->j, "worker", reply->worker);
	return &reply->j;
}

bool control_line_end(struct control_reply *reply)
{
	return send_line(reply);
}

static void copy_member(void *arg, const char *name, const struct json *value)
{
	json_out_value(arg, name, value);
}

/* control_reply_put - an object as one more line. */
static void control_reply_put(struct control_reply *reply, const struct json *object)
{
	json_iterate(object, copy_member, control_line(reply));
	(void)control_line_end(reply);
}

void control_finish(struct control_reply **preply, struct fault f)
{
	struct control_reply *reply = *preply;

	*preply = NULL;
	if (!f.kind)
		f = reply->failed;
	begin(reply, "end");
	if (f.kind) {
		json_out_object(&reply->j, "error");
		json_out_z(&reply->j, "kind", fault_name(f.kind));
		json_out_z(&reply->j, "text", f.detail ? f.detail : fault_name(f.kind));
		json_out_object_end(&reply->j);
	} else {
		json_out_bool(&reply->j, "done", true);
	}
	(void)send_line(reply);
	if (reply->pipe) {
		*reply->at = reply->next;
		if (reply->next)
			reply->next->at = reply->at;
		if (reply->finished)
			reply->finished(reply->arg);
	}
	buf_done(&reply->line);
	free(reply);
}

const struct control_verb *control_verb_find(const struct control_verb *verbs, struct sv name)
{
	for (; verbs && verbs->name; verbs++)
		if (sv_eq(name, sv_z(verbs->name)))
			return verbs;
	return NULL;
}

struct fault control_fault_from(const struct json *error)
{
	struct sv kind, text = SV("no text");

	(void)json_get_sv(error, "text", &text);
	if (json_get_sv(error, "kind", &kind))
		for (int k = FAULT_NONE + 1; k <= FAULT_INTERNAL; k++)
			if (sv_eq(kind, sv_z(fault_name((enum fault_kind)k))))
				return fault_detail((enum fault_kind)k, "%.*s", SV_FMT(text));
	return fault_detail(FAULT_INTERNAL, "%.*s", SV_FMT(text));
}

/* ---- relays: the master's side ---- */

static void relay_finish(struct control_relay *relay)
{
	struct ask *ask, *next;

	timer_stop(&relay->patience);
	for (ask = relay->asks; ask; ask = next) {
		next = ask->sibling;
		if (!ask->is_over) {
			*ask->at = ask->next;
			if (ask->next)
				ask->next->at = ask->at;
		}
		free(ask);
	}
	control_finish(&relay->reply, relay->fault);
	free(relay);
}

/* This worker has said its last word. */
static void ask_over(struct ask *ask, struct fault f)
{
	struct control_relay *relay = ask->relay;

	ask->is_over = true;
	*ask->at = ask->next;
	if (ask->next)
		ask->next->at = ask->at;
	if (f.kind && !relay->fault.kind) {
		/* Kept until all have finished: longer than a text of fault_detail() lives. */
		struct buf b = { .p = relay->detail,
				 .cap = sizeof(relay->detail) - 1,
				 .max = sizeof(relay->detail) - 1 };

		(void)buf_append(&b, sv_sub(sv_z(f.detail), 0, b.max));
		relay->detail[b.len] = '\0';
		relay->fault = fault(f.kind, relay->detail);
	}
	relay->waiting--;
	if (!relay->waiting && !relay->is_open)
		relay_finish(relay);
}

static void on_relay_patience_end(struct timer *t)
{
	struct control_relay *relay =
		(struct control_relay *)(void *)((char *)t -
						 offsetof(struct control_relay, patience));

	if (!relay->fault.kind)
		relay->fault = fault(FAULT_UNAVAILABLE, "a worker did not answer in time");
	relay_finish(relay);
}

struct control_relay *control_relay_new(struct loop *loop, struct control_reply **reply,
					uint32_t wait_ms)
{
	struct control_relay *relay = xcalloc(1, sizeof(*relay));

	relay->reply = *reply;
	*reply = NULL;
	relay->is_open = true;
	timer_init(&relay->patience, loop, on_relay_patience_end);
	timer_start_ms(&relay->patience, wait_ms);
	return relay;
}

void control_relay_ask(struct control_relay *relay, struct control_pipe *to, struct sv request)
{
	static uint64_t last_id;
	struct ask *ask = xcalloc(1, sizeof(*ask));
	struct buf line;

	ask->relay = relay;
	ask->id = ++last_id;
	ask->sibling = relay->asks;
	relay->asks = ask;
	relay->waiting++;
	ask->next = to->asks;
	ask->at = &to->asks;
	if (ask->next)
		ask->next->at = &ask->next;
	to->asks = ask;
	/* The request was parsed before it came here, so it can be put in as it is. */
	buf_init(&line, CONTROL_LINE_MAX + CONTROL_WRAP_MAX);
	if (!buf_appendf(&line, "{\"id\":%llu,\"request\":", (unsigned long long)ask->id) ||
	    !buf_append(&line, request) || !buf_append_c(&line, '}') ||
	    !control_pipe_send(to, buf_sv(&line)))
		ask_over(ask, fault(FAULT_UNAVAILABLE, "a worker does not take requests"));
	buf_done(&line);
}

void control_relay_go(struct control_relay **relay)
{
	struct control_relay *r = *relay;

	*relay = NULL;
	r->is_open = false;
	if (!r->waiting)
		relay_finish(r);
}

bool control_relay_take(struct control_pipe *from, struct sv line)
{
	struct json *message = NULL;
	struct fault f = json_parse(line, &message);
	const struct json *part, *end;
	struct ask *ask;
	uint64_t id = 0;

	if (f.kind)
		return false;
	part = json_get(message, "line");
	end = json_get(message, "end");
	if (!json_get_u64(message, "id", &id) || (!part && !end)) {
		json_free(&message);
		return false;
	}
	for (ask = from->asks; ask && ask->id != id; ask = ask->next)
		continue;
	/* No such request: its time was over. */
	if (ask && part)
		control_reply_put(ask->relay->reply, part);
	else if (ask)
		ask_over(ask, json_get(end, "error") ? control_fault_from(json_get(end, "error"))
						     : FAULT_OK);
	json_free(&message);
	return true;
}

/* ---- requests: the worker's side ---- */

bool control_serve_line(struct control_pipe *pipe, struct sv line, const struct control_verb *verbs,
			void *arg, unsigned worker)
{
	struct json *message = NULL;
	struct fault f = json_parse(line, &message);
	const struct json *request;
	const struct control_verb *verb;
	struct control_reply *reply;
	struct sv name;
	uint64_t id;

	if (f.kind)
		return false;
	request = json_get(message, "request");
	if (!json_get_u64(message, "id", &id) || !json_get_sv(request, "verb", &name)) {
		json_free(&message);
		return false;
	}
	reply = control_reply_wrapped(pipe, id, worker);
	verb = control_verb_find(verbs, name);
	if (verb)
		verb->run(arg, request, reply);
	else
		control_finish(&reply, fault(FAULT_UNSUPPORTED, "no such verb"));
	json_free(&message);
	return true;
}
