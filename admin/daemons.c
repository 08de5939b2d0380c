#include "admin/daemons.h"

#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/control.h"
#include "common/instance.h"
#include "common/readonly.h"

#include "common/banned.h"

#define ASK_MS 5000
#define DELETED " (deleted)"     /* proc(5) */
#define CONNECT_MS 5000

#define WEBD DAEMON_MAIL_COUNT

const char *const daemon_names[DAEMON_COUNT] = { "smtpd", "imapd", "pop3d", [WEBD] = "webd" };

bool program_path(pid_t pid, char *out, size_t size)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(link, out, size - 1);

	out[n > 0 ? n : 0] = '\0';
	/* Another one may lie there already. */
	if (n > 0 && sv_ends(sv_z(out), SV(DELETED)))
		out[(size_t)n - (sizeof(DELETED) - 1)] = '\0';
	return n > 0;
}

bool daemon_path(const char *program, const char *name, char *out, size_t size)
{
	size_t slash = sv_rfind(sv_z(program), '/');

	if (slash != SIZE_MAX) {
		int len = snprintf(out, size, "%.*s/%s", (int)slash, program, name);
		if (len > 0 && (size_t)len < size && access(out, X_OK) == 0)
			return true;
	}
	int len = snprintf(out, size, "%s/%s", POSTROOM_LIBEXECDIR, name);

	return len > 0 && (size_t)len < size && access(out, X_OK) == 0;
}

bool daemon_is_wanted(const struct conf *conf, size_t i)
{
	char program[4096], path[4096];

	if (i != WEBD)
		return true;
	for (size_t k = 0; k < conf->listener_count; k++)
		if (conf->listeners[k].kind & LISTENERS_WEBD)
			return program_path(getpid(), program, sizeof(program)) &&
			       daemon_path(program, daemon_names[i], path, sizeof(path));
	return false;
}

static bool note_ready(void *arg, const struct json *line)
{
	bool *is_ready = arg, ready;

	if (json_get_bool(line, "ready", &ready))       /* the master's line has it: every worker has started */
		*is_ready = ready;
	return true;
}

bool daemon_answers(const struct instance *instance, const char *name)
{
	bool is_ready = false;
	struct fault f = control_ask(instance, name, SV("{\"verb\":\"status\"}"), note_ready, &is_ready, ASK_MS);

	return !f.kind && is_ready;
}

/* One connection, to where the listener can be reached from this host. */
static bool takes_connection(const struct conf_listener *l)
{
	union {
		struct sockaddr any;
		struct sockaddr_un local;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} to = { 0 };
	socklen_t len;

	if (l->path) {
		to.local.sun_family = AF_UNIX;
		if (strlen(l->path) >= sizeof(to.local.sun_path))
			return false;
		memcpy(to.local.sun_path, l->path, strlen(l->path) + 1);
		len = sizeof(to.local);
	} else if (strcmp(l->address, "*") == 0 || inet_pton(AF_INET, l->address, &to.v4.sin_addr) == 1) {
		to.v4.sin_family = AF_INET;
		to.v4.sin_port = htons((uint16_t)l->port);
		if (to.v4.sin_addr.s_addr == INADDR_ANY)
			to.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		len = sizeof(to.v4);
	} else if (inet_pton(AF_INET6, l->address, &to.v6.sin6_addr) == 1) {
		to.v6.sin6_family = AF_INET6;
		to.v6.sin6_port = htons((uint16_t)l->port);
		if (IN6_IS_ADDR_UNSPECIFIED(&to.v6.sin6_addr))
			to.v6.sin6_addr = in6addr_loopback;
		len = sizeof(to.v6);
	} else {
		return false;
	}
	int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	bool is_open = connect(fd, &to.any, len) == 0;

	if (!is_open && errno == EINPROGRESS) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		int error = 0;
		socklen_t error_len = sizeof(error);
		is_open = poll(&p, 1, CONNECT_MS) == 1 &&
			  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) == 0 && error == 0;
	}
	close(fd);
	return is_open;
}

/* Where sockets have no place (listener_bind()). */
static bool is_left_out(const struct conf_listener *l)
{
	return l->path && path_is_read_only(l->path);
}

bool daemons_answer(const struct instance *instance, const struct conf *conf, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (daemon_is_wanted(conf, i) && !daemon_answers(instance, daemon_names[i]))
			return false;
	/* Mail does not wait for the web front, whose ports another program may have. */
	for (size_t i = 0; i < conf->listener_count; i++)
		if (!(conf->listeners[i].kind & LISTENERS_WEBD) && !is_left_out(&conf->listeners[i]) && !takes_connection(&conf->listeners[i]))
			return false;
	return true;
}
