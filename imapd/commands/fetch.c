/* imapd/commands/fetch.c - FETCH and UID FETCH (RFC 3501 §6.4.5, §7.4.2; RFC 7162 §3.1.4).
 *
 * What the index knows (flags, dates, sizes, ENVELOPE, BODYSTRUCTURE, usual header fields) is
 * copied to the output inside the scan, at the price of a memcpy per item. Only a message that
 * needs octets of its file leaves the scan: its line is begun there, and its sections are streamed
 * behind it chunk by chunk, however large they are. */
#include "common/charset.h"
#include "common/date.h"
#include "imapd/binary.h"
#include "imapd/fetch.h"
#include "imapd/preview.h"
#include "imapd/limit.h"
#include "imapd/resync.h"
#include "imapd/search.h"
#include "imapd/section.h"
#include "maildir/message.h"

#include "common/banned.h"

#define ITEMS_MAX 256
#define READ_SIZE ((size_t)64 << 10)
#define HEADER_READ_MAX ((size_t)64 << 20)
#define HEADER_KEEP ((size_t)64 << 10)
#define DECODE_PIECE 16384
#define DECODE_MAX ((size_t)8 << 20)    /* octets decoded in one step; then others have their turn */

enum item_kind {
	ITEM_FLAGS = 1,
	ITEM_UID,
	ITEM_INTERNALDATE,
	ITEM_SIZE,
	ITEM_ENVELOPE,
	ITEM_BODY,
	ITEM_BODYSTRUCTURE,
	ITEM_MODSEQ,
	ITEM_EMAILID,
	ITEM_THREADID,
	ITEM_SAVEDATE,
	ITEM_SECTION,
};

static const struct item_name {
	const char *name;
	enum item_kind kind;
	unsigned scan;
	enum capability capability;
} item_names[] = {
	{ "FLAGS",         ITEM_FLAGS,         SCAN_ROW,    CAP_NONE },
	{ "UID",           ITEM_UID,           SCAN_ROW,    CAP_NONE },
	{ "INTERNALDATE",  ITEM_INTERNALDATE,  SCAN_ROW,    CAP_NONE },
	{ "RFC822.SIZE",   ITEM_SIZE,          SCAN_ROW,    CAP_NONE },
	{ "ENVELOPE",      ITEM_ENVELOPE,      SCAN_PARSED, CAP_NONE },
	{ "BODY",          ITEM_BODY,          SCAN_PARSED, CAP_NONE },
	{ "BODYSTRUCTURE", ITEM_BODYSTRUCTURE, SCAN_PARSED, CAP_NONE },
	{ "MODSEQ",        ITEM_MODSEQ,        SCAN_ROW,    CAP_CONDSTORE },
	{ "EMAILID",       ITEM_EMAILID,       SCAN_ROW,    CAP_OBJECTID },
	{ "THREADID",      ITEM_THREADID,      SCAN_ROW,    CAP_OBJECTID },
	{ "SAVEDATE",      ITEM_SAVEDATE,      SCAN_ROW,    CAP_SAVEDATE },
};

static const struct {
	const char *name;
	enum item_kind kinds[6];
} macros[] = {
	{ "ALL",  { ITEM_FLAGS, ITEM_INTERNALDATE, ITEM_SIZE, ITEM_ENVELOPE } },
	{ "FAST", { ITEM_FLAGS, ITEM_INTERNALDATE, ITEM_SIZE } },
	{ "FULL", { ITEM_FLAGS, ITEM_INTERNALDATE, ITEM_SIZE, ITEM_ENVELOPE, ITEM_BODY } },
};

struct item {
	enum item_kind kind;
	struct section *section;
	struct section_place place;     /* for the message at hand */
};

struct fetch {
	struct item items[ITEMS_MAX];
	size_t count;
	unsigned scan;                  /* what the scan must bring */
	bool has_flags, has_uid, has_modseq, has_sections;
	bool sets_seen;
	struct fetch_modifiers modifiers;
	struct uidset set;
	uint32_t resume;
	struct view_cursor cursor;
	struct buf text;                /* filtered header fields */
	bool is_damaged;                /* a message could not be read: the answer is NO */

