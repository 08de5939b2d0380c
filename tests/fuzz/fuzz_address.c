/* tests/fuzz/fuzz_address.c - any octets as an SMTP path and as an address list.
 * What is accepted is written and read back as the same address; a list ends, and its items stay within the text. */
#include <stdlib.h>

#include "common/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void path(struct sv text, unsigned flags)
{
	struct arena a;
	struct address addr, again;
	struct buf b;
	struct sv in = text;

	arena_init(&a, 64 << 10);
	buf_init(&b, 4096);
	if (!address_parse_path(&a, &in, flags, &addr).kind) {
		if (in.len > text.len || in.p != text.p + (text.len - in.len) || addr.local.len > ADDRESS_LOCAL_MAX ||
		    addr.domain.len > ADDRESS_DOMAIN_MAX || !sv_is_utf8(addr.local) || sv_has_8bit(addr.domain))
			abort();
		if (!address_append(&b, &addr, ADDRESS_ASCII_DOMAIN))
			abort();
		if (addr.domain.len && (address_parse(&a, buf_sv(&b), &again).kind || !address_eq(&addr, &again)) &&
		    b.len <= ADDRESS_PATH_MAX - 2)
			abort();
	} else if (in.p != text.p || in.len != text.len) {
		abort();
	}
	buf_done(&b);
	arena_done(&a);
}

static void list(struct sv text)
{
	struct address_list l;
	struct address_item item;
	size_t items = 0, depth = 0;

	address_list_init(&l, text);
	while (address_list_next(&l, &item)) {
		if (++items > 2 * text.len + 2)
			abort();
		if (item.kind == ADDRESS_ITEM_GROUP_START && depth++)
			abort();
		if (item.kind == ADDRESS_ITEM_GROUP_END && !depth--)
			abort();
		if (item.kind == ADDRESS_ITEM_MAILBOX && (!item.mailbox.p || !item.host.p))
			abort();
		if (item.name.len + item.route.len + item.mailbox.len + item.host.len > 2 * text.len)
			abort();
	}
	if (depth)
		abort();
	address_list_done(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv text = { (const char *)data, size };

	path(text, 0);
	path(text, ADDRESS_LENIENT | ADDRESS_ALLOW_NULL | ADDRESS_ALLOW_NO_DOMAIN);
	list(text);
	return 0;
}
