/* smtpd/policy/policy.h - what is accepted: small checks that read the same facts.
 *
 * Each check is a function in a file of its own and a row of the table in policy.c. policy_run()
 * asks the rows of a stage in order; the first refusal ends it, junk is remembered. Some rows hold
 * always (policy_refuse); of the others the configuration says what a finding leads to: nothing, a
 * line in the log, Junk, a temporary or a final refusal (policy_suspect). A check changes
 * nothing and sends nothing, so a run can be repeated dry. Checks that read the account directory
 * block, so where policy_blocks() says so the stage runs in a job; facts are then copies, or things
 * that do not change meanwhile. */
#ifndef SMTPD_POLICY_POLICY_H
#define SMTPD_POLICY_POLICY_H

#include "common/address.h"
#include "common/conf.h"
#include "common/directory.h"
#include "common/identity.h"
#include "common/netaddr.h"
#include "smtpd/asking.h"
#include "smtpd/author.h"
#include "smtpd/facts.h"
#include "smtpd/origin.h"
#include "smtpd/reply.h"
#include "smtpd/screen.h"

enum policy_stage {
	POLICY_MAIL = 1 << 0,           /* the sender is known */
	POLICY_RCPT = 1 << 1,           /* and a recipient, and where it leads */
	POLICY_MESSAGE = 1 << 2,        /* and the whole message; nothing was delivered yet */
};

struct greylist;
struct outbook;

struct policy_facts {
	const struct conf *conf;
	struct directory *directory;
	enum conf_listener_kind listener;
	struct netaddr peer;
	const struct auth_identity *identity;   /* NULL: a stranger */
	/* neither logged in, nor of exempt-networks, on mx: rows for strangers are asked */
	bool is_stranger;
	bool is_relay_client;                   /* of relay-networks, on mx */
	const struct local *local;              /* users of this host; NULL: none are known */
	bool is_local_admin;                    /* root, on local: may write as anybody */
	struct sv helo;                         /* untrusted */
	const struct origin_facts *origin;      /* of strangers, from MAIL on; else NULL */
	/* MAIL */
	struct address sender;
	uint64_t declared_size;                 /* of SIZE; 0: none given */
	/* in the last minute, from the address and from its network; 0: not counted */
	struct policy_rates { uint32_t address, network; } messages, recipients;
	/* RCPT */
	struct address recipient;
	const struct directory_route *route;
	enum asking_answer asked;               /* what the host of a relay domain has just said of the recipient */
	uint32_t rcpt_count;                    /* accepted before this one */
	struct greylist *greylist;              /* NULL: none is kept */
	struct outbook *outbook;                /* NULL: it could not be opened */
	uint32_t remote_count;                  /* recipients elsewhere before this one */
	int64_t now_s;                          /* Unix time, for it */
	/* MESSAGE */
	const struct message_facts *message;
	const struct author_facts *author;      /* of strangers; else NULL */
	const char *attachment;                 /* a file's name that is not wanted; NULL: none, or not looked for */
	const struct screen_verdict *filter;    /* of the filters together; NULL: none was asked */
	uint64_t size;
	uint64_t longest_line;                  /* octets without CRLF */
	unsigned data_faults;                   /* enum data_fault */
	bool is_binary;                         /* it came as octets, not as lines (RFC 3030); these facts are of what became of it */
	const char *no_lines;                   /* why there are none; else NULL */
	const struct sv *forwarders;            /* our addresses that this message is sent on by */
	size_t forwarder_count;
};

enum policy_action { POLICY_ACCEPT = 0, POLICY_JUNK, POLICY_DEFER, POLICY_REJECT };

#define POLICY_FINDINGS_MAX 8

/* What a row with an action of its own has found. */
struct policy_finding {
	const char *check;              /* its name: the reason code */
	enum conf_action action;        /* what it leads to */
	char text[240];                 /* for people */
};

