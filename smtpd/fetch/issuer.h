/* smtpd/fetch/issuer.h - brings the OpenID issuer's keys: the configuration document (OpenID Connect Discovery §4), then the key
 * set that it names, over verified HTTPS; written for the workers of all daemons (common/issuer.h). Once at the start, then
 * every `oauth-refresh`, and when a worker has met a key that it does not know, at most once per `oauth-refresh-floor`. While the
 * issuer does not answer, what was brought before stays, and it is asked again after 10 s, doubling to 10 minutes. Loop thread
 * only. */
#ifndef SMTPD_FETCH_ISSUER_H
#define SMTPD_FETCH_ISSUER_H

#include "common/fault.h"
#include "common/json.h"

struct conf_auth;
struct http;
struct instance;
struct issuer_fetch;
struct loop;

/** issuer_fetch_new - NULL *out: no issuer is configured. @http: borrowed; NULL: HTTPS cannot be spoken. */
MUST_CHECK struct fault issuer_fetch_new(struct loop *loop, struct http *http, const struct instance *instance,
					 const struct conf_auth *conf, struct issuer_fetch **out);
/** issuer_fetch_free - after the loop has ended. NULL is fine. */
void issuer_fetch_free(struct issuer_fetch **fetch);
/** issuer_fetch_status - members for `status`; nothing without an issuer. */
void issuer_fetch_status(const struct issuer_fetch *fetch, struct json_out *j);

#endif
