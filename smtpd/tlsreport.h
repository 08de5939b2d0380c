/* smtpd/tlsreport.h - TLS reports (RFC 8460): what became of TLS with other domains is counted, and those that ask for it
 * (_smtp._tls TXT) are told once a day, by mail through the queue or by HTTPS.
 *
 *   ROOT/queue/tlsrpt/2026-11-21    a line for each connection of that day (common/daybook.h), told by smtpd/reporter.h
 *
 * Loop thread, but for the pure part below. */
#ifndef SMTPD_TLSREPORT_H
#define SMTPD_TLSREPORT_H

#include "common/netaddr.h"
#include "smtpd/reporter.h"
#include "smtpd/tlspolicy.h"

struct tlsreport;

/** tlsreport_new - everything is borrowed, the texts are copied. */
struct tlsreport *tlsreport_new(struct loop *loop, const struct reporter_settings *settings);
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

struct tlsreport_day;
struct tlsreport_day *tlsreport_day_new(void);
void tlsreport_day_free(struct tlsreport_day **d);
/** tlsreport_day_add - one line of the file; what is none is nothing. */
void tlsreport_day_add(struct tlsreport_day *d, struct sv line);
size_t tlsreport_day_count(const struct tlsreport_day *d);
const char *tlsreport_day_domain(const struct tlsreport_day *d, size_t i);

/** tlsreport_day_json - the report for domain i (RFC 8460 §4.4). False: out's max. */
MUST_CHECK bool tlsreport_day_json(const struct tlsreport_day *d, size_t i, const struct report_facts *facts, struct buf *out);
/** tlsreport_record_parse - "v=TLSRPTv1; rua=mailto:a@b,https://c/": the URIs, views of text. Returns how many. */
size_t tlsreport_record_parse(struct sv text, struct sv uris[REPORT_URIS_MAX]);

#endif
