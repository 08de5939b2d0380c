/* admin/outgoing.h - a message that a program of this host gives to `sendmail`: read to its end, its header looked at.
 *
 * Names without a domain get one, since nobody elsewhere can answer them; Bcc goes; a missing From is added. The header (at most
 * HEADER_BLOCK_MAX octets) is kept in memory, all else in a file without a name. Blocks. */
#ifndef ADMIN_OUTGOING_H
#define ADMIN_OUTGOING_H

#include <stdio.h>

#include "common/bytes.h"
#include "common/fault.h"

#define OUTGOING_RCPTS_MAX 5000

struct outgoing {
	FILE *file;             /* all of it, in wire form */
	off_t body;             /* where the body begins */
	struct buf header;      /* rewritten, with its empty line */
	char **rcpts;           /* of To, Cc, Bcc, or of the Resent- ones when there are any */
	size_t rcpt_count;
	bool is_8bit;           /* an octet above 127 stands in the body; in the header: is_utf8 */
	bool is_utf8;
};

/** outgoing_read - to the end of `in`, or to a line of a single dot. FAULT_INVALID: there was nothing. */
MUST_CHECK struct fault outgoing_read(struct outgoing *m, FILE *in, bool dot_ends);
/** outgoing_prepare - header and recipients. @user: who sends it, local@domain; bare names get that domain. @name: for a From that
 * is added; may be empty. FAULT_LIMIT: too large a header, or too many recipients. */
MUST_CHECK struct fault outgoing_prepare(struct outgoing *m, struct sv user, struct sv name);
void outgoing_done(struct outgoing *m);

#endif
