/* imapd/commands/list.c - LIST (RFC 3501 §6.3.8, RFC 5258, RFC 6154) and LSUB (RFC 3501 §6.3.9).
 * Attributes that clients use without asking for them (children, special use) are always told. */
#include "imapd/annotation.h"
#include "imapd/list.h"
#include "imapd/listing.h"
#include "imapd/status.h"
#include "imapd/use.h"

#include "common/banned.h"

#define PATTERNS_MAX 32
#define PATTERN_LEN_MAX 512

enum list_option {
	SELECT_SUBSCRIBED   = 1 << 0,
	SELECT_SPECIAL_USE  = 1 << 1,
	SELECT_RECURSIVE    = 1 << 2,
	SELECT_REMOTE       = 1 << 3,   /* nothing of ours is remote: it adds nothing */
	RETURN_SUBSCRIBED   = 1 << 4,
	RETURN_CHILDREN     = 1 << 5,
	RETURN_SPECIAL_USE  = 1 << 6,
	RETURN_MYRIGHTS     = 1 << 8,
	LIST_IS_LSUB        = 1 << 7,
};

struct list {
	struct listing rows;
	struct sv patterns[PATTERNS_MAX];
	size_t pattern_count;
	bool has_percent;
	unsigned options;
	unsigned status;        /* items to be told of each mailbox (RFC 5819) */
	struct annotation_request metadata;     /* likewise (RFC 9590); no entries: none */
	const char *attribute;  /* one more for each row; NULL: none */
	size_t next;
};

static const struct option_name {
	const char *name;
	unsigned bit;
	enum capability capability;
} selections[] = {
	{ "SUBSCRIBED",     SELECT_SUBSCRIBED | RETURN_SUBSCRIBED, CAP_LIST_EXTENDED },
	{ "REMOTE",         SELECT_REMOTE,                         CAP_LIST_EXTENDED },
	{ "RECURSIVEMATCH", SELECT_RECURSIVE,                      CAP_LIST_EXTENDED },
	{ "SPECIAL-USE",    SELECT_SPECIAL_USE,                    CAP_SPECIAL_USE },
}, returns[] = {
	{ "SUBSCRIBED",     RETURN_SUBSCRIBED,                     CAP_LIST_EXTENDED },
	{ "CHILDREN",       RETURN_CHILDREN,                       CAP_LIST_EXTENDED },
	{ "SPECIAL-USE",    RETURN_SPECIAL_USE,                    CAP_SPECIAL_USE },
	{ "MYRIGHTS",       RETURN_MYRIGHTS,                       CAP_LIST_MYRIGHTS },
};

/* read_status - RFC 5819 §2: STATUS with its list of items. */
static bool read_status(struct command *c, struct args *list, struct list *l)
{
	return capability_has(c->room->on, CAP_LIST_STATUS) && args_word(list, "STATUS") &&
	       status_read_items(c, list, &l->status);
}

/* read_metadata - RFC 9590 §3: METADATA with a list of entries. */
static bool read_metadata(struct command *c, struct args *list, struct list *l)
{
	const struct token *t;

	if (!capability_has(c->room->on, CAP_LIST_METADATA) || !args_word(list, "METADATA"))
		return false;
	t = args_peek(list);
	return t && t->kind == TOKEN_OPEN && annotation_read_entries(list, &l->metadata);
}

static bool read_options(struct command *c, struct args *list, const struct option_name *names,
			 size_t count, struct list *l)
{
	while (!args_end(list)) {
		size_t i = 0;

		if (names == returns && (read_status(c, list, l) || read_metadata(c, list, l)))
			continue;
		while (i < count && (!capability_has(c->room->on, names[i].capability) ||
				     !args_word(list, names[i].name)))
			i++;
		if (i == count)
			return false;
		l->options |= names[i].bit;
	}
	return true;
}

/* read_pattern - reference and pattern are one name with wildcards (RFC 3501 §6.3.8). One that is
 * no modified UTF-7 means no mailbox of ours. */
static bool read_pattern(struct command *c, struct args *from, struct sv reference, struct list *l)
{
	struct buf wire = { .max = PATTERN_LEN_MAX }, utf8 = { .max = PATTERN_LEN_MAX };
	struct sv text;
	bool is_good = args_pattern(from, &text) && l->pattern_count < PATTERNS_MAX &&
		       buf_append(&wire, reference) && buf_append(&wire, text);

	if (is_good && room_name(c->room, buf_sv(&wire), &utf8)) {
		struct sv kept = arena_copy(&c->arena, buf_sv(&utf8));

		/* Thunderbird: a trailing delimiter asks for the mailbox itself. */
		if (kept.len > 1 && kept.p[kept.len - 1] == '/')
			kept.len--;
		l->patterns[l->pattern_count++] = kept;
		l->has_percent |= sv_find(kept, '%') != SIZE_MAX;
	}
	buf_done(&wire);
	buf_done(&utf8);
	return is_good;
}

