/* maildir/flags.c - changing flags: to index and log at once, to file names later. See mailbox.h and flaglog.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "maildir/files.h"
#include "maildir/mailbox_private.h"
#include "maildir/seen_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

#define STORE_ROWS 1024                 /* in one transaction: no file is touched */
#define ALL_FLAGS (FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DELETED | FLAG_DRAFT)
#define GROUPS_MAX 32
#define SETTLE_MS 2000                  /* per account and call */

struct change_set {
	struct mailbox *box;
	const struct uidset *set;
	const struct flag_change *change;
	struct keyword_bits keywords;
	uint32_t from, next;
	struct message_row *rows;       /* out: as they are afterwards */
	size_t row_count;
	struct uidset modified;         /* out */
	struct uidset overtaken;        /* out */
	uint32_t allowed;               /* flags that may be changed ... */
	bool may_keywords;              /* ... and keywords */
	/* \Seen of a reader of somebody else's mailbox goes to a file of theirs. */
	struct uidset seen, unseen;
	int seen_fd;
	char dir[LAYOUT_DIR_MAX + 1];   /* out */
};

/* Log lines of one transaction: messages that end up with the same flags share one. */
struct log_groups {
	struct flag_record groups[GROUPS_MAX];
	size_t count;
	struct buf lines;
};

static struct fault log_flush(struct log_groups *l, struct index_txn *t)
{
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < l->count; i++) {
		if (!flaglog_write(&l->groups[i], &l->lines))
			f = fault(FAULT_INTERNAL, "flag log lines are too long");
		uidset_done(&l->groups[i].uids);
	}
	l->count = 0;
	if (!f.kind && l->lines.len)
		f = account_log_flags(t, buf_sv(&l->lines));
	buf_clear(&l->lines);
	return f;
}

static struct fault log_note(struct log_groups *l, struct index_txn *t, uint64_t box, const struct index_row *row)
{
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < l->count; i++) {
		struct flag_record *g = &l->groups[i];
		if (g->flags == row->h.flags && g->keywords.w[0] == row->h.keywords.w[0] &&
		    g->keywords.w[1] == row->h.keywords.w[1]) {
			uidset_add(&g->uids, row->uid, row->uid);
			return FAULT_OK;
		}
	}
	if (l->count == GROUPS_MAX)
		f = log_flush(l, t);
	l->groups[l->count] = (struct flag_record){ .box = box, .flags = row->h.flags, .keywords = row->h.keywords };
	uidset_add(&l->groups[l->count++].uids, row->uid, row->uid);
	return f;
}

static void wanted(const struct change_set *s, const struct index_row *row, uint32_t *flags, struct keyword_bits *bits)
{
	uint32_t f = s->change->flags & s->allowed, shown = mailbox_flags(s->box, row->uid, row->h.flags);

	*bits = row->h.keywords;
	switch (s->change->mode) {
	case STORE_REPLACE:
		*flags = (shown & ~s->allowed) | f;
		if (s->may_keywords)
			*bits = s->keywords;
		break;
	case STORE_ADD:
		*flags = shown | f;
		for (unsigned w = 0; w < 2; w++)
			bits->w[w] |= s->keywords.w[w];
		break;
	case STORE_REMOVE:
		*flags = shown & ~f;
		for (unsigned w = 0; w < 2; w++)
			bits->w[w] &= ~s->keywords.w[w];
		break;
	}
}

static struct fault change_row(struct index_txn *t, struct index_box *box, struct change_set *s, struct log_groups *log,
			       struct index_row *row)
{
	uint32_t flags = 0, shown;
	struct keyword_bits bits;
	bool is_private = false;
	struct fault f = FAULT_OK;

	if (s->change->has_unchangedsince && row->h.modseq > s->change->unchangedsince) {
		uidset_add(&s->modified, row->uid, row->uid);
		return FAULT_OK;
	}
	if (s->change->overtaken && row->h.modseq > s->change->known)
		uidset_add(&s->overtaken, row->uid, row->uid);
	wanted(s, row, &flags, &bits);
	shown = flags;
	if (s->box->reader) {
		uint32_t was = mailbox_flags(s->box, row->uid, row->h.flags);

		is_private = (was ^ flags) & FLAG_SEEN;
		if (is_private)
			uidset_add(flags & FLAG_SEEN ? &s->seen : &s->unseen, row->uid, row->uid);
		flags = (flags & ~(uint32_t)FLAG_SEEN) | (row->h.flags & FLAG_SEEN);
	}
	bool is_shared = flags != row->h.flags || bits.w[0] != row->h.keywords.w[0] || bits.w[1] != row->h.keywords.w[1];

