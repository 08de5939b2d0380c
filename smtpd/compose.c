#include "smtpd/compose.h"

#include "common/charset.h"
#include "common/header.h"
#include "common/mime_write.h"

#include "common/banned.h"

#define REFERENCES_MAX 10       /* of the thread's ids, the newest */
#define ID_MAX 900
#define ORIGINAL_MAX ((size_t)64 << 10)         /* octets of the header that a refusal returns */

/* ---- fields ---- */

/* Untrusted words on one line. */
static bool put_line(struct buf *out, struct sv text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!buf_append_c(out, (unsigned char)text.p[i] < ' ' || text.p[i] == 127 ? ' ' : text.p[i]))
			return false;
	return true;
}

static bool put_field(struct buf *out, struct sv name, struct sv before, struct sv value, struct sv after)
{
	return buf_append(out, name) && buf_append(out, SV(": ")) && buf_append(out, before) && put_line(out, value) &&
	       buf_append(out, after) && buf_append(out, SV("\r\n"));
}

static bool put_address(struct buf *out, struct sv name, struct sv address)
{
	return put_field(out, name, SV("<"), address, SV(">"));
}

static bool put_top(struct buf *out, const struct compose *c)
{
	return buf_append(out, SV("Date: ")) && date_append_5322(out, c->now) && buf_append(out, SV("\r\nMessage-ID: <")) &&
	       put_line(out, c->id) && buf_append_c(out, '@') && put_line(out, c->hostname) && buf_append(out, SV(">\r\n"));
}

/* The sender that a script may name (checked by the interpreter), else its owner. */
static bool put_from(struct buf *out, const struct compose *c, struct sv from)
{
	return from.len && !sv_has_8bit(from) ? put_field(out, SV("From"), SV(""), from, SV("")) :
	       put_address(out, SV("From"), c->account);
}

/* RFC 5322 §3.6.4: the thread so far, and the message itself. */
static bool put_references(struct buf *out, const struct compose *c)
{
	struct sv id = c->message->message_id, rest = c->message->references, one;
	size_t count = 0, at = 0;

	if (!id.len || id.len > ID_MAX)
		return true;
	if (!put_address(out, SV("In-Reply-To"), id) || !buf_append(out, SV("References:")))
		return false;
	for (size_t i = 0; i < rest.len; i++)
		count += rest.p[i] == '\n';
	for (; rest.len && sv_split(&rest, '\n', &one); at++) {
		if (!one.len || one.len > ID_MAX || at + REFERENCES_MAX < count || sv_eq(one, id))
			continue;
		if (!buf_append(out, SV(" <")) || !put_line(out, one) || !buf_append(out, SV(">\r\n")))
			return false;
	}
	return buf_append(out, SV(" <")) && put_line(out, id) && buf_append(out, SV(">\r\n"));
}

/* ---- vacation ---- */

/* A MIME entity of a script's (RFC 5230 §4.4): its fields are about the content, or they are left out; else a script could write who
 * the mail is from. */
static bool put_entity(struct buf *out, struct sv text)
{
	struct header_reader r;
	struct sv in = text;
	enum header_event e;
	bool ok = buf_append(out, SV("MIME-Version: 1.0\r\n"));

	header_reader_init(&r);
	while (ok && (e = in.len ? header_reader_feed(&r, &in) : header_reader_finish(&r)) != HEADER_END)
		if (e == HEADER_FIELD && sv_starts_nocase(r.field.name, SV("Content-")))
			ok = mime_write_crlf(out, r.field.raw);
	header_reader_done(&r);
	return ok && buf_append(out, SV("\r\n")) && mime_write_crlf(out, in);
}

bool compose_vacation(struct buf *out, const struct compose *c, const struct sieve_action *a)
{
	return put_top(out, c) && put_from(out, c, a->from) && put_address(out, SV("To"), a->address) &&
	       mime_write_text_field(out, SV("Subject"), a->subject) && put_references(out, c) &&
	       buf_append(out, SV("Auto-Submitted: auto-replied (vacation)\r\n")) &&
	       (a->is_mime ? put_entity(out, a->text) : mime_write_plain(out, a->text));
}

/* ---- notify ---- */

static bool decode_percent(struct sv in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		char c = in.p[i];

		if (c == '%' && i + 2 < in.len && ascii_hex(in.p[i + 1]) >= 0 && ascii_hex(in.p[i + 2]) >= 0) {
			c = (char)(ascii_hex(in.p[i + 1]) << 4 | ascii_hex(in.p[i + 2]));
			i += 2;
		}
		if (!buf_append_c(out, c))
			return false;
	}
	return true;
}

static struct sv uri_to(struct sv uri)
{
	size_t query = sv_find(uri, '?');

