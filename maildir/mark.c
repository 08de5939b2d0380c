/* maildir/mark.c - see mark_private.h. */
#include "maildir/mark_private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

#define TEXT_MAX (BOOT_ID_MAX + 24)

/* What the mark says, in two parts; false with errno: there is none to read. */
static bool read_mark(int index_dir, char text[TEXT_MAX], char **folder)
{
	ssize_t n = readlinkat(index_dir, MARK_NAME, text, TEXT_MAX - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	*folder = strchr(text, ':');
	if (*folder)
		*(*folder)++ = '\0';
	return true;
}

static bool is_this_boot(const char *text)
{
	char now[BOOT_ID_MAX];

	mark_boot_id(now);
	return !strcmp(text, now);
}

static unsigned long long folder_number(int index_dir)
{
	struct stat st;

	return fstat(index_dir, &st) ? 0 : (unsigned long long)st.st_ino;
}

enum mark_state mark_look(int index_dir)
{
	char text[TEXT_MAX], here[24], *folder;

	if (!read_mark(index_dir, text, &folder))
		return errno == ENOENT ? MARK_NONE : MARK_OTHER_BOOT;
	snprintf(here, sizeof(here), "%llx", folder_number(index_dir));
	if (folder && strcmp(folder, here))
		return MARK_COPIED;
	return is_this_boot(text) ? MARK_THIS_BOOT : MARK_OTHER_BOOT;
}

/* Whoever has the index open looked whose mark it is: at each change only the boot matters. */
static bool is_set(int index_dir)
{
	char text[TEXT_MAX], *folder;

	return read_mark(index_dir, text, &folder) && is_this_boot(text);
}

struct fault mark_set(int index_dir, bool *made)
{
	char boot[BOOT_ID_MAX], text[TEXT_MAX];

	*made = false;
	if (is_set(index_dir))
		return FAULT_OK;
	mark_boot_id(boot);
	snprintf(text, sizeof(text), "%s:%llx", boot, folder_number(index_dir));
	int failed = symlinkat(text, index_dir, MARK_NAME) ? errno : 0;
	/* A full disk may have no inode left: the one of the mark before was kept for this. */
	if ((failed == ENOSPC || failed == EDQUOT) && !unlinkat(index_dir, SPARE_NAME, 0))
		failed = symlinkat(text, index_dir, MARK_NAME) ? errno : 0;
	if (failed) {
		/* A mark of another boot is not ours to replace: whoever opened this index should have rebuilt it. */
		if (failed == EEXIST && is_set(index_dir))
			return FAULT_OK;
		errno = failed;         /* a full disk is told as that, not as a spare inode that is missing */
		return fault_errno("make mark", MARK_NAME);
	}
	*made = true;
	return FAULT_OK;
}

void mark_clear(int index_dir)
{
	if (renameat(index_dir, MARK_NAME, index_dir, SPARE_NAME))
		unlinkat(index_dir, MARK_NAME, 0);
}
