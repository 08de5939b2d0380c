/* One signature, of DKIM or ARC: what it claims (RFC 6376 §3.5), and whether that holds (§6.1). */
#include "smtpd/dkim_private.h"

#include "common/address.h"

#include "common/banned.h"

#define KEY_BITS_MIN 1024       /* RFC 8301 §3.2 */
#define KEY_BITS_MAX 4096
#define FUTURE_S 3600           /* clocks differ */
#define RECORDS_TRIED 4         /* several records at one name: RFC 6376 §3.6.2.2 leaves it to us */
#define IDENTITY_MAX 512

void sig_fail(struct sig *s, enum dkim_result result, const char *reason)
{
	if (s->seen.result)
		return;
	s->seen.result = result;
	s->seen.reason = reason;
}

/* ---- the field ---- */

/* keep_printable - a copy for people and logs. */
static struct sv keep_printable(struct arena *arena, struct sv text, size_t max)
{
	text = sv_sub(text, 0, max);
	char *copy = arena_alloc(arena, text.len + 1);

	if (!copy)
		return SV_NONE;
	for (size_t i = 0; i < text.len; i++)
		copy[i] = text.p[i] > 32 && text.p[i] < 127 ? text.p[i] : '?';
	return sv_from(copy, text.len);
}

static void read_algorithm(struct sig *s, const struct taglist *tags, struct arena *arena)
{
	struct sv a;

	if (!taglist_get(tags, SV("a"), &a)) {
		sig_fail(s, DKIM_PERMERROR, "a= is missing");
		return;
	}
	s->seen.algorithm = keep_printable(arena, a, 64);
	if (sv_eq_nocase(a, SV("rsa-sha256")))
		s->type = CRYPT_RSA;
	else if (sv_eq_nocase(a, SV("ed25519-sha256")))
		s->type = CRYPT_ED25519;
	else if (sv_eq_nocase(a, SV("rsa-sha1")))
		sig_fail(s, DKIM_POLICY, "rsa-sha1 proves nothing any more (RFC 8301)");
	else
		sig_fail(s, DKIM_NEUTRAL, "its algorithm is not known");
}

/* read_names - d= and s=, as names of the DNS. */
static void read_names(struct sig *s, const struct taglist *tags, struct arena *arena)
{
	struct sv d, selector, domain, label;
	struct buf name;

	if (!taglist_get(tags, SV("d"), &d) || !taglist_get(tags, SV("s"), &selector)) {
		sig_fail(s, DKIM_PERMERROR, "d= or s= is missing");
		return;
	}
	if (address_domain(arena, d, &domain).kind || address_domain(arena, selector, &label).kind) {
		sig_fail(s, DKIM_NEUTRAL, "d= or s= is no domain name");
		return;
	}
	s->seen.domain = domain;
	s->seen.selector = label;
	buf_init(&name, DNS_NAME_MAX + 1);
	if (buf_appendf(&name, "%.*s._domainkey.%.*s", SV_FMT(label), SV_FMT(domain)))
		s->key_name = arena_copy(arena, buf_sv(&name));
	if (!s->key_name.len)
		sig_fail(s, DKIM_NEUTRAL, "the name of its key is too long");
	buf_done(&name);
}

static void read_canon(struct sig *s, const struct taglist *tags)
{
	struct sv c, header;

	if (!taglist_get(tags, SV("c"), &c))
		return;         /* simple/simple */
	sv_split(&c, '/', &header);
	s->header = sv_eq_nocase(sv_trim(header), SV("relaxed")) ? CANON_RELAXED : CANON_SIMPLE;
	s->body = sv_eq_nocase(sv_trim(c), SV("relaxed")) ? CANON_RELAXED : CANON_SIMPLE;
	if ((s->header == CANON_SIMPLE && !sv_eq_nocase(sv_trim(header), SV("simple"))) ||
	    (s->body == CANON_SIMPLE && c.len && !sv_eq_nocase(sv_trim(c), SV("simple"))))
		sig_fail(s, DKIM_NEUTRAL, "c= is not known");
}

/* read_value - the signature itself. */
static void read_value(struct sig *s, const struct taglist *tags, struct arena *arena)
{
	struct sv text;
	struct buf value;

	if (!taglist_get(tags, SV("b"), &text)) {
		sig_fail(s, DKIM_PERMERROR, "b= is missing");
		return;
	}
	buf_init(&value, CRYPT_SIGNATURE_MAX);
	if (taglist_base64(tags, SV("b"), &value)) {
		s->value = arena_copy(arena, buf_sv(&value));
		s->seen.b = keep_printable(arena, text, 8);
	}
	if (!s->value.len)
		sig_fail(s, DKIM_NEUTRAL, "b= is no signature");
	buf_done(&value);
}

