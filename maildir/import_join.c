/* maildir/import_join.c - putting in place what is laid ready (import_private.h).
 *
 * An account without mail gets all of it at once (import_exchange.c). In an account with mail a mailbox that does not exist is one
 * rename; one that does takes the messages in chunks: UIDs are taken first, for good, then ids of POP3 are noted under them, then
 * the files get the names that carry them, and only then is each put in place with its row. Whoever was interrupted goes on from
 * where he was. What a process was killed over between names and commit, recovery takes for new mail (adopt.c): such a message, of
 * a chunk at most, is there once under a UID of its own, and the next run gives it its POP3 id back. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "maildir/files.h"
#include "maildir/import_private.h"
#include "maildir/mailbox_private.h"

#include "common/banned.h"

#define CHUNK_FILE "postroom-chunk"     /* beside what is laid ready: "<UID> <id>" of the messages being put in place */

/* --- a mailbox that is there already -------------------------------------------------------------------------------------- */

struct staged {
	char name[FILENAME_MAX_LEN + 1];
	uint32_t uid;                   /* as it is laid ready */
	uint32_t final;
};

struct joining {
	struct import *im;
	uint64_t box;
	const char *dir;                /* the same here and there */
	struct sidecar_mailbox side;    /* as it is laid ready */
	struct box_facts facts;         /* likewise */
	struct id_map noted;            /* digest of each id that the mailbox has -> UID */
	uint8_t map[KEYWORDS_MAX];
	enum source_kind kind;
	struct staged *items;           /* all, ascending UIDs */
	size_t count, cap;
	struct staged *chunk;
	size_t chunk_count;
	uint64_t kept, joined, uidls;
};

static bool list_staged(void *arg, const char *name, unsigned char type)
{
	struct joining *j = arg;
	struct filename n;

	if (type != DT_REG || !filename_parse(sv_z(name), &n) || !n.has_uid)
		return true;
	if (j->count == j->cap) {
		j->cap = j->cap ? j->cap * 2 : 256;
		j->items = xrealloc(j->items, j->cap * sizeof(*j->items));
	}
	j->items[j->count].uid = n.uid;
	snprintf(j->items[j->count++].name, FILENAME_MAX_LEN + 1, "%s", name);
	return true;
}

static int by_staged_uid(const void *a, const void *b)
{
	const struct staged *x = a, *y = b;

	return x->uid != y->uid ? (x->uid < y->uid ? -1 : 1) : strcmp(x->name, y->name);
}

/* UIDs for a chunk, taken for good. The source's own are kept where they are above all that this mailbox ever told. */
static struct fault take_uids(struct index_txn *t, void *arg)
{
	struct joining *j = arg;
	struct index_box box;
	struct fault f = index_box_get(t->kv, j->box, &box);
	uint32_t first = box.uidnext;

	if (f.kind)
		return f;
	for (size_t i = 0; i < j->chunk_count; i++) {
		struct staged *item = &j->chunk[i];
		if (box.uidvalidity == j->side.uidvalidity && item->uid > box.uidnext)
			box.uidnext = item->uid;
		if (box.uidnext > UINT32_MAX - 4 * UID_BLOCK)
			return fault(FAULT_LIMIT, "no UIDs left in this mailbox");
		item->final = box.uidnext++;
	}
	if (box.uidnext > box.uid_ceiling) {
		t->renew_box = j->box;
		t->renew_count = box.uidnext - first;
		return fault(FAULT_BUSY, "UIDs are not reserved yet");
	}
	return index_box_put(t->kv, &box);
}

/* Does a message have this id? It keeps it, then. */
static bool is_taken(struct joining *j, struct sv uidl)
{
	struct kv_txn *kv = NULL;
	struct index_row row;
	uint8_t digest[16];
	uint32_t uid;

	filename_email_digest(uidl, digest);
	if (!id_map_has(&j->noted, digest, &uid) || account_read(j->im->account, &kv).kind)
		return false;
	bool is_there = !index_row_get(kv, j->box, uid, &row).kind;
	kv_read_end(&kv);
	return is_there;
}

static struct fault note_chunk(struct joining *j)
{
	char path[BOX_PATH_MAX];
	struct buf text;
	struct fault f;

	if (strcmp(j->dir, "."))        /* it is for ids of POP3 */
		return FAULT_OK;
	buf_init(&text, CHUNK_MAX * 64);
	for (size_t i = 0; i < j->chunk_count; i++) {
		struct filename n;
		if (filename_parse(sv_z(j->chunk[i].name), &n))
			buf_appendf(&text, "%u %.*s\n", j->chunk[i].final, SV_FMT(n.id));
	}
	box_path(path, j->dir, CHUNK_FILE, NULL);
	f = files_replace(j->im->staging, path, buf_sv(&text), 0600);
	buf_done(&text);
	return f;
}

