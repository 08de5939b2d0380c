/* admin/bulk.h - verbs that take many things from a file of lines: each line is one thing, is told by its number when it cannot
 * be taken, and never stops the others. Running such a verb again takes only what is missing. */
#ifndef ADMIN_BULK_H
#define ADMIN_BULK_H

#include "admin/cli.h"
#include "common/directory.h"

#define BULK_LINE_MAX (256u << 10)      /* octets of a line with what continues it */

struct bulk {
	struct cli *cli;
	struct directory *dir;
	struct sv domain;               /* for names that have none; empty: not given */
	bool is_dry;                    /* look, change nothing */
	bool is_no_thing;               /* set by the function: the line was a header or the like, and counts as nothing */
	void *arg;
};

/** One line, without its end and without spaces around it. FAULT_EXISTS: it is there already. Any other fault is told with the
 *  line's number, its detail being a sentence. */
typedef struct fault bulk_fn(struct bulk *b, struct sv line);

#define BULK_OPTIONS                                                                       \
	{ "domain", "DOMAIN", "the domain of names that are written without one" },        \
	{ "dry-run", NULL, "say what would be done, and change nothing" }

/** bulk_run - read the file that is the verb's first argument ("-": standard input) and print what came of it. Empty lines and
 *  comments ("#") are left out.
 *  @continues: a line that begins with a space continues the one before */
int bulk_run(struct cli *cli, bool continues, bulk_fn *fn, void *arg);
struct json;
typedef struct fault bulk_json_fn(struct bulk *b, const struct json *object);
/** bulk_run_json - the same for a file that is one JSON array: what cannot be taken is told by its place in it, from 1 on. */
int bulk_run_json(struct cli *cli, bulk_json_fn *fn, void *arg);
/** bulk_address - the name as an address, in `out`: completed by --domain when it has no "@". */
MUST_CHECK struct fault bulk_address(const struct bulk *b, struct sv name, char out[DIRECTORY_ADDRESS_MAX + 1]);

#endif
