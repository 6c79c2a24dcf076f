"use strict";
const $ = (id) => document.getElementById(id);
const words = JSON.parse(document.body.dataset.words);
const LIGHTS = { armed: "learning", presenting: "learning-present", holding: "learning-present", binding: "learning-present" };
let longest_ms = 1;
let ended = ""; // how the last learning ended, until it was read
let wasBusy = false;

function say(text) {
  $("said").textContent = text;
  $("said").hidden = !text;
}

async function ask(what) {
  say("");
  try {
    const answer = await fetch("ask", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(what),
    }).then((response) => response.json());
    if (answer.error) say(answer.error);
    else if (answer.reason) say(`${answer.what} ${answer.way_on}`);
    await look();
    return !answer.error && !answer.reason;
  } catch {
    say(words["The controller does not answer; waiting for it."]);
    return false;
  }
}

function show(name) {
  for (const id of ["sign-in", "begin", "learning", "ended"]) $(id).hidden = id !== name;
}

function showReaders(readers) {
  const chosen = document.querySelector("input[name=reader]:checked")?.value;
  const key = JSON.stringify(readers);
  if ($("readers").dataset.key === key) return;
  $("readers").dataset.key = key;
  $("readers").replaceChildren(
    ...readers.map((reader) => {
      const choice = document.createElement("label");
      choice.className = "choice";
      const radio = document.createElement("input");
      Object.assign(radio, { type: "radio", name: "reader", value: reader.id, required: true });
      radio.checked = reader.id === chosen || readers.length === 1;
      radio.disabled = !reader.online;
      const where = document.createElement("span");
      where.className = "where";
      where.textContent = reader.id;
      const door = document.createElement("small");
      door.textContent = reader.online ? reader.door : `${reader.door} · ${words["does not answer"]}`;
      where.append(door);
      const lamp = document.createElement("span");
      lamp.className = "lamp";
      lamp.dataset.light = reader.light;
      choice.append(radio, where, lamp);
      return choice;
    }),
  );
  if (!readers.length) $("readers").textContent = words["No reader is configured"];
}

function showLearning(view) {
  const left_s = Math.ceil(view.left_ms / 1000);
  longest_ms = Math.max(longest_ms, view.left_ms);
  $("reader").textContent = view.reader;
  $("left").textContent = view.left_ms ? `${Math.floor(left_s / 60)}:${String(left_s % 60).padStart(2, "0")}` : "";
  document.querySelector("#ring .left").style.strokeDashoffset = 100 - (100 * view.left_ms) / longest_ms;
  $("light").dataset.light = LIGHTS[view.state];
  $("adjust").hidden = view.state !== "armed";
  $("do").textContent =
    view.state === "armed"
      ? words["Go to the reader: it blinks red and green"]
      : view.state === "presenting"
        ? words["Hold the key there for 2 seconds, then take it away"]
        : words["Take the key away"];
}

function showEnd(view) {
  const isDone = view.state === "done";
  $("end-light").dataset.light = isDone ? "learning-done" : "learning-failed";
  $("end-what").textContent = isDone ? words["Done: this controller obeys the new manager."] : view.what;
  $("end-way").textContent = isDone ? words["Do the same at the site's other controllers."] : view.way_on;
}

function render(view) {
  const isBusy = view.state in LIGHTS;
  $("place").textContent = `${view.site} · ${view.controller}`;
  if (wasBusy && !isBusy) ended = view.state;
  if (!isBusy) longest_ms = 1;
  wasBusy = isBusy;
  if (isBusy && view.signed_in) {
    showLearning(view);
    return show("learning");
  }
  if (ended) {
    showEnd(view);
    return show("ended");
  }
  if (!view.signed_in) {
    if (view.locked_ms) say(words["Locked for {seconds} s"].replace("{seconds}", Math.ceil(view.locked_ms / 1000)));
    return show("sign-in");
  }
  $("handover").textContent = words[view.has_handover ? "A hand-over is waiting." : "No hand-over is waiting in this controller."];
  $("clock").hidden = view.clock.trusted;
  showReaders(view.readers);
  show("begin");
}

async function look() {
  try {
    const view = await fetch("view").then((response) => response.json());
    if (view.error) return say(words["The controller does not answer; waiting for it."]);
    if ($("said").textContent === words["The controller does not answer; waiting for it."]) say("");
    render(view);
  } catch {
    say(words["The controller does not answer; waiting for it."]);
  }
}

$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const password = $("password").value;
  $("password").value = "";
  await ask({ do: "login", password });
});
$("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  const reader = document.querySelector("input[name=reader]:checked");
  if (!reader) return;
  ask({ do: "arm", manager: Number($("manager").value), reader: reader.value, countdown_s: 90 });
});
$("leave").addEventListener("click", () => ask({ do: "logout" }));
$("cancel").addEventListener("click", () => ask({ do: "cancel" }));
$("set-time").addEventListener("click", () => ask({ do: "time", utc_ms: Date.now() }));
$("again").addEventListener("click", () => {
  ended = "";
  look();
});
for (const button of document.querySelectorAll("[data-steps]"))
  button.addEventListener("click", () => ask({ do: "adjust", steps: Number(button.dataset.steps) }));
setInterval(look, 500);
look();
