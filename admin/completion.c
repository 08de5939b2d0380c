/* postroom completion: what a shell offers at the tabulator key, made of the table of verbs, so that it knows each verb and option
 * that there is. bash and zsh get the table as functions in the language that both read, and a few lines of their own that
 * look into them; fish wants one command per word. What only an instance knows (accounts, domains) is asked of it then. */
#include <stdio.h>

#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"

#include "common/banned.h"

/* ---- the usage line, word by word ---- */

/* What may stand for a word of it. */
enum offer {
	OFFER_NOTHING = 0,
	OFFER_WORDS,            /* the word itself names them: "one|two" */
	OFFER_FILES,
	OFFER_FOLDERS,
	OFFER_SETTINGS,
	OFFER_ACCOUNTS,
	OFFER_DOMAINS,
};

static enum offer offer_for(const struct verb *v, struct sv word)
{
	bool is_words = word.len > 0;

	for (size_t i = 0; i < word.len; i++)
		is_words = is_words && (strchr("|-.", word.p[i]) || ascii_upper(word.p[i]) != word.p[i]);
	if (is_words)
		return OFFER_WORDS;
	if (sv_starts(word, SV("FILE")) || sv_eq(word, SV("MESSAGE")) || sv_eq(word, SV("PATH")))
		return OFFER_FILES;
	if (sv_eq(word, SV("DIR")))
		return OFFER_FOLDERS;
	if (sv_eq(word, SV("OPTION")))
		return OFFER_SETTINGS;
	if (sv_starts(word, SV("ACCOUNT")) || (sv_eq(word, SV("ADDRESS")) && strcmp(v->noun, "account") == 0))
		return OFFER_ACCOUNTS;
	return sv_eq(word, SV("DOMAIN")) ? OFFER_DOMAINS : OFFER_NOTHING;
}

/* next_argument - the next word of "ACCOUNT [NUMBER...]", without brackets and dots. */
static bool next_argument(struct sv *args, struct sv *word, bool *may_repeat)
{
	if (!sv_split(args, ' ', word) || !word->len)
		return false;
	while (word->len && word->p[0] == '[')
		sv_skip(word, 1);
	while (word->len && word->p[word->len - 1] == ']')
		word->len--;
	*may_repeat = sv_ends(*word, SV("..."));
	if (*may_repeat)
		word->len -= 3;
	return true;
}

static void put_quoted(const char *text, const char *quote)
{
	for (; *text; text++)
		if (*text == '\'')
			fputs(quote, stdout);
		else
			putchar(*text);
}

static void put_name(const struct verb *v)
{
	printf("%s%s%s", v->noun, v->verb ? " " : "", v->verb ? v->verb : "");
}

/* put_summary - of a noun that is a verb the summary; others name their verbs. */
static void put_summary(const struct verb *v, const char *quote)
{
	if (!v->verb) {
		put_quoted(v->summary, quote);
		return;
	}
	for (const struct verb *one = v; one; one = verbs_next_of(v->noun, one))
		printf("%s%s", one == v ? "" : ", ", one->verb);
}

/* ---- bash, zsh ---- */

#define SH_QUOTE "'\\''"

static void sh_names(void)
{
	printf("# What may follow the word $1, or nothing: NAME:SUMMARY.\n_postroom_names()\n{\n\tcase $1 in\n\t'') offer=(\n");
	for (const struct verb *v = verbs_next(NULL); v; v = verbs_next(v))
		if (v == verbs_next_of(v->noun, NULL)) {
			printf("\t\t'%s:", v->noun);
			put_summary(v, SH_QUOTE);
			printf("'\n");
		}
	printf("\t) ;;\n");
	for (const struct verb *v = verbs_next(NULL); v; v = verbs_next(v)) {
		if (v != verbs_next_of(v->noun, NULL) || !v->verb)
			continue;
		printf("\t%s) offer=(\n", v->noun);
		for (const struct verb *one = v; one; one = verbs_next_of(v->noun, one)) {
			printf("\t\t'%s:", one->verb);
			put_quoted(one->summary, SH_QUOTE);
			printf("'\n");
		}
		printf("\t) ;;\n");
	}
	printf("\t*) return 1 ;;\n\tesac\n}\n\n");
}

