#include "admin/imap_move.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/imap_folders.h"
#include "common/crc32c.h"
#include "common/date.h"
#include "common/memory.h"
#include "maildir/import_book.h"
#include "maildir/incoming.h"
#include "maildir/mailbox.h"

#include "common/banned.h"

#define CHUNK 64                        /* messages asked for by one command, and stored by one transaction */
#define BATCH_OCTETS ((uint64_t)32 << 20)
#define BATCH_TEXT ((size_t)1 << 20)    /* keywords of a batch */
#define COMMAND_MAX 65536
#define NOTES_MAX 4096

/* A message of ours that no earlier run has brought: the octets that make its id may be on their way once more. */
struct resident {
	uint8_t email[16];
	uint32_t uid;
	bool is_met;
};

struct box {
	const struct imap_folder *folder;
	const char *target;             /* its name here */
	struct mailbox *open;           /* while it is worked on; NULL in a dry run that would make it */
	struct import_book_box *book;
	uint32_t *wanted;               /* UIDs to fetch, ascending */
	size_t wanted_count, wanted_cap;
	uint64_t met;                   /* of the book: are still in the source */
	uint64_t known;                 /* by the book, before this run */
	uint64_t missing, empty, too_large, with_nul, keywords_lost;
	struct imap_move_result result;
	struct buf notes;
};

struct moving {
	struct maildir_user *user;
	const struct imap_move_options *options;
	const struct imap_move_events *events;
	struct imap_client *client;
	struct imap_folders folders;
	struct import_book *book;
	struct box *boxes;              /* of all folders */
	char *uses[32];                 /* our mailbox of each special use, by its bit; NULL: none */
	uint64_t done, total;

	/* Of the mailbox that is worked on. */
	struct box *box;
	uint32_t uidvalidity, exists;
	struct resident *residents;     /* by id */
	size_t resident_count, resident_cap;

	/* The message that is coming in, and those that wait to be stored. */
	struct incoming *message;
	bool is_dropped, has_nul;
	struct append_item items[CHUNK];
	struct import_book_entry entries[CHUNK];
	size_t item_count;
	uint64_t item_octets;
	struct arena texts;
	const uint32_t *asked;          /* the chunk's UIDs */
	bool has_come[CHUNK];
	size_t asked_count;
};

PRINTF_LIKE(2, 3) static void note(struct box *box, const char *format, ...)
{
	va_list ap;

	if (box->notes.len)
		(void)buf_append(&box->notes, SV("; "));
	va_start(ap, format);
	(void)buf_vappendf(&box->notes, format, ap);
	va_end(ap);
}

static void step(struct moving *m)
{
	m->done++;
	if (m->events->progress)
		m->events->progress(m->events->arg, m->done, m->total);
}

/* ---- what a FETCH response says ---- */

struct fetched {
	uint32_t uid;                   /* 0: not said */
	bool has_flags, has_date;
	uint32_t flags, digest;
	struct date date;
	struct sv keywords[KEYWORDS_MAX];
	size_t keyword_count, keywords_lost;
};

static const struct { const char *name; uint32_t flag; } system_flags[] = {
	{ "\\Seen", FLAG_SEEN },       { "\\Answered", FLAG_ANSWERED }, { "\\Flagged", FLAG_FLAGGED },
	{ "\\Deleted", FLAG_DELETED }, { "\\Draft", FLAG_DRAFT },
};

/* The digest is the same in whatever order and case flags come. */
static uint32_t digest_of(struct sv flag)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < flag.len; i++) {
		char c = ascii_lower(flag.p[i]);

		crc = crc32c_more(crc, sv_from(&c, 1));
	}
	return crc | 1;
}

static void take_flag(struct fetched *out, struct sv flag)
{
	for (size_t i = 0; i < ARRAY_LEN(system_flags); i++)
		if (sv_eq_nocase(flag, sv_z(system_flags[i].name))) {
			out->flags |= system_flags[i].flag;
			out->digest += digest_of(flag);
			return;
		}
	if (!flag.len || flag.p[0] == '\\')     /* \Recent, and what servers made up */
		return;
	out->digest += digest_of(flag);
	if (flag.len > KEYWORD_LEN_MAX || out->keyword_count == KEYWORDS_MAX)
		out->keywords_lost++;
	else
		out->keywords[out->keyword_count++] = flag;
}

