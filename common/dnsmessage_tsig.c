/* Signatures of DNS messages (RFC 8945), and the files that keys are written down in. */
#include <stdio.h>

#include "common/crypt.h"
#include "common/dnsmessage.h"
#include "common/dnsrdata.h"
#include "common/transfer.h"

#include "common/banned.h"

#define TYPE_TSIG 250
#define ALGORITHM "hmac-sha256"
#define FUDGE_S 300
#define SECRET_MAX 512
#define TSIG_TAIL 6             /* original id, error, length of other data; before it the signature */

enum { BADSIG = 16, BADKEY = 17, BADTIME = 18 };

static bool put16(struct buf *out, unsigned n)
{
	return buf_append_c(out, (char)(n >> 8)) && buf_append_c(out, (char)n);
}

static bool put_time(struct buf *out, uint64_t now_s)
{
	return put16(out, now_s >> 32 & 0xffff) && put16(out, now_s >> 16 & 0xffff) && put16(out, now_s & 0xffff);
}

static unsigned get16(struct sv s, size_t at)
{
	return (unsigned)(unsigned char)s.p[at] << 8 | (unsigned char)s.p[at + 1];
}

/* The name in lower case: what is signed is its canonical form (RFC 8945 §4.3.3). */
static bool put_name(struct buf *out, const char *name)
{
	size_t before = out->len;

	if (!dnsrdata_name(out, sv_z(name)))
		return false;
	for (size_t i = before; i < out->len; i++)
		out->p[i] = ascii_lower(out->p[i]);
	return true;
}

/* What is signed besides the message. */
static bool put_variables(struct buf *out, const struct dnsmessage_key *key, uint64_t time_s, unsigned fudge, unsigned error,
			  struct sv other)
{
	return put_name(out, key->name) && put16(out, DNSMESSAGE_ANY) && put16(out, 0) && put16(out, 0) &&
	       put_name(out, ALGORITHM) && put_time(out, time_s) && put16(out, fudge) && put16(out, error) &&
	       put16(out, (unsigned)other.len) && buf_append(out, other);
}

bool dnsmessage_sign(struct buf *message, const struct dnsmessage_key *key, uint64_t now_s, uint8_t mac[DNSMESSAGE_MAC_LEN])
{
	struct buf text, rdata;
	uint8_t digest[CRYPT_HASH_MAX];

	buf_init(&text, DNSMESSAGE_MAX + 1024);
	buf_init(&rdata, 1024);
	bool is_whole = message->len >= DNSMESSAGE_HEADER && buf_append(&text, buf_sv(message)) &&
			put_variables(&text, key, now_s, FUDGE_S, 0, SV_NONE);

	if (is_whole) {
		crypt_hmac(CRYPT_SHA256, buf_sv(&key->secret), buf_sv(&text), digest);
		memcpy(mac, digest, DNSMESSAGE_MAC_LEN);
		is_whole = put_name(&rdata, ALGORITHM) && put_time(&rdata, now_s) && put16(&rdata, FUDGE_S) &&
			   put16(&rdata, DNSMESSAGE_MAC_LEN) && buf_append(&rdata, sv_from((const char *)mac, DNSMESSAGE_MAC_LEN)) &&
			   buf_append(&rdata, sv_sub(buf_sv(message), 0, 2)) && put16(&rdata, 0) && put16(&rdata, 0) &&
			   dnsmessage_add(message, DNSMESSAGE_ADDITIONAL, sv_z(key->name), TYPE_TSIG, DNSMESSAGE_ANY, 0, buf_sv(&rdata));
	}
	buf_done(&text);
	buf_done(&rdata);
	return is_whole;
}

/* The rdata of a TSIG record. */
struct tsig {
	char algorithm[4 * DNS_NAME_MAX + 1];
	uint64_t time_s;
	unsigned fudge, error;
	struct sv mac, other;
};

static bool parse_tsig(struct sv rdata, struct tsig *out)
{
	if (!dns_name_from(&rdata, out->algorithm) || rdata.len < 10)
		return false;
	out->time_s = (uint64_t)get16(rdata, 0) << 32 | (uint64_t)get16(rdata, 2) << 16 | get16(rdata, 4);
	out->fudge = get16(rdata, 6);
	size_t n = get16(rdata, 8);

	sv_skip(&rdata, 10);
	if (rdata.len < n + TSIG_TAIL)
		return false;
	out->mac = sv_sub(rdata, 0, n);
	out->error = get16(rdata, n + 2);
	out->other = sv_sub(rdata, n + TSIG_TAIL, SIZE_MAX);
	return out->other.len == get16(rdata, n + 4);
}

/* The message as it was signed: without the record, and counted so. */
static bool put_unsigned(struct buf *out, struct sv message, size_t tsig_at)
{
	size_t before = out->len;

	if (!buf_append(out, sv_sub(message, 0, tsig_at)))
		return false;
	unsigned count = get16(message, 10) - 1;

	out->p[before + 10] = (char)(count >> 8);
	out->p[before + 11] = (char)count;
	return true;
}

