/* maildir/folders.c - mailboxes as a whole: list, create, delete, rename, subscribe. See mailbox.h.
 *
 * Making and removing one mailbox is one rename of a folder that is complete before and after. Renaming one with children
 * is many renames, so what is pending stands in the account's sidecar until all are done. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/log.h"
#include "common/memory.h"
#include "maildir/adopt_private.h"
#include "maildir/copy_private.h"
#include "maildir/files.h"
#include "maildir/access_private.h"

#include "common/banned.h"

#define REMOVE_AT_ONCE 1000     /* messages of a deleted mailbox that are not left to store_tidy() */

/* --- list ------------------------------------------------------------------------------------------------------------ */

struct listed {
	char *name;
	uint32_t special_use;
	bool exists, subscribed, is_shared;
	uint32_t rights;
	uint64_t id, metadata;
	struct mailbox_status status;
};

struct listing {
	struct listed *rows;
	size_t count, cap;
};

static struct listed *add_listed(struct listing *l, struct sv name)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 32;
		l->rows = xrealloc(l->rows, l->cap * sizeof(*l->rows));
	}
	l->rows[l->count] = (struct listed){ .name = sv_copy_z(name) };
	return &l->rows[l->count++];
}

/* INBOX and what is below it first; a mailbox before its children, and those before anything else. */
static int listing_order(const void *a, const void *b)
{
	const unsigned char *x = (const void *)((const struct listed *)a)->name;
	const unsigned char *y = (const void *)((const struct listed *)b)->name;
	bool inbox_x = layout_is_inside(sv_z((const char *)x), SV("INBOX"));
	bool inbox_y = layout_is_inside(sv_z((const char *)y), SV("INBOX"));

	if (inbox_x != inbox_y)
		return inbox_x ? -1 : 1;
	while (*x && *x == *y) {
		x++;
		y++;
	}
	int left = *x == '/' ? 1 : *x, right = *y == '/' ? 1 : *y;
	return left - right;
}

/* Levels that no mailbox has, but whose children exist. */
static void add_parents(struct listing *l, struct sv name)
{
	for (size_t slash = sv_rfind(name, '/'); slash != SIZE_MAX; slash = sv_rfind(sv_sub(name, 0, slash), '/'))
		add_listed(l, sv_sub(name, 0, slash));
}

/* Sorted: names that stand there twice become one row. */
static void unite(struct listing *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++) {
		struct listed *last = kept ? &l->rows[kept - 1] : NULL;
		if (last && !strcmp(last->name, l->rows[i].name)) {
			if (l->rows[i].exists) {
				last->exists = true;
				last->special_use = l->rows[i].special_use;
				last->id = l->rows[i].id;
				last->rights = l->rows[i].rights;
				last->is_shared = l->rows[i].is_shared;
				last->status = l->rows[i].status;
				last->metadata = l->rows[i].metadata;
			}
			last->subscribed = last->subscribed || l->rows[i].subscribed;
			free(l->rows[i].name);
		} else {
			l->rows[kept++] = l->rows[i];
		}
	}
	l->count = kept;
}

static struct fault collect_boxes(struct kv_txn *kv, struct listing *l)
{
	struct kv_cursor *c = NULL;
	struct sv v;
	struct fault f = kv_cursor_open(kv, T_BOXES, &c);

	if (!f.kind)
		f = kv_cursor_seek(c, SV_NONE, NULL, &v);
	while (!f.kind) {
		struct index_box box;
		if (!index_box_decode(v, &box)) {
			f = fault(FAULT_CORRUPT, "index: mailbox record");
			break;
		}
		struct listed *row = add_listed(l, sv_z(box.name));
		row->exists = true;
		row->special_use = box.special_use;
		row->id = box.id;
		row->rights = RIGHTS_ALL;
		row->metadata = index_note_get(kv, NOTE_METADATA, box.id);
		mailbox_show_counters(&box, &row->status);
		add_parents(l, sv_z(box.name));
		f = kv_cursor_next(c, NULL, &v);
	}
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault folders_refresh(struct account *a)
{
	int64_t now = files_mtime(a->maildir, ".");
	/* What another program makes while, or right after, we look could leave the same time: then this look is not the last. */
	bool is_fresh = files_is_fresh(now);

	if (atomic_load(&a->folders_mtime) == now || atomic_load(&a->is_read_only))
		return FAULT_OK;
	struct fault f = adopt_folders(a);
	if (fault_is_unwritable(f.kind))
		return FAULT_OK;
	if (!f.kind && !is_fresh)
		atomic_store(&a->folders_mtime, now);
	return f;
}

/* Of what somebody else uses for their drafts the reader need not know. */
static void list_shared(void *arg, struct sv name, const struct index_box *box, uint32_t rights, uint64_t metadata)
{
	struct listed *row = add_listed(arg, name);

	row->exists = row->is_shared = true;
	row->id = box->id;
	row->rights = rights;
	row->metadata = metadata;
	mailbox_show_counters(box, &row->status);
	add_parents(arg, name);
}

struct fault mailbox_list(struct maildir_user *user, mailbox_list_fn *fn, void *arg)
{
	struct account *a = user->account;
	struct sidecar_subscriptions subscribed = { 0 };
	struct listing l = { 0 };
	struct kv_txn *kv = NULL;
	struct fault f = account_enter(a);

