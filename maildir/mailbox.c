/* maildir/mailbox.c - see mailbox.h: an open mailbox, read. */
#include "maildir/access_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/mime.h"
#include "maildir/adopt_private.h"
#include "maildir/facts.h"
#include "maildir/files.h"
#include "maildir/refill_private.h"
#include "maildir/seen_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

#define SCAN_ROWS 4096          /* in one read transaction */
#define CHECKED_RANGES_MAX 4096

struct fault mailbox_enter(struct mailbox *box, bool refresh)
{
	struct fault f = account_enter(box->account);

	if (f.kind)
		return f;
	f = refresh ? mailbox_gone(adopt_refresh(box->account, box->id)) : FAULT_OK;
	if (!f.kind)
		f = access_refresh(box);
	if (f.kind)
		account_leave(box->account);
	return f;
}

struct fault mailbox_snapshot(struct mailbox *box, struct kv_txn **kv, struct index_box *record)
{
	struct fault f = account_read(box->account, kv);

	if (f.kind)
		return f;
	f = mailbox_gone(index_box_get(*kv, box->id, record));
	if (!f.kind)
		f = mailbox_seen(box, record);
	if (f.kind)
		kv_read_end(kv);
	return account_judge(box->account, f);
}

struct fault mailbox_seen(struct mailbox *box, const struct index_box *record)
{
	return box->reader ? seen_load(box->account, record->dir, box->reader, record->uidvalidity, box->seen) : FAULT_OK;
}

/* --- open and close -------------------------------------------------------------------------------------------------- */

struct fault mailbox_open_for(struct maildir_user *user, struct sv name, uint32_t rights, struct mailbox **out)
{
	struct place place;
	struct mailbox *box;
	struct fault f = access_find(user, name, rights, &place);

	if (f.kind)
		return f;
	f = account_enter(place.account);
	if (!f.kind) {
		/* Who only adds to it does not ask what others have put there. */
		f = rights & RIGHT_READ ? adopt_refresh(place.account, place.box.id) :
					  adopt_find(place.account, place.box.id, place.box.dir);
		account_leave(place.account);
	}
	if (f.kind) {
		access_done(&place);
		return f;
	}
	box = xcalloc(1, sizeof(*box));
	box->account = store_account_ref(place.account);
	box->quota = place.quota;
	box->id = place.box.id;
	box->lock = -1;
	if (!place.is_own) {
		box->reader = xstrdup(user->id);
		box->rights = place.rights;
		box->need = rights;
		box->acl_generation = place.box.generation;
		box->seen = xcalloc(1, sizeof(*box->seen));
		box->guest = xcalloc(1, sizeof(*box->guest));
		box->guest->account = store_account_ref(place.account);
		watch_join(user, box->guest);
	}
	watch_mailbox(box, place.box.dir);
	access_done(&place);
	*out = box;
	return FAULT_OK;
}

struct fault mailbox_open(struct maildir_user *user, struct sv name, struct mailbox **out)
{
	return mailbox_open_for(user, name, RIGHT_READ, out);
}

/* close_shared - what only a handle of somebody else's mailbox has. */
static void close_shared(struct mailbox *box)
{
	if (!box->reader)
		return;
	watch_part(box->guest);
	store_account_unref(&box->guest->account);
	free(box->guest);
	seen_done(box->seen);
	free(box->seen);
	free(box->reader);
}

void mailbox_close(struct mailbox **box)
{
	if (!*box)
		return;
	mailbox_unlock(*box);
	watch_close_mailbox(*box);
	close_shared(*box);
	store_account_unref(&(*box)->account);
	if ((*box)->facts)
		box_facts_done((*box)->facts);
	free((*box)->facts);
	uidset_done(&(*box)->checked);
	free((*box)->stopped);
	free(*box);
	*box = NULL;
}

/* --- rights ----------------------------------------------------------------------------------------------------------- */

bool mailbox_may(const struct mailbox *box, uint32_t rights)
{
	return !box->reader || (box->rights & rights) == rights;
}

