/* imapd/room.h - what a logged-in session works with: the account, the selected mailbox, what its
 * client has seen of it, and what it enabled. Everything that touches the store in imapd/ goes
 * through a room.
 *
 * A room blocks and belongs to one thread at a time: to the job that runs, else to the loop, which
 * only reads the plain fields. It is made from an identity and from nothing else
 * (maildir_user_open). */
#ifndef IMAPD_ROOM_H
#define IMAPD_ROOM_H

#include "common/conf.h"
#include "common/log.h"
#include "common/memory.h"
#include "imapd/capability.h"
#include "imapd/client.h"
#include "imapd/view.h"
#include "imapd/writer.h"
#include "maildir/mailbox.h"
#include "maildir/store.h"

struct arrivals;
struct command;
struct context;
struct notify;
struct filters;
struct training;

struct room {
	struct maildir_user *user;
	struct sv account;              /* canonical address, for logs; owned by the session */
	struct conf *conf;              /* a reference is held by the session */
	capability_set on;
	struct client client;           /* the loop's at all times: ID runs on it */
	struct filters *filters;        /* of the process; NULL: no scripts run */
	struct training *training;      /* of the process; NULL: no spam filter learns */
	struct mailbox *box;            /* selected, or NULL */
	struct sv box_name;             /* UTF-8, owned */
	struct view view;
	bool is_readonly;               /* EXAMINE, or the store can only be read */
	bool has_condstore; /* RFC 7162 §3.1: MODSEQ goes with every FETCH that tells flags */
	bool has_qresync; /* RFC 7162 §3.2.3: VANISHED instead of EXPUNGE, UID in every FETCH */
	bool is_held_back; /* the client was told a HIGHESTMODSEQ below what others told it */
	bool is_rev2;   /* ENABLE IMAP4rev2: the behaviour of RFC 9051 where it differs from RFC 3501 */
	bool is_compressed;             /* RFC 4978 */
	bool has_uidonly; /* RFC 9586: no message numbers, in no direction */
	bool has_utf8_accept;           /* RFC 9755 §3: whatever is searched for is UTF-8 */
	bool is_utf8; /* names and quoted strings go as UTF-8 (RFC 9051 §5.1, RFC 9755 §3) */
	struct context *contexts;       /* searches that are kept up to date (contexts.h) */
	struct arrivals *arrivals;      /* new messages whose items are told unasked (arrivals.h); NULL: none */
	unsigned metadata_events;       /* ENABLE METADATA: events of notify.h that are told in any case */
	struct notify *notify;          /* RFC 5465, once the client used it; imapd/notify.h */
	uint32_t rights_told;           /* that the last PERMANENTFLAGS went by */
	uint32_t keywords_told;         /* how many keywords the last FLAGS response had */
	uint32_t fresh_uid; /* messages from this UID on were shown as they are at ... */
	uint64_t fresh_modseq;          /* ... this MODSEQ: older changes of them are no news */
	uint32_t rescan_uid; /* history was lost: flags of all messages from this UID on must be
				told */
};

/** room_name - a mailbox name as the client wrote it to UTF-8. False: not what it has to be. */
bool room_name(const struct room *room, struct sv wire, struct buf *utf8);
/** room_deselect - leave the selected mailbox, if any. */
void room_deselect(struct room *room);
/** room_done - leave everything. */
void room_done(struct room *room);

/* Keyword names and the texts of flag lists, for one command. */
struct keywords {
	struct keyword_table table;
	struct {
		uint32_t flags;         /* FLAG_ bits, and room.c's own */
		uint32_t len;
		struct keyword_bits bits;
		const char *text;
	} cache[256];
	struct arena names, own;        /* of the table; of the cached texts */
};
/** room_keywords - load (or load again: `fresh`) the selected mailbox's keywords for the command;
 * tells the client of new ones by FLAGS and PERMANENTFLAGS. Call outside of scans. */
MUST_CHECK struct fault room_keywords(struct command *c, bool fresh);
void keywords_free(struct keywords **k);
/** keywords_flags - "(\Seen $Forwarded)": borrowed, valid as long as the keywords. */
struct sv keywords_flags(struct keywords *k, uint32_t flags, struct keyword_bits bits,
			 bool is_recent);
/** room_write_flags - the FLAGS response, and PERMANENTFLAGS. */
void room_write_flags(struct command *c);

/** keywords_cover - does the table know all of these bits? If not, somebody added one since it was
 * loaded. */
bool keywords_cover(const struct keywords *k, struct keyword_bits bits);
/** room_write_fetch_flags - `* 3 FETCH (FLAGS (...))`, with UID and MODSEQ where they belong.
 * Keywords are loaded. */
void room_write_fetch_flags(struct command *c, uint32_t seq, uint32_t uid, uint32_t flags,
			    struct keyword_bits keywords, uint64_t modseq);
/** room_is_recent - is \Recent told of this message? Never to a client of RFC 9051, which has no such flag. */
bool room_is_recent(const struct room *room, uint32_t uid);
/** room_write_exists - EXISTS, and RECENT where there is such a thing. */
void room_write_exists(struct command *c);
/** room_write_fetch_start - `* 3 FETCH (`, or `* 17 UIDFETCH (` where numbers are not used. */
void room_write_fetch_start(struct command *c, uint32_t seq, uint32_t uid);

/* Own changes of one chunk, so that their echo is not told again: (uid, modseq) as they were told.
 */
struct told {
	struct { uint32_t uid; uint64_t modseq; } *items;
	size_t count, cap;
};
void told_add(struct told *t, uint32_t uid, uint64_t modseq);
void told_done(struct told *t);

enum updates {
	UPDATES_EXPUNGE = 1 << 0,       /* EXPUNGE may be told now */
};
/**
 * room_updates - tell what happened in the selected mailbox since the last time: EXPUNGE (if
 * allowed), EXISTS, RECENT, FETCH with FLAGS. One chunk per call; *more: call again when it has
 * drained. Without anything new it costs one look at the store.
 * @told: changes the client knows already, or NULL
 * FAULT_GONE: the mailbox was deleted.
 */
MUST_CHECK struct fault room_updates(struct command *c, unsigned how, const struct told *told,
				     bool *more);

#endif
