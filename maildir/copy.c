/* maildir/copy.c - copying, moving and removing messages: see mailbox.h.
 * A chunk is chosen in a snapshot, done in one write transaction, and made durable before anybody is told. */
#include "maildir/copy_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "maildir/files.h"
#include "maildir/mailbox_private.h"
#include "maildir/quota_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

#define CHUNK_MS 20             /* how long one transaction may keep others waiting */

/* --- choosing a chunk -------------------------------------------------------------------------------------------------- */

struct chunk {
	uint32_t uids[CHUNK_MAX];
	size_t count;
	uint32_t next;                  /* where the next chunk begins; 0: nothing is left */
	struct keyword_bits keywords;   /* that any of them has */
};

static bool is_as_read(const struct copy_filter *filter, uint32_t uid, uint64_t modseq)
{
	for (size_t i = 0; i < filter->as_read_count && filter->as_read[i].uid <= uid; i++)
		if (filter->as_read[i].uid == uid)
			return filter->as_read[i].modseq == modseq;
	return !filter->as_read;
}

static bool passes(const struct copy_filter *filter, uint32_t uid, const struct index_row_head *h)
{
	return (h->flags & filter->flags) == filter->flags &&
	       (!filter->saved_before || h->savedate < filter->saved_before) && is_as_read(filter, uid, h->modseq);
}

/* Messages of set (NULL: all) from `from` on that the filter lets through. */
static struct fault choose(struct mailbox *box, const struct uidset *set, uint32_t from, const struct copy_filter *filter,
			   struct chunk *out)
{
	struct kv_txn *kv = NULL;
	struct walk w = { .c = NULL };
	struct index_box record;
	uint32_t start = set ? uidset_next(set, from) : from;
	struct fault f = mailbox_snapshot(box, &kv, &record);

	memset(out, 0, sizeof(*out));
	if (!f.kind && ((set && !start) || (filter->flags == FLAG_DELETED && !record.deleted))) {
		kv_read_end(&kv);
		return FAULT_OK;
	}
	if (!f.kind)
		f = walk_open(&w, kv, T_ROWS, box->id);
	if (!f.kind)
		f = walk_seek(&w, start);
	while (!f.kind) {
		struct index_row_head h;
		f = walk_into(&w, set);
		if (!f.kind)
			f = walk_head(&w, &h);
		if (f.kind)
			break;
		if (passes(filter, w.uid, &h)) {
			if (out->count == CHUNK_MAX) {
				out->next = w.uid;
				break;
			}
			out->uids[out->count++] = w.uid;
			out->keywords.w[0] |= h.keywords.w[0];
			out->keywords.w[1] |= h.keywords.w[1];
		}
		f = walk_next(&w);
	}
	walk_close(&w);
	kv_read_end(&kv);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : account_judge(box->account, f);
}

/* --- removing ------------------------------------------------------------------------------------------------------------ */

struct removal {
	uint64_t box;
	const uint32_t *uids;
	size_t count;
	struct copy_filter filter;      /* only those that still pass it */
	uint32_t *gone;                 /* out: room for count */
	size_t gone_count, lost_count;  /* lost: not under the name that the row says */
	size_t looked_at;               /* less than count: time was up */
	bool unlinked[CHUNK_MAX];       /* by us: a transaction that is run again finds the row, and no file */
	char dir[LAYOUT_DIR_MAX + 1];
};

static struct fault remove_chunk(struct index_txn *t, void *arg)
{
	struct removal *r = arg;
	struct index_box box;
	int64_t until = store_now_ms() + CHUNK_MS;
	struct fault f = index_box_get(t->kv, r->box, &box);

	r->gone_count = r->lost_count = r->looked_at = 0;
	if (f.kind)
		return f;
	adopt_check_times(t->account, &box);
	index_intend(t, r->box);
	for (size_t i = 0; !f.kind && i < r->count; i++) {
		struct index_row row;
		char path[BOX_PATH_MAX];

		if (i % 16 == 15 && store_now_ms() > until)
			break;
		r->looked_at = i + 1;
		f = index_row_get(t->kv, r->box, r->uids[i], &row);
		if (f.kind == FAULT_NOT_FOUND) {
			f = FAULT_OK;
			if (r->unlinked[i])     /* somebody else looked between the two runs */
				r->gone[r->gone_count++] = r->uids[i];
			continue;
		}
		if (f.kind || (!r->unlinked[i] && !passes(&r->filter, row.uid, &row.h)))
			continue;
		box_path(path, box.dir, "cur", row.name);
		if (!r->unlinked[i] && unlinkat(t->account->maildir, path, 0)) {
			if (errno != ENOENT)
				f = fault_errno("unlink", path);
			r->lost_count++;
			continue;
		}
		r->unlinked[i] = true;
		f = index_row_del(t, &box, &row);
		r->gone[r->gone_count++] = row.uid;
	}
	memcpy(r->dir, box.dir, sizeof(r->dir));
	adopt_note_times(t->account, &box);
	return f.kind ? f : index_box_put(t->kv, &box);
}

