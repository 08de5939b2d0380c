/* imapd/notify.h - NOTIFY (RFC 5465): what a client wants to hear of without asking, and telling it.
 *
 * It is one mechanism with IDLE: the store says "look again" (store_watch_read), and whoever is told looks at everything
 * that was asked for and compares it with what the client knows. So two changes in quick succession are told by one look
 * or by two, and none is lost. Looks run as silent commands between the client's own (imapd/session.c), or inside IDLE. A
 * client that does not read costs nothing: its next look tells all at once.
 *
 * Belongs to the room, and so to one thread at a time. */
#ifndef IMAPD_NOTIFY_H
#define IMAPD_NOTIFY_H

#include "imapd/command.h"

/* RFC 5465 §5 */
enum notify_event {
	NOTIFY_MESSAGE_NEW = 1 << 0,
	NOTIFY_MESSAGE_EXPUNGE = 1 << 1,
	NOTIFY_FLAG_CHANGE = 1 << 2,
	NOTIFY_MAILBOX_NAME = 1 << 3,
	NOTIFY_SUBSCRIPTION = 1 << 4,
	NOTIFY_MAILBOX_METADATA = 1 << 5,
	NOTIFY_SERVER_METADATA = 1 << 6,
};
#define NOTIFY_MESSAGES (NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE | NOTIFY_FLAG_CHANGE)

/* §6 */
enum notify_filter {
	FILTER_SELECTED = 1,
	FILTER_SELECTED_DELAYED,
	FILTER_PERSONAL,        /* and INBOXES: which mailboxes filters deliver to is not known (§6.3) */
	FILTER_SUBSCRIBED,
	FILTER_SUBTREE,
	FILTER_MAILBOXES,
	FILTER_ALL,             /* ENABLE METADATA: whatever can be seen */
};

#define NOTIFY_GROUPS_MAX 32
#define NOTIFY_NAMES_MAX 256            /* that a client may list */

struct notify_group {
	enum notify_filter filter;
	unsigned events;
	char **names;                   /* of SUBTREE and MAILBOXES; UTF-8 */
	size_t name_count;
};

struct notify;

/** notify_new - that wants nothing (NOTIFY NONE). notify_free() ends it, inside a job; NULL is fine. */
struct notify *notify_new(void);
void notify_free(struct notify **n);
/** notify_add - one more group; its names are the notify's afterwards. @items: FETCH items for new messages of the selected
 *  mailbox, as the client wrote them, copied; empty: none. False: too many. */
bool notify_add(struct notify *n, const struct notify_group *group, struct sv items);
/** notify_begin - take note of how things are, and tell it where the client asked for that (`wants_status`). FAULT_LIMIT: it is
 *  too much to watch. */
MUST_CHECK struct fault notify_begin(struct command *c, struct notify *n, bool wants_status);

/** notify_enable - ENABLE METADATA (RFC 5464 §4.1): tell of annotations, beside what NOTIFY asks for. Touches no store: how things
 *  are is looked at in the next look, which tells nothing. */
void notify_enable(struct room *room, unsigned events);

/** notify_is_used - did the client say NOTIFY? */
bool notify_is_used(const struct notify *n);
/** notify_is_watching - must the session be told of changes in the store, now that it has this? NULL: not. */
bool notify_is_watching(const struct notify *n);
/** notify_is_due - is there something to be told that no new notice will come for? */
bool notify_is_due(const struct room *room);
/** notify_wants_items - are new messages of the selected mailbox to be told with FETCH items? */
bool notify_wants_items(const struct notify *n);
/** notify_tells - may events of this kind in the selected mailbox be told? Always when NOTIFY was never used (n NULL). */
bool notify_tells(const struct notify *n, enum notify_event event);
/** notify_arrived - messages from this UID on came to the selected mailbox: their items are to be told. */
void notify_arrived(struct notify *n, uint32_t uid);
/** notify_deselected - the selected mailbox was left. */
void notify_deselected(struct notify *n);
/** notify_own - this session itself changed a mailbox's name, subscription or annotations: that is no news to it (§5). */
void notify_own(struct notify *n, struct sv name);

/** notify_look - one look, in steps: the selected mailbox, new messages' items, all other mailboxes. @is_idle: IDLE runs, so that
 *  removals may be told. STEP_WAIT: all is told. STEP_MORE: again when the client has read. STEP_CLOSE: the last word was said. */
enum step notify_look(struct command *c, bool is_idle);

/** notify_events_spec - the row of the silent command that runs a look. */
extern const struct command_spec notify_events_spec;

#endif
