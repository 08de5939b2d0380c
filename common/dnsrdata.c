#include "common/dnsrdata.h"

#include <arpa/inet.h>

#include "common/banned.h"

#define LABEL_MAX 63
#define STRING_MAX 255

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool put16(struct buf *out, uint16_t n)
{
	return buf_append_c(out, (char)(n >> 8)) && buf_append_c(out, (char)n);
}

/* Nothing half written stays behind. */
static bool kept(struct buf *out, size_t before, bool is_whole)
{
	if (!is_whole)
		out->len = before;
	return is_whole;
}

bool dnsrdata_name(struct buf *out, struct sv name)
{
	size_t before = out->len;
	struct sv label;

	if (name.len && name.p[name.len - 1] == '.')
		name.len--;
	while (name.len) {
		bool has_more = sv_find(name, '.') != SIZE_MAX;

		if (!sv_split(&name, '.', &label) || !label.len || label.len > LABEL_MAX || (has_more && !name.len) ||
		    sv_find(label, '\\') != SIZE_MAX || !buf_append_c(out, (char)label.len) || !buf_append(out, label))
			return kept(out, before, false);
	}
	return kept(out, before, buf_append_c(out, '\0') && out->len - before <= DNS_NAME_MAX);
}

bool dnsrdata_ip(struct buf *out, const uint8_t ip[16])
{
	bool is_v4 = memcmp(ip, mapped, sizeof(mapped)) == 0;

	return buf_append(out, is_v4 ? sv_from((const char *)ip + 12, 4) : sv_from((const char *)ip, 16));
}

bool dnsrdata_mx(struct buf *out, uint16_t preference, struct sv host)
{
	size_t before = out->len;

	return kept(out, before, put16(out, preference) && dnsrdata_name(out, host));
}

bool dnsrdata_txt(struct buf *out, struct sv text)
{
	size_t before = out->len;

	do {
		struct sv part = sv_sub(text, 0, STRING_MAX);

		if (!buf_append_c(out, (char)part.len) || !buf_append(out, part))
			return kept(out, before, false);
		sv_skip(&text, part.len);
	} while (text.len);
	return true;
}

bool dnsrdata_srv(struct buf *out, uint16_t priority, uint16_t weight, uint16_t port, struct sv host)
{
	size_t before = out->len;

	return kept(out, before, put16(out, priority) && put16(out, weight) && put16(out, port) && dnsrdata_name(out, host));
}

bool dnsrdata_tlsa(struct buf *out, uint8_t usage, uint8_t selector, uint8_t matching, struct sv hex)
{
	const char head[] = { (char)usage, (char)selector, (char)matching };
	size_t before = out->len;
	bool is_whole = hex.len && hex.len % 2 == 0 && buf_append(out, sv_from(head, sizeof(head)));

	for (size_t i = 0; is_whole && i < hex.len; i += 2) {
		int high = ascii_hex(hex.p[i]), low = ascii_hex(hex.p[i + 1]);

		is_whole = high >= 0 && low >= 0 && buf_append_c(out, (char)(high << 4 | low));
	}
	return kept(out, before, is_whole);
}

bool dnsrdata_caa(struct buf *out, uint8_t flags, struct sv tag, struct sv value)
{
	size_t before = out->len;

	return kept(out, before, tag.len && tag.len < 16 && buf_append_c(out, (char)flags) && buf_append_c(out, (char)tag.len) &&
				 buf_append(out, tag) && buf_append(out, value));
}

/* ---- reading and printing ---- */

static uint16_t take16(struct sv *s)
{
	uint16_t n = (uint16_t)((unsigned char)s->p[0] << 8 | (unsigned char)s->p[1]);

	sv_skip(s, 2);
	return n;
}

bool dnsrdata_srv_from(struct sv rdata, struct dnsrdata_srv *out)
{
	if (rdata.len < 7)
		return false;
	out->priority = take16(&rdata);
	out->weight = take16(&rdata);
	out->port = take16(&rdata);
	return dns_name_from(&rdata, out->host) && !rdata.len;
}

