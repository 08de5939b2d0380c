/* tests/crash/script.c - see script.h. */
#include "tests/crash/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/memory.h"
#include "maildir/incoming.h"
#include "maildir/mailbox.h"
#include "maildir/pack.h"
#include "maildir/retention.h"

#include "common/banned.h"

const char *const op_names[] = { "none", "deliver", "append", "store", "copy", "move", "expunge", "create", "delete", "rename",
				 "subscribe", "rebuild", "tidy", "reopen", "expire", "pack" };

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct op *script_add(struct script *s, enum op_kind kind, const char *box)
{
	static struct op dropped;       /* a plan that is too long is cut */
	struct op *op = s->count < SCRIPT_OPS ? &s->ops[s->count++] : &dropped;

	memset(op, 0, sizeof(*op));
	op->kind = kind;
	snprintf(op->box, sizeof(op->box), "%s", box);
	return op;
}

/* Where was this message last put, as far as the worker was told? 0: nowhere. */
static uint32_t find_uid(const struct script *s, const struct op *until, const struct snapshot *before, const char *box,
			 uint32_t ident)
{
	char name[BOX_NAME];

	snprintf(name, sizeof(name), "%s", box);
	for (const struct op *op = until; op-- > s->ops;) {
		if (op->fault || op->state != STATE_DONE)
			continue;
		size_t to_len = strlen(op->to);
		if (op->kind == OP_RENAME && !strncmp(op->to, name, to_len) && (!name[to_len] || name[to_len] == '/')) {
			char older[BOX_NAME * 2];
			snprintf(older, sizeof(older), "%s%s", op->box, name + to_len);
			snprintf(name, sizeof(name), "%.79s", older);
		}
		for (uint32_t i = 0; i < op->count && i < OP_MESSAGES; i++) {
			bool is_here = op->kind == OP_APPEND ? !strcmp(op->box, name) :
				       op->kind == OP_COPY || op->kind == OP_MOVE ? !strcmp(op->to, name) :
				       op->kind == OP_DELIVER && !strcmp(name + 1, "/INBOX") && name[0] == (char)('0' + i);
			if (is_here && op->ident[op->kind == OP_DELIVER ? 0 : i] == ident)
				return op->uid[i];
		}
	}
	int b = snapshot_box(before, name);
	for (unsigned i = 0; b >= 0 && i < before->message_count; i++)
		if (before->messages[i].box == b && before->messages[i].ident == ident)
			return before->messages[i].uid;
	return 0;
}

struct run {
	struct script *script;
	const struct snapshot *before;
	struct session session;
	const char *root;
};

static struct fault fill_incoming(struct incoming *in, uint32_t ident)
{
	size_t len;
	char *text = message_text(ident, &len);
	struct fault f = incoming_write(in, sv_from(text, len / 3));

	if (!f.kind)
		f = incoming_write(in, sv_from(text + len / 3, len - len / 3));
	free(text);
	return f.kind ? f : incoming_finish(in);
}

static struct fault do_deliver(struct run *r, struct op *op)
{
	struct maildir_drop *drops[ACCOUNTS] = { NULL };
	struct delivery places[ACCOUNTS];
	struct incoming *in = NULL;
	struct fault f = FAULT_OK;

	memset(places, 0, sizeof(places));
	for (uint32_t i = 0; !f.kind && i < op->count; i++) {
		f = maildir_drop_open(r->session.store, sv_z(account_names[i]), NULL, &drops[i]);
		places[i] = (struct delivery){ .drop = drops[i], .mailbox = SV("INBOX") };
	}
	if (!f.kind)
		f = incoming_new(NULL, drops[0], 1 << 20, &in);
	if (!f.kind)
		f = fill_incoming(in, op->ident[0]);
	if (!f.kind)
		f = incoming_deliver(in, places, op->count);
	for (uint32_t i = 0; i < op->count; i++)
		op->uid[i] = places[i].uid;
	if (in)
		incoming_free(&in);
	for (uint32_t i = 0; i < ACCOUNTS; i++)
		if (drops[i])
			maildir_drop_close(&drops[i]);
	return f;
}

