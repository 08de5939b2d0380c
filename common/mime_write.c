#include "common/mime_write.h"

#include "common/charset.h"
#include "common/transfer.h"

#include "common/banned.h"

#define LINE_MAX_ASCII 900      /* longer lines are wrapped by quoted-printable; RFC 5322 §2.1.1 allows 998 */
#define WORD_OCTETS 42          /* of text in one encoded-word: 56 in base64, 68 with its frame (RFC 2047 §2) */
#define FIELD_LINE 76
#define QP_LINE 73              /* octets before a soft line break, which ends with "=" */

static bool is_plain_ascii(struct sv s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < ' ' || s.p[i] == 127)
			return false;
	return true;
}

/* ASCII, folded before a space when a line gets long. */
static bool write_folded(struct buf *out, size_t at, struct sv text)
{
	struct sv word;
	bool is_first = true;

	while (sv_split(&text, ' ', &word)) {
		bool fold = !is_first && at + word.len + 1 > FIELD_LINE && word.len;

		if (!is_first && !buf_append(out, fold ? SV("\r\n ") : SV(" ")))
			return false;
		if (!buf_append(out, word))
			return false;
		at = fold ? word.len + 1 : at + word.len + !is_first;
		is_first = false;
	}
	return true;
}

static bool write_words(struct buf *out, struct sv text)
{
	bool is_first = true;

	while (text.len) {
		size_t n = text.len < WORD_OCTETS ? text.len : WORD_OCTETS;

		while (n < text.len && n > 1 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
			n--;            /* a character stays whole (RFC 2047 §5) */
		if (!(is_first || buf_append(out, SV("\r\n "))) || !buf_append(out, SV("=?utf-8?B?")) ||
		    !base64_encode(sv_sub(text, 0, n), out) || !buf_append(out, SV("?=")))
			return false;
		sv_skip(&text, n);
		is_first = false;
	}
	return true;
}

bool mime_write_text_field(struct buf *out, struct sv name, struct sv text)
{
	struct buf clean;
	bool ok;

	buf_init(&clean, text.len * 3 + 16);
	(void)utf8_clean(text, &clean);
	for (size_t i = 0; i < clean.len; i++)
		if ((unsigned char)clean.p[i] < ' ' || clean.p[i] == 127)
			clean.p[i] = ' ';
	ok = buf_append(out, name) && buf_append(out, SV(": ")) &&
	     (is_plain_ascii(buf_sv(&clean)) && sv_search(buf_sv(&clean), SV("=?")) == SIZE_MAX && clean.len < LINE_MAX_ASCII ?
	      write_folded(out, name.len + 2, buf_sv(&clean)) : write_words(out, buf_sv(&clean))) &&
	     buf_append(out, SV("\r\n"));
	buf_done(&clean);
	return ok;
}

bool mime_write_crlf(struct buf *out, struct sv text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (!c || c == '\r')
			continue;       /* what was CRLF becomes it again, a bare CR goes */
		if (!(c == '\n' ? buf_append(out, SV("\r\n")) : buf_append_c(out, c)))
			return false;
	}
	return !text.len || text.p[text.len - 1] == '\n' || buf_append(out, SV("\r\n"));
}

static bool needs_encoding(struct sv text)
{
	struct sv line;

	if (sv_has_8bit(text))
		return true;
	while (sv_split(&text, '\n', &line))
		if (line.len > LINE_MAX_ASCII || sv_find(line, '\0') != SIZE_MAX)
			return true;
	return false;
}

static bool write_qp_line(struct buf *out, struct sv line)
{
	size_t at = 0;

	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.p[i];
		bool is_blank = (c == ' ' || c == '\t') && i + 1 < line.len;
		bool is_safe = (c > ' ' && c < 127 && c != '=') || is_blank;

		/* A dot at a line's beginning and "From " are safe from old programs this way. */
		if (!at && (c == '.' || c == 'F'))
			is_safe = false;
		if (at + (is_safe ? 1 : 3) > QP_LINE) {
			if (!buf_append(out, SV("=\r\n")))
				return false;
			at = 0;
		}
		if (!(is_safe ? buf_append_c(out, (char)c) : buf_appendf(out, "=%02X", c)))
			return false;
		at += is_safe ? 1 : 3;
	}
	return buf_append(out, SV("\r\n"));
}

static bool write_qp(struct buf *out, struct sv text)
{
	struct sv line;

	while (text.len && sv_split(&text, '\n', &line)) {
		if (line.len && line.p[line.len - 1] == '\r')
			line.len--;
		if (!write_qp_line(out, line))
			return false;
	}
	return true;
}

bool mime_write_plain(struct buf *out, struct sv text)
{
	struct buf clean;
	bool ok, is_encoded;

	buf_init(&clean, text.len * 3 + 16);
	(void)utf8_clean(text, &clean);
	is_encoded = needs_encoding(buf_sv(&clean));
	ok = buf_append(out, SV("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
				"Content-Transfer-Encoding: ")) &&
	     buf_append(out, is_encoded ? SV("quoted-printable\r\n\r\n") : SV("7bit\r\n\r\n")) &&
	     (is_encoded ? write_qp(out, buf_sv(&clean)) : mime_write_crlf(out, buf_sv(&clean)));
	buf_done(&clean);
	return ok;
}
