/* smtpd/tlspolicy.h - what TLS has to prove before mail is given to a host: DANE where the DNS is secure (RFC 7672), else
 * the domain's MTA-STS policy (RFC 8461), else whatever the host offers (RFC 7435).
 *
 * It is asked for each host, right before the connection, and answers in a later turn of the loop. What it says binds: a host
 * that cannot meet it gets nothing, and no other way is tried in its place (RFC 7672 §2.2, RFC 8461 §5). Where it cannot
 * find out (a TLSA lookup that fails, a proof that is wrong) the host is passed over, too: absence must be proven.
 * Loop thread only. */
#ifndef SMTPD_TLSPOLICY_H
#define SMTPD_TLSPOLICY_H

#include "common/dns.h"
#include "common/memory.h"
#include "common/tls.h"
#include "smtpd/sts.h"

struct tlspolicy;
struct tlspolicy_query;

/** tlspolicy_new - @sts: MTA-STS; NULL: it is switched off. Both are borrowed. */
struct tlspolicy *tlspolicy_new(struct loop *loop, struct dns *dns, struct sts *sts);
/** tlspolicy_free - questions under way are forgotten. NULL is fine. */
void tlspolicy_free(struct tlspolicy **tp);

enum tlspolicy_kind {
	TLSPOLICY_MAY = 1,      /* TLS if it is offered, with any certificate; in clear if not */
	TLSPOLICY_MUST,         /* TLS, with any certificate */
	TLSPOLICY_VERIFY,       /* TLS, and `expect` is met */
	TLSPOLICY_PASS_OVER,    /* nothing to this host, now: `status` and `text` say why */
};

/* Where it comes from; what TLS reports count by (RFC 8460 §4.4). */
enum tlspolicy_source { TLSPOLICY_NO_POLICY = 0, TLSPOLICY_DANE, TLSPOLICY_STS };

#define TLSPOLICY_TLSA_MAX 20           /* records of one host that are used */

struct tlspolicy_answer {
	enum tlspolicy_kind kind;
	enum tlspolicy_source source;
	struct tls_expect expect;       /* always set; what it points to lives as long as the answer */
	bool is_testing;                /* an MTA-STS policy that wants reports only: kind is MAY */
	bool is_listed;                 /* MTA-STS: the host is among the policy's */
	const char *problem;            /* NULL, or why an announced policy could not be had (RFC 8460 §4.3.2) */
	struct sv policy;               /* what was found, a line each: "3 1 1 8cb0...", "mode: enforce"; for reports */
	char status[8];                 /* "4.7.5", when passed over */
	char text[300];                 /* likewise, a sentence; else what was found: "DANE, 2 records" */
	/* private */
	char host[256], domain[256];
	const char *names[2];
	struct tls_dane tlsa[TLSPOLICY_TLSA_MAX];
	struct arena arena;
};

struct tlspolicy_question {
	struct sv domain;               /* of the recipients; the next hop of RFC 7672 §3.2.3 */
	struct sv host;                 /* the MX host; empty: an address literal, which has no policy */
	uint16_t port;
	bool is_secure;                 /* DNSSEC proved the way from domain to the host's address */
	bool wants_verified;            /* REQUIRETLS (RFC 8689 §4.2.1): verified, or not to this host */
	bool wants_none;                /* "TLS-Required: No" (RFC 8689 §5): delivery matters more */
};

/** Called once, in a later turn. The answer is the callee's: tlspolicy_answer_free(). */
typedef void tlspolicy_fn(void *arg, struct tlspolicy_answer *answer);
/** tlspolicy_ask - @question: borrowed for the call. @out: for tlspolicy_forget(); may be NULL. */
void tlspolicy_ask(struct tlspolicy *tp, const struct tlspolicy_question *question, tlspolicy_fn *fn, void *arg,
		   struct tlspolicy_query **out);
/** tlspolicy_forget - do not call. Sets *query to NULL. NULL is fine. */
void tlspolicy_forget(struct tlspolicy_query **query);
/** tlspolicy_answer_free - *answer is NULL. NULL is fine. */
void tlspolicy_answer_free(struct tlspolicy_answer **answer);

#endif
