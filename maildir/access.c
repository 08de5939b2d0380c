/* maildir/access.c - see access_private.h and acl.h. */
#include "maildir/access_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "maildir/files.h"
#include "maildir/shares_private.h"

#include "common/banned.h"

static const char absent[] = "no such mailbox";

struct fault access_may(uint32_t rights, uint32_t need)
{
	if ((rights & need) == need)
		return FAULT_OK;
	/* RFC 4314 §6: who may not see it in a listing does not learn that it exists. */
	return rights & RIGHT_LOOKUP ? fault(FAULT_DENIED, "the access control list does not allow it") :
				       fault(FAULT_NOT_FOUND, absent);
}

void access_done(struct place *place)
{
	store_account_unref(&place->account);
}

/* --- whose is it? ----------------------------------------------------------------------------------------------------- */

/* split_shared - "Shared/OWNER/NAME". An owner is an address, so other names below "Shared" stay one's own. */
static bool split_shared(struct sv name, struct sv *owner, struct sv *rest)
{
	if (!sv_starts(name, SV(SHARED_PREFIX)))
		return false;
	sv_skip(&name, sizeof(SHARED_PREFIX) - 1);
	if (!sv_split(&name, '/', owner) || sv_find(*owner, '@') == SIZE_MAX)
		return false;
	*rest = name;
	return true;
}

/* join - the owner's account, if it grants anything to the user. */
static struct fault join(struct maildir_user *user, struct sv owner, struct place *out)
{
	struct store *store = user->account->store;
	struct directory_account account;

	if (!store_directory(store) || !*user->id || !shares_has(store, owner, sv_z(user->id)) ||
	    sv_eq(owner, sv_z(user->account->address)))
		return fault(FAULT_NOT_FOUND, absent);
	struct fault f = directory_account_get(store_directory(store), owner, &account);

	if (f.kind)
		return f.kind == FAULT_NOT_FOUND || f.kind == FAULT_INVALID ? fault(FAULT_NOT_FOUND, absent) : f;
	if (!sv_eq(sv_z(account.address), owner))
		return fault(FAULT_NOT_FOUND, absent);
	out->quota = (struct quota){ account.quota_bytes, account.quota_messages };
	return store_account(store, owner, &out->account);
}

struct fault access_place(struct maildir_user *user, struct sv name, struct place *out)
{
	struct buf canonical, inner;
	struct sv owner = SV_NONE, rest;
	struct fault f;

	*out = (struct place){ 0 };
	buf_init(&canonical, MAILBOX_NAME_MAX + 1);
	buf_init(&inner, MAILBOX_NAME_MAX + 1);
	f = mailbox_name_check(name, &canonical);
	rest = buf_sv(&canonical);
	if (!f.kind && split_shared(buf_sv(&canonical), &owner, &rest)) {
		f = mailbox_name_check(rest, &inner);   /* INBOX in any case, there as well */
		rest = buf_sv(&inner);
		if (!f.kind)
			f = join(user, owner, out);
		else
			f = fault(FAULT_NOT_FOUND, absent);
	} else if (!f.kind) {
		out->is_own = true;
		out->rights = RIGHTS_ALL;
		out->quota = user->quota;
		out->account = store_account_ref(user->account);
	}
	if (!f.kind)
		memcpy(out->name, rest.p, rest.len);
	buf_done(&inner);
	buf_done(&canonical);
	return f;
}

/* --- what may they do? ------------------------------------------------------------------------------------------------ */

struct fault access_acl(struct account *a, const char *dir, struct acl *out)
{
	struct sidecar_mailbox side;
	struct fault f = account_read_sidecar(a->maildir, dir, &side);

	*out = (struct acl){ 0 };
	/* Gone or damaged: nothing is granted. */
	if (f.kind)
		return f.kind == FAULT_NOT_FOUND || f.kind == FAULT_CORRUPT ? FAULT_OK : f;
	*out = side.acl;
	side.acl = (struct acl){ 0 };
	sidecar_mailbox_done(&side);
	return FAULT_OK;
}

static struct fault rights_in(struct account *a, const char *dir, struct sv id, uint32_t *rights)
{
	struct acl acl;
	struct fault f = access_acl(a, dir, &acl);

	*rights = f.kind ? 0 : acl_rights(&acl, id);
	acl_done(&acl);
	return f;
}

