/* maildir/filter_host.c - see filter_private.h: the account as a Sieve script sees it. */
#include <time.h>

#include "common/log.h"
#include "maildir/addressbook.h"
#include "maildir/filter_private.h"
#include "maildir/files.h"
#include "maildir/layout.h"
#include "maildir/metadata.h"
#include "maildir/store_private.h"

#include "common/banned.h"

#define HOST_MEMORY ((size_t)16 << 20)  /* of the names of MAILBOX_COUNT_MAX mailboxes */

/* ---- mailboxes ---- */

static bool add_box(struct filter_host *h, const struct index_box *box, size_t most)
{
	struct filter_box *b = &h->boxes[h->box_count];

	if (h->box_count == most)
		return false;
	b->name = arena_copy(&h->arena, sv_z(box->name));
	b->special_use = box->special_use;
	memcpy(b->dir, box->dir, sizeof(b->dir));
	sidecar_id_text(box->id, b->id);
	h->box_count += b->name.p != NULL;
	return b->name.p != NULL;
}

static struct fault collect(struct filter_host *h, struct kv_txn *kv)
{
	struct index_meta meta;
	struct kv_cursor *c = NULL;
	struct index_box box;
	struct sv v;
	struct fault f = index_meta_get(kv, &meta);
	size_t most = f.kind ? 0 : meta.box_count + 16;

