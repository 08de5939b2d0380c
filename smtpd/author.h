/* smtpd/author.h - is a message from whom it says? What is asked for once its header has passed:
 * the records of the author's domain (DMARC) and the keys of its signatures (DKIM, ARC), while the
 * body still comes. The signatures are checked, and the verdict is made, in a job when the message
 * has ended.
 *
 *   new -> feed* -> ask (loop, once the header has ended) -> on_answer -> judge (job)
 *
 * The author's domain is that of the one address in the one From field. With several authors of one
 * domain it is that domain; with several domains nobody is the author: DMARC cannot be asked, and
 * policy looks at it (RFC 9989 §11.5). */
#ifndef SMTPD_AUTHOR_H
#define SMTPD_AUTHOR_H

#include "smtpd/dkim.h"
#include "smtpd/dmarc.h"
#include "smtpd/facts.h"
#include "smtpd/origin.h"

struct author_facts {
	bool is_ambiguous;                 /* more than one domain claims to be the author's */
	char domain[DMARC_DOMAIN_MAX + 1]; /* A-labels, lower case; "" when there is none */
	struct dmarc_verdict dmarc;
	const struct dkim_verifier *dkim; /* the signatures, judged */
	bool is_vouched; /* a sealer that we trust (arc-trusted) saw DMARC pass (RFC 8617 §7.2) */
	char voucher[DMARC_DOMAIN_MAX + 1];
};

struct author;
typedef void author_fn(void *arg);

/** author_new - now_s: Unix time, against which signatures are held. */
struct author *author_new(int64_t now_s);
/** author_free - at any time on the loop; fn is not called any more. NULL is fine. */
void author_free(struct author **author);
/** author_feed - the message's octets as they came, in any cut. Loop thread: hashing what is signed
 * costs some 2 us per KiB. */
void author_feed(struct author *a, struct sv octets);
/** author_end - there is no more. Before author_judge(). */
void author_end(struct author *a);
/** author_ask - fn is called once, in a later turn. @m: its header has ended. @origin: of MAIL. */
void author_ask(struct author *a, struct dns *dns, struct loop *loop, const struct message_facts *m,
		const struct origin_facts *origin, author_fn *fn, void *arg);
bool author_is_asked(const struct author *a);
/** author_judge - in a job, after fn was called. The facts live as long as a. */
const struct author_facts *author_judge(struct author *a, const struct origin_facts *origin,
					const struct conf *conf);

#endif
