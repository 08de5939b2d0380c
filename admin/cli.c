#include "admin/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "admin/delegate.h"
#include "admin/input.h"
#include "admin/print.h"
#include "common/crypt.h"
#include "common/directory_delegate.h"
#include "common/instance.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/sandbox.h"

#include "common/banned.h"

#define DEFAULT_ROOT "/var/lib/postroom"
#define SECRET_MAX 1024

/* A verb runs for the holder of a token: paths and the like are no business of his. */
static bool is_delegated;

/* ---- help ---- */

static void print_verb_name(FILE *to, const struct verb *v)
{
	fprintf(to, "%s%s%s", v->noun, v->verb ? " " : "", v->verb ? v->verb : "");
}

static void help_all(const struct verb *const *groups)
{
	printf("Usage: postroom [--root DIR] VERB [options]\n"
	       "       postroom --token FILE VERB [options]       as the holder of a token (postroom delegate --help)\n\n"
	       "A mail server for one organisation. DIR holds the instance (default %s).\n\n", DEFAULT_ROOT);
	for (; *groups; groups++) {
		for (const struct verb *v = *groups; v->noun; v++) {
			char name[64];
			snprintf(name, sizeof(name), "%s%s%s", v->noun, v->verb ? " " : "",
				 v->verb ? v->verb : "");
			printf("  %-20s ", name);
			print_folded(v->summary, 23);
		}
	}
	printf("\n`postroom VERB --help` shows options and an example. Listings take --json.\n"
	       "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 temporarily unavailable.\n");
}

static void help_noun(const struct verb *const *groups, struct sv noun)
{
	printf("Usage:\n");
	for (; *groups; groups++)
		for (const struct verb *v = *groups; v->noun; v++)
			if (sv_eq(sv_z(v->noun), noun)) {
				printf("  postroom ");
				print_verb_name(stdout, v);
				printf("%s%s\n      ", v->args[0] ? " " : "", v->args);
				print_folded(v->summary, 6);
			}
}

