/* smtpd/relay/queue_filter.h - which messages somebody means who asks about the queue: the filters of `postroom queue`, as its requests have
 * them: "user" (who was logged in), "from" and "to" (an address, @domain, or <> for none), "domain" (where it goes), "older" (seconds),
 * "reason" (part of it), "state". Each that is given has to fit. Any thread. */
#ifndef SMTPD_RELAY_QUEUE_FILTER_H
#define SMTPD_RELAY_QUEUE_FILTER_H

#include "common/json.h"
#include "smtpd/envelope.h"

struct queue_filter {
	char *from, *to, *user, *domain, *reason, *state;       /* NULL: whatever it is */
	uint64_t older_s;               /* 0: of any age */
};

/* What is looked at; borrowed. */
struct queue_facts {
	const struct envelope *envelope;
	struct sv destinations, reason, state;
	int64_t age_s;
};

/** queue_filter_text - a text of a request, copied; NULL: it is not there, or empty. */
char *queue_filter_text(const struct json *request, const char *name);
void queue_filter_read(const struct json *request, struct queue_filter *out);
void queue_filter_done(struct queue_filter *f);
bool queue_filter_fits(const struct queue_filter *f, const struct queue_facts *facts);

#endif
