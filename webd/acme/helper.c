#include "webd/acme/helper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/dns.h"
#include "common/dnsupdate.h"
#include "common/http.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/textfile.h"
#include "common/tls_request.h"
#include "common/work.h"
#include "webd/acme/client.h"
#include "webd/acme/dnsproof.h"
#include "webd/acme/names.h"

#include "common/banned.h"

#define LOOK_MS 30000           /* at the certificate and the clock */
#define FIRST_LOOK_MS 1000
#define DAY_S 86400
#define ALARM_DAYS 14
#define RETRY_MIN_S 600         /* after a failure; doubles */
#define RETRY_MAX_S DAY_S
#define SETTLE_S 3600           /* after a success */
#define NAMES_S 600             /* between two looks at which names lead here */
#define FORCED_LOOKS 2
#define FORCED_LOOK_MS 1500
#define LEFT_OUT_S DAY_S        /* a domain's name that could not be proven, until it is tried again */
#define PATIENCE 3              /* failures in a row, before a name goes that the certificate has */
#define WAIT_S 60               /* while a name has no address: costs the authority nothing */
#define DOMAINS_MAX ((size_t)1 << 16)
#define DOMAINS_MS 10000
#define KEY_MAX 8192
#define RELOAD_MS 20000         /* for each daemon */

static const char *const daemons[] = { "smtpd", "imapd", "pop3d", "webd" };

struct acme {
	struct worker *worker;
	struct conf *conf;              /* as it was at the start: what is used of it needs a restart to change */
	struct dns *dns;
	struct http *http;              /* NULL: HTTPS cannot be spoken here */
	struct timer look;
	struct ask_domains *asking;     /* under way, one after the other: our domains, their names in the DNS, an order */
	struct acme_look *names_look;
	struct acme_order *order;
	struct es256_key *account;
	struct dnsmessage_key dns_key;  /* of proofs in the DNS; read before the sandbox closes */
	struct fault dns_key_fault;     /* why there is none */
	char dns_key_why[400];
	struct dnsproof_zone zone;
	char name_texts[ACME_NAMES_MAX][ADDRESS_DOMAIN_MAX + 1];
	struct sv names[ACME_NAMES_MAX];        /* as they were when they were last looked at */
	size_t name_count;
	int64_t names_s;                /* not looked at again before; Unix time */
	/* Names of domains that could not be proven: a domain whose owner lets no such authority in does not take everybody's certificate. */
	struct {
		char name[ADDRESS_DOMAIN_MAX + 1];
		int64_t until_s;
	} left_out[ACME_NAMES_MAX];
	size_t left_out_at;
	bool is_forced;                 /* somebody wants a certificate now */
	bool order_is_forced;           /* that is why there is an order, or will be one */
	unsigned looks;                 /* for whom the names were looked at in vain so often */
	char folder[3900], proofs[4000];
	struct timespec changed;        /* of the certificate's file, when it was last looked at */
	ino_t inode;
	bool has_looked, is_second_account;
	int64_t next_s;                 /* not before; Unix time */
	uint64_t failures, renewals;    /* in a row; since start */
	int64_t alarm_s, last_s;        /* when it was raised; when the last order ended */
	char last_error[500];           /* "": the last one succeeded */
	struct reload *reload;          /* under way */
	unsigned unread;                /* daemons that did not read the certificate; by their bits */
	uint64_t read_again_ms;         /* when these are told again; loop time */
};

/* The worker of the web front asked for our domains: this process, which speaks to strangers, does not see the directory. */
struct ask_domains {
	struct work work;
	struct acme *acme;              /* NULL: not wanted any more */
	const struct instance *instance;
	struct buf domains;
	struct fault fault;
};

/* Daemons told to read the certificate, one after the other. */
struct reload {
	struct work work;
	struct acme *acme;
	const struct instance *instance;
	unsigned daemons, unread;
};

/* ---- have the daemons read it ---- */

