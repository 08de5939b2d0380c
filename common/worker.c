/* A worker: takes over what its master gives it, closes the sandbox behind itself, serves. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "common/charset.h"
#include "common/events.h"
#include "common/kv.h"
#include "common/master.h"
#include "common/master_private.h"
#include "common/memory.h"
#include "common/watchdog.h"
#include "common/work.h"

#include "common/banned.h"

#define PATHS_MAX 128
#define DRAIN_LOOK_MS 200       /* how often it is looked whether the last session has ended */

struct worker_private {
	struct worker worker;
	const struct daemon_spec *spec;
	struct control_pipe *pipe;
	struct control_verb *verbs;     /* of every daemon, then of this one */
	uv_signal_t on_term;
	struct timer patience;          /* while stopping */
	struct timer drained;           /* while another program takes over */
	struct deferred end;            /* leave the loop once the caller has returned */
	struct deferred reloading;      /* however many were asked for meanwhile: one more */
	struct buf fresh_conf;          /* what came last */
	bool has_fresh_conf;            /* else the certificates alone */
	uint64_t started_ms;
};

static struct worker_private *private_of(struct worker *w)
{
	return w->private;
}

/* ---- stop ---- */

static void on_patience_end(struct timer *t)
{
	struct worker_private *p =
		(struct worker_private *)(void *)((char *)t -
						  offsetof(struct worker_private, patience));

	log_warn(NULL, "worker.cut_off",
		 KV_Z("reason", "sessions were still busy when stop-time was over"));
	loop_stop(p->worker.loop);
}

static void on_end(struct deferred *d)
{
	loop_stop(d->loop);
}

void worker_stopped(struct worker *w)
{
	deferred_call(&private_of(w)->end);
}

static void begin_stop(struct worker_private *p)
{
	struct worker *w = &p->worker;

	if (w->is_stopping)
		return;
	w->is_stopping = true;
	timer_stop(&p->drained);
	listener_stop(w->listeners);
	timer_start_ms(&p->patience, w->conf->host.stop_ms);
	p->spec->stop(w);
}

/* Whoever is here is served to his end, by the program that he began with. */
static void on_drained(struct timer *t)
{
	struct worker_private *p = CONTAINER_OF(t, struct worker_private, drained);

	if (listener_stats(p->worker.listeners).streams)
		timer_start_ms(&p->drained, DRAIN_LOOK_MS);
	else
		begin_stop(p);
}

static void begin_drain(struct worker_private *p)
{
	if (p->worker.is_stopping || timer_is_running(&p->drained))
		return;
	listener_stop(p->worker.listeners);
	listener_let_go(p->worker.listeners);
	timer_start_ms(&p->drained, 0);
}

static void on_sigterm(uv_signal_t *handle, int number)
{
	(void)number;
	begin_stop(handle->data);
}

/* ---- reload ---- */

/* The certificates of the configuration, the default one first. */
struct certificates {
	struct tls_pair pairs[1 + CONF_TLS_MORE_MAX];
	size_t count;
	char *owned[2 * CONF_TLS_MORE_MAX];
	size_t owned_count;
};

static const char *resolve(const struct worker *w, struct certificates *c, struct sv path)
{
	struct buf text;
	char *copy;

	buf_init(&text, 8192);
	buf_appendf(&text, "%s%s%.*s", path.len && path.p[0] == '/' ? "" : instance_path(w->instance, INSTANCE_ROOT),
		    path.len && path.p[0] == '/' ? "" : "/", SV_FMT(path));
	copy = sv_copy_z(buf_sv(&text));
	buf_done(&text);
	c->owned[c->owned_count++] = copy;
	return copy;
}

static void list_certificates(const struct worker *w, struct certificates *c)
{
	const struct conf_tls *conf = &w->conf->tls;

	*c = (struct certificates){ .count = 1 };
	c->pairs[0] = (struct tls_pair){ .cert_path = conf->certificate, .key_path = conf->key };
	for (size_t i = 0; i < conf->more.count && c->count < ARRAY_LEN(c->pairs); i++) {
		struct sv key = sv_z(conf->more.items[i]), cert;
		struct tls_pair *pair = &c->pairs[c->count];

		if (sv_eq(key, SV("none")))
			continue;
		bool has_key = sv_find(key, '=') != SIZE_MAX;

		sv_split(&key, '=', &cert);
		pair->cert_path = resolve(w, c, cert);
		pair->key_path = has_key ? resolve(w, c, key) : pair->cert_path;
		c->count++;
	}
}

static void certificates_done(struct certificates *c)
{
	for (size_t i = 0; i < c->owned_count; i++)
		free(c->owned[i]);
}

static struct fault open_tls(struct worker *w)
{
	const struct conf_tls *conf = &w->conf->tls;
	struct certificates certificates;
	struct fault f;

