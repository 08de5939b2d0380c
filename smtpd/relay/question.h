/* smtpd/relay/question.h - does the host of a relay domain know this name? It is asked as mail would go there: its route, its TLS,
 * MAIL FROM:<> and RCPT TO, and no message (RFC 5321 §3.3: what RCPT answers is about the mailbox). Who asks what is being asked already gets the
 * same answer. A connection that has its answer serves the questions that come within QUESTION_REST_MS, at most QUESTION_USES_MAX; a
 * question for which the other side has no patience any more is asked again on a new one.
 *
 * At most QUESTIONS_MAX are under way, and QUESTIONS_PER_DESTINATION for one destination; a destination that did not answer is left
 * alone for QUESTIONS_PAUSE_MS. What cannot be found out now is said so, within QUESTION_MS. Loop thread only. */
#ifndef SMTPD_RELAY_QUESTION_H
#define SMTPD_RELAY_QUESTION_H

#include "smtpd/asking.h"

#define QUESTIONS_MAX 32
#define QUESTIONS_PER_DESTINATION 4
#define QUESTION_WAITERS_MAX 16         /* for one answer; more ask anew */
#define QUESTION_REST_MS 10000
#define QUESTION_USES_MAX 100
#define QUESTIONS_RESTING_MAX 8         /* connections on which nothing is asked */
#define QUESTIONS_PAUSE_MS 15000
#define QUESTIONS_PAUSED_MAX 64

struct relay;
struct control_reply;
struct questions;

struct questions *questions_new(struct relay *r);
/** questions_free - who waits is told that it cannot be found out. NULL is fine. */
void questions_free(struct questions **qs);
/** questions_rest_no_more - connections on which nothing is asked end: the configuration has changed, or the process stops. NULL is
 * fine. */
void questions_rest_no_more(struct questions *qs);
/** questions_ask - @address: local@domain, the domain in A-labels. The reply is taken over: one line {"known":"yes|no|later",
 * "text":"mx.example.net [192.0.2.1]: 550 5.1.1 no such user"}. */
void questions_ask(struct questions *qs, struct sv address, struct control_reply *reply);

#endif
