/* maildir/rules.h - simple rules and an out-of-office answer as one readable Sieve script, which `postroom rule` and `postroom vacation`
 * write. The script's third line holds what it was made from; the rest follows from that, so a script that was edited by
 * hand is noticed. Pure; one thread. */
#ifndef MAILDIR_RULES_H
#define MAILDIR_RULES_H

#include "common/fault.h"
#include "common/memory.h"

#define RULES_SCRIPT "postroom" /* the name of the script */
#define RULES_MAX 200
#define RULES_TEXT_MAX ((size_t)256 << 10)

/* Empty texts are not given. */
struct rule {
	struct sv when, also;   /* conditions: "from:text", "subject=text", "size:1M", ...; when "": every message */
	struct sv move, copy;   /* mailboxes */
	struct sv mark;         /* "seen", "flagged" or a keyword */
	struct sv forward;      /* an address; with copy or mark, or alone */
	bool discard;
};

struct rules {
	struct arena arena;     /* of the texts that were read */
	struct sv include;      /* the script that was active before */
	struct {
		bool is_set;
		struct sv message, subject;
		struct sv from, until;  /* "2026-12-24", whole days */
		uint64_t days;          /* 0: the usual seven */
		struct sv address;      /* another address of the account's */
	} vacation;
	struct rule list[RULES_MAX];
	size_t count;
};

void rules_init(struct rules *r);
void rules_done(struct rules *r);
/** rules_condition - is it a good one? Else a sentence that says what is. */
const char *rules_condition(struct sv condition);
/** rules_is_day - "2026-12-24". */
bool rules_is_day(struct sv text);
/** rules_write - append the whole script. False: RULES_TEXT_MAX. */
bool rules_write(const struct rules *r, struct buf *out);
/** rules_read - FAULT_INVALID: it was not written by us, or edited since. */
MUST_CHECK struct fault rules_read(struct rules *r, struct sv script);

#endif
