/* maildir/incoming.c - see incoming.h: streaming a message in, and APPEND. Delivery is deliver.c. */
#include "maildir/incoming_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/mime.h"
#include "maildir/copy_private.h"
#include "maildir/files.h"
#include "maildir/flushes.h"
#include "maildir/pack_private.h"
#include "maildir/quota_private.h"
#include "maildir/seen_private.h"

#include "common/banned.h"

#define FREE_MIN ((uint64_t)1 << 20)    /* octets left on the disk for indexes and expunges */
#define FREE_FILES_MIN 16
#define ENCODED_MAX ((size_t)8 << 20)

static struct fault check_space(int dir)
{
	struct statvfs st;

	if (fstatvfs(dir, &st))
		return fault_errno("statvfs", "Maildir");
	if ((uint64_t)st.f_bavail * st.f_frsize < FREE_MIN)
		return fault(FAULT_NO_SPACE, "disk is nearly full");
	if (st.f_files && st.f_favail < FREE_FILES_MIN)
		return fault(FAULT_NO_SPACE, "disk has hardly any inodes left");
	return FAULT_OK;
}

struct fault incoming_new(struct maildir_user *user, struct maildir_drop *drop, uint64_t max_size,
			  struct incoming **out)
{
	struct account *a = user ? user->account : drop->account;
	char name[FILES_TEMP_LEN], temp[BOX_PATH_MAX];
	int fd = -1;

	files_temp_name("postroom", name);
	box_path(temp, ".", "tmp", name);
	struct fault f = account_hold_folders(a);

	if (f.kind)
		return f;
	f = check_space(a->maildir);
	if (!f.kind) {
		fd = files_open(a->maildir, temp, O_RDWR | O_CREAT | O_EXCL, account_conf(a)->umask_file);
		if (fd < 0)
			f = fault_errno("create", temp);
	}
	account_release_folders(a);
	if (f.kind)
		return store_internal(f);
	struct incoming *in = xcalloc(1, sizeof(*in));
	in->account = store_account_ref(a);
	in->fd = fd;
	in->max_size = max_size;
	snprintf(in->temp, sizeof(in->temp), "%s", temp);
	in->digest = crypt_digest_new(CRYPT_SHA256);
	in->parser = mime_parser_new();
	buf_init(&in->encoded, ENCODED_MAX);
	*out = in;
	return FAULT_OK;
}

struct fault incoming_write(struct incoming *in, struct sv octets)
{
	if (in->fault.kind)
		return in->fault;
	if (in->is_finished)
		BUG("octets behind the end of a message");
	if (octets.len > in->max_size - in->size) {
		in->fault = fault(FAULT_LIMIT, "message is too big");
		return in->fault;
	}
	in->fault = files_write_all(in->fd, octets);
	if (in->fault.kind)
		return in->fault;
	in->size += octets.len;
	crypt_digest_add(in->digest, octets);
	mime_parser_feed(in->parser, octets);
	return FAULT_OK;
}

/* Pack the message and put that in the place of its file; in->fd stays open on what came. False: it stays as it came. */
static bool put_packed(struct incoming *in)
{
	struct account *a = in->account;
	char name[FILES_TEMP_LEN], temp[BOX_PATH_MAX];
	bool is_packed = false;

	files_temp_name("postroom", name);
	box_path(temp, ".", "tmp", name);
	pthread_rwlock_rdlock(&a->gate);
	int fd = a->maildir < 0 ? -1 : files_open(a->maildir, temp, O_RDWR | O_CREAT | O_EXCL, account_conf(a)->umask_file);
	if (fd >= 0) {
		is_packed = pack_octets(in->fd, in->size, fd) && !renameat(a->maildir, temp, a->maildir, in->temp);
		if (!is_packed)
			unlinkat(a->maildir, temp, 0);
		close(fd);
	}
	pthread_rwlock_unlock(&a->gate);
	return is_packed;
}

/* flush - the octets are on disk before any name says so. After a fault of the disk nothing is tried again. */
static struct fault flush(struct incoming *in)
{
	in->is_unflushed = false;
	if (!in->fault.kind && fdatasync(in->fd))
		in->fault = fault_errno("flush", "message");
	return in->fault;
}

