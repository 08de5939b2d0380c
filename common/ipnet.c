#include "common/ipnet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "common/banned.h"

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static bool is_mapped(const uint8_t addr[static 16])
{
	return memcmp(addr, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

/* Zero what is behind the first bits. */
static void keep_bits(uint8_t addr[static 16], unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned here = bits > i * 8 ? bits - i * 8 : 0;

		if (here < 8)
			addr[i] &= (uint8_t)(0xff00 >> here);
	}
}

bool ipnet_parse(struct sv text, struct ipnet *out)
{
	char z[INET6_ADDRSTRLEN];
	size_t slash = sv_find(text, '/');
	struct sv host = slash == SIZE_MAX ? text : sv_sub(text, 0, slash);
	struct ipnet net = { .bits = 128 };
	uint8_t kept[16];
	uint32_t bits;
	bool v4;

	if (!host.len || host.len >= sizeof(z) || sv_find(host, '\0') != SIZE_MAX)
		return false;
	memcpy(z, host.p, host.len);
	z[host.len] = '\0';
	v4 = inet_pton(AF_INET, z, net.addr + 12) == 1;
	if (v4)
		memcpy(net.addr, mapped_prefix, sizeof(mapped_prefix));
	else if (inet_pton(AF_INET6, z, net.addr) != 1)
		return false;
	if (slash != SIZE_MAX) {
		if (!sv_to_u32(sv_sub(text, slash + 1, SIZE_MAX), &bits) || bits > (v4 ? 32 : 128))
			return false;
		net.bits = (uint8_t)(bits + (v4 ? 96 : 0));
	}
	memcpy(kept, net.addr, sizeof(kept));
	keep_bits(kept, net.bits);
	if (memcmp(kept, net.addr, sizeof(kept)) != 0)
		return false;
	*out = net;
	return true;
}

void ipnet_format(const struct ipnet *net, char out[static IPNET_TEXT_MAX])
{
	bool v4 = is_mapped(net->addr) && net->bits >= 96;
	char host[INET6_ADDRSTRLEN];

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, net->addr + (v4 ? 12 : 0), host, sizeof(host)))
		host[0] = '\0';
	if (net->bits == 128)
		snprintf(out, IPNET_TEXT_MAX, "%s", host);
	else
		snprintf(out, IPNET_TEXT_MAX, "%s/%d", host, net->bits - (v4 ? 96 : 0));
}

bool ipnet_has(const struct ipnet *net, const uint8_t addr[static 16])
{
	uint8_t kept[16];

	memcpy(kept, addr, sizeof(kept));
	keep_bits(kept, net->bits);
	return memcmp(kept, net->addr, sizeof(kept)) == 0;
}

void ipnet_mask(uint8_t addr[static 16], unsigned v4_bits, unsigned v6_bits)
{
	keep_bits(addr, is_mapped(addr) ? 96 + v4_bits : v6_bits);
}
