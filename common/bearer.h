/* common/bearer.h - what OAUTHBEARER (RFC 7628) and XOAUTH2 (its forerunner, which Google and Microsoft describe) send: a name, and
 * a token that proves it. Pure: no I/O, any thread, total on any octets. */
#ifndef COMMON_BEARER_H
#define COMMON_BEARER_H

#include "common/bytes.h"
#include "common/fault.h"

enum bearer_kind { BEARER_OAUTHBEARER = 1, BEARER_XOAUTH2 };

/**
 * bearer_parse - the client's first message.
 * @user:  the name it says, unescaped; appended to; nothing: it says none (XOAUTH2 always says one)
 * @token: a view of the message
 * FAULT_INVALID: not such a message, or not a bearer token.
 */
MUST_CHECK struct fault bearer_parse(enum bearer_kind kind, struct sv message, struct buf *user, struct sv *token);

/** bearer_refusal - append the challenge that says why (RFC 7628 §3.2.2), for clients which then get a new token; the client
 *  answers it by an octet of 1, or by nothing. @issuer: its URL. */
void bearer_refusal(enum bearer_kind kind, const char *issuer, struct buf *out);

#endif
