/* common/provider.h - who runs a mail server, by its host's name: the large providers receive for many thousand domains, and whoever is
 * asked by one of them to send less should send less to all of theirs. The table is the option `mail-providers`. Pure, any thread. */
#ifndef COMMON_PROVIDER_H
#define COMMON_PROVIDER_H

#include "common/bytes.h"

struct conf_list;

/** provider_parse - "google=google.com": its name, and what hosts' names end in. False: it is none. */
bool provider_parse(struct sv word, struct sv *name, struct sv *suffix);
/** provider_of - by the table; the longest suffix wins. Empty: nobody that it knows. Borrowed from the table. */
struct sv provider_of(const struct conf_list *providers, struct sv host);
/**
 * provider_of_remote - the same for people, of what `relay.*` events call a remote.
 * @remote: "mx.example.net [192.0.2.1]"
 * Whom the table does not know is called by the last two labels of the host. Empty when the host has no name.
 */
struct sv provider_of_remote(const struct conf_list *providers, struct sv remote);

#endif
