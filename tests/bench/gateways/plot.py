"""Bars of CPU time a request, as SVG. `plot.py RESULT.json > FILE.svg` draws what `run --json` wrote."""

import json
import sys
from html import escape

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 760, 230, 150, 20, 9, 58
OURS = "Portcullis"

STYLE = """
  svg { font: 13px system-ui, sans-serif; }
  text { fill: #1f2328; } .less { fill: #59636e; }
  .grid { stroke: #d1d9e0; } .other { fill: #8c959f; } .service { fill: #c3c9cf; } .ours { fill: #0969da; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .less { fill: #9198a1; }
    .grid { stroke: #3d444d; } .other { fill: #656c76; } .service { fill: #454c54; } .ours { fill: #4493f8; }
  }
"""


def step(most):
    """Between two lines of the grid: 1, 2 or 5 of some power of ten, for at most eight lines."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if most / (size * factor) <= 8:
                return size * factor
        size *= 10


def plot(results):
    plain = {name: r for name, r in results.items() if "," not in name}
    checked = {name: r for name, r in results.items() if "," in name}
    groups = [("Plain", plain), ("With a token checked, its scope, and two headers", checked)]
    groups = [(title, sorted(rows.items(), key=lambda row: row[1]["cpu_us"])) for title, rows in groups if rows]
    most = max(r["cpu_us"] for r in results.values())
    scale = (WIDTH - LEFT - RIGHT) / most
    height = TOP + sum(34 + len(rows) * (BAR + GAP) for _, rows in groups) + 14
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="CPU time a request, by gateway">',
           f"<style>{STYLE}</style>",
           '<text x="8" y="22" font-weight="600" font-size="15">CPU time a proxied request, microseconds</text>',
           '<text x="8" y="42" class="less">one core, HTTP/1.1 kept alive on both sides; less is better; requests a second beside it</text>']
    y, bars = TOP, []
    for title, rows in groups:
        y += 22
        bars.append(f'<text x="8" y="{y}" font-weight="600">{escape(title)}</text>')
        y += 12
        for name, r in rows:
            width, service = r["cpu_us"] * scale, r.get("service_us", 0) * scale
            kind = "ours" if name.startswith(OURS) else "other"
            bars.append(f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
            bars.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{width - service:.1f}" height="{BAR}" rx="2"/>')
            if service:
                bars.append(f'<rect class="service" x="{LEFT + width - service:.1f}" y="{y}" width="{service:.1f}" height="{BAR}" rx="2"/>')
            told = f'{r["cpu_us"]:.1f} <tspan class="less">{r["rate"]:,.0f}/s{", paler: the service" if service else ""}</tspan>'
            bars.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 15}">{told}</text>')
            y += BAR + GAP
    mark = 0
    while mark <= most:
        x = LEFT + mark * scale
        out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - 18}"/>')
        out.append(f'<text class="less" x="{x:.1f}" y="{height - 4}" text-anchor="middle" font-size="11">{mark}</text>')
        mark += step(most)
    return "\n".join(out + bars + ["</svg>"]) + "\n"


if __name__ == "__main__":
    print(plot(json.load(open(sys.argv[1]))["results"]), end="")
