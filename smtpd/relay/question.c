#include "smtpd/relay/question.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/control.h"
#include "common/log.h"
#include "common/memory.h"
#include "smtpd/relay/client.h"
#include "smtpd/relay/relay_private.h"
#include "smtpd/relay/route.h"
#include "smtpd/relay/target.h"

#include "common/banned.h"

#define ANSWER_MS 8000          /* the longest wait for one answer: who asks us waits, too */

struct question {
	struct questions *all;
	struct question *next, **at;
	struct control_reply *replies[QUESTION_WAITERS_MAX];    /* who wants to know */
	size_t waiters;                 /* 0: they were told, and the connection waits for the next question */
	struct conf *conf;
	struct timer patience;
	char *destination;              /* the key: route.h */
	char *address;
	struct route_query *query;
	struct route route;
	size_t hop;
	struct tlspolicy_query *asking;
	struct tlspolicy_answer *policy;
	const char *smarthost;
	struct client *client;
	struct client_mail mail;
	struct client_rcpt rcpt;
	uint32_t answered;              /* questions, on this connection */
	bool is_resting;                /* it is ready, and nothing is asked */
	bool is_clear;                  /* TLS has failed with this hop: without */
	char text[400];                 /* why the last hop was none */
};

/* A destination that did not answer. */
struct paused {
	char *destination;
	uint64_t until_ms;
	char text[400];
};

struct questions {
	struct relay *relay;
	struct question *first;
	struct paused paused[QUESTIONS_PAUSED_MAX];
};

struct questions *questions_new(struct relay *r)
{
	struct questions *qs = xcalloc(1, sizeof(*qs));

	qs->relay = r;
	return qs;
}

/* ---- the end ---- */

static void tell(struct control_reply *reply, enum asking_answer answer, const char *text)
{
	struct json_out *j = control_line(reply);

	json_out_z(j, "known", asking_word(answer));
	json_out_z(j, "text", text);
	(void)control_line_end(reply);
	control_finish(&reply, FAULT_OK);
}

static void question_free(struct question *q)
{
	*q->at = q->next;
	if (q->next)
		q->next->at = q->at;
	timer_stop(&q->patience);
	route_forget(&q->query);
	tlspolicy_forget(&q->asking);
	client_free(&q->client);
	tlspolicy_answer_free(&q->policy);
	conf_unref(&q->conf);
	free(q->rcpt.text);
	free(q->destination);
	free(q->address);
	free(q);
}

static void tell_all(struct question *q, enum asking_answer answer)
{
	for (size_t i = 0; i < q->waiters; i++)
		tell(q->replies[i], answer, q->text);
	q->waiters = 0;
}

static void end(struct question *q, enum asking_answer answer)
{
	tell_all(q, answer);
	question_free(q);
}

void questions_free(struct questions **pqs)
{
	struct questions *qs = *pqs;

	if (!qs)
		return;
	*pqs = NULL;
	while (qs->first)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): question_free() moves qs->first on */
		end(qs->first, ASKING_LATER);
	for (size_t i = 0; i < QUESTIONS_PAUSED_MAX; i++)
		free(qs->paused[i].destination);
	free(qs);
}

/* ---- destinations that do not answer ---- */

static const struct paused *paused_of(const struct questions *qs, const char *destination)
{
	uint64_t now = loop_now_ms(qs->relay->loop);

	for (size_t i = 0; i < QUESTIONS_PAUSED_MAX; i++)
		if (qs->paused[i].destination && qs->paused[i].until_ms > now && strcmp(qs->paused[i].destination, destination) == 0)
			return &qs->paused[i];
	return NULL;
}

/* unreachable - whoever asks next is told at once; the one whose pause ends first makes room. */
static void unreachable(struct question *q)
{
	struct questions *qs = q->all;
	struct paused *row = &qs->paused[0];

	for (size_t i = 1; i < QUESTIONS_PAUSED_MAX; i++)
		if (qs->paused[i].until_ms < row->until_ms)
			row = &qs->paused[i];
	free(row->destination);
	*row = (struct paused){ .destination = xstrdup(q->destination),
				.until_ms = loop_now_ms(qs->relay->loop) + QUESTIONS_PAUSE_MS };
	snprintf(row->text, sizeof(row->text), "%s", q->text);
	end(q, ASKING_LATER);
}

/* ---- the connection ---- */

static void try_hop(struct question *q);
static void connect_to_hop(struct question *q);

static void send_question(struct question *q)
{
	free(q->rcpt.text);
	q->rcpt = (struct client_rcpt){ .address = sv_z(q->address) };
	q->mail = (struct client_mail){ .rcpts = &q->rcpt, .count = 1, .is_question = true };
	if (sv_has_8bit(q->rcpt.address) && client_can(q->client) & CAN_SMTPUTF8)
		q->mail.params = SV(" SMTPUTF8");
	q->is_resting = false;
	client_send(q->client, &q->mail);
}

