/* Certificates and keys as files: read, described, made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "common/netaddr.h"
#include "common/tls.h"
#include "common/tls_private.h"

#include "common/banned.h"

#define FILE_MAX ((size_t)1 << 20)
#define CHAIN_MAX 16
#define SELF_SIGNED_DAYS 3650

/* --- reading --- */

static struct fault read_file(const char *path, bool is_secret, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct fault f = FAULT_OK;
	struct stat st;

	if (fd < 0)
		return fault_errno("open", path);
	if (fstat(fd, &st))
		f = fault_errno("stat", path);
	else if (!S_ISREG(st.st_mode))
		f = fault_detail(FAULT_INVALID, "%s is not a file", path);
	else if (is_secret && st.st_mode & (S_IRWXG | S_IRWXO))
		f = fault_detail(FAULT_DENIED, "%s is open to others (mode %04o): chmod 600 it",
				 path, (unsigned)(st.st_mode & 07777));
	/* Reserved as a whole, so that a secret leaves no copies behind while the buffer grows. */
	else if ((size_t)st.st_size > FILE_MAX || !buf_reserve(out, (size_t)st.st_size + 1))
		f = fault_detail(FAULT_INVALID, "%s is too large", path);
	while (!f.kind && out->len < out->cap) {
		ssize_t n = read(fd, out->p + out->len, out->cap - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			f = fault_errno("read", path);
		if (n <= 0)
			break;
		out->len += (size_t)n;
	}
	close(fd);
	return f;
}

struct fault tls_load_chain(const char *path, STACK_OF(X509) **out)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct buf text;
	X509 *cert;

	buf_init(&text, FILE_MAX + 4096);
	struct fault f = read_file(path, false, &text);

	if (!f.kind) {
		BIO *bio = BIO_new_mem_buf(text.p, (int)text.len);

		ERR_clear_error();
		while (sk_X509_num(chain) < CHAIN_MAX &&
		       (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
			sk_X509_push(chain, cert);
		/* The end of the file is the one good reason to stop. */
		if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE &&
		    ERR_peek_last_error())
			f = fault_detail(FAULT_INVALID, "%s, certificate %d: %s", path,
			                 sk_X509_num(chain) + 1, tls_reason());
		else if (!sk_X509_num(chain))
			f = fault_detail(FAULT_INVALID, "%s: no certificate in it", path);
		ERR_clear_error();
		BIO_free(bio);
	}
	buf_done(&text);
	if (f.kind) {
		sk_X509_pop_free(chain, X509_free);
		chain = NULL;
	}
	*out = chain;
	return f;
}

static int no_passphrase(char *out, int size, int is_writing, void *arg)
{
	(void)out;
	(void)size;
	(void)is_writing;
	(void)arg;
	return -1;      /* never ask at a terminal */
}

struct fault tls_load_key(const char *path, EVP_PKEY **out)
{
	struct buf text;

	*out = NULL;
	buf_init(&text, FILE_MAX + 4096);
	struct fault f = read_file(path, true, &text);

	if (!f.kind) {
		BIO *bio = BIO_new_mem_buf(text.p, (int)text.len);

		ERR_clear_error();
		*out = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
		if (!*out && sv_search(buf_sv(&text), SV("ENCRYPTED")) != SIZE_MAX)
			f = fault_detail(FAULT_INVALID, "%s: the key has a passphrase; remove it",
					 path);
		else if (!*out)
			f = fault_detail(FAULT_INVALID, "%s: not a private key: %s", path,
					 tls_reason());
		ERR_clear_error();
		BIO_free(bio);
	}
	buf_wipe(&text);
	return f;
}

/* --- facts --- */

static int64_t unix_time(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) : 0;
}

static void add_name(char *names, size_t size, const char *name, size_t len)
{
	size_t have = strlen(names);

	if (len && have + 1 + len < size)
		snprintf(names + have, size - have, "%s%.*s", have ? " " : "", (int)len, name);
}

