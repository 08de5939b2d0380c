/* maildir/import_exchange.c - an account without mail gets all that is laid ready by one exchange of folders, alone: nobody ever sees
 * half of it. Its new account sidecar has a generation that no index knows, so whoever comes by before the new index is made makes
 * it himself. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "maildir/files.h"
#include "maildir/import_private.h"
#include "maildir/mailbox_private.h"

#include "common/banned.h"

#define GENERATION_LEAP 2000    /* more than an index would take for its own sidecar's (account.c) */

/* Did this account ever hold a message? Inside. */
static struct fault look_for_mail(struct account *a, bool *is_virgin)
{
	struct kv_txn *kv = NULL;
	uint64_t *ids = NULL;
	size_t count = 0;
	struct fault f = account_read(a, &kv);

	*is_virgin = true;
	if (!f.kind)
		f = adopt_box_ids(kv, &ids, &count);
	for (size_t i = 0; !f.kind && i < count; i++) {
		struct index_box box;
		f = index_box_get(kv, ids[i], &box);
		if (!f.kind && (box.messages || box.uidnext > 1))
			*is_virgin = false;
	}
	kv_read_end(&kv);
	free(ids);
	return f;
}

struct exchange {
	struct import *im;
	struct fault fault;
	uint32_t uidvalidity;           /* the highest */
	int from, to;
};

/* A mailbox that the account has: its special use goes over to the one of that name, or it goes over itself. */
static bool carry_over(void *arg, const char *name, unsigned char type)
{
	struct exchange *x = arg;
	struct sidecar_mailbox have, side;
	struct fault f;

	if (type != DT_DIR || name[0] != '.')
		return true;
	if (stage_has_message(x->from, name)) {
		x->fault = fault(FAULT_BUSY, "mail has come meanwhile");
		return false;
	}
	f = stage_read_sidecar(x->from, name, &have);
	if (f.kind)
		return true;            /* no mailbox of ours, and empty */
	f = stage_find_sidecar(x->to, name, &side);
	if (f.kind == FAULT_NOT_FOUND) {
		f = adopt_new_mailbox_at(account_conf(x->im->account), x->to, name, &have, false);
	} else if (!f.kind) {
		side.special_use |= have.special_use;
		side.generation++;
		f = stage_write_sidecar(x->to, name, &side);
		sidecar_mailbox_done(&side);
	}
	sidecar_mailbox_done(&have);
	x->fault = f;
	return !f.kind;
}

static bool find_uidvalidity(void *arg, const char *name, unsigned char type)
{
	struct exchange *x = arg;
	struct sidecar_mailbox side;

	if (type == DT_DIR && name[0] == '.' && !stage_read_sidecar(x->to, name, &side).kind) {
		if (side.uidvalidity > x->uidvalidity)
			x->uidvalidity = side.uidvalidity;
		sidecar_mailbox_done(&side);
	}
	return true;
}

static struct fault put_text(int dir, const char *path, struct sv text)
{
	unlinkat(dir, path, 0);
	return files_write_new(dir, path, text, 0600);
}

/* What an account has beside its mailboxes. */
static struct fault write_account_files(struct exchange *x)
{
	struct sidecar_account account;
	struct sidecar_subscriptions subscribed;
	struct buf text;
	struct fault f;

	buf_init(&text, SIDECAR_MAX);
	f = files_read(x->from, LAYOUT_ACCOUNT_FILE, &text);
	if (!f.kind)
		f = sidecar_account_parse(buf_sv(&text), &account);
	if (f.kind) {
		buf_done(&text);
		return f;
	}
	account.generation += GENERATION_LEAP;
	if (x->uidvalidity < UINT32_MAX - 4 * UIDVALIDITY_BLOCK && account.uidvalidity_floor <= x->uidvalidity)
		account.uidvalidity_floor = x->uidvalidity + UIDVALIDITY_BLOCK;
	buf_clear(&text);
	f = sidecar_account_write(&account, &text);
	sidecar_account_done(&account);
	if (!f.kind)
		f = put_text(x->to, LAYOUT_ACCOUNT_FILE, buf_sv(&text));
	if (!f.kind)
		f = account_subscriptions(x->im->account, &subscribed);
	if (!f.kind) {
		for (size_t i = 0; i < x->im->subscription_count; i++)
			sidecar_subscribe(&subscribed, sv_z(x->im->subscriptions[i]), true);
		subscribed.generation++;
		buf_clear(&text);
		f = sidecar_subscriptions_write(&subscribed, &text);
		if (!f.kind)
			f = put_text(x->to, LAYOUT_SUBSCRIPTIONS_FILE, buf_sv(&text));
		sidecar_subscriptions_done(&subscribed);
	}
	buf_done(&text);
	return f;
}

/* The account is held alone. */
static struct fault exchange(struct account *a, void *arg)
{
	struct exchange *x = arg;
	struct sidecar_mailbox inbox;
	struct fault f;

	x->from = a->maildir;
	x->to = x->im->staging;
	if (stage_has_message(x->from, "."))
		return fault(FAULT_BUSY, "mail has come meanwhile");
	f = stage_find_sidecar(x->to, ".", &inbox);
	if (f.kind == FAULT_NOT_FOUND) {        /* a source without an INBOX: the account's own */
		f = stage_read_sidecar(x->from, ".", &inbox);
		if (!f.kind)
			f = adopt_new_mailbox_at(account_conf(a), x->to, ".", &inbox, true);
	}
	if (!f.kind) {
		x->uidvalidity = inbox.uidvalidity;
		sidecar_mailbox_done(&inbox);
		f = files_each(x->from, ".", carry_over, x);
	}
	if (!f.kind)
		f = x->fault;
	if (!f.kind)
		f = files_each(x->to, ".", find_uidvalidity, x);
	if (!f.kind)
		f = write_account_files(x);
	if (!f.kind && syncfs(x->to))
		f = fault_errno("syncfs", IMPORT_FOLDER);
	if (f.kind)
		return f;
	if (renameat2(a->dir, IMPORT_FOLDER, a->dir, LAYOUT_MAILDIR, RENAME_EXCHANGE)) {
		if (errno != EINVAL && errno != ENOSYS)
			return fault_errno("exchange", IMPORT_FOLDER);
		/* A file system that cannot: for a moment there is none. */
		char old[FILES_TEMP_LEN];
		files_temp_name(LAYOUT_MAILDIR ".old", old);
		if (renameat(a->dir, LAYOUT_MAILDIR, a->dir, old) || renameat(a->dir, IMPORT_FOLDER, a->dir, LAYOUT_MAILDIR) ||
		    renameat(a->dir, old, a->dir, IMPORT_FOLDER))
			return fault_errno("exchange", IMPORT_FOLDER);
	}
	f = files_sync_dir(a->dir, ".");
	if (!f.kind)
		unlinkat(x->to, IMPORT_NOTE, 0);        /* the account's Maildir now */
	return f;
}

struct fault exchange_all(struct import *im, bool *is_done)
{
	struct account *a = im->account;
	struct exchange x = { .im = im };
	bool is_virgin = false;
	struct fault f = account_enter(a);

	*is_done = false;
	if (f.kind)
		return f;
	f = look_for_mail(a, &is_virgin);
	account_leave(a);
	if (f.kind || !is_virgin)
		return f;
	f = account_replace(a, exchange, &x);
	*is_done = !f.kind;
	return f.kind == FAULT_BUSY ? FAULT_OK : f;
}
