#include "smtpd/queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/date.h"
#include "common/events.h"
#include "common/groupflush.h"
#include "common/kv.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/record.h"
#include "smtpd/sign.h"

#include "common/banned.h"

#define ABANDONED_S (60 * 60)   /* in tmp/, unlocked and this old: nobody will finish it */

enum table { TABLE_MESSAGES };
static const char *const tables[] = { "messages" };

enum row_version { ROW_VERSION = 1 };
enum row_tag {
	ROW_RECEIVED = 1,
	ROW_SIZE = 2,
	ROW_SENDER = 3,
	ROW_USER = 4,
	ROW_RCPT = 5,           /* the first QUEUE_RCPTS_LISTED, one each */
	ROW_RCPT_COUNT = 6,
};

struct queue {
	int tmp, msg, corrupt, talk;    /* folders */
	struct kv_env *index;
	struct dkimkeys *keys;          /* NULL: nothing is signed */
	struct groupflush flush;        /* of msg's names */
	pthread_mutex_t notes;          /* one is written at a time */
};

struct queue_entry {
	struct queue *queue;
	struct spool *spool;
	const struct envelope *envelope;        /* borrowed */
	struct signer *signer;          /* NULL: nothing is signed */
	struct signer_seal seal;
	bool is_sealing;
	bool is_committed;              /* the name is in msg/ */
	char id[QUEUE_ID_LEN + 1];
};

static struct fault open_folder(int parent, const char *path, int *out)
{
	if (mkdirat(parent, path, 0700) && errno != EEXIST)
		return fault_errno("queue mkdir", path);
	*out = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *out < 0 ? fault_errno("queue open", path) : FAULT_OK;
}

struct fault queue_open(const char *dir, struct queue **out)
{
	static const struct kv_options options = {
		.kind = KV_PRECIOUS,
		.create = true,
		.tables = tables,
		.table_count = ARRAY_LEN(tables),
	};
	struct queue *q = xcalloc(1, sizeof(*q));
	int root = -1;
	struct buf path;
	struct fault f;

	q->tmp = q->msg = q->corrupt = q->talk = -1;
	groupflush_init(&q->flush);
	pthread_mutex_init(&q->notes, NULL);
	buf_init(&path, 4096);
	f = open_folder(AT_FDCWD, dir, &root);
	if (!f.kind)
		f = open_folder(root, "tmp", &q->tmp);
	if (!f.kind)
		f = open_folder(root, "msg", &q->msg);
	if (!f.kind)
		f = open_folder(root, "corrupt", &q->corrupt);
	if (!f.kind)
		f = open_folder(root, "talk", &q->talk);
	if (!f.kind && fsync(root))
		f = fault_errno("queue flush", dir);
	if (!f.kind && !buf_appendf(&path, "%s/index", dir))
		f = fault(FAULT_LIMIT, "queue: path too long");
	if (!f.kind)
		f = kv_env_open(buf_z(&path), &options, &q->index);
	if (root >= 0)
		close(root);
	buf_done(&path);
	if (f.kind) {
		queue_close(&q);
		return f;
	}
	*out = q;
	return FAULT_OK;
}

void queue_close(struct queue **queue)
{
	struct queue *q = *queue;

	if (!q)
		return;
	if (q->tmp >= 0)
		close(q->tmp);
	if (q->msg >= 0)
		close(q->msg);
	if (q->corrupt >= 0)
		close(q->corrupt);
	if (q->talk >= 0)
		close(q->talk);
	kv_env_close(&q->index);
	groupflush_done(&q->flush);
	pthread_mutex_destroy(&q->notes);
	free(q);
	*queue = NULL;
}

/* 10 characters of time in microseconds, then 6 random ones: names sort by time, and no two
 * processes need to agree. */
void queue_new_id(char out[QUEUE_ID_LEN + 1])
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	struct timespec now;
	uint64_t us;

	clock_gettime(CLOCK_REALTIME, &now);
	us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	for (int i = 9; i >= 0; i--, us >>= 5)
		out[i] = digits[us & 31];
	crypt_random_text(out + 10, QUEUE_ID_LEN - 10);
	out[QUEUE_ID_LEN] = '\0';
}

/* id_name - an id as a file name, or false: what comes from outside never becomes a path. */
static bool id_name(struct sv id, char out[QUEUE_ID_LEN + 1])
{
	if (id.len != QUEUE_ID_LEN)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!ascii_is_digit(id.p[i]) && !(id.p[i] >= 'a' && id.p[i] <= 'z'))
			return false;
	memcpy(out, id.p, id.len);
	out[id.len] = '\0';
	return true;
}

