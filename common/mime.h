/* common/mime.h - what a server must know of a message, learned in one pass while it streams in.
 * Feed a message's octets in any cuts; the answer is a struct mime_message: ENVELOPE, BODYSTRUCTURE and BODY in IMAP wire
 * form (RFC 3501 §7.4.2), a table of parts, often asked header fields, sort and thread keys, facts for mail policy. Its
 * encoded form is what the store keeps: reading it back copies nothing.
 *
 * All offsets and lengths are octets of the message's wire form (common/lines.h): with each bare LF counted as
 * CRLF. For a message stored with CRLF they are file offsets.
 *
 * Bounds: nesting, parts, header sizes and memory are limited; what lies beyond becomes an opaque leaf or is
 * left out, never an error. A parser takes some 20 KiB for usual mail and at most about 4 MiB, its result 1 KiB and more.
 * Pure: no I/O, any thread; no recursion; the same answer however the input is cut. One parser, one thread at a time. */
#ifndef COMMON_MIME_H
#define COMMON_MIME_H

#include "common/date.h"
#include "common/header.h"
#include "common/lines.h"
#include "common/transfer.h"

#define MIME_DEPTH_MAX  100     /* deeper: an opaque leaf */
#define MIME_PARTS_MAX  10000   /* the last one is an opaque leaf that holds all the rest of the message */
#define MIME_HEADERS_MAX ((size_t)16 << 10)     /* of cached header fields */
#define MIME_REFERENCES_MAX 100 /* message ids kept for threading: the first and the latest ones */
#define MIME_DELIVERED_MAX  100 /* Delivered-To values kept */

enum mime_kind {
	MIME_LEAF = 0,
	MIME_TEXT,              /* text/anything: BODYSTRUCTURE has a line count */
	MIME_MULTIPART,
	MIME_MESSAGE,           /* message/rfc822: the next part in the table is the message in it */
};

/* One row of the part table, which is in preorder; row 0 is the message itself. */
struct mime_part {
	uint32_t index, parent; /* parent of row 0 is 0 */
	uint32_t depth;         /* row 0 has 0 */
	enum mime_kind kind;
	enum transfer encoding;
	struct sv type, subtype;        /* lower case */
	uint64_t header_offset, header_len;     /* the empty line behind it included */
	uint64_t body_offset, body_len;         /* without the CRLF that belongs to the next boundary */
	uint64_t body_lines;    /* line ends in the body */
	uint32_t child_count;
};

enum mime_fact {                /* bits of mime_message.facts */
	MIME_HAS_BCC            = 1 << 0,
	MIME_HAS_ATTACHMENT     = 1 << 1, /* a leaf with disposition attachment, or a named one that is not text */
	MIME_HEADERS_INCOMPLETE = 1 << 2, /* `headers` lacks fields: read the message for HEADER.FIELDS */
	MIME_HEADER_CAPPED      = 1 << 3, /* the header block or a field passed its limit and was cut for parsing */
	MIME_PARTS_CAPPED       = 1 << 4, /* depth, part or memory limit met */
	MIME_HAS_DATE           = 1 << 5, /* `date` is set */
	MIME_SUBJECT_IS_REPLY   = 1 << 6, /* base subject extraction removed re: or fwd: (RFC 5256 §2.1) */
	MIME_NO_BODY            = 1 << 7, /* no empty line: the message is all header */
	MIME_MALFORMED_HEADER   = 1 << 8, /* the message's own header has lines that are no fields */
};

