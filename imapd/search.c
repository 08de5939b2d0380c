/* imapd/search.c - reading and running SEARCH; see search.h. What is in files is search_text.c's.
 */
#include "imapd/search.h"

#include <stdlib.h>

#include "common/charset.h"
#include "imapd/flagset.h"

#include "common/banned.h"

#define NEEDLE_MAX ((size_t)256 << 10)
#define NAME_LEN_MAX 256
#define FILTERS_MAX 16          /* of one search */
#define FILTER_DEPTH_MAX 5      /* filters that name filters; RFC 5466 §3.1 wants 3 */

/* What has been begun and waits for its keys. */
struct frame {
	enum { FRAME_LIST, FRAME_NOT, FRAME_OR, FRAME_FILTER } kind;
	uint32_t end;           /* of a list: the token behind it */
	uint32_t have;          /* keys so far */
	struct args outer;      /* of a filter: where it was named */
	struct sv charset;      /* likewise, the one outside */
};

struct reading {
	struct args at;
	const struct search_context *context;
	struct search *search;
	struct frame *frames;
	size_t depth, cap;
	struct sv charset;
	enum search_read result;
	struct grammar *filters;        /* that were read; what they hold is borrowed until the end */
	size_t filter_count;
};

/* ---- leaves ---- */

enum argument {
	ARG_NONE = 0, ARG_TEXT, ARG_DATE, ARG_NUMBER, ARG_KEYWORD, ARG_UIDS, ARG_HEADER, ARG_MODSEQ,
	ARG_OBJECTID, ARG_INTERVAL, ARG_UID_AFTER, ARG_UID_BEFORE,
};

static const struct key_name {
	const char *name;
	enum search_op op;
	enum argument argument;
	uint32_t bit;
	bool is_negated;
	const char *field;
} key_names[] = {
	{ "ALL",        OP_ALL,         ARG_NONE,    0,             false, NULL },
	{ "ANSWERED",   OP_FLAG,        ARG_NONE,    FLAG_ANSWERED, false, NULL },
	{ "BCC",        OP_HEADER,      ARG_TEXT,    0,             false, "Bcc" },
	{ "BEFORE",     OP_BEFORE,      ARG_DATE,    0,             false, NULL },
	{ "BODY",       OP_BODY,        ARG_TEXT,    0,             false, NULL },
	{ "CC",         OP_HEADER,      ARG_TEXT,    0,             false, "Cc" },
	{ "DELETED",    OP_FLAG,        ARG_NONE,    FLAG_DELETED,  false, NULL },
	{ "DRAFT",      OP_FLAG,        ARG_NONE,    FLAG_DRAFT,    false, NULL },
	{ "EMAILID",    OP_EMAIL_ID,    ARG_OBJECTID, 0,            false, NULL },
	{ "FLAGGED",    OP_FLAG,        ARG_NONE,    FLAG_FLAGGED,  false, NULL },
	{ "FROM",       OP_HEADER,      ARG_TEXT,    0,             false, "From" },
	{ "HEADER",     OP_HEADER,      ARG_HEADER,  0,             false, NULL },
	{ "KEYWORD",    OP_KEYWORD,     ARG_KEYWORD, 0,             false, NULL },
	{ "LARGER",     OP_LARGER,      ARG_NUMBER,  0,             false, NULL },
	{ "MODSEQ",     OP_MODSEQ,      ARG_MODSEQ,  0,             false, NULL },
	{ "NEW",        OP_NEW,         ARG_NONE,    0,             false, NULL },
	{ "OLD",        OP_RECENT,      ARG_NONE,    0,             true,  NULL },
	{ "OLDER",      OP_OLDER,       ARG_INTERVAL, 0,            false, NULL },
	{ "ON",         OP_ON,          ARG_DATE,    0,             false, NULL },
	{ "RECENT",     OP_RECENT,      ARG_NONE,    0,             false, NULL },
	{ "SAVEDATESUPPORTED", OP_SAVED_KNOWN, ARG_NONE, 0,         false, NULL },
	{ "SAVEDBEFORE", OP_SAVED_BEFORE, ARG_DATE,  0,             false, NULL },
	{ "SAVEDON",    OP_SAVED_ON,    ARG_DATE,    0,             false, NULL },
	{ "SAVEDSINCE", OP_SAVED_SINCE, ARG_DATE,    0,             false, NULL },
	{ "SEEN",       OP_FLAG,        ARG_NONE,    FLAG_SEEN,     false, NULL },
	{ "SENTBEFORE", OP_SENT_BEFORE, ARG_DATE,    0,             false, NULL },
	{ "SENTON",     OP_SENT_ON,     ARG_DATE,    0,             false, NULL },
	{ "SENTSINCE",  OP_SENT_SINCE,  ARG_DATE,    0,             false, NULL },
	{ "SINCE",      OP_SINCE,       ARG_DATE,    0,             false, NULL },
	{ "SMALLER",    OP_SMALLER,     ARG_NUMBER,  0,             false, NULL },
	{ "SUBJECT",    OP_HEADER,      ARG_TEXT,    0,             false, "Subject" },
	{ "TEXT",       OP_TEXT,        ARG_TEXT,    0,             false, NULL },
	{ "THREADID",   OP_THREAD_ID,   ARG_OBJECTID, 0,            false, NULL },
	{ "TO",         OP_HEADER,      ARG_TEXT,    0,             false, "To" },
	{ "UID",        OP_SET,         ARG_UIDS,    0,             false, NULL },
	{ "UIDAFTER",   OP_SET,         ARG_UID_AFTER, 0,           false, NULL },
	{ "UIDBEFORE",  OP_SET,         ARG_UID_BEFORE, 0,          false, NULL },
	{ "UNANSWERED", OP_FLAG,        ARG_NONE,    FLAG_ANSWERED, true,  NULL },
	{ "UNDELETED",  OP_FLAG,        ARG_NONE,    FLAG_DELETED,  true,  NULL },
	{ "UNDRAFT",    OP_FLAG,        ARG_NONE,    FLAG_DRAFT,    true,  NULL },
	{ "UNFLAGGED",  OP_FLAG,        ARG_NONE,    FLAG_FLAGGED,  true,  NULL },
	{ "UNKEYWORD",  OP_KEYWORD,     ARG_KEYWORD, 0,             true,  NULL },
	{ "UNSEEN",     OP_FLAG,        ARG_NONE,    FLAG_SEEN,     true,  NULL },
	{ "YOUNGER",    OP_YOUNGER,     ARG_INTERVAL, 0,            false, NULL },
};

