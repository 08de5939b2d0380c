#include "common/identity.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/fault.h"
#include "common/identity_private.h"
#include "common/memory.h"

#include "common/banned.h"

struct auth_identity {
	atomic_uint refs;
	struct sv address, account, label, mechanism, peer, tls;        /* owned */
	unsigned scope;
	uint32_t credential;
};

static struct sv own(struct sv s)
{
	return sv_from(sv_copy_z(s), s.len);
}

struct auth_identity *identity_new(const struct identity_facts *facts)
{
	struct auth_identity *id = xcalloc(1, sizeof(*id));

	atomic_init(&id->refs, 1);
	id->address = own(facts->address);
	id->account = own(facts->account);
	id->label = own(facts->label);
	id->mechanism = own(facts->mechanism);
	id->peer = own(facts->peer);
	id->tls = own(facts->tls);
	id->scope = facts->scope;
	id->credential = facts->credential;
	return id;
}

struct auth_identity *identity_for_admin(struct sv address, struct sv account)
{
	struct auth_identity *id = identity_new(&(struct identity_facts){
		.address = address,
		.account = account,
		.label = SV("admin"),
		.mechanism = SV("admin"),
		.scope = SCOPE_ALL,
	});

	return id;
}

struct auth_identity *identity_for_web(struct sv address, struct sv account)
{
	return identity_new(&(struct identity_facts){
		.address = address,
		.account = account,
		.label = SV("web"),
		.mechanism = SV("web"),
		.scope = SCOPE_WEB,
	});
}

struct auth_identity *identity_for_local(struct sv address)
{
	return identity_new(&(struct identity_facts){
		.address = address,
		.label = SV("local"),
		.mechanism = SV("local"),
		.scope = SCOPE_SUBMISSION,
	});
}

struct auth_identity *identity_for_device(struct sv address)
{
	return identity_new(&(struct identity_facts){
		.address = address,
		.label = SV("device"),
		.mechanism = SV("device"),
		.scope = SCOPE_SUBMISSION,
	});
}

struct auth_identity *identity_ref(const struct auth_identity *id)
{
	struct auth_identity *shared = (struct auth_identity *)(uintptr_t)id;   /* only the count changes */

	atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
	return shared;
}

void identity_unref(struct auth_identity **at)
{
	struct auth_identity *id = *at;

	if (!id)
		return;
	*at = NULL;
	if (atomic_fetch_sub_explicit(&id->refs, 1, memory_order_acq_rel) != 1)
		return;
	struct sv *owned[] = { &id->address, &id->account, &id->label, &id->mechanism, &id->peer, &id->tls };

	for (size_t i = 0; i < ARRAY_LEN(owned); i++)
		free((char *)(uintptr_t)owned[i]->p);
	free(id);
}

struct sv identity_address(const struct auth_identity *id)
{
	return id->address;
}

struct sv identity_account(const struct auth_identity *id)
{
	return id->account;
}

unsigned identity_scope(const struct auth_identity *id)
{
	return id->scope;
}

uint32_t identity_credential(const struct auth_identity *id)
{
	return id->credential;
}

struct sv identity_label(const struct auth_identity *id)
{
	return id->label;
}

struct sv identity_mechanism(const struct auth_identity *id)
{
	return id->mechanism;
}

struct sv identity_peer(const struct auth_identity *id)
{
	return id->peer;
}

struct sv identity_tls(const struct auth_identity *id)
{
	return id->tls;
}
