/* imapd/sources.c - see sources.h. */
#include "imapd/sources.h"

#include "maildir/acl.h"

#include "common/banned.h"

static const struct {
	const char *name;
	enum source kind;
	bool has_names;
} kinds[] = {
	{ "selected", SOURCE_SELECTED, false },     { "inboxes", SOURCE_INBOXES, false },
	{ "personal", SOURCE_PERSONAL, false },     { "subscribed", SOURCE_SUBSCRIBED, false },
	{ "subtree", SOURCE_SUBTREE, true },        { "subtree-one", SOURCE_SUBTREE_ONE, true },
	{ "mailboxes", SOURCE_MAILBOXES, true },
};

/* read_name - one mailbox behind its kind. A name that cannot be one means no mailbox of ours. */
static bool read_name(struct command *c, struct args *from, enum source kind, struct sources *out)
{
	struct buf utf8 = { .max = MAILBOX_NAME_MAX };
	struct sv wire;
	bool is_good = args_astring(from, &wire) && out->count < SOURCE_NAMES_MAX;

	if (is_good && room_name(c->room, wire, &utf8)) {
		struct sv name = buf_sv(&utf8);

		if (sv_eq_nocase(sv_sub(name, 0, 6), SV("INBOX")) || sv_starts_nocase(name, SV("INBOX/")))
			memcpy(utf8.p, "INBOX", 5);
		if (name.len > 1 && name.p[name.len - 1] == '/')
			name.len--;
		name = arena_copy(&c->arena, name);
		is_good = name.p;
		out->names[out->count++] = (struct source_name){ kind, name };
	}
	buf_done(&utf8);
	return is_good;
}

/* read_names - one-or-more-mailbox */
static bool read_names(struct command *c, struct args *list, enum source kind, struct sources *out)
{
	struct args inside;

	if (!args_open(list, &inside))
		return read_name(c, list, kind, out);
	if (args_end(&inside))
		return false;
	while (!args_end(&inside))
		if (!read_name(c, &inside, kind, out))
			return false;
	return true;
}

bool sources_read(struct command *c, struct args *list, unsigned allowed, struct sources *out)
{
	*out = (struct sources){ .names = arena_array(&c->arena, SOURCE_NAMES_MAX, sizeof(*out->names)) };
	if (!out->names || args_end(list))
		return false;
	while (!args_end(list)) {
		size_t i = 0;

		while (i < ARRAY_LEN(kinds) && (!(allowed & kinds[i].kind) || !args_word(list, kinds[i].name)))
			i++;
		if (i == ARRAY_LEN(kinds) || (kinds[i].has_names && !read_names(c, list, kinds[i].kind, out)))
			return false;
		out->kinds |= kinds[i].kind;
	}
	return true;
}

/* is_below - is `name` the mailbox, or one under it? With is_one: a child of it at most. */
static bool is_below(struct sv name, struct sv top, bool is_one)
{
	if (!sv_starts(name, top))
		return false;
	sv_skip(&name, top.len);
	if (!name.len)
		return true;
	if (*name.p != '/')
		return false;
	sv_skip(&name, 1);
	return !is_one || sv_find(name, '/') == SIZE_MAX;
}

struct finding {
	struct command *c;
	const struct sources *sources;
	struct sv *names;
	size_t count, cap;
	bool is_full;
};

static bool is_meant(const struct sources *s, const struct mailbox_info *info)
{
	if ((s->kinds & SOURCE_PERSONAL && !info->is_shared) || (s->kinds & SOURCE_SUBSCRIBED && info->subscribed) ||
	    (s->kinds & SOURCE_INBOXES && sv_eq(info->name, SV("INBOX"))))
		return true;
	for (size_t i = 0; i < s->count; i++)
		if (s->names[i].kind == SOURCE_MAILBOXES ?
			    sv_eq(s->names[i].name, info->name) :
			    is_below(info->name, s->names[i].name, s->names[i].kind == SOURCE_SUBTREE_ONE))
			return true;
	return false;
}

static bool take(void *arg, const struct mailbox_info *info)
{
	struct finding *f = arg;
	struct arena *arena = &f->c->arena;

	/* RFC 7377 §2.2: what may not be read is not there. */
	if (!info->exists || !(info->rights & RIGHT_READ) || !is_meant(f->sources, info))
		return true;
	if (f->count == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		struct sv *names = arena_array(arena, cap, sizeof(*names));

		if (!names) {
			f->is_full = true;
			return false;
		}
		if (f->count)
			memcpy(names, f->names, f->count * sizeof(*names));
		f->names = names;
		f->cap = cap;
	}
	f->names[f->count] = arena_copy(arena, info->name);
	f->is_full = !f->names[f->count].p;
	f->count++;
	return !f->is_full;
}

struct fault sources_find(struct command *c, const struct sources *s, struct sv **names, size_t *count)
{
	struct finding x = { .c = c, .sources = s };
	struct fault f = FAULT_OK;

	if (s->kinds & ~(unsigned)SOURCE_SELECTED)
		f = mailbox_list(c->room->user, take, &x);
	if (!f.kind && x.is_full)
		f = fault(FAULT_LIMIT, "too many mailboxes for one command");
	*names = x.names;
	*count = x.count;
	return f;
}
