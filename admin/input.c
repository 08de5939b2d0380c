#include "admin/input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/cli.h"
#include "admin/print.h"

#include "common/banned.h"

bool read_input(const char *path, struct buf *out)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char chunk[4096];
	size_t n;

	if (!f)
		return false;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		if (!buf_append(out, sv_from(chunk, n))) {
			/* Full: a caller that goes on must see that it is too much, not a shorter text. */
			(void)buf_append(out, sv_from(chunk, out->max - out->len));
			if (f != stdin)
				fclose(f);
			errno = EFBIG;
			return false;
		}
	bool is_fine = !ferror(f);
	int e = errno;
	if (f != stdin)
		fclose(f);
	errno = e;
	return is_fine;
}

int tell_unreadable(const char *path)
{
	int e = errno;

	complain(NULL, "%s: %s", path, strerror(e));
	return e == ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED;
}
