/* tests/crash/kill.c - a worker is killed at each of its system call stops, entries and exits.
 *
 * Every operation has one instance and account for all its kills, so that each finds what the ones before left behind, and UIDs
 * are compared over the whole history. What looks afterwards is a fresh process, or every third time one that had the index
 * open all the while and so inherits the dead one's locks. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/parts.h"
#include "tests/crash/plans.h"

#include "common/banned.h"

struct killer {
	unsigned at;                    /* this stop; 0: none */
	struct trace_stop last;
	bool killed;
};

static enum trace_do kill_at(void *arg, const struct trace_stop *stop, long *result)
{
	struct killer *k = arg;

	(void)result;
	k->last = *stop;
	k->killed = stop->number == k->at;
	return k->killed ? TRACE_KILL : TRACE_GO;
}

/* Kill at stop `at`. False when the worker came to its end before, or the account is beyond use. */
static bool kill_once(const struct plan *plan, struct world *w, unsigned at)
{
	struct report *r = world_report(w);
	struct killer k = { .at = at };

	snprintf(r->context, sizeof(r->context), "%s, before it is killed at stop %u", plan->name, at);
	if (!plan_prepare(plan, w))
		return false;
	if (at % 3 == 2 && !plan->after_power_loss)
		world_witness(w);
	plan->work(w, world_plan(w, 0));
	int status = tracer_run(world_start(w, 0, true, false), kill_at, &k);
	snprintf(r->context, sizeof(r->context), "%s, killed at stop %u (%s of %s)", plan->name, at,
		 k.last.is_entry ? "entry" : "exit", tracer_name(k.last.call));
	if (!k.killed && (!WIFEXITED(status) || WEXITSTATUS(status)))
		breach(r, STUCK, "the worker ended with status %x", (unsigned)status);
	r->points += k.killed;
	r->kills += k.killed;
	world_look(w, 1, k.killed ? ENDED_KILLED : ENDED_WELL, 0);
	return k.killed && world_before(w)->is_complete;
}

static unsigned kill_all(const struct plan *plan, const struct crash_options *o, struct report *r, unsigned step)
{
	char root[200];
	unsigned at = 1 + (step > 1 ? (unsigned)(o->seed % step) : 0), done = 0;

	snprintf(root, sizeof(root), "%s/kill", o->dir);
	snprintf(r->context, sizeof(r->context), "%s, before anything", plan->name);
	struct world *w = world_new(root, r);
	if (plans_furnish(w)) {
		for (; kill_once(plan, w, at); at += step) {
			done++;
			if (done % 8 == 0)
				world_damage(w, (enum damage)(done / 8 % DAMAGES));
		}
		world_damage(w, DAMAGE_DELETED);
	}
	world_free(&w);
	return done;
}

void part_kill(const struct crash_options *o, struct report *r)
{
	if (!tracer_works()) {
		skip("kill", "ptrace is not allowed here, or not known for this machine");
		return;
	}
	for (unsigned i = 0; i < plan_count; i++) {
		if (o->only && !strstr(plans[i].name, o->only))
			continue;
		int64_t start = now_ms();
		uint64_t had = report_breaches(r);
		/* The short form takes a few of each; the full one everything. */
		unsigned n = kill_all(&plans[i], o, r, o->is_short ? 61 : 1);
		printf("  kill: %-28s %5u points, %llu violations, %.1f s\n", plans[i].name, n,
		       (unsigned long long)(report_breaches(r) - had), (double)(now_ms() - start) / 1000);
		fflush(stdout);
	}
}

/* --- calibration --------------------------------------------------------------------------------------------------------- */

/* Kills at a stop behind the first name that a message gets. */
struct late_killer {
	unsigned after, seen;
	bool killed;
};

static enum trace_do kill_behind_name(void *arg, const struct trace_stop *stop, long *result)
{
	struct late_killer *k = arg;
	char to[300];

	(void)result;
	if (!k->seen && stop->is_entry && tracer_class(stop->call) == CALL_NAME && stop->call != SYS_symlinkat) {
		tracer_string(stop->pid, stop->args[3], to, sizeof(to));
		k->seen = strstr(to, "cur/") != NULL;
	}
	if (!k->seen || k->seen++ <= k->after)
		return TRACE_GO;
	k->killed = true;
	return TRACE_KILL;
}

static void wipe_intent(const char *folder)
{
	char path[320];

	/* What a store without rule 4 would have written: nothing. */
	snprintf(path, sizeof(path), "%s/index/intent", folder);
	(void)!truncate(path, 0);
}

/* A writer dies behind the name and before the row; another one takes a UID and is answered; the index is lost. Two
 * files say the same UID then, unless the dead one's intent was found. */
static bool is_caught(const struct crash_options *o, const struct plan *plan, unsigned after, bool lose_intent, bool *killed)
{
	struct report r = { .quiet = true };
	struct late_killer k = { .after = after };
	char root[200];
	bool caught = false;

	snprintf(root, sizeof(root), "%s/calibrate", o->dir);
	struct world *w = world_new(root, &r);
	if (plans_furnish(w) && plan_prepare(plan, w)) {
		plan->work(w, world_plan(w, 0));
		tracer_run(world_start(w, 0, true, false), kill_behind_name, &k);
		if (lose_intent)
			world_each_account(w, wipe_intent);
		struct op *op = script_add(world_plan(w, 1), OP_DELIVER, "0/INBOX");
		op->count = 1;
		op->ident[0] = world_ident(w);
		waitpid(world_start(w, 1, false, false), NULL, 0);
		world_new_boot(w);
		caught = world_look(w, 2, ENDED_KILLED, 0) > 0;
	}
	*killed = k.killed;
	world_free(&w);
	return caught;
}

void calibrate_kill(const struct crash_options *o, unsigned *missed)
{
	static const unsigned tried[] = { 0, 2 };       /* deliver to 1, APPEND 1: both into INBOX */
	unsigned runs[2] = { 0, 0 }, caught[2] = { 0, 0 };

	if (!tracer_works())
		return;
	for (unsigned wrong = 0; wrong < 2; wrong++)
		for (size_t i = 0; i < ARRAY_LEN(tried); i++)
			for (unsigned after = 1; after <= (o->is_short ? 5u : 12u); after += o->is_short ? 2 : 1) {
				bool killed;
				bool found = is_caught(o, &plans[tried[i]], after, wrong, &killed);
				runs[wrong] += killed;
				caught[wrong] += killed && found;
			}
	printf("calibration: kill between name and row, right: %u of %u caught\n", caught[0], runs[0]);
	printf("calibration: kill between name and row, intent never written: %u of %u caught\n", caught[1], runs[1]);
	*missed += caught[0] || !caught[1];
}
