/* The master of a daemon: binds, starts its workers (seats.h), reloads, and answers the control socket. */
#include "common/master.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "common/events.h"
#include "common/handover.h"
#include "common/master_private.h"
#include "common/memory.h"
#include "common/seats.h"
#include "common/supervise.h"

#include "common/banned.h"

#define EXIT_USAGE 2
#define EXIT_RUNS_ALREADY 4

struct master {
	const struct daemon_spec *spec;
	const char *program;
	bool is_supervised;
	int parent_fd;                  /* where `serve` hears of us (common/handover.h), or -1 */
	struct instance *instance;
	struct conf *conf;
	struct loop *loop;
	struct listener_set *listeners;
	struct buf listeners_text;      /* for the workers, with a NUL */
	struct control_server *control;
	struct pidfile pidfile;
	struct seats *seats;
	uv_signal_t signals[4];
	struct timer patience;          /* with sessions, once another program has taken over */
	const char *privileges;
	uint64_t open_files;
	uint64_t started_ms;
	bool is_stopping;
	bool has_given_way;             /* to another program: nobody new comes in here */
	bool is_rehearsal;              /* until every process of ours has shown that it can start */
	int code;                       /* of the process, when it ends */
};

/* ---- words ---- */

int daemon_fail(const char *what, struct fault f)
{
	log_error(NULL, "daemon.failed", KV_Z("stage", what), KV_FAULT("error", f));
	return 1;
}

void daemon_report(const struct conf_report *report)
{
	for (size_t i = 0; i < report->count; i++)
		log_error(NULL, "conf.error", KV_Z("file", report->errors[i].file),
			  KV_U64("line", report->errors[i].line),
			  KV_Z("text", report->errors[i].text));
}

struct fault log_level_from(const struct json *request, enum log_level *out)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	struct sv name;

	if (json_get_sv(request, "level", &name))
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			if (sv_eq(name, sv_z(names[i]))) {
				*out = (enum log_level)i;
				return FAULT_OK;
			}
	return fault(FAULT_INVALID, "level is error, warn, info or debug");
}

/* ---- what the processes say ---- */

/* The parent keeps the listening sockets for whoever comes after us. */
static void tell_parent_ready(const struct master *m)
{
	int fds[HANDOVER_MAX];

	handover_tell(m->parent_fd, HANDOVER_READY, fds, listener_sockets(m->listeners, fds, ARRAY_LEN(fds)));
}

static void on_all_ready(void *arg)
{
	struct master *m = arg;

	event_emit(NULL, EVENT_DAEMON_READY, KV_Z("version", POSTROOM_VERSION),
		   KV_U64("workers", seats_worker_count(m->seats)),
		   KV_U64("listeners", listener_count(m->listeners)));
	if (!m->is_supervised)
		notify_service_manager("READY=1");
	tell_parent_ready(m);
}

static void on_all_ended(void *arg, bool has_failed)
{
	struct master *m = arg;

	if (has_failed)
		m->code = 1;
	loop_stop(m->loop);
}

static const struct seats_events seats_events = { on_all_ready, on_all_ended };

/* ---- stop, reload ---- */

static void begin_stop(struct master *m, const char *reason)
{
	if (m->is_stopping)
		return;
	m->is_stopping = true;
	event_emit(NULL, EVENT_DAEMON_STOP, KV_Z("reason", reason));
	if (!m->is_supervised)
		notify_service_manager("STOPPING=1");
	seats_stop(m->seats);
}

static void on_patience_end(struct timer *t)
{
	begin_stop(CONTAINER_OF(t, struct master, patience), "upgrade-time");
}

/* The parent starts another program in our place. It gets our names, and the sockets from the
 * parent. */
static void give_way(struct master *m)
{
	if (m->is_stopping || m->has_given_way || m->parent_fd < 0)
		return;
	m->has_given_way = true;
	event_emit(NULL, EVENT_DAEMON_GIVE_WAY, KV_U64("workers", seats_worker_count(m->seats)));
	pidfile_drop(&m->pidfile);
	listener_let_go(m->listeners);
	timer_start_ms(&m->patience, m->conf->host.upgrade_ms);
	seats_give_way(m->seats);
	handover_tell(m->parent_fd, HANDOVER_GONE, NULL, 0);
}

