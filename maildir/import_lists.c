/* maildir/import_lists.c - see import_lists.h. */
#include "maildir/import_lists.h"

#include <stdio.h>

#include "common/charset.h"
#include "maildir/layout.h"

#include "common/banned.h"

/* A line without its end; CR in front of LF goes, since such files are edited by hand. */
static bool next_line(struct sv *rest, struct sv *line)
{
	if (!rest->len || !sv_split(rest, '\n', line))
		return false;
	if (line->len && line->p[line->len - 1] == '\r')
		line->len--;
	return true;
}

static struct sv up_to_colon(struct sv file)
{
	return sv_sub(file, 0, sv_find(file, ':'));
}

static bool set_uidl(struct list_entry *e, struct sv uidl)
{
	if (!box_facts_is_uidl(uidl))
		return false;
	memcpy(e->uidl, uidl.p, uidl.len);
	e->uidl[uidl.len] = '\0';
	e->len = (uint32_t)uidl.len;
	return true;
}

/* --- UIDs ------------------------------------------------------------------------------------------------------------ */

static bool parse_head_3(struct sv line, struct list_head *head)
{
	struct sv word;
	bool ok = true;

	while (ok && sv_split(&line, ' ', &word)) {
		struct sv value = sv_sub(word, 1, SIZE_MAX);
		if (word.len && word.p[0] == 'V')
			ok = sv_to_u32(value, &head->uidvalidity);
		else if (word.len && word.p[0] == 'N')
			ok = sv_to_u32(value, &head->uidnext);
		/* 'G' is the mailbox's global id, others may come: nothing that we need. */
	}
	return ok && head->uidvalidity;
}

static bool parse_head_1(struct sv line, struct list_head *head)
{
	struct sv uidvalidity = SV_NONE;

	return sv_split(&line, ' ', &uidvalidity) && sv_to_u32(uidvalidity, &head->uidvalidity) && head->uidvalidity &&
	       sv_to_u32(sv_trim(line), &head->uidnext);
}

static bool parse_entry(struct sv line, bool is_3, struct list_entry *e)
{
	struct sv word;

	memset(e, 0, sizeof(*e));
	if (!sv_split(&line, ' ', &word) || !sv_to_u32(word, &e->uid) || !e->uid || e->uid > LISTS_UID_MAX)
		return false;
	if (is_3) {
		/* Extensions, each a letter and a value, until ':' begins the name. */
		while (line.len && line.p[0] != ':') {
			if (!sv_split(&line, ' ', &word))
				return false;
			if (word.len && word.p[0] == 'P')
				set_uidl(e, sv_sub(word, 1, SIZE_MAX));
		}
		if (!line.len)
			return false;
		sv_skip(&line, 1);
	}
	e->file = up_to_colon(line);
	return e->file.len > 0;
}

struct fault list_uids(struct sv text, struct list_head *head, list_entry_fn *fn, void *arg)
{
	struct sv line, version;
	struct list_entry e;
	uint64_t count = 0;

	memset(head, 0, sizeof(*head));
	if (!next_line(&text, &line) || !sv_split(&line, ' ', &version))
		return fault(FAULT_CORRUPT, "list of UIDs is empty");
	bool is_3 = sv_eq(version, SV("3"));
	if (is_3 ? !parse_head_3(line, head) : !sv_eq(version, SV("1")) || !parse_head_1(line, head)) {
		memset(head, 0, sizeof(*head));
		return fault(FAULT_CORRUPT, "first line of the list of UIDs makes no sense");
	}
	if (head->uidnext > LISTS_UID_MAX)
		head->uidnext = 0;
	while (next_line(&text, &line)) {
		if (!line.len)
			continue;
		if (!parse_entry(line, is_3, &e) || ++count > LISTS_COUNT_MAX) {
			head->bad_lines++;
			continue;
		}
		if (e.uid >= head->uidnext)     /* Dovecot adds lines without writing the first one anew */
			head->uidnext = e.uid + 1;
		if (!fn(arg, &e))
			break;
	}
	return FAULT_OK;
}

