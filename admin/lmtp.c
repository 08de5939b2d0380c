#include "admin/lmtp.h"

#include <stdlib.h>

#include "admin/dialogue.h"

#include "common/banned.h"

struct fault lmtp_hand_over(const struct instance *instance, struct sv sender, struct sv account, int message)
{
	char *path = instance_run_path(instance, "lmtp", ".sock");
	struct dialogue d;
	struct fault f = dialogue_open(&d, path);

	if (f.kind && !d.in)
		f = fault(FAULT_UNAVAILABLE, "the mail filter sends mail, for which smtpd must run: postroom serve --detach");
	if (!f.kind)
		f = dialogue_ask(&d, "LHLO localhost");
	if (!f.kind)
		f = dialogue_ask(&d, "MAIL FROM:<%.*s>", SV_FMT(sender));
	if (!f.kind)
		f = dialogue_ask(&d, "RCPT TO:<%.*s>", SV_FMT(account));
	if (!f.kind)
		f = dialogue_ask(&d, "DATA");
	if (!f.kind)
		f = dialogue_octets(&d, SV_NONE, message, 0);
	dialogue_close(&d);
	free(path);
	return f;
}
