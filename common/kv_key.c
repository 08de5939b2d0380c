#include "common/kv.h"

#include "common/banned.h"

void kv_key_sv(struct kv_key *k, struct sv s)
{
	if (k->is_over || s.len > KV_KEY_MAX - k->len) {
		k->is_over = true;
		k->len = sizeof(k->octets);     /* one more than a key may have */
		memset(k->octets, 0, sizeof(k->octets));
		return;
	}
	if (s.len)
		memcpy(k->octets + k->len, s.p, s.len);
	k->len += s.len;
}

static void key_number(struct kv_key *k, uint64_t n, size_t octets)
{
	char b[8];

	for (size_t i = 0; i < octets; i++)
		b[i] = (char)(n >> (8 * (octets - 1 - i)));
	kv_key_sv(k, (struct sv){ b, octets });
}

void kv_key_u8(struct kv_key *k, uint8_t n)
{
	key_number(k, n, 1);
}

void kv_key_u32(struct kv_key *k, uint32_t n)
{
	key_number(k, n, 4);
}

void kv_key_u64(struct kv_key *k, uint64_t n)
{
	key_number(k, n, 8);
}

struct sv kv_key_view(const struct kv_key *k)
{
	return (struct sv){ (const char *)k->octets, k->len };
}

static bool take_number(struct sv *s, size_t octets, uint64_t *out)
{
	uint64_t n = 0;

	if (s->len < octets)
		return false;
	for (size_t i = 0; i < octets; i++)
		n = n << 8 | (unsigned char)s->p[i];
	sv_skip(s, octets);
	*out = n;
	return true;
}

bool kv_take_u8(struct sv *s, uint8_t *out)
{
	uint64_t n;

	if (!take_number(s, 1, &n))
		return false;
	*out = (uint8_t)n;
	return true;
}

bool kv_take_u32(struct sv *s, uint32_t *out)
{
	uint64_t n;

	if (!take_number(s, 4, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

bool kv_take_u64(struct sv *s, uint64_t *out)
{
	return take_number(s, 8, out);
}
