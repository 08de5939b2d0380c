#include <pthread.h>
#include <stdlib.h>

#include "common/auth_private.h"
#include "common/crypt.h"
#include "common/elsewhere.h"
#include "common/passhash.h"
#include "common/saslprep.h"

#include "common/banned.h"

#define CACHE_SLOTS 1024
#define CACHE_MS 60000

/* A password that was right a moment ago. What is kept says nothing about it without the process's key. */
struct remembered {
	uint8_t key[CRYPT_SHA256_LEN];  /* HMAC of account, revision and password */
	uint64_t until_ms;              /* 0: empty */
	uint32_t credential;
};

struct verifier {
	struct directory *directory;
	struct elsewhere *elsewhere;    /* NULL: all passwords are here */
	uint8_t secret[32];             /* of this process */
	pthread_mutex_t lock;
	struct remembered cache[CACHE_SLOTS];
};

struct verifier *verifier_new(struct directory *directory)
{
	struct verifier *v = xcalloc(1, sizeof(*v));

	v->directory = directory;
	crypt_random(v->secret, sizeof(v->secret));
	pthread_mutex_init(&v->lock, NULL);
	return v;
}

void verifier_use(struct verifier *v, struct elsewhere *elsewhere)
{
	v->elsewhere = elsewhere;
}

void verifier_free(struct verifier **v)
{
	if (!*v)
		return;
	pthread_mutex_destroy(&(*v)->lock);
	secret_wipe(*v, sizeof(**v));
	free(*v);
	*v = NULL;
}

static struct sv octets(const uint8_t *p, size_t len)
{
	return sv_from((const char *)p, len);
}

/* HMAC over parts, each with its length before it, so that no two lists of parts look the same. */
static void keyed(const struct verifier *v, const struct sv *parts, size_t count, uint8_t out[CRYPT_SHA256_LEN])
{
	uint8_t mac[CRYPT_HASH_MAX];
	struct buf all;

	buf_init(&all, 8192);
	for (size_t i = 0; i < count; i++) {
		uint64_t len = parts[i].len;

		if (!buf_append(&all, octets((const uint8_t *)&len, sizeof(len))) || !buf_append(&all, parts[i]))
			BUG("%zu octets to hash", parts[i].len);
	}
	crypt_hmac(CRYPT_SHA256, octets(v->secret, sizeof(v->secret)), buf_sv(&all), mac);
	memcpy(out, mac, CRYPT_SHA256_LEN);
	secret_wipe(mac, sizeof(mac));
	buf_wipe(&all);
}

/* The same in each process of the instance, unlike keyed(). */
static uint64_t mark_of(const struct verifier *v, struct sv user, struct sv password)
{
	uint64_t mark, len = user.len;
	uint8_t mac[32];
	struct buf all;

	buf_init(&all, 8192);
	if (!buf_append(&all, octets((const uint8_t *)&len, sizeof(len))) || !buf_append(&all, user) ||
	    !buf_append(&all, password))
		BUG("%zu octets to hash", password.len);
	directory_keyed(v->directory, "wrong-password", buf_sv(&all), mac);
	memcpy(&mark, mac, sizeof(mark));
	buf_wipe(&all);
	return mark;
}

static size_t slot_of(const uint8_t key[CRYPT_SHA256_LEN])
{
	return (key[0] | (size_t)key[1] << 8) % CACHE_SLOTS;
}

static bool cache_has(struct verifier *v, const uint8_t key[CRYPT_SHA256_LEN], uint64_t now_ms, uint32_t *credential, uint64_t *until_ms)
{
	struct remembered *r = &v->cache[slot_of(key)];

	pthread_mutex_lock(&v->lock);
	bool has = r->until_ms > now_ms && crypt_eq(octets(r->key, sizeof(r->key)), octets(key, CRYPT_SHA256_LEN));
	if (has) {
		*credential = r->credential;
		*until_ms = r->until_ms;
	}
	pthread_mutex_unlock(&v->lock);
	return has;
}

static void cache_put(struct verifier *v, const uint8_t key[CRYPT_SHA256_LEN], uint64_t until_ms, uint32_t credential)
{
	struct remembered *r = &v->cache[slot_of(key)];

	pthread_mutex_lock(&v->lock);
	memcpy(r->key, key, sizeof(r->key));
	r->until_ms = until_ms;
	r->credential = credential;
	pthread_mutex_unlock(&v->lock);
}

