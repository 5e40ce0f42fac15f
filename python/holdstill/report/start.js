// Theme, copying, keys; and the start.
function startTheme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const update = () => {
    $("theme").setAttribute("aria-pressed", dark());
    timeline.draw();
  };
  $("theme").hidden = false;
  $("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    update();
  });
  system.addEventListener("change", update);
  update();
}

function startCopy() {
  for (const button of document.querySelectorAll("button[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = $(button.dataset.copies);
      getSelection().selectAllChildren(text);
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Selected";
      }
    });
  }
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, button, a, summary");
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const acts = { ArrowRight: () => step(1), ArrowLeft: () => step(-1), n: () => goFlagged(1), p: () => goFlagged(-1) };
  if (player) acts[" "] = player.toggle;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!acts[key] || (typing && !"np".includes(key))) return;
  acts[key]();
  event.preventDefault();
});

const timeline = makeTimeline();
const gallery = makeGallery();
const player = data.player ? makePlayer(data.player) : null;
startTheme();
startCopy();
go(0);
