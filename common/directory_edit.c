#include <stdlib.h>
#include <time.h>

#include "common/crypt.h"
#include "common/directory_private.h"
#include "common/identity.h"

#include "common/banned.h"

/* Changing and listing. Every change is one transaction, whose function may run again: it keeps nothing between runs. */

static struct fault taken(const struct name *n)
{
	char text[DIRECTORY_ADDRESS_MAX + 1];

	name_text(n, text);
	return fault_detail(FAULT_EXISTS, "%s exists already", text);
}

/* --- domains --- */

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

static struct fault no_domain(const char *name, struct fault f)
{
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
	f = no_domain(canonical, domain_read(txn, sv_z(canonical), out));
	kv_read_end(&txn);
	return f;
}

/* check_alias_of - one step only: chains would lead in circles one day. */
static struct fault check_alias_of(struct kv_txn *txn, const struct domain_edit *e, char out[ADDRESS_DOMAIN_MAX + 1])
{
	struct directory_domain other;
	struct fault f = domain_from_text(sv_z(e->set->alias_of), out);

	if (!f.kind)
		f = no_domain(out, domain_read(txn, sv_z(out), &other));
	if (!f.kind && (other.alias_of[0] || !strcmp(other.name, e->name)))
		f = fault_detail(FAULT_INVALID, "%s is an alias of another domain itself", out);
	return f;
}

static struct fault set_domain(struct kv_txn *txn, void *arg)
{
	const struct domain_edit *e = arg;
	struct directory_domain d;
	struct name n;
	struct fault f = no_domain(e->name, domain_read(txn, sv_z(e->name), &d));

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

	kv_key_init(&from);
	kv_key_sv(&from, sv_z(domain));
	kv_key_u8(&from, 0);
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
	struct fault f = no_domain(e->name, domain_read(txn, sv_z(e->name), &d));

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

/* --- walking a table --- */

struct listing {
	struct directory *dir;
	struct kv_txn *txn;
	struct kv_cursor *cursor;
	struct sv key, value;
	bool is_begun;
	size_t at;                              /* of a narrowed directory: its domain that is being listed */
};

static struct fault listing_begin(struct listing *l, struct directory *dir, unsigned table)
{
	*l = (struct listing){ .dir = dir };
	struct fault f = kv_read_begin(dir->env, &l->txn);

	return f.kind ? f : kv_cursor_open(l->txn, table, &l->cursor);
}

/* The next pair whose key begins with prefix; FAULT_NOT_FOUND at the end. */
static struct fault next_with(struct listing *l, struct sv prefix)
{
	struct fault f = l->is_begun ? kv_cursor_next(l->cursor, &l->key, &l->value) :
				       kv_cursor_seek(l->cursor, prefix, &l->key, &l->value);

	l->is_begun = true;
	if (!f.kind && !sv_starts(l->key, prefix))
		f = fault(FAULT_NOT_FOUND, "end");
	return f;
}

static void domain_prefix(struct sv domain, struct kv_key *key)
{
	kv_key_init(key);
	kv_key_sv(key, domain);
	kv_key_u8(key, 0);
}

/* A narrowed directory that is asked for all names has those of its domains, one after the other. */
static struct fault listing_next(struct listing *l, struct sv prefix)
{
	const struct directory_delegate *only = l->dir->only;
	struct fault f = fault(FAULT_NOT_FOUND, "end");

