/* tests/crash/tracer.c - see tracer.h. */
#include "tests/crash/tracer.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#include "common/banned.h"

#if defined(__x86_64__)
static void skip_call(pid_t pid)
{
	ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), (void *)-1L);
}
static void set_result(pid_t pid, long result)
{
	ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), (void *)result);
}
#define HAVE_REWRITING 1
#elif defined(__aarch64__)
static void skip_call(pid_t pid)
{
	int none = -1;
	struct iovec v = { &none, sizeof(none) };

	ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &v);
}
static void set_result(pid_t pid, long result)
{
	struct user_regs_struct regs;
	struct iovec v = { &regs, sizeof(regs) };

	ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v);
	regs.regs[0] = (unsigned long)result;
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &v);
}
#define HAVE_REWRITING 1
#else
static void skip_call(pid_t pid)
{
	(void)pid;
}
static void set_result(pid_t pid, long result)
{
	(void)pid;
	(void)result;
}
#define HAVE_REWRITING 0
#endif

void tracer_ready(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
}

static int wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		;
	return status;
}

int tracer_run(pid_t pid, trace_fn *fn, void *arg)
{
	struct trace_stop stop = { .pid = pid };
	int status = wait_for(pid), signal = 0;
	bool is_faked = false;
	long result = 0;

	if (!WIFSTOPPED(status))
		return status;
	ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	for (;;) {
		struct __ptrace_syscall_info info;

		ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal);
		status = wait_for(pid);
		if (!WIFSTOPPED(status))
			return status;
		signal = WSTOPSIG(status);
		if (signal != (SIGTRAP | 0x80))
			continue;               /* a signal of its own: hand it on */
		signal = 0;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0)
			continue;
		stop.number++;
		stop.is_entry = info.op == PTRACE_SYSCALL_INFO_ENTRY;
		if (stop.is_entry) {
			stop.call = (long)info.entry.nr;
			for (int i = 0; i < 6; i++)
				stop.args[i] = info.entry.args[i];
		} else if (is_faked) {
			set_result(pid, result);
			is_faked = false;
		}
		switch (fn(arg, &stop, &result)) {
		case TRACE_GO:
			break;
		case TRACE_FAKE:
			skip_call(pid);
			is_faked = true;
			break;
		case TRACE_KILL:
			kill(pid, SIGKILL);
			return wait_for(pid);
		case TRACE_DETACH:
			ptrace(PTRACE_DETACH, pid, NULL, NULL);
			return wait_for(pid);
		}
	}
}

static enum trace_do fake_pid(void *arg, const struct trace_stop *stop, long *result)
{
	(void)arg;
	*result = 4711;
	return stop->is_entry && stop->call == SYS_getppid ? TRACE_FAKE : TRACE_GO;
}

bool tracer_works(void)
{
	if (!HAVE_REWRITING)
		return false;
	pid_t pid = fork();
	if (!pid) {
		tracer_ready();
		_exit(syscall(SYS_getppid) == 4711 ? 0 : 1);
	}
	return pid > 0 && tracer_run(pid, fake_pid, NULL) == 0;
}

static const struct {
	long call;
	enum call_class class;
	const char *name;
} calls[] = {
	{ SYS_write, CALL_WRITE, "write" }, { SYS_pwrite64, CALL_WRITE, "pwrite" },
	{ SYS_writev, CALL_WRITE, "writev" }, { SYS_pwritev, CALL_WRITE, "pwritev" },
	{ SYS_fsync, CALL_FLUSH, "fsync" }, { SYS_fdatasync, CALL_FLUSH, "fdatasync" },
	{ SYS_syncfs, CALL_FLUSH, "syncfs" }, { SYS_msync, CALL_FLUSH, "msync" },
	{ SYS_renameat2, CALL_NAME, "renameat2" }, { SYS_renameat, CALL_NAME, "renameat" },
	{ SYS_linkat, CALL_NAME, "linkat" }, { SYS_symlinkat, CALL_NAME, "symlinkat" },
	{ SYS_unlinkat, CALL_REMOVE, "unlinkat" },
	{ SYS_openat, CALL_OPEN, "openat" }, { SYS_openat2, CALL_OPEN, "openat2" },
	{ SYS_mkdirat, CALL_MKDIR, "mkdirat" },
	{ SYS_ftruncate, CALL_SPACE, "ftruncate" }, { SYS_fallocate, CALL_SPACE, "fallocate" },
#ifdef SYS_open         /* newer architectures have the ...at forms only */
	{ SYS_open, CALL_OPEN, "open" }, { SYS_rename, CALL_NAME, "rename" }, { SYS_link, CALL_NAME, "link" },
	{ SYS_unlink, CALL_REMOVE, "unlink" }, { SYS_rmdir, CALL_REMOVE, "rmdir" }, { SYS_mkdir, CALL_MKDIR, "mkdir" },
	{ SYS_symlink, CALL_NAME, "symlink" },
#endif
	{ SYS_mmap, CALL_OTHER, "mmap" }, { SYS_munmap, CALL_OTHER, "munmap" }, { SYS_close, CALL_OTHER, "close" },
	{ SYS_read, CALL_OTHER, "read" }, { SYS_flock, CALL_OTHER, "flock" }, { SYS_newfstatat, CALL_OTHER, "fstatat" },
	{ SYS_getdents64, CALL_OTHER, "getdents64" }, { SYS_fstat, CALL_OTHER, "fstat" }, { SYS_fcntl, CALL_OTHER, "fcntl" },
	{ SYS_futex, CALL_OTHER, "futex" }, { SYS_getrandom, CALL_OTHER, "getrandom" }, { SYS_statx, CALL_OTHER, "statx" },
	{ SYS_pread64, CALL_OTHER, "pread" }, { SYS_lseek, CALL_OTHER, "lseek" },
};

const char *tracer_name(long call)
{
	static char number[24];

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].call == call)
			return calls[i].name;
	snprintf(number, sizeof(number), "call-%ld", call);
	return number;
}

enum call_class tracer_class(long call)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].call == call)
			return calls[i].class;
	return CALL_OTHER;
}

void tracer_fd_path(pid_t pid, int fd, char *out, size_t cap)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)pid, fd);
	ssize_t n = readlink(link, out, cap - 1);
	out[n > 0 ? n : 0] = '\0';
}

void tracer_string(pid_t pid, uint64_t at, char *out, size_t cap)
{
	size_t n = 0;

	/* A page at a time would be faster; a word at a time never crosses into an unmapped page. */
	while (n + sizeof(long) < cap) {
		errno = 0;
		long word = ptrace(PTRACE_PEEKDATA, pid, (void *)(uintptr_t)(at + n), NULL);
		if (errno)
			break;
		memcpy(out + n, &word, sizeof(word));
		if (memchr(&word, 0, sizeof(word)))
			return;
		n += sizeof(word);
	}
	out[n] = '\0';
}
