/* maildir/layout.c - see layout.h. */
#include "maildir/layout.h"

#include "common/banned.h"

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* One code point off the front of well-formed UTF-8. */
static uint32_t take_code_point(struct sv *s)
{
	const unsigned char *p = (const unsigned char *)s->p;
	uint32_t c = p[0];
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if (n > 1)
		c &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3fu);
	sv_skip(s, n);
	return c;
}

static bool append_code_point(struct buf *out, uint32_t c)
{
	char b[4];
	size_t n = 0;

	if (c < 0x80) {
		b[n++] = (char)c;
	} else if (c < 0x800) {
		b[n++] = (char)(0xc0 | c >> 6);
		b[n++] = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		b[n++] = (char)(0xe0 | c >> 12);
		b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		b[n++] = (char)(0x80 | (c & 0x3f));
	} else {
		b[n++] = (char)(0xf0 | c >> 18);
		b[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		b[n++] = (char)(0x80 | (c & 0x3f));
	}
	return buf_append(out, sv_from(b, n));
}

/* RFC 5198 §2: no C0 and C1 controls; line and paragraph separators break listings likewise. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029;
}

static bool is_direct(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e && c != '&' && c != '.' && c != '/';
}

/* A base64 run in the making: octets of UTF-16BE leave as 6-bit digits. */
struct run {
	uint32_t bits;
	unsigned count;
	bool is_open;
};

static bool run_add(struct run *r, struct buf *out, uint32_t unit)
{
	if (!r->is_open && !buf_append_c(out, '&'))
		return false;
	r->is_open = true;
	r->bits = r->bits << 16 | unit;
	r->count += 16;
	while (r->count >= 6) {
		r->count -= 6;
		if (!buf_append_c(out, base64[r->bits >> r->count & 0x3f]))
			return false;
	}
	return true;
}

static bool run_end(struct run *r, struct buf *out)
{
	if (!r->is_open)
		return true;
	if (r->count && !buf_append_c(out, base64[r->bits << (6 - r->count) & 0x3f]))
		return false;
	*r = (struct run){ 0 };
	return buf_append_c(out, '-');
}

static bool encode_level(struct sv level, struct buf *out)
{
	struct run run = { 0 };

	while (level.len) {
		uint32_t c = take_code_point(&level);
		bool ok;

		if (c == '&')
			ok = run_end(&run, out) && buf_append(out, SV("&-"));
		else if (is_direct(c))
			ok = run_end(&run, out) && buf_append_c(out, (char)c);
		else if (c < 0x10000)
			ok = run_add(&run, out, c);
		else
			ok = run_add(&run, out, 0xd800 + ((c - 0x10000) >> 10)) &&
			     run_add(&run, out, 0xdc00 + ((c - 0x10000) & 0x3ff));
		if (!ok)
			return false;
	}
	return run_end(&run, out);
}

static int base64_value(char c)
{
	const char *at = c ? strchr(base64, c) : NULL;

	return at ? (int)(at - base64) : -1;
}

/* The run behind '&' up to '-'. Strict in what can be read two ways: surrogates pair up, padding bits are zero. */
static bool decode_run(struct sv run, struct buf *out)
{
	uint32_t bits = 0, high = 0;
	unsigned count = 0;

	for (size_t i = 0; i < run.len; i++) {
		int v = base64_value(run.p[i]);
		if (v < 0)
			return false;
		bits = (bits << 6 | (uint32_t)v) & 0x3fffff;
		count += 6;
		if (count < 16)
			continue;
		count -= 16;
		uint32_t unit = bits >> count & 0xffff;
		if (high) {
			if (unit < 0xdc00 || unit > 0xdfff)
				return false;
			if (!append_code_point(out, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00)))
				return false;
			high = 0;
		} else if (unit >= 0xd800 && unit <= 0xdbff) {
			high = unit;
		} else if ((unit >= 0xdc00 && unit <= 0xdfff) || unit == '/' || is_control(unit) ||
			   !append_code_point(out, unit)) {
			return false;
		}
	}
	return !high && count < 6 && !(bits & ((1u << count) - 1));
}

static bool decode_level(struct sv level, struct buf *out)
{
	while (level.len) {
		size_t amp = sv_find(level, '&');
		struct sv plain = sv_sub(level, 0, amp);

		if (sv_has_8bit(plain) || !buf_append(out, plain))
			return false;
		if (amp == SIZE_MAX)
			return true;
		sv_skip(&level, amp + 1);
		size_t end = sv_find(level, '-');
		if (end == SIZE_MAX)
			return false;
		if (!end ? !buf_append_c(out, '&') : !decode_run(sv_sub(level, 0, end), out))
			return false;
		sv_skip(&level, end + 1);
	}
	return true;
}

