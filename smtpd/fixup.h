/* smtpd/fixup.h - what submission mends in a header while it passes (RFC 6409 §8, RFC 5321 §6.4):
 * Date and Message-ID are added when they are missing, of bulk senders also List-Unsubscribe, of old devices From; Bcc and a client's Return-Path are taken
 * out. Nothing else is touched, and nothing is kept but the beginning of a field's name: a header
 * of any size passes in constant memory.
 *
 * Lines end in CRLF here: the DATA scanner has seen to it. Pure: no I/O; one object, one thread at
 * a time. */
#ifndef SMTPD_FIXUP_H
#define SMTPD_FIXUP_H

#include "common/bytes.h"
#include "common/lines.h"

#define FIXUP_NAME_MAX 24       /* longer than any name that we look for */

struct fixup {
	byte_sink_fn *sink;
	void *ctx;
	struct sv date, message_id;     /* whole header lines to add when missing; borrowed */
	struct sv unsubscribe, from;    /* likewise (RFC 8058; for devices); may be empty */
	bool has_date, has_message_id, has_unsubscribe, has_from;
	unsigned state;                 /* private from here */
	char name[FIXUP_NAME_MAX];
	size_t name_len;
	bool is_dropping;               /* this field is taken out */
};

/** fixup_init - date, message_id: "Date: ...\r\n"; must live as long as *f. */
void fixup_init(struct fixup *f, struct sv date, struct sv message_id, byte_sink_fn *sink,
		void *ctx);
/** fixup_feed - the next octets, in any cut. False: the sink said so. */
bool fixup_feed(struct fixup *f, struct sv octets);
/** fixup_finish - the message has ended; one without an empty line gets its missing fields now. */
bool fixup_finish(struct fixup *f);

#endif
