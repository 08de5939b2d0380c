/* smtpd/dkim_private.h - what dkim.c (the verifier), dkim_signature.c (one signature), dkim_keys.c (public keys) and arc.c
 * (chains) share. */
#ifndef SMTPD_DKIM_PRIVATE_H
#define SMTPD_DKIM_PRIVATE_H

#include "common/dns.h"
#include "common/memory.h"
#include "smtpd/canon.h"
#include "smtpd/dkim.h"
#include "smtpd/taglist.h"

#define DKIM_MEMORY (512u << 10)        /* of a verifier, behind the header */

/* Fields that have the shape of a signature. */
enum sig_kind {
	SIG_DKIM,               /* DKIM-Signature */
	SIG_ARC_MESSAGE,        /* ARC-Message-Signature: i= is the instance */
	SIG_ARC_SEAL,           /* ARC-Seal: signs header fields only, and which is fixed */
};

/* One signature: what it claims, and what it would have to sign. Texts lie in the verifier's arena. */
struct sig {
	struct dkim_signature seen;     /* result: DKIM_NONE while nothing is wrong */
	enum crypt_key_type type;
	enum canon header, body;
	struct sv value;                /* of b=, decoded */
	uint8_t body_hash[CANON_HASH];  /* of bh= */
	uint8_t digest[CANON_HASH];     /* of the header, made when that ended */
	struct sv key_name;             /* where its key lies; empty when it needs none */
};

struct arc;

struct dkim_verifier {
	struct arena arena;
	struct canon_message message;
	int64_t now_s;
	struct sig sigs[DKIM_SIGNATURES_MAX];
	size_t count, total;
	struct arc *arc;                /* NULL: no set */
	struct arc_chain chain;
	struct sv key_names[DKIM_KEYS_MAX];
	size_t key_count;
	bool has_header, is_judged;
};

/* dkim_signature.c */

/** sig_fail - the first thing that is wrong stays. */
void sig_fail(struct sig *s, enum dkim_result result, const char *reason);
/** sig_read - what a field's tags say; the message's fields are not looked at. @names: set to h=. */
void sig_read(struct sig *s, enum sig_kind kind, const struct taglist *tags, struct arena *arena, int64_t now_s,
	      struct sv *names);
/** sig_hash_header - the digest of field `index`, which signs `names`. */
void sig_hash_header(struct sig *s, const struct canon_message *m, size_t index, struct sv names);
/** sig_check_body - compare bh= with what came. */
void sig_check_body(struct sig *s, struct canon_message *m);
/** sig_check_key - find the key among the records and verify: the result is final. */
void sig_check_key(struct sig *s, enum sig_kind kind, const struct dkim_keys *keys);

/* dkim_keys.c */

/* What the DNS said about one name. */
struct key_records {
	bool is_unknown;                /* no answer */
	const struct sv *texts;
	size_t count;                   /* 0: there is none */
};
struct key_records dkim_keys_get(const struct dkim_keys *keys, struct sv name);

/* dkim.c */

/** verifier_needs_key - remember the name of a signature's key, once. */
void verifier_needs_key(struct dkim_verifier *v, const struct sig *s);

/* arc.c */

/* Where the three fields of a set stand; SIZE_MAX: missing. */
struct arc_rows {
	size_t results, message, seal;
};
struct arc_table {
	const char *broken;             /* why it is no chain; NULL */
	size_t count;
	struct arc_rows rows[DKIM_ARC_SETS_MAX];
};
/** arc_gather - the sets of a header that has ended. */
void arc_gather(const struct canon_message *m, struct arc_table *out);
/** arc_add_set - the three fields of set i as a seal signs them; is_own: the seal itself comes last, without its value. */
void arc_add_set(const struct canon_message *m, const struct arc_table *table, size_t i, bool is_own, struct crypt_digest *d);

/** arc_read - gather the sets of a header that has ended; v->arc stays NULL when there are none. */
void arc_read(struct dkim_verifier *v);
/** arc_judge - v->chain. */
void arc_judge(struct dkim_verifier *v, const struct dkim_keys *keys);
void arc_free(struct arc **arc);

#endif
