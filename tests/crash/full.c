/* tests/crash/full.c - a disk that is full: a small tmpfs, filled to its last page, and one without inodes.
 *
 * Mail is refused as temporary; reading, flags and expunge go on; when there is room again, so does mail, without anybody
 * doing anything. A store needs a few megabytes (an index alone keeps one in reserve), so the disk has 24, not one. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "maildir/mailbox.h"
#include "tests/crash/parts.h"
#include "tests/crash/plans.h"

#include "common/banned.h"

/* Take every page, or every inode, that is left. */
static void fill(const char *at, bool inodes)
{
	static const char page[4096] = "x";
	char path[300];

	for (unsigned i = 0; inodes; i++) {
		snprintf(path, sizeof(path), "%s/filler.%u", at, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return;
		close(fd);
	}
	snprintf(path, sizeof(path), "%s/filler", at);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (fd >= 0 && write(fd, page, sizeof(page)) > 0)
		;
	if (fd >= 0)
		close(fd);
}

static void make_room(const char *at)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/filler", at);
	unlink(path);
	for (unsigned i = 0;; i++) {
		snprintf(path, sizeof(path), "%s/filler.%u", at, i);
		if (unlink(path))
			return;
	}
}

static void run(struct world *w)
{
	waitpid(world_start(w, 0, false, false), NULL, 0);
}

static bool all_went(struct world *w, const struct script *s)
{
	bool all = true;

	for (unsigned i = 0; i < s->count; i++) {
		const struct op *op = &s->ops[i];
		if (op->state == STATE_DONE && !op->fault)
			continue;
		breach(world_report(w), FULL_DISK, "%s of %s: %s %s", op_names[op->kind], op->box,
		       op->state == STATE_DONE ? fault_name(op->fault) : "hangs or died", op->detail);
		all = false;
	}
	return all;
}

static void deliver(struct world *w, struct script *s)
{
	struct op *op = script_add(s, OP_DELIVER, "0/INBOX");

	op->count = 1;
	op->ident[0] = world_ident(w);
}

static void fill_and_recover(struct world *w, const char *at, bool inodes)
{
	struct report *r = world_report(w);
	struct script *s;
	bool refused = false;

	/* Mail until it is refused. */
	snprintf(r->context, sizeof(r->context), "full disk (%s), filling it with mail", inodes ? "inodes" : "space");
	for (unsigned round = 0; !refused && round < 30; round++) {
		s = world_plan(w, 0);
		for (unsigned i = 0; i < 60; i++) {
			deliver(w, s);
			s->ops[i].ident[0] = world_ident(w) * 13;       /* the big ones */
		}
		run(w);
		for (unsigned i = 0; i < s->count; i++) {
			refused = refused || s->ops[i].fault;
			if (s->ops[i].fault && !fault_is_temporary(s->ops[i].fault))
				breach(r, WRONG_PERMANENT, "delivery: %s %s", fault_name(s->ops[i].fault), s->ops[i].detail);
		}
		r->faults += refused;
		world_look(w, 1, ENDED_FAULT, 0);
	}
	if (!refused)
		breach(r, FULL_DISK, "mail is never refused");

	/* The rest is taken by somebody else: not a page is left. */
	snprintf(r->context, sizeof(r->context), "full disk (%s), nothing left", inodes ? "inodes" : "space");
	fill(at, inodes);
	s = world_plan(w, 0);
	struct op *op = script_add(s, OP_STORE, "0/INBOX");
	op->count = world_pick(w, "0/INBOX", 5, op->ident);
	op->flags = FLAG_SEEN | FLAG_FLAGGED;
	op = script_add(s, OP_EXPUNGE, "0/INBOX");
	op->count = world_pick(w, "0/INBOX", 3, op->ident);
	op = script_add(s, OP_STORE, "0/Work");
	op->count = world_pick(w, "0/Work", 3, op->ident);
	op->flags = FLAG_ANSWERED;
	run(w);
	r->expunge_ok = all_went(w, s);
	/* Reading: everything, by a process that opens the index now. */
	r->read_ok = !world_look(w, 1, ENDED_FAULTS, 0) && world_before(w)->is_complete;
	s = world_plan(w, 0);
	fill(at, inodes);
	deliver(w, s);
	run(w);
	if (!s->ops[0].fault)
		breach(r, FULL_DISK, "a delivery is accepted on a full disk");
	else if (!fault_is_temporary(s->ops[0].fault))
		breach(r, WRONG_PERMANENT, "delivery: %s %s", fault_name(s->ops[0].fault), s->ops[0].detail);
	world_look(w, 1, ENDED_FAULT, 0);

	snprintf(r->context, sizeof(r->context), "full disk (%s), room again", inodes ? "inodes" : "space");
	make_room(at);
	int64_t start = now_ms();
	/* What fills the disk now is mail: some of it goes. */
	s = world_plan(w, 0);
	op = script_add(s, OP_EXPUNGE, "0/INBOX");
	op->count = world_pick(w, "0/INBOX", OP_MESSAGES, op->ident);
	deliver(w, s);
	run(w);
	if (all_went(w, s))
		r->recovered_s = (double)(now_ms() - start) / 1000;
	world_look(w, 1, ENDED_WELL, 0);
}

void part_full(const struct crash_options *o, struct report *total, bool *ran)
{
	char at[200], root[220];

	snprintf(at, sizeof(at), "%s/full", o->dir);
	if (!own_mounts(o->dir)) {
		skip("full disk", "needs root and a mount namespace of its own");
		return;
	}
	mkdir(at, 0700);
	total->read_ok = total->expunge_ok = true;
	for (unsigned inodes = 0; inodes < 2; inodes++) {
		struct report r = { 0 };
		snprintf(r.context, sizeof(r.context), "full disk, before it is");
		if (mount("tmpfs", at, "tmpfs", 0, inodes ? "size=64m,nr_inodes=400" : "size=24m")) {
			skip("full disk", "no tmpfs can be mounted");
			return;
		}
		snprintf(root, sizeof(root), "%s/world", at);
		struct world *w = world_new(root, &r);
		if (plans_furnish(w))
			fill_and_recover(w, at, inodes);
		world_free(&w);
		umount2(at, MNT_DETACH);
		printf("  full disk: %s, %llu violations\n", inodes ? "inodes" : "space", (unsigned long long)report_breaches(&r));
		bool read_ok = total->read_ok && r.read_ok, expunge_ok = total->expunge_ok && r.expunge_ok;
		report_add(total, &r);
		total->read_ok = read_ok;
		total->expunge_ok = expunge_ok;
	}
	*ran = true;
}
