/* smtpd/reply.h - what peers read: every fixed reply in one table, and faults worded for SMTP.
 *
 * Replies have a code (RFC 5321 §4.2), an enhanced code (RFC 3463, RFC 2034) and a text. Texts
 * never hold a path, a host of ours or errno. Whatever of the peer's own words stands in a text is
 * made printable first. Any thread. */
#ifndef SMTPD_REPLY_H
#define SMTPD_REPLY_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/roster.h"

#define REPLY_LINE_MAX 512      /* octets with CRLF, RFC 5321 §4.5.3.1.5 */
#define REPLY_TEXT_MAX 1024

struct reply {
	uint16_t code;
	const char *enhanced; /* "5.1.1"; NULL where RFC 2034 §4 wants none: greeting, EHLO, 3xx */
	const char *text;       /* '\n' begins another line of the same reply */
	const char *reason;     /* one word for the log; NULL: nothing was refused */
};

/* clang-format off */
/* identifier, code, enhanced code, text, reason */
#define REPLY_TABLE(X) \
	X(REPLY_OK,               250, "2.0.0", "OK", NULL) \
	X(REPLY_SENDER_OK,        250, "2.1.0", "Sender OK", NULL) \
	X(REPLY_RCPT_OK,          250, "2.1.5", "Recipient OK", NULL) \
	X(REPLY_CHUNK_OK,         250, "2.0.0", "Chunk taken", NULL) \
	X(REPLY_VRFY,             252, "2.5.0", "Send some mail, I will try my best", NULL) \
	X(REPLY_BYE,              221, "2.0.0", "Goodbye", NULL) \
	X(REPLY_START_TLS,        220, "2.0.0", "Ready to start TLS", NULL) \
	X(REPLY_START_DATA,       354, NULL,    "Start mail input; end with <CRLF>.<CRLF>", NULL) \
	X(REPLY_LOGGED_IN,        235, "2.7.0", "Authentication successful", NULL) \
	X(REPLY_HELP,             214, "2.0.0", \
	  "EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\nSee RFC 5321", NULL) \
	X(REPLY_SHUTDOWN,         421, "4.3.2", \
	  "Server is going down, try again soon", "shutdown") \
	X(REPLY_IDLE,             421, "4.4.2", "Silent for too long", "idle") \
	X(REPLY_TOO_SLOW,         421, "4.4.2", "Data arrives too slowly", "too-slow") \
	X(REPLY_SESSION_TOO_LONG, 421, "4.4.2", \
	  "Session without mail lasts too long", "session-age") \
	X(REPLY_LOGIN_TOO_LONG,   421, "4.4.2", "Not logged in in time", "login-time") \
	X(REPLY_TOO_MANY_BAD,     421, "4.7.0", "Too many bad commands", "bad-commands") \
	X(REPLY_TOO_MANY_USELESS, 421, "4.7.0", \
	  "Too many commands without mail", "useless-commands") \
	X(REPLY_TOO_MANY_UNKNOWN, 421, "4.7.0", \
	  "Too many unknown recipients", "unknown-recipients") \
	X(REPLY_NOT_SMTP,         421, "4.7.0", "This is a mail server", "not-smtp") \
	X(REPLY_TALKS_TOO_EARLY,  554, "5.5.0", \
	  "Wait for the answer before you go on", "talks-too-early") \
	X(REPLY_UNKNOWN_COMMAND,  500, "5.5.1", "Command unknown", "unknown-command") \
	X(REPLY_BAD_LINE,         500, "5.5.2", \
	  "Bare CR or LF, NUL or 8-bit octets in a command", "bad-line") \
	X(REPLY_LINE_TOO_LONG,    500, "5.5.2", "Line too long", "line-too-long") \
	X(REPLY_NOT_IMPLEMENTED,  502, "5.5.1", "Command not implemented", "not-implemented") \
	X(REPLY_NOT_FOR_YOU,      550, "5.7.1", \
	  "Command not allowed from your address", "not-for-you") \
	X(REPLY_BAD_ARGUMENT,     501, "5.5.4", "Syntax error in parameters", "bad-argument") \
	X(REPLY_NO_ARGUMENT,      501, "5.5.4", "No argument allowed", "bad-argument") \
	X(REPLY_HELO_ARGUMENT,    501, "5.5.4", "Say who you are", "helo-argument") \
	X(REPLY_UNKNOWN_PARAM,    555, "5.5.4", "Parameter unknown", "unknown-parameter") \
	X(REPLY_PARAM_TWICE,      501, "5.5.4", "Parameter given twice", "parameter-twice") \
	X(REPLY_BAD_SENDER,       501, "5.1.7", "Sender address has bad syntax", "sender-syntax") \
	X(REPLY_BAD_RCPT,         501, "5.1.3", \
	  "Recipient address has bad syntax", "recipient-syntax") \
	X(REPLY_NEEDS_SMTPUTF8,   553, "5.6.7", "Address needs SMTPUTF8", "needs-smtputf8") \
	X(REPLY_NEEDS_HELO,       503, "5.5.1", "Send EHLO first", "sequence") \
	X(REPLY_NEEDS_LHLO,       503, "5.5.1", "Send LHLO first", "sequence") \
	X(REPLY_NEEDS_MAIL,       503, "5.5.1", "Send MAIL first", "sequence") \
	X(REPLY_NEEDS_RCPT,       503, "5.5.1", "No valid recipient", "sequence") \
	X(REPLY_MAIL_TWICE,       503, "5.5.1", "Sender already given", "sequence") \
	X(REPLY_IN_BDAT,          503, "5.5.1", \
	  "BDAT has begun: only BDAT, RSET and QUIT now", "sequence") \
	X(REPLY_NEEDS_BDAT,       503, "5.5.1", "BODY=BINARYMIME comes by BDAT only", "sequence") \
	X(REPLY_NEEDS_TLS,        530, "5.7.0", \
	  "Must issue a STARTTLS command first", "needs-tls") \
	X(REPLY_NEEDS_LOGIN,      530, "5.7.0", "Authentication required", "needs-login") \
	X(REPLY_TLS_ALREADY,      503, "5.5.1", "TLS is on already", "sequence") \
	X(REPLY_TLS_UNAVAILABLE,  454, "4.7.0", "TLS not available", "tls-unavailable") \
	X(REPLY_LOGGED_IN_ALREADY,503, "5.5.1", "Logged in already", "sequence") \
	X(REPLY_NOT_IN_MAIL,      503, "5.5.1", "Not during a mail transaction", "sequence") \
	X(REPLY_AUTH_NOT_HERE,    503, "5.5.1", "Authentication is not offered here", "sequence") \
	X(REPLY_AUTH_UNKNOWN,     504, "5.5.4", "Mechanism unknown", "mechanism") \
	X(REPLY_AUTH_CANCELLED,   501, "5.7.0", "Authentication cancelled", "cancelled") \
	X(REPLY_AUTH_BASE64,      501, "5.5.2", "Not base64", "bad-base64") \
	X(REPLY_AUTH_TOO_LONG,    500, "5.5.6", "Authentication line too long", "line-too-long") \
	X(REPLY_AUTH_FAILED,      535, "5.7.8", "User name or password wrong", "credentials") \
	X(REPLY_AUTH_THROTTLED,   454, "4.7.0", "Too many failed logins, try again later", "login-throttled") \
	X(REPLY_AUTH_TOO_MANY,    454, "4.7.0", ROSTER_REFUSED_TEXT, "sessions-per-address") \
	X(REPLY_EVICTED,          421, "4.7.0", ROSTER_EVICTED_TEXT, "evicted") \
	X(REPLY_AUTH_LATER,       454, "4.7.0", \
	  "Temporary authentication failure", "auth-unavailable") \
	X(REPLY_RELAY_DENIED,     550, "5.7.1", "Relaying denied: log in first", "relay") \
	X(REPLY_NO_DEVICE,        554, "5.7.1", "This is for devices of listed networks", "not-listed") \
	X(REPLY_LIST_CLOSED,      550, "5.7.2", "You may not send to this list", "list-closed") \
	X(REPLY_USER_UNKNOWN,     550, "5.1.1", "No such user here", "unknown-user") \
	X(REPLY_TAKES_NO_MAIL,    550, "5.2.1", "This address is for sending only", "send-only") \
	X(REPLY_HOST_SILENT,      451, "4.4.1", "The recipient's own server cannot be asked now, try again later", "asked") \
	X(REPLY_MAILBOX_FULL,     552, "5.2.2", "Mailbox is full", "quota") \
	X(REPLY_SOME_MAILBOX_FULL,452, "4.2.2", "A recipient's mailbox is full", "quota") \
	X(REPLY_TOO_MANY_RCPTS,   452, "4.5.3", "Too many recipients", "too-many-recipients") \
	X(REPLY_ONE_RCPT,         452, "4.5.3", \
	  "One recipient only for the null sender", "null-sender") \
	X(REPLY_TOO_MANY_MAILS,   421, "4.7.0", \
	  "Enough messages for one session", "messages-per-session") \
	X(REPLY_TOO_BIG,          552, "5.3.4", "Message is larger than allowed", "size") \
	X(REPLY_HEADER_TOO_BIG,   552, "5.3.4", "Header is larger than allowed", "header-size") \
	X(REPLY_BARE_NEWLINE,     554, "5.6.0", "Bare CR or LF in the message", "bare-newline") \
	X(REPLY_NUL,              554, "5.6.0", "NUL in the message", "nul") \
	X(REPLY_LONG_LINE,        552, "5.6.0", "A line of the message is too long", "long-line") \
	X(REPLY_NO_LINES,         554, "5.6.3", "The binary message cannot be written in lines", "binary") \
	X(REPLY_LOOP,             554, "5.4.6", "Mail loop", "loop") \
	X(REPLY_FILTERED,         550, "5.7.1", "Refused by the recipient", "recipient-filter") \
	X(REPLY_NO_FROM,          554, "5.6.0", \
	  "Message has no From field, or more than one", "from-missing") \
	X(REPLY_SENT_TOO_MUCH,    451, "4.7.1", "This account sends too much: try again later", "send-limit") \
	X(REPLY_SUPPRESSED,       550, "5.7.1", "No mail is sent to this address any more", "suppressed") \
	X(REPLY_NO_UNSUBSCRIBE,   550, "5.7.1", "Mail to many needs a way to unsubscribe", "unsubscribe") \
	X(REPLY_TOO_MANY_PER_MINUTE, 550, "5.7.1", "Too much mail from your address", "rate") \
	X(REPLY_GREYLISTED,       550, "5.7.1", "Not known here", "greylist") \
	X(REPLY_LISTED,           550, "5.7.1", "Your address stands in a block list", "dns-list") \
	X(REPLY_HELO_REFUSED,     550, "5.7.1", "Your greeting is not your name", "helo") \
	X(REPLY_REVERSE_DNS,      550, "5.7.25", "Your address has no name that leads back to it", "reverse-dns") \
	X(REPLY_SENDER_DOMAIN,    550, "5.1.8", "Sender's domain does not exist", "sender-domain") \
	X(REPLY_SENDER_NULL_MX,   550, "5.7.27", "Sender's domain takes no mail", "null-mx") \
	X(REPLY_SPF,              550, "5.7.23", "Sender's domain does not let you send for it", "spf") \
	X(REPLY_DMARC,            550, "5.7.1", "Author's domain did not send this", "dmarc") \
	X(REPLY_FROM,             550, "5.6.0", "Message must have one From field with one author", "from") \
	X(REPLY_ATTACHMENT,       550, "5.7.1", "Files of this kind are not accepted", "attachment") \
	X(REPLY_FILTER,           550, "5.7.1", "A content filter refuses this message", "milter") \
	X(REPLY_FILTER_LATER,     451, "4.7.1", "A content filter cannot say yet, try again later", "milter") \
	X(REPLY_POLICY_LATER,     451, "4.7.1", "Not accepted now, try again later", "policy") \
	X(REPLY_NO_SPACE,         452, "4.3.1", \
	  "Not enough disk space, try again later", "disk-space") \
	X(REPLY_READ_ONLY,        451, "4.3.2", \
	  "Mail cannot be stored at present, try again later", "disk-read-only") \
	X(REPLY_QUEUE_FULL,       452, "4.3.1", "Queue is full, try again later", "queue-full") \
	X(REPLY_BUSY,             451, "4.3.2", "Server is busy, try again soon", "busy") \
	X(REPLY_MAILBOX_BUSY,     450, "4.2.0", "Mailbox is busy, try again soon", "mailbox-busy") \
	X(REPLY_INTERNAL,         451, "4.3.0", "Internal error, try again later", "internal") \
	X(REPLY_LMTP_HELO,        500, "5.5.1", "This is LMTP: send LHLO", "wrong-protocol") \
	X(REPLY_SMTP_LHLO,        500, "5.5.1", "This is SMTP: send EHLO", "wrong-protocol")
/* clang-format on */

enum reply_id {
#define X(id, code, enhanced, text, reason) id,
	REPLY_TABLE(X)
#undef X
	REPLY_COUNT
};

/** reply_get - the row. Never NULL. */
const struct reply *reply_get(enum reply_id id);
/** reply_for_fault - how a fault of the store, the queue or the directory is worded while a message
 * is accepted. Policy has said yes by then, so all but size and quota is our own trouble, and
 * temporary. */
enum reply_id reply_for_fault(enum fault_kind kind);
/**
 * reply_write - append the reply as it goes to the peer, in as many lines as it needs (RFC 5321
 * §4.2.1, the enhanced code on each, RFC 2034 §4). Octets that are not printable ASCII become '?'.
 * False: out's max, out is unchanged.
 */
MUST_CHECK bool reply_write(struct buf *out, unsigned code, const char *enhanced, struct sv text);

#endif
