#include "common/passhash.h"

#include <argon2.h>
#include <crypt.h>
#include <stdlib.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "common/transfer.h"

#include "common/banned.h"

/* A hash that somebody else chose must not cost more than this, or a login could stop a worker. */
#define ROUNDS_MAX 2000000
#define BCRYPT_COST_MAX 14
#define ARGON2_KIB_MAX (256u << 10)
#define ARGON2_PASSES_MAX 32
#define SALT_MAX 64
#define DES_LEN 13              /* of what crypt(3) makes by DES; 11 more for each 8 octets of a longer password */

enum family { BY_CRYPT, BY_DIGEST, BY_PBKDF2, BY_ARGON2I, BY_ARGON2ID, CLEAR };

static const struct scheme {
	const char *name;
	enum family family;
	enum crypt_hash hash;
	bool is_salted;
} schemes[] = {
	{ "CRYPT", BY_CRYPT, 0, true },
	{ "DES-CRYPT", BY_CRYPT, 0, true },
	{ "MD5-CRYPT", BY_CRYPT, 0, true },
	{ "SHA256-CRYPT", BY_CRYPT, 0, true },
	{ "SHA512-CRYPT", BY_CRYPT, 0, true },
	{ "BLF-CRYPT", BY_CRYPT, 0, true },
	{ "SHA", BY_DIGEST, CRYPT_SHA1, false },
	{ "SHA1", BY_DIGEST, CRYPT_SHA1, false },
	{ "SHA256", BY_DIGEST, CRYPT_SHA256, false },
	{ "SHA512", BY_DIGEST, CRYPT_SHA512, false },
	{ "SSHA", BY_DIGEST, CRYPT_SHA1, true },
	{ "SSHA256", BY_DIGEST, CRYPT_SHA256, true },
	{ "SSHA512", BY_DIGEST, CRYPT_SHA512, true },
	{ "PBKDF2", BY_PBKDF2, CRYPT_SHA1, true },
	{ "ARGON2I", BY_ARGON2I, 0, true },
	{ "ARGON2ID", BY_ARGON2ID, 0, true },
	{ "PLAIN", CLEAR, 0, false },
	{ "CLEAR", CLEAR, 0, false },
	{ "CLEARTEXT", CLEAR, 0, false },
};

/* Dovecot may say behind the scheme how it wrote the digest: "{SSHA256.hex}". What it is shows its length. */
static struct sv without_encoding(struct sv name)
{
	size_t dot = sv_find(name, '.');
	struct sv encoding = dot == SIZE_MAX ? SV_NONE : sv_sub(name, dot + 1, SIZE_MAX);

	if (sv_eq_nocase(encoding, SV("b64")) || sv_eq_nocase(encoding, SV("base64")) || sv_eq_nocase(encoding, SV("hex")))
		return sv_sub(name, 0, dot);
	return name;
}

/* The scheme of a hash and the text behind its name; a text without {} is what crypt(3) made. */
static const struct scheme *split(struct sv hash, struct sv *text)
{
	size_t end = sv_find(hash, '}');

	*text = hash;
	if (!hash.len || hash.p[0] != '{')
		return &schemes[0];
	if (end == SIZE_MAX)
		return NULL;
	struct sv name = sv_sub(hash, 1, end - 1), bare = without_encoding(name);

	sv_skip(text, end + 1);
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (sv_eq_nocase(schemes[i].family == BY_DIGEST ? bare : name, sv_z(schemes[i].name)))
			return &schemes[i];
	return NULL;
}

/* number_behind - the decimal number behind `key`, or 0. */
static uint32_t number_behind(struct sv text, const char *key)
{
	size_t at = sv_search(text, sv_z(key)), len = 0;
	uint32_t n = 0;

	if (at == SIZE_MAX)
		return 0;
	sv_skip(&text, at + strlen(key));
	while (len < text.len && text.p[len] >= '0' && text.p[len] <= '9')
		len++;
	if (len && !sv_to_u32(sv_sub(text, 0, len), &n))
		return UINT32_MAX;
	return n;
}

