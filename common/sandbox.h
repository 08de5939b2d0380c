/* common/sandbox.h - what a process gives up: privileges, the file system outside its folders,
 * system calls. Keeper of libseccomp, libcap and the Landlock system calls. A process calls these
 * once, in this order, while it has one thread: privilege_drop() in the master once listeners are
 * bound, sandbox_enter() in each worker once what lies outside is open. Nothing given up comes
 * back, also not by execve(). Under AddressSanitizer a few more system calls stay allowed, those of
 * its leak check. */
#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H

#include <sys/types.h>

#include "common/bytes.h"
#include "common/fault.h"
#include "common/json.h"

/* ---- privileges ---- */

/**
 * privilege_become - from root to a user, for good, with one right beyond his: ports below 1024. Programs that are executed have
 * it, too, until privilege_drop().
 * Errors: FAULT_DENIED and others: the caller must not go on.
 */
MUST_CHECK struct fault privilege_become(uid_t uid, gid_t gid);
/** privilege_share_ports - have programs that are executed open ports below 1024 if we may (a program file with that capability). */
void privilege_share_ports(void);

/**
 * privilege_drop - stop being root.
 * @user: system user to become; "" is the owner of @root, and when that is root, user 0 without
 * capabilities Does nothing but empty the capability sets when the process is not root. Core dumps
 * end here, too.
 * @how: set to a static or thread-local sentence for `status`: "user postroom (uid 107)"
 * Errors: FAULT_NOT_FOUND (no such user), FAULT_DENIED (something could not be given up: the caller
 * must not go on). */
MUST_CHECK struct fault privilege_drop(const char *user, const char *root, const char **how);
/** core_dumps_off - no core file, and no reading of our memory by other processes of the same user.
 */
void core_dumps_off(void);
/** open_files_raise - RLIMIT_NOFILE up to want, as far as the system allows; returns what is had.
 */
uint64_t open_files_raise(uint64_t want);

/* ---- the sandbox ---- */

enum sandbox_access {
	SANDBOX_READ = 1,       /* files and folders below the path */
	SANDBOX_WRITE = 2,      /* change, make, remove, rename and link everything below it */
	SANDBOX_EXECUTE = 4,
};

struct sandbox_path {
	const char *path;       /* need not exist: then it grants nothing */
	unsigned access;        /* of enum sandbox_access */
};

struct sandbox_rules {
	/* besides what every program needs: libraries, zones, random devices */
	const struct sandbox_path *paths;
	size_t path_count;
	bool may_connect;                       /* open connections to any port (the relay) */
	/* or to these TCP ports only; UDP and unix sockets go with either */
	const uint16_t *connect_ports;
	size_t connect_port_count;
	/* a master: no seccomp, which its workers would inherit */
	bool may_execute;
};

/* One layer as it is now. */
struct sandbox_layer {
	/* "no-new-privileges", "landlock", "seccomp", "capabilities", "core-dumps" */
	const char *name;
	bool active;
	char detail[96];        /* "ABI 6", or what the kernel lacks */
};

#define SANDBOX_LAYERS 5

/**
 * sandbox_enter - give up everything that rules do not name, then try whether it is gone.
 * A kernel without a layer is no error: the others hold and the facts say what is missing.
 * Errors: FAULT_DENIED (a layer the kernel has could not be entered, or did not hold when tried),
 * FAULT_INTERNAL (the process has several threads already: some of them would stay outside). */
MUST_CHECK struct fault sandbox_enter(const struct sandbox_rules *rules);
/** sandbox_facts - how this process is confined, asked from the kernel where it can be asked. */
void sandbox_facts(struct sandbox_layer out[static SANDBOX_LAYERS]);
/** sandbox_facts_json - the same as an array in an open object:
 * [{"layer":"landlock","active":true,"detail":"..."},...] */
void sandbox_facts_json(struct json_out *j, const char *name);

#endif
