/* smtpd/tlsreport.h - TLS reports (RFC 8460): what became of TLS with other domains is counted, and those that ask for it
 * (_smtp._tls TXT) are told once a day, by mail through the queue or by HTTPS.
 *
 *   ROOT/queue/tlsrpt/2026-11-21    a line for each connection of that day (UTC); reported after it ended, then removed
 *
 * A line costs no flush: a crash may take the last seconds of counts. Loop thread, but for the pure part below. */
#ifndef SMTPD_TLSREPORT_H
#define SMTPD_TLSREPORT_H

#include "common/directory.h"
#include "common/dns.h"
#include "common/netaddr.h"
#include "smtpd/queue.h"
#include "smtpd/tlspolicy.h"

struct tlsreport;

struct tlsreport_settings {
	struct dns *dns;
	struct queue *queue;
	struct directory *directory;    /* whose default domain reports */
	const char *hostname;           /* ours */
	const char *folder;             /* made when missing */
	const char *control;            /* smtpd's control socket, for HTTPS (smtpd/fetch.h) */
};

/** tlsreport_new - everything is borrowed, the texts are copied. */
struct tlsreport *tlsreport_new(struct loop *loop, const struct tlsreport_settings *settings);
/** tlsreport_free - what was counted is written first, if a thread can do it. NULL is fine. */
void tlsreport_free(struct tlsreport **r);

/**
 * tlsreport_count - a connection that got as far as TLS, or was not made because of it.
 * @policy: what was asked of it
 * @at:     the other server; NULL: there was no connection
 * @result: NULL: TLS is up; else "starttls-not-supported" and so on (RFC 8460 §4.3)
 * @reason: in words; may be NULL
 */
void tlsreport_count(struct tlsreport *r, const struct tlspolicy_answer *policy, const struct netaddr *at, const char *result,
		     const char *reason);
/** tlsreport_result - the result type of a failure that tls_error() or an SMTP answer put into words. */
const char *tlsreport_result(const struct tlspolicy_answer *policy, struct sv reason);

/* ---- pure: any thread ---- */

#define TLSREPORT_DOMAINS_MAX 20000
#define TLSREPORT_POLICIES_MAX 10       /* of one domain and day */
#define TLSREPORT_DETAILS_MAX 50        /* kinds of failure of one policy; more are counted, not described */
#define TLSREPORT_JSON_MAX (1u << 20)
#define TLSREPORT_URIS_MAX 4            /* places that one domain wants reports at */

struct tlsreport_day;
struct tlsreport_day *tlsreport_day_new(void);
void tlsreport_day_free(struct tlsreport_day **d);
/** tlsreport_day_add - one line of the file; what is none is nothing. */
void tlsreport_day_add(struct tlsreport_day *d, struct sv line);
size_t tlsreport_day_count(const struct tlsreport_day *d);
const char *tlsreport_day_domain(const struct tlsreport_day *d, size_t i);

/* Who reports about which day. */
struct tlsreport_facts {
	const char *organisation;       /* our domain */
	const char *contact;            /* postmaster@... */
	const char *id;                 /* of the report */
	int64_t day_s;                  /* Unix time at which the day began */
};
/** tlsreport_day_json - the report for domain i (RFC 8460 §4.4). False: out's max. */
MUST_CHECK bool tlsreport_day_json(const struct tlsreport_day *d, size_t i, const struct tlsreport_facts *facts, struct buf *out);
/** tlsreport_record_parse - "v=TLSRPTv1; rua=mailto:a@b,https://c/": the URIs, views of text. Returns how many. */
size_t tlsreport_record_parse(struct sv text, struct sv uris[TLSREPORT_URIS_MAX]);

#endif
