#include "common/mime_private.h"

#include <endian.h>
#include <stdlib.h>

#include "common/crc32c.h"
#include "common/fault.h"

#include "common/banned.h"

/* The stored form, numbers in little endian:
 *
 *   magic and version   8    "PRmime" 1 0
 *   CRC32C              4    of all that follows
 *   length              4    of the whole
 *   numbers             8 each, NUMBER_COUNT of them
 *   lengths             4 each, VIEW_COUNT of them
 *   part table          ROW_SIZE each
 *   the views           one after the other, in the order of mime_build()
 *
 * It is the only form a result has: mime_build() writes it and decodes it, so that what the store reads back years later
 * goes through the same code as what was parsed just now. */
static const char magic[8] = "PRmime\1";

#define VIEW_COUNT   11
#define NUMBER_COUNT 17
#define HEAD_SIZE    (16 + 8 * NUMBER_COUNT + 4 * VIEW_COUNT)
#define ROW_SIZE     56

static void put_u64(char *p, uint64_t n)
{
	for (size_t i = 0; i < 8; i++)
		p[i] = (char)(n >> 8 * i & 255);
}

static void put_u32(char *p, uint32_t n)
{
	for (size_t i = 0; i < 4; i++)
		p[i] = (char)(n >> 8 * i & 255);
}

static uint64_t get_u64(const char *p)
{
	uint64_t n;

	memcpy(&n, p, sizeof(n));
	return le64toh(n);
}

static uint32_t get_u32(const char *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	return le32toh(n);
}

static inline bool take_view(struct sv *rest, const char *length, struct sv *out)
{
	uint32_t len = get_u32(length);

	if (len > rest->len)
		return false;
	*out = sv_from(rest->p, len);
	sv_skip(rest, len);
	return true;
}

/* All of mime_decode() but the checksum. */
static bool read_form(struct sv encoded, struct mime_message *m)
{
	const char *p = encoded.p;

	if (encoded.len < HEAD_SIZE || memcmp(p, magic, sizeof(magic)) || get_u32(p + 12) != encoded.len)
		return false;
	uint64_t parts = get_u64(p + 16 + 8 * 14);

	/* Field by field, all of them: a search comes here for each message, and clearing the struct first would double the cost. */
	m->encoded = encoded;
	m->delivered_to = SV("");
	m->raw_size = get_u64(p + 16);
	m->wire_size = get_u64(p + 16 + 8);
	m->header_len = get_u64(p + 16 + 8 * 2);
	m->bare_lf = get_u64(p + 16 + 8 * 3);
	m->bare_cr = get_u64(p + 16 + 8 * 4);
	m->nul = get_u64(p + 16 + 8 * 5);
	m->eight_bit = get_u64(p + 16 + 8 * 6);
	m->longest_line = get_u64(p + 16 + 8 * 7);
	m->facts = (uint32_t)get_u64(p + 16 + 8 * 8);
	m->from_count = (uint32_t)get_u64(p + 16 + 8 * 9);
	m->date_count = (uint32_t)get_u64(p + 16 + 8 * 10);
	m->message_id_count = (uint32_t)get_u64(p + 16 + 8 * 11);
	m->received_count = (uint32_t)get_u64(p + 16 + 8 * 12);
	m->delivered_to_count = (uint32_t)get_u64(p + 16 + 8 * 13);
	m->part_count = (uint32_t)parts;
	m->date.seconds = (int64_t)get_u64(p + 16 + 8 * 15);
	m->date.zone_min = (int32_t)(int64_t)get_u64(p + 16 + 8 * 16);
	if (!parts || parts > MIME_PARTS_MAX || m->header_len > m->wire_size)
		return false;
	uint64_t at = HEAD_SIZE, table_len = (uint64_t)ROW_SIZE * m->part_count;

	if (table_len > encoded.len - at)
		return false;
	m->part_table = sv_from(p + at, (size_t)table_len);
	at += table_len;
	struct sv rest = sv_from(p + at, encoded.len - (size_t)at);
	const char *lengths = p + 16 + 8 * NUMBER_COUNT;

	/* In the order of mime_build(). The rows and their names are one piece, but for the views between. */
	return take_view(&rest, lengths, &m->envelope) && take_view(&rest, lengths + 4, &m->bodystructure) &&
	       take_view(&rest, lengths + 8, &m->body) && take_view(&rest, lengths + 12, &m->headers) &&
	       take_view(&rest, lengths + 16, &m->base_subject) && take_view(&rest, lengths + 20, &m->from_mailbox) &&
	       take_view(&rest, lengths + 24, &m->to_mailbox) && take_view(&rest, lengths + 28, &m->cc_mailbox) &&
	       take_view(&rest, lengths + 32, &m->message_id) && take_view(&rest, lengths + 36, &m->references) &&
	       take_view(&rest, lengths + 40, &m->part_names) && !rest.len;
}

/* ---- writing ---- */