static void read_body_hash(struct sig *s, const struct taglist *tags)
{
	struct sv text;
	struct buf hash;

	if (!taglist_get(tags, SV("bh"), &text)) {
		sig_fail(s, DKIM_PERMERROR, "bh= is missing");
		return;
	}
	buf_init(&hash, 2 * CANON_HASH);
	if (taglist_base64(tags, SV("bh"), &hash) && hash.len == CANON_HASH)
		memcpy(s->body_hash, hash.p, CANON_HASH);
	else
		sig_fail(s, DKIM_NEUTRAL, "bh= is no SHA-256");
	buf_done(&hash);
}

/* is_at_or_below - is name the domain, or a subdomain? */
static bool is_at_or_below(struct sv name, struct sv domain)
{
	return sv_eq(name, domain) ||
	       (name.len > domain.len && sv_ends(name, domain) && name.p[name.len - domain.len - 1] == '.');
}

/* read_identity - i=, whose domain must be d= or below it (RFC 6376 §3.5). */
static void read_identity(struct sig *s, const struct taglist *tags, struct arena *arena)
{
	struct sv i, domain;
	struct buf text;
	size_t at;

	if (!taglist_get(tags, SV("i"), &i)) {
		buf_init(&text, IDENTITY_MAX);
		if (buf_appendf(&text, "@%.*s", SV_FMT(s->seen.domain)))
			s->seen.identity = arena_copy(arena, buf_sv(&text));
		buf_done(&text);
		return;
	}
	s->seen.identity = keep_printable(arena, i, IDENTITY_MAX);
	at = sv_rfind(i, '@');
	if (at == SIZE_MAX || address_domain(arena, sv_sub(i, at + 1, i.len), &domain).kind)
		sig_fail(s, DKIM_NEUTRAL, "i= is no identity");
	else if (!is_at_or_below(domain, s->seen.domain))
		sig_fail(s, DKIM_PERMERROR, "i= is outside of d=");
}

static void read_times(struct sig *s, const struct taglist *tags, int64_t now_s)
{
	uint64_t t = 0, x = 0;
	struct sv text;
	bool has_t = taglist_get(tags, SV("t"), &text);

	if (has_t && (!sv_to_u64(text, &t) || t > INT64_MAX)) {
		sig_fail(s, DKIM_NEUTRAL, "t= is no time");
		return;
	}
	if (has_t && (int64_t)t > now_s && (int64_t)t - now_s > FUTURE_S)
		sig_fail(s, DKIM_FAIL, "it is from the future");
	if (!taglist_get(tags, SV("x"), &text))
		return;
	if (!sv_to_u64(text, &x) || x > INT64_MAX || (has_t && x < t))
		sig_fail(s, DKIM_NEUTRAL, "x= is no time behind t=");
	else if ((int64_t)x < now_s)
		sig_fail(s, DKIM_FAIL, "it has expired");
}

static void read_signed_names(struct sig *s, enum sig_kind kind, const struct taglist *tags, struct sv *names)
{
	if (!taglist_get(tags, SV("h"), names))
		sig_fail(s, DKIM_PERMERROR, "h= is missing");
	else if (!taglist_has_word(tags, SV("h"), ':', SV("From")))
		sig_fail(s, DKIM_PERMERROR, "it does not sign From");
	else if (kind == SIG_ARC_MESSAGE && taglist_has_word(tags, SV("h"), ':', SV("ARC-Seal")))
		sig_fail(s, DKIM_PERMERROR, "it signs an ARC-Seal (RFC 8617 §4.1.2)");
}

void sig_read(struct sig *s, enum sig_kind kind, const struct taglist *tags, struct arena *arena, int64_t now_s,
	      struct sv *names)
{
	struct sv unused;

	*names = SV_NONE;
	s->seen.reason = "";
	if (kind == SIG_DKIM && !taglist_is(tags, SV("v"), SV("1")))
		sig_fail(s, DKIM_PERMERROR, "its version is not 1");
	read_algorithm(s, tags, arena);
	read_names(s, tags, arena);
	read_value(s, tags, arena);
	read_times(s, tags, now_s);
	if (kind == SIG_ARC_SEAL) {
		s->header = CANON_RELAXED;      /* RFC 8617 §5.1.1 */
		if (taglist_get(tags, SV("h"), &unused))
			sig_fail(s, DKIM_PERMERROR, "a seal with h= (RFC 8617 §4.1.3)");
		return;
	}
	read_canon(s, tags);
	read_body_hash(s, tags);
	read_signed_names(s, kind, tags, names);
	if (kind == SIG_DKIM)
		read_identity(s, tags, arena);
	if (taglist_get(tags, SV("q"), &unused) && !taglist_has_word(tags, SV("q"), ':', SV("dns/txt")))
		sig_fail(s, DKIM_NEUTRAL, "its key is not in the DNS");
	if (taglist_get(tags, SV("l"), &unused))
		sig_fail(s, DKIM_POLICY, "it covers only part of the body (l=)");
}

/* ---- what it signs ---- */

