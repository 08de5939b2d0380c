/* maildir/watch.c - change notices: see store.h, store_watch_fd() and what follows it.
 *
 * One inotify descriptor per store. Watched are the mail folder, for what anyone is granted (shares_private.h); an account's data.mdb
 * (a commit by any process writes to it); and new/ and cur/ of its INBOX and of mailboxes selected while it is watched (other programs). A notice says "look again", so events
 * need not be told apart; a replaced index is one, too. An account for which not every watch could be had (max_user_watches, more
 * selected mailboxes than WATCHES_MAX, no inotify at all) is blind: store_watch_look() compares the times of its files instead. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "maildir/mailbox_private.h"
#include "maildir/shares_private.h"

#include "common/banned.h"

#define WATCHES_MAX 64          /* per account: further selected mailboxes are looked at when commands come */

struct watch {
	struct account *account;
	struct watch *next;
	struct maildir_user *users;
	struct spot {
		int wd;
		uint64_t box;           /* the selected mailbox whose folder it is; 0: data.mdb, INBOX */
	} spots[WATCHES_MAX];
	unsigned count;
	bool has_data;
	bool is_told;
	bool is_blind;                  /* not all that should be is watched */
	uint64_t seen;                  /* of a blind one: its files' times when they were last looked at; 0: never */
};

struct watcher {
	int fd;
	pthread_mutex_t mutex;
	struct watch *watches;
	int shares;                     /* the watch of the mail folder; -1: not yet */
	_Atomic unsigned blind;         /* how many are */
};

struct watcher *watcher_new(void)
{
	struct watcher *w = xcalloc(1, sizeof(*w));

	w->shares = -1;
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd < 0)
		log_warn(NULL, "store.watch.none", KV_Z("error", strerror(errno)));
	pthread_mutex_init(&w->mutex, NULL);
	return w;
}

void watcher_free(struct watcher **watcher)
{
	struct watcher *w = *watcher;

	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	pthread_mutex_destroy(&w->mutex);
	free(w);
	*watcher = NULL;
}

/* Mutex held for all that follows, as far as it is static. */

static void set_blind(struct watch *watch, bool is_blind)
{
	struct watcher *w = store_watcher(watch->account->store);

	if (watch->is_blind == is_blind)
		return;
	watch->is_blind = is_blind;
	watch->seen = 0;
	atomic_fetch_add(&w->blind, is_blind ? 1 : -1u);
	if (is_blind)
		log_info(NULL, "store.watch.blind", KV_Z("account", watch->account->address));
}

static bool add(struct watch *watch, const char *path, uint32_t mask, uint64_t box)
{
	int fd = store_watcher(watch->account->store)->fd;
	int wd = fd < 0 ? -1 : inotify_add_watch(fd, path, mask);

	if (wd < 0) {
		/* A file that is not there yet is looked for again; what the system does not allow is not. */
		if (fd < 0 || errno != ENOENT)
			set_blind(watch, true);
		return false;
	}
	for (unsigned i = 0; i < watch->count; i++)
		if (watch->spots[i].wd == wd)
			return true;
	if (watch->count == WATCHES_MAX) {
		inotify_rm_watch(fd, wd);
		set_blind(watch, true);
		return false;
	}
	watch->spots[watch->count++] = (struct spot){ wd, box };
	return true;
}

static bool add_below(struct watch *watch, const char *below, uint32_t mask, uint64_t box)
{
	struct buf path;
	bool ok;

	buf_init(&path, 8192);
	ok = buf_appendf(&path, "%s/%s", watch->account->path, below) && buf_z(&path) &&
	     add(watch, buf_z(&path), mask, box);
	buf_done(&path);
	return ok;
}

#define FOLDER_EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR | IN_DONT_FOLLOW)

static void add_folder(struct watch *watch, const char *dir, uint64_t box)
{
	char below[BOX_PATH_MAX + 16], sub[BOX_PATH_MAX];
	static const char *const parts[] = { "new", "cur" };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		box_path(sub, dir, parts[i], NULL);
		snprintf(below, sizeof(below), LAYOUT_MAILDIR "/%s", sub);
		add_below(watch, below, FOLDER_EVENTS, box);
	}
}

