/* imapd/preview.c - see preview.h. */
#include "imapd/preview.h"

#include "common/banned.h"

bool preview_part(const struct mime_message *m, struct mime_part *out)
{
	struct mime_part part;
	bool has_html = false;

	for (uint32_t i = 0; mime_part_at(m, i, &part); i++) {
		if (part.kind != MIME_TEXT || part.encoding == TRANSFER_OTHER || part.body_len <= 2)
			continue;
		if (sv_eq(part.subtype, SV("html"))) {
			if (!has_html)
				*out = part;
			has_html = true;
		} else if (sv_eq(part.subtype, SV("plain")) || sv_eq(part.subtype, SV("enriched"))) {
			*out = part;
			return true;
		}
	}
	return has_html;
}

/* What has been written so far: one space at most between words. */
struct words {
	struct buf *out;
	size_t count;           /* characters */
	bool is_spaced;         /* a space is due before the next character */
};

static bool is_full(const struct words *w)
{
	return w->count >= PREVIEW_CHARS;
}

/* is_invisible - characters that newsletters fill their first lines with. */
static bool is_invisible(uint32_t c)
{
	return c == 0xad || c == 0x34f || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x2069) || c == 0xfeff;
}

static void put_octets(struct words *w, struct sv octets)
{
	if (w->is_spaced && w->count && w->count < PREVIEW_CHARS - 1) {
		buf_append_c(w->out, ' ');
		w->count++;
	}
	w->is_spaced = false;
	if (!is_full(w) && buf_append(w->out, octets))
		w->count++;
}

static void put(struct words *w, uint32_t c)
{
	char utf8[4];
	size_t n = 0;

	if (c <= ' ' || c == 0x7f || c == 0xa0 || (c >= 0x80 && c < 0xa0) || c == 0x2028 || c == 0x2029) {
		w->is_spaced = true;
		return;
	}
	if (is_invisible(c) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return;
	if (c < 0x80) {
		utf8[n++] = (char)c;
	} else if (c < 0x800) {
		utf8[n++] = (char)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		utf8[n++] = (char)(0xe0 | c >> 12);
		utf8[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	} else {
		utf8[n++] = (char)(0xf0 | c >> 18);
		utf8[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		utf8[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	}
	if (n && c >= 0x80)
		utf8[n++] = (char)(0x80 | (c & 0x3f));
	put_octets(w, sv_from(utf8, n));
}

/* take - the next character off *text. False: none, or it is cut off. */
static bool take(struct sv *text, uint32_t *out)
{
	unsigned char first;
	size_t n;

	if (!text->len)
		return false;
	first = (unsigned char)*text->p;
	n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (n > text->len || !sv_is_utf8(sv_sub(*text, 0, n)))
		return false;
	*out = n == 1 ? first : first & (0x7fu >> n);
	for (size_t i = 1; i < n; i++)
		*out = *out << 6 | ((unsigned char)text->p[i] & 0x3f);
	sv_skip(text, n);
	return true;
}

/* ---- plain text ---- */

static void plain(struct sv text, struct words *w)
{
	bool is_at_start = true, is_quoted = false;
	uint32_t c;

	while (!is_full(w) && take(&text, &c)) {
		if (is_at_start)
			is_quoted = c == '>';   /* what somebody else wrote is no news */
		is_at_start = c == '\n';
		if (is_quoted && !is_at_start)
			continue;
		put(w, c);
	}
}

/* ---- HTML ---- */

/* entity - behind "&", up to ";": the character, and *text moves behind it. What is none stays as it is. */
static uint32_t entity(struct sv *text)
{
	static const struct {
		const char *name;
		uint32_t c;
	} names[] = {
		{ "amp", '&' },      { "lt", '<' },        { "gt", '>' },        { "quot", '"' },
		{ "apos", '\'' },    { "nbsp", ' ' },      { "shy", 0xad },      { "zwnj", 0x200c },
		{ "zwj", 0x200d },   { "ndash", 0x2013 },  { "mdash", 0x2014 },  { "hellip", 0x2026 },
		{ "rsquo", 0x2019 }, { "lsquo", 0x2018 },  { "ldquo", 0x201c },  { "rdquo", 0x201d },
		{ "euro", 0x20ac },  { "auml", 0xe4 },     { "ouml", 0xf6 },     { "uuml", 0xfc },
		{ "szlig", 0xdf },   { "eacute", 0xe9 },   { "egrave", 0xe8 },   { "copy", 0xa9 },
	};
	size_t end = sv_find(sv_sub(*text, 0, 12), ';');
	struct sv name = sv_sub(*text, 0, end);
	char lower[12];
	uint64_t n = 0;

	if (end == SIZE_MAX || !end)
		return '&';
	for (size_t i = 0; i < name.len; i++)
		lower[i] = ascii_lower(name.p[i]);
	if (lower[0] == '#' && (lower[1] == 'x' ? sv_hex_to_u64(sv_from(lower + 2, name.len - 2), &n) :
						  sv_to_u64(sv_sub(name, 1, SIZE_MAX), &n))) {
		sv_skip(text, end + 1);
		return n && n <= 0x10ffff ? (uint32_t)n : ' ';
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!sv_eq(name, sv_z(names[i].name)))
			continue;
		sv_skip(text, end + 1);
		return names[i].c;
	}
	return '&';
}

/* skip_tag - behind "<": to its ">" and, for what holds no text, to its closing tag. */
static void skip_tag(struct sv *text, struct words *w)
{
	static const char *const hidden[] = { "style", "script", "head", "title" };
	static const char *const inside_words[] = { "b", "/b", "i", "/i", "a", "/a", "em", "/em", "span", "/span",
						    "strong", "/strong", "u", "/u", "font", "/font" };
	struct sv tag = *text, name;
	size_t n = 0, end;

	if (sv_starts(tag, SV("!--"))) {
		end = sv_search(tag, SV("-->"));
		sv_skip(text, end == SIZE_MAX ? tag.len : end + 3);
		return;
	}
	while (n < tag.len && (ascii_is_alpha(tag.p[n]) || ascii_is_digit(tag.p[n]) || (!n && tag.p[n] == '/')))
		n++;
	name = sv_sub(tag, 0, n);
	end = sv_find(tag, '>');
	sv_skip(text, end == SIZE_MAX ? tag.len : end + 1);
	for (size_t i = 0; i < ARRAY_LEN(inside_words); i++)
		if (sv_eq_nocase(name, sv_z(inside_words[i])))
			return;
	w->is_spaced = true;
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
		struct sv closing = sv_z(hidden[i]);

		if (!sv_eq_nocase(name, closing))
			continue;
		for (end = 0; end + 2 + closing.len <= text->len; end++)
			if (text->p[end] == '<' && text->p[end + 1] == '/' &&
			    sv_eq_nocase(sv_sub(*text, end + 2, closing.len), closing))
				break;
		sv_skip(text, end + 2 + closing.len <= text->len ? end : text->len);
		return;
	}
}

static void html(struct sv text, struct words *w)
{
	uint32_t c;

	while (!is_full(w) && take(&text, &c)) {
		if (c == '<' && text.len && (ascii_is_alpha(*text.p) || *text.p == '/' || *text.p == '!' || *text.p == '?'))
			skip_tag(&text, w);
		else
			put(w, c == '&' ? entity(&text) : c);
	}
}

void preview_make(struct sv utf8, bool is_html, struct buf *out)
{
	struct words w = { .out = out };

	if (is_html)
		html(utf8, &w);
	else
		plain(utf8, &w);
}
