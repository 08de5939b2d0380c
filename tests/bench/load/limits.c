#include "tests/bench/load/scenarios.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

/* ---- the disk: a new file made durable under its final name, nothing else ---- */

static bool make_durable(int dir, const char *name, struct sv content)
{
	char tmp[32];
	int fd;
	bool ok;

	snprintf(tmp, sizeof(tmp), "t%s", name);
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	ok = write(fd, content.p, content.len) == (ssize_t)content.len && fdatasync(fd) == 0 &&
	     renameat(dir, tmp, dir, name) == 0 && fsync(dir) == 0;
	return close(fd) == 0 && ok;
}

static void disk_body(struct worker *w)
{
	struct buf content;
	struct client c;        /* carries the error */
	char path[512], name[24];
	uint64_t ticket;
	int dir;

	client_init(&c);
	snprintf(path, sizeof(path), "%s/%u", w->opt->dir, w->number);
	buf_init(&content, 1 << 20);
	message_make(&content, w->number, w->opt->size, "a@b.example", "c@d.example");
	if ((mkdir(path, 0700) != 0 && errno != EEXIST) || (dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		client_fail(&c, "%s: %s", path, strerror(errno));
		worker_failed(w, &c);
		return;
	}
	while (worker_next(w, &ticket)) {
		uint64_t started = now_us();
		snprintf(name, sizeof(name), "%llu", (unsigned long long)ticket);
		if (make_durable(dir, name, buf_sv(&content)))
			worker_done(w, started);
		else {
			client_fail(&c, "%s/%s: %s", path, name, strerror(errno));
			worker_failed(w, &c);
		}
	}
	close(dir);
	buf_done(&content);
	client_done(&c);
}

int scenario_disk(const struct options *opt)
{
	return run_threads(opt, opt->connections, disk_body, NULL);
}

/* ---- TLS: a program of its own, since it is the servers' library that is measured ---- */

int scenario_handshakes(const struct options *opt)
{
	static const char sibling[] = "/handshakes/handshakes";
	char path[PATH_MAX + sizeof(sibling)], threads[16], count[24], seconds[16];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);

	if (!opt->cert || !opt->key) {
		fprintf(stderr, "load: handshakes needs --cert and --key, PEM\n");
		return 2;
	}
	for (int up = 0; n > 0 && up < 2; up++)         /* .../load/load: its folder's folder */
		while (n > 0 && path[--n] != '/')
			;
	memcpy(path + (n < 0 ? 0 : n), sibling, sizeof(sibling));
	snprintf(threads, sizeof(threads), "%u", opt->connections);
	snprintf(count, sizeof(count), "%llu", (unsigned long long)opt->count);
	snprintf(seconds, sizeof(seconds), "%u", opt->seconds);
	execl(path, path, opt->cert, opt->key, threads, count, seconds, opt->name, NULL);
	fprintf(stderr, "load: %s: %s\n", path, strerror(errno));
	return 1;
}

/* ---- a storm of connections: connect, greeting, hang up ---- */

static void connection_body(struct worker *w)
{
	struct client c;
	struct sv line;
	uint64_t ticket;

	client_init(&c);
	while (worker_next(w, &ticket)) {
		uint64_t started = now_us();
		if (client_connect(&c, w->opt->host, w->opt->port, w->opt->wire) && client_line(&c, &line))
			worker_done(w, started);
		else
			worker_failed(w, &c);
		client_close(&c);
	}
	client_done(&c);
}

int scenario_connections(const struct options *opt)
{
	return run_threads(opt, opt->connections, connection_body, NULL);
}