static void add_data(struct watch *watch)
{
	/* IN_ATTRIB: the link count of a removed index; the file itself stays while somebody has it open. */
	watch->has_data = add_below(watch, LAYOUT_INDEX "/data.mdb",
				    IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW, 0);
}

static void remove_all(struct watch *watch)
{
	int fd = store_watcher(watch->account->store)->fd;

	for (unsigned i = 0; i < watch->count; i++)
		inotify_rm_watch(fd, watch->spots[i].wd);
	watch->count = 0;
	watch->has_data = false;
	set_blind(watch, false);
}

static void unlink_user(struct watch *watch, struct maildir_user *user)
{
	struct maildir_user **p = &watch->users;

	while (*p && *p != user)
		p = &(*p)->next_watching;
	if (*p)
		*p = user->next_watching;
	user->watch_tag = NULL;
}

static void watch_one(struct watcher *w, struct maildir_user *user, void *user_tag)
{
	struct account *a = user->account;

	if (a->watch && user->watch_tag)
		unlink_user(a->watch, user);
	if (user_tag && !a->watch) {
		a->watch = xcalloc(1, sizeof(*a->watch));
		a->watch->account = a;
		a->watch->next = w->watches;
		w->watches = a->watch;
	}
	if (user_tag && w->shares < 0 && w->fd >= 0)
		w->shares = inotify_add_watch(w->fd, store_mail_dir(a->store), IN_CLOSE_WRITE | IN_ONLYDIR);
	if (user_tag) {
		if (!a->watch->users) {
			add_data(a->watch);
			add_folder(a->watch, ".", 0);
			for (struct mailbox *box = a->open_boxes; box; box = box->next_open)
				add_folder(a->watch, box->watch_dir, box->id);
		}
		user->watch_tag = user_tag;
		user->next_watching = a->watch->users;
		a->watch->users = user;
	} else if (a->watch && !a->watch->users) {
		remove_all(a->watch);
	}
}

struct fault maildir_user_watch(struct maildir_user *user, void *user_tag)
{
	struct watcher *w = store_watcher(user->account->store);

	pthread_mutex_lock(&w->mutex);
	watch_one(w, user, user_tag);
	for (struct maildir_user *guest = user->guests; guest; guest = guest->next_guest)
		watch_one(w, guest, user_tag);
	pthread_mutex_unlock(&w->mutex);
	return FAULT_OK;
}

void watch_join(struct maildir_user *user, struct maildir_user *guest)
{
	struct watcher *w = store_watcher(user->account->store);

	pthread_mutex_lock(&w->mutex);
	guest->host = user;
	guest->next_guest = user->guests;
	user->guests = guest;
	if (user->watch_tag)
		watch_one(w, guest, user->watch_tag);
	pthread_mutex_unlock(&w->mutex);
}

void watch_part(struct maildir_user *guest)
{
	struct watcher *w = store_watcher(guest->account->store);
	struct maildir_user **p = &guest->host->guests;

	pthread_mutex_lock(&w->mutex);
	while (*p != guest)
		p = &(*p)->next_guest;
	*p = guest->next_guest;
	watch_one(w, guest, NULL);
	pthread_mutex_unlock(&w->mutex);
}

void watch_drop_user(struct maildir_user *user)
{
	(void)!maildir_user_watch(user, NULL).kind;
}

void watch_renew(struct account *a)
{
	struct watcher *w = store_watcher(a->store);

	pthread_mutex_lock(&w->mutex);
	if (a->watch && a->watch->users)
		add_data(a->watch);
	pthread_mutex_unlock(&w->mutex);
}

