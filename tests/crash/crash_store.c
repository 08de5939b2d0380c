/* tests/crash/crash_store.c - cut the store short in every way we know, and look whether its promises held.
 *
 *   crash_store [--short] [--seed N] [--kills N] [--cuts N] [--only OPERATION] [--dir DIR] [PART]...
 *
 * PART: kill, errors, power, full, calibrate; all of them without. Prints the invariants that the store is to keep, one line
 * each with its counts, and exits with 1 when one is violated or a deliberately wrong worker was not caught.
 * doc/durability.md says how to read it. */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>

#include "tests/crash/parts.h"

#include "common/banned.h"

void skip(const char *part, const char *why)
{
	printf("SKIPPED %s: %s\n", part, why);
	fflush(stdout);
}

bool own_mounts(const char *dir)
{
	char path[PATH_MAX];

	if (geteuid() || unshare(CLONE_NEWNS) || !realpath(dir, path))
		return false;
	if (!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return true;
	while (path[0] && mount(NULL, path, NULL, MS_REC | MS_PRIVATE, NULL))
		*strrchr(path, '/') = '\0';
	return true;
}

static const struct {
	const char *name;
	bool is_calibration;
} parts[] = { { "kill", false }, { "errors", false }, { "power", false }, { "full", false }, { "calibrate", true } };

/* Memory is fast, and a killed process does not care; where there is little of it, /tmp. */
static const char *fast_folder(void)
{
	struct statfs fs;

	if (!statfs("/dev/shm", &fs) && fs.f_type == TMPFS_MAGIC && fs.f_bavail * (uint64_t)fs.f_bsize > (uint64_t)1 << 28 &&
	    !access("/dev/shm", W_OK))
		return "/dev/shm";
	return getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
}

static bool is_wanted(const char *part, char **names, int count)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(names[i], part))
			return true;
	return !count;
}

static int usage(const char *what)
{
	fprintf(stderr, "crash_store: %s\nusage: crash_store [--short] [--seed N] [--kills N] [--cuts N] [--only OPERATION] [--dir DIR] "
		"[kill|errors|power|full|calibrate]...\n", what);
	return 2;
}

int main(int argc, char **argv)
{
	struct crash_options o = { .seed = (uint64_t)time(NULL), .kills = 1000, .cuts = 200 };
	struct report total = { 0 };
	char folder[160];
	unsigned missed = 0;
	bool full_ran = false;
	int i = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (; i < argc && argv[i][0] == '-'; i++) {
		bool has_value = i + 1 < argc;
		if (!strcmp(argv[i], "--short"))
			o.is_short = true;
		else if (!strcmp(argv[i], "--seed") && has_value)
			o.seed = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--kills") && has_value)
			o.kills = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--cuts") && has_value)
			o.cuts = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--only") && has_value)
			o.only = argv[++i];
		else if (!strcmp(argv[i], "--dir") && has_value)
			o.dir = argv[++i];
		else
			return usage(argv[i]);
	}
	for (int k = i; k < argc; k++) {
		bool known = false;
		for (size_t p = 0; p < ARRAY_LEN(parts); p++)
			known = known || !strcmp(parts[p].name, argv[k]);
		if (!known)
			return usage(argv[k]);
	}
	snprintf(folder, sizeof(folder), "%s/postroom-crash-%d", o.dir ? o.dir : fast_folder(), (int)getpid());
	if (mkdir(folder, 0700)) {
		perror(folder);
		return 1;
	}
	o.dir = folder;
	printf("crash_store: %s form, seed=%llu, in %s\n", o.is_short ? "short" : "full", (unsigned long long)o.seed, folder);

	if (is_wanted("kill", argv + i, argc - i)) {
		struct report r = { 0 };
		part_kill(&o, &r);
		if (!o.is_short && !o.only && r.kills && r.kills < o.kills) {
			printf("only %llu kill points, %u are wanted\n", (unsigned long long)r.kills, o.kills);
			missed++;
		}
		report_add(&total, &r);
	}
	if (is_wanted("errors", argv + i, argc - i))
		part_errors(&o, &total);
	if (is_wanted("power", argv + i, argc - i))
		part_power(&o, &total);
	if (is_wanted("full", argv + i, argc - i))
		part_full(&o, &total, &full_ran);
	if (is_wanted("calibrate", argv + i, argc - i)) {
		calibrate_kill(&o, &missed);
		calibrate_errors(&o, &missed);
		calibrate_power(&o, &missed);
	}
	report_print(&total, full_ran);
	if (missed)
		printf("NOT CAUGHT: %u kinds of wrong workers, or too few points\n", missed);
	remove_tree(folder);
	return report_breaches(&total) || missed ? 1 : 0;
}
