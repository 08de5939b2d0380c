/* imapd/results.h - answers to searches: SEARCH, SORT, and ESEARCH with its return options (RFC 4731, RFC 5182,
 * RFC 5267 §3, RFC 9394). Blocks only where a MODSEQ has to be looked up. */
#ifndef IMAPD_RESULTS_H
#define IMAPD_RESULTS_H

#include "imapd/finder.h"

/* What was found, as the client counts: a set, or a row of numbers in the order of a SORT. */
struct results {
	struct uidset numbers;
	const uint32_t *sorted;         /* NULL: the set */
	size_t count;                   /* of sorted */
	struct sv mailbox;              /* told with the answer (RFC 7377 §2.1); empty: it is the selected one */
	uint32_t uidvalidity;           /* likewise */
};

/** results_of - numbers of the UIDs found, or the UIDs themselves. results_done() ends it. */
void results_of(const struct view *view, bool is_uid, const struct uidset *uids, struct results *out);
void results_done(struct results *r);
/** results_write - `* ESEARCH (TAG "x") ...`; nothing when the client wants nothing but to have it saved. */
void results_write(struct command *c, const struct finder *found, const struct results *r);
/** results_save - RETURN (SAVE): what `$` means from now on. @uids: what was found, sorted like r. */
void results_save(struct command *c, const struct finder *found, const struct results *uids);

#endif
