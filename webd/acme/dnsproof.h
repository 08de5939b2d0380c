/* webd/acme/dnsproof.h - a proof by dns-01 (RFC 8555 §8.4): a TXT record that is put into the zone by a signed update (RFC 2136), looked for
 * at each of the zone's name servers, and taken away again. Where `_acme-challenge.NAME` is an alias (CNAME) the record goes to where that
 * leads. What lies in a zone stands in a file, `dns.VALUE` in the folder of proofs, until it is surely gone: a process that dies leaves it to the
 * next one. Loop thread; what blocks are jobs. */
#ifndef WEBD_ACME_DNSPROOF_H
#define WEBD_ACME_DNSPROOF_H

#include "common/dns.h"
#include "common/dnsmessage.h"
#include "common/loop.h"

#define DNSPROOF_WAIT_MS 90000          /* until every name server shows the record */

struct dnsproof;

struct dnsproof_zone {
	struct loop *loop;
	struct dns *dns;
	const struct dnsmessage_key *key;
	const char *folder;             /* for files; must be there */
};
/** Called once, in a later turn. The fault's detail, a sentence, is borrowed for the call. */
typedef void dnsproof_fn(void *arg, struct fault fault);

/** dnsproof_put - @zone and what it names stay until the end, and until jobs have ended; @name, @value: copied. */
struct dnsproof *dnsproof_put(const struct dnsproof_zone *zone, struct sv name, struct sv value, dnsproof_fn *fn, void *arg);
/** dnsproof_take_away - also before it is there, when fn is not called any more. NULL is fine. */
void dnsproof_take_away(struct dnsproof **proof);
/** dnsproof_sweep - take away what former processes have left. */
void dnsproof_sweep(const struct dnsproof_zone *zone);

#endif
