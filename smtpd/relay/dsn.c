#include "smtpd/relay/dsn.h"

#include "smtpd/relay/answer.h"
#include "smtpd/relay/explain.h"

#include "common/banned.h"

#define LINE(out, ...) (buf_appendf((out), __VA_ARGS__) && buf_append((out), SV("\r\n")))

static const char *action_word(enum dsn_action action)
{
	switch (action) {
	case DSN_FAILED:    return "failed";
	case DSN_DELAYED:   return "delayed";
	case DSN_DELIVERED: return "delivered";
	case DSN_RELAYED:   return "relayed";
	}
	return "failed";
}

static const char *default_status(enum dsn_action action)
{
	switch (action) {
	case DSN_FAILED:    return "5.0.0";
	case DSN_DELAYED:   return "4.0.0";
	case DSN_DELIVERED:
	case DSN_RELAYED:   return "2.0.0";
	}
	return "5.0.0";
}

static const char *subject(const struct dsn *d)
{
	switch (d->notice) {
	case SPOOL_NOTICE_FAILURE: return "Your message could not be delivered";
	case SPOOL_NOTICE_DELAY:   return "Your message is late";
	case SPOOL_NOTICE_SUCCESS: return "Your message was delivered";
	}
	return "";
}

static bool date_line(struct buf *out, const char *name, int64_t at_s)
{
	return buf_appendf(out, "%s: ", name) &&
	       date_append_5322(out, (struct date){ .seconds = at_s }) &&
	       buf_append(out, SV("\r\n"));
}

/* ---- for people ---- */

/* wrapped - text in lines of at most 72 octets, each with a margin in front. */
static bool wrapped(struct buf *out, const char *margin, struct sv text)
{
	struct sv word;
	size_t column = 0;

	while (sv_split(&text, ' ', &word)) {
		if (!word.len)
			continue;
		if (!column || column + 1 + word.len > 72) {
			if (!buf_appendf(out, "%s%s", column ? "\r\n" : "", margin))
				return false;
			column = strlen(margin);
		} else if (!buf_append_c(out, ' ')) {
			return false;
		} else {
			column++;
		}
		/* A line of mail has at most 998 octets (RFC 5322 §2.1.1). */
		if (!answer_clean(out, sv_sub(word, 0, 900)))
			return false;
		column += word.len;
	}
	return buf_append(out, SV("\r\n"));
}

static bool first_words(const struct dsn *d, struct buf *out)
{
	switch (d->notice) {
	case SPOOL_NOTICE_FAILURE:
		return LINE(out, "Your message could not be delivered to:");
	case SPOOL_NOTICE_DELAY:
		return LINE(out, "Your message has not been delivered yet. You need not send it again:") &&
		       LINE(out, "it is tried until the time below.") && LINE(out, "%s", "") &&
		       LINE(out, "It waits for:");
	case SPOOL_NOTICE_SUCCESS:
		return LINE(out, "As you asked, this tells you what became of your message to:");
	}
	return false;
}

static bool about_one(const struct dsn_rcpt *r, struct buf *out)
{
	const char *sentence = r->action == DSN_FAILED || r->action == DSN_DELAYED
				       ? explain_refusal(r->status, r->reply) : NULL;
	bool fits = LINE(out, "%s", "") && LINE(out, "  <%.*s>", SV_FMT(r->address));

	if (sentence)
		fits = fits && wrapped(out, "    ", sv_z(sentence));
	if (r->action == DSN_RELAYED)
		fits = fits && wrapped(out, "    ", SV("It was handed to a server that does not tell "
						       "what becomes of it."));
	if (r->action == DSN_DELIVERED)
		fits = fits && wrapped(out, "    ", SV("It lies in the mailbox."));
	if (r->reply.len && r->remote.len)
		fits = fits && LINE(out, "    %.*s said:", SV_FMT(r->remote)) &&
		       wrapped(out, "      ", r->reply);
	else if (r->reply.len)
		fits = fits && wrapped(out, "    ", r->reply);
	return fits;
}

static bool human_part(const struct dsn *d, struct buf *out)
{
	bool fits = LINE(out, "Content-Type: text/plain; charset=utf-8") &&
		    LINE(out, "Content-Transfer-Encoding: 8bit") && LINE(out, "%s", "") &&
		    LINE(out, "This is the mail server %s.", d->hostname) && LINE(out, "%s", "") &&
		    first_words(d, out);

	for (size_t i = 0; i < d->count && fits; i++)
		fits = about_one(&d->rcpts[i], out);
	if (d->notice == SPOOL_NOTICE_DELAY)
		fits = fits && LINE(out, "%s", "") && date_line(out, "It is given up", d->until_s);
	return fits && LINE(out, "%s", "") &&
	       LINE(out, "The message is known here as %.*s.", SV_FMT(d->original_id)) &&
	       (!d->returned.len ||
		LINE(out, "%s", d->is_whole ? "It is attached." : "Its header is attached."));
}

/* ---- for programs ---- */

static bool status_of_one(const struct dsn_rcpt *r, bool is_utf8, int64_t until_s,
			  struct buf *out)
{
	struct sv status = r->status.len ? r->status : sv_z(default_status(r->action));
	struct sv remote = r->remote, host;
	bool fits = LINE(out, "%s", "");

