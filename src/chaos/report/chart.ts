/** Curves over time as SVG: no library, nothing to load, one colour for each curve. */
import { escaped } from './escape.js';

export interface Curve {
  readonly name: string;
  readonly colour: string;
  /** Null: there is no value, and no line. */
  readonly values: readonly (number | null)[];
}

export interface Band {
  readonly label: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly durationMs: number;
  readonly curves: readonly Curve[];
  /** Drawn behind the curves. */
  readonly bands: readonly Band[];
  readonly logarithmic?: boolean;
}

const size = { width: 1100, height: 220, left: 64, right: 12, top: 28, bottom: 26 };
const plot = {
  width: size.width - size.left - size.right,
  height: size.height - size.top - size.bottom,
};
const ticks = 4;

export function chartOf(chart: Chart): string {
  const { title, unit, durationMs, curves, bands, logarithmic = false } = chart;
  const most = Math.max(1, ...curves.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const scale = (value: number) =>
    logarithmic ? Math.log10(1 + value) / Math.log10(1 + most) : value / most;
  const x = (ms: number) => size.left + (ms / Math.max(1, durationMs)) * plot.width;
  const y = (value: number) => size.top + (1 - scale(value)) * plot.height;
  const parts = [
    `<text x="${size.left}" y="16" class="title">${escaped(title)}, ${escaped(unit)}</text>`,
    ...bands.map(({ label, fromMs, toMs }) => {
      const width = Math.max(1.5, x(toMs) - x(fromMs));
      return (
        `<rect class="fault" x="${x(fromMs).toFixed(1)}" y="${size.top}" ` +
        `width="${width.toFixed(1)}" height="${plot.height}"><title>${escaped(label)}</title></rect>`
      );
    }),
    ...axisY(most, logarithmic, y),
    ...axisX(durationMs, x),
    ...curves.map(({ colour, values, name }) => {
      const path = pathOf(values, (i) => x(((i + 0.5) * durationMs) / values.length), y);
      return `<path d="${path}" stroke="${colour}" fill="none"><title>${escaped(name)}</title></path>`;
    }),
    ...curves.map(({ name, colour }, i) => {
      const at = size.width - 160 * (curves.length - i);
      return `<text x="${at}" y="16" fill="${colour}">${escaped(name)}</text>`;
    }),
  ];
  return `<svg viewBox="0 0 ${size.width} ${size.height}" role="img">${parts.join('')}</svg>`;
}

/** A line for each stretch with values; a value alone is a dot. */
function pathOf(
  values: readonly (number | null)[],
  x: (i: number) => number,
  y: (value: number) => number,
): string {
  let isDown = false;
  return values
    .map((value, i) => {
      const wasDown = isDown;
      isDown = value !== null;
      if (value === null) return '';
      const point = `${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      return wasDown ? `L${point}` : `M${point}h0.5`;
    })
    .join('');
}

function axisY(most: number, logarithmic: boolean, y: (value: number) => number): string[] {
  return Array.from({ length: ticks + 1 }, (_, i) => {
    const value = logarithmic ? (1 + most) ** (i / ticks) - 1 : (most * i) / ticks;
    const at = y(value).toFixed(1);
    const from = size.left;
    return (
      `<line class="grid" x1="${from}" x2="${size.width - size.right}" y1="${at}" y2="${at}"/>` +
      `<text class="tick" x="${from - 6}" y="${at}" dy="4" text-anchor="end">${brief(value)}</text>`
    );
  });
}

function axisX(durationMs: number, x: (ms: number) => number): string[] {
  return Array.from({ length: 11 }, (_, i) => {
    const ms = (durationMs * i) / 10;
    const at = x(ms).toFixed(1);
    const text = `${(ms / 1000).toFixed(durationMs < 100_000 ? 1 : 0)} s`;
    return `<text class="tick" x="${at}" y="${size.height - 8}" text-anchor="middle">${text}</text>`;
  });
}

const brief = (value: number) => (value < 10 ? value.toFixed(1) : String(Math.round(value)));