void sig_hash_header(struct sig *s, const struct canon_message *m, size_t index, struct sv names)
{
	struct crypt_digest *d = crypt_digest_new(CRYPT_SHA256);
	uint8_t hash[CRYPT_HASH_MAX];

	if (!canon_add_named(m, d, s->header, names, index))
		sig_fail(s, DKIM_PERMERROR, "it signs too many fields");
	canon_add_signature(d, s->header, canon_field(m, index).raw, true);
	crypt_digest_get(d, hash);
	memcpy(s->digest, hash, CANON_HASH);
	crypt_digest_free(&d);
}

void sig_check_body(struct sig *s, struct canon_message *m)
{
	uint8_t hash[CANON_HASH];

	if (s->seen.result)
		return;
	canon_body_hash(m, s->body, hash);
	if (memcmp(hash, s->body_hash, CANON_HASH))
		sig_fail(s, DKIM_FAIL, "the body was changed");
}

/* ---- the key (RFC 6376 §3.6.1) ---- */

/* check_limits - what a key record says about its use. NULL: it may be used for this. */
static const char *check_limits(const struct sig *s, enum sig_kind kind, const struct taglist *record)
{
	struct sv unused, at;

	if (taglist_get(record, SV("h"), &unused) && !taglist_has_word(record, SV("h"), ':', SV("sha256")))
		return "its key is not for sha256";
	if (taglist_get(record, SV("s"), &unused) && !taglist_has_word(record, SV("s"), ':', SV("*")) &&
	    !taglist_has_word(record, SV("s"), ':', SV("email")))
		return "its key is not for mail";
	if (kind == SIG_DKIM && taglist_has_word(record, SV("t"), ':', SV("s"))) {
		at = s->seen.identity;
		sv_skip(&at, sv_rfind(at, '@') + 1);
		if (!sv_eq_nocase(at, s->seen.domain))
			return "its key is not for subdomains (t=s)";
	}
	return NULL;
}

/* check_strength - a key that anybody can break, or that costs us too much. */
static const char *check_strength(const struct sig *s)
{
	if (s->type != CRYPT_RSA)
		return NULL;
	if (s->seen.key_bits < KEY_BITS_MIN)
		return "its key is shorter than 1024 bits (RFC 8301)";
	return s->seen.key_bits > KEY_BITS_MAX ? "its key is longer than 4096 bits" : NULL;
}

/* try_key - with one published key. */
static void try_key(struct sig *s, struct sv octets)
{
	struct crypt_public *key = NULL;
	const char *weak;

	if (crypt_public_new(s->type, octets, &key).kind) {
		sig_fail(s, DKIM_PERMERROR, "its key cannot be read");
		return;
	}
	s->seen.key_bits = crypt_public_bits(key);
	weak = check_strength(s);
	if (weak)
		sig_fail(s, DKIM_POLICY, weak);
	else if (crypt_public_verify(key, s->digest, s->value))
		sig_fail(s, DKIM_PASS, "");
	else
		sig_fail(s, DKIM_FAIL, "the header was changed, or the key is another one");
	crypt_public_free(&key);
}

/* try_record - one TXT record. */
static void try_record(struct sig *s, enum sig_kind kind, struct sv text)
{
	struct taglist record;
	struct sv k = SV("rsa"), p, v;
	const char *limit;
	struct buf octets;

	if (!taglist_parse(text, &record) || !taglist_get(&record, SV("p"), &p) ||
	    (taglist_get(&record, SV("v"), &v) && !sv_eq(v, SV("DKIM1")))) {
		sig_fail(s, DKIM_PERMERROR, "its key record cannot be read");
		return;
	}
	taglist_get(&record, SV("k"), &k);
	limit = check_limits(s, kind, &record);
	s->seen.is_testing = taglist_has_word(&record, SV("t"), ':', SV("y"));
	buf_init(&octets, CRYPT_PUBLIC_MAX);
	if (!p.len)
		sig_fail(s, DKIM_PERMERROR, "its key was revoked");
	else if (!sv_eq_nocase(k, s->type == CRYPT_RSA ? SV("rsa") : SV("ed25519")))
		sig_fail(s, DKIM_PERMERROR, "its key is of another kind");
	else if (limit)
		sig_fail(s, DKIM_PERMERROR, limit);
	else if (!taglist_base64(&record, SV("p"), &octets))
		sig_fail(s, DKIM_PERMERROR, "its key cannot be read");
	else
		try_key(s, buf_sv(&octets));
	buf_done(&octets);
}

void sig_check_key(struct sig *s, enum sig_kind kind, const struct dkim_keys *keys)
{
	struct key_records records;

	if (s->seen.result)
		return;
	records = dkim_keys_get(keys, s->key_name);
	if (records.is_unknown) {
		sig_fail(s, DKIM_TEMPERROR, "the DNS did not answer for its key");
		return;
	}
	if (!records.count)
		sig_fail(s, DKIM_PERMERROR, "there is no key for it in the DNS");
	for (size_t i = 0; i < records.count && i < RECORDS_TRIED; i++) {
		struct sig one = *s;

		one.seen.result = DKIM_NONE;
		try_record(&one, kind, records.texts[i]);
		if (!i || one.seen.result == DKIM_PASS)
			*s = one;
		if (one.seen.result == DKIM_PASS)
			return;
	}
}
