#include "imapd/training_marks.h"

#include "imapd/flagset.h"

#include "common/banned.h"

static const struct {
	const char *name;
	enum lesson kind;
	bool is_sure;
} names[] = {
	{ "$Junk", LESSON_SPAM, true }, { "$NotJunk", LESSON_HAM, true },
	{ "Junk", LESSON_SPAM, false }, { "NonJunk", LESSON_HAM, false }, { "NotJunk", LESSON_HAM, false },
};

void training_marks_of(const struct flag_change *change, struct training_marks *out)
{
	bool is_both = false;

	*out = (struct training_marks){ 0 };
	for (size_t i = 0; i < change->keyword_count && change->mode != STORE_REMOVE; i++)
		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			if (!sv_eq_nocase(change->keywords[i], sv_z(names[k].name)))
				continue;
			is_both |= out->kind && out->kind != names[k].kind;
			out->kind = names[k].kind;
			out->is_sure |= names[k].is_sure;
		}
	if (is_both)
		out->kind = LESSON_NONE;
}

static void add_bit(struct keyword_bits *bits, uint32_t number)
{
	if (number < KEYWORDS_MAX)
		bits->w[number / 64] |= (uint64_t)1 << (number % 64);
}

static bool have_common(struct keyword_bits a, struct keyword_bits b)
{
	for (size_t i = 0; i < ARRAY_LEN(a.w); i++)
		if (a.w[i] & b.w[i])
			return true;
	return false;
}

bool training_marks_begin(struct command *c, const struct flag_change *change, struct training_marks *out)
{
	struct fault f;

	training_marks_of(change, out);
	if (!out->kind || !c->room->training || !(mailbox_granted(c->room->box) & RIGHT_WRITE))
		return false;
	f = room_keywords(c, false);
	if (f.kind) {
		log_warn(c->log, "training.left-out", KV_SV("account", c->room->account), KV_FAULT("fault", f));
		return false;
	}
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		uint32_t number = keyword_number(&c->keywords->table, sv_z(names[k].name));

		if (names[k].kind != out->kind)
			add_bit(&out->opposite, number);
		else if (!out->is_sure || names[k].is_sure)     /* what a filter says is no reason not to believe a person */
			add_bit(&out->same, number);
	}
	return true;
}

bool training_marks_teaches(const struct training_marks *marks, struct keyword_bits has)
{
	return !have_common(has, marks->same) && (marks->is_sure || have_common(has, marks->opposite));
}

static bool take(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct training_marks *marks = arg;

	(void)parsed;
	if (training_marks_teaches(marks, row->keywords))
		(void)uidset_add(&marks->taught, row->uid, row->uid);
	return true;
}

struct fault training_marks_look(struct command *c, const struct uidset *set, struct training_marks *marks)
{
	struct fault f = mailbox_scan(c->room->box, set, SCAN_ROW, &marks->resume, take, marks);

	if (f.kind)
		marks->resume = 0;
	return f;
}

void training_marks_done(struct training_marks *marks)
{
	uidset_done(&marks->taught);
}
