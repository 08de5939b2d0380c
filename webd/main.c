/* webd: the web front, one worker behind its master (common/master.h is the rest of the program). It sees the account directory
 * and no mail. */
#include <stdio.h>
#include <stdlib.h>

#include "common/directory.h"
#include "common/listener.h"
#include "common/master.h"
#include "common/memory.h"
#include "webd/acme/helper.h"
#include "webd/server.h"
#include "webd/session.h"

#include "common/banned.h"

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
	return directory_open(instance_path(w->instance, INSTANCE_DIRECTORY), false, &server->directory);
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
	show_proofs(w);
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
}

/* No TCP at all; what it asks the other daemons goes by their control sockets. */
static size_t connect_ports(const struct conf *conf, uint16_t ports[DAEMON_PORTS_MAX])
{
	(void)conf;
	ports[0] = 0;
	return 1;
}

static const struct daemon_spec *const helpers[] = { &acme_spec, NULL };

static const struct daemon_spec spec = {
	.name = "webd",
	.doc = "answer what mail programs, certificate authorities and monitoring ask by HTTP",
	.kinds = kinds,
	.kind_count = ARRAY_LEN(kinds),
	.writes = 1u << INSTANCE_DIRECTORY,
	.reads = 1u << INSTANCE_TLS,
	.connect_ports = connect_ports,
	.is_one_worker = true,
	.helpers = helpers,
	.open = web_open,
	.start = web_start,
	.reload = web_reload,
	.stop = web_stop,
	.end = web_end,
	.status = web_status,
};

int main(int argc, char **argv)
{
	return daemon_main(&spec, argc, argv);
}
