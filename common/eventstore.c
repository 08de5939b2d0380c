#include "common/eventstore.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/chore.h"
#include "common/clock.h"
#include "common/events.h"
#include "common/json.h"
#include "common/kv.h"
#include "common/memory.h"

#include "common/banned.h"

#define BUFFER_MAX ((size_t)4 << 20)
#define FLUSH_MS 1000
#define EXPIRE_EVERY 600        /* flushes */
#define EXPIRE_MOST 5000
#define TEXT_MAX 2000           /* octets of each text of an event */
#define NAME_MAX_OCTETS 400     /* of what an event is found by */
#define KEY_LEN 16              /* time, process, number */

enum table { TABLE_EVENTS, TABLE_NAMES, TABLE_ARRIVALS };
static const char *const tables[] = { "events", "names", "arrivals" };

struct eventstore {
	struct kv_env *env;
	pthread_mutex_t lock;
	struct buf buffer;      /* events, each behind its length */
	uint64_t dropped, number, flushes, keep_ms;
	uint32_t pid;           /* a part of each event's key: other processes write, too */
	int64_t refusals_ms;    /* monotonic: until then the refusals that were kept would have taken at the steady rate */
	struct chore chore;
};

static struct eventstore *the_store;    /* of this process; set before threads emit */

/* Those that are about a message. */
static bool is_kept(enum event e)
{
	switch (e) {
	case EVENT_SMTP_ACCEPT:
	case EVENT_SMTP_REJECT:
	case EVENT_SMTP_DEFER:
	case EVENT_SMTP_COMPLAINT:
	case EVENT_DELIVER_DONE:
	case EVENT_DELIVER_FAILED:
	case EVENT_QUEUE_ADD:
	case EVENT_QUEUE_REMOVE:
	case EVENT_QUEUE_NOTICE:
	case EVENT_RELAY_SENT:
	case EVENT_RELAY_DEFERRED:
	case EVENT_RELAY_FAILED:
		return true;
	default:
		return false;
	}
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t now_ms(void)
{
	return now_us() / 1000;
}

/* has_room - for one more refusal; under the lock. */
static bool has_room(struct eventstore *s)
{
	const int64_t each_ms = 60000 / EVENTSTORE_REFUSALS_PER_MINUTE;
	int64_t now = (int64_t)clock_ms();

	if (s->refusals_ms < now)
		s->refusals_ms = now;
	if (s->refusals_ms - now >= EVENTSTORE_REFUSALS * each_ms)
		return false;
	s->refusals_ms += each_ms;
	return true;
}

static bool is_refusal(enum event e)
{
	return e == EVENT_SMTP_REJECT || e == EVENT_SMTP_DEFER;
}

/* put_text - strangers wrote some of it, and it is read on terminals: control characters could rewrite what stands there. */
static void put_text(struct json_out *j, const char *name, struct sv text)
{
	char copy[TEXT_MAX];

	text = sv_sub(text, 0, sizeof(copy));
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		copy[i] = c == '\n' || c == '\r' || c == '\t' ? ' ' : c < ' ' || c == 127 ? '?' : (char)c;
	}
	json_out_sv(j, name, sv_from(copy, text.len));
}

static void put_field(struct json_out *j, const struct log_field *f)
{
	switch (f->type) {
	case LOG_T_SV:
		put_text(j, f->name, f->v.sv);
		break;
	case LOG_T_U64:
		json_out_u64(j, f->name, f->v.u64);
		break;
	case LOG_T_I64:
		json_out_i64(j, f->name, f->v.i64);
		break;
	case LOG_T_BOOL:
		json_out_bool(j, f->name, f->v.yes);
		break;
	case LOG_T_FAULT:
		json_out_z(j, f->name, f->v.fault.detail ? f->v.fault.detail : fault_name(f->v.fault.kind));
		break;
	case LOG_T_END:
		break;
	}
}

