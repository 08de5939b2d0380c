/* tests/crash/model.h - what must be there after a worker's script was cut short, and comparing it with what is.
 *
 * Starts from a snapshot, takes the journal into account operation by operation, and then knows for each message in each
 * mailbox how often it must and may be there, under which UID, with which flags. */
#ifndef CRASH_MODEL_H
#define CRASH_MODEL_H

#include "tests/crash/report.h"
#include "tests/crash/script.h"

enum ending {
	ENDED_WELL,             /* the worker came to its end: nothing was cut */
	ENDED_KILLED,
	ENDED_POWER,            /* flags told within the last seconds may be older */
	ENDED_FAULT,            /* system calls failed, once: what was refused did not happen */
	ENDED_FAULTS,           /* ... again and again: even cleaning up may have failed */
	ENDED_REBUILT,          /* nothing was done but a new index made */
};

struct model;
struct uid_history;

struct model *model_new(const struct snapshot *before);
void model_free(struct model **m);
/** model_apply - take a script's journal in. cut_ms: when the power went. */
void model_apply(struct model *m, const struct script *s, enum ending ending, int64_t cut_ms, struct report *r);
/** model_compare - everything in after against what must be there. history: what UIDs ever meant. */
void model_compare(struct model *m, const struct snapshot *after, enum ending ending, struct uid_history *history,
		   struct report *r);

/* Every UID that was ever seen or told, for the life of an instance. */
struct uid_history *uid_history_new(void);
void uid_history_free(struct uid_history **h);

#endif
