/* Giving up root, capabilities and core dumps. The only file that sees libcap. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/sandbox_private.h"

#include "common/banned.h"

void core_dumps_off(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	/* The leak check of a sanitized build attaches to its own process, which this forbids. */
	if (!SANITIZED)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

bool core_dumps_are_off(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0;
}

uint64_t open_files_raise(uint64_t want)
{
	struct rlimit limit, more;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 0;
	more = limit;
	if (more.rlim_max < want)
		more.rlim_max = want;   /* root may */
	if (more.rlim_cur < want)
		more.rlim_cur = want;
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return more.rlim_cur;
	more = limit;
	more.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
	if (more.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &more) == 0)
		return more.rlim_cur;
	return limit.rlim_cur;
}

bool privilege_has_none(void)
{
	cap_t now = cap_get_proc(), none = cap_init();
	bool same = now && none && cap_compare(now, none) == 0;

	cap_free(now);
	cap_free(none);
	return same;
}

/* Nothing in any set, and nothing that execve() of a file with capabilities or as user 0 could
 * bring back. */
static struct fault drop_capabilities(void)
{
	cap_t none;
	struct fault f = FAULT_OK;

	for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++)
		if (cap_get_bound(cap) == 1 && cap_drop_bound(cap) != 0 && geteuid() == 0)
			return fault(FAULT_DENIED,
				     "the bounding set of capabilities cannot be emptied");
	if (cap_reset_ambient() != 0 && errno != EINVAL && errno != ENOSYS)
		return fault(FAULT_DENIED, "the ambient capabilities cannot be emptied");
	none = cap_init();
	if (!none || cap_set_proc(none) != 0)
		f = fault(FAULT_DENIED, "the capabilities cannot be emptied");
	cap_free(none);
	if (!f.kind && !privilege_has_none())
		f = fault(FAULT_DENIED, "capabilities are left");
	return f;
}

static struct fault become(uid_t uid, gid_t gid, const char *name)
{
	if ((name ? initgroups(name, gid) : setgroups(0, NULL)) != 0)
		return fault_errno("set groups for user", name);
	if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
		return fault_errno("become user", name);
	if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
		return fault(FAULT_DENIED, "root was given up and came back");
	return FAULT_OK;
}

/* keep_ports - of what is permitted, ports alone, and so that execve() leaves it (capabilities(7): the ambient set). */
static bool keep_ports(void)
{
	const cap_value_t ports = CAP_NET_BIND_SERVICE;
	cap_t set = cap_init();
	bool done = set && cap_set_flag(set, CAP_PERMITTED, 1, &ports, CAP_SET) == 0 &&
		    cap_set_flag(set, CAP_EFFECTIVE, 1, &ports, CAP_SET) == 0 &&
		    cap_set_flag(set, CAP_INHERITABLE, 1, &ports, CAP_SET) == 0 && cap_set_proc(set) == 0 &&
		    cap_set_ambient(CAP_NET_BIND_SERVICE, CAP_SET) == 0;

	cap_free(set);
	return done;
}

struct fault privilege_become(uid_t uid, gid_t gid)
{
	const struct passwd *pw = getpwuid(uid);

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return fault_errno("keep capabilities as user", pw ? pw->pw_name : NULL);
	struct fault f = become(uid, gid, pw ? pw->pw_name : NULL);

	/* Where root itself may not open such ports, we need not, either: binding says so if it is wanted. */
	if (!f.kind && !keep_ports())
		f = drop_capabilities();
	return f;
}

void privilege_share_ports(void)
{
	cap_t now = geteuid() == 0 ? NULL : cap_get_proc();
	cap_flag_value_t may = CAP_CLEAR;

	if (now && cap_get_flag(now, CAP_NET_BIND_SERVICE, CAP_PERMITTED, &may) == 0 && may == CAP_SET)
		(void)keep_ports();
	cap_free(now);
}

struct fault privilege_drop(const char *user, const char *root, const char **how)
{
	static char text[128];
	struct passwd *pw = NULL;
	struct stat st;
	uid_t uid;
	gid_t gid;
	struct fault f;

	if (geteuid() != 0) {
		pw = getpwuid(geteuid());
		snprintf(text, sizeof(text), "user %s (uid %u), from its start", pw ? pw->pw_name : "-", (unsigned)geteuid());
		*how = text;
		return drop_capabilities();
	}
	if (user[0]) {
		pw = getpwnam(user);
		if (!pw)
			return fault_detail(FAULT_NOT_FOUND, "option user: there is no user %s",
					    user);
		uid = pw->pw_uid;
		gid = pw->pw_gid;
	} else {
		if (stat(root, &st) != 0)
			return fault_errno("look at", root);
		uid = st.st_uid;
		gid = st.st_gid;
		pw = getpwuid(uid);
	}
	if (uid == 0) {
		/* The instance is root's: its files need user 0, and nothing of what makes root
		 * more than an owner. */
		snprintf(text, sizeof(text),
			 "user 0, every capability dropped (%s belongs to root)",
			 user[0] ? "option user" : "the instance");
		*how = text;
		return drop_capabilities();
	}
	snprintf(text, sizeof(text), "user %.64s (uid %u)", pw ? pw->pw_name : "without a name",
		 (unsigned)uid);
	*how = text;
	/* The bounding set needs CAP_SETPCAP, so it goes first; setresuid() then clears the rest.
	 */
	for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++)
		if (cap != CAP_SETUID && cap != CAP_SETGID)
			cap_drop_bound(cap);
	f = become(uid, gid, pw ? pw->pw_name : NULL);
	return f.kind ? f : drop_capabilities();
}
