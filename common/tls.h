/* common/tls.h - TLS: for servers certificates by name and reload, for clients what they expect of
 * the other side; for both one connection's handshake and records. With crypt.c the only file that sees OpenSSL. TLS 1.2 and 1.3 (older ones for old devices alone) with the ciphers of
 * Mozilla's intermediate list; no renegotiation, no compression, no early data. A struct tls_server
 * is made and reloaded on the loop's thread. Connections are driven by common/stream.c; sessions
 * ask only for facts and channel bindings. */
#ifndef COMMON_TLS_H
#define COMMON_TLS_H

#include "common/bytes.h"
#include "common/fault.h"

struct tls_server;
struct tls_conn;

/* A certificate with its key. Two pairs for the same names (ECDSA and RSA) are offered side by
 * side. */
struct tls_pair {
	const char *cert_path;  /* PEM: the certificate, then its intermediates */
	const char *key_path;   /* PEM; refused when group or others may read it */
};

/* What a listener's connections have in common: a row next to the listener's. */
struct tls_role {
	/* "imap", "submission": sessions and tickets of one role are worth nothing in another. */
	const char *name;
	/* "imap", "pop3", "smtp": a client that offers ALPN must offer this (RFC 7301 §3.2). */
	const char *alpn;
	bool has_no_tickets;    /* some senders fail over tickets of another TLS library */
	/* TLS 1.3: none before tls_give_ticket(). Who hangs up without a login has no use for one, and it is a tenth of what he costs. */
	bool has_late_tickets;
	bool has_old_versions;  /* devices that know nothing newer: TLS 1.0 and 1.1, CBC, RSA key exchange (against RFC 8996) */
};

/* A certificate as status and doctor show it. */
struct tls_cert_facts {
	char subject[256];
	char fingerprint[65];   /* SHA-256, lower-case hex */
	char key_digest[65];    /* SHA-256 of its public key: the data of a TLSA record 3 1 1 (RFC 6698 §2.1) */
	uint8_t key[32];        /* the same in octets: tls_peer_key() */
	int64_t not_before_s, not_after_s;      /* Unix time */
	char key_type[16];      /* "EC P-256", "RSA 2048" */
	bool is_self_signed;
	char names[1024];       /* subject alternative names, separated by a space */
};

struct tls_settings {
	/* The first is the default, for clients that send no name or one we do not have. */
	const struct tls_pair *pairs;
	size_t count;
	bool is_tls13_only;
	bool has_no_tickets;            /* for no role */
	bool has_ktls;                  /* let the kernel encrypt, where it can */
	/* Names of the roles that ask for the client's certificate, which none has to show. Whose it is nobody vouches for: it
	 * proves that the client has its key (tls_peer_key()), no more. */
	const char *const *asking;
	size_t asking_count;
};

/**
 * tls_server_new - read and match all pairs; the settings are copied. Which name a pair is for
 * comes from its certificate (subject alternative names, wildcards included). Errors:
 * FAULT_NOT_FOUND (no such file), FAULT_DENIED (the key may be read by others), FAULT_INVALID (not
 * PEM, key does not match, no pair); detail names the file and what is wrong with it.
 */
MUST_CHECK struct fault tls_server_new(const struct tls_settings *settings,
                                       struct tls_server **out);
void tls_server_free(struct tls_server **server);
/** tls_server_reload - read the same files again. On an error the old certificates stay in use.
 *  Connections that are open keep what they began with. */
MUST_CHECK struct fault tls_server_reload(struct tls_server *server);
/** tls_server_set_proofs - from now on, who asks for nothing but "acme-tls/1" gets the proof for that name, if one lies in this folder
 *  (tls_proof.h); tls_facts() then has that protocol, and there is nothing to be said on such a connection. The file is read in the
 *  handshake: one lies there for the seconds that an authority needs. NULL: nobody. */
void tls_server_set_proofs(struct tls_server *server, const char *folder);
/** tls_server_cert - facts of pair i; false when there is no such pair. */
bool tls_server_cert(const struct tls_server *server, size_t i, struct tls_cert_facts *out);
/** tls_cert_read - facts of the first certificate in a PEM file. */
MUST_CHECK struct fault tls_cert_read(const char *path, struct tls_cert_facts *out);
/**
 * tls_make_self_signed - a P-256 key and a certificate for 10 years, written to two new files,
 * durably; the key with mode 0600.
 * @names: host names and IP addresses for the subject alternative names; the first is the subject
 * too Errors: FAULT_EXISTS (nothing is overwritten), FAULT_INVALID (no name), from errno.
 */
MUST_CHECK struct fault tls_make_self_signed(const struct sv *names, size_t count,
                                             const char *cert_path, const char *key_path);

/* --- the client's side --- */

/* What connections to other servers have in common: the authorities to believe, versions, ciphers.
 * Loop thread only. */
struct tls_client;

/** tls_client_new - @ca_file: PEM, who may vouch for servers; NULL: whom this system believes.
 *  Errors: FAULT_NOT_FOUND, FAULT_INVALID. */
MUST_CHECK struct fault tls_client_new(const char *ca_file, struct tls_client **out);
/** tls_client_free - connections that are open go on. NULL is fine. */
void tls_client_free(struct tls_client **client);

