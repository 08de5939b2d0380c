/* imapd/sort.c - see sort.h. */
#include "imapd/sort.h"

#include <stdlib.h>

#include "common/charset.h"
#include "common/memory.h"

#include "common/banned.h"

#define DISPLAY_MAX 4096
#define FROM_FIELD 2            /* in the ENVELOPE: date, subject, from, sender, reply-to, to */
#define TO_FIELD 5

static const struct key_name {
	const char *name;
	bool is_string, needs_parse;
	enum capability capability;
} key_names[SORT_KEYS] = {
	[SORT_ARRIVAL]     = { "ARRIVAL",     false, false, CAP_NONE },
	[SORT_CC]          = { "CC",          true,  true,  CAP_NONE },
	[SORT_DATE]        = { "DATE",        false, true,  CAP_NONE },
	[SORT_DISPLAYFROM] = { "DISPLAYFROM", true,  true,  CAP_SORT_DISPLAY },
	[SORT_DISPLAYTO]   = { "DISPLAYTO",   true,  true,  CAP_SORT_DISPLAY },
	[SORT_FROM]        = { "FROM",        true,  true,  CAP_NONE },
	[SORT_SIZE]        = { "SIZE",        false, false, CAP_NONE },
	[SORT_SUBJECT]     = { "SUBJECT",     true,  true,  CAP_NONE },
	[SORT_TO]          = { "TO",          true,  true,  CAP_NONE },
};

/* ---- what the client wants ---- */

static bool read_key(struct args *list, capability_set on, struct sorter *s)
{
	bool is_reverse = args_word(list, "REVERSE");

	for (size_t i = 0; i < SORT_KEYS; i++) {
		bool is_known = false;

		if (!capability_has(on, key_names[i].capability) || !args_word(list, key_names[i].name))
			continue;
		/* A second time it could decide nothing. */
		for (size_t k = 0; k < s->key_count; k++)
			is_known |= s->keys[k].key == i;
		if (is_known)
			return true;
		s->keys[s->key_count].key = (enum sort_key)i;
		s->keys[s->key_count++].is_reverse = is_reverse;
		s->needs_parse |= key_names[i].needs_parse;
		return true;
	}
	return false;
}

bool sorter_read(struct args *args, capability_set on, size_t max, struct sorter *out)
{
	struct args list;

	*out = (struct sorter){ .max = max, .strings = { .max = max / 2 } };
	if (!args_open(args, &list) || args_end(&list))
		return false;
	while (!args_end(&list))
		if (!read_key(&list, on, out))
			return false;
	return true;
}

void sorter_like(const struct sorter *s, size_t max, struct sorter *out)
{
	*out = (struct sorter){ .key_count = s->key_count, .needs_parse = s->needs_parse, .max = max,
				.strings = { .max = max / 2 } };
	memcpy(out->keys, s->keys, sizeof(out->keys));
}

/* ---- keys of a message ---- */

int64_t sent_date(const struct message_row *row, const struct mime_message *parsed)
{
	return parsed && parsed->facts & MIME_HAS_DATE ? parsed->date.seconds : row->internaldate;
}

/* take_nstring - NIL, a quoted string or a literal off our own wire form, unescaped into out (NULL: skipped). */
static bool take_nstring(struct sv *in, struct buf *out, bool *is_nil)
{
	*is_nil = sv_starts_nocase(*in, SV("NIL"));
	if (*is_nil) {
		sv_skip(in, 3);
		return true;
	}
	if (in->len && *in->p == '{') {
		size_t end = sv_find(*in, '}');
		uint32_t n;

		if (end == SIZE_MAX || !sv_to_u32(sv_sub(*in, 1, end - 1), &n) || in->len - end < (size_t)n + 3)
			return false;
		if (out)
			buf_append(out, sv_sub(*in, end + 3, n));
		sv_skip(in, end + 3 + n);
		return true;
	}
	if (!in->len || *in->p != '"')
		return false;
	sv_skip(in, 1);
	while (in->len && *in->p != '"') {
		if (*in->p == '\\' && in->len > 1)
			sv_skip(in, 1);
		if (out)
			buf_append_c(out, *in->p);
		sv_skip(in, 1);
	}
	if (!in->len)
		return false;
	sv_skip(in, 1);
	return true;
}

static void skip_space(struct sv *in)
{
	while (in->len && *in->p == ' ')
		sv_skip(in, 1);
}

/* skip_addresses - NIL or a list of addresses, each of four nstrings. */
static bool skip_addresses(struct sv *in)
{
	unsigned depth = 0;
	bool is_nil;

	if (sv_starts_nocase(*in, SV("NIL")))
		return take_nstring(in, NULL, &is_nil);
	do {
		if (!in->len)
			return false;
		if (*in->p == '(') {
			depth++;
			sv_skip(in, 1);
		} else if (*in->p == ')') {
			depth--;
			sv_skip(in, 1);
		} else if (*in->p == ' ') {
			sv_skip(in, 1);
		} else if (!depth || !take_nstring(in, NULL, &is_nil)) {
			return false;
		}
	} while (depth);
	return true;
}

