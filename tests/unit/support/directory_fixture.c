/* tests/unit/support/directory_fixture.c - see directory_fixture.h. */
#include "tests/unit/support/directory_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/memory.h"

static void must(struct fault f, const char *what)
{
	if (f.kind)
		BUG("%s: %s: %s", what, fault_name(f.kind), f.detail ? f.detail : "");
}

struct directory *directory_fixture_make(char path[64])
{
	struct directory *dir = NULL;

	snprintf(path, 64, "/tmp/directory-test-XXXXXX");
	if (!mkdtemp(path))
		BUG("no temporary folder");
	must(directory_open(path, true, &dir), "directory_open");
	return dir;
}

int directory_fixture_remove(struct directory **dir, const char *path)
{
	static const char *const files[] = { "data.mdb", "lock.mdb" };
	char name[100];

	directory_close(dir);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(name, sizeof(name), "%s/%s", path, files[i]);
		unlink(name);
	}
	return rmdir(path);
}

int directory_place_setup(void **state)
{
	struct directory_place *p = xcalloc(1, sizeof(*p));

	p->dir = directory_fixture_make(p->path);
	must(directory_domain_add(p->dir, SV("Example.TEST")), "directory_domain_add");
	*state = p;
	return 0;
}

int directory_place_teardown(void **state)
{
	struct directory_place *p = *state;
	int rc = directory_fixture_remove(&p->dir, p->path);

	free(p);
	return rc;
}

struct directory_account directory_fixture_account(struct directory *dir, const char *address)
{
	struct directory_account a;

	must(directory_account_add(dir, sv_z(address), NULL, ITERATIONS, &a), address);
	return a;
}

void directory_fixture_alias(struct directory *dir, const char *address, const char *to1, const char *to2)
{
	struct sv targets[] = { sv_z(to1), sv_z(to2) };

	must(directory_alias_add(dir, sv_z(address), targets, to2 ? 2 : 1), address);
}

bool directory_fixture_owns(struct directory *dir, const char *id, const char *local, const char *domain)
{
	struct address from = { .local = sv_z(local), .domain = sv_z(domain), .domain_given = sv_z(domain) };
	bool yes = false;

	must(directory_owns(dir, sv_z(id), &from, &yes), "directory_owns");
	return yes;
}