bool mailbox_may_any(const struct mailbox *box, uint32_t rights)
{
	return !box->reader || (box->rights & rights);
}

uint32_t mailbox_granted(const struct mailbox *box)
{
	return box->reader ? box->rights : RIGHTS_ALL;
}

bool mailbox_is_read_only(const struct mailbox *box)
{
	return atomic_load(&box->account->is_read_only) || atomic_load(&box->account->has_met_read_only);
}

bool mailbox_is_shared(const struct mailbox *box)
{
	return box->reader != NULL;
}

struct fault mailbox_needs(const struct mailbox *box, uint32_t rights)
{
	return box->reader ? access_may(box->rights, rights) : FAULT_OK;
}

uint32_t mailbox_flags(const struct mailbox *box, uint32_t uid, uint32_t flags)
{
	if (!box->reader)
		return flags;
	return (flags & ~(uint32_t)FLAG_SEEN) | (uidset_has(&box->seen->uids, uid) ? FLAG_SEEN : 0);
}

uint32_t mailbox_keep_flags(const struct mailbox *box, uint32_t flags, bool *keywords)
{
	*keywords = mailbox_may(box, RIGHT_WRITE);
	if (!*keywords)
		flags &= FLAG_SEEN | FLAG_DELETED;
	if (!mailbox_may(box, RIGHT_SEEN))
		flags &= ~(uint32_t)FLAG_SEEN;
	if (!mailbox_may(box, RIGHT_DELETE))
		flags &= ~(uint32_t)FLAG_DELETED;
	return flags;
}

/* --- counters --------------------------------------------------------------------------------------------------------- */

static struct fault snapshot_uids(struct mailbox *box, struct kv_txn *kv, const struct index_box *record,
				  struct uidset *out, uint64_t *noted);

/* count_unseen - of a reader who has \Seen of their own; the record counts the owner's. */
static struct fault count_unseen(struct mailbox *box, struct kv_txn *kv, const struct index_box *record, uint32_t *unseen)
{
	struct uidset uids = { 0 };
	uint64_t noted;
	struct fault f = snapshot_uids(box, kv, record, &uids, &noted);

	for (size_t i = 0; !f.kind && i < box->seen->uids.count; i++)
		uidset_remove(&uids, box->seen->uids.ranges[i].first, box->seen->uids.ranges[i].last);
	*unseen = (uint32_t)uidset_total(&uids);
	uidset_done(&uids);
	return f;
}

void mailbox_show_counters(const struct index_box *box, struct mailbox_status *out)
{
	*out = (struct mailbox_status){
		.messages = box->messages, .recent = box->recent, .unseen = box->unseen, .deleted = box->deleted,
		.uidnext = box->uidnext, .uidvalidity = box->uidvalidity, .highestmodseq = box->highestmodseq,
		.size = box->size,
	};
	if (!out->highestmodseq)
		out->highestmodseq = 1; /* RFC 7162 §3.1.2.1: a mod-sequence is never 0 */
	sidecar_id_text(box->id, out->mailbox_id);
}

struct fault mailbox_counters(struct mailbox *box, struct mailbox_status *out)
{
	struct kv_txn *kv = NULL;
	struct index_box record;
	struct fault f = mailbox_enter(box, true);

	if (f.kind)
		return f;
	f = mailbox_snapshot(box, &kv, &record);
	if (!f.kind)
		mailbox_show_counters(&record, out);
	if (!f.kind && box->reader)
		f = count_unseen(box, kv, &record, &out->unseen);
	kv_read_end(&kv);
	account_leave(box->account);
	return f;
}

struct fault mailbox_status(struct maildir_user *user, struct sv name, struct mailbox_status *out)
{
	struct mailbox *box;
	struct fault f = mailbox_open(user, name, &box);

	if (f.kind)
		return f;
	f = mailbox_counters(box, out);
	mailbox_close(&box);
	return f.kind == FAULT_GONE ? fault(FAULT_NOT_FOUND, f.detail) : f;
}

