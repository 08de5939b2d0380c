/* smtpd/asking.h - a recipient at a relay domain whose host knows the names (`domain set --relay asked`): the relay, the only process
 * that goes to other servers, asks it. Asked over smtpd's control socket, ASKING_PER_WORKER at a time. Loop thread only. */
#ifndef SMTPD_ASKING_H
#define SMTPD_ASKING_H

#include "common/bytes.h"

struct loop;

#define ASKING_MS 20000         /* for an answer */
#define ASKING_PER_WORKER 4     /* control sockets have other things to do */
#define ASKING_TEXT_MAX 400

enum asking_answer {
	ASKING_NOT_ASKED = 0,
	ASKING_KNOWN,
	ASKING_UNKNOWN,
	ASKING_LATER,           /* it cannot be found out now */
};
/** asking_word - "yes", "no", "later". */
const char *asking_word(enum asking_answer answer);

struct asking;
/** Called once, in a later turn; text (what the host said) is borrowed for the call. */
typedef void asking_fn(void *arg, enum asking_answer answer, struct sv text);
/** asking_start - @socket: smtpd's control socket; @address: local@domain, the domain in A-labels. NULL: too many wait already. */
struct asking *asking_start(struct loop *loop, const char *socket, struct sv address, asking_fn *fn, void *arg);
/** asking_forget - do not call. Sets *a to NULL. NULL is fine. */
void asking_forget(struct asking **a);

#endif
