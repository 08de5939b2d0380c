/* maildir/check.c - compare an index with the files it stands for; changes nothing. See store.h. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"
#include "maildir/adopt_private.h"
#include "maildir/files.h"
#include "maildir/store_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

struct check {
	struct account *account;
	struct kv_txn *kv;
	struct index_box box;
	store_difference_fn *fn;
	void *arg;
	uint64_t messages, counted;     /* all, and those that the quota counts */
	const uint64_t *ids;
	size_t count;
};

static bool check_file(void *arg, const char *name, unsigned char type)
{
	struct check *c = arg;
	struct filename n;
	struct index_row row;

	if (type != DT_REG || !filename_parse(sv_z(name), &n))
		return true;
	if (!n.has_uid || n.uidvalidity != c->box.uidvalidity)
		c->fn(c->arg, c->box.name, 0, "a file without a UID of this mailbox");
	else if (index_row_get(c->kv, c->box.id, n.uid, &row).kind)
		c->fn(c->arg, c->box.name, n.uid, "a file that the index does not have");
	else if (strcmp(row.name, name))
		c->fn(c->arg, c->box.name, n.uid, "a file under another name than the index has");
	return true;
}

/* Packed, and stands for as many octets as the index says? */
static bool is_packed(struct check *c, const char *path, uint64_t octets)
{
	int fd;

	if (files_open_regular(c->account->maildir, path, &fd).kind)
		return false;
	bool is = files_is_packed(fd, octets);
	close(fd);
	return is;
}

static void check_row(struct check *c, const struct index_row *row, struct index_box *sum)
{
	char path[BOX_PATH_MAX];
	struct filename n;
	struct stat st;

	box_path(path, c->box.dir, "cur", row->name);
	if (fstatat(c->account->maildir, path, &st, AT_SYMLINK_NOFOLLOW))
		c->fn(c->arg, c->box.name, row->uid, "the file is missing");
	else if (!S_ISREG(st.st_mode))
		c->fn(c->arg, c->box.name, row->uid, "no regular file");
	else if ((uint64_t)st.st_size != row->h.stored && !is_packed(c, path, row->h.stored))
		c->fn(c->arg, c->box.name, row->uid, "the file has another size");
	if (!filename_parse(sv_from(row->name, row->h.name_len), &n) || !n.has_uid || n.uid != row->uid ||
	    n.uidvalidity != c->box.uidvalidity)
		c->fn(c->arg, c->box.name, row->uid, "the file's name says another UID");
	else if ((n.has_size && n.size != row->h.stored) || (n.has_wire_size && n.wire_size != row->h.size))
		c->fn(c->arg, c->box.name, row->uid, "the file's name says another size");
	sum->messages++;
	sum->size += row->h.size;
	sum->unseen += !(row->h.flags & FLAG_SEEN);
	sum->deleted += (row->h.flags & FLAG_DELETED) != 0;
	if (row->uid >= c->box.uidnext)
		c->fn(c->arg, c->box.name, row->uid, "UID is not below UIDNEXT");
}

/* The index may be behind a sidecar whose writer died before he could say so, and nothing else. */
static void check_sidecar(struct check *c)
{
	struct keyword_names *names = xmalloc(sizeof(*names));
	struct sidecar_mailbox side;
	struct buf text;
	char path[BOX_PATH_MAX];

	box_path(path, c->box.dir, LAYOUT_MAILBOX_FILE, NULL);
	buf_init(&text, SIDECAR_MAX);
	if (files_read(c->account->maildir, path, &text).kind || sidecar_mailbox_parse(buf_sv(&text), &side).kind) {
		c->fn(c->arg, c->box.name, 0, "the identity file is missing or damaged");
		buf_done(&text);
		free(names);
		return;
	}
	if (side.id != c->box.id || side.uidvalidity != c->box.uidvalidity)
		c->fn(c->arg, c->box.name, 0, "the identity file is another mailbox's");
	if (side.uid_ceiling < c->box.uidnext)
		c->fn(c->arg, c->box.name, 0, "UIDs were given that the identity file does not reserve");
	if (side.generation < c->box.generation)
		c->fn(c->arg, c->box.name, 0, "the identity file is older than the index");
	if (side.generation == c->box.generation && side.special_use != c->box.special_use)
		c->fn(c->arg, c->box.name, 0, "the identity file has another special use");
	if (!index_keywords_get(c->kv, c->box.id, names).kind)
		for (uint32_t i = 0; i < names->count; i++)
			if (i >= side.keywords.count || strcmp(names->name[i], side.keywords.name[i])) {
				c->fn(c->arg, c->box.name, 0, "the identity file has other keywords");
				break;
			}
	sidecar_mailbox_done(&side);
	buf_done(&text);
	free(names);
}

