/* The control socket: binding it, who may ask, and one connection per request. */
#include "common/control.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "common/control_private.h"
#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

#define REQUEST_MS 10000        /* from connecting to a whole request */
#define ANSWER_MS 60000         /* from the last line to its being read */

struct client {
	struct control_server *server;
	struct client *next, **at;
	struct control_pipe *pipe;
	struct timer patience;
	bool has_asked;
};

struct listening {
	uv_poll_t poll;
	struct control_server *server;  /* NULL: freed */
	int fd;
};

struct control_server {
	struct loop *loop;
	struct listening *listening;
	const struct control_verb *verbs;
	control_other_fn *other;
	void *arg;
	struct client *clients;
	unsigned client_count;
};

/* ---- the socket ---- */

struct fault control_address(const char *path, struct sockaddr_un *out, int *dir_fd)
{
	char *copy;
	const char *slash = strrchr(path, '/');

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*dir_fd = -1;
	if (strlen(path) < sizeof(out->sun_path)) {
		memcpy(out->sun_path, path, strlen(path) + 1);
		return FAULT_OK;
	}
	/* unix(7) has room for 107 octets only; the folder's descriptor is a shorter way to it. */
	copy = xstrdup(path);
	*dir_fd = slash ? open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	free(copy);
	if (*dir_fd < 0)
		return fault_errno("open folder of", path);
	if ((size_t)snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d%s", *dir_fd,
			     slash) >= sizeof(out->sun_path)) {
		close(*dir_fd);
		*dir_fd = -1;
		return fault_detail(FAULT_LIMIT, "%s: the name is too long", path);
	}
	return FAULT_OK;
}

struct fault control_listen(const struct instance *instance, const char *name, int *fd)
{
	char *path = instance_run_path(instance, name, ".sock");
	struct sockaddr_un at;
	int dir_fd = -1, s = -1;
	struct fault f = control_address(path, &at, &dir_fd);

	if (!f.kind && (s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		f = fault_errno("socket", path);
	if (!f.kind) {
		mode_t mask = umask(0177);

		unlink(path);
		if (bind(s, (const struct sockaddr *)&at, sizeof(at)) != 0 || listen(s, 16) != 0)
			f = fault_errno("bind", path);
		umask(mask);
	}
	if (dir_fd >= 0)
		close(dir_fd);
	if (f.kind && s >= 0)
		close(s);
	else if (!f.kind)
		*fd = s;
	free(path);
	return f;
}

/* ---- clients ---- */

static void client_free(struct client *client)
{
	*client->at = client->next;
	if (client->next)
		client->next->at = client->at;
	client->server->client_count--;
	timer_stop(&client->patience);
	free(client);
}

static void on_client_end(void *arg)
{
	struct client *client = arg;

	control_pipe_free(&client->pipe);
	client_free(client);
}

/* The last line is on its way: the pipe ends by itself, and this client counts no more. */
static void on_client_finished(void *arg)
{
	struct client *client = arg;

	control_pipe_end_soon(&client->pipe, ANSWER_MS);
	client_free(client);
}

static void on_client_patience_end(struct timer *t)
{
	on_client_end((char *)t - offsetof(struct client, patience));
}

static void run_verb(struct control_server *server, struct sv line, struct control_reply *reply)
{
	struct json *request = NULL;
	const struct control_verb *verb;
	struct sv name = SV_NONE;
	struct fault f = json_parse(line, &request);

	if (!f.kind && !json_get_sv(request, "verb", &name))
		f = fault(FAULT_INVALID, "a request is an object with a member \"verb\"");
	verb = control_verb_find(server->verbs, name);
	if (f.kind)
		control_finish(&reply, f);
	else if (verb)
		verb->run(server->arg, request, reply);
	else if (server->other)
		server->other(server->arg, name, line, reply);
	else
		control_finish(&reply, fault(FAULT_UNSUPPORTED, "no such verb"));
	json_free(&request);
}

static void on_client_line(void *arg, struct sv line)
{
	struct client *client = arg;
	struct control_server *server = client->server;
	struct control_reply *reply;

	if (client->has_asked) {
		log_warn(NULL, "control.refused",
			 KV_Z("reason", "a second request on one connection"));
		on_client_end(client);
		return;
	}
	client->has_asked = true;
	timer_stop(&client->patience);
	reply = control_reply_new(client->pipe);
	reply->finished = on_client_finished;
	reply->arg = client;
	run_verb(server, line, reply);
}

static const struct control_pipe_events client_events = { on_client_line, on_client_end };

/* Same user as ours, or root. */
static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return false;
	if (peer.uid == geteuid() || peer.uid == 0)
		return true;
	log_warn(NULL, "control.refused", KV_Z("reason", "another user"), KV_U64("uid", peer.uid));
	return false;
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct control_server *server = ((struct listening *)(void *)poll)->server;
	struct client *client;
	int fd;
	(void)events;

	if (status < 0 || !server)
		return;
	fd = accept4(((struct listening *)(void *)poll)->fd, NULL, NULL,
		     SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (!may_ask(fd) || server->client_count >= CONTROL_CLIENTS_MAX) {
		close(fd);
		return;
	}
	client = xcalloc(1, sizeof(*client));
	client->server = server;
	client->next = server->clients;
	client->at = &server->clients;
	if (client->next)
		client->next->at = &client->next;
	server->clients = client;
	server->client_count++;
	timer_init(&client->patience, server->loop, on_client_patience_end);
	timer_start_ms(&client->patience, REQUEST_MS);
	client->pipe = control_pipe_new(server->loop, fd, &client_events, client);
}

/* ---- the server ---- */

struct control_server *control_server_new(struct loop *loop, int fd,
					  const struct control_verb *verbs, control_other_fn *other,
					  void *arg)
{
	struct control_server *server = xcalloc(1, sizeof(*server));
	int e;

	server->loop = loop;
	server->verbs = verbs;
	server->other = other;
	server->arg = arg;
	server->listening = xcalloc(1, sizeof(*server->listening));
	server->listening->server = server;
	server->listening->fd = fd;
	e = uv_poll_init(loop_uv(loop), &server->listening->poll, fd);
	if (!e)
		e = uv_poll_start(&server->listening->poll, UV_READABLE, on_connection);
	if (e)
		BUG("control socket: %s", uv_strerror(e));
	return server;
}

static void on_closed(uv_handle_t *handle)
{
	struct listening *listening = (struct listening *)(void *)handle;

	close(listening->fd);
	free(listening);
}

void control_server_free(struct control_server **server)
{
	struct client *client, *next;

	if (!*server)
		return;
	for (client = (*server)->clients; client; client = next) {
		next = client->next;
		timer_stop(&client->patience);
		control_pipe_free(&client->pipe);
		free(client);
	}
	(*server)->listening->server = NULL;
	uv_close((uv_handle_t *)&(*server)->listening->poll, on_closed);
	free(*server);
	*server = NULL;
}
