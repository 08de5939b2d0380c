#include "maildir/addressbook.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

struct book {
	struct buf name, text;
	struct sv *entries;             /* in order, views into text */
	size_t count;
	bool is_there;
};

struct addressbooks {
	addressbook_load_fn *load;
	void *arg;
	struct book books[ADDRESSBOOKS_MAX];
	size_t count;
};

/* ---- names ---- */

static bool append_decoded(struct sv text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (c == '%') {                 /* RFC 3986 §2.1 */
			int high = i + 2 < text.len ? ascii_hex(text.p[i + 1]) : -1;
			int low = i + 2 < text.len ? ascii_hex(text.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '?' || c == '/' || c == '#') {
			return false;           /* RFC 6134 §2.6: no extensions are defined */
		}
		if (!buf_append_c(out, ascii_lower(c)))
			return false;
	}
	return true;
}

bool addressbook_name(struct sv list, struct buf *out)
{
	static const struct sv urn = SV_INIT("urn:ietf:params:sieve:addrbook:"), brief = SV_INIT(":addrbook:");
	struct sv name = SV_NONE;
	size_t from = out->len;

	if (sv_starts_nocase(list, urn))
		name = sv_sub(list, urn.len, SIZE_MAX);
	else if (sv_starts_nocase(list, brief))
		name = sv_sub(list, brief.len, SIZE_MAX);
	if (!name.len || !append_decoded(name, out))
		return false;
	name = sv_sub(buf_sv(out), from, SIZE_MAX);
	return name.len <= ADDRESSBOOK_NAME_MAX && *name.p != '.' && sv_find(name, '/') == SIZE_MAX && sv_find(name, '\0') == SIZE_MAX &&
	       sv_is_utf8(name);
}

/* ---- a book ---- */

struct sv addressbook_entry(struct sv line)
{
	struct sv entry = sv_trim(sv_sub(line, 0, sv_find(line, '#')));

	/* Whatever it is, it is one: an entry with blanks in it is no address. */
	return sv_find(entry, ' ') == SIZE_MAX && sv_find(entry, '\t') == SIZE_MAX && sv_find(entry, '@') != SIZE_MAX ? entry : SV_NONE;
}

static int by_entry(const void *a, const void *b)
{
	return sv_cmp_nocase(*(const struct sv *)a, *(const struct sv *)b);
}

static void read_entries(struct book *b)
{
	struct sv rest = buf_sv(&b->text), line, entry;
	size_t lines = 1;

	for (size_t i = 0; i < b->text.len; i++)
		lines += b->text.p[i] == '\n';
	b->entries = xcalloc(lines, sizeof(*b->entries));
	while (sv_split(&rest, '\n', &line))
		if ((entry = addressbook_entry(line)).len)
			b->entries[b->count++] = entry;
	qsort(b->entries, b->count, sizeof(*b->entries), by_entry);
}

static struct book *open_book(struct addressbooks *books, struct sv name)
{
	struct book *b = &books->books[books->count];

	for (size_t i = 0; i < books->count; i++)
		if (sv_eq(buf_sv(&books->books[i].name), name))
			return &books->books[i];
	if (books->count == ADDRESSBOOKS_MAX)
		return NULL;
	books->count++;
	buf_init(&b->name, ADDRESSBOOK_NAME_MAX);
	buf_init(&b->text, ADDRESSBOOK_SIZE);
	(void)buf_append(&b->name, name);
	b->is_there = books->load(books->arg, name, &b->text);
	read_entries(b);
	return b;
}

static const struct book *find_book(struct addressbooks *books, struct sv list)
{
	const struct book *b = NULL;
	struct buf name;

	buf_init(&name, ADDRESSBOOK_NAME_MAX);
	if (addressbook_name(list, &name))
		b = open_book(books, buf_sv(&name));
	buf_done(&name);
	return b && b->is_there ? b : NULL;
}

static bool has_entry(const struct book *b, struct sv entry)
{
	return b->count && bsearch(&entry, b->entries, b->count, sizeof(*b->entries), by_entry);
}

/* ---- */

struct addressbooks *addressbooks_new(addressbook_load_fn *load, void *arg)
{
	struct addressbooks *books = xcalloc(1, sizeof(*books));

	books->load = load;
	books->arg = arg;
	return books;
}

void addressbooks_free(struct addressbooks **books)
{
	if (!*books)
		return;
	for (size_t i = 0; i < (*books)->count; i++) {
		buf_done(&(*books)->books[i].name);
		buf_done(&(*books)->books[i].text);
		free((*books)->books[i].entries);
	}
	free(*books);
	*books = NULL;
}

bool addressbooks_has_list(struct addressbooks *books, struct sv list)
{
	return find_book(books, list) != NULL;
}

bool addressbooks_has(struct addressbooks *books, struct sv list, struct sv value)
{
	const struct book *b = find_book(books, list);
	size_t at;

	value = sv_trim(value);
	at = sv_rfind(value, '@');
	return b && (has_entry(b, value) || (at != SIZE_MAX && has_entry(b, sv_sub(value, at, SIZE_MAX))));
}

struct sv addressbooks_member(struct addressbooks *books, struct sv list, size_t number)
{
	const struct book *b = find_book(books, list);

	return b && number < b->count ? b->entries[number] : SV_NONE;
}
