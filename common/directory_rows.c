#include <stdlib.h>

#include "common/charset.h"
#include "common/directory_private.h"
#include "common/identity.h"

#include "common/banned.h"

/* Tags. A number once used is never given another meaning. */
enum { D_CREATED = 1, D_CATCH_ALL = 2, D_SEPARATOR = 3, D_ALIAS_OF = 4, D_RELAY = 5, D_LAST = D_RELAY };
enum { N_ACCOUNT = 1, N_TARGET = 2, N_EXPIRES = 3, N_OWNER = 4, N_POSTERS = 5, N_NAMED = 6, N_RELAYED = 7, N_LAST = N_RELAYED };
enum {
	A_ADDRESS = 1, A_DISABLED = 2, A_DENIED_SCOPE = 3, A_QUOTA_BYTES = 4, A_QUOTA_MESSAGES = 5, A_CREATED = 6,
	A_REVISION = 7, A_SALT = 8, A_ITERATIONS = 9, A_NEXT_NUMBER = 10, A_HASH = 11, A_USE = 14, A_MESSAGE = 15, A_FORWARD = 16,
	A_PASSWORD_DENIED = 17, A_LAST = A_PASSWORD_DENIED,
};
enum { C_LABEL = 1, C_SCOPE = 2, C_CREATED = 3, C_STORED = 4, C_SERVER = 5, C_STORED_SHA1 = 6, C_SERVER_SHA1 = 7, C_KEY = 8,
       /* Verifiers of an app password with bounds: who does not know of bounds finds none, and lets nobody in by it. */
       C_BOUND_STORED = 9, C_BOUND_SERVER = 10, C_BOUND_STORED_SHA1 = 11, C_BOUND_SERVER_SHA1 = 12, C_EXPIRES = 13, C_SOURCE = 14,
       C_LAST = C_SOURCE };

bool copy_text(char *out, size_t size, struct sv text)
{
	out[0] = '\0';
	if (text.len >= size || sv_find(text, '\0') != SIZE_MAX)
		return false;
	if (text.len)
		memcpy(out, text.p, text.len);
	out[text.len] = '\0';
	return true;
}

/* --- names --- */

struct fault name_set(struct name *n, struct sv local, struct sv domain)
{
	struct buf nfc;
	struct fault f = FAULT_OK;

	buf_init(&nfc, 4 * ADDRESS_LOCAL_MAX);
	if (sv_has_8bit(local)) {
		if (!utf8_nfc(local, &nfc))
			f = fault(FAULT_INVALID, "the local part is not UTF-8");
		local = buf_sv(&nfc);
	}
	if (!f.kind && (!local.len || !copy_text(n->local, sizeof(n->local), local)))
		f = fault(FAULT_INVALID, "the local part is empty or too long");
	if (!f.kind && (!domain.len || !copy_text(n->domain, sizeof(n->domain), domain)))
		f = fault(FAULT_INVALID, "the domain is empty or too long");
	buf_done(&nfc);
	if (f.kind)
		return f;
	for (char *p = n->local; *p; p++)
		*p = ascii_lower(*p);
	for (char *p = n->domain; *p; p++)
		*p = ascii_lower(*p);
	return FAULT_OK;
}

static struct fault parse(struct arena *a, struct sv text, struct address *out)
{
	struct fault f = address_parse(a, text, out);

	if (f.kind || out->is_null || out->is_literal || !out->domain.len)
		return fault_detail(FAULT_INVALID, "%.*s is not an address like user@example.org", SV_FMT(text));
	return f;
}

struct fault name_from_text(struct sv text, struct name *n)
{
	struct arena a;
	struct address address;

	arena_init(&a, 16384);
	struct fault f = parse(&a, text, &address);
	if (!f.kind)
		f = name_set(n, address.local, address.domain);
	arena_done(&a);
	return f;
}

void name_key_prefix(struct sv domain, struct kv_key *key)
{
	kv_key_init(key);
	kv_key_sv(key, domain);
	kv_key_u8(key, 0);
}

