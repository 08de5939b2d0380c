#include "common/tls_proof.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/crypt.h"
#include "common/tls_private.h"

#include "common/banned.h"

#define IDENTIFIER "1.3.6.1.5.5.7.1.31"         /* id-pe-acmeIdentifier */
#define LIFE_S (24 * 60 * 60)
#define FILE_MAX 8192

bool tls_proof_path(const char *folder, struct sv name, char *out, size_t size)
{
	char clean[254];

	if (!name.len || name.len >= sizeof(clean) || name.p[0] == '.' || name.p[0] == '-')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = ascii_lower(name.p[i]);

		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '.')
			return false;
		clean[i] = c;
	}
	clean[name.len] = '\0';
	int n = snprintf(out, size, "%s/alpn-%s.pem", folder, clean);

	return n > 0 && (size_t)n < size;
}

/* The critical extension that holds the digest as an OCTET STRING, DER in DER. */
static bool add_identifier(X509 *cert, const uint8_t digest[TLS_PROOF_DIGEST])
{
	uint8_t der[2 + TLS_PROOF_DIGEST] = { V_ASN1_OCTET_STRING, TLS_PROOF_DIGEST };
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *id = OBJ_txt2obj(IDENTIFIER, 1);
	X509_EXTENSION *ext = NULL;
	bool is_added;

	memcpy(der + 2, digest, TLS_PROOF_DIGEST);
	is_added = value && id && ASN1_OCTET_STRING_set(value, der, sizeof(der)) &&
		   (ext = X509_EXTENSION_create_by_OBJ(NULL, id, 1, value)) && X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	ASN1_OBJECT_free(id);
	ASN1_OCTET_STRING_free(value);
	return is_added;
}

/* The only name is an alternative one (RFC 8737 §3). */
static bool add_name(X509 *cert, const char *name)
{
	char text[300];
	X509V3_CTX ctx;

	snprintf(text, sizeof(text), "DNS:%s", name);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);

	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, text);
	bool is_added = ext && X509_add_ext(cert, ext, -1);

	X509_EXTENSION_free(ext);
	return is_added;
}

static X509 *make_cert(const char *name, const uint8_t digest[TLS_PROOF_DIGEST], EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	uint32_t serial;

	crypt_random(&serial, sizeof(serial));
	bool is_good = X509_set_version(cert, X509_VERSION_3) && ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial) &&
		       X509_gmtime_adj(X509_getm_notBefore(cert), -3600) && X509_gmtime_adj(X509_getm_notAfter(cert), LIFE_S) &&
		       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const uint8_t *)"acme-tls/1 proof", -1, -1, 0) &&
		       X509_set_issuer_name(cert, subject) && X509_set_pubkey(cert, key) && add_name(cert, name) &&
		       add_identifier(cert, digest) && X509_sign(cert, key, EVP_sha256());

	if (!is_good) {
		X509_free(cert);
		cert = NULL;
	}
	return cert;
}

struct fault tls_proof_make(struct sv name, const uint8_t digest[TLS_PROOF_DIGEST], struct buf *out)
{
	char path[512], text[254];
	char *pem = NULL;

	/* The same rule for both: what cannot be found again is not made. */
	if (!tls_proof_path("", name, path, sizeof(path)))
		return fault(FAULT_INVALID, "a name to be proven is no host name");
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';

	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key ? make_cert(text, digest, key) : NULL;
	BIO *bio = BIO_new(BIO_s_secmem());
	struct fault f = FAULT_OK;

	if (!cert || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) || !PEM_write_bio_X509(bio, cert))
		f = fault_detail(FAULT_INTERNAL, "proof: %s", tls_reason());
	long len = f.kind ? 0 : BIO_get_mem_data(bio, &pem);

	if (!f.kind && !buf_append(out, sv_from(pem, (size_t)len)))
		f = fault(FAULT_LIMIT, "the proof is too long");
	ERR_clear_error();
	BIO_free(bio);
	X509_free(cert);
	EVP_PKEY_free(key);
	return f;
}

bool tls_proof_use(SSL *ssl, const char *folder, struct sv name)
{
	char path[4096], octets[FILE_MAX];
	bool is_used = false;
	int fd = tls_proof_path(folder, name, path, sizeof(path)) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	ssize_t n = fd >= 0 ? read(fd, octets, sizeof(octets)) : -1;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	BIO *bio = BIO_new_mem_buf(octets, (int)n);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	X509 *cert = key ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	if (cert) {
		SSL_certs_clear(ssl);
		is_used = SSL_use_certificate(ssl, cert) == 1 && SSL_use_PrivateKey(ssl, key) == 1;
	}
	ERR_clear_error();
	BIO_free(bio);
	X509_free(cert);
	EVP_PKEY_free(key);
	return is_used;
}
