#include "common/directory.h"

#include <stdlib.h>

#include "common/crypt.h"
#include "common/date.h"
#include "common/directory_private.h"
#include "common/identity.h"

#include "common/banned.h"

/* Looking up: logins, recipients, senders. What changes them is in a file for each kind, what rows look like in directory_rows.c. */

static const char *const table_names[DT_COUNT] = {
	[DT_META] = "meta", [DT_DOMAINS] = "domains", [DT_NAMES] = "names", [DT_ACCOUNTS] = "accounts",
	[DT_CREDENTIALS] = "credentials", [DT_GRANTS] = "grants", [DT_CERTIFICATES] = "certificates",
	[DT_DELEGATES] = "delegates",
};

/* --- opening --- */

static struct fault read_meta(struct kv_txn *txn, struct directory *dir)
{
	struct sv value;
	uint32_t format;
	struct fault f = kv_get(txn, DT_META, SV("format"), &value);

	if (f.kind)
		return f;
	if (!kv_take_u32(&value, &format))
		return fault(FAULT_CORRUPT, "directory: bad format number");
	if (format > DIRECTORY_FORMAT)
		return fault_detail(FAULT_UNSUPPORTED, "the directory has format %u, this program knows %u: use the newer program",
				    format, DIRECTORY_FORMAT);
	f = kv_get(txn, DT_META, SV("secret"), &value);
	if (!f.kind && value.len != sizeof(dir->secret))
		f = fault(FAULT_CORRUPT, "directory: bad secret");
	if (!f.kind)
		memcpy(dir->secret, value.p, value.len);
	return f.kind == FAULT_NOT_FOUND ? fault(FAULT_CORRUPT, "directory: no secret") : f;
}

static struct fault write_meta(struct kv_txn *txn, void *arg)
{
	struct directory *dir = arg;
	struct kv_key format;
	struct fault f = read_meta(txn, dir);

	if (f.kind != FAULT_NOT_FOUND)
		return f;               /* another process was first */
	crypt_random(dir->secret, sizeof(dir->secret));
	kv_key_init(&format);
	kv_key_u32(&format, DIRECTORY_FORMAT);
	f = kv_put(txn, DT_META, SV("format"), kv_key_view(&format));
	if (!f.kind)
		f = kv_put(txn, DT_META, SV("secret"), sv_from((char *)dir->secret, sizeof(dir->secret)));
	return f;
}

struct fault directory_open(const char *path, bool create, struct directory **out)
{
	const struct kv_options options = { KV_PRECIOUS, create, 0, table_names, DT_COUNT };
	struct directory *dir = xcalloc(1, sizeof(*dir));
	struct kv_txn *txn = NULL;
	struct fault f = kv_env_open(path, &options, &dir->env);

	if (!f.kind)
		f = kv_read_begin(dir->env, &txn);
	if (!f.kind) {
		f = read_meta(txn, dir);
		kv_read_end(&txn);
		if (f.kind == FAULT_NOT_FOUND && create)
			f = kv_update(dir->env, write_meta, dir);
	}
	if (f.kind)
		directory_close(&dir);
	else
		*out = dir;
	return f;
}

void directory_close(struct directory **dir)
{
	if (!*dir)
		return;
	kv_env_close(&(*dir)->env);
	secret_wipe((*dir)->secret, sizeof((*dir)->secret));
	free(*dir);
	*dir = NULL;
}

void directory_keyed(const struct directory *dir, const char *purpose, struct sv data, uint8_t out[32])
{
	uint8_t key[CRYPT_HASH_MAX], mac[CRYPT_HASH_MAX];

	crypt_hmac(CRYPT_SHA256, sv_from((const char *)dir->secret, sizeof(dir->secret)), sv_z(purpose), key);
	crypt_hmac(CRYPT_SHA256, sv_from((char *)key, CRYPT_SHA256_LEN), data, mac);
	memcpy(out, mac, CRYPT_SHA256_LEN);
	secret_wipe(key, sizeof(key));
	secret_wipe(mac, sizeof(mac));
}

uint64_t directory_revision(struct directory *dir)
{
	return kv_env_last_txn_now(dir->env);
}

