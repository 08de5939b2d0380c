/* smtpd/relay/client.h - one connection to another server, as an SMTP or LMTP client (RFC 5321, RFC
 * 2033): greeting, EHLO, STARTTLS, AUTH, then transactions one after another.
 *
 *   client_new -> on_ready -> client_send -> (on_body -> client_body)* -> on_done -> client_send ...
 *
 * With PIPELINING a transaction is one packet up to DATA (RFC 2920); with CHUNKING the message goes
 * in BDAT chunks (RFC 3030). Each answer has its time (RFC 5321 §4.5.3.2), is bounded
 * (smtpd/relay/answer.h), and is kept in a record of the conversation for people.
 *
 * Callbacks come from the loop, never from inside a call, never after client_free(). Loop thread
 * only. */
#ifndef SMTPD_RELAY_CLIENT_H
#define SMTPD_RELAY_CLIENT_H

#include "common/loop.h"
#include "common/netaddr.h"
#include "common/tls.h"
#include "smtpd/relay/answer.h"

#define CLIENT_TALK_MAX (8u << 10)      /* octets of the conversation that are kept */
#define CLIENT_HOST_MAX 256
#define CLIENT_RCPTS_MAX 100            /* of one transaction (RFC 5321 §4.5.3.1.8) */

enum client_tls {
	CLIENT_TLS_OFF = 0,
	CLIENT_TLS_MAY,         /* when it is offered */
	CLIENT_TLS_MUST,        /* or no mail goes this way */
	CLIENT_TLS_DIRECT,      /* from the first octet */
};

/* Where to and how. Copied, but for what expect points to. */
struct client_target {
	char path[108];         /* a unix socket, or "": */
	struct netaddr at;
	char host[CLIENT_HOST_MAX];     /* its name, for SNI and for people */
	bool is_lmtp;
	enum client_tls tls;
	struct tls_expect expect;       /* borrowed as long as the client lives */
	const char *user, *password;    /* NULL: no AUTH; likewise */
	const char *hostname;           /* what we call ourselves; likewise */
	uint32_t connect_ms;
	uint32_t reply_ms;              /* for most answers: 5 min */
};

/* What the other side can do. */
enum client_can {
	CAN_PIPELINING = 1 << 0,
	CAN_CHUNKING = 1 << 1,
	CAN_8BITMIME = 1 << 2,
	CAN_SMTPUTF8 = 1 << 3,
	CAN_DSN = 1 << 4,
	CAN_SIZE = 1 << 5,
	CAN_STARTTLS = 1 << 6,
	CAN_AUTH_PLAIN = 1 << 7,
	CAN_AUTH_LOGIN = 1 << 8,
	CAN_REQUIRETLS = 1 << 9,
	CAN_BINARYMIME = 1 << 10,
	CAN_DELIVERBY = 1 << 11,
	CAN_MT_PRIORITY = 1 << 12,
	CAN_SMTP = 1 << 13,             /* there is a connection: always */
};

enum client_verdict {
	CLIENT_OPEN = 0,        /* nothing is known: the connection ended before */
	CLIENT_DELIVERED,
	CLIENT_DEFERRED,        /* 4yz */
	CLIENT_REFUSED,         /* 5yz */
	CLIENT_TOO_MANY,        /* 452 behind others that were taken: the next transaction (RFC 5321
				   §4.5.3.1.10) */
};

/* One recipient of a transaction; address and params are the owner's. */
struct client_rcpt {
	struct sv address;
	struct sv params;               /* " NOTIFY=NEVER", or empty */
	enum client_verdict verdict;    /* the rest is the client's */
	char status[ANSWER_STATUS_MAX];
	char *text;                     /* "550 5.1.1 no such user"; the owner frees it */
	bool is_taken;
};

/* A transaction: the owner's, borrowed until on_done or on_end. */
struct client_mail {
	struct sv sender, params;       /* params: " BODY=8BITMIME", or empty */
	struct client_rcpt *rcpts;
	size_t count;
	bool is_question;               /* RSET in place of DATA: who was taken is CLIENT_DELIVERED */
	bool is_sender_refused;         /* the client's: the verdicts are about MAIL */
};

/* Why a connection ended. */
struct client_end {
	char status[ANSWER_STATUS_MAX]; /* "4.4.2" and so on; of the answer when there was one */
	const char *text;               /* for people, one line; borrowed for the call */
	bool was_ready;                 /* on_ready had come */
	bool is_tls_failure;            /* the handshake failed: without TLS it may work */
	bool is_busy;           /* 421: it closes, and wants to be left alone for now */
	bool is_self;                   /* it greets with our own name */
	bool is_refusal;                /* it answered 5yz to the greeting or to EHLO */
};

struct client;
struct client_events {
	/* A transaction may be sent. Also after each on_done that left the connection usable, so
	 * on_done itself need not look. */
	void (*on_ready)(void *user);
	/* The next octets of the message, please: client_body(). */
	void (*on_body)(void *user);
	/* Each recipient has its verdict. on_ready or on_end follows. */
	void (*on_done)(void *user);
	/* The connection is gone; recipients without a verdict are CLIENT_OPEN. */
	void (*on_end)(void *user, const struct client_end *end);
};

struct client *client_new(struct loop *loop, struct tls_client *tls,
			  const struct client_target *target, const struct client_events *events,
			  void *user);
/** client_send - begin a transaction; only when it is ready. */
void client_send(struct client *c, struct client_mail *mail);
/** client_body - octets of the message in wire form, after on_body. is_last: none follow. */
void client_body(struct client *c, struct sv octets, bool is_last);
/** client_free - QUIT if it is a good moment, and let go. Sets *c to NULL. NULL is fine. */
void client_free(struct client **c);

unsigned client_can(const struct client *c);            /* CAN_ bits */
/** client_size_max - what SIZE said; 0: no limit is known. */
uint64_t client_size_max(const struct client *c);
/** client_by_min_s - the least time that DELIVERBY takes for returning (RFC 2852 §2); 0: any. */
uint32_t client_by_min_s(const struct client *c);
/** client_is_ready - between transactions. */
bool client_is_ready(const struct client *c);
/** client_tls_text - "TLSv1.3 TLS_AES_256_GCM_SHA384", or "". */
const char *client_tls_text(const struct client *c);
/** client_doubt - what the names it was given say of its certificate (tls_peer_doubt()); NULL: nothing. */
const char *client_doubt(const struct client *c);
/** client_talk - the last of the conversation, a line per line, "> " ours and "< " theirs. */
struct sv client_talk(const struct client *c);
/** client_peer - "mx.example.net [192.0.2.1]". */
const char *client_peer(const struct client *c);

#endif
