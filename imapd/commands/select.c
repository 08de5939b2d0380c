/* imapd/commands/select.c - SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2). */
#include "imapd/command.h"

#include "common/banned.h"

/* read_parameters - RFC 4466 §2.1 select-params; CONDSTORE is the one we know (RFC 7162 §3.1.8). */
static bool read_parameters(struct command *c, bool *wants_condstore)
{
	struct args list;

	*wants_condstore = false;
	if (args_end(&c->args))
		return true;
	if (!args_open(&c->args, &list) || !args_end(&c->args) || args_end(&list))
		return false;
	while (!args_end(&list)) {
		if (!capability_has(c->room->on, CAP_CONDSTORE) || !args_word(&list, "CONDSTORE"))
			return false;
		*wants_condstore = true;
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
	writer_f(w, "* %u EXISTS\r\n* %u RECENT\r\n", room->view.count, room_recent_count(room));
	unseen = number_of(&room->view, unseen);
	if (unseen)
		writer_f(w, "* OK [UNSEEN %u] First unseen message\r\n", unseen);
	writer_f(w, "* OK [UIDVALIDITY %u] UIDs valid\r\n* OK [UIDNEXT %u] Predicted next UID\r\n",
	         status->uidvalidity, uidnext);
	if (capability_has(room->on, CAP_CONDSTORE))
		writer_f(w, "* OK [HIGHESTMODSEQ %llu] Highest\r\n",
			 (unsigned long long)room->view.modseq);
	if (capability_has(room->on, CAP_OBJECTID))     /* RFC 8474 §4.2 */
		writer_f(w, "* OK [MAILBOXID (%s)] Ok\r\n", status->mailbox_id);
	return FAULT_OK;
}

enum step do_select(struct command *c)
{
	struct room *room = c->room;
	struct mailbox_status status;
	struct uidset uids = { 0 };
	uint64_t modseq = 0;
	bool wants_condstore;
	struct sv name;

	if (!command_mailbox(c, &name))
		return STEP_DONE;
	if (!read_parameters(c, &wants_condstore))
		return command_bad(c, "Unknown parameter behind the mailbox name");
	/* RFC 3501 §6.3.1: a failed SELECT leaves nothing selected. RFC 7162 §3.2.11: CLOSED says
	 * where the answers about the old mailbox end. */
	if (room->box) {
		room_deselect(room);
		writer_z(&c->out, "* OK [CLOSED] Previous mailbox closed\r\n");
	}
	struct fault f = mailbox_open(room->user, name, &room->box);

	if (!f.kind) {
		room->box_name = (struct sv){ sv_copy_z(name), name.len };
		room->is_readonly = sv_eq_nocase(sv_z(c->spec->name), SV("EXAMINE"));
		f = mailbox_counters(room->box, &status);
	}
	if (!f.kind)
		f = mailbox_uids(room->box, &uids, &modseq);
	if (!f.kind) {
		view_set(&room->view, &uids, modseq);
		f = mailbox_claim_recent(room->box, room->is_readonly, &room->view.recent);
	}
	if (!f.kind)
		f = tell(c, &status);
	uidset_done(&uids);
	if (f.kind) {
		room_deselect(room);
		return command_fault(c, f);
	}
	if (wants_condstore)
		room->has_condstore = true;
	return room->is_readonly ? command_ok_code(c, "READ-ONLY", "Selected, read-only") :
				   command_ok_code(c, "READ-WRITE", "Selected");
}
