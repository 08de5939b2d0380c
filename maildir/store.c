/* maildir/store.c - see store.h: the accounts of an instance, users, drops, housekeeping. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/conf.h"
#include "common/expiry.h"
#include "common/instance.h"
#include "common/memory.h"
#include "maildir/files.h"
#include "maildir/store_private.h"

#include "common/banned.h"

#define BUCKETS 1024
#define IDLE_MS (15 * 60 * 1000)        /* longer than SWEEP_MS: what is closed has no mark any more */
#define SWEEP_MS (10 * 60 * 1000)
#define STALE_TMP_S (36 * 3600)

struct store {
	struct store_conf conf;
	char *mail_dir, *host;
	pthread_mutex_t mutex;          /* accounts, refs */
	struct account *buckets[BUCKETS];
	size_t count;
	int64_t swept_ms;
	_Atomic bool has_unflushed;
	struct conf_list compress;      /* own copies */
	_Atomic uint32_t open_count;    /* accounts whose index is open */
	struct watcher *watcher;
	struct shares_memory *shares;
	struct directory *directory;    /* NULL: nothing is shared */
};

int64_t store_now_ms(void)
{
	return (int64_t)clock_ms() + 1; /* never 0: that stands for "never" */
}

const struct store_conf *store_settings(const struct store *store)
{
	return &store->conf;
}

const struct store_conf *account_conf(const struct account *a)
{
	return &a->store->conf;
}

const char *store_host(const struct store *store)
{
	return store->host;
}

struct watcher *store_watcher(struct store *store)
{
	return store->watcher;
}

struct shares_memory *store_shares_memory(struct store *store)
{
	return store->shares;
}

const char *store_mail_dir(const struct store *store)
{
	return store->mail_dir;
}

struct directory *store_directory(const struct store *store)
{
	return store->directory;
}

void store_share(struct store *store, struct directory *directory)
{
	store->directory = directory;
}

void store_note_unflushed(struct account *a)
{
	atomic_store(&a->store->has_unflushed, true);
}

/* What stands in file names: no separator of theirs, and short. */
static char *clean_host(const char *host)
{
	char *out = xstrdup(host && *host ? host : "localhost");

	for (char *p = out; *p; p++)
		if (*p == '/' || *p == ':' || *p == ',' || (unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
			*p = '_';
	if (strlen(out) > 40)
		out[40] = '\0';
	return out;
}

static struct expiry_rule *copy_rules(const struct expiry_rule *rules, size_t count)
{
	struct expiry_rule *own = xcalloc(count + 1, sizeof(*own));

	for (size_t i = 0; i < count; i++) {
		own[i] = rules[i];
		own[i].name.p = sv_copy_z(rules[i].name);
	}
	return own;
}

static void copy_words(const struct conf_list *from, struct conf_list *to)
{
	to->items = xcalloc(from->count + 1, sizeof(*to->items));
	for (size_t i = 0; i < from->count; i++)
		to->items[to->count++] = xstrdup(from->items[i]);
}

static void free_words(struct conf_list *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->items[i]);
	free(words->items);
}

bool store_compresses(const struct store *s, const char *address)
{
	const char *at = strrchr(address, '@');

	for (size_t i = 0; i < s->compress.count; i++)
		if (!strcmp(s->compress.items[i], "all") ||
		    (at && sv_eq_nocase(sv_z(s->compress.items[i]), sv_z(at + 1))))
			return true;
	return false;
}

static void free_rules(struct store_conf *conf)
{
	struct expiry_rule *rules = (struct expiry_rule *)(uintptr_t)conf->expire;

	for (size_t i = 0; i < conf->expire_count; i++)
		free((char *)(uintptr_t)rules[i].name.p);
	free(rules);
}

struct fault store_open(const struct store_conf *conf, struct store **out)
{
	struct rlimit limit;
	struct stat st;
	struct store *s;

	if (mkdir(conf->mail_dir, conf->umask_dir ? conf->umask_dir : 0700) && errno != EEXIST)
		return fault_errno("mkdir", conf->mail_dir);
	if (stat(conf->mail_dir, &st) || !S_ISDIR(st.st_mode))
		return fault_errno("open", conf->mail_dir);
	s = xcalloc(1, sizeof(*s));
	s->conf = *conf;
	s->mail_dir = xstrdup(conf->mail_dir);
	s->conf.mail_dir = s->mail_dir;
	s->host = clean_host(conf->host);
	s->conf.host = s->host;
	s->conf.expire = copy_rules(conf->expire, conf->expire_count);
	if (conf->compress)
		copy_words(conf->compress, &s->compress);
	if (!s->conf.open_accounts_max)
		s->conf.open_accounts_max = 512;
	/* An open account has seven descriptors; half of what the process may have is for others. */
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur / 16 < s->conf.open_accounts_max)
		s->conf.open_accounts_max = (uint32_t)(limit.rlim_cur / 16) + 1;
	if (!s->conf.umask_dir)
		s->conf.umask_dir = 0700;
	if (!s->conf.umask_file)
		s->conf.umask_file = 0600;
	pthread_mutex_init(&s->mutex, NULL);
	s->watcher = watcher_new();
	s->shares = shares_memory_new();
	s->swept_ms = store_now_ms();
	*out = s;
	return FAULT_OK;
}