	if (f.kind)
		return f;
	f = folders_refresh(a);
	if (!f.kind)
		f = account_read(a, &kv);
	if (!f.kind)
		f = collect_boxes(kv, &l);
	kv_read_end(&kv);
	if (!f.kind)
		f = account_subscriptions(a, &subscribed);
	account_leave(a);
	if (!f.kind)
		access_list(user, list_shared, &l);
	for (size_t i = 0; !f.kind && i < subscribed.count; i++)
		add_listed(&l, sv_z(subscribed.names[i]))->subscribed = true;
	if (l.count)
		qsort(l.rows, l.count, sizeof(*l.rows), listing_order);
	unite(&l);
	for (size_t i = 0; !f.kind && i < l.count; i++) {
		struct mailbox_info info = {
			.name = sv_z(l.rows[i].name), .special_use = l.rows[i].special_use, .exists = l.rows[i].exists,
			.subscribed = l.rows[i].subscribed, .rights = l.rows[i].rights, .is_shared = l.rows[i].is_shared,
			.status = l.rows[i].status, .metadata = l.rows[i].metadata,
		};
		/* Only existing mailboxes are children; a name that is merely subscribed is none. */
		for (size_t k = i + 1; k < l.count && layout_is_inside(sv_z(l.rows[k].name), info.name); k++)
			if (l.rows[k].exists) {
				info.has_children = true;
				break;
			}
		if (info.exists)
			sidecar_id_text(l.rows[i].id, info.mailbox_id);
		if (!fn(arg, &info))
			break;
	}
	for (size_t i = 0; i < l.count; i++)
		free(l.rows[i].name);
	free(l.rows);
	sidecar_subscriptions_done(&subscribed);
	return f;
}

/* --- create ------------------------------------------------------------------------------------------------------------ */

static bool use_is_free(struct kv_txn *kv, uint32_t use)
{
	struct listing l = { 0 };
	bool is_free = !collect_boxes(kv, &l).kind;

	for (size_t i = 0; i < l.count; i++) {
		is_free = is_free && !(l.rows[i].exists && l.rows[i].special_use & use);
		free(l.rows[i].name);
	}
	free(l.rows);
	return is_free;
}

struct creation {
	const struct sidecar_mailbox *side;
	const char *temp;
	struct sv name;
	char dir[LAYOUT_DIR_MAX + 1];
};

static struct fault create_in(struct index_txn *t, void *arg)
{
	struct creation *c = arg;
	int at = t->account->maildir;
	struct index_box box;
	struct fault f = index_box_find(t->kv, c->name, &box);

	if (!f.kind)
		return fault(FAULT_EXISTS, "mailbox is there already");
	if (f.kind != FAULT_NOT_FOUND)
		return f;
	if (t->meta.box_count >= MAILBOX_COUNT_MAX)
		return fault(FAULT_LIMIT, "too many mailboxes");
	if (c->side->special_use && !use_is_free(t->kv, c->side->special_use))
		return fault(FAULT_EXISTS, "another mailbox has this special use");
	index_intend(t, 0);
	f = files_rename_new(at, c->temp, at, c->dir);
	if (f.kind)
		return f;
	index_undo_note(t, c->temp, c->dir);
	box = (struct index_box){
		.id = c->side->id, .uidvalidity = c->side->uidvalidity, .uidnext = 1,
		.uid_ceiling = c->side->uid_ceiling, .special_use = c->side->special_use, .unseen_hint = 1,
		.highestmodseq = t->meta.modseq, .generation = c->side->generation,
	};
	memcpy(box.name, c->name.p, c->name.len);
	memcpy(box.dir, c->dir, sizeof(box.dir));
	adopt_note_times(t->account, &box);
	return index_box_add(t, &box);
}

/* RFC 4314 §4: a new mailbox has the access control list of the one above it. */
static struct fault inherit(struct account *a, struct sv name, struct acl *out)
{
	size_t slash = sv_rfind(name, '/');
	struct index_box above;

