#include "imapd/client.h"

#include <stdlib.h>

#include "common/banned.h"

void client_introduce(struct client *client, const struct id *id, const struct conf_list *workarounds,
		      capability_set on, const struct log_ctx *log)
{
	free((char *)client->label.p);
	client->label = id_label(id);
	client->hidden |= workarounds_apply(workarounds, id, on & ~client->hidden, &client->workarounds, log);
}

void client_done(struct client *client)
{
	free((char *)client->label.p);
	*client = (struct client){ 0 };
}