	/* why the scan stopped at a message, and which */
	enum { STOP_NONE = 0, STOP_SECTIONS, STOP_SEEN, STOP_KEYWORDS, STOP_UNPARSED } stop;
	struct message_row row;
	uint32_t seen_uid;              /* \Seen was set for it just now: its flags are told */
	uint32_t keywords_uid;          /* the keywords were loaded anew for it just now */

	/* the message whose sections are being written */
	struct message_reader *reader;
	size_t at;                      /* item */
	uint64_t offset, left;          /* of the slice under way */
	uint64_t promised;              /* octets of the literal8 under way */
	bool is_in_slice;
	struct binary binary;           /* of the part that is counted or sent without its encoding */
	bool is_counting;
	size_t decoded;                 /* in this step */
	bool has_unknown_cte;           /* some part could not be decoded: the answer is NO */
	bool has_items;                 /* something was written behind its "(" */
	size_t line_start; /* of its response in the output; SIZE_MAX once part of it was sent */
};

static void release(struct command *c)
{
	struct fetch *x = c->state;

	message_close(&x->reader);
	uidset_done(&x->set);
	buf_done(&x->text);
	binary_done(&x->binary);
}

/* ---- arguments ---- */

static bool add_item(struct fetch *x, enum item_kind kind, struct section *section)
{
	if (x->count == ITEMS_MAX)
		return false;
	for (size_t i = 0; i < x->count; i++)
		if (x->items[i].kind == kind && kind != ITEM_SECTION)
			return true;    /* asked for twice, told once */
	x->items[x->count++] = (struct item){ .kind = kind, .section = section };
	x->has_flags |= kind == ITEM_FLAGS;
	x->has_uid |= kind == ITEM_UID;
	x->has_modseq |= kind == ITEM_MODSEQ;
	x->has_sections |= kind == ITEM_SECTION;
	for (size_t i = 0; i < ARRAY_LEN(item_names); i++)
		if (item_names[i].kind == kind)
			x->scan |= item_names[i].scan;
	if (section) {
		x->sets_seen |= !section->is_peek;
		if (section_needs_parse(section))
			x->scan |= SCAN_PARSED;
	}
	return true;
}

/* read_lazy - RFC 8970 §4.1. A preview is made of the first octets of one part and so never late; what is lazy is
 * as good as what is not. */
static void read_lazy(struct args *from)
{
	struct args try = *from, list;

	if (args_open(&try, &list) && args_word(&list, "LAZY") && args_end(&list))
		*from = try;
}

static bool read_item(struct command *c, struct fetch *x, struct args *from)
{
	struct section *section;
	struct sv word;

	for (size_t i = 0; i < ARRAY_LEN(item_names); i++)
		if (capability_has(c->room->on, item_names[i].capability) &&
		    args_word(from, item_names[i].name))
			return add_item(x, item_names[i].kind, NULL);
	section = arena_alloc(&c->arena, sizeof(*section));
	if (!section)
		return false;
	if (capability_has(c->room->on, CAP_PREVIEW) && args_word(from, "PREVIEW")) {
		section_preview(section);
		read_lazy(from);
		return add_item(x, ITEM_SECTION, section);
	}
	struct args try = *from;

	if (args_raw(&try, &word) && section_named(word, section)) {
		*from = try;
		return add_item(x, ITEM_SECTION, section);
	}
	return section_read(from, &c->arena, section) &&
	       (!section->form || capability_has(c->room->on, CAP_BINARY)) &&
	       add_item(x, ITEM_SECTION, section);
}

bool fetch_items_are_valid(struct command *c, struct args *list)
{
	struct fetch *x = arena_alloc(&c->arena, sizeof(*x));
	bool is_good = x && !args_end(list);

	if (x)
		memset(x, 0, sizeof(*x));
	while (is_good && !args_end(list))
		is_good = read_item(c, x, list);
	return is_good;
}

