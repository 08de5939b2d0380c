/* smtpd: mail comes in by SMTP, submission and LMTP, for one worker at a time (common/master.h is
 * the rest of the program). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/auth.h"
#include "common/dkimkey.h"
#include "common/date.h"
#include "common/daybook.h"
#include "common/dns.h"
#include "common/elsewhere.h"
#include "common/eventstore.h"
#include "common/memory.h"
#include "common/send_factor.h"
#include "common/outbook.h"
#include "common/textfile.h"
#include "maildir/filter.h"
#include "smtpd/dmarc.h"
#include "smtpd/dmarcreport.h"
#include "smtpd/feedback.h"
#include "smtpd/fetch/helper.h"
#include "smtpd/greylist.h"
#include "smtpd/local.h"
#include "smtpd/policy/policy.h"
#include "smtpd/origin.h"
#include "smtpd/relay/relay.h"
#include "smtpd/screen.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/verbs.h"

#include "common/banned.h"

#define TIDY_MS 60000
#define PASSWD_MAX (4u << 20)
#define TOO_MANY "421 4.7.0 Too many connections, try again later\r\n"

static const struct listener_kind kinds[] = {
	/* Some large senders fail over session tickets of another TLS library, so port 25 does
	   without. */
	{ LISTENER_MX, { .name = "mx", .alpn = "smtp", .has_no_tickets = true }, TOO_MANY },
	{ LISTENER_SUBMISSION, { .name = "submission", .alpn = "smtp", .has_late_tickets = true }, TOO_MANY },
	{ LISTENER_SUBMISSIONS, { .name = "submissions", .alpn = "smtp", .has_late_tickets = true }, NULL },
	{ LISTENER_LMTP, { .name = "lmtp", .alpn = "lmtp" }, TOO_MANY },
	{ LISTENER_LEGACY, { .name = "legacy", .alpn = "smtp", .has_no_tickets = true, .has_old_versions = true }, TOO_MANY },
	{ LISTENER_LOCAL, { .name = "local", .alpn = "smtp" }, TOO_MANY },
};

/* ---- housekeeping: once at start, then every minute ---- */

/* forget_reports - those of others, a day at a time. */
static void forget_reports(const struct smtpd *server)
{
	int64_t until_s = date_now().seconds - (int64_t)(server->events_ms / 1000) - DAYBOOK_DAY_S, day_s;
	char folder[4096];

	snprintf(folder, sizeof(folder), "%s/" FEEDBACK_FOLDER, instance_path(server->worker->instance, INSTANCE_QUEUE));
	if (daybook_first(folder, 0, until_s, &day_s))
		daybook_drop(folder, day_s);
}

static void tidy(void *arg)
{
	struct smtpd *server = arg;

	if (!server->is_queue_synced) {
		struct fault f = queue_sync(server->queue);

		if (f.kind)
			log_error(NULL, "queue.sync", KV_FAULT("fault", f));
		server->is_queue_synced = true;
	}
	store_tidy(server->store);
	directory_tidy(server->directory);
	forget_reports(server);
	if (server->outbook)
		outbook_tidy(server->outbook, date_now().seconds);
	if (server->greylist)
		greylist_tidy(server->greylist, date_now().seconds);
}

/* ---- life of a worker ---- */

static bool is_dns_list(const char *item)
{
	struct sv zone;
	int weight;

	return origin_list_parse(sv_z(item), &zone, &weight);
}

static bool is_exception(const char *item)
{
	struct sv rest = sv_z(item), domain;
	enum dmarc_policy policy;

	return sv_split(&rest, '=', &domain) && domain.len && dmarc_policy_parse(rest, &policy);
}

static bool is_factor(const char *item)
{
	struct sv who;
	uint32_t factor;

	return send_factor_parse(item, &who, &factor);
}

static bool is_place(const char *item)
{
	struct screen_place place;

	return screen_place_parse(item, &place);
}

/* check_list - an item that is left out would be a list, a rule or a filter that nobody misses until it is too late. */
static struct fault check_list(const char *option, const struct conf_list *list, bool (*is_good)(const char *item))
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i], "none") && !is_good(list->items[i]))
			return fault_detail(FAULT_INVALID, "%s: %s cannot be understood", option, list->items[i]);
	return FAULT_OK;
}

static struct fault check_lists(const struct conf *conf)
{
	struct fault f = check_list("milters", &conf->policy.milters, is_place);

	if (!f.kind)
		f = check_list("submission-milters", &conf->policy.submission_milters, is_place);
	if (!f.kind)
		f = check_list("dns-lists", &conf->policy.dns_lists, is_dns_list);
	if (!f.kind)
		f = check_list("dmarc-exceptions", &conf->policy.dmarc_exceptions, is_exception);
	if (!f.kind)
		f = check_list("send-factors", &conf->smtp.send_factors, is_factor);
	if (!f.kind)
		f = check_list("local-senders", &conf->smtp.local_senders, local_senders_check);
	return f;
}

