// Hands its value on to the rest of the page, as the event that the template names.
const tell = () => props.value && window.dispatchEvent(new CustomEvent(element.querySelector("span").dataset.event, { detail: props.value }));
watch("value", tell);
tell();
