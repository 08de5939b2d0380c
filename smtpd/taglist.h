/* smtpd/taglist.h - "a=1; b=2": the lists of tags that DKIM, ARC, DMARC, MTA-STS and TLS report
 * records are written in (RFC 6376 §3.2). Pure: no I/O, any thread, total on any octets; views are
 * borrowed from the text. */
#ifndef SMTPD_TAGLIST_H
#define SMTPD_TAGLIST_H

#include "common/bytes.h"

#define TAGLIST_MAX 32 /* tags of one list; one with more is malformed */

struct taglist {
	struct {
		struct sv name,
			value; /* white space around them dropped; folding inside a value kept */
	} tags[TAGLIST_MAX];
	size_t count;
};

/** taglist_parse - all tags, in their order. False, and *out is empty: a tag without "=", a name
 * that is none, the same name twice, or too many. A last ";" may be missing. */
MUST_CHECK bool taglist_parse(struct sv text, struct taglist *out);
/** taglist_get - the value of a tag (names differ by case); false when it is not there. */
bool taglist_get(const struct taglist *list, struct sv name, struct sv *value);
/** taglist_is - is it there with just this value? In any case. */
bool taglist_is(const struct taglist *list, struct sv name, struct sv value);
/** taglist_has_word - is the word one of a tag's, which are divided by `divider` ("h=from:to",
 * "t=y:s")? In any case. */
bool taglist_has_word(const struct taglist *list, struct sv name, char divider, struct sv word);
/** taglist_base64 - decode a tag's value, white space inside it being nothing (RFC 6376 §3.2);
 * appends. False when it is not there, no base64, or out's max too small. */
MUST_CHECK bool taglist_base64(const struct taglist *list, struct sv name, struct buf *out);

#endif