struct policy_verdict {
	enum policy_action action;
	enum reply_id reply;            /* when deferred or rejected */
	const char *check;              /* which row said so; a literal, or NULL */
	char text[640];                 /* instead of the reply's own; "": that */
	struct policy_finding findings[POLICY_FINDINGS_MAX];
	size_t finding_count;
	bool is_to_be_asked;            /* deferred only because nobody has asked the host of a relay domain: asking.h ... */
	char asked_for[DIRECTORY_ADDRESS_MAX + 1];      /* ... about this address */
	/* between a check and policy_run() */
	bool is_suspect, is_at_most_junk, is_only_log;
};

typedef void policy_fn(const struct policy_facts *facts, struct policy_verdict *verdict);

/** policy_blocks - does a check of this stage and listener read the directory? */
bool policy_blocks(enum policy_stage stage, enum conf_listener_kind listener);
/** policy_run - the verdict of all checks of a stage. */
struct policy_verdict policy_run(enum policy_stage stage, const struct policy_facts *facts);
/** policy_refuse - for checks: the verdict that fits the reply's code. */
void policy_refuse(struct policy_verdict *verdict, enum reply_id reply);
/** policy_suspect - for checks with an action of their own: something was found. @reply: what a
 * final refusal is. The text is told to the peer, and stands in the log and in Junk's header. */
void policy_suspect(struct policy_verdict *verdict, enum reply_id reply, const char *format, ...)
	PRINTF_LIKE(3, 4);

/* One row, for those who list them. */
struct policy_row {
	const char *name;               /* also the reason code */
	const char *stage;              /* "mail", "rcpt", "message" */
	const char *option;             /* of postroom.conf; NULL: it always holds */
	enum conf_action action;        /* in force */
	const char *source;
};
/** policy_row - the i-th row that an mx listener asks, in order; false behind the last. */
bool policy_row(size_t i, const struct conf *conf, struct policy_row *out);
/** policy_is_of_content - is a row, by its name, about what a message says, so that its refusals may be kept (rejects.h)? */
bool policy_is_of_content(const char *name);
/** policy_run_row - what that one row says, whatever the others said. False: it is not asked of these facts. */
bool policy_run_row(size_t i, const struct policy_facts *facts, struct policy_verdict *out);

policy_fn policy_greylist;      /* greylist.c */
/** policy_is_suspect - would greylisting look at it? */
bool policy_is_suspect(const struct origin_facts *origin);
policy_fn policy_rate;          /* rate.c */
policy_fn policy_device_rate;
policy_fn policy_helo;          /* helo.c */
policy_fn policy_dns_list;      /* dnslist.c */
policy_fn policy_reverse_dns;   /* reverse.c */
policy_fn policy_sender_domain; /* domain.c */
policy_fn policy_null_mx;
policy_fn policy_from;          /* from.c */
policy_fn policy_spf;           /* spf.c */
policy_fn policy_attachment;    /* attachment.c */
policy_fn policy_milter;        /* milter.c */
policy_fn policy_dmarc;         /* dmarc.c */
policy_fn policy_sent;          /* outgoing.c */
policy_fn policy_suppressed;
policy_fn policy_unsubscribe;   /* unsubscribe.c */
policy_fn policy_size;          /* size.c */
policy_fn policy_sender;        /* sender.c */
policy_fn policy_author;
policy_fn policy_recipients;    /* recipients.c */
policy_fn policy_null_sender;
policy_fn policy_relay;         /* relay.c */
policy_fn policy_asked;         /* asked.c */
/** policy_asked_address - whom the host of a relay domain is asked about, once the route is known; appended. False: nobody. */
bool policy_asked_address(const struct policy_facts *facts, struct buf *out);
policy_fn policy_list;          /* list.c */
policy_fn policy_octets;        /* octets.c */
policy_fn policy_header;        /* header.c */
policy_fn policy_loop;          /* loop.c */

#endif
