#include "smtpd/spf_record.h"

#include "common/banned.h"

const char *spf_result_name(enum spf_result result)
{
	switch (result) {
	case SPF_NONE:
		return "none";
	case SPF_NEUTRAL:
		return "neutral";
	case SPF_PASS:
		return "pass";
	case SPF_FAIL:
		return "fail";
	case SPF_SOFTFAIL:
		return "softfail";
	case SPF_TEMPERROR:
		return "temperror";
	case SPF_PERMERROR:
		return "permerror";
	}
	return "none";
}

/* ---- macros ---- */

/* A macro-expand taken apart: %{ir.-} has letter 'i', is_reversed and delimiters ".-". */
struct macro {
	char letter;
	uint32_t keep; /* right-hand parts; 0: all */
	bool is_reversed, is_escaped;
	struct sv delimiters;
};

static bool is_delimiter(char c)
{
	return c && strchr(".-+,/_=", c);
}

/* take_macro - behind "%{". Letters c, r and t mean something in explanations only (§7.2). */
static bool take_macro(struct sv *s, bool is_text, struct macro *out)
{
	size_t n = 0;

	*out = (struct macro){ .letter = '\0' };
	if (!s->len)
		return false;
	out->letter = ascii_lower(s->p[0]);
	out->is_escaped = s->p[0] != out->letter;
	if (!out->letter || !strchr(is_text ? "slodiphcrtv" : "slodiphv", out->letter))
		return false;
	sv_skip(s, 1);
	while (n < s->len && ascii_is_digit(s->p[n]))
		n++;
	if (n && (!sv_to_u32(sv_sub(*s, 0, n), &out->keep) || !out->keep))
		return false;
	sv_skip(s, n);
	if (s->len && ascii_lower(s->p[0]) == 'r') {
		out->is_reversed = true;
		sv_skip(s, 1);
	}
	for (n = 0; n < s->len && is_delimiter(s->p[n]); n++)
		;
	out->delimiters = n ? sv_sub(*s, 0, n) : SV(".");
	sv_skip(s, n);
	if (!s->len || s->p[0] != '}')
		return false;
	sv_skip(s, 1);
	return true;
}

static bool is_cut_at(const struct macro *m, char c)
{
	return sv_find(m->delimiters, c) != SIZE_MAX;
}

static bool append_escaped(struct buf *out, struct sv s, bool is_escaped)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		bool is_plain = ascii_is_alpha(c) || ascii_is_digit(c) || (c && strchr("-._~", c));

		if (!(is_plain || !is_escaped ? buf_append_c(out, c)
					      : buf_appendf(out, "%%%02X", (unsigned char)c)))
			return false;
	}
	return true;
}

#define PARTS_MAX 128 /* an address as nibbles has 32, a local part of dots fewer than 64 */

/* append_parts - split, turned round, cut to the right-hand parts, joined by dots. */
static bool append_parts(struct buf *out, struct sv value, const struct macro *m)
{
	struct sv parts[PARTS_MAX];
	size_t count = 0, start = 0;
	bool ok = true;

	for (size_t i = 0; i <= value.len && count < PARTS_MAX; i++) {
		if (i < value.len && !is_cut_at(m, value.p[i]))
			continue;
		parts[count++] = sv_sub(value, start, i - start);
		start = i + 1;
	}
	for (size_t i = 0; m->is_reversed && i < count / 2; i++) {
		struct sv swap = parts[i];

		parts[i] = parts[count - 1 - i];
		parts[count - 1 - i] = swap;
	}
	start = m->keep && m->keep < count ? count - m->keep : 0;
	for (size_t i = start; i < count && ok; i++)
		ok = (i == start || buf_append_c(out, '.')) &&
		     append_escaped(out, parts[i], m->is_escaped);
	return ok;
}