	if (prefix.len || !only)
		return next_with(l, prefix);
	for (; l->at < only->domain_count; l->at++, l->is_begun = false) {
		struct kv_key names;

		domain_prefix(sv_z(only->domains[l->at]), &names);
		f = next_with(l, kv_key_view(&names));
		if (f.kind != FAULT_NOT_FOUND)
			break;
	}
	return f;
}

static void listing_close(struct listing *l)
{
	kv_cursor_close(&l->cursor);
	kv_read_end(&l->txn);
}

static struct fault listing_end(struct listing *l, struct fault f)
{
	listing_close(l);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault directory_domain_list(struct directory *dir, directory_domain_fn *fn, void *arg)
{
	struct listing l;
	struct directory_domain d;
	struct fault f = listing_begin(&l, dir, DT_DOMAINS);

	while (!f.kind && !(f = next_with(&l, SV_NONE)).kind) {
		if (!directory_sees(dir, l.key))
			continue;
		f = domain_decode(l.key, l.value, &d);
		if (!f.kind && !fn(arg, &d))
			break;
	}
	return listing_end(&l, f);
}

/* The names of one domain, or of all: their keys begin with "domain NUL". */
static struct fault names_prefix(const struct directory *dir, struct sv domain, struct kv_key *key)
{
	char canonical[ADDRESS_DOMAIN_MAX + 1];

	kv_key_init(key);
	if (!domain.len)
		return FAULT_OK;
	struct fault f = domain_seen(dir, domain, canonical);

	domain_prefix(sv_z(canonical), key);
	return f;
}

static struct fault name_of_key(struct sv key, struct name *n)
{
	size_t at = sv_find(key, '\0');

	if (at == SIZE_MAX || !copy_text(n->domain, sizeof(n->domain), sv_sub(key, 0, at)) ||
	    !copy_text(n->local, sizeof(n->local), sv_sub(key, at + 1, key.len)))
		return fault(FAULT_CORRUPT, "directory: bad name key");
	return FAULT_OK;
}

/* --- accounts --- */

struct account_edit {
	struct name name;
	struct account_row row;                 /* to be written */
	struct directory_credential credential;
	bool has_credential;
	const struct directory_account *set;
};

static struct fault add_account(struct kv_txn *txn, void *arg)
{
	struct account_edit *e = arg;
	struct account_row row = e->row, old;
	struct name_row name;
	struct directory_domain d;
	struct fault f = no_domain(e->name.domain, domain_read(txn, sv_z(e->name.domain), &d));

	if (f.kind)
		return f;
	f = name_read(txn, &e->name, &name);
	if (f.kind != FAULT_NOT_FOUND)
		return f.kind ? f : taken(&e->name);
	do {
		crypt_random_text(row.pub.id, DIRECTORY_ID_LEN);
		f = account_row_read(txn, sv_z(row.pub.id), &old);
	} while (!f.kind);
	if (f.kind != FAULT_NOT_FOUND)
		return f;
	f = account_write(txn, &row);
	if (!f.kind)
		f = name_write_account(txn, &e->name, row.pub.id);
	if (!f.kind && e->has_credential)
		f = credential_write(txn, row.pub.id, &e->credential);
	e->row.pub = row.pub;
	e->row.pub.revision = 0;
	return f;
}

/* With a password, with a hash, or with neither. */
static struct fault new_account(struct directory *dir, struct sv address, const struct sv *password, struct sv hash,
				uint32_t iterations, struct directory_account *out)
{
	struct account_edit e = { .has_credential = password != NULL };
	struct fault f = name_seen(dir, address, &e.name);

	if (!f.kind)
		f = iterations_check(iterations);
	if (!f.kind && password)
		f = password_check(*password);
	if (!f.kind && hash.len)
		f = passhash_check(hash);
	if (!f.kind && !copy_text(e.row.hash, sizeof(e.row.hash), hash))
		f = fault(FAULT_INVALID, "a password hash is text");
	if (f.kind)
		return f;
	e.row.pub = (struct directory_account){ .is_enabled = true, .scope = SCOPE_ALL, .created_s = (int64_t)time(NULL),
						.is_hashed = hash.len > 0 };
	name_text(&e.name, e.row.pub.address);
	e.row.iterations = iterations;
	e.row.next_number = 1;
	crypt_random(e.row.salt, sizeof(e.row.salt));
	if (password) {
		e.credential = (struct directory_credential){ .label = CREDENTIAL_MAIN_LABEL, .scope = SCOPE_ALL,
							      .created_s = e.row.pub.created_s };
		credential_make_keys(&e.credential, *password, e.row.salt, iterations);
	}
	f = kv_update(dir->env, add_account, &e);
	if (!f.kind && out) {
		*out = e.row.pub;
		out->revision = 1;
	}
	secret_wipe(&e, sizeof(e));
	return f;
}

struct fault directory_account_add(struct directory *dir, struct sv address, const struct sv *password,
				   uint32_t iterations, struct directory_account *out)
{
	return new_account(dir, address, password, SV_NONE, iterations, out);
}

struct fault directory_account_add_hashed(struct directory *dir, struct sv address, struct sv hash, uint32_t iterations,
					  struct directory_account *out)
{
	if (!hash.len)
		return fault(FAULT_INVALID, "no hash");
	return new_account(dir, address, NULL, hash, iterations, out);
}

struct fault directory_account_get(struct directory *dir, struct sv address, struct directory_account *out)
{
	struct kv_txn *txn = NULL;
	struct account_row row;
	struct name n;
	struct fault f = name_seen(dir, address, &n);

