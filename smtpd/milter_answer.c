/* What a filter answers: letters with data (Sendmail's libmilter/mfdef.h). Total on any octets. */
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

/* take_reply - "550 5.7.1 text": its class decides; the code that the peer sees is of our table. */
static void take_reply(struct screen_verdict *v, struct sv text)
{
	v->action = text.len && text.p[0] == '5' ? SCREEN_REJECT : SCREEN_DEFER;
	if (text.len > 4)
		sv_skip(&text, 4);
	if (text.len > 6 && ascii_is_digit(text.p[0]) && text.p[1] == '.' &&
	    sv_find(text, ' ') != SIZE_MAX)
		sv_skip(&text, sv_find(text, ' ') + 1);
	screen_keep_text(v->text, sizeof(v->text), text);
}

bool milter_take_answer(char letter, struct sv data, struct screen_verdict *v, bool *is_final)
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
		v->action = SCREEN_DISCARD;
		*is_final = true;
		return true;
	case 'r':
	case 't':
		v->action = letter == 'r' ? SCREEN_REJECT : SCREEN_DEFER;
		*is_final = true;
		return true;
	case 'y':
		if (take_word(&data, &value))
			take_reply(v, value);
		else
			v->action = SCREEN_DEFER;
		*is_final = true;
		return true;
	case 'i':
		if (data.len < 4)
			return false;
		sv_skip(&data, 4);
		if (take_word(&data, &name) && take_word(&data, &value))
			screen_add_header(v, name, value);
		return false;
	case 'h':
		if (take_word(&data, &name) && take_word(&data, &value))
			screen_add_header(v, name, value);
		return false;
	case 'm': /* change: of the filter's own fields only; without a value it is taken out */
		if (data.len < 4)
			return false;
		sv_skip(&data, 4);
		if (!take_word(&data, &name) || !take_word(&data, &value) || !sv_starts_nocase(name, SV("X-")))
			return false;
		screen_remove_header(v, name);
		if (value.len)
			screen_add_header(v, name, value);
		return false;
	case 'q':
		if (take_word(&data, &value))
			screen_keep_text(v->quarantine, sizeof(v->quarantine),
				       value.len ? value : SV("quarantine"));
		return false;
	case 'f': /* connection failed, shutdown */
	case '4':
		v->action = SCREEN_DEFER;
		*is_final = true;
		return true;
	default: /* progress; and what it was not offered */
		return false;
	}
}