/* "* 12 FETCH (UID 7 FLAGS (\Seen) ...)"; false: another response. Views into the reply. */
static bool read_fetch(const struct imap_reply *r, struct fetched *out)
{
	*out = (struct fetched){ .uid = 0 };
	if (r->count < 5 || !imap_reply_is(r, 2, "FETCH") || r->tokens[3].kind != IMAP_REPLY_OPEN)
		return false;
	for (size_t i = 4; i + 1 < r->tokens[3].match; i = imap_reply_after(r, i + 1)) {
		if (imap_reply_is(r, i, "UID")) {
			if (!sv_to_u32(imap_reply_text(r, i + 1), &out->uid))
				out->uid = 0;
		} else if (imap_reply_is(r, i, "FLAGS") && r->tokens[i + 1].kind == IMAP_REPLY_OPEN) {
			out->has_flags = true;
			for (size_t n = i + 2; n < r->tokens[i + 1].match; n++)
				take_flag(out, imap_reply_text(r, n));
		} else if (imap_reply_is(r, i, "INTERNALDATE")) {
			out->has_date = date_parse_imap(sv_trim(imap_reply_text(r, i + 1)), &out->date);
		}
	}
	return true;
}

/* ---- first pass: compare ---- */

static struct fault change_flags(struct moving *m, uint32_t ours, const struct fetched *from)
{
	struct flag_change change = { .mode = STORE_REPLACE, .flags = from->flags, .keywords = from->keywords,
				      .keyword_count = from->keyword_count };
	struct uidset set = { 0 }, modified = { 0 };
	uint32_t resume = 0;
	struct fault f;

	uidset_add(&set, ours, ours);
	f = mailbox_store_flags(m->box->open, &set, &change, &resume, &modified, NULL, NULL);
	if ((f.kind == FAULT_LIMIT || f.kind == FAULT_INVALID) && change.keyword_count) {
		m->box->keywords_lost++;
		change.keyword_count = 0;
		resume = 0;
		f = mailbox_store_flags(m->box->open, &set, &change, &resume, &modified, NULL, NULL);
	}
	uidset_done(&set);
	uidset_done(&modified);
	return f;
}

static struct fault want(struct box *box, uint32_t uid)
{
	if (box->wanted_count == IMPORT_BOOK_MESSAGES_MAX)
		return fault_detail(FAULT_LIMIT, "%.80s has more messages than we can remember", box->folder->raw);
	if (box->wanted_count == box->wanted_cap) {
		box->wanted_cap = box->wanted_cap ? box->wanted_cap * 2 : 256;
		box->wanted = xrealloc(box->wanted, box->wanted_cap * sizeof(*box->wanted));
	}
	box->wanted[box->wanted_count++] = uid;
	return FAULT_OK;
}

static struct fault compare_one(void *arg, const struct imap_reply *reply)
{
	struct moving *m = arg;
	struct box *box = m->box;
	const struct import_book_entry *known;
	struct fetched got;

	if (!read_fetch(reply, &got) || !got.uid || !got.has_flags)
		return FAULT_OK;
	box->result.found++;
	known = import_book_find(box->book, got.uid);
	if (!known)
		return want(box, got.uid);
	box->met++;
	box->result.present++;
	if (known->flags == got.digest)
		return FAULT_OK;
	struct import_book_entry entry = { got.uid, known->ours, got.digest };

	box->result.changed++;
	struct fault f = m->options->is_dry ? FAULT_OK : change_flags(m, entry.ours, &got);

	return f.kind ? f : import_book_note(m->book, box->book, entry);
}

static struct fault examined(void *arg, const struct imap_reply *reply)
{
	struct moving *m = arg;
	struct sv name, value;

	if (imap_reply_is(reply, 2, "EXISTS"))
		(void)sv_to_u32(imap_reply_text(reply, 1), &m->exists);
	else if (imap_reply_is(reply, 1, "OK") && imap_reply_code(imap_reply_text(reply, 2), &name, &value) &&
		 sv_eq_nocase(name, SV("UIDVALIDITY")))
		(void)sv_to_u32(value, &m->uidvalidity);
	return FAULT_OK;
}

