/* tests/crash/power.c - the power goes: ext4 and xfs on loop images, cut off by the file-system shutdown ioctl.
 *
 * After the ioctl nothing more reaches the image: neither data nor journal is flushed. The image is mounted again, the boot
 * id is another one, and everything that had been acknowledged is looked for. The ioctl does not reorder writes: passing is
 * a hint, failing is a proof. Needs root, a loop device, mkfs.ext4, mkfs.xfs; all in a mount namespace of our own. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "maildir/mailbox.h"
#include "tests/crash/parts.h"
#include "tests/crash/plans.h"

#include "common/banned.h"

#define IOC_SHUTDOWN _IOR('X', 125, uint32_t)   /* FS_IOC_SHUTDOWN; XFS_IOC_GOINGDOWN has the same number */
#define NO_LOG_FLUSH 2u
#define WORKERS 2

struct disk {
	const char *fs;
	char image[200], at[200];
	bool mounted;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static unsigned below(uint64_t *state, unsigned n)
{
	return (unsigned)(next_random(state) % n);
}

static bool disk_mount(struct disk *d)
{
	d->mounted = run_command("mount", "-t", d->fs, "-o", "loop", d->image, d->at, (char *)NULL);
	return d->mounted;
}

static void disk_unmount(struct disk *d)
{
	for (int tries = 0; d->mounted && tries < 100; tries++) {
		d->mounted = umount2(d->at, 0) != 0;
		if (d->mounted)
			usleep(20000);
	}
}

/* NULL: ready; else why it cannot be. */
static const char *disk_make(struct disk *d, const char *fs, const struct crash_options *o)
{
	int fd;

	d->fs = fs;
	snprintf(d->image, sizeof(d->image), "%s/%s.img", o->dir, fs);
	snprintf(d->at, sizeof(d->at), "%s/%s", o->dir, fs);
	fd = open(d->image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)400 << 20) || (mkdir(d->at, 0700) && errno != EEXIST))
		return "no room for an image";
	close(fd);
	if (!strcmp(fs, "ext4") ? !run_command("mkfs.ext4", "-q", "-F", d->image, (char *)NULL) :
				  !run_command("mkfs.xfs", "-q", "-f", d->image, (char *)NULL))
		return !strcmp(fs, "ext4") ? "mkfs.ext4 is missing (Debian: e2fsprogs)" : "mkfs.xfs is missing (Debian: xfsprogs)";
	if (!disk_mount(d))
		return "no loop device can be mounted here";
	return NULL;
}

