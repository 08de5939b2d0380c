/* The sandbox: a process inside can do its work and nothing else. Each case runs in a child, since
 * there is no way out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/sandbox.h"
#include "common/sandbox_private.h"

#include "common/banned.h"

static char inside[64], outside[64];
static bool has_landlock;

static char *in_folder(const char *folder, const char *name)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void put_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	close(fd);
}

/* Runs in the child. Says where it failed. */
#define NEED(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			dprintf(2, "%s:%d: %s (errno %s)\n", __FILE__, __LINE__, #x,               \
				strerrorname_np(errno));                                           \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void run_in_child(void (*f)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void enter(void)
{
	const struct sandbox_path paths[] = {
		{ inside, SANDBOX_READ | SANDBOX_WRITE }, { "/nonexistent/folder", SANDBOX_READ },
	};
	struct fault f = sandbox_enter(
		&(struct sandbox_rules){ .paths = paths, .path_count = ARRAY_LEN(paths) });

	if (f.kind)
		dprintf(2, "sandbox: %s\n", f.detail);
	NEED(f.kind == FAULT_NONE);
}

static bool fails(long result, int with)
{
	return result == -1 && errno == with;
}

static void do_the_work(void)
{
	int fd;
	char text[4];

	enter();
	NEED(mkdir(in_folder(inside, "tmp"), 0700) == 0);
	NEED(mkdir(in_folder(inside, "cur"), 0700) == 0);
	NEED((fd = open(in_folder(inside, "tmp/1"), O_RDWR | O_CREAT | O_EXCL, 0600)) >= 0);
	NEED(write(fd, "mail", 4) == 4);
	NEED(fdatasync(fd) == 0);
	NEED(ftruncate(fd, 4) == 0);
	NEED(pread(fd, text, 4, 0) == 4);
	NEED(close(fd) == 0);
	NEED(link(in_folder(inside, "tmp/1"), in_folder(inside, "cur/2")) == 0);
	NEED(renameat2(AT_FDCWD, in_folder(inside, "tmp/1"), AT_FDCWD, in_folder(inside, "cur/1"),
		       0) == 0);
	NEED(symlink("boot", in_folder(inside, "dirty")) == 0);
	NEED(unlink(in_folder(inside, "dirty")) == 0);
	NEED(unlink(in_folder(inside, "cur/1")) == 0);
	NEED(unlink(in_folder(inside, "cur/2")) == 0);
	NEED((fd = open(inside, O_RDONLY | O_DIRECTORY)) >= 0);
	NEED(fsync(fd) == 0);
	close(fd);
	NEED(rmdir(in_folder(inside, "tmp")) == 0);
	NEED(rmdir(in_folder(inside, "cur")) == 0);
	NEED(setpriority(PRIO_PROCESS, 0, 19) == 0);
	NEED(fails(setpriority(PRIO_PROCESS, (id_t)getppid(), 19), ENOSYS));
	NEED((fd = open("/dev/urandom", O_RDONLY)) >= 0);
	NEED((fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY)) >= 0);
}

static void work_inside_goes_on(void **state)
{
	(void)state;
	run_in_child(do_the_work);
}

static void touch_the_outside(void)
{
	enter();
	NEED(fails(open(in_folder(outside, "file"), O_RDONLY), EACCES));
	NEED(fails(open(in_folder(outside, "file"), O_WRONLY), EACCES));
	NEED(fails(open(in_folder(outside, "new"), O_WRONLY | O_CREAT, 0600), EACCES));
	NEED(fails(unlink(in_folder(outside, "file")), EACCES));
	NEED(fails(open("/etc/passwd", O_RDONLY), EACCES));
	NEED(fails(open("/root", O_RDONLY | O_DIRECTORY), EACCES));
	NEED(fails(mkdir(in_folder(outside, "d"), 0700), EACCES));
	NEED(link(in_folder(outside, "file"), in_folder(inside, "stolen")) == -1);
	NEED(rename(in_folder(outside, "file"), in_folder(inside, "stolen")) == -1);
	NEED(truncate(in_folder(outside, "file"), 0) == -1);
}

static void files_outside_are_out_of_reach(void **state)
{
	(void)state;
	if (!has_landlock)
		skip();
	run_in_child(touch_the_outside);
}

static void *thread(void *arg)
{
	int fd = open(in_folder(outside, "file"), O_RDONLY);

	*(bool *)arg = !has_landlock || (fd < 0 && errno == EACCES);
	return NULL;
}

