/* tests/crash/report.h - counts behind the invariant lines I1-I9, I12 and I13, and what to print of a violation. */
#ifndef CRASH_REPORT_H
#define CRASH_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

/* What a difference from the promise is counted as. */
enum breach {
	LOST,                   /* I1: acknowledged, and not there */
	PARTIAL,                /* I2: there, and not whole; or a file that nothing explains */
	DUP_NO_CRASH,           /* I3: refused or answered once, there more often */
	REUSED, CHANGED,        /* I4: a UID, or UIDVALIDITY */
	MISSED_CHANGE, MODSEQ_REGRESS,          /* I5 */
	FLAGS_LOST_KILL, FLAGS_LOST_POWER,      /* I6 */
	RESURRECTED, COLLATERAL,                /* I7 */
	IN_NEITHER,             /* I8 */
	REBUILD_UID, REBUILD_FLAG, REBUILD_OTHER,       /* I9 */
	WRONG_PERMANENT, WRONG_ACK,             /* I12 */
	STUCK,                  /* I12: the operation behind the fault does not work, a process hangs or dies */
	UNREADABLE,             /* the account does not open, index and files differ, a mailbox has a wrong name */
	FULL_DISK,              /* I13 */
	BREACHES
};

struct report {
	bool quiet;                     /* a calibration: breaches are expected */
	uint64_t breaches[BREACHES];
	uint64_t points;                /* kills, cuts and injected errors */
	uint64_t kills, cuts, faults;
	uint64_t acked, deliveries, dup_crash, max_inflight;
	uint64_t ops, flags_acked, expunged, moves, both, mailboxes_rebuilt;
	double recovered_s;
	bool read_ok, expunge_ok;
	char context[200];              /* what is being done: goes before each breach */
};

/** breach - count one, and say what it is. */
void breach(struct report *r, enum breach what, const char *format, ...) PRINTF_LIKE(3, 4);
uint64_t report_breaches(const struct report *r);
/** report_add - add up what a part counted. */
void report_add(struct report *to, const struct report *from);
/** report_print - the invariant lines. */
void report_print(const struct report *r, bool has_full_disk);

#endif
