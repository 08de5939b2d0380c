#include "common/directory_delegate.h"

#include <time.h>

#include "common/directory_private.h"

#include "common/banned.h"

/* Tags. A number once used is never given another meaning. */
enum { G_NAME = 1, G_DOMAIN = 2, G_MAY_CHANGE = 3, G_CREATED = 4, G_EXPIRES = 5, G_USED = 6, G_LAST = G_USED };

#define TOKEN_PREFIX "prd_"
#define DELEGATES_MAX 1000

/* ---- what a handle shows ---- */

void directory_narrow(struct directory *dir, const struct directory_delegate *delegate)
{
	dir->only = delegate;
}

static bool has_domain(const struct directory_delegate *d, struct sv domain)
{
	for (size_t i = 0; i < d->domain_count; i++)
		if (sv_eq(sv_z(d->domains[i]), domain))
			return true;
	return false;
}

bool directory_sees(const struct directory *dir, struct sv domain)
{
	return !dir->only || has_domain(dir->only, domain);
}

struct fault directory_delegate_check_domain(const struct directory_delegate *delegate, struct sv domain)
{
	char canonical[ADDRESS_DOMAIN_MAX + 1];
	struct fault f = domain_from_text(domain, canonical);

	if (!f.kind && !has_domain(delegate, sv_z(canonical)))
		f = fault_detail(FAULT_NOT_FOUND, "there is no domain %s", canonical);
	return f;
}

struct fault directory_delegate_check_address(const struct directory_delegate *delegate, struct sv address)
{
	struct name n;
	struct fault f = name_from_text(address, &n);

	return f.kind ? f : directory_delegate_check_domain(delegate, sv_z(n.domain));
}

struct fault name_seen(const struct directory *dir, struct sv text, struct name *n)
{
	struct fault f = name_from_text(text, n);

	return f.kind || !dir->only ? f : directory_delegate_check_domain(dir->only, sv_z(n->domain));
}

struct fault domain_seen(const struct directory *dir, struct sv text, char out[ADDRESS_DOMAIN_MAX + 1])
{
	struct fault f = domain_from_text(text, out);

	return f.kind || !dir->only ? f : directory_delegate_check_domain(dir->only, sv_z(out));
}

/* ---- rows ---- */

static struct fault decode(struct sv value, struct directory_delegate *d)
{
	struct record_in in;
	struct fault f = record_open(value, ROW_VERSION, &in);
	uint64_t may_change = 0, created = 0, expires = 0, used = 0;
	struct sv field;
	bool ok = true;
	uint8_t tag;

	*d = (struct directory_delegate){ .may_change = false };
	if (f.kind)
		return row_corrupt("delegate", SV_NONE, f);
	while (record_next(&in, &tag, &field)) {
		d->is_newer |= tag > G_LAST;
		switch (tag) {
		case G_NAME:            ok &= copy_text(d->name, sizeof(d->name), field); break;
		case G_DOMAIN:
			ok &= d->domain_count < DELEGATE_DOMAINS_MAX &&
			      copy_text(d->domains[d->domain_count], sizeof(d->domains[0]), field);
			d->domain_count += ok;
			break;
		case G_MAY_CHANGE:      ok &= record_u64(field, &may_change); break;
		case G_CREATED:         ok &= record_u64(field, &created); break;
		case G_EXPIRES:         ok &= record_u64(field, &expires); break;
		case G_USED:            ok &= record_u64(field, &used); break;
		}
	}
	d->may_change = may_change == 1;
	d->created_s = (int64_t)created;
	d->expires_s = (int64_t)expires;
	d->used_s = (int64_t)used;
	return row_finish("delegate", SV_NONE, &in, ok && d->name[0] && d->domain_count);
}

static struct fault write_delegate(struct kv_txn *txn, struct sv key, const struct directory_delegate *d)
{
	struct record_out r;

	record_begin(&r, ROW_VERSION);
	record_put(&r, G_NAME, sv_z(d->name));
	for (size_t i = 0; i < d->domain_count; i++)
		record_put(&r, G_DOMAIN, sv_z(d->domains[i]));
	record_put_u64(&r, G_MAY_CHANGE, d->may_change);
	record_put_u64(&r, G_CREATED, (uint64_t)d->created_s);
	record_put_u64(&r, G_EXPIRES, (uint64_t)d->expires_s);
	record_put_u64(&r, G_USED, (uint64_t)d->used_s);
	return row_write(txn, DT_DELEGATES, key, &r, G_LAST);
}

