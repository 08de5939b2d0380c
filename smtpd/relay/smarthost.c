#include "smtpd/relay/smarthost.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"

#include "common/banned.h"

#define FILE_MAX (64u << 10)
#define DEFAULT_PORT "587"
#define LMTP "lmtp:"
#define LMTP_PORT "24"

struct login {
	char *host, *user, *password;
};

struct smarthosts {
	struct login *logins;
	size_t count;
};

static bool read_line(struct smarthosts *s, struct sv line)
{
	struct sv host, user;
	struct login *l;

	line = sv_trim(line);
	if (!line.len || *line.p == '#')
		return true;
	if (!sv_split(&line, ' ', &host) || !sv_split(&line, ' ', &user) || !host.len ||
	    !user.len || !line.len)
		return false;
	s->logins = xrealloc(s->logins, (s->count + 1) * sizeof(*s->logins));
	l = &s->logins[s->count++];
	*l = (struct login){ sv_copy_z(host), sv_copy_z(user), sv_copy_z(line) };
	return true;
}

struct fault smarthosts_load(const char *path, struct smarthosts **out)
{
	struct smarthosts *s = xcalloc(1, sizeof(*s));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct fault f = FAULT_OK;
	struct buf text;
	struct stat st;
	struct sv rest, line;
	ssize_t n;

	*out = s;
	if (fd < 0)
		return errno == ENOENT ? FAULT_OK : fault_errno("open", path);
	buf_init(&text, FILE_MAX);
	if (fstat(fd, &st) || st.st_mode & 077)
		f = fault_detail(FAULT_DENIED, "%s: others may read it", path);
	buf_reserve(&text, FILE_MAX);
	n = f.kind ? 0 : read(fd, text.p, FILE_MAX);
	if (n < 0)
		f = fault_errno("read", path);
	text.len = n > 0 ? (size_t)n : 0;
	rest = buf_sv(&text);
	while (!f.kind && sv_split(&rest, '\n', &line))
		if (!read_line(s, line))
			f = fault_detail(FAULT_INVALID, "%s: a line is not HOST USER PASSWORD",
					 path);
	close(fd);
	buf_wipe(&text);
	return f;
}

void smarthosts_free(struct smarthosts **s)
{
	if (!*s)
		return;
	for (size_t i = 0; i < (*s)->count; i++) {
		free((*s)->logins[i].host);
		free((*s)->logins[i].user);
		secret_free(&(*s)->logins[i].password);
	}
	free((*s)->logins);
	free(*s);
	*s = NULL;
}

bool smarthosts_login(const struct smarthosts *s, struct sv host, const char **user,
		      const char **password)
{
	for (size_t i = 0; i < s->count; i++)
		if (sv_eq_nocase(sv_z(s->logins[i].host), host)) {
			*user = s->logins[i].user;
			*password = s->logins[i].password;
			return true;
		}
	return false;
}

struct sv smarthost_address(struct sv destination, bool *is_lmtp)
{
	sv_skip(&destination, 1);
	*is_lmtp = sv_starts(destination, SV(LMTP));
	if (*is_lmtp)
		sv_skip(&destination, strlen(LMTP));
	return destination;
}

/* take_apart - "to:example.net=smtp.example:587", "to:lists.example=lmtp:[127.0.0.1]:8024". */
static bool take_apart(struct sv word, struct sv *selector, bool *is_lmtp, struct sv *host, struct sv *port)
{
	size_t colon;
	uint32_t number;

	if (!sv_split(&word, '=', selector))
		return false;
	*is_lmtp = sv_starts(word, SV(LMTP));
	if (*is_lmtp)
		sv_skip(&word, strlen(LMTP));
	if (!word.len)
		return false;
	colon = sv_rfind(word, ':');
	/* A colon inside of brackets is an IPv6 address's. */
	if (colon != SIZE_MAX && word.p[word.len - 1] != ']') {
		*host = sv_sub(word, 0, colon);
		*port = sv_sub(word, colon + 1, SIZE_MAX);
	} else {
		*host = word;
		*port = *is_lmtp ? SV(LMTP_PORT) : SV(DEFAULT_PORT);
	}
	return host->len && host->len < 254 && sv_to_u32(*port, &number) && number &&
	       number <= UINT16_MAX &&
	       (sv_eq(*selector, SV("*")) || sv_starts(*selector, SV("to:")) ||
		sv_starts(*selector, SV("from:")));
}

const char *smarthost_check(const struct conf *conf)
{
	const struct conf_list *l = &conf->relay.smarthosts;
	struct sv selector, host, port;
	bool is_lmtp;

	if (conf_list_is_none(l))
		return NULL;
	for (size_t i = 0; i < l->count; i++)
		if (!take_apart(sv_z(l->items[i]), &selector, &is_lmtp, &host, &port))
			return l->items[i];
	return NULL;
}

bool smarthost_for(const struct conf *conf, struct sv from, struct sv to, struct buf *out)
{
	static const char *const kinds[] = { "to:", "from:", "*" };
	const struct conf_list *l = &conf->relay.smarthosts;
	struct sv selector, host, port;
	bool is_lmtp;

	for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++)
		for (size_t i = 0; i < l->count; i++) {
			struct sv name;

			if (!take_apart(sv_z(l->items[i]), &selector, &is_lmtp, &host, &port) ||
			    !sv_starts(selector, sv_z(kinds[kind])))
				continue;
			name = sv_sub(selector, strlen(kinds[kind]), SIZE_MAX);
			if (kind < 2 && (!name.len || !sv_eq_nocase(name, kind ? from : to)))
				continue;
			return buf_appendf(out, ">%s%.*s:%.*s", is_lmtp ? LMTP : "", SV_FMT(host), SV_FMT(port));
		}
	return false;
}
