/* common/kick.h - which sessions the control verb `kick` is to end:
 *   {"verb":"kick","account":ID}  or with "credential":3, those that logged in with it;  {"verb":"kick","sid":"3f9c1a2b"}
 * The answer of each worker is a line {"ended":2}. Loop thread only. */
#ifndef COMMON_KICK_H
#define COMMON_KICK_H

#include "common/control.h"
#include "common/identity.h"
#include "common/json.h"
#include "common/log.h"

struct kick {
	struct sv account;              /* id; empty: whoever has the sid */
	struct sv sid;
	bool has_credential;
	uint64_t credential;
};

/** kick_parse - views are of the request. False: it names nothing; the reply is finished. */
bool kick_parse(const struct json *request, struct control_reply **reply, struct kick *out);
/** kick_is_for - @identity: NULL before login. */
bool kick_is_for(const struct kick *kick, const struct log_ctx *log, const struct auth_identity *identity);
/** kick_answer - so many were ended. */
void kick_answer(struct control_reply **reply, size_t ended);

#endif