static bool fail(struct reading *r, enum search_read why)
{
	if (r->result == SEARCH_READ)
		r->result = why;
	return false;
}

/* emit - append a key; NULL when there are too many. */
static struct search_key *emit(struct reading *r, enum search_op op)
{
	struct search *s = r->search;

	/* Twice the limit: each key of the client's brings at most one operator of ours. */
	if (s->count >= r->context->keys_max * 2) {
		fail(r, SEARCH_LIMIT);
		return NULL;
	}
	s->keys[s->count] = (struct search_key){ .op = op };
	return &s->keys[s->count++];
}

/* fold - a needle in the client's charset to what texts are compared with. */
static bool fold(struct reading *r, struct sv text, struct sv *out)
{
	struct buf utf8 = { .max = NEEDLE_MAX }, folded = { .max = NEEDLE_MAX };
	bool is_plain = !r->charset.len || sv_eq_nocase(r->charset, SV("UTF-8")) ||
			sv_eq_nocase(r->charset, SV("US-ASCII"));
	bool is_good;

	if (is_plain)
		is_good = (sv_is_utf8(text) || !r->charset.len) && utf8_clean(text, &utf8);
	else
		is_good = charset_to_utf8(r->charset, text, &utf8);
	is_good = is_good && utf8_casemap(buf_sv(&utf8), &folded);
	if (is_good)
		*out = arena_copy(r->context->arena, buf_sv(&folded));
	buf_done(&utf8);
	buf_done(&folded);
	return is_good && out->p ? true : fail(r, SEARCH_BAD);
}

/* read_modseq - RFC 7162 §3.1.5: [entry-name entry-type] number; what an entry would narrow down is
 * not kept per entry. */
static bool read_modseq(struct reading *r, struct search_key *key)
{
	struct sv skip;
	const struct token *t = args_peek(&r->at);

	if (t && t->kind == TOKEN_QUOTED &&
	    (!args_string(&r->at, &skip) || !args_atom(&r->at, &skip)))
		return false;
	r->search->has_modseq = true;
	return args_u64(&r->at, &key->number);
}

