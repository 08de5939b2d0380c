#include "common/netaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

#include "common/banned.h"

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
static const uint8_t loopback6[16] = { [15] = 1 };

struct netaddr netaddr_from(const struct sockaddr *sa, size_t len)
{
	struct netaddr a = { NET_NONE, 0, { 0 } };
	union {
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} in;

	if (len < sizeof(sa->sa_family))
		return a;
	switch (sa->sa_family) {
	case AF_UNIX:
		a.family = NET_UNIX;
		break;
	case AF_INET:
		if (len < sizeof(in.v4))
			break;
		memcpy(&in.v4, sa, sizeof(in.v4));
		a.family = NET_IPV4;
		a.port = ntohs(in.v4.sin_port);
		memcpy(a.ip, mapped_prefix, 12);
		memcpy(a.ip + 12, &in.v4.sin_addr, 4);
		break;
	case AF_INET6:
		if (len < sizeof(in.v6))
			break;
		memcpy(&in.v6, sa, sizeof(in.v6));
		a.family = memcmp(&in.v6.sin6_addr, mapped_prefix, 12) ? NET_IPV6 : NET_IPV4;
		a.port = ntohs(in.v6.sin6_port);
		memcpy(a.ip, &in.v6.sin6_addr, 16);
		break;
	}
	return a;
}

socklen_t netaddr_to(const struct netaddr *a, union netaddr_name *out)
{
	memset(out, 0, sizeof(*out));
	switch (a->family) {
	case NET_IPV4:
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(a->port);
		memcpy(&out->v4.sin_addr, a->ip + 12, 4);
		return sizeof(out->v4);
	case NET_IPV6:
		out->v6.sin6_family = AF_INET6;
		out->v6.sin6_port = htons(a->port);
		memcpy(&out->v6.sin6_addr, a->ip, 16);
		return sizeof(out->v6);
	case NET_NONE:
	case NET_UNIX:
		break;
	}
	return 0;
}

bool netaddr_parse(struct sv text, struct netaddr *out)
{
	struct netaddr a = { NET_NONE, 0, { 0 } };
	char z[INET6_ADDRSTRLEN];

	if (text.len > 2 && text.p[0] == '[' && text.p[text.len - 1] == ']') {
		text = sv_sub(text, 1, text.len - 2);
		if (sv_find(text, ':') == SIZE_MAX)
			return false;
	}
	if (!text.len || text.len >= sizeof(z) || sv_find(text, '\0') != SIZE_MAX)
		return false;
	memcpy(z, text.p, text.len);
	z[text.len] = '\0';
	if (inet_pton(AF_INET, z, a.ip + 12) == 1) {
		a.family = NET_IPV4;
		memcpy(a.ip, mapped_prefix, 12);
	} else if (inet_pton(AF_INET6, z, a.ip) == 1) {
		a.family = memcmp(a.ip, mapped_prefix, 12) ? NET_IPV6 : NET_IPV4;
	} else {
		return false;
	}
	*out = a;
	return true;
}

static struct sv put(const struct netaddr *a, char out[NETADDR_TEXT_MAX], bool has_port)
{
	char ip[INET6_ADDRSTRLEN] = "";
	int n = 0;

	switch (a->family) {
	case NET_IPV4:
		inet_ntop(AF_INET, a->ip + 12, ip, sizeof(ip));
		n = snprintf(out, NETADDR_TEXT_MAX, "%s", ip);
		break;
	case NET_IPV6:
		inet_ntop(AF_INET6, a->ip, ip, sizeof(ip));
		n = snprintf(out, NETADDR_TEXT_MAX, has_port ? "[%s]" : "%s", ip);
		break;
	case NET_UNIX:
		n = snprintf(out, NETADDR_TEXT_MAX, "unix");
		has_port = false;
		break;
	case NET_NONE:
		n = snprintf(out, NETADDR_TEXT_MAX, "unknown");
		has_port = false;
		break;
	}
	if (has_port)
		n += snprintf(out + n, NETADDR_TEXT_MAX - (size_t)n, ":%u", a->port);
	return sv_from(out, (size_t)n);
}

bool netaddr_parse_port(struct sv text, struct netaddr *out)
{
	size_t colon = sv_rfind(text, ':');
	uint32_t port;

	if (colon == SIZE_MAX || !sv_to_u32(sv_sub(text, colon + 1, SIZE_MAX), &port) || !port || port > UINT16_MAX ||
	    !netaddr_parse(sv_sub(text, 0, colon), out))
		return false;
	out->port = (uint16_t)port;
	return true;
}

struct sv netaddr_text(const struct netaddr *a, char out[NETADDR_TEXT_MAX])
{
	return put(a, out, false);
}

struct sv netaddr_text_port(const struct netaddr *a, char out[NETADDR_TEXT_MAX])
{
	return put(a, out, true);
}

bool netaddr_is_loopback(const struct netaddr *a)
{
	switch (a->family) {
	case NET_UNIX: return true;
	case NET_IPV4: return a->ip[12] == 127;
	case NET_IPV6: return memcmp(a->ip, loopback6, 16) == 0;
	case NET_NONE: return false;
	}
	return false;
}

bool netaddr_eq_ip(const struct netaddr *a, const struct netaddr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, 16) == 0;
}

bool netaddr_in(const struct netaddr *a, const struct ipnets *list)
{
	const uint8_t *ip = a->family == NET_UNIX ? loopback6 : a->ip;

	for (size_t i = 0; a->family != NET_NONE && i < list->count; i++) {
		if (ipnet_has(&list->items[i], ip))
			return true;
	}
	return false;
}

struct netaddr netaddr_cut(const struct netaddr *a, unsigned v4_bits, unsigned v6_bits)
{
	struct netaddr cut = { .family = a->family };

	memcpy(cut.ip, a->ip, 16);
	if (a->family == NET_IPV4 || a->family == NET_IPV6)
		ipnet_mask(cut.ip, v4_bits, v6_bits);
	return cut;
}