/* EXAMINE, which leaves \Recent and all else as it is. False with FAULT_OK: the mailbox is left out. */
static bool examine(struct moving *m, struct box *box, struct fault *f)
{
	const struct imap_client_listener listener = { .response = examined, .arg = m };
	struct buf command;

	m->uidvalidity = m->exists = 0;
	buf_init(&command, COMMAND_MAX);
	if (!buf_append(&command, SV("EXAMINE ")) || !imap_client_quote(&command, sv_z(box->folder->raw)))
		*f = fault(FAULT_INVALID, "its name cannot be sent");
	else
		*f = imap_client_ask(m->client, &listener, buf_sv(&command));
	buf_done(&command);
	if (f->kind == FAULT_DENIED || f->kind == FAULT_INVALID) {
		note(box, "%s", f->detail);
		box->result.left_out++;
		*f = FAULT_OK;
		return false;
	}
	if (!f->kind && !m->uidvalidity) {
		note(box, "the server gives it no UIDVALIDITY");
		box->result.left_out++;
		return false;
	}
	return !f->kind;
}

/* Our mailbox, made when it is missing. */
static struct fault open_target(struct moving *m, struct box *box, uint32_t *uidvalidity)
{
	struct mailbox_status status;
	char id[24];
	struct fault f = mailbox_open(m->user, sv_z(box->target), &box->open);

	*uidvalidity = 0;
	if (f.kind == FAULT_NOT_FOUND && m->options->is_dry)
		return FAULT_OK;
	if (f.kind == FAULT_NOT_FOUND) {
		f = mailbox_create(m->user, sv_z(box->target), box->folder->use, id);
		if (f.kind == FAULT_EXISTS && box->folder->use)         /* another one has that use */
			f = mailbox_create(m->user, sv_z(box->target), 0, id);
		if (!f.kind)
			f = mailbox_open(m->user, sv_z(box->target), &box->open);
	}
	if (!f.kind)
		f = mailbox_counters(box->open, &status);
	if (!f.kind)
		*uidvalidity = status.uidvalidity;
	return f;
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void sort_wanted(struct box *box)
{
	size_t kept = 0;

	if (box->wanted_count)
		qsort(box->wanted, box->wanted_count, sizeof(*box->wanted), by_number);
	for (size_t i = 0; i < box->wanted_count; i++)          /* a server may say a thing twice */
		if (!kept || box->wanted[i] != box->wanted[kept - 1])
			box->wanted[kept++] = box->wanted[i];
	box->wanted_count = kept;
}

static struct fault compare(struct moving *m, struct box *box)
{
	const struct imap_client_listener listener = { .response = compare_one, .arg = m };
	uint32_t ours;
	struct fault f;

	m->box = box;
	if (!examine(m, box, &f))
		return f;
	f = open_target(m, box, &ours);
	if (f.kind)
		return f;
	box->book = import_book_box(m->book, sv_z(box->folder->raw), m->uidvalidity, ours);
	box->known = box->book->count;
	if (!m->options->is_dry && !box->book->is_known && box->folder->is_subscribed)
		f = mailbox_subscribe(m->user, sv_z(box->target), true);
	if (!f.kind && m->exists)
		f = imap_client_ask(m->client, &listener, SV("UID FETCH 1:* (UID FLAGS)"));
	if (f.kind == FAULT_DENIED || f.kind == FAULT_INVALID) {
		note(box, "%s", f.detail);
		box->result.left_out++;
		f = FAULT_OK;
	}
	if (!f.kind)
		f = import_book_flush(m->book);
	sort_wanted(box);
	box->result.gone = box->known > box->met ? box->known - box->met : 0;
	m->total += box->wanted_count;
	mailbox_close(&box->open);
	return f;
}

/* ---- second pass: fetch ---- */

static int by_email(const void *a, const void *b)
{
	const struct resident *x = a, *y = b;
	int order = memcmp(x->email, y->email, sizeof(x->email));

	return order ? order : x->uid < y->uid ? -1 : x->uid > y->uid;
}

struct residents {
	struct moving *m;
	struct uidset brought;
};

static bool take_resident(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct residents *r = arg;
	struct moving *m = r->m;

	(void)parsed;
	if (uidset_has(&r->brought, row->uid))
		return true;
	if (m->resident_count == m->resident_cap) {
		m->resident_cap = m->resident_cap ? m->resident_cap * 2 : 256;
		m->residents = xrealloc(m->residents, m->resident_cap * sizeof(*m->residents));
	}
	struct resident *to = &m->residents[m->resident_count++];

	*to = (struct resident){ .uid = row->uid };
	memcpy(to->email, row->email, sizeof(to->email));
	return true;
}

/* The messages of ours that no earlier run is known to have brought. */
static struct fault find_residents(struct moving *m, struct box *box)
{
	struct residents r = { .m = m };
	uint32_t resume = 0;
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < box->book->count; i++)
		uidset_add(&r.brought, box->book->entries[i].ours, box->book->entries[i].ours);
	m->resident_count = 0;
	do {
		f = mailbox_scan(box->open, NULL, SCAN_ROW, &resume, take_resident, &r);
	} while (!f.kind && resume);
	uidset_done(&r.brought);
	if (m->resident_count)
		qsort(m->residents, m->resident_count, sizeof(*m->residents), by_email);
	return f;
}

