#include "common/elsewhere.h"

#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/ldapauth.h"
#include "common/master.h"
#include "common/memory.h"
#include "common/saslauthd.h"

#include "common/banned.h"

struct elsewhere {
	struct ldapauth *ldap;          /* NULL: there is none */
	struct saslauthd *saslauthd;
	struct conf_list ldap_domains, saslauthd_domains;
};

/* ---- for which domains ---- */

static bool is_for_somebody(const struct conf_list *domains)
{
	return domains->count && !conf_list_is_none(domains);
}

static void copy_list(const struct conf_list *from, struct conf_list *to)
{
	to->items = xcalloc(from->count + 1, sizeof(*to->items));
	for (size_t i = 0; i < from->count; i++)
		to->items[to->count++] = xstrdup(from->items[i]);
}

static void free_list(struct conf_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
}

static bool list_covers(const struct conf_list *domains, struct sv address)
{
	size_t at = sv_rfind(address, '@');

	for (size_t i = 0; i < domains->count; i++) {
		struct sv domain = sv_z(domains->items[i]);

		if (sv_eq(domain, SV("all")) || (at != SIZE_MAX && sv_eq_nocase(domain, sv_sub(address, at + 1, address.len))))
			return true;
	}
	return false;
}

static bool is_for_saslauthd(const struct conf_auth *conf)
{
	return is_for_somebody(&conf->saslauthd_domains);
}

static bool is_for_ldap(const struct conf_auth *conf)
{
	return conf->ldap_url[0] && is_for_somebody(&conf->ldap_domains);
}

/* ---- opening ---- */

struct elsewhere *elsewhere_open(const struct conf_auth *conf)
{
	struct elsewhere *e;

	if (!is_for_ldap(conf) && !is_for_saslauthd(conf))
		return NULL;
	e = xcalloc(1, sizeof(*e));
	if (is_for_ldap(conf)) {
		e->ldap = ldapauth_open(conf);
		copy_list(&conf->ldap_domains, &e->ldap_domains);
	}
	if (is_for_saslauthd(conf)) {
		e->saslauthd = saslauthd_open(conf);
		copy_list(&conf->saslauthd_domains, &e->saslauthd_domains);
	}
	return e;
}

void elsewhere_close(struct elsewhere **at)
{
	struct elsewhere *e = *at;

	if (!e)
		return;
	*at = NULL;
	ldapauth_close(&e->ldap);
	saslauthd_close(&e->saslauthd);
	free_list(&e->ldap_domains);
	free_list(&e->saslauthd_domains);
	free(e);
}

size_t elsewhere_ports(const struct conf_auth *conf, uint16_t ports[], size_t count)
{
	struct ldapauth_place place;

	if (count < DAEMON_PORTS_MAX && conf->ldap_url[0] && ldapauth_parse(sv_z(conf->ldap_url), &place))
		ports[count++] = place.port;
	if (!count && is_for_saslauthd(conf))
		ports[count++] = 0;
	return count;
}

/* ---- asking ---- */

bool elsewhere_covers(const struct elsewhere *e, struct sv address)
{
	return list_covers(&e->ldap_domains, address) || list_covers(&e->saslauthd_domains, address);
}

enum elsewhere_answer elsewhere_check(struct elsewhere *e, struct sv address, struct sv password)
{
	if (!password.len)
		return ELSEWHERE_WRONG;
	/* No domain is in both lists: conf.c. */
	if (list_covers(&e->saslauthd_domains, address))
		return saslauthd_check(e->saslauthd, address, password);
	return ldapauth_check(e->ldap, address, password);
}

/* ---- pauses ---- */

void elsewhere_pause_begin(struct elsewhere_pause *p)
{
	atomic_store(&p->until_ms, clock_ms() + ELSEWHERE_PAUSE_MS);
}

void elsewhere_pause_end(struct elsewhere_pause *p)
{
	if (atomic_load(&p->until_ms))
		atomic_store(&p->until_ms, 0);
}

bool elsewhere_is_paused(struct elsewhere_pause *p, uint64_t patience_ms)
{
	uint64_t until = atomic_load(&p->until_ms), now = clock_ms();

	if (!until)
		return false;
	return now < until || !atomic_compare_exchange_strong(&p->until_ms, &until, now + patience_ms);
}