static struct fault too_dear(void)
{
	return fault(FAULT_UNSUPPORTED, "the hash asks for more work than a login may cost");
}

/* So that a password in clear whose scheme was forgotten is not taken for a hash that fits nothing. */
static bool is_des(struct sv text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alpha(text.p[i]) && !ascii_is_digit(text.p[i]) && text.p[i] != '.' && text.p[i] != '/')
			return false;
	return text.len >= DES_LEN && (text.len - DES_LEN) % 11 == 0;
}

static struct fault check_crypt(struct sv text)
{
	if (sv_find(text, '\0') != SIZE_MAX || text.len < DES_LEN || (text.p[0] != '$' && text.p[0] != '_' && !is_des(text)))
		return fault(FAULT_INVALID, "the hash is no text of crypt(3)");
	if (number_behind(text, "$rounds=") > ROUNDS_MAX)
		return too_dear();
	if (sv_starts(text, SV("$2")) && number_behind(sv_sub(text, 3, 3), "$") > BCRYPT_COST_MAX)
		return too_dear();
	return FAULT_OK;
}

static bool decode_hex(struct sv text, struct buf *out)
{
	for (size_t i = 0; i + 1 < text.len; i += 2) {
		int high = ascii_hex(text.p[i]), low = ascii_hex(text.p[i + 1]);

		if (high < 0 || low < 0 || !buf_append_c(out, (char)(high << 4 | low)))
			return false;
	}
	return text.len % 2 == 0;
}

static bool has_digest(const struct scheme *scheme, const struct buf *raw)
{
	size_t len = crypt_hash_len(scheme->hash);

	return scheme->is_salted ? raw->len > len : raw->len == len;
}

/* Digest and salt, in base64 or hexadecimal. */
static bool decode_digest(const struct scheme *scheme, struct sv text, struct buf *out)
{
	buf_init(out, crypt_hash_len(scheme->hash) + SALT_MAX);
	if (decode_hex(text, out) && has_digest(scheme, out))
		return true;
	buf_clear(out);
	return base64_decode(text, out) && has_digest(scheme, out);
}

struct pbkdf2 {
	struct sv salt, hex;
	uint32_t rounds;
};

/* "$1$salt$rounds$hex" */
static bool parse_pbkdf2(struct sv text, struct pbkdf2 *out)
{
	struct sv nothing, version, rounds;

	return sv_split(&text, '$', &nothing) && !nothing.len && sv_split(&text, '$', &version) && sv_eq(version, SV("1")) &&
	       sv_split(&text, '$', &out->salt) && out->salt.len && out->salt.len <= SALT_MAX &&
	       sv_split(&text, '$', &rounds) && sv_to_u32(rounds, &out->rounds) && out->rounds &&
	       sv_split(&text, '$', &out->hex) && !text.p && out->hex.len == (size_t)2 * CRYPT_SHA1_LEN;
}

static struct fault check_argon2(struct sv text)
{
	uint32_t kib = number_behind(text, "m="), passes = number_behind(text, "t="), lanes = number_behind(text, "p=");

	if (sv_find(text, '\0') != SIZE_MAX || !sv_starts(text, SV("$argon2i")) || !kib || !passes || !lanes)
		return fault(FAULT_INVALID, "the hash is no text of Argon2");
	return kib > ARGON2_KIB_MAX || passes > ARGON2_PASSES_MAX || lanes > 16 ? too_dear() : FAULT_OK;
}

static struct fault check(const struct scheme *scheme, struct sv text)
{
	struct pbkdf2 pbkdf2;
	struct buf raw;
	bool ok;

	switch (scheme->family) {
	case BY_CRYPT:
		return check_crypt(text);
	case BY_DIGEST:
		ok = decode_digest(scheme, text, &raw);
		buf_wipe(&raw);
		return ok ? FAULT_OK : fault_detail(FAULT_INVALID, "the hash is neither base64 nor hexadecimal of %s", scheme->name);
	case BY_PBKDF2:
		if (!parse_pbkdf2(text, &pbkdf2))
			return fault(FAULT_INVALID, "the hash is not of the form $1$salt$rounds$hex");
		return pbkdf2.rounds > ROUNDS_MAX ? too_dear() : FAULT_OK;
	case BY_ARGON2I:
	case BY_ARGON2ID:
		return check_argon2(text);
	case CLEAR:
		return fault(FAULT_UNSUPPORTED, "a password in clear is no hash");
	}
	BUG("password scheme %d", (int)scheme->family);
}

