/* smtpd/relay/answer.h - what another server answers, read octet by octet and bounded (RFC 5321
 * §4.2): at most ANSWER_LINES_MAX lines of ANSWER_LINE_MAX octets. Pure, one object, one thread. */
#ifndef SMTPD_RELAY_ANSWER_H
#define SMTPD_RELAY_ANSWER_H

#include "common/bytes.h"
#include "common/lines.h"

#define ANSWER_LINE_MAX 2048
#define ANSWER_LINES_MAX 100
#define ANSWER_TEXT_MAX (16u << 10)     /* octets kept of the text; what is beyond is dropped */
#define ANSWER_STATUS_MAX 12

struct answer {
	unsigned code;                  /* 220 to 599 */
	char status[ANSWER_STATUS_MAX]; /* "5.1.1" (RFC 2034), or "" */
	struct buf text;                /* lines without code, each but the last with a '\n' */
	/* private */
	struct line_reader line;
	unsigned lines;
	bool is_done;
};

void answer_init(struct answer *a);
/** answer_feed - take octets off *in. DONE: the answer is whole, and the next call begins a new
 * one. BAD: this is no answer, or beyond the limits: the connection is of no use any more. */
enum feed answer_feed(struct answer *a, struct sv *in);
void answer_done(struct answer *a);

/** answer_line - the nth line of the text, from 0; empty beyond the last. */
struct sv answer_line(const struct answer *a, size_t n);
static inline bool answer_is_good(const struct answer *a)
{
	return a->code >= 200 && a->code < 300;
}
static inline bool answer_is_final(const struct answer *a)      /* a refusal for good */
{
	return a->code >= 500;
}
/** answer_append - "550 5.1.1 no such user": as one line, for people: unprintable octets become
 * '?'. False when out's max cut it. */
bool answer_append(const struct answer *a, struct buf *out);
/** answer_clean - append text as one line of printable ASCII and well-formed UTF-8. */
bool answer_clean(struct buf *out, struct sv text);

#endif
