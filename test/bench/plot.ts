/** Plots as SVG text: bars for systems side by side, lines for what grows. Readable on a light and on a dark page. */

export interface Bar {
  readonly name: string;
  readonly value: number;
  /** Ends of the mark on the bar; absent: no mark. */
  readonly least?: number;
  readonly most?: number;
  /** Ours. */
  readonly ours?: boolean;
}

export interface BarPanel {
  readonly title: string;
  /** `more` or `less` is better. */
  readonly better: 'more' | 'less';
  readonly bars: readonly Bar[];
}

export interface Line {
  readonly name: string;
  /** In the order of x. */
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Drawn broken: a goal, not a measurement. */
  readonly goal?: boolean;
}

export interface LinePanel {
  readonly title: string;
  readonly x: string;
  readonly lines: readonly Line[];
  /** Steps of x by factors of ten. */
  readonly logarithmic?: boolean;
}

const WIDTH = 920;
const COLUMNS = 2;
const GAP = 24;
const MARGIN = 24;
const PANEL_WIDTH = (WIDTH - 2 * MARGIN - GAP) / COLUMNS;
const HEAD = 64;
const BAR = 22;
const LABEL = 132;
const NUMBER = 64;
const TITLE = 34;
const LINES_HEIGHT = 240;

const STYLE = `
svg{background:#fff;font-family:system-ui,sans-serif;font-size:13px}
text{fill:#1f2328}.small{font-size:12px;fill:#59636e}.title{font-size:18px;font-weight:600}.panel{font-weight:600}
.bar{fill:#9aa4af}.ours{fill:#0b7a75}.mark{stroke:#1f2328;stroke-width:1}.axis{stroke:#9aa4af;stroke-width:1}.grid{stroke:#d1d9e0;stroke-width:1}
.line{fill:none;stroke-width:2}.goal{stroke-dasharray:5 4}
@media (prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.small{fill:#9198a1}.bar{fill:#656c76}.ours{fill:#2aa198}
.mark{stroke:#e6edf3}.grid{stroke:#30363d}}`;
const COLOURS = ['#0b7a75', '#c2410c', '#4f46e5', '#a16207', '#be185d', '#475569'] as const;

/** `about` goes below the title: date, machine, method. */
export function plotBars(title: string, about: string, panels: readonly BarPanel[]): string {
  const heights = panels.map(({ bars }) => TITLE + bars.length * BAR);
  return page(title, about, heights, (index) => drawBars(panels[index] as BarPanel));
}

export function plotLines(title: string, about: string, panels: readonly LinePanel[]): string {
  const heights = panels.map(({ lines }) => TITLE + LINES_HEIGHT + 20 + 18 * lines.length);
  return page(title, about, heights, (index) => drawLines(panels[index] as LinePanel));
}

/** Panels in rows of COLUMNS, each row as high as its highest. */
function page(
  title: string,
  about: string,
  heights: readonly number[],
  draw: (index: number) => string,
): string {
  const parts: string[] = [];
  let y = HEAD;
  for (let row = 0; row < heights.length; row += COLUMNS) {
    const inRow = heights.slice(row, row + COLUMNS);
    inRow.forEach((_, column) => {
      const x = MARGIN + column * (PANEL_WIDTH + GAP);
      parts.push(`<g transform="translate(${x} ${y})">${draw(row + column)}</g>`);
    });
    y += Math.max(...inRow) + GAP;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">`,
    `<title>${escaped(title)}</title><style>${STYLE}</style>`,
    text(MARGIN, 30, title, 'title'),
    text(MARGIN, 50, about, 'small'),
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function drawBars({ title, better, bars }: BarPanel): string {
  const room = PANEL_WIDTH - LABEL - NUMBER;
  const top = Math.max(...bars.map(({ value, most }) => Math.max(value, most ?? 0)), Number.MIN_VALUE);
  const width = (value: number) => round((value / top) * room);
  const drawn = bars.map(({ name, value, least, most, ours }, index) => {
    const y = TITLE - 14 + index * BAR;
    const middle = y + BAR / 2 - 2;
    const mark =
      least === undefined || most === undefined
        ? ''
        : `<line class="mark" x1="${LABEL + width(least)}" x2="${LABEL + width(most)}" y1="${middle}" y2="${middle}"/>`;
    return [
      text(LABEL - 8, y + 14, name, '', 'end'),
      `<rect class="${ours ? 'ours' : 'bar'}" x="${LABEL}" y="${y}" width="${Math.max(width(value), 1)}" height="${BAR - 5}" rx="2"/>`,
      mark,
      text(LABEL + Math.max(width(value), width(most ?? 0)) + 6, y + 14, formatted(value)),
    ].join('');
  });
  return text(0, 10, `${title}, ${better} is better`, 'panel') + drawn.join('');
}

function drawLines({ title, x: label, lines, logarithmic }: LinePanel): string {
  const points = lines.flatMap((line) => line.points);
  const scale = (value: number) => (logarithmic ? Math.log10(value) : value);
  const first = scale(Math.min(...points.map(([x]) => x)));
  const last = scale(Math.max(...points.map(([x]) => x)));
  const top = Math.max(...points.map(([, y]) => y)) * 1.1 || 1;
  const left = 48;
  const at = ([x, y]: readonly [number, number]) => {
    const across = last === first ? 0.5 : (scale(x) - first) / (last - first);
    const right = left + across * (PANEL_WIDTH - left - 16);
    return [round(right), round(TITLE + LINES_HEIGHT - (y / top) * (LINES_HEIGHT - 10))] as const;
  };
  const bottom = TITLE + LINES_HEIGHT;
  const steps = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const [, y] = at([points[0]?.[0] ?? 1, share * top]);
    const line = `<line class="grid" x1="${left}" x2="${PANEL_WIDTH - 16}" y1="${y}" y2="${y}"/>`;
    return line + text(left - 6, y + 4, formatted(share * top), 'small', 'end');
  });
  const ticks = [...new Set(points.map(([x]) => x))].map((x) =>
    text(at([x, 0])[0], bottom + 16, formatted(x), 'small', 'middle'),
  );
  const drawn = lines.map((line, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const path = line.points.map((point) => at(point).join(',')).join(' ');
    const y = bottom + 40 + 18 * index;
    const shape = `class="line${line.goal ? ' goal' : ''}" stroke="${colour}"`;
    return [
      `<polyline ${shape} points="${path}"/>`,
      `<line ${shape} x1="${left}" x2="${left + 24}" y1="${y - 4}" y2="${y - 4}"/>`,
      text(left + 30, y, line.name),
    ].join('');
  });
  const axis = text(PANEL_WIDTH - 16, bottom + 32, label, 'small', 'end');
  return [text(0, 10, title, 'panel'), ...steps, ...ticks, ...drawn, axis].join('');
}

function text(x: number, y: number, content: string, style = '', anchor = 'start'): string {
  const named = style === '' ? '' : ` class="${style}"`;
  return `<text x="${round(x)}" y="${round(y)}"${named} text-anchor="${anchor}">${escaped(content)}</text>`;
}

function formatted(value: number): string {
  if (value !== 0 && Math.abs(value) < 1) return value.toPrecision(2);
  return value >= 100 ? value.toFixed(0) : value.toFixed(value < 10 ? 1 : 0);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(content: string): string {
  return content
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