	if (!f.kind)
		f = kv_read_begin(dir->env, &txn);
	if (f.kind)
		return f;
	f = account_find(txn, &n, &row);
	kv_read_end(&txn);
	if (!f.kind)
		*out = row.pub;
	return f;
}

struct fault directory_account_by_id(struct directory *dir, struct sv id, struct directory_account *out)
{
	struct kv_txn *txn = NULL;
	struct account_row row;
	struct fault f = kv_read_begin(dir->env, &txn);

	if (f.kind)
		return f;
	f = account_row_read(txn, id, &row);
	kv_read_end(&txn);
	if (!f.kind)
		*out = row.pub;
	return f;
}

static struct fault set_account(struct kv_txn *txn, void *arg)
{
	const struct account_edit *e = arg;
	struct account_row row;
	struct fault f = account_row_read(txn, sv_z(e->set->id), &row);

	if (f.kind == FAULT_NOT_FOUND)
		return fault_detail(FAULT_NOT_FOUND, "the account %s is gone", e->set->address);
	if (f.kind)
		return f;
	if (row.pub.revision != e->set->revision)
		return fault_detail(FAULT_BUSY, "the account %s was changed meanwhile", e->set->address);
	directory_account_copy_settings(&row.pub, e->set);
	row.pub.scope &= SCOPE_ALL;
	row.pub.password_denied &= SCOPE_ALL;
	f = directory_use_check(&row.pub);
	if (f.kind)
		return f;
	return account_write(txn, &row);
}

struct fault directory_account_set(struct directory *dir, const struct directory_account *account)
{
	struct account_edit e = { .set = account };

	return kv_update(dir->env, set_account, &e);
}

static struct fault remove_prefixed(struct kv_txn *txn, unsigned table, const char *id)
{
	struct kv_key from, to;

	kv_key_init(&from);
	kv_key_sv(&from, sv_z(id));
	to = from;
	to.octets[to.len - 1]++;        /* ids are letters and digits: no carry */
	return kv_del_range(txn, table, kv_key_view(&from), kv_key_view(&to), UINT64_MAX, NULL);
}

static struct fault forget_certificates(struct kv_txn *txn, const char *id)
{
	struct directory_credential *all = xcalloc(DIRECTORY_CREDENTIALS_MAX, sizeof(*all));
	size_t count = 0;
	struct fault f = credentials_read(txn, id, all, &count);

	for (size_t i = 0; i < count && !f.kind; i++)
		f = certificate_forget(txn, id, &all[i]);
	secret_wipe(all, DIRECTORY_CREDENTIALS_MAX * sizeof(*all));
	free(all);
	return f;
}

static struct fault remove_account(struct kv_txn *txn, void *arg)
{
	const struct account_edit *e = arg;
	struct account_row row;
	struct kv_key key;
	struct fault f = account_find(txn, &e->name, &row);