/* --- rows -------------------------------------------------------------------------------------------------------------- */

#define CACHE_MESSAGES 2000     /* smaller mailboxes are walked as quickly as copied */
#define CACHE_RANGES 4096       /* sets with more holes are not worth their memory */
#define CACHE_LAG 10000         /* changes to be applied, more than which the index's set is noted anew */

static bool from_process(struct account *a, const struct index_box *record, uint64_t *since, struct uidset *out)
{
	size_t max_ranges = out->max_ranges;
	bool found = false;

	pthread_mutex_lock(&a->cache_mutex);
	for (size_t i = 0; i < ARRAY_LEN(a->uid_cache) && !found; i++)
		if (a->uid_cache[i].box == record->id && a->uid_cache[i].modseq <= record->highestmodseq) {
			*since = a->uid_cache[i].modseq;
			uidset_copy(out, &a->uid_cache[i].uids);
			out->max_ranges = max_ranges;
			found = true;
		}
	pthread_mutex_unlock(&a->cache_mutex);
	return found;
}

/* The set as this process knew it, or as the index has it, brought up to this snapshot. False: walk.
 * *noted: the MODSEQ at which the index has it. */
static bool uids_from_cache(struct mailbox *box, struct kv_txn *kv, const struct index_box *record, struct uidset *out,
			    uint64_t *noted)
{
	size_t max_ranges = out->max_ranges;
	uint64_t since = 0;
	bool found;

	*noted = record->highestmodseq;         /* or as good as: whoever walked noted it then */
	if (out->count || record->messages < CACHE_MESSAGES)
		return false;
	found = from_process(box->account, record, &since, out);
	if (!found) {
		found = !index_uids_get(kv, box->id, &since, out).kind && since <= record->highestmodseq;
		*noted = found ? since : 0;
	}
	/* The count is a cheap proof that nothing was missed. */
	if (found && !changes_apply(kv, box->id, since, out).kind && uidset_total(out) == record->messages)
		return true;
	uidset_done(out);
	out->max_ranges = max_ranges;
	*noted = 0;
	return false;
}

struct uids_note {
	uint64_t box, modseq;
	const struct uidset *uids;
};

static struct fault note_uids(struct index_txn *t, void *arg)
{
	const struct uids_note *n = arg;

	return index_uids_put(t->kv, n->box, n->modseq, n->uids);
}

/* For processes to come. A failure is no harm: they walk. */
static void note_in_index(struct mailbox *box, const struct index_box *record, const struct uidset *uids, uint64_t noted)
{
	struct uids_note n = { box->id, record->highestmodseq, uids };

	if (record->messages >= CACHE_MESSAGES && uids->count <= CACHE_RANGES && record->highestmodseq - noted > CACHE_LAG)
		(void)!index_update(box->account, note_uids, &n).kind;
}

static void remember_uids(struct mailbox *box, const struct index_box *record, const struct uidset *uids)
{
	struct account *a = box->account;
	struct uid_cache *slot = NULL;

	if (record->messages < CACHE_MESSAGES || uids->count > CACHE_RANGES ||
	    uidset_total(uids) != record->messages)
		return;
	pthread_mutex_lock(&a->cache_mutex);
	for (size_t i = 0; i < ARRAY_LEN(a->uid_cache); i++)
		if (a->uid_cache[i].box == box->id)
			slot = &a->uid_cache[i];
	if (!slot)
		slot = &a->uid_cache[a->cache_turn++ % ARRAY_LEN(a->uid_cache)];
	if (slot->box != box->id || slot->modseq < record->highestmodseq) {
		uidset_done(&slot->uids);
		uidset_copy(&slot->uids, uids);
		slot->uids.max_ranges = 0;
		slot->box = box->id;
		slot->modseq = record->highestmodseq;
	}
	pthread_mutex_unlock(&a->cache_mutex);
}

static struct fault walk_uids(struct mailbox *box, struct kv_txn *kv, struct uidset *out)
{
	struct walk w;
	struct fault f = walk_open(&w, kv, T_ROWS, box->id);

