/* common/send_factor.h - who may send more than others: the option `send-factors`. Any thread. */
#ifndef COMMON_SEND_FACTOR_H
#define COMMON_SEND_FACTOR_H

#include "common/bytes.h"
#include "common/conf.h"

/** send_factor_parse - "news@example.org=20", "@example.org=3". */
bool send_factor_parse(const char *item, struct sv *who, uint32_t *factor);
/** send_factor - for how many usual accounts this one (its address) counts. */
uint64_t send_factor(const struct conf *conf, struct sv account);

#endif