	/* What only one reader sees gets a MODSEQ, too: their other sessions learn of it by that. */
	if (is_shared || is_private)
		f = index_row_flags(t, box, row, flags, &bits);
	if (!f.kind && is_shared)
		f = log_note(log, t, box->id, row);
	index_row_public(row, &s->rows[s->row_count]);
	s->rows[s->row_count++].flags = shown;
	return f;
}

/* The next messages of the set, from `start` on; s->next: there are more. */
static struct fault read_chunk(struct index_txn *t, struct change_set *s, uint64_t box, uint32_t start, struct index_row *rows,
			       size_t *count)
{
	struct walk w;
	struct fault f = walk_open(&w, t->kv, T_ROWS, box);

	if (!f.kind)
		f = walk_seek(&w, start);
	while (!f.kind) {
		f = walk_into(&w, s->set);
		if (!f.kind && *count == STORE_ROWS) {
			s->next = w.uid;
			break;
		}
		if (!f.kind)
			f = walk_row(&w, &rows[*count]);
		if (f.kind)
			break;
		++*count;
		f = walk_next(&w);
	}
	walk_close(&w);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault change_chunk(struct index_txn *t, void *arg)
{
	struct change_set *s = arg;
	struct index_box box;
	struct index_row *rows;
	struct log_groups *log;
	size_t count = 0;
	uint32_t start = s->set ? uidset_next(s->set, s->from) : s->from;
	struct fault f = mailbox_gone(index_box_get(t->kv, s->box->id, &box));

	s->row_count = 0;
	s->next = 0;
	uidset_done(&s->modified);
	uidset_done(&s->overtaken);
	uidset_done(&s->seen);
	uidset_done(&s->unseen);
	if (!f.kind)
		f = mailbox_seen(s->box, &box);
	if (f.kind || (s->set && !start))
		return f;
	memcpy(s->dir, box.dir, sizeof(s->dir));
	/* Rows are read first: a walk does not outlive the changes of its table. */
	rows = xmalloc(STORE_ROWS * sizeof(*rows));
	f = read_chunk(t, s, box.id, start, rows, &count);
	log = xcalloc(1, sizeof(*log));
	buf_init(&log->lines, (size_t)1 << 20);
	for (size_t i = 0; !f.kind && i < count; i++)
		f = change_row(t, &box, s, log, &rows[i]);
	struct fault logged = log_flush(log, t);
	if (!f.kind)
		f = logged;
	buf_done(&log->lines);
	free(log);
	free(rows);
	if (!f.kind && (s->seen.count || s->unseen.count)) {
		if (s->seen_fd >= 0)    /* of a run that was not committed */
			close(s->seen_fd);
		f = seen_append(t->account, box.dir, s->box->reader, s->box->seen, &s->seen, &s->unseen, &s->seen_fd);
	}
	return f.kind ? f : index_box_put(t->kv, &box);
}

/* allow - what the handle may change; FAULT_DENIED when that is nothing of what is asked (RFC 4314 §4). */
static struct fault allow(struct change_set *s)
{
	const struct flag_change *change = s->change;

	s->allowed = mailbox_keep_flags(s->box, ALL_FLAGS, &s->may_keywords);
	if (s->may_keywords || change->flags & s->allowed || (change->mode == STORE_REPLACE && s->allowed))
		return FAULT_OK;
	return fault(FAULT_DENIED, "no right for any of these flags");
}

/* finish_seen - the reader's own file, behind the transaction. */
static struct fault finish_seen(struct change_set *s)
{
	struct fault f = FAULT_OK;

	if (s->seen_fd >= 0) {
		f = seen_flush(s->box->account, s->dir, &s->seen_fd);
		seen_compact(s->box->account, s->box->id, s->dir, s->box->reader, s->box->seen);
	}
	uidset_done(&s->seen);
	uidset_done(&s->unseen);
	return f;
}

struct fault mailbox_store_flags(struct mailbox *box, const struct uidset *set, const struct flag_change *change,
				 uint32_t *resume, struct uidset *modified, message_fn *fn, void *arg)
{
	struct change_set s = { .box = box, .set = set, .change = change, .from = *resume, .seen_fd = -1 };
	struct fault f = mailbox_enter(box, false);

	if (f.kind)
		return f;
	f = allow(&s);
	if (!f.kind)
		f = mailbox_gone(account_keywords(box->account, box->id, change->keywords,
						  s.may_keywords ? change->keyword_count : 0,
						  change->mode != STORE_REMOVE, &s.keywords));
	s.rows = xmalloc(STORE_ROWS * sizeof(*s.rows));
	if (!f.kind)
		f = index_update(box->account, change_chunk, &s);
	struct fault kept = finish_seen(&s);

	if (!f.kind)
		f = kept;
	account_leave(box->account);
	if (!f.kind) {
		*resume = s.next;
		for (size_t i = 0; modified && i < s.modified.count; i++)
			uidset_add(modified, s.modified.ranges[i].first, s.modified.ranges[i].last);
		for (size_t i = 0; change->overtaken && i < s.overtaken.count; i++)
			uidset_add(change->overtaken, s.overtaken.ranges[i].first, s.overtaken.ranges[i].last);
		for (size_t i = 0; fn && i < s.row_count; i++)
			fn(arg, &s.rows[i], NULL);
	}
	uidset_done(&s.modified);
	uidset_done(&s.overtaken);
	free(s.rows);
	return f;
}

/* --- names follow the log ---------------------------------------------------------------------------------------------- */

struct settling {
	struct account *account;
	struct uidset todo;             /* of one mailbox */
	uint64_t box;
	uint32_t from;
	uint64_t *touched;              /* mailboxes whose cur/ must be flushed */
	size_t touched_count;
	int64_t deadline_ms;
	struct fault fault;
	bool is_late;
};

static struct fault settle_one(struct index_txn *t, const struct index_box *box, uint32_t uid)
{
	struct index_row row;
	struct filename n;
	char here[BOX_PATH_MAX], there[BOX_PATH_MAX], name[FILENAME_MAX_LEN + 1];
	struct fault f = index_row_get(t->kv, box->id, uid, &row);

	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	if (!filename_parse(sv_from(row.name, row.h.name_len), &n) ||
	    (n.flags == row.h.flags && n.keywords.w[0] == row.h.keywords.w[0] &&
	     n.keywords.w[1] == row.h.keywords.w[1]))
		return FAULT_OK;
	n.flags = row.h.flags;
	n.keywords = row.h.keywords;
	if (!filename_write(&n, name))
		return FAULT_OK;
	box_path(here, box->dir, "cur", row.name);
	box_path(there, box->dir, "cur", name);
	f = files_rename_new(t->account->maildir, here, t->account->maildir, there);
	if (f.kind == FAULT_NOT_FOUND || f.kind == FAULT_EXISTS)
		return FAULT_OK;        /* another program was here: the next look at the folder finds out */
	if (f.kind)
		return f;
	index_undo_note(t, here, there);
	row.h.name_len = (uint16_t)strlen(name);
	memcpy(row.name, name, row.h.name_len + 1u);
	return index_row_put(t->kv, box->id, &row);
}

static struct fault settle_chunk(struct index_txn *t, void *arg)
{
	struct settling *s = arg;
	struct index_box box;
	uint32_t uid = s->from;
	struct fault f = index_box_get(t->kv, s->box, &box);

	if (f.kind)
		return f;
	adopt_check_times(t->account, &box);
	index_intend(t, s->box);
	for (unsigned i = 0; !f.kind && uid && i < CHUNK_MAX; i++) {
		f = settle_one(t, &box, uid);
		uid = uid == UINT32_MAX ? 0 : uidset_next(&s->todo, uid + 1);
	}
	adopt_note_times(t->account, &box);
	return f.kind ? f : index_box_put(t->kv, &box);
}

static bool settle_box(void *arg, const struct flag_record *r)
{
	struct settling *s = arg;
	bool known = false;

	uidset_done(&s->todo);
	uidset_copy(&s->todo, &r->uids);
	s->todo.max_ranges = 0;
	s->box = r->box;
	for (s->from = uidset_next(&s->todo, 1); s->from;) {
		if (store_now_ms() > s->deadline_ms) {
			s->is_late = true;
			return false;
		}
		s->fault = index_update(s->account, settle_chunk, s);
		if (s->fault.kind == FAULT_NOT_FOUND)
			s->fault = FAULT_OK;    /* mailbox is gone */
		if (s->fault.kind)
			return false;
		uint32_t uid = s->from;
		for (unsigned i = 0; uid && i < CHUNK_MAX; i++)
			uid = uid == UINT32_MAX ? 0 : uidset_next(&s->todo, uid + 1);
		s->from = uid;
	}
	for (size_t i = 0; i < s->touched_count; i++)
		known = known || s->touched[i] == r->box;
	if (!known) {
		s->touched = xrealloc(s->touched, (s->touched_count + 1) * sizeof(*s->touched));
		s->touched[s->touched_count++] = r->box;
	}
	return true;
}

static struct fault flush_touched(struct settling *s)
{
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < s->touched_count; i++) {
		struct kv_txn *kv = NULL;
		struct index_box box;

		f = account_read(s->account, &kv);
		if (!f.kind)
			f = index_box_get(kv, s->touched[i], &box);
		kv_read_end(&kv);
		if (f.kind == FAULT_NOT_FOUND) {
			f = FAULT_OK;
			continue;
		}
		if (!f.kind)
			f = account_sync_cur(s->account, box.dir);
	}
	return f;
}