	if (w->tls)
		return tls_server_reload(w->tls);
	list_certificates(w, &certificates);
	f = tls_server_new(&(struct tls_settings){
		.pairs = certificates.pairs,
		.count = certificates.count,
		.is_tls13_only = conf->minimum == CONF_TLS_1_3,
		.has_ktls = conf->ktls,
		.has_no_tickets = !conf->tickets,
		.asking = (const char *const *)conf->client_certificates.items,
		.asking_count = conf->client_certificates.count,
	}, &w->tls);
	certificates_done(&certificates);
	return f;
}

static void reload_certificates(struct worker *w)
{
	struct fault f = open_tls(w);

	if (f.kind)
		log_error(NULL, "tls.reload_failed", KV_FAULT("error", f));
	listener_set_tls(w->listeners, w->tls);
}

/* Daemons take TLS over with the configuration: when there was none yet, they have to be told. */
static void reload_certificates_alone(struct worker_private *p)
{
	bool had_tls = p->worker.tls;

	reload_certificates(&p->worker);
	if (!had_tls && p->worker.tls && p->spec->reload)
		p->spec->reload(&p->worker, p->worker.conf);
}

static void reload(struct worker_private *p, struct sv text)
{
	struct worker *w = &p->worker;
	struct conf_report report = { NULL, 0, false };
	struct conf *was = w->conf, *is = NULL;
	struct fault f =
		conf_parse(text, "reload", instance_path(w->instance, INSTANCE_ROOT), &report, &is);

	daemon_report(&report);
	conf_report_done(&report);
	if (f.kind)
		return;         /* the master has checked it: cannot be */
	w->conf = is;
	log_set_level(is->log.level);
	listener_set_conf(w->listeners, is);
	reload_certificates(w);
	if (p->spec->reload)
		p->spec->reload(w, was);
	conf_unref(&was);
}

static void on_reloading(struct deferred *d)
{
	struct worker_private *p = CONTAINER_OF(d, struct worker_private, reloading);

	if (p->has_fresh_conf)
		reload(p, buf_sv(&p->fresh_conf));
	else
		reload_certificates_alone(p);
	p->has_fresh_conf = false;
}

/* Before anything else that was said later. */
static void reload_now(struct worker_private *p)
{
	if (!deferred_is_waiting(&p->reloading))
		return;
	deferred_cancel(&p->reloading);
	on_reloading(&p->reloading);
}

/* ---- what the master says ---- */

static void run_status(void *arg, const struct json *request, struct control_reply *reply)
{
	struct worker *w = arg;
	struct worker_private *p = private_of(w);
	struct listener_stats stats = listener_stats(w->listeners);
	struct json_out *j = control_line(reply);
	(void)request;

	json_out_z(j, "daemon", p->spec->name);
	json_out_i64(j, "pid", getpid());
	json_out_u64(j, "uptime_s", (loop_now_ms(w->loop) - p->started_ms) / 1000);
	json_out_u64(j, "accepted", stats.accepted);
	json_out_u64(j, "refused",
		     stats.refused_total + stats.refused_address + stats.refused_network +
			     stats.refused_rate + stats.refused_descriptors + stats.refused_no_tls);
	json_out_u64(j, "strangers", stats.strangers);
	json_out_u64(j, "connections", stats.streams);
	json_out_bool(j, "tls", w->tls != NULL);
	sandbox_facts_json(j, "sandbox");
	if (p->spec->status)
		p->spec->status(w, j);
	(void)control_line_end(reply);
	control_finish(&reply, FAULT_OK);
}

static void run_log(void *arg, const struct json *request, struct control_reply *reply)
{
	enum log_level level;
	struct fault f = log_level_from(request, &level);
	(void)arg;

	if (!f.kind)
		log_set_level(level);
	control_finish(&reply, f);
}

static const struct control_verb common_verbs[] = {
	{ VERB_STATUS, "What this worker does.", run_status, false },
	{ VERB_LOG, "Change the log level until the next reload.", run_log, false },
};

static void on_master_line(void *arg, struct sv line)
{
	struct worker_private *p = arg;
	struct json *message = NULL;
	struct sv what = SV_NONE, text;
	struct fault f;

	f = json_parse(line, &message);
	bool is_order = !f.kind && json_get_sv(message, "do", &what);

	if (is_order && sv_eq(what, SV("reload")) && json_get_sv(message, "conf", &text)) {
		buf_clear(&p->fresh_conf);
		p->has_fresh_conf = buf_append(&p->fresh_conf, text);
		deferred_call(&p->reloading);
	} else if (is_order && sv_eq(what, SV("certificates"))) {
		deferred_call(&p->reloading);
	} else {
		reload_now(p);
		if (control_serve_line(p->pipe, line, p->verbs, &p->worker, p->worker.number))
			is_order = true;
		else if (is_order && sv_eq(what, SV("drain")))
			begin_drain(p);
		else
			log_warn(NULL, "worker.odd_line", KV_SV("line", line));
	}
	json_free(&message);
}

