/* smtpd/spf_record.h - the text of an SPF record taken apart, and its macros (RFC 7208 §5, §6, §7,
 * §12). Pure: no I/O, any thread, total on any octets. */
#ifndef SMTPD_SPF_RECORD_H
#define SMTPD_SPF_RECORD_H

#include "common/bytes.h"
#include "common/netaddr.h"

#define SPF_RECORD_MAX 8192 /* octets of a record; a longer one is a permanent error */
#define SPF_DOMAIN_MAX 253  /* octets of an expanded name; labels go from the left (§7.3) */
#define SPF_TEXT_MAX 400    /* octets of an expanded explanation */

enum spf_result {
	SPF_NONE = 0,
	SPF_NEUTRAL,
	SPF_PASS,
	SPF_FAIL,
	SPF_SOFTFAIL,
	SPF_TEMPERROR,
	SPF_PERMERROR,
};
/** spf_result_name - as RFC 8601 §2.7.2 writes it. */
const char *spf_result_name(enum spf_result result);

enum spf_kind {
	/* mechanisms */
	SPF_ALL = 1,
	SPF_INCLUDE,
	SPF_A,
	SPF_MX,
	SPF_PTR,
	SPF_IP4,
	SPF_IP6,
	SPF_EXISTS,
	/* modifiers */
	SPF_REDIRECT,
	SPF_EXP,
	SPF_UNKNOWN,
};

struct spf_term {
	enum spf_kind kind;
	enum spf_result qualifier; /* of a mechanism: what a match means */
	struct sv spec;            /* domain-spec with its macros; empty: the current domain */
	uint8_t ip[16];            /* IP4, IP6: mapped */
	unsigned bits4, bits6;     /* prefixes; of IP4 bits4, of IP6 bits6 */
};

/** spf_is_record - does a TXT record say that it is one (§4.5)? */
bool spf_is_record(struct sv text);
/** spf_next_term - the next term of *rest, which spf_check_record() found good. False at the end.
 */
bool spf_next_term(struct sv *rest, struct spf_term *out);
/** spf_check_record - is the whole of it well formed (§4.6)? Sets *terms to what stands behind the
 * version. */
bool spf_check_record(struct sv record, struct sv *terms);

/* What macros stand for (§7.2). */
struct spf_macros {
	struct sv local, sender_domain; /* of <sender> */
	struct sv domain;               /* the current one */
	struct sv helo;
	struct netaddr ip;
	struct sv ip_name;  /* of %{p}; empty: unknown */
	struct sv our_name; /* of %{r} */
	int64_t now_s;      /* of %{t} */
};
/** spf_has_p - does the spec need the name of the address? */
bool spf_has_p(struct sv spec);
/** spf_expand_name - a domain-spec as the name to look up. False: it does not fit even after
 * cutting. */
bool spf_expand_name(struct sv spec, const struct spf_macros *m, struct buf *out);
/** spf_expand_text - an explanation; false when it is malformed, too long, or not printable ASCII.
 */
bool spf_expand_text(struct sv text, const struct spf_macros *m, struct buf *out);

#endif