/* Over this chunk an earlier run was killed. A message that recovery took for new mail keeps its POP3 id under the UID that it
 * got there (of two UIDs with one id the higher has it). */
static struct fault repair_chunk(struct joining *j, const struct id_map *present)
{
	int dir = j->im->account->maildir;
	char path[BOX_PATH_MAX];
	struct box_facts facts;
	struct buf text;
	struct sv rest, line, number;
	bool changed = false;
	struct fault f;

	buf_init(&text, 1 << 20);
	box_path(path, j->dir, CHUNK_FILE, NULL);
	f = files_read(j->im->staging, path, &text);
	if (f.kind) {
		buf_done(&text);
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	}
	f = box_facts_read(dir, j->dir, &facts);
	rest = buf_sv(&text);
	while (!f.kind && rest.len && sv_split(&rest, '\n', &line)) {
		uint8_t digest[16];
		uint32_t was, is;
		struct sv noted;
		if (!sv_split(&line, ' ', &number) || !sv_to_u32(number, &was))
			continue;
		filename_email_digest(line, digest);
		noted = box_facts_uidl(&facts, was);
		if (noted.len && id_map_has(present, digest, &is) && is > was) {
			char uidl[FACTS_UIDL_MAX + 1];
			snprintf(uidl, sizeof(uidl), "%.*s", SV_FMT(noted));
			changed = box_facts_add(&facts, is, sv_z(uidl)) || changed;
		}
	}
	if (!f.kind && changed) {
		box_facts_settle(&facts);
		f = box_facts_replace(dir, j->dir, &facts);
	}
	box_facts_done(&facts);
	buf_done(&text);
	return f;
}

/* What POP3 clients know the messages by, under their new UIDs; and those names that carry them, in new/. */
static struct fault name_chunk(struct joining *j, const struct index_box *box)
{
	struct account *a = j->im->account;
	struct box_facts facts;
	char from[BOX_PATH_MAX], to[BOX_PATH_MAX], name[FILENAME_MAX_LEN + 1], uidl[24];
	bool changed = false;
	struct fault f = box_facts_read(a->maildir, box->dir, &facts);

	for (size_t i = 0; !f.kind && !strcmp(j->dir, ".") && i < j->chunk_count; i++) {
		struct staged *item = &j->chunk[i];
		struct sv noted = box_facts_uidl(&j->facts, item->uid);
		bool keeps = item->final == item->uid && box->uidvalidity == j->side.uidvalidity;
		if (!noted.len && j->kind == SOURCE_DOVECOT && !keeps) {
			snprintf(uidl, sizeof(uidl), "%08x%08x", item->uid, j->side.uidvalidity);
			noted = sv_z(uidl);
		}
		if (noted.len && !is_taken(j, noted) && box_facts_add(&facts, item->final, noted)) {
			j->uidls++;
			changed = true;
		}
	}
	if (!f.kind && changed) {
		box_facts_settle(&facts);
		f = box_facts_replace(a->maildir, box->dir, &facts);
	}
	box_facts_done(&facts);
	if (!f.kind)
		f = note_chunk(j);
	for (size_t i = 0; !f.kind && i < j->chunk_count; i++) {
		struct staged *item = &j->chunk[i];
		struct filename n;
		if (!filename_parse(sv_z(item->name), &n))
			continue;
		j->kept += item->final == item->uid && box->uidvalidity == j->side.uidvalidity;
		n.keywords = stage_map_bits(&n.keywords, j->map);
		n.uid = item->final;
		n.uidvalidity = box->uidvalidity;
		if (!filename_write(&n, name))
			continue;
		box_path(from, j->dir, "cur", item->name);
		box_path(to, j->dir, "new", name);
		f = files_rename_new(j->im->staging, from, j->im->staging, to);
		memcpy(item->name, name, sizeof(name));
	}
	return f;
}

/* From new/ into the mailbox, with a row for each. */
static struct fault place_chunk(struct index_txn *t, void *arg)
{
	struct joining *j = arg;
	struct account *a = t->account;
	struct index_box box;
	struct keyword_names names;
	struct fault f = index_box_get(t->kv, j->box, &box);

