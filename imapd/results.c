/* imapd/results.c - see results.h. */
#include "imapd/results.h"

#include "common/banned.h"

void results_of(const struct view *view, bool is_uid, const struct uidset *uids, struct results *out)
{
	struct view_cursor cursor = view_cursor(view);

	*out = (struct results){ 0 };
	if (is_uid) {
		uidset_copy(&out->numbers, uids);
		return;
	}
	for (size_t i = 0; i < uids->count; i++)
		for (uint32_t uid = uids->ranges[i].first;; uid++) {
			uint32_t n = view_cursor_seq(&cursor, uid);

			if (n)
				uidset_add(&out->numbers, n, n);
			if (uid == uids->ranges[i].last)
				break;
		}
}

void results_done(struct results *r)
{
	uidset_done(&r->numbers);
}

static uint64_t total(const struct results *r)
{
	return r->sorted ? r->count : uidset_total(&r->numbers);
}

static uint32_t lowest(const struct results *r)
{
	return r->sorted ? r->sorted[0] : r->numbers.ranges[0].first;
}

static uint32_t highest(const struct results *r)
{
	return r->sorted ? r->sorted[r->count - 1] : r->numbers.ranges[r->numbers.count - 1].last;
}

/* write_sorted - RFC 5267 §3.2: a range only where the order is the ascending one. */
static void write_sorted(struct writer *w, const uint32_t *numbers, size_t count)
{
	for (size_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && numbers[end] == numbers[end - 1] + 1;)
			end++;
		if (i)
			writer_c(w, ',');
		writer_u64(w, numbers[i]);
		if (end - i > 1) {
			writer_c(w, ':');
			writer_u64(w, numbers[end - 1]);
		}
	}
}

static void write_all(struct writer *w, const struct results *r)
{
	if (r->sorted)
		write_sorted(w, r->sorted, r->count);
	else
		writer_uidset(w, &r->numbers);
}

static void write_partial(struct writer *w, const struct partial *partial, const struct results *r)
{
	struct uidset part = { 0 };
	uint64_t first, last;

	writer_z(w, " PARTIAL (");
	writer_put(w, partial->text);
	writer_c(w, ' ');
	if (!partial_bounds(partial, total(r), &first, &last)) {
		writer_z(w, "NIL)");
		return;
	}
	if (r->sorted) {
		write_sorted(w, r->sorted + first - 1, (size_t)(last - first + 1));
	} else {
		partial_of(partial, &r->numbers, &part);
		writer_uidset(w, &part);
		uidset_done(&part);
	}
	writer_c(w, ')');
}

/* told_modseq - RFC 7162 §3.1.10: with MIN and MAX only, the highest of those two messages. */
static uint64_t told_modseq(const struct finder *found)
{
	const struct uidset *uids = &found->found;
	unsigned returns = found->search.returns;
	struct message_row row;
	uint64_t modseq = 0;

	if (returns & (RETURN_ALL | RETURN_COUNT | RETURN_PARTIAL) || !uids->count)
		return found->highest_modseq;
	if (returns & RETURN_MIN && !mailbox_row(found->box, uids->ranges[0].first, &row).kind)
		modseq = row.modseq;
	if (returns & RETURN_MAX &&
	    !mailbox_row(found->box, uids->ranges[uids->count - 1].last, &row).kind && row.modseq > modseq)
		modseq = row.modseq;
	return modseq;
}

void results_write(struct command *c, const struct finder *found, const struct results *r)
{
	const struct search *s = &found->search;
	struct writer *w = &c->out;
	uint64_t count = total(r);

	if (s->returns == RETURN_SAVE)  /* RFC 5182 §2.1 */
		return;
	/* The tag is always a quoted string: the grammar wants it, and Outlook takes nothing else. */
	writer_z(w, "* ESEARCH (TAG ");
	writer_quoted(w, c->tag);
	if (r->mailbox.len) {
		writer_z(w, " MAILBOX ");
		command_write_mailbox(c, r->mailbox);
		writer_f(w, " UIDVALIDITY %u", r->uidvalidity);
	}
	writer_z(w, c->is_uid ? ") UID" : ")");
	if (count && s->returns & RETURN_MIN)
		writer_f(w, " MIN %u", lowest(r));
	if (count && s->returns & RETURN_MAX)
		writer_f(w, " MAX %u", highest(r));
	if (count && s->returns & RETURN_ALL) {
		writer_z(w, " ALL ");
		write_all(w, r);
	}
	if (s->returns & RETURN_PARTIAL)
		write_partial(w, &s->partial, r);
	if (s->returns & RETURN_COUNT)
		writer_f(w, " COUNT %llu", (unsigned long long)count);
	if (s->has_modseq && count)
		writer_f(w, " MODSEQ %llu", (unsigned long long)told_modseq(found));
	writer_crlf(w);
}

static void save_partial(struct uidset *saved, const struct partial *partial, const struct results *uids)
{
	struct uidset part = { 0 };
	uint64_t first, last;

	if (!partial_bounds(partial, total(uids), &first, &last))
		return;
	if (!uids->sorted)
		partial_of(partial, &uids->numbers, &part);
	for (; uids->sorted && first <= last; first++)
		uidset_add(saved, uids->sorted[first - 1], uids->sorted[first - 1]);
	for (size_t i = 0; i < part.count; i++)
		uidset_add(saved, part.ranges[i].first, part.ranges[i].last);
	uidset_done(&part);
}

/* RFC 5182 §2.4 and RFC 9394 §3.2: with nothing but MIN, MAX and PARTIAL, those messages; else all. */
void results_save(struct command *c, const struct finder *found, const struct results *uids)
{
	struct uidset *saved = &c->room->view.saved;
	unsigned returns = found->search.returns;

	uidset_done(saved);
	if (returns & (RETURN_ALL | RETURN_COUNT) || returns == RETURN_SAVE) {
		uidset_copy(saved, &found->found);
		return;
	}
	if (!total(uids))
		return;
	if (returns & RETURN_MIN)
		uidset_add(saved, lowest(uids), lowest(uids));
	if (returns & RETURN_MAX)
		uidset_add(saved, highest(uids), highest(uids));
	if (returns & RETURN_PARTIAL)
		save_partial(saved, &found->search.partial, uids);
}
