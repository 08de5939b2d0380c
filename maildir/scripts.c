#include "maildir/scripts_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "maildir/addressbook.h"
#include "maildir/files.h"
#include "maildir/store_private.h"

#include "common/banned.h"

#define FOLDER SCRIPTS_FOLDER
#define LINK ".dovecot.sieve"
#define SUFFIX ".sieve"
#define ORPHAN "dovecot.orig"           /* Pigeonhole's name for a script that was only the link */
#define ERROR_FILE FOLDER "/.error"
#define ACTIVE_FILE FOLDER "/.active"    /* of a backup */
#define CONTACTS_FILE FOLDER "/contacts"
#define PATH_LEN 300

/* ---- opening ---- */

static struct fault open_account(struct account *a, struct scripts **out)
{
	struct fault f = account_hold_folders(a);
	struct scripts *s;
	int dir;

	if (f.kind)
		return store_internal(f);
	dir = fcntl(a->dir, F_DUPFD_CLOEXEC, 0);
	if (dir < 0)
		f = fault_errno("open", "account");
	account_release_folders(a);
	if (f.kind)
		return f;
	s = xcalloc(1, sizeof(*s));
	s->dir = dir;
	s->mode_dir = account_conf(a)->umask_dir;
	s->mode_file = account_conf(a)->umask_file;
	*out = s;
	return FAULT_OK;
}

static bool is_type(const struct scripts *s, const char *path, mode_t type)
{
	struct stat st;

	return !fstatat(s->dir, path, &st, AT_SYMLINK_NOFOLLOW) && (st.st_mode & S_IFMT) == type;
}

static struct fault point_at(struct scripts *s, struct sv name);

/* A script that lies where the link should be gets a name like others. */
static void adopt_orphan(struct scripts *s)
{
	struct fault f;

	if (!is_type(s, LINK, S_IFREG))
		return;
	f = files_mkdir(s->dir, FOLDER, s->mode_dir, NULL);
	if (!f.kind)
		f = files_rename_new(s->dir, LINK, s->dir, FOLDER "/" ORPHAN SUFFIX);
	if (!f.kind)
		f = files_sync_dir(s->dir, FOLDER);
	if (!f.kind)
		f = point_at(s, SV(ORPHAN));
	if (f.kind)
		log_warn(NULL, "sieve.adopt", KV_FAULT("fault", f));
}

struct fault scripts_open_user(struct maildir_user *user, struct scripts **out)
{
	struct fault f = open_account(user->account, out);

	if (f.kind)
		return f;
	adopt_orphan(*out);
	f = scripts_restored((*out)->dir);
	if (f.kind)
		scripts_close(out);
	return f;
}

struct fault scripts_open_drop(struct maildir_drop *drop, struct scripts **out)
{
	return open_account(drop->account, out);
}

void scripts_close(struct scripts **s)
{
	if (!*s)
		return;
	close((*s)->dir);
	free(*s);
	*s = NULL;
}

/* ---- names ---- */

bool script_name_is_good(struct sv name)
{
	if (!name.len || name.len > SCRIPT_NAME_MAX || *name.p == '.' || !sv_is_utf8(name))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i], d = i + 1 < name.len ? (unsigned char)name.p[i + 1] : 0;

		if (c < 0x20 || c == 0x7f || c == '/')
			return false;
		if (c == 0xc2 && d < 0xa0)              /* U+0080 to U+009F */
			return false;
		if (c == 0xe2 && d == 0x80 && i + 2 < name.len &&
		    ((unsigned char)name.p[i + 2] == 0xa8 || (unsigned char)name.p[i + 2] == 0xa9))
			return false;                   /* U+2028, U+2029 */
	}
	return true;
}

static void path_of(struct sv name, char out[PATH_LEN])
{
	snprintf(out, PATH_LEN, FOLDER "/%.*s" SUFFIX, SV_FMT(name));
}

/* The name of a script's file; p NULL for other files. */
static struct sv name_of(struct sv file)
{
	struct sv suffix = SV(SUFFIX), name;

	if (!sv_ends(file, suffix))
		return SV_NONE;
	name = sv_sub(file, 0, file.len - suffix.len);
	return script_name_is_good(name) ? name : SV_NONE;
}

