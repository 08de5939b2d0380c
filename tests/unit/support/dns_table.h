/* tests/unit/support/dns_table.h - a DNS that is a table, for tests of whoever asks it. */
#ifndef TESTS_UNIT_SUPPORT_DNS_TABLE_H
#define TESTS_UNIT_SUPPORT_DNS_TABLE_H

#include "common/dns.h"

/* data: as in a zone file ("10 mail.example", "192.0.2.1"); TXT without quotes; TLSA
 * "3 1 1 HEX". "!": the server fails; "...": it is silent. */
struct dns_row {
	const char *name;
	enum dns_type type;
	const char *data;
};

struct dns_table {
	struct loop *loop;
	struct dns *dns;
	const struct dns_row *rows;
	size_t count;
	size_t asked;           /* questions so far */
	bool is_secure;         /* DNSSEC proves all of it */
	struct buf wire;
	char name[4 * DNS_NAME_MAX + 1];
};

/** dns_table_setup, dns_table_teardown - for cmocka: *state is the table. */
int dns_table_setup(void **state, const struct dns_row *rows, size_t count);
int dns_table_teardown(void **state);

#endif
