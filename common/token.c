#include "common/token.h"

#include <stdlib.h>

#include "common/crypt_jwk.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/transfer.h"

#include "common/banned.h"

#define KID_MAX 256
#define SIGNATURE_MAX (JWK_RSA_BITS_MAX / 8)

struct token_keys {
	size_t count;
	struct {
		char *kid;              /* NULL: it has none */
		struct jwk *key;
	} items[TOKEN_KEYS_MAX];
};

/* --- names ------------------------------------------------------------------------------------------------ */

/* As JOSE calls them; what is not here is not accepted. */
static const struct {
	const char *name;
	enum jwk_algorithm algorithm;
} algorithms[] = {
	{ "RS256", JWK_RS256 },
	{ "ES256", JWK_ES256 },
	{ "EdDSA", JWK_EDDSA },
};

static enum jwk_algorithm algorithm_from(struct sv name)
{
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
		if (sv_eq(name, sv_z(algorithms[i].name)))
			return algorithms[i].algorithm;
	return JWK_NONE;
}

const char *token_verdict_name(enum token_verdict verdict)
{
	switch (verdict) {
	case TOKEN_GOOD:                return "good";
	case TOKEN_MALFORMED:           return "malformed";
	case TOKEN_UNSUPPORTED:         return "unsupported";
	case TOKEN_FOREIGN_ISSUER:      return "foreign-issuer";
	case TOKEN_WRONG_AUDIENCE:      return "wrong-audience";
	case TOKEN_EXPIRED:             return "expired";
	case TOKEN_NOT_YET:             return "not-yet-valid";
	case TOKEN_NO_ACCOUNT:          return "no-account";
	case TOKEN_UNKNOWN_KEY:         return "unknown-key";
	case TOKEN_FORGED:              return "forged";
	case TOKEN_UNAVAILABLE:         return "unavailable";
	}
	BUG("token verdict %d", (int)verdict);
}

/* --- keys ------------------------------------------------------------------------------------------------- */

/* member - a member in base64url, decoded; empty: there is none. */
static struct sv member(const struct json *object, const char *name, struct buf *out)
{
	struct sv text;

	buf_clear(out);
	if (!json_get_sv(object, name, &text) || !base64url_decode(text, out))
		buf_clear(out);
	return buf_sv(out);
}

/* RFC 7517 §4.2, §4.4: a key may say what it is for. */
static bool is_for_signatures(const struct json *object, enum jwk_algorithm algorithm)
{
	struct sv text;

	if (json_get_sv(object, "use", &text) && !sv_eq(text, SV("sig")))
		return false;
	return !json_get_sv(object, "alg", &text) || algorithm_from(text) == algorithm;
}

static struct jwk *key_from(const struct json *object)
{
	struct fault f = fault(FAULT_UNSUPPORTED, "another kind of key");
	struct sv type = SV_NONE, curve = SV_NONE;
	struct jwk *key = NULL;
	struct buf a, b;

	buf_init(&a, SIGNATURE_MAX + 1);
	buf_init(&b, SIGNATURE_MAX + 1);
	json_get_sv(object, "kty", &type);
	json_get_sv(object, "crv", &curve);
	if (sv_eq(type, SV("RSA")))
		f = jwk_rsa(member(object, "n", &a), member(object, "e", &b), &key);
	else if (sv_eq(type, SV("EC")) && sv_eq(curve, SV("P-256")))
		f = jwk_p256(member(object, "x", &a), member(object, "y", &b), &key);
	else if (sv_eq(type, SV("OKP")) && sv_eq(curve, SV("Ed25519")))
		f = jwk_ed25519(member(object, "x", &a), &key);
	if (!f.kind && !is_for_signatures(object, jwk_algorithm(key)))
		jwk_free(&key);
	buf_done(&a);
	buf_done(&b);
	return key;
}

struct fault token_keys_parse(struct sv text, struct token_keys **out)
{
	struct token_keys *keys;
	struct json *set = NULL;
	const struct json *list;
	struct sv kid;

	if (text.len > TOKEN_KEYS_OCTETS || json_parse(text, &set).kind)
		return fault(FAULT_INVALID, "not a key set");
	keys = xcalloc(1, sizeof(*keys));
	list = json_get(set, "keys");
	for (size_t i = 0; i < json_count(list) && keys->count < TOKEN_KEYS_MAX; i++) {
		struct jwk *key = key_from(json_at(list, i));

		if (!key)
			continue;
		if (json_get_sv(json_at(list, i), "kid", &kid) && kid.len <= KID_MAX)
			keys->items[keys->count].kid = sv_copy_z(kid);
		keys->items[keys->count++].key = key;
	}
	json_free(&set);
	if (!keys->count) {
		token_keys_free(&keys);
		return fault(FAULT_INVALID, "no key for RS256, ES256 or EdDSA in the key set");
	}
	*out = keys;
	return FAULT_OK;
}

size_t token_keys_count(const struct token_keys *keys)
{
	return keys ? keys->count : 0;
}

void token_keys_free(struct token_keys **at)
{
	struct token_keys *keys = *at;

	if (!keys)
		return;
	*at = NULL;
	for (size_t i = 0; i < keys->count; i++) {
		free(keys->items[i].kid);
		jwk_free(&keys->items[i].key);
	}
	free(keys);
}

/* --- a token's parts -------------------------------------------------------------------------------------- */

struct parts {
	struct sv signed_text;          /* header "." payload, as it came: that is signed */
	struct buf signature;
	struct json *header, *claims;
};

