#include "common/mime_private.h"

#include <stdlib.h>

#include "common/banned.h"

struct mime_parser *mime_parser_new(void)
{
	struct mime_parser *p = xcalloc(1, sizeof(*p));

	buf_init(&p->text, MIME_TEXT_MAX);
	for (size_t i = 0; i < ENV_COUNT; i++)
		buf_init(&p->env[i], MIME_ENV_MAX);
	arena_init(&p->scratch, MIME_SCRATCH_MAX);
	header_reader_init(&p->header);
	mime_keys_init(&p->keys);
	p->cap = 8;
	p->nodes = xcalloc(p->cap, sizeof(*p->nodes));
	p->nodes[0].is_message = true;
	p->count = p->open_count = 1;
	return p;
}

void mime_parser_free(struct mime_parser **pp)
{
	struct mime_parser *p = *pp;

	if (!p)
		return;
	buf_done(&p->text);
	for (size_t i = 0; i < ENV_COUNT; i++)
		buf_done(&p->env[i]);
	arena_done(&p->scratch);
	header_reader_done(&p->header);
	mime_keys_done(&p->keys);
	free(p->nodes);
	free(p);
	*pp = NULL;
}

static struct mime_node *current(struct mime_parser *p)
{
	return &p->nodes[p->open[p->open_count - 1]];
}

/* A new part inside the current one; its header begins at `at` (wire form), behind `line_ends` line ends. */
static void open_node(struct mime_parser *p, bool is_message, uint64_t at, uint64_t line_ends)
{
	if (p->count == p->cap) {
		p->cap = p->cap * 2 < MIME_PARTS_MAX ? p->cap * 2 : MIME_PARTS_MAX;
		p->nodes = xrealloc(p->nodes, p->cap * sizeof(*p->nodes));
	}
	uint32_t parent = p->open[p->open_count - 1];
	struct mime_node *node = &p->nodes[p->count];

	*node = (struct mime_node){ .parent = parent, .depth = (uint16_t)p->open_count, .is_message = is_message,
				    .header_offset = at };
	p->nodes[parent].child_count++;
	p->open[p->open_count++] = p->count++;
	p->state = MIME_STATE_HEADER;
	header_reader_again(&p->header);
	arena_clear(&p->scratch);
	memset(p->content, 0, sizeof(p->content));
	if (p->count < MIME_PARTS_MAX)
		return;
	/* The last part there may be holds all that follows. */
	p->keys.facts |= MIME_PARTS_CAPPED;
	node->body_offset = at;
	node->body_lines = line_ends;
	node->encoding = TRANSFER_BINARY;
	p->state = MIME_STATE_OPAQUE;
}

/* ---- the end of a header ---- */

static void set_type(struct mime_parser *p, struct mime_node *node, struct sv type, struct sv subtype)
{
	node->type = mime_text_add(p, type);
	node->subtype = mime_text_add(p, subtype);
}

static bool set_boundary(struct mime_parser *p, struct mime_node *node, const struct header_content *type)
{
	const struct header_param *boundary = header_param(type, SV("boundary"));
	struct sv value = boundary ? boundary->value : SV("");

	while (value.len && value.p[value.len - 1] == ' ')      /* RFC 2046 §5.1.1: never ends with white space */
		value.len--;
	if (!value.len || value.len > MIME_BOUNDARY_MAX)
		return false;
	node->boundary = mime_text_add(p, value);
	return node->boundary.len;
}

