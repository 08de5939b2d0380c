#include "admin/sts_evidence.h"

#include <stdio.h>

#include "common/daybook.h"
#include "common/json.h"

#include "common/banned.h"

#define FOLDER "reports"        /* in the queue's: smtpd/feedback.h */
#define LOOK_BACK_DAYS 60

/* A report counts for the time that it tells of, and is "long ago" by its first moment. */
static void take_line(struct sv line, const char *domain, int64_t since_s, struct sts_evidence *out)
{
	struct json *report = NULL;
	struct sv kind, name;
	uint64_t begin_s = 0, end_s = 0, passed = 0, failed = 0;

	if (json_parse(line, &report).kind)
		return;
	if (json_get_sv(report, "kind", &kind) && sv_eq(kind, SV("tls")) && json_get_sv(report, "domain", &name) && sv_eq_nocase(name, sv_z(domain)) &&
	    json_get_u64(report, "begin", &begin_s) && json_get_u64(report, "end", &end_s) && begin_s) {
		out->is_long |= begin_s <= (uint64_t)since_s;
		if (end_s >= (uint64_t)since_s) {
			(void)json_get_u64(report, "passed", &passed);
			(void)json_get_u64(report, "failed", &failed);
			out->reports++;
			out->passed += passed;
			out->failed += failed;
		}
	}
	json_free(&report);
}

struct fault sts_evidence_read(const struct instance *instance, const char *domain, int64_t now_s, struct sts_evidence *out)
{
	int64_t since_s = now_s - (int64_t)STS_EVIDENCE_DAYS * DAYBOOK_DAY_S, day_s = daybook_day(now_s - (int64_t)LOOK_BACK_DAYS * DAYBOOK_DAY_S);
	char folder[4096];
	struct fault f = FAULT_OK;
	struct buf text;

	*out = (struct sts_evidence){ .reports = 0 };
	buf_init(&text, DAYBOOK_DAY_MAX);
	snprintf(folder, sizeof(folder), "%s/" FOLDER, instance_path(instance, INSTANCE_QUEUE));
	for (; !f.kind && daybook_first(folder, day_s, now_s, &day_s); day_s += DAYBOOK_DAY_S) {
		struct sv rest, line;

		buf_clear(&text);
		f = daybook_read(folder, day_s, &text);
		rest = buf_sv(&text);
		while (!f.kind && sv_split(&rest, '\n', &line))
			if (line.len)
				take_line(line, domain, since_s, out);
	}
	buf_done(&text);
	return f;
}

bool sts_evidence_suffices(const struct sts_evidence *e)
{
	return e->is_long && e->reports && e->passed && !e->failed;
}
