#include "common/logins.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/chore.h"
#include "common/crypt.h"
#include "common/json.h"
#include "common/kv.h"
#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

#define FLUSH_MS 1000
#define EXPIRE_EVERY 3600       /* runs of the chore */
#define EXPIRE_STEP 5000        /* rows that one transaction looks at */
#define BUFFERED_MAX 4096       /* logins; beyond, the newest is not written down */
#define FAILURES_MAX 256        /* of them, failed ones: an attack must not push out who logged in */
#define KNOWN_S (30 * 86400)
#define KNOWN_AGAIN_S 86400     /* an address is written down anew when it was not for a day */
#define HOUR_MS 3600000u
#define TEXT_MAX 4096
#define MAP_SIZE ((uint64_t)64 << 20)

enum table { TABLE_KNOWN, TABLE_DEVICES, TABLE_LOGINS };
static const char *const tables[] = { "known", "devices", "logins" };

/* A login, or the end of a session, on its way to the disk. */
struct note {
	struct note *next;
	int64_t at_ms;
	struct netaddr address;
	uint32_t number;
	bool has_name, is_ok, is_sync, is_from_known;
	uint64_t modseq;
	uint8_t name[LOGINS_KEY_LEN];
	char account[DIRECTORY_ID_LEN + 1], sid[20], protocol[16], mechanism[32], credential[DIRECTORY_LABEL_MAX + 1];
	char tls[16], result[24], program[LOGINS_CLIENT_MAX + 1], client[4 * LOGINS_CLIENT_MAX + 1];
};

