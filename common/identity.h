/* common/identity.h - who somebody proved to be. Only an identity opens a mailbox (maildir/store.h) or sends mail as
 * an account; only authentication (common/auth.c) makes one, identity_for_admin() for the person who owns the
 * instance's files, and those beside it. There is no other way to get one: the struct is opaque.
 * An identity never changes. It is shared by reference and may be used from any thread. */
#ifndef COMMON_IDENTITY_H
#define COMMON_IDENTITY_H

#include "common/bytes.h"

struct auth_identity;

/* What a credential may be used for. An account and each of its credentials have a set of these; a login needs
 * its service in both. */
enum auth_scope {
	SCOPE_IMAP        = 1 << 0,
	SCOPE_POP3        = 1 << 1,
	SCOPE_SUBMISSION  = 1 << 2,
	SCOPE_MANAGESIEVE = 1 << 3,
	SCOPE_WEB         = 1 << 4,
	SCOPE_ALL         = (1 << 5) - 1,
};

struct auth_identity *identity_ref(const struct auth_identity *id);
/** identity_unref - give a reference back, set *id to NULL. NULL is fine. */
void identity_unref(struct auth_identity **id);

/* Views are borrowed from the identity; each has a NUL behind it. */
/** identity_address - the account's canonical address, user@domain. */
struct sv identity_address(const struct auth_identity *id);
/** identity_account - the account's id: random letters and digits that stay when its address changes. Empty for
 *  identity_for_admin() of an account that the directory does not have. */
struct sv identity_account(const struct auth_identity *id);
/** identity_scope - what this login may do: SCOPE_ bits of account and credential. */
unsigned identity_scope(const struct auth_identity *id);
/** identity_credential - number of the credential that was used; 0 is the account's own password. */
uint32_t identity_credential(const struct auth_identity *id);
/** identity_label - what the credential is called: "password", or an app password's label. */
struct sv identity_label(const struct auth_identity *id);
/** identity_mechanism - "PLAIN", "SCRAM-SHA-256", ..., "admin". */
struct sv identity_mechanism(const struct auth_identity *id);
/** identity_peer - the peer's address as text, empty when there was none. */
struct sv identity_peer(const struct auth_identity *id);
/** identity_tls - the TLS version, empty when there was no TLS. */
struct sv identity_tls(const struct auth_identity *id);

/** identity_for_admin - for `postroom` commands: whoever may read the instance's files acts for any of its accounts.
 *  Never call it in a daemon. @account may be empty. */
struct auth_identity *identity_for_admin(struct sv address, struct sv account);
/** identity_for_web - for imapd's control verbs by which the web front, where somebody has proved who they are, does what the account page
 *  is for (imapd/settings.h): quota and scripts, no message. */
struct auth_identity *identity_for_web(struct sv address, struct sv account);
/** identity_for_local - for a program of this host, of whose user the kernel says who he is: he may send mail, and has no
 *  account. */
struct auth_identity *identity_for_local(struct sv address);
/** identity_for_device - for a printer or scanner in one of legacy-networks, for which the configuration says as whose mail it sends
 *  (legacy-sender): of an account whose id nobody has looked up. */
struct auth_identity *identity_for_device(struct sv address);

#endif
