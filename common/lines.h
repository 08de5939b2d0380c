/* common/lines.h - the rules of CR and LF, in one place.
 * Reading: command lines (SMTP, POP3, IMAP) and the end of SMTP DATA. Writing: dot-stuffing and the CRLF form of
 * files that other programs stored with LF. Everything is incremental and answers the same however the input is cut.
 *
 * "Wire form" of a message: each LF that no CR precedes counts as CRLF; a CR that no LF follows stays as it is.
 * Pure: no I/O, any thread; one object, one thread at a time. */
#ifndef COMMON_LINES_H
#define COMMON_LINES_H

#include "common/bytes.h"

/* What a parser says about what it was fed. */
enum feed {
	FEED_MORE = 0,  /* all input used, more is needed */
	FEED_DONE,      /* a whole unit was read; octets behind it are left in *in */
	FEED_BAD,       /* a unit was read that breaks a rule; see the parser's header how to go on */
};

/** byte_sink_fn - takes a run of octets, borrowed for the call. False: "no more, please"; the caller of the
 *  function that was given the sink learns it from that function's answer. */
typedef bool byte_sink_fn(void *ctx, struct sv run);
/** byte_sink_buf - a sink that appends to the struct buf * in ctx; false when its max would be passed. */
bool byte_sink_buf(void *ctx, struct sv run);

/* ---- command lines ---- */

enum line_fault {
	LINE_BARE_LF  = 1 << 0, /* ended by a LF without CR (RFC 5321 §2.3.8: smuggles a second mail) */
	LINE_BARE_CR  = 1 << 1, /* a CR that no LF follows stands in it (kept in the line) */
	LINE_NUL      = 1 << 2, /* a NUL stands in it (kept in the line) */
	LINE_TOO_LONG = 1 << 3, /* longer than the limit: the line holds its beginning, the rest was dropped */
	LINE_ENDLESS  = 1 << 4, /* 1 MiB was dropped and the line has not ended: close the connection */
};
#define LINE_DROP_MAX ((size_t)1 << 20)

struct line_reader {
	struct buf line;        /* after DONE or BAD: the line without its CRLF; valid until the next feed */
	unsigned faults;        /* enum line_fault bits of that line */
	size_t dropped;         /* octets beyond the limit */
	bool saw_cr, is_over;
};

/** line_reader_init - limit: longest line in octets, CRLF included. Allocates nothing yet. */
void line_reader_init(struct line_reader *r, size_t limit);
/** line_reader_feed - take octets off *in up to the end of a line.
 *  DONE: a clean line. BAD: a line that ended (a bare LF ends one, too) but has faults; the caller answers it and may
 *  feed on, the next line begins cleanly, except after LINE_ENDLESS. A caller that tolerates a fault (a bare LF
 *  on POP3, say) looks at r->faults. Never takes octets behind the end of the line. */
enum feed line_reader_feed(struct line_reader *r, struct sv *in);
/** line_reader_limit - another limit from the next line on (longer after login). */
void line_reader_limit(struct line_reader *r, size_t limit);
/** line_reader_is_idle - nothing of a line has arrived yet. */
bool line_reader_is_idle(const struct line_reader *r);
/** line_reader_rest - give the memory back while idle (ten thousand sessions wait in IDLE); r->line is gone. */
void line_reader_rest(struct line_reader *r);
/** line_reader_done - release the memory, overwriting it (AUTH lines hold secrets). */
void line_reader_done(struct line_reader *r);

/* ---- SMTP DATA and BDAT ---- */

enum data_flag {
	DATA_NORMALISE = 1 << 0, /* bare CR and bare LF become CRLF (submission). Without it they are a fault (mx). */
	DATA_NO_DOTS   = 1 << 1, /* BDAT (RFC 3030): no dot-stuffing and no end mark; never DONE, see _finish */
	DATA_BINARY    = 1 << 2, /* BODY=BINARYMIME (RFC 3030 §3): octets, not lines. Nothing is looked for but the size */
};
enum data_fault {
	DATA_BARE_LF   = 1 << 0,
	DATA_BARE_CR   = 1 << 1,
	DATA_NUL       = 1 << 2, /* an octet 0 (RFC 5321 §4.5.2 allows refusal; it is passed to the sink) */
	DATA_LONG_LINE = 1 << 3, /* a line of more than DATA_LINE_MAX octets without its CRLF */
	DATA_SINK_FULL = 1 << 4, /* the sink said false and was not called again */
};
#define DATA_LINE_MAX ((uint64_t)64 << 10)

/* Finds the end of DATA, which is CRLF.CRLF and nothing else (RFC 5321 §4.1.1.4), and takes the dots out (§4.5.2).
 * The message is read to its true end whatever its faults are, so that the session keeps its place; the caller then
 * looks at `faults`. Without DATA_NORMALISE the sink gets nothing any more after the first bare CR or LF, since
 * such a message is refused. With it a line that begins behind a bare CR or LF loses a leading dot only when a second
 * dot follows, and is never the end. */
struct data_scanner {
	byte_sink_fn *sink;
	void *ctx;
	unsigned flags, faults; /* enum data_flag, enum data_fault */
	uint64_t size;          /* octets of the message so far (as given to the sink, or as they would be) */
	uint64_t longest_line;  /* without CRLF */
	uint64_t line;          /* octets of the current line so far */
	unsigned char state;    /* private */
	bool is_line_start;     /* the message so far is empty or ends in CRLF; not with DATA_BINARY */
};

void data_scanner_init(struct data_scanner *s, unsigned flags, byte_sink_fn *sink, void *ctx);
/** data_scanner_feed - DONE at the end mark (octets behind it stay in *in), else MORE. Never BAD. */
enum feed data_scanner_feed(struct data_scanner *s, struct sv *in);
/** data_scanner_finish - DATA_NO_DOTS: the last chunk was fed; a CR held back at its end is bare. */
void data_scanner_finish(struct data_scanner *s);

/* ---- writing ---- */

/* Dot-stuffing for POP3 (RFC 1939 §3) and the SMTP client (RFC 5321 §4.5.2). The input is in wire form: only CRLF ends
 * a line; use a crlf_writer before it where that is not sure. Zero-initialised it is at the start. */
struct dot_writer {
	unsigned char state;    /* private */
	bool is_full;           /* the sink said false: the rest was not written */
};
/** dot_writer_feed - write the octets to the sink, a dot before each dot that begins a line. False when is_full. */
bool dot_writer_feed(struct dot_writer *w, struct sv in, byte_sink_fn *sink, void *ctx);
/** dot_writer_end - CRLF if the last line lacks it, then ".\r\n". */
bool dot_writer_end(struct dot_writer *w, byte_sink_fn *sink, void *ctx);

/* Any stored file to wire form. Zero-initialised it is at the start. Output is at most twice the input. */
struct crlf_writer {
	bool saw_cr;
	bool is_full;
};
/** crlf_writer_feed - write the octets to the sink, a CR before each bare LF. False when is_full. */
bool crlf_writer_feed(struct crlf_writer *w, struct sv in, byte_sink_fn *sink, void *ctx);

#endif
