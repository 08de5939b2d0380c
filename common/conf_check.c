/* What one option alone does not show: whether they go together, and what is a language of its own. */
#include <stdlib.h>
#include <unistd.h>

#include "common/conf_private.h"
#include "common/expiry.h"
#include "common/ldapauth.h"
#include "common/memory.h"

#include "common/banned.h"

bool conf_is_address(const char *text)
{
	struct ipnet net;

	return strcmp(text, "*") == 0 || (!strchr(text, '/') && ipnet_parse(sv_z(text), &net));
}

static unsigned line_of(const struct conf *conf, const char *name)
{
	const struct conf_option *option = conf_option_find(sv_z(name));

	return option ? conf->private->set_line[conf_option_index(option)] : 0;
}

/* Letters, digits and hyphens in labels of 1 to 63 octets (RFC 5321 §4.1.2, RFC 1123 §2.1). */
static bool is_hostname(struct sv name)
{
	struct sv label;
	bool any = false;

	if (name.len > 253)
		return false;
	while (sv_split(&name, '.', &label)) {
		any = true;
		if (!label.len || label.len > 63 || label.p[0] == '-' ||
		    label.p[label.len - 1] == '-')
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (!ascii_is_alpha(label.p[i]) && !ascii_is_digit(label.p[i]) &&
			    label.p[i] != '-')
				return false;
	}
	return any;
}

static void default_hostname(struct conf *conf)
{
	char name[256] = "";

	if (gethostname(name, sizeof(name) - 1) != 0 || !is_hostname(sv_z(name)))
		name[0] = '\0';
	conf->host.hostname = xstrdup(name[0] ? name : "localhost");
}

/* Pairs of which the first may not be larger than the second. */
static void check_pairs(const struct conf_reading *r)
{
	static const char *const pairs[][2] = {
		{ "failure-delay", "failure-delay-max" },
		{ "strangers-per-address", "strangers-per-network" },
		{ "smtp-bad-commands", "smtp-bad-commands-max" },
		{ "smtp-unknown-recipients", "smtp-unknown-recipients-max" },
		{ "header-field-size", "header-size" },
		{ "imap-line-prelogin", "imap-line" },
		{ "imap-literal", "imap-command" },
		{ "imap-literal-prelogin", "imap-literal" },
		{ "queue-retry", "queue-retry-max" },
		{ "relay-connections-per-destination", "relay-connections" },
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		const struct conf_option *small = conf_option_find(sv_z(pairs[i][0]));
		const struct conf_option *large = conf_option_find(sv_z(pairs[i][1]));
		const char *base = (const char *)r->conf;
		uint64_t a, b;

		memcpy(&a, base + small->offset, sizeof(a));
		memcpy(&b, base + large->offset, sizeof(b));
		if (a > b) {
			unsigned line = line_of(r->conf, pairs[i][0]),
				 other = line_of(r->conf, pairs[i][1]);

			conf_complain(r, line > other ? line : other, "%s is larger than %s",
				    pairs[i][0], pairs[i][1]);
		}
	}
}

static void check_store(const struct conf_reading *r)
{
	const struct conf_store *store = &r->conf->store;
	struct expiry_rule rule;
	uint64_t percent;

	for (size_t i = 0; i < store->expire.count && !conf_list_is_none(&store->expire); i++)
		if (!expiry_parse(sv_z(store->expire.items[i]), &rule))
			conf_complain(r, line_of(r->conf, "expire"),
				    "expire: \"%s\" is no rule; expected one such as trash=30d or "
				    "Lists/News=12w, at least 1h",
				    store->expire.items[i]);
	for (size_t i = 0; i < store->quota_warnings.count && !conf_list_is_none(&store->quota_warnings); i++)
		if (!sv_to_u64(sv_z(store->quota_warnings.items[i]), &percent) || percent < 1 || percent > 100)
			conf_complain(r, line_of(r->conf, "quota-warnings"),
				    "quota-warnings: \"%s\" is not a number from 1 to 100",
				    store->quota_warnings.items[i]);
}

static void check_issuer(const struct conf_reading *r)
{
	const struct conf_auth *auth = &r->conf->auth;

	if (!*auth->oauth_issuer)
		return;
	if (!sv_starts(sv_z(auth->oauth_issuer), SV("https://")) || auth->oauth_issuer[8] == '\0')
		conf_complain(r, line_of(r->conf, "oauth-issuer"),
			    "oauth-issuer: \"%s\" is no such URL; expected one such as https://login.example.org/realms/staff",
			    auth->oauth_issuer);
	if (!*auth->oauth_audience)
		conf_complain(r, line_of(r->conf, "oauth-issuer"),
			    "oauth-issuer needs oauth-audience: the name under which the issuer knows this mail server");
}

