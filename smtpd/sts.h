/* smtpd/sts.h - MTA-STS (RFC 8461): a domain says by HTTPS which hosts take its mail, and that they have verified TLS.
 *
 * A policy is looked up when mail goes to its domain: the TXT record says whether it changed, the fetch helper brings
 * it (smtpd/fetch.h), and it is kept on disk as long as it says, so that an attacker who stops both DNS and HTTPS finds
 * it still in force. */
#ifndef SMTPD_STS_H
#define SMTPD_STS_H

#include "common/bytes.h"

#define STS_POLICY_MAX (16u << 10)      /* octets (RFC 8461 §3.3 lets us choose); 200 names of 64 */
#define STS_MX_MAX 200                  /* patterns of one policy; one with more is invalid */
#define STS_AGE_MAX_S 31557600          /* RFC 8461 §3.2 */
#define STS_ID_MAX 32

/* ---- pure: any thread, total on any octets ---- */

enum sts_mode { STS_NONE = 0, STS_TESTING, STS_ENFORCE };

struct sts_policy {
	enum sts_mode mode;
	uint32_t max_age_s;
	struct sv mx[STS_MX_MAX];       /* views of the text: "mail.example.org", "*.example.org" */
	size_t mx_count;
};
/** sts_policy_parse - false: it is none (RFC 8461 §3.2), and *out has nothing. */
MUST_CHECK bool sts_policy_parse(struct sv text, struct sts_policy *out);
/** sts_policy_allows - may this host take the domain's mail (RFC 8461 §4.1)? */
bool sts_policy_allows(const struct sts_policy *policy, struct sv host);
/** sts_record_parse - the TXT record: "v=STSv1; id=20160831085700Z;". False: it is none. */
MUST_CHECK bool sts_record_parse(struct sv text, char id[STS_ID_MAX + 1]);

/* ---- looked up: loop thread ---- */

struct sts;
struct sts_query;
struct dns;
struct loop;

/* How a policy is fetched: smtpd/fetch.h, or a test's own. */
struct fetch;
struct fetch_result;
typedef void sts_fetch_fn(void *arg, const char *url, void (*done)(void *ctx, const struct fetch_result *result), void *ctx,
			  struct fetch **out);

/** sts_new - @dir: where policies are kept, made when missing; copied. @port: of HTTPS; 443. */
struct sts *sts_new(struct loop *loop, struct dns *dns, const char *dir, uint16_t port, sts_fetch_fn *fetch, void *arg);
/** sts_free - what is under way is forgotten. NULL is fine. */
void sts_free(struct sts **sts);

/** Called once, in a later turn. @policy: borrowed for the call; NULL: the domain has none in force. @problem: NULL, or why
 *  one that is announced could not be had, as TLS reports call it ("sts-policy-fetch-error", "sts-policy-invalid"). */
typedef void sts_fn(void *arg, const struct sts_policy *policy, const char *problem);
/** sts_find - the policy in force for a domain (A-labels, lower case). */
void sts_find(struct sts *sts, struct sv domain, sts_fn *fn, void *arg, struct sts_query **out);
/** sts_forget - do not call. Sets *query to NULL. NULL is fine. */
void sts_forget(struct sts_query **query);

#endif
