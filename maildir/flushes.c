#include "maildir/flushes.h"

#include <stdatomic.h>
#include <stdio.h>

#include "common/crew.h"

#include "common/banned.h"

struct flushes {
	struct fault (*one)(void *arg, size_t i);
	void *arg;
	atomic_bool has_failed;
	enum fault_kind kind;           /* of the first fault; its text belongs to the thread that met it */
	char detail[256];
};

static void run_one(void *arg, size_t i)
{
	struct flushes *all = arg;

	if (atomic_load(&all->has_failed))
		return;
	struct fault f = all->one(all->arg, i);

	if (!f.kind || atomic_exchange(&all->has_failed, true))
		return;
	all->kind = f.kind;
	snprintf(all->detail, sizeof(all->detail), "%s", f.detail ? f.detail : "");
}

struct fault flushes_run(size_t count, struct fault (*one)(void *arg, size_t i), void *arg)
{
	struct flushes all = { .one = one, .arg = arg };

	crew_run(count, run_one, &all);
	return all.kind ? fault_detail(all.kind, "%s", all.detail) : FAULT_OK;
}
