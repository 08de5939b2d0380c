/* tests/crash/seen.h - what a client sees of all accounts, put down so that another process can compare it.
 *
 * Plain values in memory shared by the harness's processes: a process that is killed leaves what it wrote, and writing costs
 * no system call, so that the journal is on no file system and in no system call count. Mailboxes are called "0/INBOX": the
 * first character is the account's number. Messages are known by their ident, a number which stands in the message and from
 * which every octet of it follows. */
#ifndef CRASH_SEEN_H
#define CRASH_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "maildir/mailbox.h"
#include "maildir/store.h"

#define ACCOUNTS 3
#define BOX_NAME 80
#define SEEN_BOXES 64
#define SEEN_MESSAGES 4096
#define SEEN_TOLD 8192

struct seen_box {
	char name[BOX_NAME], id[24];
	uint32_t uidvalidity, uidnext, special_use;
	uint64_t modseq;
	bool subscribed;
	bool has_history;               /* changes since the snapshot before were told */
};

struct seen_message {
	uint16_t box;
	bool is_whole;                  /* every octet is what the ident says */
	uint32_t ident, uid, flags;
	uint64_t keywords;              /* bit n: keyword kwNN */
	uint64_t size;
	int64_t internaldate, savedate;
	char email_id[EMAIL_ID_SIZE], uidl[72];
};

/* A change that mailbox_changes() told of. */
struct seen_told {
	uint16_t box;
	uint32_t uid;
};

struct snapshot {
	bool is_complete;
	char fault[400];                /* why not, else empty */
	unsigned box_count, message_count, told_count;
	unsigned files;                 /* message files in all cur and new, by readdir */
	unsigned differences;           /* that store_index_check() printed */
	char difference[200];           /* the first one */
	struct seen_box boxes[SEEN_BOXES];
	struct seen_message messages[SEEN_MESSAGES];
	struct seen_told told[SEEN_TOLD];
};

/* The store as a process of the harness has it open. */
struct session {
	struct store *store;
	struct maildir_user *users[ACCOUNTS];
	char mail_dir[200];
};

extern const char *const account_names[ACCOUNTS];

/** session_open - open the store of the instance in root; accounts are opened when first used. */
MUST_CHECK struct fault session_open(struct session *s, const char *root);
/** session_user - the account of a mailbox name "0/...". */
MUST_CHECK struct fault session_user(struct session *s, const char *box, struct maildir_user **out);
/** session_forget - close users; session_close - and the store, which clears dirty marks. */
void session_forget(struct session *s);
void session_close(struct session *s);

/** message_text - every octet of the message with this ident; free() it. */
char *message_text(uint32_t ident, size_t *len);

/** snapshot_take - all accounts that exist, as a client and as readdir sees them. before: an earlier snapshot, since which
 *  changes are asked for; may be NULL. */
void snapshot_take(struct session *s, const struct snapshot *before, struct snapshot *out);

int snapshot_box(const struct snapshot *s, const char *name);

#endif
