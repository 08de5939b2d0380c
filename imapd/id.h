/* imapd/id.h - the ID command (RFC 2971), which is the same before and after login. Pure. */
#ifndef IMAPD_ID_H
#define IMAPD_ID_H

#include "common/memory.h"
#include "imapd/grammar.h"
#include "imapd/writer.h"

/** id_read - the arguments: NIL or a list of at most 30 pairs. *summary, in the arena, is for the
 * log; false: BAD. */
bool id_read(struct args *args, struct arena *arena, struct sv *summary);
/** id_write - our side: the name only, since clients branch on versions, and so do attackers. */
void id_write(struct writer *w);

#endif
