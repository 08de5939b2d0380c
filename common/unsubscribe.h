/* common/unsubscribe.h - which senders of ours write to many, and the link by which somebody whom they wrote to wants no more of it:
 * List-Unsubscribe with one click (RFC 2369 §3.2, RFC 8058). The link holds who wrote to whom, under the instance's secret: smtpd puts it
 * into mail, webd takes it back, and a complaint that quotes it is about mail that was ours. Pure, any thread. */
#ifndef COMMON_UNSUBSCRIBE_H
#define COMMON_UNSUBSCRIBE_H

#include "common/bytes.h"

struct conf;
struct directory;

#define UNSUBSCRIBE_PATH "/unsubscribe/"
#define UNSUBSCRIBE_TOKEN_MAX 1400      /* octets: two addresses */

enum unsubscribe_mode { UNSUBSCRIBE_OFF = 0, UNSUBSCRIBE_CHECK, UNSUBSCRIBE_ADD };

/** unsubscribe_parse - a word of `bulk-senders`: "news@example.org=add", "@example.org=check". */
bool unsubscribe_parse(struct sv word, struct sv *who, enum unsubscribe_mode *mode);
/** unsubscribe_mode - of an account; its address counts for more than its domain. */
enum unsubscribe_mode unsubscribe_mode(const struct conf *conf, struct sv account);

/** unsubscribe_write - append both header fields of a message to one address. False: out's max, or an address too long for a line. */
bool unsubscribe_write(const struct conf *conf, const struct directory *dir, struct sv account, struct sv recipient, struct buf *out);
/** unsubscribe_read - who wrote to whom, of a link's last part; appended. False: it is none of ours. */
bool unsubscribe_read(const struct directory *dir, struct sv token, struct buf *account, struct buf *recipient);
/** unsubscribe_find - the token in a List-Unsubscribe field's value; empty: there is none. */
struct sv unsubscribe_find(struct sv value);

#endif
