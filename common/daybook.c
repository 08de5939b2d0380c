#include "common/daybook.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/date.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/textfile.h"
#include "common/work.h"

#include "common/banned.h"

#define WRITE_MS 5000           /* lines gather so long */
#define LINES_MAX (256u << 10)
#define FLAGS (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW)

struct daybook {
	struct loop *loop;              /* NULL: it has ended */
	struct loop_member member;
	char *folder;
	struct timer write;
	struct buf lines;               /* gather */
	int64_t lines_day_s;
	bool is_freed;

	struct work work;
	bool has_job;
	struct buf chunk;               /* the job's */
	int64_t chunk_day_s;
};

/* ---- files ---- */

static void path_of(const char *folder, int64_t day_s, char out[4200])
{
	struct date_civil c;

	date_to_civil((struct date){ .seconds = day_s }, &c);
	snprintf(out, 4200, "%s/%04d-%02d-%02d", folder, c.year, c.month, c.day);
}

int64_t daybook_day(int64_t at_s)
{
	return at_s - at_s % DAYBOOK_DAY_S;
}

struct fault daybook_write(const char *folder, int64_t day_s, struct sv lines)
{
	struct fault f = FAULT_OK;
	char path[4200];
	struct stat st;
	int fd;

	path_of(folder, day_s, path);
	fd = open(path, FLAGS, 0600);
	if (fd < 0 && errno == ENOENT && (mkdir(folder, 0700) == 0 || errno == EEXIST))      /* another process may be first */
		fd = open(path, FLAGS, 0600);
	if (fd < 0 || fstat(fd, &st) != 0)
		f = fault_errno("open", path);
	else if (st.st_size >= (off_t)DAYBOOK_DAY_MAX)
		f = fault(FAULT_LIMIT, "daybook: this day is full");
	else if (write(fd, lines.p, lines.len) < 0)
		f = fault_errno("write", path);
	if (fd >= 0)
		close(fd);
	return f;
}

/* day_from - the day that a file is named for; false for other files. */
static bool day_from(struct sv name, int64_t *day_s)
{
	struct date_civil c = { .hour = 0 };
	uint32_t year, month, day;
	struct date date;

	if (name.len != 10 || name.p[4] != '-' || name.p[7] != '-' || !sv_to_u32(sv_sub(name, 0, 4), &year) ||
	    !sv_to_u32(sv_sub(name, 5, 2), &month) || !sv_to_u32(sv_sub(name, 8, 2), &day))
		return false;
	c.year = (int)year;
	c.month = (int)month;
	c.day = (int)day;
	if (!date_from_civil(&c, 0, &date))
		return false;
	*day_s = date.seconds;
	return true;
}

bool daybook_first(const char *folder, int64_t from_s, int64_t until_s, int64_t *out)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	bool found = false;
	int64_t day_s;

	while (d && (e = readdir(d)))
		if (day_from(sv_z(e->d_name), &day_s) && day_s >= from_s && day_s <= until_s && (!found || day_s < *out)) {
			*out = day_s;
			found = true;
		}
	if (d)
		closedir(d);
	return found;
}

struct fault daybook_read(const char *folder, int64_t day_s, struct buf *out)
{
	char path[4200];

	path_of(folder, day_s, path);
	return textfile_read(path, out);
}

void daybook_drop(const char *folder, int64_t day_s)
{
	char path[4200];

	path_of(folder, day_s, path);
	unlink(path);
}

/* ---- the writer ---- */

static void release(struct daybook *b)
{
	buf_done(&b->lines);
	buf_done(&b->chunk);
	free(b->folder);
	free(b);
}

static void run(struct work *w)
{
	struct daybook *b = CONTAINER_OF(w, struct daybook, work);
	struct fault f = daybook_write(b->folder, b->chunk_day_s, buf_sv(&b->chunk));

	if (f.kind && f.kind != FAULT_LIMIT)
		log_error(NULL, "daybook.write", KV_FAULT("fault", f));
}

static void done(struct work *w, bool is_cancelled)
{
	struct daybook *b = CONTAINER_OF(w, struct daybook, work);

	b->has_job = false;
	if (is_cancelled)
		run(w);         /* the process is ending: nobody waits for the loop */
	buf_clear(&b->chunk);
	if (b->is_freed)
		release(b);
}

static void flush(struct daybook *b)
{
	struct buf spare = b->chunk;

	if (!b->lines.len || b->has_job || !b->loop)
		return;
	b->chunk = b->lines;
	b->chunk_day_s = b->lines_day_s;
	b->lines = spare;
	b->work = (struct work){ .run = run, .done = done };
	b->has_job = !work_submit(b->loop, WORK_MAIL, &b->work).kind;
	if (b->has_job)
		return;
	spare = b->chunk;       /* later, then */
	b->chunk = b->lines;
	b->lines = spare;
}

static void on_loop_end(struct loop_member *m)
{
	struct daybook *b = CONTAINER_OF(m, struct daybook, member);

	loop_leave(m);
	timer_stop(&b->write);
	b->loop = NULL;
}

static void on_write(struct timer *t)
{
	struct daybook *b = CONTAINER_OF(t, struct daybook, write);

	flush(b);
	timer_start_ms(&b->write, WRITE_MS);
}

void daybook_add(struct daybook *b, struct sv line)
{
	int64_t day_s = daybook_day(date_now().seconds);
	size_t before;

	if (day_s != b->lines_day_s || b->lines.len > LINES_MAX / 2)
		flush(b);
	if (b->lines.len && day_s != b->lines_day_s)
		return;                 /* the old day's are still being written */
	b->lines_day_s = day_s;
	before = b->lines.len;
	if (line.len > DAYBOOK_LINE_MAX || !buf_append(&b->lines, line) || !buf_append_c(&b->lines, '\n'))
		b->lines.len = before;
}

struct daybook *daybook_new(struct loop *loop, const char *folder)
{
	struct daybook *b = xcalloc(1, sizeof(*b));

	b->loop = loop;
	b->folder = xstrdup(folder);
	buf_init(&b->lines, LINES_MAX);
	buf_init(&b->chunk, LINES_MAX);
	b->member.close = on_loop_end;
	loop_join(loop, &b->member);
	timer_init(&b->write, loop, on_write);
	timer_start_ms(&b->write, WRITE_MS);
	return b;
}

void daybook_free(struct daybook **pb)
{
	struct daybook *b = *pb;

	*pb = NULL;
	if (!b)
		return;
	flush(b);
	if (b->loop)
		on_loop_end(&b->member);
	b->is_freed = true;
	if (b->has_job)
		return;
	if (b->lines.len) {     /* no thread: the process is ending */
		b->chunk_day_s = b->lines_day_s;
		(void)!buf_append(&b->chunk, buf_sv(&b->lines));
		run(&b->work);
	}
	release(b);
}
