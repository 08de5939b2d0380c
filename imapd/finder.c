/* imapd/finder.c - see finder.h. */
#include "imapd/finder.h"

#include <time.h>

#include "maildir/metadata.h"

#include "common/clock.h"

#include "common/banned.h"

#define SLICE_MS 20             /* after so long somebody else may have the thread */
#define BLOCK_MESSAGES 1000     /* looked at together when a search begins at the end */
#define ENCODED_MAX ((size_t)64 << 20)

enum step finder_read_answer(struct command *c, enum search_read result, const struct search *s)
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
	case SEARCH_NO_FILTER:
		command_no(c, NULL, "No such filter, or it is no search");
		buf_appendf(&c->code, "UNDEFINED-FILTER %.*s", SV_FMT(s->filter));
		return STEP_DONE;
	case SEARCH_FILTER_CHARSET:
		command_bad(c, "Filters are in UTF-8");
		buf_append(&c->code, SV("BADCHARSET (US-ASCII UTF-8)"));
		return STEP_DONE;
	}
	BUG("search_read %d", (int)result);
}

struct wanted_filter {
	struct arena *arena;
	struct sv name, value;
	bool is_private;
};

static bool take_filter(void *arg, const struct metadata_entry *entry)
{
	struct wanted_filter *x = arg;
	const struct sv roots[] = { SV("/private/filters/values/"), SV("/shared/filters/values/") };

	for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
		if (!entry->value.p || !sv_starts_nocase(entry->name, roots[i]) ||
		    !sv_eq_nocase(sv_sub(entry->name, roots[i].len, SIZE_MAX), x->name) || x->is_private)
			continue;
		x->is_private = i == 0;         /* before the shared one (RFC 5466 §3.2) */
		x->value = arena_copy(x->arena, entry->value);
	}
	return true;
}

/* find_filter - RFC 5466 §3.1 */
static bool find_filter(void *arg, struct arena *arena, struct sv name, struct sv *value)
{
	struct command *c = arg;
	struct wanted_filter x = { .arena = arena, .name = name };
	struct fault f = mailbox_metadata(c->room->user, SV(""), take_filter, &x);

	if (f.kind)
		log_warn(c->log, "imap.filter.failed", KV_SV("user", c->room->account), KV_FAULT("fault", f));
	*value = x.value;
	return !f.kind && x.value.p;
}

struct search_context finder_context_of(struct command *c)
{
	return (struct search_context){
		.arena = &c->arena,
		.keys_max = c->room->conf->imap.search_keys,
		.on = c->room->on,
		.has_uidonly = c->room->has_uidonly,
		.is_utf8_only = c->room->has_utf8_accept,
		.is_rev2 = c->room->is_rev2,
		.now = time(NULL),
		.filter = find_filter,
		.arg = c,
	};
}

struct fault finder_context(struct command *c, struct search_context *out)
{
	struct fault f = room_keywords(c, false);

	if (f.kind)
		return f;
	*out = finder_context_of(c);
	out->view = &c->room->view;
	out->keywords = &c->keywords->table;
	return FAULT_OK;
}

static bool is_recent(const struct finder *x, uint32_t uid)
{
	return x->view->recent.count && uidset_has(&x->view->recent, uid);
}

static bool found(struct finder *x, const struct message_row *row, const struct mime_message *parsed)
{
	uidset_add(&x->found, row->uid, row->uid);
	if (row->modseq > x->highest_modseq)
		x->highest_modseq = row->modseq;
	x->is_over_budget = x->take && !x->take(x->arg, row, parsed);
	x->count++;
	x->is_enough = x->enough && !x->is_from_end && x->count >= x->enough;
	return !x->is_over_budget && !x->is_enough;
}

/* one_message - called inside the scan. */
static bool one_message(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct finder *x = arg;
	struct search_message m = { .row = row, .is_recent = is_recent(x, row->uid) };
	enum truth result = !parsed || x->search.has_row_keys ? search_run(&x->search, &m) : UNKNOWN;

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

/* next_block - the newest messages that were not looked at yet. False: there are none, or enough were found. */
static bool next_block(struct finder *x)
{
	const struct uidset *within = &x->search.within;
	struct partial range = { .first = 1, .last = BLOCK_MESSAGES };

	if (!x->blocks_left || x->count >= x->enough)
		return false;
	range.first = x->blocks_left > BLOCK_MESSAGES ? (uint32_t)(x->blocks_left - BLOCK_MESSAGES + 1) : 1;
	range.last = (uint32_t)x->blocks_left;
	x->blocks_left = range.first - 1;
	uidset_done(&x->block);
	partial_of(&range, within, &x->block);
	x->resume = 0;
	return true;
}

struct fault finder_run(struct finder *x, struct command *c, bool *done)
{
	const struct search *s = &x->search;
	/* A client is told how far it is between the slices. */
	uint64_t progress_ms = c->room->conf->imap.progress_ms, slice_ms = progress_ms < SLICE_MS ? progress_ms : SLICE_MS;
	uint64_t start = clock_ms();
	struct fault f = FAULT_OK;

	*done = false;
	x->c = c;
	if (!x->is_begun) {
		x->is_begun = true;
		buf_init(&x->encoded, ENCODED_MAX);
		if (!x->take && !s->needs_rows)
			uidset_copy(&x->found, &s->within);
		*done = !s->within.count || (!x->take && !s->needs_rows);
		x->blocks_left = uidset_total(&s->within);
		if (!*done && x->enough && x->is_from_end)
			*done = !next_block(x);
	}
	const struct uidset *set = x->block.count ? &x->block : &s->within;

	while (!*done && !f.kind) {
		if (x->is_stopped)
			read_file(x);
		else
			f = mailbox_scan(x->box, set, x->scan | (s->needs_parse ? SCAN_PARSED : SCAN_ROW),
					 &x->resume, one_message, x);
		*done = (!x->resume && !x->is_stopped && !(x->block.count && next_block(x))) || x->is_enough;
		if (!f.kind && x->is_over_budget)
			f = fault(FAULT_LIMIT, "too many messages for one answer");
		if (clock_ms() - start >= slice_ms)
			break;
	}
	if (!*done && s->within.count) {
		c->goal = uidset_total(&s->within);
		c->progress = x->block.count ? c->goal - x->blocks_left - uidset_total(&x->block) :
			      x->resume > 1  ? uidset_rank(&s->within, x->resume - 1) :
					       0;
	}
	return f;
}

void finder_done(struct finder *x)
{
	search_done(&x->search);
	uidset_done(&x->found);
	uidset_done(&x->block);
	buf_done(&x->encoded);
}