/* The master is gone, and with it whoever would look after us. */
static void on_master_end(void *arg)
{
	struct worker_private *p = arg;

	control_pipe_free(&p->pipe);
	begin_stop(p);
}

static const struct control_pipe_events pipe_events = { on_master_line, on_master_end };

static void say_ready(struct worker_private *p)
{
	(void)control_pipe_send(p->pipe, SV("{\"ready\":true}"));
}

static struct control_verb *join_verbs(const struct control_verb *own)
{
	size_t count = 0;
	struct control_verb *all;

	while (own && own[count].name)
		count++;
	all = xcalloc(ARRAY_LEN(common_verbs) + count + 1, sizeof(*all));
	memcpy(all, common_verbs, sizeof(common_verbs));
	if (count)
		memcpy(all + ARRAY_LEN(common_verbs), own, count * sizeof(*own));
	return all;
}

/* ---- the sandbox ---- */

struct paths {
	struct sandbox_path items[PATHS_MAX];
	size_t count;
	char *owned[PATHS_MAX];
	size_t owned_count;
};

static void add_path(struct paths *paths, const char *path, unsigned access)
{
	if (paths->count == PATHS_MAX)
		BUG("sandbox: more than %d paths", PATHS_MAX);
	paths->items[paths->count++] = (struct sandbox_path){ path, access };
}

static bool has_path(const struct paths *paths, const char *path)
{
	for (size_t i = 0; i < paths->count; i++)
		if (strcmp(paths->items[i].path, path) == 0 && paths->items[i].access & SANDBOX_READ)
			return true;
	return false;
}

/* The folder of a file that is replaced by renaming, and the folder where it really lies:
 * certificates are often links. */
static void add_folders_of(struct paths *paths, const char *file)
{
	char *copies[] = { xstrdup(file), realpath(file, NULL) };

	for (size_t i = 0; i < ARRAY_LEN(copies); i++) {
		if (!copies[i])
			continue;
		const char *folder = dirname(copies[i]);

		if (has_path(paths, folder)) {
			free(copies[i]);
			continue;
		}
		paths->owned[paths->owned_count++] = copies[i];
		add_path(paths, folder, SANDBOX_READ);
	}
}

static struct fault enter_sandbox(struct worker_private *p)
{
	struct worker *w = &p->worker;
	struct paths paths = { .count = 0 };
	struct certificates certificates;
	uint16_t ports[DAEMON_PORTS_MAX];
	const struct conf_list *files;
	struct fault f;

	for (unsigned place = 0; place < INSTANCE_PLACES; place++) {
		unsigned access = 0;

		if (p->spec->reads & 1u << place)
			access |= SANDBOX_READ;
		if (p->spec->writes & 1u << place)
			access |= SANDBOX_READ | SANDBOX_WRITE;
		if (access)
			add_path(&paths, instance_path(w->instance, (enum instance_place)place),
				 access);
	}
	list_certificates(w, &certificates);
	for (size_t i = 0; i < certificates.count; i++) {
		add_folders_of(&paths, certificates.pairs[i].cert_path);
		add_folders_of(&paths, certificates.pairs[i].key_path);
	}
	certificates_done(&certificates);
	charset_preload();      /* libc's tables lie where no worker may read afterwards */
	files = p->spec->reads_files ? p->spec->reads_files(w->conf) : NULL;
	for (size_t i = 0; files && i < files->count; i++)
		if (files->items[i][0] == '/')
			add_path(&paths, files->items[i], SANDBOX_READ);
	f = sandbox_enter(&(struct sandbox_rules){
		.paths = paths.items,
		.path_count = paths.count,
		.may_connect = p->spec->may_connect,
		.connect_ports = ports,
		.connect_port_count = p->spec->connect_ports ? p->spec->connect_ports(w->conf, ports)
							     : 0,
	});
	for (size_t i = 0; i < paths.owned_count; i++)
		free(paths.owned[i]);
	return f;
}

/* ---- start and end ---- */

/* The configuration that the master checked, from memory. */
static struct fault read_conf(struct worker *w, int fd)
{
	struct conf_report report = { NULL, 0, false };
	struct buf text;
	struct fault f = FAULT_OK;
	ssize_t n = 1;