	if (!f.kind)
		for (f = walk_seek(&w, 0); !f.kind; f = walk_next(&w))
			if (!uidset_add(out, w.uid, w.uid))
				break;
	walk_close(&w);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault snapshot_uids(struct mailbox *box, struct kv_txn *kv, const struct index_box *record,
				  struct uidset *out, uint64_t *noted)
{
	struct fault f = uids_from_cache(box, kv, record, out, noted) ? FAULT_OK : walk_uids(box, kv, out);

	if (!f.kind)
		remember_uids(box, record, out);
	return f;
}

struct fault mailbox_uids(struct mailbox *box, struct uidset *out, uint64_t *modseq)
{
	struct kv_txn *kv = NULL;
	struct index_box record;
	uint64_t noted = 0;
	struct fault f = mailbox_enter(box, true);

	if (f.kind)
		return f;
	f = mailbox_snapshot(box, &kv, &record);
	if (!f.kind) {
		*modseq = record.highestmodseq ? record.highestmodseq : 1;
		f = snapshot_uids(box, kv, &record, out, &noted);
	}
	kv_read_end(&kv);
	if (!f.kind)
		note_in_index(box, &record, out, noted);
	f = account_judge(box->account, f);
	account_leave(box->account);
	return f;
}

static struct fault claim(struct index_txn *t, void *arg)
{
	struct index_box record;
	uint64_t *id_and_mark = arg;
	struct fault f = index_box_get(t->kv, id_and_mark[0], &record);

	if (f.kind)
		return f;
	id_and_mark[1] = record.recent_mark;
	id_and_mark[2] = record.uidnext - 1;
	record.recent_mark = record.uidnext - 1;
	record.recent = 0;
	return index_box_put(t->kv, &record);
}

struct fault mailbox_claim_recent(struct mailbox *box, bool peek, struct uidset *out)
{
	struct kv_txn *kv = NULL;
	struct index_box record;
	struct walk w = { .c = NULL };
	uint64_t arg[3] = { box->id, 0, 0 };
	struct fault f = mailbox_enter(box, false);

	if (f.kind)
		return f;
	f = mailbox_snapshot(box, &kv, &record);
	if (f.kind || !record.recent) {
		kv_read_end(&kv);
		account_leave(box->account);
		return f;
	}
	arg[1] = record.recent_mark;
	arg[2] = record.uidnext - 1;
	if (!peek && !box->reader && !mailbox_is_read_only(box)) {      /* \Recent is the owner's */
		kv_read_end(&kv);
		f = mailbox_gone(index_update(box->account, claim, arg));
		if (!f.kind || fault_is_unwritable(f.kind))
			f = mailbox_snapshot(box, &kv, &record);
	}
	if (!f.kind)
		f = walk_open(&w, kv, T_ROWS, box->id);
	if (!f.kind) {
		for (f = walk_seek(&w, (uint32_t)arg[1] + 1); !f.kind && w.uid <= arg[2]; f = walk_next(&w))
			uidset_add(out, w.uid, w.uid);
		f = f.kind == FAULT_NOT_FOUND ? FAULT_OK : account_judge(box->account, f);
	}
	walk_close(&w);
	kv_read_end(&kv);
	account_leave(box->account);
	return f;
}

struct hint {
	uint64_t box;
	uint64_t modseq;
	uint32_t uid;
};

static struct fault store_hint(struct index_txn *t, void *arg)
{
	const struct hint *h = arg;
	struct index_box record;
	struct fault f = index_box_get(t->kv, h->box, &record);

	if (f.kind || record.highestmodseq != h->modseq || record.unseen_hint >= h->uid)
		return f;
	record.unseen_hint = h->uid;
	return index_box_put(t->kv, &record);
}

struct fault mailbox_first_unseen(struct mailbox *box, uint32_t *uid)
{
	struct kv_txn *kv = NULL;
	struct index_box record;
	struct walk w = { .c = NULL };
	unsigned passed = 0;
	struct fault f = mailbox_enter(box, false);

