#include "smtpd/grammar.h"

#include "common/date.h"
#include "smtpd/wishes.h"

#include "common/banned.h"

#define ON_SUBMISSION (LISTENER_SUBMISSION | LISTENER_SUBMISSIONS | LISTENER_LOCAL)
#define WITH_LOGIN (ON_SUBMISSION | LISTENER_LEGACY)
#define WITH_DSN (ON_SUBMISSION | LISTENER_MX)
#define NOT_LEGACY (LISTENERS_SMTPD & ~(unsigned)LISTENER_LEGACY)

void smtp_split_verb(struct sv line, struct sv *verb, struct sv *args)
{
	size_t space;

	while (line.len && (line.p[line.len - 1] == ' ' || line.p[line.len - 1] == '\t'))
		line.len--;
	space = sv_find(line, ' ');
	*verb = sv_sub(line, 0, space);
	*args = space == SIZE_MAX ? SV_NONE : sv_sub(line, space + 1, line.len);
}

/* ---- parameters ---- */

static enum reply_id check_size(struct smtp_path *p, struct sv value)
{
	for (size_t i = 0; i < value.len; i++)
		if (!ascii_is_digit(value.p[i]))
			return REPLY_BAD_ARGUMENT;
	if (!value.len || value.len > 20)
		return REPLY_BAD_ARGUMENT;
	p->has_size = true;
	if (!sv_to_u64(value, &p->size))
		p->size = UINT64_MAX;
	return REPLY_OK;
}

static enum reply_id check_old_body(struct smtp_path *p, struct sv value)
{
	(void)p;
	return sv_eq_nocase(value, SV("8BITMIME")) || sv_eq_nocase(value, SV("7BIT")) ? REPLY_OK : REPLY_BAD_ARGUMENT;
}

static enum reply_id check_body(struct smtp_path *p, struct sv value)
{
	p->is_binary = sv_eq_nocase(value, SV("BINARYMIME"));
	return p->is_binary ? REPLY_OK : check_old_body(p, value);
}

static enum reply_id check_smtputf8(struct smtp_path *p, struct sv value)
{
	p->has_smtputf8 = true;
	return value.p ? REPLY_BAD_ARGUMENT : REPLY_OK;
}

static enum reply_id check_requiretls(struct smtp_path *p, struct sv value)
{
	p->has_requiretls = true;
	return value.p ? REPLY_BAD_ARGUMENT : REPLY_OK;
}

/* Kept for whoever relays; the server itself believes only the login (RFC 4954 §5). */
static enum reply_id check_auth(struct smtp_path *p, struct sv value)
{
	(void)p;
	return value.len && value.len <= 500 ? REPLY_OK : REPLY_BAD_ARGUMENT;
}

/* is_xtext - RFC 3461 §4: printable ASCII but + and =, others as +XX. */
static bool is_xtext(struct sv text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (c < '!' || c > '~' || c == '=')
			return false;
		if (c != '+')
			continue;
		if (text.len - i < 3 || ascii_hex(text.p[i + 1]) < 0 || ascii_hex(text.p[i + 2]) < 0)
			return false;
		i += 2;
	}
	return text.len != 0;
}

static enum reply_id check_ret(struct smtp_path *p, struct sv value)
{
	(void)p;
	return sv_eq_nocase(value, SV("FULL")) || sv_eq_nocase(value, SV("HDRS")) ? REPLY_OK : REPLY_BAD_ARGUMENT;
}

static enum reply_id check_envid(struct smtp_path *p, struct sv value)
{
	(void)p;
	return value.len <= 100 && is_xtext(value) ? REPLY_OK : REPLY_BAD_ARGUMENT;
}

/* check_notify - NEVER alone, or a list. */
static enum reply_id check_notify(struct smtp_path *p, struct sv value)
{
	struct sv item;
	(void)p;

	if (sv_eq_nocase(value, SV("NEVER")))
		return REPLY_OK;
	if (!value.len || value.p[value.len - 1] == ',')
		return REPLY_BAD_ARGUMENT;
	while (sv_split(&value, ',', &item))
		if (!sv_eq_nocase(item, SV("SUCCESS")) && !sv_eq_nocase(item, SV("FAILURE")) &&
		    !sv_eq_nocase(item, SV("DELAY")))
			return REPLY_BAD_ARGUMENT;
	return REPLY_OK;
}

/* check_orcpt - "rfc822;alice+2Bx@example.org"; of the type utf-8 also octets beyond ASCII (RFC 6533 §3; the line is UTF-8). */
static enum reply_id check_orcpt(struct smtp_path *p, struct sv value)
{
	struct sv rest = value, type;
	bool is_utf8;
	(void)p;