/* Which kind of part a header makes; RFC 2045 §5.2 for what is missing or wrong. */
static void decide_type(struct mime_parser *p, struct mime_node *node, struct header_content *type)
{
	bool is_in_digest = !node->is_message && p->nodes[node->parent].is_digest;

	*type = (struct header_content){ 0 };
	if (p->content[CONTENT_TYPE].p)
		(void)header_parse_content(&p->scratch, p->content[CONTENT_TYPE], type);
	if (!type->type.len || !type->subtype.len || type->type.len > 127 || type->subtype.len > 127) {
		type->type = is_in_digest ? SV("message") : SV("text");
		type->subtype = is_in_digest ? SV("rfc822") : SV("plain");
		type->param_count = 0;
	}
	node->encoding = (unsigned char)transfer_from(p->content[CONTENT_TRANSFER_ENCODING].p ?
						      p->content[CONTENT_TRANSFER_ENCODING] : SV(""));
	bool is_multipart = sv_eq(type->type, SV("multipart"));
	bool is_rfc822 = sv_eq(type->type, SV("message")) && sv_eq(type->subtype, SV("rfc822"));

	node->kind = sv_eq(type->type, SV("text")) ? MIME_TEXT : MIME_LEAF;
	if ((is_multipart || is_rfc822) && node->depth >= MIME_DEPTH_MAX) {
		p->keys.facts |= MIME_PARTS_CAPPED;
		type->type = SV("application");
		type->subtype = SV("octet-stream");
		type->param_count = 0;
	} else if (is_multipart && set_boundary(p, node, type)) {
		node->kind = MIME_MULTIPART;
		node->is_digest = sv_eq(type->subtype, SV("digest"));
	} else if (is_multipart) {      /* parts that nobody can find: show it as it is */
		node->kind = MIME_TEXT;
		type->type = SV("text");
		type->subtype = SV("plain");
		type->param_count = 0;
	} else if (is_rfc822) {
		node->kind = MIME_MESSAGE;
	}
	set_type(p, node, type->type, type->subtype);
}

/* The current part's header ends; its body begins at `at` (wire form), behind `line_ends` line ends. */
static void end_header(struct mime_parser *p, uint64_t at, uint64_t line_ends)
{
	struct mime_node *node = current(p);
	struct header_content type;

	node->header_len = at - node->header_offset;
	node->body_offset = at;
	node->body_lines = line_ends;
	if (p->header.is_capped)
		p->keys.facts |= MIME_HEADER_CAPPED;
	if (node->is_message)
		node->envelope = mime_env_end(p);
	decide_type(p, node, &type);
	mime_write_fields(p, node, &type);
	p->state = MIME_STATE_BODY;
	if (node->kind == MIME_MULTIPART)
		p->boundaries++;
	if (node->kind == MIME_MESSAGE)
		open_node(p, true, at, line_ends);
}

static void take_field(struct mime_parser *p)
{
	static const unsigned char contents[HEADER_ID_COUNT] = {        /* enum mime_content + 1 */
		[HEADER_CONTENT_TYPE] = CONTENT_TYPE + 1,
		[HEADER_CONTENT_DISPOSITION] = CONTENT_DISPOSITION + 1,
		[HEADER_CONTENT_TRANSFER_ENCODING] = CONTENT_TRANSFER_ENCODING + 1,
		[HEADER_CONTENT_ID] = CONTENT_ID + 1,
		[HEADER_CONTENT_DESCRIPTION] = CONTENT_DESCRIPTION + 1,
		[HEADER_CONTENT_MD5] = CONTENT_MD5 + 1,
		[HEADER_CONTENT_LANGUAGE] = CONTENT_LANGUAGE + 1,
		[HEADER_CONTENT_LOCATION] = CONTENT_LOCATION + 1,
	};
	const struct header_field *f = &p->header.field;
	struct mime_node *node = current(p);
	unsigned which = contents[f->id];
	bool is_row_0 = p->open_count == 1;

	if (f->is_truncated)
		p->keys.facts |= MIME_HEADER_CAPPED;
	if (is_row_0)
		mime_keys_field(&p->keys, &p->scratch, f);
	if (f->is_malformed)
		return;
	if (which && p->watch)
		p->watch(p->watch_arg, f);
	if (which && !p->content[which - 1].p)
		p->content[which - 1] = arena_copy(&p->scratch, sv_sub(f->value, 0, MIME_VALUE_MAX));
	if (node->is_message)
		mime_env_field(p, f, is_row_0);
}

static void feed_header(struct mime_parser *p, struct sv text)
{
	enum header_event e;

	while ((e = header_reader_feed(&p->header, &text)) == HEADER_FIELD)
		take_field(p);
	if (e == HEADER_END)
		end_header(p, p->wire, p->line_ends);
}