	buf_init(&text, CONF_FILE_MAX + 4096);
	while (!f.kind && n > 0 && buf_reserve(&text, 4096)) {
		n = read(fd, text.p + text.len, 4096);
		if (n < 0)
			f = fault_errno("read", "configuration");
		else
			text.len += (size_t)n;
	}
	close(fd);
	if (!f.kind)
		f = conf_parse(buf_sv(&text), "master", instance_path(w->instance, INSTANCE_ROOT),
			       &report, &w->conf);
	daemon_report(&report);
	conf_report_done(&report);
	buf_done(&text);
	return f;
}

static struct fault make_loop(struct worker_private *p, const struct worker_args *args)
{
	struct worker *w = &p->worker;
	struct fault f = loop_new(&w->loop);
	int e;

	if (f.kind)
		return f;
	work_setup(w->loop, (uint32_t)w->conf->host.threads, WORK_WAITING_DEFAULT);
	timer_init(&p->patience, w->loop, on_patience_end);
	timer_init(&p->drained, w->loop, on_drained);
	deferred_init(&p->end, w->loop, on_end);
	deferred_init(&p->reloading, w->loop, on_reloading);
	buf_init(&p->fresh_conf, RELOAD_TEXT_MAX);
	p->started_ms = loop_now_ms(w->loop);
	p->pipe = control_pipe_new(w->loop, args->control_fd, &pipe_events, p);
	p->on_term.data = p;
	e = uv_signal_init(loop_uv(w->loop), &p->on_term);
	if (!e)
		e = uv_signal_start(&p->on_term, on_sigterm, SIGTERM);
	return e ? fault_detail(FAULT_INTERNAL, "signal handler: %s", uv_strerror(e)) : FAULT_OK;
}

static struct fault import_listeners(struct worker *w, const struct daemon_spec *spec,
				     const char *text)
{
	w->listeners = listener_set_new(w->conf, spec->kinds, spec->kind_count);
	return listener_import(w->listeners, sv_z(text), w->number);
}

static struct fault worker_start(struct worker_private *p, const char *root,
				 const struct worker_args *args, const char **stage)
{
	struct worker *w = &p->worker;
	struct fault f;

	*stage = "instance";
	f = instance_open(root, &w->instance);
	if (f.kind)
		return f;
	*stage = "configuration";
	f = read_conf(w, args->conf_fd);
	if (!f.kind)
		log_set_level(w->conf->log.level);      /* the file is standard error already */
	*stage = f.kind ? *stage : "watchdog";
	if (!f.kind)
		f = watchdog_attach(args->watchdog_fd);
	*stage = f.kind ? *stage : "loop";
	if (!f.kind)
		f = make_loop(p, args);
	*stage = f.kind ? *stage : "listeners";
	if (!f.kind)
		f = import_listeners(w, p->spec, args->listeners);
	if (f.kind)
		return f;
	kv_set_txn_hooks(watchdog_enter, watchdog_leave);
	f = open_tls(w);
	if (f.kind)
		log_error(NULL, "tls.unusable",
			  KV_FAULT("error", f)); /* the rest of the service is there all the same */
	*stage = "open";
	f = p->spec->open ? p->spec->open(w) : FAULT_OK;
	*stage = f.kind ? *stage : "sandbox";
	if (!f.kind)
		f = enter_sandbox(p);
	*stage = f.kind ? *stage : "start";
	return f.kind ? f : p->spec->start(w);
}

int worker_main(const struct daemon_spec *spec, const char *root, const struct worker_args *args)
{
	struct worker_private *p = xcalloc(1, sizeof(*p));
	struct worker *w = &p->worker;
	const char *stage = "";
	struct fault f;
	int code = 0;

	/* Ctrl-C and a closing terminal reach the whole group; the master decides what they mean.
	 */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	fcntl(args->control_fd, F_SETFD, FD_CLOEXEC);
	p->spec = spec;
	p->verbs = join_verbs(spec->verbs);
	w->number = args->number;
	w->is_rehearsal = args->is_rehearsal;
	w->private = p;
	f = worker_start(p, root, args, &stage);
	if (!f.kind && args->is_rehearsal)
		_exit(0);       /* as it is: helpers would begin to work, and what ends in good order may write */
	if (f.kind) {
		code = daemon_fail(stage, f);
	} else {
		say_ready(p);
		loop_run(w->loop);
	}
	if (w->loop) {
		timer_stop(&p->patience);
		timer_stop(&p->drained);
		deferred_cancel(&p->end);
		deferred_cancel(&p->reloading);
		control_pipe_free(&p->pipe);
		loop_free(&w->loop);
	}
	if (spec->end)
		spec->end(w);
	if (w->listeners)
		listener_set_free(&w->listeners, false);
	tls_server_free(&w->tls);
	conf_unref(&w->conf);
	instance_close(&w->instance);
	buf_done(&p->fresh_conf);
	free(p->verbs);
	free(p);
	return code;
}
