/* admin/delegate_request.h - what the holder of a token sends, taken apart: {"token":"prd_...","args":["account","list"],"stdin":"..."}. Pure. */
#ifndef ADMIN_DELEGATE_REQUEST_H
#define ADMIN_DELEGATE_REQUEST_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/json.h"

#define DELEGATE_ARGS_MAX 64

/* Views end with delegate_request_free(). */
struct delegate_request {
	struct sv token, input;         /* input: what the verb reads; empty: nothing */
	struct json *json;
	char *argv[DELEGATE_ARGS_MAX + 1];      /* NULL behind the last */
	int argc;
};

/** delegate_request_parse - one line, without its end. FAULT_INVALID: no request; FAULT_LIMIT: too many words. delegate_request_free() in any case. */
MUST_CHECK struct fault delegate_request_parse(struct sv line, struct delegate_request *out);
void delegate_request_free(struct delegate_request *r);

#endif
