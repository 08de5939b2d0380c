/* maildir/import_lists.h - the lists that other servers keep beside the mail in a Maildir: which file has which UID, which
 * unique id of POP3, which keywords, and which mailboxes are subscribed.
 *
 *   dovecot-uidlist          "3 V<uidvalidity> N<next> G<guid>", then "<uid> [W<size> P<uidl> O<order> ...] :<file>";
 *                            version 1: "1 <uidvalidity> <next>", then "<uid> <file>"
 *   courierimapuiddb         as version 1 of that
 *   courierpop3dsizelist     "/3 <next> <uidv>" (or /2), then "<file> <size> <n>:<uidv>[:<utf8>]"
 *   dovecot-keywords         "<number> <keyword>": letter 'a' + number in file names
 *   courierimapkeywords/     ":list": keywords, an empty line, "<file>:<number> ..."; a file of a message's name: its
 *                            keywords, newer than the list
 *   subscriptions            Dovecot's: "V\t2", an empty line, levels separated by tabs; or one name per line
 *   courierimapsubscribed    one name per line, "INBOX." in front
 *
 * A file is known by its name up to the ':'. Text comes from strangers: a line that makes no sense is counted and left out, a
 * first line that makes no sense is a fault. Pure functions, any thread; views point into the text. */
#ifndef MAILDIR_IMPORT_LISTS_H
#define MAILDIR_IMPORT_LISTS_H

#include "common/bytes.h"
#include "common/fault.h"
#include "maildir/facts.h"

#define LISTS_MAX ((size_t)1 << 30)     /* octets of one list */
#define LISTS_COUNT_MAX 16000000        /* messages in one list */
/* No server ever gave a UID above this one; a list that says so would leave no room for new mail. */
#define LISTS_UID_MAX (UINT32_MAX - 64 * 1024 * 1024)

struct list_entry {
	struct sv file;                 /* up to ':' */
	uint32_t uid;                   /* 0: not said */
	uint32_t len;                   /* of uidl; 0: not said */
	char uidl[FACTS_UIDL_MAX + 1];
};

struct list_head {
	uint32_t uidvalidity, uidnext;  /* 0: not said */
	uint64_t bad_lines;
};

/* e is borrowed for the call. False stops. */
typedef bool list_entry_fn(void *arg, const struct list_entry *e);

/** list_uids - dovecot-uidlist of both versions, and courierimapuiddb. uidnext is above every UID told.
 *  FAULT_CORRUPT: no such list. */
MUST_CHECK struct fault list_uids(struct sv text, struct list_head *head, list_entry_fn *fn, void *arg);
/** list_courier_pop3 - courierpop3dsizelist; entries have no UID, the head says nothing. FAULT_CORRUPT as above. */
MUST_CHECK struct fault list_courier_pop3(struct sv text, struct list_head *head, list_entry_fn *fn, void *arg);

/** list_dovecot_keywords - fn gets each number (0..) with its keyword. Returns the bad lines. */
typedef bool list_keyword_fn(void *arg, uint32_t number, struct sv name);
uint64_t list_dovecot_keywords(struct sv text, list_keyword_fn *fn, void *arg);
/** list_courier_keywords - ":list": names as above, then fn for each file with its numbers as they stand there ("0 2"). */
typedef bool list_numbers_fn(void *arg, struct sv file, struct sv numbers);
uint64_t list_courier_keywords(struct sv text, list_keyword_fn *name_fn, list_numbers_fn *file_fn, void *arg);

/** list_subscriptions - Dovecot's of both versions and Courier's: canonical UTF-8 names of mailboxes (maildir/layout.h).
 *  separator: between levels in the old format, '.' or '/'. Names that cannot be are counted. */
typedef bool list_name_fn(void *arg, struct sv name);
uint64_t list_subscriptions(struct sv text, char separator, list_name_fn *fn, void *arg);

/** list_name - a mailbox name of another server, levels separated by separator, each modified UTF-7 or UTF-8: appended to out
 *  as a canonical name (mailbox_name_check()). "INBOX." in front of others' names is taken off when `strip_inbox`. */
bool list_name(struct sv name, char separator, bool strip_inbox, struct buf *out);

/** uidl_format - what Dovecot's pop3_uidl_format makes: %u %v %f %g with flags and widths ("%08Xu%08Xv"); false for anything
 *  that we cannot work out. file: up to ':'. */
bool uidl_format(struct sv format, uint32_t uid, uint32_t uidvalidity, struct sv file, struct buf *out);
/** uidl_is_default - is this what mailbox_uidl() answers anyway? */
bool uidl_is_default(struct sv format);

#endif
