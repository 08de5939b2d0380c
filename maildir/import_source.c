/* maildir/import_source.c - what another server's Maildir holds: its mailboxes, and of each the files with what the lists
 * beside them say (import_private.h). Reads only. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/charset.h"
#include "maildir/files.h"
#include "maildir/import_lists.h"
#include "maildir/import_private.h"

#include "common/banned.h"

#define FOLDERS_MAX 100000      /* looked into, so that a home folder by mistake ends soon */
#define ARENA_MAX ((size_t)8 << 30)
#define COURIER_KEYWORDS_MAX 4096

/* --- mailboxes ------------------------------------------------------------------------------------------------------- */

void source_note(struct source_box *box, const char *format, ...)
{
	va_list ap;

	if (box->notes.len)
		buf_append(&box->notes, SV("; "));
	va_start(ap, format);
	buf_vappendf(&box->notes, format, ap);
	va_end(ap);
}

static bool has_box(const struct import *im, struct sv name)
{
	for (size_t i = 0; i < im->count; i++)
		if (sv_eq(sv_z(im->boxes[i].name), name))
			return true;
	return false;
}

/* A mailbox of this name; a second one of the same name (mUTF-7 and UTF-8 of one text, say) gets a number. */
static void add_box(struct import *im, struct sv name, const char *path, enum source_kind kind)
{
	struct buf unique;
	struct source_box *box;

	buf_init(&unique, 2 * MAILBOX_NAME_MAX);
	buf_append(&unique, name);
	for (unsigned n = 2; has_box(im, buf_sv(&unique)) && n < 1000; n++) {
		buf_clear(&unique);
		buf_appendf(&unique, "%.*s (%u)", SV_FMT(name), n);
	}
	if (im->count == im->cap) {
		im->cap = im->cap ? im->cap * 2 : 16;
		im->boxes = xrealloc(im->boxes, im->cap * sizeof(*im->boxes));
	}
	box = &im->boxes[im->count++];
	*box = (struct source_box){ .name = sv_copy_z(buf_sv(&unique)), .path = xstrdup(path), .kind = kind };
	buf_init(&box->notes, 4096);
	if (!layout_dir(buf_sv(&unique), box->dir)) {
		box->dir[0] = '\0';
		source_note(box, "left out: its name is too long");
	}
	buf_done(&unique);
}

/* A folder whose name cannot be a mailbox's: said, not swallowed. */
static void add_unnamed(struct import *im, const char *path, enum source_kind kind, const char *why)
{
	struct buf name;

	buf_init(&name, MAILBOX_NAME_MAX);
	for (const char *p = path; *p && name.len < 200; p++)
		buf_append_c(&name, (unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f ? '?' : *p);
	add_box(im, buf_sv(&name), path, kind);
	im->boxes[im->count - 1].dir[0] = '\0';
	source_note(&im->boxes[im->count - 1], "left out: %s", why);
	buf_done(&name);
}

static bool is_folder(int dir, const char *path)
{
	struct stat st;

	return !fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode);
}

static bool is_file(int dir, const char *path, struct stat *st)
{
	return !fstatat(dir, path, st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st->st_mode);
}

static void sub_path(char out[2 * PATH_MAX], const char *path, const char *name)
{
	if (!strcmp(path, "."))
		snprintf(out, 2 * PATH_MAX, "%.*s", PATH_MAX, name);
	else
		snprintf(out, 2 * PATH_MAX, "%.*s/%.*s", PATH_MAX - 300, path, 255, name);
}

static bool has_cur(int dir, const char *path)
{
	char cur[2 * PATH_MAX];

	sub_path(cur, path, "cur");
	return is_folder(dir, cur);
}

struct walk {
	struct import *im;
	char **stack;                   /* folders of the fs layout still to be looked into */
	size_t count, cap, seen;
	const char *path;
};

static void push(struct walk *w, const char *path)
{
	if (w->seen++ >= FOLDERS_MAX)
		return;
	if (w->count == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 16;
		w->stack = xrealloc(w->stack, w->cap * sizeof(*w->stack));
	}
	w->stack[w->count++] = xstrdup(path);
}

