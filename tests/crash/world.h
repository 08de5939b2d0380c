/* tests/crash/world.h - one instance under test: its folder, the processes that work in it, and its whole history.
 *
 * The harness's own process never opens a store: each script and each look is a process of its own, forked from it, so that
 * killing one leaves the others' memory alone. */
#ifndef CRASH_WORLD_H
#define CRASH_WORLD_H

#include <sys/types.h>

#include "tests/crash/model.h"
#include "tests/crash/tracer.h"

struct world;

struct crash_options {
	bool is_short;
	uint64_t seed;
	const char *dir;                /* scratch folder on a fast file system */
	const char *only;               /* operations with this in their name; NULL: all */
	unsigned kills, cuts;           /* at least so many kill points; power losses per file system */
};

/** world_new - an empty instance in a new folder root. */
struct world *world_new(const char *root, struct report *report);
/** world_free - and the folder. */
void world_free(struct world **w);

/** world_plan - the script of a worker (0 or 1), emptied. */
struct script *world_plan(struct world *w, unsigned worker);
/** world_before - what was there at the last look. */
const struct snapshot *world_before(const struct world *w);
/** world_ident - the next message that never was. */
uint32_t world_ident(struct world *w);
/** world_pick - up to `most` messages of a mailbox; how many. */
uint32_t world_pick(const struct world *w, const char *box, uint32_t most, uint32_t *idents);
/** world_has - is there such a mailbox? */
bool world_has(const struct world *w, const char *box);
/** world_new_boot - the machine was started again: marks of the boot before count as dirty. */
void world_new_boot(struct world *w);
const char *world_root(const struct world *w);
struct report *world_report(const struct world *w);

/** world_start - fork a worker that does its script. traced: it waits for tracer_run(). asks_modseq: it asks for
 *  HIGHESTMODSEQ after each operation. */
pid_t world_start(struct world *w, unsigned worker, bool traced, bool close_at_end);
/** world_settle - do the script of worker 0 undisturbed and look; everything must be acknowledged. False when not. */
bool world_settle(struct world *w);
/** world_first_look - do the script of worker 0 and take what is there then as given. */
void world_first_look(struct world *w);
/** world_witness - a process that opens the accounts now and looks later, with its open index. */
void world_witness(struct world *w);
/** world_look - look at everything in a fresh process (or the witness), compare it with the journals of `workers` workers,
 *  and take it as what was there from now on. Returns how many breaches. */
uint64_t world_look(struct world *w, unsigned workers, enum ending ending, int64_t cut_ms);

enum damage { DAMAGE_DELETED, DAMAGE_GARBAGE, DAMAGE_BOOT, DAMAGE_COPIED, DAMAGES };
/** world_damage - spoil all indexes; what is there afterwards must be the same. */
void world_damage(struct world *w, enum damage how);

/** world_each_account - call fn with each account's folder that exists. */
void world_each_account(const struct world *w, void (*fn)(const char *folder));
/** run_command - a program and its arguments, up to NULL; false when it failed. Its output goes nowhere. */
bool run_command(const char *program, ...);
/** remove_tree - rm -rf. */
void remove_tree(const char *path);

#endif
