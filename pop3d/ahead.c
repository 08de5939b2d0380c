#include "pop3d/ahead.h"

#include "common/fault.h"

#include "common/banned.h"

/* Dot-stuffing and the lines around a message make it longer: a line of dots alone doubles. */
#define AHEAD_MAX (2 * AHEAD_OCTETS + 65536)

void ahead_init(struct ahead *a)
{
	*a = (struct ahead){ .count = 0 };
	buf_init(&a->octets, AHEAD_MAX);
}

void ahead_done(struct ahead *a)
{
	buf_done(&a->octets);
	a->at = a->count = 0;
}

static size_t end_of_last(const struct ahead *a)
{
	return a->count ? a->ends[a->count - 1] : 0;
}

bool ahead_has_room(const struct ahead *a, uint64_t size)
{
	size_t used = end_of_last(a);

	return a->count < AHEAD_MESSAGES && used < AHEAD_OCTETS && size < AHEAD_OCTETS - used;
}

void ahead_end(struct ahead *a, uint32_t number)
{
	if (a->count == AHEAD_MESSAGES || (a->count && number != a->first + a->count))
		BUG("message %u read ahead behind %u others", number, a->count);
	if (!a->count)
		a->first = number;
	a->ends[a->count++] = (uint32_t)a->octets.len;
}

void ahead_cut(struct ahead *a)
{
	a->octets.len = end_of_last(a);
	if (!a->count)
		ahead_done(a);
}

bool ahead_take(struct ahead *a, uint32_t number, struct sv *answer)
{
	if (a->at == a->count || number != a->first + a->at) {
		ahead_done(a);
		return false;
	}
	size_t from = a->at ? a->ends[a->at - 1] : 0;

	*answer = sv_sub(buf_sv(&a->octets), from, a->ends[a->at] - from);
	a->at++;
	return true;
}
