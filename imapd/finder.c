/* imapd/finder.c - see finder.h. */
#include "imapd/finder.h"

#include <stdlib.h>
#include <time.h>

#include "maildir/metadata.h"

#include "common/clock.h"

#include "common/banned.h"

#define SLICE_MS 20             /* after so long somebody else may have the thread */
#define BLOCK_MESSAGES 1000     /* looked at together when a search begins at the end */
#define ENCODED_MAX ((size_t)64 << 20)
/* Messages whose files are read together, and when these are enough: their parsed forms, their octets. */
#define BATCH_FIRST 8
#define BATCH_MAX 256
#define BATCH_ENCODED ((size_t)1 << 20)
#define BATCH_OCTETS ((uint64_t)4 << 20)

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

/* ---- messages whose files must be read ---- */

/* Found in the index, in the order of UIDs, from the first one on whose file must be read. Those behind it that need no more wait, too. */
struct finder_batch {
	struct candidate {
		struct message_row row;
		size_t at, len;         /* its parsed form in `encoded` */
		enum truth result;
	} candidates[BATCH_MAX];
	struct message_place places[BATCH_MAX];         /* of those whose files are read, */
	size_t of[BATCH_MAX];           /* and which ones these are */
	size_t count, file_count;
	size_t most;                    /* as many are collected: first few, then more */
	uint64_t octets;                /* of the files */
	struct buf encoded;
};

static struct finder_batch *batch_of(struct finder *x)
{
	if (!x->batch) {
		x->batch = xcalloc(1, sizeof(*x->batch));
		x->batch->most = BATCH_FIRST;
		buf_init(&x->batch->encoded, ENCODED_MAX);
	}
	return x->batch;
}

static bool has_batch(const struct finder *x)
{
	return x->batch && x->batch->count;
}

/* collect - inside the scan: a copy of what the index knows. False: that is enough for now. */
static bool collect(struct finder *x, const struct message_row *row, const struct mime_message *parsed, enum truth result)
{
	struct finder_batch *b = batch_of(x);
	struct candidate *m = &b->candidates[b->count];
	size_t at = b->encoded.len;

	if ((parsed && !buf_append(&b->encoded, parsed->encoded)) ||
	    (result == UNKNOWN && message_place(x->box, &b->places[b->file_count]).kind)) {
		b->encoded.len = at;
		return true;
	}
	*m = (struct candidate){ .row = *row, .at = at, .len = b->encoded.len - at, .result = result };
	if (result == UNKNOWN) {
		b->of[b->file_count++] = b->count;
		b->octets += row->size;
	}
	b->count++;
	return b->count < b->most && b->encoded.len < BATCH_ENCODED && b->octets < BATCH_OCTETS;
}

static bool decode(const struct finder_batch *b, const struct candidate *m, struct mime_message *parsed)
{
	return m->len && mime_decode_again(sv_sub(buf_sv(&b->encoded), m->at, m->len), parsed);
}

/* look_into - on any thread. One message that cannot be read does not make the others unfindable. */
static void look_into(void *arg, size_t i, struct message_reader *reader, struct fault f)
{
	struct finder *x = arg;
	const struct finder_batch *b = x->batch;
	struct candidate *m = &x->batch->candidates[b->of[i]];
	struct mime_message parsed;

	m->result = NO;
	if (!f.kind && decode(b, m, &parsed))
		f = search_file(&x->search, &m->row, is_recent(x, m->row.uid), &parsed, reader, &m->result);
	if (f.kind && f.kind != FAULT_GONE)
		log_error(x->c->log, "imap.search.failed", KV_SV("user", x->c->room->account),
			  KV_SV("mailbox", x->box_name), KV_U64("uid", m->row.uid), KV_FAULT("fault", f));
}

static struct fault read_batch(struct finder *x)
{
	struct finder_batch *b = x->batch;
	struct fault f = b->file_count ? message_visit(x->box, b->places, b->file_count, look_into, x) : FAULT_OK;
	struct mime_message parsed;
	bool go_on = !f.kind;

	for (size_t i = 0; go_on && i < b->count; i++) {
		const struct candidate *m = &b->candidates[i];

		if (m->result == YES)
			go_on = found(x, &m->row, decode(b, m, &parsed) ? &parsed : NULL);
	}
	b->count = b->file_count = 0;
	b->octets = 0;
	buf_clear(&b->encoded);
	/* Whoever wants but a few results does not want many files read for them. */
	if (b->most < BATCH_MAX && !x->enough)
		b->most *= 2;
	return f;
}

static void batch_free(struct finder *x)
{
	if (!x->batch)
		return;
	buf_done(&x->batch->encoded);
	free(x->batch);
	x->batch = NULL;
}

/* ---- the scan ---- */

/* one_message - called inside the scan. */
static bool one_message(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct finder *x = arg;
	struct search_message m = { .row = row, .is_recent = is_recent(x, row->uid) };
	enum truth result = !parsed || x->search.has_row_keys ? search_run(&x->search, &m) : UNKNOWN;

	if (result == UNKNOWN && parsed) {
		m.parsed = parsed;
		result = search_run(&x->search, &m);
		if (result == UNKNOWN)
			return collect(x, row, parsed, result);
	}
	if (result != YES)
		return true;
	return has_batch(x) ? collect(x, row, x->take ? parsed : NULL, result) : found(x, row, parsed);
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
		if (!x->take && !s->needs_rows)
			uidset_copy(&x->found, &s->within);
		*done = !s->within.count || (!x->take && !s->needs_rows);
		x->blocks_left = uidset_total(&s->within);
		if (!*done && x->enough && x->is_from_end)
			*done = !next_block(x);
	}
	const struct uidset *set = x->block.count ? &x->block : &s->within;

	while (!*done && !f.kind) {
		if (has_batch(x))
			f = read_batch(x);
		else
			f = mailbox_scan(x->box, set, x->scan | (s->needs_parse ? SCAN_PARSED : SCAN_ROW),
					 &x->resume, one_message, x);
		*done = (!x->resume && !has_batch(x) && !(x->block.count && next_block(x))) || x->is_enough;
		if (!f.kind && x->is_over_budget)
			f = fault(FAULT_LIMIT, "too many messages for one answer");
		if (clock_ms() - start >= slice_ms)
			break;
	}
	if (!*done && s->within.count) {
		/* What waits for its file was not looked at yet. */
		uint32_t next = has_batch(x) ? x->batch->candidates[0].row.uid : x->resume;

		c->goal = uidset_total(&s->within);
		c->progress = x->block.count ? c->goal - x->blocks_left - uidset_total(&x->block) :
			      next > 1	     ? uidset_rank(&s->within, next - 1) :
					       0;
	}
	return f;
}

void finder_done(struct finder *x)
{
	search_done(&x->search);
	uidset_done(&x->found);
	uidset_done(&x->block);
	batch_free(x);
}
