/* imapd/view.h - what a client believes about its selected mailbox: which message sequence number
 * is which UID (RFC 3501 §2.3.1.2), and what it has not been told yet. UIDs are kept as ranges: a
 * mailbox of a million messages that never lost one costs sixteen octets.
 *
 * A message that is gone from the store keeps its number until the client may be told (RFC 3501
 * §7.4.1, §5.5): it stays in `uids` and stands in `gone` meanwhile. Pure: no store, no output; any
 * thread, one at a time. */
#ifndef IMAPD_VIEW_H
#define IMAPD_VIEW_H

#include "common/bytes.h"
#include "maildir/uidset.h"

struct view {
	struct uidset uids;     /* what the client counts, or will count once EXISTS is sent */
	struct uidset gone;     /* a subset of uids: removed, the client not told */
	struct uidset
		recent; /* \Recent in this session; may name messages that are not in uids yet */
	struct uidset saved;    /* what `$` means (RFC 5182 §2.1); may name messages that are gone */
	bool has_saved;         /* `$` is offered */
	uint32_t count;         /* members of uids */
	uint32_t told;          /* the last EXISTS, less the EXPUNGEs since */
	uint64_t modseq;        /* of the snapshot that `uids` and `gone` reflect */
	uint64_t gone_modseq;   /* of the first message in `gone`; of no meaning while that is empty */
};

/** view_set - take over the mailbox as it is now; *uids is empty afterwards. */
void view_set(struct view *v, struct uidset *uids, uint64_t modseq);
void view_done(struct view *v);
/** view_add - a new message. False (nothing done) unless its UID is above all others: a number in
 * the middle would renumber what the client knows. */
bool view_add(struct view *v, uint32_t uid);
/** view_lose - a message was removed from the store, by the change with this MODSEQ. False when the
 * view did not have it. */
bool view_lose(struct view *v, uint32_t uid, uint64_t modseq);
/** view_highest - the highest UID, 0 for an empty mailbox. */
uint32_t view_highest(const struct view *v);

/**
 * view_expunge - the numbers of lost messages, highest first, each to be told as EXPUNGE at once:
 * up to `max` of them are taken out of the view and fn is called for each. Returns how many; fewer
 * than max means that none is left.
 */
size_t view_expunge(struct view *v, size_t max, void (*fn)(void *arg, uint32_t seq, uint32_t uid),
		    void *arg);

/* Walks UIDs upwards and knows their numbers at the price of one step each, however fragmented the
 * view is. */
struct view_cursor {
	const struct view *v;
	size_t range;
	uint32_t before;        /* members in the ranges before this one */
};
struct view_cursor view_cursor(const struct view *v);
/** view_cursor_seq - number of the message, 0 when the client does not know it. UIDs must ascend
 * between calls. */
uint32_t view_cursor_seq(struct view_cursor *c, uint32_t uid);

enum set_result {
	SET_OK = 0,
	SET_BAD, /* not a sequence set, or a number beyond the mailbox (RFC 3501 §9: seq-number) */
	SET_LIMIT,
};
enum set_kind {
	SET_NUMBERS, /* a number above the mailbox is SET_BAD (RFC 3501 §9 seq-number), except in a
		      * range that has `*`: clients ask for n:* to learn what is new */
	SET_NUMBERS_ANY, /* SEARCH: numbers above the mailbox are nothing */
	SET_UIDS,        /* UIDs that do not exist are nothing (§6.4.8) */
};
/**
 * view_resolve - a sequence-set (RFC 3501 §9) to the UIDs it means here: `*` is the highest one, a
 * range is unordered.
 * @out: an empty set; gets members of the view only
 */
enum set_result view_resolve(const struct view *v, struct sv text, enum set_kind kind,
			     struct uidset *out);
/** uidset_parse - a uid-set of plain numbers, with `star` (0: not allowed) for `*`. Not limited to
 * a mailbox. */
enum set_result uidset_parse(struct sv text, uint32_t star, struct uidset *out);
/** uidset_subtract - take the members of b out of a. */
void uidset_subtract(struct uidset *a, const struct uidset *b);
/** uidset_intersect - members of both, into an empty set. */
void uidset_intersect(const struct uidset *a, const struct uidset *b, struct uidset *out);

#endif
