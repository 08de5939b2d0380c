/* webd/home.h - the page at "/": for people who type the server's name, where their account page is, and what to enter into a mail program that finds
 * nothing by itself. It says nothing of the program or of any account. A handler of webd/routes.c. */
#ifndef WEBD_HOME_H
#define WEBD_HOME_H

#include "webd/routes.h"

void home_show(const struct route_context *ctx, const struct request *q, struct response *out);

#endif