struct differences {
	struct buf changed, need_restart;
};

static void note_difference(void *arg, const char *option, bool need_restart)
{
	struct differences *d = arg;
	struct buf *list = need_restart ? &d->need_restart : &d->changed;

	if (list->len)
		(void)buf_append_c(list, ' ');
	(void)buf_append(list, sv_z(option));
}

static void tell_workers_to_reload(struct master *m, struct sv conf_text)
{
	struct buf line;
	struct json_out j;

	buf_init(&line, CONTROL_LINE_MAX);
	json_out_init(&j, &line);
	json_out_object(&j, NULL);
	json_out_z(&j, "do", "reload");
	json_out_sv(&j, "conf", conf_text);
	json_out_object_end(&j);
	seats_tell(m->seats, buf_sv(&line));
	buf_done(&line);
}

/* On a fault everything stays as it was. */
static struct fault reload(struct master *m, struct conf_report *report, struct differences *d)
{
	struct conf *fresh = NULL;
	struct buf text;
	struct fault f = conf_load(instance_path(m->instance, INSTANCE_CONF),
				   instance_path(m->instance, INSTANCE_ROOT), report, &fresh);

	if (f.kind) {
		daemon_report(report);
		return f;
	}
	buf_init(&text, RELOAD_TEXT_MAX / 2);   /* quoting may double it */
	conf_show(fresh, false, &text);
	if (text.max - text.len < 4096) {
		f = fault(
			FAULT_LIMIT,
			"the configuration is too large to be handed to running workers: restart");
	} else {
		conf_diff(m->conf, fresh, note_difference, d);
		conf_unref(&m->conf);
		m->conf = conf_ref(fresh);
		seats_take_conf(m->seats, fresh);
		log_set_level(fresh->log.level);
		tell_workers_to_reload(m, buf_sv(&text));
		event_emit(NULL, EVENT_DAEMON_RELOAD, KV_SV("changed", buf_sv(&d->changed)),
		           KV_SV("need_restart", buf_sv(&d->need_restart)));
	}
	buf_done(&text);
	conf_unref(&fresh);
	return f;
}

static void differences_init(struct differences *d)
{
	buf_init(&d->changed, 16384);
	buf_init(&d->need_restart, 16384);
}

static void differences_done(struct differences *d)
{
	buf_done(&d->changed);
	buf_done(&d->need_restart);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct master *m = handle->data;
	struct conf_report report = { NULL, 0, false };
	struct differences d;
	struct fault f;

	if (number == SIGUSR2) {
		give_way(m);
		return;
	}
	if (number != SIGHUP) {
		begin_stop(m, number == SIGTERM ? "SIGTERM" : "SIGINT");
		return;
	}
	if (m->is_stopping)
		return;
	differences_init(&d);
	f = reload(m, &report, &d);
	if (f.kind)
		log_error(NULL, "daemon.reload_failed", KV_FAULT("error", f));
	differences_done(&d);
	conf_report_done(&report);
}

/* ---- control verbs ---- */

static void put_words(struct json_out *j, const char *name, struct sv words)
{
	struct sv word;

	json_out_array(j, name);
	while (sv_split(&words, ' ', &word))
		json_out_sv(j, NULL, word);
	json_out_array_end(j);
}

static void put_listener(struct json_out *j, const struct listener *l)
{
	json_out_object(j, NULL);
	json_out_z(j, "name", l->name);
	json_out_z(j, "kind", conf_listener_kind_name(l->kind->kind));
	if (l->path) {
		json_out_z(j, "path", l->path);
	} else {
		char text[NETADDR_TEXT_MAX];

		json_out_sv(j, "address", netaddr_text(&l->at, text));
		json_out_u64(j, "port", l->at.port);
	}
	json_out_z(j, "tls", conf_tls_mode_name(l->tls));
	json_out_bool(j, "open", l->fd >= 0);
	json_out_object_end(j);
}

