// The player: one video of both halves, drawn side by side or with a wipe.
function makePlayer({ rows, fps, ratio, pair }) {
  const film = $("film");
  const canvas = $("canvas");
  const context = canvas.getContext("2d");
  let target = 0; // the picture asked for
  let sought = -1; // the picture that the video was last sent to
  let view = "single";
  let wipe = 0.5;

  function videoBytes() {
    const text = $("video").textContent;
    $("video").remove();
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const bytes = atob(text);
    return Uint8Array.from({ length: bytes.length }, (_, index) => bytes.charCodeAt(index));
  }

  function paint(index = null) {
    if (index !== null) canvas.dataset.picture = index;
    const half = film.videoWidth / (pair ? 2 : 1);
    const height = film.videoHeight;
    if (!half) return;
    const width = view === "pair" ? 2 * half : half;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    if (view === "pair") context.drawImage(film, 0, 0);
    else context.drawImage(film, pair ? half : 0, 0, half, height, 0, 0, half, height);
    const left = Math.round(wipe * half);
    if (view === "wipe" && left) context.drawImage(film, 0, 0, left, height, 0, 0, left, height);
  }

  function setView(name) {
    view = pair ? name : "single";
    $("screen").style.setProperty("--ratio", view === "pair" ? 2 * ratio : ratio);
    $("screen").classList.toggle("wiping", view === "wipe");
    $("screen").classList.toggle("single", view === "single");
    placeSeam();
    $("wipe-label").hidden = view !== "wipe";
    paint();
  }

  function placeSeam() {
    $("seam").style.left = view === "wipe" ? `${100 * wipe}%` : "50%";
  }

  function setWipe(share) {
    wipe = clamp(share, 0, 1);
    $("wipe").value = Math.round(100 * wipe);
    placeSeam();
    paint();
  }

  // The middle of a picture's time: no rounding leads to its neighbour.
  function send() {
    sought = target;
    canvas.dataset.picture = ""; // what is on the canvas until it arrives may be another one
    film.currentTime = (target + 0.5) / fps;
  }

  function seek(index) {
    target = index;
    $("scrub").value = index;
    // While it seeks it is left alone, else dragging would never show anything.
    if (film.readyState && !film.seeking && sought !== target) send();
  }

  function follow(index) {
    target = sought = clamp(index, 0, rows.length - 1);
    $("scrub").value = target;
    show(rows[target]);
  }

  function ticked(_, picture) {
    const index = picture ? Math.round(picture.mediaTime * fps) : Math.floor(film.currentTime * fps);
    paint(index);
    if (!film.paused && !film.seeking) follow(index);
    tick();
  }
  function settle(index) {
    if (film.paused && !film.seeking && sought === index) paint(index);
  }
  function tick() {
    if (film.requestVideoFrameCallback) film.requestVideoFrameCallback(ticked);
    else if (!film.paused) requestAnimationFrame(ticked);
  }

  film.addEventListener("loadedmetadata", send);
  film.addEventListener("seeked", () => {
    // The picture may reach the screen a moment later: then it is painted again. That moment is
    // announced, but not where one announcement is being answered: so it is not waited for.
    paint();
    if (sought !== target) send();
    else setTimeout(settle, 100, sought);
  });
  film.addEventListener("play", () => {
    if (!film.requestVideoFrameCallback) tick();
    setPlaying(true);
  });
  film.addEventListener("pause", () => {
    setPlaying(false);
    if (!film.seeking) send();
  });
  film.addEventListener("error", () => {
    $("trouble").textContent = "This browser cannot show the video (H.264 in MP4).";
    $("trouble").hidden = false;
    $("screen").hidden = true;
  });

  function setPlaying(playing) {
    $("play").classList.toggle("playing", playing);
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  }
  function toggle() {
    if (film.paused) film.play().catch(() => setPlaying(false));
    else {
      film.pause();
      // Playing may have gone on to the next picture: the one that was named is shown.
      send();
    }
  }

  $("play").addEventListener("click", toggle);
  $("back").addEventListener("click", () => step(-1));
  $("forth").addEventListener("click", () => step(1));
  $("scrub").max = rows.length - 1;
  $("scrub").addEventListener("input", () => go(rows[$("scrub").value]));
  $("speed").addEventListener("change", () => {
    film.playbackRate = film.defaultPlaybackRate = Number($("speed").value);
  });
  $("wipe").addEventListener("input", () => setWipe($("wipe").value / 100));
  $("view").addEventListener("change", () => setView($("view").value));
  $("view").parentElement.hidden = !pair;
  $("tag-before").hidden = !pair;
  $("tag-after").classList.toggle("alone", !pair);
  const drag = (event) => {
    const box = $("screen").getBoundingClientRect();
    if (view === "wipe" && event.buttons) setWipe((event.clientX - box.left) / box.width);
  };
  $("screen").addEventListener("pointerdown", (event) => {
    $("screen").setPointerCapture(event.pointerId);
    drag(event);
  });
  $("screen").addEventListener("pointermove", drag);

  $("player").hidden = false;
  $("view").value = matchMedia("(max-width: 40rem)").matches ? "wipe" : "pair";
  setView($("view").value);
  setWipe(0.5);
  film.src = URL.createObjectURL(new Blob([videoBytes()], { type: "video/mp4" }));
  tick();
  return { seek, toggle, wanted: () => target };
}
