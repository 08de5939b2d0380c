/* One connection's work: find the way, connect, send what is ready for the destination, hang up. */
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/provider.h"
#include "smtpd/relay/client.h"
#include "smtpd/relay/delivery.h"
#include "smtpd/relay/relay_private.h"
#include "smtpd/relay/route.h"
#include "smtpd/relay/target.h"
#include "smtpd/tlspolicy.h"
#include "smtpd/tlsreport.h"

#include "common/banned.h"

#define IDLE_MS 1000            /* a connection waits so long for more */
#define MAILS_MAX 100           /* in one connection: then others may have it */

struct sender {
	struct relay *relay;
	struct destination *destination;
	struct sender *next, **at;
	struct conf *conf;
	struct route_query *query;
	struct route route;
	size_t hop;
	struct tlspolicy_query *asking;
	struct tlspolicy_answer *policy;        /* for this hop; NULL: none was asked for */
	const char *smarthost;          /* its name, which the client reads when TLS begins */
	struct client *client;
	struct delivery *delivery;      /* being loaded or sent */
	struct timer idle;
	unsigned sent;                  /* transactions on this connection */
	char end_status[ANSWER_STATUS_MAX], end_text[300];      /* why the last hop was none */
	bool is_fresh, is_idle, is_stopping;
	bool is_failing;                /* no mail can go there: all of it is refused */
	bool is_clear;                  /* TLS has failed with this hop: without */
	bool is_counted;                /* for TLS reports */
};

struct sender *sender_next_of(const struct sender *s)
{
	return s->next;
}

static void take_part(struct sender *s);
static void try_hop(struct sender *s);

/* ---- the end ---- */

static void stop_being_fresh(struct sender *s)
{
	if (s->is_fresh)
		s->destination->fresh--;
	s->is_fresh = false;
}

void sender_free(struct sender **ps)
{
	struct sender *s = *ps;

	if (!s)
		return;
	*ps = NULL;
	if (s->delivery)
		delivery_let_go(s->delivery);
	route_forget(&s->query);
	tlspolicy_forget(&s->asking);
	client_free(&s->client);
	tlspolicy_answer_free(&s->policy);
	timer_stop(&s->idle);
	stop_being_fresh(s);
	schedule_hang_up(s->relay->schedule, s->destination);
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	conf_unref(&s->conf);
	relay_turn(s->relay);
	free(s);
}

static void end(struct sender *s)
{
	sender_free(&s);
}

/* The destination as a whole: everything that lies there waits. */
static void destination_fails(struct sender *s, const char *status, const char *text)
{
	log_info(NULL, "relay.unreachable", KV_Z("destination", s->destination->name),
		 KV_Z("status", status), KV_Z("reason", text),
		 KV_U64("waiting", s->destination->part_count));
	schedule_fails(s->relay->schedule, s->destination, loop_now_ms(s->relay->loop), status,
		       text);
	end(s);
}

/* ---- one delivery ---- */

/* tls_text - "TLSv1.3 TLS_AES_256_GCM_SHA384", and what proved the other side. */
static const char *tls_text(const struct sender *s, char out[120])
{
	static const char *const proofs[] = {
		[TLSPOLICY_NO_POLICY] = " verified",
		[TLSPOLICY_DANE] = " verified by DANE",
		[TLSPOLICY_STS] = " verified for MTA-STS",
	};
	const char *text = client_tls_text(s->client);
	bool is_proven = *text && s->policy && s->policy->kind == TLSPOLICY_VERIFY;

	snprintf(out, 120, "%s%s", text, is_proven ? proofs[s->policy->source] : "");
	return out;
}

/* The verdicts are there: they are written down while the connection goes on with the next. */
static void finish(struct sender *s)
{
	struct delivery *d = s->delivery;
	char tls[120];

	s->delivery = NULL;
	delivery_finish(d, s->client ? client_peer(s->client) : "",
			s->client ? tls_text(s, tls) : "",
			s->client ? client_talk(s->client) : SV_NONE);
}

static void on_body_read(void *arg, struct sv octets, bool is_last, struct fault f)
{
	struct sender *s = arg;

	if (!f.kind) {
		client_body(s->client, octets, is_last);
		return;
	}
	/* The file cannot be read: nothing that would look like a whole message may be sent. */
	delivery_give_rest(s->delivery, CLIENT_DEFERRED, "4.3.0", "the queue file cannot be read");
	finish(s);
	end(s);
}

