// What a person holds at the chosen reader: badges and keypad, a remote, a telephone, or the list of a call panel.
import { icon } from "/files/icons.js";

const FOBS = { black: "#262b31", green: "#1d9a4e", blue: "#2a6fdb", grey: "#8d99a4", gray: "#8d99a4", red: "#d6352b", yellow: "#f0c330", orange: "#ef8a26", white: "#f5f5f0", purple: "#8150c9", brown: "#7b5234" };
const STRANGER = "9999999999";
export const fobColor = (name) => FOBS[(name ?? "").toLowerCase()] ?? "#5b6b78";

const escaped = (text) => String(text).replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);

function fob(color) {
  return `<svg class="fob" viewBox="0 0 28 38" aria-hidden="true"><path d="M14 1c8 0 13 6 13 14 0 9-4 15-7 19-2 3-10 3-12 0C5 30 1 24 1 15 1 7 6 1 14 1z" fill="${fobColor(color)}" stroke="#5b6b78" stroke-opacity=".7" stroke-width="1.5"/><circle cx="14" cy="9" r="3.6" fill="#10161c" stroke="#fff" stroke-opacity=".6"/><path d="M9 22a7 7 0 0 1 10 0M11 26a4 4 0 0 1 6 0" stroke="${color === "white" || color === "yellow" ? "#5b6b78" : "#fff"}" stroke-opacity=".75" stroke-width="1.8" fill="none" stroke-linecap="round"/></svg>`;
}

export class Hands {
  // act(words) does something at the door; scene() is the picture.
  constructor(element, words, act, scene) {
    Object.assign(this, { element, words, act, scene });
    this.element.addEventListener("click", (event) => this.clicked(event));
    this.element.addEventListener("input", () => this.searched());
    this.element.addEventListener("submit", (event) => this.entered(event));
    this.element.addEventListener("keydown", (event) => this.typed(event));
  }

  async hold(place, fixture) {
    Object.assign(this, { place, fixture, keys: "" });
    const say = this.words;
    this.kind = { gsm: "phone", radio: "remote", panel: "visit" }[fixture.kind] ?? "badge";
    const verb = { badge: say["Present this badge"], phone: say["Call from this telephone"], visit: say["Ring at the door"] }[this.kind];
    const short = { badge: "badge", phone: "phone", visit: "panel" }[this.kind];
    const button = verb ? `<button class="button primary" aria-label="${verb}" title="${verb}">${icon(short)}</button>` : "";
    const keypad = fixture.has_keypad ? `<div class="keypad"><h3><span>${say.Keypad}</span><output></output></h3><div class="keys" role="group" aria-label="${say.Keypad}">${[..."123456789*0#"].map((key) => `<button type="button" data-key="${key}">${key}</button>`).join("")}</div></div>` : "";
    const hint = say["Search for a name or a number"];
    this.element.innerHTML = `<p class="status"></p><form class="search"><input type="search" autocomplete="off" placeholder="${hint}" aria-label="${hint}">${button}</form><ul class="things"></ul><p class="more"></p>${keypad}`;
    await this.searched();
  }

  status(look, links) {
    const shown = this.element.querySelector(".status");
    if (!shown) return;
    shown.hidden = !look;
    if (look && shown.dataset.link !== look.link) {
      shown.dataset.link = look.link;
      shown.textContent = links[look.link];
    }
  }

  async searched() {
    const input = this.element.querySelector(".search input");
    const asked = { kind: this.kind, text: input.value, door: this.place.id };
    const answer = await fetch(`/api/wallet?${new URLSearchParams(asked)}`).then((got) => got.json()).catch(() => ({ things: [], total: 0 }));
    if (!input.isConnected || input.value !== asked.text) return; // another search came meanwhile
    const things = answer.things;
    if (this.kind === "badge" && !asked.text) things.push({ value: STRANGER, name: this.words["Unknown badge"], note: this.words["a stranger's"], colour: "white", state: "" });
    this.element.querySelector(".things").innerHTML = things.map((thing) => `<li>${this.draw(thing)}</li>`).join("");
    const left = answer.total - answer.things.filter((thing) => thing.value !== STRANGER).length;
    const more = left > 0 ? this.words["%s more: search for a name or a number"].replace("%s", left) : things.length || /^\d+$/.test(asked.text) ? "" : this.words["Nothing found."];
    this.element.querySelector(".more").textContent = more;
  }

