#include "smtpd/webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/crypt.h"
#include "common/date.h"
#include "common/events.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/textfile.h"
#include "common/transfer.h"
#include "common/work.h"
#include "smtpd/fetch.h"

#include "common/banned.h"

#define NOTE "webhook"
#define LOOK_MS 1000
#define AGAIN_MIN_MS 5000
#define AGAIN_MAX_MS (10 * 60000)
#define EVENTS_MOST 100         /* in one POST */
#define SEEN_MOST 5000          /* read in one job, wanted or not */
#define BODY_MAX (32u << 10)    /* less than FETCH_BODY_MAX */
#define KEY_FILE_MAX 1000

static const char *const known_events[] = {
	"smtp.accept", "smtp.complaint", "deliver.done", "deliver.failed", "queue.add", "queue.remove", "queue.notice",
	"relay.sent", "relay.deferred", "relay.failed",
};

enum task { TASK_READ, TASK_KEEP };

struct webhook {
	struct loop *loop;
	struct eventstore *events;
	struct queue *queue;
	char *control, *url, *key_file;
	unsigned wanted;                /* bit: of known_events */
	struct timer look;
	struct fetch *fetch;
	bool is_freed;

	/* one job at a time, to which the rest belongs while it runs */
	struct work work;
	enum task task;
	bool has_job;
	bool has_place;                 /* the note was read */
	uint64_t from;                  /* number of the last event that the other side has */
	uint64_t to;                    /* and of the last one looked at for the batch */
	struct buf body, key;
	unsigned count;                 /* events in it */
	bool is_more;                   /* there were others */
	struct fault fault;

	uint64_t posted, failures, wait_ms;
	char answer[200];               /* of the last POST */
	bool has_looked, is_failing;
	int64_t failing_since_s;
};

/* ---- the key ---- */

bool webhook_key_read(struct sv text, struct buf *key)
{
	text = sv_trim(text);
	if (!sv_starts(text, SV("whsec_")))
		return false;
	return base64_decode(sv_sub(text, 6, SIZE_MAX), key) && key->len >= WEBHOOK_KEY_MIN && key->len <= WEBHOOK_KEY_MAX;
}

void webhook_sign(struct sv key, const char *id, int64_t at_s, struct sv body, char out[WEBHOOK_SIGNATURE_MAX])
{
	uint8_t mac[CRYPT_HASH_MAX];
	struct buf text, encoded;
	size_t len;

	buf_init(&text, body.len + 200);
	if (!buf_appendf(&text, "%s.%" PRId64 ".", id, at_s) || !buf_append(&text, body))
		BUG("webhook: an id of %zu octets", strlen(id));
	len = crypt_hmac(CRYPT_SHA256, key, buf_sv(&text), mac);
	buf_init(&encoded, WEBHOOK_SIGNATURE_MAX);
	(void)base64_encode(sv_from((const char *)mac, len), &encoded);
	snprintf(out, WEBHOOK_SIGNATURE_MAX, "v1,%.*s", SV_FMT(buf_sv(&encoded)));
	buf_done(&encoded);
	buf_done(&text);
}

static struct fault read_key(struct webhook *h)
{
	struct fault f = FAULT_OK;
	struct buf text;
	struct stat st;

	buf_init(&text, KEY_FILE_MAX);
	buf_clear(&h->key);
	if (!stat(h->key_file, &st) && st.st_mode & 077)
		f = fault(FAULT_DENIED, "others may read webhook-key");
	if (!f.kind)
		f = textfile_read(h->key_file, &text);
	if (!f.kind && !webhook_key_read(buf_sv(&text), &h->key))
		f = fault(FAULT_INVALID, "webhook-key is no key: postroom webhook key --new");
	buf_done(&text);
	return f.kind == FAULT_NOT_FOUND ? fault(FAULT_NOT_FOUND, "there is no key yet: postroom webhook key") : f;
}

/* ---- gathering: in a job ---- */

static struct fault keep_place(struct webhook *h)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", h->from);

	return queue_put_note(h->queue, NOTE, sv_from(text, (size_t)n));
}

static struct fault read_place(struct webhook *h)
{
	struct fault f = FAULT_OK;
	struct buf text;

