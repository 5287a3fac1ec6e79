export function main() {
  const target = new EventTarget();
  const seen = [];
  target.addEventListener("tick", { handleEvent: (event) => seen.push(event.detail) }, { once: true });
  target.addEventListener("tick", (event) => event.preventDefault());
  const event = () => new CustomEvent("tick", { detail: 7, cancelable: true });
  return [target.dispatchEvent(event()), target.dispatchEvent(event()), seen, event() instanceof Event];
}
