/* What comes back from saslauthd's socket: every octet string is right, wrong or not known, and right begins with "OK" behind its length. */
#include <stdlib.h>

#include "common/saslauthd.h"

#include "common/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv octets = sv_from((const char *)data, size);
	struct buf request;

	switch (saslauthd_read_reply(octets)) {
	case ELSEWHERE_RIGHT:
		if (size < 4 || data[2] != 'O' || data[3] != 'K')
			abort();
		break;
	case ELSEWHERE_WRONG:
		if (size < 4 || data[2] != 'N' || data[3] != 'O')
			abort();
		break;
	case ELSEWHERE_UNKNOWN:
		break;
	}
	/* The same octets as what somebody gave for his password: what is sent has its length, and no NUL but in lengths. */
	buf_init(&request, SASLAUTHD_REQUEST_MAX);
	if (saslauthd_write_request(SV("a@b"), octets, SV("s"), &request) && (request.len != 3 + 2 + size + 3 + 3 || memchr(data, 0, size)))
		abort();
	buf_done(&request);
	return 0;
}
