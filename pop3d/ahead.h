/* pop3d/ahead.h - answers to RETR that were read before they were asked for. A mail program that takes everything asks for one
 * message after the other: the job that reads one goes on with those behind it, as long as all of them are small, and what is
 * asked for next is answered on the loop without a job. At most AHEAD_OCTETS for a session, and none when nothing is left.
 * Memory only; one thread at a time. */
#ifndef POP3D_AHEAD_H
#define POP3D_AHEAD_H

#include "common/bytes.h"

#define AHEAD_OCTETS ((size_t)64 << 10)
#define AHEAD_MESSAGES 32

struct ahead {
	struct buf octets;              /* whole answers, one behind the other */
	uint32_t first;                 /* the message number of the next one */
	uint32_t at, count;             /* of ends: the next one, and how many there are */
	uint32_t ends[AHEAD_MESSAGES];
};

void ahead_init(struct ahead *a);
/** ahead_done - forget everything; it may be used again. */
void ahead_done(struct ahead *a);
/** ahead_has_room - may the answer to one more message, of about so many octets, be added? */
bool ahead_has_room(const struct ahead *a, uint64_t size);
/** ahead_end - what was appended to octets since the last one is the answer to RETR of number, which follows the last one. */
void ahead_end(struct ahead *a, uint32_t number);
/** ahead_cut - what was appended to octets since the last answer is no whole one. */
void ahead_cut(struct ahead *a);
/** ahead_take - the answer to RETR of number, if it is the next one; a view that lives until the next call. Whoever asks for
 *  another one does not read everything: then all are forgotten. */
bool ahead_take(struct ahead *a, uint32_t number, struct sv *answer);

#endif
