/* maildir/import_mbox.c - see import_mbox.h. */
#include "maildir/import_mbox.h"

#include "common/date.h"
#include "maildir/import_lists.h"
#include "maildir/mailbox.h"

#include "common/banned.h"

#define FROM_WORDS 12           /* a sender may hold spaces, but not many */

void mbox_init(struct mbox_reader *r, const struct mbox_sink *sink, void *arg)
{
	*r = (struct mbox_reader){ .sink = sink, .arg = arg, .after_blank = true };
	buf_init(&r->line, MBOX_LINE_MAX);
}

void mbox_done(struct mbox_reader *r)
{
	buf_done(&r->line);
}

/* mbox_is_from - is this line (without its end) one that begins a message? *received: its date. */
static bool mbox_is_from(struct sv line, int64_t *received)
{
	struct date date;

	*received = 0;
	if (!sv_starts(line, SV("From ")))
		return false;
	sv_skip(&line, 5);
	for (int words = 0; words < FROM_WORDS; words++) {
		struct sv word, rest = line;
		/* A date has a time in it: without this look "From 1 Jan on" would be one. */
		if (sv_find(rest, ':') == SIZE_MAX)
			return false;
		if (words && date_parse_5322(rest, &date)) {
			*received = date.seconds;
			return true;
		}
		if (!sv_split(&line, ' ', &word))
			return false;
	}
	return false;
}

static bool give(struct mbox_reader *r, struct sv run)
{
	if (run.len && !r->has_stopped && !r->sink->octets(r->arg, run))
		r->has_stopped = true;
	return !r->has_stopped;
}

static bool finish_message(struct mbox_reader *r)
{
	if (r->in_message && !r->has_stopped) {
		r->meta.is_internal = r->meta.is_internal && r->has_x_imap;
		if (!r->sink->end(r->arg, &r->meta))
			r->has_stopped = true;
	}
	r->in_message = false;
	r->blank_len = 0;
	return !r->has_stopped;
}

static void begin_message(struct mbox_reader *r, int64_t received)
{
	memset(&r->meta, 0, sizeof(r->meta));
	r->meta.received = received;
	r->in_message = r->in_header = true;
	r->skips_field = r->has_x_imap = false;
	if (!r->has_stopped && !r->sink->begin(r->arg))
		r->has_stopped = true;
}

/* --- fields that are ours ------------------------------------------------------------------------------------------------ */

static void add_status(struct mbox_reader *r, struct sv value)
{
	static const struct { char letter; uint32_t flag; } letters[] = {
		{ 'R', FLAG_SEEN }, { 'A', FLAG_ANSWERED }, { 'F', FLAG_FLAGGED }, { 'D', FLAG_DELETED }, { 'T', FLAG_DRAFT },
	};

	for (size_t i = 0; i < value.len; i++)
		for (size_t k = 0; k < ARRAY_LEN(letters); k++)
			if (letters[k].letter == value.p[i])
				r->meta.flags |= letters[k].flag;
}

static void copy_text(char *to, size_t size, struct sv from)
{
	size_t n = from.len < size - 1 ? from.len : size - 1;

	if (n < from.len)       /* at a word's end */
		while (n && from.p[n] != ' ')
			n--;
	memcpy(to, from.p ? from.p : "", n);
	to[n] = '\0';
}

/* "<uidvalidity> <last uid> <keyword>..." */
static void take_base(struct mbox_reader *r, struct sv value)
{
	struct sv validity, last = SV_NONE;

	if (sv_split(&value, ' ', &validity) && sv_split(&value, ' ', &last) &&
	    sv_to_u32(validity, &r->meta.uidvalidity) && sv_to_u32(last, &r->meta.uid_last) &&
	    r->meta.uid_last <= LISTS_UID_MAX)
		copy_text(r->meta.all_keywords, sizeof(r->meta.all_keywords), sv_trim(value));
	else
		r->meta.uidvalidity = r->meta.uid_last = 0;
}

