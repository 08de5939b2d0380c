#include "smtpd/taglist.h"

#include "common/transfer.h"

#include "common/banned.h"

/* is_tag_name - ALPHA *( ALPHA / DIGIT / "_" ) (RFC 6376 §3.2). */
static bool is_tag_name(struct sv name)
{
	if (!name.len || !ascii_is_alpha(name.p[0]))
		return false;
	for (size_t i = 1; i < name.len; i++)
		if (!ascii_is_alpha(name.p[i]) && !ascii_is_digit(name.p[i]) && name.p[i] != '_')
			return false;
	return true;
}

static bool add_tag(struct taglist *list, struct sv part)
{
	size_t equals = sv_find(part, '=');
	struct sv name, value, unused;

	if (equals == SIZE_MAX || list->count == TAGLIST_MAX)
		return false;
	name = sv_trim(sv_sub(part, 0, equals));
	value = sv_trim(sv_sub(part, equals + 1, part.len));
	if (!is_tag_name(name) || taglist_get(list, name, &unused))
		return false;
	list->tags[list->count].name = name;
	list->tags[list->count++].value = value;
	return true;
}

bool taglist_parse(struct sv text, struct taglist *out)
{
	struct sv part;

	out->count = 0;
	while (sv_split(&text, ';', &part)) {
		if (!text.len && !sv_trim(part).len)
			break;          /* behind the last ";" */
		if (!add_tag(out, part)) {
			out->count = 0;
			return false;
		}
	}
	return true;
}

bool taglist_get(const struct taglist *list, struct sv name, struct sv *value)
{
	for (size_t i = 0; i < list->count; i++) {
		if (!sv_eq(list->tags[i].name, name))
			continue;
		*value = list->tags[i].value;
		return true;
	}
	return false;
}

bool taglist_is(const struct taglist *list, struct sv name, struct sv value)
{
	struct sv found;

	return taglist_get(list, name, &found) && sv_eq_nocase(found, value);
}

bool taglist_has_word(const struct taglist *list, struct sv name, char divider, struct sv word)
{
	struct sv rest, part;

	if (!taglist_get(list, name, &rest))
		return false;
	while (sv_split(&rest, divider, &part))
		if (sv_eq_nocase(sv_trim(part), word))
			return true;
	return false;
}

bool taglist_base64(const struct taglist *list, struct sv name, struct buf *out)
{
	struct sv value;
	struct buf dense;
	bool good = true;

	if (!taglist_get(list, name, &value))
		return false;
	buf_init(&dense, value.len + 1);
	for (size_t i = 0; i < value.len && good; i++)
		if (!memchr(" \t\r\n", value.p[i], 4))
			good = buf_append_c(&dense, value.p[i]);
	good = good && base64_decode(buf_sv(&dense), out);
	buf_done(&dense);
	return good;
}