	if (slash == SIZE_MAX || access_record(a, sv_sub(name, 0, slash), &above).kind)
		return FAULT_OK;
	return access_acl(a, above.dir, out);
}

static struct fault create_one(struct account *a, struct sv name, uint32_t special_use, uint64_t *id)
{
	struct sidecar_mailbox side = { .generation = 1, .uid_ceiling = 1 + UID_BLOCK, .special_use = special_use };
	char temp[FILES_TEMP_LEN];
	struct creation c = { .side = &side, .temp = temp, .name = name };
	struct fault f = FAULT_OK;

	if (!layout_dir(name, c.dir))
		return fault(FAULT_LIMIT, "mailbox name too long");
	f = account_new_uidvalidity(a, &side.uidvalidity);
	if (f.kind)
		return f;
	f = inherit(a, name, &side.acl);
	while (!side.id)
		crypt_random(&side.id, sizeof(side.id));
	files_temp_name("postroom-new", temp);
	if (!f.kind)
		f = adopt_new_mailbox_at(account_conf(a), a->maildir, temp, &side, false);
	if (!f.kind)
		f = adopt_sync_new_mailbox(a->maildir, temp);
	if (!f.kind)
		f = index_update(a, create_in, &c);
	if (f.kind)
		files_remove_tree(a->maildir, temp);
	else
		f = files_sync_dir(a->maildir, ".");
	*id = side.id;
	acl_done(&side.acl);
	return f;
}

static struct fault create_parents(struct account *a, struct sv name)
{
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < name.len; i++) {
		struct index_box box;
		uint64_t id;
		if (name.p[i] != '/')
			continue;
		f = access_record(a, sv_sub(name, 0, i), &box);
		if (f.kind == FAULT_NOT_FOUND)
			f = create_one(a, sv_sub(name, 0, i), 0, &id);
		if (f.kind == FAULT_EXISTS)
			f = FAULT_OK;
	}
	return f;
}

struct fault folders_create(struct account *a, struct sv canonical, uint32_t special_use, uint64_t *id)
{
	struct index_box box;
	struct fault f = access_record(a, canonical, &box);

	if (!f.kind)
		return fault(FAULT_EXISTS, "mailbox is there already");
	if (f.kind != FAULT_NOT_FOUND)
		return f;
	f = create_parents(a, canonical);
	if (!f.kind)
		f = create_one(a, canonical, special_use, id);
	if (f.kind == FAULT_EXISTS && access_record(a, canonical, &box).kind == FAULT_NOT_FOUND) {
		/* A folder of this name which the index does not know: another program's. */
		f = adopt_folders(a);
		if (!f.kind)
			f = fault(FAULT_EXISTS, "mailbox is there already");
	}
	return f;
}

struct fault mailbox_create(struct maildir_user *user, struct sv name, uint32_t special_use, char mailbox_id[24])
{
	struct kv_txn *kv = NULL;
	struct place place;
	uint64_t id = 0;
	struct fault f = access_place(user, name, &place);

	if (f.kind)
		return f;
	f = special_use && !place.is_own ? fault(FAULT_DENIED, "special uses are the owner's") : account_enter(place.account);
	if (!f.kind) {
		f = access_parent(user, &place, RIGHT_CREATE);
		if (!f.kind && special_use) {
			f = account_read(place.account, &kv);
			if (!f.kind && !use_is_free(kv, special_use))
				f = fault(FAULT_EXISTS, "another mailbox has this special use");
			kv_read_end(&kv);
		}
		if (!f.kind)
			f = folders_create(place.account, sv_z(place.name), special_use, &id);
		account_leave(place.account);
	}
	if (!f.kind && mailbox_id)
		sidecar_id_text(id, mailbox_id);
	access_done(&place);
	return f;
}

/* --- delete ------------------------------------------------------------------------------------------------------------ */

