#include <stdio.h>
#include <stdlib.h>

#include "common/crypt.h"
#include "common/logins_private.h"

#include "common/banned.h"

#define TEXT_MAX 4096

/* ---- keys ---- */

void logins_known_key(struct kv_key *k, const uint8_t name[LOGINS_KEY_LEN], const struct netaddr *address)
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

void logins_copy_text(char *out, size_t size, struct sv text)
{
	text = sv_sub(text, 0, size - 1);
	for (size_t i = 0; i < text.len; i++)
		out[i] = (unsigned char)text.p[i] < ' ' || text.p[i] == 127 ? '?' : text.p[i];
	out[text.len] = '\0';
}

uint64_t logins_number_of(const struct json *row, const char *name)
{
	uint64_t n = 0;

	(void)json_get_u64(row, name, &n);
	return n;
}

struct sv logins_text_of(const struct json *row, const char *name)
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

struct fault logins_put_login(struct kv_txn *txn, const struct note *n)
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
	kv_key_u64(&k, (uint64_t)n->at_ms / LOGINS_HOUR_MS);
	kv_key_sv(&k, sv_from((const char *)digest, LOGINS_KEY_LEN));
	f = get_row(txn, TABLE_LOGINS, kv_key_view(&k), &old);
	buf_clear(&text);
	json_out_init(&j, &text);
	json_out_object(&j, NULL);
	json_out_i64(&j, "first", old ? (int64_t)logins_number_of(old, "first") : n->at_ms);
	json_out_i64(&j, "last", n->at_ms);
	json_out_u64(&j, "count", logins_number_of(old, "count") + 1);
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

void logins_device_name(const struct note *n, struct buf *out)
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

	if (!json_parse(row, &object).kind && netaddr_parse(logins_text_of(object, "address"), &was)) {
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

struct fault logins_put_device(struct kv_txn *txn, const struct note *n, bool *is_new)
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
	logins_device_name(n, &name);
	json_out_init(&j, &text);
	json_out_object(&j, NULL);
	json_out_sv(&j, "name", buf_sv(&name));
	json_out_i64(&j, "first", old ? (int64_t)logins_number_of(old, "first") : n->at_ms / 1000);
	json_out_i64(&j, "last", n->at_ms / 1000);
	json_out_u64(&j, "count", logins_number_of(old, "count") + !n->is_sync);
	json_out_u64(&j, "modseq", n->is_sync ? n->modseq : logins_number_of(old, "modseq"));
	json_out_u64(&j, "synced", n->is_sync ? (uint64_t)(n->at_ms / 1000) : logins_number_of(old, "synced"));
	put_common(&j, n);
	json_out_object_end(&j);
	if (!f.kind)
		f = put_row(txn, TABLE_DEVICES, &k, &text, &j);
	json_free(&old);
	buf_done(&name);
	buf_done(&text);
	return f;
}

struct fault logins_put_known(struct kv_txn *txn, const struct note *n)
{
	uint64_t at_s = (uint64_t)n->at_ms / 1000, was = 0;
	struct kv_key k, value;
	struct sv old;

	logins_known_key(&k, n->name, &n->address);
	struct fault f = kv_get(txn, TABLE_KNOWN, kv_key_view(&k), &old);

	if (!f.kind && kv_take_u64(&old, &was) && was <= at_s && at_s - was < LOGINS_KNOWN_AGAIN_S)
		return FAULT_OK;
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	kv_key_init(&value);
	kv_key_u64(&value, at_s);
	return kv_put(txn, TABLE_KNOWN, kv_key_view(&k), kv_key_view(&value));
}