/* ---- rows ---- */

/* make_row - how a message is listed. */
static struct fault make_row(struct record_out *row, const struct envelope *e, uint64_t size,
			     struct sv *value)
{
	size_t listed = 0;

	record_begin(row, ROW_VERSION);
	record_put_u64(row, ROW_RECEIVED, (uint64_t)e->received_s);
	record_put_u64(row, ROW_SIZE, size);
	record_put(row, ROW_SENDER, e->sender);
	record_put(row, ROW_USER, e->facts[ENVELOPE_USER]);
	record_put_u64(row, ROW_RCPT_COUNT, e->rcpt_count);
	for (const struct envelope_rcpt *r = e->rcpts; r && listed < QUEUE_RCPTS_LISTED;
	     r = r->next, listed++)
		record_put(row, ROW_RCPT, r->address);
	return record_end(row, value);
}

static bool read_row(struct sv id, struct sv value, struct queue_info *out)
{
	struct record_in in;
	struct sv field;
	uint64_t n;
	uint8_t tag;

	*out = (struct queue_info){ .id = id };
	if (record_open(value, ROW_VERSION, &in).kind)
		return false;
	while (record_next(&in, &tag, &field)) {
		switch (tag) {
		case ROW_RECEIVED:
			if (record_u64(field, &n))
				out->received_s = (int64_t)n;
			break;
		case ROW_SIZE:
			(void)record_u64(field, &out->size);
			break;
		case ROW_SENDER:
			out->sender = field;
			break;
		case ROW_USER:
			out->user = field;
			break;
		case ROW_RCPT:
			if (out->listed < QUEUE_RCPTS_LISTED)
				out->rcpts[out->listed++] = field;
			break;
		case ROW_RCPT_COUNT:
			(void)record_u64(field, &out->rcpt_count);
			break;
		}
	}
	return !in.is_bad;
}

struct row_change {
	struct sv id, value;
};

static struct fault put_row(struct kv_txn *txn, void *arg)
{
	const struct row_change *c = arg;

	return kv_put(txn, TABLE_MESSAGES, c->id, c->value);
}

static struct fault del_row(struct kv_txn *txn, void *arg)
{
	const struct row_change *c = arg;
	struct fault f = kv_del(txn, TABLE_MESSAGES, c->id);

	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault add_row(struct queue *q, const char *id, const struct envelope *e,
			    uint64_t size)
{
	struct row_change c = { sv_z(id), SV_NONE };
	struct record_out row;
	struct fault f = make_row(&row, e, size, &c.value);

	if (!f.kind)
		f = kv_update(q->index, put_row, &c);
	record_done(&row);
	return f;
}

static struct fault forget_row(struct queue *q, const char *id)
{
	struct row_change c = { sv_z(id), SV_NONE };

	return kv_update(q->index, del_row, &c);
}

/* The files are the truth: a row that could not be changed is mended by the next queue_sync(). */
static void report_row(const char *id, struct fault f)
{
	if (f.kind)
		log_error(NULL, "queue.index", KV_Z("queue_id", id), KV_FAULT("fault", f));
}

/* ---- adding ---- */

struct fault queue_begin(struct queue *queue, const struct envelope *e, struct queue_entry **out)
{
	struct queue_entry *entry = xcalloc(1, sizeof(*entry));
	struct fault f;

	entry->queue = queue;
	if (!id_name(e->facts[ENVELOPE_ID], entry->id))
		BUG("queue: no id");
	f = spool_create(queue->tmp, entry->id, &entry->spool);
	if (f.kind) {
		free(entry);
		return f;
	}
	f = spool_put_envelope(entry->spool, e);
	entry->envelope = e;
	if (f.kind)
		queue_abort(&entry);
	*out = entry;
	return f;
}

struct fault queue_write(struct queue_entry *entry, struct sv octets)
{
	if (entry->signer)
		signer_feed(entry->signer, octets);
	return spool_put_body(entry->spool, octets);
}

void queue_use_keys(struct queue *queue, struct dkimkeys *keys)
{
	queue->keys = keys;
}

void queue_sign(struct queue_entry *entry)
{
	signer_free(&entry->signer);
	if (entry->queue->keys)
		entry->signer = signer_new(entry->queue->keys, date_now().seconds);
}

void queue_seal(struct queue_entry *entry, const struct signer_seal *seal)
{
	signer_free(&entry->signer);
	if (!entry->queue->keys)
		return;
	entry->signer = signer_new_seal(entry->queue->keys, date_now().seconds);
	entry->seal = *seal;
	entry->is_sealing = true;
}

/* sign - mail leaves also without a signature: a key that cannot be used must not stop it. */
static struct fault sign(struct queue_entry *entry)
{
	struct buf fields;
	struct fault f;

