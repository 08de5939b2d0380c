/* imapd/search_text.c - what SEARCH finds in texts: decoded header values, decoded bodies; see
 * search.h. */
#include "imapd/search.h"


#include <stdlib.h>

#include "common/charset.h"
#include "common/header.h"
#include "imapd/plaintext.h"

#include "common/banned.h"

#define READ_SIZE ((size_t)32 << 10)
#define WHOLE_MAX (4 * READ_SIZE)       /* messages up to there are read at once */
#define TEXT_MAX ((size_t)4 << 20)      /* one header value, decoded and folded */
#define HEADER_READ_MAX HEADER_BLOCK_MAX
#define PARAMS_MEMORY ((size_t)256 << 10)

/* holds_folded - both are folded: octets. */
static bool holds_folded(struct sv text, struct sv needle)
{
	return !needle.len ||
	       (text.len >= needle.len && memmem(text.p, text.len, needle.p, needle.len));
}

bool search_holds(struct sv text, struct sv needle)
{
	struct buf folded = { .max = TEXT_MAX };

	if (!sv_has_8bit(text))
		return plaintext_holds(text, needle);
	utf8_casemap(sv_sub(text, 0, TEXT_MAX / 20), &folded);
	bool holds = holds_folded(buf_sv(&folded), needle);

	buf_done(&folded);
	return holds;
}

/* value_holds - a raw field value: unfolded, encoded-words decoded. */
static bool value_holds(struct sv value, struct sv needle)
{
	struct buf line = { .max = HEADER_FIELD_MAX * 2 }, text = { .max = HEADER_FIELD_MAX * 4 };
	bool holds;

	if (!needle.len)
		return true;
	if (plaintext_is(value))
		return plaintext_holds(value, needle);
	header_unfold(value, &line);
	charset_decode_words(buf_sv(&line), &text);
	holds = search_holds(buf_sv(&text), needle);
	buf_done(&line);
	buf_done(&text);
	return holds;
}

/* params_hold - RFC 2231: a parameter that is cut into pieces, or in a charset of its own, such as the name of an
 * attachment. */
static bool params_hold(struct sv value, struct sv needle)
{
	struct arena arena;
	struct header_content content = { 0 };
	bool holds = false;

	if (sv_find(value, '*') == SIZE_MAX || sv_find(value, '=') == SIZE_MAX)
		return false;
	arena_init(&arena, PARAMS_MEMORY);
	header_parse_content(&arena, value, &content);
	for (size_t i = 0; i < content.param_count && !holds; i++) {
		const struct header_param *p = &content.params[i];
		struct buf utf8 = { .max = HEADER_FIELD_MAX * 4 };

		if (p->is_extended)
			charset_to_utf8(p->charset, p->value, &utf8);
		holds = p->is_extended ? search_holds(buf_sv(&utf8), needle) : value_holds(p->value, needle);
		buf_done(&utf8);
	}
	arena_done(&arena);
	return holds;
}

bool search_header(struct sv block, struct sv name, struct sv needle)
{
	struct sv value;

	while (plaintext_field(&block, name, &value))
		if (value_holds(value, needle) || params_hold(value, needle))
			return true;
	return false;
}

/* behind_name - the value of a field; the whole line where there is no name. */
static struct sv behind_name(struct sv line)
{
	size_t colon = sv_find(line, ':');

	return colon == SIZE_MAX ? line : sv_sub(line, colon + 1, SIZE_MAX);
}

/* block_holds - TEXT looks at whole header blocks, names included. */
static bool block_holds(struct sv block, struct sv needle)
{
	while (block.len) {
		struct sv field = plaintext_take(&block);
		struct sv line = sv_trim(field);

		if (plaintext_holds(line, needle) || value_holds(line, needle) ||
		    params_hold(behind_name(line), needle))
			return true;
	}
	return false;
}

/* ---- files ---- */

struct file_search {
	struct message_reader *reader;
	bool is_whole;                  /* all of the message is in: */
	struct buf whole;
	struct buf block;               /* a header block, else */
	struct buf raw;                 /* a piece of a body */
	struct buf decoded, utf8, folded;
};

static struct fault read_into(struct file_search *x, uint64_t offset, size_t want, struct buf *out)
{
	struct fault f = FAULT_OK;
	size_t got = 1;

