/* imapd/thread.h - messages as conversations (RFC 5256 §3 THREAD): ORDEREDSUBJECT, REFERENCES, and REFS, which is
 * REFERENCES without looking at subjects, the thread that got mail last standing last (draft-ietf-morg-inthread).
 * Keys come from the index. Nothing recurses, and the work for one link is bounded, whatever References say. Pure: any
 * thread, one at a time. */
#ifndef IMAPD_THREAD_H
#define IMAPD_THREAD_H

#include "common/mime.h"
#include "imapd/ranks.h"
#include "imapd/writer.h"
#include "maildir/mailbox.h"

enum thread_algorithm { THREAD_ORDEREDSUBJECT = 1, THREAD_REFERENCES, THREAD_REFS };

struct threader {
	enum thread_algorithm algorithm;
	size_t max;             /* octets of memory, never passed: half of it for subjects */

	/* private */
	struct ranks subjects;
	struct thread_node *nodes;      /* messages in the mailbox's order, then those that are only referred to */
	size_t count, cap, messages;
	struct thread_id { uint64_t hash; uint32_t id; } *ids;  /* by hash; id 0 is free */
	size_t id_slots;
	uint32_t id_count;
	uint32_t *refs;         /* ids, oldest first, of one message behind the other */
	size_t ref_count, ref_cap;
};

void threader_init(struct threader *t, enum thread_algorithm algorithm, size_t max);
/** threader_take - a message, in the order of the mailbox; `number` is what is told of it. parsed may be NULL. False:
 *  max would be passed. */
bool threader_take(struct threader *t, const struct message_row *row, const struct mime_message *parsed,
		   uint32_t number);
/** threader_write - everything was taken: the threads, "(1 2)(3)". False: max would be passed. */
bool threader_write(struct threader *t, struct writer *w);
void threader_done(struct threader *t);

#endif
