/* common/sieve/sieve.h - mail filters in the Sieve language (RFC 5228 and its extensions; doc/sieve.md lists them).
 * A script is compiled once and run for each message. A run does no I/O of its own: it reads the message through the caller's
 * reader, asks the caller what only he can know (struct sieve_host), and answers with a plain list of actions that the caller
 * carries out. A script that fails at run time answers with one keep and an error (RFC 5228 §2.10.6): mail is never lost to it.
 *
 * Pure but for the caller's callbacks; a compiled script is constant and may be run by several threads at once; one run, one
 * thread. Bounds: a script's size, nesting and program; a run's work, memory (less than 1 MiB), actions and redirects. */
#ifndef COMMON_SIEVE_SIEVE_H
#define COMMON_SIEVE_SIEVE_H

#include "common/date.h"
#include "common/fault.h"
#include "common/mime.h"

#define SIEVE_SCRIPT_MAX ((size_t)1 << 20)      /* octets of a script */
#define SIEVE_NESTING_MAX 32            /* blocks and tests; RFC 5228 §2.10.7 asks for 15 */
#define SIEVE_INCLUDES_MAX 32           /* scripts in one program (RFC 6609) */
#define SIEVE_ACTIONS_MAX 32
#define SIEVE_REDIRECTS_MAX 4
#define SIEVE_VARIABLES_MAX 128         /* RFC 5229 §6 */
#define SIEVE_VARIABLE_SIZE ((size_t)4096)
#define SIEVE_ERRORS_MAX 10
#define SIEVE_WORK_MAX ((uint64_t)100 << 20)    /* octets compared, decoded or stepped over in one run: about a second */

/* ---- compiling ---- */

struct sieve_error {
	uint32_t line, column;          /* from 1; the column counts characters */
	char script[64];                /* name of the included script; empty: the script itself */
	char text[256];                 /* a plain sentence */
};
struct sieve_errors {
	struct sieve_error list[SIEVE_ERRORS_MAX];
	size_t count;                   /* of the errors listed; there may be more */
};

enum sieve_location { SIEVE_PERSONAL = 0, SIEVE_GLOBAL };       /* RFC 6609 §3.2 */

/* Where `include` finds scripts. Without load every included script counts as missing. */
struct sieve_loader {
	/* Append the text of a script to *out; false when there is none. Called while compiling. */
	bool (*load)(void *arg, enum sieve_location where, struct sv name, struct buf *out);
	void *arg;
};

struct sieve_script;
/**
 * sieve_compile - check a script and make it ready to run.
 * @text:   borrowed for the call
 * @loader: may be NULL
 * @out:    set on success; the caller owns it, sieve_script_free() ends it
 * @errors: cleared, then filled with what is wrong
 * Errors: FAULT_INVALID (see *errors), FAULT_LIMIT (too large; *errors says so, too).
 */
MUST_CHECK struct fault sieve_compile(struct sv text, const struct sieve_loader *loader, struct sieve_script **out,
				      struct sieve_errors *errors);
void sieve_script_free(struct sieve_script **s);
/** sieve_capabilities - append the extensions we have, separated by spaces, as ManageSieve lists them (RFC 5804 §1.7). */
bool sieve_capabilities(struct buf *out);

/* ---- the message and its surroundings ---- */

struct sieve_mail {
	const struct mime_message *message;
	struct sv header;               /* the raw header block, line ends included; with or without the empty line */
	/* Append octets [offset, offset+len) of the wire form, as far as there are any. False: they cannot be read, which fails
	 * the run as temporary. */
	bool (*read)(void *arg, uint64_t offset, size_t len, struct buf *out);
	void *read_arg;
};

/* Addresses are bare: local@domain, without <>. */
struct sieve_envelope {
	struct sv from;                 /* empty: the null reverse path */
	struct sv to;                   /* the recipient as the client gave it */
	struct sv auth;                 /* who authenticated for sending; RFC 5228 §5.4 leaves it to us. p NULL: nobody */
	struct sv ret, envid;           /* RFC 3461 parameters, xtext decoded (RFC 6009 §4); p NULL: not given */
	struct sv notify, orcpt;
};

enum sieve_virus_verdict {              /* RFC 5235 §3.3 */
	SIEVE_VIRUS_UNKNOWN = 0, SIEVE_VIRUS_NONE, SIEVE_VIRUS_CURED, SIEVE_VIRUS_MAYBE_CURED, SIEVE_VIRUS_MAYBE,
	SIEVE_VIRUS_FOUND,
};

