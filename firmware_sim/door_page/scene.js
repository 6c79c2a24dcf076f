// Draws one door: the wall at dusk, the leaf in its frame, the strike under a magnifier, the readers beside it.
import { icon } from "/files/icons.js";

// OSDP's LED colours (SIA OSDP 2.2, osdp_LED) as a screen shows them.
export const COLORS = ["off", "red", "green", "amber", "blue", "magenta", "cyan", "white"];
const SHOWN = ["#27303a", "#ff3527", "#28e05f", "#ffb01f", "#3f8dff", "#ff4fd0", "#3fe3ee", "#f4f8ff"];
const LEAVES = [["#2b8158", "#175339"], ["#376fa0", "#1f4568"], ["#a1473b", "#6d2a22"], ["#8a7436", "#594a1d"]];

const WALL = `
<svg class="wall" viewBox="0 0 640 440" aria-hidden="true">
  <defs>
    <linearGradient id="dusk" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#3b4a5c"/><stop offset="1" stop-color="#273240"/></linearGradient>
    <linearGradient id="ground" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#1d252f"/><stop offset="1" stop-color="#11171e"/></linearGradient>
    <linearGradient id="stone" x1="0" y1="0" x2="1" y2="0"><stop offset="0" stop-color="#cfc6b4"/><stop offset=".5" stop-color="#e9e2d3"/><stop offset="1" stop-color="#b9af9b"/></linearGradient>
    <linearGradient id="hall" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#ffe9b8"/><stop offset=".7" stop-color="#f2bf6f"/><stop offset="1" stop-color="#c98a3f"/></linearGradient>
    <radialGradient id="lamplight" gradientUnits="userSpaceOnUse" cx="205" cy="52" r="330"><stop offset="0" stop-color="#ffdf9e" stop-opacity=".55"/><stop offset="1" stop-color="#ffdf9e" stop-opacity="0"/></radialGradient>
    <radialGradient id="spill" cx=".5" cy="0" r="1"><stop offset="0" stop-color="#ffd88c" stop-opacity=".7"/><stop offset="1" stop-color="#ffd88c" stop-opacity="0"/></radialGradient>
    <pattern id="courses" width="96" height="48" patternUnits="userSpaceOnUse"><path d="M0 .5h96M0 24.5h96M24.5 0v24M72.5 24v24" stroke="#fff" stroke-opacity=".045" fill="none"/></pattern>
    <clipPath id="opening"><rect x="120" y="70" width="170" height="330"/></clipPath>
  </defs>
  <rect width="640" height="440" fill="url(#dusk)"/><rect width="640" height="402" fill="url(#courses)"/>
  <rect width="640" height="402" fill="url(#lamplight)"/>
  <rect y="400" width="640" height="40" fill="url(#ground)"/>
  <rect x="104" y="54" width="202" height="346" rx="3" fill="url(#stone)"/><rect x="96" y="396" width="218" height="10" rx="2" fill="#a79d89"/>
  <g clip-path="url(#opening)">
    <rect x="120" y="70" width="170" height="330" fill="url(#hall)"/>
    <path d="M120 70l44 34h82l44-34z" fill="#fff3d0" opacity=".55"/><path d="M164 104v212l-44 84V70zM246 104v212l44 84V70z" fill="#b9782f" opacity=".28"/>
    <path d="M164 316h82l44 84H120z" fill="#7b4c20" opacity=".55"/><path d="M156 332h98M146 350h118M134 372h142M205 316v84M184 316l-26 84M226 316l26 84" stroke="#4f2f11" stroke-opacity=".35" fill="none"/>
    <rect x="186" y="196" width="38" height="120" rx="2" fill="#8d5a27" opacity=".75"/><circle cx="217" cy="260" r="2.6" fill="#ffe9b8"/>
    <circle cx="205" cy="122" r="11" fill="#fffbe9"/><circle cx="205" cy="122" r="26" fill="#fffbe9" opacity=".3"/>
  </g>
  <path class="spill" d="M120 400h170l70 40H50z" fill="url(#spill)"/>
  <path d="M190 40h30l8 14h-46z" fill="#12181f"/><ellipse cx="205" cy="54" rx="22" ry="4" fill="#fff2c8"/>
</svg>`;

