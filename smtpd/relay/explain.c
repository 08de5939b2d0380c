#include "smtpd/relay/explain.h"

#include "common/banned.h"

/* The first row that fits. status: a prefix up to a dot or its end; word: in the text, in any case.
 * Either may be "". */
static const struct {
	const char *status, *word, *sentence;
} rows[] = {
	{ "5.7.25", "", "The other server refuses mail from addresses without a matching reverse "
	  "name (PTR). Ask whoever gives this server its address to set it to the server's name." },
	{ "5.7.26", "", "The other server wants the message to be authenticated by SPF or DKIM for the "
	  "sender's domain. Publish both records for the domain." },
	{ "5.7.27", "", "The sender's domain says by SPF that this server may not send for it. Add "
	  "this server to the domain's SPF record." },
	{ "5.7.515", "", "The other server asks senders for SPF, DKIM and a DMARC record. Publish a "
	  "DMARC record for the sender's domain and see that SPF or DKIM passes for it." },
	{ "4.7.32", "", "The other server wants the From domain to be authenticated by SPF or DKIM "
	  "(DMARC alignment), and slows mail down until it is." },
	{ "", "spamhaus", "The address of this server, or a domain in the message, is on a block list. "
	  "Look it up at the list's site, mend the cause, and ask for removal." },
	{ "", "blocklist", "The address of this server, or a domain in the message, is on a block "
	  "list. Look it up at the list's site, mend the cause, and ask for removal." },
	{ "", "block list", "The address of this server, or a domain in the message, is on a block "
	  "list. Look it up at the list's site, mend the cause, and ask for removal." },
	{ "", "blacklist", "The address of this server, or a domain in the message, is on a block "
	  "list. Look it up at the list's site, mend the cause, and ask for removal." },
	{ "", "rbl", "The address of this server, or a domain in the message, is on a block list. "
	  "Look it up at the list's site, mend the cause, and ask for removal." },
	{ "5.2.2", "", "The recipient's mailbox is full. Tell them by another way, or try later." },
	{ "4.2.2", "", "The recipient's mailbox is full." },
	{ "", "over quota", "The recipient's mailbox is full." },
	{ "5.1.10", "", "The recipient's domain says that it takes no mail at all. Check the spelling "
	  "of the address." },
	{ "5.1.1", "", "There is no such address at the recipient's server. Check its spelling." },
	{ "5.1.2", "", "There is no such domain. Check the spelling behind the @." },
	{ "5.3.4", "", "The message is larger than the other server takes. Send a link, or several "
	  "smaller messages." },
	{ "5.2.3", "", "The message is larger than the recipient may get. Send a link, or several "
	  "smaller messages." },
	{ "5.6.3", "", "The other server takes 7-bit messages only, and this one has other octets." },
	{ "5.6.7", "", "The address or the header needs international mail (SMTPUTF8), which the other "
	  "server does not take." },
	{ "5.4.6", "", "Mail for this address goes in a circle: forwarding rules or MX records lead "
	  "back to where it came from." },
	{ "5.7.30", "", "The sender asked for encryption all the way (REQUIRETLS), which the other "
	  "server cannot promise." },
	{ "5.7.1", "relay", "The other server does not take mail for that domain from us: its MX record "
	  "may be wrong." },
	{ "5.7.1", "", "The other server's rules forbid this message or its sender. Its own words say "
	  "more; whoever runs it can help." },
	{ "4.7.1", "greylist", "The other server asks unknown senders to come again later "
	  "(greylisting). That happens by itself." },
	{ "4.4.1", "", "The other server cannot be reached. When this concerns every domain, outgoing "
	  "connections to port 25 are probably blocked by the network: ask its provider, or set "
	  "smarthosts." },
	{ "4.4.3", "", "The DNS gives no answer for that domain now." },
};

static bool has_word(struct sv text, struct sv word)
{
	for (size_t i = 0; word.len && i + word.len <= text.len; i++)
		if (sv_starts_nocase(sv_sub(text, i, SIZE_MAX), word))
			return true;
	return false;
}

const char *explain_refusal(struct sv status, struct sv text)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if ((!rows[i].status[0] || sv_eq(status, sv_z(rows[i].status))) &&
		    (!rows[i].word[0] || has_word(text, sv_z(rows[i].word))))
			return rows[i].sentence;
	return NULL;
}
