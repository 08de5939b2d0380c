/* imapd/section.c - see section.h. */
#include "imapd/section.h"

#include "imapd/preview.h"

#include "common/banned.h"

#define LABEL_MAX ((size_t)64 << 10)

/* read_number - nz-number off the front of *s. */
static bool read_number(struct sv *s, uint64_t max, uint64_t *out)
{
	size_t n = 0;

	while (n < s->len && n < 20 && ascii_is_digit(s->p[n]))
		n++;
	if (!sv_to_u64(sv_sub(*s, 0, n), out) || *out > max)
		return false;
	sv_skip(s, n);
	return true;
}

/* read_path - "1.2." or "1.2" off the front of *spec. */
static bool read_path(struct sv *spec, struct section *out)
{
	uint64_t n;

	while (spec->len && ascii_is_digit(*spec->p)) {
		if (out->path_len == ARRAY_LEN(out->path) || !read_number(spec, UINT32_MAX, &n) ||
		    !n)
			return false;
		out->path[out->path_len++] = (uint32_t)n;
		if (!spec->len)
			return true;
		if (*spec->p != '.' || spec->len == 1)
			return false;
		sv_skip(spec, 1);
	}
	return true;
}

static bool read_what(struct sv spec, struct section *out)
{
	static const struct {
		const char *name;
		enum mime_section what;
		enum section_fields fields;
	} names[] = {
		{ "", MIME_SECTION_BODY, FIELDS_NONE },
		{ "HEADER", MIME_SECTION_HEADER, FIELDS_NONE },
		{ "TEXT", MIME_SECTION_TEXT, FIELDS_NONE },
		{ "MIME", MIME_SECTION_MIME, FIELDS_NONE },
		{ "HEADER.FIELDS", MIME_SECTION_HEADER, FIELDS_ONLY },
		{ "HEADER.FIELDS.NOT", MIME_SECTION_HEADER, FIELDS_NOT },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!sv_eq_nocase(spec, sv_z(names[i].name)))
			continue;
		out->what = names[i].what;
		out->fields = names[i].fields;
		return out->what != MIME_SECTION_MIME || out->path_len;
	}
	return false;
}

/* read_partial - "<0.100>" and nothing behind it; or nothing at all. */
static bool read_partial(struct sv text, struct section *out)
{
	if (!text.len)
		return true;
	out->has_partial = true;
	if (*text.p != '<')
		return false;
	sv_skip(&text, 1);
	if (!read_number(&text, UINT64_MAX / 2, &out->from) || !text.len || *text.p != '.')
		return false;
	sv_skip(&text, 1);
	return read_number(&text, UINT64_MAX / 2, &out->count) && out->count &&
	       sv_eq(text, SV(">"));
}

static bool read_fields(struct args *args, struct arena *arena, struct section *out)
{
	struct args list;
	struct sv *names;

	if (!args_open(args, &list) || args_end(&list))
		return false;
	names = arena_array(arena, SECTION_FIELDS_MAX, sizeof(*names));
	if (!names)
		return false;
	out->names = names;
	while (!args_end(&list)) {
		if (out->name_count == SECTION_FIELDS_MAX ||
		    !args_astring(&list, &names[out->name_count]))
			return false;
		if (!names[out->name_count++].len)
			return false;
	}
	return true;
}

/* make_label - spec is what stood between the brackets, names excepted. */
static bool make_label(struct section *s, struct arena *arena, struct sv spec)
{
	static const char *const labels[] = {
		[FORM_OCTETS] = "BODY[", [FORM_DECODED] = "BINARY[", [FORM_DECODED_SIZE] = "BINARY.SIZE[",
	};
	struct writer w;

	writer_init(&w, LABEL_MAX);
	writer_z(&w, labels[s->form]);
	for (size_t i = 0; i < spec.len; i++)
		writer_c(&w, ascii_upper(spec.p[i]));
	for (size_t i = 0; i < s->name_count; i++) {
		writer_z(&w, i ? " " : " (");
		writer_astring(&w, s->names[i]);
	}
	writer_z(&w, s->name_count ? ")]" : "]");
	if (s->has_partial)
		writer_f(&w, "<%llu>", (unsigned long long)s->from);
	s->label = arena_copy(arena, buf_sv(&w.buf));
	bool is_good = !w.is_full && s->label.p;

	writer_done(&w);
	return is_good;
}

