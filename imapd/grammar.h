/* imapd/grammar.h - the one parser of what an IMAP client sends (RFC 3501 §9, RFC 7888, RFC 3516
 * literal8).
 *
 * It takes input cut at any octet and turns one command line with its literals into a flat row of
 * tokens. A list is an opening token that knows where its closing one is, so that reading arguments
 * needs no recursion and no tree. What the tokens mean is the business of the commands, which read
 * them as arguments (imapd/args.h).
 *
 * Limits come before memory: every octet is charged to the line or to the literals of the command,
 * in every state, dropped ones too. A command that broke a limit or the grammar is read to its true
 * end (its non-synchronizing literals included), so the next command is found; a peer that goes on
 * far beyond every limit gets GRAMMAR_OVERFLOW. Pure code: any thread, one at a time. */
#ifndef IMAPD_GRAMMAR_H
#define IMAPD_GRAMMAR_H

#include "common/bytes.h"

enum token_kind { TOKEN_ATOM = 1, TOKEN_QUOTED, TOKEN_LITERAL, TOKEN_OPEN, TOKEN_CLOSE };

struct token {
	uint32_t at, len;       /* its octets in the parser's text, unescaped */
	uint32_t match;         /* of TOKEN_OPEN: the index of its TOKEN_CLOSE */
	uint8_t kind;
	bool is_spaced;         /* a space stood before it */
	bool is_binary;         /* literal8 (RFC 3516) */
	bool is_streamed;       /* a literal whose octets went to the caller: len is 0 */
};

struct grammar_limits {
	size_t line;            /* octets of a command outside of literals */
	size_t literal;         /* of one collected literal */
	size_t literal_nonsync; /* of one that comes without being asked for */
	size_t literals;        /* of all collected literals of one command */
	size_t depth;           /* of lists */
	size_t tokens;
};

enum grammar_event {
	GRAMMAR_MORE = 0, /* the input is used up */
	GRAMMAR_COMMAND, /* a whole command is in the tokens; grammar_next() goes on to the next one
			  */
	GRAMMAR_LITERAL, /* a literal is announced in ->literal; answer by
			    grammar_take/stream/drop/refuse() */
	GRAMMAR_OCTETS,  /* ->octets are the next ones of a streamed literal (borrowed from the
			    input) */
	GRAMMAR_LITERAL_END, /* the streamed literal is complete */
	GRAMMAR_LINE, /* line mode: ->text holds the line without CRLF; grammar_next() ends the mode
		       */
	GRAMMAR_BAD,  /* a bad command was read to its end; ->why and ->is_too_big say more */
	GRAMMAR_OVERFLOW, /* the peer does not stop: end the connection */
};

struct grammar_literal {
	uint64_t size;
	bool is_sync; /* the client waits for "+" (RFC 3501 §4.3); else LITERAL+ (RFC 7888) */
	bool is_binary;
};

struct grammar {
	struct grammar_limits limits;
	struct buf text;                /* octets of all tokens; in line mode the line */
	struct token *tokens;
	size_t count, cap;
	struct grammar_literal literal;
	struct sv octets;
	const char *why;                /* what was wrong, for the client; a literal text */
	bool is_too_big;                /* it was a literal beyond the limit: [TOOBIG] */

	/* private */
	uint8_t state, literal_mode;
	bool is_spaced, is_bad, is_line, is_tilde, is_flood;
	size_t line_used, literals_used, dropped, line_max;
	uint64_t literals_dropped;
	uint64_t left;                  /* octets of the literal to come */
	uint32_t open; /* innermost open list, or UINT32_MAX; its match is the one outside of it */
	size_t depth;
	uint8_t digits;
};

void grammar_init(struct grammar *g, const struct grammar_limits *limits);
void grammar_done(struct grammar *g);
/** grammar_next - forget the command; the next octet starts a new one. Large buffers are given
 * back. */
void grammar_next(struct grammar *g);
/** grammar_idle - no command for a while: give all memory back. Only between commands. */
void grammar_idle(struct grammar *g);
/** grammar_is_idle - nothing of a command has been read yet. */
bool grammar_is_idle(const struct grammar *g);
/** grammar_expect_line - the next input is one plain line of at most max octets, not a command
 * (answers in AUTHENTICATE, DONE in IDLE). The tokens of the running command stay valid. */
void grammar_expect_line(struct grammar *g, size_t max);
/** grammar_feed - take octets off *in until something is to be told. */
enum grammar_event grammar_feed(struct grammar *g, struct sv *in);

/* Answers to GRAMMAR_LITERAL. */
/** grammar_take - collect it as an argument. false: it is beyond a limit. Then, when the client
 * waits (is_sync), the command is over and grammar_refuse() was done; else it is dropped and
 * GRAMMAR_BAD follows at the end of the command, or GRAMMAR_OVERFLOW at once if grammar_is_flood().
 */
bool grammar_take(struct grammar *g);
/** grammar_is_flood - what is announced is far beyond every limit: do not wait for it. */
bool grammar_is_flood(const struct grammar *g);
/** grammar_stream - its octets go to the caller by GRAMMAR_OCTETS. */
void grammar_stream(struct grammar *g);
/** grammar_drop - read it and forget it; the tokens go on behind it. */
void grammar_drop(struct grammar *g);
/** grammar_refuse - it will not come (is_sync only): forget the command. */
void grammar_refuse(struct grammar *g);

/** grammar_tag - the tag of the command, or the empty view while it is unknown or not a valid tag
 * (RFC 3501 §9). */
struct sv grammar_tag(const struct grammar *g);
struct sv token_text(const struct grammar *g, const struct token *t);

/** atom_is_valid - may s stand unquoted where the grammar says atom? */
bool atom_is_valid(struct sv s);
/** astring_is_atom - may s stand unquoted where the grammar says astring? */
bool astring_is_atom(struct sv s);

#endif
