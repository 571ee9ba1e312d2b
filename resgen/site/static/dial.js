// A dial: a name, a slider filled from rest to where it stands, and its number. A double click sets it back.

/**
 * @param limits {least, most, step, rest}
 * @param {(value: number) => void} turned told of each value that a hand gives
 * @returns {{element: HTMLElement, set: (value: number) => void}}
 */
export function makeDial(name, limits, turned, help = "") {
  const element = document.createElement("label");
  const [words, number, slider] = ["span", "span", "input"].map((tag) => document.createElement(tag));
  element.className = "dial";
  element.title = help;
  words.textContent = name;
  number.className = "number";
  number.setAttribute("aria-hidden", "true"); // the slider says its value itself
  slider.type = "range";
  slider.step = limits.step;
  slider.setAttribute("aria-label", name);
  element.append(words, number, slider);

  const set = (value) => {
    slider.min = Math.min(limits.least, value); // a link may go beyond what the dial offers
    slider.max = Math.max(limits.most, value);
    slider.value = value;
    number.textContent = String(value);
    const share = (at) => `${((at - slider.min) / (slider.max - slider.min)) * 100}%`;
    slider.style.setProperty("--from", share(Math.min(value, limits.rest)));
    slider.style.setProperty("--to", share(Math.max(value, limits.rest)));
  };
  const turn = (value) => {
    set(value);
    turned(value);
  };
  slider.addEventListener("input", () => turn(Number(slider.value)));
  slider.addEventListener("dblclick", () => turn(limits.rest));
  set(limits.rest);
  return { element, set };
}