static void list_names(X509 *cert, char *out, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		int type;
		const ASN1_STRING *value =
			GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);

		if (type != GEN_DNS && type != GEN_IPADD)
			continue;
		const char *p = (const char *)ASN1_STRING_get0_data(value);
		size_t len = (size_t)ASN1_STRING_length(value);

		if (type == GEN_DNS) {
			/* A name is for people and logs: nothing that is not a name. */
			if (strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567"
				      "89-._*") >= len)
				add_name(out, size, p, len);
		} else if (len == 4 || len == 16) {
			struct netaddr a = { .family = len == 4 ? NET_IPV4 : NET_IPV6 };
			char text[NETADDR_TEXT_MAX];

			memcpy(len == 4 ? a.ip + 12 : a.ip, p, len);
			struct sv ip = netaddr_text(&a, text);
			add_name(out, size, ip.p, ip.len);
		}
	}
	GENERAL_NAMES_free(names);
}

static void describe_key(EVP_PKEY *key, char *out, size_t size)
{
	char group[64] = "";
	size_t len;

	switch (key ? EVP_PKEY_get_base_id(key) : 0) {
	case EVP_PKEY_RSA:
		snprintf(out, size, "RSA %d", EVP_PKEY_get_bits(key));
		break;
	case EVP_PKEY_EC:
		EVP_PKEY_get_group_name(key, group, sizeof(group), &len);
		snprintf(out, size, "EC P-%d", EVP_PKEY_get_bits(key));
		break;
	case EVP_PKEY_ED25519:
		snprintf(out, size, "Ed25519");
		break;
	default:
		snprintf(out, size, "unknown");
	}
}

bool tls_cert_key_digest(X509 *cert, uint8_t out[32])
{
	uint8_t digest[CRYPT_HASH_MAX];
	unsigned char *key = NULL;
	int key_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &key);

	if (key_len > 0) {
		crypt_digest(CRYPT_SHA256, sv_from((const char *)key, (size_t)key_len), digest);
		memcpy(out, digest, CRYPT_SHA256_LEN);
	}
	OPENSSL_free(key);
	return key_len > 0;
}

void tls_cert_describe(X509 *cert, struct tls_cert_facts *out)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	BIO *bio = BIO_new(BIO_s_mem());

	*out = (struct tls_cert_facts){ .not_before_s = unix_time(X509_get0_notBefore(cert)),
	                                .not_after_s = unix_time(X509_get0_notAfter(cert)) };
	X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253);
	int n = BIO_read(bio, out->subject, sizeof(out->subject) - 1);

	out->subject[n > 0 ? n : 0] = '\0';
	BIO_free(bio);
	if (X509_digest(cert, EVP_sha256(), digest, &len) && len == 32)
		crypt_hex(digest, 32, out->fingerprint);
	if (tls_cert_key_digest(cert, out->key))
		crypt_hex(out->key, 32, out->key_digest);
	list_names(cert, out->names, sizeof(out->names));
	describe_key(X509_get0_pubkey(cert), out->key_type, sizeof(out->key_type));
	out->is_self_signed = X509_self_signed(cert, 0) == 1;
	ERR_clear_error();
}

struct fault tls_cert_read(const char *path, struct tls_cert_facts *out)
{
	STACK_OF(X509) *chain;
	struct fault f = tls_load_chain(path, &chain);

	if (f.kind)
		return f;
	tls_cert_describe(sk_X509_value(chain, 0), out);
	sk_X509_pop_free(chain, X509_free);
	return FAULT_OK;
}

/* --- making one --- */

static bool is_host_name(struct sv name)
{
	if (!name.len || name.len > 253 || name.p[0] == '.' || name.p[name.len - 1] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];
		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '.' &&
		    !(c == '*' && !i))
			return false;
	}
	return true;
}

static GENERAL_NAME *general_name(struct sv name)
{
	struct netaddr a;
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *value;

	if (netaddr_parse(name, &a)) {
		value = ASN1_OCTET_STRING_new();
		if (a.family == NET_IPV4)
			ASN1_STRING_set(value, a.ip + 12, 4);
		else
			ASN1_STRING_set(value, a.ip, 16);
		GENERAL_NAME_set0_value(g, GEN_IPADD, value);
	} else {
		value = ASN1_IA5STRING_new();
		ASN1_STRING_set(value, name.p, (int)name.len);
		GENERAL_NAME_set0_value(g, GEN_DNS, value);
	}
	return g;
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool is_added = ext && X509_add_ext(cert, ext, -1);

	X509_EXTENSION_free(ext);
	return is_added;
}

