/* Asking the fetch helper: one line of JSON there, some lines back (common/control.h). */
#include "smtpd/fetch.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/connect.h"
#include "common/control.h"
#include "common/memory.h"
#include "common/transfer.h"

#include "common/banned.h"

#define CONNECT_MS 5000
#define PATIENCE_MS (FETCH_TIME_MS + 5000)
#define AGAIN_MS 500            /* the helper is just starting */

struct fetch {
	struct loop *loop;
	struct fetch **handle;
	fetch_fn *fn;
	void *arg;
	struct connector *connector;
	struct control_pipe *pipe;
	struct timer patience, again;
	char *socket;
	struct deferred soon;           /* told in the next turn */
	struct buf request, body;
	char type[128], detail[256];
	uint32_t status;
	struct fault fault;
	bool has_status;
};

static void fetch_free(struct fetch *f)
{
	connect_forget(&f->connector);
	control_pipe_free(&f->pipe);
	timer_stop(&f->patience);
	timer_stop(&f->again);
	deferred_cancel(&f->soon);
	free(f->socket);
	buf_done(&f->request);
	buf_done(&f->body);
	if (f->handle)
		*f->handle = NULL;
	free(f);
}

void fetch_forget(struct fetch **fetch)
{
	if (*fetch)
		fetch_free(*fetch);
}

static void on_soon(struct deferred *d)
{
	struct fetch *f = CONTAINER_OF(d, struct fetch, soon);
	struct fetch_result result = { .fault = f->fault, .status = f->status, .type = sv_z(f->type),
				       .body = buf_sv(&f->body) };

	if (f->handle)
		*f->handle = NULL;
	f->handle = NULL;
	f->fn(f->arg, &result);
	fetch_free(f);
}

/* end - told once. */
static void end(struct fetch *f, enum fault_kind kind, struct sv detail)
{
	if (deferred_is_waiting(&f->soon))
		return;
	snprintf(f->detail, sizeof(f->detail), "%.*s", SV_FMT(detail));
	f->fault = kind ? fault(kind, f->detail) : FAULT_OK;
	timer_stop(&f->patience);
	timer_stop(&f->again);
	deferred_call(&f->soon);
}

static void on_patience(struct timer *t)
{
	end(CONTAINER_OF(t, struct fetch, patience), FAULT_UNAVAILABLE, SV("no answer in time"));
}

/* ---- the answer ---- */

static enum fault_kind kind_from(struct sv name)
{
	static const enum fault_kind kinds[] = { FAULT_LIMIT, FAULT_DENIED, FAULT_INVALID };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (sv_eq(name, sv_z(fault_name(kinds[i]))))
			return kinds[i];
	return FAULT_UNAVAILABLE;
}

static void take(struct fetch *f, const struct json *line)
{
	const struct json *error = json_get(line, "error");
	struct sv text = SV_NONE, kind = SV_NONE;
	uint64_t status;
	bool done;

	if (error) {
		json_get_sv(error, "kind", &kind);
		json_get_sv(error, "text", &text);
		if (sv_eq(kind, sv_z(fault_name(FAULT_BUSY))))
			timer_start_ms(&f->again, AGAIN_MS);
		else
			end(f, kind_from(kind), text);
	} else if (json_get_bool(line, "done", &done)) {
		end(f, f->has_status ? FAULT_NONE : FAULT_UNAVAILABLE, SV("the fetch helper said nothing"));
	} else if (json_get_u64(line, "status", &status)) {
		f->has_status = true;
		f->status = status < 1000 ? (uint32_t)status : 0;
		json_get_sv(line, "type", &text);
		snprintf(f->type, sizeof(f->type), "%.*s", SV_FMT(text));
	} else if (json_get_sv(line, "body", &text) && !base64_decode(text, &f->body)) {
		end(f, FAULT_LIMIT, SV("the answer is too long"));
	}
}

static void on_line(void *arg, struct sv text)
{
	struct json *line = NULL;

	if (json_parse(text, &line).kind)
		end(arg, FAULT_UNAVAILABLE, SV("the fetch helper cannot be understood"));
	else
		take(arg, line);
	json_free(&line);
}

static void on_end(void *arg)
{
	struct fetch *f = arg;

	if (timer_is_running(&f->again))
		return;         /* the answer was: not yet */
	end(arg, FAULT_UNAVAILABLE, SV("the fetch helper is gone"));
}

static void on_connected(void *arg, int fd, struct fault fault)
{
	static const struct control_pipe_events events = { .line = on_line, .end = on_end };
	struct fetch *f = arg;

	f->connector = NULL;
	if (fd < 0) {
		end(f, FAULT_UNAVAILABLE, sv_z(fault.detail));
		return;
	}
	f->pipe = control_pipe_new(f->loop, fd, &events, f);
	if (!control_pipe_send(f->pipe, buf_sv(&f->request)))
		end(f, FAULT_UNAVAILABLE, SV("the fetch helper does not listen"));
}

static void on_again(struct timer *t)
{
	struct fetch *f = CONTAINER_OF(t, struct fetch, again);

	control_pipe_free(&f->pipe);
	connect_to_path(f->loop, f->socket, CONNECT_MS, on_connected, f, &f->connector);
}

/* ---- the question ---- */

static bool write_request(struct buf *out, const struct fetch_request *r, uint32_t octets_max)
{
	struct json_out j;
	struct buf body;
	bool fits;

	buf_init(&body, CONTROL_LINE_MAX);
	fits = base64_encode(r->body, &body);
	json_out_init(&j, out);
	json_out_object(&j, NULL);
	json_out_z(&j, "verb", "fetch");
	json_out_sv(&j, "url", r->url);
	json_out_u64(&j, "octets_max", octets_max);
	if (r->body.len) {
		json_out_sv(&j, "type", r->type);
		json_out_sv(&j, "body", buf_sv(&body));
	}
	json_out_object_end(&j);
	buf_done(&body);
	return fits && !j.overflow && out->len < CONTROL_LINE_MAX;
}

void fetch_ask(struct loop *loop, const char *socket, const struct fetch_request *request, fetch_fn *fn, void *arg,
	       struct fetch **out)
{
	struct fetch *f = xcalloc(1, sizeof(*f));
	uint32_t octets_max = request->octets_max ? request->octets_max : FETCH_OCTETS_MAX;

	*f = (struct fetch){ .loop = loop, .handle = out, .fn = fn, .arg = arg };
	deferred_init(&f->soon, loop, on_soon);
	timer_init(&f->patience, loop, on_patience);
	timer_init(&f->again, loop, on_again);
	f->socket = xstrdup(socket);
	buf_init(&f->request, 2 * CONTROL_LINE_MAX);
	buf_init(&f->body, octets_max);
	if (out)
		*out = f;
	if (request->url.len > FETCH_URL_MAX || !write_request(&f->request, request, octets_max)) {
		end(f, FAULT_LIMIT, SV("the request is too long"));
		return;
	}
	timer_start_ms(&f->patience, PATIENCE_MS);
	connect_to_path(loop, socket, CONNECT_MS, on_connected, f, &f->connector);
}
