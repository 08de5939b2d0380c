#include "smtpd/relay/queue_filter.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

char *queue_filter_text(const struct json *request, const char *name)
{
	struct sv value;

	return json_get_sv(request, name, &value) && value.len ? sv_copy_z(value) : NULL;
}

void queue_filter_read(const struct json *request, struct queue_filter *out)
{
	*out = (struct queue_filter){
		.from = queue_filter_text(request, "from"),
		.to = queue_filter_text(request, "to"),
		.user = queue_filter_text(request, "user"),
		.domain = queue_filter_text(request, "domain"),
		.reason = queue_filter_text(request, "reason"),
		.state = queue_filter_text(request, "state"),
	};
	(void)json_get_u64(request, "older", &out->older_s);
}

void queue_filter_done(struct queue_filter *f)
{
	free(f->from);
	free(f->to);
	free(f->user);
	free(f->domain);
	free(f->reason);
	free(f->state);
	*f = (struct queue_filter){ .from = NULL };
}

static bool has_text(struct sv text, const char *wanted)
{
	struct sv w = sv_z(wanted);

	for (size_t i = 0; i + w.len <= text.len; i++)
		if (sv_starts_nocase(sv_sub(text, i, SIZE_MAX), w))
			return true;
	return !w.len;
}

/* is_address - the filter "alice@example.org", "@example.org" or "<>". */
static bool is_address(struct sv address, const char *filter)
{
	if (!strcmp(filter, "<>"))
		return !address.len;
	if (*filter == '@')
		return sv_ends(address, sv_z(filter));
	return sv_eq_nocase(address, sv_z(filter));
}

static bool has_recipient(const struct envelope *e, const char *filter)
{
	for (const struct envelope_rcpt *r = e->rcpts; r; r = r->next)
		if (is_address(r->address, filter))
			return true;
	return false;
}

bool queue_filter_fits(const struct queue_filter *f, const struct queue_facts *facts)
{
	const struct envelope *e = facts->envelope;

	return (!f->to || has_recipient(e, f->to)) && (!f->user || is_address(e->facts[ENVELOPE_USER], f->user)) &&
	       (!f->from || is_address(e->sender, f->from)) && (!f->domain || has_text(facts->destinations, f->domain)) &&
	       (!f->reason || has_text(facts->reason, f->reason)) && (!f->state || sv_eq(sv_z(f->state), facts->state)) &&
	       (!f->older_s || facts->age_s >= (int64_t)f->older_s);
}
