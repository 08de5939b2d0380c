#include "smtpd/space.h"

#include <stdlib.h>
#include <sys/statvfs.h>

#include "common/memory.h"

#include "common/banned.h"

/* It owns copies: the daemon may end while a dead disk holds it. */
struct space_job {
	struct work work;
	struct space *owner;            /* NULL: nobody wants to know any more */
	char *paths[SPACE_PLACES];
	struct space_place places[SPACE_PLACES];
};

static void look(struct space_job *job)
{
	for (size_t i = 0; i < SPACE_PLACES; i++) {
		struct statvfs st;

		job->places[i] = (struct space_place){ .is_known = false };
		if (statvfs(job->paths[i], &st))
			continue;
		job->places[i] = (struct space_place){
			.total = (uint64_t)st.f_blocks * st.f_frsize,
			.free = (uint64_t)st.f_bavail * st.f_frsize,
			.files = st.f_files,
			.files_free = st.f_favail,
			.is_known = true,
			.is_read_only = st.f_flag & ST_RDONLY,
		};
	}
}

static void job_free(struct space_job *job)
{
	for (size_t i = 0; i < SPACE_PLACES; i++)
		free(job->paths[i]);
	free(job);
}

static void job_run(struct work *w)
{
	look((struct space_job *)w);
}

static void job_done(struct work *w, bool is_cancelled)
{
	struct space_job *job = (struct space_job *)w;
	struct space *s = job->owner;

	if (s) {
		s->job = NULL;
		if (!is_cancelled)
			memcpy(s->places, job->places, sizeof(s->places));
		if (!is_cancelled && !s->is_stopped)
			timer_start_ms(&s->timer, SPACE_EVERY_MS);
	}
	job_free(job);
}

static struct space_job *job_new(struct space *s)
{
	struct space_job *job = xcalloc(1, sizeof(*job));

	job->owner = s;
	job->work.run = job_run;
	job->work.done = job_done;
	for (size_t i = 0; i < SPACE_PLACES; i++)
		job->paths[i] = xstrdup(s->paths[i]);
	return job;
}

static void look_again(struct timer *t)
{
	struct space *s = CONTAINER_OF(t, struct space, timer);
	struct space_job *job = job_new(s);

	if (work_submit(s->loop, WORK_MAIL, &job->work).kind) {
		job_free(job);
		timer_start_ms(t, SPACE_EVERY_MS);
		return;
	}
	s->job = job;
}

void space_start(struct space *s, struct loop *loop, const char *mail, const char *queue)
{
	struct space_job *job;

	*s = (struct space){ .loop = loop, .paths = { xstrdup(mail), xstrdup(queue) } };
	timer_init(&s->timer, loop, look_again);
	job = job_new(s);
	look(job);
	memcpy(s->places, job->places, sizeof(s->places));
	job_free(job);
	timer_start_ms(&s->timer, SPACE_EVERY_MS);
}

void space_stop(struct space *s)
{
	timer_stop(&s->timer);
	s->is_stopped = true;
}

void space_done(struct space *s)
{
	if (s->job)
		s->job->owner = NULL;
	for (size_t i = 0; i < SPACE_PLACES; i++)
		free(s->paths[i]);
	*s = (struct space){ .loop = NULL };
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

bool space_is_read_only(const struct space *s)
{
	for (size_t i = 0; i < SPACE_PLACES; i++)
		if (s->places[i].is_read_only)
			return true;
	return false;
}

bool space_is_low(const struct space *s, const struct conf *conf)
{
	for (size_t i = 0; i < SPACE_PLACES; i++) {
		const struct space_place *p = &s->places[i];
		uint64_t floor = smaller(p->total / 20, conf->queue.free_space);

		if (!p->is_known)
			continue;
		if (floor < 2 * conf->smtp.message_size)
			floor = 2 * conf->smtp.message_size;
		if (p->free < floor || (p->files && p->files_free < p->files / 20))
			return true;
	}
	return false;
}
