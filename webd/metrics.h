/* webd/metrics.h - figures for monitoring (OpenMetrics 1.0) and the answer to "are you ready?". Both ask every daemon over its
 * control socket: they block, and belong into a job. */
#ifndef WEBD_METRICS_H
#define WEBD_METRICS_H

#include "common/conf.h"
#include "webd/history.h"
#include "webd/response.h"

struct instance;

/** metrics_write - all figures. */
void metrics_write(const struct instance *instance, const struct conf *conf, struct response *out);
/** metrics_ready - 200 when smtpd, imapd and pop3d answer with all workers ready, else 503 with what is not. */
void metrics_ready(const struct instance *instance, const struct conf *conf, struct response *out);

#define METRICS_DAEMONS 4
struct metrics_overview {
	struct {
		const char *name;
		bool is_up;             /* it answers, with all of its workers */
		uint64_t uptime_s, restarts;
	} daemons[METRICS_DAEMONS];
	struct history_sample sample;
};
/** metrics_overview - the same for people. False: no memory. */
bool metrics_overview(const struct instance *instance, struct metrics_overview *out);

#endif
