/* maildir/filter_event.c - see filter.h: a script run because a client stored, copied or marked a message (RFC 6785).
 * What a script does here sets off no other script: the commands of clients alone ask for one. */
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "maildir/filter_private.h"
#include "maildir/message.h"
#include "maildir/metadata.h"
#include "maildir/store_private.h"

#include "common/banned.h"

#define PIECE 65536
#define FLAGS_MAX 4096          /* octets of all flags of a message */

struct run {
	const struct filter_event *event;
	struct mailbox *box;
	uint32_t uid;
	struct message_row row;
	struct message_reader *reader;
	struct mime_message *message;
	struct buf header, flags;
	struct scripts *scripts;
	struct filter_host host;
	struct filter_script *script;
	struct sieve_result result;
	struct sieve_errors errors;
};

/* ---- which script ---- */

static bool take_script(void *arg, const struct metadata_entry *entry)
{
	struct buf *out = arg;

	if (!sv_eq_nocase(entry->name, SV("/shared/imapsieve/script")))
		return true;
	(void)buf_append(out, entry->value);
	return false;
}

struct fault filter_event_script(struct maildir_user *user, struct sv mailbox, struct buf *out)
{
	struct fault f;

	/* In another person's mailbox it would be that person's script, with our rights. */
	if (sv_starts_nocase(mailbox, SV(SHARED_PREFIX)))
		return FAULT_OK;
	f = mailbox_metadata(user, mailbox, take_script, out);
	if (!f.kind && out->len && !script_name_is_good(buf_sv(out)))
		buf_clear(out);
	return f;
}

/* ---- the message ---- */

static struct fault read_piece(struct run *r, uint64_t offset, size_t len, struct buf *out)
{
	char *piece = xmalloc(PIECE);
	struct fault f = FAULT_OK;
	size_t got = 1;

	while (len && got && !f.kind) {
		f = message_read(r->reader, offset, piece, len < PIECE ? len : PIECE, &got);
		if (!f.kind && got && !buf_append(out, sv_from(piece, got)))
			f = fault(FAULT_LIMIT, "message piece");
		offset += got;
		len -= got;
	}
	free(piece);
	return f;
}

static bool read_message(void *arg, uint64_t offset, size_t len, struct buf *out)
{
	return !read_piece(arg, offset, len, out).kind;
}

static struct fault parse(struct run *r)
{
	struct mime_parser *parser = mime_parser_new();
	char *piece = xmalloc(PIECE);
	struct fault f = FAULT_OK;
	uint64_t at = 0;
	size_t got = 1;

	while (got && !f.kind) {
		f = message_read(r->reader, at, piece, PIECE, &got);
		if (!f.kind && got)
			mime_parser_feed(parser, sv_from(piece, got));
		at += f.kind ? 0 : got;
	}
	r->message = mime_parser_finish(parser);
	mime_parser_free(&parser);
	free(piece);
	if (!f.kind)
		f = read_piece(r, 0, r->message->header_len < HEADER_BLOCK_MAX ? (size_t)r->message->header_len : HEADER_BLOCK_MAX,
			       &r->header);
	return f;
}

/* Its flags as words. */
static struct fault note_flags(struct run *r)
{
	static const struct { uint32_t flag; const char *name; } names[] = {
		{ FLAG_SEEN, "\\Seen" }, { FLAG_ANSWERED, "\\Answered" }, { FLAG_FLAGGED, "\\Flagged" }, { FLAG_DELETED, "\\Deleted" },
		{ FLAG_DRAFT, "\\Draft" },
	};
	struct keyword_table table;
	struct arena arena;
	struct fault f;

	arena_init(&arena, 64 << 10);
	f = mailbox_keywords(r->box, &arena, &table);
	for (size_t i = 0; !f.kind && i < ARRAY_LEN(names); i++)
		if (r->row.flags & names[i].flag)
			(void)buf_appendf(&r->flags, "%s%s", r->flags.len ? " " : "", names[i].name);
	for (uint32_t i = 0; !f.kind && i < table.count; i++)
		if (r->row.keywords.w[i / 64] >> (i % 64) & 1)
			(void)buf_appendf(&r->flags, "%s%.*s", r->flags.len ? " " : "", SV_FMT(table.names[i]));
	arena_done(&arena);
	return f;
}

/* ---- what is to be done ---- */

static struct fault change_flags(struct mailbox *box, uint32_t uid, enum store_mode mode, const struct sv *words, size_t count)
{
	struct sv *keywords = xcalloc(count + 1, sizeof(*keywords));
	struct flag_change change = { .mode = mode, .keywords = keywords };
	struct uidset one = { 0 }, modified = { 0 };
	uint32_t resume = 0;
	struct fault f;