/* ---- the active one ---- */

struct fault scripts_active_name(struct scripts *s, struct buf *out)
{
	char target[PATH_LEN * 2];
	ssize_t n = readlinkat(s->dir, LINK, target, sizeof(target));
	struct sv path, folder, name;
	size_t slash;

	if (n < 0 && errno == EINVAL)
		return buf_append(out, SV(ORPHAN)) ? FAULT_OK : fault(FAULT_LIMIT, "script name");
	if (n < 0)
		return errno == ENOENT ? FAULT_OK : fault_errno("readlink", LINK);
	path = sv_from(target, (size_t)n);
	slash = sv_rfind(path, '/');
	/* "sieve/NAME.sieve", or the same behind any path: Dovecot also writes whole paths */
	folder = slash == SIZE_MAX ? SV_NONE : sv_sub(path, 0, slash);
	name = slash == SIZE_MAX ? SV_NONE : name_of(sv_sub(path, slash + 1, SIZE_MAX));
	if (!name.p || !(sv_eq(folder, SV(FOLDER)) || sv_ends(folder, SV("/" FOLDER)))) {
		log_warn(NULL, "sieve.link", KV_SV("target", path));
		return FAULT_OK;
	}
	return buf_append(out, name) ? FAULT_OK : fault(FAULT_LIMIT, "script name");
}

struct fault scripts_active(struct scripts *s, struct buf *name, struct buf *text)
{
	struct fault f = scripts_active_name(s, name);

	if (!f.kind && !name->len)
		return fault(FAULT_NOT_FOUND, "no script is active");
	if (!f.kind && sv_eq(buf_sv(name), SV(ORPHAN)) && is_type(s, LINK, S_IFREG))
		return files_read(s->dir, LINK, text);
	return f.kind ? f : scripts_get(s, buf_sv(name), text);
}

/* Another target for the link, durably; the old one or the new one is there at any moment. */
static struct fault point_at(struct scripts *s, struct sv name)
{
	char temp[FILES_TEMP_LEN], path[PATH_LEN];

	files_temp_name(LINK, temp);
	path_of(name, path);
	if (symlinkat(path, s->dir, temp))
		return fault_errno("symlink", temp);
	if (renameat(s->dir, temp, s->dir, LINK)) {
		struct fault f = fault_errno("rename", LINK);

		unlinkat(s->dir, temp, 0);
		return f;
	}
	return files_sync_dir(s->dir, ".");
}

struct fault scripts_activate(struct scripts *s, struct sv name)
{
	char path[PATH_LEN];

	if (!name.len) {
		if (unlinkat(s->dir, LINK, 0) && errno != ENOENT)
			return fault_errno("remove", LINK);
		scripts_note_error(s, SV_NONE);
		return files_sync_dir(s->dir, ".");
	}
	path_of(name, path);
	if (!script_name_is_good(name) || !is_type(s, path, S_IFREG))
		return fault(FAULT_NOT_FOUND, "no such script");
	scripts_note_error(s, SV_NONE);
	return point_at(s, name);
}

/* ---- reading ---- */

struct listing {
	struct scripts *s;
	struct sv active;
	script_fn *fn;
	void *arg;
};

static bool list_one(void *arg, const char *file, unsigned char type)
{
	struct listing *l = arg;
	char path[PATH_LEN];
	struct stat st;
	struct script_info info = { .name = name_of(sv_z(file)) };

	if (type != DT_REG || !info.name.p)
		return true;
	path_of(info.name, path);
	if (fstatat(l->s->dir, path, &st, AT_SYMLINK_NOFOLLOW))
		return true;
	info.size = (uint64_t)st.st_size;
	info.is_active = sv_eq(info.name, l->active);
	return l->fn(l->arg, &info);
}

struct fault scripts_list(struct scripts *s, script_fn *fn, void *arg)
{
	struct buf active;
	struct fault f;

	buf_init(&active, SCRIPT_NAME_MAX);
	f = scripts_active_name(s, &active);
	if (!f.kind) {
		struct listing l = { s, buf_sv(&active), fn, arg };

		f = files_each(s->dir, FOLDER, list_one, &l);
		if (f.kind == FAULT_NOT_FOUND)
			f = FAULT_OK;           /* no folder, no scripts */
	}
	buf_done(&active);
	return f;
}

