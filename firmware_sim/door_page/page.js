// The page: keeps what the simulator says, draws the chosen door, and does what a person does.
import { icon } from "/files/icons.js";
import { dots, Scene, thumbnail } from "/files/scene.js";
import { Hands, Telephone } from "/files/hands.js";

const { born, doors, words } = JSON.parse(document.body.dataset.scene);
const byId = (id) => document.getElementById(id);
const said = (id) => byId(`say-${id}`).textContent;
const LINKS = { secure: words["secure channel"], connected: words.connected, offline: words["off line"], unplugged: words.unplugged, unpaired: words["waits to be paired"] };
const KEPT = 40;

const seen = {};
const events = [];
const shown = { door: null, fixture: null, scene: null };
let trouble = 0;

async function act(what) {
  try {
    const answer = await fetch("/api/act", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) }).then((got) => got.json());
    if (!answer.ok) complain(answer.error);
  } catch {
    complain(words["The page lost its simulator; it keeps trying."]);
  }
}

const hands = new Hands(byId("hands"), words, act, () => shown.scene);
const telephone = new Telephone(byId("telephone"), words, act);

// --- choosing -------------------------------------------------------------------------------------------------

const ICONS = { gsm: "phone", radio: "radio", panel: "panel" };

function label(fixture) {
  if (fixture.kind === "gsm") return words["GSM modem"];
  if (fixture.kind === "radio") return words["Radio receiver"];
  if (fixture.kind === "panel") return words["Call panel"];
  const { readers } = shown.door;
  const twins = readers.filter((each) => each.kind === fixture.kind && each.direction === fixture.direction);
  if (twins.length > 1 && fixture.output) return fixture.output;
  return words[fixture.direction === "out" ? "Out" : "In"];
}

function fixtures(door) {
  return [...door.readers, ...(door.panel ? [{ id: door.panel.id, kind: "panel" }] : [])];
}

function choose(door, fixture) {
  if (shown.door !== door) {
    shown.door = door;
    byId("door-name").textContent = door.name || door.id;
    shown.scene = new Scene(door, words, label, doors.indexOf(door));
    byId("facade").replaceChildren(shown.scene.element);
    byId("outcome").dataset.n = "";
    drawFaults(door);
    drawPast();
  }
  const all = fixtures(door);
  shown.fixture = fixture ?? all[0] ?? null;
  byId("places").innerHTML = all.length > 1 ? all.map((each) => `<button type="button" data-reader="${each.id}" aria-pressed="${each.id === shown.fixture.id}">${icon(ICONS[each.kind] ?? "badge")}${label(each)}</button>`).join("") : "";
  for (const each of all) shown.scene.device(each.id).toggleAttribute("aria-current", each.id === shown.fixture?.id);
  if (shown.fixture) hands.hold(door, shown.fixture).then(draw);
  for (const button of byId("street").children) button.toggleAttribute("aria-current", button.dataset.door === door.id);
  history.replaceState(null, "", `#${door.id}`);
  draw();
}

function pick(event) {
  const id = event.target.closest("[data-reader]")?.dataset.reader;
  if (id) choose(shown.door, fixtures(shown.door).find((each) => each.id === id));
}

// --- drawing --------------------------------------------------------------------------------------------------

const strikeOf = (door, look) => ({ true: "unlocked", false: "locked" })[look.outputs[door.outputs[0]]] ?? "unknown";

