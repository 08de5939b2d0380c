/* smtpd/complaint.h - a recipient said "this is spam": the report of it that his provider sends (ARF, RFC 5965), read out of a message.
 * Written by strangers: texts are cut, nothing is believed here. Pure, any thread. */
#ifndef SMTPD_COMPLAINT_H
#define SMTPD_COMPLAINT_H

#include "common/bytes.h"
#include "common/mime.h"

#define COMPLAINT_TEXT_MAX 253
#define COMPLAINT_TOKEN_MAX 1400
#define COMPLAINT_PART_MAX (64u << 10)  /* octets that are looked at: of the report, of the message's header */

struct complaint {
	char type[32];                                  /* lower case: "abuse", "fraud", "not-spam", "auth-failure", ... */
	char by[COMPLAINT_TEXT_MAX + 1];                /* Reporting-MTA or User-Agent */
	char ip[64];                                    /* Source-IP */
	char recipient[COMPLAINT_TEXT_MAX + 1];         /* who complained; "": they do not say */
	char sender[COMPLAINT_TEXT_MAX + 1];            /* the message's author, else its envelope's sender */
	char message_id[COMPLAINT_TEXT_MAX + 1];
	char token[COMPLAINT_TOKEN_MAX + 1];            /* of a link to unsubscribe (common/unsubscribe.h), or "" */
};

/** complaint_read - false: the message brings none. @m: of the same octets. */
bool complaint_read(struct sv message, const struct mime_message *m, struct complaint *out);
/** complaint_is_about_spam - does it say that the recipient wants no more of it? (An author's failed DMARC, or "not spam", does not.) */
bool complaint_is_about_spam(const struct complaint *c);

#endif
