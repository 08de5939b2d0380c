#include "smtpd/downgrade.h"

#include <stdlib.h>

#include "common/header.h"
#include "common/memory.h"
#include "common/mime.h"
#include "common/transfer.h"

#include "common/banned.h"

#define LINE_MAX 76             /* RFC 2045 §6.7 (5), §6.8 */
#define BASE64_OCTETS 57        /* of a line */

enum region_kind {
	REGION_HEADER = 1,      /* of a part, with the empty line */
	REGION_BODY,            /* of a part without parts */
	REGION_SIGNED,          /* a multipart/signed, whole: not an octet of it may change */
};

struct region {
	uint64_t from, len;
	uint64_t eight_bit;     /* octets; where lines are made also others that quoted-printable writes in three */
	unsigned char kind;
	unsigned char was, becomes;     /* enum transfer; equal: stays as it is */
	bool is_top;            /* of the message itself, or of one within */
	bool is_text, is_fixed; /* fixed: must not be encoded */
	bool has_version, has_type;     /* MIME-Version, Content-Type */
};

/* Octets as quoted-printable or base64. */
struct encoder {
	byte_sink_fn *sink;     /* of this call */
	void *ctx;
	unsigned column;
	char blank;             /* a space or tab held back: at a line's end it is written as =20 */
	bool is_cr;             /* a CR held back */
	unsigned char held[BASE64_OCTETS];
	size_t held_len;
	bool is_full;
};

struct downgrade {
	uint64_t top_len;
	struct mime_parser *parser;
	struct mime_message *message;
	struct region *regions;
	size_t count;
	const char *obstacle;
	bool was_ours, is_foreign;      /* somebody else has signed it */
	bool is_to_lines;               /* downgrade_new_lines() */
	bool is_cr;                     /* counting: the octet before was CR */
	uint64_t strays;                /* octets that no line may have, where nothing is written anew */
	/* one pass */
	size_t at;                      /* the region that is entered, or comes next */
	uint64_t offset;
	bool is_inside, has_header_ended;
	struct header_reader header;
	struct encoder encoder;
};

struct downgrade *downgrade_new(uint64_t top_len)
{
	struct downgrade *d = xcalloc(1, sizeof(*d));

	d->top_len = top_len;
	d->parser = mime_parser_new();
	header_reader_init(&d->header);
	return d;
}

struct downgrade *downgrade_new_lines(void)
{
	struct downgrade *d = downgrade_new(0);

	d->is_to_lines = true;
	mime_parser_binary(d->parser);
	return d;
}

void downgrade_free(struct downgrade **pd)
{
	struct downgrade *d = *pd;

	*pd = NULL;
	if (!d)
		return;
	mime_parser_free(&d->parser);
	mime_message_free(&d->message);
	header_reader_done(&d->header);
	free(d->regions);
	free(d);
}

/* ---- where what is ---- */

void downgrade_parse(struct downgrade *d, struct sv octets)
{
	mime_parser_feed(d->parser, octets);
}

static struct region *add_region(struct downgrade *d, enum region_kind kind, uint64_t from, uint64_t len)
{
	struct region *r = &d->regions[d->count];

	if (!len)
		return NULL;
	d->count++;
	*r = (struct region){ .kind = (unsigned char)kind, .from = from, .len = len };
	return r;
}

static bool is_fixed(const struct mime_part *p)
{
	/* RFC 2046 §5.2.2.1, §5.2.3: these have 7 bits, always. */
	return sv_eq(p->type, SV("message")) && (sv_eq(p->subtype, SV("partial")) || sv_eq(p->subtype, SV("external-body")));
}

static void add_part(struct downgrade *d, const struct mime_part *p, bool is_top)
{
	struct region *header = add_region(d, REGION_HEADER, p->header_offset, p->header_len), *body = NULL;

	if (header) {
		header->was = header->becomes = (unsigned char)p->encoding;
		header->is_top = is_top;
	}
	if (p->kind == MIME_MULTIPART && sv_eq(p->subtype, SV("signed")))
		(void)add_region(d, REGION_SIGNED, p->body_offset, p->body_len);
	else if (p->kind == MIME_LEAF || p->kind == MIME_TEXT)
		body = add_region(d, REGION_BODY, p->body_offset, p->body_len);
	if (body) {
		body->was = body->becomes = (unsigned char)p->encoding;
		body->is_text = p->kind == MIME_TEXT || sv_eq(p->type, SV("message"));
		body->is_fixed = is_fixed(p);
	}
}