static void take_event(enum event e, const struct log_ctx *ctx, const struct log_field *fields)
{
	struct eventstore *s = the_store;
	struct buf text;
	struct json_out j;
	uint32_t len;

	if (!s || !is_kept(e))
		return;
	buf_init(&text, 16384);
	json_out_init(&j, &text);
	json_out_object(&j, NULL);
	json_out_i64(&j, "at", now_ms());
	json_out_z(&j, "event", event_info(e)->name);
	if (ctx && ctx->peer[0])
		json_out_z(&j, "peer", ctx->peer);
	for (; fields->type != LOG_T_END; fields++)
		put_field(&j, fields);
	json_out_object_end(&j);
	len = (uint32_t)text.len;
	pthread_mutex_lock(&s->lock);
	if (j.overflow || s->buffer.max - s->buffer.len < sizeof(len) + text.len || (is_refusal(e) && !has_room(s))) {
		s->dropped++;
	} else {
		(void)buf_append(&s->buffer, sv_from((const char *)&len, sizeof(len)));
		(void)buf_append(&s->buffer, buf_sv(&text));
	}
	pthread_mutex_unlock(&s->lock);
	buf_done(&text);
}

/* ---- names ---- */

/* name_key - what an event is found by, in one spelling, with the event's own key behind it. */
static void name_key(struct kv_key *k, struct sv name, struct sv event)
{
	char lower[NAME_MAX_OCTETS];

	name = sv_trim(name);
	if (name.len && *name.p == '<' && name.p[name.len - 1] == '>')
		name = sv_sub(name, 1, name.len - 2);
	name = sv_sub(name, 0, sizeof(lower));
	for (size_t i = 0; i < name.len; i++)
		lower[i] = ascii_lower(name.p[i]);
	kv_key_init(k);
	kv_key_sv(k, sv_from(lower, name.len));
	kv_key_u8(k, 0);
	kv_key_sv(k, event);
}

typedef struct fault name_fn(struct kv_txn *txn, struct sv name, struct sv event);

static struct fault add_name(struct kv_txn *txn, struct sv name, struct sv event)
{
	struct kv_key k;

	name_key(&k, name, event);
	return kv_put(txn, TABLE_NAMES, kv_key_view(&k), SV(""));
}

static struct fault del_name(struct kv_txn *txn, struct sv name, struct sv event)
{
	struct kv_key k;
	struct fault f;

	name_key(&k, name, event);
	f = kv_del(txn, TABLE_NAMES, kv_key_view(&k));
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault each_name(struct kv_txn *txn, struct sv json, struct sv event, name_fn *fn)
{
	static const char *const names[] = { "queue_id", "message_id", "from", "to", "notice_id" };
	struct json *object = NULL;
	struct sv value;
	struct fault f = json_parse(json, &object);

	for (size_t i = 0; i < ARRAY_LEN(names) && !f.kind; i++)
		if (json_get_sv(object, names[i], &value) && value.len)
			f = fn(txn, value, event);
	json_free(&object);
	return f;
}

/* ---- writing ---- */

struct batch {
	struct sv events;
	uint32_t pid;
	uint64_t number;
};

static struct fault last_arrival(struct kv_txn *txn, uint64_t *number)
{
	struct kv_cursor *c = NULL;
	struct sv key, event;
	struct fault f = kv_cursor_open(txn, TABLE_ARRIVALS, &c);

	*number = 0;
	if (!f.kind)
		f = kv_cursor_seek_back(c, SV_NONE, &key, &event);
	if (!f.kind && !kv_take_u64(&key, number))
		f = fault(FAULT_CORRUPT, "events: key of an arrival");
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

/* The clock makes numbers new again after a power cut has taken some back; where it stands or goes back, they grow by one.
 * @last: the number given last. */
static struct fault put_arrival(struct kv_txn *txn, struct sv event, uint64_t *last)
{
	struct kv_key k;
	uint64_t now = (uint64_t)now_us();

	*last = now > *last ? now : *last + 1;
	kv_key_init(&k);
	kv_key_u64(&k, *last);
	return kv_put(txn, TABLE_ARRIVALS, kv_key_view(&k), event);
}

static struct fault put_one(struct kv_txn *txn, struct sv json, uint32_t pid, uint64_t number, uint64_t *arrival)
{
	struct json *object = NULL;
	struct kv_key k;
	uint64_t at = 0;
	struct fault f = json_parse(json, &object);

