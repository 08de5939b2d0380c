/* webd/acme/names.h - which names the certificate is to have: those of acme-names; and in place of its word `domains` what mail programs and
 * servers ask of each domain by HTTPS (autoconfig, Autodiscover, MTA-STS), as far as it leads to this host by now.
 * The DNS is looked at before the authority is: who lets it look for proofs in vain is soon shut out. Loop thread. */
#ifndef WEBD_ACME_NAMES_H
#define WEBD_ACME_NAMES_H

#include "common/address.h"
#include "common/conf.h"
#include "common/dns.h"
#include "common/loop.h"
#include "webd/acme/client.h"

struct acme_look;

struct acme_names {
	char text[ACME_NAMES_MAX][ADDRESS_DOMAIN_MAX + 1];
	size_t count;
	const char *missing;            /* the first name of acme-names that surely has no address: nothing can be proven for it; NULL */
};
/** Called once, in a later turn; *names is borrowed for the call. */
typedef void acme_names_fn(void *arg, const struct acme_names *names);

/** acme_names_look - @conf: acme-names, hostname and the certificate's file, which keeps a name that cannot be looked up now;
 *  borrowed until the end. @domains: of ours, separated by '\n'; borrowed for the call. @out: for acme_names_forget(). */
void acme_names_look(struct loop *loop, struct dns *dns, const struct conf *conf, struct sv domains, acme_names_fn *fn, void *arg,
		     struct acme_look **out);
/** acme_names_forget - fn is not called. NULL is fine. */
void acme_names_forget(struct acme_look **look);

#endif
