#include "smtpd/fixup.h"

#include "common/banned.h"

enum state {
	AT_LINE = 0,    /* the next octet begins a line of the header */
	IN_NAME,        /* octets of the name are held back in f->name */
	IN_LINE,        /* of a field whose fate is known */
	SAW_CR,         /* in such a line */
	EMPTY_CR,       /* a CR began the line: the empty line, if a LF follows */
	IN_BODY,
};

void fixup_init(struct fixup *f, struct sv date, struct sv message_id, byte_sink_fn *sink,
		void *ctx)
{
	*f = (struct fixup){ .sink = sink, .ctx = ctx, .date = date, .message_id = message_id };
}

static bool put(struct fixup *f, struct sv octets)
{
	return !octets.len || f->is_dropping || f->sink(f->ctx, octets);
}

/* decide - the name is known: is the field noted, dropped, or just passed? */
static bool decide(struct fixup *f)
{
	struct sv name = sv_trim(sv_from(f->name, f->name_len));

	f->is_dropping = sv_eq_nocase(name, SV("Bcc")) || sv_eq_nocase(name, SV("Resent-Bcc")) ||
			 sv_eq_nocase(name, SV("Return-Path"));
	f->has_date |= sv_eq_nocase(name, SV("Date"));
	f->has_from |= sv_eq_nocase(name, SV("From"));
	f->has_message_id |= sv_eq_nocase(name, SV("Message-ID"));
	/* Half of it is the sender's to mend. */
	f->has_unsubscribe |= sv_eq_nocase(name, SV("List-Unsubscribe")) || sv_eq_nocase(name, SV("List-Unsubscribe-Post"));
	return put(f, sv_from(f->name, f->name_len));
}

/* undecided - the line turned out to have no name that we look for: pass on what was held back. */
static bool undecided(struct fixup *f)
{
	f->is_dropping = false;
	return put(f, sv_from(f->name, f->name_len));
}

static bool add_missing(struct fixup *f)
{
	f->is_dropping = false;
	return (f->has_date || put(f, f->date)) && (f->has_message_id || put(f, f->message_id)) &&
	       (f->has_unsubscribe || put(f, f->unsubscribe)) && (f->has_from || put(f, f->from));
}

/* name_octet - one more octet of a line's beginning. */
static bool name_octet(struct fixup *f, char c)
{
	if (c == ':') {
		f->state = IN_LINE;
		return decide(f) && put(f, SV(":"));
	}
	if (c == '\r' || f->name_len == FIXUP_NAME_MAX) {
		f->state = c == '\r' ? SAW_CR : IN_LINE;
		return undecided(f) && put(f, sv_from(&c, 1));
	}
	f->name[f->name_len++] = c;
	return true;
}

/* line_start - the first octet of a line: a fold belongs to the field before it, whatever became of
 * that. */
static bool line_start(struct fixup *f, char c)
{
	f->name_len = 0;
	if (c == ' ' || c == '\t') {
		f->state = IN_LINE;
		return put(f, sv_from(&c, 1));
	}
	f->is_dropping = false;
	if (c == '\r') {
		f->state = EMPTY_CR;
		return true;
	}
	f->state = IN_NAME;
	return name_octet(f, c);
}

/* pass_line - everything up to a CR goes the way of its field, in one run. */
static bool pass_line(struct fixup *f, struct sv *octets)
{
	size_t cr = sv_find(*octets, '\r');
	struct sv run = sv_sub(*octets, 0, cr == SIZE_MAX ? octets->len : cr + 1);

	sv_skip(octets, run.len);
	if (cr != SIZE_MAX)
		f->state = SAW_CR;
	return put(f, run);
}

bool fixup_feed(struct fixup *f, struct sv octets)
{
	while (octets.len) {
		char c = *octets.p;
		bool ok = true;

		switch ((enum state)f->state) {
		case IN_BODY:
			return f->sink(f->ctx, octets);
		case IN_LINE:
			if (!pass_line(f, &octets))
				return false;
			continue;
		case AT_LINE:
			ok = line_start(f, c);
			break;
		case IN_NAME:
			ok = name_octet(f, c);
			break;
		case SAW_CR:
			f->state = c == '\n' ? AT_LINE : c == '\r' ? SAW_CR : IN_LINE;
			ok = put(f, sv_from(&c, 1));
			break;
		case EMPTY_CR:
			if (c == '\n') {
				f->state = IN_BODY;
				ok = add_missing(f) && put(f, SV("\r\n"));
			} else {
				f->state = c == '\r' ? SAW_CR : IN_LINE;
				ok = put(f, SV("\r")) && put(f, sv_from(&c, 1));
			}
			break;
		}
		if (!ok)
			return false;
		sv_skip(&octets, 1);
	}
	return true;
}

bool fixup_finish(struct fixup *f)
{
	bool is_line_cut = f->state == IN_NAME || f->state == IN_LINE || f->state == SAW_CR;
	bool is_cr_held = f->state == EMPTY_CR;
	bool ok = true;

	if (f->state == IN_BODY)
		return true;
	if (f->state == IN_NAME)
		ok = undecided(f);
	if (is_line_cut && !f->is_dropping &&
	    ok) /* BDAT may end anywhere; our fields begin a line */
		ok = put(f, f->state == SAW_CR ? SV("\n") : SV("\r\n"));
	f->state = IN_BODY;
	return ok && add_missing(f) && (!is_cr_held || put(f, SV("\r")));
}
