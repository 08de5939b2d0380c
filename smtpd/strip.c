#include "smtpd/strip.h"

#include "common/header.h"

#include "common/banned.h"

enum state {
	AT_LINE = 0,   /* the next octet begins a line of the header */
	HOLDING,       /* a field whose fate is not known: its octets are in held */
	HELD_LINE_END, /* such a field, and a line of it has ended */
	PASSING,       /* a field whose fate is known */
	EMPTY_CR,      /* a CR began the line: the empty line, if a LF follows */
	IN_BODY,
};

/* What goes on is handed on in large pieces: each may be a system call of the sink's. */
struct gathered {
	size_t len;
	char octets[8192];
};

static const struct sv results_name = SV_INIT("Authentication-Results");
static const struct sv only_ours[] = { SV_INIT("X-Postroom-Junk"), SV_INIT("X-Postroom-Rejected"), SV_INIT("Return-Path") };

void strip_init(struct strip *s, const char *hostname, byte_sink_fn *sink, void *ctx)
{
	strip_init_names(s, only_ours, ARRAY_LEN(only_ours), sink, ctx);
	s->hostname = hostname;
}

void strip_init_names(struct strip *s, const struct sv *names, size_t count, byte_sink_fn *sink, void *ctx)
{
	*s = (struct strip){ .sink = sink, .ctx = ctx, .names = names, .name_count = count };
}

static bool put_gathered(struct strip *s)
{
	struct sv octets = sv_from(s->gathered->octets, s->gathered->len);

	s->gathered->len = 0;
	return !octets.len || s->sink(s->ctx, octets);
}

static bool put(struct strip *s, struct sv octets)
{
	struct gathered *g = s->gathered;

	if (s->is_dropping)
		return true;
	if (octets.len > sizeof(g->octets) - g->len && !put_gathered(s))
		return false;
	if (octets.len > sizeof(g->octets))
		return s->sink(s->ctx, octets);
	memcpy(g->octets + g->len, octets.p, octets.len);
	g->len += octets.len;
	return true;
}

/* is_results_of_ours - the authserv-id, behind comments; a version may follow it (RFC 8601 §2.2).
 */
static bool is_results_of_ours(const struct strip *s, struct sv value, bool is_whole)
{
	struct sv id;
	size_t n = 0;

	header_skip_cfws(&value);
	if (!value.len)
		return !is_whole; /* comments without end: somebody hides something */
	if (value.p[0] == '"') {
		sv_skip(&value, 1);
		while (n < value.len && value.p[n] != '"')
			n++;
	} else {
		while (n < value.len && !strchr(" \t\r\n;(", value.p[n]))
			n++;
	}
	id = sv_sub(value, 0, n);
	if (id.len && id.p[id.len - 1] == '.')
		id.len--;
	return sv_eq_nocase(id, sv_z(s->hostname));
}

/* decide - the field, or as much of it as is held; is_whole: it has ended. */
static bool decide(struct strip *s, bool is_whole)
{
	struct sv held = sv_from(s->held, s->held_len), name, value;
	size_t colon = sv_find(held, ':');
	bool is_bad = false;

	s->held_len = 0;
	if (colon != SIZE_MAX) {
		name = sv_trim(sv_sub(held, 0, colon));
		value = sv_sub(held, colon + 1, SIZE_MAX);
		if (s->hostname && sv_eq_nocase(name, results_name))
			is_bad = is_results_of_ours(s, value, is_whole);
		for (size_t i = 0; i < s->name_count; i++)
			is_bad |= sv_eq_nocase(name, s->names[i]);
	}
	s->is_dropping = is_bad;
	s->taken += is_bad;
	return put(s, held);
}

/* may_be - as far as the field is held, it may have this name. */
static bool may_be(const struct strip *s, struct sv name)
{
	struct sv held = sv_from(s->held, s->held_len);
	size_t n = held.len < name.len ? held.len : name.len;

	return sv_eq_nocase(sv_sub(held, 0, n), sv_sub(name, 0, n));
}

static bool is_ours_to_judge(const struct strip *s)
{
	bool yes = s->hostname && may_be(s, results_name);

	for (size_t i = 0; i < s->name_count && !yes; i++)
		yes = may_be(s, s->names[i]);
	return yes;
}

/* hold - one more octet of a field that may have to go. */
static bool hold(struct strip *s, char c)
{
	s->held[s->held_len++] = c;
	if (c == '\n' && s->held_len < STRIP_HOLD) {
		s->state = HELD_LINE_END;
		return true;
	}
	s->state = HOLDING;
	if (s->held_len < STRIP_HOLD && is_ours_to_judge(s))
		return true;
	s->state = c == '\n' ? AT_LINE : PASSING;
	return decide(s, false);
}

/* begin_line - c is the first octet of a line. */
static bool begin_line(struct strip *s, char c)
{
	bool is_folded = c == ' ' || c == '\t';

	if (s->held_len && is_folded)
		return hold(s, c);
	if (s->held_len && !decide(s, true))
		return false;
	if (!is_folded)
		s->is_dropping = false;
	if (c == '\n' || c == '\r' || is_folded) {
		s->state = c == '\n' ? IN_BODY : c == '\r' ? EMPTY_CR : PASSING;
		return put(s, sv_from(&c, 1));
	}
	return hold(s, c);
}

/* pass - up to the end of the line. */
static bool pass(struct strip *s, struct sv *octets)
{
	size_t end = sv_find(*octets, '\n');
	struct sv run = sv_sub(*octets, 0, end == SIZE_MAX ? octets->len : end + 1);

	if (end != SIZE_MAX)
		s->state = s->state == EMPTY_CR && end == 0 ? IN_BODY : AT_LINE;
	else
		s->state = PASSING;
	sv_skip(octets, run.len);
	return put(s, run);
}

bool strip_feed(struct strip *s, struct sv octets)
{
	struct gathered gathered;
	bool ok = true;

	if (s->state == IN_BODY)
		return !octets.len || s->sink(s->ctx, octets);
	gathered.len = 0;
	s->gathered = &gathered;
	while (octets.len && ok && s->state != IN_BODY) {
		char c = octets.p[0];

		switch ((enum state)s->state) {
		case AT_LINE:
		case HELD_LINE_END:
			sv_skip(&octets, 1);
			ok = begin_line(s, c);
			break;
		case HOLDING:
			sv_skip(&octets, 1);
			ok = hold(s, c);
			break;
		case PASSING:
		case EMPTY_CR:
			ok = pass(s, &octets);
			break;
		case IN_BODY:
			break;
		}
	}
	ok = ok && (!octets.len || put(s, octets)) && put_gathered(s);
	s->gathered = NULL;
	return ok;
}

bool strip_finish(struct strip *s)
{
	struct gathered gathered;
	bool ok;

	gathered.len = 0;
	s->gathered = &gathered;
	ok = (!s->held_len || decide(s, true)) && put_gathered(s);
	s->gathered = NULL;
	return ok;
}
