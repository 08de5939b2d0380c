/* imapd/commands/metadata.c - GETMETADATA and SETMETADATA (RFC 5464); see annotation.h. */
#include "imapd/annotation.h"
#include "imapd/notify.h"
#include "maildir/metadata.h"

#include "common/banned.h"

#define ADMIN_ENTRY "/shared/admin"

/* ---- telling ---- */

static bool is_entry(struct sv name)
{
	return metadata_name_is_valid(name) || sv_eq_nocase(name, SV("/private")) || sv_eq_nocase(name, SV("/shared"));
}

static bool add_entry(struct args *from, struct annotation_request *out)
{
	struct sv name;

	if (!args_astring(from, &name) || !is_entry(name) || out->count == ANNOTATION_ENTRIES_MAX)
		return false;
	out->entries[out->count++] = name;
	return true;
}

bool annotation_read_entries(struct args *from, struct annotation_request *out)
{
	struct args list;

	if (args_open(from, &list)) {
		if (args_end(&list))
			return false;
		while (!args_end(&list))
			if (!add_entry(&list, out))
				return false;
		return true;
	}
	/* The grammar has one entry here; the examples of §4.4.1 have several. */
	do
		if (!add_entry(from, out))
			return false;
	while (!args_end(from));
	return true;
}

struct telling {
	struct command *c;
	const struct annotation_request *request;
	struct sv name;
	uint64_t longest;
	bool is_begun;
	bool has[ANNOTATION_ENTRIES_MAX];       /* named entries that have a value */
};

/* is_below - §4.2.2: within the depth below what was asked for. */
static bool is_below(struct sv entry, struct sv above, enum annotation_depth depth)
{
	if (depth == DEPTH_0 || entry.len <= above.len + 1 || entry.p[above.len] != '/' || !sv_starts_nocase(entry, above))
		return false;
	return depth == DEPTH_INFINITY || sv_find(sv_sub(entry, above.len + 1, SIZE_MAX), '/') == SIZE_MAX;
}

static void write_value(struct writer *w, struct sv value)
{
	if (!value.p) {
		writer_z(w, "NIL");
	} else if (memchr(value.p, 0, value.len)) {     /* only literal8 carries NUL (RFC 3516) */
		writer_c(w, '~');
		writer_literal(w, value.len);
		writer_put(w, value);
	} else {
		writer_string(w, value);
	}
}

static void write_entry(struct telling *t, struct sv name, struct sv value)
{
	struct writer *w = &t->c->out;

	if (!t->is_begun) {
		writer_z(w, "* METADATA ");
		command_write_mailbox(t->c, t->name);
	}
	writer_z(w, t->is_begun ? " " : " (");
	writer_astring(w, name);
	writer_c(w, ' ');
	write_value(w, value);
	t->is_begun = true;
}

static bool tell_entry(void *arg, const struct metadata_entry *e)
{
	struct telling *t = arg;
	bool is_wanted = false;

	for (size_t i = 0; i < t->request->count; i++) {
		bool is_it = sv_eq_nocase(e->name, t->request->entries[i]);

		t->has[i] |= is_it;
		is_wanted = is_wanted || is_it || is_below(e->name, t->request->entries[i], t->request->depth);
	}
	if (!is_wanted)
		return true;
	if (t->request->has_maxsize && e->value.len > t->request->maxsize) {
		if (e->value.len > t->longest)
			t->longest = e->value.len;
		return true;
	}
	write_entry(t, e->name, e->value);
	return true;
}

/* tell_admin - §6.2.2: whom to ask; the one entry that the server has of its own. */
static void tell_admin(struct telling *t)
{
	size_t at = sv_rfind(t->c->room->account, '@');
	struct buf uri;

	buf_init(&uri, 1024);
	if (at != SIZE_MAX && buf_appendf(&uri, "mailto:postmaster%.*s", SV_FMT(sv_sub(t->c->room->account, at, SIZE_MAX))))
		tell_entry(t, &(struct metadata_entry){ SV(ADMIN_ENTRY), buf_sv(&uri) });
	buf_done(&uri);
}

struct fault annotation_write(struct command *c, struct sv name, const struct annotation_request *request,
			      uint64_t *longest)
{
	struct telling t = { .c = c, .request = request, .name = name };

	size_t start = c->out.buf.len;
	struct fault f = mailbox_metadata(c->room->user, name, tell_entry, &t);

	if (f.kind) {
		c->out.buf.len = start;
		return f;
	}
	if (!name.len)
		tell_admin(&t);
	for (size_t i = 0; i < request->count && request->depth == DEPTH_0; i++)
		if (!t.has[i])
			write_entry(&t, request->entries[i], SV_NONE);
	if (t.is_begun)
		writer_z(&c->out, ")\r\n");
	*longest = t.longest;
	return FAULT_OK;
}

