#include "smtpd/rejects.h"

#include "maildir/incoming.h"
#include "smtpd/outlet.h"

#include "common/banned.h"

static bool has(const struct accept_place *const *taken, size_t count, struct sv account)
{
	for (size_t i = 0; i < count; i++)
		if (sv_eq(taken[i]->account, account))
			return true;
	return false;
}

/* collect - each account once. */
static size_t collect(const struct accept_plan *plan, struct delivery places[REJECTS_ACCOUNTS_MAX])
{
	const struct accept_place *taken[REJECTS_ACCOUNTS_MAX];
	size_t count = 0;

	for (const struct accept_rcpt *r = plan->rcpts; r; r = r->next)
		for (const struct accept_place *p = r->places; p && count < REJECTS_ACCOUNTS_MAX; p = p->next) {
			if (p->kind != ACCEPT_MAILBOX || !p->drop || has(taken, count, p->account))
				continue;
			taken[count] = p;
			places[count++] = (struct delivery){ .drop = p->drop, .is_reject = true };
		}
	return count;
}

static struct fault write_octets(void *arg, struct sv octets)
{
	return incoming_write(arg, octets);
}

static struct fault write_all(const struct rejects_message *m, struct incoming *in)
{
	struct fault f = FAULT_OK;
	struct buf top;

	buf_init(&top, TRACE_MAX + OUTLET_EXTRA_MAX);
	if (!trace_return_path(&top, m->sender) || !trace_rejected(&top, m->why) || !buf_append(&top, m->extra) ||
	    !trace_received(&top, m->trace))
		f = fault(FAULT_LIMIT, "trace too long");
	if (!f.kind)
		f = incoming_write(in, buf_sv(&top));
	if (!f.kind)
		f = spill_read(m->octets, write_octets, in);
	if (!f.kind)
		f = incoming_write(in, m->rest);
	buf_done(&top);
	return f.kind ? f : incoming_finish(in);
}

void rejects_keep(const struct rejects_message *m, const struct log_ctx *log)
{
	struct delivery places[REJECTS_ACCOUNTS_MAX];
	size_t count = collect(m->plan, places);
	uint64_t size = m->octets->size + m->rest.len;
	struct incoming *in = NULL;
	struct fault f = FAULT_OK;

	if (!count)
		return;
	if (size > REJECTS_MESSAGE_MAX)
		f = fault(FAULT_LIMIT, "too large to be kept");
	if (!f.kind)
		f = incoming_new(NULL, places[0].drop, size + TRACE_MAX + OUTLET_EXTRA_MAX, &in);
	if (!f.kind)
		f = write_all(m, in);
	if (!f.kind)
		f = incoming_deliver(in, places, count);
	incoming_free(&in);
	if (f.kind)
		log_warn(log, "smtp.reject.not-kept", KV_SV("queue_id", m->queue_id), KV_FAULT("fault", f));
	else
		log_info(log, "smtp.reject.kept", KV_SV("queue_id", m->queue_id), KV_U64("accounts", count));
}
