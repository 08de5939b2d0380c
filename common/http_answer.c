#include "common/http_answer.h"

#include "common/banned.h"

void http_answer_init(struct http_answer *a, size_t body_max)
{
	*a = (struct http_answer){ .status = 0 };
	buf_init(&a->body, body_max);
	line_reader_init(&a->line, HTTP_ANSWER_HEAD_MAX);
}

void http_answer_done(struct http_answer *a)
{
	buf_done(&a->body);
	line_reader_done(&a->line);
}

/* "HTTP/1.1 200 OK" (RFC 9112 §4). */
static bool take_status(struct http_answer *a, struct sv line)
{
	struct sv code = sv_sub(line, 9, 3);
	uint32_t status;
	bool ok = sv_starts(line, SV("HTTP/1.")) && line.len >= 12 && ascii_is_digit(line.p[7]) && line.p[8] == ' ' &&
		  (line.len == 12 || line.p[12] == ' ') && sv_to_u32(code, &status) && status >= 200;

	if (ok)
		a->status = status;
	return ok;
}

/* RFC 9112 §6.3: two lengths that differ, or one beside an encoding, are how answers are smuggled. */
static bool take_field(struct http_answer *a, struct sv line)
{
	struct sv name, value = line;
	uint64_t length;

	if (!sv_split(&value, ':', &name) || name.len == line.len || !name.len)
		return false;
	if (sv_eq_nocase(name, SV("Transfer-Encoding")))
		return false;
	if (!sv_eq_nocase(name, SV("Content-Length")))
		return true;
	if (!sv_to_u64(sv_trim(value), &length) || length > a->body.max || (a->has_length && a->length != length))
		return false;
	a->length = length;
	a->has_length = true;
	return true;
}

static bool take_line(struct http_answer *a, struct sv line)
{
	if (!a->status)
		return take_status(a, line);
	a->is_in_body = !line.len;
	return !line.len || take_field(a, line);
}

static enum feed bad(struct http_answer *a)
{
	a->is_bad = true;
	return FEED_BAD;
}

static enum feed take_body(struct http_answer *a, struct sv octets)
{
	if (a->has_length)
		octets = sv_sub(octets, 0, (size_t)(a->length - a->body.len));
	if (!buf_append(&a->body, octets))
		return bad(a);
	return a->has_length && a->body.len == a->length ? FEED_DONE : FEED_MORE;
}

enum feed http_answer_feed(struct http_answer *a, struct sv octets)
{
	if (a->is_bad)
		return FEED_BAD;
	while (!a->is_in_body) {
		size_t had = octets.len;
		enum feed feed = line_reader_feed(&a->line, &octets);

		a->head_len += had - octets.len;
		if (a->head_len > HTTP_ANSWER_HEAD_MAX)
			return bad(a);
		if (feed == FEED_MORE)
			return FEED_MORE;
		/* RFC 9112 §2.2: a bare LF may end a line. */
		if ((feed == FEED_BAD && (a->line.faults & ~(unsigned)LINE_BARE_LF)) || !take_line(a, buf_sv(&a->line.line)))
			return bad(a);
	}
	return take_body(a, octets);
}

enum feed http_answer_end(struct http_answer *a)
{
	if (a->is_bad || !a->is_in_body || (a->has_length && a->body.len < a->length))
		return bad(a);
	return FEED_DONE;
}
