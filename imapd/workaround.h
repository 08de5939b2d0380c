/* imapd/workaround.h - what known programs trip over, as rows: recognised by what they say of themselves
 * (ID, RFC 2971), on as far as `imap-workarounds` names them. What is right for everybody is done for
 * everybody and needs no row. Pure. */
#ifndef IMAPD_WORKAROUND_H
#define IMAPD_WORKAROUND_H

#include "common/conf.h"
#include "common/json.h"
#include "imapd/capability.h"
#include "imapd/id.h"

struct workaround {
	const char *name;               /* as `imap-workarounds` has it */
	const char *field, *value;      /* of ID: the program says so, in any case */
	capability_set hides;           /* not offered to it, and unknown if it asks nevertheless */
	const char *why;
};

/** workaround_find - the row of a name; NULL: there is none. */
const struct workaround *workaround_find(struct sv name);
/* Rows in force for a session: a bit each, by their place in the table. */
typedef uint32_t workaround_set;

/** workarounds_apply - what the session is no longer offered; each row that fits is logged, once, and joins *in_force. */
capability_set workarounds_apply(const struct conf_list *on, const struct id *client, capability_set offered,
				 workaround_set *in_force, const struct log_ctx *log);
/** workarounds_put - their names as an array of this name. */
void workarounds_put(struct json_out *j, const char *name, workaround_set in_force);

#endif
