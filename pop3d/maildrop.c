#include "pop3d/maildrop.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

struct maildrop {
	struct maildir_user *user;
	struct mailbox *inbox;
	struct maildrop_entry *entries;
	uint32_t count;
	size_t cap;
};

static bool note_entry(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct maildrop *drop = arg;

	(void)parsed;
	if (drop->count == drop->cap) {
		drop->cap = drop->cap ? drop->cap * 2 : 64;
		drop->entries = xrealloc(drop->entries, drop->cap * sizeof(*drop->entries));
	}
	drop->entries[drop->count++] = (struct maildrop_entry){ .uid = row->uid, .size = row->size };
	return true;
}

struct fault maildrop_open(struct maildir_user *user, struct maildrop **out)
{
	struct maildrop *drop = xcalloc(1, sizeof(*drop));
	uint32_t resume = 0;
	struct fault f = mailbox_open(user, SV("INBOX"), &drop->inbox);

	if (!f.kind)
		f = mailbox_lock(drop->inbox);
	if (!f.kind)
		do
			f = mailbox_scan(drop->inbox, NULL, SCAN_ROW, &resume, note_entry, drop);
		while (!f.kind && resume);
	if (f.kind) {
		maildrop_close(&drop);
		return f;
	}
	drop->user = user;
	*out = drop;
	return FAULT_OK;
}

void maildrop_close(struct maildrop **drop)
{
	if (!*drop)
		return;
	mailbox_close(&(*drop)->inbox);         /* the lock goes with it */
	maildir_user_close(&(*drop)->user);
	free((*drop)->entries);
	free(*drop);
	*drop = NULL;
}

bool maildrop_is_marked(const struct maildrop *drop)
{
	for (uint32_t i = 0; i < drop->count; i++)
		if (drop->entries[i].is_deleted)
			return true;
	return false;
}

struct fault maildrop_update(struct maildrop *drop, uint32_t *removed)
{
	struct uidset marked = { 0 }, gone = { 0 };
	uint32_t resume = 0;
	struct fault f = FAULT_OK;

	for (uint32_t i = 0; i < drop->count; i++)
		if (drop->entries[i].is_deleted)
			uidset_add(&marked, drop->entries[i].uid, drop->entries[i].uid);
	if (marked.count)
		do
			f = mailbox_expunge(drop->inbox, &marked, true, &resume, &gone);
		while (!f.kind && resume);
	*removed = (uint32_t)uidset_total(&gone);
	uidset_done(&marked);
	uidset_done(&gone);
	return f;
}

uint32_t maildrop_count(const struct maildrop *drop)
{
	return drop->count;
}

const struct maildrop_entry *maildrop_entry(const struct maildrop *drop, uint32_t n)
{
	return n >= 1 && n <= drop->count ? &drop->entries[n - 1] : NULL;
}

void maildrop_totals(const struct maildrop *drop, uint32_t *messages, uint64_t *octets)
{
	*messages = 0;
	*octets = 0;
	for (uint32_t i = 0; i < drop->count; i++)
		if (!drop->entries[i].is_deleted) {
			++*messages;
			*octets += drop->entries[i].size;
		}
}

bool maildrop_is_read_only(const struct maildrop *drop)
{
	return mailbox_is_read_only(drop->inbox);
}

void maildrop_mark(struct maildrop *drop, uint32_t n)
{
	drop->entries[n - 1].is_deleted = true;
}

void maildrop_reset(struct maildrop *drop)
{
	for (uint32_t i = 0; i < drop->count; i++)
		drop->entries[i].is_deleted = false;
}

struct fault maildrop_uidl(struct maildrop *drop, uint32_t n, char out[72])
{
	uint32_t uid = drop->entries[n - 1].uid;
	struct fault f = mailbox_uidl(drop->inbox, uid, out);

	if (f.kind != FAULT_GONE)
		return f;
	/* Expunged by an IMAP session meanwhile. The number stays until the session ends (RFC 1939 §5), so it needs an id
	 * too: one that no message of the store ever has. */
	snprintf(out, 72, "gone.%u", uid);
	return FAULT_OK;
}

struct fault maildrop_uidls(struct maildrop *drop, uint32_t *n, size_t chunk, struct buf *out)
{
	char uidl[72];

	for (; *n && *n <= drop->count && out->len < chunk; ++*n) {
		if (drop->entries[*n - 1].is_deleted)
			continue;
		struct fault f = maildrop_uidl(drop, *n, uidl);
		if (f.kind)
			return f;
		if (!buf_appendf(out, "%u %s\r\n", *n, uidl))
			return fault(FAULT_INTERNAL, "UIDL chunk too small");
	}
	if (*n > drop->count)
		*n = 0;
	return FAULT_OK;
}

/* ---- RETR and TOP ---- */

#define READ_SIZE 16384

struct retrieval {
	struct message_reader *reader;
	struct dot_writer dots;
	uint64_t offset;
	uint32_t body_lines;            /* still to send; UINT32_MAX: all */
	bool in_body, at_line_start;    /* of what was sent */
	char last;                      /* the octet before, for CRLF */
};

struct fault retrieval_open(struct maildrop *drop, uint32_t n, uint32_t body_lines, struct retrieval **out)
{
	struct retrieval *r = xcalloc(1, sizeof(*r));
	struct fault f = message_open(drop->inbox, drop->entries[n - 1].uid, &r->reader);

	if (f.kind) {
		free(r);
		return f;
	}
	r->body_lines = body_lines;
	r->at_line_start = true;
	*out = r;
	return FAULT_OK;
}

void retrieval_close(struct retrieval **r)
{
	if (!*r)
		return;
	message_close(&(*r)->reader);
	free(*r);
	*r = NULL;
}

/* How many octets of the run TOP still sends: the header, the empty line, body_lines lines. */
static size_t top_part(struct retrieval *r, struct sv run)
{
	for (size_t i = 0; i < run.len; i++) {
		if (r->in_body && !r->body_lines)
			return i;
		bool ends_line = run.p[i] == '\n' && r->last == '\r';
		if (ends_line && r->in_body)
			r->body_lines--;
		/* A line of nothing but CRLF ends the header. */
		if (ends_line && !r->in_body && r->at_line_start)
			r->in_body = true;
		if (ends_line)
			r->at_line_start = true;
		else if (run.p[i] != '\r')
			r->at_line_start = false;
		r->last = run.p[i];
	}
	return run.len;
}

struct fault retrieval_next(struct retrieval *r, size_t chunk, struct buf *out, bool *done)
{
	char octets[READ_SIZE] UNCLEARED;
	size_t got, keep;

	*done = false;
	while (out->len < chunk) {
		struct fault f = message_read(r->reader, r->offset, octets, sizeof(octets), &got);
		if (f.kind)
			return f;
		r->offset += got;
		keep = r->body_lines == UINT32_MAX ? got : top_part(r, sv_from(octets, got));
		if (!dot_writer_feed(&r->dots, sv_from(octets, keep), byte_sink_buf, out))
			return fault(FAULT_INTERNAL, "RETR chunk too small");
		if (got == 0 || keep < got) {
			if (!dot_writer_end(&r->dots, byte_sink_buf, out))
				return fault(FAULT_INTERNAL, "RETR chunk too small");
			*done = true;
			return FAULT_OK;
		}
	}
	return FAULT_OK;
}