/* extension_of - the capability that a key belongs to. */
static enum capability extension_of(enum search_op op)
{
	switch (op) {
	case OP_SAVED_BEFORE:
	case OP_SAVED_ON:
	case OP_SAVED_SINCE:
	case OP_SAVED_KNOWN:
		return CAP_SAVEDATE;
	case OP_EMAIL_ID:
	case OP_THREAD_ID:
		return CAP_OBJECTID;
	case OP_OLDER:
	case OP_YOUNGER:
		return CAP_WITHIN;
	case OP_MODSEQ:
		return CAP_CONDSTORE;
	default:
		return CAP_NONE;
	}
}

/* keep - a copy: the tokens may be those of a filter. */
static bool keep(struct reading *r, struct sv text, struct sv *out)
{
	*out = arena_copy(r->context->arena, text);
	return out->p || fail(r, SEARCH_LIMIT);
}

static bool read_argument(struct reading *r, const struct key_name *name, struct search_key *key)
{
	const struct search_context *context = r->context;
	uint32_t number;
	struct sv text;

	switch (name->argument) {
	case ARG_NONE:
		key->bit = name->bit;
		return true;
	case ARG_TEXT:
		key->name = sv_z(name->field);
		return args_astring(&r->at, &text) && fold(r, text, &key->text);
	case ARG_HEADER:
		return args_astring(&r->at, &text) && text.len && text.len <= NAME_LEN_MAX &&
		       keep(r, text, &key->name) && args_astring(&r->at, &text) && fold(r, text, &key->text);
	case ARG_DATE:
		return (args_string(&r->at, &text) || args_raw(&r->at, &text)) &&
		       date_parse_imap_day(text, &key->day);
	case ARG_NUMBER:
		return args_u64(&r->at, &key->number);
	case ARG_KEYWORD:
		if (!args_flag(&r->at, &text))
			return false;
		key->bit = flag_find(text);     /* KEYWORD \Seen is in the wild */
		if (key->bit)
			key->op = OP_FLAG;
		else
			key->keyword = keyword_number(context->keywords, text);
		return keep(r, text, &key->name);
	case ARG_UIDS:
		return args_raw(&r->at, &text) &&
		       view_resolve(context->view, text, SET_UIDS, &key->set) == SET_OK;
	case ARG_MODSEQ:
		return read_modseq(r, key);
	case ARG_OBJECTID:              /* RFC 8474 §7: cases differ */
		return args_astring(&r->at, &text) && text.len && keep(r, text, &key->text);
	case ARG_UID_AFTER:             /* RFC 9738 §3.2 */
	case ARG_UID_BEFORE:
		if (!capability_has(context->on, CAP_MESSAGELIMIT) || !args_u32(&r->at, &number) || !number)
			return false;
		uidset_copy(&key->set, &context->view->uids);
		if (name->argument == ARG_UID_AFTER)
			uidset_remove(&key->set, 1, number);
		else
			uidset_remove(&key->set, number, UINT32_MAX);
		return true;
	case ARG_INTERVAL:
		if (!args_u32(&r->at, &number) || !number)
			return false;
		key->when = context->now - number;
		return true;
	}
	return false;
}

static void note_needs(struct search *s, struct search_key *key)
{
	switch (key->op) {
	case OP_ALL:
		break;
	case OP_SET:
		s->has_row_keys = true;
		break;
	case OP_HEADER:
		key->is_cached = mime_header_is_cached(key->name);
		s->needs_rows = s->needs_parse = true;
		break;
	case OP_SENT_BEFORE:
	case OP_SENT_ON:
	case OP_SENT_SINCE:
		s->needs_rows = s->needs_parse = true;
		break;
	case OP_BODY:
	case OP_TEXT:
		s->needs_rows = s->needs_parse = s->needs_files = true;
		break;
	default:
		s->needs_rows = s->has_row_keys = true;
		break;
	}
}

/* join - the search as a whole is joined with this set: nothing outside needs to be looked at. */
static void join(struct search *s, const struct uidset *set)
{
	struct uidset both = { 0 };

	uidset_intersect(&s->within, set, &both);
	uidset_done(&s->within);
	s->within = both;
}