/* One that has these octets, each once. */
static const struct resident *meet_resident(struct moving *m, const uint8_t email[16])
{
	size_t low = 0, high = m->resident_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(m->residents[middle].email, email, 16) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < m->resident_count && !memcmp(m->residents[low].email, email, 16); low++)
		if (!m->residents[low].is_met) {
			m->residents[low].is_met = true;
			return &m->residents[low];
		}
	return NULL;
}

static void drop_items(struct moving *m)
{
	incoming_free(&m->message);
	for (size_t i = 0; i < m->item_count; i++)
		incoming_free(&m->items[i].message);
	m->item_count = 0;
	m->item_octets = 0;
	arena_clear(&m->texts);
}

/* Store what waits, and remember it. */
static struct fault flush(struct moving *m)
{
	struct box *box = m->box;
	struct fault f = FAULT_OK;

	if (m->item_count)
		f = incoming_append(box->open, m->items, m->item_count);
	if (f.kind == FAULT_LIMIT || f.kind == FAULT_INVALID) {         /* keywords that this mailbox has no room for */
		for (size_t i = 0; i < m->item_count; i++) {
			box->keywords_lost += m->items[i].keyword_count > 0;
			m->items[i].keyword_count = 0;
		}
		f = incoming_append(box->open, m->items, m->item_count);
	}
	for (size_t i = 0; i < m->item_count && !f.kind; i++) {
		m->entries[i].ours = m->items[i].uid;
		box->result.imported++;
		f = import_book_note(m->book, box->book, m->entries[i]);
	}
	if (!f.kind)
		f = import_book_flush(m->book);
	drop_items(m);
	return f;
}

static struct fault body_begin(void *arg, const struct imap_reply *reply, uint64_t size)
{
	struct moving *m = arg;

	(void)reply;
	if (m->message)
		return fault(FAULT_UNAVAILABLE, "the server sends two messages for one");
	m->has_nul = false;
	m->is_dropped = size > IMAP_MOVE_MESSAGE_MAX;
	if (m->is_dropped)
		return FAULT_OK;
	/* A file that lies open for each message that waits. */
	if (m->item_octets + size > BATCH_OCTETS && m->item_count) {
		struct fault f = flush(m);

		if (f.kind)
			return f;
	}
	return incoming_new(m->user, NULL, IMAP_MOVE_MESSAGE_MAX, &m->message);
}

/* NUL is in no message that IMAP carries (RFC 3501 §9, CHAR8), and could not be fetched from here. */
static struct fault body(void *arg, struct sv octets)
{
	struct moving *m = arg;
	struct sv part;
	struct fault f = FAULT_OK;

	while (m->message && !f.kind && octets.len) {
		size_t at = sv_find(octets, '\0');

		m->has_nul |= at != SIZE_MAX;
		part = sv_sub(octets, 0, at);
		sv_skip(&octets, part.len + (at != SIZE_MAX));
		f = incoming_write(m->message, part);
	}
	return f;
}

/* Which of the messages asked for is this? SIZE_MAX: none, or it has come already. */
static size_t find_asked(const struct moving *m, uint32_t uid)
{
	for (size_t i = 0; i < m->asked_count; i++)
		if (m->asked[i] == uid)
			return m->has_come[i] ? SIZE_MAX : i;
	return SIZE_MAX;
}

static bool copy_keywords(struct moving *m, const struct fetched *got, struct append_item *item)
{
	struct sv *copies = arena_array(&m->texts, got->keyword_count, sizeof(*copies));

	for (size_t i = 0; copies && i < got->keyword_count; i++) {
		copies[i] = arena_copy(&m->texts, got->keywords[i]);
		if (!copies[i].p)
			copies = NULL;
	}
	item->keywords = copies;
	item->keyword_count = copies ? got->keyword_count : 0;
	return copies != NULL;
}

static struct fault take_message(struct moving *m, const struct fetched *got)
{
	struct append_item *item = &m->items[m->item_count];
	const struct resident *there;
	uint8_t email[16];
	struct fault f = incoming_finish(m->message);

