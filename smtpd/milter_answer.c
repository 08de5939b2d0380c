/* What a filter answers: letters with data (Sendmail's libmilter/mfdef.h). Total on any octets. */
#include <stdio.h>

#include "common/header.h"
#include "common/lines.h"
#include "smtpd/milter.h"

#include "common/banned.h"

static uint32_t u32_at(struct sv s)
{
	const unsigned char *p = (const unsigned char *)s.p;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

enum feed milter_take_packet(struct sv *in, char *letter, struct sv *data)
{
	uint32_t len;

	if (in->len < 5)
		return in->len >= 4 && !u32_at(*in) ? FEED_BAD : FEED_MORE;
	len = u32_at(*in);
	if (!len || len > MILTER_PACKET_MAX)
		return FEED_BAD;
	if (in->len - 4 < len)
		return FEED_MORE;
	*letter = in->p[4];
	*data = sv_sub(*in, 5, len - 1);
	sv_skip(in, 4 + (size_t)len);
	return FEED_DONE;
}

/* take_word - up to the NUL that ends it; what has none is no word. */
static bool take_word(struct sv *data, struct sv *word)
{
	size_t end = sv_find(*data, '\0');

	if (end == SIZE_MAX)
		return false;
	*word = sv_sub(*data, 0, end);
	sv_skip(data, end + 1);
	return true;
}

static void keep_printable(char *out, size_t size, struct sv text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len && n + 1 < size; i++)
		out[n++] = text.p[i] < ' ' || text.p[i] > '~' ? ' ' : text.p[i];
	out[n] = '\0';
}

static bool is_name(struct sv name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == ':')
			return false;
	return name.len > 0 && name.len < 200;
}

/* append_value - line ends inside become folds, and nothing else can begin a line of its own. */
static bool append_value(struct buf *out, struct sv value)
{
	bool ok = true;

	while (value.len && (value.p[value.len - 1] == '\n' || value.p[value.len - 1] == '\r'))
		value.len--;
	for (size_t i = 0; i < value.len && ok; i++) {
		char c = value.p[i];

		if (c == '\r')
			continue;
		if (c != '\n') {
			ok = buf_append_c(out, c && c != '\x7f' ? c : '?');
			continue;
		}
		ok = buf_append(out, SV("\r\n\t"));
		while (i + 1 < value.len && strchr(" \t\r\n", value.p[i + 1]) && value.p[i + 1])
			i++;
	}
	return ok;
}

static void add_header(struct milter_verdict *v, struct sv name, struct sv value)
{
	size_t start = v->headers.len;
	struct sv text = sv_trim(value);

	if (!is_name(name))
		return;
	if (sv_eq_nocase(name, SV("X-Spam")) || sv_eq_nocase(name, SV("X-Spam-Flag")))
		v->is_spam |= sv_starts_nocase(text, SV("yes"));
	if (!buf_append(&v->headers, name) || !buf_append(&v->headers, SV(": ")) ||
	    !append_value(&v->headers, text) || !buf_append(&v->headers, SV("\r\n")))
		v->headers.len = start;
}

/* take_reply - "550 5.7.1 text": its class decides; the code that the peer sees is of our table. */
static void take_reply(struct milter_verdict *v, struct sv text)
{
	v->action = text.len && text.p[0] == '5' ? MILTER_REJECT : MILTER_DEFER;
	if (text.len > 4)
		sv_skip(&text, 4);
	if (text.len > 6 && ascii_is_digit(text.p[0]) && text.p[1] == '.' &&
	    sv_find(text, ' ') != SIZE_MAX)
		sv_skip(&text, sv_find(text, ' ') + 1);
	keep_printable(v->text, sizeof(v->text), text);
}

bool milter_take_answer(char letter, struct sv data, struct milter_verdict *v, bool *is_final)
{
	struct sv name, value;

	*is_final = false;
	switch (letter) {
	case 'c': /* continue */
	case 's': /* skip the rest of the body */
		return true;
	case 'a': /* accept */
		*is_final = true;
		return true;
	case 'd':
		v->action = MILTER_DISCARD;
		*is_final = true;
		return true;
	case 'r':
	case 't':
		v->action = letter == 'r' ? MILTER_REJECT : MILTER_DEFER;
		*is_final = true;
		return true;
	case 'y':
		if (take_word(&data, &value))
			take_reply(v, value);
		else
			v->action = MILTER_DEFER;
		*is_final = true;
		return true;
	case 'i':
		if (data.len < 4)
			return false;
		sv_skip(&data, 4);
		if (take_word(&data, &name) && take_word(&data, &value))
			add_header(v, name, value);
		return false;
	case 'h':
		if (take_word(&data, &name) && take_word(&data, &value))
			add_header(v, name, value);
		return false;
	case 'm': /* change: a field of the filter's own is added on top, others stay as the sender
		     wrote them */
		if (data.len < 4)
			return false;
		sv_skip(&data, 4);
		if (take_word(&data, &name) && take_word(&data, &value) && value.len &&
		    sv_starts_nocase(name, SV("X-")))
			add_header(v, name, value);
		return false;
	case 'q':
		if (take_word(&data, &value))
			keep_printable(v->quarantine, sizeof(v->quarantine),
				       value.len ? value : SV("quarantine"));
		return false;
	case 'f': /* connection failed, shutdown */
	case '4':
		v->action = MILTER_DEFER;
		*is_final = true;
		return true;
	default: /* progress; and what it was not offered */
		return false;
	}
}