/* ---- structure ---- */

static bool push(struct reading *r, int kind, uint32_t end)
{
	if (r->depth == r->cap)
		return fail(r, SEARCH_LIMIT);
	r->frames[r->depth].kind = kind;
	r->frames[r->depth].end = end;
	r->frames[r->depth++].have = 0;
	return true;
}

/* complete - a key stands in the program: close whatever waited for it. */
static bool complete(struct reading *r)
{
	while (r->depth) {
		struct frame *f = &r->frames[r->depth - 1];

		f->have++;
		switch (f->kind) {
		case FRAME_LIST:
		case FRAME_FILTER:
			return f->have < 2 || emit(r, OP_AND) != NULL;
		case FRAME_NOT:
			r->search->needs_rows = true;
			if (!emit(r, OP_NOT))
				return false;
			r->depth--;
			break;
		case FRAME_OR:
			r->search->needs_rows = true;
			if (f->have < 2)
				return true;
			if (!emit(r, OP_OR))
				return false;
			r->depth--;
			break;
		}
	}
	return true;
}

static bool read_leaf(struct reading *r)
{
	struct search *s = r->search;
	struct search_key *key = emit(r, OP_ALL);
	bool is_negated = false;
	struct sv word;

	if (!key)
		return false;
	size_t i = 0;

	while (i < ARRAY_LEN(key_names) && !args_word(&r->at, key_names[i].name))
		i++;
	if (i < ARRAY_LEN(key_names)) {
		key->op = key_names[i].op;
		is_negated = key_names[i].is_negated;
		if (!capability_has(r->context->on, extension_of(key->op)) || !read_argument(r, &key_names[i], key))
			return fail(r, SEARCH_BAD);
	} else {
		key->op = OP_SET;
		if (!args_raw(&r->at, &word) ||
		    view_resolve(r->context->view, word, SET_NUMBERS_ANY, &key->set) != SET_OK)
			return fail(r, SEARCH_BAD);
		if (r->context->has_uidonly && !sv_eq(word, SV("$")))
			return fail(r, SEARCH_UID_REQUIRED);
		s->has_numbers = true;
	}
	note_needs(s, key);
	if (key->op == OP_SET && r->depth == 1)
		join(s, &key->set);
	else if (key->op == OP_SET)
		s->needs_rows = true;
	if (is_negated && !emit(r, OP_NOT))
		return false;
	return complete(r);
}

/* begin_filter - RFC 5466 §3.1: its value stands where it was named, as keys in parentheses would. One that leads to
 * itself, or too far, is as good as none. */
static bool begin_filter(struct reading *r)
{
	static const struct grammar_limits limits = { .line = 65536, .depth = 64, .tokens = 16384 };
	const struct search_context *context = r->context;
	struct sv name, value;
	struct buf line = { .max = 65536 + 8 };
	size_t depth = 0;

	if (!args_atom(&r->at, &name) || sv_find(name, '/') != SIZE_MAX)
		return fail(r, SEARCH_BAD);
	if (r->charset.len && !sv_eq_nocase(r->charset, SV("UTF-8")) && !sv_eq_nocase(r->charset, SV("US-ASCII")))
		return fail(r, SEARCH_FILTER_CHARSET);
	r->search->filter = arena_copy(context->arena, name);
	for (size_t i = 0; i < r->depth; i++)
		depth += r->frames[i].kind == FRAME_FILTER;
	if (!context->filter || depth == FILTER_DEPTH_MAX || r->filter_count == FILTERS_MAX ||
	    !context->filter(context->arg, context->arena, name, &value))
		return fail(r, SEARCH_NO_FILTER);
	if (!r->filters)
		r->filters = xcalloc(FILTERS_MAX, sizeof(*r->filters));
	struct grammar *g = &r->filters[r->filter_count++];

	grammar_init(g, &limits);
	bool is_good = buf_append(&line, SV("f ")) && buf_append(&line, value) && buf_append(&line, SV("\r\n"));
	struct sv in = buf_sv(&line);

	is_good = is_good && sv_find(value, '\r') == SIZE_MAX && sv_find(value, '\n') == SIZE_MAX &&
		  grammar_feed(g, &in) == GRAMMAR_COMMAND;
	buf_done(&line);
	struct args inside = is_good ? args_from(g, 1) : (struct args){ 0 };

	if (!is_good || args_end(&inside) || !push(r, FRAME_FILTER, inside.end))
		return fail(r, SEARCH_NO_FILTER);
	r->frames[r->depth - 1].outer = r->at;
	r->frames[r->depth - 1].charset = r->charset;
	r->at = inside;
	r->charset = SV("UTF-8");
	return true;
}