void name_key(const struct name *n, struct kv_key *key)
{
	name_key_prefix(sv_z(n->domain), key);
	kv_key_sv(key, sv_z(n->local));
}

struct fault name_of_key(struct sv key, struct name *n)
{
	size_t at = sv_find(key, '\0');

	if (at == SIZE_MAX || !copy_text(n->domain, sizeof(n->domain), sv_sub(key, 0, at)) ||
	    !copy_text(n->local, sizeof(n->local), sv_sub(key, at + 1, key.len)))
		return fault(FAULT_CORRUPT, "directory: bad name key");
	return FAULT_OK;
}

void name_text(const struct name *n, char out[DIRECTORY_ADDRESS_MAX + 1])
{
	struct address address = { .local = sv_z(n->local), .domain = sv_z(n->domain),
				   .domain_given = sv_z(n->domain) };
	struct buf text;

	buf_init(&text, DIRECTORY_ADDRESS_MAX);
	if (!address_append(&text, &address, ADDRESS_ASCII_DOMAIN) ||
	    !copy_text(out, DIRECTORY_ADDRESS_MAX + 1, buf_sv(&text)))
		BUG("address of %s at %s does not fit", n->local, n->domain);
	buf_done(&text);
}

struct fault name_taken(const struct name *n)
{
	char text[DIRECTORY_ADDRESS_MAX + 1];

	name_text(n, text);
	return fault_detail(FAULT_EXISTS, "%s exists already", text);
}

struct fault domain_from_text(struct sv text, char out[ADDRESS_DOMAIN_MAX + 1])
{
	struct arena a;
	struct sv domain;

	arena_init(&a, 16384);
	struct fault f = address_domain(&a, text, &domain);
	if (f.kind || !domain.len || !copy_text(out, ADDRESS_DOMAIN_MAX + 1, domain))
		f = fault_detail(FAULT_INVALID, "%.*s is not a domain name", SV_FMT(text));
	arena_done(&a);
	return f;
}

/* --- rows in general --- */

struct fault row_corrupt(const char *what, struct sv key, struct fault f)
{
	if (f.kind == FAULT_UNSUPPORTED)
		return f;
	return fault_detail(FAULT_CORRUPT, "directory: %s %.*s: %s", what, SV_FMT(key), f.detail ? f.detail : "bad field");
}

struct fault row_finish(const char *what, struct sv key, const struct record_in *in, bool is_good)
{
	if (is_good && !in->is_bad)
		return FAULT_OK;
	return row_corrupt(what, key, fault(FAULT_CORRUPT, NULL));
}

struct fault row_newer(const char *what, struct sv key)
{
	return fault_detail(FAULT_UNSUPPORTED, "directory: %s %.*s was made by a newer program: use that", what, SV_FMT(key));
}

/* keep_newer - into the record what a newer program said of the same thing. */
static struct fault keep_newer(struct kv_txn *txn, unsigned table, struct sv key, struct record_out *r, uint8_t last)
{
	struct record_in in;
	struct sv value, field;
	uint8_t tag;
	struct fault f = kv_get(txn, table, key, &value);

	if (!f.kind)
		f = record_open(value, ROW_VERSION, &in);
	if (f.kind)
		return f.kind == FAULT_UNSUPPORTED ? f : FAULT_OK;      /* a damaged row is replaced */
	while (record_next(&in, &tag, &field))
		if (tag > last)
			record_put(r, tag, field);
	return FAULT_OK;
}

struct fault row_write(struct kv_txn *txn, unsigned table, struct sv key, struct record_out *r, uint8_t last)
{
	struct sv value;
	struct fault f = keep_newer(txn, table, key, r, last);

	if (!f.kind)
		f = record_end(r, &value);

	if (!f.kind)
		f = kv_put(txn, table, key, value);
	record_done(r);
	return f;
}

/* --- domains --- */

