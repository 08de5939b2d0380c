/* smtpd/origin.h - what the DNS says about where a message comes from, asked when MAIL has come:
 * SPF (RFC 7208), the name of the address (iprev, RFC 8601 §3), whether the sender's domain can get
 * answers (RFC 5321 §2.3.5, RFC 7505), and lists of addresses (RFC 5782). All at once; each
 * question has its own limits, so it ends within some 20 seconds whatever the DNS does. Loop
 * thread; the facts are a plain value. */
#ifndef SMTPD_ORIGIN_H
#define SMTPD_ORIGIN_H

#include "common/address.h"
#include "common/conf.h"
#include "smtpd/spf.h"

#define ORIGIN_LISTS_MAX 16

enum origin_name {
	ORIGIN_NAME_UNKNOWN = 0, /* the DNS did not answer */
	ORIGIN_NAME_NONE,        /* the address has no name */
	ORIGIN_NAME_UNCONFIRMED, /* it has, and no name leads back */
	ORIGIN_NAME_CONFIRMED,
};

enum origin_sender {
	ORIGIN_SENDER_UNKNOWN = 0, /* the DNS did not answer */
	ORIGIN_SENDER_GOOD,        /* has MX, A or AAAA records; or is the null sender */
	ORIGIN_SENDER_ABSENT,      /* the domain does not exist, or has neither of them */
	ORIGIN_SENDER_NULL_MX,     /* it says that it takes no mail */
};

struct origin_facts {
	enum origin_name name;
	char host[SPF_DOMAIN_MAX + 1]; /* confirmed, else the first name, else "" */
	enum spf_result spf;
	bool is_spf_of_helo; /* MAIL was <>: the HELO name was asked for (RFC 7208 §2.4) */
	char spf_domain[SPF_DOMAIN_MAX + 1];
	const char *spf_why; /* a literal */
	char spf_mechanism[208];
	char spf_explanation[SPF_TEXT_MAX + 1];
	enum origin_sender sender;
	int weight;      /* sum of the lists that have the address */
	char lists[400]; /* "zen.example=127.0.0.2 ..." */
};

struct origin;
typedef void origin_fn(void *arg, const struct origin_facts *facts);

/* Views must live until the end. */
struct origin_question {
	const struct conf *conf;
	struct netaddr peer;
	struct address sender;
	struct sv helo;
};
/** origin_ask - fn is called once, in a later turn; the facts are borrowed for the call. */
struct origin *origin_ask(struct dns *dns, struct loop *loop, const struct origin_question *q,
			  origin_fn *fn, void *arg);
/** origin_free - at any time; fn is not called any more. NULL is fine. */
void origin_free(struct origin **origin);

/** origin_list_parse - "zen.example=3", "wl.example=-2", "bl.example": a zone and its weight (1).
 * False when it is neither. */
bool origin_list_parse(struct sv item, struct sv *zone, int *weight);

#endif
