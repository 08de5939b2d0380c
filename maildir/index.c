/* maildir/index.c - see index_private.h. */
#include "maildir/index_private.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

const char *const index_tables[T_COUNT] = { "meta", "boxes", "names", "rows", "parsed", "changes", "dedup" };

/* --- the account's record -------------------------------------------------------------------------------------- */

struct fault index_meta_get(struct kv_txn *kv, struct index_meta *out)
{
	struct sv v;
	struct fault f = kv_get(kv, T_META, SV("a"), &v);

	if (f.kind)
		return f;
	if (v.len != sizeof(*out))
		return fault(FAULT_CORRUPT, "index: account record");
	memcpy(out, v.p, sizeof(*out));
	return FAULT_OK;
}

struct fault index_meta_put(struct kv_txn *kv, const struct index_meta *meta)
{
	return kv_put(kv, T_META, SV("a"), sv_from((const char *)meta, sizeof(*meta)));
}

/* --- mailboxes ------------------------------------------------------------------------------------------------- */

#define BOX_FIXED offsetof(struct index_box, name)

static void box_key(struct kv_key *key, uint64_t id)
{
	kv_key_init(key);
	kv_key_u64(key, id);
}

bool index_box_decode(struct sv value, struct index_box *out)
{
	if (value.len < BOX_FIXED)
		return false;
	memcpy(out, value.p, BOX_FIXED);
	if (out->name_len > MAILBOX_NAME_MAX || out->dir_len > LAYOUT_DIR_MAX ||
	    value.len != BOX_FIXED + out->name_len + out->dir_len)
		return false;
	memcpy(out->name, value.p + BOX_FIXED, out->name_len);
	out->name[out->name_len] = '\0';
	memcpy(out->dir, value.p + BOX_FIXED + out->name_len, out->dir_len);
	out->dir[out->dir_len] = '\0';
	return true;
}

struct fault index_box_get(struct kv_txn *kv, uint64_t id, struct index_box *out)
{
	struct kv_key key;
	struct sv v;

	box_key(&key, id);
	struct fault f = kv_get(kv, T_BOXES, kv_key_view(&key), &v);

	if (!f.kind && !index_box_decode(v, out))
		f = fault(FAULT_CORRUPT, "index: mailbox record");
	return f;
}

struct fault index_box_find(struct kv_txn *kv, struct sv name, struct index_box *out)
{
	struct sv v;
	uint64_t id;
	struct fault f = name.len > KV_KEY_MAX ? fault(FAULT_NOT_FOUND, "mailbox name") : kv_get(kv, T_NAMES, name, &v);

	if (f.kind)
		return f;
	if (!kv_take_u64(&v, &id))
		return fault(FAULT_CORRUPT, "index: name record");
	f = index_box_get(kv, id, out);
	return f.kind == FAULT_NOT_FOUND ? fault(FAULT_CORRUPT, "index: name without mailbox") : f;
}

struct fault index_box_put(struct kv_txn *kv, const struct index_box *box)
{
	char value[sizeof(struct index_box)];
	struct kv_key key;

	memcpy(value, box, BOX_FIXED);
	memcpy(value + BOX_FIXED, box->name, box->name_len);
	memcpy(value + BOX_FIXED + box->name_len, box->dir, box->dir_len);
	box_key(&key, box->id);
	return kv_put(kv, T_BOXES, kv_key_view(&key), sv_from(value, BOX_FIXED + box->name_len + box->dir_len));
}

static struct fault put_name(struct index_txn *t, const struct index_box *box)
{
	struct kv_key value;

	box_key(&value, box->id);
	return kv_insert(t->kv, T_NAMES, sv_from(box->name, box->name_len), kv_key_view(&value));
}

struct fault index_box_add(struct index_txn *t, struct index_box *box)
{
	struct fault f;

