#include "admin/logline.h"

#include <time.h>

#include "common/date.h"
#include "common/json.h"

#include "common/banned.h"

/* ---- reading ---- */

static bool is_name_sign(char c)
{
	return (c >= 'a' && c <= 'z') || ascii_is_digit(c) || c == '_';
}

static bool two_digits(struct sv *text, int *out)
{
	if (text->len < 2 || !ascii_is_digit(text->p[0]) || !ascii_is_digit(text->p[1]))
		return false;
	*out = (text->p[0] - '0') * 10 + text->p[1] - '0';
	sv_skip(text, 2);
	return true;
}

bool logline_time(struct sv text, int64_t *seconds, unsigned *milliseconds)
{
	struct date_civil c = { 0 };
	struct date date;
	int century, year;
	int *const parts[] = { &c.month, &c.day, &c.hour, &c.minute, &c.second };

	if (!two_digits(&text, &century) || !two_digits(&text, &year))
		return false;
	c.year = century * 100 + year;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!text.len || text.p[0] != "--T::"[i])
			return false;
		sv_skip(&text, 1);
		if (!two_digits(&text, parts[i]))
			return false;
	}
	*milliseconds = 0;
	if (text.len && text.p[0] == '.') {
		unsigned scale = 100;

		for (sv_skip(&text, 1); text.len && ascii_is_digit(text.p[0]); sv_skip(&text, 1), scale /= 10)
			*milliseconds += (unsigned)(text.p[0] - '0') * scale;
	}
	if ((!sv_eq(text, SV("Z")) && !sv_eq(text, SV("+0000"))) || !date_from_civil(&c, 0, &date))
		return false;
	*seconds = date.seconds;
	return true;
}

/* take_quoted - a value in quotes, *text standing behind the first one: what the logger escaped comes back. */
static bool take_quoted(struct logline *line, struct sv *text, struct logline_field *field)
{
	struct sv in = *text;
	char *out = line->values + line->used;
	size_t n = 0;

	while (in.len && in.p[0] != '"') {
		char c = in.p[0];
		size_t skip = 1;

		if (c == '\\' && in.len >= 4 && in.p[1] == 'x' && ascii_hex(in.p[2]) >= 0 && ascii_hex(in.p[3]) >= 0) {
			c = (char)(ascii_hex(in.p[2]) << 4 | ascii_hex(in.p[3]));
			skip = 4;
		} else if (c == '\\' && in.len >= 2) {
			c = in.p[1];
			skip = 2;
		}
		if (line->used + n == sizeof(line->values))
			return false;
		out[n++] = c;
		sv_skip(&in, skip);
	}
	if (!in.len)
		return false;
	field->text = sv_from(text->p, (size_t)(in.p - text->p));
	field->value = sv_from(out, n);
	line->used += n;
	sv_skip(&in, 1);
	*text = in;
	return !text->len || text->p[0] == ' ';
}

static bool take_field(struct logline *line, struct sv *text, struct logline_field *field)
{
	size_t n = 0;

	while (n < text->len && is_name_sign(text->p[n]))
		n++;
	if (!n || n == text->len || text->p[n] != '=')
		return false;
	field->name = sv_sub(*text, 0, n);
	sv_skip(text, n + 1);
	if (text->len && text->p[0] == '"') {
		sv_skip(text, 1);
		return take_quoted(line, text, field);
	}
	size_t end = sv_find(*text, ' ');

	field->value = field->text = sv_sub(*text, 0, end);
	sv_skip(text, field->text.len);
	return true;
}

bool logline_parse(struct logline *line, struct sv text)
{
	line->count = 0;
	line->used = 0;
	line->seconds = INT64_MIN;
	line->milliseconds = 0;
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == '\177')
			return false;   /* the logger writes none: it would reach a terminal */
	while (text.len) {
		struct logline_field field;

		if (!take_field(line, &text, &field))
			return false;
		if (line->count < LOGLINE_FIELDS_MAX)
			line->fields[line->count++] = field;
		if (text.len)
			sv_skip(&text, 1);
	}
	if (!logline_get(line, "event").len)
		return false;
	(void)logline_time(logline_get(line, "ts"), &line->seconds, &line->milliseconds);
	return true;
}

