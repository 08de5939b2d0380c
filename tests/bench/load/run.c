#include "tests/bench/load/run.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/memory.h"

#include "common/banned.h"

/* Beyond this share of the processor time it could have had, the generator may have been what was measured. */
#define BOTTLENECK_PERCENT 60

struct run {
	const struct options *opt;
	pthread_barrier_t start;
	atomic_ullong next;
	atomic_ullong deadline_us;
	void (*body)(struct worker *w);
};

uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void samples_add(struct samples *s, uint64_t us)
{
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 1024;
		s->us = xrealloc(s->us, s->cap * sizeof(*s->us));
	}
	s->us[s->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void samples_row(struct json_out *j, const char *name, struct samples *s)
{
	static const struct { const char *name; unsigned permille; } points[] = {
		{ "p50", 500 }, { "p95", 950 }, { "p99", 990 }, { "max", 1000 },
	};
	char key[48];

	if (!s->count)
		return;
	qsort(s->us, s->count, sizeof(*s->us), by_value);
	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		size_t at = (s->count - 1) * points[i].permille / 1000;
		snprintf(key, sizeof(key), "%s%s%s_us", name, *name ? "_" : "", points[i].name);
		json_out_u64(j, key, s->us[at]);
	}
}

static uint64_t own_cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Processor time that the whole machine has spent on anything: user, nice, system, irq, softirq (proc(5)). */
static uint64_t machine_cpu_us(void)
{
	unsigned long long user, nice, sys, idle, wait, irq, softirq;
	FILE *f = fopen("/proc/stat", "re");
	uint64_t ticks = 0;

	if (f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &sys, &idle, &wait, &irq,
			&softirq) == 7)
		ticks = user + nice + sys + irq + softirq;
	if (f)
		fclose(f);
	return ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

void meter_start(struct meter *m)
{
	m->own_us = own_cpu_us();
	m->machine_us = machine_cpu_us();
	m->wall_us = now_us();
}

void meter_row(struct json_out *j, const struct meter *m, uint32_t threads, bool *bottleneck)
{
	uint64_t wall = now_us() - m->wall_us, own = own_cpu_us() - m->own_us, machine = machine_cpu_us() - m->machine_us;
	uint64_t cores = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t could_have = wall * (threads < cores ? threads : cores);

	json_out_u64(j, "wall_us", wall);
	json_out_u64(j, "own_cpu_us", own);
	json_out_u64(j, "machine_cpu_us", machine);
	json_out_u64(j, "cores", cores);
	json_out_u64(j, "own_percent", could_have ? own * 100 / could_have : 0);
	/* A run shorter than some ticks of the accounting says nothing about shares. */
	*bottleneck = wall > 50000 && own * 100 > could_have * BOTTLENECK_PERCENT;
}

void row_begin(struct json_out *j, struct buf *b, const char *scenario)
{
	buf_init(b, 1 << 16);
	json_out_init(j, b);
	json_out_object(j, NULL);
	json_out_z(j, "scenario", scenario);
}

int row_end(struct json_out *j, const char *why)
{
	if (why)
		json_out_z(j, "invalid", why);
	json_out_object_end(j);
	printf("%.*s\n", SV_FMT(buf_sv(j->to)));
	fflush(stdout);
	buf_done(j->to);
	return why != NULL;
}

bool worker_next(struct worker *w, uint64_t *ticket)
{
	uint64_t n = atomic_fetch_add(&w->run->next, 1);

	if (n >= w->opt->count || now_us() > atomic_load(&w->run->deadline_us))
		return false;
	*ticket = n;
	return true;
}

void worker_done(struct worker *w, uint64_t started_us)
{
	samples_add(&w->whole, now_us() - started_us);
	w->done++;
}

void worker_failed(struct worker *w, const struct client *c)
{
	if (!w->errors++)
		snprintf(w->error, sizeof(w->error), "%s", c->error);
	/* A server that refuses everything is not to be asked a million times. */
	if (w->errors >= 20)
		atomic_store(&w->run->deadline_us, 0);
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	pthread_barrier_wait(&w->run->start);
	w->run->body(w);
	return NULL;
}

static void merge(struct samples *to, struct samples *from)
{
	for (size_t i = 0; i < from->count; i++)
		samples_add(to, from->us[i]);
	free(from->us);
}

int run_threads(const struct options *opt, uint32_t threads, void (*body)(struct worker *w), const char *unit)
{
	struct run run = { .opt = opt, .body = body };
	struct worker *workers = xcalloc(threads, sizeof(*workers));
	struct worker all = { 0 };
	struct meter meter;
	struct json_out j;
	struct buf line;
	bool bottleneck;

	pthread_barrier_init(&run.start, NULL, threads + 1);
	atomic_store(&run.deadline_us, UINT64_MAX);
	for (uint32_t i = 0; i < threads; i++) {
		workers[i] = (struct worker){ .run = &run, .opt = opt, .number = i };
		if (pthread_create(&workers[i].thread, NULL, thread_main, &workers[i]) != 0)
			abort();
	}
	meter_start(&meter);
	atomic_store(&run.deadline_us, meter.wall_us + opt->seconds * UINT64_C(1000000));
	pthread_barrier_wait(&run.start);
	for (uint32_t i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	row_begin(&j, &line, opt->name);
	meter_row(&j, &meter, threads, &bottleneck);
	uint64_t wall = now_us() - meter.wall_us;

	for (uint32_t i = 0; i < threads; i++) {
		struct worker *w = &workers[i];
		all.done += w->done;
		all.units += w->units;
		all.octets += w->octets;
		if (w->errors && !all.errors)
			snprintf(all.error, sizeof(all.error), "%s", w->error);
		all.errors += w->errors;
		merge(&all.whole, &w->whole);
		merge(&all.part, &w->part);
		merge(&all.rest, &w->rest);
	}
	json_out_u64(&j, "connections", threads);
	json_out_u64(&j, "ops", all.done);
	json_out_u64(&j, "per_1000_s", wall ? all.done * UINT64_C(1000000000) / wall : 0);
	if (unit) {
		json_out_z(&j, "unit", unit);
		json_out_u64(&j, "units", all.units);
		json_out_u64(&j, "units_per_1000_s", wall ? all.units * UINT64_C(1000000000) / wall : 0);
	}
	json_out_u64(&j, "octets", all.octets);
	samples_row(&j, "", &all.whole);
	samples_row(&j, "part", &all.part);
	samples_row(&j, "rest", &all.rest);
	json_out_u64(&j, "errors", all.errors);
	if (all.errors)
		json_out_z(&j, "error", all.error);
	free(all.whole.us);
	free(all.part.us);
	free(all.rest.us);
	free(workers);
	pthread_barrier_destroy(&run.start);
	return row_end(&j, all.errors ? "errors" : !all.done ? "nothing was done" :
		       bottleneck && !opt->is_limit ? "the generator was the bottleneck" : NULL);
}