bool downgrade_parsed(struct downgrade *d)
{
	struct mime_message *m = mime_parser_finish(d->parser);
	uint64_t signed_end = 0;

	mime_parser_free(&d->parser);
	d->message = m;
	if (!m->eight_bit && !d->is_to_lines)
		return false;
	if (m->facts & (MIME_PARTS_CAPPED | MIME_HEADER_CAPPED))
		d->obstacle = "it has too many parts, or too large a header, to be written anew";
	d->regions = xcalloc(2 * (size_t)m->part_count, sizeof(*d->regions));
	for (uint32_t i = 0; i < m->part_count; i++) {
		struct mime_part p, parent;
		bool is_top = !i;

		if (!mime_part_at(m, i, &p) || (i && !mime_part_at(m, p.parent, &parent))) {
			d->obstacle = "its parts cannot be told apart";
			break;
		}
		if (p.header_offset < signed_end)
			continue;       /* inside: part of that region */
		if (i)
			is_top = parent.kind == MIME_MESSAGE;
		add_part(d, &p, is_top);
		if (p.kind == MIME_MULTIPART && sv_eq(p.subtype, SV("signed")))
			signed_end = p.body_offset + p.body_len;
	}
	return true;
}

/* ---- one pass ---- */

/* What is done with octets, region by region. */
struct walker {
	void (*enter)(struct downgrade *d, struct region *r);
	void (*inside)(struct downgrade *d, struct region *r, struct sv octets);
	void (*leave)(struct downgrade *d, struct region *r);
	void (*between)(struct downgrade *d, struct sv octets);         /* boundaries, and what is around them */
};

static void start(struct downgrade *d)
{
	d->at = 0;
	d->offset = 0;
	d->is_inside = false;
}

static void walk(struct downgrade *d, const struct walker *w, struct sv octets)
{
	while (octets.len) {
		struct region *r = d->at < d->count ? &d->regions[d->at] : NULL;
		uint64_t left = !r ? octets.len : d->is_inside ? r->from + r->len - d->offset : r->from - d->offset;
		struct sv piece = sv_sub(octets, 0, left < octets.len ? (size_t)left : octets.len);

		if (d->is_inside)
			w->inside(d, r, piece);
		else if (piece.len)
			w->between(d, piece);
		d->offset += piece.len;
		sv_skip(&octets, piece.len);
		if (piece.len < left || !r)
			continue;
		if (d->is_inside) {
			w->leave(d, r);
			d->at++;
		} else {
			w->enter(d, r);
		}
		d->is_inside = !d->is_inside;
	}
}

static uint64_t count_8bit(struct sv s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += (unsigned char)s.p[i] > 127;
	return n;
}

/* ---- counting ---- */

/* is_binary_body - one that is written anew so that there are lines. */
static bool is_binary_body(const struct downgrade *d, const struct region *r)
{
	return d->is_to_lines && r->kind == REGION_BODY && r->was == TRANSFER_BINARY && !r->is_fixed;
}

/* count_strays - NUL, and CR or LF without the other (RFC 5321 §2.3.8). */
static uint64_t count_strays(struct downgrade *d, struct sv s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		n += !s.p[i] || d->is_cr != (s.p[i] == '\n');
		d->is_cr = s.p[i] == '\r';
	}
	return n;
}

/* end_strays - what follows is looked at for itself. */
static uint64_t end_strays(struct downgrade *d)
{
	bool was_cr = d->is_cr;

	d->is_cr = false;
	return was_cr;
}

/* count_costly - octets that quoted-printable writes in three. */
static uint64_t count_costly(struct sv s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		n += c >= 127 || c == '=' || (c < ' ' && c != '\t' && c != '\r' && c != '\n');
	}
	return n;
}

static bool is_seal(struct sv name)
{
	return sv_eq_nocase(name, SV("ARC-Seal")) || sv_eq_nocase(name, SV("ARC-Message-Signature")) ||
	       sv_eq_nocase(name, SV("ARC-Authentication-Results"));
}

