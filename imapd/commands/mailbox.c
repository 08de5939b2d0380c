/* imapd/commands/mailbox.c - CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE. */
#include "common/charset.h"
#include "common/events.h"
#include "imapd/list.h"
#include "imapd/notify.h"
#include "imapd/use.h"

#include "common/banned.h"

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

/* subscribe_ahead - Outlook and others show subscribed mailboxes only, so a new one is subscribed for all devices; before it
 * is there, so that whoever is told of it is told of both at once (RFC 5465 §5.4). False: it is there already, or
 * nobody wants that. That it could not be is no reason not to make the mailbox. */
static bool subscribe_ahead(struct command *c, struct sv name)
{
	uint32_t rights;

	if (!c->room->conf->imap.auto_subscribe ||
	    mailbox_rights(c->room->user, name, &rights).kind != FAULT_NOT_FOUND)
		return false;
	struct fault f = mailbox_subscribe(c->room->user, name, true);

	if (f.kind)
		log_warn(c->log, "imap.subscribe.failed", KV_SV("user", c->room->account),
			 KV_SV("mailbox", name), KV_FAULT("fault", f));
	return !f.kind;
}

/* unsubscribe - the mailbox was not made after all; unless another device made it at the same moment. */
static void unsubscribe(struct command *c, struct sv name)
{
	uint32_t rights;

	if (mailbox_rights(c->room->user, name, &rights).kind != FAULT_NOT_FOUND)
		return;
	struct fault f = mailbox_subscribe(c->room->user, name, false);

	if (f.kind)
		log_warn(c->log, "imap.subscribe.failed", KV_SV("user", c->room->account),
			 KV_SV("mailbox", name), KV_FAULT("fault", f));
}

/* compose - RFC 9051 §5.1, §6.3.4: a new name is made in normalisation form C; in the session of a client that
 * writes UTF-8 only, since the others compare names by their octets. False: the answer is set. */
static bool compose(struct command *c, struct sv *name)
{
	struct buf nfc = { .max = MAILBOX_NAME_MAX };
	bool is_good = true;

	if (!c->room->is_utf8 || !sv_has_8bit(*name))
		return true;
	is_good = utf8_nfc(*name, &nfc);
	if (is_good && !sv_eq(buf_sv(&nfc), *name))
		*name = arena_copy(&c->arena, buf_sv(&nfc));
	is_good = is_good && name->p;
	buf_done(&nfc);
	if (!is_good)
		command_no(c, "CANNOT", "The name is too long in its normal form");
	return is_good;
}

/* tell_new_name - RFC 9051 §6.3.9.7: the client learns what became of the name that it gave. */
static void tell_new_name(struct command *c, struct sv name, struct sv old_name)
{
	struct fault f = FAULT_OK;

	if (c->room->is_rev2)
		f = list_write_one(c, name, old_name);
	if (f.kind)
		log_warn(c->log, "imap.list.failed", KV_SV("user", c->room->account), KV_SV("mailbox", name),
			 KV_FAULT("fault", f));
}

enum step do_create(struct command *c)
{
	char id[24];
	uint32_t use;
	struct sv name, wanted;

	if (!command_mailbox(c, &name))
		return STEP_DONE;
	wanted = name;
	if (!compose(c, &name))
		return STEP_DONE;
	if (!read_use(c, &use))
		return command_bad(c, "Bad parameter behind the mailbox name");
	if (!is_wise(name))
		return command_no(c, "CANNOT", unwise);
	bool is_ahead = subscribe_ahead(c, name);
	struct fault f = mailbox_create(c->room->user, name, use, id);

	if (f.kind && is_ahead)
		unsubscribe(c, name);
	if (f.kind == FAULT_EXISTS && use)      /* RFC 6154 §3 */
		return command_no(c, "USEATTR",
				  "It exists, or another mailbox has that special use");
	if (f.kind)
		return command_fault(c, f);
	notify_own(c->room->notify, name);
	event_emit(c->log, EVENT_MAILBOX_CREATE, KV_SV("user", c->room->account),
		   KV_SV("mailbox", name));
	if (!sv_eq(name, wanted))
		tell_new_name(c, name, wanted);
	if (capability_has(c->room->on, CAP_OBJECTID))  /* RFC 8474 §4.1 */
		buf_appendf(&c->code, "MAILBOXID (%s)", id);
	return command_ok_code(c, NULL, "Created");
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

