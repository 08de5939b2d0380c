/* maildir/scripts_seen.c - see scripts.h: what is remembered between messages, one empty file each:
 *
 *   sieve/.seen/DIGEST         its modification time is the end of remembering
 *
 * A file is made by one process only, so of two deliveries at once one answers. Old ones go when others come. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "maildir/files.h"
#include "maildir/scripts_private.h"

#include "common/banned.h"

#define SEEN SCRIPTS_FOLDER "/.seen"
#define SEEN_DIGITS 32
#define SEEN_PATH (sizeof(SEEN) + 1 + SEEN_DIGITS)
#define SEEN_MAX 20000                  /* files; those that end soonest go first */
#define SWEEP_ONE_IN 256                /* notes */

static void path_of(struct sv key, char out[SEEN_PATH])
{
	uint8_t digest[CRYPT_HASH_MAX];
	char hex[SEEN_DIGITS + 1];

	(void)crypt_digest(CRYPT_SHA256, key, digest);
	crypt_hex(digest, SEEN_DIGITS / 2, hex);
	snprintf(out, SEEN_PATH, SEEN "/%s", hex);
}

static bool is_remembered(const struct scripts *s, const char *path)
{
	struct stat st;

	return !fstatat(s->dir, path, &st, AT_SYMLINK_NOFOLLOW) && st.st_mtim.tv_sec > time(NULL);
}

bool scripts_was_seen(struct scripts *s, struct sv key)
{
	char path[SEEN_PATH];

	path_of(key, path);
	return is_remembered(s, path);
}

/* ---- old ones go ---- */

struct aged {
	time_t until;
	char name[SEEN_DIGITS + 1];
};
struct sweep {
	int dir;
	struct aged *rows;
	size_t count, cap;
};

static bool sweep_one(void *arg, const char *name, unsigned char type)
{
	struct sweep *w = arg;
	struct stat st;

	if (type != DT_REG || strlen(name) != SEEN_DIGITS || fstatat(w->dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return true;
	if (st.st_mtim.tv_sec <= time(NULL)) {
		unlinkat(w->dir, name, 0);
		return true;
	}
	if (w->count == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 256;
		w->rows = xrealloc(w->rows, w->cap * sizeof(*w->rows));
	}
	w->rows[w->count].until = st.st_mtim.tv_sec;
	snprintf(w->rows[w->count++].name, sizeof(w->rows->name), "%s", name);
	return true;
}

static int by_age(const void *x, const void *y)
{
	const struct aged *a = x, *b = y;

	return (a->until > b->until) - (a->until < b->until);
}

static void sweep(struct scripts *s)
{
	struct sweep w = { .dir = files_open(s->dir, SEEN, O_RDONLY | O_DIRECTORY, 0) };

	if (w.dir < 0)
		return;
	if (!files_each(s->dir, SEEN, sweep_one, &w).kind && w.count > SEEN_MAX) {
		qsort(w.rows, w.count, sizeof(*w.rows), by_age);
		for (size_t i = 0; i < w.count - SEEN_MAX; i++)
			unlinkat(w.dir, w.rows[i].name, 0);
	}
	free(w.rows);
	close(w.dir);
}

/* ---- noting ---- */

static struct fault make_folders(struct scripts *s)
{
	bool is_new = false;
	struct fault f = files_mkdir(s->dir, SCRIPTS_FOLDER, s->mode_dir, &is_new);

	if (!f.kind && is_new)
		f = files_sync_dir(s->dir, ".");
	if (!f.kind)
		f = files_mkdir(s->dir, SEEN, s->mode_dir, &is_new);
	if (!f.kind && is_new)
		f = files_sync_dir(s->dir, SCRIPTS_FOLDER);
	return f;
}

/* A file with its time gets its name in one step: nobody sees it half made. */
static struct fault make_note(struct scripts *s, const char *path, uint32_t seconds)
{
	char temp[FILES_TEMP_LEN], from[FILES_TEMP_LEN + sizeof(SEEN)];
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) + (time_t)seconds } };
	struct fault f;

	files_temp_name(".new", temp);
	snprintf(from, sizeof(from), SEEN "/%s", temp);
	f = files_write_unflushed(s->dir, from, SV_NONE, s->mode_file);
	if (f.kind)
		return f;
	if (utimensat(s->dir, from, times, AT_SYMLINK_NOFOLLOW))
		f = fault_errno("utimens", from);
	if (!f.kind)
		f = files_rename_new(s->dir, from, s->dir, path);
	if (f.kind)
		unlinkat(s->dir, from, 0);
	return f;
}

/* There is one: an old one is made anew under a lock, so that again one of several is the first. */
static struct fault renew(struct scripts *s, const char *path, uint32_t seconds, bool in_any_case)
{
	int folder = files_open(s->dir, SEEN, O_RDONLY | O_DIRECTORY, 0);
	struct fault f = fault(FAULT_EXISTS, "seen before");

	if (folder < 0 || flock(folder, LOCK_EX)) {
		f = fault_errno("lock", SEEN);
	} else if (in_any_case || !is_remembered(s, path)) {
		unlinkat(s->dir, path, 0);
		f = make_note(s, path, seconds);
	}
	if (folder >= 0)
		close(folder);
	return f;
}

struct fault scripts_note_seen(struct scripts *s, struct sv key, uint32_t seconds, bool in_any_case)
{
	char path[SEEN_PATH];
	uint8_t dice;
	struct fault f;

	path_of(key, path);
	f = make_note(s, path, seconds);
	if (f.kind == FAULT_NOT_FOUND) {
		f = make_folders(s);
		if (!f.kind)
			f = make_note(s, path, seconds);
	}
	if (f.kind == FAULT_EXISTS)
		f = renew(s, path, seconds, in_any_case);
	if (!f.kind)
		f = files_sync_dir(s->dir, SEEN);
	crypt_random(&dice, 1);
	if (!f.kind && dice % SWEEP_ONE_IN == 0)
		sweep(s);
	return f;
}
