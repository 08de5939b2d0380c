/* Values of options: from words to fields and back, and what is said about them. */
#include <stdlib.h>

#include "common/conf_private.h"
#include "common/memory.h"

#include "common/banned.h"

#define DEFAULT_WORDS_MAX 64

/* A field of the type that its row says (checked at compile time in conf_table.c). */
#define FIELD_AT(type, base, option) ((type *)(void *)((char *)(base) + (option)->offset))
#define CONST_FIELD_AT(type, base, option) \
	((const type *)(const void *)((const char *)(base) + (option)->offset))

struct suffix {
	const char *text;
	uint64_t factor;
};

/* The largest first: a value is written with the first that divides it. */
static const struct suffix byte_suffixes[] = {
	{ "G", 1u << 30 }, { "M", 1u << 20 }, { "K", 1u << 10 }, { "", 1 }
};
static const struct suffix time_suffixes[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
};

static const struct suffix *suffixes_of(enum conf_type type, size_t *count)
{
	if (type == CONF_BYTES) {
		*count = ARRAY_LEN(byte_suffixes);
		return byte_suffixes;
	}
	if (type == CONF_DURATION) {
		*count = ARRAY_LEN(time_suffixes);
		return time_suffixes;
	}
	*count = 1;
	return &byte_suffixes[ARRAY_LEN(byte_suffixes) - 1];
}

/* ---- numbers ---- */

static bool read_number(const struct conf_option *option, struct sv word, uint64_t *out)
{
	size_t count, digits = 0;
	const struct suffix *suffixes = suffixes_of(option->type, &count);
	uint64_t n;

	while (digits < word.len && ascii_is_digit(word.p[digits]))
		digits++;
	if (!sv_to_u64(sv_sub(word, 0, digits), &n))
		return false;
	if (n == 0 && digits == word.len) {     /* nothing needs no unit */
		*out = 0;
		return true;
	}
	for (size_t i = 0; i < count; i++) {
		if (!sv_eq_nocase(sv_sub(word, digits, SIZE_MAX), sv_z(suffixes[i].text)))
			continue;
		if (n > UINT64_MAX / suffixes[i].factor)
			n = UINT64_MAX;
		else
			n *= suffixes[i].factor;
		*out = n;
		return true;
	}
	return false;
}

static void number_text(const struct conf_option *option, uint64_t n, struct buf *out)
{
	size_t count, i = 0;
	const struct suffix *suffixes = suffixes_of(option->type, &count);

	if (n == 0) {
		(void)buf_append_c(out, '0');
		return;
	}
	while (i + 1 < count && n % suffixes[i].factor != 0)
		i++;
	(void)buf_append_u64(out, n / suffixes[i].factor);
	(void)buf_append(out, sv_z(suffixes[i].text));
}

/* ---- words ---- */

static void words_text(const char *const *words, struct buf *out)
{
	for (size_t i = 0; words[i]; i++) {
		if (i)
			(void)buf_append(out, words[i + 1] ? SV(", ") : SV(" or "));
		(void)buf_append(out, sv_z(words[i]));
	}
}

