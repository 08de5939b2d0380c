/* common/header.h - header blocks (RFC 5322 §2.2): fields as they arrive, their tokens and parameters.
 * Pure: no I/O, any thread, no recursion, total on any octets; one reader, one thread at a time. */
#ifndef COMMON_HEADER_H
#define COMMON_HEADER_H

#include "common/memory.h"

#define HEADER_BLOCK_MAX ((size_t)1 << 20)     /* fields beyond are skipped (is_capped) */
#define HEADER_FIELD_MAX ((size_t)100 << 10)   /* a longer field is cut for parsing (is_truncated) */
#define HEADER_PARAM_MAX 128

/* Fields that the server itself looks at. HEADER_OTHER is any other name. */
enum header_id {
	HEADER_OTHER = 0,
	HEADER_AUTHENTICATION_RESULTS, HEADER_AUTO_SUBMITTED, HEADER_BCC, HEADER_CC, HEADER_CONTENT_DESCRIPTION,
	HEADER_CONTENT_DISPOSITION, HEADER_CONTENT_ID, HEADER_CONTENT_LANGUAGE, HEADER_CONTENT_LOCATION,
	HEADER_CONTENT_MD5, HEADER_CONTENT_TRANSFER_ENCODING, HEADER_CONTENT_TYPE, HEADER_DATE, HEADER_DELIVERED_TO,
	HEADER_DKIM_SIGNATURE, HEADER_FROM, HEADER_IMPORTANCE, HEADER_IN_REPLY_TO, HEADER_LIST_HELP, HEADER_LIST_ID,
	HEADER_LIST_POST, HEADER_LIST_UNSUBSCRIBE, HEADER_MESSAGE_ID, HEADER_MIME_VERSION, HEADER_NEWSGROUPS,
	HEADER_PRECEDENCE, HEADER_PRIORITY, HEADER_RECEIVED, HEADER_REFERENCES, HEADER_REPLY_TO, HEADER_RESENT_BCC,
	HEADER_RESENT_CC, HEADER_RESENT_DATE, HEADER_RESENT_FROM, HEADER_RESENT_MESSAGE_ID, HEADER_RESENT_SENDER,
	HEADER_RESENT_TO, HEADER_RETURN_PATH, HEADER_SENDER, HEADER_SUBJECT, HEADER_TO, HEADER_X_PRIORITY,
	HEADER_ID_COUNT
};
/** header_id - by name in any case. */
enum header_id header_id(struct sv name);
/** header_name - "Message-ID" and so on, the usual spelling; empty for HEADER_OTHER. */
struct sv header_name(enum header_id id);

/* One field. Views are valid until the reader is fed again. */
struct header_field {
	enum header_id id;      /* HEADER_OTHER when is_malformed */
	struct sv name;         /* without colon and without spaces before it; empty when is_malformed */
	struct sv value;        /* raw: behind the colon, folding kept, without the last line end */
	struct sv raw;          /* the whole field with its last line end, octets as they came */
	uint64_t offset;        /* of raw, in octets from the beginning of the input */
	uint64_t len;           /* octets of the field in the input; more than raw.len when is_truncated */
	bool is_malformed;      /* no colon, an empty name, or one with octets outside 33-126: the line is kept as raw
				   and belongs to the header, but has no name (as do a folded line with nothing
				   before it, an mbox "From " line, a "Name with spaces: x") */
	bool has_space_colon;   /* "Subject : x" (RFC 5322 §4.5): accepted, the name is trimmed */
	bool is_truncated;      /* raw and value end at HEADER_FIELD_MAX */
};

enum header_event {
	HEADER_MORE = 0,        /* all input used, more is needed */
	HEADER_FIELD,           /* reader->field is set; feed again, also with empty input */
	HEADER_END,             /* the empty line was taken; the body is what is left in *in */
};

/* Lines end at LF; a CR before it belongs to the line end. A CR elsewhere is an octet like others. */
struct header_reader {
	struct header_field field;
	struct buf text;        /* of the field being read; at most HEADER_FIELD_MAX octets */
	uint64_t offset;        /* octets taken from the input so far */
	bool is_capped;         /* the block passed HEADER_BLOCK_MAX: later fields are counted, not given */
	uint64_t field_start, field_len;        /* private from here */
	uint64_t line_len;
	bool is_given, is_cr, is_ended;
};

/** header_reader_init - allocates nothing yet. */
void header_reader_init(struct header_reader *r);
/** header_reader_feed - take octets off *in. A field is given when the first octet behind it is seen (it could go on). */
enum header_event header_reader_feed(struct header_reader *r, struct sv *in);
/** header_reader_finish - the input ended without an empty line: gives the last field, then HEADER_END. */
enum header_event header_reader_finish(struct header_reader *r);
/** header_reader_again - forget what was read and begin a new block; the memory is kept. */
void header_reader_again(struct header_reader *r);
void header_reader_done(struct header_reader *r);

/** header_parse_field - fill *out from one whole field (raw, with or without its last line end). */
void header_parse_field(struct sv raw, struct header_field *out);
/** header_unfold - append the value as one line: each line end before a space or tab vanishes (RFC 5322 §2.2.3), other
 *  CR and LF and NUL become a space, spaces around it are dropped. False when the buffer's max cut it. */
bool header_unfold(struct sv value, struct buf *out);

/* ---- tokens and parameters (RFC 2045 §5.1, RFC 2183, RFC 2231) ---- */

/* Content-Type, Content-Disposition and whatever has their shape. Views live in the arena. */
struct header_param {
	struct sv name;         /* lower case, without RFC 2231's `*` marks */
	struct sv value;        /* quoting removed, continuations joined, percent signs decoded if is_extended */
	struct sv raw;          /* as value; if is_extended still with charset'language' in front and percent signs:
				   what IMAP sends as "name*" (RFC 2231 §6) */
	struct sv charset;      /* RFC 2231; empty: none given */
	struct sv language;
	bool is_extended;       /* name*= : octets of value are in `charset` */
};
struct header_content {
	struct sv type;         /* lower case: "text", or the disposition; empty when the value has no token */
	struct sv subtype;      /* lower case; empty for a disposition or when missing */
	struct header_param *params;
	size_t param_count;     /* at most HEADER_PARAM_MAX; later ones are ignored */
};
/** header_skip_cfws - drop leading white space, line ends and comments, nested ones too (RFC 5322 §3.2.2). */
void header_skip_cfws(struct sv *s);
/** header_parse_content - total; false only when the arena is used up (*out then has what fitted). Values that should be
 *  quoted and are not are taken up to the next space or `;` (name and filename: up to the `;`). */
bool header_parse_content(struct arena *a, struct sv value, struct header_content *out);
/** header_param - a parameter by its lower-case name, or NULL. Of several the first extended one, else the first. */
const struct header_param *header_param(const struct header_content *c, struct sv name);

/** header_next_msg_id - cut the next <...> off *rest, comments and junk skipped: *id is what stands between the angle
 *  brackets, without white space and quoting (RFC 5322 §3.6.4, RFC 5256 §3). False at the end, or when the arena is used
 *  up. Memory: id is a view of *rest unless something had to go, then of the arena. */
bool header_next_msg_id(struct arena *a, struct sv *rest, struct sv *id);

#endif
