/* smtpd/dkim.h - whose signatures does a message carry, and do they hold? DKIM (RFC 6376, RFC 8301, RFC 8463) and
 * ARC (RFC 8617), checked in one pass over the message.
 *
 *   new -> feed* -> end                       the octets, in any cut
 *       -> dkim_keys_fetch (once has_header)  public keys from the DNS, while the body still comes
 *       -> judge                              public-key work, about 0.1 ms a signature: a job
 *       -> count, get, arc                    what to make of it
 *
 * The message is what came in, without the fields that we add on top. CRLF ends its lines; a bare LF is taken for one.
 *
 * A verifier is pure: any thread, one at a time; only dkim_keys_...() belong to the loop, and may read the verifier
 * while another thread feeds it the body. Bounded whatever the message is: the header is kept until it ends, then one
 * hash for each signature and two for the body; 10 signatures and 50 ARC sets are looked at.
 *
 * What is not trusted: rsa-sha1 and keys below 1024 bits (RFC 8301), keys above 4096, a signature that covers only
 * part of the body (l=, RFC 6376 §8.2), one that does not cover From, one that is expired or from the future.
 * Nothing here decides about the message: that is policy. */
#ifndef SMTPD_DKIM_H
#define SMTPD_DKIM_H

#include "common/bytes.h"

struct dns;
struct loop;

#define DKIM_SIGNATURES_MAX 10          /* from the top; more are counted, not looked at */
#define DKIM_ARC_SETS_MAX 50            /* RFC 8617 §4.2.1; more is a broken chain */
#define DKIM_KEYS_MAX (DKIM_SIGNATURES_MAX + DKIM_ARC_SETS_MAX + 1)

/* RFC 8601 §2.7.1 */
enum dkim_result {
	DKIM_NONE = 0,          /* not signed */
	DKIM_PASS,
	DKIM_FAIL,              /* it does not fit the message, or is expired */
	DKIM_POLICY,            /* it would fit, and is of a kind that we do not trust */
	DKIM_NEUTRAL,           /* cannot be read */
	DKIM_TEMPERROR,         /* the DNS did not answer */
	DKIM_PERMERROR,         /* no usable key, or a required tag is missing */
};
/** dkim_result_name - "pass", "temperror": as in Authentication-Results. */
const char *dkim_result_name(enum dkim_result result);

/* One DKIM-Signature. Texts are views of the verifier's memory and have no octets outside 33-126. */
struct dkim_signature {
	enum dkim_result result;        /* final after dkim_verifier_judge() */
	const char *reason;             /* a literal for people ("the body was changed"); "" when it passed */
	struct sv domain;               /* d=, A-labels in lower case: what DMARC compares; may be empty */
	struct sv selector;             /* s= */
	struct sv identity;             /* i=, or "@" and the domain */
	struct sv b;                    /* the first 8 octets of b= (header.b of RFC 6008) */
	struct sv algorithm;            /* a=, "rsa-sha256" */
	uint32_t key_bits;              /* 0 until the key is known */
	bool is_testing;                /* the key says t=y: treat as if not signed (RFC 6376 §3.6.1) */
};

/* One instance of an ARC chain, from i=1. */
struct arc_set {
	struct sv seal_domain, seal_selector;   /* ARC-Seal d=, s=; empty when they are no names */
	struct sv message_domain;       /* d= of the ARC-Message-Signature */
	struct sv cv;                   /* "none", "pass", "fail" */
	struct sv results;              /* of ARC-Authentication-Results: what stands behind "i=N;", as written, cut at
					   ARC_RESULTS_MAX */
};
#define ARC_RESULTS_MAX 4096
struct arc_chain {
	enum dkim_result result;        /* DKIM_NONE (no sets), PASS, FAIL, TEMPERROR (ask again later) */
	const char *reason;             /* a literal; "" when none or pass */
	size_t count;                   /* sets; 0 when there are none or the chain cannot be read */
	const struct arc_set *sets;     /* sets[count - 1] is the newest */
};

struct dkim_verifier;

/** dkim_verifier_new - @now_s: Unix time, against which t= and x= are held. */
struct dkim_verifier *dkim_verifier_new(int64_t now_s);
void dkim_verifier_free(struct dkim_verifier **v);
/** dkim_verifier_feed - the next octets. When nothing is signed the body costs nothing. */
void dkim_verifier_feed(struct dkim_verifier *v, struct sv octets);
/** dkim_verifier_has_header - the header has ended: what keys are needed is known, and does not
 * change. */
bool dkim_verifier_has_header(const struct dkim_verifier *v);
/** dkim_verifier_end - there is no more. */
void dkim_verifier_end(struct dkim_verifier *v);

/* ---- public keys ---- */

/* The DNS records that a message's signatures name, each once. Loop thread; dkim_verifier_judge()
 * reads a finished one. */
struct dkim_keys;
/** Called once, in a later turn of the loop, also when there was nothing to ask. */
typedef void dkim_keys_fn(void *arg, struct dkim_keys *keys);
/**
 * dkim_keys_fetch - ask for all of them at once.
 * @v:  with dkim_verifier_has_header(); read during this call only
 * @fn: the keys stay the caller's
 */
struct dkim_keys *dkim_keys_fetch(const struct dkim_verifier *v, struct loop *loop, struct dns *dns, dkim_keys_fn *fn,
				  void *arg);
/** dkim_keys_free - at any time; fn is not called any more. NULL is fine. */
void dkim_keys_free(struct dkim_keys **keys);

/** dkim_keys_new, dkim_keys_put - the same filled by hand (tests, a zone on file): what is not put
 * does not exist. @name: "selector._domainkey.example.org". */
struct dkim_keys *dkim_keys_new(void);
void dkim_keys_put(struct dkim_keys *keys, struct sv name, struct sv record);

/* ---- the verdict ---- */

/** dkim_verifier_judge - after the end, with the keys; once. */
void dkim_verifier_judge(struct dkim_verifier *v, const struct dkim_keys *keys);
/** dkim_verifier_count - signatures that were looked at; `total` (may be NULL): that the message
 * has. */
size_t dkim_verifier_count(const struct dkim_verifier *v, size_t *total);
/** dkim_verifier_get - from the top of the header. Valid as long as v. */
const struct dkim_signature *dkim_verifier_get(const struct dkim_verifier *v, size_t i);
const struct arc_chain *dkim_verifier_arc(const struct dkim_verifier *v);

#endif