  draw(thing) {
    const state = thing.state && thing.state !== "active" ? ` <em>${escaped(this.words[thing.state] ?? thing.state)}</em>` : "";
    const about = `<div><strong>${escaped(thing.name)}</strong><small>${escaped(thing.value)}</small><small>${escaped(thing.note)}${state}</small></div>`;
    if (this.kind === "remote") {
      const buttons = [1, 2, 3, 4].map((button) => `<button type="button" data-remote="${thing.value}" data-button="${button}" aria-label="${escaped(thing.name)}: ${this.words["Button %s"].replace("%s", button)}">${button}</button>`);
      return `<div class="thing remote">${fob(thing.colour)}${about}<span class="buttons">${buttons.join("")}</span></div>`;
    }
    const picture = this.kind === "badge" ? fob(thing.colour) : icon(this.kind === "phone" ? "phone" : "panel");
    return `<button type="button" class="thing" data-value="${escaped(thing.value)}" data-colour="${escaped(thing.colour)}">${picture}${about}</button>`;
  }

  use(value, colour) {
    const at = this.fixture.id;
    if (this.kind === "badge") {
      this.scene().present(at, fobColor(colour));
      return this.act({ do: "present", reader: at, number: value });
    }
    if (this.kind === "phone") return this.act({ do: "phone", reader: at, number: value });
    return this.act({ do: "visit", door: this.place.id, call_code: value });
  }

  press(key) {
    this.keys = key === "#" || key === "*" ? "" : this.keys + "•";
    this.element.querySelector(".keypad output").textContent = this.keys;
    this.scene().press(this.fixture.id, key);
    return this.act({ do: "press", reader: this.fixture.id, keys: key });
  }

  clicked(event) {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.key) this.press(button.dataset.key);
    else if (button.dataset.remote) this.act({ do: "remote", reader: this.fixture.id, number: button.dataset.remote, button: Number(button.dataset.button) });
    else if (button.dataset.value) this.use(button.dataset.value, button.dataset.colour);
  }

  entered(event) {
    event.preventDefault();
    const value = this.element.querySelector(".search input").value.trim();
    const first = this.element.querySelector(".thing[data-value]");
    if (/^\d+$/.test(value) || (this.kind === "visit" && value && !first)) this.use(value, "");
    else if (value && first) this.use(first.dataset.value, first.dataset.colour);
  }

  typed(event) {
    if (!event.target.closest(".keypad") || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key === "Backspace" ? "*" : event.key;
    const button = this.element.querySelector(`.keys button[data-key="${CSS.escape(key)}"]`);
    if (!button || key.length !== 1) return;
    event.preventDefault();
    button.classList.add("down");
    setTimeout(() => button.classList.remove("down"), 120);
    this.press(key);
  }
}

// The telephone of a resident who is called from the panel.
export class Telephone {
  constructor(element, words, act) {
    Object.assign(this, { element, words, act, shown: "" });
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button?.dataset.key) act({ do: "phone_key", door: this.door, key: button.dataset.key });
      else if (button) act({ do: button.dataset.do, door: this.door });
    });
  }

  show(place, ring, labels) {
    this.door = place.id;
    const drawn = JSON.stringify([place.id, ring]);
    if (drawn === this.shown) return;
    this.shown = drawn;
    this.element.hidden = !ring;
    if (!ring) return;
    this.element.className = `telephone ${ring.state}`;
    const keys = [..."123456789*0#"].map((key) => `<button type="button" data-key="${key}" class="${key === place.panel?.open_key ? "opens" : ""}">${key}</button>`).join("");
    const talking = ring.state === "talking";
    this.element.innerHTML = `<div class="screen">${icon("phone")}<div><strong>${escaped(ring.name || ring.number)}</strong><small>+${escaped(ring.number)} · ${this.words[talking ? "talking" : "rings"]}</small></div></div>
      ${talking ? `<div class="keys">${keys}</div>` : ""}<div class="choices">${talking ? "" : `<button type="button" data-do="answer">${labels.answer}</button>`}<button type="button" class="no" data-do="refuse">${talking ? labels.hang_up : labels.refuse}</button></div>`;
  }
}
