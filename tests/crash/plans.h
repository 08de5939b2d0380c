/* tests/crash/plans.h - each kind of operation of the store as something a worker can be cut short in, over and over in one
 * account: what must be there first, and the operation itself. */
#ifndef CRASH_PLANS_H
#define CRASH_PLANS_H

#include "tests/crash/world.h"

struct plan {
	const char *name;
	void (*prepare)(struct world *w, struct script *s);     /* what it needs; done undisturbed; may add nothing */
	void (*work)(struct world *w, struct script *s);
	bool after_power_loss;          /* the index is dirty: opening rebuilds it */
};

extern const struct plan plans[];
extern const unsigned plan_count;

/** plans_furnish - the mailboxes and messages that all plans start from; false when that fails. */
bool plans_furnish(struct world *w);
/** plan_prepare - what the plan needs, and not more than a few messages of all that was left before. */
bool plan_prepare(const struct plan *p, struct world *w);

#endif
