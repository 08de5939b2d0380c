#include "common/mime_private.h"

#include "common/address.h"

#include "common/banned.h"

/* ---- strings of IMAP (RFC 3501 §4.3) ---- */

/* A string: quoted when it can be, else a literal. NULs, which no string of IMAP can hold, are left out. On overflow
 * nothing is appended. */
static bool put_string(struct buf *out, struct sv s)
{
	size_t before = out->len, nuls = 0;
	bool is_literal = false, ok;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		nuls += !c;
		is_literal = is_literal || c > 127 || c == '\r' || c == '\n';
	}
	ok = is_literal ? buf_appendf(out, "{%zu}\r\n", s.len - nuls) : buf_append_c(out, '"');
	if (ok && is_literal && !nuls) {
		ok = buf_append(out, s);
	} else {
		for (size_t i = 0; ok && i < s.len; i++) {
			if (!is_literal && (s.p[i] == '"' || s.p[i] == '\\'))
				ok = buf_append_c(out, '\\');
			if (s.p[i])
				ok = ok && buf_append_c(out, s.p[i]);
		}
	}
	if (!is_literal)
		ok = ok && buf_append_c(out, '"');
	if (!ok)
		out->len = before;
	return ok;
}

static bool put_nstring(struct buf *out, struct sv s)
{
	return s.p ? put_string(out, s) : buf_append(out, SV("NIL"));
}

/* A field's value on one line, as a string. */
static bool put_value(struct buf *out, struct sv value)
{
	struct buf line;

	buf_init(&line, MIME_VALUE_MAX);
	(void)header_unfold(value, &line);      /* cut at the max */
	bool ok = put_string(out, buf_sv(&line));

	buf_done(&line);
	return ok;
}

struct mime_ref mime_text_add(struct mime_parser *p, struct sv s)
{
	struct mime_ref r = { (uint32_t)p->text.len, (uint32_t)s.len };

	if (s.len > MIME_TEXT_MAX || !buf_append(&p->text, s)) {
		p->keys.facts |= MIME_PARTS_CAPPED;
		r.len = 0;
	}
	return r;
}

/* ---- ENVELOPE ---- */

static bool put_address(struct buf *out, const struct address_item *item)
{
	switch (item->kind) {
	case ADDRESS_ITEM_GROUP_START:
		return buf_append(out, SV("(NIL NIL ")) && put_string(out, item->name) && buf_append(out, SV(" NIL)"));
	case ADDRESS_ITEM_GROUP_END:
		return buf_append(out, SV("(NIL NIL NIL NIL)"));
	case ADDRESS_ITEM_NONE:
	case ADDRESS_ITEM_MAILBOX:
		break;
	}
	/* Host and mailbox are never NIL here: that would mean a group. */
	return buf_append_c(out, '(') && put_nstring(out, item->name) && buf_append_c(out, ' ') &&
	       put_nstring(out, item->route) && buf_append_c(out, ' ') && put_string(out, item->mailbox) &&
	       buf_append_c(out, ' ') && put_string(out, item->host) && buf_append_c(out, ')');
}

/* Two fields of one name are one list, so that nobody can hide an address in the second one. */
static void put_addresses(struct mime_parser *p, struct buf *out, struct sv value, struct buf *first_mailbox)
{
	struct address_list l;
	struct address_item item;
	size_t before = out->len;
	bool is_full = false;

	address_list_init(&l, value);
	while (address_list_next(&l, &item)) {
		if (first_mailbox && item.kind == ADDRESS_ITEM_MAILBOX) {
			if (!first_mailbox->len)
				(void)buf_append(first_mailbox, sv_sub(item.mailbox, 0, first_mailbox->max));
			first_mailbox = NULL;
		}
		before = out->len;
		if (!is_full && !put_address(out, &item)) {
			out->len = before;
			is_full = true;
			p->keys.facts |= MIME_HEADER_CAPPED;
		}
	}
	if (l.is_capped)
		p->keys.facts |= MIME_HEADER_CAPPED;
	address_list_done(&l);
}

