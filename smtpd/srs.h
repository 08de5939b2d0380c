/* smtpd/srs.h - senders of mail that we send on: rewritten to an address of ours, so that the next
 * server's SPF check asks our domain (RFC 7208 §D.1), and back, so that a bounce reaches who wrote
 * it. The Sender Rewriting Scheme as other servers write it:
 *
 *   joe@example.net              SRS0=k3xq2=7d=example.net=joe@example.org
 *   SRS0=hhhh=tt=a.test=b@c.test  SRS1=m2p7a=c.test==hhhh=tt=a.test=b@example.org
 *
 * The first word is keyed with the instance's secret, so nobody can make us relay by inventing one;
 * an address is good for SRS_DAYS. Any thread; no blocking. */
#ifndef SMTPD_SRS_H
#define SMTPD_SRS_H

#include "common/directory.h"

#define SRS_DAYS 21

/** srs_forward - the sender, rewritten to an address of the domain. False: it cannot be (the local
 * part would pass 64 octets, or needs quotes): then the sender stays as it is. @sender:
 * local@domain. */
bool srs_forward(const struct directory *dir, struct sv sender, struct sv domain, int64_t now_s,
		 struct buf *out);
/** srs_is_one - does a local part look like one? */
bool srs_is_one(struct sv local);
/** srs_reverse - the address it was made from. False: not made here, or too long ago. */
bool srs_reverse(const struct directory *dir, struct sv local, int64_t now_s, struct buf *out);

#endif