static void digest(const struct directory *dir, struct sv token, uint8_t out[CRYPT_SHA256_LEN])
{
	directory_keyed(dir, "delegate token", token, out);
}

static struct sv key_of(const uint8_t mac[CRYPT_SHA256_LEN])
{
	return sv_from((const char *)mac, CRYPT_SHA256_LEN);
}

/* find_name - its key. FAULT_NOT_FOUND. */
static struct fault find_name(struct kv_txn *txn, struct sv name, uint8_t mac[CRYPT_SHA256_LEN])
{
	struct directory_delegate d;
	struct kv_cursor *c = NULL;
	struct sv key, value;
	struct fault f = kv_cursor_open(txn, DT_DELEGATES, &c);

	if (!f.kind)
		f = kv_cursor_seek(c, SV_NONE, &key, &value);
	for (; !f.kind; f = kv_cursor_next(c, &key, &value)) {
		f = decode(value, &d);
		if (f.kind || key.len != CRYPT_SHA256_LEN)
			break;
		if (sv_eq(sv_z(d.name), name)) {
			memcpy(mac, key.p, CRYPT_SHA256_LEN);
			break;
		}
	}
	kv_cursor_close(&c);
	return f;
}

/* ---- changes ---- */

struct delegate_edit {
	uint8_t mac[CRYPT_SHA256_LEN];
	struct directory_delegate delegate;
	struct sv name;
	int64_t now_s;
};

static struct fault add_delegate(struct kv_txn *txn, void *arg)
{
	struct delegate_edit *e = arg;
	uint8_t other[CRYPT_SHA256_LEN];
	struct directory_domain domain;
	uint64_t count;
	struct fault f = find_name(txn, sv_z(e->delegate.name), other);

	if (f.kind != FAULT_NOT_FOUND)
		return f.kind ? f : fault_detail(FAULT_EXISTS, "there is a token for %s already", e->delegate.name);
	f = kv_count(txn, DT_DELEGATES, &count);
	if (!f.kind && count >= DELEGATES_MAX)
		f = fault_detail(FAULT_LIMIT, "there are %d tokens already", DELEGATES_MAX);
	for (size_t i = 0; i < e->delegate.domain_count && !f.kind; i++) {
		f = domain_read(txn, sv_z(e->delegate.domains[i]), &domain);
		if (f.kind == FAULT_NOT_FOUND)
			f = fault_detail(FAULT_NOT_FOUND, "there is no domain %s", e->delegate.domains[i]);
	}
	return f.kind ? f : write_delegate(txn, key_of(e->mac), &e->delegate);
}

struct fault directory_delegate_add(struct directory *dir, const struct directory_delegate *delegate, char token[DELEGATE_TOKEN_LEN + 1])
{
	struct delegate_edit e = { .delegate = { .may_change = delegate->may_change, .expires_s = delegate->expires_s,
						 .created_s = (int64_t)time(NULL) } };
	char made[DELEGATE_TOKEN_LEN + 1] = TOKEN_PREFIX;
	struct fault f = label_check(sv_z(delegate->name), e.delegate.name);

	if (!f.kind && dir->only)
		f = fault(FAULT_DENIED, "a token makes no other");
	if (!f.kind && (!delegate->domain_count || delegate->domain_count > DELEGATE_DOMAINS_MAX))
		f = fault_detail(FAULT_INVALID, "a token is for 1 to %d domains", DELEGATE_DOMAINS_MAX);
	for (size_t i = 0; i < delegate->domain_count && !f.kind; i++) {
		f = domain_from_text(sv_z(delegate->domains[i]), e.delegate.domains[e.delegate.domain_count]);
		if (!f.kind && !has_domain(&e.delegate, sv_z(e.delegate.domains[e.delegate.domain_count])))
			e.delegate.domain_count++;
	}
	if (f.kind)
		return f;
	crypt_random_text(made + strlen(TOKEN_PREFIX), DELEGATE_TOKEN_LEN - strlen(TOKEN_PREFIX));
	digest(dir, sv_z(made), e.mac);
	f = kv_update(dir->env, add_delegate, &e);
	if (!f.kind)
		memcpy(token, made, sizeof(made));
	secret_wipe(made, sizeof(made));
	return f;
}

static struct fault remove_delegate(struct kv_txn *txn, void *arg)
{
	struct delegate_edit *e = arg;
	struct fault f = find_name(txn, e->name, e->mac);