static bool read_items(struct command *c, struct fetch *x)
{
	struct args list;

	for (size_t i = 0; i < ARRAY_LEN(macros); i++) {
		if (!args_word(&c->args, macros[i].name))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(macros[i].kinds) && macros[i].kinds[k]; k++)
			add_item(x, macros[i].kinds[k], NULL);
		return true;
	}
	if (!args_open(&c->args, &list))
		return read_item(c, x, &c->args);
	if (args_end(&list))
		return false;
	while (!args_end(&list))
		if (!read_item(c, x, &list))
			return false;
	return true;
}

/* apply_modifiers - fewer messages than the set names; what vanished is told before any FETCH. */
static struct fault apply_modifiers(struct command *c, struct fetch *x, struct sv text)
{
	const struct fetch_modifiers *m = &x->modifiers;
	struct uidset known = { 0 }, part = { 0 };
	struct fault f = FAULT_OK;

	/* Of all UIDs that the set names, there or not; `*` is whatever the client may know. */
	if (m->has_vanished && uidset_parse(text, UINT32_MAX, &known) == SET_OK)
		f = resync_write_vanished(c, m->since, &known, NULL);
	uidset_done(&known);
	if (m->has_partial) {           /* RFC 9394 §3.4: first the range, then what changed in it */
		partial_of(&m->partial, &x->set, &part);
		uidset_done(&x->set);
		x->set = part;
	}
	if (!f.kind && m->has_since)
		f = resync_narrow(c, m->since, &x->set);
	return f;
}

static enum step begin(struct command *c)
{
	struct fetch *x = command_new_state(c, sizeof(*x));
	struct fault f = FAULT_OK;
	struct sv set;

	c->release = release;
	buf_init(&x->text, HEADER_READ_MAX);
	if (!args_raw(&c->args, &set))
		return command_bad(c, "FETCH takes a message set and items");
	if (c->is_uid && !c->room->has_uidonly) /* RFC 9586 §3.3: each response begins with it */
		add_item(x, ITEM_UID, NULL);
	if (!read_items(c, x))
		return command_bad(c, "Unknown or malformed FETCH item");
	if (!resync_read_modifiers(c, &x->modifiers))
		return command_bad(c, "Unknown or malformed FETCH modifier");
	if (x->modifiers.has_since) {
		c->room->has_condstore = true;
		add_item(x, ITEM_MODSEQ, NULL);
	}
	if (x->has_modseq)              /* RFC 7162 §3.1: asking for it enables CONDSTORE */
		c->room->has_condstore = true;
	x->sets_seen &= !c->room->is_readonly && mailbox_may(c->room->box, RIGHT_SEEN);
	if (!command_set(c, set, &x->set))
		return STEP_DONE;
	if (x->modifiers.has_partial &&
	    limit_refuse(c, (uint64_t)x->modifiers.partial.last - x->modifiers.partial.first + 1, 0, false))
		return STEP_DONE;
	f = apply_modifiers(c, x, set);
	limit_narrow(c, &x->set);
	if (!f.kind && (x->has_flags || x->sets_seen))
		f = room_keywords(c, false);
	if (f.kind)
		return command_fault(c, f);
	x->cursor = view_cursor(&c->room->view);
	return STEP_MORE;
}

/* ---- one message: what the index knows ---- */

/* write_item_gap - between two items of a message; chunks may be cut there. */
static inline void write_item_gap(struct command *c)
{
	struct fetch *x = c->state;

	if (x->has_items)
		writer_c(&c->out, ' ');
	x->has_items = true;
}

static void write_flags(struct command *c, const struct message_row *row)
{
	writer_put(&c->out, SV("FLAGS "));
	writer_put(&c->out, keywords_flags(c->keywords, row->flags, row->keywords,
	                                   room_is_recent(c->room, row->uid)));
}

static void write_modseq(struct command *c, const struct message_row *row)
{
	writer_put(&c->out, SV("MODSEQ ("));
	writer_u64(&c->out, row->modseq);
	writer_c(&c->out, ')');
}