void watch_mailbox(struct mailbox *box, const char *dir)
{
	struct account *a = box->account;
	struct watcher *w = store_watcher(a->store);

	pthread_mutex_lock(&w->mutex);
	snprintf(box->watch_dir, sizeof(box->watch_dir), "%s", dir);
	box->next_open = a->open_boxes;
	a->open_boxes = box;
	if (a->watch && a->watch->users)
		add_folder(a->watch, dir, box->id);
	pthread_mutex_unlock(&w->mutex);
}

void watch_close_mailbox(struct mailbox *box)
{
	struct account *a = box->account;
	struct watcher *w = store_watcher(a->store);
	struct mailbox **p = &a->open_boxes;
	bool others = false;

	pthread_mutex_lock(&w->mutex);
	while (*p && *p != box)
		p = &(*p)->next_open;
	if (*p)
		*p = box->next_open;
	for (struct mailbox *other = a->open_boxes; other; other = other->next_open)
		others = others || other->id == box->id;
	for (unsigned i = 0; !others && a->watch && i < a->watch->count;) {
		if (a->watch->spots[i].box == box->id) {
			inotify_rm_watch(w->fd, a->watch->spots[i].wd);
			a->watch->spots[i] = a->watch->spots[--a->watch->count];
		} else {
			i++;
		}
	}
	pthread_mutex_unlock(&w->mutex);
}

void watch_forget(struct account *a)
{
	struct watcher *w = store_watcher(a->store);

	pthread_mutex_lock(&w->mutex);
	if (a->watch) {
		struct watch **p = &w->watches;
		while (*p != a->watch)
			p = &(*p)->next;
		*p = a->watch->next;
		remove_all(a->watch);
		free(a->watch);
		a->watch = NULL;
	}
	pthread_mutex_unlock(&w->mutex);
}

/* --- where inotify does not reach ------------------------------------------------------------------------------------- */

bool store_watch_is_blind(struct store *store)
{
	return atomic_load(&store_watcher(store)->blind) != 0;
}

struct glance {
	struct account *account;        /* referenced */
	struct buf paths;               /* each with its NUL */
	uint64_t seen;
};

static void note_path(struct glance *g, const char *below)
{
	if (!buf_appendf(&g->paths, "%s/%s", g->account->path, below) || !buf_append(&g->paths, sv_from("", 1)))
		buf_clear(&g->paths);   /* never so long; and if, its times look as if they had changed */
}

static void plan_glance(const struct watch *watch, struct glance *g)
{
	static const char *const parts[] = { "new", "cur" };
	char sub[BOX_PATH_MAX], below[BOX_PATH_MAX + 16];

	g->account = store_account_ref(watch->account);
	buf_init(&g->paths, (size_t)4 << 20);
	note_path(g, LAYOUT_INDEX "/data.mdb");
	note_path(g, LAYOUT_MAILDIR "/new");
	note_path(g, LAYOUT_MAILDIR "/cur");
	for (struct mailbox *box = watch->account->open_boxes; box; box = box->next_open)
		for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
			box_path(sub, box->watch_dir, parts[i], NULL);
			snprintf(below, sizeof(below), LAYOUT_MAILDIR "/%s", sub);
			note_path(g, below);
		}
}

/* FNV-1a over the times and inodes: another value means that something changed. */
static void mix(uint64_t *sum, uint64_t n)
{
	*sum = (*sum ^ n) * 0x100000001b3u;
}

