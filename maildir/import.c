/* maildir/import.c - see import.h. */
#include "maildir/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/log.h"
#include "maildir/files.h"
#include "maildir/import_private.h"
#include "maildir/store_private.h"

#include "common/banned.h"

static bool is_same_folder(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The lock of an account's folder, so that no daemon comes by between the look and the rename. */
static struct fault set_aside(const char *folder, const char *from, const char *to)
{
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fault f = FAULT_OK;

	if (dir < 0)
		return fault_errno("open", folder);
	if (flock(dir, LOCK_EX))
		f = fault_errno("lock", folder);
	if (!f.kind && files_exists(dir, LAYOUT_MAILDIR "/" LAYOUT_ACCOUNT_FILE))
		f = fault(FAULT_EXISTS, "Postroom has used this Maildir already, and given its messages UIDs of its own");
	if (!f.kind && renameat2(dir, from, dir, to, RENAME_NOREPLACE))
		f = fault_errno("rename", from);
	if (!f.kind)
		f = files_sync_dir(dir, ".");
	close(dir);
	return f;
}

struct fault maildir_import_prepare(struct store *store, struct sv address, const char *path, bool adopt, char out[PATH_MAX])
{
	char own[PATH_MAX + 64], aside[PATH_MAX + 64];
	struct account *a;
	struct stat st;
	struct fault f = store_account(store, address, &a);

	if (f.kind)
		return f;
	snprintf(own, sizeof(own), "%.*s/%s", PATH_MAX, a->path, LAYOUT_MAILDIR);
	snprintf(aside, sizeof(aside), "%.*s/%s", PATH_MAX, a->path, IMPORT_SOURCE);
	if (strlen(path) >= PATH_MAX || strlen(aside) >= PATH_MAX)
		f = fault(FAULT_LIMIT, "path too long");
	else
		snprintf(out, PATH_MAX, "%.*s", PATH_MAX - 1, path);
	if (!f.kind && is_same_folder(path, own)) {
		if (!adopt) {
			f = fault(FAULT_INVALID, "this is the account's own place: add --adopt to take it over in place");
		} else {
			if (lstat(aside, &st))          /* else an earlier run did it, and was interrupted */
				f = set_aside(a->path, LAYOUT_MAILDIR, IMPORT_SOURCE);
			snprintf(out, PATH_MAX, "%.*s", PATH_MAX - 1, aside);
		}
	}
	store_account_unref(&a);
	return f;
}

/* One import at a time, and one source after the other. */
static struct fault open_staging(struct import *im)
{
	struct account *a = im->account;
	struct buf was;
	char *real = realpath(im->options->path, NULL);
	int dir;
	struct fault f = account_enter(a);

	if (f.kind || !real) {
		free(real);
		return f.kind ? f : fault_errno("open", im->options->path);
	}
	unlinkat(a->maildir, IMPORT_NOTE, 0);
	/* An exchange that was interrupted: this is the account's former Maildir. */
	bool is_former = files_exists(a->dir, IMPORT_FOLDER "/" LAYOUT_ACCOUNT_FILE) &&
			 !files_exists(a->dir, IMPORT_FOLDER "/" IMPORT_NOTE);
	account_leave(a);
	f = is_former ? join_tidy(a) : FAULT_OK;
	if (!f.kind)
		f = account_enter(a);
	if (f.kind) {
		free(real);
		return f;
	}
	f = files_mkdir(a->dir, IMPORT_FOLDER, account_conf(a)->umask_dir, NULL);
	dir = f.kind ? -1 : files_open(a->dir, IMPORT_FOLDER, O_RDONLY | O_DIRECTORY, 0);
	account_leave(a);
	if (!f.kind && dir < 0)
		f = fault_errno("open", IMPORT_FOLDER);
	if (!f.kind && flock(dir, LOCK_EX | LOCK_NB))
		f = fault(FAULT_IN_USE, "another import into this account is running");
	im->staging = dir;
	buf_init(&was, PATH_MAX + 1);
	if (!f.kind) {
		f = files_read(dir, IMPORT_NOTE, &was);
		if (f.kind == FAULT_NOT_FOUND)
			f = files_replace(dir, IMPORT_NOTE, sv_z(real), 0600);
		else if (!f.kind && !sv_eq(buf_sv(&was), sv_z(real)))
			f = fault_detail(FAULT_BUSY, "an import of %.*s was not finished: run that one again first", SV_FMT(buf_sv(&was)));
	}
	buf_done(&was);
	free(real);
	return f;
}

static struct fault check_source(struct import *im, struct account *a)
{
	struct stat from, to;

	if (im->options->adopt && im->options->is_mbox)
		return fault(FAULT_UNSUPPORTED, "mbox files are copied; leave --adopt out");
	if (!im->options->adopt)
		return FAULT_OK;
	if (fstat(im->source, &from) || stat(a->path, &to))
		return fault_errno("look at", im->options->path);
	return from.st_dev == to.st_dev ? FAULT_OK :
	       fault(FAULT_UNSUPPORTED, "it lies on another file system, where nothing can be renamed from: leave --adopt out");
}

static struct fault survey(struct import *im)
{
	uint64_t compressed = 0;
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < im->count; i++) {
		struct source_box *box = &im->boxes[i];
		if (!box->dir[0])
			continue;
		f = box->kind == SOURCE_MBOX ? stage_mbox(im, box, true) : stage_survey(im, box);
		compressed += box->compressed;
	}
	if (!f.kind && compressed && !im->options->skip_compressed && !im->options->dry_run)
		f = fault_detail(FAULT_UNSUPPORTED, "%llu messages are compressed, which we do not read: uncompress them (gzip -d "
				 "or zstd -d, same name and time), or add --skip-compressed", (unsigned long long)compressed);
	return f;
}

