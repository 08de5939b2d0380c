/* maildir/quota.c - what an account may hold and holds: limits, counting, warnings. See store.h.
 *
 * What is stored is counted in the transaction that changes it. A warning is a message in the INBOX: whoever stores something
 * and finds that it passed a threshold claims it in the index, so that of all processes one tells it, once until what is
 * stored has been below it again. A new index does not know what was told, and takes what is passed as told. */
#include <stdlib.h>

#include "common/date.h"
#include "common/log.h"
#include "common/memory.h"
#include "maildir/adopt_private.h"
#include "maildir/files.h"
#include "maildir/incoming.h"
#include "maildir/quota_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

/* --- limits ----------------------------------------------------------------------------------------------------------- */

struct fault quota_allows(const struct quota *quota, const struct index_meta *meta, uint64_t bytes, uint64_t messages)
{
	if ((quota->bytes && (bytes > quota->bytes || meta->bytes > quota->bytes - bytes)) ||
	    (quota->messages && (messages > quota->messages || meta->messages > quota->messages - messages)))
		return fault(FAULT_QUOTA, "account is full");
	return FAULT_OK;
}

static struct fault read_meta(struct account *a, struct index_meta *meta)
{
	struct kv_txn *kv = NULL;
	struct fault f = account_enter(a);

	if (f.kind)
		return f;
	f = account_read(a, &kv);
	if (!f.kind)
		f = index_meta_get(kv, meta);
	kv_read_end(&kv);
	account_leave(a);
	return f;
}

struct fault maildir_user_quota(struct maildir_user *user, struct quota_usage *out)
{
	struct index_meta meta;
	struct fault f = read_meta(user->account, &meta);

	if (!f.kind)
		*out = (struct quota_usage){ meta.bytes, meta.messages, user->quota.bytes, user->quota.messages };
	return f;
}

struct fault maildir_drop_fits(struct maildir_drop *drop, uint64_t bytes)
{
	struct index_meta meta;
	struct fault f = drop->quota.bytes || drop->quota.messages ? read_meta(drop->account, &meta) : FAULT_OK;

	if (f.kind || !(drop->quota.bytes || drop->quota.messages))
		return f;
	return quota_allows(&drop->quota, &meta, bytes, 1);
}

/* --- counting anew ---------------------------------------------------------------------------------------------------- */

static struct fault recount_box(struct kv_txn *kv, struct index_box *box)
{
	struct walk w;
	struct fault f = walk_open(&w, kv, T_ROWS, box->id);

	box->size = box->messages = box->unseen = box->deleted = box->recent = 0;
	if (!f.kind)
		f = walk_seek(&w, 0);
	while (!f.kind) {
		struct index_row_head h;
		f = walk_head(&w, &h);
		if (f.kind)
			break;
		box->messages++;
		box->size += h.size;
		box->unseen += !(h.flags & FLAG_SEEN);
		box->deleted += (h.flags & FLAG_DELETED) != 0;
		box->recent += w.uid > box->recent_mark;
		f = walk_next(&w);
	}
	walk_close(&w);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault recount(struct index_txn *t, void *arg)
{
	struct index_meta *was = arg;
	uint64_t *ids = NULL;
	size_t count = 0;
	struct fault f = adopt_box_ids(t->kv, &ids, &count);

	*was = t->meta;
	t->meta.bytes = t->meta.messages = 0;
	for (size_t i = 0; !f.kind && i < count; i++) {
		struct index_box box;

		f = index_box_get(t->kv, ids[i], &box);
		if (!f.kind)
			f = recount_box(t->kv, &box);
		if (f.kind)
			break;
		index_count(t, &box, box.size, box.messages);
		f = index_box_put(t->kv, &box);
	}
	free(ids);
	t->meta_changed = true;
	return f;
}

struct fault maildir_user_recount(struct maildir_user *user)
{
	struct index_meta was, is;
	struct fault f = account_enter(user->account);