uint64_t directory_revision_wait(struct directory *dir)
{
	return kv_env_last_txn(dir->env);
}

struct fault directory_copy(struct directory *dir, const char *file)
{
	return kv_env_copy(dir->env, file);
}

void directory_tidy(struct directory *dir)
{
	kv_reader_check(dir->env);
}

/* --- logins --- */

/* The name a login means; a bare local part is completed when there is no choice. */
static struct fault login_name(struct kv_txn *txn, struct sv user, struct name *n)
{
	struct directory_domain d;
	uint64_t domains;
	struct buf text;
	struct fault f = FAULT_OK;

	while (user.len && user.p[user.len - 1] == ' ')
		user.len--;
	if (user.len > DIRECTORY_ADDRESS_MAX)
		return fault(FAULT_NOT_FOUND, "the login name is too long");
	buf_init(&text, 2 * DIRECTORY_ADDRESS_MAX);
	buf_append(&text, user);
	if (sv_find(user, '@') == SIZE_MAX) {
		f = kv_count(txn, DT_DOMAINS, &domains);
		if (!f.kind && domains == 1) {
			f = domain_default(txn, &d);
			if (!f.kind) {
				buf_append_c(&text, '@');
				buf_append(&text, sv_z(d.name));
			}
		}
	}
	if (!f.kind)
		f = name_from_text(buf_sv(&text), n);
	if (f.kind == FAULT_INVALID)
		f = fault(FAULT_NOT_FOUND, "the login name is no address");
	buf_done(&text);
	return f;
}

struct fault directory_login(struct directory *dir, struct sv user, struct directory_login *out)
{
	struct kv_txn *txn = NULL;
	struct account_row row;
	struct name n;
	struct fault f = kv_read_begin(dir->env, &txn);

	if (f.kind)
		return f;
	f = login_name(txn, user, &n);
	if (!f.kind)
		f = account_find(txn, &n, &row);
	if (!f.kind)
		f = credentials_read(txn, row.pub.id, out->credentials, &out->count);
	kv_read_end(&txn);
	if (f.kind)
		return f;
	out->account = row.pub;
	memcpy(out->salt, row.salt, sizeof(out->salt));
	out->iterations = row.iterations;
	memcpy(out->hash, row.hash, sizeof(out->hash));
	secret_wipe(&row, sizeof(row));
	return FAULT_OK;
}

void directory_login_done(struct directory_login *login)
{
	secret_wipe(login, sizeof(*login));
}

void directory_login_canonical(struct directory *dir, struct sv user, char out[DIRECTORY_ADDRESS_MAX + 1])
{
	struct kv_txn *txn = NULL;
	struct name n;
	/* Only a bare local part is looked up. */
	struct fault f = sv_find(user, '@') == SIZE_MAX ? kv_read_begin(dir->env, &txn) : FAULT_OK;

	if (!f.kind)
		f = login_name(txn, user, &n);
	kv_read_end(&txn);
	if (!f.kind) {
		name_text(&n, out);
		return;
	}
	size_t len = user.len < DIRECTORY_ADDRESS_MAX ? user.len : DIRECTORY_ADDRESS_MAX;

	for (size_t i = 0; i < len; i++)
		out[i] = user.p[i] == '\0' ? ' ' : ascii_lower(user.p[i]);
	out[len] = '\0';
}

void directory_login_fake(struct directory *dir, struct sv user, uint32_t iterations, struct directory_login *out)
{
	char name[DIRECTORY_ADDRESS_MAX + 1];
	uint8_t mac[32];
	struct directory_credential *c = &out->credentials[0];

	directory_login_canonical(dir, user, name);
	*out = (struct directory_login){ .iterations = iterations, .count = 1 };
	directory_keyed(dir, "fake salt", sv_z(name), mac);
	memcpy(out->salt, mac, sizeof(out->salt));
	/* A StoredKey is the digest of a ClientKey: nobody has one for octets that were not made this way. */
	for (size_t hash = 0; hash < DIRECTORY_HASHES; hash++) {
		c->verifiers[hash].is_there = true;
		directory_keyed(dir, "fake stored key", sv_z(name), c->verifiers[hash].stored);
		directory_keyed(dir, "fake server key", sv_z(name), c->verifiers[hash].server);
	}
	secret_wipe(mac, sizeof(mac));
}

