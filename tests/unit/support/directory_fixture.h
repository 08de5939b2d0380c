/* tests/unit/support/directory_fixture.h - a directory of accounts in a folder of its own, and the steps that most tests of it take. Aborts
 * when a step fails: tests that expect faults do their own. */
#ifndef SUPPORT_DIRECTORY_FIXTURE_H
#define SUPPORT_DIRECTORY_FIXTURE_H

#include "common/directory.h"

#define ITERATIONS DIRECTORY_ITERATIONS_MIN

/** directory_fixture_make - a fresh folder below /tmp, with a directory that is empty. @path: the folder's. */
struct directory *directory_fixture_make(char path[64]);
/** directory_fixture_remove - closed and removed; what somebody left behind in the folder makes it other than 0. */
int directory_fixture_remove(struct directory **dir, const char *path);

/* For tests that need no more: a directory with the domain example.test, as cmocka's setup and teardown. */
struct directory_place {
	char path[64];
	struct directory *dir;
};
int directory_place_setup(void **state);
int directory_place_teardown(void **state);

/** directory_fixture_account - without a password. */
struct directory_account directory_fixture_account(struct directory *dir, const char *address);
/** directory_fixture_alias - of one or, unless it is NULL, two. */
void directory_fixture_alias(struct directory *dir, const char *address, const char *to1, const char *to2);
/** directory_fixture_owns - may the account of this id send as local@domain? */
bool directory_fixture_owns(struct directory *dir, const char *id, const char *local, const char *domain);

#endif