static X509 *make_cert(const struct sv *names, size_t count, EVP_PKEY *key)
{
	X509 *cert = X509_new();
	GENERAL_NAMES *alt = GENERAL_NAMES_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	uint8_t serial[16];
	/* RFC 5280 §A.1: at most 64 characters. Names that count stand in the alternative names. */
	int cn_len = names[0].len <= 64 ? (int)names[0].len : 64;

	crypt_random(serial, sizeof(serial));
	serial[0] = (serial[0] & 0x7f) | 0x40;          /* positive, of full length */
	BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);

	for (size_t i = 0; i < count; i++)
		sk_GENERAL_NAME_push(alt, general_name(names[i]));
	bool is_good = X509_set_version(cert, X509_VERSION_3) &&
		       BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) &&
		       /* An hour back, for clients whose clock is late. */
		       X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
		       X509_time_adj_ex(X509_getm_notAfter(cert), SELF_SIGNED_DAYS, 0, NULL) &&
		       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
						  (const uint8_t *)names[0].p, cn_len, -1, 0) &&
		       X509_set_issuer_name(cert, subject) && X509_set_pubkey(cert, key) &&
		       add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
		       add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
		       add_extension(cert, NID_ext_key_usage, "serverAuth") &&
		       add_extension(cert, NID_subject_key_identifier, "hash") &&
		       X509_add1_ext_i2d(cert, NID_subject_alt_name, alt, 0, 0) == 1 &&
		       X509_sign(cert, key, EVP_sha256());

	BN_free(number);
	GENERAL_NAMES_free(alt);
	if (!is_good) {
		X509_free(cert);
		cert = NULL;
	}
	return cert;
}

static struct fault sync_folder_of(const char *path)
{
	char *folder = xstrdup(path);
	char *slash = strrchr(folder, '/');
	const char *name = !slash ? "." : slash == folder ? "/" : folder;
	struct fault f = FAULT_OK;

	if (slash)
		*slash = '\0';
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd))
		f = fault_errno("flush", name);
	if (fd >= 0)
		close(fd);
	free(folder);
	return f;
}

/* A new file of just this content, on disk when we return; nothing is left of it on failure. */
static struct fault write_new_file(const char *path, mode_t mode, BIO *content)
{
	char *p;
	long left = BIO_get_mem_data(content, &p);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	struct fault f = FAULT_OK;

	if (fd < 0)
		return fault_errno("create", path);
	while (left > 0 && !f.kind) {
		ssize_t n = write(fd, p, (size_t)left);
		if (n < 0 && errno != EINTR)
			f = fault_errno("write", path);
		if (n > 0) {
			p += n;
			left -= n;
		}
	}
	if (!f.kind && (fchmod(fd, mode) || fsync(fd)))
		f = fault_errno("flush", path);
	if (close(fd) && !f.kind)
		f = fault_errno("close", path);
	if (!f.kind)
		f = sync_folder_of(path);
	if (f.kind)
		unlink(path);
	return f;
}

struct fault tls_make_self_signed(const struct sv *names, size_t count, const char *cert_path,
                                  const char *key_path)
{
	struct netaddr ignored;

	if (!count)
		return fault(FAULT_INVALID, "no name for the certificate");
	for (size_t i = 0; i < count; i++) {
		if (!is_host_name(names[i]) && !netaddr_parse(names[i], &ignored))
			return fault_detail(FAULT_INVALID, "not a host name: %.*s",
					    SV_FMT(names[i]));
	}
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key ? make_cert(names, count, key) : NULL;
	BIO *key_pem = BIO_new(BIO_s_secmem()), *cert_pem = BIO_new(BIO_s_mem());
	struct fault f = FAULT_OK;

	if (!cert || !PEM_write_bio_PKCS8PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) ||
	    !PEM_write_bio_X509(cert_pem, cert))
		f = fault_detail(FAULT_INTERNAL, "certificate: %s", tls_reason());
	if (!f.kind)
		f = write_new_file(key_path, 0600, key_pem);
	if (!f.kind) {
		f = write_new_file(cert_path, 0644, cert_pem);
		if (f.kind)
			unlink(key_path); /* a key without its certificate only stands in the way */
	}
	ERR_clear_error();
	BIO_free(key_pem);
	BIO_free(cert_pem);
	X509_free(cert);
	EVP_PKEY_free(key);
	return f;
}