/* No empty line came: the header ends at a boundary line or with the message. */
static void cut_header(struct mime_parser *p, uint64_t at, uint64_t line_ends)
{
	while (p->state == MIME_STATE_HEADER) {
		while (header_reader_finish(&p->header) == HEADER_FIELD)
			take_field(p);
		end_header(p, at, line_ends);
	}
}

/* ---- boundaries ---- */

/* The open multipart whose delimiter the line is (RFC 2046 §5.1.1), as index in open[] + 1. The longest fitting boundary
 * wins: that of an outer part may be the beginning of an inner one's. */
static uint32_t match_boundary(const struct mime_parser *p)
{
	struct sv line = { p->prefix, p->prefix_len };
	uint32_t best = 0;
	size_t best_len = 0;

	if (!sv_starts(line, SV("--")))
		return 0;
	sv_skip(&line, 2);
	for (uint32_t i = p->open_count; i-- > 0;) {
		struct sv boundary = mime_text(p, p->nodes[p->open[i]].boundary);
		if (boundary.len <= best_len || !sv_starts(line, boundary))
			continue;
		struct sv rest = sv_sub(line, boundary.len, SIZE_MAX);
		if (!rest.len || memchr(" \t\r\n", *rest.p, 4) || sv_starts(rest, SV("--"))) {
			best = i + 1;
			best_len = boundary.len;
		}
	}
	return best;
}

/* The parts inside open[keep - 1] end; the CRLF in front of a delimiter belongs to it, not to them. */
static void close_nodes(struct mime_parser *p, uint32_t keep, uint64_t end, uint64_t line_ends, bool is_delimiter)
{
	while (p->open_count > keep) {
		struct mime_node *node = current(p);
		bool has_body = end > node->body_offset;
		node->body_len = end - node->body_offset - (is_delimiter && has_body ? 2 : 0);
		node->body_lines = line_ends - node->body_lines - (is_delimiter && has_body ? 1 : 0);
		if (node->boundary.len)
			p->boundaries--;
		node->boundary.len = 0;
		p->open_count--;
	}
}

/* The current line, which has ended, is a delimiter of open[matched - 1]. `line_ends`: before this line. */
static void take_boundary(struct mime_parser *p, uint64_t line_ends)
{
	uint32_t keep = p->matched;
	struct mime_node *node = &p->nodes[p->open[keep - 1]];
	struct sv rest = sv_sub(sv_from(p->prefix, p->prefix_len), 2 + (size_t)node->boundary.len, SIZE_MAX);
	bool is_last = sv_starts(rest, SV("--"));

	cut_header(p, p->line_start, line_ends);
	if (p->state == MIME_STATE_OPAQUE)
		return;                 /* that was the last part there may be: it holds this line, too */
	close_nodes(p, keep, p->line_start, line_ends, true);
	if (is_last) {
		current(p)->boundary.len = 0;
		p->boundaries--;
		p->state = MIME_STATE_BODY;
	} else {
		open_node(p, false, p->wire, p->line_ends);
	}
}

/* ---- lines ---- */

/* A piece of a line; `ends`: it ends with the line's LF. */
static void take_piece(struct mime_parser *p, struct sv piece, bool ends)
{
	bool is_crlf = ends && (piece.len > 1 ? piece.p[piece.len - 2] == '\r' : p->is_cr);
	uint64_t line_ends = p->line_ends;

	if (!p->line_len) {
		p->line_start = p->wire;
		p->is_candidate = p->boundaries && *piece.p == '-' && p->state != MIME_STATE_OPAQUE;
		p->matched = 0;
		p->prefix_len = 0;
	}
	p->line_len += piece.len;
	p->wire += piece.len + (ends && !is_crlf);
	p->is_cr = piece.p[piece.len - 1] == '\r';
	if (ends) {
		uint64_t line = p->line_len - (is_crlf ? 2 : 1);
		p->longest_line = line > p->longest_line ? line : p->longest_line;
		p->line_len = 0;
		p->line_ends++;
		p->bare_lf += !is_crlf;
		p->crlf += is_crlf;
	}
	if (p->is_candidate) {
		size_t n = sizeof(p->prefix) - p->prefix_len;
		n = piece.len < n ? piece.len : n;
		memcpy(p->prefix + p->prefix_len, piece.p, n);
		p->prefix_len += n;
		if (!ends && p->prefix_len < sizeof(p->prefix))
			return;
		if (!p->matched)
			p->matched = match_boundary(p);
		if (p->matched) {
			if (ends)
				take_boundary(p, line_ends);
			return;
		}
		p->is_candidate = false;
		if (p->state == MIME_STATE_HEADER && p->prefix_len > n)
			feed_header(p, sv_from(p->prefix, p->prefix_len - n));
	}
	if (p->state == MIME_STATE_HEADER)
		feed_header(p, piece);
}