static bool look_at(void *arg, const char *name, unsigned char type)
{
	struct walk *w = arg;
	struct import *im = w->im;
	char path[2 * PATH_MAX];
	bool is_root = !strcmp(w->path, ".");

	if (!strcmp(name, "cur") || !strcmp(name, "new") || !strcmp(name, "tmp"))
		return true;
	sub_path(path, w->path, name);
	if (type == DT_LNK) {
		struct stat st;
		char cur[2 * PATH_MAX + 8];
		snprintf(cur, sizeof(cur), "%s/cur", path);
		if (!fstatat(im->source, cur, &st, 0) && S_ISDIR(st.st_mode))
			add_unnamed(im, path, SOURCE_MAILDIR, "a symbolic link");
		return im->count < MAILBOX_COUNT_MAX;
	}
	if (type != DT_DIR || strlen(path) >= PATH_MAX - 512)
		return true;
	if (name[0] != '.') {
		push(w, path);
		return true;
	}
	if (!is_root || !has_cur(im->source, path))
		return true;
	struct buf decoded;
	buf_init(&decoded, MAILBOX_NAME_MAX);
	if (layout_name(sv_z(name), &decoded))
		add_box(im, buf_sv(&decoded), path, SOURCE_MAILDIR);
	else
		add_unnamed(im, path, SOURCE_MAILDIR, "its name cannot be a mailbox's");
	buf_done(&decoded);
	return im->count < MAILBOX_COUNT_MAX;
}

/* Maildir++ (".Sent.2026") and Dovecot's fs layout ("Sent/2026"), which may even be mixed. */
static struct fault find_maildirs(struct import *im)
{
	struct walk w = { .im = im };
	struct fault f;

	if (has_cur(im->source, "."))
		add_box(im, SV("INBOX"), ".", SOURCE_MAILDIR);
	w.path = ".";
	f = files_each(im->source, ".", look_at, &w);
	while (!f.kind && w.count && im->count < MAILBOX_COUNT_MAX) {
		char *path = w.stack[--w.count];
		unsigned depth = 1;

		for (const char *p = path; *p; p++)
			depth += *p == '/';
		if (has_cur(im->source, path)) {
			struct buf name;
			buf_init(&name, MAILBOX_NAME_MAX + 1);
			if (list_name(sv_z(path), '/', false, &name))
				add_box(im, buf_sv(&name), path, SOURCE_MAILDIR);
			else
				add_unnamed(im, path, SOURCE_MAILDIR, "its name cannot be a mailbox's");
			buf_done(&name);
		}
		w.path = path;
		if (depth < MAILBOX_DEPTH_MAX) {
			struct fault sub = files_each(im->source, path, look_at, &w);
			if (sub.kind && has_cur(im->source, path))
				f = sub;        /* what is no mailbox need not be readable */
		}
		free(path);
	}
	while (w.count)
		free(w.stack[--w.count]);
	free(w.stack);
	if (!f.kind && !im->count)
		f = fault(FAULT_NOT_FOUND, "there is no Maildir (a folder with cur, new and tmp in it)");
	return f;
}

static bool add_subscription(void *arg, struct sv name)
{
	struct import *im = arg;

	if (im->subscription_count == im->subscription_cap) {
		im->subscription_cap = im->subscription_cap ? im->subscription_cap * 2 : 16;
		im->subscriptions = xrealloc(im->subscriptions, im->subscription_cap * sizeof(*im->subscriptions));
	}
	im->subscriptions[im->subscription_count++] = sv_copy_z(name);
	return im->subscription_count < MAILBOX_COUNT_MAX;
}

static struct fault read_subscriptions(struct import *im)
{
	static const char *const files[] = { "subscriptions", "courierimapsubscribed" };
	char separator = '.';

