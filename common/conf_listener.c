/* Listeners: rows of a configuration, and those that it has when its file names none. */
#include <stdlib.h>

#include "common/conf_private.h"
#include "common/memory.h"

#include "common/banned.h"

void conf_listener_done(struct conf_listener *row)
{
	free(row->name);
	free(row->address);
	free(row->path);
	*row = (struct conf_listener){ .name = NULL };
}

void conf_listener_add(struct conf *conf, struct conf_listener *row)
{
	conf->listeners =
		xrealloc(conf->listeners, (conf->listener_count + 1) * sizeof(*conf->listeners));
	conf->listeners[conf->listener_count++] = *row;
	*row = (struct conf_listener){ .name = NULL };
}

const struct conf_kind *conf_kind_row(enum conf_listener_kind kind)
{
	for (size_t i = 0; i < conf_kind_count; i++)
		if (conf_kinds[i].kind == kind)
			return &conf_kinds[i];
	BUG("listener kind %d", kind);
}

static void default_listener(struct conf *conf, const struct conf_kind *kind, const char *address,
			     size_t nth)
{
	struct conf_listener row = { .kind = kind->kind, .port = UINT64_MAX, .tls = kind->tls };
	struct buf name;
	size_t len;

	buf_init(&name, CONF_NAME_MAX);
	(void)buf_appendf(&name, nth ? "%s-%zu" : "%s", kind->name, nth + 1);
	(void)buf_append_c(&name, '\0');
	row.name = buf_take(&name, &len);
	row.address = xstrdup(address);
	conf_listener_add(conf, &row);
}

static void default_socket(struct conf *conf, enum conf_listener_kind kind, const char *name, const char *folder,
			   const char *file)
{
	struct conf_listener socket = { .kind = kind };
	struct buf path;
	size_t len;

	buf_init(&path, 4096);
	(void)buf_appendf(&path, "%s/%s", folder, file);
	(void)buf_append_c(&path, '\0');
	socket.path = buf_take(&path, &len);
	socket.name = xstrdup(name);
	conf_listener_add(conf, &socket);
}

void conf_listeners_default(struct conf *conf, const char *base_dir)
{
	for (size_t i = 0; i < conf->legacy.bind.count && !conf_list_is_none(&conf->legacy.bind); i++)
		default_listener(conf, conf_kind_row(LISTENER_LEGACY), conf->legacy.bind.items[i], i);
	for (size_t k = 0; k < conf_kind_count; k++) {
		if (conf_kinds[k].is_path_only || conf_kinds[k].is_asked_for || (!conf->web.enabled && (conf_kinds[k].kind & LISTENERS_WEBD)))
			continue;
		if (conf_kinds[k].loopback_only) {
			default_listener(conf, &conf_kinds[k], "127.0.0.1", 0);
			continue;
		}
		for (size_t i = 0; i < conf->host.bind.count; i++)
			default_listener(conf, &conf_kinds[k], conf->host.bind.items[i], i);
	}
	default_socket(conf, LISTENER_LMTP, "lmtp-socket", base_dir, "run/lmtp.sock");
	/* Programs of any user reach the instance of the host; nobody else's folder is open to them. */
	if (strcmp(base_dir, "/var/lib/postroom") == 0)
		default_socket(conf, LISTENER_LOCAL, "local-socket", POSTROOM_RUNDIR, "submit.sock");
	else
		default_socket(conf, LISTENER_LOCAL, "local-socket", base_dir, "run/submit.sock");
}