	return sv_sub(uri, 7, query == SIZE_MAX ? SIZE_MAX : query - 7);
}

/* The next header of the URI, decoded. */
static bool next_header(struct sv *rest, struct sv *name, struct buf *value)
{
	struct sv field;
	size_t equals;

	buf_clear(value);
	if (!rest->len || !sv_split(rest, '&', &field))
		return false;
	equals = sv_find(field, '=');
	*name = sv_sub(field, 0, equals);
	return equals == SIZE_MAX || decode_percent(sv_sub(field, equals + 1, SIZE_MAX), value);
}

static struct sv uri_headers(struct sv uri)
{
	size_t query = sv_find(uri, '?');

	return query == SIZE_MAX ? SV_NONE : sv_sub(uri, query + 1, SIZE_MAX);
}

bool compose_notify_next(struct sv uri, size_t *at, struct buf *address)
{
	struct sv rest = uri_headers(uri), to = uri_to(uri), name, one;
	struct buf value;
	size_t n = 0;
	bool found = false;

	buf_clear(address);
	while (to.len && sv_split(&to, ',', &one))
		if (n++ == *at)
			found = decode_percent(one, address);
	buf_init(&value, COMPOSE_MAX);
	while (!found && next_header(&rest, &name, &value)) {
		if (!sv_eq_nocase(name, SV("to")) && !sv_eq_nocase(name, SV("cc")) && !sv_eq_nocase(name, SV("bcc")))
			continue;
		for (struct sv list = buf_sv(&value); list.len && sv_split(&list, ',', &one) && !found; )
			if (n++ == *at)
				found = buf_append(address, sv_trim(one));
	}
	buf_done(&value);
	*at += found;
	return found;
}

static bool put_receivers(struct buf *out, struct sv uri)
{
	struct buf address;
	size_t at = 0;
	bool ok = buf_append(out, SV("To:"));

	buf_init(&address, 4096);
	while (ok && compose_notify_next(uri, &at, &address))
		ok = buf_append(out, at > 1 ? SV(",\r\n <") : SV(" <")) && put_line(out, buf_sv(&address)) && buf_append_c(out, '>');
	buf_done(&address);
	return ok && buf_append(out, SV("\r\n"));
}

static struct sv field_of(const struct compose *c, struct header_reader *r, struct sv name)
{
	struct sv in = c->header;
	enum header_event e;

	header_reader_again(r);
	while ((e = in.len ? header_reader_feed(r, &in) : header_reader_finish(r)) != HEADER_END)
		if (e == HEADER_FIELD && sv_eq_nocase(r->field.name, name))
			return r->field.value;
	return SV_NONE;
}

/* A field of the message in words: unfolded, decoded. */
static bool put_decoded(struct buf *out, const struct compose *c, struct sv name)
{
	struct header_reader r;
	struct buf plain;
	bool ok;

	header_reader_init(&r);
	buf_init(&plain, HEADER_FIELD_MAX);
	(void)header_unfold(field_of(c, &r, name), &plain);
	ok = charset_decode_words(buf_sv(&plain), out);
	buf_done(&plain);
	header_reader_done(&r);
	return ok;
}

/* RFC 5436 §2.7: :message, else the URI's header, else the message's own subject. */
static bool put_subject(struct buf *out, const struct compose *c, const struct sieve_action *a, struct sv of_uri)
{
	struct buf own;
	bool ok;

	buf_init(&own, HEADER_FIELD_MAX);
	if (!a->text.len && !of_uri.len)
		(void)put_decoded(&own, c, SV("Subject"));
	ok = mime_write_text_field(out, SV("Subject"), a->text.len ? a->text : of_uri.len ? of_uri : own.len ? buf_sv(&own) :
				   SV("New mail"));
	buf_done(&own);
	return ok;
}

static bool put_notify_body(struct buf *out, const struct compose *c, struct sv body)
{
	struct buf text;
	bool ok;

	buf_init(&text, COMPOSE_MAX);
	ok = body.len ? buf_append(&text, body) :
	     buf_append(&text, SV("You have new mail.\n\nFrom: ")) && put_decoded(&text, c, SV("From")) &&
		     buf_append(&text, SV("\nSubject: ")) && put_decoded(&text, c, SV("Subject")) && buf_append_c(&text, '\n');
	ok = ok && mime_write_plain(out, buf_sv(&text));
	buf_done(&text);
	return ok;
}