static void help_verb(const struct verb *v)
{
	char summary[400];

	printf("Usage: postroom [--root DIR] ");
	print_verb_name(stdout, v);
	printf("%s%s%s\n\n", v->options[0].name ? " [options]" : "", v->args[0] ? " " : "", v->args);
	snprintf(summary, sizeof(summary), "%s.", v->summary);
	print_folded(summary, 0);
	if (v->options[0].name)
		printf("\nOptions:\n");
	for (const struct cli_option *o = v->options; o->name; o++) {
		char left[48];
		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
		printf("  %-24s ", left);
		print_folded(o->doc, 27);
	}
	printf("\nExample:\n  postroom %s\n", v->example);
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
	va_list ap;

	fputs("postroom ", stderr);
	print_verb_name(stderr, cli->verb);
	fputs(": ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputs("\n  try: postroom ", stderr);
	print_verb_name(stderr, cli->verb);
	fputs(" --help\n", stderr);
	return EXIT_USAGE;
}

/* ---- parsing ---- */

static const struct verb *find_verb(const struct verb *const *groups, const char *noun, const char *word, bool *noun_known)
{
	*noun_known = false;
	for (; *groups; groups++)
		for (const struct verb *v = *groups; v->noun; v++) {
			if (strcmp(v->noun, noun) != 0)
				continue;
			*noun_known = true;
			if (!v->verb || (word && strcmp(v->verb, word) == 0))
				return v;
		}
	return NULL;
}

const struct verb *cli_find_verb(const struct verb *const *groups, int argc, char *const *argv)
{
	bool noun_known;

	return argc ? find_verb(groups, argv[0], argc > 1 ? argv[1] : NULL, &noun_known) : NULL;
}

/* cli_is_option_open - may the holder of a token give it? */
static bool cli_is_option_open(const struct verb *v, const char *name)
{
	struct sv rest = sv_z(v->delegated.options), word;

	while (sv_split(&rest, ' ', &word))
		if (sv_eq(word, sv_z(name)))
			return true;
	return false;
}

enum { OPT_ROOT = 256, OPT_JSON, OPT_HELP, OPT_VERSION, OPT_TOKEN, OPT_SOCKET, OPT_FIRST };

/* Options of the verb, after those that every verb has. */
static void make_long_options(const struct verb *v, bool for_delegate, struct option *out)
{
	size_t n = 0;

	if (!for_delegate)
		out[n++] = (struct option){ "root", required_argument, NULL, OPT_ROOT };
	out[n++] = (struct option){ "json", no_argument, NULL, OPT_JSON };
	out[n++] = (struct option){ "help", no_argument, NULL, OPT_HELP };
	if (!v) {
		out[n++] = (struct option){ "version", no_argument, NULL, OPT_VERSION };
		out[n++] = (struct option){ "token", required_argument, NULL, OPT_TOKEN };
		out[n++] = (struct option){ "socket", required_argument, NULL, OPT_SOCKET };
	}
	for (size_t i = 0; v && v->options[i].name; i++)
		if (!for_delegate || cli_is_option_open(v, v->options[i].name))
			out[n++] = (struct option){ v->options[i].name,
					    v->options[i].value ? required_argument : no_argument, NULL,
					    OPT_FIRST + (int)i };
	out[n] = (struct option){ 0 };
}

bool cli_make_run_folder(uid_t uid, gid_t gid)
{
	if (mkdir(POSTROOM_RUNDIR, 0755) != 0)
		return false;
	if (chown(POSTROOM_RUNDIR, uid, gid) == 0 && chmod(POSTROOM_RUNDIR, 0755) == 0)
		return true;
	rmdir(POSTROOM_RUNDIR);
	return false;
}

/* An instance belongs to the user who runs its daemons. Files that root would make in it, LMDB's lock file first of
 * all, would lock them out, so root works as that user. */
static bool become_owner(const char *root, bool keeps_ports)
{
	struct stat st;

	if (keeps_ports)
		privilege_share_ports();
	if (geteuid() != 0 || stat(root, &st) != 0 || st.st_uid == 0)
		return true;
	if (keeps_ports) {
		(void)cli_make_run_folder(st.st_uid, st.st_gid);
		return cli_fault(root, privilege_become(st.st_uid, st.st_gid)) == EXIT_DONE;
	}
	if (setgroups(0, NULL) != 0 || setgid(st.st_gid) != 0 || setuid(st.st_uid) != 0) {
		complain(NULL, "cannot become the owner of %s (uid %u): %s", root, (unsigned)st.st_uid,
		     strerrordesc_np(errno));
		return false;
	}
	return true;
}

static int open_instance(struct cli *cli, bool keeps_ports, bool to_migrate)
{
	if (!become_owner(cli->root, keeps_ports))
		return EXIT_FAILED;
	struct fault f = to_migrate ? instance_open_to_migrate(cli->root, &cli->instance) : instance_open(cli->root, &cli->instance);

	if (f.kind == FAULT_NOT_FOUND) {
		complain("postroom setup example.org, which makes one; or --root DIR, where it is (postroom init makes one of your own)",
			 "there is no instance at %s", cli->root);
		return EXIT_NOT_FOUND;
	}
	if (f.kind)
		return cli_fault(cli->root, f);
	return EXIT_DONE;
}

int cli_open_instance(struct cli *cli)
{
	return open_instance(cli, false, false);
}

int cli_open_instance_for_ports(struct cli *cli)
{
	return open_instance(cli, true, true);
}

int cli_open_instance_to_migrate(struct cli *cli)
{
	return open_instance(cli, false, true);
}

/* parse - the words behind the verb, into *cli. @helped: it was asked for, and given */
static int parse(struct cli *cli, int argc, char **argv, bool *helped)
{
	struct option longs[CLI_OPTIONS_MAX + 6];
	const struct verb *v = cli->verb;
	int c, at;

	*helped = false;
	make_long_options(v, cli->delegate != NULL, longs);
	optind = 0;             /* anew: the options before the verb were read in another order */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, &at)) != -1) {
		if (c == ':')
			return cli_usage(cli, "%s needs a value", argv[optind - 1]);
		if (c == '?')
			return cli_usage(cli, "unknown option %s", argv[optind - 1]);
		if (c == OPT_ROOT)
			cli->root = optarg;
		else if (c == OPT_JSON)
			cli->json = true;
		else if (c == OPT_HELP) {
			help_verb(v);
			*helped = true;
			return EXIT_DONE;
		} else {
			cli->option[c - OPT_FIRST] = optarg ? optarg : "";
		}
	}
	if ((size_t)(argc - optind) < v->args_min)
		return cli_usage(cli, "expected %s", v->args);
	if ((size_t)(argc - optind) > v->args_max)
		return cli_usage(cli, "unexpected word \"%s\"", argv[(size_t)optind + v->args_max]);
	while (optind < argc)
		cli->args[cli->arg_count++] = argv[optind++];
	return EXIT_DONE;
}