/* Names of the keywords in op. */
static size_t keyword_list(const struct op *op, char texts[64][8], struct sv names[64])
{
	size_t n = 0;

	for (unsigned i = 0; i < 64; i++)
		if (op->keywords >> i & 1) {
			snprintf(texts[n], 8, "kw%02u", i);
			names[n] = sv_z(texts[n]);
			n++;
		}
	return n;
}

static struct fault do_append(struct run *r, struct op *op, struct maildir_user *user, struct mailbox *box)
{
	struct append_item items[OP_MESSAGES];
	char texts[64][8];
	struct sv names[64];
	size_t keywords = keyword_list(op, texts, names);
	struct fault f = FAULT_OK;

	(void)r;
	memset(items, 0, sizeof(items));
	for (uint32_t i = 0; !f.kind && i < op->count; i++) {
		items[i] = (struct append_item){ .flags = op->flags, .keywords = names, .keyword_count = keywords,
						 .has_internaldate = true, .internaldate = 1000000000 + op->ident[i] };
		f = incoming_new(user, NULL, 1 << 20, &items[i].message);
		if (!f.kind)
			f = fill_incoming(items[i].message, op->ident[i]);
	}
	if (!f.kind)
		f = incoming_append(box, items, op->count);
	for (uint32_t i = 0; i < op->count; i++) {
		op->uid[i] = items[i].uid;
		if (items[i].message)
			incoming_free(&items[i].message);
	}
	return f;
}

static void want_uids(struct run *r, struct op *op, struct uidset *set)
{
	for (uint32_t i = 0; i < op->count; i++) {
		uint32_t uid = find_uid(r->script, op, r->before, op->box, op->ident[i]);
		if (uid)
			uidset_add(set, uid, uid);
	}
}

static struct fault do_store(struct run *r, struct op *op, struct mailbox *box)
{
	char texts[64][8];
	struct sv names[64];
	struct flag_change change = { .mode = STORE_REPLACE, .flags = op->flags, .keywords = names,
				      .keyword_count = keyword_list(op, texts, names) };
	struct uidset set = { 0 };
	uint32_t resume = 0;
	struct fault f;

	want_uids(r, op, &set);
	do {
		f = mailbox_store_flags(box, &set, &change, &resume, NULL, NULL, NULL);
	} while (!f.kind && resume);
	uidset_done(&set);
	return f;
}

struct copied {
	struct run *run;
	struct op *op;
};

static void note_copied(void *arg, uint32_t from_uid, uint32_t to_uid)
{
	struct copied *c = arg;

	for (uint32_t i = 0; i < c->op->count; i++)
		if (find_uid(c->run->script, c->op, c->run->before, c->op->box, c->op->ident[i]) == from_uid)
			c->op->uid[i] = to_uid;
}

static struct fault do_copy(struct run *r, struct op *op, struct maildir_user *user, struct mailbox *box)
{
	struct copied copied = { r, op };
	struct mailbox *to = NULL;
	struct uidset set = { 0 };
	uint32_t resume = 0;
	struct fault f = mailbox_open(user, sv_z(op->to + 2), &to);

	want_uids(r, op, &set);
	do {
		if (!f.kind)
			f = mailbox_copy(box, &set, to, op->kind == OP_MOVE, &resume, note_copied, &copied);
	} while (!f.kind && resume);
	uidset_done(&set);
	if (to)
		mailbox_close(&to);
	return f;
}

static struct fault do_expunge(struct run *r, struct op *op, struct mailbox *box)
{
	struct uidset set = { 0 }, gone = { 0 };
	uint32_t resume = 0;
	struct fault f;

	want_uids(r, op, &set);
	do {
		f = mailbox_expunge(box, &set, true, &resume, &gone);
	} while (!f.kind && resume);
	uidset_done(&set);
	uidset_done(&gone);
	return f;
}

