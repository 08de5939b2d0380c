#include "common/chore.h"

#include "common/banned.h"

static void chore_run(struct work *w)
{
	struct chore *c = CONTAINER_OF(w, struct chore, work);

	c->run(c->arg);
}

static void chore_done(struct work *w, bool is_cancelled)
{
	struct chore *c = CONTAINER_OF(w, struct chore, work);

	(void)is_cancelled;
	c->is_running = false;
}

static void chore_due(struct timer *t)
{
	struct chore *c = CONTAINER_OF(t, struct chore, timer);

	if (!c->is_running && (!c->is_due || c->is_due(c->arg))) {
		c->work = (struct work){ .run = chore_run, .done = chore_done };
		c->is_running = !work_submit(c->loop, WORK_MAIL, &c->work).kind;
	}
	timer_start_ms(t, c->every_ms);
}

void chore_start(struct chore *c, struct loop *loop, uint32_t first_ms)
{
	c->loop = loop;
	timer_init(&c->timer, loop, chore_due);
	timer_start_ms(&c->timer, first_ms);
}

void chore_stop(struct chore *c)
{
	if (c->loop)
		timer_stop(&c->timer);
}
