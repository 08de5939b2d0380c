/* pop3d: mail by POP3, for one worker at a time (common/master.h is the rest of the program). */
#include <stdlib.h>

#include "common/auth.h"
#include "common/directory.h"
#include "common/elsewhere.h"
#include "common/kick.h"
#include "common/master.h"
#include "common/memory.h"
#include "common/roster.h"
#include "maildir/store.h"
#include "pop3d/server.h"
#include "pop3d/session.h"

#include "common/banned.h"

#define TIDY_MS 60000

static const struct listener_kind kinds[] = {
	{ LISTENER_POP3, { .name = "pop3", .alpn = "pop3", .has_late_tickets = true }, "-ERR [SYS/TEMP] too many connections\r\n" },
	{ LISTENER_POP3S, { .name = "pop3s", .alpn = "pop3", .has_late_tickets = true }, NULL },
};

/* ---- housekeeping ---- */

static void tidy(void *arg)
{
	struct pop3_server *server = arg;

	store_tidy(server->store);
	directory_tidy(server->directory);
}

/* ---- life of a worker ---- */

static struct fault pop3_open(struct worker *w)
{
	struct pop3_server *server = xcalloc(1, sizeof(*server));

	w->state = server;
	server->worker = w;
	server->loop = w->loop;
	server->conf = w->conf;
	server->tls = w->tls;
	struct fault f = directory_open(instance_path(w->instance, INSTANCE_DIRECTORY), false, &server->directory);

	if (!f.kind)
		f = auth_open_instance(w->instance, server->directory, &server->auth);
	server->roster = roster_open_instance(w->instance, w->loop);
	if (!f.kind)
		auth_open_authorities(server->auth, w->instance, &w->conf->auth);
	return f;
}

static struct fault pop3_start(struct worker *w)
{
	struct pop3_server *server = w->state;
	struct fault f = store_open_instance(w->instance, w->conf, &server->store);

	work_set_brackets(store_job_begin, store_job_end);
	if (f.kind)
		return f;
	server->tidy = (struct chore){ .run = tidy, .arg = server, .every_ms = TIDY_MS };
	chore_start(&server->tidy, w->loop, TIDY_MS);
	server->notice = (struct device_notice){ server->directory, server->store };
	auth_start_logins(server->auth, w->loop, &w->conf->auth, device_notice, &server->notice);
	return listener_accept(w->listeners, w->loop, w->tls, session_start, server);
}

static void pop3_reload(struct worker *w, const struct conf *was)
{
	struct pop3_server *server = w->state;

	(void)was;
	server->conf = w->conf;
	server->tls = w->tls;
}

/* Sessions that wait for a command are told; those with a job under way finish it. */
static void pop3_stop(struct worker *w)
{
	struct pop3_server *server = w->state;

	server->is_stopping = true;
	chore_stop(&server->tidy);
	for (struct pop3_session *s = server->sessions, *next; s; s = next) {
		next = s->next;
		if (!session_is_busy(s)) {
			session_err(s, "[SYS/TEMP] the server is stopping, nothing was deleted");
			session_end(s, "stopping");
		}
	}
	if (!server->alive_count)
		worker_stopped(w);
}

static void pop3_end(struct worker *w)
{
	struct pop3_server *server = w->state;

	if (!server)
		return;
	store_close(&server->store);
	auth_close(&server->auth);
	roster_close(&server->roster);
	directory_close(&server->directory);
	free(server);
	w->state = NULL;
}

static void pop3_status(struct worker *w, struct json_out *j)
{
	const struct pop3_server *server = w->state;

	json_out_u64(j, "sessions", server->session_count);
	auth_status(server->auth, j);
}

static void do_sessions(void *arg, const struct json *request, struct control_reply *reply)
{
	const struct worker *w = arg;
	const struct pop3_server *server = w->state;

	(void)request;
	for (const struct pop3_session *s = server->sessions; s; s = s->next) {
		session_describe(s, control_line(reply));
		if (!control_line_end(reply))
			break;
	}
	control_finish(&reply, FAULT_OK);
}

static void do_kick(void *arg, const struct json *request, struct control_reply *reply)
{
	const struct worker *w = arg;
	struct pop3_server *server = w->state;
	struct kick kick;
	size_t ended = 0;

	if (!kick_parse(request, &reply, &kick))
		return;
	for (struct pop3_session *s = server->sessions, *next; s; s = next) {
		next = s->next;
		if (!kick_is_for(&kick, &s->log, s->identity))
			continue;
		session_end(s, "kicked");
		ended++;
	}
	kick_answer(&reply, ended);
}

static const struct control_verb verbs[] = {
	{ "kick", "end the sessions of an account or of an id", do_kick, false },
	{ "sessions", "the connections that are open", do_sessions, false },
	{ NULL, NULL, NULL, false },
};

static size_t pop3_ports(const struct conf *conf, uint16_t ports[DAEMON_PORTS_MAX])
{
	return elsewhere_ports(&conf->auth, ports, 0);
}

static const struct daemon_spec spec = {
	.name = "pop3d",
	.doc = "serve mail by POP3",
	.kinds = kinds,
	.kind_count = ARRAY_LEN(kinds),
	.reads = 1u << INSTANCE_ISSUER,
	.writes = 1u << INSTANCE_MAIL | 1u << INSTANCE_DIRECTORY | 1u << INSTANCE_EVENTS,
	.connect_ports = pop3_ports,
	.open = pop3_open,
	.start = pop3_start,
	.reload = pop3_reload,
	.stop = pop3_stop,
	.end = pop3_end,
	.status = pop3_status,
	.verbs = verbs,
};

int main(int argc, char **argv)
{
	return daemon_main(&spec, argc, argv);
}
