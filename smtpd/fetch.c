/* Asking the fetch helper: one line of JSON there, some lines back (common/control.h). */
#include "smtpd/fetch.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/control_call.h"
#include "common/memory.h"
#include "common/transfer.h"

#include "common/banned.h"

#define PATIENCE_MS (FETCH_TIME_MS + 5000)

struct fetch {
	struct fetch **handle;
	fetch_fn *fn;
	void *arg;
	struct control_call *call;
	struct buf body;
	char type[128];
	uint32_t status;
	bool has_status, is_too_long;
};

static void fetch_free(struct fetch *f)
{
	control_call_forget(&f->call);
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

/* ---- the answer ---- */

static void on_line(void *arg, const struct json *line)
{
	struct fetch *f = arg;
	struct sv text = SV_NONE;
	uint64_t status;

	if (json_get_u64(line, "status", &status)) {
		f->has_status = true;
		f->status = status < 1000 ? (uint32_t)status : 0;
		json_get_sv(line, "type", &text);
		snprintf(f->type, sizeof(f->type), "%.*s", SV_FMT(text));
	} else if (json_get_sv(line, "body", &text) && !base64_decode(text, &f->body)) {
		f->is_too_long = true;
	}
}

/* kind_of - the faults that fetch.h names. */
static enum fault_kind kind_of(enum fault_kind kind)
{
	return kind == FAULT_LIMIT || kind == FAULT_DENIED || kind == FAULT_INVALID ? kind : FAULT_UNAVAILABLE;
}

static void on_end(void *arg, struct fault fault_said)
{
	struct fetch *f = arg;
	struct fetch_result result = { .status = f->status, .type = sv_z(f->type), .body = buf_sv(&f->body) };

	if (fault_said.kind)
		result.fault = fault(kind_of(fault_said.kind), fault_said.detail);
	else if (f->is_too_long)
		result.fault = fault(FAULT_LIMIT, "the answer is too long");
	else if (!f->has_status)
		result.fault = fault(FAULT_UNAVAILABLE, "the fetch helper said nothing");
	if (f->handle)
		*f->handle = NULL;
	f->handle = NULL;
	f->fn(f->arg, &result);
	fetch_free(f);
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
		if (r->fields.len)
			json_out_sv(&j, "fields", r->fields);
	}
	json_out_object_end(&j);
	buf_done(&body);
	return fits && !j.overflow && out->len < CONTROL_LINE_MAX;
}

void fetch_ask(struct loop *loop, const char *socket, const struct fetch_request *request, fetch_fn *fn, void *arg,
	       struct fetch **out)
{
	static const struct control_call_events events = { .line = on_line, .end = on_end };
	struct fetch *f = xcalloc(1, sizeof(*f));
	uint32_t octets_max = request->octets_max ? request->octets_max : FETCH_OCTETS_MAX;
	struct buf line;
	bool fits;

	*f = (struct fetch){ .handle = out, .fn = fn, .arg = arg };
	buf_init(&f->body, octets_max);
	if (out)
		*out = f;
	buf_init(&line, 2 * CONTROL_LINE_MAX);
	fits = request->url.len <= FETCH_URL_MAX && write_request(&line, request, octets_max);
	control_call(loop, socket, fits ? buf_sv(&line) : SV_NONE, PATIENCE_MS, &events, f, &f->call);
	buf_done(&line);
}
