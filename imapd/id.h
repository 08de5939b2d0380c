/* imapd/id.h - the ID command (RFC 2971), which is the same before and after login. Pure. */
#ifndef IMAPD_ID_H
#define IMAPD_ID_H

#include "common/memory.h"
#include "imapd/args.h"
#include "imapd/writer.h"

/* What a program says of itself. */
struct id {
	struct sv summary;              /* all of it, for the log; in the arena */
	struct sv name, version, os;    /* views of the arguments; empty: not said */
};
/** id_read - the arguments: NIL or a list of at most 30 pairs. False: BAD. */
bool id_read(struct args *args, struct arena *arena, struct id *out);
/** id_label - "Thunderbird 140.5 (Linux)", for people: on the heap, at most ID_LABEL_MAX octets. Empty when it says nothing. */
#define ID_LABEL_MAX 100
struct sv id_label(const struct id *client);
/** id_write - our side: the name only, since clients branch on versions, and so do attackers. */
void id_write(struct writer *w);

#endif
