/* maildir/seen.c - see seen_private.h. */
#include "maildir/seen_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/log.h"
#include "maildir/files.h"

#include "common/banned.h"

#define VERSION 1
#define TEXT_MAX ((size_t)64 << 20)
#define COMPACT_MIN (16u << 10)         /* smaller files stay as they are */
#define COMPACT_FACTOR 8

void seen_done(struct seen *seen)
{
	uidset_done(&seen->uids);
	*seen = (struct seen){ 0 };
}

/* --- lines -------------------------------------------------------------------------------------------------------------- */

static bool write_header(uint32_t uidvalidity, struct buf *out)
{
	return buf_appendf(out, "postroom-seen %d %u\n", VERSION, uidvalidity);
}

bool seen_line(const struct uidset *uids, bool is_seen, struct buf *out)
{
	size_t start = out->len;
	bool ok = buf_append(out, is_seen ? SV("+ ") : SV("- ")) && uidset_write(uids, out);

	return ok && buf_appendf(out, " %08x\n", crc32c(sv_from(out->p + start, out->len - start)));
}

static void apply(struct sv ranges, bool is_seen, struct uidset *set)
{
	struct sv range, first;

	while (ranges.len && sv_split(&ranges, ',', &range)) {
		uint32_t from, to;

		sv_split(&range, ':', &first);
		if (!sv_to_u32(first, &from) || !from || (range.len && !sv_to_u32(range, &to)))
			continue;
		if (!range.len)
			to = from;
		if (is_seen)
			uidset_add(set, from, to);
		else
			uidset_remove(set, from, to);
	}
}

void seen_parse(struct sv text, uint32_t uidvalidity, struct uidset *out)
{
	struct buf header;
	struct sv line, rest;

	uidset_done(out);
	buf_init(&header, 64);
	if (!write_header(uidvalidity, &header) || !sv_starts(text, buf_sv(&header))) {
		buf_done(&header);
		return;
	}
	sv_skip(&text, header.len);
	buf_done(&header);
	while (text.len) {
		size_t end = sv_find(text, '\n'), space;
		uint64_t crc;

		if (end == SIZE_MAX)
			return;         /* cut off: it was never acknowledged */
		line = sv_sub(text, 0, end);
		sv_skip(&text, end + 1);
		space = sv_rfind(line, ' ');
		if (space == SIZE_MAX || space < 2 || !sv_hex_to_u64(sv_sub(line, space + 1, SIZE_MAX), &crc) ||
		    crc != crc32c(sv_sub(line, 0, space)))
			continue;
		rest = sv_sub(line, 2, space - 2);
		if (sv_starts(line, SV("+ ")))
			apply(rest, true, out);
		else if (sv_starts(line, SV("- ")))
			apply(rest, false, out);
	}
}

/* --- the file ----------------------------------------------------------------------------------------------------------- */

static void path_of(char out[BOX_PATH_MAX], const char *dir, const char *reader)
{
	char name[64];

	snprintf(name, sizeof(name), SEEN_PREFIX "%s", reader);
	box_path(out, dir, name, NULL);
}

struct fault seen_load(struct account *a, const char *dir, const char *reader, uint32_t uidvalidity, struct seen *seen)
{
	char path[BOX_PATH_MAX];
	struct stat st = { 0 };
	struct buf text;

	path_of(path, dir, reader);
	if (fstatat(a->maildir, path, &st, AT_SYMLINK_NOFOLLOW) && errno != ENOENT)
		return fault_errno("stat", path);
	if (seen->ino == st.st_ino && seen->size == (uint64_t)st.st_size && seen->uidvalidity == uidvalidity)
		return FAULT_OK;
	buf_init(&text, TEXT_MAX);
	struct fault f = st.st_ino ? files_read(a->maildir, path, &text) : FAULT_OK;

	if (f.kind == FAULT_NOT_FOUND)
		f = FAULT_OK;
	if (!f.kind) {
		seen_parse(buf_sv(&text), uidvalidity, &seen->uids);
		seen->uidvalidity = uidvalidity;
		seen->ino = st.st_ino;
		seen->size = text.len;
	}
	buf_done(&text);
	return f;
}

/* begin_file - what has to stand before the next line: the header of a new file or of one that holds for another
 * UIDVALIDITY, an end of line behind one that was cut off. */
static struct fault begin_file(int fd, uint32_t uidvalidity, struct buf *text)
{
	struct buf header;
	char last = '\n', had[64];
	struct stat st;
	ssize_t n = 0;
	struct fault f = FAULT_OK;