	for (size_t i = 0; i < im->count; i++)
		if (strchr(im->boxes[i].path, '/') || (im->boxes[i].path[0] != '.'))
			separator = '/';        /* the fs layout */
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct buf text;
		buf_init(&text, (size_t)16 << 20);
		struct fault f = files_read(im->lists, files[i], &text);
		if (!f.kind)
			list_subscriptions(buf_sv(&text), i ? '.' : separator, add_subscription, im);
		buf_done(&text);
		if (f.kind && f.kind != FAULT_NOT_FOUND)
			return f;
	}
	return FAULT_OK;
}

/* --- mbox ---------------------------------------------------------------------------------------------------------------- */

static bool begins_like_mbox(int dir, const char *path)
{
	char start[5];
	int fd;

	if (files_open_regular(dir, path, &fd).kind)
		return false;
	bool ok = read(fd, start, sizeof(start)) == sizeof(start) && !memcmp(start, "From ", 5);
	close(fd);
	return ok;
}

static bool look_for_mbox(void *arg, const char *name, unsigned char type)
{
	struct import *im = arg;
	struct buf decoded;

	if (type != DT_REG || name[0] == '.' || !begins_like_mbox(im->source, name))
		return true;
	buf_init(&decoded, MAILBOX_NAME_MAX + 1);
	struct sv stem = sv_z(name);
	if (sv_ends(stem, SV(".mbox")) && stem.len > 5)
		stem.len -= 5;
	if (list_name(stem, '/', false, &decoded))
		add_box(im, buf_sv(&decoded), name, SOURCE_MBOX);
	else
		add_unnamed(im, name, SOURCE_MBOX, "its name cannot be a mailbox's");
	buf_done(&decoded);
	return im->count < MAILBOX_COUNT_MAX;
}

static struct fault find_mbox_file(struct import *im)
{
	const char *slash = strrchr(im->options->path, '/');
	char *folder = slash ? sv_copy_z(sv_from(im->options->path, (size_t)(slash - im->options->path) + 1)) : xstrdup(".");
	const char *file = slash ? slash + 1 : im->options->path;
	struct buf name;
	struct fault f = FAULT_OK;

	im->source = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (im->source < 0)
		return fault_errno("open", im->options->path);
	buf_init(&name, MAILBOX_NAME_MAX + 1);
	f = mailbox_name_check(im->options->mailbox ? sv_z(im->options->mailbox) : SV("INBOX"), &name);
	if (!f.kind && !begins_like_mbox(im->source, file))
		f = fault(FAULT_NOT_FOUND, "there is no mbox file (its first line would begin with \"From \")");
	if (!f.kind)
		add_box(im, buf_sv(&name), file, SOURCE_MBOX);
	buf_done(&name);
	return f;
}

/* INBOX first. */
static int by_name(const void *a, const void *b)
{
	const struct source_box *x = a, *y = b;
	bool inbox_x = !strcmp(x->dir, "."), inbox_y = !strcmp(y->dir, ".");

	return inbox_x != inbox_y ? (inbox_x ? -1 : 1) : strcmp(x->name, y->name);
}

static void sort_boxes(struct import *im)
{
	if (im->count)
		qsort(im->boxes, im->count, sizeof(*im->boxes), by_name);
}

struct fault source_open(struct import *im)
{
	const char *path = im->options->path;
	struct stat st;
	struct fault f;

