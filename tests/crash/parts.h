/* tests/crash/parts.h - the parts of the harness. Each counts into a report, prints what it did, and says why when it is
 * skipped; each has a calibration, in which wrong workers must be caught. */
#ifndef CRASH_PARTS_H
#define CRASH_PARTS_H

#include "tests/crash/world.h"

/** part_kill - SIGKILL at every stop of every operation. */
void part_kill(const struct crash_options *o, struct report *r);
/** part_errors - each system call that can fail, failing. */
void part_errors(const struct crash_options *o, struct report *r);
/** part_power - the power goes, on ext4 and on xfs. */
void part_power(const struct crash_options *o, struct report *r);
/** part_full - the disk is full. *ran: it was not skipped. */
void part_full(const struct crash_options *o, struct report *r, bool *ran);

/* Calibrations: *missed counts the kinds of wrong workers that no run caught. */
void calibrate_kill(const struct crash_options *o, unsigned *missed);
void calibrate_errors(const struct crash_options *o, unsigned *missed);
void calibrate_power(const struct crash_options *o, unsigned *missed);

/**
 * own_mounts - a mount namespace of our own; false when it is not allowed.
 * In a chroot whose root is no mount, the nearest mount above dir is made private. Without one too, others see our mounts
 * until we undo them, which we do.
 */
bool own_mounts(const char *dir);

/** skip - why a part is not run. */
void skip(const char *part, const char *why);

#endif