	if (h->has_place)
		return FAULT_OK;
	buf_init(&text, 100);
	/* What was before the first start is nobody's business. */
	if (!queue_note(h->queue, NOTE, &text) || !sv_to_u64(sv_trim(buf_sv(&text)), &h->from)) {
		f = eventstore_last(h->events, &h->from);
		if (!f.kind)            /* or a restart before the first POST is taken would begin anew */
			f = keep_place(h);
	}
	buf_done(&text);
	h->has_place = !f.kind;
	return f;
}

static bool is_wanted(const struct webhook *h, struct sv json)
{
	struct json *event = NULL;
	struct sv name;
	bool yes = false;

	if (json_parse(json, &event).kind)
		return false;
	if (json_get_sv(event, "event", &name))
		for (size_t i = 0; i < ARRAY_LEN(known_events); i++)
			yes |= h->wanted >> i & 1 && sv_eq(name, sv_z(known_events[i]));
	json_free(&event);
	return yes;
}

struct gathering {
	struct webhook *hook;
	unsigned seen;
};

static bool take_event(void *arg, uint64_t number, struct sv json)
{
	struct gathering *g = arg;
	struct webhook *h = g->hook;

	h->is_more = h->count == EVENTS_MOST || ++g->seen > SEEN_MOST;
	if (!h->is_more && is_wanted(h, json)) {
		h->is_more = !buf_appendf(&h->body, "%s", h->count ? ",\n" : "") || h->body.max - h->body.len < json.len + 4;
		if (!h->is_more)
			h->count += buf_append(&h->body, json);
	}
	if (!h->is_more)
		h->to = number;
	return !h->is_more;
}

static void gather(struct webhook *h)
{
	struct gathering g = { .hook = h };

	h->fault = read_place(h);
	h->to = h->from;
	h->count = 0;
	h->is_more = false;
	buf_clear(&h->body);
	(void)buf_append(&h->body, SV("{\"events\":[\n"));
	if (!h->fault.kind)
		h->fault = eventstore_after(h->events, h->from, take_event, &g);
	if (!h->fault.kind && h->count)
		h->fault = read_key(h);
	/* What did not fit left its comma. */
	if (h->body.len && h->body.p[h->body.len - 1] == '\n' && h->count)
		h->body.len -= 2;
	(void)buf_append(&h->body, SV("\n]}\n"));
}

/* ---- posting ---- */

static void look_after(struct webhook *h, uint64_t ms)
{
	timer_start_ms(&h->look, ms);
}

static void submit(struct webhook *h, enum task task);

static void failed(struct webhook *h, struct fault f)
{
	h->failures++;
	if (!h->is_failing)
		h->failing_since_s = date_now().seconds;
	h->is_failing = true;
	h->wait_ms = !h->wait_ms ? AGAIN_MIN_MS : h->wait_ms * 2 > AGAIN_MAX_MS ? AGAIN_MAX_MS : h->wait_ms * 2;
	snprintf(h->answer, sizeof(h->answer), "%s", f.detail ? f.detail : fault_name(f.kind));
	log_warn(NULL, "webhook.failed", KV_Z("url", h->url), KV_FAULT("fault", f), KV_U64("again_s", h->wait_ms / 1000));
	look_after(h, h->wait_ms);
}

static void on_posted(void *arg, const struct fetch_result *result)
{
	struct webhook *h = arg;
	char status[64];

	h->fetch = NULL;
	snprintf(status, sizeof(status), "HTTP status %u", result->status);
	if (result->fault.kind || result->status / 100 != 2) {
		failed(h, result->fault.kind ? result->fault : fault(FAULT_UNAVAILABLE, status));
		return;
	}
	h->posted += h->count;
	h->wait_ms = 0;
	h->is_failing = false;
	snprintf(h->answer, sizeof(h->answer), "%s", status);
	log_info(NULL, "webhook.posted", KV_Z("url", h->url), KV_U64("events", h->count), KV_U64("status", result->status));
	h->from = h->to;
	submit(h, TASK_KEEP);
}

static void post(struct webhook *h)
{
	char id[80], signature[WEBHOOK_SIGNATURE_MAX], fields[400];
	int64_t at_s = date_now().seconds;
	int n;

	/* The same batch again has the same id, by which the other side knows it. */
	snprintf(id, sizeof(id), "%" PRIu64 "-%" PRIu64, h->from, h->to);
	webhook_sign(buf_sv(&h->key), id, at_s, buf_sv(&h->body), signature);
	n = snprintf(fields, sizeof(fields), "webhook-id: %s\nwebhook-timestamp: %" PRId64 "\nwebhook-signature: %s\n", id, at_s, signature);
	fetch_ask(h->loop, h->control,
		  &(struct fetch_request){ .url = sv_z(h->url), .octets_max = 4096, .body = buf_sv(&h->body),
					   .type = SV("application/json"), .fields = sv_from(fields, (size_t)n) },
		  on_posted, h, &h->fetch);
}

