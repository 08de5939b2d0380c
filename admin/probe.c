#include "admin/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#include "common/banned.h"

#define TARGETS_MAX 16
#define REPLY_MAX 4096
#define SMTP_DEADLINE_MS 12000          /* a stranger waits for the greeting */

int64_t probe_now_ms(void)
{
	return (int64_t)clock_ms();
}

bool probe_wait(int fd, short events, int64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left = deadline_ms - probe_now_ms();

	return left > 0 && poll(&p, 1, (int)left) == 1;
}

static int begin(const struct netaddr *to, const char **why)
{
	union netaddr_name at;
	socklen_t len = netaddr_to(to, &at);
	int fd = socket(at.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, &at.sa, len) != 0 && errno != EINPROGRESS) {
		*why = strerrordesc_np(errno);
		close(fd);
		fd = -1;
	}
	return fd;
}

/* take_ready - the first that is connected is *out; those that have failed are closed. Returns how many are still on their way. */
static size_t take_ready(struct pollfd *fds, size_t count, int *out, const char **why)
{
	size_t left = 0;

	for (size_t i = 0; i < count; i++) {
		int error = 0;
		socklen_t len = sizeof(error);

		if (fds[i].fd >= 0 && fds[i].revents) {
			getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &len);
			if (!error && *out < 0) {
				*out = fds[i].fd;
			} else {
				*why = error ? strerrordesc_np(error) : *why;
				close(fds[i].fd);
			}
			fds[i].fd = -1;
		}
		left += fds[i].fd >= 0;
	}
	return left;
}

int probe_connect(const struct netaddr *to, size_t count, const char **why)
{
	int64_t deadline = probe_now_ms() + PROBE_TIMEOUT_MS;
	struct pollfd fds[TARGETS_MAX];
	size_t used = count < TARGETS_MAX ? count : TARGETS_MAX, left = 0;
	int out = -1;

	*why = "no answer";
	for (size_t i = 0; i < used; i++) {
		fds[i] = (struct pollfd){ .fd = begin(&to[i], why), .events = POLLOUT };
		left += fds[i].fd >= 0;
	}
	while (left && out < 0) {
		int64_t wait_ms = deadline - probe_now_ms();

		if (wait_ms <= 0 || poll(fds, used, (int)wait_ms) <= 0)
			break;
		left = take_ready(fds, used, &out, why);
	}
	for (size_t i = 0; i < used; i++)
		if (fds[i].fd >= 0)
			close(fds[i].fd);
	return out;
}

bool probe_own_address(const struct conf_listener *l, struct netaddr *out)
{
	if (l->path)
		return false;
	if (strcmp(l->address, "*") == 0) {
		if (!netaddr_parse(SV("127.0.0.1"), out))
			return false;
	} else if (!netaddr_parse(sv_z(l->address), out)) {
		return false;
	}
	static const uint8_t any[16] = { 0 };

	if (out->family == NET_IPV6 && memcmp(out->ip, any, sizeof(any)) == 0)
		out->ip[15] = 1;
	else if (out->family == NET_IPV4 && memcmp(out->ip + 12, any, 4) == 0)
		out->ip[12] = 127, out->ip[15] = 1;
	out->port = (uint16_t)l->port;
	return true;
}

/* ---- TLS ---- */

/* smtp_says - send a command (or nothing: the greeting), read the whole reply; does it begin with this code? */
static bool smtp_says(int fd, const char *command, const char *code, int64_t deadline_ms)
{
	char reply[REPLY_MAX];
	size_t len = 0, line = 0;

	if (*command && send(fd, command, strlen(command), MSG_NOSIGNAL) < 0)
		return false;
	while (len < sizeof(reply)) {
		ssize_t n = probe_wait(fd, POLLIN, deadline_ms) ? recv(fd, reply + len, sizeof(reply) - len, 0) : 0;

		if (n <= 0)
			return false;
		len += (size_t)n;
		for (size_t i = line; i + 1 < len; i++)
			if (reply[i] == '\r' && reply[i + 1] == '\n') {
				if (i - line < 4 || reply[line + 3] != '-')
					return sv_starts(sv_sub(sv_from(reply, len), line, 3), sv_z(code));
				line = i + 2;
			}
	}
	return false;
}

static struct fault shake_hands(struct tls_conn *c, int fd)
{
	int64_t deadline = probe_now_ms() + PROBE_TIMEOUT_MS;

	for (;;) {
		enum tls_io io = tls_handshake(c);

		if (io == TLS_DONE)
			return FAULT_OK;
		if (io != TLS_WANT_READ && io != TLS_WANT_WRITE)
			return fault_detail(FAULT_UNAVAILABLE, "TLS: %s", tls_error(c));
		if (!probe_wait(fd, io == TLS_WANT_READ ? POLLIN : POLLOUT, deadline))
			return fault(FAULT_UNAVAILABLE, "TLS: no answer");
	}
}

struct fault probe_certificate(struct tls_client *client, const struct conf_listener *listener, const char *name,
			       struct tls_cert_facts *out, const char **doubt)
{
	struct tls_expect expect = { .sni = name, .trust = TLS_TRUST_ANY, .names = &name, .name_count = 1 };
	struct tls_conn *c = NULL;
	struct netaddr to;
	const char *why;
	int fd;

	*doubt = NULL;
	if (!probe_own_address(listener, &to))
		return fault(FAULT_UNAVAILABLE, "not on the network");
	fd = probe_connect(&to, 1, &why);
	if (fd < 0)
		return fault_detail(FAULT_UNAVAILABLE, "%s", why);

	int64_t deadline = probe_now_ms() + SMTP_DEADLINE_MS;
	struct fault f = FAULT_OK;

	if (listener->tls == CONF_TLS_STARTTLS &&
	    !(smtp_says(fd, "", "220", deadline) && smtp_says(fd, "EHLO localhost\r\n", "250", deadline) &&
	      smtp_says(fd, "STARTTLS\r\n", "220", deadline)))
		f = fault(FAULT_UNAVAILABLE, "no STARTTLS");
	if (!f.kind)
		f = tls_client_conn_new(client, &expect, fd, &c);
	if (!f.kind)
		f = shake_hands(c, fd);
	if (!f.kind && !tls_peer_cert(c, out))
		f = fault(FAULT_UNAVAILABLE, "TLS: no certificate");
	if (!f.kind)
		*doubt = tls_peer_doubt(c);
	if (c)
		tls_say_goodbye(c);
	tls_conn_free(&c);
	close(fd);
	return f;
}