	if (!f.kind || f.kind == FAULT_DENIED)  /* the right r is not needed */
		f = mailbox_delete(c->room->user, name);
	if (f.kind)
		return command_fault(c, f);
	notify_own(c->room->notify, name);
	event_emit(c->log, EVENT_MAILBOX_DELETE, KV_SV("user", c->room->account),
		   KV_SV("mailbox", name), KV_U64("messages", status.messages));
	if (c->room->box && sv_eq(c->room->box_name, name))
		room_deselect(c->room);
	return command_ok(c, "Deleted");
}

/* Subscribed mailboxes below one that is renamed: what stands behind its name, each with a NUL. */
struct below {
	struct sv above;
	struct buf names;
};

static bool note_below(void *arg, const struct mailbox_info *info)
{
	struct below *b = arg;

	if (info->exists && info->subscribed && info->name.len > b->above.len && sv_starts(info->name, b->above) &&
	    info->name.p[b->above.len] == '/')
		return buf_append(&b->names, sv_sub(info->name, b->above.len, SIZE_MAX)) && buf_append(&b->names, sv_from("", 1));
	return true;
}

/* find_below - for programs that show subscribed mailboxes only: what they showed goes on under its new name, whichever device
 * renames the mailbox above it. The former names stay subscribed, as RFC 9051 §6.3.9 has it. */
static void find_below(struct command *c, struct sv from, struct below *b)
{
	*b = (struct below){ .above = from };
	buf_init(&b->names, (size_t)1 << 20);
	if (!c->room->conf->imap.auto_subscribe || sv_eq(from, SV("INBOX")))
		return;
	struct fault f = mailbox_list(c->room->user, note_below, b);

	if (f.kind)
		log_warn(c->log, "imap.subscribe.failed", KV_SV("user", c->room->account), KV_SV("mailbox", from),
			 KV_FAULT("fault", f));
}

static void subscribe_below(struct command *c, struct sv to, const struct below *b)
{
	struct sv rest = buf_sv(&b->names), end;
	struct buf name;

	buf_init(&name, MAILBOX_NAME_MAX);
	while (rest.len && sv_split(&rest, '\0', &end)) {
		buf_clear(&name);
		if (!buf_append(&name, to) || !buf_append(&name, end))
			continue;
		struct fault f = mailbox_subscribe(c->room->user, buf_sv(&name), true);

		if (f.kind)
			log_warn(c->log, "imap.subscribe.failed", KV_SV("user", c->room->account),
				 KV_SV("mailbox", buf_sv(&name)), KV_FAULT("fault", f));
		notify_own(c->room->notify, buf_sv(&name));
	}
	buf_done(&name);
}

enum step do_rename(struct command *c)
{
	struct below below;
	struct sv from, to;

	if (!command_mailbox(c, &from) || !command_mailbox(c, &to))
		return STEP_DONE;
	if (!args_end(&c->args))
		return command_bad(c, "RENAME takes two mailbox names");
	struct sv wanted = to;

	if (!compose(c, &to))
		return STEP_DONE;
	if (sv_eq(to, SV("INBOX")))
		return command_no(c, "ALREADYEXISTS", "INBOX exists already");
	if (!is_wise(to))
		return command_no(c, "CANNOT", unwise);
	bool is_ahead = subscribe_ahead(c, to);

	find_below(c, from, &below);
	struct fault f = mailbox_rename(c->room->user, from, to);

	if (f.kind && is_ahead)
		unsubscribe(c, to);
	if (!f.kind)
		subscribe_below(c, to, &below);
	buf_done(&below.names);
	if (f.kind)
		return command_fault(c, f);
	notify_own(c->room->notify, from);
	notify_own(c->room->notify, to);
	event_emit(c->log, EVENT_MAILBOX_RENAME, KV_SV("user", c->room->account),
		   KV_SV("mailbox", from), KV_SV("target", to));
	if (!sv_eq(to, wanted))
		tell_new_name(c, to, from);
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
	notify_own(c->room->notify, name);
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
