#include "smtpd/relay/clock.h"

#include <string.h>
#include <time.h>

#include "common/banned.h"

#define NOTE_HEAD "postroom clock 1"

static int64_t read_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_running_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

void clock_read(struct clock_host *out)
{
	out->wall_ms = read_ms(CLOCK_REALTIME);
	out->running_ms = clock_running_ms();
	shared_boot_id(out->boot);
	out->boot[strcspn(out->boot, "\n")] = '\0';
}

void clock_note_write(const struct clock_note *note, struct buf *out)
{
	(void)buf_appendf(out, NOTE_HEAD " %s %lld %lld %lld\n", note->boot, (long long)note->offset_ms, (long long)note->last_ms,
			  (long long)note->wall_ms);
}

static bool take_number(struct sv *rest, int64_t *out)
{
	struct sv word;
	bool is_negative;
	uint64_t n;

	if (!sv_split(rest, ' ', &word))
		return false;
	is_negative = word.len && *word.p == '-';
	if (is_negative)
		sv_skip(&word, 1);
	if (!sv_to_u64(word, &n) || n > INT64_MAX / 4)
		return false;
	*out = is_negative ? -(int64_t)n : (int64_t)n;
	return true;
}

bool clock_note_read(struct sv text, struct clock_note *out)
{
	struct sv rest = sv_trim(text), boot;

	if (!sv_starts(rest, SV(NOTE_HEAD " ")))
		return false;
	sv_skip(&rest, sizeof(NOTE_HEAD));
	if (!sv_split(&rest, ' ', &boot) || boot.len >= sizeof(out->boot))
		return false;
	memset(out->boot, 0, sizeof(out->boot));
	memcpy(out->boot, boot.p, boot.len);
	return take_number(&rest, &out->offset_ms) && take_number(&rest, &out->last_ms) && take_number(&rest, &out->wall_ms) && !rest.len;
}

int64_t clock_start(const struct clock_host *host, const struct clock_note *was)
{
	int64_t off_ms;

	if (was && host->boot[0] && !strcmp(was->boot, host->boot))
		return was->offset_ms;
	if (!was)
		return host->wall_ms - host->running_ms;
	off_ms = host->wall_ms - was->wall_ms;
	if (off_ms < 0 || off_ms > CLOCK_OFF_S * 1000ll)
		off_ms = 0;
	return was->last_ms + off_ms - host->running_ms;
}

int64_t clock_born(int64_t now_s, int64_t skew_s, int64_t received_s, bool is_new, int64_t life_s)
{
	bool is_same = skew_s >= -CLOCK_SAME_S && skew_s <= CLOCK_SAME_S;
	int64_t as_now_s = is_same ? received_s : received_s - skew_s;
	int64_t born_s = as_now_s;

	/* It says either the time of the clock as it is now, or of one that was right: the younger of the two, unless it is to come. */
	if (!is_new && (as_now_s > now_s || (received_s > as_now_s && received_s <= now_s)))
		born_s = received_s;
	if (born_s > now_s || now_s - born_s > life_s + CLOCK_OFF_S)
		born_s = now_s;
	if (is_new && born_s < now_s - CLOCK_FRESH_S)
		born_s = now_s - CLOCK_FRESH_S;
	return born_s;
}