struct deletion {
	struct sv name;
	const char *to;                 /* where the folder goes, relative to the Maildir */
	uint32_t messages;              /* out */
};

static struct fault delete_in(struct index_txn *t, void *arg)
{
	struct deletion *d = arg;
	int at = t->account->maildir;
	struct index_box box;
	struct fault f = index_box_find(t->kv, d->name, &box);

	if (f.kind)
		return f;
	d->messages = box.messages;
	index_intend(t, 0);
	f = files_rename_new(at, box.dir, at, d->to);
	if (!f.kind)
		index_undo_note(t, box.dir, d->to);
	if (f.kind == FAULT_NOT_FOUND)  /* removed by another program: then the record goes as well */
		f = FAULT_OK;
	return f.kind ? f : index_box_drop(t, &box);
}

static struct fault delete_one(struct account *a, struct sv name)
{
	char unique[FILES_TEMP_LEN], to[FILES_TEMP_LEN + 32];
	struct deletion d = { .name = name, .to = to };
	struct fault f = files_mkdir(a->dir, LAYOUT_TRASH, account_conf(a)->umask_dir, NULL);

	files_temp_name("mailbox", unique);
	snprintf(to, sizeof(to), "../" LAYOUT_TRASH "/%s", unique);
	if (!f.kind)
		f = index_update(a, delete_in, &d);
	if (!f.kind)
		f = files_sync_dir(a->maildir, ".");
	if (!f.kind && d.messages <= REMOVE_AT_ONCE) {
		snprintf(to, sizeof(to), LAYOUT_TRASH "/%s", unique);
		files_remove_tree(a->dir, to);
	}
	return f;
}

struct fault mailbox_delete(struct maildir_user *user, struct sv name)
{
	struct place place;
	struct fault f = access_find(user, name, RIGHT_REMOVE, &place);

	if (f.kind)
		return f;
	if (!strcmp(place.name, "INBOX"))
		f = fault(FAULT_INVALID, "INBOX cannot be deleted");    /* RFC 9051 §6.3.5 */
	if (!f.kind)
		f = account_enter(place.account);
	if (!f.kind) {
		f = delete_one(place.account, sv_z(place.name));
		account_leave(place.account);
	}
	access_done(&place);
	return f;
}

/* --- rename ------------------------------------------------------------------------------------------------------------ */

struct renaming {
	struct sv from, to;
	bool moved;                     /* out: was there anything to rename? */
};

/* The name `name`, inside from, gets inside to. False when it is too long. */
static bool new_name(const struct renaming *r, struct sv name, struct buf *out)
{
	buf_clear(out);
	return buf_append(out, r->to) && buf_append(out, sv_sub(name, r->from.len, SIZE_MAX));
}

static struct fault rename_one(struct index_txn *t, const struct renaming *r, struct index_box *box)
{
	int at = t->account->maildir;
	char dir[LAYOUT_DIR_MAX + 1];
	struct index_box other;
	struct buf name, checked;
	struct fault f;

	buf_init(&name, MAILBOX_NAME_MAX);
	buf_init(&checked, MAILBOX_NAME_MAX + 1);
	f = new_name(r, sv_z(box->name), &name) ? mailbox_name_check(buf_sv(&name), &checked) :
	    fault(FAULT_LIMIT, "mailbox name too long");
	if (!f.kind && !index_box_find(t->kv, buf_sv(&name), &other).kind)
		f = fault(FAULT_EXISTS, "mailbox is there already");
	if (!f.kind && layout_dir(buf_sv(&name), dir)) {
		f = files_rename_new(at, box->dir, at, dir);
		if (!f.kind) {
			char old[LAYOUT_DIR_MAX + 1];
			memcpy(old, box->dir, sizeof(old));
			index_undo_note(t, old, dir);
			f = index_box_rename(t, box, buf_sv(&name), sv_z(dir));
		}
	}
	buf_done(&name);
	buf_done(&checked);
	return f;
}

static struct fault rename_in(struct index_txn *t, void *arg)
{
	struct renaming *r = arg;
	uint64_t *ids = NULL;
	size_t count = 0;
	struct fault f = adopt_box_ids(t->kv, &ids, &count);

