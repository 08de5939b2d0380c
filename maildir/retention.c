#include "maildir/retention.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/directory.h"
#include "common/log.h"
#include "common/memory.h"
#include "maildir/adopt_private.h"
#include "maildir/copy_private.h"
#include "maildir/mailbox_private.h"

#include "common/banned.h"

#define STEP_MS 1500
#define EVERY_S 3600
#define STAMP ".expired"        /* in the folder of all mail: locked by who expires, its time says when that was last done */

#define KEPT ".rejects"         /* beside it: mail that was refused may lie in mailboxes, also after `rejects drop` */

/* --- one account ---------------------------------------------------------------------------------------------------- */

#define REJECTS_AGE_S ((int64_t)7 * 86400)

/* After which time mail of a mailbox goes: as the first rule says that names it. 0: it is kept. */
static int64_t age_for(const struct store_conf *conf, const struct index_box *box)
{
	struct sv name = sv_from(box->name, box->name_len);

	for (size_t i = 0; i < conf->expire_count; i++) {
		const struct expiry_rule *r = &conf->expire[i];
		bool is_meant = false;

		switch (r->what) {
		case EXPIRY_TRASH:  is_meant = box->special_use & USE_TRASH; break;
		case EXPIRY_JUNK:   is_meant = box->special_use & USE_JUNK; break;
		case EXPIRY_NAME:   is_meant = sv_eq(name, r->name); break;
		case EXPIRY_PREFIX: is_meant = sv_starts(name, r->name); break;
		}
		if (is_meant)
			return r->age_s;
	}
	if (box->special_use & USE_REJECTS)
		return conf->rejects_age_s ? conf->rejects_age_s : REJECTS_AGE_S;
	return 0;
}

struct pass {
	struct account *account;
	bool is_trial, is_cut;
	int64_t until_ms;
	struct retention_counts *counts;
	retention_fn *fn;
	void *arg;
};

struct due {
	int64_t before;
	uint64_t messages, octets;
};

static bool count_due(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct due *due = arg;

	(void)parsed;
	if (row->savedate < due->before) {
		due->messages++;
		due->octets += row->size;
	}
	return true;
}

static struct fault expire_box(struct pass *p, const struct index_box *record, int64_t before)
{
	struct mailbox box = { .account = p->account, .id = record->id, .lock = -1 };
	struct copy_filter filter = { .saved_before = before };
	struct due due = { .before = before };
	struct uidset gone = { 0 };
	struct mailbox_status st;
	uint32_t resume = 0;
	struct fault f = mailbox_counters(&box, &st);   /* other programs' mail is noticed first */

	if (f.kind)
		return f.kind == FAULT_GONE ? FAULT_OK : f;
	do
		f = mailbox_scan(&box, NULL, SCAN_ROW, &resume, count_due, &due);
	while (!f.kind && resume);
	if (!f.kind && !due.messages && record->special_use & USE_REJECTS)
		p->counts->rejects_left += st.messages;
	if (f.kind || !due.messages)
		return f.kind == FAULT_GONE ? FAULT_OK : f;
	if (!p->is_trial) {
		f = account_enter(p->account);
		if (f.kind)
			return f;
		do {
			f = copy_expunge(&box, NULL, &filter, &resume, &gone);
			p->is_cut = resume && p->until_ms && store_now_ms() > p->until_ms;
		} while (!f.kind && resume && !p->is_cut);
		account_leave(p->account);
		if (p->is_cut) {        /* the rest is counted by whoever does it */
			due.octets = due.octets / due.messages * uidset_total(&gone);
			due.messages = uidset_total(&gone);
		}
		log_info(NULL, "store.expired", KV_Z("account", p->account->address), KV_Z("mailbox", record->name),
			 KV_U64("messages", due.messages));
	}
	uidset_done(&gone);
	p->counts->messages += due.messages;
	p->counts->octets += due.octets;
	if (record->special_use & USE_REJECTS && st.messages > due.messages)
		p->counts->rejects_left += st.messages - due.messages;
	if (p->fn)
		p->fn(p->arg, p->account->address, record->name, due.messages, due.octets);
	return f.kind == FAULT_GONE ? FAULT_OK : f;
}

