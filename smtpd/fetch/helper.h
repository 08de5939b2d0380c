/* smtpd/fetch/helper.h - the fetch helper: a process beside smtpd's workers, the only one that speaks HTTP outward. It sees no
 * mail, no key and no account; it is asked over the control socket (smtpd/fetch.h). */
#ifndef SMTPD_FETCH_HELPER_H
#define SMTPD_FETCH_HELPER_H

#include "common/master.h"

extern const struct daemon_spec fetch_spec;

#endif
