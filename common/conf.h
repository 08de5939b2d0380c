/* common/conf.h - the configuration of an instance: postroom.conf.
 *
 *   # what belongs to the host; every option has a good default
 *   hostname mail.example.org
 *   message-size 50M
 *   exempt-networks loopback 192.0.2.0/24
 *   listener office-mx {
 *           kind mx
 *           address 192.0.2.1
 *           port 25
 *   }
 *
 * One line is one option: its name, then words; "quoted words" may hold spaces, # and \" \\. A
 * block is a row of a table with a name. Every option is one row in common/conf_table_*.c: parsing,
 * range checks, `postroom conf check`, `show`, `describe` and the manual page come from it.
 *
 * A loaded configuration never changes. It is shared by reference: whoever keeps a pointer beyond a
 * call holds a reference; reloading makes another one. Any thread. Reading the file blocks. */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/ipnet.h"
#include "common/log.h"

#define CONF_FILE_MAX (1u << 20)
#define CONF_ERRORS_MAX 100

enum conf_tls_mode { CONF_TLS_NONE = 0, CONF_TLS_STARTTLS, CONF_TLS_IMPLICIT };
enum conf_tickets { CONF_TICKETS_USUAL = 0, CONF_TICKETS_YES, CONF_TICKETS_NO };
enum conf_tls_version { CONF_TLS_1_2 = 0, CONF_TLS_1_3 };
enum conf_bare_newline { CONF_BARE_NEWLINE_NORMALISE = 0, CONF_BARE_NEWLINE_REFUSE };

/* What is spoken on a listener. Bits, so that a daemon can name the set it serves. */
enum conf_listener_kind {
	LISTENER_MX          = 1 << 0,  /* smtpd: mail from anywhere, for local people */
	LISTENER_SUBMISSION  = 1 << 1,  /* smtpd: mail from logged-in people (RFC 6409) */
	LISTENER_SUBMISSIONS = 1 << 2,  /* the same, TLS from the first octet (RFC 8314) */
	LISTENER_LMTP        = 1 << 3,  /* smtpd: from programs of this host (RFC 2033) */
	LISTENER_IMAP        = 1 << 4,
	LISTENER_IMAPS       = 1 << 5,
	LISTENER_POP3        = 1 << 6,
	LISTENER_POP3S       = 1 << 7,
	LISTENER_MANAGESIEVE = 1 << 8,  /* imapd: mail filters (RFC 5804) */
	LISTENER_LOCAL       = 1 << 9,  /* smtpd: programs of this host, by a unix socket */
	LISTENER_HTTP        = 1 << 10,  /* webd: what mail programs ask for, ACME challenges */
	LISTENER_HTTPS       = 1 << 11,
	LISTENER_LEGACY      = 1 << 12, /* smtpd: printers and scanners of listed networks, for people and addresses that are named */
};
#define LISTENERS_SMTPD \
	(LISTENER_MX | LISTENER_SUBMISSION | LISTENER_SUBMISSIONS | LISTENER_LMTP | LISTENER_LOCAL | LISTENER_LEGACY)
#define LISTENERS_IMAPD (LISTENER_IMAP | LISTENER_IMAPS | LISTENER_MANAGESIEVE)
#define LISTENERS_POP3D (LISTENER_POP3 | LISTENER_POP3S)
#define LISTENERS_WEBD (LISTENER_HTTP | LISTENER_HTTPS)
#define LISTENERS_OPTIONAL LISTENERS_WEBD        /* mail goes on when such a port cannot be had */

/* One row of the listener table: written in the file, or made from `bind` and `port-offset` when
 * the file has none. */
struct conf_listener {
	char *name;
	enum conf_listener_kind kind;
	char *address;          /* numeric, or "*": IPv6 and IPv4; NULL for a unix socket */
	uint64_t port;          /* as bound: the offset is in it already */
	char *path;             /* absolute, for a unix socket; else NULL */
	enum conf_tls_mode tls;
	enum conf_tickets tickets;
};

struct conf_list {
	char **items;
	size_t count;
};
/** conf_list_is_none - only the word that stands for nothing. */
bool conf_list_is_none(const struct conf_list *list);