static void reload_run(struct work *work)
{
	struct reload *r = CONTAINER_OF(work, struct reload, work);

	for (size_t i = 0; i < ARRAY_LEN(daemons); i++) {
		struct fault f = FAULT_OK;

		if (r->daemons & 1u << i)
			f = control_ask(r->instance, daemons[i], SV("{\"verb\":\"reload\",\"what\":\"certificates\"}"), NULL, NULL, RELOAD_MS);
		/* One that does not run reads it when it starts: that, too, is no answer. */
		if (f.kind && f.kind != FAULT_UNAVAILABLE)
			log_error(NULL, "acme.reload_failed", KV_Z("daemon", daemons[i]), KV_FAULT("fault", f));
		if (f.kind)
			r->unread |= 1u << i;
	}
}

static void reload_done(struct work *work, bool is_cancelled)
{
	struct reload *r = CONTAINER_OF(work, struct reload, work);
	struct acme *a = r->acme;

	/* Busy: the old certificate must not be served until it ends. */
	a->unread = is_cancelled ? r->daemons : r->unread;
	a->read_again_ms = loop_now_ms(a->worker->loop) + RETRY_MIN_S * 1000;
	a->reload = NULL;
	free(r);
}

static void tell_daemons(struct acme *a, unsigned which)
{
	struct reload *r = xcalloc(1, sizeof(*r));

	*r = (struct reload){ .work = { .run = reload_run, .done = reload_done }, .acme = a, .instance = a->worker->instance, .daemons = which };
	if (work_submit(a->worker->loop, WORK_MAIL, &r->work).kind) {
		a->unread = which;      /* the next look sees to it */
		free(r);
		return;
	}
	a->reload = r;
}

/* A certificate that is another one than at the last look, whoever put it there. */
static void look_for_change(struct acme *a)
{
	const char *path = a->conf->tls.certificate;
	struct stat st;

	if (a->reload || stat(path, &st) != 0)
		return;
	bool is_same = st.st_ino == a->inode && st.st_mtim.tv_sec == a->changed.tv_sec && st.st_mtim.tv_nsec == a->changed.tv_nsec;

	a->inode = st.st_ino;
	a->changed = st.st_mtim;
	if (a->has_looked && !is_same) {
		log_info(NULL, "acme.certificate_changed", KV_Z("file", path));
		tell_daemons(a, (1u << ARRAY_LEN(daemons)) - 1);
	} else if (a->unread && loop_now_ms(a->worker->loop) >= a->read_again_ms) {
		tell_daemons(a, a->unread);
	}
	a->has_looked = true;
}

/* ---- when ---- */

static bool is_on(const struct acme *a)
{
	return *a->conf->acme.directory;
}

bool acme_is_due(const struct tls_cert_facts *cert, int64_t now_s)
{
	int64_t life_s = cert->not_after_s - cert->not_before_s;
	uint8_t hash[CRYPT_HASH_MAX];

	if (cert->is_self_signed)
		return true;
	crypt_digest(CRYPT_SHA256, sv_z(cert->fingerprint), hash);
	return now_s >= cert->not_after_s - life_s / 3 - life_s / 30 * hash[0] / 255;
}

static bool is_due_by_date(const struct acme *a, int64_t now_s)
{
	struct tls_cert_facts cert;

	return tls_cert_read(a->conf->tls.certificate, &cert).kind || acme_is_due(&cert, now_s);
}

static void path_in(const struct acme *a, const char *name, char out[4096])
{
	snprintf(out, 4096, "%s/%s", a->folder, name);
}

/* What must not be forgotten by a restart: authorities shut out who asks too often. */
static void save_state(struct acme *a)
{
	char path[4096];
	struct buf text;
	struct fault f;

	buf_init(&text, 1024);
	buf_appendf(&text, "%lld %llu %lld\n%s\n", (long long)a->next_s, (unsigned long long)a->failures, (long long)a->last_s, a->last_error);
	path_in(a, "acme-state", path);
	f = textfile_replace(path, buf_sv(&text));
	if (f.kind)
		log_warn(NULL, "acme.state_lost", KV_FAULT("fault", f));
	buf_done(&text);
}

