#include "tests/bench/load/scenarios.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/banned.h"

/* A Maildir as Dovecot leaves it: LF ends of lines, S= and W= in the name, most messages read. Nothing is flushed. */

static void drop_cr(struct buf *b)
{
	size_t to = 0;

	for (size_t i = 0; i < b->len; i++)
		if (b->p[i] != '\r')
			b->p[to++] = b->p[i];
	b->len = to;
}

int scenario_fill(const struct options *opt)
{
	static const char *const parts[] = { "", "/cur", "/new", "/tmp" };
	char path[512], name[128];
	struct json_out j;
	struct buf message, line;
	struct meter meter;
	bool bottleneck, ok = true;
	uint64_t n = 0;
	time_t base = time(NULL) - (time_t)opt->count * 60;
	int cur;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		snprintf(path, sizeof(path), "%s%s", opt->dir, parts[i]);
		if (mkdir(path, 0700) != 0 && errno != EEXIST) {
			fprintf(stderr, "load: %s: %s\n", path, strerror(errno));
			return 1;
		}
	}
	snprintf(path, sizeof(path), "%s/cur", opt->dir);
	cur = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cur < 0) {
		fprintf(stderr, "load: %s: %s\n", path, strerror(errno));
		return 1;
	}
	buf_init(&message, 1 << 22);
	meter_start(&meter);
	for (; ok && n < opt->count; n++) {
		buf_clear(&message);
		message_make(&message, n, opt->size, "sender@elsewhere.example", "alice@example.test");
		size_t wire = message.len;
		drop_cr(&message);
		snprintf(name, sizeof(name), "%lld.M%06lluP%u.bench,S=%zu,W=%zu:2,%s", (long long)base + (long long)n * 60,
			 (unsigned long long)n % 1000000, 1000 + (unsigned)(n / 1000000), message.len, wire,
			 n % 10 == 9 ? "" : n % 50 == 7 ? "FS" : n % 20 == 3 ? "RS" : "S");
		int fd = openat(cur, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		ok = fd >= 0 && write(fd, message.p, message.len) == (ssize_t)message.len;
		if (fd >= 0 && close(fd) != 0)
			ok = false;
	}
	close(cur);
	buf_done(&message);
	row_begin(&j, &line, opt->name);
	meter_row(&j, &meter, 1, &bottleneck);
	json_out_u64(&j, "ops", n);
	return row_end(&j, ok ? NULL : strerror(errno));
}
