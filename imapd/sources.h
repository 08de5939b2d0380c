/* imapd/sources.h - which mailboxes are meant: the filter-mailboxes of RFC 5465 §6, as MULTISEARCH takes them
 * (RFC 7377 §2.2). Reading is pure; finding the names asks the store and blocks. */
#ifndef IMAPD_SOURCES_H
#define IMAPD_SOURCES_H

#include "imapd/command.h"

enum source {
	SOURCE_SELECTED = 1 << 0,
	SOURCE_INBOXES = 1 << 1,        /* where mail is delivered to: INBOX */
	SOURCE_PERSONAL = 1 << 2,
	SOURCE_SUBSCRIBED = 1 << 3,
	SOURCE_SUBTREE = 1 << 4,
	SOURCE_SUBTREE_ONE = 1 << 5,    /* RFC 7377: the mailbox and its children, not theirs */
	SOURCE_MAILBOXES = 1 << 6,
};

#define SOURCE_NAMES_MAX 1000           /* that one command may name */

struct sources {
	unsigned kinds;                 /* all that were named */
	struct source_name {
		enum source kind;
		struct sv name;
	} *names;
	size_t count;
};

/** sources_read - everything in the list. False: malformed, or a kind that is not allowed. */
bool sources_read(struct command *c, struct args *list, unsigned allowed, struct sources *out);
/**
 * sources_find - names of the mailboxes that exist and are meant (SOURCE_SELECTED left out), each once, in the order
 * of a listing.
 * @names: in the arena
 */
MUST_CHECK struct fault sources_find(struct command *c, const struct sources *s, struct sv **names, size_t *count);

#endif
