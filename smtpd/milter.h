/* smtpd/milter.h - a filter program asked by Sendmail's milter protocol, version 6 (a kind of smtpd/screen.h).
 *
 * The whole conversation takes place when the message has come in. The filter may accept, refuse, add header fields, change and take out
 * its own, and quarantine; it is offered nothing else, and what else it sends is ignored. */
#ifndef SMTPD_MILTER_H
#define SMTPD_MILTER_H

#include "common/lines.h"
#include "smtpd/screen.h"

#define MILTER_PACKET_MAX (64u << 10) /* of an answer */

struct milter;
/** milter_ask - fn is called once, in a later turn. @timeout_ms: for each answer. */
struct milter *milter_ask(struct loop *loop, const struct screen_place *place, uint32_t timeout_ms,
			  const struct screen_message *message, screen_fn *fn, void *arg);
/** milter_free - at any time; fn is not called any more. NULL is fine. */
void milter_free(struct milter **milter);

/* ---- the answers, taken apart (pure) ---- */

/** milter_take_packet - the next whole packet off *in: its letter and data. FEED_BAD: too long, or
 * empty. */
enum feed milter_take_packet(struct sv *in, char *letter, struct sv *data);
/** milter_take_answer - what a packet means for the verdict; true: it ends the command that it
 * answers. */
bool milter_take_answer(char letter, struct sv data, struct screen_verdict *v, bool *is_final);

#endif
