#include "smtpd/srs.h"

#include "common/banned.h"

#define HASH_LEN 5
#define DAY_S 86400
#define DAYS_AROUND 1024 /* two digits of base 32 */

/* Addresses may be written in any case on their way back. */
static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

static int digit(char c)
{
	const char *at = c ? strchr(digits, ascii_lower(c)) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* put_hash - of what stands behind it, in lower case. */
static void put_hash(const struct directory *dir, struct sv kind, struct sv rest,
		     char out[HASH_LEN + 1])
{
	uint8_t mac[32];
	struct buf text;

	buf_init(&text, 4096);
	buf_append(&text, kind);
	for (size_t i = 0; i < rest.len; i++)
		buf_append_c(&text, ascii_lower(rest.p[i]));
	directory_keyed(dir, "srs", buf_sv(&text), mac);
	buf_done(&text);
	for (size_t i = 0; i < HASH_LEN; i++)
		out[i] = digits[mac[i] & 31];
	out[HASH_LEN] = '\0';
}

/* is_plain - a local part that needs no quotes, and whose octets everybody leaves alone. */
static bool is_plain(struct sv local)
{
	for (size_t i = 0; i < local.len; i++) {
		char c = local.p[i];

		if (!ascii_is_alpha(c) && !ascii_is_digit(c) &&
		    !(c && strchr("!#$%&'*+-/=?^_`{|}~.", c)))
			return false;
	}
	return local.len > 0;
}

static unsigned today(int64_t now_s)
{
	return (unsigned)(now_s / DAY_S % DAYS_AROUND);
}

/* put - "SRS0=hash=rest@domain", if it fits. */
static bool put(const struct directory *dir, struct sv kind, struct sv rest, struct sv domain,
		struct buf *out)
{
	char hash[HASH_LEN + 1];

	if (kind.len + 1 + HASH_LEN + 1 + rest.len > ADDRESS_LOCAL_MAX)
		return false;
	put_hash(dir, kind, rest, hash);
	return buf_appendf(out, "%.*s=%s=%.*s@%.*s", SV_FMT(kind), hash, SV_FMT(rest),
			   SV_FMT(domain));
}

bool srs_is_one(struct sv local)
{
	return local.len > 5 &&
	       (sv_starts_nocase(local, SV("SRS0")) || sv_starts_nocase(local, SV("SRS1"))) &&
	       strchr("=+-", local.p[4]) != NULL && local.p[4];
}

bool srs_forward(const struct directory *dir, struct sv sender, struct sv domain, int64_t now_s,
		 struct buf *out)
{
	size_t at = sv_rfind(sender, '@');
	struct sv local = sv_sub(sender, 0, at), host = sv_sub(sender, at + 1, SIZE_MAX);
	unsigned day = today(now_s);
	struct buf rest;
	bool ok;

	if (at == SIZE_MAX || !is_plain(local) || !host.len)
		return false;
	buf_init(&rest, 1024);
	if (!srs_is_one(local)) {
		buf_appendf(&rest, "%c%c=%.*s=%.*s", digits[day >> 5], digits[day & 31],
			    SV_FMT(host), SV_FMT(local));
		ok = put(dir, SV("SRS0"), buf_sv(&rest), domain, out);
	} else if (ascii_lower(local.p[3]) == '0') {
		buf_appendf(&rest, "%.*s=%.*s", SV_FMT(host), SV_FMT(sv_sub(local, 4, SIZE_MAX)));
		ok = put(dir, SV("SRS1"), buf_sv(&rest), domain, out);
	} else {
		/* Another forwarder's SRS1: whom it names stays, what vouches for it is ours. */
		struct sv tail = sv_sub(local, 5, SIZE_MAX), hash;

		ok = sv_split(&tail, '=', &hash) && tail.len &&
		     put(dir, SV("SRS1"), tail, domain, out);
	}
	buf_done(&rest);
	return ok;
}

static bool is_young(struct sv stamp, int64_t now_s)
{
	int high, low;

	if (stamp.len != 2 || (high = digit(stamp.p[0])) < 0 || (low = digit(stamp.p[1])) < 0)
		return false;
	return (today(now_s) + DAYS_AROUND - ((unsigned)high << 5 | (unsigned)low)) % DAYS_AROUND <=
	       SRS_DAYS;
}

bool srs_reverse(const struct directory *dir, struct sv local, int64_t now_s, struct buf *out)
{
	struct sv rest = sv_sub(local, 5, SIZE_MAX), hash, first, second;
	bool is_first = srs_is_one(local) && local.p[3] == '0';
	char good[HASH_LEN + 1];

	if (!srs_is_one(local) || !sv_split(&rest, '=', &hash) || !rest.len)
		return false;
	put_hash(dir, is_first ? SV("SRS0") : SV("SRS1"), rest, good);
	if (!sv_eq_nocase(hash, sv_z(good)))
		return false;
	if (!sv_split(&rest, '=', &first))
		return false;
	if (!is_first) /* first is the host that can take it further back */
		return rest.len && buf_appendf(out, "SRS0%.*s@%.*s", SV_FMT(rest), SV_FMT(first));
	return is_young(first, now_s) && sv_split(&rest, '=', &second) && second.len && rest.len &&
	       buf_appendf(out, "%.*s@%.*s", SV_FMT(rest), SV_FMT(second));
}
