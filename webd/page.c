#include "webd/page.h"

#include "common/banned.h"

/* Pictures are drawn inside the page (SVG); forms go nowhere else. */
#define POLICY "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

/* Colours are named once for light and once for dark; each pair of text and ground has a contrast of at least 4.5 (WCAG 2.2, 1.4.3).
 * What can be pressed is at least 44 pixels high. */
static const char style[] =
":root{color-scheme:light dark;--ground:#f5f6f8;--card:#fff;--ink:#1b2430;--soft:#525f70;--line:#cfd5dd;--edge:#7d8896;--act:#0b57a4;"
"--on-act:#fff;--good:#17683a;--good-ground:#e6f4eb;--bad:#a3201b;--bad-ground:#fdecea;--a:#0b57a4;--b:#b45309;--c:#6d3fb0}\n"
"@media (prefers-color-scheme:dark){:root{--ground:#12161c;--card:#1b2129;--ink:#e8ecf1;--soft:#a9b4c2;--line:#38424f;--edge:#76828f;"
"--act:#7db8f5;--on-act:#0b1b2c;--good:#8bd9a8;--good-ground:#16301f;--bad:#ffb0a8;--bad-ground:#3a1c1a;--a:#7db8f5;--b:#f0b35f;"
"--c:#c7a6f5}}\n"
"*{box-sizing:border-box}\n"
"body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\n"
"header,main,footer{max-width:60rem;margin:0 auto;padding:0 1rem}\n"
"header{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;justify-content:space-between;padding-top:1.25rem}\n"
"header form{margin:0}\n"
"h1{font-size:1.5rem;line-height:1.25;margin:0}\nh2{font-size:1.15rem;margin:0 0 .5rem}\n"
".who{margin:0;color:var(--soft)}\n"
"section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1.1rem 1.25rem 1.25rem;margin:1rem 0}\n"
"section.narrow{max-width:26rem;margin:1.5rem auto}\n"
"p{margin:.4rem 0}\n.soft,dt,th,figcaption,.hint{color:var(--soft)}\n.hint{font-size:.9rem;display:block}\n"
"ul.rows{list-style:none;margin:.75rem 0 0;padding:0}\n"
"ul.rows>li{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;justify-content:space-between;border-top:1px solid var(--line);"
"padding:.75rem 0}\n"
"ul.rows>li>div{flex:1 1 16rem}\nul.rows form{margin:0}\n"
"label{display:block;font-weight:600;margin-top:.9rem}\n"
"input,textarea{display:block;width:100%;font:inherit;color:inherit;background:var(--card);border:1px solid var(--edge);"
"border-radius:.4rem;padding:.55rem .7rem;margin-top:.25rem;min-height:2.75rem}\n"
"textarea{min-height:8rem}\n"
".two{display:grid;grid-template-columns:repeat(auto-fit,minmax(12rem,1fr));gap:0 1rem}\n"
"button{font:inherit;font-weight:600;min-height:2.75rem;padding:.45rem 1.1rem;border-radius:.4rem;border:1px solid var(--act);"
"background:var(--act);color:var(--on-act);cursor:pointer}\n"
"button.second{background:transparent;color:var(--act)}\n"
".acts{display:flex;flex-wrap:wrap;gap:.6rem;margin-top:1rem}\n"
":focus-visible{outline:3px solid var(--act);outline-offset:2px}\n"
".said{border-radius:.6rem;border:1px solid;padding:.75rem 1rem;margin:1rem 0}\n"
".said.good{background:var(--good-ground);color:var(--good)}\n.said.bad{background:var(--bad-ground);color:var(--bad)}\n"
".secret{font:1.25rem/1.6 ui-monospace,monospace;background:var(--card);color:var(--ink);border:1px solid var(--edge);border-radius:.4rem;"
"padding:.4rem .7rem;display:inline-block;margin:.25rem 0;user-select:all}\n"
"h3{font-size:1rem;margin:1.5rem 0 .25rem}\n"
".qr{display:block;width:16rem;max-width:100%;background:#fff;border-radius:.4rem;margin:.75rem 0}\n.qr path{fill:#000}\n"
"a{color:var(--act)}\n.said a{color:inherit}\n.link{font-size:.9rem}\n"
"progress{width:100%;height:.9rem;accent-color:var(--act)}\n"
"details{margin-top:1rem}\nsummary{cursor:pointer;font-weight:600;padding:.6rem 0;color:var(--act)}\n"
"figure{margin:0}\n.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1rem}\n"
".grid section{margin:0;min-width:0}\n"
".chart{display:block;width:100%;height:auto}\n.chart text{fill:var(--soft);font:11px system-ui,sans-serif}\n"
".defs{position:absolute}.gap{fill:var(--card)}\n"
".chart .axis{stroke:var(--line)}\n.chart .a{fill:var(--a)}\n.chart .b{fill:var(--b)}\n"
".chart .line{fill:none;stroke:var(--c);stroke-width:2}\n.chart .under{fill:var(--c);opacity:.18}\n"
"table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
"th,td{text-align:left;padding:.4rem .6rem .4rem 0;border-top:1px solid var(--line);vertical-align:top}\n"
"td.n,th.n{text-align:right;padding-right:.3rem}\n"
".scroll{max-height:22rem;overflow:auto}\n"
"footer{padding-bottom:2rem;color:var(--soft);font-size:.9rem}\n"
".skip{position:absolute;left:-99rem}\n.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.5rem 1rem}\n";

void page_begin(struct html *h, struct response *out, struct sv title, struct sv who)
{
	html_init(h, &out->body);
	buf_clear(&out->body);
	out->type = "text/html; charset=utf-8";
	out->policy = POLICY;
	html(h, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n"
		"<title>$</title>\n<link rel=\"stylesheet\" href=\"" PAGE_STYLE_PATH "\">\n</head>\n<body>\n"
		"<a class=\"skip\" href=\"#content\">To the content</a>\n<header>\n<div>\n<h1>$</h1>\n", title, title);
	if (who.len)
		html(h, "<p class=\"who\">$</p>\n", who);
	html_raw(h, "</div>\n");
}

void page_end(struct html *h, struct response *out)
{
	html_raw(h, "</main>\n</body>\n</html>\n");
	if (h->is_cut)
		response_text(out, 500, "The answer is too long.");
}

void page_style(const struct route_context *ctx, const struct request *q, struct response *out)
{
	(void)ctx;
	(void)q;
	out->type = "text/css; charset=utf-8";
	out->cache = "max-age=300";
	if (!buf_append(&out->body, sv_from(style, sizeof(style) - 1)))
		response_text(out, 500, "The answer is too long.");
}
