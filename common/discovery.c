#include "common/discovery.h"

#include "common/crypt.h"
#include "common/date.h"

#include "common/banned.h"

/* RFC 8461 §3.2: weeks when it binds; while it is tried out, a mistake shall not last. */
#define STS_ENFORCE_S (14 * 86400)
#define STS_TESTING_S 86400

/* ---- services ---- */

static const struct {
	enum conf_listener_kind implicit, starttls;
	const char *autoconfig, *autodiscover;  /* its types */
} kinds[DISCOVERY_KINDS] = {
	[DISCOVERY_IMAP] = { LISTENER_IMAPS, LISTENER_IMAP, "imap", "IMAP" },
	[DISCOVERY_POP3] = { LISTENER_POP3S, LISTENER_POP3, "pop3", "POP3" },
	[DISCOVERY_SMTP] = { LISTENER_SUBMISSIONS, LISTENER_SUBMISSION, "smtp", "SMTP" },
};

/* One that only this host can reach counts when there is no other (tests, quickstart). */
static uint16_t port_of(const struct conf *conf, enum conf_listener_kind kind, enum conf_tls_mode tls)
{
	uint16_t local = 0;

	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		if (l->kind != kind || l->tls != tls || l->path)
			continue;
		if (strcmp(l->address, "127.0.0.1") != 0 && strcmp(l->address, "::1") != 0)
			return (uint16_t)l->port;
		if (!local)
			local = (uint16_t)l->port;
	}
	return local;
}

struct discovery_service discovery_service(const struct conf *conf, enum discovery_kind kind)
{
	struct discovery_service s = { port_of(conf, kinds[kind].implicit, CONF_TLS_IMPLICIT), false };

	if (!s.port)
		s = (struct discovery_service){ port_of(conf, kinds[kind].starttls, CONF_TLS_STARTTLS), true };
	return s;
}

/* ---- XML ---- */

/* What XML 1.0 §2.2 does not know at all is left out. */
bool discovery_escape(struct buf *out, struct sv text)
{
	bool is_utf8 = sv_is_utf8(text);

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool good;

		switch (c) {
		case '&':  good = buf_append(out, SV("&amp;")); break;
		case '<':  good = buf_append(out, SV("&lt;")); break;
		case '>':  good = buf_append(out, SV("&gt;")); break;
		case '"':  good = buf_append(out, SV("&quot;")); break;
		case '\'': good = buf_append(out, SV("&#39;")); break;
		default:
			good = c < ' ' || c == 0x7f || (c > 0x7f && !is_utf8) || buf_append_c(out, (char)c);
		}
		if (!good)
			return false;
	}
	return true;
}

static bool add_element(struct buf *out, const char *name, struct sv text)
{
	return buf_appendf(out, "<%s>", name) && discovery_escape(out, text) && buf_appendf(out, "</%s>\n", name);
}

/* ---- Thunderbird ---- */

static bool add_autoconfig_server(const struct conf *conf, enum discovery_kind kind, struct buf *out)
{
	struct discovery_service s = discovery_service(conf, kind);
	const char *element = kind == DISCOVERY_SMTP ? "outgoingServer" : "incomingServer";

	if (!s.port)
		return true;
	return buf_appendf(out, "    <%s type=\"%s\">\n      ", element, kinds[kind].autoconfig) &&
	       add_element(out, "hostname", sv_z(conf->host.hostname)) &&
	       buf_appendf(out, "      <port>%u</port>\n      <socketType>%s</socketType>\n"
				"      <authentication>password-cleartext</authentication>\n"
				"      <username>%%EMAILADDRESS%%</username>\n    </%s>\n",
			   s.port, s.is_starttls ? "STARTTLS" : "SSL", element);
}

bool discovery_autoconfig(const struct conf *conf, struct sv domain, struct buf *out)
{
	return buf_append(out, SV("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n"
				  "  <emailProvider id=\"")) &&
	       discovery_escape(out, domain) && buf_append(out, SV("\">\n    ")) && add_element(out, "domain", domain) &&
	       buf_append(out, SV("    ")) && add_element(out, "displayName", domain) && buf_append(out, SV("    ")) &&
	       add_element(out, "displayShortName", domain) && add_autoconfig_server(conf, DISCOVERY_IMAP, out) &&
	       add_autoconfig_server(conf, DISCOVERY_POP3, out) && add_autoconfig_server(conf, DISCOVERY_SMTP, out) &&
	       buf_append(out, SV("  </emailProvider>\n</clientConfig>\n"));
}

