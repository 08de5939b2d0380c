#include "common/dnsupdate.h"

#include <stdlib.h>
#include <time.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "common/textfile.h"

#include "common/banned.h"

#define KEY_FILE_MAX 8192

struct fault dnsupdate_read_key(const char *path, struct dnsmessage_key *out)
{
	struct buf text;
	struct fault f;

	buf_init(&text, KEY_FILE_MAX);
	f = textfile_read(path, &text);
	if (!f.kind && !dnsmessage_key_parse(buf_sv(&text), out))
		f = fault_detail(FAULT_INVALID, "%s has no hmac-sha256 key", path);
	buf_wipe(&text);
	return f;
}

bool dnsupdate_find_zone(const struct netaddr *server, const char *name, char zone[DNS_NAME_MAX + 1], char primary[DNS_NAME_MAX + 1])
{
	struct dnsmessage_reader *r = xcalloc(1, sizeof(*r));
	struct dnsmessage_record *record = xcalloc(1, sizeof(*record));
	struct buf message, reply;
	uint16_t id;
	bool is_found = false;

	crypt_random(&id, sizeof(id));
	buf_init(&message, DNSMESSAGE_MAX);
	buf_init(&reply, DNSMESSAGE_MAX);
	if (dnsmessage_begin(&message, id, DNSMESSAGE_QUERY, sv_z(name), DNS_SOA) &&
	    !dnsclient_exchange(server, buf_sv(&message), &reply).kind && dnsmessage_read(r, buf_sv(&reply)))
		while (!is_found && dnsmessage_next(r, record)) {
			char host[4 * DNS_NAME_MAX + 1];
			struct sv rdata = record->rdata;

			if (record->type != DNS_SOA || strlen(record->name) > DNS_NAME_MAX || !dns_name_from(&rdata, host) ||
			    strlen(host) > DNS_NAME_MAX)
				continue;
			memcpy(zone, record->name, strlen(record->name) + 1);
			memcpy(primary, host, strlen(host) + 1);
			is_found = true;
		}
	buf_done(&message);
	buf_done(&reply);
	free(record);
	free(r);
	return is_found;
}

bool dnsupdate_begin(struct buf *message, const char *zone)
{
	uint16_t id;

	crypt_random(&id, sizeof(id));
	return dnsmessage_begin(message, id, DNSMESSAGE_UPDATE, sv_z(zone), DNS_SOA);
}

struct fault dnsupdate_send(const struct netaddr *primary, const struct dnsmessage_key *key, struct buf *message, struct dnsupdate_answer *out)
{
	uint8_t mac[DNSMESSAGE_MAC_LEN];
	uint64_t now_s = (uint64_t)time(NULL);
	struct dnsmessage_reader *r = xcalloc(1, sizeof(*r));
	const char *doubt = NULL;
	struct buf reply;
	struct fault f = FAULT_OK;

	buf_init(&reply, DNSMESSAGE_MAX);
	if (!dnsmessage_sign(message, key, now_s, mac))
		f = fault(FAULT_LIMIT, "the records do not fit into one update");
	if (!f.kind)
		f = dnsclient_exchange(primary, buf_sv(message), &reply);
	if (!f.kind && !dnsmessage_read(r, buf_sv(&reply)))
		f = fault(FAULT_UNAVAILABLE, "the answer cannot be read");
	if (!f.kind) {
		bool is_signed = dnsmessage_is_signed(buf_sv(&reply), key, now_s, mac, &doubt);

		*out = (struct dnsupdate_answer){ r->rcode, is_signed ? NULL : doubt };
	}
	buf_done(&reply);
	free(r);
	return f;
}