	if (value.len > 500 || !sv_split(&rest, ';', &type) || !type.len || !is_xtext(type) || !rest.len)
		return REPLY_BAD_ARGUMENT;
	is_utf8 = sv_eq_nocase(type, SV("utf-8"));
	while (rest.len) {
		struct sv run = rest;

		run.len = 0;
		while (run.len < rest.len && !(is_utf8 && (unsigned char)rest.p[run.len] >= 0x80))
			run.len++;
		if (run.len && !is_xtext(run))
			return REPLY_BAD_ARGUMENT;
		sv_skip(&rest, run.len < rest.len ? run.len + 1 : run.len);
	}
	return REPLY_OK;
}

/* check_hold - FUTURERELEASE has one of two parameters; how far is for the caller (RFC 4865 §4.2). */
static enum reply_id check_hold_for(struct smtp_path *p, struct sv value)
{
	uint64_t seconds;

	if (p->has_hold || !wishes_hold_for(value, &seconds))
		return REPLY_BAD_ARGUMENT;
	p->has_hold = true;
	p->hold_s = (int64_t)seconds;
	return REPLY_OK;
}

static enum reply_id check_hold_until(struct smtp_path *p, struct sv value)
{
	int64_t at_s;

	if (p->has_hold || !wishes_hold_until(value, &at_s))
		return REPLY_BAD_ARGUMENT;
	p->has_hold = true;
	p->hold_s = at_s - date_now().seconds;
	return REPLY_OK;
}

static enum reply_id check_by(struct smtp_path *p, struct sv value)
{
	bool is_return, is_trace;

	p->has_by = wishes_by(value, &p->by_s, &is_return, &is_trace);
	return p->has_by ? REPLY_OK : REPLY_BAD_ARGUMENT;
}

static enum reply_id check_priority(struct smtp_path *p, struct sv value)
{
	int priority;
	(void)p;

	return wishes_priority(value, &priority) ? REPLY_OK : REPLY_BAD_ARGUMENT;
}

struct param_rule {
	struct sv keyword;
	unsigned commands;      /* enum smtp_path_kind */
	unsigned listeners;
	enum reply_id (*check)(struct smtp_path *p, struct sv value);
	const char *source;
};

static const struct param_rule param_rules[] = {
	{ { "SIZE", 4 },     SMTP_MAIL_FROM, LISTENERS_SMTPD, check_size,     "RFC 1870 §6.1" },
	{ { "BODY", 4 },     SMTP_MAIL_FROM, NOT_LEGACY,      check_body,     "RFC 3030 §3" },
	{ { "BODY", 4 },     SMTP_MAIL_FROM, LISTENER_LEGACY, check_old_body, "RFC 6152 §2" },
	{ { "SMTPUTF8", 8 }, SMTP_MAIL_FROM, LISTENERS_SMTPD, check_smtputf8, "RFC 6531 §3.4" },
	{ { "REQUIRETLS", 10 }, SMTP_MAIL_FROM, NOT_LEGACY, check_requiretls, "RFC 8689 §4.1" },
	{ { "AUTH", 4 },     SMTP_MAIL_FROM, WITH_LOGIN,      check_auth,     "RFC 4954 §5" },
	/* RFC 4865 §4.2: on submission only. RFC 6710 §4.1: from those who are known. */
	{ { "HOLDFOR", 7 },   SMTP_MAIL_FROM, ON_SUBMISSION,  check_hold_for,   "RFC 4865 §3" },
	{ { "HOLDUNTIL", 9 }, SMTP_MAIL_FROM, ON_SUBMISSION,  check_hold_until, "RFC 4865 §3" },
	{ { "BY", 2 },        SMTP_MAIL_FROM, ON_SUBMISSION,  check_by,         "RFC 2852 §4" },
	{ { "MT-PRIORITY", 11 }, SMTP_MAIL_FROM, ON_SUBMISSION, check_priority, "RFC 6710 §4" },
	/* What becomes of a stranger's wishes: outlet.h. */
	{ { "RET", 3 },      SMTP_MAIL_FROM, WITH_DSN,        check_ret,      "RFC 3461 §4.3" },
	{ { "ENVID", 5 },    SMTP_MAIL_FROM, WITH_DSN,        check_envid,    "RFC 3461 §4.4" },
	{ { "NOTIFY", 6 },   SMTP_RCPT_TO,   WITH_DSN,        check_notify,   "RFC 3461 §4.1" },
	{ { "ORCPT", 5 },    SMTP_RCPT_TO,   WITH_DSN,        check_orcpt,    "RFC 3461 §4.2" },
};

