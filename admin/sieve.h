/* admin/sieve.h - what the verbs about mail filters share. */
#ifndef ADMIN_SIEVE_H
#define ADMIN_SIEVE_H

#include "admin/cli.h"
#include "admin/open.h"
#include "maildir/filter.h"

/** tell_sieve_errors - on standard error, or with --json as an array. @path: of the script itself */
void tell_sieve_errors(const struct cli *cli, const char *path, const struct sieve_errors *errors);

/* The scripts of an account. */
struct open_scripts {
	struct open_user user;
	struct scripts *scripts;
	struct filters *filters;
	struct scripts_quota quota;
};
/** open_scripts - tells its error, returns an exit code. */
int open_scripts(struct cli *cli, const char *address, struct open_scripts *out);
void close_scripts(struct open_scripts *s);
/** put_script_fault - tell what became of scripts_put(); returns an exit code. */
int put_script_fault(struct cli *cli, const char *file, struct fault f);

#endif
