/* A key set and a token: "SET\nTOKEN". What must hold: a good token gives an account without control octets within its limit, the
 * same token gives the same answer, a token that is cut by one octet is good no more; and the messages that carry tokens are
 * parsed totally. */
#include <stdlib.h>

#include "common/bearer.h"
#include "common/memory.h"
#include "common/token.h"

#define NOW 1800000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct token_rules rules = { .issuer = "https://login.example", .audience = "mail", .account_claim = "email" };
	struct sv text = sv_from((const char *)data, size), set = SV_NONE, found;
	struct token_keys *keys = NULL;
	struct buf account, again;

	buf_init(&account, 400);
	buf_init(&again, 400);
	for (enum bearer_kind kind = BEARER_OAUTHBEARER; kind <= BEARER_XOAUTH2; kind++) {
		buf_clear(&account);
		if (!bearer_parse(kind, text, &account, &found).kind &&
		    (!found.len || found.p < text.p || found.p + found.len > text.p + text.len))
			abort();
	}
	buf_clear(&account);
	(void)sv_split(&text, '\n', &set);
	bool has_keys = !token_keys_parse(set, &keys).kind;

	if (has_keys != (token_keys_count(keys) > 0) || token_keys_count(keys) > TOKEN_KEYS_MAX)
		abort();
	enum token_verdict verdict = token_check(keys, &rules, text, NOW, &account);

	if (!*token_verdict_name(verdict) || (verdict == TOKEN_GOOD) != (account.len > 0) || (verdict == TOKEN_GOOD && !has_keys))
		abort();
	for (size_t i = 0; i < account.len; i++)
		if ((unsigned char)account.p[i] < ' ')
			abort();
	if (token_check(keys, &rules, text, NOW, &again) != verdict || !sv_eq(buf_sv(&account), buf_sv(&again)))
		abort();
	buf_clear(&again);
	if (text.len && token_check(keys, &rules, sv_sub(text, 0, text.len - 1), NOW, &again) == TOKEN_GOOD)
		abort();
	token_keys_free(&keys);
	buf_done(&account);
	buf_done(&again);
	return 0;
}
