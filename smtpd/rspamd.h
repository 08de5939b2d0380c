/* smtpd/rspamd.h - rspamd asked by HTTP, at its worker that scans (a kind of smtpd/screen.h): POST /checkv2 with what is known in header
 * fields and the message as body; the answer is JSON with an action, a score, symbols, and header fields to add and to take out.
 *
 * The message is sent piece by piece as rspamd reads it. A peer that hangs, dies or talks without end is a failed filter: connecting,
 * each piece, and the whole answer have a deadline. */
#ifndef SMTPD_RSPAMD_H
#define SMTPD_RSPAMD_H

#include "smtpd/screen.h"

#define RSPAMD_ANSWER_MAX (128u << 10)  /* octets of JSON */

struct rspamd;
/** rspamd_ask - fn is called once, in a later turn. @timeout_ms: for each of these steps. */
struct rspamd *rspamd_ask(struct loop *loop, const struct screen_place *place, uint32_t timeout_ms, const struct screen_message *message,
			  screen_fn *fn, void *arg);
/** rspamd_free - at any time; fn is not called any more. NULL is fine. */
void rspamd_free(struct rspamd **rspamd);

/** rspamd_take_answer - what its JSON means for the verdict. False: it is no such answer. Pure. */
bool rspamd_take_answer(struct sv json, struct screen_verdict *v);

#endif