void mime_env_field(struct mime_parser *p, const struct header_field *f, bool is_row_0)
{
	enum mime_env which;
	struct buf *first_mailbox = NULL;

	switch (f->id) {
	case HEADER_DATE:        which = ENV_DATE; break;
	case HEADER_SUBJECT:     which = ENV_SUBJECT; break;
	case HEADER_FROM:        which = ENV_FROM; first_mailbox = &p->keys.mailboxes[0]; break;
	case HEADER_SENDER:      which = ENV_SENDER; break;
	case HEADER_REPLY_TO:    which = ENV_REPLY_TO; break;
	case HEADER_TO:          which = ENV_TO; first_mailbox = &p->keys.mailboxes[1]; break;
	case HEADER_CC:          which = ENV_CC; first_mailbox = &p->keys.mailboxes[2]; break;
	case HEADER_BCC:         which = ENV_BCC; break;
	case HEADER_IN_REPLY_TO: which = ENV_IN_REPLY_TO; break;
	case HEADER_MESSAGE_ID:  which = ENV_MESSAGE_ID; break;
	default:                 return;
	}
	if (which >= ENV_FROM && which <= ENV_BCC)
		put_addresses(p, &p->env[which], f->value, is_row_0 ? first_mailbox : NULL);
	else if (!p->env[which].len)
		(void)put_value(&p->env[which], f->value);
}

struct mime_ref mime_env_end(struct mime_parser *p)
{
	struct buf out;

	buf_init(&out, (MIME_ENV_MAX + 8) * ENV_COUNT);
	bool ok = buf_append_c(&out, '(');

	for (int i = 0; ok && i < ENV_COUNT; i++) {
		bool is_list = i >= ENV_FROM && i <= ENV_BCC;
		struct sv member = buf_sv(&p->env[i]);
		if (!member.len && (i == ENV_SENDER || i == ENV_REPLY_TO))
			member = buf_sv(&p->env[ENV_FROM]);     /* RFC 3501 §7.4.2: never empty if From is not */
		if (i)
			ok = buf_append_c(&out, ' ');
		if (!member.len)
			ok = ok && buf_append(&out, SV("NIL"));
		else if (is_list)
			ok = ok && buf_append_c(&out, '(') && buf_append(&out, member) && buf_append_c(&out, ')');
		else
			ok = ok && buf_append(&out, member);
	}
	ok = ok && buf_append_c(&out, ')');
	struct mime_ref r = ok ? mime_text_add(p, buf_sv(&out)) : (struct mime_ref){ 0 };

	buf_done(&out);
	for (int i = 0; i < ENV_COUNT; i++)
		buf_clear(&p->env[i]);
	return r;
}

/* ---- what BODYSTRUCTURE says of one part (RFC 3501 §7.4.2) ---- */

static bool put_params(struct buf *out, const struct header_content *c)
{
	if (!c->param_count)
		return buf_append(out, SV("NIL"));
	bool ok = buf_append_c(out, '(');

	for (size_t i = 0; ok && i < c->param_count; i++) {
		const struct header_param *param = &c->params[i];
		struct buf name;
		buf_init(&name, MIME_VALUE_MAX + 1);
		ok = (!i || buf_append_c(out, ' ')) && buf_append(&name, param->name) &&
		     (!param->is_extended || buf_append_c(&name, '*')) && put_string(out, buf_sv(&name)) &&
		     buf_append_c(out, ' ') && put_string(out, param->raw);
		buf_done(&name);
	}
	return ok && buf_append_c(out, ')');
}

static bool put_content(struct buf *out, const struct mime_parser *p, enum mime_content which)
{
	return p->content[which].p ? put_value(out, p->content[which]) : buf_append(out, SV("NIL"));
}