static void append_nibbles(struct buf *out, const struct netaddr *ip)
{
	if (ip->family == NET_IPV4) {
		buf_appendf(out, "%u.%u.%u.%u", ip->ip[12], ip->ip[13], ip->ip[14], ip->ip[15]);
		return;
	}
	for (size_t i = 0; i < 16; i++)
		buf_appendf(out, "%s%x.%x", i ? "." : "", ip->ip[i] >> 4, ip->ip[i] & 15u);
}

/* value_of - the letter's meaning, into text. */
static void value_of(char letter, const struct spf_macros *m, struct buf *text)
{
	char ip[NETADDR_TEXT_MAX];

	switch (letter) {
	case 's':
		buf_appendf(text, "%.*s@%.*s", SV_FMT(m->local), SV_FMT(m->sender_domain));
		break;
	case 'l':
		buf_append(text, m->local);
		break;
	case 'o':
		buf_append(text, m->sender_domain);
		break;
	case 'd':
		buf_append(text, m->domain);
		break;
	case 'i':
		append_nibbles(text, &m->ip);
		break;
	case 'p':
		buf_append(text, m->ip_name.len ? m->ip_name : SV("unknown"));
		break;
	case 'h':
		buf_append(text, m->helo);
		break;
	case 'v':
		buf_append(text, m->ip.family == NET_IPV4 ? SV("in-addr") : SV("ip6"));
		break;
	case 'c':
		buf_append(text, netaddr_text(&m->ip, ip));
		break;
	case 'r':
		buf_append(text, m->our_name.len ? m->our_name : SV("unknown"));
		break;
	case 't':
		buf_appendf(text, "%lld", (long long)m->now_s);
		break;
	default:
		break;
	}
}

static bool append_macro(struct buf *out, const struct macro *macro, const struct spf_macros *m)
{
	struct buf text;
	bool ok;

	buf_init(&text, 1024);
	value_of(macro->letter, m, &text);
	ok = append_parts(out, buf_sv(&text), macro);
	buf_done(&text);
	return ok;
}

/* expand - m and out NULL: only see whether it is well formed. */
static bool expand(struct sv s, bool is_text, const struct spf_macros *m, struct buf *out)
{
	while (s.len) {
		char c = s.p[0];
		struct macro macro;

		sv_skip(&s, 1);
		if (c != '%') {
			if (c < '!' - is_text || c > '~' || (out && !buf_append_c(out, c)))
				return false;
			continue;
		}
		if (!s.len)
			return false;
		c = s.p[0];
		sv_skip(&s, 1);
		if (c == '{') {
			if (!take_macro(&s, is_text, &macro) ||
			    (out && !append_macro(out, &macro, m)))
				return false;
			continue;
		}
		if (c != '%' && c != '_' && c != '-')
			return false;
		if (out && !buf_append(out, c == '%' ? SV("%") : c == '_' ? SV(" ") : SV("%20")))
			return false;
	}
	return true;
}

bool spf_has_p(struct sv spec)
{
	for (size_t i = 0; i + 2 < spec.len; i++)
		if (spec.p[i] == '%' && spec.p[i + 1] == '{' && ascii_lower(spec.p[i + 2]) == 'p')
			return true;
	return false;
}

bool spf_expand_name(struct sv spec, const struct spf_macros *m, struct buf *out)
{
	struct buf text;
	struct sv name;
	bool ok;

	buf_init(&text, SPF_RECORD_MAX * 4);
	ok = expand(spec, false, m, &text);
	name = buf_sv(&text);
	if (name.len && name.p[name.len - 1] == '.')
		name.len--;
	while (ok && name.len > SPF_DOMAIN_MAX) {
		size_t dot = sv_find(name, '.');

		ok = dot != SIZE_MAX;
		if (ok)
			sv_skip(&name, dot + 1);
	}
	ok = ok && name.len && buf_append(out, name);
	buf_done(&text);
	return ok;
}