	if (f.kind)
		return FAULT_OK;        /* one that cannot be read back is not worth the others */
	(void)json_get_u64(object, "at", &at);
	json_free(&object);
	kv_key_init(&k);
	kv_key_u64(&k, at);
	kv_key_u32(&k, pid);
	kv_key_u32(&k, (uint32_t)number);
	f = kv_put(txn, TABLE_EVENTS, kv_key_view(&k), json);
	if (!f.kind)
		f = put_arrival(txn, kv_key_view(&k), arrival);
	return f.kind ? f : each_name(txn, json, kv_key_view(&k), add_name);
}

static struct fault put_batch(struct kv_txn *txn, void *arg)
{
	const struct batch *b = arg;
	struct sv rest = b->events;
	uint64_t number = b->number, arrival = 0;
	struct fault f = last_arrival(txn, &arrival);

	while (rest.len && !f.kind) {
		uint32_t len;

		memcpy(&len, rest.p, sizeof(len));
		sv_skip(&rest, sizeof(len));
		f = put_one(txn, sv_sub(rest, 0, len), b->pid, number++, &arrival);
		sv_skip(&rest, len);
	}
	return f;
}

void eventstore_flush(struct eventstore *s)
{
	struct buf taken;
	struct batch b;
	struct fault f;

	pthread_mutex_lock(&s->lock);
	taken = s->buffer;
	buf_init(&s->buffer, BUFFER_MAX);
	b = (struct batch){ buf_sv(&taken), s->pid, s->number };
	s->number += taken.len / 8 + 1;         /* more than there are: never used twice */
	pthread_mutex_unlock(&s->lock);
	if (taken.len) {
		f = kv_update(s->env, put_batch, &b);
		if (f.kind)
			log_error(NULL, "events.lost", KV_FAULT("fault", f));
	}
	buf_done(&taken);
}

/* ---- removing ---- */

struct expiry {
	int64_t older_than_ms;
};

/* One that came in late keeps those behind it for as long as it is there itself. */
static struct fault expire_arrivals(struct kv_txn *txn, int64_t older_than_ms)
{
	struct kv_cursor *c = NULL;
	struct sv key, event;
	uint64_t at;
	struct fault f = kv_cursor_open(txn, TABLE_ARRIVALS, &c);