function leaf(colors) {
  return `
<svg viewBox="0 0 170 330" preserveAspectRatio="none" aria-hidden="true">
  <defs><linearGradient id="paint" x1="0" x2="1"><stop offset="0" stop-color="${colors[1]}"/><stop offset=".35" stop-color="${colors[0]}"/><stop offset="1" stop-color="${colors[1]}"/></linearGradient>
  <linearGradient id="glass" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#ffe2a1"/><stop offset=".5" stop-color="#d99f4f"/><stop offset="1" stop-color="#7a5326"/></linearGradient></defs>
  <rect width="170" height="330" fill="url(#paint)"/><rect x=".75" y=".75" width="168.5" height="328.5" fill="none" stroke="#000" stroke-opacity=".45" stroke-width="1.5"/>
  <g fill="url(#glass)" stroke="#0b1510" stroke-opacity=".6" stroke-width="3"><rect x="24" y="24" width="56" height="118" rx="3"/><rect x="90" y="24" width="56" height="118" rx="3"/></g>
  <path d="M30 84l44-54M30 108l34-42M96 84l44-54" stroke="#fff" stroke-opacity=".28" stroke-width="5"/>
  <g fill="none"><rect x="24" y="200" width="122" height="92" rx="3" stroke="#000" stroke-opacity=".35" stroke-width="3"/><rect x="27" y="203" width="116" height="86" rx="2" stroke="#fff" stroke-opacity=".14" stroke-width="2"/></g>
  <rect x="46" y="160" width="62" height="12" rx="3" fill="#c9a24a"/><rect x="50" y="164.5" width="54" height="3" rx="1.5" fill="#5b4310"/>
  <rect x="146" y="150" width="13" height="54" rx="5" fill="#d8b661"/><rect x="126" y="165" width="30" height="8" rx="4" fill="#f0d58b"/><circle cx="152.5" cy="192" r="2.6" fill="#4a360d"/>
  <rect x="12" y="304" width="146" height="16" rx="2" fill="#c9a24a" opacity=".55"/>
</svg>`;
}

const STRIKE = `
<svg viewBox="0 0 100 100" aria-hidden="true">
  <defs><clipPath id="lens"><circle cx="50" cy="50" r="44"/></clipPath><linearGradient id="steel" x1="0" x2="1"><stop offset="0" stop-color="#dfe6ec"/><stop offset="1" stop-color="#8b97a3"/></linearGradient></defs>
  <circle cx="50" cy="50" r="47" class="rim"/>
  <g clip-path="url(#lens)"><rect width="100" height="100" fill="#10161c"/>
    <g class="latch"><rect x="-30" y="0" width="66" height="100" class="edge"/><rect x="30" y="12" width="6" height="76" fill="#d8b661"/><path d="M36 40h20q8 0 8 10t-8 10H36z" fill="#f0d58b" stroke="#7b5d1d" stroke-width="1.5"/></g>
    <rect x="70" y="0" width="40" height="100" fill="url(#stone)"/><rect x="66" y="14" width="22" height="72" rx="2" fill="url(#steel)"/>
    <path class="jaw" d="M70 30h-12q-3 0-3 3v4h15z M70 70h-12q-3 0-3-3v-4h15z M56 37h7v26h-7z"/>
    <circle cx="78" cy="22" r="2.2" fill="#59646f"/><circle cx="78" cy="78" r="2.2" fill="#59646f"/><circle cx="79" cy="50" r="4.5" class="lamp"/>
  </g>
  <path d="M20 30a38 38 0 0 1 24-16" stroke="#fff" stroke-opacity=".5" stroke-width="3" stroke-linecap="round" fill="none"/>
</svg>`;

const PERSON = `
<svg viewBox="0 0 64 210" aria-hidden="true"><ellipse cx="32" cy="205" rx="26" ry="4.5" fill="#000" opacity=".35"/>
  <path class="leg back" d="M30 120l-5 80h11l5-78z" fill="#1d2733"/><path class="leg" d="M34 120l5 80h11l-6-80z" fill="#26333f"/>
  <path d="M17 60q15-12 32 0l4 66q-20 9-40 0z" fill="#d9654b"/><path class="arm" d="M44 64q8 18 9 46l-7 2q-3-26-10-38z" fill="#b94f38"/>
  <path d="M20 60q13 9 27 0l-3-7H23z" fill="#f3d8a8"/><circle cx="33" cy="34" r="17" fill="#eab88d"/><path d="M15 33q0-20 19-20 18 0 17 17-14 2-21-6-5 8-15 9z" fill="#3a2618"/>
</svg>`;

const BEEPS = '<g class="beeps"><path d="M-4 22q-7 8 0 17M-11 16q-12 14 0 29M78 22q7 8 0 17M85 16q12 14 0 29"/></g>';

