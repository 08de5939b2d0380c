/* Header fields of the message and of its parts. */
#include "common/sieve/sieve_private.h"

#include "common/charset.h"

#include "common/banned.h"

struct sv sieve_field_name(const struct sieve_field *f)
{
	return sv_from(f->p, f->name_len);
}

struct sv sieve_field_raw_value(const struct sieve_field *f)
{
	struct sv value = sv_from(f->p + f->value_at, f->len - f->value_at);

	if (value.len > SIEVE_VALUE_MAX)
		value.len = SIEVE_VALUE_MAX;
	return value;
}

/* RFC 5322 §3.6.8: printable ASCII without the colon. */
bool sieve_is_field_name(struct sv name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] < 33 || name.p[i] > 126 || name.p[i] == ':')
			return false;
	return name.len > 0;
}

static void set_field(struct sieve_field *out, struct sv raw)
{
	struct header_field f;

	header_parse_field(raw, &f);
	*out = (struct sieve_field){ .p = raw.p, .len = (uint32_t)raw.len };
	size_t value_at = f.is_malformed ? SIZE_MAX : (size_t)(f.value.p - raw.p);
	if (value_at <= UINT16_MAX && f.name.p == raw.p) {
		out->name_len = (uint16_t)f.name.len;
		out->value_at = (uint16_t)value_at;
	}
}

/* The octets of the field that begins at `at`, its folded lines included; empty at the end of the header. The same cuts as
 * header_reader makes, but the block is all here, so nothing is copied. */
static struct sv field_at(struct sv block, size_t at)
{
	struct sv rest = sv_sub(block, at, SIZE_MAX);
	size_t end = 0, line;

	if (!rest.len || *rest.p == '\n' || sv_starts(rest, SV("\r\n")))
		return SV_NONE;
	do {
		line = sv_find(sv_sub(rest, end, SIZE_MAX), '\n');
		end = line == SIZE_MAX ? rest.len : end + line + 1;
	} while (end < rest.len && (rest.p[end] == ' ' || rest.p[end] == '\t'));
	return sv_sub(rest, 0, end);
}

/* Go over a block; with a list, fill it. Returns the number of fields. */
static uint32_t scan(struct sv block, struct sieve_field *list, uint32_t max)
{
	uint32_t count = 0;
	struct sv raw;

	for (size_t at = 0; count < max && (raw = field_at(block, at)).len; at += raw.len, count++)
		if (list)
			set_field(&list[count], raw);
	return count;
}

static bool read_fields(struct sieve_run *r, struct sv block, struct arena *a, struct sieve_fields *out)
{
	uint32_t count = scan(block, NULL, SIEVE_FIELDS_MAX);

	*out = (struct sieve_fields){ .list = arena_array(a, count + 1, sizeof(*out->list)) };
	if (!out->list) {
		sieve_fail(r, "the message has too many header fields");
		return false;
	}
	out->count = scan(block, out->list, count);
	out->cap = count + 1;
	return sieve_charge(r, block.len);
}

const struct sieve_fields *sieve_message_fields(struct sieve_run *r)
{
	if (!r->has_fields) {
		r->has_fields = true;
		(void)read_fields(r, r->mail->header, &r->keep, &r->fields);
	}
	return &r->fields;
}

bool sieve_part_fields(struct sieve_run *r, const struct mime_part *part, struct sieve_fields *out)
{
	struct buf text;
	struct sv block;
	size_t len = part->header_len < SIEVE_PART_MEMORY / 2 ? (size_t)part->header_len : SIEVE_PART_MEMORY / 2;
	bool is_read;

	*out = (struct sieve_fields){ 0 };
	buf_init(&text, len);
	arena_clear(&r->part);
	is_read = r->mail->read && r->mail->read(r->mail->read_arg, part->header_offset, len, &text);
	block = arena_copy(&r->part, buf_sv(&text));
	buf_done(&text);
	if (!is_read) {
		r->result->is_temporary = true;
		sieve_fail(r, "the message cannot be read");
		return false;
	}
	/* A block of one-letter fields can have more of them than there is room for: the first ones count. */
	uint32_t max = (uint32_t)((SIEVE_PART_MEMORY - len) / sizeof(struct sieve_field) / 2);
	uint32_t count = block.p ? scan(block, NULL, max) : 0;
	out->list = arena_array(&r->part, count + 1, sizeof(*out->list));
	out->count = out->list ? scan(block, out->list, count) : 0;
	return sieve_charge(r, len);
}