const char *dnsrdata_type_name(unsigned type)
{
	switch (type) {
	case DNS_A:     return "A";
	case DNS_NS:    return "NS";
	case DNS_CNAME: return "CNAME";
	case DNS_SOA:   return "SOA";
	case DNS_PTR:   return "PTR";
	case DNS_MX:    return "MX";
	case DNS_TXT:   return "TXT";
	case DNS_AAAA:  return "AAAA";
	case DNS_SRV:   return "SRV";
	case DNS_TLSA:  return "TLSA";
	case DNS_CAA:   return "CAA";
	default:        return NULL;
	}
}

static bool print_quoted(struct buf *out, struct sv text)
{
	bool is_whole = buf_append_c(out, '"');

	for (size_t i = 0; is_whole && i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < ' ' || c >= 0x7f)
			is_whole = buf_appendf(out, "\\%03u", c);
		else
			is_whole = (c != '"' && c != '\\') || buf_append_c(out, '\\') ? buf_append_c(out, (char)c) : false;
	}
	return is_whole && buf_append_c(out, '"');
}

static bool print_strings(struct buf *out, struct sv rdata)
{
	bool is_first = true;

	while (rdata.len) {
		size_t n = (unsigned char)rdata.p[0];

		sv_skip(&rdata, 1);
		if (n > rdata.len || (!is_first && !buf_append_c(out, ' ')) || !print_quoted(out, sv_sub(rdata, 0, n)))
			return false;
		sv_skip(&rdata, n);
		is_first = false;
	}
	return !is_first;
}

static bool print_hex(struct buf *out, struct sv octets)
{
	bool is_whole = true;

	for (size_t i = 0; is_whole && i < octets.len; i++)
		is_whole = buf_appendf(out, "%02x", (unsigned char)octets.p[i]);
	return is_whole;
}

static bool print_caa(struct buf *out, struct sv rdata)
{
	size_t n = rdata.len > 2 ? (unsigned char)rdata.p[1] : 0;
	struct sv tag = sv_sub(rdata, 2, n);

	for (size_t i = 0; i < tag.len; i++)
		if (!ascii_is_alpha(tag.p[i]) && !ascii_is_digit(tag.p[i]))
			return false;
	return n && tag.len == n && buf_appendf(out, "%u %.*s ", (unsigned char)rdata.p[0], SV_FMT(tag)) &&
	       print_quoted(out, sv_sub(rdata, 2 + n, SIZE_MAX));
}

static bool print_known(unsigned type, struct sv rdata, struct buf *out)
{
	char host[4 * DNS_NAME_MAX + 1], ip[INET6_ADDRSTRLEN];
	struct dnsrdata_srv srv;
	struct dns_tlsa tlsa;
	uint16_t preference;

	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		if (rdata.len != (type == DNS_A ? 4u : 16u))
			return false;
		inet_ntop(type == DNS_A ? AF_INET : AF_INET6, rdata.p, ip, sizeof(ip));
		return buf_append(out, sv_z(ip));
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
		return dns_name_from(&rdata, host) && !rdata.len && buf_appendf(out, "%s.", host);
	case DNS_MX:
		return dns_mx_from(rdata, &preference, host) && buf_appendf(out, "%u %s.", preference, host);
	case DNS_TXT:
		return print_strings(out, rdata);
	case DNS_SRV:
		return dnsrdata_srv_from(rdata, &srv) &&
		       buf_appendf(out, "%u %u %u %s.", srv.priority, srv.weight, srv.port, srv.host);
	case DNS_TLSA:
		return dns_tlsa_from(rdata, &tlsa) &&
		       buf_appendf(out, "%u %u %u ", tlsa.usage, tlsa.selector, tlsa.matching) && print_hex(out, tlsa.data);
	case DNS_CAA:
		return print_caa(out, rdata);
	default:
		return false;
	}
}

bool dnsrdata_print(unsigned type, struct sv rdata, struct buf *out)
{
	size_t before = out->len;

	if (kept(out, before, print_known(type, rdata, out)))
		return true;
	return kept(out, before, buf_appendf(out, "\\# %zu ", rdata.len) && print_hex(out, rdata));
}
