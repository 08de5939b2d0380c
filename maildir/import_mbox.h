/* maildir/import_mbox.h - messages out of an mbox file, as it arrives.
 *
 * A message begins with a line "From <sender> <date>" at the start of the file or behind an empty line; the empty line belongs to
 * the separator. Lines are given as they are: what somebody quoted as ">From " stays quoted, since nobody can know. The
 * header fields in which mbox programs keep what a Maildir has in file names and lists (Status, X-Status, X-Keywords,
 * X-UID, X-UIDL, X-IMAP, X-IMAPbase, Content-Length) are taken out and told apart, as those servers do towards their clients.
 * Total on any octets, the same however the input is cut; memory is bounded. Pure; one reader, one thread at a time. */
#ifndef MAILDIR_IMPORT_MBOX_H
#define MAILDIR_IMPORT_MBOX_H

#include "common/bytes.h"
#include "maildir/facts.h"

#define MBOX_LINE_MAX 4096      /* octets of a header field that we read; longer ones are mail, not ours */

/* What stands in the fields that are taken out. */
struct mbox_meta {
	uint32_t flags;                 /* FLAG_... */
	uint32_t uid;                   /* 0: not said */
	uint32_t uidvalidity, uid_last; /* of the mailbox, mostly in its first message */
	int64_t received;               /* of the "From " line; 0: not said */
	bool is_internal;               /* "DON'T DELETE THIS MESSAGE": no mail */
	char keywords[1024];            /* separated by spaces */
	char all_keywords[1024];        /* of the mailbox (X-IMAPbase) */
	char uidl[FACTS_UIDL_MAX + 1];
};

/* False from any of them stops the reader. */
struct mbox_sink {
	bool (*begin)(void *arg);
	bool (*octets)(void *arg, struct sv run);
	bool (*end)(void *arg, const struct mbox_meta *meta);
};

struct mbox_reader {
	const struct mbox_sink *sink;
	void *arg;
	struct buf line;                /* the beginning of the line under way */
	struct mbox_meta meta;
	char blank[2];                  /* an empty line held back: it may belong to the separator */
	unsigned blank_len;
	bool in_message, in_header, is_long_line, after_blank, skips_field, has_stopped, has_x_imap;
};

void mbox_init(struct mbox_reader *r, const struct mbox_sink *sink, void *arg);
/** mbox_feed - false when the sink said so. Octets before the first "From " line are dropped. */
bool mbox_feed(struct mbox_reader *r, struct sv in);
/** mbox_end - the file ends here. */
bool mbox_end(struct mbox_reader *r);
void mbox_done(struct mbox_reader *r);

#endif