	box->name_len = (uint16_t)strlen(box->name);
	box->dir_len = (uint16_t)strlen(box->dir);
	f = put_name(t, box);
	if (!f.kind)
		f = index_box_put(t->kv, box);
	t->meta.box_count++;
	t->meta_changed = true;
	return f;
}

struct fault index_box_rename(struct index_txn *t, struct index_box *box, struct sv name, struct sv dir)
{
	struct fault f = kv_del(t->kv, T_NAMES, sv_from(box->name, box->name_len));

	if (f.kind)
		return f;
	memcpy(box->name, name.p, name.len);
	box->name[name.len] = '\0';
	box->name_len = (uint16_t)name.len;
	memcpy(box->dir, dir.p, dir.len);
	box->dir[dir.len] = '\0';
	box->dir_len = (uint16_t)dir.len;
	f = put_name(t, box);
	return f.kind ? f : index_box_put(t->kv, box);
}

void index_count(struct index_txn *t, const struct index_box *box, uint64_t bytes, uint64_t messages)
{
	if (!index_is_counted(box))
		return;
	t->meta.bytes += bytes;
	t->meta.messages += messages;
}

void index_uncount(struct index_txn *t, const struct index_box *box, uint64_t bytes, uint64_t messages)
{
	if (!index_is_counted(box))
		return;
	t->meta.bytes -= bytes < t->meta.bytes ? bytes : t->meta.bytes;
	t->meta.messages -= messages < t->meta.messages ? messages : t->meta.messages;
}

struct fault index_box_drop(struct index_txn *t, const struct index_box *box)
{
	struct kv_key key, dead;
	struct fault f;

	box_key(&key, box->id);
	kv_key_init(&dead);
	kv_key_u8(&dead, 'x');
	kv_key_u64(&dead, box->id);
	f = kv_del(t->kv, T_NAMES, sv_from(box->name, box->name_len));
	if (!f.kind)
		f = kv_del(t->kv, T_BOXES, kv_key_view(&key));
	if (!f.kind)
		f = kv_put(t->kv, T_META, kv_key_view(&dead), SV("x"));
	index_uncount(t, box, box->size, box->messages);
	t->meta.box_count--;
	t->meta_changed = true;
	return f;
}

static struct fault purge_one(struct index_txn *t, uint64_t id, uint64_t most, bool *all)
{
	struct kv_key from, to;
	uint64_t rows = 0, parsed = 0;
	struct fault f;

	index_row_key(&from, id, 0);
	index_row_key(&to, id, UINT32_MAX);
	f = kv_del_range(t->kv, T_ROWS, kv_key_view(&from), kv_key_view(&to), most, &rows);
	index_parsed_key(&from, id, 0);
	index_parsed_key(&to, id, UINT32_MAX);
	if (!f.kind)
		f = kv_del_range(t->kv, T_PARSED, kv_key_view(&from), kv_key_view(&to), most, &parsed);
	*all = rows < most && parsed < most;
	return f;
}

struct fault index_purge(struct index_txn *t, uint64_t most, bool *left)
{
	struct kv_cursor *c = NULL;
	struct sv key;
	uint64_t id = 0;
	bool all = false;
	struct fault f = kv_cursor_open(t->kv, T_META, &c);

	*left = false;
	if (f.kind)
		return f;
	f = kv_cursor_seek(c, SV("x"), &key, NULL);
	if (!f.kind && (key.p[0] != 'x' || key.len != 9))
		f = fault(FAULT_NOT_FOUND, "nothing to purge");
	if (!f.kind) {
		sv_skip(&key, 1);
		kv_take_u64(&key, &id);
	}
	kv_cursor_close(&c);
	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	f = purge_one(t, id, most, &all);
	*left = true;
	if (!f.kind && all) {
		struct kv_key dead;
		kv_key_init(&dead);
		kv_key_u8(&dead, 'x');
		kv_key_u64(&dead, id);
		f = kv_del(t->kv, T_META, kv_key_view(&dead));
		for (const char *kind = "kmu"; !f.kind && *kind; kind++) {
			dead.octets[0] = (unsigned char)*kind;
			f = kv_del(t->kv, T_META, kv_key_view(&dead));
			if (f.kind == FAULT_NOT_FOUND)
				f = FAULT_OK;
		}
	}
	return f;
}

