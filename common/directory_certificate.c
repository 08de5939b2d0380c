/* Keys of clients' certificates, which stand for an account as app passwords do. */
#include <time.h>

#include "common/directory_private.h"
#include "common/identity.h"

#include "common/banned.h"

static void certificate_key(const uint8_t key[CRYPT_SHA256_LEN], struct sv id, struct kv_key *out)
{
	kv_key_init(out);
	kv_key_sv(out, sv_from((const char *)key, CRYPT_SHA256_LEN));
	kv_key_sv(out, id);
}

struct certificate_edit {
	struct name name;
	struct directory_credential credential;
};

static struct fault add_certificate(struct kv_txn *txn, void *arg)
{
	struct certificate_edit *e = arg;
	struct kv_key key, number;
	struct account_row row;
	struct fault f = account_find(txn, &e->name, &row);

	if (!f.kind)
		f = credential_insert(txn, &row, &e->credential);
	if (f.kind)
		return f;
	certificate_key(e->credential.key, sv_z(row.pub.id), &key);
	kv_key_init(&number);
	kv_key_u32(&number, e->credential.number);
	f = kv_insert(txn, DT_CERTIFICATES, kv_key_view(&key), kv_key_view(&number));
	return f.kind == FAULT_EXISTS ? fault_detail(FAULT_EXISTS, "%s has this certificate's key already", row.pub.address) : f;
}

struct fault directory_certificate_add(struct directory *dir, struct sv address, struct sv label, unsigned scope,
				       const uint8_t key[CRYPT_SHA256_LEN], uint32_t *number)
{
	struct certificate_edit e = {
		.credential = { .is_certificate = true, .scope = scope & SCOPE_ALL, .created_s = (int64_t)time(NULL) },
	};
	struct fault f = name_seen(dir, address, &e.name);

	if (!f.kind)
		f = label_check(label, e.credential.label);
	if (!f.kind && !e.credential.scope)
		f = fault(FAULT_INVALID, "a certificate without any protocol is of no use");
	memcpy(e.credential.key, key, CRYPT_SHA256_LEN);
	if (!f.kind)
		f = kv_update(dir->env, add_certificate, &e);
	if (!f.kind && number)
		*number = e.credential.number;
	return f;
}

/* Of one credential: its key is found by a login. */
static struct fault list_certificate(struct kv_txn *txn, struct sv at, struct sv value)
{
	struct directory_credential c;
	struct kv_key key, number;
	char id[DIRECTORY_ID_LEN + 1];
	struct fault f = credential_decode(at, value, &c);

	if (f.kind == FAULT_UNSUPPORTED)
		return FAULT_OK;        /* a newer program's */
	if (f.kind || !c.is_certificate || !copy_text(id, sizeof(id), sv_sub(at, 0, DIRECTORY_ID_LEN)))
		return f;
	certificate_key(c.key, sv_z(id), &key);
	kv_key_init(&number);
	kv_key_u32(&number, c.number);
	return kv_put(txn, DT_CERTIFICATES, kv_key_view(&key), kv_key_view(&number));
}

static struct fault list_certificates(struct kv_txn *txn, void *arg)
{
	struct kv_cursor *c = NULL;
	struct sv key, value;
	struct fault f = kv_cursor_open(txn, DT_CREDENTIALS, &c);
	(void)arg;

	if (!f.kind)
		f = kv_cursor_seek(c, SV_NONE, &key, &value);
	while (!f.kind) {
		f = list_certificate(txn, key, value);
		if (!f.kind)
			f = kv_cursor_next(c, &key, &value);
	}
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault directory_certificates_list(struct directory *dir)
{
	return kv_update(dir->env, list_certificates, NULL);
}

struct fault certificate_forget(struct kv_txn *txn, const char *id, const struct directory_credential *c)
{
	struct kv_key key;

	if (!c->is_certificate)
		return FAULT_OK;
	certificate_key(c->key, sv_z(id), &key);
	struct fault f = kv_del(txn, DT_CERTIFICATES, kv_key_view(&key));

	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

/* The one account that has this key. */
static struct fault find_owner(struct kv_txn *txn, const uint8_t digest[CRYPT_SHA256_LEN], struct account_row *row)
{
	struct kv_cursor *c = NULL;
	struct sv key, prefix;
	struct kv_key from;
	struct fault f = kv_cursor_open(txn, DT_CERTIFICATES, &c);

	certificate_key(digest, SV_NONE, &from);
	prefix = kv_key_view(&from);
	if (!f.kind)
		f = kv_cursor_seek(c, prefix, &key, NULL);
	if (!f.kind && !sv_starts(key, prefix))
		f = fault(FAULT_NOT_FOUND, "nobody has this key");
	if (!f.kind)
		f = account_row_read(txn, sv_sub(key, prefix.len, key.len), row);
	if (!f.kind) {
		struct fault next = kv_cursor_next(c, &key, NULL);

		if (!next.kind && sv_starts(key, prefix))
			f = fault(FAULT_NOT_FOUND, "several accounts have this key");
		else if (next.kind != FAULT_NOT_FOUND)
			f = next;
	}
	kv_cursor_close(&c);
	return f;
}

struct fault directory_certificate_owner(struct directory *dir, const uint8_t key[CRYPT_SHA256_LEN], char out[DIRECTORY_ADDRESS_MAX + 1])
{
	struct kv_txn *txn = NULL;
	struct account_row row;
	struct fault f = kv_read_begin(dir->env, &txn);

	if (f.kind)
		return f;
	f = find_owner(txn, key, &row);
	kv_read_end(&txn);
	if (!f.kind)
		memcpy(out, row.pub.address, sizeof(row.pub.address));
	return f;
}

struct keys {
	struct buf *out;
	bool is_full;
};

static bool add_key(void *arg, struct sv key, struct sv value)
{
	struct keys *k = arg;

	(void)value;
	k->is_full = !buf_append(k->out, sv_sub(key, 0, CRYPT_SHA256_LEN));
	return !k->is_full;
}

struct fault directory_certificate_keys(struct directory *dir, struct buf *out)
{
	struct keys k = { .out = out };
	struct fault f = kv_each(dir->env, DT_CERTIFICATES, SV_NONE, add_key, &k);

	return f.kind || !k.is_full ? f : fault(FAULT_LIMIT, "more certificates than there is room for");
}