	name_key(&e->name, &key);
	if (!f.kind)
		f = kv_del(txn, DT_NAMES, kv_key_view(&key));
	if (!f.kind)
		f = kv_del(txn, DT_ACCOUNTS, sv_z(row.pub.id));
	if (!f.kind)
		f = forget_certificates(txn, row.pub.id);
	if (!f.kind)
		f = remove_prefixed(txn, DT_CREDENTIALS, row.pub.id);
	if (!f.kind)
		f = remove_prefixed(txn, DT_GRANTS, row.pub.id);
	return f;
}

struct fault directory_account_remove(struct directory *dir, struct sv address)
{
	struct account_edit e = { .set = NULL };
	struct fault f = name_seen(dir, address, &e.name);

	return f.kind ? f : kv_update(dir->env, remove_account, &e);
}

struct fault directory_account_list(struct directory *dir, struct sv domain, directory_account_fn *fn, void *arg)
{
	struct listing l;
	struct kv_key prefix;
	struct fault f = names_prefix(dir, domain, &prefix);

	if (f.kind)
		return f;
	f = listing_begin(&l, dir, DT_NAMES);
	while (!f.kind && !(f = listing_next(&l, kv_key_view(&prefix))).kind) {
		struct name_row name;
		struct account_row row;

		f = name_decode(l.value, &name);
		if (f.kind || !name.id[0])
			continue;
		f = account_row_read(l.txn, sv_z(name.id), &row);
		if (f.kind == FAULT_NOT_FOUND)
			f = fault_detail(FAULT_CORRUPT, "directory: a name without account %s", name.id);
		if (!f.kind && !fn(arg, &row.pub))
			break;
	}
	return listing_end(&l, f);
}

struct account_names {
	char **items;
	size_t count, cap;
};

static bool note_address(void *arg, const struct directory_account *account)
{
	struct account_names *l = arg;

	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->items = xrealloc(l->items, l->cap * sizeof(*l->items));
	}
	l->items[l->count++] = xstrdup(account->address);
	return true;
}

struct fault directory_account_addresses(struct directory *dir, struct sv domain, char ***out, size_t *count)
{
	struct account_names l = { 0 };
	struct fault f = directory_account_list(dir, domain, note_address, &l);

	*out = l.items;
	*count = l.count;
	return f;
}

void directory_addresses_free(char ***addresses, size_t *count)
{
	for (size_t i = 0; i < *count; i++)
		free((*addresses)[i]);
	free(*addresses);
	*addresses = NULL;
	*count = 0;
}

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
	struct fault f = no_domain(e->name.domain, domain_read(txn, sv_z(e->name.domain), &d));

	if (f.kind)
		return f;
	f = name_read(txn, &e->name, &name);
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	if (!f.kind && (!e->may_replace || name.id[0]))
		return taken(&e->name);
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
	arena_init(&a, 8 << 20);
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

	arena_init(&arena, 8 << 20);
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
	struct kv_key prefix;
	struct sv *targets;
	struct arena a;
	struct fault f = names_prefix(dir, domain, &prefix);