	*uid = 0;
	if (f.kind)
		return f;
	f = mailbox_snapshot(box, &kv, &record);
	if (!f.kind && (record.unseen || box->reader)) {
		f = walk_open(&w, kv, T_ROWS, box->id);
		if (!f.kind)
			f = walk_seek(&w, box->reader ? 0 : record.unseen_hint);
		for (; !f.kind; f = walk_next(&w), passed++) {
			struct index_row_head h;
			f = walk_head(&w, &h);
			if (f.kind)
				break;
			if (!(mailbox_flags(box, w.uid, h.flags) & FLAG_SEEN)) {
				*uid = w.uid;
				break;
			}
		}
		f = f.kind == FAULT_NOT_FOUND ? FAULT_OK : account_judge(box->account, f);
	}
	walk_close(&w);
	kv_read_end(&kv);
	/* A long walk is done once: the next one starts where this one ended. */
	if (!f.kind && passed > 500 && !box->reader) {
		struct hint h = { box->id, record.highestmodseq, *uid };
		(void)!index_update(box->account, store_hint, &h).kind;
	}
	account_leave(box->account);
	return f;
}

struct fault mailbox_keywords(struct mailbox *box, struct arena *arena, struct keyword_table *out)
{
	struct kv_txn *kv = NULL;
	struct keyword_names *names;
	struct fault f = mailbox_enter(box, false);

	if (f.kind)
		return f;
	names = xmalloc(sizeof(*names));
	f = account_read(box->account, &kv);
	if (!f.kind)
		f = index_keywords_get(kv, box->id, names);
	kv_read_end(&kv);
	account_leave(box->account);
	out->count = 0;
	out->arena = arena;
	for (uint32_t i = 0; !f.kind && i < names->count; i++) {
		out->names[i] = arena_copy(arena, sv_z(names->name[i]));
		if (!out->names[i].p)
			f = fault(FAULT_LIMIT, "keywords do not fit");
		out->count = i + 1;
	}
	free(names);
	return f;
}

struct fault mailbox_row(struct mailbox *box, uint32_t uid, struct message_row *out)
{
	struct kv_txn *kv = NULL;
	struct index_box record;
	struct index_row row;
	struct fault f = mailbox_enter(box, false);

	if (f.kind)
		return f;
	f = account_read(box->account, &kv);
	if (!f.kind && box->reader)
		f = index_box_get(kv, box->id, &record);
	if (!f.kind)
		f = mailbox_seen(box, &record);
	if (!f.kind)
		f = account_judge(box->account, index_row_get(kv, box->id, uid, &row));
	kv_read_end(&kv);
	account_leave(box->account);
	if (!f.kind) {
		index_row_public(&row, out);
		out->flags = mailbox_flags(box, uid, out->flags);
	}
	return f.kind == FAULT_NOT_FOUND ? fault(FAULT_GONE, "no such message") : f;
}

struct fault mailbox_uidl(struct mailbox *box, uint32_t uid, char out[72])
{
	struct kv_txn *kv = NULL;
	struct index_box record;
	struct fault f = mailbox_enter(box, false);

	if (f.kind)
		return f;
	f = mailbox_snapshot(box, &kv, &record);
	kv_read_end(&kv);
	/* What an import noted stands there before its messages do, so a handle needs to read it once only. When it is
	 * damaged nobody gets an id: a wrong one would make every client fetch everything again. */
	if (!f.kind && !box->facts) {
		struct box_facts *facts = xcalloc(1, sizeof(*facts));
		f = box_facts_read(box->account->maildir, record.dir, facts);
		if (f.kind)
			free(facts);
		else
			box->facts = facts;
	}
	account_leave(box->account);
	if (f.kind)
		return f;
	struct sv noted = box_facts_uidl(box->facts, uid);