/* --- accounts -------------------------------------------------------------------------------------------------------- */

static struct account *account_new(struct store *store, struct sv address, struct sv user, struct sv domain)
{
	struct account *a = xcalloc(1, sizeof(*a));
	struct buf path;

	a->store = store;
	a->address = sv_copy_z(address);
	buf_init(&path, 8192);
	if (!buf_appendf(&path, "%s/%.*s/%.*s", store->conf.mail_dir, SV_FMT(domain), SV_FMT(user)) || !buf_z(&path))
		BUG("mail folder's path is too long");
	a->path = xstrdup(buf_z(&path));
	buf_done(&path);
	a->dir = a->maildir = a->index_dir = a->flag_log = -1;
	pthread_rwlock_init(&a->gate, NULL);
	pthread_mutex_init(&a->mutex, NULL);
	groupflush_init(&a->cur_flush);
	pthread_mutex_init(&a->cache_mutex, NULL);
	return a;
}

static void account_free(struct account *a)
{
	watch_forget(a);
	account_close_index(a);
	pthread_rwlock_destroy(&a->gate);
	pthread_mutex_destroy(&a->mutex);
	groupflush_done(&a->cur_flush);
	pthread_mutex_destroy(&a->cache_mutex);
	for (size_t i = 0; i < ARRAY_LEN(a->uid_cache); i++)
		uidset_done(&a->uid_cache[i].uids);
	free(a->address);
	free(a->path);
	free(a);
}

/* Take the account that was used longest ago, and that nobody refers to, out of the table. Store's mutex held. */
static struct account *take_idle(struct store *s, int64_t before_ms)
{
	struct account **oldest = NULL;

	for (size_t i = 0; i < BUCKETS; i++)
		for (struct account **p = &s->buckets[i]; *p; p = &(*p)->next)
			if (!(*p)->refs && (*p)->last_use_ms <= before_ms &&
			    (!oldest || (*p)->last_use_ms < (*oldest)->last_use_ms))
				oldest = p;
	if (!oldest)
		return NULL;
	struct account *a = *oldest;
	*oldest = a->next;
	s->count--;
	return a;
}

struct fault store_account(struct store *s, struct sv address, struct account **out)
{
	struct sv user, domain;
	struct account *a, *old = NULL;

	if (!layout_account_split(address, &user, &domain))
		return fault(FAULT_INVALID, "address cannot be a folder");
	struct account **bucket = &s->buckets[sv_hash(address) % BUCKETS];
	pthread_mutex_lock(&s->mutex);
	for (a = *bucket; a && !sv_eq(sv_z(a->address), address); a = a->next)
		;
	if (!a) {
		if (s->count >= s->conf.open_accounts_max)
			old = take_idle(s, INT64_MAX);
		a = account_new(s, address, user, domain);
		a->next = *bucket;
		*bucket = a;
		s->count++;
	}
	a->refs++;
	pthread_mutex_unlock(&s->mutex);
	if (old)
		account_free(old);
	*out = a;
	return FAULT_OK;
}

struct account *store_account_ref(struct account *a)
{
	pthread_mutex_lock(&a->store->mutex);
	a->refs++;
	pthread_mutex_unlock(&a->store->mutex);
	return a;
}

void store_account_unref(struct account **a)
{
	if (!*a)
		return;
	struct store *s = (*a)->store;
	pthread_mutex_lock(&s->mutex);
	(*a)->last_use_ms = store_now_ms();
	(*a)->refs--;
	pthread_mutex_unlock(&s->mutex);
	*a = NULL;
}

