#include "smtpd/authres.h"

#include "common/header.h"

#include "common/banned.h"

#define VALUE_MAX 320

/* append_value - a token where it can be one, else a quoted string of printable ASCII (RFC 8601
 * §2.2, pvalue). */
static bool append_value(struct buf *out, struct sv s)
{
	bool is_token = s.len > 0;
	bool ok;

	s = sv_sub(s, 0, VALUE_MAX);
	for (size_t i = 0; i < s.len; i++)
		is_token = is_token && (ascii_is_alpha(s.p[i]) || ascii_is_digit(s.p[i]) ||
					(s.p[i] && strchr("-._@+", s.p[i])));
	if (is_token)
		return buf_append(out, s);
	ok = buf_append_c(out, '"');
	for (size_t i = 0; i < s.len && ok; i++) {
		char c = s.p[i] < ' ' || s.p[i] > '~' ? '?' : s.p[i];

		ok = ((c != '"' && c != '\\') || buf_append_c(out, '\\')) && buf_append_c(out, c);
	}
	return ok && buf_append_c(out, '"');
}

/* begin - the next method's result. */
static bool begin(struct buf *out, const char *method, const char *result)
{
	return buf_appendf(out, ";\r\n\t%s=%s", method, result);
}

static bool property(struct buf *out, const char *name, struct sv value)
{
	return buf_appendf(out, " %s=", name) && append_value(out, value);
}

static bool append_iprev(struct buf *out, const struct authres *a)
{
	static const char *const names[] = {
		[ORIGIN_NAME_UNKNOWN] = "temperror",
		[ORIGIN_NAME_NONE] = "permerror",
		[ORIGIN_NAME_UNCONFIRMED] = "fail",
		[ORIGIN_NAME_CONFIRMED] = "pass",
	};
	char ip[NETADDR_TEXT_MAX];

	return begin(out, "iprev", names[a->origin->name]) &&
	       property(out, "policy.iprev", netaddr_text(&a->peer, ip)) &&
	       (a->origin->name != ORIGIN_NAME_CONFIRMED ||
		property(out, "policy.name", sv_z(a->origin->host)));
}

static bool append_spf(struct buf *out, const struct authres *a)
{
	const struct origin_facts *o = a->origin;

	/* why is ours: words, figures and hyphens. */
	return begin(out, "spf", spf_result_name(o->spf)) &&
	       (o->spf == SPF_PASS || o->spf == SPF_NONE ||
		buf_appendf(out, " (%s)", o->spf_why)) &&
	       (o->is_spf_of_helo ? property(out, "smtp.helo", a->helo)
				  : property(out, "smtp.mailfrom", a->sender));
}

static bool append_signature(struct buf *out, const struct dkim_signature *s)
{
	return begin(out, "dkim", dkim_result_name(s->result)) &&
	       (!s->reason[0] || buf_appendf(out, " (%s)", s->reason)) &&
	       property(out, "header.d", s->domain) && property(out, "header.s", s->selector) &&
	       (!s->algorithm.len || property(out, "header.a", s->algorithm)) &&
	       (!s->b.len || property(out, "header.b", s->b)) &&
	       (!s->is_testing || buf_append(out, SV(" (t=y)")));
}

static bool append_arc(struct buf *out, const struct author_facts *f)
{
	const struct arc_chain *arc = dkim_verifier_arc(f->dkim);

	if (arc->result == DKIM_NONE)
		return true;
	return begin(out, "arc", dkim_result_name(arc->result)) &&
	       buf_appendf(out, " (i=%zu", arc->count) &&
	       (!arc->reason[0] || buf_appendf(out, ", %s", arc->reason)) &&
	       buf_append(out, f->is_vouched ? SV(", trusted)") : SV(")"));
}

static bool append_dkim(struct buf *out, const struct author_facts *f)
{
	size_t count = dkim_verifier_count(f->dkim, NULL);
	bool ok = count || begin(out, "dkim", "none");

	for (size_t i = 0; i < count && ok; i++)
		ok = append_signature(out, dkim_verifier_get(f->dkim, i));
	return ok && append_arc(out, f);
}

static bool append_dmarc(struct buf *out, const struct author_facts *f)
{
	const struct dmarc_verdict *v = &f->dmarc;

	if (!f->domain[0])
		return begin(out, "dmarc", f->is_ambiguous ? "permerror (not one author)" : "none");
	return begin(out, "dmarc", dmarc_result_name(v->result)) &&
	       (!v->record_at[0] || buf_appendf(out, " (p=%s%s)", dmarc_policy_name(v->policy),
						v->is_testing ? " t=y" : "")) &&
	       property(out, "header.from", sv_z(f->domain));
}

bool authres_write(struct buf *out, const struct authres *a)
{
	size_t start = out->len;

	if (buf_appendf(out, "Authentication-Results: %s", a->hostname) && append_iprev(out, a) &&
	    append_spf(out, a) && (!a->author || !a->author->dkim || append_dkim(out, a->author)) &&
	    (!a->author || append_dmarc(out, a->author)) && buf_append(out, SV("\r\n")))
		return true;
	out->len = start;
	return false;
}

/* next_info - cut the results up to the next semicolon that is neither quoted nor inside a comment.
 */
static bool next_info(struct sv *rest, struct sv *info)
{
	unsigned depth = 0;
	bool is_quoted = false;
	size_t i = 0;

	if (!rest->len)
		return false;
	for (; i < rest->len; i++) {
		char c = rest->p[i];

		if (c == '\\' && (is_quoted || depth))
			i++;
		else if (c == '"' && !depth)
			is_quoted = !is_quoted;
		else if (c == '(' && !is_quoted)
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (c == ';' && !is_quoted && !depth)
			break;
	}
	*info = sv_sub(*rest, 0, i);
	sv_skip(rest, i < rest->len ? i + 1 : rest->len);
	return true;
}

bool authres_has(struct sv results, struct sv method, struct sv result)
{
	struct sv info;

	while (next_info(&results, &info)) {
		header_skip_cfws(&info);
		if (!sv_starts_nocase(info, method))
			continue;
		sv_skip(&info, method.len);
		header_skip_cfws(&info);
		if (!info.len || info.p[0] != '=')
			continue; /* a longer name, or a version: nobody writes one */
		sv_skip(&info, 1);
		header_skip_cfws(&info);
		if (!sv_starts_nocase(info, result))
			continue;
		sv_skip(&info, result.len);
		if (!info.len || strchr(" \t\r\n(", info.p[0]))
			return true;
	}
	return false;
}