	if (r->original.len)
		fits = fits && buf_append(out, SV("Original-Recipient: ")) &&
		       answer_clean(out, r->original) && buf_append(out, SV("\r\n"));
	fits = fits &&
	       LINE(out, "Final-Recipient: %s;%.*s", is_utf8 ? "utf-8" : "rfc822",
		    SV_FMT(r->address)) &&
	       LINE(out, "Action: %s", action_word(r->action)) &&
	       LINE(out, "Status: %.*s", SV_FMT(status));
	if (sv_split(&remote, ' ', &host) && host.len)
		fits = fits && LINE(out, "Remote-MTA: dns;%.*s", SV_FMT(host));
	if (r->reply.len && (r->action == DSN_FAILED || r->action == DSN_DELAYED)) {
		fits = fits && buf_appendf(out, "Diagnostic-Code: %s",
					   r->remote.len ? "smtp;" : "X-Postroom;");
		/* Folded by words, so that no line grows too long. */
		fits = fits && wrapped(out, " ", r->reply);
	}
	if (r->at_s)
		fits = fits && date_line(out, "Last-Attempt-Date", r->at_s);
	if (r->action == DSN_DELAYED && until_s)
		fits = fits && date_line(out, "Will-Retry-Until", until_s);
	return fits;
}

static bool status_part(const struct dsn *d, bool is_utf8, struct buf *out)
{
	bool fits = LINE(out, "Content-Type: message/%sdelivery-status",
			 is_utf8 ? "global-" : "");

	if (is_utf8)
		fits = fits && LINE(out, "Content-Transfer-Encoding: 8bit");
	fits = fits && LINE(out, "%s", "") && LINE(out, "Reporting-MTA: dns;%s", d->hostname);
	if (d->envelope_id.len)
		fits = fits && buf_append(out, SV("Original-Envelope-Id: ")) &&
		       answer_clean(out, d->envelope_id) && buf_append(out, SV("\r\n"));
	fits = fits && LINE(out, "X-Postroom-Queue-ID: %.*s", SV_FMT(d->original_id)) &&
	       date_line(out, "Arrival-Date", d->received_s);
	if (d->hold.hold_kind[0])
		fits = fits && LINE(out, "Future-Release-Request: %s;%.*s", d->hold.hold_kind, SV_FMT(d->hold.hold));
	for (size_t i = 0; i < d->count && fits; i++)
		fits = status_of_one(&d->rcpts[i], is_utf8, d->until_s, out);
	return fits;
}

static bool returned_part(const struct dsn *d, bool is_utf8, struct buf *out)
{
	const char *type = d->is_whole ? (is_utf8 ? "message/global" : "message/rfc822")
			   : is_utf8   ? "message/global-headers"
				       : "text/rfc822-headers";

	return LINE(out, "Content-Type: %s", type) &&
	       LINE(out, "Content-Transfer-Encoding: %s",
		    sv_has_8bit(d->returned) ? "8bit" : "7bit") &&
	       LINE(out, "%s", "") && buf_append(out, d->returned) &&
	       (sv_ends(d->returned, SV("\r\n")) || buf_append(out, SV("\r\n")));
}

static bool header(const struct dsn *d, struct buf *out)
{
	return LINE(out, "From: Mail delivery <%.*s>", SV_FMT(d->from)) &&
	       LINE(out, "To: <%.*s>", SV_FMT(d->to)) && LINE(out, "Subject: %s", subject(d)) &&
	       date_line(out, "Date", d->now.seconds) &&
	       LINE(out, "Message-ID: <%.*s@%s>", SV_FMT(d->id), d->hostname) &&
	       LINE(out, "Auto-Submitted: auto-replied") && LINE(out, "MIME-Version: 1.0") &&
	       LINE(out, "Content-Type: multipart/report; report-type=delivery-status;") &&
	       LINE(out, "\tboundary=\"=_%.*s\"", SV_FMT(d->id)) && LINE(out, "%s", "");
}

static bool boundary(const struct dsn *d, const char *end, struct buf *out)
{
	return LINE(out, "--=_%.*s%s", SV_FMT(d->id), end);
}

bool dsn_write(const struct dsn *d, struct buf *out)
{
	bool is_utf8 = sv_has_8bit(d->to) || sv_has_8bit(d->returned);

	for (size_t i = 0; i < d->count && !is_utf8; i++)
		is_utf8 = sv_has_8bit(d->rcpts[i].address);
	/* Octets that are no UTF-8 are an old 8-bit message's: no reason for the new form. */
	is_utf8 = is_utf8 && sv_is_utf8(d->to) && sv_is_utf8(d->returned) &&
		  (sv_has_8bit(d->to) || !d->is_whole || sv_has_8bit(d->rcpts[0].address));
	return header(d, out) && boundary(d, "", out) && human_part(d, out) &&
	       boundary(d, "", out) && status_part(d, is_utf8, out) &&
	       (!d->returned.len || (boundary(d, "", out) && returned_part(d, is_utf8, out))) &&
	       boundary(d, "--", out);
}
