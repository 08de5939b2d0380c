#include "common/ldapauth.h"

#include "common/banned.h"

#define PORT 389
#define PORT_TLS 636

/* ---- URLs (RFC 4516, as far as a server is named) ---- */

/* The path of a unix socket stands where a host would, so its slashes are written %2F. */
static bool unescape(struct sv text, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (c == '%') {
			int high = i + 2 < text.len ? ascii_hex(text.p[i + 1]) : -1, low = i + 2 < text.len ? ascii_hex(text.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!c || len + 1 >= size)
			return false;
		out[len++] = c;
	}
	out[len] = '\0';
	return len > 0;
}

static bool take_host(struct sv text, uint16_t standard, struct ldapauth_place *out)
{
	struct sv host = text, port = SV_NONE;
	uint32_t number = standard;
	size_t end = sv_starts(text, SV("[")) ? sv_find(text, ']') : sv_find(text, ':');

	if (sv_starts(text, SV("["))) {
		if (end == SIZE_MAX)
			return false;
		host = sv_sub(text, 1, end - 1);
		port = sv_sub(text, end + 1, text.len);
	} else if (end != SIZE_MAX) {
		host = sv_sub(text, 0, end);
		port = sv_sub(text, end, text.len);
	}
	if (port.len && (port.p[0] != ':' || !sv_to_u32(sv_sub(port, 1, port.len), &number)))
		return false;
	for (size_t i = 0; i < host.len; i++)
		if (!ascii_is_alpha(host.p[i]) && !ascii_is_digit(host.p[i]) && !memchr(".-:_", host.p[i], 4))
			return false;
	if (!host.len || host.len >= sizeof(out->host) || number == 0 || number > UINT16_MAX)
		return false;
	memcpy(out->host, host.p, host.len);
	out->host[host.len] = '\0';
	out->port = (uint16_t)number;
	return true;
}

bool ldapauth_parse(struct sv url, struct ldapauth_place *out)
{
	static const struct {
		struct sv prefix;
		enum ldapauth_scheme scheme;
		uint16_t port;
	} schemes[] = {
		{ SV_INIT("ldaps://"), LDAPAUTH_LDAPS, PORT_TLS },
		{ SV_INIT("ldap://"), LDAPAUTH_STARTTLS, PORT },
		{ SV_INIT("ldapi://"), LDAPAUTH_UNIX, PORT },
	};

	*out = (struct ldapauth_place){ .port = 0 };
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (!sv_starts_nocase(url, schemes[i].prefix))
			continue;
		url = sv_sub(url, schemes[i].prefix.len, url.len);
		if (sv_ends(url, SV("/")))
			url.len--;
		out->scheme = schemes[i].scheme;
		out->port = schemes[i].port;
		if (out->scheme == LDAPAUTH_UNIX)
			return sv_find(url, '/') == SIZE_MAX && unescape(url, out->host, sizeof(out->host)) && out->host[0] == '/';
		return take_host(url, out->port, out);
	}
	return false;
}

/* ---- templates ---- */

/* A backslash and the octet's number is good in a DN and in a filter alike. */
static bool append_quoted(struct sv text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool is_plain = ascii_is_alpha((char)c) || ascii_is_digit((char)c) || c == '.' || c == '-' || c == '_' || c == '@';

		if (is_plain ? !buf_append_c(out, (char)c) : !buf_appendf(out, "\\%02x", c))
			return false;
	}
	return true;
}

bool ldapauth_expand(const char *template, struct sv address, struct buf *out)
{
	size_t at = sv_rfind(address, '@');
	struct sv name = at == SIZE_MAX ? address : sv_sub(address, 0, at);
	struct sv domain = at == SIZE_MAX ? SV_NONE : sv_sub(address, at + 1, address.len);

	for (const char *p = template; *p; p++) {
		bool fits;

		if (*p != '%') {
			fits = buf_append_c(out, *p);
		} else {
			switch (*++p) {
			case 'u': fits = append_quoted(address, out); break;
			case 'n': fits = append_quoted(name, out); break;
			case 'd': fits = append_quoted(domain, out); break;
			case '%': fits = buf_append_c(out, '%'); break;
			default:  return false;         /* also the end */
			}
		}
		if (!fits)
			return false;
	}
	return out->len > 0;
}
