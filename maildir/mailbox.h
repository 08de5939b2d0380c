/* maildir/mailbox.h - one user's mailboxes: list, make, rename, read, change.
 * Names are UTF-8, levels separated by '/', INBOX in any case; mailbox_name_check() (layout.h) is the one
 * validator, and the one place where names become Maildir++ directory names. At most MAILBOX_NAME_MAX octets.
 * Everything blocks; one handle, one thread at a time. Work on many messages is done in chunks: a call does one
 * chunk (at most 256 messages or 20 ms in one transaction) and moves *resume on; *resume 0 means all is done.
 * "Shared/OWNER/NAME" is the mailbox NAME of another account, if its list (maildir/acl.h) allows it. "No such mailbox" and
 * "not yours" are both FAULT_NOT_FOUND, decided in one place (access.c); FAULT_DENIED is said of what may be seen. */
#ifndef MAILDIR_MAILBOX_H
#define MAILDIR_MAILBOX_H

#include <time.h>

#include "common/bytes.h"
#include "common/fault.h"
#include "maildir/acl.h"
#include "maildir/store.h"
#include "maildir/uidset.h"

#define MAILBOX_NAME_MAX 512
#define MAILBOX_DEPTH_MAX 20
#define MAILBOX_COUNT_MAX 10000
#define KEYWORDS_MAX 128        /* per mailbox */
#define KEYWORD_LEN_MAX 64
#define SHARED_PREFIX "Shared/"

struct mailbox;
struct mime_message;            /* common/mime.h: ENVELOPE, BODYSTRUCTURE, parts, cached header fields */

/* RFC 9051 §2.3.2; \Recent is the session's business (rev1) and is asked for by mailbox_claim_recent(). */
enum {
	FLAG_SEEN = 1 << 0,
	FLAG_ANSWERED = 1 << 1,
	FLAG_FLAGGED = 1 << 2,
	FLAG_DELETED = 1 << 3,
	FLAG_DRAFT = 1 << 4,
};

/* RFC 6154 §2; at most one mailbox of an account has each. */
enum {
	USE_DRAFTS = 1 << 0,
	USE_SENT = 1 << 1,
	USE_JUNK = 1 << 2,
	USE_TRASH = 1 << 3,
	USE_ARCHIVE = 1 << 4,
	USE_FLAGGED = 1 << 5,
	USE_ALL = 1 << 6,
	USE_IMPORTANT = 1 << 7,
	USE_REJECTS = 1 << 8,           /* ours, no client knows it: mail that was refused and is kept (incoming.h) */
};

/* Which of the mailbox's keywords a message has, by number (0..127) in the mailbox's keyword table. */
struct keyword_bits {
	uint64_t w[2];
};

struct mailbox_status {
	uint32_t messages, recent, unseen, deleted;
	uint32_t uidnext, uidvalidity;
	uint64_t highestmodseq;
	uint64_t size;                  /* RFC 8438: sum of RFC822.SIZE */
	char mailbox_id[24];
};

struct mailbox_info {
	struct sv name;                 /* UTF-8 */
	uint32_t special_use;           /* USE_... */
	bool exists;                    /* false: only a parent of others, or only subscribed (\NonExistent) */
	bool has_children;
	bool subscribed;
	uint32_t rights;                /* of the user, when it exists: RIGHTS_ALL in their own account */
	bool is_shared;                 /* somebody else's */
	char mailbox_id[24];            /* RFC 8474 MAILBOXID, NUL-terminated; "" when !exists */
	/* As they stand in the index: other programs' changes may be missing, and `unseen` is the owner's. */
	struct mailbox_status status;
	uint64_t metadata;              /* changes with each change of its annotations */
};
/* Called in the collation order of names (INBOX first). info is borrowed for the call; false stops. */
typedef bool mailbox_list_fn(void *arg, const struct mailbox_info *info);
MUST_CHECK struct fault mailbox_list(struct maildir_user *user, mailbox_list_fn *fn, void *arg);

/** mailbox_status - counters of a mailbox without opening it; constant time. */
MUST_CHECK struct fault mailbox_status(struct maildir_user *user, struct sv name,
				       struct mailbox_status *out);

/** mailbox_create - makes missing parents too; special_use 0 or bits that no other mailbox has (else FAULT_EXISTS
 *  with a detail). Durable on return. Errors: FAULT_EXISTS, FAULT_INVALID (name), FAULT_LIMIT (count, depth). */
MUST_CHECK struct fault mailbox_create(struct maildir_user *user, struct sv name, uint32_t special_use,
				       char mailbox_id[24]);