	if (stat(path, &st))
		return fault_errno("open", path);
	if (im->options->is_mbox && S_ISREG(st.st_mode))
		return find_mbox_file(im);
	im->source = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (im->source < 0)
		return fault_errno("open", path);
	im->lists = im->options->lists ? open(im->options->lists, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : im->source;
	if (im->lists < 0 && errno != ENOENT)
		return fault_errno("open", im->options->lists);
	if (im->lists < 0)
		im->lists = im->source;         /* nothing was listed yet */
	if (files_exists(im->source, LAYOUT_ACCOUNT_FILE))
		return fault(FAULT_EXISTS, "this is a Maildir of Postroom's own: copy it to its place and rebuild the index");
	if (im->options->is_mbox) {
		f = files_each(im->source, ".", look_for_mbox, im);
		sort_boxes(im);
		return f.kind || im->count ? f : fault(FAULT_NOT_FOUND, "there is no mbox file in this folder");
	}
	f = find_maildirs(im);
	sort_boxes(im);
	return f.kind ? f : read_subscriptions(im);
}

void source_close(struct import *im)
{
	for (size_t i = 0; i < im->count; i++) {
		source_unload(&im->boxes[i]);
		buf_done(&im->boxes[i].notes);
		free(im->boxes[i].name);
		free(im->boxes[i].path);
	}
	for (size_t i = 0; i < im->subscription_count; i++)
		free(im->subscriptions[i]);
	free(im->subscriptions);
	free(im->boxes);
	if (im->lists >= 0 && im->lists != im->source)
		close(im->lists);
	if (im->source >= 0)
		close(im->source);
}

/* --- one mailbox's files and lists ------------------------------------------------------------------------------------------ */

void source_unload(struct source_box *box)
{
	free(box->files);
	free(box->keywords);
	arena_done(&box->text);
	box->files = NULL;
	box->keywords = NULL;
	box->count = box->cap = 0;
}

struct loading {
	struct source_box *box;
	bool in_new, is_full;
	bool skips_uids;                /* only the unique ids of a list are wanted */
	uint16_t courier[COURIER_KEYWORDS_MAX]; /* Courier's number -> ours, KEYWORD_NONE */
};

static bool note_file(void *arg, const char *name, unsigned char type)
{
	struct loading *l = arg;
	struct source_box *box = l->box;
	struct filename n;
	struct sv copy;

	if (name[0] == '.')             /* of Maildir's own rules: not a message */
		return true;
	if (type != DT_REG || !filename_parse(sv_z(name), &n)) {
		box->unreadable++;
		return true;
	}
	copy = arena_copy(&box->text, sv_z(name));
	if (!copy.p || box->count >= LISTS_COUNT_MAX) {
		l->is_full = true;
		return false;
	}
	if (box->count == box->cap) {
		box->cap = box->cap ? box->cap * 2 : 256;
		box->files = xrealloc(box->files, box->cap * sizeof(*box->files));
	}
	size_t colon = sv_find(copy, ':');
	box->files[box->count++] = (struct source_file){
		.name = copy.p, .key_len = (uint32_t)(colon == SIZE_MAX ? copy.len : colon), .saved = n.saved,
		.in_new = l->in_new,
	};
	return true;
}

static struct sv key_of(const struct source_file *file)
{
	return sv_from(file->name, file->key_len);
}

static int by_key(const void *a, const void *b)
{
	const struct source_file *x = a, *y = b;
	int order = sv_cmp(key_of(x), key_of(y));

	return order ? order : strcmp(x->name, y->name);
}

static int by_uid(const void *a, const void *b)
{
	const struct source_file *x = a, *y = b;

	if (!x->uid != !y->uid)
		return x->uid ? -1 : 1;
	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return x->saved != y->saved ? (x->saved < y->saved ? -1 : 1) : strcmp(x->name, y->name);
}

static struct source_file *find_file(struct source_box *box, struct sv key)
{
	size_t low = 0, high = box->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sv_cmp(key_of(&box->files[middle]), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < box->count && sv_eq(key_of(&box->files[low]), key) ? &box->files[low] : NULL;
}

static bool note_entry(void *arg, const struct list_entry *e)
{
	struct loading *l = arg;
	struct source_file *file = find_file(l->box, e->file);

	if (!file)
		return true;            /* expunged, or moved already by an earlier run */
	if (e->uid && !file->uid)
		file->uid = e->uid;
	if (e->len)
		file->uidl = arena_copy(&l->box->text, sv_from(e->uidl, e->len)).p;
	return true;
}

static bool note_dovecot_keyword(void *arg, uint32_t number, struct sv name)
{
	struct loading *l = arg;
	unsigned ours;

	if (number < 26 && !keyword_add(l->box->keywords, name, &ours).kind)
		l->box->letters[number] = (uint8_t)ours;
	else if (number >= 26)
		l->is_full = true;      /* said once, below */
	return true;
}

static bool note_courier_keyword(void *arg, uint32_t number, struct sv name)
{
	struct loading *l = arg;
	unsigned ours;

	if (number < COURIER_KEYWORDS_MAX)
		l->courier[number] = keyword_add(l->box->keywords, name, &ours).kind ? KEYWORD_NONE : (uint16_t)ours;
	return true;
}

static void set_keyword(struct source_file *file, unsigned number)
{
	file->keywords.w[number / 64] |= (uint64_t)1 << number % 64;
}

static bool note_courier_file(void *arg, struct sv key, struct sv numbers)
{
	struct loading *l = arg;
	struct source_file *file = find_file(l->box, key);
	struct sv word;
	uint32_t n;

	while (file && numbers.len && sv_split(&numbers, ' ', &word))
		if (sv_to_u32(word, &n) && n < COURIER_KEYWORDS_MAX && l->courier[n] < KEYWORDS_MAX)
			set_keyword(file, l->courier[n]);
	return true;
}

/* Newer than the list: one file for each message, with a keyword on each line. ".N.name" is one that was in the making; the
 * file without a number, where there is one, is newer. */
struct courier_files {
	struct import *im;
	struct loading *loading;
	const char *path;
	bool numbered;
};

static bool read_courier_file(void *arg, const char *name, unsigned char type)
{
	struct courier_files *c = arg;
	struct source_file *file;
	struct sv key = sv_z(name), line, rest, number;
	char path[2 * PATH_MAX];
	struct buf text;

	if (type != DT_REG || name[0] == ':' || (name[0] == '.') != c->numbered)
		return true;
	if (c->numbered) {
		sv_skip(&key, 1);
		if (!sv_split(&key, '.', &number))
			return true;
	}
	file = find_file(c->loading->box, sv_sub(key, 0, sv_find(key, ':')));
	if (!file)
		return true;
	sub_path(path, c->path, name);
	buf_init(&text, 65536);
	if (!files_read(c->im->source, path, &text).kind) {
		file->keywords = (struct keyword_bits){ { 0, 0 } };
		rest = buf_sv(&text);
		while (rest.len && sv_split(&rest, '\n', &line)) {
			unsigned n;
			if (line.len && !keyword_add(c->loading->box->keywords, sv_trim(line), &n).kind)
				set_keyword(file, n);
		}
	}
	buf_done(&text);
	return true;
}

/* list_path - of a list, in the folder of lists. INBOX lies in the Maildir itself, but its lists elsewhere have a folder of its name,
 * which is written as the others are. */
static void list_path(char out[2 * PATH_MAX], const struct import *im, const struct source_box *box, const char *name)
{
	static const char *const inbox[] = { ".INBOX", "INBOX" };

	for (size_t i = 0; i < ARRAY_LEN(inbox) && im->lists != im->source && !strcmp(box->path, "."); i++) {
		sub_path(out, inbox[i], name);
		if (files_exists(im->lists, out))
			return;
	}
	sub_path(out, box->path, name);
}

static struct fault read_list(struct import *im, const struct source_box *box, const char *name, struct buf *out)
{
	char path[2 * PATH_MAX];