static void put_row(char *row, const struct mime_node *node, uint32_t names_at)
{
	put_u64(row, node->header_offset);
	put_u64(row + 8, node->header_len);
	put_u64(row + 16, node->body_offset);
	put_u64(row + 24, node->body_len);
	put_u64(row + 32, node->body_lines);
	put_u32(row + 40, names_at);
	put_u32(row + 44, node->parent | node->child_count << 16);     /* both are at most MIME_PARTS_MAX */
	row[48] = (char)node->type.len;
	row[49] = (char)node->subtype.len;
	row[50] = (char)node->depth;
	row[51] = (char)node->kind;
	row[52] = (char)node->encoding;
}

/* Type and subtype of a row; what has none of its own (no memory, too many parts) is octets. */
static struct sv row_names(const struct mime_parser *p, const struct mime_node *node, struct buf *names)
{
	static const struct sv defaults[] = {
		[MIME_LEAF] = SV_INIT("applicationoctet-stream"), [MIME_TEXT] = SV_INIT("textplain"),
		[MIME_MULTIPART] = SV_INIT("multipartmixed"), [MIME_MESSAGE] = SV_INIT("messagerfc822"),
	};

	buf_clear(names);
	if (!node->type.len || !node->subtype.len)
		return defaults[node->kind];
	(void)buf_append(names, mime_text(p, node->type));
	(void)buf_append(names, mime_text(p, node->subtype));
	return buf_sv(names);
}

/* As row_names does, for the lengths. */
static void set_default_lengths(struct mime_node *node)
{
	static const unsigned char lengths[][2] = {
		[MIME_LEAF] = { 11, 12 }, [MIME_TEXT] = { 4, 5 }, [MIME_MULTIPART] = { 9, 5 }, [MIME_MESSAGE] = { 7, 6 },
	};

	if (node->type.len && node->subtype.len)
		return;
	node->type.len = lengths[node->kind][0];
	node->subtype.len = lengths[node->kind][1];
	node->type.at = UINT32_MAX;
}

struct mime_message *mime_build(struct mime_parser *p)
{
	struct mime_keys *k = &p->keys;
	struct buf structure, body, names, one;
	const struct mime_node *root = &p->nodes[0];

	buf_init(&structure, (size_t)16 << 20);
	buf_init(&body, (size_t)16 << 20);
	buf_init(&names, (size_t)MIME_PARTS_MAX * 256);
	buf_init(&one, 256);
	mime_write_structure(p, true, &structure);
	mime_write_structure(p, false, &body);
	for (uint32_t i = 0; i < p->count; i++)
		(void)buf_append(&names, row_names(p, &p->nodes[i], &one));
	if (!k->references.len)
		(void)buf_append(&k->references, buf_sv(&k->in_reply_to));

