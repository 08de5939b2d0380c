#include "common/address.h"

#include <arpa/inet.h>

#include "common/idna.h"

#include "common/banned.h"

#define BAD(why) fault(FAULT_INVALID, why)

/* RFC 5322 §3.2.3, with RFC 6531 §3.3: an octet of a UTF-8 character is an atext, too. */
static bool is_atext(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || (unsigned char)c > 127 ||
	       (c && memchr("!#$%&'*+-/=?^_`{|}~", c, 19));
}

static bool is_control(char c)
{
	return (unsigned char)c < 32 || c == 127;
}

static void skip_spaces(struct sv *s)
{
	while (s->len && (*s->p == ' ' || *s->p == '\t'))
		sv_skip(s, 1);
}

/* ---- domains ---- */

/* Labels of 1 to 63 letters, digits, hyphens inside, and underscores, which some mail domains have. */
static bool is_host_name(struct sv s)
{
	size_t label = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		if (c == '.') {
			if (!label || s.p[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!(ascii_is_alpha(c) || ascii_is_digit(c) || c == '_' || (c == '-' && label)) || ++label > 63)
			return false;
	}
	return label && s.p[s.len - 1] != '-';
}

struct fault address_domain(struct arena *a, struct sv given, struct sv *out)
{
	if (sv_ends(given, SV(".")))
		given.len--;
	if (!given.len)
		return BAD("empty domain");
	if (given.len > ADDRESS_DOMAIN_MAX)
		return fault(FAULT_LIMIT, "domain is too long");
	struct sv name;

	if (sv_has_8bit(given)) {
		if (!sv_is_utf8(given) || memchr(given.p, '\0', given.len))
			return BAD("domain is no UTF-8");
		name = idna_to_ascii(a, given);
		if (sv_ends(name, SV(".")))     /* an ideographic full stop at the end */
			name.len--;
	} else {
		name = arena_copy(a, given);
	}
	if (!name.p || !name.len)
		return BAD("domain is no host name");
	if (name.len > ADDRESS_DOMAIN_MAX)
		return fault(FAULT_LIMIT, "domain is too long");
	if (!is_host_name(name))
		return BAD("domain is no host name");
	char *p = (char *)name.p;       /* ours since two lines above */

	for (size_t i = 0; i < name.len; i++)
		p[i] = ascii_lower(p[i]);
	*out = name;
	return FAULT_OK;
}

/* [192.0.2.1] or [IPv6:2001:db8::1] (RFC 5321 §4.1.3) in its one canonical spelling. */
static struct fault address_literal(struct arena *a, struct sv given, struct sv *out)
{
	static const char tag[] = "IPv6:";
	char text[INET6_ADDRSTRLEN], again[INET6_ADDRSTRLEN];
	unsigned char octets[16];
	struct sv inner = sv_sub(given, 1, given.len - 2);
	bool is_v6 = sv_starts_nocase(inner, sv_z(tag));

	if (is_v6)
		sv_skip(&inner, sizeof(tag) - 1);
	if (inner.len >= sizeof(text))
		return BAD("bad address literal");
	memcpy(text, inner.p, inner.len);
	text[inner.len] = '\0';
	if (strlen(text) != inner.len || inet_pton(is_v6 ? AF_INET6 : AF_INET, text, octets) != 1 ||
	    !inet_ntop(is_v6 ? AF_INET6 : AF_INET, octets, again, sizeof(again)))
		return BAD("bad address literal");
	struct buf b;

	buf_init(&b, 64);
	(void)buf_appendf(&b, "[%s%s]", is_v6 ? tag : "", again);
	*out = arena_copy(a, buf_sv(&b));
	buf_done(&b);
	return out->p ? FAULT_OK : fault(FAULT_LIMIT, "arena is used up");
}

/* ---- paths ---- */

/* The local part at the beginning of *in, dequoted. */
static struct fault take_local(struct arena *a, struct sv *in, struct sv *out)
{
	char text[ADDRESS_LOCAL_MAX];
	size_t n = 0;

	if (in->len && *in->p == '"') {
		sv_skip(in, 1);
		for (;; sv_skip(in, 1)) {
			if (!in->len)
				return BAD("quoted local part does not end");
			if (*in->p == '"')
				break;
			if (*in->p == '\\') {
				sv_skip(in, 1);
				if (!in->len)
					return BAD("quoted local part does not end");
			}
			if (is_control(*in->p))
				return BAD("control character in local part");
			if (n == sizeof(text))
				return fault(FAULT_LIMIT, "local part is too long");
			text[n++] = *in->p;
		}
		sv_skip(in, 1);
	} else {
		/* Dots anywhere: addresses like a..b@ exist although RFC 5321 has no such form; they are quoted
		 * when they are written. */
		while (in->len && (is_atext(*in->p) || *in->p == '.')) {
			if (n == sizeof(text))
				return fault(FAULT_LIMIT, "local part is too long");
			text[n++] = *in->p;
			sv_skip(in, 1);
		}
	}
	if (!n)
		return BAD("empty local part");
	*out = arena_copy(a, sv_from(text, n));
	if (!out->p)
		return fault(FAULT_LIMIT, "arena is used up");
	return sv_is_utf8(*out) ? FAULT_OK : BAD("local part is no UTF-8");
}

/* @a,@b: in front of a mailbox: obeyed by nobody, taken and dropped (RFC 5321 §4.1.1.3, appendix C). */
static bool skip_source_route(struct sv *in)
{
	size_t i = 0;
	bool is_literal = false;

	for (; i < in->len && (is_literal || in->p[i] != ':'); i++) {
		char c = in->p[i];
		if (is_control(c) || c == ' ' || c == '<' || c == '>' || c == '"')
			return false;
		is_literal = c == '[' || (is_literal && c != ']');
	}
	if (i == in->len || i < 2)
		return false;
	struct sv route = sv_sub(*in, 0, i), hop;

	while (sv_split(&route, ',', &hop))
		if (hop.len < 2 || *hop.p != '@' || memchr(hop.p + 1, '@', hop.len - 1))
			return false;
	sv_skip(in, i + 1);
	return true;
}

struct fault address_parse_path(struct arena *a, struct sv *in, unsigned flags, struct address *out)
{
	struct sv s = *in;
	struct fault f = FAULT_OK;
	bool is_lenient = flags & ADDRESS_LENIENT, has_angle = false;

	*out = (struct address){ 0 };
	if (is_lenient)
		skip_spaces(&s);
	if (s.len && *s.p == '<') {
		has_angle = true;
		sv_skip(&s, 1);
		if (is_lenient)
			skip_spaces(&s);
	} else if (!is_lenient) {
		return BAD("path does not begin with <");
	}
	if (has_angle && s.len && *s.p == '>') {
		if (!(flags & ADDRESS_ALLOW_NULL))
			return BAD("null path");
		out->is_null = true;
	} else {
		if (s.len && *s.p == '@' && !skip_source_route(&s))
			return BAD("bad source route");
		const char *path = s.p;
		f = take_local(a, &s, &out->local);
		if (f.kind)
			return f;
		out->is_utf8 = sv_has_8bit(out->local);
		if (s.len && *s.p == '@') {
			sv_skip(&s, 1);
			size_t n = 0;
			bool is_literal = s.len && *s.p == '[';
			while (n < s.len && s.p[n] != '>' && s.p[n] != ' ' && s.p[n] != '\t')
				n++;
			struct sv given = sv_sub(s, 0, n);
			sv_skip(&s, n);
			if (is_literal && given.p[n - 1] == ']') {
				out->is_literal = true;
				f = address_literal(a, given, &out->domain);
			} else {
				f = address_domain(a, given, &out->domain);
				if (sv_ends(given, SV(".")))
					given.len--;
			}
			if (f.kind)
				return f;
			out->domain_given = out->is_literal ? out->domain : arena_copy(a, given);
			if (!out->domain_given.p)
				return fault(FAULT_LIMIT, "arena is used up");
			out->is_utf8_domain = sv_has_8bit(given);
		} else if (!(flags & ADDRESS_ALLOW_NO_DOMAIN) && !sv_eq_nocase(out->local, SV("postmaster"))) {
			return BAD("no domain");
		}
		if ((size_t)(s.p - path) + 2 > ADDRESS_PATH_MAX)
			return fault(FAULT_LIMIT, "path is too long");
	}
	if (is_lenient && has_angle)
		skip_spaces(&s);
	if (has_angle) {
		if (!s.len || *s.p != '>')
			return BAD("path does not end with >");
		sv_skip(&s, 1);
	}
	if (s.len && *s.p != ' ' && !(is_lenient && *s.p == '\t'))
		return BAD("text behind the path");
	*in = s;
	return FAULT_OK;
}

struct fault address_parse(struct arena *a, struct sv text, struct address *out)
{
	struct sv s = sv_trim(text);
	struct fault f = address_parse_path(a, &s, ADDRESS_LENIENT, out);

	if (!f.kind && s.len)
		return BAD("text behind the address");
	if (!f.kind && !out->domain.len)
		return BAD("no domain");
	return f;
}

/* ---- writing ---- */

static bool is_dot_string(struct sv s)
{
	bool was_dot = true;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '.' ? was_dot : !is_atext(s.p[i]))
			return false;
		was_dot = s.p[i] == '.';
	}
	return !was_dot;
}

