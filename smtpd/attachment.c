#include "smtpd/attachment.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/charset.h"
#include "common/memory.h"
#include "common/mime.h"

#include "common/banned.h"

#define NAME_MAX_OCTETS 2048            /* of a name, in UTF-8: only its end counts */
#define FIELD_MEMORY ((size_t)512 << 10)

struct attachments {
	const struct conf_list *endings;
	struct mime_parser *parser;
	struct arena arena;             /* of one field */
	char found[120];
};

/* ---- endings ---- */

/* take_back - the last character off *s; malformed octets are one each. */
static uint32_t take_back(struct sv *s)
{
	uint32_t c = 0;
	size_t n = 1;

	while (n < 4 && n < s->len && ((unsigned char)s->p[s->len - n] & 0xc0) == 0x80)
		n++;
	c = (unsigned char)s->p[s->len - n];
	if (n > 1)
		c &= 0x7fu >> n;
	for (size_t i = n - 1; i; i--)
		c = c << 6 | ((unsigned char)s->p[s->len - i] & 0x3f);
	s->len -= n;
	return c;
}

/* is_unseen - controls, spaces of all kinds, marks of direction and of width zero. */
static bool is_unseen(uint32_t c)
{
	return c <= ' ' || (c >= 0x7f && c <= 0xa0) || c == 0xad || c == 0x61c || c == 0x115f || c == 0x1160 || c == 0x1680 || c == 0x180e ||
	       (c >= 0x2000 && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) || (c >= 0x205f && c <= 0x206f) || c == 0x2800 || c == 0x3000 ||
	       c == 0x3164 || (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff || c == 0xffa0 || (c >= 0xfff9 && c <= 0xfffb);
}

/* clean_end - the name without what it only seems to end with. */
static struct sv clean_end(struct sv name)
{
	while (name.len) {
		struct sv shorter = name;
		uint32_t c = take_back(&shorter);

		if (!is_unseen(c) && (c > 0x7f || !strchr(".\"'", (int)c)))
			break;
		name = shorter;
	}
	return name;
}

bool attachment_ending(struct sv name, struct buf *out)
{
	struct sv rest = clean_end(name), ending;
	size_t dot = sv_rfind(rest, '.');

	if (dot == SIZE_MAX)
		return true;
	ending = sv_sub(rest, dot + 1, SIZE_MAX);
	while (ending.len) {
		size_t n = 1;
		struct sv one;

		while (n < 4 && n < ending.len && ((unsigned char)ending.p[n] & 0xc0) == 0x80)
			n++;
		one = sv_sub(ending, 0, n);
		sv_skip(&ending, n);
		if (is_unseen(take_back(&(struct sv){ one.p, one.len })))
			continue;
		if (n == 1 ? !buf_append_c(out, ascii_lower(*one.p)) : !buf_append(out, one))
			return false;
	}
	return true;
}

/* ---- names ---- */

static void note(struct attachments *a, struct sv name)
{
	size_t n = 0;

	for (size_t i = 0; i < name.len && n + 1 < sizeof(a->found); i++)
		a->found[n++] = name.p[i] < ' ' || name.p[i] > '~' ? '?' : name.p[i];
	a->found[n] = '\0';
}

static void judge_name(struct attachments *a, struct sv name)
{
	struct buf ending;

	buf_init(&ending, 64);
	if (attachment_ending(name, &ending))   /* a longer one is none of the list */
		for (size_t i = 0; i < a->endings->count && !a->found[0]; i++)
			if (ending.len && sv_eq_nocase(sv_z(a->endings->items[i]), buf_sv(&ending)))
				note(a, name);
	buf_done(&ending);
}

/* judge_value - in UTF-8, by each way in which it may be read. */
static void judge_value(struct attachments *a, const struct header_param *param)
{
	struct sv value = sv_sub(param->value, param->value.len > NAME_MAX_OCTETS ? param->value.len - NAME_MAX_OCTETS : 0, SIZE_MAX);
	struct buf text;

	buf_init(&text, 4 * NAME_MAX_OCTETS);
	judge_name(a, value);
	if (param->is_extended && charset_to_utf8(param->charset, value, &text))
		judge_name(a, buf_sv(&text));
	buf_clear(&text);
	/* RFC 2047 §5 forbids it inside of quotes, and everybody does it. */
	if (charset_decode_words(param->value.len > NAME_MAX_OCTETS ? value : param->value, &text))
		judge_name(a, buf_sv(&text));
	buf_done(&text);
}

static void on_field(void *arg, const struct header_field *field)
{
	struct attachments *a = arg;
	struct header_content content;
	bool is_whole;

	if (a->found[0] || (field->id != HEADER_CONTENT_TYPE && field->id != HEADER_CONTENT_DISPOSITION))
		return;
	arena_clear(&a->arena);
	is_whole = header_parse_content(&a->arena, field->value, &content) && !field->is_truncated && content.param_count < HEADER_PARAM_MAX;
	for (size_t i = 0; i < content.param_count && !a->found[0]; i++)
		if (sv_eq(content.params[i].name, SV("filename")) || sv_eq(content.params[i].name, SV("name")))
			judge_value(a, &content.params[i]);
	if (!is_whole && !a->found[0])
		note(a, SV("a name hidden behind too many parameters"));
}

/* ---- the message ---- */

struct attachments *attachments_new(const struct conf_list *endings)
{
	struct attachments *a = xcalloc(1, sizeof(*a));

	a->endings = endings;
	a->parser = mime_parser_new();
	arena_init(&a->arena, FIELD_MEMORY);
	mime_parser_watch(a->parser, on_field, a);
	return a;
}

void attachments_feed(struct attachments *a, struct sv octets)
{
	mime_parser_feed(a->parser, octets);
}

const char *attachments_end(struct attachments *a)
{
	struct mime_message *m = mime_parser_finish(a->parser);

	if (m->facts & MIME_PARTS_CAPPED && !a->found[0])
		note(a, SV("a name hidden behind too many parts"));
	mime_message_free(&m);
	mime_parser_free(&a->parser);
	return a->found[0] ? a->found : NULL;
}

void attachments_free(struct attachments **pa)
{
	struct attachments *a = *pa;

	*pa = NULL;
	if (!a)
		return;
	mime_parser_free(&a->parser);
	arena_done(&a->arena);
	free(a);
}
