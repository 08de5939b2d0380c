/* postroom status: what runs, where it listens, as whom, how it is confined, with which certificate. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/daemons.h"
#include "admin/delegate.h"
#include "admin/open.h"
#include "admin/print.h"
#include "common/conf.h"
#include "common/control.h"
#include "common/directory_delegate.h"
#include "common/instance.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/tls.h"

#include "common/banned.h"

#define ANSWER_MAX ((size_t)1 << 20)
#define DAY_S 86400
#define ALARM_DAYS 14

/* The lines of one daemon's answer: the master's, then one per worker. */
struct answer {
	const char *name;
	struct fault fault;
	struct json *lines[64];
	size_t count;
};

/* Lines are borrowed for the call; a copy goes through text. */
static bool keep_line(void *arg, const struct json *line)
{
	struct answer *a = arg;
	struct json_out j;
	struct buf text;

	if (a->count == ARRAY_LEN(a->lines))
		return true;
	buf_init(&text, ANSWER_MAX);
	json_out_init(&j, &text);
	json_out_value(&j, NULL, line);
	if (!json_parse(buf_sv(&text), &a->lines[a->count]).kind)
		a->count++;
	buf_done(&text);
	return true;
}

/* The master's line says whether all have started; no worker's does. */
static bool is_worker(const struct json *line)
{
	return json_get(line, "ready") == NULL;
}

static uint64_t number_of(const struct json *line, const char *name)
{
	uint64_t n = 0;

	json_get_u64(line, name, &n);
	return n;
}

static struct sv text_of(const struct json *line, const char *name)
{
	struct sv text = SV_NONE;

	json_get_sv(line, name, &text);
	return text;
}

static const struct json *master_of(const struct answer *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (!is_worker(a->lines[i]))
			return a->lines[i];
	return NULL;
}

/* ---- who administers single domains ---- */

struct holders {
	struct cli *cli;
	struct json_out *j;             /* NULL: for people */
	struct buf names;
	size_t count;
};

static bool see_holder(void *arg, const struct directory_delegate *d)
{
	bool is_over = d->expires_s && d->expires_s <= (int64_t)time(NULL);
	struct holders *h = arg;

	h->count++;
	if (!h->j) {
		(void)buf_appendf(&h->names, "%s%s%s", h->names.len ? ", " : "", d->name, is_over ? " (EXPIRED)" : "");
		return true;
	}
	json_out_object(h->j, NULL);
	json_out_z(h->j, "name", d->name);
	json_out_array(h->j, "domains");
	for (size_t i = 0; i < d->domain_count; i++)
		json_out_z(h->j, NULL, d->domains[i]);
	json_out_array_end(h->j);
	json_out_bool(h->j, "may_change", d->may_change && !d->is_newer);
	json_out_i64(h->j, "expires", d->expires_s);
	json_out_i64(h->j, "used", d->used_s);
	json_out_object_end(h->j);
	return true;
}

static void see_holders(struct holders *h)
{
	struct directory *dir = NULL;

	if (open_directory(h->cli, &dir) == EXIT_DONE)
		(void)cli_fault("tokens", directory_delegate_list(dir, see_holder, h));
	directory_close(&dir);
}

static void put_delegates(struct cli *cli, const struct conf *conf, struct json_out *j)
{
	struct holders h = { .cli = cli, .j = j };
	char path[DELEGATE_SOCKET_MAX];
	bool has_socket = delegate_socket(conf, cli->root, path);

	json_out_object(j, "delegate");
	json_out_z(j, "socket", has_socket ? path : "");
	json_out_bool(j, "answers", has_socket && delegate_answers(path));
	json_out_array(j, "tokens");
	see_holders(&h);
	json_out_array_end(j);
	json_out_object_end(j);
}

/* print_delegates - nothing where nobody holds a token. */
static void print_delegates(struct cli *cli, const struct conf *conf)
{
	struct holders h = { .cli = cli };
	char path[DELEGATE_SOCKET_MAX];

	buf_init(&h.names, 65536);
	see_holders(&h);
	if (h.count) {
		bool has_socket = delegate_socket(conf, cli->root, path);

		printf("tokens       %zu: %.*s\n", h.count, SV_FMT(buf_sv(&h.names)));
		if (has_socket)
			printf("             %s: %s\n", path, delegate_answers(path) ? "answers" : "NOT ANSWERING (postroom doctor)");
		else
			printf("             NO SOCKET: postroom.conf has no delegate-socket\n");
	}
	buf_done(&h.names);
}