static void look_at(struct glance *g)
{
	struct sv rest = buf_sv(&g->paths), path;
	struct stat st;

	g->seen = 0xcbf29ce484222325u;
	while (rest.len && sv_split(&rest, '\0', &path)) {
		if (!path.len || stat(path.p, &st))
			continue;
		mix(&g->seen, (uint64_t)st.st_ino);
		mix(&g->seen, (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec);
	}
}

void store_watch_look(struct store *store)
{
	struct watcher *w = store_watcher(store);
	struct glance *all;
	size_t count = 0, cap;

	pthread_mutex_lock(&w->mutex);
	cap = atomic_load(&w->blind);
	all = xcalloc(cap + 1, sizeof(*all));
	for (struct watch *watch = w->watches; watch && count < cap; watch = watch->next)
		if (watch->is_blind && watch->users)
			plan_glance(watch, &all[count++]);
	pthread_mutex_unlock(&w->mutex);
	for (size_t i = 0; i < count; i++)      /* files are looked at outside the lock: the loop takes it, too */
		look_at(&all[i]);
	pthread_mutex_lock(&w->mutex);
	for (size_t i = 0; i < count; i++) {
		struct watch *watch = all[i].account->watch;
		if (!watch || !watch->is_blind || watch->seen == all[i].seen)
			continue;
		watch->is_told = watch->is_told || watch->seen;
		watch->seen = all[i].seen;
	}
	pthread_mutex_unlock(&w->mutex);
	for (size_t i = 0; i < count; i++) {
		buf_done(&all[i].paths);
		store_account_unref(&all[i].account);
	}
	free(all);
}

int store_watch_fd(struct store *store)
{
	return store_watcher(store)->fd;
}

static void note_event(struct watcher *w, const struct inotify_event *e)
{
	bool is_for_all = e->wd == w->shares && e->len && !strcmp(e->name, SHARES_FILE);

	if (e->wd == w->shares && e->mask & IN_IGNORED)
		w->shares = -1;
	for (struct watch *watch = w->watches; is_for_all && watch; watch = watch->next)
		watch->is_told = true;
	for (struct watch *watch = w->watches; watch; watch = watch->next)
		for (unsigned i = 0; i < watch->count; i++) {
			/* A full queue has lost events of anybody. */
			if (watch->spots[i].wd != e->wd && !(e->mask & IN_Q_OVERFLOW))
				continue;
			watch->is_told = true;
			if (e->mask & IN_IGNORED) {     /* its file is gone, and so is the watch */
				watch->spots[i] = watch->spots[--watch->count];
				watch->has_data = false;
			} else if (e->mask & (IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)) {
				watch->has_data = false;
			}
			break;
		}
}

struct told {
	void **tags;
	size_t count, cap;
};

static void collect(struct watch *watch, struct told *told)
{
	if (!watch->has_data && watch->users)
		add_data(watch);        /* perhaps there is a new index already; if not, opening it adds the watch */
	for (struct maildir_user *u = watch->users; u; u = u->next_watching) {
		if (told->count == told->cap) {
			told->cap = told->cap ? told->cap * 2 : 16;
			told->tags = xrealloc(told->tags, told->cap * sizeof(*told->tags));
		}
		told->tags[told->count++] = u->watch_tag;
	}
}

static bool is_watching(struct watcher *w, const void *tag)
{
	bool found = false;

	pthread_mutex_lock(&w->mutex);
	for (struct watch *watch = w->watches; watch && !found; watch = watch->next)
		for (struct maildir_user *u = watch->users; u && !found; u = u->next_watching)
			found = u->watch_tag == tag;
	pthread_mutex_unlock(&w->mutex);
	return found;
}

void store_watch_read(struct store *store, void (*fn)(void *arg, void *user_tag), void *arg)
{
	struct watcher *w = store_watcher(store);
	_Alignas(struct inotify_event) char events[16384];
	struct told told = { 0 };
	ssize_t n;

	pthread_mutex_lock(&w->mutex);
	while (w->fd >= 0 && (n = read(w->fd, events, sizeof(events))) > 0)
		for (char *p = events; p < events + n;) {
			const struct inotify_event *e = (const void *)p;
			note_event(w, e);
			p += sizeof(*e) + e->len;
		}
	for (struct watch *watch = w->watches; watch; watch = watch->next)
		if (watch->is_told) {
			watch->is_told = false;
			collect(watch, &told);
		}
	pthread_mutex_unlock(&w->mutex);
	/* Outside the lock, so that fn may watch, unwatch and end sessions: then a later tag may be gone by its turn. */
	for (size_t i = 0; i < told.count; i++)
		if (is_watching(w, told.tags[i]))
			fn(arg, told.tags[i]);
	free(told.tags);
}