static void run_status(void *arg, const struct json *request, struct control_reply *reply)
{
	struct master *m = arg;
	struct json_out *j = control_line(reply);
	(void)request;

	json_out_z(j, "daemon", m->spec->name);
	json_out_u64(j, "protocol", CONTROL_PROTOCOL);
	json_out_z(j, "version", POSTROOM_VERSION);
	json_out_i64(j, "pid", getpid());
	json_out_bool(j, "ready", seats_are_ready(m->seats));
	json_out_bool(j, "stopping", m->is_stopping);
	json_out_u64(j, "uptime_s", (loop_now_ms(m->loop) - m->started_ms) / 1000);
	json_out_u64(j, "workers", seats_worker_count(m->seats));
	json_out_u64(j, "restarts", seats_restarts(m->seats));
	json_out_u64(j, "open_files", m->open_files);
	json_out_z(j, "runs_as", m->privileges);
	sandbox_facts_json(j, "master_sandbox");
	json_out_array(j, "listeners");
	for (size_t i = 0; i < listener_count(m->listeners); i++)
		put_listener(j, listener_at(m->listeners, i));
	json_out_array_end(j);
	(void)control_line_end(reply);
	seats_ask_all(m->seats, &reply, SV("{\"verb\":\"" VERB_STATUS "\"}"), true);
}

static void run_reload(void *arg, const struct json *request, struct control_reply *reply)
{
	struct master *m = arg;
	struct conf_report report = { NULL, 0, false };
	struct differences d;
	struct sv what;
	struct fault f;

	/* Whoever renews a certificate must not bring what somebody is just writing into postroom.conf. */
	if (json_get_sv(request, "what", &what)) {
		bool is_known = sv_eq(what, SV("certificates"));

		if (is_known) {
			seats_tell(m->seats, SV("{\"do\":\"certificates\"}"));
			event_emit(NULL, EVENT_DAEMON_RELOAD, KV_SV("changed", what), KV_Z("need_restart", ""));
		}
		control_finish(&reply, is_known ? FAULT_OK : fault(FAULT_INVALID, "reload of what?"));
		return;
	}
	differences_init(&d);
	f = reload(m, &report, &d);
	for (size_t i = 0; i < report.count; i++) {
		struct json_out *j = control_line(reply);

		json_out_z(j, "file", report.errors[i].file);
		json_out_u64(j, "line", report.errors[i].line);
		json_out_z(j, "text", report.errors[i].text);
		(void)control_line_end(reply);
	}
	if (!f.kind) {
		struct json_out *j = control_line(reply);

		put_words(j, "changed", buf_sv(&d.changed));
		put_words(j, "need_restart", buf_sv(&d.need_restart));
		(void)control_line_end(reply);
	}
	control_finish(&reply, f);
	differences_done(&d);
	conf_report_done(&report);
}

static void run_stop(void *arg, const struct json *request, struct control_reply *reply)
{
	(void)request;
	control_finish(&reply, FAULT_OK);
	begin_stop(arg, "asked");
}

static void run_log(void *arg, const struct json *request, struct control_reply *reply)
{
	struct master *m = arg;
	enum log_level level;
	struct fault f = log_level_from(request, &level);
	static const struct sv requests[] = {
		[LOG_LEVEL_ERROR] = { "{\"verb\":\"log\",\"level\":\"error\"}", 30 },
		[LOG_LEVEL_WARN] = { "{\"verb\":\"log\",\"level\":\"warn\"}", 29 },
		[LOG_LEVEL_INFO] = { "{\"verb\":\"log\",\"level\":\"info\"}", 29 },
		[LOG_LEVEL_DEBUG] = { "{\"verb\":\"log\",\"level\":\"debug\"}", 30 },
	};

	if (f.kind) {
		control_finish(&reply, f);
		return;
	}
	log_set_level(level);
	seats_ask_all(m->seats, &reply, requests[level], true);
}

static const struct control_verb master_verbs[] = {
	{ VERB_STATUS, "What runs, since when, how confined.", run_status, false },
	{ VERB_RELOAD, "Take over the configuration anew; what=certificates: these alone.", run_reload, false },
	{ VERB_STOP, "End.", run_stop, false },
	{ VERB_LOG, "Change the log level until the next reload.", run_log, false },
	{ NULL, NULL, NULL, false },
};