/* --- notes ----------------------------------------------------------------------------------------------------- */

static void note_key(struct kv_key *key, char kind, uint64_t box)
{
	kv_key_init(key);
	kv_key_u8(key, (uint8_t)kind);
	kv_key_u64(key, box);
}

struct fault index_note_put(struct index_txn *t, char kind, uint64_t box, uint64_t generation)
{
	struct kv_key key, value;

	note_key(&key, kind, box);
	kv_key_init(&value);
	kv_key_u64(&value, generation);
	return kv_put(t->kv, T_META, kv_key_view(&key), kv_key_view(&value));
}

uint64_t index_note_get(struct kv_txn *kv, char kind, uint64_t box)
{
	struct kv_key key;
	uint64_t generation = 0;
	struct sv v;

	note_key(&key, kind, box);
	if (kv_get(kv, T_META, kv_key_view(&key), &v).kind || !kv_take_u64(&v, &generation))
		return 0;
	return generation;
}

/* --- keywords -------------------------------------------------------------------------------------------------- */

static void keywords_key(struct kv_key *key, uint64_t box)
{
	kv_key_init(key);
	kv_key_u8(key, 'k');
	kv_key_u64(key, box);
}

struct fault index_keywords_get(struct kv_txn *kv, uint64_t box, struct keyword_names *out)
{
	struct kv_key key;
	struct sv v, name;

	out->count = 0;
	keywords_key(&key, box);
	struct fault f = kv_get(kv, T_META, kv_key_view(&key), &v);

	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	while (v.len && sv_split(&v, '\n', &name)) {
		if (out->count == KEYWORDS_MAX || name.len > KEYWORD_LEN_MAX)
			return fault(FAULT_CORRUPT, "index: keywords");
		memcpy(out->name[out->count], name.p, name.len);
		out->name[out->count++][name.len] = '\0';
	}
	return FAULT_OK;
}

struct fault index_keywords_put(struct kv_txn *kv, uint64_t box, const struct keyword_names *k)
{
	struct kv_key key;
	struct buf b;
	struct fault f;

	buf_init(&b, sizeof(k->name));
	for (uint32_t i = 0; i < k->count; i++)
		if (!buf_append(&b, sv_z(k->name[i])) || !buf_append_c(&b, '\n'))
			BUG("keywords do not fit");
	keywords_key(&key, box);
	f = k->count ? kv_put(kv, T_META, kv_key_view(&key), buf_sv(&b)) : FAULT_OK;
	buf_done(&b);
	return f;
}

/* --- UIDs of big mailboxes --------------------------------------------------------------------------------------- */

static void uids_key(struct kv_key *key, uint64_t box)
{
	kv_key_init(key);
	kv_key_u8(key, 'u');
	kv_key_u64(key, box);
}

struct fault index_uids_get(struct kv_txn *kv, uint64_t box, uint64_t *modseq, struct uidset *out)
{
	struct kv_key key;
	struct sv v;

	uids_key(&key, box);
	struct fault f = kv_get(kv, T_META, kv_key_view(&key), &v);

	if (f.kind)
		return f;
	if (v.len < sizeof(*modseq) || (v.len - sizeof(*modseq)) % sizeof(struct uid_range))
		return fault(FAULT_CORRUPT, "index: UIDs");
	memcpy(modseq, v.p, sizeof(*modseq));
	for (size_t at = sizeof(*modseq); at < v.len; at += sizeof(struct uid_range)) {
		struct uid_range r;
		memcpy(&r, v.p + at, sizeof(r));
		if (!r.first || r.first > r.last)
			return fault(FAULT_CORRUPT, "index: UIDs");
		if (!uidset_add(out, r.first, r.last))
			return fault(FAULT_LIMIT, "UIDs do not fit");
	}
	return FAULT_OK;
}

