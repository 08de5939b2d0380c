/* smtpd/relay/schedule.h - which message goes where, and when: the queue in memory.
 *
 * A message has one part per destination. A part waits until it is due, is then ready behind others
 * of its destination and level, and is active while a connection works on it. Destinations take turns, so ten
 * messages to one never wait for ten thousand to another; how many connections a destination gets
 * grows while it keeps up and halves when it fails; one that cannot be reached is blocked as a
 * whole, for longer each time, and costs one try per wait whatever lies behind it. Destinations whose servers one provider runs share
 * a number of connections that grows and halves likewise.
 *
 * Nothing here does I/O: time comes in, and the caller keeps the truth (the spool files). Loop
 * thread only. */
#ifndef SMTPD_RELAY_SCHEDULE_H
#define SMTPD_RELAY_SCHEDULE_H

#include "common/bytes.h"
#include "smtpd/queue.h"
#include "smtpd/wishes.h"

struct schedule_limits {
	uint64_t retry_min_ms, retry_max_ms;
	unsigned connections, per_destination;
};

struct message;
struct destination;

enum part_state { PART_WAITING = 1, PART_READY, PART_ACTIVE };

struct part {
	struct message *message;
	struct destination *destination;
	struct part *next_of_message;
	struct part *next, **at;        /* among the ready ones */
	uint64_t due_ms;
	size_t place;                   /* in the heap of waiting ones */
	uint32_t failures;
	enum part_state state;
};

struct op;
struct spool;

struct message {
	struct message *next;           /* of the same hash */
	struct part *parts;
	int64_t received_s;             /* by the queue's time (smtpd/relay/clock.h), like not_before_s and by_s */
	uint32_t active;                /* parts */
	char id[QUEUE_ID_LEN + 1];
	int64_t not_before_s;           /* it is to leave later (RFC 4865); 0: no */
	uint64_t not_before_ms;         /* the same as the schedule counts */
	int64_t by_s;                   /* BY (RFC 2852); 0: none */
	unsigned level;                 /* smtpd/wishes.h: who goes first */
	bool is_by_return;
	bool is_bounce;                 /* from the null sender: a shorter life */
	bool is_held;
	bool is_late_told, is_expiring;
	bool is_leaving;                /* its file is gone */
	bool is_broken;                 /* its file could not be worked on */
	/* the relay's (smtpd/relay/relay_private.h) */
	struct op *ops, **ops_end;      /* one after another on its file; the first one runs */
	struct spool *spool;            /* while parts are active */
};

/* Who runs the servers of many destinations (common/provider.h). */
struct provider {
	struct provider *next;
	unsigned active;                /* connections */
	unsigned limit;
	unsigned failures;              /* in a row */
	uint64_t blocked_until_ms;      /* 0: not blocked */
	bool is_expected;               /* one connection is tried after a block */
	char status[12];                /* why it was slowed down */
	char reason[300];
	char name[];
};

struct destination {
	struct destination *next;       /* of the same hash */
	struct provider *provider;      /* as the last look at its MX records said; NULL: nobody known, or not looked at yet */
	struct destination *ring, **ring_at;    /* those with something ready, not blocked */
	struct ready {
		struct part *first, **end;
	} ready[WISHES_LEVELS];         /* by level, in each in their order */
	size_t ready_count, part_count;
	unsigned active;                /* connections */
	unsigned fresh;                 /* of them, those that have not taken a part yet */
	unsigned limit;
	unsigned failures;              /* in a row */
	uint64_t blocked_until_ms;      /* 0: not blocked */
	bool is_paused;
	bool is_expected;               /* one connection is tried after a block */
	char status[12];                /* why it is blocked */
	char reason[300];
	char name[];
};

struct schedule;
struct schedule *schedule_new(const struct schedule_limits *limits);
void schedule_free(struct schedule **s);
void schedule_set_limits(struct schedule *s, const struct schedule_limits *limits);

/** schedule_add - a message; NULL when its id is there already. */
struct message *schedule_add(struct schedule *s, const char *id);
struct message *schedule_find(const struct schedule *s, struct sv id);
/** schedule_drop - with all its parts, of which none is active. */
void schedule_drop(struct schedule *s, struct message *m);
size_t schedule_count(const struct schedule *s);
/** schedule_each - no message may be added or dropped meanwhile. False stops. */
void schedule_each(struct schedule *s, bool (*fn)(void *arg, struct message *m), void *arg);
void schedule_each_destination(struct schedule *s, bool (*fn)(void *arg, struct destination *d),
			       void *arg);

/** schedule_add_part - due_ms: 0 is now. */
struct part *schedule_add_part(struct schedule *s, struct message *m, struct sv destination,
			       uint64_t due_ms, uint32_t failures);
void schedule_drop_part(struct schedule *s, struct part *p);
struct destination *schedule_destination(struct schedule *s, struct sv name);

/** schedule_tick - what is due becomes ready. */
void schedule_tick(struct schedule *s, uint64_t now_ms);
/** schedule_next_ms - when the next tick is of use; UINT64_MAX: never. */
uint64_t schedule_next_ms(const struct schedule *s);
/** schedule_pick - the next destination in turn that may have one more connection; NULL: none. The
 * connection is counted until schedule_hang_up(), and is fresh until the caller counts it down. */
struct destination *schedule_pick(struct schedule *s);
void schedule_hang_up(struct schedule *s, struct destination *d);
/** schedule_take - the next ready part, now active; NULL: none, or not now. */
struct part *schedule_take(struct schedule *s, struct destination *d);

/* What became of an active part; schedule_drop_part() when it is done. */
/** schedule_defer - refused for now: later, and later each time. */
void schedule_defer(struct schedule *s, struct part *p, uint64_t now_ms);
/** schedule_return - nothing was tried: it is ready again after delay_ms. */
void schedule_return(struct schedule *s, struct part *p, uint64_t now_ms, uint64_t delay_ms);

/** schedule_works - a transaction went through. */
void schedule_works(struct schedule *s, struct destination *d);
/** schedule_fails - it cannot be reached, or says that it is busy: all that lies there waits. */
void schedule_fails(struct schedule *s, struct destination *d, uint64_t now_ms, const char *status,
		    const char *reason);
/**
 * schedule_provide - a connection of this destination will go to a provider's server; empty: to nobody's that is known.
 * False: not now, since so many go there already, or since it wants to be left alone: hang up.
 */
MUST_CHECK bool schedule_provide(struct schedule *s, struct destination *d, struct sv provider);
/** schedule_slow - the destination's provider asked for less: half as many connections from now on. stops: none at all for
 * a while, a fifth of a destination's wait, since it is for all of its domains. Nothing when it has no provider. */
void schedule_slow(struct schedule *s, struct destination *d, uint64_t now_ms, const char *status, const char *reason, bool stops);
void schedule_unblock(struct schedule *s, struct destination *d);
void schedule_pause(struct schedule *s, struct destination *d, bool is_paused);
/** schedule_hurry - all parts of a message are due now. */
void schedule_hurry(struct schedule *s, struct message *m);
/** schedule_hold - a held message waits until it is released. */
void schedule_hold(struct schedule *s, struct message *m, bool is_held);

#endif
