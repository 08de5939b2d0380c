/* common/listener_private.h - what listener.c, listener_bind.c and listener_counts.c share. */
#ifndef COMMON_LISTENER_PRIVATE_H
#define COMMON_LISTENER_PRIVATE_H

#include <sys/socket.h>

#include <netinet/in.h>
#include <sys/un.h>

#include <uv.h>

#include "common/listener.h"

/* --- listener.c --- */

struct row {
	struct listener listener;       /* first: what callers hold */
	struct listener_set *set;
	uv_poll_t poll;
	struct deferred knock;          /* behind those who came before */
	bool is_polling;
	char *name, *path;
	bool is_any;                    /* "*": IPv6 and IPv4 */
	bool is_passed;                 /* somebody else bound it: its name is not ours to remove */
};

struct listener_set {
	struct conf *conf;
	struct row *rows;
	size_t count;
	struct listener_counts *counts;
	struct loop *loop;              /* NULL: not accepting */
	struct loop_member member;
	struct timer breath;
	struct tls_server *tls;
	struct stream_limits limits;
	listener_fn *on_stream;
	void *user;
	int spare_fd;                   /* given up to be able to turn somebody away */
	int fd_max;                     /* descriptors from here on are kept for files */
	struct listener_stats stats;
};

/* --- listener_bind.c --- */

union socket_name {
	struct sockaddr sa;
	union netaddr_name ip;
	struct sockaddr_un un;
	struct sockaddr_storage room;
};

/* Of a unix socket, with a NUL that the kernel need not have put there. */
#define PATH_SIZE (sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1)

void listener_close_rows(struct listener_set *set, bool is_owner);
/** listener_row_fault - what is wrong with this row; the kind comes from errno. */
struct fault listener_row_fault(const struct row *row, const char *problem);

/* --- listener_counts.c: how many of whom, counted by all workers of a daemon without a lock --- */

struct listener_counts;

/* What a peer is counted under. */
enum count_table { COUNT_STRANGERS, COUNT_RATE };

/** counts_new - make the memory (a descriptor that workers inherit). */
MUST_CHECK struct fault counts_new(struct listener_counts **out);
/** counts_open - the same memory in a worker, from the inherited descriptor, which is taken over.
 *  The worker's own part begins at zero: what a dead one of the same number had counted is gone.
 *  FAULT_INVALID: it is not ours. */
MUST_CHECK struct fault counts_open(int fd, unsigned worker, struct listener_counts **out);
/** counts_begin - count as worker 0, unless counts_open() has said which: a process that is its own
 *  only worker. */
void counts_begin(struct listener_counts *counts);
void counts_free(struct listener_counts **counts);
int counts_fd(const struct listener_counts *counts);

/** counts_key - never 0; the same in all workers of a daemon, and unknown outside. */
uint64_t counts_key(const struct listener_counts *counts, const struct netaddr *a);
/** counts_get - of all workers. */
uint32_t counts_get(const struct listener_counts *counts, enum count_table table, uint64_t key);
/** counts_add - one more in this worker. False: no room, which only a flood of different addresses
 *  can bring about. */
bool counts_add(struct listener_counts *counts, enum count_table table, uint64_t key);
/** counts_drop - one less in this worker, of COUNT_STRANGERS. */
void counts_drop(struct listener_counts *counts, uint64_t key);
/** counts_total - strangers of all workers; counts_total_add changes this worker's share. */
uint32_t counts_total(const struct listener_counts *counts);
void counts_total_add(struct listener_counts *counts, int n);
/** counts_set_minute - COUNT_RATE counts within this minute only. */
void counts_set_minute(struct listener_counts *counts, uint32_t minute);

#endif
