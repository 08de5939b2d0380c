/* tests/crash/errors.c - each system call of an operation that can fail, failing: once, or from there on.
 *
 * The call is not made and gives the error instead. The operation must then be refused as temporary, or be done; what was
 * acknowledged before or is acknowledged now must be there; a delivery that follows in the same process must succeed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/crash/parts.h"
#include "tests/crash/plans.h"

#include "common/banned.h"

struct saboteur {
	const struct script *script;
	unsigned at;                    /* the at-th call that can fail; 0: only count */
	int error;
	bool sticks;                    /* all from there on, until the operation was answered */
	bool lies;                      /* success without doing it: a wrong worker */
	enum call_class only;           /* CALL_OTHER: any */
	unsigned count;
	long call;                      /* which one it hit */
	bool hit;
};

static bool can_fail(const struct trace_stop *stop, enum call_class class)
{
	/* The log's lines are no promise. */
	return class != CALL_OTHER && !((stop->call == SYS_write || stop->call == SYS_writev) && stop->args[0] == 2);
}

static enum trace_do sabotage(void *arg, const struct trace_stop *stop, long *result)
{
	struct saboteur *s = arg;
	enum call_class class = tracer_class(stop->call);

	if (!stop->is_entry || s->script->ops[0].state != STATE_BEGUN || !can_fail(stop, class) ||
	    (s->only && s->only != class))
		return TRACE_GO;
	s->count++;
	if (!s->at || s->count < s->at || (s->count > s->at && !s->sticks))
		return TRACE_GO;
	/* An open is answered "no descriptor" or "no permission to grow", never "done". */
	if (s->lies && class == CALL_OPEN)
		return TRACE_GO;
	if (!s->hit)
		s->call = stop->call;
	s->hit = true;
	*result = !s->lies ? -s->error : class == CALL_WRITE ? (long)stop->args[2] : 0;
	return TRACE_FAKE;
}

static const struct { int error; const char *name; } errors[] = {
	{ EIO, "EIO" }, { ENOSPC, "ENOSPC" }, { EDQUOT, "EDQUOT" }, { EMFILE, "EMFILE" },
};

static bool makes_sense(enum call_class class, int error)
{
	switch (class) {
	case CALL_OPEN:         return error != EDQUOT;
	case CALL_REMOVE:       return error == EIO;
	case CALL_OTHER:        return false;
	case CALL_WRITE:
	case CALL_FLUSH:
	case CALL_NAME:
	case CALL_MKDIR:
	case CALL_SPACE:
		return error != EMFILE;
	}
	return false;
}

/* Run the plan's operation with a saboteur, and a delivery behind it. */
static bool run_one(const struct plan *plan, struct world *w, struct saboteur *s)
{
	struct report *r = world_report(w);
	struct script *script;

	if (!plan_prepare(plan, w))
		return false;
	script = world_plan(w, 0);
	plan->work(w, script);
	script->ops[0].state = STATE_PLANNED;
	struct op *later = script_add(script, OP_DELIVER, "0/INBOX");
	later->count = 1;
	later->ident[0] = world_ident(w);
	s->script = script;
	s->count = 0;
	int status = tracer_run(world_start(w, 0, true, false), sabotage, s);

	if (!s->hit)
		return true;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		breach(r, STUCK, "the worker ended with status %x", (unsigned)status);
	for (unsigned i = 0; i < script->count; i++) {
		const struct op *op = &script->ops[i];
		if (op->state != STATE_DONE || !op->fault)
			continue;
		if (i)
			breach(r, STUCK, "%s behind the fault is refused: %s %s", op_names[op->kind], fault_name(op->fault),
			       op->detail);
		else if (!fault_is_temporary(op->fault))
			breach(r, WRONG_PERMANENT, "refused as %s: %s", fault_name(op->fault), op->detail);
	}
	return true;
}

static unsigned count_calls(const struct plan *plan, struct world *w)
{
	struct saboteur s = { 0 };

	if (!run_one(plan, w, &s) || world_look(w, 1, ENDED_WELL, 0))
		return 0;
	return s.count;
}

