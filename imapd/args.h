/* imapd/args.h - the arguments of a command, read one after the other out of the parser's tokens.
 *
 * A struct args is a place in them: a value, copied to look ahead and thrown away. Each function takes
 * one argument and moves on, or answers false and stays. What it gives are views into the parser's
 * text, good until grammar_next(). Two arguments are apart by a space (RFC 3501 §9), but for what
 * args_glued() takes. Pure code: any thread, one at a time. */
#ifndef IMAPD_ARGS_H
#define IMAPD_ARGS_H

#include "imapd/grammar.h"

struct args {
	const struct grammar *g;
	uint32_t at, end;               /* the next token, and the one behind the last */
};

/** args_from - the tokens from index `first` on. */
struct args args_from(const struct grammar *g, uint32_t first);
/** args_end - no argument is left. */
bool args_end(const struct args *a);
/** args_peek - the next token, or NULL. */
const struct token *args_peek(const struct args *a);
/** args_atom - an atom (RFC 3501 atom; `\` first is let through for flags by args_flag only). */
bool args_atom(struct args *a, struct sv *out);
/** args_raw - any unquoted word: sequence sets, FETCH items, search dates; what it may hold is for
 * the caller to check. */
bool args_raw(struct args *a, struct sv *out);
/** args_glued - an unquoted word that follows the token before it without a space: `]<0.100>`
 * behind a list. */
bool args_glued(struct args *a, struct sv *out);
/** args_word - this very atom, in any case. */
bool args_word(struct args *a, const char *word);
/** args_astring - atom (with `]`), quoted string or literal. */
bool args_astring(struct args *a, struct sv *out);
/** args_string - quoted string or literal. */
bool args_string(struct args *a, struct sv *out);
/** args_pattern - list-mailbox: like an astring, wildcards allowed. */
bool args_pattern(struct args *a, struct sv *out);
/** args_flag - a flag or keyword: `\Seen`, `$Forwarded`. */
bool args_flag(struct args *a, struct sv *out);
bool args_u32(struct args *a, uint32_t *out);
bool args_u64(struct args *a, uint64_t *out);
/** args_open - a parenthesised list: *inside walks its content, a moves behind it. */
bool args_open(struct args *a, struct args *inside);

#endif