	if (f.kind)
		return f;
	incoming_email(m->message, email);
	there = meet_resident(m, email);
	if (there) {
		m->box->result.present++;
		return import_book_note(m->book, m->box->book, (struct import_book_entry){ got->uid, there->uid, got->digest });
	}
	*item = (struct append_item){ .message = m->message, .flags = got->flags, .has_internaldate = got->has_date,
				      .internaldate = got->date.seconds };
	m->entries[m->item_count] = (struct import_book_entry){ .theirs = got->uid, .flags = got->digest };
	m->item_octets += incoming_size(m->message);
	m->message = NULL;
	m->box->keywords_lost += got->keywords_lost || (got->keyword_count && !copy_keywords(m, got, item));
	m->item_count++;
	return m->item_count == CHUNK || m->item_octets > BATCH_OCTETS ? flush(m) : FAULT_OK;
}

/* A FETCH response has come, with the message before it in m->message. */
static struct fault fetch_one(void *arg, const struct imap_reply *reply)
{
	struct moving *m = arg;
	struct fetched got;
	struct fault f = FAULT_OK;
	bool has_body = m->message || m->is_dropped;
	size_t which = has_body && read_fetch(reply, &got) && got.uid ? find_asked(m, got.uid) : SIZE_MAX;

	if (which != SIZE_MAX) {
		m->has_come[which] = true;
		m->box->with_nul += m->has_nul;
		m->box->too_large += m->is_dropped;
		if (m->message && !incoming_size(m->message))
			m->box->empty++;
		else if (m->message)
			f = take_message(m, &got);
		step(m);
	}
	incoming_free(&m->message);
	m->is_dropped = m->has_nul = false;
	return f;
}

static struct fault fetch_chunk(struct moving *m, struct box *box)
{
	const struct imap_client_listener listener = { .response = fetch_one, .body_begin = body_begin, .body = body, .arg = m };
	struct uidset set = { 0 };
	struct buf command;
	struct fault f;

	for (size_t i = 0; i < m->asked_count; i++)
		uidset_add(&set, m->asked[i], m->asked[i]);
	buf_init(&command, COMMAND_MAX);
	if (!buf_append(&command, SV("UID FETCH ")) || !uidset_write(&set, &command) ||
	    !buf_append(&command, SV(" (UID FLAGS INTERNALDATE BODY.PEEK[])")))
		BUG("a chunk's UIDs do not fit");
	uidset_done(&set);
	memset(m->has_come, 0, sizeof(m->has_come));
	f = imap_client_ask(m->client, &listener, buf_sv(&command));
	buf_done(&command);
	/* What has come is kept, also when the connection was lost behind it. */
	struct fault stored = f.kind && f.kind != FAULT_DENIED && f.kind != FAULT_UNAVAILABLE && f.kind != FAULT_INVALID ?
			      FAULT_OK : flush(m);

	if (f.kind == FAULT_DENIED || f.kind == FAULT_INVALID) {
		note(box, "%s", f.detail);
		f = FAULT_OK;
	}
	for (size_t i = 0; i < m->asked_count && !f.kind; i++)
		if (!m->has_come[i]) {
			box->missing++;
			step(m);
		}
	return f.kind ? f : stored;
}

static struct fault fetch(struct moving *m, struct box *box)
{
	uint32_t ours, theirs = box->book->their_validity;
	struct fault f;

	m->box = box;
	if (!examine(m, box, &f))
		return f;
	if (m->uidvalidity != theirs)
		return fault_detail(FAULT_UNAVAILABLE, "%.80s was made anew meanwhile; run it again", box->folder->raw);
	f = open_target(m, box, &ours);
	if (!f.kind)
		f = find_residents(m, box);
	for (size_t at = 0; !f.kind && at < box->wanted_count; at += m->asked_count) {
		m->asked = box->wanted + at;
		m->asked_count = box->wanted_count - at < CHUNK ? box->wanted_count - at : CHUNK;
		f = fetch_chunk(m, box);
	}
	drop_items(m);
	mailbox_close(&box->open);
	return f;
}

/* ---- all of it ---- */

static bool take_use(void *arg, const struct mailbox_info *info)
{
	struct moving *m = arg;

	for (unsigned bit = 0; bit < ARRAY_LEN(m->uses); bit++)
		if (info->exists && info->special_use >> bit & 1 && !m->uses[bit])
			m->uses[bit] = sv_copy_z(info->name);
	return true;
}