	list_path(path, im, box, name);
	buf_init(out, LISTS_MAX);
	return files_read(im->lists, path, out);
}

static struct fault load_courier(struct import *im, struct source_box *box, struct loading *l)
{
	char path[2 * PATH_MAX];
	struct courier_files c = { .im = im, .loading = l, .path = path };
	struct list_head head;
	struct buf text;
	struct fault f = read_list(im, box, "courierpop3dsizelist", &text);

	/* POP3 sees INBOX only. */
	if (!f.kind && !strcmp(box->dir, ".") && list_courier_pop3(buf_sv(&text), &head, note_entry, l).kind)
		source_note(box, "courierpop3dsizelist makes no sense: POP3 clients will fetch everything again");
	buf_done(&text);
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	for (size_t i = 0; i < ARRAY_LEN(l->courier); i++)
		l->courier[i] = KEYWORD_NONE;
	f = read_list(im, box, "courierimapkeywords/:list", &text);
	if (!f.kind)
		box->bad_lines += list_courier_keywords(buf_sv(&text), note_courier_keyword, note_courier_file, l);
	buf_done(&text);
	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	sub_path(path, box->path, "courierimapkeywords");
	c.numbered = true;
	f = files_each(im->source, path, read_courier_file, &c);
	c.numbered = false;
	return f.kind ? f : files_each(im->source, path, read_courier_file, &c);
}

static struct fault load_dovecot(struct import *im, struct source_box *box, struct loading *l)
{
	struct buf text;
	struct fault f = read_list(im, box, "dovecot-keywords", &text);

