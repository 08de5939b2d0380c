/* maildir/shares.c - see shares_private.h. */
#include "maildir/shares_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "maildir/files.h"
#include "maildir/store_private.h"

#include "common/banned.h"

#define VERSION 1
#define LOCK_FILE SHARES_FILE ".lock"
#define UNKNOWN_MAX (64u << 10)

struct share {
	char id[DIRECTORY_ID_LEN + 1];  /* "": anyone */
	char *owner;
};
struct shares {
	struct share *rows;
	size_t count, cap;
	struct buf unknown;
};

static void shares_done(struct shares *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->rows[i].owner);
	free(s->rows);
	buf_done(&s->unknown);
	*s = (struct shares){ 0 };
}

static bool is_share(const struct share *row, struct sv owner, struct sv id)
{
	return sv_eq(sv_z(row->owner), owner) && sv_eq(sv_z(row->id), id);
}

static void add(struct shares *s, struct sv owner, struct sv id)
{
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->rows = xrealloc(s->rows, s->cap * sizeof(*s->rows));
	}
	s->rows[s->count] = (struct share){ .owner = sv_copy_z(owner) };
	memcpy(s->rows[s->count++].id, id.p ? id.p : "", id.len);
}

/* note - false when it stands there already. */
static bool note(struct shares *s, struct sv owner, struct sv id)
{
	for (size_t i = 0; i < s->count; i++)
		if (is_share(&s->rows[i], owner, id))
			return false;
	add(s, owner, id);
	return true;
}

static bool share_line(void *arg, struct sv key, struct sv value, bool *bad)
{
	struct sv id = SV_NONE;

	if (!sv_eq(key, SV("share")))
		return false;
	*bad = !sv_split(&value, ' ', &id) || !id.len || id.len > DIRECTORY_ID_LEN || !value.len;
	if (!*bad)
		add(arg, value, sv_eq(id, SV("-")) ? SV_NONE : id);
	return true;
}