function draw() {
  const look = shown.door && seen[shown.door.id];
  if (!look) return;
  shown.scene.show(look);
  hands.status(look.readers[shown.fixture?.id], LINKS);
  telephone.show(shown.door, look.ring, PHONE);
  const prop = document.querySelector('[data-act="prop"]');
  prop.setAttribute("aria-pressed", look.leaf.is_propped);
  const isKnown = strikeOf(shown.door, look) !== "unknown"; // else nobody here moves the strike, nor hears of the leaf
  for (const each of document.querySelectorAll('[data-act]:not([data-act="exit"])')) each.disabled = !isKnown;
  document.querySelector('[data-act="exit"]').hidden = !shown.door.has_exit;
  const others = shown.door.outputs.slice(1).map((name) => {
    const state = { true: "unlocked", false: "locked" }[look.outputs[name]] ?? "unknown";
    return `<span data-output="${name}" data-state="${state}">${icon(state)}${name}</span>`;
  }).join("");
  if (byId("outputs").innerHTML !== others) byId("outputs").innerHTML = others;
  for (const button of byId("fault-list").querySelectorAll("button")) {
    const { reader, fault, says } = button.dataset;
    const is_on = reader ? look.readers[reader].faults[fault] : look.leaf.stuck === says;
    button.setAttribute("aria-pressed", Boolean(is_on));
    button.hidden = reader ? !(fault in look.readers[reader].faults) : false;
  }
  const lost = [look.is_connected === false ? words["No agent listens."] : "", look.is_answering === false ? words["%s does not answer."].replace("%s", shown.door.controller) : ""];
  connection(lost.find(Boolean) ?? "");
  hear(look);
}

function drawStreet() {
  if (doors.length < 2) return;
  byId("street").innerHTML = doors.map((door, number) => `<button type="button" data-door="${door.id}">${thumbnail(number)}<span><strong></strong><small></small></span></button>`).join("");
  for (const [number, door] of doors.entries()) byId("street").children[number].querySelector("strong").textContent = door.name || door.id;
}

function drawOnStreet(id) {
  const button = byId("street").querySelector(`[data-door="${CSS.escape(id)}"]`);
  if (!button) return;
  const [door, look] = [doors.find((each) => each.id === id), seen[id]];
  button.dataset.leaf = look.leaf.is_open ? "open" : "closed";
  button.dataset.strike = strikeOf(door, look);
  button.querySelector(".dots").innerHTML = dots(look);
  const leaf = look.leaf.is_propped ? words["held open"] : look.leaf.is_open ? words.open : words.closed;
  const text = button.dataset.strike === "unlocked" ? `${words.Unlocked} · ${leaf}` : leaf;
  if (button.querySelector("small").textContent !== text) button.querySelector("small").textContent = text;
}

function drawFaults(door) {
  const readers = door.readers.filter((each) => each.kind === "osdp");
  const sets = readers.map((each) => `<fieldset><legend>${words["Reader: %s"].replace("%s", each.id)}</legend><div class="switches">${["unplug", "noise", "swap_address", "slow", "tamper"].map((fault) => `<button type="button" data-reader="${each.id}" data-fault="${fault}" aria-pressed="false">${said(fault)}</button>`).join("")}</div></fieldset>`);
  if (door.has_contact) sets.push(`<fieldset><legend>${said("stick")}</legend><div class="switches">${["open", "closed"].map((says) => `<button type="button" data-says="${says}" aria-pressed="false">${said(`stick-${says}`)}</button>`).join("")}</div></fieldset>`);
  byId("fault-list").innerHTML = sets.join("") || `<p>${said("none")}</p>`;
}

const clock = (at_ms) => new Date(at_ms).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const MARK = { open: "open", denied: "denied", alarm: "alarm" };

function fill(element, parts) {
  for (const [selector, text] of Object.entries(parts)) element.querySelector(selector).textContent = text;
}

function drawPast() {
  const mine = events.filter((event) => event.door === shown.door.id || (!event.door && event.controller === shown.door.controller));
  const list = mine.slice(-KEPT).reverse().map((event) => {
    const line = document.createElement("li");
    line.className = event.result;
    line.innerHTML = `${icon(MARK[event.result] ?? "info")}<time></time><span><b></b> <small></small></span>`;
    const main = event.result === "info" ? event.why : event.result === "alarm" ? `${event.said}: ${event.why}` : [event.said, event.why].filter(Boolean).join(" · ");
    fill(line, { time: clock(event.at_ms), b: main, small: [event.who, event.by, event.number, event.output || event.reader].filter(Boolean).join(" · ") });
    return line;
  });
  byId("past").replaceChildren(...list);
  if (!list.length) byId("past").innerHTML = `<li class="empty">${words["Nothing has happened yet."]}</li>`;
  const last = mine.filter((event) => event.result !== "info" && event.door).at(-1); // not the controller's own troubles
  if (last && Date.now() > trouble) drawOutcome(last);
  else if (!last && Date.now() > trouble) byId("outcome").className = "outcome", byId("outcome").textContent = words["Nothing has happened yet."];
}

