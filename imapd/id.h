/* imapd/id.h - the ID command (RFC 2971), which is the same before and after login. Pure. */
#ifndef IMAPD_ID_H
#define IMAPD_ID_H

#include "common/memory.h"
#include "imapd/grammar.h"
#include "imapd/writer.h"

/* What a program says of itself. */
struct id {
	struct sv summary;              /* all of it, for the log; in the arena */
	struct sv name, os;             /* views of the arguments; empty: not said */
};
/** id_read - the arguments: NIL or a list of at most 30 pairs. False: BAD. */
bool id_read(struct args *args, struct arena *arena, struct id *out);
/** id_write - our side: the name only, since clients branch on versions, and so do attackers. */
void id_write(struct writer *w);

#endif
