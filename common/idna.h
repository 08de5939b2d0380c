/* common/idna.h - internationalised domain names (IDNA2008, RFC 5891): U-labels to A-labels. The keeper of
 * libidn2. Pure, any thread. */
#ifndef COMMON_IDNA_H
#define COMMON_IDNA_H

#include "common/memory.h"

/** idna_to_ascii - a domain name in UTF-8 (no NUL in it) to A-labels, lower case. p is NULL when it is none, or the
 *  arena is used up. */
struct sv idna_to_ascii(struct arena *a, struct sv domain);

#endif
