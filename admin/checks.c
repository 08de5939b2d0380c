#include "admin/checks.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/open.h"
#include "common/instance.h"
#include "common/json.h"

#include "common/banned.h"

#define FINDINGS_MAX 4096
#define ARENA_MAX ((size_t)8 << 20)
#define TEXT_MAX 16384
#define TIME_SERVER "pool.ntp.org"

/* In the order in which they run: what others need comes first. */
static const struct check checks[] = {
	{ "host.clock", "the clock", CHECKS_SETUP | CHECKS_DOCTOR, { NULL }, check_clock },
	{ "host.disk", "the disk", CHECKS_SETUP | CHECKS_DOCTOR, { NULL }, check_disk },
	{ "host.ports", "whether the ports are free", CHECKS_SETUP, { NULL }, check_ports },
	{ "dns.resolver", "whether names can be looked up", CHECKS_SETUP | CHECKS_DOCTOR | CHECKS_DNS, { NULL }, check_resolver },
	{ "dns.dnssec", "whether DNSSEC proofs come through", CHECKS_SETUP | CHECKS_DOCTOR, { "host.clock", "dns.resolver" },
	  check_dnssec },
	{ "host.address", "whether the host name leads to this machine", CHECKS_SETUP | CHECKS_DOCTOR | CHECKS_DNS,
	  { "dns.resolver", "dns.dnssec" }, check_forward },
	{ "host.reverse", "whether the addresses lead back to the host name", CHECKS_SETUP | CHECKS_DOCTOR,
	  { "dns.resolver", "dns.dnssec", "host.address" }, check_reverse },
	{ "host.lists", "whether block lists name this host", CHECKS_SETUP | CHECKS_DOCTOR,
	  { "dns.resolver", "dns.dnssec", "host.address" }, check_lists },
	{ "host.way-out", "whether mail can leave", CHECKS_SETUP | CHECKS_DOCTOR, { "dns.resolver", "dns.dnssec" }, check_way_out },
	{ "dns.records", "the DNS records of each domain", CHECKS_DOCTOR | CHECKS_DNS, { "dns.resolver", "dns.dnssec" },
	  check_records },
	{ "accounts.roles", "who reads postmaster and abuse", CHECKS_DOCTOR, { NULL }, check_roles },
	{ "server.running", "what runs", CHECKS_DOCTOR, { NULL }, check_running },
	{ "server.format", "the format of the instance", CHECKS_DOCTOR, { NULL }, check_format },
	{ "server.sandbox", "how it is confined", CHECKS_DOCTOR, { NULL }, check_sandbox },
	{ "server.delegates", "who administers single domains", CHECKS_DOCTOR, { "server.running" }, check_delegates },
	{ "server.certificate", "the certificate as clients see it", CHECKS_DOCTOR, { "host.clock", "server.running" },
	  check_certificates },
	{ "server.devices", "the listeners for old devices", CHECKS_DOCTOR, { NULL }, check_devices },
	{ "web.names", "whether the certificate is for the names that are asked by HTTPS", CHECKS_DOCTOR,
	  { "host.clock", "dns.resolver", "dns.dnssec" }, check_web_names },
	{ "store.indexes", "the indexes of the mailboxes", CHECKS_DOCTOR, { NULL }, check_indexes },
	{ "queue.waiting", "mail that waits", CHECKS_DOCTOR, { "dns.resolver", "dns.dnssec", "host.way-out", "server.running" },
	  check_queue },
	{ "queue.refused", "mail that others have refused", CHECKS_DOCTOR, { "host.lists", "host.reverse" }, check_refusals },
};

/* check_state_name - "good", "advice", "unknown", "warning", "fault". */
static const char *check_state_name(enum check_state state)
{
	static const char *const names[] = { [CHECK_GOOD] = "good",       [CHECK_ADVICE] = "advice", [CHECK_UNKNOWN] = "unknown",
					     [CHECK_WARNING] = "warning", [CHECK_FAULT] = "fault" };

	return names[state];
}

/* ---- findings ---- */

void findings_init(struct findings *fs)
{
	*fs = (struct findings){ .count = 0 };
	arena_init(&fs->arena, ARENA_MAX);
}

void findings_done(struct findings *fs)
{
	free(fs->items);
	arena_done(&fs->arena);
	*fs = (struct findings){ .count = 0 };
}

const char *findings_text(struct findings *fs, const char *format, ...)
{
	struct buf text;
	va_list ap;

	buf_init(&text, TEXT_MAX);
	va_start(ap, format);
	bool fits = buf_vappendf(&text, format, ap);
	va_end(ap);
	/* Names and replies of strangers go to somebody's terminal, and into a mail. */
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 127)
			text.p[i] = '?';
	struct sv copy = arena_copy(&fs->arena, fits ? buf_sv(&text) : SV("(too long to show)"));

	buf_done(&text);
	return copy.p ? copy.p : "";
}