/* ---- JSON ---- */

static void put_certificate(struct json_out *j, const struct tls_cert_facts *cert)
{
	json_out_object(j, "certificate");
	json_out_z(j, "subject", cert->subject);
	json_out_z(j, "names", cert->names);
	json_out_z(j, "fingerprint", cert->fingerprint);
	json_out_i64(j, "not_after", cert->not_after_s);
	json_out_bool(j, "self_signed", cert->is_self_signed);
	json_out_object_end(j);
}

static void put_member(void *arg, const char *name, const struct json *value)
{
	json_out_value(arg, name, value);
}

static void print_as_json(struct cli *cli, const struct conf *conf, pid_t pid, const struct answer *answers, const struct tls_cert_facts *cert)
{
	struct buf out;
	struct json_out j;

	buf_init(&out, ANSWER_MAX * (DAEMON_COUNT + 5));       /* 5: what is told of 1,000 tokens */
	json_out_init(&j, &out);
	json_out_object(&j, NULL);
	json_out_bool(&j, "running", pid != 0);
	json_out_i64(&j, "pid", pid);
	json_out_z(&j, "version", POSTROOM_VERSION);
	json_out_u64(&j, "format", instance_format(cli->instance));
	if (instance_read_only(cli->instance))
		json_out_z(&j, "read_only", instance_read_only(cli->instance));
	if (cert)
		put_certificate(&j, cert);
	put_delegates(cli, conf, &j);
	json_out_array(&j, "daemons");
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		if (!answers[i].name)
			continue;       /* it is not to run */
		json_out_object(&j, NULL);
		json_out_z(&j, "name", answers[i].name);
		json_out_bool(&j, "answers", !answers[i].fault.kind);
		json_out_value(&j, "master", master_of(&answers[i]));
		json_out_array(&j, "workers");
		for (size_t k = 0; k < answers[i].count; k++)
			if (is_worker(answers[i].lines[k])) {
				json_out_object(&j, NULL);
				json_iterate(answers[i].lines[k], put_member, &j);
				json_out_object_end(&j);
			}
		json_out_array_end(&j);
		json_out_object_end(&j);
	}
	json_out_array_end(&j);
	json_out_object_end(&j);
	printf("%.*s\n", SV_FMT(buf_sv(&out)));
	buf_done(&out);
}

/* ---- for people ---- */

static void format_span(uint64_t seconds, char out[32])
{
	if (seconds >= 2 * DAY_S)
		snprintf(out, 32, "%llu days", (unsigned long long)(seconds / DAY_S));
	else if (seconds >= 7200)
		snprintf(out, 32, "%llu h", (unsigned long long)(seconds / 3600));
	else if (seconds >= 120)
		snprintf(out, 32, "%llu min", (unsigned long long)(seconds / 60));
	else
		snprintf(out, 32, "%llu s", (unsigned long long)seconds);
}

static void add_listeners(struct buf *out, const struct json *listeners)
{
	for (size_t i = 0; i < json_count(listeners); i++) {
		const struct json *l = json_at(listeners, i);
		struct sv path = text_of(l, "path");
		if (i)
			buf_append(out, SV(", "));
		buf_appendf(out, "%.*s ", SV_FMT(text_of(l, "name")));
		if (path.len)
			buf_appendf(out, "%.*s", SV_FMT(path));
		else
			buf_append_u64(out, number_of(l, "port"));
		bool is_open = true;
		if (json_get_bool(l, "open", &is_open) && !is_open)
			buf_append(out, SV(" NOT OPEN (another program has the port, or it is not allowed: see the log)"));
	}
}

/* A layer counts as active when it is in every worker; else the first worker that lacks it says why. */
static void add_sandbox(struct buf *out, const struct answer *a)
{
	const struct json *first = NULL;

	for (size_t i = 0; i < a->count && !first; i++)
		if (is_worker(a->lines[i]))
			first = json_get(a->lines[i], "sandbox");
	for (size_t k = 0; k < json_count(first); k++) {
		struct sv name = text_of(json_at(first, k), "layer"), lacks = SV_NONE;
		bool is_active = true;
		for (size_t i = 0; i < a->count; i++) {
			const struct json *layer = json_at(json_get(a->lines[i], "sandbox"), k);
			bool active = false;
			if (is_worker(a->lines[i]) && !(json_get_bool(layer, "active", &active) && active)) {
				is_active = false;
				lacks = text_of(layer, "detail");
			}
		}
		if (k)
			buf_append(out, SV(", "));
		if (is_active)
			buf_append(out, name);
		else
			buf_appendf(out, "%.*s NOT ACTIVE (%.*s)", SV_FMT(name), SV_FMT(lacks));
	}
}