/* ---- Outlook ---- */

static const struct {
	struct sv name;
	char is;
} references[] = {
	{ SV_INIT("amp;"), '&' }, { SV_INIT("lt;"), '<' }, { SV_INIT("gt;"), '>' }, { SV_INIT("quot;"), '"' }, { SV_INIT("apos;"), '\'' },
};

static bool add_text_of(struct sv xml, struct buf *out)
{
	while (xml.len) {
		char c = *xml.p;
		size_t skip = 1;

		for (size_t i = 0; c == '&' && skip == 1 && i < ARRAY_LEN(references); i++)
			if (sv_starts(sv_sub(xml, 1, SIZE_MAX), references[i].name)) {
				c = references[i].is;
				skip = 1 + references[i].name.len;
			}
		if (!buf_append_c(out, c))
			return false;
		sv_skip(&xml, skip);
	}
	return true;
}

/* The name of the element at a '<', without its prefix. Moves *xml behind the tag's '>'; false when it has none. */
static bool take_tag(struct sv *xml, struct sv *name)
{
	size_t end = sv_find(*xml, '>'), n = 1;
	struct sv tag;

	if (end == SIZE_MAX)
		return false;
	tag = sv_sub(*xml, 0, end);
	sv_skip(xml, end + 1);
	while (n < tag.len && !memchr(" \t\r\n/", tag.p[n], 5))
		n++;
	*name = sv_sub(tag, 1, n - 1);
	n = sv_find(*name, ':');
	if (n != SIZE_MAX)
		sv_skip(name, n + 1);
	return true;
}

/* Not an XML parser: programs and their versions write what they like, and one element is all that is wanted. */
bool discovery_autodiscover_address(struct sv xml, struct buf *out, bool *wants_other)
{
	struct sv name, text;
	size_t at;
	bool found = false;

	*wants_other = false;
	while ((at = sv_find(xml, '<')) != SIZE_MAX) {
		sv_skip(&xml, at);
		if (!take_tag(&xml, &name))
			break;
		text = sv_trim(sv_sub(xml, 0, sv_find(xml, '<')));
		if (!found && sv_eq_nocase(name, SV("EMailAddress")) && text.len)
			found = add_text_of(text, out);
		else if (sv_eq_nocase(name, SV("AcceptableResponseSchema")) && sv_search(text, SV("mobilesync")) != SIZE_MAX)
			*wants_other = true;
	}
	return found;
}

#define POX_START "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n" \
	"<Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">\n"

static bool add_protocol(const struct conf *conf, enum discovery_kind kind, struct sv address, struct buf *out)
{
	struct discovery_service s = discovery_service(conf, kind);

	if (!s.port)
		return true;
	return buf_appendf(out, "      <Protocol>\n        <Type>%s</Type>\n        ", kinds[kind].autodiscover) &&
	       add_element(out, "Server", sv_z(conf->host.hostname)) &&
	       buf_appendf(out, "        <Port>%u</Port>\n        <DomainRequired>off</DomainRequired>\n", s.port) &&
	       (!address.len || (buf_append(out, SV("        ")) && add_element(out, "LoginName", address))) &&
	       buf_appendf(out, "        <SPA>off</SPA>\n        <SSL>on</SSL>\n        <Encryption>TLS</Encryption>\n"
				"        <AuthRequired>on</AuthRequired>\n%s      </Protocol>\n",
			   kind == DISCOVERY_SMTP ? "        <UsePOPAuth>on</UsePOPAuth>\n        <SMTPLast>off</SMTPLast>\n" : "");
}