	buf_init(&header, sizeof(had));
	if (fstat(fd, &st))
		f = fault_errno("stat", SEEN_PREFIX);
	if (!f.kind && !write_header(uidvalidity, &header))
		BUG("a header of %zu octets", header.len);
	if (!f.kind && st.st_size) {
		n = pread(fd, had, header.len, 0);
		if (n < 0 || pread(fd, &last, 1, st.st_size - 1) != 1)
			f = fault_errno("read", SEEN_PREFIX);
	}
	bool is_ours = n > 0 && sv_eq(sv_from(had, (size_t)n), buf_sv(&header));

	if (!f.kind && !is_ours && st.st_size && ftruncate(fd, 0))
		f = fault_errno("cut", SEEN_PREFIX);
	if (!f.kind && !is_ours)
		buf_append(text, buf_sv(&header));
	else if (last != '\n')
		buf_append_c(text, '\n');
	buf_done(&header);
	return f;
}

struct fault seen_append(struct account *a, const char *dir, const char *reader, struct seen *seen,
			 const struct uidset *added, const struct uidset *removed, int *fd)
{
	char path[BOX_PATH_MAX];
	struct buf text;
	struct stat st;

	path_of(path, dir, reader);
	*fd = files_open(a->maildir, path, O_RDWR | O_APPEND | O_CREAT, account_conf(a)->umask_file);
	if (*fd < 0)
		return fault_errno("open", path);
	buf_init(&text, TEXT_MAX);
	struct fault f = begin_file(*fd, seen->uidvalidity, &text);

	if (!f.kind && ((added->count && !seen_line(added, true, &text)) ||
			(removed->count && !seen_line(removed, false, &text))))
		f = fault(FAULT_LIMIT, "too many ranges of UIDs");
	if (!f.kind)
		f = files_write_all(*fd, buf_sv(&text));
	buf_done(&text);
	for (size_t i = 0; !f.kind && i < added->count; i++)
		uidset_add(&seen->uids, added->ranges[i].first, added->ranges[i].last);
	for (size_t i = 0; !f.kind && i < removed->count; i++)
		uidset_remove(&seen->uids, removed->ranges[i].first, removed->ranges[i].last);
	if (!f.kind && !fstat(*fd, &st)) {
		seen->ino = st.st_ino;
		seen->size = (uint64_t)st.st_size;
	}
	if (f.kind) {
		close(*fd);
		*fd = -1;
	}
	return f;
}

struct fault seen_flush(struct account *a, const char *dir, int *fd)
{
	struct fault f = FAULT_OK;
	struct stat st;
	bool is_new = !fstat(*fd, &st) && st.st_size < 256;     /* perhaps: then its name is flushed, too */

	if (fdatasync(*fd))
		f = fault_errno("flush", SEEN_PREFIX);
	close(*fd);
	*fd = -1;
	if (!f.kind && is_new)
		f = files_sync_dir(a->maildir, dir);
	return f;
}

struct compaction {
	uint64_t box, ino, size;
	const char *temp, *path, *dir;
};

static struct fault replace(struct index_txn *t, void *arg)
{
	struct compaction *c = arg;
	int at = t->account->maildir;
	struct index_box box;
	struct stat st;
	struct fault f = index_box_get(t->kv, c->box, &box);

	if (f.kind)
		return f;
	if (strcmp(box.dir, c->dir) || fstatat(at, c->path, &st, AT_SYMLINK_NOFOLLOW) || st.st_ino != c->ino ||
	    (uint64_t)st.st_size != c->size)
		return fault(FAULT_GONE, "it changed meanwhile");
	return renameat(at, c->temp, at, c->path) ? fault_errno("replace", c->path) : FAULT_OK;
}

void seen_compact(struct account *a, uint64_t box, const char *dir, const char *reader, struct seen *seen)
{
	char path[BOX_PATH_MAX], temp[BOX_PATH_MAX], unique[FILES_TEMP_LEN];
	struct buf text;

	if (seen->size < COMPACT_MIN)
		return;
	buf_init(&text, TEXT_MAX);
	if (write_header(seen->uidvalidity, &text) && seen_line(&seen->uids, true, &text) &&
	    seen->size / COMPACT_FACTOR > text.len) {
		struct compaction c = { .box = box, .ino = seen->ino, .size = seen->size, .temp = temp,
					.path = path, .dir = dir };

		path_of(path, dir, reader);
		files_temp_name("postroom-new", unique);
		box_path(temp, dir, unique, NULL);
		struct fault f = files_write_new(a->maildir, temp, buf_sv(&text), account_conf(a)->umask_file);

		if (!f.kind) {
			f = index_update(a, replace, &c);
			if (f.kind)
				unlinkat(a->maildir, temp, 0);
		}
		if (f.kind && f.kind != FAULT_GONE)
			log_warn(NULL, "store.seen.compact", KV_Z("account", a->address), KV_FAULT("fault", f));
		seen->ino = 0;          /* read anew the next time */
	}
	buf_done(&text);
}
