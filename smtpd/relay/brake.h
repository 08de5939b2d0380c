/* smtpd/relay/brake.h - a stolen account is noticed by what comes of its mail: when too many of its last recipients are refused for
 * good, it sends no more. Kept in memory; the relay writes it down now and then, and reads it when it starts. Any thread. */
#ifndef SMTPD_RELAY_BRAKE_H
#define SMTPD_RELAY_BRAKE_H

#include "common/bytes.h"

#define BRAKE_RCPTS 50          /* looked at: the last ones */
#define BRAKE_NOTE_MAX (300u << 10)     /* octets of brake_write() */
#define BRAKE_USERS 1000        /* who sent last; others are forgotten */

struct brake;

struct brake *brake_new(void);
void brake_free(struct brake **b);
/** brake_note - what became of one recipient of a user's mail. Returns how many of the last BRAKE_RCPTS failed when that are
 * `percent` or more of them; else 0. Then counting begins anew. */
unsigned brake_note(struct brake *b, struct sv user, bool has_failed, unsigned percent);

/** brake_write - all counts, as lines of text. False: nothing was noted since the last time, or out's max. */
bool brake_write(struct brake *b, struct buf *out);
/** brake_read - counts that brake_write() gave, of users who are not known yet; lines that it did not are passed over. */
void brake_read(struct brake *b, struct sv text);

#endif