struct sv logline_get(const struct logline *line, const char *name)
{
	for (size_t i = 0; i < line->count; i++)
		if (sv_eq(line->fields[i].name, sv_z(name)))
			return line->fields[i].value;
	return SV_NONE;
}

/* ---- whom it is about ---- */

static bool is_address_sign(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || (c && strchr(".-_+@", c)) || (unsigned char)c >= 0x80;
}

/* has_address - somewhere in the text, and not as a part of a longer one: "x@a.example" is not in "max@a.example". */
static bool has_address(struct sv text, struct sv address)
{
	bool is_domain = sv_find(address, '@') == SIZE_MAX;

	for (size_t at = 0; address.len && at + address.len <= text.len; at++) {
		size_t end = at + address.len;
		char before = at ? text.p[at - 1] : ' ', after = end < text.len ? text.p[end] : ' ';

		if (sv_eq_nocase(sv_sub(text, at, address.len), address) && (!is_address_sign(before) || (is_domain && before == '@')) &&
		    !is_address_sign(after))
			return true;
	}
	return false;
}

bool logline_is_about(const struct logline *line, struct sv address)
{
	for (size_t i = 0; i < line->count; i++)
		if (has_address(line->fields[i].value, address))
			return true;
	return false;
}

bool logline_has_value(const struct logline *line, struct sv value)
{
	for (size_t i = 0; i < line->count; i++)
		if (sv_eq(line->fields[i].value, value))
			return true;
	return false;
}

/* ---- showing it ---- */

static bool is_in_front(struct sv name)
{
	static const char *const names[] = { "ts", "level", "daemon", "pid", "sid", "peer", "event" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (sv_eq(name, sv_z(names[i])))
			return true;
	return false;
}

void logline_print(const struct logline *line, FILE *to)
{
	struct sv daemon = logline_get(line, "daemon"), sid = logline_get(line, "sid"), peer = logline_get(line, "peer"),
		  event = logline_get(line, "event"), level = logline_get(line, "level");
	time_t when = (time_t)line->seconds;
	struct tm tm;
	char text[32] = "-";

	if (line->seconds != INT64_MIN && localtime_r(&when, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(to, "%s.%03u  %-8.*s  %-8.*s  %-15.*s  %.*s", text, line->milliseconds, SV_FMT(daemon), SV_FMT(sid), SV_FMT(peer),
		SV_FMT(event));
	if (level.len && !sv_eq(level, SV("info")))
		fprintf(to, " (%.*s)", SV_FMT(level));
	for (size_t i = 0; i < line->count; i++) {
		const struct logline_field *f = &line->fields[i];
		bool has_space = sv_find(f->text, ' ') != SIZE_MAX;

		if (!is_in_front(f->name) && f->text.len)
			fprintf(to, " %.*s=%s%.*s%s", SV_FMT(f->name), has_space ? "\"" : "", SV_FMT(f->text), has_space ? "\"" : "");
	}
	fputc('\n', to);
}

void logline_json(const struct logline *line, FILE *to)
{
	struct json_out j;
	struct buf text;
	char name[64];

	buf_init(&text, (size_t)16 * LOG_LINE_MAX);
	json_out_init(&j, &text);
	json_out_object(&j, NULL);
	for (size_t i = 0; i < line->count; i++) {
		const struct logline_field *f = &line->fields[i];

		snprintf(name, sizeof(name), "%.*s", SV_FMT(f->name));
		json_out_sv(&j, name, sv_is_utf8(f->value) ? f->value : f->text);
	}
	json_out_object_end(&j);
	fprintf(to, "%.*s\n", SV_FMT(buf_sv(&text)));
	buf_done(&text);
}
