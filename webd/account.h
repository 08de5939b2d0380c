/* webd/account.h - the account page: people sign in with their account's password, see and change what is theirs. Handlers of
 * webd/routes.c, on pool threads; only by TLS.
 *
 * A form is taken when its token is right, which only a page of the same visit (before signing in: of the same browser) has shown, and when
 * the browser does not say that it came from elsewhere. Every change ends in a redirect, so that a page can be loaded anew. */
#ifndef WEBD_ACCOUNT_H
#define WEBD_ACCOUNT_H

#include "webd/routes.h"

#define ACCOUNT_COOKIE "__Host-postroom"        /* names the visit */
#define ACCOUNT_PROFILE_PATH "/account/profile/"        /* and a token */
#define ACCOUNT_DOOR_COOKIE "__Host-postroom-door"      /* of a browser that has not signed in: for its form's token */

void account_show(const struct route_context *ctx, const struct request *q, struct response *out);
void account_sign_in(const struct route_context *ctx, const struct request *q, struct response *out);
void account_sign_out(const struct route_context *ctx, const struct request *q, struct response *out);
void account_app_password(const struct route_context *ctx, const struct request *q, struct response *out);
void account_revoke(const struct route_context *ctx, const struct request *q, struct response *out);
void account_device(const struct route_context *ctx, const struct request *q, struct response *out);
/** account_phone - make a link that sets up a phone; account_profile - what it leads to, once: an app password in a profile. */
void account_phone(const struct route_context *ctx, const struct request *q, struct response *out);
void account_profile(const struct route_context *ctx, const struct request *q, struct response *out);
void account_vacation(const struct route_context *ctx, const struct request *q, struct response *out);

#endif