bool envelope_display(struct sv envelope, unsigned field, struct buf *out)
{
	struct buf part = { .max = DISPLAY_MAX };
	bool is_nil, has_mailbox, is_good;
	size_t start = out->len;

	if (!envelope.len || *envelope.p != '(')
		return false;
	sv_skip(&envelope, 1);
	for (unsigned i = 0; i < field; i++) {
		if (i < 2 ? !take_nstring(&envelope, NULL, &is_nil) : !skip_addresses(&envelope))
			return false;
		skip_space(&envelope);
	}
	if (!sv_starts(envelope, SV("((")))
		return true;                    /* NIL: the empty string */
	sv_skip(&envelope, 2);
	is_good = take_nstring(&envelope, &part, &is_nil);
	if (is_good && part.len)
		charset_decode_words(buf_sv(&part), out);
	if (is_good && out->len == start) {
		buf_clear(&part);
		skip_space(&envelope);
		is_good = take_nstring(&envelope, NULL, &is_nil);
		skip_space(&envelope);
		is_good = is_good && take_nstring(&envelope, &part, &is_nil);
		has_mailbox = !is_nil;
		skip_space(&envelope);
		if (is_good && has_mailbox) {
			size_t len = part.len;

			buf_append_c(&part, '@');
			is_good = take_nstring(&envelope, &part, &is_nil);
			buf_append(out, sv_sub(buf_sv(&part), 0, is_nil ? len : SIZE_MAX));
		}
	}
	buf_done(&part);
	return is_good;
}

static uint32_t display_number(struct sorter *s, struct sv envelope, unsigned field)
{
	struct buf text = { .max = DISPLAY_MAX };

	envelope_display(envelope, field, &text);
	uint32_t number = ranks_add(&s->strings, buf_sv(&text));

	buf_done(&text);
	return number;
}

static int64_t key_of(struct sorter *s, enum sort_key key, const struct message_row *row,
		      const struct mime_message *parsed)
{
	if (!parsed && key_names[key].is_string)
		return ranks_add(&s->strings, SV(""));
	switch (key) {
	case SORT_ARRIVAL:
		return row->internaldate;
	case SORT_SIZE:
		return (int64_t)row->size;
	case SORT_DATE:
		return sent_date(row, parsed);
	case SORT_CC:
		return ranks_add(&s->strings, parsed->cc_mailbox);
	case SORT_FROM:
		return ranks_add(&s->strings, parsed->from_mailbox);
	case SORT_SUBJECT:
		return ranks_add(&s->strings, parsed->base_subject);
	case SORT_TO:
		return ranks_add(&s->strings, parsed->to_mailbox);
	case SORT_DISPLAYFROM:
		return display_number(s, parsed->envelope, FROM_FIELD);
	case SORT_DISPLAYTO:
		return display_number(s, parsed->envelope, TO_FIELD);
	case SORT_KEYS:
		break;
	}
	BUG("sort key %d", (int)key);
}

static size_t stride(const struct sorter *s)
{
	return 2 + s->key_count;
}

bool sorter_take(struct sorter *s, const struct message_row *row, const struct mime_message *parsed, uint32_t number)
{
	size_t width = stride(s);

	if (s->count == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 256;

		if (cap * width * sizeof(*s->rows) > s->max / 2)
			return false;
		s->cap = cap;
		s->rows = xrealloc(s->rows, cap * width * sizeof(*s->rows));
	}
	int64_t *to = s->rows + s->count++ * width;

	to[0] = row->uid;
	to[1] = number;
	for (size_t i = 0; i < s->key_count; i++) {
		to[2 + i] = key_of(s, s->keys[i].key, row, parsed);
		if (key_names[s->keys[i].key].is_string && to[2 + i] == RANK_NONE)
			return false;
	}
	return true;
}

/* ---- order ---- */

static int by_keys(const void *a, const void *b, void *arg)
{
	const struct sorter *s = arg;
	const int64_t *x = a, *y = b;

	for (size_t i = 2; i < 2 + s->key_count; i++)
		if (x[i] != y[i])
			return (x[i] < y[i]) == s->keys[i - 2].is_reverse ? 1 : -1;
	return x[0] < y[0] ? -1 : x[0] > y[0];  /* REVERSE does not turn the mailbox's own order */
}

bool sorter_finish(struct sorter *s, uint32_t **numbers, uint32_t **uids)
{
	size_t width = stride(s);

	*numbers = *uids = NULL;
	if (!ranks_settle(&s->strings))
		return false;
	for (size_t i = 0; i < s->key_count; i++)
		for (size_t k = 0; k < s->count && key_names[s->keys[i].key].is_string; k++)
			s->rows[k * width + 2 + i] = ranks_of(&s->strings, (uint32_t)s->rows[k * width + 2 + i]);
	ranks_done(&s->strings);
	if (s->count)
		qsort_r(s->rows, s->count, width * sizeof(*s->rows), by_keys, s);
	*numbers = xmalloc((s->count + 1) * sizeof(**numbers));
	*uids = xmalloc((s->count + 1) * sizeof(**uids));
	for (size_t i = 0; i < s->count; i++) {
		(*uids)[i] = (uint32_t)s->rows[i * width];
		(*numbers)[i] = (uint32_t)s->rows[i * width + 1];
	}
	return true;
}

void sorter_done(struct sorter *s)
{
	ranks_done(&s->strings);
	free(s->rows);
	s->rows = NULL;
	s->count = s->cap = 0;
}
