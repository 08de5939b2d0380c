/* imapd/id.c - see id.h. */
#include "imapd/id.h"

#include "common/banned.h"

#define PAIRS_MAX 30            /* RFC 2971 §3.3: pairs, octets of a name, octets of a value */
#define NAME_MAX_OCTETS 30
#define VALUE_MAX_OCTETS 1024
#define SUMMARY_MAX 512

bool id_read(struct args *args, struct arena *arena, struct id *out)
{
	struct buf text = { .max = SUMMARY_MAX };
	struct args list;
	struct sv key, value;
	size_t pairs = 0;
	bool is_good = true;

	*out = (struct id){ 0 };
	if (args_word(args, "NIL"))
		return args_end(args);
	if (!args_open(args, &list) || !args_end(args))
		return false;
	while (is_good && !args_end(&list)) {
		is_good = args_string(&list, &key) && key.len <= NAME_MAX_OCTETS &&
			  ++pairs <= PAIRS_MAX;
		value = SV_NONE;
		if (is_good && !args_word(&list, "NIL"))
			is_good = args_string(&list, &value) && value.len <= VALUE_MAX_OCTETS;
		if (is_good && sv_eq_nocase(key, SV("name")))
			out->name = value;
		if (is_good && sv_eq_nocase(key, SV("version")))
			out->version = value;
		if (is_good && sv_eq_nocase(key, SV("os")))
			out->os = value;
		if (is_good && text.len + key.len + value.len + 2 < text.max)
			buf_appendf(&text, "%s%.*s=%.*s", text.len ? " " : "", SV_FMT(key),
				    SV_FMT(value));
	}
	if (is_good)
		out->summary = arena_copy(arena, buf_sv(&text));
	buf_done(&text);
	return is_good;
}

struct sv id_label(const struct id *client)
{
	struct buf text = { .max = 3 * VALUE_MAX_OCTETS };
	struct sv label;

	buf_append(&text, client->name);
	if (client->version.len)
		buf_appendf(&text, "%s%.*s", text.len ? " " : "", SV_FMT(client->version));
	if (client->os.len)
		buf_appendf(&text, "%s(%.*s)", text.len ? " " : "", SV_FMT(client->os));
	label = sv_sub(buf_sv(&text), 0, ID_LABEL_MAX);
	if (label.len)
		label.p = sv_copy_z(label);
	buf_done(&text);
	return label;
}

void id_write(struct writer *w)
{
	writer_z(w, "* ID (\"name\" \"Postroom\")\r\n");
}