static bool put_encoding(struct buf *out, struct sv value)
{
	struct sv token = sv_trim(value);
	size_t n = 0;

	if (!token.len)
		return buf_append(out, SV("\"7bit\""));
	while (n < token.len && (ascii_is_alpha(token.p[n]) || ascii_is_digit(token.p[n]) || token.p[n] == '-'))
		n++;
	switch (transfer_from(value)) {
	case TRANSFER_7BIT:             return buf_append(out, SV("\"7bit\""));
	case TRANSFER_8BIT:             return buf_append(out, SV("\"8bit\""));
	case TRANSFER_BINARY:           return buf_append(out, SV("\"binary\""));
	case TRANSFER_BASE64:           return buf_append(out, SV("\"base64\""));
	case TRANSFER_QUOTED_PRINTABLE: return buf_append(out, SV("\"quoted-printable\""));
	case TRANSFER_OTHER:            break;
	}
	return n ? put_string(out, sv_sub(token, 0, n)) : put_value(out, value);
}

static bool put_disposition(struct buf *out, struct mime_parser *p, const struct header_content *d)
{
	if (!p->content[CONTENT_DISPOSITION].p || !d->type.len)
		return buf_append(out, SV("NIL"));
	return buf_append_c(out, '(') && put_string(out, d->type) && buf_append_c(out, ' ') && put_params(out, d) &&
	       buf_append_c(out, ')');
}

/* Content-Language: en, de (RFC 3282) */
static bool put_languages(struct buf *out, struct sv value)
{
	struct sv part;
	size_t count = 0, before = out->len;
	bool ok = buf_append_c(out, '(');

	while (ok && value.p && sv_split(&value, ',', &part)) {
		part = sv_trim(part);
		if (!part.len)
			continue;
		ok = (!count++ || buf_append_c(out, ' ')) && put_value(out, part);
	}
	if (ok && !count) {
		out->len = before;
		return buf_append(out, SV("NIL"));
	}
	return ok && buf_append_c(out, ')');
}

void mime_write_fields(struct mime_parser *p, struct mime_node *node, const struct header_content *type)
{
	struct header_content disposition = { 0 };
	struct buf fields, extension;
	bool ok;

	if (p->content[CONTENT_DISPOSITION].p)
		(void)header_parse_content(&p->scratch, p->content[CONTENT_DISPOSITION], &disposition);
	bool is_named = header_param(&disposition, SV("filename")) || header_param(type, SV("name"));

	if (node->kind != MIME_MULTIPART &&
	    (sv_eq(disposition.type, SV("attachment")) ||
	     (is_named && node->kind == MIME_LEAF && !sv_eq(disposition.type, SV("inline")))))
		p->keys.facts |= MIME_HAS_ATTACHMENT;

	buf_init(&fields, MIME_TEXT_MAX);
	buf_init(&extension, MIME_TEXT_MAX);
	if (node->kind == MIME_MULTIPART) {
		ok = put_string(&fields, type->subtype) && put_params(&extension, type);
	} else {
		ok = put_string(&fields, type->type) && buf_append_c(&fields, ' ') &&
		     put_string(&fields, type->subtype) && buf_append_c(&fields, ' ');
		if (node->kind == MIME_TEXT && !p->content[CONTENT_TYPE].p)
			ok = ok && buf_append(&fields, SV("(\"charset\" \"us-ascii\")"));       /* RFC 2045 §5.2 */
		else
			ok = ok && put_params(&fields, type);
		ok = ok && buf_append_c(&fields, ' ') && put_content(&fields, p, CONTENT_ID) &&
		     buf_append_c(&fields, ' ') && put_content(&fields, p, CONTENT_DESCRIPTION) &&
		     buf_append_c(&fields, ' ') &&
		     put_encoding(&fields, p->content[CONTENT_TRANSFER_ENCODING].p ?
					   p->content[CONTENT_TRANSFER_ENCODING] : SV("")) &&
		     put_content(&extension, p, CONTENT_MD5);
	}
	ok = ok && buf_append_c(&extension, ' ') && put_disposition(&extension, p, &disposition) &&
	     buf_append_c(&extension, ' ') && put_languages(&extension, p->content[CONTENT_LANGUAGE]) &&
	     buf_append_c(&extension, ' ') && put_content(&extension, p, CONTENT_LOCATION);
	if (ok) {
		node->fields = mime_text_add(p, buf_sv(&fields));
		node->extension = mime_text_add(p, buf_sv(&extension));
	}
	buf_done(&fields);
	buf_done(&extension);
}

