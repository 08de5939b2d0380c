/* imapd/workaround.h - what known programs trip over, as rows: recognised by what they say of themselves
 * (ID, RFC 2971), on as far as `imap-workarounds` names them. What is right for everybody is done for
 * everybody and needs no row. Pure. */
#ifndef IMAPD_WORKAROUND_H
#define IMAPD_WORKAROUND_H

#include "common/conf.h"
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
/** workarounds_apply - what the session is no longer offered; each row that fits is logged, once. */
capability_set workarounds_apply(const struct conf_list *on, const struct id *client, capability_set offered,
				 const struct log_ctx *log);

#endif
