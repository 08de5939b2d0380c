/* A spool file of any content. The fuzzer cannot guess checksums, so the target also mends those of
 * its input. What must hold: a file that opens can be read to its end or is found damaged, and
 * takes an outcome. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "smtpd/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* mend - put the right checksum behind every record that is whole. */
static void mend(unsigned char *p, size_t size)
{
	size_t at = 16;

	while (size >= at && size - at >= 9) {
		uint32_t len = (uint32_t)p[at] | (uint32_t)p[at + 1] << 8 |
			       (uint32_t)p[at + 2] << 16 | (uint32_t)p[at + 3] << 24;

		if (len > size - at - 9)
			break;
		uint32_t crc = crc32c(sv_from((const char *)p + at, (size_t)len + 5));

		for (int i = 0; i < 4; i++)
			p[at + 5 + len + (size_t)i] = (unsigned char)(crc >> (8 * i));
		at += (size_t)len + 9;
	}
}

static void read_all(int dir, const char *name)
{
	struct spool *s = NULL;
	struct buf out;
	uint64_t seen = 0;
	struct fault f = spool_open(dir, name, SPOOL_LOCKED, &s);

	if (f.kind)
		return;
	do {
		buf_init(&out, SPOOL_BODY_MAX);
		f = spool_read_body(s, &out);
		seen += out.len;
		buf_done(&out);
	} while (!f.kind && seen < spool_size(s));
	if (!f.kind && seen != spool_size(s))
		abort();
	if (spool_put_outcomes(s, &(struct spool_change){ 0, SPOOL_DELIVERED, SV("250") }, 1, 1).kind)
		abort();
	spool_close(&s);
	if (spool_open(dir, name, SPOOL_UNLOCKED, &s).kind ||
	    spool_outcome(s, 0) != SPOOL_DELIVERED)
		abort();
	spool_close(&s);
}

static void write_file(int dir, const char *name, const unsigned char *p, size_t size)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, p, size) != (ssize_t)size)
		abort();
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int dir = -1;
	unsigned char *copy = malloc(size + 1);
	char name[32];

	if (dir < 0)
		dir = open("/dev/shm", O_RDONLY | O_DIRECTORY);
	snprintf(name, sizeof(name), "fuzz-spool-%d", (int)getpid());
	memcpy(copy, data, size);
	write_file(dir, name, copy, size);
	read_all(dir, name);
	mend(copy, size);
	write_file(dir, name, copy, size);
	read_all(dir, name);
	unlinkat(dir, name, 0);
	free(copy);
	return 0;
}
