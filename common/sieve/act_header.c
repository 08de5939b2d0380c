/* editheader (RFC 5293): fields added to and taken from the message's header. */
#include "common/sieve/sieve_private.h"

#include "common/charset.h"
#include "common/transfer.h"

#include "common/banned.h"

#define LINE_MAX_CHARS 76
#define ADDED_MAX ((size_t)8 << 10)      /* octets of an added field's value; more is cut */
#define WORD_OCTETS 42          /* of text in one encoded-word: 56 of base64 and 12 around it */

/* RFC 5293 §6. */
static bool is_protected(struct sv name)
{
	return sv_eq_nocase(name, SV("Received")) || sv_eq_nocase(name, SV("Auto-Submitted"));
}

void sieve_check_addheader(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *name = sieve_arg_of(call, SLOT_FIRST), *index = sieve_arg_of(call, SLOT_INDEX);

	if (index)
		sieve_complain(c, index->at, "\"addheader\" has no option \":index\"");
	if (!name->is_dynamic && !sieve_is_field_name(name->strings[0]))
		sieve_complain(c, name->at, "\"%.*s\" is no name of a header field", SV_FMT(sv_sub(name->strings[0], 0, 60)));
}

void sieve_check_deleteheader(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *name = sieve_arg_of(call, SLOT_FIRST), *index = sieve_arg_of(call, SLOT_INDEX);

	if (!name->is_dynamic && !sieve_is_field_name(name->strings[0]))
		sieve_complain(c, name->at, "\"%.*s\" is no name of a header field", SV_FMT(sv_sub(name->strings[0], 0, 60)));
	if (index && !index->number)
		sieve_complain(c, index->at, "\":index\" counts from 1");
	if (sieve_arg_of(call, SLOT_LAST) && !index)
		sieve_complain(c, call->at, "\":last\" needs \":index\"");
	sieve_check_match(c, call, SLOT_SECOND);
}

/* Append a value as lines of a field whose name is already there: folded, and as encoded-words if it is not ASCII. */
static void append_value(struct buf *out, struct sv value)
{
	size_t column = out->len;

	if (!sv_has_8bit(value)) {
		while (value.len) {
			size_t n = 0, word;

			while (n < value.len && value.p[n] == ' ')
				n++;
			for (word = n; word < value.len && value.p[word] != ' '; )
				word++;
			if (n && word > n && column + word > LINE_MAX_CHARS && column > 1) {
				(void)buf_append(out, SV("\r\n"));
				column = 0;
			}
			(void)buf_append(out, sv_sub(value, 0, word));
			column += word;
			sv_skip(&value, word);
		}
		return;
	}
	for (bool is_first = true; value.len; is_first = false) {
		size_t n = value.len < WORD_OCTETS ? value.len : WORD_OCTETS;

		while (n > 1 && n < value.len && ((unsigned char)value.p[n] & 0xc0) == 0x80)
			n--;            /* RFC 2047 §5: a character does not go over two words */
		(void)(buf_append(out, is_first ? SV("=?utf-8?B?") : SV("\r\n =?utf-8?B?")) &&
		       base64_encode(sv_sub(value, 0, n), out) && buf_append(out, SV("?=")));
		sv_skip(&value, n);
	}
}

static bool make_room(struct sieve_run *r)
{
	struct sieve_fields *f = &r->fields;
	struct sieve_field *more;

	if (f->count < f->cap)
		return true;
	more = arena_array(&r->keep, f->cap + 16, sizeof(*more));
	if (!more) {
		sieve_fail(r, "the message has too many header fields");
		return false;
	}
	memcpy(more, f->list, f->count * sizeof(*more));
	f->list = more;
	f->cap += 16;
	return true;
}

static void note_edit(struct sieve_run *r)
{
	r->is_edited = true;
	r->edited = SV_NONE;
}

void sieve_act_addheader(struct sieve_run *r, const struct sieve_call *c)
{
	struct sv name = sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0), value = sieve_text(r, sieve_arg_of(c, SLOT_SECOND), 0);
	struct buf text, clean;

	if (!sieve_is_field_name(name) || name.len > 200) {
		sieve_fail(r, "\"%.*s\" is no name of a header field", SV_FMT(sv_sub(name, 0, 60)));
		return;
	}
	(void)sieve_message_fields(r);
	if (r->has_failed || !make_room(r))
		return;
	/* A line end in the value would begin another field. */
	buf_init(&clean, ADDED_MAX);
	(void)utf8_clean(sv_trim(value), &clean);
	for (size_t i = 0; i < clean.len; i++)
		if ((unsigned char)clean.p[i] < 32 || clean.p[i] == 127)
			clean.p[i] = ' ';
	buf_init(&text, 4 * ADDED_MAX);
	(void)(buf_append(&text, name) && buf_append(&text, SV(": ")));
	append_value(&text, buf_sv(&clean));
	(void)buf_append(&text, SV("\r\n"));
	struct sv raw = sieve_kept(r, buf_sv(&text));
	buf_done(&text);
	buf_done(&clean);
	if (r->has_failed || !sieve_charge(r, raw.len + r->fields.count))
		return;
	struct sieve_field f = { .p = raw.p, .len = (uint32_t)raw.len, .name_len = (uint16_t)name.len,
				 .value_at = (uint16_t)(name.len + 1) };
	uint32_t at = sieve_arg_of(c, SLOT_LAST) ? r->fields.count : 0;
	memmove(r->fields.list + at + 1, r->fields.list + at, (r->fields.count - at) * sizeof(f));
	r->fields.list[at] = f;
	r->fields.count++;
	note_edit(r);
	sieve_trace(r, "add header field %.*s", SV_FMT(sv_sub(raw, 0, raw.len - 2)));
}

void sieve_act_deleteheader(struct sieve_run *r, const struct sieve_call *c)
{
	struct sv name = sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0);
	const struct sieve_arg *keys = sieve_arg_of(c, SLOT_SECOND);
	uint32_t kept = 0, next, deleted = 0;
	struct sieve_walk walk;

	if (!sieve_is_field_name(name)) {
		sieve_fail(r, "\"%.*s\" is no name of a header field", SV_FMT(sv_sub(name, 0, 60)));
		return;
	}
	(void)sieve_message_fields(r);
	if (is_protected(name)) {
		sieve_trace(r, "header field %.*s is kept: it may not be deleted", SV_FMT(name));
		return;
	}
	sieve_walk_init(&walk, &r->fields, name, c);
	next = sieve_walk_next(&walk);
	const uint32_t count = r->fields.count;
	for (uint32_t i = 0; i < count; i++) {
		bool goes = i == next;

		if (goes && keys) {
			struct sieve_matcher m;

			arena_clear(&r->scratch);
			sieve_matcher_init(&m, r, c, SLOT_SECOND);
			m.sets_variables = false;
			(void)sieve_matcher_try(&m, sieve_field_text(r, &r->fields.list[i]));
			goes = sieve_matcher_end(&m);
			name = sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0);
			walk.name = name;
		}
		if (i == next)
			next = sieve_walk_next(&walk);
		if (r->has_failed)
			return;
		if (goes)
			deleted++;
		else
			r->fields.list[kept++] = r->fields.list[i];
	}
	r->fields.count = kept;
	sieve_charge(r, count);
	if (deleted)
		note_edit(r);
	sieve_trace(r, "delete %u header field%s %.*s", deleted, deleted == 1 ? "" : "s", SV_FMT(name));
}