	r->moved = false;
	index_intend(t, 0);
	for (size_t i = 0; !f.kind && i < count; i++) {
		struct index_box box;
		f = index_box_get(t->kv, ids[i], &box);
		if (!f.kind && strcmp(box.dir, ".") && layout_is_inside(sv_z(box.name), r->from)) {
			f = rename_one(t, r, &box);
			r->moved = true;
		}
	}
	free(ids);
	return f;
}

struct pending {
	enum pending_kind kind;
	struct sv from, to;
};

static bool set_pending(struct sidecar_account *s, void *arg)
{
	const struct pending *p = arg;

	if (s->pending == p->kind && p->kind == PENDING_NONE)
		return false;
	s->pending = p->kind;
	memcpy(s->from, p->from.p ? p->from.p : "", p->from.len);
	s->from[p->from.len] = '\0';
	memcpy(s->to, p->to.p ? p->to.p : "", p->to.len);
	s->to[p->to.len] = '\0';
	return true;
}

/* A change of several steps: said before the first, taken back behind the last. Who finds it said and us dead goes on with it. */
static struct fault begin_pending(struct account *a, const struct pending *p, int *lock)
{
	struct fault f = account_lock_structure(a, true, lock);

	if (f.kind)
		return f;
	intent_set_pending(a->intent, true);
	return account_edit_account(a, set_pending, (void *)(uintptr_t)p);
}

static struct fault end_pending(struct account *a, int lock, struct fault f)
{
	struct pending none = { PENDING_NONE, SV_NONE, SV_NONE };
	struct fault cleared = FAULT_OK;

	if (lock < 0)
		return f;
	cleared = account_edit_account(a, set_pending, &none);
	if (!cleared.kind)
		intent_set_pending(a->intent, false);
	close(lock);
	return f.kind ? f : cleared;
}

static struct fault rename_tree(struct account *a, struct sv from, struct sv to)
{
	struct renaming r = { from, to, false };
	struct pending p = { PENDING_RENAME, from, to };
	struct index_box box;
	int lock = -1;
	struct fault f = access_record(a, to, &box);

	if (!f.kind)
		return fault(FAULT_EXISTS, "mailbox is there already");
	if (f.kind != FAULT_NOT_FOUND)
		return f;
	f = create_parents(a, to);
	if (!f.kind)
		f = begin_pending(a, &p, &lock);
	if (!f.kind)
		f = index_update(a, rename_in, &r);
	if (!f.kind && r.moved)
		f = files_sync_dir(a->maildir, ".");
	return end_pending(a, lock, f);
}

/* RFC 9051 §6.3.6: renaming INBOX moves its messages and leaves it empty. */
static struct fault empty_inbox(struct account *a, struct sv to)
{
	struct mailbox from = { .account = a, .lock = -1 }, target = { .account = a, .lock = -1 };
	struct index_box box;
	struct fault f = access_record(a, SV("INBOX"), &box);
	uint32_t resume = 1;

	from.id = box.id;
	if (!f.kind)
		f = access_record(a, to, &box);
	target.id = box.id;
	while (!f.kind && resume)
		f = copy_inside(&from, NULL, &target, true, &resume, NULL, NULL);
	return f;
}

static struct fault rename_inbox(struct account *a, struct sv to)
{
	struct pending p = { PENDING_INBOX, SV("INBOX"), to };
	uint64_t id;
	int lock = -1;
	struct fault f = folders_create(a, to, 0, &id);

	if (!f.kind)
		f = begin_pending(a, &p, &lock);
	if (!f.kind)
		f = empty_inbox(a, to);
	return end_pending(a, lock, f);
}

/* rename_there - both names in one account; inside it. */
static struct fault rename_there(struct account *a, struct sv from, struct sv to)
{
	bool is_inbox = sv_eq(from, SV("INBOX")), exists = false;
	struct listing l = { 0 };
	struct kv_txn *kv = NULL;

	if (sv_eq(from, to))
		return fault(FAULT_EXISTS, "mailbox is there already");
	if (!is_inbox && layout_is_inside(to, from))
		return fault(FAULT_INVALID, "a mailbox cannot go inside itself");
	struct fault f = account_read(a, &kv);

	if (!f.kind)
		f = collect_boxes(kv, &l);
	kv_read_end(&kv);
	for (size_t i = 0; i < l.count; i++) {
		exists = exists || (l.rows[i].exists && layout_is_inside(sv_z(l.rows[i].name), from));
		free(l.rows[i].name);
	}
	free(l.rows);
	if (!f.kind && !exists)
		f = fault(FAULT_NOT_FOUND, "no such mailbox");
	if (f.kind)
		return f;
	return is_inbox ? rename_inbox(a, to) : rename_tree(a, from, to);
}

