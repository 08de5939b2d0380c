/* smtpd/feedback.h - reports that others send us about our domains: DMARC aggregate reports (RFC 9990, and those of RFC 7489), TLS
 * reports (RFC 8460) and complaints (smtpd/complaint.h), taken out of messages to `report-addresses` and kept as lines for `postroom reports`.
 *
 *   ROOT/queue/reports/2026-11-21   a line of JSON for each report that came on that day (common/daybook.h)
 *
 * Reports are written by strangers: sizes, counts and texts are bounded before they are believed, and a line says whether the
 * mail was proven to be its author's. Everything blocks: jobs only. */
#ifndef SMTPD_FEEDBACK_H
#define SMTPD_FEEDBACK_H

#include "common/bytes.h"
#include "common/fault.h"
#include "smtpd/complaint.h"

#define FEEDBACK_FOLDER "reports"
#define FEEDBACK_MAIL_MAX (4u << 20)            /* octets of a message that is looked at */
#define FEEDBACK_DOCUMENT_MAX (16u << 20)       /* of a report, unpacked; of all reports in a message together, too */
#define FEEDBACK_VALUES_MAX 100000              /* of a report in JSON, counted by what stands between them */
#define FEEDBACK_ROWS_MAX 100                   /* failures that are kept of one report */
#define FEEDBACK_PARTS_MAX 20                   /* parts of a message that are looked at */

/* Of the mail that brought it. */
struct feedback_mail {
	int64_t at_s;
	struct sv sender;       /* its author's domain; empty: unknown */
	bool is_proven;         /* DMARC passed for that domain */
};

/**
 * feedback_parse - one report, packed (gzip, ZIP) or not, as a line.
 * @line: appended, at most DAYBOOK_LINE_MAX octets, without a line end
 * FAULT_INVALID: it is no report; FAULT_LIMIT: it is larger than we read. Pure.
 */
MUST_CHECK struct fault feedback_parse(struct sv octets, const struct feedback_mail *mail, struct buf *line);
/** feedback_take - all reports in a message, as lines with their ends. Returns how many. Pure. @complaint: its `type` is set when the
 * message was one. */
size_t feedback_take(struct sv message, const struct feedback_mail *mail, struct buf *lines, struct complaint *complaint);
/** feedback_keep - the reports of the message that a descriptor holds go into the folder's book. Faults are logged. */
void feedback_keep(int fd, uint64_t size, const struct feedback_mail *mail, const char *folder,
		   struct complaint *complaint);

#endif
