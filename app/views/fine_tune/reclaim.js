// Remembers the race of this tab over a reload. sessionStorage, not the address: whoever gets a
// link must not get the race.
const KEY = "lolora-race";

export default function ({ data, setTriggerValue }) {
  if (data.race) {
    window.sessionStorage.setItem(KEY, data.race);
  } else if (data.forget) {
    window.sessionStorage.removeItem(KEY);
  } else {
    const race = window.sessionStorage.getItem(KEY);
    if (race) setTriggerValue("race", race);
  }
}
