/* imapd/fetch.h - what other commands ask of FETCH. */
#ifndef IMAPD_FETCH_H
#define IMAPD_FETCH_H

#include "imapd/command.h"

/** fetch_items_are_valid - FETCH items up to the end of *list, at least one. */
bool fetch_items_are_valid(struct command *c, struct args *list);

#endif
