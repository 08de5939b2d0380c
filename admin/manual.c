/* postroom manual: the manual pages postroom(8) and postroom.conf(5), made of the tables that --help and `conf describe` read, so
 * that they cannot say anything else. `make install` calls it. The language is man(7), as groff and mandoc both read it. */
#include <stdio.h>

#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"

#include "common/banned.h"

#define PAGE_TEXT_MAX ((size_t)64 << 10)

/* ---- text ---- */

/* put_sign - one character, at *s: a hyphen that is typed stays one, and a backslash is no request. */
static void put_sign(struct sv *s)
{
	unsigned char c = (unsigned char)s->p[0];
	size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	uint32_t code = len == 1 ? c : c & (0xffu >> (len + 1));

	for (size_t i = 1; i < len && i < s->len; i++)
		code = code << 6 | (s->p[i] & 0x3f);
	sv_skip(s, len < s->len ? len : s->len);
	switch (code) {
	case '\\': printf("\\e"); break;
	case '-':  printf("\\-"); break;
	case '\'': printf("\\(aq"); break;
	case '`':  printf("\\(ga"); break;
	case '^':  printf("\\(ha"); break;
	case '~':  printf("\\(ti"); break;
	default:
		if (code >= 0x80)
			printf("\\[u%04X]", (unsigned)code);
		else
			putchar((int)code);
	}
}

/* put - text that is neither a request nor changes the font; it may stand at the beginning of a line. */
static void put(struct sv s)
{
	if (s.len && s.p[0] == '.')
		printf("\\&");
	while (s.len)
		put_sign(&s);
}

/* put_sentence - what the tables keep without a full stop, as a line. */
static void put_sentence(const char *text)
{
	put(sv_z(text));
	printf("%s\n", sv_ends(sv_z(text), SV(".")) ? "" : ".");
}

static void put_bold(const char *text)
{
	printf("\\fB");
	put(sv_z(text));
	printf("\\fR");
}

/* put_words - "list|set ACCOUNT [RIGHTS]": what is typed as it stands is bold, what stands for something is slanted. */
static void put_words(struct sv s)
{
	while (s.len) {
		size_t n = 0;
		bool has_small = false;

		while (n < s.len && (ascii_is_alpha(s.p[n]) || ascii_is_digit(s.p[n]) || s.p[n] == '-' || s.p[n] == '_')) {
			has_small |= s.p[n] >= 'a' && s.p[n] <= 'z';
			n++;
		}
		if (!n) {
			put(sv_sub(s, 0, 1));
			sv_skip(&s, 1);
			continue;
		}
		printf("%s", has_small ? "\\fB" : "\\fI");
		put(sv_sub(s, 0, n));
		printf("\\fR");
		sv_skip(&s, n);
	}
}

static void title(const char *name, const char *section, const char *summary)
{
	printf(".\\\" Made by `postroom manual %s`.\n"
	       ".TH %s %s \"\" \"Postroom %s\" \"Postroom\"\n"
	       ".SH NAME\n%s \\- %s\n", name, name, section, POSTROOM_VERSION, name, summary);
}

static void see_also(const char *pages)
{
	printf(".SH SEE ALSO\n%s\n", pages);
}

/* ---- postroom(8) ---- */

static void put_option(const char *name, const char *value, const char *doc)
{
	printf(".TP\n\\fB\\-\\-");
	put(sv_z(name));
	printf("\\fR");
	if (value) {
		printf(" ");
		put_words(sv_z(value));
	}
	printf("\n");
	put_sentence(doc);
}

static void put_verb(const struct verb *v)
{
	printf(".TP\n\\fBpostroom ");
	put(sv_z(v->noun));
	if (v->verb) {
		printf(" ");
		put(sv_z(v->verb));
	}
	printf("\\fR%s", v->options[0].name ? " [\\fIoptions\\fR]" : "");
	if (v->args[0]) {
		printf(" ");
		put_words(sv_z(v->args));
	}
	printf("\n");
	put_sentence(v->summary);
	if (v->options[0].name) {
		printf(".RS\n");
		for (const struct cli_option *o = v->options; o->name; o++)
			put_option(o->name, o->value, o->doc);
		printf(".RE\n");
	}
	printf(".IP\nExample: \\fBpostroom ");
	put(sv_z(v->example));
	printf("\\fR\n");
}