	for (size_t i = 0; i < count; i++) {
		uint32_t flag = filter_flag(words[i]);

		change.flags |= flag;
		if (!flag && words[i].len && *words[i].p != '\\')
			keywords[change.keyword_count++] = words[i];
	}
	uidset_add(&one, uid, uid);
	f = mailbox_store_flags(box, &one, &change, &resume, &modified, NULL, NULL);
	uidset_done(&one);
	uidset_done(&modified);
	free(keywords);
	return f;
}

static void note_copy(void *arg, uint32_t from_uid, uint32_t to_uid)
{
	(void)from_uid;
	*(uint32_t *)arg = to_uid;
}

/* With an edited header it is another message. */
static struct fault append_edited(struct run *r, struct mailbox *to, struct sv header, uint32_t *uid)
{
	struct append_item item = { .has_internaldate = true, .internaldate = r->row.internaldate };
	uint64_t at = r->message->header_len;
	struct buf piece;
	struct fault f = incoming_new(r->event->user, NULL, header.len + message_size(r->reader), &item.message);

	buf_init(&piece, PIECE);
	if (!f.kind)
		f = incoming_write(item.message, header);
	while (!f.kind && at < message_size(r->reader)) {
		buf_clear(&piece);
		f = read_piece(r, at, PIECE, &piece);
		at += piece.len;
		if (!f.kind && !piece.len)
			break;
		if (!f.kind)
			f = incoming_write(item.message, buf_sv(&piece));
	}
	if (!f.kind)
		f = incoming_finish(item.message);
	if (!f.kind)
		f = incoming_append(to, &item, 1);
	incoming_free(&item.message);
	buf_done(&piece);
	*uid = item.uid;
	return f;
}

static struct fault open_target(struct run *r, const struct sieve_action *a, struct mailbox **out)
{
	struct arena arena;
	struct sv name = a->mailbox, found = SV_NONE;
	char id[24];
	struct fault f;

	arena_init(&arena, 4096);
	if (a->mailbox_id.len || a->special_use.len)
		found = filter_host_mailbox(&r->host, a->mailbox_id, a->special_use, &arena);
	if (found.len)
		name = found;
	f = mailbox_open_for(r->event->user, name, RIGHT_INSERT, out);
	if (f.kind == FAULT_NOT_FOUND && a->create) {
		f = mailbox_create(r->event->user, name, 0, id);
		if (!f.kind || f.kind == FAULT_EXISTS)
			f = mailbox_open_for(r->event->user, name, RIGHT_INSERT, out);
	}
	arena_done(&arena);
	return f;
}

/* RFC 6785 §3.3: always a new message. */
static struct fault file_copy(struct run *r, const struct sieve_action *a)
{
	struct mailbox *to = NULL;
	struct uidset one = { 0 };
	uint32_t resume = 0, uid = 0;
	struct fault f = open_target(r, a, &to);

	uidset_add(&one, r->uid, r->uid);
	if (!f.kind && a->header.p)
		f = append_edited(r, to, a->header, &uid);
	else if (!f.kind)
		f = mailbox_copy(r->box, &one, to, false, &resume, note_copy, &uid);
	if (!f.kind && uid)
		f = change_flags(to, uid, STORE_REPLACE, a->flags, a->flag_count);
	uidset_done(&one);
	mailbox_close(&to);
	return f;
}

/* The flags of a kept message are those that the script left; nothing is written when that changes nothing. */
static struct fault keep(struct run *r, const struct sieve_action *a)
{
	struct buf now;
	struct fault f = FAULT_OK;

	buf_init(&now, FLAGS_MAX);
	for (size_t i = 0; i < a->flag_count; i++)
		(void)buf_appendf(&now, "%s%.*s", now.len ? " " : "", SV_FMT(a->flags[i]));
	if (!sv_eq(buf_sv(&now), buf_sv(&r->flags)))
		f = change_flags(r->box, r->uid, STORE_REPLACE, a->flags, a->flag_count);
	buf_done(&now);
	return f;
}

static struct fault carry_out(struct run *r)
{
	static const struct sv deleted = SV_INIT("\\Deleted");
	bool is_kept = false;
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < r->result.action_count && !f.kind; i++) {
		const struct sieve_action *a = &r->result.actions[i];

		if (a->kind == SIEVE_FILEINTO)
			f = file_copy(r, a);
		else if (a->kind == SIEVE_KEEP)
			f = keep(r, a);
		is_kept |= a->kind == SIEVE_KEEP;
	}
	/* Only what was filed for certain is marked (§2.2.4). */
	if (!f.kind && !is_kept)
		f = change_flags(r->box, r->uid, STORE_ADD, &deleted, 1);
	return f;
}