static const struct control_verb *find_verb(const struct daemon_spec *spec, struct sv name)
{
	for (const struct control_verb *v = spec->verbs; v && v->name; v++)
		if (sv_eq(name, sv_z(v->name)))
			return v;
	return NULL;
}

static void on_other_verb(void *arg, struct sv verb, struct sv line, struct control_reply *reply)
{
	struct master *m = arg;
	const struct daemon_spec *helper = NULL;
	const struct control_verb *v = find_verb(m->spec, verb);

	for (size_t i = 0; !v && m->spec->helpers && m->spec->helpers[i]; i++) {
		helper = m->spec->helpers[i];
		v = find_verb(helper, verb);
	}
	if (!v)
		control_finish(&reply, fault_detail(FAULT_UNSUPPORTED, "%s has no verb %.*s",
						    m->spec->name, SV_FMT(sv_sub(verb, 0, 40))));
	else if (!seats_are_ready(m->seats))
		control_finish(&reply, fault(FAULT_BUSY, "no worker is ready yet"));
	else if (helper || v->is_of_all)
		seats_ask_one(m->seats, helper, &reply, line);
	else
		seats_ask_all(m->seats, &reply, line, false);
}

/* ---- start and end ---- */

static struct fault bind_listeners(struct master *m)
{
	struct fault f;

	m->listeners = listener_set_new(m->conf, m->spec->kinds, m->spec->kind_count);
	f = m->is_rehearsal ? listener_bind_nothing(m->listeners) : listener_bind(m->listeners);
	if (f.kind)
		return f;
	buf_init(&m->listeners_text, 1u << 20);
	if (!listener_export(m->listeners, &m->listeners_text) || !buf_z(&m->listeners_text))
		return fault(FAULT_LIMIT, "too many listeners");
	/* Sockets that a service manager passed are ours now; the workers get them by number. */
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	return FAULT_OK;
}

