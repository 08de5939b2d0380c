/* common/identity_private.h - making an identity: for common/auth.c alone. */
#ifndef COMMON_IDENTITY_PRIVATE_H
#define COMMON_IDENTITY_PRIVATE_H

#include "common/identity.h"

/* All views are copied. */
struct identity_facts {
	struct sv address, account, label, mechanism, peer, tls;
	unsigned scope;
	uint32_t credential;
};

/** identity_new - the caller holds the one reference. */
struct auth_identity *identity_new(const struct identity_facts *facts);

#endif
