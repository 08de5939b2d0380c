/* postroom restore DIR: a whole instance from a backup, or single accounts, mailboxes and messages into a living one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/snapshot.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "common/identity.h"
#include "common/instance.h"
#include "common/memory.h"
#include "common/mime.h"
#include "maildir/addressbook.h"
#include "maildir/backup.h"
#include "maildir/incoming.h"
#include "maildir/message.h"
#include "maildir/metadata.h"
#include "maildir/scripts.h"

#include "common/banned.h"

#define READ_SIZE 65536
#define NAMES_MAX ((size_t)64 << 20)

static bool join(char out[SNAPSHOT_PATH_MAX], const char *a, const char *b)
{
	return snprintf(out, SNAPSHOT_PATH_MAX, "%s/%s", a, b) < SNAPSHOT_PATH_MAX;
}

/* ---- the whole instance ---- */

/* Call fn for each folder in `path`. */
static struct fault each_folder(const char *path, struct fault (*fn)(const char *path))
{
	char below[SNAPSHOT_PATH_MAX];
	struct dirent *entry;
	struct fault f = FAULT_OK;
	DIR *d = opendir(path);

	if (!d)
		return errno == ENOENT ? FAULT_OK : fault_errno("open", path);
	while (!f.kind && (entry = readdir(d))) {
		struct stat st;
		if (entry->d_name[0] == '.' || !join(below, path, entry->d_name) || lstat(below, &st) != 0 ||
		    !S_ISDIR(st.st_mode))
			continue;
		f = fn(below);
	}
	closedir(d);
	return f;
}

static struct fault raise_account(const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return fault_errno("open", path);
	struct fault f = store_restored_account(dir);

	close(dir);
	return f;
}

static struct fault raise_domain(const char *path)
{
	return each_folder(path, raise_account);
}

/* A backup of an older version stays one: serve brings it to our format. */
static struct fault backup_format(const char *from, uint32_t *format)
{
	char path[SNAPSHOT_PATH_MAX];
	struct fault f = join(path, from, "format") ? instance_format_read(path, format) : fault(FAULT_LIMIT, "the path is too long");

	return f.kind != FAULT_UNSUPPORTED ? f :
	       fault_detail(FAULT_UNSUPPORTED, "%s was made by a newer Postroom (format %u): use the newer program", from, *format);
}

static struct fault restore_files(const char *from, const char *root, struct instance **instance)
{
	static const struct { const char *name; bool link; } trees[] = {
		/* Message files are never changed in place, so the backup's own files will do where they can be linked to. */
		{ "keys", false }, { "tls", false }, { "sieve", false }, { "queue", false }, { "mail", true },
	};
	char source[SNAPSHOT_PATH_MAX], target[SNAPSHOT_PATH_MAX];
	uint32_t format;
	struct fault f = backup_format(from, &format);

	if (!f.kind)
		f = instance_create(root, instance);
	if (f.kind)
		return f;
	for (size_t i = 0; i < ARRAY_LEN(trees) && !f.kind; i++) {
		if (!join(source, from, trees[i].name) || !join(target, root, trees[i].name))
			return fault(FAULT_LIMIT, "the path is too long");
		f = copy_tree(source, target, trees[i].link);
	}
	if (!f.kind && join(source, from, "postroom.conf"))
		f = copy_file(source, instance_path(*instance, INSTANCE_CONF));
	if (!f.kind && join(source, from, "directory/data.mdb") &&
	    join(target, instance_path(*instance, INSTANCE_DIRECTORY), "data.mdb"))
		f = copy_file(source, target);
	if (!f.kind)
		f = each_folder(instance_path(*instance, INSTANCE_MAIL), raise_domain);
	int dir = f.kind ? -1 : open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!f.kind && (dir < 0 || syncfs(dir) != 0))
		f = fault_errno("flush", root);
	if (dir >= 0)
		close(dir);
	return f.kind ? f : instance_stamp(*instance, format);
}

