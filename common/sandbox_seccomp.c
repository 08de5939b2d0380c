/* The system calls a worker may make. The only file that sees libseccomp.
 *
 * What stands in no list gets ENOSYS: a newer libc tries newer calls and falls back on that, so an
 * upgrade of the system does not end the mail. What only an attacker would try (another program,
 * another process's memory, the kernel's keys) gets EPERM. Neither is death: killing the process
 * would give whoever finds such a call a way to end everybody's sessions. */
#include <errno.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/sandbox_private.h"

#include "common/banned.h"

static const char *const allowed[] = {
	/* files that are open */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2",
	"pwritev2", "lseek", "_llseek", "close", "close_range", "fstat", "fstat64", "fsync",
	"fdatasync", "syncfs", "sync_file_range", "fallocate", "ftruncate", "ftruncate64",
	"fadvise64", "fadvise64_64", "readahead", "flock", "fcntl", "fcntl64", "dup", "dup2",
	"dup3", "fchmod", "fchown", "fstatfs", "fstatfs64", "copy_file_range", "sendfile",
	"sendfile64", "getdents", "getdents64", "splice",
	/* files by name: Landlock says which */
	"open", "openat", "openat2", "stat", "stat64", "lstat", "lstat64", "newfstatat",
	"fstatat64", "statx", "statfs", "statfs64", "access", "faccessat", "faccessat2", "mkdir",
	"mkdirat", "rmdir", "rename", "renameat", "renameat2", "link", "linkat", "unlink",
	"unlinkat", "symlink", "symlinkat", "readlink", "readlinkat", "chmod", "fchmodat",
	"fchmodat2", "truncate", "truncate64", "utimes", "utimensat", "utimensat_time64",
	"futimesat", "umask", "getcwd", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	/* sockets that are open, and those that are accepted */
	"accept", "accept4", "getsockname", "getpeername", "getsockopt", "setsockopt", "recvfrom",
	"recvmsg", "recvmmsg", "recv", "sendto", "sendmsg", "sendmmsg", "send", "shutdown",
	"socketpair", "pipe", "pipe2", "eventfd2", "eventfd",
	/* waiting */
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_wait", "epoll_pwait",
	"epoll_pwait2", "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6",
	"pselect6_time64", "nanosleep", "clock_nanosleep", "clock_nanosleep_time64",
	"timerfd_create", "timerfd_settime", "timerfd_gettime", "pause", "sched_yield",
	"restart_syscall",
	/* memory and threads */
	"brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "msync", "mlock",
	"mlock2", "munlock", "mincore", "membarrier", "futex", "futex_time64", "futex_waitv",
	"set_robust_list", "get_robust_list", "set_tid_address", "rseq", "gettid", "arch_prctl",
	"set_thread_area", "get_thread_area", "sched_getaffinity", "getcpu", "exit", "exit_group",
	"getpriority", "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
	"rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_sigsuspend", "sigaltstack", "sigreturn",
	"signalfd4",
	/* facts */
	"clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "gettimeofday",
	"time", "getrandom", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid",
	"getuid32", "geteuid32", "getgid32", "getegid32", "getresuid", "getresgid", "getgroups",
	"getpgrp", "getpgid", "getsid", "uname", "sysinfo", "getrusage", "getrlimit", "ugetrlimit",
	"times", "capget",
#if SANITIZED
	/* The leak check stops its own threads from a process that shares their memory. */
	"clone", "clone3", "ptrace", "wait4", "waitpid", "waitid", "kill", "tkill", "prctl",
	"prlimit64", "sched_getscheduler", "sched_getparam", "sched_setscheduler",
	"process_vm_readv", "personality",
#endif
};

/* Refused by name, so that an audit log shows them apart from what a newer libc tries. */
static const char *const refused[] = {
	"execve", "execveat", "fork", "vfork", "mount", "umount2", "move_mount", "open_tree",
	"fsopen", "fsmount", "pivot_root", "chroot", "unshare", "setns", "bpf", "perf_event_open",
	"userfaultfd", "keyctl", "add_key", "request_key", "kexec_load", "kexec_file_load",
	"init_module", "finit_module", "delete_module", "process_vm_writev", "pidfd_getfd",
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "capset",
	"swapon", "swapoff", "reboot", "sethostname", "setdomainname", "settimeofday",
	"clock_settime", "clock_adjtime", "adjtimex", "mknod", "mknodat", "name_to_handle_at",
	"open_by_handle_at", "quotactl", "acct", "syslog", "ioperm", "iopl", "listen",
#if !SANITIZED
	"ptrace", "process_vm_readv", "kill", "tkill", "personality",
#endif
};

