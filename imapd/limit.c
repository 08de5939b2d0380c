/* imapd/limit.c - see limit.h. */
#include "imapd/limit.h"

#include "common/banned.h"

uint32_t limit_lowest(const struct command *c, const struct uidset *set)
{
	uint64_t total = uidset_total(set), limit = c->room->conf->imap.message_limit;

	return total > limit ? uidset_at(set, (uint32_t)(total - limit + 1)) : uidset_next(set, 1);
}

void limit_narrow(struct command *c, struct uidset *set)
{
	if (!capability_has(c->room->on, CAP_MESSAGELIMIT) || uidset_total(set) <= c->room->conf->imap.message_limit)
		return;
	c->limit_uid = limit_lowest(c, set);
	if (c->limit_uid > 1)
		uidset_remove(set, 1, c->limit_uid - 1);
}

static void write_code(struct command *c, uint32_t uid)
{
	buf_appendf(&c->code, "MESSAGELIMIT %llu", (unsigned long long)c->room->conf->imap.message_limit);
	if (uid)
		buf_appendf(&c->code, " %u", uid);
}

bool limit_refuse(struct command *c, uint64_t count, uint32_t uid, bool is_copy)
{
	bool is_on = capability_has(c->room->on, CAP_MESSAGELIMIT) ||
		     (is_copy && capability_has(c->room->on, CAP_SAVELIMIT));

	if (!is_on || count <= c->room->conf->imap.message_limit)
		return false;
	command_no(c, NULL, "Too many messages for one command");
	write_code(c, uid);
	return true;
}

void limit_write_answer(struct command *c)
{
	if (!c->limit_uid || strcmp(c->answer.word, "OK"))
		return;
	if (!c->code.len && !c->answer.code) {
		write_code(c, c->limit_uid);
		return;
	}
	writer_f(&c->out, "* NO [MESSAGELIMIT %llu %u] Not all messages were worked on\r\n",
		 (unsigned long long)c->room->conf->imap.message_limit, c->limit_uid);
}
