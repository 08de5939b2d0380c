/* tests/crash/plans.c - see plans.h. */
#include "tests/crash/plans.h"

#include <stdio.h>

#include "maildir/mailbox.h"

#include "common/banned.h"

#define KEEP 14                 /* messages left in a mailbox */

static struct op *add_append(struct world *w, struct script *s, const char *box, uint32_t count)
{
	struct op *op = script_add(s, OP_APPEND, box);

	op->count = count;
	for (uint32_t i = 0; i < count; i++)
		op->ident[i] = world_ident(w);
	return op;
}

static struct op *add_deliver(struct world *w, struct script *s, uint32_t accounts)
{
	struct op *op = script_add(s, OP_DELIVER, "0/INBOX");

	op->count = accounts;
	op->ident[0] = world_ident(w);
	return op;
}

bool plans_furnish(struct world *w)
{
	struct script *s = world_plan(w, 0);

	add_deliver(w, s, 3);
	/* The accounts exist from here on, and the look knows their mailboxes. */
	for (unsigned account = 0; account < 2; account++) {
		script_add(s, OP_CREATE, account ? "1/Work" : "0/Work");
		script_add(s, OP_CREATE, account ? "1/Bin" : "0/Bin");
	}
	world_first_look(w);
	if (!world_has(w, "0/Work") || !world_has(w, "2/INBOX")) {
		breach(world_report(w), STUCK, "the first accounts cannot be made: %s", world_before(w)->fault);
		return false;
	}

	s = world_plan(w, 0);
	struct op *op = add_append(w, s, "0/Work", 3);
	op->flags = FLAG_SEEN | FLAG_ANSWERED;
	op->keywords = 0x1f;
	op = add_append(w, s, "0/Work", 2);
	op->keywords = 0x3fffffffe0;    /* numbers beyond 26: not in a letter of the name */
	add_append(w, s, "0/INBOX", 2)->flags = FLAG_FLAGGED;
	op = script_add(s, OP_STORE, "0/Work");
	op->count = world_pick(w, "0/Work", 2, op->ident);
	op->flags = FLAG_DRAFT;
	script_add(s, OP_SUBSCRIBE, "0/Work")->flags = 1;
	return world_settle(w);
}

/* --- what each plan needs -------------------------------------------------------------------------------------------------- */

static void need_messages(struct world *w, struct script *s, const char *box, uint32_t least)
{
	uint32_t idents[OP_MESSAGES], n = world_pick(w, box, OP_MESSAGES, idents);

	if (n < least) {
		struct op *op = add_append(w, s, box, least - n);
		op->flags = FLAG_FLAGGED;
		op->keywords = 1u << 5 | 1u << 30;
	}
}

static void prepare_nothing(struct world *w, struct script *s)
{
	(void)w;
	(void)s;
}

static void prepare_work(struct world *w, struct script *s)
{
	need_messages(w, s, "0/Work", 5);
}

static void prepare_bin(struct world *w, struct script *s)
{
	need_messages(w, s, "0/Bin", 3);
}

static void prepare_doomed(struct world *w, struct script *s)
{
	if (!world_has(w, "0/Doomed"))
		script_add(s, OP_CREATE, "0/Doomed");
	need_messages(w, s, "0/Doomed", 2);
}

static void prepare_tree(struct world *w, struct script *s)
{
	if (world_has(w, "0/Tree") || world_has(w, "0/Grove/Tree"))
		return;
	script_add(s, OP_CREATE, "0/Grove");
	script_add(s, OP_CREATE, "0/Tree");
	script_add(s, OP_CREATE, "0/Tree/Leaf.1");
	need_messages(w, s, "0/Tree/Leaf.1", 2);
	need_messages(w, s, "0/Tree", 1);
}

static void prepare_inbox(struct world *w, struct script *s)
{
	if (world_has(w, "0/Old"))
		script_add(s, OP_DELETE, "0/Old");
	need_messages(w, s, "0/INBOX", 3);
}