struct fault scripts_get(struct scripts *s, struct sv name, struct buf *out)
{
	char path[PATH_LEN];

	if (!script_name_is_good(name))
		return fault(FAULT_NOT_FOUND, "no such script");
	path_of(name, path);
	return files_read(s->dir, path, out);
}

/* ---- changing ---- */

static bool count_others(void *arg, const struct script_info *info)
{
	struct { struct sv name; uint64_t count; } *c = arg;

	c->count += !sv_eq(info->name, c->name);
	return true;
}

struct fault scripts_fits(struct scripts *s, struct sv name, uint64_t size, const struct scripts_quota *quota)
{
	struct { struct sv name; uint64_t count; } others = { name, 0 };
	struct fault f = FAULT_OK;

	if (!script_name_is_good(name))
		return fault(FAULT_INVALID, "no good name for a script");
	if (quota->size && size > quota->size)
		return fault(FAULT_LIMIT, "the script is too large");
	if (quota->count)
		f = scripts_list(s, count_others, &others);
	if (!f.kind && quota->count && others.count >= quota->count)
		f = fault(FAULT_QUOTA, "the account has too many scripts");
	return f;
}

/* A file of the folder, new or in place of the old one, durably. */
static struct fault put_file(struct scripts *s, const char *to, struct sv text)
{
	char temp[FILES_TEMP_LEN], from[PATH_LEN];
	bool is_new = false;
	struct fault f = files_mkdir(s->dir, FOLDER, s->mode_dir, &is_new);

	if (!f.kind && is_new)
		f = files_sync_dir(s->dir, ".");
	if (f.kind)
		return f;
	files_temp_name(".new", temp);
	snprintf(from, sizeof(from), FOLDER "/%s", temp);
	f = files_write_new(s->dir, from, text, s->mode_file);
	if (!f.kind && renameat(s->dir, from, s->dir, to)) {
		f = fault_errno("rename", to);
		unlinkat(s->dir, from, 0);
	}
	return f.kind ? store_internal(f) : files_sync_dir(s->dir, FOLDER);
}

struct fault scripts_put(struct scripts *s, struct sv name, struct sv text, const struct scripts_quota *quota)
{
	char path[PATH_LEN];
	struct fault f = scripts_fits(s, name, text.len, quota);

	path_of(name, path);
	if (!f.kind)
		f = put_file(s, path, text);
	if (!f.kind)
		scripts_note_error(s, SV_NONE);
	return f;
}

struct fault scripts_contacts(struct scripts *s, struct buf *out)
{
	struct fault f = files_read(s->dir, CONTACTS_FILE, out);

	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault scripts_put_contacts(struct scripts *s, struct sv text)
{
	return text.len > ADDRESSBOOK_SIZE ? fault(FAULT_LIMIT, "the address book is too large") : put_file(s, CONTACTS_FILE, text);
}

static bool is_active(struct scripts *s, struct sv name, struct fault *f)
{
	struct buf active;
	bool yes;

	buf_init(&active, SCRIPT_NAME_MAX);
	*f = scripts_active_name(s, &active);
	yes = !f->kind && sv_eq(buf_sv(&active), name);
	buf_done(&active);
	return yes;
}

struct fault scripts_remove(struct scripts *s, struct sv name)
{
	char path[PATH_LEN];
	struct fault f;

	path_of(name, path);
	if (!script_name_is_good(name) || !is_type(s, path, S_IFREG))
		return fault(FAULT_NOT_FOUND, "no such script");
	if (is_active(s, name, &f))
		return fault(FAULT_IN_USE, "the script is active");
	if (!f.kind && unlinkat(s->dir, path, 0))
		f = fault_errno("remove", path);
	return f.kind ? f : files_sync_dir(s->dir, FOLDER);
}

struct fault scripts_rename(struct scripts *s, struct sv from, struct sv to)
{
	char old[PATH_LEN], new[PATH_LEN];
	struct fault f;
	bool was_active;