static int open_mail(struct store *store)
{
	return open(store_mail_dir(store), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void shares_call(struct store *store)
{
	int mail = open_mail(store);
	int fd = mail < 0 ? -1 : openat(mail, SHARES_FILE, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	if (mail >= 0)
		close(mail);
}

static struct fault write_shares(int mail, const struct shares *s)
{
	char temp[FILES_TEMP_LEN];
	struct buf text;
	bool ok;

	buf_init(&text, SIDECAR_MAX);
	ok = buf_appendf(&text, "postroom-shares %d\n", VERSION);
	for (size_t i = 0; ok && i < s->count; i++)
		ok = buf_appendf(&text, "share %s %s\n", *s->rows[i].id ? s->rows[i].id : "-", s->rows[i].owner);
	struct fault f = sidecar_finish(&text, 0, ok, &s->unknown);

	files_temp_name(SHARES_FILE ".new", temp);
	if (!f.kind)
		f = files_write_new(mail, temp, buf_sv(&text), 0600);
	if (!f.kind && renameat(mail, temp, mail, SHARES_FILE)) {
		f = fault_errno("replace", SHARES_FILE);
		unlinkat(mail, temp, 0);
	}
	if (!f.kind)
		f = files_sync_dir(mail, ".");
	buf_done(&text);
	return f;
}

/* --- what the sidecars say ------------------------------------------------------------------------------------------ */

struct look {
	int maildir;                    /* of the account */
	struct sv owner;
	struct shares *out;
};

static void look_at_sidecar(struct look *l, const char *dir)
{
	struct sidecar_mailbox side;

	if (account_read_sidecar(l->maildir, dir, &side).kind)
		return;                 /* no list that could be read: nothing is granted */
	for (size_t i = 0; i < side.acl.count; i++)
		if (!side.acl.entries[i].is_negative)
			note(l->out, l->owner, sv_z(side.acl.entries[i].id));
	sidecar_mailbox_done(&side);
}

static bool look_at_folder(void *arg, const char *name, unsigned char type)
{
	if (type == DT_DIR && name[0] == '.')
		look_at_sidecar(arg, name);
	return true;
}

static void look_at_account(int folder, struct sv owner, struct shares *out)
{
	struct look l = { .maildir = files_open(folder, LAYOUT_MAILDIR, O_RDONLY | O_DIRECTORY, 0), .owner = owner,
			  .out = out };

	if (l.maildir < 0)
		return;
	look_at_sidecar(&l, ".");
	(void)!files_each(l.maildir, ".", look_at_folder, &l).kind;
	close(l.maildir);
}

struct survey {
	int mail, domain_dir;
	const char *domain;
	struct shares *out;
};

static bool survey_user(void *arg, const char *name, unsigned char type)
{
	struct survey *s = arg;
	int folder = type == DT_DIR ? files_open(s->domain_dir, name, O_RDONLY | O_DIRECTORY, 0) : -1;
	struct buf address;

	if (folder < 0)
		return true;
	buf_init(&address, DIRECTORY_ADDRESS_MAX);
	if (buf_appendf(&address, "%s@%s", name, s->domain))
		look_at_account(folder, buf_sv(&address), s->out);
	buf_done(&address);
	close(folder);
	return true;
}

static bool survey_domain(void *arg, const char *name, unsigned char type)
{
	struct survey *s = arg;

	s->domain_dir = type == DT_DIR && name[0] != '.' ? files_open(s->mail, name, O_RDONLY | O_DIRECTORY, 0) : -1;
	if (s->domain_dir < 0)
		return true;
	s->domain = name;
	(void)!files_each(s->domain_dir, ".", survey_user, s).kind;
	close(s->domain_dir);
	return true;
}

/* --- the file --------------------------------------------------------------------------------------------------------- */

struct fault shares_lock(struct store *store, int *out)
{
	int mail = open_mail(store);

	if (mail < 0)
		return fault_errno("open", store_mail_dir(store));
	*out = files_open(mail, LOCK_FILE, O_RDWR | O_CREAT, 0600);
	close(mail);
	if (*out < 0)
		return fault_errno("open", LOCK_FILE);
	while (flock(*out, LOCK_EX))
		if (errno != EINTR) {
			struct fault f = fault_errno("lock", LOCK_FILE);
			close(*out);
			return f;
		}
	return FAULT_OK;
}

static struct fault parse_text(struct sv text, struct shares *out)
{
	*out = (struct shares){ 0 };
	buf_init(&out->unknown, UNKNOWN_MAX);
	struct fault f = sidecar_lines(text, SV("postroom-shares"), share_line, out, &out->unknown);

	if (f.kind)
		shares_done(out);
	return f;
}

/* --- what was read of it last ------------------------------------------------------------------------------------------- */

/* The file is only ever replaced. It is kept open, so that no other one gets its inode: what lies there under the same one is it. */
struct shares_memory {
	pthread_mutex_t mutex;
	struct buf text;
	struct stat of;
	int fd;                 /* -1: nothing was read yet */
};

struct shares_memory *shares_memory_new(void)
{
	struct shares_memory *m = xcalloc(1, sizeof(*m));

	pthread_mutex_init(&m->mutex, NULL);
	buf_init(&m->text, SIDECAR_MAX);
	m->fd = -1;
	return m;
}

static void forget(struct shares_memory *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
	buf_clear(&m->text);
}

void shares_memory_free(struct shares_memory **m)
{
	if (!*m)
		return;
	forget(*m);
	pthread_mutex_destroy(&(*m)->mutex);
	buf_done(&(*m)->text);
	free(*m);
	*m = NULL;
}

/* Size and time for those who write into it by hand. */
static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* recall - false when another file lies there by now, or none. */
static bool recall(struct store *store, struct shares *out)
{
	struct shares_memory *m = store_shares_memory(store);
	char path[PATH_MAX];
	struct stat now;
	int len = snprintf(path, sizeof(path), "%s/" SHARES_FILE, store_mail_dir(store));
	bool is_known = len > 0 && (size_t)len < sizeof(path) && !lstat(path, &now);

	pthread_mutex_lock(&m->mutex);
	is_known = is_known && m->fd >= 0 && is_same_file(&m->of, &now) && !parse_text(buf_sv(&m->text), out).kind;
	pthread_mutex_unlock(&m->mutex);
	return is_known;
}

/* remember - fd was opened, and looked at, before text was read: if that is newer, recall() finds a newer file. Takes over fd. */
static void remember(struct shares_memory *m, int fd, const struct stat *of, struct sv text)
{
	pthread_mutex_lock(&m->mutex);
	forget(m);
	m->fd = fd;
	m->of = *of;
	if (!buf_append(&m->text, text))
		forget(m);
	pthread_mutex_unlock(&m->mutex);
}

static struct fault parse_file(struct store *store, int mail, struct shares *out)
{
	int fd = files_open(mail, SHARES_FILE, O_RDONLY, 0);
	struct stat of;
	bool is_seen = fd >= 0 && !fstat(fd, &of);
	struct buf text;

	*out = (struct shares){ 0 };
	buf_init(&text, SIDECAR_MAX);
	struct fault f = files_read(mail, SHARES_FILE, &text);

	if (!f.kind)
		f = parse_text(buf_sv(&text), out);
	if (!f.kind && is_seen)
		remember(store_shares_memory(store), fd, &of, buf_sv(&text));
	else if (fd >= 0)
		close(fd);
	buf_done(&text);
	return f;
}

static bool is_to_be_made(struct fault f)
{
	return f.kind == FAULT_NOT_FOUND || f.kind == FAULT_CORRUPT;
}

/* Lock held. */
static struct fault load_locked(struct store *store, int mail, struct shares *out)
{
	struct fault f = parse_file(store, mail, out);

	if (!is_to_be_made(f))
		return f;
	struct survey s = { .mail = mail, .out = out };

	buf_init(&out->unknown, UNKNOWN_MAX);
	f = files_each(mail, ".", survey_domain, &s);
	if (!f.kind)
		f = write_shares(mail, out);
	if (f.kind)
		shares_done(out);
	return f;
}

static struct fault load(struct store *store, struct shares *out)
{
	int lock = -1, mail;

	if (recall(store, out))
		return FAULT_OK;
	mail = open_mail(store);
	if (mail < 0)
		return fault_errno("open", store_mail_dir(store));
	struct fault f = parse_file(store, mail, out);

	if (is_to_be_made(f)) {
		f = shares_lock(store, &lock);
		if (!f.kind) {
			f = load_locked(store, mail, out);
			close(lock);
		}
	}
	close(mail);
	return f;
}

struct fault shares_add(struct store *store, struct sv owner, struct sv id)
{
	struct shares s;
	int mail = open_mail(store);

	if (mail < 0)
		return fault_errno("open", store_mail_dir(store));
	struct fault f = load_locked(store, mail, &s);

	if (!f.kind && note(&s, owner, id))
		f = write_shares(mail, &s);
	if (!f.kind)
		shares_done(&s);
	close(mail);
	return f;
}

/* exchange - the owner's rows for those that were found now. True: they differ. */
static bool exchange(struct shares *s, struct sv owner, struct shares *found)
{
	size_t had = 0, kept = 0;
	bool differ = false;

	for (size_t i = 0; i < s->count; i++) {
		bool is_owners = sv_eq(sv_z(s->rows[i].owner), owner), is_there = !is_owners;

		for (size_t k = 0; is_owners && k < found->count; k++)
			is_there = is_there || is_share(&found->rows[k], owner, sv_z(s->rows[i].id));
		had += is_owners && is_there;
		differ = differ || !is_there;
		if (is_there)
			s->rows[kept++] = s->rows[i];
		else
			free(s->rows[i].owner);
	}
	s->count = kept;
	differ = differ || had != found->count;
	for (size_t k = 0; k < found->count; k++)
		note(s, owner, sv_z(found->rows[k].id));
	return differ;
}

struct fault shares_refresh(struct store *store, struct sv owner)
{
	struct shares s, found = { 0 };
	struct sv user, domain;
	char path[NAME_MAX * 2 + 2];
	int mail = open_mail(store), folder;

	if (mail < 0)
		return fault_errno("open", store_mail_dir(store));
	struct fault f = load_locked(store, mail, &s);

	if (!f.kind && layout_account_split(owner, &user, &domain)) {
		snprintf(path, sizeof(path), "%.*s/%.*s", SV_FMT(domain), SV_FMT(user));
		folder = files_open(mail, path, O_RDONLY | O_DIRECTORY, 0);
		if (folder >= 0) {
			look_at_account(folder, owner, &found);
			close(folder);
		}
		if (exchange(&s, owner, &found))
			f = write_shares(mail, &s);
		shares_done(&found);
	}
	shares_done(&s);
	close(mail);
	return f;
}

struct fault shares_renew(struct store *store, struct sv owner)
{
	int lock;
	struct fault f = shares_lock(store, &lock);

	if (f.kind)
		return f;
	f = shares_refresh(store, owner);
	close(lock);
	return f;
}

bool shares_has(struct store *store, struct sv owner, struct sv id)
{
	struct shares s;
	struct fault f = load(store, &s);
	bool has = false;

	if (f.kind) {
		log_error(NULL, "store.shares", KV_FAULT("fault", f));
		return false;
	}
	for (size_t i = 0; i < s.count && !has; i++)
		has = is_share(&s.rows[i], owner, id) || is_share(&s.rows[i], owner, SV_NONE);
	shares_done(&s);
	return has;
}

struct fault shares_owners(struct store *store, struct sv id, struct buf *out)
{
	struct shares s, mine = { 0 };
	struct fault f = load(store, &s);

	if (f.kind)
		return f;
	for (size_t i = 0; i < s.count; i++)
		if (!*s.rows[i].id || sv_eq(sv_z(s.rows[i].id), id))
			note(&mine, sv_z(s.rows[i].owner), SV_NONE);    /* each once */
	for (size_t i = 0; !f.kind && i < mine.count; i++)
		if (!buf_appendf(out, "%s\n", mine.rows[i].owner))
			f = fault(FAULT_LIMIT, "too many accounts share their mailboxes");
	shares_done(&mine);
	shares_done(&s);
	return f;
}