/* read_arguments - *is_root: the special form LIST "" "", which asks for the delimiter. */
static bool read_arguments(struct command *c, struct list *l, bool *is_root)
{
	const bool is_extended =
		capability_has(c->room->on, CAP_LIST_EXTENDED) && !(l->options & LIST_IS_LSUB);
	const struct token *t;
	struct args list;
	struct sv reference;

	*is_root = false;
	if (is_extended && args_open(&c->args, &list) &&
	    !read_options(c, &list, selections, ARRAY_LEN(selections), l))
		return false;
	/* RFC 5258 §3: RECURSIVEMATCH needs something to match. */
	if (l->options & SELECT_RECURSIVE &&
	    !(l->options & (SELECT_SUBSCRIBED | SELECT_SPECIAL_USE)))
		return false;
	if (!args_astring(&c->args, &reference))
		return false;
	t = args_peek(&c->args);
	if (is_extended && t && t->kind == TOKEN_OPEN) {
		if (!args_open(&c->args, &list) || args_end(&list))
			return false;
		while (!args_end(&list))
			if (!read_pattern(c, &list, reference, l))
				return false;
	} else {
		*is_root = t && t->kind != TOKEN_ATOM && t->len == 0;
		if (!read_pattern(c, &c->args, reference, l))
			return false;
	}
	if (is_extended && args_word(&c->args, "RETURN") &&
	    (!args_open(&c->args, &list) ||
	     !read_options(c, &list, returns, ARRAY_LEN(returns), l)))
		return false;
	return args_end(&c->args);
}

struct loading {
	struct listing *rows;
	bool is_full;
};

static bool load_one(void *arg, const struct mailbox_info *info)
{
	struct loading *x = arg;
	struct listed *row = listing_add(x->rows, info->name);

	if (!row) {
		x->is_full = true;
		return false;
	}
	row->special_use = info->special_use;
	row->exists = info->exists;
	row->has_children = info->has_children;
	row->subscribed = info->subscribed;
	row->rights = info->rights;
	return true;
}

static struct fault load(struct command *c, struct listing *out)
{
	struct loading x = { .rows = out };
	struct fault f;

	*out = (struct listing){ .arena = &c->arena };
	f = mailbox_list(c->room->user, load_one, &x);
	if (!f.kind && x.is_full)
		f = fault(FAULT_LIMIT, "too many mailboxes for one listing");
	if (!f.kind && out->count)
		f = listing_arrange(out);
	return f;
}

static bool is_chosen(const struct listed *row, unsigned options)
{
	if (options & (SELECT_SUBSCRIBED | LIST_IS_LSUB) && !row->subscribed)
		return false;
	if (options & SELECT_SPECIAL_USE && !row->special_use)
		return false;
	if (options & (SELECT_SUBSCRIBED | LIST_IS_LSUB))
		return true;
	return row->exists || row->has_children;
}

/* is_shown - RFC 5258 §3.5: RECURSIVEMATCH shows parents of what was chosen; RFC 3501 §6.3.9: so
 * does % in LSUB. */
static bool is_shown(const struct list *l, const struct listed *row)
{
	bool shows_parents =
		l->options & SELECT_RECURSIVE || (l->options & LIST_IS_LSUB && l->has_percent);

	if (!row->is_chosen && !(shows_parents && row->has_chosen_child))
		return false;
	for (size_t i = 0; i < l->pattern_count; i++)
		if (pattern_matches(l->patterns[i], row->name))
			return true;
	return false;
}