	if (f.kind)
		return f;
	targets = xcalloc(DIRECTORY_ALIAS_TARGETS_MAX + DIRECTORY_NAMED_MAX, sizeof(*targets));
	arena_init(&a, 8 << 20);
	f = listing_begin(&l, dir, DT_NAMES);
	while (!f.kind && !(f = listing_next(&l, kv_key_view(&prefix))).kind) {
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
	struct fault f = no_domain(n->domain, domain_read(txn, sv_z(n->domain), &d));

	if (!f.kind && !d.relay)
		f = fault_detail(FAULT_INVALID, "%s is no relay domain", n->domain);
	if (f.kind)
		return f;
	f = name_read(txn, n, &row);
	if (!f.kind)
		return taken(n);
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
	struct kv_key prefix;
	struct name n;
	struct fault f = names_prefix(dir, domain, &prefix);

	if (f.kind)
		return f;
	f = listing_begin(&l, dir, DT_NAMES);
	while (!f.kind && !(f = listing_next(&l, kv_key_view(&prefix))).kind) {
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

/* --- grants --- */

struct grant_edit {
	struct name account;
	char address[DIRECTORY_ADDRESS_MAX + 1];
	bool is_removal;
};

static struct fault put_grant(struct kv_txn *txn, void *arg)
{
	const struct grant_edit *e = arg;
	struct account_row row;
	struct kv_key key;
	struct fault f = account_find(txn, &e->account, &row);

	if (f.kind)
		return f;
	kv_key_init(&key);
	kv_key_sv(&key, sv_z(row.pub.id));
	kv_key_sv(&key, sv_z(e->address));
	if (e->is_removal) {
		f = kv_del(txn, DT_GRANTS, kv_key_view(&key));
		return f.kind == FAULT_NOT_FOUND ?
		       fault_detail(f.kind, "%s has no grant for %s", row.pub.address, e->address) : f;
	}
	f = kv_insert(txn, DT_GRANTS, kv_key_view(&key), SV_NONE);
	return f.kind == FAULT_EXISTS ?
	       fault_detail(f.kind, "%s may send as %s already", row.pub.address, e->address) : f;
}

static struct fault grant_change(struct directory *dir, struct sv account, struct sv address, bool is_removal)
{
	struct grant_edit e = { .is_removal = is_removal };
	char domain[ADDRESS_DOMAIN_MAX + 1];
	struct name n;
	struct fault f = name_seen(dir, account, &e.account);

	if (f.kind)
		return f;
	if (sv_starts(address, SV("@"))) {
		f = domain_seen(dir, sv_sub(address, 1, address.len), domain);
		if (f.kind)
			return f;
		e.address[0] = '@';
		memcpy(e.address + 1, domain, sizeof(domain));
	} else {
		f = name_seen(dir, address, &n);
		if (f.kind)
			return f;
		name_text(&n, e.address);
	}
	return kv_update(dir->env, put_grant, &e);
}

struct fault directory_grant_add(struct directory *dir, struct sv account, struct sv address)
{
	return grant_change(dir, account, address, false);
}

struct fault directory_grant_remove(struct directory *dir, struct sv account, struct sv address)
{
	return grant_change(dir, account, address, true);
}

static struct sv domain_of(struct sv address)
{
	return sv_sub(address, sv_rfind(address, '@') + 1, SIZE_MAX);
}

struct fault directory_grant_list(struct directory *dir, struct sv account, directory_grant_fn *fn, void *arg)
{
	char id[DIRECTORY_ID_LEN + 1] = "";
	struct account_row row;
	struct listing l = { .dir = dir };
	struct name n;
	struct fault f = account.len ? name_seen(dir, account, &n) : FAULT_OK;

	if (f.kind)
		return f;
	f = listing_begin(&l, dir, DT_GRANTS);
	if (!f.kind && account.len) {
		f = account_find(l.txn, &n, &row);
		if (f.kind) {
			listing_close(&l);
			return f;
		}
		memcpy(id, row.pub.id, sizeof(id));
	}
	while (!f.kind && !(f = next_with(&l, sv_z(id))).kind) {
		struct sv address = sv_sub(l.key, DIRECTORY_ID_LEN, l.key.len);

		if (l.key.len <= DIRECTORY_ID_LEN) {
			f = fault(FAULT_CORRUPT, "directory: bad grant");
			break;
		}
		f = account_row_read(l.txn, sv_sub(l.key, 0, DIRECTORY_ID_LEN), &row);
		if (!f.kind && (!directory_sees(dir, domain_of(sv_z(row.pub.address))) || !directory_sees(dir, domain_of(address))))
			continue;
		if (!f.kind && !fn(arg, sv_z(row.pub.address), address))
			break;
	}
	return listing_end(&l, f);
}
