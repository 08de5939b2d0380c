/* maildir/message.c - see message.h. */
#include "maildir/message_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crew.h"
#include "common/memory.h"
#include "common/zstd.h"
#include "maildir/files.h"
#include "maildir/mailbox_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

#define VISIT_PIECE 8           /* messages: a tenth of a millisecond and more */

struct message_reader {
	int fd;
	uint64_t size;                  /* wire form */
	uint64_t stored;                /* in the file, unpacked */
	struct zstd_reader *packed;     /* NULL: the file has the octets themselves */
	bool is_converted;              /* the file has bare LFs */
	/* Where the last converted read ended: wire offset, file offset, and the octet before it. */
	uint64_t wire_at, file_at;
	char before;
	bool owes_lf;                   /* the CR of a made CRLF was given out, its LF not */
};

/* Open the file a row names. A row may be a moment behind a rename: look again, then at the folder itself. */
static struct fault open_file(struct mailbox *box, uint32_t uid, struct index_row *row, int *fd, uint64_t *size)
{
	const struct stopped *known = box->stopped;
	struct fault f = FAULT_OK;
	char path[BOX_PATH_MAX];

	/* The scan that stopped here has just looked: no name is given twice, so a file of that name is that message. */
	if (known && known->row.uid == uid) {
		box_path(path, known->dir, "cur", known->row.name);
		f = files_open_sized(box->account->maildir, path, fd, size);
		row->h = known->row.h;
		if (f.kind != FAULT_NOT_FOUND)
			return f;
	}
	for (int tries = 0; tries < 3; tries++) {
		struct kv_txn *kv = NULL;
		struct index_box record;

		f = mailbox_snapshot(box, &kv, &record);
		if (!f.kind)
			f = index_row_get(kv, box->id, uid, row);
		kv_read_end(&kv);
		if (f.kind)
			break;
		box_path(path, record.dir, "cur", row->name);
		f = files_open_sized(box->account->maildir, path, fd, size);
		if (f.kind != FAULT_NOT_FOUND)
			break;
		if (tries == 1) {
			struct fault scan = adopt_scan(box->account, box->id);
			if (scan.kind)
				return scan;
		}
	}
	return f.kind == FAULT_NOT_FOUND ? fault(FAULT_GONE, "message is gone") : f;
}

static struct message_reader *reader_new(uint64_t size, uint64_t stored, int fd, uint64_t file_size)
{
	struct message_reader *r = xcalloc(1, sizeof(*r));

	r->fd = fd;
	r->size = size;
	r->stored = stored;
	r->is_converted = size != stored;
	if (file_size != stored)
		r->packed = files_unpacked_reader(fd, stored);
	return r;
}

struct fault message_open_inside(struct mailbox *box, uint32_t uid, struct message_reader **out)
{
	struct index_row row UNCLEARED;
	uint64_t size;
	int fd;
	struct fault f = open_file(box, uid, &row, &fd, &size);

	if (!f.kind)
		*out = reader_new(row.h.size, row.h.stored, fd, size);
	return f;
}

struct fault message_open(struct mailbox *box, uint32_t uid, struct message_reader **out)
{
	struct fault f = mailbox_enter(box, false);

	if (f.kind)
		return f;
	f = message_open_inside(box, uid, out);
	account_leave(box->account);
	return f;
}

/* --- many at once ----------------------------------------------------------------------------------------------------- */

_Static_assert(MESSAGE_PATH_MAX >= BOX_PATH_MAX, "a path in a Maildir");

void message_place_of(const char *dir, const struct index_row *row, struct message_place *out)
{
	out->uid = row->uid;
	out->size = row->h.size;
	out->stored = row->h.stored;
	box_path(out->path, dir, "cur", row->name);
}

struct fault message_place(struct mailbox *box, struct message_place *out)
{
	struct index_row row UNCLEARED;

	if (!box->at)
		BUG("no scan is under way");
	struct fault f = walk_row(box->at, &row);

	if (!f.kind)
		message_place_of(box->at_dir, &row, out);
	return f;
}

struct fault message_open_named(const struct account *a, const struct message_place *place, struct message_reader **out)
{
	uint64_t size;
	int fd;
	struct fault f = files_open_sized(a->maildir, place->path, &fd, &size);

	if (!f.kind)
		*out = reader_new(place->size, place->stored, fd, size);
	return f;
}

struct visit {
	const struct account *account;
	const struct message_place *places;
	size_t count;
	message_visit_fn *fn;
	void *arg;
	bool *is_left;          /* its file was not where it should be */
};

static void visit_piece(void *arg, size_t n)
{
	struct visit *v = arg;

	for (size_t i = n * VISIT_PIECE; i < v->count && i < (n + 1) * VISIT_PIECE; i++) {
		struct message_reader *reader = NULL;
		struct fault f = message_open_named(v->account, &v->places[i], &reader);

		v->is_left[i] = f.kind;
		if (!f.kind)
			v->fn(v->arg, i, reader, f);
		message_close(&reader);
	}
}

struct fault message_visit(struct mailbox *box, const struct message_place *places, size_t count, message_visit_fn *fn, void *arg)
{
	struct visit v = { .account = box->account, .places = places, .count = count, .fn = fn, .arg = arg };
	struct fault f = mailbox_enter(box, false);

