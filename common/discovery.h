/* common/discovery.h - what mail programs ask to find their settings, and how other servers are told our policy: the answers,
 * made from the configuration alone. The web front gives them, and `postroom web --files` writes them for another server.
 *
 * They depend on the domain and never on whether an account exists. Ports are those of the listeners; TLS from the first octet is
 * preferred (RFC 8314 §3). Every text that came from outside is escaped. Pure: no I/O, any thread.
 *
 * Each function appends to *out and is false when its max would be passed; DISCOVERY_MAX is enough. */
#ifndef COMMON_DISCOVERY_H
#define COMMON_DISCOVERY_H

#include "common/bytes.h"
#include "common/conf.h"

#define DISCOVERY_MAX (16u << 10)

/* A service as a mail program needs it. */
struct discovery_service {
	uint16_t port;                  /* 0: not offered */
	bool is_starttls;               /* else TLS from the first octet */
};
enum discovery_kind { DISCOVERY_IMAP, DISCOVERY_POP3, DISCOVERY_SMTP, DISCOVERY_KINDS };

/** discovery_service - from the listeners that others can reach. */
struct discovery_service discovery_service(const struct conf *conf, enum discovery_kind kind);

/** discovery_autoconfig - Thunderbird's config-v1.1.xml, with placeholders for the address. @domain: in A-labels. */
bool discovery_autoconfig(const struct conf *conf, struct sv domain, struct buf *out);

/** discovery_autodiscover_address - the EMailAddress of an Autodiscover request, out of any octets, appended with the
 *  character references replaced. False: there is none. @wants_other: set when the request asks for a kind of answer that we
 *  do not have (ActiveSync). */
bool discovery_autodiscover_address(struct sv xml, struct buf *out, bool *wants_other);
/** discovery_autodiscover - Outlook's answer in XML (POX). @address: empty when the request names none. */
bool discovery_autodiscover(const struct conf *conf, struct sv domain, struct sv address, struct buf *out);
/** discovery_autodiscover_error - 500: no such address here; 600: the request is wrong; 601: no such answer. */
bool discovery_autodiscover_error(unsigned code, const char *message, int64_t now_s, struct buf *out);
/** discovery_autodiscover_json - Autodiscover v2. @host: "autodiscover.example.org", with ":port" where it needs one. Sets
 *  *is_known: else the answer is the error that goes with status 400. */
bool discovery_autodiscover_json(struct sv host, struct sv protocol, struct buf *out, bool *is_known);

/** discovery_mobileconfig - Apple's configuration profile for an account. @password: empty: the device asks for it.
 *  The identifiers depend on the address alone, so that a second installation replaces the first. */
bool discovery_mobileconfig(const struct conf *conf, struct sv domain, struct sv address, struct sv password, struct buf *out);

/** discovery_sts_policy - our MTA-STS policy (RFC 8461 §3.2); nothing depends on the domain. */
bool discovery_sts_policy(const struct conf *conf, struct buf *out);
#define DISCOVERY_STS_ID_LEN 20
/** discovery_sts_id - the id of that policy for the TXT record at _mta-sts (RFC 8461 §3.1): changes when the policy does. */
void discovery_sts_id(const struct conf *conf, char out[DISCOVERY_STS_ID_LEN + 1]);

/** discovery_escape - a text of somebody else's into XML or HTML. */
bool discovery_escape(struct buf *out, struct sv text);

#endif