/* Canonical form without the check of the directory name. */
static struct fault check_text(struct sv name, struct buf *out)
{
	buf_clear(out);
	if (name.len && name.p[name.len - 1] == '/')
		name.len--;     /* RFC 9051 §6.3.4: a trailing separator only says that children may follow */
	if (!name.len)
		return fault(FAULT_INVALID, "empty mailbox name");
	if (name.len > MAILBOX_NAME_MAX)
		return fault(FAULT_LIMIT, "mailbox name too long");
	if (!sv_is_utf8(name))
		return fault(FAULT_INVALID, "mailbox name is not UTF-8");
	struct sv rest = name, level;
	unsigned depth = 0;

	for (struct sv s = name; s.len;)
		if (is_control(take_code_point(&s)))
			return fault(FAULT_INVALID, "control character in mailbox name");
	while (sv_split(&rest, '/', &level)) {
		if (!level.len)
			return fault(FAULT_INVALID, "empty level in mailbox name");
		if (++depth > MAILBOX_DEPTH_MAX)
			return fault(FAULT_LIMIT, "mailbox name too deep");
		if (depth == 1 && sv_eq_nocase(level, SV("INBOX")))
			level = SV("INBOX");    /* RFC 9051 §5.1 */
		if ((depth > 1 && !buf_append_c(out, '/')) || !buf_append(out, level))
			return fault(FAULT_LIMIT, "mailbox name too long");
	}
	return FAULT_OK;
}

struct fault mailbox_name_check(struct sv name, struct buf *out)
{
	char dir[LAYOUT_DIR_MAX + 1];
	struct fault f = check_text(name, out);

	if (!f.kind && !layout_dir(buf_sv(out), dir))
		f = fault(FAULT_LIMIT, "mailbox name too long for its directory");
	return f;
}

bool layout_dir(struct sv name, char out[LAYOUT_DIR_MAX + 1])
{
	struct buf b;
	struct sv rest = name, level;
	bool ok = true;

	if (sv_eq(name, SV("INBOX"))) {
		memcpy(out, ".", 2);
		return true;
	}
	buf_init(&b, LAYOUT_DIR_MAX);
	while (ok && sv_split(&rest, '/', &level))
		ok = buf_append_c(&b, '.') && encode_level(level, &b);
	if (ok) {
		memcpy(out, b.p, b.len);
		out[b.len] = '\0';
	}
	buf_done(&b);
	return ok;
}

bool layout_name(struct sv dir, struct buf *out)
{
	struct buf decoded, checked;
	struct sv rest = dir, level;
	bool ok;

	if (sv_eq(dir, SV(".")))
		return buf_append(out, SV("INBOX"));
	if (dir.len < 2 || dir.p[0] != '.' || dir.p[1] == '.')
		return false;
	sv_skip(&rest, 1);
	buf_init(&decoded, MAILBOX_NAME_MAX);
	buf_init(&checked, MAILBOX_NAME_MAX + 1);
	ok = true;
	for (bool first = true; ok && sv_split(&rest, '.', &level); first = false)
		ok = (first || buf_append_c(&decoded, '/')) && decode_level(level, &decoded);
	if (!ok) {
		/* Not modified UTF-7: a program that writes UTF-8, or something by hand. */
		buf_clear(&decoded);
		ok = buf_append(&decoded, sv_sub(dir, 1, SIZE_MAX));
		for (size_t i = 0; i < decoded.len; i++)
			if (decoded.p[i] == '.')
				decoded.p[i] = '/';
	}
	ok = ok && decoded.len && decoded.p[decoded.len - 1] != '/' && !check_text(buf_sv(&decoded), &checked).kind &&
	     !sv_eq(buf_sv(&checked), SV("INBOX")) && buf_append(out, buf_sv(&checked));
	buf_done(&decoded);
	buf_done(&checked);
	return ok;
}

bool layout_is_inside(struct sv name, struct sv parent)
{
	return sv_starts(name, parent) && (name.len == parent.len || name.p[parent.len] == '/');
}

static bool is_directory_name(struct sv s)
{
	if (!s.len || s.len > 255 || s.p[0] == '.')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '/' || (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

bool layout_account_split(struct sv address, struct sv *user, struct sv *domain)
{
	size_t at = sv_rfind(address, '@');

	if (at == SIZE_MAX)
		return false;
	*user = sv_sub(address, 0, at);
	*domain = sv_sub(address, at + 1, SIZE_MAX);
	return is_directory_name(*user) && is_directory_name(*domain);
}