/* ---- GETMETADATA ---- */

static bool read_options(struct args *list, struct annotation_request *r)
{
	if (args_end(list))
		return false;
	while (!args_end(list)) {
		if (args_word(list, "MAXSIZE")) {
			if (!args_u64(list, &r->maxsize))
				return false;
			r->has_maxsize = true;
		} else if (args_word(list, "DEPTH")) {
			uint32_t n = 0;

			if (args_word(list, "INFINITY"))
				r->depth = DEPTH_INFINITY;
			else if (args_u32(list, &n) && n <= 1)
				r->depth = n ? DEPTH_1 : DEPTH_0;
			else
				return false;
		} else {
			return false;
		}
	}
	return true;
}

/* read_mailbox - "" is the server (§4.1). False: answered. */
static bool read_mailbox(struct command *c, struct sv *name)
{
	struct sv wire;

	if (!args_astring(&c->args, &wire)) {
		command_bad(c, "A mailbox name is missing");
		return false;
	}
	*name = SV("");
	return !wire.len || command_name(c, wire, name);
}

/* is_list_before_more - options stand before the mailbox in the grammar and behind it in the examples of §4.2. */
static bool is_list_before_more(const struct command *c)
{
	const struct token *t = args_peek(&c->args);

	return t && t->kind == TOKEN_OPEN && t->match + 1 < c->args.end;
}

enum step do_getmetadata(struct command *c)
{
	struct annotation_request request = { 0 };
	struct args list;
	uint64_t longest;
	struct sv name;

	if (is_list_before_more(c) && (!args_open(&c->args, &list) || !read_options(&list, &request)))
		return command_bad(c, "Unknown or malformed option");
	if (!read_mailbox(c, &name))
		return STEP_DONE;
	if (is_list_before_more(c) && (!args_open(&c->args, &list) || !read_options(&list, &request)))
		return command_bad(c, "Unknown or malformed option");
	if (!annotation_read_entries(&c->args, &request) || !args_end(&c->args))
		return command_bad(c, "Names of entries were expected: /private/... or /shared/...");
	struct fault f = annotation_write(c, name, &request, &longest);

	if (f.kind)
		return command_fault(c, f);
	if (longest)
		buf_appendf(&c->code, "METADATA LONGENTRIES %llu", (unsigned long long)longest);
	return command_ok_code(c, NULL, "Metadata told");
}

/* ---- SETMETADATA ---- */

static bool read_value(struct args *list, struct sv *value)
{
	*value = SV_NONE;
	if (args_word(list, "NIL"))
		return true;
	if (!args_string(list, value))
		return false;
	if (!value->p)
		*value = SV("");
	return true;
}

enum step do_setmetadata(struct command *c)
{
	struct metadata_entry entries[ANNOTATION_ENTRIES_MAX];
	size_t count = 0;
	struct args list;
	struct sv name;

	if (!read_mailbox(c, &name))
		return STEP_DONE;
	if (!args_open(&c->args, &list) || !args_end(&c->args) || args_end(&list))
		return command_bad(c, "A list of entries and values was expected");
	for (; !args_end(&list); count++) {
		if (count == ANNOTATION_ENTRIES_MAX)
			return command_no(c, "METADATA TOOMANY", "Too many entries at once");
		if (!args_astring(&list, &entries[count].name) || !metadata_name_is_valid(entries[count].name) ||
		    !read_value(&list, &entries[count].value))
			return command_bad(c, "Entries are /private/... or /shared/..., values strings or NIL");
		if (entries[count].value.len > METADATA_VALUE_MAX) {
			buf_appendf(&c->code, "METADATA MAXSIZE %zu", METADATA_VALUE_MAX);
			c->answer = (struct answer){ "NO", NULL, "The value is too long" };
			return STEP_DONE;
		}
	}
	struct fault f = mailbox_set_metadata(c->room->user, name, entries, count);

	if (f.kind == FAULT_LIMIT)
		return command_no(c, "METADATA TOOMANY", "No room for more annotations");
	if (f.kind)
		return command_fault(c, f);
	notify_own(c->room->notify, name);
	return command_ok(c, "Metadata set");
}
