#include "common/crypt.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "common/memory.h"

#include "common/banned.h"

/* Fetched once: an implicit fetch costs more than hashing a short text (provider(7), "Fetching").
 * */
static EVP_MD *fetched[3];

static void fetch_hashes(void)
{
	static const char *const names[] = { "SHA1", "SHA256", "SHA512" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		fetched[i] = EVP_MD_fetch(NULL, names[i], NULL);
		if (!fetched[i])
			BUG("OpenSSL has no %s", names[i]);
	}
}

static const EVP_MD *md_of(enum crypt_hash hash)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fetch_hashes);
	return fetched[hash];
}

size_t crypt_hash_len(enum crypt_hash hash)
{
	switch (hash) {
	case CRYPT_SHA1:   return CRYPT_SHA1_LEN;
	case CRYPT_SHA256: return CRYPT_SHA256_LEN;
	case CRYPT_SHA512: return CRYPT_SHA512_LEN;
	}
	BUG("hash %d", hash);
}

size_t crypt_digest(enum crypt_hash hash, struct sv data, uint8_t out[CRYPT_HASH_MAX])
{
	unsigned len = 0;

	if (!EVP_Digest(data.p, data.len, out, &len, md_of(hash), NULL))
		BUG("digest failed");
	return len;
}

size_t crypt_hmac(enum crypt_hash hash, struct sv key, struct sv data, uint8_t out[CRYPT_HASH_MAX])
{
	unsigned len = 0;

	if (key.len > INT32_MAX)
		BUG("key of %zu octets", key.len);
	/* HMAC() takes a NULL key for "as before": an empty key needs an address. */
	if (!HMAC(md_of(hash), key.len ? key.p : "", (int)key.len, (const uint8_t *)data.p,
		  data.len, out, &len))
		BUG("HMAC failed");
	return len;
}

struct crypt_digest {
	EVP_MD_CTX *ctx;
};

struct crypt_digest *crypt_digest_new(enum crypt_hash hash)
{
	struct crypt_digest *d = xmalloc(sizeof(*d));

	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || !EVP_DigestInit_ex(d->ctx, md_of(hash), NULL))
		BUG("digest failed");
	return d;
}

void crypt_digest_add(struct crypt_digest *d, struct sv data)
{
	if (!EVP_DigestUpdate(d->ctx, data.p, data.len))
		BUG("digest failed");
}

size_t crypt_digest_get(const struct crypt_digest *d, uint8_t out[CRYPT_HASH_MAX])
{
	EVP_MD_CTX *copy = EVP_MD_CTX_new();
	unsigned len = 0;

	if (!copy || !EVP_MD_CTX_copy_ex(copy, d->ctx) || !EVP_DigestFinal_ex(copy, out, &len))
		BUG("digest failed");
	EVP_MD_CTX_free(copy);
	return len;
}

void crypt_digest_free(struct crypt_digest **d)
{
	if (!*d)
		return;
	EVP_MD_CTX_free((*d)->ctx);
	free(*d);
	*d = NULL;
}

void crypt_pbkdf2(enum crypt_hash hash, struct sv password, struct sv salt, uint32_t iterations,
                  uint8_t *out, size_t out_len)
{
	if (password.len > INT32_MAX || salt.len > INT32_MAX || out_len > INT32_MAX ||
	    !iterations || iterations > INT32_MAX)
		BUG("PBKDF2 of %zu octets, %u iterations", password.len, iterations);
	if (!PKCS5_PBKDF2_HMAC(password.len ? password.p : "", (int)password.len,
	                       (const uint8_t *)salt.p, (int)salt.len, (int)iterations, md_of(hash),
	                       (int)out_len, out))
		BUG("PBKDF2 failed");
}

struct scram_keys crypt_scram_keys(enum crypt_hash hash, struct sv password, struct sv salt,
                                   uint32_t iterations)
{
	struct scram_keys keys = { .len = crypt_hash_len(hash) };
	uint8_t salted[CRYPT_HASH_MAX], client[CRYPT_HASH_MAX];

	crypt_pbkdf2(hash, password, salt, iterations, salted, keys.len);
	struct sv key = sv_from((const char *)salted, keys.len);

	crypt_hmac(hash, key, SV("Client Key"), client);
	crypt_digest(hash, sv_from((const char *)client, keys.len), keys.stored);
	crypt_hmac(hash, key, SV("Server Key"), keys.server);
	secret_wipe(salted, sizeof(salted));
	secret_wipe(client, sizeof(client));
	return keys;
}

void crypt_random(void *out, size_t n)
{
	for (char *p = out; n;) {
		int part = n > 1 << 20 ? 1 << 20 : (int)n;

		if (RAND_bytes((uint8_t *)p, part) != 1)
			BUG("no random octets");
		p += part;
		n -= (size_t)part;
	}
}

void crypt_random_text(char *out, size_t n)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";

	crypt_random(out, n);
	for (size_t i = 0; i < n; i++)
		out[i] = letters[(unsigned char)out[i] & 31];
	out[n] = '\0';
}

void crypt_secret_text(char out[CRYPT_SECRET_LEN + 1])
{
	/* Without letters that look alike; 20 of 31 signs are 99 bits. */
	static const char signs[] = "abcdefghjkmnpqrstuvwxyz23456789";
	size_t n = 0;

	while (n < CRYPT_SECRET_LEN) {
		unsigned char r;

		if (n % 6 == 5) {
			out[n++] = '-';
			continue;
		}
		crypt_random(&r, 1);
		if (r < 256 / (sizeof(signs) - 1) * (sizeof(signs) - 1))
			out[n++] = signs[r % (sizeof(signs) - 1)];
	}
	out[n] = '\0';
}

bool crypt_eq(struct sv a, struct sv b)
{
	return a.len == b.len && (!a.len || CRYPTO_memcmp(a.p, b.p, a.len) == 0);
}

void crypt_hex(const void *data, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}
