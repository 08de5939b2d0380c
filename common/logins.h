/* common/logins.h - who logged in when, from where and with what: of each account its devices, its logins and the addresses that it
 * is known to use.
 *
 *   ROOT/events/logins/   LMDB: addresses, devices, logins; what is older than logins-keep goes
 *
 * A login waits for nothing here: what it says is put into a bounded buffer, which a job writes every few seconds, for all that came
 * meanwhile at once (a new address within a second); a crash loses these. A device is an app password, or a program that says its name (IMAP ID), or else
 * a protocol as used from one network. Logins of one device from one address in one hour, with one result, are one row.
 * Reading blocks. Any thread. */
#ifndef COMMON_LOGINS_H
#define COMMON_LOGINS_H

#include "common/bytes.h"
#include "common/directory.h"
#include "common/fault.h"
#include "common/loop.h"
#include "common/netaddr.h"

#define LOGINS_KEY_LEN 16
#define LOGINS_CLIENT_MAX 100           /* octets of what a program calls itself */
#define LOGINS_HOLD_MS 3000             /* so long a program may take to say its name after it has logged in */

struct logins;

/** logins_open - @create: a daemon; without, FAULT_NOT_FOUND when nobody has logged in yet. */
MUST_CHECK struct fault logins_open(const char *path, bool create, struct logins **out);
/** logins_close - what was not written yet is written. NULL is fine. */
void logins_close(struct logins **l);

/* What is known of a device. Texts are borrowed. */
struct logins_device {
	struct sv name;                 /* "phone" (an app password), "Thunderbird", "IMAP without a name" */
	struct sv client;               /* all that the program said about itself; may be empty */
	struct sv protocol, mechanism, credential, address, tls;
	struct sv account;              /* its id */
	int64_t first_s, last_s;
	uint64_t count;                 /* logins */
	uint64_t modseq;                /* the newest change that its last session has seen; 0: not known */
	int64_t synced_s;
	uint32_t number;                /* of the credential */
	char key[2 * LOGINS_KEY_LEN + 1];
};
/* An account has a device that it had never used. Called by the writing job, after the commit. */
typedef void logins_new_fn(void *arg, const struct logins_device *device);
/** logins_start - write on this loop's workers. One per process. @on_new: may be NULL; not called for an account's first device. */
void logins_start(struct logins *l, struct loop *loop, uint64_t keep_ms, logins_new_fn *on_new, void *arg);
/** logins_flush - write what is buffered, now; what waits for a program's name, too, when `all`. Blocks. */
void logins_flush(struct logins *l, bool all);
/** logins_expire - remove what was last seen before. Blocks. */
MUST_CHECK struct fault logins_expire(struct logins *l, int64_t older_than_s);

/** logins_is_known - has the name logged in from this address (IPv4, or /64) in the last thirty days? @name: as for
 *  struct throttle_who. Blocks for a look into the map. */
bool logins_is_known(struct logins *l, const uint8_t name[LOGINS_KEY_LEN], const struct netaddr *address);

/* One login. Texts are borrowed. */
struct login {
	struct sv account;              /* its id */
	const uint8_t *name;            /* LOGINS_KEY_LEN octets; NULL: a failure */
	struct netaddr address;
	struct sv sid;                  /* of the connection */
	struct sv protocol;             /* "imap", "pop3", "smtp", "managesieve" */
	struct sv mechanism, credential, tls;
	struct sv program;              /* its name, as far as it said one; a device goes by it */
	struct sv client;               /* all that the program says about itself so far */
	struct sv result;               /* "ok", or why not */
	uint32_t number;                /* of the credential */
	bool is_from_known;             /* the name was known at the address before: a program without a name is no news */
};
/** logins_note - a login that ended, well or not. */
void logins_note(struct logins *l, const struct login *login);
/** logins_program - the name in "Thunderbird 140.5 (Linux)": what stands before its version. */
struct sv logins_program(struct sv client);
/** logins_client - the program of this connection says its name now. */
void logins_client(struct logins *l, struct sv sid, struct sv client);
/** logins_synced - a session that began as `login` says ends, and has seen all changes up to modseq. */
void logins_synced(struct logins *l, const struct login *login, uint64_t modseq);

/* Reading. False stops. */
typedef bool logins_device_fn(void *arg, const struct logins_device *device);
/** logins_devices - of an account, by its id. */
MUST_CHECK struct fault logins_devices(struct logins *l, struct sv account, logins_device_fn *fn, void *arg);
/* @json: {"first":MS,"last":MS,"count":N,"result":"ok","protocol":...} */
typedef bool logins_fn(void *arg, struct sv json);
/** logins_history - of an account, oldest first. */
MUST_CHECK struct fault logins_history(struct logins *l, struct sv account, logins_fn *fn, void *arg);
/** logins_forget_device - FAULT_NOT_FOUND. Its next login counts as the first. */
MUST_CHECK struct fault logins_forget_device(struct logins *l, struct sv account, const char *key);
/** logins_forget_name - the addresses from which a name is known: whoever has its password is a stranger again. */
MUST_CHECK struct fault logins_forget_name(struct logins *l, const uint8_t name[LOGINS_KEY_LEN]);

#endif
