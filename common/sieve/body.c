/* The body: text of parts as it streams through the caller's reader, and the test `body` (RFC 5173). */
#include "common/sieve/sieve_private.h"

#include "common/charset.h"

#include "common/banned.h"

#define CHUNK ((size_t)8 << 10)

uint32_t sieve_part_end(const struct mime_message *m, uint32_t index)
{
	struct mime_part top, part;
	uint32_t end = index + 1;

	if (!mime_part_at(m, index, &top))
		return end;
	while (mime_part_at(m, end, &part) && part.depth > top.depth)
		end++;
	return end;
}

static struct charset_converter *converter_of(struct sieve_run *r, const struct mime_part *part)
{
	struct sieve_fields fields = { 0 };
	struct header_content content = { 0 };
	const struct header_param *charset = NULL;

	if (part->kind != MIME_TEXT || !sieve_part_fields(r, part, &fields))
		return NULL;
	for (uint32_t i = 0; i < fields.count && !charset; i++) {
		if (!sv_eq_nocase(sieve_field_name(&fields.list[i]), SV("Content-Type")))
			continue;
		if (header_parse_content(&r->part, sieve_field_raw_value(&fields.list[i]), &content))
			charset = header_param(&content, SV("charset"));
	}
	return charset_converter_new(charset ? charset->value : SV("utf-8"));
}

/* Hand over what stands in r->value and keep the last octets. */
static bool hand_over(struct sieve_run *r, size_t overlap, bool is_last, sieve_text_fn *fn, void *arg)
{
	bool is_enough = fn(arg, buf_sv(&r->value), is_last) || r->has_failed;

	if (!is_last && r->value.len > overlap)
		buf_consume(&r->value, r->value.len - overlap);
	return is_enough;
}

bool sieve_read_text(struct sieve_run *r, uint64_t offset, uint64_t len, const struct mime_part *part, size_t overlap,
		     sieve_text_fn *fn, void *arg)
{
	struct transfer_decoder decoder;
	struct charset_converter *converter = part ? converter_of(r, part) : NULL;
	struct buf chunk, decoded, text;
	bool is_enough = r->has_failed, is_end = false;

	transfer_decoder_init(&decoder, part ? part->encoding : TRANSFER_BINARY);
	buf_init(&chunk, CHUNK);
	buf_init(&decoded, CHUNK + 256);
	buf_init(&text, 4 * (CHUNK + 256) + 64);
	buf_clear(&r->value);
	if (overlap > SIEVE_VALUE_MAX / 2)
		overlap = SIEVE_VALUE_MAX / 2;
	while (!is_enough && !is_end) {
		buf_clear(&chunk);
		buf_clear(&decoded);
		buf_clear(&text);
		if (len && (!r->mail->read ||
			    !r->mail->read(r->mail->read_arg, offset, len < CHUNK ? (size_t)len : CHUNK, &chunk))) {
			r->result->is_temporary = true;
			sieve_fail(r, "the message cannot be read");
			break;
		}
		offset += chunk.len;
		len -= chunk.len;
		is_end = !len || !chunk.len;
		(void)transfer_decoder_feed(&decoder, buf_sv(&chunk), &decoded);
		if (is_end)
			(void)transfer_decoder_finish(&decoder, &decoded);
		if (converter) {
			(void)charset_converter_feed(converter, buf_sv(&decoded), &text);
			if (is_end)
				(void)charset_converter_finish(converter, &text);
		}
		struct sv piece = converter ? buf_sv(&text) : buf_sv(&decoded);
		if (!sieve_charge(r, chunk.len + piece.len))
			break;
		while (!is_enough && piece.len > SIEVE_VALUE_MAX - r->value.len) {
			struct sv part_of_it = sv_sub(piece, 0, SIEVE_VALUE_MAX - r->value.len);

			(void)buf_append(&r->value, part_of_it);
			sv_skip(&piece, part_of_it.len);
			is_enough = hand_over(r, overlap, false, fn, arg);
		}
		(void)buf_append(&r->value, piece);
	}
	if (!is_enough && !r->has_failed)
		is_enough = hand_over(r, overlap, true, fn, arg);
	charset_converter_free(&converter);
	buf_done(&chunk);
	buf_done(&decoded);
	buf_done(&text);
	return is_enough;
}

/* ---- the test ---- */

struct body_test {
	struct sieve_run *r;
	struct sieve_matcher matcher;
	size_t overlap;
	bool is_begun;          /* a piece of this text was seen */
};

static bool try_piece(void *arg, struct sv text, bool is_last)
{
	struct body_test *t = arg;
	bool is_first = !t->is_begun;
	bool in_pieces = t->matcher.match->type == MATCH_CONTAINS;

	t->is_begun = !is_last;
	if (!is_first && !in_pieces)
		return true;    /* other match types see the first SIEVE_VALUE_MAX octets of a text */
	if (t->matcher.match->type == MATCH_IS && !is_last)
		return true;    /* longer than any key */
	return sieve_matcher_try(&t->matcher, text);
}

static bool try_text(struct body_test *t, uint64_t offset, uint64_t len, const struct mime_part *part)
{
	t->is_begun = false;
	(void)sieve_read_text(t->r, offset, len, part, t->overlap, try_piece, t);
	return t->matcher.has_matched || t->r->has_failed;
}

