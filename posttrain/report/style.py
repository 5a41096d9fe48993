"""The page's style sheet: one column, system fonts, light and dark by the reader's setting, legible from 390 px up.

Colour carries meaning in three places only (kind of stage, outcome of a verdict, kept or not), each also said in words,
and was chosen to hold for the common forms of colour blindness. Knows nothing of content.
"""

# ruff: noqa: E501 - holds text of another language (style sheets, templates, recipes)

CSS = """
:root{color-scheme:light dark;--paper:#fcfcfa;--card:#fff;--ink:#1c2024;--soft:#5d656e;--line:#e3e4df;--hair:#eeeeea;--accent:#1f5fa8;
--wash:#e8f0f9;--base:#9aa1a8;--sft:#1f5fa8;--dpd:#7a4ea3;--grpo:#b5611a;--rm:#2c7d6b;--eval:#c3c8cd;--good:#1f6fb2;--bad:#c8631b;--odd:#9aa1a8;
--warn:#fdf3e4;--warnline:#d9a356}
@media(prefers-color-scheme:dark){:root{--paper:#14171a;--card:#1b1f23;--ink:#e6e8ea;--soft:#9aa3ac;--line:#2d3338;--hair:#252a2f;--accent:#7ab2ee;
--wash:#1d2c3d;--base:#7d868e;--sft:#6aa5e3;--dpd:#b592da;--grpo:#e19a59;--rm:#64b9a4;--eval:#4d555c;--good:#6aa9e2;--bad:#e8955a;--odd:#7d868e;
--warn:#2c2418;--warnline:#8f6a30}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1140px;margin:0 auto;padding:40px 28px 80px}
h1{font-size:30px;line-height:1.2;margin:0 0 6px;font-weight:650;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:19px;margin:52px 0 4px;font-weight:620;letter-spacing:-.005em}
h3{font-size:15px;margin:28px 0 8px;font-weight:600}
p{margin:4px 0 14px;max-width:74ch}
.soft,figcaption .soft{color:var(--soft)}
a{color:var(--accent);text-underline-offset:2px}
table,.facts,figcaption,.ci,svg text{font-variant-numeric:tabular-nums}
.lede{font-size:17px;color:var(--soft);margin:0 0 22px}
.lede b{color:var(--ink);font-weight:620}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));
gap:14px 24px;margin:0;padding:16px 0;border:solid var(--line);border-width:1px 0}
.facts div{min-width:0}
dt{font-size:12px;color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
nav{margin:14px 0 0;font-size:14px;display:flex;flex-wrap:wrap;gap:4px 18px}
.notice{background:var(--warn);border-left:3px solid var(--warnline);padding:10px 14px;margin:22px 0;overflow-wrap:anywhere}
.notice p{margin:2px 0}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,310px),1fr));gap:16px}
.grid.small{grid-template-columns:repeat(auto-fill,minmax(min(100%,238px),1fr));gap:12px}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:6px;padding:11px 12px 8px;min-width:0}
figcaption{font-size:13px;display:flex;justify-content:space-between;gap:10px;margin:0 0 6px}
figcaption b{font-weight:600;overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font-size:10px;fill:var(--soft);font-family:inherit}
.grid:not(.small) svg text{font-size:11px}
.grid path,path.grid{stroke:none}
svg path.grid{stroke:var(--hair);fill:none}
svg .line{fill:none;stroke:var(--accent);stroke-width:1.6;stroke-linejoin:round}
svg .raw{fill:none;stroke:var(--accent);stroke-width:1;opacity:.32}
svg .dot{fill:var(--accent);stroke:var(--card);stroke-width:1.2}
svg .whisker{stroke:var(--accent);stroke-width:1.6;fill:none}
svg .score:hover .dot{fill:var(--ink)}
svg .level path{stroke:var(--soft);stroke-dasharray:3 3;fill:none}
svg .hover path{fill:transparent}
svg .hover path:hover{fill:var(--accent);fill-opacity:.12}
svg .bar{fill:var(--base);opacity:.55}
svg .bar.kept{fill:var(--accent);opacity:1}
svg .bar:hover{fill:var(--ink)}
table{border-collapse:collapse;width:100%;font-size:14px}
th{text-align:left;font-weight:600;
font-size:12.5px;color:var(--soft);padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:bottom}
td,tbody th{padding:8px 14px 8px 0;border-bottom:1px solid var(--hair);vertical-align:top}
tbody th{font-size:14px;color:var(--ink);overflow-wrap:anywhere}
td.n,th.n{text-align:right;white-space:nowrap}
tr.reference th,tr.reference td{color:var(--soft)}
tbody.references tr:first-child>*{border-top:1px solid var(--line)}
.results td{min-width:150px}
.results td.n{min-width:0}
.results b{font-weight:640;font-size:15px}
.ci{color:var(--soft);font-size:12.5px;white-space:nowrap}
.track{display:block;position:relative;height:9px;margin:3px 0 4px;
background:linear-gradient(var(--hair),var(--hair)) 0 50%/100% 1px no-repeat}
.track i{position:absolute}
.track .range{top:3.5px;height:2px;background:var(--accent);opacity:.55;min-width:1px}
.track .at{top:1px;width:7px;height:7px;margin-left:-3.5px;border-radius:50%;background:var(--accent)}
.reference .track .range,.reference .track .at{background:var(--base)}
.note{font-size:12.5px;color:var(--soft)}
.plain td.wide{width:50%}
.timeline td.when{width:46%;min-width:90px}
.lane{position:relative;display:block;height:12px;margin-top:5px}
.lane i{position:absolute;top:0;height:12px;border-radius:2px;min-width:2px;background:var(--base)}
.k-sft,.k-tokens{background:var(--sft)!important}.k-dpd,.k-pairs{background:var(--dpd)!important}.k-grpo,.k-filter{background:var(--grpo)!important}
.k-reward_model{background:var(--rm)!important}.k-evaluate{background:var(--eval)!important}
.k-clean,.k-mix,.k-verify,.k-refine,.k-reconstruct,.k-tests{background:var(--odd)!important}
.k-pairs,.k-filter,.k-tokens{opacity:.6}
.key{display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:5px;background:var(--base)}
.legend{font-size:12.5px;color:var(--soft);display:flex;flex-wrap:wrap;gap:3px 16px;margin:2px 0 10px}
.status{font-size:12.5px;color:var(--soft)}
.status.failed{color:var(--bad);font-weight:600}
.stack{display:flex;height:12px;border-radius:2px;overflow:hidden;margin-top:5px;background:var(--hair)}
.stack i{display:block;min-width:1px}
.o-correct{background:var(--good)}.o-wrong{background:var(--bad)}.o-other{background:var(--odd)}
details{border:1px solid var(--line);border-radius:6px;background:var(--card);margin:0 0 10px}
summary{cursor:pointer;padding:9px 13px;overflow-wrap:anywhere}
details>.inner{padding:0 13px 12px}
.prompt,.answer{
font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;white-space:pre-wrap;overflow-wrap:anywhere;
unicode-bidi:plaintext;overflow:hidden;margin:6px 0;contain:paint}
.prompt{border-left:2px solid var(--line);padding:2px 0 2px 11px}
.rollout~.prompt{margin-top:26px}
.rollout{border-top:1px solid var(--hair);padding:10px 0 2px}
.think{color:var(--soft)}
.cut{color:var(--soft);font-style:italic}
.badge{display:inline-block;font-size:12px;line-height:1;padding:3px 7px;border-radius:3px;color:#fff;margin-right:8px}
@media(prefers-color-scheme:dark){.badge{color:#14171a}}
code{font:12.5px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
footer{margin-top:60px;border-top:1px solid var(--line);padding-top:12px;font-size:13px;color:var(--soft)}
@media(max-width:700px){
main{padding:24px 16px 60px}
h1{font-size:25px}
.results thead{display:none}
.results tr{display:block;padding:12px 0 6px;border-bottom:1px solid var(--line)}
.results th[scope=row],.results td{display:block;border:0;padding:1px 0}
.results th[scope=row]{padding-bottom:4px;font-size:15px}
.results td{display:grid;grid-template-columns:92px 1fr;column-gap:12px;text-align:left!important;padding:3px 0}
.results td::before{content:attr(data-suite);color:var(--soft);font-size:13px;grid-row:1/span 3;overflow-wrap:anywhere}
.results td>*{grid-column:2}
tbody.references tr:first-child>*{border-top:0}
.timeline thead,.plain thead{display:none}
.timeline tr,.plain tr{display:grid;grid-template-columns:1fr auto;padding:8px 0;border-bottom:1px solid var(--hair);column-gap:12px}
.timeline td,.timeline th[scope=row],.plain td,.plain th[scope=row]{border:0;padding:0;min-width:0}
.timeline td.when,.plain td.wide{grid-column:1/-1;grid-row:2;width:auto}
.timeline td.tokens{grid-column:2;grid-row:3;font-size:12.5px;color:var(--soft)}
.timeline td.status{grid-column:1;grid-row:3}
.plain tr{grid-template-columns:1fr}
.plain td.n{white-space:normal;text-align:left;color:var(--soft);font-size:13px}
}
@media print{details{break-inside:avoid}body{background:#fff}}
"""