	l->is_full = false;
	if (!f.kind)
		box->bad_lines += list_dovecot_keywords(buf_sv(&text), note_dovecot_keyword, l);
	buf_done(&text);
	if (l->is_full)
		source_note(box, "keywords from the 27th on stand in Dovecot's own index only and are not read");
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

/* Whose lists are these? Both may lie there when one server followed the other: then the newer ones count. */
static enum source_kind find_kind(struct import *im, const struct source_box *box)
{
	char path[2 * PATH_MAX];
	struct stat dovecot, courier, pop3;

	list_path(path, im, box, "dovecot-uidlist");
	bool has_dovecot = is_file(im->lists, path, &dovecot);
	sub_path(path, box->path, "courierimapuiddb");
	bool has_courier = is_file(im->source, path, &courier);
	sub_path(path, box->path, "courierpop3dsizelist");
	bool has_pop3 = is_file(im->source, path, &pop3);
	if (has_dovecot && (!has_courier || dovecot.st_mtim.tv_sec >= courier.st_mtim.tv_sec))
		return SOURCE_DOVECOT;
	return has_courier || has_pop3 ? SOURCE_COURIER : SOURCE_MAILDIR;
}

static struct fault load_uids(struct import *im, struct source_box *box, struct loading *l)
{
	const char *name = box->kind == SOURCE_DOVECOT ? "dovecot-uidlist" : "courierimapuiddb";
	struct list_head head;
	struct buf text;
	struct fault f = read_list(im, box, name, &text);

	if (!f.kind) {
		if (list_uids(buf_sv(&text), &head, note_entry, l).kind) {
			source_note(box, "%s makes no sense: clients will fetch everything again", name);
		} else {
			box->uidvalidity = head.uidvalidity;
			box->uidnext = head.uidnext;
			box->bad_lines += head.bad_lines;
		}
	}
	buf_done(&text);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault list_files(struct import *im, struct source_box *box, struct loading *l)
{
	static const char *const parts[] = { "cur", "new" };
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < ARRAY_LEN(parts); i++) {
		char path[2 * PATH_MAX];
		sub_path(path, box->path, parts[i]);
		l->in_new = i == 1;
		f = files_each(im->source, path, note_file, l);
		if (i && f.kind == FAULT_NOT_FOUND)
			f = FAULT_OK;
	}
	return f.kind || !l->is_full ? f : fault(FAULT_LIMIT, "more messages than we can hold");
}

struct fault source_load(struct import *im, struct source_box *box)
{
	struct loading *l = xcalloc(1, sizeof(*l));
	struct fault f;

