/* Checks of the listeners for old devices: they speak in clear, so nobody but the office may reach them. */
#include <string.h>

#include "admin/checks.h"
#include "admin/open.h"

#include "common/banned.h"

/* reachable_at - the public address at which the Internet reaches a listener; false: there is none. */
static bool reachable_at(const struct facts *facts, const struct conf_listener *l, struct netaddr *out)
{
	static const uint8_t any[16] = { 0 };
	bool is_any = strcmp(l->address, "*") == 0;

	if (!is_any && netaddr_parse(sv_z(l->address), out)) {
		size_t from = out->family == NET_IPV4 ? 12 : 0;

		is_any = memcmp(out->ip + from, any, sizeof(any) - from) == 0;
		if (!is_any)
			return !address_is_private(out);
	}
	for (size_t i = 0; i < facts->address_count; i++)
		if (!address_is_private(&facts->addresses[i])) {
			*out = facts->addresses[i];
			return true;
		}
	return false;
}

/* is_office - both ends of the network are addresses that the Internet does not know. */
static bool is_office(const struct ipnet *net)
{
	struct netaddr first = { .family = NET_IPV6 }, last;

	memcpy(first.ip, net->addr, sizeof(first.ip));
	last = first;
	for (unsigned bit = net->bits; bit < 128; bit++)
		last.ip[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return address_is_private(&first) && address_is_private(&last);
}

static void judge_address(const struct facts *facts, struct findings *fs, const struct conf_listener *l)
{
	char text[NETADDR_TEXT_MAX];
	struct netaddr at;

	if (!reachable_at(facts, l, &at))
		return;
	findings_add(fs, (struct finding){
		.state = CHECK_WARNING, .subject = findings_text(fs, "old devices, listener %s", l->name),
		.found = findings_text(fs, "it listens on %s, a public address", netaddr_text(&at, text).p),
		.expected = "it listens on an address of the office network only",
		.meanwhile = "passwords pass it in clear, and only legacy-networks keeps strangers out",
		.mend = "name the address of the office network in legacy-bind, or in the listener's block, and restart" });
}

static void judge_networks(const struct facts *facts, struct findings *fs)
{
	const struct ipnets *nets = &facts->conf->legacy.networks;
	char text[IPNET_TEXT_MAX];

	for (size_t i = 0; i < nets->count; i++) {
		if (is_office(&nets->items[i]))
			continue;
		ipnet_format(&nets->items[i], text);
		findings_add(fs, (struct finding){
			.state = CHECK_WARNING, .subject = "old devices, legacy-networks",
			.found = findings_text(fs, "%s is not a private network", text), .expected = "networks of the office only",
			.meanwhile = "strangers may send mail in the name of legacy-sender, and try passwords in clear",
			.mend = "list the addresses of the devices, or their private network, in legacy-networks; postroom reload" });
	}
}

static void judge_sender(const struct facts *facts, struct findings *fs)
{
	const char *sender = facts->conf->legacy.sender;
	struct directory_account account;
	struct directory *dir = NULL;

	if (!*sender || open_directory(facts->cli, &dir) != EXIT_DONE)
		return;
	struct fault f = directory_account_get(dir, sv_z(sender), &account);

	if (f.kind || !account.is_enabled)
		findings_add(fs, (struct finding){
			.state = CHECK_FAULT, .subject = "old devices, legacy-sender",
			.found = findings_text(fs, "%s is %s", sender, f.kind ? "no account" : "switched off"),
			.expected = "an account that may send", .meanwhile = "devices that do not log in cannot send",
			.mend = findings_text(fs, f.kind ? "postroom account add %s" : "postroom account enable %s", sender) });
	directory_close(&dir);
}

void check_devices(const struct facts *facts, struct findings *fs)
{
	size_t count = 0;

	for (size_t i = 0; i < facts->conf->listener_count; i++) {
		const struct conf_listener *l = &facts->conf->listeners[i];

		if (l->kind != LISTENER_LEGACY)
			continue;
		count++;
		judge_address(facts, fs, l);
	}
	if (!count)
		return;
	judge_networks(facts, fs);
	judge_sender(facts, fs);
	if (findings_worst(fs, fs->check) == CHECK_GOOD)
		findings_add(fs, (struct finding){ .subject = "old devices", .found = "they are served on private addresses only",
						   .expected = "nobody but the office reaches their listener" });
}
