/* smtpd/dmarcreport.h - DMARC aggregate reports (RFC 9990): each message of a stranger whose author's domain asks for reports is
 * noted, and the domain is told once a day from which addresses mail in its name came, and what became of it.
 *
 *   ROOT/queue/dmarc/2026-11-21     a line for each message of that day (common/daybook.h), told by smtpd/reporter.h
 *
 * Workers note, the relay tells. */
#ifndef SMTPD_DMARCREPORT_H
#define SMTPD_DMARCREPORT_H

#include "common/conf.h"
#include "common/netaddr.h"
#include "smtpd/author.h"
#include "smtpd/origin.h"
#include "smtpd/reporter.h"

#define DMARCREPORT_FOLDER "dmarc"

extern const struct report_kind dmarcreport_kind;

/* What is noted of a message. */
struct dmarcreport_message {
	const struct author_facts *author;
	const struct origin_facts *origin;
	const struct netaddr *peer;
	enum conf_action action;        /* what the check "dmarc" led to; CONF_OFF: it found nothing */
	const char *refused_by;         /* another check that refused it for good; NULL: none */
};
/** dmarcreport_line - the line of the daybook. False: nobody wants to know, or the line is too long. Any thread. */
MUST_CHECK bool dmarcreport_line(const struct dmarcreport_message *message, struct buf *out);

/* ---- pure: any thread ---- */

#define DMARCREPORT_DOMAINS_MAX 20000
#define DMARCREPORT_ROWS_MAX 5000       /* of one domain and day: more different ones are left out, and the report says so */
#define DMARCREPORT_XML_MAX (8u << 20)

struct dmarcreport_day;
struct dmarcreport_day *dmarcreport_day_new(void);
void dmarcreport_day_free(struct dmarcreport_day **d);
/** dmarcreport_day_add - one line; what is none is nothing. */
void dmarcreport_day_add(struct dmarcreport_day *d, struct sv line);
size_t dmarcreport_day_count(const struct dmarcreport_day *d);
const char *dmarcreport_day_domain(const struct dmarcreport_day *d, size_t i);
/** dmarcreport_day_xml - the report for domain i (RFC 9990 §3.1.1). False: out's max. */
MUST_CHECK bool dmarcreport_day_xml(const struct dmarcreport_day *d, size_t i, const struct report_facts *facts, struct buf *out);
/** dmarcreport_record_parse - "v=DMARC1; p=none; rua=mailto:a@b": the places. Returns how many. */
size_t dmarcreport_record_parse(struct sv text, struct sv uris[REPORT_URIS_MAX]);

#endif