	if (!f.kind)
		f = index_keywords_get(t->kv, j->box, &names);
	if (f.kind)
		return f;
	adopt_check_times(a, &box);
	index_intend(t, j->box);
	for (size_t i = 0; !f.kind && i < j->chunk_count; i++) {
		char from[BOX_PATH_MAX], below[2 * BOX_PATH_MAX], to[BOX_PATH_MAX];
		struct found found = { .name = j->chunk[i].name };
		struct index_row row, other;
		struct filename n;

		if (!filename_parse(sv_z(found.name), &n) || !n.has_uid || n.uidvalidity != box.uidvalidity ||
		    n.uid >= box.uidnext || !index_row_get(t->kv, j->box, n.uid, &other).kind)
			continue;
		found.size = n.size;
		found.wire_size = n.wire_size;
		if (!adopt_describe(a, &found, &box, n.uid, names.count, &row))
			continue;
		box_path(from, j->dir, "new", found.name);
		snprintf(below, sizeof(below), "../" IMPORT_FOLDER "/%s", from);
		box_path(to, box.dir, "cur", row.name);
		f = files_rename_new(a->maildir, below, a->maildir, to);
		if (f.kind == FAULT_NOT_FOUND) {
			f = FAULT_OK;
			continue;
		}
		if (!f.kind) {
			index_undo_note(t, below, to);
			f = index_row_add(t, &box, &row);
		}
	}
	adopt_note_times(a, &box);
	return f.kind ? f : index_box_put(t->kv, &box);
}

/* Also UIDs of messages that the source expunged were told to clients. */
static struct fault raise_uidnext(struct index_txn *t, void *arg)
{
	struct joining *j = arg;
	struct index_box box;
	struct fault f = index_box_get(t->kv, j->box, &box);

	if (f.kind || box.uidvalidity != j->side.uidvalidity || box.uidnext >= j->side.uid_ceiling ||
	    j->side.uid_ceiling > UINT32_MAX - 4 * UID_BLOCK)
		return f;
	if (j->side.uid_ceiling > box.uid_ceiling) {
		t->renew_box = j->box;
		t->renew_count = j->side.uid_ceiling - box.uidnext;
		return fault(FAULT_BUSY, "UIDs are not reserved yet");
	}
	box.uidnext = j->side.uid_ceiling;
	return index_box_put(t->kv, &box);
}

static struct fault read_box(struct account *a, uint64_t id, struct index_box *out)
{
	struct kv_txn *kv = NULL;
	struct fault f = account_read(a, &kv);

	if (!f.kind)
		f = index_box_get(kv, id, out);
	kv_read_end(&kv);
	return f;
}

static struct fault list_part(struct joining *j, const char *part)
{
	char path[BOX_PATH_MAX];
	struct fault f;

	j->count = 0;
	box_path(path, j->dir, part, NULL);
	f = files_each(j->im->staging, path, list_staged, j);
	if (j->count)
		qsort(j->items, j->count, sizeof(*j->items), by_staged_uid);
	return f;
}

static struct fault collect_noted(struct joining *j)
{
	struct box_facts facts;
	struct fault f = box_facts_read(j->im->account->maildir, j->dir, &facts);

	for (size_t i = 0; !f.kind && i < facts.count; i++) {
		uint8_t digest[16];
		filename_email_digest(box_facts_uidl(&facts, facts.rows[i].uid), digest);
		id_map_add(&j->noted, digest, facts.rows[i].uid);
	}
	box_facts_done(&facts);
	return f;
}

static struct fault join_messages(struct joining *j)
{
	struct account *a = j->im->account;
	char path[BOX_PATH_MAX];
	struct index_box box;
	struct fault f = list_part(j, "new");   /* an earlier run's: they have their UIDs */

	if (!f.kind)
		f = collect_noted(j);

	for (size_t at = 0; !f.kind && at < j->count; at += j->chunk_count) {
		j->chunk = j->items + at;
		j->chunk_count = j->count - at > CHUNK_MAX ? CHUNK_MAX : j->count - at;
		f = index_update(a, place_chunk, j);
	}
	if (!f.kind)
		f = list_part(j, "cur");
	for (size_t at = 0; !f.kind && at < j->count; at += j->chunk_count) {
		j->chunk = j->items + at;
		j->chunk_count = j->count - at > CHUNK_MAX ? CHUNK_MAX : j->count - at;
		f = index_update(a, take_uids, j);
		if (!f.kind)
			f = read_box(a, j->box, &box);
		if (!f.kind)
			f = name_chunk(j, &box);
		if (!f.kind)
			f = index_update(a, place_chunk, j);
		j->joined += f.kind ? 0 : j->chunk_count;
	}
	if (!f.kind)
		f = index_update(a, raise_uidnext, j);
	if (!f.kind)
		f = read_box(a, j->box, &box);
	if (!f.kind) {
		box_path(path, box.dir, "cur", NULL);
		f = files_sync_dir(a->maildir, path);
	}
	return f;
}