/* --- recipients --- */

/* One address on its way through the aliases. */
struct step {
	struct name name;
	struct sv local, domain;        /* as written; owned, in `text` */
	char *text;
	unsigned depth;
	const struct directory_list *list;      /* the first one that led here; NULL: none */
};

struct walk {
	struct kv_txn *txn;
	struct arena *arena;
	struct step *steps;             /* each address once */
	size_t count, cap, at;
	struct directory_target *targets;
	size_t found, found_cap;
	size_t lost;
	bool is_closed;                 /* of the lost: an account that takes no mail */
	const struct directory_list **lists;    /* reached otherwise than through a list */
	size_t list_count;
	bool is_asked;
	bool is_for_sender;             /* nothing but what is the name's own: neither catch-all nor postmaster's */
};

static void walk_done(struct walk *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->steps[i].text);
	free(w->steps);
	free(w->targets);
	free(w->lists);
}

static struct fault walk_push(struct walk *w, struct sv local, struct sv domain, unsigned depth, const struct directory_list *list)
{
	struct step s = { .depth = depth, .list = list };
	struct fault f = name_set(&s.name, local, domain);

	if (f.kind)
		return f;
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->steps[i].name.domain, s.name.domain) == 0 &&
		    strcmp(w->steps[i].name.local, s.name.local) == 0)
			return FAULT_OK;
	if (depth > DIRECTORY_ALIAS_DEPTH_MAX)
		return fault_detail(FAULT_LIMIT, "aliases are nested more than %d deep at %s@%s",
				    DIRECTORY_ALIAS_DEPTH_MAX, s.name.local, s.name.domain);
	if (w->count >= DIRECTORY_RECIPIENTS_MAX)
		return fault_detail(FAULT_LIMIT, "an alias expands to more than %d addresses", DIRECTORY_RECIPIENTS_MAX);
	if (w->count == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 4;
		w->steps = xrealloc(w->steps, w->cap * sizeof(*w->steps));
	}
	s.text = xmalloc(local.len + domain.len + 1);
	memcpy(s.text, local.p, local.len);
	memcpy(s.text + local.len, domain.p, domain.len);
	s.local = sv_from(s.text, local.len);
	s.domain = sv_from(s.text + local.len, domain.len);
	w->steps[w->count++] = s;
	return FAULT_OK;
}

static struct directory_target *walk_target(struct walk *w, const struct step *s)
{
	if (w->found == w->found_cap) {
		w->found_cap = w->found_cap ? w->found_cap * 2 : 4;
		w->targets = xrealloc(w->targets, w->found_cap * sizeof(*w->targets));
	}
	struct directory_target *t = &w->targets[w->found++];

	*t = (struct directory_target){ .is_via_alias = s->depth > 0, .list = s->list };
	return t;
}

static struct fault follow_text(struct walk *w, const char *address, const struct step *s)
{
	struct name n;
	struct fault f = name_from_text(sv_z(address), &n);

	return f.kind ? f : walk_push(w, sv_z(n.local), sv_z(n.domain), s->depth + 1, s->list);
}

static struct fault add_local(struct walk *w, const struct step *s, const char *id, struct sv tag)
{
	struct account_row row;

	for (size_t i = 0; i < w->found; i++)
		if (!w->targets[i].is_remote && sv_eq(w->targets[i].id, sv_z(id)))
			return FAULT_OK;
	struct fault f = account_row_read(w->txn, sv_z(id), &row);

	if (f.kind == FAULT_NOT_FOUND)
		return fault_detail(FAULT_CORRUPT, "directory: a name without account %s", id);
	if (f.kind)
		return f;
	if (row.pub.use == DIRECTORY_USE_SEND_ONLY && !w->is_for_sender) {
		if (row.pub.forward[0])
			return follow_text(w, row.pub.forward, s);
		w->is_closed = true;
		return fault(FAULT_NOT_FOUND, "it takes no mail");
	}
	struct directory_target *t = walk_target(w, s);

