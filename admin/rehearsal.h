/* admin/rehearsal.h - can a program start, beside the one that serves? It reads the configuration, opens the store and enters its sandbox
 * as ever, binds nothing, takes no name, and ends where its work would begin (`--rehearse`, common/master.h). Blocks. */
#ifndef ADMIN_REHEARSAL_H
#define ADMIN_REHEARSAL_H

#include "admin/cli.h"

struct conf;

#define REHEARSAL_S 60          /* for each daemon, unless somebody says otherwise */
#define REHEARSAL_S_MAX 3600

/** rehearse_daemons - each daemon that is wanted, of that `postroom`, one after the other, @wait_s seconds at most for each. Complains of
 *  the first that fails, with what it said last. Returns the exit code. */
int rehearse_daemons(const struct cli *cli, const struct conf *conf, const char *program, uint32_t wait_s);
/** rehearse_program - have that `postroom` do the same (`serve --rehearse`): it is another program than this one. EXIT_DONE also where it
 *  is too old to know what that is. */
int rehearse_program(const struct cli *cli, const char *program, uint32_t wait_s);
/** rehearsal_can_run - does it say its version? A program whose libraries are missing does not. */
bool rehearsal_can_run(const char *program);
/** rehearsal_wait - the option --wait of this verb. False: it was complained of. */
bool rehearsal_wait(const struct cli *cli, uint32_t *wait_s);

#endif
