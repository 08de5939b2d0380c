/* A SCRAM client (RFC 5802 §5) for tests. */
#ifndef TESTS_UNIT_COMMON_SCRAM_CLIENT_H
#define TESTS_UNIT_COMMON_SCRAM_CLIENT_H

#include <stdio.h>

#include "common/crypt.h"
#include "common/directory.h"
#include "common/transfer.h"

struct scram_client {
	enum crypt_hash hash;
	size_t hash_len;
	char first[512];
	char gs2[64];
	char first_bare[256];
	char server_first[512];
	uint8_t server_signature[64];
	char final[1024];
};

static struct sv client_first(struct scram_client *c, enum crypt_hash hash, const char *gs2, const char *user)
{
	c->hash = hash;
	c->hash_len = crypt_hash_len(hash);
	snprintf(c->gs2, sizeof(c->gs2), "%s", gs2);
	snprintf(c->first_bare, sizeof(c->first_bare), "n=%s,r=fyko+d2lbbFgONRv9qkxdawL", user);
	snprintf(c->first, sizeof(c->first), "%s%s", c->gs2, c->first_bare);
	return sv_z(c->first);
}

static void base64(const void *p, size_t len, char *out, size_t size)
{
	struct buf b;

	buf_init(&b, size);
	assert_true(base64_encode(sv_from(p, len), &b));
	snprintf(out, size, "%s", buf_z(&b));
	buf_done(&b);
}

/* Reads the challenge; makes the client's final message. @binding: at most 64 octets */
static struct sv client_final(struct scram_client *c, struct sv challenge, const char *password, struct sv binding)
{
	char nonce[128], salt64[64], cbind[256], proof64[64], auth_message[2048];
	unsigned iterations = 0;
	struct buf salt;
	uint8_t client_key[64], signature[64], salted[64], server_key[64], stored[64];

	snprintf(c->server_first, sizeof(c->server_first), "%.*s", SV_FMT(challenge));
	assert_int_equal(sscanf(c->server_first, "r=%127[^,],s=%63[^,],i=%u", nonce, salt64, &iterations), 3);
	assert_int_equal(strncmp(nonce, "fyko+d2lbbFgONRv9qkxdawL", 24), 0);
	assert_true(iterations >= DIRECTORY_ITERATIONS_MIN);
	buf_init(&salt, 64);
	assert_true(base64_decode(sv_z(salt64), &salt));
	crypt_pbkdf2(c->hash, sv_z(password), buf_sv(&salt), iterations, salted, c->hash_len);
	buf_done(&salt);
	struct sv key = sv_from((char *)salted, c->hash_len);
	crypt_hmac(c->hash, key, SV("Client Key"), client_key);
	crypt_hmac(c->hash, key, SV("Server Key"), server_key);
	crypt_digest(c->hash, sv_from((char *)client_key, c->hash_len), stored);
	char bound[64 + 64];
	size_t gs2_len = strlen(c->gs2);

	memcpy(bound, c->gs2, gs2_len);
	if (binding.len)
		memcpy(bound + gs2_len, binding.p, binding.len);
	base64(bound, gs2_len + binding.len, cbind, sizeof(cbind));
	snprintf(c->final, sizeof(c->final), "c=%s,r=%s", cbind, nonce);
	snprintf(auth_message, sizeof(auth_message), "%s,%s,%s", c->first_bare, c->server_first, c->final);
	crypt_hmac(c->hash, sv_from((char *)stored, c->hash_len), sv_z(auth_message), signature);
	crypt_hmac(c->hash, sv_from((char *)server_key, c->hash_len), sv_z(auth_message), c->server_signature);
	for (size_t i = 0; i < c->hash_len; i++)
		client_key[i] ^= signature[i];
	base64(client_key, c->hash_len, proof64, sizeof(proof64));
	size_t len = strlen(c->final);
	snprintf(c->final + len, sizeof(c->final) - len, ",p=%s", proof64);
	return sv_z(c->final);
}

#endif
