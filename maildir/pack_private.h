/* maildir/pack_private.h - is packing a message worth it? */
#ifndef MAILDIR_PACK_PRIVATE_H
#define MAILDIR_PACK_PRIVATE_H

#include "common/bytes.h"

/** pack_octets - pack a message of so many octets from one file into another, empty one, and flush that. False: not worth it, or a
 *  fault; nobody misses what was written then. */
bool pack_octets(int from, uint64_t octets, int to);

#endif