/* check_syntax - esmtp-param of RFC 5321 §4.1.2; its value may be UTF-8 (RFC 6531 §3.3). */
static bool check_syntax(const struct smtp_param *p)
{
	if (!p->keyword.len)
		return false;
	for (size_t i = 0; i < p->keyword.len; i++) {
		char c = p->keyword.p[i];

		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && (c != '-' || !i))
			return false;
	}
	for (size_t i = 0; i < p->value.len; i++)
		if ((unsigned char)p->value.p[i] <= ' ' || p->value.p[i] == '=' ||
		    p->value.p[i] == 127)
			return false;
	return !p->value.p || p->value.len;
}

static enum reply_id add_param(struct smtp_path *out, struct sv word, unsigned kind,
			       unsigned listener)
{
	struct smtp_param *p = &out->params[out->param_count];
	struct sv rest = word;

	if (out->param_count == SMTP_PARAMS_MAX)
		return REPLY_BAD_ARGUMENT;
	p->text = word;
	sv_split(&rest, '=', &p->keyword);
	p->value = p->keyword.len == word.len ? SV_NONE : rest;
	if (!check_syntax(p))
		return REPLY_BAD_ARGUMENT;
	for (size_t i = 0; i < out->param_count; i++)
		if (sv_eq_nocase(out->params[i].keyword, p->keyword))
			return REPLY_PARAM_TWICE;
	out->param_count++;
	for (size_t i = 0; i < ARRAY_LEN(param_rules); i++) {
		const struct param_rule *r = &param_rules[i];

		if ((r->commands & kind) && (r->listeners & listener) &&
		    sv_eq_nocase(r->keyword, p->keyword))
			return r->check(out, p->value);
	}
	return REPLY_UNKNOWN_PARAM;
}

/* unquote - some devices write <'bob@example.org'>: the quotes are none of the address. */
static bool unquote(struct arena *a, struct sv *path)
{
	struct sv rest = *path, inside;
	bool has_angle;
	char *out;

	while (rest.len && *rest.p == ' ')
		sv_skip(&rest, 1);
	has_angle = rest.len && *rest.p == '<';
	sv_skip(&rest, has_angle);
	if (!rest.len || *rest.p != '\'')
		return true;
	sv_skip(&rest, 1);
	inside = sv_sub(rest, 0, sv_find(rest, '\''));
	if (inside.len == rest.len)
		return true;
	sv_skip(&rest, inside.len + 1);
	out = arena_alloc(a, inside.len + rest.len + 1);
	if (!out)
		return false;
	*out = '<';
	memcpy(out + has_angle, inside.p, inside.len);
	memcpy(out + has_angle + inside.len, rest.p ? rest.p : "", rest.len);
	*path = sv_from(out, has_angle + inside.len + rest.len);
	return true;
}

enum reply_id smtp_parse_path(struct arena *a, struct sv args, enum smtp_path_kind kind,
			      enum conf_listener_kind listener, struct smtp_path *out)
{
	bool is_lenient = (listener & WITH_LOGIN) != 0, is_legacy = listener == LISTENER_LEGACY;
	struct sv word = kind == SMTP_MAIL_FROM ? SV("FROM:") : SV("TO:");
	unsigned flags = (is_lenient ? ADDRESS_LENIENT : 0) |
			 (listener == LISTENER_LOCAL || (is_legacy && kind == SMTP_MAIL_FROM) ? ADDRESS_ALLOW_NO_DOMAIN : 0) |
			 (kind == SMTP_MAIL_FROM ? ADDRESS_ALLOW_NULL : 0);

	*out = (struct smtp_path){ .has_size = false };
	if (!sv_starts_nocase(args, word))
		return REPLY_BAD_ARGUMENT;
	sv_skip(&args, word.len);
	if (is_legacy && !unquote(a, &args))
		return REPLY_LINE_TOO_LONG;
	if (address_parse_path(a, &args, flags, &out->address).kind)
		return kind == SMTP_MAIL_FROM ? REPLY_BAD_SENDER : REPLY_BAD_RCPT;
	if (args.len && *args.p != ' ')
		return REPLY_BAD_ARGUMENT;
	while (args.len) {
		struct sv part;
		enum reply_id r;

		sv_split(&args, ' ', &part);
		if (!part.len)
			continue;       /* two spaces harm nobody */
		r = add_param(out, part, kind, listener);
		if (r != REPLY_OK)
			return r;
	}
	return REPLY_OK;
}

bool smtp_parse_bdat(struct sv args, uint64_t *size, bool *is_last)
{
	struct sv number;

	sv_split(&args, ' ', &number);
	args = sv_trim(args);
	*is_last = sv_eq_nocase(args, SV("LAST"));
	return sv_to_u64(number, size) && (*is_last || !args.len);
}

bool smtp_needs_utf8(const struct address *a)
{
	return a->is_utf8 || a->is_utf8_domain;
}
