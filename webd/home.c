#include "webd/home.h"

#include "common/discovery.h"
#include "webd/page.h"

#include "common/banned.h"

static void put_service(struct html *h, const struct conf *conf, enum discovery_kind kind, struct sv what)
{
	struct discovery_service s = discovery_service(conf, kind);

	if (s.port)
		html(h, "<tr><td>$</td><td>$</td><td class=\"n\">$</td><td>$</td></tr>\n", what, sv_z(conf->host.hostname), html_u64(h, s.port),
		     s.is_starttls ? SV("STARTTLS") : SV("SSL/TLS"));
}

void home_show(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct html h;
	struct buf link;

	buf_init(&link, 512);
	page_begin(&h, out, SV("Mail"), sv_z(ctx->conf->host.hostname));
	html_raw(&h, "</header>\n<main id=\"content\">\n");
	if (buf_append(&link, SV("https://")) &&
	    route_https_host(ctx->conf, q->host.len ? q->host : sv_z(ctx->conf->host.hostname), q->is_forwarded, &link))
		html(&h, "<section aria-labelledby=\"account\">\n<h2 id=\"account\">Your mail account</h2>\n<p><a href=\"$/account\">Sign in</a> to set up a "
			 "phone, make app passwords, see your devices, or turn on an automatic answer.</p>\n</section>\n", buf_sv(&link));
	html_raw(&h, "<section aria-labelledby=\"program\">\n<h2 id=\"program\">Mail programs</h2>\n<p>Most find these by themselves from your mail address. "
		     "The user name is your whole mail address; the password is your account’s, or an app password.</p>\n<table>\n"
		     "<tr><th scope=\"col\">For</th><th scope=\"col\">Server</th><th scope=\"col\" class=\"n\">Port</th><th scope=\"col\">Security</th></tr>\n");
	put_service(&h, ctx->conf, DISCOVERY_IMAP, SV("Reading (IMAP)"));
	put_service(&h, ctx->conf, DISCOVERY_POP3, SV("Fetching (POP3)"));
	put_service(&h, ctx->conf, DISCOVERY_SMTP, SV("Sending (SMTP)"));
	html_raw(&h, "</table>\n</section>\n");
	page_end(&h, out);
	buf_done(&link);
}