static void prepare_create(struct world *w, struct script *s)
{
	if (world_has(w, "0/Made"))
		script_add(s, OP_DELETE, "0/Made");
}

/* Flags that stand in the log and not yet in names: these alone, or there would be more of them each time. */
static void prepare_flags(struct world *w, struct script *s)
{
	need_messages(w, s, "0/Work", 5);
	script_add(s, OP_SUBSCRIBE, "0/Work")->flags = 1;       /* opens the account */
	script_add(s, OP_TIDY, "0/Work");
	struct op *op = script_add(s, OP_STORE, "0/Work");
	op->count = world_pick(w, "0/Work", 4, op->ident);
	op->flags = world_ident(w) % 32;
	op->keywords = 1u << world_ident(w) % 32;
}

/* --- the operations ----------------------------------------------------------------------------------------------------------- */

static void work_deliver(struct world *w, struct script *s)
{
	add_deliver(w, s, 1);
}

static void work_deliver3(struct world *w, struct script *s)
{
	add_deliver(w, s, 3);
}

static void work_append(struct world *w, struct script *s)
{
	add_append(w, s, "0/INBOX", 1)->flags = FLAG_SEEN;
}

static void work_append3(struct world *w, struct script *s)
{
	struct op *op = add_append(w, s, "0/Work", 3);

	op->flags = FLAG_DRAFT;
	op->keywords = (uint64_t)1 << 33 | 1u << 2;
}

static void work_store(struct world *w, struct script *s)
{
	struct op *op = script_add(s, OP_STORE, "0/Work");

	op->count = world_pick(w, "0/Work", 3, op->ident);
	op->flags = world_ident(w) % 32;
	op->keywords = (uint64_t)1 << world_ident(w) % 34;
}

static void transfer(struct world *w, struct script *s, enum op_kind kind)
{
	uint32_t there[OP_MESSAGES], n = world_pick(w, "0/Bin", OP_MESSAGES, there);
	/* To and fro, so that one message gets many UIDs; a copy only of what is not there yet. */
	bool back = kind == OP_MOVE && n >= 3;
	struct op *op = script_add(s, kind, back ? "0/Bin" : "0/Work");
	uint32_t all[OP_MESSAGES], count = world_pick(w, op->box, OP_MESSAGES, all);

	snprintf(op->to, sizeof(op->to), "%s", back ? "0/Work" : "0/Bin");
	n = world_pick(w, op->to, OP_MESSAGES, there);
	for (uint32_t i = count; i-- > 0 && op->count < 3;) {
		bool known = false;
		for (uint32_t k = 0; k < n; k++)
			known = known || there[k] == all[i];
		if (!known)
			op->ident[op->count++] = all[i];
	}
	if (!op->count) {       /* all are in both already */
		op->kind = OP_APPEND;
		op->count = 1;
		op->ident[0] = world_ident(w);
	}
}

static void work_copy(struct world *w, struct script *s)
{
	transfer(w, s, OP_COPY);
}

static void work_move(struct world *w, struct script *s)
{
	transfer(w, s, OP_MOVE);
}

static void work_expunge(struct world *w, struct script *s)
{
	struct op *op = script_add(s, OP_EXPUNGE, "0/Work");

	op->count = world_pick(w, "0/Work", 2, op->ident);
}

static void work_create(struct world *w, struct script *s)
{
	(void)w;
	script_add(s, OP_CREATE, "0/Made");
}

static void work_delete(struct world *w, struct script *s)
{
	(void)w;
	script_add(s, OP_DELETE, "0/Doomed");
}

static void work_rename(struct world *w, struct script *s)
{
	bool back = world_has(w, "0/Grove/Tree");
	struct op *op = script_add(s, OP_RENAME, back ? "0/Grove/Tree" : "0/Tree");

	snprintf(op->to, sizeof(op->to), "%s", back ? "0/Tree" : "0/Grove/Tree");
}

