#include "webd/html.h"

#include <stdio.h>

#include "common/date.h"
#include "common/fault.h"

#include "common/banned.h"

void html_init(struct html *h, struct buf *out)
{
	*h = (struct html){ .out = out };
}

/* How many octets at the beginning are one character that may stand in a page; 0: what is there becomes U+FFFD. Names come from outside: no
 * controls, and nothing that turns the direction of the text behind it (UAX #9). */
static size_t good_char(struct sv text)
{
	unsigned char c = (unsigned char)text.p[0];
	size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	struct sv one = sv_sub(text, 0, len);

	if (len == 1)
		return (c >= ' ' && c != 0x7f) || c == '\r' || c == '\n' || c == '\t' ? 1 : 0;
	if (one.len != len || !sv_is_utf8(one))
		return 0;
	if (len == 2 && c == 0xc2 && (unsigned char)one.p[1] < 0xa0)    /* U+0080..U+009F */
		return 0;
	if (len == 3 && c == 0xe2) {
		unsigned char b = (unsigned char)one.p[1], a = (unsigned char)one.p[2];

		if ((b == 0x80 && ((a >= 0xaa && a <= 0xae) || a == 0x8e || a == 0x8f)) || (b == 0x81 && a >= 0xa6 && a <= 0xa9))
			return 0;       /* U+200E, U+200F, U+202A..U+202E, U+2066..U+2069 */
	}
	return len;
}

static struct sv reference(char c)
{
	switch (c) {
	case '&':  return SV("&amp;");
	case '<':  return SV("&lt;");
	case '>':  return SV("&gt;");
	case '"':  return SV("&quot;");
	case '\'': return SV("&#39;");
	default:   return SV_NONE;
	}
}

static void put(struct html *h, struct sv s)
{
	if (!buf_append(h->out, s))
		h->is_cut = true;
}

static void put_text(struct html *h, struct sv text)
{
	while (text.len && !h->is_cut) {
		size_t len = good_char(text);
		struct sv ref = reference(text.p[0]);

		put(h, ref.len ? ref : len ? sv_sub(text, 0, len) : SV("\xef\xbf\xbd"));
		sv_skip(&text, len ? len : 1);
	}
}

void html_write(struct html *h, const char *literal, size_t len, const struct sv *texts, size_t count)
{
	struct sv rest = sv_from(literal, len);
	size_t used = 0;

	while (rest.len) {
		size_t at = sv_find(rest, '$');

		put(h, sv_sub(rest, 0, at));
		if (at == SIZE_MAX)
			break;
		if (used == count)
			BUG("a page with %zu texts: \"%s\"", count, literal);
		put_text(h, texts[used++]);
		sv_skip(&rest, at + 1);
	}
	if (used != count)
		BUG("a page with %zu texts of %zu: \"%s\"", used, count, literal);
}

/* ---- texts ---- */

static char *number(struct html *h)
{
	return h->numbers[h->next++ % HTML_NUMBERS];
}

struct sv html_u64(struct html *h, uint64_t n)
{
	char *text = number(h);

	snprintf(text, sizeof(h->numbers[0]), "%llu", (unsigned long long)n);
	return sv_z(text);
}

struct sv html_size(struct html *h, uint64_t octets)
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB", "PB", "EB" };
	char *text = number(h);
	double value = (double)octets;
	size_t unit = 0;

	for (; value >= 1023.95 && unit + 1 < ARRAY_LEN(units); unit++)
		value /= 1024;
	snprintf(text, sizeof(h->numbers[0]), unit == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return sv_z(text);
}

static struct date_civil civil(int64_t at_s)
{
	struct date_civil c;

	date_to_civil((struct date){ .seconds = at_s }, &c);
	return c;
}

struct sv html_time(struct html *h, int64_t at_s)
{
	struct date_civil c = civil(at_s);
	char *text = number(h);

	if (at_s <= 0)
		return SV("never");
	snprintf(text, sizeof(h->numbers[0]), "%04d-%02d-%02d %02d:%02d UTC", (int)c.year, (int)c.month, (int)c.day, (int)c.hour, (int)c.minute);
	return sv_z(text);
}

struct sv html_day(struct html *h, int64_t at_s)
{
	return sv_sub(html_time(h, at_s), 0, 10);
}
