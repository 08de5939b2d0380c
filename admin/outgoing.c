#include "admin/outgoing.h"

#include <stdlib.h>

#include "common/address.h"
#include "common/header.h"
#include "common/lines.h"
#include "common/memory.h"

#include "common/banned.h"

#define LINE_WISHED 76

/* ---- reading ---- */

static bool to_file(void *ctx, struct sv run)
{
	return fwrite(run.p, 1, run.len, ctx) == run.len;
}

/* Looks for a line of a single dot, which ends a message unless -i was given. */
struct dot_watch {
	enum { AT_LINE = 0, SAW_DOT, SAW_DOT_CR, IN_LINE } state;
};

/* take - the octets of `in` up to that line go to `out`, which has room for them and two more; false: it was there. */
static bool take(struct dot_watch *w, struct sv in, char *out, size_t *len)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		char c = in.p[i];

		if (w->state == AT_LINE && c == '.') {
			w->state = SAW_DOT;
			continue;
		}
		if (w->state == SAW_DOT && c == '\r') {
			w->state = SAW_DOT_CR;
			continue;
		}
		if (w->state == SAW_DOT || w->state == SAW_DOT_CR) {
			if (c == '\n') {
				*len = n;
				return false;
			}
			out[n++] = '.';
			if (w->state == SAW_DOT_CR)
				out[n++] = '\r';
		}
		out[n++] = c;
		w->state = c == '\n' ? AT_LINE : IN_LINE;
	}
	*len = n;
	return true;
}

struct fault outgoing_read(struct outgoing *m, FILE *in, bool dot_ends)
{
	struct crlf_writer crlf = { .is_full = false };
	struct dot_watch watch = { .state = dot_ends ? AT_LINE : IN_LINE };
	char piece[16384], octets[sizeof(piece) + 2];
	bool is_empty = true, fits = true, goes_on = true;
	size_t n, len;

	*m = (struct outgoing){ .file = tmpfile() };
	buf_init(&m->header, 2 * HEADER_BLOCK_MAX);
	if (!m->file)
		return fault_errno("create", "a temporary file");
	while (fits && goes_on && (n = fread(piece, 1, sizeof(piece), in)) > 0) {
		is_empty = false;
		if (dot_ends)
			goes_on = take(&watch, sv_from(piece, n), octets, &len);
		fits = crlf_writer_feed(&crlf, dot_ends ? sv_from(octets, len) : sv_from(piece, n), to_file, m->file);
	}
	if (ferror(in))
		return fault_errno("read", "standard input");
	if (!fits || fflush(m->file))
		return fault_errno("write", "a temporary file");
	return is_empty ? fault(FAULT_INVALID, "no message on standard input") : FAULT_OK;
}

/* ---- the header ---- */

enum use { USE_NONE = 0, USE_ADDRESSES, USE_RCPTS, USE_RESENT_RCPTS, USE_FROM };

static enum use use_of(enum header_id id)
{
	switch (id) {
	case HEADER_FROM:
	case HEADER_RESENT_FROM:
		return USE_FROM;
	case HEADER_TO:
	case HEADER_CC:
	case HEADER_BCC:
		return USE_RCPTS;
	case HEADER_RESENT_TO:
	case HEADER_RESENT_CC:
	case HEADER_RESENT_BCC:
		return USE_RESENT_RCPTS;
	case HEADER_SENDER:
	case HEADER_REPLY_TO:
	case HEADER_RESENT_SENDER:
		return USE_ADDRESSES;
	default:
		return USE_NONE;
	}
}

struct preparing {
	struct outgoing *m;
	struct sv user, domain;
	bool has_from, has_resent_rcpts;
	struct fault fault;
};

