#include "common/address.h"

#include "common/banned.h"

/* An element is gathered in l->text as words with one space between them, quoting removed. Inside, NUL stands for white
 * space beside a dot: a space in a phrase ("J. Doe"), nothing in an address ("jdoe@test . example", RFC 5322 §4.4).
 * NULs of the input are dropped. */
#define SOFT_SPACE '\0'

struct element {
	struct sv *in;
	struct buf *text;
	size_t word_start;      /* of the last word that a space precedes */
	size_t local_start;     /* of the word before the last @ */
	size_t at;              /* of the last @ outside quotes, SIZE_MAX if none */
	size_t host_end;        /* SIZE_MAX while the host can still grow */
	bool had_space;         /* between the last word and here */
	bool has_words;
};

void address_list_init(struct address_list *l, struct sv value)
{
	*l = (struct address_list){ .rest = value };
	/* What is gathered never is more than what was read. */
	buf_init(&l->text, value.len + 16);
	buf_init(&l->comment, value.len + 16);
}

void address_list_done(struct address_list *l)
{
	buf_done(&l->text);
	buf_done(&l->comment);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void keep(struct buf *b, char c)
{
	if (c != '\r' && c != '\n' && c != '\0')
		(void)buf_append_c(b, c);
}

/* A comment to its end, nested ones included; its text takes the place of the last one's. */
static void take_comment(struct address_list *l)
{
	size_t depth = 0;

	buf_clear(&l->comment);
	for (; l->rest.len; sv_skip(&l->rest, 1)) {
		char c = *l->rest.p;
		if (c == '\\' && l->rest.len > 1) {
			sv_skip(&l->rest, 1);
			c = *l->rest.p;
		} else if (c == '(') {
			if (!depth++)
				continue;
		} else if (c == ')' && !--depth) {
			sv_skip(&l->rest, 1);
			break;
		}
		keep(&l->comment, c);
	}
	struct sv trimmed = sv_trim(buf_sv(&l->comment));

	if (trimmed.len)
		memmove(l->comment.p, trimmed.p, trimmed.len);
	l->comment.len = trimmed.len;
}

/* White space and comments. True when there was any. */
static bool skip_cfws(struct address_list *l)
{
	bool any = false;

	while (l->rest.len && (is_space(*l->rest.p) || *l->rest.p == '(')) {
		any = true;
		if (*l->rest.p == '(')
			take_comment(l);
		else
			sv_skip(&l->rest, 1);
	}
	return any;
}

static void take_quoted(struct address_list *l, struct buf *out)
{
	sv_skip(&l->rest, 1);
	for (; l->rest.len && *l->rest.p != '"'; sv_skip(&l->rest, 1)) {
		if (*l->rest.p == '\\' && l->rest.len > 1)
			sv_skip(&l->rest, 1);
		keep(out, *l->rest.p);
	}
	if (l->rest.len)
		sv_skip(&l->rest, 1);
}

/* One word: a quoted string, or octets up to the next special one (dots belong to words). */
static void take_word(struct address_list *l, struct buf *out)
{
	if (*l->rest.p == '"') {
		take_quoted(l, out);
		return;
	}
	if (*l->rest.p == '[') {        /* a domain literal, colons and all; it ends at white space in any case */
		while (l->rest.len && *l->rest.p != ']' && !is_space(*l->rest.p) && !memchr(",;<>\"", *l->rest.p, 5)) {
			keep(out, *l->rest.p);
			sv_skip(&l->rest, 1);
		}
		if (!l->rest.len || *l->rest.p != ']')
			return;
	}
	do {
		keep(out, *l->rest.p);
		sv_skip(&l->rest, 1);
	} while (l->rest.len && !is_space(*l->rest.p) && !memchr("(<>@,;:\"[", *l->rest.p, 9));
}

static struct sv region(const struct buf *b, size_t from, size_t to)
{
	return (struct sv){ (b->p ? b->p : "") + from, to - from };
}

/* The text [from, to) as a display name. */
static struct sv as_phrase(struct buf *b, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (b->p[i] == SOFT_SPACE)
			b->p[i] = ' ';
	while (from < to && b->p[from] == ' ')
		from++;
	while (to > from && b->p[to - 1] == ' ')
		to--;
	return region(b, from, to);
}

/* The text [from, to) as part of an address. */
static struct sv as_address(struct buf *b, size_t from, size_t to)
{
	size_t n = from;

	for (size_t i = from; i < to; i++)
		if (b->p[i] != SOFT_SPACE)
			b->p[n++] = b->p[i];
	return region(b, from, n);
}

/* Nothing of the name? Then the comment is it: jdoe@example.org (John Doe). */
static void set_name(const struct address_list *l, struct sv name, struct address_item *out)
{
	if (name.len)
		out->name = name;
	else if (l->comment.len)
		out->name = buf_sv(&l->comment);
}

/* <route:local@host>, the name standing before it in l->text. Views are made when the text grows no more. */
static void take_angle(struct address_list *l, struct address_item *out)
{
	struct buf *b = &l->text;
	size_t name_end = b->len, start = b->len, route_end = 0, at = SIZE_MAX;
	bool is_quoted = false;

	sv_skip(&l->rest, 1);
	for (;;) {
		skip_cfws(l);
		if (!l->rest.len)
			break;
		char c = *l->rest.p;
		bool may_be_route = b->len > start && b->p[start] == '@' && !route_end && !is_quoted;
		if (c == '>') {
			sv_skip(&l->rest, 1);
			break;
		}
		if ((c == ',' || c == ';') && !may_be_route)
			break;                  /* the > was forgotten */
		if (c == ':' && may_be_route) {
			sv_skip(&l->rest, 1);
			route_end = b->len;
			start = b->len;
			at = SIZE_MAX;
			continue;
		}
		if (c == '@')
			at = b->len;
		if (b->len == start)
			is_quoted = c == '"';
		if (c == '@' || c == ',' || c == ';' || c == ':' || c == '<') {
			keep(b, c);
			sv_skip(&l->rest, 1);
		} else {
			take_word(l, b);
		}
	}
	/* Whatever stands behind the angle, except a comment, is no part of it. */
	size_t end = b->len;

	for (;;) {
		skip_cfws(l);
		if (!l->rest.len || *l->rest.p == ',' || *l->rest.p == ';')
			break;
		if (*l->rest.p == '"')
			take_word(l, b);
		else
			sv_skip(&l->rest, 1);
		b->len = end;
	}
	out->kind = ADDRESS_ITEM_MAILBOX;
	set_name(l, as_phrase(b, 0, name_end), out);
	if (route_end > name_end)
		out->route = region(b, name_end, route_end);
	out->mailbox = region(b, start, at == SIZE_MAX ? end : at);
	out->host = at == SIZE_MAX ? SV("") : region(b, at + 1, end);
}

/* Make ready for the next word: the white space before it. */
static void separate(struct element *e)
{
	struct buf *b = e->text;

	if (!e->has_words || !e->had_space)
		return;
	bool is_dotted = (e->in->len && *e->in->p == '.') || (b->len && b->p[b->len - 1] == '.');
	bool is_around_at = (e->in->len && *e->in->p == '@') || (e->at != SIZE_MAX && e->at + 1 == b->len);

	if (is_dotted || is_around_at) {
		(void)buf_append_c(b, SOFT_SPACE);
	} else {
		if (e->at != SIZE_MAX && e->host_end == SIZE_MAX)
			e->host_end = b->len;
		(void)buf_append_c(b, ' ');
		e->word_start = b->len;
	}
}

static void emit_plain(struct address_list *l, struct element *e, struct address_item *out)
{
	struct buf *b = &l->text;

	out->kind = ADDRESS_ITEM_MAILBOX;
	if (e->at == SIZE_MAX) {
		out->mailbox = as_phrase(b, 0, b->len);
		out->host = SV("");
		set_name(l, SV_NONE, out);
		return;
	}
	size_t start = e->local_start;

	set_name(l, as_phrase(b, 0, start), out);
	out->mailbox = as_address(b, start, e->at);
	out->host = as_address(b, e->at + 1, e->host_end == SIZE_MAX ? b->len : e->host_end);
}

bool address_list_next(struct address_list *l, struct address_item *out)
{
	struct element e = { .in = &l->rest, .text = &l->text, .at = SIZE_MAX, .host_end = SIZE_MAX };

	*out = (struct address_item){ 0 };
	buf_clear(&l->text);
	buf_clear(&l->comment);
	if (l->count == ADDRESS_LIST_MAX) {
		l->is_capped = l->is_capped || l->rest.len;
		l->rest = SV_NONE;
	}
	for (;;) {
		e.had_space = skip_cfws(l) || e.had_space;
		char c = l->rest.len ? *l->rest.p : ',';
		if (c == ',' || c == ';') {
			if (e.has_words) {
				l->count++;
				emit_plain(l, &e, out);
				return true;
			}
			if (!l->rest.len || (c == ';' && l->is_in_group)) {
				if (l->rest.len)
					sv_skip(&l->rest, 1);
				if (!l->is_in_group)
					return false;
				l->is_in_group = false;
				out->kind = ADDRESS_ITEM_GROUP_END;
				return true;
			}
			sv_skip(&l->rest, 1);
			buf_clear(&l->comment);
			continue;
		}
		if (c == '<') {
			l->count++;
			take_angle(l, out);
			return true;
		}
		if (c == ':' && !l->is_in_group && e.at == SIZE_MAX) {
			sv_skip(&l->rest, 1);
			l->is_in_group = true;
			out->kind = ADDRESS_ITEM_GROUP_START;
			out->name = as_phrase(&l->text, 0, l->text.len);
			return true;
		}
		separate(&e);
		e.had_space = false;
		e.has_words = true;
		if (c == '@') {
			e.at = l->text.len;
			e.local_start = e.word_start;
			e.host_end = SIZE_MAX;
		}
		if (c == '@' || c == ':' || c == '>') {
			keep(&l->text, c);
			sv_skip(&l->rest, 1);
		} else {
			take_word(l, &l->text);
		}
	}
}
