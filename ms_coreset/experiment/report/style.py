"""The page's style sheet: one column on a phone, two beside each other on a screen, black on white in print."""

from collections.abc import Mapping

from ms_coreset.experiment.report.palette import DARK, LIGHT


def _variables(colors: Mapping[str, str]) -> str:
    return "".join(f"--{role}:{color};" for role, color in colors.items())


_ROLES = "".join(f".f-{role}{{fill:var(--{role})}}.s-{role}{{stroke:var(--{role});fill:none}}" for role in LIGHT)

STYLE = f"""
:root{{color-scheme:light dark;{_variables(LIGHT)}}}
@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}
{_ROLES}
*{{box-sizing:border-box}}
html{{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}}
body{{margin:0;background:var(--paper);color:var(--ink);
 font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}}
main{{max-width:1240px;margin:0 auto;padding:1.5rem 1rem 4rem}}
h1{{font-size:1.75rem;line-height:1.2;margin:0 0 .35rem;letter-spacing:-.01em;overflow-wrap:anywhere}}
h2{{font-size:1.35rem;line-height:1.25;margin:3.2rem 0 .3rem;padding-top:1.1rem;border-top:2px solid var(--ink);
 overflow-wrap:anywhere}}
h3{{font-size:1.05rem;margin:2.2rem 0 .6rem}}
p{{margin:.4rem 0 .8rem;max-width:44rem}}
a{{color:var(--accent)}}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{{outline:2px solid var(--accent);outline-offset:2px}}
.lead{{font-size:1.05rem}}
.quiet,.note,figcaption,caption,small{{color:var(--muted)}}
.note{{border-left:3px solid var(--faint);padding-left:.7rem}}
.alarm{{border-left:3px solid var(--alarm);padding-left:.7rem}}
nav ul,ul{{padding-left:1.2rem;margin:.4rem 0}}
li{{margin:.2rem 0;overflow-wrap:anywhere}}
dl{{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.15rem 1rem;margin:.8rem 0;font-size:.9rem}}
dt{{color:var(--muted)}}dd{{margin:0;overflow-wrap:anywhere}}
figure{{margin:0 0 1rem;max-width:480px}}
figcaption{{font-size:.875rem;margin-bottom:.4rem}}
svg{{display:block;width:100%;height:auto}}
svg text{{font-size:11.5px;font-family:inherit}}
svg path{{stroke-linejoin:round}}
.pair,.grid{{display:grid;grid-template-columns:minmax(0,1fr);gap:.5rem 2rem;align-items:start}}
.grid{{grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr))}}
.scroll{{container-type:inline-size;overflow-x:auto;max-width:100%;margin:0 0 1rem;-webkit-overflow-scrolling:touch}}
table{{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}}
caption{{text-align:left;padding:0 0 .5rem;caption-side:top;font-size:.8125rem;line-height:1.4}}
caption span{{display:block;position:sticky;left:0;width:max-content;max-width:min(100cqw,44rem)}}
th,td{{padding:.32rem .7rem .32rem 0;text-align:right;vertical-align:top;border-bottom:1px solid var(--grid);
 white-space:nowrap}}
thead th{{font-weight:600;border-bottom:1.5px solid var(--muted);vertical-align:bottom}}
th:first-child{{text-align:left;position:sticky;left:0;background:var(--paper);padding-right:1rem}}
tbody th{{font-weight:500}}
td small{{font-size:.75rem}}.lacking{{display:block}}
.interval{{display:block;font-size:.8125rem}}
.place{{font-size:.625rem;line-height:1;padding:.1rem .28rem;border-radius:.2rem;border:1px solid var(--ink);
 vertical-align:.08em}}
.place1{{background:var(--ink);color:var(--paper)}}
.words td,.words th{{text-align:left;white-space:normal;min-width:4.5rem}}
details{{margin:.4rem 0 1rem;max-width:100%}}
summary{{cursor:pointer;color:var(--accent);font-size:.9375rem;padding:.35rem 0}}
pre{{background:var(--panel);padding:.8rem;border-radius:.3rem;overflow-x:auto;font-size:.8125rem;line-height:1.45;
 margin:.4rem 0 1rem}}
.sheet td,.sheet thead th{{text-align:left}}.sheet td{{padding-right:1rem}}.sheet img{{display:block;max-width:none}}
@media (max-width:430px){{.sheet img{{height:30px;width:auto}}.sheet td,.sheet th:first-child{{padding-right:.6rem}}}}
@media (min-width:960px){{
 .pair{{grid-template-columns:minmax(0,440px) minmax(0,1fr)}}.pair>figure{{position:sticky;top:1rem}}
 .sheets{{grid-template-columns:repeat(auto-fill,minmax(430px,1fr))}}
 dl{{grid-template-columns:max-content minmax(0,1fr) max-content minmax(0,1fr)}}
}}
@media print{{
 @page{{margin:14mm}}
 body{{font-size:10pt}}
 main{{max-width:none;padding:0}}
 h2,h3{{break-after:avoid}}h2{{margin-top:1.5rem}}
 figure,tr,.sheet,dl{{break-inside:avoid}}
 figure{{max-width:11cm}}
 .pair{{display:block}}
 .grid{{grid-template-columns:repeat(2,minmax(0,1fr))}}
 .scroll{{overflow:visible}}
 table{{font-size:7.5pt}}td small,.interval,.place{{font-size:6.5pt}}th,td{{padding-right:.35rem}}
 th:first-child{{position:static}}
 .place1{{background:none;color:var(--ink);border-width:1.5px;font-weight:700}}
 caption{{break-after:avoid}}
 pre{{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--grid)}}
 a{{color:inherit;text-decoration:none}}
 details::details-content{{content-visibility:visible;display:block}}
 .unprinted{{display:none}}
 .sheet img{{height:26px;width:auto}}.sheet td,.sheet th:first-child{{padding-right:.4rem}}
 summary{{color:var(--muted);list-style:none}}
}}
"""