	l->box = box;
	source_unload(box);
	buf_clear(&box->notes);
	box->bad_lines = box->unreadable = 0;
	box->uidvalidity = box->uidnext = 0;
	memset(box->letters, KEYWORD_NONE, sizeof(box->letters));
	arena_init(&box->text, ARENA_MAX);
	box->keywords = xcalloc(1, sizeof(*box->keywords));
	box->kind = find_kind(im, box);
	f = list_files(im, box, l);
	if (box->count)
		qsort(box->files, box->count, sizeof(*box->files), by_key);
	if (!f.kind && box->kind != SOURCE_MAILDIR)
		f = load_uids(im, box, l);
	if (!f.kind && box->kind == SOURCE_DOVECOT)
		f = load_dovecot(im, box, l);
	if (!f.kind && box->kind == SOURCE_COURIER)
		f = load_courier(im, box, l);
	if (box->count)
		qsort(box->files, box->count, sizeof(*box->files), by_uid);
	/* One UID, one message: the others count as new. */
	bool again = false;
	for (size_t i = box->count; i-- > 1;)
		if (box->files[i].uid && box->files[i].uid == box->files[i - 1].uid) {
			box->files[i].uid = 0;
			again = true;
		}
	if (again)
		qsort(box->files, box->count, sizeof(*box->files), by_uid);
	free(l);
	return f;
}

/* --- one file ---------------------------------------------------------------------------------------------------------------- */

void source_file_path(const struct source_box *box, const struct source_file *file, char out[2 * PATH_MAX])
{
	char folder[2 * PATH_MAX];

	sub_path(folder, box->path, file->in_new ? "new" : "cur");
	snprintf(out, 2 * PATH_MAX, "%.*s/%.*s", PATH_MAX, folder, 255, file->name);
}

static const char *find_compression(const unsigned char *p, size_t n)
{
	static const struct { const char *name; size_t len; unsigned char magic[6]; } kinds[] = {
		{ "gzip", 2, { 0x1f, 0x8b } },
		{ "zstd", 4, { 0x28, 0xb5, 0x2f, 0xfd } },
		{ "bzip2", 3, { 'B', 'Z', 'h' } },
		{ "xz", 6, { 0xfd, '7', 'z', 'X', 'Z', 0 } },
		{ "lz4", 6, { 'D', 'o', 'v', 'e', 'c', 'o' } },        /* "Dovecot-LZ4" */
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (n >= kinds[i].len && !memcmp(p, kinds[i].magic, kinds[i].len))
			return kinds[i].name;
	return NULL;
}

static struct fault read_measured(int dir, const char *path, struct measured *out)
{
	unsigned char *piece;
	uint64_t total = 0, bare = 0;
	unsigned char last = 0;
	ssize_t got = 1;
	int fd;
	struct fault f = files_open_regular(dir, path, &fd);

	if (f.kind)
		return f;
	piece = xmalloc(65536);
	while (got) {
		got = read(fd, piece, 65536);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			f = fault_errno("read", path);
			break;
		}
		if (!total)
			out->compression = find_compression(piece, (size_t)got);
		for (ssize_t i = 0; i < got; i++) {
			bare += piece[i] == '\n' && last != '\r';
			last = piece[i];
		}
		total += (uint64_t)got;
	}
	free(piece);
	close(fd);
	out->size = total;
	out->wire_size = total + bare;
	return f;
}

struct fault source_measure(int dir, const char *path, bool must_read, struct measured *out)
{
	const char *slash = strrchr(path, '/');
	struct filename n;
	struct stat st;

	memset(out, 0, sizeof(*out));
	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW))
		return fault_errno("look at", path);
	if (!S_ISREG(st.st_mode))
		return fault_detail(FAULT_CORRUPT, "%s is no regular file", path);
	out->mtime = st.st_mtim.tv_sec;
	out->dev = st.st_dev;
	out->owner = st.st_uid;
	out->mode = st.st_mode;
	/* S= is the size of what was written into the file before a compression: when it is right, nothing is compressed. */
	if (!must_read && filename_parse(sv_z(slash ? slash + 1 : path), &n) && n.has_size && n.has_wire_size &&
	    n.size == (uint64_t)st.st_size && n.wire_size >= n.size && n.wire_size <= 2 * n.size) {
		out->size = n.size;
		out->wire_size = n.wire_size;
		return faccessat(dir, path, R_OK, AT_EACCESS) ? fault_errno("read", path) : FAULT_OK;
	}
	return read_measured(dir, path, out);
}