static bool is_on_top(const struct downgrade *d, const struct header_field *f)
{
	return !d->at && f->offset < d->top_len;
}

static void look_at_field(struct downgrade *d, struct region *r, const struct header_field *f)
{
	struct sv value = f->value;

	header_skip_cfws(&value);
	if (f->id == HEADER_MIME_VERSION)
		r->has_version = true;
	if (f->id == HEADER_CONTENT_TYPE) {
		r->has_type = true;
		/* A multipart whose boundary nobody finds: RFC 2045 §6.4 forbids to encode it all the same. */
		if (sv_starts_nocase(value, SV("multipart")) && d->at + 1 < d->count && d->regions[d->at + 1].kind == REGION_BODY &&
		    d->regions[d->at + 1].from == r->from + r->len)
			d->regions[d->at + 1].is_fixed = true;
	}
	if (d->at || (f->id != HEADER_DKIM_SIGNATURE && !is_seal(f->name)))
		return;
	if (!is_on_top(d, f))
		d->is_foreign = true;
	else if (f->id == HEADER_DKIM_SIGNATURE)
		d->was_ours = true;
}

static void enter_header(struct downgrade *d, struct region *r)
{
	if (r->kind == REGION_HEADER)
		header_reader_again(&d->header);
	d->has_header_ended = false;
}

static void count_enter(struct downgrade *d, struct region *r)
{
	enter_header(d, r);
	if (is_binary_body(d, r))
		d->strays += end_strays(d);
}

static void count_inside(struct downgrade *d, struct region *r, struct sv octets)
{
	enum header_event e;

	if (is_binary_body(d, r))
		r->eight_bit += count_costly(octets) + count_strays(d, octets);
	else if (d->is_to_lines)
		d->strays += count_strays(d, octets);
	else
		r->eight_bit += count_8bit(octets);
	while (r->kind == REGION_HEADER && (e = header_reader_feed(&d->header, &octets)) != HEADER_MORE && e != HEADER_END)
		look_at_field(d, r, &d->header.field);
}

static void count_leave(struct downgrade *d, struct region *r)
{
	if (is_binary_body(d, r))
		r->eight_bit += end_strays(d);
	while (r->kind == REGION_HEADER && header_reader_finish(&d->header) == HEADER_FIELD)
		look_at_field(d, r, &d->header.field);
}

static void count_between(struct downgrade *d, struct sv octets)
{
	if (d->is_to_lines)
		d->strays += count_strays(d, octets);
}

void downgrade_count(struct downgrade *d, struct sv octets)
{
	static const struct walker walker = { count_enter, count_inside, count_leave, count_between };

	walk(d, &walker, octets);
}

/* best_for - letters of Europe stay readable; what is mostly something else is shorter so. */
static unsigned char best_for(const struct region *r)
{
	return r->is_text && r->eight_bit <= r->len / 3 ? TRANSFER_QUOTED_PRINTABLE : TRANSFER_BASE64;
}

/* obstacle_of - of one region; else what its body becomes. */
static const char *obstacle_of(struct region *r)
{
	if (!r->eight_bit)
		return NULL;
	switch ((enum region_kind)r->kind) {
	case REGION_HEADER:
		return "its header has other characters than ASCII";
	case REGION_SIGNED:
		return "it is signed (multipart/signed), and a change would break the signature";
	case REGION_BODY:
		break;
	}
	if (r->is_fixed || r->was == TRANSFER_OTHER || r->was == TRANSFER_BASE64 || r->was == TRANSFER_QUOTED_PRINTABLE)
		return "it has a part that may not be encoded";
	r->becomes = best_for(r);
	return NULL;
}

/* to_lines - what becomes of one region, so that there are lines. What has parts is as wide as they are (RFC 2045 §6.4). */
static void to_lines(const struct downgrade *d, struct region *r)
{
	if (is_binary_body(d, r))
		r->becomes = best_for(r);
	else if (r->kind == REGION_HEADER && r->was == TRANSFER_BINARY)
		r->becomes = TRANSFER_8BIT;
}