static bool disk_cut(const struct disk *d)
{
	uint32_t how = NO_LOG_FLUSH;
	int fd = open(d->at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool done = fd >= 0 && !ioctl(fd, IOC_SHUTDOWN, &how);

	if (fd >= 0)
		close(fd);
	return done;
}

/* --- what the workers do ------------------------------------------------------------------------------------------------------- */

static struct op *random_change(struct world *w, struct script *s, uint64_t *rng, const char *box)
{
	uint32_t n;
	struct op *op;

	switch (below(rng, 10)) {
	case 0: case 1: case 2:
		op = script_add(s, OP_APPEND, box);
		op->count = 1 + below(rng, 3);
		for (uint32_t i = 0; i < op->count; i++)
			op->ident[i] = world_ident(w);
		op->flags = below(rng, 32);
		op->keywords = below(rng, 3) ? 0 : (uint64_t)1 << below(rng, 36);
		return op;
	case 3: case 4: case 5:
		op = script_add(s, OP_STORE, box);
		n = world_pick(w, box, OP_MESSAGES, op->ident);
		op->count = n ? 1 + below(rng, n) : 0;
		op->flags = below(rng, 32);
		op->keywords = below(rng, 3) ? 0 : (uint64_t)1 << below(rng, 36);
		return op;
	default:
		return NULL;
	}
}

/* Messages of `before` are copied, moved and expunged once at most in a script, so that the model stays simple. */
static const struct script *random_script(struct world *w, unsigned worker, uint64_t *rng, unsigned length)
{
	struct script *s = world_plan(w, worker);
	const char *work = worker ? "1/Work" : "0/Work", *bin = worker ? "1/Bin" : "0/Bin";
	uint32_t mine[OP_MESSAGES], mine_count = world_pick(w, work, OP_MESSAGES, mine), in_bin[OP_MESSAGES];
	uint32_t bin_count = world_pick(w, bin, OP_MESSAGES, in_bin), next = 0, next_bin = 0;

	s->asks_modseq = true;
	for (unsigned i = 0; i < length; i++) {
		struct op *op;
		unsigned what = below(rng, 12);
		if (what < 5) {
			/* The first worker delivers to all; both work on different accounts besides. */
			op = script_add(s, OP_DELIVER, "0/INBOX");
			op->count = worker ? 1 : 1 + 2 * (below(rng, 3) == 0);
			op->ident[0] = world_ident(w);
		} else if (what == 5 && next < mine_count) {
			op = script_add(s, below(rng, 2) ? OP_MOVE : OP_COPY, work);
			snprintf(op->to, sizeof(op->to), "%s", bin);
			while (op->count < 2 && next < mine_count) {
				bool is_there = false;
				for (uint32_t k = 0; k < bin_count; k++)
					is_there = is_there || in_bin[k] == mine[next];
				if (!is_there)
					op->ident[op->count++] = mine[next];
				next++;
			}
			if (!op->count)
				s->count--;
		} else if (what == 6 && next_bin < bin_count) {
			op = script_add(s, OP_EXPUNGE, bin);
			while (op->count < 3 && next_bin < bin_count)
				op->ident[op->count++] = in_bin[next_bin++];
		} else if (what == 7 && !below(rng, 4)) {
			script_add(s, OP_REOPEN, work);
		} else if (what == 8 && !below(rng, 4)) {
			script_add(s, OP_TIDY, work);
		} else if (what == 9 && !below(rng, 6)) {
			script_add(s, OP_PACK, work)->flags = below(rng, 2);
		} else {
			random_change(w, s, rng, below(rng, 2) ? work : bin);
		}
	}
	return s;
}

/* --- wrong workers ----------------------------------------------------------------------------------------------------------------- */

enum wrong {
	RIGHT = 0,
	NO_FILE_FLUSH,                  /* messages */
	NO_DIR_FLUSH,
	NO_SIDECAR,                     /* a ceiling that is used and never stood on disk */
	NO_MARK,                        /* the index is trusted after the cut */
	WRONGS
};
static const char *const wrong_names[WRONGS] = {
	"right", "files not flushed", "folders not flushed", "UIDs used before their ceiling is durable",
	"no dirty mark, index trusted",
};

static bool is_message(const char *path)
{
	return strstr(path, "/tmp/") != NULL || strstr(path, "/cur/") != NULL;
}

struct cutter {
	const struct disk *disk;
	unsigned at;                    /* cut at this stop; 0: never */
	const struct script *answered;  /* not NULL: at the next stop behind `at` at which another message was acknowledged */
	unsigned had;
	bool did_cut;
	int64_t cut_ms;
	enum wrong wrong;
};

static bool is_left_out(const struct cutter *c, const struct trace_stop *stop, long *result)
{
	enum call_class class = tracer_class(stop->call);
	char path[512];
	struct stat st;

	*result = 0;
	if (class == CALL_FLUSH) {
		tracer_fd_path(stop->pid, (int)stop->args[0], path, sizeof(path));
		bool is_dir = !stat(path, &st) && S_ISDIR(st.st_mode);
		if (c->wrong == NO_DIR_FLUSH)
			return is_dir || stop->call == SYS_syncfs;
		return c->wrong == NO_FILE_FLUSH && !is_dir && is_message(path);
	}
	return false;
}

static enum trace_do cut_at(void *arg, const struct trace_stop *stop, long *result)
{
	struct cutter *c = arg;

	bool is_time = c->at && stop->number >= c->at && !c->did_cut;
	if (is_time && c->answered) {
		/* The worst moment: a promise was just given, and nothing behind it has flushed anything. */
		unsigned done = c->answered->done;
		enum op_kind last = done ? c->answered->ops[done - 1].kind : OP_NONE;
		is_time = c->had && done > c->had && (last == OP_DELIVER || last == OP_APPEND || last == OP_MOVE || last == OP_COPY);
		c->had = done;
	}
	if (is_time) {
		c->cut_ms = now_ms();
		c->did_cut = disk_cut(c->disk);
		return TRACE_KILL;
	}
	return stop->is_entry && c->wrong && is_left_out(c, stop, result) ? TRACE_FAKE : TRACE_GO;
}

/* What the sidecars of a worker that does not wait for them look like after the cut: as they were before. */
static void save_sidecars(const char *folder)
{
	char from[320], to[330];

	snprintf(from, sizeof(from), "%s/Maildir/.Bin/postroom-mailbox", folder);
	snprintf(to, sizeof(to), "%s/saved-sidecar", folder);
	if (access(from, F_OK))
		return;
	run_command("cp", "-a", from, to, (char *)NULL);
	run_command("sync", to, (char *)NULL);
}

static void restore_sidecars(const char *folder)
{
	char from[330], to[320];

	snprintf(from, sizeof(from), "%s/saved-sidecar", folder);
	snprintf(to, sizeof(to), "%s/Maildir/.Bin/postroom-mailbox", folder);
	(void)!rename(from, to);
}

static void remove_mark(const char *folder)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/index/dirty", folder);
	unlink(path);
}