struct fault domain_decode(struct sv name, struct sv value, struct directory_domain *d)
{
	struct record_in in;
	struct fault f = record_open(value, ROW_VERSION, &in);
	struct sv field;
	uint8_t tag;
	uint64_t n;
	bool ok = true, is_newer = false;

	if (f.kind)
		return row_corrupt("domain", name, f);
	*d = (struct directory_domain){ .name = "" };
	ok = copy_text(d->name, sizeof(d->name), name);
	while (record_next(&in, &tag, &field)) {
		if (tag == D_CREATED) {
			ok &= record_u64(field, &n);
			d->created_s = ok ? (int64_t)n : 0;
		} else if (tag == D_CATCH_ALL) {
			ok &= copy_text(d->catch_all, sizeof(d->catch_all), field);
		} else if (tag == D_SEPARATOR) {
			ok &= field.len == 1;
			d->separator = ok ? field.p[0] : '\0';
		} else if (tag == D_ALIAS_OF) {
			ok &= copy_text(d->alias_of, sizeof(d->alias_of), field);
		} else if (tag == D_RELAY) {
			ok &= record_u64(field, &n);
			is_newer |= ok && n > DIRECTORY_RELAY_ASKED;
			d->relay = ok && !is_newer ? (int)n : DIRECTORY_RELAY_NO;
		}
	}
	return is_newer ? row_newer("domain", name) : row_finish("domain", name, &in, ok);
}

struct fault domain_read(struct kv_txn *txn, struct sv name, struct directory_domain *d)
{
	struct sv value;

	if (!name.len || name.len > ADDRESS_DOMAIN_MAX)
		return fault(FAULT_NOT_FOUND, "no such domain");
	struct fault f = kv_get(txn, DT_DOMAINS, name, &value);

	return f.kind ? f : domain_decode(name, value, d);
}

struct fault domain_write(struct kv_txn *txn, const struct directory_domain *d)
{
	struct record_out r;

	record_begin(&r, ROW_VERSION);
	record_put_u64(&r, D_CREATED, (uint64_t)d->created_s);
	if (d->catch_all[0])
		record_put(&r, D_CATCH_ALL, sv_z(d->catch_all));
	if (d->separator)
		record_put(&r, D_SEPARATOR, sv_from(&d->separator, 1));
	if (d->alias_of[0])
		record_put(&r, D_ALIAS_OF, sv_z(d->alias_of));
	if (d->relay)
		record_put_u64(&r, D_RELAY, (uint64_t)d->relay);
	return row_write(txn, DT_DOMAINS, sv_z(d->name), &r, D_LAST);
}

struct fault domain_default(struct kv_txn *txn, struct directory_domain *d)
{
	struct sv name;
	struct fault f = kv_get(txn, DT_META, SV("default-domain"), &name);

	return f.kind ? f : domain_read(txn, name, d);
}

/* --- names: accounts and aliases --- */

struct fault name_decode(struct sv value, struct name_row *row)
{
	struct record_in in;
	struct fault f = record_open(value, ROW_VERSION, &in);
	struct sv field;
	uint8_t tag;
	uint64_t n;
	bool ok = true, is_known = false, is_newer = false;

	if (f.kind)
		return row_corrupt("name", SV_NONE, f);
	*row = (struct name_row){ .targets = in };
	while (record_next(&in, &tag, &field)) {
		is_known |= tag == N_ACCOUNT || tag == N_RELAYED || tag == N_TARGET;
		is_newer |= tag > N_LAST;
		if (tag == N_ACCOUNT) {
			ok &= copy_text(row->id, sizeof(row->id), field) && field.len == DIRECTORY_ID_LEN;
		} else if (tag == N_RELAYED) {
			row->is_relayed = true;
		} else if (tag == N_EXPIRES) {
			ok &= record_u64(field, &n) && n <= INT64_MAX;
			row->expires_s = ok ? (int64_t)n : 0;
		} else if (tag == N_OWNER) {
			row->is_list = true;
			row->owner = field;
		} else if (tag == N_POSTERS) {
			ok &= record_u64(field, &n);
			row->posters = ok && n <= DIRECTORY_POST_NAMED ? (enum directory_posters)n : DIRECTORY_POST_NAMED;
		}
	}
	/* Something that is neither an account nor an alias must not be taken for an alias that leads nowhere. */
	if (ok && !in.is_bad && !is_known && is_newer)
		return row_newer("a name", SV_NONE);
	return row_finish("name", SV_NONE, &in, ok);
}

