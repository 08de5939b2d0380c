/* common/crc32c.h - CRC-32C (Castagnoli, RFC 3720 §12.1): finds damaged records on disk. It
 * protects against accidents, not against people. Plain functions, any thread. */
#ifndef COMMON_CRC32C_H
#define COMMON_CRC32C_H

#include "common/bytes.h"

/** crc32c - the checksum of s. */
uint32_t crc32c(struct sv s);
/** crc32c_more - go on with what an earlier call returned; 0 begins. crc32c_more(crc32c(a), b) is
 * crc32c(ab). */
uint32_t crc32c_more(uint32_t crc, struct sv s);
/** crc32c_by_table - as crc32c_more, without the processor's help: for tests. */
uint32_t crc32c_by_table(uint32_t crc, struct sv s);

#endif