struct fault access_record(struct account *a, struct sv name, struct index_box *out)
{
	struct kv_txn *kv = NULL;
	struct fault f = account_read(a, &kv);

	if (!f.kind)
		f = index_box_find(kv, name, out);
	kv_read_end(&kv);
	return f;
}

struct fault access_find(struct maildir_user *user, struct sv name, uint32_t need, struct place *out)
{
	struct fault f = access_place(user, name, out);

	if (f.kind)     /* no mailbox can have such a name */
		return f.kind == FAULT_INVALID || f.kind == FAULT_LIMIT ? fault(FAULT_NOT_FOUND, f.detail) : f;
	f = account_enter(out->account);
	if (!f.kind) {
		f = access_record(out->account, sv_z(out->name), &out->box);
		if (f.kind == FAULT_NOT_FOUND) {
			f = folders_refresh(out->account);      /* perhaps another program has just made it */
			if (!f.kind)
				f = access_record(out->account, sv_z(out->name), &out->box);
		}
		if (!f.kind && !out->is_own)
			f = rights_in(out->account, out->box.dir, sv_z(user->id), &out->rights);
		if (!f.kind)
			f = access_may(out->rights, need);
		account_leave(out->account);
	}
	if (f.kind)
		access_done(out);
	return f;
}

struct fault access_parent(struct maildir_user *user, const struct place *place, uint32_t need)
{
	struct sv name = sv_z(place->name);

	if (place->is_own)
		return FAULT_OK;
	for (size_t slash = sv_rfind(name, '/'); slash != SIZE_MAX; slash = sv_rfind(name, '/')) {
		struct index_box box;
		uint32_t rights = 0;

		name = sv_sub(name, 0, slash);
		struct fault f = access_record(place->account, name, &box);

		if (f.kind == FAULT_NOT_FOUND)
			continue;
		if (!f.kind)
			f = rights_in(place->account, box.dir, sv_z(user->id), &rights);
		return f.kind ? f : access_may(rights, need);
	}
	return fault(FAULT_NOT_FOUND, absent);  /* the top of somebody's tree is theirs */
}

struct fault access_refresh(struct mailbox *box)
{
	struct kv_txn *kv = NULL;
	struct index_box record;

	if (!box->reader)
		return FAULT_OK;
	struct fault f = account_read(box->account, &kv);

	if (!f.kind)
		f = mailbox_gone(index_box_get(kv, box->id, &record));
	kv_read_end(&kv);
	if (!f.kind && record.generation != box->acl_generation) {
		f = rights_in(box->account, record.dir, sv_z(box->reader), &box->rights);
		box->acl_generation = record.generation;
	}
	if (!f.kind && (box->rights & box->need) != box->need)
		f = fault(FAULT_GONE, "access was taken away");
	return f;
}

/* --- listing ------------------------------------------------------------------------------------------------------------ */

struct shown {
	uint32_t rights;
	uint64_t metadata;
	struct index_box box;
};

/* collect - the account's mailboxes that this id may see; inside. Sidecars are read behind the snapshot. */
static struct fault collect(struct account *a, struct sv id, struct shown **out, size_t *count)
{
	struct kv_txn *kv = NULL;
	struct kv_cursor *c = NULL;
	struct sv v;
	size_t kept = 0;
	struct fault f = account_read(a, &kv);

	*out = NULL;
	*count = 0;
	if (!f.kind)
		f = kv_cursor_open(kv, T_BOXES, &c);
	if (!f.kind)
		f = kv_cursor_seek(c, SV_NONE, NULL, &v);
	while (!f.kind) {
		*out = xrealloc(*out, (*count + 1) * sizeof(**out));
		struct shown *row = &(*out)[(*count)++];

		if (!index_box_decode(v, &row->box)) {
			f = fault(FAULT_CORRUPT, "index: mailbox record");
		} else {
			row->metadata = index_note_get(kv, NOTE_METADATA, row->box.id);
			f = kv_cursor_next(c, NULL, &v);
		}
	}
	kv_cursor_close(&c);
	kv_read_end(&kv);
	if (f.kind == FAULT_NOT_FOUND)
		f = FAULT_OK;
	for (size_t i = 0; !f.kind && i < *count; i++) {
		f = rights_in(a, (*out)[i].box.dir, id, &(*out)[i].rights);
		if ((*out)[i].rights & RIGHT_LOOKUP)
			(*out)[kept++] = (*out)[i];
	}
	*count = kept;
	return account_judge(a, f);
}

