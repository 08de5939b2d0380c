/* Listening sockets: opened, taken over from the service manager, handed on to workers. */
#include "common/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/handover.h"
#include "common/listener_private.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/readonly.h"

#include "common/banned.h"

#define BACKLOG 1024

void listener_close_rows(struct listener_set *set, bool is_owner)
{
	for (size_t i = 0; i < set->count; i++) {
		struct row *row = &set->rows[i];

		if (row->listener.fd < 0)
			continue;
		close(row->listener.fd);
		row->listener.fd = -1;
		if (row->path && is_owner && !row->is_passed)
			unlink(row->path);
	}
}

static socklen_t name_of(const struct row *row, union socket_name *name)
{
	const struct netaddr *at = &row->listener.at;

	memset(name, 0, sizeof(*name));
	if (at->family != NET_UNIX) {
		socklen_t len = netaddr_to(at, &name->ip);

		if (!len)
			BUG("listener %s has no address", row->name);
		return len;
	}
	name->un.sun_family = AF_UNIX;
	if (strlen(row->path) >= sizeof(name->un.sun_path))
		return 0;
	memcpy(name->un.sun_path, row->path, strlen(row->path));
	return sizeof(name->un);
}

struct fault listener_row_fault(const struct row *row, const char *problem)
{
	char text[NETADDR_TEXT_MAX];
	enum fault_kind kind = errno == EACCES || errno == EPERM ? FAULT_DENIED : FAULT_UNAVAILABLE;

	if (row->path)
		return fault_detail(kind, "%s %s: %s", row->name, row->path, problem);
	netaddr_text_port(&row->listener.at, text);
	return fault_detail(kind, "%s %s: %s", row->name, text, problem);
}

/* Somebody who was killed leaves the name of his socket behind. Whether anybody still answers
 * decides. */
static bool is_abandoned(const union socket_name *name, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_refused = fd >= 0 && connect(fd, &name->sa, len) && errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return is_refused;
}

/* make_folder - of a socket that others reach: /run is empty after each start of the host. */
static bool make_folder(const char *path)
{
	char folder[PATH_SIZE];
	const char *slash = strrchr(path, '/');

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 0, path);
	return folder[0] && !mkdir(folder, 0700) && !chmod(folder, 0755);
}

static bool bind_unix(int fd, const char *path, const union socket_name *name, socklen_t len, mode_t mode)
{
	struct stat st;
	bool is_bound = !bind(fd, &name->sa, len);

	if (!is_bound && errno == ENOENT && make_folder(path))
		is_bound = !bind(fd, &name->sa, len);
	if (!is_bound) {
		if (errno != EADDRINUSE || lstat(path, &st) || !S_ISSOCK(st.st_mode) ||
		    !is_abandoned(name, len)) {
			errno = EADDRINUSE;
			return false;
		}
		if (unlink(path) || bind(fd, &name->sa, len))
			return false;
	}
	/* Nobody can connect before listen(). */
	return !chmod(path, mode);
}

static struct fault bind_row(struct row *row)
{
	union socket_name name;
	socklen_t len = name_of(row, &name);
	int on = 1, off = 0, fd;

	if (!len)
		return listener_row_fault(row, "the path is too long for a socket");
	fd = socket(name.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 && row->is_any && errno == EAFNOSUPPORT) {
		/* A host without IPv6. */
		row->listener.at.family = NET_IPV4;
		memset(row->listener.at.ip, 0, sizeof(row->listener.at.ip));
		len = name_of(row, &name);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	if (fd < 0)
		return listener_row_fault(row, strerrordesc_np(errno));
	bool is_bound;

	if (row->path) {
		/* Whoever connects to a local one says nothing about himself that the kernel does not. */
		is_bound = bind_unix(fd, row->path, &name, len, row->listener.kind->kind == LISTENER_LOCAL ? 0666 : 0660);
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (name.sa.sa_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, row->is_any ? &off : &on,
				   sizeof(on));
		is_bound = !bind(fd, &name.sa, len);
	}
	if (!is_bound || listen(fd, BACKLOG)) {
		struct fault f = listener_row_fault(row, strerrordesc_np(errno));
		close(fd);
		return f;
	}
	row->listener.fd = fd;
	return FAULT_OK;
}

/* The address a descriptor listens on; false when it does not listen. */
static bool listens_at(int fd, struct netaddr *at, char path[PATH_SIZE])
{
	union socket_name name;
	int is_listening = 0;
	socklen_t size = sizeof(is_listening), len = sizeof(name);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) || !is_listening)
		return false;
	memset(&name, 0, sizeof(name));
	if (getsockname(fd, &name.sa, &len))
		return false;
	*at = netaddr_from(&name.sa, len);
	path[0] = '\0';
	if (at->family == NET_UNIX) {
		memcpy(path, name.un.sun_path, PATH_SIZE - 1);
		path[PATH_SIZE - 1] = '\0';
	}
	return true;
}

static void adopt(struct row *row, int fd, const struct netaddr *at)
{
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	row->listener.fd = fd;
	row->listener.at = *at;
	row->is_passed = true;
}

static const struct netaddr every_ipv4 = { .family = NET_IPV4 };

/* Is the passed socket the one this row means? */
static bool is_meant(const struct row *row, struct sv name, const struct netaddr *at,
		     const char *path)
{
	if (sv_eq(name, sv_z(row->name)))
		return true;
	if (row->path)
		return at->family == NET_UNIX && strcmp(path, row->path) == 0;
	if (!at->port || at->port != row->listener.at.port)
		return false;
	/* On a host without IPv6 "every address" is one of IPv4. */
	return netaddr_eq_ip(at, &row->listener.at) || (row->is_any && netaddr_eq_ip(at, &every_ipv4));
}

