/* imapd/commands/mailbox.c - SELECT, EXAMINE, CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE,
 * STATUS. */
#include "common/events.h"
#include "imapd/command.h"
#include "imapd/use.h"

#include "common/banned.h"

/* ---- SELECT, EXAMINE ---- */

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

/* ---- CREATE, DELETE, RENAME ---- */

/* is_wise - names that the store could keep and that some client then could not handle: wildcards
 * cannot be listed (RFC 9051 §5.1.1), blanks at the ends make Outlook synchronise for ever, and
 * `..` is a path to those that keep a mailbox as a folder. */
static const char unwise[] = "A level of a name may not be empty, . or .., nor have *, %, or "
			     "spaces at its ends or in pairs";

static bool is_wise(struct sv name)
{
	struct sv level;

	if (sv_find(name, '%') != SIZE_MAX || sv_find(name, '*') != SIZE_MAX ||
	    sv_search(name, SV("  ")) != SIZE_MAX)
		return false;
	while (sv_split(&name, '/', &level))
		if (!level.len || level.p[0] == ' ' || level.p[level.len - 1] == ' ' ||
		    sv_eq(level, SV(".")) || sv_eq(level, SV("..")))
			return false;
	return true;
}

/* read_use - RFC 6154 §3: CREATE name (USE (\Drafts ...)). */
static bool read_use(struct command *c, uint32_t *use)
{
	struct args list, uses;
	struct sv name;

	*use = 0;
	if (args_end(&c->args))
		return true;
	if (!capability_has(c->room->on, CAP_CREATE_SPECIAL_USE) || !args_open(&c->args, &list) ||
	    !args_end(&c->args) || !args_word(&list, "USE") ||
	    !args_open(&list, &uses) || !args_end(&list))
		return false;
	while (args_flag(&uses, &name)) {
		uint32_t bit = use_find(name);

		if (!bit)
			return false;
		*use |= bit;
	}
	return args_end(&uses);
}

/* subscribe_new - Outlook and others show subscribed mailboxes only, so a new one is subscribed for
 * all devices. That it could not be is no reason to say that the mailbox was not made. */
static void subscribe_new(struct command *c, struct sv name)
{
	struct fault f = mailbox_subscribe(c->room->user, name, true);

	if (f.kind)
		log_warn(c->log, "imap.subscribe.failed", KV_SV("user", c->room->account),
			 KV_SV("mailbox", name), KV_FAULT("fault", f));
}

enum step do_create(struct command *c)
{
	char id[24];
	uint32_t use;
	struct sv name;

	if (!command_mailbox(c, &name))
		return STEP_DONE;
	if (!read_use(c, &use))
		return command_bad(c, "Bad parameter behind the mailbox name");
	if (!is_wise(name))
		return command_no(c, "CANNOT", unwise);
	struct fault f = mailbox_create(c->room->user, name, use, id);

	if (f.kind == FAULT_EXISTS && use)      /* RFC 6154 §3 */
		return command_no(c, "USEATTR",
				  "It exists, or another mailbox has that special use");
	if (f.kind)
		return command_fault(c, f);
	event_emit(c->log, EVENT_MAILBOX_CREATE, KV_SV("user", c->room->account),
		   KV_SV("mailbox", name));
	if (c->room->conf->imap.auto_subscribe)
		subscribe_new(c, name);
	return command_ok(c, "Created");
}

enum step do_delete(struct command *c)
{
	struct mailbox_status status = { 0 };
	struct sv name;

	if (!command_mailbox(c, &name))
		return STEP_DONE;
	if (!args_end(&c->args))
		return command_bad(c, "DELETE takes one mailbox name");
	if (sv_eq(name, SV("INBOX")))
		return command_no(c, "CANNOT", "INBOX cannot be deleted");
	struct fault f = mailbox_status(c->room->user, name, &status);

	if (!f.kind)
		f = mailbox_delete(c->room->user, name);
	if (f.kind)
		return command_fault(c, f);
	event_emit(c->log, EVENT_MAILBOX_DELETE, KV_SV("user", c->room->account),
		   KV_SV("mailbox", name), KV_U64("messages", status.messages));
	if (c->room->box && sv_eq(c->room->box_name, name))
		room_deselect(c->room);
	return command_ok(c, "Deleted");
}

enum step do_rename(struct command *c)
{
	struct sv from, to;