/** mailbox_delete - FAULT_INVALID for INBOX; one with children keeps its name as \NonExistent parent. */
MUST_CHECK struct fault mailbox_delete(struct maildir_user *user, struct sv name);
/** mailbox_rename - children follow; UIDs and UIDVALIDITY stay. INBOX: its messages move to the new mailbox. */
MUST_CHECK struct fault mailbox_rename(struct maildir_user *user, struct sv from, struct sv to);
/** mailbox_subscribe - a subscription may name a mailbox that does not exist (RFC 9051 §6.3.7). Durable. */
MUST_CHECK struct fault mailbox_subscribe(struct maildir_user *user, struct sv name, bool on);

/** mailbox_open - for SELECT, EXAMINE, POP3 (INBOX): whoever has it may read. A handle stays valid across index rebuilds and
 *  renames by others; after a DELETE, or when the right to read was taken away, its calls answer FAULT_GONE. */
MUST_CHECK struct fault mailbox_open(struct maildir_user *user, struct sv name, struct mailbox **out);
/** mailbox_open_for - likewise for something else: RIGHT_INSERT as the target of APPEND and COPY, which does not look for other programs'
 *  messages there. */
MUST_CHECK struct fault mailbox_open_for(struct maildir_user *user, struct sv name, uint32_t rights, struct mailbox **out);
/** mailbox_may - does the user of this handle have all of these rights, as far as is known? */
bool mailbox_may(const struct mailbox *box, uint32_t rights);
/** mailbox_may_any - at least one of them? */
bool mailbox_may_any(const struct mailbox *box, uint32_t rights);
/** mailbox_granted - all of them, as far as is known: as they were at the last call that asked the store. */
uint32_t mailbox_granted(const struct mailbox *box);
/** mailbox_is_read_only - its file system can only be read, as far as is known: every change is FAULT_READ_ONLY until that was mended. */
bool mailbox_is_read_only(const struct mailbox *box);
/** mailbox_is_shared - is it somebody else's? */
bool mailbox_is_shared(const struct mailbox *box);
void mailbox_close(struct mailbox **box);

/** mailbox_counters - as mailbox_status(), of an open mailbox, as it is now. */
MUST_CHECK struct fault mailbox_counters(struct mailbox *box, struct mailbox_status *out);
/** mailbox_uids - every UID now, ascending, and the MODSEQ of that very snapshot (for the session's view). */
MUST_CHECK struct fault mailbox_uids(struct mailbox *box, struct uidset *out, uint64_t *modseq);
/** mailbox_claim_recent - take \Recent: messages not yet claimed by a read-write session; advances the mark
 *  durably enough that no second session gets them (RFC 3501 §2.3.2). With peek nothing is claimed (EXAMINE). */
MUST_CHECK struct fault mailbox_claim_recent(struct mailbox *box, bool peek, struct uidset *out);
/** mailbox_first_unseen - UID of the first message without \Seen; 0 when there is none. */
MUST_CHECK struct fault mailbox_first_unseen(struct mailbox *box, uint32_t *uid);

/* A copy of the mailbox's keyword names; number = position. Names keep the case they were first used with and
 * match without case. */
struct keyword_table {
	uint32_t count;
	struct sv names[KEYWORDS_MAX];
	struct arena *arena;            /* where the names were copied to */
};
/** mailbox_keywords - the table as it is now, copied into arena. FAULT_LIMIT when the arena is full. */
MUST_CHECK struct fault mailbox_keywords(struct mailbox *box, struct arena *arena, struct keyword_table *out);

/* One message as the index has it. */
struct message_row {
	uint32_t uid;
	uint32_t flags;                 /* FLAG_... */
	struct keyword_bits keywords;
	uint64_t modseq;
	uint64_t size;                  /* RFC822.SIZE: octets in wire form */
	int64_t internaldate;           /* seconds since 1970, UTC */
	int64_t savedate;               /* RFC 8514 */
	uint8_t email[16];              /* equal octets below, equal here: message_email_id() */
};

#define EMAIL_ID_SIZE 24
/** message_email_id - EMAILID of a message (RFC 8474 §5.1), with its NUL. */
void message_email_id(const struct message_row *row, char out[EMAIL_ID_SIZE]);

/* What a scan should bring besides the row. */
enum {
	SCAN_ROW = 0,
	SCAN_PARSED = 1 << 0,           /* the parsed message; made from the file when the index lacks it */
};
/* Borrowed views into the index map: copy out what is kept; nothing may block, no other call on this mailbox is
 * allowed inside. parsed is NULL unless asked for, and also when the message file is damaged or gone.
 * Returning false ends the scan behind this message. */
typedef bool message_fn(void *arg, const struct message_row *row, const struct mime_message *parsed);
/**
 * mailbox_scan - the messages with UIDs in set (NULL: all), ascending, from *resume on (0: from the start).
 * One read transaction per call at most, ended by fn returning false, by the end, or after some thousand rows;
 * *resume is then the next UID, or 0 when done.
 */