static bool find_word(const char *const *words, struct sv word, unsigned *out)
{
	for (unsigned i = 0; words[i]; i++) {
		if (sv_eq_nocase(word, sv_z(words[i]))) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool read_bool(struct sv word, bool *out)
{
	static const char *const yes[] = { "yes", "on", "true", NULL };
	static const char *const no[] = { "no", "off", "false", NULL };
	unsigned which;

	if (!find_word(yes, word, &which) && !find_word(no, word, &which))
		return false;
	*out = find_word(yes, word, &which);
	return true;
}

/* A word as the file would hold it: quoted when it must be. */
static void word_text(struct sv word, struct buf *out)
{
	bool quotes = word.len == 0;

	for (size_t i = 0; i < word.len; i++)
		if (strchr(" \t\"#{}\\", word.p[i]))
			quotes = true;
	if (!quotes) {
		(void)buf_append(out, word);
		return;
	}
	(void)buf_append_c(out, '"');
	for (size_t i = 0; i < word.len; i++) {
		if (word.p[i] == '"' || word.p[i] == '\\')
			(void)buf_append_c(out, '\\');
		(void)buf_append_c(out, word.p[i]);
	}
	(void)buf_append_c(out, '"');
}

/* ---- lists ---- */

bool conf_list_is_none(const struct conf_list *list)
{
	return list->count == 1 && strcmp(list->items[0], "none") == 0;
}

static void list_done(struct conf_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct conf_list){ NULL, 0 };
}

/* What `loopback` stands for: 127.0.0.0/8 and ::1. */
static const char *const loopback_nets[] = { "127.0.0.0/8", "::1" };

static bool read_nets(const struct sv *words, size_t count, struct ipnets *out, struct sv *wrong)
{
	struct ipnets nets = { xcalloc(count + 1, ARRAY_LEN(loopback_nets) * sizeof(struct ipnet)),
			       0 };

	for (size_t i = 0; i < count; i++) {
		bool good;

		if (sv_eq_nocase(words[i], SV("loopback"))) {
			good = true;
			for (size_t k = 0; k < ARRAY_LEN(loopback_nets); k++)
				good = ipnet_parse(sv_z(loopback_nets[k]),
						   &nets.items[nets.count++]) &&
				       good;
		} else if (sv_eq_nocase(words[i], SV("never")) ||
			   sv_eq_nocase(words[i], SV("none"))) {
			good = count == 1;
		} else {
			good = ipnet_parse(words[i], &nets.items[nets.count++]);
		}
		if (!good) {
			*wrong = words[i];
			free(nets.items);
			return false;
		}
	}
	*out = nets;
	return true;
}

static bool is_loopback_at(const struct ipnets *nets, size_t at)
{
	for (size_t k = 0; k < ARRAY_LEN(loopback_nets); k++) {
		struct ipnet net;

		if (at + k >= nets->count || !ipnet_parse(sv_z(loopback_nets[k]), &net) ||
		    nets->items[at + k].bits != net.bits ||
		    memcmp(nets->items[at + k].addr, net.addr, 16) != 0)
			return false;
	}
	return true;
}

static void nets_text(const struct ipnets *nets, struct buf *out)
{
	if (!nets->count)
		(void)buf_append(out, SV("never"));
	for (size_t i = 0; i < nets->count; i++) {
		char text[IPNET_TEXT_MAX];

		if (i)
			(void)buf_append_c(out, ' ');
		if (is_loopback_at(nets, i)) {
			(void)buf_append(out, SV("loopback"));
			i += ARRAY_LEN(loopback_nets) - 1;
		} else {
			ipnet_format(&nets->items[i], text);
			(void)buf_append(out, sv_z(text));
		}
	}
}

/* ---- one value ---- */

void conf_option_range(const struct conf_option *option, struct buf *out)
{
	switch (option->type) {
	case CONF_BOOL:
		(void)buf_append(out, SV("yes or no"));
		break;
	case CONF_NUMBER:
	case CONF_BYTES:
	case CONF_DURATION:
		number_text(option, option->min, out);
		(void)buf_append(out, SV(" to "));
		number_text(option, option->max, out);
		if (option->unit)
			(void)buf_appendf(out, " %s", option->unit);
		else if (option->type == CONF_BYTES)
			(void)buf_append(out, SV(" octets (suffix K, M or G)"));
		else if (option->type == CONF_DURATION)
			(void)buf_append(out, SV(" (suffix ms, s, m, h or d)"));
		break;
	case CONF_STRING:
		(void)buf_appendf(out, "one word of %s%llu octets",
				  option->min ? "1 to " : "at most ",
				  (unsigned long long)option->max);
		break;
	case CONF_PATH:
		(void)buf_append(out, SV("one path, absolute or from the instance's folder"));
		break;
	case CONF_LIST:
		(void)buf_appendf(out, "%llu to %llu words", (unsigned long long)option->min,
		                  (unsigned long long)option->max);
		break;
	case CONF_ENUM:
	case CONF_BIT:
		words_text(option->words, out);
		break;
	case CONF_NETS:
		(void)buf_append(
			out,
			SV("networks such as 192.0.2.0/24 or 2001:db8::/32, loopback, or never"));
		break;
	}
	if (option->def)
		(void)buf_appendf(out, ", default %s", option->def[0] ? option->def : "\"\"");
}

static bool complain(const struct conf_option *option, struct sv word, const char *is_not,
		     struct buf *why)
{
	(void)buf_appendf(why, "\"%.*s\" %s; expected ", SV_FMT(sv_sub(word, 0, 80)), is_not);
	conf_option_range(option, why);
	return false;
}

static bool set_number(const struct conf_option *option, void *base, struct sv word,
		       struct buf *why)
{
	uint64_t n;

	if (!read_number(option, word, &n))
		return complain(option, word,
				option->type == CONF_DURATION ? "is not a time with its unit"
				: option->type == CONF_BYTES  ? "is not a size"
							      : "is not a number",
				why);
	if (n < option->min || n > option->max)
		return complain(option, word, n < option->min ? "is too small" : "is too large",
				why);
	*FIELD_AT(uint64_t, base, option) = n;
	return true;
}

static bool set_text(const struct conf_option *option, void *base, struct sv word,
		     const char *base_dir, struct buf *why)
{
	char **field = FIELD_AT(char *, base, option);
	struct buf text;
	size_t len;

	if (word.len < option->min || word.len > option->max)
		return complain(option, word, word.len ? "is too long" : "is empty", why);
	buf_init(&text, SIZE_MAX / 2);
	if (option->type == CONF_PATH && word.len && word.p[0] != '/')
		(void)buf_appendf(&text, "%s/", base_dir);
	(void)buf_append(&text, word);
	(void)buf_append_c(&text, '\0');
	free(*field);
	*field = buf_take(&text, &len);
	return true;
}

static bool set_list(const struct conf_option *option, void *base, const struct sv *words,
		     size_t count, struct buf *why)
{
	struct conf_list *list = FIELD_AT(struct conf_list, base, option);

	if (count < option->min || count > option->max) {
		(void)buf_appendf(why, "%zu words given; expected ", count);
		conf_option_range(option, why);
		return false;
	}
	list_done(list);
	list->items = xcalloc(count, sizeof(*list->items));
	for (; list->count < count; list->count++)
		list->items[list->count] = sv_copy_z(words[list->count]);
	return true;
}

static bool set_nets(const struct conf_option *option, void *base, const struct sv *words,
		     size_t count, struct buf *why)
{
	struct ipnets *field = FIELD_AT(struct ipnets, base, option), nets;
	struct sv wrong;

	if (!read_nets(words, count, &nets, &wrong))
		return complain(option, wrong, "is not a network", why);
	free(field->items);
	*field = nets;
	return true;
}

bool conf_value_set(const struct conf_option *option, void *base, const struct sv *words,
		    size_t count, const char *base_dir, struct buf *why)
{
	unsigned which;

	if (option->type == CONF_LIST)
		return conf_words_check(option, words, count, why) && set_list(option, base, words, count, why);
	if (count == 0 || (count > 1 && option->type != CONF_NETS)) {
		(void)buf_append(why, count ? SV("one value is too many; expected ")
					    : SV("has no value; expected "));
		conf_option_range(option, why);
		return false;
	}
	switch (option->type) {
	case CONF_BOOL:
		return read_bool(words[0], FIELD_AT(bool, base, option)) ||
		       complain(option, words[0], "is neither", why);
	case CONF_NUMBER:
	case CONF_BYTES:
	case CONF_DURATION:
		return set_number(option, base, words[0], why);
	case CONF_STRING:
	case CONF_PATH:
		return set_text(option, base, words[0], base_dir, why);
	case CONF_ENUM:
	case CONF_BIT:
		if (!find_word(option->words, words[0], &which))
			return complain(option, words[0], "is none of these", why);
		*FIELD_AT(unsigned, base, option) = option->type == CONF_BIT ? 1u << which : which;
		return true;
	case CONF_NETS:
		return set_nets(option, base, words, count, why);
	case CONF_LIST:
		break;
	}
	BUG("option %s", option->name);
}

void conf_value_default(const struct conf_option *option, void *base, const char *base_dir)
{
	struct sv words[DEFAULT_WORDS_MAX], rest = sv_z(option->def);
	size_t count = 0;
	struct buf why;

	if (!option->def)
		return;
	/* Only a list has more than one word, as in a file. */
	if (option->type != CONF_LIST)
		words[count++] = rest;
	else
		while (count < DEFAULT_WORDS_MAX && sv_split(&rest, ' ', &words[count]))
			count++;
	buf_init(&why, 1024);
	if (option->type == CONF_PATH && !words[0].len)
		*FIELD_AT(char *, base, option) = xstrdup("");
	else if (!conf_value_set(option, base, words, count, base_dir, &why))
		BUG("default of %s", option->name);
	buf_done(&why);
}

void conf_value_done(const struct conf_option *option, void *base)
{
	switch (option->type) {
	case CONF_STRING:
	case CONF_PATH:
		free(*FIELD_AT(char *, base, option));
		break;
	case CONF_LIST:
		list_done(FIELD_AT(struct conf_list, base, option));
		break;
	case CONF_NETS:
		free(FIELD_AT(struct ipnets, base, option)->items);
		break;
	case CONF_BOOL:
	case CONF_NUMBER:
	case CONF_BYTES:
	case CONF_DURATION:
	case CONF_ENUM:
	case CONF_BIT:
		break;
	}
}

/* conf_value_text - as it would be written in the file. */
static void conf_value_text(const struct conf_option *option, const void *base, struct buf *out)
{
	const struct conf_list *list;
	unsigned which = 0;

	switch (option->type) {
	case CONF_BOOL:
		(void)buf_append(out, *CONST_FIELD_AT(bool, base, option) ? SV("yes") : SV("no"));
		break;
	case CONF_NUMBER:
	case CONF_BYTES:
	case CONF_DURATION:
		number_text(option, *CONST_FIELD_AT(uint64_t, base, option), out);
		break;
	case CONF_STRING:
	case CONF_PATH:
		word_text(sv_z(*CONST_FIELD_AT(char *, base, option)), out);
		break;
	case CONF_LIST:
		list = CONST_FIELD_AT(struct conf_list, base, option);
		for (size_t i = 0; i < list->count; i++) {
			if (i)
				(void)buf_append_c(out, ' ');
			word_text(sv_z(list->items[i]), out);
		}
		break;
	case CONF_BIT:
		while (*CONST_FIELD_AT(unsigned, base, option) >> (which + 1))
			which++;
		(void)buf_append(out, sv_z(option->words[which]));
		break;
	case CONF_ENUM:
		(void)buf_append(out, sv_z(option->words[*CONST_FIELD_AT(unsigned, base, option)]));
		break;
	case CONF_NETS:
		nets_text(CONST_FIELD_AT(struct ipnets, base, option), out);
		break;
	}
}

bool conf_value_eq(const struct conf_option *option, const void *a, const void *b)
{
	struct buf text_a, text_b;
	bool same;

	buf_init(&text_a, SIZE_MAX / 2);
	buf_init(&text_b, SIZE_MAX / 2);
	conf_value_text(option, a, &text_a);
	conf_value_text(option, b, &text_b);
	same = sv_eq(buf_sv(&text_a), buf_sv(&text_b));
	buf_done(&text_a);
	buf_done(&text_b);
	return same;
}

/* ---- whole configurations ---- */

static bool in_block(const struct conf_option *option)
{
	return strcmp(option->section, CONF_BLOCK) == 0;
}

static void show_listener(const struct conf_listener *row, struct buf *out)
{
	(void)buf_append(out, SV("\n" CONF_BLOCK " "));
	word_text(sv_z(row->name), out);
	(void)buf_appendf(out, " {\n\tkind %s\n", conf_listener_kind_name(row->kind));
	if (row->path) {
		(void)buf_append(out, SV("\tpath "));
		word_text(sv_z(row->path), out);
		(void)buf_append_c(out, '\n');
	} else {
		(void)buf_appendf(out, "\taddress %s\n\tport %llu\n", row->address,
				  (unsigned long long)row->port);
	}
	(void)buf_appendf(out, "\ttls %s\n", conf_tls_mode_name(row->tls));
	if (row->tickets)
		(void)buf_appendf(out, "\ttickets %s\n", conf_tickets_name(row->tickets));
	(void)buf_append(out, SV("}\n"));
}

void conf_show(const struct conf *conf, bool everything, struct buf *out)
{
	const struct conf_option *option;
	const char *section = NULL;

	for (size_t i = 0; (option = conf_option_at(i)) && !in_block(option); i++) {
		if (!everything && !conf_is_set(conf, option))
			continue;
		if (everything && (!section || strcmp(section, option->section) != 0)) {
			(void)buf_appendf(out, "%s# %s\n", section ? "\n" : "", option->section);
			section = option->section;
		}
		(void)buf_appendf(out, "%s ", option->name);
		conf_value_text(option, conf, out);
		(void)buf_append_c(out, '\n');
	}
	if (everything || conf_is_set(conf, conf_option_find(SV(CONF_BLOCK ".kind"))))
		for (size_t i = 0; i < conf->listener_count; i++)
			show_listener(&conf->listeners[i], out);
}

void conf_describe(const struct conf_option *option, struct buf *out)
{
	(void)buf_appendf(out, "%s: ", option->name);
	conf_option_range(option, out);
	(void)buf_appendf(out, "\n  %s\n", option->doc);
	(void)buf_append(out, option->need_restart ? SV("  A change needs a restart.\n") :
	                 SV("  A change takes effect by `postroom reload`.\n"));
}