static void call_what_is_refused(void)
{
	static char *const argv[] = { (char *)(uintptr_t)"true", NULL };
	struct sockaddr_in any = { .sin_family = AF_INET };
	int unbound = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t t;
	bool confined = false;

	NEED(unbound >= 0);
	enter();
	NEED(fails(execve("/bin/true", argv, argv), EPERM));
	NEED(fails(bind(unbound, (const struct sockaddr *)&any, sizeof(any)), EPERM));
	NEED(fails(listen(unbound, 1), EPERM));
	NEED(fails(chroot("/"), EPERM));
	NEED(fails(setuid(0), EPERM));
	NEED(fails(syscall(SYS_unshare, 0), EPERM));
	NEED(fails(syscall(SYS_keyctl, 0, 0, 0, 0, 0), EPERM));
	NEED(fails(syscall(SYS_process_vm_writev, getpid(), NULL, 0, NULL, 0, 0), EPERM));
	NEED(fails(syscall(SYS_io_uring_setup, 1, NULL), ENOSYS));
	if (!SANITIZED) {
		NEED(fails(socket(AF_INET, SOCK_STREAM, 0), EPERM));
		NEED(fails(ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM));
		NEED(fails(syscall(SYS_kill, getppid(), 0), EPERM));
		NEED(fork() == -1);
	}
	NEED(pthread_create(&t, NULL, thread, &confined) == 0);
	NEED(pthread_join(t, NULL) == 0);
	NEED(confined);
}

static void other_programs_processes_and_sockets_are_refused(void **state)
{
	(void)state;
	run_in_child(call_what_is_refused);
}

static void *wait_for_ever(void *arg)
{
	pause();
	return arg;
}

static void enter_with_a_thread(void)
{
	pthread_t t;

	NEED(pthread_create(&t, NULL, wait_for_ever, NULL) == 0);
	NEED(sandbox_enter(&(struct sandbox_rules){ .paths = NULL }).kind == FAULT_INTERNAL);
}

/* A port of loopback that listens; the socket stays open. */
static uint16_t listening_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	NEED(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 5) == 0);
	NEED(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	return ntohs(at.sin_port);
}

static bool connects(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool ok;

	NEED(fd >= 0);
	ok = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
	NEED(ok || errno == EACCES);
	close(fd);
	return ok;
}

static void connect_to_one_port(void)
{
	uint16_t ports[] = { listening_port() }, other = listening_port();
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd;

	NEED(sandbox_enter(&(struct sandbox_rules){ .connect_ports = ports,
						    .connect_port_count = 1 }).kind == FAULT_NONE);
	NEED(connects(ports[0]));
	NEED(!has_landlock || syscall(444, NULL, 0, 1u) < 4 || !connects(other));
	NEED((fd = socket(AF_INET, SOCK_DGRAM, 0)) >= 0); /* a resolver's */
	NEED(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0);
	NEED(socket(AF_PACKET, SOCK_RAW, 0) == -1);
	NEED(socket(AF_NETLINK, SOCK_RAW, 0) == -1);
}

static void only_the_ports_that_are_named_can_be_connected_to(void **state)
{
	(void)state;
	run_in_child(connect_to_one_port);
}

static void a_process_with_threads_is_not_let_in(void **state)
{
	(void)state;
	run_in_child(enter_with_a_thread);
}

static void be_a_master(void)
{
	static char *const argv[] = { (char *)(uintptr_t)"true", NULL };
	const struct sandbox_path paths[] = {
		{ "/", SANDBOX_READ | SANDBOX_EXECUTE }, { inside, SANDBOX_READ | SANDBOX_WRITE },
	};
	int fd;

	NEED(sandbox_enter(&(struct sandbox_rules){
				   .paths = paths, .path_count = 2, .may_execute = true })
		     .kind == FAULT_NONE);
	NEED((fd = open("/etc/passwd", O_RDONLY)) >= 0);
	close(fd);
	NEED((fd = open(in_folder(inside, "m"), O_WRONLY | O_CREAT, 0600)) >= 0);
	close(fd);
	NEED(unlink(in_folder(inside, "m")) == 0);
	if (has_landlock)
		NEED(fails(open(in_folder(outside, "file"), O_WRONLY), EACCES));
	execv("/bin/true", argv);
	NEED(!"executed");
}

static void a_master_writes_inside_only_and_executes(void **state)
{
	(void)state;
	run_in_child(be_a_master);
}

static void look_at_facts(void)
{
	struct sandbox_layer layers[SANDBOX_LAYERS];
	struct buf text;
	struct json_out j;

	sandbox_facts(layers);
	NEED(!layers[1].active && !layers[2].active);
	enter();
	sandbox_facts(layers);
	NEED(layers[0].active && layers[2].active && layers[4].active);
	NEED(layers[1].active == has_landlock);
	buf_init(&text, 4096);
	json_out_init(&j, &text);
	json_out_object(&j, NULL);
	sandbox_facts_json(&j, "sandbox");
	json_out_object_end(&j);
	NEED(sv_search(buf_sv(&text), SV("{\"layer\":\"seccomp\",\"active\":true,")) != SIZE_MAX);
	buf_done(&text);
}

