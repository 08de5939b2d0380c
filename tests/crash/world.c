/* tests/crash/world.c - see world.h. */
#include "tests/crash/world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "maildir/mark_private.h"

#include "common/banned.h"

#define HANGS_S 300    /* a process that takes so long waits for a lock of a dead one */
#define WORKERS 2

struct shared {
	unsigned boot;
	struct script scripts[WORKERS];
	struct snapshot seen[2];
};

struct world {
	char root[160];
	struct shared *shared;
	unsigned now;                   /* index of the last look in seen */
	struct uid_history *history;
	struct report *report;
	uint32_t next_ident;
	pid_t witness;
	int witness_go;                 /* a pipe: the witness looks when it is written to */
};

static struct shared *of_this_process;

static void boot_of_world(char out[BOOT_ID_MAX])
{
	snprintf(out, BOOT_ID_MAX, "crash-boot-%u", of_this_process->boot);
}

struct world *world_new(const char *root, struct report *report)
{
	struct world *w = xcalloc(1, sizeof(*w));
	char mail[200];

	snprintf(w->root, sizeof(w->root), "%s", root);
	snprintf(mail, sizeof(mail), "%s/mail", root);
	if ((mkdir(root, 0700) && errno != EEXIST) || (mkdir(mail, 0700) && errno != EEXIST)) {
		perror(mail);
		exit(1);
	}
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->shared == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	w->shared->boot = 1;
	w->shared->seen[0].is_complete = true;
	w->history = uid_history_new();
	w->report = report;
	w->next_ident = 1;
	w->witness_go = -1;
	return w;
}

void world_free(struct world **world)
{
	struct world *w = *world;

	if (!w)
		return;
	if (w->witness) {
		kill(w->witness, SIGKILL);
		waitpid(w->witness, NULL, 0);
		close(w->witness_go);
	}
	remove_tree(w->root);
	munmap(w->shared, sizeof(*w->shared));
	uid_history_free(&w->history);
	free(w);
	*world = NULL;
}

struct script *world_plan(struct world *w, unsigned worker)
{
	struct script *s = &w->shared->scripts[worker];

	memset(s, 0, offsetof(struct script, ops));
	return s;
}

const struct snapshot *world_before(const struct world *w)
{
	return &w->shared->seen[w->now];
}

uint32_t world_ident(struct world *w)
{
	return w->next_ident++;
}

uint32_t world_pick(const struct world *w, const char *box, uint32_t most, uint32_t *idents)
{
	const struct snapshot *s = world_before(w);
	int b = snapshot_box(s, box);
	uint32_t n = 0;

	for (unsigned i = 0; i < s->message_count && n < most; i++)
		if (s->messages[i].box == b)
			idents[n++] = s->messages[i].ident;
	return n;
}

bool world_has(const struct world *w, const char *box)
{
	return snapshot_box(world_before(w), box) >= 0;
}

void world_new_boot(struct world *w)
{
	w->shared->boot++;
}

const char *world_root(const struct world *w)
{
	return w->root;
}

struct report *world_report(const struct world *w)
{
	return w->report;
}

/* --- processes ----------------------------------------------------------------------------------------------------------- */

/* Every child: its own boot id, a time limit, and a log that nobody sees unless it is asked for. */
static void become_child(struct world *w)
{
	const char *log = getenv("CRASH_LOG");
	int fd = open(log ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd >= 0) {
		dup2(fd, STDERR_FILENO);
		close(fd);
	}
	of_this_process = w->shared;
	mark_boot_id = boot_of_world;
	log_set_level(log ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
	alarm(HANGS_S);
}

/* A pid of -1 handed to kill(2) would mean everybody. */
static pid_t fork_or_end(void)
{
	fflush(stdout);
	pid_t pid = fork();

	if (pid < 0) {
		perror("crash_store: fork");
		exit(1);
	}
	return pid;
}

pid_t world_start(struct world *w, unsigned worker, bool traced, bool close_at_end)
{
	pid_t pid = fork_or_end();

	if (pid)
		return pid;
	become_child(w);
	if (traced)
		tracer_ready();
	script_run(&w->shared->scripts[worker], w->root, world_before(w), close_at_end);
	_exit(0);
}

static void look(struct world *w, int go)
{
	struct session session;
	struct snapshot *out = &w->shared->seen[!w->now];
	char c;

	out->is_complete = false;
	out->fault[0] = '\0';
	become_child(w);
	struct fault f = session_open(&session, w->root);
	for (unsigned i = 0; go >= 0 && !f.kind && i < ACCOUNTS; i++) {
		struct maildir_user *user;
		char tag[2] = { (char)('0' + i), '\0' };
		f = session_user(&session, tag, &user);
	}
	if (go >= 0 && read(go, &c, 1) != 1)
		_exit(0);
	if (f.kind)
		snprintf(out->fault, sizeof(out->fault), "%s: %s", fault_name(f.kind), f.detail ? f.detail : "");
	else
		snapshot_take(&session, world_before(w), out);
	/* Half of the time without goodbye: then marks stay, and the next one finds them. */
	if (out->is_complete && out->message_count % 2)
		session_close(&session);
	_exit(0);
}

void world_witness(struct world *w)
{
	int go[2];

	if (w->witness || pipe2(go, O_CLOEXEC))
		return;
	w->shared->seen[!w->now].is_complete = false;
	w->witness = fork_or_end();
	if (!w->witness) {
		close(go[1]);
		look(w, go[0]);
	}
	close(go[0]);
	w->witness_go = go[1];
}

static void take_look(struct world *w)
{
	pid_t pid = w->witness;
	int status = 0;

	w->shared->seen[!w->now].is_complete = false;
	if (pid) {
		(void)!write(w->witness_go, "g", 1);
		close(w->witness_go);
		w->witness = 0;
		w->witness_go = -1;
	} else {
		pid = fork_or_end();
		if (!pid)
			look(w, -1);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status)) {
		struct snapshot *out = &w->shared->seen[!w->now];
		out->is_complete = false;
		snprintf(out->fault, sizeof(out->fault), "reader ended by signal %d%s", WTERMSIG(status),
			 WTERMSIG(status) == SIGALRM ? " (it hangs)" : "");
	}
}