/* read_name - what stands before the bracket. */
static bool read_name(struct sv *word, struct section *out)
{
	static const struct {
		const char *name;
		enum section_form form;
		bool is_peek;
	} names[] = {
		{ "BODY[", FORM_OCTETS, false },    { "BODY.PEEK[", FORM_OCTETS, true },
		{ "BINARY[", FORM_DECODED, false }, { "BINARY.PEEK[", FORM_DECODED, true },
		{ "BINARY.SIZE[", FORM_DECODED_SIZE, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!sv_starts_nocase(*word, sv_z(names[i].name)))
			continue;
		out->form = names[i].form;
		out->is_peek = names[i].is_peek;
		sv_skip(word, strlen(names[i].name));
		return true;
	}
	return false;
}

bool section_read(struct args *args, struct arena *arena, struct section *out)
{
	struct sv word, rest;

	*out = (struct section){ 0 };
	if (!args_raw(args, &word) || !read_name(&word, out))
		return false;
	size_t end = sv_find(word, ']');
	struct sv spec = sv_sub(word, 0, end), walk = spec;

	/* RFC 3516 §7: section-binary is part numbers and nothing else. */
	if (!read_path(&walk, out) || (out->form ? walk.len != 0 : !read_what(walk, out)))
		return false;
	if (out->fields) {
		if (end != SIZE_MAX || !read_fields(args, arena, out) || !args_glued(args, &rest) ||
		    *rest.p != ']')
			return false;
		sv_skip(&rest, 1);
	} else {
		if (end == SIZE_MAX)
			return false;
		rest = sv_sub(word, end + 1, SIZE_MAX);
	}
	if (out->form == FORM_DECODED_SIZE && rest.len)
		return false;
	return read_partial(rest, out) && make_label(out, arena, spec);
}

bool section_named(struct sv word, struct section *out)
{
	*out = (struct section){ 0 };
	if (sv_eq_nocase(word, SV("RFC822"))) {
		out->label = SV("RFC822");
	} else if (sv_eq_nocase(word, SV("RFC822.HEADER"))) {
		out->label = SV("RFC822.HEADER");
		out->what = MIME_SECTION_HEADER;
		out->is_peek = true;
	} else if (sv_eq_nocase(word, SV("RFC822.TEXT"))) {
		out->label = SV("RFC822.TEXT");
		out->what = MIME_SECTION_TEXT;
	} else {
		return false;
	}
	return true;
}

void section_preview(struct section *out)
{
	*out = (struct section){ .form = FORM_PREVIEW, .is_peek = true, .label = SV("PREVIEW") };
}

bool section_needs_parse(const struct section *s)
{
	return s->form == FORM_PREVIEW || s->path_len || s->what != MIME_SECTION_BODY;
}

/* cut - the partial's part of a slice: nothing when it begins beyond the end. */
static void cut(const struct section *s, uint64_t *offset, uint64_t *len)
{
	if (!s->has_partial)
		return;
	uint64_t skip = s->from < *len ? s->from : *len;

	*offset += skip;
	*len -= skip;
	if (*len > s->count)
		*len = s->count;
}

/* find_encoded - a part's body for BINARY. Only leaves have an encoding (RFC 2045 §6.4); of the
 * whole message, and of what has parts, it is the octets as they are. */