void store_note_open(struct account *a, bool is_open)
{
	if (is_open)
		atomic_fetch_add(&a->store->open_count, 1);
	else
		atomic_fetch_sub(&a->store->open_count, 1);
}

/* The open account, referenced, that was left longest ago, but after `after_ms`; NULL: none. */
static struct account *oldest_open(struct store *s, const struct account *but, int64_t after_ms)
{
	struct account *oldest = NULL;

	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct account *a = s->buckets[i]; a; a = a->next)
			if (a != but && atomic_load(&a->is_open) && atomic_load(&a->left_ms) > after_ms &&
			    (!oldest || atomic_load(&a->left_ms) < atomic_load(&oldest->left_ms)))
				oldest = a;
	if (oldest)
		oldest->refs++;
	pthread_mutex_unlock(&s->mutex);
	return oldest;
}

void store_limit_open(struct account *opened)
{
	struct store *s = opened->store;
	int64_t after = -1;

	while (atomic_load(&s->open_count) > s->conf.open_accounts_max) {
		struct account *a = oldest_open(s, opened, after);
		if (!a)
			return;         /* somebody is inside all of them */
		if (!account_close_unused(a))
			after = atomic_load(&a->left_ms);
		pthread_mutex_lock(&s->mutex);
		a->refs--;
		pthread_mutex_unlock(&s->mutex);
	}
}

/* Every account, referenced, so that work on them needs no lock. */
static struct account **all_accounts(struct store *s, size_t *count)
{
	struct account **all;
	size_t n = 0;

	pthread_mutex_lock(&s->mutex);
	all = xcalloc(s->count + 1, sizeof(struct account *));
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct account *a = s->buckets[i]; a; a = a->next) {
			a->refs++;
			all[n++] = a;
		}
	pthread_mutex_unlock(&s->mutex);
	*count = n;
	return all;
}

static void release_accounts(struct store *s, struct account **all, size_t count)
{
	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; i < count; i++)
		all[i]->refs--;         /* looking after an account is no use of it */
	pthread_mutex_unlock(&s->mutex);
	free(all);
}

/* --- housekeeping ---------------------------------------------------------------------------------------------------- */

static void sweep(struct store *s, struct account **all, size_t count)
{
	uint64_t *seen = xcalloc(count + 1, sizeof(*seen));
	bool *marked = xcalloc(count + 1, sizeof(*marked)), any = false;

	for (size_t i = 0; i < count; i++) {
		marked[i] = account_sweep_begin(all[i], &seen[i]);
		any = any || marked[i];
	}
	int fd = any ? open(s->conf.mail_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	bool flushed = fd >= 0 && !syncfs(fd);

	if (fd >= 0)
		close(fd);
	for (size_t i = 0; flushed && i < count; i++)
		if (marked[i])
			account_sweep_end(all[i], seen[i]);
	free(seen);
	free(marked);
}

struct stale {
	int dir;
	time_t before;
	bool any;                       /* every file, not only those with names that we give to unfinished things */
};

/* Unfinished things of killed processes are known by their names; nothing else is ever touched. */
static bool is_unfinished(const char *name)
{
	static const char *const prefixes[] = { LAYOUT_INDEX ".new.", LAYOUT_INDEX ".old.", LAYOUT_MAILDIR ".",
						"postroom-new." };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (sv_starts(sv_z(name), sv_z(prefixes[i])))
			return true;
	return false;
}

static bool remove_stale(void *arg, const char *name, unsigned char type)
{
	struct stale *s = arg;
	struct stat st;

	if ((!s->any && !is_unfinished(name)) || fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) ||
	    st.st_mtime >= s->before || st.st_ctime >= s->before)
		return true;
	if (type == DT_REG)
		unlinkat(s->dir, name, 0);
	else if (type == DT_DIR && !s->any)
		files_remove_tree(s->dir, name);
	return true;
}

/* What killed deliveries left in tmp/, as the Maildir specification wants it; half-made things; deleted mailboxes. */
static void remove_leftovers(struct account *a)
{
	struct stale stale = { .before = time(NULL) - STALE_TMP_S, .any = true };

	stale.dir = files_open(a->maildir, "tmp", O_RDONLY | O_DIRECTORY, 0);
	if (stale.dir >= 0) {
		(void)!files_each(stale.dir, ".", remove_stale, &stale).kind;
		close(stale.dir);
	}
	stale.any = false;
	stale.dir = a->maildir;
	(void)!files_each(stale.dir, ".", remove_stale, &stale).kind;
	stale.dir = a->dir;
	(void)!files_each(stale.dir, ".", remove_stale, &stale).kind;
	if (files_exists(a->dir, LAYOUT_TRASH))
		files_remove_tree(a->dir, LAYOUT_TRASH);
}

