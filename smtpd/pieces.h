/* smtpd/pieces.h - the octets of a spill, piece by piece, for somebody on the loop: jobs read them. It has a descriptor of its own, so
 * whose message it is may go away at any time. Loop thread. */
#ifndef SMTPD_PIECES_H
#define SMTPD_PIECES_H

#include "common/loop.h"
#include "smtpd/spill.h"

#define PIECES_SIZE (16u << 10)         /* octets of one at most */

struct pieces;
/** Called in a later turn. @octets: until the next one is asked for, empty behind the end; @is_last: nothing comes behind them. */
typedef void pieces_fn(void *arg, struct sv octets, bool is_last, struct fault fault);

struct pieces *pieces_new(struct loop *loop, const struct spill *spill, pieces_fn *fn, void *arg);
/** pieces_next - fn is called with the next piece. False: no thread for it. */
bool pieces_next(struct pieces *p);
/** pieces_is_reading - one was asked for, and has not come yet. */
bool pieces_is_reading(const struct pieces *p);
/** pieces_free - at any time; fn is not called any more. NULL is fine. */
void pieces_free(struct pieces **p);

#endif