/* Those that our parent kept from who was here before us: ours as if we had bound them. */
static void take_kept_sockets(struct listener_set *set)
{
	int fds[HANDOVER_MAX];
	size_t count = handover_sockets(fds);
	char path[PATH_SIZE];

	for (size_t k = 0; k < count; k++) {
		struct netaddr at;
		bool is_taken = false;

		for (size_t i = 0; listens_at(fds[k], &at, path) && i < set->count && !is_taken; i++) {
			struct row *row = &set->rows[i];

			is_taken = row->listener.fd < 0 && is_meant(row, SV_NONE, &at, path);
			if (is_taken) {
				adopt(row, fds[k], &at);
				row->is_passed = false;
			}
		}
		if (!is_taken)
			close(fds[k]);
	}
}

static void take_passed_sockets(struct listener_set *set)
{
	/* Those of `postroom serve` are for all its daemons: what is not meant for us is for another one. */
	bool is_shared = false;
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	struct sv names = sv_z(getenv("LISTEN_FDNAMES")), name;
	char path[PATH_SIZE];
	uint32_t n;

	if (!pid || !fds || !sv_to_u32(sv_z(pid), &n))
		return;
	is_shared = n == (uint32_t)getppid();
	if ((!is_shared && n != (uint32_t)getpid()) || !sv_to_u32(sv_z(fds), &n) || n > LISTENERS_PASSED_MAX)
		return;
	for (int fd = LISTENERS_PASSED_FIRST; fd < LISTENERS_PASSED_FIRST + (int)n; fd++) {
		struct netaddr at;
		bool is_taken = false;

		if (!sv_split(&names, ':', &name))
			name = SV_NONE;
		if (!listens_at(fd, &at, path))
			continue;
		for (size_t i = 0; i < set->count && !is_taken; i++) {
			if (set->rows[i].listener.fd < 0 &&
			    is_meant(&set->rows[i], name, &at, path)) {
				adopt(&set->rows[i], fd, &at);
				is_taken = true;
			}
		}
		if (is_taken)
			continue;
		if (!is_shared)
			log_warn(NULL, "listener.passed_unused", KV_SV("name", name),
				 KV_U64("fd", (uint64_t)fd));
		close(fd);
	}
	/* They are ours now, not our children's. */
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

struct fault listener_bind_nothing(struct listener_set *set)
{
	return set->counts ? FAULT_OK : counts_new(&set->counts);
}

struct fault listener_bind(struct listener_set *set)
{
	char path[PATH_SIZE];
	struct fault f = listener_bind_nothing(set);

	if (f.kind)
		return f;
	take_passed_sockets(set);
	take_kept_sockets(set);
	for (size_t i = 0; i < set->count && !f.kind; i++) {
		struct row *row = &set->rows[i];
		struct netaddr at;

		if (row->listener.fd < 0)
			f = bind_row(row);
		bool has_no_place = f.kind && row->path && path_is_read_only(row->path);

		if (f.kind && (row->listener.kind->kind & LISTENERS_OPTIONAL || has_no_place)) {
			log_warn(NULL, "listener.left_out", KV_FAULT("error", f));
			f = FAULT_OK;
			continue;
		}
		/* Port 0 has become a real one. */
		if (!f.kind && listens_at(row->listener.fd, &at, path))
			row->listener.at.port = at.port;
	}
	if (f.kind)
		listener_close_rows(set, true);
	return f;
}

size_t listener_sockets(const struct listener_set *set, int *out, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < set->count && count < max; i++)
		if (set->rows[i].listener.fd >= 0)
			out[count++] = set->rows[i].listener.fd;
	return count;
}

void listener_let_go(struct listener_set *set)
{
	listener_close_rows(set, false);
}

bool listener_export(const struct listener_set *set, struct buf *text)
{
	/* One per line, the number behind the last "="; the counters have no name. */
	for (size_t i = 0; i < set->count; i++) {
		const struct row *row = &set->rows[i];

		if (row->listener.fd < 0)
			continue;
		fcntl(row->listener.fd, F_SETFD, 0);
		if (!buf_appendf(text, "%s=%d\n", row->name, row->listener.fd))
			return false;
	}
	fcntl(counts_fd(set->counts), F_SETFD, 0);
	return buf_appendf(text, "=%d", counts_fd(set->counts));
}

static struct row *find_row(struct listener_set *set, struct sv name)
{
	for (size_t i = 0; i < set->count; i++) {
		if (sv_eq(name, sv_z(set->rows[i].name)))
			return &set->rows[i];
	}
	return NULL;
}

struct fault listener_import(struct listener_set *set, struct sv text, unsigned worker)
{
	char path[PATH_SIZE];
	struct sv line;

	while (sv_split(&text, '\n', &line)) {
		size_t equals = sv_rfind(line, '=');
		struct row *row = NULL;
		struct netaddr at;
		uint32_t fd;

		if (equals == SIZE_MAX || !sv_to_u32(sv_sub(line, equals + 1, SIZE_MAX), &fd) ||
		    fd > INT32_MAX || fcntl((int)fd, F_GETFD) < 0)
			return fault(FAULT_INVALID, "not a list of listening sockets");
		if (!equals) {
			struct fault f = counts_open((int)fd, worker, &set->counts);
			if (f.kind)
				return f;
			fcntl((int)fd, F_SETFD, FD_CLOEXEC);
			continue;
		}
		row = find_row(set, sv_sub(line, 0, equals));
		if (row && row->listener.fd < 0 && listens_at((int)fd, &at, path))
			adopt(row, (int)fd, &at);
		else
			close((int)fd); /* the file has changed: nobody here serves this one */
	}
	return set->counts ? FAULT_OK : fault(FAULT_INVALID, "no connection counters");
}