	const struct sv views[VIEW_COUNT] = {
		root->envelope.len ? mime_text(p, root->envelope) : SV("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
		buf_sv(&structure), buf_sv(&body), buf_sv(&k->headers), buf_sv(&k->base_subject),
		buf_sv(&k->mailboxes[0]), buf_sv(&k->mailboxes[1]), buf_sv(&k->mailboxes[2]), buf_sv(&k->message_id),
		buf_sv(&k->references), buf_sv(&names),
	};
	const uint64_t numbers[NUMBER_COUNT] = {
		p->raw, p->wire, root->header_len, p->bare_lf, p->cr - p->crlf, p->nul, p->eight_bit, p->longest_line,
		k->facts, k->from_count, k->date_count, k->message_id_count, k->received_count, k->delivered_to_count,
		p->count, (uint64_t)k->date.seconds, (uint64_t)(int64_t)k->date.zone_min,
	};
	size_t total = HEAD_SIZE + (size_t)ROW_SIZE * p->count;

	for (size_t i = 0; i < VIEW_COUNT; i++)
		total += views[i].len;
	struct mime_message *m = xcalloc(1, sizeof(*m) + total + k->delivered_to.len);
	char *blob = (char *)(m + 1), *at = blob + HEAD_SIZE;
	uint32_t names_at = 0;

	memcpy(blob, magic, sizeof(magic));
	put_u32(blob + 12, (uint32_t)total);
	for (size_t i = 0; i < NUMBER_COUNT; i++)
		put_u64(blob + 16 + 8 * i, numbers[i]);
	for (size_t i = 0; i < VIEW_COUNT; i++)
		put_u32(blob + 16 + 8 * NUMBER_COUNT + 4 * i, (uint32_t)views[i].len);
	for (uint32_t i = 0; i < p->count; i++, at += ROW_SIZE) {
		set_default_lengths(&p->nodes[i]);
		put_row(at, &p->nodes[i], names_at);
		names_at += p->nodes[i].type.len + p->nodes[i].subtype.len;
	}
	for (size_t i = 0; i < VIEW_COUNT; i++) {
		if (views[i].len)
			memcpy(at, views[i].p, views[i].len);
		at += views[i].len;
	}
	put_u32(blob + 8, crc32c(sv_from(blob + 12, total - 12)));
	if (!read_form(sv_from(blob, total), m))
		BUG("a stored form that cannot be read: %u parts, %zu octets", p->count, total);
	if (k->delivered_to.len)
		memcpy(at, k->delivered_to.p, k->delivered_to.len);
	m->delivered_to = sv_from(at, k->delivered_to.len);
	buf_done(&structure);
	buf_done(&body);
	buf_done(&names);
	buf_done(&one);
	return m;
}

void mime_message_free(struct mime_message **m)
{
	free(*m);
	*m = NULL;
}

bool mime_encode(const struct mime_message *m, struct buf *out)
{
	return buf_append(out, m->encoded);
}

/* ---- reading ---- */

bool mime_decode(struct sv encoded, struct mime_message *out)
{
	return read_form(encoded, out) && get_u32(encoded.p + 8) == crc32c(sv_from(encoded.p + 12, encoded.len - 12));
}

bool mime_decode_again(struct sv encoded, struct mime_message *out)
{
	return read_form(encoded, out);
}

bool mime_part_at(const struct mime_message *m, uint32_t index, struct mime_part *out)
{
	if (index >= m->part_count || m->part_table.len / ROW_SIZE < m->part_count)
		return false;
	const char *row = m->part_table.p + (size_t)ROW_SIZE * index;
	uint32_t names_at = get_u32(row + 40), both = get_u32(row + 44);
	size_t type_len = (unsigned char)row[48], subtype_len = (unsigned char)row[49];

	*out = (struct mime_part){
		.index = index,
		.parent = both & 0xffff,
		.child_count = both >> 16,
		.depth = (unsigned char)row[50],
		.kind = (unsigned char)row[51] <= MIME_MESSAGE ? (enum mime_kind)row[51] : MIME_LEAF,
		.encoding = (unsigned char)row[52] <= TRANSFER_OTHER ? (enum transfer)row[52] : TRANSFER_OTHER,
		.type = sv_sub(m->part_names, names_at, type_len),
		.subtype = sv_sub(m->part_names, (size_t)names_at + type_len, subtype_len),
		.header_offset = get_u64(row),
		.header_len = get_u64(row + 8),
		.body_offset = get_u64(row + 16),
		.body_len = get_u64(row + 24),
		.body_lines = get_u64(row + 32),
	};
	/* Whoever reads a slice of a file by these numbers must not leave the message. */
	return out->header_offset <= m->wire_size && out->header_len <= m->wire_size - out->header_offset &&
	       out->body_offset <= m->wire_size && out->body_len <= m->wire_size - out->body_offset;
}

/* The message that a message/rfc822 part holds. */
static bool inner_message(const struct mime_message *m, const struct mime_part *part, struct mime_part *out)
{
	return part->kind == MIME_MESSAGE && mime_part_at(m, part->index + 1, out) && out->parent == part->index;
}

static bool find_child(const struct mime_message *m, const struct mime_part *multipart, uint32_t number,
		       struct mime_part *out)
{
	if (!multipart->child_count) {  /* BODYSTRUCTURE shows one empty text */
		*out = (struct mime_part){
			.index = multipart->index,
			.parent = multipart->index,
			.depth = multipart->depth + 1,
			.kind = MIME_TEXT,
			.type = SV("text"),
			.subtype = SV("plain"),
			.header_offset = multipart->body_offset + multipart->body_len,
			.body_offset = multipart->body_offset + multipart->body_len,
		};
		return number == 1;
	}
	for (uint32_t i = multipart->index + 1; number && mime_part_at(m, i, out); i++) {
		if (out->depth <= multipart->depth)
			return false;
		if (out->parent == multipart->index && !--number)
			return true;
	}
	return false;
}

bool mime_part_find(const struct mime_message *m, const uint32_t *path, size_t path_len, struct mime_part *out)
{
	struct mime_part part;
	bool is_message = true;         /* part is a message: its part 1, if it is no multipart, is its own body */

	if (!mime_part_at(m, 0, &part))
		return false;
	for (size_t i = 0; i < path_len; i++) {
		struct mime_part next;
		if (!is_message && part.kind != MIME_MULTIPART) {
			if (!inner_message(m, &part, &next))
				return false;
			part = next;
		}
		if (part.kind == MIME_MULTIPART) {
			if (!find_child(m, &part, path[i], &next))
				return false;
			part = next;
		} else if (path[i] != 1) {
			return false;
		}
		is_message = false;
	}
	*out = part;
	return true;
}

bool mime_section(const struct mime_message *m, const uint32_t *path, size_t path_len, enum mime_section what,
		  uint64_t *offset, uint64_t *len)
{
	struct mime_part part, inner;

	if (!mime_part_find(m, path, path_len, &part))
		return false;
	switch (what) {
	case MIME_SECTION_BODY:
		*offset = path_len ? part.body_offset : 0;
		*len = path_len ? part.body_len : m->wire_size;
		return true;
	case MIME_SECTION_MIME:
		if (!path_len)
			return false;
		*offset = part.header_offset;
		*len = part.header_len;
		return true;
	case MIME_SECTION_HEADER:
	case MIME_SECTION_TEXT:
		if (!path_len)
			inner = part;
		else if (!inner_message(m, &part, &inner))
			return false;
		*offset = what == MIME_SECTION_HEADER ? inner.header_offset : inner.body_offset;
		*len = what == MIME_SECTION_HEADER ? inner.header_len : inner.body_len;
		return true;
	}
	return false;
}
