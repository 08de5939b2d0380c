/* webd/offers.h - links that set up a phone: each is good once, for OFFER_LIFE_MS, and stands for an app password that is made when it is
 * followed, not before. A table in memory, of fixed size, which a restart empties. A link is a token that nobody can guess (160 bits); kept is its
 * digest alone. Used ones count until their time is over, so an account has at most OFFERS_PER_ACCOUNT in that time. Any thread. */
#ifndef WEBD_OFFERS_H
#define WEBD_OFFERS_H

#include "webd/visits.h"

#define OFFER_TOKEN_LEN 32
#define OFFER_LIFE_MS (10u * 60 * 1000)
#define OFFERS_MAX 256
#define OFFERS_PER_ACCOUNT 5

struct offer {
	struct visit who;
	char label[VISIT_LABEL_MAX + 1];        /* of the app password */
};

struct offers;

struct offers *offers_new(void);
void offers_free(struct offers **o);
/** offers_make - @now_ms: of a clock that only goes forward. False: too many in this time. */
bool offers_make(struct offers *o, const struct offer *offer, uint64_t now_ms, char token[OFFER_TOKEN_LEN + 1]);
/** offers_take - once. False: there is none, it is over, or it has been taken. */
bool offers_take(struct offers *o, struct sv token, uint64_t now_ms, struct offer *out);
/** offers_end_account - all of an account, by its id. */
void offers_end_account(struct offers *o, struct sv account);

#endif
