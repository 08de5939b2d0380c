/* common/roster.h - who is logged in, in all workers of all daemons of an instance: how many sessions an account and an address have,
 * and which of them must make place.
 *
 *   ROOT/run/roster   a file that each process maps (common/shared.h)
 *
 * At its limit an account loses the session that was silent for longest, whichever process has it: a phone that has changed its network
 * leaves connections behind that nobody will ever use, and whoever logs in now sits in front of a screen. An address at its limit is
 * refused, since there nobody can say whose session is worth less.
 *
 * A session writes down when it was heard by itself (stream_note_heard()), leaves without a lock, and is told to go by a number that its
 * process looks at twice a second. What a process leaves behind when it is killed is found by the lock that it had on one octet of the
 * file, and forgotten. A login waits for at most ROSTER_WAIT_MS; without the memory, or when it is full, nobody is limited.
 * Loop thread only. */
#ifndef COMMON_ROSTER_H
#define COMMON_ROSTER_H

#include "common/conf.h"
#include "common/fault.h"
#include "common/identity.h"
#include "common/instance.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/netaddr.h"

#define ROSTER_WAIT_MS 20

struct roster;
struct stream;

/** roster_open - @path: NULL: of this process alone. */
MUST_CHECK struct fault roster_open(const char *path, struct loop *loop, struct roster **out);
/** roster_open_instance - for a worker, before its sandbox closes. Never NULL: what cannot be shared is logged, and counted by each process for
 *  itself. */
struct roster *roster_open_instance(const struct instance *instance, struct loop *loop);
/** roster_close - those who are still in it are not told. NULL is fine. */
void roster_close(struct roster **r);

/* A session's place; zero-initialised it is outside. Embedded in the session. */
struct roster_guest {
	struct roster *roster;          /* NULL: outside, or not counted */
	struct roster_guest *next, **at;
	struct stream *stream;
	/* Make place: say why, and end. Called from a timer, or while another session of this process enters. */
	void (*evict)(void *arg);
	void *arg;
	uint32_t slot;
};

/* What may be. A number is at least 1. */
struct roster_limits {
	uint64_t per_account, per_account_address;      /* beyond them the longest silent one goes */
	uint64_t per_address;                           /* IPv4 or /64, whatever account: beyond it nobody comes in; 0: as many as come */
};

/** roster_put - a session of an account (its id) from this address begins. @guest: evict and arg are set. False: the address is at its limit. */
bool roster_put(struct roster *r, struct roster_guest *guest, struct sv account, const struct netaddr *address,
		const struct roster_limits *limits);
/** roster_enter - the same for somebody who has just logged in, by what the configuration allows; a refusal is logged. */
bool roster_enter(struct roster *r, struct roster_guest *guest, const struct auth_identity *identity, struct stream *stream,
		  const struct conf *conf, const struct log_ctx *log);
/** roster_leave - before the stream is closed. Fine when outside. */
void roster_leave(struct roster_guest *guest);
/** roster_count - sessions of an account, of all processes that live. */
size_t roster_count(struct roster *r, struct sv account);

/* What every daemon says to a session that makes place, and to a login from an address at its limit. */
#define ROSTER_EVICTED_TEXT "Too many sessions of this user; this one was silent for longest"
#define ROSTER_REFUSED_TEXT "Too many sessions from your address, try again later"

#endif