struct fault name_read(struct kv_txn *txn, const struct name *n, struct name_row *row)
{
	struct kv_key key;
	struct sv value;

	name_key(n, &key);
	struct fault f = kv_get(txn, DT_NAMES, kv_key_view(&key), &value);
	return f.kind ? f : name_decode(value, row);
}

struct fault name_write_account(struct kv_txn *txn, const struct name *n, const char *id)
{
	struct record_out r;
	struct kv_key key;

	name_key(n, &key);
	record_begin(&r, ROW_VERSION);
	record_put(&r, N_ACCOUNT, sv_z(id));
	return row_write(txn, DT_NAMES, kv_key_view(&key), &r, N_LAST);
}

struct fault name_write_relayed(struct kv_txn *txn, const struct name *n)
{
	struct record_out r;
	struct kv_key key;

	name_key(n, &key);
	record_begin(&r, ROW_VERSION);
	record_put_u64(&r, N_RELAYED, 1);
	return row_write(txn, DT_NAMES, kv_key_view(&key), &r, N_LAST);
}

struct fault name_write_alias(struct kv_txn *txn, const struct name *n, const struct directory_alias *alias)
{
	struct record_out r;
	struct kv_key key;

	name_key(n, &key);
	record_begin(&r, ROW_VERSION);
	for (size_t i = 0; i < alias->count; i++)
		record_put(&r, N_TARGET, alias->targets[i]);
	if (alias->expires_s)
		record_put_u64(&r, N_EXPIRES, (uint64_t)alias->expires_s);
	if (alias->is_list) {
		record_put(&r, N_OWNER, alias->owner);
		record_put_u64(&r, N_POSTERS, alias->posters);
	}
	for (size_t i = 0; i < alias->named_count; i++)
		record_put(&r, N_NAMED, alias->named[i]);
	return row_write(txn, DT_NAMES, kv_key_view(&key), &r, N_LAST);
}

/* A remote local part keeps its case: only its own host may fold it (RFC 5321 §2.4). */
struct fault target_from_text(struct arena *a, struct sv text, struct sv *out)
{
	struct address address;
	struct fault f = parse(a, text, &address);

	if (f.kind)
		return f;
	size_t len = address.domain.len + 1 + address.local.len;
	char *p = arena_alloc(a, len);
	if (!p)
		return fault(FAULT_LIMIT, "too many targets");
	memcpy(p, address.domain.p, address.domain.len);
	p[address.domain.len] = '\0';
	memcpy(p + address.domain.len + 1, address.local.p, address.local.len);
	*out = sv_from(p, len);
	return FAULT_OK;
}

/* split_target - "domain NUL local"; false: it cannot be one. */
static bool split_target(struct sv field, struct sv *local, struct sv *domain)
{
	size_t at = sv_find(field, '\0');

	if (at == SIZE_MAX || at == 0 || at > ADDRESS_DOMAIN_MAX || field.len == at + 1 || field.len - at - 1 > ADDRESS_LOCAL_MAX)
		return false;
	*domain = sv_sub(field, 0, at);
	*local = sv_sub(field, at + 1, field.len);
	return true;
}

static bool next_with(struct record_in *fields, uint8_t wanted, struct sv *local, struct sv *domain, struct fault *f)
{
	struct sv field;
	uint8_t tag;

	*f = FAULT_OK;
	while (record_next(fields, &tag, &field)) {
		if (tag != wanted)
			continue;
		if (split_target(field, local, domain))
			return true;
		*f = row_corrupt("alias", SV_NONE, FAULT_OK);
		return false;
	}
	if (fields->is_bad)
		*f = row_corrupt("alias", SV_NONE, FAULT_OK);
	return false;
}

