/* smtpd/reporter.h - what was noted in a daybook is told once a day to the domains that ask for it, by mail through the queue
 * or by HTTPS: TLS reports (RFC 8460) and DMARC aggregate reports (RFC 9990) are two kinds of it.
 *
 * Some time after midnight (UTC; each server at its own time) the day's lines are read and counted together; each domain's
 * record is asked for, its report written, packed and sent; then the day is dropped. A crash in between sends some reports
 * twice, under the same names. Loop thread; files, and mail into the queue, are jobs. */
#ifndef SMTPD_REPORTER_H
#define SMTPD_REPORTER_H

#include "common/directory.h"
#include "common/dns.h"
#include "smtpd/queue.h"

#define REPORT_URIS_MAX 4               /* places that one domain wants reports at */
#define REPORT_URI_MAX 1000

struct reporter;
struct report_invitation;

/* Who reports about which day. */
struct report_facts {
	const char *organisation;       /* our domain */
	const char *contact;            /* postmaster@... */
	const char *id;                 /* of the report */
	int64_t day_s;                  /* Unix time at which the day began */
	const char *hostname;           /* ours */
};

typedef void report_invited_fn(void *arg, struct sv uri);

/* A kind of report. Functions of a day are pure and called from any thread. */
struct report_kind {
	const char *name;               /* of log lines */
	const char *record;             /* "_smtp._tls": what stands before a domain's name */
	const char *type;               /* "application/tlsrpt+gzip" */
	const char *mail_type;          /* of the mail, up to its boundary */
	const char *extension;          /* of the file: "json.gz" */
	size_t octets_max;              /* of a report before it is packed */
	void *(*day_new)(void);
	void (*day_free)(void **day);   /* NULL is fine */
	void (*day_add)(void *day, struct sv line);     /* what is none is nothing */
	size_t (*day_count)(const void *day);           /* domains */
	const char *(*day_domain)(const void *day, size_t i);
	bool (*write)(const void *day, size_t i, const struct report_facts *facts, struct buf *out);
	/* header lines of its own, which may be none, and the sentence for people */
	bool (*write_fields)(const struct report_facts *facts, const char *domain, struct buf *out);
	bool (*write_sentence)(const struct report_facts *facts, const char *domain, const char *day, struct buf *out);
	/* a domain's record: where it wants reports, as views of text. Returns how many. */
	size_t (*uris)(struct sv text, struct sv uris[REPORT_URIS_MAX]);
	/* may it go there? fn is called once, in a later turn, with the place, or with nothing; NULL: it may */
	struct report_invitation *(*invite)(struct loop *loop, struct dns *dns, struct sv domain, struct sv uri,
					    report_invited_fn *fn, void *arg);
	void (*invite_forget)(struct report_invitation **invitation);   /* at any time; NULL is fine */
};

struct reporter_settings {
	struct dns *dns;
	struct queue *queue;
	struct directory *directory;    /* whose default domain reports */
	const char *hostname;           /* ours */
	const char *folder;             /* of the daybook */
	const char *control;            /* smtpd's control socket, for HTTPS (smtpd/fetch.h) */
};

/** reporter_new - everything is borrowed, the texts are copied. */
struct reporter *reporter_new(struct loop *loop, const struct report_kind *kind, const struct reporter_settings *settings);
/** reporter_free - NULL is fine. */
void reporter_free(struct reporter **r);

/** report_uri_address - "mailto:reports@example.org!10m": the address; what stands behind "?" or "!" is for others. Empty: it is
 *  no mailto. */
struct sv report_uri_address(struct sv uri);
/** report_uris - the mailto and https places of a tag's value, as many as there is room for. Returns how many. */
size_t report_uris(struct sv value, bool with_https, struct sv uris[REPORT_URIS_MAX]);

#endif