/* run_verb - opens what it needs, and lets it run. */
static int run_verb(struct cli *cli)
{
	bool has_file = cli->verb->reads_file && cli->arg_count;
	int code = EXIT_DONE;

	if (has_file)
		cli->file = strcmp(cli->args[0], "-") == 0 ? stdin : fopen(cli->args[0], "re");
	if (has_file && !cli->file)
		code = tell_unreadable(cli->args[0]);
	if (code == EXIT_DONE && cli->verb->needs_root)
		code = cli_open_instance(cli);
	if (code == EXIT_DONE)
		code = cli->verb->run(cli);
	instance_close(&cli->instance);
	if (cli->file && cli->file != stdin)
		fclose(cli->file);
	if (fflush(stdout) != 0 && code == EXIT_DONE) {
		complain(NULL, "standard output: %s", strerrordesc_np(errno));
		code = EXIT_FAILED;
	}
	return code;
}

/* check_delegated - the one place where it is decided what the holder of a token may do to whom. */
static int check_delegated(struct cli *cli)
{
	const struct delegated *allowed = &cli->verb->delegated;
	const char *letter = allowed->args ? allowed->args : "";

	if (allowed->right == DELEGATED_CHANGE && !cli->delegate->may_change) {
		complain(NULL, "this token may look and change nothing");
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < cli->arg_count; i++) {
		struct sv arg = sv_z(cli->args[i]);
		struct fault f = fault(FAULT_DENIED, NULL);

		if (*letter == 't')
			f = FAULT_OK;
		else if (*letter == 'a' || (*letter == 'g' && !sv_starts(arg, SV("@"))))
			f = directory_delegate_check_address(cli->delegate, arg);
		else if (*letter == 'd' || *letter == 'g')
			f = directory_delegate_check_domain(cli->delegate, sv_sub(arg, *letter == 'g', SIZE_MAX));
		if (f.kind)
			return cli_fault(cli->args[i], f);
		letter += letter[0] && letter[1];
	}
	return EXIT_DONE;
}

int cli_run_delegated(const struct verb *const *groups, const char *program, const char *root, const struct directory_delegate *delegate,
		      const struct log_ctx *ctx, int argc, char **argv)
{
	struct cli cli = { .verb = cli_find_verb(groups, argc, argv), .program = program, .root = root, .delegate = delegate };
	int words = cli.verb && cli.verb->verb ? 1 : 0, code;
	bool helped = false;

	is_delegated = true;
	if (!cli.verb || !cli.verb->delegated.right) {
		complain("postroom --token FILE delegate verbs", "a token is not good for \"%s%s%s\"", argc ? argv[0] : "",
			 argc > 1 && argv[1][0] != '-' ? " " : "", argc > 1 && argv[1][0] != '-' ? argv[1] : "");
		log_info(ctx, "delegate.refused", KV_Z("name", delegate->name), KV_Z("verb", argc ? argv[0] : ""));
		return EXIT_FAILED;
	}
	code = parse(&cli, argc - words, argv + words, &helped);
	if (code == EXIT_DONE && !helped) {
		code = check_delegated(&cli);
		if (code == EXIT_DONE)
			code = run_verb(&cli);
		log_info(ctx, "delegate.verb", KV_Z("name", delegate->name), KV_Z("noun", cli.verb->noun),
			 KV_Z("verb", cli.verb->verb ? cli.verb->verb : ""), KV_Z("about", cli.arg_count ? cli.args[0] : ""),
			 KV_I64("exit", code));
	}
	return code;
}

