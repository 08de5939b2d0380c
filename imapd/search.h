/* imapd/search.h - SEARCH as a program (RFC 3501 §6.4.4): keys in postfix order, so that neither
 * reading nor running it recurses, and an evaluation in three values, so that a message is looked
 * at no further than needed: first its row in the index, then its parsed header, then its file.
 * Reading is pure, but for the filters that it asks for. search_text_*() read a message file and block. */
#ifndef IMAPD_SEARCH_H
#define IMAPD_SEARCH_H

#include "common/memory.h"
#include "common/mime.h"
#include "imapd/args.h"
#include "imapd/capability.h"
#include "imapd/partial.h"
#include "imapd/view.h"
#include "maildir/mailbox.h"
#include "maildir/message.h"

enum search_op {
	OP_ALL = 0,
	OP_FLAG,                /* has the flag `bit` */
	OP_KEYWORD,             /* number `keyword`; UINT32_MAX: nobody has it */
	OP_RECENT, OP_NEW,
	OP_SET,                 /* is in `set` */
	OP_BEFORE, OP_ON, OP_SINCE,                     /* INTERNALDATE, `day` */
	OP_SAVED_BEFORE, OP_SAVED_ON, OP_SAVED_SINCE, OP_SAVED_KNOWN, /* RFC 8514 §4.3 */
	OP_EMAIL_ID, OP_THREAD_ID,      /* `text` (RFC 8474 §6) */
	OP_SENT_BEFORE, OP_SENT_ON, OP_SENT_SINCE,      /* Date field */
	OP_LARGER, OP_SMALLER,  /* `number` */
	OP_OLDER, OP_YOUNGER,   /* INTERNALDATE up to, or from `when` on (RFC 5032 §2) */
	OP_MODSEQ,              /* at least `number` (RFC 7162 §3.1.5) */
	OP_HEADER,              /* field `name` holds `text` */
	OP_BODY, OP_TEXT,
	OP_NOT, OP_AND, OP_OR,  /* of the last one or two results */
};

struct search_key {
	enum search_op op;
	uint32_t bit, keyword;
	int64_t day, when;
	uint64_t number;
	struct uidset set;
	struct sv name;         /* of a field; of a keyword */
	struct sv text;         /* UTF-8, folded by utf8_casemap() */
	bool is_cached; /* OP_HEADER: the index has the field, unless MIME_HEADERS_INCOMPLETE */
};

enum search_return {
	RETURN_MIN = 1 << 0, RETURN_MAX = 1 << 1, RETURN_ALL = 1 << 2, RETURN_COUNT = 1 << 3,
	RETURN_SAVE = 1 << 4,           /* RFC 5182 §2.1 */
	RETURN_PARTIAL = 1 << 5,        /* RFC 9394 §3.1 */
};

struct search {
	struct search_key *keys;
	size_t count;
	struct uidset
		within; /* no other message can match: sets that the whole search is joined with */
	bool needs_rows;        /* false: `within` is the answer */
	bool has_row_keys;      /* some key is answered by the row: it may decide before the parsed message is looked at */
	bool needs_parse, needs_files, has_modseq;
	bool has_numbers;       /* a set of message numbers is among the keys */
	bool wants_updates;     /* RETURN (UPDATE), RFC 5267 §4.3 */
	bool has_items;
	struct args items;      /* of UPDATE (items), RFC 5465 §7; borrowed from the command */
	bool is_extended;       /* RETURN was given: answer by ESEARCH (RFC 4731) */
	unsigned returns;
	struct partial partial; /* of RETURN_PARTIAL */
	struct sv filter;       /* that is missing */
};

/* What reading needs to know of the session. */
struct search_context {
	const struct view *view;
	const struct keyword_table *keywords; /* NULL: not loaded; then a KEYWORD key asks for it */
	struct arena *arena;
	size_t keys_max;
	capability_set on;
	bool has_uidonly;
	bool is_utf8_only;      /* no charset may be named, or only UTF-8 where one must be (RFC 9755 §3) */
	bool is_rev2;           /* every answer is extended (RFC 9051 §7.3.4) */
	int64_t now;
	/* The value of a filter (RFC 5466 §3.1), into the arena. False: there is none, or it cannot be had. */
	bool (*filter)(void *arg, struct arena *arena, struct sv name, struct sv *value);
	void *arg;
};

enum search_read {
	SEARCH_READ = 0,
	SEARCH_BAD,             /* syntax */
	SEARCH_BAD_CHARSET,
	SEARCH_LIMIT,
	SEARCH_UID_REQUIRED,    /* a message number, with UIDONLY */
	SEARCH_NO_FILTER,       /* `filter` of the search is not there, or no search */
	SEARCH_FILTER_CHARSET,  /* filters are UTF-8 (RFC 5466 §3.1) */
};
/** search_read - the arguments of SEARCH. search_done() in any case. */
enum search_read search_read(struct args *args, const struct search_context *context,
			     struct search *out);
/** search_read_returns - "RETURN (...)", if it is there, into an empty *out. False: malformed. */
bool search_read_returns(struct args *args, const struct search_context *context, struct search *out);
/** search_read_keys - charset and keys behind the return options, where a charset must be named (RFC 5256 §3). */
enum search_read search_read_keys(struct args *args, const struct search_context *context,
				  struct search *out);
void search_done(struct search *s);

/** search_copy - the same program, with everything it points to in this arena. False: it is full. search_done() in any
 *  case. */
bool search_copy(const struct search *from, struct arena *arena, struct search *to);
/** search_bind - the mailbox's keywords may have become more: numbers of those that the keys name. */
void search_bind(struct search *s, const struct keyword_table *keywords);

enum truth { NO = 0, YES, UNKNOWN };

/* What is known of the message at hand. */
struct search_message {
	const struct message_row *row;
	const struct mime_message *parsed;      /* NULL: not yet */
	bool is_recent;
	const enum truth *answers; /* per key: found in the file already; NULL: nothing yet */
};
enum truth search_run(const struct search *s, const struct search_message *m);

/**
 * search_file - answer the keys that need the file, one by one, until the result is known.
 * @parsed: with the part table
 * Errors of reading the file; *result is NO then.
 */
MUST_CHECK struct fault search_file(const struct search *s, const struct message_row *row,
				    bool is_recent, const struct mime_message *parsed,
				    struct message_reader *reader, enum truth *result);

/** search_charset - the charset that the Content-Type of a header block names; empty: none. In the arena, or a view
 *  of the block. */
struct sv search_charset(struct sv block, struct arena *arena);
/** search_holds - does UTF-8 text hold a folded needle? */
bool search_holds(struct sv text, struct sv needle);
/** search_header - does a field of this name in the header block hold the needle? Values are
 * unfolded and decoded. An empty needle: is there such a field? */
bool search_header(struct sv block, struct sv name, struct sv needle);

#endif
