/* smtpd/relay/client_private.h - what the sources of the client share: client.c has the connection, client_hello.c what stands before the
 * first message, client_mail.c the transactions. */
#ifndef SMTPD_RELAY_CLIENT_PRIVATE_H
#define SMTPD_RELAY_CLIENT_PRIVATE_H

#include "common/connect.h"
#include "common/stream.h"
#include "common/transfer.h"
#include "smtpd/relay/client.h"

enum client_state {
	S_CONNECT,
	S_GREETING,
	S_EHLO,
	S_HELO,
	S_STARTTLS,
	S_HANDSHAKE,
	S_AUTH,                 /* the answer to AUTH PLAIN, or to the password of LOGIN */
	S_AUTH_USER, S_AUTH_PASSWORD,   /* LOGIN: the server asks */
	S_READY,
	S_ENVELOPE,             /* MAIL, RCPT, DATA */
	S_BODY,
	S_END,                  /* all is sent, the answer is out */
	S_RSET,
	S_OVER,
};

struct client {
	struct loop *loop;
	struct tls_client *tls;
	struct client_target to;
	const struct client_events *events;
	void *user;
	enum client_state state;
	struct connector *connector;
	struct stream *stream;
	struct answer answer;
	struct timer patience;
	struct deferred soon;           /* a callback that is owed */
	void (*owed)(struct client *c);
	struct client_end end;
	char end_text[600];
	unsigned can;
	uint64_t size_max;
	uint32_t by_min_s;
	bool is_tls, was_ready;
	const char *doubt;              /* a literal */
	char tls_text[80], peer[CLIENT_HOST_MAX + NETADDR_TEXT_MAX + 4];
	struct buf talk;
	/* the transaction */
	struct client_mail *mail;
	size_t sent, answered;          /* commands: 0 is MAIL, 1 to count RCPT, then DATA */
	size_t taken;                   /* recipients */
	size_t ended;                   /* LMTP: recipients whose last answer came */
	unsigned chunks_out;            /* BDAT without an answer yet */
	bool is_last_sent, is_body_owed;
	struct dot_writer dots;
};

/* client.c */

/** client_owe - a call of the owner, in the next turn of the loop. */
void client_owe(struct client *c, void (*what)(struct client *c));
/** client_over - the connection is of no more use; the owner learns it in the next turn. */
void client_over(struct client *c, const char *status, const char *format, ...) PRINTF_LIKE(3, 4);
/** client_over_by_answer - because of what it just said. */
void client_over_by_answer(struct client *c, const char *where, const char *status);
/** client_wait_ms - for the next answer. */
void client_wait_ms(struct client *c, uint64_t ms);
/** client_say, client_sayf - a line, without CRLF. */
void client_say(struct client *c, struct sv line, bool is_secret);
void client_sayf(struct client *c, const char *format, ...) PRINTF_LIKE(2, 3);

/* client_hello.c */

/** client_hello - EHLO, also again behind STARTTLS. */
void client_hello(struct client *c);
void client_start_tls(struct client *c);
/** client_on_hello_answer - to anything before the first transaction. */
void client_on_hello_answer(struct client *c);
void client_become_ready(struct client *c);
/** client_tell_ready - for client_owe(): another transaction may be sent. */
void client_tell_ready(struct client *c);

/* client_mail.c */

/** client_on_mail_answer - to anything from MAIL to the end of the message. */
void client_on_mail_answer(struct client *c);
/** client_give_all - the verdict of the last answer to all that were taken, or to all that have none yet. */
void client_give_all(struct client *c, bool only_taken);
/** client_ask_for_body - when more of the message can be sent. */
void client_ask_for_body(struct client *c);

#endif
