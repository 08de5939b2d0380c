/* smtpd/relay/talk.h - the last of a conversation with another server, for people: a line each, "> " ours, "< " theirs, "* " what happened.
 * Bounded by the buffer's limit; control characters of strangers do not get through. Any thread, one at a time. */
#ifndef SMTPD_RELAY_TALK_H
#define SMTPD_RELAY_TALK_H

#include "smtpd/relay/answer.h"

/** talk_note - each line of text; of a line 1000 octets. When it is full, the older half goes. @talk: its limit is above 2000. */
void talk_note(struct buf *talk, const char *who, struct sv text);
/** talk_note_answer - as theirs; the first 30 lines. */
void talk_note_answer(struct buf *talk, const struct answer *answer);

#endif
