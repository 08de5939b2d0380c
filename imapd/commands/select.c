/* imapd/commands/select.c - SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2; RFC 7162 §3.2.5). */
#include "imapd/list.h"
#include "imapd/resync.h"

#include "common/banned.h"

struct select {
	struct sv name;
	bool wants_condstore;
	struct resync resync;
	struct uidset set;              /* QRESYNC: messages that may have changed */
	uint32_t resume;
	struct view_cursor cursor;
};

static void release(struct command *c)
{
	struct select *x = c->state;

	resync_done(&x->resync);
	uidset_done(&x->set);
}

/* read_parameters - RFC 4466 §2.1 select-params: CONDSTORE (RFC 7162 §3.1.8) and, once it is enabled, QRESYNC
 * (§3.2.5). */
static bool read_parameters(struct command *c, struct select *x)
{
	struct args list;

	if (args_end(&c->args))
		return true;
	if (!args_open(&c->args, &list) || !args_end(&c->args) || args_end(&list))
		return false;
	while (!args_end(&list)) {
		if (capability_has(c->room->on, CAP_CONDSTORE) && args_word(&list, "CONDSTORE"))
			x->wants_condstore = true;
		else if (!c->room->has_qresync || !args_word(&list, "QRESYNC") || !resync_read(&list, &x->resync) ||
			 /* RFC 9586 §3.7: sequence match data are numbers. */
			 (c->room->has_uidonly && x->resync.numbers.count))
			return false;
	}
	return true;
}

/* number_of - the sequence number of a UID in the view, 0 when it is not there. */
static uint32_t number_of(const struct view *v, uint32_t uid)
{
	return uid && uidset_has(&v->uids, uid) ? uidset_rank(&v->uids, uid) : 0;
}

/* tell - RFC 3501 §6.3.1 and §7.3: everything that any client insists on, each time. */
static struct fault tell(struct command *c, const struct mailbox_status *status)
{
	struct room *room = c->room;
	struct writer *w = &c->out;
	uint32_t unseen = 0, uidnext = status->uidnext;
	struct fault f = room_keywords(c, true);

	if (!f.kind)
		f = mailbox_first_unseen(room->box, &unseen);
	if (f.kind)
		return f;
	/* Counters and UIDs come from two looks. UIDNEXT must lie above every message that is
	 * shown, and must not promise away one that came between the looks. */
	if (uidnext <= view_highest(&room->view))
		uidnext = view_highest(&room->view) + 1;
	if (!room->keywords_told)
		room_write_flags(c);
	room_write_exists(c);
	unseen = number_of(&room->view, unseen);
	/* RFC 9051 has no UNSEEN any more. */
	if (unseen && !room->has_uidonly && !room->is_rev2)
		writer_f(w, "* OK [UNSEEN %u] First unseen message\r\n", unseen);
	writer_f(w, "* OK [UIDVALIDITY %u] UIDs valid\r\n* OK [UIDNEXT %u] Predicted next UID\r\n",
	         status->uidvalidity, uidnext);
	if (mailbox_is_read_only(room->box))
		writer_z(w, "* OK [ALERT] The server's disk can only be read at present. Mail can be read; nothing new comes in, and nothing "
			    "can be changed, until the administrator has mended that.\r\n");
	if (capability_has(room->on, CAP_CONDSTORE))
		writer_f(w, "* OK [HIGHESTMODSEQ %llu] Highest\r\n",
			 (unsigned long long)room->view.modseq);
	if (capability_has(room->on, CAP_OBJECTID))     /* RFC 8474 §4.2 */
		writer_f(w, "* OK [MAILBOXID (%s)] Ok\r\n", status->mailbox_id);
	if (!room->is_rev2)
		return FAULT_OK;
	/* RFC 9051 §6.3.2: `inbox` is told to be INBOX. */
	return list_write_one(c, room->box_name, sv_eq(c->wire_name, room->box_name) ? SV_NONE : c->wire_name);
}

/* open_box - the mailbox becomes the room's. */
static struct fault open_box(struct command *c, struct sv name, struct mailbox_status *status)
{
	struct room *room = c->room;
	struct uidset uids = { 0 };
	uint64_t modseq = 0;
	struct fault f = mailbox_open(room->user, name, &room->box);