struct cut {
	off_t size;
	bool done;
};

static struct fault cut_log(struct index_txn *t, void *arg)
{
	struct cut *c = arg;
	struct stat st;

	c->done = false;
	if (fstat(t->account->flag_log, &st))
		return fault_errno("stat", LAYOUT_FLAG_LOG);
	if (st.st_size != c->size)
		return FAULT_OK;        /* somebody changed flags meanwhile */
	if (ftruncate(t->account->flag_log, 0))
		return fault_errno("cut", LAYOUT_FLAG_LOG);
	account_reserve_log(t->account);
	c->done = true;
	return FAULT_OK;
}

/* Under the write lock every line is committed, or will be cut off before the lock is given to anybody else. */
static struct fault measure_log(struct index_txn *t, void *arg)
{
	struct cut *c = arg;
	struct stat st;

	if (fstat(t->account->flag_log, &st))
		return fault_errno("stat", LAYOUT_FLAG_LOG);
	c->size = st.st_size;
	return FAULT_OK;
}

static struct fault settle_names(struct account *a)
{
	struct settling s = { .account = a, .deadline_ms = store_now_ms() + SETTLE_MS };
	struct fault f = FAULT_OK;

	for (int pass = 0; !f.kind && pass < 4; pass++) {
		struct buf log;
		struct cut cut = { 0, false };

		buf_init(&log, (size_t)1 << 32);
		f = index_update(a, measure_log, &cut);
		if (!f.kind)
			f = files_read(a->maildir, LAYOUT_FLAG_LOG, &log);
		if (!f.kind && log.len > (size_t)cut.size)
			log.len = (size_t)cut.size;
		if (!f.kind && log.len)
			flaglog_parse(buf_sv(&log), settle_box, &s);
		buf_done(&log);
		if (!f.kind)
			f = s.fault;
		if (f.kind || s.is_late)
			break;
		if (cut.size) {
			f = flush_touched(&s);
			if (!f.kind)
				f = index_update(a, cut_log, &cut);
			if (f.kind || !cut.done)
				continue;
		}
		break;
	}
	uidset_done(&s.todo);
	free(s.touched);
	return f;
}

/* One at a time, among all threads and processes: of two who had read the same log the second could cut off lines that came
 * behind the first one's cut and happen to be as long, and nobody had settled. The lock is the descriptor's, which is nobody
 * else's. */
struct fault account_settle_names(struct account *a)
{
	struct fault f = FAULT_OK;
	int fd = files_open(a->maildir, LAYOUT_FLAG_LOG, O_RDONLY, 0);

	if (fd < 0)
		return fault_errno("open", LAYOUT_FLAG_LOG);
	if (!flock(fd, LOCK_EX | LOCK_NB))
		f = settle_names(a);
	else if (errno != EWOULDBLOCK)
		f = fault_errno("lock", LAYOUT_FLAG_LOG);
	close(fd);
	return f;
}