static bool has_mail(const struct account *a)
{
	struct buf path;
	struct stat st;

	buf_init(&path, 8192);
	bool has = buf_appendf(&path, "%s/" LAYOUT_MAILDIR, a->path) && buf_z(&path) && !stat(buf_z(&path), &st);
	buf_done(&path);
	return has;
}

/* The mailboxes that a rule applies to, of one snapshot. */
struct boxes {
	struct ruled {
		struct index_box record;
		int64_t age_s;
	} *items;
	size_t count;
};

static struct fault take_boxes(struct account *a, struct kv_txn *kv, struct boxes *out)
{
	uint64_t *ids = NULL;
	size_t count = 0;
	struct fault f = adopt_box_ids(kv, &ids, &count);

	out->items = xcalloc(count + 1, sizeof(*out->items));
	for (size_t i = 0; !f.kind && i < count; i++) {
		struct ruled *box = &out->items[out->count];
		f = index_box_get(kv, ids[i], &box->record);
		box->age_s = f.kind ? 0 : age_for(account_conf(a), &box->record);
		out->count += box->age_s != 0;
	}
	free(ids);
	return f;
}

static struct fault find_boxes(struct account *a, struct boxes *out)
{
	struct kv_txn *kv = NULL;
	struct fault f = account_enter(a);

	if (f.kind)
		return f;
	f = account_read(a, &kv);
	if (!f.kind)
		f = take_boxes(a, kv, out);
	kv_read_end(&kv);
	account_leave(a);
	return f;
}

struct fault retention_account(struct store *store, struct sv address, bool is_trial, int64_t until_ms,
			       struct retention_counts *counts, retention_fn *fn, void *arg, bool *is_cut)
{
	struct pass p = { .is_trial = is_trial, .until_ms = until_ms, .counts = counts, .fn = fn, .arg = arg };
	int64_t now = (int64_t)time(NULL);
	struct boxes boxes = { 0 };
	struct fault f = store_account(store, address, &p.account);

	*is_cut = false;
	if (f.kind)
		return f;
	if (!has_mail(p.account)) {     /* nobody was here yet, and looking for old mail is no reason to make mailboxes */
		store_account_unref(&p.account);
		return FAULT_OK;
	}
	f = find_boxes(p.account, &boxes);
	for (size_t i = 0; !f.kind && i < boxes.count && !p.is_cut; i++)
		f = expire_box(&p, &boxes.items[i].record, now - boxes.items[i].age_s);
	counts->accounts += !f.kind && !p.is_cut;
	*is_cut = p.is_cut;
	free(boxes.items);
	store_account_unref(&p.account);
	return f;
}

/* The path of KEPT; NULL: too long. */
static const char *kept_path(struct store *store, struct buf *out)
{
	buf_init(out, 8192);
	return buf_appendf(out, "%s/" KEPT, store_settings(store)->mail_dir) ? buf_z(out) : NULL;
}

static bool are_rejects_there(struct store *store)
{
	struct buf path;
	const char *name = kept_path(store, &path);
	bool are = name && !access(name, F_OK);

	buf_done(&path);
	return are;
}

bool retention_has_rules(struct store *store)
{
	return store_settings(store)->expire_count > 0 || store_settings(store)->keeps_rejects || are_rejects_there(store);
}

/* --- all accounts, a step at a time ------------------------------------------------------------------------------------ */

struct retention {
	struct store *store;
	struct directory *directory;
	int stamp;                      /* locked while a pass is under way; -1: none is */
	int64_t next_ms;                /* when to look at the stamp again */
	char **addresses;
	size_t count, at;
	struct retention_counts counts;
};

struct retention *retention_new(struct store *store, struct directory *directory)
{
	struct retention *r = xcalloc(1, sizeof(*r));