/* open_local - before the sandbox, which does not let us see the host's users. */
static struct fault open_local(struct smtpd *server)
{
	struct directory_domain first;
	struct buf users;
	struct fault f = directory_domain_default(server->directory, &first);

	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	buf_init(&users, PASSWD_MAX);
	(void)!textfile_read("/etc/passwd", &users).kind;       /* without it users are numbers */
	server->local = local_new(buf_sv(&users), f.kind ? sv_z(server->worker->conf->host.hostname) : sv_z(first.name));
	buf_done(&users);
	return FAULT_OK;
}

/* load_rspamd_password - its first line. */
static struct fault load_rspamd_password(struct smtpd *server, const char *path)
{
	struct fault f = FAULT_OK;
	struct buf text;
	struct stat st;

	buf_init(&text, 1024);
	if (stat(path, &st) == 0) {
		f = st.st_mode & 077 ? fault_detail(FAULT_DENIED, "%s: others may read it", path) : textfile_read(path, &text);
	} else if (errno != ENOENT) {
		f = fault_errno("stat", path);
	}
	server->rspamd_password = sv_copy_z(sv_trim(sv_sub(buf_sv(&text), 0, sv_find(buf_sv(&text), '\n'))));
	buf_wipe(&text);
	return f;
}

static struct fault smtpd_open(struct worker *w)
{
	struct smtpd *server = xcalloc(1, sizeof(*server));
	struct fault f;

	w->state = server;
	server->worker = w;
	server->loop = w->loop;
	server->control = instance_run_path(w->instance, "smtpd", ".sock");
	f = directory_open(instance_path(w->instance, INSTANCE_DIRECTORY), false,
			   &server->directory);
	if (!f.kind)
		f = auth_open_instance(w->instance, server->directory, &server->auth);
	server->roster = roster_open_instance(w->instance, w->loop);
	server->rates = rates_open_instance(w->instance);
	if (!f.kind)
		auth_open_authorities(server->auth, w->instance, &w->conf->auth);
	if (!f.kind)
		f = open_local(server);
	if (!f.kind)
		f = check_lists(w->conf);
	if (!f.kind)
		f = load_rspamd_password(server, w->conf->policy.rspamd_password);
	if (!f.kind)
		f = dns_new_from_conf(w->loop, &w->conf->dns, &server->dns);
	return f;
}

static size_t add_ports(const struct conf_list *places, uint16_t ports[DAEMON_PORTS_MAX], size_t count)
{
	struct screen_place place;

	for (size_t i = 0; i < places->count && count < DAEMON_PORTS_MAX; i++)
		if (screen_place_parse(places->items[i], &place) && place.address.port)
			ports[count++] = place.address.port;
	return count;
}

static size_t smtpd_ports(const struct conf *conf, uint16_t ports[DAEMON_PORTS_MAX])
{
	size_t count = add_ports(&conf->policy.milters, ports, dns_ports(&conf->dns, ports));

	return elsewhere_ports(&conf->auth, ports, add_ports(&conf->policy.submission_milters, ports, count));
}

static const struct conf_list *smtpd_files(const struct conf *conf)
{
	return &conf->dns.anchors;
}

/* open_greylist - beside the queue: it is as durable. */
static struct fault open_greylist(struct smtpd *server)
{
	struct buf path;
	struct fault f = FAULT_OK;

	if (server->worker->conf->policy.greylist == CONF_OFF)
		return FAULT_OK;
	buf_init(&path, 4096);
	if (!buf_appendf(&path, "%s/greylist", instance_path(server->worker->instance, INSTANCE_QUEUE)) || !buf_z(&path))
		f = fault(FAULT_LIMIT, "greylist: the path is too long");
	else
		f = greylist_open(buf_z(&path), &server->greylist);
	buf_done(&path);
	return f;
}

/* start_reports - the relay reads what workers write here. */
static void start_reports(struct smtpd *server)
{
	char folder[4096];

	snprintf(folder, sizeof(folder), "%s/" DMARCREPORT_FOLDER, instance_path(server->worker->instance, INSTANCE_QUEUE));
	if (server->worker->conf->policy.dmarc_reports)
		server->dmarc = daybook_new(server->loop, folder);
}

static struct fault open_outbook(struct smtpd *server)
{
	struct buf path;
	struct fault f = FAULT_OK;

	buf_init(&path, 4096);
	if (!buf_appendf(&path, "%s/outbook", instance_path(server->worker->instance, INSTANCE_QUEUE)) || !buf_z(&path))
		f = fault(FAULT_LIMIT, "outbook: the path is too long");
	else
		f = outbook_open(buf_z(&path), true, &server->outbook);
	buf_done(&path);
	return f;
}