function housing(reader) {
  if (reader.kind === "gsm") {
    return `<rect x="8" y="34" width="58" height="62" rx="7" class="case"/><path d="M56 34V4" stroke="#0b0f13" stroke-width="5" stroke-linecap="round"/><path d="M22 84v-8M30 84V70M38 84V64M46 84V58" stroke="#7f8d9b" stroke-width="4" stroke-linecap="round"/><circle class="led" cx="20" cy="46" r="4"/>`;
  }
  if (reader.kind === "radio") {
    return `<rect x="8" y="34" width="58" height="62" rx="7" class="case"/><path d="M20 34V6M54 34V6" stroke="#0b0f13" stroke-width="4" stroke-linecap="round"/><g fill="none" stroke="#7f8d9b" stroke-width="3" stroke-linecap="round"><path d="M30 62a10 10 0 0 0 0 18M44 62a10 10 0 0 1 0 18"/></g><circle cx="37" cy="71" r="4" fill="#7f8d9b"/><circle class="led" cx="20" cy="46" r="4"/>`;
  }
  if (reader.kind === "panel") {
    return `<rect x="2" y="2" width="70" height="136" rx="9" class="case steel"/><rect x="12" y="14" width="50" height="34" rx="4" fill="#0e1b16"/><path d="M18 24h30M18 31h38M18 38h22" stroke="#6ee7a0" stroke-width="2.5" stroke-linecap="round"/><g fill="#46535f">${[0, 1, 2, 3, 4].map((row) => [0, 1, 2, 3, 4].map((dot) => `<circle cx="${21 + dot * 8}" cy="${62 + row * 6}" r="1.6"/>`).join("")).join("")}</g><circle cx="37" cy="116" r="11" fill="#2a343d"/><circle cx="37" cy="116" r="7.5" fill="#e7edf2"/>`;
  }
  const keys = [..."123456789*0#"].map((key, at) => {
    const [x, y] = [19 + (at % 3) * 18, 46 + Math.floor(at / 3) * 21];
    return `<g class="key" data-key="${key}"><rect x="${x - 7.5}" y="${y - 8}" width="15" height="16" rx="4"/><text x="${x}" y="${y + 4.200}">${key}</text></g>`;
  });
  const front = reader.has_keypad ? keys.join("") : '<g class="waves"><path d="M26 96a16 16 0 0 1 22 0M20 88a25 25 0 0 1 34 0M14 80a34 34 0 0 1 46 0"/><circle cx="37" cy="104" r="3.5"/></g>';
  return `<rect x="2" y="2" width="70" height="136" rx="11" class="case"/><path d="M8 9q29-9 58 0" stroke="#fff" stroke-opacity=".12" stroke-width="2" fill="none"/><rect class="led" x="14" y="15" width="46" height="9" rx="4.5"/>${front}`;
}

function device(reader, words, label) {
  const small = reader.kind === "gsm" || reader.kind === "radio";
  return `<button type="button" class="device ${reader.kind} ${small ? "small" : ""}" data-reader="${reader.id}" aria-label="${words["Reader: %s"].replace("%s", reader.id)}">
    <span class="glow"></span><svg viewBox="${small ? "0 0 74 100" : "0 0 74 140"}" aria-hidden="true">${housing(reader)}${BEEPS}<g class="pulled"><path d="M37 ${small ? 96 : 138}q-10 18 6 30" fill="none"/></g></svg>
    <span class="light" role="img" data-color="off"></span><span class="plate">${label}</span></button>`;
}

export class Scene {
  constructor(place, words, label, number) {
    this.place = place;
    this.words = words;
    this.before = null;
    const fixtures = [...place.readers, ...(place.panel ? [{ id: place.panel.id, kind: "panel" }] : [])];
    const isHigh = (each) => each.kind === "gsm" || each.kind === "radio";
    const row = (name, list) => `<div class="row ${name}">${list.map((each) => device(each, words, label(each))).join("")}</div>`;
    this.element = document.createElement("div");
    this.element.className = "scene";
    this.element.innerHTML = `${WALL}
      <div class="doorway"><div class="leaf">${leaf(LEAVES[number % LEAVES.length])}</div></div><div class="wedge"></div>
      <div class="strike" role="img">${STRIKE}<span class="state"></span></div>
      <div class="fixtures">${row("high", fixtures.filter(isHigh))}${row("low", fixtures.filter((each) => !isHigh(each)))}</div>
      <div class="person">${PERSON}</div><div class="card"></div>`;
    this.element.querySelector(".edge").setAttribute("fill", LEAVES[number % LEAVES.length][0]);
    this.part = (selector) => this.element.querySelector(selector);
  }

