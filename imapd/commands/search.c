/* imapd/commands/search.c - SEARCH and UID SEARCH (RFC 3501 §6.4.4), ESEARCH (RFC 4731), MODSEQ
 * (RFC 7162 §3.1.5). */
#include "imapd/search.h"

#include <time.h>

#include "imapd/command.h"

#include "common/banned.h"

#define SLICE_MS 20             /* after so long somebody else may have the thread */

struct search_command {
	struct search search;
	struct uidset found;
	uint32_t resume;
	uint64_t highest_modseq;        /* of what was found */

	/* the message that the scan stopped at, since its file must be read */
	bool is_stopped;
	struct message_row row;
	struct mime_message parsed;
	struct buf encoded;             /* what parsed points into */
};

static void release(struct command *c)
{
	struct search_command *x = c->state;

	search_done(&x->search);
	uidset_done(&x->found);
	buf_done(&x->encoded);
}

static enum step begin(struct command *c)
{
	struct search_command *x = command_new_state(c, sizeof(*x));
	struct search_context context = {
		.view = &c->room->view,
		.arena = &c->arena,
		.keys_max = c->room->conf->imap.search_keys,
		.has_esearch = capability_has(c->room->on, CAP_ESEARCH),
		.has_condstore = capability_has(c->room->on, CAP_CONDSTORE),
		.has_objectid = capability_has(c->room->on, CAP_OBJECTID),
		.has_savedate = capability_has(c->room->on, CAP_SAVEDATE),
	};

	c->release = release;
	buf_init(&x->encoded, (size_t)64 << 20);
	struct fault f = room_keywords(c, false);

	if (f.kind)
		return command_fault(c, f);
	context.keywords = &c->keywords->table;
	switch (search_read(&c->args, &context, &x->search)) {
	case SEARCH_READ:
		break;
	case SEARCH_BAD:
		return command_bad(c, "Unknown or malformed search key");
	case SEARCH_BAD_CHARSET:
		return command_no(c, "BADCHARSET (US-ASCII UTF-8)", "Unknown charset");
	case SEARCH_LIMIT:
		return command_no(c, "LIMIT", "Too many search keys");
	}
	c->has_numbers = x->search.has_numbers;
	if (x->search.has_modseq)
		c->room->has_condstore = true;
	return STEP_MORE;
}

static void take(struct search_command *x, const struct message_row *row)
{
	uidset_add(&x->found, row->uid, row->uid);
	if (row->modseq > x->highest_modseq)
		x->highest_modseq = row->modseq;
}

/* one_message - called inside the scan. */
static bool one_message(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct command *c = arg;
	struct search_command *x = c->state;
	struct search_message m = { .row = row,
				    .is_recent = uidset_has(&c->room->view.recent, row->uid) };
	enum truth result = search_run(&x->search, &m);

	if (result == UNKNOWN && parsed) {
		m.parsed = parsed;
		result = search_run(&x->search, &m);
		if (result == UNKNOWN) {
			/* Its file is read outside of the scan, with a copy of what the index
			 * knows. */
			buf_clear(&x->encoded);
			x->row = *row;
			x->is_stopped = buf_append(&x->encoded, parsed->encoded) &&
					mime_decode(buf_sv(&x->encoded), &x->parsed);
			return !x->is_stopped;
		}
	}
	if (result == YES)
		take(x, row);
	return true;
}

static struct fault read_file(struct command *c, struct search_command *x)
{
	struct message_reader *reader = NULL;
	enum truth result = NO;
	struct fault f = message_open(c->room->box, x->row.uid, &reader);

