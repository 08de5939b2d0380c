/* tests/unit/common/instance_folder.h - the folder of an instance that a test made, taken away again: what instance_open() makes,
 * and nothing else, so that a file somebody left behind fails the test's end. */
#ifndef TESTS_INSTANCE_FOLDER_H
#define TESTS_INSTANCE_FOLDER_H

#include <stdio.h>
#include <unistd.h>

#include "common/instance.h"

/* 0, or what rmdir() says. */
static inline int instance_folder_remove(struct instance **instance, const char *root)
{
	static const char *const names[] = { "directory", "mail", "queue", "events", "keys", "tls", "issuer", "run", "sieve" };
	char name[256];

	unlink(instance_path(*instance, INSTANCE_FORMAT_FILE));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(name, sizeof(name), "%s/%s", root, names[i]);
		rmdir(name);
	}
	instance_close(instance);
	return rmdir(root);
}

#endif