static void die_with_parent(pid_t parent)
{
	/* Set by `postroom serve` before it started us, and lost when the user changed. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		raise(SIGTERM);
}

static struct fault give_up_root(struct master *m)
{
	pid_t parent = getppid();
	struct fault f = privilege_drop(m->conf->host.user,
					instance_path(m->instance, INSTANCE_ROOT), &m->privileges);

	if (f.kind)
		return f;
	if (m->is_supervised)
		die_with_parent(parent);
	return FAULT_OK;
}

static struct fault start_loop(struct master *m)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR2 };
	const struct seats_plan plan = { .spec = m->spec,
					 .program = m->program,
					 .root = instance_path(m->instance, INSTANCE_ROOT),
					 .listeners = m->listeners_text.p,
					 .is_rehearsal = m->is_rehearsal };
	int fd = -1, e = 0;
	struct fault f = loop_new(&m->loop);

	if (!f.kind)
		f = seats_new(m->loop, &plan, m->conf, &seats_events, m, &m->seats);
	if (!f.kind && !m->is_rehearsal)
		f = control_listen(m->instance, m->spec->name, &fd);
	if (f.kind)
		return f;
	if (fd >= 0)
		m->control = control_server_new(m->loop, fd, master_verbs, on_other_verb, m);
	m->started_ms = loop_now_ms(m->loop);
	for (size_t i = 0; i < ARRAY_LEN(numbers) && !e; i++) {
		m->signals[i].data = m;
		e = uv_signal_init(loop_uv(m->loop), &m->signals[i]);
		if (!e)
			e = uv_signal_start(&m->signals[i], on_signal, numbers[i]);
	}
	timer_init(&m->patience, m->loop, on_patience_end);
	return e ? fault_detail(FAULT_INTERNAL, "signal handler: %s", uv_strerror(e)) : FAULT_OK;
}

/* It may read and execute, for the workers' sake, and write in the instance alone: an owner who is
 * root owns more than that. Each worker narrows this down to what it needs. */
static struct fault enter_sandbox(const struct master *m)
{
	const struct sandbox_path paths[] = {
		{ "/", SANDBOX_READ | SANDBOX_EXECUTE },
		{ instance_path(m->instance, INSTANCE_ROOT), SANDBOX_READ | SANDBOX_WRITE },
		{ instance_path(m->instance, INSTANCE_RUN), SANDBOX_READ | SANDBOX_WRITE },     /* may lie elsewhere */
	};

	/* What is closed here stays closed for those we start. */
	return sandbox_enter(&(struct sandbox_rules){
		.paths = paths,
		.path_count = ARRAY_LEN(paths),
		.may_connect = m->spec->connect_ports || m->spec->helpers,
		.may_execute = true,
	});
}

static void master_done(struct master *m)
{
	char *path;

	control_server_free(&m->control);
	seats_free(&m->seats);
	loop_free(&m->loop);
	listener_set_free(&m->listeners, true);
	buf_done(&m->listeners_text);
	if (m->pidfile.fd >= 0) {
		path = instance_run_path(m->instance, m->spec->name, ".sock");
		unlink(path);
		free(path);
	}
	pidfile_drop(&m->pidfile);
	conf_unref(&m->conf);
	instance_close(&m->instance);
}

/* Everything up to serving. *stage: what was being done, for the message. */
static struct fault master_start(struct master *m, const char *root, const char **stage)
{
	struct conf_report report = { NULL, 0, false };
	struct fault f;
	pid_t other;

	*stage = "instance";
	f = instance_open(root, &m->instance);
	if (f.kind)
		return f;
	/* One that `postroom serve` started finds what that one settled. */
	if (!m->is_supervised && !m->is_rehearsal)
		f = instance_settle_run(m->instance);
	if (f.kind)
		return f;
	if (instance_read_only(m->instance))
		log_error(NULL, "instance.read_only", KV_Z("path", instance_read_only(m->instance)));
	*stage = "configuration";
	f = conf_load(instance_path(m->instance, INSTANCE_CONF),
		      instance_path(m->instance, INSTANCE_ROOT), &report, &m->conf);
	daemon_report(&report);
	conf_report_done(&report);
	if (f.kind)
		return f;
	other = m->is_rehearsal ? 0 : pidfile_holder(m->instance, m->spec->name);
	if (other)
		return fault_detail(FAULT_IN_USE, "%s runs already, as process %d", m->spec->name,
				    (int)other);
	m->open_files = open_files_raise(m->conf->host.open_files);
	*stage = "listeners";
	f = bind_listeners(m);
	*stage = f.kind ? *stage : "privileges";
	if (!f.kind)
		f = give_up_root(m);
	*stage = f.kind ? *stage : "log";
	if (!f.kind) {
		log_set_level(m->conf->log.level);
		f = log_set_file(m->is_rehearsal ? "" : m->conf->log.file);
		if (fault_is_unwritable(f.kind)) {        /* what is on standard error may be read by somebody */
			log_error(NULL, "log.file", KV_FAULT("error", f));
			f = FAULT_OK;
		}
	}
	*stage = f.kind ? *stage : "pid file";
	if (!f.kind && !m->is_rehearsal)
		f = pidfile_take(m->instance, m->spec->name, &m->pidfile);
	*stage = f.kind ? *stage : "loop";
	if (!f.kind)
		f = start_loop(m);
	*stage = f.kind ? *stage : "sandbox";
	if (!f.kind)
		f = enter_sandbox(m);
	return f;
}

static int master_main(const struct daemon_spec *spec, const char *program, const char *root,
		       bool is_supervised, bool is_rehearsal)
{
	struct master m = { .spec = spec,
			    .program = program,
			    .is_supervised = is_supervised,
			    .is_rehearsal = is_rehearsal,
			    .parent_fd = handover_take(),
			    .pidfile = PIDFILE_NONE };
	const char *stage = "";
	struct fault f = master_start(&m, root, &stage);

	if (f.kind) {
		m.code = daemon_fail(stage, f);
		if (f.kind == FAULT_IN_USE)
			m.code = EXIT_RUNS_ALREADY;
	} else {
		seats_start(m.seats);
		loop_run(m.loop);
	}
	master_done(&m);
	return m.code;
}

/* ---- the command line ---- */

const struct daemon_spec *spec_of_helper(const struct daemon_spec *spec, struct sv name)
{
	for (size_t i = 0; spec->helpers && spec->helpers[i]; i++)
		if (sv_eq(name, sv_z(spec->helpers[i]->name)))
			return spec->helpers[i];
	return NULL;
}

static void print_help(const struct daemon_spec *spec)
{
	printf("Usage: %s --root DIR\n\n%s\n\n"
	       "Runs in the foreground; `postroom serve` runs all daemons of an instance.\n\n"
	       "  --root DIR    the instance\n"
	       "  --foreground  as always: for service files that say so\n"
	       "  --rehearse    only try whether it could start, beside one that runs; serves nobody\n"
	       "  --version\n"
	       "  --help\n\n"
	       "SIGTERM stops it, SIGHUP makes it read its configuration and certificates again.\n"
	       "Example: %s --root /var/lib/postroom\n", spec->name, spec->doc, spec->name);
}

enum {
	OPT_ROOT = 256,
	OPT_FOREGROUND,
	OPT_SUPERVISED,
	OPT_WORKER,
	OPT_CONTROL,
	OPT_WATCHDOG,
	OPT_CONF,
	OPT_LISTENERS,
	OPT_HELPER,
	OPT_REHEARSE,
	OPT_VERSION,
	OPT_HELP
};

static bool read_int(const char *text, int *out)
{
	uint32_t n;

	if (!sv_to_u32(sv_z(text), &n) || n > INT32_MAX)
		return false;
	*out = (int)n;
	return true;
}

int daemon_main(const struct daemon_spec *spec, int argc, char **argv)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, OPT_ROOT },
		{ "foreground", no_argument, NULL, OPT_FOREGROUND },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, OPT_HELP },
		/* from one process of ours to another */
		{ "supervised", no_argument, NULL, OPT_SUPERVISED },
		{ "worker", required_argument, NULL, OPT_WORKER },
		{ "control", required_argument, NULL, OPT_CONTROL },
		{ "watchdog", required_argument, NULL, OPT_WATCHDOG },
		{ "conf", required_argument, NULL, OPT_CONF },
		{ "listeners", required_argument, NULL, OPT_LISTENERS },
		{ "helper", required_argument, NULL, OPT_HELPER },
		{ "rehearse", no_argument, NULL, OPT_REHEARSE },
		{ NULL, 0, NULL, 0 },
	};
	struct worker_args args = { 0, -1, -1, -1, "", false };
	const char *root = NULL;
	const struct daemon_spec *helper = NULL;
	bool is_supervised = false, fine = true;
	int number = -1, option;

	memory_setup();
	/* Descriptors 0 to 2 must be taken, or a connection would become standard error. */
	while ((option = open("/dev/null", O_RDWR)) >= 0 && option <= STDERR_FILENO)
		continue;
	if (option >= 0)
		close(option);
	umask(077);
	log_start(spec->name);
	while (fine && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case OPT_ROOT:       root = optarg; break;
		case OPT_FOREGROUND: break;
		case OPT_SUPERVISED: is_supervised = true; break;
		case OPT_WORKER:     fine = read_int(optarg, &number); break;
		case OPT_CONTROL:    fine = read_int(optarg, &args.control_fd); break;
		case OPT_WATCHDOG:   fine = read_int(optarg, &args.watchdog_fd); break;
		case OPT_CONF:       fine = read_int(optarg, &args.conf_fd); break;
		case OPT_LISTENERS:  args.listeners = optarg; break;
		case OPT_REHEARSE:   args.is_rehearsal = true; break;
		case OPT_HELPER:
			helper = spec_of_helper(spec, sv_z(optarg));
			fine = helper != NULL;
			break;
		case OPT_VERSION:
			printf("%s (Postroom) %s\n", spec->name, POSTROOM_VERSION);
			return 0;
		case OPT_HELP:
			print_help(spec);
			return 0;
		default:
			fine = false;
		}
	}
	if (!fine || !root || optind != argc) {
		fprintf(stderr, "Usage: %s --root DIR (see --help)\n", spec->name);
		return EXIT_USAGE;
	}
	core_dumps_off();
	if (number < 0)
		return master_main(spec, argv[0], root, is_supervised, args.is_rehearsal);
	args.number = (unsigned)number;
	if (helper)
		log_start(helper->name);
	return worker_main(helper ? helper : spec, root, &args);
}
