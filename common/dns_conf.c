/* The resolver as postroom.conf describes it. */
#include "common/dns.h"

#include "common/banned.h"

#define PORT_DNS 53

static bool is_word(const char *item, const char *word)
{
	return sv_eq_nocase(sv_z(item), sv_z(word));
}

static struct fault new_from_conf(struct loop *loop, const struct conf_dns *conf, bool forgets_absence, struct dns **out)
{
	struct sv servers[DNS_PORTS_MAX];
	const char *anchors[DNS_PORTS_MAX];
	struct dns_settings settings = { .forwarders = servers,
					 .anchor_files = anchors,
					 .timeout_ms = (uint32_t)conf->timeout_ms,
					 .forgets_absence = forgets_absence };

	for (size_t i = 0; i < conf->servers.count && settings.forwarder_count < ARRAY_LEN(servers);
	     i++) {
		if (is_word(conf->servers.items[i], "system"))
			settings.use_system = true;
		else if (!is_word(conf->servers.items[i], "recursive"))
			servers[settings.forwarder_count++] = sv_z(conf->servers.items[i]);
	}
	for (size_t i = 0; i < conf->anchors.count && settings.anchor_count < ARRAY_LEN(anchors);
	     i++) {
		if (is_word(conf->anchors.items[i], "root"))
			settings.has_root_anchors = true;
		else if (!is_word(conf->anchors.items[i], "none"))
			anchors[settings.anchor_count++] = conf->anchors.items[i];
	}
	return dns_new(loop, &settings, out);
}

struct fault dns_new_from_conf(struct loop *loop, const struct conf_dns *conf, struct dns **out)
{
	return new_from_conf(loop, conf, false, out);
}

struct fault dns_new_for_waiting(struct loop *loop, const struct conf_dns *conf, struct dns **out)
{
	return new_from_conf(loop, conf, true, out);
}

size_t dns_ports(const struct conf_dns *conf, uint16_t ports[DNS_PORTS_MAX])
{
	size_t count = 0;

	ports[count++] = PORT_DNS;
	for (size_t i = 0; i < conf->servers.count && count < DNS_PORTS_MAX; i++) {
		struct sv item = sv_z(conf->servers.items[i]);
		size_t at = sv_find(item, '@');
		uint32_t port;

		if (at != SIZE_MAX && sv_to_u32(sv_sub(item, at + 1, SIZE_MAX), &port) && port &&
		    port <= UINT16_MAX)
			ports[count++] = (uint16_t)port;
	}
	return count;
}