/* "<file> <size> <n>:<uidv>[:<utf8>]", from the right: a file name may hold spaces. */
static bool parse_pop3_entry(struct sv line, struct list_entry *e)
{
	struct sv ids, n = SV_NONE, uidv = SV_NONE;
	uint64_t size;
	uint32_t number, validity;
	char text[64];

	memset(e, 0, sizeof(*e));
	size_t space = sv_rfind(line, ' ');
	if (space == SIZE_MAX)
		return false;
	ids = sv_sub(line, space + 1, SIZE_MAX);
	line = sv_sub(line, 0, space);
	space = sv_rfind(line, ' ');
	if (space == SIZE_MAX || !sv_to_u64(sv_sub(line, space + 1, SIZE_MAX), &size))
		return false;
	e->file = up_to_colon(sv_sub(line, 0, space));
	if (!e->file.len || !sv_split(&ids, ':', &n) || !sv_split(&ids, ':', &uidv) || !sv_to_u32(n, &number) ||
	    !sv_to_u32(uidv, &validity))
		return false;
	if (number && validity)
		snprintf(text, sizeof(text), "UID%u-%u", number, validity);
	else if (number)
		snprintf(text, sizeof(text), "UID%u", number);
	if (number)
		return set_uidl(e, sv_z(text));

	/* The oldest form: the file's name, with what is no plain character as +XX. */
	struct buf old;
	buf_init(&old, FACTS_UIDL_MAX);
	bool ok = true;
	for (size_t i = 0; ok && i < e->file.len; i++) {
		char c = e->file.p[i];
		ok = c < 0x21 || c > 0x7e || c == '\'' || c == '"' || c == '+' ?
		     buf_appendf(&old, "+%02X", (unsigned)(unsigned char)c) : buf_append_c(&old, c);
	}
	ok = ok && set_uidl(e, buf_sv(&old));
	buf_done(&old);
	return ok;
}

struct fault list_courier_pop3(struct sv text, struct list_head *head, list_entry_fn *fn, void *arg)
{
	struct sv line;
	struct list_entry e;
	uint64_t count = 0;

	memset(head, 0, sizeof(*head));
	if (!next_line(&text, &line) || (!sv_starts(line, SV("/2 ")) && !sv_starts(line, SV("/3 "))))
		return fault(FAULT_CORRUPT, "first line of courierpop3dsizelist makes no sense");
	while (next_line(&text, &line)) {
		if (!line.len)
			continue;
		if (!parse_pop3_entry(line, &e) || ++count > LISTS_COUNT_MAX)
			head->bad_lines++;
		else if (!fn(arg, &e))
			break;
	}
	return FAULT_OK;
}

/* --- keywords ---------------------------------------------------------------------------------------------------------- */

uint64_t list_dovecot_keywords(struct sv text, list_keyword_fn *fn, void *arg)
{
	struct sv line, number;
	uint64_t bad = 0;
	uint32_t n;

	while (next_line(&text, &line)) {
		if (!line.len)
			continue;
		if (!sv_split(&line, ' ', &number) || !sv_to_u32(number, &n) || !line.len)
			bad++;
		else if (!fn(arg, n, line))
			break;
	}
	return bad;
}

uint64_t list_courier_keywords(struct sv text, list_keyword_fn *name_fn, list_numbers_fn *file_fn, void *arg)
{
	struct sv line;
	uint64_t bad = 0;
	uint32_t n = 0;

	while (next_line(&text, &line) && line.len)
		if (!name_fn(arg, n++, line))
			return bad;
	while (next_line(&text, &line)) {
		size_t colon = sv_rfind(line, ':');
		if (!line.len)
			continue;
		if (colon == SIZE_MAX || !colon)
			bad++;
		else if (!file_fn(arg, up_to_colon(line), sv_sub(line, colon + 1, SIZE_MAX)))
			break;
	}
	return bad;
}

/* --- names ------------------------------------------------------------------------------------------------------------- */

