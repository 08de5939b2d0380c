#include "smtpd/canon.h"

#include <stdlib.h>

#include "common/banned.h"

struct canon_row {
	uint32_t start, len;            /* in text */
	uint32_t name_len;              /* 0: malformed */
	uint32_t value;                 /* where it begins in the field */
	uint32_t hash;                  /* of the name in lower case */
};

static bool is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/* ---- the header is kept ---- */

void canon_init(struct canon_message *m)
{
	*m = (struct canon_message){ .count = 0 };
	header_reader_init(&m->reader);
	buf_init(&m->text, CANON_HEADER_MAX);
}

void canon_forget_header(struct canon_message *m)
{
	buf_done(&m->text);
	free(m->rows);
	m->rows = NULL;
	m->count = m->room = 0;
}

void canon_done(struct canon_message *m)
{
	canon_forget_header(m);
	header_reader_done(&m->reader);
	for (size_t i = 0; i < ARRAY_LEN(m->body); i++)
		crypt_digest_free(&m->body[i].digest);
}

/* name_hash - FNV-1a: it only saves comparisons, and the number of fields is bounded. */
static uint32_t name_hash(struct sv name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (unsigned char)ascii_lower(name.p[i])) * 16777619u;
	return h;
}

static struct canon_row *new_row(struct canon_message *m)
{
	if (m->count == m->room) {
		m->room = m->room ? 2 * m->room : 32;
		m->rows = xrealloc(m->rows, m->room * sizeof(*m->rows));
	}
	return &m->rows[m->count++];
}

static void keep_field(struct canon_message *m, const struct header_field *f)
{
	if (m->is_over)
		return;
	if (f->is_truncated || m->count == CANON_FIELDS_MAX || m->text.len + f->raw.len > m->text.max) {
		m->is_over = true;
		canon_forget_header(m);
		return;
	}
	*new_row(m) = (struct canon_row){
		.start = (uint32_t)m->text.len,
		.len = (uint32_t)f->raw.len,
		.name_len = (uint32_t)f->name.len,
		.value = f->name.len ? (uint32_t)sv_find(f->raw, ':') + 1 : 0,
		.hash = name_hash(f->name),
	};
	buf_append(&m->text, f->raw);
}

/* end_header - the reader's memory goes at once: a body may take an hour. */
static void end_header(struct canon_message *m)
{
	m->is_over |= m->reader.is_capped;
	m->has_ended = true;
	header_reader_done(&m->reader);
	header_reader_init(&m->reader);
}

bool canon_header(struct canon_message *m, struct sv *in)
{
	while (!m->has_ended) {
		switch (header_reader_feed(&m->reader, in)) {
		case HEADER_MORE:
			return false;
		case HEADER_FIELD:
			keep_field(m, &m->reader.field);
			break;
		case HEADER_END:
			end_header(m);
			return true;
		}
	}
	return false;
}

bool canon_header_finish(struct canon_message *m)
{
	if (m->has_ended)
		return false;
	while (header_reader_finish(&m->reader) == HEADER_FIELD)
		keep_field(m, &m->reader.field);
	end_header(m);
	return true;
}

struct canon_field canon_field(const struct canon_message *m, size_t i)
{
	const struct canon_row *r = &m->rows[i];
	struct sv raw = sv_sub(buf_sv(&m->text), r->start, r->len), value = raw;

	if (!r->name_len)
		return (struct canon_field){ .raw = raw };
	sv_skip(&value, r->value);
	if (sv_ends(value, SV("\n")))
		value.len--;
	if (sv_ends(value, SV("\r")))
		value.len--;
	return (struct canon_field){ sv_sub(raw, 0, r->name_len), value, raw };
}

/* ---- fields in canonical form ---- */

/* One field's octets on their way to a digest. */
struct field_sink {
	struct crypt_digest *digest;
	char out[256];
	size_t len;
};

static void sink_flush(struct field_sink *s)
{
	crypt_digest_add(s->digest, sv_from(s->out, s->len));
	s->len = 0;
}

static void sink_c(struct field_sink *s, char c)
{
	if (s->len == sizeof(s->out))
		sink_flush(s);
	s->out[s->len++] = c;
}