bool compose_notify(struct buf *out, const struct compose *c, const struct sieve_action *a)
{
	static const char *const importance[] = { "", "High", "Normal", "Low" };
	struct sv rest = uri_headers(a->method), name;
	struct buf value, subject, body;
	bool ok;

	buf_init(&value, COMPOSE_MAX);
	buf_init(&subject, COMPOSE_MAX);
	buf_init(&body, COMPOSE_MAX);
	while (next_header(&rest, &name, &value)) {
		if (sv_eq_nocase(name, SV("subject")))
			(void)(buf_clear(&subject), buf_append(&subject, buf_sv(&value)));
		else if (sv_eq_nocase(name, SV("body")))
			(void)(buf_clear(&body), buf_append(&body, buf_sv(&value)));
	}
	ok = put_top(out, c) && put_from(out, c, a->from) && put_receivers(out, a->method) &&
	     put_subject(out, c, a, buf_sv(&subject)) &&
	     put_field(out, SV("Auto-Submitted"), SV("auto-notified; owner-email=\""), c->account, SV("\"")) &&
	     (a->importance < 1 || a->importance > 3 || a->importance == 2 ||
	      put_field(out, SV("Importance"), SV(""), sv_z(importance[a->importance]), SV(""))) &&
	     put_notify_body(out, c, buf_sv(&body));
	buf_done(&value);
	buf_done(&subject);
	buf_done(&body);
	return ok;
}

/* ---- refusals ---- */

static bool put_words(struct buf *out, struct sv reason)
{
	struct buf text;
	bool ok;

	buf_init(&text, COMPOSE_MAX);
	ok = buf_append(&text, SV("Your message was refused by the recipient's mail filtering program.\n"
				  "The reason given is as follows:\n\n")) &&
	     buf_append(&text, reason) && mime_write_plain(out, buf_sv(&text));
	buf_done(&text);
	return ok;
}

static bool put_delivery_status(struct buf *out, const struct compose *c)
{
	return buf_append(out, SV("Content-Type: message/delivery-status\r\n\r\n")) &&
	       put_field(out, SV("Reporting-MTA"), SV("dns; "), c->hostname, SV("")) && buf_append(out, SV("\r\n")) &&
	       put_field(out, SV("Final-Recipient"), SV("rfc822; "), c->rcpt, SV("")) &&
	       buf_append(out, SV("Action: failed\r\nStatus: 5.7.1\r\n"));
}

static bool put_disposition(struct buf *out, const struct compose *c)
{
	struct sv id = c->message->message_id;

	return buf_append(out, SV("Content-Type: message/disposition-notification\r\n\r\n")) &&
	       put_field(out, SV("Reporting-UA"), SV(""), c->hostname, SV("; Postroom")) &&
	       put_field(out, SV("Final-Recipient"), SV("rfc822; "), c->rcpt, SV("")) &&
	       (!id.len || put_address(out, SV("Original-Message-ID"), id)) &&
	       buf_append(out, SV("Disposition: automatic-action/MDN-sent-automatically; deleted\r\n"));
}

bool compose_refusal(struct buf *out, const struct compose *c, const struct sieve_action *a)
{
	bool is_dsn = a->kind == SIEVE_EREJECT;
	struct sv header = sv_sub(c->header, 0, ORIGINAL_MAX);
	struct buf mark;
	bool ok;

	if (header.len < c->header.len)         /* whole lines */
		header.len = sv_rfind(header, '\n') == SIZE_MAX ? 0 : sv_rfind(header, '\n') + 1;
	buf_init(&mark, 128);
	ok = buf_appendf(&mark, "postroom-%.*s", SV_FMT(c->id)) && put_top(out, c) &&
	     put_field(out, SV("From"), SV("Mail Delivery System <postmaster@"), c->hostname, SV(">")) &&
	     put_address(out, SV("To"), c->sender) &&
	     buf_append(out, is_dsn ? SV("Subject: Undelivered mail: refused by the recipient\r\n") :
				      SV("Subject: Your message was refused by the recipient\r\n")) &&
	     put_references(out, c) && buf_append(out, SV("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n")) &&
	     buf_appendf(out, "Content-Type: multipart/report; report-type=%s;\r\n\tboundary=\"%.*s\"\r\n\r\n--%.*s\r\n",
			 is_dsn ? "delivery-status" : "disposition-notification", SV_FMT(buf_sv(&mark)), SV_FMT(buf_sv(&mark))) &&
	     put_words(out, a->text) && buf_appendf(out, "\r\n--%.*s\r\n", SV_FMT(buf_sv(&mark))) &&
	     (is_dsn ? put_delivery_status(out, c) : put_disposition(out, c)) &&
	     buf_appendf(out, "\r\n--%.*s\r\nContent-Type: text/rfc822-headers\r\n\r\n", SV_FMT(buf_sv(&mark))) &&
	     buf_append(out, header) && buf_appendf(out, "\r\n--%.*s--\r\n", SV_FMT(buf_sv(&mark)));
	buf_done(&mark);
	return ok;
}
