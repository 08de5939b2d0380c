/* smtpd/relay/target.h - how another server is connected to: the TLS that its policy asks for, or a smarthost's password wants.
 * Pure; loop thread, because of the smarthosts' passwords. */
#ifndef SMTPD_RELAY_TARGET_H
#define SMTPD_RELAY_TARGET_H

#include "smtpd/relay/client.h"
#include "smtpd/relay/relay_private.h"
#include "smtpd/relay/route.h"

struct target_way {
	const char *destination;        /* the key: destination_of() */
	const struct route_hop *hop;
	const struct tlspolicy_answer *policy;  /* NULL: a smarthost */
	bool is_clear;                  /* a handshake that nothing asks for has failed */
	const char **smarthost;         /* a place for its name, which lives as long as the client */
};

/** target_of_hop - borrows hop, policy, conf and the passwords for as long as the client lives. */
struct client_target target_of_hop(struct relay *r, const struct conf *conf, const struct target_way *way);
/** target_of_local - smtpd's own LMTP socket; false: there is none. */
bool target_of_local(const struct conf *conf, struct client_target *to);

#endif
