/* maildir/sidecars.c - replacing sidecars on disk (account_private.h).
 *
 * The new text is written aside and flushed; under the name lock it is checked that nobody replaced the file since it was
 * read, and it is renamed into place; the folder is flushed; only then is it published in the index, so that
 * no UID, MODSEQ or keyword is ever used before its reservation is durable. A process that dies in between leaves a
 * sidecar that is newer than the index knows: harmless, and published by the next one that reads it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "maildir/account_private.h"
#include "maildir/files.h"
#include "maildir/store_private.h"

#include "common/banned.h"

#define TRIES 20

/* Put a prepared file in the place of `name`, if that is still the generation which was read. */
struct replacement {
	const char *temp, *name;
	uint64_t box;                   /* 0: not a mailbox's */
	const char *dir;                /* of the mailbox when it was read */
	uint64_t read_generation;       /* 0: the file was missing or broken */
	uint64_t (*generation)(struct account *a, const char *name);
	char noted;                     /* kind of the note that watchers compare (index_private.h); 0: none */
	bool changed;                   /* out: somebody else was faster */
};

static struct fault replace(struct index_txn *t, void *arg)
{
	struct replacement *r = arg;
	struct index_box box;
	int at = t->account->maildir;

	r->changed = false;
	if (r->box) {
		struct fault f = index_box_get(t->kv, r->box, &box);
		if (f.kind)
			return f;
		r->changed = strcmp(box.dir, r->dir) != 0;
	}
	r->changed = r->changed || r->generation(t->account, r->name) != r->read_generation;
	if (!r->changed && renameat(at, r->temp, at, r->name))
		return fault_errno("replace", r->name);
	struct fault f = FAULT_OK;

	if (!r->changed && r->noted)
		f = index_note_put(t, r->noted, r->box, r->read_generation + 1);
	if (!f.kind && !r->changed && r->box && r->noted == NOTE_METADATA)
		f = index_box_touch(t, &box);
	return f;
}

static struct fault put_file(struct account *a, struct replacement *r, struct sv text)
{
	char temp[BOX_PATH_MAX], unique[FILES_TEMP_LEN];
	struct fault f;

	files_temp_name("postroom-new", unique);
	if (r->box)
		box_path(temp, r->dir, unique, NULL);
	else
		snprintf(temp, sizeof(temp), "%s", unique);
	r->temp = temp;
	f = files_write_new(a->maildir, temp, text, account_conf(a)->umask_file);
	if (!f.kind) {
		f = index_update(a, replace, r);
		if (f.kind || r->changed)
			unlinkat(a->maildir, temp, 0);
	}
	if (!f.kind && !r->changed)
		f = files_sync_dir(a->maildir, r->dir);
	r->temp = NULL;
	return f;
}

struct fault account_put_sidecar(struct account *a, const struct sidecar_place *at, struct sv text, bool *changed)
{
	char path[BOX_PATH_MAX];
	struct replacement r = { .box = at->box, .dir = at->dir, .name = path, .read_generation = at->generation,
				 .generation = at->look, .noted = at->noted };

	box_path(path, at->dir, at->file, NULL);
	struct fault f = put_file(a, &r, text);

	*changed = r.changed;
	return f;
}

/* --- a mailbox's ------------------------------------------------------------------------------------------------ */

static struct fault read_mailbox(int maildir, const char *path, struct sidecar_mailbox *out)
{
	struct buf text;
	struct fault f;

	buf_init(&text, SIDECAR_MAX);
	f = files_read(maildir, path, &text);
	if (!f.kind)
		f = sidecar_mailbox_parse(buf_sv(&text), out);
	buf_done(&text);
	return f;
}

struct fault account_read_sidecar(int maildir, const char *dir, struct sidecar_mailbox *out)
{
	char path[BOX_PATH_MAX];

	box_path(path, dir, LAYOUT_MAILBOX_FILE, NULL);
	return read_mailbox(maildir, path, out);
}

static uint64_t mailbox_generation(struct account *a, const char *path)
{
	struct sidecar_mailbox s;
	uint64_t generation = 0;

	if (!read_mailbox(a->maildir, path, &s).kind) {
		generation = s.generation;
		sidecar_mailbox_done(&s);
	}
	return generation;
}

struct publication {
	uint64_t box;
	const struct sidecar_mailbox *side;
};

