/* common/sieve/regex.h - POSIX extended regular expressions for the Sieve match type :regex, run as a set of states that goes
 * over the text once (Thompson, Pike): time is at most program size x text length, whatever the pattern.
 * Characters are UTF-8 characters; an octet that is none counts as one character. Back references are refused.
 * Pure: no I/O, any thread; a compiled expression is constant. */
#ifndef COMMON_SIEVE_REGEX_H
#define COMMON_SIEVE_REGEX_H

#include "common/memory.h"

#define REGEX_PROGRAM_MAX 1000  /* instructions: what a pattern's counted repetitions are multiplied out to */
#define REGEX_PATTERN_MAX 1024
#define REGEX_DEPTH_MAX 32      /* nested groups */
#define REGEX_GROUPS_MAX 10     /* remembered: the whole and nine groups, as ${0} to ${9} */

struct regex;
/** regex_compile - in the arena. NULL when the pattern is wrong or too large: *error is then a plain phrase (static). */
struct regex *regex_compile(struct arena *a, struct sv pattern, bool ignore_case, const char **error);
/** regex_cost - instructions: what one character of text may cost at most. */
size_t regex_cost(const struct regex *re);
/** regex_run - find the leftmost longest match. groups: views into text, p NULL for one that took no part; may be NULL. Memory
 *  for the run comes from scratch; false with *failed set when there is not enough. */
bool regex_run(const struct regex *re, struct sv text, struct arena *scratch, struct sv groups[REGEX_GROUPS_MAX], bool *failed);

#endif