	t->id = arena_copy(w->arena, sv_z(row.pub.id));
	t->address = arena_copy(w->arena, sv_z(row.pub.address));
	t->tag = arena_copy(w->arena, tag);
	t->quota_bytes = row.pub.quota_bytes;
	t->quota_messages = row.pub.quota_messages;
	return t->id.p && t->address.p && t->tag.p ? FAULT_OK : fault(FAULT_LIMIT, "too many recipients");
}

static struct fault add_remote(struct walk *w, const struct step *s)
{
	struct directory_target *t = walk_target(w, s);
	struct buf text;

	t->is_remote = true;
	t->remote = (struct address){
		.local = arena_copy(w->arena, s->local),
		.domain = arena_copy(w->arena, sv_z(s->name.domain)),
		.is_utf8 = sv_has_8bit(s->local),
	};
	t->remote.domain_given = t->remote.domain;
	if (!t->remote.local.p || !t->remote.domain.p)
		return fault(FAULT_LIMIT, "too many recipients");
	buf_init(&text, DIRECTORY_ADDRESS_MAX);
	if (!address_append(&text, &t->remote, ADDRESS_ASCII_DOMAIN))
		BUG("an address does not fit");
	t->address = arena_copy(w->arena, buf_sv(&text));
	buf_done(&text);
	return t->address.p ? FAULT_OK : fault(FAULT_LIMIT, "too many recipients");
}

/* enter_list - what is behind it gets the message from the list. */
static struct fault enter_list(struct walk *w, const struct step *s, const struct name_row *row, const struct directory_list **out)
{
	struct directory_list *list = arena_alloc(w->arena, sizeof(*list));
	size_t at = sv_find(row->owner, '\0');
	char text[DIRECTORY_ADDRESS_MAX + 1];
	struct fault f;

	if (!list || at == SIZE_MAX)
		return fault(FAULT_LIMIT, "too many recipients");
	name_text(&s->name, text);
	list->address = arena_copy(w->arena, sv_z(text));
	f = target_text(w->arena, sv_sub(row->owner, at + 1, row->owner.len), sv_sub(row->owner, 0, at), &list->owner);
	if (f.kind || !list->address.p)
		return fault(FAULT_LIMIT, "too many recipients");
	w->lists = xrealloc(w->lists, (w->list_count + 1) * sizeof(struct directory_list *));
	w->lists[w->list_count++] = list;
	*out = list;
	return FAULT_OK;
}

static struct fault follow_alias(struct walk *w, const struct step *s, const struct name_row *row)
{
	const struct directory_list *list = s->list;
	struct record_in targets = row->targets;
	struct sv local, domain;
	struct fault f, pushed;

	if (row->expires_s && row->expires_s <= date_now().seconds)
		return fault(FAULT_NOT_FOUND, "it has expired");
	if (row->is_list && w->is_for_sender)
		return FAULT_OK;        /* a member does not speak for the list */
	if (row->is_list && !list) {
		f = enter_list(w, s, row, &list);
		if (f.kind)
			return f;
	}
	while (alias_next(&targets, &local, &domain, &f)) {
		pushed = walk_push(w, local, domain, s->depth + 1, list);
		if (pushed.kind)
			return pushed;
	}
	return f;
}

/* The oldest account answers for postmaster when nobody else does. */
static struct fault oldest_account(struct kv_txn *txn, char id[DIRECTORY_ID_LEN + 1])
{
	struct kv_cursor *c = NULL;
	struct sv key, value;
	int64_t oldest = INT64_MAX;
	struct fault f = kv_cursor_open(txn, DT_ACCOUNTS, &c);

	id[0] = '\0';
	if (!f.kind)
		f = kv_cursor_seek(c, SV_NONE, &key, &value);
	while (!f.kind) {
		struct account_row row;

		f = account_decode(key, value, &row);
		if (f.kind)
			break;
		if (row.pub.use == DIRECTORY_USE_SEND_ONLY)
			;       /* it has no mailbox that anybody reads */
		else if (!id[0] || row.pub.created_s < oldest) {
			oldest = row.pub.created_s;
			memcpy(id, row.pub.id, sizeof(row.pub.id));
		}
		f = kv_cursor_next(c, &key, &value);
	}
	kv_cursor_close(&c);
	if (f.kind != FAULT_NOT_FOUND)
		return f;
	return id[0] ? FAULT_OK : f;
}

