#include "smtpd/greylist.h"

#include <stdlib.h>

#include "common/kv.h"
#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

enum { TABLE_KEYS, TABLES };
static const char *const tables[TABLES] = { "keys" };

#define TIDY_MOST 5000

struct greylist {
	struct kv_env *env;
};

/* A row's value: when first seen, when last; seconds, eight octets each. */
struct seen {
	int64_t first_s, last_s;
};

static int64_t read_i64(const char *p)
{
	uint64_t n = 0;

	for (size_t i = 0; i < 8; i++)
		n = n << 8 | (unsigned char)p[i];
	return (int64_t)n;
}

static bool read_seen(struct sv value, struct seen *out)
{
	if (value.len != 16)
		return false;
	*out = (struct seen){ read_i64(value.p), read_i64(value.p + 8) };
	return true;
}

static void write_seen(const struct seen *seen, char out[16])
{
	for (size_t i = 0; i < 8; i++) {
		out[i] = (char)((uint64_t)seen->first_s >> (56 - 8 * i));
		out[8 + i] = (char)((uint64_t)seen->last_s >> (56 - 8 * i));
	}
}

struct fault greylist_open(const char *folder, struct greylist **out)
{
	static const struct kv_options options = {
		.kind = KV_PRECIOUS,
		.create = true,
		.map_size = 64u << 20,
		.tables = tables,
		.table_count = TABLES,
	};
	struct greylist *g = xcalloc(1, sizeof(*g));
	struct fault f = kv_env_open(folder, &options, &g->env);

	if (f.kind)
		free(g);
	else
		*out = g;
	return f;
}

void greylist_close(struct greylist **g)
{
	if (!*g)
		return;
	kv_env_close(&(*g)->env);
	free(*g);
	*g = NULL;
}

void greylist_key(const struct directory *dir, const struct netaddr *peer, struct sv sender_domain,
		  struct sv recipient, uint8_t out[GREYLIST_KEY_LEN])
{
	struct netaddr net = netaddr_cut(peer, 24, 64);
	uint8_t mac[32];
	struct buf text;

	buf_init(&text, 4096);
	buf_append(&text, sv_from((const char *)net.ip, sizeof(net.ip)));
	buf_append(&text, sv_sub(sender_domain, 0, 300));
	buf_append_c(&text, '\0');
	recipient = sv_sub(recipient, 0, 1000);
	for (size_t i = 0; i < recipient.len; i++)
		buf_append_c(&text, ascii_lower(recipient.p[i]));
	directory_keyed(dir, "greylist", buf_sv(&text), mac);
	buf_done(&text);
	memcpy(out, mac, GREYLIST_KEY_LEN);
}

static struct sv key_sv(const uint8_t key[GREYLIST_KEY_LEN])
{
	return sv_from((const char *)key, GREYLIST_KEY_LEN);
}

static bool is_forgotten(const struct seen *s, int64_t now_s)
{
	/* Who came once has the same time twice, until he comes again late enough. */
	return now_s - s->last_s > (s->last_s == s->first_s ? GREYLIST_FORGET_S : GREYLIST_KEEP_S);
}

static bool has_waited(const struct seen *s, int64_t now_s, uint64_t wait_ms)
{
	return now_s < s->first_s || now_s - s->first_s >= (int64_t)(wait_ms / 1000);
}

bool greylist_is_early(struct greylist *g, const uint8_t key[GREYLIST_KEY_LEN], int64_t now_s,
		       uint64_t wait_ms)
{
	struct kv_txn *txn = NULL;
	struct seen seen;
	struct sv value;
	uint64_t count = 0;
	bool is_early = false;
	struct fault f = kv_read_begin(g->env, &txn);

	if (!f.kind) {
		f = kv_get(txn, TABLE_KEYS, key_sv(key), &value);
		if (!f.kind && read_seen(value, &seen) && !is_forgotten(&seen, now_s))
			is_early = !has_waited(&seen, now_s, wait_ms);
		else if (!f.kind || f.kind == FAULT_NOT_FOUND)
			is_early = !kv_count(txn, TABLE_KEYS, &count).kind && count < GREYLIST_MAX;
	}
	kv_read_end(&txn);
	return is_early;
}

struct knock {
	const uint8_t *key;
	int64_t now_s;
	uint64_t wait_ms;
};

static struct fault note(struct kv_txn *txn, void *arg)
{
	const struct knock *k = arg;
	struct seen seen = { k->now_s, k->now_s }, was;
	struct sv value;
	uint64_t count = 0;
	char octets[16];
	struct fault f = kv_get(txn, TABLE_KEYS, key_sv(k->key), &value);

	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	if (!f.kind && read_seen(value, &was) && !is_forgotten(&was, k->now_s) &&
	    k->now_s >= was.first_s) {
		if (!has_waited(&was, k->now_s, k->wait_ms))
			return FAULT_OK;
		seen.first_s = was.first_s;
		seen.last_s = k->now_s > was.first_s ? k->now_s : was.first_s + 1;
	} else if (f.kind) {
		f = kv_count(txn, TABLE_KEYS, &count);
		if (f.kind || count >= GREYLIST_MAX)
			return f;
	}
	write_seen(&seen, octets);
	return kv_put(txn, TABLE_KEYS, key_sv(k->key), sv_from(octets, sizeof(octets)));
}

struct fault greylist_note(struct greylist *g, const uint8_t key[GREYLIST_KEY_LEN], int64_t now_s,
			   uint64_t wait_ms)
{
	struct knock k = { key, now_s, wait_ms };

	return kv_update(g->env, note, &k);
}

/* ---- forgetting ---- */

struct old {
	int64_t now_s;
	uint8_t keys[TIDY_MOST][GREYLIST_KEY_LEN];
	size_t count;
};

static void find_old(struct kv_txn *txn, struct old *old)
{
	struct kv_cursor *c = NULL;
	struct sv key, value;
	struct seen seen;

	if (kv_cursor_open(txn, TABLE_KEYS, &c).kind)
		return;
	for (struct fault f = kv_cursor_seek(c, SV_NONE, &key, &value);
	     !f.kind && old->count < TIDY_MOST; f = kv_cursor_next(c, &key, &value))
		if (key.len == GREYLIST_KEY_LEN &&
		    (!read_seen(value, &seen) || is_forgotten(&seen, old->now_s)))
			memcpy(old->keys[old->count++], key.p, GREYLIST_KEY_LEN);
	kv_cursor_close(&c);
}

static struct fault forget(struct kv_txn *txn, void *arg)
{
	const struct old *old = arg;
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < old->count && !f.kind; i++) {
		f = kv_del(txn, TABLE_KEYS, key_sv(old->keys[i]));
		if (f.kind == FAULT_NOT_FOUND)
			f = FAULT_OK;
	}
	return f;
}

void greylist_tidy(struct greylist *g, int64_t now_s)
{
	struct old *old = xcalloc(1, sizeof(*old));
	struct kv_txn *txn = NULL;

	old->now_s = now_s;
	if (!kv_read_begin(g->env, &txn).kind)
		find_old(txn, old);
	kv_read_end(&txn);
	if (old->count) {
		struct fault f = kv_update(g->env, forget, old);

		if (f.kind)
			log_warn(NULL, "greylist.tidy", KV_FAULT("fault", f));
	}
	free(old);
}