	if (!f.kind && !(h->boxes = arena_array(&h->arena, most, sizeof(*h->boxes))))
		f = fault(FAULT_LIMIT, "too many mailboxes");
	if (!f.kind)
		f = kv_cursor_open(kv, T_BOXES, &c);
	if (!f.kind)
		f = kv_cursor_seek(c, SV_NONE, NULL, &v);
	while (!f.kind && index_box_decode(v, &box) && add_box(h, &box, most))
		f = kv_cursor_next(c, NULL, &v);
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static void read_boxes(struct filter_host *h)
{
	struct account *a = h->account;
	struct kv_txn *kv = NULL;
	struct fault f;

	if (h->has_boxes)
		return;
	h->has_boxes = true;
	f = account_enter(a);
	if (!f.kind) {
		f = folders_refresh(a);
		if (!f.kind)
			f = account_read(a, &kv);
		if (!f.kind)
			f = collect(h, kv);
		kv_read_end(&kv);
		account_leave(a);
	}
	if (f.kind)
		h->fault = store_internal(f);
}

static const struct filter_box *find_box(struct filter_host *h, struct sv name)
{
	const struct filter_box *found = NULL;
	struct buf good;

	read_boxes(h);
	buf_init(&good, MAILBOX_NAME_MAX + 1);
	if (!mailbox_name_check(name, &good).kind)
		for (size_t i = 0; i < h->box_count && !found; i++)
			if (sv_eq(h->boxes[i].name, buf_sv(&good)))
				found = &h->boxes[i];
	buf_done(&good);
	return found;
}

/* RFC 6154 §2; 0 is none that a mailbox of ours can have. */
static uint32_t use_bit(struct sv use)
{
	static const struct { struct sv name; uint32_t use; } known[] = {
		{ SV_INIT("\\Drafts"), USE_DRAFTS }, { SV_INIT("\\Sent"), USE_SENT }, { SV_INIT("\\Junk"), USE_JUNK },
		{ SV_INIT("\\Trash"), USE_TRASH }, { SV_INIT("\\Archive"), USE_ARCHIVE }, { SV_INIT("\\Flagged"), USE_FLAGGED },
		{ SV_INIT("\\All"), USE_ALL }, { SV_INIT("\\Important"), USE_IMPORTANT },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (sv_eq_nocase(known[i].name, use))
			return known[i].use;
	return 0;
}

struct sv filter_host_mailbox(struct filter_host *h, struct sv id, struct sv use, struct arena *arena)
{
	uint32_t bit = use_bit(use);

	read_boxes(h);
	for (size_t i = 0; i < h->box_count; i++)
		if (id.len ? sv_eq(id, sv_z(h->boxes[i].id)) : (h->boxes[i].special_use & bit) != 0)
			return arena_copy(arena, h->boxes[i].name);
	return SV_NONE;
}

static bool mailbox_exists(void *arg, struct sv name)
{
	return find_box(arg, name) != NULL;
}

static bool mailbox_id_exists(void *arg, struct sv id)
{
	struct filter_host *h = arg;

	read_boxes(h);
	for (size_t i = 0; i < h->box_count; i++)
		if (sv_eq(id, sv_z(h->boxes[i].id)))
			return true;
	return false;
}

static bool special_use_exists(void *arg, struct sv mailbox, struct sv use)
{
	struct filter_host *h = arg;
	uint32_t bit = use_bit(use);

	read_boxes(h);
	if (mailbox.p) {
		const struct filter_box *box = find_box(h, mailbox);

		return box && (box->special_use & bit);
	}
	for (size_t i = 0; i < h->box_count; i++)
		if (h->boxes[i].special_use & bit)
			return true;
	return false;
}

/* ---- annotations (RFC 5490 §3, §4): everybody's, and the owner's own ---- */

static bool find_entry(const struct metadata *m, struct sv name, struct buf *out)
{
	bool is_private = sv_starts_nocase(name, SV("/private/"));
	struct sv value = metadata_get(m, is_private ? METADATA_OWNER : METADATA_EVERYBODY, name);

	return value.p && buf_append(out, value);
}

static struct fault read_metadata(struct account *a, const char *dir, const char *file, struct metadata *out)
{
	char path[BOX_PATH_MAX];
	struct buf text;
	struct fault f;

	box_path(path, dir, file, NULL);
	buf_init(&text, SIDECAR_MAX);
	f = files_read(a->maildir, path, &text);
	if (!f.kind)
		f = metadata_parse(buf_sv(&text), out);
	buf_done(&text);
	return f;
}

static bool metadata(void *arg, struct sv mailbox, struct sv name, struct buf *out)
{
	struct filter_host *h = arg;
	struct account *a = h->account;
	const struct filter_box *box = mailbox.p ? find_box(h, mailbox) : NULL;
	struct metadata m = { 0 };
	bool found = false;
	struct fault f;

	if (mailbox.p && !box)
		return false;
	f = account_enter(a);
	if (f.kind) {
		h->fault = store_internal(f);
		return false;
	}
	f = read_metadata(a, box ? box->dir : ".", box ? LAYOUT_METADATA_FILE : LAYOUT_SERVER_METADATA_FILE, &m);
	account_leave(a);
	if (!f.kind) {
		found = find_entry(&m, name, out);
		metadata_done(&m);
	}
	return found;
}

/* ---- what is remembered ---- */

static bool is_duplicate(void *arg, struct sv id)
{
	struct filter_host *h = arg;
	struct buf key;
	bool yes;

	buf_init(&key, FILTER_KEY_MAX);
	yes = filter_duplicate_key(&key, id) && scripts_was_seen(h->scripts, buf_sv(&key));
	buf_done(&key);
	return yes;
}

static bool is_answered(void *arg, struct sv handle, struct sv address, uint32_t seconds)
{
	struct filter_host *h = arg;
	struct buf key;
	bool yes;

	(void)seconds;                  /* noted with the answer */
	buf_init(&key, FILTER_KEY_MAX);
	yes = filter_vacation_key(&key, handle, address) && scripts_was_seen(h->scripts, buf_sv(&key));
	buf_done(&key);
	return yes;
}

/* ---- address books (RFC 6134): the account's own, and those for everybody ---- */

static bool load_book(void *arg, struct sv name, struct buf *out)
{
	struct filter_host *h = arg;
	struct fault f;

	if (!sv_eq(name, SV(ADDRESSBOOK_DEFAULT)))
		return !filters_read(h->filters, name, ADDRESSBOOK_SUFFIX, out).kind;
	f = scripts_contacts(h->scripts, out);
	if (f.kind == FAULT_LIMIT) {            /* written by hand: the script fails, the mail stays */
		log_warn(NULL, "sieve.contacts", KV_FAULT("fault", f));
		return false;
	}
	if (f.kind)
		h->fault = store_internal(f);
	return true;
}

static bool list_exists(void *arg, struct sv list)
{
	struct filter_host *h = arg;

	return addressbooks_has_list(h->books, list);
}

static bool list_has(void *arg, struct sv list, struct sv value)
{
	struct filter_host *h = arg;

	return addressbooks_has(h->books, list, value);
}

static struct sv list_member(void *arg, struct sv list, size_t number)
{
	struct filter_host *h = arg;

	return addressbooks_member(h->books, list, number);
}

/* ---- */

static struct date now_here(void)
{
	struct date now = date_now();
	time_t clock = (time_t)now.seconds;
	struct tm local;

	if (localtime_r(&clock, &local))
		now.zone_min = (int32_t)(local.tm_gmtoff / 60);
	return now;
}

void filter_host_init(struct filter_host *h, const struct filters *filters, struct account *account, struct sv address,
		      struct scripts *scripts)
{
	size_t at = sv_rfind(address, '@');

	*h = (struct filter_host){ .filters = filters, .account = account, .scripts = scripts, .addresses = { address } };
	h->books = addressbooks_new(load_book, h);
	arena_init(&h->arena, HOST_MEMORY);
	h->sieve = (struct sieve_host){
		.arg = h,
		.now = now_here(),
		.domain = at == SIZE_MAX ? SV_NONE : sv_sub(address, at + 1, SIZE_MAX),
		.location = SV("MDA"),
		.phase = SV("during"),
		.addresses = h->addresses,
		.address_count = 1,
		.mailbox_exists = mailbox_exists,
		.mailbox_id_exists = mailbox_id_exists,
		.special_use_exists = special_use_exists,
		.metadata = metadata,
		.is_duplicate = is_duplicate,
		.is_answered = is_answered,
		.list_exists = list_exists,
		.list_has = list_has,
		.list_member = list_member,
	};
}

void filter_host_done(struct filter_host *h)
{
	addressbooks_free(&h->books);
	arena_done(&h->arena);
}

const struct sieve_host *filter_host_get(const struct filter_host *h)
{
	return &h->sieve;
}