static struct fault list_account(struct maildir_user *user, struct sv owner, access_list_fn *fn, void *arg)
{
	struct place place = { 0 };
	struct shown *all = NULL;
	struct buf name;
	size_t count = 0;
	struct fault f = join(user, owner, &place);

	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	f = account_enter(place.account);
	if (!f.kind) {
		f = collect(place.account, sv_z(user->id), &all, &count);
		account_leave(place.account);
	}
	buf_init(&name, MAILBOX_NAME_MAX);
	for (size_t i = 0; !f.kind && i < count; i++) {
		buf_clear(&name);
		if (buf_appendf(&name, SHARED_PREFIX "%.*s/%s", SV_FMT(owner), all[i].box.name))
			fn(arg, buf_sv(&name), &all[i].box, all[i].rights, all[i].metadata);
	}
	buf_done(&name);
	free(all);
	access_done(&place);
	return f;
}

void access_list(struct maildir_user *user, access_list_fn *fn, void *arg)
{
	struct store *store = user->account->store;
	struct buf owners;
	struct sv rest, owner;

	if (!store_directory(store) || !*user->id)
		return;
	buf_init(&owners, SIDECAR_MAX);
	struct fault f = shares_owners(store, sv_z(user->id), &owners);

	for (rest = buf_sv(&owners); rest.len && sv_split(&rest, '\n', &owner);) {
		struct fault one = list_account(user, owner, fn, arg);

		if (one.kind)
			log_warn(NULL, "store.shares.list", KV_SV("owner", owner), KV_FAULT("fault", one));
	}
	if (f.kind)
		log_error(NULL, "store.shares", KV_FAULT("fault", f));
	buf_done(&owners);
}

/* --- acl.h ---------------------------------------------------------------------------------------------------------------- */

struct fault mailbox_rights(struct maildir_user *user, struct sv name, uint32_t *rights)
{
	static const uint32_t any = RIGHT_LOOKUP | RIGHT_READ | RIGHT_INSERT | RIGHT_CREATE | RIGHT_REMOVE | RIGHT_ADMIN;
	struct place place;
	struct fault f = access_find(user, name, 0, &place);

	if (f.kind)
		return f;
	*rights = place.rights;
	access_done(&place);
	return *rights & any ? FAULT_OK : fault(FAULT_NOT_FOUND, absent);       /* RFC 4314 §4, MYRIGHTS */
}

struct fault mailbox_acl(struct maildir_user *user, struct sv name, struct acl *out,
			 char owner[DIRECTORY_ADDRESS_MAX + 1])
{
	struct place place;
	struct fault f = access_find(user, name, RIGHT_ADMIN, &place);

	if (f.kind)
		return f;
	f = account_enter(place.account);
	if (!f.kind) {
		f = access_acl(place.account, place.box.dir, out);
		account_leave(place.account);
	}
	snprintf(owner, DIRECTORY_ADDRESS_MAX + 1, "%s", place.account->address);
	access_done(&place);
	return f;
}

struct acl_edit {
	struct acl_entry entry;         /* rights: what was asked for */
	enum acl_change change;
	bool is_full;
};

static bool edit_acl(struct sidecar_mailbox *s, void *arg)
{
	struct acl_edit *e = arg;
	const struct acl_entry *have = acl_find(&s->acl, sv_z(e->entry.name), e->entry.is_negative);
	struct acl_entry entry = e->entry;
	/* An entry of an account that went and whose name somebody else has now is not theirs. */
	uint32_t had = have && !strcmp(have->id, entry.id) ? have->rights : 0;

	if (e->change == ACL_ADD)
		entry.rights |= had;
	else if (e->change == ACL_REMOVE)
		entry.rights = had & ~entry.rights;
	e->is_full = false;
	if (have ? entry.rights == have->rights && !strcmp(have->id, entry.id) : !entry.rights)
		return false;
	e->is_full = !acl_put(&s->acl, &entry);
	return !e->is_full;
}

static struct fault read_identifier(struct store *store, struct sv identifier, struct acl_entry *out)
{
	struct directory_account account;

