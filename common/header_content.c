#include "common/header.h"

#include "common/banned.h"

/* A parameter as it stands in the text: name*3*=value has section 3 and is extended (RFC 2231 §3, §4). */
struct piece {
	struct sv name, value;
	int section;            /* -1: none */
	bool is_extended, is_used;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* RFC 2045 §5.1, and `*` and `'`, which are tokens there, too. */
static bool is_token(char c)
{
	return c > 32 && c < 127 && !memchr("()<>@,;:\\\"/[]?=", c, 15);
}

void header_skip_cfws(struct sv *s)
{
	size_t depth = 0;

	while (s->len) {
		char c = *s->p;
		if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (c == '\\' && depth && s->len > 1)
			sv_skip(s, 1);
		else if (!depth && !is_space(c))
			return;
		sv_skip(s, 1);
	}
}

static struct sv take_token(struct sv *s)
{
	size_t n = 0;

	while (n < s->len && is_token(s->p[n]))
		n++;
	struct sv token = sv_sub(*s, 0, n);

	sv_skip(s, n);
	return token;
}

static struct sv lower_copy(struct arena *a, struct sv s)
{
	struct sv copy = arena_copy(a, s);
	char *p = (char *)copy.p;       /* ours */

	for (size_t i = 0; i < copy.len; i++)
		p[i] = ascii_lower(p[i]);
	return copy;
}

/* A quoted string, quoting and folding removed. One that does not end goes on to the end of the value. */
static struct sv take_quoted(struct arena *a, struct sv *s)
{
	size_t end = 1, n = 0;

	while (end < s->len && s->p[end] != '"')
		end += s->p[end] == '\\' && end + 1 < s->len ? 2 : 1;
	char *p = arena_alloc(a, end);

	if (!p)
		return SV_NONE;
	for (size_t i = 1; i < end; i++) {
		if (s->p[i] == '\\' && i + 1 < end)
			i++;
		if (s->p[i] != '\r' && s->p[i] != '\n' && s->p[i] != '\0')
			p[n++] = s->p[i];
	}
	sv_skip(s, end < s->len ? end + 1 : end);
	return sv_from(p, n);
}

/* A value without quotes. Many programs write what needs them: a/b, x=y, even names with spaces. */
static struct sv take_unquoted(struct arena *a, struct sv *s, bool is_file_name)
{
	size_t n = 0;

	while (n < s->len && s->p[n] != ';' && (is_file_name || !is_space(s->p[n])) &&
	       !(s->p[n] == '(' && n && is_space(s->p[n - 1])))
		n++;
	struct sv copy = arena_copy(a, sv_trim(sv_sub(*s, 0, n)));
	char *p = (char *)copy.p;       /* ours */
	size_t kept = 0;

	sv_skip(s, n);
	for (size_t i = 0; i < copy.len; i++)
		if (p[i] != '\r' && p[i] != '\n' && p[i] != '\0')
			p[kept++] = p[i];
	return copy.p ? sv_from(p, kept) : copy;
}

static void read_marks(struct piece *p)
{
	p->section = -1;
	if (sv_ends(p->name, SV("*"))) {
		p->is_extended = true;
		p->name.len--;
	}
	size_t star = sv_rfind(p->name, '*');
	uint32_t n;

	if (star != SIZE_MAX && sv_to_u32(sv_sub(p->name, star + 1, SIZE_MAX), &n) && n < 10000) {
		p->section = (int)n;
		p->name.len = star;
	}
}

/* The next section of p's parameter with the least number above `after`. */
static struct piece *next_section(struct piece *pieces, size_t count, const struct piece *p, int after)
{
	struct piece *best = NULL;

