#include "common/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "common/memory.h"

#include "common/banned.h"

/* ---- the header ---- */

#define V1_MAX 107 /* CRLF included */
#define V2_HEAD 16

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static unsigned u16_at(struct sv s, size_t at)
{
	return (unsigned)(unsigned char)s.p[at] << 8 | (unsigned char)s.p[at + 1];
}

static bool take_port(struct sv text, uint16_t *out)
{
	uint32_t n;

	if (!sv_to_u32(text, &n) || n > UINT16_MAX)
		return false;
	*out = (uint16_t)n;
	return true;
}

/* parse_v1 - "PROXY TCP4 192.0.2.1 198.51.100.1 35646 25". */
static bool parse_v1(struct sv line, struct netaddr *peer)
{
	struct sv words[6];
	uint16_t other;
	size_t count = 0;

	while (count < ARRAY_LEN(words) && sv_split(&line, ' ', &words[count]))
		count++;
	if (count >= 2 && sv_eq(words[1], SV("UNKNOWN"))) {
		*peer = (struct netaddr){ .family = NET_NONE };
		return true;
	}
	return count == 6 && !line.p &&
	       (sv_eq(words[1], SV("TCP4")) || sv_eq(words[1], SV("TCP6"))) && words[2].len &&
	       words[2].p[0] != '[' && netaddr_parse(words[2], peer) &&
	       (sv_find(words[2], ':') == SIZE_MAX) == sv_eq(words[1], SV("TCP4")) &&
	       take_port(words[4], &peer->port) && take_port(words[5], &other);
}

static bool parse_v2(struct sv in, size_t len, struct netaddr *peer)
{
	unsigned command = (unsigned char)in.p[12], family = (unsigned char)in.p[13];

	*peer = (struct netaddr){ .family = NET_NONE };
	if (command == 0x20) /* LOCAL */
		return true;
	if (command != 0x21)
		return false;
	if (family == 0x11 && len >= V2_HEAD + 12) {
		peer->family = NET_IPV4;
		peer->ip[10] = peer->ip[11] = 0xff;
		memcpy(peer->ip + 12, in.p + V2_HEAD, 4);
		peer->port = (uint16_t)u16_at(in, V2_HEAD + 8);
		return true;
	}
	if (family == 0x21 && len >= V2_HEAD + 36) {
		char text[NETADDR_TEXT_MAX];
		uint16_t port = (uint16_t)u16_at(in, V2_HEAD + 32);

		/* Through its text, so that a mapped IPv4 address is one. */
		peer->family = NET_IPV6;
		memcpy(peer->ip, in.p + V2_HEAD, 16);
		if (!netaddr_parse(netaddr_text(peer, text), peer))
			return false;
		peer->port = port;
		return true;
	}
	return family == 0x00; /* UNSPEC */
}

enum feed proxy_parse(struct sv in, size_t *len, struct netaddr *peer)
{
	size_t n = in.len < sizeof(signature) ? in.len : sizeof(signature), end;

	if (in.len && in.p[0] == '\r') {
		if (memcmp(in.p, signature, n) != 0)
			return FEED_BAD;
		if (in.len < V2_HEAD)
			return FEED_MORE;
		*len = V2_HEAD + u16_at(in, 14);
		if (*len > PROXY_MAX)
			return FEED_BAD;
		if (in.len < *len)
			return FEED_MORE;
		return parse_v2(in, *len, peer) ? FEED_DONE : FEED_BAD;
	}
	if (!sv_starts(SV("PROXY "), sv_sub(in, 0, 6)))
		return FEED_BAD;
	end = sv_find(sv_sub(in, 0, V1_MAX), '\n');
	if (end == SIZE_MAX)
		return in.len < V1_MAX ? FEED_MORE : FEED_BAD;
	if (!end || in.p[end - 1] != '\r')
		return FEED_BAD;
	*len = end + 1;
	return parse_v1(sv_sub(in, 0, end - 1), peer) ? FEED_DONE : FEED_BAD;
}

/* ---- waiting for it ---- */

#define LOOK_AGAIN_MS 20

struct herald {
	struct loop_member member;
	struct loop *loop;
	uv_poll_t *poll; /* its memory lives until its close callback */
	struct timer again, deadline;
	proxy_fn *fn;
	void *arg;
	int fd;
};

static void free_poll(uv_handle_t *handle)
{
	free(handle);
}

static void end(struct herald *h)
{
	loop_leave(&h->member);
	timer_stop(&h->again);
	timer_stop(&h->deadline);
	if (h->poll)
		uv_close((uv_handle_t *)h->poll, free_poll);
	free(h);
}

static void tell(struct herald *h, const struct netaddr *peer, const char *why)
{
	proxy_fn *fn = h->fn;
	void *arg = h->arg;
	int fd = h->fd;

	end(h);
	fn(arg, fd, peer, why);
}

/* look - without taking anything: what stands behind the header is the client's, and may be TLS. */
static void look(struct herald *h)
{
	char octets[PROXY_MAX];
	ssize_t n = recv(h->fd, octets, sizeof(octets), MSG_PEEK);
	struct netaddr peer;
	size_t len = 0;
	enum feed feed = FEED_MORE;

	if (n > 0)
		feed = proxy_parse(sv_from(octets, (size_t)n), &len, &peer);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		tell(h, NULL, "the connection is gone");
	else if (feed == FEED_BAD)
		tell(h, NULL, "this is no PROXY header");
	else if (feed == FEED_DONE && recv(h->fd, octets, len, 0) != (ssize_t)len)
		tell(h, NULL, "the connection is gone");
	else if (feed == FEED_DONE)
		tell(h, &peer, NULL);
	else if (n > 0) {
		/* What was peeked at is still there: the socket stays readable. */
		uv_poll_stop(h->poll);
		timer_start_ms(&h->again, LOOK_AGAIN_MS);
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)events;
	if (status < 0)
		tell(poll->data, NULL, "the connection is gone");
	else
		look(poll->data);
}

static void on_again(struct timer *t)
{
	struct herald *h = CONTAINER_OF(t, struct herald, again);

	if (uv_poll_start(h->poll, UV_READABLE, on_readable))
		tell(h, NULL, "cannot watch the connection");
}

static void on_deadline(struct timer *t)
{
	struct herald *h = CONTAINER_OF(t, struct herald, deadline);

	tell(h, NULL, h->poll ? "no PROXY header in time" : "cannot watch the connection");
}

static void on_loop_end(struct loop_member *m)
{
	struct herald *h = CONTAINER_OF(m, struct herald, member);
	int fd = h->fd;

	end(h);
	close(fd);
}

void proxy_expect(struct loop *loop, int fd, uint32_t timeout_ms, proxy_fn *fn, void *arg)
{
	struct herald *h = xcalloc(1, sizeof(*h));

	h->loop = loop;
	h->fd = fd;
	h->fn = fn;
	h->arg = arg;
	h->member.close = on_loop_end;
	loop_join(loop, &h->member);
	timer_init(&h->again, loop, on_again);
	timer_init(&h->deadline, loop, on_deadline);
	timer_start_ms(&h->deadline, timeout_ms);
	h->poll = xcalloc(1, sizeof(*h->poll));
	h->poll->data = h;
	if (uv_poll_init(loop_uv(loop), h->poll, fd)) {
		free(h->poll);
		h->poll = NULL;
		timer_start_ms(&h->deadline, 0);
	} else if (uv_poll_start(h->poll, UV_READABLE, on_readable)) {
		timer_start_ms(&h->deadline, 0);
	}
}