static struct section_place find_encoded(const struct section *s, const struct mime_message *parsed,
					 uint64_t size)
{
	struct section_place at = { .source = SECTION_ENCODED, .len = size, .encoding = TRANSFER_BINARY };
	struct mime_part part;

	if (!s->path_len)
		return at;
	if (!mime_section(parsed, s->path, s->path_len, MIME_SECTION_BODY, &at.offset, &at.len) ||
	    !mime_part_find(parsed, s->path, s->path_len, &part))
		return (struct section_place){ .source = SECTION_NIL };
	if (part.kind == MIME_LEAF || part.kind == MIME_TEXT)
		at.encoding = part.encoding;
	if (at.encoding == TRANSFER_OTHER)
		at.source = SECTION_UNKNOWN;
	return at;
}

static struct section_place find_preview(const struct mime_message *parsed)
{
	struct mime_part part;

	if (!preview_part(parsed, &part))
		return (struct section_place){ .source = SECTION_NIL };
	return (struct section_place){
		.source = SECTION_PREVIEW,
		.offset = part.body_offset,
		.len = part.body_len < PREVIEW_READ ? part.body_len : PREVIEW_READ,
		.encoding = part.encoding,
		.header_offset = part.header_offset,
		.header_len = part.header_len,
		.is_html = sv_eq(part.subtype, SV("html")),
	};
}

struct section_place section_find(const struct section *s, const struct mime_message *parsed,
				  uint64_t size, struct buf *text)
{
	struct section_place at = { .source = SECTION_SLICE, .len = size };

	if (s->form == FORM_PREVIEW)
		return find_preview(parsed);
	if (s->form)
		return find_encoded(s, parsed, size);
	if (section_needs_parse(s) &&
	    !mime_section(parsed, s->path, s->path_len, s->what, &at.offset, &at.len))
		return (struct section_place){ .source = SECTION_NIL };
	if (!s->fields) {
		cut(s, &at.offset, &at.len);
		return at;
	}
	at.source = SECTION_HEADER;
	if (s->fields == FIELDS_NOT || s->path_len || parsed->facts & MIME_HEADERS_INCOMPLETE)
		return at;
	for (size_t i = 0; i < s->name_count; i++)
		if (!mime_header_is_cached(s->names[i]))
			return at;
	if (section_filter(s, parsed->headers, text))
		at.source = SECTION_OCTETS;
	return at;
}

static bool is_named(const struct section *s, struct sv name)
{
	for (size_t i = 0; i < s->name_count; i++)
		if (sv_eq_nocase(s->names[i], name))
			return true;
	return false;
}

/* take_line - the next line off *rest, its LF included. */
static struct sv take_line(struct sv *rest)
{
	size_t n = sv_find(*rest, '\n');
	struct sv line = sv_sub(*rest, 0, n == SIZE_MAX ? rest->len : n + 1);

	sv_skip(rest, line.len);
	return line;
}

bool section_filter(const struct section *s, struct sv header, struct buf *out)
{
	bool is_wanted = false, fits = true;
	size_t start = out->len;

	while (header.len && fits) {
		struct sv line = take_line(&header);
		bool is_empty = line.p[0] == '\n' ||
				(line.len > 1 && line.p[0] == '\r' && line.p[1] == '\n');

		if (is_empty)
			break;
		if (line.p[0] != ' ' && line.p[0] != '\t') {
			/* RFC 5322 §4.5: blanks before the colon are in the wild. A line without a
			 * colon is no field. */
			size_t colon = sv_find(line, ':');
			bool is_field = colon != SIZE_MAX && colon > 0;

			is_wanted = is_field && is_named(s, sv_trim(sv_sub(line, 0, colon))) ==
							(s->fields == FIELDS_ONLY);
			if (!is_field)
				is_wanted = s->fields == FIELDS_NOT;
		}
		if (is_wanted)
			fits = buf_append(out, line);
	}
	if (out->len > start &&
	    out->p[out->len - 1] != '\n') /* the message ended in the middle of its header */
		fits = fits && buf_append(out, SV("\r\n"));
	fits = fits && buf_append(out, SV("\r\n"));
	if (fits && s->has_partial) {
		uint64_t offset = 0, len = out->len - start;

		cut(s, &offset, &len);
		memmove(out->p + start, out->p + start + offset, (size_t)len);
		out->len = start + (size_t)len;
	}
	return fits;
}
