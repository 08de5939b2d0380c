#include "admin/delegate_request.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

struct fault delegate_request_parse(struct sv line, struct delegate_request *out)
{
	const struct json *args;
	struct sv word;
	struct fault f;

	*out = (struct delegate_request){ .argc = 0 };
	f = json_parse(line, &out->json);
	if (f.kind)
		return fault(FAULT_INVALID, "not a request");
	args = json_get(out->json, "args");
	if (!json_get_sv(out->json, "token", &out->token) || !json_value_is_array(args) || !json_count(args))
		return fault(FAULT_INVALID, "a request has a token and args");
	if (json_count(args) > DELEGATE_ARGS_MAX)
		return fault(FAULT_LIMIT, "too many words");
	for (size_t i = 0; i < json_count(args); i++) {
		if (!json_to_sv(json_at(args, i), &word) || sv_find(word, '\0') != SIZE_MAX)
			return fault(FAULT_INVALID, "args are texts");
		out->argv[out->argc++] = sv_copy_z(word);
	}
	(void)json_get_sv(out->json, "stdin", &out->input);
	return FAULT_OK;
}

void delegate_request_free(struct delegate_request *r)
{
	for (int i = 0; i < r->argc; i++)
		free(r->argv[i]);
	json_free(&r->json);
	*r = (struct delegate_request){ .argc = 0 };
}
