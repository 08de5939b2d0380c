/* Former programs: after an upgrade they serve who was there, and must still be told to end a session. Their control sockets lie beside
 * the present one's as DAEMON.former.PID.sock. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/control.h"

#include "common/banned.h"

#define FORMER ".former."
#define SUFFIX ".sock"
#define NAME_SIZE 64

static void own_name(const char *daemon, pid_t pid, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, "%s" FORMER "%d", daemon, (int)pid);
}

struct fault control_give_way(const struct instance *instance, const char *daemon, pid_t pid)
{
	char name[NAME_SIZE];

	own_name(daemon, pid, name);
	char *was = instance_run_path(instance, daemon, SUFFIX), *is = instance_run_path(instance, name, SUFFIX);
	struct fault f = rename(was, is) == 0 ? FAULT_OK : fault_errno("rename", was);

	free(was);
	free(is);
	return f;
}

void control_forget_way(const struct instance *instance, const char *daemon, pid_t pid)
{
	char name[NAME_SIZE];

	own_name(daemon, pid, name);
	char *path = instance_run_path(instance, name, SUFFIX);

	unlink(path);
	free(path);
}

void control_ask_former(const struct instance *instance, const char *daemon, struct sv request,
			bool (*on_line)(void *arg, const struct json *line), void *arg, uint32_t wait_ms)
{
	DIR *run = opendir(instance_path(instance, INSTANCE_RUN));
	struct dirent *e;

	while (run && (e = readdir(run))) {
		struct sv rest = sv_z(e->d_name);
		char name[NAME_SIZE];

		if (!sv_starts(rest, sv_z(daemon)) || !sv_ends(rest, SV(SUFFIX)) ||
		    !sv_starts(sv_sub(rest, strlen(daemon), SIZE_MAX), SV(FORMER)))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(rest.len - (sizeof(SUFFIX) - 1)), e->d_name);
		/* Whoever does not answer has been killed, or just ended; his sessions are gone with him. */
		(void)!control_ask(instance, name, request, on_line, arg, wait_ms).kind;
	}
	if (run)
		closedir(run);
}