static size_t resting_count(const struct questions *qs)
{
	size_t n = 0;

	for (const struct question *q = qs->first; q; q = q->next)
		n += q->is_resting;
	return n;
}

/* may_go_on - with another question on this connection. */
static bool may_go_on(const struct question *q)
{
	const struct relay *r = q->all->relay;

	return q->answered < QUESTION_USES_MAX && !r->is_stopping && q->conf == r->worker->conf;
}

static void on_ready(void *user)
{
	struct question *q = user;

	if (q->waiters)
		send_question(q);
	else if (may_go_on(q) && resting_count(q->all) < QUESTIONS_RESTING_MAX)
		q->is_resting = true;
	else
		question_free(q);
}

/* again - the end of a connection that has served another question says nothing about this name: the other side was tired of it, or of
 * waiting. The same hop, anew. */
static bool again(struct question *q)
{
	if (!q->answered)
		return false;
	client_free(&q->client);
	q->answered = 0;
	connect_to_hop(q);
	return true;
}

/* is_about_the_name - or about us: 5.7.x is policy, and a refusal of MAIL says nothing about the recipient. */
static bool is_about_the_name(const struct question *q)
{
	return !q->mail.is_sender_refused && strncmp(q->rcpt.status, "5.7.", 4) != 0;
}

static void on_done(void *user)
{
	struct question *q = user;
	enum client_verdict verdict = q->rcpt.verdict;

	if (q->mail.is_sender_refused && again(q))
		return;
	snprintf(q->text, sizeof(q->text), "%s: %.300s", client_peer(q->client), q->rcpt.text ? q->rcpt.text : "");
	tell_all(q, verdict == CLIENT_DELIVERED                             ? ASKING_KNOWN
		    : verdict == CLIENT_REFUSED && is_about_the_name(q) ? ASKING_UNKNOWN : ASKING_LATER);
	q->answered++;
	timer_start_ms(&q->patience, QUESTION_REST_MS);
}

static void on_end(void *user, const struct client_end *why)
{
	struct question *q = user;
	/* Where nothing asks for TLS, a broken one is worth no less than none. */
	bool in_clear = why->is_tls_failure && !q->is_clear && q->policy && q->policy->kind == TLSPOLICY_MAY;

	if (!q->waiters) {
		question_free(q);
		return;
	}
	if (again(q))
		return;
	snprintf(q->text, sizeof(q->text), "%s: %.300s", client_peer(q->client), why->text);
	client_free(&q->client);
	q->is_clear = in_clear;
	if (!in_clear)
		q->hop++;
	try_hop(q);
}

static void on_body(void *user)
{
	(void)user;
	BUG("a question has no body");
}

static void connect_to_hop(struct question *q)
{
	static const struct client_events events = { on_ready, on_body, on_done, on_end };
	const struct target_way way = {
		.destination = q->destination,
		.hop = &q->route.hops[q->hop],
		.policy = q->policy,
		.is_clear = q->is_clear,
		.smarthost = &q->smarthost,
	};
	struct client_target to = target_of_hop(q->all->relay, q->conf, &way);

	if (to.connect_ms > ANSWER_MS)
		to.connect_ms = ANSWER_MS;
	if (to.reply_ms > ANSWER_MS)
		to.reply_ms = ANSWER_MS;
	q->client = client_new(q->all->relay->loop, q->all->relay->tls, &to, &events, q);
}

static void on_policy(void *arg, struct tlspolicy_answer *policy)
{
	struct question *q = arg;

	q->policy = policy;
	if (policy->kind != TLSPOLICY_PASS_OVER) {
		connect_to_hop(q);
		return;
	}
	snprintf(q->text, sizeof(q->text), "%s", policy->text);
	q->hop++;
	try_hop(q);
}

static void try_hop(struct question *q)
{
	const struct route_hop *hop = &q->route.hops[q->hop];

	tlspolicy_answer_free(&q->policy);
	if (q->hop == q->route.count) {
		unreachable(q);
	} else if (route_is_ourselves(q->conf, &hop->at)) {
		snprintf(q->text, sizeof(q->text), "the DNS leads to this server: smarthosts has to name the domain's own (to:DOMAIN=HOST:PORT)");
		unreachable(q);
	} else if (q->destination[0] == '>') {
		connect_to_hop(q);
	} else {
		tlspolicy_ask(q->all->relay->tlspolicy,
			      &(struct tlspolicy_question){ .domain = sv_z(q->destination), .host = sv_z(hop->host),
							    .port = hop->at.port, .is_secure = hop->is_secure },
			      on_policy, q, &q->asking);
	}
}