static struct fault publish_mailbox(struct index_txn *t, void *arg)
{
	const struct publication *p = arg;
	struct index_box box;
	struct fault f = index_box_get(t->kv, p->box, &box);

	if (f.kind || box.generation >= p->side->generation)
		return f;
	box.generation = p->side->generation;
	if (box.uid_ceiling < p->side->uid_ceiling)
		box.uid_ceiling = p->side->uid_ceiling;
	index_uncount(t, &box, box.size, box.messages);
	box.special_use = p->side->special_use;
	index_count(t, &box, box.size, box.messages);
	t->meta_changed = true;
	f = index_box_put(t->kv, &box);
	return f.kind ? f : index_keywords_put(t->kv, p->box, &p->side->keywords);
}

struct fault account_edit_mailbox(struct account *a, uint64_t id, sidecar_edit_fn *edit, void *arg)
{
	for (int tries = 0; tries < TRIES; tries++) {
		struct sidecar_mailbox s = { 0 };
		struct index_box box;
		struct kv_txn *kv = NULL;
		struct buf text;
		char path[BOX_PATH_MAX];
		struct fault f = account_read(a, &kv);
		struct replacement r = { .box = id, .generation = mailbox_generation };

		if (f.kind)
			return f;
		f = index_box_get(kv, id, &box);
		if (!f.kind) {
			box_path(path, box.dir, LAYOUT_MAILBOX_FILE, NULL);
			struct fault read = read_mailbox(a->maildir, path, &s);
			r.read_generation = read.kind ? 0 : s.generation;
			if (read.kind == FAULT_NOT_FOUND || read.kind == FAULT_CORRUPT) {
				/* Gone or damaged: what it said stands in the index. */
				s = (struct sidecar_mailbox){ .generation = box.generation, .id = id,
					.uidvalidity = box.uidvalidity, .uid_ceiling = box.uid_ceiling,
					.special_use = box.special_use };
				buf_init(&s.unknown, SIDECAR_UNKNOWN_MAX);
				f = index_keywords_get(kv, id, &s.keywords);
			} else {
				f = read;
			}
		}
		kv_read_end(&kv);
		buf_init(&text, SIDECAR_MAX);
		bool write = !f.kind && edit(&s, arg);
		r.name = path;
		r.dir = box.dir;
		if (write) {
			s.generation++;
			f = sidecar_mailbox_write(&s, &text);
			if (!f.kind)
				f = put_file(a, &r, buf_sv(&text));
		}
		buf_done(&text);
		if (!f.kind && !r.changed && s.generation > box.generation) {
			if (!write)     /* another process wrote it, and may not have flushed it yet */
				f = files_sync_dir(a->maildir, box.dir);
			if (!f.kind)
				f = index_update(a, publish_mailbox, &(struct publication){ id, &s });
		}
		sidecar_mailbox_done(&s);
		if (f.kind || !r.changed)
			return f;
	}
	return fault(FAULT_BUSY, "mailbox sidecar changes all the time");
}

struct wanted_keywords {
	const struct sv *names;
	size_t count;
	struct fault fault;
};

static bool add_keywords(struct sidecar_mailbox *s, void *arg)
{
	struct wanted_keywords *w = arg;
	uint32_t before = s->keywords.count;

	w->fault = FAULT_OK;
	for (size_t i = 0; !w->fault.kind && i < w->count; i++) {
		unsigned number;
		w->fault = keyword_add(&s->keywords, w->names[i], &number);
	}
	return !w->fault.kind && s->keywords.count > before;
}

static bool find_keywords(const struct keyword_names *have, const struct sv *names, size_t count,
			  struct keyword_bits *out)
{
	bool all = true;

	*out = (struct keyword_bits){ { 0, 0 } };
	for (size_t i = 0; i < count; i++) {
		int n = keyword_find(have, names[i]);
		if (n >= 0)
			out->w[n / 64] |= (uint64_t)1 << n % 64;
		all = all && n >= 0;
	}
	return all;
}

