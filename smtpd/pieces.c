#include "smtpd/pieces.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/work.h"

#include "common/banned.h"

struct pieces {
	struct work work;
	struct loop *loop;
	pieces_fn *fn;
	void *arg;
	int fd;
	uint64_t at, size;
	bool is_reading, is_orphan;
	size_t len;             /* the job's, as what follows */
	struct fault fault;
	char octets[PIECES_SIZE];
};

struct pieces *pieces_new(struct loop *loop, const struct spill *spill, pieces_fn *fn, void *arg)
{
	struct pieces *p = xcalloc(1, sizeof(*p));

	p->loop = loop;
	p->fn = fn;
	p->arg = arg;
	p->size = spill->size;
	/* An empty message has no file. */
	p->fd = spill->fd < 0 ? -1 : fcntl(spill->fd, F_DUPFD_CLOEXEC, 0);
	return p;
}

static void release(struct pieces *p)
{
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

void pieces_free(struct pieces **pp)
{
	struct pieces *p = *pp;

	*pp = NULL;
	if (!p)
		return;
	p->is_orphan = true;
	if (!p->is_reading)
		release(p);
}

bool pieces_is_reading(const struct pieces *p)
{
	return p->is_reading;
}

static void read_piece(struct work *w)
{
	struct pieces *p = CONTAINER_OF(w, struct pieces, work);
	uint64_t left = p->size - p->at;
	ssize_t n = 0;

	p->len = 0;
	if (!left)
		return;
	do
		n = pread(p->fd, p->octets, left < PIECES_SIZE ? (size_t)left : PIECES_SIZE, (off_t)p->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		p->fault = fault_errno("read", "spill");
	else if (!n)
		p->fault = fault(FAULT_CORRUPT, "spill: the file has become shorter");
	else
		p->len = (size_t)n;
}

static void on_piece(struct work *w, bool is_cancelled)
{
	struct pieces *p = CONTAINER_OF(w, struct pieces, work);

	p->is_reading = false;
	if (p->is_orphan) {
		release(p);
		return;
	}
	if (is_cancelled)
		p->fault = fault(FAULT_UNAVAILABLE, "the process is ending");
	p->at += p->len;
	p->fn(p->arg, sv_from(p->octets, p->len), p->at == p->size, p->fault);
}

bool pieces_next(struct pieces *p)
{
	p->work.run = read_piece;
	p->work.done = on_piece;
	p->is_reading = !work_submit(p->loop, WORK_MAIL, &p->work).kind;
	return p->is_reading;
}
