/* common/dnsmessage.h - DNS messages of our own (RFC 1035 §4): a question or an update (RFC 2136) written and signed with a key
 * that the server shares (TSIG, RFC 8945), what comes back read. For asking one certain server; who only wants to know what
 * the DNS says asks common/dns.h. What is read may be hostile. Pure, any thread. */
#ifndef COMMON_DNSMESSAGE_H
#define COMMON_DNSMESSAGE_H

#include "common/bytes.h"
#include "common/dns.h"

#define DNSMESSAGE_MAX 65535
#define DNSMESSAGE_HEADER 12

enum dnsmessage_opcode { DNSMESSAGE_QUERY = 0, DNSMESSAGE_UPDATE = 5 };
enum dnsmessage_section { DNSMESSAGE_QUESTION = 0, DNSMESSAGE_ANSWER, DNSMESSAGE_AUTHORITY, DNSMESSAGE_ADDITIONAL };
/* The same places have other names in an update (RFC 2136 §2). */
#define DNSMESSAGE_PREREQUISITE DNSMESSAGE_ANSWER
#define DNSMESSAGE_CHANGE DNSMESSAGE_AUTHORITY
enum dnsmessage_class { DNSMESSAGE_IN = 1, DNSMESSAGE_NONE = 254, DNSMESSAGE_ANY = 255 };
enum dnsmessage_rcode {
	DNSMESSAGE_NOERROR = 0, DNSMESSAGE_SERVFAIL = 2, DNSMESSAGE_NXDOMAIN = 3, DNSMESSAGE_REFUSED = 5,
	DNSMESSAGE_YXDOMAIN = 6, DNSMESSAGE_YXRRSET = 7, DNSMESSAGE_NXRRSET = 8, DNSMESSAGE_NOTAUTH = 9,
	DNSMESSAGE_NOTZONE = 10,
};
/** dnsmessage_rcode_name - "NOTAUTH"; never NULL. */
const char *dnsmessage_rcode_name(unsigned rcode);

/* ---- writing ---- */

/** dnsmessage_begin - a header and its one question (of an update: the zone, with type SOA). *out is emptied first; its max
 *  should be DNSMESSAGE_MAX. False: no name, or out's max. */
bool dnsmessage_begin(struct buf *out, uint16_t id, enum dnsmessage_opcode opcode, struct sv name, unsigned type);
/** dnsmessage_add - a record; sections in their order. */
bool dnsmessage_add(struct buf *out, enum dnsmessage_section section, struct sv name, unsigned type,
		    enum dnsmessage_class class, uint32_t ttl_s, struct sv rdata);

/* ---- reading ---- */

struct dnsmessage_record {
	enum dnsmessage_section section;
	char name[4 * DNS_NAME_MAX + 1];        /* lower case, as dns_name_from() has it */
	unsigned type, class;
	uint32_t ttl_s;
	struct sv rdata;                        /* names in it uncompressed; until the next call */
};

struct dnsmessage_reader {
	struct sv whole;
	size_t at;
	uint16_t id, flags;
	unsigned opcode, rcode;
	bool is_reply, is_truncated, is_authoritative;
	bool is_damaged;
	char name[4 * DNS_NAME_MAX + 1];        /* what was asked for */
	unsigned type;
	enum dnsmessage_section section;
	uint16_t left[4];
	size_t record_at;                       /* where the last record began */
	char octets[2048];                      /* rdata with its names uncompressed */
};

/** dnsmessage_read - the header and the question; false when they are damaged, or there is not exactly one question.
 *  @whole: borrowed for as long as records are read */
bool dnsmessage_read(struct dnsmessage_reader *r, struct sv whole);
/** dnsmessage_next - the next record; false at the end, and (is_damaged) when it cannot be read. */
bool dnsmessage_next(struct dnsmessage_reader *r, struct dnsmessage_record *out);

/* ---- TSIG with HMAC-SHA256 ---- */

#define DNSMESSAGE_MAC_LEN 32
struct dnsmessage_key {
	char name[DNS_NAME_MAX + 1];
	struct buf secret;              /* buf_wipe() */
};
/**
 * dnsmessage_key_parse - a key as programs write it down: `key "name" { algorithm hmac-sha256; secret "..."; };` (BIND,
 * tsig-keygen, nsd), the block that Knot's keymgr -t prints, or hmac-sha256:name:secret. False: none, or of another
 * algorithm. */
bool dnsmessage_key_parse(struct sv text, struct dnsmessage_key *out);
void dnsmessage_key_done(struct dnsmessage_key *key);
/** dnsmessage_sign - append the signature of a whole message. mac: for dnsmessage_is_signed(). False: out's max. */
bool dnsmessage_sign(struct buf *message, const struct dnsmessage_key *key, uint64_t now_s, uint8_t mac[DNSMESSAGE_MAC_LEN]);
/** dnsmessage_is_signed - is this the answer of somebody who has the key, to the request with this mac? A server that does
 *  not know the key, or has another time, says so unsigned: why is then its word ("BADKEY", "BADSIG", "BADTIME"). */
bool dnsmessage_is_signed(struct sv message, const struct dnsmessage_key *key, uint64_t now_s,
			  const uint8_t mac[DNSMESSAGE_MAC_LEN], const char **why);

#endif
