/* imapd/writer.c - see writer.h. */
#include "imapd/writer.h"

#include "common/charset.h"
#include "imapd/grammar.h"

#include "common/banned.h"

#define QUOTED_MAX 1024 /* longer strings go as literals: nothing to escape, nothing to scan */
#define MUTF7_MAX 4096

void writer_init(struct writer *w, size_t max)
{
	w->is_full = false;
	buf_init(&w->buf, max);
}

void writer_done(struct writer *w)
{
	buf_done(&w->buf);
}

void writer_f(struct writer *w, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (!buf_vappendf(&w->buf, format, ap))
		w->is_full = true;
	va_end(ap);
}

void writer_quoted(struct writer *w, struct sv s)
{
	writer_c(w, '"');
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '"' || c == '\\')
			writer_c(w, '\\');
		writer_c(w, c == '\r' || c == '\n' || c == '\0' ? '?' : c);
	}
	writer_c(w, '"');
}

void writer_literal(struct writer *w, uint64_t n)
{
	writer_c(w, '{');
	writer_u64(w, n);
	writer_put(w, SV("}\r\n"));
}

void writer_string(struct writer *w, struct sv s)
{
	bool is_plain = s.len <= QUOTED_MAX;

	for (size_t i = 0; is_plain && i < s.len; i++)
		is_plain = (s.p[i] >= ' ' || s.p[i] == '\t') && s.p[i] < 0x7f;
	if (is_plain) {
		writer_quoted(w, s);
		return;
	}
	writer_literal(w, s.len);
	while (s.len) {
		size_t n = sv_find(s, '\0');

		writer_put(w, sv_sub(s, 0, n));
		if (n == SIZE_MAX)
			return;
		writer_c(w, (char)0x80);
		sv_skip(&s, n + 1);
	}
}

void writer_astring(struct writer *w, struct sv s)
{
	/* NIL as an atom would be read as "nothing" by many a client. */
	if (astring_is_atom(s) && s.len <= QUOTED_MAX && !sv_eq_nocase(s, SV("NIL")))
		writer_put(w, s);
	else
		writer_string(w, s);
}

void writer_mailbox(struct writer *w, struct sv utf8)
{
	struct buf name;

	buf_init(&name, MUTF7_MAX);
	if (utf8_to_mutf7(utf8, &name))
		writer_astring(w, buf_sv(&name));
	else
		w->is_full = true;      /* the store gives valid names only */
	buf_done(&name);
}

void writer_mailbox_utf8(struct writer *w, struct sv utf8)
{
	if (sv_has_8bit(utf8))
		writer_quoted(w, utf8);
	else
		writer_astring(w, utf8);
}

void writer_uidset(struct writer *w, const struct uidset *set)
{
	if (!uidset_write(set, &w->buf))
		w->is_full = true;
}

void writer_answer(struct writer *w, struct sv tag, struct answer answer, struct sv code)
{
	writer_put(w, tag.len ? tag : SV("*"));
	writer_c(w, ' ');
	writer_z(w, answer.word);
	writer_c(w, ' ');
	if (!code.len)
		code = sv_z(answer.code);
	if (code.len) {
		writer_c(w, '[');
		writer_put(w, code);
		writer_put(w, SV("] "));
	}
	writer_z(w, answer.text);
	writer_crlf(w);
}

struct answer answer_for(enum fault_kind kind)
{
	switch (kind) {         /* no default: the compiler names the fault we forgot */
	case FAULT_NONE:        return (struct answer){ "OK", NULL, "Done" };
	case FAULT_NOT_FOUND:   return (struct answer){ "NO", "NONEXISTENT", "No such mailbox" };
	case FAULT_EXISTS:
		return (struct answer){ "NO", "ALREADYEXISTS", "It exists already" };
	case FAULT_DENIED:      return (struct answer){ "NO", "NOPERM", "Not allowed" };
	case FAULT_AUTH:
		return (struct answer){ "NO", "AUTHENTICATIONFAILED", "Authentication failed" };
	case FAULT_INVALID:
		return (struct answer){ "NO", "CANNOT", "Not possible with this name or value" };
	case FAULT_LIMIT:
		return (struct answer){ "NO", "LIMIT", "A limit does not allow this" };
	case FAULT_QUOTA:
		return (struct answer){ "NO", "OVERQUOTA", "The account's storage is used up" };
	case FAULT_BUSY:
		return (struct answer){ "NO", "INUSE", "Busy, try again in a moment" };
	case FAULT_IN_USE:
		return (struct answer){ "NO", "INUSE", "In use by another session" };
	case FAULT_NO_SPACE:
		return (struct answer){ "NO", "UNAVAILABLE",
					"The server's disk is full, try again later" };
	case FAULT_READ_ONLY:
		return (struct answer){ "NO", "UNAVAILABLE",
					"The server's disk can only be read at present, try again later" };
	case FAULT_GONE:
		return (struct answer){ "NO", "EXPUNGEISSUED", "It was removed meanwhile" };
	case FAULT_CORRUPT:
		return (struct answer){ "NO", "CORRUPTION", "A stored message is damaged" };
	case FAULT_UNSUPPORTED: return (struct answer){ "NO", "CANNOT", "Not supported" };
	case FAULT_UNAVAILABLE:
		return (struct answer){ "NO", "UNAVAILABLE", "Temporarily not available" };
	case FAULT_INTERNAL:
		return (struct answer){ "NO", "UNAVAILABLE", "Internal error, try again later" };
	}
	BUG("fault %d", (int)kind);
}
