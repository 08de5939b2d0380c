/* admin/probe.h - looking at a service as its clients do: a connection, TLS, the certificate that is shown. Blocks, each within a few
 * seconds. */
#ifndef ADMIN_PROBE_H
#define ADMIN_PROBE_H

#include "common/conf.h"
#include "common/fault.h"
#include "common/netaddr.h"
#include "common/tls.h"

#define PROBE_TIMEOUT_MS 4000

/** probe_now_ms - monotonic. */
int64_t probe_now_ms(void);
/** probe_wait - until fd is ready for these poll events; false at the deadline. */
bool probe_wait(int fd, short events, int64_t deadline_ms);
/** probe_connect - several addresses at once, until one takes a connection: its descriptor (non-blocking), or -1 when none does in
 *  time; *why says of the last one why not ("Connection refused", "no answer"). */
int probe_connect(const struct netaddr *to, size_t count, const char **why);
/** probe_own_address - where a listener of ours can be reached from this host. False: a socket in the file system. */
bool probe_own_address(const struct conf_listener *listener, struct netaddr *out);
/**
 * probe_certificate - what a listener shows: TLS from the first octet, or after STARTTLS of SMTP.
 * @name:  asked for by SNI, and compared with the certificate
 * @doubt: what a client would say against it; NULL: nothing
 * Errors: FAULT_UNAVAILABLE with the reason. */
MUST_CHECK struct fault probe_certificate(struct tls_client *client, const struct conf_listener *listener, const char *name,
					  struct tls_cert_facts *out, const char **doubt);

#endif
