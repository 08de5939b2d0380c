/* common/dkimkey_private.h - what dkimkey.c (files) and dkimkey_ring.c (loaded keys) share. */
#ifndef COMMON_DKIMKEY_PRIVATE_H
#define COMMON_DKIMKEY_PRIVATE_H

#include "common/dkimkey.h"

/** dkimkey_load - the private key. */
MUST_CHECK struct fault dkimkey_load(const char *dir, struct sv domain, const char *selector, struct crypt_private **out);

#endif
