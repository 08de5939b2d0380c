/* admin/checks.h - the one engine of `setup`, `doctor` and `dns --check`: a table of checks, each a function from facts to
 * findings: what was found, what is expected, what does not work meanwhile, how to mend it. A check that could only repeat what
 * an earlier one has found is not run, so that one fault gives one finding. Blocks. One thread. */
#ifndef ADMIN_CHECKS_H
#define ADMIN_CHECKS_H

#include <stdio.h>

#include "admin/cli.h"
#include "admin/lookup.h"
#include "common/conf.h"
#include "common/directory.h"
#include "common/memory.h"
#include "common/tls.h"

enum check_state {
	CHECK_GOOD = 0,
	CHECK_ADVICE,           /* could be better; nothing is wrong */
	CHECK_UNKNOWN,          /* could not be found out */
	CHECK_WARNING,          /* something works less well than it should, or soon will not */
	CHECK_FAULT,            /* something does not work */
};

struct finding {
	const char *check;              /* the name of its row */
	enum check_state state;
	const char *subject;            /* which thing: "MX of example.org" */
	const char *found, *expected;   /* never NULL */
	const char *meanwhile;          /* what does not work until then; NULL when good */
	const char *mend;               /* what to do; NULL when good */
};

struct findings {
	struct arena arena;
	struct finding *items;
	size_t count;
	const char *check;              /* that runs now */
};
void findings_init(struct findings *fs);
void findings_done(struct findings *fs);
/** findings_text - a text that lives as long as the findings. */
const char *findings_text(struct findings *fs, const char *format, ...) PRINTF_LIKE(2, 3);
/** findings_add - one more, of the check that runs. Texts are borrowed: literals, or findings_text(). */
void findings_add(struct findings *fs, struct finding finding);
/** findings_worst - the worst state among those of a check; of all with check NULL. */
enum check_state findings_worst(const struct findings *fs, const char *check);

#define FACTS_DOMAINS_MAX 64
#define FACTS_ADDRESSES_MAX 32
#define FACTS_NAME_SIZE (ADDRESS_DOMAIN_MAX + 1)

/* What checks look at, gathered once. */
struct facts {
	struct cli *cli;
	struct conf *conf;
	struct lookup *lookup;
	char (*domains)[FACTS_NAME_SIZE];
	size_t domain_count;
	struct netaddr addresses[FACTS_ADDRESSES_MAX];  /* of this machine's interfaces, loopback included */
	size_t address_count;
	bool is_local;                  /* it listens on loopback only: an instance to play with */
	bool has_cert;
	struct tls_cert_facts cert;     /* of the certificate file */
	const char *time_server;        /* HOST or ADDRESS[@PORT] */
	bool is_before_start;           /* setup asks: what is published and started next is not missing yet */
	bool is_at_authorities;         /* lookup asks name servers of the zone: nothing of elsewhere can be asked */
};

/** facts_gather - from an instance that is open. @domain: this one alone; NULL: all. Tells its error. facts_done() ends it,
 *  also after an error. */
int facts_gather(struct cli *cli, const char *domain, struct facts *out);
void facts_done(struct facts *facts);
/** address_is_own - is it this machine's? */
bool address_is_own(const struct netaddr *address);
/** facts_can_ask - is it a name of a zone that is asked? Always, by the resolver. */
bool facts_can_ask(const struct facts *facts, const char *name);
/** facts_is_behind_nat - no interface has a public address, so ours is elsewhere. */
bool facts_is_behind_nat(const struct facts *facts);
/** address_is_private - an address that the Internet does not know: RFC 1918, RFC 6598, link-local, ULA, loopback. */
bool address_is_private(const struct netaddr *address);

/* Who asks for a check. */
enum {
	CHECKS_SETUP = 1 << 0,          /* before setup promises anything: nothing runs yet */
	CHECKS_DOCTOR = 1 << 1,
	CHECKS_DNS = 1 << 2,            /* dns --check */
};

struct check {
	const char *name;               /* "dns.records" */
	const char *title;              /* "the DNS records of each domain" */
	unsigned asked_by;
	/* checks that have to be without fault, or what this one finds would only be what they found */
	const char *needs[4];
	void (*run)(const struct facts *facts, struct findings *findings);
};

/** checks_run - all that `who` asks for, in order. progress: called before each; may be NULL. */
void checks_run(const struct facts *facts, unsigned who, struct findings *out, void (*progress)(const struct check *check));
/** checks_print - findings for people: those that need something done, each with what to do, and a line that counts them; with
 *  all, the good ones too. */
void checks_print(const struct findings *fs, bool all, FILE *to);
/** checks_print_json - one object: worst state, and an array of findings. */
void checks_print_json(const struct findings *fs);
/** checks_exit_code - 0 nothing needs doing, 1 something does. */
int checks_exit_code(const struct findings *fs);

/* The checks themselves, by what they look at: rows of the table in checks.c. */
void check_resolver(const struct facts *facts, struct findings *fs);
void check_dnssec(const struct facts *facts, struct findings *fs);
void check_forward(const struct facts *facts, struct findings *fs);
void check_reverse(const struct facts *facts, struct findings *fs);
void check_records(const struct facts *facts, struct findings *fs);
void check_lists(const struct facts *facts, struct findings *fs);
void check_way_out(const struct facts *facts, struct findings *fs);
void check_ports(const struct facts *facts, struct findings *fs);
void check_clock(const struct facts *facts, struct findings *fs);
void check_disk(const struct facts *facts, struct findings *fs);
void check_running(const struct facts *facts, struct findings *fs);
void check_format(const struct facts *facts, struct findings *fs);
void check_sandbox(const struct facts *facts, struct findings *fs);
void check_certificates(const struct facts *facts, struct findings *fs);
void check_devices(const struct facts *facts, struct findings *fs);
void check_web_names(const struct facts *facts, struct findings *fs);
void check_roles(const struct facts *facts, struct findings *fs);
void check_indexes(const struct facts *facts, struct findings *fs);
void check_queue(const struct facts *facts, struct findings *fs);
void check_delegates(const struct facts *facts, struct findings *fs);
void check_refusals(const struct facts *facts, struct findings *fs);

#endif