static void load_state(struct acme *a)
{
	struct sv rest, line, word;
	uint64_t n[3] = { 0 };
	char path[4096];
	struct buf text;

	buf_init(&text, 1024);
	path_in(a, "acme-state", path);
	if (!textfile_read(path, &text).kind) {
		rest = buf_sv(&text);
		sv_split(&rest, '\n', &line);
		for (size_t i = 0; i < ARRAY_LEN(n) && sv_split(&line, ' ', &word); i++)
			if (!sv_to_u64(word, &n[i]) || n[i] > INT64_MAX)
				n[i] = 0;
		sv_split(&rest, '\n', &line);
		snprintf(a->last_error, sizeof(a->last_error), "%.*s", SV_FMT(line));
		/* A clock that was wrong must not put the next attempt off for years. */
		if (n[0] <= (uint64_t)time(NULL) + 2 * RETRY_MAX_S)
			a->next_s = (int64_t)n[0];
		a->failures = n[1];
		a->last_s = (int64_t)n[2];
	}
	buf_done(&text);
}

/* Without control characters: texts of strangers. */
static void keep_error(struct acme *a, const char *text)
{
	snprintf(a->last_error, sizeof(a->last_error), "%s", text);
	for (char *p = a->last_error; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

static void failed(struct acme *a, struct fault f)
{
	int64_t wait_s = RETRY_MIN_S, now_s = time(NULL);
	uint8_t jitter;

	for (uint64_t i = 0; i < a->failures && wait_s < RETRY_MAX_S; i++)
		wait_s *= 2;
	if (wait_s > RETRY_MAX_S)
		wait_s = RETRY_MAX_S;
	crypt_random(&jitter, 1);
	a->failures++;
	a->last_s = now_s;
	a->next_s = now_s + wait_s + wait_s * jitter / 2550;
	keep_error(a, f.detail ? f.detail : fault_name(f.kind));
	log_error(NULL, "acme.failed", KV_FAULT("fault", f), KV_U64("failures", a->failures), KV_I64("again_in_s", a->next_s - now_s));
	save_state(a);
}

/* A name that is to be proven has no address: no failure that an authority knows of, so it is tried again soon. */
static void wait_for_name(struct acme *a, const char *name)
{
	char text[sizeof(a->last_error)];

	snprintf(text, sizeof(text), "%s has no address in the DNS yet: postroom dns DOMAIN shows the records that are to be there", name);
	if (strcmp(text, a->last_error) != 0)
		log_warn(NULL, "acme.waits", KV_Z("name", name), KV_Z("for", "an address in the DNS"), KV_U64("again_in_s", WAIT_S));
	keep_error(a, text);
	a->last_s = time(NULL);
	a->next_s = a->last_s + WAIT_S;
	save_state(a);
}

/* ---- one order ---- */

static void begin(struct acme *a);
static void begin_unless_met(struct acme *a);

static struct fault need_account(struct acme *a)
{
	char path[4096];
	struct buf pem;
	struct fault f;

	if (a->account)
		return FAULT_OK;
	path_in(a, "acme-account.pem", path);
	buf_init(&pem, KEY_MAX);
	f = textfile_read(path, &pem);
	if (f.kind == FAULT_NOT_FOUND) {
		f = es256_key_new(&pem);
		if (!f.kind)
			f = textfile_replace(path, buf_sv(&pem));       /* mode 0600 */
	}
	if (!f.kind)
		f = es256_key_read(buf_sv(&pem), &a->account);
	buf_wipe(&pem);
	return f;
}

/* The authority has closed the account, or lost it: a new one, once; the old key is kept aside. */
static void renounce_account(struct acme *a)
{
	char path[4096], aside[4096];

	path_in(a, "acme-account.pem", path);
	path_in(a, "acme-account.pem.old", aside);
	log_warn(NULL, "acme.account_gone", KV_Z("kept", aside));
	if (rename(path, aside) != 0)
		log_error(NULL, "acme.account_kept", KV_FAULT("fault", fault_errno("rename", path)));
	es256_key_free(&a->account);
}

/* Read by what the daemons read it with, aside, before it takes the old one's place: those that cannot load it do not start. */
static struct fault put_certificate(struct acme *a, struct sv chain)
{
	const struct conf_tls *tls = &a->conf->tls;
	struct tls_server *server = NULL;
	char aside[4096];
	struct fault f;

	path_in(a, "acme-new.pem", aside);
	f = textfile_replace(aside, chain);
	if (!f.kind)
		f = tls_server_new(&(struct tls_settings){ .pairs = &(struct tls_pair){ aside, tls->key }, .count = 1 }, &server);
	tls_server_free(&server);
	unlink(aside);
	return f.kind ? f : textfile_replace(tls->certificate, chain);  /* the old one or the new one, whatever happens */
}

static bool is_given(const struct acme *a, struct sv name)
{
	const struct conf_list *given = &a->conf->acme.names;

	for (size_t i = 0; i < given->count; i++)
		if (sv_eq_nocase(name, sv_z(strcmp(given->items[i], "hostname") == 0 ? a->conf->host.hostname : given->items[i])))
			return true;
	return false;
}

static bool is_left_out(const struct acme *a, struct sv name, int64_t now_s)
{
	for (size_t i = 0; i < ARRAY_LEN(a->left_out); i++)
		if (a->left_out[i].until_s > now_s && a->left_out[i].until_s <= now_s + LEFT_OUT_S && sv_eq_nocase(name, sv_z(a->left_out[i].name)))
			return true;
	return false;
}

/* leave_out - go on without a domain's name. False: it is one that has to be there. When that cannot be proven either, the fault is
 * here and not with the others: all are tried again. What the certificate is for already is given up last. */
static bool leave_out(struct acme *a, struct sv name)
{
	size_t at = 0;

	while (at < a->name_count && !sv_eq_nocase(a->names[at], name))
		at++;
	if (at == a->name_count)
		return false;
	if (is_given(a, name) || a->name_count == 1) {
		memset(a->left_out, 0, sizeof(a->left_out));
		return false;
	}
	if (a->failures < PATIENCE && tls_request_is_met(a->conf->tls.certificate, &a->names[at], 1))
		return false;
	snprintf(a->left_out[a->left_out_at].name, sizeof(a->left_out[0].name), "%.*s", SV_FMT(name));
	a->left_out[a->left_out_at].until_s = time(NULL) + LEFT_OUT_S;
	a->left_out_at = (a->left_out_at + 1) % ARRAY_LEN(a->left_out);
	a->name_count--;
	memmove(&a->names[at], &a->names[at + 1], (a->name_count - at) * sizeof(a->names[0]));
	return true;
}

static void on_order(void *arg, const struct acme_result *r)
{
	struct acme *a = arg;
	struct fault f = r->fault;

	if (r->is_account_gone && !a->is_second_account) {
		renounce_account(a);
		a->is_second_account = true;
		a->order = NULL;
		begin(a);
		return;
	}
	a->is_second_account = false;
	if (f.kind && leave_out(a, r->name)) {
		log_warn(NULL, "acme.left_out", KV_SV("name", r->name), KV_FAULT("fault", f), KV_U64("again_in_s", LEFT_OUT_S));
		a->order = NULL;
		begin_unless_met(a);
		return;
	}
	if (!f.kind)
		f = tls_request_check(r->chain, a->names, a->name_count, a->conf->tls.key);
	if (!f.kind)
		f = put_certificate(a, r->chain);
	if (f.kind) {
		failed(a, f);
		return;
	}
	a->failures = 0;
	a->next_s = 0;
	a->last_s = time(NULL);
	a->last_error[0] = '\0';
	a->renewals++;
	save_state(a);
	/* Should the new one be due at once, by an odd life or an odd clock, that makes no stream of orders. */
	a->next_s = a->last_s + SETTLE_S;
	log_info(NULL, "acme.certificate", KV_SV("name", a->names[0]), KV_U64("names", a->name_count));
	look_for_change(a);
}

static bool is_in_folder(const struct acme *a, const char *path)
{
	size_t n = strlen(a->folder);

	return strncmp(path, a->folder, n) == 0 && path[n] == '/';
}

static struct fault ready_for_order(struct acme *a)
{
	const struct conf *conf = a->conf;
	struct fault f;

	if (!a->http)
		return fault(FAULT_UNSUPPORTED, "HTTPS cannot be spoken here: see the log");
	if (!is_in_folder(a, conf->tls.certificate) || !is_in_folder(a, conf->tls.key))
		return fault(FAULT_DENIED, "tls-certificate and tls-key lie outside the instance: they are yours to renew; unset them or acme-directory");
	if (mkdir(a->proofs, 0700) != 0 && errno != EEXIST)
		return fault_errno("mkdir", a->proofs);
	if (a->conf->acme.challenge == CONF_ACME_DNS && a->dns_key_fault.kind)
		return a->dns_key_fault;
	f = need_account(a);
	return f;
}

static void begin(struct acme *a)
{
	const struct conf *conf = a->conf;
	struct fault f = ready_for_order(a);

	if (f.kind) {
		failed(a, f);
		return;
	}
	log_info(NULL, "acme.begin", KV_Z("directory", conf->acme.directory), KV_SV("name", a->names[0]), KV_U64("names", a->name_count));
	acme_order(a->worker->loop, a->http,
		   &(struct acme_settings){
			   .directory = conf->acme.directory,
			   .contact = conf->acme.contact,
			   .names = a->names,
			   .name_count = a->name_count,
			   .account = a->account,
			   .key_path = conf->tls.key,
			   .proofs = a->proofs,
			   .challenge = conf->acme.challenge,
			   .zone = &a->zone,
		   },
		   on_order, a, &a->order);
}

/* is_met - nobody needs to be asked: what there is is for all names, and will be for long. */
static bool is_met(const struct acme *a)
{
	return !a->order_is_forced && !is_due_by_date(a, time(NULL)) &&
	       tls_request_is_met(a->conf->tls.certificate, a->names, a->name_count);
}

static void begin_unless_met(struct acme *a)
{
	if (!is_met(a))
		begin(a);
}

/* ---- which names ---- */

static void on_names(void *arg, const struct acme_names *found)
{
	struct acme *a = arg;
	bool is_forced = a->is_forced;

	a->is_forced = false;
	a->names_s = time(NULL) + NAMES_S;
	memcpy(a->name_texts, found->text, sizeof(a->name_texts));
	a->name_count = 0;
	for (size_t i = 0; i < found->count; i++)
		if (is_forced || !is_left_out(a, sv_z(a->name_texts[i]), time(NULL)))
			a->names[a->name_count++] = sv_z(a->name_texts[i]);
	a->order_is_forced = is_forced;
	if (is_met(a))
		return;
	/* Even a resolver that keeps nothing says within a second what it said; somebody may have published it in that second. */
	if (found->missing && is_forced && a->looks++ < FORCED_LOOKS) {
		a->is_forced = true;
		timer_start_ms(&a->look, FORCED_LOOK_MS);
		return;
	}
	a->looks = 0;
	if (found->missing)
		wait_for_name(a, found->missing);
	else
		begin(a);
}

static bool take_domain(void *arg, const struct json *line)
{
	struct buf *domains = arg;
	struct sv name;

	return !json_get_sv(line, "domain", &name) || (buf_append(domains, name) && buf_append_c(domains, '\n'));
}

static void ask_domains_run(struct work *work)
{
	struct ask_domains *ask = CONTAINER_OF(work, struct ask_domains, work);

	ask->fault = control_ask(ask->instance, "webd", SV("{\"verb\":\"domains\"}"), take_domain, &ask->domains, DOMAINS_MS);
}

static void ask_domains_done(struct work *work, bool is_cancelled)
{
	struct ask_domains *ask = CONTAINER_OF(work, struct ask_domains, work);
	struct acme *a = ask->acme;

	if (a)
		a->asking = NULL;
	if (a && !is_cancelled && ask->fault.kind) {
		/* The worker starts, or starts again: no authority knows of that. */
		log_debug(NULL, "acme.no_domains", KV_FAULT("fault", ask->fault));
		timer_start_ms(&a->look, FIRST_LOOK_MS);
	} else if (a && !is_cancelled) {
		acme_names_look(a->worker->loop, a->dns, a->conf, buf_sv(&ask->domains), on_names, a, &a->names_look);
	}
	buf_done(&ask->domains);
	free(ask);
}

/* look_at_names - what the certificate is to be for may have changed; an order begins when it is not, or when it is due. */
static void look_at_names(struct acme *a)
{
	struct ask_domains *ask = xcalloc(1, sizeof(*ask));

	*ask = (struct ask_domains){ .work = { .run = ask_domains_run, .done = ask_domains_done }, .acme = a, .instance = a->worker->instance };
	buf_init(&ask->domains, DOMAINS_MAX);
	if (work_submit(a->worker->loop, WORK_MAIL, &ask->work).kind)
		free(ask);              /* the next look sees to it */
	else
		a->asking = ask;
}

static bool is_busy(const struct acme *a)
{
	return a->asking || a->names_look || a->order;
}

static void raise_alarm(struct acme *a, int64_t now_s)
{
	struct tls_cert_facts cert;

	if (a->alarm_s + DAY_S > now_s || tls_cert_read(a->conf->tls.certificate, &cert).kind ||
	    cert.not_after_s - now_s >= (int64_t)ALARM_DAYS * DAY_S)
		return;
	a->alarm_s = now_s;
	log_error(NULL, "tls.certificate_ends", KV_I64("days_left", (cert.not_after_s - now_s) / DAY_S), KV_Z("file", a->conf->tls.certificate),
		  KV_Z("last_error", a->last_error));
}

static void on_look(struct timer *t)
{
	struct acme *a = CONTAINER_OF(t, struct acme, look);
	int64_t now_s = time(NULL);

	timer_start_ms(&a->look, LOOK_MS);
	/* The clock went back: what was put off by its old time would wait for years. */
	if (a->next_s > now_s + 2 * RETRY_MAX_S)
		a->next_s = now_s;
	if (a->alarm_s > now_s)
		a->alarm_s = 0;
	look_for_change(a);
	raise_alarm(a, now_s);
	if (a->names_s > now_s + NAMES_S)
		a->names_s = now_s;
	if (is_on(a) && !is_busy(a) &&
	    (a->is_forced || (now_s >= a->next_s && (now_s >= a->names_s || is_due_by_date(a, now_s)))))
		look_at_names(a);
}

/* ---- verbs ---- */

static void put_state(struct acme *a, struct control_reply *reply)
{
	struct json_out *j = control_line(reply);
	int64_t now_s = time(NULL);

	json_out_z(j, "state", !is_on(a) ? "off" : is_busy(a) || a->is_forced ? "asking" : a->failures ? "failed" : "waiting");
	json_out_z(j, "directory", a->conf->acme.directory);
	json_out_array(j, "names");
	for (size_t i = 0; i < a->name_count; i++)
		json_out_sv(j, NULL, a->names[i]);
	json_out_array_end(j);
	json_out_u64(j, "failures", a->failures);
	json_out_u64(j, "renewals", a->renewals);
	json_out_z(j, "last_error", a->last_error);
	json_out_i64(j, "last", a->last_s);
	json_out_i64(j, "again_in_s", *a->last_error && a->next_s > now_s ? a->next_s - now_s : 0);
	(void)control_line_end(reply);
	control_finish(&reply, FAULT_OK);
}

static void do_state(void *arg, const struct json *request, struct control_reply *reply)
{
	(void)request;
	put_state(((struct worker *)arg)->state, reply);
}

/* Begin now, whatever the certificate and earlier failures say. The answer does not wait for the end. */
static void do_renew(void *arg, const struct json *request, struct control_reply *reply)
{
	struct acme *a = ((struct worker *)arg)->state;

	(void)request;
	if (!is_on(a)) {
		control_finish(&reply, fault(FAULT_INVALID, "acme-directory is not set: nobody is asked for certificates"));
		return;
	}
	a->is_forced = true;
	if (!is_busy(a))
		look_at_names(a);
	put_state(a, reply);
}

static const struct control_verb verbs[] = {
	{ .name = "acme", .doc = "how the certificate is looked after", .run = do_state },
	{ .name = "acme-renew", .doc = "ask for a certificate now", .run = do_renew },
	{ .name = NULL },
};

/* ---- life ---- */

/* The helper sees no other key of that folder: this one is read while nothing is closed yet. */
static void open_dns_key(struct acme *a, const struct instance *instance)
{
	char path[4096];
	struct fault f;

	snprintf(path, sizeof(path), "%s/" DNSUPDATE_KEY, instance_path(instance, INSTANCE_KEYS));
	f = dnsupdate_read_key(path, &a->dns_key);
	if (f.kind == FAULT_NOT_FOUND)
		snprintf(a->dns_key_why, sizeof(a->dns_key_why), "acme-challenge is dns-01, and there is no key in %.100s: " DNSUPDATE_KEY_HINT
			 "; then: postroom stop, postroom serve", path);
	else
		snprintf(a->dns_key_why, sizeof(a->dns_key_why), "%s", f.detail ? f.detail : fault_name(f.kind));
	a->dns_key_fault = f.kind ? fault(f.kind, a->dns_key_why) : FAULT_OK;
	a->zone = (struct dnsproof_zone){ .loop = a->worker->loop, .dns = a->dns, .key = &a->dns_key, .folder = a->proofs };
}

static struct fault acme_open(struct worker *w)
{
	struct acme *a = xcalloc(1, sizeof(*a));
	const struct conf *conf = w->conf;
	struct http_settings settings = {
		.ca_file = *conf->relay.ca_file ? conf->relay.ca_file : NULL,
		.allow_private = conf->relay.fetch_private,
		.agent = "Postroom/" POSTROOM_VERSION,
	};
	struct fault f;

	w->state = a;
	a->worker = w;
	a->conf = conf_ref(w->conf);
	snprintf(a->folder, sizeof(a->folder), "%s", instance_path(w->instance, INSTANCE_TLS));
	snprintf(a->proofs, sizeof(a->proofs), "%s/acme", a->folder);
	timer_init(&a->look, w->loop, on_look);
	if (!*conf->acme.directory)
		return FAULT_OK;        /* nobody is asked: no libcurl, no resolver */
	f = dns_new_for_waiting(w->loop, &conf->dns, &a->dns);
	if (f.kind)
		return f;
	if (conf->acme.challenge == CONF_ACME_DNS)
		open_dns_key(a, w->instance);
	f = http_new(w->loop, a->dns, &settings, &a->http);
	if (f.kind)
		log_error(NULL, "acme.closed", KV_FAULT("fault", f));
	return FAULT_OK;
}

static struct fault acme_start(struct worker *w)
{
	struct acme *a = w->state;

	load_state(a);
	if (!w->is_rehearsal && is_on(a) && a->conf->acme.challenge == CONF_ACME_DNS && !a->dns_key_fault.kind)
		dnsproof_sweep(&a->zone);
	timer_start_ms(&a->look, FIRST_LOOK_MS);
	return FAULT_OK;
}

static void forget_all(struct acme *a)
{
	if (a->asking)
		a->asking->acme = NULL;
	a->asking = NULL;
	acme_names_forget(&a->names_look);
	acme_forget(&a->order);
}

static void acme_stop(struct worker *w)
{
	struct acme *a = w->state;

	timer_stop(&a->look);
	forget_all(a);
	worker_stopped(w);
}

static void acme_end(struct worker *w)
{
	struct acme *a = w->state;

	if (!a)
		return;
	forget_all(a);
	http_free(&a->http);
	dns_free(&a->dns);
	es256_key_free(&a->account);
	dnsmessage_key_done(&a->dns_key);
	conf_unref(&a->conf);
	free(a);
	w->state = NULL;
}

static void acme_status(struct worker *w, struct json_out *j)
{
	const struct acme *a = w->state;

	json_out_z(j, "acme", !is_on(a) ? "off" : is_busy(a) ? "asking" : a->failures ? "failed" : "waiting");
	json_out_u64(j, "renewals", a->renewals);
	json_out_u64(j, "failures", a->failures);
}

static const struct conf_list *acme_files(const struct conf *conf)
{
	return &conf->dns.anchors;
}

const struct daemon_spec acme_spec = {
	.name = "acme",
	.doc = "look after the certificate",
	.writes = 1u << INSTANCE_TLS,
	.may_connect = true,
	.reads_files = acme_files,
	.open = acme_open,
	.start = acme_start,
	.stop = acme_stop,
	.end = acme_end,
	.status = acme_status,
	.verbs = verbs,
};