	if (f.kind)
		return f;
	v.is_left = xcalloc(count + 1, sizeof(*v.is_left));
	crew_run((count + VISIT_PIECE - 1) / VISIT_PIECE, visit_piece, &v);
	account_leave(box->account);
	/* Renamed since: where to is asked of the index, by this thread alone. */
	for (size_t i = 0; i < count; i++) {
		struct message_reader *reader = NULL;

		if (!v.is_left[i])
			continue;
		f = message_open(box, places[i].uid, &reader);
		fn(arg, i, reader, f);
		message_close(&reader);
	}
	free(v.is_left);
	return FAULT_OK;
}

void message_close(struct message_reader **reader)
{
	if (!*reader)
		return;
	zstd_reader_free(&(*reader)->packed);
	close((*reader)->fd);
	free(*reader);
	*reader = NULL;
}

uint64_t message_size(const struct message_reader *reader)
{
	return reader->size;
}

struct fault message_read_raw(struct message_reader *r, uint64_t offset, char *p, size_t n, size_t *got)
{
	*got = 0;
	if (offset >= r->stored)
		return FAULT_OK;
	if (n > r->stored - offset)
		n = (size_t)(r->stored - offset);
	if (r->packed) {
		struct fault f = zstd_read(r->packed, offset, p, n, got);
		return !f.kind && *got < n ? fault(FAULT_CORRUPT, "packed message is shorter than the index says") : f;
	}
	while (*got < n) {
		ssize_t m = pread(r->fd, p + *got, n - *got, (off_t)(offset + *got));
		if (m < 0 && errno == EINTR)
			continue;
		if (m < 0)
			return fault_errno("read", "message");
		if (!m)
			return fault(FAULT_CORRUPT, "message file is shorter than the index says");
		*got += (size_t)m;
	}
	return FAULT_OK;
}

/* What a converted read wants: wire octets [offset, offset + n) at p, *got of them so far. */
struct wanted {
	uint64_t offset;
	char *p;
	size_t n, got;
};

/* The next octets in wire form; those before the offset are passed over. Returns how many were used up. */
static size_t give(struct message_reader *r, struct wanted *w, const char *octets, size_t len)
{
	uint64_t before = w->offset > r->wire_at ? w->offset - r->wire_at : 0;
	size_t skip = before < len ? (size_t)before : len;
	size_t take = len - skip < w->n - w->got ? len - skip : w->n - w->got;

	memcpy(w->p + w->got, octets + skip, take);
	w->got += take;
	r->wire_at += skip + take;
	return skip + take;
}

/* The next line of in, or what there is of it, with the CR that its end may lack. Returns how much of in was used. */
static size_t give_line(struct message_reader *r, struct wanted *w, const char *in, size_t have)
{
	const char *lf = memchr(in, '\n', have);
	size_t run = lf ? (size_t)(lf - in) : have;
	bool is_bare = lf && (run ? in[run - 1] : r->before) != '\r';

	if (lf && !is_bare)
		run++;
	size_t used = run ? give(r, w, in, run) : 0;

	if (used)
		r->before = in[used - 1];
	if (used == run && is_bare && give(r, w, "\r", 1)) {
		r->owes_lf = true;
		r->before = '\n';
		used++;
	}
	return used;
}

/* give_lines - the lines of in that fit as a whole, when nothing is passed over: most octets come here. Returns how much that was. */
static size_t give_lines(struct message_reader *r, struct wanted *w, const char *in, size_t have)
{
	char *start = w->p + w->got, *to = start, *end = w->p + w->n;
	const char *lf;
	size_t i = 0;

	while ((lf = memchr(in + i, '\n', have - i))) {
		size_t run = (size_t)(lf - in) - i;

		if (run + 2 > (size_t)(end - to))
			break;
		memcpy(to, in + i, run);
		to += run;
		if ((run ? lf[-1] : r->before) != '\r')
			*to++ = '\r';
		*to++ = r->before = '\n';
		i += run + 1;
	}
	r->file_at += i;
	r->wire_at += (uint64_t)(to - start);
	w->got += (size_t)(to - start);
	return i;
}

/* Convert on the way, from where the last read ended or from the start. */
static struct fault read_converted(struct message_reader *r, uint64_t offset, char *p, size_t n, size_t *got)
{
	struct wanted w = { .offset = offset, .p = p, .n = n };
	char in[16384] UNCLEARED;
	struct fault f = FAULT_OK;

	if (offset < r->wire_at) {
		r->wire_at = r->file_at = 0;
		r->before = 0;
		r->owes_lf = false;
	}
	while (!f.kind && w.got < n) {
		size_t have = 0, i = 0;

		if (!r->owes_lf)
			f = message_read_raw(r, r->file_at, in, sizeof(in), &have);
		if (f.kind || (!have && !r->owes_lf))
			break;
		if (!r->owes_lf && w.offset <= r->wire_at)
			i = give_lines(r, &w, in, have);
		while (w.got < n && (r->owes_lf || i < have)) {
			if (r->owes_lf) {
				r->owes_lf = !give(r, &w, "\n", 1);
				continue;
			}
			size_t used = give_line(r, &w, in + i, have - i);
			i += used;
			r->file_at += used;
		}
	}
	*got = w.got;
	return f;
}

struct fault message_read(struct message_reader *r, uint64_t offset, char *p, size_t n, size_t *got)
{
	return r->is_converted ? read_converted(r, offset, p, n, got) : message_read_raw(r, offset, p, n, got);
}