static void work_inbox(struct world *w, struct script *s)
{
	struct op *op = script_add(s, OP_RENAME, "0/INBOX");

	(void)w;
	snprintf(op->to, sizeof(op->to), "0/Old");
}

static void work_subscribe(struct world *w, struct script *s)
{
	script_add(s, OP_SUBSCRIBE, "0/Bin")->flags = world_ident(w) % 2;
}

static void work_rebuild(struct world *w, struct script *s)
{
	(void)w;
	script_add(s, OP_REBUILD, "0/INBOX");
}

static void work_tidy(struct world *w, struct script *s)
{
	/* Something opens the account first: tidying is of open ones. */
	add_append(w, s, "0/INBOX", 1);
	script_add(s, OP_TIDY, "0/INBOX");
	script_add(s, OP_REOPEN, "0/INBOX");
}

static void work_expire(struct world *w, struct script *s)
{
	struct op *op = script_add(s, OP_EXPIRE, "0/Bin");

	op->count = world_pick(w, "0/Bin", OP_MESSAGES, op->ident);
}

/* Of five idents in a row one makes a message that is worth packing. */
static void work_pack(struct world *w, struct script *s)
{
	(void)w;
	script_add(s, OP_PACK, "0/Work")->flags = 1;
	script_add(s, OP_PACK, "0/Work")->flags = 0;
}

const struct plan plans[] = {
	{ "deliver to 1", prepare_nothing, work_deliver, false },
	{ "deliver to 3", prepare_nothing, work_deliver3, false },
	{ "APPEND 1", prepare_nothing, work_append, false },
	{ "APPEND 3", prepare_nothing, work_append3, false },
	{ "STORE", prepare_work, work_store, false },
	{ "names follow flags", prepare_flags, work_tidy, false },
	{ "COPY", prepare_work, work_copy, false },
	{ "MOVE", prepare_work, work_move, false },
	{ "EXPUNGE", prepare_work, work_expunge, false },
	{ "retention", prepare_bin, work_expire, false },
	{ "packing and unpacking", prepare_work, work_pack, false },
	{ "CREATE", prepare_create, work_create, false },
	{ "DELETE", prepare_doomed, work_delete, false },
	{ "RENAME of a tree", prepare_tree, work_rename, false },
	{ "RENAME of INBOX", prepare_inbox, work_inbox, false },
	{ "SUBSCRIBE", prepare_nothing, work_subscribe, false },
	{ "rebuild", prepare_flags, work_rebuild, false },
	{ "opening after a power loss", prepare_flags, work_deliver, true },
};
const unsigned plan_count = ARRAY_LEN(plans);

static void prune(struct world *w, struct script *s, const char *box)
{
	uint32_t idents[OP_MESSAGES * 2], n = 0;
	const struct snapshot *now = world_before(w);
	int b = snapshot_box(now, box);

	for (unsigned i = 0; i < now->message_count && n < ARRAY_LEN(idents); i++)
		if (now->messages[i].box == b)
			idents[n++] = now->messages[i].ident;
	if (n <= KEEP * 2)
		return;
	struct op *op = script_add(s, OP_EXPUNGE, box);
	while (op->count < n - KEEP && op->count < OP_MESSAGES) {
		op->ident[op->count] = idents[op->count];
		op->count++;
	}
}

bool plan_prepare(const struct plan *p, struct world *w)
{
	static const char *const boxes[] = { "0/INBOX", "1/INBOX", "2/INBOX", "0/Work", "0/Bin" };
	struct script *s = world_plan(w, 0);

	for (size_t i = 0; i < ARRAY_LEN(boxes); i++)
		prune(w, s, boxes[i]);
	if (s->count && !world_settle(w))
		return false;
	s = world_plan(w, 0);
	p->prepare(w, s);
	if (s->count && !world_settle(w))
		return false;
	if (p->after_power_loss)
		world_new_boot(w);
	return true;
}