static bool is_mac_right(struct sv message, size_t tsig_at, const struct tsig *tsig, const struct dnsmessage_key *key,
			 const uint8_t mac[DNSMESSAGE_MAC_LEN])
{
	uint8_t digest[CRYPT_HASH_MAX];
	struct buf text;

	buf_init(&text, DNSMESSAGE_MAX + 2048);
	bool is_right = put16(&text, DNSMESSAGE_MAC_LEN) && buf_append(&text, sv_from((const char *)mac, DNSMESSAGE_MAC_LEN)) &&
			put_unsigned(&text, message, tsig_at) &&
			put_variables(&text, key, tsig->time_s, tsig->fudge, tsig->error, tsig->other);

	if (is_right) {
		crypt_hmac(CRYPT_SHA256, buf_sv(&key->secret), buf_sv(&text), digest);
		is_right = crypt_eq(tsig->mac, sv_from((const char *)digest, DNSMESSAGE_MAC_LEN));
	}
	buf_done(&text);
	return is_right;
}

bool dnsmessage_is_signed(struct sv message, const struct dnsmessage_key *key, uint64_t now_s,
			  const uint8_t mac[DNSMESSAGE_MAC_LEN], const char **why)
{
	struct dnsmessage_reader r;
	struct dnsmessage_record record = { .type = 0 };
	struct tsig tsig;

	*why = "the answer is not signed";
	if (!dnsmessage_read(&r, message))
		return false;
	while (dnsmessage_next(&r, &record))
		;
	/* It is the last one (RFC 8945 §5.1). */
	if (r.is_damaged || record.type != TYPE_TSIG || record.section != DNSMESSAGE_ADDITIONAL || r.at != message.len ||
	    !parse_tsig(record.rdata, &tsig))
		return false;
	*why = tsig.error == BADKEY ? "BADKEY: the server does not know the key" :
	       tsig.error == BADSIG ? "BADSIG: the server has another secret for the key" :
	       tsig.error == BADTIME ? "BADTIME: the clocks of server and client differ" : "the answer's signature is wrong";
	if (tsig.error || !sv_eq_nocase(sv_z(record.name), sv_z(key->name)) ||
	    !sv_eq_nocase(sv_z(tsig.algorithm), SV(ALGORITHM)) || !is_mac_right(message, r.record_at, &tsig, key, mac))
		return false;
	*why = "the answer's time is not ours";
	return now_s <= tsig.time_s + tsig.fudge && tsig.time_s <= now_s + tsig.fudge;
}

/* ---- key files ---- */

/* Words, without what separates them in any of the forms. */
static bool next_word(struct sv *rest, struct sv *word)
{
	static const char separators[] = " \t\r\n\";{}:,";

	for (;;) {
		size_t n = 0;

		while (rest->len && memchr(separators, *rest->p, sizeof(separators) - 1))
			sv_skip(rest, 1);
		if (!rest->len)
			return false;
		while (n < rest->len && !memchr(separators, rest->p[n], sizeof(separators) - 1))
			n++;
		*word = sv_sub(*rest, 0, n);
		sv_skip(rest, n);
		if (*word->p != '#' && !sv_eq(*word, SV("-")))
			return true;
		if (*word->p == '#') {          /* a comment, to the end of its line */
			size_t end = sv_find(*rest, '\n');
			sv_skip(rest, end == SIZE_MAX ? rest->len : end);
		}
	}
}

static bool take_key(struct sv name, struct sv algorithm, struct sv secret, struct dnsmessage_key *out)
{
	struct buf wire;

	if (name.len && name.p[name.len - 1] == '.')
		name.len--;
	buf_init(&wire, DNS_NAME_MAX);
	bool is_whole = name.len && name.len < sizeof(out->name) && sv_eq_nocase(algorithm, SV(ALGORITHM)) &&
			dnsrdata_name(&wire, name) && base64_decode(secret, &out->secret) && out->secret.len;

	buf_done(&wire);
	if (is_whole)
		snprintf(out->name, sizeof(out->name), "%.*s", SV_FMT(name));
	return is_whole;
}

bool dnsmessage_key_parse(struct sv text, struct dnsmessage_key *out)
{
	struct sv word, name = SV_NONE, algorithm = SV_NONE, secret = SV_NONE, *next = NULL;

	*out = (struct dnsmessage_key){ .name = "" };
	buf_init(&out->secret, SECRET_MAX);
	while (next_word(&text, &word) && !secret.len) {
		if (sv_eq(word, SV("key")) || sv_eq(word, SV("id")) || sv_eq(word, SV("name")))
			next = &name;
		else if (sv_eq(word, SV("algorithm")))
			next = &algorithm;
		else if (sv_eq(word, SV("secret")))
			next = &secret;
		else if (next) {
			*next = word;
			next = NULL;
		} else if (!algorithm.len && sv_starts_nocase(word, SV("hmac-"))) {
			algorithm = word;       /* on one line: then its name and secret follow */
			if (!next_word(&text, &name) || !next_word(&text, &secret))
				return false;
		}
	}
	bool is_whole = take_key(name, algorithm, secret, out);

	if (!is_whole)
		dnsmessage_key_done(out);
	return is_whole;
}

void dnsmessage_key_done(struct dnsmessage_key *key)
{
	buf_wipe(&key->secret);
}
