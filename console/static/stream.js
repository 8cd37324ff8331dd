// What the stream of changes is doing, in words, and a button that holds it. The library reconnects by itself and rests
// while the tab is hidden.
(() => {
  "use strict";
  const stream = document.getElementById("stream");
  const state = document.querySelector("[data-stream-state]");
  const pause = document.querySelector("[data-stream-pause]");
  if (!stream || !state || !pause) return;
  let held = false, missed = false;
  const say = (text, live) => {
    state.textContent = text;
    stream.classList.toggle("is-live", live);
  };
  stream.addEventListener("htmx:sse:after:connection", () => { if (!held) say("live", true); });
  stream.addEventListener("htmx:sse:error", () => say("not connected; trying again", false));
  stream.addEventListener("htmx:sse:close", () => say("the stream has ended; reload the page to see what is new", false));
  stream.addEventListener("htmx:sse:before:message", (event) => {
    if (held) { missed = true; event.preventDefault(); }
  });
  pause.hidden = false;
  pause.addEventListener("click", () => {
    held = !held;
    pause.textContent = held ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(held));
    say(held ? "paused" : "live", !held);
    if (!held && missed) { missed = false; htmx.trigger(stream, "changed"); }
  });
})();
