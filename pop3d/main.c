/* pop3d: mail by POP3, for one worker at a time (common/master.h is the rest of the program). */
#include <stdlib.h>

#include "common/auth.h"
#include "common/directory.h"
#include "common/master.h"
#include "common/memory.h"
#include "common/work.h"
#include "maildir/store.h"
#include "pop3d/server.h"
#include "pop3d/session.h"

#include "common/banned.h"

#define TIDY_MS 60000

static const struct listener_kind kinds[] = {
	{ LISTENER_POP3, { .name = "pop3", .alpn = "pop3" }, "-ERR [SYS/TEMP] too many connections\r\n" },
	{ LISTENER_POP3S, { .name = "pop3s", .alpn = "pop3" }, NULL },
};

/* ---- housekeeping ---- */

struct tidy {
	struct work work;
	struct pop3_server *server;
};

static void tidy_run(struct work *work)
{
	struct tidy *tidy = (struct tidy *)work;

	store_tidy(tidy->server->store);
	directory_tidy(tidy->server->directory);
}

static void tidy_done(struct work *work, bool is_cancelled)
{
	struct tidy *tidy = (struct tidy *)work;

	if (!is_cancelled)
		timer_start_ms(&tidy->server->tidy_timer, TIDY_MS);
	free(tidy);
}

static void tidy_start(struct timer *t)
{
	struct pop3_server *server = (struct pop3_server *)((char *)t - offsetof(struct pop3_server, tidy_timer));
	struct tidy *tidy = xcalloc(1, sizeof(*tidy));

	tidy->server = server;
	tidy->work.run = tidy_run;
	tidy->work.done = tidy_done;
	if (work_submit(server->loop, WORK_MAIL, &tidy->work).kind) {
		free(tidy);
		timer_start_ms(t, TIDY_MS);
	}
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
		f = auth_open(server->directory, &server->auth);
	return f;
}

static struct fault pop3_start(struct worker *w)
{
	struct pop3_server *server = w->state;
	struct store_conf conf = {
		.mail_dir = instance_path(w->instance, INSTANCE_MAIL),
		.host = w->conf->host.hostname,
		.open_accounts_max = (uint32_t)w->conf->store.open_accounts,
		.create_special_use = true,
	};
	struct fault f = store_open(&conf, &server->store);

	if (f.kind)
		return f;
	timer_init(&server->tidy_timer, w->loop, tidy_start);
	timer_start_ms(&server->tidy_timer, TIDY_MS);
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
	timer_stop(&server->tidy_timer);
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
	directory_close(&server->directory);
	free(server);
	w->state = NULL;
}

static void pop3_status(struct worker *w, struct json_out *j)
{
	const struct pop3_server *server = w->state;

	json_out_u64(j, "sessions", server->session_count);
}

static const struct daemon_spec spec = {
	.name = "pop3d",
	.doc = "serve mail by POP3",
	.kinds = kinds,
	.kind_count = ARRAY_LEN(kinds),
	.writes = 1u << INSTANCE_MAIL | 1u << INSTANCE_DIRECTORY | 1u << INSTANCE_EVENTS,
	.open = pop3_open,
	.start = pop3_start,
	.reload = pop3_reload,
	.stop = pop3_stop,
	.end = pop3_end,
	.status = pop3_status,
};

int main(int argc, char **argv)
{
	return daemon_main(&spec, argc, argv);
}
