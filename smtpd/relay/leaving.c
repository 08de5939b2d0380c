/* Messages that leave. Their files are gone, but until the folder is flushed a power cut may bring them back, to be sent a second time; so
 * they have left only then. All that come while one flush runs share the next one: a busy relay flushes as often as the disk can, not once
 * for each message, and no thread waits for it but one. */
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "smtpd/relay/relay_private.h"

#include "common/banned.h"

#define AGAIN_MS 50             /* the row of jobs was full */

struct leaving {
	struct work work;
	struct relay *relay;
	struct op *ops;
	struct fault fault;
};

static void start(struct relay *r);

static void leaving_run(struct work *w)
{
	struct leaving *l = CONTAINER_OF(w, struct leaving, work);

	l->fault = queue_flush(l->relay->queue);
	if (l->fault.kind)
		log_error(NULL, "relay.flush", KV_FAULT("fault", l->fault));
	for (struct op *op = l->ops; op && !l->fault.kind; op = op->next_leaving) {
		spool_close(&op->message->spool);       /* here, since it gives a large file's blocks back */
		relay_note_gone(op);
	}
}

static void end_all(struct op *ops, bool is_lost, bool is_cancelled)
{
	for (struct op *op = ops, *next; op; op = next) {
		next = op->next_leaving;
		op->is_leaving = false;
		if (is_lost) {
			op->is_gone = false;
			op->fault = fault(FAULT_INTERNAL, "the queue's folder could not be flushed");
		}
		relay_op_end(op, is_cancelled);
	}
}

static void leaving_done(struct work *w, bool is_cancelled)
{
	struct leaving *l = CONTAINER_OF(w, struct leaving, work);
	struct relay *r = l->relay;

	r->is_flushing = false;
	end_all(l->ops, is_cancelled || l->fault.kind, is_cancelled);
	free(l);
	start(r);
}

static void start(struct relay *r)
{
	struct leaving *l;

	if (r->is_flushing || !r->leaving)
		return;
	if (r->is_ended) {
		relay_leave_no_more(r);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->relay = r;
	l->ops = r->leaving;
	l->work = (struct work){ .run = leaving_run, .done = leaving_done };
	if (work_submit(r->loop, WORK_MAIL, &l->work).kind) {
		free(l);
		timer_start_ms(&r->leave, AGAIN_MS);
		return;
	}
	r->is_flushing = true;
	r->leaving = NULL;
}

void relay_leave_again(struct timer *t)
{
	start(CONTAINER_OF(t, struct relay, leave));
}

void relay_leave(struct relay *r, struct op *op)
{
	op->next_leaving = r->leaving;
	r->leaving = op;
	start(r);
}

void relay_leave_no_more(struct relay *r)
{
	struct op *ops = r->leaving;

	timer_stop(&r->leave);
	r->leaving = NULL;
	end_all(ops, true, true);
}
