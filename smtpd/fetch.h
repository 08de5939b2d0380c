/* smtpd/fetch.h - something is wanted by HTTPS: ask the fetch helper, the only process that speaks HTTP outward. It lives
 * beside smtpd's workers (smtpd/fetch/), resolves names by common/dns, follows no redirects, and goes to no private address
 * unless `fetch-private-addresses` says so. Asked over smtpd's control socket. Loop thread only. */
#ifndef SMTPD_FETCH_H
#define SMTPD_FETCH_H

#include "common/bytes.h"
#include "common/fault.h"

struct loop;

#define FETCH_URL_MAX 2000
#define FETCH_OCTETS_MAX (256u << 10)   /* of what comes back */
#define FETCH_BODY_MAX (40u << 10)      /* of what is sent along */
#define FETCH_TIME_MS 20000             /* for the whole of it */

struct fetch_request {
	struct sv url;                  /* https://...; borrowed for the call */
	uint32_t octets_max;            /* 0: FETCH_OCTETS_MAX */
	struct sv body, type;           /* POST this; empty: GET */
	/* More header fields of a POST, "Name: value" and a newline each: only to the place that `webhook-url` names, which
	 * may have a private address. */
	struct sv fields;
};

struct fetch_result {
	/* FAULT_UNAVAILABLE: no answer (detail says why); FAULT_LIMIT: too long; FAULT_DENIED: an address where it may not
	 * go; FAULT_INVALID: no such URL. Otherwise the rest is set. */
	struct fault fault;
	uint32_t status;                /* 200 */
	struct sv type;                 /* Content-Type; may be empty */
	struct sv body;
};

struct fetch;
/** Called once, in a later turn; the result is borrowed for the call. */
typedef void fetch_fn(void *arg, const struct fetch_result *result);
/** fetch_ask - @socket: smtpd's control socket. @out: for fetch_forget(). */
void fetch_ask(struct loop *loop, const char *socket, const struct fetch_request *request, fetch_fn *fn, void *arg,
	       struct fetch **out);
/** fetch_forget - do not call. Sets *fetch to NULL. NULL is fine. */
void fetch_forget(struct fetch **fetch);

#endif