bool spf_expand_text(struct sv text, const struct spf_macros *m, struct buf *out)
{
	size_t start = out->len;

	if (expand(text, true, m, out) && out->len - start <= SPF_TEXT_MAX) {
		size_t i = start;

		while (i < out->len && out->p[i] >= ' ' && out->p[i] <= '~')
			i++;
		if (i == out->len)
			return true;
	}
	out->len = start;
	return false;
}

/* ---- terms ---- */

bool spf_is_record(struct sv text)
{
	return sv_starts_nocase(text, SV("v=spf1")) && (text.len == 6 || text.p[6] == ' ');
}

/* is_domain_end - "." toplabel, or a macro at the end (§7.1). */
static bool is_domain_end(struct sv spec)
{
	size_t dot;
	struct sv label;
	bool has_other = false;

	if (spec.p[spec.len - 1] == '}')
		return true;
	if (spec.p[spec.len - 1] == '.')
		spec.len--;
	dot = sv_rfind(spec, '.');
	if (dot == SIZE_MAX)
		return false;
	label = sv_sub(spec, dot + 1, SIZE_MAX);
	if (!label.len || label.p[0] == '-' || label.p[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		if (!ascii_is_digit(label.p[i]) && !ascii_is_alpha(label.p[i]) && label.p[i] != '-')
			return false;
		has_other |= !ascii_is_digit(label.p[i]);
	}
	return has_other;
}

static bool is_domain_spec(struct sv spec)
{
	return spec.len && expand(spec, false, NULL, NULL) && is_domain_end(spec);
}

static bool take_bits(struct sv text, unsigned most, unsigned *out)
{
	uint32_t n;

	if (!sv_to_u32(text, &n) || n > most || (text.len > 1 && text.p[0] == '0'))
		return false;
	*out = n;
	return true;
}

/* take_cidr - "/24//64" cut off the end of *arg (dual-cidr-length, §5.3). A macro may have slashes.
 */
static bool take_cidr(struct sv *arg, struct spf_term *out)
{
	size_t from = sv_rfind(*arg, '}'), slash, twice;
	struct sv tail;

	from = from == SIZE_MAX ? 0 : from + 1;
	tail = sv_sub(*arg, from, SIZE_MAX);
	slash = sv_find(tail, '/');
	if (slash == SIZE_MAX)
		return true;
	arg->len = from + slash;
	sv_skip(&tail, slash);
	twice = sv_search(tail, SV("//"));
	if (twice != SIZE_MAX) {
		if (!take_bits(sv_sub(tail, twice + 2, SIZE_MAX), 128, &out->bits6))
			return false;
		tail.len = twice;
	}
	return !tail.len || take_bits(sv_sub(tail, 1, SIZE_MAX), 32, &out->bits4);
}

static bool take_network(struct sv arg, struct spf_term *out)
{
	bool is_v4 = out->kind == SPF_IP4;
	size_t slash = sv_find(arg, '/');
	struct netaddr a;

	if (slash != SIZE_MAX && !take_bits(sv_sub(arg, slash + 1, SIZE_MAX), is_v4 ? 32 : 128,
					    is_v4 ? &out->bits4 : &out->bits6))
		return false;
	arg = sv_sub(arg, 0, slash);
	if (!arg.len || arg.p[0] == '[' || (sv_find(arg, ':') == SIZE_MAX) != is_v4 ||
	    !netaddr_parse(arg, &a))
		return false;
	memcpy(out->ip, a.ip, sizeof(out->ip));
	return true;
}

static const struct mechanism {
	struct sv name;
	enum spf_kind kind;
	bool needs_arg, may_arg, has_cidr;
} mechanisms[] = {
	{ SV_INIT("all"), SPF_ALL, false, false, false },
	{ SV_INIT("include"), SPF_INCLUDE, true, true, false },
	{ SV_INIT("a"), SPF_A, false, true, true },
	{ SV_INIT("mx"), SPF_MX, false, true, true },
	{ SV_INIT("ptr"), SPF_PTR, false, true, false },
	{ SV_INIT("ip4"), SPF_IP4, true, true, false },
	{ SV_INIT("ip6"), SPF_IP6, true, true, false },
	{ SV_INIT("exists"), SPF_EXISTS, true, true, false },
};

static bool parse_mechanism(struct sv text, struct spf_term *out)
{
	static const char marks[] = "+-~?";
	static const enum spf_result meanings[] = { SPF_PASS, SPF_FAIL, SPF_SOFTFAIL, SPF_NEUTRAL };
	const char *mark = text.p[0] ? strchr(marks, text.p[0]) : NULL;
	size_t end = 0;
	struct sv arg;

	out->qualifier = mark ? meanings[mark - marks] : SPF_PASS;
	if (mark)
		sv_skip(&text, 1);
	while (end < text.len && text.p[end] != ':' && text.p[end] != '/')
		end++;
	arg = sv_sub(text, end, SIZE_MAX);
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		const struct mechanism *m = &mechanisms[i];
		bool has_colon = arg.len && arg.p[0] == ':';

		if (!sv_eq_nocase(sv_sub(text, 0, end), m->name))
			continue;
		out->kind = m->kind;
		if (has_colon)
			sv_skip(&arg, 1);
		if (m->kind == SPF_IP4 || m->kind == SPF_IP6)
			return has_colon && take_network(arg, out);
		if (m->has_cidr && !take_cidr(&arg, out))
			return false;
		out->spec = arg;
		if (has_colon)
			return m->may_arg && is_domain_spec(arg);
		return !arg.len && !m->needs_arg;
	}
	return false;
}