struct logins {
	struct kv_env *env;
	pthread_mutex_t lock;
	struct note *first, **last;
	size_t count, failures;
	uint64_t dropped, runs, keep_ms;
	bool is_expiry_due;             /* set before a run, by the loop */
	logins_new_fn *on_new;
	void *arg;
	struct chore chore;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- keys ---- */

static void known_key(struct kv_key *k, const uint8_t name[LOGINS_KEY_LEN], const struct netaddr *address)
{
	struct netaddr cut = netaddr_cut(address, 32, 64);

	kv_key_init(k);
	kv_key_sv(k, sv_from((const char *)name, LOGINS_KEY_LEN));
	kv_key_sv(k, sv_from((const char *)cut.ip, sizeof(cut.ip)));
}

/* What makes a device: see logins.h. An app password is one, whatever uses it. */
static void device_key(const struct note *n, char out[2 * LOGINS_KEY_LEN + 1])
{
	struct netaddr net = netaddr_cut(&n->address, 24, 48);
	uint8_t digest[CRYPT_HASH_MAX];
	struct buf text;

	buf_init(&text, 512);
	buf_appendf(&text, "%u ", n->number);
	if (!n->number && n->program[0])
		buf_append(&text, sv_z(n->program));
	else if (!n->number && buf_appendf(&text, "%s\n", n->protocol))
		buf_append(&text, sv_from((const char *)net.ip, sizeof(net.ip)));
	crypt_digest(CRYPT_SHA256, buf_sv(&text), digest);
	buf_done(&text);
	for (size_t i = 0; i < LOGINS_KEY_LEN; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void row_key(struct kv_key *k, const char *account, struct sv rest)
{
	kv_key_init(k);
	kv_key_sv(k, sv_z(account));
	kv_key_sv(k, rest);
}

/* ---- rows ---- */

static void copy_text(char *out, size_t size, struct sv text)
{
	text = sv_sub(text, 0, size - 1);
	for (size_t i = 0; i < text.len; i++)
		out[i] = (unsigned char)text.p[i] < ' ' || text.p[i] == 127 ? '?' : text.p[i];
	out[text.len] = '\0';
}

static uint64_t number_of(const struct json *row, const char *name)
{
	uint64_t n = 0;

	(void)json_get_u64(row, name, &n);
	return n;
}

static struct sv text_of(const struct json *row, const char *name)
{
	struct sv text = SV_NONE;

	(void)json_get_sv(row, name, &text);
	return text;
}

/* get_row - NULL: there is none, or none that can be read. */
static struct fault get_row(struct kv_txn *txn, enum table table, struct sv key, struct json **out)
{
	struct sv value;
	struct fault f = kv_get(txn, table, key, &value);

	*out = NULL;
	if (!f.kind && json_parse(value, out).kind)
		*out = NULL;
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static void put_common(struct json_out *j, const struct note *n)
{
	char address[NETADDR_TEXT_MAX];

	json_out_z(j, "protocol", n->protocol);
	json_out_z(j, "mechanism", n->mechanism);
	json_out_z(j, "credential", n->credential);
	json_out_u64(j, "number", n->number);
	json_out_sv(j, "address", netaddr_text(&n->address, address));
	json_out_z(j, "tls", n->tls);
	json_out_z(j, "client", n->client);
}

static struct fault put_row(struct kv_txn *txn, enum table table, const struct kv_key *k, const struct buf *text,
			    const struct json_out *j)
{
	return j->overflow ? FAULT_OK : kv_put(txn, table, kv_key_view(k), buf_sv(text));
}

/* put_login - one row for an hour of the same. */
static struct fault put_login(struct kv_txn *txn, const struct note *n)
{
	char device[2 * LOGINS_KEY_LEN + 1];
	uint8_t digest[CRYPT_HASH_MAX];
	struct json *old = NULL;
	struct json_out j;
	struct buf text;
	struct kv_key k;
	struct fault f;

	device_key(n, device);
	buf_init(&text, TEXT_MAX);
	buf_appendf(&text, "%s %s %s %s ", device, n->protocol, n->mechanism, n->result);
	buf_append(&text, sv_from((const char *)n->address.ip, sizeof(n->address.ip)));
	crypt_digest(CRYPT_SHA256, buf_sv(&text), digest);
	row_key(&k, n->account, SV_NONE);
	kv_key_u64(&k, (uint64_t)n->at_ms / HOUR_MS);
	kv_key_sv(&k, sv_from((const char *)digest, LOGINS_KEY_LEN));
	f = get_row(txn, TABLE_LOGINS, kv_key_view(&k), &old);
	buf_clear(&text);
	json_out_init(&j, &text);
	json_out_object(&j, NULL);
	json_out_i64(&j, "first", old ? (int64_t)number_of(old, "first") : n->at_ms);
	json_out_i64(&j, "last", n->at_ms);
	json_out_u64(&j, "count", number_of(old, "count") + 1);
	json_out_z(&j, "result", n->result);
	json_out_z(&j, "device", n->is_ok ? device : "");
	put_common(&j, n);
	json_out_object_end(&j);
	if (!f.kind)
		f = put_row(txn, TABLE_LOGINS, &k, &text, &j);
	json_free(&old);
	buf_done(&text);
	return f;
}

static void device_name(const struct note *n, struct buf *out)
{
	char upper[sizeof(n->protocol)];

	if (n->number) {
		buf_append(out, sv_z(n->credential));
	} else if (n->program[0]) {
		buf_append(out, sv_z(n->program));
	} else {
		memcpy(upper, n->protocol, sizeof(upper));
		for (char *p = upper; *p; p++)
			*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
		buf_appendf(out, "%s program", upper);
	}
}

/* is_of_place - was a device last seen where this login comes from? */
static bool is_of_place(struct sv row, const struct note *n)
{
	struct netaddr was, here = netaddr_cut(&n->address, 32, 64);
	struct json *object = NULL;
	bool is = false;

	if (!json_parse(row, &object).kind && netaddr_parse(text_of(object, "address"), &was)) {
		was = netaddr_cut(&was, 32, 64);
		is = was.family == here.family && memcmp(was.ip, here.ip, sizeof(was.ip)) == 0;
	}
	json_free(&object);
	return is;
}

/* is_stranger - has the account devices, and none that this one may belong to? A program that says nothing of itself is known by
 * its address, and its IMAP and its POP3 may come together, before the address counts as known. */
static struct fault is_stranger(struct kv_txn *txn, const struct note *n, bool *is)
{
	bool is_nameless = !n->number && !n->program[0];
	struct kv_cursor *c = NULL;
	struct sv key, value;
	struct fault f = kv_cursor_open(txn, TABLE_DEVICES, &c);

	*is = false;
	if (!f.kind)
		f = kv_cursor_seek(c, sv_z(n->account), &key, &value);
	while (!f.kind && sv_starts(key, sv_z(n->account))) {
		*is = !is_nameless || !is_of_place(value, n);
		if (!*is || !is_nameless)
			break;
		f = kv_cursor_next(c, &key, &value);
	}
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

/* put_device - @is_new: the account had others, and not this one. */
static struct fault put_device(struct kv_txn *txn, const struct note *n, bool *is_new)
{
	char device[2 * LOGINS_KEY_LEN + 1];
	struct json *old = NULL;
	struct json_out j;
	struct buf text, name;
	struct kv_key k;
	struct fault f;

	*is_new = false;
	device_key(n, device);
	row_key(&k, n->account, sv_z(device));
	f = get_row(txn, TABLE_DEVICES, kv_key_view(&k), &old);
	if (n->is_sync && !old)
		return f;       /* removed meanwhile */
	if (!f.kind && !old)
		f = is_stranger(txn, n, is_new);
	buf_init(&text, TEXT_MAX);
	buf_init(&name, LOGINS_CLIENT_MAX + 64);
	device_name(n, &name);
	json_out_init(&j, &text);
	json_out_object(&j, NULL);
	json_out_sv(&j, "name", buf_sv(&name));
	json_out_i64(&j, "first", old ? (int64_t)number_of(old, "first") : n->at_ms / 1000);
	json_out_i64(&j, "last", n->at_ms / 1000);
	json_out_u64(&j, "count", number_of(old, "count") + !n->is_sync);
	json_out_u64(&j, "modseq", n->is_sync ? n->modseq : number_of(old, "modseq"));
	json_out_u64(&j, "synced", n->is_sync ? (uint64_t)(n->at_ms / 1000) : number_of(old, "synced"));
	put_common(&j, n);
	json_out_object_end(&j);
	if (!f.kind)
		f = put_row(txn, TABLE_DEVICES, &k, &text, &j);
	json_free(&old);
	buf_done(&name);
	buf_done(&text);
	return f;
}

static struct fault put_known(struct kv_txn *txn, const struct note *n)
{
	uint64_t at_s = (uint64_t)n->at_ms / 1000, was = 0;
	struct kv_key k, value;
	struct sv old;

	known_key(&k, n->name, &n->address);
	struct fault f = kv_get(txn, TABLE_KNOWN, kv_key_view(&k), &old);

	if (!f.kind && kv_take_u64(&old, &was) && was <= at_s && at_s - was < KNOWN_AGAIN_S)
		return FAULT_OK;
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	kv_key_init(&value);
	kv_key_u64(&value, at_s);
	return kv_put(txn, TABLE_KNOWN, kv_key_view(&k), kv_key_view(&value));
}

bool logins_is_known(struct logins *l, const uint8_t name[LOGINS_KEY_LEN], const struct netaddr *address)
{
	uint64_t at_s = 0, now_s = (uint64_t)now_ms() / 1000;
	struct kv_txn *txn = NULL;
	struct kv_key k;
	struct sv value;

	known_key(&k, name, address);
	struct fault f = kv_read_begin(l->env, &txn);

	if (!f.kind)
		f = kv_get(txn, TABLE_KNOWN, kv_key_view(&k), &value);
	bool is_known = !f.kind && kv_take_u64(&value, &at_s) && now_s < at_s + KNOWN_S;

	kv_read_end(&txn);
	return is_known;
}

/* ---- the buffer ---- */

static void add(struct logins *l, struct note *n)
{
	bool is_failure = !n->is_ok && !n->is_sync;

	pthread_mutex_lock(&l->lock);
	if (l->count >= BUFFERED_MAX || (is_failure && l->failures >= FAILURES_MAX)) {
		l->dropped++;
	} else {
		*l->last = n;
		l->last = &n->next;
		l->count++;
		l->failures += is_failure;
		n = NULL;
	}
	pthread_mutex_unlock(&l->lock);
	free(n);
}

static struct note *note_new(const struct login *login)
{
	struct note *n = xcalloc(1, sizeof(*n));

	n->at_ms = now_ms();
	n->address = login->address;
	n->number = login->number;
	n->has_name = login->name != NULL;
	n->is_from_known = login->is_from_known;
	n->is_ok = sv_eq(login->result, SV("ok"));
	if (login->name)
		memcpy(n->name, login->name, sizeof(n->name));
	copy_text(n->account, sizeof(n->account), login->account);
	copy_text(n->sid, sizeof(n->sid), login->sid);
	copy_text(n->protocol, sizeof(n->protocol), login->protocol);
	copy_text(n->mechanism, sizeof(n->mechanism), login->mechanism);
	copy_text(n->credential, sizeof(n->credential), login->credential);
	copy_text(n->tls, sizeof(n->tls), login->tls);
	copy_text(n->result, sizeof(n->result), login->result);
	copy_text(n->program, sizeof(n->program), login->program);
	copy_text(n->client, sizeof(n->client), login->client);
	return n;
}

void logins_note(struct logins *l, const struct login *login)
{
	if (login->account.len == DIRECTORY_ID_LEN)
		add(l, note_new(login));
}

struct sv logins_program(struct sv client)
{
	for (size_t i = 0; i + 1 < client.len; i++)
		if (client.p[i] == ' ' && (client.p[i + 1] == '(' || (client.p[i + 1] >= '0' && client.p[i + 1] <= '9')))
			return sv_sub(client, 0, i);
	return client;
}

void logins_client(struct logins *l, struct sv sid, struct sv client)
{
	struct sv program = logins_program(client);

	pthread_mutex_lock(&l->lock);
	for (struct note *n = l->first; n; n = n->next)
		if (n->is_ok && sv_eq(sid, sv_z(n->sid))) {
			copy_text(n->program, sizeof(n->program), program);
			copy_text(n->client, sizeof(n->client), client);
		}
	pthread_mutex_unlock(&l->lock);
}

void logins_synced(struct logins *l, const struct login *login, uint64_t modseq)
{
	struct note *n;

	if (login->account.len != DIRECTORY_ID_LEN || !modseq)
		return;
	n = note_new(login);
	n->is_ok = n->has_name = false;
	n->is_sync = true;
	n->modseq = modseq;
	add(l, n);
}

/* ---- writing ---- */

/* An IMAP program may say its name behind the login; only then is it known which device it is. A session that ended before is
 * waited for, too, so that its row is there. */
static bool may_wait(const struct note *n, int64_t now)
{
	return now - n->at_ms < LOGINS_HOLD_MS && now >= n->at_ms && (n->is_ok || n->is_sync) && !n->number &&
	       !n->program[0] && strcmp(n->protocol, "imap") == 0;
}

struct batch {
	struct note *notes;
	const struct note *fresh[16];   /* new devices, as many as are told of at once */
	size_t fresh_count;
};

static struct fault put_batch(struct kv_txn *txn, void *arg)
{
	struct batch *b = arg;
	struct fault f = FAULT_OK;

	b->fresh_count = 0;
	for (const struct note *n = b->notes; n && !f.kind; n = n->next) {
		bool is_new = false;

		if (!n->is_sync)
			f = put_login(txn, n);
		if (!f.kind && (n->is_ok || n->is_sync))
			f = put_device(txn, n, &is_new);
		if (n->is_from_known && !n->number && !n->program[0])
			is_new = false;
		if (is_new && b->fresh_count < ARRAY_LEN(b->fresh))
			b->fresh[b->fresh_count++] = n;
	}
	return f;
}

static struct fault put_known_batch(struct kv_txn *txn, void *arg)
{
	struct fault f = FAULT_OK;

	for (struct note *n = arg; n && !f.kind; n = n->next)
		if (n->is_ok && n->has_name)
			f = put_known(txn, n);
	return f;
}

static void free_notes(struct note *n)
{
	for (struct note *next; n; n = next) {
		next = n->next;
		free(n);
	}
}

static void tell_new(struct logins *l, const struct batch *b)
{
	for (size_t i = 0; i < b->fresh_count && l->on_new; i++) {
		const struct note *n = b->fresh[i];
		char address[NETADDR_TEXT_MAX];
		struct buf name;

		buf_init(&name, LOGINS_CLIENT_MAX + 64);
		device_name(n, &name);
		l->on_new(l->arg, &(struct logins_device){
			.name = buf_sv(&name),
			.client = sv_z(n->client),
			.protocol = sv_z(n->protocol),
			.mechanism = sv_z(n->mechanism),
			.credential = sv_z(n->credential),
			.address = netaddr_text(&n->address, address),
			.tls = sv_z(n->tls),
			.account = sv_z(n->account),
			.first_s = n->at_ms / 1000,
			.last_s = n->at_ms / 1000,
			.number = n->number,
		});
		buf_done(&name);
	}
}

/* take_due - what may be written; who may still say his name stays. */
static struct note *take_due(struct logins *l, bool all)
{
	struct note *due = NULL, **end = &due, **at = &l->first;
	int64_t now = now_ms();

	pthread_mutex_lock(&l->lock);
	/* One flush of the disk for all who came meanwhile. */
	bool is_early = !all && l->first && now >= l->first->at_ms && now - l->first->at_ms < LOGINS_HOLD_MS &&
			l->count < BUFFERED_MAX / 2;

	while (*at) {
		struct note *n = *at;

		if (is_early || (!all && may_wait(n, now))) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		n->next = NULL;
		*end = n;
		end = &n->next;
		l->count--;
		l->failures -= !n->is_ok && !n->is_sync;
	}
	l->last = at;
	pthread_mutex_unlock(&l->lock);
	return due;
}

/* The address is known at once, the device when it can be told which one it is. */
static struct fault flush_known(struct logins *l)
{
	struct note *copies = NULL;

	pthread_mutex_lock(&l->lock);
	for (struct note *n = l->first; n; n = n->next) {
		struct note *copy;

		if (!n->is_ok || !n->has_name)
			continue;
		n->has_name = false;
		copy = xmalloc(sizeof(*copy));
		*copy = *n;
		copy->has_name = true;
		copy->next = copies;
		copies = copy;
	}
	pthread_mutex_unlock(&l->lock);
	struct fault f = FAULT_OK;

	for (struct note **at = &copies; *at;) {        /* most are known already, and need no write */
		struct note *n = *at;
		struct kv_txn *txn = NULL;
		struct kv_key k;
		struct sv value;
		uint64_t was = 0;

		known_key(&k, n->name, &n->address);
		bool is_fresh = !kv_read_begin(l->env, &txn).kind &&
				!kv_get(txn, TABLE_KNOWN, kv_key_view(&k), &value).kind && kv_take_u64(&value, &was) &&
				(uint64_t)n->at_ms / 1000 < was + KNOWN_AGAIN_S;

		kv_read_end(&txn);
		if (is_fresh) {
			*at = n->next;
			free(n);
		} else {
			at = &n->next;
		}
	}
	if (copies)
		f = kv_update(l->env, put_known_batch, copies);
	free_notes(copies);
	return f;
}

void logins_flush(struct logins *l, bool all)
{
	struct fault f = flush_known(l);
	struct batch b = { .notes = take_due(l, all) };

	if (!f.kind && b.notes)
		f = kv_update(l->env, put_batch, &b);
	if (f.kind)
		log_error(NULL, "logins.lost", KV_FAULT("fault", f));
	else
		tell_new(l, &b);
	free_notes(b.notes);
}

/* ---- removing ---- */

struct expiry {
	int64_t older_than_s;
	enum table table;
	struct kv_key from, next;       /* where this transaction begins, and the one behind it */
	bool is_at_end;
};

static bool is_old(enum table table, struct sv key, struct sv value, int64_t older_than_s)
{
	struct json *row = NULL;
	uint64_t at_s = 0;

	if (table == TABLE_KNOWN)
		return !kv_take_u64(&value, &at_s) || (int64_t)at_s < older_than_s;
	if (table == TABLE_LOGINS) {
		sv_skip(&key, DIRECTORY_ID_LEN);
		return !kv_take_u64(&key, &at_s) || (int64_t)(at_s + 1) * (HOUR_MS / 1000) < older_than_s;
	}
	if (json_parse(value, &row).kind)
		return true;
	at_s = number_of(row, "last");
	json_free(&row);
	return (int64_t)at_s < older_than_s;
}

static struct fault expire_some(struct kv_txn *txn, void *arg)
{
	struct expiry *e = arg;
	struct kv_cursor *c = NULL;
	struct sv key, value;
	struct fault f = kv_cursor_open(txn, e->table, &c);

	if (!f.kind)
		f = kv_cursor_seek(c, kv_key_view(&e->from), &key, &value);
	for (int i = 0; !f.kind && i < EXPIRE_STEP; i++) {
		if (is_old(e->table, key, value, e->older_than_s))
			f = kv_cursor_del(c);
		if (!f.kind)
			f = kv_cursor_next(c, &key, &value);
	}
	e->is_at_end = f.kind == FAULT_NOT_FOUND;
	kv_key_init(&e->next);
	if (!f.kind)
		kv_key_sv(&e->next, key);
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault logins_expire(struct logins *l, int64_t older_than_s)
{
	struct fault f = FAULT_OK;

	for (enum table t = TABLE_KNOWN; t <= TABLE_LOGINS && !f.kind; t++) {
		struct expiry e = { .older_than_s = older_than_s, .table = t };

		if (t == TABLE_KNOWN && older_than_s > now_ms() / 1000 - KNOWN_S)
			e.older_than_s = now_ms() / 1000 - KNOWN_S;
		do {
			f = kv_update(l->env, expire_some, &e);
			e.from = e.next;
		} while (!f.kind && !e.is_at_end);
	}
	return f;
}

static void run_chore(void *arg)
{
	struct logins *l = arg;

	logins_flush(l, false);
	if (l->is_expiry_due) {
		struct fault f = logins_expire(l, (now_ms() - (int64_t)l->keep_ms) / 1000);

		if (f.kind)
			log_error(NULL, "logins.expire", KV_FAULT("fault", f));
	}
}

/* On the loop: nobody logged in since, and nothing to do. */
static bool is_due(void *arg)
{
	struct logins *l = arg;

	l->is_expiry_due = ++l->runs % EXPIRE_EVERY == 1;
	pthread_mutex_lock(&l->lock);
	bool has_notes = l->count > 0;

	pthread_mutex_unlock(&l->lock);
	return has_notes || l->is_expiry_due;
}

/* ---- reading ---- */

struct device_reader {
	struct sv account;
	logins_device_fn *fn;
	void *arg;
};

static bool read_device(void *arg, struct sv key, struct sv value)
{
	const struct device_reader *r = arg;
	struct json *row = NULL;

	if (json_parse(value, &row).kind)
		return true;
	struct logins_device d = {
		.name = text_of(row, "name"),
		.client = text_of(row, "client"),
		.protocol = text_of(row, "protocol"),
		.mechanism = text_of(row, "mechanism"),
		.credential = text_of(row, "credential"),
		.address = text_of(row, "address"),
		.tls = text_of(row, "tls"),
		.account = r->account,
		.first_s = (int64_t)number_of(row, "first"),
		.last_s = (int64_t)number_of(row, "last"),
		.count = number_of(row, "count"),
		.modseq = number_of(row, "modseq"),
		.synced_s = (int64_t)number_of(row, "synced"),
		.number = (uint32_t)number_of(row, "number"),
	};

	copy_text(d.key, sizeof(d.key), sv_sub(key, r->account.len, key.len));
	bool more = r->fn(r->arg, &d);

	json_free(&row);
	return more;
}

struct fault logins_devices(struct logins *l, struct sv account, logins_device_fn *fn, void *arg)
{
	struct device_reader r = { account, fn, arg };

	return kv_each(l->env, TABLE_DEVICES, account, read_device, &r);
}

struct login_reader {
	logins_fn *fn;
	void *arg;
};

static bool read_login(void *arg, struct sv key, struct sv value)
{
	const struct login_reader *r = arg;

	(void)key;
	return r->fn(r->arg, value);
}

struct fault logins_history(struct logins *l, struct sv account, logins_fn *fn, void *arg)
{
	struct login_reader r = { fn, arg };

	return kv_each(l->env, TABLE_LOGINS, account, read_login, &r);
}

struct forgotten {
	enum table table;
	struct kv_key key;
};

static struct fault forget_one(struct kv_txn *txn, void *arg)
{
	const struct forgotten *w = arg;

	return kv_del(txn, w->table, kv_key_view(&w->key));
}

struct fault logins_forget_device(struct logins *l, struct sv account, const char *key)
{
	struct forgotten w = { .table = TABLE_DEVICES };

	kv_key_init(&w.key);
	kv_key_sv(&w.key, account);
	kv_key_sv(&w.key, sv_z(key));
	return kv_update(l->env, forget_one, &w);
}

static struct fault forget_range(struct kv_txn *txn, void *arg)
{
	char to[LOGINS_KEY_LEN + 16];
	const uint8_t *name = arg;

	memcpy(to, name, LOGINS_KEY_LEN);
	memset(to + LOGINS_KEY_LEN, 0xff, 16);
	return kv_del_range(txn, TABLE_KNOWN, sv_from((const char *)name, LOGINS_KEY_LEN), sv_from(to, sizeof(to)), UINT64_MAX,
			    NULL);
}

struct fault logins_forget_name(struct logins *l, const uint8_t name[LOGINS_KEY_LEN])
{
	uint8_t copy[LOGINS_KEY_LEN];

	memcpy(copy, name, sizeof(copy));
	return kv_update(l->env, forget_range, copy);
}

/* ---- life ---- */

struct fault logins_open(const char *path, bool create, struct logins **out)
{
	const struct kv_options options = {
		.kind = KV_PRECIOUS,
		.create = create,
		.map_size = MAP_SIZE,
		.tables = tables,
		.table_count = ARRAY_LEN(tables),
	};
	struct logins *l = xcalloc(1, sizeof(*l));
	struct fault f = kv_env_open(path, &options, &l->env);

	if (f.kind) {
		free(l);
		return f;
	}
	pthread_mutex_init(&l->lock, NULL);
	l->last = &l->first;
	*out = l;
	return FAULT_OK;
}

void logins_start(struct logins *l, struct loop *loop, uint64_t keep_ms, logins_new_fn *on_new, void *arg)
{
	l->keep_ms = keep_ms;
	l->on_new = on_new;
	l->arg = arg;
	l->chore = (struct chore){ .run = run_chore, .is_due = is_due, .arg = l, .every_ms = FLUSH_MS };
	chore_start(&l->chore, loop, FLUSH_MS);
}

void logins_close(struct logins **at)
{
	struct logins *l = *at;

	if (!l)
		return;
	l->on_new = NULL;       /* what would tell is going away, too */
	logins_flush(l, true);
	kv_env_close(&l->env);
	pthread_mutex_destroy(&l->lock);
	free(l);
	*at = NULL;
}
