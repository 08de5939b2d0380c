#include "webd/request.h"

#include <http_parser.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

/* A view into text that survives its growth. */
struct span {
	size_t from, len;
};

struct field {
	struct span name, value;
};

struct request_reader {
	http_parser parser;
	struct buf text;                /* target, then the header's names and values as they came */
	struct buf path, host, body;
	struct span target;
	struct field fields[REQUEST_FIELDS_MAX];
	size_t field_count;
	bool has_begun, is_in_value, is_header_done, wants_go;
	unsigned status;
	struct request request;
};

static struct sv span_sv(const struct request_reader *r, struct span s)
{
	return sv_from(r->text.p + s.from, s.len);
}

static int refuse(struct request_reader *r, unsigned status)
{
	r->status = status;
	return 1;       /* the library stops */
}

/* ---- what the library tells ---- */

static bool add_text(struct request_reader *r, struct span *to, const char *p, size_t n)
{
	if (!buf_append(&r->text, sv_from(p, n)))
		return false;
	to->len += n;
	return true;
}

static int on_url(http_parser *parser, const char *p, size_t n)
{
	struct request_reader *r = parser->data;

	return add_text(r, &r->target, p, n) ? 0 : refuse(r, HTTP_STATUS_URI_TOO_LONG);
}

static int on_field(http_parser *parser, const char *p, size_t n)
{
	struct request_reader *r = parser->data;

	if (r->is_header_done)
		return 0;       /* behind a chunked body: nobody asks for those */
	if (r->is_in_value || !r->field_count) {
		if (r->field_count == REQUEST_FIELDS_MAX)
			return refuse(r, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
		r->fields[r->field_count++] = (struct field){ { r->text.len, 0 }, { 0, 0 } };
		r->is_in_value = false;
	}
	return add_text(r, &r->fields[r->field_count - 1].name, p, n) ? 0 : refuse(r, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
}

static int on_value(http_parser *parser, const char *p, size_t n)
{
	struct request_reader *r = parser->data;
	struct field *f;

	if (r->is_header_done || !r->field_count)
		return 0;
	f = &r->fields[r->field_count - 1];
	if (!r->is_in_value)
		f->value.from = r->text.len;
	r->is_in_value = true;
	return add_text(r, &f->value, p, n) ? 0 : refuse(r, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
}

static int on_headers_complete(http_parser *parser)
{
	struct request_reader *r = parser->data;

	r->is_header_done = true;
	if (parser->http_major != 1 || parser->http_minor > 1)
		return -refuse(r, HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED);
	if (parser->content_length != UINT64_MAX && parser->content_length > REQUEST_BODY_MAX)
		return -refuse(r, HTTP_STATUS_PAYLOAD_TOO_LARGE);       /* 1 would mean: there is no body */
	r->wants_go = parser->http_minor == 1 && sv_eq_nocase(request_field(r, "Expect"), SV("100-continue"));
	return 0;
}

/* A chunk that will be too much is refused before it comes. */
static int on_chunk(http_parser *parser)
{
	struct request_reader *r = parser->data;

	return parser->content_length <= REQUEST_BODY_MAX - r->body.len ? 0 : refuse(r, HTTP_STATUS_PAYLOAD_TOO_LARGE);
}

static int on_body(http_parser *parser, const char *p, size_t n)
{
	struct request_reader *r = parser->data;

	r->wants_go = false;
	return buf_append(&r->body, sv_from(p, n)) ? 0 : refuse(r, HTTP_STATUS_PAYLOAD_TOO_LARGE);
}

static int on_complete(http_parser *parser)
{
	http_parser_pause(parser, 1);   /* what follows is the next request */
	return 0;
}

static const http_parser_settings settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_chunk_header = on_chunk,
	.on_message_complete = on_complete,
};

/* ---- targets ---- */

static bool decode(struct sv text, bool is_form, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (c == '%') {
			int high = i + 2 < text.len ? ascii_hex(text.p[i + 1]) : -1;
			int low = i + 2 < text.len ? ascii_hex(text.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && is_form) {
			c = ' ';
		}
		if (!buf_append_c(out, c))
			return false;
	}
	return true;
}

/* Nobody opens files by this path; all the same no handler shall ever see one that climbs. */
static bool is_plain_path(struct sv path)
{
	struct sv segment;

	if (!path.len || path.p[0] != '/')
		return false;
	for (size_t i = 0; i < path.len; i++)
		if ((unsigned char)path.p[i] < ' ' || path.p[i] == 0x7f || path.p[i] == '\\')
			return false;
	while (sv_split(&path, '/', &segment))
		if (sv_eq(segment, SV("..")) || sv_eq(segment, SV(".")))
			return false;
	return true;
}

/* "mail.example.org:443", "[::1]:80" -> name or address alone, lower case. */
static bool take_host(struct request_reader *r, struct sv text)
{
	size_t end;

	text = sv_trim(text);
	end = text.len && text.p[0] == '[' ? sv_find(text, ']') : sv_find(text, ':');
	if (text.len && text.p[0] == '[') {
		if (end == SIZE_MAX)
			return false;
		end++;
	}
	text = sv_sub(text, 0, end);
	if (text.len > 1 && text.p[text.len - 1] == '.')
		text.len--;
	for (size_t i = 0; i < text.len; i++) {
		char c = ascii_lower(text.p[i]);

		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && !memchr("-._[]:", c, 6))
			return false;
		if (!buf_append_c(&r->host, c))
			return false;
	}
	return true;
}

/* RFC 9112 §3.2: origin-form, or absolute-form, whose host then counts. */
static bool take_target(struct request_reader *r)
{
	struct sv target = span_sv(r, r->target), host = SV_NONE;
	struct http_parser_url url;
	size_t hosts = 0;

	http_parser_url_init(&url);
	if (target.len > UINT16_MAX || http_parser_parse_url(target.p, target.len, 0, &url) != 0)
		return false;
	for (size_t i = 0; i < r->field_count; i++)
		if (sv_eq_nocase(span_sv(r, r->fields[i].name), SV("Host"))) {
			host = span_sv(r, r->fields[i].value);
			hosts++;
		}
	if (hosts > 1 || (!hosts && r->parser.http_minor == 1))
		return false;
	if (url.field_set & 1 << UF_HOST)
		host = sv_sub(target, url.field_data[UF_HOST].off, url.field_data[UF_HOST].len);
	if (!take_host(r, host))
		return false;
	if (url.field_set & 1 << UF_PATH) {
		r->request.path_given = sv_sub(target, url.field_data[UF_PATH].off, url.field_data[UF_PATH].len);
		if (!decode(r->request.path_given, false, &r->path))
			return false;
	} else if (!buf_append_c(&r->path, '/')) {
		return false;
	}
	if (url.field_set & 1 << UF_QUERY)
		r->request.query = sv_sub(target, url.field_data[UF_QUERY].off, url.field_data[UF_QUERY].len);
	return is_plain_path(buf_sv(&r->path));
}

static enum request_method method_of(unsigned method)
{
	switch (method) {
	case HTTP_GET:  return REQUEST_GET;
	case HTTP_HEAD: return REQUEST_HEAD;
	case HTTP_POST: return REQUEST_POST;
	default:        return REQUEST_OTHER;
	}
}

static bool is_forwarded(const struct request_reader *r)
{
	static const struct sv names[] = { SV_INIT("Forwarded"), SV_INIT("X-Forwarded-For"), SV_INIT("X-Real-IP"), SV_INIT("Via") };

	for (size_t i = 0; i < r->field_count; i++)
		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			if (sv_eq_nocase(span_sv(r, r->fields[i].name), names[k]))
				return true;
	return false;
}

/* ---- feeding ---- */

static enum request_feed finish(struct request_reader *r)
{
	r->has_begun = false;
	r->request = (struct request){ .method = method_of(r->parser.method) };
	/* What a client would upgrade to is not spoken here, and then nobody knows where its next request begins. */
	r->request.keeps = http_should_keep_alive(&r->parser) && !r->parser.upgrade;
	if (!take_target(r)) {
		r->status = HTTP_STATUS_BAD_REQUEST;
		return REQUEST_BAD;
	}
	r->request.path = buf_sv(&r->path);
	r->request.host = buf_sv(&r->host);
	r->request.body = buf_sv(&r->body);
	r->request.cookie = request_field(r, "Cookie");
	r->request.origin = request_field(r, "Origin");
	r->request.site = request_field(r, "Sec-Fetch-Site");
	r->request.is_forwarded = is_forwarded(r);
	return REQUEST_DONE;
}

enum request_feed request_reader_feed(struct request_reader *r, struct sv *in)
{
	size_t used;
	enum http_errno e;

	if (r->status)
		return REQUEST_BAD;
	if (!in->len)
		return REQUEST_MORE;    /* to the library this would mean the end of the connection */
	r->has_begun = true;            /* also by the empty lines that the library skips: they have a deadline, too */
	used = http_parser_execute(&r->parser, &settings, in->p, in->len);
	e = HTTP_PARSER_ERRNO(&r->parser);
	sv_skip(in, used < in->len ? used : in->len);
	if (e == HPE_PAUSED)
		return finish(r);
	/* CONNECT and what asks for an upgrade without a body ends the library's work without a pause. */
	if (e == HPE_OK && r->parser.upgrade && r->is_header_done)
		return finish(r);
	if (e == HPE_OK)
		return REQUEST_MORE;
	if (!r->status)
		r->status = e == HPE_HEADER_OVERFLOW ? HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE : HTTP_STATUS_BAD_REQUEST;
	return REQUEST_BAD;
}

unsigned request_reader_status(const struct request_reader *r)
{
	return r->status;
}

bool request_reader_wants_go(struct request_reader *r)
{
	bool wants = r->wants_go;

	r->wants_go = false;
	return wants;
}

bool request_reader_has_begun(const struct request_reader *r)
{
	return r->has_begun;
}

const struct request *request_reader_get(const struct request_reader *r)
{
	return &r->request;
}

struct sv request_field(const struct request_reader *r, const char *name)
{
	struct sv value = SV_NONE;
	size_t found = 0;

	for (size_t i = 0; i < r->field_count; i++)
		if (sv_eq_nocase(span_sv(r, r->fields[i].name), sv_z(name))) {
			value = sv_trim(span_sv(r, r->fields[i].value));
			found++;
		}
	return found == 1 ? value : SV_NONE;
}

/* ---- life ---- */

static void begin(struct request_reader *r)
{
	http_parser_init(&r->parser, HTTP_REQUEST);
	r->parser.data = r;
	r->target = (struct span){ 0, 0 };
	r->field_count = 0;
	r->has_begun = r->is_in_value = r->is_header_done = r->wants_go = false;
	r->status = 0;
	r->request = (struct request){ .method = REQUEST_OTHER };
}

struct request_reader *request_reader_new(void)
{
	struct request_reader *r = xcalloc(1, sizeof(*r));

	http_parser_set_max_header_size(REQUEST_HEAD_MAX);
	buf_init(&r->text, REQUEST_HEAD_MAX);
	buf_init(&r->path, REQUEST_HEAD_MAX);
	buf_init(&r->host, 256);
	buf_init(&r->body, REQUEST_BODY_MAX);
	begin(r);
	return r;
}

void request_reader_next(struct request_reader *r)
{
	buf_wipe(&r->text);     /* cookies and forms hold secrets */
	buf_wipe(&r->body);
	buf_clear(&r->path);
	buf_clear(&r->host);
	begin(r);
}

void request_reader_free(struct request_reader **reader)
{
	struct request_reader *r = *reader;

	*reader = NULL;
	if (!r)
		return;
	buf_wipe(&r->text);
	buf_wipe(&r->body);
	buf_done(&r->path);
	buf_done(&r->host);
	free(r);
}

/* ---- parameters ---- */

bool request_parameter(struct sv text, const char *name, bool is_form, struct buf *out)
{
	struct sv pair;

	while (text.len && sv_split(&text, '&', &pair)) {
		size_t equals = sv_find(pair, '=');

		if (sv_eq_nocase(sv_sub(pair, 0, equals), sv_z(name)))
			return decode(equals == SIZE_MAX ? SV_NONE : sv_sub(pair, equals + 1, SIZE_MAX), is_form, out);
	}
	return false;
}

bool request_cookie(const struct request *q, struct sv name, struct sv *out)
{
	struct sv rest = q->cookie, pair;

	while (rest.len && sv_split(&rest, ';', &pair)) {
		size_t equals = sv_find(pair, '=');

		if (equals == SIZE_MAX || !sv_eq(sv_trim(sv_sub(pair, 0, equals)), name))
			continue;
		*out = sv_trim(sv_sub(pair, equals + 1, SIZE_MAX));
		return true;
	}
	return false;
}