/* sink_simple - as it is, each line end as CRLF (RFC 6376 §3.4.1). */
static void sink_simple(struct field_sink *s, struct sv raw)
{
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.p[i] == '\n' && (!i || raw.p[i - 1] != '\r'))
			sink_c(s, '\r');
		sink_c(s, raw.p[i]);
	}
}

/* sink_relaxed - the name in lower case, the value unfolded, runs of white space as one space, none at its ends (RFC 6376
 * §3.4.2). A CR or LF that folds nothing cannot stand inside a field; if one does, it stays. */
static void sink_relaxed(struct field_sink *s, struct sv raw)
{
	size_t colon = sv_find(raw, ':'), i = 0;
	bool has_space = false, has_value = false;

	for (; colon != SIZE_MAX && i < colon; i++)
		if (!is_wsp(raw.p[i]))
			sink_c(s, ascii_lower(raw.p[i]));
	if (i < raw.len)
		sink_c(s, raw.p[i++]);
	for (; i < raw.len; i++) {
		char c = raw.p[i];

		if (is_wsp(c)) {
			has_space = true;
		} else if (c != '\n' && !(c == '\r' && i + 1 < raw.len && raw.p[i + 1] == '\n')) {
			if (has_space && has_value)
				sink_c(s, ' ');
			has_space = false;
			has_value = true;
			sink_c(s, c);
		}
	}
}

void canon_add_field(struct crypt_digest *d, enum canon how, struct sv raw, bool is_last)
{
	struct field_sink s = { .digest = d };

	if (sv_ends(raw, SV("\n")))
		raw.len--;
	if (sv_ends(raw, SV("\r")))
		raw.len--;
	if (how == CANON_SIMPLE)
		sink_simple(&s, raw);
	else
		sink_relaxed(&s, raw);
	if (!is_last) {
		sink_c(&s, '\r');
		sink_c(&s, '\n');
	}
	sink_flush(&s);
}

/* b_value - where the value of b= stands in a field: from behind "=" to the ";" or the end. */
static bool b_value(struct sv raw, size_t *from, size_t *to)
{
	size_t at = sv_find(raw, ':');

	while (at != SIZE_MAX && at < raw.len) {
		struct sv rest = sv_sub(raw, at + 1, raw.len);
		size_t semicolon = sv_find(rest, ';');
		struct sv part = sv_sub(rest, 0, semicolon);
		size_t equals = sv_find(part, '=');

		if (equals != SIZE_MAX && sv_eq(sv_trim(sv_sub(part, 0, equals)), SV("b"))) {
			*from = at + 1 + equals + 1;
			*to = at + 1 + part.len;
			return true;
		}
		at = semicolon == SIZE_MAX ? SIZE_MAX : at + 1 + semicolon;
	}
	return false;
}

void canon_add_signature(struct crypt_digest *d, enum canon how, struct sv raw, bool is_last)
{
	struct buf without;
	size_t from, to;

	buf_init(&without, raw.len);
	if (b_value(raw, &from, &to)) {
		buf_append(&without, sv_sub(raw, 0, from));
		buf_append(&without, sv_sub(raw, to, raw.len));
	} else {
		buf_append(&without, raw);
	}
	canon_add_field(d, how, buf_sv(&without), is_last);
	buf_done(&without);
}

/* A name of h=, and how far up its fields are used. */
struct named {
	struct sv name;
	size_t next;                    /* search goes on below this index; 0: all are used */
};

static bool row_is(const struct canon_message *m, size_t i, struct sv name, uint32_t hash)
{
	const struct canon_row *r = &m->rows[i];

	return r->hash == hash && r->name_len == name.len &&
	       sv_eq_nocase(sv_sub(buf_sv(&m->text), r->start, r->name_len), name);
}

/* find_up - the lowest field of that name above *below. */
static bool find_up(const struct canon_message *m, struct sv name, size_t except, size_t *below)
{
	uint32_t hash = name_hash(name);

	while (name.len && *below) {
		size_t i = --*below;

		if (i != except && row_is(m, i, name, hash))
			return true;
	}
	return false;
}