function drawOutcome(event) {
  const element = byId("outcome");
  if (element.dataset.n === String(event.n)) return;
  const isFirst = element.dataset.n === "";
  element.dataset.n = event.n;
  element.className = `outcome ${event.result}`;
  element.innerHTML = `${icon(MARK[event.result] ?? "info")}<div><strong></strong><span></span></div><time></time>`;
  fill(element, { strong: [event.said, event.why].filter(Boolean).join(" · "), span: [event.who, event.by, event.number, event.reader].filter(Boolean).join(" · "), time: clock(event.at_ms) });
  if (!isFirst) requestAnimationFrame(() => element.classList.add("fresh"));
}

function complain(text) {
  const element = byId("outcome");
  trouble = Date.now() + 4000;
  element.dataset.n = "";
  element.className = "outcome trouble";
  element.innerHTML = `${icon("alarm")}<div><strong></strong></div>`;
  fill(element, { strong: text });
  setTimeout(drawPast, 4050);
}

function connection(text) {
  if (byId("connection").textContent !== text) byId("connection").textContent = text;
}

// --- hearing --------------------------------------------------------------------------------------------------

let tone = null;

function hear(look) {
  if (!tone) return;
  const isBeeping = Object.values(look.readers).some((each) => each.is_beeping);
  tone.gain.setTargetAtTime(isBeeping ? 0.06 : 0, tone.context.currentTime, 0.004);
}

function toggleSound() {
  if (tone) {
    tone.context.close();
    tone = null;
  } else {
    const context = new AudioContext();
    tone = context.createGain();
    tone.gain.value = 0;
    const oscillator = context.createOscillator();
    oscillator.type = "square";
    oscillator.frequency.value = 2400; // as a reader's piezo
    oscillator.connect(tone).connect(context.destination);
    oscillator.start();
  }
  byId("sound").setAttribute("aria-pressed", Boolean(tone));
  byId("sound").innerHTML = icon(tone ? "sound" : "silent");
}

// --- living ---------------------------------------------------------------------------------------------------

function take(message) {
  if (message.born && message.born !== born) return location.reload();
  for (const [id, look] of Object.entries(message.doors ?? {})) {
    const before = seen[id];
    seen[id] = look;
    drawOnStreet(id);
    if (id === shown.door?.id && before && look.leaf.refusals !== before.leaf.refusals) complain(words["It does not give: the strike is locked."]);
  }
  if (message.events?.length) {
    events.push(...message.events.filter((event) => !events.some((each) => each.n === event.n)));
    events.splice(0, Math.max(0, events.length - 400));
    if (message.events.some((event) => event.result !== "info")) trouble = 0;
    drawPast();
  }
  draw();
}

function live() {
  const stream = new EventSource("/api/live");
  stream.onmessage = (event) => take(JSON.parse(event.data));
  stream.onerror = () => connection(words["The page lost its simulator; it keeps trying."]);
}

const PHONE = { answer: words.Answer, refuse: words.Refuse, hang_up: words["Hang up"] };
byId("sound").innerHTML = icon("silent");
byId("sound").addEventListener("click", toggleSound);
byId("street").addEventListener("click", (event) => {
  const id = event.target.closest("[data-door]")?.dataset.door;
  if (id) choose(doors.find((door) => door.id === id));
});
byId("places").addEventListener("click", pick);
byId("facade").addEventListener("click", pick);
byId("fault-list").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const is_on = button.getAttribute("aria-pressed") !== "true";
  const { reader, fault, says } = button.dataset;
  act(reader ? { do: fault, reader, is_on } : { do: "stick", door: shown.door.id, says: is_on ? says : "" });
});
for (const button of document.querySelectorAll("[data-act]")) {
  const what = button.dataset.act;
  button.innerHTML = `${icon(what)}<span>${said(what)}</span>`;
  button.addEventListener("click", () => act({ do: what, door: shown.door.id, ...(what === "prop" ? { is_on: button.getAttribute("aria-pressed") !== "true" } : {}) }));
}
drawStreet();
choose(doors.find((door) => `#${door.id}` === location.hash) ?? doors[0]);
live();
