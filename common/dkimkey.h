/* common/dkimkey.h - the instance's DKIM keys: made with a domain, listed, rotated, loaded for signing.
 *
 *   ROOT/keys/DOMAIN.SELECTOR.pem   private key, PKCS#8, mode 0600
 *   ROOT/keys/DOMAIN.SELECTOR.txt   what its DNS record says: "v=DKIM1; k=rsa; p=..."
 *   ROOT/keys/DOMAIN.keys           a line for each key: SELECTOR STATE SINCE; a key without a line is active
 *
 * A domain signs with one RSA and one Ed25519 key (RFC 8463 §6). Rotation overlaps: new keys wait until their records
 * are in the DNS, then they sign, and the old records stay until no mail signed with them is under way any more
 * (RFC 6376 §3.1). A key made elsewhere joins in when its .pem is put there.
 * Everything blocks. A keyring may be used from any thread. */
#ifndef COMMON_DKIMKEY_H
#define COMMON_DKIMKEY_H

#include "common/address.h"
#include "common/bytes.h"
#include "common/crypt.h"
#include "common/fault.h"

#define DKIMKEY_SELECTOR_MAX 63
#define DKIMKEY_RECORD_MAX 2047
#define DKIMKEY_RETIRED_S (7 * 86400)   /* an old record is useful so long: the queue's 5 days, and a margin */

enum dkimkey_state {
	DKIMKEY_ACTIVE = 0,     /* signs */
	DKIMKEY_WAITING,        /* to be published; signs after dkimkey_switch() */
	DKIMKEY_RETIRED,        /* signs no more; its record may go DKIMKEY_RETIRED_S later */
};
/** dkimkey_state_name - "active", "waiting", "retired". */
const char *dkimkey_state_name(enum dkimkey_state state);

struct dkimkey {
	char domain[ADDRESS_DOMAIN_MAX + 1];            /* A-labels, lower case */
	char selector[DKIMKEY_SELECTOR_MAX + 1];
	enum crypt_key_type type;
	enum dkimkey_state state;
	int64_t since_s;                                /* Unix time of the state; 0: from the beginning */
	char record[DKIMKEY_RECORD_MAX + 1];            /* the TXT record's text; "": cannot be read */
};

/** dkimkey_make - the first keys of a domain (A-labels); nothing when it has some. Slow. */
MUST_CHECK struct fault dkimkey_make(const char *dir, const char *domain);
typedef bool dkimkey_fn(void *arg, const struct dkimkey *key);
/** dkimkey_list - by domain, then selector, until fn says false. @domain: only this one; empty: all. */
MUST_CHECK struct fault dkimkey_list(const char *dir, struct sv domain, dkimkey_fn *fn, void *arg);
/** dkimkey_rotate - new keys that wait. FAULT_EXISTS: some wait already. FAULT_NOT_FOUND: the domain has none. Slow. */
MUST_CHECK struct fault dkimkey_rotate(const char *dir, const char *domain, int64_t now_s);
/** dkimkey_switch - those that wait sign from now on, those that signed retire; what has been retired for longer than
 *  DKIMKEY_RETIRED_S is removed. FAULT_NOT_FOUND: none waits. */
MUST_CHECK struct fault dkimkey_switch(const char *dir, const char *domain, int64_t now_s);

/* ---- for signing ---- */

struct dkimkeys;
/** dkimkeys_new - nothing is read yet. @dir: copied. */
struct dkimkeys *dkimkeys_new(const char *dir);
void dkimkeys_free(struct dkimkeys **keys);

#define DKIMKEY_SIGNERS_MAX 4
struct dkimkey_signer {
	char selector[DKIMKEY_SELECTOR_MAX + 1];
	struct crypt_private *key;
};
/* The active keys of one domain, RSA first. Not changed while anybody holds it. */
struct dkimkey_set {
	char domain[ADDRESS_DOMAIN_MAX + 1];
	struct dkimkey_signer keys[DKIMKEY_SIGNERS_MAX];
	size_t count;                   /* at least one */
};
/** dkimkeys_hold - the keys of a domain, or of the nearest one above it that has some; NULL when there are none. Read again
 *  when the folder has changed. A key that cannot be read is logged and left out. */
const struct dkimkey_set *dkimkeys_hold(struct dkimkeys *keys, struct sv domain);
/** dkimkeys_release - *set is NULL. NULL is fine. */
void dkimkeys_release(struct dkimkeys *keys, const struct dkimkey_set **set);

#endif
