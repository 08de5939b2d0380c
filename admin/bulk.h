/* admin/bulk.h - verbs that take many things from a file of lines: each line is one thing, is told by its number when it cannot
 * be taken, and never stops the others. Running such a verb again takes only what is missing. */
#ifndef ADMIN_BULK_H
#define ADMIN_BULK_H

#include <stdio.h>

#include "admin/cli.h"
#include "common/directory.h"

#define BULK_LINE_MAX (256u << 10)      /* octets of a line with what continues it */

struct bulk_source;

struct bulk {
	struct cli *cli;
	struct directory *dir;
	struct sv domain;               /* for names that have none; empty: not given */
	bool is_dry;                    /* look, change nothing */
	const struct bulk_source *source;
	size_t number;                  /* of the line, or of the thing in its array */
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

/** bulk_is_planned - a domain that is not there yet, and will be when this is done in earnest. */
bool bulk_is_planned(const struct bulk *b, struct sv domain);
/** bulk_is_planned_account - the same for an account. */
bool bulk_is_planned_account(const struct bulk *b, struct sv address);
/** bulk_is_barred - one that may not log in where it comes from. */
bool bulk_is_barred(const struct bulk *b, struct sv address);
/** bulk_note - what is to be known of a line that is taken all the same. */
void bulk_note(const struct bulk *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* For a verb that takes more than one file, or one that is open already. */
struct bulk_source {
	const char *path;               /* what errors name */
	FILE *file;                     /* borrowed */
	const char *domain;             /* of names that have none; NULL: not given */
	bool is_dry;
	const struct sv *planned;       /* domains that are not there, and would be when this is no dry run */
	size_t planned_count;
	const struct sv *accounts;      /* likewise */
	size_t account_count;
	const struct sv *barred;        /* addresses that may not log in */
	size_t barred_count;
};
struct bulk_counts { uint64_t taken, known, refused; };
/** bulk_run_from - as bulk_run(), without options, and with the counts told to the caller only. */
int bulk_run_from(struct cli *cli, const struct bulk_source *source, bool continues, bulk_fn *fn, void *arg,
		  struct bulk_counts *counts);
struct json;
typedef struct fault bulk_json_fn(struct bulk *b, const struct json *object);
/** bulk_run_json - the same for a file that is one JSON array: what cannot be taken is told by its place in it, from 1 on. */
int bulk_run_json(struct cli *cli, bulk_json_fn *fn, void *arg);
/** bulk_address - the name as an address, in `out`: completed by --domain when it has no "@". */
MUST_CHECK struct fault bulk_address(const struct bulk *b, struct sv name, char out[DIRECTORY_ADDRESS_MAX + 1]);

#endif
