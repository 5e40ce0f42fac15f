// Where we are in the run, and how to go elsewhere.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const count = data.frame.length;
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const flagged = data.state.flatMap((state, row) => (data.states[state].good ? [] : [row]));
const colour = (name) => {
  // light-dark() is resolved only where it is used.
  const probe = $("chart");
  probe.style.color = `var(--${name})`;
  const value = getComputedStyle(probe).color;
  probe.style.color = "";
  return value;
};
let current = 0;

/** The first index of a sorted list whose value is at least `value`. */
function lowerBound(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function nearest(sorted, value) {
  const index = clamp(lowerBound(sorted, value), 0, sorted.length - 1);
  return index > 0 && value - sorted[index - 1] < sorted[index] - value ? index - 1 : index;
}

const number = (value, digits) => (value === null ? "none" : value.toFixed(digits));
const source = (row) => data.sources[data.source[row]];
const stateOf = (row) => data.states[data.state[row]];

/** A row in words: its frame, time and status, the metrics given, its source. */
function describe(row, metrics = data.metrics) {
  const parts = [`Frame ${data.frame[row]}`];
  if (data.time && data.time[row] !== null) parts.push(`${data.time[row].toFixed(2)} s`);
  parts.push(stateOf(row).label);
  for (const metric of metrics) {
    if (metric.values[row] !== null) parts.push(`${metric.name} ${number(metric.values[row], metric.digits)}`);
  }
  if (source(row)) parts.push(source(row));
  return parts;
}

/** Everything that shows where we are follows this one function. */
function show(row, asked = row) {
  current = row;
  const parts = describe(row);
  $("readout").replaceChildren(
    ...parts.map((text, index) => {
      const part = document.createElement(index ? "span" : "b");
      part.textContent = text;
      if (text === stateOf(row).label && !stateOf(row).good) part.className = "flagged";
      return part;
    }),
  );
  if (asked !== row) {
    const part = document.createElement("span");
    part.className = "muted";
    part.textContent = `the picture nearest to frame ${data.frame[asked]}`;
    $("readout").append(part);
  }
  if (player) $("tag-after").textContent = stateOf(row).good ? "after" : `after: ${stateOf(row).label}`;
  $("chart").setAttribute("aria-valuenow", row);
  $("chart").setAttribute("aria-valuetext", parts.join(", "));
  timeline.point(row);
  gallery.mark(row);
}

/** Go to a row: the player seeks the nearest picture that it has. */
function go(row) {
  row = clamp(row, 0, count - 1);
  if (!player) return show(row);
  player.seek(nearest(data.player.rows, row));
  return show(data.player.rows[player.wanted()], row);
}

function step(by) {
  if (!player) return go(current + by);
  const rows = data.player.rows;
  return go(rows[clamp(nearest(rows, current) + by, 0, rows.length - 1)]);
}

function goFlagged(direction) {
  if (!flagged.length) return;
  const after = lowerBound(flagged, direction > 0 ? current + 1 : current) - (direction < 0 ? 1 : 0);
  go(flagged[(after + flagged.length) % flagged.length]);
}