MUST_CHECK struct fault mailbox_scan(struct mailbox *box, const struct uidset *set, unsigned want,
				     uint32_t *resume, message_fn *fn, void *arg);
/** mailbox_row - one message. FAULT_GONE when it is not there. */
MUST_CHECK struct fault mailbox_row(struct mailbox *box, uint32_t uid, struct message_row *out);
/** mailbox_uidl - POP3's unique id, at most 70 printable characters, stable for ever. */
MUST_CHECK struct fault mailbox_uidl(struct mailbox *box, uint32_t uid, char out[72]);

enum change_kind { CHANGE_NEW = 1, CHANGE_FLAGS, CHANGE_EXPUNGED };
struct change {
	enum change_kind kind;
	uint32_t uid;
	uint64_t modseq;
	uint32_t flags;                 /* of NEW and FLAGS */
	struct keyword_bits keywords;
};
typedef bool change_fn(void *arg, const struct change *change);
/**
 * mailbox_changes - what happened after @since, in MODSEQ order, each message once with its latest state;
 * messages that came and went in between are not told. *until becomes the MODSEQ of the snapshot when everything
 * was told, or of the last one told when fn stopped it.
 * FAULT_GONE with *until set when the history no longer reaches back to @since: compare mailbox_uids() instead.
 * The cost grows with the number of changes, not with the mailbox. RFC 7162.
 */
MUST_CHECK struct fault mailbox_changes(struct mailbox *box, uint64_t since, change_fn *fn, void *arg,
					uint64_t *until);

/**
 * mailbox_vanished - UIDs that were expunged after @since, also of messages that came only afterwards (a client may have
 * seen them). The cost grows with the number of changes. When the history does not reach back to @since, or @since lies
 * in the future: every UID ever given that no message has, so the answer is too wide then, and never too narrow.
 * @out: an empty set. RFC 7162 §3.2.6.
 */
MUST_CHECK struct fault mailbox_vanished(struct mailbox *box, uint64_t since, struct uidset *out);

enum store_mode { STORE_REPLACE, STORE_ADD, STORE_REMOVE };
struct flag_change {
	enum store_mode mode;
	uint32_t flags;
	const struct sv *keywords;      /* names; unknown ones are added to the table (STORE_REMOVE: ignored) */
	size_t keyword_count;
	bool has_unchangedsince;        /* RFC 7162 §3.1.3; on a tie the message is left alone and goes to `modified` */
	uint64_t unchangedsince;
	/* Messages that others changed behind this MODSEQ, before this change: the caller does not know their flags. NULL: no matter. */
	uint64_t known;
	struct uidset *overtaken;
};
/**
 * mailbox_store_flags - change flags of one chunk of set, from *resume on. fn (may be NULL) gets each message as it is
 * afterwards, changed or not. The change survives a killed process at once, a power cut after 2 s.
 * Where a right is missing, the flags that need it are left as they are (RFC 4314 §4).
 * FAULT_LIMIT: too many keywords or one too long (nothing changed). FAULT_DENIED: no right for any of the flags.
 */
MUST_CHECK struct fault mailbox_store_flags(struct mailbox *box, const struct uidset *set,
					    const struct flag_change *change, uint32_t *resume,
					    struct uidset *modified, message_fn *fn, void *arg);

/** mailbox_expunge - remove one chunk of the messages that are in set (NULL: all) and have \Deleted (unless
 *  any_flag). gone gets their UIDs; durable on return. */
MUST_CHECK struct fault mailbox_expunge(struct mailbox *box, const struct uidset *set, bool any_flag,
					uint32_t *resume, struct uidset *gone);

/* One message copied: source and destination UID, in the order of the source set. */
typedef void copied_fn(void *arg, uint32_t from_uid, uint32_t to_uid);
/**
 * mailbox_copy - copy, or with move set move, one chunk into another open mailbox (same account: links and renames,
 * never through memory; to or from somebody else's: each message is stored anew, with the flags that may be set there). Flags, keywords, INTERNALDATE and EMAILID are kept. Durable on return: at every
 * moment the message is in source or target. FAULT_QUOTA leaves the chunk undone.
 */
MUST_CHECK struct fault mailbox_copy(struct mailbox *from, const struct uidset *set, struct mailbox *to, bool move,
				     uint32_t *resume, copied_fn *fn, void *arg);

/* The maildrop lock of POP3 (RFC 1939 §4), held across processes until mailbox_unlock() or the process's end.
 * FAULT_IN_USE when another session has it. */
MUST_CHECK struct fault mailbox_lock(struct mailbox *box);
void mailbox_unlock(struct mailbox *box);

#endif