static struct fault purge(struct index_txn *t, void *arg)
{
	return index_purge(t, 2000, arg);   /* some milliseconds: others wait for the lock */
}

static void tidy_account(struct account *a)
{
	struct stat st;
	bool left = true;
	struct fault f;
	int64_t left_ms = atomic_load(&a->left_ms);

	if (!atomic_load(&a->is_open) || atomic_load(&a->is_read_only))
		return;
	f = account_enter(a);
	if (f.kind)
		return;
	kv_reader_check(a->env);
	if (!fstat(a->flag_log, &st) && st.st_size) {   /* also what a process left that died meanwhile */
		if (fdatasync(a->flag_log))
			log_error(NULL, "store.flags.flush", KV_Z("account", a->address), KV_Z("error", strerror(errno)));
		f = account_settle_names(a);
	}
	while (!f.kind && left)
		f = index_update(a, purge, &left);
	remove_leftovers(a);
	if (f.kind)
		log_warn(NULL, "store.tidy", KV_Z("account", a->address), KV_FAULT("fault", f));
	account_leave_quietly(a, left_ms);      /* looking after it is no use of it */
}

void store_tidy(struct store *s)
{
	size_t count;
	struct account **all = all_accounts(s, &count), *idle;
	int64_t now = store_now_ms();

	for (size_t i = 0; i < count; i++) {
		tidy_account(all[i]);
		/* Also of those who are logged in and do nothing: the next who comes opens it again. */
		if (atomic_load(&all[i]->is_open) && now - atomic_load(&all[i]->left_ms) > IDLE_MS)
			(void)account_close_unused(all[i]);
	}
	if (now - s->swept_ms >= SWEEP_MS) {
		sweep(s, all, count);
		s->swept_ms = now;
	}
	release_accounts(s, all, count);
	do {
		pthread_mutex_lock(&s->mutex);
		idle = take_idle(s, now - IDLE_MS);
		pthread_mutex_unlock(&s->mutex);
		if (idle)
			account_free(idle);
	} while (idle);
}

void store_refill(struct store *s, uint32_t ms)
{
	size_t count;
	struct account **all = all_accounts(s, &count);
	int64_t until = store_now_ms() + ms;

	for (size_t i = 0; i < count && store_now_ms() < until; i++)
		(void)refill_account(all[i], until);
	release_accounts(s, all, count);
}

void store_flush_flags(struct store *s)
{
	size_t count;
	struct account **all;
	bool left = false;

	atomic_store(&s->has_unflushed, false);
	all = all_accounts(s, &count);
	for (size_t i = 0; i < count; i++) {
		pthread_rwlock_rdlock(&all[i]->gate);
		account_flush_log(all[i], 900);
		left = left || atomic_load(&all[i]->log_dirty_ms);
		pthread_rwlock_unlock(&all[i]->gate);
	}
	release_accounts(s, all, count);
	if (left)
		atomic_store(&s->has_unflushed, true);
}

bool store_needs_flush(struct store *s)
{
	return atomic_load(&s->has_unflushed);
}

