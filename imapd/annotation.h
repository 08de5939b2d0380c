/* imapd/annotation.h - METADATA responses (RFC 5464 §4.4), for GETMETADATA and for LIST (RFC 9590). Blocks: the store is
 * asked. */
#ifndef IMAPD_ANNOTATION_H
#define IMAPD_ANNOTATION_H

#include "imapd/command.h"

#define ANNOTATION_ENTRIES_MAX 64       /* that one command names */

enum annotation_depth { DEPTH_0 = 0, DEPTH_1, DEPTH_INFINITY };
/* What is asked for; views live in the command's arena or its tokens. */
struct annotation_request {
	struct sv entries[ANNOTATION_ENTRIES_MAX];
	size_t count;
	bool has_maxsize;
	uint64_t maxsize;               /* octets of a value */
	enum annotation_depth depth;
};

/** annotation_read_entries - one entry or a list of them, up to the end of *from. False: malformed, or too many. */
bool annotation_read_entries(struct args *from, struct annotation_request *out);
/** annotation_write - the METADATA response of a mailbox ("": the server); nothing on a fault. An entry that was asked for
 *  by its name and has no value is told as NIL. *longest: the largest value beyond maxsize, 0 for none. */
MUST_CHECK struct fault annotation_write(struct command *c, struct sv name, const struct annotation_request *request,
					 uint64_t *longest);

#endif