static struct fault smtpd_start(struct worker *w)
{
	struct smtpd *server = w->state;
	struct fault f = store_open_instance(w->instance, w->conf, &server->store);

	work_set_brackets(store_job_begin, store_job_end);
	if (!f.kind)
		f = queue_open(instance_path(w->instance, INSTANCE_QUEUE), &server->queue);
	if (!f.kind)
		f = filters_open(instance_path(w->instance, INSTANCE_SIEVE), &server->filters);
	if (f.kind)
		return f;
	/* Mail does not wait for its history. */
	f = eventstore_open(instance_path(w->instance, INSTANCE_EVENTS), true, &server->events);
	if (f.kind)
		log_error(NULL, "events.closed", KV_FAULT("fault", f));
	else
		eventstore_start(server->events, w->loop, w->conf->log.events_ms);
	server->events_ms = w->conf->log.events_ms;
	server->dkim = dkimkeys_new(instance_path(w->instance, INSTANCE_KEYS));
	queue_use_keys(server->queue, server->dkim);
	f = open_outbook(server);
	if (f.kind)             /* without it nothing is counted, and mail goes on */
		log_error(NULL, "outbook.unusable", KV_FAULT("fault", f));
	f = open_greylist(server);
	if (f.kind)             /* without it nobody is put off, and mail goes on */
		log_error(NULL, "greylist.unusable", KV_FAULT("fault", f));
	start_reports(server);
	space_start(&server->space, w->loop, instance_path(w->instance, INSTANCE_MAIL),
		    instance_path(w->instance, INSTANCE_QUEUE));
	server->tidy = (struct chore){ .run = tidy, .arg = server, .every_ms = TIDY_MS };
	chore_start(&server->tidy, w->loop, 0);
	server->notice = (struct device_notice){ server->directory, server->store };
	auth_start_logins(server->auth, w->loop, &w->conf->auth, device_notice, &server->notice);
	return listener_accept(w->listeners, w->loop, w->tls, session_start, server);
}

static void smtpd_stop(struct worker *w)
{
	struct smtpd *server = w->state;

	server->is_stopping = true;
	chore_stop(&server->tidy);
	space_stop(&server->space);
	for (struct session *s = server->sessions; s; s = session_next_of(s))
		session_stop(s);
	if (!server->session_count)
		worker_stopped(w);
}

static void smtpd_end(struct worker *w)
{
	struct smtpd *server = w->state;

	if (!server)
		return;
	while (server->sessions) {
		struct session *s = server->sessions;

		session_free(&s);
	}
	space_done(&server->space);
	greylist_close(&server->greylist);
	outbook_close(&server->outbook);
	daybook_free(&server->dmarc);
	rates_free(&server->rates);
	dns_free(&server->dns);
	filters_close(&server->filters);
	queue_close(&server->queue);
	eventstore_close(&server->events);
	dkimkeys_free(&server->dkim);
	store_close(&server->store);
	auth_close(&server->auth);
	roster_close(&server->roster);
	local_free(&server->local);
	secret_free(&server->rspamd_password);
	free(server->control);
	directory_close(&server->directory);
	free(server);
	w->state = NULL;
}

static void smtpd_status(struct worker *w, struct json_out *j)
{
	const struct smtpd *server = w->state;
	const struct smtpd_counters *c = &server->counters;

	json_out_u64(j, "sessions", server->session_count);
	json_out_u64(j, "sessions_total", c->sessions);
	json_out_u64(j, "messages_accepted", c->accepted);
	json_out_u64(j, "rejected", c->rejected);
	json_out_u64(j, "deferred", c->deferred);
	json_out_u64(j, "logins", c->logins);
	json_out_u64(j, "login_failures", c->login_failures);
	json_out_bool(j, "disk_is_low", space_is_low(&server->space, w->conf));
}

static const struct daemon_spec *const helpers[] = { &relay_spec, &fetch_spec, NULL };

static const struct daemon_spec spec = {
	.name = "smtpd",
	.doc = "take in mail by SMTP, submission and LMTP",
	.kinds = kinds,
	.kind_count = ARRAY_LEN(kinds),
	.writes = 1u << INSTANCE_MAIL | 1u << INSTANCE_QUEUE | 1u << INSTANCE_DIRECTORY |
		  1u << INSTANCE_EVENTS,
	.connect_ports = smtpd_ports,
	.reads = 1u << INSTANCE_ISSUER | 1u << INSTANCE_SIEVE | 1u << INSTANCE_KEYS,
	.reads_files = smtpd_files,
	.open = smtpd_open,
	.start = smtpd_start,
	.stop = smtpd_stop,
	.end = smtpd_end,
	.status = smtpd_status,
	.verbs = smtpd_verbs,
	.helpers = helpers,
};

int main(int argc, char **argv)
{
	return daemon_main(&spec, argc, argv);
}
