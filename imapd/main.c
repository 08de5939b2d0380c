/* imapd/main.c - the IMAP daemon: what a worker has, and how its parts know of each other. */
#include <stdlib.h>
#include <uv.h>

#include "common/auth.h"
#include "common/chore.h"
#include "common/directory.h"
#include "common/elsewhere.h"
#include "common/kick.h"
#include "common/master.h"
#include "common/memory.h"
#include "common/roster.h"
#include "imapd/door.h"
#include "imapd/managesieve.h"
#include "imapd/session.h"
#include "imapd/settings.h"
#include "imapd/training.h"
#include "imapd/workaround.h"
#include "maildir/device_notice.h"
#include "maildir/filter.h"
#include "maildir/retention.h"

#include "common/banned.h"

#define TIDY_MS 60000
#define FLUSH_MS 1000
#define EXPIRE_MS 3000
#define REFILL_MS 5000  /* a tenth of one thread, when there is something to do */
#define REFILL_STEP_MS 500
#define TRAIN_MS 1000
#define LOOK_MS 2000    /* where inotify has no watches left */

struct imapd {
	struct worker *worker;
	struct directory *directory;
	struct auth *auth;
	struct store *store;
	struct door_house doors;
	struct session_house sessions;
	struct ms_house managesieve;
	struct filters *filters;        /* for ManageSieve: what "include" finds */
	bool is_stopping, has_stopped;
	struct chore tidy, flush, expire, look, refill, train;
	struct training *training;
	struct retention *retention;
	struct device_notice notice;
	uv_poll_t *notices;             /* closed by the loop, before end() */
};

static const struct listener_kind kinds[] = {
	{ LISTENER_IMAP,
	  { .name = "imap", .alpn = "imap", .has_late_tickets = true },
	  "* BYE [UNAVAILABLE] Too many connections\r\n" },
	{ LISTENER_IMAPS,
	  { .name = "imaps", .alpn = "imap", .has_late_tickets = true },
	  "* BYE [UNAVAILABLE] Too many connections\r\n" },
	{ LISTENER_MANAGESIEVE,
	  { .name = "managesieve", .alpn = "managesieve", .has_late_tickets = true },
	  "BYE (TRYLATER) \"Too many connections\"\r\n" },
};

/* ---- between the parts ---- */

static void enter(struct door *door, struct auth_identity *identity, void *user)
{
	struct imapd *d = user;

	session_begin(&d->sessions, door, identity);
}

static void door_gone(struct door *door, void *user)
{
	struct imapd *d = user;

	session_door_gone(&d->sessions, door);
}

static void unauthenticated(struct stream *stream, const struct log_ctx *log, void *user)
{
	struct imapd *d = user;

	door_reopen(&d->doors, stream, log);
}

static void on_stream(struct stream *stream, const struct listener *listener, void *user)
{
	struct imapd *d = user;

	if (listener->kind->kind == LISTENER_MANAGESIEVE)
		ms_open(&d->managesieve, stream, listener);
	else
		door_open(&d->doors, stream, listener);
}

static void notice(void *arg, void *tag)
{
	(void)arg;
	session_notice(tag);
}

static void on_notices(uv_poll_t *poll, int status, int events)
{
	struct imapd *d = poll->data;

	(void)status;
	(void)events;
	store_watch_read(d->store, notice, NULL);
}

/* Called by each house, when it is told to stop or later; both must be empty. */
static void last_session_ended(void *user)
{
	struct imapd *d = user;

	if (!d->is_stopping || d->has_stopped || d->sessions.count || d->managesieve.alive)
		return;
	d->has_stopped = true;
	worker_stopped(d->worker);
}

/* ---- housekeeping ---- */

static void tidy(void *arg)
{
	struct imapd *d = arg;

	store_tidy(d->store);
	directory_tidy(d->directory);
}

static void flush(void *arg)
{
	struct imapd *d = arg;

	store_flush_flags(d->store);
}

static bool needs_flush(void *arg)
{
	struct imapd *d = arg;

	return store_needs_flush(d->store);
}

static void refill(void *arg)
{
	struct imapd *d = arg;

	store_refill(d->store, REFILL_STEP_MS);
}

static void look(void *arg)
{
	struct imapd *d = arg;

	store_watch_look(d->store);
}

/* On the loop: tells what the look before found. */
static bool look_is_due(void *arg)
{
	struct imapd *d = arg;

	if (!store_watch_is_blind(d->store))
		return false;
	store_watch_read(d->store, notice, NULL);
	return true;
}

static void expire(void *arg)
{
	struct imapd *d = arg;

	retention_step(d->retention);
}

static bool expire_is_due(void *arg)
{
	struct imapd *d = arg;

	return retention_is_due(d->retention);
}

static void train(void *arg)
{
	struct imapd *d = arg;

	training_send(d->training);
}

static bool train_is_due(void *arg)
{
	struct imapd *d = arg;

	return training_is_due(d->training);
}

/* ---- the daemon ---- */

