/** The page's style sheet: light and dark by the reader's system, one column on a narrow screen. No file, no font, no script. */
export const style = `
:root { color-scheme: light dark; --page: #fbfbf9; --card: #fff; --text: #1d2126; --faint: #646c76; --rule: #e0e2e0; --bad: #c0292b; --good: #1a7f4b;
  --doubt: #8a6100; --band: #c026d333; --mark: #a21caf; --c0: #2563eb; --c1: #d97706; --c2: #0d9488; --c3: #7c3aed; --c4: #65a30d; --c5: #db2777; --c6: #0891b2; --c7: #8b8f98; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --card: #1c2026; --text: #e7e9ec; --faint: #9aa3ad; --rule: #333942; --bad: #ff7b72; --good: #56d38d;
  --doubt: #e3b341; --band: #e879f933; --mark: #e879f9; --c0: #6ea8fe; --c1: #f5a742; --c2: #2dd4bf; --c3: #b794f6; --c4: #a3d94d; --c5: #f47cb6; --c6: #4cc9e8; --c7: #868e99; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem clamp(.75rem, 3vw, 2.5rem) 4rem; max-width: 84rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; overflow-wrap: anywhere; }
body:has(#zh:checked) [lang=en], body:not(:has(#zh:checked)) [lang=zh-CN] { display: none; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; }
h1 { font-size: 1.35rem; margin: 0; flex: 1 1 14rem; } h2 { font-size: 1.2rem; margin: 0; } h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; } h4 { font-size: .9rem; margin: 1rem 0 .3rem; }
small, .faint { color: var(--faint); font-size: .85em; font-weight: normal; }
a { color: var(--c0); }
.languages { border: 1px solid var(--rule); border-radius: 6px; padding: 0; margin: 0; display: flex; overflow: hidden; }
.languages input { position: absolute; opacity: 0; } .languages label { padding: .15rem .6rem; cursor: pointer; }
.languages :checked + label { background: var(--text); color: var(--page); } .languages :focus-visible + label { outline: 2px solid var(--c0); outline-offset: -2px; }
.badge { display: inline-block; padding: 0 .5rem; border-radius: 5px; border: 1px solid; font-weight: 600; white-space: nowrap; }
.pass, .ok { color: var(--good); } .fail, .error, .bad { color: var(--bad); } .inconclusive, .unsupported, .none { color: var(--doubt); } .confirmed { color: var(--good); }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 1rem clamp(.7rem, 2vw, 1.5rem); margin: 1.2rem 0; }
.wide { overflow-x: auto; margin-top: .5rem; } table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-top: 1px solid var(--rule); overflow-wrap: normal; }
th { color: var(--faint); font-weight: normal; font-size: .85em; border-top: 0; } td .title { display: none; } td.number { font-variant-numeric: tabular-nums; } td .why { max-width: 60ch; } .whole { white-space: nowrap; }
.why { color: var(--bad); margin: .1rem 0; white-space: pre-line; } pre { background: var(--page); border: 1px solid var(--rule); border-radius: 6px; padding: .5rem .7rem; margin: .3rem 0; white-space: pre-wrap; }
.lanes { margin: 0 0 .3rem 3.6rem; } .lane { position: relative; height: 1.75rem; scroll-margin-top: 3rem; }
.lane i { position: absolute; bottom: .15rem; height: 3px; min-width: 3px; background: var(--mark); } .lane.broke i { background: var(--bad); } .lane.moment i { background: var(--faint); }
.lane span { position: absolute; top: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; font-size: .8rem; } .lane.broke span { color: var(--bad); }
.lane:target { outline: 2px solid var(--bad); outline-offset: 2px; border-radius: 3px; }
figure { margin: .4rem 0 .8rem; } figcaption { display: flex; flex-wrap: wrap; gap: 0 .9rem; font-size: .85rem; margin-left: 3.6rem; }
.key { color: var(--faint); } .key i { display: inline-block; width: .7em; height: .7em; border-radius: 2px; margin-right: .3em; background: currentColor; }
.plot { position: relative; margin-left: 3.6rem; } .plot svg { display: block; width: 100%; height: 84px; border-bottom: 1px solid var(--rule); border-left: 1px solid var(--rule); }
.top, .zero { position: absolute; right: calc(100% + .4rem); font-size: .72rem; color: var(--faint); white-space: nowrap; } .top { top: -.3rem; } .zero { top: 74px; }
.ticks { position: relative; height: 1.1rem; font-size: .72rem; color: var(--faint); } .ticks span { position: absolute; transform: translateX(-50%); white-space: nowrap; } .ticks span:first-child { transform: none; } .ticks span:last-child { transform: translateX(-100%); }
.line { fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke; } .moment, .broke { fill: none; stroke-width: 1.4; vector-effect: non-scaling-stroke; }
svg .band { fill: var(--band); } svg .moment { stroke: var(--faint); stroke-dasharray: 3 3; } svg .broke { stroke: var(--bad); stroke-dasharray: 5 3; } .hit { fill: transparent; } .hit:hover { fill: color-mix(in srgb, var(--text) 12%, transparent); }
${Array.from({ length: 8 }, (_, index) => `.line.c-${index} { stroke: var(--c${index}); } .area.c-${index} { fill: var(--c${index}); opacity: .8; } .key .c-${index} { background: var(--c${index}); }`).join("\n")}
.line.c-bad { stroke: var(--bad); }
.call { border-top: 1px solid var(--rule); padding: .2rem 0; } .call summary { cursor: pointer; } .row { display: grid; grid-template-columns: minmax(4rem, 9rem) 1fr minmax(5rem, 15rem); gap: .6rem; align-items: center; font-size: .85rem; margin: .15rem 0; }
.track { position: relative; height: .8rem; background: var(--page); border-radius: 3px; } .track i { position: absolute; top: 0; bottom: 0; min-width: 2px; border-radius: 3px; background: var(--good); } .track .bad { background: var(--bad); } .track .wait { background: var(--rule); } .track .open { background: repeating-linear-gradient(45deg, var(--doubt) 0 4px, transparent 4px 8px); }
@media (max-width: 40rem) { thead { display: none; } table, tbody { display: block; } tr { display: flex; flex-wrap: wrap; gap: 0 .9rem; padding: .4rem 0; border-top: 1px solid var(--rule); } td { border: 0; padding: 0; } td .title { display: inline; } td:first-child .title { display: none; }
  .row { grid-template-columns: 1fr; gap: 0; } .lanes, figcaption, .plot { margin-left: 2.6rem; } .top, .zero { right: calc(100% + .2rem); } .ticks span:nth-child(even) { display: none; } }
@media print { section { break-inside: avoid-page; } .languages { display: none; } }
`;