struct conf_host {
	char *hostname;         /* never NULL: the system's name when not set */
	/* to run as when started as root; "" decides by the owner of the instance */
	char *user;
	struct conf_list bind;
	char *delegate_socket;  /* "": the usual place, which conf_delegate_socket() knows */
	uint64_t port_offset;
	uint64_t workers;       /* processes per daemon; 0: one per core */
	uint64_t threads;       /* per worker, for files and passwords */
	uint64_t open_files;    /* RLIMIT_NOFILE to ask for */
	uint64_t stop_ms;       /* how long a stopping worker may finish what it does */
	uint64_t upgrade_ms;    /* how long a former program may go on with its sessions */
	uint64_t stuck_ms;      /* how long a thread may stay in an index write transaction */
	struct ipnets exempt_networks;
	struct ipnets proxy_networks;
};

struct conf_log {
	uint64_t events_ms;     /* how long events are kept */
	enum log_level level;
	char *file;             /* "" is standard error */
};

#define CONF_TLS_MORE_MAX 16

struct conf_tls {
	struct conf_list more;          /* CERTIFICATE=KEY, or one file with both */
	char *certificate;      /* absolute paths, PEM */
	char *key;
	enum conf_tls_version minimum;
	bool ktls;
	bool tickets;
	struct conf_list client_certificates;   /* kinds of listeners that ask for one; or `none` */
	uint64_t handshake_ms;
};

struct conf_auth {
	/* who may send a password without TLS; `never` is empty */
	struct ipnets plaintext_networks;
	uint64_t scram_iterations;
	/* after the first failure; doubles up to failure_delay_max_ms */
	uint64_t failure_delay_ms;
	uint64_t failure_delay_max_ms;
	uint64_t failures_per_session;
	/* per IPv4 address or /64; 3x for /26, /48; 9x for /21, /32 */
	uint64_t failures_per_minute;
	uint64_t failures_per_day;
	/* from addresses where the account has not logged in lately */
	uint64_t failures_per_account;
	uint64_t logins_keep_ms;
	bool new_device_notice;
	/* Tokens of an OpenID issuer; "": none are taken. */
	char *oauth_issuer, *oauth_audience, *oauth_account_claim;
	uint64_t oauth_refresh_ms, oauth_floor_ms;
	/* A directory that knows passwords (common/ldapauth.h); "": none. */
	char *ldap_url, *ldap_dn, *ldap_base, *ldap_filter, *ldap_search_dn, *ldap_search_password, *ldap_ca_file;
	struct conf_list ldap_domains;          /* or the word `all` or `none` */
	uint64_t ldap_timeout_ms;
	/* saslauthd knows passwords (common/saslauthd.h) */
	struct conf_list saslauthd_domains;     /* or the word `all` or `none` */
	char *saslauthd_socket, *saslauthd_service;
	uint64_t saslauthd_timeout_ms;
};

/* Connections, whatever protocol. */
struct conf_limits {
	uint64_t prelogin_total;
	uint64_t prelogin_per_address;          /* IPv4 or /64 */
	uint64_t prelogin_per_network;          /* /24 or /48 */
	uint64_t rate_mx;                       /* new connections per address and minute */
	uint64_t rate_other;
	uint64_t sessions_per_user_address;
	uint64_t sessions_per_user;
	uint64_t sessions_per_address;          /* logged in; IPv4 or /64 */
	/* from connecting to being logged in: IMAP, POP3, submission */
	uint64_t login_ms;
	uint64_t output_stall_ms;
	uint64_t keepalive_ms;                  /* TCP keepalive */
	uint64_t command_cpu_ms;
};

