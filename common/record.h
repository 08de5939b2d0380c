/* common/record.h - values that lie on disk: a version, a length, tagged fields, a checksum.
 *
 *   version u8, length of the fields u32, { tag u8, length u32, octets }*, CRC-32C of all before u32; big-endian
 *
 * A reader that meets a tag it does not know skips it, so fields may be added within a version; a newer version is
 * refused. Nothing in a value is believed before the checksum is right, and no length is believed even then.
 * Pure: no I/O, any thread. */
#ifndef COMMON_RECORD_H
#define COMMON_RECORD_H

#include "common/bytes.h"
#include "common/fault.h"

#define RECORD_MAX (1u << 20)

struct record_out {
	struct buf octets;
	bool is_over;           /* a field did not fit RECORD_MAX */
};

void record_begin(struct record_out *r, uint8_t version);
void record_put(struct record_out *r, uint8_t tag, struct sv field);
/** record_put_u64 - 8 octets, big-endian. */
void record_put_u64(struct record_out *r, uint8_t tag, uint64_t n);
/** record_end - add length and checksum; the view is borrowed until record_done(). FAULT_LIMIT beyond RECORD_MAX. */
MUST_CHECK struct fault record_end(struct record_out *r, struct sv *out);
/** record_done - release, after overwriting: records may hold secrets. */
void record_done(struct record_out *r);

struct record_in {
	uint8_t version;
	struct sv rest;
	bool is_bad;            /* a field was longer than what is left */
};

/** record_open - check a value. FAULT_CORRUPT (checksum, lengths); FAULT_UNSUPPORTED: its version is above `newest`. */
MUST_CHECK struct fault record_open(struct sv value, uint8_t newest, struct record_in *r);
/** record_next - the next field; false at the end, and when is_bad. The view points into the value. */
bool record_next(struct record_in *r, uint8_t *tag, struct sv *field);
/** record_u64 - read a field that record_put_u64() wrote; false when it has another length. */
bool record_u64(struct sv field, uint64_t *out);

#endif