	if (!command_mailbox(c, &from) || !command_mailbox(c, &to))
		return STEP_DONE;
	if (!args_end(&c->args))
		return command_bad(c, "RENAME takes two mailbox names");
	if (sv_eq(to, SV("INBOX")))
		return command_no(c, "ALREADYEXISTS", "INBOX exists already");
	if (!is_wise(to))
		return command_no(c, "CANNOT", unwise);
	struct fault f = mailbox_rename(c->room->user, from, to);

	if (f.kind)
		return command_fault(c, f);
	event_emit(c->log, EVENT_MAILBOX_RENAME, KV_SV("user", c->room->account),
		   KV_SV("mailbox", from), KV_SV("target", to));
	if (c->room->conf->imap.auto_subscribe)
		subscribe_new(c, to);
	return command_ok(c, "Renamed");
}

/* ---- SUBSCRIBE, UNSUBSCRIBE ---- */

static enum step subscribe(struct command *c, bool on)
{
	struct sv name;

	if (!command_mailbox(c, &name))
		return STEP_DONE;
	if (!args_end(&c->args))
		return command_bad(c, "One mailbox name was expected");
	struct fault f = mailbox_subscribe(c->room->user, name, on);

	if (f.kind)
		return command_fault(c, f);
	return command_ok(c, on ? "Subscribed" : "Unsubscribed");
}

enum step do_subscribe(struct command *c)
{
	return subscribe(c, true);
}

enum step do_unsubscribe(struct command *c)
{
	return subscribe(c, false);
}

/* ---- STATUS ---- */

enum status_item {
	STATUS_MESSAGES,
	STATUS_RECENT,
	STATUS_UIDNEXT,
	STATUS_UIDVALIDITY,
	STATUS_UNSEEN,
	STATUS_MODSEQ
};

static const struct {
	const char *name;
	enum capability capability;
} status_items[] = {
	[STATUS_MESSAGES]    = { "MESSAGES", CAP_NONE },
	[STATUS_RECENT]      = { "RECENT", CAP_NONE },
	[STATUS_UIDNEXT]     = { "UIDNEXT", CAP_NONE },
	[STATUS_UIDVALIDITY] = { "UIDVALIDITY", CAP_NONE },
	[STATUS_UNSEEN]      = { "UNSEEN", CAP_NONE },
	[STATUS_MODSEQ]      = { "HIGHESTMODSEQ", CAP_CONDSTORE },
};

static uint64_t status_value(const struct mailbox_status *s, size_t item)
{
	switch ((enum status_item)item) {
	case STATUS_MESSAGES:    return s->messages;
	case STATUS_RECENT:      return s->recent;
	case STATUS_UIDNEXT:     return s->uidnext;
	case STATUS_UIDVALIDITY: return s->uidvalidity;
	case STATUS_UNSEEN:      return s->unseen;
	case STATUS_MODSEQ:      return s->highestmodseq;
	}
	BUG("status item %zu", item);
}

static bool read_status_items(struct command *c, unsigned *items)
{
	struct args list;

	*items = 0;
	if (!args_open(&c->args, &list) || !args_end(&c->args) || args_end(&list))
		return false;
	while (!args_end(&list)) {
		size_t i = 0;

		while (i < ARRAY_LEN(status_items) &&
		       (!capability_has(c->room->on, status_items[i].capability) ||
			!args_word(&list, status_items[i].name)))
			i++;
		if (i == ARRAY_LEN(status_items))
			return false;
		*items |= 1u << i;
	}
	return true;
}

/* RFC 3501 §6.3.10: from counters, without opening the mailbox, so that polling is cheap. It claims
 * no \Recent. */
enum step do_status(struct command *c)
{
	struct mailbox_status status;
	const char *gap = "";
	unsigned items;
	struct sv name;

	if (!command_mailbox(c, &name))
		return STEP_DONE;
	if (!read_status_items(c, &items))
		return command_bad(c, "STATUS takes a mailbox name and a list of items it knows");
	struct fault f = mailbox_status(c->room->user, name, &status);

	if (f.kind)
		return command_fault(c, f);
	if (items & 1u << STATUS_MODSEQ)        /* RFC 7162 §3.1: asking for it enables CONDSTORE */
		c->room->has_condstore = true;
	writer_z(&c->out, "* STATUS ");
	writer_mailbox(&c->out, name);
	writer_z(&c->out, " (");
	for (size_t i = 0; i < ARRAY_LEN(status_items); i++) {
		if (!(items & 1u << i))
			continue;
		writer_f(&c->out, "%s%s %llu", gap, status_items[i].name,
		         (unsigned long long)status_value(&status, i));
		gap = " ";
	}
	writer_z(&c->out, ")\r\n");
	return command_ok(c, "Status told");
}
