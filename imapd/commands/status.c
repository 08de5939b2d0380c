/* imapd/commands/status.c - STATUS (RFC 3501 §6.3.10); see status.h. */
#include "imapd/status.h"

#include "common/banned.h"

enum status_item {
	STATUS_MESSAGES,
	STATUS_RECENT,
	STATUS_UIDNEXT,
	STATUS_UIDVALIDITY,
	STATUS_UNSEEN,
	STATUS_MODSEQ,
	STATUS_SIZE,
	STATUS_DELETED,
	STATUS_DELETED_STORAGE,
	STATUS_MAILBOXID,
	STATUS_APPENDLIMIT,
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
	[STATUS_SIZE]        = { "SIZE", CAP_STATUS_SIZE },                  /* RFC 8438 */
	[STATUS_DELETED]     = { "DELETED", CAP_NONE },              /* RFC 9051 §6.3.11, RFC 9208 §4.1.4 */
	[STATUS_DELETED_STORAGE] = { "DELETED-STORAGE", CAP_QUOTA_STORAGE },
	[STATUS_MAILBOXID]   = { "MAILBOXID", CAP_OBJECTID },
	[STATUS_APPENDLIMIT] = { "APPENDLIMIT", CAP_APPENDLIMIT },
};

static bool add_deleted(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	uint64_t *octets = arg;

	(void)parsed;
	if (row->flags & FLAG_DELETED)
		*octets += row->size;
	return true;
}

/* deleted_octets - RFC 9208 §4.1.4: the one item that no counter knows. Who deleted nothing pays
 * nothing for it. */
static struct fault deleted_octets(struct command *c, struct sv name, uint64_t *octets)
{
	struct mailbox *box = NULL;
	uint32_t resume = 0;
	struct fault f = mailbox_open(c->room->user, name, &box);

	*octets = 0;
	if (f.kind)
		return f;
	do
		f = mailbox_scan(box, NULL, SCAN_ROW, &resume, add_deleted, octets);
	while (!f.kind && resume);
	mailbox_close(&box);
	return f;
}

static uint64_t status_value(struct command *c, const struct mailbox_status *s, uint64_t deleted,
			     size_t item)
{
	switch ((enum status_item)item) {
	case STATUS_MESSAGES:    return s->messages;
	case STATUS_RECENT:      return s->recent;
	case STATUS_UIDNEXT:     return s->uidnext;
	case STATUS_UIDVALIDITY: return s->uidvalidity;
	case STATUS_UNSEEN:      return s->unseen;
	case STATUS_MODSEQ:      return s->highestmodseq;
	case STATUS_SIZE:        return s->size;
	case STATUS_DELETED:     return s->deleted;
	case STATUS_DELETED_STORAGE: return deleted;
	case STATUS_APPENDLIMIT: return c->room->conf->smtp.message_size;
	case STATUS_MAILBOXID:   break;
	}
	BUG("status item %zu", item);
}

bool status_read_items(struct command *c, struct args *from, unsigned *items)
{
	struct args list;

	*items = 0;
	if (!args_open(from, &list) || args_end(&list))
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
	if (*items & 1u << STATUS_MODSEQ)
		c->room->has_condstore = true;
	return true;
}

struct fault status_write(struct command *c, struct sv name, unsigned items)
{
	struct mailbox_status status;
	const char *gap = "";
	uint64_t deleted = 0;
	struct fault f = mailbox_status(c->room->user, name, &status);

	if (!f.kind && items & 1u << STATUS_DELETED_STORAGE && status.deleted)
		f = deleted_octets(c, name, &deleted);
	if (f.kind)
		return f;
	writer_z(&c->out, "* STATUS ");
	command_write_mailbox(c, name);
	writer_z(&c->out, " (");
	for (size_t i = 0; i < ARRAY_LEN(status_items); i++) {
		if (!(items & 1u << i))
			continue;
		if (i == STATUS_MAILBOXID)      /* RFC 8474 §4.3 */
			writer_f(&c->out, "%sMAILBOXID (%s)", gap, status.mailbox_id);
		else
			writer_f(&c->out, "%s%s %llu", gap, status_items[i].name,
				 (unsigned long long)status_value(c, &status, deleted, i));
		gap = " ";
	}
	writer_z(&c->out, ")\r\n");
	return FAULT_OK;
}

/* RFC 3501 §6.3.10: from counters, without opening the mailbox, so that polling is cheap. It claims
 * no \Recent. */
enum step do_status(struct command *c)
{
	unsigned items;
	struct sv name;

	if (!command_mailbox(c, &name))
		return STEP_DONE;
	if (!status_read_items(c, &c->args, &items) || !args_end(&c->args))
		return command_bad(c, "STATUS takes a mailbox name and a list of items it knows");
	struct fault f = status_write(c, name, items);

	return f.kind ? command_fault(c, f) : command_ok(c, "Status told");
}