/* end_filter - back to where it was named. */
static bool end_filter(struct reading *r)
{
	struct frame *f = &r->frames[--r->depth];

	r->at = f->outer;
	r->charset = f->charset;
	return complete(r);
}

/* is_in_filter - what is wrong there is the filter's fault. */
static bool is_in_filter(const struct reading *r)
{
	for (size_t i = 0; i < r->depth; i++)
		if (r->frames[i].kind == FRAME_FILTER)
			return true;
	return false;
}

/* read_keys - everything up to the end, with a stack of what was begun instead of recursion. */
static bool read_keys(struct reading *r)
{
	if (!push(r, FRAME_LIST, r->at.end))
		return false;
	while (r->depth) {
		struct frame *f = &r->frames[r->depth - 1];
		const struct token *t;
		struct args inside;

		if (f->kind == FRAME_LIST && r->at.at >= f->end) {
			if (!f->have)
				return fail(r, SEARCH_BAD);
			r->depth--;
			if (!r->depth)
				return true;
			r->at.at = f->end + 1;  /* behind the list's closing token */
			if (!complete(r))
				return false;
			continue;
		}
		if (f->kind == FRAME_FILTER && r->at.at >= f->end) {
			if (!end_filter(r))
				return false;
			continue;
		}
		t = args_peek(&r->at);
		if (!t || t->kind == TOKEN_CLOSE)
			return fail(r, SEARCH_BAD);     /* NOT or OR without its keys */
		if (t->kind == TOKEN_OPEN) {
			struct args try = r->at;

			if (!args_open(&try, &inside) || !push(r, FRAME_LIST, inside.end))
				return fail(r, SEARCH_BAD);
			r->at.at = inside.at;
		} else if (args_word(&r->at, "NOT")) {
			if (!push(r, FRAME_NOT, 0))
				return false;
		} else if (args_word(&r->at, "OR")) {
			if (!push(r, FRAME_OR, 0))
				return false;
		} else if (capability_has(r->context->on, CAP_FILTERS) && args_word(&r->at, "FILTER")) {
			if (!begin_filter(r))
				return false;
		} else if (!read_leaf(r)) {
			return false;
		}
	}
	return true;
}

static bool read_one_return(struct args *list, const struct search_context *context, struct search *s)
{
	static const struct {
		const char *name;
		unsigned bit;
		enum capability capability;
	} names[] = {
		{ "MIN", RETURN_MIN, CAP_NONE },
		{ "MAX", RETURN_MAX, CAP_NONE },
		{ "ALL", RETURN_ALL, CAP_NONE },
		{ "COUNT", RETURN_COUNT, CAP_NONE },
		{ "SAVE", RETURN_SAVE, CAP_SEARCHRES },
		{ "CONTEXT", 0, CAP_CONTEXT_SEARCH },   /* a hint that we do not need (RFC 5267 §4.2) */
	};

	if (capability_has(context->on, CAP_CONTEXT_SEARCH) && args_word(list, "UPDATE")) {
		const struct token *next = args_peek(list);

		s->wants_updates = true;
		s->has_items = next && next->kind == TOKEN_OPEN;
		return !s->has_items || (capability_has(context->on, CAP_NOTIFY) && args_open(list, &s->items));
	}
	if (capability_has(context->on, CAP_PARTIAL) && args_word(list, "PARTIAL")) {
		if (s->returns & RETURN_PARTIAL || !partial_read(list, &s->partial))
			return false;
		s->returns |= RETURN_PARTIAL;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!capability_has(context->on, names[i].capability) || !args_word(list, names[i].name))
			continue;
		s->returns |= names[i].bit;
		return true;
	}
	return false;
}

