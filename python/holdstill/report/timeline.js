// The timeline: a point for every row, marks for those to look at.
function makeTimeline() {
  const chart = $("chart");
  const canvas = $("points");
  const context = canvas.getContext("2d");
  const margin = { left: 38, right: 8, top: 10, bottom: 26 };
  const marks = data.states.map((state) => new Path2D(state.mark));
  const firstRows = data.stream.flatMap((at, row) => (row && at !== data.stream[row - 1] ? [row] : []));
  let metric = data.metrics[0];
  let low = 0;
  let high = 1;
  let box = { width: 1, height: 1 };

  const x = (row) => margin.left + ((row + 0.5) / count) * (box.width - margin.left - margin.right);
  const rowAt = (px) =>
    clamp(Math.floor(((px - margin.left) / (box.width - margin.left - margin.right)) * count), 0, count - 1);
  const y = (row) => {
    const value = metric ? metric.values[row] : null;
    const bottom = box.height - margin.bottom;
    return value === null ? bottom : bottom - ((value - low) / (high - low)) * (bottom - margin.top);
  };

  function scale() {
    const finite = metric ? metric.values.filter((value) => value !== null) : [];
    [low, high] = metric?.range ?? [0, 1];
    if (metric && !metric.range && finite.length) {
      low = finite.reduce((a, b) => Math.min(a, b));
      high = finite.reduce((a, b) => Math.max(a, b));
      if (low > 0 && low < high / 2) low = 0;
      if (low === high) [low, high] = [low - 0.5, high + 0.5];
    }
  }

  function axes() {
    const bottom = box.height - margin.bottom;
    context.fillStyle = colour("muted");
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    context.font = `12px ${getComputedStyle(chart).fontFamily}`;
    context.beginPath();
    for (let k = 0; k <= 4; k += 1) {
      const at = Math.round(bottom - (k / 4) * (bottom - margin.top)) + 0.5;
      context.moveTo(margin.left, at);
      context.lineTo(box.width - margin.right, at);
      if (metric && k % 2 === 0) {
        const text = (low + (k / 4) * (high - low)).toFixed(high - low < 10 ? 2 : 0);
        context.textAlign = "right";
        context.fillText(text, margin.left - 6, at + 4);
      }
    }
    // Where one source ends and the next begins.
    if (firstRows.length < 250) {
      for (const row of firstRows) {
        const at = Math.round(x(row - 0.5)) + 0.5;
        context.moveTo(at, bottom);
        context.lineTo(at, bottom + 5);
      }
    }
    context.stroke();
    if (metric?.limit !== null && metric) {
      const at = Math.round(bottom - ((metric.limit - low) / (high - low)) * (bottom - margin.top)) + 0.5;
      context.beginPath();
      context.setLineDash([4, 4]);
      context.strokeStyle = colour("edge");
      context.moveTo(margin.left, at);
      context.lineTo(box.width - margin.right, at);
      context.stroke();
      context.setLineDash([]);
    }
    // Round numbers, as many as there is room for.
    const least = count / Math.max(2, (box.width - margin.left) / 80);
    const power = 10 ** Math.floor(Math.log10(least));
    const every = Math.max(1, [1, 2, 5, 10].map((k) => k * power).find((k) => k >= least));
    const from = data.numbered ? data.frame[0] : 1;
    const pitch = count > 1 && data.numbered ? (data.frame[count - 1] - from) / (count - 1) : 1;
    context.textAlign = "center";
    for (let at = Math.ceil(from / (every * pitch)) * every * pitch; at <= from + (count - 1) * pitch; at += every * pitch) {
      const px = x((at - from) / pitch);
      if (px < box.width - 20) context.fillText(Math.round(at), px, box.height - 6);
    }
  }

  function draw() {
    const ratio = devicePixelRatio || 1;
    box = chart.getBoundingClientRect();
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    scale();
    axes();
    context.fillStyle = colour("edge");
    const size = count > 3000 ? 1.5 : count > 600 ? 2 : count > 100 ? 3 : 5;
    for (let row = 0; row < count; row += 1) {
      if (stateOf(row).good) context.fillRect(x(row) - size / 2, y(row) - size / 2, size, size);
    }
    context.fillStyle = colour("flag");
    for (const row of flagged) {
      context.save();
      context.translate(x(row), y(row));
      context.fill(marks[data.state[row]]);
      context.restore();
    }
    point(current);
  }

  function point(row) {
    $("cursor").style.transform = `translateX(${x(row)}px)`;
  }

  /** The row drawn nearest to a place; among equals one to look at. */
  function pick(px, py) {
    const from = rowAt(px - 9);
    const to = rowAt(px + 9);
    let best = rowAt(px);
    let least = Infinity;
    for (let row = from; row <= to; row += 1) {
      const away = Math.hypot(x(row) - px, (y(row) - py) / 2) - (stateOf(row).good ? 0 : 5);
      if (away < least) [least, best] = [away, row];
    }
    return best;
  }

  const place = (event) => {
    const at = chart.getBoundingClientRect();
    return [event.clientX - at.left, event.clientY - at.top];
  };
  const inform = (row) => {
    const tip = $("tip");
    tip.hidden = false;
    tip.textContent = describe(row, metric ? [metric] : []).join(" · ");
    const left = clamp(x(row) - tip.offsetWidth / 2, 0, Math.max(0, box.width - tip.offsetWidth));
    tip.style.transform = `translate(${left}px, ${y(row) > 50 ? y(row) - 40 : y(row) + 14}px)`;
  };
  chart.addEventListener("pointerdown", (event) => {
    chart.setPointerCapture(event.pointerId);
    go(pick(...place(event)));
  });
  chart.addEventListener("pointermove", (event) => {
    const [px, py] = place(event);
    if (event.buttons) go(rowAt(px));
    if (event.pointerType === "mouse") inform(pick(px, py));
  });
  chart.addEventListener("pointerleave", () => ($("tip").hidden = true));
  chart.addEventListener("keydown", (event) => {
    const page = Math.max(10, Math.round(count / 20));
    const moves = {
      ArrowRight: () => step(1), ArrowUp: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => step(-1),
      PageUp: () => go(current + page), PageDown: () => go(current - page),
      Home: () => go(0), End: () => go(count - 1),
    };
    if (!moves[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
    moves[event.key]();
    event.preventDefault();
    event.stopPropagation();
  });

  $("timeline").hidden = false;
  chart.setAttribute("aria-valuemax", count - 1);
  $("metric").parentElement.hidden = data.metrics.length < 2;
  $("metric").append(...data.metrics.map(({ name }) => new Option(name)));
  $("metric").addEventListener("change", () => {
    metric = data.metrics[$("metric").selectedIndex];
    draw();
  });
  $("flags").hidden = !flagged.length;
  $("previous-flag").addEventListener("click", () => goFlagged(-1));
  $("next-flag").addEventListener("click", () => goFlagged(1));
  new ResizeObserver(draw).observe(chart);
  return { draw, point };
}
