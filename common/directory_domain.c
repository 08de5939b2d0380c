/* Domains: made, changed, removed, listed. Every change of the directory is one transaction, whose function may run again: it keeps
 * nothing between runs. */
#include <time.h>

#include "common/directory_private.h"

#include "common/banned.h"

struct domain_edit {
	char name[ADDRESS_DOMAIN_MAX + 1];
	const struct directory_domain *set;
};

static struct fault add_domain(struct kv_txn *txn, void *arg)
{
	const struct domain_edit *e = arg;
	struct directory_domain d = { .separator = '+', .created_s = (int64_t)time(NULL) }, first;
	struct fault f = domain_read(txn, sv_z(e->name), &d);

	if (!f.kind)
		return fault_detail(FAULT_EXISTS, "the domain %s exists already", e->name);
	if (f.kind != FAULT_NOT_FOUND)
		return f;
	memcpy(d.name, e->name, sizeof(d.name));
	f = domain_write(txn, &d);
	if (!f.kind)
		f = domain_default(txn, &first);
	return f.kind == FAULT_NOT_FOUND ? kv_put(txn, DT_META, SV("default-domain"), sv_z(e->name)) : f;
}

struct fault directory_domain_add(struct directory *dir, struct sv name)
{
	struct domain_edit e = { .set = NULL };
	struct fault f = domain_seen(dir, name, e.name);

	if (!f.kind && e.name[0] == '[')
		f = fault(FAULT_INVALID, "an address literal is not a domain name");
	return f.kind ? f : kv_update(dir->env, add_domain, &e);
}

struct fault domain_find(struct kv_txn *txn, const char *name, struct directory_domain *out)
{
	struct fault f = domain_read(txn, sv_z(name), out);

	return f.kind == FAULT_NOT_FOUND ? fault_detail(FAULT_NOT_FOUND, "there is no domain %s", name) : f;
}

struct fault directory_domain_get(struct directory *dir, struct sv name, struct directory_domain *out)
{
	char canonical[ADDRESS_DOMAIN_MAX + 1];
	struct kv_txn *txn = NULL;
	struct fault f = domain_seen(dir, name, canonical);

	if (!f.kind)
		f = kv_read_begin(dir->env, &txn);
	if (f.kind)
		return f;
	f = domain_find(txn, canonical, out);
	kv_read_end(&txn);
	return f;
}

/* check_alias_of - one step only: chains would lead in circles one day. */
static struct fault check_alias_of(struct kv_txn *txn, const struct domain_edit *e, char out[ADDRESS_DOMAIN_MAX + 1])
{
	struct directory_domain other;
	struct fault f = domain_from_text(sv_z(e->set->alias_of), out);

	if (!f.kind)
		f = domain_find(txn, out, &other);
	if (!f.kind && (other.alias_of[0] || !strcmp(other.name, e->name)))
		f = fault_detail(FAULT_INVALID, "%s is an alias of another domain itself", out);
	return f;
}

static struct fault set_domain(struct kv_txn *txn, void *arg)
{
	const struct domain_edit *e = arg;
	struct directory_domain d;
	struct name n;
	struct fault f = domain_find(txn, e->name, &d);

	if (f.kind)
		return f;
	d.separator = e->set->separator;
	d.relay = e->set->relay;
	d.catch_all[0] = '\0';
	if (e->set->catch_all[0]) {
		f = name_from_text(sv_z(e->set->catch_all), &n);
		if (f.kind)
			return f;
		name_text(&n, d.catch_all);
	}
	d.alias_of[0] = '\0';
	if (e->set->alias_of[0]) {
		f = check_alias_of(txn, e, d.alias_of);
		if (f.kind)
			return f;
	}
	return domain_write(txn, &d);
}

struct fault directory_domain_set(struct directory *dir, const struct directory_domain *domain)
{
	struct domain_edit e = { .set = domain };
	struct fault f = domain_seen(dir, sv_z(domain->name), e.name);