void findings_add(struct findings *fs, struct finding finding)
{
	if (fs->count == FINDINGS_MAX)
		return;
	if (fs->count % 32 == 0)
		fs->items = xrealloc(fs->items, (fs->count + 32) * sizeof(*fs->items));
	finding.check = fs->check;
	fs->items[fs->count++] = finding;
}

enum check_state findings_worst(const struct findings *fs, const char *check)
{
	enum check_state worst = CHECK_GOOD;

	for (size_t i = 0; i < fs->count; i++)
		if ((!check || strcmp(fs->items[i].check, check) == 0) && fs->items[i].state > worst)
			worst = fs->items[i].state;
	return worst;
}

/* ---- running ---- */

/* may_run - what it needs was looked at and is no fault, or was not asked for now. */
static bool may_run(const struct check *check, const struct findings *fs)
{
	for (size_t i = 0; i < ARRAY_LEN(check->needs) && check->needs[i]; i++)
		if (findings_worst(fs, check->needs[i]) == CHECK_FAULT)
			return false;
	return true;
}

void checks_run(const struct facts *facts, unsigned who, struct findings *out, void (*progress)(const struct check *check))
{
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (!(checks[i].asked_by & who) || !may_run(&checks[i], out))
			continue;
		if (progress)
			progress(&checks[i]);
		out->check = checks[i].name;
		checks[i].run(facts, out);
	}
}

/* ---- telling ---- */

static void print_line(FILE *to, const char *label, const char *text)
{
	if (text)
		fprintf(to, "    %-10s %s\n", label, text);
}

void checks_print(const struct findings *fs, bool all, FILE *to)
{
	size_t counts[CHECK_FAULT + 1] = { 0 };

	for (size_t i = 0; i < fs->count; i++) {
		const struct finding *f = &fs->items[i];

		counts[f->state]++;
		if (f->state == CHECK_GOOD) {
			if (all)
				fprintf(to, "good     %s: %s\n", f->subject, f->found);
			continue;
		}
		if (f->state == CHECK_ADVICE && !all)
			continue;
		fprintf(to, "%-8s %s\n", f->state == CHECK_FAULT ? "FAULT" : check_state_name(f->state), f->subject);
		print_line(to, "found", f->found);
		print_line(to, "expected", f->expected);
		print_line(to, "meanwhile", f->meanwhile);
		print_line(to, "mend", f->mend);
	}
	fprintf(to, "%s%zu good", fs->count > counts[CHECK_GOOD] + (all ? 0 : counts[CHECK_ADVICE]) ? "\n" : "", counts[CHECK_GOOD]);
	for (int s = CHECK_FAULT; s > CHECK_GOOD; s--)
		if (counts[s])
			fprintf(to, ", %zu %s%s", counts[s], check_state_name((enum check_state)s),
				counts[s] > 1 && (s == CHECK_FAULT || s == CHECK_WARNING) ? "s" : "");
	fprintf(to, "%s\n", counts[CHECK_ADVICE] && !all ? " (--all shows it)" : "");
}

static void put_finding(struct json_out *j, const struct finding *f)
{
	json_out_object(j, NULL);
	json_out_z(j, "check", f->check);
	json_out_z(j, "state", check_state_name(f->state));
	json_out_z(j, "subject", f->subject);
	json_out_z(j, "found", f->found);
	json_out_z(j, "expected", f->expected);
	json_out_z(j, "meanwhile", f->meanwhile);
	json_out_z(j, "mend", f->mend);
	json_out_object_end(j);
}

void checks_print_json(const struct findings *fs)
{
	struct json_out j;
	struct buf out;

	buf_init(&out, ARENA_MAX);
	json_out_init(&j, &out);
	json_out_object(&j, NULL);
	json_out_z(&j, "worst", check_state_name(findings_worst(fs, NULL)));
	json_out_array(&j, "findings");
	for (size_t i = 0; i < fs->count; i++)
		put_finding(&j, &fs->items[i]);
	json_out_array_end(&j);
	json_out_object_end(&j);
	printf("%.*s\n", SV_FMT(buf_sv(&out)));
	buf_done(&out);
}

int checks_exit_code(const struct findings *fs)
{
	switch (findings_worst(fs, NULL)) {
	case CHECK_GOOD:
	case CHECK_ADVICE:  return EXIT_DONE;
	case CHECK_UNKNOWN: return EXIT_UNAVAILABLE;
	case CHECK_WARNING:
	case CHECK_FAULT:   return EXIT_FAILED;
	}
	return EXIT_FAILED;
}

