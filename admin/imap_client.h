/* admin/imap_client.h - a conversation with somebody else's IMAP server (RFC 3501, RFC 9051): connect, TLS, log in, ask. Blocks: for the
 * command line. The server is a stranger: what it says is read by common/imap_reply.h within its limits, and silence of five minutes
 * ends the conversation. One thread. */
#ifndef ADMIN_IMAP_CLIENT_H
#define ADMIN_IMAP_CLIENT_H

#include "common/fault.h"
#include "common/imap_reply.h"

enum imap_client_tls { IMAP_CLIENT_IMPLICIT = 0, IMAP_CLIENT_STARTTLS, IMAP_CLIENT_CLEAR };

struct imap_client_target {
	const char *host;               /* a name or an address */
	uint16_t port;                  /* 0: 993, or 143 without implicit TLS */
	enum imap_client_tls tls;
	const char *fingerprint;        /* SHA-256 of the certificate, lower-case hex: this one and no other; NULL: one that an authority
					   vouches for, for `host` */
	const char *user, *password;
};

enum imap_client_feature {
	IMAP_HAS_SASL_IR = 1 << 0,
	IMAP_HAS_PLAIN = 1 << 1,
	IMAP_HAS_LOGIN_DISABLED = 1 << 2,
	IMAP_HAS_STARTTLS = 1 << 3,
	IMAP_HAS_NAMESPACE = 1 << 4,
	IMAP_HAS_SPECIAL_USE = 1 << 5,
	IMAP_HAS_LIST_EXTENDED = 1 << 6,
};

struct imap_client;

/** imap_client_open - up to being logged in.
 * Errors: FAULT_UNAVAILABLE (no connection, TLS not believed, no IMAP), FAULT_AUTH (not let in), FAULT_INVALID (the name cannot be
 * found). The detail is a sentence for the person at the keyboard; the password is in none. */
MUST_CHECK struct fault imap_client_open(const struct imap_client_target *target, struct imap_client **out);
/** imap_client_close - says LOGOUT when it can. NULL is fine. */
void imap_client_close(struct imap_client **client);
unsigned imap_client_features(const struct imap_client *client);

/* Who hears what comes before a command's tagged answer. A fault from one of them ends the conversation and is what
 * imap_client_ask() gives. Any of them may be NULL. */
struct imap_client_listener {
	/** An untagged response, whole. */
	struct fault (*response)(void *arg, const struct imap_reply *reply);
	/** The octets of a message begin, behind BODY[] in a FETCH response whose first tokens are in reply. */
	struct fault (*body_begin)(void *arg, const struct imap_reply *reply, uint64_t size);
	struct fault (*body)(void *arg, struct sv octets);
	void *arg;
};

/**
 * imap_client_ask - send a command (without tag and line end), hear the answer.
 * Errors: FAULT_DENIED (NO; the detail is what the server said), FAULT_INVALID (BAD), FAULT_UNAVAILABLE (the connection is lost: nothing
 * can be asked any more), and what the listener says. */
MUST_CHECK struct fault imap_client_ask(struct imap_client *client, const struct imap_client_listener *listener,
					struct sv command);
/** imap_client_quote - append as a quoted string (RFC 3501 §9). False: it holds what no quoted string can, or does not fit. */
bool imap_client_quote(struct buf *out, struct sv text);

#endif