bool list_name(struct sv name, char separator, bool strip_inbox, struct buf *out)
{
	struct buf decoded, checked;
	struct sv rest = name, level, first;
	bool ok = name.len > 0;

	if (strip_inbox && sv_split(&rest, separator, &first) && sv_eq_nocase(first, SV("INBOX")) && rest.len)
		name = rest;
	buf_init(&decoded, MAILBOX_NAME_MAX);
	buf_init(&checked, MAILBOX_NAME_MAX + 1);
	rest = name;
	for (bool is_first = true; ok && sv_split(&rest, separator, &level); is_first = false) {
		ok = level.len && (is_first || buf_append_c(&decoded, '/'));
		size_t before = decoded.len;
		if (ok && !mutf7_to_utf8(level, &decoded)) {
			decoded.len = before;
			ok = buf_append(&decoded, level);       /* a program that writes UTF-8 */
		}
		/* A '/' inside a level would become a level of its own. */
		ok = ok && sv_find(sv_sub(buf_sv(&decoded), before, SIZE_MAX), '/') == SIZE_MAX;
	}
	ok = ok && !mailbox_name_check(buf_sv(&decoded), &checked).kind && buf_append(out, buf_sv(&checked));
	buf_done(&decoded);
	buf_done(&checked);
	return ok;
}

uint64_t list_subscriptions(struct sv text, char separator, list_name_fn *fn, void *arg)
{
	struct sv line;
	struct buf name;
	uint64_t bad = 0;
	bool is_first = true, is_2 = false, go_on = true;

	buf_init(&name, MAILBOX_NAME_MAX + 1);
	while (go_on && next_line(&text, &line)) {
		if (is_first && sv_eq(line, SV("V\t2")))
			is_2 = true;
		else if (line.len) {
			buf_clear(&name);
			if (list_name(line, is_2 ? '\t' : separator, !is_2, &name))
				go_on = fn(arg, buf_sv(&name));
			else
				bad++;
		}
		is_first = false;
	}
	buf_done(&name);
	return bad;
}

/* --- Dovecot's pop3_uidl_format ------------------------------------------------------------------------------------------ */

static bool append_number(struct buf *out, uint32_t n, bool is_zero, unsigned width, char base)
{
	char text[24], padded[48];

	snprintf(text, sizeof(text), base ? "%x" : "%u", n);
	size_t len = strlen(text), pad = width > len ? width - len : 0;

	/* Dovecot cuts what is longer than the width at the front of the text: that would not be unique, so we refuse it. */
	if (pad > 20 || (width && len > width))
		return false;
	memset(padded, is_zero ? '0' : ' ', pad);
	memcpy(padded + pad, text, len);
	return buf_append(out, sv_from(padded, pad + len));
}

bool uidl_format(struct sv format, uint32_t uid, uint32_t uidvalidity, struct sv file, struct buf *out)
{
	bool ok = format.len > 0;

	while (ok && format.len) {
		char base = 0;
		bool is_zero = false;
		unsigned width = 0;
		if (format.p[0] != '%') {
			ok = buf_append_c(out, format.p[0]);
			sv_skip(&format, 1);
			continue;
		}
		sv_skip(&format, 1);
		if (format.len && format.p[0] == '0') {
			is_zero = true;
			sv_skip(&format, 1);
		}
		while (format.len && ascii_is_digit(format.p[0]) && width < 100) {
			width = width * 10 + (unsigned)(format.p[0] - '0');
			sv_skip(&format, 1);
		}
		if (format.len && format.p[0] == 'X') {
			base = 'X';
			sv_skip(&format, 1);
		}
		char what = format.len ? format.p[0] : '\0';
		if (what == 'u' || what == 'v')
			ok = append_number(out, what == 'u' ? uid : uidvalidity, is_zero, width, base);
		else if (what == '%')
			ok = buf_append_c(out, '%');
		else    /* %f: the file name; %g: the message's GUID, which Dovecot takes from the name up to the first ',' */
			ok = (what == 'f' || what == 'g') && !width && !base &&
			     buf_append(out, what == 'f' ? file : sv_sub(file, 0, sv_find(file, ',')));
		if (format.len)
			sv_skip(&format, 1);
	}
	return ok && box_facts_is_uidl(buf_sv(out));
}

bool uidl_is_default(struct sv format)
{
	return !format.len || sv_eq(format, SV("%08Xu%08Xv"));
}