static void on_loaded(void *arg, enum delivery_load load)
{
	struct sender *s = arg;
	struct delivery *d = s->delivery;

	if (load != DELIVERY_READY) {
		s->delivery = NULL;
		take_part(s);
	} else if (s->is_failing) {
		delivery_give_rest(d, CLIENT_REFUSED, s->end_status, s->end_text);
		finish(s);
		take_part(s);
	} else if (!s->client || !client_is_ready(s->client)) {
		return;                 /* on_end is on its way */
	} else if (delivery_is_settled(d)) {
		finish(s);              /* too big, or it needs what they cannot do */
		take_part(s);
	} else {
		s->sent++;
		client_send(s->client, delivery_mail(d));
	}
}

static void on_idle(struct timer *t)
{
	end(CONTAINER_OF(t, struct sender, idle));
}

static void take_part(struct sender *s)
{
	static const struct delivery_events events = { on_loaded, on_body_read };
	struct part *p = NULL;

	if (!s->is_stopping && s->sent < MAILS_MAX)
		p = schedule_take(s->relay->schedule, s->destination);
	stop_being_fresh(s);
	s->is_idle = !p;
	if (p) {
		timer_stop(&s->idle);
		s->delivery = delivery_new(s->relay, p, s->conf,
					   s->client ? client_can(s->client) : 0,
					   s->client ? client_size_max(s->client) : 0,
					   s->client ? client_by_min_s(s->client) : 0, &events, s);
	} else if (s->client && !s->is_stopping && s->sent < MAILS_MAX) {
		timer_start_ms(&s->idle, IDLE_MS);
	} else {
		timer_start_ms(&s->idle, 0);
	}
}

void sender_wake(struct sender *s)
{
	if (s->is_idle && s->client && client_is_ready(s->client) && s->destination->ready_count)
		take_part(s);
}

/* ---- the connection ---- */

/* count_failure - for TLS reports. */
static void count_failure(const struct sender *s, const char *text)
{
	const struct netaddr *at = s->hop < s->route.count ? &s->route.hops[s->hop].at : NULL;

	if (s->relay->report && s->policy)
		tlsreport_count(s->relay->report, s->policy, at, tlsreport_result(s->policy, sv_z(text)), text);
}

/* count_connection - it is up. A handshake that failed before was counted then. */
static void count_connection(struct sender *s)
{
	const struct tlspolicy_answer *p = s->policy;
	const char *result = p && p->problem ? p->problem : NULL, *reason = NULL;

	if (!s->relay->report || !p || s->is_clear || s->is_counted)
		return;
	s->is_counted = true;
	if (!*client_tls_text(s->client))
		result = "starttls-not-supported";
	else if (!result && p->is_testing && !p->is_listed)
		reason = "not among the hosts of the policy";
	else if (!result && p->is_testing)
		reason = client_doubt(s->client);
	if (reason)
		result = tlsreport_result(p, sv_z(reason));
	tlsreport_count(s->relay->report, p, &s->route.hops[s->hop].at, result, reason);
}

static void on_ready(void *user)
{
	struct sender *s = user;

	count_connection(s);
	if (!s->delivery)
		take_part(s);
}

static void on_body(void *user)
{
	struct sender *s = user;

	delivery_read(s->delivery);
}

/* hop_provider - who runs the server at hand. Smarthosts and address literals have no such. */
static struct sv hop_provider(const struct sender *s)
{
	bool is_domain = !memchr("=>[", *destination_way(s->destination->name), 3) && s->hop < s->route.count;

	return is_domain ? provider_of(&s->conf->relay.providers, sv_z(s->route.hops[s->hop].host)) : SV_NONE;
}

/* is_of_provider - does the one speak who runs them all? A domain may name somebody else's server beside its own, so that what its own
 * says would be laid at his door. */
static bool is_of_provider(const struct sender *s)
{
	const struct provider *p = s->destination->provider;

	return p && sv_eq(hop_provider(s), sv_z(p->name));
}

