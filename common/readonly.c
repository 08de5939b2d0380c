#include "common/readonly.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "common/memory.h"

#include "common/banned.h"

#define ROOM (1u << 20)

static bool ask(const char *path, struct statvfs *st)
{
	int failed = statvfs(path, st);

	if (failed && errno == ENOENT) {
		char *copy = xstrdup(path);

		failed = statvfs(dirname(copy), st);
		free(copy);
	}
	return !failed;
}

bool path_is_read_only(const char *path)
{
	struct statvfs st;

	return ask(path, &st) && st.f_flag & ST_RDONLY;
}

bool path_has_room(const char *path)
{
	struct statvfs st;

	if (!ask(path, &st) || !st.f_blocks)
		return true;
	/* Some file systems make files as long as there are octets, and count neither (f_files is 0). */
	return !(st.f_flag & ST_RDONLY) && (uint64_t)st.f_bavail * st.f_frsize >= ROOM && (!st.f_files || st.f_favail);
}