struct fault index_uids_put(struct kv_txn *kv, uint64_t box, uint64_t modseq, const struct uidset *uids)
{
	struct kv_key key;
	struct buf b;
	struct fault f = fault(FAULT_LIMIT, "UIDs do not fit");

	buf_init(&b, (size_t)1 << 20);
	uids_key(&key, box);
	if (buf_append(&b, sv_from((const char *)&modseq, sizeof(modseq))) &&
	    buf_append(&b, sv_from((const char *)uids->ranges, uids->count * sizeof(*uids->ranges))))
		f = kv_put(kv, T_META, kv_key_view(&key), buf_sv(&b));
	buf_done(&b);
	return f;
}

/* --- rows ------------------------------------------------------------------------------------------------------ */

void index_row_key(struct kv_key *key, uint64_t box, uint32_t uid)
{
	kv_key_init(key);
	kv_key_u32(key, 0);     /* flag owner: the account itself */
	kv_key_u64(key, box);
	kv_key_u32(key, uid);
}

void index_parsed_key(struct kv_key *key, uint64_t box, uint32_t uid)
{
	kv_key_init(key);
	kv_key_u64(key, box);
	kv_key_u32(key, uid);
}

bool index_row_decode(struct sv value, struct index_row *out)
{
	if (value.len < sizeof(out->h))
		return false;
	memcpy(&out->h, value.p, sizeof(out->h));
	if (out->h.name_len > FILENAME_MAX_LEN || value.len != sizeof(out->h) + out->h.name_len)
		return false;
	memcpy(out->name, value.p + sizeof(out->h), out->h.name_len);
	out->name[out->h.name_len] = '\0';
	return true;
}

struct fault index_row_get(struct kv_txn *kv, uint64_t box, uint32_t uid, struct index_row *out)
{
	struct kv_key key;
	struct sv v;

	index_row_key(&key, box, uid);
	struct fault f = kv_get(kv, T_ROWS, kv_key_view(&key), &v);

	out->uid = uid;
	if (!f.kind && !index_row_decode(v, out))
		f = fault(FAULT_CORRUPT, "index: message row");
	return f;
}

/* encode_row - its key and value. */
static struct sv encode_row(uint64_t box, const struct index_row *row, struct kv_key *key, char value[sizeof(struct index_row)])
{
	memcpy(value, &row->h, sizeof(row->h));
	memcpy(value + sizeof(row->h), row->name, row->h.name_len);
	index_row_key(key, box, row->uid);
	return sv_from(value, sizeof(row->h) + row->h.name_len);
}

struct fault index_row_put(struct kv_txn *kv, uint64_t box, const struct index_row *row)
{
	char value[sizeof(struct index_row)] UNCLEARED;
	struct kv_key key;
	struct sv encoded = encode_row(box, row, &key, value);

	return kv_put(kv, T_ROWS, kv_key_view(&key), encoded);
}

static struct fault append_row(struct kv_txn *kv, uint64_t box, const struct index_row *row)
{
	char value[sizeof(struct index_row)] UNCLEARED;
	struct kv_key key;
	struct sv encoded = encode_row(box, row, &key, value);

	return kv_append(kv, T_ROWS, kv_key_view(&key), encoded);
}

struct fault index_row_append(struct kv_txn *kv, uint64_t box, uint32_t uid, const char *row)
{
	struct index_row_head h;
	struct kv_key key;

	memcpy(&h, row, sizeof(h));
	index_row_key(&key, box, uid);
	return kv_append(kv, T_ROWS, kv_key_view(&key), sv_from(row, sizeof(h) + h.name_len));
}

