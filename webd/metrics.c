#include "webd/metrics.h"

#include <stdlib.h>

#include "common/control.h"
#include "common/instance.h"
#include "common/tls.h"

#include "common/banned.h"

#define ASK_MS 3000
#define SPEAKERS_MAX 12         /* daemons and their helpers */

static const char *const daemons[METRICS_DAEMONS] = { "smtpd", "imapd", "pop3d", "webd" };
#define MAIL_DAEMONS 3          /* without them nobody has mail */

/* A member of the workers' lines of `status`, as a figure. */
static const struct figure {
	const char *member, *name, *help;
	bool is_counter;
} figures[] = {
	{ "connections", "connections", "Connections open now.", false },
	{ "strangers", "strangers", "Connections open now that have not logged in.", false },
	{ "sessions", "sessions", "Sessions now.", false },
	{ "accepted", "connections_accepted", "Connections taken since the process started.", true },
	{ "refused", "connections_refused", "Connections turned away by a limit.", true },
	{ "messages_accepted", "messages_accepted", "Messages taken.", true },
	{ "rejected", "messages_rejected", "Messages and recipients refused for good.", true },
	{ "deferred", "messages_deferred", "Messages and recipients refused for now.", true },
	{ "logins", "logins", "Logins that succeeded.", true },
	{ "login_failures", "login_failures", "Logins that failed.", true },
	{ "commands", "commands", "Commands of clients.", true },
	{ "requests", "http_requests", "Requests to the web front.", true },
	{ "errors", "http_errors", "Requests to the web front that ended in an internal error.", true },
	{ "fetches", "fetches", "HTTPS requests made.", true },
	{ "fetches_failed", "fetches_failed", "HTTPS requests that failed.", true },
	{ "renewals", "certificate_renewals", "Certificates that came by ACME.", true },
	{ "failures", "certificate_failures", "Attempts in a row that brought no certificate.", false },
	{ "queued", "queue_messages", "Messages that wait to be sent.", false },
	{ "sending", "queue_sending", "Messages being sent now.", false },
	{ "sent", "queue_sent", "Deliveries to other servers.", true },
	{ "send_deferred", "queue_deferred", "Attempts that other servers put off.", true },
	{ "send_failed", "queue_failed", "Deliveries given up.", true },
};

/* One of those who answered: a daemon's workers together, or a helper. */
struct speaker {
	char name[16];
	uint64_t uptime_s;              /* of its daemon */
	uint64_t values[ARRAY_LEN(figures)];
	bool has[ARRAY_LEN(figures)];
};

struct gathering {
	struct speaker speakers[SPEAKERS_MAX];
	size_t count;
	bool is_ready;                  /* of the daemon asked last: its master says so */
	uint64_t restarts, uptime_s;
};

static struct speaker *find_speaker(struct gathering *g, struct sv name)
{
	for (size_t i = 0; i < g->count; i++)
		if (sv_eq(sv_z(g->speakers[i].name), name))
			return &g->speakers[i];
	if (g->count == SPEAKERS_MAX || !name.len || name.len >= sizeof(g->speakers[0].name))
		return NULL;
	memcpy(g->speakers[g->count].name, name.p, name.len);
	return &g->speakers[g->count++];
}

static bool take_line(void *arg, const struct json *line)
{
	struct gathering *g = arg;
	struct speaker *s;
	struct sv name;
	bool ready;

	if (json_get_bool(line, "ready", &ready)) {     /* the master's */
		g->is_ready = ready;
		json_get_u64(line, "restarts", &g->restarts);
		json_get_u64(line, "uptime_s", &g->uptime_s);
		return true;
	}
	if (!json_get_sv(line, "daemon", &name) || !(s = find_speaker(g, name)))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
		uint64_t n;

		if (json_get_u64(line, figures[i].member, &n)) {
			s->values[i] += n;
			s->has[i] = true;
		}
	}
	return true;
}

/* Does it answer, and are all of its workers ready? */
static bool ask(const struct instance *instance, const char *daemon, struct gathering *g)
{
	g->is_ready = false;
	g->restarts = g->uptime_s = 0;
	return !control_ask(instance, daemon, SV("{\"verb\":\"status\"}"), take_line, g, ASK_MS).kind && g->is_ready;
}

static void add_head(struct buf *b, const char *name, const char *type, const char *unit, const char *help)
{
	(void)buf_appendf(b, "# TYPE postroom_%s %s\n", name, type);
	if (unit)
		(void)buf_appendf(b, "# UNIT postroom_%s %s\n", name, unit);
	(void)buf_appendf(b, "# HELP postroom_%s %s\n", name, help);
}

