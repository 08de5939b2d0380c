/* Requests of those who hold a token, or say so: any octets are a request with its words whole, or none. */
#include <stdlib.h>
#include <string.h>

#include "admin/delegate_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct delegate_request r;
	struct fault f = delegate_request_parse(sv_from((const char *)data, size), &r);

	if (f.kind && f.kind != FAULT_INVALID && f.kind != FAULT_LIMIT)
		BUG("a fault of another kind: %s", fault_name(f.kind));
	if (!f.kind && (r.argc < 1 || r.argc > DELEGATE_ARGS_MAX || r.argv[r.argc] || !r.token.p))
		BUG("%d words", r.argc);
	for (int i = 0; i < r.argc; i++)
		if (strlen(r.argv[i]) > size)
			BUG("a word longer than the request");
	delegate_request_free(&r);
	return 0;
}
