/* maildir/filter.h - what becomes of a message by its receiver's will: the Sieve scripts that hold for a delivery, run on a message
 * that has come in whole.
 *
 * Up to three scripts run, one after the other: ROOT/sieve/before.sieve, the account's active script, ROOT/sieve/after.sieve. A later
 * one runs only while the ones before it keep the message; each may file, redirect and answer. What a script did to the header
 * (RFC 5293) the later ones see. Nothing is done here: the answer is a list of places and a list of things to send, which the
 * caller puts into his delivery plan. A script that is wrong, or fails on this message, is left out, and the mail stays.
 *
 * Compiled scripts are kept by their text, for all accounts and threads. Everything blocks: jobs only. */
#ifndef MAILDIR_FILTER_H
#define MAILDIR_FILTER_H

#include "common/sieve/sieve.h"
#include "maildir/incoming.h"
#include "maildir/scripts.h"

#define FILTER_SCRIPTS_MAX 3
#define FILTER_PLACES_MAX (FILTER_SCRIPTS_MAX * SIEVE_ACTIONS_MAX + 1)

struct filters;

/** filters_open - @site: the folder with the scripts for everybody, which need not exist; "include :global" reads from it, too. */
MUST_CHECK struct fault filters_open(const char *site, struct filters **out);
void filters_close(struct filters **filters);

/* What the caller knows. Borrowed until filter_done(). */
struct filter_request {
	struct filters *filters;
	struct maildir_drop *drop;
	struct sv account;              /* its address */
	struct incoming *message;       /* finished */
	uint64_t message_max;           /* octets that one with an edited header may have */
	struct sieve_envelope envelope;
	struct sv hostname, peer_name, peer_ip;         /* p NULL: unknown */
	bool is_junk;                   /* mail policy takes it for junk: spamtest says so, and vacation does not answer it */
};

/* Where the message goes, in the drop's account. */
struct filter_place {
	bool is_kept;                   /* where mail goes without a script; mailbox is empty */
	struct sv mailbox;
	bool create;
	uint32_t flags;
	struct sv *keywords;
	size_t keyword_count;
	struct incoming *message;       /* with its header edited; NULL: as it came */
};

/* What else is to be done: redirect, reject, ereject, vacation, notify; SIEVE_SEEN once everything else is done. */
struct filter_deed {
	const struct sieve_action *action;
	struct incoming *message;       /* redirect: with its header edited; NULL: as it came */
};

struct filter_error {
	bool is_set;
	bool is_own;                    /* of the account's script, not of one for everybody */
	char script[64];                /* "before", "after", or the name of the account's script */
	struct sieve_error error;
	char text_digest[33];           /* of the script, in hex */
};

struct filter_result {
	bool is_filtered;               /* false: there is no script, and nothing else is set */
	struct filter_place *places;
	size_t place_count;             /* 0: the message is not to be filed */
	struct filter_deed *deeds;
	size_t deed_count;
	struct filter_error error;      /* of the account's script, if that failed; the script's actions were dropped */
	struct filter_private *private;
};

/**
 * filter_run - run what there is.
 * @out: filled in any case; filter_done() ends it, before the drop is closed
 * Errors: the mailboxes cannot be looked at or the message not be read now: try the delivery again later.
 */
MUST_CHECK struct fault filter_run(const struct filter_request *request, struct filter_result *out);
void filter_done(struct filter_result *result);

/* Once the message is delivered: */

/** filter_remember_answer - note that this vacation is answered now. False: it was, by another delivery, or it cannot be noted: then do
 *  not answer, for nobody would know (RFC 5230 §4.2). */
bool filter_remember_answer(struct filter_result *result, const struct sieve_action *vacation);
/** filter_remember_seen - carry out SIEVE_SEEN. */
void filter_remember_seen(struct filter_result *result);
/** filter_tell - if a script failed: keep the error for `postroom sieve list`, and put a notice into the INBOX, once a day and text. */
void filter_tell(struct filter_result *result);

/** filter_flag - the FLAG_ bit of "\Seen" and so on; 0 for a keyword. */
uint32_t filter_flag(struct sv word);

/** filter_check - compile a text as an account's script, "include" with the scripts that are there; errors as sieve_compile(). */
MUST_CHECK struct fault filter_check(struct filters *filters, struct scripts *scripts, struct sv text, struct sieve_errors *errors);

/** filter_vacation_key, filter_duplicate_key - under what scripts_note_seen() remembers such an action. */
bool filter_vacation_key(struct buf *out, struct sv handle, struct sv address);
bool filter_duplicate_key(struct buf *out, struct sv id);

/* ---- what clients do with stored mail (RFC 6785) ---- */

enum filter_cause { FILTER_APPEND, FILTER_COPY, FILTER_FLAG };

struct filter_event {
	struct filters *filters;
	struct maildir_user *user;
	struct sv address;              /* of the account */
	struct sv hostname;
	struct sv mailbox;              /* where the messages are */
	struct sv script;               /* the script's name */
	enum filter_cause cause;
	struct sv changed_flags;        /* separated by spaces */
};
/** filter_event_script - append the name of the script that holds for a mailbox: the annotation /shared/imapsieve/script, of our own
 *  mailboxes only. Nothing is appended when there is none. */
MUST_CHECK struct fault filter_event_script(struct maildir_user *user, struct sv mailbox, struct buf *out);
/**
 * filter_event_run - run it on one message, and do what it says: change flags, file copies, mark as \Deleted what is not kept (RFC
 * 6785 §3). A script that is missing changes nothing; one that fails says so in the log and by scripts_error().
 */
MUST_CHECK struct fault filter_event_run(const struct filter_event *event, uint32_t uid);

#endif