/* The session's store has a rule for Bin (session_open()). */
static struct fault do_expire(struct run *r, const struct op *op)
{
	struct retention_counts counts = { 0 };
	bool is_cut;

	return retention_account(r->session.store, sv_z(account_names[op->box[0] - '0']), false, 0, &counts, NULL, NULL, &is_cut);
}

static struct fault do_pack(struct run *r, const struct op *op)
{
	struct pack_counts counts = { 0 };

	return store_pack_account(r->session.store, sv_z(account_names[op->box[0] - '0']), op->flags != 0, NULL, &counts, NULL,
				  NULL);
}

static struct fault reopen(struct run *r)
{
	if (r->session.store)
		session_close(&r->session);
	return session_open(&r->session, r->root);
}

static struct fault run_op(struct run *r, struct op *op)
{
	struct sv name = sv_z(op->box + 2), to = op->to[0] ? sv_z(op->to + 2) : SV_NONE;
	struct maildir_user *user = NULL;
	struct mailbox *box = NULL;
	char id[24];
	struct fault f = FAULT_OK;

	if (op->kind == OP_REOPEN)
		return reopen(r);
	if (!r->session.store)
		f = session_open(&r->session, r->root);
	if (f.kind)
		return f;
	if (op->kind == OP_DELIVER)
		return do_deliver(r, op);
	if (op->kind == OP_EXPIRE)
		return do_expire(r, op);
	if (op->kind == OP_PACK)
		return do_pack(r, op);
	if (op->kind == OP_REBUILD)
		return store_index_rebuild(r->session.store, sv_z(account_names[op->box[0] - '0']), NULL, NULL);
	f = session_user(&r->session, op->box, &user);
	if (f.kind)
		return f;
	switch (op->kind) {
	case OP_CREATE:         return mailbox_create(user, name, 0, id);
	case OP_DELETE:         return mailbox_delete(user, name);
	case OP_RENAME:         return mailbox_rename(user, name, to);
	case OP_SUBSCRIBE:      return mailbox_subscribe(user, name, op->flags != 0);
	case OP_TIDY:
		store_tidy(r->session.store);
		return FAULT_OK;
	default:
		break;
	}
	f = mailbox_open(user, name, &box);
	if (f.kind)
		return f;
	switch (op->kind) {
	case OP_APPEND:         f = do_append(r, op, user, box); break;
	case OP_STORE:          f = do_store(r, op, box); break;
	case OP_COPY:
	case OP_MOVE:           f = do_copy(r, op, user, box); break;
	case OP_EXPUNGE:        f = do_expunge(r, op, box); break;
	default:                f = fault(FAULT_INTERNAL, "no such operation"); break;
	}
	mailbox_close(&box);
	return f;
}

/* A client would be told HIGHESTMODSEQ of the mailbox it works in. */
static uint64_t ask_modseq(struct run *r, const struct op *op)
{
	struct mailbox_status status;
	const char *box = op->kind == OP_DELIVER ? "0/INBOX" : op->box;
	struct maildir_user *user;

	if (op->kind >= OP_CREATE || session_user(&r->session, box, &user).kind ||
	    mailbox_status(user, sv_z(box + 2), &status).kind)
		return 0;
	return status.highestmodseq;
}

void script_run(struct script *s, const char *root, const struct snapshot *before, bool close_at_end)
{
	struct run r = { .script = s, .before = before, .root = root };

	for (unsigned i = 0; i < s->count; i++) {
		struct op *op = &s->ops[i];
		op->state = STATE_BEGUN;
		struct fault f = run_op(&r, op);
		op->fault = f.kind;
		snprintf(op->detail, sizeof(op->detail), "%s", f.detail ? f.detail : "");
		op->done_ms = now_ms();
		op->state = STATE_DONE;
		if (s->asks_modseq && !f.kind)
			op->modseq = ask_modseq(&r, op);
		s->done = i + 1;
		if (r.session.store && store_needs_flush(r.session.store))
			store_flush_flags(r.session.store);
	}
	if (close_at_end && r.session.store)
		session_close(&r.session);
}