/* What the run asks its caller. Any callback may be NULL: the answer is then "no". */
struct sieve_host {
	void *arg;
	struct date now;                /* with the zone of the user */
	struct sv domain, host, remote_host, remote_ip, location, phase;        /* RFC 5183 §4.1; p NULL: unknown */
	const struct sv *addresses;     /* of the user, for vacation (RFC 5230 §4.5); envelope.to need not be there */
	size_t address_count;
	char tag_separator;             /* RFC 5233; 0 means '+' */
	uint32_t vacation_seconds_min, vacation_seconds_max;    /* 0: one day, 90 days */
	bool has_spam_score;            /* spam_percent is known */
	uint32_t spam_percent;          /* 0 no spam to 100 */
	enum sieve_virus_verdict virus;
	/* RFC 6785: not a delivery, but something that a client did with a stored message */
	bool is_imap_event;
	struct sv flags;                /* of the message, separated by spaces: what hasflag sees first */
	struct sv imap_user, imap_email, imap_cause, imap_mailbox, imap_changedflags;   /* p NULL: unknown */
	bool (*mailbox_exists)(void *arg, struct sv name);              /* and mail can be delivered into it */
	bool (*mailbox_id_exists)(void *arg, struct sv id);             /* RFC 9042 */
	bool (*special_use_exists)(void *arg, struct sv mailbox, struct sv use);        /* mailbox p NULL: any (RFC 8579) */
	/* mailbox p NULL: server metadata. False: no such annotation. RFC 5490 */
	bool (*metadata)(void *arg, struct sv mailbox, struct sv name, struct buf *out);
	/* RFC 7352: was it seen? Nothing is to be noted: that is the action SIEVE_SEEN. */
	bool (*is_duplicate)(void *arg, struct sv id);
	/* RFC 5230: was this handle answered to this address within that time? */
	bool (*is_answered)(void *arg, struct sv handle, struct sv address, uint32_t seconds);
	bool (*list_exists)(void *arg, struct sv list);                 /* RFC 6134 */
	bool (*list_has)(void *arg, struct sv list, struct sv value);
	struct sv (*list_member)(void *arg, struct sv list, size_t number);     /* empty: there are no more */
	/* The dry run: one line per test and action, without line end. */
	void (*trace)(void *arg, uint32_t line, struct sv text);
};

/* ---- running ---- */

enum sieve_action_kind {
	SIEVE_NONE = 0,
	SIEVE_KEEP,             /* mailbox is empty */
	SIEVE_FILEINTO,
	SIEVE_REDIRECT,
	SIEVE_DISCARD,
	SIEVE_REJECT,           /* refuse as the protocol stage allows, or by MDN (RFC 5429 §2.2) */
	SIEVE_EREJECT,          /* refuse in the protocol whenever possible (§2.1) */
	SIEVE_VACATION,         /* an answer to be sent; all checks but the duplicate record's race are done */
	SIEVE_NOTIFY,
	SIEVE_SEEN,             /* note the id as seen (RFC 7352), once everything else is done */
};

/* One thing to do. Unused members are zero. Views live until sieve_result_free(). */
struct sieve_action {
	enum sieve_action_kind kind;
	uint32_t line;                  /* 0: implicit */
	bool is_implicit;               /* the implicit keep */
	/* keep, fileinto */
	struct sv mailbox;              /* UTF-8 */
	struct sv mailbox_id;           /* RFC 9042: deliver there if it exists, else into mailbox */
	struct sv special_use;          /* RFC 8579: likewise */
	struct sv *flags;               /* each once, as written */
	size_t flag_count;
	bool create;                    /* :create (RFC 5490) */
	/* redirect: address. vacation: the sender that is answered */
	struct sv address;
	struct sv dsn_ret, dsn_notify;  /* RFC 6009 */
	/* reject: reason. vacation: reason. notify: the message, may be empty */
	struct sv text;
	/* vacation */
	struct sv subject;              /* UTF-8, unfolded, never empty */
	struct sv from;                 /* vacation, notify: may be empty */
	struct sv handle;               /* vacation: what was said; seen: the id */
	uint32_t seconds;               /* vacation, seen: how long it is remembered */
	bool is_mime;                   /* vacation: text is a MIME entity with its header */
	bool is_last;                   /* seen: :last */
	/* notify (RFC 5435) */
	struct sv method;               /* a URI */
	uint32_t importance;            /* 1 high, 2 normal, 3 low */
	struct sv *options;             /* "name=value" */
	size_t option_count;
	/* fcc (RFC 8580) */
	struct sv fcc;                  /* vacation, notify: file a copy of what is sent here; p NULL: not asked */
	struct sv *fcc_flags;
	size_t fcc_flag_count;
	struct sv fcc_special_use, fcc_mailbox_id;
	bool fcc_create;
	/* keep, fileinto, redirect: the edited header block with its empty line (RFC 5293); p NULL: as it came */
	struct sv header;
};

struct sieve_result {
	struct sieve_action *actions;
	size_t action_count;            /* at least 1 unless mail cannot be kept: a run always says what becomes of the message */
	bool has_failed;                /* the script stopped with `error`; the actions are then one implicit keep */
	bool is_temporary;              /* failed because the message could not be read: try the delivery again */
	struct sieve_error error;
	uint64_t work;                  /* of SIEVE_WORK_MAX */
	size_t memory;                  /* octets the run took at most */
	struct sieve_run *run;          /* private */
};

/** sieve_run - filter one message. Everything borrowed must live until sieve_result_free(). */
void sieve_run(const struct sieve_script *s, const struct sieve_mail *mail, const struct sieve_envelope *envelope,
	       const struct sieve_host *host, struct sieve_result *out);
void sieve_result_free(struct sieve_result *r);
/** sieve_action_describe - append one action in words, for logs and the dry run. */
bool sieve_action_describe(const struct sieve_action *a, struct buf *out);

#endif
