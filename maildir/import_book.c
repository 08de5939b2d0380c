#include "maildir/import_book.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "maildir/account_private.h"
#include "maildir/files.h"
#include "maildir/store_private.h"

#include "common/banned.h"

#define HEAD "postroom-import 1 "
#define LINE_MAX_OCTETS 8192
#define PENDING_MAX ((size_t)256 << 20)
#define PENDING_ENOUGH ((size_t)1 << 20)

struct import_book {
	FILE *file;                     /* NULL: dry, and there is none */
	bool is_dry;
	struct import_book_box **boxes;
	size_t count, messages;
	struct buf pending;             /* lines that are not written yet */
};

static struct import_book_box *add_box(struct import_book *book, struct sv name, uint32_t theirs, uint32_t ours)
{
	struct import_book_box *box = xcalloc(1, sizeof(*box));

	box->name = sv_copy_z(name);
	box->their_validity = theirs;
	box->our_validity = ours;
	box->number = (unsigned)book->count;
	book->boxes = xrealloc(book->boxes, (book->count + 1) * sizeof(struct import_book_box *));
	book->boxes[book->count++] = box;
	return box;
}

/* The place of the first entry that is not below. */
static size_t place_of(const struct import_book_box *box, uint32_t theirs)
{
	size_t low = 0, high = box->count;

	if (high && box->entries[high - 1].theirs < theirs)
		return high;            /* as they mostly come */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (box->entries[middle].theirs < theirs)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool keep(struct import_book *book, struct import_book_box *box, struct import_book_entry entry)
{
	size_t at = place_of(box, entry.theirs);

	if (at < box->count && box->entries[at].theirs == entry.theirs) {
		box->entries[at] = entry;
		return true;
	}
	if (book->messages == IMPORT_BOOK_MESSAGES_MAX)
		return false;
	if (box->count == box->cap) {
		box->cap = box->cap ? box->cap * 2 : 64;
		box->entries = xrealloc(box->entries, box->cap * sizeof(*box->entries));
	}
	memmove(&box->entries[at + 1], &box->entries[at], (box->count - at) * sizeof(*box->entries));
	box->entries[at] = entry;
	box->count++;
	book->messages++;
	return true;
}

/* ---- reading ---- */

static bool is_plain(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || memchr("-_./", c, 4);
}

static bool unescape(struct sv in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		int high, low;

		if (in.p[i] != '%') {
			if (!buf_append_c(out, in.p[i]))
				return false;
			continue;
		}
		if (in.len - i < 3 || (high = ascii_hex(in.p[i + 1])) < 0 || (low = ascii_hex(in.p[i + 2])) < 0 ||
		    !buf_append_c(out, (char)(high << 4 | low)))
			return false;
		i += 2;
	}
	return true;
}

static bool next_u32(struct sv *rest, uint32_t *out)
{
	struct sv word;

	return sv_split(rest, ' ', &word) && sv_to_u32(word, out);
}

/* A line that makes no sense is left out: what it said is found out again. */
static bool take_line(struct import_book *book, struct sv line)
{
	struct import_book_entry entry;
	uint32_t number, theirs, ours;
	struct sv kind;
	uint64_t flags;

	if (!sv_split(&line, ' ', &kind) || !next_u32(&line, &number) || !next_u32(&line, &theirs) || !next_u32(&line, &ours))
		return true;
	if (sv_eq(kind, SV("B")) && number == book->count) {
		struct buf name;

		buf_init(&name, LINE_MAX_OCTETS);
		if (unescape(line, &name))
			add_box(book, buf_sv(&name), theirs, ours)->is_known = true;
		buf_done(&name);
	} else if (sv_eq(kind, SV("M")) && number < book->count && sv_hex_to_u64(line, &flags)) {
		entry = (struct import_book_entry){ theirs, ours, (uint32_t)flags };
		return keep(book, book->boxes[number], entry);
	}
	return true;
}

static struct fault read_lines(struct import_book *book, struct sv source, const char *path)
{
	struct fault f = FAULT_OK;
	char *text = NULL;
	size_t cap = 0;
	off_t good = 0;
	ssize_t len;
	bool is_first = true;

	while (!f.kind && (len = getline(&text, &cap, book->file)) > 0 && text[len - 1] == '\n') {
		struct sv line = sv_from(text, (size_t)len - 1);

		good += len;
		if (is_first && !(sv_starts(line, SV(HEAD)) && sv_eq(sv_sub(line, strlen(HEAD), SIZE_MAX), source)))
			f = fault_detail(FAULT_CORRUPT, "%s is of another version or source", path);
		else if (!is_first && !take_line(book, line))
			f = fault(FAULT_LIMIT, "more messages than we can remember");
		is_first = false;
	}
	if (ferror(book->file))
		f = fault_errno("read", path);
	free(text);
	/* What a killed process left behind of a line. */
	if (!f.kind && !book->is_dry && ftruncate(fileno(book->file), good))
		f = fault_errno("write", path);
	if (!f.kind && is_first)
		buf_appendf(&book->pending, HEAD "%.*s\n", SV_FMT(source));
	return f;
}

