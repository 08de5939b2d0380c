#include "tests/unit/support/imap_grammar.h"

/* A recursive descent over what our own code wrote; the nesting is at most MIME_DEPTH_MAX. */
struct reader {
	struct sv s;
	size_t at;
	bool has_extensions;
};

static bool peek(const struct reader *r, char c)
{
	return r->at < r->s.len && r->s.p[r->at] == c;
}

static bool take(struct reader *r, const char *z)
{
	struct sv want = sv_z(z), rest = sv_sub(r->s, r->at, SIZE_MAX);

	if (!sv_starts(rest, want))
		return false;
	r->at += want.len;
	return true;
}

static bool number(struct reader *r)
{
	size_t from = r->at;

	while (r->at < r->s.len && ascii_is_digit(r->s.p[r->at]))
		r->at++;
	return r->at > from && (r->s.p[from] != '0' || r->at == from + 1);
}

static bool string(struct reader *r)
{
	if (take(r, "\"")) {
		for (; r->at < r->s.len; r->at++) {
			unsigned char c = (unsigned char)r->s.p[r->at];
			if (c == '"') {
				r->at++;
				return true;
			}
			if (c == '\\' && (++r->at == r->s.len || (r->s.p[r->at] != '"' && r->s.p[r->at] != '\\')))
				return false;
			if (!c || c > 127 || c == '\r' || c == '\n')
				return false;
		}
		return false;
	}
	size_t from = r->at + 1;
	uint64_t n;

	if (!take(r, "{") || !number(r) || !sv_to_u64(sv_sub(r->s, from, r->at - from), &n) || !take(r, "}\r\n") ||
	    n > r->s.len - r->at)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!r->s.p[r->at + i])
			return false;
	r->at += n;
	return true;
}

static bool nstring(struct reader *r)
{
	return take(r, "NIL") || string(r);
}

/* address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")" */
static bool addresses(struct reader *r)
{
	if (take(r, "NIL"))
		return true;
	if (!take(r, "("))
		return false;
	do {
		if (!(take(r, "(") && nstring(r) && take(r, " ") && nstring(r) && take(r, " ") && nstring(r) &&
		      take(r, " ") && nstring(r) && take(r, ")")))
			return false;
	} while (peek(r, '('));
	return take(r, ")");
}

static bool envelope(struct reader *r)
{
	if (!(take(r, "(") && nstring(r) && take(r, " ") && nstring(r)))
		return false;
	for (int i = 0; i < 6; i++)
		if (!(take(r, " ") && addresses(r)))
			return false;
	return take(r, " ") && nstring(r) && take(r, " ") && nstring(r) && take(r, ")");
}

static bool params(struct reader *r)
{
	if (take(r, "NIL"))
		return true;
	if (!take(r, "("))
		return false;
	do {
		if (!(string(r) && take(r, " ") && string(r)))
			return false;
	} while (take(r, " "));
	return take(r, ")");
}

static bool disposition(struct reader *r)
{
	return take(r, "NIL") || (take(r, "(") && string(r) && take(r, " ") && params(r) && take(r, ")"));
}

static bool language(struct reader *r)
{
	if (!peek(r, '('))
		return nstring(r);
	take(r, "(");
	do {
		if (!string(r))
			return false;
	} while (take(r, " "));
	return take(r, ")");
}

static bool extension(struct reader *r, bool is_multipart)
{
	if (!r->has_extensions)
		return true;
	return take(r, " ") && (is_multipart ? params(r) : nstring(r)) && take(r, " ") && disposition(r) && take(r, " ") &&
	       language(r) && take(r, " ") && nstring(r);
}

static bool body(struct reader *r)
{
	if (!take(r, "("))
		return false;
	if (peek(r, '(')) {
		while (peek(r, '('))
			if (!body(r))
				return false;
		return take(r, " ") && string(r) && extension(r, true) && take(r, ")");
	}
	size_t from = r->at;

	if (!(string(r) && take(r, " ")))
		return false;
	bool is_text = sv_eq_nocase(sv_sub(r->s, from, r->at - from), SV("\"text\" "));
	bool is_message = sv_eq_nocase(sv_sub(r->s, from, r->at - from), SV("\"message\" "));
	size_t subtype = r->at;

	if (!string(r))
		return false;
	is_message = is_message && sv_eq_nocase(sv_sub(r->s, subtype, r->at - subtype), SV("\"rfc822\""));
	if (!(take(r, " ") && params(r) && take(r, " ") && nstring(r) && take(r, " ") && nstring(r) && take(r, " ") &&
	      string(r) && take(r, " ") && number(r)))
		return false;
	if (is_message && !(take(r, " ") && envelope(r) && take(r, " ") && body(r) && take(r, " ") && number(r)))
		return false;
	if (is_text && !(take(r, " ") && number(r)))
		return false;
	return extension(r, false) && take(r, ")");
}

bool grammar_is_envelope(struct sv text, size_t *at)
{
	struct reader r = { .s = text };
	bool ok = envelope(&r) && r.at == text.len;

	*at = r.at;
	return ok;
}

bool grammar_is_body(struct sv text, bool has_extensions, size_t *at)
{
	struct reader r = { .s = text, .has_extensions = has_extensions };
	bool ok = body(&r) && r.at == text.len;

	*at = r.at;
	return ok;
}