static capability_set capabilities(const struct conf *conf)
{
	capability_set on = CAPABILITIES_ALL;

	for (size_t i = 0; i < conf->imap.capabilities_off.count; i++) {
		const char *name = conf->imap.capabilities_off.items[i];
		enum capability c = capability_find(sv_z(name));

		if (c)
			on &= ~CAPABILITY_BIT(c);
		else if (strcmp(name, "none"))
			log_warn(NULL, "imap.capability.unknown", KV_Z("name", name));
	}
	for (size_t i = 0; i < conf->imap.workarounds.count; i++) {
		const char *name = conf->imap.workarounds.items[i];

		if (!workaround_find(sv_z(name)) && strcmp(name, "none"))
			log_warn(NULL, "imap.workaround.unknown", KV_Z("name", name));
	}
	return capability_settle(on);
}

/* False: there is none. */
static bool training_place(const struct conf *conf, struct netaddr *out)
{
	return netaddr_parse_port(sv_z(conf->sieve.spam_training), out);
}

static size_t imapd_ports(const struct conf *conf, uint16_t ports[DAEMON_PORTS_MAX])
{
	struct netaddr place;
	bool is_set = training_place(conf, &place);

	if (is_set)
		ports[0] = place.port;
	return elsewhere_ports(&conf->auth, ports, is_set);
}

static struct fault check_training(const struct conf *conf)
{
	struct netaddr place;

	if (training_place(conf, &place) || strcmp(conf->sieve.spam_training, "none") == 0)
		return FAULT_OK;
	return fault_detail(FAULT_INVALID, "spam-training: %s is no address with a port", conf->sieve.spam_training);
}

/* The directory and libsasl2's plugins are opened before the sandbox closes. */
static struct fault open_outside(struct worker *w)
{
	struct imapd *d = xcalloc(1, sizeof(*d));
	struct fault f;

	w->state = d;
	d->worker = w;
	f = check_training(w->conf);
	if (!f.kind)
		f = directory_open(instance_path(w->instance, INSTANCE_DIRECTORY), false, &d->directory);
	if (!f.kind)
		f = auth_open_instance(w->instance, d->directory, &d->auth);
	d->sessions.roster = d->managesieve.roster = roster_open_instance(w->instance, w->loop);
	if (!f.kind)
		auth_open_authorities(d->auth, w->instance, &w->conf->auth);
	return f;
}

static void take_conf(struct imapd *d)
{
	d->doors.conf = d->sessions.conf = d->worker->conf;
	d->managesieve.conf = d->worker->conf;
	d->doors.tls = d->managesieve.tls = d->worker->tls;
	d->doors.on = d->sessions.on = capabilities(d->worker->conf);
}

static bool watch_store(struct imapd *d)
{
	int fd = store_watch_fd(d->store);

	if (fd < 0)
		return true;    /* no inotify: the chore looks */
	d->notices = xcalloc(1, sizeof(*d->notices));
	d->notices->data = d;
	return !uv_poll_init(loop_uv(d->worker->loop), d->notices, fd) &&
	       !uv_poll_start(d->notices, UV_READABLE, on_notices);
}

static struct fault start_training(struct imapd *d)
{
	struct netaddr place;
	struct fault f;

	if (!training_place(d->worker->conf, &place))
		return FAULT_OK;
	f = training_new(instance_path(d->worker->instance, INSTANCE_MAIL), &place, &d->training);
	if (f.kind)
		return f;
	d->sessions.training = d->training;
	d->train = (struct chore){ .run = train, .is_due = train_is_due, .arg = d, .every_ms = TRAIN_MS };
	chore_start(&d->train, d->worker->loop, TRAIN_MS);
	return FAULT_OK;
}

static struct fault start(struct worker *w)
{
	struct imapd *d = w->state;
	struct fault f = store_open_instance(w->instance, w->conf, &d->store);

