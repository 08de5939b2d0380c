/* smtpd/canon.h - the octets that signatures are made of: a message in canonical form (RFC 6376 §3.4), hashed in one pass
 * while it streams by. The verifier (smtpd/dkim.h) and the signer (smtpd/sign.h) both stand on it.
 *
 * The fields are kept until canon_forget_header(), at most CANON_HEADER_MAX octets and CANON_FIELDS_MAX fields; of the body
 * nothing is kept. Lines end at LF, with or without CR, and count as ended by CRLF.
 * Pure: no I/O; one object, one thread at a time. */
#ifndef SMTPD_CANON_H
#define SMTPD_CANON_H

#include "common/bytes.h"
#include "common/crypt.h"
#include "common/header.h"

#define CANON_HEADER_MAX (256u << 10)
#define CANON_FIELDS_MAX 1000
#define CANON_NAMES_MAX 250     /* names in one h= */
#define CANON_HASH CRYPT_SHA256_LEN

enum canon { CANON_SIMPLE = 0, CANON_RELAXED = 1 };

struct canon_body {
	struct crypt_digest *digest;    /* NULL: not wanted */
	enum canon how;
	uint64_t ends;                  /* line ends held back: at the end of the body they are nothing */
	bool is_cr, is_space;           /* a CR, white space held back */
	bool has_content;
	char out[512];                  /* short pieces gather here */
	size_t out_len;
};

struct canon_field {
	struct sv name;                 /* empty: a malformed line, which nobody can sign */
	struct sv value;                /* behind the colon, without the last line end */
	struct sv raw;                  /* with it, if there was one */
};

struct canon_message {
	struct header_reader reader;    /* private from here */
	struct buf text;                /* all fields, as they came */
	struct canon_row *rows;
	size_t count, room;
	bool is_over, has_ended;
	struct canon_body body[2];
};

void canon_init(struct canon_message *m);
void canon_done(struct canon_message *m);

/** canon_header - take the header's octets off *in; true once, when the body begins. */
bool canon_header(struct canon_message *m, struct sv *in);
/** canon_header_finish - the message ended; true when the header had not ended before. */
bool canon_header_finish(struct canon_message *m);
/** canon_is_over - the header passed a limit: no hash of it means anything. */
static inline bool canon_is_over(const struct canon_message *m)
{
	return m->is_over;
}
static inline size_t canon_field_count(const struct canon_message *m)
{
	return m->count;
}
/** canon_field - from the top; views until canon_forget_header(). */
struct canon_field canon_field(const struct canon_message *m, size_t i);
/** canon_forget_header - give the memory back. */
void canon_forget_header(struct canon_message *m);

/** canon_want_body - before the first octet of the body: it will be hashed in this form. */
void canon_want_body(struct canon_message *m, enum canon how);
/** canon_wants_body - does anybody? */
bool canon_wants_body(const struct canon_message *m);
void canon_body(struct canon_message *m, struct sv octets);
/** canon_body_hash - after the whole body, of a form that was wanted. Again gives the same. */
void canon_body_hash(struct canon_message *m, enum canon how, uint8_t out[CANON_HASH]);

/* ---- header ---- */

/** canon_add_field - one field in canonical form into a digest. is_last: without its CRLF (the signature's own field). */
void canon_add_field(struct crypt_digest *d, enum canon how, struct sv raw, bool is_last);
/** canon_add_signature - the signature's own field: what b= holds counts as nothing (RFC 6376 §3.7). */
void canon_add_signature(struct crypt_digest *d, enum canon how, struct sv raw, bool is_last);
/**
 * canon_add_named - the fields that a list names ("from:to:subject"), each name from the bottom up (RFC 6376 §5.4.2); names
 * that are no more there are nothing, and sign that there is none.
 * @except: index of a field that is left out (the signature's own); SIZE_MAX: none
 * False: more than CANON_NAMES_MAX names.
 */
MUST_CHECK bool canon_add_named(const struct canon_message *m, struct crypt_digest *d, enum canon how, struct sv names,
				size_t except);

#endif
