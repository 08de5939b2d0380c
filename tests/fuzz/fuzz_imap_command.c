/* The IMAP parser under any octets: whole and cut input must agree, and reading arguments must stay inside of them. */
#include <stdint.h>
#include <string.h>

#include "imapd/grammar.h"
#include "tests/unit/imapd/grammar_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = sv_from((const char *)data, size);
	size_t cut = size ? data[0] % (size + 1) : 0, step = size > 1 ? data[1] % 7u + 1 : 1;
	char *whole = trace_cut(in, 0, 0), *two = trace_cut(in, cut, 0), *many = trace_cut(in, 0, step);

	if (strcmp(whole, two) || strcmp(whole, many))
		abort();
	free(whole);
	free(two);
	free(many);
	return 0;
}