static int parse_and_run(const struct verb *v, const char *program, const char *root, bool json, int argc, char **argv)
{
	struct cli cli = { .verb = v, .program = program, .root = root, .json = json };
	bool helped;
	int code = parse(&cli, argc, argv, &helped);

	if (code != EXIT_DONE || helped)
		return code;
	root = cli.root;

	char *absolute = realpath(root, NULL);

	if (!absolute && root[0] != '/') {
		char *cwd = getcwd(NULL, 0);
		struct buf path;
		buf_init(&path, 8192);
		buf_appendf(&path, "%s/%s", cwd ? cwd : "", root);
		absolute = xstrdup(buf_z(&path));
		buf_done(&path);
		free(cwd);
	}
	cli.root = absolute ? absolute : root;
	code = run_verb(&cli);
	free(absolute);
	return code;
}

int cli_main(const struct verb *const *groups, int argc, char **argv)
{
	struct option longs[CLI_OPTIONS_MAX + 6];
	const char *root = DEFAULT_ROOT, *token = NULL, *socket = NULL;
	bool json = false, help = false;
	int c;

	make_long_options(NULL, false, longs);
	opterr = 0;
	/* "+": stop at the verb, whose options are its own. */
	while ((c = getopt_long(argc, argv, "+:h", longs, NULL)) != -1) {
		switch (c) {
		case OPT_ROOT: root = optarg; break;
		case OPT_JSON: json = true; break;
		case OPT_TOKEN: token = optarg; break;
		case OPT_SOCKET: socket = optarg; break;
		case 'h':
		case OPT_HELP: help = true; break;
		case OPT_VERSION:
			printf("postroom %s\n", POSTROOM_VERSION);
			return EXIT_DONE;
		case ':':
			complain("postroom --help", "%s needs a value", argv[optind - 1]);
			return EXIT_USAGE;
		default:
			complain("postroom --help", "unknown option %s", argv[optind - 1]);
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		help_all(groups);
		return help ? EXIT_DONE : EXIT_USAGE;
	}
	/* What a person should know is told in words; the store's own lines are for the daemons' log. `serve` sets what
	 * the configuration says. */
	log_start("postroom");
	log_set_level(LOG_LEVEL_WARN);
	if (token && !help)
		return delegate_ask(groups, token, socket, json, argc - optind, argv + optind);
	bool noun_known;
	const char *noun = argv[optind], *word = optind + 1 < argc ? argv[optind + 1] : NULL;
	const struct verb *v = find_verb(groups, noun, word, &noun_known);

	if (!v) {
		if (noun_known && (!word || strcmp(word, "--help") == 0)) {
			help_noun(groups, sv_z(noun));
			return word ? EXIT_DONE : EXIT_USAGE;
		}
		if (noun_known) {
			char next[100];

			snprintf(next, sizeof(next), "postroom %s --help", noun);
			complain(next, "no verb \"%s\" for %s", word, noun);
		} else
			complain("postroom --help", "no verb \"%s\"", noun);
		return EXIT_USAGE;
	}
	if (help) {
		help_verb(v);
		return EXIT_DONE;
	}
	/* getopt wants a word in front of the options: the verb itself. */
	int words = v->verb ? 2 : 1;

	return parse_and_run(v, argv[0], root, json, argc - optind - (words - 1), argv + optind + (words - 1));
}

const char *cli_option(const struct cli *cli, const char *name)
{
	for (size_t i = 0; cli->verb->options[i].name; i++)
		if (strcmp(cli->verb->options[i].name, name) == 0)
			return cli->option[i];
	BUG("verb %s has no option %s", cli->verb->noun, name);
}

/* What to do about a name that is not there, or in the way; NULL: nothing that always helps. */
static const char *next_step(struct fault f)
{
	static const struct { const char *text, *next; } steps[] = {
		{ "there is no account ", "postroom account list" },
		{ "there is no domain ", "postroom domain list; postroom domain add makes one" },
		{ "there is no alias ", "postroom alias list" },
		{ "there is no such message in the queue", "postroom queue list; postroom trace says what became of one that has left" },
		{ " still has accounts or aliases", "postroom account list DOMAIN, and postroom alias list DOMAIN, name them" },
		{ " is not an address like ", "the whole address, with its domain" },
	};

	for (size_t i = 0; i < ARRAY_LEN(steps) && !is_delegated; i++)
		if (strstr(f.detail, steps[i].text))
			return steps[i].next;
	return NULL;
}

int cli_fault(const char *what, struct fault f)
{
	const char *sentence = "failed";
	int code = EXIT_FAILED;

	switch (f.kind) {
	case FAULT_NONE:
		return EXIT_DONE;
	case FAULT_NOT_FOUND:
	case FAULT_GONE:
		sentence = "not found";
		code = EXIT_NOT_FOUND;
		break;
	case FAULT_EXISTS:      sentence = "is there already"; break;
	case FAULT_DENIED:      sentence = "not allowed"; break;
	case FAULT_AUTH:        sentence = "not authenticated"; break;
	case FAULT_INVALID:     sentence = "not valid"; break;
	case FAULT_LIMIT:       sentence = "over a limit"; break;
	case FAULT_QUOTA:       sentence = "over quota"; break;
	case FAULT_NO_SPACE:    sentence = "the disk is full"; break;
	case FAULT_READ_ONLY:   sentence = "the file system can only be read: see dmesg why, and mount it again"; break;
	case FAULT_CORRUPT:     sentence = "damaged"; break;
	case FAULT_UNSUPPORTED: sentence = "not supported"; break;
	case FAULT_BUSY:
	case FAULT_IN_USE:
		sentence = "busy, try again";
		code = EXIT_UNAVAILABLE;
		break;
	case FAULT_UNAVAILABLE:
		sentence = "does not answer";
		code = EXIT_UNAVAILABLE;
		break;
	case FAULT_INTERNAL:
		break;
	}
	/* These are sentences about what was asked for; details of the others name paths and programs. */
	bool is_told = f.detail && (!is_delegated || f.kind == FAULT_NOT_FOUND || f.kind == FAULT_EXISTS || f.kind == FAULT_INVALID ||
				    f.kind == FAULT_LIMIT || f.kind == FAULT_DENIED);

	if (is_told && strstr(f.detail, what))  /* it says all by itself */
		complain(next_step(f), "%s", f.detail);
	else
		complain(is_told ? next_step(f) : NULL, "%s: %s%s%s%s", what, sentence, is_told ? " (" : "", is_told ? f.detail : "",
			 is_told ? ")" : "");
	return code;
}

/* ---- secrets ---- */

static char *read_secret_line(int fd)
{
	char line[SECRET_MAX + 1];
	size_t n = 0;
	bool ended = false;

	while (n < sizeof(line)) {
		ssize_t got = read(fd, line + n, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		if (line[n] == '\n') {
			ended = true;
			break;
		}
		n++;
	}
	char *secret = NULL;

	if (n && line[n - 1] == '\r')
		n--;
	if (n && n < sizeof(line) && (ended || n <= SECRET_MAX) && !memchr(line, '\0', n))
		secret = sv_copy_z(sv_from(line, n));
	secret_wipe(line, sizeof(line));
	return secret;
}

static char *ask(int tty, const char *prompt)
{
	struct termios shown, hidden;

	dprintf(tty, "%s: ", prompt);
	if (tcgetattr(tty, &shown) != 0)
		return NULL;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(tty, TCSAFLUSH, &hidden);
	char *secret = read_secret_line(tty);
	tcsetattr(tty, TCSAFLUSH, &shown);
	dprintf(tty, "\n");
	return secret;
}

char *cli_read_secret(const char *prompt, bool from_stdin)
{
	if (from_stdin) {
		char *secret = read_secret_line(STDIN_FILENO);
		if (!secret)
			complain(NULL, "no password on standard input (one line, 1 to %d octets)", SECRET_MAX);
		return secret;
	}
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);

	if (tty < 0) {
		complain("add --password-stdin, or --generate", "no terminal to ask for a password");
		return NULL;
	}
	char *first = ask(tty, prompt), *again = first ? ask(tty, "Once more") : NULL;

	close(tty);
	if (!first || !again || strcmp(first, again) != 0) {
		complain(NULL, first ? "the two passwords differ" : "no password given");
		secret_free(&first);
	}
	secret_free(&again);
	return first;
}

char *cli_ask_secret(const char *prompt)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	char *secret = tty >= 0 ? ask(tty, prompt) : NULL;

	if (tty >= 0)
		close(tty);
	if (!secret)
		complain("add --password-file FILE", tty >= 0 ? "no password given" : "no terminal to ask for a password");
	return secret;
}

char *cli_generate_secret(void)
{
	char *secret = xmalloc(CRYPT_SECRET_LEN + 1);

	crypt_secret_text(secret);
	return secret;
}
