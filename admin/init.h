/* admin/init.h - an instance made. Blocks. */
#ifndef ADMIN_INIT_H
#define ADMIN_INIT_H

#include "common/address.h"
#include "common/fault.h"
#include "common/instance.h"

#define INIT_SERVICE_USER "postroom"

/* What was asked for. Names are in A-labels. */
struct init_plan {
	const char *domain, *hostname;
	const char *bind, *user;        /* NULL: every address; whoever makes it */
	uint64_t port_offset;
};

/** init_instance - configuration, certificate, DKIM keys and directory, in a folder that is made when missing. What an earlier
 *  attempt left half finished is completed; of what this one made nothing stays when it fails.
 *  Errors: those of instance_create(), FAULT_INVALID. */
MUST_CHECK struct fault init_instance(const char *root, const struct init_plan *plan, struct instance **out);

#endif