static void check_template(const struct conf_reading *r, const char *option, const char *template)
{
	struct buf text;

	buf_init(&text, LDAPAUTH_TEXT_MAX);
	if (*template && !ldapauth_expand(template, SV("a@b"), &text))
		conf_complain(r, line_of(r->conf, option), "%s: \"%s\" has a %% that is none of %%u, %%n, %%d and %%%%", option, template);
	buf_done(&text);
}

static void check_ldap(const struct conf_reading *r)
{
	const struct conf_auth *auth = &r->conf->auth;
	struct ldapauth_place place;

	check_template(r, "ldap-dn", auth->ldap_dn);
	check_template(r, "ldap-filter", auth->ldap_filter);
	if (*auth->ldap_url && !ldapauth_parse(sv_z(auth->ldap_url), &place))
		conf_complain(r, line_of(r->conf, "ldap-url"),
			    "ldap-url: \"%s\" is no such URL; expected one such as ldaps://ldap.example.org", auth->ldap_url);
	if (!*auth->ldap_url && !conf_list_is_none(&auth->ldap_domains))
		conf_complain(r, line_of(r->conf, "ldap-domains"), "ldap-domains needs ldap-url: which directory knows their passwords");
	if (*auth->ldap_url && !*auth->ldap_dn && !*auth->ldap_base)
		conf_complain(r, line_of(r->conf, "ldap-url"), "ldap-url needs ldap-dn, or ldap-base to search below");
}

#define SOCKET_PATH_MAX 107             /* of sockaddr_un, without its end */

static bool is_in(const struct conf_list *list, const char *word)
{
	for (size_t i = 0; i < list->count; i++)
		if (sv_eq_nocase(sv_z(list->items[i]), sv_z(word)))
			return true;
	return false;
}

/* check_saslauthd - a password is in one place. */
static void check_saslauthd(const struct conf_reading *r)
{
	const struct conf_list *ldap = &r->conf->auth.ldap_domains, *domains = &r->conf->auth.saslauthd_domains;

	if (strlen(r->conf->auth.saslauthd_socket) > SOCKET_PATH_MAX)
		conf_complain(r, line_of(r->conf, "saslauthd-socket"), "saslauthd-socket: the path of a socket has at most %d octets", SOCKET_PATH_MAX);
	if (conf_list_is_none(ldap) || conf_list_is_none(domains))
		return;
	for (size_t i = 0; i < domains->count; i++)
		if (is_in(ldap, domains->items[i]) || is_in(ldap, "all") || is_in(domains, "all"))
			conf_complain(r, line_of(r->conf, "saslauthd-domains"),
				    "saslauthd-domains: \"%s\" is in ldap-domains, too: a password is asked for in one place", domains->items[i]);
}

static void check_addresses(const struct conf_reading *r, const char *option, const struct conf_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (!conf_is_address(list->items[i]))
			conf_complain(r, line_of(r->conf, option), "%s: \"%s\" is not a numeric address, nor *", option, list->items[i]);
}

/* check_legacy - a listener that lets nobody in, or whose devices can reach nobody, is not what was meant. */
static void check_legacy(const struct conf_reading *r)
{
	const struct conf_legacy *legacy = &r->conf->legacy;
	const struct conf_list *to = &legacy->recipients;
	bool is_there = !conf_list_is_none(&legacy->bind);

	if (is_there)
		check_addresses(r, "legacy-bind", &legacy->bind);
	for (size_t i = 0; i < r->conf->listener_count; i++)
		is_there |= r->conf->listeners[i].kind == LISTENER_LEGACY;
	if (is_there && !legacy->networks.count)
		conf_complain(r, line_of(r->conf, "legacy-bind"), "a legacy listener needs legacy-networks: which devices may use it");
	if (*legacy->sender && !strchr(legacy->sender, '@'))
		conf_complain(r, line_of(r->conf, "legacy-sender"), "legacy-sender: \"%s\" is not an address", legacy->sender);
	for (size_t i = 0; i < to->count && !conf_list_is_none(to); i++)
		if (!strchr(to->items[i], '@') && !is_hostname(sv_z(to->items[i])))
			conf_complain(r, line_of(r->conf, "legacy-recipients"), "legacy-recipients: \"%s\" is neither an address nor a domain",
				    to->items[i]);
}

void conf_check(const struct conf_reading *r)
{
	struct conf *conf = r->conf;

	if (!conf->host.hostname)
		default_hostname(conf);
	else if (!is_hostname(sv_z(conf->host.hostname)))
		conf_complain(r, line_of(conf, "hostname"), "hostname: \"%s\" is not a host name; expected one such as mail.example.org",
			      conf->host.hostname);
	check_addresses(r, "bind", &conf->host.bind);
	check_legacy(r);
	check_pairs(r);
	check_store(r);
	check_issuer(r);
	check_ldap(r);
	check_saslauthd(r);
}
