/* common/outbook_private.h - what the sources of the outbook share: outbook.c opens and tidies it, outbook_suppressed.c, outbook_asked.c,
 * outbook_rule.c and outbook_sent.c have its tables. */
#ifndef COMMON_OUTBOOK_PRIVATE_H
#define COMMON_OUTBOOK_PRIVATE_H

#include "common/kv.h"
#include "common/outbook.h"

enum { TABLE_ADDRESSES, TABLE_RULES, TABLE_SENT, TABLE_KNOWN, TABLE_ASKED, TABLE_REFUSALS, TABLES };

#define DAY_S 86400

struct outbook {
	struct kv_env *env;
	uint64_t asked_max;
};

/** outbook_key - the octet `before`, unless it is 0, then the address in lower case. */
void outbook_key(struct kv_key *key, unsigned before, struct sv address);
/** outbook_key_more - a further address in lower case behind what is there. */
void outbook_key_more(struct kv_key *key, struct sv address);
/** outbook_remove - a row. FAULT_NOT_FOUND. */
MUST_CHECK struct fault outbook_remove(struct outbook *b, unsigned table, const struct kv_key *key);

/* May a row be forgotten? Also one that cannot be read. */
typedef bool outbook_old_fn(struct sv key, struct sv value, int64_t now_s);
outbook_old_fn outbook_address_is_old, outbook_asked_is_old, outbook_known_is_old;

#endif
