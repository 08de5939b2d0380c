/* Names without an account: aliases, and the recipients of relay domains. */
#include <stdlib.h>

#include "common/directory_private.h"

#include "common/banned.h"

#define ALIAS_OCTETS_MAX (8u << 20)     /* of one alias, with all of its targets */

/* --- aliases --- */

struct alias_edit {
	struct name name;
	struct directory_alias alias;   /* targets in the form in which they are kept */
	bool may_replace;
};

static struct fault put_alias(struct kv_txn *txn, void *arg)
{
	const struct alias_edit *e = arg;
	struct name_row name;
	struct directory_domain d;
	struct fault f = domain_find(txn, e->name.domain, &d);

	if (f.kind)
		return f;
	f = name_read(txn, &e->name, &name);
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	if (!f.kind && (!e->may_replace || name.id[0]))
		return name_taken(&e->name);
	return name_write_alias(txn, &e->name, &e->alias);
}

static struct fault keep_targets(struct arena *a, const struct sv *from, size_t count, const struct sv **out)
{
	struct sv *list = arena_array(a, count, sizeof(*list));
	struct fault f = list || !count ? FAULT_OK : fault(FAULT_LIMIT, "too many targets");

	for (size_t i = 0; i < count && !f.kind; i++)
		f = target_from_text(a, from[i], &list[i]);
	*out = list;
	return f;
}

/* check_list - bounces that came back to the list would be sent to everybody, and come back again. */
static struct fault check_list(const struct directory_alias *alias, const struct name *n)
{
	struct name owner;
	struct fault f = name_from_text(alias->owner, &owner);

	if (!f.kind && !strcmp(owner.local, n->local) && !strcmp(owner.domain, n->domain))
		f = fault(FAULT_INVALID, "a list cannot be its own owner: bounces would go round");
	return f;
}

struct fault directory_alias_put(struct directory *dir, const struct directory_alias *alias, bool may_replace)
{
	struct alias_edit e = { .may_replace = may_replace, .alias = *alias };
	struct arena a;
	struct fault f = name_seen(dir, alias->address, &e.name);

	if (f.kind)
		return f;
	if (!alias->count || alias->count > DIRECTORY_ALIAS_TARGETS_MAX)
		return fault_detail(FAULT_INVALID, "an alias has 1 to %d targets", DIRECTORY_ALIAS_TARGETS_MAX);
	if (alias->named_count > DIRECTORY_NAMED_MAX)
		return fault_detail(FAULT_INVALID, "at most %d may be named", DIRECTORY_NAMED_MAX);
	if (alias->is_list)
		f = check_list(alias, &e.name);
	if (f.kind)
		return f;
	arena_init(&a, ALIAS_OCTETS_MAX);
	f = keep_targets(&a, alias->targets, alias->count, &e.alias.targets);
	if (!f.kind)
		f = keep_targets(&a, alias->named, alias->named_count, &e.alias.named);
	if (!f.kind && alias->is_list)
		f = target_from_text(&a, alias->owner, &e.alias.owner);
	if (!f.kind)
		f = kv_update(dir->env, put_alias, &e);
	arena_done(&a);
	return f;
}

struct fault directory_alias_add(struct directory *dir, struct sv address, const struct sv *targets, size_t count)
{
	return directory_alias_put(dir, &(struct directory_alias){ .address = address, .targets = targets, .count = count }, false);
}

struct fault directory_alias_set(struct directory *dir, struct sv address, const struct sv *targets, size_t count)
{
	struct directory_alias alias = { .address = address };
	struct arena arena;
	struct fault f;

	arena_init(&arena, ALIAS_OCTETS_MAX);
	if (directory_alias_get(dir, &arena, address, &alias).kind)
		alias = (struct directory_alias){ .address = address };
	alias.targets = targets;
	alias.count = count;
	f = directory_alias_put(dir, &alias, true);
	arena_done(&arena);
	return f;
}

static struct fault remove_alias(struct kv_txn *txn, void *arg)
{
	const struct alias_edit *e = arg;
	char text[DIRECTORY_ADDRESS_MAX + 1];
	struct name_row name;
	struct kv_key key;
	struct fault f = name_read(txn, &e->name, &name);