bool alias_next(struct record_in *targets, struct sv *local, struct sv *domain, struct fault *f)
{
	return next_with(targets, N_TARGET, local, domain, f);
}

bool alias_next_named(struct record_in *targets, struct sv *local, struct sv *domain, struct fault *f)
{
	return next_with(targets, N_NAMED, local, domain, f);
}

struct fault target_text(struct arena *a, struct sv local, struct sv domain, struct sv *out)
{
	struct address address = { .local = local, .domain = domain, .domain_given = domain };
	struct buf text;

	buf_init(&text, DIRECTORY_ADDRESS_MAX);
	bool ok = address_append(&text, &address, ADDRESS_ASCII_DOMAIN);
	*out = ok ? arena_copy(a, buf_sv(&text)) : SV_NONE;
	buf_done(&text);
	return out->p ? FAULT_OK : fault(FAULT_LIMIT, "too many targets");
}

struct fault alias_read(struct arena *a, const struct name *n, const struct name_row *row, struct sv *targets, struct sv *named,
			struct directory_alias *out)
{
	struct record_in fields = row->targets;
	char text[DIRECTORY_ADDRESS_MAX + 1];
	struct sv local, domain;
	struct fault f;

	name_text(n, text);
	*out = (struct directory_alias){ .address = arena_copy(a, sv_z(text)), .targets = targets, .named = named,
					 .expires_s = row->expires_s, .is_list = row->is_list, .posters = row->posters };
	while (out->count < DIRECTORY_ALIAS_TARGETS_MAX && alias_next(&fields, &local, &domain, &f)) {
		f = target_text(a, local, domain, &targets[out->count++]);
		if (f.kind)
			return f;
	}
	fields = row->targets;
	while (out->named_count < DIRECTORY_NAMED_MAX && alias_next_named(&fields, &local, &domain, &f)) {
		f = target_text(a, local, domain, &named[out->named_count++]);
		if (f.kind)
			return f;
	}
	if (row->is_list && split_target(row->owner, &local, &domain))
		return target_text(a, local, domain, &out->owner);
	return row->is_list ? row_corrupt("list", out->address, FAULT_OK) : FAULT_OK;
}

/* --- accounts --- */

struct fault account_decode(struct sv id, struct sv value, struct account_row *row)
{
	struct record_in in;
	struct fault f = record_open(value, ROW_VERSION, &in);
	uint64_t disabled = 0, denied = 0, password_denied = 0, use = 0, created = 0, iterations = 0, next = 1;
	bool ok = true, has_salt = false;
	struct sv field;
	uint8_t tag;

	if (f.kind)
		return row_corrupt("account", id, f);
	*row = (struct account_row){ .iterations = 0 };
	ok = copy_text(row->pub.id, sizeof(row->pub.id), id) && id.len == DIRECTORY_ID_LEN;
	while (record_next(&in, &tag, &field)) {
		switch (tag) {
		case A_ADDRESS:         ok &= copy_text(row->pub.address, sizeof(row->pub.address), field); break;
		case A_DISABLED:        ok &= record_u64(field, &disabled); break;
		case A_DENIED_SCOPE:    ok &= record_u64(field, &denied); break;
		case A_PASSWORD_DENIED: ok &= record_u64(field, &password_denied); break;
		case A_USE:             ok &= record_u64(field, &use); break;
		case A_MESSAGE:         ok &= copy_text(row->pub.message, sizeof(row->pub.message), field); break;
		case A_FORWARD:         ok &= copy_text(row->pub.forward, sizeof(row->pub.forward), field); break;
		case A_QUOTA_BYTES:     ok &= record_u64(field, &row->pub.quota_bytes); break;
		case A_QUOTA_MESSAGES:  ok &= record_u64(field, &row->pub.quota_messages); break;
		case A_CREATED:         ok &= record_u64(field, &created); break;
		case A_REVISION:        ok &= record_u64(field, &row->pub.revision); break;
		case A_ITERATIONS:      ok &= record_u64(field, &iterations); break;
		case A_NEXT_NUMBER:     ok &= record_u64(field, &next); break;
		case A_HASH:            ok &= copy_text(row->hash, sizeof(row->hash), field); break;
		case A_SALT:
			ok &= has_salt = field.len == sizeof(row->salt);
			if (has_salt)
				memcpy(row->salt, field.p, field.len);
			break;
		}
	}
	row->pub.is_enabled = !disabled;
	if (ok && use >= DIRECTORY_USES)
		return row_newer("account", id);
	row->pub.use = ok ? (enum directory_use)use : DIRECTORY_USE_NOLOGIN;
	row->pub.is_hashed = row->hash[0] != '\0';
	row->pub.scope = SCOPE_ALL & ~(unsigned)denied;
	row->pub.password_denied = SCOPE_ALL & (unsigned)password_denied;
	row->pub.created_s = (int64_t)created;
	row->iterations = (uint32_t)iterations;
	row->next_number = (uint32_t)next;
	ok &= has_salt && row->pub.address[0] && iterations >= DIRECTORY_ITERATIONS_MIN &&
	      iterations <= DIRECTORY_ITERATIONS_MAX && next >= 1 && next <= UINT32_MAX;
	return row_finish("account", id, &in, ok);
}

