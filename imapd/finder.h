/* imapd/finder.h - which messages of a mailbox a search finds, in slices of time: the one way for SEARCH, SORT,
 * THREAD and whatever else searches. Messages whose files must be read are collected and read together, by several threads where some
 * are idle (message_visit()). Blocks; belongs to the thread that runs the command's step. */
#ifndef IMAPD_FINDER_H
#define IMAPD_FINDER_H

#include "imapd/command.h"
#include "imapd/search.h"

struct finder {
	struct search search;           /* search_read() fills it */
	struct mailbox *box;
	const struct view *view;
	struct sv box_name;             /* for the log */
	/* Called for each message found, ascending; parsed may be NULL (a damaged file). False: no memory left. */
	bool (*take)(void *arg, const struct message_row *row, const struct mime_message *parsed);
	void *arg;
	unsigned scan;                  /* what take() needs: SCAN_... */
	/* So many results are all that is wanted, 0: every one. With is_from_end the newest ones: then the search begins
	 * there. More than wanted may be found. Not with take(). */
	uint64_t enough;
	bool is_from_end;

	struct uidset found;
	uint64_t highest_modseq;        /* of what was found */
	uint64_t count;                 /* likewise, as far as rows were looked at */

	/* private */
	struct command *c;
	uint32_t resume;
	bool is_begun, is_over_budget, is_enough;
	struct uidset block;            /* of is_from_end: what is looked at now */
	uint64_t blocks_left;           /* messages below it */
	struct finder_batch *batch;     /* messages whose files must be read; NULL: there was none yet */
};

/** finder_read_answer - what a command answers when its search could not be read. */
enum step finder_read_answer(struct command *c, enum search_read result, const struct search *s);
/** finder_context - what reading needs to know of the session, its view and keywords left out. */
struct search_context finder_context_of(struct command *c);
/** finder_context - likewise, for the selected mailbox; the keywords are loaded. */
MUST_CHECK struct fault finder_context(struct command *c, struct search_context *out);
/** finder_run - one slice. *done: everything was looked at. FAULT_LIMIT: take() refused. */
MUST_CHECK struct fault finder_run(struct finder *x, struct command *c, bool *done);
void finder_done(struct finder *x);

#endif