/* throttled_by - the words of a provider that wants less of us (4.7.x: RFC 3463 §3.8); NULL: it does not say so. */
static const struct client_rcpt *throttled_by(const struct sender *s)
{
	const struct client_mail *mail = delivery_mail(s->delivery);

	for (size_t i = 0; i < mail->count && is_of_provider(s); i++)
		if (mail->rcpts[i].verdict == CLIENT_DEFERRED && sv_starts(sv_z(mail->rcpts[i].status), SV("4.7.")))
			return &mail->rcpts[i];
	return NULL;
}

/* slow_down - all that goes to whoever runs this server. */
static void slow_down(struct sender *s, const char *status, const char *text, bool stops)
{
	const struct provider *p = s->destination->provider;

	if (!is_of_provider(s))
		return;
	schedule_slow(s->relay->schedule, s->destination, loop_now_ms(s->relay->loop), status, text, stops);
	log_info(NULL, "relay.slowed", KV_Z("provider", p->name), KV_Z("destination", s->destination->name), KV_Z("status", status),
		 KV_Z("reason", text), KV_U64("most", p->limit));
}

static void on_done(void *user)
{
	struct sender *s = user;
	const struct client_rcpt *r = throttled_by(s);
	char text[300];

	if (r) {
		snprintf(text, sizeof(text), "%s: %.200s", client_peer(s->client), r->text);
		slow_down(s, r->status, text, false);
	} else {
		schedule_works(s->relay->schedule, s->destination);
	}
	finish(s);
}

static void note_end(struct sender *s, const char *status, const char *text)
{
	size_t len = strnlen(status, sizeof(s->end_status) - 1);

	memmove(s->end_status, status, len);    /* it may be this very text */
	s->end_status[len] = '\0';
	snprintf(s->end_text, sizeof(s->end_text), "%.290s", text);
}

/* refuse_all - what lies here cannot be sent, now or later. */
static void refuse_all(struct sender *s, const char *status, const char *text)
{
	note_end(s, status, text);
	s->is_failing = true;
	take_part(s);
}

static bool is_4yz(const char *status)
{
	return status[0] == '4' || status[0] == '5';
}

/* In the middle of a transaction, or between two. */
static void connection_lost(struct sender *s, const struct client_end *why)
{
	struct delivery *d = s->delivery;

	if (d && delivery_is_loaded(d)) {
		if (s->sent > 1 && delivery_is_untouched(d)) {
			/* It had closed an old connection: a new one will do. */
			delivery_return(d);
			s->delivery = NULL;
		} else {
			delivery_give_rest(d, CLIENT_DEFERRED, why->status, why->text);
			finish(s);
		}
	}
	if (why->is_busy) {
		/* It wants to be left alone (RFC 5321 §3.8). */
		slow_down(s, why->status, why->text, true);
		destination_fails(s, why->status, why->text);
		return;
	}
	end(s);
}

static void on_end(void *user, const struct client_end *borrowed)
{
	struct sender *s = user;
	const struct client_end copy = *borrowed, *why = &copy;
	char text[600];
	/* Where nothing asks for TLS, a broken one is worth no less than none. */
	bool again = why->is_tls_failure && !s->is_clear && s->policy &&
		     s->policy->kind == TLSPOLICY_MAY;

	snprintf(text, sizeof(text), "%s: %.500s", client_peer(s->client), why->text);
	if (why->was_ready) {
		connection_lost(s, why);
		return;
	}
	if (why->is_tls_failure || (s->policy && s->policy->kind != TLSPOLICY_MAY && strstr(why->text, "STARTTLS")))
		count_failure(s, why->text);
	/* From here on why->text is gone with its client. */
	client_free(&s->client);
	if (why->is_self) {
		refuse_all(s, "5.4.6", text);
		return;
	}
	/* A refusal at the door is about us, not about the mail: the next host, or later. */
	note_end(s, is_4yz(why->status) ? why->status : "4.4.1", text);
	if (s->end_status[0] == '5')
		s->end_status[0] = '4';
	/* The others of its provider would say the same. */
	if (why->is_busy && is_of_provider(s)) {
		slow_down(s, s->end_status, s->end_text, true);
		destination_fails(s, s->end_status, s->end_text);
		return;
	}
	s->is_clear = again;
	if (!again)
		s->hop++;
	try_hop(s);
}

static const struct client_events client_events = { on_ready, on_body, on_done, on_end };

static void connect_with(struct sender *s, const struct client_target *to)
{
	s->client = client_new(s->relay->loop, s->relay->tls, to, &client_events, s);
}

