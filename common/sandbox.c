#include "common/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/sandbox_private.h"

#include "common/banned.h"

/* What sandbox_enter() did; set while there is one thread. */
static struct {
	bool landlock, seccomp;
	char landlock_detail[96], seccomp_detail[96];
} entered = { false, false, "not entered", "not entered" };

static size_t count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;
	size_t n = 0;

	if (!dir)
		return 1;       /* without /proc nothing can be said */
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Try what must not work any more. */
static struct fault try_walls(const struct sandbox_rules *rules)
{
	if (entered.landlock) {
		/* A master may read everywhere, and write in its instance only. */
		int fd = open("/",
			      rules->may_execute ? O_TMPFILE | O_WRONLY | O_CLOEXEC
						 : O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			      0600);

		if (fd >= 0) {
			close(fd);
			return fault(FAULT_DENIED, "the sandbox does not hold: / could be opened");
		}
		if (errno != EACCES && !rules->may_execute)
			return fault_errno("sandbox: open gave another error than expected", "/");
	}
	if (entered.seccomp) {
		static char *const argv[] = { NULL };

		if (syscall(SYS_execve, "", argv, argv) != -1 || errno != EPERM)
			return fault(FAULT_DENIED,
				     "the sandbox does not hold: execve was not refused");
	}
	return FAULT_OK;
}

struct fault sandbox_enter(const struct sandbox_rules *rules)
{
	struct fault f;

	if (count_threads() != 1)
		return fault(FAULT_INTERNAL, "the sandbox must be entered before threads start");
	core_dumps_off();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fault_errno("prctl", "no new privileges");
	f = landlock_enter(rules, &entered.landlock, entered.landlock_detail);
	if (!f.kind && rules->may_execute)
		snprintf(entered.seccomp_detail, sizeof(entered.seccomp_detail),
			 "not here: workers would inherit it");
	else if (!f.kind)
		f = seccomp_enter(sandbox_has_network(rules), &entered.seccomp,
				  entered.seccomp_detail);
	if (!f.kind)
		f = try_walls(rules);
	return f;
}

static void set_layer(struct sandbox_layer *layer, const char *name, bool active,
		      const char *detail)
{
	layer->name = name;
	layer->active = active;
	snprintf(layer->detail, sizeof(layer->detail), "%s", detail);
}

void sandbox_facts(struct sandbox_layer out[static SANDBOX_LAYERS])
{
	bool no_new = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	bool bare = privilege_has_none(), silent = core_dumps_are_off();

	set_layer(&out[0], "no-new-privileges", no_new,
		  no_new ? "asked from the kernel" : "not set");
	set_layer(&out[1], "landlock", entered.landlock, entered.landlock_detail);
	set_layer(&out[2], "seccomp", entered.seccomp, entered.seccomp_detail);
	set_layer(&out[3], "capabilities", bare, bare ? "none left" : "some are left");
	set_layer(&out[4], "core-dumps", silent, silent ? "off" : "possible");
}

void sandbox_facts_json(struct json_out *j, const char *name)
{
	struct sandbox_layer layers[SANDBOX_LAYERS];

	sandbox_facts(layers);
	json_out_array(j, name);
	for (size_t i = 0; i < SANDBOX_LAYERS; i++) {
		json_out_object(j, NULL);
		json_out_z(j, "layer", layers[i].name);
		json_out_bool(j, "active", layers[i].active);
		json_out_z(j, "detail", layers[i].detail);
		json_out_object_end(j);
	}
	json_out_array_end(j);
}