	for (size_t i = 0; i < count; i++)
		if (pieces[i].section > after && !pieces[i].is_used && sv_eq(pieces[i].name, p->name) &&
		    (!best || pieces[i].section < best->section))
			best = &pieces[i];
	return best;
}

/* charset'language' in front of an extended value. */
static void split_charset(struct header_param *param, struct sv *value)
{
	size_t first = sv_find(*value, '\'');
	size_t second = first == SIZE_MAX ? SIZE_MAX : sv_find(sv_sub(*value, first + 1, SIZE_MAX), '\'');

	if (second == SIZE_MAX)
		return;
	param->charset = sv_sub(*value, 0, first);
	param->language = sv_sub(*value, first + 1, second);
	sv_skip(value, first + second + 2);
}

static bool join(struct arena *a, struct piece *pieces, size_t count, struct piece *first, struct header_param *out)
{
	size_t total = 0;
	int last = -1;

	for (struct piece *p = first; p; p = next_section(pieces, count, p, last)) {
		total += p->value.len;
		out->is_extended = out->is_extended || p->is_extended;
		last = p->section;
		if (last < 0)
			break;
	}
	/* A section without marks between extended ones gets percent signs in raw. */
	char *value = arena_alloc(a, total + 1), *raw = arena_alloc(a, total * 3 + 1);
	size_t value_len = 0, raw_len = 0;

	if (!value || !raw)
		return false;
	last = -1;
	for (struct piece *p = first; p; p = next_section(pieces, count, p, last)) {
		struct sv text = p->value;
		bool has_marks = p->is_extended;
		p->is_used = true;
		last = p->section;
		if (has_marks && p == first) {
			size_t before = text.len;
			split_charset(out, &text);
			memcpy(raw, p->value.p, before - text.len);
			raw_len = before - text.len;
		}
		for (size_t i = 0; i < text.len; i++) {
			char c = text.p[i];
			bool is_code = has_marks && c == '%' && i + 2 < text.len && ascii_hex(text.p[i + 1]) >= 0 &&
				       ascii_hex(text.p[i + 2]) >= 0;
			if (is_code) {
				memcpy(raw + raw_len, text.p + i, 3);
				raw_len += 3;
				value[value_len++] = (char)(ascii_hex(text.p[i + 1]) << 4 | ascii_hex(text.p[i + 2]));
				i += 2;
				continue;
			}
			value[value_len++] = c;
			if (out->is_extended && !has_marks && (!is_token(c) || c == '%' || c == '*' || c == '\'')) {
				static const char hex[] = "0123456789ABCDEF";
				raw[raw_len++] = '%';
				raw[raw_len++] = hex[(unsigned char)c >> 4];
				raw[raw_len++] = hex[(unsigned char)c & 15];
			} else {
				raw[raw_len++] = c;
			}
		}
		if (last < 0)
			break;
	}
	out->name = first->name;
	out->value = sv_from(value, value_len);
	out->raw = sv_from(raw, raw_len);
	return true;
}

bool header_parse_content(struct arena *a, struct sv value, struct header_content *out)
{
	struct piece pieces[HEADER_PARAM_MAX];
	size_t count = 0;
	bool ok = true;

	*out = (struct header_content){ .type = SV(""), .subtype = SV("") };
	header_skip_cfws(&value);
	out->type = lower_copy(a, take_token(&value));
	header_skip_cfws(&value);
	if (value.len && *value.p == '/') {
		sv_skip(&value, 1);
		header_skip_cfws(&value);
		out->subtype = lower_copy(a, take_token(&value));
	}
	if (!out->type.p || !out->subtype.p)
		ok = false;
	while (ok && value.len && count < HEADER_PARAM_MAX) {
		struct piece p = { .section = -1 };
		header_skip_cfws(&value);
		p.name = lower_copy(a, take_token(&value));
		header_skip_cfws(&value);
		if (p.name.len && value.len && *value.p == '=') {
			sv_skip(&value, 1);
			header_skip_cfws(&value);
			read_marks(&p);
			bool is_file_name = sv_eq(p.name, SV("name")) || sv_eq(p.name, SV("filename"));
			p.value = value.len && *value.p == '"' ? take_quoted(a, &value) :
				  take_unquoted(a, &value, is_file_name);
			ok = p.value.p;
			if (ok && p.name.len)
				pieces[count++] = p;
		} else if (value.len) {
			/* Junk: go on behind the next ; that stands outside quotes. */
			if (*value.p == '"')
				ok = take_quoted(a, &value).p;
			else if (*value.p == ';' || !p.name.len)
				sv_skip(&value, 1);
		}
	}
	out->params = arena_array(a, count ? count : 1, sizeof(*out->params));
	for (size_t i = 0; ok && out->params && i < count; i++) {
		if (pieces[i].is_used)
			continue;
		struct piece *first = pieces[i].section < 0 ? &pieces[i] : next_section(pieces, count, &pieces[i], -1);
		ok = join(a, pieces, count, first, &out->params[out->param_count]);
		out->param_count += ok;
	}
	return ok && out->params;
}

const struct header_param *header_param(const struct header_content *c, struct sv name)
{
	const struct header_param *plain = NULL;

	for (size_t i = 0; i < c->param_count; i++) {
		if (!sv_eq(c->params[i].name, name))
			continue;
		if (c->params[i].is_extended)
			return &c->params[i];
		if (!plain)
			plain = &c->params[i];
	}
	return plain;
}