static struct fault remove_messages(struct account *a, struct removal *r)
{
	struct fault f;

	memset(r->unlinked, 0, sizeof(r->unlinked));
	f = index_update(a, remove_chunk, r);
	if (!f.kind && r->gone_count)
		f = account_sync_cur(a, r->dir);
	return f;
}

void copy_remove(struct account *a, uint64_t box, const struct uidset *uids)
{
	uint32_t list[CHUNK_MAX], gone[CHUNK_MAX];
	struct removal r = { .box = box, .uids = list, .gone = gone };
	struct fault f = FAULT_OK;

	for (uint32_t uid = uidset_next(uids, 1); uid && !f.kind;) {
		for (r.count = 0; uid && r.count < CHUNK_MAX; uid = uid == UINT32_MAX ? 0 : uidset_next(uids, uid + 1))
			list[r.count++] = uid;
		f = remove_messages(a, &r);
		if (!f.kind && r.looked_at < r.count)
			uid = list[r.looked_at];
	}
	if (f.kind)
		log_error(NULL, "store.take_back", KV_Z("account", a->address), KV_FAULT("fault", f));
}

struct fault copy_expunge(struct mailbox *box, const struct uidset *set, const struct copy_filter *filter,
			  uint32_t *resume, struct uidset *gone)
{
	struct chunk chunk;
	uint32_t removed[CHUNK_MAX];
	struct removal r = { .box = box->id, .uids = chunk.uids, .gone = removed, .filter = *filter };
	struct fault f = FAULT_OK;

	for (int tries = 0; tries < 3; tries++) {
		f = choose(box, set, *resume, filter, &chunk);
		r.count = chunk.count;
		if (!f.kind && chunk.count)
			f = mailbox_gone(remove_messages(box->account, &r));
		for (size_t i = 0; !f.kind && chunk.count && i < r.gone_count; i++)
			uidset_add(gone, removed[i], removed[i]);
		if (!f.kind && chunk.count && r.looked_at < chunk.count)
			chunk.next = chunk.uids[r.looked_at];
		if (f.kind || !chunk.count || !r.lost_count)
			break;
		/* Renamed or removed by another program: look, then try these again. */
		f = mailbox_gone(adopt_scan(box->account, box->id));
		if (f.kind)
			break;
	}
	if (!f.kind)
		*resume = chunk.next;
	return f;
}

struct fault mailbox_expunge(struct mailbox *box, const struct uidset *set, bool any_flag, uint32_t *resume,
			     struct uidset *gone)
{
	struct copy_filter filter = { .flags = any_flag ? 0 : FLAG_DELETED };
	struct fault f = mailbox_enter(box, false);

	if (f.kind)
		return f;
	f = mailbox_needs(box, RIGHT_EXPUNGE);
	if (!f.kind)
		f = copy_expunge(box, set, &filter, resume, gone);
	account_leave(box->account);
	return f;
}

/* --- copying --------------------------------------------------------------------------------------------------------------- */

struct copying {
	struct mailbox *from, *to;
	const struct chunk *chunk;
	bool move;
	bool is_last_try;               /* a message that is not as it was chosen is taken as it is; else the chunk ends before it */
	uint8_t keyword_map[KEYWORDS_MAX];      /* number in `from` -> number in `to`; 255: none */
	uint32_t done_from[CHUNK_MAX], done_to[CHUNK_MAX];
	size_t done, lost, looked_at;
	bool is_overtaken;              /* it got a keyword that is not planned for */
	bool is_warning_due;
	char from_dir[LAYOUT_DIR_MAX + 1], to_dir[LAYOUT_DIR_MAX + 1];
};