	if (f.kind == FAULT_NOT_FOUND)
		return fault_detail(FAULT_NOT_FOUND, "there is no token for %.*s", SV_FMT(e->name));
	return f.kind ? f : kv_del(txn, DT_DELEGATES, key_of(e->mac));
}

struct fault directory_delegate_remove(struct directory *dir, struct sv name)
{
	struct delegate_edit e = { .name = name };

	return dir->only ? fault(FAULT_DENIED, "a token takes back no other") : kv_update(dir->env, remove_delegate, &e);
}

/* note_use - it may have been taken back meanwhile. */
static struct fault note_use(struct kv_txn *txn, void *arg)
{
	struct delegate_edit *e = arg;
	struct sv value;
	struct fault f = kv_get(txn, DT_DELEGATES, key_of(e->mac), &value);

	if (!f.kind)
		f = decode(value, &e->delegate);
	e->delegate.used_s = e->now_s;
	return f.kind ? f : write_delegate(txn, key_of(e->mac), &e->delegate);
}

struct fault directory_delegate_find(struct directory *dir, struct sv token, int64_t now_s, struct directory_delegate *out)
{
	struct delegate_edit e = { .now_s = now_s };
	struct kv_txn *txn = NULL;
	struct sv value;
	struct fault f = kv_read_begin(dir->env, &txn);

	if (f.kind)
		return f;
	digest(dir, token, e.mac);
	f = kv_get(txn, DT_DELEGATES, key_of(e.mac), &value);
	if (!f.kind)
		f = decode(value, &e.delegate);
	kv_read_end(&txn);
	/* What is not known here may have been meant to close something. */
	if (!f.kind && e.delegate.is_newer)
		f = row_newer("the token of", sv_z(e.delegate.name));
	if (!f.kind && e.delegate.expires_s && e.delegate.expires_s <= now_s)
		f = fault(FAULT_AUTH, "the token has expired");
	if (!f.kind && (now_s < e.delegate.used_s || now_s - e.delegate.used_s >= DELEGATE_USE_STEP_S))
		f = kv_update(dir->env, note_use, &e);
	if (f.kind == FAULT_NOT_FOUND)
		f = fault(FAULT_AUTH, "not a token of this server");
	if (!f.kind)
		*out = e.delegate;
	return f;
}

struct delegate_listing {
	directory_delegate_fn *fn;
	void *arg;
	struct fault f;
};

static bool list_one(void *arg, struct sv key, struct sv value)
{
	struct delegate_listing *l = arg;
	struct directory_delegate d;

	(void)key;
	l->f = decode(value, &d);
	return !l->f.kind && l->fn(l->arg, &d);
}

struct fault directory_delegate_list(struct directory *dir, directory_delegate_fn *fn, void *arg)
{
	struct delegate_listing l = { .fn = fn, .arg = arg };
	struct fault f = dir->only ? fault(FAULT_DENIED, "a token shows no other") :
				     kv_each(dir->env, DT_DELEGATES, SV_NONE, list_one, &l);

	return f.kind ? f : l.f;
}

/* forget_in - the domain goes from one row. */
static struct fault forget_in(struct kv_cursor *c, struct kv_txn *txn, struct sv key, struct sv value, const char *domain)
{
	uint8_t mac[CRYPT_SHA256_LEN];
	struct directory_delegate d;
	struct fault f = decode(value, &d);

	for (size_t i = 0; i < d.domain_count && !f.kind; i++) {
		if (strcmp(d.domains[i], domain) != 0)
			continue;
		d.domain_count--;
		memmove(d.domains[i], d.domains[i + 1], (d.domain_count - i) * sizeof(d.domains[0]));
		if (!d.domain_count)
			return kv_cursor_del(c);
		memcpy(mac, key.p, sizeof(mac));        /* a change ends views */
		return write_delegate(txn, key_of(mac), &d);
	}
	return f;
}

struct fault delegates_forget_domain(struct kv_txn *txn, const char *domain)
{
	struct kv_cursor *c = NULL;
	struct sv key, value;
	struct fault f = kv_cursor_open(txn, DT_DELEGATES, &c);

	if (!f.kind)
		f = kv_cursor_seek(c, SV_NONE, &key, &value);
	while (!f.kind) {
		if (key.len != CRYPT_SHA256_LEN) {
			f = row_corrupt("delegate", SV_NONE, FAULT_OK);
			break;
		}
		f = forget_in(c, txn, key, value, domain);
		if (!f.kind)
			f = kv_cursor_next(c, &key, &value);
	}
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}
