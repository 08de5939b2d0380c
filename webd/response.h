/* webd/response.h - an answer: filled by whoever handles a request, written out by the session. */
#ifndef WEBD_RESPONSE_H
#define WEBD_RESPONSE_H

#include "common/bytes.h"

#define RESPONSE_BODY_MAX (1u << 20)
#define RESPONSE_FIELDS_MAX 4096

struct response {
	unsigned status;                /* 200 unless set */
	const char *type;               /* Content-Type, a literal */
	const char *cache;              /* Cache-Control; NULL: "no-store" */
	const char *policy;             /* Content-Security-Policy, a literal; NULL: nothing is allowed */
	uint32_t delay_ms;              /* hold it back for so long (a wrong password) */
	struct buf fields;              /* more header fields, each with its CRLF; never of the client's octets unchecked */
	struct buf body;
};

void response_init(struct response *r);
void response_done(struct response *r);
/** response_text - a short answer for people; anything there before is dropped. */
void response_text(struct response *r, unsigned status, const char *text);
/** response_write - status line, header and, unless only the head is wanted, the body. */
bool response_write(struct response *r, bool head_only, bool keeps, struct buf *out);

#endif