static struct keyword_bits map_keywords(const struct copying *c, const struct keyword_bits *bits)
{
	struct keyword_bits out = { { 0, 0 } };

	for (unsigned i = 0; i < KEYWORDS_MAX; i++)
		if (bits->w[i / 64] >> i % 64 & 1 && c->keyword_map[i] < KEYWORDS_MAX)
			out.w[c->keyword_map[i] / 64] |= (uint64_t)1 << c->keyword_map[i] % 64;
	return out;
}

/* Too many links, or a file system without: octet by octet, flushed at once. Seldom, so the lock may wait for it. */
static struct fault copy_octets(int dir, const char *from, const char *to, mode_t mode)
{
	char *piece;
	ssize_t n = 1;
	int in, out;
	struct fault f = files_open_regular(dir, from, &in);

	if (f.kind)
		return f;
	out = files_open(dir, to, O_WRONLY | O_CREAT | O_EXCL, mode);
	if (out < 0) {
		f = fault_errno("create", to);
		close(in);
		return f;
	}
	piece = xmalloc(65536);
	while (!f.kind && n) {
		n = read(in, piece, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		f = n < 0 ? fault_errno("read", from) : files_write_all(out, sv_from(piece, (size_t)n));
	}
	if (!f.kind && fdatasync(out))
		f = fault_errno("flush", to);
	free(piece);
	close(in);
	close(out);
	if (f.kind)
		unlinkat(dir, to, 0);
	return f;
}

static struct fault put_name(struct index_txn *t, const struct copying *c, const char *from, const char *to)
{
	int dir = t->account->maildir;
	struct fault f = FAULT_OK;

	if (c->move) {
		f = files_rename_new(dir, from, dir, to);
		if (!f.kind)
			index_undo_note(t, from, to);
		return f;
	}
	if (linkat(dir, from, dir, to, 0)) {
		if (errno != EMLINK && errno != EPERM && errno != EOPNOTSUPP && errno != EXDEV)
			return fault_errno("link", from);
		f = copy_octets(dir, from, to, account_conf(t->account)->umask_file);
	}
	if (!f.kind)
		index_undo_note(t, NULL, to);
	return f;
}

static bool describe_copy(const struct copying *c, const struct index_row *row, const struct index_box *to, int64_t now,
			  struct index_row *out)
{
	char base[FILENAME_MAX_LEN + 32];
	struct filename n;

	if (!filename_parse(sv_from(row->name, row->h.name_len), &n))
		return false;
	size_t dot = sv_find(n.base, '.');
	snprintf(base, sizeof(base), "%lld.%.*s", (long long)now,
		 SV_FMT(dot == SIZE_MAX ? n.base : sv_sub(n.base, dot + 1, SIZE_MAX)));
	*out = *row;
	out->h.savedate = now;
	out->h.keywords = map_keywords(c, &row->h.keywords);
	n.base = sv_z(base);
	n.uidvalidity = to->uidvalidity;
	n.uid = out->uid;
	n.has_uid = true;
	n.internaldate = row->h.internaldate;
	n.has_internaldate = n.internaldate != now;
	n.flags = row->h.flags;
	n.keywords = out->h.keywords;
	if (!filename_write(&n, out->name))
		return false;
	out->h.name_len = (uint16_t)strlen(out->name);
	return true;
}

static struct fault copy_parsed(struct index_txn *t, uint64_t from, uint32_t from_uid, uint64_t to, uint32_t to_uid)
{
	struct kv_key key;
	struct sv v;
	struct buf kept;
	struct fault f;