static int restore_whole(struct cli *cli, const char *from)
{
	struct fault f = restore_files(from, cli->root, &cli->instance);

	if (f.kind == FAULT_EXISTS) {
		complain("give another --root, or name what to bring back by --account", "%s is in use already", cli->root);
		return EXIT_FAILED;
	}
	if (f.kind)
		return cli_fault(cli->root, f);
	if (!cli->json)
		printf("Restored %s from %s.\n\nNext:\n  postroom --root %s serve\n", cli->root, from, cli->root);
	return EXIT_DONE;
}

/* ---- single accounts, mailboxes, messages ---- */

/* What the living mailbox holds already: hashes of EMAILID, and of Message-ID with size. */
struct present {
	uint64_t *hashes;
	size_t count, cap;
};

static uint64_t hash_of(const struct mime_message *m, uint64_t size)
{
	char text[1100];
	int n = snprintf(text, sizeof(text), "%llu %.*s", (unsigned long long)size,
			 (int)(m->message_id.len > 1000 ? 1000 : m->message_id.len), m->message_id.p ? m->message_id.p : "");

	return sv_hash(sv_from(text, (size_t)n));
}

static void add_hash(struct present *p, uint64_t hash)
{
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 256;
		p->hashes = xrealloc(p->hashes, p->cap * sizeof(*p->hashes));
	}
	p->hashes[p->count++] = hash;
}

static int hash_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool has_hash(const struct present *p, uint64_t hash)
{
	return p->count && bsearch(&hash, p->hashes, p->count, sizeof(hash), hash_order);
}

static struct sv email_of(const struct message_row *row)
{
	return sv_from((const char *)row->email, sizeof(row->email));
}

static bool note_present(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	add_hash(arg, sv_hash(email_of(row)));
	if (parsed)
		add_hash(arg, hash_of(parsed, row->size));
	return true;
}

struct wanted {
	uint32_t uid;
	struct message_row row;
};

struct restoring {
	struct cli *cli;
	const char *mailbox, *message_id;
	struct open_user live;
	struct store *old_store;
	struct maildir_user *old;
	struct arena names;
	struct sv *mailboxes;
	size_t mailbox_count;
	struct present present;         /* of the mailbox at hand */
	struct wanted *wanted;
	size_t wanted_count, wanted_cap;
	uint64_t looked_at, restored, there;
	struct progress progress;
};

static bool note_wanted(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct restoring *r = arg;
	struct sv id = r->message_id ? sv_z(r->message_id) : SV_NONE;

	if (id.len && id.p[0] == '<' && id.p[id.len - 1] == '>')
		id = sv_sub(id, 1, id.len - 2);
	if (r->message_id && (!parsed || !sv_eq(parsed->message_id, id)))
		return true;
	r->looked_at++;
	if (has_hash(&r->present, sv_hash(email_of(row))) ||
	    (parsed && has_hash(&r->present, hash_of(parsed, row->size)))) {
		r->there++;
		return true;
	}
	if (r->wanted_count == r->wanted_cap) {
		r->wanted_cap = r->wanted_cap ? r->wanted_cap * 2 : 64;
		r->wanted = xrealloc(r->wanted, r->wanted_cap * sizeof(*r->wanted));
	}
	r->wanted[r->wanted_count++] = (struct wanted){ row->uid, *row };
	return true;
}

static struct fault scan_all(struct mailbox *box, message_fn *fn, void *arg)
{
	uint32_t resume = 0;
	struct fault f;

	do
		f = mailbox_scan(box, NULL, SCAN_PARSED, &resume, fn, arg);
	while (!f.kind && resume);
	return f;
}

static struct fault restore_message(struct restoring *r, struct mailbox *old, struct mailbox *live,
				    const struct wanted *w, const struct keyword_table *keywords)
{
	struct sv names[KEYWORDS_MAX];
	struct append_item item = { .flags = w->row.flags, .keywords = names, .has_internaldate = true,
				    .internaldate = w->row.internaldate };
	struct message_reader *reader = NULL;
	static char octets[READ_SIZE];
	uint64_t at = 0;
	size_t got = 1;
	struct fault f = message_open(old, w->uid, &reader);

	for (uint32_t k = 0; k < keywords->count; k++)
		if (w->row.keywords.w[k / 64] >> (k % 64) & 1)
			names[item.keyword_count++] = keywords->names[k];
	if (!f.kind)
		f = incoming_new(r->live.user, NULL, UINT64_MAX / 2, &item.message);
	while (!f.kind && got) {
		f = message_read(reader, at, octets, sizeof(octets), &got);
		at += got;
		if (!f.kind && got)
			f = incoming_write(item.message, sv_from(octets, got));
	}
	if (!f.kind)
		f = incoming_finish(item.message);
	if (!f.kind)
		f = incoming_append(live, &item, 1);
	if (item.message)
		incoming_free(&item.message);
	message_close(&reader);
	r->restored += !f.kind;
	return f;
}