static bool is_excluded(const struct moving *m, const struct imap_folder *folder)
{
	struct sv list = sv_z(m->options->exclude), name;

	while (sv_split(&list, ',', &name)) {
		name = sv_trim(name);
		if (name.len && (sv_eq_nocase(name, sv_z(folder->raw)) || sv_eq_nocase(name, sv_z(folder->name))))
			return true;
	}
	return false;
}

/* Where a mailbox goes: the one that has its use here, else the one of its name. */
static const char *target_of(const struct moving *m, const struct imap_folder *folder)
{
	for (unsigned bit = 0; bit < ARRAY_LEN(m->uses); bit++)
		if (folder->use >> bit & 1 && m->uses[bit])
			return m->uses[bit];
	return folder->name;
}

static void tell(struct moving *m, struct box *box)
{
	struct imap_move_result *r = &box->result;
	const struct { uint64_t count; const char *what; } reasons[] = {
		{ box->missing, "did not come: gone meanwhile, or damaged there" },
		{ box->empty, "are empty" },
		{ box->too_large, "are larger than 1 GiB" },
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		r->left_out += reasons[i].count;
		if (reasons[i].count)
			note(box, "%llu %s", (unsigned long long)reasons[i].count, reasons[i].what);
	}
	if (box->with_nul)
		note(box, "NUL octets were taken out of %llu", (unsigned long long)box->with_nul);
	if (box->keywords_lost)
		note(box, "%llu have keywords that are too long or too many", (unsigned long long)box->keywords_lost);
	r->mailbox = sv_z(box->target);
	r->from = sv_z(box->folder->raw);
	r->notes = buf_sv(&box->notes);
	if (m->options->is_dry)
		r->imported = box->wanted_count;
	m->events->mailbox(m->events->arg, r);
}

static struct fault move_all(struct moving *m)
{
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < m->folders.count; i++) {
		struct box *box = &m->boxes[i];

		box->folder = &m->folders.items[i];
		buf_init(&box->notes, NOTES_MAX);
		if (!box->folder->note)
			box->target = target_of(m, box->folder);
	}
	for (size_t i = 0; !f.kind && i < m->folders.count; i++) {
		struct box *box = &m->boxes[i];

		if (box->folder->note) {
			note(box, "left out: %s", box->folder->note);
			box->result.left_out += !box->folder->name;
		} else if (is_excluded(m, box->folder)) {
			note(box, "left out, as was asked for");
		} else {
			f = compare(m, box);
		}
	}
	for (size_t i = 0; !f.kind && !m->options->is_dry && i < m->folders.count; i++)
		if (m->boxes[i].wanted_count)
			f = fetch(m, &m->boxes[i]);
	for (size_t i = 0; i < m->folders.count; i++)
		tell(m, &m->boxes[i]);
	return f;
}

static void finish(struct moving *m)
{
	drop_items(m);
	for (size_t i = 0; i < m->folders.count && m->boxes; i++) {
		mailbox_close(&m->boxes[i].open);
		buf_done(&m->boxes[i].notes);
		free(m->boxes[i].wanted);
	}
	free(m->boxes);
	free(m->residents);
	for (size_t i = 0; i < ARRAY_LEN(m->uses); i++)
		free(m->uses[i]);
	arena_done(&m->texts);
	imap_folders_done(&m->folders);
	import_book_close(&m->book);
	imap_client_close(&m->client);
	free(m);
}

struct fault imap_move(struct maildir_user *user, const struct imap_move_options *options,
			 const struct imap_move_events *events)
{
	struct moving *m = xcalloc(1, sizeof(*m));
	char source[512];

	m->user = user;
	m->options = options;
	m->events = events;
	arena_init(&m->texts, BATCH_TEXT);
	snprintf(source, sizeof(source), "imap %s %s", options->source.host, options->source.user);
	for (char *p = source; *p; p++)
		*p = (unsigned char)*p < ' ' ? '?' : ascii_lower(*p);
	/* The book first: it says when another import runs. */
	struct fault f = import_book_open(user, sv_z(source), options->is_dry, &m->book);

	if (!f.kind)
		f = mailbox_list(user, take_use, m);
	if (!f.kind)
		f = imap_client_open(&options->source, &m->client);
	if (!f.kind)
		f = imap_folders_read(m->client, &m->folders);
	if (!f.kind) {
		m->boxes = xcalloc(m->folders.count ? m->folders.count : 1, sizeof(*m->boxes));
		f = move_all(m);
	}
	finish(m);
	return f;
}
