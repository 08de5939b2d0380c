/* tests/unit/support/sieve_world.h - a Sieve script, a message and a small world around them; the answer as one line. */
#ifndef TESTS_UNIT_SUPPORT_SIEVE_WORLD_H
#define TESTS_UNIT_SUPPORT_SIEVE_WORLD_H

#include "common/sieve/sieve.h"

struct sieve_world {
	const char *message;            /* with LF or CRLF */
	const char *from, *to;          /* of the envelope */
	const char *const *included;    /* pairs of name and text of personal scripts, then NULL */
	bool is_unreadable;             /* the body cannot be read */
	bool has_verdict;               /* the next three hold; else the spam score is 50 %, the virus verdict "cured" */
	bool is_scored;
	uint32_t spam_percent;
	enum sieve_virus_verdict virus;
	int64_t now;                    /* Unix time, looked at in zone +0200; 0: 2009-07-22T23:30:00+02:00 */
	bool shows_reason;              /* "vacation TO subject: reason" */
	const char *cause;              /* of an IMAP event (RFC 6785) on a message with the flag $Old; NULL: a delivery */
	size_t memory;                  /* of the latest run */
	uint64_t work;
	char handle[80];                /* of the latest vacation that asked whether it was sent */
};

/** sieve_world_run - compile and run; actions joined by "; " as "keep", "keep*" (implicit), "fileinto X [flags]", "redirect A",
 *  "discard", "reject TEXT", "vacation TO subject", "notify METHOD text", or "LINE:COLUMN: error". The caller frees it. */
char *sieve_world_run(struct sieve_world *w, struct sv script);
/** sieve_world_expect - tells all it knows when the answer is another one. */
void sieve_world_expect(struct sieve_world *w, const char *script, const char *answer);
struct sieve_expectation {
	const char *script, *answer;
};
/** sieve_world_expect_all - the same for many scripts. */
void sieve_world_expect_all(struct sieve_world *w, const struct sieve_expectation *list, size_t count);
/** sieve_world_finish - at the end of a test: fails it when an answer was another one. */
void sieve_world_finish(void);

/* The messages A and B of RFC 5228 §1. */
extern const char sieve_message_a[], sieve_message_b[];
/* A message with parts: multipart/mixed of text/plain, text/html, application/pdf and message/rfc822. */
extern const char sieve_message_parts[];

#endif
