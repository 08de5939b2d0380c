/* webd/routes.h - which path leads to which answer. A handler runs on a pool thread and sees nothing but its arguments. */
#ifndef WEBD_ROUTES_H
#define WEBD_ROUTES_H

#include "common/conf.h"
#include "common/netaddr.h"
#include "common/work.h"
#include "webd/request.h"
#include "webd/response.h"

struct auth;
struct directory;
struct instance;
struct log_ctx;
struct offers;
struct status_recorder;
struct visits;

/* What a handler may look at. */
struct route_context {
	const struct conf *conf;
	const struct instance *instance;
	struct directory *directory;
	struct netaddr peer;
	bool is_tls;
	struct sv tls;                  /* the TLS version; empty: none */
	struct auth *auth;
	struct visits *visits;
	struct offers *offers;
	struct status_recorder *status;
	const struct log_ctx *log;
};

/** route_https_host - "name" or "name:port", as somebody has to write it to reach us by HTTPS. @is_forwarded: by the web server in front. */
bool route_https_host(const struct conf *conf, struct sv name, bool is_forwarded, struct buf *out);
/** route_class - what kind of job answering will be. */
enum work_class route_class(const struct request *request);
/** route_request - answer a whole request. */
void route_request(const struct route_context *ctx, const struct request *request, struct response *out);
/** route_log_path - what the log may have of a path: of one that ends in a token (unsubscribing, challenges), its beginning. */
struct sv route_log_path(struct sv path);

#endif