/* Which of the credentials fits? All are looked at, whichever does. NULL: none. */
static const struct directory_credential *fitting(const struct directory_login *l, struct sv password)
{
	const struct directory_credential *found = NULL;
	struct scram_keys keys = crypt_scram_keys(CRYPT_SHA256, password, octets(l->salt, sizeof(l->salt)), l->iterations);

	for (size_t i = 0; i < l->count; i++)
		if (!l->credentials[i].is_certificate &&
		    crypt_eq(octets(keys.stored, CRYPT_SHA256_LEN),
			     octets(l->credentials[i].verifiers[CRYPT_SHA256].stored, CRYPT_SHA256_LEN)))
			found = &l->credentials[i];
	secret_wipe(&keys, sizeof(keys));
	return found;
}

static const struct directory_credential *check_password(const struct directory_login *l, struct sv password)
{
	const struct directory_credential *found;
	struct buf prepared;

	buf_init(&prepared, 8 * DIRECTORY_PASSWORD_MAX);
	bool has_prepared = saslprep(password, &prepared);

	found = fitting(l, has_prepared ? buf_sv(&prepared) : password);
	if (!found && has_prepared && !sv_eq(buf_sv(&prepared), password))
		found = fitting(l, password);
	buf_wipe(&prepared);
	return found;
}

/* The account's password as another server kept it. When it fits, the login continues as if it were the account's own, which it
 * becomes here; a failure to write that down costs nothing but the same work at the next login. */
static const struct directory_credential *check_hash(struct verifier *v, struct directory_login *l, struct sv password)
{
	struct directory_credential *main = &l->credentials[l->count];

	if (!l->hash[0] || l->count == DIRECTORY_CREDENTIALS_MAX || !passhash_fits(sv_z(l->hash), password))
		return NULL;
	*main = (struct directory_credential){ .label = "password", .scope = SCOPE_ALL };
	struct fault f = directory_password_upgrade(v->directory, l, password);

	if (f.kind && f.kind != FAULT_BUSY)
		log_warn(NULL, "auth.hash.kept", KV_Z("account", l->account.address), KV_FAULT("fault", f));
	return main;
}

/* A verifier that an older version did not make yet. A failure to write it down costs nothing but the same work at the next login. */
static void complete(struct verifier *v, const struct directory_login *l, const struct directory_credential *c, struct sv password)
{
	for (size_t hash = 0; hash < DIRECTORY_HASHES; hash++) {
		if (c->verifiers[hash].is_there)
			continue;
		struct fault f = directory_verifiers_complete(v->directory, l, c->number, password);

		if (f.kind && f.kind != FAULT_BUSY)
			log_warn(NULL, "auth.verifiers.kept", KV_Z("account", l->account.address), KV_FAULT("fault", f));
		return;
	}
}

static const struct directory_credential *by_number(const struct directory_login *l, uint32_t number)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->credentials[i].number == number)
			return &l->credentials[i];
	return NULL;
}

/* is_elsewhere - is somebody else asked for this password? A name that is not known is asked for like one that is. */
static bool is_elsewhere(const struct verifier *v, const struct directory_login *l, struct sv user, bool is_real,
			 char name[DIRECTORY_ADDRESS_MAX + 1])
{
	if (!v->elsewhere)
		return false;
	if (is_real)
		memcpy(name, l->account.address, sizeof(l->account.address));
	else
		directory_login_canonical(v->directory, user, name);
	return elsewhere_covers(v->elsewhere, sv_z(name));
}

/* check_elsewhere - @found: which credential fits that is kept here: app passwords still count, the account's own password does
 * not, whoever set it. */
static const struct directory_credential *check_elsewhere(const struct verifier *v, const struct directory_credential *found,
							  struct sv name, struct sv password, bool was_right,
							  enum auth_reason *reason)
{
	static const struct directory_credential main = { .label = "password", .scope = SCOPE_ALL };

	if (found && found->number)
		return found;
	if (was_right)
		return &main;
	switch (elsewhere_check(v->elsewhere, name, password)) {
	case ELSEWHERE_RIGHT:
		return &main;
	case ELSEWHERE_UNKNOWN:
		*reason = AUTH_TEMPORARY;
		break;
	case ELSEWHERE_WRONG:
		break;
	}
	return NULL;
}

void verifier_found(const struct directory_login *l, const struct directory_credential *c, struct verified *out)
{
	memcpy(out->account, l->account.id, sizeof(out->account));
	memcpy(out->address, l->account.address, sizeof(out->address));
	memcpy(out->label, c->label, sizeof(out->label));
	out->scope = directory_account_scope(&l->account) & c->scope;
	out->credential = c->number;
	out->bounds = c->bounds;
	out->is_random = c->number != 0;
	out->reason = l->account.is_enabled ? AUTH_REASON_NONE : AUTH_DISABLED;
	out->refused = 0;
	for (unsigned bit = 1; bit & SCOPE_ALL; bit <<= 1) {
		const char *text = directory_account_refusal(&l->account, bit);

		if (!text[0])
			continue;
		out->refused |= bit;
		memcpy(out->refusal, text, strlen(text) + 1);
	}
}