	if (f.kind)
		return f;
	/* One that may stand in any address, or in front of every host, would cut names where nobody expects it. */
	if (domain->separator && !strchr("+-=_#", domain->separator))
		return fault(FAULT_INVALID, "a separator is one of + - = _ #");
	return kv_update(dir->env, set_domain, &e);
}

/* Is there a name in this domain? */
static struct fault has_names(struct kv_txn *txn, const char *domain, bool *has)
{
	struct kv_cursor *c = NULL;
	struct kv_key from;
	struct sv key;
	struct fault f = kv_cursor_open(txn, DT_NAMES, &c);

	name_key_prefix(sv_z(domain), &from);
	if (!f.kind)
		f = kv_cursor_seek(c, kv_key_view(&from), &key, NULL);
	*has = !f.kind && sv_starts(key, kv_key_view(&from));
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault first_domain(struct kv_txn *txn, char out[ADDRESS_DOMAIN_MAX + 1])
{
	struct kv_cursor *c = NULL;
	struct sv key, value;
	struct directory_domain d;
	int64_t oldest = INT64_MAX;
	struct fault f = kv_cursor_open(txn, DT_DOMAINS, &c);

	out[0] = '\0';
	if (!f.kind)
		f = kv_cursor_seek(c, SV_NONE, &key, &value);
	while (!f.kind) {
		f = domain_decode(key, value, &d);
		if (f.kind)
			break;
		if (!out[0] || d.created_s < oldest) {
			oldest = d.created_s;
			memcpy(out, d.name, sizeof(d.name));
		}
		f = kv_cursor_next(c, &key, &value);
	}
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault remove_domain(struct kv_txn *txn, void *arg)
{
	const struct domain_edit *e = arg;
	char next[ADDRESS_DOMAIN_MAX + 1];
	struct directory_domain d;
	bool is_used = false;
	struct fault f = domain_find(txn, e->name, &d);

	if (!f.kind)
		f = has_names(txn, e->name, &is_used);
	if (!f.kind && is_used)
		f = fault_detail(FAULT_DENIED, "the domain %s still has accounts or aliases", e->name);
	if (!f.kind)
		f = kv_del(txn, DT_DOMAINS, sv_z(e->name));
	if (!f.kind)
		f = delegates_forget_domain(txn, e->name);
	if (f.kind)
		return f;
	f = domain_default(txn, &d);
	if (f.kind != FAULT_NOT_FOUND)
		return f;
	f = first_domain(txn, next);    /* the default went: the oldest of the rest takes its place */
	if (f.kind)
		return f;
	return next[0] ? kv_put(txn, DT_META, SV("default-domain"), sv_z(next)) :
			 kv_del(txn, DT_META, SV("default-domain"));
}

struct fault directory_domain_remove(struct directory *dir, struct sv name)
{
	struct domain_edit e = { .set = NULL };
	struct fault f = domain_seen(dir, name, e.name);

	return f.kind ? f : kv_update(dir->env, remove_domain, &e);
}

struct fault directory_domain_default(struct directory *dir, struct directory_domain *out)
{
	struct kv_txn *txn = NULL;
	struct fault f = kv_read_begin(dir->env, &txn);

	if (f.kind)
		return f;
	f = domain_default(txn, out);
	kv_read_end(&txn);
	return f.kind == FAULT_NOT_FOUND ? fault(FAULT_NOT_FOUND, "there is no domain") : f;
}

struct fault directory_domain_list(struct directory *dir, directory_domain_fn *fn, void *arg)
{
	struct listing l;
	struct directory_domain d;
	struct fault f = listing_begin(&l, dir, DT_DOMAINS);

	while (!f.kind && !(f = listing_next(&l)).kind) {
		if (!directory_sees(dir, l.key))
			continue;
		f = domain_decode(l.key, l.value, &d);
		if (!f.kind && !fn(arg, &d))
			break;
	}
	return listing_end(&l, f);
}
