/* imapd/url.c - see url.h. */
#include "imapd/url.h"

#include "common/banned.h"

/* decode - RFC 3986 §2.1, into the arena; p is NULL when it is bad. */
static struct sv decode(struct sv text, struct arena *arena)
{
	struct buf out = { .max = URL_MAX };
	struct sv copy = SV_NONE;
	bool is_good = true;

	while (text.len && is_good) {
		uint64_t octet = (unsigned char)*text.p;
		size_t used = 1;

		if (*text.p == '%') {
			char hex[2] = { 0 };
			bool is_whole = text.len >= 3;

			for (size_t i = 0; i < 2 && is_whole; i++)
				hex[i] = ascii_lower(text.p[1 + i]);
			is_good = is_whole && sv_hex_to_u64(sv_from(hex, 2), &octet) && octet;
			used = 3;
		}
		is_good = is_good && buf_append_c(&out, (char)octet);
		if (is_good)
			sv_skip(&text, used);
	}
	if (is_good)
		copy = arena_copy(arena, buf_sv(&out));
	buf_done(&out);
	return copy;
}

/* find_last - where the last `part` begins, in any case; SIZE_MAX: nowhere. */
static size_t find_last(struct sv text, struct sv part)
{
	for (size_t at = text.len; at-- > 0;)
		if (sv_starts_nocase(sv_sub(text, at, SIZE_MAX), part))
			return at;
	return SIZE_MAX;
}

static bool read_number(struct sv text, uint32_t *out)
{
	return sv_to_u32(text, out) && *out;
}

/* read_mailbox - [enc-mailbox [;UIDVALIDITY=n]], what stands before the message. */
static bool read_mailbox(struct sv text, struct arena *arena, struct url *out)
{
	size_t at = find_last(text, SV(";UIDVALIDITY="));

	if (!text.len)
		return true;
	/* RFC 5092 §7.2: what does not begin with a slash is relative to the selected mailbox's path, which
	 * has no meaning to speak of. A scheme or a server is not ours to follow. */
	if (*text.p != '/' || sv_starts(text, SV("//")))
		return false;
	if (at != SIZE_MAX) {
		if (!read_number(sv_sub(text, at + 13, SIZE_MAX), &out->uidvalidity))
			return false;
		text = sv_sub(text, 0, at);
	}
	sv_skip(&text, 1);
	if (sv_find(text, ';') != SIZE_MAX || sv_find(text, '?') != SIZE_MAX)
		return false;
	out->mailbox = decode(text, arena);
	return out->mailbox.len && sv_is_utf8(out->mailbox);
}

/* read_partial - RFC 5092 §11 partial-range = number ["." nz-number]. */
static bool read_partial(struct sv text, uint64_t *from, uint64_t *count)
{
	size_t dot = sv_find(text, '.');

	*count = UINT64_MAX / 2;
	if (dot != SIZE_MAX && (!sv_to_u64(sv_sub(text, dot + 1, SIZE_MAX), count) || !*count))
		return false;
	return sv_to_u64(sv_sub(text, 0, dot), from) && *from <= UINT64_MAX / 2 && *count <= UINT64_MAX / 2;
}

/* read_section - what FETCH would call BODY[...], by the parser that reads it there. */
static bool read_section(struct sv name, struct arena *arena, struct url *out)
{
	struct buf line = { .max = URL_MAX + 32 };
	struct sv in;
	bool is_good = buf_appendf(&line, "u BODY.PEEK[%.*s]\r\n", SV_FMT(name));

	in = buf_sv(&line);
	is_good = is_good && grammar_feed(&out->grammar, &in) == GRAMMAR_COMMAND && !in.len;
	if (is_good) {
		struct args args = args_from(&out->grammar, 1);

		is_good = section_read(&args, arena, &out->section) && args_end(&args) &&
			  !out->section.has_partial;
	}
	buf_done(&line);
	return is_good;
}

bool url_read(struct sv text, struct arena *arena, struct url *out)
{
	static const struct grammar_limits limits = {
		.line = URL_MAX + 64, .depth = 2, .tokens = SECTION_FIELDS_MAX + 8
	};
	uint64_t from = 0, count = 0;
	struct sv section = SV("");
	size_t at;
	bool has_partial = false;

	*out = (struct url){ 0 };
	grammar_init(&out->grammar, &limits);
	if (text.len > URL_MAX)
		return false;
	/* From the end: a mailbox's name may hold anything but ";". */
	at = find_last(text, SV("/;PARTIAL="));
	if (at != SIZE_MAX) {
		has_partial = true;
		if (!read_partial(sv_sub(text, at + 10, SIZE_MAX), &from, &count))
			return false;
		text = sv_sub(text, 0, at);
	}
	at = find_last(text, SV("/;SECTION="));
	if (at != SIZE_MAX) {
		section = decode(sv_sub(text, at + 10, SIZE_MAX), arena);
		if (!section.len)
			return false;
		text = sv_sub(text, 0, at);
	}
	at = find_last(text, SV(";UID="));
	if (at == SIZE_MAX || !read_number(sv_sub(text, at + 5, SIZE_MAX), &out->uid))
		return false;
	/* "/Drafts/;UID=3", "/;UID=3" and ";UID=3" */
	if (at && text.p[at - 1] != '/')
		return false;
	if (!read_mailbox(sv_sub(text, 0, at ? at - 1 : 0), arena, out) ||
	    !read_section(section, arena, out))
		return false;
	out->section.has_partial = has_partial;
	out->section.from = from;
	out->section.count = count;
	return true;
}

void url_done(struct url *url)
{
	grammar_done(&url->grammar);
}

struct sv url_for_code(struct sv text, struct arena *arena)
{
	struct buf out = { .max = URL_MAX * 3 };

	text = sv_sub(text, 0, URL_MAX);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c <= ' ' || c >= 0x7f || c == ']' || c == '\\')
			buf_appendf(&out, "%%%02X", c);
		else
			buf_append_c(&out, (char)c);
	}
	struct sv copy = arena_copy(arena, buf_sv(&out));

	buf_done(&out);
	return copy;
}
