#include <pthread.h>
#include <stdlib.h>

#include "common/auth_private.h"
#include "common/crypt.h"

#include "common/banned.h"

/* A phone opens ten connections in a row. The second of them need not ask again what the first one has just found out: the same
 * password for the same name from the same address, while nothing was changed in the directory. So it needs neither hashing nor a
 * file, and the loop itself can answer it. What of a login depends on more than that (TLS, the protocol, the mechanism) is decided
 * anew each time. */

#define SLOTS 512

/* What was found. Nothing of it says anything about the password without the process's key. */
struct found {
	uint8_t key[CRYPT_SHA256_LEN];  /* HMAC of name, address and password */
	uint64_t revision;              /* of the directory before it was asked */
	struct throttle_who who;
	struct verified verified;
};

struct again {
	struct directory *directory;
	uint8_t secret[32];             /* of this process */
	pthread_mutex_t lock;
	struct found *slots[SLOTS];     /* made when they are first needed */
};

struct again *again_new(struct directory *directory)
{
	struct again *a = xcalloc(1, sizeof(*a));

	a->directory = directory;
	crypt_random(a->secret, sizeof(a->secret));
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

void again_free(struct again **at)
{
	struct again *a = *at;

	if (!a)
		return;
	*at = NULL;
	pthread_mutex_destroy(&a->lock);
	for (size_t i = 0; i < SLOTS; i++) {
		if (a->slots[i])
			secret_wipe(a->slots[i], sizeof(*a->slots[i]));
		free(a->slots[i]);
	}
	secret_wipe(a, sizeof(*a));
	free(a);
}

/* key_of - the password is last and the name has no NUL, so that no two of these look the same. */
static void key_of(const struct again *a, const struct netaddr *address, const char *name, struct sv password,
		   uint8_t out[CRYPT_SHA256_LEN])
{
	uint8_t mac[CRYPT_HASH_MAX];
	struct buf all;

	buf_init(&all, sizeof(address->ip) + DIRECTORY_ADDRESS_MAX + 1 + DIRECTORY_PASSWORD_MAX);
	if (!buf_append(&all, sv_from((const char *)address->ip, sizeof(address->ip))) || !buf_append(&all, sv_z(name)) ||
	    !buf_append_c(&all, '\0') || !buf_append(&all, password))
		BUG("a password of %zu octets", password.len);
	crypt_hmac(CRYPT_SHA256, sv_from((const char *)a->secret, sizeof(a->secret)), buf_sv(&all), mac);
	memcpy(out, mac, CRYPT_SHA256_LEN);
	secret_wipe(mac, sizeof(mac));
	buf_wipe(&all);
}

static struct found **slot_of(struct again *a, const uint8_t key[CRYPT_SHA256_LEN])
{
	return &a->slots[(key[0] | (size_t)key[1] << 8) % SLOTS];
}

void again_remember(struct again *a, const struct auth_session *s, struct sv password, uint64_t revision)
{
	struct found found = { .revision = revision, .who = s->who, .verified = s->verified };
	struct found **slot;

	if (!revision || !s->auth->logins || s->rule || s->verified.reason || !password.len || password.len > DIRECTORY_PASSWORD_MAX)
		return;
	key_of(a, &s->address, s->user, password, found.key);
	pthread_mutex_lock(&a->lock);
	slot = slot_of(a, found.key);
	if (!*slot)
		*slot = xmalloc(sizeof(**slot));
	**slot = found;
	pthread_mutex_unlock(&a->lock);
}

static bool recall(struct again *a, const struct auth_session *s, const char *name, struct sv password, struct found *out)
{
	uint8_t key[CRYPT_SHA256_LEN];
	const struct found *f;

	key_of(a, &s->address, name, password, key);
	pthread_mutex_lock(&a->lock);
	f = *slot_of(a, key);
	bool has = f && f->verified.until_ms > auth_now_ms() &&
		   crypt_eq(sv_from((const char *)f->key, sizeof(f->key)), sv_from((const char *)key, sizeof(key)));
	if (has)
		*out = *f;
	pthread_mutex_unlock(&a->lock);
	return has && out->revision == directory_revision(a->directory);        /* one that is not known now is none that was kept */
}

/* try_again - @m: what the session is by then doing; nothing was touched when this is false. */
static bool try_again(struct auth_session *s, const struct mechanism *m, struct sv user, struct sv password, struct auth_result *out)
{
	struct found found;
	char name[DIRECTORY_ADDRESS_MAX + 1];

	/* A name without its domain is looked up, in a file. */
	if (sv_find(user, '@') == SIZE_MAX || user.len > DIRECTORY_ADDRESS_MAX || !password.len || password.len > DIRECTORY_PASSWORD_MAX)
		return false;
	directory_login_canonical(s->auth->directory, user, name);
	if (!recall(s->auth->again, s, name, password, &found))
		return false;
	auth_end_exchange(s);
	s->mechanism = m;
	memcpy(s->user, name, sizeof(s->user));
	/* An address with a good login of this account is never blocked, so there is no need to look. */
	s->has_looked = true;
	s->who = found.who;
	s->verified = found.verified;
	auth_decide(s);
	auth_end(s, out);
	return true;
}

/* split_plain - RFC 4616 §2, without an authorization identity: nobody acts for another, and the long way says so. */
static bool split_plain(struct sv message, struct sv *user, struct sv *password)
{
	size_t nul;

	if (!message.len || message.p[0] != '\0')
		return false;
	sv_skip(&message, 1);
	nul = sv_find(message, '\0');
	if (nul == SIZE_MAX)
		return false;
	*user = sv_sub(message, 0, nul);
	*password = sv_sub(message, nul + 1, message.len);
	return sv_find(*password, '\0') == SIZE_MAX;
}

bool auth_login_again(struct auth_session *s, struct sv user, struct sv password, struct auth_result *out)
{
	return s->link.may_send_secret && try_again(s, &mechanism_clear, user, password, out);
}

bool auth_start_again(struct auth_session *s, struct sv name, struct sv initial, struct auth_result *out)
{
	const struct mechanism *m = mechanism_find(name);
	struct sv user, password;

	return m && m->start == sasl_start && mechanism_is_offered(s->auth, &s->link, m) && split_plain(initial, &user, &password) &&
	       try_again(s, m, user, password, out);
}

bool auth_step_again(struct auth_session *s, struct sv response, struct auth_result *out)
{
	const struct mechanism *m = s->mechanism;
	struct sv user, password;

	if (m && m->step == login_step && login_has_name(s))
		return try_again(s, m, sv_z(s->user), response, out);
	return m && m->step == sasl_step && split_plain(response, &user, &password) && try_again(s, m, user, password, out);
}