static void add_rcpt(struct preparing *p, enum use use, const struct address_item *item)
{
	struct outgoing *m = p->m;
	struct buf text;

	if (use == USE_RESENT_RCPTS && !p->has_resent_rcpts) {
		p->has_resent_rcpts = true;     /* they alone count (RFC 5322 §3.6.6) */
		while (m->rcpt_count)
			free(m->rcpts[--m->rcpt_count]);
	}
	if (use == USE_RCPTS && p->has_resent_rcpts)
		return;
	if (m->rcpt_count == OUTGOING_RCPTS_MAX) {
		p->fault = fault_detail(FAULT_LIMIT, "more than %d recipients", OUTGOING_RCPTS_MAX);
		return;
	}
	buf_init(&text, 4096);
	if (address_local_append(&text, item->mailbox) && buf_append_c(&text, '@') &&
	    buf_append(&text, item->host.len ? item->host : p->domain)) {
		m->rcpts = xrealloc(m->rcpts, (m->rcpt_count + 1) * sizeof(*m->rcpts));
		m->rcpts[m->rcpt_count++] = sv_copy_z(buf_sv(&text));
	} else {
		p->fault = fault(FAULT_LIMIT, "an address is too long");
	}
	buf_done(&text);
}

/* put_name - a display name, quoted unless it is made of words (RFC 5322 §3.2.5). */
static bool put_name(struct buf *out, struct sv name)
{
	bool is_plain = true, ok;

	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i];

		is_plain &= c == ' ' || c > 127 || ascii_is_alpha((char)c) || ascii_is_digit((char)c) ||
			    (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
	}
	if (is_plain)
		return buf_append(out, name) && buf_append_c(out, ' ');
	ok = buf_append_c(out, '"');
	for (size_t i = 0; i < name.len && ok; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			ok = buf_append_c(out, '\\');
		ok = ok && buf_append_c(out, name.p[i] == '\r' || name.p[i] == '\n' ? ' ' : name.p[i]);
	}
	return ok && buf_append(out, SV("\" "));
}

/* put_mailbox - with a domain. A From by another bare name ("root (Cron Daemon)" of somebody's cron job) is the user's own: the
 * name stays for people to read. */
static bool put_mailbox(struct preparing *p, enum use use, const struct address_item *item, struct buf *out)
{
	bool is_own = use == USE_FROM && !item->host.len;
	bool ok = !item->name.len || put_name(out, item->name);

	ok = ok && buf_append_c(out, '<');
	if (is_own)
		ok = ok && buf_append(out, p->user);
	else
		ok = ok && address_local_append(out, item->mailbox) && buf_append_c(out, '@') &&
		     buf_append(out, item->host.len ? item->host : p->domain);
	return ok && buf_append_c(out, '>');
}

/* rewrite - the whole field anew, as it has names without a domain. */
static bool rewrite(struct preparing *p, enum use use, const struct header_field *f, struct buf *out)
{
	struct address_list list;
	struct address_item item;
	bool is_first = true, ok = buf_append(out, f->name) && buf_append(out, SV(": "));
	size_t line = out->len - f->name.len - 2;

	address_list_init(&list, f->value);
	while (ok && address_list_next(&list, &item)) {
		if (item.kind != ADDRESS_ITEM_GROUP_END && !is_first)
			ok = buf_append(out, SV(", "));
		if (ok && out->len - line > LINE_WISHED) {
			ok = buf_append(out, SV("\r\n "));
			line = out->len - 1;
		}
		is_first = item.kind == ADDRESS_ITEM_GROUP_START;
		if (item.kind == ADDRESS_ITEM_MAILBOX)
			ok = ok && put_mailbox(p, use, &item, out);
		else if (item.kind == ADDRESS_ITEM_GROUP_START)
			ok = ok && buf_append(out, item.name) && buf_append(out, SV(": "));
		else
			ok = ok && buf_append_c(out, ';');
	}
	address_list_done(&list);
	return ok && buf_append(out, SV("\r\n"));
}

