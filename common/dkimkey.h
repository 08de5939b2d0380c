/* common/dkimkey.h - the instance's DKIM keys on disk: made with a domain, listed, rotated, loaded
 * for signing.
 *
 *   ROOT/keys/DOMAIN.SELECTOR.pem   private key, PKCS#8, mode 0600
 *   ROOT/keys/DOMAIN.SELECTOR.txt   the DNS record that publishes it: "v=DKIM1; k=rsa; p=..."
 *   ROOT/keys/DOMAIN.keys           one line per key: SELECTOR STATE SINCE; a key without a line is
 * active
 *
 * A domain has one RSA and one Ed25519 key that sign. Rotation overlaps: new keys wait until their
 * records are in the DNS, then they sign, and the old ones stay published until no mail signed by
 * them is under way. Everything blocks. The keyring may be used from any thread. */
#ifndef COMMON_DKIMKEY_H
#define COMMON_DKIMKEY_H

#include "common/address.h"
#include "common/bytes.h"
#include "common/crypt.h"
#include "common/fault.h"

#define DKIMKEY_SELECTOR_MAX 63
#define DKIMKEY_RETIRED_S                                                                          \
	(7 * 86400) /* how long an old record stays useful: the queue's 5 days, and a margin */

enum dkimkey_state {
	DKIMKEY_ACTIVE = 0, /* signs */
	DKIMKEY_WAITING,    /* to be published; signs after dkimkey_switch() */
	DKIMKEY_RETIRED,    /* signs no more; its record may go DKIMKEY_RETIRED_S after `since_s` */
};
/** dkimkey_state_name - "active", "waiting", "retired". */
const char *dkimkey_state_name(enum dkimkey_state state);

struct dkimkey {
	char domain[ADDRESS_DOMAIN_MAX + 1];
	char selector[DKIMKEY_SELECTOR_MAX + 1];
	enum crypt_key kind;
	enum dkimkey_state state;
	int64_t since_s;   /* Unix time of the state; 0: not known */
	char record[1024]; /* text of the TXT record at SELECTOR._domainkey.DOMAIN */
};

/** dkimkey_make - the first keys of a domain. Keys that are there stay as they are, and nothing is
 * made. */
MUST_CHECK struct fault dkimkey_make(const char *dir, const char *domain);
/* False stops. */
typedef bool dkimkey_fn(void *arg, const struct dkimkey *key);
/** dkimkey_list - by domain, then selector. @domain: only this one; empty: all. */
MUST_CHECK struct fault dkimkey_list(const char *dir, struct sv domain, dkimkey_fn *fn, void *arg);
/** dkimkey_rotate - new keys that wait. FAULT_EXISTS: some wait already. FAULT_NOT_FOUND: the
 * domain has no keys. */
MUST_CHECK struct fault dkimkey_rotate(const char *dir, const char *domain, int64_t now_s);
/** dkimkey_switch - the waiting keys sign from now on, the others retire; the private part of long
 * retired ones is removed. FAULT_NOT_FOUND: none waits. */
MUST_CHECK struct fault dkimkey_switch(const char *dir, const char *domain, int64_t now_s);

/* ---- for signing ---- */

struct dkimkeys;
/** dkimkeys_new - nothing is read yet. @dir: copied. */
struct dkimkeys *dkimkeys_new(const char *dir);
void dkimkeys_free(struct dkimkeys **keys);

#define DKIMKEY_SIGNERS_MAX 4
struct dkimkey_signer {
	const char *domain, *selector;
	enum crypt_key kind;
	const struct crypt_private *key;
};
/* The active keys of one domain, held until dkimkeys_release(). */
struct dkimkey_set {
	struct dkimkey_signer keys[DKIMKEY_SIGNERS_MAX];
	size_t count; /* 0: the domain has none */
	struct dkimkey_cached *held;
};
/** dkimkeys_hold - the keys of the domain, or of the nearest one above it; read again when the
 * folder has changed. Keys that cannot be read are logged and left out. */
void dkimkeys_hold(struct dkimkeys *keys, struct sv domain, struct dkimkey_set *out);
void dkimkeys_release(struct dkimkeys *keys, struct dkimkey_set *set);

#endif
