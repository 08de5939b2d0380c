/* An answer of a name server: read to its end or found damaged, printed, its signature looked at; a key file. */
#include <stdint.h>
#include <stddef.h>

#include "common/dnsmessage.h"
#include "common/dnsrdata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dnsmessage_reader r;
	static struct dnsmessage_record record;
	static const uint8_t mac[DNSMESSAGE_MAC_LEN] = { 0 };
	struct sv whole = sv_from((const char *)data, size);
	struct dnsmessage_key key;
	const char *why;
	struct buf text;

	buf_init(&text, 1 << 20);
	if (dnsmessage_read(&r, whole))
		while (dnsmessage_next(&r, &record))
			(void)dnsrdata_print(record.type, record.rdata, &text);
	buf_done(&text);
	if (dnsmessage_key_parse(whole, &key))
		dnsmessage_key_done(&key);
	if (dnsmessage_key_parse(SV("hmac-sha256:a.example:c2VjcmV0"), &key)) {
		(void)dnsmessage_is_signed(whole, &key, 1, mac, &why);
		dnsmessage_key_done(&key);
	}
	return 0;
}