static struct fault answer_for_postmaster(struct walk *w, const struct step *s)
{
	char id[DIRECTORY_ID_LEN + 1];
	struct directory_domain d;
	struct fault f = domain_default(w->txn, &d);

	if (f.kind)
		return f;
	if (strcmp(d.name, s->name.domain) != 0)
		return walk_push(w, SV("postmaster"), sv_z(d.name), s->depth + 1, s->list);
	f = oldest_account(w->txn, id);
	return f.kind ? f : add_local(w, s, id, SV_NONE);
}

/* FAULT_NOT_FOUND: our domain, and nobody is called so. */
static struct fault walk_one(struct walk *w, const struct step *s)
{
	struct directory_domain d, other;
	struct name_row row;
	struct name untagged = s->name;
	struct sv user, tag = SV_NONE;
	struct fault f = domain_read(w->txn, sv_z(s->name.domain), &d);

	if (f.kind == FAULT_NOT_FOUND)
		return add_remote(w, s);
	if (!f.kind)
		f = name_read(w->txn, &s->name, &row);
	if (f.kind == FAULT_NOT_FOUND && d.separator &&
	    address_split_tag(sv_z(s->name.local), d.separator, &user, &tag)) {
		untagged.local[user.len] = '\0';
		address_split_tag(s->local, d.separator, &user, &tag);
		f = name_read(w->txn, &untagged, &row);
	}
	if (!f.kind && row.is_relayed && !d.relay)      /* the domain is ours by now: the relay would bring it back here */
		f = fault(FAULT_NOT_FOUND, "known to somebody else only");
	if ((!f.kind && row.is_relayed) || (f.kind == FAULT_NOT_FOUND && d.relay == DIRECTORY_RELAY_ANY))
		return add_remote(w, s);
	if (f.kind == FAULT_NOT_FOUND && d.relay == DIRECTORY_RELAY_ASKED && !w->is_for_sender) {
		w->is_asked |= !s->depth;       /* an alias was an administrator's word */
		return add_remote(w, s);
	}
	if (!f.kind)
		return row.id[0] ? add_local(w, s, row.id, tag) : follow_alias(w, s, &row);
	if (f.kind == FAULT_NOT_FOUND && d.alias_of[0] && !domain_read(w->txn, sv_z(d.alias_of), &other).kind)
		return walk_push(w, s->local, sv_z(other.name), s->depth, s->list);
	if (f.kind != FAULT_NOT_FOUND || w->is_for_sender)
		return f;
	if (d.catch_all[0])
		return follow_text(w, d.catch_all, s);
	if (strcmp(untagged.local, "postmaster") == 0)
		return answer_for_postmaster(w, s);
	return f;
}

static struct fault walk_all(struct walk *w)
{
	for (; w->at < w->count; w->at++) {
		struct step s = w->steps[w->at];        /* the array may move; its texts do not */
		struct fault f = walk_one(w, &s);

		if (f.kind == FAULT_NOT_FOUND)
			w->lost++;
		else if (f.kind)
			return f;
	}
	return FAULT_OK;
}

struct fault directory_resolve(struct directory *dir, struct arena *arena, const struct address *to,
			       struct directory_route *out)
{
	struct walk w = { .arena = arena };
	struct directory_domain d;
	struct sv domain = to->domain;
	struct fault f;

