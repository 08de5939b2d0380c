#include "common/dnsclient.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#include "common/banned.h"

#define UDP_MAX 512             /* without EDNS (RFC 1035 §4.2.1) */
#define UDP_TRIES 2

static int64_t now_ms(void)
{
	return (int64_t)clock_ms();
}

/* Until fd is ready; false at the deadline. */
static bool wait_for(int fd, short events, int64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left = deadline_ms - now_ms();

	return left > 0 && poll(&p, 1, (int)left) == 1;
}

bool dnsclient_parse_server(const char *text, struct netaddr *out)
{
	struct sv rest = sv_z(text), address = rest;
	size_t at = sv_find(rest, '@');
	uint32_t port = DNSCLIENT_PORT;

	if (at != SIZE_MAX) {
		address = sv_sub(rest, 0, at);
		if (!sv_to_u32(sv_sub(rest, at + 1, SIZE_MAX), &port) || !port || port > UINT16_MAX)
			return false;
	}
	if (!netaddr_parse(address, out))
		return false;
	out->port = (uint16_t)port;
	return true;
}

static int64_t patience_ms(struct sv message)
{
	struct dnsmessage_reader r;

	return dnsmessage_read(&r, message) && r.opcode == DNSMESSAGE_UPDATE ? DNSCLIENT_UPDATE_MS : DNSCLIENT_TIMEOUT_MS;
}

static struct fault open_socket(const struct netaddr *server, int type, int *out)
{
	union netaddr_name to;
	socklen_t len = netaddr_to(server, &to);
	char text[NETADDR_TEXT_MAX];
	int fd = socket(to.sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool is_connected = fd >= 0 && (connect(fd, &to.sa, len) == 0 || errno == EINPROGRESS);

	if (!is_connected) {
		struct fault f = fault_detail(FAULT_UNAVAILABLE, "%s: %s", netaddr_text(server, text).p, strerrordesc_np(errno));
		if (fd >= 0)
			close(fd);
		return f;
	}
	*out = fd;
	return FAULT_OK;
}

/* Is it the answer to this message? The socket is connected, so it comes from where we asked. */
static bool is_answer(struct sv message, struct sv reply, bool *is_truncated)
{
	struct dnsmessage_reader asked, answered;

	if (!dnsmessage_read(&asked, message) || !dnsmessage_read(&answered, reply) || !answered.is_reply)
		return false;
	*is_truncated = answered.is_truncated;
	return asked.id == answered.id && asked.opcode == answered.opcode && asked.type == answered.type &&
	       strcmp(asked.name, answered.name) == 0;
}

static struct fault by_udp(const struct netaddr *server, struct sv message, struct buf *reply, bool *is_truncated)
{
	char text[NETADDR_TEXT_MAX];
	int fd;
	struct fault f = open_socket(server, SOCK_DGRAM, &fd);

	if (f.kind)
		return f;
	for (int i = 0; i < UDP_TRIES; i++) {
		int64_t deadline = now_ms() + patience_ms(message) / UDP_TRIES;

		if (send(fd, message.p, message.len, MSG_NOSIGNAL) < 0)
			break;
		while (wait_for(fd, POLLIN, deadline)) {
			ssize_t n = recv(fd, reply->p, reply->cap, 0);

			if (n < 0)
				break;          /* nobody listens there */
			reply->len = (size_t)n;
			if (is_answer(message, buf_sv(reply), is_truncated)) {
				close(fd);
				return FAULT_OK;
			}
		}
	}
	close(fd);
	return fault_detail(FAULT_UNAVAILABLE, "%s does not answer", netaddr_text(server, text).p);
}

static bool send_all(int fd, struct sv octets, int64_t deadline_ms)
{
	while (octets.len) {
		ssize_t n = wait_for(fd, POLLOUT, deadline_ms) ? send(fd, octets.p, octets.len, MSG_NOSIGNAL) : -1;

		if (n < 0)
			return false;
		sv_skip(&octets, (size_t)n);
	}
	return true;
}

static bool receive_all(int fd, char *p, size_t len, int64_t deadline_ms)
{
	while (len) {
		ssize_t n = wait_for(fd, POLLIN, deadline_ms) ? recv(fd, p, len, 0) : -1;

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static struct fault by_tcp(const struct netaddr *server, struct sv message, struct buf *reply)
{
	int64_t deadline = now_ms() + patience_ms(message);
	unsigned char length[2] = { (unsigned char)(message.len >> 8), (unsigned char)message.len };
	char text[NETADDR_TEXT_MAX];
	bool is_truncated, is_done;
	int fd;
	struct fault f = open_socket(server, SOCK_STREAM, &fd);

	if (f.kind)
		return f;
	is_done = send_all(fd, sv_from((const char *)length, 2), deadline) && send_all(fd, message, deadline) &&
		  receive_all(fd, (char *)length, 2, deadline);
	reply->len = is_done ? (size_t)length[0] << 8 | length[1] : 0;
	is_done = is_done && receive_all(fd, reply->p, reply->len, deadline) && is_answer(message, buf_sv(reply), &is_truncated);
	close(fd);
	return is_done ? FAULT_OK : fault_detail(FAULT_UNAVAILABLE, "%s does not answer over TCP", netaddr_text(server, text).p);
}

struct fault dnsclient_exchange(const struct netaddr *server, struct sv message, struct buf *reply)
{
	bool is_truncated = message.len > UDP_MAX;
	struct fault f = FAULT_OK;

	buf_clear(reply);
	if (!buf_reserve(reply, DNSMESSAGE_MAX))
		return fault(FAULT_INTERNAL, "no room for an answer");
	if (!is_truncated)
		f = by_udp(server, message, reply, &is_truncated);
	return !f.kind && is_truncated ? by_tcp(server, message, reply) : f;
}
