/* imapd/resync.h - what changed since a MODSEQ that the client names: the modifiers of FETCH, the QRESYNC
 * parameter of SELECT, and the answer to both (RFC 7162). Blocks where it asks the store. */
#ifndef IMAPD_RESYNC_H
#define IMAPD_RESYNC_H

#include "imapd/command.h"
#include "imapd/partial.h"

/* RFC 4466 §2.4 fetch-modifiers that are known. */
struct fetch_modifiers {
	bool has_since, has_vanished, has_partial;
	uint64_t since;                 /* CHANGEDSINCE (RFC 7162 §3.1.4.1) */
	struct partial partial;         /* RFC 9394 §3.3 */
};
/** resync_read_modifiers - the rest of the command: nothing, or a list of modifiers. False: malformed, or not
 * allowed here and now. */
bool resync_read_modifiers(struct command *c, struct fetch_modifiers *out);

/* (QRESYNC (uidvalidity modseq [known-uids] [(numbers uids)])), RFC 7162 §3.2.5. */
struct resync {
	bool is_wanted, has_known;
	uint32_t uidvalidity;
	uint64_t since;
	struct uidset known;
	struct uidset numbers, uids;    /* sequence match data: pairs, in ascending order */
};
/** resync_read - the list behind the word QRESYNC; resync_done() in any case. */
bool resync_read(struct args *args, struct resync *out);
void resync_done(struct resync *r);

/** resync_write_vanished - VANISHED (EARLIER) for the members of `known` that are gone since. */
MUST_CHECK struct fault resync_write_vanished(struct command *c, uint64_t since, const struct uidset *known,
					      const struct resync *match);
/** resync_narrow - leave in *set only what may have changed since: the cost grows with the changes, not with the
 * mailbox. */
MUST_CHECK struct fault resync_narrow(struct command *c, uint64_t since, struct uidset *set);
/** resync_all_uids - 1 up to what UIDNEXT promises: what a client may know at all. */
MUST_CHECK struct fault resync_all_uids(struct command *c, struct uidset *out);

#endif