struct fault account_keywords(struct account *a, uint64_t box, const struct sv *names, size_t count, bool add,
			      struct keyword_bits *out)
{
	*out = (struct keyword_bits){ { 0, 0 } };
	for (int tries = 0; count && tries < 2; tries++) {
		struct keyword_names have;
		struct wanted_keywords w = { names, count, FAULT_OK };
		struct kv_txn *kv;
		struct fault f = account_read(a, &kv);

		if (f.kind)
			return f;
		f = index_keywords_get(kv, box, &have);
		kv_read_end(&kv);
		if (f.kind || find_keywords(&have, names, count, out) || !add)
			return f;
		if (!tries)
			f = account_edit_mailbox(a, box, add_keywords, &w);
		if (w.fault.kind || f.kind)
			return w.fault.kind ? w.fault : f;
	}
	return count ? fault(FAULT_INTERNAL, "keywords were not added") : FAULT_OK;
}

/* --- the account's ---------------------------------------------------------------------------------------------- */

static struct fault read_account(struct account *a, struct sidecar_account *out)
{
	struct buf text;
	struct fault f;

	buf_init(&text, SIDECAR_MAX);
	f = files_read(a->maildir, LAYOUT_ACCOUNT_FILE, &text);
	if (!f.kind)
		f = sidecar_account_parse(buf_sv(&text), out);
	buf_done(&text);
	return f;
}

static uint64_t account_generation(struct account *a, const char *path)
{
	struct sidecar_account s;
	uint64_t generation = 0;

	(void)path;
	if (!read_account(a, &s).kind) {
		generation = s.generation;
		sidecar_account_done(&s);
	}
	return generation;
}

static struct fault publish_account(struct index_txn *t, void *arg)
{
	const struct sidecar_account *s = arg;

	if (t->meta.generation >= s->generation)
		return FAULT_OK;
	t->meta.generation = s->generation;
	if (t->meta.modseq_ceiling < s->modseq_ceiling)
		t->meta.modseq_ceiling = s->modseq_ceiling;
	if (t->meta.uidvalidity_floor < s->uidvalidity_floor)
		t->meta.uidvalidity_floor = s->uidvalidity_floor;
	t->meta_changed = true;
	return FAULT_OK;
}

/* Not through index_update(), which comes here when MODSEQs run out. */
static struct fault publish_account_now(struct account *a, const struct sidecar_account *s)
{
	struct index_txn t = { .account = a };
	struct fault f = kv_write_begin(a->env, &t.kv);

	if (!f.kind)
		f = index_meta_get(t.kv, &t.meta);
	if (!f.kind)
		f = publish_account(&t, (void *)(uintptr_t)s);
	if (!f.kind && t.meta_changed)
		f = index_meta_put(t.kv, &t.meta);
	if (!f.kind)
		f = kv_commit(&t.kv);
	kv_abort(&t.kv);
	return f;
}

static struct fault replace_account_now(struct account *a, struct replacement *r, struct sv text)
{
	struct index_txn t = { .account = a };
	char temp[FILES_TEMP_LEN];
	struct fault f;

	files_temp_name("postroom-new", temp);
	f = files_write_new(a->maildir, temp, text, account_conf(a)->umask_file);
	if (f.kind)
		return f;
	r->temp = temp;
	f = kv_write_begin(a->env, &t.kv);
	if (!f.kind)
		f = replace(&t, r);
	kv_abort(&t.kv);        /* only the lock was wanted */
	r->temp = NULL;
	if (f.kind || r->changed)
		unlinkat(a->maildir, temp, 0);
	else
		f = files_sync_dir(a->maildir, ".");
	return f;
}

struct fault account_edit_account(struct account *a, account_edit_fn *edit, void *arg)
{
	for (int tries = 0; tries < TRIES; tries++) {
		struct sidecar_account s;
		struct buf text;
		struct replacement r = { .name = LAYOUT_ACCOUNT_FILE, .dir = ".", .generation = account_generation };
		struct fault f = read_account(a, &s);

		if (f.kind)
			return f;
		r.read_generation = s.generation;
		buf_init(&text, SIDECAR_MAX);
		if (edit(&s, arg)) {
			s.generation++;
			f = sidecar_account_write(&s, &text);
			if (!f.kind)
				f = replace_account_now(a, &r, buf_sv(&text));
		} else {
			f = files_sync_dir(a->maildir, ".");
		}
		buf_done(&text);
		if (!f.kind && !r.changed)
			f = publish_account_now(a, &s);
		sidecar_account_done(&s);
		if (f.kind || !r.changed)
			return f;
	}
	return fault(FAULT_BUSY, "account sidecar changes all the time");
}

static bool raise_floor(struct sidecar_account *s, void *arg)
{
	const uint32_t *next = arg;

	if (s->uidvalidity_floor > *next)
		return false;
	s->uidvalidity_floor = *next + UIDVALIDITY_BLOCK;
	return true;
}

