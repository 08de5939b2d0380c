/* smtpd/spf.h - may this host send mail for that domain (RFC 7208)? Asked from the DNS, without
 * blocking.
 *
 * One evaluation makes at most 10 look-ups for terms, meets at most 2 empty answers, looks at 10
 * names per MX or PTR, and ends within 20 seconds (§4.6.4). Whatever the DNS says, it ends with a
 * result. Loop thread only. */
#ifndef SMTPD_SPF_H
#define SMTPD_SPF_H

#include "common/dns.h"
#include "smtpd/spf_record.h"

#define SPF_LOOKUPS_MAX 10
#define SPF_VOIDS_MAX 2
#define SPF_NAMES_MAX 10 /* hosts of an MX, names of a PTR */
#define SPF_TOTAL_MS 20000

struct spf;

/* What is asked; views must live until the end. */
struct spf_question {
	struct netaddr ip;
	struct sv local, domain; /* <sender>; local may be empty: postmaster (§4.3) */
	struct sv helo;
	struct sv our_name;
};

struct spf_answer {
	enum spf_result result;
	const char *why;       /* for people: "more than 10 look-ups"; a literal, never NULL */
	struct sv mechanism;   /* which term matched, as it stands in the record; may be empty */
	struct sv explanation; /* of a fail, from the domain's exp=; untrusted, printable ASCII; may
				  be empty */
	unsigned lookups, voids;
};

typedef void spf_fn(void *arg, const struct spf_answer *answer);
/** spf_check - fn is called once, in a later turn of the loop; the answer is borrowed for the call.
 * @out: for spf_cancel(). */
void spf_check(struct dns *dns, struct loop *loop, const struct spf_question *q, spf_fn *fn,
	       void *arg, struct spf **out);
/** spf_cancel - do not call. Sets *spf to NULL. NULL is fine. */
void spf_cancel(struct spf **spf);

#endif
