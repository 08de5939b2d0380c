#include "admin/dnspublish.h"

#include <stdlib.h>

#include "admin/print.h"
#include "common/dnsupdate.h"
#include "common/instance.h"
#include "common/memory.h"
#include "common/textfile.h"

#include "common/banned.h"

#define LEDGER "dns-published"
#define LEDGER_MAX ((size_t)4 << 20)

enum outcome { WAS_THERE, ADDED, REPLACED, LEFT_ALONE, LEFT_WRONG, BARRED_BY_ALIAS, BARRED_FOR_ALIAS, NOT_SEEN, OTHER_ZONE };

/* One line of the update. */
struct dns_change {
	const struct dnsrecord *record;
	enum dnsmessage_class class;
	struct sv rdata;                /* of the record, or of an answer that the lookup keeps */
};

struct publishing {
	struct facts *facts;
	struct netaddr primary;
	char zone[DNS_NAME_MAX + 1];
	struct dnsmessage_key key;
	struct buf message, ledger, new_ledger;
	struct dns_change *changes;
	size_t change_count;
	struct findings findings;
	enum outcome outcomes[DNSRECORDS_MAX];
};

/* ---- what was published before ---- */

static char *ledger_path(const struct cli *cli)
{
	struct buf path;
	size_t len;

	buf_init(&path, 8192);
	buf_appendf(&path, "%s/%s", instance_path(cli->instance, INSTANCE_ROOT), LEDGER);
	buf_z(&path);
	return buf_take(&path, &len);
}

static void ledger_line(struct buf *out, const char *name, enum dns_type type, struct sv rdata)
{
	buf_appendf(out, "%s %s ", name, dnsrdata_type_name(type));
	for (size_t i = 0; i < rdata.len; i++)
		buf_appendf(out, "%02x", (unsigned char)rdata.p[i]);
	buf_append_c(out, '\n');
}

static bool ledger_has(const struct buf *ledger, const char *name, enum dns_type type, struct sv rdata)
{
	struct sv rest = buf_sv(ledger), line;
	struct buf wanted;
	bool has = false;

	buf_init(&wanted, 65536);
	ledger_line(&wanted, name, type, rdata);
	wanted.len--;           /* lines come without their end */
	while (!has && sv_split(&rest, '\n', &line))
		has = sv_eq(line, buf_sv(&wanted));
	buf_done(&wanted);
	return has;
}

static struct fault ledger_read(struct publishing *p)
{
	char *path = ledger_path(p->facts->cli);
	struct fault f = textfile_read(path, &p->ledger);

