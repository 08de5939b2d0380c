/* webd/visits.h - who is signed in at the account page: a table in memory, of fixed size, which a restart empties.
 *
 * A visit is named by a token that nobody can guess (160 bits); kept is its digest alone. It ends when it is left alone for
 * VISIT_IDLE_MS, after VISIT_LIFE_MS in any case, by signing out, or when the table is full and it is the one that was left alone for longest;
 * of one account at most VISITS_PER_ACCOUNT are there at a time. Any thread. */
#ifndef WEBD_VISITS_H
#define WEBD_VISITS_H

#include "common/crypt.h"
#include "common/directory.h"

#define VISIT_TOKEN_LEN 32
#define VISITS_MAX 512
#define VISITS_PER_ACCOUNT 8
#define VISIT_IDLE_MS (30u * 60 * 1000)
#define VISIT_LIFE_MS (12u * 3600 * 1000)
#define VISIT_LABEL_MAX DIRECTORY_LABEL_MAX
#define VISIT_LINK_MAX 400

/* Who visits. A plain value. */
struct visit {
	char address[DIRECTORY_ADDRESS_MAX + 1];
	char account[DIRECTORY_ID_LEN + 1];     /* its id */
	/* Of what made the login good (account_mark()): another one means that it would not be good any more. */
	uint8_t mark[CRYPT_SHA256_LEN];
};

/* An app password that its owner has not seen yet, or a link to one. */
struct visit_secret {
	char label[VISIT_LABEL_MAX + 1];
	char password[CRYPT_SECRET_LEN + 1];
	char link[VISIT_LINK_MAX + 1];          /* to a profile that has it, in its place; "": none */
};

struct visits;

struct visits *visits_new(void);
void visits_free(struct visits **v);
/** visits_begin - @now_ms: of a clock that only goes forward; token: for the cookie. */
void visits_begin(struct visits *v, const struct visit *who, uint64_t now_ms, char token[VISIT_TOKEN_LEN + 1]);
/** visits_find - whose token is it? Counts as a sign of life. */
bool visits_find(struct visits *v, struct sv token, uint64_t now_ms, struct visit *out);
void visits_end(struct visits *v, struct sv token);
/** visits_end_account - all of an account, by its id; returns how many. */
size_t visits_end_account(struct visits *v, struct sv account);
/** visits_end_others - all of an account but the one with this token. */
void visits_end_others(struct visits *v, struct sv account, struct sv token);
/** visits_leave - keep a secret for the next page of this visit. Copied. */
void visits_leave(struct visits *v, struct sv token, const struct visit_secret *secret);
/** visits_take - once; false: there is none. Wipe *out. */
bool visits_take(struct visits *v, struct sv token, struct visit_secret *out);
/** visits_count - that are not over. */
size_t visits_count(struct visits *v, uint64_t now_ms);

#endif