	r->store = store;
	r->directory = directory;
	r->stamp = -1;
	return r;
}

static void end_pass(struct retention *r)
{
	directory_addresses_free(&r->addresses, &r->count);
	r->at = 0;
	if (r->stamp >= 0)
		close(r->stamp);
	r->stamp = -1;
}

void retention_free(struct retention **r)
{
	if (!*r)
		return;
	end_pass(*r);
	free(*r);
	*r = NULL;
}

/* note_rejects - as long as such mail is kept it may be there, and later on until a whole pass has found none. */
static void note_rejects(struct retention *r, bool are_there)
{
	struct buf path;
	const char *name = kept_path(r->store, &path);
	int fd = name && are_there ? open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;

	if (name && (are_there ? fd < 0 : unlink(name) && errno != ENOENT))
		log_warn(NULL, "store.expire.rejects", KV_Z("error", strerror(errno)));
	if (fd >= 0)
		close(fd);
	buf_done(&path);
}

/* Of all processes one: who has the stamp's lock. */
static bool begin_pass(struct retention *r)
{
	struct buf path;
	struct stat st;

	buf_init(&path, 8192);
	if (buf_appendf(&path, "%s/" STAMP, store_settings(r->store)->mail_dir) && buf_z(&path))
		r->stamp = open(buf_z(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	buf_done(&path);
	if (r->stamp < 0) {
		log_warn(NULL, "store.expire.stamp", KV_Z("error", strerror(errno)));
		return false;
	}
	if (store_settings(r->store)->keeps_rejects && !are_rejects_there(r->store))
		note_rejects(r, true);
	/* A clock that was set back does not put it off for ever; a stamp just made has never been used. */
	if (flock(r->stamp, LOCK_EX | LOCK_NB) || fstat(r->stamp, &st) ||
	    (st.st_size && st.st_mtime <= time(NULL) && time(NULL) - st.st_mtime < EVERY_S)) {
		end_pass(r);
		return false;
	}
	r->counts = (struct retention_counts){ 0 };
	struct fault f = directory_account_addresses(r->directory, SV_NONE, &r->addresses, &r->count);

	if (f.kind) {
		log_warn(NULL, "store.expire.accounts", KV_FAULT("fault", f));
		end_pass(r);
	}
	return !f.kind;
}

static void finish_pass(struct retention *r)
{
	if (pwrite(r->stamp, "done\n", 5, 0) != 5)
		log_warn(NULL, "store.expire.stamp", KV_Z("error", strerror(errno)));
	if (!store_settings(r->store)->keeps_rejects && !r->counts.rejects_left && are_rejects_there(r->store))
		note_rejects(r, false);
	if (r->counts.messages)
		log_info(NULL, "store.expire.done", KV_U64("accounts", r->counts.accounts),
			 KV_U64("messages", r->counts.messages), KV_U64("octets", r->counts.octets));
	end_pass(r);
}

bool retention_is_due(const struct retention *r)
{
	return retention_has_rules(r->store) && store_now_ms() >= r->next_ms;
}

void retention_step(struct retention *r)
{
	int64_t now = store_now_ms(), until = now + STEP_MS;

	if (!retention_is_due(r))
		return;
	if (r->stamp < 0 && !begin_pass(r)) {
		r->next_ms = now + 60 * 1000;
		return;
	}
	while (r->at < r->count && store_now_ms() < until) {
		bool is_cut = false;
		struct fault f = retention_account(r->store, sv_z(r->addresses[r->at]), false, until, &r->counts, NULL,
						   NULL, &is_cut);
		if (f.kind)
			log_warn(NULL, "store.expire", KV_Z("account", r->addresses[r->at]), KV_FAULT("fault", f));
		r->counts.rejects_left += f.kind != FAULT_NONE; /* who knows? */
		if (f.kind || !is_cut)
			r->at++;
	}
	if (r->at == r->count)
		finish_pass(r);
}
