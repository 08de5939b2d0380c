/* smtpd/sign.h - our name under mail that leaves: DKIM-Signature fields (RFC 6376, RFC 8463) for what is ours, an ARC
 * set (RFC 8617) for what we send on. The counterpart of smtpd/dkim.h, over the same canonical octets.
 *
 *   signer_new -> feed* -> finish            fields to be put on top of the message
 *   signer_new_seal -> feed* -> finish_seal
 *
 * Everything blocks (key files are read, RSA costs 1 ms): jobs only. One signer, one thread at a time. One that finds
 * no key for the message's author costs nothing once the header has ended. */
#ifndef SMTPD_SIGN_H
#define SMTPD_SIGN_H

#include "common/bytes.h"
#include "common/dkimkey.h"
#include "common/fault.h"

#define SIGN_FIELDS_MAX (32u << 10)     /* octets: what the fields of one message may take */

struct arc_chain;
struct signer;

/**
 * signer_new - for a message whose author is ours: somebody who logged in, or we ourselves (DSN, reports).
 * @keys: borrowed until signer_free()
 * The domain is that of From (of the first address, if there are several), or the nearest one above it that has keys:
 * a DSN of postmaster@mail.example.org is signed by example.org, which is aligned for DMARC.
 */
struct signer *signer_new(struct dkimkeys *keys, int64_t now_s);
/** signer_new_seal - for a message that is sent on for somebody else. */
struct signer *signer_new_seal(struct dkimkeys *keys, int64_t now_s);
/** signer_free - NULL is fine. */
void signer_free(struct signer **s);

/** signer_feed - the next octets of the message, as they will leave. */
void signer_feed(struct signer *s, struct sv octets);

/** signer_finish - append the signatures, each a whole field; nothing when there is no key, no From, or a header beyond
 *  CANON_HEADER_MAX: such a message can be sent, too. Errors: FAULT_LIMIT (out's max), FAULT_INTERNAL; out is as it was. */
MUST_CHECK struct fault signer_finish(struct signer *s, struct buf *out);

/* What a seal says. */
struct signer_seal {
	struct sv domain;               /* of ours, for which the message is sent on */
	struct sv authserv_id;          /* our host */
	struct sv results;              /* as in our Authentication-Results, behind the id and ";"; may be folded */
	const struct arc_chain *chain;  /* what the verifier found (smtpd/dkim.h); NULL: nothing */
};
/** signer_finish_seal - append one ARC set. Nothing is sealed when there is no key, and when the chain that came does not
 *  hold: another set could not mend it (RFC 8617 §5.1.2). Errors: as signer_finish(). */
MUST_CHECK struct fault signer_finish_seal(struct signer *s, const struct signer_seal *seal, struct buf *out);

#endif