static void write_row(struct command *c, const struct list *l, const struct listed *row)
{
	struct writer *w = &c->out;
	bool is_lsub = l->options & LIST_IS_LSUB;

	writer_z(w, is_lsub ? "* LSUB (" : "* LIST (");
	writer_z(w, row->has_children ? "\\HasChildren" : "\\HasNoChildren");
	/* RFC 5258 §3: \NonExistent implies \Noselect, which older clients know. A parent in LSUB
	 * that is not itself subscribed is \Noselect, too (RFC 3501 §6.3.9). */
	if (!row->exists)
		writer_z(w, " \\Noselect \\NonExistent");
	else if ((is_lsub && !row->is_chosen) || !(row->rights & RIGHT_READ))
		writer_z(w, " \\Noselect");
	if (l->options & RETURN_SUBSCRIBED && row->subscribed)
		writer_z(w, " \\Subscribed");
	if (capability_has(c->room->on, CAP_SPECIAL_USE))
		use_write(w, row->special_use);
	if (l->attribute && *l->attribute)
		writer_f(w, " %s", l->attribute);
	writer_z(w, ") \"/\" ");
	command_write_mailbox(c, row->name);
	if (l->options & SELECT_RECURSIVE && row->has_chosen_child)
		writer_z(w, l->options & SELECT_SUBSCRIBED ? " (\"CHILDINFO\" (\"SUBSCRIBED\"))" :
							     " (\"CHILDINFO\" (\"SPECIAL-USE\"))");
	writer_crlf(w);
}

void list_write_info(struct command *c, const struct mailbox_info *info, struct sv old_name, const char *attribute)
{
	const struct list l = { .options = RETURN_SUBSCRIBED, .attribute = attribute };
	struct listed row = { .name = info->name, .special_use = info->special_use, .exists = info->exists,
			      .has_children = info->has_children, .subscribed = info->subscribed,
			      .rights = info->rights, .is_chosen = true };
	struct writer *w = &c->out;

	write_row(c, &l, &row);
	if (!old_name.len)
		return;
	w->buf.len -= strlen("\r\n");
	writer_z(w, " (\"OLDNAME\" (");
	command_write_mailbox(c, old_name);
	writer_z(w, "))\r\n");
}

struct one {
	struct command *c;
	struct sv name, old_name;
};

static bool write_one(void *arg, const struct mailbox_info *info)
{
	const struct one *x = arg;

	if (!sv_eq(info->name, x->name))
		return true;
	list_write_info(x->c, info, x->old_name, "");
	return false;
}

struct fault list_write_one(struct command *c, struct sv name, struct sv old_name)
{
	struct one x = { c, name, old_name };

	return mailbox_list(c->room->user, write_one, &x);
}

/* show - the row and what is to be told of it. RFC 5819 §2: STATUS goes with what was chosen and can
 * be selected; what cannot be, because it was deleted just now, is listed as \NoSelect. */
static struct fault show(struct command *c, const struct list *l, struct listed *row)
{
	size_t start = c->out.buf.len;
	struct fault f = FAULT_OK;
	uint64_t longest;

	write_row(c, l, row);
	if (!row->exists || !row->is_chosen)
		return f;
	if (l->options & RETURN_MYRIGHTS)
		command_write_myrights(c, row->name, row->rights);
	if (l->metadata.count)
		f = annotation_write(c, row->name, &l->metadata, &longest);
	if (f.kind == FAULT_DENIED)     /* RFC 9590 §3: left out */
		f = FAULT_OK;
	if (!f.kind && l->status && row->rights & RIGHT_READ)
		f = status_write(c, row->name, l->status);
	if (f.kind != FAULT_NOT_FOUND && f.kind != FAULT_DENIED)
		return f;
	c->out.buf.len = start;
	row->exists = false;
	write_row(c, l, row);
	return FAULT_OK;
}

static enum step list(struct command *c, unsigned options)
{
	struct list *l = c->state;
	bool is_root;

	if (!l) {
		l = command_new_state(c, sizeof(*l));
		l->options = options;
		if (!read_arguments(c, l, &is_root))
			return command_bad(
				c, "Bad arguments: a reference and a pattern were expected");
		if (is_root) {
			writer_f(&c->out, "* %s (\\Noselect) \"/\" \"\"\r\n", c->spec->name);
			return command_ok(c, "Listed");
		}
		struct fault f = load(c, &l->rows);

		if (f.kind)
			return command_fault(c, f);
		listing_choose(&l->rows, is_chosen, l->options);
	}
	for (; l->next < l->rows.count; l->next++) {
		if (command_is_full(c))
			return STEP_MORE;
		if (!is_shown(l, &l->rows.rows[l->next]))
			continue;
		struct fault f = show(c, l, &l->rows.rows[l->next]);

		if (f.kind)
			return command_fault(c, f);
	}
	return command_ok(c, "Listed");
}

enum step do_list(struct command *c)
{
	return list(c, 0);
}

enum step do_lsub(struct command *c)
{
	return list(c, LIST_IS_LSUB);
}