	buf_init(&fields, SIGN_FIELDS_MAX);
	f = entry->is_sealing ? signer_finish_seal(entry->signer, &entry->seal, &fields)
			      : signer_finish(entry->signer, &fields);
	if (f.kind)
		log_error(NULL, "queue.sign", KV_Z("queue_id", entry->id), KV_FAULT("fault", f));
	f = fields.len ? spool_put_top(entry->spool, buf_sv(&fields)) : FAULT_OK;
	buf_done(&fields);
	return f;
}

struct fault queue_finish(struct queue_entry *entry)
{
	struct fault f = entry->signer ? sign(entry) : FAULT_OK;

	signer_free(&entry->signer);
	return f.kind ? f : spool_finish(entry->spool);
}

static struct fault flush_names(void *arg)
{
	const struct queue *q = arg;

	return fsync(q->msg) ? fault_errno("queue flush", "msg") : FAULT_OK;
}

struct fault queue_flush(struct queue *queue)
{
	return groupflush_wait(&queue->flush, flush_names, queue);
}

/* The name is durable when the folder is flushed, and only then may anybody be told. */
struct fault queue_commit(struct queue_entry *entry)
{
	struct queue *q = entry->queue;

	if (renameat(q->tmp, entry->id, q->msg, entry->id))
		return fault_errno("queue rename", entry->id);
	entry->is_committed = true;
	return queue_flush(q);
}

static void entry_free(struct queue_entry **entry)
{
	signer_free(&(*entry)->signer);
	spool_close(&(*entry)->spool);
	free(*entry);
	*entry = NULL;
}

uint64_t queue_entry_size(const struct queue_entry *entry)
{
	return spool_size(entry->spool);
}

void queue_release(struct queue_entry **entry)
{
	struct queue_entry *e = *entry;

	report_row(e->id, add_row(e->queue, e->id, e->envelope, spool_size(e->spool)));
	entry_free(entry);
}

static struct fault take_back(const struct queue_entry *entry)
{
	struct queue *q = entry->queue;

	if (unlinkat(entry->is_committed ? q->msg : q->tmp, entry->id, 0))
		return fault_errno("queue unlink", entry->id);
	return entry->is_committed ? queue_flush(q) : FAULT_OK;
}

void queue_abort(struct queue_entry **entry)
{
	struct fault f;

	if (!*entry)
		return;
	f = take_back(*entry);
	if (f.kind)
		log_error(NULL, "queue.abort", KV_Z("queue_id", (*entry)->id), KV_FAULT("fault", f));
	entry_free(entry);
}

/* ---- looking ---- */

struct fault queue_count(struct queue *queue, uint64_t *out)
{
	struct kv_txn *txn = NULL;
	struct fault f = kv_read_begin(queue->index, &txn);

	if (!f.kind)
		f = kv_count(txn, TABLE_MESSAGES, out);
	kv_read_end(&txn);
	return f;
}

/* A row that cannot be read has its id only. */
struct fault queue_list(struct queue *queue, struct sv after, queue_list_fn *fn, void *arg)
{
	struct kv_txn *txn = NULL;
	struct kv_cursor *cursor = NULL;
	struct queue_info info;
	struct sv key, value;
	struct fault f = kv_read_begin(queue->index, &txn);

	if (!f.kind)
		f = kv_cursor_open(txn, TABLE_MESSAGES, &cursor);
	if (!f.kind)
		f = kv_cursor_seek(cursor, after, &key, &value);
	if (!f.kind && after.len && sv_eq(key, after))
		f = kv_cursor_next(cursor, &key, &value);
	while (!f.kind) {
		(void)read_row(key, value, &info);
		if (!fn(arg, &info))
			break;
		f = kv_cursor_next(cursor, &key, &value);
	}
	kv_cursor_close(&cursor);
	kv_read_end(&txn);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

#define NO_SUCH_MESSAGE "there is no such message in the queue"

struct fault queue_read(struct queue *queue, struct sv id, struct spool **out)
{
	char name[QUEUE_ID_LEN + 1];
	struct fault f;