static bool is_modifier_name(struct sv name)
{
	if (!name.len || !ascii_is_alpha(name.p[0]))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alpha(name.p[i]) && !ascii_is_digit(name.p[i]) &&
		    !strchr("-_.", name.p[i]))
			return false;
	return true;
}

/* parse_modifier - name=value; one that nobody knows is well formed if its macros are (§6). */
static bool parse_modifier(struct sv text, size_t equals, struct spf_term *out)
{
	struct sv name = sv_sub(text, 0, equals);

	out->spec = sv_sub(text, equals + 1, SIZE_MAX);
	out->kind = sv_eq_nocase(name, SV("redirect")) ? SPF_REDIRECT
		    : sv_eq_nocase(name, SV("exp"))    ? SPF_EXP
						       : SPF_UNKNOWN;
	return out->kind == SPF_UNKNOWN ? expand(out->spec, false, NULL, NULL)
					: is_domain_spec(out->spec);
}

static bool parse_term(struct sv text, struct spf_term *out)
{
	size_t equals = sv_find(text, '=');

	*out = (struct spf_term){ .bits4 = 32, .bits6 = 128 };
	if (memchr(text.p, '\0', text.len))
		return false;
	if (equals != SIZE_MAX && is_modifier_name(sv_sub(text, 0, equals)))
		return parse_modifier(text, equals, out);
	return parse_mechanism(text, out);
}

static bool take_word(struct sv *rest, struct sv *word)
{
	do {
		if (!sv_split(rest, ' ', word))
			return false;
	} while (!word->len);
	return true;
}

bool spf_next_term(struct sv *rest, struct spf_term *out)
{
	struct sv word;

	return take_word(rest, &word) && parse_term(word, out);
}

bool spf_check_record(struct sv record, struct sv *terms)
{
	struct sv rest, word;
	struct spf_term t;
	unsigned redirects = 0, explanations = 0;

	if (!spf_is_record(record) || record.len > SPF_RECORD_MAX)
		return false;
	rest = *terms = sv_sub(record, 6, SIZE_MAX);
	while (take_word(&rest, &word)) {
		if (!parse_term(word, &t))
			return false;
		redirects += t.kind == SPF_REDIRECT;
		explanations += t.kind == SPF_EXP;
	}
	return redirects < 2 && explanations < 2;
}