	/* As Dovecot's default format has it (%08Xu%08Xv), so that a maildrop that moves here keeps its ids. */
	if (noted.len)
		snprintf(out, 72, "%.*s", SV_FMT(noted));
	else
		snprintf(out, 72, "%08x%08x", uid, record.uidvalidity);
	return FAULT_OK;
}

/* --- scan -------------------------------------------------------------------------------------------------------------- */

/* A parsed form never changes, so a session that reads all of them again and again checks each one once: to go through every
 * octet for the checksum was a third of what a SEARCH costs. */
static bool get_parsed(struct mailbox *box, struct walk *parsed, uint32_t uid, const struct refill *r, struct mime_message *out)
{
	const struct refill_item *fresh = r->count ? refill_find(r, uid) : NULL;

	if (fresh)
		return fresh->encoded.len && mime_decode(buf_sv(&fresh->encoded), out);
	if (walk_find(parsed, uid).kind)
		return false;
	if (uidset_has(&box->checked, uid))
		return mime_decode_again(parsed->value, out);
	bool is_good = mime_decode(parsed->value, out);

	box->checked.max_ranges = CHECKED_RANGES_MAX;
	if (is_good)
		uidset_add(&box->checked, uid, uid);
	return is_good;
}

/* The message at hand lacks its parsed form; those of the set that follow are looked at, too. */
static struct fault plan_refill(struct kv_txn *kv, struct walk *w, const struct index_box *record, const struct uidset *set,
				struct refill *r)
{
	struct index_row row UNCLEARED;
	struct fault f = FAULT_OK;

	refill_init(r, w->box);
	for (unsigned looked = 0; !f.kind && r->count < REFILL_CHUNK && looked < 4 * REFILL_CHUNK; looked++) {
		if (!looked || !refill_is_parsed(kv, w->box, w->uid)) {
			f = walk_row(w, &row);
			if (f.kind)
				break;
			refill_add_row(r, record->dir, &row);
		}
		f = walk_next(w);
		if (!f.kind)
			f = walk_into(w, set);
	}
	return r->count ? FAULT_OK : f;
}

/* Whoever stops a scan at a message wants its file, and needs no second look at the index for it. */
static void note_stopped(struct mailbox *box, const struct walk *w, const struct index_box *record)
{
	if (!box->stopped)
		box->stopped = xmalloc(sizeof(*box->stopped));
	if (walk_row(w, &box->stopped->row).kind)
		box->stopped->row.uid = 0;
	memcpy(box->stopped->dir, record->dir, sizeof(box->stopped->dir));
}

/* One pass from *resume on. When a parsed form is missing, r is planned and *resume stands on that message. */
static struct fault scan_pass(struct mailbox *box, struct kv_txn *kv, const struct index_box *record, const struct uidset *set,
			      unsigned want, uint32_t *resume, struct refill *r, message_fn *fn, void *arg)
{
	struct walk w, forms = { .c = NULL };
	/* All of them out here: what is declared inside is cleared for each message (-ftrivial-auto-var-init). */
	struct index_row_head head;
	struct message_row shown;
	struct mime_message parsed;
	struct fault f = walk_open(&w, kv, T_ROWS, box->id);
	unsigned rows = 0;
	bool has_plan = r->count > 0, go_on = true, is_parsed;
	uint32_t last = 0;      /* of the set's range that the walk is in: up to there nothing has to be looked up */

	box->at = &w;
	box->at_dir = record->dir;
	if (!f.kind && want & SCAN_PARSED)
		f = walk_open(&forms, kv, T_PARSED, box->id);
	if (!f.kind)
		f = walk_seek(&w, set ? uidset_next(set, *resume) : *resume);
	while (!f.kind) {
		if (w.uid > last) {
			f = walk_into(&w, set);
			if (f.kind)
				break;
			last = set ? uidset_run(set, w.uid) : UINT32_MAX;
		}
		if (!go_on || ++rows > SCAN_ROWS) {
			*resume = w.uid;
			break;
		}
		f = walk_head(&w, &head);
		if (f.kind)
			break;
		is_parsed = false;
		if (want & SCAN_PARSED) {
			is_parsed = get_parsed(box, &forms, w.uid, r, &parsed);
			if (!is_parsed && !refill_find(r, w.uid)) {
				*resume = w.uid;
				if (rows == 1 && !has_plan)
					f = plan_refill(kv, &w, record, set, r);
				break;
			}
		}
		index_head_public(&head, w.uid, &shown);
		if (box->reader)
			shown.flags = mailbox_flags(box, w.uid, shown.flags);
		go_on = fn(arg, &shown, is_parsed ? &parsed : NULL);
		if (!go_on)
			note_stopped(box, &w, record);
		*resume = 0;
		f = walk_next(&w);
	}
	/* The end of the mailbox, or of the set. */
	if (f.kind == FAULT_NOT_FOUND) {
		f = FAULT_OK;
		*resume = 0;
	}
	box->at = NULL;
	walk_close(&forms);
	walk_close(&w);
	return f;
}

void message_email_id(const struct message_row *row, char out[EMAIL_ID_SIZE])
{
	filename_email_id(row->email, out);
}

struct fault mailbox_scan(struct mailbox *box, const struct uidset *set, unsigned want, uint32_t *resume,
			  message_fn *fn, void *arg)
{
	struct refill r = { 0 };
	struct index_box record;
	struct kv_txn *kv = NULL;
	struct fault f = mailbox_enter(box, false);

	if (f.kind)
		return f;
	uint32_t from = *resume;
	f = mailbox_snapshot(box, &kv, &record);
	if (!f.kind)
		f = scan_pass(box, kv, &record, set, want, resume, &r, fn, arg);
	kv_read_end(&kv);
	if (!f.kind && r.count) {
		/* Nothing was told yet: the first message lacks its parsed form. */
		refill_run(box, &r);
		*resume = from;
		f = mailbox_snapshot(box, &kv, &record);
		if (!f.kind)
			f = scan_pass(box, kv, &record, set, want, resume, &r, fn, arg);
		kv_read_end(&kv);
	}
	refill_done(&r);
	if (f.kind == FAULT_CORRUPT)    /* the index is about to be made anew */
		uidset_done(&box->checked);
	f = account_judge(box->account, f);
	account_leave(box->account);
	return f;
}

/* --- POP3's lock ------------------------------------------------------------------------------------------------------- */

struct fault mailbox_lock(struct mailbox *box)
{
	struct kv_txn *kv = NULL;
	struct index_box record;
	char path[BOX_PATH_MAX];
	struct fault f;
	int fd = -1;