static void take_field(struct preparing *p, const struct header_field *f)
{
	enum use use = use_of(f->id);
	bool has_bare = false, is_bcc = f->id == HEADER_BCC || f->id == HEADER_RESENT_BCC;
	struct address_list list;
	struct address_item item;

	p->has_from |= f->id == HEADER_FROM;
	if (use != USE_NONE) {
		address_list_init(&list, f->value);
		while (!p->fault.kind && address_list_next(&list, &item)) {
			if (item.kind != ADDRESS_ITEM_MAILBOX || !item.mailbox.len)
				continue;
			has_bare |= !item.host.len;
			if (use == USE_RCPTS || use == USE_RESENT_RCPTS)
				add_rcpt(p, use, &item);
		}
		address_list_done(&list);
	}
	if (!p->fault.kind && !is_bcc && !(has_bare ? rewrite(p, use, f, &p->m->header) : buf_append(&p->m->header, f->raw)))
		p->fault = fault(FAULT_LIMIT, "the header is too large");
}

/* is_mbox_line - "From alice Sat Jan  3 01:05:34 1996": an envelope that some programs put in front. */
static bool is_mbox_line(const struct header_field *f)
{
	return f->is_malformed && !f->offset && sv_starts(f->raw, SV("From "));
}

/* take_header - field by field; the first line that is none begins the body, as if the empty line stood before it. */
static void take_header(struct preparing *p)
{
	struct header_reader r;
	enum header_event event = HEADER_MORE;
	bool is_over = false;
	char piece[16384];

	header_reader_init(&r);
	rewind(p->m->file);
	while (!is_over && !p->fault.kind) {
		size_t n = fread(piece, 1, sizeof(piece), p->m->file);
		struct sv in = sv_from(piece, n);

		do {
			event = n ? header_reader_feed(&r, &in) : header_reader_finish(&r);
			if (event == HEADER_FIELD && r.field.is_malformed && !is_mbox_line(&r.field)) {
				p->m->body = (off_t)r.field.offset;
				is_over = true;
			} else if (event == HEADER_FIELD && !r.field.is_malformed) {
				take_field(p, &r.field);
			} else if (event == HEADER_END) {
				p->m->body = (off_t)r.offset;
				is_over = true;
			}
		} while (!is_over && event != HEADER_MORE && !p->fault.kind);
	}
	if (r.is_capped)
		p->fault = fault(FAULT_LIMIT, "the header is too large");
	header_reader_done(&r);
}

static bool add_from(struct preparing *p, struct sv name)
{
	struct buf *out = &p->m->header;

	return buf_append(out, SV("From: ")) && (!name.len || put_name(out, name)) && buf_append_c(out, '<') &&
	       buf_append(out, p->user) && buf_append(out, SV(">\r\n"));
}

static void look_for_8bit(struct outgoing *m)
{
	char piece[16384];
	size_t n;

	m->is_utf8 = sv_has_8bit(buf_sv(&m->header));
	fseeko(m->file, m->body, SEEK_SET);
	while (!m->is_8bit && (n = fread(piece, 1, sizeof(piece), m->file)) > 0)
		m->is_8bit = sv_has_8bit(sv_from(piece, n));
}

struct fault outgoing_prepare(struct outgoing *m, struct sv user, struct sv name)
{
	struct preparing p = { .m = m, .user = user };

	p.domain = sv_sub(user, sv_rfind(user, '@') + 1, SIZE_MAX);
	take_header(&p);
	if (!p.fault.kind && ((!p.has_from && !add_from(&p, name)) || !buf_append(&m->header, SV("\r\n"))))
		p.fault = fault(FAULT_LIMIT, "the header is too large");
	look_for_8bit(m);
	return p.fault;
}

void outgoing_done(struct outgoing *m)
{
	while (m->rcpt_count)
		free(m->rcpts[--m->rcpt_count]);
	free(m->rcpts);
	if (m->file)
		fclose(m->file);
	buf_done(&m->header);
	*m = (struct outgoing){ .file = NULL };
}