	index_parsed_key(&key, from, from_uid);
	f = kv_get(t->kv, T_PARSED, kv_key_view(&key), &v);
	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	/* The view ends with the next change of the transaction. */
	buf_init(&kept, (size_t)16 << 20);
	f = buf_append(&kept, v) ? index_parsed_put(t->kv, to, to_uid, buf_sv(&kept)) : FAULT_OK;
	buf_done(&kept);
	return f;
}

/* Keywords that somebody gave since the chunk was chosen. */
static bool has_others(const struct keyword_bits *bits, const struct keyword_bits *planned)
{
	return (bits->w[0] & ~planned->w[0]) || (bits->w[1] & ~planned->w[1]);
}

static struct fault copy_one(struct index_txn *t, struct copying *c, struct index_box *from, struct index_box *to,
			     uint32_t from_uid, int64_t now)
{
	struct index_row row, made;
	char here[BOX_PATH_MAX], there[BOX_PATH_MAX];
	uint32_t uid;
	struct fault f = index_row_get(t->kv, from->id, from_uid, &row);

	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	box_path(here, from->dir, "cur", row.name);
	if (!files_exists(t->account->maildir, here)) {
		c->lost++;
		return FAULT_OK;
	}
	if (!c->is_last_try && has_others(&row.h.keywords, &c->chunk->keywords)) {
		c->is_overtaken = true;
		return FAULT_OK;
	}
	f = index_take_uids(t, to, 1, &uid);
	if (f.kind)
		return f;
	uint32_t old_uid = row.uid;
	row.uid = uid;
	if (!describe_copy(c, &row, to, now, &made))
		return fault(FAULT_CORRUPT, "message file's name");
	row.uid = old_uid;
	box_path(there, to->dir, "cur", made.name);
	f = put_name(t, c, here, there);
	if (f.kind == FAULT_NOT_FOUND && !files_exists(t->account->maildir, here)) {
		c->lost++;              /* it went this very moment */
		return FAULT_OK;
	}
	if (!f.kind)
		f = index_row_add(t, to, &made);
	if (!f.kind)
		f = copy_parsed(t, from->id, old_uid, to->id, uid);
	if (!f.kind && c->move)
		f = index_row_del(t, from, &row);
	c->done_from[c->done] = from_uid;
	c->done_to[c->done++] = uid;
	return f;
}

static struct fault copy_chunk(struct index_txn *t, void *arg)
{
	struct copying *c = arg;
	struct index_box from_record, to_record, *from = &from_record, *to = &to_record;
	int64_t now = (int64_t)time(NULL), until = store_now_ms() + CHUNK_MS;
	uint64_t bytes = 0;
	struct fault f = mailbox_gone(index_box_get(t->kv, c->from->id, from));

	c->done = c->lost = c->looked_at = 0;
	c->is_overtaken = false;
	if (!f.kind)
		f = mailbox_gone(index_box_get(t->kv, c->to->id, to));
	if (f.kind)
		return f;
	if (from->id == to->id)
		to = from;
	if (to->special_use & USE_REJECTS && to != from)
		return fault(FAULT_DENIED, "only the server puts mail there");
	bool is_more = !c->move || (!index_is_counted(from) && index_is_counted(to));
	for (size_t i = 0; is_more && i < c->chunk->count; i++) {
		struct index_row row;
		if (!index_row_get(t->kv, from->id, c->chunk->uids[i], &row).kind)
			bytes += row.h.size;
	}
	if (is_more)
		f = quota_allows(&c->to->quota, &t->meta, bytes, c->chunk->count);
	if (f.kind)
		return f;
	if (to->uidnext + c->chunk->count > to->uid_ceiling) {
		t->renew_box = to->id;
		t->renew_count = (uint32_t)c->chunk->count;
		return fault(FAULT_BUSY, "UIDs are not reserved yet");
	}
	quota_before(t, &c->to->quota);
	adopt_check_times(t->account, from);
	adopt_check_times(t->account, to);
	index_intend(t, from->id);
	index_intend(t, to->id);
	for (size_t i = 0; !f.kind && i < c->chunk->count; i++) {
		if (i % 16 == 15 && store_now_ms() > until)
			break;
		f = copy_one(t, c, from, to, c->chunk->uids[i], now);
		if ((c->lost || c->is_overtaken) && !c->is_last_try)
			break;
		c->looked_at = i + 1;
	}
	c->is_warning_due = quota_is_due(t, &c->to->quota);
	memcpy(c->from_dir, from->dir, sizeof(c->from_dir));
	memcpy(c->to_dir, to->dir, sizeof(c->to_dir));
	adopt_note_times(t->account, from);
	adopt_note_times(t->account, to);
	if (!f.kind)
		f = index_box_put(t->kv, from);
	if (!f.kind && to != from)
		f = index_box_put(t->kv, to);
	return f;
}

static struct fault plan_keywords(struct copying *c)
{
	struct keyword_names *names;
	struct sv wanted[KEYWORDS_MAX];
	struct keyword_bits bits;
	struct kv_txn *kv = NULL;
	size_t count = 0;
	struct fault f;

