/* imapd/flagset.h - flags and keywords as a client names them, for STORE, APPEND and SEARCH. Pure.
 */
#ifndef IMAPD_FLAGSET_H
#define IMAPD_FLAGSET_H

#include "common/memory.h"
#include "imapd/args.h"
#include "maildir/mailbox.h"

struct flagset {
	uint32_t flags;                 /* FLAG_... */
	struct sv *keywords;            /* in the arena; each once */
	size_t keyword_count;
	bool is_too_many;               /* keywords: more than a mailbox has */
};

/** flag_find - the FLAG_ bit of "\Seen" in any case; 0 when there is none. */
uint32_t flag_find(struct sv name);
/** keyword_number - its place in a mailbox's table; UINT32_MAX: nobody has it. */
uint32_t keyword_number(const struct keyword_table *keywords, struct sv name);
/**
 * flagset_read - the rest of args: flags with or without parentheses (RFC 3501 §6.4.6 allows both).
 * \Recent is ignored: clients send back what they were told. False: a system flag nobody knows, no
 * flag at all, is_too_many, or no memory.
 */
bool flagset_read(struct args *args, struct arena *arena, struct flagset *out);

#endif