/* A mailbox that never held a message takes over the source's UIDVALIDITY. */
static bool set_uidvalidity(struct sidecar_mailbox *s, void *arg)
{
	const struct joining *j = arg;

	s->uidvalidity = j->side.uidvalidity;
	if (s->uid_ceiling < j->side.uid_ceiling)
		s->uid_ceiling = j->side.uid_ceiling;
	return true;
}

static struct fault publish_uidvalidity(struct index_txn *t, void *arg)
{
	const struct joining *j = arg;
	struct index_box box;
	struct fault f = index_box_get(t->kv, j->box, &box);

	if (f.kind)
		return f;
	if (box.messages || box.uidnext > 1)
		return fault(FAULT_BUSY, "mail has come meanwhile");
	box.uidvalidity = j->side.uidvalidity;
	if (box.uidvalidity >= t->meta.uidvalidity_next && box.uidvalidity < UINT32_MAX - UIDVALIDITY_BLOCK) {
		t->meta.uidvalidity_next = box.uidvalidity + 1;
		t->meta_changed = true;
	}
	return index_box_put(t->kv, &box);
}

static struct fault plan_join(struct joining *j)
{
	struct account *a = j->im->account;
	struct fault f = FAULT_OK;

	memset(j->map, KEYWORD_NONE, sizeof(j->map));
	for (uint32_t i = 0; !f.kind && i < j->side.keywords.count; i++) {
		struct sv name = sv_z(j->side.keywords.name[i]);
		struct keyword_bits bits;
		f = account_keywords(a, j->box, &name, 1, true, &bits);
		for (unsigned n = 0; !f.kind && n < KEYWORDS_MAX; n++)
			if (bits.w[n / 64] >> n % 64 & 1)
				j->map[i] = (uint8_t)n;
		if (f.kind == FAULT_LIMIT)      /* full: those that it has are kept */
			f = FAULT_OK;
	}
	return f;
}

static struct fault join_existing(struct joining *j, const struct index_box *box)
{
	struct account *a = j->im->account;
	struct fault f = FAULT_OK;

	j->box = box->id;
	if (!box->messages && box->uidnext <= 1 && box->uidvalidity != j->side.uidvalidity) {
		f = index_update(a, publish_uidvalidity, j);
		if (!f.kind)
			f = account_edit_mailbox(a, j->box, set_uidvalidity, j);
		if (f.kind == FAULT_BUSY)
			f = FAULT_OK;           /* then with UIDs of this mailbox */
	}
	if (!f.kind)
		f = plan_join(j);
	return f.kind ? f : join_messages(j);
}

/* A mailbox that the account does not have: the whole folder. */
static struct fault join_missing(struct joining *j)
{
	struct account *a = j->im->account;
	struct fault f = files_rename_new(j->im->staging, j->dir, a->maildir, j->dir);

	if (!f.kind)
		f = files_sync_dir(a->maildir, ".");
	return f.kind ? f : adopt_folders(a);
}

static struct source_box *box_of(struct import *im, const char *dir)
{
	for (size_t i = 0; i < im->count; i++)
		if (!strcmp(im->boxes[i].dir, dir))
			return &im->boxes[i];
	return NULL;
}

/* Inside the account. */
static struct fault join_inside(struct joining *j, struct sv name, const struct id_map *present, bool *exists)
{
	struct account *a = j->im->account;
	struct index_box box;
	struct kv_txn *kv = NULL;
	struct fault f = strcmp(j->dir, ".") ? FAULT_OK : repair_chunk(j, present);

	if (!f.kind)
		f = account_read(a, &kv);
	if (!f.kind)
		f = index_box_find(kv, name, &box);
	kv_read_end(&kv);
	*exists = !f.kind;
	if (*exists)
		return join_existing(j, &box);
	return f.kind == FAULT_NOT_FOUND ? join_missing(j) : f;
}

/* What is told of the mailbox, where it did not come as it was laid ready. */
static void correct_result(const struct joining *j, struct source_box *source)
{
	if (source->result.uids_kept > j->kept)
		source->result.uids_kept = j->kept;
	source->result.uidls = j->uidls;
	if (j->kept < j->joined)
		source_note(source, "%llu messages got new UIDs: the mailbox had some of its own",
			    (unsigned long long)(j->joined - j->kept));
}