static void facts_say_what_is_active(void **state)
{
	(void)state;
	run_in_child(look_at_facts);
}

static void stay_user_0(void)
{
	const char *how = NULL;

	NEED(privilege_drop("", inside, &how).kind == FAULT_NONE);
	NEED(strstr(how, "every capability dropped"));
	NEED(geteuid() == 0);
	NEED(privilege_has_none());
	NEED(fails(open(in_folder(outside, "theirs"), O_RDONLY),
		   EACCES)); /* mode 0600 of another user */
	NEED(setuid(65534) == -1);
}

static void become_the_owner(void)
{
	const char *how = NULL;

	NEED(privilege_drop("", in_folder(outside, "folder"), &how).kind == FAULT_NONE);
	NEED(getuid() == 65534 && geteuid() == 65534 && getgid() == 65534);
	NEED(getgroups(0, NULL) <= 1);
	NEED(setuid(0) == -1);
	NEED(privilege_has_none());
	NEED(privilege_drop("", inside, &how).kind ==
	     FAULT_NONE); /* no root: nothing more to give up */
}

static void become_nobody(void)
{
	const char *how = NULL;

	NEED(privilege_drop("no-such-user-here", inside, &how).kind == FAULT_NOT_FOUND);
	NEED(privilege_drop("nobody", inside, &how).kind == FAULT_NONE);
	NEED(strstr(how, "user nobody (uid 65534)"));
	NEED(geteuid() == 65534);
}

static int bind_port(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), result = bind(fd, (struct sockaddr *)&at, sizeof(at));
	int error = errno;

	close(fd);
	errno = error;
	return result;
}

static void become_the_owner_who_opens_ports(void)
{
	const char *how = NULL;

	/* A network of our own, where no port is taken and no other rule is set. */
	if (unshare(CLONE_NEWNET) != 0)
		return;
	NEED(privilege_become(65534, 65534).kind == FAULT_NONE);
	NEED(getuid() == 65534 && geteuid() == 65534 && getgid() == 65534);
	NEED(setuid(0) == -1);
	NEED(bind_port(25) == 0);
	/* Also a program that is executed. */
	NEED(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0) == 1);
	NEED(privilege_drop("", inside, &how).kind == FAULT_NONE);
	NEED(privilege_has_none());
	NEED(fails(bind_port(26), EACCES));
}

static void root_ends_as_the_owner_of_the_instance(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	run_in_child(stay_user_0);
	run_in_child(become_the_owner);
	run_in_child(become_nobody);
	run_in_child(become_the_owner_who_opens_ports);
}

static void raise_files(void)
{
	uint64_t had = open_files_raise(300);

	NEED(had >= 300 || geteuid() != 0);
	NEED(open_files_raise(16) >= had);      /* never lowered */
}

static void open_files_are_raised_never_lowered(void **state)
{
	(void)state;
	run_in_child(raise_files);
}

static int set_up(void **state)
{
	(void)state;

	snprintf(inside, sizeof(inside), "/tmp/postroom-inside-XXXXXX");
	snprintf(outside, sizeof(outside), "/tmp/postroom-outside-XXXXXX");
	if (!mkdtemp(inside) || !mkdtemp(outside))
		return -1;
	put_file(in_folder(outside, "file"));
	put_file(in_folder(outside, "theirs"));
	if (mkdir(in_folder(outside, "folder"), 0700) != 0)
		return -1;
	if (geteuid() == 0 && (chown(in_folder(outside, "theirs"), 65534, 65534) != 0 ||
	                       chown(in_folder(outside, "folder"), 65534, 65534) != 0))
		return -1;
	/* Older kernels skip what they cannot do. */
	has_landlock = syscall(444, NULL, 0, 1u) >= 2;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(in_folder(outside, "file"));
	unlink(in_folder(outside, "theirs"));
	rmdir(in_folder(outside, "folder"));
	return rmdir(inside) | rmdir(outside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_inside_goes_on),
		cmocka_unit_test(files_outside_are_out_of_reach),
		cmocka_unit_test(other_programs_processes_and_sockets_are_refused),
		cmocka_unit_test(only_the_ports_that_are_named_can_be_connected_to),
		cmocka_unit_test(a_process_with_threads_is_not_let_in),
		cmocka_unit_test(a_master_writes_inside_only_and_executes),
		cmocka_unit_test(facts_say_what_is_active),
		cmocka_unit_test(root_ends_as_the_owner_of_the_instance),
		cmocka_unit_test(open_files_are_raised_never_lowered),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