/* This looks at every octet of every message, hence eight at a time: lanes of one octet each count up to 255 words,
 * then they are added up. */
#define EACH(octet) (0x0101010101010101ull * (octet))

/* In each lane 1 where x has a zero octet. */
static inline uint64_t zero_lanes(uint64_t x)
{
	return ~(((x & EACH(0x7f)) + EACH(0x7f)) | x) >> 7 & EACH(1);
}

static uint64_t sum_lanes(uint64_t lanes)
{
	const uint64_t even = 0x00ff00ff00ff00ffull;

	return (((lanes & even) + (lanes >> 8 & even)) * 0x0001000100010001ull) >> 48;
}

static void count_octets(struct mime_parser *p, struct sv in)
{
	p->raw += in.len;
	while (in.len) {
		uint64_t eight_bit = 0, cr = 0, nul = 0;
		for (int i = 0; i < 255 && in.len; i++) {
			uint64_t x = EACH('x'); /* stands for octets beyond the end */
			size_t n = in.len < sizeof(x) ? in.len : sizeof(x);
			if (n == sizeof(x))
				memcpy(&x, in.p, sizeof(x));
			else
				memcpy(&x, in.p, n);
			eight_bit += x >> 7 & EACH(1);
			cr += zero_lanes(x ^ EACH('\r'));
			nul += zero_lanes(x);
			sv_skip(&in, n);
		}
		p->eight_bit += sum_lanes(eight_bit);
		p->cr += sum_lanes(cr);
		p->nul += sum_lanes(nul);
	}
}

void mime_parser_watch(struct mime_parser *p, mime_watch_fn *fn, void *arg)
{
	p->watch = fn;
	p->watch_arg = arg;
}

void mime_parser_binary(struct mime_parser *p)
{
	p->is_binary = true;
}

void mime_parser_feed(struct mime_parser *p, struct sv in)
{
	count_octets(p, in);
	while (in.len) {
		const char *nl = memchr(in.p, '\n', in.len);
		size_t n = nl ? (size_t)(nl - in.p) + 1 : in.len;
		bool is_line_end = nl && (!p->is_binary || (n > 1 ? nl[-1] == '\r' : p->is_cr));
		take_piece(p, sv_from(in.p, n), is_line_end);
		sv_skip(&in, n);
	}
}

struct mime_message *mime_parser_finish(struct mime_parser *p)
{
	if (p->line_len) {              /* a last line without line end may be a delimiter, too */
		p->longest_line = p->line_len > p->longest_line ? p->line_len : p->longest_line;
		if (p->is_candidate && !p->matched)
			p->matched = match_boundary(p);
		if (p->is_candidate && p->matched)
			take_boundary(p, p->line_ends);
		else if (p->is_candidate && p->state == MIME_STATE_HEADER)
			feed_header(p, sv_from(p->prefix, p->prefix_len));
		p->line_len = 0;
	}
	if (p->state == MIME_STATE_HEADER && p->open_count == 1)
		p->keys.facts |= MIME_NO_BODY;
	cut_header(p, p->wire, p->line_ends);
	close_nodes(p, 0, p->wire, p->line_ends, false);
	return mime_build(p);
}

struct mime_message *mime_parse(struct sv message)
{
	struct mime_parser *p = mime_parser_new();

	mime_parser_feed(p, message);
	struct mime_message *m = mime_parser_finish(p);

	mime_parser_free(&p);
	return m;
}