bool discovery_autodiscover(const struct conf *conf, struct sv domain, struct sv address, struct buf *out)
{
	return buf_append(out, SV(POX_START "  <Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/"
				  "responseschema/2006a\">\n    <User>\n      ")) &&
	       add_element(out, "DisplayName", address.len ? address : domain) &&
	       buf_append(out, SV("    </User>\n    <Account>\n      <AccountType>email</AccountType>\n"
				  "      <Action>settings</Action>\n")) &&
	       add_protocol(conf, DISCOVERY_IMAP, address, out) && add_protocol(conf, DISCOVERY_POP3, address, out) &&
	       add_protocol(conf, DISCOVERY_SMTP, address, out) &&
	       buf_append(out, SV("    </Account>\n  </Response>\n</Autodiscover>\n"));
}

bool discovery_autodiscover_error(unsigned code, const char *message, int64_t now_s, struct buf *out)
{
	struct date_civil t;

	date_to_civil((struct date){ now_s, 0 }, &t);
	return buf_appendf(out, POX_START "  <Response>\n    <Error Time=\"%02d:%02d:%02d.0000000\" Id=\"1\">\n"
			   "      <ErrorCode>%u</ErrorCode>\n      <Message>%s</Message>\n      <DebugData/>\n"
			   "    </Error>\n  </Response>\n</Autodiscover>\n", t.hour, t.minute, t.second, code, message);
}

bool discovery_autodiscover_json(struct sv host, struct sv protocol, struct buf *out, bool *is_known)
{
	*is_known = sv_eq_nocase(protocol, SV("AutodiscoverV1"));
	/* A host name has been checked: nothing in it needs to be escaped. */
	if (*is_known)
		return buf_appendf(out, "{\"Protocol\":\"AutodiscoverV1\",\"Url\":\"https://%.*s/autodiscover/autodiscover.xml\"}\n",
				   SV_FMT(host));
	return buf_append(out, SV("{\"ErrorCode\":\"InvalidProtocol\",\"ErrorMessage\":\"The given protocol value is invalid. "
				  "Supported values are 'AutodiscoverV1'.\"}\n"));
}

/* ---- Apple ---- */

/* RFC 9562 §5.8: our own way to make a name a UUID, SHA-256. */
static void name_uuid(struct sv address, const char *what, char out[37])
{
	struct crypt_digest *d = crypt_digest_new(CRYPT_SHA256);
	uint8_t h[CRYPT_HASH_MAX];
	char hex[33];

	crypt_digest_add(d, SV("postroom mobileconfig\n"));
	crypt_digest_add(d, sv_z(what));
	crypt_digest_add(d, SV("\n"));
	crypt_digest_add(d, address);
	crypt_digest_get(d, h);
	crypt_digest_free(&d);
	h[6] = (uint8_t)((h[6] & 0x0f) | 0x80);
	h[8] = (uint8_t)((h[8] & 0x3f) | 0x80);
	crypt_hex(h, 16, hex);
	for (size_t i = 0, o = 0; i < 32; i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			out[o++] = '-';
		out[o++] = ascii_upper(hex[i]);
		out[o] = '\0';
	}
}

static bool add_key(struct buf *out, const char *indent, const char *key, struct sv text)
{
	return buf_appendf(out, "%s<key>%s</key>\n%s", indent, key, indent) && add_element(out, "string", text);
}

static bool add_mail_server(const struct conf *conf, enum discovery_kind kind, const char *prefix, struct sv address, struct buf *out)
{
	static const char *const in = "      ";
	struct discovery_service s = discovery_service(conf, kind);

	return buf_appendf(out, "%s<key>%sHostName</key>\n%s", in, prefix, in) && add_element(out, "string", sv_z(conf->host.hostname)) &&
	       buf_appendf(out, "%s<key>%sPortNumber</key>\n%s<integer>%u</integer>\n%s<key>%sUseSSL</key>\n%s<true/>\n"
				"%s<key>%sAuthentication</key>\n%s<string>EmailAuthPassword</string>\n%s<key>%sUsername</key>\n%s",
			   in, prefix, in, s.port, in, prefix, in, in, prefix, in, in, prefix, in) &&
	       add_element(out, "string", address);
}

