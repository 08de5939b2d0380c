/* maildir/mark.c - see mark_private.h. */
#include "maildir/mark_private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "maildir/files.h"

#include "common/banned.h"

#define SPARE_NAME "clean"

static char boot_text[FILES_TEMP_LEN > BOOT_ID_MAX ? FILES_TEMP_LEN : BOOT_ID_MAX];

static void read_boot_id_once(void)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, boot_text, BOOT_ID_MAX - 1);

	if (fd >= 0)
		close(fd);
	/* Without /proc no mark ever matches, so each start of the process rebuilds: slow, and right. */
	if (n <= 0)
		files_temp_name("no-boot-id", boot_text);
	else
		boot_text[n] = '\0';
	boot_text[BOOT_ID_MAX - 1] = 0;
	boot_text[strcspn(boot_text, "\n/")] = '\0';
}

static void read_boot_id(char out[BOOT_ID_MAX])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_boot_id_once);
	memcpy(out, boot_text, BOOT_ID_MAX);
}

void (*mark_boot_id)(char out[BOOT_ID_MAX]) = read_boot_id;

enum mark_state mark_look(int index_dir)
{
	char target[BOOT_ID_MAX], now[BOOT_ID_MAX];
	ssize_t n = readlinkat(index_dir, MARK_NAME, target, sizeof(target) - 1);

	if (n < 0)
		return errno == ENOENT ? MARK_NONE : MARK_OTHER_BOOT;
	target[n] = '\0';
	mark_boot_id(now);
	return strcmp(target, now) ? MARK_OTHER_BOOT : MARK_THIS_BOOT;
}

struct fault mark_set(int index_dir, bool *made)
{
	char now[BOOT_ID_MAX];

	*made = false;
	if (mark_look(index_dir) == MARK_THIS_BOOT)
		return FAULT_OK;
	mark_boot_id(now);
	int failed = symlinkat(now, index_dir, MARK_NAME);
	/* A full disk may have no inode left: the one of the mark before was kept for this. */
	if (failed && (errno == ENOSPC || errno == EDQUOT) && !unlinkat(index_dir, SPARE_NAME, 0))
		failed = symlinkat(now, index_dir, MARK_NAME);
	if (failed) {
		/* A mark of another boot is not ours to replace: whoever opened this index should have rebuilt it. */
		return errno == EEXIST && mark_look(index_dir) == MARK_THIS_BOOT ? FAULT_OK :
		       fault_errno("make mark", MARK_NAME);
	}
	*made = true;
	return FAULT_OK;
}

void mark_clear(int index_dir)
{
	if (renameat(index_dir, MARK_NAME, index_dir, SPARE_NAME))
		unlinkat(index_dir, MARK_NAME, 0);
}
