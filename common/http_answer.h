/* common/http_answer.h - the answer to a request of HTTP/1.0 (RFC 9112), taken as it comes: status, and the body up to a limit.
 *
 * For programs of this site that are asked in clear (a spam filter); for the internet there is common/http.h. Asked by HTTP/1.0, nobody may
 * send chunks (RFC 9112 §6.1) or interim answers (RFC 9110 §15.2), so a body is as long as Content-Length says or ends with the
 * connection. Pure, total on any octets; the same however it is cut. One object, one thread at a time. */
#ifndef COMMON_HTTP_ANSWER_H
#define COMMON_HTTP_ANSWER_H

#include "common/lines.h"

#define HTTP_ANSWER_HEAD_MAX 8192       /* octets of status line and header */

struct http_answer {
	uint32_t status;        /* 200; 0: not there yet */
	struct buf body;
	/* private */
	struct line_reader line;
	size_t head_len;
	uint64_t length;        /* of the body, as it says */
	bool has_length, is_in_body, is_bad;
};

void http_answer_init(struct http_answer *a, size_t body_max);
void http_answer_done(struct http_answer *a);
/** http_answer_feed - the next octets. DONE: the answer is whole, what follows is nobody's. BAD: no HTTP/1 answer, or too long; it stays
 *  bad. */
enum feed http_answer_feed(struct http_answer *a, struct sv octets);
/** http_answer_end - the connection has ended: DONE or BAD. */
enum feed http_answer_end(struct http_answer *a);

#endif