static void sh_options(void)
{
	printf("# Options of the verb $1.\n_postroom_options()\n{\n\toffer=(\n\t\t'--root:the instance'\n\t\t'--json:as JSON'\n"
	       "\t\t'--help:what it does, and an example'\n\t)\n\tcase $1 in\n");
	for (const struct verb *v = verbs_next(NULL); v; v = verbs_next(v)) {
		if (!v->options[0].name)
			continue;
		printf("\t'");
		put_name(v);
		printf("') offer+=(\n");
		for (const struct cli_option *o = v->options; o->name; o++) {
			printf("\t\t'--%s:", o->name);
			put_quoted(o->doc, SH_QUOTE);
			printf("'\n");
		}
		printf("\t) ;;\n");
	}
	printf("\tesac\n}\n\n");
}

static void sh_offer(enum offer offer, struct sv word)
{
	static const char *const kinds[] = { "nothing", "words", "files", "folders", "settings", "accounts", "domains" };
	struct sv one;

	printf("kind=%s", kinds[offer]);
	if (offer == OFFER_WORDS) {
		printf(" offer=(");
		while (sv_split(&word, '|', &one))
			printf(" %.*s", SV_FMT(one));
		printf(" )");
	}
	printf(" ;;\n");
}

static void sh_values(void)
{
	printf("# What stands behind an option, $1 being \"VERB OPTION\"; false when nothing does.\n_postroom_value()\n{\n\tcase $1 in\n");
	for (const struct verb *v = verbs_next(NULL); v; v = verbs_next(v))
		for (const struct cli_option *o = v->options; o->name; o++) {
			if (!o->value)
				continue;
			printf("\t'");
			put_name(v);
			printf(" --%s') ", o->name);
			sh_offer(offer_for(v, sv_z(o->value)), sv_z(o->value));
		}
	printf("\t*) return 1 ;;\n\tesac\n}\n\n");
}

static void sh_arguments(void)
{
	printf("# What stands in a place, $1 being \"VERB PLACE\", places counted from 1.\n_postroom_argument()\n{\n\tcase $1 in\n");
	for (const struct verb *v = verbs_next(NULL); v; v = verbs_next(v)) {
		struct sv args = sv_z(v->args), word;
		bool may_repeat;

		for (unsigned place = 1; next_argument(&args, &word, &may_repeat); place++) {
			enum offer offer = offer_for(v, word);

			if (!offer)
				continue;
			printf("\t'");
			put_name(v);
			if (may_repeat)
				printf(" '*) ");
			else
				printf(" %u') ", place);
			sh_offer(offer, word);
		}
	}
	printf("\t*) kind=nothing ;;\n\tesac\n}\n\n");
}

static void sh_settings(void)
{
	const struct conf_option *option;

	printf("_postroom_settings()\n{\n\toffer=(\n");
	for (size_t i = 0; (option = conf_option_at(i)); i++)
		printf("\t\t%s\n", option->name);
	printf("\t)\n}\n\n");
}

/* The last word is what is being typed; root, kind and offer belong to who calls. */
static const char sh_look[] =
	"# What may stand for the last of these words: $kind, and $offer when that is \"words\".\n"
	"_postroom_look()\n"
	"{\n"
	"\tlocal verb='' option='' level=0 place=1\n"
	"\tkind=nothing root='' offer=()\n"
	"\twhile [ $# -gt 1 ]; do\n"
	"\t\tif [ -n \"$option\" ]; then\n"
	"\t\t\t[ \"$option\" != --root ] || root=$1\n"
	"\t\t\toption=''\n"
	"\t\telse\n"
	"\t\t\tcase $1 in\n"
	"\t\t\t--root) option=$1 ;;\n"
	"\t\t\t--root=*) root=${1#*=} ;;\n"
	"\t\t\t-*) if _postroom_value \"$verb $1\"; then option=$1; fi ;;\n"
	"\t\t\t*)\n"
	"\t\t\t\tcase $level in\n"
	"\t\t\t\t0) verb=$1; if _postroom_names \"$1\"; then level=1; else level=2; fi ;;\n"
	"\t\t\t\t1) verb=\"$verb $1\" level=2 ;;\n"
	"\t\t\t\t2) place=$((place + 1)) ;;\n"
	"\t\t\t\tesac ;;\n"
	"\t\t\tesac\n"
	"\t\tfi\n"
	"\t\tshift\n"
	"\tdone\n"
	"\toffer=() kind=words\n"
	"\tcase $option:$level:$1 in\n"
	"\t--root:*) kind=folders ;;\n"
	"\t-*) _postroom_value \"$verb $option\" ;;\n"
	"\t:?:-*) _postroom_options \"$verb\" ;;\n"
	"\t:0:*) _postroom_names '' ;;\n"
	"\t:1:*) _postroom_names \"$verb\" ;;\n"
	"\t*) _postroom_argument \"$verb $place\" ;;\n"
	"\tesac\n"
	"\tcase $kind in\n"
	"\tsettings) kind=words; _postroom_settings ;;\n"
	"\taccounts) kind=words; offer=($(postroom --root \"${root:-/var/lib/postroom}\" account list 2> /dev/null | sed '1d; s/ .*//')) ;;\n"
	"\tdomains) kind=words; offer=($(postroom --root \"${root:-/var/lib/postroom}\" domain list 2> /dev/null | sed '1d; s/ .*//')) ;;\n"
	"\tesac\n"
	"}\n\n";