/* may_rename - RFC 4314 §4: x on the mailbox, k on what will be above it. The owner's INBOX stays theirs. */
static struct fault may_rename(struct maildir_user *user, struct sv from, const struct place *to)
{
	struct place place;
	struct fault f = access_find(user, from, RIGHT_REMOVE, &place);

	if (f.kind)
		return f;
	if (!strcmp(place.name, "INBOX"))
		f = fault(FAULT_DENIED, "INBOX is the owner's");
	access_done(&place);
	if (!f.kind)
		f = account_enter(to->account);
	if (!f.kind) {
		f = access_parent(user, to, RIGHT_CREATE);
		account_leave(to->account);
	}
	return f;
}

struct fault mailbox_rename(struct maildir_user *user, struct sv from, struct sv to)
{
	struct place old, new = { 0 };
	struct fault f = access_place(user, from, &old);

	if (f.kind)
		return f.kind == FAULT_INVALID || f.kind == FAULT_LIMIT ? fault(FAULT_NOT_FOUND, f.detail) : f;
	f = access_place(user, to, &new);
	if (!f.kind && old.account != new.account)
		f = fault(FAULT_UNSUPPORTED, "a mailbox stays with its owner");
	if (!f.kind && !old.is_own)
		f = may_rename(user, from, &new);
	if (!f.kind)
		f = account_enter(old.account);
	if (!f.kind) {
		f = rename_there(old.account, sv_z(old.name), sv_z(new.name));
		account_leave(old.account);
	}
	access_done(&old);
	access_done(&new);
	return f;
}

struct fault folders_replay(struct account *a)
{
	struct sidecar_account side;
	struct buf text;
	int lock = -1;
	struct fault f = account_lock_structure(a, false, &lock);

	if (f.kind)     /* BUSY: whoever began it is at it */
		return f.kind == FAULT_BUSY ? FAULT_OK : f;
	buf_init(&text, SIDECAR_MAX);
	f = files_read(a->maildir, LAYOUT_ACCOUNT_FILE, &text);
	if (!f.kind)
		f = sidecar_account_parse(buf_sv(&text), &side);
	buf_done(&text);
	if (f.kind) {
		close(lock);
		return f;
	}
	if (side.pending == PENDING_NONE) {
		intent_set_pending(a->intent, false);
		close(lock);
		sidecar_account_done(&side);
		return FAULT_OK;
	}
	log_info(NULL, "store.replay", KV_Z("account", a->address), KV_Z("from", side.from), KV_Z("to", side.to));
	if (side.pending == PENDING_RENAME) {
		struct renaming r = { sv_z(side.from), sv_z(side.to), false };
		f = index_update(a, rename_in, &r);
		if (f.kind == FAULT_EXISTS)     /* made anew by somebody meanwhile: then it stays as it is */
			f = FAULT_OK;
		if (!f.kind && r.moved)
			f = files_sync_dir(a->maildir, ".");
	} else {
		f = empty_inbox(a, sv_z(side.to));
		if (f.kind == FAULT_NOT_FOUND)
			f = FAULT_OK;
	}
	sidecar_account_done(&side);
	if (!f.kind)
		return end_pending(a, lock, f);
	intent_set_pending(a->intent, true);    /* the next one tries again */
	close(lock);
	return f;
}

/* --- subscribe --------------------------------------------------------------------------------------------------------- */

struct subscription {
	struct sv name;
	bool on;
};

static bool subscribe(struct sidecar_subscriptions *s, void *arg)
{
	const struct subscription *want = arg;

	return sidecar_subscribe(s, want->name, want->on);
}

struct fault mailbox_subscribe(struct maildir_user *user, struct sv name, bool on)
{
	struct account *a = user->account;
	struct buf canonical;
	struct fault f;

	buf_init(&canonical, MAILBOX_NAME_MAX + 1);
	f = mailbox_name_check(name, &canonical);
	if (!f.kind)
		f = account_enter(a);
	if (!f.kind) {
		f = account_edit_subscriptions(a, subscribe, &(struct subscription){ buf_sv(&canonical), on });
		account_leave(a);
	}
	buf_done(&canonical);
	return f;
}