	memset(c->keyword_map, 255, sizeof(c->keyword_map));
	if (!c->chunk->keywords.w[0] && !c->chunk->keywords.w[1])
		return FAULT_OK;
	names = xmalloc(sizeof(*names));
	f = account_read(c->from->account, &kv);
	if (!f.kind)
		f = index_keywords_get(kv, c->from->id, names);
	kv_read_end(&kv);
	for (uint32_t i = 0; !f.kind && i < names->count; i++)
		if (c->chunk->keywords.w[i / 64] >> i % 64 & 1)
			wanted[count++] = sv_z(names->name[i]);
	if (!f.kind)
		f = account_keywords(c->to->account, c->to->id, wanted, count, true, &bits);
	if (f.kind == FAULT_LIMIT)
		f = FAULT_OK;           /* the target's table is full: those that it has are kept */
	for (uint32_t i = 0; !f.kind && i < names->count; i++)
		if (c->chunk->keywords.w[i / 64] >> i % 64 & 1) {
			struct sv one = sv_z(names->name[i]);
			f = account_keywords(c->to->account, c->to->id, &one, 1, false, &bits);
			for (unsigned n = 0; n < KEYWORDS_MAX; n++)
				if (bits.w[n / 64] >> n % 64 & 1)
					c->keyword_map[i] = (uint8_t)n;
		}
	free(names);
	return mailbox_gone(f);
}

static struct fault make_durable(struct copying *c)
{
	struct fault f = account_sync_cur(c->to->account, c->to_dir);

	if (!f.kind && c->move && strcmp(c->from_dir, c->to_dir))
		f = account_sync_cur(c->from->account, c->from_dir);
	if (f.kind && !c->move) {
		struct uidset made = { 0 };
		for (size_t i = 0; i < c->done; i++)
			uidset_add(&made, c->done_to[i], c->done_to[i]);
		copy_remove(c->to->account, c->to->id, &made);
		uidset_done(&made);
	}
	return f;
}

struct fault copy_inside(struct mailbox *from, const struct uidset *set, struct mailbox *to, bool move, uint32_t *resume,
			 copied_fn *fn, void *arg)
{
	struct chunk *chunk = xmalloc(sizeof(*chunk));
	struct copying *c = xcalloc(1, sizeof(*c));
	struct fault f = FAULT_OK;

	*c = (struct copying){ .from = from, .to = to, .chunk = chunk, .move = move };
	for (int tries = 0; tries < 3; tries++) {
		f = choose(from, set, *resume, &(struct copy_filter){ 0 }, chunk);
		if (f.kind || !chunk->count)
			break;
		c->is_last_try = tries == 2;
		f = plan_keywords(c);
		if (!f.kind)
			f = index_update(from->account, copy_chunk, c);
		if (f.kind)
			break;
		if (c->looked_at < chunk->count)
			chunk->next = chunk->uids[c->looked_at];
		if (c->lost && !c->is_last_try) {
			/* Other programs were here. What was copied is copied; the one that was not under its name is looked
			 * for and comes first the next time. One that is gone is simply not copied, and no other one: who is
			 * told OK may remove the originals. */
			struct fault scan = adopt_scan(from->account, from->id);
			if (scan.kind)
				log_warn(NULL, "store.scan", KV_FAULT("fault", scan));
		}
		if (!c->done && (c->lost || c->is_overtaken) && !c->is_last_try)
			continue;
		f = c->done ? make_durable(c) : FAULT_OK;
		break;
	}
	if (!f.kind) {
		for (size_t i = 0; fn && i < c->done && chunk->count; i++)
			fn(arg, c->done_from[i], c->done_to[i]);
		*resume = chunk->next;
	}
	to->is_warning_due = !f.kind && c->is_warning_due;
	free(chunk);
	free(c);
	return f;
}

struct fault mailbox_copy(struct mailbox *from, const struct uidset *set, struct mailbox *to, bool move, uint32_t *resume,
			  copied_fn *fn, void *arg)
{
	struct fault f;

	if (from->reader || to->reader)
		return carry(from, set, to, move, resume, fn, arg);
	if (from->account != to->account)
		return fault(FAULT_UNSUPPORTED, "copy between accounts");
	f = mailbox_enter(from, false);
	if (f.kind)
		return f;
	f = copy_inside(from, set, to, move, resume, fn, arg);
	account_leave(from->account);
	if (to->is_warning_due)
		quota_warn(to->account, &to->quota);
	return f;
}
