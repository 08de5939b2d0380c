/* common/http.h - HTTPS as a client, without blocking: the keeper of libcurl. Only the fetch helper uses it, and only there
 * the library is loaded (it brings LDAP, Kerberos and SSH along, which no other process should hold).
 *
 * Names are resolved by common/dns, before the request; where an address may not be gone to, none is made. Certificates are
 * always verified. No redirect is followed, no proxy, no cookie, no login, no compression; each request is a connection of its
 * own, bounded in octets and time. Loop thread only. */
#ifndef COMMON_HTTP_H
#define COMMON_HTTP_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/ipnet.h"

struct dns;
struct http;
struct http_call;
struct loop;

struct http_settings {
	const char *ca_file;            /* PEM, who may vouch for servers; NULL: whom this system believes */
	bool allow_private;             /* also to addresses that are not of the internet */
	const char *agent;              /* User-Agent */
};

/** http_new - loads the library and the authorities: before the sandbox. FAULT_UNSUPPORTED: there is no libcurl here;
 *  FAULT_NOT_FOUND: no such ca_file. */
MUST_CHECK struct fault http_new(struct loop *loop, struct dns *dns, const struct http_settings *settings, struct http **out);
/** http_free - calls under way are forgotten. NULL is fine. */
void http_free(struct http **http);

struct http_request {
	struct sv url;                  /* "https://host[:port]/path"; the host is a name */
	struct sv body, type;           /* POST this; empty: GET */
	struct sv fields;               /* more header fields of a POST, "Name: value" and a newline each */
	uint32_t octets_max;            /* of the answer's body */
	uint32_t time_ms;               /* for all of it */
};
struct http_response {
	/* FAULT_INVALID (no URL of that kind), FAULT_DENIED (an address where we do not go), FAULT_LIMIT (too long),
	 * FAULT_UNAVAILABLE (no answer, no trust; detail says why) */
	struct fault fault;
	uint32_t status;
	struct sv type, body;
	struct sv location, nonce;      /* of the header fields Location and Replay-Nonce (RFC 8555 §6.5); "" without */
	uint32_t retry_after_s;         /* Retry-After in seconds; 0: none */
};
/** Called once, in a later turn; the response is borrowed for the call. */
typedef void http_fn(void *arg, const struct http_response *response);
/** http_ask - @request: copied. @out: for http_forget(); may be NULL. */
void http_ask(struct http *http, const struct http_request *request, http_fn *fn, void *arg, struct http_call **out);
/** http_forget - do not call. Sets *call to NULL. NULL is fine. */
void http_forget(struct http_call **call);

/** http_is_public - an address of the internet: not loopback, private, link-local, shared, multicast or reserved. @ip: 16
 *  octets, IPv4 mapped. */
bool http_is_public(const uint8_t ip[16]);

#endif
