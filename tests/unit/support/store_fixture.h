/* tests/unit/support/store_fixture.h - a store in a folder of its own, and the few steps that most tests of it take. */
#ifndef SUPPORT_STORE_FIXTURE_H
#define SUPPORT_STORE_FIXTURE_H

#include "common/bytes.h"
#include "maildir/incoming.h"
#include "maildir/mailbox.h"
#include "maildir/message.h"
#include "maildir/store.h"

#define ALICE "alice@example.test"
#define BOB "bob@example.test"

struct fixture {
	char root[64];
	struct store *store;
	struct maildir_user *user;      /* ALICE */
	struct mailbox *inbox;
	struct quota quota;
	struct store_conf more;         /* further settings, set before fixture_open(): rules, warnings */
};

/** fixture_make - a fresh folder below /tmp, store and account opened. */
void fixture_make(struct fixture *f);
/** fixture_make_folder - the folder alone, for tests that fork before anything is opened. */
void fixture_make_folder(struct fixture *f);
/** fixture_remove - close, and remove the folder. */
void fixture_remove(struct fixture *f);
/** fixture_close, fixture_open - as a process that ends and one that starts. */
void fixture_close(struct fixture *f);
void fixture_open(struct fixture *f);

/** fixture_path - ROOT/mail/example.test/alice/REST; the same buffer each time. */
const char *fixture_path(struct fixture *f, const char *rest);
struct mailbox *fixture_mailbox(struct fixture *f, const char *name);
/** fixture_append - a small message with this subject; its UID. */
uint32_t fixture_append(struct mailbox *box, struct maildir_user *user, const char *subject, uint32_t flags);
uint32_t fixture_append_text(struct mailbox *box, struct maildir_user *user, const char *text, uint32_t flags,
			     const char *keyword);
/** fixture_deliver - to an account's INBOX; the fault. */
struct fault fixture_deliver(struct fixture *f, const char *address, const char *text, uint32_t *uid);
/** fixture_store - one STORE over all chunks. */
void fixture_store(struct mailbox *box, uint32_t first, uint32_t last, enum store_mode mode, uint32_t flags,
		   const char *keyword);
uint32_t fixture_expunge(struct mailbox *box);
/** fixture_describe - every message as "uid flags keywords size internaldate savedate email-id\n", and the mailbox itself. */
void fixture_describe(struct mailbox *box, struct buf *out);
/** fixture_read - a whole message. */
void fixture_read(struct mailbox *box, uint32_t uid, struct buf *out);
/** fixture_count_differences - what store_index_check() finds. */
unsigned fixture_differences(struct fixture *f);
/** fixture_shell - run a command by /bin/sh; its status. */
int fixture_shell(const char *command, ...) PRINTF_LIKE(1, 2);

#endif