/* ---- jobs ---- */

static void run(struct work *w)
{
	struct webhook *h = CONTAINER_OF(w, struct webhook, work);

	if (h->task == TASK_READ)
		gather(h);
	else
		h->fault = keep_place(h);
}

static void release(struct webhook *h)
{
	buf_done(&h->body);
	buf_done(&h->key);
	free(h->control);
	free(h->url);
	free(h->key_file);
	free(h);
}

static void go_on(struct webhook *h)
{
	h->has_looked = true;
	if (h->fault.kind) {
		failed(h, h->fault);
	} else if (h->task == TASK_READ && h->count) {
		post(h);
	} else {
		if (h->task == TASK_READ)
			h->from = h->to;
		look_after(h, h->is_more ? 1 : LOOK_MS);
	}
}

static void done(struct work *w, bool is_cancelled)
{
	struct webhook *h = CONTAINER_OF(w, struct webhook, work);

	h->has_job = false;
	if (h->is_freed)
		release(h);
	else if (!is_cancelled)
		go_on(h);
}

static void submit(struct webhook *h, enum task task)
{
	h->work = (struct work){ .run = run, .done = done };
	h->task = task;
	h->has_job = !work_submit(h->loop, WORK_MAIL, &h->work).kind;
	if (!h->has_job)
		look_after(h, LOOK_MS);
}

static void on_look(struct timer *t)
{
	struct webhook *h = CONTAINER_OF(t, struct webhook, look);

	if (!h->has_job && !h->fetch)
		submit(h, TASK_READ);
}

/* ---- life ---- */

static bool event_at(const char *name, size_t *at)
{
	for (*at = 0; *at < ARRAY_LEN(known_events); ++*at)
		if (!strcmp(known_events[*at], name))
			return true;
	return false;
}

const char *webhook_check(const struct conf *conf)
{
	const struct conf_list *l = &conf->relay.webhook_events;
	size_t at;

	if (!conf->relay.webhook_url[0])
		return NULL;
	if (!sv_starts(sv_z(conf->relay.webhook_url), SV("https://")))
		return "webhook-url does not begin with https://";
	for (size_t i = 0; i < l->count; i++)
		if (!event_at(l->items[i], &at))
			return "webhook-events names an event that is not told";
	return NULL;
}

struct webhook *webhook_new(struct loop *loop, const struct conf *conf, struct eventstore *events, struct queue *queue,
			    const char *control)
{
	const struct conf_list *l = &conf->relay.webhook_events;
	struct webhook *h = xcalloc(1, sizeof(*h));
	size_t at;

	h->loop = loop;
	h->events = events;
	h->queue = queue;
	h->control = xstrdup(control);
	h->url = xstrdup(conf->relay.webhook_url);
	h->key_file = xstrdup(conf->relay.webhook_key);
	for (size_t i = 0; i < l->count; i++)
		if (event_at(l->items[i], &at))
			h->wanted |= 1u << at;
	buf_init(&h->body, BODY_MAX);
	buf_init(&h->key, WEBHOOK_KEY_MAX);
	timer_init(&h->look, loop, on_look);
	look_after(h, 1);       /* soon: what happens from now on is told */
	return h;
}

void webhook_free(struct webhook **hook)
{
	struct webhook *h = *hook;

	*hook = NULL;
	if (!h)
		return;
	timer_stop(&h->look);
	fetch_forget(&h->fetch);
	h->is_freed = true;
	if (!h->has_job)
		release(h);
}

void webhook_status(const struct webhook *h, struct json_out *j)
{
	json_out_z(j, "url", h ? h->url : "");
	json_out_z(j, "state", !h ? "off" : h->is_failing ? "failing" : h->has_looked ? "working" : "starting");
	json_out_u64(j, "posted", h ? h->posted : 0);
	json_out_u64(j, "failures", h ? h->failures : 0);
	json_out_i64(j, "behind_s", h && h->is_failing ? date_now().seconds - h->failing_since_s : 0);
	json_out_z(j, "answer", h ? h->answer : "");
}