static struct fault join_box(struct import *im, const char *dir)
{
	struct joining j = { .im = im, .dir = dir };
	struct source_box *source = box_of(im, dir);
	struct buf name;
	struct id_map present = { 0 };
	bool exists = false;
	struct fault f = stage_read_sidecar(im->staging, dir, &j.side);

	if (f.kind)
		return f;
	buf_init(&name, MAILBOX_NAME_MAX);
	f = box_facts_read(im->staging, dir, &j.facts);
	if (!f.kind && !layout_name(sv_z(dir), &name))
		f = fault(FAULT_INTERNAL, "a folder laid ready is no mailbox");
	j.kind = source ? source->kind : SOURCE_MAILDIR;
	if (!f.kind && !strcmp(dir, "."))
		f = stage_present(im, "INBOX", &present);
	if (!f.kind)
		f = account_enter(im->account);
	if (!f.kind) {
		f = join_inside(&j, buf_sv(&name), &present, &exists);
		account_leave(im->account);
	}
	if (!f.kind && exists && source)
		correct_result(&j, source);
	sidecar_mailbox_done(&j.side);
	box_facts_done(&j.facts);
	id_map_done(&j.noted);
	id_map_done(&present);
	buf_done(&name);
	free(j.items);
	return f;
}

struct folders {
	char **dirs;
	size_t count, cap;
};

static bool note_folder(void *arg, const char *name, unsigned char type)
{
	struct folders *l = arg;

	if (type != DT_DIR || name[0] != '.')
		return true;
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		l->dirs = xrealloc(l->dirs, l->cap * sizeof(*l->dirs));
	}
	l->dirs[l->count++] = xstrdup(name);
	return true;
}

static bool subscribe_all(struct sidecar_subscriptions *s, void *arg)
{
	const struct import *im = arg;
	bool changed = false;

	for (size_t i = 0; i < im->subscription_count; i++)
		changed = sidecar_subscribe(s, sv_z(im->subscriptions[i]), true) || changed;
	return changed;
}

static struct fault join_each(struct import *im)
{
	struct folders l = { 0 };
	struct fault f = files_each(im->staging, ".", note_folder, &l);

	if (!f.kind && syncfs(im->staging))
		f = fault_errno("syncfs", IMPORT_FOLDER);
	if (!f.kind && files_exists(im->staging, LAYOUT_MAILBOX_FILE))
		f = join_box(im, ".");
	for (size_t i = 0; i < l.count; i++) {
		if (!f.kind)
			f = join_box(im, l.dirs[i]);
		free(l.dirs[i]);
	}
	free(l.dirs);
	if (f.kind)
		return f;
	f = account_enter(im->account);
	if (!f.kind) {
		f = account_edit_subscriptions(im->account, subscribe_all, im);
		account_leave(im->account);
	}
	return f;
}

/* Nothing is ever removed that holds a message. */
static bool has_any_message(int folder)
{
	struct folders l = { 0 };
	bool found = stage_has_message(folder, ".") || files_each(folder, ".", note_folder, &l).kind;

	for (size_t i = 0; i < l.count; i++) {
		found = found || stage_has_message(folder, l.dirs[i]);
		free(l.dirs[i]);
	}
	free(l.dirs);
	return found;
}

struct fault join_tidy(struct account *a)
{
	char gone[FILES_TEMP_LEN], path[FILES_TEMP_LEN + 16];
	struct fault f = account_enter(a);
	int dir;

	if (f.kind)
		return f;
	dir = files_open(a->dir, IMPORT_FOLDER, O_RDONLY | O_DIRECTORY, 0);
	if (dir >= 0) {
		if (has_any_message(dir))
			f = fault_detail(FAULT_BUSY, "messages were left in the account's folder \"%s\": run it again",
					 IMPORT_FOLDER);
		close(dir);
		/* Out of sight first: half of it would look like half an import. */
		files_temp_name("import", gone);
		snprintf(path, sizeof(path), LAYOUT_TRASH "/%s", gone);
		if (!f.kind)
			f = files_mkdir(a->dir, LAYOUT_TRASH, account_conf(a)->umask_dir, NULL);
		if (!f.kind)
			f = files_rename_new(a->dir, IMPORT_FOLDER, a->dir, path);
		if (!f.kind)
			files_remove_tree(a->dir, path);
	}
	account_leave(a);
	return f;
}

struct fault join_all(struct import *im)
{
	bool is_done = false;
	struct fault f = exchange_all(im, &is_done);

	return f.kind || is_done ? f : join_each(im);
}
