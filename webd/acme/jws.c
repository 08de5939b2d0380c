#include "webd/acme/jws.h"

#include "common/crypt.h"
#include "common/json.h"
#include "common/transfer.h"

#include "common/banned.h"

#define HEADER_MAX 4096
#define SIGNED_MAX (64u << 10)

bool jws_base64url(struct sv in, struct buf *out)
{
	size_t from = out->len;

	if (!base64_encode(in, out))
		return false;
	while (out->len > from && out->p[out->len - 1] == '=')
		out->len--;
	for (size_t i = from; i < out->len; i++) {
		if (out->p[i] == '+')
			out->p[i] = '-';
		else if (out->p[i] == '/')
			out->p[i] = '_';
	}
	return true;
}

bool jws_is_base64url(struct sv text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alpha(text.p[i]) && !ascii_is_digit(text.p[i]) && text.p[i] != '-' && text.p[i] != '_')
			return false;
	return text.len > 0;
}

/* Members in the order of RFC 7638 §3.2, without a space: these very octets are hashed. */
static bool add_jwk(const struct es256_key *key, struct buf *out)
{
	uint8_t x[ES256_COORDINATE], y[ES256_COORDINATE];

	es256_key_public(key, x, y);
	return buf_append(out, SV("{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"")) && jws_base64url(sv_from((char *)x, sizeof(x)), out) &&
	       buf_append(out, SV("\",\"y\":\"")) && jws_base64url(sv_from((char *)y, sizeof(y)), out) && buf_append(out, SV("\"}"));
}

bool jws_thumbprint(const struct es256_key *key, struct buf *out)
{
	uint8_t digest[CRYPT_HASH_MAX];
	struct buf jwk;

	buf_init(&jwk, 512);
	if (!add_jwk(key, &jwk))
		BUG("a public key does not fit");
	crypt_digest(CRYPT_SHA256, buf_sv(&jwk), digest);
	buf_done(&jwk);
	return jws_base64url(sv_from((char *)digest, CRYPT_SHA256_LEN), out);
}

static bool add_header(const struct es256_key *key, struct sv kid, struct sv url, struct sv nonce, struct buf *out)
{
	struct json_out j;

	if (!buf_append(out, SV("{\"alg\":\"ES256\",")))
		return false;
	if (!kid.len && !(buf_append(out, SV("\"jwk\":")) && add_jwk(key, out) && buf_append_c(out, ',')))
		return false;
	/* The rest through the writer, which escapes: a server gave these texts. Its '{' is what is skipped. */
	struct buf rest;

	buf_init(&rest, HEADER_MAX);
	json_out_init(&j, &rest);
	json_out_object(&j, NULL);
	if (kid.len)
		json_out_sv(&j, "kid", kid);
	json_out_sv(&j, "nonce", nonce);
	json_out_sv(&j, "url", url);
	json_out_object_end(&j);
	bool good = !j.overflow && buf_append(out, sv_sub(buf_sv(&rest), 1, SIZE_MAX));

	buf_done(&rest);
	return good;
}

struct fault jws_write(const struct es256_key *key, struct sv kid, struct sv url, struct sv nonce, struct sv payload, struct buf *out)
{
	uint8_t signature[ES256_SIGNATURE];
	struct buf header, text;
	size_t dot = 0;
	struct fault f = FAULT_OK;
	bool good;

	buf_init(&header, HEADER_MAX);
	buf_init(&text, SIGNED_MAX);
	good = add_header(key, kid, url, nonce, &header) && jws_base64url(buf_sv(&header), &text);
	dot = text.len;
	good = good && buf_append_c(&text, '.') && jws_base64url(payload, &text);
	if (good)
		f = es256_sign(key, buf_sv(&text), signature);
	if (good && !f.kind)
		good = buf_append(out, SV("{\"protected\":\"")) && buf_append(out, sv_sub(buf_sv(&text), 0, dot)) &&
		       buf_append(out, SV("\",\"payload\":\"")) && buf_append(out, sv_sub(buf_sv(&text), dot + 1, SIZE_MAX)) &&
		       buf_append(out, SV("\",\"signature\":\"")) && jws_base64url(sv_from((char *)signature, sizeof(signature)), out) &&
		       buf_append(out, SV("\"}"));
	if (!good)
		f = fault(FAULT_LIMIT, "a request to the certificate authority is too long");
	buf_done(&header);
	buf_done(&text);
	return f;
}