static void on_route(void *arg, const struct route *route)
{
	struct question *q = arg;

	q->route = *route;
	if (route->kind == ROUTE_HOPS) {
		try_hop(q);
		return;
	}
	snprintf(q->text, sizeof(q->text), "%s", route->text);
	unreachable(q);
}

static void on_patience(struct timer *t)
{
	struct question *q = CONTAINER_OF(t, struct question, patience);

	if (!q->waiters) {
		question_free(q);
		return;
	}
	if (!q->text[0])
		snprintf(q->text, sizeof(q->text), "%s: no answer in time", q->client ? client_peer(q->client) : q->destination);
	unreachable(q);
}

/* ---- asking ---- */

/* way_to - the key under which a notice to the domain would go. */
static char *way_to(const struct conf *conf, struct sv domain)
{
	struct buf key;
	char *copy;

	buf_init(&key, 600);
	if (!smarthost_for(conf, SV_NONE, domain, &key)) {
		buf_clear(&key);
		(void)buf_append(&key, domain);
	}
	copy = sv_copy_z(buf_sv(&key));
	buf_done(&key);
	return copy;
}

/* busy_count - questions that wait for an answer; of one destination, or of all. */
static size_t busy_count(const struct questions *qs, const char *destination)
{
	size_t n = 0;

	for (const struct question *q = qs->first; q; q = q->next)
		n += q->waiters && (!destination || strcmp(q->destination, destination) == 0);
	return n;
}

/* go_on - on a connection that has its answer. Behind the last one RSET may still be on its way: on_ready() follows. */
static bool go_on(struct questions *qs, const char *destination, struct sv address, struct control_reply *reply)
{
	struct question *q = qs->first;

	while (q && (q->waiters || !may_go_on(q) || strcmp(q->destination, destination) != 0))
		q = q->next;
	if (!q)
		return false;
	free(q->address);
	q->address = sv_copy_z(address);
	q->replies[q->waiters++] = reply;
	q->text[0] = '\0';
	timer_start_ms(&q->patience, ASKING_MS);
	if (q->is_resting)
		send_question(q);
	return true;
}

static void begin(struct questions *qs, struct sv address, struct control_reply *reply)
{
	struct relay *r = qs->relay;
	size_t at = sv_rfind(address, '@');
	struct sv domain = at == SIZE_MAX ? SV_NONE : sv_sub(address, at + 1, SIZE_MAX);
	char *destination = way_to(r->worker->conf, domain);
	const struct paused *paused = paused_of(qs, destination);
	const char *no = !domain.len || r->is_stopping ? "not now"
			 : paused ? paused->text
			 : busy_count(qs, NULL) >= QUESTIONS_MAX || busy_count(qs, destination) >= QUESTIONS_PER_DESTINATION
				 ? "too much is asked there at this time" : NULL;
	struct question *q;

	if (no)
		tell(reply, ASKING_LATER, no);
	if (no || go_on(qs, destination, address, reply)) {
		free(destination);
		return;
	}
	q = xcalloc(1, sizeof(*q));
	q->all = qs;
	q->replies[q->waiters++] = reply;
	q->conf = conf_ref(r->worker->conf);
	q->destination = destination;
	q->address = sv_copy_z(address);
	q->next = qs->first;
	q->at = &qs->first;
	if (q->next)
		q->next->at = &q->next;
	qs->first = q;
	timer_init(&q->patience, r->loop, on_patience);
	timer_start_ms(&q->patience, ASKING_MS);
	route_find(r->loop, r->dns, q->conf, sv_z(destination), on_route, q, &q->query);
}

/* join - the same is being asked: one answer is for all. Names that differ by case are two (RFC 5321 §2.4). */
static bool join(struct questions *qs, struct sv address, struct control_reply *reply)
{
	for (struct question *q = qs->first; q; q = q->next) {
		if (!q->waiters || q->waiters == QUESTION_WAITERS_MAX || !sv_eq(sv_z(q->address), address))
			continue;
		q->replies[q->waiters++] = reply;
		log_debug(NULL, "relay.question.joined", KV_SV("address", address), KV_U64("waiting", q->waiters));
		return true;
	}
	return false;
}

void questions_rest_no_more(struct questions *qs)
{
	size_t n = 0;

	for (struct question *q = qs ? qs->first : NULL, *next; q; q = next) {
		next = q->next;
		if (q->waiters)
			continue;
		question_free(q);
		n++;
	}
	log_debug(NULL, "relay.question.rested", KV_U64("closed", n));
}

void questions_ask(struct questions *qs, struct sv address, struct control_reply *reply)
{
	if (!join(qs, address, reply))
		begin(qs, address, reply);
}