/* ---- running ---- */

static void tell(struct run *r, const struct sieve_error *e)
{
	struct buf line;

	log_warn(NULL, "sieve.failed", KV_SV("account", r->event->address), KV_SV("script", r->event->script),
		 KV_SV("mailbox", r->event->mailbox), KV_U64("line", e->line), KV_U64("column", e->column), KV_Z("error", e->text));
	buf_init(&line, SCRIPT_ERROR_MAX);
	(void)buf_appendf(&line, "%.*s:%u:%u: %s", SV_FMT(r->event->script), e->line, e->column, e->text);
	scripts_note_error(r->scripts, buf_sv(&line));
	buf_done(&line);
}

static struct fault compile(struct run *r)
{
	struct buf text;
	struct fault f;

	buf_init(&text, SIEVE_SCRIPT_MAX);
	f = scripts_get(r->scripts, r->event->script, &text);
	if (!f.kind) {
		f = filter_compile(r->event->filters, r->scripts, r->event->address, buf_sv(&text), &r->script, &r->errors);
		if (f.kind)
			tell(r, &r->errors.list[0]);
	}
	buf_done(&text);
	return f;
}

static void fill_host(struct run *r)
{
	static const struct sv causes[] = { [FILTER_APPEND] = SV_INIT("APPEND"), [FILTER_COPY] = SV_INIT("COPY"),
					    [FILTER_FLAG] = SV_INIT("FLAG") };
	struct sieve_host *h = &r->host.sieve;

	filter_host_init(&r->host, r->event->filters, r->event->user->account, r->event->address, r->scripts);
	h->host = r->event->hostname;
	h->location = SV("MS");         /* RFC 6785 §4.1 */
	h->phase = SV("post");
	h->is_imap_event = true;
	h->flags = buf_sv(&r->flags);
	h->imap_user = h->imap_email = r->event->address;
	h->imap_cause = causes[r->event->cause];
	h->imap_mailbox = r->event->mailbox;
	if (r->event->cause == FILTER_FLAG)
		h->imap_changedflags = r->event->changed_flags;
}

static struct fault run_script(struct run *r)
{
	struct sieve_envelope none = { .from = SV(""), .to = SV("") };
	struct sieve_mail mail = { .message = r->message, .header = buf_sv(&r->header), .read = read_message, .read_arg = r };

	fill_host(r);
	sieve_run(filter_script_get(r->script), &mail, &none, filter_host_get(&r->host), &r->result);
	if (r->result.is_temporary)
		return fault(FAULT_UNAVAILABLE, "message cannot be read");
	if (r->host.fault.kind)
		return r->host.fault;
	if (r->result.has_failed) {
		tell(r, &r->result.error);
		return FAULT_OK;
	}
	return carry_out(r);
}

static struct fault run_inside(struct run *r)
{
	struct fault f = compile(r);

	if (f.kind)
		return f.kind == FAULT_NOT_FOUND || f.kind == FAULT_INVALID || f.kind == FAULT_LIMIT ? FAULT_OK : f;
	f = mailbox_open(r->event->user, r->event->mailbox, &r->box);
	if (!f.kind)
		f = mailbox_row(r->box, r->uid, &r->row);
	if (!f.kind)
		f = message_open(r->box, r->uid, &r->reader);
	if (!f.kind)
		f = note_flags(r);
	if (!f.kind)
		f = parse(r);
	if (!f.kind)
		f = run_script(r);
	return f.kind == FAULT_GONE ? FAULT_OK : f;     /* somebody removed it meanwhile */
}

struct fault filter_event_run(const struct filter_event *event, uint32_t uid)
{
	struct run *r = xcalloc(1, sizeof(*r));
	struct fault f;

	r->event = event;
	r->uid = uid;
	buf_init(&r->header, HEADER_BLOCK_MAX);
	buf_init(&r->flags, FLAGS_MAX);
	f = scripts_open_user(event->user, &r->scripts);
	if (!f.kind)
		f = run_inside(r);
	if (r->result.run)
		sieve_result_free(&r->result);
	if (r->host.account)
		filter_host_done(&r->host);
	filter_cache_put(filters_cache(event->filters), &r->script);
	mime_message_free(&r->message);
	message_close(&r->reader);
	mailbox_close(&r->box);
	scripts_close(&r->scripts);
	buf_done(&r->header);
	buf_done(&r->flags);
	free(r);
	return f;
}