	buf_clear(out);
	if (!buf_reserve(out, want))
		return fault(FAULT_LIMIT, "header block too large");
	while (!f.kind && got && out->len < want) {
		f = message_read(x->reader, offset + out->len, out->p + out->len, want - out->len, &got);
		out->len += f.kind ? 0 : got;
	}
	return f;
}

/* read_block - a header block; a view that lives until the next call. */
static struct fault read_block(struct file_search *x, uint64_t offset, uint64_t len, struct sv *block)
{
	struct fault f = FAULT_OK;
	size_t want = len > HEADER_READ_MAX ? HEADER_READ_MAX : (size_t)len;

	*block = SV_NONE;
	if (x->is_whole) {
		*block = sv_sub(buf_sv(&x->whole), offset, want);
		return f;
	}
	f = read_into(x, offset, want, &x->block);
	if (!f.kind)
		*block = buf_sv(&x->block);
	return f;
}

/* read_piece - some octets of a body; likewise. Empty at the end of the message. */
static struct fault read_piece(struct file_search *x, uint64_t offset, uint64_t left, struct sv *piece)
{
	size_t want = left < READ_SIZE ? (size_t)left : READ_SIZE, got = 0;
	struct fault f = FAULT_OK;

	if (x->is_whole) {
		*piece = sv_sub(buf_sv(&x->whole), offset, want);
		return f;
	}
	if (!buf_reserve(&x->raw, READ_SIZE))
		BUG("no room for a piece");
	f = message_read(x->reader, offset, x->raw.p, want, &got);
	*piece = sv_from(x->raw.p, got);
	return f;
}

struct sv search_charset(struct sv block, struct arena *arena)
{
	while (block.len) {
		struct sv field = plaintext_take(&block);
		size_t colon = sv_find(field, ':');
		struct header_content content;
		const struct header_param *param;

		if (colon == SIZE_MAX ||
		    !sv_eq_nocase(sv_trim(sv_sub(field, 0, colon)), SV("Content-Type")))
			continue;
		if (!header_parse_content(arena, sv_sub(field, colon + 1, SIZE_MAX), &content))
			break;
		param = header_param(&content, SV("charset"));
		return param ? param->value : SV_NONE;
	}
	return SV_NONE;
}

/* take_text - fold what was decoded and look for the needle; the end is kept, for a needle that
 * lies across two reads. */
static bool take_text(struct file_search *x, struct sv needle)
{
	utf8_casemap(buf_sv(&x->utf8), &x->folded);
	buf_clear(&x->utf8);
	if (holds_folded(buf_sv(&x->folded), needle))
		return true;
	if (x->folded.len >= needle.len)
		buf_consume(&x->folded, x->folded.len - needle.len + 1);
	return false;
}

/* has_ascii - is ASCII in this charset what it looks like? Not so where an escape or a "+" means another alphabet. */
static bool has_ascii(struct sv charset)
{
	return !charset.len || sv_eq_nocase(charset, SV("us-ascii")) || sv_eq_nocase(charset, SV("utf-8")) ||
	       sv_starts_nocase(charset, SV("iso-8859-")) || sv_starts_nocase(charset, SV("windows-125"));
}

/* is_plain - is this part, where it lies, the text that decoding and converting would give? */
static bool is_plain(const struct file_search *x, const struct mime_part *part, struct sv charset, struct sv *text)
{
	if (!x->is_whole || part->encoding == TRANSFER_BASE64 || part->encoding == TRANSFER_QUOTED_PRINTABLE || !has_ascii(charset))
		return false;
	*text = sv_sub(buf_sv(&x->whole), part->body_offset, part->body_len);
	return !sv_has_8bit(*text);
}

static struct fault decoded_part(struct file_search *x, const struct mime_part *part, struct sv charset, struct sv needle, bool *found)
{
	struct charset_converter *converter = charset_converter_new(charset);
	struct transfer_decoder decoder;
	struct fault f = FAULT_OK;
	uint64_t done = 0;

