/* common/mime_private.h - the parts of the MIME parser: mime_parser.c walks the lines, mime_wire.c writes ENVELOPE and
 * BODYSTRUCTURE, mime_keys.c gathers what is said of the whole message, mime.c holds the stored form. */
#ifndef COMMON_MIME_PRIVATE_H
#define COMMON_MIME_PRIVATE_H

#include "common/mime.h"

/* What bounds a parser's memory. Nodes are about 120 octets each, hence 1.2 MiB at MIME_PARTS_MAX. */
#define MIME_TEXT_MAX     ((size_t)3 << 19)     /* pieces of BODYSTRUCTURE, envelopes, boundaries */
#define MIME_ENV_MAX      ((size_t)96 << 10)    /* one member of an envelope */
#define MIME_VALUE_MAX    ((size_t)16 << 10)    /* what is looked at of Content-* fields and other strings */
#define MIME_SUBJECT_MAX  ((size_t)4 << 10)     /* what is looked at of Subject for its base */
#define MIME_SCRATCH_MAX  ((size_t)512 << 10)
#define MIME_BOUNDARY_MAX 500                   /* RFC 2046 §5.1.1 says 70 */

/* A piece of mime_parser.text; len 0: there is none. */
struct mime_ref {
	uint32_t at, len;
};

struct mime_node {
	uint32_t parent, child_count;
	uint16_t depth;
	unsigned char kind, encoding;   /* enum mime_kind, enum transfer */
	bool is_message;                /* row 0, or what is in a message/rfc822 */
	bool is_digest;                 /* multipart/digest: parts are messages by default (RFC 2046 §5.1.5) */
	struct mime_ref type, subtype;  /* lower case */
	struct mime_ref fields;         /* leaf: `"text" "plain" (...) id desc enc`; multipart: `"mixed"` */
	struct mime_ref extension;      /* leaf: `md5 dsp lang loc`; multipart: `(...) dsp lang loc` */
	struct mime_ref envelope;       /* if is_message */
	struct mime_ref boundary;       /* multipart, until its end was seen */
	uint64_t header_offset, header_len, body_offset, body_len;
	uint64_t body_lines;            /* while open: the line ends before the body */
};

/* Members of an envelope in their order (RFC 3501 §7.4.2). */
enum mime_env {
	ENV_DATE, ENV_SUBJECT, ENV_FROM, ENV_SENDER, ENV_REPLY_TO, ENV_TO, ENV_CC, ENV_BCC, ENV_IN_REPLY_TO,
	ENV_MESSAGE_ID, ENV_COUNT
};

enum mime_content {
	CONTENT_TYPE, CONTENT_DISPOSITION, CONTENT_TRANSFER_ENCODING, CONTENT_ID, CONTENT_DESCRIPTION, CONTENT_MD5,
	CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_COUNT
};

/* What is said of the whole message. */
struct mime_keys {
	struct buf headers;             /* cached fields, CRLF form */
	struct buf references, in_reply_to, delivered_to;       /* each value followed by '\n' */
	struct buf message_id, base_subject;
	struct buf mailboxes[3];        /* From, To, Cc: the first one's local part */
	struct date date;
	uint32_t facts, delivered_to_kept;
	uint32_t from_count, date_count, message_id_count, received_count, delivered_to_count;
	bool has_subject;
};

enum mime_state {
	MIME_STATE_HEADER = 0,
	MIME_STATE_BODY,        /* of a leaf, or around the parts of a multipart */
	MIME_STATE_OPAQUE,      /* to the end of the message */
};

struct mime_parser {
	struct mime_node *nodes;
	uint32_t count, cap;
	uint32_t open[MIME_DEPTH_MAX + 1];      /* nodes from row 0 to the current one */
	uint32_t open_count;
	uint32_t boundaries;    /* open multiparts that wait for a boundary line */
	enum mime_state state;
	struct buf text;
	struct header_reader header;            /* of the current part */
	struct arena scratch;                   /* lives as long as one part's header */
	mime_watch_fn *watch;
	void *watch_arg;
	struct sv content[CONTENT_COUNT];       /* first Content-* field of each kind; p NULL: none */
	struct buf env[ENV_COUNT];              /* members in wire form, lists without their parentheses */
	struct mime_keys keys;
	uint64_t raw, wire, line_ends, bare_lf, cr, crlf, nul, eight_bit, longest_line;
	/* the current line */
	uint64_t line_start;    /* wire form */
	uint64_t line_len;      /* octets so far, line end included */
	bool is_cr;             /* the last octet is CR */
	bool is_binary;         /* mime_parser_binary() */
	bool is_candidate;      /* could be a boundary line: begins with '-' */
	uint32_t matched;       /* index in open[] + 1 of the multipart whose boundary it is; 0: not known */
	size_t prefix_len;
	char prefix[MIME_BOUNDARY_MAX + 8];
};

/* mime_wire.c */
struct mime_ref mime_text_add(struct mime_parser *p, struct sv s);
static inline struct sv mime_text(const struct mime_parser *p, struct mime_ref r)
{
	return r.len ? sv_from(p->text.p + r.at, r.len) : SV("");
}
/** mime_env_field - a field of a message's own header into the envelope being gathered. */
void mime_env_field(struct mime_parser *p, const struct header_field *f, bool is_row_0);
/** mime_env_end - the header has ended: write the envelope, begin a new one. */
struct mime_ref mime_env_end(struct mime_parser *p);
/** mime_write_fields - write node->fields and ->extension from the Content-* fields; type and kind are set. */
void mime_write_fields(struct mime_parser *p, struct mime_node *node, const struct header_content *type);
/** mime_write_structure - BODYSTRUCTURE or (without extensions) BODY of the whole message. */
void mime_write_structure(const struct mime_parser *p, bool has_extensions, struct buf *out);

/* mime_keys.c */
void mime_keys_init(struct mime_keys *k);
void mime_keys_field(struct mime_keys *k, struct arena *scratch, const struct header_field *f);
void mime_keys_done(struct mime_keys *k);
/** mime_trim_references - the first and the latest ids, at most MIME_REFERENCES_MAX and MIME_VALUE_MAX octets. */
void mime_trim_references(struct buf *ids);

/* mime.c */
/** mime_build - the result of a parser in one block. */
struct mime_message *mime_build(struct mime_parser *p);

#endif
