#include "admin/rounds.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <uv.h>

#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

#define SOONEST_MS 5000                 /* after the server has started, or a look that failed */
#define AGAIN_MS 3600000                /* looked at least so often whether it is time: clocks are set, machines sleep */

struct rounds {
	struct timer timer;
	struct loop *loop;
	const char *root;
	uv_process_t *process;          /* under way; its memory lives until its close callback */
};

uint64_t rounds_wait_ms(int64_t now_s, int64_t looked_s, uint64_t every_ms)
{
	uint64_t since_ms = now_s > looked_s ? (uint64_t)(now_s - looked_s) * 1000 : 0;

	return since_ms + SOONEST_MS >= every_ms ? SOONEST_MS : every_ms - since_ms;
}

static int64_t time_of(const char *root, const char *name)
{
	char path[4200];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/%s", root, name) >= (int)sizeof(path) || stat(path, &st) != 0)
		return 0;
	return (int64_t)st.st_mtime;
}

static void plan_next(struct rounds *r)
{
	int64_t looked_s = time_of(r->root, ROUNDS_STAMP);
	uint64_t wait_ms = rounds_wait_ms((int64_t)time(NULL), looked_s ? looked_s : time_of(r->root, "format"), ROUNDS_EVERY_MS);

	timer_start_ms(&r->timer, wait_ms < AGAIN_MS ? wait_ms : AGAIN_MS);
}

static void free_process(uv_handle_t *handle)
{
	free(handle);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal_number)
{
	struct rounds *r = process->data;

	log_info(NULL, "serve.doctor.end", KV_I64("status", signal_number ? -signal_number : status));
	uv_close((uv_handle_t *)process, free_process);
	if (!r)
		return;
	r->process = NULL;
	/* One that could not even leave its stamp is not tried each second. */
	if (rounds_wait_ms((int64_t)time(NULL), time_of(r->root, ROUNDS_STAMP), ROUNDS_EVERY_MS) <= SOONEST_MS)
		timer_start_ms(&r->timer, AGAIN_MS);
	else
		plan_next(r);
}

static void look(struct rounds *r)
{
	char program[] = "/proc/self/exe", *argv[] = { program, (char[]){ "--root" }, xstrdup(r->root), (char[]){ "doctor" },
						       (char[]){ "--mail" }, NULL };
	uv_stdio_container_t io[3] = { { .flags = UV_IGNORE }, { .flags = UV_IGNORE }, { .flags = UV_INHERIT_FD, .data.fd = 2 } };
	uv_process_options_t options = { .exit_cb = on_exit_of, .file = program, .args = argv, .stdio = io, .stdio_count = 3 };

	r->process = xcalloc(1, sizeof(*r->process));
	int e = uv_spawn(loop_uv(r->loop), r->process, &options);

	r->process->data = r;
	if (e) {
		log_warn(NULL, "serve.doctor.failed", KV_Z("error", uv_strerror(e)));
		uv_close((uv_handle_t *)r->process, free_process);
		r->process = NULL;
		timer_start_ms(&r->timer, AGAIN_MS);
	} else {
		log_info(NULL, "serve.doctor.start", KV_I64("child", r->process->pid));
	}
	free(argv[2]);
}

static void on_timer(struct timer *t)
{
	struct rounds *r = CONTAINER_OF(t, struct rounds, timer);
	int64_t looked_s = time_of(r->root, ROUNDS_STAMP);

	if (rounds_wait_ms((int64_t)time(NULL), looked_s ? looked_s : time_of(r->root, "format"), ROUNDS_EVERY_MS) <= SOONEST_MS)
		look(r);
	else
		plan_next(r);
}

struct rounds *rounds_start(struct loop *loop, const char *root)
{
	struct rounds *r = xcalloc(1, sizeof(*r));

	r->loop = loop;
	r->root = root;
	timer_init(&r->timer, loop, on_timer);
	plan_next(r);
	return r;
}

int rounds_pid(const struct rounds *rounds)
{
	return rounds && rounds->process ? rounds->process->pid : 0;
}

void rounds_stop(struct rounds **rounds)
{
	struct rounds *r = *rounds;

	if (!r)
		return;
	timer_stop(&r->timer);
	if (r->process) {
		r->process->data = NULL;
		uv_process_kill(r->process, SIGTERM);
		uv_close((uv_handle_t *)r->process, free_process);
	}
	free(r);
	*rounds = NULL;
}
