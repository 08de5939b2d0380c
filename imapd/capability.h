/* imapd/capability.h - what this server can do, as table rows. A command names the row it belongs
 * to, so a capability that is switched off takes its commands along. Pure. */
#ifndef IMAPD_CAPABILITY_H
#define IMAPD_CAPABILITY_H

#include "imapd/writer.h"

enum capability {
	CAP_NONE = 0,           /* IMAP4rev1 itself */
	CAP_REV2,
	CAP_LITERAL_PLUS,
	CAP_LITERAL_MINUS,      /* told where LITERAL+ is off: never both (RFC 7888 §5) */
	CAP_SASL_IR,
	CAP_ID,
	CAP_ENABLE,
	CAP_IDLE,
	CAP_NAMESPACE,
	CAP_UIDPLUS,
	CAP_MOVE,
	CAP_UNSELECT,
	CAP_CHILDREN,
	CAP_SPECIAL_USE,
	CAP_CREATE_SPECIAL_USE,
	CAP_LIST_EXTENDED,
	CAP_BINARY,
	CAP_COMPRESS,
	CAP_UTF8_ACCEPT,
	CAP_PREVIEW,
	CAP_CATENATE,
	CAP_URL_PARTIAL,
	CAP_REPLACE,
	CAP_ESEARCH,
	CAP_SEARCHRES,
	CAP_MULTISEARCH,
	CAP_WITHIN,
	CAP_FILTERS,
	CAP_PARTIAL,
	CAP_SORT,
	CAP_SORT_DISPLAY,
	CAP_ESORT,
	CAP_CONTEXT_SEARCH,
	CAP_CONTEXT_SORT,
	CAP_THREAD_ORDEREDSUBJECT,
	CAP_THREAD_REFERENCES,
	CAP_THREAD_REFS,
	CAP_I18NLEVEL,
	CAP_INPROGRESS,
	CAP_MESSAGELIMIT,
	CAP_SAVELIMIT,
	CAP_CONDSTORE,
	CAP_QRESYNC,
	CAP_UIDONLY,
	CAP_UIDBATCHES,
	CAP_LIST_STATUS,
	CAP_STATUS_SIZE,
	CAP_QUOTA,
	CAP_QUOTA_STORAGE,
	CAP_QUOTA_MESSAGE,
	CAP_OBJECTID,
	CAP_SAVEDATE,
	CAP_MULTIAPPEND,
	CAP_APPENDLIMIT,
	CAP_ACL,
	CAP_RIGHTS,
	CAP_LIST_MYRIGHTS,
	CAP_METADATA,
	CAP_METADATA_SERVER,
	CAP_LIST_METADATA,
	CAP_NOTIFY,
	CAP_IMAPSIEVE,
	CAP_UNAUTHENTICATE,
	CAP_COUNT
};

/* What is on in this instance: bit 1 << enum capability. There are more rows than 64. */
__extension__ typedef unsigned __int128 capability_set;
#define CAPABILITY_BIT(c) ((capability_set)1 << (c))
#define CAPABILITIES_ALL (CAPABILITY_BIT(CAP_COUNT) - 1)

static inline bool capability_has(capability_set set, enum capability c)
{
	return (set >> c) & 1;
}

/** capability_find - the row with this name in any case, a value's `=` left out or not; CAP_NONE when there is none. */
enum capability capability_find(struct sv name);

#define LITERAL_MINUS_MAX 4096
/** capability_unasked_max - octets of a literal that may come without being asked for (RFC 7888 §4, §5). */
size_t capability_unasked_max(capability_set on);
/** capability_settle - take out what is not whole without something that is off. */
capability_set capability_settle(capability_set on);

/* What the list depends on besides the table. */
struct capability_context {
	capability_set on;
	bool is_logged_in;
	bool has_starttls;              /* TLS is possible and not on yet */
	bool is_login_disabled;         /* RFC 3501 §6.2.3: no password in clear here */
	const char *mechanisms;         /* SASL names separated by a space; NULL or "" is none */
	uint64_t append_limit;          /* octets of a message */
	const char *hostname;           /* where ManageSieve is; NULL: not told */
	uint64_t message_limit;         /* messages of one command */
};
/** capability_write - "CAPABILITY IMAP4rev1 ...", without CRLF: for the response and the response
 * code. */
void capability_write(struct writer *w, const struct capability_context *context);

#endif