/* write_change - UID and MODSEQ, where they were not asked for. */
static void write_change(struct command *c, const struct fetch *x, const struct message_row *row)
{
	if (!x->has_uid && !c->room->has_uidonly)
		writer_f(&c->out, " UID %u", row->uid);
	if (!x->has_modseq) {
		writer_c(&c->out, ' ');
		write_modseq(c, row);
	}
}

static void write_email_id(struct writer *w, const struct message_row *row)
{
	char id[EMAIL_ID_SIZE];

	message_email_id(row, id);
	writer_put(w, SV("EMAILID ("));
	writer_z(w, id);
	writer_c(w, ')');
}

static void write_item(struct command *c, enum item_kind kind, const struct message_row *row,
                       const struct mime_message *parsed)
{
	struct writer *w = &c->out;

	switch (kind) {
	case ITEM_FLAGS:
		write_flags(c, row);
		break;
	case ITEM_UID:
		writer_put(w, SV("UID "));
		writer_u64(w, row->uid);
		break;
	case ITEM_INTERNALDATE:
		writer_put(w, SV("INTERNALDATE "));
		w->is_full |=
			!date_append_imap(&w->buf, (struct date){ .seconds = row->internaldate });
		break;
	case ITEM_SIZE:
		writer_put(w, SV("RFC822.SIZE "));
		writer_u64(w, row->size);
		break;
	case ITEM_ENVELOPE:
		writer_put(w, SV("ENVELOPE "));
		writer_put(w, parsed->envelope);
		break;
	case ITEM_BODY:
		writer_put(w, SV("BODY "));
		writer_put(w, parsed->body);
		break;
	case ITEM_BODYSTRUCTURE:
		writer_put(w, SV("BODYSTRUCTURE "));
		writer_put(w, parsed->bodystructure);
		break;
	case ITEM_MODSEQ:
		write_modseq(c, row);
		break;
	case ITEM_EMAILID:              /* RFC 8474 §5.1 */
		write_email_id(w, row);
		break;
	case ITEM_THREADID:             /* §5.2: NIL where threads have no identity of their own */
		writer_put(w, SV("THREADID NIL"));
		break;
	case ITEM_SAVEDATE:             /* RFC 8514 §4.2 */
		writer_put(w, SV("SAVEDATE "));
		w->is_full |= !date_append_imap(&w->buf, (struct date){ .seconds = row->savedate });
		break;
	case ITEM_SECTION:
		break;
	}
}

static void write_label(struct command *c, const struct section *s)
{
	write_item_gap(c);
	writer_put(&c->out, s->label);
	writer_c(&c->out, ' ');
}

/* write_text - octets that are at hand, as a literal; NUL may not be sent (RFC 3501 §9 CHAR8). */
static void write_text(struct writer *w, struct sv text)
{
	writer_literal(w, text.len);
	size_t start = w->buf.len;

	writer_put(w, text);
	if (w->is_full)
		return;
	for (char *p = w->buf.p + start, *end = w->buf.p + w->buf.len;
	     p < end && (p = memchr(p, 0, (size_t)(end - p))); p++)
		*p = (char)0x80;
}

/* write_section - false when its octets have to come from the file. */
static bool write_section(struct command *c, struct fetch *x, struct item *item,
			  const struct message_row *row, const struct mime_message *parsed)
{
	buf_clear(&x->text);
	item->place = section_find(item->section, parsed, row->size, &x->text);
	switch (item->place.source) {
	case SECTION_NIL:
		write_label(c, item->section);
		writer_z(&c->out, item->section->form == FORM_DECODED_SIZE ? "0" :
				  item->section->form == FORM_PREVIEW      ? "\"\"" : "NIL");
		return true;
	case SECTION_OCTETS:
		write_label(c, item->section);
		write_text(&c->out, buf_sv(&x->text));
		return true;
	case SECTION_UNKNOWN:
		return true;            /* not reached: such a message is left out */
	case SECTION_SLICE:
	case SECTION_HEADER:
	case SECTION_ENCODED:
	case SECTION_PREVIEW:
		if (item->place.len)
			return false;
		write_label(c, item->section);
		if (item->place.source == SECTION_HEADER) {
			section_filter(item->section, SV_NONE, &x->text);
			write_text(&c->out, buf_sv(&x->text));
		} else {
			writer_z(&c->out, item->section->form == FORM_DECODED_SIZE ? "0" : "\"\"");
		}
		return true;
	}
	return true;
}

