#include "common/unsubscribe.h"

#include "common/conf.h"
#include "common/crypt.h"
#include "common/directory.h"
#include "common/transfer.h"

#include "common/banned.h"

#define PURPOSE "unsubscribe"
#define MAC_LEN 16
#define LINE_MAX 990            /* RFC 5322 §2.1.1, with a margin */

bool unsubscribe_parse(struct sv word, struct sv *who, enum unsubscribe_mode *mode)
{
	struct sv rest = word;

	if (!sv_split(&rest, '=', who) || sv_find(*who, '@') == SIZE_MAX || sv_ends(*who, SV("@")))
		return false;
	*mode = sv_eq(rest, SV("add")) ? UNSUBSCRIBE_ADD : sv_eq(rest, SV("check")) ? UNSUBSCRIBE_CHECK : UNSUBSCRIBE_OFF;
	return *mode != UNSUBSCRIBE_OFF || sv_eq(rest, SV("off"));
}

enum unsubscribe_mode unsubscribe_mode(const struct conf *conf, struct sv account)
{
	enum unsubscribe_mode mode, of_domain = UNSUBSCRIBE_OFF;
	struct sv who, domain = sv_sub(account, sv_rfind(account, '@'), SIZE_MAX);

	for (size_t i = 0; i < conf->smtp.bulk_senders.count; i++) {
		if (!unsubscribe_parse(sv_z(conf->smtp.bulk_senders.items[i]), &who, &mode))
			continue;
		if (sv_eq_nocase(who, account))
			return mode;
		if (domain.len && sv_eq_nocase(who, domain))
			of_domain = mode;
	}
	return of_domain;
}

static bool append_base64url(struct sv octets, struct buf *out)
{
	size_t from = out->len;

	if (!base64_encode(octets, out))
		return false;
	while (out->len > from && out->p[out->len - 1] == '=')
		out->len--;
	for (size_t i = from; i < out->len; i++)
		out->p[i] = out->p[i] == '+' ? '-' : out->p[i] == '/' ? '_' : out->p[i];
	return true;
}

/* append_base - "https://mail.example.org/unsubscribe/". */
static bool append_base(const struct conf *conf, struct buf *out)
{
	const char *url = conf->smtp.unsubscribe_url;
	uint64_t port = 443;

	if (*url)
		return buf_append(out, sv_z(url)) && (sv_ends(sv_z(url), SV("/")) || buf_append_c(out, '/'));
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].kind == LISTENER_HTTPS)
			port = conf->listeners[i].port;
	return buf_appendf(out, "https://%s", conf->host.hostname) && (port == 443 || buf_appendf(out, ":%llu", (unsigned long long)port)) &&
	       buf_append(out, SV(UNSUBSCRIBE_PATH));
}

bool unsubscribe_write(const struct conf *conf, const struct directory *dir, struct sv account, struct sv recipient, struct buf *out)
{
	size_t before = out->len;
	uint8_t mac[CRYPT_SHA256_LEN];
	struct buf text;
	bool fits;

	buf_init(&text, UNSUBSCRIBE_TOKEN_MAX);
	fits = buf_append(&text, account) && buf_append_c(&text, '\n') && buf_append(&text, recipient);
	directory_keyed(dir, PURPOSE, buf_sv(&text), mac);
	fits = fits && buf_append(&text, sv_from((const char *)mac, MAC_LEN)) && buf_append(out, SV("List-Unsubscribe: <")) &&
	       append_base(conf, out) && append_base64url(buf_sv(&text), out) && out->len - before < LINE_MAX &&
	       buf_append(out, SV(">\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
	buf_done(&text);
	if (!fits)
		out->len = before;
	return fits;
}

bool unsubscribe_read(const struct directory *dir, struct sv token, struct buf *account, struct buf *recipient)
{
	uint8_t mac[CRYPT_SHA256_LEN];
	struct buf text;
	struct sv rest, who;
	bool good = false;

	buf_init(&text, UNSUBSCRIBE_TOKEN_MAX);
	if (token.len <= UNSUBSCRIBE_TOKEN_MAX && base64url_decode(token, &text) && text.len > MAC_LEN) {
		rest = sv_sub(buf_sv(&text), 0, text.len - MAC_LEN);
		directory_keyed(dir, PURPOSE, rest, mac);
		good = crypt_eq(sv_from((const char *)mac, MAC_LEN), sv_from(text.p + rest.len, MAC_LEN)) && sv_split(&rest, '\n', &who) && buf_append(account, who) &&
		       buf_append(recipient, rest);
	}
	buf_done(&text);
	return good;
}

struct sv unsubscribe_find(struct sv value)
{
	size_t at = sv_search(value, SV(UNSUBSCRIBE_PATH)), end;

	if (at == SIZE_MAX)
		return SV_NONE;
	value = sv_sub(value, at + sizeof(UNSUBSCRIBE_PATH) - 1, SIZE_MAX);
	for (end = 0; end < value.len && (ascii_is_alpha(value.p[end]) || ascii_is_digit(value.p[end]) || value.p[end] == '-' ||
					  value.p[end] == '_');)
		end++;
	return sv_sub(value, 0, end);
}
