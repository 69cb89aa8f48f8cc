/* Numbers as people read them, as the command line shows them. */

const NOTHING = "–";

function scaled(value, base, units) {
  let power = 0;
  while (power < units.length - 1 && Math.abs(value) >= 999.5) {
    value /= base;
    power += 1;
  }
  const size = Math.abs(value);
  const digits = power === 0 ? 0 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[power]}`.trim();
}

export const count = (value) => (value ? scaled(value, 1000, ["", "k", "M", "G", "T", "P"]) : NOTHING);
export const memory = (value) => (value ? scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]) : NOTHING);
export const percent = (share, digits = 2) => (share === null ? NOTHING : (share * 100).toFixed(digits));
export const shape = (sides) => sides.join("×") || NOTHING;
export const short = (value) => String(Number(value.toPrecision(3)));
export const round = (value) => String(Number(value.toFixed(1)));

export function extent(field) {
  if (!field) return NOTHING;
  const [height, width] = field.size.map(round);
  return height === width ? height : `${height}×${width}`;
}
