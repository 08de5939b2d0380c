/* common/saslprep.h - passwords as the standards compare them (RFC 4013), so that the same password typed on two
 * devices is the same octets. Pure: no I/O, any thread. */
#ifndef COMMON_SASLPREP_H
#define COMMON_SASLPREP_H

#include "common/bytes.h"

/** saslprep - append the prepared form: spaces are one kind, what is mapped to nothing is gone, NFKC. False (nothing
 *  appended) for text that is no UTF-8 or holds what §2.3 and §2.4 prohibit, and when the buffer's max would be passed: then the
 *  octets are used as they are. Unassigned code points are let through, as for queries. */
bool saslprep(struct sv in, struct buf *out);

#endif