/* ---- facts ---- */

bool address_is_private(const struct netaddr *address)
{
	static const char *const texts[] = { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
					     "127.0.0.0/8", "fe80::/10", "fc00::/7", "::1", "0.0.0.0/8" };
	struct ipnet net;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (ipnet_parse(sv_z(texts[i]), &net) && ipnet_has(&net, address->ip))
			return true;
	return false;
}

/* What can be bound is ours, also an address that no interface lists (the rest of 127.0.0.0/8, routes of type local). */
bool address_is_own(const struct netaddr *address)
{
	struct netaddr any_port = *address;
	union netaddr_name at;

	any_port.port = 0;
	socklen_t len = netaddr_to(&any_port, &at);
	int fd = socket(at.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	bool is_bound = bind(fd, &at.sa, len) == 0;

	close(fd);
	return is_bound;
}

bool facts_can_ask(const struct facts *facts, const char *name)
{
	struct sv text = sv_z(name), domain = facts->domain_count ? sv_z(facts->domains[0]) : SV_NONE;

	return !facts->is_at_authorities || sv_eq(text, domain) ||
	       (sv_ends(text, domain) && text.p[text.len - domain.len - 1] == '.');
}

bool facts_is_behind_nat(const struct facts *facts)
{
	for (size_t i = 0; i < facts->address_count; i++)
		if (facts->addresses[i].family == NET_IPV4 && !address_is_private(&facts->addresses[i]))
			return false;
	return true;
}

static void gather_addresses(struct facts *facts)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) != 0)
		return;
	for (const struct ifaddrs *i = list; i && facts->address_count < FACTS_ADDRESSES_MAX; i = i->ifa_next) {
		if (!i->ifa_addr || !(i->ifa_flags & IFF_UP))
			continue;
		struct netaddr a = netaddr_from(i->ifa_addr, i->ifa_addr->sa_family == AF_INET ? 16 : 28);

		a.port = 0;
		if (a.family == NET_IPV4 || a.family == NET_IPV6)
			facts->addresses[facts->address_count++] = a;
	}
	freeifaddrs(list);
}

static bool add_domain(void *arg, const struct directory_domain *domain)
{
	struct facts *facts = arg;

	if (facts->domain_count == FACTS_DOMAINS_MAX)
		return false;
	snprintf(facts->domains[facts->domain_count++], FACTS_NAME_SIZE, "%s", domain->name);
	return true;
}

static int gather_domains(struct facts *facts, const char *only)
{
	struct directory *dir = NULL;
	struct directory_domain domain;
	struct fault f;
	int code = open_directory(facts->cli, &dir);

	if (code != EXIT_DONE)
		return code;
	facts->domains = xcalloc(FACTS_DOMAINS_MAX, sizeof(*facts->domains));
	if (only) {
		f = directory_domain_get(dir, sv_z(only), &domain);
		if (!f.kind)
			add_domain(facts, &domain);
	} else {
		f = directory_domain_list(dir, add_domain, facts);
	}
	directory_close(&dir);
	return cli_fault(only ? only : "domains", f);
}

static bool listens_locally(const struct conf *conf)
{
	struct netaddr a;

	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		if (l->kind == LISTENER_MX && l->address && !(netaddr_parse(sv_z(l->address), &a) && netaddr_is_loopback(&a)))
			return false;
	}
	return true;
}

int facts_gather(struct cli *cli, const char *domain, struct facts *out)
{
	int code;

	*out = (struct facts){ .cli = cli, .time_server = TIME_SERVER };
	code = open_conf(cli, &out->conf);
	if (code == EXIT_DONE)
		code = gather_domains(out, domain);
	if (code != EXIT_DONE)
		return code;
	gather_addresses(out);
	out->is_local = listens_locally(out->conf);
	out->has_cert = !tls_cert_read(out->conf->tls.certificate, &out->cert).kind;
	code = cli_fault("the resolver", lookup_new(&out->conf->dns, &out->lookup));
	/* Asked at once, so that a resolver that is silent costs one wait and not several. */
	if (code == EXIT_DONE)
		lookup_want(out->lookup, out->conf->host.hostname, DNS_A);
	if (code == EXIT_DONE && out->domain_count)
		lookup_want(out->lookup, out->domains[0], DNS_MX);
	return code;
}

void facts_done(struct facts *facts)
{
	lookup_free(&facts->lookup);
	free(facts->domains);
	facts->domains = NULL;
	conf_unref(&facts->conf);
}