struct fault index_change_flush(struct index_txn *t)
{
	char value[sizeof(t->run) + sizeof(t->run_uids)];
	struct kv_key key;
	struct fault f;

	if (!t->run.count)
		return FAULT_OK;
	memcpy(value, &t->run, sizeof(t->run));
	memcpy(value + sizeof(t->run), t->run_uids, t->run.count * sizeof(uint32_t));
	kv_key_init(&key);
	kv_key_u64(&key, t->run_modseq);
	f = kv_append(t->kv, T_CHANGES, kv_key_view(&key),
		      sv_from(value, sizeof(t->run) + t->run.count * sizeof(uint32_t)));
	t->meta.change_count += t->run.count;
	t->run.count = 0;

	/* The oldest runs go when there are too many: who is that far behind compares UIDs instead. */
	struct kv_cursor *c = NULL;
	if (!f.kind && t->meta.change_count > CHANGES_MAX)
		f = kv_cursor_open(t->kv, T_CHANGES, &c);
	while (!f.kind && t->meta.change_count > CHANGES_MAX) {
		struct sv k, v;
		struct index_run run;
		uint64_t first;
		f = kv_cursor_seek(c, SV_NONE, &k, &v);
		if (f.kind)
			break;
		if (v.len < sizeof(run) || !kv_take_u64(&k, &first)) {
			f = fault(FAULT_CORRUPT, "index: change");
			break;
		}
		memcpy(&run, v.p, sizeof(run));
		t->meta.changes_floor = first + run.count - 1;
		t->meta.change_count -= run.count < t->meta.change_count ? run.count : t->meta.change_count;
		f = kv_cursor_del(c);
	}
	kv_cursor_close(&c);
	return f;
}

/* Take a MODSEQ for one change of one message. */
static struct fault note_change(struct index_txn *t, struct index_box *box, uint32_t kind, uint32_t uid,
				uint64_t *modseq)
{
	if (t->run.count && (t->run.box != box->id || t->run.kind != kind || t->run.count == CHUNK_MAX)) {
		struct fault f = index_change_flush(t);
		if (f.kind)
			return f;
	}
	if (t->meta.modseq + 1 >= t->meta.modseq_ceiling)
		return fault(FAULT_INTERNAL, "MODSEQs of one transaction used up");
	*modseq = box->highestmodseq = ++t->meta.modseq;
	t->meta_changed = true;
	if (!t->run.count) {
		t->run.box = box->id;
		t->run.kind = kind;
		t->run_modseq = *modseq;
	}
	t->run_uids[t->run.count++] = uid;
	return FAULT_OK;
}

struct fault index_box_touch(struct index_txn *t, struct index_box *box)
{
	if (t->meta.modseq + 1 >= t->meta.modseq_ceiling)
		return fault(FAULT_INTERNAL, "MODSEQs of one transaction used up");
	box->highestmodseq = ++t->meta.modseq;
	t->meta_changed = true;
	return index_box_put(t->kv, box);
}

static void count_flags(struct index_box *box, const struct index_row *row, bool add)
{
	uint32_t unseen = !(row->h.flags & FLAG_SEEN), deleted = (row->h.flags & FLAG_DELETED) != 0;

	/* Never below zero, whatever an earlier fault left. */
	box->unseen = add ? box->unseen + unseen : box->unseen - (box->unseen ? unseen : 0);
	box->deleted = add ? box->deleted + deleted : box->deleted - (box->deleted ? deleted : 0);
	if (add && unseen && row->uid < box->unseen_hint)
		box->unseen_hint = row->uid;
}

struct fault index_row_add(struct index_txn *t, struct index_box *box, struct index_row *row)
{
	struct filename n;
	struct fault f = note_change(t, box, RUN_NEW, row->uid, &row->h.modseq);