static struct fault open_file(struct import_book *book, struct account *a, const char *path)
{
	int flags = book->is_dry ? O_RDONLY : O_RDWR | O_CREAT | O_APPEND;
	struct fault f = account_enter(a);

	if (f.kind)
		return f;
	int fd = files_open(a->dir, path, flags, 0600);

	if (fd < 0 && !(book->is_dry && errno == ENOENT))
		f = fault_errno("open", path);
	if (fd >= 0 && !book->is_dry)
		f = files_sync_dir(a->dir, ".");
	account_leave(a);
	if (fd >= 0 && !f.kind && flock(fd, (book->is_dry ? LOCK_SH : LOCK_EX) | LOCK_NB))
		f = fault(FAULT_IN_USE, "another import from there into this account is running");
	if (fd >= 0 && !f.kind) {
		book->file = fdopen(fd, "r");
		if (book->file)
			return f;
		f = fault_errno("open", path);
	}
	if (fd >= 0)
		close(fd);
	return f;
}

struct fault import_book_open(struct maildir_user *user, struct sv source, bool is_dry, struct import_book **out)
{
	struct import_book *book = xcalloc(1, sizeof(*book));
	uint8_t digest[CRYPT_HASH_MAX];
	char path[64];

	crypt_digest(CRYPT_SHA256, source, digest);
	snprintf(path, sizeof(path), "import-%02x%02x%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3], digest[4],
		 digest[5]);
	book->is_dry = is_dry;
	buf_init(&book->pending, PENDING_MAX);
	struct fault f = open_file(book, user->account, path);

	if (!f.kind && book->file)
		f = read_lines(book, source, path);
	if (f.kind)
		import_book_close(&book);
	else
		*out = book;
	return f;
}

void import_book_close(struct import_book **book)
{
	struct import_book *b = *book;

	if (!b)
		return;
	for (size_t i = 0; i < b->count; i++) {
		free(b->boxes[i]->name);
		free(b->boxes[i]->entries);
		free(b->boxes[i]);
	}
	free(b->boxes);
	if (b->file)
		fclose(b->file);
	buf_done(&b->pending);
	free(b);
	*book = NULL;
}

/* ---- working with it ---- */

static void write_box(struct buf *out, const struct import_book_box *box)
{
	buf_appendf(out, "B %u %u %u ", box->number, box->their_validity, box->our_validity);
	for (const char *p = box->name; *p; p++)
		buf_appendf(out, is_plain(*p) ? "%c" : "%%%02x", (unsigned char)*p);
	if (!buf_append_c(out, '\n'))
		BUG("more mailboxes than there can be");
}

struct import_book_box *import_book_box(struct import_book *book, struct sv name, uint32_t their_validity, uint32_t our_validity)
{
	struct import_book_box *box;

	for (size_t i = 0; i < book->count; i++) {
		box = book->boxes[i];
		if (box->their_validity == their_validity && box->our_validity == our_validity && sv_eq(sv_z(box->name), name))
			return box;
	}
	box = add_box(book, sv_sub(name, 0, IMPORT_BOOK_NAME_MAX), their_validity, our_validity);
	if (!book->is_dry)
		write_box(&book->pending, box);
	return box;
}

const struct import_book_entry *import_book_find(const struct import_book_box *box, uint32_t theirs)
{
	size_t at = place_of(box, theirs);

	return at < box->count && box->entries[at].theirs == theirs ? &box->entries[at] : NULL;
}

struct fault import_book_note(struct import_book *book, struct import_book_box *box, struct import_book_entry entry)
{
	if (!keep(book, box, entry))
		return fault(FAULT_LIMIT, "more messages than we can remember");
	if (book->is_dry)
		return FAULT_OK;
	buf_appendf(&book->pending, "M %u %u %u %08x\n", box->number, entry.theirs, entry.ours, entry.flags);
	return book->pending.len > PENDING_ENOUGH ? import_book_flush(book) : FAULT_OK;
}

struct fault import_book_flush(struct import_book *book)
{
	struct fault f;

	if (book->is_dry || !book->pending.len)
		return FAULT_OK;
	f = files_write_all(fileno(book->file), buf_sv(&book->pending));
	if (!f.kind && fdatasync(fileno(book->file)))
		f = fault_errno("flush", "the import's book");
	if (!f.kind)
		buf_clear(&book->pending);
	return f;
}
