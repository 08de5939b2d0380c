/* Somebody followed the link to unsubscribe that our mail to him has (common/unsubscribe.h): webd, which has looked at it, says so here. */
#include <stdlib.h>

#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/outbook.h"
#include "smtpd/relay/relay_private.h"

#include "common/banned.h"

struct refusing {
	struct work work;
	struct relay *relay;
	struct control_reply *reply;
	char *sender, *address;
	int64_t now_s;
	struct fault fault;
};

static void refusing_run(struct work *w)
{
	struct refusing *g = CONTAINER_OF(w, struct refusing, work);

	g->fault = outbook_refuse(g->relay->outbook, sv_z(g->sender), sv_z(g->address), OUTBOOK_UNSUBSCRIBED, g->now_s);
}

static void refusing_done(struct work *w, bool is_cancelled)
{
	struct refusing *g = CONTAINER_OF(w, struct refusing, work);

	if (is_cancelled)
		g->fault = fault(FAULT_UNAVAILABLE, "stopping");
	log_info(NULL, "relay.unsubscribed", KV_Z("sender", g->sender), KV_Z("to", g->address), KV_FAULT("fault", g->fault));
	relay_job_ended(g->relay);
	control_finish(&g->reply, g->fault);
	free(g->sender);
	free(g->address);
	free(g);
}

void relay_do_unsubscribe(void *arg, const struct json *request, struct control_reply *reply)
{
	struct relay *r = ((struct worker *)arg)->state;
	struct sv sender = SV_NONE, address = SV_NONE;
	struct refusing *g;

	(void)json_get_sv(request, "sender", &sender);
	(void)json_get_sv(request, "address", &address);
	if (!r->outbook || !sender.len || sender.len > DIRECTORY_ADDRESS_MAX || !address.len || address.len > DIRECTORY_ADDRESS_MAX) {
		control_finish(&reply, r->outbook ? fault(FAULT_INVALID, "two addresses are missing")
						  : fault(FAULT_UNAVAILABLE, "the outbook cannot be opened"));
		return;
	}
	g = xcalloc(1, sizeof(*g));
	*g = (struct refusing){ .work = { .run = refusing_run, .done = refusing_done }, .relay = r, .reply = reply,
				.sender = sv_copy_z(sender), .address = sv_copy_z(address), .now_s = relay_now_s(r) };
	r->jobs++;
	if (work_submit(r->loop, WORK_MAIL, &g->work).kind)
		refusing_done(&g->work, true);
}
