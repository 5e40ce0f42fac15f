// The gallery of the worst frames.
function makeGallery() {
  const list = $("tiles");
  if (!list) return { mark() {} };
  const tiles = [...list.querySelectorAll(".tile")];
  const ofRow = new Map(tiles.map((tile) => [Number(tile.dataset.row), tile]));
  let marked = null;
  const keys = {
    frame: (row) => row,
    status: (row) => data.state[row],
    quality: (row) => valueOf("quality", row) ?? -1,
    residual: (row) => -(valueOf("residual", row) ?? Infinity),
  };
  const valueOf = (name, row) => data.metrics.find((metric) => metric.name === name)?.values[row];
  list.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    go(Number(tile.dataset.row));
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    $(player ? "player" : "timeline").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "nearest" });
  });
  $("sort").hidden = false;
  $("order").addEventListener("change", () => {
    const key = keys[$("order").value];
    const row = (tile) => Number(tile.dataset.row);
    tiles.sort((a, b) => key(row(a)) - key(row(b)) || row(a) - row(b));
    list.append(...tiles.map((tile) => tile.parentElement));
  });
  return {
    mark(row) {
      const tile = ofRow.get(row) ?? null;
      if (tile === marked) return;
      marked?.removeAttribute("aria-current");
      tile?.setAttribute("aria-current", "true");
      marked = tile;
    },
  };
}
