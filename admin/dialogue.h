/* admin/dialogue.h - SMTP or LMTP spoken to the running smtpd over a unix socket (RFC 5321 §4.2, RFC 2033). Blocks. */
#ifndef ADMIN_DIALOGUE_H
#define ADMIN_DIALOGUE_H

#include <stdio.h>

#include "common/bytes.h"
#include "common/fault.h"

struct dialogue {
	FILE *in, *out;
	unsigned code;          /* of the last reply */
	struct buf text;        /* its lines without codes, each with a LF behind it */
};

/** dialogue_open - connect and read the greeting. FAULT_UNAVAILABLE: nothing runs there. FAULT_DENIED: we may not. After a
 * fault dialogue_close() is still due. */
MUST_CHECK struct fault dialogue_open(struct dialogue *d, const char *path);
/** dialogue_ask - one command line, its reply. FAULT_OK: 2yz or 3yz; FAULT_UNAVAILABLE: 4yz, or smtpd hung up (code 0);
 * FAULT_DENIED: 5yz. The fault's detail is the reply. */
MUST_CHECK struct fault dialogue_ask(struct dialogue *d, const char *format, ...) PRINTF_LIKE(2, 3);
/** dialogue_octets - the message behind DATA: header, then what lies in the file from `at` on, in wire form; dots are doubled
 * and the end is marked (RFC 5321 §4.5.2). The reply as above. */
MUST_CHECK struct fault dialogue_octets(struct dialogue *d, struct sv header, int file, off_t at);
/** dialogue_close - says QUIT when it can. */
void dialogue_close(struct dialogue *d);

#endif