static bool parse_part(struct sv text, struct json **out)
{
	struct buf octets;

	buf_init(&octets, TOKEN_MAX);
	bool good = base64url_decode(text, &octets) && !json_parse(buf_sv(&octets), out).kind && json_value_is_object(*out);

	buf_wipe(&octets);
	return good;
}

static bool split_token(struct sv token, struct parts *out)
{
	size_t first = sv_find(token, '.'), last = sv_rfind(token, '.');

	if (token.len > TOKEN_MAX || first == SIZE_MAX || first == last)
		return false;
	struct sv payload = sv_sub(token, first + 1, last - first - 1);

	out->signed_text = sv_sub(token, 0, last);
	return parse_part(sv_sub(token, 0, first), &out->header) && parse_part(payload, &out->claims) &&
	       base64url_decode(sv_sub(token, last + 1, token.len), &out->signature) && out->signature.len;
}

/* An access token (RFC 9068 §2.1) or an ID token; a logout token, say, is for something else (RFC 8725 §3.11). */
static bool is_login_type(const struct json *header)
{
	static const char *const types[] = { "JWT", "at+jwt", "application/at+jwt" };
	const struct json *value = json_get(header, "typ");
	struct sv type;

	if (!value)
		return true;
	for (size_t i = 0; json_to_sv(value, &type) && i < ARRAY_LEN(types); i++)
		if (sv_eq_nocase(type, sv_z(types[i])))
			return true;
	return false;
}

static enum jwk_algorithm algorithm_of(const struct json *header)
{
	struct sv name;

	if (json_get(header, "crit") || !is_login_type(header) || !json_get_sv(header, "alg", &name))
		return JWK_NONE;
	return algorithm_from(name);
}

static bool claim_is(const struct json *value, const char *wanted)
{
	struct sv text;

	return json_to_sv(value, &text) && sv_eq(text, sv_z(wanted));
}

/* RFC 7519 §4.1.3: one text, or a list of them. */
static bool is_for_us(const struct json *audience, const char *us)
{
	bool found = claim_is(audience, us);

	for (size_t i = 0; !found && i < json_count(audience); i++)
		found = claim_is(json_at(audience, i), us);
	return found;
}

static bool take_account(const struct json *claims, const char *name, struct buf *out)
{
	const struct json *verified = json_get(claims, "email_verified");
	struct sv text, no = SV_NONE;
	bool is_verified = true;

	/* Issuers where people register themselves let them write any address until it was verified (OpenID Connect Core §5.1). */
	if (!strcmp(name, "email") && verified && !json_to_bool(verified, &is_verified))
		is_verified = json_to_sv(verified, &no) && sv_eq(no, SV("true"));
	if (!is_verified || !json_get_sv(claims, name, &text) || !text.len)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
			return false;
	return buf_append(out, text);
}

/* check_claims - all that needs no key, so that only a token that may be good costs a signature. */
static enum token_verdict check_claims(const struct json *claims, const struct token_rules *rules, int64_t now_s)
{
	int64_t expires, from = 0;

	if (!claim_is(json_get(claims, "iss"), rules->issuer))
		return TOKEN_FOREIGN_ISSUER;
	if (!is_for_us(json_get(claims, "aud"), rules->audience))
		return TOKEN_WRONG_AUDIENCE;
	if (!json_to_i64(json_get(claims, "exp"), &expires) ||
	    (json_get(claims, "nbf") && !json_to_i64(json_get(claims, "nbf"), &from)))
		return TOKEN_MALFORMED;
	if (expires <= now_s - TOKEN_LEEWAY_S)
		return TOKEN_EXPIRED;
	return from > now_s + TOKEN_LEEWAY_S ? TOKEN_NOT_YET : TOKEN_GOOD;
}

/* With a key id only keys of that name are tried, else all (RFC 7515 §4.1.4 and appendix D). */
static enum token_verdict check_signature(const struct token_keys *keys, const struct parts *p, enum jwk_algorithm algorithm)
{
	const struct json *kid = json_get(p->header, "kid");
	enum token_verdict verdict = TOKEN_UNKNOWN_KEY;
	struct sv name = SV_NONE;

	if (kid && !json_to_sv(kid, &name))
		return TOKEN_MALFORMED;
	for (size_t i = 0; keys && i < keys->count; i++) {
		const struct jwk *key = keys->items[i].key;

		if (jwk_algorithm(key) != algorithm)
			continue;
		if (kid && (!keys->items[i].kid || !sv_eq(name, sv_z(keys->items[i].kid))))
			continue;
		if (jwk_verify(key, p->signed_text, buf_sv(&p->signature)))
			return TOKEN_GOOD;
		if (kid)
			verdict = TOKEN_FORGED;
	}
	return verdict;
}

enum token_verdict token_check(const struct token_keys *keys, const struct token_rules *rules, struct sv token, int64_t now_s,
			       struct buf *account)
{
	struct parts p = { .signed_text = SV_NONE };
	enum jwk_algorithm algorithm = JWK_NONE;
	enum token_verdict verdict = TOKEN_MALFORMED;

	buf_init(&p.signature, SIGNATURE_MAX);
	if (split_token(token, &p)) {
		algorithm = algorithm_of(p.header);
		verdict = algorithm ? check_claims(p.claims, rules, now_s) : TOKEN_UNSUPPORTED;
		if (verdict == TOKEN_GOOD)
			verdict = check_signature(keys, &p, algorithm);
		if (verdict == TOKEN_GOOD && !take_account(p.claims, rules->account_claim, account))
			verdict = TOKEN_NO_ACCOUNT;
	}
	json_free(&p.header);
	json_free(&p.claims);
	buf_done(&p.signature);
	return verdict;
}
