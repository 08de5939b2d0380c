#include "common/record.h"

#include "common/crc32c.h"

#include "common/banned.h"

#define HEAD_LEN 5      /* version, length */
#define FIELD_HEAD_LEN 5
#define CRC_LEN 4

static void write_u32(char *p, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(n >> (24 - 8 * i));
}

static uint32_t read_u32(const char *p)
{
	uint32_t n = 0;

	for (int i = 0; i < 4; i++)
		n = n << 8 | (unsigned char)p[i];
	return n;
}

void record_begin(struct record_out *r, uint8_t version)
{
	char head[HEAD_LEN] = { (char)version };

	r->is_over = false;
	buf_init(&r->octets, RECORD_MAX);
	buf_append(&r->octets, sv_from(head, sizeof(head)));
}

void record_put(struct record_out *r, uint8_t tag, struct sv field)
{
	char head[FIELD_HEAD_LEN] = { (char)tag };

	if (r->is_over || field.len > RECORD_MAX || !buf_reserve(&r->octets, FIELD_HEAD_LEN + field.len)) {
		r->is_over = true;
		return;
	}
	write_u32(head + 1, (uint32_t)field.len);
	buf_append(&r->octets, sv_from(head, sizeof(head)));
	buf_append(&r->octets, field);
}

void record_put_u64(struct record_out *r, uint8_t tag, uint64_t n)
{
	char octets[8];

	write_u32(octets, (uint32_t)(n >> 32));
	write_u32(octets + 4, (uint32_t)n);
	record_put(r, tag, sv_from(octets, sizeof(octets)));
}

struct fault record_end(struct record_out *r, struct sv *out)
{
	char crc[CRC_LEN];

	if (r->is_over || !buf_reserve(&r->octets, CRC_LEN))
		return fault(FAULT_LIMIT, "record too long");
	write_u32(r->octets.p + 1, (uint32_t)(r->octets.len - HEAD_LEN));
	write_u32(crc, crc32c(buf_sv(&r->octets)));
	buf_append(&r->octets, sv_from(crc, sizeof(crc)));
	*out = buf_sv(&r->octets);
	return FAULT_OK;
}

void record_done(struct record_out *r)
{
	buf_wipe(&r->octets);
}

struct fault record_open(struct sv value, uint8_t newest, struct record_in *r)
{
	if (value.len < HEAD_LEN + CRC_LEN)
		return fault(FAULT_CORRUPT, "record: too short");
	struct sv covered = sv_sub(value, 0, value.len - CRC_LEN);

	if (read_u32(value.p + covered.len) != crc32c(covered))
		return fault(FAULT_CORRUPT, "record: wrong checksum");
	if ((unsigned char)value.p[0] > newest)
		return fault(FAULT_UNSUPPORTED, "record: written by a newer program");
	if (read_u32(value.p + 1) != covered.len - HEAD_LEN)
		return fault(FAULT_CORRUPT, "record: wrong length");
	r->version = (uint8_t)value.p[0];
	r->rest = sv_sub(covered, HEAD_LEN, covered.len);
	r->is_bad = false;
	return FAULT_OK;
}

bool record_next(struct record_in *r, uint8_t *tag, struct sv *field)
{
	if (r->is_bad || r->rest.len == 0)
		return false;
	if (r->rest.len < FIELD_HEAD_LEN || read_u32(r->rest.p + 1) > r->rest.len - FIELD_HEAD_LEN) {
		r->is_bad = true;
		return false;
	}
	*tag = (uint8_t)r->rest.p[0];
	*field = sv_sub(r->rest, FIELD_HEAD_LEN, read_u32(r->rest.p + 1));
	sv_skip(&r->rest, FIELD_HEAD_LEN + field->len);
	return true;
}

bool record_u64(struct sv field, uint64_t *out)
{
	if (field.len != 8)
		return false;
	*out = (uint64_t)read_u32(field.p) << 32 | read_u32(field.p + 4);
	return true;
}