static void print_sh(void)
{
	sh_names();
	sh_options();
	sh_values();
	sh_arguments();
	sh_settings();
	fputs(sh_look, stdout);
}

/* bash takes words apart at signs that addresses have; what it is to add then is what follows the last of them. */
static void print_bash(void)
{
	printf("# Made by `postroom completion bash`.\n\n");
	print_sh();
	printf("_postroom()\n"
	       "{\n"
	       "\tlocal kind root sign item current line=${COMP_LINE:0:COMP_POINT} known=0\n"
	       "\tlocal -a offer words\n"
	       "\tread -ra words <<< \"$line\"\n"
	       "\t[[ $line != *[[:space:]] ]] || words+=('')\n"
	       "\tcurrent=${words[${#words[@]} - 1]}\n"
	       "\t_postroom_look \"${words[@]:1}\"\n"
	       "\tCOMPREPLY=()\n"
	       "\tfor sign in @ = :; do\n"
	       "\t\t[[ $COMP_WORDBREAKS != *\"$sign\"* || $current != *\"$sign\"* ]] || item=${current%%\"${current##*\"$sign\"}\"}\n"
	       "\t\t[[ ${#item} -le $known ]] || known=${#item}\n"
	       "\tdone\n"
	       "\tcase $kind in\n"
	       "\twords)\n"
	       "\t\tfor item in \"${offer[@]%%%%:*}\"; do\n"
	       "\t\t\t[[ $item != \"$current\"* ]] || COMPREPLY+=(\"${item:known}\")\n"
	       "\t\tdone ;;\n"
	       "\tfiles)\n"
	       "\t\tcompopt -o filenames 2> /dev/null\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$current\") ;;\n"
	       "\tfolders)\n"
	       "\t\tcompopt -o filenames 2> /dev/null\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -d -- \"$current\") ;;\n"
	       "\tesac\n"
	       "}\n\n"
	       "complete -F _postroom postroom\n");
}

static void print_zsh(void)
{
	printf("#compdef postroom\n# Made by `postroom completion zsh`.\n\n");
	print_sh();
	printf("_postroom()\n"
	       "{\n"
	       "\tlocal kind root\n"
	       "\tlocal -a offer\n"
	       "\t_postroom_look \"${(@)words[2,CURRENT]}\"\n"
	       "\tcase $kind in\n"
	       "\twords) _describe -t words word offer ;;\n"
	       "\tfiles) _files ;;\n"
	       "\tfolders) _files -/ ;;\n"
	       "\tesac\n"
	       "}\n\n"
	       "# As a file in $fpath this is the function itself; by `source` it is announced.\n"
	       "if [ \"${funcstack[1]}\" = _postroom ]; then _postroom \"$@\"; else compdef _postroom postroom; fi\n");
}

/* ---- fish ---- */

#define FISH_QUOTE "\\'"

static void fish_offer(const char *more, enum offer offer, struct sv word)
{
	const struct conf_option *option;
	struct sv one;

	switch (offer) {
	case OFFER_NOTHING:
		break;
	case OFFER_WORDS:
		printf("%s -a '", more);
		while (sv_split(&word, '|', &one))
			printf("%.*s ", SV_FMT(one));
		printf("'");
		break;
	case OFFER_FILES:
		printf(" -F");
		break;
	case OFFER_FOLDERS:
		printf("%s -a '(__fish_complete_directories)'", more);
		break;
	case OFFER_SETTINGS:
		printf("%s -a '", more);
		for (size_t i = 0; (option = conf_option_at(i)); i++)
			printf("%s ", option->name);
		printf("'");
		break;
	case OFFER_ACCOUNTS:
		printf("%s -a '(__postroom_list account)'", more);
		break;
	case OFFER_DOMAINS:
		printf("%s -a '(__postroom_list domain)'", more);
		break;
	}
}

