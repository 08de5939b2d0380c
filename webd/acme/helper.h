/* webd/acme/helper.h - the process that looks after the certificate: it asks for a new one in time, has the daemons read it, has
 * them read one that somebody else has put there, and says loudly when it is about to end. It alone of webd goes out. */
#ifndef WEBD_ACME_HELPER_H
#define WEBD_ACME_HELPER_H

#include "common/master.h"

extern const struct daemon_spec acme_spec;

/** acme_is_due - is it time for a new certificate? It is self-signed, or has less than a third of its life left; up to a thirtieth more, by chance of its fingerprint, so that not everybody asks at once. */
bool acme_is_due(const struct tls_cert_facts *cert, int64_t now_s);

#endif