bool search_read_returns(struct args *args, const struct search_context *context, struct search *out)
{
	struct args list;

	*out = (struct search){ .is_extended = context->is_rev2 };
	if (capability_has(context->on, CAP_ESEARCH) && args_word(args, "RETURN")) {
		if (!args_open(args, &list))
			return false;
		out->is_extended = true;
		while (!args_end(&list))
			if (!read_one_return(&list, context, out))
				return false;
	}
	if (out->is_extended && !out->returns)          /* RFC 4731 §3.1 */
		out->returns = RETURN_ALL;
	/* RFC 9394 §3.1 */
	return !(out->returns & RETURN_PARTIAL && out->returns & RETURN_ALL);
}

/* read_program - the charset's name is known by now. */
static enum search_read read_program(struct args *args, const struct search_context *context, struct sv charset,
				     struct search *out)
{
	struct reading r = { .at = *args, .context = context, .search = out, .cap = context->keys_max + 1,
			     .charset = charset };

	if (charset.len && !charset_is_known(charset))
		return SEARCH_BAD_CHARSET;
	uidset_copy(&out->within, &context->view->uids);
	out->keys = arena_array(context->arena, context->keys_max * 2, sizeof(*out->keys));
	r.frames = arena_array(context->arena, r.cap, sizeof(*r.frames));
	if (!out->keys || !r.frames)
		return SEARCH_LIMIT;
	if (!read_keys(&r) && r.result == SEARCH_READ)
		r.result = SEARCH_BAD;
	if (r.result == SEARCH_BAD && is_in_filter(&r))
		r.result = SEARCH_NO_FILTER;
	for (size_t i = 0; i < r.filter_count; i++)
		grammar_done(&r.filters[i]);
	free(r.filters);
	*args = r.at;
	return r.result;
}

enum search_read search_read(struct args *args, const struct search_context *context,
			     struct search *out)
{
	struct sv charset = SV_NONE;

	if (!search_read_returns(args, context, out) ||
	    (args_word(args, "CHARSET") &&
	     (context->is_utf8_only || !args_astring(args, &charset))))
		return SEARCH_BAD;
	return read_program(args, context, charset, out);
}

enum search_read search_read_keys(struct args *args, const struct search_context *context, struct search *out)
{
	struct sv charset;

	if (!args_astring(args, &charset) || !charset.len ||
	    (context->is_utf8_only && !sv_eq_nocase(charset, SV("UTF-8"))))
		return SEARCH_BAD;
	return read_program(args, context, charset, out);
}

bool search_copy(const struct search *from, struct arena *arena, struct search *to)
{
	*to = *from;
	to->within = (struct uidset){ 0 };
	to->count = 0;
	to->keys = arena_array(arena, from->count, sizeof(*to->keys));
	if (!to->keys)
		return false;
	for (size_t i = 0; i < from->count; i++) {
		struct search_key *key = &to->keys[to->count++];

		*key = from->keys[i];
		key->set = (struct uidset){ 0 };
		uidset_copy(&key->set, &from->keys[i].set);
		key->name = arena_copy(arena, from->keys[i].name);
		key->text = arena_copy(arena, from->keys[i].text);
		if (!key->name.p || !key->text.p)
			return false;
	}
	return true;
}

void search_bind(struct search *s, const struct keyword_table *keywords)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->keys[i].op == OP_KEYWORD)
			s->keys[i].keyword = keyword_number(keywords, s->keys[i].name);
}

void search_done(struct search *s)
{
	for (size_t i = 0; i < s->count; i++)
		uidset_done(&s->keys[i].set);
	uidset_done(&s->within);
	s->count = 0;
}

/* ---- running ---- */

static enum truth truth(bool yes)
{
	return yes ? YES : NO;
}

static int64_t day_of(int64_t seconds)
{
	int64_t day = seconds / 86400;

	return seconds % 86400 < 0 ? day - 1 : day;
}

/* sent_day - RFC 3501 §6.4.4 disregards time and zone. A message without a date is as old as its
 * arrival (RFC 5256 §2.2). */
static int64_t sent_day(const struct search_message *m)
{
	return m->parsed->facts & MIME_HAS_DATE ? date_day(m->parsed->date)
						: day_of(m->row->internaldate);
}