/* The words of these options were checked when the configuration was read; `none` is no rule and no number. */
static void take_rules(const struct conf_list *words, struct expiry_rule rules[EXPIRY_RULES_MAX], size_t *count)
{
	for (size_t i = 0; i < words->count && *count < EXPIRY_RULES_MAX; i++)
		*count += expiry_parse(sv_z(words->items[i]), &rules[*count]);
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void take_warnings(const struct conf_list *words, struct store_conf *out)
{
	for (size_t i = 0; i < words->count && out->quota_warning_count < QUOTA_WARNINGS_MAX; i++)
		out->quota_warning_count +=
			sv_to_u32(sv_z(words->items[i]), &out->quota_warnings[out->quota_warning_count]);
	qsort(out->quota_warnings, out->quota_warning_count, sizeof(out->quota_warnings[0]), by_size);
}

struct fault store_open_instance(const struct instance *instance, const struct conf *conf, struct store **out)
{
	struct expiry_rule rules[EXPIRY_RULES_MAX];
	struct store_conf settings = {
		.mail_dir = instance_path(instance, INSTANCE_MAIL),
		.host = conf->host.hostname,
		.open_accounts_max = (uint32_t)conf->store.open_accounts,
		.expire = rules,
		.compress = &conf->store.compress,
		.keeps_rejects = conf->policy.rejects == CONF_REJECTS_KEEP,
		.rejects_age_s = (int64_t)(conf->policy.rejects_ms / 1000),
		.create_special_use = true,
	};

	take_rules(&conf->store.expire, rules, &settings.expire_count);
	take_warnings(&conf->store.quota_warnings, &settings);
	return store_open(&settings, out);
}

void store_close(struct store **store)
{
	struct store *s = *store;
	struct account **all, *a;
	size_t count;

	if (!s)
		return;
	all = all_accounts(s, &count);
	for (size_t i = 0; i < count; i++) {
		pthread_rwlock_rdlock(&all[i]->gate);
		account_flush_log(all[i], 0);
		pthread_rwlock_unlock(&all[i]->gate);
	}
	sweep(s, all, count);
	release_accounts(s, all, count);
	while ((a = take_idle(s, INT64_MAX)))
		account_free(a);
	if (s->count)
		BUG("store closed while %zu accounts are in use", s->count);
	watcher_free(&s->watcher);
	shares_memory_free(&s->shares);
	pthread_mutex_destroy(&s->mutex);
	free_rules(&s->conf);
	free_words(&s->compress);
	free(s->mail_dir);
	free(s->host);
	free(s);
	*store = NULL;
}

/* --- who may come in -------------------------------------------------------------------------------------------------- */

/* new_user - takes over the reference. */
static struct maildir_user *new_user(struct account *a, const struct auth_identity *id)
{
	struct maildir_user *user = xcalloc(1, sizeof(*user));
	struct sv account = identity_account(id);

	user->account = a;
	if (account.len < sizeof(user->id))
		memcpy(user->id, account.p, account.len);
	return user;
}

bool maildir_user_known(struct store *s, const struct auth_identity *id, struct maildir_user **out)
{
	struct sv address = identity_address(id);
	struct account *a;

	pthread_mutex_lock(&s->mutex);
	a = s->buckets[sv_hash(address) % BUCKETS];
	while (a && !sv_eq(sv_z(a->address), address))
		a = a->next;
	if (a && !atomic_load(&a->is_open))
		a = NULL;
	if (a)
		a->refs++;
	pthread_mutex_unlock(&s->mutex);
	if (a)
		*out = new_user(a, id);
	return a;
}

void maildir_user_set_quota(struct maildir_user *user, const struct quota *quota)
{
	user->quota = *quota;
}

struct fault maildir_user_open(struct store *store, const struct auth_identity *id, const struct quota *quota,
			       struct maildir_user **out)
{
	struct account *a;
	struct fault f = store_account(store, identity_address(id), &a);

	if (f.kind)
		return f;
	f = account_enter(a);
	if (f.kind) {
		store_account_unref(&a);
		return f;
	}
	account_leave(a);
	*out = new_user(a, id);
	if (quota)
		maildir_user_set_quota(*out, quota);
	return FAULT_OK;
}

void maildir_user_close(struct maildir_user **user)
{
	if (!*user)
		return;
	watch_drop_user(*user);
	store_account_unref(&(*user)->account);
	free(*user);
	*user = NULL;
}

struct fault maildir_drop_open(struct store *store, struct sv address, const struct quota *quota,
			       struct maildir_drop **out)
{
	struct account *a;
	struct fault f = store_account(store, address, &a);

	if (f.kind)
		return f;
	*out = xcalloc(1, sizeof(**out));
	(*out)->account = a;
	if (quota)
		(*out)->quota = *quota;
	return FAULT_OK;
}

void maildir_drop_close(struct maildir_drop **drop)
{
	if (!*drop)
		return;
	store_account_unref(&(*drop)->account);
	free(*drop);
	*drop = NULL;
}

struct fault store_index_rebuild(struct store *store, struct sv address, store_progress_fn *fn, void *arg)
{
	struct account *a;
	struct fault f = store_account(store, address, &a);

	if (f.kind)
		return f;
	f = account_rebuild(a, fn, arg);
	store_account_unref(&a);
	return f;
}