/* is_decodable - RFC 3516 §4.3: a part whose encoding nobody knows fails the request; the message is
 * left out. */
static bool is_decodable(const struct fetch *x, const struct message_row *row,
			 const struct mime_message *parsed)
{
	for (size_t i = 0; i < x->count; i++)
		if (x->items[i].section && x->items[i].section->form &&
		    section_find(x->items[i].section, parsed, row->size, NULL).source ==
			    SECTION_UNKNOWN)
			return false;
	return true;
}

/* one_message - called inside the scan. */
static bool one_message(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct command *c = arg;
	struct fetch *x = c->state;
	uint32_t seq = view_cursor_seq(&x->cursor, row->uid);
	bool has_file_items = false, tells_flags = x->has_flags;

	if (!seq || (x->modifiers.has_since && row->modseq <= x->modifiers.since))
		return true;
	if (x->scan & SCAN_PARSED && !parsed) {
		x->row = *row;
		x->stop = STOP_UNPARSED;
		return false;
	}
	if (x->has_sections && !is_decodable(x, row, parsed)) {
		x->has_unknown_cte = true;
		return true;
	}
	if (x->sets_seen && !(row->flags & FLAG_SEEN) && x->seen_uid != row->uid) {
		x->row = *row;
		x->stop = STOP_SEEN;
		return false;
	}
	/* RFC 3501 §6.4.5: flags that the command itself changed are told with it. */
	tells_flags |= x->seen_uid == row->uid;
	if (tells_flags && x->keywords_uid != row->uid &&
	    !keywords_cover(c->keywords, row->keywords)) {
		x->row = *row;
		x->stop = STOP_KEYWORDS;
		return false;
	}
	x->line_start = c->out.buf.len;
	room_write_fetch_start(c, seq, row->uid);
	x->has_items = false;
	for (size_t i = 0; i < x->count; i++) {
		if (x->items[i].kind == ITEM_SECTION)
			continue;
		write_item_gap(c);
		write_item(c, x->items[i].kind, row, parsed);
	}
	if (tells_flags && !x->has_flags) {
		write_item_gap(c);
		write_flags(c, row);
	}
	/* RFC 7162 §3.2.4: the message was changed, so its number alone says too little. */
	if (x->seen_uid == row->uid && c->room->has_condstore)
		write_change(c, x, row);
	for (size_t i = 0; x->has_sections && i < x->count; i++) {
		x->items[i].place = (struct section_place){ 0 };
		if (x->items[i].kind != ITEM_SECTION)
			continue;
		if (write_section(c, x, &x->items[i], row, parsed))
			x->items[i].place.len = 0;      /* nothing is left to do for it */
		else
			has_file_items = true;
	}
	if (has_file_items) {
		x->row = *row;
		x->stop = STOP_SECTIONS;
		return false;
	}
	writer_put(&c->out, SV(")\r\n"));
	return !command_is_full(c);
}

/* ---- one message: what the file has ---- */

static bool take_row(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct told *told = arg;

	(void)parsed;
	told_add(told, row->uid, row->modseq);
	return true;
}

/* set_seen - a disk that is full must not keep people from reading their mail: then the flag stays
 * as it is. */
static void set_seen(struct command *c, struct fetch *x)
{
	struct flag_change change = { .mode = STORE_ADD, .flags = FLAG_SEEN };
	struct uidset one = { 0 };
	struct told told = { 0 };
	uint32_t resume = 0;
	bool more;

	uidset_add(&one, x->row.uid, x->row.uid);
	struct fault f =
		mailbox_store_flags(c->room->box, &one, &change, &resume, NULL, take_row, &told);

	/* Our own change is told with the message. What others did comes along; more of it at the
	 * next occasion. */
	if (!f.kind)
		f = room_updates(c, 0, &told, &more);
	if (f.kind && f.kind != FAULT_GONE)
		log_warn(c->log, "imap.seen.failed", KV_SV("user", c->room->account),
			 KV_SV("mailbox", c->room->box_name), KV_U64("uid", x->row.uid),
			 KV_FAULT("fault", f));
	uidset_done(&one);
	told_done(&told);
}

