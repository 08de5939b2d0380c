/* imapd/finder.c - see finder.h. */
#include "imapd/finder.h"

#include <time.h>

#include "common/banned.h"

#define SLICE_MS 20             /* after so long somebody else may have the thread */
#define ENCODED_MAX ((size_t)64 << 20)

enum step finder_read_answer(struct command *c, enum search_read result)
{
	switch (result) {
	case SEARCH_READ:
		return STEP_MORE;
	case SEARCH_BAD:
		return command_bad(c, "Unknown or malformed search key");
	case SEARCH_BAD_CHARSET:
		return command_no(c, "BADCHARSET (US-ASCII UTF-8)", "Unknown charset");
	case SEARCH_LIMIT:
		return command_no(c, "LIMIT", "Too many search keys");
	case SEARCH_UID_REQUIRED:
		return command_uid_required(c);
	}
	BUG("search_read %d", (int)result);
}

struct fault finder_context(struct command *c, struct search_context *out)
{
	struct fault f = room_keywords(c, false);

	if (f.kind)
		return f;
	*out = (struct search_context){
		.view = &c->room->view,
		.keywords = &c->keywords->table,
		.arena = &c->arena,
		.keys_max = c->room->conf->imap.search_keys,
		.on = c->room->on,
		.has_uidonly = c->room->has_uidonly,
		.is_utf8_only = c->room->has_utf8_accept,
		.is_rev2 = c->room->is_rev2,
		.now = time(NULL),
	};
	return FAULT_OK;
}

static bool is_recent(const struct finder *x, uint32_t uid)
{
	return uidset_has(&x->view->recent, uid);
}

static bool found(struct finder *x, const struct message_row *row, const struct mime_message *parsed)
{
	uidset_add(&x->found, row->uid, row->uid);
	if (row->modseq > x->highest_modseq)
		x->highest_modseq = row->modseq;
	x->is_over_budget = x->take && !x->take(x->arg, row, parsed);
	return !x->is_over_budget;
}

/* one_message - called inside the scan. */
static bool one_message(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct finder *x = arg;
	struct search_message m = { .row = row, .is_recent = is_recent(x, row->uid) };
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
	return result != YES || found(x, row, parsed);
}

/* read_file - one message that cannot be read does not make the others unfindable. */
static void read_file(struct finder *x)
{
	struct command *c = x->c;
	struct message_reader *reader = NULL;
	enum truth result = NO;
	struct fault f = message_open(x->box, x->row.uid, &reader);

	if (!f.kind)
		f = search_file(&x->search, &x->row, is_recent(x, x->row.uid), &x->parsed, reader, &result);
	message_close(&reader);
	if (f.kind && f.kind != FAULT_GONE)
		log_error(c->log, "imap.search.failed", KV_SV("user", c->room->account),
			  KV_SV("mailbox", x->box_name), KV_U64("uid", x->row.uid), KV_FAULT("fault", f));
	x->is_stopped = false;
	if (result == YES)
		found(x, &x->row, &x->parsed);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct fault finder_run(struct finder *x, struct command *c, bool *done)
{
	const struct search *s = &x->search;
	uint64_t start = now_ms();
	struct fault f = FAULT_OK;

	*done = false;
	x->c = c;
	if (!x->is_begun) {
		x->is_begun = true;
		buf_init(&x->encoded, ENCODED_MAX);
		if (!x->take && !s->needs_rows)
			uidset_copy(&x->found, &s->within);
		*done = !s->within.count || (!x->take && !s->needs_rows);
	}
	while (!*done && !f.kind) {
		if (x->is_stopped)
			read_file(x);
		else
			f = mailbox_scan(x->box, &s->within, x->scan | (s->needs_parse ? SCAN_PARSED : SCAN_ROW),
					 &x->resume, one_message, x);
		*done = !x->resume && !x->is_stopped;
		if (!f.kind && x->is_over_budget)
			f = fault(FAULT_LIMIT, "too many messages for one answer");
		if (now_ms() - start >= SLICE_MS)
			break;
	}
	if (!*done && s->within.count) {
		c->goal = uidset_total(&s->within);
		c->progress = x->resume > 1 ? uidset_rank(&s->within, x->resume - 1) : 0;
	}
	return f;
}

void finder_done(struct finder *x)
{
	search_done(&x->search);
	uidset_done(&x->found);
	buf_done(&x->encoded);
}
