/* smtpd/dmarc.h - is the author's domain responsible for this message (DMARC, RFC 9989; records
 * written for RFC 7489 are understood)?
 *
 * Two parts. dmarc_ask() looks up, at once, every name at which a record could lie: those of the
 * tree walk from the author's domain and from each domain that may have authenticated the message,
 * each name once, at most DMARC_NAMES_MAX of them. dmarc_judge() is pure: it reads the answers and
 * says which record holds, which organisations the domains belong to, what is aligned, and what the
 * domain owner asks for. Loop thread for asking, any thread for judging. */
#ifndef SMTPD_DMARC_H
#define SMTPD_DMARC_H

#include "common/dns.h"

#define DMARC_DOMAIN_MAX 253
#define DMARC_NAMES_MAX 64
#define DMARC_WALK_MAX 8 /* names of one tree walk (RFC 9989 §4.10) */
#define DMARC_IDS_MAX 11 /* domains of signatures, and of SPF */

enum dmarc_policy { DMARC_POLICY_NONE = 0, DMARC_POLICY_QUARANTINE, DMARC_POLICY_REJECT };
/** dmarc_policy_name - "none", "quarantine", "reject". */
const char *dmarc_policy_name(enum dmarc_policy policy);

bool dmarc_policy_parse(struct sv word, enum dmarc_policy *out);

enum dmarc_psd { DMARC_PSD_UNKNOWN = 0, DMARC_PSD_YES, DMARC_PSD_NO };

struct dmarc_record {
	enum dmarc_policy p, sp, np; /* sp and np with their defaults filled in (§4.7) */
	enum dmarc_psd psd;
	bool is_dkim_strict, is_spf_strict;
	bool is_testing;  /* t=y, or the older pct=0 */
	bool has_reports; /* rua= */
};
/** dmarc_parse - false: no record of ours, or one that must be ignored (§4.10.1: no valid p= and no
 * rua=). */
bool dmarc_parse(struct sv text, struct dmarc_record *out);

/* What one name said. */
struct dmarc_name {
	char name[DMARC_DOMAIN_MAX + 1]; /* without _dmarc. */
	enum dns_status status;
	bool has_record;
	struct dmarc_record record;
};

struct dmarc_answers {
	struct dmarc_name names[DMARC_NAMES_MAX];
	size_t count;
	char author[DMARC_DOMAIN_MAX + 1];
	enum dns_status
		author_status; /* of any record at the author's domain: NXDOMAIN is np='s case */
};

struct dmarc_ask;
typedef void dmarc_fn(void *arg, const struct dmarc_answers *answers);
/** dmarc_ask - author and ids: domains, A-labels in lower case. fn is called once, in a later turn;
 * the answers live until dmarc_ask_free(), which may come at any time. */
struct dmarc_ask *dmarc_ask(struct dns *dns, struct loop *loop, struct sv author,
			    const struct sv *ids, size_t count, dmarc_fn *fn, void *arg);
void dmarc_ask_free(struct dmarc_ask **ask);

enum dmarc_result { DMARC_NONE = 0, DMARC_PASS, DMARC_FAIL, DMARC_TEMPERROR, DMARC_PERMERROR };
const char *dmarc_result_name(enum dmarc_result result);

struct dmarc_verdict {
	enum dmarc_result result;
	enum dmarc_policy policy; /* what holds for this message: of the tag that applies, one step
				     milder when testing */
	char record_at[DMARC_DOMAIN_MAX + 1]; /* where the record lies; "" when there is none */
	char organization[DMARC_DOMAIN_MAX + 1];
	bool is_testing;
	bool is_dkim_aligned, is_spf_aligned;   /* which of the two passed for the author's domain */
	struct dmarc_record record;             /* what lies at record_at */
};
/** dmarc_judge - spf: the domain that SPF passed for, or empty; dkim: the domains of good
 * signatures. */
struct dmarc_verdict dmarc_judge(const struct dmarc_answers *answers, struct sv spf,
				 const struct sv *dkim, size_t count);

/** dmarc_is_one_organization - do the walks from both names end at the same domain (§4.10.2)? Both were asked for. */
bool dmarc_is_one_organization(const struct dmarc_answers *answers, struct sv a, struct sv b);

#endif
