#include "common/tls_request.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/tls_private.h"

#include "common/banned.h"

#define PEM_MAX (64u << 10)
#define CHAIN_MAX 10

static char no_passphrase[] = "";       /* else the library would ask at a terminal */

static bool add_name(GENERAL_NAMES *names, struct sv name)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *value = ASN1_IA5STRING_new();

	if (!g || !value || !ASN1_STRING_set(value, name.p, (int)name.len)) {
		GENERAL_NAME_free(g);
		ASN1_STRING_free(value);
		return false;
	}
	GENERAL_NAME_set0_value(g, GEN_DNS, value);
	return sk_GENERAL_NAME_push(names, g) > 0;
}

static bool fill(X509_REQ *request, GENERAL_NAMES *names, STACK_OF(X509_EXTENSION) *extensions, EVP_PKEY *key)
{
	X509_EXTENSION *alt = X509V3_EXT_i2d(NID_subject_alt_name, 0, names);

	/* The subject is empty: names that count stand in the alternative names, and a common name has too little room. */
	return alt && sk_X509_EXTENSION_push(extensions, alt) > 0 && X509_REQ_add_extensions(request, extensions) == 1 &&
	       X509_REQ_set_pubkey(request, key) == 1 &&
	       X509_REQ_sign(request, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()) > 0;
}

struct fault tls_request_make(const struct sv *names, size_t count, const char *key_path, struct buf *out)
{
	EVP_PKEY *key = NULL;
	struct fault f = tls_load_key(key_path, &key);
	X509_REQ *request = X509_REQ_new();
	GENERAL_NAMES *list = GENERAL_NAMES_new();
	STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
	unsigned char *der = NULL;
	int len = 0;

	for (size_t i = 0; i < count && !f.kind; i++)
		if (!names[i].len || names[i].len > 253 || !add_name(list, names[i]))
			f = fault(FAULT_INVALID, "a name for the certificate is no host name");
	if (!f.kind && (!count || !fill(request, list, extensions, key) || (len = i2d_X509_REQ(request, &der)) <= 0))
		f = fault(FAULT_INVALID, "the key cannot sign a request");
	if (!f.kind && !buf_append(out, sv_from((const char *)der, (size_t)len)))
		f = fault(FAULT_LIMIT, "the request is too long");
	OPENSSL_free(der);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	GENERAL_NAMES_free(list);
	X509_REQ_free(request);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return f;
}

/* The index of a name that it is not for; count: it is for all. */
static size_t find_missing(X509 *cert, const struct sv *names, size_t count)
{
	size_t i = 0;

	while (i < count && X509_check_host(cert, names[i].p, names[i].len, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1)
		i++;
	return i;
}

bool tls_request_is_met(const char *cert_path, const struct sv *names, size_t count)
{
	STACK_OF(X509) *chain;
	bool is_met = !tls_load_chain(cert_path, &chain).kind && find_missing(sk_X509_value(chain, 0), names, count) == count;

	sk_X509_pop_free(chain, X509_free);
	return is_met;
}

static struct fault look(X509 *cert, const struct sv *names, size_t count, EVP_PKEY *key)
{
	if (X509_check_private_key(cert, key) != 1)
		return fault(FAULT_INVALID, "the certificate that came is for another key");
	if (X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0)
		return fault(FAULT_INVALID, "the certificate that came is not valid yet: is this host's clock right?");
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
		return fault(FAULT_INVALID, "the certificate that came has expired: is this host's clock right?");

	size_t missing = find_missing(cert, names, count);

	if (missing < count)
		return fault_detail(FAULT_INVALID, "the certificate that came is not for %.*s", SV_FMT(names[missing]));
	return FAULT_OK;
}

struct fault tls_request_check(struct sv pem, const struct sv *names, size_t count, const char *key_path)
{
	EVP_PKEY *key = NULL;
	struct fault f = tls_load_key(key_path, &key);
	BIO *bio = BIO_new_mem_buf(pem.len ? pem.p : "", pem.len <= PEM_MAX ? (int)pem.len : 0);
	X509 *cert;
	size_t found = 0;

	ERR_clear_error();
	while (!f.kind && (cert = PEM_read_bio_X509(bio, NULL, NULL, no_passphrase))) {
		if (++found > CHAIN_MAX)
			f = fault(FAULT_INVALID, "the chain that came is too long");
		else if (found == 1)
			f = look(cert, names, count, key);
		X509_free(cert);
	}
	if (!f.kind && !found)
		f = fault(FAULT_INVALID, "what came is no certificate");
	/* Only the end is a good reason to stop: servers would not read the file. */
	if (!f.kind && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		f = fault(FAULT_INVALID, "a certificate of the chain that came is broken");
	/* RFC 8555 §9.1: nothing else may stand in the file, which servers read. */
	if (!f.kind && (sv_search(pem, SV("PRIVATE KEY")) != SIZE_MAX || !sv_starts(sv_trim(pem), SV("-----BEGIN CERTIFICATE-----"))))
		f = fault(FAULT_INVALID, "more came than certificates");
	BIO_free(bio);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return f;
}
