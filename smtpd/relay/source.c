#include "smtpd/relay/source.h"

#include <unistd.h>

#include "common/banned.h"

/* A datagram socket that is connected knows its own address, and nothing leaves it. */
static bool ask_kernel(const struct netaddr *to, struct netaddr *out)
{
	union netaddr_name name;
	socklen_t len = netaddr_to(to, &name), own_len = sizeof(name);
	int fd = socket(name.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_known = fd >= 0 && !connect(fd, &name.sa, len) && !getsockname(fd, &name.sa, &own_len);

	if (is_known)
		*out = netaddr_from(&name.sa, own_len);
	if (fd >= 0)
		close(fd);
	return is_known;
}

bool (*source_of)(const struct netaddr *to, struct netaddr *out) = ask_kernel;

bool source_needs_name(const struct netaddr *at)
{
	bool is_local = at->family == NET_IPV6 && ((at->ip[0] & 0xfe) == 0xfc || (at->ip[0] == 0xfe && (at->ip[1] & 0xc0) == 0x80));

	return !netaddr_is_loopback(at) && !is_local;
}