static void print_command(void)
{
	title("postroom", "8", "run and administer a mail server");
	printf(".SH SYNOPSIS\n.B postroom\n[\\fB\\-\\-root\\fR \\fIDIR\\fR] \\fIVERB\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]\n"
	       ".SH DESCRIPTION\n"
	       "Postroom is a mail server for one organisation. Everything that it has, its configuration, accounts, mail, queue and keys,\n"
	       "lies in one folder, the instance. This command makes, runs and administers an instance.\n"
	       ".PP\n"
	       "On a bare server, \\fBpostroom setup example.org\\fR does everything at once.\n"
	       ".PP\n"
	       "Called by root, what works inside an instance does so as the instance's owner.\n"
	       ".SH OPTIONS\n"
	       "Each verb takes these, in front of it or behind it.\n");
	put_option("root", "DIR", "The instance; /var/lib/postroom unless given");
	put_option("json", NULL, "Print listings as JSON, for programs");
	put_option("help", NULL, "Print the verbs, or what one verb does, its options and an example");
	put_option("version", NULL, "Print the version; in front of a verb only");
	printf(".SH VERBS\n");
	for (const struct verb *first = verbs_next(NULL); first; first = verbs_next(first)) {
		if (first != verbs_next_of(first->noun, NULL))
			continue;
		printf(".SS ");
		put(sv_z(first->noun));
		printf("\n");
		for (const struct verb *v = first; v; v = verbs_next_of(first->noun, v))
			put_verb(v);
	}
	printf(".SH EXIT STATUS\n"
	       ".TP\n0\ndone\n.TP\n1\nfailed\n.TP\n2\nwrong usage\n.TP\n3\nnot found\n"
	       ".TP\n4\ntemporarily unavailable: nothing runs, or something is busy\n"
	       ".SH FILES\n.TP\n.I /var/lib/postroom\nthe instance, unless \\fB\\-\\-root\\fR names another one\n"
	       ".TP\n.I /var/lib/postroom/postroom.conf\nits configuration\n");
	see_also(".BR postroom.conf (5),\n.BR sendmail (8)");
}

/* ---- postroom.conf(5) ---- */

static void put_setting(const struct conf_option *option)
{
	struct sv name = sv_z(option->name);
	size_t dot = sv_find(name, '.');
	struct buf range;

	buf_init(&range, PAGE_TEXT_MAX);
	conf_option_range(option, &range);
	printf(".TP\n\\fB");
	put(dot == SIZE_MAX ? name : sv_sub(name, dot + 1, SIZE_MAX));
	printf("\\fR\n");
	put(sv_z(option->doc));
	printf("\n.br\nValue: ");
	put(buf_sv(&range));
	printf(".%s\n", option->need_restart ? " A change needs a restart." : "");
	buf_done(&range);
}

static void print_conf(void)
{
	const struct conf_option *option;
	const char *section = "";

	title("postroom.conf", "5", "configuration of the mail server Postroom");
	printf(".SH DESCRIPTION\n"
	       "The file lies in the folder of the instance, \\fI/var/lib/postroom\\fR unless another one was chosen. Every setting has a\n"
	       "default, and most are right. Domains, accounts and aliases are not here: ");
	put_bold("postroom domain");
	printf(",\n");
	put_bold("account");
	printf(" and ");
	put_bold("alias");
	printf(" change them at once.\n"
	       ".PP\n"
	       "A line is the name of a setting and its value, or values, with spaces between them. A word with spaces stands in double\n"
	       "quotes. # begins a comment. Times have a unit (ms, s, m, h, d), sizes may have one (K, M, G).\n"
	       ".PP\n"
	       "\\fBpostroom conf check\\fR names every mistake with its line, \\fBpostroom conf show \\-\\-all\\fR prints what is in force, and\n"
	       "\\fBpostroom conf describe\\fR explains a setting. A changed file takes effect by \\fBpostroom reload\\fR, apart from settings that say\n"
	       "that they need a restart; a file with a mistake changes nothing.\n");
	for (size_t i = 0; (option = conf_option_at(i)); i++) {
		if (strcmp(section, option->section) != 0) {
			section = option->section;
			printf(".SH ");
			for (const char *c = section; *c; c++)
				putchar(ascii_upper(*c));
			printf("\n");
			if (sv_find(sv_z(option->name), '.') != SIZE_MAX)
				printf("A block \\fB%s\\fR \\fINAME\\fR \\fB{\\fR ... \\fB}\\fR holds these. With any such block, the default ones are gone.\n",
				       section);
		}
		put_setting(option);
	}
	see_also(".BR postroom (8)");
}

static const struct {
	const char *name;
	void (*print)(void);
} pages[] = {
	{ "postroom", print_command },
	{ "postroom.conf", print_conf },
};

static int run_manual(struct cli *cli)
{
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		if (strcmp(cli->args[0], pages[i].name) == 0) {
			pages[i].print();
			return EXIT_DONE;
		}
	complain("postroom manual postroom", "there is no page \"%s\"; there are postroom and postroom.conf", cli->args[0]);
	return EXIT_NOT_FOUND;
}

const struct verb manual_verbs[] = {
	{ .noun = "manual", .args = "postroom|postroom.conf", .args_min = 1, .args_max = 1,
	  .summary = "Print a manual page, of all verbs or of all settings",
	  .example = "manual postroom.conf | man -l -", .run = run_manual },
	{ .noun = NULL },
};