struct conf_smtp {
	uint64_t message_size;                  /* octets; IMAP APPEND obeys it too */
	uint64_t banner_delay_ms;
	uint64_t command_ms;                    /* idle between commands */
	uint64_t data_ms;                       /* idle inside DATA */
	/* both, when more than 80 % of prelogin_total is used */
	uint64_t busy_ms;
	uint64_t data_min_rate;                 /* octets per second, after data_grace_ms */
	uint64_t data_grace_ms;
	uint64_t data_total_ms;                 /* one message */
	uint64_t session_age_ms;                /* MX session without mail */
	uint64_t command_line;                  /* octets, CRLF included */
	uint64_t auth_line;
	uint64_t data_line;
	uint64_t recipients_mx;
	uint64_t recipients_submission;
	uint64_t messages_per_session;
	uint64_t bad_commands_soft;
	uint64_t bad_commands_hard;
	uint64_t useless_commands;
	uint64_t unknown_recipients_soft;
	uint64_t unknown_recipients_hard;
	uint64_t unknown_recipient_delay_ms;
	uint64_t received_headers;              /* more is a loop */
	enum conf_bare_newline submission_bare_newline;
	uint64_t sent_per_minute, sent_per_hour;        /* messages of an account to others */
	uint64_t sent_rcpts_per_day, sent_new_per_day;
	struct conf_list bulk_senders;          /* WHO=add|check|off (common/unsubscribe.h), or "none" */
	char *unsubscribe_url;                  /* "": webd's */
	struct conf_list send_factors;          /* "ADDRESS=N", or the word `none` */
	uint64_t suppress_after;                /* hard bounces */
	struct conf_list local_senders;         /* "USER=ADDRESS", or the word `none` */
};

struct conf_dns {
	struct conf_list servers;               /* "recursive", "system", or addresses */
	struct conf_list anchors;               /* "root", "none", or absolute paths */
	uint64_t timeout_ms;                    /* of one question */
};

/* What happens when a check of incoming mail finds something. In the order of their strength. */
enum conf_action { CONF_OFF = 0, CONF_LOG, CONF_JUNK, CONF_DEFER, CONF_REJECT };

enum conf_rejects { CONF_REJECTS_DROP = 0, CONF_REJECTS_KEEP };
enum conf_milter_failure { CONF_MILTER_DEFER = 0, CONF_MILTER_ACCEPT };

/* Checks of mail from strangers (smtpd/policy/). */
struct conf_policy {
	bool dmarc_reports;
	struct conf_list complaint_reporters;   /* domains, or "none" */
	struct conf_list report_addresses;      /* of ours, to which others send reports */
	enum conf_action rate, greylist, helo, reverse_dns, dns_list, sender_domain, null_mx, spf, from, dmarc, attachment;
	struct conf_list attachment_endings;    /* without dots */
	struct conf_list dns_lists;             /* "zone=weight" */
	uint64_t dns_list_weight;
	struct conf_list dmarc_exceptions;      /* "domain=policy" */
	struct conf_list arc_trusted;           /* domains */
	uint64_t greylist_ms;
	uint64_t messages_per_minute, recipients_per_minute;    /* of one address */
	struct ipnets relay_networks, xclient_networks;
	bool srs;
	struct conf_list milters;               /* of strangers: "127.0.0.1:11332", "/run/x.sock", "rspamd:127.0.0.1:11333" */
	struct conf_list submission_milters;    /* of our own people */
	char *rspamd_password;                  /* file */
	uint64_t milter_ms;                     /* for each answer */
	enum conf_milter_failure milter_failure;
	enum conf_rejects rejects;
	uint64_t rejects_ms;                    /* how long they are kept */
};

struct conf_relay {
	bool sending;
	uint64_t port;                          /* of other servers */
	bool ipv6;
	uint64_t connections;                   /* out, in all */
	uint64_t per_destination;               /* of them, to one */
	struct conf_list providers;             /* NAME=SUFFIX (common/provider.h), or "none" */
	uint64_t connect_ms;
	uint64_t reply_ms;                      /* for most answers */
	struct conf_list smarthosts;            /* "none", or SELECTOR=HOST:PORT */
	char *passwords;                        /* file: HOST USER PASSWORD */
	char *ca_file;                          /* "": the system's */
	bool sts, reports;
	uint64_t sts_port;                      /* where policies of MTA-STS are fetched */
	bool fetch_private;
	char *webhook_url;                      /* "": none */
	char *webhook_key;                      /* file */
	struct conf_list webhook_events;        /* names of events */
};

struct conf_queue {
	uint64_t retry_min_ms, retry_max_ms;
	uint64_t delay_notice_ms;
	uint64_t lifetime_ms, lifetime_null_ms;
	uint64_t brake_percent;                 /* of an account's last recipients */
	uint64_t hold_max_ms;                   /* a sender may ask for (RFC 4865) */
	uint64_t messages;                      /* at which new mail for the queue gets 452 */
	uint64_t free_space;                    /* octets the disk must keep free */
};

struct conf_mime {
	uint64_t header_block;                  /* octets */
	uint64_t header_field;
};

