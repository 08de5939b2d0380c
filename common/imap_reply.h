/* common/imap_reply.h - the one parser of what an IMAP server sends (RFC 3501 §7 and §9, RFC 9051, RFC 3516 literal8), for programs
 * of ours that are its client.
 *
 * It takes input cut at any octet and turns one response with its literals into a flat row of tokens; a list is an opening token
 * that knows where its closing one is, so reading needs no recursion. What a server says in words (behind OK, NO, BAD, BYE, PREAUTH
 * and "+") is one text, since it need not be balanced in any way.
 *
 * The server is a stranger: every octet outside of streamed literals is charged to a limit before it is kept, and what is no
 * response ends the parsing for good. Pure code: any thread, one at a time. */
#ifndef COMMON_IMAP_REPLY_H
#define COMMON_IMAP_REPLY_H

#include "common/bytes.h"

enum imap_reply_kind {
	IMAP_REPLY_ATOM = 1,    /* also numbers, flags and NIL */
	IMAP_REPLY_QUOTED,
	IMAP_REPLY_TEXT,        /* the rest of the line */
	IMAP_REPLY_OCTETS,      /* a literal */
	IMAP_REPLY_OPEN,
	IMAP_REPLY_CLOSE,
};

struct imap_reply_token {
	uint32_t at, len;       /* its octets in the parser's text, unescaped */
	uint32_t match;         /* of OPEN: the index of its CLOSE */
	uint8_t kind;
	bool is_streamed;       /* a literal that went to the caller, or was too large to be kept: len is 0 */
};

#define IMAP_REPLY_LINE_MAX    ((size_t)256 << 10)      /* octets of a response outside of literals */
#define IMAP_REPLY_LITERAL_MAX ((size_t)64 << 10)       /* ... of all its literals that are kept */
#define IMAP_REPLY_TOKENS_MAX  8192
#define IMAP_REPLY_DEPTH_MAX   32

enum imap_reply_event {
	IMAP_REPLY_MORE = 0,    /* the input is used up */
	IMAP_REPLY_DONE,        /* a whole response is in the tokens; imap_reply_next() goes on to the next one */
	IMAP_REPLY_LITERAL,     /* a literal of ->literal octets begins: imap_reply_stream(), or else it is kept */
	IMAP_REPLY_PIECE,       /* ->piece are the next octets of a streamed literal (borrowed from the input) */
	IMAP_REPLY_LITERAL_END, /* the streamed literal is complete */
	IMAP_REPLY_BAD,         /* no IMAP, or beyond a limit: ->why says which. Nothing more is read */
};

struct imap_reply {
	struct buf text;
	struct imap_reply_token *tokens;
	size_t count;
	uint64_t literal;
	struct sv piece;
	const char *why;

	/* private */
	size_t cap, depth, line, kept;
	uint64_t left;
	uint32_t open;          /* innermost open list, or UINT32_MAX; its match is the one outside of it */
	uint8_t state, digits, brackets;
	bool is_streaming;
};

void imap_reply_init(struct imap_reply *r);
void imap_reply_done(struct imap_reply *r);
/** imap_reply_feed - take octets off *in until something is to be told. */
enum imap_reply_event imap_reply_feed(struct imap_reply *r, struct sv *in);
/** imap_reply_stream - after IMAP_REPLY_LITERAL: its octets come by IMAP_REPLY_PIECE. Otherwise they are kept as a token, as far
 *  as the limit allows. */
void imap_reply_stream(struct imap_reply *r);
/** imap_reply_next - forget the response; the next octet begins a new one. Large memory is given back. */
void imap_reply_next(struct imap_reply *r);

/** imap_reply_text - the octets of token i; empty beyond the last one. */
struct sv imap_reply_text(const struct imap_reply *r, size_t i);
/** imap_reply_is - is token i this atom, in any case? */
bool imap_reply_is(const struct imap_reply *r, size_t i, const char *word);
/** imap_reply_after - the index behind token i, with all that is in it when it is a list. */
size_t imap_reply_after(const struct imap_reply *r, size_t i);
/** imap_reply_code - the response code of a text: name and what stands behind it, "[UIDVALIDITY 7] ok". False: none. */
bool imap_reply_code(struct sv text, struct sv *name, struct sv *value);

#endif