bool address_local_append(struct buf *b, struct sv local)
{
	size_t before = b->len;
	bool ok;

	if (is_dot_string(local))
		return buf_append(b, local);
	ok = buf_append_c(b, '"');
	for (size_t i = 0; ok && i < local.len; i++) {
		if (local.p[i] == '"' || local.p[i] == '\\')
			ok = buf_append_c(b, '\\');
		ok = ok && buf_append_c(b, local.p[i]);
	}
	ok = ok && buf_append_c(b, '"');
	if (!ok)
		b->len = before;
	return ok;
}

bool address_append(struct buf *b, const struct address *addr, enum address_form form)
{
	struct sv domain = form == ADDRESS_AS_GIVEN ? addr->domain_given : addr->domain;
	size_t before = b->len;

	if (addr->is_null)
		return true;
	if (!address_local_append(b, addr->local))
		return false;
	if (!domain.len || (buf_append_c(b, '@') && buf_append(b, domain)))
		return true;
	b->len = before;
	return false;
}

bool address_split_tag(struct sv local, char separator, struct sv *user, struct sv *tag)
{
	size_t at = local.len ? sv_find(sv_sub(local, 1, SIZE_MAX), separator) : SIZE_MAX;

	*user = local;
	*tag = SV("");
	if (at == SIZE_MAX)
		return false;
	*user = sv_sub(local, 0, at + 1);
	*tag = sv_sub(local, at + 2, SIZE_MAX);
	return true;
}

bool address_eq(const struct address *x, const struct address *y)
{
	return x->is_null == y->is_null && sv_eq(x->local, y->local) && sv_eq(x->domain, y->domain);
}
