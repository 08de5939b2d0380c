/* common/fault.h - how a function says what went wrong: made once, worded per protocol.
 * A fault is a plain value. `detail` is for the log only and never reaches a peer; it is a string literal or
 * a text made by fault_detail(), which lives until the same thread makes the next 16. */
#ifndef COMMON_FAULT_H
#define COMMON_FAULT_H

#include "common/bytes.h"

enum fault_kind {
	FAULT_NONE = 0,
	FAULT_NOT_FOUND,        /* no such thing, or not yours to know of */
	FAULT_EXISTS,           /* a thing of that name is there already */
	FAULT_DENIED,           /* it is there, and you may not */
	FAULT_AUTH,             /* who you are was not proven */
	FAULT_INVALID,          /* the request itself is wrong: name, syntax, value */
	FAULT_LIMIT,            /* more than a limit allows; asking again changes nothing */
	FAULT_QUOTA,            /* the account's storage is used up */
	FAULT_BUSY,             /* somebody else holds it; try again soon */
	FAULT_IN_USE,           /* held exclusively by another session (RFC 2449 [IN-USE]) */
	FAULT_NO_SPACE,         /* the disk is full */
	FAULT_READ_ONLY,        /* its file system can only be read, since the kernel found an error, say */
	FAULT_GONE,             /* was there when the request began, is not any more */
	FAULT_CORRUPT,          /* bytes on disk contradict themselves */
	FAULT_UNSUPPORTED,      /* known, and not done here */
	FAULT_UNAVAILABLE,      /* a part of the system does not answer: temporary */
	FAULT_INTERNAL,         /* disk error, bug, no descriptor: temporary for the peer */
};

struct fault {
	enum fault_kind kind;
	const char *detail;
};

#define FAULT_OK ((struct fault){ FAULT_NONE, NULL })

/** fault - shorthand for a fault with a literal detail. */
static inline struct fault fault(enum fault_kind kind, const char *detail)
{
	return (struct fault){ kind, detail };
}
/** fault_detail - a fault whose detail is formatted into a ring of 16 thread-local texts (256 octets each). */
struct fault fault_detail(enum fault_kind kind, const char *format, ...) PRINTF_LIKE(2, 3);
/** fault_errno - a fault from errno: ENOSPC and EDQUOT are FAULT_NO_SPACE, EROFS is FAULT_READ_ONLY, ENOENT is FAULT_NOT_FOUND, EEXIST
 *  is FAULT_EXISTS, EMFILE and the rest are FAULT_INTERNAL. detail is "what: path: error text". */
struct fault fault_errno(const char *what, const char *path);
/** fault_name - "not-found", "busy", ...: one word for logs. */
const char *fault_name(enum fault_kind kind);
/** fault_is_unwritable - the disk is full, or can only be read: what is there can still be served. */
bool fault_is_unwritable(enum fault_kind kind);
/** fault_is_temporary - may the same request succeed later without anybody changing it? */
bool fault_is_temporary(enum fault_kind kind);

/** BUG - a broken invariant: log and abort. */
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
void bug_at(const char *file, int line, const char *format, ...)
	__attribute__((noreturn)) PRINTF_LIKE(3, 4);

#endif
