#include "common/watchdog.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/memory.h"

#include "common/banned.h"

/* One slot per thread that may be inside at a time: pools have 64 threads at most, and a
 * transaction of the directory may be open beside one of an index. A thread that finds no slot is
 * not watched. */
#define SLOTS 128
#define NO_SLOT SLOTS

/* What is shared: monotonic milliseconds since boot, the same clock in every process; 0 is free. */
struct page {
	_Atomic uint64_t since_ms[SLOTS];
};

struct watchdog_page {
	struct page *page;
};

static struct page *published;  /* set before threads start */

static uint64_t now_ms(void)
{
	return clock_ms() + 1;
}

unsigned watchdog_enter(void)
{
	/* Threads begin to look at different places, so they seldom meet. */
	static _Atomic unsigned next;
	static _Thread_local unsigned start = NO_SLOT;
	uint64_t now;

	if (!published)
		return NO_SLOT;
	if (start == NO_SLOT)
		start = atomic_fetch_add(&next, 1) % SLOTS;
	now = now_ms();
	for (unsigned i = 0; i < SLOTS; i++) {
		unsigned slot = (start + i) % SLOTS;
		uint64_t free_slot = 0;

		if (atomic_compare_exchange_strong(&published->since_ms[slot], &free_slot, now))
			return slot;
	}
	return NO_SLOT;
}

void watchdog_leave(unsigned slot)
{
	if (published && slot < SLOTS)
		atomic_store(&published->since_ms[slot], 0);
}

static struct fault map_page(int fd, struct page **out)
{
	void *p = mmap(NULL, sizeof(**out), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return fault_errno("mmap", "watchdog page");
	*out = p;
	return FAULT_OK;
}

struct fault watchdog_attach(int fd)
{
	struct fault f = map_page(fd, &published);

	close(fd);
	return f;
}

struct fault watchdog_page_new(struct watchdog_page **out, int *fd)
{
	struct watchdog_page *page = xcalloc(1, sizeof(*page));
	int memory = memfd_create("watchdog", MFD_CLOEXEC);
	struct fault f = FAULT_OK;

	if (memory < 0 || ftruncate(memory, sizeof(struct page)) != 0)
		f = fault_errno("memfd", "watchdog page");
	if (!f.kind)
		f = map_page(memory, &page->page);
	if (f.kind) {
		if (memory >= 0)
			close(memory);
		free(page);
		return f;
	}
	*fd = memory;
	*out = page;
	return FAULT_OK;
}

void watchdog_page_free(struct watchdog_page **page)
{
	if (*page) {
		munmap((*page)->page, sizeof(struct page));
		free(*page);
	}
	*page = NULL;
}

uint64_t watchdog_longest_ms(const struct watchdog_page *page)
{
	uint64_t now = now_ms(), longest = 0;

	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t since = atomic_load(&page->page->since_ms[i]);

		/* A worker that writes nonsense here harms itself only: the master reads numbers.
		 */
		if (since && since < now && now - since > longest)
			longest = now - since;
	}
	return longest;
}
