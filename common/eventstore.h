/* common/eventstore.h - events kept for `postroom trace` and `postroom stats`: what happened to each message, for so long as
 * the configuration says.
 *
 *   ROOT/events/   LMDB without syncs: events by time, what finds them by queue id, Message-ID and address, and the order in
 *                  which they came in
 *
 * A process that emits events opens a store and starts it on its loop: from then on event_emit() also puts the events that
 * are about messages into a bounded buffer, which a job writes each second. A crash loses that second, a full buffer the
 * newest; mail never waits for it. Of refusals, which cost a stranger nothing, a process keeps EVENTSTORE_REFUSALS and then
 * EVENTSTORE_REFUSALS_PER_MINUTE in the long run; the log has all of them. Readers open it for reading only, from any process. */
#ifndef COMMON_EVENTSTORE_H
#define COMMON_EVENTSTORE_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/loop.h"

#define EVENTSTORE_REFUSALS 300
#define EVENTSTORE_REFUSALS_PER_MINUTE 1

struct eventstore;

/** eventstore_open - @create: a daemon; without, FAULT_NOT_FOUND when there are no events yet. */
MUST_CHECK struct fault eventstore_open(const char *path, bool create, struct eventstore **out);
/** eventstore_close - what was not written yet is written. NULL is fine. */
void eventstore_close(struct eventstore **store);
/** eventstore_start - be where event_emit() puts events. One per process. @keep_ms: older ones go. */
void eventstore_start(struct eventstore *store, struct loop *loop, uint64_t keep_ms);
/** eventstore_flush - write what is buffered, now. Blocks. */
void eventstore_flush(struct eventstore *store);
/** eventstore_expire - remove what is older, at most a few thousand at a time. Blocks. */
MUST_CHECK struct fault eventstore_expire(struct eventstore *store, int64_t older_than_ms);

/* @json: {"at":MS,"event":"relay.sent","queue_id":...}; borrowed for the call. False stops. */
typedef bool eventstore_fn(void *arg, int64_t at_ms, struct sv json);
/** eventstore_find - events that name it: a queue id, a Message-ID (with or without <>) or an address; in the order of time.
 * Blocks. */
MUST_CHECK struct fault eventstore_find(struct eventstore *store, struct sv what, eventstore_fn *fn, void *arg);
/** eventstore_since - all events from a time on. Blocks. */
MUST_CHECK struct fault eventstore_since(struct eventstore *store, int64_t from_ms, eventstore_fn *fn, void *arg);

/* @number: of the event in the order of coming in, which differs from that of time: each process writes once a second, or later.
 * Numbers grow, with gaps, and none comes again, nor a smaller one, also where a power cut has taken the last events back. */
typedef bool eventstore_after_fn(void *arg, uint64_t number, struct sv json);
/** eventstore_after - all events that came in behind number @after. Who goes on behind the last one misses none. Blocks. */
MUST_CHECK struct fault eventstore_after(struct eventstore *store, uint64_t after, eventstore_after_fn *fn, void *arg);
/** eventstore_last - the number of the last one that came in; 0: there is none. Blocks. */
MUST_CHECK struct fault eventstore_last(struct eventstore *store, uint64_t *number);

#endif
