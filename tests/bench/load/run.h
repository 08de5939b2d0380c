/* tests/bench/load/run.h - a measured run: some threads take tickets from one counter until it is empty or the
 * time is over; how long each operation took; whose processor time it was. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include <pthread.h>

#include "tests/bench/load/client.h"
#include "common/json.h"

#define RUN_THREADS_MAX 256
#define RUN_SECONDS_MAX 600

struct user {
	char *address, *password;
};

/* What the command line said. */
struct options {
	const char *host;
	uint16_t port;                  /* of the protocol under test */
	uint16_t smtp_port;             /* where idle sessions' mail comes in */
	enum wire wire;
	uint32_t connections;
	uint64_t count;                 /* operations, at most */
	uint32_t seconds;               /* a run takes no new operation later */
	uint32_t size;                  /* octets of a message */
	uint32_t recipients;            /* of each message */
	uint32_t per_connection;        /* messages */
	uint32_t batch;                 /* messages in an APPEND */
	bool lmtp, auth;
	bool is_mixed;                  /* messages of 2, 10 and 75 KB by turns, whatever size says */
	bool is_synchronising;          /* literals wait for their "+" */
	bool is_limit;                  /* measures the machine itself: to be the bottleneck is its work */
	struct user *users;
	size_t user_count;
	const char *dir, *cert, *key, *name;
	char **commands;                /* of `commands`: NAME|REPEAT|COMMAND */
	size_t command_count;
};

struct samples {
	uint32_t *us;
	size_t count, cap;
};
void samples_add(struct samples *s, uint64_t us);

struct run;
struct worker {
	struct run *run;
	const struct options *opt;
	uint32_t number;                /* 0.. */
	struct samples whole;           /* each operation */
	struct samples part, rest;      /* what the scenario says (part: the answer to DATA) */
	uint64_t done, errors, units;   /* units: what an operation is made of (messages retrieved) */
	uint64_t octets;
	char error[160];                /* the first one */
	pthread_t thread;
};

/** now_us - microseconds of the monotonic clock. */
uint64_t now_us(void);
/** worker_next - take a ticket: its number, from 0. False when there is none or the time is over. */
bool worker_next(struct worker *w, uint64_t *ticket);
/** worker_done - an operation that began at started_us ended well. */
void worker_done(struct worker *w, uint64_t started_us);
/** worker_failed - it did not; the client's error is told once. */
void worker_failed(struct worker *w, const struct client *c);

/**
 * run_threads - call body once in each of `threads` threads, with the clock starting when all are there; then
 * write one JSON line: scenario, ops, per_second, percentiles, errors, shares of the processor, invalid (why).
 * @unit: what `units` counts, or NULL
 * Returns 0, or 1 when the row is not to be believed.
 */
int run_threads(const struct options *opt, uint32_t threads, void (*body)(struct worker *w), const char *unit);

/* The same for a body that is measured by hand, on the calling thread. */
struct meter {
	uint64_t wall_us, own_us, machine_us;
};
void meter_start(struct meter *m);
/** meter_row - members wall_ms, own_cpu_ms, machine_cpu_ms since meter_start; *bottleneck when we were it. */
void meter_row(struct json_out *j, const struct meter *m, uint32_t threads, bool *bottleneck);
/** samples_row - members NAME_p50_us, _p95_us, _p99_us, _max_us. Sorts. */
void samples_row(struct json_out *j, const char *name, struct samples *s);
/** row_begin, row_end - an object on a line of its own, and whether it is to be believed (why: NULL if so). */
void row_begin(struct json_out *j, struct buf *b, const char *scenario);
int row_end(struct json_out *j, const char *why);

#endif
