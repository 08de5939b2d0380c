#include "webd/history.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

#define HEAD "postroom-hours 1\n"
#define COUNTED "counted "

struct history {
	pthread_mutex_t lock;
	struct history_hour ring[HISTORY_HOURS];        /* by hour modulo their number */
	int64_t newest;
	struct history_sample last;
	bool has_last;
	int64_t counted_s;              /* until when somebody counted, maybe a former process; 0: nobody did */
};

struct history *history_new(void)
{
	struct history *h = xcalloc(1, sizeof(*h));

	pthread_mutex_init(&h->lock, NULL);
	return h;
}

void history_free(struct history **at)
{
	struct history *h = *at;

	*at = NULL;
	if (!h)
		return;
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* With the lock. The hour's place, empty unless it is there already. */
static struct history_hour *place_of(struct history *h, int64_t hour)
{
	struct history_hour *p = &h->ring[hour % HISTORY_HOURS];

	if (p->hour != hour || !p->is_known)
		*p = (struct history_hour){ .hour = hour, .is_known = true };
	if (hour > h->newest)
		h->newest = hour;
	return p;
}

static const struct history_speaker *find(const struct history_sample *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->speakers[i].name, name) == 0)
			return &s->speakers[i];
	return NULL;
}

/* With the lock. Who did not answer this time is remembered: else, young as he may be, he would be counted from his start again. */
static void keep_last(struct history *h, const struct history_sample *sample)
{
	struct history_sample was = h->last;
	bool had = h->has_last;

	h->last = *sample;
	h->has_last = true;
	for (size_t i = 0; had && i < was.count && h->last.count < HISTORY_SPEAKERS_MAX; i++)
		if (!find(&h->last, was.speakers[i].name))
			h->last.speakers[h->last.count++] = was.speakers[i];
}

void history_add(struct history *h, int64_t now_s, const struct history_sample *sample)
{
	int64_t hour = now_s > 0 ? now_s / 3600 : 0;
	struct history_hour *p;

	pthread_mutex_lock(&h->lock);
	p = place_of(h, hour < h->newest ? h->newest : hour);
	for (size_t i = 0; i < sample->count; i++) {
		const struct history_speaker *now = &sample->speakers[i], *was = h->has_last ? find(&h->last, now->name) : NULL;
		/* Younger than the last look of a former process, too: what was before, that one has counted. */
		bool is_young = now->uptime_s < HISTORY_YOUNG_S && (was || now_s - (int64_t)now->uptime_s >= h->counted_s);

		for (size_t k = 0; k < HISTORY_COUNTERS; k++) {
			uint64_t n = now->counters[k];

			if (was && n >= was->counters[k])
				p->figures[k] += n - was->counters[k];
			else if (is_young)
				p->figures[k] += n;
		}
	}
	if (sample->queued > p->figures[HISTORY_QUEUE])
		p->figures[HISTORY_QUEUE] = sample->queued;
	keep_last(h, sample);
	h->counted_s = now_s;
	pthread_mutex_unlock(&h->lock);
}

void history_get(struct history *h, int64_t now_s, struct history_hour out[HISTORY_HOURS])
{
	int64_t last = now_s / 3600;

	pthread_mutex_lock(&h->lock);
	if (h->newest > last)
		last = h->newest;       /* the clock was set back */
	for (int i = 0; i < HISTORY_HOURS; i++) {
		int64_t hour = last - HISTORY_HOURS + 1 + i;
		const struct history_hour *p = hour >= 0 ? &h->ring[hour % HISTORY_HOURS] : NULL;

		out[i] = p && p->is_known && p->hour == hour ? *p : (struct history_hour){ .hour = hour };
	}
	pthread_mutex_unlock(&h->lock);
}

/* ---- as a text ---- */

bool history_write(struct history *h, struct buf *out)
{
	bool good = buf_append(out, SV(HEAD));

	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < HISTORY_HOURS && good; i++) {
		const struct history_hour *p = &h->ring[i];

		if (!p->is_known)
			continue;
		good = buf_append_u64(out, (uint64_t)p->hour);
		for (size_t k = 0; k < HISTORY_FIGURES; k++)
			good = good && buf_append_c(out, ' ') && buf_append_u64(out, p->figures[k]);
		good = good && buf_append_c(out, '\n');
	}
	if (h->counted_s > 0)           /* programs that do not know this line leave it out */
		good = good && buf_append(out, SV(COUNTED)) && buf_append_u64(out, (uint64_t)h->counted_s) && buf_append_c(out, '\n');
	pthread_mutex_unlock(&h->lock);
	return good;
}

static bool read_line(struct sv line, struct history_hour *out)
{
	uint64_t hour = 0;
	struct sv word;

	*out = (struct history_hour){ .is_known = true };
	if (!sv_split(&line, ' ', &word) || !sv_to_u64(word, &hour) || hour > INT32_MAX)
		return false;
	out->hour = (int64_t)hour;
	for (size_t k = 0; k < HISTORY_FIGURES; k++)
		if (!sv_split(&line, ' ', &word) || !sv_to_u64(word, &out->figures[k]) || out->figures[k] > UINT32_MAX)
			return false;
	return !line.len;
}

void history_read(struct history *h, int64_t now_s, struct sv text)
{
	struct history_hour one;
	struct sv line;

	if (!sv_starts(text, SV(HEAD)))
		return;
	sv_skip(&text, sizeof(HEAD) - 1);
	pthread_mutex_lock(&h->lock);
	while (text.len && sv_split(&text, '\n', &line)) {
		uint64_t counted_s;

		if (sv_starts(line, SV(COUNTED)) && sv_to_u64(sv_sub(line, sizeof(COUNTED) - 1, SIZE_MAX), &counted_s) && counted_s <= (uint64_t)now_s)
			h->counted_s = (int64_t)counted_s;
		else if (read_line(line, &one) && one.hour <= now_s / 3600 && one.hour > now_s / 3600 - HISTORY_HOURS)
			*place_of(h, one.hour) = one;
	}
	pthread_mutex_unlock(&h->lock);
}
