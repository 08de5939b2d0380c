/* An MTA-STS policy and a host: "HOST\n" and the policy. What must hold: what is taken stays within its limits, is made of the
 * text, and reads the same again; the record's parser is total, too. */
#include <stdlib.h>

#include "common/memory.h"
#include "smtpd/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv text = sv_from((const char *)data, size), host = SV_NONE, whole = text;
	struct sts_policy *p = xcalloc(2, sizeof(*p));
	char id[STS_ID_MAX + 1];
	bool good;

	(void)sv_split(&text, '\n', &host);
	good = sts_policy_parse(text, &p[0]);
	if (good && (p->mx_count > STS_MX_MAX || p->max_age_s > STS_AGE_MAX_S || (p->mode != STS_NONE && !p->mx_count)))
		abort();
	if (!good && p->mx_count)
		abort();
	for (size_t i = 0; i < p->mx_count; i++)
		if (p->mx[i].p < text.p || p->mx[i].p + p->mx[i].len > text.p + text.len ||
		    (p->mx[i].p[0] != '*' && !sts_policy_allows(p, p->mx[i])))
			abort();
	(void)sts_policy_allows(p, host);
	if (sts_policy_parse(text, &p[1]) != good || p[0].mx_count != p[1].mx_count)
		abort();
	if (sts_record_parse(whole, id) && (!*id || strlen(id) > STS_ID_MAX))
		abort();
	free(p);
	return 0;
}
