/* imapd/url.h - IMAP URLs that name a message or a part of one on this server, as CATENATE has them
 * (RFC 4469 §3, RFC 5092, RFC 5550 §5.7.1): "/Drafts;UIDVALIDITY=385759045/;UID=20/;SECTION=1.2" and, in the
 * selected mailbox, ";UID=20". Only relative ones: another server, or another user's login, is never
 * asked. Pure. */
#ifndef IMAPD_URL_H
#define IMAPD_URL_H

#include "imapd/section.h"

#define URL_MAX ((size_t)4 << 10)

struct url {
	struct sv mailbox;              /* UTF-8; empty: the selected one */
	uint32_t uidvalidity;           /* 0: not said */
	uint32_t uid;
	struct section section;         /* of the whole message when none is named; with the partial */
	struct grammar grammar;         /* private: holds the section's names */
};

/** url_read - false: no such URL. The arena takes what is decoded. url_done() in any case. */
bool url_read(struct sv text, struct arena *arena, struct url *out);
void url_done(struct url *url);
/** url_for_code - as it may stand in a response code (RFC 4469 §5 url-resp-text): octets that may not are
 *  percent-encoded. An empty view when the arena is full. */
struct sv url_for_code(struct sv text, struct arena *arena);

#endif
