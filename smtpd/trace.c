#include "smtpd/trace.h"

#include "common/banned.h"

#define HELO_SHOWN_MAX 255

const char *trace_protocol(enum conf_listener_kind listener, bool is_extended, bool is_tls,
			   bool is_auth, bool is_utf8)
{
	/* by UTF8, by TLS (S), by AUTH (A) */
	static const char *const smtp[2][2][2] = {
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
		{ { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } },
	};
	static const char *const lmtp[2][2][2] = {
		{ { "LMTP", "LMTPA" }, { "LMTPS", "LMTPSA" } },
		{ { "UTF8LMTP", "UTF8LMTPA" }, { "UTF8LMTPS", "UTF8LMTPSA" } },
	};

	if (listener == LISTENER_LMTP)
		return lmtp[is_utf8][is_tls][is_auth];
	return is_extended ? smtp[is_utf8][is_tls][is_auth] : "SMTP";
}

/* append_clean - a word of the peer's: only what a host name or an address literal is made of
 * stays. */
static bool append_clean(struct buf *out, struct sv word)
{
	word = sv_sub(word, 0, HELO_SHOWN_MAX);
	for (size_t i = 0; i < word.len; i++) {
		char c = word.p[i];
		bool is_good = ascii_is_alpha(c) || ascii_is_digit(c) || (c && strchr(".-_:[]", c));

		if (!buf_append_c(out, is_good ? c : '?'))
			return false;
	}
	return word.len || buf_append(out, SV("unknown"));
}

/* end_at - what a failed append began is taken back. */
static bool end_at(struct buf *out, size_t start, bool ok)
{
	if (!ok)
		out->len = start;
	return ok;
}

bool trace_return_path(struct buf *out, struct sv sender)
{
	size_t start = out->len;

	return end_at(out, start,
		      buf_append(out, SV("Return-Path: <")) && buf_append(out, sender) &&
			      buf_append(out, SV(">\r\n")));
}

bool trace_delivered_to(struct buf *out, struct sv address)
{
	size_t start = out->len;

	return end_at(out, start,
		      buf_append(out, SV("Delivered-To: ")) && buf_append(out, address) &&
			      buf_append(out, SV("\r\n")));
}

/* append_peer - " ([192.0.2.1])", " ([IPv6:2001:db8::1])" (RFC 5321 §4.4, TCP-info); nothing for a
 * unix socket. */
static bool append_peer(struct buf *out, const struct netaddr *peer)
{
	char text[NETADDR_TEXT_MAX];
	struct sv ip = netaddr_text(peer, text);

	if (peer->family != NET_IPV4 && peer->family != NET_IPV6)
		return true;
	return buf_append(out, peer->family == NET_IPV6 ? SV(" ([IPv6:") : SV(" ([")) &&
	       buf_append(out, ip) && buf_append(out, SV("])"));
}

bool trace_received(struct buf *out, const struct trace *t)
{
	size_t start = out->len;
	bool ok = buf_append(out, SV("Received: from ")) && append_clean(out, t->helo) &&
		  append_peer(out, &t->peer) && buf_append(out, SV("\r\n"));

	if (t->tls.len)
		ok = ok && buf_append(out, SV("\t(using ")) && buf_append(out, t->tls) &&
		     buf_append(out, SV(")\r\n"));
	ok = ok && buf_appendf(out, "\tby %s (Postroom) with %s id %.*s\r\n", t->hostname,
			       t->protocol, SV_FMT(t->id));
	if (t->for_rcpt.len)
		ok = ok && buf_append(out, SV("\tfor <")) && buf_append(out, t->for_rcpt) &&
		     buf_append(out, SV(">\r\n"));
	/* The date is the last word, behind a semicolon on the line before it. */
	if (ok) {
		out->len -= 2;
		ok = buf_append(out, SV(";\r\n\t")) && date_append_5322(out, t->now) &&
		     buf_append(out, SV("\r\n"));
	}
	return end_at(out, start, ok);
}

#define LINE_WISHED 100

static bool append_reason(struct buf *out, struct sv field, struct sv why)
{
	size_t start = out->len, line = out->len;
	bool ok = buf_append(out, field);

	for (size_t i = 0; i < why.len && ok; i++) {
		bool is_good = why.p[i] >= ' ' && why.p[i] <= '~';

		if (i && why.p[i] == ' ' && why.p[i - 1] == ' ')
			continue; /* a line of spaces alone would end the header for some */
		if (why.p[i] == ' ' && out->len - line > LINE_WISHED) {
			ok = buf_append(out, SV("\r\n "));
			line = out->len;
			continue;
		}
		ok = buf_append_c(out, is_good ? why.p[i] : '?');
	}
	return end_at(out, start, ok && buf_append(out, SV("\r\n")));
}

bool trace_junk(struct buf *out, struct sv why)
{
	return append_reason(out, SV("X-Postroom-Junk: "), why);
}

bool trace_rejected(struct buf *out, struct sv why)
{
	return append_reason(out, SV("X-Postroom-Rejected: "), why);
}

bool trace_date(struct buf *out, struct date now)
{
	size_t start = out->len;

	return end_at(out, start, buf_append(out, SV("Date: ")) && date_append_5322(out, now) &&
				  buf_append(out, SV("\r\n")));
}

bool trace_message_id(struct buf *out, struct sv id, const char *hostname)
{
	size_t start = out->len;

	return end_at(out, start,
		      buf_appendf(out, "Message-ID: <%.*s@%s>\r\n", SV_FMT(id), hostname));
}

bool trace_list(struct buf *out, struct sv list, struct sv owner)
{
	size_t start = out->len, at = sv_rfind(list, '@');

	return end_at(out, start,
		      at != SIZE_MAX && buf_append(out, SV("List-Id: <")) && append_clean(out, sv_sub(list, 0, at)) &&
			      buf_append_c(out, '.') && append_clean(out, sv_sub(list, at + 1, list.len)) &&
			      buf_appendf(out, ">\r\nList-Post: <mailto:%.*s>\r\nList-Owner: <mailto:%.*s>\r\nPrecedence: list\r\n",
					  SV_FMT(list), SV_FMT(owner)));
}