	*out = (struct directory_route){ .answer = DIRECTORY_UNKNOWN };
	if (to->is_null)
		return FAULT_OK;
	out->answer = DIRECTORY_NOT_OURS;
	if (to->is_literal)
		return FAULT_OK;
	f = kv_read_begin(dir->env, &w.txn);
	if (f.kind)
		return f;
	f = domain.len ? domain_read(w.txn, domain, &d) : domain_default(w.txn, &d);
	if (!f.kind) {
		out->answer = DIRECTORY_UNKNOWN;
		f = walk_push(&w, to->local, sv_z(d.name), 0, NULL);
		if (f.kind == FAULT_INVALID)
			f = fault(FAULT_NOT_FOUND, "no such name");     /* too long after NFC: nobody has it */
		if (!f.kind)
			f = walk_all(&w);
	}
	kv_read_end(&w.txn);
	if (f.kind == FAULT_NOT_FOUND)
		f = FAULT_OK;           /* the answer says it */
	if (!f.kind && w.found) {
		out->targets = arena_array(arena, w.found, sizeof(*out->targets));
		if (out->targets) {
			memcpy(out->targets, w.targets, w.found * sizeof(*out->targets));
			out->count = w.found;
			out->answer = DIRECTORY_TARGETS;
		} else {
			f = fault(FAULT_LIMIT, "too many recipients");
		}
	} else if (!f.kind && w.count && !w.lost) {
		f = fault_detail(FAULT_INVALID, "the alias %s@%s leads to nobody but itself", w.steps[0].name.local,
				 w.steps[0].name.domain);
	}
	if (out->answer == DIRECTORY_UNKNOWN && w.is_closed)
		out->answer = DIRECTORY_CLOSED;
	out->lost = w.lost;
	out->is_asked = w.is_asked;
	if (!f.kind && w.list_count) {
		const struct directory_list **lists = arena_array(arena, w.list_count, sizeof(*lists));

		if (lists)
			memcpy(lists, w.lists, w.list_count * sizeof(*lists));
		else
			f = fault(FAULT_LIMIT, "too many recipients");
		out->lists = lists;
		out->list_count = lists ? w.list_count : 0;
	}
	walk_done(&w);
	return f;
}

struct fault directory_is_local_domain(struct directory *dir, struct sv domain, bool *is_local)
{
	struct kv_txn *txn = NULL;
	struct directory_domain d;
	struct fault f = kv_read_begin(dir->env, &txn);

	if (f.kind)
		return f;
	f = domain_read(txn, domain, &d);
	kv_read_end(&txn);
	*is_local = !f.kind && !d.relay;
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

/* --- senders --- */

static struct fault has_grant(struct kv_txn *txn, struct sv id, const struct name *n, bool *has)
{
	char text[DIRECTORY_ADDRESS_MAX + 1];
	struct kv_key key;
	struct sv value;
	struct fault f;

	name_text(n, text);
	kv_key_init(&key);
	kv_key_sv(&key, id);
	kv_key_sv(&key, sv_z(text));
	f = kv_get(txn, DT_GRANTS, kv_key_view(&key), &value);
	if (f.kind == FAULT_NOT_FOUND) {
		kv_key_init(&key);
		kv_key_sv(&key, id);
		kv_key_u8(&key, '@');
		kv_key_sv(&key, sv_z(n->domain));
		f = kv_get(txn, DT_GRANTS, kv_key_view(&key), &value);
	}
	*has = !f.kind;
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault directory_owns(struct directory *dir, struct sv id, const struct address *from, bool *owns)
{
	struct arena arena;
	struct walk w = { .arena = &arena, .is_for_sender = true };
	struct directory_domain d;
	struct name n;
	struct sv user, tag;

	*owns = false;
	if (from->is_null || from->is_literal || !from->domain.len || id.len != DIRECTORY_ID_LEN)
		return FAULT_OK;
	if (name_set(&n, from->local, from->domain).kind)
		return FAULT_OK;
	struct fault f = kv_read_begin(dir->env, &w.txn);

	if (f.kind)
		return f;
	arena_init(&arena, 4 << 20);
	f = has_grant(w.txn, id, &n, owns);
	if (!f.kind && !*owns) {
		f = domain_read(w.txn, from->domain, &d);
		bool is_ours = !f.kind;

		if (is_ours && d.separator && address_split_tag(sv_z(n.local), d.separator, &user, &tag)) {
			struct name untagged = n;

			untagged.local[user.len] = '\0';
			f = has_grant(w.txn, id, &untagged, owns);
		}
		if (is_ours && !f.kind && !*owns)
			f = walk_push(&w, from->local, from->domain, 0, NULL);
		if (is_ours && !f.kind && !*owns)
			f = walk_all(&w);
	}
	for (size_t i = 0; i < w.found && !*owns; i++)
		*owns = !w.targets[i].is_remote && sv_eq(w.targets[i].id, id);
	kv_read_end(&w.txn);
	walk_done(&w);
	arena_done(&arena);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}