struct noting {
	struct maildir_user *user;
	struct sv mailbox;
	struct fault fault;
};

static bool restore_entry(void *arg, const struct metadata_entry *entry)
{
	struct noting *n = arg;

	n->fault = mailbox_set_metadata(n->user, n->mailbox, entry, 1);
	return !n->fault.kind;
}

/* restore_rights - a mailbox that was made anew gets its access control list back, less those who are no accounts any more, and
 * the annotations that are everybody's or the owner's. What others have seen of it named UIDs that are no more. */
static struct fault restore_rights(struct restoring *r, struct sv name)
{
	struct noting noting = { .user = r->live.user, .mailbox = name };
	char owner[DIRECTORY_ADDRESS_MAX + 1];
	struct acl acl = { 0 };
	struct fault f = mailbox_acl(r->old, name, &acl, owner);

	for (size_t i = 0; i < acl.count && !f.kind; i++) {
		char who[DIRECTORY_ADDRESS_MAX + 2];

		snprintf(who, sizeof(who), "%s%s", acl.entries[i].is_negative ? "-" : "", acl.entries[i].name);
		f = mailbox_acl_change(r->live.user, name, sv_z(who), ACL_REPLACE, acl.entries[i].rights);
		if (f.kind == FAULT_INVALID) {
			complain("postroom mailbox acl", "%.*s was shared with %s, who has no account now", SV_FMT(name), who);
			f = FAULT_OK;
		}
	}
	acl_done(&acl);
	if (!f.kind)
		f = mailbox_metadata(r->old, name, restore_entry, &noting);
	return f.kind ? f : noting.fault;
}

static struct fault restore_mailbox(struct restoring *r, struct sv name)
{
	struct mailbox *old = NULL, *live = NULL;
	struct keyword_table keywords;
	struct arena names;
	char id[24];
	struct fault f = mailbox_open(r->old, name, &old);

	r->present.count = 0;
	r->wanted_count = 0;
	arena_init(&names, (size_t)1 << 20);
	if (!f.kind) {
		f = mailbox_open(r->live.user, name, &live);
		if (f.kind == FAULT_NOT_FOUND) {
			f = mailbox_create(r->live.user, name, 0, id);
			if (!f.kind)
				f = mailbox_subscribe(r->live.user, name, true);
			if (!f.kind)
				f = restore_rights(r, name);
			if (!f.kind)
				f = mailbox_open(r->live.user, name, &live);
		}
	}
	if (!f.kind)
		f = mailbox_keywords(old, &names, &keywords);
	if (!f.kind)
		f = scan_all(live, note_present, &r->present);
	if (!f.kind && r->present.count)
		qsort(r->present.hashes, r->present.count, sizeof(*r->present.hashes), hash_order);
	if (!f.kind)
		f = scan_all(old, note_wanted, r);
	for (size_t i = 0; i < r->wanted_count && !f.kind; i++) {
		f = restore_message(r, old, live, &r->wanted[i], &keywords);
		progress_update(&r->progress, i + 1, r->wanted_count);
	}
	arena_done(&names);
	mailbox_close(&old);
	mailbox_close(&live);
	return f;
}

static bool note_mailbox(void *arg, const struct mailbox_info *info)
{
	struct restoring *r = arg;

	if (!info->exists || (r->mailbox && !sv_eq(info->name, sv_z(r->mailbox))))
		return true;
	/* Nobody but the server puts anything there, and it does not stay for long. */
	if (!r->mailbox && info->special_use & USE_REJECTS)
		return true;
	r->mailboxes = xrealloc(r->mailboxes, (r->mailbox_count + 1) * sizeof(*r->mailboxes));
	r->mailboxes[r->mailbox_count] = arena_copy(&r->names, info->name);
	return r->mailboxes[r->mailbox_count++].p != NULL;
}

