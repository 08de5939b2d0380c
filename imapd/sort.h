/* imapd/sort.h - messages in the order that a client asks for (RFC 5256 §3 SORT, RFC 5957). Keys come from the
 * index; nothing here reads a message. Pure: any thread, one at a time. */
#ifndef IMAPD_SORT_H
#define IMAPD_SORT_H

#include "common/mime.h"
#include "imapd/args.h"
#include "imapd/capability.h"
#include "imapd/ranks.h"
#include "maildir/mailbox.h"

enum sort_key {
	SORT_ARRIVAL = 0, SORT_CC, SORT_DATE, SORT_DISPLAYFROM, SORT_DISPLAYTO, SORT_FROM, SORT_SIZE, SORT_SUBJECT,
	SORT_TO,
	SORT_KEYS
};

struct sorter {
	struct { enum sort_key key; bool is_reverse; } keys[SORT_KEYS];
	size_t key_count;
	bool needs_parse;
	size_t max;             /* octets of memory, never passed: half for messages, half for strings */

	/* private */
	struct ranks strings;
	int64_t *rows;          /* per message: UID, number, its keys */
	size_t count, cap;
};

/** sorter_read - "(SUBJECT REVERSE DATE)". *out becomes an empty sorter. */
bool sorter_read(struct args *args, capability_set on, size_t max, struct sorter *out);
/** sorter_like - an empty sorter by the same keys. */
void sorter_like(const struct sorter *s, size_t max, struct sorter *out);
/** sorter_take - a message; its number is what will be told of it. parsed may be NULL. False: max would be passed. */
bool sorter_take(struct sorter *s, const struct message_row *row, const struct mime_message *parsed, uint32_t number);
/** sorter_finish - everything was taken: numbers and UIDs in their order, `count` of each, to be freed by the caller.
 *  False: max would be passed. */
bool sorter_finish(struct sorter *s, uint32_t **numbers, uint32_t **uids);
void sorter_done(struct sorter *s);

/** sent_date - RFC 5256 §2.2: Date in UTC, else INTERNALDATE. */
int64_t sent_date(const struct message_row *row, const struct mime_message *parsed);
/** envelope_display - how a mail program shows the first address of a field of the ENVELOPE (2: From, 5: To), by the
 *  rules of RFC 5957 §3, appended to out as UTF-8. */
bool envelope_display(struct sv envelope, unsigned field, struct buf *out);

#endif
