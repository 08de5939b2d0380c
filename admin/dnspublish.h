/* admin/dnspublish.h - the records of a domain put into its zone by an update (RFC 2136), signed by a key that the zone's primary
 * server knows (TSIG). Only what nobody else has said is added, and only what was added here is ever changed: it is remembered in
 * ROOT/dns-published. What was seen is a condition of the update, so that nothing of somebody who is faster is undone. Blocks. */
#ifndef ADMIN_DNSPUBLISH_H
#define ADMIN_DNSPUBLISH_H

#include "admin/dnsrecords.h"

/** dnspublish - @server: "ADDRESS[@PORT]" of the primary; NULL: as the zone's SOA names it. @key: file; NULL: the instance's.
 *  Prints a row for each record, tells its errors, returns an exit code: EXIT_FAILED also when something that is wrong had to be
 *  left to its owner. */
int dnspublish(struct facts *facts, const struct dnsrecords *records, const char *server, const char *key);

#endif