	transfer_decoder_init(&decoder, part->encoding);
	buf_clear(&x->folded);
	buf_clear(&x->utf8);
	while (!f.kind && !*found && done < part->body_len) {
		struct sv piece = SV_NONE;

		f = read_piece(x, part->body_offset + done, part->body_len - done, &piece);
		if (f.kind || !piece.len)
			break;
		done += piece.len;
		buf_clear(&x->decoded);
		transfer_decoder_feed(&decoder, piece, &x->decoded);
		charset_converter_feed(converter, buf_sv(&x->decoded), &x->utf8);
		*found = take_text(x, needle);
	}
	if (!f.kind && !*found) {
		buf_clear(&x->decoded);
		transfer_decoder_finish(&decoder, &x->decoded);
		charset_converter_feed(converter, buf_sv(&x->decoded), &x->utf8);
		charset_converter_finish(converter, &x->utf8);
		*found = take_text(x, needle);
	}
	charset_converter_free(&converter);
	return f;
}

static struct fault text_part(struct file_search *x, const struct mime_part *part, struct sv needle,
			      bool *found)
{
	struct arena arena;
	struct sv block, text;
	/* The part table has no charset. */
	struct fault f = read_block(x, part->header_offset, part->header_len, &block);

	if (f.kind)
		return f;
	arena_init(&arena, (size_t)256 << 10);
	struct sv charset = search_charset(block, &arena);

	if (is_plain(x, part, charset, &text))
		*found = plaintext_holds(text, needle);
	else
		f = decoded_part(x, part, charset, needle, found);
	arena_done(&arena);
	return f;
}

/* body_holds - every text part, decoded, and the headers of all parts. With header: the
 * message's own, too. */
static struct fault body_holds(struct file_search *x, const struct mime_message *parsed,
			       struct sv needle, bool with_header, bool *found)
{
	struct fault f = FAULT_OK;
	struct mime_part part;
	struct sv block;

	*found = !needle.len;
	for (uint32_t i = 0; !f.kind && !*found && mime_part_at(parsed, i, &part); i++) {
		/* The body's octets include the headers of its parts, names of attachments among them. */
		if (i || with_header) {
			f = read_block(x, part.header_offset, part.header_len, &block);
			*found = !f.kind && block_holds(block, needle);
		}
		if (!f.kind && !*found && part.kind == MIME_TEXT)
			f = text_part(x, &part, needle, found);
	}
	return f;
}

static struct fault answer(struct file_search *x, const struct search_key *key,
			   const struct mime_message *parsed, enum truth *out)
{
	bool found = false;
	struct sv block;
	struct fault f;

	if (key->op == OP_HEADER) {
		f = read_block(x, 0, parsed->header_len, &block);
		found = !f.kind && search_header(block, key->name, key->text);
	} else {
		f = body_holds(x, parsed, key->text, key->op == OP_TEXT, &found);
	}
	*out = found ? YES : NO;
	return f;
}

struct fault search_file(const struct search *s, const struct message_row *row, bool is_recent,
			 const struct mime_message *parsed, struct message_reader *reader,
			 enum truth *result)
{
	enum truth *answers = xmalloc(s->count * sizeof(*answers));
	struct search_message m = {
		.row = row, .parsed = parsed, .is_recent = is_recent, .answers = answers
	};
	struct file_search x = {
		.reader = reader,
		.whole = { .max = WHOLE_MAX },
		.raw = { .max = READ_SIZE },
		.block = { .max = HEADER_READ_MAX },
		.decoded = { .max = 4 * READ_SIZE },
		.utf8 = { .max = 16 * READ_SIZE },
		.folded = { .max = TEXT_MAX },
	};
	struct fault f = FAULT_OK;

	if (message_size(reader) <= WHOLE_MAX) {
		f = read_into(&x, 0, (size_t)message_size(reader), &x.whole);
		x.is_whole = !f.kind;
	}
	for (size_t i = 0; i < s->count; i++)
		answers[i] = UNKNOWN;
	*result = search_run(s, &m);
	for (size_t i = 0; i < s->count && !f.kind && *result == UNKNOWN; i++) {
		enum search_op op = s->keys[i].op;

		if (op != OP_BODY && op != OP_TEXT && op != OP_HEADER)
			continue;
		f = answer(&x, &s->keys[i], parsed, &answers[i]);
		*result = search_run(s, &m);
	}
	if (f.kind)
		*result = NO;
	buf_done(&x.whole);
	buf_done(&x.raw);
	buf_done(&x.block);
	buf_done(&x.decoded);
	buf_done(&x.utf8);
	buf_done(&x.folded);
	free(answers);
	return f;
}