struct mime_message {
	struct sv envelope;             /* "(...)", ready to be sent behind "ENVELOPE " */
	struct sv bodystructure;        /* "(...)" with extension data */
	struct sv body;                 /* "(...)" without */
	struct sv headers;              /* cached fields of the message's own header: CRLF form, original order */
	struct sv base_subject;         /* UTF-8, not folded, at most 998 octets (RFC 5256 §2.1) */
	struct sv from_mailbox, to_mailbox, cc_mailbox; /* local part of the first address, for SORT */
	struct sv message_id;           /* without <>, the first one; empty: none */
	struct sv references;           /* ids without <>, each followed by '\n': References, else the first of In-Reply-To
					   (RFC 5256 §3) */
	struct sv delivered_to;         /* values, trimmed, each followed by '\n'; not in the encoded form */
	struct date date;               /* of Date: */
	uint64_t raw_size;              /* octets fed */
	uint64_t wire_size;             /* in wire form: RFC822.SIZE */
	uint64_t header_len;            /* wire form, the empty line included */
	uint64_t bare_lf, bare_cr, nul, eight_bit;      /* how many of these octets the message has */
	uint64_t longest_line;          /* without line end */
	uint32_t facts;                 /* enum mime_fact bits */
	uint32_t from_count, date_count, message_id_count, received_count, delivered_to_count;  /* fields */
	uint32_t part_count;
	struct sv part_table, part_names;       /* encoded: use mime_part_at() */
	struct sv encoded;              /* the whole in its stored form */
};

struct mime_parser;
struct mime_parser *mime_parser_new(void);
/** mime_parser_watch - fn sees each Content-... field of each part while it passes, also a second one of its kind, which the result
 *  leaves out; borrowed for the call. */
typedef void mime_watch_fn(void *arg, const struct header_field *field);
void mime_parser_watch(struct mime_parser *p, mime_watch_fn *fn, void *arg);
/** mime_parser_binary - before the first octet: the message is no text of lines (RFC 3030). Offsets and lengths are octets as they are
 *  fed, and in bodies only CRLF ends a line: what looks like a boundary behind a bare LF is none (RFC 2046 §5.1.1). A header's lines end
 *  at LF all the same; whoever believes in it sees that none is bare. */
void mime_parser_binary(struct mime_parser *p);
void mime_parser_feed(struct mime_parser *p, struct sv in);
/** mime_parser_finish - the message has ended. Never NULL; the caller owns it, mime_message_free() ends it. The parser
 *  can only be freed afterwards. */
struct mime_message *mime_parser_finish(struct mime_parser *p);
void mime_parser_free(struct mime_parser **p);
void mime_message_free(struct mime_message **m);
/** mime_parse - a whole message at once. */
struct mime_message *mime_parse(struct sv message);

/** mime_encode - append the stored form (versioned, CRC32C). False when the buffer's max would be passed. */
bool mime_encode(const struct mime_message *m, struct buf *out);
/** mime_decode - views into the stored form, which must outlive *out. False when it is damaged, cut, or of another
 *  version: *out means nothing then, parse the message again. Checks the CRC and every length once; delivered_to is empty. */
bool mime_decode(struct sv encoded, struct mime_message *out);
/** mime_decode_again - the same of a form that mime_decode() has accepted before: every length is checked, the CRC is not. */
bool mime_decode_again(struct sv encoded, struct mime_message *out);

/** mime_part_at - row index of the table; false when there is none. */
bool mime_part_at(const struct mime_message *m, uint32_t index, struct mime_part *out);
/** mime_part_find - the part that an IMAP part specifier like 1.2.3 names (RFC 3501 §6.4.5): 1 of a message that is no
 *  multipart is its body; numbers go on into message/rfc822. False: no such part (a FETCH answers NIL). The empty
 *  path is row 0. */
bool mime_part_find(const struct mime_message *m, const uint32_t *path, size_t path_len, struct mime_part *out);

enum mime_section {
	MIME_SECTION_BODY = 0,  /* BODY[] (the whole message), BODY[1.2] (a part's body) */
	MIME_SECTION_HEADER,    /* BODY[HEADER], BODY[1.HEADER] of a message/rfc822 part; HEADER.FIELDS is read from it */
	MIME_SECTION_TEXT,      /* BODY[TEXT], BODY[1.TEXT] of a message/rfc822 part */
	MIME_SECTION_MIME,      /* BODY[1.MIME] */
};
/** mime_section - where a section lies in the wire form. False: no such section (NIL). */
bool mime_section(const struct mime_message *m, const uint32_t *path, size_t path_len, enum mime_section what,
		  uint64_t *offset, uint64_t *len);
/** mime_header_is_cached - does `headers` hold all fields of this name (MIME_HEADERS_INCOMPLETE not set)? Then
 *  HEADER.FIELDS of the message's own header needs no file. */
bool mime_header_is_cached(struct sv name);

#endif
