/* webd/request.h - one HTTP/1.x request, out of octets however they are cut: the keeper of http_parser (the library knows the
 * grammar of RFC 9112; what is ours are limits, the target, and the header fields that anybody asks for).
 * Pure: no I/O; one thread at a time. */
#ifndef WEBD_REQUEST_H
#define WEBD_REQUEST_H

#include "common/bytes.h"

#define REQUEST_HEAD_MAX 8192           /* octets of request line and header */
#define REQUEST_BODY_MAX (64u << 10)
#define REQUEST_FIELDS_MAX 64

enum request_method { REQUEST_OTHER = 0, REQUEST_GET = 1, REQUEST_HEAD = 2, REQUEST_POST = 4 };

/* A whole request. The views hold as long as the reader. */
struct request {
	enum request_method method;
	struct sv path;         /* decoded; begins with '/', has no control characters and no segment ".." */
	struct sv path_given;   /* as it came */
	struct sv query;        /* behind the '?', as it came */
	struct sv host;         /* lower case, without port; "" only in HTTP/1.0 */
	struct sv body;
	struct sv cookie, origin, site;         /* the fields Cookie, Origin and Sec-Fetch-Site; "": none, or several */
	bool is_forwarded;      /* a web server passes it on, and says so: Forwarded, X-Forwarded-For, X-Real-IP or Via */
	bool keeps;             /* the client wants to ask more on this connection */
};

enum request_feed { REQUEST_MORE, REQUEST_DONE, REQUEST_BAD };

struct request_reader;

struct request_reader *request_reader_new(void);
void request_reader_free(struct request_reader **reader);
/** request_reader_feed - takes what it used off *in; nothing behind the request's end. REQUEST_BAD: answer with
 *  request_reader_status() and close. After DONE, request_reader_next() before more is fed. */
enum request_feed request_reader_feed(struct request_reader *reader, struct sv *in);
/** request_reader_status - 400, 413, 431, 505: what is wrong, as a status of RFC 9110 §15. */
unsigned request_reader_status(const struct request_reader *reader);
/** request_reader_wants_go - true once when the client waits for "100 Continue" before it sends the body (RFC 9110
 *  §10.1.1). */
bool request_reader_wants_go(struct request_reader *reader);
/** request_reader_has_begun - some of a request has been fed, and not all of it. */
bool request_reader_has_begun(const struct request_reader *reader);
/** request_reader_get - the request, after DONE. */
const struct request *request_reader_get(const struct request_reader *reader);
/** request_field - a header field's value, the name in any case; empty when there is none or more than one. */
struct sv request_field(const struct request_reader *reader, const char *name);
/** request_reader_next - forget the request; the memory stays small. */
void request_reader_next(struct request_reader *reader);

/** request_parameter - append a parameter of a query or a form, decoded (%XX; is_form: also '+' for a space, which in a query
 *  would spoil an address). The name is compared in any case. False: there is none, it is malformed, or out's max. */
bool request_parameter(struct sv text, const char *name, bool is_form, struct buf *out);
/** request_cookie - a cookie's value (RFC 6265 §5.4); the first of that name counts. False: there is none. */
bool request_cookie(const struct request *request, struct sv name, struct sv *out);

#endif