static void connect_to_hop(struct sender *s)
{
	const struct target_way way = {
		.destination = s->destination->name,
		.hop = &s->route.hops[s->hop],
		.policy = s->policy,
		.is_clear = s->is_clear,
		.smarthost = &s->smarthost,
	};
	struct client_target to = target_of_hop(s->relay, s->conf, &way);

	connect_with(s, &to);
}

static void on_policy(void *arg, struct tlspolicy_answer *policy)
{
	struct sender *s = arg;

	s->policy = policy;
	if (policy->kind != TLSPOLICY_PASS_OVER) {
		connect_to_hop(s);
		return;
	}
	/* What a policy asks for cannot be found out, or not be had: nothing goes this way. */
	count_failure(s, policy->text);
	note_end(s, policy->status, policy->text);
	s->hop++;
	try_hop(s);
}

static void try_local(struct sender *s)
{
	struct client_target to;

	if (s->hop)
		destination_fails(s, s->end_status, s->end_text);
	else if (!target_of_local(s->conf, &to))
		destination_fails(s, "4.3.5", "local delivery needs an lmtp listener with a path: "
					      "smtpd has none");
	else
		connect_with(s, &to);
}

/* may_provide - does whoever runs this server want another connection? */
static bool may_provide(struct sender *s)
{
	bool has_room = s->is_clear || schedule_provide(s->relay->schedule, s->destination, hop_provider(s));
	const struct provider *p = s->destination->provider;

	/* Behind a dead server nobody has a place to wait in: where others always come first, he would never get there. */
	return has_room || (s->hop && p && !p->blocked_until_ms);
}

static void try_hop(struct sender *s)
{
	const struct route_hop *hop = &s->route.hops[s->hop];
	const char *name = destination_way(s->destination->name);

	tlspolicy_answer_free(&s->policy);
	if (*name == '=') {
		try_local(s);
	} else if (s->hop == s->route.count && s->end_status[0] == '5') {
		refuse_all(s, s->end_status, s->end_text);
	} else if (s->hop == s->route.count) {
		destination_fails(s, s->end_status, s->end_text);
	} else if (route_is_ourselves(s->conf, &hop->at)) {
		refuse_all(s, "5.4.6", "the DNS leads to this server, which does not have that domain");
	} else if (!may_provide(s)) {
		end(s);
	} else if (*name == '>') {
		connect_to_hop(s);
	} else {
		tlspolicy_ask(s->relay->tlspolicy,
			      &(struct tlspolicy_question){ .domain = sv_z(name),
							    .host = sv_z(hop->host),
							    .port = hop->at.port,
							    .is_secure = hop->is_secure,
							    .wants_verified = s->destination->name[0] == '+',
							    .wants_none = s->destination->name[0] == '-' },
			      on_policy, s, &s->asking);
	}
}

static void on_route(void *arg, const struct route *route)
{
	struct sender *s = arg;

	s->route = *route;
	switch (route->kind) {
	case ROUTE_HOPS:
		try_hop(s);
		return;
	case ROUTE_DEFER:
		destination_fails(s, route->status, route->text);
		return;
	case ROUTE_FAIL:
		refuse_all(s, route->status, route->text);
		return;
	}
}

static void begin_local(struct timer *t)
{
	struct sender *s = CONTAINER_OF(t, struct sender, idle);

	timer_init(&s->idle, s->relay->loop, on_idle);
	try_hop(s);
}

void sender_start(struct relay *r, struct destination *d)
{
	struct sender *s = xcalloc(1, sizeof(*s));

	s->relay = r;
	s->destination = d;
	s->conf = conf_ref(r->worker->conf);
	s->is_fresh = true;
	s->next = r->senders;
	s->at = &r->senders;
	if (s->next)
		s->next->at = &s->next;
	r->senders = s;
	timer_init(&s->idle, r->loop, d->name[0] == '=' ? begin_local : on_idle);
	if (d->name[0] == '=')
		timer_start_ms(&s->idle, 0);
	else
		route_find(r->loop, r->dns, s->conf, sv_z(destination_way(d->name)), on_route, s, &s->query);
}

void sender_stop(struct sender *s)
{
	s->is_stopping = true;
	if (!s->delivery)
		sender_free(&s);
}