/* read_all - a slice of the message that has to be seen as a whole. */
static struct fault read_all(struct fetch *x, uint64_t offset, uint64_t len, struct buf *out)
{
	struct fault f = FAULT_OK;
	size_t got = 1;

	if (len > out->max || !buf_reserve(out, (size_t)len))
		return fault(FAULT_LIMIT, "header block too large");
	while (!f.kind && got && out->len < len) {
		f = message_read(x->reader, offset + out->len, out->p + out->len, (size_t)len - out->len,
				 &got);
		out->len += f.kind ? 0 : got;
	}
	return f;
}

/* write_preview - RFC 8970: the beginning of one part, decoded, in UTF-8, words only. */
static struct fault write_preview(struct command *c, struct fetch *x, const struct item *item)
{
	struct buf header = { .max = HEADER_KEEP }, raw = { .max = PREVIEW_READ };
	struct buf decoded = { .max = PREVIEW_READ + 64 }, utf8 = { .max = PREVIEW_READ * 4 + 256 };
	struct buf words = { .max = PREVIEW_MAX };
	const struct section_place *at = &item->place;
	struct charset_converter *converter;
	struct transfer_decoder decoder;
	struct arena arena;
	uint64_t header_len = at->header_len < header.max ? at->header_len : header.max;
	struct fault f = read_all(x, at->header_offset, header_len, &header);

	if (!f.kind)
		f = read_all(x, at->offset, at->len, &raw);
	if (!f.kind) {
		arena_init(&arena, HEADER_KEEP);
		transfer_decoder_init(&decoder, at->encoding);
		converter = charset_converter_new(search_charset(buf_sv(&header), &arena));
		transfer_decoder_feed(&decoder, buf_sv(&raw), &decoded);
		charset_converter_feed(converter, buf_sv(&decoded), &utf8);
		preview_make(buf_sv(&utf8), at->is_html, &words);
		write_label(c, item->section);
		writer_string(&c->out, buf_sv(&words));
		charset_converter_free(&converter);
		arena_done(&arena);
		x->decoded += raw.len;
	}
	buf_done(&header);
	buf_done(&raw);
	buf_done(&decoded);
	buf_done(&utf8);
	buf_done(&words);
	return f;
}

/* fill_header - read the header block and pick the fields. */
static struct fault fill_header(struct fetch *x, const struct item *item)
{
	struct buf header = { .max = HEADER_READ_MAX };
	struct fault f = read_all(x, item->place.offset, item->place.len, &header);

	buf_clear(&x->text);
	if (!f.kind && !section_filter(item->section, buf_sv(&header), &x->text))
		f = fault(FAULT_LIMIT, "header fields too large");
	buf_done(&header);
	return f;
}

/* fill_slice - the next octets of the slice under way, up to the end of the chunk. */
static struct fault fill_slice(struct command *c, struct fetch *x)
{
	struct fault f = FAULT_OK;

	while (x->left && !command_is_full(c)) {
		struct buf *out = &c->out.buf;
		size_t want = x->left < READ_SIZE ? (size_t)x->left : READ_SIZE, got = 0;

		if (!buf_reserve(out, want))
			return fault(FAULT_INTERNAL, "no room for a chunk of a message");
		f = message_read(x->reader, x->offset, out->p + out->len, want, &got);
		if (!f.kind && !got)
			f = fault(FAULT_CORRUPT, "message is shorter than the index says");
		if (f.kind)
			return f;
		for (char *p = out->p + out->len, *end = p + got;
		     p < end && (p = memchr(p, 0, (size_t)(end - p))); p++)
			*p = (char)0x80;
		out->len += got;
		x->offset += got;
		x->left -= got;
	}
	return f;
}

