/* Landlock by its system calls: the file system and TCP, narrowed to what the rules name. The
 * constants are ours, since the headers of a build machine may be older than the kernel that runs
 * the program (landlock(7), uapi/linux/landlock.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/sandbox_private.h"

#include "common/banned.h"

#define NR_landlock_create_ruleset 444
#define NR_landlock_add_rule 445
#define NR_landlock_restrict_self 446
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT 2

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_MAKE_FIFO = 1 << 10,
	FS_MAKE_BLOCK = 1 << 11,
	FS_MAKE_SYM = 1 << 12,
	FS_REFER = 1 << 13,             /* ABI 2 */
	FS_TRUNCATE = 1 << 14,          /* ABI 3 */
	FS_IOCTL_DEV = 1 << 15,         /* ABI 5 */
};
#define FS_OF_ABI_1 ((1u << 13) - 1)
/* What a rule on a file, not a folder, may name. */
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

#define NET_BIND_TCP (1u << 0)
#define NET_CONNECT_TCP (1u << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1u << 0)
#define SCOPE_SIGNAL (1u << 1)

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;    /* ABI 4 */
	uint64_t scoped;                /* ABI 6 */
};

struct path_beneath_attr {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

struct net_port_attr {
	uint64_t allowed_access;
	uint64_t port;
};

/* Older than this, files cannot be linked or renamed between folders at all, which delivery needs.
 */
#define ABI_MIN 2

/* What every program needs at some time: shared libraries and character sets are loaded when they
 * are first used. */
static const struct sandbox_path common_paths[] = {
	{ "/usr/lib", SANDBOX_READ },
	{ "/usr/lib64", SANDBOX_READ },
	{ "/lib", SANDBOX_READ },
	{ "/lib64", SANDBOX_READ },
	{ "/usr/local/lib", SANDBOX_READ },
	{ "/usr/share/zoneinfo", SANDBOX_READ },
	{ "/etc/localtime", SANDBOX_READ },
	{ "/etc/ld.so.cache", SANDBOX_READ },
	{ "/etc/ssl", SANDBOX_READ },
	{ "/etc/pki", SANDBOX_READ },
	{ "/dev/random", SANDBOX_READ },
	{ "/dev/urandom", SANDBOX_READ },
	{ "/dev/null", SANDBOX_READ | SANDBOX_WRITE },
	{ "/proc/sys/kernel/random", SANDBOX_READ },
	{ "/sys/devices/system/cpu", SANDBOX_READ },
#if SANITIZED
	{ "/proc", SANDBOX_READ | SANDBOX_WRITE }, /* maps for reports; tasks for the leak check */
	{ "/usr", SANDBOX_READ },
#endif
};

static uint64_t handled_fs(int abi)
{
	uint64_t handled = FS_OF_ABI_1 | FS_REFER;

	if (abi >= 3)
		handled |= FS_TRUNCATE;
	if (abi >= 5)
		handled |= FS_IOCTL_DEV;
	return handled;
}

static uint64_t rights_of(unsigned access)
{
	uint64_t rights = 0;

	if (access & SANDBOX_READ)
		rights |= FS_READ_FILE | FS_READ_DIR;
	if (access & SANDBOX_WRITE)
		rights |= FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR |
			  FS_MAKE_REG | FS_MAKE_SYM | FS_REFER | FS_TRUNCATE;
	if (access & SANDBOX_EXECUTE)
		rights |= FS_EXECUTE;
	return rights;
}

static struct fault allow_path(int ruleset, uint64_t handled, const struct sandbox_path *path)
{
	struct path_beneath_attr rule = { .allowed_access = rights_of(path->access) & handled };
	struct stat st;
	struct fault f = FAULT_OK;

	rule.parent_fd = open(path->path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? FAULT_OK :
		       fault_errno("open for the sandbox", path->path);
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_OF_FILES;
	if (syscall(NR_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0)
		f = fault_errno("landlock rule", path->path);
	close(rule.parent_fd);
	return f;
}

static int make_ruleset(int abi, bool may_connect)
{
	struct ruleset_attr attr = { .handled_access_fs = handled_fs(abi) };
	size_t size = sizeof(attr.handled_access_fs);

	if (abi >= 4) {
		/* No TCP port may be bound. */
		attr.handled_access_net = NET_BIND_TCP | (may_connect ? 0 : NET_CONNECT_TCP);
		size += sizeof(attr.handled_access_net);
	}
	if (abi >= 6) {
		attr.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
		size += sizeof(attr.scoped);
	}
	return (int)syscall(NR_landlock_create_ruleset, &attr, size, 0);
}

static struct fault allow_port(int ruleset, uint16_t port)
{
	struct net_port_attr rule = { .allowed_access = NET_CONNECT_TCP, .port = port };

	if (syscall(NR_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) != 0)
		return fault_errno("landlock rule", "port");
	return FAULT_OK;
}

struct fault landlock_enter(const struct sandbox_rules *rules, bool *active, char detail[static 96])
{
	int abi = (int)syscall(NR_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	int ruleset;
	struct fault f = FAULT_OK;

	*active = false;
	if (abi < 0) {
		snprintf(detail, 96, "%s",
			 errno == EOPNOTSUPP ? "the kernel has it switched off (boot option lsm=)"
					     : "the kernel has none (5.13 is the first)");
		return FAULT_OK;
	}
	if (abi < ABI_MIN) {
		snprintf(detail, 96,
			 "the kernel's is too old for links between folders (5.19 is the first)");
		return FAULT_OK;
	}
	ruleset = make_ruleset(abi, rules->may_connect);
	if (ruleset < 0)
		return fault_errno("landlock", "ruleset");
	for (size_t i = 0; !f.kind && i < ARRAY_LEN(common_paths); i++)
		f = allow_path(ruleset, handled_fs(abi), &common_paths[i]);
	for (size_t i = 0; !f.kind && i < rules->path_count; i++)
		f = allow_path(ruleset, handled_fs(abi), &rules->paths[i]);
	for (size_t i = 0; !f.kind && abi >= 4 && !rules->may_connect && i < rules->connect_port_count;
	     i++)
		f = allow_port(ruleset, rules->connect_ports[i]);
	if (!f.kind && syscall(NR_landlock_restrict_self, ruleset, 0) != 0)
		f = fault_errno("landlock", "restrict");
	close(ruleset);
	if (f.kind)
		return f;
	snprintf(detail, 96, "ABI %d: files%s%s", abi, abi >= 4 ? ", TCP" : "",
		 abi >= 6 ? ", signals" : "");
	*active = true;
	return FAULT_OK;
}
