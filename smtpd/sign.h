/* smtpd/sign.h - our name under mail that leaves: DKIM-Signature fields (RFC 6376, RFC 8463) for
 * what is ours, an ARC set (RFC 8617) for what we send on. The counterpart of smtpd/dkim.h, over
 * the same canonical octets.
 *
 *   signer_new -> feed* -> finish       the fields, to be put on top of the message
 *
 * Everything blocks (key files are read, RSA costs 1 ms): jobs only. A keyring may be used from any
 * thread, a signer from one at a time. A signer that knows no key for the message's author costs
 * nothing once the header has ended. */
#ifndef SMTPD_SIGN_H
#define SMTPD_SIGN_H

#include "common/bytes.h"
#include "common/dkimkey.h"
#include "common/fault.h"

#define SIGN_FIELDS_MAX (32u << 10) /* octets that the fields of one message may take */

struct signer;

/**
 * signer_new - for one message that is the author's own: of somebody who logged in, or a DSN.
 * @keys: the instance's private keys (common/dkimkey.h); borrowed
 * The domain is that of the From field, or the nearest one above it that has keys (a DSN from
 * postmaster@mail.example.org is signed by example.org: relaxed alignment of DMARC). Several
 * addresses in From: the first.
 */
struct signer *signer_new(struct dkimkeys *keys, int64_t now_s);

/* What our seal says. */
struct signer_seal {
	struct sv domain;      /* of ours, on whose behalf the message is sent on */
	struct sv authserv_id; /* our host's name */
	struct sv results; /* as in our Authentication-Results, behind authserv-id and ";"; "none"
			      if empty */
};
/**
 * signer_new_seal - for one message that is sent on for somebody else; finish gives an ARC set.
 * What the chain says so far (cv=) is @chain of the verifier that saw it; a failed chain is sealed
 * once and then no more (RFC 8617 §5.1.2). The seal is copied when finish is called.
 */
struct arc_chain;
struct signer *signer_new_seal(struct dkimkeys *keys, int64_t now_s);

void signer_feed(struct signer *s, struct sv octets);
/** signer_finish - append the fields, each with its CRLF; nothing when there is no key. Errors:
 * FAULT_LIMIT (out's max, or a header beyond DKIM_HEADER_MAX), FAULT_INTERNAL. A message that
 * cannot be signed can still be sent. */
MUST_CHECK struct fault signer_finish(struct signer *s, struct buf *out);
/** signer_finish_seal - likewise. */
MUST_CHECK struct fault signer_finish_seal(struct signer *s, const struct signer_seal *seal,
					   const struct arc_chain *chain, struct buf *out);
/** signer_free - NULL is fine. */
void signer_free(struct signer **s);

#endif