void verifier_password_found(const struct directory_login *l, const struct directory_credential *c, struct verified *out)
{
	static const char text[] = "This password is not for mail programs, take an app password";
	unsigned denied = c->number ? 0 : l->account.password_denied;

	verifier_found(l, c, out);
	out->scope &= ~denied;
	/* The state's words come first. */
	if (!out->refused && denied) {
		out->refused = denied;
		memcpy(out->refusal, text, sizeof(text));
	}
}

/* The account, or what looks like one. The fake is made for everybody, so that making it takes no telling time. */
struct fault verifier_login(struct verifier *v, struct sv user, uint32_t fake_iterations, struct directory_login *out,
			    bool *is_real)
{
	struct directory_login *real = xcalloc(1, sizeof(*real));

	directory_login_fake(v->directory, user, fake_iterations, out);
	struct fault f = directory_login(v->directory, user, real);

	*is_real = !f.kind;
	if (*is_real)
		memcpy(out, real, sizeof(*out));
	directory_login_done(real);
	free(real);
	if (!f.kind || f.kind == FAULT_NOT_FOUND)
		return FAULT_OK;
	log_error(NULL, "auth.directory.failed", KV_FAULT("fault", f));
	return f;
}

void verifier_vouched(struct verifier *v, struct sv user, struct sv label, unsigned scope, struct verified *out)
{
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct directory_credential c = { .scope = scope };
	bool is_real = false;

	*out = (struct verified){ .reason = AUTH_BAD_CREDENTIALS };
	label = sv_sub(label, 0, sizeof(c.label) - 1);
	if (label.len)
		memcpy(c.label, label.p, label.len);
	if (verifier_login(v, user, DIRECTORY_ITERATIONS_MIN, l, &is_real).kind) {
		out->reason = AUTH_TEMPORARY;
	} else if (is_real) {
		memcpy(out->target, l->account.id, sizeof(out->target));
		verifier_found(l, &c, out);
		out->is_random = true;
	}
	directory_login_done(l);
	free(l);
}

/* Four groups of five letters and digits: cli_generate_secret() in admin/cli.h. */
bool verifier_looks_random(struct sv password)
{
	if (password.len != 23)
		return false;
	for (size_t i = 0; i < password.len; i++) {
		char c = password.p[i];

		if (i % 6 == 5 ? c != '-' : !((c >= 'a' && c <= 'z') || (c >= '2' && c <= '9')))
			return false;
	}
	return true;
}

void verifier_check(struct verifier *v, struct sv user, struct sv password, uint32_t fake_iterations, uint64_t now_ms,
		    struct verified *out)
{
	struct directory_login *l = xcalloc(1, sizeof(*l));
	const struct directory_credential *c = NULL;
	uint8_t key[CRYPT_SHA256_LEN];
	char name[DIRECTORY_ADDRESS_MAX + 1];
	bool is_real = false;
	uint32_t number = 0;
	uint64_t until_ms = now_ms + CACHE_MS;

	*out = (struct verified){ .reason = AUTH_BAD_CREDENTIALS };
	if (!password.len || password.len > DIRECTORY_PASSWORD_MAX || user.len > DIRECTORY_ADDRESS_MAX)
		goto out;
	if (verifier_login(v, user, fake_iterations, l, &is_real).kind) {
		out->reason = AUTH_TEMPORARY;
		goto out;
	}
	/* A fake has no id: its key is as long as the others and never in the cache. */
	struct sv parts[] = { sv_from(l->account.id, sizeof(l->account.id)),
			      octets((const uint8_t *)&l->account.revision, sizeof(l->account.revision)), password };

	keyed(v, parts, ARRAY_LEN(parts), key);
	out->was_cached = cache_has(v, key, now_ms, &number, &until_ms);
	c = out->was_cached ? by_number(l, number) : check_password(l, password);
	if (is_elsewhere(v, l, user, is_real, name))
		c = check_elsewhere(v, c, sv_z(name), password, out->was_cached && number == 0, &out->reason);
	else if (!c && is_real)
		c = check_hash(v, l, password);
	else if (c && is_real && !out->was_cached)
		complete(v, l, c, password);
	if (is_real)
		memcpy(out->target, l->account.id, sizeof(out->target));
	if (c && is_real) {
		verifier_password_found(l, c, out);
		out->until_ms = until_ms;
		if (!out->was_cached)
			cache_put(v, key, until_ms, c->number);
	}
	out->mark = mark_of(v, user, password);
out:
	secret_wipe(key, sizeof(key));
	directory_login_done(l);
	free(l);
}