static void fish_verb(const struct verb *v)
{
	struct sv args = sv_z(v->args), word;
	bool may_repeat;

	if (v == verbs_next_of(v->noun, NULL)) {
		printf("complete -c postroom -n '__postroom_at' -a %s -d '", v->noun);
		put_summary(v, FISH_QUOTE);
		printf("'\n");
	}
	if (v->verb) {
		printf("complete -c postroom -n '__postroom_at %s' -a %s -d '", v->noun, v->verb);
		put_quoted(v->summary, FISH_QUOTE);
		printf("'\n");
	}
	for (const struct cli_option *o = v->options; o->name; o++) {
		printf("complete -c postroom -n '__postroom_in ");
		put_name(v);
		printf("' -l %s -d '", o->name);
		put_quoted(o->doc, FISH_QUOTE);
		printf("'%s", o->value ? " -r" : "");
		if (o->value)
			fish_offer(" -f", offer_for(v, sv_z(o->value)), sv_z(o->value));
		printf("\n");
	}
	while (next_argument(&args, &word, &may_repeat))
		if (offer_for(v, word)) {
			printf("complete -c postroom -n '__postroom_in ");
			put_name(v);
			printf("'");
			fish_offer("", offer_for(v, word), word);
			printf("\n");
		}
}

static void print_fish(void)
{
	printf("# Made by `postroom completion fish`.\n\n"
	       "# The words in front of the cursor, without options that every verb has.\n"
	       "function __postroom_words\n"
	       "\tset -l words (commandline -opc)\n"
	       "\tset -l skip no\n"
	       "\tfor word in $words[2..-1]\n"
	       "\t\tif test $skip = yes\n"
	       "\t\t\tset skip no\n"
	       "\t\telse if test \"$word\" = --root\n"
	       "\t\t\tset skip yes\n"
	       "\t\telse if not string match -q -- '-*' \"$word\"\n"
	       "\t\t\techo -- $word\n"
	       "\t\tend\n"
	       "\tend\n"
	       "end\n\n"
	       "# Are these words, and no others, in front of the cursor?\n"
	       "function __postroom_at\n"
	       "\tset -l words (__postroom_words)\n"
	       "\ttest \"$argv\" = \"$words\"\n"
	       "end\n\n"
	       "# Do the words in front of the cursor begin with these?\n"
	       "function __postroom_in\n"
	       "\tset -l words (__postroom_words)\n"
	       "\tset -l count (count $argv)\n"
	       "\ttest (count $words) -ge $count; and test \"$argv\" = \"$words[1..$count]\"\n"
	       "end\n\n"
	       "function __postroom_list\n"
	       "\tset -l words (commandline -opc)\n"
	       "\tset -l root /var/lib/postroom\n"
	       "\tset -l at (contains -i -- --root $words); and set root $words[(math $at + 1)]\n"
	       "\tpostroom --root $root $argv list 2>/dev/null | sed '1d; s/ .*//'\n"
	       "end\n\n"
	       "complete -c postroom -f\n"
	       "complete -c postroom -l root -r -f -a '(__fish_complete_directories)' -d 'the instance'\n"
	       "complete -c postroom -l json -d 'as JSON'\n"
	       "complete -c postroom -l help -d 'what it does, and an example'\n");
	for (const struct verb *v = verbs_next(NULL); v; v = verbs_next(v))
		fish_verb(v);
}

/* ---- the verb ---- */

static const struct {
	const char *name;
	void (*print)(void);
} shells[] = {
	{ "bash", print_bash },
	{ "zsh", print_zsh },
	{ "fish", print_fish },
};

static int run_completion(struct cli *cli)
{
	for (size_t i = 0; i < ARRAY_LEN(shells); i++)
		if (strcmp(cli->args[0], shells[i].name) == 0) {
			shells[i].print();
			return EXIT_DONE;
		}
	return cli_usage(cli, "the shell \"%s\" is not one of bash, zsh and fish", cli->args[0]);
}

const struct verb completion_verbs[] = {
	{ .noun = "completion", .args = "bash|zsh|fish", .args_min = 1, .args_max = 1,
	  .summary = "Print what a shell needs to complete verbs, options, accounts and settings at the tabulator key",
	  .example = "completion bash > /etc/bash_completion.d/postroom", .run = run_completion },
	{ .noun = NULL },
};