static struct fault take_uidvalidity(struct index_txn *t, void *arg)
{
	uint32_t *out = arg, now = (uint32_t)time(NULL);

	*out = t->meta.uidvalidity_next > now ? t->meta.uidvalidity_next : now;
	if (*out >= t->meta.uidvalidity_floor)
		return fault(FAULT_LIMIT, "UIDVALIDITY is not reserved yet");
	t->meta.uidvalidity_next = *out + 1;
	t->meta_changed = true;
	return FAULT_OK;
}

struct fault account_new_uidvalidity(struct account *a, uint32_t *out)
{
	struct fault f = FAULT_OK;

	for (int tries = 0; tries < 3; tries++) {
		f = index_update(a, take_uidvalidity, out);
		if (f.kind != FAULT_LIMIT)
			return f;
		f = account_edit_account(a, raise_floor, out);
		if (f.kind)
			return f;
	}
	return f;
}

/* --- subscriptions ---------------------------------------------------------------------------------------------- */

struct fault account_subscriptions(struct account *a, struct sidecar_subscriptions *out)
{
	struct buf text;
	struct fault f;

	buf_init(&text, SIDECAR_MAX);
	f = files_read(a->maildir, LAYOUT_SUBSCRIPTIONS_FILE, &text);
	if (!f.kind)
		f = sidecar_subscriptions_parse(buf_sv(&text), out);
	buf_done(&text);
	if (f.kind == FAULT_NOT_FOUND || f.kind == FAULT_CORRUPT) {
		memset(out, 0, sizeof(*out));
		buf_init(&out->unknown, SIDECAR_UNKNOWN_MAX);
		f = FAULT_OK;
	}
	return f;
}

static uint64_t subscriptions_generation(struct account *a, const char *path)
{
	struct sidecar_subscriptions s;
	uint64_t generation = 0;

	(void)path;
	if (!account_subscriptions(a, &s).kind) {
		generation = s.generation;
		sidecar_subscriptions_done(&s);
	}
	return generation;
}

struct fault account_edit_subscriptions(struct account *a, subscriptions_edit_fn *edit, void *arg)
{
	for (int tries = 0; tries < TRIES; tries++) {
		struct sidecar_subscriptions s;
		struct buf text;
		struct replacement r = { .name = LAYOUT_SUBSCRIPTIONS_FILE, .dir = ".", .noted = NOTE_SUBSCRIPTIONS,
					 .generation = subscriptions_generation };
		struct fault f = account_subscriptions(a, &s);

		if (f.kind)
			return f;
		r.read_generation = s.generation;
		buf_init(&text, SIDECAR_MAX);
		if (edit(&s, arg)) {
			s.generation++;
			f = sidecar_subscriptions_write(&s, &text);
			if (!f.kind)
				f = put_file(a, &r, buf_sv(&text));
		}
		buf_done(&text);
		sidecar_subscriptions_done(&s);
		if (f.kind || !r.changed)
			return f;
	}
	return fault(FAULT_BUSY, "subscriptions change all the time");
}

/* --- the flag log ----------------------------------------------------------------------------------------------- */

struct fault account_log_flags(struct index_txn *t, struct sv lines)
{
	struct account *a = t->account;
	int64_t clean = 0;
	struct stat st;
	struct fault f;

	if (!t->intent.log_end) {
		if (fstat(a->flag_log, &st))
			return fault_errno("stat", LAYOUT_FLAG_LOG);
		index_intend_log(t, (uint64_t)st.st_size);
	}
	f = files_write_all(a->flag_log, lines);

	atomic_compare_exchange_strong(&a->log_dirty_ms, &clean, store_now_ms());
	store_note_unflushed(a);
	return f;
}

void account_flush_log(struct account *a, int64_t age_ms)
{
	int64_t since = atomic_load(&a->log_dirty_ms);

	if (!since || store_now_ms() - since < age_ms || a->flag_log < 0)
		return;
	/* Cleared before: a change that comes in between is flushed once more. */
	atomic_store(&a->log_dirty_ms, 0);
	if (fdatasync(a->flag_log))     /* the pages may be gone: trying again would only hide it */
		log_error(NULL, "store.flags.flush", KV_Z("account", a->address), KV_Z("error", strerror(errno)));
}