  device(reader) {
    return this.element.querySelector(`.device[data-reader="${CSS.escape(reader)}"]`);
  }

  show(seen) {
    const [main] = this.place.outputs;
    const unlocked = seen.outputs[main];
    const state = unlocked === null || unlocked === undefined ? "unknown" : unlocked ? "unlocked" : "locked";
    const said = { unknown: this.words["not simulated here"], unlocked: this.words.Unlocked, locked: this.words.Locked }[state];
    const strike = this.part(".strike");
    if (strike.dataset.state !== state) {
      strike.dataset.state = state;
      strike.setAttribute("aria-label", said);
      strike.querySelector(".state").innerHTML = `${icon(state)}<span>${said}</span>`;
    }
    this.element.dataset.leaf = seen.leaf.is_open ? "open" : "closed";
    this.element.dataset.propped = seen.leaf.is_propped;
    for (const [reader, look] of Object.entries(seen.readers)) this.showReader(reader, look);
    const panel = this.place.panel && this.device(this.place.panel.id);
    if (panel) panel.classList.toggle("calling", Boolean(seen.ring));
    if (this.before) this.move(this.before.leaf, seen.leaf);
    this.before = seen;
  }

  showReader(reader, look) {
    const shown = this.device(reader);
    const light = shown.querySelector(".light");
    const color = COLORS[look.color] ?? "off";
    if (light.dataset.color !== color) {
      light.dataset.color = color;
      light.setAttribute("aria-label", this.words["Light: %s"].replace("%s", this.words[color]));
      shown.style.setProperty("--led", SHOWN[look.color] ?? SHOWN[0]);
      shown.classList.toggle("lit", look.color > 0);
    }
    if (look.is_beeping) {
      shown.classList.add("beeping");
      clearTimeout(shown.quiet);
      shown.quiet = 0;
    } else if (shown.classList.contains("beeping") && !shown.quiet) {
      shown.quiet = setTimeout(() => { shown.classList.remove("beeping"); shown.quiet = 0; }, 90);
    }
    shown.dataset.link = look.link;
  }

  // A person comes to the leaf: it gives, it does not, or it breaks.
  move(was, now) {
    if (now.refusals !== was.refusals) this.walk("refused");
    else if (now.forcings !== was.forcings) this.walk("forcing");
    else if (now.passages !== was.passages) this.walk("passing");
  }

  walk(how) {
    this.element.classList.remove("refused", "forcing", "passing");
    void this.element.offsetWidth; // begin again where it still runs
    this.element.classList.add(how);
    clearTimeout(this.walking);
    this.walking = setTimeout(() => this.element.classList.remove(how), 2600);
  }

  present(reader, color) {
    const [card, at, room] = [this.part(".card"), this.device(reader).getBoundingClientRect(), this.element.getBoundingClientRect()];
    card.style.left = `${at.left - room.left + at.width / 2}px`;
    card.style.top = `${at.top - room.top + at.height * 0.55}px`;
    card.style.setProperty("--fob", color);
    card.classList.remove("held");
    void card.offsetWidth;
    card.classList.add("held");
  }

  press(reader, key) {
    const drawn = this.device(reader).querySelector(`.key[data-key="${key}"]`);
    if (!drawn) return;
    drawn.classList.add("down");
    setTimeout(() => drawn.classList.remove("down"), 160);
  }
}

// A door as it looks from across the street.
export function thumbnail(number) {
  const [paint] = LEAVES[number % LEAVES.length];
  return `<svg viewBox="0 0 72 56" aria-hidden="true"><rect width="72" height="56" rx="6" fill="#313d4b"/><rect y="48" width="72" height="8" fill="#18202a"/>
    <rect x="11" y="7" width="28" height="41" fill="#e0d8c7"/><rect x="14" y="10" width="22" height="38" fill="#f4c577"/>
    <path class="shut" d="M14 10h22v38H14z" fill="${paint}"/><path class="ajar" d="M14 10l10 5v27l-10 6z" fill="${paint}"/>
    <circle class="bolt" cx="44" cy="30" r="2.6"/><g class="dots"></g></svg>`;
}

export function dots(seen) {
  return Object.values(seen.readers).slice(0, 4).map((look, at) =>
    `<rect x="${50 + (at % 2) * 9}" y="${18 + Math.floor(at / 2) * 15}" width="6" height="11" rx="1.5" fill="#0d1218"/><circle cx="${53 + (at % 2) * 9}" cy="${21 + Math.floor(at / 2) * 15}" r="2" fill="${SHOWN[look.color] ?? SHOWN[0]}"/>`).join("");
}
