#include "smtpd/relay/queue_page.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

struct taking {
	struct queue_page *page;        /* room for twice as many */
	const char *after, *until;
	size_t size;
	const char *before;             /* the highest id of a full page: all others are lower; NULL: not full yet */
};

static int by_id(const void *x, const void *y)
{
	return strcmp((*(const struct message *const *)x)->id, (*(const struct message *const *)y)->id);
}

static void cut(struct taking *t)
{
	struct queue_page *p = t->page;

	if (p->count)
		qsort(p->found, p->count, sizeof(*p->found), by_id);
	if (p->count <= t->size)
		return;
	p->count = t->size;
	t->before = p->found[p->count - 1]->id;
	p->has_more = true;
}

static bool collect(void *arg, struct message *m)
{
	struct taking *t = arg;
	struct queue_page *p = t->page;

	if (m->is_leaving || (t->after && strcmp(m->id, t->after) <= 0) || (t->until && strcmp(m->id, t->until) > 0))
		return true;
	if (!p->last || strcmp(m->id, p->last) > 0)
		p->last = m->id;
	if (t->before && strcmp(m->id, t->before) > 0)
		return true;
	p->found[p->count++] = m;
	if (p->count == 2 * t->size)
		cut(t);
	return true;
}

void queue_page_take(struct schedule *s, const char *after, const char *until, size_t size, struct queue_page *out)
{
	struct taking t = { .page = out, .after = after, .until = until, .size = size };

	*out = (struct queue_page){ .found = xcalloc(2 * size, sizeof(*out->found)) };
	schedule_each(s, collect, &t);
	cut(&t);
}

void queue_page_done(struct queue_page *p)
{
	free(p->found);
	p->found = NULL;
}
