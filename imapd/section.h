/* imapd/section.h - sections of a message: BODY[1.2.HEADER.FIELDS (From)]<0.100> (RFC 3501 §6.4.5)
 * and, without their transfer encoding, BINARY[1.2]<0.100> and BINARY.SIZE[1.2] (RFC 3516 §4.2),
 * from the words of the client to octets. Pure: what must be read from the file is only named. */
#ifndef IMAPD_SECTION_H
#define IMAPD_SECTION_H

#include "common/memory.h"
#include "common/mime.h"
#include "imapd/args.h"
#include "imapd/writer.h"

#define SECTION_FIELDS_MAX 256

enum section_fields { FIELDS_NONE = 0, FIELDS_ONLY, FIELDS_NOT };

/* What is told of a section. */
enum section_form {
	FORM_OCTETS = 0,        /* BODY[...] */
	FORM_DECODED,           /* BINARY[...] */
	FORM_DECODED_SIZE,      /* BINARY.SIZE[...] */
	FORM_PREVIEW,           /* PREVIEW: the first words of the message (RFC 8970) */
};

struct section {
	enum section_form form;
	uint32_t path[MIME_DEPTH_MAX];
	size_t path_len;
	enum mime_section what;
	enum section_fields
		fields; /* HEADER.FIELDS, HEADER.FIELDS.NOT: `what` is MIME_SECTION_HEADER */
	const struct sv *names;
	size_t name_count;
	bool is_peek;                   /* leaves \Seen alone */
	bool has_partial;
	uint64_t from, count;           /* of the partial */
	struct sv label;                /* as the answer names it: `BODY[1.2]<0>` */
};

/**
 * section_read - the arguments are at a word that starts with BODY[, BINARY[ or the like; read it to
 * the end of its partial. False: not such a section (BAD), or the arena is full.
 */
bool section_read(struct args *args, struct arena *arena, struct section *out);
/** section_named - RFC822, RFC822.HEADER, RFC822.TEXT: the same sections under their old names.
 * False: none of these. */
bool section_named(struct sv word, struct section *out);
/** section_preview - what PREVIEW stands for. */
void section_preview(struct section *out);

enum section_source {
	SECTION_NIL = 0, /* there is no such part */
	SECTION_OCTETS,  /* in `text` */
	SECTION_SLICE,   /* octets offset, len of the wire form; the partial is cut already */
	SECTION_HEADER,  /* read offset, len of the wire form, then section_filter() */
	SECTION_ENCODED, /* octets offset, len of the wire form, to be decoded and then cut (imapd/binary.h) */
	SECTION_PREVIEW, /* like SECTION_ENCODED: the text that a preview is made of */
	SECTION_UNKNOWN, /* it is in a transfer encoding that nobody knows (RFC 3516 §4.3) */
};
struct section_place {
	enum section_source source;
	uint64_t offset, len;
	enum transfer encoding;         /* of SECTION_ENCODED and SECTION_PREVIEW */
	uint64_t header_offset, header_len;     /* of SECTION_PREVIEW: where the part's charset stands */
	bool is_html;
};
/** section_needs_parse - can it be found without the parsed message? */
bool section_needs_parse(const struct section *s);
/** section_find - where its octets are. @parsed: NULL only if !section_needs_parse(). @text: gets
 * SECTION_OCTETS. */
struct section_place section_find(const struct section *s, const struct mime_message *parsed,
				  uint64_t size, struct buf *text);
/** section_filter - the chosen fields of a header block and an empty line (RFC 3501 §6.4.5), cut to
 * the partial. False when out's max would be passed. */
bool section_filter(const struct section *s, struct sv header, struct buf *out);

#endif
