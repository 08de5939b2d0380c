/* tests/crash/report.c - see report.h. */
#include "tests/crash/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/banned.h"

#define SHOWN_MAX 60

static const char *const names[BREACHES] = {
	[LOST] = "I1 lost", [PARTIAL] = "I2 partial_visible", [DUP_NO_CRASH] = "I3 dup_no_crash", [REUSED] = "I4 reused",
	[CHANGED] = "I4 changed", [MISSED_CHANGE] = "I5 missed_changes", [MODSEQ_REGRESS] = "I5 modseq_regress",
	[FLAGS_LOST_KILL] = "I6 lost_kill", [FLAGS_LOST_POWER] = "I6 lost_power", [RESURRECTED] = "I7 resurrected",
	[COLLATERAL] = "I7 collateral", [IN_NEITHER] = "I8 none", [REBUILD_UID] = "I9 uid_diff",
	[REBUILD_FLAG] = "I9 flag_diff", [REBUILD_OTHER] = "I9 other_diff", [WRONG_PERMANENT] = "I12 wrong_permanent",
	[WRONG_ACK] = "I12 wrong_ack", [STUCK] = "I12 stuck", [UNREADABLE] = "index", [FULL_DISK] = "I13",
};

void breach(struct report *r, enum breach what, const char *format, ...)
{
	va_list ap;

	r->breaches[what]++;
	if (r->quiet || report_breaches(r) > SHOWN_MAX)
		return;
	printf("VIOLATION %s: %s: ", names[what], r->context);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

uint64_t report_breaches(const struct report *r)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < BREACHES; i++)
		n += r->breaches[i];
	return n;
}

void report_add(struct report *to, const struct report *from)
{
	for (unsigned i = 0; i < BREACHES; i++)
		to->breaches[i] += from->breaches[i];
	to->points += from->points;
	to->kills += from->kills;
	to->cuts += from->cuts;
	to->faults += from->faults;
	to->acked += from->acked;
	to->deliveries += from->deliveries;
	to->dup_crash += from->dup_crash;
	if (to->max_inflight < from->max_inflight)
		to->max_inflight = from->max_inflight;
	to->ops += from->ops;
	to->flags_acked += from->flags_acked;
	to->expunged += from->expunged;
	to->moves += from->moves;
	to->both += from->both;
	to->mailboxes_rebuilt += from->mailboxes_rebuilt;
	if (to->recovered_s < from->recovered_s)
		to->recovered_s = from->recovered_s;
	to->read_ok = to->read_ok || from->read_ok;
	to->expunge_ok = to->expunge_ok || from->expunge_ok;
}

#define N(what) (r->breaches[what])

void report_print(const struct report *r, bool has_full_disk)
{
	printf("I1 kill points=%" PRIu64 " acked=%" PRIu64 " lost=%" PRIu64 " dup=%" PRIu64 " violations=%" PRIu64
	       " (kills=%" PRIu64 " power_cuts=%" PRIu64 " errors=%" PRIu64 ")\n", r->points, r->acked, N(LOST),
	       N(DUP_NO_CRASH) + r->dup_crash, N(LOST) + N(DUP_NO_CRASH), r->kills, r->cuts, r->faults);
	printf("I2 partial_visible=%" PRIu64 "\n", N(PARTIAL));
	printf("I3 deliveries=%" PRIu64 " dup_no_crash=%" PRIu64 " dup_crash=%" PRIu64 " max_inflight=%" PRIu64 "\n",
	       r->deliveries, N(DUP_NO_CRASH), r->dup_crash, r->max_inflight);
	printf("I4 ops=%" PRIu64 " reused=%" PRIu64 " changed=%" PRIu64 "\n", r->ops, N(REUSED), N(CHANGED));
	printf("I5 missed_changes=%" PRIu64 " modseq_regress=%" PRIu64 "\n", N(MISSED_CHANGE), N(MODSEQ_REGRESS));
	printf("I6 acked=%" PRIu64 " lost_kill=%" PRIu64 " lost_power_older_than_5s=%" PRIu64 "\n", r->flags_acked,
	       N(FLAGS_LOST_KILL), N(FLAGS_LOST_POWER));
	printf("I7 expunged=%" PRIu64 " resurrected=%" PRIu64 " collateral=%" PRIu64 "\n", r->expunged, N(RESURRECTED),
	       N(COLLATERAL));
	printf("I8 points=%" PRIu64 " none=%" PRIu64 " both=%" PRIu64 "\n", r->moves, N(IN_NEITHER), r->both);
	printf("I9 mailboxes=%" PRIu64 " uid_diff=%" PRIu64 " flag_diff=%" PRIu64 " other_diff=%" PRIu64 "\n",
	       r->mailboxes_rebuilt, N(REBUILD_UID), N(REBUILD_FLAG), N(REBUILD_OTHER));
	printf("I12 faults=%" PRIu64 " wrong_permanent=%" PRIu64 " wrong_ack=%" PRIu64 " stuck=%" PRIu64 "\n", r->faults,
	       N(WRONG_PERMANENT), N(WRONG_ACK), N(STUCK));
	if (has_full_disk)
		printf("I13 read_ok=%d expunge_ok=%d recovered_s=%.1f\n", r->read_ok, r->expunge_ok, r->recovered_s);
	printf("store index_differences=%" PRIu64 " full_disk=%" PRIu64 "; violations in all: %" PRIu64 "\n", N(UNREADABLE),
	       N(FULL_DISK), report_breaches(r));
}