/* RFC 5173 §5.2: "type", "type/subtype", or "" for all. */
static bool is_type(struct sv wanted, const struct mime_part *part)
{
	size_t slash = sv_find(wanted, '/');

	if (!wanted.len)
		return true;
	if (slash == SIZE_MAX)
		return sv_eq_nocase(wanted, part->type);
	return sv_eq_nocase(sv_sub(wanted, 0, slash), part->type) && sv_eq_nocase(sv_sub(wanted, slash + 1, SIZE_MAX), part->subtype);
}

/* What stands before the first boundary and behind the last one. */
static bool try_multipart(struct body_test *t, const struct mime_part *part)
{
	const struct mime_message *m = t->r->mail->message;
	uint32_t end = sieve_part_end(m, part->index);
	uint64_t part_end = part->body_offset + part->body_len;
	struct mime_part first, last = { 0 }, child;
	struct buf text;

	if (!part->child_count || !mime_part_at(m, part->index + 1, &first))
		return try_text(t, part->body_offset, part->body_len, NULL);
	for (uint32_t i = part->index + 1; i < end; i++)
		if (mime_part_at(m, i, &child) && child.depth == part->depth + 1)
			last = child;
	uint64_t epilogue = last.body_offset + last.body_len;
	uint64_t prologue = first.header_offset - part->body_offset;

	/* Each has a boundary line at its edge: it is read whole, as far as a value goes, and cut. */
	buf_init(&text, SIEVE_VALUE_MAX);
	bool is_read = !prologue || t->r->mail->read(t->r->mail->read_arg, part->body_offset,
						    prologue < SIEVE_VALUE_MAX ? (size_t)prologue : SIEVE_VALUE_MAX, &text);
	struct sv before = buf_sv(&text);
	if (sv_ends(before, SV("\r\n")))
		before.len -= 2;
	size_t line = sv_rfind(before, '\n');
	before.len = line == SIZE_MAX ? 0 : line + 1;
	if (is_read && sieve_charge(t->r, text.len))
		(void)sieve_matcher_try(&t->matcher, before);
	buf_clear(&text);
	if (is_read && !t->matcher.has_matched && epilogue < part_end) {
		is_read = t->r->mail->read(t->r->mail->read_arg, epilogue,
					   part_end - epilogue < SIEVE_VALUE_MAX ? (size_t)(part_end - epilogue) : SIEVE_VALUE_MAX,
					   &text);
		struct sv after = buf_sv(&text);
		if (sv_starts(after, SV("\r\n")))
			sv_skip(&after, 2);
		line = sv_find(after, '\n');
		sv_skip(&after, line == SIZE_MAX ? after.len : line + 1);
		if (is_read && sieve_charge(t->r, text.len))
			(void)sieve_matcher_try(&t->matcher, after);
	}
	buf_done(&text);
	if (!is_read) {
		t->r->result->is_temporary = true;
		sieve_fail(t->r, "the message cannot be read");
	}
	return t->matcher.has_matched || t->r->has_failed;
}

static bool try_part(struct body_test *t, const struct mime_part *part)
{
	struct mime_part inner;

	switch (part->kind) {
	case MIME_MULTIPART:
		return try_multipart(t, part);
	case MIME_MESSAGE:      /* the header of the message in it */
		if (!mime_part_at(t->r->mail->message, part->index + 1, &inner))
			return false;
		return try_text(t, inner.header_offset, inner.header_len, NULL);
	case MIME_LEAF: case MIME_TEXT:
		return try_text(t, part->body_offset, part->body_len, part);
	}
	return false;
}

bool sieve_test_body(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *transform = sieve_arg_of(c, SLOT_BODY);
	enum sieve_body_transform how = transform ? (enum sieve_body_transform)transform->value : BODY_TEXT;
	const struct mime_message *m = r->mail->message;
	struct body_test t = { .r = r };
	struct mime_part part;

	sieve_matcher_init(&t.matcher, r, c, SLOT_FIRST);
	t.matcher.sets_variables = false;       /* RFC 5173 §6 */
	for (uint32_t i = 0; i < t.matcher.key_count; i++) {
		size_t len = t.matcher.keys[i].text.len * 4;
		t.overlap = len > t.overlap ? len : t.overlap;
	}
	if (how == BODY_RAW) {
		if (m->wire_size > m->header_len)
			(void)try_text(&t, m->header_len, m->wire_size - m->header_len, NULL);
		else
			(void)sieve_matcher_try(&t.matcher, SV(""));
		return sieve_matcher_end(&t.matcher);
	}
	for (uint32_t i = 0; i < m->part_count && mime_part_at(m, i, &part); i++) {
		bool is_wanted = how == BODY_TEXT && part.kind == MIME_TEXT;

		for (uint32_t k = 0; how == BODY_CONTENT && k < transform->count && !is_wanted; k++)
			is_wanted = is_type(sieve_text(r, transform, k), &part);
		if (!sieve_charge(r, 16) || (is_wanted && try_part(&t, &part)))
			break;
	}
	return sieve_matcher_end(&t.matcher);
}