	if (f.kind)
		return f;
	f = index_update(user->account, recount, &was);
	account_leave(user->account);
	if (!f.kind)
		f = read_meta(user->account, &is);
	if (!f.kind)
		log_info(NULL, "store.quota.recount", KV_Z("account", user->account->address),
			 KV_I64("bytes_difference", (int64_t)(is.bytes - was.bytes)),
			 KV_I64("messages_difference", (int64_t)(is.messages - was.messages)),
			 KV_U64("bytes", is.bytes), KV_U64("messages", is.messages));
	return f;
}

/* --- warnings ---------------------------------------------------------------------------------------------------------- */

/* part of whole in percent, rounded down; neither overflows a double's use here. */
static uint32_t percent(uint64_t part, uint64_t whole)
{
	return whole ? (uint32_t)((double)part * 100 / (double)whole) : 0;
}

/* The highest threshold that is passed; 0: none. */
static uint32_t level_of(const struct account *a, const struct quota *quota, const struct index_meta *meta)
{
	const struct store_conf *conf = account_conf(a);
	uint32_t bytes = percent(meta->bytes, quota->bytes), messages = percent(meta->messages, quota->messages);
	uint32_t used = bytes > messages ? bytes : messages, level = 0;

	for (size_t i = 0; i < conf->quota_warning_count; i++)
		if (used >= conf->quota_warnings[i])
			level = conf->quota_warnings[i];
	return level;
}

static bool is_watched(const struct account *a, const struct quota *quota)
{
	return account_conf(a)->quota_warning_count && (quota->bytes || quota->messages);
}

void quota_before(struct index_txn *t, const struct quota *quota)
{
	uint32_t level;

	if (!is_watched(t->account, quota))
		return;
	level = level_of(t->account, quota, &t->meta);
	if (level < t->meta.quota_told) {       /* also when it is not known what was told */
		t->meta.quota_told = level;
		t->meta_changed = true;
	}
}

bool quota_is_due(const struct index_txn *t, const struct quota *quota)
{
	return is_watched(t->account, quota) && level_of(t->account, quota, &t->meta) > t->meta.quota_told;
}

struct claim {
	const struct quota *quota;
	uint32_t level;                 /* out; 0: somebody else was faster, or it is over */
	struct index_meta meta;
};

static struct fault claim(struct index_txn *t, void *arg)
{
	struct claim *c = arg;
	uint32_t level = level_of(t->account, c->quota, &t->meta);

	c->level = level > t->meta.quota_told ? level : 0;
	if (c->level) {
		t->meta.quota_told = level;
		t->meta_changed = true;
	}
	c->meta = t->meta;
	return FAULT_OK;
}

static void append_line(struct buf *text, const char *what, uint64_t used, uint64_t of, bool is_bytes)
{
	if (of && is_bytes)
		buf_appendf(text, "%s: %.1f MB of %.1f MB (%u %%)\r\n", what, (double)used / 1e6, (double)of / 1e6,
			    percent(used, of));
	else if (of)
		buf_appendf(text, "%s: %llu of %llu (%u %%)\r\n", what, (unsigned long long)used, (unsigned long long)of,
			    percent(used, of));
}

/* RFC 5322; RFC 3834 §5 keeps vacation programs from answering it. */
static bool write_warning(const struct account *a, const struct claim *c, struct buf *text)
{
	const char *at = strrchr(a->address, '@');
	char id[FILES_TEMP_LEN];

	files_temp_name("quota", id);
	buf_appendf(text, "From: Mail server <postmaster%s>\r\nTo: <%s>\r\nSubject: Your mailbox is %u %% full\r\n"
		    "Message-ID: <%s%s>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nDate: ",
		    at ? at : "", a->address, c->level, id, at ? at : "@localhost");
	date_append_5322(text, date_now());
	buf_append(text, SV("\r\n\r\nThis is a message of your mail server.\r\n\r\n"));
	append_line(text, "Stored", c->meta.bytes, c->quota->bytes, true);
	append_line(text, "Messages", c->meta.messages, c->quota->messages, false);
	return buf_append(text, SV("\r\nWhen your mailbox is full, new mail cannot be delivered. Please delete what you no longer "
				   "need, and empty the Trash.\r\n"));
}

static struct fault put_warning(struct account *a, struct buf *text)
{
	struct maildir_drop drop = { .account = a };    /* no quota: this one message may pass it */
	struct delivery place = { .drop = &drop, .mailbox = SV("INBOX") };
	struct incoming *in = NULL;
	struct fault f = incoming_new(NULL, &drop, text->len, &in);

	if (!f.kind)
		f = incoming_write(in, buf_sv(text));
	if (!f.kind)
		f = incoming_finish(in);
	if (!f.kind)
		f = incoming_deliver(in, &place, 1);
	incoming_free(&in);
	return f;
}

void quota_warn(struct account *a, const struct quota *quota)
{
	struct claim c = { .quota = quota };
	struct buf text;
	struct fault f = account_enter(a);

	if (f.kind)
		return;         /* whoever stores something next finds it due again */
	f = index_update(a, claim, &c);
	account_leave(a);
	if (f.kind || !c.level)
		return;
	buf_init(&text, 8192);
	f = write_warning(a, &c, &text) ? put_warning(a, &text) : fault(FAULT_LIMIT, "text of a warning");
	buf_done(&text);
	if (f.kind)
		log_warn(NULL, "store.quota.warning", KV_Z("account", a->address), KV_FAULT("fault", f));
	else
		log_info(NULL, "store.quota.warned", KV_Z("account", a->address), KV_U64("percent", c.level));
}