/* The backup is opened as a store of its own, in a scratch folder of links, so that nothing in it is ever changed. */
static struct fault open_old(struct restoring *r, const char *from, const char *scratch, const char *address)
{
	char source[SNAPSHOT_PATH_MAX], target[SNAPSHOT_PATH_MAX], part[SNAPSHOT_PATH_MAX];
	const char *at = strrchr(address, '@');
	struct store_conf conf = { .mail_dir = scratch, .host = "restore" };
	struct stat st;

	if (!join(target, scratch, at + 1))
		return fault(FAULT_LIMIT, "the path is too long");
	if (mkdir(target, 0700) != 0)
		return fault_errno("create", target);
	snprintf(part, sizeof(part), "mail/%s/%.*s", at + 1, (int)(at - address), address);
	if (!join(source, from, part) || !join(target, scratch, part + 5))
		return fault(FAULT_LIMIT, "the path is too long");
	if (stat(source, &st) != 0)
		return fault_detail(FAULT_NOT_FOUND, "the backup %s has no mail of it", from);
	struct fault f = copy_tree(source, target, true);

	if (!f.kind)
		f = store_open(&conf, &r->old_store);
	if (f.kind)
		return f;
	struct auth_identity *id = identity_for_admin(sv_z(address), SV_NONE);
	struct quota none = { 0, 0 };

	f = maildir_user_open(r->old_store, id, &none, &r->old);
	identity_unref(&id);
	return f;
}

/* Scripts that the account lacks come back; one becomes active when none is. */
struct script_restoring {
	struct scripts *old, *live;
	struct sv active;               /* of the living account */
	struct fault fault;
};

static bool restore_script(void *arg, const struct script_info *info)
{
	static const struct scripts_quota no_limit = { 0, 0 };
	struct script_restoring *r = arg;
	struct buf text;

	buf_init(&text, info->size + 1);
	r->fault = scripts_get(r->live, info->name, &text);
	if (r->fault.kind == FAULT_NOT_FOUND) {
		r->fault = scripts_get(r->old, info->name, &text);
		if (!r->fault.kind)
			r->fault = scripts_put(r->live, info->name, buf_sv(&text), &no_limit);
	} else {
		r->fault = FAULT_OK;            /* there already, in this form or another */
	}
	if (!r->fault.kind && info->is_active && !r->active.len)
		r->fault = scripts_activate(r->live, info->name);
	buf_done(&text);
	return !r->fault.kind;
}

/* An address book that is there stays as it is. */
static struct fault restore_contacts(struct script_restoring *r)
{
	struct buf old, live;
	struct fault f;

	buf_init(&old, ADDRESSBOOK_SIZE);
	buf_init(&live, ADDRESSBOOK_SIZE);
	f = scripts_contacts(r->old, &old);
	if (!f.kind)
		f = scripts_contacts(r->live, &live);
	if (!f.kind && old.len && !live.len)
		f = scripts_put_contacts(r->live, buf_sv(&old));
	buf_done(&old);
	buf_done(&live);
	return f;
}

static struct fault restore_scripts(struct restoring *r)
{
	struct script_restoring s = { .fault = FAULT_OK };
	struct buf active;
	struct fault f = scripts_open_user(r->old, &s.old);

	buf_init(&active, SCRIPT_NAME_MAX);
	if (!f.kind)
		f = scripts_open_user(r->live.user, &s.live);
	if (!f.kind)
		f = scripts_active_name(s.live, &active);
	s.active = buf_sv(&active);
	if (!f.kind)
		f = scripts_list(s.old, restore_script, &s);
	if (!f.kind && !s.fault.kind)
		f = restore_contacts(&s);
	scripts_close(&s.old);
	scripts_close(&s.live);
	buf_done(&active);
	return f.kind ? f : s.fault;
}

static struct fault restore_all(struct restoring *r, const char *from, const char *scratch, const char *address)
{
	struct fault f = open_old(r, from, scratch, address);