uint64_t world_look(struct world *w, unsigned workers, enum ending ending, int64_t cut_ms)
{
	struct model *m = model_new(world_before(w));
	struct snapshot *after = &w->shared->seen[!w->now];
	uint64_t had = report_breaches(w->report);

	take_look(w);
	for (unsigned i = 0; i < workers; i++)
		model_apply(m, &w->shared->scripts[i], ending, cut_ms, w->report);
	model_compare(m, after, ending, w->history, w->report);
	model_free(&m);
	if (after->is_complete)
		w->now = !w->now;
	return report_breaches(w->report) - had;
}

void world_first_look(struct world *w)
{
	waitpid(world_start(w, 0, false, true), NULL, 0);
	take_look(w);
	w->now = !w->now;
}

bool world_settle(struct world *w)
{
	struct script *s = &w->shared->scripts[0];
	pid_t pid = world_start(w, 0, false, true);
	int status;

	waitpid(pid, &status, 0);
	for (unsigned i = 0; i < s->count; i++)
		if (s->ops[i].state != STATE_DONE || s->ops[i].fault) {
			breach(w->report, STUCK, "undisturbed %s of %s: %s %s", op_names[s->ops[i].kind], s->ops[i].box,
			       s->ops[i].state != STATE_DONE ? "hangs or died" : fault_name(s->ops[i].fault), s->ops[i].detail);
			world_look(w, 1, ENDED_FAULTS, 0);
			return false;
		}
	return !world_look(w, 1, ENDED_WELL, 0);
}

/* --- damage ---------------------------------------------------------------------------------------------------------------- */

void world_each_account(const struct world *w, void (*fn)(const char *folder))
{
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		struct sv user, domain = sv_z(account_names[i]);
		char path[300];
		struct stat st;

		sv_split(&domain, '@', &user);
		snprintf(path, sizeof(path), "%s/mail/%.*s/%.*s", w->root, SV_FMT(domain), SV_FMT(user));
		if (!stat(path, &st))
			fn(path);
	}
}

static void delete_index(const char *folder)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/index", folder);
	remove_tree(path);
}

static void spoil_index(const char *folder)
{
	char path[320], junk[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/index/data.mdb", folder);
	memset(junk, 0xa5, sizeof(junk));
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return;
	for (off_t at = 0; at < 64 * 4096 && at < st.st_size; at += (off_t)sizeof(junk))
		(void)!pwrite(fd, junk, sizeof(junk), at);
	close(fd);
}

static void copy_index(const char *folder)
{
	char path[320], copy[330];

	snprintf(path, sizeof(path), "%s/index", folder);
	snprintf(copy, sizeof(copy), "%s/index.copy", folder);
	run_command("cp", "-a", path, copy, (char *)NULL);
	remove_tree(path);
	(void)!rename(copy, path);
}

void world_damage(struct world *w, enum damage how)
{
	char context[sizeof(w->report->context)];
	static const char *const names[DAMAGES] = { "deleted", "filled with junk", "of another boot", "a copy" };

	memcpy(context, w->report->context, sizeof(context));
	snprintf(w->report->context, sizeof(w->report->context), "%.120s, then the index was %s", context, names[how]);
	switch (how) {
	case DAMAGE_DELETED:    world_each_account(w, delete_index); break;
	case DAMAGE_GARBAGE:    world_each_account(w, spoil_index); break;
	case DAMAGE_BOOT:       world_new_boot(w); break;
	case DAMAGE_COPIED:     world_each_account(w, copy_index); break;
	case DAMAGES:           break;
	}
	world_look(w, 0, ENDED_REBUILT, 0);
	memcpy(w->report->context, context, sizeof(context));
}

/* --- the machine ----------------------------------------------------------------------------------------------------------- */

bool run_command(const char *program, ...)
{
	const char *argv[12] = { program };
	size_t n = 1;
	int status;
	va_list ap;

	va_start(ap, program);
	while (n < ARRAY_LEN(argv) - 1 && (argv[n] = va_arg(ap, const char *)))
		n++;
	va_end(ap);
	argv[n] = NULL;
	fflush(stdout);
	pid_t pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, STDOUT_FILENO);
		if (!getenv("CRASH_LOG"))
			dup2(null, STDERR_FILENO);
		execvp(program, (char **)(uintptr_t)argv);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

void remove_tree(const char *path)
{
	run_command("rm", "-rf", "--", path, (char *)NULL);
}