bool canon_add_named(const struct canon_message *m, struct crypt_digest *d, enum canon how, struct sv names, size_t except)
{
	struct named *used = xcalloc(CANON_NAMES_MAX, sizeof(*used));
	size_t count = 0, total = 0;
	bool fits = true;
	struct sv part;

	while (fits && sv_split(&names, ':', &part)) {
		struct sv name = sv_trim(part);
		size_t i = 0;

		fits = total++ < CANON_NAMES_MAX;
		while (i < count && !sv_eq_nocase(used[i].name, name))
			i++;
		if (fits && i == count)
			used[count++] = (struct named){ name, m->count };
		if (fits && find_up(m, name, except, &used[i].next))
			canon_add_field(d, how, canon_field(m, used[i].next).raw, false);
	}
	free(used);
	return fits;
}

/* ---- the body ---- */

void canon_want_body(struct canon_message *m, enum canon how)
{
	if (!m->body[how].digest)
		m->body[how] = (struct canon_body){ .digest = crypt_digest_new(CRYPT_SHA256), .how = how };
}

bool canon_wants_body(const struct canon_message *m)
{
	return m->body[CANON_SIMPLE].digest || m->body[CANON_RELAXED].digest;
}

static void body_flush(struct canon_body *b)
{
	crypt_digest_add(b->digest, sv_from(b->out, b->out_len));
	b->out_len = 0;
}

static void body_put(struct canon_body *b, struct sv octets)
{
	if (octets.len > sizeof(b->out) - b->out_len)
		body_flush(b);
	if (octets.len > sizeof(b->out) / 2) {
		body_flush(b);
		crypt_digest_add(b->digest, octets);
	} else {
		memcpy(b->out + b->out_len, octets.p, octets.len);
		b->out_len += octets.len;
	}
}

/* body_content - what was held back turns out to be inside the body. */
static void body_content(struct canon_body *b, struct sv octets)
{
	for (; b->ends; b->ends--)
		body_put(b, SV("\r\n"));
	if (b->is_space)
		body_put(b, SV(" "));
	b->is_space = false;
	b->has_content = true;
	body_put(b, octets);
}

/* run_len - octets that mean nothing special. */
static size_t run_len(const struct canon_body *b, struct sv in)
{
	size_t n = 0;

	while (n < in.len && in.p[n] != '\r' && in.p[n] != '\n' &&
	       (b->how == CANON_SIMPLE || !is_wsp(in.p[n])))
		n++;
	return n;
}

static void body_feed(struct canon_body *b, struct sv in)
{
	while (in.len) {
		size_t n;

		if (b->is_cr && *in.p != '\n')
			body_content(b, SV("\r"));      /* a bare one is an octet like others */
		b->is_cr = false;
		n = run_len(b, in);
		if (n) {
			body_content(b, sv_sub(in, 0, n));
			sv_skip(&in, n);
			continue;
		}
		switch (*in.p) {
		case '\r':
			b->is_cr = true;
			break;
		case '\n':
			b->is_space = false;            /* white space at the end of a line is nothing */
			b->ends++;
			break;
		default:
			b->is_space = true;
			break;
		}
		sv_skip(&in, 1);
	}
}

void canon_body(struct canon_message *m, struct sv octets)
{
	for (size_t i = 0; i < ARRAY_LEN(m->body); i++)
		if (m->body[i].digest)
			body_feed(&m->body[i], octets);
}

void canon_body_hash(struct canon_message *m, enum canon how, uint8_t out[CANON_HASH])
{
	struct canon_body *b = &m->body[how];
	uint8_t hash[CRYPT_HASH_MAX];

	if (b->is_cr)
		body_content(b, SV("\r"));
	/* Line ends at the end count as one; an empty body is one line end (simple, RFC 6376 §3.4.3), or nothing (relaxed). */
	if (b->ends != UINT64_MAX && (b->how == CANON_SIMPLE || b->has_content))
		body_put(b, SV("\r\n"));
	b->is_cr = false;
	b->ends = UINT64_MAX;           /* it has ended */
	body_flush(b);
	crypt_digest_get(b->digest, hash);
	memcpy(out, hash, CANON_HASH);
}