	if (!script_name_is_good(to))
		return fault(FAULT_INVALID, "no good name for a script");
	path_of(from, old);
	path_of(to, new);
	if (!script_name_is_good(from) || !is_type(s, old, S_IFREG))
		return fault(FAULT_NOT_FOUND, "no such script");
	was_active = is_active(s, from, &f);
	/* For a moment the script has both names: a delivery always finds what the link says. */
	if (!f.kind && linkat(s->dir, old, s->dir, new, 0))
		f = fault_errno("link", new);
	if (!f.kind)
		f = files_sync_dir(s->dir, FOLDER);
	if (!f.kind && was_active)
		f = point_at(s, to);
	if (!f.kind && unlinkat(s->dir, old, 0))
		f = fault_errno("remove", old);
	return f.kind ? f : files_sync_dir(s->dir, FOLDER);
}

/* ---- backups ---- */

struct backing_up {
	struct scripts from;
	int to;
	struct fault fault;
};

static bool back_up_one(void *arg, const struct script_info *info)
{
	struct backing_up *b = arg;
	char path[PATH_LEN];
	struct buf text;

	path_of(info->name, path);
	buf_init(&text, info->size + 65536);
	b->fault = files_read(b->from.dir, path, &text);
	if (!b->fault.kind)
		b->fault = files_write_unflushed(b->to, path, buf_sv(&text), 0600);
	else if (b->fault.kind == FAULT_NOT_FOUND)
		b->fault = FAULT_OK;            /* removed meanwhile */
	if (!b->fault.kind && info->is_active)
		b->fault = files_write_unflushed(b->to, ACTIVE_FILE, info->name, 0600);
	buf_done(&text);
	return !b->fault.kind;
}

static struct fault back_up_contacts(struct backing_up *b)
{
	struct buf text;
	struct fault f;

	buf_init(&text, ADDRESSBOOK_SIZE);
	f = scripts_contacts(&b->from, &text);
	if (!f.kind && text.len)
		f = files_write_unflushed(b->to, CONTACTS_FILE, buf_sv(&text), 0600);
	buf_done(&text);
	return f;
}

struct fault scripts_backup(int from, int to)
{
	struct backing_up b = { .from = { .dir = from }, .to = to };
	struct fault f;

	if (!files_exists(from, FOLDER))
		return FAULT_OK;
	f = files_mkdir(to, FOLDER, 0700, NULL);
	if (!f.kind)
		f = back_up_contacts(&b);
	if (!f.kind)
		f = scripts_list(&b.from, back_up_one, &b);
	return f.kind ? f : b.fault;
}

struct fault scripts_restored(int account)
{
	struct scripts s = { .dir = account };
	struct buf name;
	struct fault f;

	buf_init(&name, SCRIPT_NAME_MAX);
	f = files_read(account, ACTIVE_FILE, &name);
	if (!f.kind) {
		f = scripts_activate(&s, buf_sv(&name));
		if (!f.kind || f.kind == FAULT_NOT_FOUND)
			unlinkat(account, ACTIVE_FILE, 0);
	}
	buf_done(&name);
	return f.kind == FAULT_NOT_FOUND || f.kind == FAULT_LIMIT ? FAULT_OK : f;
}

/* ---- the last error ---- */

void scripts_note_error(struct scripts *s, struct sv line)
{
	char temp[FILES_TEMP_LEN], from[PATH_LEN];
	struct fault f;

	if (!line.len) {
		unlinkat(s->dir, ERROR_FILE, 0);
		return;
	}
	files_temp_name(".new", temp);
	snprintf(from, sizeof(from), FOLDER "/%s", temp);
	f = files_write_unflushed(s->dir, from, sv_sub(line, 0, SCRIPT_ERROR_MAX), s->mode_file);
	if (!f.kind && renameat(s->dir, from, s->dir, ERROR_FILE)) {
		f = fault_errno("rename", ERROR_FILE);
		unlinkat(s->dir, from, 0);
	}
	if (f.kind)
		log_warn(NULL, "sieve.note-error", KV_FAULT("fault", f));
}

void scripts_error(struct scripts *s, struct buf *out)
{
	struct buf line;

	buf_init(&line, SCRIPT_ERROR_MAX);
	if (!files_read(s->dir, ERROR_FILE, &line).kind)
		(void)buf_append(out, buf_sv(&line));
	buf_done(&line);
}