	name_text(&e->name, text);
	if (f.kind == FAULT_NOT_FOUND || (!f.kind && (name.id[0] || name.is_relayed)))
		return fault_detail(FAULT_NOT_FOUND, "there is no alias %s", text);
	name_key(&e->name, &key);
	return f.kind ? f : kv_del(txn, DT_NAMES, kv_key_view(&key));
}

struct fault directory_alias_remove(struct directory *dir, struct sv address)
{
	struct alias_edit e = { .may_replace = false };
	struct fault f = name_seen(dir, address, &e.name);

	return f.kind ? f : kv_update(dir->env, remove_alias, &e);
}

struct fault directory_alias_list(struct directory *dir, struct sv domain, directory_alias_fn *fn, void *arg)
{
	struct listing l;
	struct sv *targets;
	struct arena a;
	struct fault f = listing_begin_names(&l, dir, domain);

	if (f.kind)
		return f;
	targets = xcalloc(DIRECTORY_ALIAS_TARGETS_MAX + DIRECTORY_NAMED_MAX, sizeof(*targets));
	arena_init(&a, ALIAS_OCTETS_MAX);
	while (!f.kind && !(f = listing_next(&l)).kind) {
		struct directory_alias alias;
		struct name_row row;
		struct name n;

		f = name_decode(l.value, &row);
		if (!f.kind)
			f = name_of_key(l.key, &n);
		if (f.kind || row.id[0] || row.is_relayed)
			continue;
		arena_clear(&a);
		f = alias_read(&a, &n, &row, targets, targets + DIRECTORY_ALIAS_TARGETS_MAX, &alias);
		if (f.kind || !fn(arg, &alias))
			break;
	}
	f = listing_end(&l, f);
	arena_done(&a);
	free(targets);
	return f;
}

/* --- recipients of relay domains --- */

static struct fault put_relayed(struct kv_txn *txn, void *arg)
{
	const struct name *n = arg;
	struct directory_domain d;
	struct name_row row;
	struct fault f = domain_find(txn, n->domain, &d);

	if (!f.kind && !d.relay)
		f = fault_detail(FAULT_INVALID, "%s is no relay domain", n->domain);
	if (f.kind)
		return f;
	f = name_read(txn, n, &row);
	if (!f.kind)
		return name_taken(n);
	return f.kind == FAULT_NOT_FOUND ? name_write_relayed(txn, n) : f;
}

struct fault directory_relay_add(struct directory *dir, struct sv address)
{
	struct name n;
	struct fault f = name_seen(dir, address, &n);

	return f.kind ? f : kv_update(dir->env, put_relayed, &n);
}

static struct fault remove_relayed(struct kv_txn *txn, void *arg)
{
	const struct name *n = arg;
	struct name_row row;
	struct kv_key key;
	struct fault f = name_read(txn, n, &row);

	name_key(n, &key);
	if (f.kind == FAULT_NOT_FOUND || (!f.kind && !row.is_relayed))
		return fault_detail(FAULT_NOT_FOUND, "%s@%s is no recipient of a relay domain", n->local, n->domain);
	return f.kind ? f : kv_del(txn, DT_NAMES, kv_key_view(&key));
}

struct fault directory_relay_remove(struct directory *dir, struct sv address)
{
	struct name n;
	struct fault f = name_seen(dir, address, &n);

	return f.kind ? f : kv_update(dir->env, remove_relayed, &n);
}

struct fault directory_relay_list(struct directory *dir, struct sv domain, directory_relay_fn *fn, void *arg)
{
	char text[DIRECTORY_ADDRESS_MAX + 1];
	struct name_row row;
	struct listing l;
	struct name n;
	struct fault f = listing_begin_names(&l, dir, domain);

	if (f.kind)
		return f;
	while (!f.kind && !(f = listing_next(&l)).kind) {
		f = name_decode(l.value, &row);
		if (!f.kind)
			f = name_of_key(l.key, &n);
		if (f.kind || !row.is_relayed)
			continue;
		name_text(&n, text);
		if (!fn(arg, sv_z(text)))
			break;
	}
	return listing_end(&l, f);
}