	if (!f.kind)
		f = filters_open(instance_path(w->instance, INSTANCE_SIEVE), &d->filters);
	work_set_brackets(store_job_begin, store_job_end);
	if (f.kind)
		return f;
	store_share(d->store, d->directory);
	d->doors.loop = d->sessions.loop = w->loop;
	d->doors.auth = d->auth;
	d->doors.enter = enter;
	d->doors.gone = door_gone;
	d->doors.user = d->sessions.user = d;
	d->sessions.store = d->store;
	d->sessions.directory = d->directory;
	d->sessions.logins = auth_logins(d->auth);
	d->sessions.unauthenticated = unauthenticated;
	d->sessions.empty = last_session_ended;
	d->managesieve.loop = w->loop;
	d->managesieve.auth = d->auth;
	d->managesieve.directory = d->directory;
	d->managesieve.store = d->store;
	d->managesieve.filters = d->sessions.filters = d->filters;
	d->managesieve.empty = last_session_ended;
	d->managesieve.user = d;
	take_conf(d);
	d->tidy = (struct chore){ .run = tidy, .arg = d, .every_ms = TIDY_MS };
	d->flush = (struct chore){
		.run = flush, .is_due = needs_flush, .arg = d, .every_ms = FLUSH_MS
	};
	chore_start(&d->tidy, w->loop, TIDY_MS);
	chore_start(&d->flush, w->loop, FLUSH_MS);
	d->retention = retention_new(d->store, d->directory);
	d->expire = (struct chore){
		.run = expire, .is_due = expire_is_due, .arg = d, .every_ms = EXPIRE_MS
	};
	chore_start(&d->expire, w->loop, EXPIRE_MS);
	d->refill = (struct chore){ .run = refill, .arg = d, .every_ms = REFILL_MS };
	chore_start(&d->refill, w->loop, REFILL_MS);
	d->look = (struct chore){
		.run = look, .is_due = look_is_due, .arg = d, .every_ms = LOOK_MS
	};
	chore_start(&d->look, w->loop, LOOK_MS);
	if (!watch_store(d))
		return fault(FAULT_INTERNAL, "cannot poll the store's notices");
	f = start_training(d);
	if (f.kind)
		return f;
	d->notice = (struct device_notice){ d->directory, d->store };
	auth_start_logins(d->auth, w->loop, &w->conf->auth, device_notice, &d->notice);
	return listener_accept(w->listeners, w->loop, w->tls, on_stream, d);
}

static void reload(struct worker *w, const struct conf *was)
{
	(void)was;
	take_conf(w->state);
}

static void stop(struct worker *w)
{
	struct imapd *d = w->state;

	while (d->doors.doors) {
		struct door *door = d->doors.doors;

		door_close(&door, "The server is stopping");
	}
	d->is_stopping = true;
	session_stop_all(&d->sessions);
	ms_stop_all(&d->managesieve);
}

static void end(struct worker *w)
{
	struct imapd *d = w->state;

	if (!d)
		return;
	retention_free(&d->retention);
	training_free(&d->training);
	filters_close(&d->filters);
	store_close(&d->store);
	auth_close(&d->auth);
	roster_close(&d->sessions.roster);
	directory_close(&d->directory);
	free(d->notices);
	free(d);
	w->state = NULL;
}

static void status(struct worker *w, struct json_out *j)
{
	struct imapd *d = w->state;

	json_out_u64(j, "sessions", d->sessions.count);
	json_out_u64(j, "commands", d->sessions.commands);
	json_out_u64(j, "managesieve_sessions", d->managesieve.count);
	json_out_u64(j, "managesieve_commands", d->managesieve.commands);
	auth_status(d->auth, j);
}

static void do_sessions(void *arg, const struct json *request, struct control_reply *reply)
{
	const struct worker *w = arg;
	const struct imapd *d = w->state;

	(void)request;
	if (session_describe_all(&d->sessions, reply) && door_describe_all(&d->doors, reply))
		(void)ms_describe_all(&d->managesieve, reply);
	control_finish(&reply, FAULT_OK);
}

static void do_kick(void *arg, const struct json *request, struct control_reply *reply)
{
	const struct worker *w = arg;
	struct imapd *d = w->state;
	struct kick kick;

	if (kick_parse(request, &reply, &kick))
		kick_answer(&reply, session_kick(&d->sessions, &kick) + door_kick(&d->doors, &kick) +
					    ms_kick(&d->managesieve, &kick));
}

static struct settings_house settings_of(const struct worker *w)
{
	const struct imapd *d = w->state;

	return (struct settings_house){ w->loop, d->directory, d->store, d->filters, &w->conf->sieve };
}

static void do_account_settings(void *arg, const struct json *request, struct control_reply *reply)
{
	struct settings_house house = settings_of(arg);

	settings_show(&house, request, reply);
}

static void do_account_vacation(void *arg, const struct json *request, struct control_reply *reply)
{
	struct settings_house house = settings_of(arg);

	settings_vacation(&house, request, reply);
}

static const struct control_verb verbs[] = {
	{ "account-settings", "quota and out-of-office answer of an account", do_account_settings, true },
	{ "account-vacation", "set the out-of-office answer of an account, or end it", do_account_vacation, true },
	{ "kick", "end the sessions of an account or of an id", do_kick, false },
	{ "sessions", "the connections that are open", do_sessions, false },
	{ NULL, NULL, NULL, false },
};

static const struct daemon_spec imapd_spec = {
	.name = "imapd",
	.doc = "serves mailboxes by IMAP",
	.kinds = kinds,
	.kind_count = ARRAY_LEN(kinds),
	.reads = 1u << INSTANCE_ISSUER | 1u << INSTANCE_SIEVE,
	.writes = 1u << INSTANCE_MAIL | 1u << INSTANCE_DIRECTORY | 1u << INSTANCE_EVENTS,
	.connect_ports = imapd_ports,
	.open = open_outside,
	.start = start,
	.reload = reload,
	.stop = stop,
	.end = end,
	.status = status,
	.verbs = verbs,
};

int main(int argc, char **argv)
{
	return daemon_main(&imapd_spec, argc, argv);
}