	for (int i = 0; i < EXPIRE_MOST && !f.kind; i++) {
		f = kv_cursor_seek(c, SV_NONE, &key, &event);
		if (f.kind || (kv_take_u64(&event, &at) && (int64_t)at >= older_than_ms))
			break;
		f = kv_cursor_del(c);
	}
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault expire_some(struct kv_txn *txn, void *arg)
{
	const struct expiry *e = arg;
	struct kv_cursor *c = NULL;
	struct sv key, json, left;
	uint64_t at;
	struct fault f = expire_arrivals(txn, e->older_than_ms);

	if (!f.kind)
		f = kv_cursor_open(txn, TABLE_EVENTS, &c);

	for (int i = 0; i < EXPIRE_MOST && !f.kind; i++) {
		char copy[KEY_LEN];
		struct buf text;

		f = kv_cursor_seek(c, SV_NONE, &key, &json);
		left = key;
		if (f.kind || key.len != KEY_LEN || !kv_take_u64(&left, &at) ||
		    (int64_t)at >= e->older_than_ms)
			break;
		memcpy(copy, key.p, KEY_LEN);   /* views end with the next change */
		buf_init(&text, 32768);
		(void)buf_append(&text, json);
		f = kv_cursor_del(c);
		if (!f.kind)
			f = each_name(txn, buf_sv(&text), sv_from(copy, KEY_LEN), del_name);
		buf_done(&text);
	}
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault eventstore_expire(struct eventstore *s, int64_t older_than_ms)
{
	struct expiry e = { older_than_ms };

	return kv_update(s->env, expire_some, &e);
}

static void run_chore(void *arg)
{
	struct eventstore *s = arg;

	eventstore_flush(s);
	if (++s->flushes % EXPIRE_EVERY == 1) {
		struct fault f = eventstore_expire(s, now_ms() - (int64_t)s->keep_ms);

		if (f.kind)
			log_error(NULL, "events.expire", KV_FAULT("fault", f));
	}
}

/* ---- reading ---- */

struct fault eventstore_since(struct eventstore *s, int64_t from_ms, eventstore_fn *fn, void *arg)
{
	struct kv_txn *txn = NULL;
	struct kv_cursor *c = NULL;
	struct kv_key k;
	struct sv key, json;
	uint64_t at;
	struct fault f = kv_read_begin(s->env, &txn);

	kv_key_init(&k);
	kv_key_u64(&k, from_ms > 0 ? (uint64_t)from_ms : 0);
	if (!f.kind)
		f = kv_cursor_open(txn, TABLE_EVENTS, &c);
	if (!f.kind)
		f = kv_cursor_seek(c, kv_key_view(&k), &key, &json);
	while (!f.kind && kv_take_u64(&key, &at) && fn(arg, (int64_t)at, json))
		f = kv_cursor_next(c, &key, &json);
	kv_cursor_close(&c);
	kv_read_end(&txn);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault eventstore_after(struct eventstore *s, uint64_t after, eventstore_after_fn *fn, void *arg)
{
	struct kv_txn *txn = NULL;
	struct kv_cursor *c = NULL;
	struct kv_key k;
	struct sv key, event, json;
	uint64_t number;
	struct fault f = kv_read_begin(s->env, &txn);

	kv_key_init(&k);
	kv_key_u64(&k, after + 1);
	if (!f.kind)
		f = kv_cursor_open(txn, TABLE_ARRIVALS, &c);
	if (!f.kind)
		f = kv_cursor_seek(c, kv_key_view(&k), &key, &event);
	for (; !f.kind && kv_take_u64(&key, &number); f = kv_cursor_next(c, &key, &event))
		if (!kv_get(txn, TABLE_EVENTS, event, &json).kind && !fn(arg, number, json))
			break;
	kv_cursor_close(&c);
	kv_read_end(&txn);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault eventstore_last(struct eventstore *s, uint64_t *number)
{
	struct kv_txn *txn = NULL;
	struct fault f = kv_read_begin(s->env, &txn);

	*number = 0;
	if (!f.kind)
		f = last_arrival(txn, number);
	kv_read_end(&txn);
	return f;
}

struct fault eventstore_find(struct eventstore *s, struct sv what, eventstore_fn *fn, void *arg)
{
	struct kv_txn *txn = NULL;
	struct kv_cursor *c = NULL;
	struct kv_key k;
	struct sv key, json, prefix;
	uint64_t at;
	struct fault f = kv_read_begin(s->env, &txn);

	name_key(&k, what, SV_NONE);
	prefix = kv_key_view(&k);
	if (!f.kind)
		f = kv_cursor_open(txn, TABLE_NAMES, &c);
	if (!f.kind)
		f = kv_cursor_seek(c, prefix, &key, NULL);
	while (!f.kind && sv_starts(key, prefix) && key.len == prefix.len + KEY_LEN) {
		struct sv event = sv_sub(key, prefix.len, KEY_LEN), left = event;

		if (!kv_get(txn, TABLE_EVENTS, event, &json).kind && kv_take_u64(&left, &at) &&
		    !fn(arg, (int64_t)at, json))
			break;
		f = kv_cursor_next(c, &key, NULL);
	}
	kv_cursor_close(&c);
	kv_read_end(&txn);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

/* ---- life ---- */

struct fault eventstore_open(const char *path, bool create, struct eventstore **out)
{
	const struct kv_options options = {
		.kind = KV_DISPOSABLE,
		.create = create,
		.tables = tables,
		.table_count = ARRAY_LEN(tables),
	};
	struct eventstore *s = xcalloc(1, sizeof(*s));
	struct fault f = kv_env_open(path, &options, &s->env);

	if (f.kind) {
		free(s);
		return f;
	}
	pthread_mutex_init(&s->lock, NULL);
	buf_init(&s->buffer, BUFFER_MAX);
	s->pid = (uint32_t)getpid();
	*out = s;
	return FAULT_OK;
}

void eventstore_start(struct eventstore *s, struct loop *loop, uint64_t keep_ms)
{
	s->keep_ms = keep_ms;
	the_store = s;
	event_set_sink(take_event);
	s->chore = (struct chore){ .run = run_chore, .arg = s, .every_ms = FLUSH_MS };
	chore_start(&s->chore, loop, FLUSH_MS);
}

void eventstore_close(struct eventstore **store)
{
	struct eventstore *s = *store;

	if (!s)
		return;
	if (the_store == s) {
		event_set_sink(NULL);
		the_store = NULL;
	}
	eventstore_flush(s);
	kv_env_close(&s->env);
	buf_done(&s->buffer);
	pthread_mutex_destroy(&s->lock);
	free(s);
	*store = NULL;
}