	if (!f.kind)
		f = append_row(t->kv, box->id, row);
	if (!f.kind && filename_parse(sv_from(row->name, row->h.name_len), &n) && filename_is_dedup_id(n.id)) {
		struct kv_key value;
		index_parsed_key(&value, box->id, row->uid);
		f = kv_put(t->kv, T_DEDUP, sv_from((const char *)row->h.email, 16), kv_key_view(&value));
	}
	count_flags(box, row, true);
	box->messages++;
	box->recent += row->uid > box->recent_mark;
	box->size += row->h.size;
	index_count(t, box, row->h.size, 1);
	return f;
}

struct fault index_row_flags(struct index_txn *t, struct index_box *box, struct index_row *row, uint32_t flags,
			     const struct keyword_bits *keywords)
{
	struct fault f = note_change(t, box, RUN_FLAGS, row->uid, &row->h.modseq);

	count_flags(box, row, false);
	row->h.flags = flags;
	row->h.keywords = *keywords;
	count_flags(box, row, true);
	return f.kind ? f : index_row_put(t->kv, box->id, row);
}

struct fault index_row_del(struct index_txn *t, struct index_box *box, const struct index_row *row)
{
	struct kv_key key;
	uint64_t modseq;
	struct filename n;
	struct fault f = note_change(t, box, RUN_EXPUNGED, row->uid, &modseq);

	index_row_key(&key, box->id, row->uid);
	if (!f.kind)
		f = kv_del(t->kv, T_ROWS, kv_key_view(&key));
	index_parsed_key(&key, box->id, row->uid);
	if (!f.kind) {
		f = kv_del(t->kv, T_PARSED, kv_key_view(&key));
		if (f.kind == FAULT_NOT_FOUND)
			f = FAULT_OK;
	}
	if (!f.kind && filename_parse(sv_from(row->name, row->h.name_len), &n) && filename_is_dedup_id(n.id)) {
		f = kv_del(t->kv, T_DEDUP, sv_from((const char *)row->h.email, 16));
		if (f.kind == FAULT_NOT_FOUND)
			f = FAULT_OK;
	}
	count_flags(box, row, false);
	box->messages -= box->messages > 0;
	box->recent -= box->recent && row->uid > box->recent_mark;
	box->size -= row->h.size < box->size ? row->h.size : box->size;
	index_uncount(t, box, row->h.size, 1);
	return f;
}

void index_row_public(const struct index_row *row, struct message_row *out)
{
	index_head_public(&row->h, row->uid, out);
}

struct fault index_parsed_put(struct kv_txn *kv, uint64_t box, uint32_t uid, struct sv encoded)
{
	struct kv_key key;

	index_parsed_key(&key, box, uid);
	/* Hardly any page has room for three of these: put in order by themselves they would lie one to a page. */
	return kv_append(kv, T_PARSED, kv_key_view(&key), encoded);
}

/* --- one transaction's book-keeping ---------------------------------------------------------------------------- */

struct fault index_take_uids(struct index_txn *t, struct index_box *box, uint32_t n, uint32_t *uid)
{
	if (box->uidnext > UINT32_MAX - 2 * UID_BLOCK - n)
		return fault(FAULT_LIMIT, "no UIDs left in this mailbox");
	if (box->uidnext + n > box->uid_ceiling) {
		t->renew_box = box->id;
		t->renew_count = n;
		return fault(FAULT_BUSY, "UIDs are not reserved yet");
	}
	*uid = box->uidnext;
	box->uidnext += n;
	if (box->uid_ceiling - box->uidnext < UID_BLOCK / 2)
		t->low_box = box->id;
	return FAULT_OK;
}

void index_undo_note(struct index_txn *t, const char *from, const char *to)
{
	if (t->undo_count == t->undo_cap) {
		t->undo_cap = t->undo_cap ? t->undo_cap * 2 : 8;
		t->undo = xrealloc(t->undo, t->undo_cap * sizeof(*t->undo));
	}
	t->undo[t->undo_count++] = (struct index_undo){ from ? xstrdup(from) : NULL, xstrdup(to) };
}
