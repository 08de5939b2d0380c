/* common/master.h - what every daemon is made of: a master that binds, supervises and answers the
 * control socket, and workers that serve.
 *
 *   int main(int argc, char **argv) { return daemon_main(&imapd_spec, argc, argv); }
 *
 * The master reads the configuration, binds the listeners, drops privileges and starts the workers
 * by executing the program again with the listening sockets and a control pipe: a worker inherits
 * no memory. It parses nothing from the network.
 *
 *   SIGTERM, SIGINT   stop: accept no more, let sessions finish what they do, at most stop-time
 *   SIGHUP            reload: configuration, certificates, log file; on an error everything stays
 * as it was
 *
 * With --rehearse it does all of this but binding and taking its names, beside one that serves, with one worker and each helper;
 * these end when they have started inside their sandbox and would begin to work. `postroom upgrade` asks a newer program for that
 * before the one that runs gives way.
 *
 * Exit codes: 0 stopped, or the rehearsal went well; 1 failed (the log says why), 2 usage, 4 runs already. */
#ifndef COMMON_MASTER_H
#define COMMON_MASTER_H

#include "common/conf.h"
#include "common/control.h"
#include "common/fault.h"
#include "common/instance.h"
#include "common/listener.h"
#include "common/loop.h"
#include "common/sandbox.h"
#include "common/tls.h"

/* What a worker has. Made by the frame; loop thread only. */
struct worker {
	unsigned number;
	struct loop *loop;
	struct instance *instance;
	struct conf *conf;              /* the one in force: take a conf_ref() to keep it */
	struct listener_set *listeners;
	struct tls_server *tls;         /* NULL: there is no usable certificate, the log says why */
	void *state;                    /* the daemon's own */
	bool is_stopping;
	bool is_rehearsal;              /* start() is the last that happens, beside one that works: change nothing outside */
	struct worker_private *private;
};

#define DAEMON_PORTS_MAX 32
#define DAEMON_HELPERS_MAX 4

/* What a daemon is. A constant. Functions are called on the loop's thread of a worker. */
struct daemon_spec {
	/* "imapd": program, log, control socket, pid file */
	const char *name;
	const char *doc;                        /* one line for --help */
	const struct listener_kind *kinds;      /* listeners it serves */
	size_t kind_count;
	/* Places of the instance it may change (beyond reading configuration and certificates), and
	 * those it may read: bits 1u << INSTANCE_... */
	unsigned writes, reads;
	/* Optional: the TCP ports to which a worker connects (DNS, filters); with none it may not make
	 * sockets at all. Returns how many. */
	size_t (*connect_ports)(const struct conf *conf, uint16_t ports[DAEMON_PORTS_MAX]);
	/* Optional: files outside the instance that it reads when it runs; each must be absolute. */
	const struct conf_list *(*reads_files)(const struct conf *conf);
	/* Optional: before the sandbox closes. Opens what lies outside the instance (plugins,
	 * devices). Starts no threads and submits no jobs. */
	struct fault (*open)(struct worker *w);
	/* Inside the sandbox: open stores, start to accept (listener_accept). On a fault the worker
	 * ends, and is started again later. */
	struct fault (*start)(struct worker *w);
	/* Optional: w->conf is new, *was is the one before (borrowed for the call). TLS and
	 * listener limits are done. */
	void (*reload)(struct worker *w, const struct conf *was);
	/* Begin to stop: listeners accept no more already. Let sessions finish, then call
	 * worker_stopped(). After stop-time the frame does not wait any longer. */
	void (*stop)(struct worker *w);
	/* The loop has ended and its members are closed: release *state, which may be NULL when the
	 * start failed. */
	void (*end)(struct worker *w);
	/* Optional: members for this worker's line of `status` (sessions, counters). */
	void (*status)(struct worker *w, struct json_out *j);
	/* Optional: verbs answered by workers, arg is the struct worker. Ends with a row without a
	 * name. */
	const struct control_verb *verbs;
	/* Optional, up to a NULL: processes beside the workers, one of each, that serve no listener.
	 * Each is a spec of its own, with a sandbox and verbs of its own, and its name stands in the
	 * log. */
	const struct daemon_spec *const *helpers;
	bool may_connect;               /* to any port: a helper that sends */
	bool is_one_worker;             /* whatever the configuration says */
};

/** daemon_main - the whole life of a daemon's master or worker. Returns the exit code of the
 * process. */
int daemon_main(const struct daemon_spec *spec, int argc, char **argv);

/** worker_stopped - all sessions are done; the worker ends. Called from stop() or later. */
void worker_stopped(struct worker *w);

#endif