void metrics_write(const struct instance *instance, const struct conf *conf, struct response *out)
{
	struct gathering *g = calloc(1, sizeof(*g));
	uint64_t uptime_s[ARRAY_LEN(daemons)] = { 0 }, restarts[ARRAY_LEN(daemons)] = { 0 };
	bool up[ARRAY_LEN(daemons)] = { false };
	struct tls_cert_facts cert;
	struct buf *b = &out->body;

	if (!g) {
		response_text(out, 503, "Not now; try again soon.");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(daemons); i++) {
		up[i] = ask(instance, daemons[i], g);
		uptime_s[i] = g->uptime_s;
		restarts[i] = g->restarts;
	}
	out->type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
	add_head(b, "build", "info", NULL, "The program.");
	(void)buf_appendf(b, "postroom_build_info{version=\"%s\"} 1\n", POSTROOM_VERSION);
	add_head(b, "up", "gauge", NULL, "Does the daemon answer, with all of its workers?");
	for (size_t i = 0; i < ARRAY_LEN(daemons); i++)
		(void)buf_appendf(b, "postroom_up{daemon=\"%s\"} %d\n", daemons[i], up[i]);
	add_head(b, "uptime_seconds", "gauge", "seconds", "How long the daemon has been running.");
	for (size_t i = 0; i < ARRAY_LEN(daemons); i++)
		(void)buf_appendf(b, "postroom_uptime_seconds{daemon=\"%s\"} %llu\n", daemons[i], (unsigned long long)uptime_s[i]);
	add_head(b, "worker_restarts", "counter", NULL, "Workers that were started again.");
	for (size_t i = 0; i < ARRAY_LEN(daemons); i++)
		(void)buf_appendf(b, "postroom_worker_restarts_total{daemon=\"%s\"} %llu\n", daemons[i], (unsigned long long)restarts[i]);
	if (!tls_cert_read(conf->tls.certificate, &cert).kind) {
		add_head(b, "certificate_not_after_seconds", "gauge", "seconds", "Unix time at which the certificate ends.");
		(void)buf_appendf(b, "postroom_certificate_not_after_seconds %lld\n", (long long)cert.not_after_s);
	}
	for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
		bool any = false;

		for (size_t k = 0; k < g->count; k++) {
			if (!g->speakers[k].has[i])
				continue;
			if (!any)
				add_head(b, figures[i].name, figures[i].is_counter ? "counter" : "gauge", NULL, figures[i].help);
			any = true;
			(void)buf_appendf(b, "postroom_%s%s{daemon=\"%s\"} %llu\n", figures[i].name, figures[i].is_counter ? "_total" : "",
					  g->speakers[k].name, (unsigned long long)g->speakers[k].values[i]);
		}
	}
	/* Without its end an answer counts as cut off. */
	if (!buf_append(b, SV("# EOF\n")))
		response_text(out, 500, "The answer is too long.");
	free(g);
}

void metrics_ready(const struct instance *instance, const struct conf *conf, struct response *out)
{
	struct gathering *g = calloc(1, sizeof(*g));
	struct tls_cert_facts cert;

	for (size_t i = 0; g && i < MAIL_DAEMONS; i++)
		if (!ask(instance, daemons[i], g))
			(void)buf_appendf(&out->body, "%s does not answer\n", daemons[i]);
	if (!g || tls_cert_read(conf->tls.certificate, &cert).kind)
		(void)buf_append(&out->body, SV("there is no certificate\n"));
	free(g);
	if (out->body.len)
		out->status = 503;
	else
		response_text(out, 200, "ready");
}

/* ---- for people ---- */

static uint64_t value_of(const struct speaker *s, const char *member)
{
	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		if (strcmp(figures[i].member, member) == 0)
			return s->values[i];
	BUG("no figure %s", member);
}

static void take_sample(const struct gathering *g, struct history_sample *out)
{
	static const char *const members[HISTORY_COUNTERS] = {
		[HISTORY_ACCEPTED] = "messages_accepted", [HISTORY_SENT] = "sent", [HISTORY_DEFERRED] = "deferred",
		[HISTORY_SEND_DEFERRED] = "send_deferred", [HISTORY_LOGINS] = "logins", [HISTORY_FAILURES] = "login_failures",
	};

	for (size_t i = 0; i < g->count && out->count < HISTORY_SPEAKERS_MAX; i++) {
		const struct speaker *s = &g->speakers[i];
		struct history_speaker *to = &out->speakers[out->count++];

		memcpy(to->name, s->name, sizeof(to->name));
		to->uptime_s = s->uptime_s;
		for (size_t k = 0; k < HISTORY_COUNTERS; k++)
			to->counters[k] = value_of(s, members[k]);
		out->queued += value_of(s, "queued");
	}
}

bool metrics_overview(const struct instance *instance, struct metrics_overview *out)
{
	struct gathering *g = calloc(1, sizeof(*g));

	*out = (struct metrics_overview){ .sample = { .count = 0 } };
	if (!g)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(daemons); i++) {
		size_t before = g->count;

		out->daemons[i].name = daemons[i];
		out->daemons[i].is_up = ask(instance, daemons[i], g);
		out->daemons[i].uptime_s = g->uptime_s;
		out->daemons[i].restarts = g->restarts;
		for (size_t k = before; k < g->count; k++)
			g->speakers[k].uptime_s = g->uptime_s;
	}
	take_sample(g, &out->sample);
	free(g);
	return true;
}