/* decode - some more of the part under way, up to the end of the chunk or of this step's share; *is_done:
 * all that is wanted. */
static struct fault decode(struct command *c, struct fetch *x, struct buf *out, bool *is_done)
{
	char raw[DECODE_PIECE];
	struct fault f = FAULT_OK;

	while (x->left && !binary_is_enough(&x->binary) && x->decoded < DECODE_MAX &&
	       !(out && command_is_full(c))) {
		size_t want = x->left < sizeof(raw) ? (size_t)x->left : sizeof(raw), got = 0;

		f = message_read(x->reader, x->offset, raw, want, &got);
		if (!f.kind && !got)
			f = fault(FAULT_CORRUPT, "message is shorter than the index says");
		if (!f.kind && !binary_feed(&x->binary, sv_from(raw, got), out))
			f = fault(FAULT_INTERNAL, "no room for a decoded part");
		if (f.kind)
			return f;
		x->offset += got;
		x->left -= got;
		x->decoded += got;
	}
	*is_done = !x->left || binary_is_enough(&x->binary);
	if (*is_done && !binary_finish(&x->binary, out))
		f = fault(FAULT_INTERNAL, "no room for a decoded part");
	return f;
}

static void decode_from_start(struct fetch *x, const struct item *item)
{
	const struct section *s = item->section;

	binary_begin(&x->binary, item->place.encoding, s->from, s->has_partial ? s->count : UINT64_MAX);
	x->offset = item->place.offset;
	x->left = item->place.len;
}

/* write_decoded - a part without its transfer encoding (RFC 3516 §4.3): counted first, since a
 * literal's size stands before it and NUL needs a literal8, then sent. */
static struct fault write_decoded(struct command *c, struct fetch *x, const struct item *item,
				  bool *is_done)
{
	struct fault f = FAULT_OK;

	*is_done = false;
	if (!x->is_in_slice) {
		if (!x->is_counting)
			decode_from_start(x, item);
		x->is_counting = true;
		f = decode(c, x, NULL, is_done);
		if (f.kind || !*is_done)
			return f;
		x->is_counting = false;
		write_label(c, item->section);
		if (item->section->form == FORM_DECODED_SIZE) {
			writer_u64(&c->out, x->binary.size);
			return f;
		}
		if (x->binary.has_nul)
			writer_c(&c->out, '~');
		writer_literal(&c->out, x->binary.given);
		x->promised = x->binary.given;
		x->is_in_slice = true;
		decode_from_start(x, item);
	}
	f = decode(c, x, &c->out.buf, is_done);
	if (!f.kind && *is_done && x->binary.given != x->promised)
		f = fault(FAULT_CORRUPT, "message changed while it was read");
	if (*is_done)
		x->is_in_slice = false;
	return f;
}

/* write_sections - from x->at on, until the chunk is full or the message is done. */
static struct fault write_sections(struct command *c, struct fetch *x, bool *is_done)
{
	struct fault f = FAULT_OK;

	*is_done = false;
	for (; x->at < x->count; x->at++) {
		struct item *item = &x->items[x->at];

		if (item->kind != ITEM_SECTION || !item->place.len)
			continue;       /* written inside the scan */
		if (!x->is_in_slice && item->place.source == SECTION_HEADER) {
			f = fill_header(x, item);
			if (f.kind)
				return f;
			write_label(c, item->section);
			write_text(&c->out, buf_sv(&x->text));
			if (x->text.cap > HEADER_KEEP)
				buf_done(&x->text);
		} else if (item->place.source == SECTION_PREVIEW) {
			f = write_preview(c, x, item);
			if (f.kind)
				return f;
		} else if (item->place.source == SECTION_ENCODED) {
			bool is_whole;

			f = write_decoded(c, x, item, &is_whole);
			if (f.kind || !is_whole)
				return f;
		} else {
			if (!x->is_in_slice) {
				write_label(c, item->section);
				writer_literal(&c->out, item->place.len);
				x->is_in_slice = true;
				x->offset = item->place.offset;
				x->left = item->place.len;
			}
			f = fill_slice(c, x);
			if (f.kind || x->left)
				return f;
			x->is_in_slice = false;
		}
		if (command_is_full(c) || x->decoded >= DECODE_MAX) {
			x->at++;
			return f;
		}
	}
	writer_put(&c->out, SV(")\r\n"));
	*is_done = true;
	return f;
}