struct fault account_row_read(struct kv_txn *txn, struct sv id, struct account_row *row)
{
	struct sv value;

	if (id.len != DIRECTORY_ID_LEN)
		return fault(FAULT_NOT_FOUND, "no such account");
	struct fault f = kv_get(txn, DT_ACCOUNTS, id, &value);

	return f.kind ? f : account_decode(id, value, row);
}

struct fault account_write(struct kv_txn *txn, struct account_row *row)
{
	const struct directory_account *a = &row->pub;
	struct record_out r;

	row->pub.revision++;
	record_begin(&r, ROW_VERSION);
	record_put(&r, A_ADDRESS, sv_z(a->address));
	record_put_u64(&r, A_DISABLED, !a->is_enabled);
	/* What is denied, not what is allowed: a scope that a later version adds is had by accounts made before. */
	record_put_u64(&r, A_DENIED_SCOPE, SCOPE_ALL & ~a->scope);
	record_put_u64(&r, A_QUOTA_BYTES, a->quota_bytes);
	record_put_u64(&r, A_QUOTA_MESSAGES, a->quota_messages);
	record_put_u64(&r, A_CREATED, (uint64_t)a->created_s);
	record_put_u64(&r, A_REVISION, a->revision);
	record_put(&r, A_SALT, sv_from((const char *)row->salt, sizeof(row->salt)));
	record_put_u64(&r, A_ITERATIONS, row->iterations);
	record_put_u64(&r, A_NEXT_NUMBER, row->next_number);
	if (a->password_denied)
		record_put_u64(&r, A_PASSWORD_DENIED, a->password_denied);
	if (a->use)
		record_put_u64(&r, A_USE, a->use);
	if (a->message[0])
		record_put(&r, A_MESSAGE, sv_z(a->message));
	if (a->forward[0])
		record_put(&r, A_FORWARD, sv_z(a->forward));
	if (row->hash[0])
		record_put(&r, A_HASH, sv_z(row->hash));
	return row_write(txn, DT_ACCOUNTS, sv_z(a->id), &r, A_LAST);
}

struct fault account_find(struct kv_txn *txn, const struct name *n, struct account_row *row)
{
	struct name_row name;
	char text[DIRECTORY_ADDRESS_MAX + 1];
	struct fault f = name_read(txn, n, &name);

	if (f.kind == FAULT_NOT_FOUND) {
		name_text(n, text);
		return fault_detail(FAULT_NOT_FOUND, "there is no account %s", text);
	}
	if (f.kind)
		return f;
	if (!name.id[0]) {
		name_text(n, text);
		return fault_detail(FAULT_NOT_FOUND, "%s is an alias, not an account", text);
	}
	f = account_row_read(txn, sv_z(name.id), row);
	if (f.kind == FAULT_NOT_FOUND)
		return row_corrupt("name without account", sv_z(name.id), FAULT_OK);
	return f;
}

