#include "smtpd/complaint.h"

#include <stdlib.h>

#include "common/address.h"
#include "common/header.h"
#include "common/unsubscribe.h"

#include "common/banned.h"

static void set(char *to, size_t size, struct sv value)
{
	size_t n = 0;

	value = sv_trim(value);
	for (size_t i = 0; i < value.len && n + 1 < size; i++)
		if (value.p[i] >= ' ' && value.p[i] < 0x7f)     /* not what is beyond ASCII, either */
			to[n++] = value.p[i];
	to[n] = '\0';
}

/* set_address - "<a@b.test>", "Anna <a@b.test>" or "rfc822; a@b.test": the first one. */
static void set_address(char *to, struct sv value)
{
	struct address_list list;
	struct address_item item;
	struct buf text;
	bool found = false;

	buf_init(&text, COMPLAINT_TEXT_MAX);
	address_list_init(&list, value);
	while (!found && address_list_next(&list, &item))
		found = item.kind == ADDRESS_ITEM_MAILBOX && item.mailbox.len && item.host.len &&
			buf_append(&text, item.mailbox) && buf_append_c(&text, '@') && buf_append(&text, item.host);
	address_list_done(&list);
	if (found && !sv_has_8bit(buf_sv(&text)))
		set(to, COMPLAINT_TEXT_MAX + 1, buf_sv(&text));
	buf_done(&text);
}

/* What the report says (RFC 5965 §3.1, §3.2). */
static void take_report_field(struct complaint *c, const struct header_field *f)
{
	if (sv_eq_nocase(f->name, SV("Feedback-Type")) && !c->type[0]) {
		set(c->type, sizeof(c->type), f->value);
		for (char *p = c->type; *p; p++)
			*p = ascii_lower(*p);
	} else if (sv_eq_nocase(f->name, SV("Source-IP"))) {
		set(c->ip, sizeof(c->ip), f->value);
	} else if (sv_eq_nocase(f->name, SV("Original-Rcpt-To")) && !c->recipient[0]) {
		set_address(c->recipient, f->value);
	} else if (sv_eq_nocase(f->name, SV("Original-Mail-From")) && !c->sender[0]) {
		set_address(c->sender, f->value);
	} else if ((sv_eq_nocase(f->name, SV("Reporting-MTA")) || sv_eq_nocase(f->name, SV("User-Agent"))) && !c->by[0]) {
		set(c->by, sizeof(c->by), f->value);
	}
}

/* What the message says that it is about. */
static void take_message_field(struct complaint *c, const struct header_field *f)
{
	char author[COMPLAINT_TEXT_MAX + 1] = "";

	if (f->id == HEADER_FROM) {
		set_address(author, f->value);
		if (author[0])
			memcpy(c->sender, author, sizeof(author));
	} else if (f->id == HEADER_MESSAGE_ID) {
		set(c->message_id, sizeof(c->message_id), f->value);
	} else if (f->id == HEADER_LIST_UNSUBSCRIBE && !c->token[0]) {
		set(c->token, sizeof(c->token), unsubscribe_find(f->value));
	} else if ((f->id == HEADER_DELIVERED_TO || sv_eq_nocase(f->name, SV("X-HmXmrOriginalRecipient"))) && !c->recipient[0]) {
		set_address(c->recipient, f->value);    /* Outlook.com says it only there */
	}
}

typedef void take_fn(struct complaint *c, const struct header_field *f);

static void read_fields(struct sv text, take_fn *take, struct complaint *c)
{
	struct header_reader reader;
	enum header_event e;

	header_reader_init(&reader);
	text = sv_sub(text, 0, COMPLAINT_PART_MAX);
	while ((e = header_reader_feed(&reader, &text)) == HEADER_FIELD)
		if (!reader.field.is_malformed)
			take(c, &reader.field);
	while (e != HEADER_END && header_reader_finish(&reader) == HEADER_FIELD)
		if (!reader.field.is_malformed)
			take(c, &reader.field);
	header_reader_done(&reader);
}

/* read_part - its body, decoded, as fields. */
static void read_part(struct sv message, const struct mime_part *p, take_fn *take, struct complaint *c)
{
	struct transfer_decoder decoder;
	struct sv body = sv_sub(sv_sub(message, (size_t)p->body_offset, (size_t)p->body_len), 0, COMPLAINT_PART_MAX);
	struct buf text;

	buf_init(&text, COMPLAINT_PART_MAX + 64);
	transfer_decoder_init(&decoder, p->encoding);
	if (transfer_decoder_feed(&decoder, body, &text) && transfer_decoder_finish(&decoder, &text))
		read_fields(buf_sv(&text), take, c);
	buf_done(&text);
}

bool complaint_read(struct sv message, const struct mime_message *m, struct complaint *out)
{
	struct mime_part p;
	bool is_read = false, has_message = false;

	*out = (struct complaint){ .type = "" };
	for (uint32_t i = 0; !has_message && mime_part_at(m, i, &p); i++) {
		if (!is_read && sv_eq(p.type, SV("message")) && sv_eq(p.subtype, SV("feedback-report"))) {
			read_part(message, &p, take_report_field, out);
			is_read = true;
		} else if (is_read && p.kind == MIME_MESSAGE) {
			/* as it came, in 7 or 8 bits (RFC 2045 §6.4) */
			read_fields(sv_sub(message, (size_t)p.body_offset, (size_t)p.body_len), take_message_field, out);
			has_message = true;
		} else if (is_read && sv_eq(p.type, SV("text")) && sv_eq(p.subtype, SV("rfc822-headers"))) {
			read_part(message, &p, take_message_field, out);
			has_message = true;
		}
	}
	return is_read && out->type[0];
}

bool complaint_is_about_spam(const struct complaint *c)
{
	static const char *const types[] = { "abuse", "fraud", "opt-out", "opt-out-list" };

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (!strcmp(c->type, types[i]))
			return true;
	return false;
}
