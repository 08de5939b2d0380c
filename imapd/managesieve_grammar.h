/* imapd/managesieve_grammar.h - the one parser of ManageSieve (RFC 5804 §4): command lines with quoted strings, literals and
 * numbers, cut anywhere. Every octet is charged to a limit; what is wrong is read up to its end, literals included, so that the next
 * command is found. Pure; one object, one thread at a time. */
#ifndef IMAPD_MANAGESIEVE_GRAMMAR_H
#define IMAPD_MANAGESIEVE_GRAMMAR_H

#include "common/bytes.h"

#define MS_ARGS_MAX 2           /* no command has more */
#define MS_VERB_MAX 32
#define MS_SKIP_MAX ((uint32_t)16 << 20)        /* octets of one literal that are read to be dropped */

enum ms_event {
	MS_MORE = 0,            /* all input used, more is needed */
	MS_COMMAND,             /* a whole command: look at verb and arguments */
	MS_BAD,                 /* a line that is no command was read to its end */
	MS_TOO_LARGE,           /* a command beyond the limit was read to its end */
	MS_OVERFLOW,            /* a literal of more than MS_SKIP_MAX, or a line without end: give up */
};

enum ms_arg_kind { MS_STRING = 1, MS_NUMBER };

struct ms_arg {
	enum ms_arg_kind kind;
	size_t at, len;         /* in text */
	uint32_t number;
};

struct ms_grammar {
	struct buf text;        /* the verb, then the strings */
	size_t verb_len;
	struct ms_arg args[MS_ARGS_MAX];
	size_t arg_count;
	uint32_t state;         /* private from here */
	uint32_t left;          /* octets of a literal */
	uint64_t number, line;  /* a number as it is read; octets of the line outside of literals */
	uint32_t tail;          /* in a bad line: how much of a literal's beginning was seen */
	bool has_digits, is_string_only, is_bad, is_large, is_over;
};

/** ms_grammar_init - @max: octets of a command's strings together */
void ms_grammar_init(struct ms_grammar *g, size_t max);
void ms_grammar_done(struct ms_grammar *g);
/** ms_grammar_limit - another limit, between commands. */
void ms_grammar_limit(struct ms_grammar *g, size_t max);
/** ms_grammar_expect_string - the next line is one string alone: a SASL response (RFC 5804 §2.1). */
void ms_grammar_expect_string(struct ms_grammar *g);
/** ms_grammar_feed - take octets off *in. What an event gave is forgotten by the next call. */
enum ms_event ms_grammar_feed(struct ms_grammar *g, struct sv *in);
struct sv ms_grammar_verb(const struct ms_grammar *g);
/** ms_grammar_string, ms_grammar_number - an argument, if it is one. Views live until the next feed. */
bool ms_grammar_string(const struct ms_grammar *g, size_t i, struct sv *out);
bool ms_grammar_number(const struct ms_grammar *g, size_t i, uint32_t *out);

#endif