static enum truth header_key(const struct search_key *key, const struct search_message *m)
{
	if (!m->parsed || !key->is_cached || m->parsed->facts & MIME_HEADERS_INCOMPLETE)
		return UNKNOWN;
	return truth(search_header(m->parsed->headers, key->name, key->text));
}

static bool has_email_id(const struct message_row *row, struct sv wanted)
{
	char id[EMAIL_ID_SIZE];

	message_email_id(row, id);
	return sv_eq(wanted, sv_z(id));
}

static enum truth leaf(const struct search_key *key, const struct search_message *m)
{
	const struct message_row *row = m->row;

	switch (key->op) {
	case OP_ALL:
		return YES;
	case OP_FLAG:
		return truth(row->flags & key->bit);
	case OP_KEYWORD:
		return truth(key->keyword < KEYWORDS_MAX &&
			     row->keywords.w[key->keyword / 64] >> (key->keyword % 64) & 1);
	case OP_RECENT:
		return truth(m->is_recent);
	case OP_NEW:
		return truth(m->is_recent && !(row->flags & FLAG_SEEN));
	case OP_SET:
		return truth(uidset_has(&key->set, row->uid));
	case OP_BEFORE:
		return truth(day_of(row->internaldate) < key->day);
	case OP_ON:
		return truth(day_of(row->internaldate) == key->day);
	case OP_SINCE:
		return truth(day_of(row->internaldate) >= key->day);
	case OP_SAVED_BEFORE:
		return truth(day_of(row->savedate) < key->day);
	case OP_SAVED_ON:
		return truth(day_of(row->savedate) == key->day);
	case OP_SAVED_SINCE:
		return truth(day_of(row->savedate) >= key->day);
	case OP_SAVED_KNOWN:
		return YES;
	case OP_EMAIL_ID:
		return truth(has_email_id(row, key->text));
	case OP_THREAD_ID:              /* RFC 8474 §5.2: no message has one */
		return NO;
	case OP_SENT_BEFORE:
		return m->parsed ? truth(sent_day(m) < key->day) : UNKNOWN;
	case OP_SENT_ON:
		return m->parsed ? truth(sent_day(m) == key->day) : UNKNOWN;
	case OP_SENT_SINCE:
		return m->parsed ? truth(sent_day(m) >= key->day) : UNKNOWN;
	case OP_LARGER:
		return truth(row->size > key->number);
	case OP_SMALLER:
		return truth(row->size < key->number);
	case OP_OLDER:
		return truth(row->internaldate <= key->when);
	case OP_YOUNGER:
		return truth(row->internaldate >= key->when);
	case OP_MODSEQ:
		return truth(row->modseq >= key->number);
	case OP_HEADER:
		return header_key(key, m);
	case OP_BODY:
	case OP_TEXT:
	case OP_NOT:
	case OP_AND:
	case OP_OR:
		break;
	}
	return UNKNOWN;
}

static enum truth negated(enum truth a)
{
	return a == UNKNOWN ? UNKNOWN : a == YES ? NO : YES;
}

static enum truth both(enum truth a, enum truth b)
{
	return a == NO || b == NO ? NO : a == YES && b == YES ? YES : UNKNOWN;
}

enum truth search_run(const struct search *s, const struct search_message *m)
{
	unsigned char stack_small[64], *stack = stack_small, *big = NULL;
	size_t top = 0;

	if (s->count == 1 && !m->answers)
		return leaf(s->keys, m);
	if (s->count > sizeof(stack_small))
		stack = big = xmalloc(s->count);
	for (size_t i = 0; i < s->count; i++) {
		const struct search_key *key = &s->keys[i];
		enum truth b;

		switch (key->op) {
		case OP_NOT:
			stack[top - 1] = (unsigned char)negated(stack[top - 1]);
			break;
		case OP_AND:
			b = stack[--top];
			stack[top - 1] = (unsigned char)both(stack[top - 1], b);
			break;
		case OP_OR:
			b = stack[--top];
			stack[top - 1] =
				(unsigned char)negated(both(negated(stack[top - 1]), negated(b)));
			break;
		default:
			b = m->answers && m->answers[i] != UNKNOWN ? m->answers[i] : leaf(key, m);
			stack[top++] = (unsigned char)b;
			break;
		}
	}
	enum truth result = top ? (enum truth)stack[0] : NO;

	free(big);
	return result;
}