/* ---- the whole structure ---- */

#define NIL_EXTENSION "NIL NIL NIL NIL"
#define NIL_ENVELOPE  "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

/* What stands for a part whose own words did not fit. */
static struct sv fields_of(const struct mime_parser *p, const struct mime_node *node)
{
	if (node->fields.len)
		return mime_text(p, node->fields);
	switch ((enum mime_kind)node->kind) {
	case MIME_TEXT:      return SV("\"text\" \"plain\" NIL NIL NIL \"8bit\"");
	case MIME_MULTIPART: return SV("\"mixed\"");
	case MIME_MESSAGE:   return SV("\"message\" \"rfc822\" NIL NIL NIL \"8bit\"");
	case MIME_LEAF:      break;
	}
	return SV("\"application\" \"octet-stream\" NIL NIL NIL \"binary\"");
}

static void put_extension(const struct mime_parser *p, const struct mime_node *node, struct buf *out)
{
	(void)buf_append_c(out, ' ');
	(void)buf_append(out, node->extension.len ? mime_text(p, node->extension) : SV(NIL_EXTENSION));
}

static void put_open(const struct mime_parser *p, uint32_t index, bool has_extensions, struct buf *out)
{
	const struct mime_node *node = &p->nodes[index];

	(void)buf_append_c(out, '(');
	if (node->kind == MIME_MULTIPART) {
		if (!node->child_count) {       /* the grammar wants at least one */
			(void)buf_append(out, SV("(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0"));
			(void)buf_append(out, has_extensions ? SV(" " NIL_EXTENSION ")") : SV(")"));
		}
		return;
	}
	(void)buf_append(out, fields_of(p, node));
	(void)buf_append_c(out, ' ');
	(void)buf_append_u64(out, node->body_len);
	if (node->kind == MIME_MESSAGE) {
		const struct mime_node *child = &p->nodes[index + 1];
		(void)buf_append_c(out, ' ');
		(void)buf_append(out, child->envelope.len ? mime_text(p, child->envelope) : SV(NIL_ENVELOPE));
		(void)buf_append_c(out, ' ');
	}
}

static void put_close(const struct mime_parser *p, const struct mime_node *node, bool has_extensions, struct buf *out)
{
	if (node->kind == MIME_MULTIPART) {
		(void)buf_append_c(out, ' ');
		(void)buf_append(out, fields_of(p, node));
	} else if (node->kind == MIME_TEXT || node->kind == MIME_MESSAGE) {
		(void)buf_append_c(out, ' ');
		(void)buf_append_u64(out, node->body_lines);
	}
	if (has_extensions)
		put_extension(p, node, out);
	(void)buf_append_c(out, ')');
}

/* Rows are in preorder: a part ends where the next row is not deeper. out's max is larger than all this can be. */
void mime_write_structure(const struct mime_parser *p, bool has_extensions, struct buf *out)
{
	for (uint32_t i = 0; i < p->count; i++) {
		unsigned next_depth = i + 1 < p->count ? p->nodes[i + 1].depth : 0;
		uint32_t at = i;
		put_open(p, i, has_extensions, out);
		while (p->nodes[at].depth >= next_depth) {
			put_close(p, &p->nodes[at], has_extensions, out);
			if (!at)
				break;
			at = p->nodes[at].parent;
		}
	}
}