	if (!f.kind) {
		room->box_name = (struct sv){ sv_copy_z(name), name.len };
		room->is_readonly = sv_eq_nocase(sv_z(c->spec->name), SV("EXAMINE"));
		f = mailbox_counters(room->box, status);
		room->is_readonly |= mailbox_is_read_only(room->box);
	}
	if (!f.kind)
		f = mailbox_uids(room->box, &uids, &modseq);
	if (!f.kind) {
		view_set(&room->view, &uids, modseq);
		room->view.has_saved = capability_has(room->on, CAP_SEARCHRES);
		f = mailbox_claim_recent(room->box, room->is_readonly, &room->view.recent);
	}
	uidset_done(&uids);
	return f;
}

static enum step begin(struct command *c)
{
	struct select *x = command_new_state(c, sizeof(*x));
	struct room *room = c->room;
	struct mailbox_status status;

	c->release = release;
	if (!command_mailbox(c, &x->name))
		return STEP_DONE;
	if (!read_parameters(c, x))
		return command_bad(c, "Unknown or malformed parameter behind the mailbox name");
	/* RFC 3501 §6.3.1: a failed SELECT leaves nothing selected. RFC 7162 §3.2.11: CLOSED says
	 * where the answers about the old mailbox end. */
	if (room->box) {
		room_deselect(room);
		writer_z(&c->out, "* OK [CLOSED] Previous mailbox closed\r\n");
	}
	struct fault f = open_box(c, x->name, &status);

	if (!f.kind)
		f = tell(c, &status);
	if (f.kind) {
		room_deselect(room);
		return command_fault(c, f);
	}
	if (x->wants_condstore)
		room->has_condstore = true;
	/* RFC 7162 §3.2.5: of another UIDVALIDITY nothing can be told. */
	x->resync.is_wanted &= x->resync.uidvalidity == status.uidvalidity;
	return STEP_MORE;
}

/* begin_resync - what vanished, and which messages are looked at for new flags. */
static struct fault begin_resync(struct command *c, struct select *x)
{
	struct resync *r = &x->resync;
	struct view *v = &c->room->view;
	struct fault f = FAULT_OK;

	/* A MODSEQ that we have never given: its client knows nothing for certain. */
	if (r->since > v->modseq)
		r->since = 0;
	if (!r->has_known)
		f = resync_all_uids(c, &r->known);
	if (!f.kind)
		f = resync_write_vanished(c, r->since, &r->known, r);
	uidset_intersect(&v->uids, &r->known, &x->set);
	if (!f.kind)
		f = resync_narrow(c, r->since, &x->set);
	x->cursor = view_cursor(v);
	x->resume = x->set.count ? x->set.ranges[0].first : 0;
	return f;
}

static bool take_row(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct command *c = arg;
	struct select *x = c->state;
	uint32_t seq = view_cursor_seq(&x->cursor, row->uid);

	(void)parsed;
	if (seq && row->modseq > x->resync.since)
		room_write_fetch_flags(c, seq, row->uid, row->flags, row->keywords, row->modseq);
	return !command_is_full(c);
}

enum step do_select(struct command *c)
{
	struct select *x = c->state;
	struct fault f = FAULT_OK;

	if (!x) {
		enum step step = begin(c);

		if (step != STEP_MORE)
			return step;
		x = c->state;
		if (x->resync.is_wanted)
			f = begin_resync(c, x);
	}
	while (!f.kind && x->resume && !command_is_full(c))
		f = mailbox_scan(c->room->box, &x->set, SCAN_ROW, &x->resume, take_row, c);
	if (f.kind) {
		room_deselect(c->room);
		return command_fault(c, f);
	}
	if (x->resume)
		return STEP_MORE;
	/* RFC 4314 §5.2. \Seen, which each reader has of their own, may be changed all the same. */
	return c->room->is_readonly || (mailbox_is_shared(c->room->box) && !mailbox_may_any(c->room->box, RIGHTS_CHANGE)) ?
		       command_ok_code(c, "READ-ONLY", "Selected, read-only") :
		       command_ok_code(c, "READ-WRITE", "Selected");
}