	if (!f.kind)
		f = mailbox_list(r->old, note_mailbox, r);
	if (!f.kind && r->mailbox && !r->mailbox_count)
		f = fault_detail(FAULT_NOT_FOUND, "the backup has no mailbox %s", r->mailbox);
	for (size_t i = 0; i < r->mailbox_count && !f.kind; i++) {
		progress_start(&r->progress, r->mailboxes[i].p, "messages");
		f = restore_mailbox(r, r->mailboxes[i]);
		progress_end(&r->progress);
	}
	if (!f.kind && !r->mailbox && !r->message_id)
		f = restore_scripts(r);
	if (!f.kind && r->message_id && !r->looked_at)
		f = fault_detail(FAULT_NOT_FOUND, "the backup has no message %s", r->message_id);
	return f;
}

static int restore_part(struct cli *cli, const char *from, const char *address)
{
	static const struct column columns[] = {
		{ "account", "account", COLUMN_TEXT, NULL },
		{ "mailboxes", "mailboxes", COLUMN_NUMBER, NULL },
		{ "messages restored", "restored", COLUMN_NUMBER, NULL },
		{ "there already", "present", COLUMN_NUMBER, NULL },
	};
	struct directory *directory = NULL;
	struct restoring r = { .cli = cli, .mailbox = cli_option(cli, "mailbox"),
			       .message_id = cli_option(cli, "message-id") };
	char scratch[SNAPSHOT_PATH_MAX];
	int code = open_user(cli, address, &r.live);

	if (code == EXIT_DONE && (code = open_directory(cli, &directory)) != EXIT_DONE)
		close_user(&r.live);
	if (code != EXIT_DONE)
		return code;
	store_share(r.live.store, directory);
	/* Beside the backup's files, so that they can be linked to. */
	snprintf(scratch, sizeof(scratch), "%.*s/../" SNAPSHOT_UNFINISHED "restore-%d", SNAPSHOT_PATH_MAX - 64, from,
		 (int)getpid());
	arena_init(&r.names, NAMES_MAX);
	struct fault f = mkdir(scratch, 0700) != 0 ? fault_errno("create", scratch) :
						     restore_all(&r, from, scratch, address);

	maildir_user_close(&r.old);
	store_close(&r.old_store);
	close_user(&r.live);
	directory_close(&directory);
	snapshot_remove(scratch);
	code = cli_fault(address, f);
	if (code == EXIT_DONE) {
		struct table *t = facts_new(columns, ARRAY_LEN(columns), cli->json);
		table_sv(t, sv_z(address));
		table_u64(t, r.mailbox_count);
		table_u64(t, r.restored);
		table_u64(t, r.there);
		table_end(&t, NULL);
	}
	arena_done(&r.names);
	free(r.mailboxes);
	free(r.present.hashes);
	free(r.wanted);
	return code;
}

static int run_restore(struct cli *cli)
{
	const char *address = cli_option(cli, "account");
	char from[SNAPSHOT_PATH_MAX];
	char *given = realpath(cli->args[0], NULL);
	bool is_found = given && snapshot_find(given, from);

	free(given);
	if (!is_found) {
		complain("postroom backup DIR", "there is no finished backup in %s", cli->args[0]);
		return EXIT_NOT_FOUND;
	}
	if (!address && (cli_option(cli, "mailbox") || cli_option(cli, "message-id")))
		return cli_usage(cli, "--mailbox and --message-id need --account");
	if (!address)
		return restore_whole(cli, from);
	if (!strchr(address, '@'))
		return cli_usage(cli, "--account takes a whole address");
	int code = cli_open_instance(cli);

	return code == EXIT_DONE ? restore_part(cli, from, address) : code;
}

const struct verb restore_verbs[] = {
	{ .noun = "restore", .args = "DIR", .args_min = 1, .args_max = 1,
	  .summary = "Bring back an instance, or with --account what is missing in one account",
	  .example = "restore /srv/backup/postroom --account alice@example.org --mailbox Sent", .run = run_restore,
	  .options = { { "account", "ADDRESS", "into the living instance: messages that it lacks, with new UIDs" },
		       { "mailbox", "NAME", "only this mailbox" },
		       { "message-id", "ID", "only the message with this Message-ID" } } },
	{ .noun = NULL },
};