struct fault passhash_check(struct sv hash)
{
	struct sv text;
	const struct scheme *scheme = split(hash, &text);

	if (!hash.len || hash.len > PASSHASH_MAX)
		return fault_detail(FAULT_INVALID, "a password hash is 1 to %d octets", PASSHASH_MAX);
	if (!scheme)
		return fault(FAULT_UNSUPPORTED, "the hash has a scheme that is not known here");
	return check(scheme, text);
}

bool passhash_clear(struct sv hash, struct sv *password)
{
	const struct scheme *scheme = split(hash, password);

	return scheme && scheme->family == CLEAR;
}

/* --- verifying --- */

static bool fits_crypt(const char *text, const char *password)
{
	struct crypt_data *data = xcalloc(1, sizeof(*data));
	const char *made = crypt_rn(password, text, data, (int)sizeof(*data));
	bool fits = made && made[0] != '*' && crypt_eq(sv_z(made), sv_z(text));

	secret_wipe(data, sizeof(*data));
	free(data);
	return fits;
}

static bool fits_digest(const struct scheme *scheme, struct sv text, struct sv password)
{
	struct crypt_digest *digest = crypt_digest_new(scheme->hash);
	uint8_t made[CRYPT_HASH_MAX];
	struct buf raw;
	bool fits = false;

	if (decode_digest(scheme, text, &raw)) {
		size_t len = crypt_hash_len(scheme->hash);

		crypt_digest_add(digest, password);
		crypt_digest_add(digest, sv_sub(buf_sv(&raw), len, raw.len));
		crypt_digest_get(digest, made);
		fits = crypt_eq(sv_from((const char *)made, len), sv_sub(buf_sv(&raw), 0, len));
	}
	secret_wipe(made, sizeof(made));
	crypt_digest_free(&digest);
	buf_wipe(&raw);
	return fits;
}

static bool fits_pbkdf2(struct sv text, struct sv password)
{
	uint8_t made[CRYPT_SHA1_LEN];
	char hex[2 * CRYPT_SHA1_LEN + 1];
	struct pbkdf2 p;

	if (!parse_pbkdf2(text, &p))
		return false;
	crypt_pbkdf2(CRYPT_SHA1, password, p.salt, p.rounds, made, sizeof(made));
	crypt_hex(made, sizeof(made), hex);
	bool fits = crypt_eq(sv_z(hex), p.hex);

	secret_wipe(made, sizeof(made));
	secret_wipe(hex, sizeof(hex));
	return fits;
}

bool passhash_fits(struct sv hash, struct sv password)
{
	struct sv text;
	const struct scheme *scheme = split(hash, &text);
	bool fits = false;

	/* crypt(3) would end the password at a NUL, and to HMAC it is the same as none behind: a password has none. */
	if (sv_find(password, '\0') != SIZE_MAX || passhash_check(hash).kind)
		return false;
	char *text_z = sv_copy_z(text), *password_z = sv_copy_z(password);

	switch (scheme->family) {
	case BY_CRYPT:
		fits = fits_crypt(text_z, password_z);
		break;
	case BY_DIGEST:
		fits = fits_digest(scheme, text, password);
		break;
	case BY_PBKDF2:
		fits = fits_pbkdf2(text, password);
		break;
	case BY_ARGON2I:
	case BY_ARGON2ID:
		fits = argon2_verify(text_z, password.p, password.len,
				     scheme->family == BY_ARGON2I ? Argon2_i : Argon2_id) == ARGON2_OK;
		break;
	case CLEAR:
		break;
	}
	secret_free(&text_z);
	secret_free(&password_z);
	return fits;
}