/* What a connection asks of the other side; borrowed for the call that takes it. */
enum tls_trust {
	TLS_TRUST_ANY = 0,      /* opportunistic: any certificate (RFC 7435); with names, tls_peer_doubt() tells */
	TLS_TRUST_NAMES,        /* an authority vouches, for one of the names (RFC 9525) */
	TLS_TRUST_DANE,         /* one of the TLSA records fits (RFC 7672 §3): usage 3 the certificate itself, whatever
				   it says of names and dates; usage 2 its authority, for one of the names */
};
struct tls_dane {
	uint8_t usage, selector, matching;
	struct sv data;
};
struct tls_expect {
	const char *sni;        /* NULL: none is sent */
	enum tls_trust trust;
	const char *const *names;       /* TRUST_DANE: where the TLSA records lie comes first */
	size_t name_count;
	const struct tls_dane *dane;
	size_t dane_count;
};
/** tls_dane_is_usable - can SMTP use such a record (RFC 7672 §3.1.3)? Usages 2 and 3, with data of the right length. */
bool tls_dane_is_usable(const struct tls_dane *dane);

/* Why a certificate was not believed. */
enum tls_doubt {
	TLS_DOUBT_NONE = 0,     /* it was, or something else failed */
	TLS_DOUBT_TRUST,        /* nobody we believe vouches for it */
	TLS_DOUBT_EXPIRED,
	TLS_DOUBT_NAME,         /* it is for other names */
	TLS_DOUBT_DANE,         /* no TLSA record fits */
};
/** tls_peer_doubt - what TLS_TRUST_NAMES would have said of a connection that is up; NULL: nothing. */
const char *tls_peer_doubt(const struct tls_conn *c);
/** tls_peer_cert - facts of the certificate that the other side showed; false when it showed none. */
bool tls_peer_cert(const struct tls_conn *c, struct tls_cert_facts *out);
/** tls_peer_key - SHA-256 of the public key (SubjectPublicKeyInfo) of the certificate that the other side showed; false when it
 *  showed none. A resumed session has the one that it began with. */
bool tls_peer_key(const struct tls_conn *c, uint8_t out[32]);
/** tls_doubt_from - from what tls_error() or stream_end_detail() said. */
enum tls_doubt tls_doubt_from(struct sv error);

/* --- one connection: facts, for sessions --- */

struct tls_facts {
	const char *version;    /* "TLSv1.3" */
	const char *cipher;     /* "TLS_AES_256_GCM_SHA384" */
	int bits;               /* of the cipher's key, RFC 4954 wants to know */
	const char *sni;        /* NULL when the client sent none */
	const char *alpn;       /* NULL when the client offered none */
	bool is_resumed;
};

/** tls_facts - borrowed texts, valid as long as the connection. */
struct tls_facts tls_facts(const struct tls_conn *c);
/** tls_binding_exporter - channel binding tls-exporter (RFC 9266); 32 octets. False below TLS 1.3
 *  without extended master secret (RFC 9266 §4.2). */
bool tls_binding_exporter(const struct tls_conn *c, uint8_t out[32]);
/** tls_binding_end_point - channel binding tls-server-end-point (RFC 5929 §4.1): hash of our
 *  certificate. Returns its length, 0 when it is not defined. */
size_t tls_binding_end_point(const struct tls_conn *c, uint8_t out[64]);
/** tls_has_binding - is there one of the two? Costs next to nothing, as they do not. */
bool tls_has_binding(const struct tls_conn *c);

/* --- one connection: records, for stream.c --- */

enum tls_io {
	TLS_DONE,
	TLS_WANT_READ,          /* again when the socket is readable */
	TLS_WANT_WRITE,
	TLS_CLOSED,             /* close_notify came */
	TLS_CUT,                /* the socket ended without it */
	TLS_RESET,              /* the socket failed; errno was put into the detail */
	TLS_FAILED,             /* the peer broke the protocol, or none could be agreed on */
};

MUST_CHECK struct fault tls_conn_new(struct tls_server *server, const struct tls_role *role, int fd,
                                     struct tls_conn **out);
MUST_CHECK struct fault tls_client_conn_new(struct tls_client *client,
					    const struct tls_expect *expect, int fd,
					    struct tls_conn **out);
/** tls_conn_free - without another word to the peer; NULL is fine. */
void tls_conn_free(struct tls_conn **c);
enum tls_io tls_handshake(struct tls_conn *c);
/** tls_read, tls_write - *done octets were read or written; DONE means at least one was. */
enum tls_io tls_read(struct tls_conn *c, char *p, size_t n, size_t *done);
enum tls_io tls_write(struct tls_conn *c, const char *p, size_t n, size_t *done);
/** tls_has_more - octets of the peer lie here that no poll tells of: read on. Else nothing is lost by waiting for the socket. */
bool tls_has_more(const struct tls_conn *c);
/** tls_give_ticket - the client's login was good: with what is written next goes the ticket of a role that has_late_tickets. Nothing for
 *  any other role, version, or when it was given. */
void tls_give_ticket(struct tls_conn *c);
/** tls_say_goodbye - send close_notify. */
enum tls_io tls_say_goodbye(struct tls_conn *c);
/** tls_error - what the last FAILED or RESET was about; never NULL. */
const char *tls_error(const struct tls_conn *c);

#endif
