/* webd/account_page.h - the account page as HTML. Pure: everything shown comes by the arguments. */
#ifndef WEBD_ACCOUNT_PAGE_H
#define WEBD_ACCOUNT_PAGE_H

#include "webd/account_view.h"
#include "webd/response.h"
#include "webd/visits.h"

/* The forms of the page: what each does, and under which path. */
enum account_form { FORM_SIGN_IN, FORM_SIGN_OUT, FORM_APP_PASSWORD, FORM_REVOKE, FORM_DEVICE, FORM_VACATION, FORM_PHONE, FORM_COUNT };
extern const char *const account_paths[FORM_COUNT];

#define FORM_TOKEN_LEN 32
/* Of each form the token that has to come back with it. */
typedef char form_tokens[FORM_COUNT][FORM_TOKEN_LEN + 1];

/* What is said on top of the page; enum zero: nothing. It travels as a number in the address. */
enum account_said { SAID_NOTHING = 0, SAID_REVOKED, SAID_DEVICE_ENDED, SAID_VACATION_ON, SAID_VACATION_OFF, SAID_SIGNED_OUT, SAID_COUNT };

struct account_page {
	const struct account_view *view;
	form_tokens tokens;
	enum account_said said;
	const char *wrong;              /* why nothing was changed; NULL */
	const struct visit_secret *secret;      /* a new app password; NULL */
};

/** account_page_write - of who is signed in. */
void account_page_write(const struct account_page *page, struct response *out);
/** link_used_page_write - a link that is not good any more. */
void link_used_page_write(struct response *out);
/** sign_in_page_write - @wrong: why not, a sentence; "" at the first time. @user: what was given as the name. */
void sign_in_page_write(const char *token, struct sv user, struct sv wrong, enum account_said said, struct response *out);
/** refused_page_write - a form that is not ours, or too old. */
void refused_page_write(struct response *out);

#endif
