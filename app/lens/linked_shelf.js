// The faceless component that brings factors; without any it carries the question for more.

export default function linkedFactors({ data, setTriggerValue }) {
  const store = shelf();
  if (data) {
    shelve(data);
    return undefined;
  }
  const ask = (token) => setTriggerValue("asked", token);
  store.ask = ask;
  for (const tell of store.waiting) tell("");
  return () => {
    if (store.ask === ask) store.ask = null;
  };
}