	if (!id_name(id, name))
		return fault(FAULT_NOT_FOUND, NO_SUCH_MESSAGE);
	f = spool_open(queue->msg, name, SPOOL_UNLOCKED, out);
	return f.kind == FAULT_NOT_FOUND ? fault(FAULT_NOT_FOUND, NO_SUCH_MESSAGE) : f;
}

/* ---- for the relay ---- */

struct fault queue_take(struct queue *queue, const char *id, struct spool **out)
{
	return spool_open(queue->msg, id, SPOOL_LOCKED, out);
}

void queue_sweep(struct queue *queue, struct sv id)
{
	char name[QUEUE_ID_LEN + 1];

	if (id_name(id, name))
		unlinkat(queue->tmp, name, 0);
}

bool queue_has(struct queue *queue, const char *id)
{
	return !faccessat(queue->msg, id, F_OK, 0);
}

struct fault queue_unlink(struct queue *queue, const char *id)
{
	if (unlinkat(queue->msg, id, 0))
		return fault_errno("queue unlink", id);
	unlinkat(queue->talk, id, 0);
	return FAULT_OK;
}

struct fault queue_drop(struct queue *queue, const char *id)
{
	struct fault f = queue_unlink(queue, id);

	return f.kind ? f : queue_flush(queue);
}

struct gone {
	const char (*ids)[QUEUE_ID_LEN + 1];
	size_t count;
};

static struct fault del_rows(struct kv_txn *txn, void *arg)
{
	const struct gone *gone = arg;
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < gone->count && !f.kind; i++) {
		f = kv_del(txn, TABLE_MESSAGES, sv_z(gone->ids[i]));
		if (f.kind == FAULT_NOT_FOUND)
			f = FAULT_OK;
	}
	return f;
}

void queue_forget(struct queue *queue, const char (*ids)[QUEUE_ID_LEN + 1], size_t count)
{
	struct gone gone = { ids, count };

	if (count)
		report_row(ids[0], kv_update(queue->index, del_rows, &gone));
}

static bool read_small(int folder, const char *name, struct buf *out)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	size_t had = out->len, room = out->max - out->len;
	struct stat st;
	ssize_t n = 1;

	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && st.st_size >= 0 && (uint64_t)st.st_size < room)
		room = (size_t)st.st_size;
	if (buf_reserve(out, room))
		for (; room && n > 0; room -= (size_t)n, out->len += (size_t)n) {
			n = read(fd, out->p + out->len, room);
			if (n < 0)
				n = 0;
		}
	close(fd);
	return out->len > had;
}

/* For people: nothing depends on it. */
void queue_put_talk(struct queue *queue, const char *id, struct sv text)
{
	int fd = openat(queue->talk, id, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
			0600);

	if (fd < 0)
		return;
	(void)!write(fd, text.p, text.len);
	close(fd);
}

bool queue_talk(struct queue *queue, const char *id, struct buf *out)
{
	char name[QUEUE_ID_LEN + 1];

	return id_name(sv_z(id), name) && read_small(queue->talk, name, out);
}

static struct fault write_note(struct queue *queue, const char *name, struct sv text)
{
	struct fault f = FAULT_OK;
	char temporary[64];
	int fd;

	snprintf(temporary, sizeof(temporary), "%s.new", name);
	fd = openat(queue->talk, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fault_errno("queue note", name);
	if (write(fd, text.p, text.len) != (ssize_t)text.len || fsync(fd) ||
	    renameat(queue->talk, temporary, queue->talk, name) || fsync(queue->talk))
		f = fault_errno("queue note", name);
	close(fd);
	return f;
}

/* Two writers of one note would fill the same file. */
struct fault queue_put_note(struct queue *queue, const char *name, struct sv text)
{
	struct fault f;

	pthread_mutex_lock(&queue->notes);
	f = write_note(queue, name, text);
	pthread_mutex_unlock(&queue->notes);
	return f;
}

bool queue_note(struct queue *queue, const char *name, struct buf *out)
{
	return read_small(queue->talk, name, out);
}

/* ---- mending ---- */

/* A growing list of ids. */
struct ids {
	char (*items)[QUEUE_ID_LEN + 1];
	size_t count, cap;
};

static void ids_add(struct ids *l, const char *id)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 256;
		l->items = xrealloc(l->items, l->cap * sizeof(*l->items));
	}
	memcpy(l->items[l->count++], id, QUEUE_ID_LEN + 1);
}

static bool collect_row(void *arg, const struct queue_info *info)
{
	char name[QUEUE_ID_LEN + 1];

	if (id_name(info->id, name))
		ids_add(arg, name);
	return true;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, QUEUE_ID_LEN);
}

