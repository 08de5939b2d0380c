/* smtpd/relay/delivery.h - one message's transaction for one destination: read from its file, given
 * to a connection, and its verdicts written down. It belongs to a sender until delivery_finish() or
 * delivery_let_go(), and then ends by itself. Loop thread only; what blocks is in jobs. */
#ifndef SMTPD_RELAY_DELIVERY_H
#define SMTPD_RELAY_DELIVERY_H

#include "smtpd/relay/client.h"
#include "smtpd/relay/relay_private.h"

struct delivery;

enum delivery_load {
	DELIVERY_READY = 1,     /* delivery_mail() may be sent, unless it is settled already */
	DELIVERY_NOTHING,       /* there is nothing to send, or not now: it ends by itself */
};

struct delivery_events {
	void (*on_loaded)(void *arg, enum delivery_load load);
	void (*on_body)(void *arg, struct sv octets, bool is_last, struct fault f);
};

/** delivery_new - begin to load; on_loaded follows. @can, @size_max, @by_min_s: of the connection. */
struct delivery *delivery_new(struct relay *r, struct part *p, struct conf *conf, unsigned can,
			      uint64_t size_max, uint32_t by_min_s, const struct delivery_events *events, void *arg);
struct client_mail *delivery_mail(struct delivery *d);
/** delivery_is_settled - every recipient has its verdict without asking anybody. */
bool delivery_is_settled(const struct delivery *d);
bool delivery_is_loaded(const struct delivery *d);
/** delivery_is_untouched - no recipient has a verdict, and no octet of the message was read. */
bool delivery_is_untouched(const struct delivery *d);
/** delivery_read - the next octets, in a job; on_body follows. */
void delivery_read(struct delivery *d);
/** delivery_give_rest - a verdict for those that have none. */
void delivery_give_rest(struct delivery *d, enum client_verdict verdict, const char *status,
			const char *text);
/** delivery_finish - write the verdicts down. */
void delivery_finish(struct delivery *d, const char *peer, const char *tls, struct sv talk);
/** delivery_return - nothing was tried: the part is ready again. */
void delivery_return(struct delivery *d);
/** delivery_let_go - the sender ends; what was not sent is returned. */
void delivery_let_go(struct delivery *d);

#endif
