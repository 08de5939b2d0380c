/* maildir/intent.c - see intent_private.h. */
#include "maildir/intent_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/memory.h"
#include "common/process.h"
#include "maildir/files.h"

#include "common/banned.h"

#define PAGE 4096

#define INSIDE_MAX 32           /* processes; more than that are not noted */

struct page {
	struct intent intent;
	_Atomic uint32_t pending;
	_Atomic uint32_t deaths;
	_Atomic int32_t inside[INSIDE_MAX];     /* process ids */
};

struct intent_map {
	struct page *page;
};

struct fault intent_open(int index_dir, struct intent_map **out)
{
	int fd = files_open(index_dir, "intent", O_RDWR | O_CREAT, 0600);
	struct fault f = FAULT_OK;
	void *p = MAP_FAILED;

	if (fd < 0)
		f = fault_errno("open", "intent");
	bool is_read_only = f.kind == FAULT_READ_ONLY;

	if (is_read_only)
		f = FAULT_OK;
	if (f.kind)
		return f;
	/* Allocated, not only sized: a store into a hole on a full disk would be a SIGBUS. */
	int error = is_read_only ? 0 : posix_fallocate(fd, 0, PAGE);
	if (error)
		f = fault(error == ENOSPC ? FAULT_NO_SPACE : FAULT_INTERNAL, "no room for the intent page");
	if (!f.kind) {
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | (is_read_only ? MAP_ANONYMOUS : 0), fd, 0);
		if (p == MAP_FAILED)
			f = fault_errno("map", "intent");
	}
	if (fd >= 0)
		close(fd);
	if (f.kind)
		return f;
	*out = xcalloc(1, sizeof(**out));
	(*out)->page = p;
	return FAULT_OK;
}

void intent_close(struct intent_map **map)
{
	if (!*map)
		return;
	munmap((*map)->page, PAGE);
	free(*map);
	*map = NULL;
}

static size_t length(const struct intent *i)
{
	return offsetof(struct intent, files) + (i->file_count > INTENT_FILES ? 0 : i->file_count) * sizeof(i->files[0]);
}

static uint32_t checksum(const struct intent *i)
{
	struct intent copy;

	memcpy(&copy, i, length(i));
	copy.crc = 0;
	return crc32c(sv_from((const char *)&copy, length(i)));
}

bool intent_read(const struct intent_map *map, struct intent *out)
{
	memcpy(out, &map->page->intent, sizeof(*out));
	return out->seq && out->file_count <= INTENT_FILES && out->crc == checksum(out);
}

void intent_write(struct intent_map *map, struct intent *intent, uint64_t seq)
{
	struct intent *page = &map->page->intent;

	intent->seq = seq;
	intent->crc = checksum(intent);
	/* A process killed in between leaves a page that says nothing, and nothing done yet. */
	page->seq = 0;
	atomic_signal_fence(memory_order_seq_cst);
	memcpy((char *)page + sizeof(page->seq), (const char *)intent + sizeof(intent->seq),
	       length(intent) - sizeof(intent->seq));
	atomic_signal_fence(memory_order_seq_cst);
	page->seq = seq;
	atomic_signal_fence(memory_order_seq_cst);
}

void intent_clear(struct intent_map *map)
{
	map->page->intent.seq = 0;
}

bool intent_pending(const struct intent_map *map)
{
	return atomic_load_explicit(&map->page->pending, memory_order_relaxed) != 0;
}

void intent_set_pending(struct intent_map *map, bool pending)
{
	atomic_store(&map->page->pending, pending);
}

/* Process ids are of one namespace (all of an instance's processes are), and one that was given again hides a death: no harm. */
void intent_come_in(struct intent_map *map, uint32_t *deaths)
{
	int32_t me = (int32_t)process_id();
	bool noted = false;

	for (unsigned i = 0; i < INSIDE_MAX; i++) {
		int32_t pid = atomic_load(&map->page->inside[i]);
		if (pid && pid != me && kill(pid, 0) && errno == ESRCH &&
		    atomic_compare_exchange_strong(&map->page->inside[i], &pid, 0)) {
			atomic_fetch_add(&map->page->deaths, 1);
			pid = 0;
		}
		if (!pid && !noted)
			noted = atomic_compare_exchange_strong(&map->page->inside[i], &pid, me);
	}
	*deaths = atomic_load(&map->page->deaths);
}

void intent_go_out(struct intent_map *map)
{
	int32_t me = (int32_t)process_id();

	for (unsigned i = 0; i < INSIDE_MAX; i++) {
		int32_t pid = me;
		if (atomic_compare_exchange_strong(&map->page->inside[i], &pid, 0))
			return;
	}
}
