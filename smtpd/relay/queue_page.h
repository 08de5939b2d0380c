/* smtpd/relay/queue_page.h - a long queue is told page by page, in the order of ids. What comes while somebody asks has a higher id than the last
 * one there was when he began, so that he comes to an end. Loop thread. */
#ifndef SMTPD_RELAY_QUEUE_PAGE_H
#define SMTPD_RELAY_QUEUE_PAGE_H

#include "smtpd/relay/schedule.h"

struct queue_page {
	const struct message **found;   /* in their order; queue_page_done() */
	size_t count;
	bool has_more;
	const char *last;               /* the highest id of all that are meant; NULL: there is none */
};

/**
 * queue_page_take - the first ones.
 * @after, @until: only those between, the second one included; NULL: from the first, to the last
 * @size: so many at most; at least 1
 */
void queue_page_take(struct schedule *s, const char *after, const char *until, size_t size, struct queue_page *out);
void queue_page_done(struct queue_page *p);

#endif
