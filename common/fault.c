#include "common/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/banned.h"

#define DETAIL_MAX 256
#define DETAIL_RING 16

static char *next_detail(void)
{
	static _Thread_local char ring[DETAIL_RING][DETAIL_MAX];
	static _Thread_local unsigned turn;

	return ring[turn++ % DETAIL_RING];
}

struct fault fault_detail(enum fault_kind kind, const char *format, ...)
{
	char *text = next_detail();
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, DETAIL_MAX, format, ap);
	va_end(ap);
	return (struct fault){ kind, text };
}

struct fault fault_errno(const char *what, const char *path)
{
	int e = errno;
	enum fault_kind kind = FAULT_INTERNAL;

	if (e == ENOSPC || e == EDQUOT)
		kind = FAULT_NO_SPACE;
	else if (e == EROFS)
		kind = FAULT_READ_ONLY;
	else if (e == ENOENT)
		kind = FAULT_NOT_FOUND;
	else if (e == EEXIST)
		kind = FAULT_EXISTS;
	return fault_detail(kind, "%s: %s: %s", what, path ? path : "-", strerrordesc_np(e));
}

const char *fault_name(enum fault_kind kind)
{
	switch (kind) {
	case FAULT_NONE:        return "none";
	case FAULT_NOT_FOUND:   return "not-found";
	case FAULT_EXISTS:      return "exists";
	case FAULT_DENIED:      return "denied";
	case FAULT_AUTH:        return "auth";
	case FAULT_INVALID:     return "invalid";
	case FAULT_LIMIT:       return "limit";
	case FAULT_QUOTA:       return "quota";
	case FAULT_BUSY:        return "busy";
	case FAULT_IN_USE:      return "in-use";
	case FAULT_NO_SPACE:    return "no-space";
	case FAULT_READ_ONLY:   return "read-only";
	case FAULT_GONE:        return "gone";
	case FAULT_CORRUPT:     return "corrupt";
	case FAULT_UNSUPPORTED: return "unsupported";
	case FAULT_UNAVAILABLE: return "unavailable";
	case FAULT_INTERNAL:    return "internal";
	}
	BUG("fault %d", kind);
}

bool fault_is_unwritable(enum fault_kind kind)
{
	return kind == FAULT_NO_SPACE || kind == FAULT_READ_ONLY;
}

bool fault_is_temporary(enum fault_kind kind)
{
	switch (kind) {
	case FAULT_QUOTA:
	case FAULT_BUSY:
	case FAULT_IN_USE:
	case FAULT_NO_SPACE:
	case FAULT_READ_ONLY:
	case FAULT_CORRUPT:
	case FAULT_UNAVAILABLE:
	case FAULT_INTERNAL:
		return true;
	case FAULT_NONE:
	case FAULT_NOT_FOUND:
	case FAULT_EXISTS:
	case FAULT_DENIED:
	case FAULT_AUTH:
	case FAULT_INVALID:
	case FAULT_LIMIT:
	case FAULT_GONE:
	case FAULT_UNSUPPORTED:
		return false;
	}
	BUG("fault %d", kind);
}

void bug_at(const char *file, int line, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "event=bug at=%s:%d what=\"", file, line);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputs("\"\n", stderr);
	abort();
}
