#include "admin/verbs.h"

#include <stdio.h>
#include <string.h>

#include "common/banned.h"

static int run_version(struct cli *cli)
{
	if (cli->json)
		printf("{\"version\":\"%s\"}\n", POSTROOM_VERSION);
	else
		printf("postroom %s\n", POSTROOM_VERSION);
	return EXIT_DONE;
}

const struct verb version_verbs[] = {
	{ .noun = "version", .args = "", .summary = "Print the version of the program",
	  .example = "version", .run = run_version },
	{ .noun = NULL },
};

const struct verb *const all_verbs[] = {
	setup_verbs, init_verbs,
	serve_verbs,
	upgrade_verbs,
	migrate_verbs,
	domain_verbs, delegate_verbs,
	dkim_verbs, dns_verbs, doctor_verbs,
	account_verbs,
	app_password_verbs,
	client_cert_verbs,
	device_verbs,
	auth_verbs,
	apply_verbs,
	send_as_verbs,
	alias_verbs,
	list_verbs,
	recipient_verbs,
	quota_verbs,
	mailbox_verbs,
	deliver_verbs,
	expire_verbs,
	import_verbs,
	index_verbs,
	backup_verbs,
	verify_verbs,
	restore_verbs,
	store_verbs,
	sessions_verbs,
	queue_verbs, hold_verbs, trace_verbs, webhook_verbs,
	reports_verbs,
	explain_verbs,
	sieve_account_verbs,
	sieve_verbs,
	rule_verbs,
	contacts_verbs,
	web_verbs,
	mta_sts_verbs,
	cert_verbs,
	log_verbs,
	conf_verbs,
	manual_verbs, completion_verbs,
	version_verbs,
	NULL,
};

const struct verb *verbs_next(const struct verb *v)
{
	const struct verb *const *group = all_verbs;

	if (v && v[1].noun)
		return v + 1;
	/* v, when there is one, is the last of its group. */
	for (; v && *group; group++) {
		const struct verb *last = *group;

		while (last->noun && last != v)
			last++;
		if (last == v) {
			group++;
			break;
		}
	}
	return *group;
}

const struct verb *verbs_next_of(const char *noun, const struct verb *v)
{
	do
		v = verbs_next(v);
	while (v && strcmp(v->noun, noun) != 0);
	return v;
}