	if (!f.kind)
		f = search_file(&x->search, &x->row, uidset_has(&c->room->view.recent, x->row.uid),
				&x->parsed, reader, &result);
	message_close(&reader);
	if (f.kind && f.kind != FAULT_GONE)
		log_error(c->log, "imap.search.failed", KV_SV("user", c->room->account),
			  KV_SV("mailbox", c->room->box_name), KV_U64("uid", x->row.uid),
			  KV_FAULT("fault", f));
	if (result == YES)
		take(x, &x->row);
	x->is_stopped = false;
	/* One message that cannot be read does not make the others unfindable. */
	return FAULT_OK;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* numbers - what was found, as the command counts: UIDs, or sequence numbers as ranges. */
static void numbers(struct command *c, const struct uidset *found, struct uidset *out)
{
	struct view_cursor cursor = view_cursor(&c->room->view);

	if (c->is_uid) {
		uidset_copy(out, found);
		return;
	}
	for (size_t i = 0; i < found->count; i++)
		for (uint32_t uid = found->ranges[i].first;; uid++) {
			uint32_t n = view_cursor_seq(&cursor, uid);

			if (n)
				uidset_add(out, n, n);
			if (uid == found->ranges[i].last)
				break;
		}
}

static void write_plain(struct command *c, struct search_command *x, const struct uidset *all)
{
	writer_z(&c->out, "* SEARCH");
	for (size_t i = 0; i < all->count; i++)
		for (uint32_t n = all->ranges[i].first;; n++) {
			writer_c(&c->out, ' ');
			writer_u64(&c->out, n);
			if (n == all->ranges[i].last)
				break;
		}
	if (x->search.has_modseq && all->count)         /* RFC 7162 §3.1.6 */
		writer_f(&c->out, " (MODSEQ %llu)", (unsigned long long)x->highest_modseq);
	writer_crlf(&c->out);
}

/* extended_modseq - RFC 7162 §3.1.10: with MIN and MAX only, the highest of those two messages. */
static uint64_t extended_modseq(struct command *c, struct search_command *x)
{
	const struct uidset *found = &x->found;
	struct message_row row;
	uint64_t highest = 0;

	if (x->search.returns & (RETURN_ALL | RETURN_COUNT))
		return x->highest_modseq;
	if (x->search.returns & RETURN_MIN &&
	    !mailbox_row(c->room->box, found->ranges[0].first, &row).kind)
		highest = row.modseq;
	if (x->search.returns & RETURN_MAX &&
	    !mailbox_row(c->room->box, found->ranges[found->count - 1].last, &row).kind &&
	    row.modseq > highest)
		highest = row.modseq;
	return highest;
}

static void write_extended(struct command *c, struct search_command *x, const struct uidset *all)
{
	struct writer *w = &c->out;
	unsigned returns = x->search.returns;

	/* The tag is always a quoted string: the grammar wants it, and Outlook takes nothing else.
	 */
	writer_z(w, "* ESEARCH (TAG ");
	writer_quoted(w, c->tag);
	writer_z(w, c->is_uid ? ") UID" : ")");
	if (all->count) {
		if (returns & RETURN_MIN)
			writer_f(w, " MIN %u", all->ranges[0].first);
		if (returns & RETURN_MAX)
			writer_f(w, " MAX %u", all->ranges[all->count - 1].last);
		if (returns & RETURN_ALL) {
			writer_z(w, " ALL ");
			writer_uidset(w, all);
		}
	}
	if (returns & RETURN_COUNT)
		writer_f(w, " COUNT %llu", (unsigned long long)uidset_total(all));
	if (x->search.has_modseq && all->count)
		writer_f(w, " MODSEQ %llu", (unsigned long long)extended_modseq(c, x));
	writer_crlf(w);
}

static enum step finish(struct command *c, struct search_command *x)
{
	struct uidset all = { 0 };

	numbers(c, x->search.needs_rows ? &x->found : &x->search.within, &all);
	if (x->search.is_extended)
		write_extended(c, x, &all);
	else
		write_plain(c, x, &all);
	uidset_done(&all);
	return command_ok(c, "Searched");
}

enum step do_search(struct command *c)
{
	struct search_command *x = c->state;
	uint64_t start = now_ms();
	struct fault f = FAULT_OK;

	if (!x) {
		enum step step = begin(c);

		if (step != STEP_MORE)
			return step;
		x = c->state;
		if (!x->search.needs_rows || !x->search.within.count)
			return finish(c, x);
	}
	do {
		if (x->is_stopped)
			f = read_file(c, x);
		else
			f = mailbox_scan(c->room->box, &x->search.within,
					 x->search.needs_parse ? SCAN_PARSED : SCAN_ROW, &x->resume,
					 one_message, c);
		if (f.kind)
			return command_fault(c, f);
		if (x->is_stopped && !x->resume) {
			f = read_file(c, x);    /* the last message of the set */
			return f.kind ? command_fault(c, f) : finish(c, x);
		}
		if (!x->resume)
			return finish(c, x);
	} while (now_ms() - start < SLICE_MS);
	return STEP_MORE;
}
