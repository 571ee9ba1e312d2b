// The panel: what it shows of a state, and the state that a hand makes of it. All that comes from a checkpoint is set as text.

import { makeDial } from "./dial.js";
import { formatSeeds, LIMITS, parseSeeds } from "./link.js";

const MOST_RANDOM = 1_000_000; // a seed that can be read and remembered

const find = (id) => document.getElementById(id);

export class Controls {
  #state;
  #checkpoint = null;
  #changed;
  #gains = [];
  #directions = [];

  /**
   * @param checkpoints the entries of site.json
   * @param {(change: object) => void} changed told what a hand makes of the state
   */
  constructor(checkpoints, changed) {
    this.#changed = changed;
    fill(find("checkpoint"), checkpoints.map(({ name }) => [name, name]));
    find("checkpoint").addEventListener("change", (event) => changed({ checkpoint: event.target.value }));
    find("class").addEventListener("change", (event) => changed({ className: event.target.value }));
    this.#seedsField("seeds", 1);
    this.#seedsField("stops", 2);
    this.truncation = this.#dial(find("truncation"), "Truncation", LIMITS.truncation, "truncation", "Psi. 0: the average image; 1: all the variety there is.");
    this.seconds = this.#dial(find("seconds"), "Seconds", LIMITS.seconds, "seconds", "Length of the whole film.");
    find("rest").addEventListener("click", () => changed({ truncation: LIMITS.truncation.rest, directions: new Map(), gains: [], seconds: LIMITS.seconds.rest }));
  }

  show(state, checkpoint) {
    this.#state = state;
    if (checkpoint !== this.#checkpoint) this.#offer(checkpoint);
    find("checkpoint").value = checkpoint.name;
    find("seeds").value = formatSeeds(state.seeds);
    find("stops").value = formatSeeds(state.stops);
    find("class").value = state.className;
    this.truncation.set(state.truncation);
    this.seconds.set(state.seconds);
    this.#gains.forEach((dial, block) => dial.set(state.gains[block] ?? LIMITS.gain.rest));
    this.#directions.forEach((dial, index) => dial.set(state.directions.get(checkpoint.directions[index]) ?? LIMITS.amount.rest));
    for (const part of document.querySelectorAll("[data-only]")) part.hidden = part.dataset.only !== state.screen;
    tellProblem("");
  }

  // Controls for what a checkpoint can do, and none for what it cannot.
  #offer(checkpoint) {
    this.#checkpoint = checkpoint;
    const { resolution, origin, classes, blocks, directions, dials, residual } = checkpoint;
    find("facts").textContent = [`${resolution} x ${resolution} px`, classes.length ? `${classes.length} classes` : "no classes"].join(" · ");
    find("origin").textContent = origin;
    fill(find("class"), [["", "From the seed"], ...classes.map((name) => [name, name])]);
    find("class-group").hidden = classes.length === 0;
    find("blocks").hidden = !dials;
    find("blocks").querySelector("legend").textContent = residual ? "Residual blocks" : "Blocks";
    find("directions").hidden = directions.length === 0;
    this.#gains = dials ? blocks.map((name, block) => makeDial(name, LIMITS.gain, (gain) => this.#setGain(block, gain), "How much the block adds.")) : [];
    this.#directions = directions.map((name) => makeDial(name, LIMITS.amount, (amount) => this.#setDirection(name, amount), "In standard deviations."));
    replace(find("blocks"), this.#gains);
    replace(find("directions"), this.#directions);
  }

  #setGain(block, gain) {
    const gains = this.#checkpoint.blocks.map((_, index) => this.#state.gains[index] ?? LIMITS.gain.rest);
    this.#changed({ gains: gains.with(block, gain) });
  }

  #setDirection(name, amount) {
    this.#changed({ directions: new Map(this.#state.directions).set(name, amount) });
  }

  #dial(place, name, limits, field, help) {
    const dial = makeDial(name, limits, (value) => this.#changed({ [field]: value }), help);
    place.append(dial.element);
    return dial;
  }

  #seedsField(field, least) {
    const box = find(field);
    const take = () => {
      try {
        this.#changed({ [field]: parseSeeds(box.value, least) });
      } catch (error) {
        tellProblem(error.message, box);
      }
    };
    box.addEventListener("change", take);
    find(`random-${field}`).addEventListener("click", () => {
      const seeds = this.#state[field].map(() => Math.floor(Math.random() * MOST_RANDOM));
      this.#changed({ [field]: seeds });
    });
  }
}

/** Say in one sentence what cannot be drawn, and which box it is about; "" takes it back. */
export function tellProblem(sentence, box = null) {
  find("problem").textContent = sentence;
  find("problem").hidden = !sentence;
  for (const one of [find("seeds"), find("stops")]) one.setAttribute("aria-invalid", String(one === box));
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, words]) => new Option(words, value)));
}

// The dials of a fieldset, after its legend.
function replace(fieldset, dials) {
  fieldset.replaceChildren(fieldset.querySelector("legend"), ...dials.map(({ element }) => element));
}