struct fault incoming_finish(struct incoming *in)
{
	struct fault f = incoming_finish_later(in);

	return !f.kind && in->is_unflushed ? flush(in) : f;
}

void incoming_hurry(const struct incoming *in)
{
	if (in->is_unflushed)
		(void)!sync_file_range(in->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

struct fault incoming_finish_later(struct incoming *in)
{
	if (in->is_finished)
		return in->fault;
	in->is_finished = true;
	filename_content_id(in->digest, in->id);
	crypt_digest_free(&in->digest);
	if (!in->fault.kind) {
		in->message = mime_parser_finish(in->parser);
		if (!mime_encode(in->message, &in->encoded))
			buf_clear(&in->encoded);        /* then it is parsed from the file when asked for */
	}
	mime_parser_free(&in->parser);
	if (!in->fault.kind && store_compresses(in->account->store, in->account->address) && put_packed(in))
		return in->fault;
	in->is_unflushed = !in->fault.kind;
	return in->fault;
}

const struct mime_message *incoming_message(const struct incoming *in)
{
	return in->message;
}

uint64_t incoming_size(const struct incoming *in)
{
	return in->size;
}

void incoming_email(const struct incoming *in, uint8_t out[16])
{
	filename_email_digest(sv_z(in->id), out);
}

int incoming_file(const struct incoming *in)
{
	return in->fd;
}

void incoming_free(struct incoming **incoming)
{
	struct incoming *in = *incoming;

	if (!in)
		return;
	if (in->temp[0]) {
		pthread_rwlock_rdlock(&in->account->gate);
		if (in->account->maildir >= 0)
			unlinkat(in->account->maildir, in->temp, 0);
		pthread_rwlock_unlock(&in->account->gate);
	}
	close(in->fd);
	crypt_digest_free(&in->digest);
	mime_parser_free(&in->parser);
	mime_message_free(&in->message);
	buf_done(&in->encoded);
	store_account_unref(&in->account);
	free(in);
	*incoming = NULL;
}

/* --- giving it a place ------------------------------------------------------------------------------------------------- */

struct fault place_file(struct index_txn *t, struct index_box *record, struct placing *p)
{
	char base[FILENAME_BASE_MAX + 64], to[BOX_PATH_MAX];
	int64_t now = (int64_t)time(NULL);
	struct index_row row = { .h = { .size = p->wire_size, .stored = p->size, .savedate = now,
					.internaldate = p->has_internaldate ? p->internaldate : now,
					.keywords = p->keywords, .flags = p->flags } };
	struct filename n = {
		.has_size = true, .has_wire_size = true, .has_uid = true,
		.has_internaldate = p->has_internaldate && p->internaldate != now,
		.size = p->size, .wire_size = p->wire_size, .uidvalidity = record->uidvalidity,
		.internaldate = p->internaldate, .keywords = p->keywords, .flags = p->flags,
	};
	struct fault f = index_take_uids(t, record, 1, &row.uid);

	if (f.kind)
		return f;
	snprintf(base, sizeof(base), "%lld.%s.%s", (long long)now, p->id, store_host(t->account->store));
	n.base = sv_z(base);
	n.uid = row.uid;
	if (!filename_write(&n, row.name))
		return fault(FAULT_INTERNAL, "message file's name is too long");
	row.h.name_len = (uint16_t)strlen(row.name);
	filename_email_digest(sv_z(p->id), row.h.email);
	box_path(to, record->dir, "cur", row.name);
	index_intend_file(t, record->id, row.name);
	f = files_rename_new(t->account->maildir, p->temp, t->account->maildir, to);
	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? fault(FAULT_INTERNAL, "temporary file is gone") : f;
	index_undo_note(t, p->temp, to);
	f = index_row_add(t, record, &row);
	if (!f.kind && p->encoded.len)
		f = index_parsed_put(t->kv, record->id, row.uid, p->encoded);
	p->uid = row.uid;
	return f;
}

struct append {
	struct mailbox *box;
	struct placing *places;
	size_t count;
	char dir[LAYOUT_DIR_MAX + 1];   /* out */
	uint32_t uidvalidity;           /* out */
	bool is_warning_due;            /* out */
	/* Of a reader of somebody else's mailbox, whose \Seen is their own. */
	bool *is_seen;
	int seen_fd;
};

static struct fault note_seen(struct index_txn *t, struct append *ap, const struct index_box *record)
{
	struct uidset seen = { 0 }, none = { 0 };
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < ap->count; i++)
		if (ap->is_seen[i])
			uidset_add(&seen, ap->places[i].uid, ap->places[i].uid);
	if (ap->seen_fd >= 0)           /* of a run that was not committed */
		close(ap->seen_fd);
	ap->seen_fd = -1;
	if (seen.count)
		f = mailbox_seen(ap->box, record);
	if (seen.count && !f.kind)
		f = seen_append(t->account, record->dir, ap->box->reader, ap->box->seen, &seen, &none, &ap->seen_fd);
	uidset_done(&seen);
	return f;
}

static struct fault append(struct index_txn *t, void *arg)
{
	struct append *ap = arg;
	struct index_box record;
	uint64_t bytes = 0, messages = 0;
	struct fault f = mailbox_gone(index_box_get(t->kv, ap->box->id, &record));

	if (!f.kind && record.special_use & USE_REJECTS)
		f = fault(FAULT_DENIED, "only the server puts mail there");
	for (size_t i = 0; i < ap->count; i++) {
		uint64_t size = ap->places[i].wire_size, gone = ap->places[i].replaces;

		bytes += size > gone ? size - gone : 0;
		messages += !gone;
	}
	if (!f.kind && (bytes || messages))
		f = quota_allows(&ap->box->quota, &t->meta, bytes, messages);
	if (f.kind)
		return f;
	quota_before(t, &ap->box->quota);
	adopt_check_times(t->account, &record);
	if (record.uidnext + ap->count > record.uid_ceiling) {  /* all of them at once, not one retry each */
		t->renew_box = record.id;
		t->renew_count = (uint32_t)ap->count;
		return fault(FAULT_BUSY, "UIDs are not reserved yet");
	}
	for (size_t i = 0; !f.kind && i < ap->count; i++)
		f = place_file(t, &record, &ap->places[i]);
	if (!f.kind && ap->box->reader)
		f = note_seen(t, ap, &record);
	adopt_note_times(t->account, &record);
	memcpy(ap->dir, record.dir, sizeof(ap->dir));
	ap->uidvalidity = record.uidvalidity;
	ap->is_warning_due = quota_is_due(t, &ap->box->quota);
	return f.kind ? f : index_box_put(t->kv, &record);
}

/* The message's file in this account's tmp/: where it is, or a link or copy of it. */
struct fault incoming_bring(struct incoming *in, struct account *a, char temp[BOX_PATH_MAX])
{
	char name[FILES_TEMP_LEN];
	struct fault f = FAULT_OK;

	files_temp_name("postroom", name);
	box_path(temp, ".", "tmp", name);
	/* The source's folder may be closed and opened again by others: its path leads through the descriptor's gate. */
	if (in->account == a) {
		if (!linkat(a->maildir, in->temp, a->maildir, temp, 0))
			return FAULT_OK;
	} else {
		bool linked = false;
		pthread_rwlock_rdlock(&in->account->gate);
		linked = in->account->maildir >= 0 &&
			 !linkat(in->account->maildir, in->temp, a->maildir, temp, 0);
		pthread_rwlock_unlock(&in->account->gate);
		if (linked)
			return FAULT_OK;
	}
	/* Another file system, too many links, or one that knows none: a copy. */
	int fd = files_open(a->maildir, temp, O_WRONLY | O_CREAT | O_EXCL, account_conf(a)->umask_file);
	char *piece = xmalloc(65536);
	off_t at = 0;
	ssize_t n = 1;

	if (fd < 0)
		f = fault_errno("create", temp);
	while (!f.kind && n) {
		n = pread(in->fd, piece, 65536, at);
		if (n < 0 && errno == EINTR)
			continue;
		f = n < 0 ? fault_errno("read", "message") : files_write_all(fd, sv_from(piece, (size_t)n));
		at += n > 0 ? n : 0;
	}
	if (!f.kind && fdatasync(fd))
		f = fault_errno("flush", temp);
	if (fd >= 0)
		close(fd);
	if (f.kind && fd >= 0)
		unlinkat(a->maildir, temp, 0);
	free(piece);
	return f;
}

void incoming_describe(const struct incoming *in, struct placing *p)
{
	p->encoded = buf_sv(&in->encoded);
	p->id = in->id;
	p->size = in->size;
	p->wire_size = in->message->wire_size;
}

static struct fault flush_one(void *arg, size_t i)
{
	struct append_item *items = arg;

	return items[i].message->is_unflushed ? flush(items[i].message) : FAULT_OK;
}

static struct fault prepare(struct append *ap, struct append_item *item, size_t i, char brought[BOX_PATH_MAX])
{
	struct placing *p = &ap->places[i];
	struct incoming *in = item->message;
	bool may_keywords;
	struct fault f = in->is_finished ? in->fault : fault(FAULT_INTERNAL, "message is not finished");

	if (f.kind)
		return f;
	incoming_describe(in, p);
	p->temp = in->temp;
	p->flags = mailbox_keep_flags(ap->box, item->flags, &may_keywords);
	if (ap->box->reader) {
		ap->is_seen[i] = p->flags & FLAG_SEEN;
		p->flags &= ~(uint32_t)FLAG_SEEN;
	}
	p->has_internaldate = item->has_internaldate;
	p->internaldate = item->internaldate;
	p->replaces = item->replaces;
	if (in->account != ap->box->account || !in->temp[0]) {
		f = incoming_bring(in, ap->box->account, brought);
		p->temp = brought;
	}
	if (!f.kind)
		f = account_keywords(ap->box->account, ap->box->id, item->keywords,
				     may_keywords ? item->keyword_count : 0, true, &p->keywords);
	return mailbox_gone(f);
}

struct fault incoming_append(struct mailbox *box, struct append_item *items, size_t count)
{
	struct append ap = { .box = box, .count = count, .seen_fd = -1 };
	char (*brought)[BOX_PATH_MAX];
	struct fault f = mailbox_enter(box, false);

	if (f.kind)
		return f;
	ap.places = xcalloc(count ? count : 1, sizeof(*ap.places));
	ap.is_seen = xcalloc(count ? count : 1, sizeof(*ap.is_seen));
	brought = xcalloc(count ? count : 1, sizeof(*brought));
	f = mailbox_needs(box, RIGHT_INSERT);
	if (!f.kind)
		f = flushes_run(count, flush_one, items);
	for (size_t i = 0; !f.kind && i < count; i++)
		f = prepare(&ap, &items[i], i, brought[i]);
	if (!f.kind && count)
		f = index_update(box->account, append, &ap);
	bool is_placed = !f.kind && count;
	if (is_placed) {
		f = account_sync_cur(box->account, ap.dir);
	}
	if (ap.seen_fd >= 0) {
		struct fault kept = seen_flush(box->account, ap.dir, &ap.seen_fd);

		if (!f.kind)
			f = kept;
	}
	if (is_placed && f.kind) {
		/* Not durable, so not there: RFC 3501 §6.3.11, as if nothing had been tried. */
		struct uidset uids = { 0 };
		for (size_t i = 0; i < count; i++)
			uidset_add(&uids, ap.places[i].uid, ap.places[i].uid);
		copy_remove(box->account, box->id, &uids);
		uidset_done(&uids);
	}
	for (size_t i = 0; i < count; i++) {
		items[i].uid = f.kind ? 0 : ap.places[i].uid;
		items[i].uidvalidity = f.kind ? 0 : ap.uidvalidity;
		if (is_placed && !brought[i][0])
			items[i].message->temp[0] = '\0';
		if (!is_placed && brought[i][0])
			unlinkat(box->account->maildir, brought[i], 0);
		if (!f.kind)
			incoming_free(&items[i].message);
	}
	account_leave(box->account);
	if (!f.kind && ap.is_warning_due)
		quota_warn(box->account, &box->quota);
	free(ap.places);
	free(ap.is_seen);
	free(brought);
	return f;
}
