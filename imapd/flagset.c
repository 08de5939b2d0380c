/* imapd/flagset.c - see flagset.h. */
#include "imapd/flagset.h"

#include "common/banned.h"

uint32_t flag_find(struct sv name)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} flags[] = {
		{ "\\Seen", FLAG_SEEN },       { "\\Answered", FLAG_ANSWERED },
		{ "\\Flagged", FLAG_FLAGGED }, { "\\Deleted", FLAG_DELETED },
		{ "\\Draft", FLAG_DRAFT },
	};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (sv_eq_nocase(name, sv_z(flags[i].name)))
			return flags[i].bit;
	return 0;
}

static bool add(struct flagset *set, struct arena *arena, struct sv name)
{
	uint32_t bit = flag_find(name);

	if (bit || sv_eq_nocase(name, SV("\\Recent"))) {
		set->flags |= bit;
		return true;
	}
	if (name.p[0] == '\\')
		return false;
	for (size_t i = 0; i < set->keyword_count; i++)
		if (sv_eq_nocase(set->keywords[i], name))
			return true;
	if (set->keyword_count == KEYWORDS_MAX) {
		set->is_too_many = true;
		return false;
	}
	name = arena_copy(arena, name);         /* the parser's text moves when it grows */
	set->keywords[set->keyword_count++] = name;
	return name.p != NULL;
}

uint32_t keyword_number(const struct keyword_table *keywords, struct sv name)
{
	for (uint32_t i = 0; i < keywords->count; i++)
		if (sv_eq_nocase(keywords->names[i], name))
			return i;
	return UINT32_MAX;
}

bool flagset_read(struct args *args, struct arena *arena, struct flagset *out)
{
	struct args list;
	struct sv name;
	bool is_list = args_open(args, &list);
	struct args *from = is_list ? &list : args;

	*out = (struct flagset){ .keywords =
					 arena_array(arena, KEYWORDS_MAX, sizeof(*out->keywords)) };
	if (!out->keywords || (!is_list && args_end(args)))
		return false;
	while (args_flag(from, &name))
		if (!add(out, arena, name))
			return false;
	return args_end(from) && (!is_list || args_end(args));
}