	free(path);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault ledger_write(struct publishing *p)
{
	char *path = ledger_path(p->facts->cli);
	struct fault f = textfile_replace(path, buf_sv(&p->new_ledger));

	free(path);
	return f;
}

/* ---- whom to ask ---- */

static int read_key(struct publishing *p, const char *path)
{
	struct buf own;

	buf_init(&own, 8192);
	if (!path)
		buf_appendf(&own, "%s/%s", instance_path(p->facts->cli->instance, INSTANCE_KEYS), DNSUPDATE_KEY);
	const char *file = path ? path : buf_z(&own);
	struct fault f = dnsupdate_read_key(file, &p->key);
	int code = EXIT_DONE;

	if (f.kind == FAULT_NOT_FOUND) {
		complain(DNSUPDATE_KEY_HINT, "there is no key in %s", file);
		code = EXIT_NOT_FOUND;
	} else if (f.kind == FAULT_INVALID) {
		complain("keymgr -t postroom hmac-sha256, or tsig-keygen postroom, prints one", "%s has no hmac-sha256 key", file);
		code = EXIT_FAILED;
	} else if (f.kind) {
		code = cli_fault(file, f);
	}
	buf_done(&own);
	return code;
}

static int find_primary(struct publishing *p, const char *server)
{
	const char *domain = p->facts->domains[0];
	struct netaddr servers[LOOKUP_SERVERS_MAX];
	char primary[DNS_NAME_MAX + 1];
	size_t count = 0;

	if (server && !dnsclient_parse_server(server, &servers[count++]))
		return cli_usage(p->facts->cli, "--server takes an address, such as 192.0.2.53 or 127.0.0.1@5353, not \"%s\"", server);
	if (!server)
		count = lookup_authorities(p->facts->lookup, domain, servers, p->zone);
	for (size_t i = 0; i < count; i++) {
		if (!dnsupdate_find_zone(&servers[i], domain, p->zone, primary))
			continue;
		p->primary = servers[i];
		/* Only the primary takes updates (RFC 2136 §6); a secondary may pass them on. */
		struct netaddr own;
		if (!server && lookup_addresses(p->facts->lookup, primary, &own, 1, NULL)) {
			p->primary = own;
			p->primary.port = DNSCLIENT_PORT;
		}
		return EXIT_DONE;
	}
	complain("--server ADDRESS names the zone's primary server", "no name server of %s answers", domain);
	return EXIT_UNAVAILABLE;
}

static bool is_in_zone(const struct publishing *p, const char *name)
{
	struct sv text = sv_z(name), zone = sv_z(p->zone);

	return !zone.len || sv_eq(text, zone) || (sv_ends(text, zone) && text.p[text.len - zone.len - 1] == '.');
}

/* ---- what to change ---- */

/* Records that can stand beside ours: TXT with another beginning. All other kinds have one owner. */
static bool is_rival(const struct dnsrecord *r, struct sv rdata)
{
	struct buf ours, theirs;
	bool is_same = true;

	if (r->type != DNS_TXT)
		return true;
	buf_init(&ours, 65536);
	buf_init(&theirs, 65536);
	if (dns_txt_from(r->rdata, &ours) && dns_txt_from(rdata, &theirs)) {
		size_t end = 0;

		while (end < ours.len && ours.p[end] != ';' && ours.p[end] != ' ')
			end++;
		is_same = sv_starts_nocase(buf_sv(&theirs), sv_sub(buf_sv(&ours), 0, end));
	}
	buf_done(&ours);
	buf_done(&theirs);
	return is_same;
}

static void change(struct publishing *p, const struct dnsrecord *r, enum dnsmessage_class class, struct sv rdata)
{
	p->changes = xrealloc(p->changes, (p->change_count + 1) * sizeof(*p->changes));
	p->changes[p->change_count++] = (struct dns_change){ r, class, rdata };
}

static bool is_changed_before(const struct publishing *p, const struct dns_change *c)
{
	for (const struct dns_change *other = p->changes; other < c; other++)
		if (other->record->type == c->record->type && strcmp(other->record->name, c->record->name) == 0)
			return true;
	return false;
}

/* What was looked at must still be so when the update comes (RFC 2136 §2.4): no such records at that name, or exactly these. Another
 * program or administrator may be at it, too. */
static bool require_what_was_seen(struct publishing *p, const struct dnsrecord *r)
{
	const struct lookup_answer *a = lookup_ask(p->facts->lookup, r->name, r->type);
	bool fits = true;

	if (!a->count)
		return dnsmessage_add(&p->message, DNSMESSAGE_PREREQUISITE, sv_z(r->name), r->type, DNSMESSAGE_NONE, 0, SV_NONE);
	for (size_t i = 0; fits && i < a->count; i++)
		fits = dnsmessage_add(&p->message, DNSMESSAGE_PREREQUISITE, sv_z(r->name), r->type, DNSMESSAGE_IN, 0, a->records[i]);
	return fits;
}

static bool write_update(struct publishing *p)
{
	bool fits = true;

	for (size_t i = 0; fits && i < p->change_count; i++)
		if (!is_changed_before(p, &p->changes[i]))
			fits = require_what_was_seen(p, p->changes[i].record);
	for (size_t i = 0; fits && i < p->change_count; i++) {
		const struct dns_change *c = &p->changes[i];

		fits = dnsmessage_add(&p->message, DNSMESSAGE_CHANGE, sv_z(c->record->name), c->record->type, c->class,
				      c->class == DNSMESSAGE_IN ? DNSRECORDS_TTL_S : 0, c->rdata);
	}
	return fits;
}

static bool is_right(struct publishing *p, const struct dnsrecord *r, const struct lookup_answer *a)
{
	if (!r->kind->compare)
		return a->count > 0;
	r->kind->compare(p->facts, r, a, &p->findings);
	return p->findings.items[p->findings.count - 1].state == CHECK_GOOD;
}

/* What would be added beside a CNAME, or a CNAME beside anything else, is left out by the server, which says nothing of it
 * (RFC 2136 §3.4.2.2). */
static bool is_barred(struct publishing *p, const struct dnsrecord *r, const struct lookup_answer *a, enum outcome *out)
{
	static const enum dns_type others[] = { DNS_A, DNS_AAAA, DNS_TXT, DNS_MX };
	bool has_other = false;

	if (r->type != DNS_CNAME) {
		if (sv_eq_nocase(sv_z(a->name), sv_z(r->name)))
			return false;
		*out = is_right(p, r, a) ? LEFT_ALONE : BARRED_BY_ALIAS;
		return true;
	}
	for (size_t i = 0; !a->count && i < ARRAY_LEN(others); i++)
		has_other |= lookup_ask(p->facts->lookup, r->name, others[i])->count > 0;
	if (has_other)
		*out = is_right(p, r, a) ? LEFT_ALONE : BARRED_FOR_ALIAS;
	return has_other;
}

/* decide - what becomes of one record. False: it cannot be known. */
static bool decide(struct publishing *p, const struct dnsrecord *r, enum outcome *out)
{
	const struct lookup_answer *a = lookup_ask(p->facts->lookup, r->name, r->type);
	bool has_rival = false, has_old = false;

	if (a->status == DNS_TEMPFAIL) {
		complain("is it the right server, and does it have the zone?", "%s %s: %s", dnsrdata_type_name(r->type), r->name, a->why);
		return false;
	}
	if (is_barred(p, r, a, out))
		return true;
	*out = WAS_THERE;
	for (size_t i = 0; i < a->count; i++) {
		if (sv_eq(a->records[i], r->rdata)) {
			if (ledger_has(&p->ledger, r->name, r->type, r->rdata))
				ledger_line(&p->new_ledger, r->name, r->type, r->rdata);
			return true;
		}
		if (ledger_has(&p->ledger, r->name, r->type, a->records[i]))
			has_old = true;
		else
			has_rival |= is_rival(r, a->records[i]);
	}
	if (has_rival) {
		*out = is_right(p, r, a) ? LEFT_ALONE : LEFT_WRONG;
		return true;
	}
	for (size_t i = 0; has_old && i < a->count; i++)
		if (ledger_has(&p->ledger, r->name, r->type, a->records[i]) && is_rival(r, a->records[i]))
			change(p, r, DNSMESSAGE_NONE, a->records[i]);
	*out = has_old ? REPLACED : ADDED;
	change(p, r, DNSMESSAGE_IN, r->rdata);
	return true;
}

/* Lines of other domains' records, and of ours that are no longer looked at (retired keys), stay. */
static void keep_other_lines(struct publishing *p, const struct dnsrecords *records)
{
	struct sv rest = buf_sv(&p->ledger), line, name, type;

	while (sv_split(&rest, '\n', &line)) {
		struct sv words = line;
		bool is_looked_at = !line.len;

		(void)sv_split(&words, ' ', &name);
		(void)sv_split(&words, ' ', &type);
		for (size_t i = 0; i < records->count; i++)
			is_looked_at |= sv_eq(name, sv_z(records->items[i].name)) &&
					sv_eq(type, sv_z(dnsrdata_type_name(records->items[i].type)));
		if (!is_looked_at)
			buf_appendf(&p->new_ledger, "%.*s\n", SV_FMT(line));
	}
}

/* ---- the update ---- */

static int send_update(struct publishing *p)
{
	char address[NETADDR_TEXT_MAX];
	struct dnsupdate_answer answer;
	struct fault f = fault(FAULT_LIMIT, NULL);

	netaddr_text_port(&p->primary, address);
	if (write_update(p))
		f = dnsupdate_send(&p->primary, &p->key, &p->message, &answer);
	if (f.kind == FAULT_LIMIT) {
		complain(NULL, "the records do not fit into one update");
		return EXIT_FAILED;
	}
	if (f.kind) {
		complain("postroom dns DOMAIN --check tells what it did", "%s does not answer the update", address);
		return EXIT_UNAVAILABLE;
	}
	if (answer.doubt) {
		complain("the server must know this key, and let it update the zone", "%s: %s, %s", address,
			 dnsmessage_rcode_name(answer.rcode), answer.doubt);
		return EXIT_FAILED;
	}
	if (answer.rcode == DNSMESSAGE_NXRRSET || answer.rcode == DNSMESSAGE_YXRRSET) {
		complain("the same command again", "somebody changed the zone %s meanwhile (%s says %s); nothing was changed", p->zone, address,
			 dnsmessage_rcode_name(answer.rcode));
		return EXIT_UNAVAILABLE;
	}
	if (answer.rcode != DNSMESSAGE_NOERROR) {
		complain(answer.rcode == DNSMESSAGE_REFUSED || answer.rcode == DNSMESSAGE_NOTAUTH ? "let the key update the zone at the server" : NULL,
			 "%s says %s to the update; nothing was changed", address, dnsmessage_rcode_name(answer.rcode));
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

/* see - what the server shows now counts, not that it said "done": it does not tell what it left out. Its answers from before are
 * forgotten. What was seen is ours from now on. */
static void see(struct publishing *p, const struct dnsrecords *records)
{
	lookup_at(p->facts->lookup, &p->primary, 1);
	for (size_t i = 0; i < records->count; i++) {
		const struct dnsrecord *r = &records->items[i];
		bool is_there = false;

		if (p->outcomes[i] != ADDED && p->outcomes[i] != REPLACED)
			continue;
		const struct lookup_answer *a = lookup_ask(p->facts->lookup, r->name, r->type);

		for (size_t k = 0; k < a->count && sv_eq_nocase(sv_z(a->name), sv_z(r->name)); k++)
			is_there |= sv_eq(a->records[k], r->rdata);
		if (is_there || a->status == DNS_TEMPFAIL)
			ledger_line(&p->new_ledger, r->name, r->type, r->rdata);
		if (!is_there)
			p->outcomes[i] = NOT_SEEN;
	}
}

static size_t count_outcomes(const struct publishing *p, const struct dnsrecords *records, enum outcome outcome)
{
	size_t n = 0;

	for (size_t i = 0; i < records->count; i++)
		n += p->outcomes[i] == outcome;
	return n;
}

static void print_outcomes(const struct publishing *p, const struct dnsrecords *records)
{
	static const struct column columns[] = {
		{ "RECORD", "name", COLUMN_TEXT, NULL },
		{ "TYPE", "type", COLUMN_TEXT, NULL },
		{ "DONE", "done", COLUMN_TEXT, NULL },
	};
	static const char *const words[] = {
		[WAS_THERE] = "was there", [ADDED] = "added", [REPLACED] = "replaced",
		[LEFT_ALONE] = "left alone: another one is there, and fits",
		[LEFT_WRONG] = "left alone: another one is there that was not added here, and it is wrong",
		[BARRED_BY_ALIAS] = "not added: the name is an alias (CNAME), which can have no other record",
		[BARRED_FOR_ALIAS] = "not added: other records are at this name, and no alias (CNAME) can be beside them",
		[NOT_SEEN] = "sent, but the name server does not show it",
		[OTHER_ZONE] = "not in this zone: add it by hand",
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns), p->facts->cli->json);

	for (size_t i = 0; i < records->count; i++) {
		table_sv(t, sv_z(records->items[i].name));
		table_sv(t, sv_z(dnsrdata_type_name(records->items[i].type)));
		table_sv(t, sv_z(words[p->outcomes[i]]));
	}
	table_end(&t, NULL);
}

/* tell_what_is_left - what somebody has to do by hand. An exit code. */
static int tell_what_is_left(const struct publishing *p, const struct dnsrecords *records)
{
	static const struct {
		enum outcome outcome;
		const char *next, *what;
	} left[] = {
		{ LEFT_WRONG, "postroom dns DOMAIN --check tells what is wrong; remove what is in the way, and publish again",
		  "some records are wrong, and not ours to change" },
		{ BARRED_BY_ALIAS, "remove the CNAME and publish again, or have the record added where the CNAME leads to",
		  "some records cannot be added, since their names are aliases" },
		{ BARRED_FOR_ALIAS, "remove what is at these names and publish again, or let its addresses be those of this host",
		  "some names cannot lead here, since they have records of their own" },
		{ NOT_SEEN, "the same command again, which tells what is in the way; else look into the name server's log",
		  "the name server took the update, but does not show all of it" },
	};
	int code = EXIT_DONE;

	for (size_t i = 0; i < ARRAY_LEN(left); i++) {
		if (!count_outcomes(p, records, left[i].outcome))
			continue;
		complain(left[i].next, "%s", left[i].what);
		code = EXIT_FAILED;
	}
	return code;
}

static int publish(struct publishing *p, const struct dnsrecords *records)
{
	bool is_whole;

	is_whole = dnsupdate_begin(&p->message, p->zone);
	lookup_at(p->facts->lookup, &p->primary, 1);
	p->facts->is_at_authorities = true;
	for (size_t i = 0; is_whole && i < records->count; i++) {
		if (is_in_zone(p, records->items[i].name))
			is_whole = decide(p, &records->items[i], &p->outcomes[i]);
		else
			p->outcomes[i] = OTHER_ZONE;
	}
	if (!is_whole)
		return EXIT_UNAVAILABLE;
	keep_other_lines(p, records);

	int code = p->change_count ? send_update(p) : EXIT_DONE;

	if (code == EXIT_DONE)
		see(p, records);
	if (code == EXIT_DONE)
		code = cli_fault(LEDGER, ledger_write(p));
	if (code == EXIT_DONE)
		print_outcomes(p, records);
	return code == EXIT_DONE ? tell_what_is_left(p, records) : code;
}

int dnspublish(struct facts *facts, const struct dnsrecords *records, const char *server, const char *key)
{
	struct publishing *p = xcalloc(1, sizeof(*p));
	int code;

	p->facts = facts;
	buf_init(&p->message, DNSMESSAGE_MAX);
	buf_init(&p->ledger, LEDGER_MAX);
	buf_init(&p->new_ledger, LEDGER_MAX);
	findings_init(&p->findings);
	code = read_key(p, key);
	if (code == EXIT_DONE)
		code = find_primary(p, server);
	if (code == EXIT_DONE)
		code = cli_fault(LEDGER, ledger_read(p));
	if (code == EXIT_DONE)
		code = publish(p, records);
	findings_done(&p->findings);
	dnsmessage_key_done(&p->key);
	buf_done(&p->message);
	buf_done(&p->ledger);
	buf_done(&p->new_ledger);
	free(p->changes);
	free(p);
	return code;
}