/* --- credentials --- */

void credential_key(const char *id, uint32_t number, struct kv_key *key)
{
	kv_key_init(key);
	kv_key_sv(key, sv_z(id));
	kv_key_u32(key, number);
}

static bool take_octets(struct sv field, size_t len, uint8_t *out, bool *is_there)
{
	*is_there = field.len == len;
	if (*is_there)
		memcpy(out, field.p, len);
	return *is_there;
}

/* take_source - 16 octets of a network and the length of its prefix. */
static bool take_source(struct sv field, struct directory_bounds *b)
{
	struct ipnet *net = &b->sources[b->source_count];

	if (b->source_count == DIRECTORY_SOURCES_MAX || field.len != sizeof(net->addr) + 1)
		return false;
	memcpy(net->addr, field.p, sizeof(net->addr));
	net->bits = (uint8_t)field.p[sizeof(net->addr)];
	b->source_count++;
	return net->bits <= 128;
}

static void put_bounds(struct record_out *r, const struct directory_bounds *b)
{
	if (b->expires_s)
		record_put_u64(r, C_EXPIRES, (uint64_t)b->expires_s);
	for (size_t i = 0; i < b->source_count; i++) {
		char octets[sizeof(b->sources[i].addr) + 1];

		memcpy(octets, b->sources[i].addr, sizeof(b->sources[i].addr));
		octets[sizeof(octets) - 1] = (char)b->sources[i].bits;
		record_put(r, C_SOURCE, sv_from(octets, sizeof(octets)));
	}
}

struct fault credential_decode(struct sv key, struct sv value, struct directory_credential *c)
{
	struct record_in in;
	struct fault f = record_open(value, ROW_VERSION, &in);
	struct directory_verifier sha1 = { .is_there = false }, sha256 = sha1;
	bool ok = key.len == DIRECTORY_ID_LEN + 4, has_stored = false, has_server = false, has_stored1 = false, has_server1 = false;
	uint8_t certificate[CRYPT_SHA256_LEN];
	struct sv field, number = sv_sub(key, DIRECTORY_ID_LEN, 4);
	uint64_t scope = 0, created = 0, expires = 0;
	bool is_newer = false;
	uint8_t tag;

	key.len = ok ? DIRECTORY_ID_LEN : 0;
	if (f.kind)
		return row_corrupt("credential of", key, f);
	*c = (struct directory_credential){ .number = 0 };
	ok &= kv_take_u32(&number, &c->number);
	while (record_next(&in, &tag, &field)) {
		is_newer |= tag > C_LAST;
		switch (tag) {
		case C_LABEL:   ok &= copy_text(c->label, sizeof(c->label), field); break;
		case C_SCOPE:   ok &= record_u64(field, &scope); break;
		case C_CREATED: ok &= record_u64(field, &created); break;
		case C_EXPIRES: ok &= record_u64(field, &expires); break;
		case C_SOURCE:  ok &= take_source(field, &c->bounds); break;
		case C_BOUND_STORED:
		case C_STORED:  ok &= take_octets(field, CRYPT_SHA256_LEN, sha256.stored, &has_stored); break;
		case C_BOUND_SERVER:
		case C_SERVER:  ok &= take_octets(field, CRYPT_SHA256_LEN, sha256.server, &has_server); break;
		case C_BOUND_STORED_SHA1:
		case C_STORED_SHA1: ok &= take_octets(field, CRYPT_SHA1_LEN, sha1.stored, &has_stored1); break;
		case C_BOUND_SERVER_SHA1:
		case C_SERVER_SHA1: ok &= take_octets(field, CRYPT_SHA1_LEN, sha1.server, &has_server1); break;
		case C_KEY:     ok &= take_octets(field, sizeof(certificate), certificate, &c->is_certificate); break;
		}
	}
	/* The password itself is good for whatever the account may do, also in later versions. */
	c->scope = c->number == 0 ? SCOPE_ALL : SCOPE_ALL & (unsigned)scope;
	c->created_s = (int64_t)created;
	c->bounds.expires_s = (int64_t)expires;
	sha256.is_there = has_stored && has_server;
	sha1.is_there = has_stored1 && has_server1;
	if (ok && !in.is_bad && is_newer && !c->is_certificate && !has_stored)
		return row_newer("a credential of", key);
	if (c->is_certificate) {
		memcpy(c->key, certificate, sizeof(c->key));
		ok &= c->number != 0;
	} else {
		c->verifiers[CRYPT_SHA256] = sha256;
		c->verifiers[CRYPT_SHA1] = sha1;
		ok &= sha256.is_there && has_stored1 == has_server1;
	}
	return row_finish("credential of", key, &in, ok);
}

