/* admin/dnsrecords.h - the DNS records that a domain of ours needs: made from what the instance is, compared with what the DNS
 * says. `dns` prints them, checks and publishes them; `doctor` compares them. */
#ifndef ADMIN_DNSRECORDS_H
#define ADMIN_DNSRECORDS_H

#include "admin/checks.h"
#include "common/dnsrdata.h"

#define DNSRECORDS_MAX 64
#define DNSRECORDS_TTL_S 3600

enum dnsrecord_level {
	DNSRECORD_MUST,         /* mail does not arrive, or is not believed, without it */
	DNSRECORD_SHOULD,       /* people or other servers miss something */
	DNSRECORD_MAY,          /* good to have, where the zone allows it */
};
/** dnsrecord_level_name - "must", "should", "may". */
const char *dnsrecord_level_name(enum dnsrecord_level level);

struct dnsrecord;
/* What all records of one purpose have in common. */
struct dnsrecord_kind {
	const char *name;               /* "spf" */
	enum dnsrecord_level level;
	const char *why;                /* one line: what it is for */
	const char *meanwhile;          /* what happens while it is missing or wrong */
	/* compares with the DNS; adds exactly one finding. NULL: checks.c looks after it (host.address) */
	void (*compare)(const struct facts *facts, const struct dnsrecord *r, const struct lookup_answer *a, struct findings *fs);
};

struct dnsrecord {
	const struct dnsrecord_kind *kind;
	const char *name;               /* whole, without final dot */
	enum dns_type type;
	struct sv rdata;
	const char *text;               /* as zone files have it */
};

struct dnsrecords {
	struct arena arena;
	struct dnsrecord items[DNSRECORDS_MAX];
	size_t count;
};

/** dnsrecords_make - of one domain. Errors: those of reading the DKIM keys. dnsrecords_done() ends it, also after an error. */
MUST_CHECK struct fault dnsrecords_make(const struct facts *facts, const char *domain, struct dnsrecords *out);
void dnsrecords_done(struct dnsrecords *records);
/** dnsrecords_compare - a finding for each record. */
void dnsrecords_compare(const struct facts *facts, const struct dnsrecords *records, struct findings *fs);

/* Kinds that the table in dnsrecords.c names (dnsrecords_compare.c). */
typedef void dnsrecord_compare_fn(const struct facts *facts, const struct dnsrecord *r, const struct lookup_answer *a,
				  struct findings *fs);
dnsrecord_compare_fn dnsrecord_compare_mx, dnsrecord_compare_spf, dnsrecord_compare_dkim, dnsrecord_compare_tagged,
	dnsrecord_compare_srv, dnsrecord_compare_tlsa, dnsrecord_compare_caa, dnsrecord_compare_host, dnsrecord_compare_sts;

#endif