/* list_folder - names that are ids, sorted. */
static struct fault list_folder(int folder, struct ids *out)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	char name[QUEUE_ID_LEN + 1];

	if (!d) {
		if (fd >= 0)
			close(fd);
		return fault_errno("queue list", "");
	}
	while ((entry = readdir(d)))
		if (id_name(sv_z(entry->d_name), name))
			ids_add(out, name);
	closedir(d);
	if (out->count)
		qsort(out->items, out->count, sizeof(*out->items), compare_ids);
	return FAULT_OK;
}

struct fault queue_each(struct queue *queue, queue_id_fn *fn, void *arg)
{
	struct ids files = { 0 };
	struct fault f = list_folder(queue->msg, &files);

	for (size_t i = 0; i < files.count && !f.kind; i++)
		if (!fn(arg, files.items[i]))
			break;
	free(files.items);
	return f;
}

void queue_set_apart(struct queue *queue, const char *id, struct fault why)
{
	log_error(NULL, "queue.corrupt", KV_Z("queue_id", id), KV_FAULT("fault", why));
	if (renameat(queue->msg, id, queue->corrupt, id))
		log_error(NULL, "queue.quarantine",
			  KV_FAULT("fault", fault_errno("queue quarantine", id)));
}

/* adopt - a file without a row: list it, unless somebody is just making it; set it apart when it
 * cannot be read. */
static struct fault adopt(struct queue *q, const char *id)
{
	struct spool *s = NULL;
	struct fault f = spool_open(q->msg, id, SPOOL_LOCKED, &s);

	if (!f.kind) {
		f = add_row(q, id, spool_envelope(s), spool_size(s));
	} else if (f.kind == FAULT_BUSY || f.kind == FAULT_NOT_FOUND) {
		f = FAULT_OK;
	} else if (f.kind == FAULT_CORRUPT) {
		log_error(NULL, "queue.corrupt", KV_Z("queue_id", id), KV_FAULT("fault", f));
		f = renameat(q->msg, id, q->corrupt, id) ? fault_errno("queue quarantine", id)
							 : FAULT_OK;
	}
	spool_close(&s);
	return f;
}

/* forget - a row without a file, unless the file has come back since we looked. */
static struct fault forget(struct queue *q, const char *id)
{
	return faccessat(q->msg, id, F_OK, 0) ? forget_row(q, id) : FAULT_OK;
}

/* compare - both lists are sorted. One message's fault does not keep the others from being mended.
 */
static struct fault compare(struct queue *q, const struct ids *files, const struct ids *rows)
{
	struct fault first = FAULT_OK;
	size_t i = 0, j = 0;

	while (i < files->count || j < rows->count) {
		int order = i == files->count  ? 1
			    : j == rows->count ? -1
					       : compare_ids(files->items[i], rows->items[j]);
		struct fault f = FAULT_OK;

		if (order < 0)
			f = adopt(q, files->items[i++]);
		else if (order > 0)
			f = forget(q, rows->items[j++]);
		else
			i++, j++;
		if (f.kind && !first.kind)
			first = f;
	}
	return first;
}

/* sweep_tmp - what a crash left half written: never acknowledged, so it may go. */
static void sweep_tmp(struct queue *q, const struct ids *names)
{
	for (size_t i = 0; i < names->count; i++) {
		struct stat st;
		struct spool *s = NULL;
		struct fault f;

		if (fstatat(q->tmp, names->items[i], &st, AT_SYMLINK_NOFOLLOW) ||
		    st.st_mtime > time(NULL) - ABANDONED_S)
			continue;
		f = spool_open(q->tmp, names->items[i], SPOOL_LOCKED, &s);
		if (f.kind != FAULT_BUSY && !unlinkat(q->tmp, names->items[i], 0))
			log_info(NULL, "queue.abandoned", KV_Z("queue_id", names->items[i]));
		spool_close(&s);
	}
}

struct fault queue_sync(struct queue *queue)
{
	struct ids files = { 0 }, rows = { 0 }, half = { 0 };
	/* Rows first: what is added meanwhile then is a file with a row we did not see, and
	 * adopting it again is harmless. */
	struct fault f = queue_list(queue, SV_NONE, collect_row, &rows);

	if (!f.kind)
		f = list_folder(queue->msg, &files);
	if (!f.kind)
		f = compare(queue, &files, &rows);
	if (!f.kind)
		f = list_folder(queue->tmp, &half);
	if (!f.kind)
		sweep_tmp(queue, &half);
	free(files.items);
	free(rows.items);
	free(half.items);
	return f;
}