bool discovery_mobileconfig(const struct conf *conf, struct sv domain, struct sv address, struct sv password, struct buf *out)
{
	static const char *const in = "      ", *const top = "  ";
	bool has_imap = discovery_service(conf, DISCOVERY_IMAP).port;
	char outer[37], inner[37], id[2][64];

	name_uuid(address, "profile", outer);
	name_uuid(address, "mail", inner);
	for (int i = 0; i < 2; i++) {
		struct buf text;

		buf_init(&text, sizeof(id[i]));
		(void)buf_appendf(&text, "org.postroom.%s.%s", i ? "mail" : "profile", i ? inner : outer);
		memcpy(id[i], buf_z(&text), text.len + 1);
		buf_done(&text);
	}
	return buf_append(out, SV("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
				  "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<dict>\n"
				  "  <key>PayloadContent</key>\n  <array>\n    <dict>\n")) &&
	       add_key(out, in, "EmailAccountType", has_imap ? SV("EmailTypeIMAP") : SV("EmailTypePOP")) &&
	       add_key(out, in, "EmailAddress", address) && add_key(out, in, "EmailAccountName", address) &&
	       add_key(out, in, "EmailAccountDescription", address) &&
	       add_mail_server(conf, has_imap ? DISCOVERY_IMAP : DISCOVERY_POP3, "IncomingMailServer", address, out) &&
	       (!password.len || add_key(out, in, "IncomingPassword", password)) &&
	       add_mail_server(conf, DISCOVERY_SMTP, "OutgoingMailServer", address, out) &&
	       buf_appendf(out, "%s<key>OutgoingPasswordSameAsIncomingPassword</key>\n%s<true/>\n", in, in) &&
	       add_key(out, in, "PayloadDescription", SV("Mail account")) && add_key(out, in, "PayloadDisplayName", address) &&
	       add_key(out, in, "PayloadIdentifier", sv_z(id[1])) && add_key(out, in, "PayloadType", SV("com.apple.mail.managed")) &&
	       add_key(out, in, "PayloadUUID", sv_z(inner)) &&
	       buf_appendf(out, "%s<key>PayloadVersion</key>\n%s<integer>1</integer>\n    </dict>\n  </array>\n", in, in) &&
	       add_key(out, top, "PayloadDisplayName", address) && add_key(out, top, "PayloadIdentifier", sv_z(id[0])) &&
	       add_key(out, top, "PayloadOrganization", domain) && add_key(out, top, "PayloadType", SV("Configuration")) &&
	       add_key(out, top, "PayloadUUID", sv_z(outer)) &&
	       buf_append(out, SV("  <key>PayloadRemovalDisallowed</key>\n  <false/>\n  <key>PayloadVersion</key>\n  <integer>1</integer>\n"
				  "</dict>\n</plist>\n"));
}

/* ---- MTA-STS ---- */

bool discovery_sts_policy(const struct conf *conf, struct buf *out)
{
	static const char *const modes[] = { [CONF_STS_NONE] = "none", [CONF_STS_TESTING] = "testing", [CONF_STS_ENFORCE] = "enforce" };
	enum conf_sts_mode mode = conf->web.sts_policy;

	/* CRLF: RFC 8461 §3.2 takes LF as well, other people's parsers may not. */
	return buf_appendf(out, "version: STSv1\r\nmode: %s\r\nmx: %s\r\nmax_age: %d\r\n", modes[mode], conf->host.hostname,
			   mode == CONF_STS_ENFORCE ? STS_ENFORCE_S : STS_TESTING_S);
}

void discovery_sts_id(const struct conf *conf, char out[DISCOVERY_STS_ID_LEN + 1])
{
	uint8_t h[CRYPT_HASH_MAX];
	char hex[2 * CRYPT_SHA256_LEN + 1];
	struct buf text;

	buf_init(&text, DISCOVERY_MAX);
	(void)discovery_sts_policy(conf, &text);
	crypt_digest(CRYPT_SHA256, buf_sv(&text), h);
	buf_done(&text);
	crypt_hex(h, CRYPT_SHA256_LEN, hex);
	memcpy(out, hex, DISCOVERY_STS_ID_LEN);
	out[DISCOVERY_STS_ID_LEN] = '\0';
}
