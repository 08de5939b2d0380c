/* common/dnsrdata.h - the data of DNS records: written for messages of ours, and as the text that zone files and people use.
 * Names are text in A-labels, with or without final dot. Pure, any thread. */
#ifndef COMMON_DNSRDATA_H
#define COMMON_DNSRDATA_H

#include "common/bytes.h"
#include "common/dns.h"

/* Each appends; false when the value cannot be one, or out's max would be passed. */
bool dnsrdata_name(struct buf *out, struct sv name);    /* "" and "." are the root */
bool dnsrdata_ip(struct buf *out, const uint8_t ip[16]); /* A, or AAAA unless it is IPv4 mapped */
bool dnsrdata_mx(struct buf *out, uint16_t preference, struct sv host);
/** dnsrdata_txt - cut into strings of 255 octets (RFC 1035 §3.3). */
bool dnsrdata_txt(struct buf *out, struct sv text);
bool dnsrdata_srv(struct buf *out, uint16_t priority, uint16_t weight, uint16_t port, struct sv host);
/** dnsrdata_tlsa - @hex: the data, in hexadecimal. */
bool dnsrdata_tlsa(struct buf *out, uint8_t usage, uint8_t selector, uint8_t matching, struct sv hex);
bool dnsrdata_caa(struct buf *out, uint8_t flags, struct sv tag, struct sv value);

struct dnsrdata_srv {
	uint16_t priority, weight, port;
	char host[4 * DNS_NAME_MAX + 1];        /* "": the service is not offered (RFC 2782) */
};
bool dnsrdata_srv_from(struct sv rdata, struct dnsrdata_srv *out);

/** dnsrdata_type_name - "MX"; NULL for a type that enum dns_type does not know. */
const char *dnsrdata_type_name(unsigned type);
/** dnsrdata_print - as zone files have it; what has no form of its own as in RFC 3597 §5. False: out's max. */
bool dnsrdata_print(unsigned type, struct sv rdata, struct buf *out);

#endif