struct conf_imap {
	uint64_t idle_ms;
	uint64_t line_prelogin;                 /* octets */
	uint64_t line;
	uint64_t literal;                       /* not APPEND: one */
	/* all octets of one command, literals included; not APPEND */
	uint64_t command;
	uint64_t literal_prelogin;
	uint64_t list_depth;
	bool auto_subscribe;
	struct conf_list capabilities_off;      /* the word `none` names no capability */
	struct conf_list workarounds;           /* likewise */
	uint64_t bad_commands_prelogin;
	uint64_t bad_commands;
	uint64_t search_keys;
	uint64_t progress_ms;
	uint64_t message_limit;
	uint64_t notify_mailboxes;
};

struct conf_pop3 {
	uint64_t idle_ms;
	uint64_t command_line;                  /* octets, CRLF included */
	uint64_t bad_commands_prelogin;
	uint64_t bad_commands;
};

/* What our MTA-STS policy asks of those who send to us (RFC 8461 §5). */
enum conf_sts_mode { CONF_STS_NONE = 0, CONF_STS_TESTING, CONF_STS_ENFORCE };

struct conf_web {
	bool enabled;                           /* are there default listeners */
	enum conf_sts_mode sts_policy;
	struct ipnets metrics_networks;         /* who may read figures and readiness */
};

/* Old devices: listeners of the kind `legacy`. */
struct conf_legacy {
	struct conf_list bind;                  /* addresses of default listeners, or the word `none` */
	struct ipnets networks;                 /* who may connect, and send passwords in clear */
	char *sender;                           /* the account of those that do not log in; "": they have to */
	struct conf_list recipients;            /* addresses and domains elsewhere, or the word `none` */
	uint64_t message_size;
	uint64_t messages_per_minute;           /* of one address */
};

enum conf_acme_challenge { CONF_ACME_HTTP = 0, CONF_ACME_TLS_ALPN, CONF_ACME_DNS };

/* Certificates from an authority (RFC 8555). */
struct conf_acme {
	enum conf_acme_challenge challenge;
	char *directory;                        /* URL; "": none are asked for */
	char *contact;                          /* address of a person, or "" */
	struct conf_list names;                 /* for the certificate; "hostname" stands for ours */
};

struct conf_sieve {
	uint64_t scripts;                       /* per account */
	uint64_t script_size;                   /* octets */
	char *spam_training;                    /* "127.0.0.1:11334" or "none" */
};

struct conf_store {
	uint64_t open_accounts;                 /* open indexes kept per process */
	struct conf_list expire;                /* rules of common/expiry.h, or the word `none` */
	struct conf_list compress;              /* domains, or the word `all` or `none` */
	struct conf_list quota_warnings;        /* percentages, or the word `none` */
};

struct conf {
	struct conf_host host;
	struct conf_log log;
	struct conf_tls tls;
	struct conf_auth auth;
	struct conf_limits limits;
	struct conf_smtp smtp;
	struct conf_dns dns;
	struct conf_policy policy;
	struct conf_queue queue;
	struct conf_relay relay;
	struct conf_mime mime;
	struct conf_imap imap;
	struct conf_pop3 pop3;
	struct conf_web web;
	struct conf_legacy legacy;
	struct conf_acme acme;
	struct conf_sieve sieve;
	struct conf_store store;
	struct conf_listener *listeners;
	size_t listener_count;
	/* references; which options the file set, and where */
	struct conf_private *private;
};

/** conf_message_size - octets that a message may have on listeners of a kind. */
static inline uint64_t conf_message_size(const struct conf *conf, enum conf_listener_kind kind)
{
	bool is_less = kind == LISTENER_LEGACY && conf->legacy.message_size < conf->smtp.message_size;

	return is_less ? conf->legacy.message_size : conf->smtp.message_size;
}

/* ---- loading ---- */

/* What was wrong, all of it in one run. Zero-initialise; conf_report_done() ends it. */
struct conf_error {
	char *file;
	unsigned line;          /* 0: the whole file */
	char *text;             /* what was found, what is expected, the nearest valid name */
};
struct conf_report {
	struct conf_error *errors;
	size_t count;
	bool more;              /* there were more than CONF_ERRORS_MAX */
};
void conf_report_done(struct conf_report *report);

