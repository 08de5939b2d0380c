/* imapd/training_marks.h - keywords by which people say what is spam: $Junk and $NotJunk (RFC 9051 §2.3.2), and the names of
 * Thunderbird and Apple Mail from before they were registered. A STORE that sets one teaches the spam filter (training.h), once for
 * each message that did not bear it. Blocks; belongs to the thread that has the room. */
#ifndef IMAPD_TRAINING_MARKS_H
#define IMAPD_TRAINING_MARKS_H

#include "imapd/training.h"

struct training_marks {
	enum lesson kind;               /* LESSON_NONE: nothing is to be learned */
	/* Thunderbird's own filter sets Junk or NonJunk on whatever arrives: by these names only a change of mind counts, that is,
	 * where the message bears one of the opposite kind. */
	bool is_sure;
	struct keyword_bits same, opposite;     /* of this mailbox */
	uint32_t resume;
	struct uidset taught;           /* what was found */
};

/** training_marks_of - what setting these keywords means: kind and is_sure of an empty *out. Names of both kinds at once mean nothing
 *  (RFC 9051 §2.3.2). */
void training_marks_of(const struct flag_change *change, struct training_marks *out);
/** training_marks_begin - before a STORE in the selected mailbox: is something to be looked for? Then call training_marks_look() until
 *  resume is 0. training_marks_done() in any case. */
bool training_marks_begin(struct command *c, const struct flag_change *change, struct training_marks *out);
/** training_marks_look - one chunk of the messages that are about to be marked. */
MUST_CHECK struct fault training_marks_look(struct command *c, const struct uidset *set, struct training_marks *marks);
void training_marks_done(struct training_marks *marks);

/** training_marks_teaches - would this message teach something by being marked? */
bool training_marks_teaches(const struct training_marks *marks, struct keyword_bits has);

#endif