const char *downgrade_obstacle(struct downgrade *d)
{
	struct region *header = NULL;

	/* A signature of what came as octets was looked at when it came. */
	if (d->is_foreign && !d->obstacle && !d->is_to_lines)
		d->obstacle = "its author's server has signed it (DKIM), and a change would break the signature";
	d->strays += end_strays(d);
	if (d->strays && !d->obstacle)
		d->obstacle = "NUL, bare CR or bare LF stand outside of its binary parts";
	for (size_t i = 0; i < d->count && !d->obstacle; i++) {
		struct region *r = &d->regions[i];

		if (d->is_to_lines)
			to_lines(d, r);
		else
			d->obstacle = obstacle_of(r);
		if (r->kind == REGION_BODY && r->becomes != r->was && header && header->from + header->len == r->from)
			header->becomes = r->becomes;
		if (r->kind == REGION_HEADER)
			header = r;
		/* Around what was 8bit is 7bit now (RFC 2045 §6.4). */
		if (!d->is_to_lines && r->kind == REGION_HEADER && (r->was == TRANSFER_8BIT || r->was == TRANSFER_BINARY))
			r->becomes = TRANSFER_7BIT;
	}
	return d->obstacle;
}

bool downgrade_was_ours(const struct downgrade *d)
{
	return d->was_ours;
}

/* ---- quoted-printable and base64 ---- */

static void put(struct encoder *e, struct sv octets)
{
	if (octets.len && !e->is_full)
		e->is_full = !e->sink(e->ctx, octets);
}

/* put_token - one octet of text, which no line end may cut. */
static void put_token(struct encoder *e, const char *token, unsigned len)
{
	if (e->column + len > LINE_MAX - 1) {
		put(e, SV("=\r\n"));
		e->column = 0;
		/* A new line must not look like a boundary. */
		if (*token == '-') {
			token = "=2D";
			len = 3;
		}
	}
	put(e, sv_from(token, len));
	e->column += len;
}

static void put_quoted(struct encoder *e, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char token[3] = { '=', digits[c >> 4], digits[c & 15] };

	put_token(e, token, 3);
}

static void put_blank(struct encoder *e, bool ends_line)
{
	if (e->blank && ends_line)
		put_quoted(e, (unsigned char)e->blank);
	else if (e->blank)
		put_token(e, &e->blank, 1);
	e->blank = 0;
}

static void encode_quoted(struct encoder *e, struct sv octets)
{
	for (size_t i = 0; i < octets.len; i++) {
		char c = octets.p[i];

		if (e->is_cr) {
			e->is_cr = false;
			if (c == '\n') {
				put_blank(e, true);
				put(e, SV("\r\n"));
				e->column = 0;
				continue;
			}
			put_blank(e, false);
			put_quoted(e, '\r');
		}
		if (c == '\r') {
			e->is_cr = true;
			continue;
		}
		put_blank(e, false);
		if (c == ' ' || c == '\t')
			e->blank = c;
		else if (c > ' ' && c < 127 && c != '=')
			put_token(e, &c, 1);
		else
			put_quoted(e, (unsigned char)c);
	}
}

static void put_base64_line(struct encoder *e)
{
	struct buf line;

	buf_init(&line, LINE_MAX + 2);
	(void)(base64_encode(sv_from((const char *)e->held, e->held_len), &line) && buf_append(&line, SV("\r\n")));
	put(e, buf_sv(&line));
	buf_done(&line);
	e->held_len = 0;
}

static void encode_base64(struct encoder *e, struct sv octets)
{
	while (octets.len) {
		size_t room = sizeof(e->held) - e->held_len, n = octets.len < room ? octets.len : room;

		memcpy(e->held + e->held_len, octets.p, n);
		e->held_len += n;
		sv_skip(&octets, n);
		if (e->held_len == sizeof(e->held))
			put_base64_line(e);
	}
}

static void encode_end(struct encoder *e, enum transfer how)
{
	if (how == TRANSFER_BASE64 && e->held_len)
		put_base64_line(e);
	if (how == TRANSFER_QUOTED_PRINTABLE) {
		put_blank(e, !e->is_cr);
		if (e->is_cr)
			put_quoted(e, '\r');
	}
}

/* ---- writing ---- */