void sieve_walk_init(struct sieve_walk *w, const struct sieve_fields *f, struct sv name, const struct sieve_call *c)
{
	const struct sieve_arg *index = sieve_arg_of(c, SLOT_INDEX);

	*w = (struct sieve_walk){ .fields = f, .name = name, .index = index ? index->number : 0,
				  .from_end = sieve_arg_of(c, SLOT_LAST) != NULL };
}

static bool is_named(const struct sieve_walk *w, uint32_t at)
{
	return !w->name.p || sv_eq_nocase(sieve_field_name(&w->fields->list[at]), w->name);
}

uint32_t sieve_walk_next(struct sieve_walk *w)
{
	const uint32_t count = w->fields->count;

	if (!w->index) {
		while (w->at < count)
			if (is_named(w, w->at++))
				return w->at - 1;
		return UINT32_MAX;
	}
	/* One of them, counted from either end (RFC 5260 §6). */
	uint64_t left = w->index;
	for (; w->at < count; w->at++) {
		uint32_t at = w->from_end ? count - 1 - w->at : w->at;

		if (is_named(w, at) && --left == 0) {
			w->at = count;
			return at;
		}
	}
	return UINT32_MAX;
}

struct sv sieve_field_text(struct sieve_run *r, const struct sieve_field *f)
{
	struct sv raw = sieve_field_raw_value(f);

	buf_clear(&r->line);
	buf_clear(&r->value);
	(void)header_unfold(raw, &r->line);
	(void)charset_decode_words(buf_sv(&r->line), &r->value);
	sieve_charge(r, raw.len);
	return sv_trim(buf_sv(&r->value));
}

void sieve_blocks_init(struct sieve_blocks *b, struct sieve_run *r, const struct sieve_call *c)
{
	*b = (struct sieve_blocks){ .part = 0, .end = 1, .is_message = true };
	if (!sieve_arg_of(c, SLOT_MIME))
		return;
	if (r->loop_count)
		b->part = r->loops[r->loop_count - 1].part;
	b->end = sieve_arg_of(c, SLOT_ANYCHILD) ? sieve_part_end(r->mail->message, b->part) : b->part + 1;
}

bool sieve_blocks_next(struct sieve_blocks *b, struct sieve_run *r)
{
	struct mime_part part;

	if (b->part >= b->end || r->has_failed)
		return false;
	b->is_message = b->part == 0;
	if (b->is_message) {
		b->fields = *sieve_message_fields(r);
	} else if (!mime_part_at(r->mail->message, b->part, &part) || !sieve_part_fields(r, &part, &b->fields)) {
		return false;
	}
	b->part++;
	return !r->has_failed;
}

/* The last field of a message that is all header may have none. */
static bool has_line_end(const struct sieve_field *f)
{
	return f->len && f->p[f->len - 1] == '\n';
}

struct sv sieve_edited_header(struct sieve_run *r)
{
	size_t len = 2, at = 0;
	char *text;

	if (!r->is_edited || r->edited.p)
		return r->edited;
	for (uint32_t i = 0; i < r->fields.count; i++)
		len += r->fields.list[i].len + (has_line_end(&r->fields.list[i]) ? 0 : 2);
	text = arena_alloc(&r->keep, len);
	if (!text) {
		sieve_fail(r, "the message's header is too large to be edited");
		return SV_NONE;
	}
	for (uint32_t i = 0; i < r->fields.count; i++) {
		const struct sieve_field *f = &r->fields.list[i];

		memcpy(text + at, f->p, f->len);
		at += f->len;
		if (!has_line_end(f)) {
			memcpy(text + at, "\r\n", 2);
			at += 2;
		}
	}
	memcpy(text + at, "\r\n", 2);
	r->edited = sv_from(text, len);
	return r->edited;
}
