/* smtpd/strip.h - what strangers may not tell our people in a header, taken out while the message
 * passes: Authentication-Results that claim to be ours (RFC 8601 §5), and fields that only we
 * write. Everything else stays as it came.
 *
 * A field is held back until it is known whose it is: at most STRIP_HOLD octets, so a header of any
 * size passes in constant memory. What claims our name only behind more than that of comments is
 * taken out, too. Pure; one object, one thread at a time. */
#ifndef SMTPD_STRIP_H
#define SMTPD_STRIP_H

#include "common/bytes.h"
#include "common/lines.h"

#define STRIP_HOLD 1024

struct strip {
	byte_sink_fn *sink;
	void *ctx;
	const char *hostname; /* ours: the authserv-id; NULL: results of ours may stay */
	const struct sv *names; /* of fields that go; borrowed */
	size_t name_count;
	uint32_t taken;       /* fields taken out so far */
	unsigned state;       /* private from here */
	bool is_dropping;
	struct gathered *gathered; /* while a call lasts */
	char held[STRIP_HOLD];
	size_t held_len;
};

void strip_init(struct strip *s, const char *hostname, byte_sink_fn *sink, void *ctx);
/** strip_init_names - instead of these: all fields of some names, each shorter than STRIP_HOLD; borrowed until the end. */
void strip_init_names(struct strip *s, const struct sv *names, size_t count, byte_sink_fn *sink, void *ctx);
/** strip_feed - the next octets, in any cut. False: the sink said so. */
bool strip_feed(struct strip *s, struct sv octets);
/** strip_finish - the message has ended. */
bool strip_finish(struct strip *s);

#endif