	*out = (struct acl_entry){ 0 };
	if (sv_starts(identifier, SV("-"))) {
		out->is_negative = true;
		sv_skip(&identifier, 1);
	}
	if (sv_eq_nocase(identifier, SV(ACL_ANYONE))) {
		memcpy(out->name, ACL_ANYONE, sizeof(ACL_ANYONE));
		return FAULT_OK;
	}
	struct fault f = directory_account_get(store_directory(store), identifier, &account);

	if (!f.kind) {
		memcpy(out->name, account.address, sizeof(out->name));
		memcpy(out->id, account.id, sizeof(out->id));
	}
	return f;
}

/* forget_former - DELETEACL of a name that no account has any more. */
static bool knows_name(struct account *a, const char *dir, struct acl_entry *entry, struct sv identifier)
{
	struct acl acl;
	bool known = false;

	if (entry->is_negative)
		sv_skip(&identifier, 1);
	if (!access_acl(a, dir, &acl).kind) {
		const struct acl_entry *have = acl_find(&acl, identifier, entry->is_negative);

		known = have != NULL;
		if (known)
			*entry = *have;
		acl_done(&acl);
	}
	return known;
}

static struct fault change_locked(struct store *store, const struct place *place, struct acl_edit *e)
{
	struct account *a = place->account;
	struct fault f = FAULT_OK;

	/* Noted before it is granted, forgotten after it was taken away. */
	if (e->change != ACL_REMOVE && e->entry.rights && !e->entry.is_negative)
		f = shares_add(store, sv_z(a->address), sv_z(e->entry.id));
	if (!f.kind)
		f = account_edit_mailbox(a, place->box.id, edit_acl, e);
	if (!f.kind && e->is_full)
		f = fault(FAULT_LIMIT, "the access control list is full");
	struct fault noted = shares_refresh(store, sv_z(a->address));

	if (noted.kind)         /* it says too much, at worst */
		log_warn(NULL, "store.shares", KV_Z("account", a->address), KV_FAULT("fault", noted));
	return f.kind == FAULT_NOT_FOUND ? fault(FAULT_NOT_FOUND, absent) : f;
}

static struct fault touch(struct index_txn *t, void *arg)
{
	(void)arg;
	t->meta_changed = true;
	return FAULT_OK;
}

/* poke - sessions of whom the change is about have something new to list (RFC 5465 §5.4): their account gives notice. Nobody waits
 * for it; an account that was never used has no sessions. */
static void poke(struct store *store, const char *address)
{
	struct account *a;

	if (store_account(store, sv_z(address), &a).kind)
		return;
	if (!access(a->path, F_OK) && !account_enter(a).kind) {
		struct fault f = index_update(a, touch, NULL);

		if (f.kind)
			log_warn(NULL, "store.shares.notice", KV_Z("account", address), KV_FAULT("fault", f));
		account_leave(a);
	}
	store_account_unref(&a);
}

struct fault mailbox_acl_change(struct maildir_user *user, struct sv name, struct sv identifier, enum acl_change change,
				uint32_t rights)
{
	struct store *store = user->account->store;
	struct acl_edit e = { .change = change };
	struct place place;
	int lock = -1;

	if (!store_directory(store))
		return fault(FAULT_UNSUPPORTED, "the store does not know who there is");
	struct fault f = access_find(user, name, RIGHT_ADMIN, &place);

	if (f.kind)
		return f;
	struct fault who = read_identifier(store, identifier, &e.entry);

	f = account_enter(place.account);
	if (!f.kind) {
		bool takes = change == ACL_REMOVE || (change == ACL_REPLACE && !rights);

		if (who.kind && !(takes && knows_name(place.account, place.box.dir, &e.entry, identifier)))
			f = who.kind == FAULT_NOT_FOUND ? fault(FAULT_INVALID, "no such account") : who;
		else if (!strcmp(e.entry.name, place.account->address))
			f = fault(FAULT_INVALID, "the owner's rights do not change");
		e.entry.rights = rights;
		if (!f.kind)
			f = shares_lock(store, &lock);
		if (!f.kind) {
			f = change_locked(store, &place, &e);
			close(lock);
		}
		account_leave(place.account);
	}
	access_done(&place);
	if (!f.kind && *e.entry.id)
		poke(store, e.entry.name);
	else if (!f.kind)
		shares_call(store);
	return f;
}
