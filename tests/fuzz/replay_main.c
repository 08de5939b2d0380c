/* tests/fuzz/replay_main.c - run a fuzz target once on every file of the given folders.
 *
 * libFuzzer needs clang; this main() lets `make check-unit` replay the corpora with any compiler. Each
 * input lies in a heap block of exactly its size, so one byte read too far is a finding of ASan. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "replay: %s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

static void replay_file(const char *path, size_t size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(size);   /* size 0: a block, or NULL, of which no byte may be read */

	if (!f || (!data && size))
		fail("cannot read", path);
	if (size && fread(data, 1, size, f) != size)
		fail("cannot read", path);
	fclose(f);
	/* Named before it runs: when the target aborts, the last line says on which file. */
	fprintf(stderr, "replay: %s (%zu octets)\n", path, size);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

/* replay_folder - every regular file of one folder, in name order; answers how many. */
static unsigned replay_folder(const char *folder)
{
	struct dirent **names;
	unsigned done = 0;
	int n = scandir(folder, &names, NULL, alphasort);

	if (n < 0)
		fail("cannot list", folder);
	for (int i = 0; i < n; i++) {
		char path[4096];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		free(names[i]);
		if (stat(path, &st))
			fail("cannot stat", path);
		if (!S_ISREG(st.st_mode))
			continue;
		replay_file(path, (size_t)st.st_size);
		done++;
	}
	free(names);
	return done;
}

int main(int argc, char **argv)
{
	unsigned done = 0;

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		done += replay_folder(argv[i]);
	printf("%u inputs replayed\n", done);
	return done ? 0 : 1;    /* an empty corpus proves nothing */
}
