/* admin/sts_evidence.h - what other servers have reported about TLS with ours (RFC 8460), in the days that decide whether the MTA-STS policy can go
 * from testing to enforce. Reads files. */
#ifndef ADMIN_STS_EVIDENCE_H
#define ADMIN_STS_EVIDENCE_H

#include "common/fault.h"
#include "common/instance.h"

#define STS_EVIDENCE_DAYS 14

struct sts_evidence {
	uint64_t reports;               /* of these days */
	uint64_t passed, failed;        /* connections in them */
	bool is_long;                   /* the first report is at least as old as these days */
};

/** sts_evidence_read - of one domain. Nothing was reported: all zero. */
MUST_CHECK struct fault sts_evidence_read(const struct instance *instance, const char *domain, int64_t now_s, struct sts_evidence *out);
/** sts_evidence_suffices - nothing failed in two weeks of reports, so `enforce` would have kept no mail away. */
bool sts_evidence_suffices(const struct sts_evidence *e);

#endif