/** conf_load - read and check a file. Relative paths in it are meant from base_dir.
 *  @report: filled with every error of the file
 *  @out:    set on success only; the caller holds the one reference
 *  Errors: FAULT_INVALID (see the report), FAULT_NOT_FOUND and FAULT_INTERNAL (the file cannot be
 * read; also reported). */
MUST_CHECK struct fault conf_load(const char *path, const char *base_dir,
				  struct conf_report *report, struct conf **out);
/** conf_parse - the same for a text in memory; @file is the name in messages. */
MUST_CHECK struct fault conf_parse(struct sv text, const char *file, const char *base_dir,
                                   struct conf_report *report, struct conf **out);
/** conf_default - what an empty file gives. For tests. Never fails. */
struct conf *conf_default(const char *base_dir);
struct conf *conf_ref(struct conf *conf);
/** conf_unref - give a reference back, set *conf to NULL. NULL is fine. */
void conf_unref(struct conf **conf);

/** conf_diff - call f for each option that differs. need_restart: the new value does not take
 * effect by a reload. */
void conf_diff(const struct conf *was, const struct conf *is,
               void (*f)(void *arg, const char *option, bool need_restart), void *arg);

/* ---- files of older programs ---- */

/* An option that was there once. */
struct conf_former {
	const char *name;
	const char *instead;    /* what is there now; the middle of a sentence */
};
/** conf_former_find - NULL: it never was one, or still is. */
const struct conf_former *conf_former_find(struct sv name);
/** conf_upgrade - append a file's text, lines of former options made comments that say why, all else octet by octet. @f is called for
 *  each of them. False: out's max. */
bool conf_upgrade(struct sv text, struct buf *out, void (*f)(void *arg, unsigned line, const struct conf_former *former), void *arg);

/* ---- words about it ---- */

enum conf_type {
	CONF_BOOL,      /* yes, no */
	CONF_NUMBER,    /* uint64_t */
	CONF_BYTES,     /* uint64_t; K, M, G */
	CONF_DURATION,  /* uint64_t milliseconds; ms, s, m, h, d */
	CONF_STRING,    /* char * */
	CONF_PATH,      /* char *, absolute */
	CONF_LIST,      /* struct conf_list of words */
	CONF_ENUM,      /* unsigned, an index into words */
	CONF_BIT,       /* unsigned, 1 << index into words */
	CONF_NETS,      /* struct ipnets: networks, `loopback`, `never` */
};

/* One row. */
struct conf_option {
	const char *name;
	/* heading in the manual; for members of a block, the block's name */
	const char *section;
	enum conf_type type;
	size_t offset;                  /* in struct conf, or in the row of the block */
	const char *def;                /* as it would be written in the file; NULL: see doc */
	uint64_t min, max;              /* numbers, octets, milliseconds; octets of a string */
	const char *unit;               /* of a plain number, for the manual; may be NULL */
	const char *const *words;       /* CONF_ENUM, CONF_BIT: NULL-terminated */
	bool need_restart;
	const char *doc;                /* whole sentences */
};

/** conf_option_at - a row by its place: options first in the order of the manual, then the members of blocks. NULL behind the last. */
const struct conf_option *conf_option_at(size_t index);
/** conf_option_find - by name ("message-size", "listener.kind"), or NULL. */
const struct conf_option *conf_option_find(struct sv name);
/** conf_option_nearest - the valid name that differs least, or NULL when none is near. */
const char *conf_option_nearest(struct sv name);
/** conf_option_range - "512 to 65536 octets, default 2048": for messages and manuals. */
void conf_option_range(const struct conf_option *option, struct buf *out);
/** conf_is_set - did the file set this option? */
bool conf_is_set(const struct conf *conf, const struct conf_option *option);
/** conf_show - the configuration in force as a file; only what the file set, or everything. */
void conf_show(const struct conf *conf, bool everything, struct buf *out);
/** conf_describe - one option in words, with type, range and default. */
void conf_describe(const struct conf_option *option, struct buf *out);

/** conf_listener_kind_name - "mx", "imaps", ... */
const char *conf_listener_kind_name(enum conf_listener_kind kind);
/** conf_tls_mode_name - "none", "starttls", "implicit". */
const char *conf_tls_mode_name(enum conf_tls_mode mode);
/** conf_tickets_name - "usual", "yes", "no". */
const char *conf_tickets_name(enum conf_tickets tickets);

#endif
