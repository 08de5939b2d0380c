/* common/tls_request.h - a certificate asked for, and what came back looked at before anybody relies on it. Blocking file reads;
 * any thread. */
#ifndef COMMON_TLS_REQUEST_H
#define COMMON_TLS_REQUEST_H

#include "common/bytes.h"
#include "common/fault.h"

/** tls_request_make - append a certificate signing request (RFC 2986) in DER for these host names, signed by the key in key_path.
 *  The key stays the server's: what others hold of it (TLSA 3 1 1, RFC 6698) stays right through renewals.
 *  Errors: FAULT_NOT_FOUND, FAULT_DENIED (others may read the key), FAULT_INVALID (no key, no host name), FAULT_LIMIT. */
MUST_CHECK struct fault tls_request_make(const struct sv *names, size_t count, const char *key_path, struct buf *out);
/** tls_request_check - is this PEM chain a certificate for that key and for all of the names, valid now, and nothing else
 *  but certificates? FAULT_INVALID says what is wrong. */
MUST_CHECK struct fault tls_request_check(struct sv pem, const struct sv *names, size_t count, const char *key_path);
/** tls_request_is_met - is the certificate in this file for all of the names, as clients see it (wildcards count)? */
bool tls_request_is_met(const char *cert_path, const struct sv *names, size_t count);

#endif
