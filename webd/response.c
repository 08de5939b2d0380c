#include "webd/response.h"

#include "common/date.h"
#include "common/fault.h"

#include "common/banned.h"

static const struct {
	unsigned status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" }, { 302, "Found" }, { 303, "See Other" }, { 308, "Permanent Redirect" }, { 400, "Bad Request" }, { 403, "Forbidden" }, { 404, "Not Found" },
	{ 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 413, "Content Too Large" }, { 414, "URI Too Long" },
	{ 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" }, { 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
};

static const char *reason_of(unsigned status)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	BUG("no reason for status %u", status);
}

void response_init(struct response *r)
{
	*r = (struct response){ .status = 200, .type = "text/plain; charset=utf-8" };
	buf_init(&r->fields, RESPONSE_FIELDS_MAX);
	buf_init(&r->body, RESPONSE_BODY_MAX);
}

void response_done(struct response *r)
{
	buf_wipe(&r->fields);   /* a cookie is a secret */
	buf_wipe(&r->body);
}

void response_text(struct response *r, unsigned status, const char *text)
{
	buf_clear(&r->body);
	r->status = status;
	r->type = "text/plain; charset=utf-8";
	r->cache = r->policy = NULL;
	(void)buf_appendf(&r->body, "%s\n", text);
}

/* RFC 9110 §5.6.7: GMT in so many letters, where mail has an offset. */
static bool add_date(struct buf *out)
{
	struct buf text;
	bool good;

	buf_init(&text, 64);
	good = date_append_5322(&text, date_now()) && sv_ends(buf_sv(&text), SV(" +0000")) &&
	       buf_appendf(out, "Date: %.*s GMT\r\n", (int)text.len - 6, text.p);
	buf_done(&text);
	return good;
}

bool response_write(struct response *r, bool head_only, bool keeps, struct buf *out)
{
	return buf_appendf(out, "HTTP/1.1 %u %s\r\n", r->status, reason_of(r->status)) && add_date(out) &&
	       buf_appendf(out, "Content-Type: %s\r\nContent-Length: %zu\r\nCache-Control: %s\r\nX-Content-Type-Options: nosniff\r\n"
				"Content-Security-Policy: %s\r\nReferrer-Policy: no-referrer\r\n%s",
			   r->type, r->body.len, r->cache ? r->cache : "no-store",
			   r->policy ? r->policy : "default-src 'none'; frame-ancestors 'none'", keeps ? "" : "Connection: close\r\n") &&
	       buf_append(out, buf_sv(&r->fields)) && buf_append(out, SV("\r\n")) &&
	       (head_only || buf_append(out, buf_sv(&r->body)));
}
