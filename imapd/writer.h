/* imapd/writer.h - the one place where IMAP responses are put together (RFC 3501 §7, §9).
 * A writer is a bounded buffer that remembers when it overflowed, so that a command checks once, at
 * its end. Everything a peer could have chosen (names, header octets) goes through writer_string()
 * or writer_astring(), which pick atom, quoted string or literal, so no answer can break the
 * grammar. Pure: any thread, one at a time. */
#ifndef IMAPD_WRITER_H
#define IMAPD_WRITER_H

#include "common/bytes.h"
#include "common/fault.h"
#include "maildir/uidset.h"

struct writer {
	struct buf buf;
	bool is_full; /* something did not fit: the response is broken, end the connection */
};

/* How a command ended: RFC 3501 §7.1, RFC 5530. */
struct answer {
	const char *word;       /* "OK", "NO" or "BAD" */
	const char *code;       /* response code without brackets, or NULL */
	const char *text;
};

void writer_init(struct writer *w, size_t max);
void writer_done(struct writer *w);

static inline void writer_put(struct writer *w, struct sv s)
{
	if (!buf_append(&w->buf, s))
		w->is_full = true;
}
/** writer_z - a literal text of ours. */
static inline void writer_z(struct writer *w, const char *z)
{
	writer_put(w, sv_z(z));
}
static inline void writer_c(struct writer *w, char c)
{
	if (!buf_append_c(&w->buf, c))
		w->is_full = true;
}
static inline void writer_u64(struct writer *w, uint64_t n)
{
	if (!buf_append_u64(&w->buf, n))
		w->is_full = true;
}
void writer_f(struct writer *w, const char *format, ...) PRINTF_LIKE(2, 3);
/** writer_quoted - always "..."; s must have no CR, LF, NUL (they become `?`: our own texts and
 * dates). */
void writer_quoted(struct writer *w, struct sv s);
/** writer_string - quoted when it is short printable ASCII, else a literal. NUL becomes 0x80, as it
 * may not be sent. */
void writer_string(struct writer *w, struct sv s);
/** writer_astring - an atom where possible. */
void writer_astring(struct writer *w, struct sv s);
/** writer_mailbox - a UTF-8 mailbox name as the client knows it: modified UTF-7 (RFC 3501 §5.1.3).
 */
void writer_mailbox(struct writer *w, struct sv utf8);
/** writer_mailbox_utf8 - the same for a client that takes UTF-8 in quoted strings (RFC 9051 §5.1,
 * RFC 9755). */
void writer_mailbox_utf8(struct writer *w, struct sv utf8);
/** writer_literal - the announcement of n octets that the caller writes next. */
void writer_literal(struct writer *w, uint64_t n);
void writer_uidset(struct writer *w, const struct uidset *set);
/** writer_crlf - the end of a response. */
static inline void writer_crlf(struct writer *w)
{
	writer_put(w, SV("\r\n"));
}
/** writer_answer - a status response: `tag OK [CODE] text`. @code overrides answer.code when it is
 * not empty; an empty tag gives an untagged one. */
void writer_answer(struct writer *w, struct sv tag, struct answer answer, struct sv code);

/** answer_for - the wording of a fault; the one switch of this daemon. */
struct answer answer_for(enum fault_kind kind);

#endif