static void put_verifier(struct record_out *r, const struct directory_verifier *v, enum crypt_hash hash, uint8_t stored, uint8_t server)
{
	if (!v->is_there)
		return;
	record_put(r, stored, sv_from((const char *)v->stored, crypt_hash_len(hash)));
	record_put(r, server, sv_from((const char *)v->server, crypt_hash_len(hash)));
}

struct fault credential_write(struct kv_txn *txn, const char *id, const struct directory_credential *c)
{
	struct record_out r;
	struct kv_key key;

	credential_key(id, c->number, &key);
	record_begin(&r, ROW_VERSION);
	record_put(&r, C_LABEL, sv_z(c->label));
	record_put_u64(&r, C_SCOPE, c->scope);
	record_put_u64(&r, C_CREATED, (uint64_t)c->created_s);
	if (c->is_certificate) {
		record_put(&r, C_KEY, sv_from((const char *)c->key, sizeof(c->key)));
	} else {
		bool is_bound = c->bounds.expires_s || c->bounds.source_count;

		put_verifier(&r, &c->verifiers[CRYPT_SHA256], CRYPT_SHA256, is_bound ? C_BOUND_STORED : C_STORED,
			     is_bound ? C_BOUND_SERVER : C_SERVER);
		put_verifier(&r, &c->verifiers[CRYPT_SHA1], CRYPT_SHA1, is_bound ? C_BOUND_STORED_SHA1 : C_STORED_SHA1,
			     is_bound ? C_BOUND_SERVER_SHA1 : C_SERVER_SHA1);
		put_bounds(&r, &c->bounds);
	}
	/* Nothing is kept: a verifier of a kind that we do not know would be that of the password before. */
	return row_write(txn, DT_CREDENTIALS, kv_key_view(&key), &r, UINT8_MAX);
}

struct directory_credential *credentials_new(void)
{
	return xcalloc(DIRECTORY_CREDENTIALS_MAX, sizeof(struct directory_credential));
}

void credentials_free(struct directory_credential **all)
{
	secret_wipe(*all, DIRECTORY_CREDENTIALS_MAX * sizeof(**all));
	free(*all);
	*all = NULL;
}

struct fault credentials_read(struct kv_txn *txn, const char *id, struct directory_credential *out, size_t *count)
{
	struct kv_cursor *c = NULL;
	struct kv_key from;
	struct sv key, value;
	struct fault f = kv_cursor_open(txn, DT_CREDENTIALS, &c);

	*count = 0;
	credential_key(id, 0, &from);
	if (!f.kind)
		f = kv_cursor_seek(c, kv_key_view(&from), &key, &value);
	while (!f.kind && sv_starts(key, sv_z(id)) && *count < DIRECTORY_CREDENTIALS_MAX) {
		f = credential_decode(key, value, &out[*count]);
		/* One of a kind that only a newer program knows opens nothing here, and is in nobody's way. */
		if (f.kind && f.kind != FAULT_UNSUPPORTED)
			break;
		*count += !f.kind;
		f = kv_cursor_next(c, &key, &value);
	}
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}
