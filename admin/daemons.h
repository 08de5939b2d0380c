/* admin/daemons.h - the programs that make up a running instance. */
#ifndef ADMIN_DAEMONS_H
#define ADMIN_DAEMONS_H

#include <sys/types.h>

#include "admin/cli.h"

struct conf;
struct instance;

#define DAEMON_COUNT 4
#define DAEMON_MAIL_COUNT 3     /* the first ones: those to whom people log in */
extern const char *const daemon_names[DAEMON_COUNT];    /* "smtpd", "imapd", "pop3d", "webd" */

/** daemon_is_wanted - is it to run? The three of mail always; the web front when a listener is for it and it was built. */
bool daemon_is_wanted(const struct conf *conf, size_t i);

/** program_path - where the program of a running process lies, and where a newer one would be put in its place. False, and "": it cannot be
 *  seen. */
bool program_path(pid_t pid, char *out, size_t size);
/** daemon_path - a daemon of that `postroom`: beside it, else in the libexec folder. False when it is in neither. */
bool daemon_path(const char *program, const char *name, char *out, size_t size);
/** daemon_answers - does its control socket answer, with all of its workers ready? */
bool daemon_answers(const struct instance *instance, const char *name);
/** daemons_answer - do the first @count of them that are wanted, and does every listener for mail take a connection? */
bool daemons_answer(const struct instance *instance, const struct conf *conf, size_t count);

/** run_status - postroom status. */
int run_status(struct cli *cli);

#endif
