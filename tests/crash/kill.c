/* tests/crash/kill.c - a worker is killed at each of its system call stops, entries and exits.
 *
 * Every operation has one instance and account for all its kills, so that each finds what the ones before left behind, and UIDs
 * are compared over the whole history. What looks afterwards is a fresh process, or every third time one that had the index
 * open all the while and so inherits the dead one's locks. */
#include <stdio.h>
#include <stdlib.h>
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

static void wipe_intent(const char *folder)
{
	char path[320];

	/* What a store without rule 4 would have written: nothing. */
	snprintf(path, sizeof(path), "%s/index/intent", folder);
	(void)!truncate(path, 0);
}

/* Kill at stop `at`. False when the worker came to its end before, or the account is beyond use. */
static bool kill_once(const struct plan *plan, struct world *w, unsigned at, bool lose_intent)
{
	struct report *r = world_report(w);
	struct killer k = { .at = at };

	snprintf(r->context, sizeof(r->context), "%s, before it is killed at stop %u", plan->name, at);
	if (!plan_prepare(plan, w))
		return false;
	if (at % 3 == 2 && !plan->after_power_loss && !lose_intent)
		world_witness(w);
	plan->work(w, world_plan(w, 0));
	int status = tracer_run(world_start(w, 0, true, false), kill_at, &k);
	snprintf(r->context, sizeof(r->context), "%s, killed at stop %u (%s of %s)", plan->name, at,
		 k.last.is_entry ? "entry" : "exit", tracer_name(k.last.call));
	if (!k.killed && (!WIFEXITED(status) || WEXITSTATUS(status)))
		breach(r, STUCK, "the worker ended with status %x", (unsigned)status);
	if (lose_intent)
		world_each_account(w, wipe_intent);
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
		for (; kill_once(plan, w, at, false); at += step) {
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
		int64_t start = now_ms();
		uint64_t had = report_breaches(r);
		/* The short form takes about twelve of each; the full one everything. */
		unsigned n = kill_all(&plans[i], o, r, o->is_short ? 23 : 1);
		printf("  kill: %-28s %5u points, %llu violations, %.1f s\n", plans[i].name, n,
		       (unsigned long long)(report_breaches(r) - had), (double)(now_ms() - start) / 1000);
		fflush(stdout);
	}
}

/* Without the intent a writer killed between rename and commit leaves a file that the next one knows nothing of. */
void calibrate_kill(const struct crash_options *o, unsigned *missed)
{
	static const unsigned tried[] = { 2, 7, 8 };    /* APPEND 1, MOVE, EXPUNGE */
	unsigned runs = 0, caught = 0;

	if (!tracer_works())
		return;
	for (size_t i = 0; i < ARRAY_LEN(tried); i++) {
		const struct plan *plan = &plans[tried[i]];
		unsigned last = 0;
		bool more = true;

		for (unsigned at = 1; more; at += o->is_short ? 3 : 1) {
			struct report r = { .quiet = true };
			char root[200];

			snprintf(root, sizeof(root), "%s/calibrate", o->dir);
			struct world *w = world_new(root, &r);
			if (plans_furnish(w)) {
				memset(r.breaches, 0, sizeof(r.breaches));
				more = kill_once(plan, w, at, true);
				/* The file is found by the next scan at the latest, under another UID. */
				world_look(w, 0, ENDED_WELL, 0);
			} else {
				more = false;
			}
			world_free(&w);
			runs += more;
			caught += more && report_breaches(&r);
			last = at;
		}
		(void)last;
	}
	printf("calibration: kill, intent never written: %u of %u kill points caught\n", caught, runs);
	*missed += !caught;
}
