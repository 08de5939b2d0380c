#include "smtpd/relay/answer.h"

#include "common/banned.h"

void answer_init(struct answer *a)
{
	*a = (struct answer){ .code = 0 };
	buf_init(&a->text, ANSWER_TEXT_MAX);
	line_reader_init(&a->line, ANSWER_LINE_MAX);
}

void answer_done(struct answer *a)
{
	buf_done(&a->text);
	line_reader_done(&a->line);
}

/* take_status - "5.1.1 " in front of the text, when its class is the code's (RFC 2034 §4). */
static void take_status(struct answer *a, struct sv *text)
{
	struct sv rest = *text, word;
	size_t dots = 0;

	if (!sv_split(&rest, ' ', &word) || word.len < 5 || word.len >= ANSWER_STATUS_MAX ||
	    (unsigned)(word.p[0] - '0') != a->code / 100 || word.p[1] != '.')
		return;
	for (size_t i = 0; i < word.len; i++) {
		if (word.p[i] == '.' && i && i + 1 < word.len && word.p[i - 1] != '.')
			dots++;
		else if (!ascii_is_digit(word.p[i]))
			return;
	}
	if (dots != 2)
		return;
	if (!a->status[0])
		memcpy(a->status, word.p, word.len);
	*text = rest;
}

/* take_line - "250-text", "250 text" or "250". FEED_DONE behind the last one. */
static enum feed take_line(struct answer *a, struct sv line)
{
	uint32_t code;
	bool is_last = line.len == 3 || (line.len > 3 && line.p[3] == ' ');

	if (line.len < 3 || !sv_to_u32(sv_sub(line, 0, 3), &code) || code < 200 || code > 599 ||
	    (!is_last && line.p[3] != '-') || ++a->lines > ANSWER_LINES_MAX)
		return FEED_BAD;
	if (a->lines == 1)
		a->code = code;
	else if (a->code != code)
		return FEED_BAD;
	sv_skip(&line, line.len > 3 ? 4 : 3);
	take_status(a, &line);
	if (a->lines > 1)
		(void)buf_append_c(&a->text, '\n');
	(void)buf_append(&a->text, line);
	return is_last ? FEED_DONE : FEED_MORE;
}

enum feed answer_feed(struct answer *a, struct sv *in)
{
	if (a->is_done) {
		buf_clear(&a->text);
		memset(a->status, 0, sizeof(a->status));
		a->lines = 0;
		a->is_done = false;
	}
	while (in->len) {
		enum feed got = line_reader_feed(&a->line, in);

		if (got == FEED_MORE)
			return FEED_MORE;
		/* A bare LF that ends a line and control characters are other people's sloppiness;
		 * a line beyond the limit is not. */
		if (a->line.faults & (LINE_TOO_LONG | LINE_ENDLESS))
			return FEED_BAD;
		got = take_line(a, buf_sv(&a->line.line));
		if (got == FEED_MORE)
			continue;
		a->is_done = got == FEED_DONE;
		return got;
	}
	return FEED_MORE;
}

struct sv answer_line(const struct answer *a, size_t n)
{
	struct sv rest = buf_sv(&a->text), line;

	while (sv_split(&rest, '\n', &line))
		if (!n--)
			return line;
	return SV_NONE;
}

bool answer_clean(struct buf *out, struct sv text)
{
	bool is_utf8 = sv_is_utf8(text), fits = true;

	for (size_t i = 0; i < text.len && fits; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool is_bad = c < ' ' || c == 0x7f || (c >= 0x80 && !is_utf8);

		/* C1 controls in UTF-8: C2 80 to C2 9F. */
		if (c == 0xc2 && is_utf8 && (unsigned char)text.p[i + 1] < 0xa0) {
			i++;
			is_bad = true;
		}
		fits = buf_append_c(out, is_bad ? (c == '\n' || c == '\t' ? ' ' : '?') : (char)c);
	}
	return fits;
}

bool answer_append(const struct answer *a, struct buf *out)
{
	return buf_appendf(out, "%03u ", a->code) &&
	       (!a->status[0] || buf_appendf(out, "%s ", a->status)) &&
	       answer_clean(out, buf_sv(&a->text));
}
