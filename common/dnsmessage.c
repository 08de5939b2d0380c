#include "common/dnsmessage.h"

#include "common/dnsrdata.h"

#include "common/banned.h"

#define FLAG_REPLY 0x8000
#define FLAG_AUTHORITATIVE 0x0400
#define FLAG_TRUNCATED 0x0200
#define FLAG_WANT_RECURSION 0x0100
#define POINTER 0xc0
#define RECORD_HEAD 10          /* type, class, TTL, length */

const char *dnsmessage_rcode_name(unsigned rcode)
{
	static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
					     "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE" };

	return rcode < ARRAY_LEN(names) ? names[rcode] : "an error";
}

static bool put16(struct buf *out, unsigned n)
{
	return buf_append_c(out, (char)(n >> 8)) && buf_append_c(out, (char)n);
}

static unsigned get16(struct sv s, size_t at)
{
	return (unsigned)(unsigned char)s.p[at] << 8 | (unsigned char)s.p[at + 1];
}

/* ---- writing ---- */

bool dnsmessage_begin(struct buf *out, uint16_t id, enum dnsmessage_opcode opcode, struct sv name, unsigned type)
{
	unsigned flags = (unsigned)opcode << 11 | (opcode == DNSMESSAGE_QUERY ? FLAG_WANT_RECURSION : 0);

	buf_clear(out);
	return put16(out, id) && put16(out, flags) && put16(out, 1) && put16(out, 0) && put16(out, 0) && put16(out, 0) &&
	       dnsrdata_name(out, name) && put16(out, type) && put16(out, DNSMESSAGE_IN);
}

bool dnsmessage_add(struct buf *out, enum dnsmessage_section section, struct sv name, unsigned type,
		    enum dnsmessage_class class, uint32_t ttl_s, struct sv rdata)
{
	size_t before = out->len, counter = 4 + 2 * (size_t)section;

	if (rdata.len > UINT16_MAX || !dnsrdata_name(out, name) || !put16(out, type) || !put16(out, class) ||
	    !put16(out, ttl_s >> 16) || !put16(out, ttl_s & 0xffff) || !put16(out, (unsigned)rdata.len) || !buf_append(out, rdata)) {
		out->len = before;
		return false;
	}
	unsigned count = get16(buf_sv(out), counter) + 1;

	out->p[counter] = (char)(count >> 8);
	out->p[counter + 1] = (char)count;
	return true;
}

/* ---- reading ---- */

/* A name at *at, which moves behind it, uncompressed into wire. A pointer leads to what came before it, and each one
 * further back than the last, so it ends. */
static bool read_name(struct sv whole, size_t *at, char wire[DNS_NAME_MAX], size_t *wire_len)
{
	size_t place = *at, limit = *at, len = 0;
	bool has_jumped = false;

	for (;;) {
		if (place >= whole.len)
			return false;
		size_t n = (unsigned char)whole.p[place];

		if ((n & POINTER) == POINTER) {
			if (place + 1 >= whole.len)
				return false;
			size_t to = (n & 0x3f) << 8 | (unsigned char)whole.p[place + 1];

			if (!has_jumped)
				*at = place + 2;
			if (to >= limit)
				return false;
			has_jumped = true;
			place = limit = to;
			continue;
		}
		if (n > 63 || n >= whole.len - place || len + n + 1 > DNS_NAME_MAX)
			return false;
		memcpy(wire + len, whole.p + place, n + 1);
		len += n + 1;
		place += n + 1;
		if (!n)
			break;
	}
	if (!has_jumped)
		*at = place;
	*wire_len = len;
	return true;
}

static bool read_text_name(struct sv whole, size_t *at, char out[4 * DNS_NAME_MAX + 1])
{
	char wire[DNS_NAME_MAX];
	size_t len;

	if (!read_name(whole, at, wire, &len))
		return false;
	struct sv name = sv_from(wire, len);

	return dns_name_from(&name, out);
}

bool dnsmessage_read(struct dnsmessage_reader *r, struct sv whole)
{
	memset(r, 0, offsetof(struct dnsmessage_reader, octets));
	r->whole = whole;
	if (whole.len < DNSMESSAGE_HEADER || whole.len > DNSMESSAGE_MAX)
		return false;
	r->id = (uint16_t)get16(whole, 0);
	r->flags = (uint16_t)get16(whole, 2);
	r->opcode = r->flags >> 11 & 15;
	r->rcode = r->flags & 15;
	r->is_reply = r->flags & FLAG_REPLY;
	r->is_truncated = r->flags & FLAG_TRUNCATED;
	r->is_authoritative = r->flags & FLAG_AUTHORITATIVE;
	for (size_t i = 0; i < ARRAY_LEN(r->left); i++)
		r->left[i] = (uint16_t)get16(whole, 4 + 2 * i);
	r->at = DNSMESSAGE_HEADER;
	if (r->left[0] != 1 || !read_text_name(whole, &r->at, r->name) || whole.len - r->at < 4)
		return false;
	r->type = get16(whole, r->at);
	r->at += 4;
	r->section = DNSMESSAGE_ANSWER;
	return true;
}

/* Octets of rdata before its first name, and how many names there are: only the types of RFC 1035 may be compressed
 * (RFC 3597 §4), and SRV is by some. */
static bool names_in(unsigned type, size_t *before, size_t *count)
{
	*before = type == DNS_MX ? 2 : type == DNS_SRV ? 6 : 0;
	*count = type == DNS_SOA ? 2 : 1;
	return type == DNS_NS || type == DNS_CNAME || type == DNS_SOA || type == DNS_PTR || type == DNS_MX || type == DNS_SRV;
}

static bool read_rdata(struct dnsmessage_reader *r, unsigned type, size_t len, struct sv *out)
{
	struct sv until = sv_sub(r->whole, 0, r->at + len);
	size_t before, count, used, at = r->at;

	if (!names_in(type, &before, &count)) {
		*out = sv_sub(r->whole, r->at, len);
		return true;
	}
	if (len < before)
		return false;
	memcpy(r->octets, r->whole.p + at, before);
	at += before;
	used = before;
	while (count--) {
		size_t n;

		if (!read_name(until, &at, r->octets + used, &n))
			return false;
		used += n;
	}
	size_t rest = until.len - at;

	if (rest > sizeof(r->octets) - used)
		return false;
	memcpy(r->octets + used, r->whole.p + at, rest);
	*out = sv_from(r->octets, used + rest);
	return true;
}

bool dnsmessage_next(struct dnsmessage_reader *r, struct dnsmessage_record *out)
{
	while (r->section <= DNSMESSAGE_ADDITIONAL && !r->left[r->section])
		r->section++;
	if (r->section > DNSMESSAGE_ADDITIONAL || r->is_damaged)
		return false;
	r->left[r->section]--;
	r->record_at = r->at;
	r->is_damaged = true;
	out->section = r->section;
	if (!read_text_name(r->whole, &r->at, out->name) || r->whole.len - r->at < RECORD_HEAD)
		return false;
	out->type = get16(r->whole, r->at);
	out->class = get16(r->whole, r->at + 2);
	out->ttl_s = get16(r->whole, r->at + 4) << 16 | get16(r->whole, r->at + 6);
	size_t len = get16(r->whole, r->at + 8);

	r->at += RECORD_HEAD;
	if (len > r->whole.len - r->at)
		return false;
	/* An update's record without data deletes (RFC 2136 §2.5); there is nothing to read. */
	out->rdata = SV_NONE;
	if (len && !read_rdata(r, out->type, len, &out->rdata))
		return false;
	r->at += len;
	r->is_damaged = false;
	return true;
}