/* message_step - go on with the message whose sections come from its file. */
static enum step message_step(struct command *c, struct fetch *x)
{
	struct fault f = FAULT_OK;
	bool is_done = false;

	if (!x->reader) {
		x->at = 0;
		x->is_in_slice = x->is_counting = false;
		f = message_open(c->room->box, x->row.uid, &x->reader);
		if (!f.kind && message_size(x->reader) != x->row.size)
			f = fault(FAULT_CORRUPT, "message size differs from the index");
	}
	if (!f.kind)
		f = write_sections(c, x, &is_done);
	if (f.kind) {
		message_close(&x->reader);
		x->stop = STOP_NONE;
		if (f.kind != FAULT_GONE) {
			log_error(c->log, "imap.fetch.failed", KV_SV("user", c->room->account),
				  KV_SV("mailbox", c->room->box_name), KV_U64("uid", x->row.uid),
				  KV_FAULT("fault", f));
			x->is_damaged = true;
		}
		if (x->line_start == SIZE_MAX)
			return STEP_CLOSE; /* in the middle of a literal there is no way to say so
					    */
		c->out.buf.len = x->line_start;
		return STEP_MORE;
	}
	if (is_done) {
		message_close(&x->reader);
		x->stop = STOP_NONE;
	}
	return STEP_MORE;
}

/* note_unparsed - a file that is gone was expunged by somebody; one that is there and cannot be
 * read is damage. */
static void note_unparsed(struct command *c, struct fetch *x)
{
	struct message_row row;
	struct fault f = mailbox_row(c->room->box, x->row.uid, &row);

	if (f.kind == FAULT_GONE)
		return;
	log_error(c->log, "imap.fetch.failed", KV_SV("user", c->room->account),
		  KV_SV("mailbox", c->room->box_name), KV_U64("uid", x->row.uid),
		  KV_Z("reason", "message file cannot be parsed"));
	x->is_damaged = true;
}

enum step do_fetch(struct command *c)
{
	struct fetch *x = c->state;
	struct fault f = FAULT_OK;

	if (!x) {
		enum step step = begin(c);

		if (step != STEP_MORE)
			return step;
		x = c->state;
		if (!x->set.count)
			return command_ok(c, "Nothing to fetch");
	}
	/* What was begun in the last chunk is with the client now. */
	x->line_start = SIZE_MAX;
	x->decoded = 0;
	while (!command_is_full(c) && x->decoded < DECODE_MAX) {
		uint32_t again = x->row.uid;

		switch (x->stop) {
		case STOP_SECTIONS:
			if (message_step(c, x) == STEP_CLOSE)
				return STEP_CLOSE;
			if (x->stop || x->resume)
				continue;
			goto end;
		case STOP_SEEN:
			set_seen(c, x);
			x->seen_uid = again;
			x->resume = again;
			break;
		case STOP_KEYWORDS:
			f = room_keywords(c, true);
			x->keywords_uid = again;        /* once is enough, whatever the row says */
			x->resume = again;
			break;
		case STOP_UNPARSED:
			note_unparsed(c, x);
			if (!x->resume)
				goto end;
			break;
		case STOP_NONE:
			break;
		}
		x->stop = STOP_NONE;
		if (!f.kind)
			f = mailbox_scan(c->room->box, &x->set, x->scan, &x->resume, one_message,
					 c);
		if (f.kind)
			return command_fault(c, f);
		if (!x->resume && !x->stop)
			goto end;
	}
	return STEP_MORE;
end:
	if (x->is_damaged)
		return command_no(c, "CORRUPTION", "Some messages could not be read");
	if (x->has_unknown_cte)
		return command_no(c, "UNKNOWN-CTE", "A part has a transfer encoding that nobody knows");
	return command_ok(c, "Fetched");
}
