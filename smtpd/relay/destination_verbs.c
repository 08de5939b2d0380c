/* Verbs about destinations: where mail goes, how that does, and who gets none for now. */
#include <stdio.h>
#include <stdlib.h>

#include "common/date.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "smtpd/relay/relay_private.h"

#include "common/banned.h"

/* pause_all - a domain is three destinations: mail that requires TLS, or wants none, has connections of its own (destination_of()). */
static void pause_all(struct relay *r, struct sv name, bool is_paused)
{
	static const char *const signs[] = { "", "+", "-" };

	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		char key[260];

		snprintf(key, sizeof(key), "%s%.*s", signs[i], SV_FMT(name));
		schedule_pause(r->schedule, schedule_destination(r->schedule, sv_z(key)), is_paused);
	}
}

static void set_paused(struct worker *w, const struct json *request, struct control_reply *reply, bool is_paused)
{
	struct relay *r = w->state;
	struct sv name = SV_NONE;
	struct fault f = FAULT_OK;

	(void)json_get_sv(request, "destination", &name);
	if (!name.len || name.len > 255) {
		f = fault(FAULT_INVALID, "a domain is missing");
	} else {
		pause_all(r, name, is_paused);
		relay_keep_paused(r);
		log_info(NULL, is_paused ? "relay.paused" : "relay.resumed", KV_SV("destination", name));
	}
	control_finish(&reply, f);
	relay_turn(r);
}

void relay_do_pause(void *arg, const struct json *request, struct control_reply *reply)
{
	set_paused(arg, request, reply, true);
}

void relay_do_resume(void *arg, const struct json *request, struct control_reply *reply)
{
	set_paused(arg, request, reply, false);
}

struct listing {
	struct asker asker;
	struct relay *relay;
	struct control_reply *reply;
};

static bool list_destination(void *arg, struct destination *d)
{
	const struct listing *l = arg;
	const struct provider *p = d->provider;
	struct json_out *j;
	uint64_t now = loop_now_ms(l->relay->loop), until = d->blocked_until_ms;
	bool is_slowed = p && p->blocked_until_ms;

	if (is_slowed && p->blocked_until_ms > until)
		until = p->blocked_until_ms;
	if (destination_way(d->name) != d->name && !d->part_count && !d->active)
		return true;            /* paused with the domain, and nothing lies there */
	j = control_line(l->reply);
	json_out_z(j, "destination", d->name[0] == '=' ? "(local)" : d->name);
	json_out_z(j, "provider", p ? p->name : "");
	json_out_z(j, "state", d->is_paused ? "paused" : d->blocked_until_ms ? "unreachable" : is_slowed ? "slowed"
				 : d->active ? "sending" : "waiting");
	json_out_u64(j, "messages", d->part_count);
	json_out_u64(j, "connections", d->active);
	json_out_u64(j, "most", d->limit);
	json_out_u64(j, "failures", d->failures);
	json_out_i64(j, "next", until > now ? date_now().seconds + (int64_t)((until - now) / 1000) : 0);
	json_out_z(j, "status", d->reason[0] || !p ? d->status : p->status);
	json_out_z(j, "reason", d->reason[0] || !p ? d->reason : p->reason);
	return control_line_end(l->reply);
}

static void list_now(struct asker *asker)
{
	struct listing *l = CONTAINER_OF(asker, struct listing, asker);

	schedule_each_destination(l->relay->schedule, list_destination, l);
	control_finish(&l->reply, FAULT_OK);
	free(l);
}

void relay_do_destinations(void *arg, const struct json *request, struct control_reply *reply)
{
	struct listing *l = xcalloc(1, sizeof(*l));

	(void)request;
	l->relay = ((struct worker *)arg)->state;
	l->reply = reply;
	l->asker.go = list_now;
	relay_when_known(l->relay, &l->asker);
}
