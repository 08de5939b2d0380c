/* admin/cli.h - the command line as a table: every verb is a row, with its options, a help text and an example.
 * Help, usage errors, shell completion and the manual page read the same rows. One thread. */
#ifndef ADMIN_CLI_H
#define ADMIN_CLI_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/bytes.h"
#include "common/fault.h"

/* Exit codes: a contract with scripts. */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_UNAVAILABLE = 4,   /* nothing runs, busy: try again */
};

#define CLI_OPTIONS_MAX 12
#define CLI_ARGS_MAX 16

struct cli_option {
	const char *name;       /* without the dashes; NULL ends the list */
	const char *value;      /* "N", "FILE": takes a value; NULL: a switch */
	const char *doc;
};

struct cli;
struct directory_delegate;

/* What the holder of a token may do with a verb (admin/delegate.h): nothing, unless it is said. */
enum delegated_right { DELEGATED_NO = 0, DELEGATED_LOOK, DELEGATED_CHANGE };
struct delegated {
	enum delegated_right right;
	/* Each argument by a letter, the last one for all that follow: 'a' an address, 'd' a domain, 'g' an address or @DOMAIN, all
	 * of theirs only; 't' any text. */
	const char *args;
	const char *options;    /* those that may be given, separated by a space; their values are any text. NULL: none */
};

struct verb {
	const char *noun;       /* "account"; for a verb without one the verb itself: "serve". NULL ends a group */
	const char *verb;       /* "add"; NULL for a noun that is a verb */
	const char *args;       /* "ADDRESS [TARGET...]"; "" for none */
	size_t args_min, args_max;
	const char *summary;    /* one line, no full stop */
	const char *example;    /* a whole command line, without "postroom" */
	int (*run)(struct cli *cli);
	bool needs_root;        /* works on an instance: --root is looked up and checked first */
	/* the first argument is a file, or "-": opened before root becomes the instance's owner, who may not be able to read it */
	bool reads_file;
	struct delegated delegated;
	struct cli_option options[CLI_OPTIONS_MAX];
};

/* What a verb's run() sees. */
struct cli {
	const struct verb *verb;
	const char *program;            /* argv[0], to find the daemons beside it */
	const char *root;               /* absolute path of the instance, or NULL */
	bool json;                      /* --json was given */
	const char *option[CLI_OPTIONS_MAX];    /* by position in verb->options: the value, "" for a switch, or NULL */
	const char *args[CLI_ARGS_MAX + 1];
	size_t arg_count;
	struct instance *instance;      /* opened when needs_root */
	FILE *file;                     /* the first argument's, when the verb reads_file; not to be closed */
	const struct directory_delegate *delegate;      /* for whom, in the place of the owner; NULL: for him */
};

/** cli_main - parse argv against the verbs (NULL-terminated list of groups), run one, return the exit code. */
int cli_main(const struct verb *const *groups, int argc, char **argv);
struct log_ctx;
/**
 * cli_run_delegated - run one verb for the holder of a token, in a process that does nothing else: what he may not see or change is refused
 * here, before the verb runs, and errors keep to themselves what is not his business. Logs what was done.
 * @argv: the verb, its options and arguments, as for cli_main(); ends with NULL
 * Returns the exit code.
 */
int cli_run_delegated(const struct verb *const *groups, const char *program, const char *root, const struct directory_delegate *delegate,
		      const struct log_ctx *ctx, int argc, char **argv);
/** cli_find_verb - by the first one or two words of argv; NULL: there is none. */
const struct verb *cli_find_verb(const struct verb *const *groups, int argc, char *const *argv);
/** cli_make_run_folder - where `sendmail` and holders of tokens find the server: only root can make it, and nobody else has where there is no
 *  systemd-tmpfiles. False: it was not made; one that is there is somebody's decision. */
bool cli_make_run_folder(uid_t uid, gid_t gid);
/** cli_open_instance - what needs_root does before run(), for a verb that needs one only sometimes. Tells its error. */
int cli_open_instance(struct cli *cli);
/** cli_open_instance_for_ports - the same, and programs that are started then may open ports below 1024 if we may now; also an instance
 *  between two formats. */
int cli_open_instance_for_ports(struct cli *cli);
/** cli_open_instance_to_migrate - also one between two formats. */
int cli_open_instance_to_migrate(struct cli *cli);
/** cli_option - the value of an option by name; "" for a switch that was given, NULL when absent. */
const char *cli_option(const struct cli *cli, const char *name);
/** cli_usage - complain about the arguments of this verb and return EXIT_USAGE. */
int cli_usage(const struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/** cli_fault - tell a fault in plain words ("what": who or which thing it was about), return its exit code. */
int cli_fault(const char *what, struct fault f);
/** cli_read_secret - a password: from standard input (first line) when `from_stdin`, else from the terminal, twice.
 *  The caller ends it with secret_free(). NULL after an error that was told. */
char *cli_read_secret(const char *prompt, bool from_stdin);
/** cli_ask_secret - a password that exists: from the terminal, once. As cli_read_secret(). */
char *cli_ask_secret(const char *prompt);
/** cli_generate_secret - a password that can be read out and typed: 4 groups of 5 letters and digits. */
char *cli_generate_secret(void);

#endif
