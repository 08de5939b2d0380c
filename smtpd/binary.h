/* smtpd/binary.h - a message of octets (BODY=BINARYMIME, RFC 3030 §3) becomes one of lines before anybody gets it: mailboxes, filters
 * and other servers hold lines. The rewriting is that of smtpd/downgrade.h; here it is read from a file and written to another one.
 *
 * What comes out is looked at like any message on the wire, so a bare CR or LF, with which a header line or a second message could be
 * smuggled (RFC 5321 §2.3.8), passes in no part, wherever it stood. Memory: that of smtpd/downgrade.h, and BINARY_PIECE. Blocks: jobs only. */
#ifndef SMTPD_BINARY_H
#define SMTPD_BINARY_H

#include "common/lines.h"
#include "smtpd/spill.h"

#define BINARY_PIECE (16u << 10)

struct binary_lines {
	const char *obstacle;   /* a sentence why there are no lines; NULL: there are */
	unsigned faults;        /* of the lines, enum data_fault */
	uint64_t longest_line;
	uint64_t size;          /* octets of them */
};

/** binary_to_lines - *s, which holds the whole message as it came, becomes one that holds lines; with an obstacle it stays as it is.
 *  Errors: FAULT_NO_SPACE, FAULT_INTERNAL. */
MUST_CHECK struct fault binary_to_lines(struct spill *s, const char *folder, struct binary_lines *out);

#endif