static bool check_folder(void *arg, const char *name, unsigned char type)
{
	struct check *c = arg;
	struct index_box box;

	if (type != DT_DIR || name[0] != '.' || !load_is_mailbox(c->account, name))
		return true;
	for (size_t i = 0; i < c->count; i++)
		if (!index_box_get(c->kv, c->ids[i], &box).kind && !strcmp(box.dir, name))
			return true;
	c->fn(c->arg, name, 0, "a folder that the index does not have");
	return true;
}

static struct fault check_box(struct check *c)
{
	struct index_box sum = { 0 };
	struct walk w;
	char path[BOX_PATH_MAX];
	struct fault f = walk_open(&w, c->kv, T_ROWS, c->box.id);

	if (!f.kind)
		f = walk_seek(&w, 0);
	while (!f.kind) {
		struct index_row row;
		f = walk_row(&w, &row);
		if (f.kind)
			break;
		check_row(c, &row, &sum);
		f = walk_next(&w);
	}
	walk_close(&w);
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	if (sum.messages != c->box.messages || sum.size != c->box.size || sum.unseen != c->box.unseen ||
	    sum.deleted != c->box.deleted)
		c->fn(c->arg, c->box.name, 0, "counters differ from the messages");
	c->messages += sum.messages;
	c->counted += index_is_counted(&c->box) ? sum.messages : 0;
	box_path(path, c->box.dir, "cur", NULL);
	f = files_each(c->account->maildir, path, check_file, c);
	if (f.kind == FAULT_NOT_FOUND) {
		c->fn(c->arg, c->box.name, 0, "the folder is missing");
		return FAULT_OK;
	}
	if (!f.kind)
		check_sidecar(c);
	return f;
}

struct fault store_index_check(struct store *store, struct sv address, store_difference_fn *fn, void *arg,
			       uint64_t *messages)
{
	struct check c = { .fn = fn, .arg = arg };
	struct index_meta meta;
	uint64_t *ids = NULL, bytes = 0;
	size_t count = 0;
	struct fault f = store_account(store, address, &c.account);

	if (f.kind)
		return f;
	f = account_enter(c.account);
	if (f.kind) {
		store_account_unref(&c.account);
		return f;
	}
	f = account_read(c.account, &c.kv);
	if (!f.kind)
		f = index_meta_get(c.kv, &meta);
	if (!f.kind)
		f = adopt_box_ids(c.kv, &ids, &count);
	c.ids = ids;
	c.count = count;
	if (!f.kind)
		f = files_each(c.account->maildir, ".", check_folder, &c);
	for (size_t i = 0; !f.kind && i < count; i++) {
		f = index_box_get(c.kv, ids[i], &c.box);
		bytes += !f.kind && index_is_counted(&c.box) ? c.box.size : 0;
		if (!f.kind)
			f = check_box(&c);
	}
	if (!f.kind && (meta.messages != c.counted || meta.bytes != bytes))
		fn(arg, "", 0, "quota counters differ from the messages");
	kv_read_end(&c.kv);
	account_leave(c.account);
	store_account_unref(&c.account);
	free(ids);
	*messages = c.messages;
	return f;
}