/* --- one cut ----------------------------------------------------------------------------------------------------------------------- */

static void sleep_until(int64_t ms)
{
	int64_t left = ms - now_ms();

	if (left > 0)
		usleep((useconds_t)left * 1000);
}

/* Two workers run free, and the power goes at some moment. */
static int64_t cut_freely(struct world *w, struct disk *d, uint64_t *rng, bool is_long)
{
	pid_t pids[WORKERS];
	int64_t start = now_ms(), length = is_long ? 3500 + below(rng, 1500) : 10 + below(rng, 600);
	int fd = open(d->at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = world_start(w, i, false, true);
	/* In a third of the runs something else flushes the disk: part of the index gets there, part does not. */
	if (!below(rng, 3) && fd >= 0) {
		sleep_until(start + below(rng, (unsigned)length));
		(void)!syncfs(fd);
	}
	if (fd >= 0)
		close(fd);
	sleep_until(start + length);
	int64_t cut = now_ms();
	if (!disk_cut(d))
		breach(world_report(w), STUCK, "the file system does not know the shutdown ioctl");
	for (unsigned i = 0; i < WORKERS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	return cut;
}

/* One worker is stopped at a system call, and the power goes there. */
static int64_t cut_stopped(struct world *w, struct disk *d, unsigned at, enum wrong wrong, const struct script *answered)
{
	struct cutter c = { .disk = d, .at = at, .wrong = wrong, .answered = answered };

	tracer_run(world_start(w, 0, true, true), cut_at, &c);
	if (!c.did_cut) {               /* it came to its end before */
		c.cut_ms = now_ms();
		disk_cut(d);
	}
	return c.cut_ms;
}

static bool after_cut(struct world *w, struct disk *d, unsigned workers, int64_t cut_ms, enum wrong wrong)
{
	struct report *r = world_report(w);

	disk_unmount(d);
	if (d->mounted || !disk_mount(d)) {
		breach(r, STUCK, "the image cannot be mounted any more");
		return false;
	}
	if (wrong == NO_MARK)
		world_each_account(w, remove_mark);
	if (wrong == NO_SIDECAR)
		world_each_account(w, restore_sidecars);
	world_new_boot(w);
	r->points++;
	r->cuts++;
	world_look(w, workers, ENDED_POWER, cut_ms);
	return world_before(w)->is_complete;
}

static bool prune_worlds(struct world *w)
{
	static const char *const boxes[] = { "0/INBOX", "1/INBOX", "2/INBOX", "0/Work", "0/Bin", "1/Work", "1/Bin" };
	struct script *s = world_plan(w, 0);

	for (size_t i = 0; i < ARRAY_LEN(boxes); i++) {
		uint32_t all[OP_MESSAGES], n = world_pick(w, boxes[i], OP_MESSAGES, all);
		if (n < 40)
			continue;
		struct op *op = script_add(s, OP_EXPUNGE, boxes[i]);
		op->count = n - 10;
		memcpy(op->ident, all, op->count * sizeof(all[0]));
	}
	return !s->count || world_settle(w);
}

static unsigned cut_all(struct disk *d, const struct crash_options *o, struct report *r, unsigned cuts, uint64_t *rng)
{
	char root[220];
	unsigned done = 0;

	snprintf(root, sizeof(root), "%s/world", d->at);
	snprintf(r->context, sizeof(r->context), "%s, before any cut", d->fs);
	struct world *w = world_new(root, r);
	bool is_alive = plans_furnish(w);
	(void)o;
	for (; is_alive && done < cuts; done++) {
		bool is_free = done % 2 == 0, is_long = is_free && done % 20 == 10;
		unsigned at = 20 + below(rng, 3000);
		is_alive = prune_worlds(w);
		if (!is_alive)
			break;
		const struct script *s = random_script(w, 0, rng, is_long ? SCRIPT_OPS : 150);
		const struct script *answered = done % 4 == 3 ? s : NULL;
		(void)random_script(w, 1, rng, is_long ? SCRIPT_OPS : 150);
		if (is_free)
			snprintf(r->context, sizeof(r->context), "%s, cut %u at a random moment", d->fs, done);
		else
			snprintf(r->context, sizeof(r->context), "%s, cut %u %s stop %u", d->fs, done,
				 answered ? "at the first answer behind" : "at", at);
		int64_t cut = is_free ? cut_freely(w, d, rng, is_long) : cut_stopped(w, d, at, RIGHT, answered);
		is_alive = after_cut(w, d, is_free ? WORKERS : 1, cut, RIGHT);
		if (is_alive && done % 25 == 24)
			world_damage(w, DAMAGE_BOOT);
	}
	world_free(&w);
	return done;
}

static const char *why_not(const struct crash_options *o)
{
	if (geteuid())
		return "needs root";
	if (!tracer_works())
		return "ptrace is not allowed here, or not known for this machine";
	if (access("/dev/loop-control", W_OK))
		return "no loop devices here";
	if (!own_mounts(o->dir))
		return "no mount namespace of our own";
	return NULL;
}

static const char *const file_systems[] = { "ext4", "xfs" };

void part_power(const struct crash_options *o, struct report *total)
{
	const char *why = why_not(o);

	for (size_t i = 0; i < ARRAY_LEN(file_systems); i++) {
		struct disk d = { 0 };
		struct report r = { 0 };
		uint64_t rng = o->seed * 2654435761u + 88172645463325252u + i;
		int64_t start = now_ms();
		const char *here = why ? why : disk_make(&d, file_systems[i], o);

		if (here) {
			char part[24];
			snprintf(part, sizeof(part), "power on %s", file_systems[i]);
			skip(part, here);
			continue;
		}
		unsigned n = cut_all(&d, o, &r, o->is_short ? 4 : o->cuts, &rng);
		printf("  power: %-6s %u power losses, %llu violations, %.1f s\n", d.fs, n, (unsigned long long)report_breaches(&r),
		       (double)(now_ms() - start) / 1000);
		fflush(stdout);
		disk_unmount(&d);
		unlink(d.image);
		report_add(total, &r);
	}
}

/* --- calibration -------------------------------------------------------------------------------------------------------------------- */

/* UIDs by the hundred: messages are copied to and fro, and removed, so that nothing but the ceiling remembers them. */
static void burn_uids(struct world *w)
{
	struct script *s = world_plan(w, 0);
	uint32_t ident[OP_MESSAGES], n = world_pick(w, "0/Work", OP_MESSAGES, ident);

	for (unsigned round = 0; round < 30; round++) {
		struct op *op = script_add(s, OP_COPY, "0/Work");
		snprintf(op->to, sizeof(op->to), "0/Bin");
		op->count = n;
		memcpy(op->ident, ident, sizeof(ident));
		op = script_add(s, OP_EXPUNGE, "0/Bin");
		op->count = n;
		memcpy(op->ident, ident, sizeof(ident));
	}
}

static bool is_caught(struct disk *d, enum wrong wrong, uint64_t *rng)
{
	struct report r = { .quiet = true };
	char root[220];
	bool caught = false;

	snprintf(root, sizeof(root), "%s/wrong", d->at);
	struct world *w = world_new(root, &r);
	bool ready = plans_furnish(w);
	if (ready && wrong == NO_SIDECAR) {
		struct script *s = world_plan(w, 0);
		struct op *op = script_add(s, OP_APPEND, "0/Work");
		op->count = 50;
		for (unsigned i = 0; i < op->count; i++)
			op->ident[i] = world_ident(w);
		ready = world_settle(w);
	}
	if (ready) {
		const struct script *answered = NULL;
		if (wrong == NO_SIDECAR) {
			world_each_account(w, save_sidecars);
			burn_uids(w);
		} else {
			answered = random_script(w, 0, rng, 150);
		}
		int64_t cut = cut_stopped(w, d, wrong == NO_SIDECAR ? 0 : 600 + below(rng, 2500), wrong, answered);
		after_cut(w, d, 1, cut, wrong);
		/* Used UIDs show when they come again. */
		struct script *s = world_plan(w, 0);
		for (unsigned i = 0; i < 3; i++) {
			struct op *op = script_add(s, OP_APPEND, i ? "0/Work" : "0/Bin");
			op->count = 1;
			op->ident[0] = world_ident(w);
		}
		if (!report_breaches(&r))
			world_settle(w);
		caught = report_breaches(&r) > 0;
	}
	world_free(&w);
	return caught;
}

void calibrate_power(const struct crash_options *o, unsigned *missed)
{
	const char *why = why_not(o);
	unsigned runs = o->is_short ? 2 : 20;
	unsigned caught[WRONGS][ARRAY_LEN(file_systems)], done[ARRAY_LEN(file_systems)] = { 0 };

	memset(caught, 0, sizeof(caught));
	for (size_t i = 0; !why && i < ARRAY_LEN(file_systems); i++) {
		struct disk d = { 0 };
		uint64_t rng = o->seed * 2654435761u + 1442695040888963407u + i;
		if (disk_make(&d, file_systems[i], o))
			continue;
		done[i] = runs;
		for (unsigned wrong = RIGHT; wrong < WRONGS; wrong++)
			for (unsigned run = 0; run < runs; run++)
				caught[wrong][i] += is_caught(&d, (enum wrong)wrong, &rng);
		disk_unmount(&d);
		unlink(d.image);
	}
	for (unsigned wrong = RIGHT; wrong < WRONGS && (done[0] || done[1]); wrong++) {
		printf("calibration: power, %s: ext4 %u of %u, xfs %u of %u caught\n", wrong_names[wrong], caught[wrong][0], done[0],
		       caught[wrong][1], done[1]);
		*missed += wrong ? !(caught[wrong][0] + caught[wrong][1]) : caught[wrong][0] + caught[wrong][1];
	}
	if (!done[0] && !done[1])
		skip("calibration of power", why ? why : "no image could be made");
}
