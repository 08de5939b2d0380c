/* smtpd/accept.h - the delivery plan: between accepting a message and delivering it stands, per
 * recipient, one list of places.
 *
 * By default a local account's place is INBOX and a remote address is a redirect. Aliases and the
 * catch-all fill this list today; whatever decides more (junk, forwarding, Sieve) changes the same
 * list before the message is finished. A plan lives in one arena; opened drops belong to it. One
 * thread at a time; accept_open() and accept_close() block. */
#ifndef SMTPD_ACCEPT_H
#define SMTPD_ACCEPT_H

#include "common/address.h"
#include "common/directory.h"
#include "maildir/store.h"
#include "smtpd/grammar.h"

#define ACCEPT_MAX (4u << 20)           /* octets of memory for all recipients of a message */
#define ACCEPT_FORWARDERS_MAX 50 /* different addresses of ours that one message is sent on by */

enum accept_kind {
	ACCEPT_MAILBOX = 1,     /* put it into a mailbox of ours */
	ACCEPT_REDIRECT,        /* send it on */
};

struct incoming;

struct accept_place {
	enum accept_kind kind;
	/* ACCEPT_MAILBOX */
	struct sv account;              /* canonical address */
	struct quota quota;
	struct maildir_drop *drop;      /* opened by accept_open(), else NULL */
	struct sv mailbox;              /* UTF-8 name */
	bool create;                    /* make it when it is missing; else INBOX is taken */
	uint32_t flags;                 /* FLAG_... of maildir/mailbox.h */
	const struct sv *keywords;
	size_t keyword_count;
	/* of what a filter decided: another message than the one that came; NULL: that one */
	struct incoming *message;
	/* ACCEPT_REDIRECT */
	struct sv redirect;             /* local@domain */
	struct sv via; /* our address that sends it on; empty: the client named the target itself */
	struct sv list_owner;           /* via is a list, and bounces go there; empty: it is none */
	struct sv dsn_ret, dsn_notify;  /* asked for by a filter (RFC 6009); empty: not */
	struct accept_place *next;
};

struct accept_rcpt {
	struct sv address;              /* as text, as the client meant it */
	struct sv params[SMTP_PARAMS_MAX];
	size_t param_count;
	struct accept_place *places;
	struct accept_rcpt *next;
};

struct accept_plan {
	struct arena arena;
	struct accept_rcpt *rcpts, **end;
	uint32_t rcpt_count;
	bool is_open;                   /* drops may be open */
	bool is_junk;                   /* policy says so: mail for INBOX lies in Junk */
	bool is_held;                   /* for later (RFC 4865): our own people get it from the queue, too */
};

void accept_init(struct accept_plan *plan);
/** accept_done - release everything; drops must be closed. */
void accept_done(struct accept_plan *plan);

/**
 * accept_add - a recipient with the places that its route leads to.
 * @path: the command, for the address and its parameters
 * Returns FAULT_LIMIT when ACCEPT_MAX or ACCEPT_FORWARDERS_MAX would be passed; the plan is
 * unchanged then.
 */
MUST_CHECK struct fault accept_add(struct accept_plan *plan, const struct smtp_path *path,
				   const struct directory_route *route, struct accept_rcpt **out);
/** accept_drop_last - the recipient that was added last is refused after all: its drops are closed
 * (blocks). */
void accept_drop_last(struct accept_plan *plan);
/** accept_close - close all drops; the plan can still be read. */
void accept_close(struct accept_plan *plan);
/** accept_open - open the drops of one recipient's places and see that `size` octets fit there.
 * FAULT_QUOTA, FAULT_BUSY, ... */
MUST_CHECK struct fault accept_open(struct accept_plan *plan, struct accept_rcpt *rcpt,
				    struct store *store, uint64_t size);

/**
 * accept_refile - another place for a recipient instead of, or beside others.
 * @like: the place it comes from: account and quota are its own; a new drop is opened for a mailbox
 * The new place is the last one; the caller fills in what differs.
 */
MUST_CHECK struct fault accept_refile(struct accept_plan *plan, struct accept_rcpt *rcpt,
				      const struct accept_place *like, enum accept_kind kind,
				      struct store *store, struct accept_place **out);
/** accept_drop_place - this place is not to be, its drop is closed (blocks). */
void accept_drop_place(struct accept_rcpt *rcpt, struct accept_place *place);

/** accept_set_junk - policy takes the message for junk: what would go to an INBOX goes to Junk. */
void accept_set_junk(struct accept_plan *plan);
#define ACCEPT_JUNK "Junk"
/** accept_count - places of a kind in the whole plan, doubles included. */
size_t accept_count(const struct accept_plan *plan, enum accept_kind kind);
/** accept_forwarders - the different `via` of all redirects, an empty one included when clients
 * named targets themselves. Returns how many; at most ACCEPT_FORWARDERS_MAX + 1. */
size_t accept_forwarders(const struct accept_plan *plan, struct sv out[ACCEPT_FORWARDERS_MAX + 1]);

#endif
