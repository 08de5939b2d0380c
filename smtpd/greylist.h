/* smtpd/greylist.h - who has knocked before: suspects are told to come again once, and remembered
 * when they do.
 *
 * A key is a network (/24 or /64), the sender's domain and the recipient, hashed with the
 * instance's secret, so the file names nobody. First seen is written down; from `wait` on it is let
 * in, and remembered for GREYLIST_KEEP_S after its last mail; who does not come back is forgotten
 * after GREYLIST_FORGET_S. Durable, at most GREYLIST_MAX keys: when it is full nobody new is put
 * off. A clock that jumps back lets in. Everything blocks: jobs only; any thread. */
#ifndef SMTPD_GREYLIST_H
#define SMTPD_GREYLIST_H

#include "common/directory.h"
#include "common/netaddr.h"

#define GREYLIST_MAX 500000
#define GREYLIST_KEEP_S (36 * 86400)
#define GREYLIST_FORGET_S (2 * 86400)
#define GREYLIST_KEY_LEN 16

struct greylist;

/** greylist_open - folder is made when it is missing. */
MUST_CHECK struct fault greylist_open(const char *folder, struct greylist **out);
void greylist_close(struct greylist **g);

/** greylist_key - of a suspect. */
void greylist_key(const struct directory *dir, const struct netaddr *peer, struct sv sender_domain,
		  struct sv recipient, uint8_t out[GREYLIST_KEY_LEN]);
/** greylist_is_early - must it come again? Looks only. A file that cannot be read puts nobody off.
 */
bool greylist_is_early(struct greylist *g, const uint8_t key[GREYLIST_KEY_LEN], int64_t now_s,
		       uint64_t wait_ms);
/** greylist_note - it has knocked. */
MUST_CHECK struct fault greylist_note(struct greylist *g, const uint8_t key[GREYLIST_KEY_LEN],
				      int64_t now_s, uint64_t wait_ms);
/** greylist_tidy - forget what is old; some thousand keys at a time. */
void greylist_tidy(struct greylist *g, int64_t now_s);

#endif
