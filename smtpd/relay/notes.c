/* What the relay remembers beside the messages, from run to run: which destinations are paused, how accounts' last recipients fared (the
 * brake), and the queue's time. Each is a small text that is replaced as a whole; of one that changes while it is written only the newest is
 * written next, so that a pause that was ended at once is not there again after a restart. */
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "smtpd/relay/clock.h"
#include "smtpd/relay/relay_private.h"

#include "common/banned.h"

#define CLOCK_KEEP_MS (15 * 60000)      /* a boot after a crash counts from then on */
#define PAUSED_MAX 16000

static const char *const names[RELAY_NOTES] = {
	[RELAY_NOTE_PAUSED] = "paused",
	[RELAY_NOTE_BRAKE] = "brake",
	[RELAY_NOTE_CLOCK] = "clock",
};

/* ---- writing ---- */

struct note {
	struct work work;
	struct relay *relay;
	enum relay_note which;
	struct buf text;
};

static void note_free(struct note **n)
{
	if (*n)
		buf_done(&(*n)->text);
	free(*n);
	*n = NULL;
}

static void note_run(struct work *w)
{
	struct note *n = CONTAINER_OF(w, struct note, work);
	struct fault f = queue_put_note(n->relay->queue, names[n->which], buf_sv(&n->text));

	if (f.kind)
		log_error(NULL, "relay.note", KV_Z("note", names[n->which]), KV_FAULT("fault", f));
}

static void submit(struct note *n);

static void note_done(struct work *w, bool is_cancelled)
{
	struct note *n = CONTAINER_OF(w, struct note, work);
	struct relay *r = n->relay;
	struct note **next = &r->notes[n->which].next, *newer = *next;

	(void)is_cancelled;
	relay_job_ended(r);
	r->notes[n->which].is_writing = false;
	note_free(&n);
	*next = NULL;
	if (newer && r->is_ended)
		note_free(&newer);
	else if (newer)
		submit(newer);
}

static void submit(struct note *n)
{
	n->relay->notes[n->which].is_writing = true;
	n->work = (struct work){ .run = note_run, .done = note_done };
	n->relay->jobs++;
	if (work_submit(n->relay->loop, WORK_MAIL, &n->work).kind)
		note_done(&n->work, true);
}

static struct note *new_note(struct relay *r, enum relay_note which, size_t max)
{
	struct note *n = xcalloc(1, sizeof(*n));

	n->relay = r;
	n->which = which;
	buf_init(&n->text, max);
	return n;
}

static void keep_note(struct note *n)
{
	struct relay *r = n->relay;

	if (!r->notes[n->which].is_writing) {
		submit(n);
		return;
	}
	note_free(&r->notes[n->which].next);
	r->notes[n->which].next = n;
}

void relay_notes_free(struct relay *r)
{
	for (size_t i = 0; i < RELAY_NOTES; i++)
		note_free(&r->notes[i].next);
}

static bool read_note(struct relay *r, enum relay_note which, struct buf *out)
{
	return queue_note(r->queue, names[which], out);
}

/* ---- paused destinations ---- */

static bool add_paused(void *arg, struct destination *d)
{
	struct note *n = arg;

	return !d->is_paused || buf_appendf(&n->text, "%s\n", d->name);
}

void relay_keep_paused(struct relay *r)
{
	struct note *n = new_note(r, RELAY_NOTE_PAUSED, PAUSED_MAX);

	schedule_each_destination(r->schedule, add_paused, n);
	keep_note(n);
}

void relay_remember_paused(struct relay *r)
{
	struct buf text;
	struct sv rest, name;

	buf_init(&text, PAUSED_MAX);
	(void)read_note(r, RELAY_NOTE_PAUSED, &text);
	rest = buf_sv(&text);
	while (sv_split(&rest, '\n', &name))
		if (name.len)
			schedule_pause(r->schedule, schedule_destination(r->schedule, name), true);
	buf_done(&text);
}

/* ---- the brake ---- */

void relay_keep_brake(struct relay *r)
{
	struct note *n = new_note(r, RELAY_NOTE_BRAKE, BRAKE_NOTE_MAX);

	if (brake_write(r->brake, &n->text))
		keep_note(n);
	else
		note_free(&n);
}

void relay_remember_brake(struct relay *r)
{
	struct buf text;

	buf_init(&text, BRAKE_NOTE_MAX);
	if (read_note(r, RELAY_NOTE_BRAKE, &text))
		brake_read(r->brake, buf_sv(&text));
	buf_done(&text);
}

/* ---- the clock ---- */

void relay_keep_clock(struct relay *r)
{
	struct note *n = new_note(r, RELAY_NOTE_CLOCK, CLOCK_NOTE_MAX);
	struct clock_host host;
	struct clock_note note = { .offset_ms = atomic_load(&r->clock_ms) };

	clock_read(&host);
	memcpy(note.boot, host.boot, sizeof(note.boot));
	note.last_ms = host.running_ms + note.offset_ms;
	note.wall_ms = host.wall_ms;
	clock_note_write(&note, &n->text);
	r->clock_kept_ms = loop_now_ms(r->loop);
	keep_note(n);
}

void relay_mind_clock(struct relay *r)
{
	bool is_empty = r->has_scanned && !schedule_count(r->schedule) && !r->looks && !r->jobs;
	struct clock_host host;
	int64_t was_ms = atomic_load(&r->clock_ms), skew_ms;

	clock_read(&host);
	skew_ms = host.wall_ms - host.running_ms - was_ms;
	if (is_empty && (skew_ms <= -1000 || skew_ms >= 1000)) {
		atomic_store(&r->clock_ms, was_ms + skew_ms);
		if (skew_ms < -CLOCK_SAME_S * 1000 || skew_ms > CLOCK_SAME_S * 1000)
			log_info(NULL, "relay.clock", KV_I64("moved_s", skew_ms / 1000));
		relay_keep_clock(r);
	} else if (!is_empty && loop_now_ms(r->loop) - r->clock_kept_ms >= CLOCK_KEEP_MS) {
		relay_keep_clock(r);
	}
}

void relay_remember_clock(struct relay *r)
{
	struct clock_host host;
	struct clock_note was;
	bool has_note;
	struct buf text;

	buf_init(&text, CLOCK_NOTE_MAX);
	has_note = read_note(r, RELAY_NOTE_CLOCK, &text) && clock_note_read(buf_sv(&text), &was);
	clock_read(&host);
	atomic_store(&r->clock_ms, clock_start(&host, has_note ? &was : NULL));
	buf_done(&text);
	if (!has_note || strcmp(was.boot, host.boot))
		relay_keep_clock(r);
}