/* True when the field is one of those that are taken out. */
static bool take_field(struct mbox_reader *r, struct sv line)
{
	size_t colon = sv_find(line, ':');
	struct sv name = sv_trim(sv_sub(line, 0, colon)), value;

	if (colon == SIZE_MAX)
		return false;
	value = sv_trim(sv_sub(line, colon + 1, SIZE_MAX));
	if (sv_eq_nocase(name, SV("Status")) || sv_eq_nocase(name, SV("X-Status"))) {
		add_status(r, value);
	} else if (sv_eq_nocase(name, SV("X-Keywords"))) {
		copy_text(r->meta.keywords, sizeof(r->meta.keywords), value);
	} else if (sv_eq_nocase(name, SV("X-UID"))) {
		if (!sv_to_u32(value, &r->meta.uid) || r->meta.uid > LISTS_UID_MAX)
			r->meta.uid = 0;
	} else if (sv_eq_nocase(name, SV("X-UIDL"))) {
		if (box_facts_is_uidl(value))
			copy_text(r->meta.uidl, sizeof(r->meta.uidl), value);
	} else if (sv_eq_nocase(name, SV("X-IMAPbase")) || sv_eq_nocase(name, SV("X-IMAP"))) {
		r->has_x_imap = r->has_x_imap || sv_eq_nocase(name, SV("X-IMAP"));
		take_base(r, value);
	} else if (!sv_eq_nocase(name, SV("Content-Length"))) {
		if (sv_eq_nocase(name, SV("Subject")) && sv_starts(value, SV("DON'T DELETE THIS MESSAGE")))
			r->meta.is_internal = true;
		return false;
	}
	return true;
}

/* --- lines --------------------------------------------------------------------------------------------------------------- */

static struct sv without_end(struct sv line)
{
	if (line.len && line.p[line.len - 1] == '\n')
		line.len--;
	if (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* A whole line, or the beginning of one that is longer than we look at. */
static bool take_line(struct mbox_reader *r, bool is_whole)
{
	struct sv line = buf_sv(&r->line), text = without_end(line);
	int64_t received;

	if (r->after_blank && is_whole && mbox_is_from(text, &received)) {
		if (!finish_message(r))
			return false;
		begin_message(r, received);
		r->after_blank = false;
		return !r->has_stopped;
	}
	if (!r->in_message)
		return true;
	if (r->blank_len && !give(r, sv_from(r->blank, r->blank_len)))
		return false;
	r->blank_len = 0;
	r->after_blank = is_whole && !text.len;
	if (r->in_header) {
		if (!text.len && is_whole) {
			r->in_header = r->skips_field = false;
			return give(r, line);
		}
		/* A folded line goes with its field. */
		if (text.len && (text.p[0] == ' ' || text.p[0] == '\t'))
			return r->skips_field || give(r, line);
		r->skips_field = is_whole && take_field(r, text);
		return r->skips_field || give(r, line);
	}
	if (r->after_blank) {
		memcpy(r->blank, line.p, line.len);
		r->blank_len = (unsigned)line.len;
		return true;
	}
	return give(r, line);
}

bool mbox_feed(struct mbox_reader *r, struct sv in)
{
	while (in.len && !r->has_stopped) {
		size_t lf = sv_find(in, '\n'), take = lf == SIZE_MAX ? in.len : lf + 1;

		if (r->is_long_line) {
			/* The rest of a line that was too long to look at. */
			if (r->in_message && !(r->in_header && r->skips_field) && !give(r, sv_sub(in, 0, take)))
				return false;
			r->is_long_line = lf == SIZE_MAX;
			sv_skip(&in, take);
			continue;
		}
		size_t room = MBOX_LINE_MAX - r->line.len;
		if (take > room)
			take = room;
		if (!buf_append(&r->line, sv_sub(in, 0, take)))
			return false;
		sv_skip(&in, take);
		bool is_whole = r->line.len && r->line.p[r->line.len - 1] == '\n';
		if (is_whole || r->line.len == MBOX_LINE_MAX) {
			take_line(r, is_whole);
			r->is_long_line = !is_whole;
			buf_clear(&r->line);
		}
	}
	return !r->has_stopped;
}

bool mbox_end(struct mbox_reader *r)
{
	if (r->line.len && !r->has_stopped) {
		take_line(r, true);
		buf_clear(&r->line);
	}
	/* The empty line at the end of the file is the separator of a message that never came. */
	return finish_message(r);
}