/* What was acknowledged and is not there was acknowledged wrongly. */
static void look_after(struct world *w, enum ending ending)
{
	struct report *r = world_report(w);
	uint64_t had = r->breaches[LOST] + r->breaches[RESURRECTED] + r->breaches[IN_NEITHER];

	world_look(w, 1, ending, 0);
	r->breaches[WRONG_ACK] += r->breaches[LOST] + r->breaches[RESURRECTED] + r->breaches[IN_NEITHER] - had;
}

static unsigned sabotage_all(const struct plan *plan, const struct crash_options *o, struct report *r)
{
	char root[200];
	unsigned done = 0, turn = (unsigned)o->seed;

	snprintf(root, sizeof(root), "%s/errors", o->dir);
	snprintf(r->context, sizeof(r->context), "%s, before any error", plan->name);
	struct world *w = world_new(root, r);
	unsigned calls = plans_furnish(w) ? count_calls(plan, w) : 0;
	bool is_alive = calls > 0;

	/* A few more than were counted: an operation that is refused once may go another way the next time. */
	for (unsigned at = 1; is_alive && at <= calls + 4; at++)
		for (unsigned k = 0; is_alive && k < ARRAY_LEN(errors) * 2; k++) {
			struct saboteur s = { .at = at, .error = errors[k / 2].error, .sticks = k % 2 };
			/* The short form takes one combination in many, others at each run. */
			if (o->is_short && turn++ % 67)
				continue;
			snprintf(r->context, sizeof(r->context), "%s, %s from call %u%s", plan->name, errors[k / 2].name, at,
				 s.sticks ? " on" : "");
			is_alive = run_one(plan, w, &s);
			if (!is_alive)
				break;
			snprintf(r->context, sizeof(r->context), "%s, %s at %scall %u (%s)", plan->name, errors[k / 2].name,
				 s.sticks ? "and after " : "", at, s.hit ? tracer_name(s.call) : "none");
			/* The class is only known once it was hit: what makes no sense is not counted. */
			if (s.hit && makes_sense(tracer_class(s.call), s.error)) {
				r->points++;
				r->faults++;
				done++;
			}
			look_after(w, !s.hit ? ENDED_WELL : s.sticks ? ENDED_FAULTS : ENDED_FAULT);
			is_alive = world_before(w)->is_complete;
			if (done % 16 == 15)
				world_damage(w, (enum damage)(done / 16 % DAMAGES));
		}
	world_free(&w);
	return done;
}

void part_errors(const struct crash_options *o, struct report *total)
{
	if (!tracer_works()) {
		skip("errors", "ptrace is not allowed here, or not known for this machine");
		return;
	}
	for (unsigned i = 0; i < plan_count; i++) {
		if (o->only && !strstr(plans[i].name, o->only))
			continue;
		struct report r = { 0 };
		int64_t start = now_ms();
		unsigned n = sabotage_all(&plans[i], o, &r);
		printf("  errors: %-28s %5u errors, %llu violations, %.1f s\n", plans[i].name, n,
		       (unsigned long long)report_breaches(&r), (double)(now_ms() - start) / 1000);
		report_add(total, &r);
	}
}

/* Workers that do not look at what rename, link and unlink answer: these calls are not made and say that they were. */
void calibrate_errors(const struct crash_options *o, unsigned *missed)
{
	static const unsigned tried[] = { 0, 2, 7, 8 };         /* deliver, APPEND, MOVE, EXPUNGE */
	unsigned runs = 0, caught = 0;

	if (!tracer_works())
		return;
	for (size_t i = 0; i < ARRAY_LEN(tried); i++) {
		const struct plan *plan = &plans[tried[i]];
		bool is_removal = tried[i] == 8;

		for (unsigned at = 1; at <= (o->is_short ? 2u : 6u); at++) {
			struct report r = { .quiet = true };
			struct saboteur s = { .at = at, .lies = true, .only = is_removal ? CALL_REMOVE : CALL_NAME };
			char root[200];

			snprintf(root, sizeof(root), "%s/calibrate", o->dir);
			struct world *w = world_new(root, &r);
			if (plans_furnish(w) && run_one(plan, w, &s) && s.hit) {
				runs++;
				look_after(w, ENDED_WELL);
				caught += report_breaches(&r) > 0;
			}
			world_free(&w);
		}
	}
	printf("calibration: errors, renames, links and unlinks that never happened: %u of %u caught\n", caught, runs);
	*missed += !caught;
}
