/* maildir/incoming_private.h - a message on its way in, inside; and giving a file its place. */
#ifndef MAILDIR_INCOMING_PRIVATE_H
#define MAILDIR_INCOMING_PRIVATE_H

#include "maildir/incoming.h"
#include "maildir/mailbox_private.h"

struct crypt_digest;
struct mime_parser;

struct incoming {
	struct account *account;        /* where the file lies */
	int fd;
	char temp[BOX_PATH_MAX];        /* tmp/..., relative to the account's Maildir; "" once it has been placed */
	char id[FILENAME_ID_LEN + 1];   /* valid when finished */
	struct crypt_digest *digest;    /* of the octets, until finished */
	uint64_t size, max_size;
	struct mime_parser *parser;
	struct mime_message *message;
	struct buf encoded;
	struct fault fault;             /* sticks */
	bool is_finished;
	bool is_unflushed;              /* finished, and its data may not be on disk yet */
};

/* What a message becomes where it is put. */
struct placing {
	const char *temp;               /* file to be renamed, relative to the Maildir */
	struct sv encoded;              /* parsed form */
	const char *id;
	uint64_t size, wire_size;
	uint32_t flags;
	struct keyword_bits keywords;
	bool has_internaldate;
	int64_t internaldate;
	uint64_t replaces;              /* octets that go right behind */
	uint32_t uid;                   /* out */
};

/** place_file - inside a write transaction: take a UID, rename, add the row. record is changed, not put. */
MUST_CHECK struct fault place_file(struct index_txn *t, struct index_box *record, struct placing *p);

#endif