/* For those who ask others: the resolver, the relay, a filter's client. bind() gives UDP a random
 * port; TCP ports are Landlock's. */
static const char *const network[] = { "socket", "connect", "bind" };

static bool add_names(scmp_filter_ctx filter, uint32_t action, const char *const *names,
		      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);

		/* A name that this library or this processor does not know cannot be called by its
		 * number either way. */
		if (number != __NR_SCMP_ERROR && number >= 0 &&
		    seccomp_rule_add(filter, action, number, 0) != 0)
			return false;
	}
	return true;
}

static struct scmp_arg_cmp arg_is(unsigned arg, uint64_t value)
{
	return (struct scmp_arg_cmp){ .arg = arg, .op = SCMP_CMP_EQ, .datum_a = value };
}

/* The bits of mask are as in value. */
static struct scmp_arg_cmp arg_has(unsigned arg, uint64_t mask, uint64_t value)
{
	return (struct scmp_arg_cmp){
		.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value
	};
}

/* add_network - sockets of IPv4, IPv6 and unix, nothing raw and none of the kernel's. */
static bool add_network(scmp_filter_ctx filter, bool has_network)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6 };
	bool ok = true;

	if (!has_network && SANITIZED) /* the leak check asks nobody, but its libraries may */
		return add_names(filter, SCMP_ACT_ALLOW, network, 2) &&
		       add_names(filter, SCMP_ACT_ERRNO(EPERM), network + 2, 1);
	if (!has_network)
		return add_names(filter, SCMP_ACT_ERRNO(EPERM), network, ARRAY_LEN(network));
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
					    arg_is(0, (uint64_t)families[i])) == 0;
	return ok && add_names(filter, SCMP_ACT_ALLOW, network + 1, 2);
}

/* Calls that are fine with some arguments only. */
static bool add_conditions(scmp_filter_ctx filter)
{
	static const uint32_t ioctls[] = { FIONREAD, FIONBIO,    FIOCLEX, FIONCLEX,
					   TCGETS,   TIOCGWINSZ, FICLONE };
	static const int prctls[] = { PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_SECCOMP,
				      PR_GET_NO_NEW_PRIVS };
	bool ok = true;

	for (size_t i = 0; i < ARRAY_LEN(ioctls); i++)
		ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
		                            arg_has(1, UINT32_MAX, ioctls[i])) == 0;
	/* The priority of a thread of ours, by itself. */
	ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setpriority), 2, arg_is(0, PRIO_PROCESS),
				    arg_is(1, 0)) == 0;
	if (SANITIZED)
		return ok;
	for (size_t i = 0; i < ARRAY_LEN(prctls); i++)
		ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
		                            arg_is(0, (uint64_t)prctls[i])) == 0;
	/* A thread of ours, not a process. clone3() hides its flags in memory: ENOSYS, and libc
	 * takes clone(). */
	ok = ok &&
	     seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			      arg_has(0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM)) == 0;
	/* Limits of our own may be read, not changed. */
	ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, arg_is(0, 0),
				    arg_is(2, 0)) == 0;
	return ok;
}

struct fault seccomp_enter(bool has_network, bool *active, char detail[static 96])
{
	scmp_filter_ctx filter;
	struct fault f = FAULT_OK;
	int r;

	*active = false;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
		snprintf(detail, 96, "the kernel has none (CONFIG_SECCOMP_FILTER)");
		return FAULT_OK;
	}
	filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!filter)
		return fault(FAULT_INTERNAL, "seccomp: no memory");
	/* A binary tree instead of a list: some 8 comparisons for a call, not 200. Older libraries
	 * lack it. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!add_names(filter, SCMP_ACT_ALLOW, allowed, ARRAY_LEN(allowed)) ||
	    !add_names(filter, SCMP_ACT_ERRNO(EPERM), refused, ARRAY_LEN(refused)) ||
	    !add_network(filter, has_network) || !add_conditions(filter)) {
		f = fault(FAULT_INTERNAL, "seccomp: a rule was not accepted");
	} else {
		r = seccomp_load(filter);
		if (r == -EINVAL || r == -ENOSYS)
			snprintf(detail, 96, "the kernel has no filters (CONFIG_SECCOMP_FILTER)");
		else if (r != 0)
			f = fault_detail(FAULT_DENIED, "seccomp: %s", strerrordesc_np(-r));
		else
			*active = true;
	}
	seccomp_release(filter);
	if (*active)
		snprintf(detail, 96, "%zu system calls allowed%s%s", ARRAY_LEN(allowed),
			 has_network ? ", and to connect" : "",
			 SANITIZED ? ", wider for sanitizers" : "");
	return f;
}