	if (box->lock >= 0)
		return FAULT_OK;
	f = mailbox_enter(box, false);
	if (f.kind)
		return f;
	f = mailbox_snapshot(box, &kv, &record);
	kv_read_end(&kv);
	if (!f.kind) {
		box_path(path, record.dir, LAYOUT_LOCK_FILE, NULL);
		fd = files_open(box->account->maildir, path, O_RDWR | O_CREAT, account_conf(box->account)->umask_file);
		if (fd < 0)
			f = fault_errno("open", LAYOUT_LOCK_FILE);
	}
	/* Where nothing can be written it may be missing, and the folder is locked instead: all the same for all who come now. */
	if (f.kind == FAULT_READ_ONLY) {
		box_path(path, record.dir, "cur", NULL);
		fd = files_open(box->account->maildir, path, O_RDONLY | O_DIRECTORY, 0);
		f = fd < 0 ? fault_errno("open", path) : FAULT_OK;
	}
	account_leave(box->account);
	/* Of the open file, not of the process: two sessions in one worker exclude each other, too. */
	if (!f.kind && flock(fd, LOCK_EX | LOCK_NB))
		f = errno == EWOULDBLOCK ? fault(FAULT_IN_USE, "maildrop is locked by another session") :
		    fault_errno("lock", LAYOUT_LOCK_FILE);
	if (f.kind) {
		if (fd >= 0)
			close(fd);
		return f;
	}
	box->lock = fd;
	return FAULT_OK;
}

void mailbox_unlock(struct mailbox *box)
{
	if (box->lock >= 0)
		close(box->lock);
	box->lock = -1;
}