static void report(struct import *im)
{
	static const char *const kinds[] = { "maildir", "dovecot", "courier", "mbox" };

	for (size_t i = 0; i < im->count; i++) {
		struct source_box *box = &im->boxes[i];
		struct import_result *r = &box->result;
		if (box->compressed)
			source_note(box, "%llu compressed messages left out", (unsigned long long)box->compressed);
		if (box->unreadable)
			source_note(box, "%llu files left out: not readable, or no regular file", (unsigned long long)box->unreadable);
		if (box->nameless_letters)
			source_note(box, "%llu messages have keyword letters that nothing gives a name",
				    (unsigned long long)box->nameless_letters);
		if (box->bad_lines)
			source_note(box, "%llu lines of its lists make no sense", (unsigned long long)box->bad_lines);
		r->left_out = box->compressed + box->unreadable + !box->dir[0];
		r->mailbox = sv_z(box->name);
		r->kind = kinds[box->kind];
		r->notes = buf_sv(&box->notes);
		if (im->events->mailbox)
			im->events->mailbox(im->events->arg, r);
	}
}

struct fault maildir_import(struct maildir_user *user, const struct import_options *options, const struct import_events *events)
{
	struct import im = { .user = user, .account = user->account, .options = options, .events = events, .source = -1,
			     .lists = -1, .staging = -1 };
	struct fault f = source_open(&im);

	if (!f.kind)
		f = check_source(&im, im.account);
	if (!f.kind)
		f = survey(&im);
	if (!f.kind && !options->dry_run)
		f = open_staging(&im);
	for (size_t i = 0; !f.kind && i < im.count; i++)
		if (im.boxes[i].dir[0])
			f = im.boxes[i].kind == SOURCE_MBOX ? stage_mbox(&im, &im.boxes[i], false) : stage_box(&im, &im.boxes[i]);
	if (!f.kind && !options->dry_run)
		f = join_all(&im);
	if (!f.kind && !options->dry_run)
		f = join_tidy(im.account);
	if (!f.kind && !options->dry_run)
		log_info(NULL, "store.import", KV_Z("account", im.account->address), KV_Z("source", options->path),
			 KV_U64("messages", im.done));
	report(&im);
	if (im.staging >= 0)
		close(im.staging);
	source_close(&im);
	return f;
}
