/* imapd/commands/status.c - STATUS (RFC 3501 §6.3.10). */
#include "imapd/command.h"

#include "common/banned.h"

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
	command_write_mailbox(c, name);
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
