/* admin/delegate.h - administering some domains only, by a token: the socket that its holders ask, who are ordinary users of the host.
 *
 * The protocol is that of common/control.h, one connection and one request, with the token in it and one verb with its options:
 *   {"token":"prd_...","args":["account","add","carol@example.org","--generate"],"stdin":"..."}
 *   {"out":"..."}  {"err":"..."}  {"exit":0}  {"done":true}
 * What a holder may do says the column `delegated` of the table of verbs; cli_run_delegated() checks it. Each request is a process of
 * its own, which does nothing else. */
#ifndef ADMIN_DELEGATE_H
#define ADMIN_DELEGATE_H

#include "admin/cli.h"

struct conf;

#define DELEGATE_SOCKET_MAX 108
#define DELEGATE_REQUEST_MAX (64u << 10)

/** delegate_socket - where holders ask. False: nowhere. */
bool delegate_socket(const struct conf *conf, const char *root, char out[DELEGATE_SOCKET_MAX]);
/** delegate_ask - for the holder: send one verb and print what comes of it; the exit code. @token: a file that holds it, or "env" for
 *  the variable POSTROOM_TOKEN. @socket: NULL: the one of the host's instance */
int delegate_ask(const struct verb *const *groups, const char *token, const char *socket, bool json, int argc, char **argv);
/** delegate_answers - does somebody listen there? */
bool delegate_answers(const char *path);
/** run_delegate_serve - answer, until SIGTERM. Ends with EXIT_USAGE where trying again would end alike: the folder of the socket is missing. */
int run_delegate_serve(struct cli *cli);

#endif