static void print_daemon(const struct answer *a)
{
	const struct json *master = master_of(a);
	uint64_t workers = 0, connections = 0, accepted = 0, refused = 0;
	struct buf text;
	char span[32];

	if (a->fault.kind || !master) {
		printf("\n%s    NOT ANSWERING%s%s\n", a->name, a->fault.detail ? ": " : "",
		       a->fault.detail ? a->fault.detail : "");
		return;
	}
	for (size_t i = 0; i < a->count; i++) {
		if (!is_worker(a->lines[i]))
			continue;
		workers++;
		connections += number_of(a->lines[i], "connections");
		accepted += number_of(a->lines[i], "accepted");
		refused += number_of(a->lines[i], "refused");
	}
	buf_init(&text, 8192);
	format_span(number_of(master, "uptime_s"), span);
	printf("\n%s    process %llu, up %s, %llu workers, %llu connections now, %llu accepted, %llu refused\n", a->name,
	       (unsigned long long)number_of(master, "pid"), span, (unsigned long long)workers,
	       (unsigned long long)connections, (unsigned long long)accepted, (unsigned long long)refused);
	add_listeners(&text, json_get(master, "listeners"));
	printf("  listens   %.*s\n", SV_FMT(buf_sv(&text)));
	printf("  runs as   %.*s\n", SV_FMT(text_of(master, "runs_as")));
	buf_clear(&text);
	add_sandbox(&text, a);
	printf("  sandbox   %.*s\n", SV_FMT(buf_sv(&text)));
	buf_done(&text);
}

static void print_certificate(const struct tls_cert_facts *cert, const char *path)
{
	if (!cert) {
		printf("certificate  none: %s\n", path);
		return;
	}
	int64_t days = (cert->not_after_s - (int64_t)time(NULL)) / DAY_S;

	printf("certificate  %s, %lld days left%s%s\n", cert->names, (long long)days, days < ALARM_DAYS ? ": RENEW IT (postroom cert show)" : "",
	       cert->is_self_signed ? ", self-signed: mail programs will ask whether to trust it" : "");
	printf("             SHA-256 %s\n", cert->fingerprint);
}

int run_status(struct cli *cli)
{
	struct answer answers[DAEMON_COUNT] = { 0 };
	struct tls_cert_facts cert;
	struct conf *conf = NULL;
	pid_t pid = pidfile_holder(cli->instance, "postroom");
	int code = open_conf(cli, &conf);

	if (code != EXIT_DONE)
		return code;
	bool has_cert = !tls_cert_read(conf->tls.certificate, &cert).kind;
	bool is_whole = true, any = false;

	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		if (!daemon_is_wanted(conf, i))
			continue;
		answers[i].name = daemon_names[i];
		answers[i].fault = control_ask(cli->instance, daemon_names[i], SV("{\"verb\":\"status\"}"), keep_line,
					       &answers[i], 10000);
		is_whole = is_whole && !answers[i].fault.kind;
		any = any || !answers[i].fault.kind;
	}
	if (cli->json) {
		print_as_json(cli, conf, pid, answers, has_cert ? &cert : NULL);
	} else if (!pid && !any) {
		complain("postroom serve --detach", "nothing runs for %s", cli->root);
	} else {
		printf("Postroom %s, %s, format %u%s", POSTROOM_VERSION, cli->root, instance_format(cli->instance), pid ? "" : "\n");
		if (pid)
			printf(", process %d\n", (int)pid);
		print_certificate(has_cert ? &cert : NULL, conf->tls.certificate);
		if (instance_read_only(cli->instance))
			printf("disk         CAN ONLY BE READ: %s. Mail can be read; none is taken, sent or changed. See dmesg why, and mount it again\n",
			       instance_read_only(cli->instance));
		print_delegates(cli, conf);
		for (size_t i = 0; i < DAEMON_COUNT; i++)
			if (answers[i].name)
				print_daemon(&answers[i]);
	}
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		for (size_t k = 0; k < answers[i].count; k++)
			json_free(&answers[i].lines[k]);
	conf_unref(&conf);
	return is_whole ? EXIT_DONE : EXIT_UNAVAILABLE;
}
