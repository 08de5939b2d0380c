/* imapd/commands/store.c - STORE and UID STORE (RFC 3501 §6.4.6, RFC 7162 §3.1.3). */
#include <stdlib.h>

#include "imapd/command.h"
#include "imapd/flagset.h"
#include "imapd/imapsieve.h"
#include "imapd/limit.h"
#include "imapd/notify.h"
#include "imapd/training_marks.h"

#include "common/banned.h"

struct store_command {
	struct uidset set, modified;
	struct uidset overtaken;        /* changed by others since the client was told */
	struct flag_change change;
	bool is_silent;
	uint32_t resume;
	struct told told;
	struct view_cursor cursor;
	bool is_looked_at;              /* for what the spam filter is to learn */
	struct training_marks marks;
};

static void release(struct command *c)
{
	struct store_command *x = c->state;

	uidset_done(&x->set);
	uidset_done(&x->modified);
	uidset_done(&x->overtaken);
	told_done(&x->told);
	training_marks_done(&x->marks);
}

/* read_mode - FLAGS, +FLAGS, -FLAGS, each with or without .SILENT */
static bool read_mode(struct command *c, struct store_command *x)
{
	static const struct { const char *name; enum store_mode mode; bool is_silent; } modes[] = {
		{ "FLAGS", STORE_REPLACE, false }, { "FLAGS.SILENT", STORE_REPLACE, true },
		{ "+FLAGS", STORE_ADD, false }, { "+FLAGS.SILENT", STORE_ADD, true },
		{ "-FLAGS", STORE_REMOVE, false }, { "-FLAGS.SILENT", STORE_REMOVE, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (!args_word(&c->args, modes[i].name))
			continue;
		x->change.mode = modes[i].mode;
		x->is_silent = modes[i].is_silent;
		return true;
	}
	return false;
}

/* read_modifiers - RFC 4466 §2.5: (UNCHANGEDSINCE 123) */
static bool read_modifiers(struct command *c, struct store_command *x)
{
	struct args list;

	if (!args_open(&c->args, &list))
		return true;
	if (!capability_has(c->room->on, CAP_CONDSTORE) || !args_word(&list, "UNCHANGEDSINCE") ||
	    !args_u64(&list, &x->change.unchangedsince) || !args_end(&list))
		return false;
	x->change.has_unchangedsince = true;
	return true;
}

static enum step begin(struct command *c)
{
	struct store_command *x = command_new_state(c, sizeof(*x));
	struct flagset flags;
	struct sv set;

	c->release = release;
	if (!args_raw(&c->args, &set) || !read_modifiers(c, x) || !read_mode(c, x))
		return command_bad(c,
				   "STORE takes a message set, FLAGS, +FLAGS or -FLAGS, and flags");
	if (!flagset_read(&c->args, &c->arena, &flags))
		return flags.is_too_many ? command_no(c, "LIMIT", "Too many keywords") :
					   command_bad(c, "Unknown or malformed flags");
	x->change.flags = flags.flags;
	x->change.keywords = flags.keywords;
	x->change.keyword_count = flags.keyword_count;
	if (x->change.has_unchangedsince)
		c->room->has_condstore = true;
	if (x->is_silent && notify_tells(c->room->notify, NOTIFY_FLAG_CHANGE)) {
		x->change.known = c->known;
		x->change.overtaken = &x->overtaken;
	}
	if (!command_set(c, set, &x->set))
		return STEP_DONE;
	limit_narrow(c, &x->set);
	return STEP_MORE;
}

struct stored {
	struct change *rows;
	size_t count, cap;
};

static bool take_row(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct stored *all = arg;

	(void)parsed;
	if (all->count == all->cap) {
		all->cap = all->cap ? all->cap * 2 : 64;
		all->rows = xrealloc(all->rows, all->cap * sizeof(*all->rows));
	}
	all->rows[all->count++] = (struct change){ .uid = row->uid,
						   .modseq = row->modseq,
						   .flags = row->flags,
						   .keywords = row->keywords };
	return true;
}

static void write_modseq(struct command *c, uint32_t seq, const struct change *row)
{
	room_write_fetch_start(c, seq, row->uid);
	if (!c->room->has_uidonly)
		writer_f(&c->out, "UID %u ", row->uid);
	writer_f(&c->out, "MODSEQ (%llu))\r\n", (unsigned long long)row->modseq);
}

/* tell - the messages of a chunk as they are now. With .SILENT only the MODSEQ is told, and only to
 * those who think in MODSEQs (RFC 7162 §3.1.3). But of a message that others have changed as well, also where
 * the client was told so in answer to this very command, nobody can work out the flags by themselves
 * (RFC 3501 §6.4.6). A message that UNCHANGEDSINCE left alone is told in MODIFIED. */
static struct fault tell(struct command *c, struct store_command *x, const struct stored *all)
{
	struct fault f = FAULT_OK;
	bool is_covered = c->keywords != NULL;

	for (size_t i = 0; i < all->count && is_covered; i++)
		is_covered = keywords_cover(c->keywords, all->rows[i].keywords);
	if (!x->is_silent || x->overtaken.count)
		f = room_keywords(c, !is_covered);
	for (size_t i = 0; i < all->count && !f.kind; i++) {
		const struct change *row = &all->rows[i];
		uint32_t seq = view_cursor_seq(&x->cursor, row->uid);

		if (uidset_has(&x->modified, row->uid))
			continue;
		told_add(&x->told, row->uid, row->modseq);
		if (!seq)
			continue;
		if (!x->is_silent || uidset_has(&x->overtaken, row->uid))
			room_write_fetch_flags(c, seq, row->uid, row->flags, row->keywords,
					       row->modseq);
		else if (c->room->has_condstore)
			write_modseq(c, seq, row);
	}
	return f;
}

/* write_modified - [MODIFIED set]: numbers or UIDs, as the command had them. */
static void write_modified(struct command *c, struct store_command *x)
{
	struct uidset numbers = { 0 };

	buf_append(&c->code, SV("MODIFIED "));
	if (c->is_uid) {
		uidset_write(&x->modified, &c->code);
		return;
	}
	for (size_t i = 0; i < x->modified.count; i++)
		for (uint32_t uid = x->modified.ranges[i].first;; uid++) {
			uint32_t seq = uidset_rank(&c->room->view.uids, uid);

			uidset_add(&numbers, seq, seq);
			if (uid == x->modified.ranges[i].last)
				break;
		}
	uidset_write(&numbers, &c->code);
	uidset_done(&numbers);
}

/* note_changed - scripts may want to know (RFC 6785 §2.2.3), and the spam filter. */
static void note_changed(struct command *c, const struct store_command *x)
{
	struct uidset changed = { 0 }, taught = { 0 };

	uidset_copy(&changed, &x->set);
	for (size_t i = 0; i < x->modified.count; i++)
		(void)uidset_remove(&changed, x->modified.ranges[i].first, x->modified.ranges[i].last);
	uidset_intersect(&x->marks.taught, &changed, &taught);
	training_note_marked(c, x->marks.kind, &taught);
	uidset_done(&taught);
	imapsieve_note(c, c->room->box_name, FILTER_FLAG, &changed, &x->change);
	uidset_done(&changed);
}

/* look - what do people say of messages by marking them? One chunk; true: again. */
static bool look(struct command *c, struct store_command *x)
{
	struct fault f;

	if (x->is_looked_at)
		return false;
	if (!x->marks.resume && !training_marks_begin(c, &x->change, &x->marks)) {
		x->is_looked_at = true;
		return false;
	}
	f = training_marks_look(c, &x->set, &x->marks);
	if (f.kind)             /* the flags are stored all the same */
		log_warn(c->log, "training.left-out", KV_SV("account", c->room->account), KV_FAULT("fault", f));
	x->is_looked_at = !x->marks.resume;
	return !x->is_looked_at;
}

enum step do_store(struct command *c)
{
	struct store_command *x = c->state;
	struct stored all = { 0 };
	bool more = true;

	if (!x) {
		enum step step = begin(c);

		if (step != STEP_MORE)
			return step;
		x = c->state;
		if (!x->set.count)
			return command_ok(c, "No such messages, nothing to do");
		x->cursor = view_cursor(&c->room->view);
	}
	if (look(c, x))
		return STEP_MORE;
	struct fault f = mailbox_store_flags(c->room->box, &x->set, &x->change, &x->resume,
					     &x->modified, take_row, &all);

	x->told.count = 0;
	if (!f.kind)
		f = tell(c, x, &all);
	free(all.rows);
	/* Our own changes of this chunk are told; whatever others did in between comes now, so that
	 * the next chunk's list of own changes starts empty and stays small. */
	while (!f.kind && more && !command_is_full(c))
		f = room_updates(c, 0, &x->told, &more);
	if (f.kind)
		return command_fault(c, f);
	if (x->resume) {
		c->goal = uidset_total(&x->set);
		c->progress = uidset_rank(&x->set, x->resume - 1);
		return STEP_MORE;
	}
	note_changed(c, x);
	if (x->modified.count) {
		write_modified(c, x);
		return command_ok_code(c, NULL,
				       "Some messages were changed by others and left alone");
	}
	return command_ok(c, "Stored");
}
