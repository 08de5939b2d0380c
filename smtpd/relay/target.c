#include "smtpd/relay/target.h"

#include <stdio.h>

#include "common/banned.h"

static struct client_target base(const struct conf *conf)
{
	return (struct client_target){
		.tls = CLIENT_TLS_MAY,
		.hostname = conf->host.hostname,
		.connect_ms = (uint32_t)conf->relay.connect_ms,
		.reply_ms = (uint32_t)conf->relay.reply_ms,
	};
}

bool target_of_local(const struct conf *conf, struct client_target *to)
{
	*to = base(conf);
	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		if (l->kind != LISTENER_LMTP || !l->path)
			continue;
		snprintf(to->path, sizeof(to->path), "%s", l->path);
		to->is_lmtp = true;
		return true;
	}
	return false;
}

/* A smarthost with a password gets it over TLS that is proven to be its own. */
static void smarthost_target(const struct relay *r, const struct target_way *way, struct client_target *to)
{
	struct sv name = smarthost_address(sv_z(destination_way(way->destination)), &to->is_lmtp);
	bool has_login;

	name.len = sv_rfind(name, ':');
	if (to->at.port == 465)
		to->tls = CLIENT_TLS_DIRECT;
	has_login = smarthosts_login(r->smarthosts, name, &to->user, &to->password);
	if (!has_login && way->destination[0] != '+')
		return;
	if (to->tls != CLIENT_TLS_DIRECT && !netaddr_is_loopback(&to->at))
		to->tls = CLIENT_TLS_MUST;
	if (!netaddr_is_loopback(&to->at)) {
		to->expect.trust = TLS_TRUST_NAMES;
		to->expect.names = way->smarthost;
		to->expect.name_count = 1;
	}
}

struct client_target target_of_hop(struct relay *r, const struct conf *conf, const struct target_way *way)
{
	const struct route_hop *hop = way->hop;
	struct client_target to = base(conf);

	to.at = hop->at;
	snprintf(to.host, sizeof(to.host), "%s", hop->host);
	to.expect.sni = hop->host[0] ? hop->host : NULL;
	*way->smarthost = hop->host;
	if (way->policy) {
		to.expect = way->policy->expect;
		to.tls = way->policy->kind != TLSPOLICY_MAY ? CLIENT_TLS_MUST
			 : way->is_clear                    ? CLIENT_TLS_OFF : CLIENT_TLS_MAY;
	} else {
		smarthost_target(r, way, &to);
	}
	return to;
}
