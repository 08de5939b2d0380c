/* smtpd/webhook.h - what happens to messages is told to a program of the administrator's, by HTTPS: batches of events in the order
 * in which they came into the store, signed (the headers of https://www.standardwebhooks.com).
 *
 * Events come out of the event store; nothing is stored twice. A note beside the queue says up to where the other side has taken them. What it does not take with 2xx is posted
 * again, later and later, for as long as the store keeps events: nothing is passed over, and after a crash the last batch may
 * come twice. Loop thread; reading is a job. */
#ifndef SMTPD_WEBHOOK_H
#define SMTPD_WEBHOOK_H

#include "common/conf.h"
#include "common/eventstore.h"
#include "common/json.h"
#include "common/loop.h"
#include "smtpd/queue.h"

#define WEBHOOK_KEY_MIN 24              /* octets (Standard Webhooks: 24 to 64) */
#define WEBHOOK_KEY_MAX 64
#define WEBHOOK_SIGNATURE_MAX 64

struct webhook;

/** webhook_check - a literal that says what is wrong with the options, NULL when nothing is. */
const char *webhook_check(const struct conf *conf);
/** webhook_new - @conf: its options are copied; the rest is borrowed. */
struct webhook *webhook_new(struct loop *loop, const struct conf *conf, struct eventstore *events, struct queue *queue,
			    const char *control);
/** webhook_free - NULL is fine. */
void webhook_free(struct webhook **hook);
/** webhook_status - {"url","state","posted","failures","behind_s","answer"}: behind_s, for how long it has been failing. @hook may be NULL. */
void webhook_status(const struct webhook *hook, struct json_out *j);

/** webhook_key_read - "whsec_" and base64, with space around it. False: no such key. Pure. */
bool webhook_key_read(struct sv text, struct buf *key);
/** webhook_sign - "v1,BASE64" of HMAC-SHA256 over "ID.TIME.BODY". Pure. */
void webhook_sign(struct sv key, const char *id, int64_t at_s, struct sv body, char out[WEBHOOK_SIGNATURE_MAX]);

#endif
