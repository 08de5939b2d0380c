/* common/dns.h - names looked up in the DNS, validated by DNSSEC, without blocking. The keeper of libunbound.
 *
 * One resolver per process: a thread of libunbound's asks, recursively itself or through the forwarders that it is given;
 * answers come as callbacks on the loop. Cached answers come in a later turn of the loop, too. Loop thread only.
 *
 * An answer is one of four things, and callers must keep them apart:
 *   DNS_DATA      here are the records; secure says whether DNSSEC proved them
 *   DNS_NODATA    the name exists, a record of this type does not
 *   DNS_NXDOMAIN  the name does not exist
 *   DNS_TEMPFAIL  nobody answered, an error was answered, or the proof was wrong (bogus): nothing is known, try later
 * Absence is proven only when secure. A TEMPFAIL must never be taken for absence (RFC 7672 §2.1.1). */
#ifndef COMMON_DNS_H
#define COMMON_DNS_H

#include "common/bytes.h"
#include "common/conf.h"
#include "common/fault.h"
#include "common/loop.h"

enum dns_type { DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_SRV = 33,
		DNS_TLSA = 52, DNS_CAA = 257 };
enum dns_status { DNS_TEMPFAIL = 0, DNS_DATA, DNS_NODATA, DNS_NXDOMAIN };

#define DNS_RECORDS_MAX 256     /* of one answer; more are dropped */
#define DNS_NAME_MAX 255        /* octets of a name as text, without the final dot */
#define DNS_TIMEOUT_MS 10000

struct dns;
struct dns_query;

struct dns_settings {
	const struct sv *forwarders;    /* "192.0.2.1", "127.0.0.1@5399"; none: recursive from the root */
	size_t forwarder_count;
	const char *const *anchor_files;        /* DNSSEC trust anchors (zone-file form, or RFC 5011 state) */
	size_t anchor_count;
	bool use_system;                /* besides forwarders: the servers of /etc/resolv.conf */
	bool has_root_anchors;          /* the root zone's keys, which are built in */
	const char *config_file;        /* of unbound.conf form, read last; NULL: none */
	uint32_t timeout_ms;            /* of one query; 0: DNS_TIMEOUT_MS */
	bool forgets_absence;           /* what was not there is asked for again each time, whatever the zone says */
};

struct dns_answer {
	enum dns_status status;
	bool secure;                    /* proven by DNSSEC, data or absence */
	bool bogus;                     /* TEMPFAIL because the proof was wrong */
	struct sv name;                 /* canonical name: where CNAMEs ended; that which was asked for when there were none */
	struct sv records[DNS_RECORDS_MAX];     /* RDATA, uncompressed */
	size_t count;
	uint32_t ttl_s;
	const char *why;                /* TEMPFAIL, for the log: "timeout", "SERVFAIL", libunbound's reason */
};

/** dns_new - start the resolver. FAULT_INVALID: a forwarder or file cannot be used. FAULT_INTERNAL. */
MUST_CHECK struct fault dns_new(struct loop *loop, const struct dns_settings *settings, struct dns **out);
/** dns_new_from_conf - the same as the options dns-servers, dns-trust-anchors and dns-timeout say. Reads /etc/resolv.conf when
 *  asked to, so before the sandbox closes. */
MUST_CHECK struct fault dns_new_from_conf(struct loop *loop, const struct conf_dns *conf, struct dns **out);
/** dns_new_for_waiting - the same for whoever waits until a record is there (forgets_absence). */
MUST_CHECK struct fault dns_new_for_waiting(struct loop *loop, const struct conf_dns *conf, struct dns **out);
/* For tests of whoever asks: what the DNS says. Views in *out live until the next call. False: nobody answers. */
typedef bool dns_script_fn(void *arg, struct sv name, enum dns_type type, struct dns_answer *out);
/** dns_new_scripted - a resolver that asks a function. Never fails. */
struct dns *dns_new_scripted(struct loop *loop, dns_script_fn *script, void *arg);
#define DNS_PORTS_MAX 9
/** dns_ports - the TCP ports to which a resolver of this configuration connects: for the sandbox. Returns how many. */
size_t dns_ports(const struct conf_dns *conf, uint16_t ports[DNS_PORTS_MAX]);
/** dns_free - queries under way are forgotten; their functions are not called. NULL is fine. */
void dns_free(struct dns **dns);

/** The answer is borrowed for the call; the query is gone afterwards. */
typedef void dns_fn(void *arg, const struct dns_answer *answer);
/** dns_ask - look a name up (text, A-labels, with or without final dot). fn is called once, in a later turn of the loop, within
 *  the timeout. A name that cannot be one is answered with NXDOMAIN. @out: for dns_forget(); may be NULL. */
void dns_ask(struct dns *dns, struct sv name, enum dns_type type, dns_fn *fn, void *arg, struct dns_query **out);
/** dns_forget - do not call. Sets *query to NULL. NULL is fine. */
void dns_forget(struct dns_query **query);
/** dns_reverse_name - where the PTR of an address lies: "1.2.0.192.in-addr.arpa", "...ip6.arpa". @ip: 16 octets, IPv4 mapped. */
void dns_reverse_name(const uint8_t ip[16], char out[80]);

/* RDATA, each checked against its length. */
/** dns_name_from - a name in wire form at the front of *rdata (taken off it) as text in lower case, dots and backslashes inside
 *  labels escaped; false when it is cut, compressed or too long. "." is the empty text. */
bool dns_name_from(struct sv *rdata, char out[4 * DNS_NAME_MAX + 1]);
bool dns_mx_from(struct sv rdata, uint16_t *preference, char host[4 * DNS_NAME_MAX + 1]);
/** dns_txt_from - the strings of a TXT record, joined (RFC 7208 §3.3); false when it is cut or out's max too small. */
bool dns_txt_from(struct sv rdata, struct buf *out);
/** dns_ip_from - of A or AAAA as 16 octets, IPv4 mapped. */
bool dns_ip_from(enum dns_type type, struct sv rdata, uint8_t out[16]);
struct dns_tlsa {
	uint8_t usage, selector, matching;
	struct sv data;         /* borrowed from rdata */
};
bool dns_tlsa_from(struct sv rdata, struct dns_tlsa *out);

#endif
