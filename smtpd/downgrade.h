/* smtpd/downgrade.h - a message with 8-bit octets written anew in 7 bits, for a server that takes no others (RFC 6152 §3): the
 * bodies of its parts in quoted-printable or base64 (RFC 2045 §6), their Content-Transfer-Encoding with them. Boundaries, and
 * whatever has 7 bits already, stay as they are; messages within the message are entered (RFC 2045 §6.4: these and multiparts
 * are never encoded themselves).
 *
 * The message is read several times from the top, each time in any cuts, with CRLF line ends (common/lines.h, DATA_NORMALISE):
 *
 *   downgrade_new -> downgrade_parse* -> downgrade_parsed: true, it has such octets
 *                 -> downgrade_count* -> downgrade_obstacle: NULL, it can be done
 *                 -> (downgrade_begin -> downgrade_feed* -> downgrade_end) any number of times
 *
 * A second kind of it (downgrade_new_lines) makes lines of a message that came as octets (BODY=BINARYMIME, RFC 3030 §3): bodies of parts
 * with "Content-Transfer-Encoding: binary" are written so, all else stays as it is. Not an octet of it may be normalised before; what it
 * is fed lies as it came, and what comes out has no NUL and no bare CR or LF, for else that is an obstacle.
 *
 * What cannot be done in 7 bits: other octets than ASCII in a header (RFC 6532), in something signed (RFC 1847 §2.1), in a message that somebody else
 * has signed (RFC 6376 §5.3), in a part that may not be encoded or that is beyond the limits of common/mime.h.
 * Memory: that of common/mime.h, 32 octets per part, one header field. Pure, any thread; one object, one thread at a time. */
#ifndef SMTPD_DOWNGRADE_H
#define SMTPD_DOWNGRADE_H

#include "common/bytes.h"
#include "common/lines.h"

struct downgrade;

/**
 * downgrade_new
 * @top_len: so many octets are fields that we put on top (smtpd/spool.h): signatures and seals in there are ours, are worth nothing
 *           afterwards and are left out. Those below are somebody else's.
 */
struct downgrade *downgrade_new(uint64_t top_len);
/** downgrade_new_lines - of a message that came just now, so that nothing of ours is on top of it. */
struct downgrade *downgrade_new_lines(void);
/** downgrade_free - NULL is fine. */
void downgrade_free(struct downgrade **d);

void downgrade_parse(struct downgrade *d, struct sv octets);
/** downgrade_parsed - the message has ended. False: there is nothing to do; never of downgrade_new_lines(). */
bool downgrade_parsed(struct downgrade *d);
void downgrade_count(struct downgrade *d, struct sv octets);
/** downgrade_obstacle - likewise. A sentence for people why it cannot be done, or NULL. */
const char *downgrade_obstacle(struct downgrade *d);
/** downgrade_was_ours - a DKIM-Signature of ours is left out: the message should be signed again. */
bool downgrade_was_ours(const struct downgrade *d);

void downgrade_begin(struct downgrade *d);
/** downgrade_feed - the next octets; what becomes of them goes to the sink, at most 4 for one. False: the sink said so. */
bool downgrade_feed(struct downgrade *d, struct sv octets, byte_sink_fn *sink, void *ctx);
bool downgrade_end(struct downgrade *d, byte_sink_fn *sink, void *ctx);

#endif
