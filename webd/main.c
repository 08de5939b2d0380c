/* webd: the web front, one worker behind its master (common/master.h is the rest of the program). It sees the account directory,
 * the list of logins and no mail. */
#include <stdio.h>
#include <stdlib.h>

#include "common/auth.h"
#include "common/control.h"
#include "common/directory.h"
#include "common/elsewhere.h"
#include "common/json.h"
#include "common/kick.h"
#include "common/listener.h"
#include "common/master.h"
#include "common/memory.h"
#include "common/throttle.h"
#include "common/work.h"
#include "webd/acme/helper.h"
#include "webd/offers.h"
#include "webd/server.h"
#include "webd/session.h"
#include "webd/status.h"
#include "webd/visits.h"

#include "common/banned.h"

#define DOMAINS_MAX ((size_t)1 << 16)   /* of all names together */

static const struct listener_kind kinds[] = {
	{ LISTENER_HTTP, { .name = "http" }, NULL },
	{ LISTENER_HTTPS, { .name = "https", .alpn = "http/1.1" }, NULL },
};

static struct fault web_open(struct worker *w)
{
	struct web_server *server = xcalloc(1, sizeof(*server));

	w->state = server;
	server->worker = w;
	server->loop = w->loop;
	server->conf = w->conf;
	server->instance = w->instance;
	server->visits = visits_new();
	server->offers = offers_new();
	struct fault f = directory_open(instance_path(w->instance, INSTANCE_DIRECTORY), false, &server->directory);

	if (!f.kind)
		f = auth_open_instance(w->instance, server->directory, &server->auth);
	if (!f.kind)
		auth_open_authorities(server->auth, w->instance, &w->conf->auth);
	if (!f.kind) {
		server->status = xcalloc(1, sizeof(*server->status));
		status_recorder_open(server->status, w->instance);
	}
	return f;
}

/* Proofs for certificate authorities that ask for them by TLS, where the helper `acme` leaves them. */
static void show_proofs(struct worker *w)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/acme", instance_path(w->instance, INSTANCE_TLS));
	if (w->tls)
		tls_server_set_proofs(w->tls, path);
}

static struct fault web_start(struct worker *w)
{
	struct web_server *server = w->state;

	show_proofs(w);
	status_recorder_start(server->status, w->loop);
	auth_start_logins(server->auth, w->loop, &w->conf->auth, NULL, NULL);
	return listener_accept(w->listeners, w->loop, w->tls, session_start, w->state);
}

static void web_reload(struct worker *w, const struct conf *was)
{
	(void)was;
	((struct web_server *)w->state)->conf = w->conf;
	show_proofs(w);
}

static void web_stop(struct worker *w)
{
	struct web_server *server = w->state;

	server->is_stopping = true;
	session_stop_all(server);
	if (!server->alive_count)
		worker_stopped(w);
}

static void web_end(struct worker *w)
{
	struct web_server *server = w->state;

	if (!server)
		return;
	if (server->status)
		status_recorder_close(server->status);
	free(server->status);
	visits_free(&server->visits);
	offers_free(&server->offers);
	auth_close(&server->auth);
	directory_close(&server->directory);
	free(server);
	w->state = NULL;
}

static void web_status(struct worker *w, struct json_out *j)
{
	const struct web_server *server = w->state;

	json_out_u64(j, "sessions", server->session_count);
	json_out_u64(j, "requests", server->requests);
	json_out_u64(j, "errors", server->errors);
	auth_status(server->auth, j);
	json_out_u64(j, "visits", visits_count(server->visits, throttle_now_ms()));
}

/* ---- verbs ---- */

struct domains_job {
	struct work work;
	struct directory *directory;
	struct control_reply *reply;
	struct buf names;               /* each with its end of line */
	struct fault fault;
};

static bool add_domain(void *arg, const struct directory_domain *domain)
{
	struct buf *names = arg;

	return domain->relay != DIRECTORY_RELAY_NO || (buf_append(names, sv_z(domain->name)) && buf_append_c(names, '\n'));
}

static void domains_run(struct work *work)
{
	struct domains_job *job = CONTAINER_OF(work, struct domains_job, work);

	job->fault = directory_domain_list(job->directory, add_domain, &job->names);
}

static void domains_done(struct work *work, bool is_cancelled)
{
	struct domains_job *job = CONTAINER_OF(work, struct domains_job, work);
	struct sv rest = buf_sv(&job->names), name;

	while (!is_cancelled && sv_split(&rest, '\n', &name) && name.len) {
		json_out_sv(control_line(job->reply), "domain", name);
		if (!control_line_end(job->reply))
			break;
	}
	control_finish(&job->reply, is_cancelled ? fault(FAULT_UNAVAILABLE, "stopping") : job->fault);
	buf_done(&job->names);
	free(job);
}

static void do_domains(void *arg, const struct json *request, struct control_reply *reply)
{
	struct worker *w = arg;
	struct domains_job *job = xcalloc(1, sizeof(*job));

	(void)request;
	*job = (struct domains_job){ .work = { .run = domains_run, .done = domains_done }, .reply = reply,
				     .directory = ((struct web_server *)w->state)->directory };
	buf_init(&job->names, DOMAINS_MAX);
	struct fault f = work_submit(w->loop, WORK_MAIL, &job->work);

	if (f.kind) {
		control_finish(&reply, f);
		free(job);
	}
}

/* No TCP but to who keeps passwords elsewhere; what it asks the other daemons goes by their control sockets. */
static size_t connect_ports(const struct conf *conf, uint16_t ports[DAEMON_PORTS_MAX])
{
	size_t count = elsewhere_ports(&conf->auth, ports, 0);

	if (!count)
		ports[count++] = 0;
	return count;
}

/* Somebody is signed in at the account page with the account's own password: credential 0. */
static void do_kick(void *arg, const struct json *request, struct control_reply *reply)
{
	const struct worker *w = arg;
	struct web_server *server = w->state;
	struct kick kick;

	if (!kick_parse(request, &reply, &kick))
		return;
	if (kick.account.len && !kick.sid.len && (!kick.has_credential || !kick.credential))
		offers_end_account(server->offers, kick.account);
	kick_answer(&reply, kick.account.len && !kick.sid.len && (!kick.has_credential || !kick.credential) ?
				    visits_end_account(server->visits, kick.account) : 0);
}

static const struct control_verb verbs[] = {
	{ "domains", "the domains whose mail is ours", do_domains, false },
	{ "kick", "end the visits of an account to its page", do_kick, false },
	{ NULL, NULL, NULL, false },
};

static const struct daemon_spec *const helpers[] = { &acme_spec, NULL };

static const struct daemon_spec spec = {
	.name = "webd",
	.doc = "answer what mail programs, certificate authorities and monitoring ask by HTTP",
	.kinds = kinds,
	.kind_count = ARRAY_LEN(kinds),
	.writes = 1u << INSTANCE_DIRECTORY | 1u << INSTANCE_EVENTS,
	.reads = 1u << INSTANCE_TLS | 1u << INSTANCE_ISSUER | 1u << INSTANCE_RUN,       /* which former programs there are */
	.connect_ports = connect_ports,
	.is_one_worker = true,
	.helpers = helpers,
	.open = web_open,
	.start = web_start,
	.reload = web_reload,
	.stop = web_stop,
	.end = web_end,
	.status = web_status,
	.verbs = verbs,
};

int main(int argc, char **argv)
{
	return daemon_main(&spec, argc, argv);
}
