/* common/sandbox_private.h - the parts of the sandbox: sandbox_privilege.c, sandbox_landlock.c and
 * sandbox_seccomp.c do one layer each, sandbox.c puts them in order and tries whether they hold. */
#ifndef COMMON_SANDBOX_PRIVATE_H
#define COMMON_SANDBOX_PRIVATE_H

#include "common/sandbox.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/** landlock_enter - *active is false, with a reason in detail, when the kernel cannot. */
MUST_CHECK struct fault landlock_enter(const struct sandbox_rules *rules, bool *active,
				       char detail[static 96]);
/** seccomp_enter - has_network: new sockets may be made and connected. */
MUST_CHECK struct fault seccomp_enter(bool has_network, bool *active, char detail[static 96]);
/** sandbox_has_network - may anything be connected to? */
static inline bool sandbox_has_network(const struct sandbox_rules *rules)
{
	return rules->may_connect || rules->connect_port_count;
}
/** privilege_has_none - are all capability sets empty? */
bool privilege_has_none(void);
bool core_dumps_are_off(void);

#endif