static void write_field(struct downgrade *d, const struct region *r, const struct header_field *f)
{
	if (is_on_top(d, f) && (f->id == HEADER_DKIM_SIGNATURE || is_seal(f->name)))
		return;
	if (f->id == HEADER_CONTENT_TRANSFER_ENCODING && r->was != r->becomes)
		return;
	put(&d->encoder, f->raw);
	if (!sv_ends(f->raw, SV("\n")))
		put(&d->encoder, SV("\r\n"));
}

/* write_fields_end - what is to be said of the new encoding, where it was not said before. */
static void write_fields_end(struct downgrade *d, const struct region *r)
{
	static const char *const names[] = { [TRANSFER_7BIT] = "7bit", [TRANSFER_8BIT] = "8bit", [TRANSFER_BASE64] = "base64",
					     [TRANSFER_QUOTED_PRINTABLE] = "quoted-printable" };

	if (r->was == r->becomes)
		return;
	if (r->is_top && !r->has_version)
		put(&d->encoder, SV("MIME-Version: 1.0\r\n"));
	/* RFC 1428 §3: octets of which nobody has said what they mean. */
	if (r->is_top && !r->has_type && !d->is_to_lines)
		put(&d->encoder, SV("Content-Type: text/plain; charset=unknown-8bit\r\n"));
	put(&d->encoder, SV("Content-Transfer-Encoding: "));
	put(&d->encoder, sv_z(names[r->becomes]));
	put(&d->encoder, SV("\r\n"));
}

static void write_enter(struct downgrade *d, struct region *r)
{
	enter_header(d, r);
	d->encoder = (struct encoder){ .sink = d->encoder.sink, .ctx = d->encoder.ctx, .is_full = d->encoder.is_full };
}

static void write_inside(struct downgrade *d, struct region *r, struct sv octets)
{
	enum header_event e;

	if (r->kind == REGION_BODY && r->was != r->becomes) {
		if (r->becomes == TRANSFER_BASE64)
			encode_base64(&d->encoder, octets);
		else
			encode_quoted(&d->encoder, octets);
		return;
	}
	if (r->kind != REGION_HEADER) {
		put(&d->encoder, octets);
		return;
	}
	while (!d->has_header_ended && (e = header_reader_feed(&d->header, &octets)) != HEADER_MORE) {
		if (e == HEADER_FIELD) {
			write_field(d, r, &d->header.field);
		} else {
			write_fields_end(d, r);
			put(&d->encoder, SV("\r\n"));
			d->has_header_ended = true;
		}
	}
}

static void write_leave(struct downgrade *d, struct region *r)
{
	if (r->kind == REGION_BODY && r->was != r->becomes)
		encode_end(&d->encoder, r->becomes);
	if (r->kind != REGION_HEADER || d->has_header_ended)
		return;
	while (header_reader_finish(&d->header) == HEADER_FIELD)
		write_field(d, r, &d->header.field);
	write_fields_end(d, r);
}

/* What stands before the first part and behind the last one is for nobody (RFC 2046 §5.1.1). */
static void write_between(struct downgrade *d, struct sv octets)
{
	if (d->is_to_lines) {
		put(&d->encoder, octets);
		return;
	}
	while (octets.len) {
		size_t plain = sv_ascii_len(octets);

		put(&d->encoder, sv_sub(octets, 0, plain));
		sv_skip(&octets, plain);
		if (octets.len) {
			put(&d->encoder, SV("?"));
			sv_skip(&octets, 1);
		}
	}
}

void downgrade_begin(struct downgrade *d)
{
	start(d);
	d->encoder = (struct encoder){ .is_full = false };
}

static const struct walker writer = { write_enter, write_inside, write_leave, write_between };

bool downgrade_feed(struct downgrade *d, struct sv octets, byte_sink_fn *sink, void *ctx)
{
	d->encoder.sink = sink;
	d->encoder.ctx = ctx;
	walk(d, &writer, octets);
	return !d->encoder.is_full;
}

bool downgrade_end(struct downgrade *d, byte_sink_fn *sink, void *ctx)
{
	d->encoder.sink = sink;
	d->encoder.ctx = ctx;
	if (d->is_inside)
		write_leave(d, &d->regions[d->at]);     /* the message was longer when it was parsed */
	return !d->encoder.is_full;
}
